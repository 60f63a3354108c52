"""Frame of every page: title, style, sections, tables. Text is always escaped; markup is made here alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Html(str):
    """Markup made by this package; every other value is text and gets escaped."""

    __slots__ = ()


class Column(NamedTuple):
    """A column of a table: its head in Chinese and English; `number` aligns it right."""

    zh: str
    en: str
    number: bool = False


def text(value: Any) -> Html:
    """Return a value as markup: escaped, `—` for nothing; a digest may break anywhere, or it would widen every table."""
    if isinstance(value, Html):
        return value
    if value is None or value == "":
        return Html("—")
    said = escape(str(value))
    return Html(f"<code>{said}</code>" if _DIGEST.fullmatch(said) else said)


def two(zh: Any, en: Any) -> Html:
    """Return Chinese with the English below it in small type."""
    return Html(f"{text(zh)}<small>{text(en)}</small>") if en else text(zh)


def join(parts: Iterable[Any]) -> Html:
    """Return parts one after another."""
    return Html("".join(text(part) for part in parts))


def section(zh: str, en: str, *content: Any) -> Html:
    """Return a section with its heading in both languages."""
    return Html(f"<section><h2>{escape(zh)} <small>{escape(en)}</small></h2>{join(content)}</section>")


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], foot: Sequence[Any] = ()) -> Html:
    """Return a table, which scrolls in itself where the screen is narrow."""
    marks = [' class="n"' if column.number else "" for column in columns]
    head = join(Html(f"<th{m}>{two(c.zh, c.en)}</th>") for m, c in zip(marks, columns, strict=True))
    body = join(Html(f"<tr>{_cells(marks, row)}</tr>") for row in rows)
    last = Html(f"<tfoot><tr>{_cells(marks, foot)}</tr></tfoot>") if foot else ""
    return Html(
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>{last}</table></div>'
    )


def _cells(marks: Sequence[str], row: Sequence[Any]) -> Html:
    return join(Html(f"<td{m}>{text(cell)}</td>") for m, cell in zip(marks, row, strict=True))


def terms(rows: Iterable[tuple[str, str, Any]]) -> Html:
    """Return a list of terms (Chinese, English, value)."""
    inside = join(Html(f"<dt>{two(zh, en)}</dt><dd>{text(value)}</dd>") for zh, en, value in rows)
    return Html(f"<dl>{inside}</dl>")


def steps(lines: Iterable[Any]) -> Html:
    """Return a numbered list."""
    return Html(f"<ol>{join(Html(f'<li>{text(line)}</li>') for line in lines)}</ol>")


def figures(rows: Iterable[tuple[Any, str, str]]) -> Html:
    """Return large figures side by side (figure, Chinese, English)."""
    inside = join(
        Html(f"<div><b>{text(n)}</b><span>{text(zh)} {text(en)}</span></div>") for n, zh, en in rows
    )
    return Html(f'<div class="figures">{inside}</div>')


def page(title: str, under: Sequence[str], sections: Iterable[Any], foot: str) -> str:
    """Return a whole page in one file."""
    style = (files("infra.pages") / "style.css").read_text("utf-8")
    below = join(Html(f"<p>{text(line)}</p>") for line in under if line)
    return (
        '<!doctype html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n"
        f"<body><header><h1>{escape(title)}</h1>{below}</header>\n<main>{join(sections)}</main>\n"
        f"<footer>{text(foot)}</footer></body></html>\n"
    )
