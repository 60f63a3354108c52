"""The verifier for browsers as the service serves it: page, modules, service worker and trust bundle.

Everything here is public and the same for everybody. What stands after `#` in an address never reaches the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from infra.http.answers import JSON, file_answer
from infra.http.lookups import Lookups
from infra.http.pages import page
from infra.pages.frame import site_files
from processors.queries.access import Principal
from schemas.errors import NotFound
from verification.browser_page import Asset, SinglePage, assets, fragment, modules

ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*"}
"""Header of trust folder and status lists, which pages of any site may read."""


def verifier(*, hidden: bool = False) -> dict[str, Any]:
    """Return what a template shows of the verifier: its element, which may stay hidden at first, and its modules."""
    element = fragment()
    if hidden:
        element = element.replace('id="verifier"', 'id="verifier" hidden', 1)
    return {"verifier": Markup(element), "modules": modules()}


@cache
def _site_assets() -> dict[str, Asset]:
    return {place: Asset(*found) for place, found in site_files().items()}


class VerifierPages:
    """Endpoints of the verifier; `work` runs a lookup in a thread, within the service's time for an answer."""

    def __init__(self, lookups: Lookups, work: Callable[..., Awaitable[Any]]) -> None:
        self.lookups = lookups
        self.work = work

    async def verify(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the page that checks licences."""
        return page(request, "verify.html", **verifier())

    async def home(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the home page, to which the QR of a licence leads."""
        return page(request, "home.html", **verifier(hidden=True))

    async def again(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the page that makes a draw again in the browser, from the register's file."""
        made: SinglePage = await self.work(self.lookups.draw_again, request.path_params["digest"])
        headers = {
            "Content-Security-Policy": f"{made.policy}; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        return Response(made.content, headers=headers, media_type="text/html")

    async def asset(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a module, a style sheet, the mark of the site or the service worker."""
        found = assets().get(request.url.path) or _site_assets().get(request.url.path)
        if found is None:
            raise NotFound("未找到这个文件 / no such file")
        worker = request.url.path == "/sw.js"
        headers = {"Cache-Control": "no-cache" if worker else "max-age=300"}
        return file_answer(request, found.content, found.media_type, headers)

    async def bundle(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the trust folder in one download."""
        content = await self.work(self.lookups.bundle)
        return file_answer(request, content, JSON, {"Cache-Control": "no-cache", **ANY_ORIGIN})
