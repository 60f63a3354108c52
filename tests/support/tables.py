"""Tables of applications for tests: a filled row, and files as other programs write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import openpyxl

from producers.tables import COLUMNS, Submission, read_applications
from schemas.errors import Rejected
from schemas.item_types import ServiceItem
from schemas.items import load_catalogue

SENT = Submission("urn:agency:630000:market-regulation", datetime(2018, 9, 10, 1, 0, tzinfo=UTC))
ROW = {
    "application_id": "QH-2018-000001",
    "action": "new",
    "id": "9163000071040638XJ",
    "kind": "enterprise",
    "name": "青海（循化）化肥有限公司",
    "address": "循化撒拉族自治县积石镇",
    "division": "630225",
    "category": "化肥",
    "site": "清水工业园",
    "detail": "复混肥料",
    "signed_on": "2018-09-09",
    "window": "630225",
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "gb18030")


def item(code: str = "industrial-product-licence") -> ServiceItem:
    """A shipped item."""
    return load_catalogue().items[code]


def as_csv(
    *rows: Mapping[str, str],
    columns: Sequence[str] = COLUMNS,
    encoding: str = "utf-8",
    separator: str = ",",
) -> bytes:
    """Rows as the standard library's writer writes them."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator)
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return out.getvalue().encode(encoding)


def as_xlsx(*rows: Mapping[str, Any], columns: Sequence[str] = COLUMNS) -> bytes:
    """Rows as openpyxl writes them, values in their own types."""
    book = openpyxl.Workbook()
    book.active.append(list(columns))
    for row in rows:
        book.active.append([row.get(name) for name in columns])
    return saved(book)


def saved(book: Any) -> bytes:
    """The bytes of a workbook of openpyxl."""
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def outcomes(raw: bytes, code: str = "industrial-product-licence") -> list[tuple[int, Any]]:
    """Each outcome: the row with the event's data, or with (column, message)."""
    found = read_applications(raw, item(code), SENT, "t").outcomes
    return [
        (row, (made.where, made.message) if isinstance(made, Rejected) else made["data"])
        for row, made in found
    ]


def one(raw: bytes, code: str = "industrial-product-licence") -> Any:
    """The data of the only event."""
    [(_, data)] = outcomes(raw, code)
    assert isinstance(data, dict), data
    return data


def faults(raw: bytes, code: str = "industrial-product-licence") -> list[tuple[int, str]]:
    """Row and column of each fault."""
    return [(row, made[0]) for row, made in outcomes(raw, code) if isinstance(made, tuple)]
