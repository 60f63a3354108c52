"""The two chains of a data file, read from their beginning: what breaks one is named with its place.

Facts and ledger entries are chained by SHA-256(link before ‖ bytes). Beside the ledger's chain the kept proofs of
its events are checked against the agency register, each as of the moment when its event was received.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from infra.readmodel.database import Database
from schemas import facts as f
from schemas.agencies import AgencyRegister, judge_kept
from schemas.errors import Rejected, UsageError
from schemas.facts import Fact
from schemas.ledger import Entry, EventEntry, decode_entry

AddFinding = Callable[[str, object, str], None]
"""Take a difference: what kind of thing, which one, and what is wrong with it."""

_KEPT_SINCE = 3  # the release of the rules since which `route` keeps proofs
_NAMED = 1000  # missing rows in a gap that are named one by one


def read_facts(source: Database, add: AddFinding) -> Iterator[tuple[int, Fact, bytes]]:
    """Yield the recorded facts in order (number, fact, bytes); what breaks the chain is added to the findings."""
    expected, chain = 1, bytes(32)
    count, head = source.head()
    rows = source.db.execute(
        "SELECT seq, id, CAST(fact AS BLOB), CAST(chain AS BLOB) FROM facts ORDER BY seq"
    )
    for seq, fact_id, raw, link in rows:
        if seq != expected:
            for missing in range(expected, min(seq, expected + _NAMED)):
                add("fact", missing, "missing / 缺失")
        elif hashlib.sha256(chain + raw).digest() != link:
            add("fact", f"{seq} ({fact_id})", "differs from its digest in the chain / 与链不符")
        expected, chain = seq + 1, link
        try:
            fact = f.decode(raw)
        except msgspec.MsgspecError as error:
            add("fact", f"{seq} ({fact_id})", f"unreadable / 无法读取: {error}")
            continue
        if fact.id != fact_id:
            add("fact", f"{seq} ({fact_id})", "carries another id / 编号不符")
        yield seq, fact, raw
    for missing in range(expected, min(count + 1, expected + _NAMED)):
        add("fact", missing, "missing / 缺失")
    if expected > count + 1:
        add("fact", f"{count + 1}…{expected - 1}", "too many / 多出")
    elif expected == count + 1 and chain != head:
        add("fact", expected - 1, "is not the end of the chain / 不是链尾")


def read_ledger(source: Database, add: AddFinding) -> Iterator[tuple[int, Entry]]:
    """Yield the ledger's entries in order with their numbers; what breaks the chain is added to the findings.

    Entries that an earlier release appended have no link; the chain starts with the first one that has.
    """
    count, head = source.ledger_head()
    start = int(source.db.execute("SELECT chained_from FROM head").fetchone()[0])
    expected, chain = 1, b""
    rows = "SELECT seq, CAST(entry AS BLOB), CAST(chain AS BLOB) FROM ledger ORDER BY seq"
    for seq, raw, link in source.db.execute(rows):
        for missing in range(expected, min(seq, expected + _NAMED)):
            add("ledger", missing, "missing / 缺失")
        try:
            entry = decode_entry(raw)
        except (msgspec.MsgspecError, UsageError) as error:
            entry = None
            add("ledger", seq, f"unreadable / 无法读取: {error}")
        name = f"{seq} ({entry.id})" if entry else seq
        if seq >= start:
            if link is None:
                add("ledger", name, "has no link of the chain / 缺少链")
            elif seq == expected and hashlib.sha256(chain + raw).digest() != link:
                add("ledger", name, "differs from its digest in the chain / 与链不符")
            chain = link or hashlib.sha256(chain + raw).digest()
        expected = seq + 1
        if entry is not None:
            yield seq, entry
    for missing in range(expected, min(count + 1, expected + _NAMED)):
        add("ledger", missing, "missing / 缺失")
    if expected > count + 1:
        add("ledger", f"{count + 1}…{expected - 1}", "too many / 多出")
    elif expected == count + 1 and chain != head:
        add("ledger", count, "is not the end of the chain / 不是链尾")


class ProofCount:
    """The proofs of a ledger: `good` ones, and those that an earlier release left `unkept`."""

    def __init__(self) -> None:
        self.good = self.unkept = 0


def check_kept_proof(
    seq: int, entry: Entry, register: AgencyRegister, count: ProofCount, add: AddFinding
) -> None:
    """Check the kept proof of an entry, where it is an event's."""
    if not isinstance(entry, EventEntry):
        return
    sent = entry.payload
    if not sent.proof:
        if entry.auth == "proof" and sent.rules >= _KEPT_SINCE:
            add("proof", f"{seq} ({entry.id})", "missing: the entry was taken in with a proof / 签名缺失")
        elif entry.auth == "proof":
            count.unkept += 1
        return
    try:
        at = datetime.fromisoformat(entry.received_at)
        judge_kept(register, sent.source, sent.type, sent.proof, sent.signed, at)
    except (Rejected, ValueError) as error:
        if entry.auth == "proof":  # else it counted as none when it came, and none was asked for
            add("proof", f"{seq} ({entry.id}) {sent.source}", str(error))
        return
    count.good += 1
