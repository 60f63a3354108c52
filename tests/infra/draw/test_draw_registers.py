"""Registers: what a CSV or Parquet file says, what is refused, and the digest."""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import digest

from infra.draw.register import TargetRegister
from schemas.draw.documents import RegisterSummary
from schemas.errors import DrawError, UsageError
from tests.infra.draw.conftest import PLAN, Office
from verification import verify_draw

HEAD = "id,name,division,credit_class\n"
ROW = "T1,甲,630102,A\n"
COLUMNS = ["id", "name", "division", "credit_class"]


def summary(path: Path, **how: int) -> RegisterSummary:
    with TargetRegister(path, "targets", **how) as register:  # type: ignore[arg-type]
        return register.summary()


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "R.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        HEAD + ROW,
        "\ufeff" + HEAD + ROW,
        (HEAD + ROW).replace("\n", "\r\n"),
        "\n\n" + HEAD + "\n" + ROW + "\n\n",
        (HEAD + "\n" + ROW + "\n").replace("\n", "\r\n"),
        HEAD + ROW.rstrip("\n"),
        '"id",name,"division",credit_class\n"T1","甲",630102,"A"\n',
        "\ufeff" + '"id",name,division,credit_class\nT1,甲,"630102",A\n',
    ],
    ids=["plain", "bom", "crlf", "blank lines", "blank crlf lines", "no end", "quoted", "bom and quotes"],
)
def test_spellings_of_one_register(tmp_path: Path, content: str) -> None:
    """BOM, line ends, blank lines and quotes change no digest."""
    row = dict(zip(COLUMNS, ["T1", "甲", "630102", "A"], strict=True))
    assert RegisterSummary(COLUMNS, 1, digest(COLUMNS, [row])) == summary(write(tmp_path, content))


def test_values_stand_as_they_are(tmp_path: Path) -> None:
    """Spaces, quotes and commas inside quotes, null-like words and empty values are kept as they stand."""
    rows = [
        dict(zip(COLUMNS, values, strict=True))
        for values in (
            (" T1 ", 'a "b", c', "630102", ""),
            ("NA", "null", "630102", "D"),
            ("007", "", "630102", ""),
        )
    ]
    content = HEAD + ' T1 ,"a ""b"", c",630102,\nNA,null,630102,D\n007,"",630102,""\n'
    assert RegisterSummary(COLUMNS, 3, digest(COLUMNS, rows)) == summary(write(tmp_path, content))


REFUSED = {
    "short row": HEAD + "T1,甲,630102\n",
    "long row": HEAD + "T1,甲,630102,A,x\n",
    "short and long row": HEAD + "T1,甲,630102\nT2,甲,630102,A,x\n",
    "white row": HEAD + "  \n" + ROW,
    "column twice": "id,name,division,credit_class,name\nT1,甲,630102,A,x\n",
    "id twice": HEAD + ROW + "T1,乙,630103,B\n",
    "id empty": HEAD + ",甲,630102,A\n",
    "no class column": "id,name,division\nT1,甲,630102\n",
    "class E": HEAD + "T1,甲,630102,E\n",
    "class a": HEAD + "T1,甲,630102,a\n",
    "division of 5": HEAD + "T1,甲,63010,A\n",
    "division of letters": HEAD + "T1,甲,63010x,A\n",
    "division full-width": HEAD + "T1,甲,６３０１０２,A\n",
    "division empty": HEAD + "T1,甲,,A\n",
    "tab": HEAD + "T1,甲\t乙,630102,A\n",
    "nul": HEAD + "T1,甲\0,630102,A\n",
    "del": HEAD + "T1,甲\x7f,630102,A\n",
    "c1": HEAD + "T1,甲\x85,630102,A\n",
    "lf in quotes": HEAD + 'T1,"甲\n乙",630102,A\n',
    "crlf in quotes": HEAD + 'T1,"甲\r\n乙",630102,A\n',
    "lone cr": HEAD + "T1,甲,630102,A\rT2,甲,630102,A\n",
    "stray quote": HEAD + 'T1,甲"乙,630102,A\n',
    "text after quotes": HEAD + 'T1,"甲"乙,630102,A\n',
    "space before quote": HEAD + 'T1, "甲",630102,A\n',
    "unfinished quote": HEAD + 'T1,甲,630102,"A\n',
    "in no encoding": (HEAD + "T1,").encode() + b"\xff\xff" + b",630102,A\n",
    "control in header": "id,name,division,credit_class,x\ty\nT1,甲,630102,A,1\n",
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
def test_refused(tmp_path: Path, content: str | bytes) -> None:
    """What RFC 4180 or the contract does not allow is refused, by both readers."""
    path = write(tmp_path, content)
    with pytest.raises(DrawError):
        summary(path)


class Anything(dict):  # type: ignore[type-arg]
    """An announced register that fits whatever was read, so that only the form can be wrong."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in REFUSED
        if n not in ("id empty", "no class column") and not n.startswith(("class", "division"))
    ],
)
def test_one_file_verifier_refuses_too(tmp_path: Path, name: str) -> None:
    """The one-file verifier reads no file that the product refuses for its form."""
    content = REFUSED[name]
    path = write(tmp_path, content)
    with pytest.raises((ValueError, UnicodeError, verify_draw.csv.Error)):
        verify_draw.read(path, Anything(), "targets", ["id"])


def test_absent_and_empty_files_are_unusable(tmp_path: Path) -> None:
    """An absent, empty or blank file is a wrong use (exit 2), not a refused register."""
    for path in (tmp_path / "none.csv", write(tmp_path, ""), write(tmp_path, "\n\n")):
        with pytest.raises(UsageError):
            summary(path)


def test_header_alone_is_a_register_without_rows(tmp_path: Path) -> None:
    """A header alone is a register of no rows, with the SHA-256 of nothing."""
    nothing = hashlib.sha256(b"").hexdigest()
    for content in (HEAD, HEAD.rstrip("\n"), HEAD + "\n\r\n"):
        assert RegisterSummary(COLUMNS, 0, nothing) == summary(write(tmp_path, content))


def parquet(folder: Path, **columns: pa.Array) -> Path:
    base = {
        "id": pa.array(["T1", "T2"]),
        "name": pa.array(["甲", None]),
        "division": pa.array([630102, 630103], pa.int32()),
        "credit_class": pa.array(["A", None]).dictionary_encode(),
    }
    path = folder / "R.parquet"
    pq.write_table(pa.table(base | columns), path)
    return path


def test_parquet_values_as_text(tmp_path: Path) -> None:
    """Whole numbers in decimal, booleans true and false, dates ISO, null empty; dictionaries as their text."""
    path = parquet(
        tmp_path,
        big=pa.array([2**64 - 1, None], pa.uint64()),
        negative=pa.array([-5, 0], pa.int8()),
        flag=pa.array([True, False]),
        day=pa.array([datetime.date(2018, 3, 1), None]),
        day64=pa.array([datetime.date(1969, 12, 31), None], pa.date64()),
        none=pa.nulls(2),
        large=pa.array(["x", " y "], pa.large_string()),
        view=pa.array(["x", "长"], pa.string_view()),
    )
    columns = [*COLUMNS, "big", "negative", "flag", "day", "day64", "none", "large", "view"]
    values = (
        ("T1", "甲", "630102", "A", str(2**64 - 1), "-5", "true", "2018-03-01", "1969-12-31", "", "x", "x"),
        ("T2", "", "630103", "", "", "0", "false", "", "", "", " y ", "长"),
    )
    rows = [dict(zip(columns, row, strict=True)) for row in values]
    assert RegisterSummary(columns, 2, digest(columns, rows)) == summary(path)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, 2.0]),
        pa.array([1, 2]).cast(pa.decimal128(20, 0)),
        pa.array([datetime.datetime(2018, 1, 1), None]),
        pa.array([b"a", b"b"]),
        pa.array([["a"], ["b"]]),
        pa.array([datetime.time(1), None]),
        pa.array([1.0, 2.0]).dictionary_encode(),
    ],
    ids=["float", "decimal", "timestamp", "binary", "list", "time", "dictionary of floats"],
)
def test_parquet_types_without_one_text_are_refused(tmp_path: Path, column: pa.Array) -> None:
    """Floats, decimals, timestamps and what else has no one text are refused."""
    with pytest.raises(DrawError):
        summary(parquet(tmp_path, x=column))


def test_parquet_rules_are_those_of_csv(tmp_path: Path) -> None:
    """Control characters, doubled ids and doubled columns are refused in Parquet too; a broken file is unusable."""
    for wrong in (
        {"name": pa.array(["甲\t", "乙"])},
        {"id": pa.array(["T1", "T1"])},
        {"id": pa.array(["T1", None])},
    ):
        with pytest.raises(DrawError):
            summary(parquet(tmp_path, **wrong))
    table = pq.read_table(parquet(tmp_path))
    pq.write_table(table.append_column("id", table["name"]), tmp_path / "R.parquet")
    with pytest.raises(DrawError):
        summary(tmp_path / "R.parquet")
    (tmp_path / "R.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(UsageError):
        summary(tmp_path / "R.parquet")


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TEXT.filter(bool), TEXT), unique_by=lambda pair: pair[0], min_size=1, max_size=30),
    st.data(),
)
def test_digest_law(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    """However a register is ordered, written or partitioned, its digest is that of its sorted rows."""
    import csv
    import tempfile

    table = [{"id": i, "name": n, "division": "630102", "credit_class": "B"} for i, n in rows]
    expected = digest(COLUMNS, table)
    order = data.draw(st.permutations(table))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "R.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])))
            writer.writeheader()
            writer.writerows(order)
        assert expected == summary(path).digest
        assert expected == summary(path, batch_rows=3, whole_bytes=0).digest
        pl.DataFrame(order).write_parquet(Path(name) / "R.parquet", row_group_size=4)
        assert expected == summary(Path(name) / "R.parquet", batch_rows=4).digest


def big(folder: Path, rows: int, columns: list[str], twice: bool = False) -> Path:
    """A register whose blocks are read one by one."""
    path = folder / "big.csv"
    lines = [",".join(columns)]
    for n in range(rows):
        number = 7 if twice and n == rows - 1 else n
        row = {
            "id": f"T{number * 7919 % 1_000_003:07d}" + "长" * (number % 3),
            "name": "企业" * 40,
            "division": "630102",
        }
        lines.append(",".join(row.get(c, "A") for c in columns))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("columns", [COLUMNS, ["name", "id", "division", "credit_class"]])
def test_spilled_register_is_the_same(tmp_path: Path, columns: list[str]) -> None:
    """A register beyond memory has the digest of the whole one, finds an id that stands twice, and cleans up."""
    path = big(tmp_path, 90_000, columns)
    whole = summary(path)
    with TargetRegister(path, "targets", batch_rows=20_000, whole_bytes=0) as register:
        assert whole == register.summary()
        assert 90_000 == sum(len(frame) for frame in register.frames())
        folder = register._folder
        assert folder is not None
    assert not folder.exists()
    with (
        TargetRegister(
            big(tmp_path, 90_000, columns, twice=True), "targets", batch_rows=20_000, whole_bytes=0
        ) as register,
        pytest.raises(DrawError, match="twice"),
    ):
        register.summary()


def test_shell_makes_the_same_digest(tmp_path: Path) -> None:
    """`LC_ALL=C sort | sha256sum` over TAB-joined rows is the digest."""
    path = write(tmp_path, HEAD + "T2,乙,630102,B\nT10,丙,630103,\nT1,甲,630102,A\n")
    recipe = f"tail -n +2 {path} | tr , '\\t' | LC_ALL=C sort | sha256sum | cut -d' ' -f1"
    shown = subprocess.run(["bash", "-c", recipe], capture_output=True, text=True, check=True).stdout.strip()
    assert shown == summary(path).digest


def test_error_names_the_line_and_no_value(tmp_path: Path) -> None:
    """A short row is named by its line; its content, which may be a person's, is not shown."""
    path = write(tmp_path, HEAD + ROW + "632801199001011234,张三\n")
    with pytest.raises(DrawError) as caught:
        summary(path)
    assert f"{path}:3" in str(caught.value)
    assert "632801199001011234" not in str(caught.value)


def test_leave_and_certificates_make_unavailable(office: Office) -> None:
    """Who is away on a day of the period, or whose certificate ends before it does, is not drawn, and is counted."""
    for n, row in enumerate(office.inspectors):
        row["away"] = {
            1: "2018-03-01/2018-03-31",
            2: "2018-05-02",
            3: "2018-01-01/2018-01-02；2018-06-30/2018-07-09",
        }.get(n, "")
        row["valid_until"] = {4: "2018-06-29", 5: "2018-06-30"}.get(n, "")
    office.write_all()
    transcript = office.draw()
    read = json.loads(transcript.read_bytes())
    assert {"away": 2, "expired": 1} == read["announcement"]["unavailable"]
    assert not {"I2", "I3", "I4"} & {i for visit in read["assignments"] for i in visit["inspectors"]}
    assert office.failed(transcript, "--chain", office.data / "draws") == []
    line = [
        sys.executable,
        verify_draw.__file__,
        transcript,
        office.path("R.csv"),
        office.path("I.csv"),
        office.path("C.csv"),
    ]
    assert subprocess.run(line, check=False, capture_output=True).returncode == 0
    office.inspectors[6]["away"] = "2018-07-02/2018-06-02"
    office.write_all()
    code, _, err = office(*office.announce_words("2", office.plan(PLAN.replace("QH-1", "QH-2"), "p2.toml")))
    assert (code, "away" in err) == (1, True)
