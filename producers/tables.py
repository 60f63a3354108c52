"""Tables of applications: from the rows of a `.xlsx` or CSV file to the events that a window sends.

A row is a product of an application; rows with the same `application_id` are one application. Blank cells are absent
fields, so whatever an event may lack a row may lack, and what is missing is asked for later, once, by the case.

**Materials.** A row stands for the application form that the window has before it, and the window that sends the table
vouches with its source that the further papers which the action needs were seen there: for `new` the item's, for
`extend`, `renew` and `merge` the form and, where the item has one, the commitment letter, for all others the form. A
paper that must be signed stands in the event only with the day in `signed_on`; without it the case asks for that paper.
Papers themselves (files, 容缺) need an event or a packet.

**Actions.** `licence_number` names the licence, for `merge` several with `;` between. For `change` the columns `name`,
`address` and `division` say who the holder is now, the columns `change.name`, `change.address` and `change.division`
(further columns, not in the template) what it becomes, and products are all that shall remain. For an item of mode
`consolidated` a row with `new` is a registration without filings.

**Ids.** An event's id is `<first 16 hex digits of the file's SHA-256>:<application_id>`: the same file again is the same
events, provided that the caller gives the same time. A table has no time of its own, so the moment of the first submission
is written into the data folder, under the file's SHA-256, before any of its events is taken in: after a crash the events
carry that moment again and count as duplicates.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import msgspec

from producers import table_cells as cells
from producers.agency_events import Sender, event
from producers.sheet_rows import SparseRow
from producers.table_cells import Cell, is_blank
from producers.table_rows import NumberedRow, Table, folded, looks_like_table, read_table
from schemas.errors import Rejected, UsageError
from schemas.event_types import Action, HolderKind
from schemas.identifiers import compare
from schemas.item_types import ServiceItem

COLUMNS: Final = (
    "application_id", "action", "licence_number", "id", "kind", "name", "address", "division",
    "category", "site", "detail", "signed_on", "window",
)  # fmt: skip
"""Columns of every table, in the order of the template; an item's fields follow."""

CHANGES: Final = ("change.name", "change.address", "change.division")
"""Further columns that a row with the action `change` needs."""

REQUIRED: Final = ("application_id", "action", "id", "kind", "window")
"""Columns without whose values an application is no event."""

PRODUCT: Final = ("category", "site", "detail")
"""Columns that may differ between rows of one application."""

FIELD: Final = "fields."
"""Prefix by which an item's field may be named; it must be where the field has the name of another column."""

MAX_ROWS: Final = 200_000
"""Number of rows that one table may hold."""

TIMES: Final = "submitted"
"""Folder of the data folder that holds one small file for each table: when it was first submitted."""

ACTIONS: Final = {
    "新办": "new", "增项": "extend", "变更": "change", "延续": "renew",
    "补发": "reissue", "合并": "merge", "交回": "surrender",
}  # fmt: skip
KINDS: Final = {"企业": "enterprise", "个人": "person"}
_LISTED: Final[dict[str, tuple[str, ...]]] = {"action": get_args(Action), "kind": get_args(HolderKind)}
_WITH_LETTER: Final = ("extend", "renew", "merge")
_SEPARATORS: Final = str.maketrans("；、，,", ";;;;")
_IDS: Final = frozenset({"application_id", "id", "licence_number"})

Event = dict[str, Any]
RowOutcome = tuple[int, Event | Rejected]
"""A row's number in the file (for an application its first row) with the event, or with the reason why there is none."""


class Submission(NamedTuple):
    """The sender of a table, and the one moment that is the time of all its events."""

    source: str
    at: datetime


class Applications(msgspec.Struct, frozen=True):
    """Applications of a table, in the order of the file. `others` names sheets with the same header that were not read."""

    outcomes: Iterator[RowOutcome]
    others: tuple[str, ...]


def columns_of(item: ServiceItem) -> tuple[str, ...]:
    """Return the columns of an item's table, as the template has them."""
    taken = {*COLUMNS, *CHANGES}
    fields = (FIELD + f.name if folded(f.name) in taken else f.name for f in item.fields)
    return (*COLUMNS, *fields)


def is_text_table(start: bytes) -> bool:
    """Tell whether the first bytes of a text file are those of a table of applications."""
    return looks_like_table(start, COLUMNS[0], COLUMNS)


def read_applications(raw: bytes, item: ServiceItem, sent: Submission, where: str) -> Applications:
    """Read a table of applications for an item.

    Raises UsageError for a file that is no table of such, or has unknown columns, lacks one that the item needs, holds no
    row or more than `MAX_ROWS`. What is wrong in a row is an outcome; it keeps its application from being sent, and
    no other.
    """
    if item.mode == "filing":
        raise UsageError(
            f"备案事项不单独申请 / a filing is not applied for by itself: {item.code}",
            where=where,
            hint="--item business-licence",
        )
    table = read_table(raw, COLUMNS[0], [*COLUMNS, *map(folded, columns_of(item)), *CHANGES], where)
    names = _columns(table, item, where)
    digest = hashlib.sha256(raw).hexdigest()[:16]
    groups, faults = _grouped(table.rows, names, item, where)
    return Applications(_outcomes(groups, faults, item, sent, digest), table.others)


# ---- columns ------------------------------------------------------------------------------------------------


def _columns(table: Table, item: ServiceItem, where: str) -> dict[int, str]:
    """Return the columns by position under their own names. UsageError names unknown and missing ones."""
    known = {name: name for name in (*COLUMNS, *CHANGES)}
    for name in columns_of(item)[len(COLUMNS) :]:
        plain = name.removeprefix(FIELD)
        known |= {folded(name): FIELD + plain, folded(FIELD + plain): FIELD + plain}
    unknown = [name for name in table.columns.values() if name not in known]
    hint = f"列名 / columns: {','.join(columns_of(item))}; zhengzhao items template {item.code} -o FILE.xlsx"
    if unknown:
        listed = "、".join(unknown)
        raise UsageError(
            f"未知的列：{listed} / unknown columns: {', '.join(unknown)}", where=where, hint=hint
        )
    names = {at: known[name] for at, name in table.columns.items()}
    needed = [*REQUIRED, "name", "address", "division"]
    needed += ["category"] if item.products else []
    needed += ["signed_on"] if any(m.signed for m in item.materials) else []
    needed += [FIELD + f.name for f in item.fields if f.required]
    missing = [name.removeprefix(FIELD) for name in needed if name not in names.values()]
    if missing:
        listed = "、".join(missing)
        raise UsageError(
            f"缺少列：{listed} / columns are missing: {', '.join(missing)}", where=where, hint=hint
        )
    return names


# ---- rows ---------------------------------------------------------------------------------------------------


class _Group:
    """The rows of one application: what they say together, and their products."""

    def __init__(self, row: int) -> None:
        self.row = row
        self.values: dict[str, str] = {}
        self.said: dict[str, int] = {}
        self.products: list[dict[str, str]] = []
        self.good = True

    def take(self, number: int, values: Mapping[str, str]) -> Iterator[Rejected]:
        """Take a row in; yield what contradicts a row before."""
        product = {name: values[name] for name in PRODUCT if name in values}
        if product:
            self.products.append({"category": "", **product})
        for name, value in values.items():
            if name in PRODUCT:
                continue
            first = self.values.setdefault(name, value)
            row = self.said.setdefault(name, number)
            same = compare(first) == compare(value) if name in _IDS else first == value
            if not same:
                yield Rejected(
                    f"与第 {row} 行不一致，两行编号相同 / differs from row {row}, which has the same application_id",
                    where=name.removeprefix(FIELD),
                    hint="同一申请的各行须一致，或留空 / rows of one application say the same, or leave it blank",
                )


def _grouped(
    rows: Iterator[NumberedRow], names: dict[int, str], item: ServiceItem, where: str
) -> tuple[dict[str, _Group], list[RowOutcome]]:
    groups: dict[str, _Group] = {}
    faults: list[RowOutcome] = []
    count = 0
    for number, row in rows:
        if all(is_blank(cell) for cell in row.values()):
            continue
        count += 1
        if count > MAX_ROWS:
            raise UsageError(
                f"超过 {MAX_ROWS} 行 / more than {MAX_ROWS} rows",
                where=where,
                hint="分成几个文件 / split the file",
            )
        values, wrong = _values(row, names, item)
        key = compare(values.get("application_id", ""))
        if key:
            group = groups.setdefault(key, _Group(number))
            wrong += group.take(number, values)
            group.good = group.good and not wrong
        elif not any(fault.where == "application_id" for fault in wrong):
            wrong.append(_absent("application_id"))
        faults += ((number, fault) for fault in wrong)
    if not count:
        raise UsageError(
            "表中没有申请 / there is no application in the table",
            where=where,
            hint="在表头之下每行填写一个产品 / fill in a row under the header for each product",
        )
    return groups, faults


def _values(
    row: SparseRow, names: dict[int, str], item: ServiceItem
) -> tuple[dict[str, str], list[Rejected]]:
    """Return what stands in a row by column, without what is blank, and what is wrong in it."""
    values: dict[str, str] = {}
    wrong: list[Rejected] = []
    for at, cell in row.items():
        if is_blank(cell):
            continue
        name = names.get(at)
        try:
            if name is None:
                raise Rejected(
                    f"第 {at + 1} 列没有列名 / column {at + 1} has no name",
                    hint="给该列命名，或清空 / name the column, or clear it",
                )
            if value := _value(cell, name, item):
                values[name] = value
        except Rejected as fault:
            wrong.append(fault)
    return values, wrong


def _value(cell: Cell, name: str, item: ServiceItem) -> str:
    if name == "signed_on":
        return cells.read_day(cell, name)
    if name == "id":
        return cells.read_holder_id(cell, name)
    if name in _IDS:
        return cells.read_id(cell, name)
    if name in ("division", "window", "change.division"):
        return cells.read_code(cell, name)
    if name in _LISTED:
        return _listed(cell, name)
    if name == "category":
        return cells.read_category(cell, name, (c.name for c in item.categories))
    if name.startswith(FIELD):
        return cells.read_answer(cell, name.removeprefix(FIELD))
    return cells.read_text(cell, name)


def _listed(cell: Cell, name: str) -> str:
    value = cells.read_choice(cell, name, ACTIONS if name == "action" else KINDS)
    if value and value not in _LISTED[name]:
        raise Rejected(
            f"不在允许的取值之内：{value[:40]} / a value outside the enumeration: {value[:40]}",
            where=name,
            hint=", ".join(_LISTED[name]),
        )
    return value


def _absent(name: str) -> Rejected:
    return Rejected(
        "缺少必填项 / a required value is absent", where=name, hint="填写该单元格 / fill in the cell"
    )


# ---- events -------------------------------------------------------------------------------------------------


def _outcomes(
    groups: dict[str, _Group], faults: list[RowOutcome], item: ServiceItem, sent: Submission, digest: str
) -> Iterator[RowOutcome]:
    made: list[RowOutcome] = []
    for group in groups.values():
        if not group.good:
            continue
        absent = [name for name in REQUIRED if name not in group.values]
        if absent:
            made += ((group.row, _absent(name)) for name in absent)
        else:
            made.append((group.row, _event(group, item, sent, digest)))
    yield from sorted(made + faults, key=lambda outcome: outcome[0])


def _event(group: _Group, item: ServiceItem, sent: Submission, digest: str) -> Event:
    """Return the event of an application whose rows are good."""
    values = group.values
    sender = Sender(sent.source, sent.at, f"{digest}:{values['application_id']}")
    action = values["action"]
    data: dict[str, Any] = {"application_id": values["application_id"]}
    applicant = {
        name: values[name] for name in ("kind", "id", "name", "address", "division") if name in values
    }
    shared = {n.removeprefix(FIELD): v for n, v in values.items() if n.startswith(FIELD)}
    materials = _materials(action, item, values.get("signed_on"))
    if item.mode == "consolidated" and action == "new":
        data |= {"applicant": applicant, "items": [], "shared": shared or None, "materials": materials}
        return event(sender, "registration.submitted", data, values["application_id"])
    data |= {
        "item": item.code,
        "action": action,
        **_licences(action, values.get("licence_number")),
        "applicant": applicant,
        **_content(action, values, group.products),
        "shared": shared or None,
        "materials": materials,
        "channel": "table",
        "window": values["window"],
    }
    return event(sender, "application.submitted", data, values["application_id"])


def _licences(action: str, named: str | None) -> dict[str, Any]:
    if named is None:
        return {}
    if action != "merge":
        return {"licence_number": named}
    numbers = (number.strip() for number in named.translate(_SEPARATORS).split(";"))
    return {"licence_numbers": [number for number in numbers if number]}


def _content(action: str, values: Mapping[str, str], products: list[dict[str, str]]) -> dict[str, Any]:
    """Return the products, for `change` as a part of what changes."""
    if action != "change":
        return {"products": products or None}
    becomes: dict[str, Any] = {
        name.removeprefix("change."): values[name] for name in CHANGES if name in values
    }
    if products:
        becomes["products"] = products
    return {"change": becomes or None}


def _materials(action: str, item: ServiceItem, signed_on: str | None) -> list[dict[str, str]]:
    """Return the papers that a row stands for (see the module's docstring)."""
    found: list[dict[str, str]] = []
    for rule in item.materials:
        wanted = rule.kind == "application-form" or action == "new"
        wanted = wanted or (rule.kind == "commitment-letter" and action in _WITH_LETTER)
        if not wanted or (rule.signed and signed_on is None):
            continue
        found.append(
            {"kind": rule.kind, "signed_on": signed_on} if rule.signed and signed_on else {"kind": rule.kind}
        )
    return found


def first_time(data: Path, digest: str, at: datetime, *, fixed: bool = False) -> datetime:
    """Return the moment at which a file with this hex SHA-256 was first submitted, which is `at` if it is new.

    With `fixed` the caller names the moment: it is returned, and remembered where none was. Raises UsageError where
    what is remembered cannot be read.
    """
    path = data / TIMES / digest
    try:
        remembered = datetime.fromisoformat(path.read_text("ascii").strip())
    except FileNotFoundError:
        _remember(path, at)
        return at
    except ValueError:
        raise UsageError(
            "首次提交时间无法读取 / the time of the first submission cannot be read",
            where=str(path),
            hint="以 --at 指明时间 / name the time with --at",
        ) from None
    return at if fixed else remembered


def _remember(path: Path, at: datetime) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="ascii") as file:
        file.write(at.isoformat())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
