"""Frame of the pages behind a login: who visits, what was typed, and the rules that hold for every form.

Handlers are plain functions that run in threads. A form carries a token of its session and path; a form whose session
has ended is kept, sealed, and comes back filled in after the login.
"""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from infra.bootstrap import Installation
from infra.http.limits import Bodies, Buckets, RequestLimits
from infra.http.problems import Problem, of_error
from infra.persons.access_log import Accesses
from infra.portal import site
from infra.portal.accounts import Account, Accounts, Session
from infra.portal.forms import Upload
from processors.queries.access import Principal, Restricted
from processors.queries.listings import Register
from processors.state import HolderState
from producers.files import Accepted
from schemas.calendar import CHINA
from schemas.errors import NotFound, UsageError, ZhengzhaoError

SESSION: Final = "zz_session"
VISIT: Final = "zz_visit"
DRAFT: Final = "zz_draft"
_MIB: Final = 1024 * 1024
_FORM_BYTES: Final = _MIB
_UPLOADS_BYTES: Final = 80 * _MIB
_MOST_PIXELS: Final = 60_000_000
_WAIT: Final = 1.2  # seconds for a decision before the page says that it is under way
_KINDS: Final = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}


class RequestChecks(Protocol):
    """The checks of a request that the pages share with the service's other endpoints."""

    def check(self, request: Request) -> None: ...
    def client(self, request: Request) -> str: ...
    def is_proxy(self, address: str) -> bool: ...


class Intake(Protocol):
    """The way of events into the ledger, whichever engine decides them."""

    async def take(
        self, raw: bytes, principal: Principal | None, *, made_here: bool = False, account: str = ""
    ) -> list[tuple[str, Any]]: ...


class Visit:
    """One request: the session, what was typed, the files that came, and what an earlier form had typed."""

    def __init__(
        self,
        request: Request,
        client: str,
        typed: dict[str, str],
        files: dict[str, tuple[str, bytes]],
        loop: asyncio.AbstractEventLoop,
        secure: bool,
    ) -> None:
        self.request = request
        self.client = client
        self.session: Session | None = None
        self.typed = typed
        self.files = files
        self.loop = loop
        self.secure = secure
        self.draft: dict[str, str] = {}
        self.visit = request.cookies.get(VISIT, "")

    @property
    def account(self) -> Account:
        """Return the account; the route has asked for one."""
        assert self.session is not None
        return self.session.account

    @property
    def posted(self) -> bool:
        """Tell whether a form was sent; anything else, a HEAD too, changes nothing."""
        return self.request.method == "POST"

    @property
    def bound(self) -> str:
        """Return the token to which the forms of this visit are bound: its session's, else its own."""
        return self.session.token if self.session else self.visit

    @property
    def path(self) -> str:
        """Return the path of the address."""
        return self.request.url.path

    @property
    def here(self) -> str:
        """Return the address with its query, as a path of this site."""
        query = self.request.url.query
        return quote(self.path, safe="/") + (f"?{query}" if query else "")

    def word(self, name: str) -> str:
        """Return a value of the address."""
        return str(self.request.path_params.get(name, ""))

    def asked(self, name: str, default: str = "") -> str:
        """Return a value of the query."""
        return self.request.query_params.get(name, default)


Handler = Callable[["Portal", Visit], Response]


class Portal:
    """The pages of enterprises, persons and officers over one installation."""

    def __init__(
        self,
        installation: Installation,
        callers: RequestChecks,
        intake: Intake,
        bodies: Bodies,
        limits: RequestLimits,
        figures: Callable[[], dict[str, Any]],
    ) -> None:
        self.installation = installation
        self.settings = installation.settings
        self.catalogue, self.notices = installation.catalogue, installation.notices
        self.persons, self.store = installation.persons, installation.store
        self.figures = figures
        self.accounts = Accounts(self.settings.data)
        self.pages = Buckets(limits.rate, limits.burst)
        self.logins = Buckets(0.2, 20, hint="稍后再试 / try again later")
        self.sends = Buckets(1.0, 60, hint="稍后再提交 / submit again later")
        self._callers = callers
        self._intake = intake
        self._bodies = bodies
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="portal")

    def close(self) -> None:
        """Wait for the pages under way, then close."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.accounts.close()

    def route(self, path: str, handler: Handler, *, needs: str = "", posts: bool = False) -> Route:
        """Return a route; `needs` is `holder`, `officer` or `account`, `posts` says that its page has a form."""

        async def endpoint(request: Request) -> Response:
            try:
                self._callers.check(request)
                client = self._callers.client(request)
                self.pages.take(client)
                typed, files = await self._read(request) if request.method == "POST" else ({}, {})
                loop = asyncio.get_running_loop()
                visit = Visit(request, client, typed, files, loop, self._secure(request))
                return await loop.run_in_executor(self._threads, self._answer, handler, visit, needs)
            except Problem as problem:
                return self.wrong(request, problem)
            except ZhengzhaoError as error:
                return self.wrong(request, of_error(error))

        return Route(path, endpoint, methods=["GET", "POST"] if posts else ["GET"])

    def _answer(self, handler: Handler, visit: Visit, needs: str) -> Response:
        try:
            token = visit.request.cookies.get(SESSION, "")
            visit.session = self.accounts.session(token) if token else None
            return self._checked(handler, visit, needs)
        except (Problem, ZhengzhaoError) as error:
            problem = error if isinstance(error, Problem) else of_error(error)
            return self.wrong(visit.request, problem, visit.session)

    def _checked(self, handler: Handler, visit: Visit, needs: str) -> Response:
        """Answer where the visitor may open the page, and sent no form but one of ours."""
        if needs and visit.session is None:
            return self._ask_to_log_in(visit)
        if needs and not _fits(visit.account, needs):
            raise NotFound("未找到这个页面 / no such page")
        if visit.posted and not self.accounts.good_form(visit.bound, visit.path, visit.typed.pop("csrf", "")):
            return self._keep(visit, visit.here)
        if visit.session is not None and visit.request.cookies.get(DRAFT):
            visit.draft = self.accounts.take_draft(visit.request.cookies[DRAFT], visit.account, visit.path)
        answer = handler(self, visit)
        answer.headers.setdefault("Cache-Control", "no-store")
        if visit.draft:
            answer.delete_cookie(DRAFT)
        return answer

    def _ask_to_log_in(self, visit: Visit) -> Response:
        place = f"/login?next={quote(visit.here, safe='')}"
        if visit.posted:
            visit.typed.pop("csrf", None)
            return self._keep(visit, place)
        return RedirectResponse(place, 303)

    def _keep(self, visit: Visit, place: str) -> Response:
        """Keep what a form had typed whose session has ended, and lead to `place`."""
        answer = RedirectResponse(place, 303)
        if visit.typed and (
            token := self.accounts.keep_draft(visit.request.cookies.get(SESSION, ""), visit.path, visit.typed)
        ):
            self.cookie(answer, visit, DRAFT, token, 3600)
        return answer

    def cookie(
        self, answer: Response, visit: Visit, name: str, value: str, seconds: int | None = None
    ) -> None:
        """Set a cookie that no script reads and no other site sends along with a form."""
        answer.set_cookie(
            name, value, max_age=seconds, httponly=True, samesite="lax", secure=visit.secure, path="/"
        )

    def _secure(self, request: Request) -> bool:
        peer = request.client.host if request.client else ""
        forwarded = request.headers.get("x-forwarded-proto", "") if self._callers.is_proxy(peer) else ""
        return request.url.scheme == "https" or forwarded == "https"

    # --- pages

    def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page; its forms get their token by `csrf(path)`."""
        fresh = ""
        if visit.session is None and not visit.visit:
            fresh = visit.visit = secrets.token_urlsafe(16)
        values = {
            "account": visit.session.account if visit.session else None,
            "here": visit.here,
            "draft": bool(visit.draft),
            "csrf": lambda path="": self.accounts.form_token(visit.bound, path or visit.path),
            **values,
        }
        answer = site.portal_page(visit.request, f"portal/{template}.html", status=status, **values)
        answer.headers["Cache-Control"] = "no-store"
        if fresh:
            self.cookie(answer, visit, VISIT, fresh)
        return answer

    def wrong(self, request: Request, problem: Problem, session: Session | None = None) -> Response:
        """Return the page of a problem."""
        answer = site.wrong(request, problem, session.account if session else None)
        answer.headers["Cache-Control"] = "no-store"
        if problem.retry_after:
            answer.headers["Retry-After"] = str(problem.retry_after)
        return answer

    # --- what came with a form

    async def _read(self, request: Request) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
        """Return the texts and files of a form. Raises Problem for what is no form, or too large."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        multipart = kind == "multipart/form-data"
        if not multipart and kind != "application/x-www-form-urlencoded":
            raise Problem(415, hint="application/x-www-form-urlencoded, multipart/form-data")
        async with self._bodies.body(request, _UPLOADS_BYTES if multipart else _FORM_BYTES) as raw:
            try:
                form = await _parsed(request, raw, multipart=multipart)
            except (MultiPartException, ValueError, UnicodeDecodeError):
                raise Problem(400, "表单不完整 / a broken form") from None
            typed: dict[str, str] = {}
            files: dict[str, tuple[str, bytes]] = {}
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    content = await value.read()
                    if content:
                        files[name] = (value.filename or "", content)
                else:
                    typed.setdefault(name, value)
            await form.close()
            return typed, files

    def uploads(self, visit: Visit, prefix: str = "materials.") -> tuple[dict[str, Upload], dict[str, str]]:
        """Keep the files of a form; return each by its kind, and what is wrong with those that are of no use."""
        kept: dict[str, Upload] = {}
        wrong: dict[str, str] = {}
        for name, (_, content) in visit.files.items():
            if not name.startswith(prefix):
                continue
            if fault := file_fault(content):
                wrong[name] = fault
                continue
            try:
                uri = self.installation.keep_upload(content)
            except UsageError as error:
                wrong[name] = error.message
                continue
            kept[name.removeprefix(prefix)] = Upload(uri, uri.rpartition("/")[2])
        for name, value in visit.typed.items():  # files that an earlier try of this form had brought
            if name.startswith("kept.") and _is_digest(value) and name[5:] not in kept:
                kept[name[5:]] = Upload(f"store:uploads/{value}", value)
        return kept, wrong

    # --- events and queries

    def send(self, visit: Visit, event: dict[str, Any]) -> Accepted | Problem:
        """Send an event of this session; return what became of it."""
        self.sends.take(visit.account.id)
        raw = json.dumps(event, ensure_ascii=False).encode()
        principal = Principal("agency", event["source"])
        taking = self._intake.take(raw, principal, account=visit.account.id)
        outcome = asyncio.run_coroutine_threadsafe(taking, visit.loop).result(60)[0][1]
        if isinstance(outcome, Problem) and outcome.status >= 500:
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def wait_until(self, done: Callable[[], bool]) -> bool:
        """Wait a moment for a decision; return whether it has come."""
        end = time.monotonic() + _WAIT
        while not (found := done()) and time.monotonic() < end:
            time.sleep(0.03)
        return found

    @contextmanager
    def register(self, account: Account) -> Iterator[Register]:
        """Open the part of the register that an account may read."""
        kind = "agency" if account.kind == "agency" else "enterprise"
        with self.installation.register() as register:
            yield Restricted(register, Principal(kind, account.subject), self.catalogue)  # type: ignore[arg-type]

    def own(self, account: Account) -> HolderState | None:
        """Return the record of an enterprise or person; None where nothing is known of it."""
        with self.installation.register() as register:
            return register.state(account.subject)

    def number(self, account: Account) -> str:
        """Return the number of an enterprise or person in clear. Raises NotFound where the person was erased."""
        opened = self.persons.open(account.subject, account.number)
        if not opened:
            raise NotFound("持证人信息已删除 / the holder was erased")
        return opened

    def access(self, account: Account, holder: str, command: str, record: str) -> None:
        """Record that somebody reads a person's record."""
        Accesses(self.settings.data, account.id).record(holder, command, record)

    @staticmethod
    def now() -> datetime:
        """Return the time of this machine, in China, in whole seconds."""
        return datetime.now(UTC).astimezone(CHINA).replace(microsecond=0)


def _fits(account: Account, needs: str) -> bool:
    officer = account.kind == "agency"
    return needs == "account" or officer is (needs == "officer")


async def _parsed(request: Request, raw: bytes, *, multipart: bool) -> FormData:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield raw
        yield b""

    if not multipart:
        return await FormParser(request.headers, stream(), max_fields=2000).parse()
    limits = {"max_files": 40, "max_fields": 2000, "max_part_size": _FORM_BYTES}
    return await MultiPartParser(request.headers, stream(), **limits).parse()


def file_fault(content: bytes) -> str:
    """Return why a file is of no use as a material; empty for a PDF, PNG or JPEG of a sensible size."""
    kind = next((kind for magic, kind in _KINDS.items() if content.startswith(magic)), "")
    if not kind:
        return "须为 PDF、PNG 或 JPEG / a PDF, PNG or JPEG is needed"
    if kind == "application/pdf":
        return ""
    try:
        with Image.open(io.BytesIO(content)) as picture:  # reads the head alone
            width, height = picture.size
    except Exception:  # a decoder of hostile bytes may raise anything
        return "图片无法读取 / the picture cannot be read"
    return "" if width * height <= _MOST_PIXELS else "图片过大 / the picture has too many points"


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def local(place: str) -> str:
    """Return a path of this site to go to after a login; `/` for anything that could lead elsewhere."""
    plain = place.startswith("/") and not place.startswith("//") and "\\" not in place
    return place if plain and all(c >= " " for c in place) else "/"
