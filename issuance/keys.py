"""The keys of an installation over the years: made, followed by new ones, revoked.

Private halves go into the keystore (`keys/`), public halves into the trust folder (`trust/`), each change as
the next edition of `trust.json`, signed by the root; earlier editions stay under `trust/editions/`. No key
ever leaves the trust folder: what it signed in its time stays good.

A new key follows an old one by date: decisions from its `signs_from` on are signed with the new one. A
revoked key gets a successor from the same date, so that nothing stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from issuance.certificates import NO_END, Role, issuing_certificate, root_certificate
from issuance.keystore import keystore_path, read_keystore, write_keystore, write_whole
from issuance.signer import ES256, SoftwareSigner
from schemas.errors import KeysMissing, NotFound, UsageError
from schemas.trust import (
    ROOT_FILE,
    TRUST_FILE,
    RootSignature,
    TrustKey,
    TrustList,
    TrustStore,
    encode_signature,
    key_id,
    load_trust,
)

TRUST_FOLDER: Final = "trust"
SIGNING_YEARS: Final = 10
_SECOND: Final = timedelta(seconds=1)


class Lifetime(msgspec.Struct, frozen=True):
    """From when new keys sign, and by how many years their certificates outlive that (None: for ever)."""

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


def init(data: Path, roles: Iterable[Role], life: Lifetime, *, now: datetime, passphrase: str | None) -> bool:
    """Makes root, keys and certificates for these roles; False, and nothing changes, where there are some."""
    trust = data / TRUST_FOLDER
    if (trust / TRUST_FILE).exists():
        return False
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = root_certificate(root_key, life.signs_from)
    change = _Change(data, root, {key_id(root_key.public_key()): _scalar(root_key)}, ())
    for role in roles:
        change.add(role, life)
    trust.mkdir(parents=True, exist_ok=True)
    write_whole(trust / ROOT_FILE, root.public_bytes(Encoding.PEM))
    change.publish(sequence=1, now=now, passphrase=passphrase)
    return True


def rotate(
    data: Path, roles: Iterable[Role], life: Lifetime, *, now: datetime, passphrase: str | None
) -> tuple[TrustKey, ...]:
    """A new key for each role, from `life.signs_from` on; also for roles that had none yet."""
    store, change = _open(data, passphrase)
    if life.signs_from < store.root.not_valid_before_utc:
        raise UsageError(
            "keys cannot sign before the root / 早于根证书生效时间",
            hint=f"a date from {store.root.not_valid_before_utc:%Y-%m-%d} on",
        )
    fresh = tuple(change.add(role, life) for role in roles)
    change.publish(sequence=store.listing.sequence + 1, now=now, passphrase=passphrase)
    return fresh


def revoke(
    data: Path,
    kid: str,
    since: datetime,
    *,
    name: str,
    outlives: int | None,
    now: datetime,
    passphrase: str | None,
) -> TrustKey:
    """Revokes a key from a moment on and makes its successor, which signs from then on.

    `name` is the authority's, for the successor's certificate. NotFound for an unknown key; UsageError for
    one that was revoked from that moment or an earlier one.
    """
    store, change = _open(data, passphrase)
    key = store.keys.get(kid)
    if key is None:
        raise NotFound(f"no key {kid} / 没有该密钥", hint="zhengzhao keys list", where=TRUST_FILE)
    if key.revoked_at(since):
        raise UsageError(f"{kid} is revoked since {key.revoked_since} / 该密钥已吊销", where=TRUST_FILE)
    change.revoke(kid, since)
    start = max(since, store.root.not_valid_before_utc)
    fresh = change.add(Role(key.authority, name, key.use), Lifetime(start, outlives))
    change.publish(sequence=store.listing.sequence + 1, now=now, passphrase=passphrase)
    return fresh


def open_signer(data: Path, passphrase: str | None) -> SoftwareSigner:
    """The signer over the data folder's keys. KeysMissing without keys, or with another passphrase."""
    return SoftwareSigner(read_keystore(data, passphrase))


class _Change:
    """The next edition of the trust folder in the making; nothing is written before `publish`."""

    def __init__(
        self, data: Path, root: x509.Certificate, scalars: dict[str, bytes], keys: Sequence[TrustKey]
    ) -> None:
        self.data = data
        self.root = root
        self.scalars = scalars
        self.keys = {key.kid: key for key in keys}
        self.certificates: dict[str, bytes] = {}
        public = root.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)  # load_trust has seen to it
        self.root_kid = key_id(public)
        self.root_key = SoftwareSigner(scalars).private_key(self.root_kid)

    def add(self, role: Role, life: Lifetime) -> TrustKey:
        key = self._fresh_key()
        kid = key_id(key.public_key())
        certificate = issuing_certificate(
            key.public_key(), role, self.root, self.root_key, life.signs_from, life.ends
        )
        self.scalars[kid] = _scalar(key)
        self.certificates[f"{kid}.pem"] = certificate.public_bytes(Encoding.PEM)
        self.keys[kid] = TrustKey(
            kid=kid,
            alg="ES256",
            use=role.use,
            authority=role.authority,
            signs_from=life.signs_from.isoformat(),
            signs_until=life.signs_until.isoformat(),
            revoked_since=None,
            certificate=f"{kid}.pem",
            certificate_sha256=certificate.fingerprint(SHA256()).hex(),
        )
        return self.keys[kid]

    def revoke(self, kid: str, since: datetime) -> None:
        self.keys[kid] = msgspec.structs.replace(self.keys[kid], revoked_since=since.isoformat())

    def publish(self, *, sequence: int, now: datetime, passphrase: str | None) -> None:
        """Writes certificates, private keys, and last the edition that names them."""
        plain = TrustList(
            sequence=sequence, issued=now.isoformat(timespec="seconds"), keys=tuple(self.keys.values())
        )
        signature = SoftwareSigner(self.scalars).sign(self.root_kid, ES256, plain.to_be_signed())
        signed = msgspec.structs.replace(
            plain, signature=RootSignature("ES256", self.root_kid, encode_signature(signature))
        )
        trust = self.data / TRUST_FOLDER
        (trust / "editions").mkdir(parents=True, exist_ok=True)
        for name, pem in self.certificates.items():
            (trust / name).write_bytes(pem)
        write_keystore(self.data, self.scalars, passphrase)
        write_whole(trust / "editions" / f"trust-{sequence:06d}.json", signed.to_bytes())
        write_whole(trust / TRUST_FILE, signed.to_bytes())

    def _fresh_key(self) -> ec.EllipticCurvePrivateKey:
        while True:  # ids are short: some ten thousand keys would make the first pair of equal ones
            key = ec.generate_private_key(ec.SECP256R1())
            if key_id(key.public_key()) not in self.scalars:
                return key


def _open(data: Path, passphrase: str | None) -> tuple[TrustStore, _Change]:
    store = load_trust(data / TRUST_FOLDER)
    scalars = read_keystore(data, passphrase)
    if not set(store.keys) <= set(scalars):
        raise KeysMissing("the keystore lacks keys of the trust folder", where=str(keystore_path(data)))
    return store, _Change(data, store.root, scalars, store.listing.keys)


def _scalar(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32)


def _years_on(time: datetime, years: int) -> datetime:
    """The last second before the anniversary; 29 February counts as 1 March where it does not exist."""
    try:
        anniversary = time.replace(year=time.year + years)
    except ValueError:
        anniversary = time.replace(year=time.year + years, month=3, day=1)
    return anniversary - _SECOND
