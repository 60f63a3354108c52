"""Third chapter: one registration with several filings (多证合一), and what was promised beside what was kept (四亮)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from infra.demo.stage import Stage, Told, told, verdict_of
from infra.pages.holder import holder_page
from infra.pages.promises import promises_page
from infra.samples import registration as sample
from infra.samples.writing import line
from processors.promises import TYPES, figures, fold
from schemas.items import fields_once


class Registration(msgspec.Struct, frozen=True):
    """What the third chapter has to tell: the certificate, its filings, and the promises with their pages."""

    licence: dict[str, Any]
    filings: list[dict[str, Any]]
    verified: dict[str, Any]
    promises: dict[str, Any]
    certificate: str
    promises_page: str
    holder_page: str
    told: list[Told]


def play_registration(stage: Stage) -> Registration:
    """Plays the registration and the answers, then folds the figures of everything so far."""
    stage.play("registration", map(line, sample.events()))
    with stage.ask() as ask:
        row = ask.licence(ask.case(sample.APPLICATION)["licence_number"])
        holder = ask.holder(sample.HOLDER)
    pdf = stage.copy(row["number"], "business-licence.pdf")
    verified = stage.verify(pdf, sample.AT)
    with stage.register() as register:
        promises = figures(fold(register.facts(TYPES), stage.catalogue), stage.catalogue)
    pages = {
        "promises.html": promises_page(promises),
        "holder.html": holder_page(holder, stage.catalogue),
    }
    for name, content in pages.items():
        (stage.data / name).write_text(content, "utf-8")
    return Registration(
        licence=row,
        filings=holder["filings"],
        verified=verified,
        promises=promises,
        certificate=str(pdf),
        promises_page=str(stage.data / "promises.html"),
        holder_page=str(stage.data / "holder.html"),
        told=[*_fields(stage), *_filings(stage, holder), *_kept(promises, verified)],
    )


def _fields(stage: Stage) -> list[Told]:
    licence = [item for item in stage.catalogue.items.values() if item.mode == "consolidated"]
    chosen = [item for code in sample.FILINGS if (item := stage.catalogue.get(code)) is not None]
    asked = fields_once([*licence, *chosen])
    whole = sum(len(item.fields) for item in (*licence, *chosen))
    return [
        told(
            "填报：各部门共用的内容只填一次 / fields that several ask for are filled in once",
            f"{len({field.name for item in (*licence, *chosen) for field in item.fields})} instead of {whole}",
            f"{len(asked)} instead of {sum(len(items) for _, items in asked)}",
        )
    ]


def _filings(stage: Stage, holder: dict[str, Any]) -> list[Told]:
    states = Counter(filing["state"] for filing in holder["filings"])
    pushed = len(list((stage.data / "outbox").rglob("*.json")))
    return [
        told(
            "推送各部门：一项退回，补正后再推 / pushed to departments; one came back and went again",
            f"{len(sample.FILINGS)} filings, {len(sample.FILINGS) + 1} pushes",
            f"{len(holder['filings'])} filings, {pushed} pushes",
        ),
        told(
            "部门认领 / departments answer", f"claimed {len(sample.FILINGS) - 1}, received 1",
            ", ".join(f"{state} {n}" for state, n in states.most_common()),
        ),
        told(
            "他部门代为认领 / a department answers what is another's", "refused: filing.claimed",
            "refused: " + ", ".join(row["event"] for row in holder["refused"]),
        ),
    ]  # fmt: skip


def _kept(promises: dict[str, Any], verified: dict[str, Any]) -> list[Told]:
    total = promises["total"]
    return [
        told("营业执照（附备案）核验 / the certificate, verified", "valid", verdict_of(verified)),
        told(
            "承诺兑现：仅那次延续逾期 / promises kept: all but the renewal that nobody decided",
            "1 broken: special-equipment-operator",
            f"{total['measured'] - total['kept']} broken: "
            + ", ".join(row["item"] for row in promises["rows"] if row["kept"] < row["measured"]),
        ),
    ]
