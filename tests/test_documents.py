"""Every code block of every document: run as it stands, or read by the program that reads it; none is only looked at.

A block that cannot be run stands in `NOT_RUN` with its reason. A new block fails `test_every_block_is_known` until it is
run here, in a test that `ELSEWHERE` names, or given a reason.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import typst
from cluster import free_ports
from papers import item_of, kinds
from story import Events, uscc

from infra.delivery.webhooks import load_departments
from infra.settings import load
from infra.stack import local
from issuance import fonts, page
from producers.printed import read_told
from schemas.authorities import load_directory
from schemas.calendar import CHINA
from schemas.items import load_catalogue
from schemas.licence import licence_body
from schemas.trust import load_trust

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block of a document."""

    document: str
    language: str
    text: str


BLOCKS = [Block(path.name, *found) for path in DOCUMENTS for found in _BLOCK.findall(path.read_text("utf-8"))]

NOT_RUN = {
    (
        "transparency.md",
        "needed = 1",
    ): "the witness's key is cut short; tests/infra/test_settings.py reads the table",
    ("README.md", "make demo"): "`make test` runs this very test; the demo has tests/infra/demo/test_demo.py",
    ("README.md", "any client"): "a drawing",
    ("architecture.md", "schemas/       what"): "a list of rooms; `test_rooms_exist` finds each of them",
    (
        "draw.md",
        "ABSENCE.json",
    ): "a round of the beacon comes from outside; test_draw_replace.py runs both steps",
    (
        "draw.md",
        "away,valid_until",
    ): "two lines of a register; test_draw_registers.py reads registers with leave",
    (
        "draw.md",
        "inspect record TRANS",
    ): "ids are of the draw at hand; test_draw_inspections.py runs both commands",
    ("draw.md", "draw lookup TRANS"): "ids are of the draw at hand; test_draw_whole.py runs the command",
    (
        "portal.md",
        "account add",
    ): "numbers are cut short, ids are of the moment; tests/infra/portal runs them",
    (
        "draw.md",
        "draw party add",
    ): "rounds and timestamps come from outside; test_draw_seed.py, test_draw_whole.py run it",
}
ELSEWHERE = {
    (
        "transparency.md",
        "--format proof",
    ): "tests/infra/cli/test_transparency_cli.py::test_a_licence_is_verified_by_the_log",
    (
        "transparency.md",
        "--format tsr",
    ): "tests/infra/transparency/test_timestamps.py::test_a_licence_without_end_is_stamped_once",
    (
        "transparency.md",
        "transparency audit",
    ): "tests/infra/cli/test_transparency_cli.py::test_an_outsider_audits_and_notices_a_cut_tail",
    (
        "transparency.md",
        "witness init",
    ): "tests/infra/cli/test_transparency_cli.py::test_a_witness_signs_a_continuation_and_no_cut_log",
    (
        "operations.md",
        "log export backup.tar",
    ): "tests/infra/recovery/test_archive.py::test_the_walk_of_the_document",
    ("README.md", "zhengzhao keys init"): "tests/test_readme.py::test_the_lines_of_the_readme_can_be_pasted",
    ("service.md", "zhengzhao run"): "tests/acceptance/test_service_walk.py::test_the_walk_of_the_document",
    ("service.md", "agency keygen"): "tests/acceptance/test_service_walk.py::test_the_walk_of_the_document",
    ("service.md", "packet new"): "tests/acceptance/test_service_walk.py::test_the_walk_of_the_document",
    ("service.md", "TOKEN="): "tests/acceptance/test_service_walk.py::test_the_walk_of_the_document",
    ("draw.md", "tail -n +2"): "tests/infra/draw/test_draw_docs.py::test_shell_recipe",
    ("draw.md", "$ANNOUNCEMENT_DIGEST:"): "tests/infra/draw/test_draw_docs.py::test_shell_recipe",
    ("draw.md", "while read"): "tests/infra/draw/test_draw_docs.py::test_shell_recipe",
    ("draw.md", "year = "): "tests/infra/draw/test_draw_docs.py::test_plan_of_a_year_as_the_page_has_it",
    (
        "draw.md",
        'plan = "JS',
    ): "tests/infra/draw/test_draw_docs.py::test_plan_and_result_texts_as_the_page_has_them",
    ("draw.md", "draw replace"): "tests/infra/draw/test_draw_docs.py::test_lines_after_a_draw_can_be_pasted",
    (
        "draw.md",
        "python3 verify_draw.py",
    ): "tests/infra/draw/test_draw_docs.py::test_lines_after_a_draw_can_be_pasted",
}
HERE = {
    ("service.md", '"papers"'), ("items.md", "items ="), ("lifecycle.md", "public-security"), ("operations.md", "[inboxes]"),
    ("operations.md", "stack up"), ("operations.md", "kcat"), ("licence-page.md", "//! qr"), ("verification.md", "trust/root.pem"),
    ("tables.md", "items template industrial"), ("tables.md", "application_id,action"), ("tables.md", "submit applications.csv"),
    ("tables.md", '"accepted"'), ("portal.md", "[mail]"), ("portal.md", "[oidc]"),
    ("operations.md", "[provinces.63]"),
}  # fmt: skip


def block(document: str, words: str) -> str:
    """The one block of a document in which these words stand first."""
    found = [one for one in BLOCKS if one.document == document and key_of(one) == (document, words)]
    assert len(found) == 1, (document, words, len(found))
    return found[0].text


def key_of(one: Block) -> tuple[str, str] | None:
    keys = [*NOT_RUN, *ELSEWHERE, *HERE]
    fitting = [key for key in keys if key[0] == one.document and key[1] in one.text]
    return fitting[0] if fitting else None


def test_every_block_is_known() -> None:
    """Each block is run here, elsewhere, or has a reason; no entry of the lists is left over."""
    keys = [key_of(one) for one in BLOCKS]
    assert [] == [(one.document, one.text[:60]) for one, key in zip(BLOCKS, keys, strict=True) if key is None]
    assert set() == {*NOT_RUN, *ELSEWHERE, *HERE} - set(keys)


@pytest.mark.parametrize("named", sorted(set(ELSEWHERE.values())))
def test_tests_of_blocks_exist(named: str) -> None:
    """A block that another test runs is run by a test that is there."""
    path, _, name = named.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text("utf-8")


def test_cases_have_their_tests() -> None:
    """Forty situations of others, each with a test of ours that is there."""
    text = (ROOT / "docs" / "cases.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \|.*`([a-z0-9_/]+\.py)::(test_\w+)` \|$", text, re.MULTILINE)
    assert [str(n) for n in range(1, len(rows) + 1)] == [number for number, _, _ in rows]
    assert len(rows) >= 40
    missing = [
        f"{path}::{name}"
        for _, path, name in rows
        if f"def {name}(" not in (ROOT / "tests" / path).read_text("utf-8")
    ]
    assert [] == missing


@pytest.mark.parametrize("document", ["security.md", "persons.md"])
def test_promises_have_their_tests(document: str) -> None:
    """Each promise of a table names a test, and each test or folder of tests that is named is there, with tests in it."""
    text = (ROOT / "docs" / document).read_text("utf-8")
    promises = text.partition("| promise | test |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert [] == [line for line in promises if not re.search(r"\| .*`tests/[a-z0-9_/]+\.py`[^|]*\|$", line)]
    named = re.findall(r"`(tests/[a-z0-9_/]+(?:\.py)?)`", text)
    found = {
        name: [ROOT / name] if name.endswith(".py") else [*(ROOT / name).glob("test_*.py")] for name in named
    }
    assert len(found) >= 4
    assert [] == [
        name for name, files in found.items()
        if not any(one.is_file() and "\ndef test_" in one.read_text("utf-8").replace("async def", "def") for one in files)
    ]  # fmt: skip
    assert [] == re.findall(r"`(test_\w+\.py)`", text)


def test_rooms_exist() -> None:
    """Every room that the architecture lists is a folder or a module."""
    room, missing = ROOT, []
    for line in block("architecture.md", "schemas/       what").splitlines():
        inner = line.startswith("  ")
        names = re.match(r"\s*((?:[a-z_]+/?,? )+) ", line)
        for name in re.findall(r"[a-z_]+", names[1]) if names else ():
            place = (room if inner else ROOT) / name
            if not (place.is_dir() or place.with_suffix(".py").is_file()):
                missing.append(str(place.relative_to(ROOT)))
        if not inner:
            room = ROOT / line.partition("/")[0]
    assert [] == missing


def test_settings_and_departments(tmp_path: Path) -> None:
    """The TOML of operations, items and lifecycle is taken by what reads it."""
    (tmp_path / "settings.toml").write_text(
        block("items.md", "items =") + block("operations.md", "[inboxes]"), "utf-8"
    )
    (tmp_path / "my-items").mkdir()
    settings = load(tmp_path, {})
    assert (tmp_path / "my-items",) == tuple(settings.items)
    assert {"zhengzhao.inbox.632200": "urn:agency:632200:market-regulation"} == dict(settings.inboxes)
    (tmp_path / "settings.toml").write_text(block("portal.md", "[mail]"), "utf-8")
    hall = load(tmp_path, {})
    assert ("630000", "mail.example") == (hall.window, hall.mail.host if hall.mail else None)
    (tmp_path / "settings.toml").write_text(block("portal.md", "[oidc]"), "utf-8")
    assert load(tmp_path, {}).oidc is not None
    (tmp_path / "authorities").mkdir()
    (tmp_path / "authorities" / "own.toml").write_text(block("operations.md", "[provinces.63]"), "utf-8")
    directory = load_directory(tmp_path / "authorities")
    assert ["LICENCES.EXAMPLE.ORG"] == [one.host for one in directory.provinces.values()]
    assert ["青海省市场监督管理局"] == [one.name for one in directory.authorities.values()]
    (tmp_path / "departments.toml").write_text(block("lifecycle.md", "public-security"), "utf-8")
    assert ["public-security"] == list(load_departments(tmp_path))
    assert 10 == tomllib.loads(block("lifecycle.md", "public-security"))["public-security"]["timeout"]


def test_values_of_scans() -> None:
    """What the service's document tells of scans is read."""
    told = read_told(block("service.md", '"papers"').encode(), "values.json")
    assert "industrial-product-licence" == told.item
    assert {"application-form", "commitment-letter"} == set(told.papers.values())
    assert load_catalogue().get(told.item) is not None


def test_a_template_of_a_page(tmp_path: Path) -> None:
    """The template of the document is set, both layers, beside those that are shipped."""
    folder = tmp_path / "templates"
    shutil.copytree(page.TEMPLATES, folder)
    text = block("licence-page.md", "//! qr")
    (folder / "new.typ").write_text(text, "utf-8")
    assert {"qr", "seal"} == {kind for kind, *_ in page._ROOM.findall(text)}
    numbered = kinds()["short"]
    body = licence_body(numbered, numbered.grant.holder_name, numbered.grant.address, item_of(numbered.grant))
    sheet = page.sheet(body, "general")
    for layer in (sheet.form, sheet.values):
        made = typst.compile(
            str(folder / "new.typ"), root=str(folder), font_paths=[str(p.parent) for p in fonts.paths()],
            sys_inputs={"data": json.dumps(layer, ensure_ascii=False)}, format="pdf", pdf_standards="a-3b",
            ignore_system_fonts=True,
        )  # fmt: skip
        assert made[:5] == b"%PDF-"


class Shell:
    """A terminal in a folder that has the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "bin" / "zhengzhao"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m infra.cli "$@"\n', "utf-8")
        program.chmod(0o755)
        own = {name: value for name, value in os.environ.items() if not name.startswith("ZHENGZHAO_")}
        self.environment = {**own, "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def run(self, script: str, *codes: int) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode in (codes or (0,)), (script, done.stdout[-1500:], done.stderr[-1500:])
        return done.stdout


def test_the_tables_of_the_document(tmp_path: Path) -> None:
    """The template is written; the table gives the very answer, and its good application is decided."""
    shell = Shell(tmp_path)
    shell.run("zhengzhao keys init --valid-from 2018-01-01")
    shell.run(block("tables.md", "items template industrial"))
    assert (tmp_path / "applications.xlsx").read_bytes()[:2] == b"PK"
    (tmp_path / "applications.csv").write_text(block("tables.md", "application_id,action"), "utf-8")
    said = shell.run(block("tables.md", "submit applications.csv"), 1)
    assert json.loads(block("tables.md", '"accepted"')) == json.loads(said)
    shell.run("zhengzhao drain")
    assert '"state":"issued"' in shell.run("zhengzhao case show QH-2018-000001 --json")
    trust = tmp_path / "zhengzhao-data" / "trust"
    load_trust(trust)
    for line in block("verification.md", "trust/root.pem").splitlines():
        name = line.split()[0].removeprefix("trust/").replace("<kid>", "*")
        assert list(trust.glob(name.rstrip("/"))), name


@pytest.mark.servers
def test_the_walk_of_operations(tmp_path: Path) -> None:
    """A stack, two workers, events by the command and by kcat: every application is a licence."""
    assert shutil.which("kcat"), "kcat is not installed: apt install kcat"
    shell, first = Shell(tmp_path), free_ports(12)
    day = datetime.now(CHINA) - timedelta(minutes=1)
    events = Events()
    for n in (1, 2):
        events.apply(day.isoformat(timespec="seconds"), f"N-{n}", uscc(n))
    (tmp_path / "events.jsonl").write_text(json.dumps(events.lines[0], ensure_ascii=False) + "\n", "utf-8")
    keyed = f"{uscc(2)}|{json.dumps(events.lines[1], ensure_ascii=False)}\n"
    (tmp_path / "keyed-events.txt").write_text(keyed, "utf-8")
    ports = {
        "stack up": f"stack up --kafka-port {first} --s3-port {first + 2}",
        "127.0.0.1:9092": f"127.0.0.1:{first}",
        "127.0.0.1:8080": f"127.0.0.1:{first + 11}",
        "--port 8090": f"--port {first + 10}",
    }

    def lines(text: str) -> str:
        for old, new in ports.items():
            text = text.replace(old, new)
        plain = re.sub(r"^\$ ", "", text, flags=re.MULTILINE)
        return re.sub(r"^(zhengzhao (?:worker|run)\b[^#\n]*?)( *#.*)?$", r"\1 >>worker.log 2>&1 & echo $! >>pids", plain, flags=re.MULTILINE)  # fmt: skip

    ready = f"for n in $(seq 600); do curl -sf http://{ports['127.0.0.1:8080']}/ready >/dev/null && break; sleep 0.3; done\n"
    script = lines(block("operations.md", "stack up")) + ready + lines(block("operations.md", "kcat"))
    try:
        served = ready.replace(f"{first + 11}/ready", f"{first + 10}/healthz")
        out = shell.run(f"{script}{served}zhengzhao licence list --json\n")
        rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        assert {"N-1", "N-2"} == {row["application_id"] for row in rows if row["objects"]}
        assert "Traceback" not in (tmp_path / "worker.log").read_text("utf-8")
    finally:
        for pid in (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else ():
            os.kill(int(pid), signal.SIGKILL)
        local.down(tmp_path / "zhengzhao-data")
