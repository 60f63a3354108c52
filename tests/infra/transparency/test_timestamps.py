"""Timestamps by RFC 3161 over licences that never end, from an authority made with `openssl ts`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from story import Events, Office, uscc
from timestamps import TimestampAuthority

from infra.cli import main
from schemas.trust import load_trust


class Served:
    """The authority behind an address on this machine; `away` lets it refuse."""

    def __init__(self, authority: TimestampAuthority, folder: Path) -> None:
        self.away = True
        self.asked = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = folder / "asked.tsq"
                query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
                served.asked += 1
                answer = b"" if served.away else authority.answer(query)
                self.send_response_only(503 if served.away else 200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Served, TimestampAuthority]]:
    """An office with a business licence, which has no end, and one that ends; the authority was away at first."""
    folder = tmp_path_factory.mktemp("stamped")
    authority = TimestampAuthority(folder / "tsa")
    served = Served(authority, folder)
    office = Office(folder)
    office.init()
    assert 0 == main(
        ["draw", "party", "add", "tsa", str(authority.certificate), "--timestamp", "--data", str(office.data)]
    )
    settings = office.data / "settings.toml"
    settings.write_text(f'timestamp = "{served.address}"\n' + settings.read_text())
    events = Events()
    events.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    events.add(
        "registration.submitted",
        "2018-03-01T11:00:00+08:00",
        {
            "application_id": "R-1",
            "applicant": {
                "kind": "enterprise", "id": uscc(2), "name": "青海示范登记有限公司",
                "address": "青海省循化撒拉族自治县积石镇一号", "division": "630225",
            },
            "items": [],
            "shared": SHARED,
            "materials": [{"kind": "application-form"}],
        },
    )  # fmt: skip
    office.tell(events)
    yield office, served, authority
    served.server.shutdown()
    served.server.server_close()


SHARED = {
    "legal_representative": "扎西", "registered_capital": "100", "enterprise_type": "有限责任公司", "business_scope": "登记",
    "established_on": "2018-03-01",
}  # fmt: skip


def test_a_licence_without_end_is_stamped_once(
    world: tuple[Office, Served, TimestampAuthority], tmp_path: Path
) -> None:
    """Also where the authority was away at first; `verify` takes the token beside the PDF, and openssl agrees."""
    office, served, authority = world
    rows = {row["item"]: row["number"] for row in office.rows("licence", "list")}
    endless, other = rows["business-licence"], rows["industrial-product-licence"]
    assert 1 == served.asked
    office.run("licence", "get", endless, "--format", "tsr", "-o", tmp_path / "licence.tsr", code=1)
    served.away = False
    office.run("drain")
    office.run("drain")
    assert 2 == served.asked
    pdf, token = tmp_path / "licence.pdf", tmp_path / "licence.tsr"
    office.run("licence", "get", endless, "-o", pdf)
    office.run("licence", "get", endless, "--format", "tsr", "-o", token)
    office.run("licence", "get", other, "--format", "tsr", "-o", tmp_path / "x", code=1)
    at = ("--at", "2018-03-02T12:00:00+08:00")
    found = office.rows("verify", pdf, *at)[0]
    assert ("valid", "timestamp", True) == (
        found["verdict"], found["checks"][-1]["name"], found["checks"][-1]["ok"]
    )  # fmt: skip
    assert load_trust(office.data / "trust").timestamps
    checked = subprocess.run(
        ["openssl", "ts", "-verify", "-in", token, "-data", pdf, "-CAfile", authority.certificate],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Verification: OK" in checked.stdout + checked.stderr
    wrong = tmp_path / "wrong.tsr"
    authority.stamp("00" * 32, wrong)
    found = office.rows("verify", pdf, "--timestamp", wrong, *at, code=3)[0]
    assert ("unknown", "timestamp", False) == (
        found["verdict"], found["checks"][-1]["name"], found["checks"][-1]["ok"]
    )  # fmt: skip
    report = office.json("replay", "--into", tmp_path / "again")
    assert [] == report["findings"]
    assert datetime.now(UTC).isoformat()[:10] in office.rows("verify", pdf, *at)[0]["checks"][-1]["detail"]
