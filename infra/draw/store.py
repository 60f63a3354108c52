"""The chain of draws of a data folder: `DIR/draws/<authority>/<sequence>.announcement.json` and the papers that follow.

Each authority's announcements are numbered without a gap, each naming the one before. A lock is held while a
document gets its place, so that no two made at the same time share a sequence. Documents are written whole or not
at all, and never changed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from infra.draw.files import write_whole
from infra.draw.register import kept_register
from issuance.signer import ES256, Signer
from schemas.calendar import CHINA
from schemas.draw.aftermath import MAX_BYTES, Absence, Replacement, read_absence, read_replacement
from schemas.draw.documents import (
    FIRST,
    Announcement,
    Reveal,
    Transcript,
    Void,
    announcement_of,
    read_announcement,
    read_transcript,
    read_void,
)
from schemas.draw.encoding import encode, is_text
from schemas.draw.plan import Plan, day
from schemas.draw.public import PublicValue
from schemas.draw.seed import DrawSigner, sign
from schemas.draw.strata import counts_for
from schemas.errors import DrawError, LintError, NotFound
from schemas.trust import ANY_AUTHORITY, TrustStore


class Link(msgspec.Struct, frozen=True):
    """An announcement on record, with the files of its transcript or void."""

    announcement: Announcement
    transcript: Path | None
    void: Path | None

    @property
    def state(self) -> str:
        """The state: `announced`, `drawn` or `voided`."""
        return "drawn" if self.transcript else "voided" if self.void else "announced"

    def overdue(self, now: datetime) -> bool:
        """Return True where it has neither transcript nor void although its period has begun: an alarm."""
        begins = day(self.announcement.plan.period[0], "period")
        return self.state == "announced" and begins <= now.astimezone(CHINA).date()


class KeyOfDraws(msgspec.Struct, frozen=True):
    """A draw key of the data folder: `schemas.draw.seed.DrawSigner` over a `Signer`."""

    kid: str
    signer: Signer

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature r ‖ s."""
        return self.signer.sign(self.kid, ES256, message)


def draw_key(signer: Signer, trust: TrustStore, plan: Plan, now: datetime) -> DrawSigner:
    """Return the key that signs this plan's documents: the authority's own, else the installation's.

    The documents have no date; so where no key signs today, as in stories of the past, the key of the plan's
    period does. Raise LintError where there is no such key.
    """
    return KeyOfDraws(_kid(trust, plan, now), signer)


def _kid(trust: TrustStore, plan: Plan, now: datetime) -> str:
    begins = datetime.combine(day(plan.period[0], "period"), datetime.min.time(), CHINA)
    for at in (now, begins):
        for authority in (plan.authority, ANY_AUTHORITY):
            try:
                return trust.signing_key(authority, "draw", at).kid
            except LintError as error:
                missing = error
    raise missing


class DrawStore:
    """The chain of one data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "draws"

    # --- reading

    def chain(self, authority: str) -> list[Link]:
        """Return the announcements of an authority in order. Raise DrawError where the folder has a gap."""
        folder = self._of(authority)
        links = [self._link(path) for path in sorted(folder.glob("*.announcement.json"))]
        for number, link in enumerate(links, 1):
            before = links[number - 2].announcement.digest if number > 1 else FIRST
            if link.announcement.sequence != number or link.announcement.previous != before:
                raise DrawError(
                    f"the chain of {authority} is broken at number {number} / 公告链断裂",
                    where=str(folder),
                    hint="restore the folder from its backup",
                )
        return links

    def authorities(self) -> list[str]:
        """Return the authorities that have announced a draw."""
        first = (
            next(iter(sorted(f.glob("*.announcement.json"))), None) for f in sorted(self._folder.glob("*/"))
        )
        return [self._link(path).announcement.plan.authority for path in first if path]

    def every(self) -> Iterator[Link]:
        """Yield all announcements of all authorities."""
        for authority in self.authorities():
            yield from self.chain(authority)

    def find(self, announcement: Announcement) -> Link:
        """Return the record of exactly this announcement. Raise NotFound where the data folder has none."""
        path = self._path(announcement, "announcement")
        if path.is_file() and path.read_bytes() == announcement.bytes:
            return self._link(path)
        raise NotFound(
            "this announcement is not on record in the data folder / 该公告未在本数据目录备案",
            hint="--data DIR: the folder in which it was announced",
        )

    def transcript(self, announcement: Announcement) -> bytes | None:
        """Return the transcript on record of exactly this announcement, or None where it was not drawn."""
        path = self.find(announcement).transcript
        return path.read_bytes() if path else None

    def register_before(self, announcement: Announcement) -> Path | None:
        """Return the targets of the authority's announcement before, where `register import` kept them."""
        if announcement.sequence == 1:
            return None
        last = self.chain(announcement.plan.authority)[announcement.sequence - 2].announcement
        return kept_register(self._folder.parent / "registers", "targets", last.registers.targets.digest)

    # --- writing

    def announce(
        self, content: dict[str, Any], plan: Plan, signer: DrawSigner, salt: str = ""
    ) -> Announcement:
        """Give a prepared announcement its place in the chain, sign and record it, with the salt of its Merkle root."""
        with self._lock():
            chain = self.chain(plan.authority)
            replaces = self._replaces(chain, plan)
            self._refuse_used_commitments(content)
            place: dict[str, Any] = {
                "sequence": len(chain) + 1,
                "previous": chain[-1].announcement.digest if chain else FIRST,
            }
            if replaces:
                place["replaces"] = replaces
            unsigned = announcement_of(content | place, signed=False)
            signature = msgspec.to_builtins(sign(unsigned.to_be_signed, signer))
            announcement = announcement_of(unsigned.content | {"signature": signature})
            if salt:
                self._write(self._salt(announcement), salt.encode(), private=True)
            self._write(self._path(announcement, "announcement"), announcement.bytes)
            return announcement

    def earlier(self, plan: Plan) -> list[Path]:
        """List the transcripts of the same item and authority that keep their targets out of this plan's draw."""
        links = self.chain(plan.authority)
        return [
            link.transcript for link in links if link.transcript and counts_for(plan, link.announcement.plan)
        ]

    def undrawn(self, plan: Plan) -> list[Link]:
        """List the announcements of the same item and authority that are neither drawn nor voided."""
        return [
            link
            for link in self.chain(plan.authority)
            if link.state == "announced" and counts_for(plan, link.announcement.plan)
        ]

    def void(
        self,
        announcement: Announcement,
        reason: str,
        signer: DrawSigner,
        reveals: Sequence[Reveal] = (),
        public: PublicValue | None = None,
    ) -> bytes:
        """Void an announcement that was not drawn; return the signed void, with all reveals where there are any."""
        if not is_text(reason):
            raise DrawError(
                "作废须写明理由（一行文字）/ a void needs a reason, in one line", hint='--reason "…"'
            )
        plan = announcement.plan
        with self._lock():
            link = self.find(announcement)
            if link.transcript:
                raise DrawError("已抽取的公告不得作废 / a drawn announcement cannot be voided")
            if link.void:
                raise DrawError(f"公告已作废 / the announcement is voided already: {link.void}")
            void = Void(
                announcement.digest,
                plan.authority,
                announcement.sequence,
                reason.strip(),
                list(reveals) or UNSET,
                UNSET if public is None else public,
            )
            data = encode(msgspec.structs.replace(void, signature=sign(void.to_be_signed, signer)))
            self._write(self._path(announcement, "void"), data)
            return data

    def record(self, announcement: Announcement, transcript: Transcript, signer: DrawSigner) -> bytes:
        """Sign and record a transcript; return the one on record where it is the same draw.

        Raise DrawError where the announcement is voided, or was drawn with other reveals.
        """
        with self._lock():
            link = self.find(announcement)
            self.refuse_voided(link)
            if link.transcript:
                data = link.transcript.read_bytes()
                if _draw_of(read_transcript(data)) == _draw_of(transcript):
                    return data
                raise DrawError(
                    f"it was drawn already, with other reveals: {link.transcript} / 已抽取，不得重抽",
                    hint="one announcement is drawn once",
                )
            signature = sign(transcript.to_be_signed, signer)
            data = encode(msgspec.structs.replace(transcript, signature=signature))
            self._write(self._path(announcement, "transcript"), data)
            return data

    def replacements(self, announcement: Announcement) -> list[Replacement]:
        """Return the replacements of a draw on record, in order."""
        files = self.replacement_files(announcement)
        return [read_replacement(path.read_bytes(), str(path)) for path in files]

    def announcement_file(self, announcement: Announcement) -> Path:
        """Return the file of an announcement on record."""
        return self._path(announcement, "announcement")

    def replacement_files(self, announcement: Announcement) -> list[Path]:
        """Return the files of the replacements of a draw on record, in order."""
        return self._numbered(announcement, "replacement")

    def _numbered(self, announcement: Announcement, what: str) -> list[Path]:
        own = self._path(announcement, what).name.removesuffix("json")
        return sorted(self._of(announcement.plan.authority).glob(f"{own}*.json"))

    def replace(
        self, announcement: Announcement, next_: Callable[[], Replacement], signer: DrawSigner
    ) -> bytes:
        """Sign and record the replacement that `next_` returns, under the lock of the chain."""
        with self._lock():
            if not self.find(announcement).transcript:
                raise DrawError("it is not drawn yet / 尚未抽取", hint="zhengzhao draw run")
            made = next_()
            signed = msgspec.structs.replace(made, signature=sign(made.to_be_signed, signer))
            path = self._path(announcement, f"replacement.{made.number:06d}")
            data = encode(signed)
            if len(data) > MAX_BYTES:
                raise DrawError("the reason is too long / 理由过长", hint="one line")
            self._write(path, data)
            return data

    def keep_results(self, announcement: Announcement, table: bytes) -> None:
        """Keep a published table of results; the event names it by its SHA-256."""
        self._write(self._results(announcement, sha256(table).hexdigest()), table)

    def results(self, announcement: Announcement, digest: str) -> bytes | None:
        """Return the published table of a SHA-256, or None where it is not kept as it was."""
        path = self._results(announcement, digest)
        table = path.read_bytes() if path.is_file() else b""
        return table if sha256(table).hexdigest() == digest else None

    def pending(self, announcement: Announcement) -> Absence | None:
        """Return the announced absence that waits for its round; None where none does."""
        number = len(self.replacement_files(announcement)) + 1
        return next((one for one in self.absences(announcement) if one.number == number), None)

    def absences(self, announcement: Announcement) -> list[Absence]:
        """Return the announced absences of a draw, in order."""
        files = self._numbered(announcement, "absence")
        return [read_absence(path.read_bytes(), str(path)) for path in files]

    def announce_absence(
        self, announcement: Announcement, make: Callable[[], Absence], signer: DrawSigner
    ) -> bytes:
        """Sign and record the absence that `make` returns; its replacement follows once its round exists."""
        with self._lock():
            if waiting := self.pending(announcement):
                raise DrawError(
                    f"第 {waiting.number} 号缺席等待递补 / absence {waiting.number} waits for round {waiting.round}",
                    hint="zhengzhao draw replace --public ROUND.json",
                )
            made = make()
            data = encode(msgspec.structs.replace(made, signature=sign(made.to_be_signed, signer)))
            self._write(self._path(announcement, f"absence.{made.number:06d}"), data)
            return data

    def refuse_voided(self, link: Link) -> None:
        """Raise DrawError where an announcement is voided."""
        if link.void:
            reason = read_void(link.void.read_bytes()).reason
            raise DrawError(f"the announcement is voided: {reason} / 公告已作废")

    def _replaces(self, chain: list[Link], plan: Plan) -> str | None:
        same = [link for link in chain if link.announcement.plan.plan == plan.plan]
        if same and not same[-1].void:
            last = same[-1]
            raise DrawError(
                f"plan {plan.plan!r} is announced already, as number {last.announcement.sequence} "
                f"({last.state}) / 该计划已公告",
                hint="zhengzhao draw void ANNOUNCEMENT.json --reason TEXT, before it is drawn",
            )
        return same[-1].announcement.digest if same else None

    def _refuse_used_commitments(self, content: dict[str, Any]) -> None:
        promised = {c["commitment"]: c["party"] for c in content["commitments"]}
        for link in self.every():
            for used in link.announcement.commitments:
                if used.commitment in promised:
                    raise DrawError(
                        f"the commitment of {promised[used.commitment]} served announcement "
                        f"{link.announcement.sequence} of {link.announcement.plan.authority} / 承诺已使用过",
                        hint="draw commit anew: a secret serves one announcement",
                    )

    # --- files

    def _of(self, authority: str) -> Path:
        return self._folder / authority.removeprefix("urn:agency:").replace(":", "-")

    def _path(self, announcement: Announcement, what: str) -> Path:
        return self._of(announcement.plan.authority) / f"{announcement.sequence:06d}.{what}.json"

    def salt(self, announcement: Announcement) -> str | None:
        """Return the salt of an announced Merkle root, or None where this very announcement was not made here."""
        own, path = self.announcement_file(announcement), self._salt(announcement)
        if not path.is_file() or not own.is_file() or own.read_bytes() != announcement.bytes:
            return None
        return path.read_text("ascii")

    def _salt(self, announcement: Announcement) -> Path:
        return self._path(announcement, "announcement").with_suffix(".salt")

    def _results(self, announcement: Announcement, digest: str) -> Path:
        return self._path(announcement, f"results.{digest[:16]}").with_suffix(".csv")

    def _link(self, path: Path) -> Link:
        transcript, void = (
            path.with_name(path.name.replace("announcement", w)) for w in ("transcript", "void")
        )
        return Link(
            read_announcement(path.read_bytes(), str(path)),
            transcript if transcript.is_file() else None,
            void if void.is_file() else None,
        )

    def _write(self, path: Path, data: bytes, *, private: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, private=private)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _draw_of(transcript: Transcript) -> bytes:
    """Return the canonical bytes of a draw alone, without signature and proofs of publication."""
    return msgspec.structs.replace(transcript, proofs=UNSET).to_be_signed
