"""`zhengzhao drain` and `zhengzhao tick` of the embedded engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import output

if TYPE_CHECKING:
    from infra.engines.embedded import Progress
    from infra.settings import Settings

app = typer.Typer()


@app.command(epilog="Example: zhengzhao drain")
def drain() -> None:
    """处理 / Decides, numbers, issues until nothing is pending; publishes the status lists that changed."""
    settings = output.settings()
    if settings.on_kafka:
        from infra.kafka.wait import wait_until_idle

        wait_until_idle(settings, output.note)
        return
    _show(_drain(settings, "drain"))


@app.command(epilog="Example: zhengzhao tick --at 2018-12-31T00:00:00+08:00")
def tick(
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="报时 / the time to tell [default: now]")
    ] = None,
) -> None:
    """报时 / Tells the clock once, and decides what that brings due."""
    from infra.bootstrap import send_tick
    from infra.cli.moments import now, read_moment
    from infra.engines.lock import Held

    settings = output.settings()
    moment = now()
    send_tick(settings, read_moment(at, "--at") if at else moment, moment)
    if settings.on_kafka:
        return
    try:
        _show(_drain(settings, "tick", wait=0))
    except Held:
        output.note("told; the process that drains decides what is due / 已报时，由正在处理的进程裁决")


def _drain(settings: Settings, purpose: str, *, wait: float | None = None) -> Progress:
    from infra.engines.embedded import holding
    from infra.engines.lock import WAIT_SECONDS

    limit = WAIT_SECONDS if wait is None else wait
    with output.progress(purpose) as bar, holding(settings, purpose, wait=limit, say=output.note) as engine:
        return engine.drain(lambda p: bar.at(p.decided + p.issued, p.decided + p.issued + p.pending))


def _show(progress: Progress) -> None:
    if output.as_json():
        output.print_json(
            {
                "decided": progress.decided,
                "issued": progress.issued,
                "letters": progress.letters,
                "editions": progress.editions,
                "filings": progress.filings._asdict(),
            }
        )
        return
    output.line(
        f"裁决 / entries decided {progress.decided} · 制证 / licences issued {progress.issued} · "
        f"状态列表 / status lists published {len(progress.editions)}"
    )
    if progress.filings.waiting:
        output.warn(
            f"{progress.filings.waiting} filings wait for their departments' webhooks / 备案待送达",
            "zhengzhao filing deliver",
        )
    if progress.letters:
        output.warn(f"{progress.letters} dead letters", "zhengzhao letters list")
