"""A log's tiles and head in a store. Everything below `tile/` is written once; only `checkpoint` is replaced.

A head is published after all tiles that it needs are on the disk, so that a writer killed anywhere leaves a head
that its tiles support. What it had written beyond is written again with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.failpoints import failpoint
from infra.stores import Erasing
from schemas.errors import NotFound, VerificationError
from schemas.ports import ReplacingStore
from schemas.transparency.merkle import leaf_hash
from schemas.transparency.notes import Checkpoint
from schemas.transparency.tiles import (
    ENTRIES,
    MAX_LEVEL,
    WIDTH,
    RightEdge,
    Tile,
    read_edge,
    split_bundle,
    tile_at,
)

PREFIX = "log/"
CHECKPOINT = "checkpoint"
_ARCHIVE = "checkpoints/"
_HINT = "restore objects/log from a backup; `zhengzhao replay` says from where on it differs"


class StoredLog:
    """The files of one log below `log/` of a store; a `LogSource` for whoever reads them."""

    def __init__(self, store: ReplacingStore) -> None:
        self._store = store

    def fetch(self, path: str) -> bytes:
        """Return a file of the log. NotFound without it."""
        return self._store.get(PREFIX + path)

    def head(self) -> bytes | None:
        """Return the published checkpoint (a signed note), None before the first."""
        try:
            return self.fetch(CHECKPOINT)
        except NotFound:
            return None

    def edge(self, head: Checkpoint) -> RightEdge:
        """Return the right edge from which the log grows on.

        Raises VerificationError where the stored tiles are not those of the head.
        """
        try:
            edge = read_edge(head.size, lambda tile: self.fetch(tile.path))
            last = head.size % WIDTH
            bundle = (
                split_bundle(edge.bundle, tile_at(ENTRIES, head.size // WIDTH, head.size)) if last else []
            )
        except (NotFound, VerificationError) as error:
            raise VerificationError(
                f"日志文件残缺 / files of the log are missing or cut: {error}", hint=_HINT
            ) from None
        leaves = b"".join(map(leaf_hash, bundle))
        if edge.root != head.root or (edge.partial[0] if edge.partial else b"") != leaves:
            raise VerificationError(
                "日志文件与检查点不符 / the stored tiles are not those of the checkpoint", hint=_HINT
            )
        return edge

    def write(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Write tiles; the same bytes again are fine. ObjectDiffers where a tile holds others."""
        for tile, data in tiles:
            self._store.put(PREFIX + tile.path, data)
            failpoint("log-between-tiles")

    def publish(self, note: bytes) -> None:
        """Replace the head."""
        self._store.replace(PREFIX + CHECKPOINT, note)

    def archive(self, size: int, note: bytes) -> None:
        """Keep a witnessed checkpoint for good: it proves later what stood in the log by then."""
        key = PREFIX + _ARCHIVE + f"{size:019d}"
        if not self._store.exists(key):
            self._store.put(key, note)

    def archived(self) -> list[int]:
        """Return the sizes of which a witnessed checkpoint is kept, ascending."""
        prefix = PREFIX + _ARCHIVE
        names = [key.removeprefix(prefix) for key in self._store.list(prefix)]
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def archived_checkpoint(self, size: int) -> bytes:
        """Return the witnessed checkpoint of a size. NotFound without one."""
        return self._store.get(PREFIX + _ARCHIVE + f"{size:019d}")

    def tidy(self, old: int, new: int) -> None:
        """Delete partial tiles of a head of `old` entries that are full in the published one of `new` entries."""
        if not isinstance(self._store, Erasing):
            return
        for tile in _edge_tiles(old):
            if tile.width < WIDTH and tile_at(tile.level, tile.number, new).width == WIDTH:
                for key in list(self._store.list(f"{PREFIX}{tile.full.path}.p/")):
                    self._store.erase(key)


def _edge_tiles(size: int) -> list[Tile]:
    """Name the last tile of each level."""
    tiles = []
    for level in (ENTRIES, *range(MAX_LEVEL + 1)):
        count = size if level == ENTRIES else size >> 8 * level
        if count == 0:
            break
        tiles.append(tile_at(level, (count - 1) // WIDTH, size))
    return tiles
