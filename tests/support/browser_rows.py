"""The table of `licence_rows` as JavaScript reads it, and node to run it."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forger import Forger, Row

MODULES = Path(__file__).parents[2] / "verification" / "browser"
SCRIPTS = Path(__file__).parent / "browser"


def table(corpus: Forger, rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows as a JSON value; each content stands once, under its digest."""
    blobs: dict[str, str] = {}

    def blob(data: bytes | None) -> str | None:
        if data is None:
            return None
        name = hashlib.sha256(data).hexdigest()[:16]
        blobs[name] = base64.b64encode(data).decode()
        return name

    def written(row: Row) -> dict[str, Any]:
        source = None if row.editions is None else [corpus.editions[name] for name in row.editions]
        editions = source and [{"list": blob(one), "reasons": blob(beside)} for one, beside in source]
        return {
            "name": row.name,
            "data": blob(row.data),
            "trust": row.trust,
            "at": row.at.timestamp(),
            "credential": blob(row.credential),
            "editions": editions,
            "proofs": None if row.proofs is None else [blob(proof) for proof in row.proofs],
        }

    listed = [written(row) for row in rows]
    bundles = {name: blob(corpus.bundle(name)) for name in sorted({row.trust for row in rows})}
    return {"bundles": bundles, "blobs": blobs, "rows": listed}


FROZEN = Path(__file__).parents[1] / "vectors" / "licences.json"
_KEPT = (
    "PDF", "CWT", "QR text", "JSON with its credential", "person: CWT", "long name: JSON", "1.9 days on", "4 days on",
    "400 days on", "list: rescinded", "list: spoilt", "no list", "credential key revoked before: CWT",
    "another root: CWT", "keys that the folder does not list yet: PDF",
    "credential: the other s", "payload: a key twice", "claims: text for a number", "QR text: another host",
    "QR text: lower case", "JSON: a line end behind",
)  # fmt: skip


def freeze(corpus: Forger, rows: Sequence[Row]) -> None:
    """Write a few rows with their verdicts to `tests/vectors/`, so that later releases are held to them.

    Run once for a new form of licence: what was signed before must be judged as it was.
    """
    kept = [row for row in rows if row.name in _KEPT]
    assert {row.name for row in kept} == set(_KEPT)
    value = table(corpus, kept)
    for row, written in zip(kept, value["rows"], strict=True):
        written["expected"] = [row.verdict, row.genuine, list(row.failed)]
    FROZEN.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def in_node(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the JavaScript verifier says of a table, run by node."""
    return run_node(SCRIPTS / "node_rows.mjs", str(MODULES), given=json.dumps(value))


def run_node(script: Path, *arguments: str, given: str = "") -> Any:
    """Return the JSON that a script prints; node must be on the machine."""
    node = shutil.which("node")
    assert node is not None, "node is needed: apt-get install nodejs (20 or later)"
    done = subprocess.run(
        [node, str(script), *arguments], input=given, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def outcome(found: Any) -> tuple[str, bool, tuple[str, ...]]:
    """Return what rows expect of a verdict of either language."""
    if isinstance(found, dict):
        return found["verdict"], found["genuine"], tuple(found["failed"])
    return found.verdict, found.genuine, tuple(check.name for check in found.checks if not check.ok)
