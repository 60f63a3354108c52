"""The content of a log's entries, and the rules that they must keep among themselves.

Numbers are judged by series. A log names no series, but its status lists do: the list of a series has the first
twelve hex digits of the SHA-256 of the series' text in its name, so that each number's split into series and
serial can be found by whoever has the log alone.

Verification of what a log shows: its checkpoint, the witnesses' signatures, inclusion and continuation.

Nothing is believed but the policy: the log's origin and keys, the witnesses, and how many of them are needed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection

import msgspec

from schemas.errors import VerificationError
from schemas.transparency.entries import (
    AnnouncementEntry,
    ImportedEntry,
    LicenceEntry,
    LogEntry,
    ReplacementEntry,
    StatusEntry,
    TranscriptEntry,
    TrustEntry,
    VoidEntry,
)
from schemas.transparency.merkle import check_consistency, check_inclusion, leaf_hash
from schemas.transparency.notes import (
    Checkpoint,
    Cosignature,
    VerifierKey,
    check_cosignatures,
    check_log_signature,
    read_checkpoint,
    read_note,
    read_proof,
)
from schemas.trust import TrustStore

_DIGITS = frozenset("0123456789")


class LoggedDraw(msgspec.Struct):
    """The papers of one draw as logged: digest → index of each kind."""

    announcements: dict[str, int]
    transcripts: dict[str, int]
    voids: dict[str, int]
    others: list[int]  # replacements and results


class LogBook:
    """All entries of a log, by what they are about."""

    def __init__(self) -> None:
        self.versions: dict[str, set[int]] = defaultdict(set)  # number → versions
        self.imported: set[str] = set()
        self.draws: dict[tuple[str, int], LoggedDraw] = {}
        self.editions: dict[str, StatusEntry] = {}  # list's URI → its latest edition
        self._trust: dict[int, str] = {}
        self._lists: set[str] = set()  # digests of the series that have a status list
        self._twice: list[str] = []
        self._disorder: list[str] = []

    def add(self, index: int, entry: LogEntry) -> None:
        """Take in the entry at `index`; entries come in their order."""
        match entry:
            case LicenceEntry():
                self._licence(index, entry)
            case ImportedEntry():
                self.imported.add(entry.number)
            case StatusEntry():
                self._edition(index, entry)
            case TrustEntry():
                self._trust_edition(index, entry)
            case AnnouncementEntry():
                self._draw(entry).announcements[entry.digest] = index
            case TranscriptEntry():
                self._draw(entry).transcripts[entry.digest] = index
            case VoidEntry():
                self._draw(entry).voids[entry.digest] = index
            case ReplacementEntry():
                self._draw(entry).others.append(index)

    def number_faults(self) -> list[str]:
        """Name each (number, version) that stands twice, and each version or serial that was left out."""
        faults = list(self._twice)
        for number, versions in self.versions.items():
            if number in self.imported:
                continue  # the first versions are older than the log
            missing = sorted(set(range(1, max(versions))) - versions)
            faults += [f"{number}: 第 {v} 版不在日志中 / version {v} is not in the log" for v in missing]
        for series, serials in self._series().items():
            faults += self._gaps(series, serials)
        return faults

    def draw_faults(self) -> list[str]:
        """Name what is wrong with the draws of each authority: twice, left out, never ended, ended before it began."""
        faults: list[str] = []
        last: dict[str, int] = {}
        for authority, sequence in sorted(self.draws):
            expected = last.get(authority, 0) + 1
            if sequence != expected:
                faults.append(
                    f"{authority}: 缺少第 {expected} 号公告 / announcements from {expected} to {sequence - 1} are missing"
                )
            last[authority] = sequence
        for (authority, sequence), draw in sorted(self.draws.items()):
            where = f"{authority} {sequence}"
            faults += [f"{where}: {said}" for said in _draw_faults(draw, waits=sequence == last[authority])]
        return faults

    def edition_faults(self) -> list[str]:
        """Name each edition of the trust folder or a status list that came out of its order or twice."""
        faults = list(self._disorder)
        if self._trust:
            whole = range(min(self._trust), max(self._trust) + 1)
            faults += [
                f"trust.json: 缺少第 {n} 期 / edition {n} is missing" for n in whole if n not in self._trust
            ]
        return faults

    def register_faults(
        self, register: Collection[str], living: Callable[[str, str], int | None] | None
    ) -> tuple[list[str], str]:
        """Compare a register of licence numbers with the log; return the faults, and what to say without any.

        Each row must be in the log; as many rows with a licence of ours as the status lists of their series have
        places that are not invalid.
        """
        rows = set(register)
        faults = [
            f"{n}: 不在日志中 / is not in the log"
            for n in sorted(rows - self.versions.keys() - self.imported)
        ]
        if len(rows) != len(register):
            faults.append("登记表中编号重复 / a number twice in the register")
        ours = {number for number in rows if number in self.versions}
        count, unread = self._living({self._split(number)[0] for number in ours}, living)
        if unread:
            return (
                faults,
                f"{len(rows)} 行均在日志中，状态未核对 / {len(rows)} rows are in the log; status not compared: {unread}",
            )
        if count != len(ours):
            faults.append(
                f"登记表与日志数目不符 / the register has {len(ours)} licences, the log's status lists {count} living ones"
            )
        return faults, f"{len(rows)} 行，与日志一致 / {len(rows)} rows, as many as the log says"

    def _living(self, series: set[str], living: Callable[[str, str], int | None] | None) -> tuple[int, str]:
        count = 0
        names = {_list_name(one) for one in series}
        if "" in series or living is None:
            return 0, "no status lists / 无状态列表"
        for uri, edition in self.editions.items():
            if _series_digest(uri) in names:
                found = living(uri, edition.sha256)
                if found is None:
                    return 0, uri
                count += found
        return count, ""

    def _licence(self, index: int, entry: LicenceEntry) -> None:
        if entry.version in self.versions[entry.number]:
            self._twice.append(
                f"第 {index} 条 / entry {index}: {entry.number} 第 {entry.version} 版出现两次 / version {entry.version} twice"
            )
        self.versions[entry.number].add(entry.version)

    def _edition(self, index: int, entry: StatusEntry) -> None:
        before = self.editions.get(entry.uri)
        if before is not None and entry.iat < before.iat:
            self._disorder.append(f"第 {index} 条 / entry {index}: {entry.uri} goes back in time / 时间倒退")
        self.editions[entry.uri] = entry
        self._lists.add(_series_digest(entry.uri))

    def _trust_edition(self, index: int, entry: TrustEntry) -> None:
        if entry.sequence in self._trust:
            self._disorder.append(
                f"第 {index} 条 / entry {index}: trust.json {entry.sequence} 出现两次 / twice"
            )
        elif self._trust and entry.sequence < max(self._trust):
            self._disorder.append(
                f"第 {index} 条 / entry {index}: trust.json {entry.sequence} goes back / 倒退"
            )
        self._trust[entry.sequence] = entry.sha256

    def _draw(self, entry: AnnouncementEntry | TranscriptEntry | VoidEntry | ReplacementEntry) -> LoggedDraw:
        return self.draws.setdefault((entry.authority, entry.sequence), LoggedDraw({}, {}, {}, []))

    def _series(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for number in self.versions:
            series, serial = self._split(number)
            if series:
                found[series].add(serial)
        return found

    def _gaps(self, series: str, serials: set[int]) -> list[str]:
        """Name the serials that nobody has. An imported number lets its series jump over those below it."""
        known = {number for number in self.imported if number.startswith(series)}
        jumps = {int(n[len(series) :]) for n in known if set(n[len(series) :]) <= _DIGITS and n != series}
        ceiling = max(jumps, default=0)
        missing = sorted(n for n in set(range(1, max(serials))) - serials if n > ceiling)
        return [f"{series}: 序号 {n} 不在日志中 / serial {n} is not in the log" for n in missing]

    def _split(self, number: str) -> tuple[str, int]:
        """Return series and serial of a number, ('', 0) where no status list of the log is that of its series."""
        at = len(number)
        while at > 1 and number[at - 1] in _DIGITS:
            at -= 1
            if _list_name(number[:at]) in self._lists:
                return number[:at], int(number[at:])
        return "", 0


def _draw_faults(draw: LoggedDraw, *, waits: bool) -> list[str]:
    faults = []
    if len(draw.announcements) > 1:
        faults.append("公告有两份 / two announcements")
    if len(draw.transcripts) > 1:
        faults.append("抽取两次 / two transcripts")
    if len(draw.voids) > 1 or (draw.voids and draw.transcripts):
        faults.append("既抽取又作废，或作废两次 / voided and drawn, or voided twice")
    after = [*draw.transcripts.values(), *draw.voids.values(), *draw.others]
    if not draw.announcements:
        return [*faults, "无公告 / no announcement is in the log"]
    if after and min(after) < min(draw.announcements.values()):
        faults.append("先于公告 / older than its announcement")
    if not draw.transcripts and not draw.voids and not waits:
        faults.append("下落不明 / neither transcript nor void")
    return faults


def _list_name(series: str) -> str:
    return hashlib.sha256(series.encode()).hexdigest()[:12]


def _series_digest(uri: str) -> str:
    return uri.rpartition("/status/")[2][:12]


class LogPolicy(msgspec.Struct, frozen=True):
    """The parties that a verifier believes: the log's origin and keys, witnesses, and how many of them must have signed."""

    origin: str
    keys: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    needed: int = 0


class WitnessedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint with a good signature of its log, and what known witnesses signed of it."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    data: bytes

    def witnessed_by(self, needed: int) -> int | None:
        """Return the moment (seconds since 1970) by which `needed` distinct witnesses had signed; None for fewer."""
        first: dict[bytes, int] = {}
        for one in self.cosignatures:  # one key under two names is one witness
            first[one.witness.public] = min(one.time, first.get(one.witness.public, one.time))
        times = sorted(first.values())
        return times[needed - 1] if 0 < needed <= len(times) else None


class Inclusion(msgspec.Struct, frozen=True):
    """A verified proof: the entry stands at `index` in the log of the checkpoint."""

    index: int
    seen: WitnessedCheckpoint


def verify_checkpoint(data: bytes, policy: LogPolicy) -> WitnessedCheckpoint:
    """Verify a checkpoint: (1) its form, (2) its origin, (3) the log's signature, (4) the witnesses and their number.

    Raises VerificationError for the first that fails. A known key's bad signature refuses the whole note.
    """
    note = read_note(data)  # (1)
    checkpoint = read_checkpoint(note)
    if checkpoint.origin != policy.origin:  # (2)
        raise VerificationError(
            f"另一个日志 / the checkpoint is of the log {checkpoint.origin[:80]!r}, not of {policy.origin!r}"
        )
    check_log_signature(note, policy.keys)  # (3)
    seen = WitnessedCheckpoint(checkpoint, check_cosignatures(note, policy.witnesses), data)
    if policy.needed and seen.witnessed_by(policy.needed) is None:  # (4)
        raise VerificationError(
            f"见证签名不足 / {len(seen.cosignatures)} of the {policy.needed} witnesses needed have signed"
        )
    return seen


def verify_proof(proof: bytes, entry: bytes, policy: LogPolicy) -> Inclusion:
    """Verify that an entry stands in the log that a proof (tlog-proof) names. Raises VerificationError."""
    read = read_proof(proof)
    seen = verify_checkpoint(read.checkpoint, policy)
    head = seen.checkpoint
    check_inclusion(leaf_hash(entry), read.index, head.size, read.path, head.root)
    return Inclusion(read.index, seen)


def verify_continuation(old: Checkpoint, new: Checkpoint, proof: tuple[bytes, ...]) -> None:
    """Verify that one checkpoint continues the other. Raises VerificationError where it does not."""
    if old.origin != new.origin:
        raise VerificationError(f"两个不同的日志 / two logs: {old.origin!r} and {new.origin!r}")
    check_consistency(old.size, old.root, new.size, new.root, proof)


def policy_of(trust: TrustStore) -> LogPolicy | None:
    """Return whom a trust folder names for its log, None where it has no log. A revoked key counts no more."""
    keys = tuple(verifier for key, verifier in trust.log_keys if key.revoked_since is None)
    listing = trust.listing
    return LogPolicy(listing.log_origin, keys, trust.witnesses, listing.witnesses_needed) if keys else None
