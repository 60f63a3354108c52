"""Which keys an installation needs: for each authority that its items can have, and for itself."""

from __future__ import annotations

from typing import Final

from issuance.certificates import Role
from schemas.authorities import authority, issuing_authorities, source_of
from schemas.items import Catalogue
from schemas.trust import ANY_AUTHORITY

INSTALLATION_NAME: Final = "证照 zhengzhao"


def roles_of(catalogue: Catalogue) -> tuple[Role, ...]:
    """A credential and a seal key for each issuing authority, one key for status lists, one for draws."""
    authorities = tuple(
        Role(found.code, found.name, use)
        for found in issuing_authorities(catalogue)
        for use in ("credential", "seal")
    )
    own = (Role(ANY_AUTHORITY, INSTALLATION_NAME, "status"), Role(ANY_AUTHORITY, INSTALLATION_NAME, "draw"))
    return authorities + own


def longest_validity(catalogue: Catalogue) -> int | None:
    """The longest validity of a licence in years; None where one of the items has no end."""
    years = [item.validity_years for item in catalogue.items.values() if item.mode != "filing"]
    return None if None in years else max((year for year in years if year is not None), default=0)


def name_of(authority_code: str) -> str:
    """The name in the certificate of an authority's key."""
    source = source_of(authority_code)
    return INSTALLATION_NAME if source is None else authority(*source).name
