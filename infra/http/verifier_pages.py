"""The verifier for browsers as the service serves it: page, modules, service worker and trust bundle.

Everything here is public and the same for everybody. What stands after `#` in an address never reaches the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from infra.http.answers import JSON, file_answer
from infra.http.lookups import Lookups
from processors.queries.access import Principal
from schemas.errors import NotFound
from verification.browser_page import assets, fragment, modules

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: nothing is loaded from anybody else, nothing inline runs."""
ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*"}
"""Header of trust folder and status lists, which pages of any site may read."""
_HOME: Final = {
    "zh": '<header><h1>证照</h1>\n<p><a href="/verify">核验证照</a></p>\n<p><a href="/openapi.json">接口说明</a></p></header>\n',
    "en": '<header><h1>Zhengzhao</h1>\n<p><a href="/verify">Check a licence</a></p>\n'
    '<p><a href="/openapi.json">API description</a></p></header>\n',
}
_TITLES: Final = {"zh": "证照核验", "en": "Check a licence"}


def verify_page(language: str) -> str:
    """Return the HTML of `/verify` in a language (`zh` or `en`)."""
    return _framed(language, fragment())


def home_page(language: str) -> str:
    """Return the HTML of `/`; its verifier stays hidden until there is something after `#`."""
    return _framed(language, _HOME[language] + fragment().replace('id="verifier"', 'id="verifier" hidden', 1))


def _framed(language: str, body: str) -> str:
    preload = "".join(f'<link rel="modulepreload" href="{place}">\n' for place in modules())
    return (
        f'<!doctype html>\n<html lang="{"zh-CN" if language == "zh" else "en"}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<title>{_TITLES[language]}</title>\n<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="/verifier/verify.css">\n{preload}</head>\n<body>\n{body}'
        '<script type="module" src="/verifier/page.js"></script>\n</body>\n</html>\n'
    )


class VerifierPages:
    """Endpoints of the verifier; `work` runs a lookup in a thread, within the service's time for an answer."""

    def __init__(self, lookups: Lookups, work: Callable[..., Awaitable[Any]]) -> None:
        self.lookups = lookups
        self.work = work

    async def verify(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the page that checks licences."""
        return _page(request, verify_page)

    async def home(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the home page, to which the QR of a licence leads."""
        return _page(request, home_page)

    async def asset(self, request: Request, principal: Principal | None) -> Response:
        """Answer with a module, the style sheet or the service worker."""
        found = assets().get(request.url.path)
        if found is None:
            raise NotFound("未找到这个文件 / no such file")
        worker = request.url.path == "/sw.js"
        headers = {"Cache-Control": "no-cache" if worker else "max-age=300"}
        return file_answer(request, found.content, found.media_type, headers)

    async def bundle(self, request: Request, principal: Principal | None) -> Response:
        """Answer with the trust folder in one download."""
        content = await self.work(self.lookups.bundle)
        return file_answer(request, content, JSON, {"Cache-Control": "no-cache", **ANY_ORIGIN})


def _page(request: Request, made: Callable[[str], str]) -> Response:
    headers = {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "Vary": "Accept, Accept-Language",
    }
    return HTMLResponse(made(_language(request)), headers=headers)


def _language(request: Request) -> str:
    """Return `en` where the address (`?lang=en`) or else the browser asks for English first, otherwise `zh`."""
    wanted = request.query_params.get("lang") or request.headers.get("accept-language", "")
    return "en" if wanted.strip().lower().startswith("en") else "zh"
