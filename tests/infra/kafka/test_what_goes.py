"""What goes on Kafka and S3: uploads that no case names, and a person's texts, page and files at an erasure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from cluster import Cluster
from story import Events, ric, uscc

from infra.bootstrap import Installation
from infra.http.drainer import collect_uploads

pytestmark = pytest.mark.servers
DAY = 86_400.0
PERSON = ric(7)
GROUND = "经查，李某七（电话 13897123456）提供虚假材料"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A person with a licence, revoked in the same year and long expired; one upload named, one by nobody."""
    one = Cluster(tmp_path_factory.mktemp("goes"))
    try:
        named, _ = (upload(one, text) for text in ("考试合格", "无人引用"))
        told = Events()
        applicant = {
            "kind": "person",
            "id": PERSON,
            "name": "李某七",
            "address": "西宁市一号",
            "division": "630102",
        }
        told.apply(
            "2018-03-01T10:00:00+08:00", "P-7", PERSON, item="special-equipment-operator", products=...,
            applicant=applicant, materials=[{"kind": "application-form"}, {"kind": "examination-record", **named}],
        )  # fmt: skip
        review = {"department": "market-regulation", "officer": "O-1", "decision": "approve"}
        told.add(
            "application.reviewed",
            "2018-03-01T11:00:00+08:00",
            {"application_id": "P-7", "holder_id": PERSON, **review},
        )
        order = {"granted_by": "P-7", "holder_id": PERSON, "ground": GROUND, "decided_on": "2018-06-01"}
        told.add("licence.revoked", "2018-06-01T10:00:00+08:00", order)
        told.apply("2022-03-01T10:00:00+08:00", "N-1", uscc(1))
        one.start("all").wait_ready()
        one.submit(told.lines)
        one.run("tick", "--at", "2022-03-05T00:00:00+08:00", "--confirm")
        one.run("drain")
        yield one
    finally:
        one.close()


def upload(cluster: Cluster, text: str) -> dict[str, str]:
    (cluster.folder / "upload").write_text(text)
    put = json.loads(cluster.run("material", "put", cluster.folder / "upload", "--json"))
    return {"uri": put["uri"], "sha256": put["sha256"]}


def uploads(here: Installation) -> set[str]:
    return {here.persons.open_file(here.store.get(key)).decode() for key in here.store.list("uploads/")}


def test_uploads_that_no_case_names_go_after_their_days(cluster: Cluster) -> None:
    """Not before, and the named one stays."""
    with Installation(cluster.settings) as here:
        assert collect_uploads(here, now=time.time() + 29 * DAY) == 0
        assert uploads(here) == {"考试合格", "无人引用"}
        assert collect_uploads(here, now=time.time() + 31 * DAY) == 1
        assert uploads(here) == {"考试合格"}


def test_an_erasure_takes_texts_page_and_files_and_leaves_evidence(cluster: Cluster) -> None:
    """No record of any topic and no object holds name or ground; a recorded look at the evidence shows the ground."""
    (row,) = json.loads(cluster.run("holder", "show", PERSON, "--json"))["licences"]
    shown = GROUND.replace("13897123456", "138****3456")
    assert shown in cluster.run("licence", "show", row["number"], "--json")
    kept = json.dumps(cluster.facts(), ensure_ascii=False)
    assert "evidence:" in kept
    assert "李某七" not in kept
    cluster.run("holder", "erase", PERSON, "--ground", "保存期届满")
    time.sleep(1)
    after = cluster.run("licence", "show", row["number"], "--json")
    assert ("李某七" in after, "erased" in after) == (False, True)
    cluster.run("licence", "get", row["number"], "--format", "pdf", "-o", cluster.folder / "x.pdf", code=1)
    with Installation(cluster.settings) as here:
        assert uploads(here) == set()
    evidence = cluster.run("holder", "evidence", PERSON, "--ground", "复议", "--json")
    assert shown == json.loads(evidence)["detail"]
