"""Verifiers that leave the house: the licence's as one page, the draw's as one page and as one Python file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import later, output
from infra.cli.output import now
from infra.draw import files
from infra.draw.files import write_whole
from schemas.draw.encoding import read_file
from schemas.errors import UsageError
from verification import verify_draw
from verification.browser_page import EnclosedList, draw_page, standalone_page
from verification.status_sources import latest

if TYPE_CHECKING:
    from verification.status_sources import Stored

app = typer.Typer()
drawing = typer.Typer()  # commands of `zhengzhao draw`
trust_bundle = later("verification.browser_page:trust_bundle")
trust_files = later("verification.browser_page:trust_files")


@app.command(epilog="Example: zhengzhao verifier -o verify.html")
def verifier(
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="网页 / the page")] = Path(
        "verify.html"
    ),
) -> None:
    """离线核验网页 / Write the verifier as one page, with the trust folder and the newest status lists inside.

    A browser opens it from a stick, without a network; what is checked stays on that machine.
    """
    with output.installation() as here:
        files = trust_files(here.settings.trust)
        if not files:
            raise UsageError(
                "未找到信任目录 / there is no trust folder",
                where=str(here.settings.trust),
                hint="zhengzhao keys init 建立 / makes one",
            )
        stored = here.published_lists()
        names = stored.names() if stored is not None else []
        page = standalone_page(trust_bundle(files, names), _newest(stored, names) if stored else ())
    file.write_bytes(page)
    if output.as_json():
        output.print_json({"file": str(file), "lists": len(names)})
    else:
        output.line(f"{file}: 已写 / written")
        lists = "1 status list is" if len(names) == 1 else f"{len(names)} status lists are"
        output.note(f"内含 {len(names)} 份状态列表 / {lists} inside")


def _newest(stored: Stored, names: list[str]) -> list[EnclosedList]:
    """Return the edition of each list that is in force now."""
    moment = int(now().timestamp())
    chosen = [(name, latest(stored.editions(name), moment)) for name in names]
    editions = [stored.candidate(name, edition) for name, edition in chosen if edition is not None]
    return [EnclosedList(edition.data, edition.reasons()) for edition in editions]


@drawing.command(epilog="Example: zhengzhao draw page -o draw.html")
def page(
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="网页 / the page")] = Path(
        "draw.html"
    ),
    transcript: Annotated[
        Path | None,
        typer.Option(metavar="TRANSCRIPT.json", help="抽取记录，放入网页 / a transcript to put inside"),
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(metavar="DIR", help="trust folder [default: the data folder's]")
    ] = None,
) -> None:
    """写出重新抽取的网页 / Write one page that draws again from the files dropped onto it, without a network.

    With a trust folder it checks signatures and the parties' keys too.
    """
    files_of_trust = trust_files(trust or output.settings().trust)
    if trust and not files_of_trust:
        raise UsageError("未找到信任目录 / there is no trust folder", where=str(trust), hint="--trust DIR")
    if transcript and files.published(transcript).transcript is None:
        raise UsageError("不是抽取记录 / not a transcript", where=str(transcript), hint="zhengzhao draw run")
    write_whole(out, draw_page(files_of_trust, read_file(transcript) if transcript else None).content)
    if output.as_json():
        output.print_json({"file": str(out), "signatures": bool(files_of_trust)})
        return
    output.line(f"{out}: 已写 / written")
    if not files_of_trust:
        output.note("没有信任目录，网页不核签名 / without a trust folder the page checks no signatures")


@drawing.command("verifier", epilog="Example: zhengzhao draw verifier -o verify_draw.py")
def draw_verifier(
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="where to write it")] = Path(
        "verify_draw.py"
    ),
) -> None:
    """写出单文件复核程序，仅需 Python / Write the one-file verifier, which needs Python alone."""
    write_whole(out, Path(verify_draw.__file__).read_bytes())
    if output.as_json():
        output.print_json({"file": str(out)})
    else:
        output.line(f"python {out} TRANSCRIPT.json REGISTER.csv [INSPECTORS.csv [CONFLICTS.csv]]")
