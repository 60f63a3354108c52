"""Webhooks of departments: their addresses (`departments.toml`), and one POST to one of them.

::

    [tax]                                   # the department's code, as in the service items
    url = "https://tax.example/filings"
    timeout = 10                            # seconds, optional

Redirects are not followed: an event signed for one address goes to no other.
"""

from __future__ import annotations

import http.client
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from schemas.errors import UsageError

FILE: Final = "departments.toml"
TIMEOUT: Final = 10.0
_LATER: Final = (408, 425, 429)  # answers of 4xx that are about the moment, not about the event
_KEYS: Final = {"url", "timeout"}


class Hook(NamedTuple):
    """The webhook of a department; `timeout` in seconds."""

    url: str
    timeout: float = TIMEOUT


class Failed(NamedTuple):
    """The reason why a filing was not taken. `down`: the department cannot be reached, so no other filing would be taken."""

    error: str
    down: bool


Post = Callable[[Hook, str, bytes], Failed | None]
"""Sends content under an idempotency key; returns None when it was taken, else the failure."""


def load_departments(data: Path) -> dict[str, Hook]:
    """Return the webhooks of a data folder; empty where the file is absent. Raises UsageError for a wrong file."""
    path = data / FILE
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"无法读取 / cannot be read: {error}", where=str(path), hint="TOML, UTF-8") from None
    return {name: _hook(entry, f"{path}: {name}") for name, entry in table.items()}


def _hook(entry: Any, where: str) -> Hook:
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        raise UsageError("缺少 url / there is no url", where=where, hint='url = "https://…"')
    if unknown := sorted(set(entry) - _KEYS):
        raise UsageError(f"未知的键 / unknown keys: {', '.join(unknown)}", where=where, hint="url, timeout")
    parts = urlsplit(entry["url"])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("不是 http(s) 地址 / not an http(s) address", where=where, hint='url = "https://…"')
    timeout = entry.get("timeout", TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 300:
        raise UsageError("timeout 须为 0 至 300 秒 / a timeout is 0 to 300 seconds", where=where)
    return Hook(entry["url"], float(timeout))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def post(hook: Hook, key: str, content: bytes) -> Failed | None:
    """POST a CloudEvent once; return None for an answer of 2xx, else the failure."""
    request = urllib.request.Request(
        hook.url,
        content,
        {"Content-Type": "application/cloudevents+json; charset=utf-8", "Idempotency-Key": key},
        method="POST",
    )
    try:
        with _opener.open(request, timeout=hook.timeout) as answer:
            answer.read(1024)
            return None
    except urllib.error.HTTPError as error:
        with error:
            return Failed(f"HTTP {error.code}", error.code >= 500 or error.code in _LATER)
    except urllib.error.URLError as error:
        return Failed(str(error.reason), True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Failed(f"{type(error).__name__}: {error}", True)
