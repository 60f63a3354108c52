"""Page of promises and their fulfilment (四亮): figures, bars of limits and actual days, the table behind them."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from infra.pages.frame import BOTH, TableRow, pair, render_file, word


def percent(rate: float | None) -> str | None:
    """Return a rate with one decimal: 79.3 %."""
    return None if rate is None else f"{rate * 100:.1f} %"


def days(value: float | None) -> str | None:
    """Return days without a needless `.0`."""
    return None if value is None else f"{value:g}"


def promises_page(found: dict[str, Any]) -> str:
    """Return the page, in one file, of the figures of `processors.queries.promises.figures`."""
    return render_file("promises.html", **promises_values(found, BOTH))


def promises_values(found: dict[str, Any], language: str) -> dict[str, Any]:
    """Return what `promises.html` shows of the figures of `processors.queries.promises.figures`."""
    total = found["total"]
    rows = sorted(found["rows"], key=lambda row: not row["measured"])  # rows with figures first
    chart = [_bars(row, language) for row in rows if row["statutory"]]
    return {
        "period": _period(found, language),
        "total": {
            **total,
            "less": percent(total["compression"]),
            "kept_rate": percent(total["kept_rate"]),
        },
        "chart": chart,
        "longest": max((max(one["statutory"], one["actual"] or 0) for one in chart), default=1),
        "rows": [TableRow(_cells(row, language)) for row in rows],
        "foot": _foot(total, language),
    }


def _period(found: dict[str, Any], language: str) -> str:
    parts = []
    if found["from"] or found["to"]:
        parts.append(f"{found['from'] or '…'} — {found['to'] or '…'}")
    if found["as_of"]:
        parts.append(word(language, "promises.as_of", day=found["as_of"][:10]))
    return " · ".join(parts)


def _bars(row: dict[str, Any], language: str) -> dict[str, Any]:
    return {
        "name": pair(language, row["name"], row["name_en"]),
        "authority": row["authority_name"] or "",
        "statutory": row["statutory"],
        "promised": row["promised"],
        "actual": row["median_days"],
    }


def _cells(row: dict[str, Any], language: str) -> tuple[Any, ...]:
    before, after = row["materials_before"], row["materials_after"]
    return (
        pair(language, row["name"], row["name_en"]),
        row["authority_name"],
        row["handling"],
        row["statutory"],
        row["promised"],
        percent(row["compression"]),
        row["granted"] + row["refused"],
        days(row["median_days"]),
        row["p95_days"],
        percent(row["kept_rate"]),
        after if before is None else f"{before} → {after}",
    )


def _foot(total: dict[str, Any], language: str) -> tuple[Any, ...]:
    nothing = Markup("")
    kept, saved = percent(total["kept_rate"]), percent(total["compression"])
    return (word(language, "promises.total"), nothing, nothing, total["statutory"], total["promised"], saved,
            nothing, nothing, nothing, kept, nothing)  # fmt: skip
