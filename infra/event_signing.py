"""Signing events as an agency does, with its private key in a PEM file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from issuance.signer import ES256, SoftwareSigner
from schemas.canonical_json import loads
from schemas.errors import Rejected, UsageError
from schemas.signatures import FIELD, make_proof
from schemas.trust import key_id

Sign = Callable[[bytes], bytes]


def event_signer(path: Path) -> Sign:
    """Return a function that puts the proof into an event's JSON text.

    The function raises Rejected where the text is no JSON object. Raises UsageError for a file without a P-256 key.
    """
    key = _private_key(path)
    kid = key_id(key.public_key())
    signer = SoftwareSigner({kid: key.private_numbers().private_value.to_bytes(32)})

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
    except (OSError, ValueError, TypeError) as error:
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
