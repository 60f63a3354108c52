"""The HTTP side of a witness: `POST /add-checkpoint` and `GET /<origin hash>/checkpoint` (C2SP tlog-witness)."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.transparency.witness import Witness, WitnessAnswer
from schemas.transparency.proofs import MAX_PROOF_TEXT


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
