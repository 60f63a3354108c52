"""Holding a process to a share of a core."""

import subprocess
import sys
import time

from infra.bench.kafka import CpuShare, used


def test_a_held_process_gets_its_share_and_is_let_go() -> None:
    """One that would take a whole core takes a fifth of it; afterwards it runs freely."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            begun = time.monotonic()
            with CpuShare([busy.pid], 0.2):
                time.sleep(2)
                share = used(busy.pid) / (time.monotonic() - begun)
            assert 0.05 < share < 0.3
            before = used(busy.pid)
            time.sleep(0.5)
            assert used(busy.pid) > before
        finally:
            busy.kill()
