"""The agency register: which keys sign the events of which source, and from when until when.

It is data (`agencies.json` in the data folder). A proof is judged at the moment when its event is received: the
`time` in an event is the sender's word, and who has an old key could write an old time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from schemas.canonical_json import shown
from schemas.errors import Rejected, UsageError, VerificationError
from schemas.event_types import PREFIX, SUFFIX
from schemas.events import SOURCE, Event
from schemas.signatures import FIELD, Proof, proves_content, proves_digest, read_proof
from schemas.trust import key_id

INTAKE: Final = "urn:agency:000000:intake"
"""Source under which the installation's own key for events made from papers is registered."""

_FROM_PAPERS: Final = frozenset(
    f"{PREFIX}application.{kind}{SUFFIX}" for kind in ("submitted", "materials-supplied", "withdrawn")
)
_SIGN_AGAIN: Final = "以登记的现行密钥重新签名 / sign it again with the agency's registered key in force"


class AgencyKey(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A public key of an agency. Times are RFC 3339; it signs from `valid_from` on, and no more at `valid_until`."""

    kid: str
    public: str  # PEM
    valid_from: datetime
    valid_until: datetime | None = None
    replaced_by: str | None = None
    replaced_at: datetime | None = None
    revoked_at: datetime | None = None
    reason: str = ""

    def fault(self, at: datetime) -> str | None:
        """Return why the key signs nothing at a moment; None while it is in force."""
        if self.revoked_at is not None and at >= self.revoked_at:
            return "密钥已吊销 / the key is revoked"
        if self.replaced_at is not None and at >= self.replaced_at:
            return f"密钥已由 {self.replaced_by} 替换 / the key was replaced by {self.replaced_by}"
        if at < self.valid_from:
            return "密钥尚未生效 / the key is not in force yet"
        if self.valid_until is not None and at >= self.valid_until:
            return "密钥已过期 / the key has expired"
        return None


class Agency(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An agency: the source of its events, and its keys in the order in which they were registered."""

    source: str
    name: str = ""
    keys: tuple[AgencyKey, ...] = ()


class AgencyRegister(msgspec.Struct, frozen=True, dict=True, omit_defaults=True, forbid_unknown_fields=True):
    """Every agency that signs."""

    agencies: tuple[Agency, ...] = ()
    v: int = 1

    def agency(self, source: str) -> Agency | None:
        """Return the agency of a source."""
        return self._agencies.get(source)

    def owner(self, kid: str) -> tuple[Agency, AgencyKey] | None:
        """Return the owner of a key."""
        return self._owners.get(kid)

    @cached_property
    def _agencies(self) -> dict[str, Agency]:
        return {a.source: a for a in reversed(self.agencies)}

    @cached_property
    def _owners(self) -> dict[str, tuple[Agency, AgencyKey]]:
        return {k.kid: (a, k) for a in self.agencies for k in a.keys}

    def to_bytes(self) -> bytes:
        """Return the register as it is kept."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read_register(raw: bytes, where: str) -> AgencyRegister:
    """Return the register of a file's bytes. Raises UsageError with the field that is wrong."""
    try:
        register = msgspec.json.decode(raw, type=AgencyRegister)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(str(error), where) from None
    if register.v != 1:
        raise _unusable(f"version {register.v}", where)
    kids: set[str] = set()
    for agency in register.agencies:
        if not SOURCE.fullmatch(agency.source):
            raise _unusable(f"source {shown(agency.source)}", where)
        for key in agency.keys:
            if key.kid in kids or not _fits(key):
                raise _unusable(f"kid {shown(key.kid)}", where)
            if any(t is not None and t.tzinfo is None for t in _times(key)):
                raise _unusable(f"a time without a zone in {key.kid}", where)
            kids.add(key.kid)
    return register


def _fits(key: AgencyKey) -> bool:
    try:
        return key.kid == key_id(public_key(key.public))
    except UsageError:
        return False


def _times(key: AgencyKey) -> tuple[datetime | None, ...]:
    return (key.valid_from, key.valid_until, key.replaced_at, key.revoked_at)


def _unusable(what: str, where: str) -> UsageError:
    return UsageError(
        f"机构登记无法使用 / no usable agency register: {what}",
        where=where,
        hint="从备份恢复，或以 zhengzhao agency add 重新登记 / restore it, or register anew",
    )


@lru_cache(maxsize=4096)
def public_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key of a PEM text. Raises UsageError for anything else."""
    try:
        key = load_pem_public_key(pem.encode())
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
    ):  # such as SM2, whose curve the library does not know
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(
            "不是 P-256 公钥 / no P-256 public key in PEM", hint="zhengzhao agency keygen -o KEY.pem"
        )
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """Return a public key as PEM text."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def judge(register: AgencyRegister, event: Event, at: datetime) -> None:
    """Refuse an event unless its proof is good: by a key in force of its source, over these very contents.

    The intake key of the installation signs what was made here from papers, for any source.
    """
    if event.proof is None:
        raise Rejected("缺少签名 / the event carries no proof", where=FIELD, hint=_SIGN_AGAIN)
    _judge(
        register,
        (event.source, event.type),
        event.proof,
        lambda proof, key: proves_content(proof, event.content, key),
        at,
    )


def judge_kept(
    register: AgencyRegister, source: str, kind: str, kept: str, signed: str, at: datetime
) -> None:
    """Refuse a kept proof unless a key of its source made it that was in force at the moment of receipt.

    `kind` is the event's type without prefix and suffix, `signed` the digest that was kept with the proof, since the
    event itself is kept nowhere in clear.
    """
    _judge(
        register,
        (source, f"{PREFIX}{kind}{SUFFIX}"),
        kept,
        lambda proof, key: proves_digest(proof, signed, key),
        at,
    )


def _judge(
    register: AgencyRegister,
    sender: tuple[str, str],
    sent: str,
    proves: Callable[[Proof, ec.EllipticCurvePublicKey], bool],
    at: datetime,
) -> None:
    source, kind = sender
    try:
        proof = read_proof(sent)
    except VerificationError as error:
        raise Rejected(error.message, where=FIELD, hint=error.hint or _SIGN_AGAIN) from None
    found = register.owner(proof.kid)
    if found is None:
        raise Rejected(
            f"未登记的密钥 {shown(proof.kid)} / the key {shown(proof.kid)} is not registered",
            where=FIELD,
            hint="zhengzhao agency add SOURCE PUBLIC.pem",
        )
    agency, key = found
    if agency.source != source and not (agency.source == INTAKE and kind in _FROM_PAPERS):
        raise Rejected(
            f"密钥属于 {agency.source} / the key is {agency.source}'s", where=FIELD, hint=_SIGN_AGAIN
        )
    if fault := key.fault(at):
        raise Rejected(fault, where=FIELD, hint=_SIGN_AGAIN)
    if not proves(proof, public_key(key.public)):
        raise Rejected(
            "签名与内容不符 / the proof is not over these contents, or not by this key",
            where=FIELD,
            hint=_SIGN_AGAIN,
        )


def concerns(register: AgencyRegister, event: Event) -> bool:
    """Tell whether the register can say anything about this event's proof: it knows its source, or its key."""
    known = register.agency(event.source)
    if known is not None and known.keys:
        return True
    try:
        return event.proof is not None and register.owner(read_proof(event.proof).kid) is not None
    except VerificationError:
        return False


def with_key(
    register: AgencyRegister, source: str, key: AgencyKey, *, name: str = "", replace: bool = True
) -> AgencyRegister:
    """Return the register with a further key of an agency; unless told otherwise it replaces the ones before.

    UsageError for a source that is none, or a key that is registered already.
    """
    if not SOURCE.fullmatch(source):
        raise UsageError(
            f"来源不是 urn:agency:<区划>:<部门> / no urn:agency:<division>:<department>: {shown(source)}",
            hint="urn:agency:630000:market-regulation",
        )
    owner = register.owner(key.kid)
    if owner is not None:
        raise UsageError(
            f"密钥已登记于 {owner[0].source} / the key is registered already, for {owner[0].source}",
            where=key.kid,
            hint="zhengzhao agency list",
        )
    old = register.agency(source) or Agency(source)
    before = tuple(_replaced(k, key) if replace else k for k in old.keys)
    new = Agency(source, name or old.name, (*before, key))
    others = tuple(a for a in register.agencies if a.source != source)
    return msgspec.structs.replace(register, agencies=tuple(sorted((*others, new), key=lambda a: a.source)))


def _replaced(old: AgencyKey, new: AgencyKey) -> AgencyKey:
    if old.replaced_at is not None or old.revoked_at is not None:
        return old
    return msgspec.structs.replace(old, replaced_by=new.kid, replaced_at=new.valid_from)


def with_revocation(register: AgencyRegister, kid: str, at: datetime, reason: str) -> AgencyRegister:
    """Return the register with a key revoked from a moment on. Raises UsageError for a key that it does not know."""
    found = register.owner(kid)
    if found is None:
        raise UsageError("没有这个密钥 / no such key", where=shown(kid), hint="zhengzhao agency list")
    agency, key = found
    revoked = msgspec.structs.replace(key, revoked_at=key.revoked_at or at, reason=reason)
    keys = tuple(revoked if k.kid == kid else k for k in agency.keys)
    new = msgspec.structs.replace(agency, keys=keys)
    return msgspec.structs.replace(
        register, agencies=tuple(new if a.source == agency.source else a for a in register.agencies)
    )
