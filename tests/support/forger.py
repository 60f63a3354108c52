"""An installation, forgers around it, and the form of a row: a file and the verdict on it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from bureau import DECIDED, FROM, HOST, LIFE, NOON, PROVINCE, ROLES, URI, Bureau, numbered
from forgeries import flip, kid_of, sign
from logs import NearWitness, seed
from memory_store import MemoryStore

from infra.transparency.sequencer import Sequencer, SqliteOrder, seeded_signer
from infra.transparency.tiles import StoredLog
from issuance import keys
from issuance.certificates import Role
from issuance.signer import SoftwareSigner, read_keystore, read_root
from issuance.status_lists import Edition
from schemas import signatures
from schemas.licence import Numbered, qr_text
from schemas.status_list import StatusReason, pack
from schemas.transparency.entries import LicenceEntry, LogEntry
from schemas.trust import ANY_AUTHORITY, RootSignature, TrustList, TrustStore, encode_signature, load_trust
from verification.browser_page import trust_bundle
from verification.status import Candidate
from verification.verify import Verdict, verify_bytes

OTHER_PROVINCE = "urn:agency:620000:market-regulation"
DAYS = timedelta(days=1)
NAME = "青海省市场监督管理局"
WITNESS = "witness.example.cn"


class Unread(NamedTuple):
    """A reason why a browser answers `unknown`, with the check that says so, where Python reads more."""

    check: str
    reason: str


class Row(NamedTuple):
    """A file and the verdict on it; `failed` are the checks that say no, in order.

    `unread` marks the rows where Python and a browser may differ: a browser may know less, and then answers `unknown`;
    it never trusts more.
    """

    name: str
    data: bytes
    verdict: str
    failed: tuple[str, ...] = ()
    genuine: bool = False
    trust: str = "own"
    at: datetime = NOON
    editions: tuple[str, ...] | None = ("first",)
    credential: bytes | None = None
    picture: bool = False  # a decoder of pictures is needed, which node has not
    unread: Unread | None = None
    proofs: tuple[bytes, ...] | None = None  # of the transparency log; None: nobody asks for one


class Editions:
    """A source that gives the editions of a row, all of them."""

    def __init__(self, editions: list[tuple[bytes, bytes | None]]) -> None:
        self.editions = editions

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        return [Candidate("given", one, lambda beside=beside: beside) for one, beside in self.editions]  # type: ignore[misc]


class GivenProofs:
    """A source that gives the proofs of a row."""

    def __init__(self, proofs: tuple[bytes, ...]) -> None:
        self._proofs = proofs

    def proofs(self, credential: str, before: int | None) -> tuple[bytes, ...]:
        return self._proofs


class PublicLog:
    """The transparency log of an installation: its writer, and one witness whose clock a test sets."""

    def __init__(self, folder: Path, bureau: Bureau) -> None:
        ((key, named),) = bureau.trust.log_keys
        seed_of_log = read_keystore(bureau.data, None)[key.kid]
        signer = seeded_signer(named.name, seed_of_log)
        self.witness = NearWitness(folder / "witness", WITNESS, signer.log_key)
        self.store = MemoryStore()
        order = SqliteOrder(folder / "order.sqlite")
        self._writer = Sequencer(order, StoredLog(self.store), signer, [self.witness], 1)

    def add(self, at: datetime, *entries: LogEntry) -> None:
        """Publish entries under a head that the witness signs at a moment."""
        self.witness.now = int(at.timestamp())
        self._writer.append(entries)
        self._writer.publish()

    def proof(self, entry: LogEntry, *, carried: bool = True) -> bytes:
        """Return the proof of an entry by the newest head, which carries the entry or does not."""
        made = self._writer.prove(entry.id)
        return msgspec.structs.replace(made, extra=entry.to_bytes() if carried else None).to_bytes()


def entry_of(licence: Numbered, credential: bytes, pdf: bytes) -> LicenceEntry:
    """Return the entry of a licence in the log."""
    digests = (hashlib.sha256(data).hexdigest() for data in (credential, pdf))
    return LicenceEntry(licence.number, licence.grant.version, licence.identifier, *digests)


class Forger:
    """An installation of two authorities, another one, good files, and editions of the status list, good and bad."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bureau = _bureau(folder / "own")
        self.other = _bureau(folder / "other")
        self.trusts: dict[str, Path] = {"own": folder / "own" / "trust"}
        self.licence = numbered()
        self.cwt, self.body = self.bureau.credential(self.licence)
        self.pdf = self.bureau.pdf(self.licence)
        self.text = qr_text(HOST, self.cwt).encode()
        self.log = PublicLog(folder / "log", self.bureau)
        self.editions: dict[str, tuple[bytes, bytes | None]] = dict(self._editions())

    def store(self, trust: str) -> TrustStore:
        """Return a trust folder as Python reads it."""
        return load_trust(self.trusts[trust])

    def bundle(self, trust: str) -> bytes:
        """Return a trust folder as browsers read it."""
        folder = self.trusts[trust]
        return trust_bundle({p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")})

    def source(self, row: Row) -> Editions | None:
        """Return the status lists of a row."""
        return None if row.editions is None else Editions([self.editions[name] for name in row.editions])

    def verify(self, row: Row) -> Verdict:
        """Return what the Python verifier says."""
        source = self.source(row)
        trust = self.store(row.trust)
        return verify_bytes(
            row.data,
            name=row.name,
            trust=trust,
            status=source,
            at=row.at,
            credential=row.credential,
            log=None if row.proofs is None else GivenProofs(row.proofs),
        )

    def _editions(self) -> Iterator[tuple[str, tuple[bytes, bytes | None]]]:
        def both(edition: Edition) -> tuple[bytes, bytes]:
            return edition.list_cwt, edition.reasons_cwt

        first = self.bureau.edition(DECIDED)
        held = StatusReason("suspended", "暂扣至2018-09-13 / suspended until 2018-09-13", "2018-09-12")
        second = self.bureau.edition(DECIDED + 2 * DAYS, {3: 2}, {3: held}, first.published)
        false = StatusReason("rescinded", "承诺不实 / false commitment", "2018-09-14")
        third = self.bureau.edition(DECIDED + 4 * DAYS, {3: 1}, {3: false}, second.published)
        newer = StatusReason("replaced", "已换发 / replaced by a later version", "2018-09-10", 2)
        replaced = self.bureau.edition(DECIDED + timedelta(hours=1), {3: 1}, {3: newer}, first.published)
        yield from (("first", both(first)), ("suspended", both(second)), ("rescinded", both(third)))
        yield "replaced", both(replaced)
        yield "without reasons", (third.list_cwt, None)
        yield "reasons of another", (third.list_cwt, second.reasons_cwt)
        yield "reasons spoilt", (third.list_cwt, flip(third.reasons_cwt, -5))
        yield "spoilt", (flip(third.list_cwt, -5), third.reasons_cwt)
        yield "cut off", (third.list_cwt[:-1], None)
        yield "of another installation", both(self.other.edition(DECIDED))
        start = int(DECIDED.timestamp())
        good = {2: URI, 4: start + 7 * 86_400, 6: start, "edition": 1, 65533: {"bits": 2, "lst": pack({}, 8)}}
        kid = kid_of(self.bureau, ANY_AUTHORITY, "status", DECIDED)
        crafted: dict[str, dict[int | str, Any]] = {
            "same second, later number": {"edition": 2, 65533: {"bits": 2, "lst": pack({3: 1}, 8)}},
            "too short": {65533: {"bits": 2, "lst": pack({}, 0)}},
            "one bit": {65533: {"bits": 1, "lst": pack({}, 8)}},
            "no zlib": {65533: {"bits": 2, "lst": b"no zlib"}},
            "zlib cut off": {65533: {"bits": 2, "lst": pack({}, 8)[:-2]}},
            "zlib with more behind": {65533: {"bits": 2, "lst": pack({}, 8) + b"\0"}},
            "times turned round": {4: start, 6: start + 1},
            "of another list": {2: URI + "0"},
            "a place of the reserved kind": {65533: {"bits": 2, "lst": pack({3: 3}, 8)}},
        }
        for name, change in crafted.items():
            yield name, (sign(self.bureau, kid, good | change, signatures.STATUS_LIST_CWT), None)
        stranger = kid_of(self.bureau, PROVINCE, "credential", DECIDED)
        yield "by a credential key", (sign(self.bureau, stranger, good, signatures.STATUS_LIST_CWT), None)
        yield "of another type", (sign(self.bureau, kid, good, signatures.CWT), None)

    @property
    def kid(self) -> str:
        """Return the id of the key that signs credentials."""
        return kid_of(self.bureau, PROVINCE, "credential", DECIDED)

    @property
    def payload(self) -> bytes:
        """Return the payload of the good credential."""
        return signatures.read_sign1(self.cwt, type_=signatures.CWT, max_bytes=700).payload

    def signed(self, claims: Any) -> bytes:
        """Return a credential over any claims."""
        return sign(self.bureau, self.kid, claims)

    def copy(self, name: str) -> Bureau:
        """Return the same installation in another folder, whose trust may change."""
        shutil.copytree(self.bureau.data, self.folder / name)
        self.trusts[name] = self.folder / name / "trust"
        copied = Bureau.__new__(Bureau)
        copied.data = self.folder / name
        return copied

    def revoke(self, name: str, authority: str, use: Any, since: datetime) -> None:
        """Put a trust folder beside, in which a key is revoked since a moment."""
        copied = self.copy(name)
        kid = kid_of(copied, authority, use, DECIDED)
        keys.revoke(
            copied.data, copied.trust, kid, since, name=NAME, outlives=5, now=DECIDED, passphrase=None
        )


def _bureau(folder: Path) -> Bureau:
    """Return an installation with a second authority."""
    more = tuple(Role(OTHER_PROVINCE, "甘肃省市场监督管理局", role.use) for role in ROLES[:2])
    witness = str(seeded_signer(WITNESS, seed(WITNESS)).witness_key)
    terms = keys.LogTerms("zhengzhao.example/log", (witness,), 1)
    roles = (*ROLES, *more, Role(ANY_AUTHORITY, "zhengzhao", "log"))
    keys.init(folder, roles, LIFE, now=FROM, passphrase=None, log=terms)
    return Bureau(folder)


def sign_listing(bureau: Bureau, listing: TrustList) -> None:
    """Write `trust.json` with this content, signed by the root of an installation."""
    scalars = read_root(bureau.data, None)
    assert listing.signature is not None
    kid = listing.signature.kid
    plain = msgspec.structs.replace(listing, signature=None)
    value = encode_signature(SoftwareSigner(scalars).sign(kid, "ES256", plain.to_be_signed()))
    signed = msgspec.structs.replace(plain, signature=RootSignature("ES256", kid, value))
    (bureau.data / "trust" / "trust.json").write_bytes(signed.to_bytes())
