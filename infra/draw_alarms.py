"""Draws that were announced and not made: an announcement without a transcript by its date is an alarm by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from infra.findings import Finding
from infra.settings import Settings


def draws(settings: Settings) -> Iterator[Finding]:
    """A finding for each announcement whose period has begun and that is neither drawn nor voided; else how many there are."""
    from infra.draw_store import DrawStore

    if not (settings.data / "draws").is_dir():
        return
    now, count, late = datetime.now(UTC), 0, 0
    for link in DrawStore(settings.data).every():
        count += 1
        if link.overdue(now):
            late += 1
            plan = link.announcement.plan
            yield Finding(
                "draws",
                False,
                f"announcement {link.announcement.sequence} of {plan.authority} ({plan.plan}) is neither drawn nor "
                f"voided, and its period began on {plan.period[0]} / 公告逾期未抽取",
                "zhengzhao draw run, or draw void with the reason",
            )
    if not late:
        yield Finding("draws", True, f"{count} announcements, none overdue")
