"""Benchmarks of the draw: Jiangsu 2018, registers beyond memory, and a comparison with another sampler.

Jiangsu, 30 March 2018: 2.99 million enterprises, 156,000 drawn with three special strata, 20,000 inspectors.
The registers are made up; their sizes are the ones that the published figures imply.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import Any

import polars as pl

import verification
from infra.draw.register import TargetRegister
from schemas.draw import tickets
from schemas.draw.plan import Plan, parse_toml, read_plan
from schemas.draw.strata import build_frame, placed
from schemas.errors import UsageError

JIANGSU = 2_990_000
INSPECTORS = 20_000
CONFLICTS = 50_000
SECTORS = 37  # With auction houses, farm suppliers and markets these are 40 strata.
STRATA = {"auction": 8_120, "farm": 24_660, "market": 3_620}
_AREAS = [f"32{prefecture:02d}{county:02d}" for prefecture in range(1, 14) for county in range(1, 9)]
_CHUNK = 2_000_000
Say = Callable[[str], None]


JIANGSU_PLAN = """
plan = "JS-2018-03"
item = "publicity-check"
title = "江苏省 2018 年度双随机抽查"
authority = "urn:agency:320000:market-regulation"
period = ["2018-04-01", "2018-06-30"]
inspectors_per_target = 2
qualification = "market"
weights = { A = 1, B = 2, C = 4, D = 8 }
total = 156000
[[strata]]
name = "auction"
where = { category = "auction" }
ratio = "0.20"
[[strata]]
name = "farm"
where = { category = "farm" }
ratio = "0.05"
[[strata]]
name = "market"
where = { category = "market" }
ratio = "0.05"
[[strata]]
name = "rest"
where = {}
[seed]
parties = ["market-regulation", "discipline-inspection"]
"""


def plan_of_jiangsu() -> Plan:
    """Return the plan: auction houses 20 %, farm suppliers 5 %, markets 5 %, and the rest up to 156,000; weights by class."""
    return read_plan(parse_toml(JIANGSU_PLAN.encode()))


def forty_strata() -> str:
    """Return the plan of Jiangsu with the rest divided into strata by sector."""
    rest = [f'[[strata]]\nname = "sector {n:02d}"\nwhere = {{ sector = "S{n:02d}" }}' for n in range(SECTORS)]
    return JIANGSU_PLAN.replace('[[strata]]\nname = "rest"\nwhere = {}', "\n".join(rest))


def made_up_targets(start: int, stop: int) -> pl.DataFrame:
    """Make the rows `start` to `stop` of a made-up register, in no order of ids; six in ten are of class A."""
    number = pl.int_range(start, stop, eager=True).alias("n")
    frame = pl.DataFrame({"n": number}).with_columns(h=pl.col("n").hash(15))
    ends, first = [], 0
    for name, size in STRATA.items():
        ends.append((name, first, first + size))
        first += size
    category = pl.lit("general")
    for name, begin, end in ends:
        category = pl.when(pl.col("n").is_between(begin, end - 1)).then(pl.lit(name)).otherwise(category)
    classes = pl.Series(["A"] * 12 + ["B"] * 5 + ["C"] * 2 + ["D"])
    return frame.select(
        id=pl.format("9132{}{}", _digits("h", 6), _digits("n", 8)),
        name=pl.format("江苏企业{}有限公司", pl.col("n")),
        division=pl.lit(pl.Series(_AREAS)).gather((pl.col("h") // 1_000_000 % len(_AREAS)).cast(pl.UInt32)),
        credit_class=pl.lit(classes).gather((pl.col("h") // 7 % len(classes)).cast(pl.UInt32)),
        category=category,
        sector=pl.format("S{}", (pl.col("h") // 131 % SECTORS).cast(pl.String).str.zfill(2)),
    )


def _digits(column: str, places: int) -> pl.Expr:
    cut: pl.Expr = pl.col(column) % 10**places
    return cut.cast(pl.String).str.zfill(places)


def write_register(path: Path, rows: int) -> None:
    """Write a made-up register as CSV or Parquet, in constant memory."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    writer: Any = None
    for start in range(0, rows, _CHUNK):
        frame = made_up_targets(start, min(start + _CHUNK, rows))
        chunk = frame.sample(fraction=1, shuffle=True, seed=start).to_arrow()
        chunk = chunk.cast(pa.schema([(name, pa.string()) for name in chunk.column_names]))
        if writer is None:
            make = pa.parquet.ParquetWriter if path.suffix == ".parquet" else pa.csv.CSVWriter
            options = (
                {}
                if path.suffix == ".parquet"
                else {"write_options": pa.csv.WriteOptions(quoting_style="needed")}
            )
            writer = make(str(path), chunk.schema, **options)
        writer.write_table(chunk)
    writer.close()


def write_inspectors(path: Path, count: int) -> None:
    """Write inspectors of counties, prefectures and the province; two of three have the qualification."""
    lines = ["id,name,department,division,qualifications"]
    for n in range(count):
        area = _AREAS[n % len(_AREAS)]
        division = "320000" if n % 400 == 0 else area[:4] + "00" if n % 50 == 0 else area
        lines.append(f"I{n:06d},检查员{n},d{n % 7},{division},{'market; food' if n % 3 else 'food'}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_conflicts(path: Path, count: int, rows: int) -> None:
    """Write conflicts of inspectors with targets of the made-up register."""
    step = max(rows // count, 1)
    ids = made_up_targets(0, rows)["id"].gather_every(step)[:count].to_list()
    lines = ["inspector_id,target_id,reason"]
    lines += [f"I{n * 7919 % INSPECTORS:06d},{target},持股" for n, target in enumerate(ids)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


class Stopwatch:
    """The seconds of each step, by the clock and of the processor, and the memory of processes at the highest."""

    def __init__(self, say: Say) -> None:
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.memory_mb: dict[str, int] = {}
        self._say = say

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        self._say(f"… {step}")
        start, busy = time.perf_counter(), sum(os.times()[:4])
        yield
        self.seconds[step] = round(time.perf_counter() - start, 2)
        self.processor[step] = round(sum(os.times()[:4]) - busy, 2)

    def process(self, step: str, line: list[str | Path]) -> str:
        """Run a step as a process of its own, and return what it printed."""
        self._say(f"… {step}")
        start = time.perf_counter()
        with TemporaryFile() as said, TemporaryFile() as faults:
            child = subprocess.Popen([*map(str, line)], stdout=said, stderr=faults)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            faults.seek(0)
            if child.returncode:
                raise UsageError(faults.read().decode(errors="replace").strip(), where=step)
            self.seconds[step] = round(time.perf_counter() - start, 2)
            self.processor[step] = round(used.ru_utime + used.ru_stime, 2)
            self.memory_mb[step] = used.ru_maxrss // 1024
            return said.read().decode()


_PARTIES = ("market-regulation", "discipline-inspection")
_PROGRAM = "import sys; from infra.cli import main; sys.exit(main(sys.argv[1:]))"


def bench_draw(rows: int = JIANGSU, say: Say = lambda text: None, suffix: str = ".parquet") -> dict[str, Any]:
    """Run a whole draw by the commands as processes; return seconds, processor seconds and memory of each.

    From CSV the published one-file program verifies it too.
    """
    folder = Path(mkdtemp(prefix="zhengzhao-bench-"))
    clock = Stopwatch(say)

    def command(step: str, *words: str | Path) -> str:
        return clock.process(step, [sys.executable, "-c", _PROGRAM, *words, "--data", folder / "data"])

    def saved(name: str, *words: str | Path) -> Path:
        path = folder / f"{name}.json"
        path.write_text(command(name, *words), "utf-8")
        return path

    try:
        files = [folder / f"R{suffix}", folder / "I.csv", folder / "C.csv"]
        write_register(files[0], rows)
        write_inspectors(files[1], INSPECTORS)
        write_conflicts(files[2], CONFLICTS, rows)
        options = ("--register", "--inspectors", "--conflicts")
        registers = [word for pair in zip(options, files, strict=True) for word in pair]
        plan, announcement, transcript = (folder / name for name in ("plan.toml", "A.json", "T.json"))
        plan.write_text(forty_strata(), "utf-8")
        command("keys", "keys", "init")
        promises = [saved(f"{p}-promise", "draw", "commit", "--party", p, "-o", folder / p) for p in _PARTIES]
        given = [word for path in promises for word in ("--commitment", path)]
        told = command("announce", "draw", "announce", plan, *registers, *given, "-o", announcement, "--json")
        shown = [
            saved(f"{p}-reveal", "draw", "reveal", folder / p, "--announcement", announcement)
            for p in _PARTIES
        ]
        given = [word for path in shown for word in ("--reveal", path)]
        command("run", "draw", "run", announcement, *registers, *given, "-o", transcript)
        command("verify", "draw", "verify", transcript, *registers, "--chain", folder / "data" / "draws")
        if suffix == ".csv":
            one_file = Path(verification.__file__).parent / "verify_draw.py"
            clock.process("verify_draw.py", [sys.executable, one_file, transcript, *files])
        steps = [step for step in ("announce", "run", "verify", "verify_draw.py") if step in clock.seconds]
        drawn = {row["name"]: row["drawn"] for row in json.loads(told)["strata"]}
        return {
            "targets": rows,
            "register": suffix.removeprefix("."),
            "strata": len(drawn),
            "drawn": sum(drawn.values()),
            "special_strata": {name: drawn[name] for name in STRATA},
            "inspectors": INSPECTORS,
            "conflicts": CONFLICTS,
            "seconds": {step: clock.seconds[step] for step in steps},
            "processor_seconds": {step: clock.processor[step] for step in steps},
            "memory_mb": {step: clock.memory_mb[step] for step in steps},
            "transcript_bytes": transcript.stat().st_size,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bench_big(rows: int = 100_000_000, say: Say = lambda text: None) -> dict[str, Any]:
    """Digest a register beyond memory and draw from it; return seconds, rows a second, memory, disk."""
    folder = Path(mkdtemp(prefix="zhengzhao-bench-"))
    clock = Stopwatch(say)
    try:
        path = folder / "R.parquet"
        with clock("make the register"):
            write_register(path, rows)
        plan = plan_of_jiangsu()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        with clock("read and sort runs"):
            register = TargetRegister(path, "targets")
        with register:
            disk = register.disk_bytes
            with clock("digest"):
                summary = register.summary()
            with clock("strata"):
                frame = build_frame(plan, register, {})
            counts = {name: max(size // 20, 1) for name, size in frame.populations.items()}
            counts["rest"] = 156_000
            with clock("tickets"):
                drawn = tickets.draw(
                    plan, "0" * 64, frame.classes, counts, lambda: placed(plan, register, {})
                )
        seconds = time.perf_counter() - start
        return {
            "targets": summary.count,
            "digest": summary.digest,
            "drawn": len(drawn),
            "seconds": clock.seconds | {"whole": round(seconds, 2)},
            "processor_seconds": clock.processor,
            "rows_per_second": int(rows / seconds),
            "register_bytes": path.stat().st_size,
            "disk_bytes": disk,
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "memory_before_mb": before // 1024,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def beside_consistent_sampler(rows: int = 500_000) -> dict[str, Any]:
    """Draw one in twenty of the same rows with weight 1 and compare targets a processor second with `consistent_sampler` (PyPI).

    Without that package the result has only our own rate.
    """
    targets = made_up_targets(0, rows).select(
        "id", "division", credit_class=pl.lit("A"), stratum=pl.lit(0, pl.UInt32)
    )
    plan = read_plan(parse_toml(JIANGSU_PLAN.encode()) | {"strata": [{"name": "rest", "where": {}}]})
    start = time.process_time()
    drawn = tickets.draw(plan, "0" * 64, {("rest", "A"): rows}, {"rest": rows // 20}, lambda: [targets])
    ours = rows / (time.process_time() - start)
    result: dict[str, Any] = {"targets": rows, "drawn": len(drawn), "ours_per_processor_second": int(ours)}
    try:
        from consistent_sampler import sampler
    except ImportError:
        return result
    ids = targets["id"].to_list()
    start = time.process_time()
    others = list(sampler(ids, seed="0" * 64, with_replacement=False, drop=0, take=rows // 20))
    theirs = rows / (time.process_time() - start)
    return result | {
        "consistent_sampler_drawn": len(others),
        "consistent_sampler_per_processor_second": int(theirs),
        "times_as_fast": round(ours / theirs, 1),
    }
