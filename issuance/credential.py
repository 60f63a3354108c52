"""The credential of a licence: a CWT in COSE_Sign1, at most 700 bytes, so that its QR stays readable.

It is printed, so its claims are for ever. Building and signing are two steps: what is to be signed is
complete, and linted, before a key is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from schemas import signatures
from schemas.calendar import CHINA
from schemas.errors import LintError
from schemas.licence import MAX_CREDENTIAL, Numbered
from schemas.signatures import Value
from schemas.status_list import list_uri

MAX_NAME = 180  # bytes of UTF-8, the `…` included
ELLIPSIS = "…"
_SIGNATURE = b"\0" * 64
_CLAIM_STATUS = 65535


class Unsigned(msgspec.Struct, frozen=True):
    """A credential that lacks its signature alone."""

    protected: bytes
    payload: bytes

    @property
    def to_be_signed(self) -> bytes:
        """Return the bytes that the key signs: the Sig_structure of RFC 9052, 4.4."""
        return signatures.to_be_signed(self.protected, self.payload)

    def finish(self, signature: bytes) -> bytes:
        """Return the credential, with a raw `r ‖ s` signature (64 bytes)."""
        return signatures.sign1(self.protected, self.payload, signature)


def unsigned(numbered: Numbered, clear_name: str, body_sha256: bytes, kid: str) -> Unsigned:
    """Return the credential of a numbered grant, to be signed by the key `kid`.

    `clear_name` is the holder's name (a grant may hold it sealed), `body_sha256` the digest of licence.json.
    It is never over 700 bytes: categories are left out from the end; where that is not enough (a long name
    beside a long number) the name is cut further. LintError where even that does not help.
    """
    claims = _claims(numbered, body_sha256)
    protected = signatures.protected_header(kid, signatures.CWT)
    name, categories = cut(clear_name, MAX_NAME), distinct(p.category for p in numbered.grant.products)
    claims |= {"hn": name, "cat": []}
    room = MAX_CREDENTIAL - _size(protected, claims)
    if room < 0:
        claims["hn"] = _shorter(clear_name, len(name.encode()) + room, numbered)
        # A shorter text may have a shorter head too, so there is never less room than was asked for.
    claims["cat"] = _first_that_fit(categories, room)
    return Unsigned(protected, signatures.encode(claims))


def cut(text: str, limit: int) -> str:
    """Return the text, or as much of it as leaves room for the `…` that ends it, in `limit` bytes of UTF-8."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[: limit - len(ELLIPSIS.encode())].decode(errors="ignore") + ELLIPSIS


def distinct(texts: Iterable[str]) -> list[str]:
    """Each text once, in the order of its first."""
    return list(dict.fromkeys(texts))


def _claims(numbered: Numbered, body_sha256: bytes) -> dict[int | str, Value]:
    grant = numbered.grant
    uri = list_uri(grant.authority.host, numbered.status_list)
    claims: dict[int | str, Value] = {
        1: grant.authority.code,
        2: numbered.identifier,
        5: _china(grant.valid_from, "00:00:00"),
        6: int(datetime.fromisoformat(grant.decided_at).timestamp()),
        _CLAIM_STATUS: {"status_list": {"idx": numbered.status_index, "uri": uri}},
        "no": numbered.number,
        "v": grant.version,
        "item": grant.item,
        "hid": grant.holder_id,
        "by": grant.authority.name,
        "n": len(grant.products),
        "body": body_sha256,
    }
    if grant.valid_until is not None:
        claims[4] = _china(grant.valid_until, "23:59:59")
    if numbered.previous_identifier is not None:
        claims["prev"] = numbered.previous_identifier
    return claims


def _first_that_fit(categories: list[str], room: int) -> list[str]:
    room -= 2  # a count of 24 and more takes a second byte; one is in the empty array already
    fit = []
    for category in categories:
        room -= len(signatures.encode(category))
        if room < 0:
            break
        fit.append(category)
    return fit


def _shorter(name: str, limit: int, numbered: Numbered) -> str:
    if limit < len(ELLIPSIS.encode()):
        raise LintError(
            "the credential is over 700 bytes even without a name / 凭证超过 700 字节",
            hint="shorten the authority's name or host in the authority data",
            where=numbered.number,
        )
    return cut(name, limit)


def _size(protected: bytes, claims: dict[int | str, Value]) -> int:
    return len(signatures.sign1(protected, signatures.encode(claims), _SIGNATURE))


def _china(date: str, time: str) -> int:
    return int(datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=CHINA).timestamp())
