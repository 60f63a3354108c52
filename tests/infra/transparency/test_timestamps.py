"""Timestamps by RFC 3161 over licences that never end, from an authority made with `openssl ts`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from story import Events, Office, uscc
from timestamps import Served, TimestampAuthority, register

from infra.cli import main
from schemas.trust import load_trust


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
    register(events, "2018-03-01T11:00:00+08:00", "R-1", uscc(2))
    office.tell(events)
    yield office, served, authority
    served.close()


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
