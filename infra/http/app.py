"""Routes of the service: events, packets and materials in; cases, licences, holders and verdicts out.

Every endpoint checks host name, caller and rate before it works; what takes time runs in a thread; errors are
problem details (RFC 9457). No access log is kept, because paths name holders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.http.answers import (
    BATCH,
    JSON,
    MULTIPART,
    STRUCTURED,
    batch_results,
    check_query,
    file_answer,
    is_binary,
    json_answer,
    media_type,
    number,
    outcome_class,
    results_status,
    structured_event,
)
from infra.http.callers import Callers, Network, Tokens
from infra.http.drainer import DecidingProcess
from infra.http.intake_thread import IntakeThread, Taken
from infra.http.limits import Bodies, Rates, RequestLimits, Turns
from infra.http.lookups import Lookups
from infra.http.multipart import check_papers_type, only_file
from infra.http.openapi import document
from infra.http.problems import Problem, of_error, response
from infra.http.public_pages import PublicPages
from infra.http.verdicts import Overrun
from infra.http.verifier_pages import ANY_ORIGIN, VerifierPages
from infra.metrics import EXPOSITION, Metrics, StageMetrics
from infra.portal.routes import portal_routes
from infra.portal.web import Portal
from processors.queries.access import Principal
from producers.files import Accepted
from schemas.canonical_json import MAX_BYTES
from schemas.errors import ZhengzhaoError
from verification.inputs import Kind, sniff
from verification.verify import MAX_INPUT

Handler = Callable[[Request, Principal | None], Awaitable[Response]]
_VERIFIED: Final = frozenset(
    {
        "", "application/octet-stream", "application/x-www-form-urlencoded", "application/pdf", "application/cwt",
        "image/png", "image/jpeg", "image/webp", "image/tiff", "text/plain", "multipart/form-data",
    }
)  # fmt: skip
_WRITE_ONCE: Final = (
    "private, no-cache"  # a newer version may stand in the place of a file: it is asked for each time
)


class Service:
    """The endpoints and what they share. `hosts`, `open_here` and `proxies`: see `Callers`."""

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
        proxies: Sequence[Network] = (),
    ) -> None:
        self.lookups = lookups
        self.intake = intake
        self.drainer = drainer
        self.tokens = tokens
        self.limits = limits
        self.hosts = hosts
        self.rates = Rates(limits)
        self.callers = Callers(tokens, self.rates, hosts=hosts, open_here=open_here, proxies=proxies)
        self.bodies = Bodies(limits)
        self.turns = Turns(limits.verify_client, limits.verify_waiting)
        self.pages = VerifierPages(lookups, self._work)
        self.public = PublicPages(lookups, self._work)
        self.door = StageMetrics("door", timed=False)
        self.door.under_way = lambda: intake.waiting
        self.door.healthy = lambda: intake.alive
        self.metrics = Metrics(lambda: [self.door, *drainer.metrics()], lookups.installation.open_letters)
        self.portal = Portal(
            lookups.installation, self.callers, intake, self.bodies, limits, self.public.figures
        )
        self.openapi = msgspec.json.encode(document(limits))

    def app(self) -> Starlette:
        """Return the ASGI application."""
        pages = self.pages
        routes = [
            self._route("/", "GET", self.index, public=True, query=("lang",)),
            self._route("/verify", "GET", pages.verify, public=True, query=("lang",)),
            self._route("/verifier/{path:path}", "GET", pages.asset, public=True),
            self._route("/sw.js", "GET", pages.asset, public=True),
            self._route("/assets/{name}", "GET", pages.asset, public=True),
            self._route("/draws/{digest}/again", "GET", pages.again, public=True),
            self._route("/openapi.json", "GET", self.describe, public=True),
            self._route("/healthz", "GET", self.health, public=True),
            self._route("/livez", "GET", self.live, public=True),
            self._route("/readyz", "GET", self.ready, public=True),
            self._route("/metrics", "GET", self.metrics_text, public=True),
            self._route("/v1/events", "POST", self.events, unproved=True),
            self._route("/v1/packets", "POST", self.packets, query=("source", "application")),
            self._route("/v1/materials", "POST", self.materials),
            self._route("/v1/cases/{application_id}", "GET", self.case, query=("holder",)),
            self._route("/v1/licences", "GET", self.licences, query=("after", "limit")),
            self._route("/v1/licences/{number}", "GET", self.licence),
            self._route("/v1/licences/{number}/artefact", "GET", self.artefact, query=("format", "version")),
            self._route("/v1/holders/{holder_id}", "GET", self.holder),
            self._route("/v1/verify", "POST", self.verify, public=True, query=("at",)),
            self._route("/status/{path:path}", "GET", self.status, public=True, query=("time",)),
            self._route("/trust/bundle", "GET", pages.bundle, public=True),
            self._route("/trust/{name:path}", "GET", self.trust, public=True),
            *(
                self._route(path, "GET", handler, public=True, query=(*query, "lang"))
                for path, handler, query in self.public.routes()
            ),
            self._route("/log/{path:path}", "GET", self.log, public=True),
        ]
        routes += portal_routes(self.portal)
        handlers = {HTTPException: _http_problem, Exception: _fault}
        return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]

    def _route(
        self,
        path: str,
        method: str,
        handler: Handler,
        *,
        public: bool = False,
        unproved: bool = False,
        query: tuple[str, ...] = (),
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            start = time.monotonic()
            try:
                self.callers.check(request)
                check_query(request, query)
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
        client = self.callers.client(request)
        principal = None if public else self.callers.principal(request, client, unproved=unproved)
        self.rates.requests.take(principal.name if principal and principal.kind != "local" else client)
        answer = await handler(request, principal)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    # --- in

    async def events(self, request: Request, principal: Principal | None) -> Response:
        """Take in CloudEvents: structured or binary (one), or batched."""
        kind, charset = media_type(request)
        known = kind in (STRUCTURED, BATCH) or is_binary(request, kind)
        if not known or charset not in ("", "utf-8", "us-ascii"):
            raise Problem(415, hint=f"{STRUCTURED}, {BATCH}, {JSON} + ce-…; charset=utf-8")
        batch = kind == BATCH
        most = self.limits.batch_bytes if batch else MAX_BYTES
        if principal is None:
            self.rates.refused.check(self.callers.client(request))
            most = min(most, self.limits.unproved_bytes)
        async with self.bodies.body(request, most) as raw:
            taken = await self._take(request, raw, principal, batch=batch)
        self._count(taken)
        if batch:
            return json_answer(batch_results(taken), results_status(taken))
        name, outcome = taken[0]
        if isinstance(outcome, Problem):
            raise outcome
        return json_answer({"id": name, "state": "taken"}, 202)

    async def _take(
        self, request: Request, raw: bytes, principal: Principal | None, *, batch: bool
    ) -> list[tuple[str, Taken]]:
        """Take in events; a request without a token of which nothing was good is charged to its client."""
        taken: list[tuple[str, Taken]] = []
        try:
            if is_binary(request, media_type(request)[0]):
                raw = structured_event(request, raw)
            taken = await self.intake.take(raw, principal, batch=batch, limit=self.limits.batch_events)
        finally:
            if principal is None and not any(isinstance(outcome, Accepted) for _, outcome in taken):
                self.rates.refused.charge(self.callers.client(request), len(raw))
        return taken

    async def packets(self, request: Request, principal: Principal | None) -> Response:
        """Take in the papers of one or more applications, or, with `application`, those that a case asked for."""
        assert principal is not None  # the route asks for one
        if principal.kind == "enterprise":
            raise Problem(403, "由机构提交 / packets come from agencies")
        source = principal.subject if principal.kind == "agency" else request.query_params.get("source", "")
        content_type = request.headers.get("content-type", "")
        check_papers_type(content_type)
        case = request.query_params.get("application", "")
        async with self.bodies.body(request, self.limits.packet_bytes) as raw:
            self._charge_upload(request, principal, len(raw))
            read = await self._work(self.lookups.packets, raw, content_type, source, case)
            taken: list[tuple[str, Taken]] = []
            applications: list[str] = []
            for event in read:
                if isinstance(event, Problem):
                    taken.append(("", event))
                    applications.append("")
                else:
                    taken += await self.intake.take(event, principal, made_here=True)
                    applications.append(msgspec.json.decode(event)["data"]["application_id"])
        self._count(taken)
        answer = batch_results(taken)
        for row, application in zip(answer["results"], applications, strict=True):
            row["application_id"] = application
        return json_answer(answer, results_status(taken))

    async def materials(self, request: Request, principal: Principal | None) -> Response:
        """Keep a file under its hash."""
        assert principal is not None  # the route asks for one
        if media_type(request)[0] == MULTIPART:
            raise Problem(415, hint="application/octet-stream")
        async with self.bodies.body(request, self.limits.upload_bytes) as raw:
            self._charge_upload(request, principal, len(raw))
            return json_answer(await self._work(self.lookups.keep, raw), 201)

    def _charge_upload(self, request: Request, principal: Principal, size: int) -> None:
        """Count an upload to its caller's quota. Raises Problem 429 where that is used up."""
        caller = principal.name if principal.kind != "local" else self.callers.client(request)
        self.rates.uploads.take(caller, size)

    # --- out

    async def case(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a case."""
        wanted = request.path_params["application_id"]
        return json_answer(
            await self._work(self.lookups.case, principal, wanted, request.query_params.get("holder"))
        )

    async def licences(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a page of the licences that the caller may see; `Link` names the next page (RFC 8288)."""
        count = max(1, number(request, "limit", 100, 1000))
        after = request.query_params.get("after", "")
        rows, following = await self._work(self.lookups.licences, principal, after, count)
        answer = json_answer(rows)
        if following:
            answer.headers["Link"] = f'</v1/licences?limit={count}&after={following}>; rel="next"'
        return answer

    async def licence(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a licence and its history."""
        return json_answer(await self._work(self.lookups.licence, principal, request.path_params["number"]))

    async def artefact(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the PDF of a version, or with a file attached to it."""
        form = request.query_params.get("format", "pdf")
        version = number(request, "version", -1, 10**6)
        content, kind, name = await self._work(
            self.lookups.artefact,
            principal,
            request.path_params["number"],
            form,
            None if version < 0 else version,
        )
        disposition = f'attachment; filename="{name}"'
        headers = {"Content-Disposition": disposition, "Cache-Control": _WRITE_ONCE}
        return file_answer(request, content, kind, headers)

    async def holder(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a holder: licences, cases, filings, checks."""
        return json_answer(await self._work(self.lookups.holder, principal, request.path_params["holder_id"]))

    async def verify(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the verdict on a file."""
        kind = media_type(request)[0]
        if kind not in _VERIFIED:
            raise Problem(
                415, hint="application/octet-stream, application/pdf, image/png, image/jpeg, text/plain"
            )
        client = self.callers.client(request)
        self.rates.slow_files.check(client)
        with self.turns.turn(client):
            async with self.bodies.body(request, MAX_INPUT) as raw:
                content = only_file(raw, request.headers["content-type"]) if kind == MULTIPART else raw
                if sniff(content, "") in (Kind.OTHER, Kind.BODY):
                    raise Problem(415, hint="PDF, CWT, PNG, JPEG, WebP, TIFF, QR")
                try:
                    at = request.query_params.get("at", "")
                    return json_answer(await self._work(self.lookups.verify, content, at))
                except Overrun:
                    self.rates.slow_files.charge(client)
                    raise

    async def status(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a status list, its reasons, or an edition of either."""
        content = await self._work(
            self.lookups.status, request.path_params["path"], request.query_params.get("time", "")
        )
        headers = {"Cache-Control": "max-age=60", **ANY_ORIGIN}
        return file_answer(request, content, "application/statuslist+cwt", headers)

    async def trust(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a file of the trust folder."""
        content, kind = await self._work(self.lookups.trust_file, request.path_params["name"])
        return file_answer(request, content, kind, {"Cache-Control": "max-age=300", **ANY_ORIGIN})

    async def log(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a file of the transparency log (C2SP tlog-tiles): full tiles never change, the checkpoint does."""
        path = request.path_params["path"]
        content = await self._work(self.lookups.log_file, path)
        head = path in ("checkpoint", "checkpoints")
        kind = "text/plain; charset=utf-8" if path.startswith("checkpoint") else "application/octet-stream"
        cache = "no-cache" if head else "public, max-age=31536000, immutable"
        return file_answer(request, content, kind, {"Cache-Control": cache})

    async def health(self, request: Request, principal: Principal | None) -> Response:
        """Report that events are taken in and decided, or 503."""
        well = self.drainer.alive and self.intake.alive
        return json_answer(
            {"status": "ok" if well else "failing", "pending": self.drainer.pending}, 200 if well else 503
        )

    async def live(self, request: Request, principal: Principal | None) -> Response:
        """Report that the threads of the service run, or 503: then only a new start helps."""
        running = self.drainer.running and self.intake.alive
        return json_answer({"live": running}, 200 if running else 503)

    async def ready(self, request: Request, principal: Principal | None) -> Response:
        """Report that answers hold all that was there when the service started, or 503."""
        good = self.drainer.ready and self.intake.alive
        return json_answer({"ready": good, "pending": self.drainer.pending}, 200 if good else 503)

    async def metrics_text(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the metrics for Prometheus."""
        return Response(await self._work(self.metrics.text), media_type=EXPOSITION)

    async def describe(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the OpenAPI document."""
        return Response(self.openapi, media_type=JSON)

    async def index(self, request: Request, principal: Principal | None) -> Response:
        """Answer a browser with the home page, a program with the addresses to begin with."""
        if "text/html" in request.headers.get("accept", ""):
            return await self.pages.home(request, principal)
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
            self.door.outcomes[outcome_class(outcome)] += 1


async def _http_problem(request: Request, error: HTTPException) -> Response:
    status = error.status_code if error.status_code in (404, 405) else 400
    answer = response(Problem(status, hint="/openapi.json"), request)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _fault(request: Request, error: Exception) -> Response:
    return response(Problem(500, hint="查看服务日志 / see the log of the service"), request)
