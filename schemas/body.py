"""`licence.json`: the signed body of a licence, under the metadata names of GB/T 36903.

The fields have English names here and the standard's names on the wire, one to one. Its bytes are RFC 8785,
one encoding for each content; the credential carries their SHA-256.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from schemas.canonical import canonical
from schemas.errors import VerificationError
from schemas.licence import FilingRef, Numbered, Particular, Product

MAX_BODY = 1 << 20  # bytes; 200 products of 200 code points each stay below
_CODE_TYPES = {"enterprise": ("统一社会信用代码", "001"), "person": ("公民身份号码", "111")}
_WIRE = {
    "licence_name": "ZZMC",
    "type_code": "ZZLXDM",
    "number": "ZZBH",
    "identifier": "ZZBS",
    "issued_on": "ZZBFRQ",
    "holder": "CZZT",
    "holder_id": "CZZTDM",
    "holder_id_type": "CZZTDMLX",
    "holder_id_type_code": "CZZTDMLXDM",
    "valid_from": "ZZYXQQSRQ",
    "valid_until": "ZZYXQJZRQ",
    "authority": "ZZBFJG",
    "authority_code": "ZZBFJGDM",
}


class LicenceKind(Protocol):
    """What the body takes from a service item: its licence's name and GB/T 36904 type code."""

    @property
    def name(self) -> str: ...
    @property
    def type_code(self) -> str: ...


class LicenceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_WIRE):
    """The body of one version. Dates are ISO dates in China; `valid_until` is null for a licence without end.

    `holder_id` is the USCC, or a person's mask. `previous_identifier` is null in a first version. `particulars` stand
    in consolidated certificates; where there are none the key is absent, as it was in every earlier release.
    """

    licence_name: str
    type_code: str
    number: str
    identifier: str
    issued_on: str
    holder: str
    holder_id: str
    holder_id_type: str
    holder_id_type_code: str
    valid_from: str
    valid_until: str | None
    authority: str
    authority_code: str
    version: int
    item: str
    application_id: str
    address: str
    products: tuple[Product, ...]
    filings: tuple[FilingRef, ...]
    previous_identifier: str | None
    particulars: tuple[Particular, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def registered(self) -> tuple[Particular, ...]:
        """The particulars, where there are any."""
        return () if isinstance(self.particulars, msgspec.UnsetType) else self.particulars


def licence_body(numbered: Numbered, holder_name: str, address: str, item: LicenceKind) -> LicenceBody:
    """The body of a numbered grant; `holder_name` and `address` in clear (a grant may hold them sealed)."""
    grant = numbered.grant
    id_type, id_type_code = _CODE_TYPES[grant.holder_kind]
    return LicenceBody(
        licence_name=item.name,
        type_code=item.type_code,
        number=numbered.number,
        identifier=numbered.identifier,
        issued_on=grant.issued_on,
        holder=holder_name,
        holder_id=grant.holder_id,
        holder_id_type=id_type,
        holder_id_type_code=id_type_code,
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        authority=grant.authority.name,
        authority_code=grant.authority.code,
        version=grant.version,
        item=grant.item,
        application_id=grant.application_id,
        address=address,
        products=grant.products,
        filings=grant.filings,
        previous_identifier=numbered.previous_identifier,
        particulars=grant.particulars or msgspec.UNSET,
    )


def body_json(numbered: Numbered, holder_name: str, address: str, item: LicenceKind) -> bytes:
    """The bytes of `licence.json`. ValueError for a text that has no RFC 8785 form (a lone surrogate)."""
    return canonical(msgspec.to_builtins(licence_body(numbered, holder_name, address, item)))


def read_body(data: bytes) -> LicenceBody:
    """Reads `licence.json` back; VerificationError for other fields, or other bytes of the same content."""
    if len(data) > MAX_BODY:
        raise VerificationError(f"licence.json 过大 / licence.json is over {MAX_BODY} bytes")
    try:
        body = msgspec.json.decode(data, type=LicenceBody)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise VerificationError(f"不是 licence.json / no licence.json: {error}") from None
    if body.particulars == () or canonical(msgspec.to_builtins(body)) != data:
        raise VerificationError("licence.json 编码不规范 / licence.json is not in its one canonical encoding")
    return body
