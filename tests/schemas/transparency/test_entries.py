"""Entries of the log: one form each, RFC 8785, and no person's number."""

from __future__ import annotations

import hashlib
import json

import pytest

from schemas.errors import VerificationError
from schemas.transparency.entries import (
    AnnouncementEntry,
    CatalogueLogged,
    ImportedEntry,
    LicenceEntry,
    LogEntry,
    PublishedEntry,
    ReplacementEntry,
    StatusEntry,
    TranscriptEntry,
    TrustEntry,
    VoidEntry,
    check_entry,
    read_entry,
)

D = "0f" * 32
AUTHORITY = "urn:agency:320000:market-regulation"
ENTRIES: list[LogEntry] = [
    LicenceEntry("(青)XK16-204-00001", 1, "1.2.156.3005.2.1", D, D),
    ImportedEntry("(青)XK16-204-00009"),
    StatusEntry("https://licences.example.cn/status/0123456789ab-1", 1_536_000_000, D),
    TrustEntry(1, D),
    CatalogueLogged(D),
    AnnouncementEntry(AUTHORITY, 1, D),
    VoidEntry(AUTHORITY, 1, D),
    TranscriptEntry(AUTHORITY, 1, D),
    ReplacementEntry(AUTHORITY, 1, D),
    PublishedEntry(D, D, "2018-05-02"),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: type(e).__name__)
def test_an_entry_is_read_as_it_was_written(entry: LogEntry) -> None:
    """Each form survives, and its id is the SHA-256 of its bytes."""
    data = entry.to_bytes()
    assert entry == read_entry(data)
    assert hashlib.sha256(data).hexdigest() == entry.id


def test_the_bytes_of_a_licence() -> None:
    """Canonical JSON (RFC 8785) with exactly the fields of the contract."""
    expected = (
        f'{{"credential":"{D}","identifier":"1.2.156.3005.2.1","number":"(青)XK16-204-00001",'
        f'"object":"{D}","type":"licence","version":1}}'
    )
    assert expected.encode() == ENTRIES[0].to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"}, {"type": None}, {"name": "甲"}, {"version": "1"}, {"version": 0}, {"version": 2**53},
        {"credential": D.upper()}, {"object": D[:-1]}, {"number": ""}, {"number": "x" * 201}, {"number": "a\nb"},
        {"number": "11010519491231002X"}, {"number": "TS110105-19491231-002X"}, {"identifier": None},
    ],
)  # fmt: skip
def test_other_contents_are_refused(change: dict[str, object]) -> None:
    """An unknown type or field, a wrong type or value, a person's number."""
    content = json.loads(ENTRIES[0].to_bytes()) | change
    data = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(VerificationError):
        read_entry(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 5000, b"null", b'{"type":"trust"}'])
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    """No JSON, no object, no fields."""
    with pytest.raises(VerificationError):
        read_entry(data)


def test_other_bytes_of_the_same_content_are_refused() -> None:
    """One entry has one encoding: spaces, another order, a key twice and escapes are refused."""
    data = ENTRIES[3].to_bytes()
    assert data == b'{"sequence":1,"sha256":"%s","type":"trust"}' % D.encode()
    for wrong in (
        data + b"\n",
        data.replace(b":1", b": 1"),
        b'{"type":"trust","sequence":1,"sha256":"%s"}' % D.encode(),
        data.replace(b'"sequence":1', b'"sequence":2,"sequence":1'),
        data.replace(b"trust", b"tr\\u0075st"),
    ):
        with pytest.raises(VerificationError):
            read_entry(wrong)


def test_what_is_made_here_is_checked_too() -> None:
    """A writer cannot put in what no reader would take."""
    with pytest.raises(VerificationError):
        check_entry(TrustEntry(0, D))
    with pytest.raises(VerificationError):
        check_entry(PublishedEntry(D, D, "2018-5-2"))
