"""Brokers and a store that ask who is there: TLS, passwords, access lists, and an agency's own topic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from cluster import Cluster
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from secured import Authority, start_broker
from story import Events, uscc

from infra.kafka import topics
from infra.kafka.connection import client, parse
from infra.kafka.outbox import Send
from infra.kafka.publisher import Publisher, send_all
from infra.kafka.worker import departments
from infra.settings import allow_past
from infra.stack import local
from infra.stack.processes import ensure_bucket, store_answers, wait_until
from schemas.errors import UsageError
from schemas.items import load_catalogue

pytestmark = pytest.mark.servers

AGENCY = "urn:agency:632200:market-regulation"
INBOX = "zhengzhao.inbox.632200"
PASSWORDS = {"admin": "geheim-1", "agency": "p@ss/wort:1", "front": "w-1", "issuer": "w-2", "desk": "w-3"}
READ, WRITE, DESCRIBE = ACLOperation.READ, ACLOperation.WRITE, ACLOperation.DESCRIBE
OUTBOUND = (topics.CASES, topics.LICENCES, topics.INSPECTIONS, topics.filings_topic("*"))
CHANGELOGS = ("zhengzhao-decide-*", "zhengzhao-number-*")

# user → (operation, kind of resource, names; `*` at the end: everything that begins so); docs/operations.md says the same
ALLOWED: dict[str, list[tuple[ACLOperation, ResourceType, tuple[str, ...]]]] = {
    "agency": [(WRITE, ResourceType.TOPIC, (INBOX,))],
    "front": [
        (DESCRIBE, ResourceType.TOPIC, ("zhengzhao*",)),
        (READ, ResourceType.TOPIC, (f"{topics.INBOX}*", topics.LEDGER, topics.GRANTS, topics.CATALOGUE, *CHANGELOGS)),
        (WRITE, ResourceType.TOPIC,
         (topics.LEDGER, topics.CATALOGUE, topics.FACTS, topics.GRANTS, topics.NUMBERED, topics.DEAD_LETTERS,
          *OUTBOUND, *CHANGELOGS)),
        (READ, ResourceType.GROUP, ("zhengzhao-route", "zhengzhao-decide", "zhengzhao-number")),
    ],
    "issuer": [
        (DESCRIBE, ResourceType.TOPIC, ("zhengzhao*",)),
        (READ, ResourceType.TOPIC, (topics.NUMBERED, topics.FACTS, topics.LEDGER, topics.EDITIONS, topics.STATUS)),
        (WRITE, ResourceType.TOPIC, (topics.LEDGER, topics.DEAD_LETTERS, topics.EDITIONS)),
        (READ, ResourceType.GROUP, ("zhengzhao-issue", "zhengzhao-status")),
        (DESCRIBE, ResourceType.GROUP, ("zhengzhao-decide",)),
    ],
    "desk": [(READ, ResourceType.TOPIC, (topics.FACTS, topics.DEAD_LETTERS))],
}  # fmt: skip


class Guarded(Cluster):
    """A stack behind TLS; `as_user` gives the address that a user has."""

    def up(self) -> local.Stack:
        self.authority = Authority(self.folder / "ca")
        (self.data / "settings.toml").write_text(f'[inboxes]\n"{INBOX}" = "{AGENCY}"\n')
        allow_past(self.data)
        folder = self.folder / "stack"
        folder.mkdir()
        access = local._access(folder)
        certificate, key = self.authority.server("store")
        store = local._start_store(
            folder, self.first + 2, access, f"-s3.cert.file={certificate}", f"-s3.key.file={key}"
        )
        kafka = start_broker(folder, self.first, self.authority, PASSWORDS)
        endpoint, ca = f"127.0.0.1:{store.ports['s3']}", str(self.authority.file)
        wait_until(lambda: store_answers(endpoint, access.key, access.secret, ca=ca), store, seconds=90)
        ensure_bucket(endpoint, access.key, access.secret, local.BUCKET, ca=ca)
        address = f"s3s://{access.key}:{access.secret}@{endpoint}/{local.BUCKET}?ca={ca}"
        return local.Stack(self.as_user("admin"), address, (kafka, store))

    def as_user(self, user: str, **over: str) -> str:
        """The broker's address for a user."""
        word = quote(over.get("password", PASSWORDS[user]), safe="")
        ca = over.get("ca", str(self.authority.file))
        return f"kafka://{user}:{word}@127.0.0.1:{self.first}?tls=1&ca={ca}"

    def become(self, user: str, **over: str) -> None:
        """What is started or run from now on is that user's."""
        self.env = {**self.env, "ZHENGZHAO_BROKER": self.as_user(user, **over)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    one = Guarded(tmp_path_factory.mktemp("guarded"))
    try:
        admin_of = parse(one.as_user("admin"))
        topics.ensure_topics(admin_of, departments(load_catalogue()), [INBOX])
        admin = KafkaAdminClient(**client(admin_of))
        admin.create_acls(list(access_lists()))
        admin.close()
        yield one
    finally:
        one.close()


def access_lists() -> Iterator[ACL]:
    for user, rules in ALLOWED.items():
        for operation, kind, names in rules:
            for name in names:
                pattern = (
                    ACLResourcePatternType.PREFIXED if name.endswith("*") else ACLResourcePatternType.LITERAL
                )
                yield ACL(
                    principal=f"User:{user}", host="*", operation=operation,
                    permission_type=ACLPermissionType.ALLOW,
                    resource_pattern=ResourcePattern(kind, name.removesuffix("*"), pattern),
                )  # fmt: skip


@pytest.mark.parametrize(
    "command", [["submit", "events.jsonl"], ["worker", "--stages", "decide"], ["licence", "list"]]
)
def test_a_wrong_password_or_authority_is_wrong_use(guarded: Guarded, command: list[str]) -> None:
    """Nobody waits for what waiting does not mend: exit 2, what is wrong, a hint, and no secret."""
    events = Events()
    events.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    (guarded.folder / "events.jsonl").write_text(events.text())
    other = Authority(guarded.folder / "other")
    for over, said in (
        ({"password": "falsch"}, "refuses the user 'front'"),
        ({"ca": str(other.file)}, "certificate is not trusted"),
        ({"ca": "/nowhere.pem"}, "TLS could not be set up"),
    ):
        guarded.become("front", **over)
        guarded.run(*command, code=2)
        assert said in guarded.office.err
        assert "hint:" in guarded.office.err
        assert "falsch" not in guarded.office.err


def test_a_wrong_key_of_the_store_is_wrong_use(guarded: Guarded) -> None:
    """A worker does not start with it; neither does it trust a store by another authority."""
    store = guarded.env["ZHENGZHAO_STORE"]
    other = Authority(guarded.folder / "third")
    guarded.become("front")
    right = guarded.env
    secret = store.partition("@")[0].rpartition(":")[2]
    for wrong, said in (
        (store.replace(secret, "falsch"), "the store refuses this key"),
        (store.partition("?")[0] + f"?ca={other.file}", "TLS with the store failed"),
    ):
        guarded.env = {**right, "ZHENGZHAO_STORE": wrong}
        guarded.run("worker", "--stages", "route", code=2)
        assert said in guarded.office.err
        assert "hint:" in guarded.office.err
    guarded.env = right


def test_each_role_does_its_part_with_what_it_is_allowed(guarded: Guarded) -> None:
    """An agency writes to its own topic alone and is known by it; workers with two users decide and issue; others ask."""
    guarded.become("front")
    guarded.start("front", "route,decide,number").wait_ready()
    guarded.become("issuer")
    guarded.start("issuer", "issue,status").wait_ready()
    agency = parse(guarded.as_user("agency"))
    events = Events()
    for n in range(1, 6):
        events.apply(
            "2018-03-01T10:00:00+08:00", f"N-{n}", uscc(n, "632221"), source=AGENCY,
            applicant={"kind": "enterprise", "id": uscc(n, "632221"), "name": "门源某公司", "address": "门源",
                       "division": "632221"},
        )  # fmt: skip
    foreign = Events()
    foreign.apply("2018-03-01T10:00:00+08:00", "N-9", uscc(9))
    with Publisher(agency, topic=INBOX) as publisher:
        for event in events.lines:
            publisher.send(event["data"]["applicant"]["id"], json.dumps(event).encode())
        publisher.send(uscc(9), json.dumps({**foreign.lines[0], "id": "foreign"}).encode())
    with pytest.raises(UsageError, match="does not let the user 'agency'"):
        send_all(agency, [Send(topics.LEDGER, b"x", b"{}", 0)])
    guarded.idle()
    guarded.become("desk")
    rows = [json.loads(line) for line in guarded.run("licence", "list", "--json").splitlines()]
    assert sorted(row["application_id"] for row in rows) == [f"N-{n}" for n in range(1, 6)]
    assert json.loads(guarded.run("case", "show", "N-1", "--json"))["auth"] == f"topic:{INBOX}"
    entries = [json.loads(r.value) for r in guarded.records(topics.LEDGER) if b'"kind":"event"' in r.value]
    assert {(e["principal"], e["auth"]) for e in entries} == {(f"topic:{INBOX}", "topic")}
    (letter,) = [json.loads(line) for line in guarded.run("letters", "list", "--json").splitlines()]
    assert f"the topic {INBOX} belongs to {AGENCY}" in letter["error"]
    path = guarded.folder / "licence.pdf"
    guarded.run("licence", "get", rows[0]["number"], "--format", "pdf", "-o", path)
    assert json.loads(guarded.run("verify", path, "--at", "2018-03-02T00:00:00+08:00", "--json", code=None))[
        "genuine"
    ]
    for worker in guarded.workers.values():
        assert worker.stop() == 0
