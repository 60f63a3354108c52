"""Tables that leave: CSV and `.xlsx` for people to open in a spreadsheet, in which no cell can act as a formula.

A cell of CSV that begins like a formula is opened by an apostrophe, the usual defence against formula injection (CWE-1236):
spreadsheets then take it for text. In `.xlsx` a text is a text, so nothing is changed there. Files that programs read
(registers of a draw, JSON) are not exports: their values stand as they are.

Empty tables of applications: what `items template` writes.

The workbook has a sheet to fill in, all of whose columns are text (so that no number of eighteen digits becomes
`9.16E+17`), with choice lists; a sheet that explains the columns in Chinese and English; and a hidden one with the
lists. The same item gives the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import xlsxwriter

from producers.sheet_rows import MAX_ROW
from producers.tables import ACTIONS, COLUMNS, FIELD, KINDS, columns_of
from schemas.errors import UsageError
from schemas.identifiers import quoted
from schemas.item_types import ServiceItem

Value = str | int | None

CREATED: Final = datetime(2018, 1, 1)
"""Date in the properties of every workbook, so that the same content gives the same bytes."""

BOM: Final = "\ufeff"


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """Return CSV (RFC 4180) with quoted texts, beginning with a BOM, without which Excel takes UTF-8 for another code."""
    out = io.StringIO()
    out.write(BOM)
    writer = csv.writer(out)
    writer.writerow([quoted(name) for name in header])
    writer.writerows([quoted(v) if isinstance(v, str) else v for v in row] for row in rows)
    return out.getvalue()


def new_workbook(out: io.BytesIO) -> Any:
    """Return a workbook to be written into `out`, in which a text never becomes a formula, a number or a link."""
    book = xlsxwriter.Workbook(
        out,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        },
    )
    book.set_properties({"created": CREATED})
    return book


def xlsx_bytes(title: str, header: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """Return a workbook of one sheet named `title`, with a bold header that stays in sight, texts as texts."""
    out = io.BytesIO()
    book = new_workbook(out)
    sheet = book.add_worksheet(title)
    bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
    for at, name in enumerate(header):
        sheet.write_string(0, at, name, bold)
    for number, row in enumerate(rows, start=1):
        for at, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(number, at, value, text)
            elif value is not None:
                sheet.write_number(number, at, value)
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()


TemplateForm = Literal["xlsx", "csv"]

SHEET: Final = "申请 applications"
GUIDE: Final = "填表说明 columns"
LISTS: Final = "lists"


class _Explained(NamedTuple):
    """A column as the guide explains it."""

    zh: str
    en: str
    example: str
    required: bool = False


_EXPLAINED: Final[dict[str, _Explained]] = {
    "application_id": _Explained(
        "办件编号。编号相同的各行是同一份申请，每行一个产品；其他列须一致或留空",
        "Id of the application. Rows with the same id are one application, a product each; other columns agree or are blank",
        "QH-2018-000001",
        True,
    ),
    "action": _Explained(
        "办理类型：" + "，".join(f"{v} {k}" for k, v in ACTIONS.items()),
        "Action: new, extend (further products or sites), change, renew, reissue, merge, surrender. A change needs the further "
        "columns change.name, change.address or change.division, or the products that shall remain",
        "new",
        True,
    ),
    "licence_number": _Explained(
        "证照编号；新办留空；合并填写多个，以 ; 分隔",
        "Number of the licence; blank for new; several with ; between for merge",
        "(青)XK13-001-00001",
    ),
    "id": _Explained(
        "统一社会信用代码或公民身份号码，以文本填写",
        "Unified social credit code or citizen id, as text",
        "9163000071040638XJ",
        True,
    ),
    "kind": _Explained(
        "申请人类型：" + "，".join(f"{v} {k}" for k, v in KINDS.items()),
        "Kind of applicant: enterprise or person",
        "enterprise",
        True,
    ),
    "name": _Explained("名称或姓名，与证照登记一致", "Name, as registered", "青海某化肥有限公司"),
    "address": _Explained("住所", "Address", "循化撒拉族自治县积石镇"),
    "division": _Explained(
        "住所所在行政区划，六位代码，其后可写名称",
        "Division of the address: six digits, the name may follow",
        "630225",
    ),
    "category": _Explained("产品类别，从列表中选择", "Product category, from the list", ""),
    "site": _Explained("生产地址", "Site that makes the product", "循化县清水工业园"),
    "detail": _Explained("产品品种、规格", "Kinds and specifications of the product", "复混肥料"),
    "signed_on": _Explained(
        "承诺书签署日；未签署则留空，不填占位日期",
        "Day on which the commitment letter was signed; blank where it was not, never a placeholder",
        "2018-09-09",
    ),
    "window": _Explained(
        "收件窗口：县 6 位、乡镇 9 位、村 12 位代码",
        "Window where the application entered: 6 digits for a county, 9 for a township, 12 for a village",
        "630225",
        True,
    ),
}


def template(item: ServiceItem, divisions: Sequence[tuple[str, str]], form: TemplateForm) -> bytes:
    """Return an empty table for an item; `divisions` are codes with names for the choice list.

    Raises UsageError for a filing item, which is not applied for by itself.
    """
    if item.mode == "filing":
        raise UsageError(
            f"备案事项不单独申请 / a filing is not applied for by itself: {item.code}",
            hint="zhengzhao items template business-licence -o FILE.xlsx",
        )
    if form == "csv":
        return (BOM + ",".join(columns_of(item)) + "\r\n").encode()
    return _workbook(item, divisions)


def _workbook(item: ServiceItem, divisions: Sequence[tuple[str, str]]) -> bytes:
    out = io.BytesIO()
    book = new_workbook(out)
    sheet, guide, lists = (book.add_worksheet(name) for name in (SHEET, GUIDE, LISTS))
    lists.hide()
    choices: dict[str, list[str]] = {
        "action": list(ACTIONS.values()),
        "kind": [item.holder],
        "division": [f"{code} {name}" for code, name in divisions],
        "category": [category.name for category in item.categories],
    }
    text = book.add_format({"num_format": "@"})
    bold = book.add_format({"num_format": "@", "bold": True, "bottom": 1})
    columns = columns_of(item)
    sheet.set_column(0, len(columns) - 1, 18, text)
    for at, name in enumerate(columns):
        sheet.write_string(0, at, name, bold)
    sheet.freeze_panes(1, 0)
    for place, (name, values) in enumerate(choices.items()):
        for row, value in enumerate(values):
            lists.write_string(row, place, value, text)
        if values:
            _choose(sheet, columns.index(name), place, len(values), name)
    _explain(book, guide, item)
    book.close()
    return out.getvalue()


def _choose(sheet: Any, column: int, place: int, count: int, name: str) -> None:
    """Put a choice list on a column. Of divisions a bare code will do, so that there is a warning only."""
    letter = "ABCDEFGH"[place]
    sheet.data_validation(
        1, column, MAX_ROW - 1, column,
        {
            "validate": "list",
            "source": f"={LISTS}!${letter}$1:${letter}${count}",
            "error_type": "warning" if name == "division" else "stop",
            "error_title": name,
            "error_message": "请从列表中选择 / choose from the list",
        },
    )  # fmt: skip


def _explain(book: Any, guide: Any, item: ServiceItem) -> None:
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    wrapped = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
    for at, width in enumerate((20, 10, 60, 60, 26)):
        guide.set_column(at, at, width)
    lines = [
        (
            f"{item.name.zh} {item.code}",
            "",
            f"提交 / submit: zhengzhao submit FILE.xlsx --item {item.code} --source URN",
        ),
        ("材料 materials", "", *_vouched(item)),
        ("列 column", "必填 required", "说明", "Explanation", "例 example"),
    ]
    for row, line in enumerate(lines):
        for at, value in enumerate(line):
            guide.write_string(row, at, value, bold)
    for row, (name, said) in enumerate(_columns(item), start=len(lines)):
        values = (name, "是 yes" if said.required else "", said.zh, said.en, said.example)
        for at, value in enumerate(values):
            guide.write_string(row, at, value, wrapped)
    guide.freeze_panes(len(lines), 0)


def _vouched(item: ServiceItem) -> tuple[str, str]:
    zh = "、".join(m.name.zh for m in item.materials)
    en = ", ".join(m.name.en for m in item.materials)
    return (
        f"每行代表窗口收到的申请单；提交本表即确认已在窗口查验所需材料（新办：{zh}）。须签署的材料以 signed_on 为准",
        "A row stands for the application form; who sends the table confirms that the papers needed were seen at the window "
        f"(new: {en}). A paper that must be signed counts by signed_on",
    )


def _columns(item: ServiceItem) -> list[tuple[str, _Explained]]:
    rows = [(name, _EXPLAINED[name]) for name in COLUMNS]
    own = {"category": item.categories[0].name if item.categories else ""}
    if item.holder == "person":
        own |= {"id": "11010519491231002X", "kind": "person", "name": "张某"}
    rows = [(name, said._replace(example=own.get(name, said.example))) for name, said in rows]
    fields = {name.removeprefix(FIELD): name for name in columns_of(item)[len(COLUMNS) :]}
    rows += [
        (fields[rule.name], _Explained(rule.label.zh, rule.label.en, rule.example, rule.required))
        for rule in item.fields
    ]
    return rows
