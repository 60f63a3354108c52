"""The credential: its claims, its size, and other authors' tools over it."""

from __future__ import annotations

import hashlib
from typing import Any

import cwt
import pytest
from bureau import AUTHORITY, URI, Bureau, identifier, numbered
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from issuance.credential import cut, unsigned
from issuance.signer import ES256, SoftwareSigner
from schemas import signatures
from schemas.errors import KeysMissing, LintError
from schemas.licence import Product
from schemas.signatures import low_s

BODY = hashlib.sha256(b"body").digest()
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    return Bureau(tmp_path_factory.mktemp("bureau"))


def claims(*args: Any, **changes: Any) -> dict[Any, Any]:
    licence = numbered(**changes)
    payload = unsigned(licence, *(args or (licence.grant.holder_name,)), BODY, "ab12cd34").payload
    read: dict[Any, Any] = signatures.decode(payload, max_bytes=700)
    return read


def test_claims_are_those_of_the_contract() -> None:
    """Each under its key, none beside them."""
    expected = {
        1: AUTHORITY.code,
        2: identifier(1),
        4: 1_694_275_199,  # 2023-09-09T23:59:59+08:00
        5: 1_536_508_800,  # 2018-09-10T00:00:00+08:00
        6: 1_536_541_920,  # 2018-09-10T09:12:00+08:00
        65535: {"status_list": {"idx": 3, "uri": URI}},
        "no": "(青)XK16-204-00001",
        "v": 1,
        "item": "industrial-product-licence",
        "hn": "青海盐湖化肥有限公司",
        "hid": "9163000071040638XJ",
        "by": "青海省市场监督管理局",
        "n": 3,
        "cat": ["化肥", "水泥", "电线电缆"],
        "body": BODY,
    }
    assert expected == claims()


def test_no_end_and_no_predecessor_leave_no_claim() -> None:
    """Claim 4 is absent without end, `prev` in a first version; later ones name their predecessor."""
    assert 4 not in claims(valid_until=None)
    assert identifier(1) == claims(version=2)["prev"]


def test_category_stands_once() -> None:
    """`n` counts products, `cat` names each of their categories once, in the order of the first."""
    read = claims(products=tuple(Product(name, f"site {n}") for n, name in enumerate("乙甲乙丙甲")))
    assert (read["n"], read["cat"]) == (5, ["乙", "甲", "丙"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("青" * 60, "青" * 60),
        ("青" * 61, "青" * 59 + "…"),
        ("a" * 180, "a" * 180),
        ("a" * 181, "a" * 177 + "…"),
        ("a" + "青" * 60, "a" + "青" * 58 + "…"),
        ("𠮷" * 46, "𠮷" * 44 + "…"),
    ],
)
def test_long_name_is_cut_at_180_bytes(name: str, shown: str) -> None:
    """Between characters, the `…` included; what fits stays whole."""
    assert shown == claims(name)["hn"]


@settings(max_examples=100, deadline=None)
@given(NAMES, st.lists(NAMES, max_size=40), st.integers(1, 999), NAMES.map(lambda text: text[:40]))
def test_credential_is_never_over_700_bytes(
    name: str, categories: list[str], version: int, number: str
) -> None:
    """The first categories that fit stand in it, and the name is cut further where even none is too many."""
    licence = numbered(
        version=version, number=number, products=tuple(Product(category) for category in categories)
    )
    try:
        made = unsigned(licence, name, BODY, "ab12cd34")
    except LintError:
        assert len(number.encode()) > 100
        return
    read = signatures.decode(made.payload, max_bytes=700)
    assert len(made.finish(b"s" * 64)) <= 700
    distinct = list(dict.fromkeys(categories))
    assert read["cat"] == distinct[: len(read["cat"])]
    assert read["hn"] == cut(name, 180) or (not read["cat"] and name.startswith(read["hn"].removesuffix("…")))
    if len(read["cat"]) < len(distinct):
        one_more = signatures.encode(read | {"cat": distinct[: len(read["cat"]) + 1]})
        assert len(made.finish(b"s" * 64)) - len(made.payload) + len(one_more) > 700 - 2


def test_other_author_s_library_verifies_it(bureau: Bureau) -> None:
    """python-cwt checks signature and form with the public key of the trust folder's certificate."""
    licence = numbered(valid_until="2098-09-09")
    credential, _ = bureau.credential(licence)
    trust = bureau.trust
    kid = signatures.read_sign1(credential, type_=signatures.CWT, max_bytes=700).kid
    pem = trust.public_key(kid).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    read = cwt.decode(credential, cwt.COSEKey.from_pem(pem.decode(), kid=kid))
    assert read["no"] == "(青)XK16-204-00001"
    changed = bytes((*credential[:-1], credential[-1] ^ 1))
    with pytest.raises(cwt.VerifyError):
        cwt.decode(changed, cwt.COSEKey.from_pem(pem.decode(), kid=kid))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 2**255))
def test_two_libraries_sign_the_same_bytes(message: bytes, scalar: int) -> None:
    """RFC 6979 by cryptography and by pycryptodome: the same signature for the same key and message."""
    ours = SoftwareSigner({"k": scalar.to_bytes(32)}).sign("k", ES256, message)
    theirs = DSS.new(ECC.construct(curve="P-256", d=scalar), "deterministic-rfc6979").sign(
        SHA256.new(message)
    )
    assert low_s(theirs) == ours


def test_signer_without_the_key_says_so() -> None:
    """An unknown key, or an algorithm that it has not: KeysMissing; its repr shows no key."""
    signer = SoftwareSigner({"k": b"\x11" * 32})
    for kid, alg in (("x", ES256), ("k", "EdDSA")):
        with pytest.raises(KeysMissing):
            signer.sign(kid, alg, b"")
    assert "11" not in repr(signer)
