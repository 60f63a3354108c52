"""The laws of the house that `import-linter` does not see; docs/architecture.md gives the reasons."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from story import Events, Office, uscc
from way import modules_of_one_event

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("schemas", "producers", "processors", "issuance", "verification", "infra")
LAZY = {"infra/bootstrap.py", "infra/cli/__init__.py"}  # the two places that import inside functions
OPENERS = {"open_store", "open_persons", "open_signer", "load_trust", "load_catalogue"}
VAGUE = re.compile(r"^(what|who|whose|whom|how|where|whether|which|of|by|as|from|the same)\b", re.I)
LONGEST = 400  # lines of a module
COMPOSITION_ROOT = (
    "infra/bootstrap.py"  # one short method for each part of an installation; it grows with the parts
)
CHOOSERS = {
    "infra/persons/__init__.py",
    "infra/stores/__init__.py",
}  # load the S3 client only where an address names it
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of every module of the product by its path."""
    files = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in files}


def docstrings() -> list[tuple[str, str]]:
    """Return (place, text) of every docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        (f"{path}:{getattr(node, 'lineno', 1)}", text)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and (text := ast.get_docstring(node))
    ]


def test_no_module_is_longer_than_the_limit() -> None:
    """A module of more than 400 lines has more than one subject; the composition root alone is longer."""
    lengths = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in trees()}
    assert {} == {path: n for path, n in lengths.items() if n > LONGEST and path != COMPOSITION_ROOT}


def test_no_public_class_name_has_two_homes() -> None:
    """A class name means one thing in the whole project."""
    homes: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].add(path)
    assert {} == {name: sorted(where) for name, where in homes.items() if len(where) > 1}


def test_own_modules_are_imported_at_the_top() -> None:
    """Only the composition root, the command table and two choosers import own modules inside a function."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in trees().items()
        if path not in LAZY | CHOOSERS
        for function in ast.walk(tree)
        if isinstance(function, Function)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
    ]
    assert [] == sorted(set(found))


def test_adapters_are_opened_in_one_place() -> None:
    """`infra/bootstrap.py` alone opens store, persons, signer, trust folder and catalogue."""
    found = [
        f"{path}:{node.lineno} {node.func.id}"
        for path, tree in trees().items()
        if path != COMPOSITION_ROOT
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OPENERS
    ]
    assert [] == found


def test_docstrings_begin_with_what_is_done() -> None:
    """Fewer than 2 % of the docstrings begin with a relative pronoun or a fragment."""
    every = docstrings()
    vague = [place for place, text in every if VAGUE.match(text)]
    assert len(vague) < 0.02 * len(every), vague


def test_infra_has_few_modules_at_its_root() -> None:
    """At most ten modules lie outside the rooms of `infra`."""
    flat = [
        p for p in trees() if p.startswith("infra/") and p.count("/") == 1 and not p.endswith("__init__.py")
    ]
    assert len(flat) <= 10, flat


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports form no circle, imports inside functions counted."""
    names = {_module(path): path for path in trees()}
    graph = {name: _imported(trees()[path], name, set(names)) for name, path in names.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.slow
def test_one_event_enters_few_modules(tmp_path: Path) -> None:
    """One application, submitted, decided, numbered and issued, enters at most fifty modules."""
    office, events = Office(tmp_path), Events()
    office.init()
    files = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    for n, file in enumerate(files, 1):
        event = events.apply(f"2018-09-10T{n + 8:02}:00:00+08:00", f"QH-{n}", uscc(n))
        file.write_text(json.dumps(event, ensure_ascii=False) + "\n", "utf-8")
    entered = modules_of_one_event(office, *files)
    assert "issuance.seal" in entered
    assert len(entered) <= 50, sorted(entered)


def _module(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, own: str, known: set[str]) -> set[str]:
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in typing_only:
            found |= {
                target if (target := f"{node.module}.{alias.name}") in known else node.module
                for alias in node.names
            }
    return (found & known) - {own}
