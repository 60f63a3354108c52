"""The log's entries: which facts are published there, and in which order (a stage with one writer).

Every fact that makes something public leads to an entry; the same fact told again leads to the same entry, which
has its place already. The order is recorded once and never made again: two engines may find different ones.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

import msgspec

from schemas.errors import VerificationError
from schemas.facts import Fact, ImportRecorded, LicenceIssued, ResultsPublished
from schemas.ledger import CatalogueEntry
from schemas.transparency.entries import (
    CatalogueLogged,
    ImportedEntry,
    LicenceEntry,
    LogEntry,
    PublishedEntry,
    check_entry,
)

PUBLISHED: Final = ("licence.issued", "licence.imported", "inspections.published")
"""The types of facts that lead to entries."""


class Sequenced(msgspec.Struct, frozen=True):
    """An entry with its place: `index` from 0 without gaps, `id` of its content, the bytes that are hashed."""

    index: int
    id: str
    entry: bytes


def entries_of(fact: Fact) -> tuple[LogEntry, ...]:
    """Return the entries that a fact leads to; none for what is not published.

    A licence that was issued before credentials' digests were recorded is named by its number alone, as an imported
    one is: `logged_from` says since when the log is whole. A number that the log may not hold (a person's) stays out.
    """
    match fact.body:
        case LicenceIssued(issued=i) if i.credential_sha256:
            entry = LicenceEntry(i.number, i.version, i.identifier, i.credential_sha256, i.object_sha256)
            return _allowed(entry)
        case LicenceIssued(issued=issued):
            return _allowed(ImportedEntry(issued.number))
        case ImportRecorded(grant=grant) if grant.number:
            return _allowed(ImportedEntry(grant.number))
        case ResultsPublished(draw=draw, digest=digest, published_on=day):
            return _allowed(PublishedEntry(draw, digest, day))
    return ()


def catalogue_logged(entry: CatalogueEntry) -> CatalogueLogged:
    """Return the entry of service items in force, by their own digest: it is the same on every machine."""
    return CatalogueLogged(entry.payload.digest)


def _allowed(entry: LogEntry) -> tuple[LogEntry, ...]:
    try:
        check_entry(entry)
    except VerificationError:
        return ()
    return (entry,)


def sequence(next_index: int, entries: Iterable[LogEntry], seen: Container[str]) -> tuple[Sequenced, ...]:
    """Give places to entries that have none yet, in the order in which they came.

    `seen` holds the ids of everything that has a place, `next_index` is their number.
    """
    given: dict[str, Sequenced] = {}
    for entry in entries:
        identity = entry.id
        if identity not in given and identity not in seen:
            given[identity] = Sequenced(next_index + len(given), identity, entry.to_bytes())
    return tuple(given.values())
