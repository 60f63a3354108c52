"""`zhengzhao run`: the service of a county office on one machine."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli import output
from schemas.errors import UsageError

app = typer.Typer()


@app.command(epilog="Example: zhengzhao run --port 8080")
def run(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="监听地址 / where to listen; beyond this machine tokens are needed"
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="端口，0 为任意 / port; 0: any free one")] = 8080,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="服务的主机名 / a host name under which it is reached"
        ),
    ] = None,
) -> None:
    """服务 / Takes events in over HTTP, decides, issues, ticks every minute. Ctrl-C ends it; nothing is lost."""
    from infra.http.service import is_loopback, listen, serve, service

    settings = output.settings()
    if settings.on_kafka:
        raise UsageError(
            "run 为单机服务，而 ZHENGZHAO_BROKER 已设 / run serves one machine, and ZHENGZHAO_BROKER is set",
            hint="Kafka: zhengzhao worker 裁决 / decides; 事件经主题 zhengzhao.inbox 或 submit 进入 / events enter by the "
            "topic zhengzhao.inbox or `zhengzhao submit`; 单机 / one machine: unset ZHENGZHAO_BROKER",
        )
    names = frozenset(name.lower() for name in allow_host or ())
    with listen(host, port) as listening, service(settings, host=host, allowed=names) as built:
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        if output.as_json():
            output.print_json({"url": address, "openapi": f"{address}/openapi.json"})
        else:
            output.line(f"{address}  (OpenAPI: {address}/openapi.json)")
        if not built.tokens.all():
            if is_loopback(host) and not names:
                output.warn(
                    "没有令牌，本机任何人可用 / no tokens: whoever sits at this machine may call",
                    "zhengzhao token add",
                )
            else:
                output.warn(
                    "没有令牌，只收签名事件 / no tokens: only signed events enter", "zhengzhao token add"
                )
        if not settings.require_proof:
            output.warn(
                "require_proof 未启用 / require_proof is off", "require_proof = true in settings.toml"
            )
        serve(built, listening)
