"""Metrics of the service in the exposition format of Prometheus.

Labels name routes and classes, never a path, an id or a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.http.drainer import DecidingProcess
from infra.http.intake_thread import IntakeThread

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one service, each registered once."""

    def __init__(self, intake: IntakeThread, drainer: DecidingProcess) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "zhengzhao_http_requests",
            "Requests answered",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "zhengzhao_http_seconds", "Seconds from request to answer", ["route"], registry=self.registry
        )
        self.events = Counter(
            "zhengzhao_events",
            "Events received: accepted, duplicate, rejected",
            ["outcome"],
            registry=self.registry,
        )
        for name, about, value in (
            ("waiting", "Requests that wait for the ledger", lambda: intake.waiting),
            ("pending", "Ledger entries and licences that wait", lambda: drainer.pending),
            ("healthy", "1 while the engine runs", lambda: int(drainer.alive)),
        ):
            Gauge(f"zhengzhao_{name}", about, registry=self.registry).set_function(value)
        self.registry.register(
            _Counts(
                ("decided", "Ledger entries decided since the start", lambda: drainer.decided),
                ("issued", "Licences issued since the start", lambda: drainer.issued),
                ("letters", "Dead letters since the start", lambda: drainer.letters),
                ("ticks", "Clock ticks recorded since the start", lambda: drainer.ticks),
            )
        )

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self.registry)


class _Counts(Collector):
    """Counters whose values another thread keeps."""

    def __init__(self, *counts: tuple[str, str, Callable[[], int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        for name, about, value in self._counts:
            yield CounterMetricFamily(f"zhengzhao_{name}", about, value=value())
