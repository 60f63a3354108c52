"""Login by one-time link, passkey or an OpenID provider, and logout."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from infra.portal.accounts import Account
from infra.portal.web import DRAFT, SESSION, Portal, Visit, local
from schemas.facts import Reason


def login(portal: Portal, visit: Visit) -> Response:
    """Show the ways to log in; use a one-time link up where its page was confirmed.

    A link is used by a form, since programs that look through mail open every address in it.
    """
    place = local(visit.asked("next") or "/")
    token = visit.typed.get("link", "") or visit.asked("link")
    if not visit.posted:
        if visit.session is not None and not token:
            return RedirectResponse(home_of(visit.session.account, place), 303)
        return _page(portal, visit, place, token)
    portal.logins.take(visit.client)
    account = portal.accounts.use_link(token)
    if account is None:
        fault = Reason("链接已使用、已过期或不存在", "this link was used, has ended, or never was")
        return _page(portal, visit, place, "", fault)
    return begin(portal, visit, account, place)


def _page(portal: Portal, visit: Visit, place: str, token: str, fault: Reason | None = None) -> Response:
    return portal.page(
        visit,
        "login",
        403 if fault else 200,
        link=token,
        next=place,
        fault=fault,
        lost=bool(visit.request.cookies.get(DRAFT)),
        oidc=portal.settings.oidc,
    )


def begin(portal: Portal, visit: Visit, account: Account, place: str) -> Response:
    """Begin a session under a new id and go where the visitor wanted to."""
    session = portal.accounts.begin(account, visit.request.cookies.get(SESSION, ""))
    answer = RedirectResponse(home_of(account, place), 303)
    portal.cookie(answer, visit, SESSION, session.token)
    return answer


def home_of(account: Account, place: str) -> str:
    """Return where an account goes after its login: the place that it asked for, else its own first page."""
    if place != "/":
        return place
    if account.kind != "agency":
        return "/my"
    return "/visits" if account.role == "inspector" else "/desk"


def logout(portal: Portal, visit: Visit) -> Response:
    """End the session; a visit to the address alone asks first."""
    if not visit.posted:
        return portal.page(visit, "logout")
    if visit.session is not None:
        portal.accounts.end(visit.session.token)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION)
    return answer
