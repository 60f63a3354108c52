"""Settings are read from file and environment; what is not known or out of range is refused with file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.settings import Settings, load
from infra.transparency.sequencer import seeded_signer
from schemas.errors import UsageError


def read(folder: Path, text: str, **env: str) -> Settings:
    """Return the settings of a folder with this settings.toml."""
    (folder / "settings.toml").write_text(text, "utf-8")
    return load(folder, env)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("requre_proof = true", "requre_proof"),
        ("[inbox]", "inbox"),
        ("require_proof = 3", "require_proof"),
        ("workers = -1", "workers"),
        ("patience = 1.5", "patience"),
        ('items = "my-items"', "items"),
        ("inboxes = 1", "inboxes"),
        ('proxies = ["nowhere"]', "proxies"),
        ('timestamp = "tsa.example.cn"', "timestamp"),
        ("workers =", "settings.toml"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, text: str, named: str) -> None:
    """The error names the key, or the file where it cannot be read, and has a hint."""
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert named in str(refused.value)
    assert refused.value.hint


def test_the_log_s_witnesses_are_read(tmp_path: Path) -> None:
    """`[log]` names the origin, the witnesses and how many are needed."""
    key = seeded_signer("witness.example.cn", bytes(32)).witness_key
    witness = f'witnesses = [{{address = "https://witness.example.cn", key = "{key}"}}]'
    found = read(tmp_path, f'[log]\norigin = "licences.example.cn/log"\nneeded = 1\n{witness}\n').log
    assert ("licences.example.cn/log", 1, [key]) == (
        found.origin,
        found.needed,
        [w.key for w in found.witnesses],
    )
    with pytest.raises(UsageError, match="needed = 2"):
        read(tmp_path, f"[log]\nneeded = 2\n{witness}\n")


def test_the_environment_counts_before_the_file(tmp_path: Path) -> None:
    """A value of the file stands unless the environment has another; a byte order mark is no fault."""
    text = "\ufeffworkers = 3\npatience = 7\n"
    settings = read(tmp_path, text, ZHENGZHAO_WORKERS="5")
    assert (settings.workers, settings.patience) == (5, 7)


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    """`repr` hides the passphrase and what an address says of user and password."""
    env = {"ZHENGZHAO_STORE": "s3://key:geheim@127.0.0.1:9/bucket", "ZHENGZHAO_PASSPHRASE": "geheim"}
    assert "geheim" not in repr(load(tmp_path, env))
