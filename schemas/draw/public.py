"""Public values of a draw: numbers that nobody can know before a set time.

Two kinds: a round of a randomness beacon, whose signature anybody can check offline (drand, BLS signatures over
BLS12-381 with keys in G2, RFC 9380), and published numbers such as a lottery result, which have one written form
(RFC 3797, section 4) and must be looked up. Beacons are data of the trust folder (`beacons.json`); drand's quicknet
ships with this package.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Literal

import drand_verify
import msgspec
from msgspec import UNSET, UnsetType

from schemas.draw.encoding import HEX64
from schemas.draw.plan import PublicSource, moment, refuse
from schemas.errors import DrawError, TrustError
from schemas.trust import BEACONS_FILE, TrustStore

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_NUMBERS = re.compile(r"[0-9]{1,30}(?:[ ,]+[0-9]{1,30})*")
_CANONICAL = re.compile(r"(?:(?:(?:0|[1-9][0-9]{0,29})\.)+/)+")
_SIGNATURE_BYTES = 48  # a compressed point in G1


class Beacon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A randomness beacon: rounds every `period` seconds, the first at `genesis_time` (Unix seconds)."""

    scheme: Literal["bls-unchained-g1-rfc9380", "bls-unchained-on-g1"]
    public_key: str
    chain_hash: str
    genesis_time: int
    period: int

    def time_of(self, round_: int) -> datetime:
        """Return the moment of a round. Raise DrawError beyond the year 9999."""
        try:
            return datetime.fromtimestamp(self.genesis_time, UTC) + timedelta(
                seconds=(round_ - 1) * self.period
            )
        except (OverflowError, OSError, ValueError):
            raise DrawError(f"轮次不存在 / the beacon has no round {round_}") from None

    def round_after(self, at: datetime) -> int:
        """Return the first round that does not exist before a moment."""
        passed = (at - datetime.fromtimestamp(self.genesis_time, UTC)).total_seconds()
        return max(1, -int(-passed // self.period) + 1)

    def check(self, value: BeaconValue) -> None:
        """Raise DrawError where a round's signature is not the beacon's."""
        check = {
            "bls-unchained-g1-rfc9380": drand_verify.verify_bls_unchained_g1_rfc9380,
            "bls-unchained-on-g1": drand_verify.verify_bls_unchained_on_g1,
        }[self.scheme]
        good = bool(_HEX.fullmatch(value.signature)) and len(value.signature) == 2 * _SIGNATURE_BYTES
        try:
            good = good and bool(check(value.round, value.signature, self.public_key))
        except (ValueError, OverflowError):
            good = False
        if not good:
            raise DrawError(
                f"不是信标 {value.beacon} 第 {value.round} 轮的签名 / not the signature of round {value.round} of "
                f"{value.beacon}",
                hint='the round as the beacon\'s HTTP API gives it: {"round", "signature"}',
            )


class BeaconValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A round of a beacon with its signature (hex), which is the public value of a draw."""

    beacon: str
    round: int
    signature: str


class _RoundOfApi(msgspec.Struct, frozen=True):
    """A round as drand's HTTP API gives it; other members are ignored."""

    round: int
    signature: str


PublicValue = str | BeaconValue


@cache
def _shipped() -> bytes:
    return (files("schemas") / "beacons.json").read_bytes()


def beacons(trust: TrustStore) -> dict[str, Beacon]:
    """Return the beacons of a trust folder by name; the shipped ones where it has no `beacons.json`.

    Raise TrustError where the file is damaged.
    """
    return read_beacons(_shipped() if trust.beacons is None else trust.beacons)


def read_beacons(data: bytes) -> dict[str, Beacon]:
    """Read the content of a `beacons.json`. Raise TrustError where it is damaged."""
    try:
        found = msgspec.json.decode(data, type=dict[str, Beacon])
    except msgspec.MsgspecError as error:
        raise TrustError(
            f"信标文件无法读取 / beacons.json cannot be read: {error}", where=BEACONS_FILE
        ) from None
    for name, beacon in found.items():
        key, chain = beacon.public_key, beacon.chain_hash
        if (
            not _HEX.fullmatch(key)
            or not HEX64.fullmatch(chain)
            or beacon.period < 1
            or beacon.genesis_time < 0
        ):
            raise TrustError(
                f"信标 {name} 的数据有误 / the beacon {name} is not well-formed", where=BEACONS_FILE
            )
    return found


def quicknet() -> Beacon:
    """Return drand's quicknet as it ships, the one beacon to which secrets are sealed."""
    return msgspec.json.decode(_shipped(), type=dict[str, Beacon])["quicknet"]


def beacon_of(source: PublicSource, trust: TrustStore) -> Beacon:
    """Return the beacon that a plan names. Raise DrawError where the trust folder has none of this name."""
    known = beacons(trust)
    if source.beacon not in known:
        raise DrawError(
            f"信任文件夹中没有信标 {source.beacon} / the trust folder has no beacon {source.beacon!r}",
            where="seed.public.beacon",
            hint=f"beacons.json: {', '.join(sorted(known))}",
        )
    return known[str(source.beacon)]


def beacon_named(name: str, trust: TrustStore) -> Beacon:
    """Return the beacon of a name. Raise DrawError where the trust folder has none of it."""
    return beacon_of(PublicSource(beacon=name), trust)


def time_of(source: PublicSource, trust: TrustStore) -> datetime:
    """Return the moment before which the public value does not exist."""
    if isinstance(source.round, int):
        return beacon_of(source, trust).time_of(source.round)
    return moment(str(source.at), "seed.public.at")


def read_value(text: str, source: PublicSource, trust: TrustStore) -> PublicValue:
    """Read the public value that a draw is given, and check it where it is a beacon's.

    For a beacon `text` is a round as drand's HTTP API gives it (JSON) or its signature in hex; else the published
    numbers, in groups parted by `+`. Raise DrawError for anything else.
    """
    if not isinstance(source.beacon, str) or not isinstance(source.round, int):
        return canonical_numbers(text)
    shown = text.strip()
    if shown.startswith("{"):
        try:
            given = msgspec.json.decode(shown, type=_RoundOfApi)
        except msgspec.MsgspecError as error:
            raise DrawError(f"不是信标轮次 / not a round of a beacon: {error}", where="--public") from None
        if given.round != source.round:
            raise DrawError(
                f"公告指定第 {source.round} 轮，所给为第 {given.round} 轮 / the plan names round {source.round}, "
                f"not {given.round}",
                where="--public",
            )
        shown = given.signature
    value = BeaconValue(source.beacon, source.round, shown.lower())
    beacon_of(source, trust).check(value)
    return value


def canonical_numbers(text: str) -> str:
    """Return published numbers in the one form of RFC 3797: `5.12.13.18.30.31./16./`.

    The numbers of each group ascend, without leading zeros, each followed by `.`, each group by `/`. Groups are parted
    by `+`, numbers by spaces or commas. Raise DrawError for anything else.
    """
    if _CANONICAL.fullmatch(text):
        groups = [[int(n) for n in group.split(".")[:-1]] for group in text.split("/")[:-1]]
    else:
        parts = [part.strip(" ") for part in text.split("+")]
        if not all(_NUMBERS.fullmatch(part) for part in parts):
            raise DrawError(
                "公开随机数只能是数字 / a public number has digits only",
                where="--public",
                hint='--public "5 12 13 18 30 31 + 16"',
            )
        groups = [[int(n) for n in re.findall("[0-9]+", part)] for part in parts]
    return "".join("".join(f"{n}." for n in sorted(group)) + "/" for group in groups)


def check_value(value: PublicValue | UnsetType, source: PublicSource | UnsetType, trust: TrustStore) -> None:
    """Raise DrawError where a transcript's public value is not one of its plan, in its one form."""
    if isinstance(source, UnsetType) or isinstance(value, UnsetType):
        if (source is UNSET) != (value is UNSET):
            raise DrawError("公开随机数与计划不符 / a public value in one of plan and transcript only")
        return
    if isinstance(value, BeaconValue):
        if (value.beacon, value.round) != (source.beacon, source.round):
            raise DrawError("信标轮次与计划不符 / the round is not the one that the plan names")
        beacon_of(source, trust).check(value)
    elif source.beacon is not UNSET or canonical_numbers(value) != value:
        raise DrawError("公开随机数不是规范形式 / the public number is not in its one form (RFC 3797)")


def seed_part(value: PublicValue) -> str:
    """Return the last part of the seed's text: the numbers, or the SHA-256 (hex) of a round's signature."""
    if isinstance(value, str):
        return value
    return hashlib.sha256(bytes.fromhex(value.signature)).hexdigest()


def refuse_times(
    reveal_by: str | UnsetType,
    source: PublicSource | UnsetType,
    last_day_end: datetime,
    trust: TrustStore,
    now: datetime,
) -> None:
    """Raise DrawError where a moment of an announcement is past, or not before the end of its period.

    A public value must not exist before every party has revealed.
    """
    by = None if isinstance(reveal_by, UnsetType) else moment(reveal_by, "seed.reveal_by")
    moments = [] if by is None else [("seed.reveal_by", by)]
    if not isinstance(source, UnsetType):
        at = time_of(source, trust)
        moments.append(("seed.public", at))
        if by is None or at <= by:
            raise refuse(
                f"公开随机数须在公开截止之后产生 / its time ({at.isoformat()}) must be after `reveal_by`", "", "seed.public",
                "whoever reveals must not know it yet",
            )  # fmt: skip
    for key, at in moments:
        if at <= now:
            raise refuse(f"时间已过 / {at.isoformat()} is past", "", key, "a time in the future")
        if at > last_day_end:
            raise refuse(f"晚于检查时间 / {at.isoformat()} is after the end of the period", "", key)


def seal(secret: bytes, round_: int) -> bytes:
    """Seal a secret to a round of quicknet (timelock): nobody opens it before the round exists, everybody after.

    Raise DrawError for a round beyond the year 9999.
    """
    quicknet().time_of(round_)
    import bittensor_drand  # Few draws need it.

    sealed, _ = bittensor_drand.encrypt_at_round(secret, round_)
    return bytes(sealed)


def unseal(sealed: bytes, round_: int, signature: str) -> bytes:
    """Open what was sealed to a round by the round's signature (hex). Raise DrawError where that is not its own."""
    import bittensor_drand

    quicknet().check(BeaconValue("quicknet", round_, signature))
    try:
        return bytes(bittensor_drand.decrypt_with_signature(sealed, signature))
    except ValueError:
        raise DrawError("封存无法开启 / what was sealed does not open") from None


def check_round(signature: str, round_: int | UnsetType) -> None:
    """Raise DrawError where base64url is not the signature of a round of quicknet."""
    try:
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    except ValueError:
        raw = b""
    exact = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == signature
    if not exact or not isinstance(round_, int):
        raise DrawError("签名不是该轮次的 / not the signature of the round")
    quicknet().check(BeaconValue("quicknet", round_, raw.hex()))


def refuse_round(round_: int, by: str | UnsetType, end: datetime, now: datetime) -> None:
    """Raise DrawError where the round of a sealed secret is past, before `reveal_by`, or after the period."""
    at = quicknet().time_of(round_)
    if at <= now or at > end or (isinstance(by, str) and at < moment(by, "seed.reveal_by")):
        raise DrawError(
            f"封存的轮次时间不符 / a secret is sealed to a round ({at.isoformat()}) that is past, before `reveal_by`, or "
            "after the period",
            hint="zhengzhao draw seal --round N",
        )
