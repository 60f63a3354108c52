"""Reading a credential: first its encoding and signature, then its claims, then the time of its key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas import signatures
from schemas.calendar import CHINA
from schemas.errors import VerificationError
from schemas.licence import MAX_CREDENTIAL, LicenceBody
from schemas.signatures import Sign1
from schemas.trust import TrustKey, TrustStore, Use

ELLIPSIS = "…"
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_NAMES: dict[int | str, str] = {
    1: "authority",
    2: "identifier",
    4: "expires",
    5: "not_before",
    6: "issued_at",
    65535: "status",
    "no": "number",
    "v": "version",
    "hn": "holder_name",
    "hid": "holder_id",
    "by": "authority_name",
    "n": "products",
    "cat": "categories",
    "prev": "previous_identifier",
}


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    idx: int
    uri: str


class _Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status_list: _Place


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Claims of a credential whose signature was verified. Times are Unix seconds."""

    kid: str
    authority: str
    identifier: str
    expires: int | None = None
    not_before: int
    issued_at: int
    status: _Status
    number: str
    version: int
    item: str
    holder_name: str
    holder_id: str
    authority_name: str
    products: int
    categories: tuple[str, ...]
    body: bytes
    previous_identifier: str | None = None

    @property
    def status_uri(self) -> str:
        return self.status.status_list.uri

    @property
    def status_index(self) -> int:
        return self.status.status_list.idx

    @property
    def valid_from(self) -> str:
        """First day of validity in China, ISO 8601."""
        return china(self.not_before).date().isoformat()

    @property
    def valid_until(self) -> str | None:
        """Last day of validity in China, ISO 8601; None for a licence without end."""
        return None if self.expires is None else china(self.expires).date().isoformat()


def read_credential(data: bytes, trust: TrustStore) -> Credential:
    """Read the credential in exactly these bytes. Raise VerificationError with the fault.

    It must be signed by an authority of the trust folder, in the time of that key.
    """
    signed = signatures.read_sign1(data, type_=signatures.CWT, max_bytes=MAX_CREDENTIAL)
    key = signing_key(signed, trust, "credential")
    credential = _claims(signatures.decode(signed.payload, max_bytes=MAX_CREDENTIAL), signed.kid)
    if credential.authority != key.authority:
        raise VerificationError("由其他机关的密钥签署 / signed by a key of another authority")
    check_key_time(key, credential.issued_at)
    return credential


def signing_key(signed: Sign1, trust: TrustStore, use: Use) -> TrustKey:
    """Return the key that signed. Raise VerificationError where the trust folder has no such key for this use."""
    key = trust.key(signed.kid, use)
    if key is None:
        raise VerificationError(
            f"第 {trust.listing.sequence} 版信任目录（{trust.listing.issued[:10]}）中没有此密钥 / edition {trust.listing.sequence} of the "
            f"trust folder ({trust.listing.issued[:10]}) has no {use} key {signed.kid!r}"
        )
    if not signatures.verifies(trust.public_key(signed.kid), signed.signature, signed.to_be_signed):
        raise VerificationError("签名与内容不符 / the signature does not fit these bytes")
    return key


def check_key_time(key: TrustKey, seconds: int) -> None:
    """Raise VerificationError where the key did not sign at that moment, or was revoked by then."""
    at = china(seconds)
    if key.revoked_at(at):
        raise VerificationError(
            f"密钥已吊销 / the {key.use} key {key.kid} is revoked since {key.revoked_since}"
        )
    if not key.signed_in_time(at):
        span = f"{key.signs_from} to {key.signs_until}"
        raise VerificationError(
            f"签署时间不在密钥使用期内 / the {key.use} key {key.kid} signs from {span}, not at {at.isoformat()}"
        )


def check_body(credential: Credential, body: LicenceBody, raw: bytes) -> None:
    """Raise VerificationError where the body is not the one that the credential names, or they disagree."""
    if hashlib.sha256(raw).digest() != credential.body:
        raise VerificationError(
            "证照数据不是凭证所指的那一份 / licence.json is not the one whose SHA-256 the credential names"
        )
    pairs = {
        "number": (body.number, credential.number),
        "identifier": (body.identifier, credential.identifier),
        "version": (body.version, credential.version),
        "item": (body.item, credential.item),
        "holder's id": (body.holder_id, credential.holder_id),
        "authority": (body.authority_code, credential.authority),
        "authority's name": (body.authority, credential.authority_name),
        "first day": (body.valid_from, credential.valid_from),
        "last day": (body.valid_until, credential.valid_until),
        "number of products": (len(body.products), credential.products),
        "previous identifier": (body.previous_identifier, credential.previous_identifier),
        "holder's name": (_as_long_as(body.holder, credential.holder_name), credential.holder_name),
    }
    wrong = [name for name, (one, other) in pairs.items() if one != other]
    if wrong:
        raise VerificationError(
            f"证照数据与凭证不一致 / licence.json and the credential disagree: {', '.join(wrong)}"
        )


def china(seconds: int) -> datetime:
    """Return Unix seconds as a moment in China time."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(CHINA)


def _claims(value: Any, kid: str) -> Credential:
    if not isinstance(value, Mapping):
        raise VerificationError("凭证内容形式不符 / the claims are no map")
    named = {_NAMES.get(key, key): claim for key, claim in value.items()}
    if len(named) != len(value) or set(_NAMES.values()) & (set(value) - set(_NAMES)):
        raise VerificationError("凭证内容重复 / claims under two names")
    known = {key: claim for key, claim in named.items() if key in Credential.__struct_fields__}
    if known.get("kid") is not None or not isinstance(known.get("body"), bytes) or len(known["body"]) != 32:
        raise VerificationError("凭证中没有证照数据的摘要 / no SHA-256 of licence.json in the claims")
    try:
        credential = msgspec.convert(known | {"kid": kid}, Credential, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise VerificationError(
            f"凭证内容不是证照 / the claims are not those of a licence: {error}"
        ) from None
    times = (credential.not_before, credential.issued_at, credential.expires or 0)
    if not all(0 <= time <= _LAST_SECOND - 86_400 for time in times) or credential.status_index < 0:
        raise VerificationError("凭证内容超出范围 / a claim is out of range")
    return credential


def _as_long_as(full: str, shown: str) -> str:
    """Return the full name, cut as the one in the credential is."""
    if shown.endswith(ELLIPSIS) and full.startswith(shown[:-1]):
        return shown
    return full
