"""One office for all tests of issuance, and a page of every kind."""

from __future__ import annotations

import pytest
from bureau import Bureau
from papers import Office, kinds

from schemas.licence import Issued, Numbered


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(Bureau(tmp_path_factory.mktemp("office")))


@pytest.fixture(scope="session")
def issued(office: Office) -> dict[str, tuple[Numbered, Issued, bytes]]:
    """For each kind of page: the numbered grant, what was recorded, and the file."""
    return {name: (numbered, *office.issue(numbered)) for name, numbered in kinds().items()}
