"""Outbound events: facts as CloudEvents on the outbound topics. Facts hold persons only masked."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from processors.streams import CASES, FILINGS, INSPECTIONS, LICENCES, Stream, filings_topic
from schemas import facts as f
from schemas.facts import Fact

SOURCE = "urn:zhengzhao:installation"


class Outbound(NamedTuple):
    """A CloudEvent for an outbound topic, keyed by its holder."""

    topic: str
    holder: str
    event: dict[str, Any]


def outbound(fact: Fact) -> Outbound | None:
    """Return the CloudEvent of a fact with its topic; None for a fact that concerns nobody outside."""
    body = fact.body
    if isinstance(body, f.INTERNAL):
        return None
    event = {
        "specversion": "1.0",
        "id": fact.id,
        "source": SOURCE,
        "type": f"zhengzhao.{fact.type}.v1",
        "subject": fact.holder,
        "time": fact.time,
        "datacontenttype": "application/json",
        "data": msgspec.to_builtins(body),
    }
    return Outbound(_topic(body, fact.type), fact.holder, event)


def stream_of(type_name: str) -> Stream:
    """Return the outbound stream for facts of a type.

    A department's own topic carries its tasks (filings pushed to it, and alarms); its answers interest others.
    """
    if type_name in ("filing.pushed", "filing.overdue"):
        return FILINGS
    if type_name.startswith(("licence.", "bar.")):
        return LICENCES
    return INSPECTIONS if type_name.startswith(("check.", "inspection.")) else CASES


def _topic(body: f.Body, type_name: str) -> str:
    stream = stream_of(type_name)
    if stream is not FILINGS:
        return stream.topic
    filing = body.filing if isinstance(body, f.FilingPushed | f.FilingOverdue) else None
    # An alarm written by an early release does not say which department it concerns.
    return filings_topic(filing.department) if filing else CASES.topic
