"""What travels to the processes that issue."""

from __future__ import annotations

import msgspec

from schemas.item_types import Former, Names
from schemas.items import load_catalogue
from schemas.licence import decode_issuance_item, issuance_item


def test_a_paper_has_the_name_of_its_day() -> None:
    """The last day of an earlier name counts; where only the authority was called otherwise, the paper was not."""
    item = load_catalogue().items["food-workshop-licence"]
    old = (
        Former("2014-12-31", name=Names("旧证", "Old licence")),
        Former("2018-10-31", authority="{division}局"),
    )
    paper = decode_issuance_item(issuance_item(msgspec.structs.replace(item, formerly=old)))
    assert (paper.on("2014-12-31").name, paper.on("2014-12-31").titles) == ("旧证", ("Old licence",))
    assert {paper.on(day).name for day in ("2015-01-01", "2018-11-01")} == {item.title}


def test_a_paper_of_an_earlier_release_is_read() -> None:
    """Jobs that wait over an update have no earlier names."""
    before = msgspec.msgpack.encode(["证", "T", "general", []])
    assert decode_issuance_item(before).on("2018-01-01").name == "证"
