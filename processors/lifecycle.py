"""The life of a licence as a table: status × event → status. What is not in it is refused by an event."""

from __future__ import annotations

from schemas.facts import LicenceStatus

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


def after(status: LicenceStatus, event: str) -> LicenceStatus | None:
    """The status after an event; None where the event does not apply."""
    return TRANSITIONS.get((status, event))


def table() -> str:
    """The table as Markdown, for `docs/lifecycle.md`."""
    lines = ["| status | event | next |", "|---|---|---|"]
    lines += [
        f"| {status} | `{event}` | {then} |" for (status, event), then in {**TRANSITIONS, **DUE}.items()
    ]
    return "\n".join(lines) + "\n"
