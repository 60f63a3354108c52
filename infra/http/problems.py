"""Errors of the service as problem details (RFC 9457), in Chinese, English or both, by the client's preference."""

from __future__ import annotations

import errno
import sqlite3
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from infra.http.pages import page, reader_language, wants_page
from infra.pages.frame import word
from schemas.errors import (
    NotFound,
    ObjectDiffers,
    OtherContent,
    Rejected,
    TransientError,
    UsageError,
    VerificationError,
    ZhengzhaoError,
)

MEDIA_TYPE: Final = "application/problem+json"
TITLES: Final = {
    400: "请求无法使用 / unusable request",
    401: "需要令牌 / a token is needed",
    403: "无权 / not allowed",
    404: "未找到 / not found",
    405: "不支持的方法 / method not allowed",
    406: "没有这种格式 / no such format",
    408: "请求过慢 / the request took too long",
    409: "内容冲突 / conflicting content",
    413: "请求过大 / the request is too large",
    415: "不支持的媒体类型 / unsupported media type",
    416: "范围无效 / range not satisfiable",
    421: "主机名不符 / not a host name of this service",
    422: "拒收 / rejected",
    429: "请求过多 / too many requests",
    500: "内部错误 / internal error",
    503: "暂不可用 / temporarily unavailable",
    507: "空间不足 / insufficient storage",
}


class Problem(Exception):
    """An error answer: status, what is wrong, where, and what to do (`hint`).

    `retry_after` in seconds; `close`: the connection ends after the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        hint: str = "",
        where: str = "",
        retry_after: int = 0,
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail or TITLES[status]
        self.hint = hint
        self.where = where
        self.retry_after = retry_after
        self.close = close


def of_error(error: ZhengzhaoError) -> Problem:
    """Return the problem that stands for one of our errors. Paths of this machine stay inside."""
    if isinstance(error, Rejected):
        status = 409 if isinstance(error, OtherContent) else 422
        return Problem(status, error.message, hint=error.hint, where=error.where)
    if isinstance(error, NotFound):
        return Problem(404, error.message)
    if isinstance(error, TransientError):
        return (
            out_of_room()
            if is_full(error)
            else Problem(503, hint="稍后重试 / try again later", retry_after=10)
        )
    if isinstance(error, ObjectDiffers):
        return Problem(409, error.message)
    if isinstance(error, (UsageError, VerificationError)):
        return Problem(
            400, error.message, hint=error.hint, where=error.where if "/" not in error.where else ""
        )
    return Problem(422, error.message, hint=error.hint, where=error.where)


def out_of_room() -> Problem:
    """Return 507 for a full disk: nothing of this request was kept, and nothing before it is lost."""
    return Problem(
        507,
        "磁盘已满，未收下 / the disk is full: this was not taken in",
        hint="稍后原样重发 / send the same again later",
        retry_after=60,
    )


def is_full(error: BaseException) -> bool:
    """Tell if a full disk or an exceeded quota caused an error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if (
            isinstance(seen, sqlite3.Error)
            and getattr(seen, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        ):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def body(problem: Problem, language: str) -> dict[str, Any]:
    """Return the members of a problem; `where` and `hint` are extensions."""
    members = {
        "type": f"urn:zhengzhao:problem:{problem.status}",
        "title": in_language(TITLES.get(problem.status, ""), language),
        "status": problem.status,
        "detail": in_language(problem.detail, language),
        "where": problem.where,
        "hint": in_language(problem.hint, language),
    }
    return {name: value for name, value in members.items() if value != ""}


def response(problem: Problem, request: Request) -> Response:
    """Return a problem as the answer to a request: a page for a browser, problem details for a program."""
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="zhengzhao"'
    if problem.close:
        headers["Connection"] = "close"
    if wants_page(request):
        return _error_page(problem, request, headers)
    language = language_of(request)
    if language:
        headers["Content-Language"] = language
    content = msgspec.json.encode(body(problem, language))
    return Response(content, problem.status, headers, MEDIA_TYPE)


_SAID: Final = {404: "not_found", 429: "many", 500: "internal", 503: "busy"}


def _error_page(problem: Problem, request: Request, headers: dict[str, str]) -> Response:
    """Return a problem as a page in the reader's language."""
    language = reader_language(request)
    if name := _SAID.get(problem.status):
        heading, detail = word(language, f"error.{name}"), word(language, f"error.{name}_detail")
    else:
        heading = in_language(TITLES.get(problem.status, ""), language)
        detail = in_language(problem.detail, language)
    hint = (
        "" if problem.hint.startswith("/") or problem.status in _SAID else in_language(problem.hint, language)
    )
    answer = page(
        request, "error.html", problem.status, code=problem.status, heading=heading, detail=detail, hint=hint
    )
    answer.headers.update(headers)
    return answer


def language_of(request: Request) -> str:
    """Return `zh` or `en` where the client prefers one of them, else an empty text: both are given."""
    wanted = request.headers.get("accept-language", "")[:200]
    for part in wanted.split(","):
        tag = part.split(";")[0].strip().lower()
        if tag[:2] in ("zh", "en"):
            return tag[:2]
    return ""


def in_language(text: str, language: str) -> str:
    """Return one language of a text `中文 / English`; a text of another form stays whole."""
    parts = text.split(" / ")
    if len(parts) != 2 or not language:
        return text
    return parts[0] if language == "zh" else parts[1]
