"""Registers of a draw from files; the adapter of the port `schemas.draw.strata.DrawRegister`.

This module has the rules of a register. `sources` reads rows from files, `digest` computes their digest.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from infra.draw import sources
from infra.draw.digest import ControlCharacter, LineHash, SortedSpill, byte_order, lines
from schemas.draw.documents import RegisterSummary
from schemas.draw.encoding import shown_id
from schemas.draw.strata import COLUMNS, KEYS, RegisterKind
from schemas.errors import DrawError

_SHOWS_NOTHING = (
    r"[\p{Cc}\p{Cf}\p{Z}\u{034F}\u{115F}\u{1160}\u{3164}\u{FFA0}\u{FE00}-\u{FE0F}\u{E0100}-\u{E01EF}]"
)
Progress = Callable[[str, int], None]  # The step, and the rows done since the last call.


def quiet(what: str, rows: int) -> None:
    """Ignore progress."""


class TargetRegister:
    """One register, checked row by row as it is read; `summary` checks the rules that need all rows.

    Up to `batch_rows` rows it is one frame in memory; a bigger one lies in a folder on disk (under TMPDIR),
    so that memory does not grow with it. The digest is of the very rows that are drawn from: the file is
    read once.
    """

    def __init__(
        self,
        path: Path,
        kind: RegisterKind,
        *,
        batch_rows: int = sources.BATCH_ROWS,
        whole_bytes: int = sources.WHOLE_BYTES,
        progress: Progress = quiet,
    ) -> None:
        self.path = path
        self.kind: RegisterKind = kind
        self.columns: list[str] = []
        self.count = 0
        self._progress = progress
        self._batch_rows = batch_rows
        self._frame: pl.DataFrame | None = None
        self._folder: Path | None = None
        self._files: list[Path] = []
        self._lines: SortedSpill | None = None
        self._keys: SortedSpill | None = None
        self._summary: RegisterSummary | None = None
        try:
            self._read(
                sources.read_frames(path, COLUMNS[kind], batch_rows=batch_rows, whole_bytes=whole_bytes)
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> TargetRegister:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder on disk, if there is one."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield all rows, in any order, as often as asked for."""
        if self._frame is not None:
            yield self._frame
        for file in self._files:
            yield pl.read_parquet(file)

    @property
    def in_memory(self) -> bool:
        """True where the register is one frame in memory."""
        return self._frame is not None

    @property
    def disk_bytes(self) -> int:
        """The bytes on disk for this register now."""
        return sum(f.stat().st_size for f in self._folder.rglob("*") if f.is_file()) if self._folder else 0

    def summary(self) -> RegisterSummary:
        """Return columns, count and digest. Raise DrawError where an id occurs twice or a value has control characters."""
        if self._summary is None:
            try:
                digest = self._digest_in_memory() if self._frame is not None else self._digest_of_spill()
            except ControlCharacter:
                raise self._control_character() from None
            if self.kind != "conflicts":
                self._refuse_look_alikes()
            self._summary = RegisterSummary(self.columns, self.count, digest)
        return self._summary

    def _read(self, frames: Iterator[pl.DataFrame]) -> None:
        first = next(frames)
        self.columns = first.columns
        for column in COLUMNS[self.kind]:
            if column not in self.columns:
                raise DrawError(
                    f"the {self.kind} register has no column {column!r} / 缺少列 {column}",
                    where=str(self.path),
                    hint="columns: " + ",".join(COLUMNS[self.kind]),
                )
        self._check(first)
        second = next(frames, None)
        if second is None:
            self._frame = first
            return
        for frame in (first, second):
            self._spill(frame)
        del first, second
        for frame in frames:
            self._spill(frame)

    def _spill(self, frame: pl.DataFrame) -> None:
        if self._files:
            self._check(frame)
        folder = self._folder = self._folder or Path(mkdtemp(prefix="zhengzhao-register-"))
        file = folder / f"frame-{len(self._files)}.parquet"
        frame.write_parquet(file, compression="lz4", statistics=False)
        self._files.append(file)
        self._lines = self._lines or SortedSpill(folder / "lines", self._batch_rows // 2)
        self._lines.add(lines(frame))
        if not self._key_leads:
            self._keys = self._keys or SortedSpill(folder / "keys", self._batch_rows)
            self._keys.add(self._keys_of(frame))

    def _check(self, frame: pl.DataFrame) -> None:
        """Check the rules of single rows."""
        self.count += len(frame)
        self._progress("read", len(frame))
        for column in KEYS[self.kind]:
            if (frame[column] == "").any():
                raise DrawError(f"{column} 为空 / an empty {column}", where=str(self.path))
        if self.kind != "conflicts":
            wrong = _first_not(frame, "division", pl.col("division").str.contains(r"^[0-9]{6}$"))
            if wrong is not None:
                raise DrawError(
                    f"division {wrong!r} has not six digits / 区划代码应为六位", where=str(self.path)
                )
        if self.kind == "targets":
            wrong = _first_not(frame, "credit_class", pl.col("credit_class").is_in(["A", "B", "C", "D", ""]))
            if wrong is not None:
                raise DrawError(
                    f"信用等级应为 A、B、C、D 或空 / the credit class {wrong!r} is not A, B, C, D or empty",
                    where=str(self.path),
                )

    def _digest_in_memory(self) -> str:
        assert self._frame is not None
        if self._key_leads:
            order = byte_order(
                self._keys_of(self._frame)
            )  # Lines sort as their keys do, since TAB is below every other character.
            if order.repeated is not None:
                raise self._twice(tuple(order.repeated.split("\t")))
            texts = lines(self._frame)  # Only now, so that they and the keys never lie in memory together.
        else:
            self._each_once(self._frame.select(KEYS[self.kind]))
            texts = lines(self._frame)
            order = byte_order(texts)
        hashed = LineHash(len(self.columns))
        hashed.update(texts, order.places)
        self._progress("digest", self.count)
        return hashed.hexdigest()

    def _each_once(self, keys: pl.DataFrame) -> None:
        """Raise DrawError where a key occurs twice; hashes are compared first, which is quicker than texts."""
        if keys.hash_rows().n_unique() != len(keys) and (twice := keys.filter(keys.is_duplicated())).height:
            raise self._twice(twice.row(0))

    @property
    def _key_leads(self) -> bool:
        """True where the key's columns come first, so that equal keys are neighbours in sorted lines."""
        key = KEYS[self.kind]
        return self.columns[: len(key)] == key

    def _keys_of(self, frame: pl.DataFrame) -> pl.Series:
        if len(KEYS[self.kind]) == 1:
            return frame[KEYS[self.kind][0]].rechunk()
        return frame.select(pl.concat_str(KEYS[self.kind], separator="\t")).to_series()

    def _digest_of_spill(self) -> str:
        assert self._lines
        hashed = LineHash(len(self.columns))
        last = ""
        width = len(KEYS[self.kind])
        for ordered in self._lines.ordered(lambda rows: self._progress("digest", rows)):
            hashed.update(ordered)
            if not self._keys:
                last = self._check_unique(ordered.str.extract(f"^((?:[^\\t]*\\t){{{width}}})"), last)
        for ordered in self._keys.ordered() if self._keys else ():
            last = self._check_unique(ordered, last)
        shutil.rmtree(self._folder / "lines") if self._folder else None
        return hashed.hexdigest()

    def _check_unique(self, ordered: pl.Series, last: str) -> str:
        """Raise DrawError where a key occurs twice among sorted ones, `last` being the one before."""
        if ordered[0] == last:
            raise self._twice(tuple(last.split("\t")))
        same = ordered == ordered.shift(1)
        if same.any():
            raise self._twice(tuple(ordered.filter(same)[0].split("\t")))
        return str(ordered[-1])

    def _refuse_look_alikes(self) -> None:
        """Raise DrawError where two ids look alike: equal after NFKC and without characters that show nothing.

        Printable ASCII is its own shown form, so only other ids are compared with the rest.
        """
        shown: dict[str, str] = {}
        for frame in self.frames():
            odd = frame["id"].filter(frame["id"].str.contains(r"[^!-~]"))
            for own, form in zip(odd.to_list(), _shown_form(odd).to_list(), strict=True):
                if shown.setdefault(form, own) != own:
                    raise self._look_alike(own, shown[form])
        if not shown:
            return
        wanted = pl.Series(list(shown), dtype=pl.String).implode()
        for frame in self.frames():
            for own in frame["id"].filter(frame["id"].is_in(wanted)).to_list():
                if shown[own] != own:
                    raise self._look_alike(own, shown[own])

    def _look_alike(self, one: str, other: str) -> DrawError:
        return DrawError(
            f"两个编号看似相同 / two ids look alike: {shown_id(one)!r}, {shown_id(other)!r}",
            where=str(self.path),
            hint="one target has one id; full-width and invisible characters make no other",
        )

    def _twice(self, key: tuple[str, ...]) -> DrawError:
        name = " / ".join(shown_id(part) for part in key if part)
        what = "pair" if self.kind == "conflicts" else "id"
        return DrawError(f"the {what} {name} stands twice / 重复", where=str(self.path))

    def _control_character(self) -> DrawError:
        for frame in self.frames():
            for column in frame.columns:
                if frame[column].str.contains(r"\p{Cc}").any():
                    return DrawError(
                        f"column {column!r} has a value with control characters / 含有控制字符",
                        where=str(self.path),
                    )
        return DrawError("值中有控制字符 / a value has control characters", where=str(self.path))


def _first_not(frame: pl.DataFrame, column: str, rule: pl.Expr) -> str | None:
    """Return the first value of a column that breaks a rule."""
    values = frame.select(pl.col(column).unique(maintain_order=True)).filter(~rule)
    return str(values[column][0]) if len(values) else None


def _shown_form(ids: pl.Series) -> pl.Series:
    """Return ids as they look: after NFKC, without control, format, separator, filler and variation characters."""
    return ids.str.normalize("NFKC").str.replace_all(_SHOWS_NOTHING, "")


def kept_register(registers: Path, kind: RegisterKind, digest: str) -> Path | None:
    """Return the copy of a register that is kept under its digest; None where there is none."""
    return next(iter(sorted(registers.glob(f"{kind}-{digest}.*"))), None)


def departments_in(registers: Path, announced: RegisterSummary, given: Path | None = None) -> dict[str, str]:
    """Return the department of each inspector from the announced register: the file given, else the kept copy.

    None where there is no copy. Raise DrawError where the file is not the announced register.
    """
    path = given or kept_register(registers, "inspectors", announced.digest)
    if path is None:
        return {}
    with TargetRegister(path, "inspectors") as register:
        if given and register.summary() != announced:
            raise DrawError(
                "检查人员名录与公告不符 / not the announced register of inspectors", where=str(path)
            )
        pairs = pl.concat([frame.select("id", "department") for frame in register.frames()])
        return dict(pairs.iter_rows())
