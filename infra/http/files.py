"""Files as answers: entity tags, conditional requests and byte ranges (RFC 9110, sections 8.8, 13 and 14)."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from infra.http.problems import Problem, response

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
