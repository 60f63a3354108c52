"""What a worker tells about itself: Prometheus text, liveness, readiness.

Names: `zhengzhao_events_total{stage}`, `zhengzhao_dead_letters_total{stage}`, `zhengzhao_retries_total{stage}`,
`zhengzhao_latency_seconds{stage}` (histogram: from the record's time on the broker until everything that
follows from it is acknowledged), `zhengzhao_lag{stage}`, `zhengzhao_under_way{stage}`.
"""

from __future__ import annotations

import bisect
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class StageMetrics:
    """Counters of one stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.events = 0
        self.dead_letters = 0
        self.retries = 0
        self.seconds = 0.0
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self.lag: Callable[[], int] = lambda: 0
        self.under_way: Callable[[], int] = lambda: 0

    def handled(self, received: float | None, now: float | None = None) -> None:
        """An input is done; `received` is its time on the broker in seconds since 1970."""
        self.events += 1
        took = max(0.0, (time.time() if now is None else now) - received) if received else 0.0
        self.seconds += took
        self._buckets[bisect.bisect_left(_BOUNDS, took)] += 1

    def lines(self) -> Iterator[tuple[str, str, float]]:
        """(metric, labels, value) of every line."""
        label = f'stage="{self.stage}"'
        yield "zhengzhao_events_total", label, self.events
        yield "zhengzhao_dead_letters_total", label, self.dead_letters
        yield "zhengzhao_retries_total", label, self.retries
        yield "zhengzhao_lag", label, self.lag()
        yield "zhengzhao_under_way", label, self.under_way()
        total = 0
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self._buckets, strict=True):
            total += count
            yield "zhengzhao_latency_seconds_bucket", f'{label},le="{bound}"', total
        yield "zhengzhao_latency_seconds_sum", label, self.seconds
        yield "zhengzhao_latency_seconds_count", label, self.events


_KINDS = {
    "zhengzhao_events_total": ("counter", "inputs handled"),
    "zhengzhao_dead_letters_total": ("counter", "inputs that went to dead letters"),
    "zhengzhao_retries_total": ("counter", "attempts held up by a fault of store or broker"),
    "zhengzhao_lag": ("gauge", "inputs on the broker that are not handled yet"),
    "zhengzhao_under_way": ("gauge", "inputs received and not done"),
    "zhengzhao_latency_seconds": (
        "histogram",
        "from the record's time on the broker until all is acknowledged",
    ),
}


def prometheus(stages: list[StageMetrics]) -> str:
    """The metrics of these stages in Prometheus' text format."""
    by_metric: dict[str, list[str]] = defaultdict(list)
    for stage in stages:
        for metric, labels, value in stage.lines():
            family = metric
            for suffix in ("_bucket", "_sum", "_count"):
                family = family.removesuffix(suffix)
            by_metric[family].append(f"{metric}{{{labels}}} {value:g}")
    out = []
    for family, rows in by_metric.items():
        kind, text = _KINDS[family]
        out += [f"# HELP {family} {text}", f"# TYPE {family} {kind}", *rows]
    return "\n".join(out) + "\n"
