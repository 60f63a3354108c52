"""The trust folder of a verifier: fetched from an address or a folder, never back to an earlier edition.

Nothing that comes from outside is believed before the root that is known here has signed it. The first time there is no
known root: its SHA-256 is told, to be compared with what the office says of it. A root is never changed by an update.

Which edition of a root was the newest that anybody here has seen is remembered, so that one that goes back is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from infra.settings import Settings
from infra.transparency.client import TIMEOUT, exchange
from infra.transparency.installation import logged_edition
from issuance.signer import write_whole
from schemas.errors import NotFound, StoreUnavailable, TrustError, UsageError, VerificationError
from schemas.trust import (
    BEACONS_FILE,
    CRL_FILE,
    MAX_TRUST,
    ROOT_FILE,
    TRUST_FILE,
    TrustList,
    TrustStore,
    newest_edition,
    read_trust_list,
)

ReadTrust = Callable[[Path], TrustStore]
SEEN_FILE: Final = "trust-seen.json"
MAX_KEYS: Final = 20_000  # of one edition; each is a file of its own
_MAX_BUNDLE: Final = 32 << 20
_MAX_FILE: Final = 1 << 20  # a certificate, the beacons
_MAX_ROOTS: Final = 1_000  # remembered at once
_REFRESH: Final = timedelta(days=30)  # before the trust folder is stale
_PATIENCE: Final = 300.0  # seconds for a whole trust folder


class TrustPlace(Protocol):
    """A place where a trust folder is published."""

    def read(self, name: str, limit: int) -> bytes:
        """Return a file of at most so many bytes. Raises NotFound, VerificationError or StoreUnavailable."""
        ...


class TrustAtFolder:
    """A trust folder on this machine, or on a stick."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, limit: int) -> bytes:
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("没有这个文件 / no such file", where=str(self._folder / name)) from None
        except OSError as error:
            raise StoreUnavailable(
                f"无法读取 / cannot be read: {error.strerror}", where=str(self._folder / name)
            ) from None
        if len(data) > limit:
            raise VerificationError(f"{self._folder / name}: 超过 {limit} 字节 / over {limit} bytes")
        return data


class TrustAtAddress:
    """A trust folder behind an http(s) address, without redirects; in one download where the service gives that."""

    def __init__(self, address: str) -> None:
        bare = urlsplit(address).path in ("", "/")
        self._address = address.rstrip("/") + ("/trust/" if bare else "/")
        self._bundled: dict[str, bytes] = {}
        with suppress(NotFound, VerificationError):
            self._bundled = _unbundled(self._fetch("bundle", _MAX_BUNDLE))

    def read(self, name: str, limit: int) -> bytes:
        found = self._bundled.get(name)
        return self._fetch(name, limit) if found is None else found

    def _fetch(self, name: str, limit: int) -> bytes:
        status, data = exchange(self._address + name, limit, TIMEOUT)
        if status in (404, 410):
            raise NotFound("没有这个文件 / no such file", where=self._address + name)
        if status != 200:
            raise VerificationError(f"{self._address}{name}: HTTP {status}")
        return data


def _unbundled(data: bytes) -> dict[str, bytes]:
    """Return the files in a bundle (`verification.browser_page`); none where it has another form."""
    try:
        bundle = msgspec.json.decode(data)
        named = {key["kid"]: key["certificate"] for key in msgspec.json.decode(bundle["trust"])["keys"]}
        files = {named[kid]: _pem(text) for kid, text in bundle["certificates"].items()}
        return {**files, ROOT_FILE: _pem(bundle["root"]), TRUST_FILE: bundle["trust"].encode()}
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _pem(text: str) -> bytes:
    certificate = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    return certificate.public_bytes(Encoding.PEM)


def trust_place(place: str) -> TrustPlace:
    """Return the trust folder at an http(s) address, or in a folder (also a data folder). UsageError without one."""
    if urlsplit(place).scheme in ("http", "https"):
        return TrustAtAddress(place)
    for folder in (Path(place), Path(place) / "trust"):
        if (folder / TRUST_FILE).is_file():
            return TrustAtFolder(folder)
    raise UsageError(
        "那里没有信任目录 / there is no trust folder",
        where=place,
        hint="网址，或含有 trust.json 的目录 / an http(s) address, or a folder with trust.json",
    )


class TrustChange(msgspec.Struct, frozen=True):
    """The change that an update made; `before` is 0 where there was no trust folder. Keys are told by their ids."""

    state: str  # created, updated, unchanged
    root: str  # SHA-256 of the root certificate, hex
    before: int
    sequence: int
    issued: str
    fresh_until: str
    added: tuple[str, ...]
    revoked: tuple[str, ...]


def update_trust(folder: Path, place: TrustPlace, read: ReadTrust, root_sha256: str = "") -> TrustChange:
    """Bring a trust folder to the edition that is published, and return what changed; `read` verifies a whole folder.

    `root_sha256`, where given, is the fingerprint that the root has to have. VerificationError where the edition goes back,
    is another one of the same number, or is by another root; TrustError where it does not hold. Then, and where the
    place fails, the folder stays as it was: `trust.json` is written last.
    """
    known, before = _known(folder)
    files, store = _fetched(place, read)
    fingerprint = _fingerprint(store)
    if root_sha256 and root_sha256.replace(":", "").lower() != fingerprint:
        raise VerificationError(f"根证书的 SHA-256 是 {fingerprint} / the root's SHA-256 is {fingerprint}")
    if known is not None and known != store.root:
        raise VerificationError(
            f"根证书与本机所知的不同（SHA-256 {fingerprint}） / another root than the one that is known here",
            where=str(folder),
            hint="向发证机关核实；确实更换的，另建目录取用 / ask the office; if it did change, take it into another folder",
        )
    listing = store.listing
    newest = max(before.sequence if before else 0, newest_edition(folder))
    if listing.sequence < newest:
        raise VerificationError(
            f"退回到第 {listing.sequence} 期，已知第 {newest} 期 / goes back to edition {listing.sequence}; {newest} is known",
            where=str(folder),
        )
    if before is not None and before.sequence == listing.sequence and before != listing:
        raise VerificationError(
            f"第 {listing.sequence} 期有两种内容 / two editions have the number {listing.sequence}",
            where=str(folder),
            hint="保留两者并向发证机关核实 / keep both, and ask the office",
        )
    changed = _write(folder, files, listing)
    state = "created" if before is None else "updated" if before != listing or changed else "unchanged"
    old = {} if before is None else {key.kid: key for key in before.keys}
    return TrustChange(
        state,
        fingerprint,
        0 if before is None else before.sequence,
        listing.sequence,
        listing.issued,
        listing.fresh_until,
        tuple(key.kid for key in listing.keys if key.kid not in old),
        tuple(
            key.kid for key in listing.keys
            if key.revoked_since and (key.kid not in old or not old[key.kid].revoked_since)
        ),
    )  # fmt: skip


def _known(folder: Path) -> tuple[x509.Certificate | None, TrustList | None]:
    """Return root and edition of a folder, None where it has none yet. TrustError where they are spoilt."""
    if not (folder / ROOT_FILE).exists():
        return None, None
    root = _certificate((folder / ROOT_FILE).read_bytes(), str(folder / ROOT_FILE))
    path = folder / TRUST_FILE
    return root, read_trust_list(path.read_bytes(), root) if path.exists() else None


def _fetched(place: TrustPlace, read: ReadTrust) -> tuple[dict[str, bytes], TrustStore]:
    """Return the files of a published trust folder, all of them verified, and the store over them."""
    end = time.monotonic() + _PATIENCE
    try:
        files = {ROOT_FILE: place.read(ROOT_FILE, _MAX_FILE), TRUST_FILE: place.read(TRUST_FILE, MAX_TRUST)}
        with tempfile.TemporaryDirectory(prefix="zhengzhao-trust-") as staged:
            listing = _staged_listing(files)
            names = [key.certificate for key in listing.keys] + [
                tsa.certificate for tsa in listing.timestamps
            ]
            names += [BEACONS_FILE] if listing.beacons_sha256 else []
            for name in names:
                if time.monotonic() > end:
                    raise StoreUnavailable(f"超过 {_PATIENCE:.0f} 秒 / over {_PATIENCE:.0f} seconds")
                if "/" in name or "\\" in name or name.startswith("."):
                    raise TrustError(
                        "证书文件名不可用 / a certificate's name that is no plain file name", where=TRUST_FILE
                    )
                files[name] = place.read(name, _MAX_FILE)
            for name, data in files.items():
                (Path(staged) / name).write_bytes(data)
            store = read(Path(staged))
    except NotFound as error:
        raise VerificationError(f"信任目录不完整 / the trust folder is not whole: {error}") from None
    for kid in store.keys:
        store.certificate(kid)
    with suppress(NotFound):  # earlier releases have none
        files[CRL_FILE] = _revocations(place.read(CRL_FILE, MAX_TRUST), store)
    return files, store


def _staged_listing(files: dict[str, bytes]) -> TrustList:
    listing = read_trust_list(files[TRUST_FILE], _certificate(files[ROOT_FILE], ROOT_FILE))
    if len(listing.keys) > MAX_KEYS:
        raise TrustError(f"密钥超过 {MAX_KEYS} 个 / over {MAX_KEYS} keys", where=TRUST_FILE)
    return listing


def _certificate(data: bytes, where: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        raise TrustError("不是 PEM 格式的证书 / no certificate in PEM", where=where) from None


def _revocations(data: bytes, store: TrustStore) -> bytes:
    """Return the list of revoked certificates, empty where it is not of this edition. TrustError where it is forged."""
    try:
        crl = x509.load_der_x509_crl(data)
        good = crl.is_signature_valid(store.root.public_key())  # type: ignore[arg-type]
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number if good else 0
    except (ValueError, TypeError, x509.ExtensionNotFound):
        good = False
    if not good:
        raise TrustError("吊销列表不是根证书签署的 / not signed by root.pem", where=CRL_FILE)
    return data if number == store.listing.sequence else b""


def _write(folder: Path, files: dict[str, bytes], listing: TrustList) -> bool:
    """Write what differs, `trust.json` last; return whether anything did."""
    last = files.pop(TRUST_FILE)
    changed = False
    for name, data in (
        *files.items(),
        (f"editions/trust-{listing.sequence:06d}.json", last),
        (TRUST_FILE, last),
    ):
        path = folder / name
        if data and not (path.exists() and path.read_bytes() == data):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            changed = True
    return changed


# What was seen


def seen_back(data: Path, store: TrustStore) -> str:
    """Return what is wrong with an edition after those that were seen here: it went back, or is another one; else nothing.

    `remember_edition` remembers them.
    """
    own = store.listing
    sequence, digest = _seen(_memory(data)).get(_fingerprint(store), (0, ""))
    if own.sequence < sequence:
        return f"信任目录是第 {own.sequence} 期，此前见过第 {sequence} 期 / edition {own.sequence} of the trust folder, but {sequence} was seen before"
    if own.sequence == sequence and digest != _digest(own):
        return f"第 {sequence} 期与此前见过的内容不同 / not the edition {sequence} of the trust folder that was seen before"
    return ""


def remember_edition(data: Path, store: TrustStore) -> None:
    """Remember the edition of a trust folder, where it is the newest of its root; where nothing can be written, nothing.

    It is remembered in the data folder, or without one among what the user's programs remember (`XDG_STATE_HOME`).
    """
    path = _memory(data)
    known, root = _seen(path), _fingerprint(store)
    if path is None or store.listing.sequence <= known.pop(root, (0, ""))[0]:
        return
    kept = dict(list(known.items())[1 - _MAX_ROOTS :]) | {
        root: (store.listing.sequence, _digest(store.listing))
    }
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(kept).encode(), mode=0o600)


def examine_edition(
    settings: Settings, store: TrustStore, now: datetime
) -> Iterator[tuple[bool | None, str, str]]:
    """Yield what `doctor` says of the edition of an installation: good, wrong or (None) a warning, and what to do."""
    data, listing = settings.data, store.listing
    uses = ", ".join(sorted({key.use for key in listing.keys}))
    count = len(listing.keys)
    yield True, f"版次 / edition {listing.sequence} · {uses} 密钥 {count} / keys {count}: {uses}", ""
    newest = max(newest_edition(settings.trust), logged_edition(data))
    back = f"trust.json 是第 {listing.sequence} 期，已有第 {newest} 期 / trust.json is edition {listing.sequence} of {newest}"
    if said := (back if listing.sequence < newest else seen_back(data, store)):
        yield False, said, "从 trust/editions 或备份恢复 / restore it from trust/editions or a backup"
    if listing.stale_at(now + _REFRESH):
        said = f"核验者视为有效至 / verifiers take it for fresh until {listing.fresh_until}"
        yield (False if listing.stale_at(now) else None), said, "zhengzhao keys refresh"


def _memory(data: Path) -> Path | None:
    if data.is_dir():
        return data / SEEN_FILE
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:  # a user without a home
        return None
    return Path(state) / "zhengzhao" / SEEN_FILE


def _seen(path: Path | None) -> dict[str, tuple[int, str]]:
    try:
        found = (
            {} if path is None else msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[int, str]])
        )
    except (OSError, msgspec.MsgspecError):
        found = {}
    return found


def _fingerprint(store: TrustStore) -> str:
    return store.root.fingerprint(SHA256()).hex()


def _digest(listing: TrustList) -> str:
    return hashlib.sha256(listing.to_bytes()).hexdigest()
