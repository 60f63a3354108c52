"""Keys and certificates of an installation: creation, rotation and revocation.

Private halves go into the keystore (`keys/keystore.json`), the root's into a file of its own (`keys/root`), public
halves into the trust folder (`trust/`). Each change is the next edition of `trust.json`, signed by the root; earlier
editions stay under `trust/editions/`. No key ever leaves the trust folder, since its signatures stay good. Keystores of
earlier releases hold the root too: the next edition moves it out.

A new key follows an old one by date: decisions from its `signs_from` on are signed with the new key. A revoked key gets a
successor from the same moment. An authority that changes its name gets a key from the day of its new name on, so that
its certificate and its seal show the same name.

A root certifies every signing key. A certificate outlives signing: a key signs for some years, its certificate holds
until the last licence signed with it has ended (RFC 5280's 9999-12-31 where a licence may have no end).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import UNSET

from issuance.certificates import (
    DEFAULT_ORIGIN,
    NO_END,
    Role,
    issuing_certificate,
    revocation_list,
    root_certificate,
)
from issuance.signer import (
    ES256,
    SoftwareSigner,
    check_passphrase,
    keystore_path,
    read_keystore,
    read_root,
    root_path,
    write_keystore,
    write_root,
    write_whole,
)
from schemas.calendar import CHINA, china_date
from schemas.errors import KeysMissing, NotFound, TrustError, UsageError
from schemas.trust import (
    BEACONS_FILE,
    CRL_FILE,
    FOREIGN_USES,
    ROOT_FILE,
    TRUST_FILE,
    PublicKey,
    RootSignature,
    TimestampAuthority,
    TrustKey,
    TrustList,
    TrustStore,
    Use,
    encode_signature,
    key_id,
    newest_edition,
)

TRUST_FOLDER: Final = "trust"
SIGNING_YEARS: Final = 10
FRESH: Final = timedelta(days=366)  # an edition is to be followed by the next one within that time
_SECOND: Final = timedelta(seconds=1)


class Lifetime(msgspec.Struct, frozen=True):
    """The first moment in which new keys sign, and the years by which their certificates outlive that (None: for ever)."""

    signs_from: datetime
    outlives: int | None = None

    @property
    def signs_until(self) -> datetime:
        """The last second in which the key signs."""
        return _years_on(self.signs_from, SIGNING_YEARS)

    @property
    def ends(self) -> datetime:
        """The end of the certificate."""
        return NO_END if self.outlives is None else _years_on(self.signs_until, self.outlives)


class LogTerms(msgspec.Struct, frozen=True):
    """Terms of the transparency log as the installation sets them: its origin, witnesses' keys, how many are needed."""

    origin: str = ""
    witnesses: tuple[str, ...] = ()
    needed: int = 0


def init(
    data: Path,
    roles: Iterable[Role],
    life: Lifetime,
    *,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
    log: LogTerms | None = None,
) -> bool:
    """Make root, keys and certificates for these roles; return False, and change nothing, where there are some.

    `root_passphrase` seals the root's key, or else `passphrase` does; UsageError where one is too short. With a role of use `log` every licence is in the transparency log of the terms `log`.
    """
    trust = data / TRUST_FOLDER
    if (trust / TRUST_FILE).exists():
        return False
    check_passphrase(passphrase, "ZHENGZHAO_PASSPHRASE")
    check_passphrase(root_passphrase, "ZHENGZHAO_ROOT_PASSPHRASE")
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = root_certificate(root_key, life.signs_from)
    listing = TrustList(0, "", (), logged_from=life.signs_from.isoformat())
    change = TrustEdition(data, root, _scalar(root_key), {}, listing, log)
    for role, its_life in _named_in_time(roles, life):
        change.add(role, its_life)
    trust.mkdir(parents=True, exist_ok=True)
    write_whole(trust / ROOT_FILE, root.public_bytes(Encoding.PEM))
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
    return True


def rotate(
    data: Path,
    store: TrustStore,
    roles: Iterable[Role],
    life: Lifetime,
    *,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
    log: LogTerms | None = None,
) -> tuple[TrustKey, ...]:
    """Make a new key for each role, from `life.signs_from` on; also for roles that had none yet.

    `store` is the trust folder of `data`. Raises UsageError for a moment before the root's.
    """
    change = open_edition(data, store, passphrase, root_passphrase, log)
    if life.signs_from < store.root.not_valid_before_utc:
        raise UsageError(
            "早于根证书生效时间 / keys cannot sign before the root",
            hint=f"不早于 / a date from {store.root.not_valid_before_utc:%Y-%m-%d} on",
        )
    fresh = tuple(change.add(role, its_life) for role, its_life in _named_in_time(roles, life))
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
    return fresh


def revoke(
    data: Path,
    store: TrustStore,
    kid: str,
    since: datetime,
    *,
    name: str,
    outlives: int | None,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
    log: LogTerms | None = None,
) -> TrustKey:
    """Revoke a key from a moment on and return its successor, which signs from then on.

    `name` is the authority's, for the successor's certificate; `store` is the trust folder of `data`. Raises NotFound for
    an unknown key, UsageError for one that was revoked from that moment or an earlier one.
    """
    change = open_edition(data, store, passphrase, root_passphrase, log)
    key = store.keys.get(kid)
    if key is None:
        raise NotFound(f"没有该密钥 / no key {kid}", hint="zhengzhao keys list", where=TRUST_FILE)
    if key.use in FOREIGN_USES:
        raise UsageError(
            f"{kid} 是{key.authority}的密钥 / {kid} belongs to {key.authority}",
            hint="zhengzhao draw party remove NAME",
            where=TRUST_FILE,
        )
    if key.revoked_at(since):
        raise UsageError(f"该密钥已吊销 / {kid} is revoked since {key.revoked_since}", where=TRUST_FILE)
    change.revoke(kid, since)
    start = max(since, store.root.not_valid_before_utc)
    fresh = change.add(Role(key.authority, name, key.use), Lifetime(start, outlives))
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
    return fresh


class TrustEdition:
    """The next edition of the trust folder while it is made; nothing is written before `publish`."""

    def __init__(
        self,
        data: Path,
        root: x509.Certificate,
        root_scalar: bytes,
        scalars: dict[str, bytes],
        before: TrustList,
        log: LogTerms | None,
    ) -> None:
        self.data = data
        self.root = root
        self.scalars = scalars
        self.before = before
        self.log = log or LogTerms(before.log_origin, before.witnesses, before.witnesses_needed)
        self.origin = before.log_origin or self.log.origin or DEFAULT_ORIGIN
        self.keys = {key.kid: key for key in before.keys}
        self.certificates: dict[str, bytes] = {}
        self.timestamps: tuple[TimestampAuthority, ...] = ()
        self.beacons: bytes | None = None  # a new `beacons.json`
        public = root.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)  # load_trust has seen to it
        self.root_kid = key_id(public)
        self.root_scalar = root_scalar
        self.root_signer = SoftwareSigner({self.root_kid: root_scalar})
        self.root_key = self.root_signer.private_key(self.root_kid)

    def add(self, role: Role, life: Lifetime) -> TrustKey:
        key = self._fresh_key(role.use)
        self.scalars[key_id(key.public_key())] = _scalar(key)
        return self.enter(key.public_key(), role, life)

    def enter(self, public: PublicKey, role: Role, life: Lifetime) -> TrustKey:
        """Certify a public key and list it."""
        kid = key_id(public)
        certificate = issuing_certificate(
            public,
            role.name,
            role.use,
            role.authority,
            self.root,
            self.root_key,
            life.signs_from,
            life.ends,
            f"http://{self.origin.partition('/')[0]}/trust/{CRL_FILE}",
        )
        self.certificates[f"{kid}.pem"] = certificate.public_bytes(Encoding.PEM)
        self.keys[kid] = TrustKey(
            kid=kid,
            alg="Ed25519" if role.use == "log" else "ES256",
            use=role.use,
            authority=role.authority,
            signs_from=life.signs_from.isoformat(),
            signs_until=life.signs_until.isoformat(),
            revoked_since=None,
            certificate=f"{kid}.pem",
            certificate_sha256=certificate.fingerprint(SHA256()).hex(),
        )
        return self.keys[kid]

    def end(self, kid: str, at: datetime) -> None:
        """Let a key end in good order: what it signed before stays good."""
        self.keys[kid] = msgspec.structs.replace(self.keys[kid], signs_until=at.isoformat())

    def revoke(self, kid: str, since: datetime) -> None:
        self.keys[kid] = msgspec.structs.replace(self.keys[kid], revoked_since=since.isoformat())

    def publish(self, *, now: datetime, passphrase: str | None, root_passphrase: str | None = None) -> None:
        """Write certificates, private keys, and last the edition that names them.

        The root is written where it lies nowhere by itself yet: before the keystore, which then no longer holds it.
        """
        sequence = self.before.sequence + 1
        plain = TrustList(
            sequence=sequence,
            issued=now.isoformat(timespec="seconds"),
            keys=tuple(self.keys.values()),
            timestamp_authorities=self.timestamps or UNSET,
            beacons_sha256=hashlib.sha256(self.beacons).hexdigest()
            if self.beacons
            else self.before.beacons_sha256,
            fresh_until=(now + FRESH).isoformat(timespec="seconds"),
        )
        if any(key.use == "log" for key in self.keys.values()):
            plain = self._logged(plain)
        signature = self.root_signer.sign(self.root_kid, ES256, plain.to_be_signed())
        signed = msgspec.structs.replace(
            plain, signature=RootSignature("ES256", self.root_kid, encode_signature(signature))
        )
        trust = self.data / TRUST_FOLDER
        (trust / "editions").mkdir(parents=True, exist_ok=True)
        for name, pem in self.certificates.items():
            (trust / name).write_bytes(pem)
        if self.beacons is not None:
            write_whole(trust / BEACONS_FILE, self.beacons)
        if not root_path(self.data).exists():
            write_root(self.data, {self.root_kid: self.root_scalar}, root_passphrase or passphrase)
        log = {key.kid for key in self.keys.values() if key.use == "log"}
        write_keystore(self.data, self.scalars, passphrase, log)
        write_whole(trust / CRL_FILE, self._revoked(signed))
        write_whole(trust / "editions" / f"trust-{sequence:06d}.json", signed.to_bytes())
        write_whole(trust / TRUST_FILE, signed.to_bytes())

    def _revoked(self, edition: TrustList) -> bytes:
        """Return the edition's revocations for other people's validators."""
        revoked = [
            (x509.load_pem_x509_certificate((self.data / TRUST_FOLDER / key.certificate).read_bytes()), since)
            for key in edition.keys
            if (since := key.revoked_since) is not None
        ]
        return revocation_list(self.root, self.root_key, revoked, edition)

    def _logged(self, plain: TrustList) -> TrustList:
        """Add what is said of the log; its origin and `logged_from` stay as they were first published."""
        return msgspec.structs.replace(
            plain,
            log_origin=self.origin,
            logged_from=self.before.logged_from or plain.issued,
            witnesses=self.log.witnesses,
            witnesses_needed=self.log.needed,
        )

    def _fresh_key(self, use: Use) -> ec.EllipticCurvePrivateKey | Ed25519PrivateKey:
        while True:  # ids are short: some ten thousand keys would make the first pair of equal ones
            key = Ed25519PrivateKey.generate() if use == "log" else ec.generate_private_key(ec.SECP256R1())
            if key_id(key.public_key()) not in {self.root_kid, *self.scalars}:
                return key


def open_edition(
    data: Path,
    store: TrustStore,
    passphrase: str | None,
    root_passphrase: str | None = None,
    log: LogTerms | None = None,
) -> TrustEdition:
    """Begin the next edition of a trust folder; without terms those of its log stay.

    Raises KeysMissing where the keystore lacks keys of the folder, or the root's key was taken away, TrustError where a
    later edition than that of `trust.json` is known here.
    """
    if (newest := newest_edition(data / TRUST_FOLDER)) > store.listing.sequence:
        raise TrustError(
            f"trust.json 退回到第 {store.listing.sequence} 期 / trust.json went back to edition {store.listing.sequence} of {newest}",
            where=str(data / TRUST_FOLDER / TRUST_FILE),
            hint=f"cp trust/editions/trust-{newest:06d}.json trust/trust.json",
        )
    scalars = read_keystore(data, passphrase)
    if not {kid for kid, key in store.keys.items() if key.use not in FOREIGN_USES} <= set(scalars):
        raise KeysMissing(
            "密钥库缺少信任目录中的密钥 / the keystore lacks keys of the trust folder",
            where=str(keystore_path(data)),
            hint="从备份恢复 / restore it from a backup",
        )
    public = store.root.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)  # load_trust has seen to it
    kid = key_id(public)
    root = scalars.pop(kid, None)  # keystores of earlier releases hold it
    root = root or read_root(data, root_passphrase or passphrase).get(kid)
    if root is None:
        raise KeysMissing(
            "keys/root 不是本信任目录的根密钥 / keys/root is not the root of this trust folder",
            where=str(root_path(data)),
            hint="从备份恢复 / restore it from a backup",
        )
    change = TrustEdition(data, store.root, root, scalars, store.listing, log)
    change.timestamps = store.listing.timestamps
    return change


def _named_in_time(roles: Iterable[Role], life: Lifetime) -> Iterator[tuple[Role, Lifetime]]:
    """Return each role with the lifetime of its key: the name in force at the start, then each later name from its day."""
    names: dict[tuple[str, Use], list[Role]] = {}
    for role in roles:
        names.setdefault((role.authority, role.use), []).append(role)
    first = china_date(life.signs_from).isoformat()
    for those in names.values():
        ordered = sorted(those, key=lambda role: role.since)
        begun = [role for role in ordered if role.since <= first]
        if begun:
            yield begun[-1], life
        for role in ordered[len(begun) :]:
            yield role, msgspec.structs.replace(life, signs_from=_midnight(role.since))


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), CHINA)


def _scalar(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.private_bytes_raw()
    return key.private_numbers().private_value.to_bytes(32)


def _years_on(time: datetime, years: int) -> datetime:
    """Return the last second before the anniversary; 29 February counts as 1 March where it does not exist."""
    try:
        anniversary = time.replace(year=time.year + years)
    except ValueError:
        anniversary = time.replace(year=time.year + years, month=3, day=1)
    return anniversary - _SECOND
