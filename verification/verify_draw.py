"""Checks a random draw of zhengzhao. One file, Python 3.8 or later, nothing else: read it before you trust it.

    python verify_draw.py TRANSCRIPT.json REGISTER.csv [INSPECTORS.csv [CONFLICTS.csv]]

Signatures need `zhengzhao draw verify`. Exit 0: all that it could check is right; 1: something is not.
"""
# fmt: off
# mypy: ignore-errors
# ruff: noqa: B905, I001, SIM115

import csv
import hashlib
import json
import re
import sys
from fractions import Fraction
from heapq import heapify, heappop, heappush, nsmallest

def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()
def must(ok, message):
    if not ok:
        raise ValueError(message)
def ordered(v):
    if isinstance(v, dict):
        return {k: ordered(v[k]) for k in sorted(v, key=lambda k: k.encode("utf-16-be"))}
    return [ordered(x) for x in v] if isinstance(v, list) else v
def canonical(value):
    """RFC 8785: keys in the order of their UTF-16 code units, no spaces, no escapes but the needed ones."""
    return json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)

def read(path, announced, name, key):
    """Return the rows of a CSV, after checking that it is the announced register."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        text = file.read()
    must(not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)", text), f"{name}: a control character")
    strict = re.compile(r'(?:[^",\r]*|"(?:[^"]|"")*")(?:,|\r?\Z)')  # a stray quote could be read in two ways
    for line in text.split("\n") if '"' in text else ():
        must("".join(strict.findall(line)) == line, f"{name}: a quote that RFC 4180 does not allow")
    head, *rows = [row for row in csv.reader(text.split("\n"), strict=True) if row]
    must(len({*head}) == len(head) and all(len(r) == len(head) for r in rows), f"{name}: short or long rows")
    lines = "".join(sorted("\t".join(row) + "\n" for row in rows))  # code points sort as their UTF-8 bytes
    must({"columns": head, "count": len(rows), "digest": sha(lines)} == announced, f"{name} are not as announced")
    rows = [dict(zip(head, row)) for row in rows]
    must(len({tuple(row[k] for k in key) for row in rows}) == len(rows), f"{name}: an id stands twice")
    return rows

def share(plan, size):
    """Count the targets of each stratum: ratios rounded up exactly, the rest of `total` by largest remainder."""
    due = {s["name"]: s["count"] for s in plan["strata"] if "count" in s}
    due.update({s["name"]: -(-Fraction(s["ratio"]) * size[s["name"]] // 1) for s in plan["strata"] if "ratio" in s})
    free = [s["name"] for s in plan["strata"] if s["name"] not in due]
    left, whole = plan.get("total", sum(due.values())) - sum(due.values()), sum(size[n] for n in free)
    must(0 <= left <= whole, "the total cannot be drawn")
    due.update({n: left * size[n] // max(whole, 1) for n in free})
    for n in sorted(free, key=lambda n: (-(left * size[n] % max(whole, 1)), n.encode()))[:left - sum(map(due.get, free))]:
        due[n] += 1
    must(all(due[n] <= size[n] and (due[n] or not size[n]) for n in due), "a count that cannot be")
    return due

def draw(t, plan, targets):
    """Sort the targets into strata, and draws the lowest tickets again."""
    early = {e["id"]: e["reason"] for e in t["excluded"] if e["reason"].startswith("drawn in ")}
    must(plan["earlier"] or not early, "left out for an earlier draw, but none is announced")
    where = {s["name"]: [(k, json.dumps(v) if isinstance(v, bool) else str(v)) for k, v in s.get("where", {}).items()]
             for s in plan["strata"]}
    found, out, weights = {name: [] for name in where}, {}, plan.get("weights", {})
    for row in targets:
        name = next((n for n, fit in where.items() if all(row[k] == v for k, v in fit)), None)
        if name is None or row["id"] in early:
            out[row["id"]] = "in no stratum" if name is None else early[row["id"]]
            continue
        text = f"{t['seed']}:{name}:{row['id']}:"
        ticket = min(sha(text + str(j)) for j in range(weights.get(row["credit_class"], 1)))
        found[name].append((ticket, row["id"]))
    must(t["excluded"] == [{"id": i, "reason": out[i]} for i in sorted(out)], "not the right targets are excluded")
    size = {name: len(tickets) for name, tickets in found.items()}
    due = share(plan, size)
    announced = {s["name"]: (s["population"], s["drawn"]) for s in plan["strata"]}
    must(announced == {n: (size[n], due[n]) for n in due}, "populations or counts are not right")
    strata = [{"name": n, "population": size[n], "count": due[n], "drawn": [
        {"id": i, "ticket": h} for h, i in nsmallest(due[n], found[n])]} for n in found]
    must(canonical(t["strata"]) == canonical(strata), "not the lowest tickets are drawn")

def absent(i, first, last):  # the certificate ends before the period does, or leave touches it
    leave = [r.strip() for r in re.split("[;；]", i.get("away") or "") if r.strip()]
    return any(r[:10] <= last and r[-10:] >= first for r in leave) or "" < (i.get("valid_until") or "").strip() < last
def visit(t, plan, targets, staff, conflicts):
    """Assign inspectors again: of those competent and without a conflict the lowest (load, duty ticket)."""
    def entry(i, load):
        return load, sha(f"{t['seed']}:inspector:{i}:{load}"), i
    need, heaps, home, apart = plan.get("qualification"), {}, {}, {}
    slots = [d["name"] for d in plan.get("departments", []) for _ in range(d.get("inspectors", 1))]
    slots = slots or [None] * plan["inspectors_per_target"]
    skills = {i["id"]: {q.strip() for q in i["qualifications"].replace("；", ";").split(";")} for i in staff}
    for i in (i for i in staff if not ("unavailable" in plan and absent(i, *plan["period"]))):  # a heap for each kind
        where = (i["division"], slots[0] and i["department"], need is None or need in skills[i["id"]])
        (home.setdefault(i["id"], heaps.setdefault(where, []))).append(entry(i["id"], 0))
    for heap in heaps.values():
        heapify(heap)
    division = {row["id"]: row["division"] for row in targets}
    for row in conflicts:
        must(row["inspector_id"] in skills and row["target_id"] in division, "a conflict names somebody unknown")
        apart.setdefault(row["target_id"], {})[row["inspector_id"]] = row["reason"]
    assignments, skipped = [], []
    for target in (drawn["id"] for stratum in t["strata"] for drawn in stratum["drawn"]):
        d, taken, aside = division[target], [], []
        while len(taken) < len(slots):
            lacks = len(taken) == len(slots) - 1 and need is not None and not any(need in skills[i] for _, _, i in taken)
            near = [(x, slots[len(taken)], fit) for x in {d, d[:4] + "00", d[:2] + "0000"} for fit in {True, lacks}]
            lowest = heappop(min(heaps[n] for n in near if heaps.get(n)))
            reason = apart.get(target, {}).get(lowest[2])
            (taken if reason is None else aside).append(lowest)
            skipped += [] if reason is None else [{"target": target, "inspector": lowest[2], "reason": reason}]
        for back in aside + [entry(i, load + 1) for load, _, i in taken]:
            heappush(home[back[2]], back)
        assignments.append({"target": target, "inspectors": [i for _, _, i in taken]})
    must((t["assignments"], t["skipped"]) == (assignments, skipped), "the inspectors are not those of the rule")

def main(transcript, register, inspectors=None, conflicts=None):
    data = open(transcript, encoding="utf-8", newline="").read()
    t = json.loads(data, parse_float=lambda text: must(False, "a number with decimals"))
    must(canonical(t) == data, "not canonical JSON: other bytes of the same content")
    plan, registers = t["announcement"], t["announcement"]["registers"]
    digest = sha(canonical({k: v for k, v in plan.items() if k != "signature"}))
    must(plan["algorithm"] == "zhengzhao-draw-1" and digest == t["announcement_digest"], "another announcement")
    parties = [[x["party"] for x in listed] for listed in (plan["commitments"], t["reveals"])]
    must(parties == [plan["seed"]["parties"]] * 2, "not the parties of the plan")
    for promise, shown in zip(plan["commitments"], t["reveals"]):
        found = hashlib.sha256(bytes.fromhex(shown["secret"])).hexdigest()
        must(found == promise["commitment"], f"the secret of {shown['party']} is not the promised one")
    must(("public" in t) == ("public" in plan["seed"]), "a public number in one of plan and transcript only")
    public = [p if isinstance(p, str) else hashlib.sha256(bytes.fromhex(p["signature"])).hexdigest()
              for p in [t.get("public")] if p]  # a beacon's signature is hashed, and not checked here
    parts = [digest, *(shown["secret"] for shown in t["reveals"]), *public]
    must(sha(":".join(parts)) == t["seed"], "the seed does not follow from the reveals")
    draw(t, plan, targets := read(register, registers["targets"], "targets", ["id"]))
    unchecked = "signatures, parties, publication, order, earlier, replacements" + ", public" * len(public)
    if inspectors and (conflicts or not registers["conflicts"]["count"]):
        staff, key = read(inspectors, registers["inspectors"], "inspectors", ["id"]), ["inspector_id", "target_id"]
        visit(t, plan, targets, staff, read(conflicts, registers["conflicts"], "conflicts", key) if conflicts else [])
    else:
        unchecked += ", assignments"
    print("right, as far as this can tell; not checked:", unchecked)

if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # whatever a hostile file breaks: it is not right
        sys.exit(f"WRONG: {error or type(error).__name__}" if len(sys.argv) > 2 else __doc__)
