"""Every reason of the contract to reject an event, row by row, and what is no reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from event_samples import DATA, GOOD, HOLDER, RECEIVED, bend, event, raw

from schemas.errors import Rejected
from schemas.event_types import official_results
from schemas.events import parse_event

APPLICATION = "application.submitted"
URI = "store:uploads/" + "a" * 64

ENVELOPE: list[tuple[str, Any, str]] = [
    ("specversion", ..., "specversion"),
    ("specversion", "0.3", "specversion"),
    ("specversion", 1.0, "specversion"),
    ("id", ..., "id"),
    ("id", None, "id"),
    ("id", 7, "id"),
    ("id", "", "id"),
    ("id", "x" * 257, "id"),
    ("id", "a\nb", "id"),
    ("id", "a\u202eb", "id"),
    ("id", "a\u200bb", "id"),
    ("source", ..., "source"),
    ("source", "", "source"),
    ("source", "market-regulation", "source"),
    ("source", "urn:agency:63:market-regulation", "source"),
    ("source", "urn:agency:630000", "source"),
    ("source", "urn:agency:630000:", "source"),
    ("source", "urn:agency:630000:a:b", "source"),
    ("source", "urn:agency:６３００００:clock", "source"),
    ("source", ["urn:agency:630000:clock"], "source"),
    ("type", ..., "type"),
    ("type", "zhengzhao.no-such-thing.v1", "type"),
    ("type", "zhengzhao.application.submitted.v2", "type"),
    ("type", "application.submitted", "type"),
    ("type", "zhengzhao.application.submitted", "type"),
    ("type", "application.submitted.v1", "type"),
    ("type", None, "type"),
    ("time", ..., "time"),
    ("time", 1536541920, "time"),
    ("time", "2018-09-10T09:12:00", "time"),
    ("time", "2018-09-10", "time"),
    ("time", "2018-09-10 09:12:00+08:00", "time"),
    ("time", "2018-02-30T09:12:00+08:00", "time"),
    ("time", "2018-09-10T25:12:00+08:00", "time"),
    ("time", "2018-09-10T23:59:60+08:00", "time"),
    ("time", "2018-09-10T09:12:00+25:00", "time"),
    ("time", "2018-09-10T09:12:00+08:99", "time"),
    ("time", "2018-09-10T09:12:00+08:60", "time"),
    ("time", "2018-09-10T09:12:00+24:00", "time"),
    ("time", "2018-09-10T09:12+08:00", "time"),
    ("time", "20180910T091200+0800", "time"),
    ("time", "２０18-09-10T09:12:00+08:00", "time"),
    ("time", "1900-01-01T00:00:00+08:00", "time"),
    ("time", "1989-12-31T23:59:59+08:00", "time"),
    ("time", "0001-01-01T00:00:00+08:00", "time"),
    ("time", "9999-12-31T23:59:59-12:00", "time"),
    ("time", "2900-01-01T00:00:00+08:00", "time"),
    ("time", "2018-09-10T10:05:00.000001+08:00", "time"),
    ("time", "2018-09-10T02:05:01Z", "time"),
    ("time", "not a time", "time"),
    ("subject", 5, "subject"),
    ("subject", "a\x07", "subject"),
    ("datacontenttype", {}, "datacontenttype"),
    ("proof", {"jws": 1}, "proof"),
    ("extension", "a\x00b", "extension"),
    ("data", ..., "data"),
    ("data", None, "data"),
    ("data", [], "data"),
    ("data", "{}", "data"),
]


@pytest.mark.parametrize(("name", "value", "where"), ENVELOPE)
def test_the_envelope(name: str, value: Any, where: str) -> None:
    """An attribute that breaks its rule is named."""
    assert where == rejection(raw(event(**{name: value}))).where


VALUES: list[tuple[str, str, Any, str]] = [
    # absent, null, of another JSON type
    (APPLICATION, "applicant.kind", ..., "data.applicant.kind"),
    (APPLICATION, "applicant.id", None, "data.applicant.id"),
    (APPLICATION, "applicant.id", 9163, "data.applicant.id"),
    (APPLICATION, "applicant", [], "data.applicant"),
    (APPLICATION, "applicant.name", 5, "data.applicant.name"),
    (APPLICATION, "products", {}, "data.products"),
    (APPLICATION, "products.0", "化肥", "data.products[0]"),
    (APPLICATION, "products.0.category", ..., "data.products[0].category"),
    (APPLICATION, "materials", None, "data.materials"),
    (APPLICATION, "materials.1.kind", ..., "data.materials[1].kind"),
    (APPLICATION, "change", "name", "data.change"),
    (APPLICATION, "granted_by", 1, "data.granted_by"),
    ("licence.rescinded", "deceit", "true", "data.deceit"),
    ("licence.rescinded", "deceit", 1, "data.deceit"),
    ("inspection.recorded", "passed", 0, "data.passed"),
    ("inspection.recorded", "inspectors", {}, "data.inspectors"),
    ("inspection.recorded", "inspectors.0.department", ..., "data.inspectors[0].department"),
    ("registration.submitted", "items", None, "data.items"),
    ("registration.submitted", "items.0.item", ..., "data.items[0].item"),
    ("registration.submitted", "shared", {"phone": ["1"]}, "data.shared[...]"),
    ("application.reviewed", "false_material", "no", "data.false_material"),
    # enumerations
    (APPLICATION, "action", "delete", "data.action"),
    (APPLICATION, "action", "New", "data.action"),
    (APPLICATION, "applicant.kind", "company", "data.applicant.kind"),
    ("application.reviewed", "decision", "approved", "data.decision"),
    ("application.clock-stopped", "cause", "holiday", "data.cause"),
    ("inspection.recorded", "kind", "routine", "data.kind"),
    ("holder.classified", "credit_class", "E", "data.credit_class"),
    ("licence.imported", "holder.kind", "", "data.holder.kind"),
    ("inspection.recorded", "result", "一切正常", "data.result"),
    ("inspection.recorded", "result", "1", "data.result"),
    # dates
    (APPLICATION, "materials.1.signed_on", "2018-02-30", "data.materials[1].signed_on"),
    (APPLICATION, "materials.1.signed_on", "2018-9-9", "data.materials[1].signed_on"),
    (APPLICATION, "materials.1.signed_on", "", "data.materials[1].signed_on"),
    (APPLICATION, "materials.1.signed_on", 20180909, "data.materials[1].signed_on"),
    (APPLICATION, "materials.2.deferred_until", "2019-02-29", "data.materials[2].deferred_until"),
    ("licence.revoked", "decided_on", "2018-09-09T00:00:00+08:00", "data.decided_on"),
    ("licence.suspended", "until", "20181001", "data.until"),
    ("inspection.recorded", "inspected_on", "2018-13-01", "data.inspected_on"),
    ("licence.imported", "valid_until", "9999-12-31", "data.valid_until"),
    ("licence.imported", "valid_until", "3000-01-01", "data.valid_until"),
    ("licence.imported", "issued_on", "1899-12-31", "data.issued_on"),
    ("licence.imported", "valid_from", "0001-01-01", "data.valid_from"),
    (APPLICATION, "materials.1.signed_on", "1899-12-30", "data.materials[1].signed_on"),
    (APPLICATION, "materials.1.signed_on", "0001-01-01", "data.materials[1].signed_on"),
    (APPLICATION, "materials.2.deferred_until", "3000-01-01", "data.materials[2].deferred_until"),
    ("licence.revoked", "decided_on", "1899-12-31", "data.decided_on"),
    ("licence.suspended", "until", "9999-12-31", "data.until"),
    ("inspection.recorded", "inspected_on", "1899-12-31", "data.inspected_on"),
    # names that show nothing
    (APPLICATION, "applicant.name", "\u3164", "data.applicant.name"),
    (APPLICATION, "applicant.name", " \u200b\u2060 ", "data.applicant.name"),
    (APPLICATION, "applicant.name", "\u115f\u1160\uffa0", "data.applicant.name"),
    (APPLICATION, "applicant.name", "\ue000", "data.applicant.name"),
    ("application.materials-supplied", "applicant.name", "\u3164", "data.applicant.name"),
    ("licence.imported", "holder.name", "\u3164", "data.holder.name"),
    ("licence.imported", "holder.name", " ", "data.holder.name"),
    # ids
    (APPLICATION, "application_id", "", "data.application_id"),
    (APPLICATION, "application_id", " \u3000", "data.application_id"),
    (APPLICATION, "application_id", "x" * 65, "data.application_id"),
    (APPLICATION, "application_id", "../../x", "data.application_id"),
    (APPLICATION, "application_id", "a/b", "data.application_id"),
    (APPLICATION, "application_id", "-a", "data.application_id"),
    (APPLICATION, "application_id", ".a", "data.application_id"),
    (APPLICATION, "application_id", ")a", "data.application_id"),
    (APPLICATION, "application_id", "a b", "data.application_id"),
    (APPLICATION, "application_id", "a\x00", "data.application_id"),
    (APPLICATION, "application_id", "a\n", "data.application_id"),
    (APPLICATION, "application_id", "#read", "data.application_id"),
    (APPLICATION, "applicant.id", "91*30", "data.applicant.id"),
    (APPLICATION, "licence_number", "", "data.licence_number"),
    ("application.withdrawn", "holder_id", "", "data.holder_id"),
    ("filing.claimed", "filing_id", "a|b", "data.filing_id"),
    ("inspection.recorded", "inspection_id", "$", "data.inspection_id"),
    ("filing.claimed", "filing_id", "x" * 65, "data.filing_id"),
    ("filing.claimed", "filing_id", "x" * 65 + ":recycling-filing", "data.filing_id"),
    ("filing.claimed", "filing_id", "x" * 64 + ":a_b", "data.filing_id"),
    ("filing.claimed", "filing_id", "/" * 64 + ":recycling-filing", "data.filing_id"),
    ("inspection.recorded", "inspection_id", "x" * 60 + ":recycling-filing", "data.inspection_id"),
    ("inspection.recorded", "inspection_id", "x" * 65 + ":check", "data.inspection_id"),
    ("inspection.recorded", "inspectors.0.id", "", "data.inspectors[0].id"),
    ("licence.imported", "holder.id", "\u2460!", "data.holder.id"),
    ("application.materials-supplied", "applicant", {"id": "?"}, "data.applicant.id"),
    # lengths
    (APPLICATION, "applicant.name", "名" * 201, "data.applicant.name"),
    (APPLICATION, "applicant.address", "𠮷" * 201, "data.applicant.address"),
    (APPLICATION, "products.0.site", "址" * 201, "data.products[0].site"),
    (APPLICATION, "products.0.detail", "品" * 201, "data.products[0].detail"),
    (APPLICATION, "products", [{"category": "化肥"}] * 201, "data.products"),
    ("licence.imported", "holder.name", "名" * 201, "data.holder.name"),
    # control characters, bidirectional controls, surrogates
    (APPLICATION, "applicant.name", "甲\n乙", "data.applicant.name"),
    (APPLICATION, "applicant.name", "甲\t乙", "data.applicant.name"),
    (APPLICATION, "applicant.name", "甲\x7f乙", "data.applicant.name"),
    (APPLICATION, "applicant.name", "甲\x85乙", "data.applicant.name"),
    (APPLICATION, "applicant.name", "甲\u202e乙", "data.applicant.name"),
    (APPLICATION, "applicant.address", "甲\u2066乙", "data.applicant.address"),
    (APPLICATION, "applicant.name", "甲\ud800", "data.applicant.name"),
    (APPLICATION, "unknown", ["甲\udfff"], "data.unknown[0]"),
    (APPLICATION, "products.0.detail", "\x1b[31m", "data.products[0].detail"),
    (APPLICATION, "channel", "on\rline", "data.channel"),
    ("application.withdrawn", "reason", "a\rb", "data.reason"),
    ("application.withdrawn", "reason", "a\x0bb", "data.reason"),
    ("application.reviewed", "grounds", "a\u202ab", "data.grounds"),
    ("licence.revoked", "ground", "a\nb", "data.ground"),
    ("registration.submitted", "items.0.answers", {"a\nb": "x"}, "data.items[0].answers"),
    ("registration.submitted", "shared", {"phone": "x\n"}, "data.shared.phone"),
    # addresses of uploads, windows
    (APPLICATION, "materials.0.uri", "https://example.org/x", "data.materials[0].uri"),
    (APPLICATION, "materials.0.uri", "store:uploads/../keys", "data.materials[0].uri"),
    (APPLICATION, "materials.0.uri", "store:uploads/" + "A" * 64, "data.materials[0].uri"),
    (APPLICATION, "window", "6302", "data.window"),
    (APPLICATION, "window", "63022５", "data.window"),
    (APPLICATION, "window", "6302251001", "data.window"),
]


@pytest.mark.parametrize(("kind", "path", "value", "where"), VALUES)
def test_values_of_the_data(kind: str, path: str, value: Any, where: str) -> None:
    """A value that breaks its rule is named with its path, and a hint says what to do."""
    fault = rejection(raw(bend(kind, path, value)))
    assert where == fault.where
    assert fault.hint
    assert " / " in fault.message


TOGETHER: list[tuple[str, dict[str, Any], str]] = [
    (APPLICATION, {"action": "renew"}, "data.licence_number"),
    (APPLICATION, {"action": "renew", "granted_by": ["A-1"]}, "data.granted_by"),
    (APPLICATION, {"action": "merge", "licence_number": "N-1"}, "data.licence_numbers"),
    (APPLICATION, {"action": "merge", "licence_numbers": []}, "data.licence_numbers"),
    (APPLICATION, {"action": "merge", "granted_by": "A-1"}, "data.granted_by"),
    (APPLICATION, {"action": "merge", "licence_numbers": ["N-1", "/"]}, "data.licence_numbers[1]"),
    (APPLICATION, {"action": "merge", "granted_by": ["A-1", ""]}, "data.granted_by[1]"),
    (APPLICATION, {"action": "change", "licence_number": "N-1"}, "data.change"),
    (APPLICATION, {"action": "change", "licence_number": "N-1", "change": {}}, "data.change"),
    (APPLICATION, {"action": "change", "licence_number": "N-1", "change": {"name": None}}, "data.change"),
    (APPLICATION, {"action": "change", "licence_number": "N-1", "change": {"other": 1}}, "data.change"),
    (APPLICATION, {"action": "change", "granted_by": "A", "change": {"name": "x" * 201}}, "data.change.name"),
    (APPLICATION, {"action": "change", "granted_by": "A", "change": {"name": "\u3164"}}, "data.change.name"),
    ("inspection.recorded", {"licence_number": None}, "data.licence_number"),
    ("licence.revoked", {"licence_number": None}, "data.licence_number"),
    ("decision.annulled", {"licence_number": None, "granted_by": None}, "data.licence_number"),
    ("licence.revoked", {"licence_number": None, "granted_by": ["A-1"]}, "data.granted_by"),
]


@pytest.mark.parametrize(("kind", "over", "where"), TOGETHER)
def test_fields_that_belong_together(kind: str, over: dict[str, Any], where: str) -> None:
    """A licence is named, `merge` names several, a change changes something."""
    assert where == rejection(raw(event(kind, data={**DATA[kind], **over}))).where


OPTIONAL = {
    APPLICATION: {"products"},
    "application.materials-supplied": {"materials", "products", "applicant", "shared"},
    "application.withdrawn": {"reason"},
    "application.reviewed": {"grounds", "false_material"},
    "registration.submitted": {"shared"},
    "filing.returned": {"reason"},
    "filing.corrected": {"answers"},
    "inspection.recorded": {"findings"},
    "inspections.published": {"count"},
    "licence.revoked": {"legal_basis"},
    "licence.imported": {"valid_until"},
}


@pytest.mark.parametrize("value", [..., None])
@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, fields in DATA.items() for n in fields])
def test_fields_absent_or_null(kind: str, name: str, value: Any) -> None:
    """A required one is a rejection that names it; an optional one is no fault."""
    line = raw(bend(kind, name, value))
    if name in OPTIONAL.get(kind, set()):
        assert kind == parse_event(line, RECEIVED).type_name
    else:
        assert f"data.{name}" == rejection(line).where


BYTES: list[tuple[str, bytes, str]] = [
    ("empty", b"", "JSON"),
    ("truncated", raw(event())[:-20], "JSON"),
    ("two values", raw(event()) + b"{}", "JSON"),
    ("array", b"[]", "object"),
    ("text", b'"a"', "object"),
    ("null", b"null", "object"),
    ("not UTF-8", b'{"id":"\xff"}', "UTF-8"),
    ("surrogate in UTF-8", b'{"id":"\xed\xa0\x80"}', "UTF-8"),
    ("UTF-16", json.dumps(event()).encode("utf-16"), "UTF-16"),
    ("UTF-16 without BOM", json.dumps(event()).encode("utf-16-be"), "UTF-16"),
    ("BOM within a stream", b"\xef\xbb\xbf" + raw(event()), "JSON"),
    ("key twice", b'{"id":"a","id":"b"}', "twice"),
    ("key twice, escaped", b'{"data":{"\\u0061":1,"a":1}}', "twice"),
    ("NaN", b'{"a":NaN}', "NaN"),
    ("Infinity", b'{"a":-Infinity}', "Infinity"),
    ("400 digits", b'{"a":' + b"9" * 400 + b"}", "double"),
    ("huge exponent", b'{"a":1e400}', "double"),
    ("5,000 digits", b'{"a":-' + b"9" * 5000 + b"}", "double"),
    (
        "33 levels",
        raw(event(extra=0)).replace(b'"extra": 0', b'"extra":' + b"[" * 32 + b"]" * 32),
        "32 levels",
    ),
    ("100,000 levels", b"[" * 100_000, "32 levels"),
    ("100,000 objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "32 levels"),
    ("raw line feed in a string", b'{"a":"\n"}', "JSON"),
    ("single quotes", b"{'a':1}", "JSON"),
    ("over 1 MiB", raw(event(extra="x" * (1 << 20))), "1048576"),
    ("20 MB", b"x" * 20_000_000, "1048576"),
]


@pytest.mark.parametrize(("name", "line", "says"), BYTES, ids=[b[0] for b in BYTES])
def test_bytes(name: str, line: bytes, says: str) -> None:
    """What is no JSON object of the kind allowed is rejected with its reason."""
    fault = rejection(line)
    assert says in fault.message
    assert fault.hint


@pytest.mark.parametrize(("kind", "path", "value"), GOOD)
def test_no_reason_to_reject(kind: str, path: str, value: Any) -> None:
    """Whether an application is good is decided later; unknown fields are no fault."""
    assert kind == parse_event(raw(bend(kind, path, value)), RECEIVED).type_name


@pytest.mark.parametrize(
    "over",
    [
        {"id": "x" * 256},
        {"id": " "},
        {"id": "申请 1"},
        {"subject": None},
        {"subject": ...},
        {"datacontenttype": ...},
        {"proof": None},
        {"traceparent": "00-0"},
        {"time": "1990-01-01T00:00:00+08:00"},
        {"time": "1989-12-31T16:00:00Z"},
        {"time": "2018-09-10T02:05:00Z"},
        {"time": "2018-09-10t09:12:00.123456789+08:00"},
        {"time": "2016-02-29T00:00:00-00:00"},
    ],
)
def test_good_envelopes(over: dict[str, Any]) -> None:
    """What the contract leaves open stays open."""
    assert parse_event(raw(event(**over)), RECEIVED).type_name == APPLICATION


def test_thirty_two_levels_are_not_too_many() -> None:
    """The event is level 1; brackets inside strings do not count."""
    line = raw(event(extra=0, note="[" * 100)).replace(b'"extra": 0', b'"extra":' + b"[" * 31 + b"]" * 31)
    assert parse_event(line, RECEIVED).type_name == APPLICATION


def test_exactly_one_mebibyte_is_not_too_much() -> None:
    """The limit is on the bytes of the line."""
    line = raw(event(extra=""))
    line = line.replace(b'"extra": ""', b'"extra": "' + b"x" * ((1 << 20) - len(line)) + b'"')
    assert len(line) == 1 << 20
    assert parse_event(line, RECEIVED).type_name == APPLICATION


@pytest.mark.parametrize("text", sorted(official_results()))
def test_official_results(text: str) -> None:
    """Each text of the published lists is a result of a random inspection."""
    assert parse_event(raw(bend("inspection.recorded", "result", text)), RECEIVED)


def test_other_inspections_speak_freely() -> None:
    """Only a random inspection has official texts."""
    data = {**DATA["inspection.recorded"], "kind": "complaint", "result": "不合格"}
    assert parse_event(raw(event("inspection.recorded", data=data)), RECEIVED)


@pytest.mark.parametrize(
    "over",
    [
        {"action": "renew", "licence_number": "（青）XK16-204-00001"},
        {"action": "renew", "granted_by": "QH-1"},
        {"action": "merge", "licence_numbers": ["N-1", "N-2"]},
        {"action": "merge", "granted_by": ["A-1"]},
        {"action": "change", "granted_by": "A-1", "change": {"products": [{"category": "化肥"}]}},
        {"action": "change", "granted_by": "A-1", "change": {"division": "632801"}},
    ],
)
def test_actions_that_name_a_licence(over: dict[str, Any]) -> None:
    """By its number, or by the application that led to it."""
    event_ = parse_event(raw(event(data={**DATA[APPLICATION], **over})), RECEIVED)
    assert event_.holder_id == HOLDER


@pytest.mark.parametrize(("path", "value"), [("valid_until", "9999-12-31"), ("valid_until", "3000-01-01")])
def test_no_end_is_no_date(path: str, value: str) -> None:
    """A date that stands for no end is rejected, and the hint says to leave it out."""
    assert "valid_until" in rejection(raw(bend("licence.imported", path, value))).hint


@pytest.mark.parametrize("day", ["1900-01-01", "2999-12-31"])
def test_the_first_and_the_last_date(day: str) -> None:
    """Dates from 1900 to 2999 are dates, both ends included."""
    assert parse_event(raw(bend("licence.imported", "valid_until", day)), RECEIVED)


BACK = [
    ("2018-09-10T10:00:00+08:00", True),
    ("2018-08-11T10:00:00+08:00", True),
    ("2018-08-11T09:59:59+08:00", False),
]


@pytest.mark.parametrize(("time", "taken"), BACK)
def test_events_of_the_past(time: str, taken: bool) -> None:
    """An event dated more than `backdate_days` before it is received is rejected; without a limit none is."""
    line = raw(event(time=time))
    assert parse_event(line, RECEIVED)
    if taken:
        assert parse_event(line, RECEIVED, 30)
        return
    with pytest.raises(Rejected) as caught:
        parse_event(line, RECEIVED, 30)
    assert caught.value.where == "time"
    assert "backdate_days" in caught.value.hint


def rejection(line: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_event(line, RECEIVED)
    return caught.value


@pytest.mark.parametrize(
    ("left_out", "added", "where"),
    [
        (("licence_number", "holder_id"), {"draw": "ab" * 32}, "licence_number"),
        (("licence_number", "holder_id"), {"target": "T1"}, "licence_number"),
        (("holder_id",), {"draw": "ab" * 32, "target": "T1"}, "holder_id"),
        ((), {"draw": "AB" * 32}, "draw"),
        (("licence_number", "holder_id"), {"draw": "ab" * 32, "target": " "}, "target"),
        (("licence_number", "holder_id"), {"draw": "ab" * 32, "target": "T1", "kind": "complaint"}, "kind"),
    ],
)
def test_drawn_visit_is_named_whole(left_out: tuple[str, ...], added: dict[str, Any], where: str) -> None:
    """An inspection names a licence with its holder, or a draw with its target; a draw's visit is random."""
    value = event("inspection.recorded")
    value["data"] = {k: v for k, v in value["data"].items() if k not in left_out} | added
    with pytest.raises(Rejected) as found:
        parse_event(raw(value), RECEIVED)
    assert found.value.where.removeprefix("data.") == where
