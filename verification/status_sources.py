"""Sources of status-list editions: a file, a folder, an address, an object store.

Sources only find editions; `verification.status` verifies them. Every file, folder and answer has a size limit.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from bisect import bisect_right
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from schemas import signatures
from schemas.errors import UsageError, VerificationError
from schemas.status_list import (
    MAX_LIST_CWT,
    MAX_REASONS_CWT,
    EditionName,
    edition_key,
    list_name,
    read_edition_name,
    reasons_key,
)
from verification.status import Candidate, StatusSource

MAX_FILES: Final = 5_000  # loose editions in one folder
TIMEOUT: Final = 10.0  # seconds for one answer
_LATEST: Final = 1 << 40  # seconds: after every edition


def status_source(place: str) -> StatusSource:
    """Return the source that `--status` names: an http(s) address, a folder, or a file.

    Raises UsageError where there is no such file or folder, or the file is empty.
    """
    if urlsplit(place).scheme in ("http", "https"):
        return Address(place)
    path = Path(place)
    if path.is_dir():
        return Folder(path)
    if not path.is_file() or path.stat().st_size == 0:
        raise UsageError(
            "状态列表不存在或为空 / no status list: absent or empty",
            where=place,
            hint="--status names a list (.cwt), a folder of lists, or an http(s) address",
        )
    return SingleFile(path)


class SingleFile:
    """One edition in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        return [_from_file(self.path)]


class Folder:
    """A folder: the `status/` of a store (or its parent), one list's folder, or loose editions.

    In the first two forms the names of the editions tell which one is in force; loose files are all read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        name = list_name(uri)
        if name is not None:
            for folder in (
                self.path / name,
                self.path / "status" / name,
                self.path / "objects" / "status" / name,
            ):
                if folder.is_dir():
                    return self._named(folder, at)
            if self.path.name == name and any(map(read_edition_name, _names(self.path))):
                return self._named(self.path, at)
        return self._loose()

    def _named(self, folder: Path, at: int) -> list[Candidate]:
        chosen = latest(_names(folder), at)
        return [] if chosen is None else [_from_file(folder / f"{chosen}.cwt", chosen)]

    def _loose(self) -> list[Candidate]:
        files = []
        for path in self.path.rglob("*.cwt"):
            if not path.name.endswith(".reasons.cwt") and path.is_file():
                files.append(path)
            if len(files) > MAX_FILES:
                raise VerificationError(f"{self.path}: more than {MAX_FILES} lists in one folder")
        return [candidate for path in sorted(files) if not _credential(candidate := _from_file(path))]


class Stored:
    """Editions in an object store: `list_keys(prefix)` gives keys, `get(key)` bytes, or None without the key."""

    def __init__(self, list_keys: Callable[[str], Iterable[str]], get: Callable[[str], bytes | None]) -> None:
        self.list_keys = list_keys
        self.get = get

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        name = list_name(uri)
        chosen = latest(self.editions(name), at) if name is not None else None
        return [] if name is None or chosen is None else [self.candidate(name, chosen)]

    def names(self) -> list[str]:
        """Return the names of the lists that have editions."""
        return sorted({key.split("/")[1] for key in self.list_keys("status/") if key.count("/") == 2})

    def editions(self, name: str) -> list[str]:
        """Return the file names in the folder of a list."""
        prefix = f"status/{name}/"
        return [key.removeprefix(prefix) for key in self.list_keys(prefix)]

    def candidate(self, name: str, edition: EditionName) -> Candidate:
        """Return an edition of a list. Raise VerificationError where it is absent."""
        key = edition_key(name, edition)
        data = self.get(key)
        if data is None:
            raise VerificationError(f"{key}: the store lists it but does not give it")
        return Candidate(key, data, lambda: self.get(reasons_key(key)), edition)


class Address:
    """An edition behind an http(s) address; where that ends in `/`, the name of the list is put behind it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        address = self.address
        if urlsplit(address).path.endswith("/"):
            name = list_name(uri)
            if name is None:
                raise VerificationError(f"{address}: the credential names no list of ours")
            address += name
        return [Candidate(address, _fetch(address, MAX_LIST_CWT), lambda: _reasons_at(address))]


def latest(names: Iterable[str], at: int) -> EditionName | None:
    """Return the edition in force at `at` (Unix seconds), judged by file names; None before the first."""
    editions = sorted(filter(None, map(read_edition_name, names)))
    place = bisect_right(editions, EditionName(at, _LATEST))
    return editions[place - 1] if place else None


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _from_file(path: Path, named: EditionName | None = None) -> Candidate:
    beside = Path(reasons_key(str(path)))

    def reasons() -> bytes | None:
        return _read(beside, MAX_REASONS_CWT) if beside.is_file() else None

    return Candidate(str(path), _read(path, MAX_LIST_CWT), reasons, named)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise VerificationError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise VerificationError(f"{path}: over {limit} bytes")
    return data


def _credential(candidate: Candidate) -> bool:
    """Tell whether a loose file is a licence's credential instead of a list."""
    try:
        signatures.read_sign1(candidate.data, type_=signatures.CWT, max_bytes=MAX_LIST_CWT)
    except VerificationError:
        return False
    return True


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None  # A list must lie at the very address that was given.


def _fetch(address: str, limit: int) -> bytes:
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    opener = urllib.request.build_opener(_NoRedirect, secure)
    request = urllib.request.Request(address, headers={"Accept": signatures.STATUS_LIST_CWT})
    end = time.monotonic() + 3 * TIMEOUT
    data = bytearray()
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            while part := answer.read1(1 << 16):
                data += part
                if len(data) > limit or time.monotonic() > end:
                    raise VerificationError(f"{address}: over {limit} bytes, or too slow")
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise VerificationError(f"{address}: no answer: {error}") from None
    return bytes(data)


def _reasons_at(address: str) -> bytes | None:
    beside = reasons_key(address) if address.endswith(".cwt") else f"{address}.reasons"
    try:
        return _fetch(beside, MAX_REASONS_CWT)
    except VerificationError:
        return None  # The list alone decides; without reasons only the explanation is missing.
