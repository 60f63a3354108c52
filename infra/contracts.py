"""The public schemas as files: JSON Schema of every event, and an AsyncAPI 3 document of the topics.

`export(folder)` writes them; `schemas/exported/` holds the committed copies, with outbound events (facts) under
`outbound/`. A schema describes form; rules that it cannot express (an id after NFKC, a time not in the future) stand in
the descriptions.
"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any, Final

import msgspec

from processors import stages
from processors.stages import stream_of
from schemas import facts
from schemas.event_types import EVENT_TYPES, PREFIX, SUFFIX, official_results
from schemas.events import MAX_EVENT_ID, SOURCE

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI: Final = "asyncapi.json"
VERSION: Final = "1.0.0"  # of the event contract
_OUTBOUND: Final = {
    "cases": (stages.CASES.topic, "What became of applications, filings and holders."),
    "licences": (stages.LICENCES.topic, "Licences from grant to end, and bars."),
    "filings": (
        stages.filings_topic("{department}"),
        "Filings pushed to a department, and alarms of those that it has not answered.",
    ),
    "inspections": (stages.INSPECTIONS.topic, "Checks that fall due, and inspections."),
}

_LETTER: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What failed by itself, where, why, with its original bytes (base64; encrypted where `sealed`).",
    "required": ["id", "time", "place"],
    "properties": {
        **{
            name: {"type": "string"}
            for name in ("id", "time", "place", "error", "hint", "at", "topic", "key", "content")
        },
        "state": {"type": "string", "description": "open; `returned` closes the letter of the same id"},
        "sealed": {"type": "boolean"},
        "v": {"type": "integer"},
    },
}

Document = dict[str, Any]


def export(folder: Path) -> list[Path]:
    """Write every schema into a folder, created where absent, and return the files written, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in documents().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n"
        )
        written.append(path)
    return written


def documents() -> dict[str, Document]:
    """Return the JSON document of each file name."""
    events = {f"{event_type(name)}.json": event_schema(name) for name in sorted(EVENT_TYPES)}
    outbound = {f"outbound/{event_type(name)}.json": fact_schema(name) for name in sorted(fact_types())}
    return {**events, **outbound, ASYNCAPI: asyncapi()}


def fact_types() -> dict[str, type[Any]]:
    """Return name and struct of every fact that goes out."""
    bodies = [b for b in typing.get_args(facts.Body) if b not in facts.INTERNAL]
    return {str(b.__struct_config__.tag): b for b in bodies}


def event_type(name: str) -> str:
    """Return the whole type of an event from its name without prefix and suffix."""
    return f"{PREFIX}{name}{SUFFIX}"


def event_schema(name: str) -> Document:
    """Return the JSON Schema of one inbound event: the CloudEvents envelope with its data."""
    struct = EVENT_TYPES[name]
    (data,), definitions = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    for key, more in _together().items():
        if key in definitions:
            definitions[key].update(more)
    return {
        "$schema": DIALECT,
        "$id": f"urn:zhengzhao:schema:{event_type(name)}",
        "title": event_type(name),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "data"],
        "properties": {**_envelope(event_type(name)), "data": data},
        "$defs": dict(sorted(definitions.items())),
    }


def _envelope(kind: str) -> Document:
    text = {"type": ["string", "null"]}
    return {
        "specversion": {"const": "1.0"},
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_EVENT_ID,
            "description": "printable; same source, id and content = the same event",
        },
        "source": {
            "type": "string",
            "pattern": f"^{SOURCE.pattern}$",
            "description": "urn:agency:<division>:<department>",
        },
        "type": {"const": kind},
        "time": {
            "type": "string",
            "format": "date-time",
            "description": "with a zone; not before 1990, at most five minutes after it is received",
        },
        "subject": text,
        "datacontenttype": text,
        "dataschema": text,
        "proof": {
            **text,
            "description": "detached JWS (RFC 7515, appendix F; ES256, kid in the header) over the RFC 8785 form of the "
            "event without proof",
        },
    }


def _needs(name: str, kind: str = "string") -> Document:
    return {"required": [name], "properties": {name: {"type": kind}}}


def _together() -> dict[str, Document]:
    """Return the rules between fields of one object, by the name of its struct."""
    named: Document = {"anyOf": [_needs("licence_number"), _needs("granted_by")]}
    held: Document = {"allOf": [_needs("holder_id"), named]}
    drawn: Document = {"allOf": [_needs("draw"), _needs("target")]}
    several: Document = {"anyOf": [_needs("licence_numbers", "array"), _needs("granted_by", "array")]}
    something: Document = {
        "properties": {"change": {"type": "object", "minProperties": 1}},
        "required": ["change"],
    }
    orders = (
        "LicenceOrder",
        "LicenceRescinded",
        "LicenceSuspended",
        "DecisionAnnulled",
    )
    official: Document = {
        "if": {"properties": {"kind": {"const": "random"}}, "required": ["kind"]},
        "then": {"properties": {"result": {"enum": sorted(official_results())}}},
    }
    return {
        **dict.fromkeys(orders, named),
        "InspectionRecorded": {"anyOf": [held, drawn], **official},
        "ApplicationSubmitted": {
            "allOf": [
                _when({"enum": ["extend", "change", "renew", "reissue", "surrender"]}, named),
                _when({"const": "merge"}, several),
                _when({"const": "change"}, something),
            ]
        },
    }


def _when(action: Document, then: Document) -> Document:
    return {"if": {"properties": {"action": action}, "required": ["action"]}, "then": then}


def fact_schema(name: str) -> Document:
    """Return the JSON Schema of one outbound event: a fact in its CloudEvents envelope."""
    (data,), definitions = msgspec.json.schema_components([fact_types()[name]], ref_template="#/$defs/{name}")
    kind = event_type(name)
    texts: Document = {key: {"type": "string"} for key in ("id", "source", "subject", "datacontenttype")}
    return {
        "$schema": DIALECT,
        "$id": f"urn:zhengzhao:schema:outbound:{kind}",
        "title": kind,
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            **texts,
            "type": {"const": kind},
            "time": {"type": "string", "format": "date-time"},
            "data": data,
        },
        "$defs": dict(sorted(definitions.items())),
    }


def asyncapi() -> Document:
    """Return the AsyncAPI 3 document of the topics: one channel for inbound events, four for outbound ones."""
    inbound = {_key(name): _message(name, EVENT_TYPES[name], "") for name in sorted(EVENT_TYPES)}
    told = {f"outbound_{_key(n)}": _message(n, body, "outbound/") for n, body in sorted(fact_types().items())}
    channels = {
        "inbox": _channel(
            stages.INBOX.topic, "Under any key; the holder's id is the natural one.", list(inbound)
        )
    }
    operations = {"takeIn": _operation("receive", "inbox", list(inbound))}
    for channel, (address, about) in _OUTBOUND.items():
        keys = [f"outbound_{_key(n)}" for n in sorted(fact_types()) if stream_of(n).name == channel]
        channels[channel] = _channel(address, about, keys)
        operations[f"tell{channel.title()}"] = _operation("send", channel, keys)
    channels["deadLetters"] = _channel(
        stages.LETTERS.topic, "What could not be handled; it can return.", ["deadLetter"]
    )
    operations["tellDeadLetters"] = _operation("send", "deadLetters", ["deadLetter"])
    told["deadLetter"] = {"name": "deadLetter", "contentType": "application/json", "payload": _LETTER}
    channels["filings"]["parameters"] = {"department": {"description": "The filing item's department."}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "zhengzhao",
            "version": VERSION,
            "description": "Application events in, signed licences out; dates are dates in China (UTC+8).",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {**inbound, **told}},
    }


def _message(name: str, struct: type[Any], folder: str) -> Document:
    return {
        "name": event_type(name),
        "summary": " ".join((struct.__doc__ or "").split()),
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{folder}{event_type(name)}.json"},
        },
    }


def _channel(address: str, about: str, keys: list[str]) -> Document:
    messages = {key: {"$ref": f"#/components/messages/{key}"} for key in keys}
    return {"address": address, "description": about, "messages": messages}


def _operation(action: str, channel: str, keys: list[str]) -> Document:
    refs = [{"$ref": f"#/channels/{channel}/messages/{key}"} for key in keys]
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "messages": refs}


def _key(name: str) -> str:
    """Return a name in the form that AsyncAPI takes as a key: letters, digits, `_`, `-`."""
    return name.replace(".", "_")
