"""Figures of the transparency log: entries a second from the recorded order to a published, witnessed head.

All is durable, as in service: order and tiles in a folder, flushed to the disk, and a witness in this process that
flushes what it signs. Three ways of coming in: everything under one head, a thousand under each, one under each.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from infra.stores.folder import FolderStore
from infra.transparency.client import WitnessFailure
from infra.transparency.sequencer import Sequencer, SqliteOrder, new_seed, seeded_signer
from infra.transparency.tiles import StoredLog
from infra.transparency.witness import Witness
from schemas.transparency.entries import LicenceEntry
from schemas.transparency.notes import (
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    read_signature_lines,
    read_size,
)

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
        part = made if step > 1 else made[: max(entries // 100, 100)]
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
