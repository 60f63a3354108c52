"""Three chapters of the demo.

The first: a day of applications and the verification of three licences. The second: the licences over four years, and
one person's certificate. The third: one registration with several filings (多证合一), and the promises kept (四亮).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from infra.demo import samples_day, samples_life
from infra.demo import samples_life as sample
from infra.demo.samples_day import line
from infra.demo.stage import EVENTS, DemoStage, StoryStep, told, verdict_of
from infra.pages.holder import holder_page
from infra.pages.promises import promises_page
from processors.queries.find import Queries
from processors.queries.promises import TYPES, figures, fold
from producers.files import Summary
from schemas.items import fields_once


class Life(msgspec.Struct, frozen=True):
    """The results of the second chapter; `ended` is the verification of a licence that was rescinded for deceit."""

    superseded: dict[str, Any]
    suspended: dict[str, Any]
    resumed: dict[str, Any]
    ended: dict[str, Any]
    barred: str
    person: dict[str, str]
    searched: int
    told: list[StoryStep]


def play_life(stage: DemoStage) -> Life:
    """Play the acts, and verify after each as of its moment."""
    who, acts = samples_life.cast(), {act.name: act for act in samples_life.acts()}
    seen: dict[str, dict[str, Any]] = {}
    for act in acts.values():
        stage.play(f"life-{act.name}", map(line, act.events))
        if act.name == "week-after":
            extended = stage.copy(_number(stage, who.extended), "licence-superseded.pdf", 1)
            suspended = stage.copy(_number(stage, who.suspended), "licence-suspended.pdf")
            seen["superseded"] = stage.verify(extended, act.at)
            seen["suspended"] = stage.verify(suspended, act.at)
        if act.name == "on-site":
            ended = stage.copy(_number(stage, who.deceived), "licence-rescinded.pdf")
            seen["ended"] = stage.verify(ended, act.at)
            checks = _checks(stage)
        if act.name == "october":
            seen["resumed"] = stage.verify(suspended, act.at)
    with stage.here.queries() as ask:
        barred = ask.case("QH-2018-900001")
        same_day, renewed = _person(ask)
        ends = _ends(ask, who, seen, checks, barred)
        steps = [same_day, *_changes(ask, who, seen), *ends, renewed]
        shown = ask.holder(samples_life.PERSON)
    searched, found = _search(stage, samples_life.PERSON)
    steps.append(told("检索其身份证号 / a search for the person's number", "in no file", found))
    certificate = shown["licences"][0]
    stage.copy(certificate["number"], "certificate-person.pdf")
    return Life(
        seen["superseded"], seen["suspended"], seen["resumed"], seen["ended"], barred["reason"],
        {"number": certificate["number"], "holder_id": shown["holder_id"]}, searched, steps,
    )  # fmt: skip


def _number(stage: DemoStage, was: dict[str, Any]) -> str:
    with stage.here.queries() as ask:
        return str(ask.case(was["application_id"])["licence_number"])


def _changes(ask: Queries, who: samples_life.Cast, seen: dict[str, dict[str, Any]]) -> list[StoryStep]:
    extended = ask.licence(ask.case(who.extended["application_id"])["licence_number"])
    renamed = ask.licence(ask.case(who.renamed["application_id"])["licence_number"])
    return [
        told(
            "2018-09-20 扩项：增加产品与厂址 / extended by a product and a site", "v2, 2 products",
            f"v{extended['version']}, {len(extended['products'])} products",
        ),
        told("　　核验第 1 版 / version 1 verified then", "invalid (replaced)", verdict_of(seen["superseded"])),
        told(
            "2018-09-20 更名 / change of name", f"v2, {samples_life.NEW_NAME}",
            f"v{renamed['version']}, {renamed['holder_name']}",
        ),
        told("2018-09-20 暂扣至 10-19 / suspended until 19 October", "invalid (suspended)", verdict_of(seen["suspended"])),
        told("2018-10-20 期满恢复 / in force again when it ended", "valid", verdict_of(seen["resumed"])),
    ]  # fmt: skip


def _ends(
    ask: Queries,
    who: samples_life.Cast,
    seen: dict[str, dict[str, Any]],
    checks: Counter[str],
    barred: dict[str, Any],
) -> list[StoryStep]:
    number = len(samples_life.visited())  # the new site of the extended one counts, the false one does not
    late = [s for s in samples_day.SCENES if s.becomes == "correction-requested"]
    lapsed = [ask.case(a)["state"] for a, scene in samples_day.scenes() if scene in {s.name for s in late}]
    holder = ask.holder(who.wronged["applicant"]["id"])
    was, *new = sorted(holder["licences"], key=lambda row: str(row["issued_on"]))
    return [
        told(
            "2018-10-09 后置现场核查，一户造假 / on-site checks, one finds a false commitment",
            f"{number} passed, 1 failed",
            ", ".join(f"{n} {state}" for state, n in checks.most_common()),
        ),
        told("　　撤销，随即核验 / rescinded; verified then", "invalid (rescinded)", verdict_of(seen["ended"])),
        told("2018-10-12 再申请，三年内不得 / applies again: barred for three years", "refused", barred["state"]),
        told(
            "2018-10-15 复议纠正误撤 / a wrong rescission annulled: a new licence",
            "rescinded → valid, a new number, the same end",
            " → ".join(row["status"] for row in (was, *new))
            + (", a new number" if all(row["number"] != was["number"] for row in new) else "")
            + (", the same end" if all(row["valid_until"] == was["valid_until"] for row in new) else ""),
        ),
        told(
            "2018-10-20 逾期未补正 / corrections that never came", f"lapsed {sum(s.number for s in late)}",
            ", ".join(f"{state} {n}" for state, n in Counter(lapsed).items()),
        ),
    ]  # fmt: skip


def _person(ask: Queries) -> tuple[StoryStep, StoryStep]:
    first, renewal = ask.case(samples_life.CERTIFICATE), ask.case(samples_life.RENEWAL)
    row = ask.licence(first["licence_number"])
    issued = next(past["issued_on"] for past in row["history"] if past.get("version") == 1)
    masked = f"{samples_life.PERSON[:3]}{'*' * 11}{samples_life.PERSON[-4:]}"
    return (
        told(
            "2018-09-13 个人证件，当日审核发证 / a person's certificate, reviewed and issued the same day",
            f"2018-09-13 for {masked}",
            f"{issued} for {row['holder_id']}",
        ),
        told(
            "2022-09-13 延续未决，视为准予 / renewal not decided in time: deemed renewed",
            "issued, v2 from 2022-09-13 until 2026-09-12",
            f"{renewal['state']}, v{row['version']} from {row['issued_on']} until {row['valid_until']}",
        ),
    )


def _checks(stage: DemoStage) -> Counter[str]:
    """Count the states of the checks of those whose licence had not ended before the day of the visits."""
    wronged = samples_life.cast().wronged["applicant"]["id"]
    with stage.here.register() as register:
        return Counter(
            check.state
            for state in register.states()
            if state.display != wronged
            for check in state.checks.values()
        )


def _search(stage: DemoStage, number: str) -> tuple[int, str]:
    """Search every file but those that the agency sent for a person's number; return their number and the finding."""
    wanted = number.encode()
    files = [path for path in sorted(stage.data.rglob("*")) if path.is_file() and EVENTS not in path.parts]
    hits = [str(path.relative_to(stage.data)) for path in files if wanted in path.read_bytes()]
    return len(files), "in " + (", ".join(hits) or "no file")


AT = f"{samples_day.DAY}T18:00:00+08:00"
_SHOWN = ("complete", "several", "rare")  # scenes of which a licence is laid out to be opened


class Outcome(msgspec.Struct, frozen=True):
    """A row of the table: a scene of the day, the number of its applications, and their states."""

    scene: str
    said: str
    count: int
    states: dict[str, int]
    expected: str


class Day(msgspec.Struct, frozen=True):
    """The results of the first chapter."""

    events: str
    submitted: Summary
    decided: int
    issued: int
    editions: list[str]
    outcomes: list[Outcome]
    licences: list[dict[str, str]]
    verified: dict[str, Any]
    today: dict[str, Any]
    tampered: dict[str, Any]
    told: list[StoryStep]


def play_day(stage: DemoStage) -> Day:
    """Play 12 September 2018."""
    summary, progress = stage.play("day", samples_day.lines())
    outcomes, licences = _outcomes(stage)
    pdf = Path(licences[0]["pdf"])
    verified, today = stage.verify(pdf, AT), stage.verify(pdf)
    tampered = stage.verify(_tampered(pdf), AT)
    steps = [
        told(o.said, f"{o.expected} {o.count}", ", ".join(f"{s} {n}" for s, n in sorted(o.states.items())))
        for o in outcomes
    ]
    taken = f"{samples_day.RESENT} duplicates, {len(samples_day.BROKEN)} rejected"
    steps += [
        told("重发与损坏 / sent twice, broken", taken, f"{summary.duplicates} duplicates, {len(summary.rejected)} rejected"),
        told("当日核验 / verified that day", "valid", verdict_of(verified)),
        told("今日核验：有效期已过 / verified today: its time is over", "invalid (expired)", verdict_of(today)),
        told("改动一个字节 / one byte changed", "invalid (not genuine)", verdict_of(tampered)),
    ]  # fmt: skip
    return Day(
        events=str(stage.data / "events" / "day.jsonl"),
        submitted=summary,
        decided=progress.decided,
        issued=progress.issued,
        editions=progress.editions,
        outcomes=outcomes,
        licences=licences,
        verified=verified,
        today=today,
        tampered=tampered,
        told=steps,
    )


def _outcomes(stage: DemoStage) -> tuple[list[Outcome], list[dict[str, str]]]:
    states: dict[str, Counter[str]] = {scene.name: Counter() for scene in samples_day.SCENES}
    shown: dict[str, dict[str, Any]] = {}
    without_case = samples_day.applications_of("incompetent")
    holders = {data["application_id"]: data["applicant"]["id"] for data in without_case}
    with stage.here.queries() as ask:
        for application, scene in samples_day.scenes():
            if application in holders:  # refused without a case; the refusal stands with the applicant
                states[scene]["refused"] += len(ask.holder(holders[application])["refused"])
                continue
            case = ask.case(application)
            states[scene][case["state"]] += 1
            if case["state"] == "issued" and scene in _SHOWN and scene not in shown:
                shown[scene] = ask.licence(case["licence_number"])
    licences = []
    for n, row in enumerate((shown[scene] for scene in _SHOWN), 1):
        pdf = stage.copy(row["number"], f"licence-{n}.pdf")
        licences.append({"number": row["number"], "holder": row["holder_name"], "pdf": str(pdf)})
    outcomes = [
        Outcome(s.name, s.said, s.number, dict(states[s.name]), s.becomes) for s in samples_day.SCENES
    ]
    return outcomes, licences


def _tampered(pdf: Path) -> Path:
    """Write a copy in which one bit differs."""
    changed = bytearray(pdf.read_bytes())
    changed[len(changed) // 2] ^= 1
    copy = pdf.with_name("licence-tampered.pdf")
    copy.write_bytes(changed)
    return copy


class Registration(msgspec.Struct, frozen=True):
    """The results of the third chapter: the certificate, its filings, and the promises with their pages."""

    licence: dict[str, Any]
    filings: list[dict[str, Any]]
    verified: dict[str, Any]
    promises: dict[str, Any]
    certificate: str
    promises_page: str
    holder_page: str
    told: list[StoryStep]


def play_registration(stage: DemoStage) -> Registration:
    """Play the registration and the answers, then compute the figures of everything so far."""
    stage.play("registration", map(line, sample.events()))
    with stage.here.queries() as ask:
        row = ask.licence(ask.case(sample.APPLICATION)["licence_number"])
        holder = ask.holder(sample.HOLDER)
    pdf = stage.copy(row["number"], "business-licence.pdf")
    verified = stage.verify(pdf, sample.AT)
    with stage.here.register() as register:
        promises = figures(fold(register.facts(TYPES), stage.catalogue), stage.catalogue)
    pages = {
        "promises.html": promises_page(promises),
        "holder.html": holder_page(holder, stage.catalogue),
    }
    for name, content in pages.items():
        (stage.data / name).write_text(content, "utf-8")
    return Registration(
        licence=row,
        filings=holder["filings"],
        verified=verified,
        promises=promises,
        certificate=str(pdf),
        promises_page=str(stage.data / "promises.html"),
        holder_page=str(stage.data / "holder.html"),
        told=[*_fields(stage), *_filings(stage, holder), *_kept(promises, verified)],
    )


def _fields(stage: DemoStage) -> list[StoryStep]:
    licence = [item for item in stage.catalogue.items.values() if item.mode == "consolidated"]
    chosen = [item for code in sample.FILINGS if (item := stage.catalogue.get(code)) is not None]
    asked = fields_once([*licence, *chosen])
    whole = sum(len(item.fields) for item in (*licence, *chosen))
    return [
        told(
            "填报：各部门共用的内容只填一次 / fields that several ask for are filled in once",
            f"{len({field.name for item in (*licence, *chosen) for field in item.fields})} instead of {whole}",
            f"{len(asked)} instead of {sum(len(items) for _, items in asked)}",
        )
    ]


def _filings(stage: DemoStage, holder: dict[str, Any]) -> list[StoryStep]:
    states = Counter(filing["state"] for filing in holder["filings"])
    pushed = len(list((stage.data / "outbox").rglob("*.json")))
    return [
        told(
            "推送各部门：一项退回，补正后再推 / pushed to departments; one came back and went again",
            f"{len(sample.FILINGS)} filings, {len(sample.FILINGS) + 1} pushes",
            f"{len(holder['filings'])} filings, {pushed} pushes",
        ),
        told(
            "部门认领 / departments answer", f"claimed {len(sample.FILINGS) - 1}, received 1",
            ", ".join(f"{state} {n}" for state, n in states.most_common()),
        ),
        told(
            "他部门代为认领 / a department answers what is another's", "refused: filing.claimed",
            "refused: " + ", ".join(row["event"] for row in holder["refused"]),
        ),
    ]  # fmt: skip


def _kept(promises: dict[str, Any], verified: dict[str, Any]) -> list[StoryStep]:
    total = promises["total"]
    return [
        told("营业执照（附备案）核验 / the certificate, verified", "valid", verdict_of(verified)),
        told(
            "承诺兑现：仅那次延续逾期 / promises kept: all but the renewal that nobody decided",
            "1 broken: special-equipment-operator",
            f"{total['measured'] - total['kept']} broken: "
            + ", ".join(row["item"] for row in promises["rows"] if row["kept"] < row["measured"]),
        ),
    ]
