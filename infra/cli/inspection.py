"""What `check record` and `inspect record` share: what an inspection found, as options, and its event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from infra.cli import acting
from infra.cli.acting import Holder
from infra.cli.options import Sending
from producers import orders
from producers.orders import Named
from schemas.times import china_date

Result = Annotated[str, typer.Option(help="结果；随机抽查用规定用语 / result; official text where random")]
Passed = Annotated[bool, typer.Option("--passed/--failed", help="合格与否 / whether it passed")]
CommitmentFalse = Annotated[
    bool, typer.Option("--commitment-false", help="承诺不实 / the commitment was false")
]
Findings = Annotated[str | None, typer.Option(help="发现的问题 / what was found")]
On = Annotated[
    str | None, typer.Option("--on", metavar="DATE", help="检查日期 / day [default: of the event]")
]


@dataclass(frozen=True, kw_only=True)
class Inspection(Sending):
    """What was found, and when."""

    result: Result
    passed: Passed
    commitment_false: CommitmentFalse = False
    findings: Findings = None
    on: On = None
    holder: Holder = None


def record(
    said: Inspection, licence: Named, kind: str, inspectors: Sequence[str], inspection_id: str | None
) -> None:
    """Sends the event. Each inspector is ID or ID@DEPARTMENT, the sender's where none is said; a new id for None."""
    holder_id, urn = acting.about(licence, said.holder, said.source)
    who = acting.sender(urn, said.at, said.event_id)
    own = inspection_id or f"I-{who.event_id}"
    day = acting.read_day(said.on, "--on") or china_date(who.at)
    data = {
        "inspection_id": own,
        "kind": kind,
        "holder_id": holder_id,
        "inspectors": [_inspector(text, urn) for text in inspectors],
        "inspected_on": day.isoformat(),
        "result": said.result,
        "passed": said.passed,
        "commitment_false": said.commitment_false,
        "findings": said.findings,
    }
    event = orders.inspection(who, licence, data)
    acting.finish(event, event_only=said.event_only, proof_key=said.proof_key, inspection_id=own)


def _inspector(text: str, source: str) -> dict[str, str]:
    own, _, department = text.partition("@")
    return {"id": own, "department": department or source.rpartition(":")[2]}
