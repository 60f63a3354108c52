"""A draw made again in node and in a browser: the same answers as `draw verify` on one table of files."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser_draws import in_node
from playwright.sync_api import Browser

from infra.bootstrap import Installation
from infra.cli import main
from infra.http.lookups import Lookups
from infra.settings import Settings
from schemas.canonical_json import canonical
from schemas.errors import NotFound
from tests.infra.draw.conftest import PLAN
from verification.browser_page import draw_page, trust_files

Files = dict[str, bytes]
Given = dict[str, Any]  # the same with lists of `papers` and `tokens`


def command(data: Path, *words: str | Path) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([*map(str, words), "--data", str(data)]) == 0
    return said.getvalue()


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Files]:
    """The folder of a draw with registered parties, and its files by kind; names have commas and quotes."""
    folder = tmp_path_factory.mktemp("drawing")
    data = folder / "data"
    command(data, "keys", "init")
    registers = {
        "targets": [
            {
                "id": f"T{n:03d}", "name": f'企业,"{n}"' if n % 7 == 0 else f"企业{n}", "division": f"6301{n % 3 + 2:02d}",
                "credit_class": "ABCD"[n % 4] if n % 5 else "", "category": "auction" if n % 4 == 0 else "other",
            }
            for n in range(60)
        ],
        "inspectors": [
            {
                "id": f"I{n}", "name": f"检查员{n}", "department": f"d{n % 2}",
                "division": ("630100", "630102", "630103", "630104", "630000")[n % 5],
                "qualifications": "market；food" if n % 3 == 0 else "food",
            }
            for n in range(15)
        ],
        "conflicts": [
            {"inspector_id": f"I{(n + 3) % 15}", "target_id": f"T{n:03d}", "reason": "持股"} for n in range(60)
        ],
    }  # fmt: skip
    paths = {kind: table(folder / f"{kind}.csv", rows) for kind, rows in registers.items()}
    options: list[str | Path] = [
        "--register",
        paths["targets"],
        "--inspectors",
        paths["inspectors"],
        "--conflicts",
    ]
    options.append(paths["conflicts"])
    plan = folder / "plan.toml"
    plan.write_text(PLAN)
    promised: list[str | Path] = []
    for party in ("regulator", "discipline"):
        said = command(data, "draw", "commit", "--party", party, "-o", folder / f"{party}.secret")
        (folder / f"{party}.commitment").write_text(said)
        (folder / f"{party}.pem").write_text(json.loads(said)["key"])
        command(data, "draw", "party", "add", party, folder / f"{party}.pem")
        promised += ["--commitment", folder / f"{party}.commitment"]
    command(data, "draw", "announce", plan, *options, *promised, "-o", folder / "A.json")
    shown: list[str | Path] = []
    for party in ("regulator", "discipline"):
        said = command(
            data, "draw", "reveal", folder / f"{party}.secret", "--announcement", folder / "A.json"
        )
        (folder / f"{party}.reveal").write_text(said)
        shown += ["--reveal", folder / f"{party}.reveal"]
    command(data, "draw", "run", folder / "A.json", *options, *shown, "-o", folder / "T.json")
    files = {kind: path.read_bytes() for kind, path in paths.items()}
    return folder, {"transcript": (folder / "T.json").read_bytes(), **files}


def changed(files: Files, change: Callable[[dict[str, Any]], Any]) -> Files:
    """The files with another transcript."""
    transcript = json.loads(files["transcript"])
    change(transcript)
    return {**files, "transcript": canonical(transcript)}


def announced(files: Files, change: Callable[[dict[str, Any]], Any]) -> Files:
    """The files with another announcement, which the transcript names by its own digest."""

    def again(transcript: dict[str, Any]) -> None:
        announcement = transcript["announcement"]
        change(announcement)
        unsigned = {key: value for key, value in announcement.items() if key != "signature"}
        transcript["announcement_digest"] = hashlib.sha256(canonical(unsigned)).hexdigest()

    return changed(files, again)


def rows_of(files: Files) -> dict[str, Files]:
    """The table: true draws, and one change in each of the others."""
    without = {kind: data for kind, data in files.items() if kind != "conflicts"}
    crlf = {
        k: v if k == "transcript" else b"\xef\xbb\xbf" + v.replace(b"\n", b"\r\n") for k, v in files.items()
    }

    def drawn(t: dict[str, Any]) -> list[Any]:
        found: list[Any] = t["strata"][1]["drawn"]
        return found

    def first(t: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = t["assignments"][0]
        return found

    return {
        "true": files,
        "true, CR LF and BOM": crlf,
        "true, blank lines": {**files, "targets": files["targets"].replace(b"\n", b"\n\n")},
        "true, without conflicts": without,
        "true, targets alone": {k: files[k] for k in ("transcript", "targets")},
        "a target more": {**files, "targets": files["targets"] + b"T900,x,630102,A,other\n"},
        "another class": {**files, "targets": files["targets"].replace(b"630103,B", b"630103,D", 1)},
        "an id twice": {**files, "targets": files["targets"] + files["targets"].splitlines()[-1] + b"\n"},
        "a short row": {**files, "targets": files["targets"] + b"T900,x\n"},
        "a stray quote": {**files, "targets": files["targets"].replace("企业1,".encode(), '企"业1,'.encode())},
        "a control character": {**files, "targets": files["targets"].replace("企业1,".encode(), b"\x1b,")},
        "an inspector less": {**files, "inspectors": files["inspectors"].rsplit(b"\n", 2)[0] + b"\n"},
        "another conflict": {**files, "conflicts": files["conflicts"].replace("持股".encode(), b"x", 1)},
        "another ticket": changed(files, lambda t: drawn(t)[0].update(ticket="0" * 64)),
        "another order": changed(files, lambda t: drawn(t).reverse()),
        "another inspector": changed(files, lambda t: first(t)["inspectors"].reverse()),
        "a skip less": changed(files, lambda t: t["skipped"].pop()),
        "another seed": changed(files, lambda t: t.update(seed="1" * 64)),
        "another secret": changed(files, lambda t: t["reveals"][0].update(secret="2" * 64)),
        "another title": changed(files, lambda t: t["announcement"].update(title="x")),
        "no signature": changed(files, lambda t: t["signature"].update(value="A" * 86)),
        "other bytes": {**files, "transcript": files["transcript"] + b"\n"},
        "no JSON": {**files, "transcript": b"{"},
        "a reveal of nobody": changed(files, lambda t: t["reveals"].append(None)),
        "no registers": announced(files, lambda a: a.pop("registers")),
        "a register less": announced(files, lambda a: a["registers"].pop("conflicts")),
        "no commitments": announced(files, lambda a: a.update(commitments=None)),
        "no announcement": changed(files, lambda t: t.update(announcement=None)),
    }  # fmt: skip


def in_python(folder: Path, files: Given) -> tuple[str, list[str]] | None:
    """Verdict and `unchecked` of `draw verify`; None where the transcript is no JSON (exit 2)."""
    paths = {}
    chain = folder / "given-chain"
    for kind, data in files.items():
        if kind == "papers":
            shutil.rmtree(chain, ignore_errors=True)
            chain.mkdir()
            for n, paper in enumerate(data):
                (chain / f"{n}.json").write_bytes(paper)
            continue
        paths[kind] = folder / f"given-{kind}"
        paths[kind].write_bytes(data)
    words: list[str | Path] = [
        "draw",
        "verify",
        paths["transcript"],
        "--register",
        paths["targets"],
        "--json",
    ]
    for kind in ("inspectors", "conflicts"):
        words += [f"--{kind}", paths[kind]] if kind in paths else []
    words += ["--chain", chain] if "papers" in files else []
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        code = main([*map(str, words), "--data", str(folder / "data")])
    if code == 2:
        return None
    report = json.loads(said.getvalue())
    return report["verdict"], report["unchecked"]


def test_node_agrees_with_draw_verify(drawn: tuple[Path, Files]) -> None:
    """The same verdict and the same open points for every row; only what is no JSON at all is `invalid` there alone."""
    folder, files = drawn
    rows = rows_of(files)
    expected = {name: in_python(folder, given) or ("invalid", []) for name, given in rows.items()}
    found = {name: (one["verdict"], one["unchecked"]) for name, one in in_node(folder, rows).items()}
    assert expected == found
    assert {name for name, (verdict, _) in expected.items() if verdict == "valid"} == {
        name for name in rows if name.startswith("true")
    }


def test_node_agrees_about_the_chain(drawn: tuple[Path, Files]) -> None:
    """With the papers of the authority's draws order, earlier draws and replacements are checked, as `--chain` does."""
    folder, files = drawn
    own = (folder / "A.json").read_bytes()
    transcript = json.loads(files["transcript"])
    digest = transcript["announcement_digest"]
    authority = transcript["announcement"]["authority"]
    signature = transcript["signature"]
    void = {"void": digest, "authority": authority, "sequence": 1, "reason": "x", "signature": signature}
    rows: dict[str, Given] = {
        "true, with its announcement": {"papers": [own]},
        "true, with papers of others": {"papers": [own, b"{}", own.replace(b"630000", b"440000"), b"[1"]},
        "another announcement": {"papers": [own.replace("抽查".encode(), "检查".encode())]},
        "another sequence": {"papers": [own.replace(b'"sequence":1', b'"sequence":2')]},
        "other bytes": {"papers": [own + b"\n"]},
        "another transcript": {"papers": [changed(files, lambda t: t["skipped"].pop())["transcript"]]},
        "a forged void": {"papers": [own, canonical(void)]},
    }
    rows = {name: files | given for name, given in rows.items()}
    expected = {name: in_python(folder, given) for name, given in rows.items()}
    assert expected == {
        name: (one["verdict"], one["unchecked"]) for name, one in in_node(folder, rows).items()
    }
    valid = {name for name, found in expected.items() if found == ("valid", ["publication"])}
    assert {name for name in rows if name.startswith("true")} == valid


def test_page_draws_again_in_a_browser(drawn: tuple[Path, Files], browser: Browser, tmp_path: Path) -> None:
    """From a file, without any request: files dropped are told by their content, and the verdict is `draw verify`'s."""
    folder, files = drawn
    command(folder / "data", "draw", "page", "-o", tmp_path / "draw.html")
    page = browser.new_page(viewport={"width": 360, "height": 740})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "draw.html").as_uri())
    known = rows_of(files)
    given_rows: list[Given] = [known[name] for name in ("true", "another inspector", "a target more")]
    for given in [*given_rows, {**files, "papers": [(folder / "A.json").read_bytes()]}]:
        answer = page.locator("#d-answer[data-verdict]")
        page.evaluate("delete document.querySelector('#d-answer').dataset.verdict")
        each = [one for data in given.values() for one in (data if isinstance(data, list) else [data])]
        payload: Any = [{"name": f"{n}.x", "mimeType": "", "buffer": one} for n, one in enumerate(each)]
        page.set_input_files("#d-file", payload)
        answer.wait_for()
        expected = in_python(folder, given)
        assert expected is not None
        assert expected == (
            answer.get_attribute("data-verdict"),
            (answer.get_attribute("data-unchecked") or "").split(),
        )
    page.fill("#d-id", json.loads(files["transcript"])["strata"][0]["drawn"][0]["id"])
    page.click("#d-form button")
    assert "number 1" in page.inner_text("#d-found")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [(tmp_path / "draw.html").as_uri()] == asked
    page.close()


def test_site_page_has_the_transcript_inside(drawn: tuple[Path, Files]) -> None:
    """The page of a site's draw needs the registers alone; its policy lets no request out."""
    folder, files = drawn
    with Installation(Settings(folder / "data")) as here:
        lookups = Lookups(here)
        made = lookups.draw_again(json.loads(files["transcript"])["announcement_digest"])
        with pytest.raises(NotFound):
            lookups.draw_again("0" * 64)
    assert made == draw_page(trust_files(folder / "data" / "trust"), files["transcript"])
    assert base64.b64encode(files["transcript"]) in made.content
    assert "connect-src" not in made.policy
    assert made.policy.startswith("default-src 'none'")


def test_page_takes_transcripts_and_trust_alone(
    drawn: tuple[Path, Files], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another file than a transcript and a folder without trust are refused; without trust the answer says so."""
    folder, _ = drawn
    out = tmp_path / "draw.html"
    words = ["draw", "page", "-o", str(out), "--data", str(tmp_path / "none")]
    for wrong in (["--transcript", str(folder / "targets.csv")], ["--trust", str(tmp_path)]):
        assert main([*words, *wrong]) == 2
    announced = main([*words, "--transcript", str(folder / "A.json")])
    assert (2, False) == (announced, out.exists())
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    assert {"file": str(out), "signatures": False} == json.loads(capsys.readouterr().out)
    signed = json.loads(command(folder / "data", "draw", "page", "-o", out, "--json"))
    assert {"file": str(out), "signatures": True} == signed
