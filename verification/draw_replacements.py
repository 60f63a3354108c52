"""The check of what came after a draw: who was replaced, by whom, in order, signed and with a reason.

1. The replacements are numbered from 1 without a gap, each naming the one before (the first one the transcript).
2. Each is canonical, has a reason, and is signed for the transcript's authority.
3. Who came in is the next in order: ticket, load and duty ticket say who.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from schemas.draw import inspectors as staff
from schemas.draw.documents import Announcement, Transcript
from schemas.draw.encoding import encode
from schemas.draw.register import Register
from schemas.draw.replacement import Aftermath, Replacement, read_replacement, replacements_in
from schemas.draw.signing import check_signature
from schemas.errors import DrawError
from schemas.trust import TrustStore


class Rolls(msgspec.Struct, frozen=True):
    """Who could come in: the registers of the draw, opened."""

    targets: Register
    inspectors: Sequence[staff.Inspector]
    conflicts: Mapping[str, Mapping[str, str]]


def recorded(folder: Path | None, announcement: Announcement) -> list[tuple[Path, bytes]]:
    """The replacements of a draw in a chain's folder, unread."""
    return replacements_in(folder, announcement.digest) if folder and folder.is_dir() else []


def check(
    files: Sequence[tuple[Path, bytes]],
    transcript: Transcript,
    announcement: Announcement,
    trust: TrustStore,
    rolls: Rolls | None,
) -> str:
    """How many replacements there are; DrawError for the first fault. Without rolls, who is next stays open."""
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
        _signed(one, announcement, trust)
        before = hashlib.sha256(encode(one)).hexdigest()
    if rolls is not None:
        after = Aftermath(transcript, announcement, rolls.targets, rolls.inspectors, rolls.conflicts)
        for one in done:
            after.apply(one)
    return f"{len(done)} replacements"


def _signed(one: Replacement, announcement: Announcement, trust: TrustStore) -> None:
    if one.authority != announcement.plan.authority:
        raise DrawError(f"替补 / replacement {one.number} is of another authority / 递补机关不符")
    try:
        check_signature(one.signature, one.to_be_signed, one.authority, trust)
    except DrawError as error:
        raise DrawError(f"替补 / replacement {one.number}: {error.message}") from None
