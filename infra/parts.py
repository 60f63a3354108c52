"""The parts of an installation that the rooms below `infra.bootstrap` are built from.

`infra.bootstrap.Installation` is the one implementation; a room takes `Parts` so that it opens no adapter itself.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from infra.persons.keys import PersonsStore
from infra.settings import Settings
from issuance.signer import Signer
from schemas.events import Event
from schemas.items import Catalogue
from schemas.ledger import Auth, DrawnVisit
from schemas.ports import Store
from schemas.trust import TrustStore


class Parts(Protocol):
    """Settings and adapters of one installation; each adapter is opened on first use."""

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """Return the service items of the installation."""
        ...

    @property
    def trust(self) -> TrustStore:
        """Return the trust folder. Raises UsageError where there is none."""
        ...

    @property
    def store(self) -> Store:
        """Return the store of the objects."""
        ...

    @property
    def persons(self) -> PersonsStore:
        """Return the persons' keys. Raises KeysMissing."""
        ...

    def signer(self) -> Signer:
        """Return the signer over the installation's keys. Raises KeysMissing."""
        ...

    def authenticate(self, event: Event) -> Auth:
        """Authenticate an event by its proof. Raises Rejected."""
        ...

    def check_upload(self, uri: str) -> str:
        """Return `verified`, `mismatched` or `absent` for an uploaded file that a material names."""
        ...

    def check_hosts(self) -> None:
        """Refuse authorities whose licences would lead to another host than those printed before. Raises UsageError."""
        ...

    def missing_glyphs(self, text: str) -> str:
        """Return the characters of a text that no font of the certificates has, each once."""
        ...

    def drawn_visit(self, announcement: str, target: str) -> DrawnVisit | None:
        """Return the visit that the draw of an announcement (its digest) orders to a target; None without such a draw."""
        ...

    def over(self, settings: Settings) -> AbstractContextManager[Parts]:
        """Open the parts of other settings, such as those of a copy of the data."""
        ...
