"""The one set of metrics of service and workers: the same names and labels, in the exposition format of Prometheus.

A stage is one of the topology's, or `door` (the HTTP service takes in), `engine` (what one machine decides and issues
altogether), `deliver` (filings that webhooks have not taken), `project` (the workers' records are followed). Labels name stages, routes and classes, never a path,
an id or a person. Beside them stand the figures of the process that every client library of Prometheus gives.
"""

from __future__ import annotations

import bisect
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class StageMetrics:
    """The figures of one stage; `outcomes` counts its inputs by what became of them.

    `timed` says that it knows when its inputs were received, and so how long they took.
    """

    def __init__(self, stage: str, *, timed: bool = True) -> None:
        self.stage = stage
        self.timed = timed
        self.outcomes: Tally[str] = Tally()
        self.dead_letters = 0
        self.retries = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.lag: Callable[[], int] = lambda: 0
        self.under_way: Callable[[], int] = lambda: 0
        self.healthy: Callable[[], bool] = lambda: True

    def handled(self, received: float | None, now: float | None = None) -> None:
        """Count an input as done; `received` is its time on the broker in seconds since 1970."""
        self.outcomes["done"] += 1
        took = max(0.0, (time.time() if now is None else now) - received) if received else 0.0
        self.seconds += took
        self.buckets[bisect.bisect_left(_BOUNDS, took)] += 1


class Metrics:
    """The metrics of one process.

    `stages` gives the figures of its stages whenever they are asked for, `letters` how many dead letters are open (None:
    this process does not know).
    """

    def __init__(
        self,
        stages: Callable[[], Iterable[StageMetrics]],
        letters: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Stages(stages, letters))
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "zhengzhao_http_requests",
            "Requests answered",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "zhengzhao_http_seconds", "Seconds from request to answer", ["route"], registry=self.registry
        )

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self.registry)


_Value = Callable[[StageMetrics], float]
_COUNTERS: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("dead_letters", "Inputs that went to dead letters", lambda stage: stage.dead_letters),
    ("retries", "Attempts held up by a fault of store or broker", lambda stage: stage.retries),
)
_GAUGES: Final[tuple[tuple[str, str, _Value], ...]] = (
    ("lag", "Inputs that are not handled yet", lambda stage: stage.lag()),
    ("under_way", "Inputs received and not done", lambda stage: stage.under_way()),
    ("healthy", "1 while a stage runs without a fault", lambda stage: int(stage.healthy())),
)


class _Stages(Collector):
    """The figures of stages, which their loops and threads keep."""

    def __init__(
        self, stages: Callable[[], Iterable[StageMetrics]], letters: Callable[[], int | None]
    ) -> None:
        self._stages = stages
        self._letters = letters

    def collect(self) -> Iterator[Metric]:
        stages = list(self._stages())
        events = CounterMetricFamily(
            "zhengzhao_events", "Inputs handled, by outcome", labels=["stage", "outcome"]
        )
        for stage in stages:
            for outcome, count in stage.outcomes.items():
                events.add_metric([stage.stage, outcome], count)
        yield events
        for name, about, total in _COUNTERS:
            counted = CounterMetricFamily(f"zhengzhao_{name}", about, labels=["stage"])
            for stage in stages:
                counted.add_metric([stage.stage], total(stage))
            yield counted
        for name, about, value in _GAUGES:
            shown = GaugeMetricFamily(f"zhengzhao_{name}", about, labels=["stage"])
            for stage in stages:
                shown.add_metric([stage.stage], value(stage))
            yield shown
        if (letters := self._letters()) is not None:
            yield GaugeMetricFamily("zhengzhao_letters_open", "Dead letters that wait for somebody", letters)
        yield _latency([stage for stage in stages if stage.timed])


def _latency(stages: Iterable[StageMetrics]) -> Metric:
    latency = HistogramMetricFamily(
        "zhengzhao_latency_seconds", "From the broker's stamp until all is acknowledged", labels=["stage"]
    )
    bounds = (*map(str, _BOUNDS), "+Inf")
    for stage in stages:
        pairs = list(zip(bounds, accumulate(stage.buckets), strict=True))
        latency.add_metric([stage.stage], pairs, sum_value=stage.seconds)
    return latency
