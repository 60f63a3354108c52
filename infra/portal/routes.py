"""Addresses of the portal's pages, and who may open them."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from infra.portal import cases, desk, licences, my, oidc, orders, signin, site
from infra.portal.web import Portal, Visit
from schemas.errors import NotFound

_ASSETS = {"portal.css": "text/css; charset=utf-8", "portal.js": "text/javascript; charset=utf-8"}


def portal_routes(portal: Portal) -> list[Route]:
    """Return the routes of the pages behind a login, the login, and what they are made of."""
    route = portal.route
    return [
        route("/portal/{name}", _asset),
        route("/login", signin.login, posts=True),
        route("/login/oidc", oidc.begin_sign_in),
        route("/login/oidc/back", oidc.end_sign_in),
        route("/login/passkey", signin.log_in, posts=True),
        route("/account/passkeys", signin.passkeys, needs="account", posts=True),
        route("/logout", signin.logout, posts=True),
        route("/my", my.home, needs="holder"),
        route("/my/calendar.ics", my.calendar, needs="holder"),
        route("/my/letters/{letter}", my.letter_page, needs="holder"),
        route("/my/filings/{filing}", my.correct_filing, needs="holder", posts=True),
        route("/my/address", my.address, needs="holder", posts=True),
        route("/apply/{item}", cases.application_page, needs="account", posts=True),
        route("/cases/{application}", cases.case_page, needs="holder", posts=True),
        route("/licences/{number}", licences.licence_page, needs="holder", posts=True),
        route("/licences/{number}/licence.pdf", licences.licence_file, needs="holder"),
        route("/licences/{number}/picture.png", licences.licence_picture, needs="holder"),
        route("/licences/{number}/code", licences.licence_code, needs="holder"),
        route("/share/{token}", licences.share_page),
        route("/share/{token}/picture.png", licences.share_picture),
        route("/share/{token}/licence.pdf", licences.share_file),
        route("/desk", desk.desk, needs="officer"),
        route("/desk/statistics", desk.statistics, needs="officer"),
        route("/desk/orders", orders.orders, needs="officer", posts=True),
        route("/desk/dead-letters", orders.dead_letters, needs="officer", posts=True),
        route("/desk/filings/{filing}", orders.filing_page, needs="officer", posts=True),
        route("/desk/cases/{application}", desk.desk_case, needs="officer", posts=True),
        route("/desk/cases/{application}/files/{digest}", desk.desk_file, needs="officer"),
        route("/desk/cases/{application}/letters/{letter}", desk.desk_letter, needs="officer"),
        route("/desk/licences/{number}", orders.desk_licence, needs="officer", posts=True),
        route("/desk/licences/{number}/picture.png", orders.desk_picture, needs="officer"),
        route("/visits", orders.visits_page, needs="officer"),
    ]


def _asset(portal: Portal, visit: Visit) -> Response:
    name = visit.word("name")
    if name not in _ASSETS:
        raise NotFound("未找到这个文件 / no such file")
    return Response(site.asset(name), media_type=_ASSETS[name], headers={"Cache-Control": "max-age=300"})
