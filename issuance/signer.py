"""The port through which everything is signed, and the signer that holds its keys in memory.

A hardware module or a signing service implements the same three lines. Our own signatures are deterministic
(RFC 6979), so that issuing again after a crash gives the same bytes; a signer with random ones is served too:
a stage that finds its object already stored verifies and adopts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.ecdsa import der_to_raw, low_s
from schemas.errors import KeysMissing

ES256 = "ES256"
_SCHEME = ec.ECDSA(SHA256(), deterministic_signing=True)


class Signer(Protocol):
    """Signs bytes with a named key."""

    def sign(self, kid: str, alg: str, data: bytes) -> bytes:
        """The signature, raw `r ‖ s` (64 bytes) with the lower s. KeysMissing without such a key."""
        ...


class SoftwareSigner:
    """Private keys in memory; `scalars` maps key id → private number (32 bytes, big-endian)."""

    def __init__(self, scalars: Mapping[str, bytes]) -> None:
        self._scalars = dict(scalars)
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def __repr__(self) -> str:
        return f"<SoftwareSigner with {len(self._scalars)} keys>"

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the keys that can sign here."""
        return frozenset(self._scalars)

    def private_key(self, kid: str) -> ec.EllipticCurvePrivateKey:
        """The key itself, for what only a private key can make (certificates). KeysMissing without it."""
        if kid not in self._keys:
            scalar = self._scalars.get(kid)
            if scalar is None:
                raise KeysMissing(
                    f"no private key {kid} / 没有该密钥",
                    hint="is this the data folder that has signed with it?",
                )
            self._keys[kid] = ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())
        return self._keys[kid]

    def sign(self, kid: str, alg: str, data: bytes) -> bytes:
        if alg != ES256:
            raise KeysMissing(f"this signer has no {alg}", hint=f"the keys of the trust folder are {ES256}")
        return low_s(der_to_raw(self.private_key(kid).sign(data, _SCHEME)))
