"""The files that the commands of a draw read and write: registers, transcripts, commitments, reveals, secrets.

A party's memory of announcements: two of one number, or one beside the known chain, are a fork.

The memory is a file of the party (or the supervisor), by default beside its secret. It has for each announcement
that was signed the authority, the sequence, the digest, and the digest of the one before.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile

import msgspec
from msgspec import UNSET, UnsetType

from infra.draw.register import Progress, TargetRegister, kept_register, quiet
from processors.draw.compute import DrawInputs
from schemas.draw.aftermath import PublishedDraw, read_replacement
from schemas.draw.documents import (
    Announcement,
    Commitment,
    Deposit,
    Reveal,
    read_announcement,
    read_transcript,
)
from schemas.draw.encoding import convert, parse_json, read_file
from schemas.draw.seed import check_signature
from schemas.draw.strata import Earlier, RegisterKind, read_earlier
from schemas.errors import DrawError, UsageError
from schemas.trust import TrustStore
from verification.draw_chain import replacements_in


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's SECRET.json: the secret (hex), the private half of its key, its commitment.

    `revealed` is the digest of the one announcement for which it was revealed. `deposit` is the deposit as committed,
    null for none; files of earlier releases do not have it.
    """

    party: str
    secret: str
    commitment: str
    private_key: str | UnsetType = UNSET
    revealed: str | UnsetType = UNSET
    deposit: Deposit | UnsetType | None = UNSET


@contextmanager
def opened(
    register: Path,
    inspectors: Path,
    conflicts: Path | None,
    earlier: Sequence[Path],
    trust: TrustStore,
    progress: Progress = quiet,
    recorded: Sequence[Path] = (),
) -> Iterator[DrawInputs]:
    """Open the registers and earlier transcripts of a draw. Raise DrawError where one breaks a rule or is unsigned.

    `recorded` are earlier transcripts of the data folder's own chain, which vouches for what a key signed before it
    was revoked.

    The garbage collector is off meanwhile: half a million small objects without a cycle follow, which it would
    examine again and again.
    """
    gc.disable()
    try:
        with ExitStack() as stack:
            past = [genuine(earlier_file(path), trust, vouched=True) for path in recorded]
            known = {one.digest for one in past}
            others = [one for path in earlier if (one := earlier_file(path)).digest not in known]
            past += [genuine(one, trust) for one in others]
            staff = stack.enter_context(TargetRegister(inspectors, "inspectors"))
            apart = stack.enter_context(TargetRegister(conflicts, "conflicts")) if conflicts else None
            targets = stack.enter_context(TargetRegister(register, "targets", progress=progress))
            yield DrawInputs(targets, staff, apart, past)
    finally:
        gc.enable()


def earlier_file(path: Path) -> Earlier:
    """Read an earlier transcript from its file; its signature is not checked."""
    return read_earlier(read_file(path), str(path))


def genuine(past: Earlier, trust: TrustStore, *, vouched: bool = False) -> Earlier:
    """Return an earlier transcript whose signature is good. Raise DrawError otherwise.

    Without this check anybody could be kept out of a draw by a made-up transcript.
    """
    authority = past.announcement.plan.authority
    try:
        body = past.transcript.to_be_signed
        check_signature(past.transcript.signature, body, authority, trust, vouched=vouched)
    except DrawError as error:
        raise DrawError(
            error.message, where=past.where, hint="an earlier transcript must be signed"
        ) from None
    return past


def published(path: Path, chain: Path | None = None) -> PublishedDraw:
    """Read an announcement or a transcript, with the replacements in the folder `chain`; signatures are not checked."""
    data = read_file(path)
    content = parse_json(data, str(path))
    if not isinstance(content, dict) or "announcement_digest" not in content:
        return PublishedDraw(read_announcement(data, str(path)), None)
    transcript = read_transcript(data, str(path))
    announcement = read_announcement(bytes(transcript.announcement), str(path))
    if announcement.digest != transcript.announcement_digest:
        raise DrawError("公告与其摘要不符 / the announcement does not fit its digest", where=str(path))
    files = replacements_in(chain, announcement.digest) if chain and chain.is_dir() else []
    done = [read_replacement(data, str(where)) for where, data in files]
    return PublishedDraw(announcement, transcript, sorted(done, key=lambda one: one.number))


def commitments(paths: Sequence[Path]) -> list[Commitment]:
    """Read the commitments of parties, a file each."""
    return [convert(parse_json(read_file(p), str(p)), Commitment, str(p)) for p in paths]


def reveals(paths: Sequence[Path]) -> list[Reveal]:
    """Read the reveals of parties, a file each."""
    return [convert(parse_json(read_file(p), str(p)), Reveal, str(p)) for p in paths]


def text_or_file(given: str) -> str:
    """Return the text of the file of this name, or `given` itself where there is no such file."""
    try:
        is_file = Path(given).is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return given
    data = read_file(Path(given))
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UsageError("不是文本文件 / not a text file", where=given) from None


def announcement(path: Path) -> Announcement:
    """Read an announcement from its file; its signature is not checked."""
    return read_announcement(read_file(path), str(path))


def secret(path: Path) -> Secret:
    """Read a party's secret. Raise UsageError where the file is not one."""
    try:
        return convert(parse_json(read_file(path), str(path)), Secret, str(path))
    except DrawError as error:
        raise UsageError(
            f"不是秘密文件 / not a secret: {error.message}", where=str(path), hint="zhengzhao draw commit"
        ) from None


def check_writable(path: Path) -> None:
    """Raise OSError where a file of this name cannot be written, before anything is recorded."""
    with TemporaryFile(dir=path.resolve().parent):
        pass


def write_whole(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file durably, whole or not at all."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            os.fchmod(file.fileno(), 0o600 if private else 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def keep_register(registers: Path, kind: RegisterKind, digest: str, file: Path) -> Path:
    """Keep a copy of a register under its digest, as the file is, and return its path."""
    kept = kept_register(registers, kind, digest)
    if kept is None:
        registers.mkdir(parents=True, exist_ok=True)
        data = file.read_bytes()
        kept = registers / f"{kind}-{digest}{'.parquet' if data[:4] == b'PAR1' else '.csv'}"
        write_whole(kept, data)
    return kept


MEMORY_FILE = "draw-memory.json"


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    authority: str
    sequence: int
    digest: str
    previous: str


class _Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    announcements: list[_Known] = []


@contextmanager
def remembering(path: Path, announcement: Announcement) -> Iterator[None]:
    """Check an announcement against the memory, and remember it where the block succeeds.

    Raise DrawError for a fork, UsageError where the file is not a memory. Nothing is written after an error.
    """
    own = _Known(
        announcement.plan.authority, announcement.sequence, announcement.digest, announcement.previous
    )
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(path)
        _refuse_fork(own, known)
        yield
        if own not in known:
            write_whole(path, msgspec.json.encode(_Memory([*known, own])), private=True)


def _read(path: Path) -> list[_Known]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Memory).announcements
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"不是公告记忆文件 / not a memory of announcements: {error}",
            where=str(path),
            hint="--memory FILE",
        ) from None


def _refuse_fork(own: _Known, known: list[_Known]) -> None:
    for other in known:
        if other.authority != own.authority:
            continue
        apart = own.sequence - other.sequence
        if (
            (apart == 0 and other.digest != own.digest)
            or (apart == 1 and own.previous != other.digest)
            or (apart == -1 and other.previous != own.digest)
        ):
            raise DrawError(
                f"公告链分叉：与已签的第 {other.sequence} 号公告（{other.digest[:16]}…）不衔接 / a fork: this announcement "
                f"does not fit number {other.sequence} ({other.digest[:16]}…), which was signed before",
                hint="do not sign; show both announcements to the other parties and the supervisor",
            )
