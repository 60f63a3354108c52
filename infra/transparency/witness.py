"""A witness (C2SP tlog-witness): it signs heads of logs that it knows, each only as a continuation of the last.

The head that it signed last is on the disk before it answers; two requests at once are taken one after the other,
and a second process on the same folder is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.stores.folder import FolderStore
from infra.transparency.sequencer import NoteSigner
from schemas.errors import NotFound, StoreUnavailable, TransientError, UsageError, VerificationError
from schemas.transparency.merkle import EMPTY_ROOT, check_consistency
from schemas.transparency.notes import (
    ED25519,
    MAX_PROOF_TEXT,
    Checkpoint,
    Note,
    VerifierKey,
    WitnessRequest,
    check_log_signature,
    read_checkpoint,
    read_note,
    read_witness_request,
)

TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


class WitnessAnswer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = TEXT


class Witness:
    """A witness with its key, the logs that it knows (by origin), and the folder of what it signed last."""

    def __init__(self, folder: Path, signer: NoteSigner, logs: Iterable[VerifierKey]) -> None:
        """Take the folder. TransientError where another process has it, UsageError where a log's key is no log's."""
        self._signer = signer
        self._keys: dict[str, list[VerifierKey]] = {}
        for key in logs:
            if key.kind != ED25519:
                raise UsageError("不是日志的公钥 / no key of a log", where=str(key))
            self._keys.setdefault(key.name, []).append(key)
        self._store = FolderStore(folder / "signed")
        self._one = threading.Lock()
        self._folder_lock = _locked(folder)

    @property
    def key(self) -> VerifierKey:
        """The key by which the witness's signatures are known."""
        return self._signer.witness_key

    def add_checkpoint(self, body: bytes, now: int) -> WitnessAnswer:
        """Answer `POST /add-checkpoint` at `now` (seconds since 1970), in the order of checks of tlog-witness."""
        try:
            request = read_witness_request(body)
            note = read_note(request.checkpoint)
            head = read_checkpoint(note)
        except VerificationError as error:
            return _refusal(400, error)
        keys = self._keys.get(head.origin)
        if keys is None:
            return _refusal(404, "未知的日志 / unknown log")
        try:
            signed = check_log_signature(note, keys)
        except VerificationError as error:
            return _refusal(403, error)
        if request.old > head.size:
            return _refusal(400, "旧大小超过检查点 / the old size is over the checkpoint's")
        own = Note(
            note.text, tuple(s for s in note.signatures if (s.name, s.key_id) == (signed.name, signed.key_id))
        )
        with self._one:
            return self._sign(request, own, head, now)

    def latest(self, origin_hash: str) -> WitnessAnswer:
        """Answer `GET /<SHA-256 of the origin>/checkpoint`: the head signed last, with both signatures."""
        if origin_hash not in {_key(origin) for origin in self._keys}:
            return _refusal(404, "未知的日志 / unknown log")
        try:
            return WitnessAnswer(200, self._store.get(origin_hash))
        except NotFound:
            return _refusal(404, "尚未见证 / nothing signed yet")
        except StoreUnavailable as error:
            return _refusal(500, error)

    def close(self) -> None:
        """Give the folder back."""
        self._folder_lock.close()

    def _sign(self, request: WitnessRequest, note: Note, head: Checkpoint, now: int) -> WitnessAnswer:
        try:
            last = self._last(head.origin)
        except (VerificationError, StoreUnavailable) as error:
            return _refusal(500, error)  # a state that cannot be read is no empty one
        if request.old != last.size:
            return WitnessAnswer(409, f"{last.size}\n".encode(), SIZE)
        try:
            if head.size == 0 and head.root != EMPTY_ROOT:
                raise VerificationError("空日志的根不符 / not the root of the empty log")
            check_consistency(last.size, last.root, head.size, head.root, request.proof)
        except VerificationError as error:
            return _refusal(422, error)
        line = self._signer.cosign(note.text, max(now, 1))
        signed = msgspec.structs.replace(note, signatures=(*note.signatures, line))
        try:
            self._store.replace(_key(head.origin), signed.to_bytes())
        except StoreUnavailable as error:
            return _refusal(500, error)
        return WitnessAnswer(200, str(line).encode())

    def _last(self, origin: str) -> Checkpoint:
        try:
            return read_checkpoint(read_note(self._store.get(_key(origin))))
        except NotFound:
            return Checkpoint(origin, 0, EMPTY_ROOT)


def witness_app(witness: Witness, clock: Callable[[], float] = time.time) -> Starlette:
    """Return the application that serves a witness; `clock` gives seconds since 1970."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_PROOF_TEXT:
                return Response("请求过大 / the request is too large\n", 413)
        return _response(await run_in_threadpool(witness.add_checkpoint, bytes(body), int(clock())))

    async def latest(request: Request) -> Response:
        answer = _response(await run_in_threadpool(witness.latest, request.path_params["origin"]))
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{origin}/checkpoint", latest, methods=["GET"]),
        ]
    )


def _response(answer: WitnessAnswer) -> Response:
    return Response(answer.body, answer.status, {"Content-Type": answer.content_type})


def _key(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _refusal(status: int, reason: object) -> WitnessAnswer:
    return WitnessAnswer(status, f"{reason}\n".encode())


def _locked(folder: Path) -> IO[str]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = (folder / "lock").open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise TransientError(
            "另一个见证进程正在使用该目录 / another witness holds the folder", where=str(folder)
        ) from None
    return handle
