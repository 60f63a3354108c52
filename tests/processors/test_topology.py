"""The topology is what both engines run."""

from __future__ import annotations

from pathlib import Path

from story import Events, uscc
from world import World

from infra.embedded.engine import Engine
from infra.kafka import topics
from infra.kafka.stages import RUNS, STAGES
from infra.settings import Settings
from processors import stages
from processors.stages import Produced, ToNumber, number_step
from processors.topology import TOPOLOGY, returns_to
from schemas.facts import LicenceGranted

NAMES = [stage.name for stage in TOPOLOGY]


def test_kafka_runs_every_stage_of_the_topology_and_no_other() -> None:
    """Each has a loop; a worker offers them in the order of the topology."""
    assert set(NAMES) == set(RUNS)
    assert [name for name in NAMES if name in STAGES] == list(STAGES[:-1])
    for name, loop in RUNS.items():
        assert name in {loop.stage.name, *(stage.name for stage in loop.also_runs)}


def test_the_embedded_engine_runs_every_stage_of_the_topology_and_no_other(tmp_path: Path) -> None:
    """Each has a handler."""
    engine = Engine.__new__(Engine)
    engine.settings = Settings(tmp_path)
    assert set(NAMES) == set(engine.runs)


def test_topics_are_those_of_the_streams() -> None:
    """No topic of the pipeline is named anywhere else; tables have changelogs beside them."""
    tables = (topics.HOLDERS_TABLE, topics.CATALOGUES_TABLE, topics.SERIES_TABLE)
    expected = {value.topic for value in vars(stages).values() if isinstance(value, stages.Stream)}
    expected |= {topics.changelog(table) for table in tables}
    expected = expected - {stages.FILINGS.topic} | {stages.filings_topic("public-security")}
    assert expected == {topic.name for topic in topics.topics(["public-security"])}


def test_every_stream_has_a_reader_or_is_public() -> None:
    """What a stage emits is consumed by another one, or by the world outside."""
    consumed = {stage.consumes for stage in TOPOLOGY} | set(stages.PUBLIC) | {stages.EDITIONS, stages.LOGGED}
    assert {stream for stage in TOPOLOGY for stream in stage.emits} <= consumed


def test_a_dead_letter_returns_to_what_its_stage_consumes() -> None:
    """So that the stage that failed tries it again."""
    assert {
        "route": stages.INBOX,
        "decide": stages.LEDGER,
        "number": stages.GRANTS,
        "issue": stages.NUMBERED,
    } == {name: returns_to(name) for name in ("route", "decide", "number", "issue")}


def test_a_grant_that_comes_again_is_not_numbered_again() -> None:
    """The kernel's step drops it by its id."""
    events = Events()
    events.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    world = World().tell(events.lines)
    (grant,) = [fact.body.grant for fact in world.facts if isinstance(fact.body, LicenceGranted)]
    before = dict(world.book.of_series)
    assert number_step(world.book, ToNumber(grant, b"")) == Produced()
    assert world.book.of_series == before
