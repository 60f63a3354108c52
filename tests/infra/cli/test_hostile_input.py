"""Input that must not hurt: a clear error that names file and line or field, with a hint; good neighbours are kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from story import Events, Office, uscc


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


def good(n: int = 1, **more: object) -> bytes:
    """One good line."""
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", f"G-{n}", uscc(n), **more)
    return json.dumps({**e.lines[0], "id": f"good-{n}"}, ensure_ascii=False).encode()


def changed(find: str, put: str) -> bytes:
    """A good line with one text in it changed."""
    line = good().decode()
    assert find in line
    return line.replace(find, put).encode()


LINES: dict[str, bytes] = {
    "no JSON": b"hello",
    "truncated": good()[:-40],
    "not UTF-8": good().replace("青".encode(), b"\xff\xfe"),
    "20 MB in one line": b'{"id":"' + b"x" * 20_000_000 + b'"}',
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "100,000 levels of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a key twice": changed('"specversion"', '"id":"other","specversion"'),
    "400 digits": changed('"channel"', '"n":' + "9" * 400 + ',"channel"'),
    "NaN": changed('"channel"', '"n":NaN,"channel"'),
    "Infinity": changed('"channel"', '"n":-Infinity,"channel"'),
    "1e999": changed('"channel"', '"n":1e999,"channel"'),
    "year 1900": changed("2018-09-10T", "1900-09-10T"),
    "year 2900": changed("2018-09-10T", "2900-09-10T"),
    "no zone": changed("+08:00", ""),
    "a lone surrogate": changed("online", "\\ud800"),
    "a path as an id": changed("G-1", "../../etc/passwd"),
    "an unknown type": changed("application.submitted", "application.dreamt"),
    "an array": b"[1,2,3]",
    "a number": b"42",
    "null": b"null",
}


@pytest.mark.parametrize("name", LINES)
def test_a_bad_line_between_good_ones(office: Office, name: str) -> None:
    """It is rejected with its line, an error and a hint; the lines around it are taken in."""
    answer = office.submit(good(1) + b"\n" + LINES[name] + b"\n" + good(2) + b"\n", code=1)
    assert (answer["accepted"], answer["duplicates"]) == (2, 0)
    (rejected,) = answer["rejected"]
    assert (rejected["line"], Path(rejected["file"]).name) == (2, "events.jsonl")
    assert rejected["error"]
    assert rejected["hint"]
    assert len(rejected["error"]) < 500


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 2),
        (b"\n\n  \n", 2),
        ("{}".encode("utf-16"), 1),
        (b"\xef\xbb\xbf" + good() + b"\r\n", 0),
        (good(), 0),
        (b"\n" + good() + b"\n\n" + good(2), 0),
        (b"\x00" * 1000, 1),
        (b"%PDF-1.7 no pdf at all", 1),
    ],
    ids=[
        "empty",
        "blank lines",
        "UTF-16",
        "BOM and CR LF",
        "no last newline",
        "blank lines between",
        "zeros",
        "no PDF",
    ],
)
def test_whole_files(office: Office, content: bytes, code: int) -> None:
    """Empty is unusable input; what has lines is answered line by line."""
    path = office.folder / "f.jsonl"
    path.write_bytes(content)
    office.run("submit", path, code=code)
    assert code == 0 or "hint:" in office.err


@pytest.mark.parametrize("name", ["absent.jsonl", ".", "empty.jsonl", "-"])
def test_an_unusable_file_beside_a_good_one(office: Office, name: str) -> None:
    """Absent, a folder, empty, nothing on standard input: exit 2, named on line 0; good lines of others are kept."""
    (office.folder / "good.jsonl").write_bytes(good() + b"\n{\n")
    (office.folder / "empty.jsonl").touch()
    for files in ((name, "good.jsonl"), ("good.jsonl", name)):
        answer = json.loads(office.run("submit", *files, "--json", code=2, stdin=b""))
        assert [(name, 0), ("good.jsonl", 2)] == sorted(
            ((r["file"], r["line"]) for r in answer["rejected"]), key=lambda row: row[1]
        )
        assert all(r["hint"] for r in answer["rejected"])
    assert office.submit(good())["duplicates"] == 1


def test_nothing_usable_at_all(office: Office) -> None:
    """Wrong use: no answer on standard output, an error with its hint."""
    for files in (("absent.jsonl",), ("absent.jsonl", "."), ("-", "absent.jsonl")):
        assert office.run("submit", *files, code=2, stdin=b"") == ""
        assert "hint:" in office.err


def test_standard_input(office: Office) -> None:
    """`-` is standard input, in any place among files; an empty one is unusable."""
    answer = json.loads(office.run("submit", "-", "--json", stdin=good() + b"\n" + good()))
    assert answer == {"accepted": 1, "duplicates": 1, "rejected": []}
    office.run("submit", "-", code=2, stdin=b"")


def test_same_id_other_content(office: Office) -> None:
    """The first stays, the second is rejected and leaves no trace."""
    office.submit(good())
    answer = office.submit(changed("online", "window"), code=1)
    assert answer["rejected"][0]["line"] == 1
    assert office.submit(good())["duplicates"] == 1


HARMLESS = (
    '#read("/etc/passwd")',
    '#import "x": *',
    "$x^2$ \\ * _a_ `b` @c <d>",
    "<script>alert(1)</script>",
    "=标题",
    "//注释 /* x */",
    "--- ~ '\"",
)


def test_markup_in_names_is_text(office: Office) -> None:
    """Typst markup and HTML stand on the page as they were written."""
    e = Events()
    for n, text in enumerate(HARMLESS, 1):
        applicant = {"kind": "enterprise", "id": uscc(n), "name": text, "address": text, "division": "630225"}
        e.apply("2018-09-10T09:00:00+08:00", f"M-{n}", uscc(n), applicant=applicant)
    office.tell(e)
    rows = {row["holder_id"]: row for row in office.rows("licence", "list")}
    assert [rows[uscc(n)]["holder_name"] for n in range(1, len(HARMLESS) + 1)] == list(HARMLESS)
    for n in range(1, len(HARMLESS) + 1):
        target = office.folder / f"{n}.pdf"
        office.run("licence", "get", rows[uscc(n)]["number"], "--format", "pdf", "-o", target)
        assert office.json("verify", target, "--at", "2018-09-10T10:00:00+08:00")["verdict"] == "valid"


def test_a_character_without_a_font_is_asked_for_at_intake(office: Office) -> None:
    """The correction names the character; no number is used, nothing waits in the dead letters, neighbours are issued."""
    e = Events()
    strange = {
        "kind": "enterprise",
        "id": uscc(1),
        "name": "青海\U00013000化工",
        "address": "一号",
        "division": "630225",
    }
    e.apply("2018-09-10T09:00:00+08:00", "S-1", uscc(1), applicant=strange)
    e.apply("2018-09-10T09:01:00+08:00", "S-2", uscc(2))
    office.tell(e)
    asked = office.case("S-1")
    assert (asked["state"], asked["missing"]) == ("correction-requested", ["applicant.name"])
    assert "U+13000" in asked["reason"]
    assert office.case("S-2")["state"] == "issued"
    assert office.rows("letters", "list") == []
    assert office.licence(office.case("S-2")["licence_number"])["number"].endswith("-00001")
    assert office.json("replay", "--into", office.folder / "again", "--decide")["findings"] == []


def test_a_full_disk_loses_nothing(office: Office) -> None:
    """The store fails in the middle: exit 75 with a hint; with room again the same drain ends the work."""
    e = Events()
    for n in range(1, 5):
        e.apply("2018-09-10T09:00:00+08:00", f"D-{n}", uscc(n))
    office.submit(e)
    objects = office.data / "objects"
    objects.mkdir(exist_ok=True)
    (objects / "licences").write_bytes(b"in the way")  # no folder can be made here
    office.run("drain", code=75, env={"ZHENGZHAO_PATIENCE": "1"})
    assert "hint:" in office.err
    (objects / "licences").unlink()
    office.run("drain")
    assert [office.case(f"D-{n}")["state"] for n in range(1, 5)] == ["issued"] * 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights(office: Office) -> None:
    """An unusable folder is wrong use."""
    office.data.chmod(0o500)
    try:
        (office.folder / "g.jsonl").write_bytes(good())
        office.run("submit", office.folder / "g.jsonl", code=2)
    finally:
        office.data.chmod(0o700)


def _file_in_the_way(data: Path) -> None:
    shutil.rmtree(data)
    data.write_bytes(b"a file")


def _no_database(data: Path) -> None:
    (data / "zhengzhao.sqlite").write_bytes(b"this is no database" * 100)


@pytest.mark.parametrize("spoil", [_file_in_the_way, _no_database])
def test_an_unusable_data_folder(office: Office, spoil: Callable[[Path], None]) -> None:
    """Wrong use, for whoever writes and whoever reads."""
    spoil(office.data)
    (office.folder / "g.jsonl").write_bytes(good())
    for command in (["submit", "g.jsonl"], ["drain"], ["case", "show", "G-1"], ["licence", "list"]):
        office.run(*command, code=2)
        assert "hint:" in office.err


def test_without_keys_nothing_is_decided(tmp_path: Path) -> None:
    """Exit 2, and the hint names `keys init`; what was taken in is still there."""
    office = Office(tmp_path)
    office.data.mkdir()
    (office.data / "settings.toml").write_text("backdate_days = 36500\n")  # the events are of 2018
    office.submit(good())
    office.run("drain", code=2)
    assert "keys init" in office.err
    office.init()
    office.run("drain")
    assert office.case("G-1")["state"] == "issued"
