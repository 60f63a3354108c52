"""The pages on Kafka: the tests of the public pages and the ways behind a login, against a broker and `zhengzhao run`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import CORE, Cluster
from draws_told import ToldDraws, two_draws
from playwright.sync_api import Browser
from portal_site import PortalSite, printed
from starlette.testclient import TestClient
from story import COMMAND, PROVINCE, ROOT

from infra.cli import main
from infra.http.service import service
from infra.kafka.inbox import last_catalogue
from tests.infra.http import test_public_pages as public
from tests.infra.http.conftest import beside
from tests.infra.http.test_http import until
from tests.infra.http.test_http_kafka import running
from tests.infra.portal import test_ways as ways

pytestmark = pytest.mark.servers
ON_ONE_MACHINE = {"test_pages_in_a_real_browser", "test_page_prints_without_navigation"}
"""Those which look at what both engines make of the same templates."""

# The same tests as on one machine; their fixtures are those of this module.
globals().update(
    {
        name: test
        for name, test in vars(public).items()
        if name.startswith("test_") and name not in ON_ONE_MACHINE
    }
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Real servers with the story, and one worker."""
    folder = tmp_path_factory.mktemp("pages-kafka")
    since = public.BEGAN.date().isoformat()
    assert main(["keys", "init", "--valid-from", since, "--data", str(folder / "keyed")]) == 0
    one = Cluster(folder, keys_of=folder / "keyed")
    try:
        public.describe_authority(one.data)
        one.start("a", f"{CORE},issue,status,log").wait_ready()
        one.submit(public.story().lines)
        one.idle()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def draws(cluster: Cluster) -> ToldDraws:
    """The draws of the tests, told by the command over the broker."""
    with pytest.MonkeyPatch().context() as patch:
        for name, value in cluster.env.items():
            patch.setenv(name, value)
        return two_draws(cluster.folder / "draws", printed)


def handed(cluster: Cluster, data: Path) -> Path:
    """Return a data folder with what the operator hands to each machine: authorities, draws."""
    for part in ("authorities", "draws", "registers"):
        if (cluster.data / part).is_dir():
            shutil.copytree(cluster.data / part, data / part)
    return data


@pytest.fixture(scope="module")
def client(
    cluster: Cluster, draws: ToldDraws, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    with (
        service(beside(cluster, handed(cluster, tmp_path_factory.mktemp("client") / "data"))) as built,
        TestClient(built.app(), base_url="http://127.0.0.1") as opened,
    ):
        until(lambda: opened.get("/readyz").status_code == 200)
        yield opened


@pytest.fixture(scope="module")
def built(cluster: Cluster, draws: ToldDraws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with service(beside(cluster, handed(cluster, tmp_path_factory.mktemp("built") / "data"))) as made:
        yield made


@pytest.fixture(scope="module")
def site(
    cluster: Cluster, draws: ToldDraws, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PortalSite]:
    """`zhengzhao run` as a process of its own, and the command beside it."""
    data = handed(cluster, tmp_path_factory.mktemp("run") / "data")
    with running(cluster, data, public.PORT) as client, pytest.MonkeyPatch().context() as patch:
        until(lambda: client.get("/readyz").status_code == 200)
        for name, value in {**cluster.env, "ZHENGZHAO_DATA": str(data)}.items():
            patch.setenv(name, value)
        yield PortalSite(str(client.base_url).rstrip("/"), data)


@pytest.fixture(scope="module")
def address(site: PortalSite) -> str:
    return site.address


@pytest.mark.slow
def test_an_enterprise_goes_the_whole_way_on_a_phone(
    site: PortalSite, browser: Browser, tmp_path: Path
) -> None:
    """As on one machine, without scripts: from the login to a changed licence."""
    ways.test_an_enterprise_goes_the_whole_way(site, browser, 360, False, tmp_path)


@pytest.mark.slow
def test_officers_review_and_suspend_at_a_desk(site: PortalSite, browser: Browser, tmp_path: Path) -> None:
    """As on one machine, with scripts: a review the same day, a suspension with a second person."""
    ways.test_officers_review_and_suspend_with_a_second_person(site, browser, 1280, True, tmp_path)


def test_a_worker_that_leads_to_another_host_does_not_start(cluster: Cluster, tmp_path: Path) -> None:
    """As intake on one machine: exit 2 with the line to write, and the catalogue in force stays."""
    before = last_catalogue(cluster.connection)
    data = tmp_path / "data"
    beside(cluster, data)
    (data / "authorities").mkdir()
    (data / "authorities" / "63.toml").write_text(f'["{PROVINCE}"]\nhost = "other.example.org"\n', "utf-8")
    done = subprocess.run(
        [*COMMAND, "worker", "--stages", "route", "--name", "other"],
        env={**os.environ, **cluster.env, "ZHENGZHAO_DATA": str(data)}, cwd=ROOT,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (2, True) == (done.returncode, 'former_hosts = ["' + public.LEADS_TO in done.stderr), done.stderr
    assert before == last_catalogue(cluster.connection)
