"""Signing events as an agency does, with its private key in a PEM file."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from issuance.signer import ES256, SoftwareSigner
from schemas.errors import Rejected, UsageError
from schemas.lines import Line, lines
from schemas.proof import FIELD, make_proof
from schemas.strict_json import MAX_BYTES, loads
from schemas.trust import key_id

Sign = Callable[[bytes], bytes]


def event_signer(path: Path) -> Sign:
    """From an event's JSON text to the same with its proof; Rejected where the text is no JSON object.

    UsageError for a key that is none.
    """
    key = _private_key(path)
    kid = key_id(key.public_key())
    signer = SoftwareSigner({kid: key.private_numbers().private_value.to_bytes(32)})

    def sign(raw: bytes) -> bytes:
        event = loads(raw)
        if not isinstance(event, dict):
            raise Rejected(
                "不是 JSON 对象 / no JSON object", hint="一个事件是一个 JSON 对象 / one event is one object"
            )
        event[FIELD] = make_proof(event, kid, lambda data: signer.sign(kid, ES256, data))
        return json.dumps(event, ensure_ascii=False).encode()

    return sign


def texts(file: BinaryIO) -> Iterator[Line]:
    """The events of a file: the whole of it where that is one JSON text, over as many lines as it likes, else its lines."""
    start = file.read(MAX_BYTES + 1)
    whole = start.removeprefix(codecs.BOM_UTF8)
    try:
        loads(whole)
    except Rejected:
        rest = io.BytesIO(start + file.read())
        yield from lines(rest)
    else:
        yield Line(1, whole)


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"无法读取私钥 / no usable private key: {error}",
            where=str(path),
            hint="zhengzhao agency keygen -o KEY.pem",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError(
            "不是 P-256 私钥 / no P-256 key", where=str(path), hint="zhengzhao agency keygen -o KEY.pem"
        )
    return key
