"""Exit codes by section 1 of the contract: of one error, and of several files."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from infra.cli import main, output
from infra.readmodel.database import is_served
from schemas.errors import (
    BrokerUnavailable,
    DrawError,
    FolderHeld,
    ItemError,
    KeysMissing,
    NotFound,
    Rejected,
    StoreUnavailable,
    TrustError,
    UsageError,
    ZhengzhaoError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), 1), (Rejected("x"), 1), (DrawError("x"), 1),
        (UsageError("x"), 2), (KeysMissing("x"), 2), (TrustError("x"), 2), (ItemError("x"), 2),
        (StoreUnavailable("x"), 75), (BrokerUnavailable("x"), 75), (FolderHeld("x"), 75),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_error_has_the_code_of_its_class(error: ZhengzhaoError, code: int) -> None:
    """1 the answer is no, 2 wrong use or unusable input, 75 the surroundings failed."""
    assert code == output.exit_code(error)


@pytest.mark.parametrize(
    ("codes", "worst"),
    [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 1, 0], 1), ([1, 3], 1), ([0, 2, 1], 2)],
)
def test_of_several_files_the_worst_counts(codes: list[int], worst: int) -> None:
    """1 before 3 before 0; an unusable file before all."""
    assert worst == output.worst(codes)


def test_a_store_that_is_away_is_no_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 75: the same call may succeed later."""
    assert main(["keys", "init", "--data", str(tmp_path)]) == 0
    with socket.socket() as taken:  # bound, but nobody listens: a connection is refused
        taken.bind(("127.0.0.1", 0))
        address = f"s3://key:secret@127.0.0.1:{taken.getsockname()[1]}/bucket"
        monkeypatch.setenv("ZHENGZHAO_STORE", address)
        monkeypatch.setenv("ZHENGZHAO_PATIENCE", "0")
        file = tmp_path / "plan.pdf"
        file.write_bytes(b"%PDF-1.7\n")
        assert main(["material", "put", str(file), "--data", str(tmp_path)]) == 75


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 75), (errno.EACCES, 2), (errno.ENOENT, 2)])
def test_a_full_disk_may_be_tried_again(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk without room is a fault of the surroundings; a path that cannot be used is unusable input."""

    def refuse() -> None:
        raise OSError(number, "refused", "somewhere")

    monkeypatch.setattr(output, "installation", refuse)
    assert code == main(["items", "list"])
    assert "somewhere" in capsys.readouterr().err


def test_a_folder_without_a_service_is_not_served(tmp_path: Path) -> None:
    """The name that a `run` left in the lock's file does not count once its lock is gone."""
    assert is_served(tmp_path) is False
    (tmp_path / ".lock").write_text("run (process 1)")
    assert is_served(tmp_path) is False
