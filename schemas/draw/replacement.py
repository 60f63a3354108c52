"""Replacements recorded after a draw, and the visits as they stand after them.

Replacements of a transcript are numbered from 1, each naming the digest of the one before, signed and with a reason.
The rule that gives the next in order is in `schemas.draw.aftermath`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from schemas.draw.documents import Announcement, Assignment, Signature, Transcript
from schemas.draw.encoding import convert, encode, is_text, parse_json
from schemas.errors import DrawError

MAX_BYTES = (
    1 << 20
)  # Size of one replacement; a larger file in a chain's folder need not be read in search of them.


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One replacement. `target` names the visit that an unavailable inspector cannot make; else a target is replaced.

    `previous` is the SHA-256 of the transcript, or of the replacement before. `next` comes in for `unavailable`; a new
    target has its ticket and its inspectors.
    """

    replacement: str  # announcement_digest
    authority: str
    number: int
    previous: str
    unavailable: str
    reason: str
    next: str
    target: str | UnsetType = UNSET
    ticket: str | UnsetType = UNSET
    inspectors: list[str] | UnsetType = UNSET
    signature: Signature | UnsetType = UNSET

    @property
    def to_be_signed(self) -> bytes:
        """The canonical bytes without the signature."""
        return encode(msgspec.structs.replace(self, signature=UNSET))


class PublishedDraw(msgspec.Struct, frozen=True):
    """An announcement as published, with its transcript and the replacements recorded since, where there are any."""

    announcement: Announcement
    transcript: Transcript | None
    replacements: list[Replacement] = []  # in the order of their numbers

    def visits(self) -> list[tuple[str, list[str]]]:
        """List the targets to visit and their inspectors as they stand after the replacements."""
        assignments = self.transcript.assignments if self.transcript else []
        return list(visits_after(assignments, self.replacements).items())


def read_replacement(data: bytes, where: str = "") -> Replacement:
    """Read a replacement from its bytes. Raise DrawError where its form is wrong or it is not canonical."""
    if len(data) > MAX_BYTES:
        raise DrawError("递补记录过长 / the replacement is longer than 1 MiB", where=where)
    found = convert(parse_json(data, where), Replacement, where)
    if encode(found) != data or not is_text(found.reason):
        raise DrawError(
            "递补记录不规范或缺少理由 / the replacement is not canonical or gives no reason", where=where
        )
    return found


def visits_after(assignments: Sequence[Assignment], done: Sequence[Replacement]) -> dict[str, list[str]]:
    """Return the inspectors by target as they stand after some replacements, in the order of the draw."""
    visits = {a.target: list(a.inspectors) for a in assignments}
    for one in sorted(done, key=lambda r: r.number):
        if isinstance(one.target, str):
            visits[one.target] = [one.next if i == one.unavailable else i for i in visits.get(one.target, [])]
        else:
            visits.pop(one.unavailable, None)
            visits[one.next] = list(one.inspectors) if isinstance(one.inspectors, list) else []
    return visits
