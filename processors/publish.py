"""What the world outside hears: facts as CloudEvents on the outbound topics, persons masked by what facts hold."""

from __future__ import annotations

from typing import Any

import msgspec

from processors import topology
from schemas import facts as f
from schemas.facts import Fact

SOURCE = "urn:zhengzhao:installation"


def outbound(fact: Fact) -> tuple[str, dict[str, Any]] | None:
    """Topic and CloudEvent of a fact; None for what concerns nobody outside."""
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
    return _topic(body, fact.type), event


def _topic(body: f.Body, type_name: str) -> str:
    """A department's topic tells what it has to do: filings pushed to it, and alarms. Its answers are news for others."""
    if isinstance(body, f.FilingPushed | f.FilingOverdue) and body.filing is not None:
        return topology.FILINGS.topic.replace("<department>", body.filing.department)
    if type_name.startswith(("licence.", "bar.")):
        return topology.LICENCES.topic
    if type_name.startswith(("check.", "inspection.")):
        return topology.INSPECTIONS.topic
    return topology.CASES.topic
