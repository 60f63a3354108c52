"""The seed of a draw: secrets committed to before the announcement, revealed after it, and hashed together.

Each party signs its reveal over the announcement's digest. Otherwise somebody who knows the secrets could
try announcements until the draw suits. A secret sealed to a supervisor is opened if its party stays
silent, so that no party can stop a draw by withholding its secret.

Announcements, voids and transcripts are signed by keys of the trust folder with the use `draw`.

The parties of a draw are known: the rules about their keys.

A key belongs to one party. It is neither a supervisor's nor an authority's, and where the trust folder lists keys of
that party, it is one of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, time
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
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
from schemas.calendar import CHINA, moment
from schemas.draw.documents import ALGORITHM, Announcement, Commitment, Deposit, Reveal, Signature
from schemas.draw.encoding import HEX64, is_text
from schemas.draw.plan import Plan, day
from schemas.draw.public import PublicValue, check_round, refuse_round, seal, seed_part, unseal
from schemas.errors import DrawError, UsageError
from schemas.trust import ANY_AUTHORITY, TrustStore, key_id

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
    except (ValueError, TypeError, UnsupportedAlgorithm):
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
    except (ValueError, TypeError, UnicodeError, UnsupportedAlgorithm):
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
    if not isinstance(deposited.supervisor, str):
        raise DrawError(
            f"该秘密封存于信标轮次 / {commitment.party} sealed its secret to round {deposited.round} of {deposited.beacon}",
            hint="draw open --round ROUND.json, once it exists",
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


def seal_to_round(secret: bytes, round_: int) -> Deposit:
    """Seal a secret to a round of quicknet, as a deposit."""
    return Deposit(UNSET, encode_base64url(seal(secret, round_)), "quicknet", round_)


def open_sealed(commitment: Commitment, signature: str) -> Reveal:
    """Open a secret sealed to a round by the round's signature (hex), which becomes the reveal's."""
    sealed = commitment.deposit
    if not isinstance(sealed, Deposit) or not isinstance(sealed.round, int):
        raise DrawError(f"没有按轮次封存的秘密 / {commitment.party} sealed nothing to a round")
    secret = unseal(decode_base64url(sealed.sealed), sealed.round, signature)
    if not fits(secret, commitment):
        raise DrawError(
            f"封存的秘密与承诺不符 / what {commitment.party} sealed is not the secret it committed to"
        )
    return Reveal(commitment.party, secret.hex(), encode_base64url(bytes.fromhex(signature)), True)


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
        if not isinstance(commitment.deposit.supervisor, str):
            check_round(shown.signature, commitment.deposit.round)
            return
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
        if isinstance(given.deposit.supervisor, str):
            public_key(given.deposit.supervisor, where)
        elif given.deposit.beacon != "quicknet":
            raise DrawError("只能封存于 quicknet / secrets are sealed to quicknet alone", where=where)
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


def end_of_period(plan: Plan) -> datetime:
    """Return the last second of a plan's period, in China."""
    return datetime.combine(day(plan.period[1], "period"), time(23, 59, 59), CHINA)


def check_parties(
    commitments: Sequence[Commitment], plan: Plan, trust: TrustStore, now: datetime | None = None
) -> list[str]:
    """Return the parties without a registered key. Raise DrawError where a key breaks a rule.

    At an announcement (`now`) a registered party must use a key in force. A verification takes any key of the party
    that was not revoked, and counts a party that was registered only after the plan's period as unregistered.
    """
    owners: dict[str, str] = {}
    for commitment in commitments:
        pem = public_pem(public_key(commitment.key))
        if pem in owners:
            raise DrawError(
                f"两方使用同一密钥 / {owners[pem]} and {commitment.party} have one key",
                hint="每方用自己的密钥 / each party makes its own: zhengzhao draw commit",
            )
        owners[pem] = commitment.party
    for commitment in commitments:
        _check_deposit(commitment, plan, owners)
        deposit, by = commitment.deposit, plan.seed.reveal_by
        if now is not None and isinstance(deposit, Deposit) and isinstance(deposit.round, int):
            refuse_round(deposit.round, by, end_of_period(plan), now)
    return [c.party for c in commitments if not _registered(c, plan, trust, now)]


def _check_deposit(commitment: Commitment, plan: Plan, owners: dict[str, str]) -> None:
    deposit = commitment.deposit
    if not isinstance(deposit, Deposit):
        if plan.seed.deposits is True:
            raise DrawError(
                f"{commitment.party} 未作托管 / {commitment.party} made no deposit, which the plan requires",
                hint="zhengzhao draw commit --deposit SUPERVISOR.pem",
            )
        return
    if not isinstance(deposit.supervisor, str):
        return
    owner = owners.get(public_pem(public_key(deposit.supervisor)))
    if owner is not None:
        raise DrawError(
            f"监督方的密钥不得作为参与方的密钥 / the key of {owner} is the supervisor's of {commitment.party}"
        )


def _registered(commitment: Commitment, plan: Plan, trust: TrustStore, now: datetime | None) -> bool:
    """Return True for a registered key of this party, False where the party is not registered."""
    key = public_key(commitment.key)
    listed = _listed_kid(key, trust)
    found = None if listed is None else trust.keys[listed]
    if found is not None and (found.use, found.authority) != ("party", commitment.party):
        raise DrawError(
            f"{commitment.party} 的密钥已登记为他用（{found.use}）/ the key of {commitment.party} is listed as {found.use} "
            f"of {found.authority}"
        )
    own = trust.keys_of(commitment.party, "party")
    if now is not None:
        own = [k for k in own if k.signed_in_time(now)]
        good = found is not None and found in own
    else:
        own = [k for k in own if k.revoked_since is None]
        good = found is not None and found in own
        if not good and all(moment(k.signs_from) > end_of_period(plan) for k in own):
            return False
    if own and not good:
        raise DrawError(
            f"{commitment.party} 的密钥不是已登记的密钥 / the key of {commitment.party} is not the registered one",
            hint="zhengzhao draw commit --key，用登记的密钥 / with the registered key; zhengzhao draw party list",
        )
    return good


def _listed_kid(key: ec.EllipticCurvePublicKey, trust: TrustStore) -> str | None:
    """Return the id under which the trust folder lists a key; ids are short, so whole keys are compared."""
    kid = key_id(key)
    if kid in trust.keys and public_pem(trust.public_key(kid)) == public_pem(key):
        return kid
    return None
