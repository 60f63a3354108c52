"""The proof of an event."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.errors import VerificationError
from schemas.signatures import der_to_raw, make_proof, proves, read_proof

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1()).public_key()
EVENT = {"id": "1", "data": {"ground": "依法", "n": 1.5}}


def sign(data: bytes) -> bytes:
    return der_to_raw(KEY.sign(data, ec.ECDSA(SHA256())))


def test_a_proof_is_of_one_event_and_one_key() -> None:
    """It holds whatever else `proof` says in the event, and for no other content, key or signature."""
    proof = make_proof(EVENT, "k1", sign)
    read = read_proof(proof)
    assert read.kid == "k1"
    assert proves(read, {**EVENT, "proof": proof}, KEY.public_key())
    assert not proves(read, {**EVENT, "id": "2"}, KEY.public_key())
    assert not proves(read, EVENT, OTHER)
    assert not proves(read._replace(signature=bytes(64)), EVENT, KEY.public_key())


def test_either_s_is_good() -> None:
    """Of (r, s) and (r, n − s) both are signatures by JWS; none of another length is."""
    for _ in range(8):
        read = read_proof(make_proof(EVENT, "k1", sign))
        assert proves(read, EVENT, KEY.public_key())
    assert not proves(read._replace(signature=b""), EVENT, KEY.public_key())


@pytest.mark.parametrize(
    "header", [{"alg": "none", "kid": "k"}, {"alg": "ES256"}, {"alg": "ES256", "kid": "k", "crit": ["x"]}, []]
)
def test_other_headers_are_refused(header: object) -> None:
    """Another algorithm, no kid, something critical, no object."""
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    with pytest.raises(VerificationError):
        read_proof(f"{encoded}..AAAA")


@pytest.mark.parametrize("text", ["", "a.b.c", "a..b..c", "é..é", "x" * 5000])
def test_other_forms_are_refused(text: str) -> None:
    """What is no detached JWS is no proof."""
    with pytest.raises(VerificationError):
        read_proof(text)
