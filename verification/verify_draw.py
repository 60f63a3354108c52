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
from heapq import heapify, heappop, heappush
from operator import itemgetter

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
    options = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    text = json.dumps(value, sort_keys=True, **options)  # in the order of code points, which differs from U+E000 on
    return json.dumps(ordered(value), **options) if re.search("[\ue000-\U0010ffff]", text) else text

def table(path, name):
    """Return the lines of a CSV without its blank ones, values parted by TAB, after checking that it reads in one way."""
    strict = re.compile(r'(?:[^",\r]*|"(?:[^"]|"")*")(?:,|\r?\Z)')  # a stray quote could be read in two ways
    controls, lines = bytes({*range(32), 127} - {10, 13}), []
    with open(path, "rb") as file:
        file.seek(3 if file.read(3) == b"\xef\xbb\xbf" else 0)
        for block in iter(lambda: b"".join(file.readlines(1 << 22)), b""):
            clean = len(block.translate(None, controls)) == len(block)
            must(clean and not re.search(rb"\xc2[\x80-\x9f]|\r(?!\n)", block), f"{name}: a control character")
            text = block.decode().replace("\r\n", "\n").strip("\n")
            if '"' not in text:
                lines += filter(None, text.encode().replace(b",", b"\t").split(b"\n"))
                continue
            bare = text.replace('"\n"', "\n").replace('","', "\t")[1:-1]
            if '"' not in bare and text[0] == text[-1] == '"':  # every value is quoted, and no quote is within one
                lines += bare.encode().split(b"\n")
                continue
            for line in filter(None, text.split("\n")):
                must('"' not in line or "".join(strict.findall(line)) == line, f"{name}: a quote that RFC 4180 does not allow")
                row = line.split(",") if '"' not in line else next(csv.reader([line], strict=True))
                lines.append("\t".join(row).encode())
    return lines
def read(path, announced, name, key):
    """Return the columns of a CSV by place, and its lines in byte order, after checking that it is the announced register."""
    lines, digest = table(path, name), hashlib.sha256()
    head = (lines.pop(0) if lines else b"").decode().split("\t")
    must(len({*head}) == len(head) and all(line.count(b"\t") == len(head) - 1 for line in lines), f"{name}: short or long rows")
    lines.sort()
    for n in range(0, len(lines), 1 << 15):
        digest.update(b"\n".join(lines[n:n + (1 << 15)]) + b"\n")
    must({"columns": head, "count": len(lines), "digest": digest.hexdigest()} == announced, f"{name} are not as announced")
    places = [head.index(k) for k in key]
    keys = {itemgetter(*places)(line.split(b"\t", max(places) + 1)) for line in lines}
    must(len(keys) == len(lines), f"{name}: an id stands twice")
    return {column: n for n, column in enumerate(head)}, lines
def rows(path, announced, name, key):
    head, lines = read(path, announced, name, key)
    return [dict(zip(head, line.decode().split("\t"))) for line in lines]

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
    most = Fraction(plan.get("limit", "1"))
    must(all(due[n] <= -(-most * size[n] // 1) for n in due), "more than the limit of the item's class")
    must(plan.get("single") is True or 1 not in size.values(), "a stratum of one target, which the plan does not allow")
    return due

class Stratum:
    """The targets of a stratum with the lowest tickets so far: now and then all above the highest wanted one are dropped."""
    def __init__(self, seed, plan):
        self.base, self.wanted, self.size, self.found, self.bound = seed.copy(), plan["drawn"], 0, [], b"\xff" * 33
        self.base.update(f":{plan['name']}:".encode())
    def add(self, ticket, i, division):
        self.found.append((ticket, i, division))
        if len(self.found) > 2 * self.wanted + 1000:
            self.lowest(self.wanted)
            self.bound = self.found[-1][0] if self.found else b""
    def lowest(self, count):
        self.found = sorted(self.found)[:count]
        return [{"id": i.decode(), "ticket": ticket.hex()} for ticket, i, _ in self.found]

def draw(t, plan, head, lines, division):
    """Sort the targets into strata, and draw the lowest tickets again; note divisions of who is drawn or named there."""
    early = {e["id"].encode(): e["reason"] for e in t["excluded"] if e["reason"].startswith("drawn in ")}
    must(plan["earlier"] or not early, "left out for an earlier draw, but none is announced")
    seed, out, kinds, weights = hashlib.sha256(t["seed"].encode()), {}, {}, plan.get("weights", {})  # one whole block
    strata = {s["name"]: Stratum(seed, s) for s in plan["strata"]}
    where = {s["name"]: [(head[k], (json.dumps(v) if isinstance(v, bool) else str(v)).encode())
                         for k, v in s.get("where", {}).items()] for s in plan["strata"]}
    own, place = head["id"], head["division"]
    kind_of = itemgetter(head["credit_class"], *{k for fit in where.values() for k, _ in fit})
    while lines:
        row = lines.pop().split(b"\t")
        i, kind = row[own], kind_of(row)
        if kind not in kinds:  # what a stratum asks for is looked up once for all targets of a kind
            name = next((n for n, fit in where.items() if all(row[k] == v for k, v in fit)), None)
            kinds = {} if len(kinds) > 50000 else kinds
            weight, stratum = weights.get(row[head["credit_class"]].decode(), 1), strata.get(name)
            kinds[kind] = stratum, stratum and stratum.base.copy, [b":%d" % j for j in range(weight)]
        stratum, begin, tails = kinds[kind]
        if i in division:
            division[i] = row[place]
        if stratum is None or i in early:
            out[i] = "in no stratum" if stratum is None else early[i]
            continue
        stratum.size += 1
        ticket = stratum.bound
        for tail in tails:
            hashed = begin()
            hashed.update(i + tail)
            found = hashed.digest()
            if found < ticket:
                ticket = found
        if ticket < stratum.bound:
            stratum.add(ticket, i, row[place])
    listed = [{"id": i.decode(), "reason": out[i]} for i in sorted(out)]
    must(t["excluded"] == listed, "not the right targets are excluded")
    size = {name: stratum.size for name, stratum in strata.items()}
    due = share(plan, size)
    announced = {s["name"]: (s["population"], s["drawn"]) for s in plan["strata"]}
    must(announced == {n: (size[n], due[n]) for n in due}, "populations or counts are not right")
    again = [{"name": n, "population": size[n], "count": due[n], "drawn": strata[n].lowest(due[n])} for n in strata]
    must(canonical(t["strata"]) == canonical(again), "not the lowest tickets are drawn")
    division.update((i, place) for stratum in strata.values() for _, i, place in stratum.found)

def absent(i, first, last):  # the certificate ends before the period does, or leave touches it
    leave = [r.strip() for r in re.split("[;；]", i.get("away") or "") if r.strip()]
    return any(r[:10] <= last and r[-10:] >= first for r in leave) or "" < (i.get("valid_until") or "").strip() < last
def visit(t, plan, division, staff, apart):
    """Assign inspectors again: of those competent and without a conflict the lowest (load, duty ticket)."""
    begin = hashlib.sha256(f"{t['seed']}:inspector:".encode()).copy
    def entry(i, load):
        hashed = begin()
        hashed.update(f"{i}:{load}".encode())
        return load, hashed.digest(), i
    need, heaps, home, near = plan.get("qualification"), {}, {}, {}
    slots = [d["name"] for d in plan.get("departments", []) for _ in range(d.get("inspectors", 1))]
    slots = slots or [None] * plan["inspectors_per_target"]
    skills = {i["id"]: {q.strip() for q in i["qualifications"].replace("；", ";").split(";")} for i in staff}
    must({i for named in apart.values() for i in named} <= skills.keys(), "a conflict names an unknown inspector")
    for i in (i for i in staff if not ("unavailable" in plan and absent(i, *plan["period"]))):  # a heap for each kind
        where = (i["division"], slots[0] and i["department"], need is None or need in skills[i["id"]])
        (home.setdefault(i["id"], heaps.setdefault(where, []))).append(entry(i["id"], 0))
    for heap in heaps.values():
        heapify(heap)
    assignments, skipped = [], []
    for target in (drawn["id"] for stratum in t["strata"] for drawn in stratum["drawn"]):
        taken, aside, lacks, own = [], [], need is not None, apart.get(target, ())
        for n, slot in enumerate(slots, 1):
            kind = division[target], slot, lacks and n == len(slots)
            if kind not in near:
                places = {kind[0], kind[0][:4] + "00", kind[0][:2] + "0000"}
                near[kind] = [heaps[x, slot, q] for x in places for q in {True, kind[2]} if (x, slot, q) in heaps]
            lowest = heappop(min(filter(None, near[kind])))
            while lowest[2] in own:
                skipped.append({"target": target, "inspector": lowest[2], "reason": own[lowest[2]]})
                aside.append(lowest)
                lowest = heappop(min(filter(None, near[kind])))
            taken.append(lowest)
            lacks = lacks and need not in skills[lowest[2]]
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
    apart, unchecked = {}, "signatures, parties, publication, order, earlier, replacements" + ", public" * len(public)
    for row in rows(conflicts, registers["conflicts"], "conflicts", ["inspector_id", "target_id"]) if conflicts else []:
        apart.setdefault(row["target_id"], {})[row["inspector_id"]] = row["reason"]
    division = {i.encode(): b"" for i in apart}
    draw(t, plan, *read(register, registers["targets"], "targets", ["id"]), division)
    division = {i.decode(): place.decode() for i, place in division.items()}
    must(all(division.values()), "a conflict names an unknown target")
    if inspectors and (conflicts or not registers["conflicts"]["count"]):
        visit(t, plan, division, rows(inspectors, registers["inspectors"], "inspectors", ["id"]), apart)
    else:
        unchecked += ", assignments"
    print("right, as far as this can tell; not checked:", unchecked)

if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # whatever a hostile file breaks: it is not right
        sys.exit(f"WRONG: {error or type(error).__name__}" if len(sys.argv) > 2 else __doc__)
