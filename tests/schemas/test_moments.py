"""Which moment an entry vouches for."""

from __future__ import annotations

import pytest

from schemas.ledger import ClockReading, EventEntry, NamedHolder, RoutedEvent, TickEntry, moment_of

NOON = 1_520_827_200  # 2018-03-12T12:00:00+08:00


def event(time: str, received_at: str) -> EventEntry:
    sent = RoutedEvent("holder.classified", "urn:agency:630000:x", "e", time, {}, NamedHolder("h", True))
    return EventEntry("e", "h", received_at, sent)


@pytest.mark.parametrize(
    ("time", "received_at"),
    [
        ("2018-03-12T12:00:00+08:00", "2018-03-12T04:07:00Z"),
        ("2018-03-12T12:04:00+08:00", "2018-03-12T04:00:00Z"),
        ("2018-03-12T12:00:00+08:00", ""),
    ],
)
def test_a_sender_cannot_date_what_we_sign(time: str, received_at: str) -> None:
    """The earlier of the event's time and its receipt counts; of a tick too."""
    assert moment_of(event(time, received_at)) == NOON
    assert moment_of(TickEntry("t", "", received_at, ClockReading("clock.ticked", time))) == NOON
