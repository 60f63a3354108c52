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


def test_the_same_event_within_one_batch(data: Path) -> None:
    """Once accepted, once a duplicate; other content under its id is a conflict, a bad neighbour spoils nothing."""
    with opened(data, require_proof=False) as intake:
        batch = [event(id="s"), event(id="s"), event(id="s", subject="other"), 5, event(id="t")]
        found = take(intake, batch, Principal("agency", SOURCE))
        again = take(intake, [event(id="s"), event(id="t")], Principal("agency", SOURCE))
    assert [202, 202, 409, 422, 202] == [status(x) for x in found]
    assert [False, True, True, True] == [getattr(x, "duplicate", None) for x in (*found[:2], *again)]


@pytest.mark.parametrize("space", [b"", b"\n", b"\t"])
def test_control_characters_in_a_batch(data: Path, space: bytes) -> None:
    """Are found in any writing: escaped, raw between others, with line feeds between the values."""
    with opened(data, require_proof=False) as intake:
        for bad in (rb"\u0007", "\u202e".encode(), "\x85".encode()):
            batch = b"[" + space + raw(event(id="c")).replace("化工".encode(), bad) + space + b"]"
            ((_, refused),) = asyncio.run(intake.take(batch, Principal("agency", SOURCE), batch=True))
            assert isinstance(refused, Problem)
            assert "control character" in refused.detail
