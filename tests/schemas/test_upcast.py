"""Old records read as new ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from processors.stages import refold
from schemas import facts
from schemas.errors import UsageError
from schemas.ledger import (
    CURRENT,
    STEPS,
    NumberedEntry,
    Record,
    Upcasters,
    decode_entry,
    encode_entry,
    upcast,
)


def split_name(record: Record) -> Record:
    return {"first": record["name"].split()[0], "last": record["name"].split()[1]}


def rename_last(record: Record) -> Record:
    return {"first": record["first"], "family": record["last"]}


CASTERS = Upcasters({"thing": 3, "other": 1}, {("thing", 1): split_name, ("thing", 2): rename_last})


@pytest.mark.parametrize(
    "old",
    [
        {"name": "a b"},
        {"name": "a b", "v": 1},
        {"first": "a", "last": "b", "v": 2},
        {"first": "a", "family": "b", "v": 3},
    ],
)
def test_every_earlier_version_reads_as_the_current_one(old: Record) -> None:
    """Steps are chained; a record without `v` is of version 1."""
    before = dict(old)
    assert CASTERS.read("thing", old) == {"first": "a", "family": "b", "v": 3}
    assert before == old


@pytest.mark.parametrize("version", [0, 4, "3", None])
def test_a_record_of_the_future_is_refused(version: object) -> None:
    """It is not guessed at."""
    with pytest.raises(UsageError, match="version"):
        CASTERS.read("thing", {"v": version})


@pytest.mark.parametrize(
    "steps", [{}, {("thing", 1): split_name, ("thing", 2): rename_last, ("x", 1): rename_last}]
)
def test_a_gap_in_the_steps_is_found_at_once(steps: dict[tuple[str, int], object]) -> None:
    """Not when the first old record is read."""
    with pytest.raises(ValueError, match="steps"):
        Upcasters({"thing": 3}, steps)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", sorted(CURRENT))
def test_stored_forms_of_this_release(form: str) -> None:
    """Current records pass as they are; newer ones are refused."""
    record = {"v": CURRENT[form], "x": 1}
    assert record == upcast(form, record)
    with pytest.raises(UsageError):
        upcast(form, {"v": CURRENT[form] + 1})
    assert {(f, v) for f, last in CURRENT.items() for v in range(1, last)} == set(STEPS)


FIRST = Path(__file__).parents[1] / "fixtures" / "first-release"
"""Ledger and facts as the first release wrote them: a reissue, a suspension, an import, a correction, a tick."""


def lines(name: str) -> list[bytes]:
    return (FIRST / name).read_bytes().splitlines()


def test_the_ledger_of_the_first_release_is_read() -> None:
    """Every kind of entry; what is written again has the same bytes."""
    entries = [decode_entry(raw) for raw in lines("ledger.jsonl")]
    assert {"catalogue", "event", "tick", "numbered", "issued"} == {entry.kind for entry in entries}
    again = [encode_entry(entry) for entry in entries]
    assert again == lines("ledger.jsonl")
    numbered = [entry.payload for entry in entries if isinstance(entry, NumberedEntry)]
    assert [("(青)XK13-001-00001", 1), ("(青)XK13-001-00001", 2)] == [
        (one.number, one.grant.version) for one in numbered
    ]


def test_the_facts_of_the_first_release_are_read() -> None:
    """They fold into states: a suspended licence of two versions, a case that lapsed, an import."""
    folded = refold(facts.decode(raw) for raw in lines("facts.jsonl"))
    licences = [licence for state in folded.values() for licence in state.licences.values()]
    assert [("(青)XK13-001-00001", "suspended", 2), ("(青)XK16-204-00077", "valid", 1)] == sorted(
        (licence.number, licence.status, len(licence.versions)) for licence in licences
    )
    assert ["issued", "issued", "lapsed"] == sorted(
        case.state for state in folded.values() for case in state.cases.values()
    )


def changed(raw: bytes, **more: object) -> bytes:
    """A stored record whose innermost grant, or which itself, has other fields."""
    record = json.loads(raw)
    inner = record.get("payload", record.get("body", {})).get("grant", record)
    inner.update(more)
    return json.dumps(record, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("name", "kind", "read"),
    [
        ("ledger.jsonl", '"kind":"event"', decode_entry),
        ("ledger.jsonl", '"kind":"numbered"', decode_entry),
        ("facts.jsonl", '"type":"case.opened"', facts.decode),
        ("facts.jsonl", '"type":"licence.granted"', facts.decode),
    ],
)
def test_the_version_of_a_stored_record_is_looked_at(
    name: str, kind: str, read: Callable[[bytes], object]
) -> None:
    """Of the record and of what it contains: a record of a later release is refused, even where it would fit."""
    raw = next(raw for raw in lines(name) if kind.encode() in raw)
    read(changed(raw, v=1))
    with pytest.raises(UsageError, match="version 2"):
        read(changed(raw, v=2))
    with pytest.raises(UsageError, match="version 2"):
        read(changed(raw, v=2, version="of another form", holder=5))
