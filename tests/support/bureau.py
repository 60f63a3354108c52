"""A small issuing bureau for tests: keys, a trust folder, licences, status lists; no engine, no catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from infra.settings import allow_past
from issuance import keys
from issuance.certificates import Role
from issuance.credential import unsigned
from issuance.issue import Issuer
from issuance.signer import ES256, SoftwareSigner, open_signer
from issuance.status_lists import Edition, Published, StatusList, prepare
from schemas.calendar import CHINA
from schemas.licence import Authority, Grant, Numbered, Product, body_json
from schemas.status_list import StatusReason, list_uri
from schemas.trust import ANY_AUTHORITY, TrustStore, load_trust
from verification.status_sources import Folder
from verification.verify import Verdict, verify_bytes

PROVINCE = "urn:agency:630000:market-regulation"
HOST = "ZHENGZHAO.EXAMPLE"
LIST = "630000-1"
URI = list_uri(HOST, LIST)
FROM = datetime(2018, 1, 1, tzinfo=CHINA)
DECIDED = datetime(2018, 9, 10, 9, 12, tzinfo=CHINA)
NOON = datetime(2018, 9, 10, 12, tzinfo=CHINA)
LIFE = keys.Lifetime(FROM, 5)
ROLES = (
    Role(PROVINCE, "青海省市场监督管理局", "credential"),
    Role(PROVINCE, "青海省市场监督管理局", "seal"),
    Role(ANY_AUTHORITY, "zhengzhao", "status"),
    Role(ANY_AUTHORITY, "zhengzhao", "draw"),
)
AUTHORITY = Authority(PROVINCE, "青海省市场监督管理局", "630000", "market-regulation", HOST)


class Item(msgspec.Struct, frozen=True):
    """What issuance reads of a service item."""

    name: str = "工业产品生产许可证"
    type_code: str = "11100000000013338W011"
    template: str = "industrial"
    titles: tuple[str, ...] = ()


def numbered(**changes: Any) -> Numbered:
    """A numbered grant; `changes` go to the grant or to what is around it."""
    outer = {name: changes.pop(name) for name in list(changes) if name in Numbered.__struct_fields__}
    version = changes.get("version", 1)
    grant = Grant(
        **{
            "grant_id": "a" * 32,
            "licence_id": "b" * 32,
            "version": 1,
            "item": "industrial-product-licence",
            "item_digest": "c" * 64,
            "application_id": "QH-2018-000001",
            "holder": "9163000071040638XJ",
            "holder_kind": "enterprise",
            "holder_id": "9163000071040638XJ",
            "holder_name": "青海盐湖化肥有限公司",
            "address": "青海省海东市循化撒拉族自治县积石镇",
            "division": "630225",
            "authority": AUTHORITY,
            "issued_on": "2018-09-10",
            "valid_from": "2018-09-10",
            "valid_until": "2023-09-09",
            "decided_at": DECIDED.isoformat(),
            "series": "(青)XK16-204",
            "products": tuple(
                Product(name, "积石镇1号", "复合肥料") for name in ("化肥", "水泥", "电线电缆")
            ),
        }
        | changes
    )
    return Numbered(
        **{
            "grant": grant,
            "number": "(青)XK16-204-00001",
            "serial": 1,
            "identifier": identifier(version),
            "previous_identifier": identifier(version - 1) if version > 1 else None,
            "status_list": LIST,
            "status_index": 3,
        }
        | outer
    )


def identifier(version: int) -> str:
    """A GB/T 36904 identifier with its check character (ISO 7064 MOD 37,36)."""
    parts = ("11100000000013338W011", "630000", "XK1620400001", f"{version:03d}")
    alphabet, product = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 36
    for char in "".join(parts):
        product = ((product + alphabet.index(char)) % 36 or 36) * 2 % 37
    return ".".join(("1.2.156.3005.2", *parts, alphabet[(37 - product) % 36]))


class Bureau:
    """An installation in a folder, with keys from 2018 on."""

    def __init__(self, data: Path) -> None:
        self.data = data
        keys.init(data, ROLES, LIFE, now=FROM, passphrase=None)
        allow_past(data)

    @property
    def trust(self) -> TrustStore:
        return load_trust(self.data / "trust")

    @cached_property
    def _trust(self) -> TrustStore:
        return self.trust

    @property
    def signer(self) -> SoftwareSigner:
        return open_signer(self.data, None)

    def credential(self, licence: Numbered) -> tuple[bytes, bytes]:
        """Credential and licence.json."""
        grant = licence.grant
        body = body_json(licence, grant.holder_name, grant.address, Item())
        at = datetime.fromisoformat(grant.decided_at)
        kid = self.trust.signing_key(grant.authority.code, "credential", at).kid
        made = unsigned(licence, grant.holder_name, hashlib.sha256(body).digest(), kid)
        return made.finish(self.signer.sign(kid, ES256, made.to_be_signed)), body

    def pdf(self, licence: Numbered) -> bytes:
        """The sealed file."""
        issuer = Issuer(self.trust, lambda _: Item())
        return issuer.issue(licence, licence.grant.holder_name, licence.grant.address, self.signer)[1]

    def edition(
        self,
        at: datetime,
        statuses: Mapping[int, int] | None = None,
        reasons: Mapping[int, StatusReason] | None = None,
        last: Published | None = None,
        uri: str = URI,
    ) -> Edition:
        """An edition of the list, published under `objects/`."""
        listed = StatusList(LIST, uri, 8, statuses or {}, reasons or {})
        kid = self.trust.signing_key(ANY_AUTHORITY, "status", at).kid
        made = prepare(listed, last, int(at.timestamp()), kid)
        first = self.signer.sign(kid, ES256, made.list_to_be_signed)
        edition = made.finish(first, self.signer.sign(kid, ES256, made.reasons_to_be_signed(first)))
        for key, data in ((edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt)):
            path = self.data / "objects" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return edition

    @property
    def lists(self) -> Folder:
        return Folder(self.data / "objects" / "status")

    def verify(self, data: bytes, at: datetime = NOON, **more: Any) -> Verdict:
        """The verdict against the trust folder as it was first read, and the published lists."""
        given: dict[str, Any] = {"name": "file", "trust": self._trust, "status": self.lists, "at": at}
        return verify_bytes(data, **(given | more))


def later(days: float) -> datetime:
    """So many days after noon of the day of decision."""
    return NOON + timedelta(days=days)
