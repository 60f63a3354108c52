"""Tickets: a target's ticket is the lowest hash of seed, stratum, id and number; the lowest tickets are drawn.

A ticket depends on nothing but its own target. So the order and the partition of the register change nothing,
and parts of a draw can be computed anywhere and merged.

The chance of being drawn, by stratum and weight, is computed by enumeration, by integration, or in the limit. A target
of weight w has the lowest of w uniform tickets; so its ticket is above t with probability (1 − t)^w, and the lowest
`count` of a stratum are drawn. With equal weights the chance is count / population.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from math import comb
from typing import Literal

import msgspec
import polars as pl
import polars_hash as plh

from schemas.draw.documents import Drawn
from schemas.draw.plan import Plan
from schemas.draw.strata import DrawRegister
from schemas.errors import DrawError

_PIECE = 40_000  # Targets hashed at once.
_HASHES = 8  # Hashes of each target computed at once.
_CANDIDATES = pl.Schema({"stratum": pl.UInt32, "id": pl.String, "division": pl.String, "ticket": pl.String})


def ticket(seed: str, stratum: str, target: str, weight: int) -> str:
    """Return the ticket of one target: the lowest hex SHA-256 of `<seed>:<stratum>:<id>:<j>` for j below the weight."""
    return min(hashlib.sha256(f"{seed}:{stratum}:{target}:{j}".encode()).hexdigest() for j in range(weight))


def bounds(plan: Plan, classes: Mapping[tuple[str, str], int], counts: Mapping[str, int]) -> list[str]:
    """Estimate for each stratum a ticket above which hardly any is drawn, so that higher tickets need not be sorted.

    `lowest` checks the estimate; a wrong one costs only time.
    """
    found = []
    for stratum in plan.strata:
        sizes = {plan.weight(c): 0 for (name, c) in classes if name == stratum.name}
        for (name, credit_class), size in classes.items():
            if name == stratum.name:
                sizes[plan.weight(credit_class)] += size
        wanted = counts[stratum.name] * 1.02 + 6 * counts[stratum.name] ** 0.5 + 32
        found.append(_bound(sizes, wanted))
    return found


def _bound(sizes: Mapping[int, int], wanted: float) -> str:
    """Return the ticket below which about `wanted` targets fall; `sizes` are their numbers by weight."""
    if wanted >= sum(sizes.values()):
        return "g"  # A letter above every hex digit lets all targets pass.
    low, high = 0.0, 1.0
    for _ in range(48):
        middle = (low + high) / 2
        if sum(n * (1 - (1 - middle) ** weight) for weight, n in sizes.items()) < wanted:
            low = middle
        else:
            high = middle
    return f"{int(high * 2**48):012x}"


def candidates(plan: Plan, seed: str, targets: pl.DataFrame, below: list[str]) -> pl.DataFrame:
    """Return the targets (columns as `strata.placed` gives them) whose ticket is below their stratum's bound.

    Targets are hashed in pieces, so that memory holds only the few that are low.
    """
    hashing = _Hashing(plan, seed, below)
    pieces = [targets.slice(start, _PIECE) for start in range(0, len(targets), _PIECE)]
    with ThreadPoolExecutor(2) as pool:
        return pl.concat([pl.DataFrame(schema=_CANDIDATES), *pool.map(hashing.low, pieces)])


class _Hashing:
    """The state that all pieces of a draw share."""

    def __init__(self, plan: Plan, seed: str, below: list[str]) -> None:
        self._weights: dict[int, pl.Expr] = {}  # By weight the condition of its targets.
        for credit_class in ("A", "B", "C", "D", ""):
            weight, has = plan.weight(credit_class), pl.col("credit_class") == credit_class
            self._weights[weight] = self._weights[weight] | has if weight in self._weights else has
        self._begins = pl.Series([f"{seed}:{s.name}:" for s in plan.strata])
        self._below = pl.Series(below)

    def low(self, piece: pl.DataFrame) -> pl.DataFrame:
        """Return the targets of a piece with a low ticket, and the ticket."""
        found = [pl.DataFrame(schema=_CANDIDATES)]
        for weight, has_it in self._weights.items():
            own = piece.filter(has_it) if len(self._weights) > 1 else piece
            if len(own):
                tickets = self._tickets(own, weight)
                low = (tickets < self._below.gather(own["stratum"])).arg_true()
                few = own.select("stratum", "id", "division")[low]
                found.append(few.with_columns(ticket=_copied(tickets.gather(low))))
        return pl.concat(found)

    def _tickets(self, own: pl.DataFrame, weight: int) -> pl.Series:
        """Return the tickets of targets of one weight: the lowest hash of each."""
        begins, ids = self._begins.gather(own["stratum"]), own["id"]
        lowest: list[pl.Series] = []
        for start in range(0, weight, _HASHES):
            texts = (pl.concat_str(begins, ids, pl.lit(f":{j}")) for j in range(start, weight)[:_HASHES])
            hashed = own.select(_sha256(text).alias(str(n)) for n, text in enumerate(texts))
            lowest = [pl.DataFrame([*hashed.get_columns(), *lowest]).min_horizontal().alias("lowest")]
        return lowest[0]


def _sha256(text: pl.Expr) -> pl.Expr:
    return plh.CryptographicHashingNameSpace(text).sha2_256()


def _copied(few: pl.Series) -> pl.Series:
    """Copy a few texts, which as a slice would keep all the others in memory."""
    copy = pl.from_arrow(few.to_arrow())
    assert isinstance(copy, pl.Series)
    return copy


def lowest(plan: Plan, counts: Mapping[str, int], parts: Iterable[pl.DataFrame]) -> pl.DataFrame | None:
    """Return the drawn targets in the transcript's order, from the candidates of all parts.

    Return None where a stratum has fewer candidates than it draws: the bounds were too low.
    """
    merged = pl.concat([pl.DataFrame(schema=_CANDIDATES), *(p.select(_CANDIDATES.names()) for p in parts)])
    drawn = []
    for n, stratum in enumerate(plan.strata):
        own = merged.filter(pl.col("stratum") == n).sort("ticket", "id").head(counts[stratum.name])
        if len(own) < counts[stratum.name]:
            return None
        drawn.append(own)
    return pl.concat(drawn)


def draw(
    plan: Plan,
    seed: str,
    classes: Mapping[tuple[str, str], int],
    counts: Mapping[str, int],
    parts: Callable[[], Iterable[pl.DataFrame]],
) -> pl.DataFrame:
    """Draw from targets that come in parts; `parts` is called a second time where the bounds were too low."""
    below = bounds(plan, classes, counts)
    found = lowest(plan, counts, (candidates(plan, seed, part, below) for part in parts()))
    if found is None:
        everyone = ["g"] * len(below)
        found = lowest(plan, counts, (candidates(plan, seed, part, everyone) for part in parts()))
    if found is None:
        raise DrawError("名录对象少于公告所述 / the register has fewer targets than the announcement says")
    return found


def per_stratum(plan: Plan, drawn: pl.DataFrame) -> list[list[Drawn]]:
    """List the drawn targets of each stratum as the transcript has them."""
    lists: list[list[Drawn]] = []
    for n in range(len(plan.strata)):
        own = drawn.filter(pl.col("stratum") == n)
        lists.append([Drawn(i, t) for i, t in zip(own["id"].to_list(), own["ticket"].to_list(), strict=True)])
    return lists


EXACT_UP_TO = 120  # Above so many targets the limit is exact to three digits.
_NODES = 1_000  # Nodes of the integration.


def chances(sizes: Mapping[int, int], count: int) -> dict[int, float]:
    """Return the chance of a target by weight; `sizes` are the numbers of targets by weight."""
    population = sum(sizes.values())
    if len(sizes) == 1 or count >= population:
        return dict.fromkeys(sizes, count / population if population else 0.0)
    if population <= EXACT_UP_TO:
        return {weight: _integrated(sizes, count, weight) for weight in sizes}
    return _limit(sizes, count)


def _limit(sizes: Mapping[int, int], count: int) -> dict[int, float]:
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if sum(n * (1 - (1 - middle) ** weight) for weight, n in sizes.items()) < count:
            low = middle
        else:
            high = middle
    return {weight: 1 - (1 - low) ** weight for weight in sizes}


def _integrated(sizes: Mapping[int, int], count: int, weight: int) -> float:
    """Integrate density of the own ticket × P(fewer than `count` others are lower) in s = (1 − t)^weight, by midpoints."""
    total = 0.0
    for node in range(_NODES):
        survive = (node + 0.5) / _NODES
        total += _fewer_lower(sizes, count, weight, survive ** (1 / weight))
    return total / _NODES


def _fewer_lower(sizes: Mapping[int, int], count: int, own: int, above: float) -> float:
    """Return P(fewer than `count` others have a ticket below the one that is exceeded with probability `above`)."""
    lower = [1.0]
    for weight, number in sizes.items():
        lower = _convolved(lower, _binomial(number - (weight == own), 1 - above**weight), count)
    return sum(lower[:count])


def _binomial(number: int, chance: float) -> list[float]:
    return [comb(number, k) * chance**k * (1 - chance) ** (number - k) for k in range(number + 1)]


def _convolved(left: Sequence[float], right: Sequence[float], length: int) -> list[float]:
    out = [0.0] * min(length, len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right[: max(0, len(out) - i)]):
            out[i + j] += a * b
    return out


def enumerated(weights: Sequence[int], count: int) -> list[Fraction]:
    """Enumerate the exact chance of each of a few targets: each next draw is in proportion to the remaining weights."""

    @cache
    def drawn(left: frozenset[int], places: int) -> tuple[Fraction, ...]:
        result = [Fraction(0)] * len(weights)
        if not places:
            return tuple(result)
        whole = sum(weights[i] for i in left)
        for first in left:
            chance = Fraction(weights[first], whole)
            result[first] += chance
            for i, later in enumerate(drawn(left - {first}, places - 1)):
                result[i] += chance * later
        return tuple(result)

    return list(drawn(frozenset(range(len(weights))), count))


class RowProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The proof that a row stands in an announced register of targets, which needs no other row.

    `path` has the hashes beside the way from the row's leaf to the root, each with its side.
    """

    columns: list[str]
    row: list[str]
    salt: str
    index: int
    count: int
    path: list[tuple[Literal["left", "right"], str]]


def row_lines(targets: DrawRegister) -> pl.Series:
    """Return the rows of a register as lines (values joined by TAB) in byte order. Raise DrawError beyond memory."""
    if not targets.in_memory:
        raise DrawError(
            "名录过大，不能逐行证明 / the register is too big for `row_proofs`", where=str(targets.path),
            hint="leave row_proofs out of the plan",
        )  # fmt: skip
    texts = [f.select(pl.concat_str(targets.columns, separator="\t").alias("line")) for f in targets.frames()]
    return pl.concat(texts)["line"].sort()


def merkle_levels(rows: pl.Series, salt: str) -> list[pl.Series]:
    """Return the salted Merkle tree over lines in order, from the leaves to the root.

    A leaf is the hex SHA-256 of `leaf:<salt of the row>:<line>`, the salt of a row that of `salt:<salt>:<line>`, a node
    that of `node:<left>:<right>`. One without a neighbour goes up as it is.
    """
    frame = pl.DataFrame({"line": rows})
    salts = frame.select(_sha256(pl.concat_str(pl.lit(f"salt:{salt}:"), "line")).alias("salt"))["salt"]
    leaf = pl.concat_str(pl.lit("leaf:"), "salt", pl.lit(":"), "line")
    levels = [frame.with_columns(salts).select(_sha256(leaf).alias("node"))["node"]]
    while len(levels[-1]) > 1:
        left, right = levels[-1].gather_every(2), levels[-1].gather_every(2, 1)
        pairs = pl.DataFrame({"left": left[: len(right)], "right": right})
        node = pl.concat_str(pl.lit("node:"), "left", pl.lit(":"), "right")
        above = pairs.select(_sha256(node).alias("node"))["node"]
        levels.append(above if len(left) == len(right) else pl.concat([above, left[-1:]]))
    return levels


def merkle_root(rows: pl.Series, salt: str) -> str:
    """Return the root of the tree; the SHA-256 of nothing where there are no rows."""
    return str(merkle_levels(rows, salt)[-1][0]) if len(rows) else hashlib.sha256(b"").hexdigest()


def prove_row(targets: DrawRegister, salt: str, target: str) -> RowProof:
    """Return the proof of a target's row. Raise DrawError for an unknown one."""
    rows, place = row_lines(targets), targets.columns.index("id")
    own = rows.str.split("\t").list.get(place)
    found = (own == target).arg_true()
    if not len(found):
        raise DrawError("名录中没有该对象 / the register has no such target", where=str(targets.path))
    index = at = int(found[0])
    path: list[tuple[Literal["left", "right"], str]] = []
    for level in merkle_levels(rows, salt)[:-1]:
        beside = at ^ 1
        if beside < len(level):
            path.append(("left" if beside < at else "right", str(level[beside])))
        at //= 2
    line = str(rows[index])
    own_salt = hashlib.sha256(f"salt:{salt}:{line}".encode()).hexdigest()
    return RowProof(targets.columns, line.split("\t"), own_salt, index, len(rows), path)


def check_row(proof: RowProof, root: str) -> dict[str, str]:
    """Return the row that a proof shows. Raise DrawError where it does not lead to the announced root.

    The root covers no names of columns, so the caller compares these with the announcement.
    """
    line = "\t".join(proof.row)
    node = hashlib.sha256(f"leaf:{proof.salt}:{line}".encode()).hexdigest()
    for side, other in proof.path:
        pair = f"{other}:{node}" if side == "left" else f"{node}:{other}"
        node = hashlib.sha256(f"node:{pair}".encode()).hexdigest()
    if node != root or len(proof.columns) != len(proof.row) or "\t" in "".join(proof.row):
        raise DrawError("该行不在公告的名录中 / the proof does not lead to the announced root")
    return dict(zip(proof.columns, proof.row, strict=True))
