"""Editions of the status lists, and of the reasons beside them.

An edition holds the whole list at one moment. When to publish one is the engine's to say (`is_due` helps): when a
status changed, and when the clock has moved on by a day, since an edition holds for seven. Every edition is kept.
As with all that is signed here, `prepare` builds everything but the signatures, so that replay can put the
recorded ones back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from issuance.signer import ES256, Signer
from schemas import signatures
from schemas.signatures import verifies
from schemas.status_list import (
    BITS,
    EDITION,
    EXPIRES,
    INVALID,
    ISSUED_AT,
    LIFETIME,
    OF_LIST,
    REASONS,
    REASONS_CWT,
    STATUS_LIST,
    SUBJECT,
    VALID,
    EditionName,
    StatusReason,
    edition_key,
    encode_reasons,
    pack,
    reasons_key,
)
from schemas.trust import ANY_AUTHORITY, TrustStore

_DAY: Final = 86_400


class StatusList(msgspec.Struct, frozen=True):
    """A list as it stands: places not in `statuses` are valid; `reasons` has an entry for each that is not.

    `length` is the number of places given out so far, `uri` what the credentials name. `spare` is the status of the
    places that fill the last byte: invalid, but valid in the editions of earlier releases.
    """

    name: str
    uri: str
    length: int
    statuses: Mapping[int, int]
    reasons: Mapping[int, StatusReason]
    spare: int = INVALID

    def digest(self) -> str:
        """Hex SHA-256 of the content: two lists with the same digest say the same."""
        content = signatures.encode(
            [self.uri, pack(self.statuses, self.length, self.spare), encode_reasons(self.reasons)]
        )
        return hashlib.sha256(content).hexdigest()


class Published(msgspec.Struct, frozen=True):
    """The latest known edition of a list."""

    issued_at: int
    number: int
    digest: str


class Edition(msgspec.Struct, frozen=True):
    """A signed edition: two objects, to be stored in the order reasons, list."""

    published: Published
    list_key: str
    list_cwt: bytes
    reasons_key: str
    reasons_cwt: bytes


class UnsignedEdition(msgspec.Struct, frozen=True):
    """An edition that lacks its two signatures: first the list's, then that of the reasons."""

    name: str
    published: Published
    uri: str
    kid: str
    list_payload: bytes
    reasons: signatures.Value

    @property
    def list_to_be_signed(self) -> bytes:
        return signatures.to_be_signed(self._header(signatures.STATUS_LIST_CWT), self.list_payload)

    def reasons_to_be_signed(self, list_signature: bytes) -> bytes:
        return signatures.to_be_signed(
            self._header(REASONS_CWT), self._reasons_payload(self._list(list_signature))
        )

    def finish(self, list_signature: bytes, reasons_signature: bytes) -> Edition:
        """Return the edition with its signatures (raw, 64 bytes each), new ones or recorded ones."""
        listed = self._list(list_signature)
        key = edition_key(self.name, EditionName(self.published.issued_at, self.published.number))
        reasons = signatures.sign1(
            self._header(REASONS_CWT), self._reasons_payload(listed), reasons_signature
        )
        return Edition(self.published, key, listed, reasons_key(key), reasons)

    def _header(self, type_: str) -> bytes:
        return signatures.protected_header(self.kid, type_)

    def _list(self, signature: bytes) -> bytes:
        return signatures.sign1(self._header(signatures.STATUS_LIST_CWT), self.list_payload, signature)

    def _reasons_payload(self, listed: bytes) -> bytes:
        return signatures.encode(
            {
                SUBJECT: self.uri,
                ISSUED_AT: self.published.issued_at,
                OF_LIST: hashlib.sha256(listed).digest(),
                REASONS: self.reasons,
            }
        )


def is_due(listed: StatusList, last: Published | None, now: int) -> bool:
    """Return whether a list is to be published at `now`, the time (Unix seconds) of the last event or tick decided."""
    return last is None or last.digest != listed.digest() or now >= last.issued_at + _DAY


def prepare(listed: StatusList, last: Published | None, now: int, kid: str) -> UnsignedEdition:
    """Return the next edition, to be signed by `kid`; it is never dated before the last one."""
    number, issued_at = (last.number + 1, max(now, last.issued_at)) if last else (1, now)
    claims = {
        SUBJECT: listed.uri,
        ISSUED_AT: issued_at,
        EXPIRES: issued_at + LIFETIME,
        EDITION: number,
        STATUS_LIST: {"bits": BITS, "lst": pack(listed.statuses, listed.length, listed.spare)},
    }
    return UnsignedEdition(
        name=listed.name,
        published=Published(issued_at, number, listed.digest()),
        uri=listed.uri,
        kid=kid,
        list_payload=signatures.encode(claims),
        reasons=encode_reasons(listed.reasons),
    )


class EditionRecord(msgspec.Struct, frozen=True):
    """The record of an edition: enough to rebuild it without private keys, from the list as it then stood."""

    name: str
    now: int
    kid: str
    last: Published | None
    published: Published
    list_signature: bytes
    reasons_signature: bytes


encode_edition = msgspec.msgpack.Encoder().encode
decode_edition = msgspec.msgpack.Decoder(EditionRecord).decode


def sign_edition(
    listed: StatusList, last: Published | None, now: int, trust: TrustStore, signer: Signer
) -> tuple[EditionRecord, Edition]:
    """Sign the next edition of a list and return what is recorded of it, and its objects."""
    at = datetime.fromtimestamp(max(now, last.issued_at if last else now)).astimezone()
    kid = trust.signing_key(ANY_AUTHORITY, "status", at).kid
    unsigned = prepare(listed, last, now, kid)
    first = signer.sign(kid, ES256, unsigned.list_to_be_signed)
    second = signer.sign(kid, ES256, unsigned.reasons_to_be_signed(first))
    record = EditionRecord(listed.name, now, kid, last, unsigned.published, first, second)
    return record, unsigned.finish(first, second)


def rebuild_edition(record: EditionRecord, listed: StatusList) -> list[tuple[str, bytes]]:
    """Return the objects (key, bytes) of a recorded edition, made again from the list as it stood."""
    unsigned = prepare(_as_signed(record, listed), record.last, record.now, record.kid)
    edition = unsigned.finish(record.list_signature, record.reasons_signature)
    return [(edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt)]


def _as_signed(record: EditionRecord, listed: StatusList) -> StatusList:
    """Return the list with the spare places of the release that signed the edition, as its digest tells."""
    earlier = msgspec.structs.replace(listed, spare=VALID)
    return earlier if earlier.digest() == record.published.digest else listed


def is_signed(record: EditionRecord, listed: StatusList, trust: TrustStore) -> bool:
    """Tell whether the recorded signatures are over the edition as it is rebuilt."""
    if record.kid not in trust.keys:
        return False
    unsigned = prepare(_as_signed(record, listed), record.last, record.now, record.kid)
    public = trust.public_key(record.kid)
    return verifies(public, record.list_signature, unsigned.list_to_be_signed) and verifies(
        public, record.reasons_signature, unsigned.reasons_to_be_signed(record.list_signature)
    )
