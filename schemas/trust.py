"""The trust folder: whom a verifier believes, and since when, and until when.

`root.pem` is the anchor. `trust.json` names every key that ever signed here and is signed by the root; beside
it lies each key's certificate, issued by the root. Its form::

    {"sequence": 1, "issued": RFC 3339, "keys": [{"kid", "alg": "ES256", "use", "authority", "signs_from",
     "signs_until", "revoked_since": time or null, "certificate": file name, "certificate_sha256": hex}, …],
     "signature": {"alg": "ES256", "kid": the root's, "value": base64url of r ‖ s}}

in canonical JSON (RFC 8785); the signature is over the canonical JSON without it. Other bytes of the same
content are refused. An installation with a transparency log has a key of use `log` (alg Ed25519), and beside `keys`
`log_origin` (the log's name), `logged_from` (every licence decided from then on is in the log), `witnesses` (their
verifier keys) and `witnesses_needed`. A key signs for one authority (claim 1 of a credential); `*` in `authority` means the
installation as a whole, as for status lists and draws. Times have a zone. `beacons_sha256` names the `beacons.json` beside
it, where one was entered. `fresh_until`: after that moment the edition says nothing, since a later one may revoke a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import UNSET, UnsetType

from schemas import signatures
from schemas.calendar import moment
from schemas.canonical_json import canonical
from schemas.errors import LintError, TrustError, UsageError
from schemas.transparency.notes import VerifierKey, is_key_name, read_key

Use = Literal["credential", "seal", "status", "draw", "log", "party", "supervisor"]
FOREIGN_USES: tuple[Use, ...] = ("party", "supervisor")  # Their private halves lie with their owners.
PublicKey = ec.EllipticCurvePublicKey | Ed25519PublicKey
ANY_AUTHORITY = "*"
ROOT_FILE = "root.pem"
TRUST_FILE = "trust.json"
BEACONS_FILE = "beacons.json"
CRL_FILE = "root.crl"  # the same revocations for other people's validators (RFC 5280)
MAX_TRUST = 8 << 20  # bytes: some ten thousand keys
_HINT = "take the trust folder anew from the issuing authority"
_SECOND = timedelta(seconds=1)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.pem")


class TrustKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key of the trust folder. Times are RFC 3339 with zone; `signs_until` is the last second."""

    kid: str
    alg: Literal["ES256", "Ed25519"]
    use: Use
    authority: str
    signs_from: str
    signs_until: str
    revoked_since: str | None
    certificate: str
    certificate_sha256: str

    def signed_in_time(self, at: datetime) -> bool:
        """Tell whether a signature made at that moment counts."""
        return _time_in_trust(self.signs_from) <= at <= _time_in_trust(
            self.signs_until
        ) and not self.revoked_at(at)

    def revoked_at(self, at: datetime) -> bool:
        """Tell whether the key was revoked by then; what it signed before stays good."""
        return self.revoked_since is not None and at >= _time_in_trust(self.revoked_since)


class RootSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root's signature under `trust.json`."""

    alg: Literal["ES256"]
    kid: str
    value: str


class TimestampAuthority(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A timestamp authority (RFC 3161): its certificate, or the one that issued it."""

    name: str
    certificate: str
    certificate_sha256: str


class TrustList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of `trust.json`; each edition has the next `sequence`."""

    sequence: int
    issued: str
    keys: tuple[TrustKey, ...]
    signature: RootSignature | None = None
    timestamp_authorities: tuple[TimestampAuthority, ...] | UnsetType = UNSET
    log_origin: str = ""
    logged_from: str = ""
    witnesses: tuple[str, ...] = ()
    witnesses_needed: int = 0
    beacons_sha256: str = ""  # of `beacons.json`, once the root vouches for it
    fresh_until: str = ""  # empty in editions of earlier releases

    def stale_at(self, at: datetime) -> bool:
        """Tell whether a later edition should have been fetched by that moment."""
        return self.fresh_until != "" and at > _time_in_trust(self.fresh_until)

    @property
    def timestamps(self) -> tuple[TimestampAuthority, ...]:
        """Return the timestamp authorities, none where the list does not name any."""
        return () if isinstance(self.timestamp_authorities, UnsetType) else self.timestamp_authorities

    def to_be_signed(self) -> bytes:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        plain.pop("signature", None)
        return canonical(plain)

    def to_bytes(self) -> bytes:
        return canonical(msgspec.to_builtins(self))


def _time_in_trust(text: str) -> datetime:
    """Return the moment of an RFC 3339 text. Raises TrustError where it has no zone or is no time."""
    try:
        return moment(text)
    except ValueError:
        raise TrustError(
            f"不是带时区的时间：{text!r} / not a time with a zone: {text!r}", where=TRUST_FILE, hint=_HINT
        ) from None


def key_id(public: PublicKey) -> str:
    """Return the id of a key: the first eight hex digits of the SHA-256 of its SubjectPublicKeyInfo.

    Short, because it stands in each credential; `keys init` sees to it that none comes twice.
    """
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:8]


class TrustStore:
    """A verified trust folder: each certificate (by key id) has the digest that the root signed.

    Who issued a certificate is checked when it is first asked for.
    """

    def __init__(
        self,
        root: x509.Certificate,
        listing: TrustList,
        certificates: dict[str, x509.Certificate],
        *,
        timestamps: tuple[x509.Certificate, ...] = (),
        beacons: bytes | None = None,
    ) -> None:
        self.root = root
        self.listing = listing
        self.timestamps = timestamps
        self.beacons = beacons  # the bytes of `beacons.json`, None where the folder has no such file
        self.keys: dict[str, TrustKey] = {k.kid: k for k in listing.keys}
        self._certificates = certificates
        self._checked: dict[str, x509.Certificate] = {}
        self._by_role: dict[tuple[str, str], list[TrustKey]] = {}
        for key in listing.keys:
            self._by_role.setdefault((key.authority, key.use), []).append(key)

    def key(self, kid: str, use: Use) -> TrustKey | None:
        """Return the key with this id, if it may be used so."""
        found = self.keys.get(kid)
        return found if found is not None and found.use == use else None

    def keys_of(self, name: str, use: Use) -> list[TrustKey]:
        """List the keys of one owner and use, whatever their state."""
        return list(self._by_role.get((name, use), ()))

    def certificate(self, kid: str) -> x509.Certificate:
        """Return the certificate of a key. Raises TrustError where the root did not issue it."""
        if kid not in self._checked:
            self._checked[kid] = self._check(self.keys[kid])
        return self._checked[kid]

    def public_key(self, kid: str) -> ec.EllipticCurvePublicKey:
        """Return the public half of a key."""
        public = self.certificate(kid).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)  # _check has seen to it
        return public

    @property
    def log_keys(self) -> list[tuple[TrustKey, VerifierKey]]:
        """The keys of the transparency log in the order of their times, each with what verifies its signatures."""
        found = sorted(
            self._by_role.get((ANY_AUTHORITY, "log"), ()), key=lambda key: (key.signs_from, key.kid)
        )
        return [(key, VerifierKey(self.listing.log_origin, 1, self._log_public(key.kid))) for key in found]

    @property
    def witnesses(self) -> tuple[VerifierKey, ...]:
        """The witnesses' keys."""
        return tuple(map(read_key, self.listing.witnesses))

    def _log_public(self, kid: str) -> bytes:
        public = self.certificate(kid).public_key()
        assert isinstance(public, Ed25519PublicKey)  # _check has seen to it
        return public.public_bytes_raw()

    def by_certificate(self, der: bytes) -> TrustKey | None:
        """Return the key whose certificate has exactly these bytes."""
        digest = hashlib.sha256(der).hexdigest()
        return next((k for k in self.listing.keys if k.certificate_sha256 == digest), None)

    def signing_key(self, authority: str, use: Use, at: datetime) -> TrustKey:
        """Return the key with which an authority signs at a moment: of several in force the newest.

        LintError where there is none: nothing may be signed then.
        """
        able = [k for k in self._by_role.get((authority, use), ()) if k.signed_in_time(at)]
        if not able:
            raise LintError(
                f"no {use} key of {authority} signs at {at.isoformat()} / 该时间没有可用的签发密钥",
                hint="zhengzhao keys init --valid-from DATE, with a date before the oldest decision; "
                "for an authority without keys: zhengzhao keys rotate",
                where="trust.json",
            )
        return max(able, key=lambda k: (_time_in_trust(k.signs_from), k.kid))

    def _check(self, key: TrustKey) -> x509.Certificate:
        certificate = self._certificates[key.kid]
        try:
            certificate.verify_directly_issued_by(self.root)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            raise TrustError("not issued by root.pem", where=key.certificate, hint=_HINT) from None
        public = certificate.public_key()
        fits = isinstance(public, Ed25519PublicKey) if key.use == "log" else _is_p256(public)
        if not fits or not isinstance(public, PublicKey) or key_id(public) != key.kid:
            raise TrustError(
                "证书属于另一密钥 / a certificate of another key", where=key.certificate, hint=_HINT
            )
        if not _may(certificate, authority=False) or not _holds_while_signing(certificate, key):
            raise TrustError(
                "证书的有效期或用途不符 / a certificate whose dates or usage do not fit its key",
                where=key.certificate,
                hint=_HINT,
            )
        return certificate


def _may(certificate: x509.Certificate, *, authority: bool) -> bool:
    """Tell whether a certificate is for issuing certificates, or else for signing only (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return (
        constraints.ca is authority
        and usage.key_cert_sign is authority
        and (authority or usage.digital_signature)
    )


def _holds_while_signing(certificate: x509.Certificate, key: TrustKey) -> bool:
    """Tell whether a certificate is valid from the first to the last second in which its key signs."""
    begin, end = _time_in_trust(key.signs_from), _time_in_trust(key.signs_until)
    return certificate.not_valid_before_utc <= begin and end - _SECOND <= certificate.not_valid_after_utc


def load_trust(folder: Path) -> TrustStore:
    """Read a trust folder and check the root's signature. Raises TrustError with what is wrong, and where."""
    where = str(folder / ROOT_FILE)
    root = _load(_read(folder / ROOT_FILE), where)
    try:
        root.verify_directly_issued_by(root)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        raise TrustError("根证书不是自签名 / not signed by itself", where=where, hint=_HINT) from None
    if not _may(root, authority=True):
        raise TrustError("根证书不能签发证书 / a root that may not issue", where=where, hint=_HINT)
    listing = read_trust_list(_read(folder / TRUST_FILE), root)
    return TrustStore(
        root,
        listing,
        {k.kid: _named_certificate(folder, k) for k in listing.keys},
        timestamps=tuple(_named_certificate(folder, named) for named in listing.timestamps),
        beacons=_beacons(folder, listing),
    )


def newest_edition(folder: Path) -> int:
    """Return the number of the newest edition that is kept in a trust folder; 0 where none is."""
    names = (path.stem.removeprefix("trust-") for path in (folder / "editions").glob("trust-*.json"))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _beacons(folder: Path, listing: TrustList) -> bytes | None:
    """Return the bytes of `beacons.json`, if there is one. Raises TrustError where it is not what the root vouches for."""
    path = folder / BEACONS_FILE
    found = _read(path) if path.exists() or listing.beacons_sha256 else None
    if found is not None and listing.beacons_sha256 not in ("", hashlib.sha256(found).hexdigest()):
        raise TrustError(
            "信标文件与 trust.json 不符 / not the beacons.json that trust.json names",
            where=str(path),
            hint=_HINT,
        )
    return found


def _named_certificate(folder: Path, key: TrustKey | TimestampAuthority) -> x509.Certificate:
    if not _FILE_NAME.fullmatch(key.certificate):
        raise TrustError("a certificate's name that is no plain file name", where=TRUST_FILE, hint=_HINT)
    path = folder / key.certificate
    certificate = _load(_read(path), str(path))
    if certificate.fingerprint(SHA256()).hex() != key.certificate_sha256:
        raise TrustError("not the certificate that trust.json names", where=str(path), hint=_HINT)
    return certificate


def read_trust_list(data: bytes, root: x509.Certificate) -> TrustList:
    """Return the content of `trust.json`, its signature by the root verified before anything in it is believed."""
    where = TRUST_FILE
    try:
        listing = msgspec.json.decode(data, type=TrustList)
        exact = listing.to_bytes() == data
        value = listing.signature.value if listing.signature else ""
        signature = base64.urlsafe_b64decode(value + "==")
    except (msgspec.MsgspecError, ValueError, RecursionError, binascii.Error) as error:
        raise TrustError(f"no trust.json: {error}", where=where, hint=_HINT) from None
    public = root.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not _is_p256(public):
        raise TrustError("the root has no P-256 key", where=ROOT_FILE, hint=_HINT)
    named = RootSignature("ES256", key_id(public), encode_signature(signature))
    exact = exact and listing.signature == named  # its own fields are not under the signature
    if not exact or not signatures.verifies(public, signature, listing.to_be_signed()):
        raise TrustError("trust.json is not signed by root.pem", where=where, hint=_HINT)
    if len({k.kid for k in listing.keys}) != len(listing.keys):
        raise TrustError("a key id twice in trust.json", where=where, hint=_HINT)
    _check_log(listing)
    return listing


def _check_log(listing: TrustList) -> None:
    """Verify what is said of a log. Raises TrustError where it could not be used."""
    logs = [key for key in listing.keys if key.use == "log"]
    kinds_fit = all((key.use == "log") == (key.alg == "Ed25519") for key in listing.keys)
    try:
        keys = [read_key(text) for text in listing.witnesses]
    except UsageError as error:
        raise TrustError(f"见证人公钥无法读取 / {error}", where=TRUST_FILE, hint=_HINT) from None
    witnesses_fit = all(key.kind == 4 for key in keys) and 0 <= listing.witnesses_needed <= len(
        {key.public for key in keys}
    )
    named = is_key_name(listing.log_origin) and bool(listing.logged_from) if logs else True
    if not (kinds_fit and witnesses_fit and named):
        raise TrustError(
            "日志的条款不全 / what trust.json says of the log is not whole", where=TRUST_FILE, hint=_HINT
        )
    for time in filter(None, (listing.logged_from, listing.fresh_until)):
        _time_in_trust(time)


def encode_signature(raw: bytes) -> str:
    """Return a raw signature as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _is_p256(public: object) -> bool:
    return isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)


def _load(pem: bytes, where: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, x509.InvalidVersion):
        raise TrustError("no certificate in PEM", where=where, hint=_HINT) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRUST + 1)
    except FileNotFoundError:
        raise TrustError(
            "there is no such file in the trust folder",
            where=str(path),
            hint="zhengzhao keys init makes a trust folder; --trust DIR names another",
        ) from None
    except OSError as error:
        raise TrustError(f"cannot be read: {error.strerror}", where=str(path), hint=_HINT) from None
    if len(data) > MAX_TRUST:
        raise TrustError(f"over {MAX_TRUST} bytes", where=str(path), hint=_HINT)
    return data
