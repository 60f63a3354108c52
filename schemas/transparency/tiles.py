"""Tiles of a log (C2SP tlog-tiles): coordinates, paths, bundles of entries, and the right edge from which it grows.

A tile of level L holds up to 256 hashes of complete subtrees of 256^L entries each; a bundle holds up to 256
entries, each with its length before it. Full tiles never change; a partial one has its width in its path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from schemas.errors import NotFound, VerificationError
from schemas.transparency.merkle import EMPTY_ROOT, HASH_SIZE, MAX_SIZE, fold_peaks, leaf_hash, node_hash

WIDTH: Final = 256
ENTRIES: Final = -1  # `level` of a bundle of entries
MAX_ENTRY: Final = 0xFFFF  # bytes: the length before an entry is a uint16
MAX_LEVEL: Final = 63
MAX_TILE: Final = WIDTH * HASH_SIZE
MAX_BUNDLE: Final = WIDTH * (MAX_ENTRY + 2)
_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


class Tile(NamedTuple):
    """A tile's place: its level (`ENTRIES` for a bundle), its number in the level, and its width of 1 to 256."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix: `tile/0/x001/x234/067`, with `.p/<width>` where it is partial."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_grouped(self.number)}{partial}"

    @property
    def full(self) -> Tile:
        """The tile that this one becomes."""
        return self._replace(width=WIDTH)


Fetch = Callable[[Tile], bytes]


def read_path(path: str) -> Tile | None:
    """Return the tile that a path names in its one form, None for another path."""
    found = _PATH.fullmatch(path)
    if found is None or len(path) > 64:
        return None
    level, number, width = found.groups()
    tile = Tile(
        ENTRIES if level == "entries" else int(level),
        int(number.replace("x", "").replace("/", "")),
        int(width or WIDTH),
    )
    return tile if tile.path == path and tile.level <= MAX_LEVEL else None


def tiles_of(size: int) -> Iterator[Tile]:
    """Name every tile and bundle of a tree of `size` entries, level by level."""
    for level in (ENTRIES, *range(MAX_LEVEL + 1)):
        count = size if level == ENTRIES else size >> 8 * level
        if count == 0:
            return
        yield from (Tile(level, number) for number in range(count // WIDTH))
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)


def tile_at(level: int, number: int, size: int) -> Tile:
    """Return the tile as a tree of `size` entries has it; ValueError where it has none there."""
    count = size if level == ENTRIES else size >> 8 * level
    width = min(WIDTH, count - number * WIDTH)
    if number < 0 or width < 1:
        raise ValueError(f"a tree of {size} entries has no tile {number} of level {level}")
    return Tile(level, number, width)


class TileHashes:
    """A hash reader over the tiles of a tree of `size` entries, each tile fetched once.

    The tiles are not believed by this: a proof made of them is checked against a signed root afterwards.
    """

    def __init__(self, size: int, fetch: Fetch) -> None:
        self._size = size
        self._fetch = fetch
        self._tiles: dict[Tile, list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree.

        Raises ValueError where the tree has none there, VerificationError where a tile has another length.
        """
        if index < 0 or (index + 1) << level > self._size:
            raise ValueError(
                f"a tree of {self._size} entries has no complete subtree {index} of level {level}"
            )
        within = level % 8
        first = index << within
        hashes = self._read(tile_at(level // 8, first // WIDTH, self._size))
        first %= WIDTH
        return _folded(hashes[first : first + (1 << within)])

    def _read(self, tile: Tile) -> list[bytes]:
        if tile not in self._tiles:
            self._tiles[tile] = split_hashes(self._fetch(tile), tile)
        return self._tiles[tile]


def split_hashes(data: bytes, tile: Tile) -> list[bytes]:
    """Return the hashes of a tile; VerificationError where it has not its width."""
    if len(data) != tile.width * HASH_SIZE:
        raise VerificationError(
            f"{tile.path}: 长度不符 / {len(data)} bytes instead of {tile.width * HASH_SIZE}"
        )
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def pack_entry(entry: bytes) -> bytes:
    """Return an entry as it stands in a bundle; ValueError where it is longer than 65,535 bytes."""
    if len(entry) > MAX_ENTRY:
        raise ValueError(f"an entry of {len(entry)} bytes: at most {MAX_ENTRY}")
    return len(entry).to_bytes(2) + entry


def split_bundle(data: bytes, tile: Tile) -> list[bytes]:
    """Return the entries of a bundle; VerificationError where it is cut, too long, or has another width."""
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2])
        if at + 2 > len(data) or end > len(data):
            raise VerificationError(f"{tile.path}: 条目被截断 / an entry is cut")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != tile.width:
        raise VerificationError(f"{tile.path}: 条目数不符 / {len(entries)} entries instead of {tile.width}")
    return entries


def read_tile(fetch: Callable[[str], bytes], tile: Tile) -> bytes:
    """Return a tile by its path; where only the full one is left, as much of it as asked for.

    `fetch` raises NotFound for what is not there, and so does this without either.
    """
    try:
        return fetch(tile.path)
    except NotFound:
        if tile.width == WIDTH:
            raise
        data = fetch(tile.full.path)
    if tile.level != ENTRIES:
        return data[: tile.width * HASH_SIZE]
    return b"".join(map(pack_entry, split_bundle(data, tile.full)[: tile.width]))


class RightEdge(msgspec.Struct, frozen=True):
    """The right edge of a tree: what is needed to let it grow and to tell its root.

    `partial[L]` holds the hashes of the partial tile of level L (empty where it has none), `bundle` the packed
    entries of the partial bundle.
    """

    size: int = 0
    partial: tuple[bytes, ...] = ()
    bundle: bytes = b""

    @property
    def root(self) -> bytes:
        """The root hash of the tree (RFC 6962)."""
        peaks: list[bytes] = []
        for level in reversed(range(len(self.partial))):
            hashes = [
                self.partial[level][at : at + HASH_SIZE]
                for at in range(0, len(self.partial[level]), HASH_SIZE)
            ]
            while hashes:
                count = 1 << (len(hashes).bit_length() - 1)
                peaks.append(_folded(hashes[:count]))
                hashes = hashes[count:]
        return fold_peaks(peaks) if peaks else EMPTY_ROOT


def grow(edge: RightEdge, entries: Sequence[bytes]) -> tuple[RightEdge, list[tuple[Tile, bytes]]]:
    """Return the edge after some more entries, and every tile and bundle that a reader of the new size may ask for.

    The same entries after the same edge give the same bytes. ValueError where an entry is too long.
    """
    size = edge.size + len(entries)
    if size > MAX_SIZE:
        raise ValueError("the log is full")
    written = _bundles(edge, entries, size)
    bundle = edge.bundle
    for tile, data in written:
        bundle = b"" if tile.width == WIDTH else data
    partial = list(edge.partial)
    fresh = [leaf_hash(entry) for entry in entries]
    level, first = 0, edge.size // WIDTH
    while fresh:
        if level == len(partial):
            partial.append(b"")
        data = partial[level] + b"".join(fresh)
        fresh = []
        full = len(data) // MAX_TILE
        for number in range(full):
            whole = data[number * MAX_TILE : (number + 1) * MAX_TILE]
            written.append((Tile(level, first + number), whole))
            fresh.append(_folded([whole[at : at + HASH_SIZE] for at in range(0, MAX_TILE, HASH_SIZE)]))
        partial[level] = data[full * MAX_TILE :]
        if partial[level]:
            written.append((Tile(level, first + full, len(partial[level]) // HASH_SIZE), partial[level]))
        level, first = level + 1, first // WIDTH
    return RightEdge(size, tuple(partial), bundle), written


def read_edge(size: int, fetch: Fetch) -> RightEdge:
    """Return the right edge of a stored tree of `size` entries; VerificationError where a tile has another length."""
    partial = []
    for level in range(MAX_LEVEL + 1):
        count = size >> 8 * level
        if count == 0:
            break
        tile = Tile(level, count // WIDTH, count % WIDTH)
        data = fetch(tile) if tile.width else b""
        if len(data) != tile.width * HASH_SIZE:
            raise VerificationError(f"{tile.path}: 长度不符 / {len(data)} bytes")
        partial.append(data)
    last = Tile(ENTRIES, size // WIDTH, size % WIDTH)
    return RightEdge(size, tuple(partial), fetch(last) if last.width else b"")


def _bundles(edge: RightEdge, entries: Sequence[bytes], size: int) -> list[tuple[Tile, bytes]]:
    packed = [pack_entry(entry) for entry in entries]
    written, at, before = [], 0, edge.bundle
    for tile in _widths(edge.size, size):
        count = tile.number * WIDTH + tile.width - edge.size - at
        written.append((tile, before + b"".join(packed[at : at + count])))
        at, before = at + count, b""
    return written


def _widths(old: int, new: int) -> list[Tile]:
    """Name the bundles that change when a log grows from `old` to `new` entries."""
    if old == new:
        return []
    return [tile_at(ENTRIES, number, new) for number in range(old // WIDTH, (new - 1) // WIDTH + 1)]


def _folded(hashes: list[bytes]) -> bytes:
    """Return the root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _grouped(number: int) -> str:
    text = str(number)
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
