"""The whole of 多证合一 on the embedded engine: nineteen filings, answers in any order, the process killed in between."""

from __future__ import annotations

import contextlib
import http.server
import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import decisions
from filings import Event, Model, cut, each_once, story
from story import Events, Office, uscc
from world import World

from infra.failpoints import OF_FILINGS
from schemas import facts as f

HOOKED = ("commerce", "housing", "public-security")
HOLDER = uscc(71)


class Hooks:
    """The real HTTP server of several departments; every fifth request fails."""

    def __init__(self) -> None:
        self.calls = 0
        self.well = False
        self.taken: list[tuple[str, str, bytes]] = []  # department, Idempotency-Key, content
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls += 1
                failing = outer.calls % 5 == 0 and not outer.well
                if not failing:
                    outer.taken.append((self.path[1:], self.headers["Idempotency-Key"], content))
                self.send_response(503 if failing else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def toml(self) -> str:
        port = self.server.server_port
        return "".join(f'[{name}]\nurl = "http://127.0.0.1:{port}/{name}"\n' for name in HOOKED)


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    yield made
    made.server.shutdown()
    made.server.server_close()


def filings_of(rules: list[dict[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """From `items list`: the filing items with their departments, and a value for each field that they ask for."""
    filings = [rule for rule in rules if rule["mode"] == "filing"]
    fields = {x["name"]: x["example"] for rule in filings for x in rule["fields"]}
    return {rule["code"]: rule["department"] for rule in filings}, fields


def pushed(event: Event) -> tuple[str, str, int, str]:
    """Id, filing, round and department of a push as the outside hears it."""
    data = event["data"]
    return event["id"], data["filing"]["filing_id"], data.get("round", 1), data["filing"]["department"]


def is_push(event: Event) -> bool:
    return bool(event["type"] == "zhengzhao.filing.pushed.v1")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 6))])
def test_nineteen_filings_through_kills(seed: int, tmp_path: Path, hooks: Hooks) -> None:
    """Killed while deciding and while delivering: every filing is pushed once, to its department alone, and ends as
    the contract says."""
    office = Office(tmp_path)
    office.init()
    (office.data / "departments.toml").write_text(hooks.toml())
    items, fields = filings_of(office.rows("items", "list"))
    assert len(items) == 19
    told = story(seed, HOLDER, items, fields)
    places = ["deliver-before-file:7", "drain-before-commit", "drain-after-commit", *OF_FILINGS[1:]]
    assert {place.partition(":")[0] for place in places} > set(OF_FILINGS)
    parts = cut(seed, told.events, len(places))
    for place, part in zip(places, parts, strict=True):
        portion = Events()
        portion.lines = part
        office.submit(portion)
        office.run("drain", code=None, env={"ZHENGZHAO_FAILPOINT": place})
        killed = [
            -signal.SIGKILL
        ]  # what comes late in a delivery is not passed where nothing is left to deliver
        assert office.code in (killed if place in places[:3] else [*killed, 0])
    hooks.well = True
    office.run("drain")
    assert office.json("filing", "deliver")["left"] == []
    ends_as_told(office, told.model)
    delivered(office, told.model, hooks)
    with contextlib.closing(sqlite3.connect(office.data / "zhengzhao.sqlite")) as db:
        facts = [json.loads(row[0]) for row in db.execute("SELECT fact FROM facts ORDER BY seq")]
    once = [json.loads(f.encode(fact)) for fact in World().tell(told.events).facts]
    assert decisions(once) == decisions(facts)
    office.run("replay", "--into", tmp_path / "again", "--decide")


def ends_as_told(office: Office, model: Model) -> None:
    """States, rounds, alarms, refusals: as the model has them; one certificate with nineteen filings."""
    rows = {row["filing_id"]: row for row in office.rows("filing", "list")}
    assert {key: (row["state"], row["round"], row["department"]) for key, row in rows.items()} == {
        key: (state, model.rounds[key], model.departments[key]) for key, state in model.states.items()
    }
    late = {(key, row["round"], colour) for key, row in rows.items() for colour in row["overdue"]}
    assert model.alarms == late
    holder = office.json("holder", "show", HOLDER)
    assert sorted(model.refused) == sorted(refusal["event"] for refusal in holder["refused"])
    (licence,) = holder["licences"]
    assert (licence["version"], licence["status"]) == (1, "valid")
    assert len(office.licence(licence["number"])["filings"]) == 19


def delivered(office: Office, model: Model, hooks: Hooks) -> None:
    """Folders and webhooks: each push and each alarm once, with its department and nobody else."""
    outbox = office.data / "outbox"
    files = {path: json.loads(path.read_bytes()) for path in outbox.rglob("*.json")}
    pushes = {path: event for path, event in files.items() if is_push(event)}
    assert len(pushes) == len(model.pushed)
    assert model.pushed == each_once([pushed(event) for event in pushes.values()])
    for path, event in files.items():
        assert path.parent.name == event["data"]["filing"]["department"]
    alarms = [event["data"] for event in files.values() if not is_push(event)]
    assert model.alarms == {(x["filing"]["filing_id"], x.get("round", 1), x["colour"]) for x in alarms}
    assert len(model.alarms) == len(alarms)
    contents: dict[str, set[bytes]] = {}
    for department, key, content in hooks.taken:
        event = json.loads(content)
        assert (key, department) == (event["id"], event["data"]["filing"]["department"])
        contents.setdefault(key, set()).add(content)
    assert {len(found) for found in contents.values()} == {1}  # again perhaps, but then the same
    wanted = {path.read_bytes() for path, e in files.items() if e["data"]["filing"]["department"] in HOOKED}
    assert wanted == {content for _, _, content in hooks.taken}
