"""`zhengzhao transparency`: the public log, its proofs, and its audit by an outsider.

`zhengzhao witness`: another office that signs each head of a log as a continuation of the last one.
"""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from infra.cli import later, output
from infra.transparency.client import TIMEOUT, LogReader, exchange, open_log
from infra.transparency.sequencer import new_seed, read_key_file, seeded_signer, write_key
from infra.transparency.witness import SIZE, Witness, witness_app
from schemas.errors import NotFound, StoreUnavailable, UsageError, VerificationError
from schemas.ports import LogSource
from schemas.status_list import MAX_LIST_CWT, list_name
from schemas.transparency.entries import LicenceEntry, read_entry
from schemas.transparency.merkle import check_inclusion, leaf_hash
from schemas.transparency.notes import (
    MAX_NOTE,
    WitnessRequest,
    read_checkpoint,
    read_key,
    read_note,
    read_size,
)
from schemas.trust import TrustStore
from verification.log_audit import audit as audit_log
from verification.log_book import LogPolicy, WitnessedCheckpoint, policy_of, verify_checkpoint
from verification.status import living

app = typer.Typer(
    no_args_is_help=True,
    help="透明日志 / the log of everything issued, in an order that nobody can change unseen",
    epilog="Example: zhengzhao transparency show",
)
witness_commands = typer.Typer(
    no_args_is_help=True,
    help="见证人 / a witness of logs (C2SP tlog-witness)",
    epilog="Example: zhengzhao witness init DIR --name witness.example.cn --log KEY",
)
listen = later("infra.http.service:listen")
serve_http = later("uvicorn:run")
_KEY_FILE: Final = "witness.pem"
_LOGS_FILE: Final = "logs.txt"
_LogPlace = Annotated[
    str | None,
    typer.Option("--log", metavar="DIR|URL", help="日志 / the log [default: the data folder's]"),
]
_Trust = Annotated[
    Path | None,
    typer.Option("--trust", metavar="DIR", help="信任文件夹 / trust folder [default: the data folder's]"),
]
_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="见证人的目录 / the witness's folder")]


@app.command(epilog="Example: zhengzhao transparency show")
def show(log: _LogPlace = None, trust: _Trust = None) -> None:
    """显示日志 / Show the log's keys, size and root, and the witnesses who signed it."""
    policy = _policy(trust)
    seen = _head(_source(log), policy)
    fields = {
        "origin": policy.origin,
        "keys": [str(key) for key in policy.keys],
        "size": seen.checkpoint.size,
        "root": seen.checkpoint.root.hex(),
        "witnesses": [one.witness.name for one in seen.cosignatures],
        "witnesses_needed": policy.needed,
    }
    if output.as_json():
        output.print_json(fields)
    else:
        output.print_fields((k, ", ".join(v) if isinstance(v, list) else v) for k, v in fields.items())


@app.command(epilog="Example: zhengzhao transparency prove '(青)XK16-204-00001' -o licence.tlog-proof")
def prove(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="证照编号 / the licence's number")],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="收录证明 / where to write the proof")
    ],
    version: Annotated[
        int | None, typer.Option(metavar="N", help="版本 / the version [default: the newest]")
    ] = None,
    log: _LogPlace = None,
    trust: _Trust = None,
) -> None:
    """证明证照已载入日志 / Write a proof (C2SP tlog-proof) that a licence stands in the log. Exit 1 where it does not."""
    source, step = _source_and_step(log)
    seen = _head(source, _policy(trust))
    reader = LogReader(source, seen.checkpoint, seen.data)
    found: tuple[int, LicenceEntry] | None = None
    for index, raw in reader.entries():
        entry = read_entry(raw)
        if not isinstance(entry, LicenceEntry) or entry.number != number:
            continue
        if version in (None, entry.version) and (found is None or entry.version > found[1].version):
            found = index, entry
    if found is None:
        raise NotFound("日志中没有该证照 / the log has no such licence", where=number, hint=step)
    index, licence = found
    made, head = reader.prove(index, licence.to_bytes()), seen.checkpoint
    check_inclusion(leaf_hash(licence.to_bytes()), index, head.size, made.path, head.root)
    target.write_bytes(made.to_bytes())
    if output.as_json():
        output.print_json(
            {"file": str(target), "index": index, "size": head.size, "version": licence.version}
        )
    else:
        output.note(f"{target}: 第 {index} 条，共 {head.size} 条 / entry {index} of {head.size}")


@app.command(epilog="Example: zhengzhao transparency audit https://licences.example.cn/log --since seen.txt")
def audit(
    log: Annotated[str, typer.Argument(metavar="DIR|URL", help="日志 / the log: a folder, or its address")],
    since: Annotated[
        Path | None,
        typer.Option(metavar="CHECKPOINT", help="先前保存的检查点 / the checkpoint kept from the last audit"),
    ] = None,
    register: Annotated[
        Path | None, typer.Option(metavar="R.csv", help="公布的登记表 / a register with a column `number`")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="CHECKPOINT", help="保存检查点 / where to keep this checkpoint"
        ),
    ] = None,
    trust: _Trust = None,
) -> None:
    """审计日志 / Audit a whole log: nothing changed, cut, twice or left out. Exit 1 where something is wrong."""
    source, policy = open_log(log), _policy(trust)
    with output.installation() as here:
        counted = _living_licences(log, here.read_trust(trust))
    report = audit_log(
        source,
        policy,
        since=None if since is None else _content(since),
        register=None if register is None else _numbers(register),
        living=counted,
    )
    if output.as_json():
        rows = [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in report.checks]
        output.print_json({"ok": report.ok, "size": report.size, "checks": rows})
    else:
        for check in report.checks:
            output.line(f"{'✓' if check.ok else '✗'} {check.name}: {check.detail}")
    if keep is not None and report.ok and report.checkpoint is not None:
        keep.write_bytes(report.checkpoint)
    raise typer.Exit(0 if report.ok else 1)


@witness_commands.command(epilog="Example: zhengzhao witness init DIR --name witness.example.cn --log KEY")
def init(
    folder: _Folder,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="见证人名称 / like a web address without https://")
    ],
    log: Annotated[
        str,
        typer.Option("--log", metavar="KEY", help="日志公钥 / the log's key, as `transparency show` prints"),
    ],
) -> None:
    """建立见证人 / Make a witness's key and name the log that it will sign."""
    seed, known = new_seed(), read_key(log)
    key = seeded_signer(name, seed).witness_key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_key(folder / _KEY_FILE, seed, os.environ.get("ZHENGZHAO_PASSPHRASE"))
    (folder / _LOGS_FILE).write_text(f"{name}\n{known}\n", "utf-8")
    if output.as_json():
        output.print_json({"key": str(key), "folder": str(folder)})
    else:
        output.line(str(key))


@witness_commands.command(epilog="Example: zhengzhao witness serve DIR --port 8090")
def serve(
    folder: _Folder,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="监听地址 / where to listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="端口 / port; 0: any free one")] = 8090,
) -> None:
    """见证服务 / Serve the witness over HTTP (C2SP tlog-witness)."""
    witness = _witness(folder)
    try:
        with listen(host, port) as listening:
            address = f"http://{host}:{listening.getsockname()[1]}"
            if output.as_json():
                output.print_json({"url": address, "key": str(witness.key)})
            else:
                output.line(f"{address}  {witness.key}")
            serve_http(witness_app(witness), fd=listening.fileno(), log_level="warning", access_log=False)
    finally:
        witness.close()


@witness_commands.command(epilog="Example: zhengzhao witness sign DIR https://licences.example.cn/log")
def sign(
    folder: _Folder,
    log: Annotated[str, typer.Argument(metavar="DIR|URL", help="日志 / the log: a folder, or its address")],
) -> None:
    """签署日志的检查点 / Sign the log's head, if it continues the one signed last; print the signature line."""
    source = open_log(log)
    note = source.fetch("checkpoint")
    head = read_checkpoint(read_note(note))
    reader = LogReader(source, head, note)
    witness = _witness(folder)
    try:
        answer = witness.add_checkpoint(WitnessRequest(0, (), note).to_bytes(), int(time.time()))
        if answer.status == 409 and answer.content_type == SIZE:
            old = read_size(answer.body.decode().strip())
            if old > head.size:
                raise VerificationError(
                    f"日志变短 / the log has {head.size} entries, and had {old}: its tail was cut", where=log
                )
            request = WitnessRequest(old, reader.prove_continuation(old), note)
            answer = witness.add_checkpoint(request.to_bytes(), int(time.time()))
    finally:
        witness.close()
    said = answer.body.decode().strip()
    if answer.status != 200:
        raise VerificationError(said, where=log)
    if output.as_json():
        output.print_json({"size": head.size, "signature": said})
    else:
        output.line(said)


def _policy(trust: Path | None) -> LogPolicy:
    with output.installation() as here:
        policy = policy_of(here.read_trust(trust))
    if policy is None:
        raise UsageError(
            "信任文件夹中没有日志 / the trust folder names no log", hint="zhengzhao keys rotate --use log"
        )
    return policy


def _source(place: str | None) -> LogSource:
    return _source_and_step(place)[0]


def _source_and_step(place: str | None) -> tuple[LogSource, str]:
    """Return the files of a log, and when what is not in them yet will be."""
    if place is not None:
        hint = "证照发证后十秒内载入 / a licence is in the log within ten seconds of its issue"
        return open_log(place), hint
    with output.installation() as here:
        return here.log, here.next_step()


def _head(source: LogSource, policy: LogPolicy) -> WitnessedCheckpoint:
    """Return the head, whoever has witnessed it: what is shown or proved tells that itself."""
    lenient = LogPolicy(policy.origin, policy.keys, policy.witnesses)
    return verify_checkpoint(source.fetch("checkpoint"), lenient)


def _witness(folder: Path) -> Witness:
    try:
        name, *logs = (folder / _LOGS_FILE).read_text("utf-8").split()
    except (OSError, ValueError):
        raise UsageError(
            "该目录没有见证人 / no witness in this folder", where=str(folder), hint="witness init"
        ) from None
    seed = read_key_file(folder / _KEY_FILE, os.environ.get("ZHENGZHAO_PASSPHRASE"))
    return Witness(folder, seeded_signer(name, seed), [read_key(log) for log in logs])


def _living_licences(place: str, trust: TrustStore) -> Callable[[str, str], int | None]:
    """Return the function that counts the living licences of a status list's edition (its URI and SHA-256).

    Lists lie beside the log: in `status` of the folder that holds it, or at `/status/` of its site. None where the edition
    is not there.
    """

    def count(uri: str, sha256: str) -> int | None:
        name = list_name(uri)
        for data in _editions(place, name) if name else ():
            if hashlib.sha256(data).hexdigest() == sha256:
                return living(data, trust)
        return None

    return count


def _editions(place: str, name: str) -> Iterator[bytes]:
    if urlsplit(place).scheme in ("http", "https"):
        address = f"{place.rstrip('/').removesuffix('/log')}/status/{name}"
        with suppress(StoreUnavailable, VerificationError):
            status, data = exchange(address, MAX_LIST_CWT, TIMEOUT)
            if status == 200:
                yield data
        return
    for folder in (Path(place) / "objects", Path(place), Path(place).parent):
        for path in sorted((folder / "status" / name).glob("*.cwt"), reverse=True):
            if not path.name.endswith(".reasons.cwt") and path.stat().st_size <= MAX_LIST_CWT:
                yield path.read_bytes()


def _numbers(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [row["number"] for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        raise UsageError(
            "登记表无法读取 / no register", where=str(path), hint="CSV, UTF-8, `number`"
        ) from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE + 1)
    except OSError as error:
        raise UsageError(
            f"无法读取 / cannot be read: {error.strerror}", where=str(path), hint="--since"
        ) from None
