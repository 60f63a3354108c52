"""The draw by the letter of the contract: slow, with nothing shared with the product but SHA-256."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest(columns: list[str], rows: list[dict[str, str]]) -> str:
    lines = sorted(("\t".join(row[c] for c in columns) + "\n").encode() for row in rows)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def stratum_of(plan: dict[str, Any], row: dict[str, str]) -> str | None:
    for stratum in plan["strata"]:
        if all(row[c] == str(v) for c, v in stratum["where"].items()):
            return str(stratum["name"])
    return None


def counts(plan: dict[str, Any], size: dict[str, int]) -> dict[str, int]:
    due = {}
    for s in plan["strata"]:
        if "ratio" in s:
            due[s["name"]] = ceil(Fraction(Decimal(s["ratio"])) * size[s["name"]])
        elif "count" in s:
            due[s["name"]] = s["count"]
    free = [s["name"] for s in plan["strata"] if s["name"] not in due]
    if free:
        left = plan["total"] - sum(due.values())
        quota = {n: Fraction(left * size[n], sum(size[m] for m in free)) for n in free}
        due |= {n: int(q) for n, q in quota.items()}
        for _ in range(plan["total"] - sum(due.values())):
            best = sorted(free, key=lambda n: (due[n] - quota[n], n.encode()))[0]
            due[best] += 1
    return due


def tickets(
    plan: dict[str, Any], seed: str, rows: list[dict[str, str]], out: set[str]
) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {s["name"]: [] for s in plan["strata"]}
    for row in rows:
        name = stratum_of(plan, row)
        if name is not None and row["id"] not in out:
            weight = plan.get("weights", {}).get(row["credit_class"], 1)
            found[name].append((min(sha(f"{seed}:{name}:{row['id']}:{j}") for j in range(weight)), row["id"]))
    return {name: sorted(own) for name, own in found.items()}


def competent(inspector: dict[str, str], division: str) -> bool:
    own = inspector["division"]
    if own.endswith("0000"):
        return own[:2] == division[:2]
    if own.endswith("00"):
        return own[:4] == division[:4]
    return own == division


def visits(
    seed: str,
    targets: list[dict[str, str]],
    inspectors: list[dict[str, str]],
    conflicts: list[dict[str, str]],
    places: int,
    need: str | None,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    load = {i["id"]: 0 for i in inspectors}
    apart = {(c["inspector_id"], c["target_id"]): c["reason"] for c in conflicts}
    fit = {i["id"] for i in inspectors if need in [q.strip() for q in i["qualifications"].split(";")]}
    assignments, skipped = [], []
    for target in targets:
        taken: list[str] = []
        passed: list[str] = []
        for place in range(places):
            able = [i["id"] for i in inspectors if competent(i, target["division"]) and i["id"] not in taken]
            if need is not None and place == places - 1 and not fit & set(taken):
                able = [i for i in able if i in fit]
            for i in sorted(able, key=lambda i: (load[i], sha(f"{seed}:inspector:{i}:{load[i]}"))):
                if (i, target["id"]) in apart:
                    if i not in passed:
                        passed.append(i)
                        reason = apart[i, target["id"]]
                        skipped.append({"target": target["id"], "inspector": i, "reason": reason})
                    continue
                taken.append(i)
                break
        for i in taken:
            load[i] += 1
        assignments.append({"target": target["id"], "inspectors": taken})
    return assignments, skipped
