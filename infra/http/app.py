"""Routes of the service: events, packets and materials in; cases, licences, holders and verdicts out.

Every endpoint checks host name, caller and rate before it works; what takes time runs in a thread; errors are
problem details (RFC 9457). No access log is kept, because paths name holders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.http.answers import (
    BATCH,
    JSON,
    STRUCTURED,
    json_answer,
    media_type,
    number,
    outcome_class,
    results,
    results_status,
)
from infra.http.callers import Callers
from infra.http.drainer import DecidingProcess
from infra.http.intake_thread import IntakeThread, Taken
from infra.http.limits import Bodies, Rates, RequestLimits
from infra.http.lookups import Lookups
from infra.http.metrics import EXPOSITION, Metrics
from infra.http.multipart import papers_of
from infra.http.openapi import document
from infra.http.problems import Problem, of_error, response
from infra.http.tokens import Tokens
from processors.queries.access import Principal
from schemas.canonical_json import MAX_BYTES
from schemas.errors import ZhengzhaoError
from verification.verify import MAX_INPUT

Handler = Callable[[Request, Principal | None], Awaitable[Response]]


class Service:
    """The endpoints and what they share. `hosts` and `open_here`: see `Callers`."""

    def __init__(
        self,
        lookups: Lookups,
        intake: IntakeThread,
        drainer: DecidingProcess,
        tokens: Tokens,
        *,
        limits: RequestLimits,
        hosts: frozenset[str],
        open_here: bool,
    ) -> None:
        self.lookups = lookups
        self.intake = intake
        self.drainer = drainer
        self.tokens = tokens
        self.limits = limits
        self.hosts = hosts
        self.callers = Callers(tokens, hosts=hosts, open_here=open_here)
        self.rates = Rates(limits)
        self.bodies = Bodies(limits)
        self.metrics = Metrics(intake, drainer)
        self.openapi = msgspec.json.encode(document(limits))

    def app(self, lifespan: Callable[[Starlette], AbstractContextManager[Any]] | None = None) -> Starlette:
        """Return the ASGI application."""
        routes = [
            self._route("/", "GET", self.index, public=True),
            self._route("/openapi.json", "GET", self.describe, public=True),
            self._route("/healthz", "GET", self.health, public=True),
            self._route("/metrics", "GET", self.metrics_text, public=True),
            self._route("/v1/events", "POST", self.events, unproved=True),
            self._route("/v1/packets", "POST", self.packets),
            self._route("/v1/materials", "POST", self.materials),
            self._route("/v1/cases/{application_id}", "GET", self.case),
            self._route("/v1/licences", "GET", self.licences),
            self._route("/v1/licences/{number}", "GET", self.licence),
            self._route("/v1/licences/{number}/artefact", "GET", self.artefact),
            self._route("/v1/holders/{holder_id}", "GET", self.holder),
            self._route("/v1/verify", "POST", self.verify, public=True),
            self._route("/status/{path:path}", "GET", self.status, public=True),
            self._route("/trust/{name}", "GET", self.trust, public=True),
        ]
        handlers = {HTTPException: _http_problem, Exception: _fault}
        return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]

    def _route(
        self, path: str, method: str, handler: Handler, *, public: bool = False, unproved: bool = False
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            start = time.monotonic()
            try:
                answer = await self._answer(request, handler, public=public, unproved=unproved)
            except Problem as problem:
                answer = response(problem, request)
            except ZhengzhaoError as error:
                answer = response(of_error(error), request)
            except TimeoutError:
                answer = response(Problem(503, hint="稍后重试 / try again later", retry_after=10), request)
            self.metrics.requests.labels(path, method, str(answer.status_code)).inc()
            self.metrics.seconds.labels(path).observe(time.monotonic() - start)
            return answer

        return Route(path, endpoint, methods=[method])

    async def _answer(self, request: Request, handler: Handler, *, public: bool, unproved: bool) -> Response:
        self.callers.check_host(request)
        self.callers.check_origin(request)
        principal = None if public else self.callers.principal(request, unproved=unproved)
        client = request.client.host if request.client else ""
        self.rates.take(principal.name if principal and principal.kind != "local" else client)
        answer = await handler(request, principal)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    # --- in

    async def events(self, request: Request, principal: Principal | None) -> Response:
        """Take in CloudEvents, structured (one) or batched."""
        kind, charset = media_type(request)
        if kind not in (STRUCTURED, BATCH) or charset not in ("", "utf-8", "us-ascii"):
            raise Problem(415, hint=f"{STRUCTURED}, {BATCH}; charset=utf-8")
        batch = kind == BATCH
        async with self.bodies.body(request, self.limits.batch_bytes if batch else MAX_BYTES) as raw:
            taken = await self.intake.take(raw, principal, batch=batch, limit=self.limits.batch_events)
        self._count(taken)
        if batch:
            return json_answer(results(taken), results_status(taken))
        name, outcome = taken[0]
        if isinstance(outcome, Problem):
            raise outcome
        return json_answer({"id": name, "state": "taken"}, 202)

    async def packets(self, request: Request, principal: Principal | None) -> Response:
        """Take in the PDF papers of one or more applications."""
        assert principal is not None  # the route asks for one
        if principal.kind == "enterprise":
            raise Problem(403, "由机构提交 / packets come from agencies")
        source = principal.subject if principal.kind == "agency" else request.query_params.get("source", "")
        async with self.bodies.body(request, self.limits.packet_bytes) as raw:
            papers = papers_of(raw, request.headers.get("content-type", ""))
            read = await self._work(self.lookups.packets, papers, source)
            taken: list[tuple[str, Taken]] = []
            applications: list[str] = []
            for event in read:
                if isinstance(event, Problem):
                    taken.append(("", event))
                    applications.append("")
                else:
                    taken += await self.intake.take(event, principal)
                    applications.append(msgspec.json.decode(event)["data"]["application_id"])
        self._count(taken)
        answer = results(taken)
        for row, application in zip(answer["results"], applications, strict=True):
            row["application_id"] = application
        return json_answer(answer, results_status(taken))

    async def materials(self, request: Request, principal: Principal | None) -> Response:
        """Keep a file under its hash."""
        async with self.bodies.body(request, self.limits.upload_bytes) as raw:
            return json_answer(await self._work(self.lookups.keep, raw), 201)

    # --- out

    async def case(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a case."""
        wanted = request.path_params["application_id"]
        return json_answer(
            await self._work(self.lookups.case, principal, wanted, request.query_params.get("holder"))
        )

    async def licences(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a page of the licences that the caller may see."""
        first, count = number(request, "offset", 0, 10**9), number(request, "limit", 100, 1000)
        return json_answer(await self._work(self.lookups.licences, principal, first, count))

    async def licence(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a licence and its history."""
        return json_answer(await self._work(self.lookups.licence, principal, request.path_params["number"]))

    async def artefact(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the PDF of a version, or with a file attached to it."""
        form = request.query_params.get("format", "pdf")
        version = number(request, "version", -1, 10**6)
        content, media_type, name = await self._work(
            self.lookups.artefact,
            principal,
            request.path_params["number"],
            form,
            None if version < 0 else version,
        )
        return Response(
            content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    async def holder(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a holder: licences, cases, filings, checks."""
        return json_answer(await self._work(self.lookups.holder, principal, request.path_params["holder_id"]))

    async def verify(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the verdict on a file."""
        async with self.bodies.body(request, MAX_INPUT) as raw:
            return json_answer(await self._work(self.lookups.verify, raw, request.query_params.get("at", "")))

    async def status(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a status list, its reasons, or an edition of either."""
        content = await self._work(
            self.lookups.status, request.path_params["path"], request.query_params.get("time", "")
        )
        return Response(
            content, media_type="application/statuslist+cwt", headers={"Cache-Control": "max-age=60"}
        )

    async def trust(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a file of the trust folder."""
        content, media_type = await self._work(self.lookups.trust_file, request.path_params["name"])
        return Response(content, media_type=media_type, headers={"Cache-Control": "max-age=300"})

    async def health(self, request: Request, principal: Principal | None) -> Response:
        """Report that events are taken in and decided, or 503."""
        well = self.drainer.alive and self.intake.alive
        return json_answer(
            {"status": "ok" if well else "failing", "pending": self.drainer.pending}, 200 if well else 503
        )

    async def metrics_text(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the metrics for Prometheus."""
        return Response(self.metrics.text(), media_type=EXPOSITION)

    async def describe(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the OpenAPI document."""
        return Response(self.openapi, media_type=JSON)

    async def index(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the addresses to begin with."""
        return json_answer(
            {
                "service": "zhengzhao",
                "openapi": "/openapi.json",
                "health": "/healthz",
                "trust": "/trust/root.pem",
            }
        )

    async def _work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async with asyncio.timeout(self.limits.answer_seconds):
            return await self.lookups.run(function, *arguments)

    def _count(self, taken: list[tuple[str, Taken]]) -> None:
        for _, outcome in taken:
            self.metrics.events.labels(outcome_class(outcome)).inc()


async def _http_problem(request: Request, error: HTTPException) -> Response:
    status = error.status_code if error.status_code in (404, 405) else 400
    answer = response(Problem(status, hint="/openapi.json"), request)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _fault(request: Request, error: Exception) -> Response:
    return response(Problem(500, hint="查看服务日志 / see the log of the service"), request)
