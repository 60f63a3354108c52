"""Later unavailability: the next in order, signed, numbered, with its reason."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

from tests.draw import naive
from tests.draw.conftest import PLAN, Office


def replaced(office: Office, transcript: Path, who: str, *more: str | Path) -> dict[str, Any]:
    said = office.ok(
        "draw", "replace", transcript, *office.registers, "--unavailable", who, "--reason", "已迁出", *more
    )
    found: dict[str, Any] = json.loads(said)
    return found


def test_next_target_is_the_next_ticket(office: Office) -> None:
    """Targets that cannot be visited are followed by the next tickets of their stratum, one after another."""
    path = office.draw()
    transcript = json.loads(path.read_bytes())
    order = naive.tickets(tomllib.loads(PLAN), transcript["seed"], office.rows, set())["auction"]
    first = replaced(office, path, order[0][1])
    second = replaced(office, path, order[3][1], "-o", office.path("second.json"))
    assert [order[3][1], order[4][1]] == [first["next"], second["next"]]
    assert [order[3][0], order[4][0]] == [first["ticket"], second["ticket"]]
    assert [1, 2] == [first["number"], second["number"]]
    assert first["previous"] != second["previous"]
    assert len(set(first["inspectors"])) == 2
    code, _, err = office(
        "draw", "replace", path, *office.registers, "--unavailable", order[0][1], "--reason", "x"
    )
    assert (code, "not among" in err) == (1, True)
    assert office.failed(path, "--chain", office.data / "draws") == []


def test_next_inspector(office: Office) -> None:
    """An inspector who cannot come to a target is followed by the lowest load and duty ticket that may."""
    path = office.draw()
    transcript = json.loads(path.read_bytes())
    visit = transcript["assignments"][0]
    division = {row["id"]: row["division"] for row in office.rows}[visit["target"]]
    load = {i["id"]: 0 for i in office.inspectors}
    for assignment in transcript["assignments"]:
        for inspector in assignment["inspectors"]:
            load[inspector] += 1
    apart = {c["inspector_id"] for c in office.conflicts if c["target_id"] == visit["target"]}
    gone, stays = visit["inspectors"]
    fit = {i["id"] for i in office.inspectors if "market" in i["qualifications"]}
    able = [
        i["id"]
        for i in office.inspectors
        if naive.competent(i, division)
        and i["id"] not in apart | {gone, stays}
        and (stays in fit or i["id"] in fit)
    ]
    expected = min(able, key=lambda i: (load[i], naive.sha(f"{transcript['seed']}:inspector:{i}:{load[i]}")))
    found = replaced(office, path, gone, "--target", visit["target"])
    assert expected == found["next"]


def test_needs_a_reason_and_a_transcript_on_record(office: Office) -> None:
    """A blank reason, and a transcript of elsewhere, are refused."""
    path = office.draw()
    drawn = json.loads(path.read_bytes())["strata"][0]["drawn"][0]["id"]
    words = ["draw", "replace", path, *office.registers, "--unavailable", drawn]
    assert office(*words, "--reason", " ")[0] == 1
    other = office.path("other.json")
    shutil.copy(path, other)
    (office.data / "draws" / "630000-market-regulation" / "000001.transcript.json").unlink()
    assert office(*words, "--reason", "x")[0] == 1
