"""`zhengzhao bench --http`."""

from __future__ import annotations

import pytest

from infra.bench.http import bench_http


@pytest.mark.slow
def test_both_ways_of_serving_are_measured() -> None:
    """Accepting alone and with deciding behind; every event is in the ledger; all that the service used counts."""
    found = bench_http(300)
    assert (found["events"], found["batch"]) == (300, 100)
    assert found["accepting"]["decided_meanwhile"] == 0
    for part in (found["accepting"], found["deciding_behind"]):
        assert part["runs"] == 3
        assert part["accepted_per_core_second"] == pytest.approx(300 / part["core_seconds"], rel=0.1)
        assert part["accepted_per_second"] > 0
        assert part["p99_ms"] >= part["p50_ms"] > 0
