"""Login at an OpenID provider: code flow with PKCE; claims say for whom somebody acts.

An account is made at the first login of a subject. When its claims change, it ends and another one begins, so that who
changes office does not keep the old one's pages.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from typing import Any, Final, NamedTuple

import requests
from authlib.integrations.base_client.errors import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import RedirectResponse, Response

from infra.http.problems import Problem
from infra.portal.accounts import ROLES, Account, AccountKind
from infra.portal.signin import begin
from infra.portal.web import VISIT, Portal, Visit, local
from infra.settings import ProviderSettings
from schemas.authorities import source_of
from schemas.errors import NotFound
from schemas.identifiers import compare, is_citizen_id, is_uscc, mask
from schemas.persons import holder_key

_SECONDS: Final = 600.0
_TIMEOUT: Final = 10.0
_MOST: Final = 10_000


class _Started(NamedTuple):
    """A login that was started: the visit that started it, its secrets, and where it leads."""

    visit: str
    verifier: str
    nonce: str
    place: str
    until: float


class _Starts:
    """The logins that were started and have not come back yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Started] = OrderedDict()

    def keep(self, state: str, started: _Started) -> None:
        """Keep a login that was started."""
        with self._lock:
            self._open[state] = started
            if len(self._open) > _MOST:
                self._open.popitem(last=False)

    def take(self, state: str) -> _Started | None:
        """Return a login once; None where there is none, or it took too long."""
        with self._lock:
            found = self._open.pop(state, None)
        return found if found is not None and found.until > time.monotonic() else None


_STARTS: Final = _Starts()


def begin_sign_in(portal: Portal, visit: Visit) -> Response:
    """Lead to the provider."""
    provider = _provider(portal)
    portal.logins.take(visit.client)
    token = visit.visit or secrets.token_urlsafe(16)
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    address, state = _client(provider, visit).create_authorization_url(
        _metadata(provider)["authorization_endpoint"], nonce=nonce, code_verifier=verifier
    )
    place = local(visit.asked("next") or "/")
    _STARTS.keep(state, _Started(token, verifier, nonce, place, time.monotonic() + _SECONDS))
    answer = RedirectResponse(address, 303)
    portal.cookie(answer, visit, VISIT, token)
    return answer


def end_sign_in(portal: Portal, visit: Visit) -> Response:
    """Take the provider's answer and begin a session."""
    provider = _provider(portal)
    started = _STARTS.take(visit.asked("state"))
    if started is None or not secrets.compare_digest(started.visit, visit.visit):
        raise Problem(403, "登录已超时，请重新登录 / the login took too long: begin again", hint="/login")
    try:
        claims = _claims(provider, visit, started)
    except (OAuthError, JoseError, requests.RequestException, KeyError, ValueError) as error:
        raise Problem(
            403, f"身份提供方的答复无法使用 / the provider's answer is of no use: {error}"
        ) from None
    return begin(portal, visit, account_of(portal, provider, claims), started.place)


def _provider(portal: Portal) -> ProviderSettings:
    if portal.settings.oidc is None:
        raise NotFound("未设置身份提供方 / no provider is set")
    return portal.settings.oidc


def _client(provider: ProviderSettings, visit: Visit) -> Any:
    scheme = "https" if visit.secure else "http"
    return OAuth2Session(
        provider.client_id,
        provider.client_secret or None,
        redirect_uri=f"{scheme}://{visit.request.headers.get('host', '')}/login/oidc/back",
        scope="openid profile",
        code_challenge_method="S256",
    )


def _metadata(provider: ProviderSettings) -> dict[str, Any]:
    try:
        address = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        found: dict[str, Any] = requests.get(address, timeout=_TIMEOUT).json()
    except (requests.RequestException, ValueError) as error:
        raise Problem(
            503, f"身份提供方无法访问 / the provider cannot be reached: {error}", retry_after=10
        ) from None
    return found


def _claims(provider: ProviderSettings, visit: Visit, started: _Started) -> dict[str, Any]:
    """Return the claims about who logged in. Raises where a token is not the provider's, or not for this login."""
    metadata, client = _metadata(provider), _client(provider, visit)
    token = client.fetch_token(
        metadata["token_endpoint"],
        code=visit.asked("code"),
        code_verifier=started.verifier,
        timeout=_TIMEOUT,
    )
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=_TIMEOUT).json())
    decoded = jwt.decode(token["id_token"], keys)
    jwt.JWTClaimsRegistry(
        leeway=60,
        iss={"essential": True, "value": metadata["issuer"]},
        aud={"essential": True, "value": provider.client_id},
        exp={"essential": True},
        nonce={"essential": True, "value": started.nonce},
    ).validate(decoded.claims)
    claims = dict(decoded.claims)
    if "userinfo_endpoint" in metadata:
        more = client.get(metadata["userinfo_endpoint"], timeout=_TIMEOUT).json()
        if more.get("sub") == claims["sub"]:
            claims = {**more, **claims}
    return claims


def account_of(portal: Portal, provider: ProviderSettings, claims: dict[str, Any]) -> Account:
    """Return the account that claims name, a new one where they name it for the first time, or name another.

    Raises Problem 403 where they name nobody for whom pages exist.
    """
    login = f"{claims['iss']}|{claims['sub']}"
    kind, subject, shown, number, role = _who(portal, provider, claims)
    known = portal.accounts.by_login(login)
    if known is not None and (known.kind, known.subject, known.role) == (kind, subject, role):
        return known
    if known is not None:
        portal.accounts.remove(known.id)
    name = str(claims.get("name") or claims.get("preferred_username") or "")[:100]
    return portal.accounts.add(kind, subject, shown, number, role, name, login)


def _who(
    portal: Portal, provider: ProviderSettings, claims: dict[str, Any]
) -> tuple[AccountKind, str, str, str, str]:
    agency = str(claims.get(provider.agency) or "")
    roles = claims.get(provider.roles) or []
    role = next(
        (one for one in ROLES if one in (roles if isinstance(roles, list) else str(roles).split())), ""
    )
    if agency and source_of(agency) is not None and role:
        return "agency", agency, agency, "", role
    enterprise = compare(str(claims.get(provider.enterprise) or ""))
    if is_uscc(enterprise):
        return "enterprise", enterprise, enterprise, enterprise, ""
    person = compare(str(claims.get(provider.person) or ""))
    if is_citizen_id(person):
        key = holder_key(person, "person", portal.persons)
        return "person", key, mask(person), portal.persons.seal(key, person), ""
    raise Problem(403, "此身份没有对应的企业、个人或机构 / this identity stands for nobody here")
