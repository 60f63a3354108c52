"""Facts that are entries of the log, and the one place of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import licence, licences, sha
from msgspec.structs import replace

from processors.transparency import entries_of, sequence
from schemas.facts import Body, CaseWithdrawn, Fact, ImportRecorded, LicenceIssued
from schemas.licence import Authority, Grant, Issued
from schemas.transparency.entries import ImportedEntry, LicenceEntry

ISSUED = Issued(
    "g1", "l1", 2, "(青)XK16-204-00001", "1.2.156.3005.2.1", "licences/x/2/licence.pdf", sha("pdf"), "k1", "00", "k2", "00",
    "r", "t", "f", credential_sha256=sha("cwt"),
)  # fmt: skip
PERSON = "11010519491231002X"
GRANT = Grant(
    "g0", "l0", 0, "industrial-product-licence", sha("item"), "X-1", "H", "enterprise", "H", "甲", "乙", "630225",
    Authority("urn:agency:630000:market-regulation", "局", "630000", "market-regulation", "H"), "2018-01-01", "2018-01-01",
    None, "2018-01-01T00:00:00+08:00", "(青)XK16-204-", number="(青)XK16-204-00007",
)  # fmt: skip


def fact(body: Body) -> Fact:
    """Return a fact."""
    return Fact("id", "cause", "holder", "2018-09-10T00:00:00+08:00", body)


def test_an_issued_licence_is_an_entry() -> None:
    """Number, version, identifier and the digests of credential and object."""
    expected = (LicenceEntry("(青)XK16-204-00001", 2, "1.2.156.3005.2.1", sha("cwt"), sha("pdf")),)
    assert expected == entries_of(fact(LicenceIssued(ISSUED)))


def test_a_licence_from_before_the_log_is_an_entry_with_its_number_alone() -> None:
    """Its credential's digest was not recorded, but its serial is explained."""
    before = LicenceIssued(replace(ISSUED, credential_sha256=""))
    assert (ImportedEntry(ISSUED.number),) == entries_of(fact(before))


def test_an_import_is_an_entry_with_its_number_alone() -> None:
    """It has no artefact, but it explains the serials that its series skips."""
    assert (ImportedEntry("(青)XK16-204-00007"),) == entries_of(fact(ImportRecorded(GRANT, 7)))


@pytest.mark.parametrize(
    "body",
    [
        CaseWithdrawn("c"),
        ImportRecorded(replace(GRANT, number=None)),
        ImportRecorded(replace(GRANT, number=PERSON)),
    ],
)
def test_other_facts_are_none(body: Body) -> None:
    """A fact that is not published, or whose number is a person's, leads to no entry."""
    assert () == entries_of(fact(body))


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(0, 60))
def test_each_entry_has_one_place(serials: list[int], cut: int) -> None:
    """However often an entry is told, in one go or two, it has the place of its first time, without gaps."""
    entries = [licence(serial) for serial in serials]
    once = sequence(0, entries, set())
    first = sequence(0, entries[:cut], set())
    both = (*first, *sequence(len(first), entries[cut:], {s.id for s in first}))
    assert once == both
    assert list(range(len(set(serials)))) == [s.index for s in once]
    assert [licence(serial).to_bytes() for serial in dict.fromkeys(serials)] == [s.entry for s in once]


def test_nothing_new_nothing_given() -> None:
    """An entry that was seen gets no second place."""
    assert () == sequence(3, licences(3), {e.id for e in licences(3)})
