"""The routes of the service: events, packets and materials in; cases, licences, holders, verdicts out.

Each endpoint: whose host name, who calls, how often; then the work, in a thread where it takes time; errors are
problem details. No access log is kept of paths: they name holders.

Figures for Prometheus. Labels name routes and classes, never a path, an id or a person.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.http.drainer import DecidingProcess
from infra.http.intake_thread import Door, Taken
from infra.http.limits import Bodies, Rates, RequestLimits
from infra.http.lookups import Lookups, papers_of
from infra.http.openapi import document
from infra.http.problems import Problem, of_error, response
from infra.http.tokens import LOCAL, Principal, Tokens
from producers.files import Accepted
from schemas.canonical_json import MAX_BYTES
from schemas.errors import UsageError, ZhengzhaoError
from verification.verify import MAX_INPUT


class Metrics:
    """The figures of one service."""

    def __init__(self, door: Door, office: DecidingProcess) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "zhengzhao_http_requests", "Requests", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "zhengzhao_http_seconds", "Seconds to the answer", ["route"], registry=self.registry
        )
        self.events = Counter(
            "zhengzhao_events",
            "Events at the door: accepted, duplicate, rejected",
            ["outcome"],
            registry=self.registry,
        )
        for name, about, value in (
            ("waiting", "Requests that wait for the ledger", lambda: door.waiting),
            ("pending", "Ledger entries and licences that wait", lambda: office.pending),
            ("decided", "Ledger entries decided since the start", lambda: office.decided),
            ("issued", "Licences issued since the start", lambda: office.issued),
            ("letters", "Dead letters since the start", lambda: office.letters),
            ("ticks", "Ticks told since the start", lambda: office.ticks),
            ("healthy", "1 while the engine runs", lambda: int(office.alive)),
        ):
            Gauge(f"zhengzhao_{name}", about, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
JSON: Final = "application/json"
Handler = Callable[[Request, Principal | None], Awaitable[Response]]


class Service:
    """Everything that the endpoints share. `open_here`: without tokens, whoever sits at this machine may call."""

    def __init__(
        self,
        desk: Lookups,
        door: Door,
        office: DecidingProcess,
        tokens: Tokens,
        *,
        limits: RequestLimits,
        hosts: frozenset[str],
        open_here: bool,
    ) -> None:
        self.desk = desk
        self.door = door
        self.office = office
        self.tokens = tokens
        self.limits = limits
        self.hosts = hosts
        self.open_here = open_here
        self.rates = Rates(limits)
        self.bodies = Bodies(limits)
        self.metrics = Metrics(door, office)
        self.openapi = msgspec.json.encode(document(limits))

    def app(self, lifespan: Callable[[Starlette], AbstractContextManager[Any]] | None = None) -> Starlette:
        """The ASGI application."""
        routes = [
            self._route("/", "GET", self.index, public=True),
            self._route("/openapi.json", "GET", self.describe, public=True),
            self._route("/healthz", "GET", self.health, public=True),
            self._route("/metrics", "GET", self.figures, public=True),
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
        self._check_host(request)
        self._check_origin(request)
        principal = None if public else self._principal(request, unproved=unproved)
        client = request.client.host if request.client else ""
        self.rates.take(principal.name if principal and principal.kind != "local" else client)
        answer = await handler(request, principal)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    def _check_host(self, request: Request) -> None:
        """A page of another site must not reach a service at this machine under a name of its own."""
        host = request.headers.get("host", "").rpartition("@")[2]
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self.hosts and name.lower() not in self.hosts:
            raise Problem(421, hint="zhengzhao run --allow-host NAME")

    def _check_origin(self, request: Request) -> None:
        """Nor may it make a browser send something here: forms need no leave of ours for that."""
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
            raise Problem(403, "来自其他网站的页面 / sent by a page of another site", where="Origin")

    def _principal(self, request: Request, *, unproved: bool) -> Principal | None:
        """Who calls; None only where a proof may say it later (`unproved`)."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind:
            found = self._bearer(secret.strip()) if kind.lower() == "bearer" else None
            if found is None:
                raise Problem(401, hint="Authorization: Bearer TOKEN")
            return found
        if self.open_here and not self._any_tokens():
            return LOCAL
        if unproved:
            return None
        raise Problem(401, hint="Authorization: Bearer TOKEN；zhengzhao token add")

    def _bearer(self, secret: str) -> Principal | None:
        try:
            return self.tokens.principal(secret, datetime.now(UTC))
        except UsageError as error:
            raise _unreadable(error) from None

    def _any_tokens(self) -> bool:
        try:
            return bool(self.tokens.all())
        except UsageError as error:
            raise _unreadable(error) from None

    # --- in

    async def events(self, request: Request, principal: Principal | None) -> Response:
        """CloudEvents, structured (one) or batched."""
        kind, charset = _media_type(request)
        if kind not in (STRUCTURED, BATCH) or charset not in ("", "utf-8", "us-ascii"):
            raise Problem(415, hint=f"{STRUCTURED}, {BATCH}; charset=utf-8")
        batch = kind == BATCH
        async with self.bodies.body(request, self.limits.batch_bytes if batch else MAX_BYTES) as raw:
            taken = await self.door.take(raw, principal, batch=batch, limit=self.limits.batch_events)
        self._count(taken)
        if batch:
            return _json(_results(taken), _status(taken))
        name, outcome = taken[0]
        if isinstance(outcome, Problem):
            raise outcome
        return _json({"id": name, "state": "taken"}, 202)

    async def packets(self, request: Request, principal: Principal | None) -> Response:
        """The PDF papers of one or more applications."""
        assert principal is not None  # the route asks for one
        if principal.kind == "enterprise":
            raise Problem(403, "由机构提交 / packets come from agencies")
        source = principal.subject if principal.kind == "agency" else request.query_params.get("source", "")
        async with self.bodies.body(request, self.limits.packet_bytes) as raw:
            papers = papers_of(raw, request.headers.get("content-type", ""))
            read = await self._work(self.desk.packets, papers, source)
            taken: list[tuple[str, Taken]] = []
            applications: list[str] = []
            for event in read:
                if isinstance(event, Problem):
                    taken.append(("", event))
                    applications.append("")
                else:
                    taken += await self.door.take(event, principal)
                    applications.append(msgspec.json.decode(event)["data"]["application_id"])
        self._count(taken)
        answer = _results(taken)
        for row, application in zip(answer["results"], applications, strict=True):
            row["application_id"] = application
        return _json(answer, _status(taken))

    async def materials(self, request: Request, principal: Principal | None) -> Response:
        """A file, kept under its hash."""
        async with self.bodies.body(request, self.limits.upload_bytes) as raw:
            return _json(await self._work(self.desk.keep, raw), 201)

    # --- out

    async def case(self, request: Request, principal: Principal | None) -> Response:
        """Where an application stands."""
        wanted = request.path_params["application_id"]
        return _json(await self._work(self.desk.case, principal, wanted, request.query_params.get("holder")))

    async def licences(self, request: Request, principal: Principal | None) -> Response:
        """A page of the licences that the caller may see."""
        first, count = _number(request, "offset", 0, 10**9), _number(request, "limit", 100, 1000)
        return _json(await self._work(self.desk.licences, principal, first, count))

    async def licence(self, request: Request, principal: Principal | None) -> Response:
        """A licence with its history."""
        return _json(await self._work(self.desk.licence, principal, request.path_params["number"]))

    async def artefact(self, request: Request, principal: Principal | None) -> Response:
        """The PDF of a version, or what is attached to it."""
        form = request.query_params.get("format", "pdf")
        version = _number(request, "version", -1, 10**6)
        content, media_type, name = await self._work(
            self.desk.artefact,
            principal,
            request.path_params["number"],
            form,
            None if version < 0 else version,
        )
        return Response(
            content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    async def holder(self, request: Request, principal: Principal | None) -> Response:
        """A holder with licences, cases, filings, checks."""
        return _json(await self._work(self.desk.holder, principal, request.path_params["holder_id"]))

    async def verify(self, request: Request, principal: Principal | None) -> Response:
        """The verdict on a file."""
        async with self.bodies.body(request, MAX_INPUT) as raw:
            return _json(await self._work(self.desk.verify, raw, request.query_params.get("at", "")))

    async def status(self, request: Request, principal: Principal | None) -> Response:
        """A status list, its reasons, or an edition."""
        content = await self._work(
            self.desk.status, request.path_params["path"], request.query_params.get("time", "")
        )
        return Response(
            content, media_type="application/statuslist+cwt", headers={"Cache-Control": "max-age=60"}
        )

    async def trust(self, request: Request, principal: Principal | None) -> Response:
        """A file of the trust folder."""
        content, media_type = await self._work(self.desk.trust_file, request.path_params["name"])
        return Response(content, media_type=media_type, headers={"Cache-Control": "max-age=300"})

    async def health(self, request: Request, principal: Principal | None) -> Response:
        """Whether events are taken in and decided."""
        well = self.office.alive and self.door.alive
        return _json(
            {"status": "ok" if well else "failing", "pending": self.office.pending}, 200 if well else 503
        )

    async def figures(self, request: Request, principal: Principal | None) -> Response:
        """For Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def describe(self, request: Request, principal: Principal | None) -> Response:
        """The OpenAPI document."""
        return Response(self.openapi, media_type=JSON)

    async def index(self, request: Request, principal: Principal | None) -> Response:
        """What there is."""
        return _json(
            {
                "service": "zhengzhao",
                "openapi": "/openapi.json",
                "health": "/healthz",
                "trust": "/trust/root.pem",
            }
        )

    async def _work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async with asyncio.timeout(self.limits.answer_seconds):
            return await self.desk.run(function, *arguments)

    def _count(self, taken: list[tuple[str, Taken]]) -> None:
        for _, outcome in taken:
            duplicate = isinstance(outcome, Accepted) and outcome.duplicate
            kind = "rejected" if isinstance(outcome, Problem) else "duplicate" if duplicate else "accepted"
            self.metrics.events.labels(kind).inc()


def _unreadable(error: UsageError) -> Problem:
    """A file of this machine is broken: no fault of the caller's, who need not know where it lies."""
    print(f"error: {error}\nhint: {error.hint}", file=sys.stderr, flush=True)
    return Problem(500, hint="查看服务日志 / see the log of the service")


def _results(taken: list[tuple[str, Taken]]) -> dict[str, Any]:
    rows = [
        {"id": name, "state": "taken"}
        if isinstance(outcome, Accepted)
        else {
            "id": name,
            "state": "rejected",
            "status": outcome.status,
            "error": outcome.detail,
            "where": outcome.where,
            "hint": outcome.hint,
        }
        for name, outcome in taken
    ]
    return {"results": rows}


def _status(taken: list[tuple[str, Taken]]) -> int:
    """202 where everything was taken in, 422 where nothing was, else 207."""
    refused = sum(isinstance(outcome, Problem) for _, outcome in taken)
    return 202 if not refused else 422 if refused == len(taken) else 207


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def _media_type(request: Request) -> tuple[str, str]:
    """The media type, and the charset that goes with it (empty where none is said)."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    said = dict(parameter.partition("=")[::2] for parameter in parameters)
    return kind, said.get("charset", "").strip('"')


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise Problem(400, f"{name} 须为 0 至 {most} 的整数 / a whole number from 0 to {most}", where=name)
    return int(text)


async def _http_problem(request: Request, error: HTTPException) -> Response:
    status = error.status_code if error.status_code in (404, 405) else 400
    answer = response(Problem(status, hint="/openapi.json"), request)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _fault(request: Request, error: Exception) -> Response:
    return response(Problem(500, hint="查看服务日志 / see the log of the service"), request)
