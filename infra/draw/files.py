"""The files that the commands of a draw read: registers, earlier transcripts, commitments, reveals, secrets.

Memory of a draw: given back to the system late, since it is needed again at once.

Handing pages back and faulting them in anew takes a fifth of a draw's time. Ten seconds are longer than a
national draw; a register beyond memory still gives back what it no longer needs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from infra.draw.register import Progress, TargetRegister, quiet
from processors.draw.compute import DrawInputs
from schemas.draw.documents import Announcement, Commitment, Reveal, read_announcement
from schemas.draw.encoding import convert, parse_json, read_file
from schemas.draw.seed import check_signature
from schemas.draw.strata import Earlier, read_earlier
from schemas.errors import DrawError, UsageError
from schemas.trust import TrustStore


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's SECRET.json: the secret (hex), the private half of its key, what it committed to.

    `revealed` is the digest of the one announcement for which it was revealed.
    """

    party: str
    secret: str
    commitment: str
    private_key: str | UnsetType = UNSET
    revealed: str | UnsetType = UNSET


@contextmanager
def opened(
    register: Path,
    inspectors: Path,
    conflicts: Path | None,
    earlier: Sequence[Path],
    trust: TrustStore,
    progress: Progress = quiet,
) -> Iterator[DrawInputs]:
    """The registers and earlier transcripts of a draw; DrawError where one breaks a rule or is not signed.

    Half a million small objects without a cycle follow: the collector, which would look at them again and
    again, rests meanwhile.
    """
    gc.disable()
    try:
        with ExitStack() as stack:
            past = [genuine(read_earlier(path), trust) for path in earlier]
            staff = stack.enter_context(TargetRegister(inspectors, "inspectors"))
            apart = stack.enter_context(TargetRegister(conflicts, "conflicts")) if conflicts else None
            targets = stack.enter_context(TargetRegister(register, "targets", progress=progress))
            yield DrawInputs(targets, staff, apart, past)
    finally:
        gc.enable()


def genuine(past: Earlier, trust: TrustStore) -> Earlier:
    """An earlier transcript that is signed; otherwise anybody could be kept out of a draw by a made-up one."""
    authority = past.announcement.plan.authority
    try:
        check_signature(past.transcript.signature, past.transcript.to_be_signed, authority, trust)
    except DrawError as error:
        raise DrawError(
            error.message, where=past.where, hint="an earlier transcript must be signed"
        ) from None
    return past


def commitments(paths: Sequence[Path]) -> list[Commitment]:
    """What parties committed to, a file each."""
    return [convert(parse_json(read_file(p), str(p)), Commitment, str(p)) for p in paths]


def reveals(paths: Sequence[Path]) -> list[Reveal]:
    """What parties revealed, a file each."""
    return [convert(parse_json(read_file(p), str(p)), Reveal, str(p)) for p in paths]


def announcement(path: Path) -> Announcement:
    """An announcement from its file; its signature is not checked."""
    return read_announcement(read_file(path), str(path))


def secret(path: Path) -> Secret:
    """A party's secret; UsageError where the file is none."""
    try:
        return convert(parse_json(read_file(path), str(path)), Secret, str(path))
    except DrawError as error:
        raise UsageError(
            f"不是秘密文件 / no secret: {error.message}", where=str(path), hint="zhengzhao draw commit"
        ) from None


def keep_memory() -> None:
    """Must be called before polars is imported; its allocator reads this once. Said otherwise outside, that counts."""
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:-1")
