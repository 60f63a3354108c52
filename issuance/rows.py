"""The rows of a business licence (营业执照): name, particulars side by side where they are short, term and address; then
business scope and filings in what room is left. What has none goes to the annex (附页).

Lengths are millimetres and ems at the sizes of templates/common.typ; the room is that of business-licence.typ.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from issuance.texts import breakable, particular_text, small, units, validity_text
from schemas.body import LicenceBody

_ROOM = 92.0  # from the first row to what stands below the last
_FULL = (61.0, 4.5)  # ems of a line over the whole width at 10 pt, and its height
_LIST = (51.5, 3.8)  # the same beside the seal, at 8.5 pt
_MOST_LINES = 4  # of a long particular on the first page
_HALVES = ((20.0, 1), (24.5, 2), (29.0, 3))  # ems that fit half the width, and the size that they need
_FEW = 4  # rows that are set wide apart


class Rows(NamedTuple):
    """Rows for both layers: `rows` of keys and height, `labels`, `values` with their sizes, the parts of the annex."""

    rows: list[dict[str, Any]]
    labels: dict[str, str]
    values: dict[str, tuple[str | list[str], int]]
    annex: list[dict[str, Any]]


class _Text(NamedTuple):
    key: str
    label: str
    text: str


def rows_of(body: LicenceBody) -> Rows:
    """The rows of a body."""
    texts = [_Text(f"p-{p.name}", p.label, particular_text(p.value)) for p in body.registered]
    name, address = _Text("holder", "名称", body.holder), _Text("address", "住所", body.address)
    term = _Text("validity", "营业期限", validity_text(body))
    short = [t for t in texts if units(t.text) <= _HALVES[-1][0]] + [term]
    long = [t for t in texts if units(t.text) > _HALVES[-1][0]]
    made = Rows([], {}, {}, [])
    lines = 2 + math.ceil(len(short) / 2) + len(long)
    pitch = 12.0 if lines <= _FEW else 9.5
    _row(made, [name], _height(name, pitch))
    for first in range(0, len(short), 2):
        _row(made, short[first : first + 2], pitch)
    if address.text:
        _row(made, [address], _height(address, pitch))
    _long(made, long, body)
    if body.products:
        _row(made, [_Text("products", "产品", f"产品共{len(body.products)}项，见附页")], 7.0, 2)
    return made


def _height(text: _Text, pitch: float) -> float:
    """A name or address of more than two lines is set small and needs more."""
    return pitch if units(text.text) <= 58 else 15.0


def _row(made: Rows, texts: list[_Text], height: float, size: int | None = None) -> None:
    for t in texts:
        made.labels[t.key] = t.label
        made.values[t.key] = (breakable(t.text), _size(t) if size is None else size)
    made.rows.append({"keys": [t.key for t in texts], "height": height})


def _size(text: _Text) -> int:
    if text.key in ("holder", "address"):
        return small(text.key, text.text)
    return next(size for room, size in _HALVES if units(text.text) <= room)


def _long(made: Rows, long: list[_Text], body: LicenceBody) -> None:
    """Long particulars and filings: on the first page while there is room, the filings first."""
    left = _ROOM - sum(row["height"] for row in made.rows)
    notes = len(long) * 7.0  # where each goes to the annex, a line says so
    filings = _filings(body)
    held = _lines(filings.text, _LIST) if filings else 0.0
    if filings and held + notes > left:
        made.annex.append(filing_table(body))
        filings = filings._replace(text=f"备案事项共{len(body.filings)}项，见附页")
        held = _lines(filings.text, _LIST)
    left -= held
    for n, t in enumerate(long):
        height = _lines(t.text, _FULL) + 3.5
        if units(t.text) > _MOST_LINES * _FULL[0] or height + (len(long) - n - 1) * 7.0 > left:
            made.annex.insert(n, {"title": t.label, "text": breakable(t.text)})
            t, height = t._replace(text="见附页"), 7.0
        _row(made, [t], height, 2)
        left -= height
    if filings:
        _row(made, [filings], held, 3)
        made.rows[-1]["narrow"] = True


def _lines(text: str, room: tuple[float, float]) -> float:
    width, height = room
    return math.ceil(units(text) / width) * height


def _filings(body: LicenceBody) -> _Text | None:
    names = "、".join(filing.name for filing in body.filings)
    return _Text("list", "多证合一", names) if names else None


def filing_table(body: LicenceBody) -> dict[str, Any]:
    """The part of the annex that lists the filings."""
    rows = [[str(n), breakable(f.name), breakable(f.filing_id)] for n, f in enumerate(body.filings, 1)]
    return {
        "title": "多证合一备案事项",
        "head": ["序号", "备案事项", "备案编号"],
        "columns": [1, 7, 6],
        "rows": rows,
    }
