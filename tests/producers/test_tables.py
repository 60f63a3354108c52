"""Tables of applications become events: the same ones, whatever program wrote the file."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import ENCODINGS, ROW, SENT, as_csv, as_xlsx, faults, item, one, outcomes, saved

from producers.tables import COLUMNS, columns_of, is_text_table, read_applications
from schemas.errors import UsageError
from schemas.events import parse_event

NOW = datetime(2018, 9, 10, 2, 0, tzinfo=UTC)
BY_LIBREOFFICE = Path(__file__).parent / "data" / "applications-libreoffice.xlsx"
DATA: dict[str, Any] = {
    "application_id": "QH-2018-000001",
    "item": "industrial-product-licence",
    "action": "new",
    "applicant": {name: ROW[name] for name in ("kind", "id", "name", "address", "division")},
    "products": [{"category": "化肥", "site": "清水工业园", "detail": "复混肥料"}],
    "materials": [
        {"kind": "application-form"},
        {"kind": "commitment-letter", "signed_on": "2018-09-09"},
        {"kind": "business-licence"},
    ],
    "channel": "table",
    "window": "630225",
}


def said(raw: bytes, code: str = "industrial-product-licence") -> UsageError:
    """The error of a file that cannot be used."""
    with pytest.raises(UsageError) as caught:
        outcomes(raw, code)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_row_of_csv_is_an_application(encoding: str, separator: str) -> None:
    """In every encoding and with every separator, and the door takes it in."""
    assert one(as_csv(ROW, encoding=encoding, separator=separator)) == DATA


def test_the_event_passes_the_door() -> None:
    """Its id holds the file's digest, its time is the one that was given, in China."""
    raw = as_csv(ROW)
    [(row, event)] = read_applications(raw, item(), SENT, "t").outcomes
    assert isinstance(event, dict)
    parsed = parse_event(json.dumps(event).encode(), NOW)
    assert row == 2
    assert parsed.id == f"{hashlib.sha256(raw).hexdigest()[:16]}:QH-2018-000001"
    assert (parsed.source, parsed.type_name, event["time"]) == (
        SENT.source,
        "application.submitted",
        "2018-09-10T09:00:00+08:00",
    )


def test_a_workbook_gives_the_same_event() -> None:
    """Days as days, codes as numbers, ids as text."""
    typed = {**ROW, "signed_on": date(2018, 9, 9), "division": 630225, "window": 630225}
    assert one(as_xlsx(typed)) == DATA
    assert one(as_xlsx({**ROW, "signed_on": 43352})) == DATA


def test_a_workbook_of_libreoffice_reads() -> None:
    """A template filled there: a line break in a cell, a blank row, a formula, an id that became a number."""
    found = outcomes(BY_LIBREOFFICE.read_bytes())
    assert [row for row, _ in found] == [2, 5, 6]
    first, wrong, third = (made for _, made in found)
    assert first["products"] == [*DATA["products"], {"category": "人造板", "site": "街子乡"}]
    assert first["applicant"]["address"] == "循化撒拉族自治县 积石镇１号"
    assert (wrong[0], "变成了数字" in wrong[1]) == ("id", True)
    assert (third["applicant"]["id"], third["materials"]) == (ROW["id"], DATA["materials"])


@pytest.mark.parametrize(
    ("column", "spelling"),
    [
        ("signed_on", "2018/9/9"),
        ("signed_on", "２０１８年９月９日"),
        ("id", "９１６３００００７１０４０６３８ＸＪ"),
        ("application_id", " ＱＨ-2018-000001 "),
        ("division", "630225 循化撒拉族自治县"),
        ("window", "６３０２２５"),
        ("kind", "企业"),
        ("action", "新办"),
        ("action", "NEW"),
        ("category", " 化肥"),
    ],
)
def test_other_spellings_of_a_value_are_the_value(column: str, spelling: str) -> None:
    """As clerks and their keyboards write it."""
    assert one(as_csv({**ROW, column: spelling})) == DATA


def test_rows_with_the_same_id_are_one_application() -> None:
    """Each row a product, wherever it stands; what is blank in a later row is as before."""
    other = {**ROW, "application_id": "QH-2"}
    more = {"application_id": "qh-2018-000001", "category": "人造板", "site": "街子乡"}
    same = {**ROW, "detail": "掺混肥料"}
    [(two, first), (three, second)] = outcomes(as_csv(ROW, other, more, same))
    assert (two, three) == (2, 3)
    assert first["products"] == [
        *DATA["products"],
        {"category": "人造板", "site": "街子乡"},
        {"category": "化肥", "site": "清水工业园", "detail": "掺混肥料"},
    ]
    assert second["application_id"] == "QH-2"


def test_rows_that_contradict_each_other_are_refused_by_row() -> None:
    """The application is not sent; its neighbours are."""
    found = outcomes(as_csv(ROW, {**ROW, "name": "另一家"}, {**ROW, "application_id": "QH-2"}))
    assert [(row, made[0] if isinstance(made, tuple) else made["application_id"]) for row, made in found] == [
        (3, "name"),
        (4, "QH-2"),
    ]


def test_merged_cells_are_those_of_every_row() -> None:
    """An id merged over the rows of its products."""
    book = openpyxl.load_workbook(io.BytesIO(as_xlsx(ROW, {"category": "人造板"}, {"category": "砂轮"})))
    for column in ("A", "C", "F"):
        book.active.merge_cells(f"{column}2:{column}4")
    assert [p["category"] for p in one(saved(book))["products"]] == ["化肥", "人造板", "砂轮"]


def test_blank_cells_are_absent_fields() -> None:
    """What an application may lack is asked for by its case, once; what makes it an event is refused here."""
    for column in ("name", "address", "division"):
        wanted = {k: v for k, v in DATA["applicant"].items() if k != column}
        assert one(as_csv({**ROW, column: " "}))["applicant"] == wanted
    unsigned = one(as_csv({**ROW, "signed_on": ""}))
    assert unsigned["materials"] == [{"kind": "application-form"}, {"kind": "business-licence"}]
    bare = one(as_csv({**ROW, "category": "", "site": "", "detail": ""}))
    assert "products" not in bare
    for column in ("application_id", "action", "kind", "id", "window"):
        assert faults(as_csv({**ROW, column: ""})) == [(2, column)]


def test_a_product_without_a_category_is_one_that_lacks_it() -> None:
    """A correction later, no rejection."""
    assert one(as_csv({**ROW, "category": ""}))["products"] == [
        {"category": "", "site": "清水工业园", "detail": "复混肥料"}
    ]


def test_every_fault_is_told_by_row_and_column() -> None:
    """An id that became a number, a placeholder for a day, an unknown action, an error of the spreadsheet."""
    bad = {**ROW, "application_id": "B", "id": "9.16E+17", "signed_on": "1899-12-30"}
    raw = as_csv(
        ROW, {}, bad, {**ROW, "application_id": "C", "action": "apply"}, {**ROW, "application_id": "#REF!"}
    )
    assert faults(raw) == [(4, "id"), (4, "signed_on"), (5, "action"), (6, "application_id")]
    assert [row for row, made in outcomes(raw) if isinstance(made, dict)] == [2]


def test_a_placeholder_that_is_a_day_is_passed_on() -> None:
    """1970-01-01 is a day; that it is no signature is for the case to say."""
    assert one(as_csv({**ROW, "signed_on": "1970-01-01"}))["materials"][1]["signed_on"] == "1970-01-01"


def test_a_blank_header_is_no_column_unless_a_value_stands_under_it() -> None:
    """Lines that end in a comma, as spreadsheets write them."""
    raw = as_csv(ROW).replace(b"\r\n", b",\r\n")
    assert one(raw) == DATA
    assert outcomes(raw.replace(b",630225,\r\n", b",630225,x\r\n"))[0][1][1].startswith("第 14 列没有列名")


def test_unknown_and_missing_columns_are_named() -> None:
    """All at once, with the command that writes a template."""
    unknown = said(as_csv(ROW, columns=[*COLUMNS, "备注", "licence_no"]))
    assert "备注, licence_no" in unknown.message
    assert "items template industrial-product-licence" in unknown.hint
    missing = said(as_csv(ROW, columns=[c for c in COLUMNS if c not in ("kind", "category", "detail")]))
    assert missing.message.endswith("columns are missing: kind, category")


def test_columns_that_nobody_needs_may_be_missing() -> None:
    """In any order, too."""
    columns = [c for c in reversed(COLUMNS) if c not in ("licence_number", "detail")]
    assert one(as_csv(ROW, columns=columns))["products"] == [{"category": "化肥", "site": "清水工业园"}]


def test_an_empty_table_is_said_to_be_one() -> None:
    """A template that nobody filled in."""
    assert "no application" in said(as_csv()).message
    assert "no application" in said(as_csv({})).message


def test_a_filing_is_not_applied_for() -> None:
    """Filings belong to a registration."""
    assert said(as_csv(ROW), "seal-engraving-filing").hint == "--item business-licence"


def test_a_table_is_told_from_events_by_its_first_lines() -> None:
    """So `submit` knows which of its files need an item."""
    assert is_text_table(as_csv(ROW, encoding="utf-16"))
    assert not is_text_table(b'{"specversion":"1.0","data":{"application_id":"a","id":"b"}}\n')


# ---- actions ------------------------------------------------------------------------------------------------

ON_LICENCE = {**ROW, "licence_number": "（青）XK13-001-00001"}


@pytest.mark.parametrize("action", ["extend", "renew", "reissue", "surrender"])
def test_an_action_names_its_licence(action: str) -> None:
    """With the papers that it needs and no more."""
    data = one(as_csv({**ON_LICENCE, "action": action}))
    assert data["licence_number"] == "(青)XK13-001-00001"
    kinds = [m["kind"] for m in data["materials"]]
    letter = ["commitment-letter"] if action in ("extend", "renew") else []
    assert kinds == ["application-form", *letter]
    assert _enters(data)


def test_a_merge_names_several_licences() -> None:
    """With any of the separators that people write."""
    for between in (";", "；", "、", ", "):
        numbers = f"(青)XK13-001-00001{between}(青)XK13-001-00002"
        data = one(as_csv({**ROW, "action": "merge", "licence_number": numbers}))
        assert data["licence_numbers"] == ["(青)XK13-001-00001", "(青)XK13-001-00002"]
        assert _enters(data)


def test_a_change_has_columns_of_its_own() -> None:
    """The applicant is as now, `change.*` what it becomes; products are all that remain."""
    columns = [*COLUMNS, "change.name", "change.division"]
    row = {
        **ON_LICENCE,
        "action": "change",
        "change.name": "青海新名化工有限公司",
        "change.division": "630222 民和",
    }
    data = one(as_csv(row, columns=columns))
    assert data["change"] == {
        "name": "青海新名化工有限公司", "division": "630222", "products": DATA["products"],
    }  # fmt: skip
    assert data["applicant"] == DATA["applicant"]
    assert "products" not in data
    assert _enters(data)


def test_a_registration_collects_the_fields_of_its_item() -> None:
    """A consolidated item is registered, without filings; its further actions are applications."""
    columns = columns_of(item("business-licence"))
    row = {**ROW, "registered-capital": "500", "business-scope": "化肥生产", "signed_on": ""}
    [(_, event)] = read_applications(
        as_csv(row, columns=columns), item("business-licence"), SENT, "t"
    ).outcomes
    assert isinstance(event, dict)
    assert parse_event(json.dumps(event).encode(), NOW).type_name == "registration.submitted"
    assert event["data"] == {
        "application_id": ROW["application_id"],
        "applicant": DATA["applicant"],
        "items": [],
        "shared": {"registered-capital": "500", "business-scope": "化肥生产"},
        "materials": [{"kind": "application-form"}],
    }
    reissue = one(as_csv({**ON_LICENCE, "action": "reissue"}, columns=columns), "business-licence")
    assert reissue["action"] == "reissue"


def test_a_day_in_a_field_is_text() -> None:
    """Fields are answers, not days: a spreadsheet's day is written as ISO 8601."""
    columns = columns_of(item("business-licence"))
    row = {**ROW, "established-on": date(2018, 9, 9), "registered-capital": 500.0}
    assert one(as_xlsx(row, columns=columns), "business-licence")["shared"] == {
        "established-on": "2018-09-09", "registered-capital": "500",
    }  # fmt: skip


def test_a_person_applies_by_a_table_too() -> None:
    """An item without products and without a letter."""
    row = {**ROW, "kind": "person", "id": "11010519491231002X", "category": "", "site": "", "detail": ""}
    data = one(as_csv(row), "special-equipment-operator")
    assert [m["kind"] for m in data["materials"]] == ["application-form", "examination-record"]
    assert _enters(data)


# ---- laws ---------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=12)
PRODUCTS = st.lists(
    st.fixed_dictionaries({"category": st.sampled_from(["化肥", "人造板", "砂轮"]), "site": NAMES, "detail": NAMES}),
    min_size=1,
    max_size=3,
)  # fmt: skip
APPLICATIONS = st.lists(st.tuples(NAMES, NAMES, PRODUCTS), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(APPLICATIONS)
def test_every_form_of_a_table_gives_the_same_applications(given_: list[Any]) -> None:
    """By openpyxl, by the csv module, in every encoding: the data are equal, and are what was written."""
    rows, wanted = [], []
    for n, (name, address, products) in enumerate(given_):
        said_once = {**ROW, "application_id": f"A-{n}", "name": name, "address": address}
        rows += [{**said_once, **product} for product in products]
        applicant = {**DATA["applicant"], "name": name, "address": address}
        wanted.append({**DATA, "application_id": f"A-{n}", "applicant": applicant, "products": products})
    files = [as_xlsx(*rows), *(as_csv(*rows, encoding=e) for e in ENCODINGS), as_csv(*rows, separator=";")]
    for raw in files:
        assert [data for _, data in outcomes(raw)] == wanted


def _enters(data: dict[str, Any]) -> bool:
    """Whether the door takes an application in."""
    event = {
        "specversion": "1.0", "id": "1", "source": SENT.source, "type": "zhengzhao.application.submitted.v1",
        "time": "2018-09-10T09:00:00+08:00", "data": data,
    }  # fmt: skip
    return parse_event(json.dumps(event).encode(), NOW).type_name == "application.submitted"
