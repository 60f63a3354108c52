"""`replay`: state and objects rebuilt from the recorded facts, into another folder, without private keys.

1. Facts are read in their order. Their chain of digests shows a fact that was changed, taken away or added; so
   does the ledger's for its entries.
2. Each is folded into a fresh data file; where an edition of a status list was published, it is rebuilt from
   the list as it then stood, with the recorded signatures, and compared with the stored one.
3. Each issued licence is rebuilt with its recorded signatures, on all cores, and compared.
4. What the fold gives is compared with the live state, and the store is searched for objects too many.
5. The transparency log is held against the facts, in both directions, and its tiles are made again.

Where a renderer is no longer installed or a person was erased, the stored object is compared with its recorded
digest, and the report says so.

`replay --decide`: the ledger decided again. It must give the recorded facts, and the recorded numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import msgspec

from infra import issue_worker
from infra.delivery.notices import check_letters
from infra.embedded.writer import Batch
from infra.parts import Parts
from infra.persons.keys import DATABASE, SECRET
from infra.pool import Pool
from infra.readmodel.database import Database, RecordedItems, is_served
from infra.readmodel.lists import read_list
from infra.readmodel.projector import FORM, Projector, due_in_part, renew
from infra.recovery.chains import ProofCount, check_kept_proof, read_facts, read_ledger
from infra.settings import Settings
from infra.stores.folder import FolderStore
from infra.transparency.compare import ReadOrder, compare_log
from issuance.status_lists import decode_edition, is_signed, rebuild_edition
from processors import state as states
from schemas import facts as f
from schemas.agencies import AgencyRegister
from schemas.errors import NotFound, UsageError, VerificationError
from schemas.facts import Fact, LicenceIssued
from schemas.licence import Numbered
from schemas.ports import Store

_STEP = 500  # facts in one transaction
_KNOWN = ("uploads/", "persons/", "probe/", "log/", "letters/")
_TIMESTAMP = "/licence.tsr"  # from elsewhere, so that no fact holds it

Say = Callable[[str, int, int], None]  # stage, done, of


class Difference(msgspec.Struct, frozen=True):
    """Something that is not as the facts say. `what`: fact, state, object, ledger, log."""

    what: str
    subject: str
    problem: str


class ReplayReport(msgspec.Struct):
    """The findings of a replay. `unproved`: objects that could only be compared with their recorded digest, and why.

    `ledger` is the last link of the ledger's chain (hex): who noted an earlier one finds it again in its place.
    """

    facts: int = 0
    entries: int = 0
    proofs: int = 0  # kept proofs that were found good
    ledger: str = ""
    objects: int = 0
    editions: int = 0
    findings: list[Difference] = msgspec.field(default_factory=list)
    unproved: list[Difference] = msgspec.field(default_factory=list)

    @property
    def code(self) -> int:
        """1 where something differs, 3 where something could not be proved, else 0."""
        return 1 if self.findings else 3 if self.unproved else 0

    def add(self, what: str, subject: object, problem: str) -> None:
        """Note a difference."""
        self.findings.append(Difference(what, str(subject), problem))


def replay(
    parts: Parts,
    into: Path,
    *,
    decide: bool = False,
    register: AgencyRegister | None = None,
    say: Say = lambda *_: None,
    step: int = _STEP,
    read_order: ReadOrder | None = None,
) -> ReplayReport:
    """Rebuild into the folder `into`, which must be new or empty, and report every difference.

    With `decide` the ledger is decided again too, and must give the recorded facts. With `register` every kept proof
    is checked against the agencies' keys. `step`: facts in one transaction. `read_order`: where the order of the log is
    recorded elsewhere than in the data folder.
    """
    prepare(into)
    report = ReplayReport()
    with (
        Database(parts.settings.database) as source,
        Database(into / "zhengzhao.sqlite", create=True) as target,
    ):
        renew(source)
        with source.snapshot():
            _ledger(source, register, report)
            expected = _Fold(parts, source, target, into, report).run(say, step)
            _compare_states(source, target, report)
            expected |= _objects(parts.settings, source, target, into, report, say)
            for key, problem, unproved in check_letters(parts, FolderStore(into / "objects")):
                report.objects += 1
                if unproved:
                    report.unproved.append(Difference("object", key, problem))
                elif problem:
                    report.add("object", key, problem)
            if decide:
                decide_again(source, into, report, say)
            compare_log(
                parts.settings, parts.trust, parts.store, source, FolderStore(into / "objects"), report.add,
                patient=parts.settings.on_kafka or is_served(parts.settings.data), read_order=read_order,
            )  # fmt: skip
        _too_many(parts.store, expected, report)
    return report


def _ledger(source: Database, register: AgencyRegister | None, report: ReplayReport) -> None:
    """Check the chain of the ledger and, where a register is given, the proofs of its events."""
    count = ProofCount()
    for seq, entry in read_ledger(source, report.add):
        report.entries += 1
        if register is not None:
            check_kept_proof(seq, entry, register, count, report.add)
    for place in msgspec.json.decode(source.meta(LEDGER_FAULTS, "[]")):
        report.add(
            "ledger", place, "differs from the chain that was kept when it was decided / 与裁决时所存的链不符"
        )
    report.ledger, report.proofs = source.ledger_head()[1].hex(), count.good
    if count.unkept:
        problem = "taken in by a release that kept no proofs / 由未保存签名的版本收入"
        report.unproved.append(Difference("proof", f"{count.unkept} events", problem))


def prepare(into: Path) -> None:
    """UsageError for a folder that holds something already."""
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(
            "目标目录不是空的 / the folder is not empty", where=str(into), hint="name a new folder"
        )
    into.mkdir(parents=True, exist_ok=True)


class _Fold:
    """Steps 1 and 2."""

    def __init__(
        self, parts: Parts, source: Database, target: Database, into: Path, report: ReplayReport
    ) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._trust, self._store = parts.trust, parts.store
        self._into = FolderStore(into / "objects")
        self._projector = Projector(target, due_in_part)
        self._editions = source.db.execute(
            "SELECT after_fact, edition FROM editions ORDER BY after_fact, seq"
        ).fetchall()
        self._keys: set[str] = set()

    def run(self, say: Say, step: int) -> set[str]:
        """Fold everything; the keys of the editions."""
        total, _ = self._source.head()
        facts = read_facts(self._source, self._report.add)
        for _, chunk in groupby(facts, key=lambda row: row[0] // step):
            with self._target.transaction():
                for holder_facts in _by_holder(chunk):
                    self._take(holder_facts)
                self._projector.write()
            self._projector.forget()
            say("facts", self._report.facts, total)
        self._publish(None)
        return self._keys

    def _take(self, rows: list[tuple[int, Fact, bytes]]) -> None:
        for seq, fact, raw in rows:
            self._publish(seq)
            try:
                self._projector.fold([fact])
            except Exception as error:  # whatever a forged fact breaks, the report goes on
                self._report.add("fact", f"{seq} ({fact.id})", f"cannot be folded / 无法归并: {error!r}")
                continue
            self._target.add_facts([(0, fact.id, fact.holder, fact.type, raw)])
            self._report.facts += 1

    def _publish(self, before: int | None) -> None:
        """Rebuild the editions that were published before this fact (None: all that are left)."""
        while self._editions and (before is None or self._editions[0][0] < before):
            record = decode_edition(self._editions.pop(0)[1])
            self._projector.write()
            listed, _ = read_list(self._target, record.name)
            for key, data in rebuild_edition(record, listed):
                self._keys.add(key)
                _compare_object(self._store, key, data, self._report)
                self._into.put(key, data)
            if not is_signed(record, listed, self._trust):
                self._report.add("object", record.name, "a recorded signature is not over what is rebuilt")
            self._report.editions += 1


def _by_holder(
    rows: Iterator[tuple[int, Fact, bytes]],
) -> Iterator[list[tuple[int, Fact, bytes]]]:
    for _, group in groupby(rows, key=lambda row: row[1].holder):
        yield list(group)


def _compare_object(store: Store, key: str, data: bytes, report: ReplayReport) -> None:
    try:
        stored = store.get(key)
    except NotFound:
        report.add("object", key, "missing: there is no such object in the store / 缺失")
        return
    if stored != data:
        report.add("object", key, "differs: what is rebuilt has other bytes / 字节不同")


def _compare_states(source: Database, target: Database, report: ReplayReport) -> None:
    """Step 4, first half: states and what is looked up."""
    live = source.db.execute("SELECT holder, CAST(state AS BLOB) FROM states ORDER BY holder")
    seen = set()
    if source.meta(FORM, "1") != str(states.STATE_SCHEMA):
        _compare_indices(source, target, report)  # states of another form are rebuilt at the next start
        return
    for holder, raw in live:
        seen.add(holder)
        row = target.db.execute("SELECT state FROM states WHERE holder = ?", (holder,)).fetchone()
        if row is None:
            report.add("state", holder, "too many: no fact leads to it / 多出")
        elif row[0] != raw and not _same_state(row[0], raw):
            report.add("state", holder, "differs from what the facts give / 与事实不符")
    for (holder,) in target.db.execute("SELECT holder FROM states ORDER BY holder"):
        if holder not in seen:
            report.add("state", holder, "missing / 缺失")
    _compare_indices(source, target, report)


def _compare_indices(source: Database, target: Database, report: ReplayReport) -> None:
    """Report each index that differs from what the facts give."""
    for table in ("cases", "licences", "places"):
        sql = f"SELECT * FROM {table} ORDER BY 1, 2"
        if source.db.execute(sql).fetchall() != target.db.execute(sql).fetchall():
            report.add("state", table, "the index differs from what the facts give / 索引与事实不符")


def _same_state(rebuilt: bytes, live: bytes) -> bool:
    try:
        return states.decode(rebuilt) == states.decode(live)
    except msgspec.MsgspecError:
        return False


def _objects(
    settings: Settings, source: Database, target: Database, into: Path, report: ReplayReport, say: Say
) -> set[str]:
    """Step 3; the keys of the licences' objects."""
    total = source.db.execute("SELECT count(*) FROM facts WHERE type = 'licence.issued'").fetchone()[0]
    jobs = _Jobs(source, target, report)
    keys = settings.on_kafka or (settings.data / DATABASE).is_file()
    opens = keys and (settings.data / SECRET).is_file()
    recipe = issue_worker.rebuild_recipe(settings, into, opens=opens)
    with Pool(recipe, settings.workers) as pool:
        for result in pool.map(jobs):
            key = jobs.keys.pop(result.job)
            report.objects += 1
            say("objects", report.objects, total)
            if result.failure is not None:
                report.add(
                    "object", key, f"cannot be rebuilt: {result.failure.kind}: {result.failure.message}"
                )
                continue
            rebuilt = issue_worker.decode_rebuilt(result.output)
            if rebuilt.verdict != "same":
                report.add("object", key, rebuilt.verdict)
            elif rebuilt.unproved:
                report.unproved.append(Difference("object", key, rebuilt.unproved))
    return jobs.all_keys


class _Jobs:
    """The licences to rebuild, one after another; `keys` tells which job is whose."""

    def __init__(self, source: Database, target: Database, report: ReplayReport) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._items = RecordedItems(source)
        self.keys: dict[int, str] = {}
        self.all_keys: set[str] = set()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        sql = "SELECT seq, fact FROM facts WHERE type = 'licence.issued' ORDER BY seq"
        for seq, raw in self._target.db.execute(sql):
            fact = f.decode(raw)
            assert isinstance(fact.body, LicenceIssued)
            issued = fact.body.issued
            self.all_keys.add(issued.object_key)
            try:
                numbered = self._numbered(fact)
                job = issue_worker.encode_rebuild(
                    numbered, self._items.paper(numbered.grant.item_digest), issued
                )
            except (VerificationError, KeyError, StopIteration) as error:
                self._report.add("fact", fact.id, f"nothing to rebuild it from / 缺少依据: {error}")
                continue
            self.keys[seq] = issued.object_key
            yield seq, job

    def _numbered(self, fact: Fact) -> Numbered:
        assert isinstance(fact.body, LicenceIssued)
        issued = fact.body.issued
        row = self._target.db.execute("SELECT state FROM states WHERE holder = ?", (fact.holder,)).fetchone()
        licence = states.decode(row[0]).licences[issued.licence_id]
        at = next(n for n, v in enumerate(licence.versions) if v.grant.version == issued.version)
        version = licence.versions[at]
        previous = licence.versions[at - 1].identifier if at else ""
        return Numbered(
            grant=version.grant,
            number=licence.number,
            serial=0,  # stands in no artefact
            identifier=version.identifier,
            previous_identifier=previous or None,
            status_list=version.status_list,
            status_index=version.status_index,
        )


def _too_many(store: Store, expected: set[str], report: ReplayReport) -> None:
    """Step 4, second half: objects that no fact accounts for."""
    for key in store.list():
        beside = key.removesuffix(".tsr") + ".pdf" if key.endswith(_TIMESTAMP) else key
        if beside not in expected and not key.startswith(_KNOWN):
            report.add("object", key, "too many: no fact accounts for it / 多出")


LEDGER_FAULTS = "ledger-faults"  # in a copy of topics: places where the ledger is not what was decided
BY_HOLDER = "by-holder"  # set where the ledger has an order for each holder, and none among series
_DECIDE_STEP = 500


def decide_again(source: Database, into: Path, report: ReplayReport, say: Say) -> None:
    """Decide every entry up to the recorded position, and report facts and numbers that differ."""
    last = int(source.meta("position", "0"))
    with Database(into / "decided.sqlite", create=True) as target:
        position, items = 0, RecordedItems(target)
        while position < last:
            rows = [row for row in source.entries(position, _DECIDE_STEP) if row[0] <= last]
            if not rows:
                break
            with target.transaction():
                batch = Batch(target, items)
                position = batch.decide(rows, position)
                batch.write(position)
            say("ledger", position, last)
        _facts(source, target, report)
        if not source.meta(BY_HOLDER):
            _numbers(source, target, report)


def _facts(source: Database, target: Database, report: ReplayReport) -> None:
    """Compare the facts in their order; after the first one out of step they are matched by id."""
    recorded = dict(_rows(source, "SELECT id, CAST(fact AS BLOB) FROM facts ORDER BY seq"))
    for fact_id, fact in _rows(target, "SELECT id, CAST(fact AS BLOB) FROM facts ORDER BY seq"):
        found = recorded.pop(fact_id, None)
        if found is None:
            report.add("fact", fact_id, "missing: the ledger leads to it / 缺失：台账导出此事实")
        elif found != fact:
            report.add("fact", fact_id, "differs from what the ledger gives / 与台账裁决不符")
    for fact_id in recorded:
        report.add("fact", fact_id, "too many: the ledger does not lead to it / 多出：台账不导出此事实")


def _numbers(source: Database, target: Database, report: ReplayReport) -> None:
    sql = "SELECT json_extract(entry, '$.id'), CAST(entry AS BLOB) FROM ledger WHERE kind IN ('numbered', 'claimed') ORDER BY seq"
    recorded = dict(_rows(source, sql))
    for entry_id, entry in _rows(target, sql):
        if recorded.pop(entry_id, entry) != entry:
            report.add("ledger", entry_id, "another number than the ledger leads to / 编号与台账不符")
    for entry_id in recorded:
        report.add("ledger", entry_id, "a number that no decision asked for / 无裁决的编号")


def _rows(db: Database, sql: str) -> Iterator[tuple[str, bytes]]:
    for key, content in db.db.execute(sql):
        yield str(key), bytes(content)
