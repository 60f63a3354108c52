"""One event, sent by the command itself as an agency: through the same door as everyone's (`submit`)."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from infra.intake import Accepted
from infra.settings import Settings
from schemas.errors import Rejected
from schemas.events import parse_event

_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def fresh_id(now: datetime) -> str:
    """A ULID: 48 bits of time, 80 bits of chance, 26 characters of Crockford's base 32, in the order of time."""
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(os.urandom(10))
    return "".join(_BASE32[(number >> shift) & 31] for shift in range(125, -1, -5))


def send(settings: Settings, event: dict[str, Any]) -> Accepted:
    """Takes the event in; Rejected with field and hint where it breaks a rule. `drain` decides it."""
    from infra.bootstrap import open_inbox

    received_at = datetime.now(UTC)
    parsed = parse_event(json.dumps(event, ensure_ascii=False).encode(), received_at)
    with open_inbox(settings) as inbox:
        outcome = inbox.take([parsed], received_at)[0]
    if isinstance(outcome, Rejected):
        raise outcome
    return outcome
