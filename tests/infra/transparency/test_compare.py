"""The log held against the record: what replay says where one of them was cut or changed, and from where on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from story import Events, Office, uscc

from infra.readmodel.database import Database
from infra.settings import Settings
from infra.stores.folder import FolderStore
from infra.transparency.compare import compare_log
from infra.transparency.installation import ORDER_FILE
from schemas.trust import load_trust


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office with three licences; `before` beside its data folder is a copy of the time when there were two."""
    office = Office(tmp_path_factory.mktemp("compared"))
    office.init()
    e = Events()
    for n in (1, 2):
        e.apply(f"2018-03-01T1{n}:00:00+08:00", f"N-{n}", uscc(n))
    office.tell(e)
    shutil.copytree(office.data, office.folder / "before")
    e.apply("2018-03-02T10:00:00+08:00", "N-3", uscc(3))
    office.tell(e)
    return office


def compared(data: Path, rebuilt: Path) -> list[tuple[str, str]]:
    """Return subject and problem of each difference."""
    found: list[tuple[str, str]] = []
    settings, store = Settings(data, workers=1), FolderStore(data / "objects")
    with Database(settings.database) as source:
        compare_log(
            settings, load_trust(data / "trust"), store, source, FolderStore(rebuilt),
            lambda _, subject, problem: found.append((subject, problem)), patient=False,
        )  # fmt: skip
    return found


def of_before(*names: str) -> Callable[[Path, Path], None]:
    """Return a change that puts parts of the folder back to what they were."""

    def change(data: Path, before: Path) -> None:
        for name in names:
            old, new = before / name, data / name
            if new.is_dir():
                shutil.rmtree(new)
                shutil.copytree(old, new)
            else:
                for path in data.glob(f"{name}-*"):
                    path.unlink()
                shutil.copy(old, new)

    return change


def one_byte(data: Path, _: Path) -> None:
    """Change a hash in the lowest tile."""
    tile = max((data / "objects" / "log" / "tile" / "0").rglob("*.p/*"), key=lambda path: int(path.name))
    raw = bytearray(tile.read_bytes())
    raw[3] ^= 1
    tile.chmod(0o644)
    tile.write_bytes(raw)


def shorter_order(data: Path, _: Path) -> None:
    """Take the last entry out of the recorded order."""
    with sqlite3.connect(data / ORDER_FILE) as database:
        database.execute("DELETE FROM log_order WHERE place = (SELECT max(place) FROM log_order)")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda *_: None, []),
        (of_before("objects/log", ORDER_FILE), ["is not in the log"]),
        (of_before("objects/log"), ["is not in the log", "the published log ends before it"]),
        (of_before("zhengzhao.sqlite"), ["no fact accounts for it"]),
        (shorter_order, ["the recorded order ends before it"]),
        (one_byte, ["differs from what is rebuilt"]),
    ],
    ids=["whole", "log and order cut", "log cut", "facts cut", "order cut", "a tile changed"],
)
def test_what_was_cut_is_named(
    office: Office, tmp_path: Path, change: Callable[[Path, Path], None], said: list[str]
) -> None:
    """Whichever of facts, order and log is the shorter, or was changed: replay says which, and where it begins."""
    data = Path(shutil.copytree(office.data, tmp_path / "data"))
    change(data, office.folder / "before")
    found = compared(data, tmp_path / "rebuilt")
    assert len(said) == len(found), found
    assert [words for words, (_, problem) in zip(said, found, strict=True) if words not in problem] == []
    assert all(subject.split()[0] in ("fact", "entry") or "tile" in subject for subject, _ in found)


def test_replay_reports_a_log_that_was_cut(office: Office, tmp_path: Path) -> None:
    """Exit 1, with the first fact that the log lacks; what is whole is rebuilt, tiles too."""
    data = Path(shutil.copytree(office.data, tmp_path / "data"))
    office.run("replay", "--into", tmp_path / "good", "--data", data)
    rebuilt = [p for p in (tmp_path / "good/objects/log/tile").rglob("*") if p.is_file()]
    assert [p.read_bytes() for p in rebuilt] == [
        (data / p.relative_to(tmp_path / "good")).read_bytes() for p in rebuilt
    ]
    assert 2 == len(rebuilt)  # a tile and its bundle
    of_before("objects/log", ORDER_FILE)(data, office.folder / "before")
    report = office.json("replay", "--into", tmp_path / "cut", "--data", data, code=1)
    (found,) = [finding for finding in report["findings"] if finding["what"] == "log"]
    assert found["subject"].startswith("fact ")
    assert "is not in the log" in found["problem"]
