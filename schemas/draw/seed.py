"""The seed of a draw: secrets committed to before the announcement, revealed after it, and hashed together.

Each party signs its reveal over the announcement's digest. Otherwise somebody who knows the secrets could
try announcements until the draw suits. A secret sealed to a supervisor is opened if its party stays
silent, so that no party can stop a draw by withholding its secret.

Announcements, voids and transcripts are signed by keys of the trust folder with the use `draw`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from msgspec import UNSET

from schemas import signatures
from schemas.draw.documents import ALGORITHM, Announcement, Commitment, Deposit, Reveal, Signature
from schemas.draw.encoding import HEX64, is_text
from schemas.draw.public import PublicValue, seed_part
from schemas.errors import DrawError, UsageError
from schemas.trust import ANY_AUTHORITY, TrustStore

SECRET_BYTES = 32
_ENC_BYTES = 65  # An uncompressed point, as DHKEM P-256 gives it.
_BASE64URL = re.compile("[A-Za-z0-9_-]+")
_SIGNING = ec.ECDSA(SHA256(), deterministic_signing=True)
_VERIFYING = ec.ECDSA(SHA256())


def commitment_of(secret: bytes) -> str:
    """Return the commitment to a secret: its SHA-256 in hex."""
    return hashlib.sha256(secret).hexdigest()


def seed_of(announcement_digest: str, secrets: Sequence[str], public: PublicValue | None = None) -> str:
    """Return the seed from the secrets (hex) in the announcement's order and the public value, where there is one."""
    parts = [announcement_digest, *secrets, *([] if public is None else [seed_part(public)])]
    return hashlib.sha256(":".join(parts).encode()).hexdigest()


def decode_base64url(text: str) -> bytes:
    """Decode unpadded base64url. Raise ValueError for any other spelling of the same bytes."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("no base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("no base64url") from None
    if encode_base64url(data) != text:
        raise ValueError("no base64url in its one form")
    return data


def encode_base64url(data: bytes) -> str:
    """Encode bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


# --- keys


def private_key(pem: bytes | str, where: str = "") -> ec.EllipticCurvePrivateKey:
    """Read a P-256 private key from PEM. Raise UsageError where it is not one."""
    try:
        key = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, None)
    except (ValueError, TypeError):
        raise UsageError("不是 PEM 私钥 / no private key in PEM (without passphrase)", where=where) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(
            "不是 P-256 密钥 / not a P-256 key",
            where=where,
            hint="openssl ecparam -genkey -name prime256v1 -noout",
        )
    return key


def public_key(pem: bytes | str, where: str = "") -> ec.EllipticCurvePublicKey:
    """Read a P-256 public key from PEM. Raise DrawError where it is not one."""
    try:
        key = load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
    except (ValueError, TypeError, UnicodeError):
        raise DrawError("不是 PEM 公钥 / no public key in PEM", where=where) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DrawError("不是 P-256 密钥 / not a P-256 key", where=where)
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """Encode a public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Encode a private key as PEM (PKCS 8, unencrypted)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


# --- deposits


def _info(party: str) -> bytes:
    return f"zhengzhao-draw-deposit-1:{party}".encode()


def deposit(secret: bytes, party: str, supervisor: str) -> Deposit:
    """Seal a secret to the supervisor's key (PEM): HPKE (RFC 9180), enc ‖ ciphertext."""
    from Crypto.Protocol import HPKE  # Its import takes a tenth of a second and few draws need it.
    from Crypto.PublicKey import ECC

    key = ECC.import_key(public_pem(public_key(supervisor)))
    cipher = HPKE.new(receiver_key=key, aead_id=HPKE.AEAD.AES128_GCM, info=_info(party))
    return Deposit(supervisor, encode_base64url(cipher.enc + cipher.seal(secret)))


def open_deposit(commitment: Commitment, supervisor_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the deposited secret. Raise DrawError where there is none, it does not open, or is not the committed one."""
    from Crypto.Protocol import HPKE
    from Crypto.PublicKey import ECC

    deposited = commitment.deposit
    if not isinstance(deposited, Deposit):
        raise DrawError(
            f"该参与方没有托管 / {commitment.party} deposited nothing",
            hint="ask the party to reveal, or void the draw",
        )
    if public_pem(supervisor_key.public_key()) != public_pem(public_key(deposited.supervisor)):
        raise DrawError(f"托管于另一监督方 / {commitment.party} deposited with another supervisor")
    try:
        sealed = decode_base64url(deposited.sealed)
        cipher = HPKE.new(
            receiver_key=ECC.import_key(private_pem(supervisor_key)),
            aead_id=HPKE.AEAD.AES128_GCM,
            enc=sealed[:_ENC_BYTES],
            info=_info(commitment.party),
        )
        secret = cipher.unseal(sealed[_ENC_BYTES:])
    except (ValueError, HPKE.DeserializeError):
        raise DrawError(f"托管无法开启 / the deposit of {commitment.party} does not open") from None
    if not fits(secret, commitment):
        raise DrawError(
            f"托管的秘密与承诺不符 / what {commitment.party} deposited is not the secret it committed to"
        )
    return bytes(secret)


# --- reveals


def fits(secret: bytes, commitment: Commitment) -> bool:
    """Return True where this secret fits the commitment."""
    return len(secret) == SECRET_BYTES and hmac.compare_digest(commitment_of(secret), commitment.commitment)


def _signed_text(announcement_digest: str) -> bytes:
    return f"{ALGORITHM}:{announcement_digest}".encode("ascii")


def reveal(
    secret: bytes,
    commitment: Commitment,
    announcement: Announcement,
    key: ec.EllipticCurvePrivateKey,
    *,
    opened: bool,
) -> Reveal:
    """Sign a secret over the announcement's digest. Raise DrawError where it is not the committed one."""
    if not fits(secret, commitment):
        raise DrawError(f"秘密与承诺不符 / this is not the secret that {commitment.party} committed to")
    signature = encode_base64url(key.sign(_signed_text(announcement.digest), _SIGNING))
    return Reveal(commitment.party, secret.hex(), signature, True if opened else UNSET)


def check_reveal(shown: Reveal, commitment: Commitment, announcement_digest: str) -> None:
    """Raise DrawError where a reveal is not the committed secret, signed by the right key for this announcement."""
    if not HEX64.fullmatch(shown.secret) or not fits(bytes.fromhex(shown.secret), commitment):
        raise DrawError(f"the secret of {shown.party} does not fit its commitment / 与承诺不符")
    pem = commitment.key
    if shown.opened is True:
        if not isinstance(commitment.deposit, Deposit):
            raise DrawError(f"没有可开启的托管 / {shown.party} deposited nothing that can be opened")
        pem = commitment.deposit.supervisor
    try:
        signature = decode_base64url(shown.signature)
        public_key(pem).verify(signature, _signed_text(announcement_digest), _VERIFYING)
    except (ValueError, InvalidSignature):
        raise DrawError(
            f"the reveal of {shown.party} is not signed for this announcement / 签名无效"
        ) from None


def check_commitment(given: Commitment, where: str = "") -> None:
    """Raise DrawError where a commitment lacks a party, a SHA-256 or P-256 keys."""
    if not is_text(given.party) or not HEX64.fullmatch(given.commitment):
        raise DrawError(
            "不是承诺 / not a commitment: it has a party and a SHA-256 in lower-case hex", where=where
        )
    public_key(given.key, where)
    if isinstance(given.deposit, Deposit):
        public_key(given.deposit.supervisor, where)
        try:
            decode_base64url(given.deposit.sealed)
        except ValueError:
            raise DrawError("托管不是 base64url / the deposit is not base64url", where=where) from None


def in_order(reveals: Sequence[Reveal], announcement: Announcement, digest: str) -> list[Reveal]:
    """Return one good reveal of each party, in the announcement's order. Raise DrawError naming the missing or wrong one."""
    by_party = {shown.party: shown for shown in reveals}
    if len(by_party) != len(reveals):
        raise DrawError("同一参与方公开两次 / two reveals of one party")
    parties = [c.party for c in announcement.commitments]
    if unknown := [p for p in by_party if p not in parties]:
        raise DrawError(f"不是本次抽查的参与方 / {unknown[0]} is no party of this draw")
    if missing := [p for p in parties if p not in by_party]:
        raise DrawError(
            f"no reveal of {', '.join(missing)} / 尚未公开",
            hint="draw reveal; who stays silent: draw open, or draw void",
        )
    for commitment in announcement.commitments:
        check_reveal(by_party[commitment.party], commitment, digest)
    return [by_party[party] for party in parties]


class DrawSigner(Protocol):
    """A key that signs a draw's documents: its id, and raw 64-byte signatures with the lower s."""

    @property
    def kid(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


def sign(message: bytes, signer: DrawSigner) -> Signature:
    """Sign a document's canonical bytes without its signature."""
    return Signature("ES256", signer.kid, encode_base64url(signatures.low_s(signer.sign(message))))


def check_signature(
    signature: object, message: bytes, authority: str, trust: TrustStore, *, vouched: bool = False
) -> str:
    """Return the key's id. Raise DrawError where no draw key of the trust folder signed this for that authority.

    A revoked key counts for nothing, since a document has no date, unless a later document is to vouch for it.
    """
    if not isinstance(signature, Signature):
        raise DrawError("not signed / 没有签名")
    key = trust.key(signature.kid, "draw")
    if key is None:
        raise DrawError(
            f"signed by {signature.kid!r}, which is no draw key of the trust folder / 签名密钥不可信"
        )
    if key.authority not in (ANY_AUTHORITY, authority):
        raise DrawError(f"signed by a key of {key.authority}, not of {authority} / 签名机关不符")
    if key.revoked_since is not None and not vouched:
        raise DrawError(f"signed by a key that was revoked ({key.revoked_since}) / 签名密钥已吊销")
    try:
        raw = decode_base64url(signature.value)
    except ValueError:
        raise DrawError("the signature is no base64url in its one form / 签名编码无效") from None
    if not signatures.verifies(trust.public_key(signature.kid), raw, message):
        raise DrawError("the signature does not fit these bytes / 签名与内容不符")
    return key.kid
