"""A small site that serves the verifier as the real one does: its files, a bundle, status lists, strict headers."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec
from bureau import AUTHORITY, LIST, ROLES, Bureau, numbered
from forger import WITNESS, PublicLog
from logs import seed
from playwright.sync_api import Browser, Playwright

from infra.http.pages import POLICY
from infra.http.verifier_pages import verifier
from infra.pages.frame import render, site_files
from infra.transparency.sequencer import seeded_signer
from issuance import keys
from issuance.certificates import Role
from issuance.status_lists import Edition
from schemas.calendar import CHINA
from schemas.licence import qr_text
from schemas.status_list import StatusReason, list_uri
from schemas.trust import ANY_AUTHORITY
from verification.browser_page import assets, trust_bundle, trust_files

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip


def chromium(playwright: Playwright, *more: str) -> Browser:
    """Start a real browser; `apt-get install chromium` puts one on the machine."""
    assert Path(CHROMIUM).exists(), "Chromium is needed: apt-get install chromium"
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, *more])


class Site:
    """An installation of today whose licences lead to a server on this machine."""

    def __init__(self, folder: Path, *, logged: bool = False) -> None:
        self.logged = logged
        self.paths: dict[str, tuple[str, bytes]] = {place: tuple(asset) for place, asset in assets().items()}
        self.asked: list[str] = []
        self.ahead = timedelta()  # how far the server's clock is ahead
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                found = site.paths.get(urlsplit(self.path).path)
                self.send_response_only(200 if found else 404)
                self.send_header("Date", format_datetime(datetime.now(UTC) + site.ahead, usegmt=True))
                self.send_header("Content-Type", found[0] if found else "text/plain")
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Content-Length", str(len(found[1]) if found else 0))
                self.end_headers()
                self.wfile.write(found[1] if found else b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.port}"
        self.host = f"127.0.0.1:{self.port}"
        self._issue(folder)

    def _issue(self, folder: Path) -> None:
        start = datetime.now(CHINA).replace(microsecond=0) - timedelta(days=300)
        witness = str(seeded_signer(WITNESS, seed(WITNESS)).witness_key)
        terms = keys.LogTerms("zhengzhao.example/log", (witness,), 1) if self.logged else None
        roles = (*ROLES, Role(ANY_AUTHORITY, "zhengzhao", "log")) if self.logged else ROLES
        keys.init(folder, roles, keys.Lifetime(start, 5), now=start, passphrase=None, log=terms)
        self.bureau = Bureau(folder)
        self.decided = start + timedelta(days=200)
        self.licence = numbered(
            authority=msgspec.structs.replace(AUTHORITY, host=self.host),
            decided_at=self.decided.isoformat(),
            issued_on=self.decided.date().isoformat(),
            valid_from=self.decided.date().isoformat(),
            valid_until=None,
        )
        self.pdf = self.bureau.pdf(self.licence)
        self.cwt, self.body = self.bureau.credential(self.licence)
        self.text = qr_text(self.host, self.cwt)
        self.link = f"{self.address}/#{self.text.partition('#')[2]}"
        self.bundle = trust_bundle(trust_files(folder / "trust"), [LIST])
        self.serve(
            "/", "text/html; charset=utf-8", render("home.html", "zh", **verifier(hidden=True)).encode()
        )
        self.serve("/verify", "text/html; charset=utf-8", render("verify.html", "zh", **verifier()).encode())
        self.paths.update(site_files())
        self.serve("/trust/bundle", "application/json", self.bundle)
        self.edition = self.publish()

    def serve(self, path: str, media_type: str, content: bytes) -> None:
        """Answer a path with this content from now on."""
        self.paths[path] = (media_type, content)

    def publish(self, age: timedelta = timedelta(hours=1), reason: StatusReason | None = None) -> Edition:
        """Publish an edition of the list, issued so long ago, with the licence invalid for a reason if there is one."""
        at = datetime.now(CHINA) - age
        statuses = {} if reason is None else {3: 1}
        reasons = {} if reason is None else {3: reason}
        edition = self.bureau.edition(at, statuses, reasons, uri=list_uri(self.host, LIST))
        self.serve(f"/status/{LIST}", "application/statuslist+cwt", edition.list_cwt)
        self.serve(f"/status/{LIST}.reasons", "application/cwt", edition.reasons_cwt)
        return edition

    def serve_log(self, log: PublicLog) -> None:
        """Serve the files of a transparency log as they are now."""
        for key in log.store.list():
            self.serve(f"/{key}", "application/octet-stream", log.store.get(key))

    def serve_rows(self, table: dict[str, Any]) -> None:
        """Serve a table of rows and what runs it."""
        script = (Path(__file__).parent / "browser" / "rows.js").read_bytes()
        self.serve("/rows.js", "text/javascript", script)
        self.serve("/rows.json", "application/json", json.dumps(table).encode())
        self.serve("/empty", "text/html", b"<!doctype html><title>rows</title>")

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    """Wait until a condition holds; AssertionError where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
