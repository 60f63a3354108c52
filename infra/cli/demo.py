"""`zhengzhao demo`: the whole story on a fresh data folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from infra.cli import later, output
from infra.portal.accounts import Accounts
from schemas.authorities import EXAMPLE_HOST

if TYPE_CHECKING:
    from infra.demo import Story
    from infra.demo.chapters import Day, Life, Registration
    from infra.demo.draw import Draw
    from infra.demo.stage import StoryStep

app = typer.Typer()
fresh_folder = later("infra.demo:fresh_folder")
tell = later("infra.demo:tell")
_STATES = {
    "issued": "发证 / issued",
    "correction-requested": "待补正 / correction requested",
    "refused": "不予许可 / refused",
    "withdrawn": "撤回申请 / withdrawn",
}
_ADDRESS = "http://127.0.0.1:8080"
_AGENCY = "urn:agency:630000:market-regulation"
_PROMISED = ("事项 / item", "法定→承诺 / days", "办结中位 / median", "兑现 / kept")


@app.command(epilog="Example: zhengzhao demo")
def demo() -> None:
    """演示 / Play a provincial bureau's story: a day of applications, the life of licences, a registration, a draw.

    It is played on a fresh data folder, which stays: the one of --data, of $ZHENGZHAO_DATA where that is empty, else
    ./zhengzhao-demo. Exit 1 where the result of a step is not the expected one.
    """
    if output.CALL.data is None:
        named = os.environ.get("ZHENGZHAO_DATA")
        output.CALL.data = fresh_folder(Path(named) if named else None)
    with output.progress("演示 / demo") as bar:
        story = tell(output.settings(), bar.at)
    logins = _logins(story)
    if output.as_json():
        output.print_json({**msgspec.to_builtins(story), "logins": logins})
    else:
        _show(story)
        _open(story, logins)
    if not story.ok:
        output.note("error: 有步骤结果与预期不符 / a step had another result than expected")
        raise typer.Exit(1)


def _show(story: Story) -> None:
    _day(story.day)
    _life(story.life)
    _registration(story.registration)
    _draw(story.draw)
    _next(story)


def _title(number: str, zh: str, en: str) -> None:
    output.line()
    output.line(f"{number}、{zh} / {en}")
    output.line("─" * 100)


def _steps(steps: Sequence[StoryStep]) -> None:
    """Print a table of steps; where a result is not the expected one, that one stands below it."""
    rows = [
        (s.said, s.found if s.ok else f"{s.found}\n应为 / expected: {s.expected}", "✓" if s.ok else "✗")
        for s in steps
    ]
    output.print_table(("经过 / step", "结果 / result", ""), rows)


def _day(day: Day) -> None:
    line, sent = output.line, day.submitted
    _title(
        "一",
        "2018年9月12日，青海：一单一书一照，承诺发证",
        "one form, one letter of commitment, one business licence",
    )
    line(
        f"收下 / accepted {sent.accepted} · 重复 / duplicates {sent.duplicates} · 拒收 / rejected {len(sent.rejected)}"
    )
    for one in sent.rejected:
        line(f"  line {one.line}: {one.error}")
    rows = []
    for outcome in day.outcomes:
        became = "，".join(f"{_STATES.get(s, s)} {n}" for s, n in sorted(outcome.states.items()))
        mark = "✓" if outcome.states == {outcome.expected: outcome.count} else "✗"
        rows.append((outcome.said, outcome.count, became, mark))
    output.print_table(("申请 / applications", "件 / number", "结果 / result", ""), rows)
    line(f"证照 / licences issued: {day.issued}; 状态列表 / status lists published: {len(day.editions)}")
    line("三份证照 / three licences to open:")
    for licence in day.licences:
        line(f"  {licence['pdf']}   {licence['number']}   {licence['holder']}")
    line("当日核验 / verified, with --at 2018-09-12T18:00:00+08:00:")
    line(f"  {_said(day.verified)}")
    line("以今天核验 / the same with today's date:")
    line(f"  {_said(day.today)}")
    line("改动一个字节的副本 / a copy with one byte changed:")
    line(f"  {_said(day.tampered)}")
    if wrong := [step for step in day.told if not step.ok]:
        _steps(wrong)


def _life(life: Life) -> None:
    _title("二", "此后四年：证照的一生", "four years on: the life of a licence")
    _steps(life.told)
    output.line("核验被撤销的证照 / verifying the licence that was rescinded:")
    output.line(f"  {_said(life.ended)}")
    output.line("其再申请 / its new application:")
    output.line(f"  {life.barred}")


def _registration(registration: Registration) -> None:
    line = output.line
    _title("三", "多证合一：一次登记，各部门认领", "one registration, its filings claimed by the departments")
    _steps(registration.told)
    total = registration.promises["total"]
    rows = [
        (
            row["name"], f"{row['statutory']}→{row['promised']}",
            "—" if row["median_days"] is None else f"{row['median_days']:g}", f"{row['kept']}/{row['measured']}",
        )
        for row in registration.promises["rows"]
        if row["measured"]
    ]  # fmt: skip
    output.print_table(
        _PROMISED, rows, title=f"四亮：承诺与兑现 / promised and kept: {total['kept']}/{total['measured']}"
    )
    line(f"营业执照 / the certificate: {registration.certificate}   {registration.licence['number']}")
    line(f"承诺公示页 / the promises as a page: {registration.promises_page}")
    line(f"一企一档 / everything about the holder: {registration.holder_page}")


def _draw(draw: Draw) -> None:
    line = output.line
    _title("四", "双随机抽查：人人可重抽", "a random draw that anybody can draw again")
    _steps(draw.told)
    line("核验抽中、查出问题的证照 / verifying the licence that failed its inspection:")
    line(f"  {draw.failed['number']} {draw.failed['holder']}: {_said(draw.after)}")
    line(f"抽取结果页 / the draw as a page: {draw.page}")
    line("自己重抽 / draw again yourself:")
    line(f"  cd {draw.folder}")
    line(
        "  tail -n +2 R.csv | tr ',' '\\t' | LC_ALL=C sort | sha256sum     # 名录摘要 / digest of the register"
    )
    line(
        "  sh recipe.sh                                                   # 种子与一层签号 / seed, tickets of a stratum"
    )
    line(
        "  python3 verify_draw.py TRANSCRIPT.json R.csv I.csv C.csv       # 全部 / everything but signatures"
    )


def _said(verdict: dict[str, Any]) -> str:
    wrong = [f"{c['name']}: {c['detail']}" for c in verdict["checks"] if not c["ok"]]
    genuine = "genuine" if verdict["genuine"] else "not genuine"
    return f"{verdict['verdict']} ({genuine})" + (f" — {wrong[0]}" if wrong else "")


def _logins(story: Story) -> dict[str, str]:
    """Make three accounts for the pages, and return a one-time link of each."""
    with output.installation() as here, here.queries() as ask:
        holder = str(ask.licence(story.day.licences[0]["number"])["holder_id"])
    accounts = Accounts(output.settings().data)
    try:
        made = {
            "enterprise": accounts.add("enterprise", holder, holder, holder, "", "企业 / enterprise"),
            "officer": accounts.add("agency", _AGENCY, _AGENCY, "", "supervisor", "办理人员 / officer"),
            "regulator": accounts.add("agency", _AGENCY, _AGENCY, "", "regulator", "监管人员 / regulator"),
        }
        return {who: f"{_ADDRESS}/login?link={accounts.link(account)}" for who, account in made.items()}
    finally:
        accounts.close()


def _open(story: Story, logins: dict[str, str]) -> None:
    """Say how to open the pages on the story that was told."""
    output.line()
    output.line("打开网页 / open the pages:")
    output.line(f"  zhengzhao run --data {story.folder}     # {_ADDRESS}")
    for who, link in logins.items():
        output.line(f"  {who:<10}  {link}")
    output.note("hint: 每个链接只能使用一次，24 小时内有效 / each link works once, within 24 hours")


def _next(story: Story) -> None:
    line, folder, draw = output.line, story.folder, story.draw.folder
    line()
    line(
        f"演示的证照印有示例主机 {EXAMPLE_HOST}，二维码扫不开；正式使用先写 authorities/*.toml / the demo's licences bear "
        "the example host, so their QR codes lead nowhere; before real use write authorities/*.toml (docs/operations.md)"
    )
    line("接下来可以试 / what to try next:")
    for command in (
        f"zhengzhao verify {story.day.licences[0]['pdf']} --data {folder} --at 2018-09-12T18:00:00+08:00",
        f"zhengzhao licence show '{story.draw.failed['number']}' --data {folder}",
        f"zhengzhao case show QH-2018-900001 --data {folder}",
        f"zhengzhao promises --data {folder} --html promises.html",
        f"zhengzhao draw lookup {draw}/TRANSCRIPT.json --register {draw}/R.csv --id '{story.draw.failed['number']}'",
        f"zhengzhao replay --into {folder}-again --data {folder}",
        f"zhengzhao doctor --data {folder}",
    ):
        line(f"  {command}")
