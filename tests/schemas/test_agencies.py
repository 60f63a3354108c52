"""The agency register: each reason to refuse a proof, and what happens to keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from event_samples import event, raw

from schemas.agencies import (
    Agency,
    AgencyKey,
    AgencyRegister,
    judge,
    public_key,
    public_pem,
    read_register,
    with_key,
    with_revocation,
)
from schemas.draw import seed
from schemas.errors import DrawError, Rejected, UsageError
from schemas.events import Event, parse_event
from schemas.signatures import der_to_raw, make_proof
from schemas.trust import key_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SOURCE = "urn:agency:630000:market-regulation"
OURS, NEXT, THEIRS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def registered(key: ec.EllipticCurvePrivateKey, **more: Any) -> AgencyKey:
    return AgencyKey(key_id(key.public_key()), public_pem(key.public_key()), NOW - DAY, **more)


def register(ours: AgencyKey | None = None) -> AgencyRegister:
    one = with_key(AgencyRegister(), SOURCE, ours or registered(OURS))
    return with_key(one, "urn:agency:632800:market-regulation", registered(THEIRS))


def signed(key: ec.EllipticCurvePrivateKey, value: dict[str, Any] | None = None, **after: Any) -> Event:
    """An event with a proof by a key; `after` is changed when it is signed already."""
    value = value or event()
    kid = key_id(key.public_key())
    proof = make_proof(value, kid, lambda data: der_to_raw(key.sign(data, ec.ECDSA(SHA256()))))
    return parse_event(raw({**value, "proof": proof, **after}), NOW)


def test_a_good_proof_passes() -> None:
    """By the source's key in force, over these contents, whatever their order and spaces."""
    judge(register(), signed(OURS), NOW)
    judge(register(), parse_event(raw(dict(reversed(signed(OURS).raw.items()))), NOW), NOW)


def why(register: AgencyRegister, given: Event, at: datetime = NOW) -> str:
    with pytest.raises(Rejected) as caught:
        judge(register, given, at)
    assert caught.value.where == "proof"
    assert caught.value.hint
    return caught.value.message


def test_a_replaced_key() -> None:
    """From the moment on when its successor is in force."""
    newer = AgencyKey(key_id(NEXT.public_key()), public_pem(NEXT.public_key()), NOW)
    both = with_key(register(), SOURCE, newer)
    assert "replaced" in why(both, signed(OURS))
    judge(both, signed(OURS), NOW - timedelta(seconds=1))
    judge(both, signed(NEXT), NOW)


def test_a_key_that_is_kept_beside_its_successor() -> None:
    """Both sign."""
    both = with_key(register(), SOURCE, registered(NEXT), replace=False)
    judge(both, signed(OURS), NOW)
    judge(both, signed(NEXT), NOW)


def test_an_expired_key() -> None:
    """From its end on; judged when it is received, not by the time in the event."""
    limited = register(registered(OURS, valid_until=NOW))
    assert "expired" in why(limited, signed(OURS))
    judge(limited, signed(OURS), NOW - timedelta(seconds=1))


def test_a_key_that_is_not_in_force_yet() -> None:
    """Before its beginning."""
    assert "not in force" in why(register(), signed(OURS), NOW - 2 * DAY)


def test_a_revoked_key() -> None:
    """From its revocation on, for good; the first revocation counts."""
    revoked = with_revocation(register(), key_id(OURS.public_key()), NOW, "lost")
    again = with_revocation(revoked, key_id(OURS.public_key()), NOW + DAY, "lost")
    assert "revoked" in why(again, signed(OURS))
    judge(revoked, signed(OURS), NOW - timedelta(seconds=1))


def test_another_agencys_key() -> None:
    """A registered key signs for its own source only."""
    assert "632800" in why(register(), signed(THEIRS))


def test_an_unknown_key() -> None:
    """One that nobody registered."""
    assert "not registered" in why(register(), signed(NEXT))


@pytest.mark.parametrize(
    "after",
    [
        {"id": "other"},
        {"subject": None},
        {"time": "2018-09-10T09:13:00+08:00"},
        {"data": event()["data"] | {"item": "x"}},
    ],
)
def test_a_proof_over_other_bytes(after: dict[str, Any]) -> None:
    """Any other content."""
    assert "not over these contents" in why(register(), signed(OURS, **after))


def test_a_stripped_proof() -> None:
    """Absent or null."""
    assert "no proof" in why(register(), parse_event(raw(event()), NOW))
    assert "no proof" in why(register(), signed(OURS, proof=None))


@pytest.mark.parametrize("change", ["=", "x", ".", " "])
def test_another_writing_of_a_proof(change: str) -> None:
    """One form of base64url only."""
    proof = signed(OURS).proof or ""
    assert why(register(), signed(OURS, proof=proof + change))
    assert why(register(), signed(OURS, proof=change + proof))


@pytest.mark.parametrize("s", [0, 2**256 - 1])
def test_numbers_out_of_range(s: int) -> None:
    """A signature whose s is no number of the curve is refused, not stumbled over."""
    kid = key_id(OURS.public_key())
    given = {**event(), "proof": make_proof(event(), kid, lambda _: bytes(31) + b"\1" + s.to_bytes(32))}
    assert why(register(), parse_event(raw(given), NOW))


def test_the_register_reads_what_it_writes() -> None:
    """As a file."""
    revoked = with_revocation(register(), key_id(OURS.public_key()), NOW, "lost")
    assert revoked == read_register(revoked.to_bytes(), "agencies.json")


def test_a_key_is_registered_once() -> None:
    """For one agency only."""
    with pytest.raises(UsageError, match="registered already"):
        with_key(register(), SOURCE, registered(THEIRS))
    with pytest.raises(UsageError, match="no urn"):
        with_key(register(), "market-regulation", registered(NEXT))
    with pytest.raises(UsageError, match="no such key"):
        with_revocation(register(), "00000000", NOW, "")


def broken_registers() -> list[bytes]:
    good = register().to_bytes()
    kid = key_id(OURS.public_key())
    twice = AgencyRegister((Agency(SOURCE, keys=(registered(OURS), registered(OURS))),))
    return [
        b"",
        b"[]",
        b"\xff",
        good.replace(kid.encode(), b"00000000"),
        good.replace(b"BEGIN PUBLIC", b"BEGIN CERTAIN"),
        good.replace(b"urn:agency:630000:", b"urn:agency:63:"),
        good.replace(b'"valid_from"', b'"from"'),
        good.replace(b'"v": 1', b'"v": 2') if b'"v": 1' in good else b'{"v": 2}',
        twice.to_bytes(),
    ]


@pytest.mark.parametrize("content", broken_registers())
def test_a_broken_register_is_never_believed(content: bytes) -> None:
    """Not even in part."""
    with pytest.raises(UsageError, match="register"):
        read_register(content, "agencies.json")


SM2 = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEPQkrbGlFCgTCjUtBexmoLOhJDrvO
mTX7ykfH9TVwNS7XzJJ4R/RM6OJlrriVeo6KDNkbWmU4c2sB+c2YI/y6Og==
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize("pem", [SM2, "", "no PEM", SM2.replace("PUBLIC", "PRIVATE"), SM2[:80]])
def test_a_key_of_another_kind_is_wrong_use(pem: str) -> None:
    """SM2 too, whose curve the library does not know: neither an agency's key nor a party's."""
    with pytest.raises(UsageError, match="no P-256 public key"):
        public_key(pem)
    with pytest.raises(DrawError, match="no public key in PEM"):
        seed.public_key(pem)
    with pytest.raises(UsageError, match="no private key in PEM"):
        seed.private_key(pem)
