"""The life of a licence as a table: status × event → status. What is not in it is refused by an event."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from schemas.facts import FilingState, LicenceStatus

LIVING: tuple[LicenceStatus, ...] = ("valid", "suspended")
ENDED: tuple[LicenceStatus, ...] = ("withdrawn", "rescinded", "revoked", "expired")

TRANSITIONS: dict[tuple[LicenceStatus, str], LicenceStatus] = {
    **{(status, "licence.suspended"): "suspended" for status in LIVING},
    ("suspended", "licence.resumed"): "valid",
    **{(status, "licence.withdrawn"): "withdrawn" for status in LIVING},
    **{(status, "licence.rescinded"): "rescinded" for status in LIVING},
    **{(status, "licence.revoked"): "revoked" for status in LIVING},
    **{(status, "licence.cancelled"): "cancelled" for status in (*LIVING, *ENDED)},
}

DUE: dict[tuple[LicenceStatus, str], LicenceStatus] = {
    ("suspended", "suspension ends"): "valid",
    **{(status, "validity ends"): "expired" for status in LIVING},
}

MOVES: dict[tuple[FilingState, str], FilingState] = {
    ("pushed", "filing.received"): "received",
    ("pushed", "filing.claimed"): "claimed",
    ("received", "filing.claimed"): "claimed",
    ("pushed", "filing.returned"): "returned",
    ("received", "filing.returned"): "returned",
    ("returned", "filing.corrected"): "pushed",
}

BAR_YEARS = 3  # after 撤销 for deceit (行政许可法 art 79) and after 吊销 (the regulations of the item)
FALSE_MATERIAL_YEARS = 1  # after a rejection for false material (行政许可法 art 78)


def after(status: LicenceStatus, event: str) -> LicenceStatus | None:
    """Return the status after an event, or None where the event does not apply."""
    return TRANSITIONS.get((status, event))


def table() -> str:
    """Return the table of a licence as Markdown, for `docs/lifecycle.md`."""
    rows = [(status, f"`{event}`", then) for (status, event), then in TRANSITIONS.items()]
    rows += [(status, f"*{event}*", then) for (status, event), then in DUE.items()]
    return _markdown(("status", "event", "next"), rows)


def filing_table() -> str:
    """Return the table of a filing."""
    rows = [(state, f"`{event}`", then) for (state, event), then in MOVES.items()]
    return _markdown(("state", "event", "next"), rows)


def bar_table() -> str:
    """Return the table of what bars an application, and for how many years."""
    return _markdown(
        ("after", "years"),
        [
            (
                "`licence.rescinded` with `deceit: true`, or an inspection with `commitment_false: true`",
                BAR_YEARS,
            ),
            ("`licence.revoked`", BAR_YEARS),
            ("a rejection with `false_material: true`", FALSE_MATERIAL_YEARS),
        ],
    )


def tables() -> str:
    """Return the tables of `docs/lifecycle.md`, which `python -m processors.decisions.lifecycle` prints."""
    parts = (("Licence", table()), ("Filing", filing_table()), ("Bars", bar_table()))
    return "\n".join(f"### {name}\n\n{rows}" for name, rows in parts)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(tables())
