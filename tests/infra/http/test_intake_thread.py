"""The intake of the service: every proof that is not good, a register that breaks while it serves, groups of requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from event_samples import event, raw

from infra.agencies import FILE, change_register
from infra.bootstrap import Installation
from infra.http.intake_thread import IntakeThread, Taken
from infra.http.problems import Problem
from infra.settings import Settings
from processors.queries.access import Principal
from schemas.agencies import AgencyKey, AgencyRegister, public_pem, with_key, with_revocation
from schemas.signatures import der_to_raw, make_proof
from schemas.trust import key_id

SOURCE = "urn:agency:630000:market-regulation"
OTHER = "urn:agency:632801:market-regulation"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
OURS, NEXT, THEIRS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def entry(key: ec.EllipticCurvePrivateKey, since: datetime = NOW - DAY, **more: Any) -> AgencyKey:
    return AgencyKey(key_id(key.public_key()), public_pem(key.public_key()), since, **more)


def signed(value: dict[str, Any], key: ec.EllipticCurvePrivateKey = OURS) -> dict[str, Any]:
    kid = key_id(key.public_key())
    proof = make_proof(value, kid, lambda data: der_to_raw(key.sign(data, ec.ECDSA(SHA256()))))
    return {**value, "proof": proof}


@contextmanager
def opened(data: Path, *, require_proof: bool = True) -> Iterator[IntakeThread]:
    intake = IntakeThread(Installation(Settings(data, require_proof=require_proof)), 100, threading.Event())
    intake.start()
    try:
        yield intake
    finally:
        intake.close()


def take(intake: IntakeThread, values: list[Any], principal: Principal | None = None) -> list[Taken]:
    """What became of each event of a batch."""
    return [what for _, what in asyncio.run(intake.take(raw(values), principal, batch=True))]


def status(taken: Taken) -> int:
    return taken.status if isinstance(taken, Problem) else 202


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in which two agencies are registered."""
    change_register(tmp_path, lambda register: with_key(register, SOURCE, entry(OURS)))
    change_register(tmp_path, lambda register: with_key(register, OTHER, entry(THEIRS)))
    return tmp_path


def test_a_good_proof_opens_the_door(data: Path) -> None:
    """Without any token."""
    with opened(data) as intake:
        assert [status(x) for x in take(intake, [signed(event(id=f"g-{n}")) for n in range(3)])] == [202] * 3


@pytest.mark.parametrize(
    ("change", "given", "why"),
    [
        (lambda r: with_key(r, SOURCE, entry(NEXT, NOW)), signed(event()), "replaced"),
        (
            lambda r: with_key(AgencyRegister(), SOURCE, entry(OURS, valid_until=NOW)),
            signed(event()),
            "expired",
        ),
        (lambda r: with_revocation(r, key_id(OURS.public_key()), NOW, "lost"), signed(event()), "revoked"),
        (lambda r: r, signed(event(), THEIRS), OTHER),
        (lambda r: r, signed(event(), NEXT), "not registered"),
        (lambda r: r, {**signed(event()), "subject": "another"}, "not over these contents"),
        (lambda r: r, {**event(), "proof": signed(event(id="x"))["proof"]}, "not over these contents"),
        (lambda r: r, event(), "no proof"),
        (lambda r: r, {**event(), "proof": None}, "no proof"),
    ],
)
def test_other_proofs_do_not(
    data: Path, change: Callable[[AgencyRegister], AgencyRegister], given: dict[str, Any], why: str
) -> None:
    """Replaced, expired, revoked, another agency's, unknown, over other bytes, stripped; with a token neither."""
    change_register(data, change)
    with opened(data) as intake:
        for principal in (None, Principal("agency", SOURCE)):
            (refused,) = take(intake, [given], principal)
            assert isinstance(refused, Problem)
            assert (refused.status, refused.where, why in refused.detail) == (422, "proof", True)
            assert refused.hint


def test_a_key_revoked_while_the_service_runs(data: Path) -> None:
    """Counts from the next request on."""
    with opened(data) as intake:
        assert status(take(intake, [signed(event(id="r-1"))])[0]) == 202
        change_register(data, lambda r: with_revocation(r, key_id(OURS.public_key()), NOW, "lost"))
        assert status(take(intake, [signed(event(id="r-2"))])[0]) == 422


def test_a_register_that_breaks_shuts_nobody_out_for_good(data: Path) -> None:
    """Whoever asks meanwhile is told; when it is repaired, the intake takes in as before."""
    good = (data / FILE).read_bytes()
    with opened(data) as intake:
        (data / FILE).write_bytes(b"{broken")
        with pytest.raises(Problem) as caught:
            take(intake, [signed(event(id="b-1"))])
        assert caught.value.status == 500
        (data / FILE).write_bytes(good)
        assert status(take(intake, [signed(event(id="b-1"))])[0]) == 202


def test_the_same_event_within_one_batch(tmp_path: Path) -> None:
    """Once accepted, once a duplicate; other content under its id is a conflict, a bad neighbour spoils nothing."""
    with opened(tmp_path, require_proof=False) as intake:
        batch = [event(id="s"), event(id="s"), event(id="s", subject="other"), 5, event(id="t")]
        found = take(intake, batch, Principal("agency", SOURCE))
        again = take(intake, [event(id="s"), event(id="t")], Principal("agency", SOURCE))
    assert [202, 202, 409, 422, 202] == [status(x) for x in found]
    assert [False, True, True, True] == [getattr(x, "duplicate", None) for x in (*found[:2], *again)]


@pytest.mark.parametrize("space", [b"", b"\n", b"\t"])
def test_control_characters_in_a_batch(tmp_path: Path, space: bytes) -> None:
    """Are found in any writing: escaped, raw between others, with line feeds between the values."""
    with opened(tmp_path, require_proof=False) as intake:
        for bad in (rb"\u0007", "\u202e".encode(), "\x85".encode()):
            batch = b"[" + space + raw(event(id="c")).replace("化工".encode(), bad) + space + b"]"
            ((_, refused),) = asyncio.run(intake.take(batch, Principal("agency", SOURCE), batch=True))
            assert isinstance(refused, Problem)
            assert "control character" in refused.detail


BROKEN = [
    rb'{"id": "b-1", "id": "b-1"}',
    rb'{"id": "b-2", "n": NaN}',
    rb'{"id": "b-3", "s": "\ud800"}',
    b'{"id": "b-4", "s": "\xff"}',
    b'{"id": "b-5", "s": "\xed\xa0\x80"}',
    b'{"id": "b-6", "n": ' + b"9" * 5000 + b"}",
    b'{"id": "b-7", "d": ' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"id": "b-8", "n": 1e999}',
    b"5",
    b"null",
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_event_of_a_batch_spoils_no_neighbour(tmp_path: Path, broken: bytes) -> None:
    """A key twice, NaN, a lone surrogate, broken UTF-8, a number or a depth without end."""
    good = [raw(event(id=f"n-{n}")) for n in range(2)]
    with opened(tmp_path, require_proof=False) as intake:
        batch = b"[" + b" ,\n".join([good[0], broken, good[1]]) + b"]"
        found = asyncio.run(intake.take(batch, Principal("agency", SOURCE), batch=True))
    assert [202, 422, 202] == [status(taken) for _, taken in found]
    named = found[1][0]
    assert named == (broken[8:11].decode() if broken.startswith(b"{") else "")


def test_a_source_with_a_key_needs_a_proof(data: Path) -> None:
    """From its first registered key on, with a token too; another source does not."""
    with opened(data, require_proof=False) as intake:
        for principal in (Principal("agency", SOURCE), Principal("local")):
            (refused,) = take(intake, [event(id="k-1")], principal)
            assert (status(refused), "no proof" in getattr(refused, "detail", "")) == (422, True)
        (taken,) = take(intake, [signed(event(id="k-1"))], Principal("agency", SOURCE))
        free = "urn:agency:630225:service-hall"
        (other,) = take(intake, [event(id="k-2", source=free)], Principal("agency", free))
    assert (202, 202) == (status(taken), status(other))
