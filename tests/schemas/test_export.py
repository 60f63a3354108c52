"""The exported schemas: current, and of one mind with the door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from event_samples import DATA, GOOD, bend, event

from infra import contracts
from infra.kafka.records import LetterRecord
from processors import stages

COMMITTED = Path(__file__).parents[2] / "schemas" / "exported"
APPLICATION = "application.submitted"


def test_the_committed_copies_are_current(tmp_path: Path) -> None:
    """Byte for byte, none missing, none too many; `make schemas` writes them anew."""
    contracts.export(tmp_path)
    expected = contents(tmp_path)
    assert expected == contents(COMMITTED)


@pytest.mark.parametrize("kind", sorted(DATA))
def test_a_good_event_fits_its_schema(kind: str) -> None:
    """And the schema is a schema."""
    schema = contracts.event_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert [] == errors(event(kind))


@pytest.mark.parametrize(("kind", "path", "value"), GOOD)
def test_the_schema_takes_what_the_door_takes(kind: str, path: str, value: Any) -> None:
    """No reason to reject here either."""
    assert [] == errors(bend(kind, path, value))


FORM: list[tuple[str, str, Any]] = [
    (APPLICATION, "applicant.kind", ...),
    (APPLICATION, "applicant.id", None),
    (APPLICATION, "applicant.name", 5),
    (APPLICATION, "applicant.name", "名" * 201),
    (APPLICATION, "products", {}),
    (APPLICATION, "products", [{"category": "化肥"}] * 201),
    (APPLICATION, "products.0.category", ...),
    (APPLICATION, "materials", None),
    (APPLICATION, "materials.0.uri", "https://example.org/x"),
    (APPLICATION, "action", "delete"),
    (APPLICATION, "window", "6302"),
    (APPLICATION, "action", "renew"),
    (APPLICATION, "action", "merge"),
    ("licence.rescinded", "deceit", 1),
    ("licence.revoked", "licence_number", None),
    ("inspection.recorded", "passed", 0),
    ("inspection.recorded", "result", "一切正常"),
    ("application.clock-stopped", "cause", "holiday"),
    ("holder.classified", "credit_class", "E"),
    ("registration.submitted", "shared", {"phone": ["1"]}),
]


@pytest.mark.parametrize(("kind", "path", "value"), FORM)
def test_the_schema_refuses_what_breaks_the_form(kind: str, path: str, value: Any) -> None:
    """Absent, null, of another type, outside an enumeration, too long, not together: as at the door."""
    assert errors(bend(kind, path, value))


@pytest.mark.parametrize(
    "over", [{"specversion": "0.3"}, {"source": "me"}, {"type": "x"}, {"data": ...}, {"id": 7}]
)
def test_the_schema_knows_the_envelope(over: dict[str, Any]) -> None:
    """specversion, source, type, data, id."""
    assert errors(event(**over))


@pytest.mark.parametrize("name", sorted(contracts.fact_types()))
def test_every_fact_has_a_schema(name: str) -> None:
    """And it is one."""
    jsonschema.Draft202012Validator.check_schema(contracts.fact_schema(name))


def test_asyncapi_names_every_event_once() -> None:
    """Every reference leads somewhere."""
    document = contracts.asyncapi()
    inbox = document["channels"]["inbox"]
    assert "zhengzhao.inbox" == inbox["address"]
    assert len(DATA) == len(inbox["messages"])
    for ref in references(document):
        if ref.startswith("./"):
            assert (COMMITTED / ref).is_file()
        else:
            place: Any = document
            for step in ref.removeprefix("#/").split("/"):
                place = place[step]


def test_topics_and_letters_are_those_that_the_pipeline_uses() -> None:
    """The document, the topology and the record of a dead letter say the same."""
    document = contracts.asyncapi()
    addresses = {c["address"].removesuffix(".{department}") for c in document["channels"].values()}
    assert {s.topic for s in stages.PUBLIC} == addresses
    letter = document["components"]["messages"]["deadLetter"]["payload"]["properties"]
    assert set(LetterRecord.__struct_fields__) == set(letter)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.json")}


def errors(value: Any) -> list[str]:
    name = value.get("type", "")
    known = [k for k in DATA if name == contracts.event_type(k)]
    schema = json.loads(
        (
            COMMITTED / f"{contracts.event_type(known[0] if known else 'application.submitted')}.json"
        ).read_text("utf-8")
    )
    return [e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(value)]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [r for v in node.values() for r in references(v)]
    return [r for v in node for r in references(v)] if isinstance(node, list) else []
