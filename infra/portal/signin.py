"""Login by one-time link, passkey (WebAuthn) or an OpenID provider, logout, and the passkeys of an account.

A passkey's challenge lies in memory for a few minutes, under the session or visit that asked for it, and counts once.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from typing import Any, Final

import webauthn
from starlette.responses import JSONResponse, RedirectResponse, Response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import InvalidAuthenticationResponse, InvalidRegistrationResponse
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

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


_SECONDS: Final = 300.0
_MOST: Final = 10_000
_NAME: Final = "zhengzhao"


class Challenges:
    """The challenges that were asked for and not answered yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def keep(self, key: str, challenge: bytes) -> None:
        """Keep the challenge of a session or visit in the place of the one before."""
        with self._lock:
            self._open.pop(key, None)
            self._open[key] = (challenge, time.monotonic() + _SECONDS)
            if len(self._open) > _MOST:
                self._open.popitem(last=False)

    def take(self, key: str) -> bytes:
        """Return a challenge once; empty where there is none."""
        with self._lock:
            challenge, until = self._open.pop(key, (b"", 0.0))
        return challenge if until > time.monotonic() else b""


_CHALLENGES: Final = Challenges()


def _place(visit: Visit) -> tuple[str, str]:
    """Return the name of this site as passkeys know it, and its origin."""
    host = visit.request.headers.get("host", "")
    return host.partition(":")[0], f"{'https' if visit.secure else 'http'}://{host}"


def log_in(portal: Portal, visit: Visit) -> Response:
    """Give a challenge, or check the answer to it and begin a session."""
    site, origin = _place(visit)
    given = visit.typed.get("credential", "")
    if not given:
        options = webauthn.generate_authentication_options(
            rp_id=site, user_verification=UserVerificationRequirement.PREFERRED
        )
        _CHALLENGES.keep(visit.bound, options.challenge)
        return _options(webauthn.options_to_json(options))
    portal.logins.take(visit.client)
    credential = _read(given)
    found = portal.accounts.passkey(str(credential.get("id", "")))
    challenge = _CHALLENGES.take(visit.bound)
    if found is None or not challenge:
        return _fault("没有这个通行密钥，或已超时 / no such passkey, or it took too long")
    account, public, uses = found
    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site,
            expected_origin=origin,
            credential_public_key=public,
            credential_current_sign_count=uses,
        )
    except (InvalidAuthenticationResponse, ValueError, KeyError, TypeError) as error:
        return _fault(f"通行密钥无效 / the passkey is not good: {error}")
    portal.accounts.passkey_used(str(credential["id"]), verified.new_sign_count)
    place = local(visit.typed.get("next", "/"))
    started = begin(portal, visit, account, place)
    answer = JSONResponse({"place": home_of(account, place)})
    answer.raw_headers += [(name, value) for name, value in started.raw_headers if name == b"set-cookie"]
    return answer


def passkeys(portal: Portal, visit: Visit) -> Response:
    """Show an account's passkeys, and add one."""
    if not visit.posted:
        return portal.page(visit, "passkeys", passkeys=portal.accounts.passkeys(visit.account))
    site, origin = _place(visit)
    given = visit.typed.get("credential", "")
    if not given:
        options = webauthn.generate_registration_options(
            rp_id=site,
            rp_name=_NAME,
            user_id=visit.account.id.encode(),
            user_name=visit.account.name or visit.account.shown,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(base64url_to_bytes(one))
                for one in portal.accounts.passkeys(visit.account)
            ],
        )
        _CHALLENGES.keep(visit.bound, options.challenge)
        return _options(webauthn.options_to_json(options))
    challenge = _CHALLENGES.take(visit.bound)
    try:
        verified = webauthn.verify_registration_response(
            credential=_read(given),
            expected_challenge=challenge,
            expected_rp_id=site,
            expected_origin=origin,
        )
    except (InvalidRegistrationResponse, ValueError, KeyError, TypeError) as error:
        return _fault(f"通行密钥无法登记 / the passkey cannot be added: {error}")
    name = bytes_to_base64url(verified.credential_id)
    portal.accounts.add_passkey(visit.account, name, verified.credential_public_key, verified.sign_count)
    return JSONResponse({"added": name})


def _read(given: str) -> dict[str, Any]:
    try:
        value = json.loads(given[:20_000])
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _options(text: str) -> Response:
    return Response(text, media_type="application/json")


def _fault(text: str) -> Response:
    return JSONResponse({"fault": text}, 403)
