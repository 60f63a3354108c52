"""Keys of others in the trust folder: parties and supervisors of draws, and timestamp authorities.

Only their public halves are listed here, certified by the root; they never sign a credential, a seal or a list.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from issuance.certificates import Role
from issuance.keys import Lifetime, open_edition
from schemas.errors import NotFound, UsageError
from schemas.trust import FOREIGN_USES, TRUST_FILE, TimestampAuthority, TrustKey, TrustStore, key_id


def enter_public_key(
    data: Path,
    store: TrustStore,
    public: ec.EllipticCurvePublicKey,
    role: Role,
    *,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
) -> TrustKey:
    """List somebody else's public key (a party's or a supervisor's) in the trust folder, from now on.

    Raise UsageError where the key is listed already; the same key for the same role changes nothing.
    """
    change = open_edition(data, store, passphrase, root_passphrase)
    known = store.keys.get(key_id(public))
    if known is not None:
        if (known.use, known.authority) == (role.use, role.authority) and known.signed_in_time(now):
            return known
        raise UsageError(
            f"该密钥已登记，用途为 {known.use}（{known.authority}）/ the key is listed already, as {known.use} of "
            f"{known.authority}",
            where=TRUST_FILE,
            hint="每方一把密钥 / each party has a key of its own",
        )
    start = max(now, store.root.not_valid_before_utc)
    fresh = change.enter(public, role, Lifetime(start))
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
    return fresh


def end_keys(
    data: Path,
    store: TrustStore,
    name: str,
    *,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
) -> list[TrustKey]:
    """End the keys of a party or supervisor. Raise NotFound where none is in force."""
    change = open_edition(data, store, passphrase, root_passphrase)
    found = [key for use in FOREIGN_USES for key in store.keys_of(name, use) if key.signed_in_time(now)]
    if not found:
        raise NotFound(
            f"没有该方的有效密钥 / no key of {name} is in force",
            hint="zhengzhao draw party list",
            where=TRUST_FILE,
        )
    for key in found:
        change.end(key.kid, now - timedelta(seconds=1))
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
    return found


def enter_timestamp_authority(
    data: Path,
    store: TrustStore,
    name: str,
    certificate: x509.Certificate,
    *,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
) -> TimestampAuthority:
    """List the certificate of a timestamp authority in the trust folder."""
    change = open_edition(data, store, passphrase, root_passphrase)
    digest = certificate.fingerprint(SHA256()).hex()
    file = f"tsa-{digest[:16]}.pem"
    entry = TimestampAuthority(name, file, digest)
    if entry in store.listing.timestamps:
        return entry
    change.timestamps = (*change.timestamps, entry)
    change.certificates[file] = certificate.public_bytes(Encoding.PEM)
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
    return entry


def enter_beacons(
    data: Path,
    store: TrustStore,
    beacons: bytes,
    *,
    now: datetime,
    passphrase: str | None,
    root_passphrase: str | None = None,
) -> None:
    """Put `beacons.json` into the trust folder, under the root's signature; the same bytes change nothing."""
    if store.beacons == beacons and store.listing.beacons_sha256:
        return
    change = open_edition(data, store, passphrase, root_passphrase)
    change.beacons = beacons
    change.publish(now=now, passphrase=passphrase, root_passphrase=root_passphrase)
