"""The command line in Chinese: a word for every field, state, event and check that it can print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from story import Events, Office, uscc

from infra.cli.words import check_name, heading, value_word
from schemas import rows
from schemas.event_types import EVENT_TYPES, PREFIX, SUFFIX
from schemas.facts import CaseState, FilingState, LicenceStatus
from schemas.ledger import Auth

ROOT = Path(__file__).resolve().parents[3]
ROWS = [
    rows.CaseRow, rows.ListedCaseRow, rows.DueRow, rows.LicenceRow, rows.LicenceRecordRow, rows.HolderRow, rows.FilingRow,
    rows.ListedFilingRow, rows.CheckRow, rows.ListedCheckRow, rows.RefusedRow, rows.ParticularRow, rows.HistoryLine,
    rows.WindowRow, rows.AuthorityRow, rows.ProductRow, rows.FilingRefRow,
]  # fmt: skip


def has_chinese(text: str) -> bool:
    return re.search("[\u4e00-\u9fff]", text) is not None


@pytest.fixture(autouse=True)
def _in_china(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_every_field_has_a_heading(row: type[msgspec.Struct]) -> None:
    """Nobody who reads Chinese meets a key of the contract."""
    assert [] == [name for name in row.__struct_fields__ if not has_chinese(heading(name))]


def test_every_state_and_event_has_a_word() -> None:
    """States of cases, licences and filings, ways of authentication, types of events, refused ones too."""
    states = {
        "state": (*get_args(CaseState), *get_args(FilingState)),
        "status": (*get_args(LicenceStatus), "unissued"),
        "auth": get_args(Auth),
    }
    states["event"] = tuple(t.removeprefix(PREFIX).removesuffix(SUFFIX) for t in EVENT_TYPES)
    states["event"] += tuple(f"refused:{event}" for event in states["event"])
    missing = [(n, v) for n, values in states.items() for v in values if not has_chinese(value_word(n, v))]
    assert [] == missing


def test_every_check_of_doctor_has_a_name() -> None:
    """Whatever its findings are called."""
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "infra").rglob("*.py"))
    names = set(re.findall(r'DoctorFinding\(\s*"([a-z_]+)"', sources))
    assert len(names) > 15
    assert [] == [name for name in names if not has_chinese(check_name(name))]


def test_a_case_and_a_licence_in_chinese(tmp_path: Path) -> None:
    """What a person reads; `--json` keeps the names of the contract."""
    office = Office(tmp_path)
    office.init()
    events = Events()
    events.apply("2018-09-10T09:00:00+08:00", "N-1", uscc(1))
    events.add(
        "licence.resumed", "2018-09-11T09:00:00+08:00",
        {"granted_by": "N-1", "holder_id": uscc(1), "ground": "依法", "decided_on": "2018-09-11"},
    )  # fmt: skip
    office.tell(events)
    english = re.compile(r"\b(state|issued|submitted|valid|status|refused|resumed|proof|none|overdue)\b")
    number = office.case("N-1")["licence_number"]
    pages = [office.run(*words) for words in (
        ("case", "show", "N-1"), ("case", "list"), ("licence", "list"), ("licence", "show", number), ("holder", "show", uscc(1)),
    )]  # fmt: skip
    found = [english.findall(re.sub(r"\(none\)|[^│]* / [^│]*", "", page)) for page in pages]
    assert [[]] * len(pages) == found
    assert "issued" == office.case("N-1")["state"]
