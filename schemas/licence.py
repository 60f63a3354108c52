"""A licence on its way from decision to signed object: grant → numbered → issued.

A *grant* is what `decide` emits for every version of a licence; `number` turns it into a *numbered* grant
with number, identifier and place in a status list; `issue` turns that into one stored object and reports
*issued* with the signatures in it. From a numbered grant, an issued record and the public certificates,
every byte of the object follows.
"""

from __future__ import annotations

from typing import Literal

import msgspec

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
    """Who issues: `code` is the agency's URN (`urn:agency:<division>:<department>`), `host` the QR's HOST."""

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
    """What `issue` did: enough to rebuild the object without private keys.

    Signatures are raw `r ‖ s` (64 bytes, hex) of the credential and DER (hex) of the PDF's CMS signature.
    `renderer` names the page renderer and its version, `template` the digest of the page template,
    `fonts` the digest of the font set.
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


def object_key(number: str, version: int) -> str:
    """Where a version's one object lies: `licences/<number, URL-safe>/<version>/licence.pdf`.

    Bytes other than ASCII letters, digits, `-` and `.` are written `_XX`, so that different numbers
    never share a key and no number can climb out of the folder.
    """
    safe = "".join(
        chr(b) if chr(b).isascii() and (chr(b).isalnum() or b in b"-.") else f"_{b:02X}"
        for b in number.encode()
    )
    return f"licences/{safe}/{version}/licence.pdf"
