"""Letters as a function of facts: one for each decision, whatever a state keeps of the past."""

from __future__ import annotations

import msgspec
from story import Events, uscc
from world import World

from processors.letters import letters_of
from processors.state import MOST_CLOSED
from schemas import facts as f
from schemas.facts import Fact


def refused(n: int) -> list[Fact]:
    """Return the facts of an application that is refused, with `n` as its number."""
    e = Events()
    e.apply("2018-03-01T09:00:00+08:00", f"A{n:03}", uscc(1), item="industrial-product-licence", products=[
        {"category": "没有的类别", "site": "积石镇工业园", "detail": "复混肥料"},
    ])  # fmt: skip
    return World().tell(e.lines).facts


def test_cases_that_end_at_one_moment_have_their_letters() -> None:
    """A state keeps only some of the cases that ended; a letter is made for each of them all the same."""
    told = [refused(n) for n in range(MOST_CLOSED + 2)]
    assert all(isinstance(facts[-1].body, f.CaseRefused) for facts in told)
    opened = [fact for facts in told for fact in facts[:-1]]
    ended = [msgspec.structs.replace(facts[-1], time=told[0][-1].time) for facts in reversed(told)]
    world = World()
    letters = list(letters_of([*opened, *ended], lambda _, code: world.catalogue.get(code)))
    assert [f"A{n:03}" for n in range(MOST_CLOSED + 1, -1, -1)] == [x.application_id for x in letters]
    assert {"non-acceptance"} == {x.kind for x in letters}
    assert len(letters) == len({x.number for x in letters})
