"""Voided draws: a void after the draw could be known shows everything that the discarded draw was made of.

A void carries all reveals and the public value. Without them it must be older than the public value: the value's time
lies in the future, or a timestamp in the chain's folder proves it. In a plan without a public value a reveal of that
announcement in the folder shows that somebody knew the secrets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UnsetType

from schemas.draw import tickets
from schemas.draw.documents import Announcement, Reveal, Void
from schemas.draw.encoding import encode, shown_id
from schemas.draw.public import check_value, time_of
from schemas.draw.registers import DrawRegister
from schemas.draw.seed import check_reveal, in_order, seed_of
from schemas.draw.strata import build_frame, placed
from schemas.errors import DrawError
from schemas.trust import TrustStore
from verification.draw_chain import Chain
from verification.publication import stamped_at

_SHOWN = 20  # A detail names so many targets of a discarded draw.


def check_voids(chain: Chain, trust: TrustStore, now: datetime) -> str:
    """Return the number of voids. Raise DrawError for a void without the reveals that it should carry."""
    for digest, void in chain.voids.items():
        announcement = chain.announced(digest)
        if announcement is not None:
            _check_void(void, announcement, chain, trust, now)
    return f"{len(chain.voids)} voided"


def seed_of_void(void: Void, announcement: Announcement, trust: TrustStore) -> str | None:
    """Return the seed of a discarded draw, or None where the void does not show it. Raise DrawError for wrong reveals."""
    source = announcement.plan.seed.public
    if isinstance(void.reveals, UnsetType):
        return None
    ordered = in_order(void.reveals, announcement, announcement.digest)
    if isinstance(source, UnsetType) != isinstance(void.public, UnsetType):
        return None
    check_value(void.public, source, trust)
    public = None if isinstance(void.public, UnsetType) else void.public
    return seed_of(announcement.digest, [reveal.secret for reveal in ordered], public)


def discarded(
    announcement: Announcement, seed: str, targets: DrawRegister | None, left_out: Mapping[str, str] | None
) -> str:
    """Describe a discarded draw: its seed and, where the register given is its own, its targets."""
    told = f"number {announcement.sequence}, seed {seed}"
    if targets is None or left_out is None or targets.summary() != announcement.registers.targets:
        return f"{told}; give its register to compute the discarded draw"
    plan = announcement.plan
    frame = build_frame(plan, targets, left_out)
    counts = {stratum.name: stratum.drawn for stratum in announcement.strata}
    drawn = tickets.draw(
        plan, seed, frame.classes, counts, lambda: frame.parts or placed(plan, targets, left_out)
    )
    ids: Sequence[str] = drawn["id"].to_list()
    more = f", and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{told}; it would have drawn {', '.join(map(shown_id, ids[:_SHOWN]))}{more}"


def _check_void(
    void: Void, announcement: Announcement, chain: Chain, trust: TrustStore, now: datetime
) -> None:
    number = announcement.sequence
    if seed_of_void(void, announcement, trust) is not None:
        return
    source = announcement.plan.seed.public
    if isinstance(source, UnsetType):
        if any(_fits(reveal, announcement) for reveal in chain.reveals):
            raise DrawError(
                f"第 {number} 号公告在公开秘密之后作废，但作废书未附全部秘密 / announcement {number} was voided after a reveal, "
                "and the void does not carry all reveals"
            )
        return
    at = time_of(source, trust)
    if at > now or _older(void, at, chain, trust):
        return
    raise DrawError(
        f"第 {number} 号公告的作废书未附全部秘密与公开随机数，也无证明早于该数 / the void of announcement {number} carries "
        "neither the reveals and the public value nor does a proof show it to be older than that value"
    )


def _fits(reveal: Reveal, announcement: Announcement) -> bool:
    for commitment in announcement.commitments:
        if commitment.party == reveal.party:
            try:
                check_reveal(reveal, commitment, announcement.digest)
            except DrawError:
                return False
            return True
    return False


def _older(void: Void, at: datetime, chain: Chain, trust: TrustStore) -> bool:
    digests = {hashlib.sha256(data).digest() for data in (encode(void), void.to_be_signed)}
    for token in chain.timestamps:
        try:
            if stamped_at(token, digests, trust) < at:
                return True
        except DrawError:
            continue
    return False
