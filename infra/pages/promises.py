"""Page of promises and their fulfilment (四亮): figures, a chart of limits and actual days, the table behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infra.pages.frame import Column, Html, figures, page, section, table, text, two

_COLUMNS = (
    Column("事项", "item"),
    Column("机关", "authority"),
    Column("办理类型", "class"),
    Column("法定", "statutory", True),
    Column("承诺", "promised", True),
    Column("压缩", "shorter by", True),
    Column("办结", "decided", True),
    Column("办结时长中位数", "median", True),
    Column("95%", "p95", True),
    Column("兑现", "kept", True),
    Column("材料", "materials", True),
)
# The colours are attributes too, so that a chart copied out of its page keeps them.
_COLOURS = {"statutory": "#b9bec7", "promised": "#b3261e", "actual": "#2e7d4f"}
_LABEL, _RIGHT, _LINE, _BAR = 330, 90, 46, 9


def percent(rate: float | None) -> str | None:
    """Return a rate with one decimal: 79.3 %."""
    return None if rate is None else f"{rate * 100:.1f} %"


def days(value: float | None) -> str | None:
    """Return days without a needless `.0`."""
    return None if value is None else f"{value:g}"


def promises_page(found: dict[str, Any]) -> str:
    """Return the page of the figures of `processors.queries.promises.figures`."""
    total = found["total"]
    rows = sorted(found["rows"], key=lambda row: not row["measured"])  # rows with figures first
    big = figures(
        (
            (total["items"], "事项", "items"),
            (f"{total['statutory']} → {total['promised']}", "工作日：法定 → 承诺", "working days"),
            (percent(total["compression"]), "压缩", "shorter by"),
            (
                percent(total["kept_rate"]),
                f"承诺兑现（{total['kept']} / {total['measured']}）",
                "promises kept",
            ),
        )
    )
    return page(
        "政务服务承诺与兑现",
        ("Promised and kept", _period(found)),
        (
            section("总体", "In all", big),
            section(
                "法定、承诺与实际（工作日）", "Statutory, promised and actual, in working days", _chart(rows)
            ),
            section("明细", "By item and authority", table(_COLUMNS, map(_row, rows), _foot(total))),
        ),
        "数据取自办件记录，可由记录重算 / From the recorded facts, from which anybody can compute it again",
    )


def _period(found: dict[str, Any]) -> str:
    parts = []
    if found["from"] or found["to"]:
        parts.append(f"{found['from'] or '…'} — {found['to'] or '…'}")
    if found["as_of"]:
        parts.append(f"截至 / as of {found['as_of'][:10]}")
    return " · ".join(parts)


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    before, after = row["materials_before"], row["materials_after"]
    return (
        two(row["name"], row["name_en"]),
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


def _foot(total: dict[str, Any]) -> tuple[Any, ...]:
    kept, saved = percent(total["kept_rate"]), percent(total["compression"])
    return ("合计 / total", Html(""), Html(""), total["statutory"], total["promised"], saved,
            Html(""), Html(""), Html(""), kept, Html(""))  # fmt: skip


def _chart(rows: Iterable[dict[str, Any]]) -> Html:
    """Return a chart with three bars for each row: statutory, promised, median of the actual days."""
    shown = [row for row in rows if row["statutory"]]
    longest = max((max(r["statutory"], r["median_days"] or 0) for r in shown), default=1)
    width = 1080
    scale = (width - _LABEL - _RIGHT) / longest
    parts = [_key(width)]
    for n, row in enumerate(shown):
        parts.append(_bars(row, 34 + n * _LINE, scale))
    height = 34 + len(shown) * _LINE + 6
    title = "法定、承诺与实际工作日 / statutory, promised and actual working days"
    return Html(
        f'<svg viewBox="0 0 {width} {height}" font-size="13" role="img" aria-label="{title}"><title>{title}</title>'
        f"{''.join(parts)}</svg>"
    )


def _bars(row: dict[str, Any], top: float, scale: float) -> str:
    name = row["name"] if len(row["name"]) <= 24 else row["name"][:23] + "…"
    parts = [
        f'<text x="{_LABEL - 12}" y="{top + 14}" text-anchor="end">{text(name)}</text>',
        f'<text x="{_LABEL - 12}" y="{top + 30}" text-anchor="end" font-size="11" class="soft">{text(row["authority_name"] or Html(""))}</text>',
    ]
    for n, (kind, value) in enumerate(
        (("statutory", row["statutory"]), ("promised", row["promised"]), ("actual", row["median_days"]))
    ):
        if value is None:
            continue
        y, long = top + 2 + n * (_BAR + 2), max(value * scale, 1.5)
        parts.append(
            f'<rect class="{kind}" fill="{_COLOURS[kind]}" x="{_LABEL}" y="{y}" width="{long:.1f}" height="{_BAR}" rx="1"/>'
            f'<text x="{_LABEL + long + 6:.1f}" y="{y + 8.5}" font-size="11" class="soft">{days(value)}</text>'
        )
    return "".join(parts)


def _key(width: int) -> str:
    parts, x = [], _LABEL
    for kind, name in (
        ("statutory", "法定 / statutory"),
        ("promised", "承诺 / promised"),
        ("actual", "办结时长中位数 / actual median"),
    ):
        parts.append(
            f'<rect class="{kind}" fill="{_COLOURS[kind]}" x="{x}" y="6" width="12" height="12" rx="1"/>'
        )
        parts.append(f'<text x="{x + 18}" y="16.5">{name}</text>')
        x += 190
    return "".join(parts)
