"""One contract for every store, S3 against the real server."""

from __future__ import annotations

import os
import resource
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_store import MemoryStore

from infra.settings import load
from infra.stack.local import _start_store
from infra.stack.processes import ensure_bucket, stop, store_answers, wait_until
from infra.stores import Erasing, open_store
from infra.stores.folder import FolderStore
from infra.stores.s3 import S3Store
from schemas.errors import NotFound, ObjectDiffers, StoreUnavailable, UsageError
from schemas.ports import ReplacingStore, Store

KEY = "licences/_28_E9_9D_92_29XK13-001-00001/1/licence.pdf"


def _free_ports() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return 20000 + s.getsockname()[1] % 10000


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a bucket on a real S3 server."""
    from infra.stack.local import _access

    folder = tmp_path_factory.mktemp("s3")
    access = _access(folder)
    server = _start_store(folder, _free_ports(), access)
    try:
        endpoint = f"127.0.0.1:{server.ports['s3']}"
        wait_until(lambda: store_answers(endpoint, access.key, access.secret), server, seconds=60)
        ensure_bucket(endpoint, access.key, access.secret, "objects")
        yield f"s3://{access.key}:{access.secret}@{endpoint}/objects"
    finally:
        stop(folder, "store")


@pytest.fixture(params=["memory", "folder", pytest.param("s3", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "folder":
        return FolderStore(tmp_path / "objects")
    return S3Store(request.getfixturevalue("bucket"))


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A place of its own for each test, since the bucket stays."""
    return "".join(c for c in request.node.name if c.isalnum())


def test_what_was_put_is_got(store: Store, prefix: str) -> None:
    """The same bytes come back, empty ones too."""
    for name, data in (("a", b"x" * 70_000), ("b", b"")):
        store.put(f"{prefix}/{name}", data)
        assert store.get(f"{prefix}/{name}") == data
        assert store.exists(f"{prefix}/{name}")


def test_the_same_bytes_again_succeed(store: Store, prefix: str) -> None:
    """A stage that repeats itself after a crash is no fault."""
    store.put(f"{prefix}/{KEY}", b"one")
    store.put(f"{prefix}/{KEY}", b"one")
    assert store.get(f"{prefix}/{KEY}") == b"one"


def test_other_bytes_are_refused(store: Store, prefix: str) -> None:
    """A key is written once; the first bytes stay."""
    store.put(f"{prefix}/{KEY}", b"one")
    with pytest.raises(ObjectDiffers):
        store.put(f"{prefix}/{KEY}", b"two")
    assert store.get(f"{prefix}/{KEY}") == b"one"


def test_what_is_not_there(store: Store, prefix: str) -> None:
    """NotFound, and exists says no."""
    with pytest.raises(NotFound):
        store.get(f"{prefix}/absent")
    assert not store.exists(f"{prefix}/absent")


def test_keys_are_listed_by_prefix_in_order(store: Store, prefix: str) -> None:
    """Only those under the prefix, in byte order."""
    for name in ("b/2", "a/1", "ab", "a/0"):
        store.put(f"{prefix}/{name}", b"x")
    assert list(store.list(f"{prefix}/a")) == [f"{prefix}/{n}" for n in ("a/0", "a/1", "ab")]
    assert list(store.list(f"{prefix}/nothing")) == []


@pytest.mark.parametrize(
    "key", ["", "../x", "a/../b", "/etc/passwd", "a//b", "a/./b", "a\x00b", "证", "a" * 600]
)
def test_no_key_climbs_out(store: Store, key: str) -> None:
    """Keys are plain parts; nothing leaves the folder."""
    for call in (lambda: store.put(key, b"x"), lambda: store.get(key)):
        with pytest.raises(UsageError):
            call()


def test_of_two_writers_one_wins(store: Store, prefix: str) -> None:
    """Eight at once with different bytes: one kind of bytes stays, the others hear of it."""
    outcomes: list[bytes] = []
    gate = threading.Barrier(8)

    def write(n: int) -> None:
        gate.wait(20)
        try:
            store.put(f"{prefix}/{KEY}", b"%d" % n)
            outcomes.append(b"%d" % n)
        except ObjectDiffers:
            pass

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert outcomes == [store.get(f"{prefix}/{KEY}")]


def test_a_store_that_is_away_is_no_fault_of_the_object() -> None:
    """StoreUnavailable, which is retried; the secret is in no message."""
    store = S3Store("s3://key:geheim@127.0.0.1:9/bucket")
    for call in (lambda: store.put("a", b"x"), lambda: store.get("a"), lambda: list(store.list())):
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert "geheim" not in f"{caught.value} {caught.value.hint} {store!r}"


@pytest.mark.servers
def test_a_bucket_that_is_not_there(bucket: str) -> None:
    """A missing bucket is a fault of the surroundings, not an absent object."""
    with pytest.raises(StoreUnavailable):
        S3Store(bucket.replace("/objects", "/nothere")).put("a", b"x")


@pytest.mark.servers
def test_the_store_is_probed(bucket: str) -> None:
    """The real server lets exactly one of several writers win; nothing of the probe stays."""
    store = S3Store(bucket)
    assert store.conditional()
    assert list(store.list("probe/")) == []


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """StoreUnavailable; no object, no stray file."""
    store = FolderStore(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreUnavailable) as caught:
            store.put("a/b", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint
    assert not store.exists("a/b")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    store.put("a/b", b"x" * 5000)
    assert store.get("a/b") == b"x" * 5000


def test_objects_are_read_only(tmp_path: Path) -> None:
    """A slip of the hand does not change a stored licence."""
    FolderStore(tmp_path).put("a", b"x")
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o400


def test_a_changed_object_is_noticed_by_the_next_put(tmp_path: Path) -> None:
    """Other bytes under the key, however they came there, raise."""
    store = FolderStore(tmp_path)
    store.put("a", b"x")
    (tmp_path / "a").chmod(0o644)
    (tmp_path / "a").write_bytes(b"y")
    with pytest.raises(ObjectDiffers):
        store.put("a", b"x")


@pytest.mark.parametrize(
    "address", ["s3://h/b", "s3://k:s@h:99999/bucket", "s3://k:s@/bucket", "s3://k:s@h:1/"]
)
def test_addresses_that_are_none(address: str) -> None:
    """Wrong use, told without the secret."""
    with pytest.raises(UsageError):
        S3Store(address)


def test_the_address_chooses_the_store(tmp_path: Path) -> None:
    """A folder unless ZHENGZHAO_STORE says otherwise; secrets do not print."""
    assert isinstance(open_store(None, tmp_path), FolderStore)
    assert isinstance(open_store("s3://k:s@h:1/bucket", tmp_path), S3Store)
    settings = load(tmp_path, {"ZHENGZHAO_STORE": "s3://key:geheim@h:1/b", "ZHENGZHAO_PASSPHRASE": "geheim"})
    assert "geheim" not in repr(settings)


def test_a_head_is_replaced(store: ReplacingStore, prefix: str) -> None:
    """An object put in the place of another is the one that is got, also where there was none."""
    for data in (b"one", b"two", b"", b"three"):
        store.replace(f"{prefix}/head", data)
        assert data == store.get(f"{prefix}/head")
    assert [f"{prefix}/head"] == list(store.list(f"{prefix}/"))


def test_readers_see_a_whole_head(tmp_path: Path) -> None:
    """While a head is replaced over and over, a reader gets one of them, never a part or nothing."""
    store = FolderStore(tmp_path)
    heads = [bytes([n]) * 50_000 for n in range(40)]
    store.replace("log/checkpoint", heads[0])

    def write() -> None:
        for head in heads:
            store.replace("log/checkpoint", head)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert store.get("log/checkpoint") in heads
    writer.join()
    assert heads[-1] == store.get("log/checkpoint")


def test_an_erased_object_is_gone(store: Store) -> None:
    """Only that one; a second time there is nothing to erase."""
    assert isinstance(store, Erasing)
    store.put("uploads/aa", b"1")
    store.put("uploads/aab", b"2")
    assert store.erase("uploads/aa")
    assert not store.erase("uploads/aa")
    assert not store.exists("uploads/aa")
    assert store.get("uploads/aab") == b"2"
