"""RFC 3161 timestamps over licences that never end: a proof of when they were issued that outlives every key of ours.

Where `timestamp` of the settings names an authority, it is asked after the licence is stored; an authority that is away
holds nothing up, and is asked again at the next drain, on Kafka by the stage `status` after
a minute. The token lies beside the licence as `licence.tsr`.
"""

from __future__ import annotations

import secrets
from typing import Final

from infra.readmodel.database import Database
from infra.transparency.client import TIMEOUT, exchange
from processors import state as states
from schemas import facts
from schemas.errors import DrawError, NotFound, StoreUnavailable, VerificationError
from schemas.facts import LicenceIssued
from schemas.licence import Issued
from schemas.ports import Store
from schemas.trust import TrustStore
from verification.publication import MAX_TOKEN, stamped_at

_POSITION: Final = "stamped"  # the last fact whose licence has its token, or needs none
_QUERY: Final = "application/timestamp-query"
_SHA256: Final = bytes.fromhex("300d06096086480165030402010500")  # AlgorithmIdentifier


def timestamp_key(object_key: str) -> str:
    """Return the key of the token beside a licence."""
    return object_key.rpartition("/")[0] + "/licence.tsr"


def stamp_licences(
    address: str, db: Database, store: Store, trust: TrustStore, most: int | None = None
) -> int:
    """Get and store the tokens that are missing, at most so many; return how many.

    Raises StoreUnavailable where the authority or the store does not answer, VerificationError where its token is not
    over what was asked, or the trust folder does not name the authority.
    """
    made = 0
    sql = "SELECT seq, CAST(fact AS BLOB) FROM facts WHERE type = 'licence.issued' AND seq > ? ORDER BY seq"
    for seq, raw in db.db.execute(sql, (int(db.meta(_POSITION, "0")),)).fetchall():
        if made == most:
            break
        fact = facts.decode(raw)
        assert isinstance(fact.body, LicenceIssued)  # the query asks for no other
        if _never_ends(db, fact.holder, fact.body.issued):
            made += _stamp(address, fact.body.issued, store, trust)
        db.set_meta(_POSITION, str(seq))
    return made


def request(digest: bytes, nonce: int) -> bytes:
    """Return a TimeStampReq over a SHA-256, which asks for the authority's certificate too (RFC 3161, 2.4.1)."""
    imprint = _der(0x30, _SHA256 + _der(0x04, digest))
    number = nonce.to_bytes(nonce.bit_length() // 8 + 1)
    return _der(0x30, bytes.fromhex("020101") + imprint + _der(0x02, number) + bytes.fromhex("0101ff"))


def _never_ends(db: Database, holder: str, issued: Issued) -> bool:
    row = db.db.execute("SELECT state FROM states WHERE holder = ?", (holder,)).fetchone()
    licence = states.decode(row[0]).licences.get(issued.licence_id) if row else None
    versions = licence.versions if licence is not None else ()
    return any(v.grant.version == issued.version and v.grant.valid_until is None for v in versions)


def _stamp(address: str, issued: Issued, store: Store, trust: TrustStore) -> bool:
    key, digest = timestamp_key(issued.object_key), bytes.fromhex(issued.object_sha256)
    try:
        store.get(key)
        return False
    except NotFound:
        pass
    body = request(digest, secrets.randbits(64))
    status, token = exchange(address, MAX_TOKEN, TIMEOUT, body, _QUERY)
    if status != 200:
        raise StoreUnavailable(f"时间戳机构没有应答 / the timestamp authority: HTTP {status}", where=address)
    try:
        stamped_at(token, {digest}, trust)
    except DrawError as error:
        raise VerificationError(error.message, where=address, hint=error.hint) from None
    store.put(key, token)
    return True


def _der(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content  # nothing here is longer than 127 bytes
