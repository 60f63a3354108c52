"""The agency register of a data folder, and the check of the proofs that events carry.

Events are signed here too: by an agency, with its private key in a PEM file, or by this installation where it makes
events from papers.

Tokens, accounts, the register itself and `require_proof` guard an installation. Their names are remembered beside the
ledger, so that a restore without them is noticed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infra.settings import Settings
from issuance.signer import ES256, SoftwareSigner, add_key
from schemas.agencies import (
    INTAKE,
    AgencyKey,
    AgencyRegister,
    concerns,
    judge,
    public_pem,
    read_register,
    with_key,
)
from schemas.canonical_json import loads
from schemas.errors import KeysMissing, Rejected, UsageError
from schemas.events import Event
from schemas.ledger import Auth
from schemas.signatures import FIELD, make_proof
from schemas.trust import key_id

FILE = "agencies.json"
_Stamp = tuple[int, int, int]
_LOADED: dict[Path, tuple[_Stamp, AgencyRegister]] = {}


def load_register(data: Path) -> AgencyRegister:
    """Return the register of a data folder, empty where there is none; the file is read again only when it has changed."""
    path = data / FILE
    try:
        stat = path.stat()
    except FileNotFoundError:
        return AgencyRegister()
    stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if path not in _LOADED or _LOADED[path][0] != stamp:
        _LOADED[path] = (stamp, read_register(path.read_bytes(), str(path)))
    return _LOADED[path][1]


def change_register(data: Path, change: Callable[[AgencyRegister], AgencyRegister]) -> AgencyRegister:
    """Change the register, one process at a time, and return it; readers see the old file or the new one, whole."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / FILE
    lock = os.open(data / f".{FILE}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        changed = change(load_register(data))
        fresh = path.with_name(f".{FILE}.{os.getpid()}")
        with fresh.open("wb") as file:
            file.write(changed.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        os.close(lock)
    return changed


def check_proof(
    settings: Settings, event: Event, at: datetime | None = None, register: AgencyRegister | None = None
) -> Auth:
    """Return how an event is authenticated: `proof`, or `none`. Raises Rejected.

    With `require_proof` every event needs a good proof. Without it every event needs one whose source or key the
    register knows; a proof that cannot be checked here counts as none. `at` is the moment of receipt (default: now);
    a caller that checks many events at once passes the `register`.
    """
    register = register or load_register(settings.data)
    try:
        judge(register, event, at or datetime.now(UTC))
    except Rejected:
        if settings.require_proof or concerns(register, event):
            raise
        return "none"
    return "proof"


Sign = Callable[[bytes], bytes]


def event_signer(path: Path) -> Sign:
    """Return a function that puts the proof into an event's JSON text.

    The function raises Rejected where the text is no JSON object. Raises UsageError for a file without a P-256 key.
    """
    key = _private_key(path)
    kid = key_id(key.public_key())
    return _signing(kid, SoftwareSigner({kid: key.private_numbers().private_value.to_bytes(32)}))


def intake_signer(data: Path, signer: SoftwareSigner) -> Sign | None:
    """Return the signing of events that were made here from papers; None where no intake key is in force."""
    agency, now = load_register(data).agency(INTAKE), datetime.now(UTC)
    kids = [key.kid for key in agency.keys if key.fault(now) is None] if agency else []
    own = [kid for kid in kids if kid in signer.kids]
    return _signing(own[-1], signer) if own else None


def make_intake_key(data: Path, passphrase: str | None, since: datetime) -> bool:
    """Make the key that signs events made here from papers, and register it; return whether it was made.

    None is made where there is one already, or where the keystore cannot be opened.
    """
    if load_register(data).agency(INTAKE) is not None:
        return False
    try:
        public = add_key(data, passphrase)
    except KeysMissing:
        return False
    key = AgencyKey(key_id(public), public_pem(public), since)
    change_register(
        data, lambda register: with_key(register, INTAKE, key, name="本机收件 / intake of papers")
    )
    return True


def _signing(kid: str, signer: SoftwareSigner) -> Sign:
    def sign(raw: bytes) -> bytes:
        event = loads(raw)
        if not isinstance(event, dict):
            raise Rejected(
                "不是 JSON 对象 / not a JSON object",
                hint="一个事件是一个 JSON 对象 / one event is one object",
            )
        event[FIELD] = make_proof(event, kid, lambda data: signer.sign(kid, ES256, data))
        return json.dumps(event, ensure_ascii=False).encode()

    return sign


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"无法读取私钥 / the private key cannot be read: {error}",
            where=str(path),
            hint="zhengzhao agency keygen -o KEY.pem",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(
            "不是 P-256 私钥 / not a P-256 private key",
            where=str(path),
            hint="zhengzhao agency keygen -o KEY.pem",
        )
    return key


class NamedValues(Protocol):
    """Values by name beside the ledger; `infra.readmodel.database.Database` is one."""

    def meta(self, name: str, default: str = "") -> str:
        """Return a value, `default` where there is none."""
        ...

    def set_meta(self, name: str, value: str) -> None:
        """Set a value."""
        ...


GUARD_FILES: Final = {"agencies": FILE, "tokens": "tokens.json", "accounts": "accounts.db"}
_GUARDS: Final = "guards"


def guards_of(settings: Settings) -> frozenset[str]:
    """Return the names of what guards this installation: agency register, tokens, accounts, `require_proof`."""
    found = {name for name, file in GUARD_FILES.items() if (settings.data / file).is_file()}
    return frozenset(found | ({"require_proof"} if settings.require_proof else set()))


def missing_guards(settings: Settings, memory: NamedValues) -> list[str]:
    """Return what guarded this installation once and is not there now, as after a restore that was not whole."""
    known = set(memory.meta(_GUARDS).split(",")) - {""}
    return sorted(known - guards_of(settings))


IMPORTING: Final = (
    ".import-"  # begins the name of the folder in which an import works, and which a kill leaves
)


def require_whole(settings: Settings) -> None:
    """Refuse to work in a data folder into which an import was broken off. Raise UsageError."""
    if (left := broken_import(settings)) is not None:
        raise UsageError(
            "导入中断，数据不全 / an import was broken off here, or goes on",
            where=str(left),
            hint="重新运行 zhengzhao log import FILE / run zhengzhao log import FILE again",
        )


def require_guards(settings: Settings, memory: NamedValues) -> None:
    """Refuse to work where a guard is missing. Raise UsageError."""
    if missing := missing_guards(settings, memory):
        names = ", ".join(GUARD_FILES.get(name, f"{name} (settings.toml)") for name in missing)
        raise UsageError(
            f"缺少以前用过的安全设置 / what guarded this installation before is missing: {names}",
            where=str(settings.data),
            hint="从备份恢复；确属有意撤去 / restore it from a backup; given up on purpose: "
            + " ".join(("zhengzhao doctor", *(f"--forget {name}" for name in missing))),
        )


def broken_import(settings: Settings) -> Path | None:
    """Return what an import leaves in a data folder until it is whole; None where there is nothing."""
    return next(settings.data.glob(f"{IMPORTING}*"), None)


def check_guards(settings: Settings, memory: NamedValues) -> None:
    """Refuse to work where a guard is missing, and remember those that are there. Raise UsageError."""
    require_guards(settings, memory)
    now = ",".join(sorted(guards_of(settings)))
    if now != memory.meta(_GUARDS):
        memory.set_meta(_GUARDS, now)


def forget_guards(memory: NamedValues, names: Iterable[str]) -> None:
    """Note that guards were given up on purpose."""
    known = set(memory.meta(_GUARDS).split(",")) - {"", *names}
    memory.set_meta(_GUARDS, ",".join(sorted(known)))
