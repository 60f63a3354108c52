"""kill -9 at named places, with work pending: the next run ends with the same objects as an unbroken one."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from story import PROVINCE, Events, Office, uscc

from infra.failpoints import NAMES


def events() -> Events:
    """Eight applications, one incomplete; then an extension and a suspension."""
    e = Events()
    for n in range(1, 8):
        e.apply(f"2018-03-01T1{n}:00:00+08:00", f"N-{n}", uscc(n))
    e.apply("2018-03-01T18:00:00+08:00", "N-8", uscc(8), materials=[{"kind": "application-form"}])
    e.apply(
        "2018-03-02T10:00:00+08:00", "X-1", uscc(1), action="extend", granted_by="N-1",
        products=[{"category": "人造板", "site": "新厂", "detail": "胶合板"}],
        materials=[{"kind": "application-form"}, {"kind": "commitment-letter", "signed_on": "2018-03-02"}],
    )  # fmt: skip
    e.add(
        "licence.suspended", "2018-03-02T11:00:00+08:00",
        {"granted_by": "N-2", "holder_id": uscc(2), "ground": "整改", "decided_on": "2018-03-02", "until": "2018-04-02"},
        PROVINCE,
    )  # fmt: skip
    return e


def objects(office: Office) -> dict[str, bytes]:
    """Return everything in the store but the log, whose heads follow when they were published."""
    root = office.data / "objects"
    files = (p for p in root.rglob("*") if p.is_file())
    return {
        name: p.read_bytes() for p in files if not (name := p.relative_to(root).as_posix()).startswith("log/")
    }


def audited(office: Office) -> int:
    """Return the number of entries in the log, which an auditor found whole."""
    found = office.json("transparency", "audit", office.data / "objects" / "log")
    return int(found["size"])


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with keys, to start each run from."""
    office = Office(tmp_path_factory.mktemp("keyed"))
    office.init()
    return office.data


@pytest.fixture(scope="module")
def unbroken(keyed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The objects of a run that nothing interrupts."""
    office = Office(tmp_path_factory.mktemp("unbroken"))
    shutil.copytree(keyed, office.data)
    office.tell(events())
    return objects(office)


@pytest.mark.parametrize(
    "place", [*NAMES, "drain-after-commit:2", "issue-after-store:4", "publish-after-store:2"]
)
def test_killed_and_gone_on(place: str, keyed: Path, unbroken: dict[str, bytes], tmp_path: Path) -> None:
    """Killed there, then submitted and drained again: nothing lost, nothing twice, and replay agrees."""
    office = Office(tmp_path)
    shutil.copytree(keyed, office.data)
    path = office.folder / "events.jsonl"
    path.write_text(events().text(), "utf-8")
    bomb = {"ZHENGZHAO_FAILPOINT": place}
    killed = -signal.SIGKILL
    office.run("submit", path, code=killed if place.startswith("submit") else 0, env=bomb)
    if not place.startswith("submit"):
        office.run("drain", code=killed, env=bomb)
    office.run("submit", path)
    office.run("drain")
    assert sorted(unbroken) == sorted(objects(office))
    assert unbroken == objects(office)
    assert audited(office) >= 8  # one for each of the eight licence versions at the least
    office.run("replay", "--into", tmp_path / "again", "--decide")
    assert len({row["number"] for row in office.rows("licence", "list")}) == 7
