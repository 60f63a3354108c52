"""The facts that date a licence carry both moments: of the event, and of its receipt."""

from __future__ import annotations

from msgspec.structs import replace
from story import Events, uscc
from world import World

from processors.stages import decide_step
from processors.state import initial
from schemas.facts import Fact, LicenceGranted
from schemas.ledger import EventEntry

H = uscc(1)
TIME = "2018-03-01T10:00:00+08:00"


def granted(facts: list[Fact]) -> LicenceGranted:
    (body,) = [fact.body for fact in facts if isinstance(fact.body, LicenceGranted)]
    return body


def test_a_grant_names_the_time_of_its_event_and_of_its_receipt() -> None:
    """The licence is dated by the first; its history shows the second, which is another day."""
    e = Events()
    e.apply(TIME, "N", H)
    world = World().tell(e.lines)
    body = granted(world.facts)
    assert (TIME, "2040-01-01T08:00:00+08:00", "2018-03-01") == (
        body.told,
        body.received,
        body.grant.issued_on,
    )
    (licence,) = world.licences(H)
    (line,) = [one for one in licence["history"] if one["event"] == "granted"]
    assert line["detail"].endswith("received 2040-01-01T08:00:00+08:00")


def test_an_entry_of_an_earlier_release_leads_to_its_facts_again() -> None:
    """Those carry neither moment."""
    e = Events()
    e.apply(TIME, "N", H)
    world = World().tell(e.lines)
    entry = next(one for one in world.ledger if isinstance(one, EventEntry))
    old = replace(entry, payload=replace(entry.payload, rules=2))
    _, produced = decide_step(initial(entry.holder), old, world.catalogue, lambda _: b"")
    assert ("", "") == (granted(list(produced.facts)).told, granted(list(produced.facts)).received)
