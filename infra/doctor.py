"""What is wrong with this set-up: fonts, keys, storage, clock, and what lies waiting.

Each check looks at one thing and says what it saw; `ok` is None for a warning. Nothing is changed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from infra.doctor_delivery import deliveries
from infra.draw_alarms import draws
from infra.findings import Finding
from infra.pool import cores
from infra.settings import Settings, masked
from schemas.errors import ZhengzhaoError
from schemas.times import CHINA

_LOW_ROOM = 1 << 30  # bytes
_CLOCK_YEARS = (2024, 2100)


def examine(settings: Settings) -> list[Finding]:
    """All checks, each made even if one before it failed."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _fonts, _keys, _storage, _broker, _data, deliveries, draws, _clock, _proof, _machine,
    )  # fmt: skip
    found: list[Finding] = []
    for check in checks:
        name = check.__name__.removeprefix("_")
        try:
            found += check(settings)
        except ZhengzhaoError as error:
            found.append(Finding(name, False, str(error), error.hint))
        except (OSError, sqlite3.Error) as error:
            found.append(Finding(name, False, str(error), "check the folder, its rights and the room on it"))
    return found


def _fonts(_: Settings) -> Iterator[Finding]:
    from issuance import fonts, page

    for path in fonts.paths():
        yield Finding("fonts", True, path.name)
    yield Finding("fonts", True, f"digest {fonts.digest()[:16]}… · {len(fonts.coverage())} characters")
    yield Finding("renderer", True, page.renderer())


def _keys(settings: Settings) -> Iterator[Finding]:
    from issuance.keys import open_signer
    from schemas.trust import load_trust

    trust = load_trust(settings.trust)
    now = datetime.now(UTC)
    live = [key for key in trust.keys.values() if key.signed_in_time(now)]
    uses = sorted({key.use for key in trust.keys.values()})
    starts = min(key.signs_from for key in trust.keys.values())
    yield Finding(
        "trust", True, f"edition {trust.listing.sequence}, {len(trust.keys)} keys ({', '.join(uses)})"
    )
    yield Finding(
        "keys", bool(live) or None, f"{len(live)} of {len(trust.keys)} can sign today; the first from {starts[:10]}",
        "" if live else "zhengzhao keys rotate",
    )  # fmt: skip
    signer = open_signer(settings.data, settings.passphrase)
    missing = set(trust.keys) - signer.kids
    yield Finding(
        "keystore", not missing, f"{len(signer.kids)} private keys" + (f", {len(missing)} missing" if missing else ""),
        "restore keys/ from a backup" if missing else "",
    )  # fmt: skip
    if settings.passphrase is None:
        yield Finding(
            "passphrase",
            None,
            "private keys are not encrypted at rest",
            "set ZHENGZHAO_PASSPHRASE before `keys init`",
        )


def _storage(settings: Settings) -> Iterator[Finding]:
    from infra.stores import open_store
    from infra.stores.s3 import S3Store

    store = open_store(settings.store, settings.objects)
    where = masked(settings.store) if settings.store else str(settings.objects)
    first = next(iter(store.list("status/")), None)
    if first is not None:
        store.get(first)
    yield Finding("store", True, f"{where} answers")
    if isinstance(store, S3Store):
        atomic = store.conditional()
        detail = (
            "conditional"
            if atomic
            else "not conditional: write-once is kept up by reading back and comparing"
        )
        yield Finding("store", atomic or None, f"writes of this store are {detail}")
    folder = next(p for p in (settings.data, *settings.data.absolute().parents) if p.exists())
    room = shutil.disk_usage(folder).free
    yield Finding(
        "room",
        room > _LOW_ROOM,
        f"{room / 1e9:.1f} GB free",
        "" if room > _LOW_ROOM else "make room on the disk",
    )
    if settings.data.exists() and not os.access(settings.data, os.W_OK):
        yield Finding("folder", False, f"{settings.data} cannot be written", "check its rights")


def _broker(settings: Settings) -> Iterator[Finding]:
    if settings.broker is None:
        return
    from infra.kafka.connection import parse
    from infra.kafka.topics import wrong_settings

    # those of filings are made by the first worker
    wrong = wrong_settings(parse(settings.broker), inboxes=settings.inboxes)
    for detail in wrong:
        yield Finding(
            "topics", False, detail, "mend it with the broker's tools; facts and ledger are kept for ever"
        )
    if not wrong:
        yield Finding(
            "topics",
            True,
            f"{masked(settings.broker)}: partitions, retention and compaction as they should be",
        )


def _data(settings: Settings) -> Iterator[Finding]:
    from infra.engines.database import Database

    if settings.on_kafka:
        from infra.kafka.examine import examine_kafka

        yield from examine_kafka(settings)
        return
    if not settings.database.exists():
        yield Finding("data", True, "nothing taken in yet")
        return
    with Database(settings.database) as db:
        state = db.db.execute("PRAGMA quick_check").fetchone()[0]
        yield Finding(
            "data", state == "ok", f"SQLite says {state}", "" if state == "ok" else "restore a backup"
        )
        facts, _ = db.head()
        entries = db.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        yield Finding("ledger", True, f"{entries} entries, {facts} facts")
        pending = db.pending()
        jobs = db.db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        if pending or jobs:
            yield Finding("pending", None, f"{pending} entries, {jobs} licences to issue", "zhengzhao drain")
        letters = db.db.execute("SELECT count(*) FROM letters WHERE state = 'open'").fetchone()[0]
        if letters:
            yield Finding("letters", False, f"{letters} dead letters", "zhengzhao letters list")
        unsigned = int(db.meta("without_proof", "0"))
        if unsigned:
            yield Finding(
                "proof", None, f"{unsigned} events were taken in without a proof (auth: none)",
                "require_proof = true in settings.toml",
            )  # fmt: skip


def _clock(_: Settings) -> Iterator[Finding]:
    now = datetime.now(CHINA)
    sane = _CLOCK_YEARS[0] <= now.year < _CLOCK_YEARS[1]
    yield Finding(
        "clock", sane, f"{now.isoformat(timespec='seconds')} in China", "" if sane else "set the clock"
    )
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.05)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    if drift > 0.02:
        yield Finding("clock", None, f"the clock jumped by {drift:.3f} s", "is it being set right now?")


def _proof(settings: Settings) -> Iterator[Finding]:
    if settings.require_proof:
        yield Finding("require_proof", True, "events without a good proof are rejected")
    else:
        yield Finding(
            "require_proof", None, "whoever reaches the inbox can speak for any agency",
            "require_proof = true in settings.toml, and the agencies' keys in the register",
        )  # fmt: skip


def _machine(settings: Settings) -> Iterator[Finding]:
    workers = settings.workers or cores()
    yield Finding("machine", True, f"{cores()} cores, {workers} issuing processes")
