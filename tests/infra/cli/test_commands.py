"""Every command: help with an example, JSON and nothing else on standard output, exit codes, common options."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from story import Events, Office, uscc

from infra.cli import build, main


def commands(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the tree, groups included."""
    for name, child in getattr(tree, "commands", {}).items():
        yield (*path, name), child
        yield from commands(child, (*path, name))


ALL = sorted(commands(build()), key=lambda pair: pair[0])


@pytest.mark.parametrize("path", [p for p, _ in ALL], ids=" ".join)
def test_every_command_has_help_with_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` says what it does, shows an example of this very command, and ends with 0."""
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"zhengzhao {' '.join(path)}" in text.split("Example", 1)[1]
    assert "--json" in text
    assert "--data" in text


def test_the_commands_of_the_contract_are_there() -> None:
    """The table of the contract, row by row."""
    wanted = (
        "demo", "keys init", "items list", "items check", "schema export", "packet new", "packet fill", "packet read",
        "material put", "submit", "drain", "run", "tick", "case show", "licence list", "licence show", "licence get",
        "holder show", "verify", "replay", "draw commit", "draw announce", "draw reveal", "draw open", "draw void",
        "draw run", "draw verify", "letters list", "letters retry", "worker", "stack up", "stack down", "stack status",
        "log export", "log import", "doctor", "bench",
    )  # fmt: skip
    assert sorted(set(wanted) - {" ".join(path) for path, _ in ALL}) == []


@pytest.mark.parametrize("path", [(), *(p for p, c in ALL if getattr(c, "commands", None))], ids=" ".join)
def test_a_group_alone_shows_its_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong use, and what could be meant."""
    assert main(list(path)) == 2
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing-like-this"], ["submit"], ["case", "show"], ["drain", "--frequently"], ["tick", "--at", "yesterday"],
        ["licence", "get", "x", "--format", "docx"], ["verify"], ["replay"], ["--data"], ["bench", "--licences", "0"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit 2, an error and a hint on standard error, nothing on standard output."""
    assert main(["--data", str(tmp_path), *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert "\nhint: " in shown.err
    assert "Traceback" not in shown.err


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Two licences, and a case that two holders share."""
    made = Office(tmp_path_factory.mktemp("commands"))
    made.init()
    (made.data / "authorities").mkdir()
    (made.data / "authorities" / "63.toml").write_text(
        '[provinces.63]\nhost = "licences.example.org"\n', "utf-8"
    )
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", "A-1", uscc(1))
    e.apply("2018-09-10T09:01:00+08:00", "A-1", uscc(2))
    made.tell(e)
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ("items", "list"), ("licence", "list"), ("holder", "show", uscc(1)), ("case", "show", "A-1", "--holder", uscc(2)),
        ("drain",), ("letters", "list"), ("letters", "retry"), ("keys", "init"), ("doctor",),
        ("tick", "--at", "2018-09-11T00:00:00+08:00", "--confirm"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_json_is_all_of_standard_output(office: Office, arguments: tuple[str, ...]) -> None:
    """One JSON value a line; `--json` and `--data` work before and after the command."""
    for words in (
        (*arguments, "--json"),
        ("--json", *arguments),
        ("--data", str(office.data), *arguments, "--json"),
    ):
        for line in office.run(*words).splitlines():
            json.loads(line)


def test_a_case_that_two_holders_share(office: Office) -> None:
    """Exit 2 naming both; `--holder` tells them apart; a third holder has none."""
    office.run("case", "show", "A-1", code=2)
    assert uscc(1) in office.err
    assert uscc(2) in office.err
    assert office.case("A-1", "--holder", uscc(1))["holder_id"] == uscc(1)
    office.run("case", "show", "A-1", "--holder", uscc(3), code=1)


def test_rows_have_the_keys_of_the_contract(office: Office) -> None:
    """What programs read."""
    row = office.rows("licence", "list")[0]
    wanted = {
        "number", "identifier", "version", "status", "item", "holder_id", "holder_name", "issued_on", "valid_from",
        "valid_until", "application_id", "objects",
    }  # fmt: skip
    assert wanted <= set(row)
    assert wanted | {"history"} <= set(office.licence(row["number"]))
    case = office.case("A-1", "--holder", uscc(1))
    assert {
        "application_id", "state", "item", "holder_id", "due", "history", "missing", "reason", "licence_number",
    } <= set(case)  # fmt: skip
    holder = office.json("holder", "show", uscc(1))
    assert set(holder) >= {
        "holder_id", "name", "credit_class", "licences", "cases", "filings", "checks", "refused",
    }  # fmt: skip
    assert set(office.rows("items", "list")[0]) >= {"code", "name", "mode", "limits", "fields", "check_days"}


def test_queries_take_any_spelling(office: Office) -> None:
    """Ids are compared after NFKC, trimming and upper-casing; outputs show the compared form."""
    number = office.rows("licence", "list")[0]["number"]
    wide = number.replace("(", "（").replace(")", "）").lower()
    assert office.licence(f" {wide} ")["number"] == number
    assert office.json("holder", "show", uscc(1).lower())["holder_id"] == uscc(1)
    assert office.case("a-1", "--holder", uscc(1).lower())["application_id"] == "A-1"


def test_get_gives_what_the_manifest_says(office: Office) -> None:
    """Digests and sizes of the object and of what is attached to it; an unknown version is a no."""
    import hashlib

    number = office.rows("licence", "list")[0]["number"]
    parts = {}
    for form in ("pdf", "cwt", "json", "manifest"):
        office.run("licence", "get", number, "--format", form, "-o", f"out.{form}")
        parts[form] = (office.folder / f"out.{form}").read_bytes()
    manifest = json.loads(parts["manifest"])
    said = {x["name"]: x["sha256"] for x in (*manifest["objects"], *manifest["attached"])}
    assert said == {
        name: hashlib.sha256(parts[form]).hexdigest()
        for name, form in (("licence.pdf", "pdf"), ("credential.cwt", "cwt"), ("licence.json", "json"))
    }
    assert (office.data / "objects" / manifest["objects"][0]["key"]).read_bytes() == parts["pdf"]
    office.run("licence", "get", number, "--version", "7", "-o", "x", code=1)
    office.run("licence", "get", "(青)XK00-000-00000", "-o", "x", code=1)


def test_a_tick_of_tomorrow_is_rejected(office: Office) -> None:
    """No time more than five minutes ahead enters."""
    office.run("tick", "--at", "2900-01-01T00:00:00+08:00", code=1)
    assert "hint:" in office.err


def test_two_writers_and_readers(office: Office) -> None:
    """A second drain waits its turn, submit and queries do not wait; nothing is done twice."""
    e = Events()
    for n in range(10, 40):
        e.apply("2018-09-10T09:00:00+08:00", f"W-{n}", uscc(n))
    lines = [line.replace('"e-', '"w-') for line in e.text().splitlines(keepends=True)]
    codes: list[int] = []

    def work(part: list[str], name: str) -> None:
        writer = Office(office.folder)
        (office.folder / name).write_text("".join(part), "utf-8")
        for command in (("submit", name), ("drain",), ("licence", "list"), ("drain",)):
            writer.run(*command, code=None)
            codes.append(writer.code)

    threads = [threading.Thread(target=work, args=(lines[n::2], f"part-{n}.jsonl")) for n in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert codes == [0] * 8
    rows = office.rows("licence", "list")
    numbers = [row["number"] for row in rows]
    assert len(numbers) == len(set(numbers)) == 32
    assert sorted(int(n[-5:]) for n in numbers) == list(range(1, 33))
    assert all(row["objects"] for row in rows)
    office.run("replay", "--into", office.folder / "again", "--decide")


def test_a_folder_in_which_nothing_happened(tmp_path: Path) -> None:
    """Nothing to list is no fault; unknown things are a no; a folder that is not there is wrong use."""
    office = Office(tmp_path)
    office.run("licence", "list", code=2)
    office.init()
    assert office.rows("licence", "list") == []
    office.run("case", "show", "A-1", code=1)
    office.run("holder", "show", uscc(1), code=1)
    office.run("drain")


def test_a_wrong_passphrase_is_told_before_anything_is_decided(tmp_path: Path) -> None:
    """Exit 2; with the right one the same drain works."""
    office = Office(tmp_path)
    office.run("keys", "init", "--valid-from", "2018-01-01", env={"ZHENGZHAO_PASSPHRASE": "the right one"})
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", "A-1", uscc(1))
    office.submit(e)
    for wrong in ({}, {"ZHENGZHAO_PASSPHRASE": "wrong"}):
        office.run("drain", code=2, env=wrong)
        assert "hint:" in office.err
        office.run("case", "show", "A-1", code=1)
    office.run("drain", env={"ZHENGZHAO_PASSPHRASE": "the right one"})
    assert office.case("A-1")["state"] == "issued"
    office.run("replay", "--into", tmp_path / "again")


def test_items_check_says_what_is_wrong(office: Office) -> None:
    """A wrong item file is a no that names file and key; no file is wrong use."""
    (office.folder / "bad.toml").write_text('code = "x"\n')
    office.run("items", "check", "bad.toml", code=1)
    assert "bad.toml" in office.err
    assert "name" in office.err
    office.run("items", "check", "absent.toml", code=2)
