"""Quick ways through a register against the slow and obvious ones: quotes, byte order, text of Parquet."""

from __future__ import annotations

import csv
import mmap
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.draw.digest import byte_order
from infra.draw.register import TargetRegister
from infra.draw.sources import check_quoting
from producers.table_writer import xlsx_bytes
from schemas.draw.inspectors import read_inspectors
from schemas.errors import DrawError
from verification import verify_draw

PIECES = st.lists(
    st.sampled_from(['"', '""', ",", "\n", "\r\n", "a", '"a"', '"a""b"', '"a,\nb"', "\r"]), max_size=14
)


def keeps_the_rules(text: str) -> bool:
    """RFC 4180, a character at a time."""
    if text.replace("\r\n", "\n").count("\r"):
        return False
    state = "start"  # of a field; then "plain", "quoted", or "closed" (behind a quote inside quotes)
    for char in text.replace("\r\n", "\n"):
        if state == "quoted":
            state = "closed" if char == '"' else "quoted"
        elif char in ",\n":
            state = "start"
        elif char == '"' and state in ("start", "closed"):
            state = "quoted"
        elif char == '"' or state == "closed":
            return False
        else:
            state = "plain"
    return state != "quoted"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.booleans(), st.sampled_from([1, 2, 3, 7, 64]))
def test_quotes_in_blocks_as_a_character_at_a_time(
    tmp_path: Path, pieces: list[str], bom: bool, block: int
) -> None:
    """Wherever blocks end, the same files are refused as by reading every character."""
    text = "".join(pieces)
    path = tmp_path / "R.csv"
    path.write_bytes((("\ufeff" if bom else "") + text + "x").encode())
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            check_quoting(content, "R.csv", block=block)
            kept = True
        except DrawError:
            kept = False
    assert keeps_the_rules(text + "x") == kept


@pytest.mark.parametrize(
    ("text", "line"),
    [('a,b\nc,"d"e\n', 2), ('a,b\nc,d\n"e\n', 3), ('a,b\n"x""y,\n"z",q\n', 2), ('a,b"c\n', 1)],
    ids=["text behind", "never closed", "closed elsewhere", "within"],
)
def test_the_line_of_a_wrong_quote(tmp_path: Path, text: str, line: int) -> None:
    """The message names the line on which the wrong field begins."""
    path = tmp_path / "R.csv"
    path.write_text(text)
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with pytest.raises(DrawError) as refused:
            check_quoting(content, "R.csv", block=4)
    assert f"R.csv:{line}" == refused.value.where


@settings(max_examples=200, deadline=None)
@given(
    st.text("a中😀", max_size=20),
    st.lists(st.one_of(st.text("ab", max_size=120), st.text("a\0b中😀", max_size=8)).map(str), max_size=40),
)
def test_byte_order_is_the_order_of_bytes(begin: str, ends: list[str]) -> None:
    """Numbers made of bytes put texts in the order of `sorted`, however long they are alike; one that stands twice is told."""
    texts = [begin + end for end in ends]
    series = pl.Series(texts, dtype=pl.String)
    order = byte_order(series)
    assert sorted(texts, key=str.encode) == series.gather(order.places).to_list()
    assert (len(set(texts)) < len(texts)) == (order.repeated is not None)
    assert order.repeated is None or texts.count(order.repeated) > 1


def test_text_of_parquet_that_is_no_utf8(tmp_path: Path) -> None:
    """A text column whose bytes are no UTF-8 is refused, not repaired."""
    wrong = pa.array([b"T1", b"\xff\xfe"]).view(pa.string())
    columns = {"id": wrong, "name": ["a", "b"], "division": ["630102"] * 2, "credit_class": ["A", "B"]}
    pq.write_table(pa.table(columns), tmp_path / "R.parquet")
    with pytest.raises(DrawError):
        TargetRegister(tmp_path / "R.parquet", "targets")


def test_ids_that_are_alike_for_long_are_told_apart(tmp_path: Path) -> None:
    """Two of many ids that begin alike for sixty characters and are the same are found; others are not."""
    ids = [f"{'9' * 60}{n:04d}" for n in range(500)]
    path = tmp_path / "R.csv"
    rows = [f"{i},甲,630102,A\n" for i in ids]
    path.write_text("id,name,division,credit_class\n" + "".join(rows))
    with TargetRegister(path, "targets") as register:
        assert 500 == register.summary().count
    path.write_text("id,name,division,credit_class\n" + "".join([*rows, rows[7]]))
    with TargetRegister(path, "targets") as register, pytest.raises(DrawError) as refused:
        register.summary()
    assert "twice" in str(refused.value)


ROWS = "id,name,division,credit_class\nT1,江苏某某有限公司,630100,A\nT2,（某）市场,630100,\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_register_in_other_encodings(tmp_path: Path, encoding: str, separator: str) -> None:
    """A register in GB18030 or UTF-16, with semicolons or TABs, has the digest of its values as text."""
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_text(ROWS, "utf-8")
    other.write_text(ROWS.replace(",", separator), encoding)
    with TargetRegister(plain, "targets") as expected, TargetRegister(other, "targets") as found:
        assert expected.summary() == found.summary()


def test_register_from_a_workbook(tmp_path: Path) -> None:
    """A register in `.xlsx` has the digest of its values as text."""
    plain, book = tmp_path / "plain.csv", tmp_path / "book.xlsx"
    plain.write_text(ROWS, "utf-8")
    header, *rows = [line.split(",") for line in ROWS.splitlines()]
    book.write_bytes(xlsx_bytes("名录", header, rows))
    with TargetRegister(plain, "targets") as expected, TargetRegister(book, "targets") as found:
        assert expected.summary() == found.summary()


def test_lines_that_end_in_a_comma(tmp_path: Path) -> None:
    """An empty header, as Excel writes it, is a column without a name for both readers."""
    path = tmp_path / "R.csv"
    path.write_text("".join(f"{line},\n" for line in ROWS.splitlines()), "utf-8")
    with TargetRegister(path, "targets") as register:
        announced = msgspec.to_builtins(register.summary())
    assert "" == announced["columns"][-1]
    _, lines = verify_draw.read(path, announced, "targets", ["id"])
    assert 2 == len(lines)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(*[st.sampled_from(["a", "", "b,c", 'd"e', '","', '"', "甲"])] * 2), min_size=1),
    st.booleans(),
)
def test_one_file_program_reads_as_csv_does(
    tmp_path: Path, rows: list[tuple[str, str]], quoted: bool
) -> None:
    """Its quick ways through quoted and plain lines give the values that Python's `csv` gives."""
    path = tmp_path / "R.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(rows)
    assert ["\t".join(row).encode() for row in rows] == verify_draw.table(path, "R")


def test_full_width_semicolon_parts_qualifications(tmp_path: Path) -> None:
    """`；` parts qualifications as `;` does."""
    path = tmp_path / "I.csv"
    path.write_text("id,name,department,division,qualifications\nI1,a,d,630100,market；food; fire\n", "utf-8")
    with TargetRegister(path, "inspectors") as register:
        (inspector,) = read_inspectors(register)
    assert {"market", "food", "fire"} == inspector.qualifications


def test_arrow_reads_no_memory_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Arrow's threads read is not Python's memory, which they would let go of when the interpreter ends (SIGABRT)."""
    path = tmp_path / "R.csv"
    path.write_text(ROWS, "utf-8")
    mapped: list[mmap.mmap] = []
    make, read = mmap.mmap, pa.csv.read_csv

    def mapping(*given: Any, **options: Any) -> mmap.mmap:
        mapped.append(make(*given, **options))
        return mapped[-1]

    def reading(*given: Any, **options: Any) -> Any:
        mapped[-1].close()  # BufferError while Arrow holds it
        return read(*given, **options)

    monkeypatch.setattr(mmap, "mmap", mapping)
    monkeypatch.setattr(pa.csv, "read_csv", reading)
    with TargetRegister(path, "targets") as register:
        assert (2, True) == (register.count, mapped[-1].closed)
