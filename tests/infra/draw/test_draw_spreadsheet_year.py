"""A year of joint inspections from spreadsheets to published results, by the command alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from producers.table_writer import xlsx_bytes
from tests.infra.draw.conftest import Office

PARTIES = ("regulator", "discipline")
YEAR = """
year = 2018
authority = "urn:agency:320000:market-regulation"
[[items]]
plan = "JS-2018-food"
item = "joint-food-check"
title = "食品经营者部门联合抽查"
period = ["2018-04-01", "2018-06-30"]
departments = ["market-regulation", "fire-rescue"]
inspectors = { market-regulation = 1, fire-rescue = 1 }
population = { category = "food" }
ratio = "0.20"
weights = { A = 1, B = 2, C = 4, D = 8 }
[seed]
parties = ["regulator", "discipline"]
"""


def workbooks(office: Office) -> list[str | Path]:
    """The three registers as workbooks; one name begins as a formula does."""
    targets = [
        [f"T{n:03d}", "=HYPERLINK(1)" if n % 2 else f"企业{n}", ("320102", "320205")[n % 2], "ABCD"[n % 4], "food"]
        for n in range(30)
    ]  # fmt: skip
    targets += [["X001", "建材行", "320102", "A", "other"]]
    staff = [
        [f"I{n:02d}", f"检查员{n}", ("market-regulation", "fire-rescue")[n % 2], "320000", "food；fire"]
        for n in range(8)
    ]
    tables: dict[str, tuple[list[str], list[list[str]]]] = {
        "register": (["id", "name", "division", "credit_class", "category"], targets),
        "inspectors": (["id", "name", "department", "division", "qualifications"], staff),
        "conflicts": (
            ["inspector_id", "target_id", "reason"],
            [["I01", f"T{n:03d}", "亲属"] for n in range(15)],
        ),
    }
    words: list[str | Path] = []
    for option, (header, rows) in tables.items():
        path = office.path(f"{option}.xlsx")
        path.write_bytes(xlsx_bytes("名录", header, rows))
        words += [f"--{option}", path]
    return words


def drawn(office: Office, registers: list[str | Path]) -> Path:
    """The transcript of the year's only draw."""
    year = office.plan(YEAR, "year.toml")
    office.ok("draw", "plan", year, "-o", office.path("plans"))
    promised = [word for party in PARTIES for word in ("--commitment", office.fixed(party, ""))]
    announcement, transcript = office.path("A.json"), office.path("T.json")
    plan = office.path("plans") / "JS-2018-food.toml"
    office.ok("draw", "announce", plan, *registers, *promised, "-o", announcement)
    shown = [word for party in PARTIES for word in ("--reveal", office.reveal(party, announcement))]
    office.ok("draw", "run", announcement, *registers, *shown, "-o", transcript)
    verified = office.ok(
        "draw", "verify", transcript, *registers, "--annual", year, "--chain", office.data / "draws", "--json"
    )
    assert ["parties", "publication"] == json.loads(verified)["unchecked"]
    return transcript


def rows_of(office: Office, *words: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in office.ok("inspect", "list", *words, "--json").splitlines()]


def test_a_year_from_spreadsheet_to_published_results(issuing_office: Office) -> None:
    """Workbooks in; one inspector of each department; joint visits, one overdue, one late; the same table as CSV and workbook out."""
    office = issuing_office
    registers = workbooks(office)
    transcript = drawn(office, registers)
    visits = json.loads(transcript.read_bytes())["assignments"]
    assert len(visits) == 6  # a fifth of thirty, and nobody of another category
    departments = [
        [("market-regulation", "fire-rescue")[int(i[1:]) % 2] for i in v["inspectors"]] for v in visits
    ]
    assert [["market-regulation", "fire-rescue"]] * 6 == departments
    days = ["2018-05-02", "2018-05-31", *["2018-06-01"] * 3]
    sources = ["market-regulation", "fire-rescue"] * 3
    for visit, day, source in zip(visits[:5], days, sources, strict=False):
        office.ok(
            "inspect", "record", transcript, "--target", visit["target"], "--result", "未发现问题", "--passed",
            "--at", f"{day}T10:00:00+08:00", "--source", f"urn:agency:320000:{source}",
        )  # fmt: skip
    office.ok("drain")
    tasks = rows_of(office, transcript, "--annual", office.path("year.toml"))
    assert [(True, 2)] * 6 == [(task["joint"], len(task["departments"])) for task in tasks]
    assert {visits[5]["target"]} == {task["target"] for task in tasks if task["state"] == "overdue"}
    out = office.path("out")
    words = [
        "inspect",
        "publish",
        transcript,
        "--register",
        office.path("register.xlsx"),
        "-o",
        out,
        "--json",
    ]
    answer = json.loads(office.ok(*words, "--at", "2018-06-04T09:00:00+08:00"))
    assert (5, 1, 1) == tuple(answer[key] for key in ("published", "to_come", "late"))
    table = list(csv.DictReader(io.StringIO((out / "results.csv").read_text("utf-8-sig"))))
    late = {row["target"] for row in table if row["late"] == "true"}
    assert {visits[0]["target"]} == late  # twenty working days after 2 May had passed
    names = {row["name"] for row in table}
    assert not any(name.startswith("=") for name in names)
    sheet = load_workbook(out / "results.xlsx").active
    assert sheet is not None
    header, *cells = sheet.iter_rows(values_only=True)
    assert [row["target"] for row in table] == [row[header.index("target")] for row in cells]
    told = office("doctor", "--json")[1]
    assert "1 visits" in told
