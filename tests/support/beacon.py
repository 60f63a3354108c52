"""A randomness beacon of the tests (BLS over BLS12-381, keys in G2, by py_ecc) and real rounds of drand's quicknet."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from pathlib import Path

from py_ecc.bls.g2_primitives import G1_to_pubkey, G2_to_signature
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.optimized_bls12_381 import G2, curve_order, multiply

DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
_KEY = int.from_bytes(sha256(b"beacon of the tests").digest()) % curve_order

# Rounds as the public network signed them.
QUICKNET = {
    1000: "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
    12040883: "929906c959032ab363c9f26570d215d66f5c06cb0c44fe508c12bb5839f04ec895bb6868e5b9ff13ab289bdb5266b394",
    32281667: "b0f5ae301358ff87a9d3dd539ed4a07c0148b1ab4f7b61a8ca43c7e9ca7ca9553e4faae9188deb30b2cd1a7f447e3e5b",
    32285086: "a64d99fd7fa3e48912be7209c7b69c72c88fc5224be2516949b6f29f3a4b7e3fa069dd58b2bbb4bf2c34ae61ef631a44",
}


def signature(round_: int) -> str:
    """Sign a round as drand's scheme bls-unchained-g1-rfc9380 does, in hex."""
    message = sha256(round_.to_bytes(8)).digest()
    return bytes(G1_to_pubkey(multiply(hash_to_G1(message, DOMAIN, sha256), _KEY))).hex()


def beacon(genesis_time: int, period: int = 1) -> dict[str, object]:
    """Return the entry of `beacons.json`."""
    return {
        "scheme": "bls-unchained-g1-rfc9380",
        "public_key": bytes(G2_to_signature(multiply(G2, _KEY))).hex(),
        "chain_hash": sha256(b"chain of the tests").hexdigest(),
        "genesis_time": genesis_time,
        "period": period,
    }


def install(trust: Path) -> int:
    """Add the beacon `test`, one round a second, to a trust folder; return the Unix time of its genesis."""
    genesis = int(time.time()) - 1000
    (trust / "beacons.json").write_text(json.dumps({"test": beacon(genesis)}))
    return genesis
