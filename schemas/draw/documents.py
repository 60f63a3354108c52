"""The published documents of a draw: announcement, reveals, void, transcript. All are canonical JSON, most are signed."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from schemas.draw.encoding import HEX64, canonical_json, convert, encode, is_text, parse_json
from schemas.draw.plan import Plan, read_plan
from schemas.draw.public import BeaconValue
from schemas.errors import DrawError

ALGORITHM = "zhengzhao-draw-1"
FIRST = "0" * 64  # `previous` of an authority's first announcement
MAX_SEQUENCE = 2**53 - 1
_OF_THE_PLAN = frozenset(Plan.__struct_fields__)


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature by a key of the trust folder: raw r ‖ s in base64url, over the document without it."""

    alg: Literal["ES256"]
    kid: str
    value: str


class Deposit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's secret, sealed so that it can be opened if the party stays silent.

    It is sealed to the P-256 key (PEM) of a `supervisor`, who opens it, or to a `round` of a `beacon`, with whose
    signature everybody can open it once the round exists, and nobody before.
    """

    supervisor: str | UnsetType = UNSET
    sealed: str = ""
    beacon: str | UnsetType = UNSET
    round: int | UnsetType = UNSET

    def __post_init__(self) -> None:
        kinds = [isinstance(self.supervisor, str), isinstance(self.beacon, str)]
        if sum(kinds) != 1 or isinstance(self.round, int) is not kinds[1] or not self.sealed:
            raise ValueError("a deposit names a supervisor, or a beacon and a round, and what is sealed")


class Commitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's promise: the SHA-256 of its secret, and the key (PEM) that will sign the reveal."""

    party: str
    commitment: str
    key: str
    deposit: Deposit | UnsetType = UNSET


class Reveal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's secret (hex), signed over the announcement's digest; `opened` when the supervisor did it."""

    party: str
    secret: str
    signature: str
    opened: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.opened is False:
            raise ValueError("`opened` is true or absent")


class RegisterSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The identity of a register in an announcement: columns, number of rows, digest."""

    columns: list[str]
    count: int
    digest: str


NO_CONFLICTS = RegisterSummary(["inspector_id", "target_id", "reason"], 0, hashlib.sha256(b"").hexdigest())


class Registers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The three registers of an announcement."""

    targets: RegisterSummary
    inspectors: RegisterSummary
    conflicts: RegisterSummary


class AnnouncedStratum(msgspec.Struct, frozen=True):
    """The part of a stratum that follows from the register: its population and the number drawn."""

    name: str
    population: int
    drawn: int


class _Added(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that an announcement adds to the plan's."""

    algorithm: Literal["zhengzhao-draw-1"]
    registers: Registers
    earlier: list[str]
    commitments: list[Commitment]
    sequence: int
    previous: str
    replaces: str | UnsetType = UNSET
    smallest_choice: int | UnsetType = UNSET
    unavailable: dict[str, int] | UnsetType = UNSET
    targets_root: str | UnsetType = UNSET
    signature: Signature | UnsetType = UNSET


class Announcement(msgspec.Struct, frozen=True):
    """An announcement that keeps every rule of its form; `content` is its JSON."""

    content: dict[str, Any]
    plan: Plan
    strata: list[AnnouncedStratum]
    registers: Registers
    earlier: list[str]
    commitments: list[Commitment]
    sequence: int
    previous: str
    replaces: str | None
    signature: Signature | None
    smallest_choice: int | None = None  # the fewest inspectors that any target has to choose from
    targets_root: str | None = None  # salted Merkle root of the register of targets
    unavailable: dict[str, int] | None = None  # inspectors who cannot be drawn, by reason

    @property
    def leave_period(self) -> list[str] | None:
        """The period for which leave and certificates count; None in a draw that does not look at them."""
        return None if self.unavailable is None else self.plan.period

    @property
    def to_be_signed(self) -> bytes:
        """The canonical bytes without the signature."""
        return canonical_json({k: v for k, v in self.content.items() if k != "signature"})

    @property
    def digest(self) -> str:
        """The `announcement_digest`: SHA-256 (hex) of the canonical bytes without the signature."""
        return hashlib.sha256(self.to_be_signed).hexdigest()

    @property
    def bytes(self) -> bytes:
        """The canonical bytes of the file."""
        return canonical_json(self.content)


class Drawn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A target that was drawn, with its ticket."""

    id: str
    ticket: str


class StratumResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The drawn targets of a stratum, in the order of tickets."""

    name: str
    population: int
    count: int
    drawn: list[Drawn]


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target's inspectors, in the order in which they were taken."""

    target: str
    inspectors: list[str]


class Skipped(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An inspector passed over for a target because of a conflict of interest."""

    target: str
    inspector: str
    reason: str


class Excluded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A target that could not be drawn, with the reason."""

    id: str
    reason: str


class Transcript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole draw; `announcement` is kept as its canonical bytes."""

    announcement: Raw
    announcement_digest: str
    reveals: list[Reveal]
    seed: str
    strata: list[StratumResult]
    assignments: list[Assignment]
    skipped: list[Skipped]
    excluded: list[Excluded]
    public: str | BeaconValue | UnsetType = UNSET
    proofs: list[str] | UnsetType = UNSET  # that the announcement was published, in base64url
    signature: Signature | UnsetType = UNSET

    @property
    def to_be_signed(self) -> bytes:
        """The canonical bytes without the signature."""
        return encode(msgspec.structs.replace(self, signature=UNSET))


class Void(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of an announcement that was not drawn.

    After the time of the public value it carries all reveals and the value, so that everybody can compute the
    discarded draw.
    """

    void: str
    authority: str
    sequence: int
    reason: str
    reveals: list[Reveal] | UnsetType = UNSET
    public: str | BeaconValue | UnsetType = UNSET
    signature: Signature | UnsetType = UNSET

    @property
    def to_be_signed(self) -> bytes:
        """The canonical bytes without the signature."""
        return encode(msgspec.structs.replace(self, signature=UNSET))


def read_announcement(data: bytes, where: str = "", *, signed: bool = True) -> Announcement:
    """Read an announcement from its bytes. Raise DrawError where it breaks a rule or is not canonical."""
    content = parse_json(data, where)
    if not isinstance(content, dict):
        raise DrawError("不是公告 / not an announcement: not a JSON object", where=where)
    if canonical_json(content, where) != data:
        raise DrawError(
            "不是规范形式 / not canonical (RFC 8785): other bytes of the same content are refused",
            where=where,
        )
    return announcement_of(content, where, signed=signed)


def announcement_of(content: dict[str, Any], where: str = "", *, signed: bool = True) -> Announcement:
    """Build an announcement from its JSON content. Raise DrawError where it breaks a rule."""
    strata = content.get("strata")
    if not isinstance(strata, list) or not all(isinstance(s, dict) for s in strata):
        raise DrawError("`strata` 不是对象列表 / `strata` is no list of objects", where=where)
    plain = [{k: v for k, v in s.items() if k not in ("population", "drawn")} for s in strata]
    own = {k: v for k, v in content.items() if k in _OF_THE_PLAN}
    plan = read_plan(own | {"strata": plain}, where)
    added = convert({k: v for k, v in content.items() if k not in _OF_THE_PLAN}, _Added, where)
    results = [convert(s, AnnouncedStratum, where) for s in strata]
    if signed and added.signature is UNSET:
        raise DrawError("没有签名 / not signed", where=where)
    _check_added(plan, added, results, where)
    return Announcement(
        content,
        plan,
        results,
        added.registers,
        added.earlier,
        added.commitments,
        added.sequence,
        added.previous,
        None if isinstance(added.replaces, UnsetType) else added.replaces,
        None if isinstance(added.signature, UnsetType) else added.signature,
        None if isinstance(added.smallest_choice, UnsetType) else added.smallest_choice,
        None if isinstance(added.targets_root, UnsetType) else added.targets_root,
        None if isinstance(added.unavailable, UnsetType) else added.unavailable,
    )


def _check_added(plan: Plan, added: _Added, strata: list[AnnouncedStratum], where: str) -> None:
    summaries = (added.registers.targets, added.registers.inspectors, added.registers.conflicts)
    hashes = [added.previous, *added.earlier, *(c.commitment for c in added.commitments)]
    hashes += [added.targets_root] if isinstance(added.targets_root, str) else []
    hashes += [s.digest for s in summaries] + ([added.replaces] if isinstance(added.replaces, str) else [])
    if not all(HEX64.fullmatch(text) for text in hashes):
        raise DrawError("摘要不是 SHA-256 / a digest is not a SHA-256 in lower-case hex", where=where)
    if not 1 <= added.sequence <= MAX_SEQUENCE or (added.sequence == 1) != (added.previous == FIRST):
        raise DrawError("序号与前一公告不符 / `sequence` and `previous` do not agree", where=where)
    if [c.party for c in added.commitments] != plan.seed.parties:
        raise DrawError(
            "承诺与计划的参与方或次序不符 / the commitments are not those of the plan's parties, in their order",
            where=where,
        )
    if min(s.count for s in summaries) < 0 or any(not 0 <= s.drawn <= s.population for s in strata):
        raise DrawError("数量不可能 / an impossible count", where=where)


def read_transcript(data: bytes, where: str = "") -> Transcript:
    """Read a transcript from its bytes. Raise DrawError where its form is wrong or it is not canonical.

    Raise UsageError where the bytes are not JSON.
    """
    try:
        transcript = msgspec.json.decode(data, type=Transcript)
        exact = encode(transcript) == data
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        parse_json(data, where)
        raise DrawError(f"不是抽取记录 / not a transcript: {error}", where=where) from None
    except msgspec.DecodeError:
        parse_json(data, where)
        raise DrawError("不是抽取记录 / not a transcript", where=where) from None
    if not exact:
        raise DrawError(
            "不是规范形式 / not canonical (RFC 8785): other bytes of the same content are refused",
            where=where,
        )
    return transcript


def read_void(data: bytes, where: str = "") -> Void:
    """Read a void from its bytes. Raise DrawError where its form is wrong or it is not canonical."""
    void = convert(parse_json(data, where), Void, where)
    if encode(void) != data:
        raise DrawError(
            "不是规范形式 / not canonical (RFC 8785): other bytes of the same content are refused",
            where=where,
        )
    if not HEX64.fullmatch(void.void) or not is_text(void.reason):
        raise DrawError("作废须写明公告与理由 / a void names an announcement and a reason", where=where)
    return void
