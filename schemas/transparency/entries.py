"""Entries of the log: what is published is named there by digests, in RFC 8785 JSON; no name, no person's number.

An entry's id is the SHA-256 of its bytes: the same content is one entry, however often it is told.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from schemas.canonical_json import canonical
from schemas.errors import VerificationError
from schemas.identifiers import masked
from schemas.transparency.tiles import MAX_ENTRY

MAX_NUMBER: Final = 2**53 - 1
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SHOWN = re.compile(r"[^\x00-\x20\x7f-\xa0\ud800-\udfff\u202a-\u202e\u2066-\u2069]{1,200}")


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """An entry; the tag is its type."""

    def to_bytes(self) -> bytes:
        """Return the bytes that are hashed into the tree."""
        return canonical(msgspec.to_builtins(self))

    @property
    def id(self) -> str:
        """The content's id: lower-case hex SHA-256 of the bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


class LicenceEntry(_Form, frozen=True, tag="licence"):
    """A version of a licence was issued. `credential` and `object` are SHA-256 of `credential.cwt` and the PDF."""

    number: str
    version: int
    identifier: str
    credential: str
    object: str


class ImportedEntry(_Form, frozen=True, tag="imported"):
    """A number came in with an imported licence, or was given before there was a log.

    It explains serials that are skipped, and versions that have no entry of their own.
    """

    number: str


class StatusEntry(_Form, frozen=True, tag="status"):
    """An edition of a status list was published; `iat` in seconds since 1970."""

    uri: str
    iat: int
    sha256: str


class TrustEntry(_Form, frozen=True, tag="trust"):
    """An edition of `trust.json` was published."""

    sequence: int
    sha256: str


class CatalogueLogged(_Form, frozen=True, tag="catalogue"):
    """The service items changed."""

    sha256: str


class _OfDraw(_Form, frozen=True):
    """A paper of a draw; `sequence` is the announcement's."""

    authority: str
    sequence: int
    digest: str


class AnnouncementEntry(_OfDraw, frozen=True, tag="announcement"):
    """A draw was announced; `digest` is the `announcement_digest`."""


class VoidEntry(_OfDraw, frozen=True, tag="void"):
    """An announcement was voided; `digest` is the SHA-256 of the void's bytes."""


class TranscriptEntry(_OfDraw, frozen=True, tag="transcript"):
    """An announcement was drawn; `digest` is the SHA-256 of the transcript's bytes."""


class ReplacementEntry(_OfDraw, frozen=True, tag="replacement"):
    """An inspector was replaced; `digest` is the SHA-256 of the record's bytes."""


class PublishedEntry(_Form, frozen=True, tag="published"):
    """Results of a draw were published on `day` (ISO date in China).

    `announcement` is the draw's `announcement_digest`, `digest` the SHA-256 of the table of results.
    """

    announcement: str
    digest: str
    day: str


DrawEntry = AnnouncementEntry | VoidEntry | TranscriptEntry | ReplacementEntry | PublishedEntry
LogEntry = LicenceEntry | ImportedEntry | StatusEntry | TrustEntry | CatalogueLogged | DrawEntry
_decoder = msgspec.json.Decoder(LogEntry)


def read_entry(data: bytes) -> LogEntry:
    """Return an entry from its bytes. Raises VerificationError where it has no known form or is not canonical."""
    try:
        entry: LogEntry = _decoder.decode(data)
        exact = entry.to_bytes() == data
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise VerificationError(f"不是日志条目 / no entry of the log: {error}") from None
    if not exact:
        raise VerificationError("不是规范形式 / not canonical (RFC 8785)")
    check_entry(entry)
    return entry


def check_entry(entry: LogEntry) -> None:
    """Verify what an entry's fields may hold. Raises VerificationError where one breaks the rule of its name."""
    if len(entry.to_bytes()) > MAX_ENTRY:
        raise VerificationError(f"条目超过 {MAX_ENTRY} 字节 / an entry over {MAX_ENTRY} bytes")
    for name in entry.__struct_fields__:
        value = getattr(entry, name)
        if not _fits(name, value):
            raise VerificationError(f"`{name}` 的值不符 / `{name}` may not be {str(value)[:80]!r}")


def _fits(name: str, value: str | int) -> bool:
    if isinstance(value, int):
        least = 1 if name in ("sequence", "version") else 0
        return least <= value <= MAX_NUMBER
    if name in ("credential", "object", "sha256", "digest", "announcement"):
        return bool(_HEX64.fullmatch(value))
    if name == "day":
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII))
    personal = name == "number" and masked(value, an_id=True) != value
    return bool(_SHOWN.fullmatch(value)) and not personal
