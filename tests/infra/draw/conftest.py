"""A data folder with keys, and an office that goes through a draw by the command."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from infra.cli import main
from issuance import keys
from issuance.certificates import Role
from schemas.calendar import CHINA
from schemas.draw import seed
from schemas.trust import ANY_AUTHORITY

PLAN = """
plan = "QH-1"
item = "publicity-check"
title = "抽查"
authority = "urn:agency:630000:market-regulation"
period = ["2018-04-01", "2018-06-30"]
inspectors_per_target = 2
qualification = "market"
weights = { A = 1, B = 2, C = 4, D = 8 }
[[strata]]
name = "auction"
where = { category = "auction" }
ratio = "0.20"
[[strata]]
name = "rest"
where = {}
count = 9
[seed]
parties = ["regulator", "discipline"]
"""


class Office:
    """Files in a folder, and the command over them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], data: Path) -> None:
        self.folder, self.capsys, self.data = folder, capsys, data
        self.rows = [
            {
                "id": f"T{n:03d}",
                "name": f"企业{n}",
                "division": f"6301{n % 3 + 2:02d}",
                "credit_class": "ABCD"[n % 4] if n % 5 else "",
                "category": "auction" if n % 4 == 0 else "other",
            }
            for n in range(60)
        ]
        self.inspectors = [
            {
                "id": f"I{n}",
                "name": f"检查员{n}",
                "department": f"d{n % 2}",
                "division": ("630100", "630102", "630103", "630104", "630000")[n % 5],
                "qualifications": "market; food" if n % 3 == 0 else "food",
            }
            for n in range(15)
        ]
        self.conflicts = [
            {"inspector_id": f"I{n % 15}", "target_id": f"T{n:03d}", "reason": "亲属"}
            for n in range(0, 60, 2)
        ] + [
            {"inspector_id": f"I{(n + 3) % 15}", "target_id": f"T{n:03d}", "reason": "持股"}
            for n in range(60)
        ]
        self.write_all()

    def __call__(self, *words: str | Path) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = main([*map(str, words), "--data", str(self.data)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def ok(self, *words: str | Path) -> str:
        code, out, err = self(*words)
        assert code == 0, err
        return out

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, rows: list[dict[str, str]]) -> Path:
        with self.path(name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return self.path(name)

    def write_all(self) -> None:
        self.write("R.csv", self.rows)
        self.write("I.csv", self.inspectors)
        self.write("C.csv", self.conflicts)

    def plan(self, text: str = PLAN, name: str = "plan.toml") -> Path:
        self.path(name).write_text(text)
        return self.path(name)

    @property
    def registers(self) -> list[str | Path]:
        return [
            "--register",
            self.path("R.csv"),
            "--inspectors",
            self.path("I.csv"),
            "--conflicts",
            self.path("C.csv"),
        ]

    def commit(self, party: str, tag: str = "", *more: str | Path) -> Path:
        said = self.ok("draw", "commit", "--party", party, "-o", self.path(f"{party}{tag}.secret"), *more)
        self.path(f"{party}{tag}.commitment").write_text(said)
        return self.path(f"{party}{tag}.commitment")

    def fixed(self, party: str, tag: str) -> Path:
        """A commitment as `commit` makes it, but to a secret and key of the test's own: each run draws the same."""
        path = self.commit(party, tag)
        chosen = hashlib.sha256(f"{party}:{tag}".encode()).digest()
        own = ec.derive_private_key(int.from_bytes(chosen[:16]) + 1, ec.SECP256R1())
        kept = json.loads(self.path(f"{party}{tag}.secret").read_text())
        promise = json.loads(path.read_text())
        promise |= {"commitment": seed.commitment_of(chosen), "key": seed.public_pem(own.public_key())}
        kept |= {
            "secret": chosen.hex(),
            "commitment": promise["commitment"],
            "private_key": seed.private_pem(own),
        }
        self.path(f"{party}{tag}.secret").write_text(json.dumps(kept))
        path.write_text(json.dumps(promise))
        return path

    def announce_words(
        self, tag: str = "", plan: Path | None = None, more: list[str | Path] | None = None
    ) -> list[str | Path]:
        promised = [self.fixed(party, tag) for party in ("regulator", "discipline")]
        words: list[str | Path] = ["draw", "announce", plan or self.plan(), *self.registers]
        for path in promised:
            words += ["--commitment", path]
        return [*words, *(more or []), "-o", self.path(f"A{tag}.json")]

    def announce(self, tag: str = "", plan: Path | None = None, more: list[str | Path] | None = None) -> Path:
        self.ok(*self.announce_words(tag, plan, more))
        return self.path(f"A{tag}.json")

    def reveal(self, party: str, announcement: Path, tag: str = "") -> Path:
        said = self.ok("draw", "reveal", self.path(f"{party}{tag}.secret"), "--announcement", announcement)
        self.path(f"{party}{tag}.reveal").write_text(said)
        return self.path(f"{party}{tag}.reveal")

    def run_words(
        self, announcement: Path, tag: str = "", more: list[str | Path] | None = None
    ) -> list[str | Path]:
        shown = [self.reveal(party, announcement, tag) for party in ("regulator", "discipline")]
        words: list[str | Path] = ["draw", "run", announcement, *self.registers]
        for path in shown:
            words += ["--reveal", path]
        return [*words, *(more or []), "-o", self.path(f"T{tag}.json")]

    def draw(self, tag: str = "", plan: Path | None = None, more: list[str | Path] | None = None) -> Path:
        self.ok(*self.run_words(self.announce(tag, plan, more), tag, more))
        return self.path(f"T{tag}.json")

    def verify(self, transcript: Path, *more: str | Path) -> tuple[int, dict[str, Any]]:
        code, out, err = self("draw", "verify", transcript, *self.registers, *more, "--json")
        assert out, err
        return code, json.loads(out)

    def failed(self, transcript: Path, *more: str | Path) -> list[str]:
        code, report = self.verify(transcript, *more)
        assert code == (0 if report["verdict"] == "valid" else 1)
        return [check["name"] for check in report["checks"] if not check["ok"]]


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a root and a key for draws; those for licences would only cost time."""
    data = tmp_path_factory.mktemp("keyed") / "data"
    start = datetime(2018, 1, 1, tzinfo=CHINA)
    role = Role(ANY_AUTHORITY, "draws", "draw")
    keys.init(data, [role], keys.Lifetime(start, 5), now=start, passphrase=None)
    return data


@pytest.fixture(scope="session")
def keyed_for_licences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with all keys."""
    data = tmp_path_factory.mktemp("licences") / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    return data


@pytest.fixture
def office(tmp_path: Path, keyed: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    """An office whose data folder has a key for draws, and no draws."""
    shutil.copytree(keyed, tmp_path / "data")
    return Office(tmp_path, capsys, tmp_path / "data")


@pytest.fixture
def issuing_office(tmp_path: Path, keyed_for_licences: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    """An office that issues licences too."""
    shutil.copytree(keyed_for_licences, tmp_path / "data")
    return Office(tmp_path, capsys, tmp_path / "data")


@pytest.fixture
def offices(tmp_path: Path, keyed: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Office]:
    """Several offices with the same keys."""

    def make(name: str) -> Office:
        shutil.copytree(keyed, tmp_path / name / "data")
        return Office(tmp_path / name, capsys, tmp_path / name / "data")

    return make
