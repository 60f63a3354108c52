"""Second chapter: what happens to licences after they are issued, over four years, and to one person's certificate."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from infra.demo.stage import EVENTS, Stage, Told, told, verdict_of
from infra.queries import Queries
from infra.samples import day, life
from infra.samples.writing import line


class Life(msgspec.Struct, frozen=True):
    """What the second chapter has to tell: `ended` is the verification of a licence that ended for deceit."""

    superseded: dict[str, Any]
    suspended: dict[str, Any]
    resumed: dict[str, Any]
    ended: dict[str, Any]
    barred: str
    person: dict[str, str]
    searched: int
    told: list[Told]


def play_life(stage: Stage) -> Life:
    """Plays the acts, and looks after each as of its moment."""
    who, acts = life.cast(), {act.name: act for act in life.acts()}
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
    with stage.ask() as ask:
        barred = ask.case("QH-2018-900001")
        same_day, renewed = _person(ask)
        ends = _ends(ask, who, seen, checks, barred)
        steps = [same_day, *_changes(ask, who, seen), *ends, renewed]
        shown = ask.holder(life.PERSON)
    searched, found = _search(stage, life.PERSON)
    steps.append(told("检索其身份证号 / a search for the person's number", "in no file", found))
    certificate = shown["licences"][0]
    stage.copy(certificate["number"], "certificate-person.pdf")
    return Life(
        seen["superseded"], seen["suspended"], seen["resumed"], seen["ended"], barred["reason"],
        {"number": certificate["number"], "holder_id": shown["holder_id"]}, searched, steps,
    )  # fmt: skip


def _number(stage: Stage, was: dict[str, Any]) -> str:
    with stage.ask() as ask:
        return str(ask.case(was["application_id"])["licence_number"])


def _changes(ask: Queries, who: life.Cast, seen: dict[str, dict[str, Any]]) -> list[Told]:
    extended = ask.licence(ask.case(who.extended["application_id"])["licence_number"])
    renamed = ask.licence(ask.case(who.renamed["application_id"])["licence_number"])
    return [
        told(
            "2018-09-20 扩项：增加产品与厂址 / extended by a product and a site", "v2, 2 products",
            f"v{extended['version']}, {len(extended['products'])} products",
        ),
        told("　　核验第 1 版 / version 1 verified then", "invalid (replaced)", verdict_of(seen["superseded"])),
        told(
            "2018-09-20 更名 / change of name", f"v2, {life.NEW_NAME}",
            f"v{renamed['version']}, {renamed['holder_name']}",
        ),
        told("2018-09-20 暂扣至 10-19 / suspended until 19 October", "invalid (suspended)", verdict_of(seen["suspended"])),
        told("2018-10-20 到期自行恢复 / in force again by itself", "valid", verdict_of(seen["resumed"])),
    ]  # fmt: skip


def _ends(
    ask: Queries,
    who: life.Cast,
    seen: dict[str, dict[str, Any]],
    checks: Counter[str],
    barred: dict[str, Any],
) -> list[Told]:
    number = len(life.visited())  # the new site of the extended one counts, the false one does not
    late = [s for s in day.SCENES if s.becomes == "correction-requested"]
    lapsed = [ask.case(a)["state"] for a, scene in day.scenes() if scene in {s.name for s in late}]
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


def _person(ask: Queries) -> tuple[Told, Told]:
    first, renewal = ask.case(life.CERTIFICATE), ask.case(life.RENEWAL)
    row = ask.licence(first["licence_number"])
    issued = next(past["issued_on"] for past in row["history"] if past.get("version") == 1)
    masked = f"{life.PERSON[:3]}{'*' * 11}{life.PERSON[-4:]}"
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


def _checks(stage: Stage) -> Counter[str]:
    """How the checks of everybody stand whose licence was not taken away before the day of the visits."""
    wronged = life.cast().wronged["applicant"]["id"]
    with stage.register() as register:
        return Counter(
            check.state
            for state in register.states()
            if state.display != wronged
            for check in state.checks.values()
        )


def _search(stage: Stage, number: str) -> tuple[int, str]:
    """Looks for a person's number in every file but those that the agency sent: how many files, and what was found."""
    wanted = number.encode()
    files = [path for path in sorted(stage.data.rglob("*")) if path.is_file() and EVENTS not in path.parts]
    hits = [str(path.relative_to(stage.data)) for path in files if wanted in path.read_bytes()]
    return len(files), "in " + (", ".join(hits) or "no file")
