"""Draws made again in node by the browser's own modules."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from verification import browser_page
from verification.browser_page import draw_sources, trust_bundle, trust_files

SCRIPT = Path(__file__).parent / "browser" / "draws.mjs"
MODULES = Path(browser_page.__file__).parent / "browser"
Given = dict[str, Any]  # files by kind; lists of `papers` and `tokens`


def in_base64(value: bytes | list[bytes]) -> str | list[str]:
    encoded = [base64.b64encode(one).decode() for one in ([value] if isinstance(value, bytes) else value)]
    return encoded[0] if isinstance(value, bytes) else encoded


def in_node(folder: Path, rows: dict[str, Given]) -> dict[str, Any]:
    """Return verdict, `unchecked` and failed checks by name, with the trust folder of `folder`'s data."""
    given = {
        "bundle": trust_bundle(trust_files(folder / "data" / "trust")).decode(),
        "known": draw_sources(trust_files(folder / "data" / "trust")),
        "rows": [
            {"name": name, "files": {kind: in_base64(data) for kind, data in files.items()}}
            for name, files in rows.items()
        ],
    }
    line = ["node", str(SCRIPT), str(MODULES)]
    done = subprocess.run(line, input=json.dumps(given).encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found
