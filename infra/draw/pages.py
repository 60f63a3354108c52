"""Summaries and pages of a draw; a page is one file without network.

Persons appear masked; a conflict of interest appears as the digest of its row, which auditors who have the register
can look up. Before the plan's `publish_after` a page has digests and counts, and no names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec import UnsetType

from infra.draw.register import TargetRegister
from infra.pages.frame import Column, Html, figures, page, section, table, terms, text
from processors.draw.lookup import chance_by_class, check_register
from schemas.authorities import authority, source_of
from schemas.authorities import find as find_division
from schemas.draw.aftermath import PublishedDraw, Replacement
from schemas.draw.documents import Announcement, Transcript
from schemas.draw.encoding import shown_id, shown_name
from schemas.draw.plan import day
from schemas.draw.strata import build_frame

_ROWS = 5_000  # A page with more rows is too long to read.
_FOOT = "正照 zhengzhao · 任何人可复核 / anyone can check it: zhengzhao draw verify, verify_draw.py"


class PageFacts(msgspec.Struct, frozen=True):
    """The facts that come from the register: names and divisions of the drawn, chances by class, changes."""

    names: dict[str, str]
    divisions: dict[str, str]
    chances: dict[str, dict[str, float]]
    changes: dict[str, int] | None


def summary(shown: PublishedDraw) -> dict[str, Any]:
    """Return the figures of an announcement or transcript."""
    announced, transcript = shown.announcement, shown.transcript
    plan = announced.plan
    fields: dict[str, Any] = {
        "plan": plan.plan,
        "item": plan.item,
        "title": plan.title,
        "authority": plan.authority,
        "period": plan.period,
        "announcement_digest": announced.digest,
        "sequence": announced.sequence,
        "previous": announced.previous,
        "replaces": announced.replaces,
        "strata": [{"name": s.name, "population": s.population, "drawn": s.drawn} for s in announced.strata],
        "registers": {
            name: getattr(announced.registers, name).digest for name in ("targets", "inspectors", "conflicts")
        },
        "parties": plan.seed.parties,
    }
    if transcript is not None:
        fields |= {
            "seed": transcript.seed,
            "opened": [r.party for r in transcript.reveals if r.opened is True],
            "assignments": len(transcript.assignments),
            "skipped": len(transcript.skipped),
            "excluded": len(transcript.excluded),
            "replacements": len(shown.replacements),
        }
    return fields


def html(
    shown: PublishedDraw,
    register: Path | None,
    before: Path | None,
    today: date,
    smallest_choice: int | None = None,
) -> str:
    """Write the page of an announcement or a transcript; `smallest_choice` is the fewest inspectors of any target."""
    announced, transcript = shown.announcement, shown.transcript
    plan = announced.plan
    places = _places(shown, register, before) if register else None
    parts = [
        _plan(announced, smallest_choice),
        _strata(announced, places),
        _seed(shown),
        _registers(announced),
    ]
    if places and places.changes is not None:
        parts.append(_changes(places.changes))
    if transcript is not None:
        closed = not isinstance(plan.publish_after, UnsetType) and today < day(
            plan.publish_after, "publish_after"
        )
        parts += [_loads(transcript)] if closed else [_where(transcript, places), _loads(transcript)]
        parts += (
            [_later(plan.publish_after)]
            if closed
            else [_visits(transcript, places), _replaced(shown.replacements), _skipped(transcript)]
        )
        if not closed:
            parts.append(_excluded(transcript))
    kind = "抽取结果" if transcript is not None else "抽查公告"
    under = [
        f"{authority_name(plan.authority)} · 第 {announced.sequence} 号 / number {announced.sequence}",
        announced.digest,
    ]
    return page(f"{plan.title} · {kind}", under, [p for p in parts if p], _FOOT)


def _places(shown: PublishedDraw, register: Path, before: Path | None) -> PageFacts:
    plan = shown.announcement.plan
    transcript = shown.transcript
    listed = [d.id for s in transcript.strata for d in s.drawn] if transcript else []
    out = (
        {e.id: e.reason for e in transcript.excluded if e.reason.startswith("drawn in ")}
        if transcript
        else {}
    )
    with TargetRegister(register, "targets") as targets:
        check_register(shown.announcement, targets)
        frame = build_frame(plan, targets, out)
        counts = {s.name: s.drawn for s in shown.announcement.strata}
        chances = chance_by_class(plan, frame.classes, counts)
        wanted = pl.Series("id", listed, dtype=pl.String).implode()
        found = pl.concat(
            [f.filter(pl.col("id").is_in(wanted)).select("id", "name", "division") for f in targets.frames()]
        )
        changes = _changed(targets, before) if before else None
    names = dict(found.select("id", "name").iter_rows())
    return PageFacts(names, dict(found.select("id", "division").iter_rows()), chances, changes)


def _changed(targets: TargetRegister, before: Path) -> dict[str, int]:
    """Count the targets added, removed, and of another class or division since another register."""
    columns = ["id", "credit_class", "division"]
    with TargetRegister(before, "targets") as old:
        then = pl.concat([f.select(columns) for f in old.frames()])
    now = pl.concat([f.select(columns) for f in targets.frames()])
    both = now.join(then, on="id", how="inner", suffix="_then")
    return {
        "added": len(now) - len(both),
        "removed": len(then) - len(both),
        "reclassified": int((both["credit_class"] != both["credit_class_then"]).sum()),
        "moved": int((both["division"] != both["division_then"]).sum()),
    }


def _plan(announced: Announcement, smallest_choice: int | None) -> Html:
    plan = announced.plan
    rows = [
        ("机关", "authority", authority_name(plan.authority)),
        ("机关代码", "code of the authority", plan.authority),
        ("计划", "plan", plan.plan),
        ("事项", "item", plan.item),
        ("检查时间", "period", " — ".join(plan.period)),
        ("每户检查人员", "inspectors per target", plan.inspectors_per_target),
        ("所需资格", "qualification", plan.needs or ""),
        ("最少可选检查人员", "smallest choice of inspectors", smallest_choice),
        ("前一公告", "previous", announced.previous),
        ("替代", "replaces", announced.replaces or ""),
    ]
    return section("抽查计划", "the plan", terms(row for row in rows if row[2] not in ("", None)))


def _strata(announced: Announcement, places: PageFacts | None) -> Html:
    rows = []
    for stratum in announced.strata:
        share = f"{stratum.drawn / stratum.population:.2%}" if stratum.population else ""
        chance = places.chances.get(stratum.name, {}) if places else {}
        by_class = ", ".join(f"{c or '—'} {p:.3%}" for c, p in chance.items())
        rows.append((stratum.name, f"{stratum.population:,}", f"{stratum.drawn:,}", share, by_class or share))
    whole = sum(s.population for s in announced.strata), sum(s.drawn for s in announced.strata)
    columns = (
        Column("分层", "stratum"), Column("总体", "population", True), Column("抽取", "drawn", True),
        Column("比例", "share", True), Column("各信用等级被抽中的概率", "chance by credit class"),
    )  # fmt: skip
    return section(
        "抽取数量与概率",
        "how many, and the chance",
        figures([(f"{whole[0]:,}", "对象", "targets"), (f"{whole[1]:,}", "抽取", "drawn")]),
        table(columns, rows),
        bars(
            [(s.name, s.drawn, s.population, f"{s.drawn:,} / {s.population:,} 户") for s in announced.strata]
        ),
    )


def bars(rows: Sequence[tuple[str, int, int, str]]) -> Html:
    """Draw a bar chart: for each row (name, part, whole, label) a bar of its whole and, in it, of its part."""
    if not rows:
        return Html("")
    lines = []
    for n, (name, part, whole, label) in enumerate(rows):
        y, width = 26 * n, 640 * part / whole if whole else 0.0
        lines.append(
            f'<text x="0" y="{y + 15}">{text(name[:18])}</text>'
            f'<rect class="statutory" x="220" y="{y + 2}" width="640" height="16"/>'
            f'<rect class="promised" x="220" y="{y + 2}" width="{width:.1f}" height="16"/>'
            f'<text class="soft" x="868" y="{y + 15}">{text(label)}</text>'
        )
    return Html(f'<svg viewBox="0 0 1040 {26 * len(rows)}" role="img">{"".join(lines)}</svg>')


def _seed(shown: PublishedDraw) -> Html:
    announced, transcript = shown.announcement, shown.transcript
    reveals = {r.party: r for r in transcript.reveals} if transcript else {}
    rows = []
    for commitment in announced.commitments:
        reveal = reveals.get(commitment.party)
        how = (
            ""
            if reveal is None
            else "监督方开启 / opened"
            if reveal.opened is True
            else "本方公开 / revealed"
        )
        rows.append((commitment.party, commitment.commitment, reveal.secret if reveal else "", how))
    columns = (
        Column("参与方", "party"),
        Column("承诺", "commitment"),
        Column("秘密", "secret"),
        Column("方式", "how"),
    )
    extra = _public(announced, transcript)
    if transcript is not None:
        extra.append(("种子", "seed", transcript.seed))
    return section("种子由来", "how the seed comes about", table(columns, rows), terms(extra))


def _public(announced: Announcement, transcript: Transcript | None) -> list[tuple[str, str, str]]:
    """Return the rows of the public value: its source, and the value where it is there."""
    source = announced.plan.seed.public
    if isinstance(source, UnsetType):
        return []
    if isinstance(source.beacon, str):
        rows = [
            ("公开随机数", "public value", f"{source.beacon} 第 {source.round} 轮 / round {source.round}")
        ]
    else:
        rows = [("公开随机数", "public value", f"{source.source} ({source.at})")]
    if transcript is not None and not isinstance(transcript.public, UnsetType):
        value = transcript.public
        rows.append(("数值", "value", value if isinstance(value, str) else value.signature))
    return rows


def _registers(announced: Announcement) -> Html:
    names = (("targets", "检查对象"), ("inspectors", "检查人员"), ("conflicts", "回避"))
    rows = [
        (zh, en, f"{register.count:,} · {register.digest}")
        for en, zh in names
        if (register := getattr(announced.registers, en))
    ]
    return section("名录", "registers", terms(rows))


def _changes(changes: Mapping[str, int]) -> Html:
    words = {"added": "新增", "removed": "移出", "reclassified": "等级变化", "moved": "区划变化"}
    return section(
        "与上次抽取的名录相比",
        "against the register of the draw before",
        figures([(f"{changes[k]:,}", zh, k) for k, zh in words.items()]),
    )


def _where(transcript: Transcript, places: PageFacts | None) -> Html:
    if places is None:
        return Html("")
    near = Counter(places.divisions.get(d.id, "") for s in transcript.strata for d in s.drawn)
    most = max(near.values(), default=0)
    rows = [(_place(d), n, most, f"{n:,} 户 / targets") for d, n in sorted(near.items())[:120]]
    return section("分布", "where", bars(rows))


def _place(division: str) -> str:
    """Return a division's name before its code, where data has one."""
    known = find_division(division)
    return f"{known.name} {division}" if known else division


def authority_name(urn: str) -> str:
    """Return the name of an authority where data has its division, else its URN."""
    source = source_of(urn)
    if source is None or find_division(source.division) is None:
        return urn
    return authority(*source).name


def _loads(transcript: Transcript) -> Html:
    loads = Counter(Counter(i for a in transcript.assignments for i in a.inspectors).values())
    most = max(loads.values(), default=0)
    rows = [
        (f"{n} 户 / visits", people, most, f"{people:,} 人 / inspectors")
        for n, people in sorted(loads.items())
    ]
    return section("检查人员工作量", "loads: inspectors by number of visits", bars(rows[:60]))


def _later(publish_after: object) -> Html:
    return section(
        "名单",
        "lists",
        Html(f"<p>名单于 {text(publish_after)} 起公布 / names are published from then on.</p>"),
    )


def _visits(transcript: Transcript, places: PageFacts | None) -> Html:
    names = places.names if places else {}
    divisions = places.divisions if places else {}
    stratum = {d.id: s.name for s in transcript.strata for d in s.drawn}
    rows = [
        (
            n,
            shown_id(a.target),
            shown_name(names.get(a.target, ""), a.target),
            divisions.get(a.target, ""),
            stratum.get(a.target, ""),
            "、".join(map(shown_id, a.inspectors)),
        )
        for n, a in enumerate(transcript.assignments[:_ROWS], 1)
    ]
    columns = (
        Column("序号", "place", True), Column("检查对象", "target"), Column("名称", "name"),
        Column("区划", "division"), Column("分层", "stratum"), Column("检查人员", "inspectors"),
    )  # fmt: skip
    more = len(transcript.assignments) - len(rows)
    note = (
        Html(f"<p>另有 {more:,} 户见抽取记录 / {more:,} more in the transcript.</p>")
        if more > 0
        else Html("")
    )
    return section("抽中对象与检查人员", "who is visited, and by whom", table(columns, rows), note)


def _replaced(replacements: Sequence[Replacement]) -> Html:
    if not replacements:
        return Html("")
    rows = [
        (
            one.number,
            "检查人员 / inspector" if isinstance(one.target, str) else "检查对象 / target",
            shown_id(one.unavailable),
            shown_id(one.target) if isinstance(one.target, str) else "",
            shown_id(one.next),
            one.reason,
        )
        for one in replacements[:_ROWS]
    ]
    columns = (
        Column("序号", "number", True), Column("类别", "who"), Column("无法到场", "unavailable"),
        Column("检查对象", "visit"), Column("递补", "next in order"), Column("理由", "reason"),
    )  # fmt: skip
    return section("顺位递补", "replaced since the draw", table(columns, rows))


def conflict_digest(inspector: str, target: str, reason: str) -> str:
    """Return the digest of a conflict's row, by which a reader of the register finds the row."""
    return sha256(f"{inspector}\t{target}\t{reason}\n".encode()).hexdigest()


def _skipped(transcript: Transcript) -> Html:
    if not transcript.skipped:
        return Html("")
    rows = [
        (shown_id(s.target), shown_id(s.inspector), conflict_digest(s.inspector, s.target, s.reason))
        for s in transcript.skipped[:_ROWS]
    ]
    columns = (
        Column("检查对象", "target"),
        Column("回避人员", "inspector"),
        Column("回避记录摘要", "digest of the conflict"),
    )
    return section("回避", "passed over for a conflict of interest", table(columns, rows))


def _excluded(transcript: Transcript) -> Html:
    if not transcript.excluded:
        return Html("")
    reasons = Counter(e.reason for e in transcript.excluded)
    rows = [(reason, f"{number:,}") for reason, number in sorted(reasons.items())]
    return section(
        "未参加抽取", "excluded", table((Column("原因", "reason"), Column("数量", "number", True)), rows)
    )
