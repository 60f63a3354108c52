"""Signatures under announcements, voids and transcripts: by keys of the trust folder with the use `draw`."""

from __future__ import annotations

from typing import Protocol

from schemas import ecdsa
from schemas.draw.documents import Signature
from schemas.draw.seed import decode_base64url, encode_base64url
from schemas.errors import DrawError
from schemas.trust import ANY_AUTHORITY, TrustStore


class DrawSigner(Protocol):
    """What can sign a draw's documents: the key's id, and a raw 64-byte signature with the lower s."""

    @property
    def kid(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


def sign(message: bytes, signer: DrawSigner) -> Signature:
    """A document's signature, over its canonical bytes without it."""
    return Signature("ES256", signer.kid, encode_base64url(ecdsa.low_s(signer.sign(message))))


def check_signature(
    signature: object, message: bytes, authority: str, trust: TrustStore, *, vouched: bool = False
) -> str:
    """The key's id; DrawError where no draw key of the trust folder signed this for that authority.

    A revoked key counts for nothing, since no time stands in a document; unless a later one is to vouch for it.
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
    if not ecdsa.verifies(trust.public_key(signature.kid), raw, message):
        raise DrawError("the signature does not fit these bytes / 签名与内容不符")
    return key.kid
