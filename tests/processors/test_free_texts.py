"""Free texts of events when they are routed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from event_samples import event, raw
from hypothesis import given
from hypothesis import strategies as st
from story import PROVINCE, ric, uscc
from world import FakePersons

from processors.route import route
from schemas.errors import VerificationError
from schemas.events import parse_event
from schemas.ledger import EventEntry, encode_entry
from schemas.persons import EVIDENCE, SEALED, Sealer, has_sealed, open_parts

NOW = datetime(2018, 9, 11, tzinfo=UTC)


def routed(kind: str, holder: str, persons: FakePersons, **texts: str) -> EventEntry:
    data = {"application_id": "QH-1", "holder_id": holder, **texts}
    sent = event(kind, id="free", data=data, source=PROVINCE)
    entry = route(parse_event(raw(sent), NOW), NOW, PROVINCE, "none", persons)
    assert isinstance(entry, EventEntry)
    return entry


@pytest.mark.parametrize("contact", ["13897123456", "630102800101123", "0971-6123456"])
def test_no_contact_reaches_the_ledger(contact: str) -> None:
    """A telephone number and a citizen id of the old form are masked in reasons; other fields stay."""
    entry = routed("application.withdrawn", uscc(7), FakePersons(), reason=f"本人来电 {contact} 要求撤回")
    reason = entry.payload.data["reason"]
    assert (False, True, "QH-1") == (
        contact in reason,
        contact[:3] in reason,
        entry.payload.data["application_id"],
    )


REVIEW = {"department": "market-regulation", "officer": "A-1", "decision": "reject"}


def test_free_texts_about_a_person_are_sealed_whole() -> None:
    """A name in them is as unreadable as the person's own name; contacts stay masked when they are opened."""
    persons, text = FakePersons(), "经核查，张三（电话 13897123456）与李四所述不符"
    reason = routed("application.withdrawn", ric(7), persons, reason=text)
    ground = routed("application.reviewed", ric(7), persons, grounds=text, **REVIEW)
    for entry, name, kind in ((reason, "reason", SEALED), (ground, "grounds", EVIDENCE)):
        stored = entry.payload.data[name]
        assert stored.startswith(kind)
        assert "张三" not in encode_entry(entry).decode()
        assert persons.open(entry.holder, stored) == "经核查，张三（电话 138****3456）与李四所述不符"


def test_an_erasure_takes_reasons_and_leaves_evidence_to_a_recorded_look() -> None:
    """Without the person's key neither opens; the evidence key opens grounds alone, and those of this person alone."""
    keys = {"p:1": b"1" * 64, "p:2": b"2" * 64}
    sealer = Sealer(lambda p, _: keys.get(p), b"e" * 64)
    reason, ground = sealer.seal("p:1", "张三撤回"), sealer.seal_evidence("p:1", "张三虚报")
    assert ["张三撤回", "张三虚报"] == [sealer.open("p:1", text) for text in (reason, ground)]
    del keys["p:1"]
    assert [None, None] == [sealer.open("p:1", text) for text in (reason, ground)]
    assert [None, "张三虚报"] == [sealer.open_evidence("p:1", text) for text in (reason, ground)]
    keys["p:1"] = b"3" * 64  # the person comes back: what was erased stays erased
    assert [None, None] == [sealer.open("p:1", text) for text in (reason, ground)]
    with pytest.raises(VerificationError):
        sealer.open_evidence("p:2", ground)


@given(st.text(), st.text(min_size=1), st.text())
def test_sealed_parts_of_a_text_open_in_their_place(before: str, secret: str, after: str) -> None:
    """Whatever stands around them; what only looks sealed stays as it was sent."""
    sealer = Sealer(lambda p, _: p.encode() * 32, b"e" * 64)
    sealed = sealer.seal_evidence("p:", secret)
    text = f"{before} {sealed}；{after}"
    if not has_sealed(before + after):
        assert open_parts(text, lambda part: sealer.open("p:", part), "x") == f"{before} {secret}；{after}"
    fake = EVIDENCE + "A" * 40
    assert open_parts(fake, lambda part: sealer.open("p:", part), "erased") in (fake, "erased")
