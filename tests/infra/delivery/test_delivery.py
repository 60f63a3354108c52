"""Deliveries of filings: once into the folder, whatever dies; to webhooks until they take them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from infra.delivery.outbox import Delivery, DeliveryReport, file_name
from infra.delivery.webhooks import Failed, Hook, load_departments, post
from infra.readmodel.database import Database
from schemas import facts as f
from schemas.errors import LintError, UsageError
from schemas.facts import Fact, FilingPushed
from schemas.licence import FilingRef

HOOKS = '[tax]\nurl = "http://127.0.0.1:9/x"\n[customs]\nurl = "http://127.0.0.1:9/y"\n'


DOWN = Failed("HTTP 503", True)


class Crash(Exception):
    """The process dies here."""


class World:
    """A data folder with facts in it, departments that answer as told, and a clock."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.db = Database(data / "facts.sqlite", create=True)
        self.now = 1000.0
        self.slept: list[float] = []
        self.answers: dict[str, list[Failed | None]] = {}
        self.sent: list[tuple[str, str]] = []
        self.crash_at = -1
        self.nonce = 0
        (data / "departments.toml").write_text(HOOKS)

    def push(
        self, fact_id: str, department: str, filing_id: str = "R-1:x", holder: str = "H", round_: int = 1
    ) -> None:
        body = FilingPushed(
            FilingRef(filing_id, "x", "备案", department), "R-1", "2018-03-05", "", "", {}, round_
        )
        fact = Fact(fact_id, "cause", holder, "2018-03-05T10:00:00+08:00", body)
        other = Fact(f"{fact_id}-c", "cause", holder, fact.time, f.ClassRecorded("A"))
        with self.db.transaction():
            self.db.add_facts((0, x.id, x.holder, x.type, f.encode(x)) for x in (other, fact))

    def sign(self, event: dict[str, Any], _at: datetime) -> dict[str, Any]:
        if self.crash_at == 0:
            raise Crash
        self.crash_at -= 1
        self.nonce += 1
        return {**event, "proof": f"p{self.nonce}"}  # a signer with random signatures

    def post(self, hook: Hook, key: str, content: bytes) -> Failed | None:
        assert json.loads(content)["id"] == key
        self.sent.append((hook.url[-1], key))
        answers = self.answers.get(hook.url[-1], [])
        return answers.pop(0) if answers else None

    def run(self, *, at_once: bool = False) -> DeliveryReport:
        delivery = Delivery(
            self.data, self.sign, send=self.post, clock=lambda: self.now, sleep=self.slept.append
        )
        try:
            return delivery.run(self.db, at_once=at_once)
        finally:
            delivery.close()

    def files(self) -> list[str]:
        root = self.data / "outbox"
        return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.json"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.db.close()


def test_each_filing_becomes_one_file(world: World) -> None:
    """A second run changes nothing; a later round is a file of its own."""
    world.push("f1", "tax")
    world.push("f2", "archives", "R-1:y")
    assert world.run() == DeliveryReport(2, 1, 0)
    first = (world.data / "outbox/tax/R-1:x-1.json").read_bytes()
    world.push("f3", "tax", round_=2)
    assert world.run() == DeliveryReport(1, 1, 0)
    assert world.files() == ["archives/R-1:y-1.json", "tax/R-1:x-1.json", "tax/R-1:x-2.json"]
    assert (world.data / "outbox/tax/R-1:x-1.json").read_bytes() == first
    assert world.sent == [("x", "f1"), ("x", "f3")]


def test_a_crash_between_file_and_record_delivers_once(world: World) -> None:
    """The files of a run that died are found again by their ids, whatever their signatures."""
    for n in range(5):
        world.push(f"f{n}", "tax", f"R-{n}:x")
    world.crash_at = 3
    with pytest.raises(Crash):
        world.run()
    assert len(world.files()) == 3
    world.crash_at = -1
    assert world.run() == DeliveryReport(5, 5, 0)
    assert [key for _, key in world.sent] == [f"f{n}" for n in range(5)]
    assert len(world.files()) == 5


def test_two_holders_with_one_filing_id_get_a_file_each(world: World) -> None:
    """Neither overwrites the other, also when delivered again."""
    world.push("aaaaaaaa1", "tax", holder="H1")
    world.push("bbbbbbbb2", "tax", holder="H2")
    world.run()
    assert world.files() == ["tax/R-1:x-1.json", "tax/R-1:x-1~bbbbbbbb.json"]
    (world.data / "deliveries.db").unlink()
    world.run()
    assert world.files() == ["tax/R-1:x-1.json", "tax/R-1:x-1~bbbbbbbb.json"]


def test_an_alarm_goes_where_the_filing_went(world: World) -> None:
    """A file of its own beside the push; one that names no filing (of an earlier release) goes nowhere."""
    world.push("f1", "tax")
    ref = FilingRef("R-1:x", "x", "备案", "tax")
    for n, (colour, filing) in enumerate((("yellow", ref), ("red", ref), ("red", None))):
        body = f.FilingOverdue("R-1:X", colour, "2018-03-14", 1, filing)  # type: ignore[arg-type]
        fact = Fact(f"a{n}", "cause", "H", "2018-03-15T00:00:00+08:00", body)
        with world.db.transaction():
            world.db.add_facts([(0, fact.id, fact.holder, fact.type, f.encode(fact))])
    assert world.run() == DeliveryReport(3, 3, 0)
    assert world.files() == ["tax/R-1:x-1-red.json", "tax/R-1:x-1-yellow.json", "tax/R-1:x-1.json"]
    assert [key for _, key in world.sent] == ["f1", "a0", "a1"]


def test_a_silent_department_rests_and_holds_up_no_other(world: World) -> None:
    """Three tries, then the whole department rests, twice as long each time; what comes meanwhile waits."""
    world.answers["x"] = [DOWN] * 6
    world.push("f1", "tax", "R-1:x")
    world.push("f2", "tax", "R-2:x")
    world.push("f3", "customs", "R-1:y")
    assert world.run() == DeliveryReport(3, 1, 2)
    assert world.sent == [("y", "f3"), *[("x", "f1")] * 3]
    assert world.slept == [0.2, 0.8]
    world.push("f4", "tax", "R-4:x")
    for forward, taken, waiting in ((4.9, 0, 3), (0.2, 0, 3), (9.9, 0, 3), (0.2, 3, 0)):
        world.now += forward
        assert (taken, waiting) == world.run()[1:]
    assert [key for url, key in world.sent if url == "x"] == [*["f1"] * 7, "f2", "f4"]


def test_a_filing_that_is_not_taken_rests_alone(world: World) -> None:
    """One try; those behind it are taken."""
    world.answers["x"] = [Failed("HTTP 400", False), None, Failed("HTTP 400", False)]
    world.push("f1", "tax", "R-1:x")
    world.push("f2", "tax", "R-2:x")
    assert world.run() == DeliveryReport(2, 1, 1)
    assert world.run() == DeliveryReport(0, 0, 1)
    world.now += 5.1
    assert world.run() == DeliveryReport(0, 0, 1)
    world.now += 9
    assert world.run() == DeliveryReport(0, 0, 1)
    world.now += 1.1
    assert world.run() == DeliveryReport(0, 1, 0)
    assert [key for _, key in world.sent] == ["f1", "f2", "f1", "f1"]


def test_at_once_does_not_wait(world: World) -> None:
    """A person who asks now is not told to come back."""
    world.answers["x"] = [DOWN] * 3
    world.push("f1", "tax")
    world.run()
    assert world.run() == DeliveryReport(0, 0, 1)
    assert world.run(at_once=True) == DeliveryReport(0, 1, 0)


def test_without_a_key_of_that_time_the_file_has_no_proof(world: World) -> None:
    """The folder is the installation's own; nothing stands still."""

    def sign(*_: object) -> dict[str, Any]:
        raise LintError("no key")

    world.push("f1", "archives")
    delivery = Delivery(world.data, sign, send=world.post)
    assert delivery.run(world.db) == DeliveryReport(1, 0, 0)
    delivery.close()
    assert "proof" not in json.loads((world.data / "outbox/archives/R-1:x-1.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("filing_id", "expected"),
    [
        ("QH-1:tax", "QH-1:tax-1"),
        ("〔2018〕1:x", "~E3~80~942018~E3~80~951:x-1"),
        ("a_b.c:x", "a_b.c:x-1"),
        ("../x", "..~2Fx-1"),
    ],
)
def test_names_of_files(filing_id: str, expected: str) -> None:
    """Plain ids stand as they are; what a file name should not have does not get there."""
    body = FilingPushed(FilingRef(filing_id, "x", "", "tax"), "c", "", "", "", {}, 1)
    assert file_name(Fact("i", "c", "h", "t", body)) == expected


def test_long_names_stay_different() -> None:
    """A name of 64 Chinese characters fits into a file system, and is not the name of another."""
    names = set()
    for last in "甲乙":
        body = FilingPushed(FilingRef("字" * 63 + last + ":x", "x", "", "tax"), "c", "", "", "", {}, 1)
        names.add(file_name(Fact("i", "c", "h", "t", body)))
    assert len(names) == 2
    assert max(map(len, names)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "tax = 1", "[tax]\n", '[tax]\nurl = "ftp://x/"', '[tax]\nurl = "http:///"', '[tax]\nurl = 1',
        '[tax]\nurl = "http://x/"\ntimeout = 0', '[tax]\nurl = "http://x/"\nurls = 1', "[tax",
    ],
)  # fmt: skip
def test_a_wrong_file_of_departments_is_refused(tmp_path: Path, text: str) -> None:
    """With file and department."""
    (tmp_path / "departments.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_departments(tmp_path)
    assert "departments.toml" in caught.value.where


def test_nobody_there_is_an_answer() -> None:
    """A refused connection is a reason, not a crash."""
    failed = post(Hook("http://127.0.0.1:9/", 2), "k", b"{}")
    assert failed is not None
    assert failed.down
