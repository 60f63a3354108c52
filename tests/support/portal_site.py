"""A service with its portal on a port of this machine, and visitors who log in by one-time links."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from served import serving
from story import uscc

from infra.cli import main
from infra.http.limits import Buckets, RequestLimits
from infra.http.service import service
from infra.settings import load

ITEM = "industrial-product-licence"
HALL = "urn:agency:630000:service-hall"
BUREAU = "urn:agency:630000:market-regulation"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b80000000049454e44ae426082"
)


@dataclass
class PortalSite:
    """The address of the service, its data folder, and the service itself."""

    address: str
    data: Path
    service: Any = None  # none where it runs as a process of its own

    @classmethod
    @contextlib.contextmanager
    def opened(cls, data: Path, settings: str = "") -> Iterator[PortalSite]:
        """Serve a fresh data folder."""
        assert command("keys", "init", "--data", str(data), "--json")
        (data / "settings.toml").write_text(settings, "utf-8")
        limits = RequestLimits(rate=1e6, burst=10**6)
        opened = load(data, {})
        opened.workers = 1
        with (
            service(opened, limits=limits, tick_seconds=3600) as built,
            serving(built.app()) as address,
        ):
            built.portal.logins = Buckets(1e6, 1e6)  # every visitor of a test has the same address
            yield cls(address, data, built)

    def link(self, *words: str) -> str:
        """Make an account by the command and return its one-time link."""
        said = command("account", "add", *words, "--url", self.address, "--data", str(self.data), "--json")
        return str(said["link"])

    def visitor(self, *words: str) -> Visitor:
        """Return somebody new who is logged in."""
        visitor = Visitor(self.address)
        visitor.log_in(self.link(*words))
        return visitor

    def enterprise(self, n: int) -> Visitor:
        """Return the n-th enterprise, logged in."""
        return self.visitor("--enterprise", uscc(n))

    def officer(self, role: str, source: str = BUREAU, name: str = "") -> Visitor:
        """Return an officer, logged in."""
        return self.visitor("--agency", source, "--role", role, "--name", name or role)


class Visitor:
    """Somebody with a browser without scripts: forms are read from the page and sent as a browser sends them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.web = httpx.Client(base_url=address, follow_redirects=True, timeout=30)

    def log_in(self, link: str) -> httpx.Response:
        """Open a one-time link and press its button."""
        page = self.web.get(link)
        return self.send(page, {"link": link.partition("link=")[2]})

    def send(
        self,
        page: httpx.Response,
        values: dict[str, str],
        files: dict[str, tuple[str, bytes]] | None = None,
        path: str = "",
    ) -> httpx.Response:
        """Send the first form of a page (or the one for a path) with its own values and these."""
        forms = re.findall(r'<form method="post" action="([^"]*)"[^>]*>(.*?)</form>', page.text, re.S)
        wanted = [(action, inside) for action, inside in forms if not path or action.startswith(path)]
        assert wanted, page.text[:3000]
        action, inside = wanted[0]
        own = {name: value for name, value in fields(inside).items() if name not in ("more", "do")}
        where = httpx.URL(action.replace("&amp;", "&"))
        data = {**own, **values}
        if files:
            return self.web.post(where, data=data, files={n: (f[0], f[1]) for n, f in files.items()})
        return self.web.post(where, data=data)

    def apply(self, application: dict[str, str] | None = None, **over: str) -> httpx.Response:
        """Fill the form of the industrial-product licence in and submit it."""
        page = self.web.get(f"/apply/{ITEM}")
        values = {**answers(), **(application or {}), **over, "do": "submit"}
        return self.settled(self.send(page, values, {"materials.business-licence": ("licence.png", PNG)}))

    def settled(self, page: httpx.Response, seconds: float = 30) -> httpx.Response:
        """Return a case's page once nothing of it is under way; a browser renews the page until then."""
        end = time.monotonic() + seconds
        while 'http-equiv="refresh"' in page.text and time.monotonic() < end:
            time.sleep(0.1)
            page = self.web.get(page.url)
        return page


def answers() -> dict[str, str]:
    """Return a complete form of the industrial-product licence."""
    return {
        "applicant.name": "青海示范化工有限公司",
        "applicant.address": "青海省循化撒拉族自治县积石镇一号",
        "applicant.division": "630225",
        "products.0.category": "化肥",
        "products.0.site": "积石镇工业园",
        "products.0.detail": "复混肥料",
        "signatory": "李四",
        "signed_on": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600)),
    }


def fields(html: str) -> dict[str, str]:
    """Return the values that the fields of a form have."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", html):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and 'type="file"' not in tag and 'type="checkbox"' not in tag:
            found[name[1]] = _plain(value[1]) if value else ""
    for name, inside in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', html, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', inside)
        found[name] = _plain(chosen[1]) if chosen else ""
    return found


def _plain(text: str) -> str:
    for mark, char in (("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(mark, char)
    return text


def attribute(page: httpx.Response, name: str) -> str:
    """Return the first value of an attribute on a page; empty where there is none."""
    found = re.search(rf'{name}="([^"]*)"', page.text)
    return found[1] if found else ""


def printed(*words: str | Path) -> str:
    """Run a command in this process; return what it prints. AssertionError where it fails."""
    out, before = io.StringIO(), sys.stdout
    sys.stdout = out
    try:
        code = main([*map(str, words)])
    finally:
        sys.stdout = before
    assert code == 0, (words, code, out.getvalue())
    return out.getvalue()


def command(*words: str) -> Any:
    """Run a command in this process; return the JSON that it prints. AssertionError where it fails."""
    rows = [json.loads(line) for line in printed(*words).splitlines()]
    return rows[0] if len(rows) == 1 else rows
