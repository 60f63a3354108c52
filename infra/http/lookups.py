"""What the service looks up and works out for a caller. Everything here runs in threads, several at a time.

PDF papers of a request: one PDF as it is, or several as multipart/form-data (RFC 7578).
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Final, cast, get_args

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from infra.bootstrap import open_register
from infra.http.problems import Problem, of_error
from infra.http.tokens import Principal
from infra.persons import open_persons
from infra.persons.access_log import Accesses
from infra.settings import Settings
from infra.stores import open_store
from infra.stores.uploads import FILES, Form, artefact, published_lists, put_upload
from processors.queries.access import Restricted
from processors.queries.find import Queries
from producers.packet_events import event_bytes, grouped
from schemas.calendar import CHINA
from schemas.errors import NotFound, TransientError, ZhengzhaoError
from schemas.items import load_catalogue
from schemas.ports import Store
from schemas.status_list import read_edition_name, reasons_key
from schemas.trust import TrustStore, load_trust
from verification.verify import verify_bytes

_TRUST_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_LIST: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MEDIA: Final = {
    "pdf": "application/pdf",
    "cwt": "application/cwt",
    "json": "application/json",
    "manifest": "application/json",
}
_THREADS: Final = max(4, 2 * (os.cpu_count() or 1))
_PAPERS_SECONDS: Final = 45.0  # for the reading of a request's papers


class Lookups:
    """Answers from one data folder."""

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        self._settings = settings
        self._persons = open_persons(settings.data, settings.shared_persons)
        self._store = store or open_store(settings.store, settings.objects)
        self._catalogue = load_catalogue(settings.items)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="desk")
        self._slow = ThreadPoolExecutor(_THREADS // 2, thread_name_prefix="papers")
        self._trust: tuple[float, TrustStore] | None = None

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function in one of the threads; who looks something up never waits for somebody's papers."""
        pool = self._slow if function in (self.packets, self.verify) else self._threads
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    def close(self) -> None:
        """Waits for what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._slow.shutdown(wait=True, cancel_futures=True)
        self._persons.close()

    # --- queries

    def case(self, principal: Principal, application: str, holder: str | None) -> dict[str, Any]:
        """A case."""
        with self._queries(principal) as ask:
            return ask.case(application, holder)

    def licences(self, principal: Principal, first: int, count: int) -> list[dict[str, Any]]:
        """A page of licences."""
        with self._queries(principal) as ask:
            return list(islice(ask.licences(), first, first + count))

    def licence(self, principal: Principal, number: str) -> dict[str, Any]:
        """A licence with its history."""
        with self._queries(principal) as ask:
            return ask.licence(number)

    def holder(self, principal: Principal, number: str) -> dict[str, Any]:
        """A holder."""
        with self._queries(principal) as ask:
            return ask.holder(number)

    def artefact(
        self, principal: Principal, number: str, form: str, version: int | None
    ) -> tuple[bytes, str, str]:
        """Bytes, media type and file name of an artefact."""
        if form not in get_args(Form):
            raise Problem(406, hint="format=pdf, cwt, json, manifest")
        wanted = cast("Form", form)
        with self._queries(principal) as ask:
            content = artefact(ask, self._store, number, version, wanted)
        return content, _MEDIA[form], FILES.get(wanted, "manifest.json")

    @contextmanager
    def _queries(self, principal: Principal) -> Iterator[Queries]:
        look = Accesses(self._settings.data, principal.name).record
        with open_register(self._settings) as register:
            yield Queries(Restricted(register, principal, self._catalogue), self._persons, look)

    # --- papers and files

    def packets(self, papers: list[tuple[str, bytes]], source: str) -> list[bytes | Problem]:
        """The event of each application among the papers, or why there is none; no paper spoils another's."""
        results: list[bytes | Problem] = []
        good: list[tuple[str, bytes]] = []
        now = datetime.now(CHINA).replace(microsecond=0)
        end = time.monotonic() + _PAPERS_SECONDS
        for paper in papers:
            if time.monotonic() > end:  # nobody waits for the answer any more
                raise Problem(503, hint="分开提交 / send fewer papers at once", retry_after=10)
            try:
                grouped([paper])
                good.append(paper)
            except ZhengzhaoError as error:
                results.append(_named(of_error(error), paper[0]))
        for group in grouped(good):
            try:
                event = event_bytes(self._settings, self._persons, self._store, group, source=source, at=now)
                results.append(event)
            except TransientError:
                raise  # no fault of a paper's: the whole is sent again
            except ZhengzhaoError as error:
                results.append(_named(of_error(error), group[0][0]))
        return results

    def keep(self, content: bytes) -> dict[str, Any]:
        """Keeps a material; its `uri`."""
        uri = put_upload(self._store, self._persons, content)
        return {"uri": uri, "sha256": uri.rpartition("/")[2], "size": len(content)}

    # --- for everyone

    def verify(self, content: bytes, at: str) -> dict[str, Any]:
        """The verdict on a file as of a moment (default: now)."""
        try:
            moment = datetime.fromisoformat(at) if at else datetime.now(CHINA)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Problem(
                400, "不是带时区的时间 / no time with a zone", where="at", hint="2018-09-10T12:00:00+08:00"
            )
        verdict = verify_bytes(
            content, name="upload", trust=self._trusted(), status=published_lists(self._settings), at=moment
        )
        return verdict.to_json()

    def _trusted(self) -> TrustStore:
        """The trust folder, read again when its list has changed."""
        path = self._settings.trust / "trust.json"
        try:
            stamp = path.stat().st_mtime
        except FileNotFoundError:
            raise Problem(503, "没有信任目录 / there is no trust folder") from None
        if self._trust is None or self._trust[0] != stamp:
            self._trust = (stamp, load_trust(self._settings.trust))
        return self._trust[1]

    def status(self, path: str, at: str) -> bytes:
        """`<list>`: its latest edition (`time`, Unix seconds: the one of then); `<list>.reasons`; or an edition's file."""
        name, _, rest = path.partition("/")
        reasons = name.endswith(".reasons") and not rest
        name = name.removesuffix(".reasons")
        if not _LIST.fullmatch(name):
            raise NotFound("没有这个状态列表 / no such status list")
        if rest:
            known = rest.removesuffix(".reasons.cwt").removesuffix(".cwt") + ".cwt"
            if read_edition_name(known) is None or not rest.endswith(".cwt"):
                raise NotFound("没有这一期 / no such edition")
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
            raise NotFound("没有这个状态列表 / no such status list")
        return fitting[-1]

    def trust_file(self, name: str) -> tuple[bytes, str]:
        """A file of the trust folder, and its media type."""
        path = self._settings.trust / name
        media = {".pem": "application/x-pem-file", ".json": "application/json"}.get(path.suffix)
        if not _TRUST_FILE.fullmatch(name) or media is None:
            raise NotFound("没有这个文件 / no such file")
        try:
            return path.read_bytes(), media
        except OSError:
            raise NotFound("没有这个文件 / no such file") from None


def _named(problem: Problem, paper: str) -> Problem:
    """The problem of a paper; a broken PDF is the sender's fault, whatever class of error says so."""
    status = 422 if problem.status == 400 else problem.status
    return Problem(status, problem.detail, hint=problem.hint, where=problem.where or paper)


MAX_PAPERS: Final = 20
_HINT: Final = "application/pdf, multipart/form-data"


def papers_of(raw: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Name and bytes of each paper. Problem for another media type, no paper, or too many."""
    kind, options = parse_options_header(content_type)
    if kind == b"application/pdf":
        papers = [("paper.pdf", raw)] if raw else []
    elif kind == b"multipart/form-data" and options.get(b"boundary"):
        papers = _parts(raw, options[b"boundary"])
    else:
        raise Problem(415, hint=_HINT)
    if not papers:
        raise Problem(400, "没有文件 / there is no file in it", hint=_HINT)
    return papers


class _Parts:
    """Collects the parts that are files."""

    def __init__(self) -> None:
        self.papers: list[tuple[str, bytes]] = []
        self._content = bytearray()
        self._header: list[bytes] = [b"", b""]
        self._disposition = b""

    def begin(self) -> None:
        self._content, self._disposition = bytearray(), b""

    def field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def header(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            self._disposition = value

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end(self) -> None:
        if len(self.papers) >= MAX_PAPERS:
            raise Problem(413, f"多于 {MAX_PAPERS} 份 / more than {MAX_PAPERS} papers")
        _, options = parse_options_header(self._disposition)
        if b"filename" in options and self._content:
            name = options[b"filename"].decode("utf-8", "replace")
            self.papers.append((name[:100] or "paper.pdf", bytes(self._content)))


def _parts(raw: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_header_field": parts.field,
            "on_header_value": parts.value,
            "on_header_end": parts.header,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
        },
    )
    try:
        parser.write(raw)
        parser.finalize()
    except MultipartParseError:
        raise Problem(400, "不完整的 multipart / broken multipart", hint=_HINT) from None
    return parts.papers
