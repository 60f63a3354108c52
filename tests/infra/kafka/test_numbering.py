"""What is sent for a numbered grant can be said again from what little is kept of it."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from story import Events, uscc
from world import World

from infra.kafka.numbering import GivenNumber, given_again
from infra.kafka.records import sends
from processors.number import LIST_CAPACITY, Series, number
from processors.stages import ToNumber, numbered_again
from schemas.facts import LicenceGranted
from schemas.ledger import decode_entry
from schemas.licence import decode_job


def granted() -> list[ToNumber]:
    """A first version and a second one."""
    events = Events()
    events.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    events.apply(
        "2018-04-01T10:00:00+08:00", "N-2", uscc(1), action="reissue", granted_by="N-1", products=...,
        materials=[{"kind": "application-form"}],
    )  # fmt: skip
    facts = World().tell(events.lines).facts
    return [ToNumber(f.body.grant, b"paper") for f in facts if isinstance(f.body, LicenceGranted)]


ASKED = granted()


@settings(max_examples=50)
@given(st.integers(1, 99_000), st.integers(0, 3 * LIST_CAPACITY))
def test_law_the_same_message_each_time(serial: int, place: int) -> None:
    """Whatever the series stood at: number, identifier and place in a list come out the same."""
    series = Series(ASKED[0].grant.series, serial, place)
    for asked, known in ((ASKED[0], None), (ASKED[1], f"{series.series}00007")):
        grant = msgspec.structs.replace(asked.grant, number=None)
        one = ToNumber(grant, asked.paper)
        _, numbered = number(series, grant, known)
        kept = GivenNumber(5, grant.grant_id, grant.licence_id, numbered.number, numbered.serial, place)
        assert given_again(one, kept) == numbered
        job, entry = sends(numbered_again(one, given_again(one, kept)))
        assert decode_job(job.value).numbered == numbered
        assert decode_entry(entry.value).payload == numbered
