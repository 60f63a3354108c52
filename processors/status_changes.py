"""What a fact means for the status lists: which version of which licence now reads how, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from schemas.facts import Fact, LicenceGranted, LicenceStatusChanged

VALID, INVALID, SUSPENDED = 0, 1, 2  # Token Status List, section 7.1


class StatusChange(NamedTuple):
    """The status of a version from now on. `version` None: the one in force. `in_force`: the version that is."""

    licence_id: str
    version: int | None
    status: int
    reason: str
    date: str
    in_force: int | None


def status_changes(fact: Fact) -> Iterator[StatusChange]:
    """The changes that a fact brings. A new version of a suspended licence stays suspended: see `carry`."""
    body = fact.body
    if isinstance(body, LicenceGranted) and body.grant.version > 1:
        grant = body.grant
        yield StatusChange(
            grant.licence_id, grant.version - 1, INVALID, "superseded", grant.issued_on, grant.version
        )
    elif isinstance(body, LicenceStatusChanged):
        date = body.decided_on or fact.time[:10]
        code = VALID if body.status == "valid" else SUSPENDED if body.status == "suspended" else INVALID
        yield StatusChange(body.licence, None, code, "" if code == VALID else body.status, date, None)
