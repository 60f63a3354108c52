"""`zhengzhao stack`: a local Kafka and S3 store for trying out and for tests."""

from __future__ import annotations

import typer

from infra.cli import output
from infra.settings import masked

app = typer.Typer(
    help="本机的 Kafka 与 S3 / a Kafka and an S3 store on this machine, from wheels alone",
    no_args_is_help=True,
    epilog="Example: zhengzhao stack up --json",
)

_EXAMPLE = "Example: "


@app.command(epilog=_EXAMPLE + "eval $(zhengzhao stack up)")
def up(
    kafka_port: int = typer.Option(
        9092, min=1, max=65534, help="port of Kafka; the next one is its controller's"
    ),
    s3_port: int = typer.Option(
        8333, min=1, max=65528, help="port of S3; the next seven are the store's own"
    ),
) -> None:
    """启动，可重复 / Starts what does not run yet; prints the two variables to export."""
    from infra.stack import local

    stack = local.up(output.settings().data, kafka_port=kafka_port, s3_port=s3_port, say=output.note)
    if output.as_json():
        output.print_json({"ZHENGZHAO_BROKER": stack.broker, "ZHENGZHAO_STORE": stack.store})
        return
    output.line(f"export ZHENGZHAO_BROKER='{stack.broker}'")
    output.line(f"export ZHENGZHAO_STORE='{stack.store}'")
    output.note(
        f"bucket: versions kept, object lock {'on' if stack.object_lock else 'not offered by this store'}"
    )


@app.command(epilog=_EXAMPLE + "zhengzhao stack status --json")
def status() -> None:
    """状态 / What runs, where. Exit 1 unless both run and answer."""
    from infra.stack import local
    from infra.stack.processes import answers

    stack = local.status(output.settings().data)
    found = {server.name: server for server in stack.servers} if stack else {}
    rows = []
    for name, use in (("kafka", "kafka"), ("store", "s3")):
        server = found.get(name)
        port = server.ports[use] if server else None
        answering = port is not None and answers(port)
        rows.append({"server": name, "running": server is not None, "answers": answering, "port": port,
                     "pid": server.pid if server else None, "log": server.log if server else None})  # fmt: skip
    if output.as_json():
        output.print_rows(rows)
    else:
        output.print_table(list(rows[0]), [list(row.values()) for row in rows])
        if stack and stack.store:
            output.note(f"store: {masked(stack.store)}")
    if not all(row["answers"] for row in rows):
        raise typer.Exit(1)


@app.command(epilog=_EXAMPLE + "zhengzhao stack down")
def down() -> None:
    """停止 / Ends the servers that `stack up` started for this data folder, and no others. Data stay."""
    from infra.stack import local

    stopped = local.down(output.settings().data)
    if output.as_json():
        output.print_json({"stopped": stopped})
    else:
        output.note("stopped: " + (", ".join(stopped) or "nothing was running"))
