"""Answers that the service looks up or works out for a caller. Everything here runs in threads, several at a time."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, cast, get_args

from infra.bootstrap import Installation
from infra.http.answers import Cursor, Cursors, Window
from infra.http.limits import RequestLimits
from infra.http.multipart import papers_of
from infra.http.problems import Problem, of_error
from infra.http.verdicts import SHORT, Effort, Overrun, Verdicts
from infra.persons.access_log import Accesses
from infra.persons.keys import installation_secret
from infra.stores.uploads import FILES, Form, artefact, put_upload
from infra.transparency.client import is_kept_head
from processors.queries.access import Principal, Restricted
from processors.queries.find import Queries
from processors.queries.views import licence_row
from producers.extract import ScanWithoutText
from producers.file_kinds import START, recognise
from producers.packet_events import grouped
from producers.printed import ToldValues, read_told
from schemas.calendar import CHINA
from schemas.errors import NotFound, TransientError, ZhengzhaoError
from schemas.ports import Store
from schemas.rows import as_json
from schemas.status_list import read_edition_name, reasons_key
from schemas.transparency.tiles import read_path
from schemas.trust import TRUST_FILE
from verification.browser_page import SinglePage, draw_page, trust_bundle, trust_files
from verification.status_sources import Stored

_TRUST_MEDIA: Final = {
    ".pem": "application/x-pem-file",
    ".json": "application/json",
    ".crl": "application/pkix-crl",
}
_TRUST_FILE: Final = re.compile(r"(?:editions/)?[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LIST: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MEDIA: Final = {
    "pdf": "application/pdf",
    "cwt": "application/cwt",
    "json": "application/json",
    "manifest": "application/json",
}
_THREADS: Final = max(4, 2 * (os.cpu_count() or 1))
# Files verified at once, by kind: a hostile picture or PDF delays others of its kind, and no text or credential. What
# needs more than the short effort goes on in the lane `long`, where few may wait: the others are answered 503 at once.
_LANES: Final = {"picture": 2, "pdf": 1, "other": 1, "long": 1}
_LONG_WAITING: Final = 4
_PICTURES: Final = (b"\x89PNG", b"\xff\xd8", b"RIFF", b"II*\0", b"MM\0*")
_PAPERS_SECONDS: Final = 45.0  # for the reading of a request's papers


class Lookups:
    """Lookups in one installation; `store` takes the place of its store."""

    def __init__(
        self,
        installation: Installation,
        store: Store | None = None,
        *,
        limits: RequestLimits = RequestLimits(),  # noqa: B008  # a frozen struct
    ) -> None:
        self._installation = installation
        self._settings = installation.settings
        self._persons = installation.persons
        self._store = store or installation.store
        self._catalogue = installation.catalogue
        self._forms = installation.packet_forms
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lookups")
        self._slow = ThreadPoolExecutor(_THREADS // 2, thread_name_prefix="papers")
        self._cursors = Cursors(installation_secret(self._settings.data))
        self._verdicts = Verdicts(
            self._settings.trust, self._store, size=sum(_LANES.values()), seconds=limits.verify_seconds
        )
        self._long = 0  # files in the lane `long`
        self._lanes = {
            kind: ThreadPoolExecutor(size, thread_name_prefix=f"verify-{kind}")
            for kind, size in _LANES.items()
        }

    @property
    def installation(self) -> Installation:
        """Return the installation that is asked."""
        return self._installation

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in one of the threads. Papers and verdicts have threads of their own, so that no query waits for them."""
        if function == self.verify:
            return await self._verdict(*arguments)
        pool = self._slow if function in (self.packets, self.papers) else self._threads
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    async def _verdict(self, content: bytes, at: str) -> dict[str, Any]:
        """Verify a file with the short effort, and with the long one where that did not do. Raises Overrun."""
        run = asyncio.get_running_loop().run_in_executor
        try:
            return await run(self._lanes[_lane(content)], self.verify, content, at, SHORT)
        except Overrun:
            if self._long >= _LONG_WAITING:
                raise
        self._long += 1
        try:
            return await run(self._lanes["long"], self.verify, content, at)
        finally:
            self._long -= 1

    def warm(self) -> None:
        """Start the processes of short efforts ahead."""
        self._verdicts.warm(sum(_LANES.values()) - _LANES["long"])

    def close(self) -> None:
        """Wait for the calls under way, then close."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._slow.shutdown(wait=True, cancel_futures=True)
        self._verdicts.close()
        for lane in self._lanes.values():
            lane.shutdown(wait=True, cancel_futures=True)

    # --- queries

    def case(self, principal: Principal, application: str, holder: str | None) -> dict[str, Any]:
        """Return a case."""
        with self._queries(principal) as ask:
            return ask.case(application, holder)

    def licences(self, principal: Principal, after: str, count: int) -> tuple[list[dict[str, Any]], str]:
        """Return at most `count` licences, and the cursor of the next page (empty on the last one)."""
        start = self._cursors.open(after)
        rows: list[dict[str, Any]] = []
        with self._installation.register() as register:
            window = Window(register, start.holder)
            for state in Restricted(window, principal, self._catalogue).states():
                skip = start.skip if state.holder == start.holder else 0
                for n, licence in enumerate(tuple(state.licences.values())[skip:], skip):
                    if len(rows) == count:
                        return self._shown(principal, rows), self._cursors.seal(Cursor(state.holder, n))
                    rows.append(as_json(licence_row(licence, self._persons.open)))
        following = window.next_holder
        return self._shown(principal, rows), "" if following is None else self._cursors.seal(
            Cursor(following)
        )

    def _shown(self, principal: Principal, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Record that a list is shown, where there is a person in it."""
        if any("*" in row["holder_id"] for row in rows):
            Accesses(self._settings.data, principal.name).record("*", "licence list")
        return rows

    def licence(self, principal: Principal, number: str) -> dict[str, Any]:
        """Return a licence with its history."""
        with self._queries(principal) as ask:
            return ask.licence(number)

    def holder(self, principal: Principal, number: str) -> dict[str, Any]:
        """Return a holder."""
        with self._queries(principal) as ask:
            return ask.holder(number)

    def artefact(
        self, principal: Principal, number: str, form: str, version: int | None
    ) -> tuple[bytes, str, str]:
        """Return bytes, media type and file name of an artefact. Raises Problem 406 for an unknown form."""
        if form not in get_args(Form):
            raise Problem(406, hint="format=pdf, cwt, json, manifest")
        wanted = cast("Form", form)
        with self._queries(principal) as ask:
            waits = self._installation.next_step()
            content = artefact(ask, self._store, number, version, wanted, waits)
        return content, _MEDIA[form], FILES.get(wanted, "manifest.json")

    @contextmanager
    def _queries(self, principal: Principal) -> Iterator[Queries]:
        record_access = Accesses(self._settings.data, principal.name).record
        with self._installation.register() as register:
            yield Queries(Restricted(register, principal, self._catalogue), self._persons, record_access)

    # --- papers and files

    def packets(
        self, raw: bytes, content_type: str, source: str, application: str = ""
    ) -> list[bytes | Problem]:
        """Return the event of each application among the papers, or the reason why there is none.

        A faulty paper spoils no other application. Raises TransientError where a store is away: then the whole
        request is to be sent again.
        """
        return self.papers(papers_of(raw, content_type), source, application)

    def papers(
        self, papers: Iterable[tuple[str, bytes]], source: str, application: str = ""
    ) -> list[bytes | Problem]:
        """Return the events of papers that were cut from their request already; see `packets`.

        With `application` all of them supplement that case; with a JSON file among them, which tells what stands on
        scans, they are the papers of one application.
        """
        results: list[bytes | Problem] = []
        good: list[tuple[str, bytes]] = []
        told: ToldValues | None = None
        now = datetime.now(CHINA).replace(microsecond=0)
        end = time.monotonic() + _PAPERS_SECONDS
        scans: list[tuple[str, bytes, ScanWithoutText]] = []
        for name, raw in papers:
            if time.monotonic() > end:  # the client has been answered 503 by now
                raise Problem(503, hint="分开提交 / send fewer papers at once", retry_after=10)
            try:
                if recognise(raw[:START]).form == "json":
                    told = read_told(raw, name)
                    continue
                grouped([(name, raw)])
                good.append((name, raw))
            except ScanWithoutText as error:
                scans.append((name, raw, error))
            except ZhengzhaoError as error:
                results.append(_named(of_error(error), name))
        if told is None:
            results += [_named(of_error(error), name) for name, _, error in scans]
        else:
            good += [(name, raw) for name, raw, _ in scans]
        for group in [good] if good and (application or told) else grouped(good):
            try:
                event = self._forms.event_bytes(
                    group, self._keep, source=source, at=now, application_id=application, told=told
                )
                results.append(event)
            except TransientError:
                raise  # The papers are not at fault, so the whole request is sent again.
            except ZhengzhaoError as error:
                results.append(_named(of_error(error), group[0][0]))
        return results

    def keep(self, content: bytes) -> dict[str, Any]:
        """Keep a material; return its `uri`, SHA-256 and size in bytes."""
        uri = self._keep(content)
        return {"uri": uri, "sha256": uri.rpartition("/")[2], "size": len(content)}

    def _keep(self, content: bytes) -> str:
        return put_upload(self._store, self._persons, content)

    # --- for everyone

    def verify(self, content: bytes, at: str, effort: Effort | None = None) -> dict[str, Any]:
        """Return the verdict on a file as of a moment (RFC 3339; empty: now)."""
        try:
            moment = datetime.fromisoformat(at) if at else datetime.now(CHINA)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Problem(
                400, "不是带时区的时间 / not a time with a zone", where="at", hint="2018-09-10T12:00:00+08:00"
            )
        if not (self._settings.trust / "trust.json").is_file():
            raise Problem(503, "未找到信任目录 / there is no trust folder")
        lists = self._settings.store is not None or (self._settings.objects / "status").is_dir()
        return self._verdicts.verdict(content, "upload", moment, lists=lists, effort=effort)

    def status(self, path: str, at: str) -> bytes:
        """Return a status list, its reasons (`<list>.reasons`), or the file of an edition (`<list>/<file>`).

        `at` (Unix seconds) asks for the edition of that time; empty: the latest. Raises NotFound.
        """
        name, _, rest = path.partition("/")
        reasons = name.endswith(".reasons") and not rest
        name = name.removesuffix(".reasons")
        if not _LIST.fullmatch(name):
            raise NotFound("未找到这个状态列表 / no such status list")
        if rest:
            known = rest.removesuffix(".reasons.cwt").removesuffix(".cwt") + ".cwt"
            if read_edition_name(known) is None or not rest.endswith(".cwt"):
                raise NotFound("未找到这一期 / no such edition")
            return self._store.get(f"status/{name}/{rest}")
        key = self._edition(name, at)
        return self._store.get(reasons_key(key) if reasons else key)

    def _edition(self, name: str, at: str) -> str:
        if at and not (at.isascii() and at.isdigit() and len(at) < 13):
            raise Problem(400, "time 须为 Unix 秒 / time is Unix seconds", where="time")
        prefix = f"status/{name}/"
        editions = sorted(
            (edition, key)
            for key in self._store.list(prefix)
            if (edition := read_edition_name(key.removeprefix(prefix))) is not None
        )
        fitting = [key for edition, key in editions if not at or edition[0] <= int(at)]
        if not fitting:
            raise NotFound("未找到这个状态列表 / no such status list")
        return fitting[-1]

    def log_file(self, path: str) -> bytes:
        """Return the checkpoint, a tile, a bundle of entries, or a head that witnesses signed. Raises NotFound.

        `checkpoints` lists the sizes of those heads, one a line.
        """
        if path == "checkpoints":
            keys = self._store.list("log/checkpoints/")
            return "".join(f"{int(key.rpartition('/')[2])}\n" for key in keys).encode()
        if path != "checkpoint" and not is_kept_head(path) and read_path(path) is None:
            raise NotFound("日志没有这样的路径 / no path of a log")
        return self._store.get(f"log/{path}")

    def bundle(self) -> bytes:
        """Return the trust folder in one download. Raises NotFound where there is none, TrustError for a broken one."""
        files = trust_files(self._settings.trust)
        if TRUST_FILE not in files:
            raise NotFound("未找到信任目录 / there is no trust folder")
        return trust_bundle(files, Stored(self._store.list, self._store.get).names())

    def draw_again(self, digest: str) -> SinglePage:
        """Return the page that makes the draw of an announcement (its digest) again. Raises NotFound."""
        named = f'"announcement_digest":"{digest}"'.encode()
        if _DIGEST.fullmatch(digest):
            for path in sorted((self._settings.data / "draws").glob("*/*.transcript.json")):
                if named in (transcript := path.read_bytes()):
                    return draw_page(trust_files(self._settings.trust), transcript)
        raise NotFound("没有此次抽取 / there is no such draw", hint="zhengzhao draw show")

    def trust_file(self, name: str) -> tuple[bytes, str]:
        """Return a file of the trust folder or of its earlier editions, and its media type. Raises NotFound."""
        path = self._settings.trust / name
        media = _TRUST_MEDIA.get(path.suffix)
        if not _TRUST_FILE.fullmatch(name) or media is None:
            raise NotFound("未找到这个文件 / no such file")
        try:
            return path.read_bytes(), media
        except OSError:
            raise NotFound("未找到这个文件 / no such file") from None


def _lane(content: bytes) -> str:
    if content.startswith(_PICTURES):
        return "picture"
    return "pdf" if b"%PDF" in content[:1024] else "other"


def _named(problem: Problem, paper: str) -> Problem:
    """Return the problem of a paper. A broken PDF is the sender's fault, whatever class of error names it."""
    status = 422 if problem.status == 400 else problem.status
    return Problem(status, problem.detail, hint=problem.hint, where=problem.where or paper)
