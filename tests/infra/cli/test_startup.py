"""A call loads the module of its command, and nothing that only another command needs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from story import ROOT

import infra.cli

_PROBE = """
import json, sys
from infra.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""
_SHARED = {
    "infra.cli",
    "infra.cli.output",
    "infra.cli.words",
    "infra.cli.sending",
}
_HEAVY = (
    "infra.kafka",
    "infra.http",
    "infra.embedded",
    "infra.demo",
    "infra.bench",
    "issuance",
    "verification",
)


def loaded(*words: str) -> set[str]:
    """Return the modules that a call leaves loaded; it must end with 0."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize(
    ("words", "own"),
    [
        (("submit", "--help"), "submit"),
        (("drain", "--help"), "pipeline"),
        (("run", "--help"), "pipeline"),
        (("worker", "--help"), "pipeline"),
        (("verify", "--help"), "verify"),
        (("doctor", "--help"), "doctor"),
        (("demo", "--help"), "demo"),
        (("keys", "list", "--help"), "keys"),
        (("licence", "list", "--help"), "licence"),
        (("licence", "renew", "--help"), "licence_events"),
        (("letters", "list", "--help"), "recovery"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_command_loads_its_own_module_alone(words: tuple[str, ...], own: str) -> None:
    """No module of another command, no engine, service, issuance or verification before the command does its work."""
    modules = loaded(*words)
    commands = {name for name in modules if name.startswith("infra.cli.")} - _SHARED
    assert commands == {f"infra.cli.{own}"}
    assert [name for name in modules if name.startswith(_HEAVY)] == []


def laters() -> list[tuple[str, Callable[..., object]]]:
    """Return the functions that the command modules load late, with the module and the name that each has there."""
    found = []
    for module in pkgutil.iter_modules(infra.cli.__path__):
        if module.name == "__main__":
            continue
        loaded_module = importlib.import_module(f"infra.cli.{module.name}")
        for name, value in vars(loaded_module).items():
            if getattr(value, "__qualname__", "").startswith("later."):
                found.append((f"{module.name}.{name}", value))
    return found


@pytest.mark.parametrize(
    ("name", "function"), laters(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_loaded_late_exists(name: str, function: Callable[..., object]) -> None:
    """`later` names a module and something callable in it."""
    module, _, attribute = (function.__doc__ or "").partition(":")
    assert callable(getattr(importlib.import_module(module), attribute)), name


def test_the_package_runs_as_a_program() -> None:
    """`python -m infra.cli --version` prints the version."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("zhengzhao ")
