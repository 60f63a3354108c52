"""A small random draw (双随机) over the licences of the story: classes of holders, plan, inspectors, conflicts."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from infra.samples.writing import Event, event

ANNOUNCED, INSPECTED = "2022-10-10T18:00:00+08:00", "2022-10-20T18:00:00+08:00"
PARTIES = ("market-regulation", "discipline-inspection")
SMALL = "fertiliser"  # the stratum that the recipe draws again by hand
CATEGORY = "化肥"
RATIO, REST = "0.20", 8
PLAN = f"""\
plan = "QH-2022-10"
item = "industrial-product-licence"
title = "工业产品生产许可证获证企业双随机抽查"
authority = "urn:agency:630000:market-regulation"
period = ["2022-10-17", "2022-11-30"]
inspectors_per_target = 2
qualification = "market"
weights = {{ A = 1, B = 2, C = 4, D = 8 }}

[[strata]]
name = "{SMALL}"
where = {{ categories = "{CATEGORY}" }}
ratio = "{RATIO}"

[[strata]]
name = "rest"
where = {{}}
count = {REST}

[seed]
parties = ["{PARTIES[0]}", "{PARTIES[1]}"]
"""
_DIVISIONS = ("630000", "630000", "630100", "630200")
_INSPECTORS = 16


def classifications(holders: Iterable[str]) -> list[Event]:
    """A credit class (信用风险分类) for every holder, by a hash of its code."""
    return [
        event(
            f"class-{n:03d}",
            "holder.classified",
            "2022-10-08T09:00:00+08:00",
            {
                "holder_id": holder,
                "credit_class": "AABBBBCD"[hashlib.sha256(holder.encode()).digest()[0] % 8],
            },
        )
        for n, holder in enumerate(sorted(holders), 1)
    ]


def inspectors() -> list[tuple[str, ...]]:
    """The register of inspectors, its header first."""
    return [
        ("id", "name", "department", "division", "qualifications"),
        *(
            (f"J{n:03d}", f"检查员{n}", "market-regulation", _DIVISIONS[n % 4], "market" if n % 2 else "market;measurement")
            for n in range(1, _INSPECTORS + 1)
        ),
    ]  # fmt: skip


def conflicts(targets: Sequence[str]) -> list[tuple[str, ...]]:
    """Conflicts of interest: some inspectors may not visit some of the targets."""
    return [
        ("inspector_id", "target_id", "reason"),
        *((f"J{n % _INSPECTORS + 1:03d}", target, "亲属任职") for n, target in enumerate(targets[::9])),
    ]


def result(inspection_id: str, holder: str, number: str, who: Sequence[str]) -> Event:
    """A drawn target is visited, and what it had promised is not there."""
    data = {
        "inspection_id": inspection_id,
        "kind": "random",
        "holder_id": holder,
        "licence_number": number,
        "inspectors": [{"id": one, "department": "market-regulation"} for one in who],
        "inspected_on": INSPECTED[:10],
        "result": "违反质量技术监督相关规定",
        "passed": False,
        "commitment_false": True,
        "findings": "承诺的出厂检验从未开展",
    }
    return event("draw-01", "inspection.recorded", "2022-10-20T15:00:00+08:00", data)


def write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """A CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
