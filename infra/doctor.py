"""What is wrong with this set-up: fonts, keys, storage, clock, and what lies waiting.

Each check looks at one thing and says what it saw; `ok` is None for a warning. Nothing is changed.

What a check of the set-up found.

What `doctor` says of deliveries: the departments' folders and webhooks, and what waits for them.

Draws that were announced and not made: an announcement without a transcript by its date is an alarm by itself.

What `doctor` looks at on Kafka beside topics and store: what waits, and what failed.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from infra.delivery.outbox import DATABASE, OUTBOX
from infra.delivery.webhooks import FILE, Hook, load_departments
from infra.kafka.backlog import Backlog
from infra.kafka.connection import parse
from infra.kafka.letters import open_kafka_letters
from infra.pool import cores
from infra.settings import Settings, masked
from schemas.calendar import CHINA
from schemas.errors import ZhengzhaoError
from schemas.items import load_catalogue


class DoctorFinding(msgspec.Struct, frozen=True):
    """One check. `ok`: True good, False wrong, None a warning."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECONDS = 2.0  # for one department to answer the telephone


def deliveries(settings: Settings) -> Iterator[DoctorFinding]:
    """The outbox, each department of `departments.toml`, and what their webhooks have not taken."""
    hooks = load_departments(settings.data)
    if settings.on_kafka:
        if hooks:
            hint = (
                "departments read zhengzhao.filings.<department>; a relay of their own can call the webhook"
            )
            yield DoctorFinding("departments", None, f"on Kafka {FILE} has no effect", hint)
        return
    yield from _outbox(settings.data)
    known = {
        item.department for item in load_catalogue(settings.items).items.values() if item.mode == "filing"
    }
    for name, hook in sorted(hooks.items()):
        yield from _department(name, hook, known)
    yield from _waiting(settings.data)


def _outbox(data: Path) -> Iterator[DoctorFinding]:
    outbox = data / OUTBOX
    if not outbox.exists():
        return
    for folder in (outbox, *(path for path in sorted(outbox.iterdir()) if not path.is_file())):
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            yield DoctorFinding(
                "outbox", False, f"{folder} cannot be written", "check its rights; it must be a folder"
            )
            return
    yield DoctorFinding("outbox", True, f"{outbox} can be written")


def _department(name: str, hook: Hook, known: set[str]) -> Iterator[DoctorFinding]:
    parts = urlsplit(hook.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{name}: {parts.scheme}://{host}:{port}"
    if name not in known:
        yield DoctorFinding(
            "departments", None, f"{name}: no filing is of this department",
            f"departments of filings: {', '.join(sorted(known))}",
        )  # fmt: skip
    if parts.scheme == "http" and host not in _LOOPBACK:
        yield DoctorFinding(
            "departments", None, f"{where}: filings travel unencrypted", "use an https address"
        )
    try:
        socket.create_connection((host, port), timeout=min(_SECONDS, hook.timeout)).close()
    except OSError as error:
        hint = "check the address and the department's server; filings wait for it"
        yield DoctorFinding("departments", None, f"{where} does not answer: {error}", hint)
    else:
        yield DoctorFinding("departments", True, f"{where} answers")


def _waiting(data: Path) -> Iterator[DoctorFinding]:
    path = data / DATABASE
    if not path.exists():
        return
    sql = "SELECT department, count(*), max(attempts), max(error) FROM waiting GROUP BY department"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute(sql).fetchall()
    for department, count, attempts, error in rows:
        detail = f"{department}: {count} filings not taken, {attempts} tries, {error or 'not tried yet'}"
        yield DoctorFinding("deliveries", None, detail, "zhengzhao filing deliver")


def draws(settings: Settings) -> Iterator[DoctorFinding]:
    """A finding for each announcement whose period has begun and that is neither drawn nor voided; else how many there are."""
    from infra.draw.store import DrawStore

    if not (settings.data / "draws").is_dir():
        return
    now, count, late = datetime.now(UTC), 0, 0
    for link in DrawStore(settings.data).every():
        count += 1
        if link.overdue(now):
            late += 1
            plan = link.announcement.plan
            yield DoctorFinding(
                "draws",
                False,
                f"announcement {link.announcement.sequence} of {plan.authority} ({plan.plan}) is neither drawn nor "
                f"voided, and its period began on {plan.period[0]} / 公告逾期未抽取",
                "zhengzhao draw run, or draw void with the reason",
            )
    if not late:
        yield DoctorFinding("draws", True, f"{count} announcements, none overdue")


def examine_kafka(settings: Settings) -> Iterator[DoctorFinding]:
    """The backlog of each stage, and the dead letters."""
    connection = parse(settings.broker or "")
    backlog = Backlog(connection, settings.inboxes)
    try:
        lags = {stage: lag for stage, lag in backlog.lags(backlog.ends()).items() if lag}
    finally:
        backlog.close()
    said = ", ".join(f"{stage} {lag}" for stage, lag in lags.items())
    yield DoctorFinding(
        "backlog", None if lags else True, said or "nothing waits", "is there a worker for each stage?"
    )
    with open_kafka_letters(settings) as box:
        open_ones = len(list(box.letters()))
    if open_ones:
        yield DoctorFinding("letters", False, f"{open_ones} dead letters", "zhengzhao letters list")


_LOW_ROOM = 1 << 30  # bytes
_CLOCK_YEARS = (2024, 2100)


def examine(settings: Settings) -> list[DoctorFinding]:
    """All checks, each made even if one before it failed."""
    checks: tuple[Callable[[Settings], Iterator[DoctorFinding]], ...] = (
        _fonts, _keys, _storage, _broker, _data, deliveries, draws, _clock, _proof, _machine,
    )  # fmt: skip
    found: list[DoctorFinding] = []
    for check in checks:
        name = check.__name__.removeprefix("_")
        try:
            found += check(settings)
        except ZhengzhaoError as error:
            found.append(DoctorFinding(name, False, str(error), error.hint))
        except (OSError, sqlite3.Error) as error:
            found.append(
                DoctorFinding(name, False, str(error), "check the folder, its rights and the room on it")
            )
    return found


def _fonts(_: Settings) -> Iterator[DoctorFinding]:
    from issuance import fonts, page

    for path in fonts.paths():
        yield DoctorFinding("fonts", True, path.name)
    yield DoctorFinding("fonts", True, f"digest {fonts.digest()[:16]}… · {len(fonts.coverage())} characters")
    yield DoctorFinding("renderer", True, page.renderer())


def _keys(settings: Settings) -> Iterator[DoctorFinding]:
    from issuance.keys import open_signer
    from schemas.trust import load_trust

    trust = load_trust(settings.trust)
    now = datetime.now(UTC)
    live = [key for key in trust.keys.values() if key.signed_in_time(now)]
    uses = sorted({key.use for key in trust.keys.values()})
    starts = min(key.signs_from for key in trust.keys.values())
    yield DoctorFinding(
        "trust", True, f"edition {trust.listing.sequence}, {len(trust.keys)} keys ({', '.join(uses)})"
    )
    yield DoctorFinding(
        "keys", bool(live) or None, f"{len(live)} of {len(trust.keys)} can sign today; the first from {starts[:10]}",
        "" if live else "zhengzhao keys rotate",
    )  # fmt: skip
    signer = open_signer(settings.data, settings.passphrase)
    missing = set(trust.keys) - signer.kids
    yield DoctorFinding(
        "keystore", not missing, f"{len(signer.kids)} private keys" + (f", {len(missing)} missing" if missing else ""),
        "restore keys/ from a backup" if missing else "",
    )  # fmt: skip
    if settings.passphrase is None:
        yield DoctorFinding(
            "passphrase",
            None,
            "private keys are not encrypted at rest",
            "set ZHENGZHAO_PASSPHRASE before `keys init`",
        )


def _storage(settings: Settings) -> Iterator[DoctorFinding]:
    from infra.stores import open_store
    from infra.stores.s3 import S3Store

    store = open_store(settings.store, settings.objects)
    where = masked(settings.store) if settings.store else str(settings.objects)
    first = next(iter(store.list("status/")), None)
    if first is not None:
        store.get(first)
    yield DoctorFinding("store", True, f"{where} answers")
    if isinstance(store, S3Store):
        atomic = store.conditional()
        detail = (
            "conditional"
            if atomic
            else "not conditional: write-once is kept up by reading back and comparing"
        )
        yield DoctorFinding("store", atomic or None, f"writes of this store are {detail}")
    folder = next(p for p in (settings.data, *settings.data.absolute().parents) if p.exists())
    room = shutil.disk_usage(folder).free
    yield DoctorFinding(
        "room",
        room > _LOW_ROOM,
        f"{room / 1e9:.1f} GB free",
        "" if room > _LOW_ROOM else "make room on the disk",
    )
    if settings.data.exists() and not os.access(settings.data, os.W_OK):
        yield DoctorFinding("folder", False, f"{settings.data} cannot be written", "check its rights")


def _broker(settings: Settings) -> Iterator[DoctorFinding]:
    if settings.broker is None:
        return
    from infra.kafka.connection import parse
    from infra.kafka.topics import wrong_settings

    # those of filings are made by the first worker
    wrong = wrong_settings(parse(settings.broker), inboxes=settings.inboxes)
    for detail in wrong:
        yield DoctorFinding(
            "topics", False, detail, "mend it with the broker's tools; facts and ledger are kept for ever"
        )
    if not wrong:
        yield DoctorFinding(
            "topics",
            True,
            f"{masked(settings.broker)}: partitions, retention and compaction as they should be",
        )


def _data(settings: Settings) -> Iterator[DoctorFinding]:
    from infra.readmodel.database import Database

    if settings.on_kafka:
        yield from examine_kafka(settings)
        return
    if not settings.database.exists():
        yield DoctorFinding("data", True, "nothing taken in yet")
        return
    with Database(settings.database) as db:
        state = db.db.execute("PRAGMA quick_check").fetchone()[0]
        yield DoctorFinding(
            "data", state == "ok", f"SQLite says {state}", "" if state == "ok" else "restore a backup"
        )
        facts, _ = db.head()
        entries = db.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        yield DoctorFinding("ledger", True, f"{entries} entries, {facts} facts")
        pending = db.pending()
        jobs = db.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        if pending or jobs:
            yield DoctorFinding(
                "pending", None, f"{pending} entries, {jobs} licences to issue", "zhengzhao drain"
            )
        letters = db.db.execute("SELECT count(*) FROM letters WHERE state = 'open'").fetchone()[0]
        if letters:
            yield DoctorFinding("letters", False, f"{letters} dead letters", "zhengzhao letters list")
        unsigned = int(db.meta("without_proof", "0"))
        if unsigned:
            yield DoctorFinding(
                "proof", None, f"{unsigned} events were taken in without a proof (auth: none)",
                "require_proof = true in settings.toml",
            )  # fmt: skip


def _clock(_: Settings) -> Iterator[DoctorFinding]:
    now = datetime.now(CHINA)
    sane = _CLOCK_YEARS[0] <= now.year < _CLOCK_YEARS[1]
    yield DoctorFinding(
        "clock", sane, f"{now.isoformat(timespec='seconds')} in China", "" if sane else "set the clock"
    )
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.05)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    if drift > 0.02:
        yield DoctorFinding("clock", None, f"the clock jumped by {drift:.3f} s", "is it being set right now?")


def _proof(settings: Settings) -> Iterator[DoctorFinding]:
    if settings.require_proof:
        yield DoctorFinding("require_proof", True, "events without a good proof are rejected")
    else:
        yield DoctorFinding(
            "require_proof", None, "whoever reaches the inbox can speak for any agency",
            "require_proof = true in settings.toml, and the agencies' keys in the register",
        )  # fmt: skip


def _machine(settings: Settings) -> Iterator[DoctorFinding]:
    workers = settings.workers or cores()
    yield DoctorFinding("machine", True, f"{cores()} cores, {workers} issuing processes")
