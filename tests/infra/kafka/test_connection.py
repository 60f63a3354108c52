"""The broker's address."""

from pathlib import Path

import pytest

from infra.kafka.connection import Connection, parse
from infra.settings import load
from schemas.errors import UsageError


def test_plain_address() -> None:
    """Host and port are enough."""
    assert parse("kafka://127.0.0.1:9092") == Connection(("127.0.0.1:9092",))


def test_sasl_and_tls_come_from_the_address() -> None:
    """User, password, mechanism, authority; the password does not show."""
    found = parse("kafka://issue:p%40ss@a:1,b:2?tls=1&mechanism=PLAIN")
    assert (found.servers, found.password, found.protocol) == (("a:1", "b:2"), "p@ss", "SASL_SSL")
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "address", ["kafka://", "kafka://host", "kafka://host:0", "http://host:1", "kafka://h:1?x=1"]
)
def test_unusable_addresses_are_refused_with_a_hint(address: str) -> None:
    """What is no address says what one looks like."""
    with pytest.raises(UsageError) as refused:
        parse(address)
    assert refused.value.hint


def test_an_agencys_own_inbox_is_a_topic_with_one_source(tmp_path: Path) -> None:
    """`[inboxes]` in settings.toml; another name or a source of another form is refused with file and hint."""
    file = tmp_path / "settings.toml"
    file.write_text('[inboxes]\n"zhengzhao.inbox.632200" = "urn:agency:632200:market-regulation"\n')
    assert load(tmp_path, {}).inboxes == {"zhengzhao.inbox.632200": "urn:agency:632200:market-regulation"}
    for wrong in (
        'inboxes = "x"',
        '[inboxes]\n"zhengzhao.ledger" = "urn:agency:632200:market-regulation"',
        '[inboxes]\n"zhengzhao.inbox.x" = "632200"',
    ):
        file.write_text(wrong)
        with pytest.raises(UsageError) as refused:
            load(tmp_path, {})
        assert (refused.value.where, bool(refused.value.hint)) == (str(file), True)
