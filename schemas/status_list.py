"""Token Status Lists (IETF draft-ietf-oauth-status-list-20): two bits for each licence version.

Index i stands in byte i ÷ 4, at bits 2·(i mod 4) and the next, counted from the least significant; the bytes
are compressed with zlib. Beside a list a signed CWT of our own tells for each index that is not valid: what
happened, why, when, and which version is in force.

Editions lie under `status/<list>/<edition>.cwt`; the name of an edition is the time from which it is in
force, and its number, so that names sort as editions do.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from schemas.errors import VerificationError
from schemas.signatures import Value

BITS: Final = 2
VALID, INVALID, SUSPENDED = 0, 1, 2
LIFETIME: Final = 7 * 86_400  # seconds from `iat` to `exp`
MAX_LIST_CWT: Final = 5 << 20  # bytes as published
MAX_REASONS_CWT: Final = 64 << 20
MAX_LIST: Final = 4 << 20  # bytes once inflated: 16 million places
REASONS_CWT: Final = "application/vnd.zhengzhao.status-reasons+cwt"

SUBJECT, EXPIRES, ISSUED_AT = 2, 4, 6
STATUS_LIST, TTL = 65533, 65534
EDITION: Final = "edition"  # number of the edition; a later one of the same second goes before
OF_LIST: Final = "list"  # in the reasons: SHA-256 of the list that they belong to
REASONS: Final = "reasons"
_BLOCK: Final = 0xFFFF
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9_])?")
_EDITION = re.compile(r"(\d{8}T\d{6}Z)-(\d{6})")


class StatusReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a version is not valid.

    `status` is a licence status (`rescinded`, …) or `replaced`, `text` Chinese and English, `date` the China
    date since when, `version` the one in force where there is one.
    """

    status: str
    text: str
    date: str
    version: int | None = None


class EditionName(NamedTuple):
    """An edition as its name tells: seconds since 1970 from which it is in force, and its number."""

    issued_at: int
    number: int

    def __str__(self) -> str:
        return f"{datetime.fromtimestamp(self.issued_at, UTC):%Y%m%dT%H%M%SZ}-{self.number:06d}"


def list_uri(host: str, name: str) -> str:
    """Return the URI of a list, as it stands in credentials and as the list's subject; `host` as in the QR."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"no name for a status list: {name!r}")
    return f"https://{host.lower()}/status/{name}"


def list_name(uri: str) -> str | None:
    """Return the name of the list with this URI, or None where it is none of ours."""
    name = uri.rpartition("/status/")[2]
    return name if _NAME.fullmatch(name) else None


def edition_key(name: str, edition: EditionName) -> str:
    """Return the object key of an edition."""
    return f"status/{name}/{edition}.cwt"


def reasons_key(list_key: str) -> str:
    """Return the object key of a list's reasons, beside it."""
    return f"{list_key.removesuffix('.cwt')}.reasons.cwt"


def read_edition_name(file_name: str) -> EditionName | None:
    """Return the edition that a file name tells, or None for any other file (the reasons among them)."""
    found = _EDITION.fullmatch(file_name.removesuffix(".cwt"))
    if found is None or not file_name.endswith(".cwt"):
        return None
    try:
        time = datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return EditionName(int(time.timestamp()), int(found[2]))


def pack(statuses: Mapping[int, int], length: int, spare: int = INVALID) -> bytes:
    """Return the list of `length` places as zlib data; places not named are valid (0).

    The places after them that fill the last byte have never been given out and read `spare`.

    Stored, not compressed: what zlib compresses to differs between its versions, and replay must rebuild each
    list byte for byte on any machine.
    """
    packed = bytearray((length + 3) // 4)
    for index in range(length, 4 * len(packed)):
        packed[index >> 2] |= spare << (2 * (index & 3))
    for index, status in statuses.items():
        packed[index >> 2] |= status << (2 * (index & 3))
    return _stored(bytes(packed))


def _stored(data: bytes) -> bytes:
    """Zlib data (RFC 1950) in stored blocks (RFC 1951, 3.2.4)."""
    parts = [b"\x78\x01"]
    for start in range(0, len(data) or 1, _BLOCK):
        block = data[start : start + _BLOCK]
        last = start + _BLOCK >= len(data)
        size = len(block)
        parts += (bytes((last,)), size.to_bytes(2, "little"), (size ^ 0xFFFF).to_bytes(2, "little"), block)
    return b"".join((*parts, zlib.adler32(data).to_bytes(4)))


def unpack(value: Value) -> bytes:
    """Return the inflated bytes of claim 65533. Raises VerificationError for another form or over 16 million places."""
    match value:
        case {"bits": 2, "lst": bytes(compressed)}:
            pass
        case _:
            raise VerificationError("不是两位状态列表 / no status list of two bits")
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(compressed, MAX_LIST)
    except zlib.error:
        raise VerificationError("状态列表不是 zlib 数据 / the status list is not zlib data") from None
    if not inflater.eof or inflater.unused_data:
        raise VerificationError(
            "状态列表残缺或过长 / the status list is cut off, too long, or has bytes after its end"
        )
    return packed


def encode_reasons(reasons: Mapping[int, StatusReason]) -> Value:
    """Return the map index → [status, text, date, version or null] as it stands in the CWT."""
    return {index: [r.status, r.text, r.date, r.version] for index, r in reasons.items()}


def read_reason(value: Value, index: int) -> StatusReason | None:
    """Return the reason at an index of a map as read from the CWT, where there is one."""
    if not isinstance(value, dict) or index not in value:
        return None
    match value[index]:
        case [str(status), str(text), str(date), (int() | None) as version]:
            return StatusReason(status, text, date, version)
    raise VerificationError("理由表形式不符 / the reasons are not in the form that zhengzhao writes")


def status_at(packed: bytes, index: int) -> int:
    """Return the status in a place of an inflated list. Raises VerificationError beyond its end."""
    if not 0 <= index < 4 * len(packed):
        raise VerificationError(f"状态列表中没有此位 / the status list has no place {index}")
    return packed[index >> 2] >> (2 * (index & 3)) & 3
