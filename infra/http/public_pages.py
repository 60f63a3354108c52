"""The pages that everybody may read: register, licences, guides, promises, draws, the log.

Everything is answered from the read model, which both engines have. A page never shows more of a person than a mask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from infra.draw.pages import PageFacts, authority_name, draw_values, page_facts
from infra.draw.results_page import published_tables, results_values
from infra.draw.store import DrawStore, Link
from infra.http.answers import JSON, file_answer, number
from infra.http.lookups import Lookups
from infra.http.pages import page, reader_language
from infra.http.problems import Problem
from infra.pages.frame import TableRow, pair, said, state_word, word
from infra.pages.guide import contacts_of, guide_of, guide_pdf, item_rows
from infra.pages.licence import STATUSES, licence_values, register_row
from infra.pages.promises import promises_values
from infra.persons.access_log import Accesses
from processors.draw import visits
from processors.queries.access import Principal
from processors.queries.find import find_licence
from processors.queries.listings import ListedLicence, RegisterQuery
from processors.queries.promises import TYPES, Wanted, figures, fold
from schemas.authorities import everything, find, full_name
from schemas.calendar import china_date
from schemas.draw.aftermath import PublishedDraw
from schemas.draw.documents import read_transcript, read_void
from schemas.errors import NotFound
from schemas.persons import is_pseudonym

_ROWS: Final = 20
LONGEST_QUERY: Final = 200
_NAMED: Final = 1000  # targets whose names are looked up one by one
_PATIENCE: Final = 5.0  # seconds for another thread to work out the first figures
_PROMISES_SECONDS: Final = 60.0  # figures over all cases are worked out at most once in so long
Endpoint = Callable[[Request, Principal | None], Awaitable[Response]]


class PublicPages:
    """Endpoints of the public pages; `work` runs a lookup in a thread, within the service's time for an answer."""

    def __init__(self, lookups: Lookups, work: Callable[..., Awaitable[Any]]) -> None:
        self._here = lookups.installation
        self._work = work
        self._facts: dict[str, PageFacts] = {}  # by the digest of an announcement, drawn or not
        self._kept: tuple[float, dict[str, Any]] | None = (
            None  # figures of the promises, and until when they serve
        )
        self._lock = threading.Lock()

    def routes(self) -> tuple[tuple[str, Endpoint, tuple[str, ...]], ...]:
        """Return path, endpoint and query parameters of each page; `lang` is taken by all of them."""
        return (
            ("/register", self.register, ("q", "item", "status", "after")),
            ("/register/{number:path}", self.licence, ()),
            ("/items", self.items, ()),
            ("/items/{code}", self.guide, ("division",)),
            ("/promises", self.promises, ()),
            ("/draws", self.draws, ("after",)),
            ("/draws/{digest}", self.draw, ()),
            ("/draws/{digest}/{name}", self.draw_file, ()),
            ("/log", self.log, ()),
        )

    # --- register

    async def register(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the licences that a search finds."""
        asked = {name: request.query_params.get(name, "") for name in ("q", "item", "status")}
        language = reader_language(request)
        catalogue = self._here.catalogue
        shown: dict[str, Any] = {
            **asked,
            "items": [(i.code, i.name.zh, i.name.en) for i in catalogue.items.values() if i.mode != "filing"],
            "statuses": STATUSES,
            "wrong": "",
            "rows": [],
            "first": "",
            "following": "",
        }
        if len(asked["q"]) > LONGEST_QUERY:
            wrong = word(language, "register.too_long", most=LONGEST_QUERY)
            return page(
                request, "register.html", 400, **{**shown, "q": asked["q"][:LONGEST_QUERY], "wrong": wrong}
            )
        if asked["status"] not in ("", *STATUSES) or (asked["item"] and catalogue.get(asked["item"]) is None):
            return page(request, "register.html", **shown)
        after = number(request, "after", 0, 10**15)
        found = await self._work(
            self._found, RegisterQuery(asked["q"], asked["item"], asked["status"], after, _ROWS + 1)
        )
        rows = [self._row(one, language) for one in found[:_ROWS]]
        more = found[_ROWS - 1].place if len(found) > _ROWS else 0
        here = {name: value for name, value in asked.items() if value}
        shown["rows"] = rows
        shown["first"] = f"/register?{urlencode(here)}" if after else ""
        shown["following"] = f"/register?{urlencode({**here, 'after': more})}" if more else ""
        return page(request, "register.html", **shown)

    def _found(self, wanted: RegisterQuery) -> list[ListedLicence]:
        """Return what a search finds: the licence of a whole number alone, a person's too, else rows of enterprises."""
        with self._here.register() as register:
            if wanted.text.strip() and not wanted.after:
                try:
                    state, licence = find_licence(register, wanted.text)
                except NotFound:
                    pass
                else:
                    row = register_row(state, licence, self._here.persons.open)
                    fits = wanted.item in ("", row.item) and wanted.status in ("", row.status)
                    return [row] if fits else []
            return register.search(wanted)

    def _row(self, one: ListedLicence, language: str) -> TableRow:
        item = self._here.catalogue.get(one.item)
        link = Markup('<a href="{}">{}</a>').format(f"/register/{quote(one.number)}", one.number)
        return TableRow(
            (
                link,
                Markup("<bdi>{}</bdi>").format(one.name),
                pair(language, item.name.zh, item.name.en) if item else one.item,
                state_word(language, one.status),
                one.issued_on,
                one.valid_until or said(language, "site.endless"),
            ),
            {"data-licence": one.number, "data-status": one.status},
        )

    async def licence(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the public part of a licence, or say that there is none."""
        language = reader_language(request)
        try:
            values = await self._work(self._licence, request.path_params["number"], language)
        except NotFound:
            return _missing(request, "no_licence")
        return page(request, "licence.html", **values)

    def _licence(self, wanted: str, language: str) -> dict[str, Any]:
        with self._here.register() as register:
            state, licence = find_licence(register, wanted)
            if is_pseudonym(state.holder):
                Accesses(self._here.settings.data, "public").record(state.holder, "register", licence.number)
            today = china_date(datetime.now(UTC))
            opened = self._here.persons.open
            return licence_values(state, licence, opened, self._here.catalogue, language, today)

    # --- guides and promises

    async def items(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the list of service guides."""
        listed = item_rows(
            list(self._here.catalogue.items.values()), reader_language(request), "/items/{code}"
        )
        return page(request, "items.html", rows=listed)

    async def guide(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the guide of an item, as a page or (`CODE.pdf`) as PDF."""
        code = request.path_params["code"]
        item = self._here.catalogue.get(code.removesuffix(".pdf"))
        division = request.query_params.get("division", "")
        if item is None:
            return _missing(request, "no_item")
        if find(division) is None:
            division = ""
        directory = self._here.catalogue.directory
        guide = guide_of(item, division, directory)
        if code.endswith(".pdf"):
            content = await self._work(guide_pdf, guide)
            return file_answer(request, content, "application/pdf", {"Cache-Control": "max-age=300"})
        language = reader_language(request)
        return page(
            request,
            "guide.html",
            guide=guide,
            title=item.name.en if language == "en" and item.name.en else item.name.zh,
            heading="",
            division=division,
            divisions=[(one.code, full_name(one.code)) for one in everything()],
            contacts=contacts_of(item, division, directory),
        )

    async def promises(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the limits promised and how they were kept."""
        found = await self._work(self.figures)
        return page(request, "promises.html", **promises_values(found, reader_language(request)))

    def figures(self) -> dict[str, Any]:
        """Return the figures over all cases, worked out by one thread at a time where the last ones are old.

        Meanwhile others get the last ones. Raises Problem 503 where there are none yet.
        """
        kept = self._kept
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        if not self._lock.acquire(timeout=0 if kept else _PATIENCE):
            if kept is not None:
                return kept[1]
            raise Problem(503, hint="稍后重试 / try again later", retry_after=10)
        try:
            if self._kept is not kept and self._kept is not None:
                return self._kept[1]  # another thread has worked them out meanwhile
            began = time.monotonic()
            catalogue = self._here.catalogue
            with self._here.register() as register:
                found = figures(fold(register.facts(TYPES), catalogue), catalogue, Wanted())
            ended = time.monotonic()
            self._kept = (ended + max(_PROMISES_SECONDS, 20 * (ended - began)), found)
            return found
        finally:
            self._lock.release()

    # --- draws

    async def draws(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the announcements, the newest period first."""
        links = await self._work(self._links)
        places = [link.announcement.digest for link in links]
        after = request.query_params.get("after", "")
        start = places.index(after) + 1 if after in places else 0
        language = reader_language(request)
        rows = [_draw_row(link, language) for link in links[start : start + _ROWS]]
        more = places[start + _ROWS - 1] if len(places) > start + _ROWS else ""
        return page(
            request,
            "draws.html",
            rows=rows,
            first="/draws" if start else "",
            following=f"/draws?after={more}" if more else "",
        )

    def _links(self) -> list[Link]:
        found = list(DrawStore(self._here.settings.data).every())
        return sorted(
            found,
            key=lambda link: (
                link.announcement.plan.period[0],
                link.announcement.sequence,
                link.announcement.digest,
            ),
            reverse=True,
        )

    async def draw(self, request: Request, principal: Principal | None) -> Response:
        """Answer with an announcement: its draw, its void, replacements and results."""
        try:
            values = await self._work(self._draw, request.path_params["digest"], reader_language(request))
        except NotFound:
            return _missing(request, "no_draw")
        return page(request, "draw.html", **values)

    def _draw(self, digest: str, language: str) -> dict[str, Any]:
        store = DrawStore(self._here.settings.data)
        link = self._link(digest)
        announced = link.announcement
        transcript = (
            read_transcript(link.transcript.read_bytes(), str(link.transcript)) if link.transcript else None
        )
        shown = PublishedDraw(announced, transcript, store.replacements(announced) if transcript else [])
        places = self._places(shown) or self._named(shown)
        today = china_date(datetime.now(UTC))
        values = draw_values(shown, places, today, language)
        values["stands"] = link.state
        if link.void:
            values["voided"] = read_void(link.void.read_bytes())
        if transcript is not None and not values["later"]:
            with self._here.register() as register:
                days = visits.published_days(register, published_tables(store))
                tasks = visits.tasks([shown], visits.records(register), days)
            told = [task for task in tasks if task.published_on]
            overdue = visits.overdue(tasks, today, places.names)
            rows = visits.results(told, today, places.names, authority_name)
            values["results"] = results_values(rows, len(tasks), language, overdue)
            values["again"] = f"/draws/{digest}/again"
        values["files"] = [
            (f"/draws/{digest}/{name}", word(language, f"draw.file_{kind}", n=n))
            for name, (kind, n, _) in self._files(link).items()
        ]
        return values

    def _named(self, shown: PublishedDraw) -> PageFacts:
        """Return the names of drawn targets by their licences, where the register of the targets is not kept here."""
        names: dict[str, str] = {}
        with self._here.register() as register:
            for target, _ in shown.visits()[:_NAMED]:
                with suppress(NotFound):
                    names[target] = register_row(
                        *find_licence(register, target), self._here.persons.open
                    ).name
        return PageFacts(names, {}, {}, None)

    def _link(self, digest: str) -> Link:
        for link in DrawStore(self._here.settings.data).every():
            if link.announcement.digest == digest:
                return link
        raise NotFound("未找到这份公告 / no such announcement")

    def _places(self, shown: PublishedDraw) -> PageFacts | None:
        """Return what the register of the targets says, read once for each draw; None where it is not kept here."""
        announced = shown.announcement
        key = f"{announced.digest}:{shown.transcript is not None}"
        if key not in self._facts:
            kept = self._here.settings.data / "registers"
            register = next(iter(sorted(kept.glob(f"targets-{announced.registers.targets.digest}.*"))), None)
            if register is None:
                return None
            before = DrawStore(self._here.settings.data).register_before(announced)
            self._facts[key] = page_facts(shown, register, before)
        return self._facts[key]

    def _files(self, link: Link) -> dict[str, tuple[str, int, Path]]:
        """Return the files of a draw by the name under which they are published."""
        store = DrawStore(self._here.settings.data)
        found = {"announcement.json": ("announcement", 0, store.announcement_file(link.announcement))}
        if link.void:
            found["void.json"] = ("void", 0, link.void)
        if link.transcript:
            found["transcript.json"] = ("transcript", 0, link.transcript)
            for n, path in enumerate(store.replacement_files(link.announcement), 1):
                found[f"replacement-{n}.json"] = ("replacement", n, path)
        return found

    async def draw_file(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a file of a draw as it was signed. Raises NotFound."""
        content = await self._work(
            self._draw_bytes, request.path_params["digest"], request.path_params["name"]
        )
        return file_answer(request, content, JSON, {"Cache-Control": "no-cache"})

    def _draw_bytes(self, digest: str, name: str) -> bytes:
        found = self._files(self._link(digest)).get(name)
        if found is None:
            raise NotFound("未找到这个文件 / no such file")
        return found[2].read_bytes()

    # --- the log

    async def log(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the head of the log."""
        language = reader_language(request)
        try:
            note = await self._work(self._here.store.get, "log/checkpoint")
        except NotFound:
            return page(request, "log.html", head=())
        return page(request, "log.html", head=_head(note.decode("utf-8", "replace"), language))


def _head(note: str, language: str) -> list[tuple[Any, Any]]:
    """Return what a checkpoint says: origin, size, root, and who signed it."""
    text, _, signatures = note.partition("\n\n")
    lines = [*text.split("\n"), "", "", ""]
    signers = [line.split(" ")[1] for line in signatures.split("\n") if line.count(" ") >= 2]
    names = ("origin", "size", "root", "signatures")
    return [
        (said(language, f"log.{name}"), value)
        for name, value in zip(names, (*lines[:3], "、".join(signers)), strict=True)
    ]


def _missing(request: Request, name: str) -> Response:
    """Answer that there is no such thing, in the reader's language."""
    language = reader_language(request)
    try:
        detail = word(language, f"error.{name}_detail")
    except KeyError:
        detail = word(language, "error.not_found_detail")
    return page(
        request, "error.html", 404, code=404, heading=word(language, f"error.{name}"), detail=detail, hint=""
    )


def _draw_row(link: Link, language: str) -> TableRow:
    plan = link.announcement.plan
    return TableRow(
        (
            Markup('<a href="/draws/{}">{}</a><small>{}</small>').format(
                link.announcement.digest, plan.title, plan.plan
            ),
            authority_name(plan.authority),
            link.announcement.sequence,
            " — ".join(plan.period),
            state_word(language, link.state),
        )
    )
