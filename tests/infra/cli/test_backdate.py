"""How far back an event may be dated, and names that no font can print, by the command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from story import Events, uscc

from infra.cli import main
from issuance.fonts import coverage
from schemas.identifiers import _COMMON, unprintable


def _event(path: Path, time: datetime, name: str = "青海一厂", event_id: str = "e-1") -> Path:
    e = Events()
    applicant = {"kind": "enterprise", "id": uscc(1), "name": name, "address": "积石镇", "division": "630225"}
    materials = [
        {"kind": "application-form"},
        {"kind": "commitment-letter", "signed_on": time.date().isoformat()},
        {"kind": "business-licence"},
    ]
    e.apply(time.isoformat(timespec="seconds"), "N", uscc(1), applicant=applicant, materials=materials)
    path.write_text(json.dumps({**e.lines[0], "id": event_id}, ensure_ascii=False), "utf-8")
    return path


def _json(capsys: pytest.CaptureFixture[str], *call: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert code == main([*call, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_an_event_of_the_past_needs_the_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default thirty days back are taken and thirty-one not; the setting raises the limit."""
    data = str(tmp_path / "data")
    assert main(["keys", "init", "--data", data]) == 0
    assert not (tmp_path / "data" / "settings.toml").exists()
    now = datetime.now(UTC)
    old = _event(tmp_path / "old.jsonl", now - timedelta(days=31))
    refused = _json(capsys, "submit", str(old), "--data", data, code=1)["rejected"][0]
    assert "backdate_days" in refused["hint"]
    recent = _event(tmp_path / "recent.jsonl", now - timedelta(days=29))
    assert _json(capsys, "submit", str(recent), "--data", data)["accepted"] == 1
    (tmp_path / "data" / "settings.toml").write_text("backdate_days = 40\n", "utf-8")
    raised = _event(tmp_path / "raised.jsonl", now - timedelta(days=31), event_id="e-2")
    assert _json(capsys, "submit", str(raised), "--data", data)["accepted"] == 1


def test_keys_of_the_past_take_in_the_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`keys init --valid-from` with a past date lets stories of the past in, and keeps what settings there are."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "settings.toml").write_text("retention_years = 5\n", "utf-8")
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    assert (data / "settings.toml").read_text("utf-8") == "backdate_days = 36500\nretention_years = 5\n"
    past = _event(tmp_path / "past.jsonl", datetime(2018, 3, 1, 2, tzinfo=UTC))
    assert _json(capsys, "submit", str(past), "--data", str(data))["accepted"] == 1


def test_a_name_without_glyphs_is_a_correction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that no font can print is asked for anew, the reason names the character, and nothing is granted."""
    data = str(tmp_path / "data")
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", data]) == 0
    sent = _event(tmp_path / "one.jsonl", datetime(2018, 3, 1, 2, tzinfo=UTC), "青海😀厂")
    _json(capsys, "submit", str(sent), "--data", data)
    assert main(["drain", "--data", data]) == 0
    row = _json(capsys, "case", "show", "N", "--data", data)
    assert (row["state"], row["missing"]) == ("correction-requested", ["applicant.name"])
    assert "U+1F600" in row["reason"]


def test_common_characters_are_known_to_have_a_glyph() -> None:
    """The characters that are not looked up in the fonts are all in them; others are looked up."""
    common = [chr(n) for n in range(0x20, 0xFFFF) if _COMMON.fullmatch(chr(n))]
    assert [] == [char for char in common if ord(char) not in coverage()]
    assert "😀\u3164" == unprintable("青海😀厂\u3164")
