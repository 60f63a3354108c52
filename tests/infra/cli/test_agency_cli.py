"""`zhengzhao agency`, and proofs at the door of the embedded engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from event_samples import event, raw

from infra.cli import main
from infra.settings import allow_past

SOURCE = "urn:agency:630000:market-regulation"


class Call:
    """The command on a data folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *args: str | Path, code: int = 0) -> list[Any]:
        done = main([*map(str, args), "--data", str(self.folder / "data"), "--json"])
        out, self.err = self._capsys.readouterr()
        assert code == done, self.err
        return [json.loads(line) for line in out.splitlines()]

    def submit(self, name: str, *more: str | Path, code: int = 0) -> Any:
        path = self.folder / "events.jsonl"
        path.write_bytes(raw(event(id=name)) + b"\n")
        return self("submit", path, *more, code=code)[0]

    def key(self, name: str) -> Path:
        self("agency", "keygen", "-o", self.folder / f"{name}.pem")
        return self.folder / f"{name}.pem"


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.delenv("ZHENGZHAO_REQUIRE_PROOF", raising=False)
    monkeypatch.delenv("ZHENGZHAO_BROKER", raising=False)
    allow_past(tmp_path / "data")
    return Call(tmp_path, capsys)


def test_signed_events_enter_and_others_do_not(call: Call) -> None:
    """With `require_proof`: good, stripped, replaced, revoked."""
    (call.folder / "data" / "settings.toml").write_text("require_proof = true\nbackdate_days = 36500\n")
    old, new = call.key("old"), call.key("new")
    call("agency", "add", SOURCE, old.with_suffix(".pub.pem"))
    assert call.submit("1", "--sign", old)["accepted"] == 1
    assert "proof" in call.submit("2", code=1)["rejected"][0]["error"]
    (added,) = call("agency", "add", SOURCE, new.with_suffix(".pub.pem"))
    assert "replaced" in call.submit("2", "--sign", old, code=1)["rejected"][0]["error"]
    assert call.submit("2", "--sign", new)["accepted"] == 1
    call("agency", "revoke", added["kid"], "--reason", "lost")
    assert "revoked" in call.submit("3", "--sign", new, code=1)["rejected"][0]["error"]
    assert [row["state"] for row in call("agency", "list")] == ["replaced", "revoked"]


def test_events_signed_for_other_ways(call: Call) -> None:
    """`agency sign` prints what `submit` takes."""
    key = call.key("ours")
    call("agency", "add", SOURCE, key.with_suffix(".pub.pem"))
    path = call.folder / "events.jsonl"
    path.write_bytes(raw(event(id="1")) + b"\n" + raw(event(id="2")) + b"\n")
    signed = call("agency", "sign", key, path)
    assert [event(id="1"), event(id="2")] == [{k: v for k, v in s.items() if k != "proof"} for s in signed]
    path.write_bytes(b"\n".join(map(raw, signed)))
    assert call("submit", path)[0]["accepted"] == 2
    for unusable in (b"[]", b"", b"{", raw(event()) + b"\n{\n"):
        path.write_bytes(unusable)
        call("agency", "sign", key, path, code=2)
        assert "hint:" in call.err


def test_an_event_over_several_lines_is_signed_as_one(call: Call) -> None:
    """As people write it; a BOM is no fault. What is printed is one line again."""
    key = call.key("ours")
    path = call.folder / "event.json"
    path.write_text("\ufeff" + json.dumps(event(id="1"), indent=2, ensure_ascii=False), "utf-8")
    (signed,) = call("agency", "sign", key, path)
    assert event(id="1") == {k: v for k, v in signed.items() if k != "proof"}


def test_without_require_proof(call: Call) -> None:
    """A proof that nothing here can check counts as none; from its first registered key on a source signs."""
    ours = call.key("ours")
    assert call.submit("1", "--sign", ours)["accepted"] == 1
    call("agency", "add", SOURCE, call.key("registered").with_suffix(".pub.pem"))
    assert call.submit("2", code=1)["rejected"]
    assert call.submit("2", "--sign", ours, code=1)["rejected"]
    assert call.submit("2", "--sign", call.folder / "registered.pem")["accepted"] == 1


def test_the_same_event_signed_or_not_is_one(call: Call) -> None:
    """The proof is no part of the content."""
    assert call.submit("1")["accepted"] == 1
    assert call.submit("1", "--sign", call.key("ours"))["duplicates"] == 1


def test_wrong_use(call: Call) -> None:
    """Keys are never overwritten; a private half is never registered; a window that ends before it begins."""
    key = call.key("ours")
    call("agency", "keygen", "-o", key, code=2)
    call("agency", "add", SOURCE, key, code=2)
    assert "private" in call.err
    public = key.with_suffix(".pub.pem")
    call("agency", "add", "nobody", public, code=2)
    call("agency", "add", SOURCE, public, "--valid-from", "2020-01-02", "--valid-until", "2020-01-01", code=2)
    call("agency", "add", SOURCE, call.folder / "absent", code=2)
    assert call("agency", "list") == []
    assert key.stat().st_mode & 0o077 == 0
