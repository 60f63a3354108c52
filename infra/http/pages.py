"""Pages as answers: language, security headers and the page of an error; infra/pages makes the HTML itself."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from infra.pages.frame import LANGUAGES, chosen_language, render

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; "
    "img-src 'self' blob: data:; font-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: nothing is loaded from anybody else, nothing inline runs."""
COOKIE: Final = "lang"
_KEPT_SECONDS: Final = 365 * 86_400
_PROGRAMS: Final = ("/v1/", "/exchange/", "/openapi.json", "/healthz", "/metrics")


def reader_language(request: Request) -> str:
    """Return the language of a page's reader, `zh` or `en`: of the address, of the cookie, else of the browser."""
    return chosen_language(
        request.query_params.get("lang"),
        request.cookies.get(COOKIE),
        request.headers.get("accept-language", ""),
    )


def page(request: Request, template: str, status: int = 200, /, **values: Any) -> Response:
    """Answer with a page made from a template."""
    language = reader_language(request)
    frame = {"path": request.url.path, "switch": switch(request, language)}
    return framed(request, render(template, language, **frame, **values), status)


def framed(request: Request, made: str, status: int) -> Response:
    """Return the HTML of a page with its headers; a language that the address asks for is kept in a cookie."""
    answer = HTMLResponse(made, status, dict(_HEADERS))
    if (asked := request.query_params.get("lang")) in LANGUAGES:
        answer.set_cookie(
            COOKIE,
            str(asked),
            max_age=_KEPT_SECONDS,
            samesite="lax",
            httponly=True,
            secure=request.url.scheme == "https",
        )
    return answer


_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
    "Vary": "Accept, Accept-Language, Cookie",
}


def wants_page(request: Request) -> bool:
    """Tell if a browser asks for a page: programs and their addresses get problem details."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(_PROGRAMS)


def switch(request: Request, language: str) -> str:
    """Return the address of the same page in the other language."""
    other = next(one for one in LANGUAGES if one != language)
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"][:20]
    return f"{quote(request.scope['path'][:2000])}?{urlencode([*query, ('lang', other)])[:4000]}"
