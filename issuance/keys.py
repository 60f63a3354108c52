"""The keys of an installation over the years: made, followed by new ones, revoked.

Private halves go into the keystore (`keys/`), public halves into the trust folder (`trust/`), each change as
the next edition of `trust.json`, signed by the root; earlier editions stay under `trust/editions/`. No key
ever leaves the trust folder: what it signed in its time stays good.

A new key follows an old one by date: decisions from its `signs_from` on are signed with the new one. A
revoked key gets a successor from the same date, so that nothing stands still.

The certificates of an installation: a root, and under it one for each key that signs.

Certificates outlive signing: a key signs for some years, its certificate holds until the last licence signed
with it has ended (RFC 5280's 9999-12-31 where a licence may have no end).

Which keys an installation needs: for each authority that its items can have, and for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from msgspec import UNSET

from issuance.signer import ES256, SoftwareSigner, keystore_path, read_keystore, write_keystore, write_whole
from schemas.authorities import authority, issuing_authorities, source_of
from schemas.errors import KeysMissing, NotFound, UsageError
from schemas.items import Catalogue
from schemas.trust import (
    ANY_AUTHORITY,
    FOREIGN_USES,
    ROOT_FILE,
    TRUST_FILE,
    RootSignature,
    TimestampAuthority,
    TrustKey,
    TrustList,
    TrustStore,
    Use,
    encode_signature,
    key_id,
    load_trust,
)

NO_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5
_ROOT_NAME = "证照签发根证书 zhengzhao root"
_COMMON_NAME_LIMIT = 64  # RFC 5280, upper bound of a common name

_NO_REV_AVAIL = x509.ObjectIdentifier("2.5.29.56")
_NULL = b"\x05\x00"


class Role(NamedTuple):
    """Who signs what: an authority's code (`*`: the installation), its name, and the use of the key."""

    authority: str
    name: str
    use: Use


def root_certificate(key: ec.EllipticCurvePrivateKey, valid_from: datetime) -> x509.Certificate:
    """The self-signed anchor; it has no end, since what stands under it must not outlive it."""
    name = _name(_ROOT_NAME, "root")
    return (
        _builder(name, name, key.public_key(), valid_from, NO_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def issuing_certificate(
    public: ec.EllipticCurvePublicKey,
    role: Role,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    valid_from: datetime,
    valid_until: datetime,
) -> x509.Certificate:
    """The certificate of one signing key; the authority's code is its URI."""
    builder = (
        _builder(_name(role.name, role.use), root.subject, public, valid_from, valid_until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        # RFC 9608: there is no CRL and no OCSP; which keys are revoked stands in trust.json.
        .add_extension(x509.UnrecognizedExtension(_NO_REV_AVAIL, _NULL), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
    )
    if role.authority.startswith("urn:"):
        uri = x509.UniformResourceIdentifier(role.authority)
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    return builder.sign(root_key, SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    valid_from: datetime,
    valid_until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
    )


def _name(common: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:_COMMON_NAME_LIMIT]),
        ]
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=not certificates,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
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
    change = TrustEdition(data, root, {key_id(root_key.public_key()): _scalar(root_key)}, ())
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
    store, change = open_edition(data, passphrase)
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
    store, change = open_edition(data, passphrase)
    key = store.keys.get(kid)
    if key is None:
        raise NotFound(f"no key {kid} / 没有该密钥", hint="zhengzhao keys list", where=TRUST_FILE)
    if key.use in FOREIGN_USES:
        raise UsageError(
            f"{kid} 是{key.authority}的密钥 / {kid} belongs to {key.authority}",
            hint="zhengzhao draw party remove NAME",
            where=TRUST_FILE,
        )
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


class TrustEdition:
    """The next edition of the trust folder in the making; nothing is written before `publish`."""

    def __init__(
        self, data: Path, root: x509.Certificate, scalars: dict[str, bytes], keys: Sequence[TrustKey]
    ) -> None:
        self.data = data
        self.root = root
        self.scalars = scalars
        self.keys = {key.kid: key for key in keys}
        self.certificates: dict[str, bytes] = {}
        self.timestamps: tuple[TimestampAuthority, ...] = ()
        public = root.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)  # load_trust has seen to it
        self.root_kid = key_id(public)
        self.root_key = SoftwareSigner(scalars).private_key(self.root_kid)

    def add(self, role: Role, life: Lifetime) -> TrustKey:
        key = self._fresh_key()
        self.scalars[key_id(key.public_key())] = _scalar(key)
        return self.enter(key.public_key(), role, life)

    def enter(self, public: ec.EllipticCurvePublicKey, role: Role, life: Lifetime) -> TrustKey:
        """Certify a public key and list it."""
        kid = key_id(public)
        certificate = issuing_certificate(public, role, self.root, self.root_key, life.signs_from, life.ends)
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

    def end(self, kid: str, at: datetime) -> None:
        """Let a key end in good order: what it signed before stays good."""
        self.keys[kid] = msgspec.structs.replace(self.keys[kid], signs_until=at.isoformat())

    def revoke(self, kid: str, since: datetime) -> None:
        self.keys[kid] = msgspec.structs.replace(self.keys[kid], revoked_since=since.isoformat())

    def publish(self, *, sequence: int, now: datetime, passphrase: str | None) -> None:
        """Writes certificates, private keys, and last the edition that names them."""
        plain = TrustList(
            sequence=sequence,
            issued=now.isoformat(timespec="seconds"),
            keys=tuple(self.keys.values()),
            timestamp_authorities=self.timestamps or UNSET,
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


def open_edition(data: Path, passphrase: str | None) -> tuple[TrustStore, TrustEdition]:
    """Open the trust folder and its next edition. Raise KeysMissing where the keystore lacks keys of the folder."""
    store = load_trust(data / TRUST_FOLDER)
    scalars = read_keystore(data, passphrase)
    if not {kid for kid, key in store.keys.items() if key.use not in FOREIGN_USES} <= set(scalars):
        raise KeysMissing("the keystore lacks keys of the trust folder", where=str(keystore_path(data)))
    change = TrustEdition(data, store.root, scalars, store.listing.keys)
    change.timestamps = store.listing.timestamps
    return store, change


def _scalar(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32)


def _years_on(time: datetime, years: int) -> datetime:
    """The last second before the anniversary; 29 February counts as 1 March where it does not exist."""
    try:
        anniversary = time.replace(year=time.year + years)
    except ValueError:
        anniversary = time.replace(year=time.year + years, month=3, day=1)
    return anniversary - _SECOND


INSTALLATION_NAME: Final = "证照 zhengzhao"


def roles_of(catalogue: Catalogue) -> tuple[Role, ...]:
    """A credential and a seal key for each issuing authority, one key for status lists, one for draws."""
    authorities = tuple(
        Role(found.code, found.name, use)
        for found in issuing_authorities(catalogue)
        for use in ("credential", "seal")
    )
    own = (Role(ANY_AUTHORITY, INSTALLATION_NAME, "status"), Role(ANY_AUTHORITY, INSTALLATION_NAME, "draw"))
    return authorities + own


def longest_validity(catalogue: Catalogue) -> int | None:
    """The longest validity of a licence in years; None where one of the items has no end."""
    years = [item.validity_years for item in catalogue.items.values() if item.mode != "filing"]
    return None if None in years else max((year for year in years if year is not None), default=0)


def name_of(authority_code: str) -> str:
    """The name in the certificate of an authority's key."""
    source = source_of(authority_code)
    return INSTALLATION_NAME if source is None else authority(*source).name
