"""A command that says nothing for a while shows on a terminal that it works; elsewhere nothing is added."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from story import ROOT

WAITS = (
    "import time; from infra.cli import output\n"
    "with output.signs_of_life():\n    time.sleep({seconds}); output.line('done'); time.sleep(0.5)"
)


def on_a_terminal(seconds: float) -> str:
    """What a terminal shows of a wait."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS.format(seconds=seconds)], stdout=theirs, stderr=theirs, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(30) == 0
    return shown.decode("utf-8", "replace")


def test_three_seconds_of_silence() -> None:
    """The spinner appears, and is gone before the next word."""
    shown = on_a_terminal(4.5)
    assert "working" in shown
    assert "working" not in shown.partition("done")[2]
    assert "working" not in on_a_terminal(0.5)


def test_no_spinner_in_a_pipe() -> None:
    """Programs read what they asked for."""
    done = subprocess.run(
        [sys.executable, "-c", WAITS.format(seconds=4)], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ("done\n", "") == (done.stdout, done.stderr)
