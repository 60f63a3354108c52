"""The two engines under the service: a data folder of its own, or one broker, store and worker for all modules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import CORE, Cluster
from playwright.sync_api import Browser, sync_playwright
from verifier_site import chromium

from infra.cli import main
from infra.settings import Settings, allow_past


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Real servers with one worker that decides, issues and publishes; it has no clock, since the stories are of 2018."""
    one = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        one.start("a", f"{CORE},issue,status,log").wait_ready()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; while it is open no other test of this process can run an event loop."""
    with sync_playwright() as started:
        opened = chromium(started)
        yield opened
        opened.close()


def beside(cluster: Cluster, data: Path) -> Settings:
    """Settings of a service on another machine: the installation's secret and the trust folder, and no keys."""
    for part in ("secret", "trust"):
        shutil.copytree(cluster.data / part, data / part)
    allow_past(data)
    return Settings(data, broker=cluster.stack.broker, store=cluster.stack.store)


@pytest.fixture(scope="module", params=["embedded", pytest.param("kafka", marks=pytest.mark.servers)])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a fresh data folder on each engine."""
    data = tmp_path_factory.mktemp("http") / "data"
    if request.param == "kafka":
        return beside(request.getfixturevalue("cluster"), data)
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data), "--json"]) == 0
    return Settings(data, workers=1)
