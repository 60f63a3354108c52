"""`zhengzhao demo`: the whole story on a fresh data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import typer

from infra.cli import output

if TYPE_CHECKING:
    from infra.demo import Story

app = typer.Typer()
_STATES = {
    "issued": "发证 / issued",
    "correction-requested": "待补正 / correction requested",
    "refused": "不予许可 / refused",
    "withdrawn": "撤回申请 / withdrawn",
}


@app.command(epilog="Example: zhengzhao demo")
def demo() -> None:
    """演示 / A provincial bureau's day in 2018: applications in, licences out, one verified, a forged copy refused."""
    from infra.demo import fresh_folder, tell

    if output.CALL.data is None:
        output.CALL.data = fresh_folder()
    with output.progress("demo") as bar:
        story = tell(
            output.settings(), lambda p: bar.at(p.decided + p.issued, p.decided + p.issued + p.pending)
        )
    if output.as_json():
        output.print_json(msgspec.to_builtins(story))
    else:
        _show(story)


def _show(story: Story) -> None:
    line, sent = output.line, story.submitted
    line("2018年9月12日，青海。一单一书一照，承诺发证。")
    line("Qinghai, 12 September 2018: one form, one letter of commitment, one business licence.")
    line()
    line(
        f"收下 / accepted {sent.accepted} · 重复 / duplicates {sent.duplicates} · 拒收 / rejected {len(sent.rejected)}"
    )
    for one in sent.rejected:
        line(f"  line {one.line}: {one.error}")
    line()
    rows = []
    for outcome in story.outcomes:
        became = "，".join(f"{_STATES.get(s, s)} {n}" for s, n in sorted(outcome.states.items()))
        rows.append((outcome.said, outcome.count, became))
    output.print_table(("申请 / applications", "件 / number", "结果 / what became of them"), rows)
    line(f"证照 / licences issued: {story.issued}; 状态列表 / status lists published: {len(story.editions)}")
    line()
    line("三份证照 / three licences to open:")
    for licence in story.licences:
        line(f"  {licence['pdf']}   {licence['number']}   {licence['holder']}")
    _verdicts(story)
    _next(story)


def _verdicts(story: Story) -> None:
    line = output.line
    line()
    line("核验 / verified, with --at 2018-09-12T18:00:00+08:00:")
    line(f"  {_said(story.verified)}")
    line("同一份，以今天核验 / the same with today's date:")
    line(f"  {_said(story.today)}")
    line("改动一个字节的副本 / a copy with one byte changed:")
    line(f"  {_said(story.tampered)}")


def _said(verdict: dict[str, Any]) -> str:
    wrong = [f"{c['name']}: {c['detail']}" for c in verdict["checks"] if not c["ok"]]
    genuine = "genuine" if verdict["genuine"] else "not genuine"
    return f"{verdict['verdict']} ({genuine})" + (f" — {wrong[0]}" if wrong else "")


def _next(story: Story) -> None:
    line, folder = output.line, story.folder
    number = story.licences[0]["number"]
    line()
    line("接下来可以试 / what to try next:")
    for command in (
        f"zhengzhao verify {story.licences[0]['pdf']} --data {folder} --at 2018-09-12T18:00:00+08:00",
        f"zhengzhao licence show '{number}' --data {folder}",
        f"zhengzhao case show QH-2018-000010 --data {folder}",
        f"zhengzhao replay --into {folder}-again --data {folder}",
        f"zhengzhao doctor --data {folder}",
    ):
        line(f"  {command}")
