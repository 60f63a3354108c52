"""What goes over the counter of a window: what came in, where it stands, what goes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from filings import HALL
from story import Events, uscc
from world import World

from infra.cli.case import said
from infra.readmodel.lists import EmptyRegister
from processors.queries.find import Queries
from processors.queries.listings import Listings, marks_of
from processors.state import HolderState

FORM = [{"kind": "application-form"}]


class WorldRegister(EmptyRegister):
    """The register over a world in memory."""

    def __init__(self, world: World) -> None:
        self._world = world

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        for state in self._world.states.values():
            if marks is None or not marks_of(state).isdisjoint(marks):
                yield state

    def marks(self, prefix: str) -> list[str]:
        found = {mark for state in self._world.states.values() for mark in marks_of(state)}
        return sorted(mark for mark in found if mark.startswith(prefix))


def registers(e: Events, n: int, window: str, shared: dict[str, str]) -> None:
    """A registration with two filings, taken in at a window."""
    applicant = {
        "kind": "enterprise",
        "id": uscc(n),
        "name": "青海一店",
        "address": "积石镇",
        "division": "630225",
    }
    data = {
        "application_id": f"R{n}", "applicant": applicant, "shared": shared, "materials": FORM, "window": window,
        "items": [{"item": "recycling-filing"}, {"item": "publication-rental-filing"}],
    }  # fmt: skip
    e.add("registration.submitted", f"2018-03-0{n + 4}T09:00:00+08:00", data, HALL)


@pytest.fixture(scope="module")
def listings() -> Listings:
    """Two registrations, at a village's and at the township's window; one department has answered."""
    e = Events()
    whole = {"recycled-goods": "废钢铁", "site-address": "积石镇二号", "publication-kinds": "图书"}
    registers(e, 1, "630225001201", whole)
    registers(e, 2, "630225001", {"recycled-goods": "废钢铁"})
    claimed = {"filing_id": "R1:recycling-filing", "holder_id": uscc(1), "department": "commerce"}
    e.add("filing.claimed", "2018-03-08T09:00:00+08:00", claimed, "urn:agency:630225:commerce")
    return Listings(WorldRegister(World().tell(e.lines)))


def rows(listings: Listings, code: str, *, below: bool = False) -> dict[str, dict[str, Any]]:
    return {row["application_id"]: row for row in listings.window(code, below=below)}


def test_the_result_goes_back_to_the_window_of_entry(listings: Listings) -> None:
    """The certificate, and how far its filings are; a notice where something is missing; nobody else's."""
    village, township = rows(listings, "630225001201"), rows(listings, "630225001")
    assert (set(village), set(township)) == ({"R1"}, {"R2"})
    assert village["R1"]["filings"] == {"claimed": 1, "pushed": 1}
    assert (village["R1"]["out"]["what"], village["R1"]["out"]["version"]) == ("licence", 1)
    assert township["R2"]["filings"] == {}
    assert township["R2"]["out"]["missing"] == ["fields.site-address", "fields.publication-kinds"]


@pytest.mark.parametrize("code", ["630225001", "630225", "630200", "630000"])
def test_a_window_sees_those_below_it(listings: Listings, code: str) -> None:
    """Township, county, prefecture and province, each with the levels under it."""
    assert set(rows(listings, code, below=True)) == {"R1", "R2"}


@pytest.mark.parametrize("item", [None, "industrial-product-licence"])
def test_an_unissued_licence_is_found_by_its_status(item: str | None) -> None:
    """A licence whose page could not be made is listed as `unissued`, and not as `valid`."""
    world, e = World(), Events()
    world.unissuable = {"N"}
    e.apply("2018-03-01T09:00:00+08:00", "N", uscc(1))
    e.apply("2018-03-01T09:00:00+08:00", "M", uscc(2))
    world.tell(e.lines)
    ask = Queries(WorldRegister(world), world.persons, lambda *_: None)
    found = {
        status: [row["holder_id"] for row in ask.licences(item=item, status=status)]
        for status in ("unissued", "valid")
    }
    assert found == {"unissued": [uscc(1)], "valid": [uscc(2)]}


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (None, ""),
        ({"what": "licence", "number": "N", "version": 2, "object": "o"}, "licence N，第 2 版"),
        (
            {"what": "correction-notice", "missing": ["products"], "until": "2018-04-02"},
            "by 2018-04-02: products",
        ),
        ({"what": "acceptance", "promised": "", "statutory": ""}, "promised by —"),
        ({"what": "refusal", "reason": "理由"}, "refused: 理由"),
        ({"what": "cancellation", "number": "N"}, "cancelled: N"),
    ],
)
def test_what_goes_out_in_words(out: dict[str, Any] | None, words: str) -> None:
    """A clerk reads no JSON; where nothing goes out, nothing is said."""
    assert words in said(out)
    assert bool(words) == bool(said(out))
