"""A small language for stories told from outside: events as an agency would write them, and the command.

Nothing of the product is imported here: identifiers are made by the published rules (GB 32100, GB 11643).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROVINCE = "urn:agency:630000:market-regulation"
COMMAND = [sys.executable, "-c", "import sys; from infra.cli import main; sys.exit(main())"]

_CHARSET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_RIC_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def uscc(n: int, division: str = "630225") -> str:
    """The n-th made-up unified social credit code of a division, check digits right (GB 32100, GB 11714)."""
    body = f"{n:08d}"
    check = 11 - sum(int(c) * w for c, w in zip(body, _ORG_WEIGHTS, strict=True)) % 11
    organisation = body + {10: "X", 11: "0"}.get(check, str(check))
    seventeen = "91" + division + organisation
    total = sum(_CHARSET.index(c) * w for c, w in zip(seventeen, _WEIGHTS, strict=True))
    return seventeen + _CHARSET[(31 - total % 31) % 31]


def ric(n: int) -> str:
    """The n-th made-up citizen id number, check digit right (GB 11643)."""
    seventeen = f"630225{1950 + n % 50}0{1 + n % 9}1{n % 9}{n % 1000:03d}"
    return (
        seventeen + "10X98765432"[sum(int(c) * w for c, w in zip(seventeen, _RIC_WEIGHTS, strict=True)) % 11]
    )


class Events:
    """Writes events one after another; each gets an id of its own."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(
        self, kind: str, time: str, data: dict[str, Any], source: str = PROVINCE, **more: Any
    ) -> dict[str, Any]:
        event = {
            "specversion": "1.0",
            "id": f"e-{len(self.lines):06d}",
            "source": source,
            "type": f"zhengzhao.{kind}.v1",
            "time": time,
            "datacontenttype": "application/json",
            "data": data,
            **more,
        }
        self.lines.append(event)
        return event

    def apply(self, time: str, application_id: str, holder: str, **over: Any) -> dict[str, Any]:
        """A complete application for the industrial-product licence, unless told otherwise."""
        source = over.pop("source", PROVINCE)
        day = time[:10]
        data: dict[str, Any] = {
            "application_id": application_id,
            "item": "industrial-product-licence",
            "action": "new",
            "applicant": {
                "kind": "enterprise",
                "id": holder,
                "name": f"青海示范{holder[8:16]}化工有限公司",
                "address": "青海省循化撒拉族自治县积石镇一号",
                "division": "630225",
            },
            "products": [{"category": "化肥", "site": "积石镇工业园", "detail": "复混肥料"}],
            "materials": [
                {"kind": "application-form"},
                {"kind": "commitment-letter", "signed_on": day},
                {"kind": "business-licence"},
            ],
            "channel": "online",
            "window": "630225",
        }
        data.update(over)
        return self.add(
            "application.submitted", time, {k: v for k, v in data.items() if v is not ...}, source
        )

    def text(self) -> str:
        return "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in self.lines)


class Office:
    """A data folder and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"

    def run(
        self, *args: str | Path, code: int | None = 0, env: dict[str, str] | None = None, stdin: bytes = b""
    ) -> str:
        """Runs `zhengzhao ARGS`; checks the exit code unless it is None; returns standard output."""
        done = subprocess.run(
            [*COMMAND, *map(str, args)],
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, "ZHENGZHAO_DATA": str(self.data), "PYTHONPATH": str(ROOT), **(env or {})},
            timeout=300,
            check=False,
        )
        self.err = done.stderr.decode("utf-8", "replace")
        self.code = done.returncode
        assert "Traceback" not in self.err, self.err
        if code is not None:
            assert code == done.returncode, (args, done.returncode, done.stdout[-2000:], self.err[-2000:])
        return done.stdout.decode("utf-8")

    def json(self, *args: str | Path, code: int | None = 0) -> Any:
        return json.loads(self.run(*args, "--json", code=code))

    def rows(self, *args: str | Path, code: int | None = 0) -> list[Any]:
        return [json.loads(line) for line in self.run(*args, "--json", code=code).splitlines()]

    def init(self, valid_from: str = "2018-01-01") -> None:
        self.run("keys", "init", "--valid-from", valid_from)

    def submit(self, events: Events | str | bytes, code: int | None = 0) -> Any:
        raw = events.text().encode() if isinstance(events, Events) else events
        path = self.folder / "events.jsonl"
        path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
        return self.json("submit", path, code=code)

    def tell(self, events: Events) -> None:
        """Submits and drains."""
        self.submit(events)
        self.run("drain")

    def case(self, application_id: str, *more: str) -> Any:
        return self.json("case", "show", application_id, *more)

    def licence(self, number: str) -> Any:
        return self.json("licence", "show", number)
