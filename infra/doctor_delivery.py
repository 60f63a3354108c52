"""What `doctor` says of deliveries: the departments' folders and webhooks, and what waits for them."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from infra.delivery import DATABASE, OUTBOX
from infra.findings import Finding
from infra.settings import Settings
from infra.webhooks import FILE, Hook, load_departments
from schemas.items import load_catalogue

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECONDS = 2.0  # for one department to answer the telephone


def deliveries(settings: Settings) -> Iterator[Finding]:
    """The outbox, each department of `departments.toml`, and what their webhooks have not taken."""
    hooks = load_departments(settings.data)
    if settings.on_kafka:
        if hooks:
            hint = (
                "departments read zhengzhao.filings.<department>; a relay of their own can call the webhook"
            )
            yield Finding("departments", None, f"on Kafka {FILE} has no effect", hint)
        return
    yield from _outbox(settings.data)
    known = {
        item.department for item in load_catalogue(settings.items).items.values() if item.mode == "filing"
    }
    for name, hook in sorted(hooks.items()):
        yield from _department(name, hook, known)
    yield from _waiting(settings.data)


def _outbox(data: Path) -> Iterator[Finding]:
    outbox = data / OUTBOX
    if not outbox.exists():
        return
    for folder in (outbox, *(path for path in sorted(outbox.iterdir()) if not path.is_file())):
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(
                "outbox", False, f"{folder} cannot be written", "check its rights; it must be a folder"
            )
            return
    yield Finding("outbox", True, f"{outbox} can be written")


def _department(name: str, hook: Hook, known: set[str]) -> Iterator[Finding]:
    parts = urlsplit(hook.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{name}: {parts.scheme}://{host}:{port}"
    if name not in known:
        yield Finding(
            "departments", None, f"{name}: no filing is of this department",
            f"departments of filings: {', '.join(sorted(known))}",
        )  # fmt: skip
    if parts.scheme == "http" and host not in _LOOPBACK:
        yield Finding("departments", None, f"{where}: filings travel unencrypted", "use an https address")
    try:
        socket.create_connection((host, port), timeout=min(_SECONDS, hook.timeout)).close()
    except OSError as error:
        hint = "check the address and the department's server; filings wait for it"
        yield Finding("departments", None, f"{where} does not answer: {error}", hint)
    else:
        yield Finding("departments", True, f"{where} answers")


def _waiting(data: Path) -> Iterator[Finding]:
    path = data / DATABASE
    if not path.exists():
        return
    sql = "SELECT department, count(*), max(attempts), max(error) FROM waiting GROUP BY department"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute(sql).fetchall()
    for department, count, attempts, error in rows:
        detail = f"{department}: {count} filings not taken, {attempts} tries, {error or 'not tried yet'}"
        yield Finding("deliveries", None, detail, "zhengzhao filing deliver")
