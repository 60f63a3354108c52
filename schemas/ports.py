"""Ports: what a stage needs from outside, as small protocols. Adapters live in `infra`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from schemas.errors import UsageError

MAX_KEY = 512


class Store(Protocol):
    """Objects under keys, each written once. Raises StoreUnavailable when the store cannot serve."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object, read it back and check it; the same bytes again succeed. Raises ObjectDiffers for others."""
        ...

    def get(self, key: str) -> bytes:
        """Return the bytes under a key. Raises NotFound without such an object."""
        ...

    def exists(self, key: str) -> bool:
        """Tell whether there is an object under a key."""
        ...

    def list(self, prefix: str = "") -> Iterator[str]:
        """Return the keys that begin with `prefix`, in byte order."""
        ...


@runtime_checkable
class ReplacingStore(Store, Protocol):
    """A store with a few keys whose object is replaced: the head of a log, and nothing that anybody signed for good."""

    def replace(self, key: str, data: bytes) -> None:
        """Put an object in the place of the one before, durably: a reader sees the old one or the new one, whole."""
        ...


class LogSource(Protocol):
    """The files of a transparency log, wherever they lie."""

    def fetch(self, path: str) -> bytes:
        """Return the bytes under a path below the log's prefix. NotFound without them, TransientError without an answer."""
        ...


def checked_key(key: str) -> str:
    """Return a key that no store can misread: parts of ASCII letters, digits and `-._~:`, joined by `/`."""
    parts = key.split("/")
    good = all(part.strip(".") and _plain(part) for part in parts)
    if not good or len(key) > MAX_KEY:
        raise UsageError(f"no object key: {key[:80]!r}", hint="letters, digits, - . _ ~ : and / between them")
    return key


def _plain(part: str) -> bool:
    return all(c.isascii() and (c.isalnum() or c in "-._~:") for c in part)
