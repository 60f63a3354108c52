"""Whoever reads a log: its files by address or folder, proofs made of them, and the call to a witness.

Nothing that comes from outside is believed here; `verification.log_book` judges it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from schemas.calendar import moment
from schemas.errors import NotFound, StoreUnavailable, UsageError, VerificationError
from schemas.licence import MAX_CREDENTIAL
from schemas.ports import LogSource
from schemas.signatures import CWT, read_sign1
from schemas.transparency.entries import LicenceEntry, read_entry
from schemas.transparency.merkle import MAX_SIZE, consistency_proof, inclusion_proof
from schemas.transparency.notes import (
    MAX_NOTE,
    MAX_PROOF_TEXT,
    Checkpoint,
    LogProof,
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    check_cosignatures,
    is_proof,
    read_checkpoint,
    read_note,
    read_signature_lines,
    read_size,
)
from schemas.transparency.tiles import (
    ENTRIES,
    MAX_BUNDLE,
    MAX_TILE,
    WIDTH,
    TileHashes,
    read_path,
    read_tile,
    split_bundle,
    tile_at,
)
from schemas.trust import TrustStore

TIMEOUT: Final = 10.0  # seconds for one answer of a log
WITNESS_TIMEOUT: Final = 5.0  # a witness that is slow must not hold the log up
_TEXT: Final = "text/plain; charset=utf-8"
_KEPT = re.compile(r"checkpoints/[0-9]{19}", re.ASCII)
_OLDER: Final = 3  # kept heads by which a proof is made: the oldest ones that have the entry
_HINT = "an http(s) address of a log, or a folder with `checkpoint` and `tile/`"


class FolderLog:
    """A log's files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, path: str) -> bytes:
        limit = _limit(path)
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("日志中没有该文件 / the log has no such file", where=path) from None
        except OSError as error:
            raise StoreUnavailable(f"cannot be read: {error.strerror}", where=path) from None
        return _within(data, limit, path)

    def archived(self) -> list[int]:
        """Return the sizes of the heads that are kept, ascending."""
        names = [path.name for path in self._folder.glob("checkpoints/*")]
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())


class HttpLog:
    """A log's files behind an http(s) address."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/") + "/"

    def fetch(self, path: str) -> bytes:
        limit = _limit(path)
        status, data = exchange(self._address + path, limit, TIMEOUT)
        if status in (404, 410):
            raise NotFound("日志中没有该文件 / the log has no such file", where=self._address + path)
        if status != 200:
            raise StoreUnavailable(f"HTTP {status}", where=self._address + path)
        return _within(data, limit, path)

    def archived(self) -> list[int]:
        """Return the sizes of the heads that are kept, ascending; none where the log tells none."""
        try:
            said = self.fetch("checkpoints").decode("ascii")
        except (NotFound, UnicodeDecodeError):
            return []
        return sorted(int(name) for name in said.split() if name.isdigit() and len(name) < 16)


def open_log(place: str) -> LogSource:
    """Return the log at an http(s) address or in a folder (also a data folder, or its `objects`).

    UsageError where there is neither.
    """
    if urlsplit(place).scheme in ("http", "https"):
        return HttpLog(place)
    for below in (".", "log", "objects/log"):
        folder = Path(place) / below
        if (folder / "checkpoint").is_file():
            return FolderLog(folder)
    raise UsageError("那里没有日志 / there is no log", where=place, hint=_HINT)


class LogReader:
    """The tree of one checkpoint, read from tiles; proofs made here lead to its root, or are found not to."""

    def __init__(self, source: LogSource, head: Checkpoint, note: bytes) -> None:
        self._source = source
        self._head = head
        self._note = note
        self._hashes = TileHashes(head.size, lambda tile: read_tile(source.fetch, tile))

    def prove(self, index: int, extra: bytes | None = None) -> LogProof:
        """Return the proof of the entry at `index`; NotFound without one. `extra` may carry the entry itself."""
        if not 0 <= index < self._head.size:
            raise NotFound(f"日志没有第 {index} 条 / the log has no entry {index}")
        return LogProof(index, inclusion_proof(index, self._head.size, self._hashes), self._note, extra)

    def prove_continuation(self, old: int) -> tuple[bytes, ...]:
        """Return the consistency proof from a tree of `old` entries; ValueError where that is larger."""
        return consistency_proof(old, self._head.size, self._hashes)

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield entries from `start` on, with their index. VerificationError where a bundle is cut."""
        for number in self.bundles()[start // WIDTH :]:
            yield from (pair for pair in self.bundle(number) if pair[0] >= start)

    def bundles(self) -> range:
        """Return the numbers of the bundles."""
        return range(-(-self._head.size // WIDTH))

    def bundle(self, number: int) -> list[tuple[int, bytes]]:
        """Return the entries of a bundle, with their index. VerificationError where it is cut."""
        tile = tile_at(ENTRIES, number, self._head.size)
        return list(enumerate(split_bundle(read_tile(self._source.fetch, tile), tile), number * WIDTH))


@runtime_checkable
class Archive(Protocol):
    """A log that keeps the heads that witnesses have signed."""

    def archived(self) -> list[int]:
        """Return the sizes of the heads that are kept, ascending."""
        ...


class ProofFile:
    """A proof that somebody was given."""

    def __init__(self, proof: bytes) -> None:
        self._proof = proof

    def proofs(self, credential: str, before: int | None) -> Iterator[bytes]:
        """Yield the proof."""
        yield self._proof


class LogProofs:
    """Proofs of licences made from the files of a log, in which each is looked for from the newest entry back."""

    def __init__(self, source: LogSource) -> None:
        self._source = source
        self._reader: LogReader | None = None
        self._unread: list[int] = []  # bundles that nobody has looked into
        self._found: dict[str, tuple[int, bytes]] = {}

    def proofs(self, credential: str, before: int | None) -> Iterator[bytes]:
        """Yield the proof by the newest head, and before it, where asked for, those by older ones."""
        try:
            if self._reader is None:
                self._reader = read_head(self._source)
                self._unread = list(self._reader.bundles())
            if (found := self._look(self._reader, credential)) is None:
                return
            for reader in [*self._older(found[0], before), self._reader]:
                yield reader.prove(*found).to_bytes()
        except NotFound as error:
            raise VerificationError(f"日志残缺 / the log is not whole: {error}") from None

    def _look(self, reader: LogReader, credential: str) -> tuple[int, bytes] | None:
        while credential not in self._found and self._unread:
            for index, raw in reader.bundle(self._unread.pop()):
                with suppress(VerificationError):  # an entry of a later form is no licence of this one
                    entry = read_entry(raw)
                    if isinstance(entry, LicenceEntry):
                        self._found.setdefault(entry.credential, (index, raw))
        return self._found.get(credential)

    def _older(self, index: int, before: int | None) -> Iterator[LogReader]:
        """Yield the first heads with an entry that are kept."""
        if before is not None and isinstance(self._source, Archive):
            sizes = [size for size in self._source.archived() if size > index]
            for size in sizes[:_OLDER]:
                yield read_head(self._source, f"checkpoints/{size:019d}")


def read_head(source: LogSource, path: str = "checkpoint") -> LogReader:
    """Return the tree of a head that a log shows. VerificationError where it has another form."""
    note = source.fetch(path)
    return LogReader(source, read_checkpoint(read_note(note)), note)


def proof_of(source: LogSource, credential: bytes, trust: TrustStore, step: str) -> bytes:
    """Return the proof of a credential: by the newest head, of one by a revoked key by a head from before that.

    Raises NotFound where the log does not show it; `step` is its hint.
    """
    key = trust.keys.get(read_sign1(credential, type_=CWT, max_bytes=MAX_CREDENTIAL).kid)
    since = key.revoked_since if key is not None else None
    before = None if since is None else int(moment(since).timestamp())
    found = next(LogProofs(source).proofs(hashlib.sha256(credential).hexdigest(), before), None)
    if found is None:
        raise NotFound("尚未载入日志 / not in the published log yet", hint=step)
    return found


def open_proofs(place: str) -> LogProofs | ProofFile:
    """Return what `--log` names: a log (address or folder), or a proof in a file. UsageError where there is neither."""
    path = Path(place)
    if not path.is_file():
        return LogProofs(open_log(place))
    with path.open("rb") as file:
        proof = file.read(MAX_PROOF_TEXT + 1)
    if not is_proof(proof):
        raise UsageError("不是日志收录证明 / no tlog-proof", where=place, hint=_HINT)
    return ProofFile(proof)


class WitnessFailure(msgspec.Struct, frozen=True):
    """Why a witness did not sign; `size` is the tree that it says it has seen, where that is the reason."""

    witness: str
    reason: str
    size: int | None = None


class Cosigner(Protocol):
    """A witness as the log's writer sees it."""

    @property
    def key(self) -> VerifierKey:
        """The key by which its signatures are known."""
        ...

    def cosign(self, note: Note, request: WitnessRequest) -> NoteSignature | WitnessFailure:
        """Ask for a signature; a failure says why there is none."""
        ...


class WitnessClient:
    """A witness somewhere else; `key` is the one by which its signatures are known."""

    def __init__(self, address: str, key: VerifierKey) -> None:
        self._address = address.rstrip("/") + "/add-checkpoint"
        self._key = key

    @property
    def key(self) -> VerifierKey:
        """The key by which its signatures are known."""
        return self._key

    def cosign(self, note: Note, request: WitnessRequest) -> NoteSignature | WitnessFailure:
        """Ask for a signature, and verify it; a failure says why there is none."""
        try:
            status, body = exchange(self._address, MAX_NOTE, WITNESS_TIMEOUT, request.to_bytes())
        except (StoreUnavailable, VerificationError) as error:
            return WitnessFailure(self._key.name, str(error))
        if status == 409:
            return self._conflict(body)
        if status != 200:
            said = body[:200].decode("utf-8", "replace").strip()
            return WitnessFailure(self._key.name, f"HTTP {status} {said}")
        try:
            return self._own(note, read_signature_lines(body))
        except VerificationError as error:
            return WitnessFailure(self._key.name, str(error))

    def _conflict(self, body: bytes) -> WitnessFailure:
        try:
            size = read_size(body.decode("ascii").removesuffix("\n"))
        except ValueError:
            return WitnessFailure(self._key.name, "HTTP 409 without a size")
        return WitnessFailure(self._key.name, f"it has seen {min(size, MAX_SIZE)} entries", size)

    def _own(self, note: Note, lines: tuple[NoteSignature, ...]) -> NoteSignature:
        for line in lines:
            if (line.name, line.key_id) == (self._key.name, self._key.key_id):
                check_cosignatures(msgspec.structs.replace(note, signatures=(line,)), [self._key])
                return line
        raise VerificationError("没有该见证人的签名 / an answer without the witness's own signature")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None  # a log lies at the address given, or nowhere


def exchange(
    address: str, limit: int, timeout: float, body: bytes | None = None, kind: str = _TEXT
) -> tuple[int, bytes]:
    """Send a GET, or a POST with `body` of a media type; return status and answer of at most `limit` bytes.

    Raises StoreUnavailable without an answer, VerificationError for a longer or slower one.
    """
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(_NoRedirect, secure)
    request = urllib.request.Request(address, data=body, headers={"Accept-Encoding": "gzip, identity"})
    if body is not None:
        request.add_header("Content-Type", kind)
    try:
        try:
            answer = opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            data = _read(answer, limit, timeout, address)
            if answer.headers.get("Content-Encoding") == "gzip":
                data = _unzipped(data, limit, address)
            return int(answer.status), data
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise StoreUnavailable(f"没有回应 / no answer: {error}", where=address) from None


def _read(answer: Any, limit: int, timeout: float, address: str) -> bytes:
    end = time.monotonic() + 3 * timeout
    data = bytearray()
    while part := answer.read1(1 << 16):
        data += part
        if len(data) > limit or time.monotonic() > end:
            raise VerificationError(f"{address}: 过大或过慢 / over {limit} bytes, or too slow")
    return bytes(data)


def _unzipped(data: bytes, limit: int, address: str) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(data, limit + 1)
    except zlib.error:
        raise VerificationError(f"{address}: 不是 gzip 数据 / no gzip data") from None
    if not inflater.eof:
        raise VerificationError(f"{address}: gzip 残缺或过大 / cut gzip data, or over {limit} bytes")
    return plain


def is_kept_head(path: str) -> bool:
    """Tell whether a path is that of a head which is kept for proofs of the past."""
    return bool(_KEPT.fullmatch(path))


def _limit(path: str) -> int:
    """Return the most bytes that a file of a log may have. NotFound where a log has no such path."""
    if path in ("checkpoint", "checkpoints") or is_kept_head(path):
        return MAX_NOTE
    tile = read_path(path)
    if tile is None:
        raise NotFound("日志没有这样的路径 / no path of a log", where=path)
    return MAX_BUNDLE if tile.level == ENTRIES else MAX_TILE


def _within(data: bytes, limit: int, path: str) -> bytes:
    if len(data) > limit:
        raise VerificationError(f"{path}: 超过 {limit} 字节 / over {limit} bytes")
    return data
