"""Tiles: paths, bundles, growth, and hashes read back from them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import NotFound, VerificationError
from schemas.transparency.merkle import leaf_hash, root_hash
from schemas.transparency.tiles import (
    ENTRIES,
    RightEdge,
    Tile,
    TileHashes,
    grow,
    pack_entry,
    read_edge,
    read_path,
    read_tile,
    split_bundle,
    tile_at,
    tiles_of,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 999, 5), "tile/1/999.p/5"),
        (Tile(ENTRIES, 1000, 255), "tile/entries/x001/000.p/255"),
        (Tile(63, 0, 1), "tile/63/000.p/1"),
    ],
)
def test_paths(tile: Tile, path: str) -> None:
    """A tile has the path of C2SP tlog-tiles, and is read from it."""
    assert path == tile.path
    assert tile == read_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000", "tile/64/000", "tile/0/0000", "tile/0/00", "tile/0/x000/001", "tile/0/001/002", "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/data/000", "tile/entries/../000", "checkpoint",
        "tile/0/000\n", "tile/0/٠٠٠", "/tile/0/000", "tile/-1/000",
    ],
)  # fmt: skip
def test_other_paths_are_none(path: str) -> None:
    """A path in another form names no tile."""
    assert read_path(path) is None


def test_tiles_of_a_tree_of_70000() -> None:
    """The example of the specification: 273 full and one partial tile, one full, two partial ones."""
    tiles = [tile for tile in tiles_of(70_000) if tile.level != ENTRIES]
    assert 273 == sum(tile.level == 0 and tile.width == 256 for tile in tiles)
    rest = [tile for tile in tiles if tile.level or tile.width < 256]
    assert [Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)] == rest


def test_tiles_of_a_tree_of_256() -> None:
    """A tree of 256 entries has one full tile and one hash above it."""
    assert [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)] == list(tiles_of(256))
    assert [] == list(tiles_of(0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=6))
def test_growth_in_steps_is_growth_at_once(steps: list[int]) -> None:
    """However entries come, each head has all tiles that it needs, and the same bytes under the same path."""
    entries = [b"entry %d" % n for n in range(sum(steps))]
    files: dict[str, bytes] = {}
    edge, at = RightEdge(), 0
    for step in steps:
        edge, written = grow(edge, entries[at : at + step])
        at += step
        for tile, data in written:
            assert data == files.setdefault(tile.path, data)
        assert {tile.path for tile in tiles_of(at)} <= files.keys()
        assert edge == read_edge(at, lambda tile: files[tile.path])
        assert edge.root == root_hash(at, TileHashes(at, lambda tile: files[tile.path]))
    once, written = grow(RightEdge(), entries)
    assert once == edge
    assert all(files[tile.path] == data for tile, data in written)
    read = [e for t in tiles_of(at) if t.level == ENTRIES for e in split_bundle(files[t.path], t)]
    assert entries == read


def test_old_hashes_are_read_from_later_tiles() -> None:
    """A complete subtree has the same hash in every later tree."""
    entries = [b"%d" % n for n in range(600)]
    _, written = grow(RightEdge(), entries)
    files = dict(written)
    hashes = TileHashes(600, files.__getitem__)
    assert leaf_hash(b"599") == hashes(0, 599)
    early, _ = grow(RightEdge(), entries[:256])
    assert early.root == hashes(8, 0)
    for level, index in ((8, 2), (9, 1), (0, 600)):
        with pytest.raises(ValueError, match="no complete subtree"):
            hashes(level, index)


@pytest.mark.parametrize("data", [b"\0", b"\0\5abc", b"\0\1a", b"\0\1a\0\1b\0\1c"])
def test_a_broken_bundle_is_refused(data: bytes) -> None:
    """A cut entry, a missing or a superfluous one."""
    with pytest.raises(VerificationError):
        split_bundle(data, Tile(ENTRIES, 0, 2))


def test_an_entry_has_at_most_65535_bytes() -> None:
    """The length before it is a uint16."""
    assert b"\xff\xff" == pack_entry(bytes(65_535))[:2]
    with pytest.raises(ValueError, match="at most"):
        pack_entry(bytes(65_536))


@pytest.mark.parametrize("level", [ENTRIES, 0])
def test_a_full_tile_serves_for_a_partial_one(level: int) -> None:
    """A full tile is cut to the width of a partial one that was deleted."""
    _, written = grow(RightEdge(), [b"%d" % n for n in range(256)])
    full = {tile.path: data for tile, data in written}
    _, before = grow(RightEdge(), [b"%d" % n for n in range(7)])
    expected = next(data for tile, data in before if tile == Tile(level, 0, 7))

    def fetch(path: str) -> bytes:
        if path not in full:
            raise NotFound(path)
        return full[path]

    assert expected == read_tile(fetch, tile_at(level, 0, 7))
    with pytest.raises(NotFound):
        read_tile(fetch, Tile(level, 1, 7))
