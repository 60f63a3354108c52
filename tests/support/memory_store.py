"""Objects in memory, for tests and trials."""

from __future__ import annotations

import time
from collections.abc import Iterator

from schemas.errors import NotFound, ObjectDiffers
from schemas.ports import checked_key


class MemoryStore:
    """A dictionary that refuses a second, different write to a key."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._written: dict[str, float] = {}

    def put(self, key: str, data: bytes) -> None:
        if self._objects.setdefault(checked_key(key), bytes(data)) != data:
            raise ObjectDiffers("the key holds other bytes", where=key, hint="an object is written once")
        self._written.setdefault(key, time.time())

    def get(self, key: str) -> bytes:
        try:
            return self._objects[checked_key(key)]
        except KeyError:
            raise NotFound("no such object", where=key) from None

    def exists(self, key: str) -> bool:
        return checked_key(key) in self._objects

    def list(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(k for k in self._objects if k.startswith(prefix)))

    def replace(self, key: str, data: bytes) -> None:
        """Put an object in the place of the one before."""
        self._objects[checked_key(key)] = bytes(data)
        self._written[key] = time.time()

    def written_at(self, key: str) -> float:
        """Return the moment at which an object was written, in Unix seconds."""
        try:
            return self._written[checked_key(key)]
        except KeyError:
            raise NotFound("no such object", where=key) from None

    def refresh(self, key: str, data: bytes) -> None:
        """Let an object count as written now."""
        self.replace(key, data)

    def erase(self, key: str) -> bool:
        """Delete an object; return False where there is none."""
        self._written.pop(checked_key(key), None)
        return self._objects.pop(checked_key(key), None) is not None
