"""A licence on its way from decision to signed object: grant → numbered → issued, its body, and its QR text.

A *grant* is what `decide` emits for every version of a licence; `number` turns it into a *numbered* grant with number,
identifier and place in a status list; `issue` turns that into one stored object and reports *issued* with the
signatures in it. Every byte of the object follows from a numbered grant, an issued record and the public certificates.

`licence.json` is the signed body of a licence under the metadata names of GB/T 36903. Its bytes are RFC 8785, one
encoding for each content; the credential carries their SHA-256.

The QR text is `HTTPS://<HOST>/#` and a decimal number, whose big-endian bytes are 0x01 (the version of this form) and
the credential. Upper-case letters and digits keep the symbol in its alphanumeric and numeric modes, so that it stays
readable at 150 dpi. The part after `#` never leaves the reader's browser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from schemas.canonical_json import canonical
from schemas.errors import NotJudged, VerificationError
from schemas.item_types import ServiceItem

HolderKind = Literal["enterprise", "person"]
MAX_PARTICULAR = 4000  # code points of one particular: several times the longest 经营范围 that is published


class Product(msgspec.Struct, frozen=True, omit_defaults=True):
    """A product with the site that makes it. `category` is the item's name of the category."""

    category: str
    site: str = ""
    detail: str = ""


class FilingRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A filing (备案) folded into a consolidated certificate."""

    filing_id: str
    item: str
    name: str
    department: str


class Particular(msgspec.Struct, frozen=True):
    """A registered particular (登记事项) of a consolidated certificate: 法定代表人, 经营范围 …

    `name` and `label` are those of the item's field, `value` is its text as collected.
    """

    name: str
    label: str
    value: str


class Authority(msgspec.Struct, frozen=True):
    """The issuing authority: `code` is its URN (`urn:agency:<division>:<department>`), `host` the QR's HOST."""

    code: str
    name: str
    division: str
    department: str
    host: str


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a licence as decided: complete but for what `number` and `issue` add.

    `licence_id` is one for all versions of a licence, `grant_id` one for each version. A person's
    `holder_name`, `address` are sealed texts (`schemas.persons`); `holder_id` is the USCC, or the mask.
    `number` is set where it is known already (an imported licence); `base` is the version number that the
    licence had when it was imported (0) or absent.
    """

    grant_id: str
    licence_id: str
    version: int
    item: str
    item_digest: str
    application_id: str  # as first sent
    holder: str  # ledger key: USCC or pseudonym
    holder_kind: HolderKind
    holder_id: str  # USCC, or mask
    holder_name: str
    address: str
    division: str
    authority: Authority
    issued_on: str  # ISO date, China
    valid_from: str
    valid_until: str | None
    decided_at: str  # RFC 3339, +08:00
    series: str  # e.g. "(青)XK16-204-": what the serial is appended to; the key of `number`
    digits: int = 5  # of the serial
    type_code: str = ""  # GB/T 36904
    number: str | None = None
    products: tuple[Product, ...] = ()
    filings: tuple[FilingRef, ...] = ()
    v: int = 1
    particulars: tuple[Particular, ...] = ()
    certificate_days: int = 10  # working days from the decision to the certificate (行政许可法 art 44)


class Numbered(msgspec.Struct, frozen=True, omit_defaults=True):
    """A grant with what `number` alone can give."""

    grant: Grant
    number: str
    serial: int
    identifier: str  # GB/T 36904
    previous_identifier: str | None
    status_list: str  # name of the list, part of its URI
    status_index: int
    v: int = 1


class Issued(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of `issue`: enough to rebuild the object without private keys.

    Signatures are raw `r ‖ s` (64 bytes, hex) of the credential and DER (hex) of the PDF's CMS signature.
    `renderer` names the page renderer and its version, `template` the digest of the page template,
    `fonts` the digest of the font set. `credential_sha256` is the digest of `credential.cwt`, which the log names.
    `object_sha256` is the digest of the licence's PDF; a person's lies sealed in the store, and `stored_sha256` is
    the digest of the sealed bytes (empty where the PDF lies as it is).
    """

    grant_id: str
    licence_id: str
    version: int
    number: str
    identifier: str
    object_key: str
    object_sha256: str
    credential_kid: str
    credential_signature: str
    seal_kid: str
    seal_signature: str
    renderer: str
    template: str
    fonts: str
    v: int = 1
    credential_sha256: str = ""  # absent in facts from before the transparency log
    stored_sha256: str = ""

    @property
    def stored_digest(self) -> str:
        """Return the digest (hex SHA-256) of the bytes in the store."""
        return self.stored_sha256 or self.object_sha256


class IssuanceItem(msgspec.Struct, frozen=True, array_like=True):
    """The parts of a service item that issuance reads, and the names that the item had before."""

    name: str
    type_code: str
    template: str
    titles: tuple[str, ...]
    formerly: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # last day, name, names in other languages

    def on(self, day: str) -> IssuanceItem:
        """Return the item under the name that it had on a day (ISO date)."""
        for until, name, titles in self.formerly:
            if day <= until:
                return IssuanceItem(name, self.type_code, self.template, titles)
        return self


class Job(msgspec.Struct, frozen=True, array_like=True):
    """A numbered grant for `issue`, with the service item as it was when the grant was decided.

    `item` is an encoded IssuanceItem.
    """

    numbered: Numbered
    item: bytes


_pack = msgspec.msgpack.Encoder().encode
decode_issuance_item = msgspec.msgpack.Decoder(IssuanceItem).decode
encode_job: Callable[[Job], bytes] = _pack
decode_job = msgspec.msgpack.Decoder(Job).decode


def issuance_item(item: ServiceItem) -> bytes:
    """Return what issuance needs of a service item, encoded."""
    before = tuple(
        (old.until, (old.name or item.name).zh, (old.name or item.name).others) for old in item.formerly
    )
    return _pack(IssuanceItem(item.title, item.type_code, item.template, item.titles, before))


def object_key(number: str, version: int) -> str:
    """Return the key of a version's one object: `licences/<number, URL-safe>/<version>/licence.pdf`.

    Bytes other than ASCII letters, digits, `-` and `.` are written `_XX`, so that different numbers
    never share a key and no number can climb out of the folder.
    """
    safe = "".join(
        chr(b) if chr(b).isascii() and (chr(b).isalnum() or b in b"-.") else f"_{b:02X}"
        for b in number.encode()
    )
    return f"licences/{safe}/{version}/licence.pdf"


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
    """The parts of a service item that the body takes: its licence's name and GB/T 36904 type code."""

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
        """Return the particulars, where there are any."""
        return () if isinstance(self.particulars, msgspec.UnsetType) else self.particulars


def licence_body(numbered: Numbered, holder_name: str, address: str, item: LicenceKind) -> LicenceBody:
    """Return the body of a numbered grant; `holder_name` and `address` in clear (a grant may hold them sealed)."""
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
    """Return the bytes of `licence.json`. ValueError for a text that has no RFC 8785 form (a lone surrogate)."""
    return canonical(msgspec.to_builtins(licence_body(numbered, holder_name, address, item)))


def read_body(data: bytes) -> LicenceBody:
    """Read `licence.json` back. Raises VerificationError for other fields, or other bytes of the same content."""
    if len(data) > MAX_BODY:
        raise VerificationError(f"licence.json 过大 / licence.json is over {MAX_BODY} bytes")
    try:
        body = msgspec.json.decode(data, type=LicenceBody)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise VerificationError(f"不是 licence.json / no licence.json: {error}") from None
    if body.particulars == () or canonical(msgspec.to_builtins(body)) != data:
        raise VerificationError("licence.json 编码不规范 / licence.json is not in its one canonical encoding")
    return body


VERSION = b"\x01"
MAX_CREDENTIAL = 700  # bytes
MAX_TEXT = 2_048  # characters: 701 bytes are at most 1,689 digits
HOST = re.compile(r"[A-Z0-9](?:[A-Z0-9.-]*[A-Z0-9])?(?::[1-9][0-9]{0,4})?")
_TEXT = re.compile(rf"HTTPS://({HOST.pattern})/#([1-9][0-9]*)")


def qr_text(host: str, credential: bytes) -> str:
    """Return the text to print. Raises ValueError for a host with other characters or too long a credential."""
    if not HOST.fullmatch(host) or len(credential) > MAX_CREDENTIAL:
        raise ValueError("no host in upper case, or a credential over 700 bytes")
    return f"HTTPS://{host}/#{int.from_bytes(VERSION + credential)}"


def is_qr_text(text: str) -> bool:
    """Tell whether a text has the form of a licence's QR; its number may still hold no credential."""
    return len(text) <= MAX_TEXT and _TEXT.fullmatch(text) is not None


def read_qr_text(text: str) -> tuple[str, bytes]:
    """Return host and credential; NotJudged for a text of another form, VerificationError for another number."""
    found = _TEXT.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        raise NotJudged(
            "二维码不是证照 / no QR of a licence: the text does not read HTTPS://HOST/# and a number"
        )
    number = int(found[2])
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    if raw[:1] != VERSION or len(raw) > 1 + MAX_CREDENTIAL:
        raise VerificationError(
            "二维码中没有凭证 / no licence: the number in the QR is not 0x01 and a credential"
        )
    return found[1], raw[1:]
