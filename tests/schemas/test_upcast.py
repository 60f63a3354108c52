"""Old records read as new ones."""

from __future__ import annotations

import pytest

from schemas.errors import UsageError
from schemas.ledger import CURRENT, STEPS, Record, Upcasters, upcast


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
