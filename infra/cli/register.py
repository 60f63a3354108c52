"""`zhengzhao register`: the registers that draws are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from infra.bootstrap import Installation
from infra.cli import output
from infra.draw.files import write_whole
from infra.draw.register import TargetRegister
from infra.persons.access_log import Accesses
from processors.draw.visits import living_targets, write_targets
from schemas.errors import NotFound, UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="名录库：检查对象、检查人员、回避 / registers of targets, inspectors, conflicts",
    epilog="Example: zhengzhao register snapshot -o R.csv",
)
KINDS = ("targets", "inspectors", "conflicts")
Kind = Annotated[str, typer.Option(help=f"种类 / one of {', '.join(KINDS)}")]


def _checked(kind: str) -> Any:
    if kind not in KINDS:
        raise UsageError(f"没有此种名录 / no such register: {kind}", where="--kind", hint=", ".join(KINDS))
    return kind


@app.command("import", epilog="Example: zhengzhao register import R.csv --kind targets")
def import_(
    file: Annotated[Path, typer.Argument(help="名录 / CSV or Parquet")],
    kind: Kind = "targets",
) -> None:
    """校验并存入一份名录 / Check a register and keep a copy under its digest, so that later draws can be compared."""
    kind = _checked(kind)
    row = _summary(file, kind)
    folder = output.settings().data / "registers"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{kind}-{row['digest']}{'.parquet' if file.read_bytes()[:4] == b'PAR1' else '.csv'}"
    write_whole(kept, file.read_bytes())
    _show({**row, "file": str(kept)})


@app.command(epilog="Example: zhengzhao register show R.csv --json")
def show(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE|DIGEST", help="名录文件或摘要 / a file, or the digest of a kept one"),
    ],
    kind: Kind = "targets",
) -> None:
    """查看名录的列、行数与摘要 / Show columns, count and digest of a register. Exit 1 where it breaks a rule."""
    path = Path(file)
    kept = sorted((output.settings().data / "registers").glob(f"*-{file}.*")) if len(file) == 64 else []
    if not path.exists() and kept:
        path = kept[0]
        kind = path.name.partition("-")[0]
    elif not path.exists() and len(file) == 64:
        raise NotFound(
            f"未找到该摘要的名录 / no register with the digest {file}", hint="zhengzhao register import FILE"
        )
    _show({**_summary(path, _checked(kind)), "file": str(path)})


@app.command(epilog="Example: zhengzhao register snapshot -o R.csv --item industrial-product-licence")
def snapshot(
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.csv", help="where to write it")],
    item: Annotated[
        str | None, typer.Option(metavar="CODE", help="事项 / licences of this item alone")
    ] = None,
) -> None:
    """以已发证照生成检查对象名录 / Make a register of targets from the living licences, one row each. Persons are masked."""
    with Installation(output.settings()) as installation, installation.register() as licences:
        record = Accesses(installation.settings.data).record
        count = write_targets(out, living_targets(licences, installation.persons, record, item))
    if not count:
        output.warn("没有有效证照 / no living licence", "zhengzhao licence list")
    _show({**_summary(out, "targets"), "file": str(out)})


def _summary(file: Path, kind: Any) -> dict[str, Any]:

    with (
        output.progress(f"名录 / register {file.name}") as bar,
        TargetRegister(file, kind, progress=lambda _, rows: bar.advance(rows)) as register,
    ):
        return {"kind": kind, **msgspec.to_builtins(register.summary())}


def _show(row: dict[str, Any]) -> None:
    if output.as_json():
        output.print_json(row)
    else:
        output.print_fields(row.items())
