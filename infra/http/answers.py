"""Parts of requests and answers that several endpoints share: media types, numbers in a query, results of events.

Files as answers: entity tags, conditional requests and byte ranges (RFC 9110, sections 8.8, 13 and 14).

Keyset paging over holders: a page begins where the one before ended, whatever was added meanwhile.

A cursor names a ledger key, which for a person is a pseudonym. It leaves this machine sealed, so that nobody can tell
pseudonyms from it or make one up. A page looks at a bounded number of holders, so that a caller who may read little
or nothing costs no more than anybody else; it may therefore be short, or empty, and still have a next one.

Batches of events: a JSON array cut into the bytes of its elements, before any element is read.

Each element is then read on its own, by the strict rules for one event, so that a key twice, NaN or a lone surrogate
in one of them refuses that one and no neighbour (CloudEvents JSON batch format, 1.0).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from starlette.requests import Request
from starlette.responses import Response

from infra.http.intake_thread import Taken
from infra.http.problems import Problem, response
from processors.queries.listings import Register
from processors.state import HolderState
from producers.files import Accepted
from schemas.errors import Rejected
from schemas.events import with_data
from schemas.facts import Fact
from schemas.ledger import EventEntry
from schemas.persons import subkey

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"
_CE: Final = "ce-"


def json_answer(value: Any, status: int = 200) -> Response:
    """Return a value as a JSON answer."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def media_type(request: Request) -> tuple[str, str]:
    """Return the media type of a body, and its charset (empty where none is named)."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    named = dict(parameter.partition("=")[::2] for parameter in parameters)
    return kind, named.get("charset", "").strip('"')


def is_binary(request: Request, kind: str) -> bool:
    """Tell if a request is an event in binary mode: attributes in `ce-` headers, the data, in JSON, as its body."""
    json_data = kind == JSON or (kind.endswith("+json") and kind not in (STRUCTURED, BATCH))
    return json_data and any(name.startswith(_CE) for name in request.headers)


def structured_event(request: Request, data: bytes) -> bytes:
    """Return an event in binary mode (CloudEvents HTTP binding 1.0, 3.1) in structured form. Raises Rejected."""
    attributes: dict[str, str] = {}
    for name, value in request.headers.items():
        attribute = name.removeprefix(_CE)
        if attribute == name:
            continue
        if attribute in attributes:
            raise Rejected(
                f"{name} 重复 / {name} stands twice", where=attribute, hint="只给一次 / give it once"
            )
        attributes[attribute] = _header_text(attribute, value)
    return with_data({**attributes, "datacontenttype": request.headers["content-type"]}, data)


def _header_text(attribute: str, value: str) -> str:
    """Return the text of a header: quotes taken off, then percent-decoded as UTF-8 (3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected(
            "不是百分号编码的 UTF-8 / not UTF-8 in percent-encoding",
            where=attribute,
            hint="CloudEvents HTTP 绑定 3.1.3.2 / CloudEvents HTTP binding, 3.1.3.2",
        ) from None


def number(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number of the query, `default` where it is absent. Raises Problem 400 beyond `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise Problem(400, f"{name} 须为 0 至 {most} 的整数 / a whole number from 0 to {most}", where=name)
    return int(text)


def batch_results(taken: Sequence[tuple[str, Taken]]) -> dict[str, Any]:
    """Return one result for each event, in the order in which they were sent."""
    rows = [
        {"index": n, "id": name, "state": "taken"}
        if isinstance(outcome, Accepted)
        else {
            "index": n,
            "id": name,
            "state": "rejected",
            "status": outcome.status,
            "error": outcome.detail,
            "where": outcome.where,
            "hint": outcome.hint,
        }
        for n, (name, outcome) in enumerate(taken)
    ]
    return {"results": rows}


def results_status(taken: Sequence[tuple[str, Taken]]) -> int:
    """Return 202 where every event was taken in, 422 where none was, else 207."""
    refused = sum(isinstance(outcome, Problem) for _, outcome in taken)
    return 202 if not refused else 422 if refused == len(taken) else 207


def outcome_class(outcome: Taken) -> str:
    """Return the class of an outcome for the metrics: accepted, duplicate or rejected."""
    if isinstance(outcome, Problem):
        return "rejected"
    return "duplicate" if outcome.duplicate else "accepted"


def check_query(request: Request, known: Sequence[str]) -> None:
    """Refuse query parameters that an endpoint does not have, or that stand twice. Raises Problem 400."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known or names.count(name) > 1:
            raise Problem(
                400,
                "未知或重复的查询参数 / an unknown query parameter, or one given twice",
                where=name[:60],
                hint="、".join(known) or "无查询参数 / it takes none",
            )


_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def file_answer(request: Request, content: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """Return a file: 200 whole, 304 where the client has it, 206 for one byte range, 416 beyond its end.

    The entity tag is the SHA-256 of the content. Several ranges, other units and a range with an `If-Range` that
    does not match are ignored, as the standard allows, and the whole file is sent.
    """
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = {**headers, "ETag": tag, "Accept-Ranges": "bytes"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if wanted is None or request.headers.get("if-range", tag) != tag or wanted.groups() == ("", ""):
        return Response(content, media_type=media_type, headers=headers)
    first, last = _bounds(wanted[1], wanted[2], len(content))
    if first >= len(content) or last < first:
        answer = response(Problem(416, hint=f"bytes=0-{len(content) - 1}"), request)
        answer.headers["Content-Range"] = f"bytes */{len(content)}"
        return answer
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, media_type)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:  # a suffix: the last bytes of the file
        return (size - min(int(last), size), size - 1) if int(last) else (size, -1)
    return int(first), min(int(last), size - 1) if last else size - 1


def _matches(header: str, tag: str) -> bool:
    tags = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in tags or tag in tags


EXAMINED: Final = 2000  # holders that one page looks at


class Cursor(NamedTuple):
    """The beginning of a page: a ledger key, and how many of its holder's licences came before."""

    holder: str = ""
    skip: int = 0


class Cursors:
    """Cursors sealed with a key derived from the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(subkey(secret, "cursors"))

    def seal(self, cursor: Cursor) -> str:
        """Return a cursor as it stands in an address."""
        sealed = self._cipher.encrypt(msgspec.json.encode(tuple(cursor)), None)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, text: str) -> Cursor:
        """Return the cursor of a text, the first one for an empty text. Raises Problem 400."""
        if not text:
            return Cursor()
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            return Cursor(*msgspec.json.decode(self._cipher.decrypt(sealed, None), type=tuple[str, int]))
        except (binascii.Error, ValueError, InvalidTag):
            raise Problem(
                400,
                "翻页标记无效 / the cursor is not valid",
                where="after",
                hint="使用上一页给出的 next 链接 / follow the next link of the page before",
            ) from None


class Window:
    """The port `Register`, of which `states` shows `most` holders from `start` on. `next_holder` is the one after."""

    def __init__(self, register: Register, start: str, most: int = EXAMINED) -> None:
        self._register = register
        self._start = start
        self._most = most
        self.next_holder: str | None = None

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        for n, state in enumerate(self._register.states(max(start, self._start), marks)):
            if n == self._most:
                self.next_holder = state.holder
                return
            yield state

    def marks(self, prefix: str) -> list[str]:
        return self._register.marks(prefix)

    def state(self, holder: str) -> HolderState | None:
        return self._register.state(holder)

    def holders_of_case(self, application: str) -> list[str]:
        return self._register.holders_of_case(application)

    def holder_of_licence(self, number: str) -> str | None:
        return self._register.holder_of_licence(number)

    def states_by_due(self) -> Iterator[HolderState]:
        return self._register.states_by_due()

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        return self._register.facts(types)

    def orders(self, holder: str, case: str) -> list[EventEntry]:
        return self._register.orders(holder, case)

    def moment(self) -> AbstractContextManager[None]:
        return self._register.moment()


# It only finds where values end, and so takes whatever the strict reading refuses later with a better reason.
