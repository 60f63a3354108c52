"""Figures for Prometheus. Labels name routes and classes, never a path, an id or a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from infra.http.door import Door
from infra.http.office import Deciding


class Metrics:
    """The figures of one service."""

    def __init__(self, door: Door, office: Deciding) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "zhengzhao_http_requests", "Requests", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "zhengzhao_http_seconds", "Seconds to the answer", ["route"], registry=self.registry
        )
        self.events = Counter(
            "zhengzhao_events",
            "Events at the door: accepted, duplicate, rejected",
            ["outcome"],
            registry=self.registry,
        )
        for name, about, value in (
            ("waiting", "Requests that wait for the ledger", lambda: door.waiting),
            ("pending", "Ledger entries and licences that wait", lambda: office.pending),
            ("decided", "Ledger entries decided since the start", lambda: office.decided),
            ("issued", "Licences issued since the start", lambda: office.issued),
            ("letters", "Dead letters since the start", lambda: office.letters),
            ("ticks", "Ticks told since the start", lambda: office.ticks),
            ("healthy", "1 while the engine runs", lambda: int(office.alive)),
        ):
            Gauge(f"zhengzhao_{name}", about, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
