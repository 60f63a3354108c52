"""The stack, moving to Kafka and back, letters, persons: one pair of real servers for all of it."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster import CORE, Cluster, decisions
from filings import cut, each_once, story
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from minio import Minio
from story import Events, Office, ric, uscc
from world import World

from infra.kafka import topics
from infra.kafka.progress import undecided
from infra.kafka.records import Reader
from infra.kafka.worker import departments
from infra.persons.shared_keys import SharedPersons
from infra.stack import local
from infra.stack.processes import client, running
from infra.stores.s3 import conditional_writes
from processors.queries.promises import Wanted, figures, fold
from schemas import facts as f
from schemas.errors import KeysMissing, UsageError
from schemas.items import load_catalogue

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A county on one machine: thirty licences, one of them a person's, one revoked."""
    office = Office(tmp_path_factory.mktemp("county"))
    office.init()
    events = Events()
    for n in range(1, 31):
        events.apply("2018-03-01T10:00:00+08:00", f"N-{n}", uscc(n))
    events.apply(
        "2018-03-01T10:00:00+08:00", "P-1", ric(1), item="special-equipment-operator", products=...,
        applicant={"kind": "person", "id": ric(1), "name": "测试人", "address": "西宁市一号", "division": "630102"},
        materials=[{"kind": "application-form"}, {"kind": "examination-record"}],
    )  # fmt: skip
    events.add(
        "application.reviewed", "2018-03-02T10:00:00+08:00",
        {"application_id": "P-1", "holder_id": ric(1), "department": "market-regulation", "officer": "O-1",
         "decision": "approve"},
    )  # fmt: skip
    events.add(
        "licence.revoked", "2018-03-03T10:00:00+08:00",
        {"granted_by": "N-1", "holder_id": uscc(1), "ground": "依法", "decided_on": "2018-03-03"},
    )  # fmt: skip
    office.tell(events)
    return office


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, county: Office) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("cluster"), keys_of=county.data)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def moved(cluster: Cluster, county: Office) -> Cluster:
    """The county's log taken over into the empty topics, by the third import; then a worker with tables on disk.

    Two were killed: one with a part of the records on the broker, one with all of them. Between them no worker starts,
    and no other archive is taken in.
    """
    archive, other = county.folder / "county.tar", Office(county.folder / "other")
    county.run("log", "export", archive)
    for place in ("import-among-records:150", "import-before-offsets"):
        cluster.env["ZHENGZHAO_FAILPOINT"] = place
        cluster.run("log", "import", archive, code=-signal.SIGKILL)
        del cluster.env["ZHENGZHAO_FAILPOINT"]
        cluster.run("worker", "--stages", CORE, code=2)
        assert "log import FILE" in cluster.office.err
    other.folder.mkdir()
    other.init()
    other.run("tick", "--at", "2018-03-03T12:00:00+08:00")
    other.run("log", "export", "other.tar")
    cluster.run("log", "import", other.folder / "other.tar", code=2)
    assert "not what a broken-off import of this archive leaves" in cluster.office.err
    report = json.loads(cluster.run("log", "import", archive, "--json"))
    assert "were written before" in cluster.office.err
    assert (report["findings"], report["objects"]) == ([], 31)
    cluster.start("a", f"{CORE},issue,status,log", "--tables", "rocksdb").wait_ready()
    return cluster


def test_up_again_changes_nothing(cluster: Cluster) -> None:
    """The same servers, the same address; a second stack on their ports is refused with the port's number."""
    assert cluster.up().servers == cluster.stack.servers
    other = cluster.folder / "other"
    with pytest.raises(UsageError, match=str(cluster.first)) as refused:
        local.up(other, kafka_port=cluster.first, s3_port=cluster.first + 2)
    assert refused.value.hint
    assert local.down(other) == []
    assert running(cluster.folder / "stack", "kafka") is not None


def test_topics_are_as_they_must_be(cluster: Cluster) -> None:
    """Ledger and facts without end and compaction, changelogs compacted, the inbox stamped by the broker."""
    assert topics.wrong_settings(cluster.connection) == []


def s3(cluster: Cluster) -> Minio:
    login, _, place = cluster.stack.store.removeprefix("s3://").rpartition("@")
    key, _, secret = login.partition(":")
    return client(place.partition("/")[0], key, secret)


def test_one_of_many_conditional_writes_wins(cluster: Cluster) -> None:
    """The probe at start-up finds that this store can keep write-once by itself."""
    assert conditional_writes(s3(cluster), local.BUCKET, writers=16) is True


QUERIES = (
    ("case", "show", "N-1"), ("case", "list"), ("licence", "list"), ("holder", "show", uscc(1)),
    ("holder", "show", ric(1)), ("promises",), ("window", "list", "--window", "630225"), ("filing", "list"), ("check", "list"),
    ("letters", "list"),
)  # fmt: skip


def test_every_query_answers_as_on_one_machine(moved: Cluster, county: Office) -> None:
    """On Kafka from the projection, on one machine from its data file: the same answers, byte for byte."""
    numbers = [row["number"] for row in county.rows("licence", "list")]
    for query in (*QUERIES, *(("licence", "show", number) for number in numbers[:3])):
        told = county.run(*query, "--json")
        assert told == moved.run(*query, "--json"), query
        assert told or query[0] in ("filing", "letters")


def test_doctor_looks_at_topics_and_backlog(moved: Cluster) -> None:
    """Topics as they must be, a store whose writes are conditional, nothing waiting; a wrong setting is named."""
    rows = [json.loads(line) for line in moved.run("doctor", "--json", code=None).splitlines()]
    looked = [row for row in rows if row["name"] in ("topics", "store", "backlog")]
    assert {row["name"] for row in looked} == {"topics", "store", "backlog"}
    assert [row for row in looked if row["ok"] is not True] == []
    admin = KafkaAdminClient(bootstrap_servers=moved.connection.bootstrap)
    try:
        for policy, found in (("compact", 1), ("delete", 0)):
            wanted = ConfigResource(ConfigResourceType.TOPIC, topics.FACTS, {"cleanup.policy": policy})
            admin.alter_configs([wanted])
            wrong = [line for line in topics.wrong_settings(moved.connection) if "cleanup.policy" in line]
            assert len(wrong) == found
    finally:
        admin.close()


def test_a_moved_installation_goes_on_where_it_stood(moved: Cluster, county: Office) -> None:
    """Nothing is issued again, the next number follows, queries and replay agree; and the way back."""
    before = county.rows("licence", "list")
    assert [json.loads(line) for line in moved.run("licence", "list", "--json").splitlines()] == before
    events = Events()
    events.apply("2018-04-01T10:00:00+08:00", "N-31", uscc(31))
    events.apply(
        "2018-04-01T10:00:00+08:00", "N-2-r", uscc(2), action="reissue", granted_by="N-2", products=...,
        materials=[{"kind": "application-form"}],
    )  # fmt: skip
    for event in events.lines:
        event["id"] = f"moved-{event['id']}"
    moved.submit(events.lines)
    moved.idle()
    rows = [json.loads(line) for line in moved.run("licence", "list", "--json").splitlines()]
    new = next(row for row in rows if row["application_id"] == "N-31")
    assert new["number"].endswith("-00031")
    assert next(row["version"] for row in rows if row["application_id"] == "N-2-r") == 2
    time.sleep(4)  # status lists
    report = json.loads(moved.run("replay", "--into", moved.folder / "again", "--decide", "--json"))
    assert (report["findings"], report["unproved"], report["objects"]) == ([], [], 33)
    back = Office(moved.folder / "back")
    back.folder.mkdir()
    shutil.copytree(moved.data / "secret", back.data / "secret")
    moved.run("log", "export", moved.folder / "kafka.tar")
    assert back.json("log", "import", moved.folder / "kafka.tar")["findings"] == []
    assert back.rows("licence", "list") == rows
    assert back.json("holder", "show", ric(1))["name"] == "测试人"


def test_what_fails_by_itself_waits_in_the_letters(moved: Cluster) -> None:
    """Poison stops nobody; the letter names cause and place, keeps the bytes, shows no person's number, and returns.

    A name that no font has is asked for before anything is granted.
    """
    producer = KafkaProducer(bootstrap_servers=moved.connection.bootstrap)
    poison = json.dumps({"specversion": "1.0", "id": "x", "subject": ric(7)}).encode()
    producer.send(topics.INBOX, poison, key=ric(7).encode()).get(30)
    good = Events()
    good.apply("2018-04-02T10:00:00+08:00", "N-50", uscc(50))
    producer.send(topics.INBOX, json.dumps(good.lines[0]).encode(), partition=3).get(30)
    strange = {
        "kind": "enterprise",
        "id": uscc(51),
        "name": "青海\U00013000",
        "address": "一号",
        "division": "630225",
    }
    good.apply("2018-04-02T10:00:00+08:00", "N-51", uscc(51), applicant=strange)
    producer.send(topics.INBOX, json.dumps(good.lines[1]).encode(), partition=4).get(30)
    good.lines[0]["data"]["channel"] = "window"
    producer.send(topics.INBOX, json.dumps(good.lines[0]).encode(), partition=3).get(30)
    producer.close()
    moved.idle()
    assert json.loads(moved.run("case", "show", "N-50", "--json"))["state"] == "issued"
    letters = [json.loads(line) for line in moved.run("letters", "list", "--json").splitlines()]
    assert sorted(letter["place"] for letter in letters) == ["decide", "route"]
    asked = json.loads(moved.run("case", "show", "N-51", "--json"))
    assert (asked["state"], asked["missing"]) == ("correction-requested", ["applicant.name"])
    routed = next(letter for letter in letters if letter["place"] == "route")
    assert moved.run("letters", "show", str(routed["letter"])).strip().encode() == poison
    assert not any(ric(7).encode() in record.value for record in moved.records(topics.DEAD_LETTERS))
    assert json.loads(moved.run("letters", "retry", str(routed["letter"]), "--json")) == {"returned": 1}
    moved.idle()
    places = [json.loads(line)["place"] for line in moved.run("letters", "list", "--json").splitlines()]
    assert sorted(places) == ["decide", "route"]


def test_no_number_of_a_person_leaves_the_inbox(moved: Cluster) -> None:
    """Streams, keys and object names carry a pseudonym; the name is sealed."""
    wanted = [ric(1).encode(), "测试人".encode()]
    names = [t.name for t in topics.topics(departments(load_catalogue())) if t.name != topics.INBOX]
    with Reader(moved.connection, names) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            for record in records:
                assert not any(text in (record.key or b"") + (record.value or b"") for text in wanted), (
                    record.topic
                )
    stored = [str(o.object_name) for o in s3(moved).list_objects(local.BUCKET, recursive=True)]
    assert not any(ric(1) in name for name in stored)


def test_persons_keys_are_one_for_all_workers(cluster: Cluster, tmp_path: Path) -> None:
    """Eight at once agree on a new person's key; it can be destroyed; another secret is refused."""
    first = SharedPersons(cluster.data, cluster.stack.store)
    who = first.pseudonym("PERSON-1")
    with ThreadPoolExecutor(8) as threads:
        sealed = set(
            threads.map(
                lambda _: SharedPersons(cluster.data, cluster.stack.store).seal(who, "张三"), range(8)
            )
        )
    assert len(sealed) == 1
    assert first.open(who, next(iter(sealed))) == "张三"
    assert first.erase(who) is True
    assert SharedPersons(cluster.data, cluster.stack.store).open(who, next(iter(sealed))) is None
    with pytest.raises(KeysMissing):
        SharedPersons(tmp_path, cluster.stack.store)


def test_workers_share_the_names_that_an_application_gave(cluster: Cluster) -> None:
    """What one machine was told of an enterprise's persons another seals in a text; the bucket has no name in clear."""
    first, second = (SharedPersons(cluster.data, cluster.stack.store) for _ in range(2))
    assert ({"酆无名"}, {"酆无名", "李四"}) == (
        set(first.names_given("9163NAMED", {"酆无名"})), set(second.names_given("9163NAMED", {"李四"}))
    )  # fmt: skip
    assert [] == [name for name, _ in first.wrapped() if "named" in name]


def test_a_worker_tells_about_itself_and_stops_gently(moved: Cluster) -> None:
    """Live, ready, metrics of every stage; SIGTERM ends it with 0 and nothing is left uncommitted."""
    worker = moved.workers["a"]
    assert [worker.get(path)[0] for path in ("/live", "/ready", "/metrics")] == [200, 200, 200]
    assert worker.metric("zhengzhao_events_total", "decide") > 0
    assert worker.metric("zhengzhao_dead_letters_total", "route") == 2
    assert worker.stop() == 0
    moved.idle(20)


def test_nineteen_filings_through_kills(moved: Cluster) -> None:
    """A registration with all filings, answered in random order with repeats while workers are killed: each is pushed
    once, on the topic of its department alone, and ends as the contract says."""
    filings = [item for item in load_catalogue().items.values() if item.mode == "filing"]
    items = {item.code: item.department for item in filings}
    told = story(19, uscc(70), items, {rule.name: rule.example for item in filings for rule in item.fields})
    worker = moved.start("filings")
    for part in cut(5, told.events[:-1], 3):
        moved.submit(part)
        worker.kill()
        worker = moved.start("filings")
    moved.idle()
    moved.submit(told.events[-1:])  # a tick has no holder: it would overtake the answers
    moved.idle()
    model, pushes, alarms = told.model, [], set()
    for department in set(items.values()):
        for record in moved.records(topics.filings_topic(department)):
            event = json.loads(record.value)
            data = event["data"]
            number, own = data.get("round", 1), data["filing"]["department"]
            assert own == department
            if event["type"] == "zhengzhao.filing.pushed.v1":
                pushes.append((event["id"], data["filing"]["filing_id"], number, own))
            else:
                alarms.add((data["filing"]["filing_id"], number, data["colour"]))
    assert model.pushed == each_once(pushes)
    assert model.alarms == alarms
    rows = [json.loads(line) for line in moved.run("filing", "list", "--json").splitlines()]
    assert {row["filing_id"]: (row["state"], row["round"]) for row in rows} == {
        key: (state, model.rounds[key]) for key, state in model.states.items()
    }
    holder = json.loads(moved.run("holder", "show", uscc(70), "--json"))
    assert model.refused == [refusal["event"] for refusal in holder["refused"]]
    world = World().tell(told.events)
    wanted = Wanted(items=tuple(items))
    kept = json.loads(moved.run("promises", *(f"--item={code}" for code in items), "--json"))
    assert kept["rows"] == figures(fold(world.facts, world.catalogue), world.catalogue, wanted)["rows"]
    once = [json.loads(f.encode(fact)) for fact in world.facts]
    assert decisions(once)[uscc(70)] == decisions(moved.facts())[uscc(70)]


def test_a_person_is_not_erased_while_an_event_is_on_its_way(moved: Cluster) -> None:
    """Nobody decides: what stands in the inbox may concern the person, so the record is kept."""
    for worker in moved.workers.values():
        worker.stop()
    assert undecided(moved.settings, seconds=1) == 0
    events = Events()
    events.apply("2018-05-01T10:00:00+08:00", "N-60", uscc(60))
    moved.submit([{**event, "id": "late"} for event in events.lines])
    assert undecided(moved.settings, seconds=1) == 1
    moved.run("holder", "erase", ric(1), "--ground", "保存期届满", code=1)
    assert "1 events on the broker are not decided yet" in moved.office.err
