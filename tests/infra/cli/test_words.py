"""The command line in Chinese: a word for every field, state, event and check that it can print."""

from __future__ import annotations

import ast
import fcntl
import io
import re
import zlib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from story import Events, Office, uscc

from infra.cli import main
from infra.cli.words import check_name, heading, one_language, value_word
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


LATIN = re.compile(r"[A-Za-z]{2,}")
CODES = re.compile(
    r"Noto\S+|typst.*|settings\.toml.*|authorities/.*|SQLite: ok|schema export|keys init|ZHENGZHAO[._A-Z]*|zhengzhao [a-z -]+[A-Z]*"
    r"|/\S+|https?://\S+|urn:\S+|status/\S+|\S*XK13\S+|\S+T\S+\+08:00|[0-9a-f]{12,}\S*|[\w-]+-[\w-]+|keys/root|auth: none"
    r"|NaN|JSON|PDF|GB|null|specversion|source|credential|draw|log|seal|status|host"
)
"""What stands in a Chinese message as it is: places, commands, codes, names of programs and of keys' uses."""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A folder with an issued and suspended licence, an application that lacks papers, and a file of broken lines."""
    here = Office(tmp_path_factory.mktemp("words"))
    here.init()
    events = Events()
    events.apply("2018-09-10T09:00:00+08:00", "N-1", uscc(1))
    events.apply("2018-09-10T09:00:00+08:00", "N-2", uscc(2), materials=[])
    events.add(
        "licence.suspended", "2018-09-11T09:00:00+08:00",
        {"granted_by": "N-1", "holder_id": uscc(1), "ground": "整改", "decided_on": "2018-09-11", "until": "2018-12-01"},
    )  # fmt: skip
    here.tell(events)
    (here.folder / "broken.jsonl").write_text('{"id": 1}\n{"a": NaN}\n')
    return here


def said(office: Office, language: str, *words: str) -> tuple[str, str]:
    """The words of a command on both of its streams, in a language."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("LC_ALL", language)
        main([*words, "--data", str(office.data)])
    return out.getvalue(), err.getvalue()


def commands(office: Office) -> list[tuple[str, ...]]:
    number = office.case("N-1")["licence_number"]
    key = said(office, "C", "status", "show", "--json")[0].split('"list":"')[1].split('"')[0]
    return [
        ("case", "show", "N-1"), ("case", "show", "N-2"), ("case", "show", "X-1"), ("licence", "list"), ("doctor",),
        ("status", "show"), ("status", "show", key), ("status", "show", "X-1"), ("submit", f"{office.folder}/broken.jsonl"),
        ("submit", f"{office.folder}/events.jsonl"), ("licence", "get", number, "--format", "pdf", "-o", f"{office.folder}/x.pdf"),
        ("licence", "get", "X-1", "--format", "pdf", "-o", f"{office.folder}/y.pdf"),
    ]  # fmt: skip


def test_commands_speak_the_language_of_the_environment(office: Office) -> None:
    """Under a Chinese locale no English half and no key of the contract, under an English one no Chinese half."""
    english, chinese = [], []
    for words in commands(office):
        out, err = said(office, "zh_CN.UTF-8", *words)
        english += [
            (words, line) for line in (out + err).splitlines()
            if LATIN.search(CODES.sub("", line.replace("…", ""))) and "industrial" not in line
        ]  # fmt: skip
        out, err = said(office, "en_US.UTF-8", *words)
        chinese += [(words, line) for line in (out + err).splitlines() if " / " in line]
    assert ([], []) == (english, chinese)


def test_answers_for_programs_do_not_depend_on_the_language(office: Office) -> None:
    """`--json` is the same under every locale."""
    for words in (("case", "show", "N-2", "--json"), ("submit", f"{office.folder}/broken.jsonl", "--json")):
        chinese, other = (said(office, language, *words)[0] for language in ("zh_CN.UTF-8", "C"))
        assert other == chinese
    assert "没有 NaN / there is no NaN" in other


def test_halves_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of the other half, or one that follows both, stays; what cannot be told keeps both halves."""
    told = {
        "截至 / as of 2018-09-10": ("截至 2018-09-10", "as of 2018-09-10"),
        "收下 / accepted 1 · 重复 / duplicates 2": ("收下 1 · 重复 2", "accepted 1 · duplicates 2"),
        "R.xlsx: 没有列 / no column: code": ("R.xlsx: 没有列: code", "R.xlsx: no column: code"),
        "not drawn: T-1 / 未抽中该对象": ("未抽中该对象: T-1", "not drawn: T-1"),
        "公钥不符 / the key 77af of A is not it": ("公钥不符 / the key 77af of A is not it", "the key 77af of A is not it"),
        "甲 / 乙": ("甲 / 乙", "甲 / 乙"),
    }  # fmt: skip
    for text, expected in told.items():
        found = []
        for language in ("zh", "en"):
            monkeypatch.setenv("LC_ALL", language)
            found.append(one_language(text))
        assert expected == tuple(found)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert list(told) == [one_language(text) for text in told]


def test_no_message_loses_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in the braces of any message in the tree is there in both languages."""
    texts = set()
    for room in ("infra", "processors", "producers", "schemas", "verification", "issuance"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        part.value if isinstance(part, ast.Constant) else f"v{zlib.crc32(ast.unparse(part).encode()):08x}"
                        for part in node.values
                    ]  # fmt: skip
                    texts.add("".join(map(str, parts)))
    texts = {text for text in texts if " / " in text and has_chinese(text)}
    assert len(texts) > 500
    lost = []
    for language in ("zh", "en"):
        monkeypatch.setenv("LC_ALL", language)
        lost += [
            (text, one_language(text)) for text in texts
            if set(re.findall(r"v[0-9a-f]{8}", text)) - set(re.findall(r"v[0-9a-f]{8}", one_language(text)))
        ]  # fmt: skip
    assert [] == lost


def test_beside_a_service_nobody_is_sent_to_drain(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proof that is not there yet says when it will be: within a minute beside a `run`, else by `drain`."""
    monkeypatch.setenv("LC_ALL", "en")
    words = ["transparency", "prove", "none", "-o", str(office.folder / "p"), "--data", str(office.data)]
    assert 1 == main(words)
    assert "hint: zhengzhao drain decides" in capsys.readouterr().err
    with (office.data / ".lock").open("r+b") as lock:
        lock.write(b"run (process 1)")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert 1 == main(words)
    said = capsys.readouterr().err
    assert ("hint: zhengzhao run decides within a minute" in said, "drain" in said) == (True, False)


def test_one_place_tells_when_something_is_decided() -> None:
    """No hint or message but `Installation.next_step` says `zhengzhao drain`."""
    found = {
        str(path.relative_to(ROOT))
        for room in ("infra", "producers", "processors", "issuance", "schemas", "verification")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and "zhengzhao drain" in node.value and "Example:" not in node.value and "\n" not in node.value
    }  # fmt: skip
    assert {"infra/bootstrap.py", "infra/cli/holder.py"} == found
