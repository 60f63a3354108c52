"""README and documents: links lead somewhere, and every command line in them is one that the command takes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.cli import build

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TREE = build()
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_PLACE = re.compile(
    r"(?:[A-Z][A-Z0-9_-]*(?:\.[A-Za-z]+)?|\S*…|\.\.\.|\[.*\]?|.*\])"
)  # what a reader fills in: FILE, [ITEM…]

_OPERATOR = re.compile(r"(?:\||&&|;|[0-9]*[<>])")


class Line(NamedTuple):
    """A command line in a document."""

    document: str
    text: str


def command_lines(path: Path) -> list[Line]:
    """Every `zhengzhao …` in code: a line of a block, or a span in the text."""
    text = path.read_text("utf-8")
    blocks = [
        line.strip()
        for block in _FENCE.findall(text)
        for line in block.replace("\\\n", " ").splitlines()[1:-1]
    ]
    spans = _SPAN.findall(_FENCE.sub("", text))
    found = []
    for code in (*blocks, *spans):
        words = code.removeprefix("$ ").removeprefix(".venv/bin/")
        if words.startswith("zhengzhao "):
            found.append(Line(path.name, words))
    return found


LINES = [line for path in DOCUMENTS for line in command_lines(path)]


def words_of(line: str) -> list[str]:
    """The words of a command line before a comment, a pipe, a redirection or another command."""
    words = shlex.split(line, comments=True)
    end = next((n for n, word in enumerate(words) if _OPERATOR.match(word)), len(words))
    return words[1:end]


def fault(words: list[str]) -> str | None:
    """What the command tree has against these words; None where it takes them."""
    command: Any = TREE
    while words and getattr(command, "commands", None) is not None and not words[0].startswith("-"):
        name, *words = words
        if _PLACE.fullmatch(name):
            return None  # `zhengzhao keys …`: a group, shown as one
        known = [command.commands.get(part) for part in name.split("|")]
        if None in known:
            return f"no such command: {name}"
        command = known[0]
    options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
        "--help"
    }
    for word in words:
        name = word.strip("[]").partition("=")[0]
        if name.startswith("-") and len(name) > 1:
            missing = [part for part in name.split("|") if part not in options]
            if missing:
                return f"no such option: {', '.join(missing)}"
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_exist(path: Path) -> None:
    """Every link that is no address leads to a file of the repository."""
    text = _FENCE.sub("", path.read_text("utf-8"))
    links = [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:|#", link)]
    missing = [link for link in links if not (path.parent / link.partition("#")[0]).exists()]
    assert [] == missing


def test_there_are_command_lines() -> None:
    """The documents are read: a good number of command lines is found in them."""
    assert len(LINES) >= 15


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.document}: {line.text[:60]}")
def test_command_lines_exist(line: Line) -> None:
    """The command and each of its options exist."""
    assert fault(words_of(line.text)) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("zhengzhao nothing", "no such command: nothing"),
        ("zhengzhao keys nothing", "no such command: nothing"),
        ("zhengzhao verify FILE --nothing # a comment", "no such option: --nothing"),
        ("zhengzhao licence extend|nothing", "no such command: extend|nothing"),
        ("zhengzhao verify FILE | head --nothing", None),
        ("zhengzhao keys init --valid-from DATE --data DIR --json", None),
    ],
)
def test_the_check_sees_faults(line: str, said: str | None) -> None:
    """A command or an option that is not there is found; what stands behind a pipe is another's."""
    assert said == fault(words_of(line))


def test_make_targets_of_the_readme_exist() -> None:
    """`make demo` and `make test` are targets of the Makefile, and `make demo` runs the demo."""
    text = (ROOT / "README.md").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        word for block in _FENCE.findall(text) for word in re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)
    }
    assert {"demo", "test"} <= named <= targets
    done = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ".venv/bin/zhengzhao demo" in done.stdout


def test_the_lines_of_the_readme_can_be_pasted(tmp_path: Path) -> None:
    """Every line of the block that shows the use ends with 0, in a fresh copy of the project's folder."""
    text = (ROOT / "README.md").read_text("utf-8")
    (block,) = [one for one in _FENCE.findall(text) if "zhengzhao keys init" in one]
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    program = tmp_path / ".venv" / "bin" / "zhengzhao"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m infra.cli "$@"\n', "utf-8")
    program.chmod(0o755)
    script = "\n".join(block.splitlines()[1:-1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZHENGZHAO_")}
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "licence.pdf").read_bytes().startswith(b"%PDF-")
