"""Parts of requests and answers that several endpoints share: media types, numbers in a query, results of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from infra.http.intake_thread import Taken
from infra.http.problems import Problem
from producers.files import Accepted

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
JSON: Final = "application/json"
MULTIPART: Final = "multipart/form-data"


def json_answer(value: Any, status: int = 200) -> Response:
    """Return a value as a JSON answer."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def media_type(request: Request) -> tuple[str, str]:
    """Return the media type of a body, and its charset (empty where none is named)."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    named = dict(parameter.partition("=")[::2] for parameter in parameters)
    return kind, named.get("charset", "").strip('"')


def number(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number of the query, `default` where it is absent. Raises Problem 400 beyond `most`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise Problem(400, f"{name} 须为 0 至 {most} 的整数 / a whole number from 0 to {most}", where=name)
    return int(text)


def results(taken: Sequence[tuple[str, Taken]]) -> dict[str, Any]:
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
