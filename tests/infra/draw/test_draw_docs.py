"""docs/draw.md: its shell recipe works, and the tests that it names exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

from schemas.draw import annual
from schemas.draw.plan import read_plan
from schemas.event_types import official_results
from tests.infra.draw.conftest import PLAN, Office

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "draw.md").read_text()


def recipe(folder: Path, number: int, **environment: str) -> str:
    block = re.findall(r"```sh\n(.*?)```", TEXT, re.S)[number]
    done = subprocess.run(
        ["bash", "-c", block], cwd=folder, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout


def test_shell_recipe(office: Office) -> None:
    """With sha256sum, sort and head alone: the register's digest, the seed, and who is drawn."""
    text = re.sub(r"weights = .*\n", "", PLAN)
    transcript = json.loads(office.draw(plan=office.plan(text)).read_bytes())
    announced = transcript["announcement"]["registers"]["targets"]["digest"]
    assert recipe(office.folder, 0).split()[0] == announced
    secrets = [reveal["secret"] for reveal in transcript["reveals"]]
    digest = transcript["announcement_digest"]
    seed = recipe(office.folder, 1, ANNOUNCEMENT_DIGEST=digest, SECRET_1=secrets[0], SECRET_2=secrets[1])
    assert seed.split()[0] == transcript["seed"]
    for stratum in transcript["strata"]:
        own = [r["id"] for r in office.rows if (r["category"] == "auction") == (stratum["name"] == "auction")]
        office.path("ids.txt").write_text("\n".join(own) + "\n")
        count = str(stratum["count"])
        lines = recipe(
            office.folder, 2, SEED=transcript["seed"], STRATUM=stratum["name"], COUNT=count
        ).splitlines()
        assert [f"{d['ticket']} {d['id']}" for d in stratum["drawn"]] == lines


def test_named_tests_exist() -> None:
    """Every test that the table of attacks names is there."""
    sources = {path.name: path.read_text() for path in (ROOT / "tests" / "infra" / "draw").glob("test_*.py")}
    whole = "\n".join(sources.values())
    for name in re.findall(r"`(test_\w+)(?:\[[^`]*\])?`", TEXT):
        assert f"def {name}(" in whole, name
    for file in re.findall(r"`(test_\w+\.py)`", TEXT):
        assert file in sources, file


def test_named_commands_exist(office: Office) -> None:
    """Every command of a draw that the page names has help with an example."""
    for group, names in re.findall(r"`(?:zhengzhao )?(draw|inspect) ([a-z|]+)", TEXT):
        for name in names.split("|"):
            out = office.ok(group, name, "--help")
            assert "Example: zhengzhao" in out, name


def test_plan_of_a_year_as_the_page_has_it() -> None:
    """The year's plan on the page is a good one."""
    (block,) = re.findall(r"```toml\n(year = .*?)```", TEXT, re.S)
    year = annual.read_annual(tomllib.loads(block))
    assert 4 == len(annual.plans_of(year))


def test_plan_and_result_texts_as_the_page_has_them() -> None:
    """The whole plan on the page is a good one, and every official text of a result stands there."""
    (block,) = re.findall(r"```toml\n(plan = .*?)```", TEXT, re.S)
    assert 2 == len(read_plan(tomllib.loads(block)).groups)
    page = TEXT.replace("\n", "")
    assert [] == [text for text in official_results() if text not in page]


def test_lines_after_a_draw_can_be_pasted(office: Office) -> None:
    """A replacement, and the second implementation alone with python3; a target's name is filled in."""
    text = re.sub(r"weights = .*\n", "", PLAN)
    transcript = office.draw(plan=office.plan(text))
    shutil.copy(transcript, office.path("TRANSCRIPT.json"))
    drawn = json.loads(transcript.read_bytes())["strata"][0]["drawn"][0]["id"]
    (line,) = re.findall(r"^zhengzhao (draw replace .*T007.*)$", TEXT, re.M)
    words = [str(office.path(w)) if re.search(r"\.(json|csv)$", w) else w for w in shlex.split(line)]
    office.ok(*(drawn if word == "T007" else word for word in words))
    assert json.loads(office.path("REPLACEMENT.json").read_bytes())["unavailable"] == drawn
    shutil.copy(ROOT / "verification" / "verify_draw.py", office.path("verify_draw.py"))
    (block,) = re.findall(r"```\n(python3 verify_draw.py .*?)```", TEXT, re.S)
    done = subprocess.run(
        ["bash", "-euc", block], cwd=office.folder, capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
