"""Tables of applications from outside: templates, submission by row, the same file again, files of other forms."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from story import PROVINCE, ROOT, Office
from tables import ENCODINGS, ROW, as_csv, as_xlsx

ITEM = "industrial-product-licence"
AT = ("--at", "2018-09-10T09:00:00+08:00")
SENT = ("--item", ITEM, "--source", PROVINCE)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with keys."""
    office = Office(tmp_path_factory.mktemp("keyed"))
    office.init()
    return office.data


@pytest.fixture
def office(keyed: Path, tmp_path: Path) -> Office:
    made = Office(tmp_path)
    shutil.copytree(keyed, made.data)
    return made


def test_a_table_becomes_licences(office: Office) -> None:
    """Rows of one id are one application, which is granted with all its products."""
    (office.folder / "a.csv").write_bytes(as_csv(ROW, {**ROW, "category": "电线电缆"}, encoding="gb18030"))
    assert {"accepted": 1, "duplicates": 0, "rejected": []} == office.json("submit", "a.csv", *SENT, *AT)
    office.run("drain")
    assert "issued" == office.json("case", "show", ROW["application_id"])["state"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_file_again_is_duplicates(office: Office, encoding: str) -> None:
    """Without `--at` the time of the first submission counts for the file's events ever after."""
    table = as_csv({**ROW, "signed_on": ""}, encoding=encoding)
    (office.folder / "a.csv").write_bytes(table)
    (office.folder / "b.csv").write_bytes(table)
    first, again = office.json("submit", "a.csv", *SENT), office.json("submit", "b.csv", *SENT)
    assert ((1, 0), (0, 1)) == (
        (first["accepted"], first["duplicates"]),
        (again["accepted"], again["duplicates"]),
    )


def test_a_bad_row_is_reported_and_its_neighbours_are_kept(office: Office) -> None:
    """The rejection names file, row and column; the exit code is 1."""
    (office.folder / "a.xlsx").write_bytes(as_xlsx({**ROW, "application_id": "QH-2", "id": 9.16e17}, ROW))
    answer = office.json("submit", "a.xlsx", *SENT, *AT, code=1)
    assert (1, ["a.xlsx"], [2]) == (
        answer["accepted"],
        [r["file"] for r in answer["rejected"]],
        [r["line"] for r in answer["rejected"]],
    )


def test_a_template_is_a_table_without_rows(office: Office) -> None:
    """An empty template says that there is no application in it; wrong use."""
    for name in ("t.xlsx", "t.csv"):
        office.run("items", "template", ITEM, "-o", name)
        office.run("submit", name, *SENT, code=2)
        assert "there is no application in the table" in office.err


def test_a_table_needs_item_and_source(office: Office) -> None:
    """Without them the command says which options are missing."""
    (office.folder / "a.csv").write_bytes(as_csv(ROW))
    office.run("submit", "a.csv", code=2)
    assert "--item and --source" in office.err


def test_files_of_other_forms_are_named(office: Office) -> None:
    """A gzip file, a picture and a framed record are named for what they are; nothing is taken in."""
    for raw, word in (
        (gzip.compress(b"{}", mtime=0), "gzip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "PNG"),
        (b"\0\0\0\0\7{}", "framing"),
    ):
        (office.folder / "f").write_bytes(raw)
        office.run("submit", "f", code=2)
        assert word in office.err


def test_arrays_and_printed_events_are_read(office: Office) -> None:
    """The elements of an array are events; each rejection has its line."""
    (office.folder / "a.json").write_text('[\n {"id": 1},\n {"id": 2}\n]')
    assert [2, 3] == [r["line"] for r in office.json("submit", "a.json", code=1)["rejected"]]


def test_the_page_of_the_documentation(office: Office) -> None:
    """The commands of docs/tables.md give the answers that it shows."""
    text = (ROOT / "docs" / "tables.md").read_text("utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    assert ["sh", "csv", "sh", "json"] == [kind for kind, _ in blocks]
    template, table, submit, answer = (body for _, body in blocks)
    office.run(*template.split()[1:])
    (office.folder / "applications.csv").write_text(table, "utf-8")
    shown = office.run(*submit.replace("\\\n", " ").split()[1:], code=1)
    assert json.loads(answer) == json.loads(shown)
