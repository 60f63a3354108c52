"""Free texts of events when they are routed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from event_samples import event, raw
from story import PROVINCE, ric
from world import FakePersons

from processors.route import route
from schemas.events import parse_event
from schemas.ledger import EventEntry

NOW = datetime(2018, 9, 11, tzinfo=UTC)


@pytest.mark.parametrize("contact", ["13897123456", "630102800101123", "0971-6123456"])
def test_no_contact_reaches_the_ledger(contact: str) -> None:
    """A telephone number and a citizen id of the old form are masked in reasons; other fields stay."""
    data = {"application_id": "QH-1", "holder_id": ric(7), "reason": f"本人来电 {contact} 要求撤回"}
    sent = event("application.withdrawn", id="free", data=data, source=PROVINCE)
    entry = route(parse_event(raw(sent), NOW), NOW, PROVINCE, "none", FakePersons())
    assert isinstance(entry, EventEntry)
    reason = entry.payload.data["reason"]
    assert (False, True, "QH-1") == (
        contact in reason,
        contact[:3] in reason,
        entry.payload.data["application_id"],
    )
