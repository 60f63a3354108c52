"""Fourth chapter: a small random draw (双随机) of licence holders to be inspected, which anybody can draw again.

Two parties commit, the authority announces, both reveal, targets and inspectors are drawn. Then the draw is
repeated four times: by the command, the one-file verifier, `sha256sum` with `sort`, and the verifier over a doctored transcript.
One drawn holder is visited and fails; its licence ends.

The demo writes a shell script beside its transcript that repeats the draw with `sort` and `sha256sum` alone.
"""

from __future__ import annotations

import json
import math
import secrets
import shutil
import subprocess
import sys
from datetime import date
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from infra.demo import samples_day
from infra.demo import samples_life as sample
from infra.demo.samples_day import PROVINCE, line
from infra.demo.stage import KEYS_FROM, DemoStage, StoryStep, told, verdict_of
from infra.draw import files, pages
from infra.draw.files import write_whole
from infra.draw.register import TargetRegister
from infra.draw.store import DrawStore, draw_key
from processors.draw import visits
from processors.draw.compute import compute, prepare
from processors.draw.visits import Target, living_targets, write_targets
from schemas.draw import seed
from schemas.draw.documents import Announcement, Commitment, Reveal, Transcript, read_transcript
from schemas.draw.plan import parse_toml, read_plan
from verification import verify_draw
from verification.draw import Files, verify
from verification.draw_result import DrawReport

_SCRIPT = r"""#!/bin/sh
# 人人可重抽 / anyone can draw again:  sh recipe.sh
# The columns of R.csv begin with id,name,division,credit_class,item,categories; no value has a comma in it.
set -eu
cd "$(dirname "$0")"
hash() { sha256sum | cut -c1-64; }

# 1. 名录摘要 / the digest of the register, as announced: @register@
tail -n +2 R.csv | tr ',' '\t' | LC_ALL=C sort | hash

# 2. 种子 / the seed: digest of the announcement and the secrets of both parties
seed=$(printf '%s' '@seeded@' | hash)
echo "$seed"

# 3. 层 @stratum@：签号最小者抽中 / the lowest tickets of this stratum are drawn, @count@ of them
tail -n +2 R.csv | while IFS=, read -r id name division class item categories rest; do
  [ "$categories" = '@category@' ] || continue
  case $class in B) weight=2 ;; C) weight=4 ;; D) weight=8 ;; *) weight=1 ;; esac
  j=0
  while [ "$j" -lt "$weight" ]; do
    echo "$(printf '%s' "$seed:@stratum@:$id:$j" | hash) $id"
    j=$((j + 1))
  done | LC_ALL=C sort | head -n 1
done | LC_ALL=C sort | head -n @count@
"""


def script(announcement: Announcement, transcript: Transcript, stratum: str, category: str) -> str:
    """Write the recipe for one stratum of a transcript, with the secrets as they were revealed."""
    drawn = next(s for s in transcript.strata if s.name == stratum)
    values = {
        "register": announcement.registers.targets.digest,
        "seeded": ":".join([announcement.digest, *(r.secret for r in transcript.reveals)]),
        "stratum": stratum,
        "count": str(drawn.count),
        "category": category,
    }
    text = _SCRIPT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


FOLDER = "draw"


class Draw(msgspec.Struct, frozen=True):
    """The results of the fourth chapter. `recipe` is the output of the shell, None where it has no sha256sum."""

    folder: str
    strata: list[dict[str, Any]]
    drawn: list[dict[str, Any]]
    verified: dict[str, Any]
    recipe: list[str] | None
    failed: dict[str, str]
    before: dict[str, Any]
    after: dict[str, Any]
    page: str
    told: list[StoryStep]


def play_draw(stage: DemoStage) -> Draw:
    """Draw, lets strangers draw again, and lets one inspection fail."""
    folder = stage.data / FOLDER
    folder.mkdir()
    targets = _registers(stage, folder)
    announcement, transcript = _drawn(stage, folder)
    report = _verify(stage, folder, folder / "TRANSCRIPT.json")
    shell = _recipe(folder, announcement, transcript)
    steps = [*_counts(targets, transcript), *_strangers(stage, folder, report)]
    if shell is not None:
        small = next(s for s in transcript.strata if s.name == sample.SMALL)
        expected = [
            announcement.registers.targets.digest,
            transcript.seed,
            *(f"{d.ticket} {d.id}" for d in small.drawn),
        ]
        steps.append(told(
            "sha256sum 与 sort 重抽 / drawn again by sha256sum and sort", "the same targets",
            "the same targets" if shell == expected else "other targets",
        ))  # fmt: skip
    failed, before, after = _inspected(stage, announcement, transcript, {t.id: t for t in targets})
    page = _page(folder)
    steps += [
        told("抽中一户，检查前核验 / one of the drawn, verified before the visit", "valid", verdict_of(before)),
        told("检查发现承诺不实：撤销 / the visit fails: rescinded, and verify refuses", "invalid (rescinded)", verdict_of(after)),
    ]  # fmt: skip
    return Draw(
        folder=str(folder),
        strata=[{"name": s.name, "population": s.population, "drawn": s.count} for s in transcript.strata],
        drawn=[msgspec.to_builtins(a) for a in transcript.assignments],
        verified=msgspec.to_builtins(report),
        recipe=shell,
        failed=failed,
        before=before,
        after=after,
        page=str(page),
        told=steps,
    )


# --- the draw


def _registers(stage: DemoStage, folder: Path) -> list[Target]:
    """Write the registers and the plan: classes of all holders, targets from living licences, inspectors, conflicts."""
    holders = {target.holder_id for target in _targets(stage)}
    stage.play("classes", map(line, sample.classifications(holders)))
    targets = sorted(_targets(stage), key=lambda t: t.id.encode())
    write_targets(folder / "R.csv", targets)
    sample.write(folder / "I.csv", sample.inspectors())
    sample.write(folder / "C.csv", sample.conflicts([t.id for t in targets]))
    (folder / "plan.toml").write_text(sample.PLAN, "utf-8")
    return targets


def _targets(stage: DemoStage) -> list[Target]:
    with stage.here.register() as register:
        record = stage.here.accesses.record
        return list(living_targets(register, stage.here.persons, record, samples_day.ITEM))


def _drawn(stage: DemoStage, folder: Path) -> tuple[Announcement, Transcript]:
    kept = [_commit(folder, party) for party in sample.PARTIES]
    content = parse_toml((folder / "plan.toml").read_bytes(), "plan.toml")
    plan = read_plan(content, "plan.toml")
    store, trust = DrawStore(stage.data), stage.here.trust
    signer = draw_key(stage.here.signer(), trust, plan, KEYS_FROM)
    registers = (folder / "R.csv", folder / "I.csv", folder / "C.csv")
    with files.opened(*registers, [], trust) as given:
        promised = [commitment for commitment, _, _ in kept]
        prepared = prepare(content, given, promised, trust, KEYS_FROM, "plan.toml")
        announcement = store.announce(prepared.content, plan, signer)
    write_whole(folder / "ANNOUNCEMENT.json", announcement.bytes)
    shown = [_reveal(folder, announcement, *one) for one in kept]
    with files.opened(*registers, [], trust) as given:
        data = store.record(announcement, compute(announcement, given, shown, None), signer)
    write_whole(folder / "TRANSCRIPT.json", data)
    return announcement, read_transcript(data)


def _commit(folder: Path, party: str) -> tuple[Commitment, bytes, ec.EllipticCurvePrivateKey]:
    """Make a party's secret and commitment; the secret stays in memory until it is revealed."""
    secret, key = secrets.token_bytes(seed.SECRET_BYTES), ec.generate_private_key(ec.SECP256R1())
    promise = Commitment(party, seed.commitment_of(secret), seed.public_pem(key.public_key()))
    write_whole(folder / f"COMMITMENT-{party}.json", msgspec.json.encode(promise))
    return promise, secret, key


def _reveal(
    folder: Path,
    announcement: Announcement,
    promise: Commitment,
    secret: bytes,
    key: ec.EllipticCurvePrivateKey,
) -> Reveal:
    shown = seed.reveal(secret, promise, announcement, key, opened=False)
    write_whole(folder / f"REVEAL-{promise.party}.json", msgspec.json.encode(shown))
    return shown


def _counts(targets: list[Target], transcript: Transcript) -> list[StoryStep]:
    """Compare the numbers due by plan and register with the numbers drawn."""
    small = sum(target.categories == sample.CATEGORY for target in targets)
    due = {sample.SMALL: math.ceil(Fraction(sample.RATIO) * small), "rest": sample.REST}
    visitors = {len(set(a.inspectors)) for a in transcript.assignments}
    return [
        told(
            f"抽取：{len(targets)} 户中化肥企业 20 %、其余 {sample.REST} 户 / drawn of {len(targets)}: 20 % of fertilisers, {sample.REST} others",
            ", ".join(f"{name} {number}" for name, number in due.items()),
            ", ".join(f"{s.name} {len(s.drawn)}" for s in transcript.strata),
        ),
        told(
            "每户两名检查人员 / two inspectors each", f"{sum(due.values())} visits by 2",
            f"{len(transcript.assignments)} visits by {', '.join(map(str, sorted(visitors)))}",
        ),
    ]  # fmt: skip


# --- drawn again


def _verify(stage: DemoStage, folder: Path, transcript: Path) -> DrawReport:
    chain = stage.data / "draws" / PROVINCE.removeprefix("urn:agency:").replace(":", "-")
    register, inspectors, conflicts = folder / "R.csv", folder / "I.csv", folder / "C.csv"
    given = Files(
        partial(TargetRegister, register, "targets"),
        partial(TargetRegister, inspectors, "inspectors"),
        partial(TargetRegister, conflicts, "conflicts"),
        [],
        chain,
    )
    return verify(read_transcript(transcript.read_bytes()), given, stage.here.trust, KEYS_FROM)


def _strangers(stage: DemoStage, folder: Path, report: DrawReport) -> list[StoryStep]:
    write_whole(folder / "verify_draw.py", Path(verify_draw.__file__).read_bytes())
    doctored = _doctored(folder)
    wrong = _verify(stage, folder, doctored)
    return [
        told("命令复核 / the command: draw verify", "valid", report.verdict),
        told("单文件程序复核 / the one-file program: verify_draw.py", "exit 0", _one_file(folder, "TRANSCRIPT.json")),
        told("换掉一户的记录 / a transcript with one target exchanged", "invalid, exit 1", f"{wrong.verdict}, {_one_file(folder, doctored.name)}"),
    ]  # fmt: skip


def _one_file(folder: Path, transcript: str) -> str:
    words = [sys.executable, "verify_draw.py", transcript, "R.csv", "I.csv", "C.csv"]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    return f"exit {done.returncode}"


def _doctored(folder: Path) -> Path:
    """Write a transcript in which a target that was not drawn replaces one that was."""
    text = (folder / "TRANSCRIPT.json").read_text("utf-8")
    drawn = [d["id"] for s in json.loads(text)["strata"] for d in s["drawn"]]
    lines = (folder / "R.csv").read_text("utf-8").splitlines()[1:]
    other = next(own for row in lines if (own := row.partition(",")[0]) not in drawn)
    path = folder / "TRANSCRIPT-doctored.json"
    path.write_text(text.replace(drawn[0], other), "utf-8")
    return path


def _recipe(folder: Path, announcement: Announcement, transcript: Transcript) -> list[str] | None:
    """Draw the small stratum again by the shell alone; return its output, or None where a tool is missing."""
    path = folder / "recipe.sh"
    write_whole(path, script(announcement, transcript, sample.SMALL, sample.CATEGORY).encode())
    if not all(shutil.which(tool) for tool in ("sh", "sort", "sha256sum")):
        return None
    done = subprocess.run(["sh", path.name], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


# --- after it


def _inspected(
    stage: DemoStage, announcement: Announcement, transcript: Transcript, targets: dict[str, Target]
) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    first = transcript.assignments[0]
    target = targets[first.target]
    pdf = stage.copy(target.id, "licence-drawn.pdf")
    before = stage.verify(pdf, sample.ANNOUNCED)
    own = visits.inspection_id(announcement.digest, target.id)
    stage.play("inspection", [line(sample.result(own, target.holder_id, target.id, first.inspectors))])
    failed = {"number": target.id, "holder": target.name, "pdf": str(pdf)}
    return failed, before, stage.verify(pdf, sample.INSPECTED)


def _page(folder: Path) -> Path:
    path = folder / "transcript.html"
    shown, today = files.published(folder / "TRANSCRIPT.json"), date.fromisoformat(sample.INSPECTED[:10])
    write_whole(path, pages.html(shown, folder / "R.csv", None, today).encode())
    return path
