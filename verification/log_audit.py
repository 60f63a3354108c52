"""The audit of a whole log by an outsider: with nothing but its files and the last checkpoint that he saw.

The steps are numbered as they stand in :func:`audit`. Every one is made, even after another has failed:

1. the checkpoint is signed by the log and by enough witnesses;
2. every entry is there, reads, and the entries make the tree that the checkpoint names, tile by tile;
3. the tree continues the one that was seen last;
4. no (number, version) twice, no version and no serial of a series left out;
5. no draw sequence twice, none left out, each announcement with its transcript or void;
6. editions of the trust folder and of status lists in their order, none twice;
7. the living licences are as many as the register that was announced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import msgspec

from schemas.errors import NotFound, VerificationError
from schemas.ports import LogSource
from schemas.transparency.entries import LogEntry, read_entry
from schemas.transparency.merkle import HASH_SIZE
from schemas.transparency.notes import Checkpoint
from schemas.transparency.tiles import ENTRIES, WIDTH, RightEdge, Tile, grow, read_tile, split_bundle, tile_at
from verification.log_book import LogBook, LogPolicy, WitnessedCheckpoint, verify_checkpoint
from verification.verify import CheckResult

_MOST = 20  # faults told of one step


class AuditReport(msgspec.Struct, frozen=True):
    """The outcome of an audit: `checkpoint` is what to keep for the next one, None where it cannot be believed."""

    checks: tuple[CheckResult, ...]
    size: int
    checkpoint: bytes | None

    @property
    def ok(self) -> bool:
        """Tell whether every step went well."""
        return all(check.ok for check in self.checks)


def audit(
    source: LogSource,
    policy: LogPolicy,
    *,
    since: bytes | None = None,
    register: Collection[str] | None = None,
    living: Callable[[str, str], int | None] | None = None,
) -> AuditReport:
    """Audit a log.

    `since` is a checkpoint (a signed note) seen before, `register` the licence numbers of a register that was
    announced, `living(uri, sha256)` the number of places that are not invalid in the edition of a status list with
    that digest, None where it cannot be had. Raises NotFound without a checkpoint, TransientError where the source
    fails; whatever is wrong with the log stands in the report.
    """
    data = source.fetch("checkpoint")
    checks: list[CheckResult] = []
    head = _head(data, policy, checks)  # 1
    if head is None:
        return AuditReport(tuple(checks), 0, None)
    before = _before(since, policy, checks)
    walk = _Walk(source, head, before)
    entries = list(walk.entries())  # 2
    checks.append(_check("entries", walk.faults, f"{len(entries)} 条 / {len(entries)} entries"))
    if before is not None:
        checks.append(_continuation(before, walk))  # 3
    book = LogBook()
    for index, entry in entries:
        book.add(index, entry)
    checks += [
        _check(
            "numbers", book.number_faults(), f"{len(book.versions)} 个编号 / {len(book.versions)} numbers"
        ),  # 4
        _check("draws", book.draw_faults(), f"{len(book.draws)} 次抽查 / {len(book.draws)} draws"),  # 5
        _check("editions", book.edition_faults(), "次序正确 / in order"),  # 6
    ]
    if register is not None:
        checks.append(_check("register", *book.register_faults(register, living)))  # 7
    return AuditReport(tuple(checks), head.size, data if all(c.ok for c in checks) else None)


def _head(data: bytes, policy: LogPolicy, checks: list[CheckResult]) -> Checkpoint | None:
    """Return the checkpoint, where the log itself signed it; witnesses that are missing are a fault all the same."""
    try:
        seen = verify_checkpoint(data, msgspec.structs.replace(policy, needed=0))
    except VerificationError as error:
        checks.append(CheckResult("checkpoint", False, str(error)))
        return None
    checks.append(
        CheckResult("checkpoint", True, f"{seen.checkpoint.size} 条 / {seen.checkpoint.size} entries")
    )
    checks.append(_witnesses(seen, policy))
    return seen.checkpoint


def _witnesses(seen: WitnessedCheckpoint, policy: LogPolicy) -> CheckResult:
    names = ", ".join(one.witness.name for one in seen.cosignatures) or "无 / none"
    enough = policy.needed == 0 or seen.witnessed_by(policy.needed) is not None
    return CheckResult("witnesses", enough, f"{names} ({policy.needed} needed / 需要 {policy.needed} 个)")


def _before(since: bytes | None, policy: LogPolicy, checks: list[CheckResult]) -> Checkpoint | None:
    """Return the checkpoint seen before: what this log has signed must be explained, whoever kept it."""
    if since is None:
        return None
    try:
        return verify_checkpoint(since, msgspec.structs.replace(policy, needed=0)).checkpoint
    except VerificationError as error:
        checks.append(CheckResult("since", False, f"先前的检查点不可信 / the earlier checkpoint: {error}"))
        return None


def _continuation(before: Checkpoint, walk: _Walk) -> CheckResult:
    if before.size > walk.head.size:
        return CheckResult(
            "consistency", False,
            f"日志被截短 / the log has {walk.head.size} entries, and had {before.size}: its tail was cut",
        )  # fmt: skip
    if walk.root_before != before.root:
        return CheckResult(
            "consistency", False,
            f"另一段历史 / a second history: the first {before.size} entries are not those that were signed before",
        )  # fmt: skip
    return CheckResult(
        "consistency", True, f"延续先前 {before.size} 条 / continues the {before.size} entries seen before"
    )


def _check(name: str, faults: list[str], good: str) -> CheckResult:
    more = f"; … ({len(faults)})" if len(faults) > _MOST else ""
    return CheckResult(name, not faults, "; ".join(faults[:_MOST]) + more if faults else good)


class _Walk:
    """The way through all entries: each bundle read once, the tree made anew and compared with the stored tiles."""

    def __init__(self, source: LogSource, head: Checkpoint, before: Checkpoint | None) -> None:
        self.head = head
        self.faults: list[str] = []
        self.root_before: bytes | None = None
        self._source = source
        self._stop = before.size if before is not None else -1
        self._edge = RightEdge()

    def entries(self) -> Iterator[tuple[int, LogEntry]]:
        """Yield each entry that reads, with its index; what does not read or fit is a fault."""
        self._mark()
        for number in range(-(-self.head.size // WIDTH)):
            tile = tile_at(ENTRIES, number, self.head.size)
            try:
                bundle = split_bundle(read_tile(self._source.fetch, tile), tile)
            except (NotFound, VerificationError) as error:
                self.faults.append(f"{tile.path}: {error}")
                return  # nothing after this can be compared
            first = number * WIDTH
            self._grow(first, bundle)
            for at, raw in enumerate(bundle):
                try:
                    yield first + at, read_entry(raw)
                except VerificationError as error:
                    self.faults.append(f"第 {first + at} 条 / entry {first + at}: {error}")
        if self._edge.root != self.head.root:
            self.faults.append("条目与检查点的根不符 / the entries do not lead to the root of the checkpoint")

    def _grow(self, first: int, bundle: list[bytes]) -> None:
        cut = self._stop - first
        parts = [bundle[:cut], bundle[cut:]] if 0 < cut < len(bundle) else [bundle]
        for part in parts:
            self._edge, written = grow(self._edge, part)
            self._mark()
            for tile, data in written:
                if tile.level != ENTRIES and _stays(tile, self.head.size):
                    self._compare(tile, data)

    def _mark(self) -> None:
        if self._edge.size == self._stop:
            self.root_before = self._edge.root

    def _compare(self, tile: Tile, made: bytes) -> None:
        try:
            stored = read_tile(self._source.fetch, tile)
        except NotFound:
            self.faults.append(f"{tile.path}: 缺失 / is missing")
            return
        if stored != made:
            at = next(
                (
                    n
                    for n in range(0, len(made), HASH_SIZE)
                    if stored[n : n + HASH_SIZE] != made[n : n + HASH_SIZE]
                ),
                0,
            )
            place = tile.number * WIDTH + at // HASH_SIZE
            told = (
                f"第 {place} 条被改 / entry {place} was changed"
                if tile.level == 0
                else "哈希不符 / other hashes"
            )
            self.faults.append(f"{tile.path}: {told}")


def _stays(tile: Tile, size: int) -> bool:
    """Tell whether a tree of `size` entries has the tile with this width."""
    return tile_at(tile.level, tile.number, size) == tile
