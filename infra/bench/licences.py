"""Figures of this machine, in a folder that is thrown away: milliseconds per stage, licences and checks per second.

Each figure comes with the number of runs. Stages are measured one after another in this process, in milliseconds of
CPU (`store`: of waiting for the disk too); the end-to-end figure is the real thing: `submit` and `drain` with all
processes, artefacts stored and flushed to the disk, by the clock on the wall.

Figures of the transparency log: entries a second from the recorded order to a published, witnessed head.

All is durable, as in service: order and tiles in a folder, flushed to the disk, and a witness in this process that
flushes what it signs. Three ways of coming in: everything under one head, a thousand under each, one under each.
"""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from infra.bootstrap import Installation
from infra.demo.samples_day import ITEM, PROVINCE, uscc
from infra.persons.keys import PersonsStore
from infra.pool import cores
from infra.recovery.replay import replay
from infra.settings import Settings
from infra.stores.folder import FolderStore
from infra.transparency.client import WitnessFailure
from infra.transparency.sequencer import Sequencer, SqliteOrder, new_seed, seeded_signer
from infra.transparency.tiles import StoredLog
from infra.transparency.witness import Witness
from issuance.certificates import longest_validity, roles_of
from issuance.issue import STAGES, Issuer
from issuance.keys import Lifetime, init
from processors import number as numbers
from processors.decide import decide
from processors.route import route
from processors.state import initial
from producers.files import Summary, submit_file
from schemas import facts as f
from schemas.calendar import CHINA
from schemas.events import parse_event
from schemas.items import Catalogue
from schemas.ledger import Entry
from schemas.licence import Grant, IssuanceItem, Numbered
from schemas.transparency.entries import LicenceEntry
from schemas.transparency.notes import (
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    read_signature_lines,
    read_size,
)
from verification.pdf import attachments
from verification.verify import verify_bytes

DAY = datetime(2018, 9, 12, 9, 0, tzinfo=CHINA)
_CATEGORIES = ("化肥", "人造板", "电线电缆", "耐火材料")
_SAMPLE = 0.25  # seconds between two looks at the memory

Say = Callable[[str], None]


def bench(licences: int, workers: int = 0, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure everything with `licences` applications end to end, and fewer runs of single stages."""
    with tempfile.TemporaryDirectory(prefix="zhengzhao-bench-") as folder:
        settings = Settings(Path(folder) / "data", workers=workers)
        catalogue = Installation(settings).catalogue
        life = Lifetime(datetime(2018, 1, 1, tzinfo=CHINA), longest_validity(catalogue))
        init(settings.data, roles_of(catalogue), life, now=datetime.now(UTC), passphrase=None)
        some = min(licences, 200)
        say("stages")
        stages, decisions = _stages(settings, catalogue, some)
        say("end to end")
        result = {
            "machine": {
                "cores": cores(),
                "workers": workers or cores(),
                "python": platform.python_version(),
                "processor": platform.processor() or platform.machine(),
            },
            "stages_ms": stages,
            "decisions_per_second": decisions,
            "end_to_end": _end_to_end(settings, licences),
        }
        say("verification")
        result["verifications_per_second"] = _verifications(settings, some)
        say("replay")
        result["replay_per_second"] = _replay(settings, licences)
        return result


def lines(count: int) -> Iterator[bytes]:
    """Complete applications, each of another enterprise."""
    for n in range(count):
        data = {
            "application_id": f"BENCH-{n}",
            "item": ITEM,
            "action": "new",
            "applicant": {
                "kind": "enterprise",
                "id": uscc(n, "630225"),
                "name": f"青海循化示范{n}化工有限公司",
                "address": "青海省循化撒拉族自治县积石镇",
                "division": "630225",
            },
            "products": [{"category": _CATEGORIES[n % 4], "site": "积石镇工业园", "detail": "示范产品"}],
            "materials": [
                {"kind": "application-form"},
                {"kind": "commitment-letter", "signed_on": "2018-09-12"},
                {"kind": "business-licence"},
            ],
            "channel": "online",
            "window": "630225",
        }
        event = {
            "specversion": "1.0",
            "id": f"bench-{n}",
            "source": PROVINCE,
            "type": "zhengzhao.application.submitted.v1",
            "time": (DAY + timedelta(seconds=n)).isoformat(),
            "data": data,
        }
        yield json.dumps(event, ensure_ascii=False).encode()


def _stages(settings: Settings, catalogue: Catalogue, runs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    persons = PersonsStore(settings.data)
    now = datetime.now(UTC)
    raw = list(lines(max(runs, 2000)))
    start = time.process_time()
    entries = [route(parse_event(line, now), now, PROVINCE, "none", persons) for line in raw]
    routed = time.process_time() - start
    persons.close()
    grants, decided = _decide(entries, catalogue)
    start = time.process_time()
    numbered = list(_number(grants))
    counted = time.process_time() - start
    stages = {
        "route": _figure(routed * 1000 / len(raw), len(raw)),
        "decide": _figure(decided * 1000 / len(raw), len(raw)),
        "number": _figure(counted * 1000 / len(raw), len(raw)),
        **_issue(settings, catalogue, numbered[:runs]),
    }
    return stages, _figure(len(raw) / decided, len(raw))


def _decide(entries: list[Entry], catalogue: Catalogue) -> tuple[list[Grant], float]:
    grants: list[Grant] = []
    # calendar and divisions are read once in a process
    decide(initial(entries[0].holder), entries[0], catalogue)
    start = time.process_time()
    for entry in entries:
        for fact in decide(initial(entry.holder), entry, catalogue).facts:
            if isinstance(fact.body, f.LicenceGranted):
                grants.append(fact.body.grant)
    return grants, time.process_time() - start


def _number(grants: list[Grant]) -> Iterator[Numbered]:
    series: dict[str, numbers.Series] = {}
    for grant in grants:
        one = series.get(grant.series) or numbers.Series(grant.series)
        series[grant.series], numbered = numbers.number(one, grant)
        yield numbered


def _issue(settings: Settings, catalogue: Catalogue, numbered: list[Numbered]) -> dict[str, Any]:
    item = catalogue.items[ITEM]
    paper = IssuanceItem(item.title, item.type_code, item.template, item.titles)
    here = Installation(settings)
    issuer = Issuer(here.trust, lambda _: paper, clock=time.process_time)
    signer = here.signer()
    store = FolderStore(settings.data / "stage-store")
    warm, *rest = numbered
    issuer.issue(warm, warm.grant.holder_name, warm.grant.address, signer)
    issuer.spent = dict.fromkeys(STAGES, 0.0)
    stored = 0.0
    for one in rest:
        issued, pdf = issuer.issue(one, one.grant.holder_name, one.grant.address, signer)
        start = time.perf_counter()
        store.put(issued.object_key, pdf)
        stored += time.perf_counter() - start
    spent = {**issuer.spent, "store": stored}
    return {name: _figure(seconds * 1000 / len(rest), len(rest)) for name, seconds in spent.items()}


def _end_to_end(settings: Settings, licences: int) -> dict[str, Any]:
    events = settings.data / "bench.jsonl"
    with events.open("wb") as file:
        file.writelines(line + b"\n" for line in lines(licences))
    with _memory() as peak:
        start, spent = time.perf_counter(), _cpu()
        summary = Summary()
        with Installation(settings) as here:
            with here.inbox() as inbox:
                submit_file(str(events), inbox, summary)
            taken = time.perf_counter() - start
            with here.engine("bench") as engine:
                progress = engine.drain()
        seconds, spent = time.perf_counter() - start, _cpu() - spent
    assert progress.issued == licences
    return {
        "licences_per_second": _figure(licences / seconds, licences),
        "submitted_per_second": _figure(licences / taken, licences),
        "cpu_ms_per_licence": _figure(spent * 1000 / licences, licences),
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak[0] / 1e6),
    }


def embedded_run(settings: Settings, licences: int) -> dict[str, Any]:
    """Return the end-to-end figures of the embedded engine, in a data folder that has keys."""
    return _end_to_end(settings, licences)


def _verifications(settings: Settings, runs: int) -> dict[str, Any]:
    here = Installation(settings)
    trust, lists, store = here.trust, here.published_lists(), here.store
    keys = [key for _, key in zip(range(runs), store.list("licences/"), strict=False)]
    pdfs = [store.get(key) for key in keys]
    cwts = [attachments(pdf)["credential.cwt"] for pdf in pdfs]
    at = DAY + timedelta(days=1)
    figures = {}
    for name, files in (("cwt", cwts), ("pdf", pdfs[:50])):
        start = time.perf_counter()
        for data in files:
            verdict = verify_bytes(data, name=name, trust=trust, status=lists, at=at)
            assert verdict.verdict == "valid", verdict
        figures[name] = _figure(len(files) / (time.perf_counter() - start), len(files))
    return figures


def _replay(settings: Settings, licences: int) -> dict[str, Any]:
    start = time.perf_counter()
    report = replay(Installation(settings), settings.data.parent / "again")
    assert report.code == 0, report.findings[:3]
    return _figure(licences / (time.perf_counter() - start), licences)


@contextmanager
def _memory() -> Iterator[list[float]]:
    """Return the highest memory of this process and its children together, each shared page counted once."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not over.wait(_SAMPLE):
            peak[0] = max(peak[0], sum(_size(p) for p in (me, *me.children(recursive=True))))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _size(process: psutil.Process) -> float:
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(memory, "pss", memory.rss))


def _cpu() -> float:
    """Seconds of CPU of this process and of all its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _figure(value: float, runs: int) -> dict[str, float | int]:
    return {"value": float(f"{value:.4g}"), "runs": runs}


_ORIGIN: Final = "bench.example.cn/log"


class _NearWitness:
    """A witness in this process."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self.key: VerifierKey = witness.key

    def cosign(self, note: Note, request: WitnessRequest) -> NoteSignature | WitnessFailure:
        answer = self._witness.add_checkpoint(request.to_bytes(), int(time.time()))
        if answer.status == 200:
            return read_signature_lines(answer.body)[0]
        size = read_size(answer.body.decode().strip()) if answer.status == 409 else None
        return WitnessFailure(self.key.name, f"HTTP {answer.status}", size)


def bench_log(entries: int, runs: int = 5, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Bring `entries` licences into a fresh log, `runs` times for each way; return entries a second and their spread."""
    made = [_licence(serial) for serial in range(entries)]
    ways = {"one_head": entries, "thousand_a_head": 1000, "one_a_head": 1}
    figures: dict[str, Any] = {"entries": entries, "runs": runs}
    for name, step in ways.items():
        say(name)
        part = made if step > 1 else made[: max(entries // 100, 10)]
        seconds = [_run(part, step) for _ in range(runs)]
        rates = sorted(len(part) / one for one in seconds)
        figures[name] = {
            "entries": len(part),
            "heads": -(-len(part) // step),
            "entries_per_second": round(statistics.median(rates), 1),
            "slowest": round(rates[0], 1),
            "fastest": round(rates[-1], 1),
        }
    return figures


def _run(entries: list[LicenceEntry], step: int) -> float:
    """Return the seconds for all entries, `step` under each head."""
    with tempfile.TemporaryDirectory(prefix="zhengzhao-bench-") as name:
        folder = Path(name)
        signer = seeded_signer(_ORIGIN, new_seed())
        witness = Witness(folder / "witness", seeded_signer("w.example.cn", new_seed()), [signer.log_key])
        writer = Sequencer(
            SqliteOrder(folder / "order.sqlite"), StoredLog(FolderStore(folder / "objects")), signer,
            [_NearWitness(witness)], 1,
        )  # fmt: skip
        start = time.perf_counter()
        for at in range(0, len(entries), step):
            writer.append(entries[at : at + step])
            writer.publish()
        seconds = time.perf_counter() - start
        witness.close()
    return seconds


def _licence(serial: int) -> LicenceEntry:
    digest = hashlib.sha256(str(serial).encode()).hexdigest()
    return LicenceEntry(f"(青)XK16-204-{serial:05d}", 1, f"1.2.156.3005.2.{serial}", digest, digest)
