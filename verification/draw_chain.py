"""The chain of an authority's draws, read from a folder: nothing missing, nothing twice, nothing unexplained.

An authority that draws often and shows one suitable draw leaves a gap; one that draws an announcement twice leaves two
transcripts; one that starts over leaves an announcement without transcript or reason.

The replacements of a draw are checked here too:

1. The replacements are numbered from 1 without a gap, each naming the one before (the first one the transcript).
2. Each is canonical, has a reason, and is signed for the transcript's authority.
3. Each newcomer is the next in order by ticket, or by load and duty ticket.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import orjson
from msgspec import UnsetType

from schemas.draw import inspectors as staff
from schemas.draw.aftermath import MAX_BYTES, Absence, Aftermath, Replacement, read_absence, read_replacement
from schemas.draw.documents import (
    FIRST,
    Announcement,
    Reveal,
    Transcript,
    Void,
    read_announcement,
    read_transcript,
    read_void,
)
from schemas.draw.encoding import convert, encode
from schemas.draw.plan import Plan
from schemas.draw.public import BeaconValue, beacon_named
from schemas.draw.seed import check_signature
from schemas.draw.strata import DrawRegister, counts_for
from schemas.errors import DrawError, UsageError
from schemas.trust import TrustStore
from verification.publication import MAX_TOKEN, stamped_at


class Chain:
    """The announcements of an authority by sequence, and their transcripts and voids by digest."""

    def __init__(self, authority: str) -> None:
        self.authority = authority
        self.announcements: dict[int, dict[str, Announcement]] = defaultdict(dict)
        self.transcripts: dict[str, set[str]] = defaultdict(set)  # By digest the SHA-256 of transcript files.
        self.voids: dict[str, Void] = {}
        self.good: set[int] = set()  # The sequences of announcements signed by a key that is not revoked.
        self.files: dict[str, tuple[Announcement, Path]] = {}  # by SHA-256 the transcript files of the folder
        self.reveals: list[Reveal] = []  # reveals that lie in the folder
        self.absences: list[Absence] = []  # announced absences that lie in the folder
        self.timestamps: list[bytes] = []  # RFC 3161 timestamps that lie in the folder
        self.revoked: dict[int, Path] = {}  # By sequence a document about it that a revoked key signed.

    def add(self, announcement: Announcement) -> None:
        """Add an announcement; the same one again is no fault."""
        self.announcements[announcement.sequence][announcement.digest] = announcement

    def missing_earlier(self, own: Announcement) -> list[str]:
        """List earlier transcripts of the same item within twelve months that an announcement does not name."""
        return [
            digest
            for digest, (past, _) in sorted(self.files.items())
            if past.sequence < own.sequence and counts_for(own.plan, past.plan) and digest not in own.earlier
        ]

    def announced(self, digest: str) -> Announcement | None:
        """Return the announcement of this digest, or None where the folder has none."""
        return next((same[digest] for same in self.announcements.values() if digest in same), None)

    def check(self) -> str:
        """Return the number of draws. Raise DrawError for the first fault."""
        last = max(self.announcements, default=0)
        before = FIRST
        taken: dict[str, int] = {}
        voided: dict[str, str] = {}
        for number in range(1, last + 1):
            same = self.announcements.get(number)
            if not same:
                raise DrawError(f"announcement {number} is missing / 缺少第 {number} 号公告")
            if len(same) > 1:
                raise DrawError(f"two announcements have the number {number} / 第 {number} 号公告有两份")
            (announcement,) = same.values()
            if announcement.previous != before:
                raise DrawError(
                    f"announcement {number} does not name the one before it / 第 {number} 号公告未接续前一份"
                )
            self._one(announcement, may_wait=number == last)
            self._again(announcement, voided)
            self._commitments(announcement, taken)
            before = announcement.digest
        self._vouched()
        if stray := (self.voids.keys() | self.transcripts.keys()) - self._digests():
            raise DrawError(f"the announcement {min(stray)} is missing / 缺少公告")
        return f"{last} announcements, {sum(map(len, self.transcripts.values()))} drawn, {len(self.voids)} voided"

    def _vouched(self) -> None:
        """Raise DrawError for a document by a revoked key on which no later good announcement builds.

        A stolen key can sign documents of the past, but a good announcement names only what existed before it.
        """
        last = max(self.good, default=0)
        for number, path in sorted(self.revoked.items()):
            if number >= last:
                raise DrawError(
                    f"announcement {number} rests on a revoked key, and no later announcement by a good one follows "
                    f"/ 签名密钥已吊销，且无后续公告接续",
                    where=str(path),
                )

    def _digests(self) -> set[str]:
        return {digest for same in self.announcements.values() for digest in same}

    def _one(self, announcement: Announcement, *, may_wait: bool) -> None:
        number, digest = announcement.sequence, announcement.digest
        drawn, void = self.transcripts.get(digest, set()), self.voids.get(digest)
        if len(drawn) > 1:
            raise DrawError(f"announcement {number} was drawn twice / 第 {number} 号公告被抽取两次")
        if drawn and void:
            raise DrawError(
                f"announcement {number} is both drawn and voided / 第 {number} 号公告既抽取又作废"
            )
        if void and void.sequence != number:
            raise DrawError(
                f"作废记录编号不符 / the void of announcement {number} says number {void.sequence}"
            )
        if not drawn and not void and not may_wait:
            raise DrawError(
                f"announcement {number} has neither transcript nor void / 第 {number} 号公告下落不明"
            )

    def _again(self, announcement: Announcement, voided: dict[str, str]) -> None:
        """Raise DrawError where a plan is announced again without a void, or does not name the voided announcement."""
        name, number = announcement.plan.plan, announcement.sequence
        if announcement.replaces != voided.get(name):
            raise DrawError(
                f"announcement {number} of plan {name!r} does not replace what it should / 第 {number} 号公告未指明所替代的公告"
            )
        if name in voided and voided[name] not in self.voids:
            raise DrawError(f"plan {name!r} was announced again without a void / 未经作废重复公告")
        voided[name] = announcement.digest

    def _commitments(self, announcement: Announcement, taken: dict[str, int]) -> None:
        for commitment in announcement.commitments:
            if commitment.commitment in taken:
                raise DrawError(
                    f"announcements {taken[commitment.commitment]} and {announcement.sequence} "
                    f"have the same commitment of {commitment.party} / 承诺重复使用"
                )
            taken[commitment.commitment] = announcement.sequence


def read_chain(folder: Path, own: Announcement, transcript: Transcript, trust: TrustStore) -> Chain:
    """Read the chain in a folder together with one transcript. Raise DrawError for a document that breaks a rule."""
    chain = Chain(own.plan.authority)
    chain.add(own)
    itself = encode(transcript)
    chain.transcripts[own.digest].add(hashlib.sha256(itself).hexdigest())
    with suppress(DrawError):  # Their signatures have a check of their own.
        _announced(own, chain, trust, folder)
        _signed(transcript.signature, transcript.to_be_signed, chain, trust, folder, own.sequence)
    if not folder.is_dir():
        raise UsageError(
            "没有这个目录 / there is no such folder",
            where=str(folder),
            hint="the folder with all announcements",
        )
    for path in sorted(folder.rglob("*.json")):
        _read_into(chain, path, trust, itself)
    for path in sorted([*folder.rglob("*.tsr"), *folder.rglob("*.tst")]):
        if path.is_file() and path.stat().st_size <= MAX_TOKEN:
            chain.timestamps.append(path.read_bytes())
    return chain


def _read_into(chain: Chain, path: Path, trust: TrustStore, itself: bytes) -> None:
    """Read one file into the chain; other files, and documents of other authorities, do not count."""
    try:
        data = path.read_bytes()
        if data == itself:
            return  # This is the transcript that is being checked.
        content: Any = orjson.loads(data)
    except (OSError, orjson.JSONDecodeError):
        return
    if not isinstance(content, dict):
        return
    if "void" in content and content.get("authority") == chain.authority:
        void = read_void(data, str(path))
        _signed(void.signature, void.to_be_signed, chain, trust, path, void.sequence)
        if chain.voids.setdefault(void.void, void).reason != void.reason:
            raise DrawError("同一公告作废两次 / a second void of one announcement", where=str(path))
    elif "announcement_digest" in content and _authority(content.get("announcement")) == chain.authority:
        drawn = read_transcript(data, str(path))
        announcement = read_announcement(bytes(drawn.announcement), str(path))
        if announcement.digest != drawn.announcement_digest:
            raise DrawError(
                "公告摘要不符 / announcement_digest is not the digest of the announcement", where=str(path)
            )
        _signed(drawn.signature, drawn.to_be_signed, chain, trust, path, announcement.sequence)
        _announced(announcement, chain, trust, path)
        digest = hashlib.sha256(data).hexdigest()
        chain.transcripts[announcement.digest].add(digest)
        chain.files[digest] = (announcement, path)
        chain.add(announcement)
    elif content.keys() >= {"party", "secret", "signature"}:
        with suppress(DrawError):  # Another file may have these keys.
            chain.reveals.append(convert(content, Reveal))
    elif "absence" in content and "round" in content and content.get("authority") == chain.authority:
        chain.absences.append(read_absence(data, str(path)))
    elif "algorithm" in content and content.get("authority") == chain.authority:
        announcement = read_announcement(data, str(path))
        _announced(announcement, chain, trust, path)
        chain.add(announcement)


def _authority(announcement: Any) -> Any:
    return announcement.get("authority") if isinstance(announcement, dict) else None


def _announced(announcement: Announcement, chain: Chain, trust: TrustStore, path: Path) -> None:
    number = announcement.sequence
    if _signed(announcement.signature, announcement.to_be_signed, chain, trust, path, number):
        chain.good.add(number)


def _signed(
    signature: object, message: bytes, chain: Chain, trust: TrustStore, path: Path, sequence: int
) -> bool:
    """Return True where a key that is not revoked signed it. Raise DrawError where no key of the trust folder did."""
    try:
        kid = check_signature(signature, message, chain.authority, trust, vouched=True)
    except DrawError as error:
        raise DrawError(error.message, where=str(path)) from None
    key = trust.key(kid, "draw")
    good = key is not None and key.revoked_since is None
    if not good:
        chain.revoked.setdefault(sequence, path)
    return good


class Rolls(msgspec.Struct, frozen=True):
    """The registers of a draw from which replacements come."""

    targets: DrawRegister
    inspectors: Sequence[staff.DrawInspector]
    conflicts: Mapping[str, Mapping[str, str]]


def replacements_in(folder: Path, announcement_digest: str) -> list[tuple[Path, bytes]]:
    """List the files in a folder that are replacements of one draw; the same bytes count once."""
    found: dict[bytes, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            if path.stat().st_size > MAX_BYTES:
                continue
            data = path.read_bytes()
            content = orjson.loads(data)
        except (OSError, orjson.JSONDecodeError):
            continue
        if isinstance(content, dict) and content.get("replacement") == announcement_digest:
            found.setdefault(data, path)
    return [(path, data) for data, path in found.items()]


def recorded(folder: Path | None, announcement: Announcement) -> list[tuple[Path, bytes]]:
    """List the replacements of a draw in a chain's folder, unread."""
    return replacements_in(folder, announcement.digest) if folder and folder.is_dir() else []


def check(
    files: Sequence[tuple[Path, bytes]],
    transcript: Transcript,
    announcement: Announcement,
    trust: TrustStore,
    rolls: Rolls | None,
    absences: Mapping[str, Absence] = MappingProxyType({}),
) -> str:
    """Return the number of replacements. Raise DrawError for the first fault. Without `rolls` their order is unchecked.

    `absences` (by digest) are those announced in a plan with a beacon for replacements.
    """
    done = sorted(
        (read_replacement(data, str(path)) for path, data in files), key=lambda r: (r.number, encode(r))
    )
    before = hashlib.sha256(encode(transcript)).hexdigest()
    for number, one in enumerate(done, 1):
        if one.number != number:
            raise DrawError(
                f"two replacements have the number {one.number} / 递补编号重复"
                if one.number < number
                else f"replacement {number} is missing / 缺少第 {number} 号递补"
            )
        if one.previous != before:
            raise DrawError(
                f"replacement {number} does not name the one before it / 第 {number} 号递补未接续"
            )
        _signed_by_authority(one, announcement, trust)
        _from_absence(one, announcement, trust, absences)
        before = hashlib.sha256(encode(one)).hexdigest()
    if rolls is not None:
        after = Aftermath(transcript, announcement, rolls.targets, rolls.inspectors, rolls.conflicts)
        for one in done:
            after.apply(one, absences.get(str(one.absence)))
    return f"{len(done)} replacements"


def absences_in(
    chain: Chain, announcement: Announcement, trust: TrustStore, replaced: int
) -> dict[str, Absence]:
    """Return the announced absences of a draw by digest. Raise DrawError where one is unsigned, lost, or doubled."""
    found = {one.digest: one for one in chain.absences if one.absence == announcement.digest}
    numbers = sorted(one.number for one in found.values())
    if len(set(numbers)) != len(numbers):
        raise DrawError("同一编号有两份缺席公告 / two absences have one number")
    if any(number > replaced + 1 for number in numbers):
        raise DrawError("前一缺席尚未递补 / an absence was announced while the one before had no replacement")
    for one in found.values():
        _signed_by_authority(one, announcement, trust)
    return found


def shown_before_round(absences: Mapping[str, Absence], chain: Chain, plan: Plan, trust: TrustStore) -> bool:
    """Return True where a timestamp of the chain's folder shows each absence to be older than its round."""
    if isinstance(plan.replacements, UnsetType):
        return True
    beacon = beacon_named(plan.replacements.beacon, trust)
    for digest, one in absences.items():
        times = []
        for token in chain.timestamps:
            with suppress(DrawError):
                times.append(stamped_at(token, {bytes.fromhex(digest)}, trust))
        if not times or min(times) >= beacon.time_of(one.round):
            return False
    return True


def _from_absence(
    one: Replacement, announcement: Announcement, trust: TrustStore, absences: Mapping[str, Absence]
) -> None:
    """Raise DrawError where a replacement in a plan with a beacon does not follow an absence of an earlier moment."""
    later = announcement.plan.replacements
    if isinstance(later, UnsetType):
        return
    absence = absences.get(str(one.absence))
    if absence is None or not isinstance(one.public, BeaconValue):
        raise DrawError(f"缺少缺席公告 / the absence of replacement {one.number} is missing")
    said = (absence.number, absence.previous, absence.unavailable, absence.reason, absence.target)
    if said != (one.number, one.previous, one.unavailable, one.reason, one.target):
        raise DrawError(f"递补与缺席公告不符 / replacement {one.number} is not of its absence")
    if (one.public.beacon, one.public.round) != (later.beacon, absence.round):
        raise DrawError(f"轮次与缺席公告不符 / replacement {one.number} takes another round than announced")
    beacon_named(later.beacon, trust).check(one.public)


def _signed_by_authority(one: Replacement | Absence, announcement: Announcement, trust: TrustStore) -> None:
    if one.authority != announcement.plan.authority:
        raise DrawError(f"replacement {one.number} is of another authority / 递补机关不符")
    try:
        check_signature(one.signature, one.to_be_signed, one.authority, trust)
    except DrawError as error:
        raise DrawError(f"递补 / replacement {one.number}: {error.message}") from None
