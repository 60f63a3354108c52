"""Free texts of events when they are routed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest
from event_samples import event, raw
from hypothesis import given
from hypothesis import strategies as st
from story import PROVINCE, ric, uscc
from world import FakePersons

from processors.route import route
from schemas.errors import VerificationError
from schemas.events import parse_event
from schemas.identifiers import contacts_masked
from schemas.ledger import EventEntry, encode_entry
from schemas.persons import EVIDENCE, NAMED, SEALED, Sealer, has_sealed, open_parts

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


LICENCE = {"licence_number": "(青)XK13-001-00001", "decided_on": "2018-09-11"}
WRITTEN = [
    ("法定代表人王小明伪造检验报告", "王小明"),
    ("联系人：欧阳锋，电话 13897123456", "欧阳锋"),
    ("经办人 李四称其不知情", "李四"),
    ("阿卜杜·热依木提供虚假材料", "阿卜杜·热依木"),
    ("the legal representative Zhang San forged it", "Zhang San"),
]


@pytest.mark.parametrize(("text", "name"), WRITTEN)
def test_names_after_a_label_are_sealed_in_texts_about_an_enterprise(text: str, name: str) -> None:
    """The rest stays readable; whoever may read the text reads the name again."""
    persons = FakePersons()
    entry = routed("licence.revoked", uscc(7), persons, ground=text, **LICENCE)
    stored = entry.payload.data["ground"]
    assert (False, True) == (name in encode_entry(entry).decode(), NAMED in stored)
    assert contacts_masked(text) == open_parts(stored, lambda part: persons.open(entry.holder, part), "?")


def test_names_that_an_application_gave_are_sealed_in_every_later_text() -> None:
    """Legal representative, signatory and contact, in reasons, grounds and findings, however they are spaced."""
    persons, holder = FakePersons(), uscc(7)
    registration = event(
        "registration.submitted", source=PROVINCE, id="r",
        data={
            "application_id": "R-1", "items": [{"item": "a", "answers": {"contact": "苗翠花"}}],
            "applicant": {"kind": "enterprise", "id": holder, "name": "甲公司"}, "window": "630225", "channel": "online",
            "materials": [{"kind": "application-form", "signatory": "买买提·艾力"}], "shared": {"legal-representative": "酆无名"},
        },
    )  # fmt: skip
    route(parse_event(raw(registration), NOW), NOW, PROVINCE, "none", persons)
    for kind, field, more in (
        ("licence.revoked", "ground", LICENCE), ("application.withdrawn", "reason", {}),
        ("application.reviewed", "grounds", REVIEW),
    ):  # fmt: skip
        text = "据酆 无名与苗翠花所述，买买提•艾力未到场"
        entry = routed(kind, holder, persons, **{field: text}, **more)
        stored = entry.payload.data[field]
        assert [] == [name for name in ("无名", "苗翠花", "艾力") if name in encode_entry(entry).decode()]
        assert [True] * 3 == [part in stored for part in ("据named:", "所述，named:", "未到场")]
        assert text == open_parts(stored, partial(persons.open, entry.holder), "?")
    other = routed("licence.revoked", uscc(8), persons, ground="苗翠花", **LICENCE)
    assert "苗翠花" == other.payload.data["ground"]


@pytest.mark.parametrize(
    "text", ["法定代表人拒绝签字", "未按期整改，第三车间停产", "负责人不在场", "依据《条例》第十条"]
)
def test_texts_without_a_name_stay_as_they_are(text: str) -> None:
    """Nothing is taken for a name that does not begin with a surname after its label."""
    assert (
        text
        == routed("licence.revoked", uscc(7), FakePersons(), ground=text, **LICENCE).payload.data["ground"]
    )
