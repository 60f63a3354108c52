"""Events as an agency writes them: orders, applications on a licence, inspections, answers to filings.

Pure: ids and times are arguments, nothing is looked up. What is None stands in no event. Whether an event is good
is decided later, by the rules that hold for every sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from schemas.calendar import CHINA, china_date
from schemas.event_types import PREFIX, SUFFIX

Event = dict[str, Any]

ORDERS: Final = {
    "withdraw": "licence.withdrawn",
    "rescind": "licence.rescinded",
    "revoke": "licence.revoked",
    "cancel": "licence.cancelled",
    "suspend": "licence.suspended",
    "resume": "licence.resumed",
    "annul": "decision.annulled",
}
"""Commands of an authority → types of events."""

SIGNED_ACTIONS: Final = ("extend", "renew", "merge")
"""Actions that need the commitment letter again, where the item has one."""


class Sender(NamedTuple):
    """The sender of an event, its time and its id."""

    source: str
    at: datetime
    event_id: str


class Named(NamedTuple):
    """A licence as an event names it: by its number, or by the application that led to it."""

    number: str | None = None
    granted_by: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the field of the event's data."""
        return {"licence_number": self.number} if self.number else {"granted_by": self.granted_by}


def event(sender: Sender, kind: str, data: dict[str, Any], subject: str | None = None) -> Event:
    """Return a CloudEvent of a type (without prefix and suffix); None in the data is left out."""
    return _without_nones(
        {
            "specversion": "1.0",
            "id": sender.event_id,
            "source": sender.source,
            "type": f"{PREFIX}{kind}{SUFFIX}",
            "subject": subject,
            "time": sender.at.astimezone(CHINA).isoformat(),
            "datacontenttype": "application/json",
            "data": _without_nones(data),
        }
    )


def order(
    sender: Sender,
    command: str,
    named: Named,
    holder_id: str,
    ground: str,
    *,
    decided_on: date | None = None,
    legal_basis: str | None = None,
    until: date | None = None,
    deceit: bool | None = None,
) -> Event:
    """Return an order: `command` is one of `ORDERS`. `decided_on` is the event's China date unless told."""
    data = {
        **named.fields(),
        "holder_id": holder_id,
        "ground": ground,
        "legal_basis": legal_basis,
        "decided_on": (decided_on or china_date(sender.at)).isoformat(),
        "until": until.isoformat() if until else None,
        "deceit": deceit,
    }
    return event(sender, ORDERS[command], data, named.number or named.granted_by)


def application(
    sender: Sender,
    application_id: str,
    action: str,
    item: str,
    names: Sequence[Named],
    applicant: dict[str, Any],
    *,
    window: str,
    channel: str,
    materials: Sequence[dict[str, Any]],
    products: Sequence[dict[str, Any]] | None = None,
    change: dict[str, Any] | None = None,
) -> Event:
    """Return an application on a licence; `merge` names several."""
    data = {
        "application_id": application_id,
        "item": item,
        "action": action,
        **_names(action, names),
        "applicant": applicant,
        "products": list(products) if products is not None else None,
        "change": change,
        "materials": list(materials),
        "channel": channel,
        "window": window,
    }
    return event(sender, "application.submitted", data, application_id)


def withdrawal(sender: Sender, application_id: str, holder_id: str, reason: str = "") -> Event:
    """Return the event that withdraws an application."""
    data = {"application_id": application_id, "holder_id": holder_id, "reason": reason or None}
    return event(sender, "application.withdrawn", data, application_id)


def materials_of(action: str, signed_on: date | None = None, signatory: str = "") -> list[dict[str, Any]]:
    """Return the materials that an action on a licence needs: the form, and the commitment letter where one was signed."""
    materials: list[dict[str, Any]] = [{"kind": "application-form"}]
    if signed_on is not None and action in SIGNED_ACTIONS:
        letter = {"kind": "commitment-letter", "signed_on": signed_on.isoformat(), "signatory": signatory}
        materials.append(letter)
    return materials


def imported(sender: Sender, data: dict[str, Any]) -> Event:
    """Return a licence of another system."""
    return event(sender, "licence.imported", data, data.get("licence_number"))


def inspection(sender: Sender, named: Named | None, data: dict[str, Any]) -> Event:
    """Return the event of an inspection that was made; without a licence the data name a draw and its target."""
    fields = named.fields() if named else {}
    return event(sender, "inspection.recorded", {**fields, **data}, data.get("inspection_id"))


def results_published(sender: Sender, draw: str, digest: str, count: int) -> Event:
    """Return the event of the publication of a draw's results, on the day of the event."""
    day = china_date(sender.at).isoformat()
    data = {"draw": draw, "digest": digest, "published_on": day, "count": count}
    return event(sender, "inspections.published", data, draw)


def filing(
    sender: Sender,
    kind: str,
    filing_id: str,
    holder_id: str,
    department: str,
    *,
    reason: str | None = None,
    answers: dict[str, Any] | None = None,
) -> Event:
    """Return a department's answer about its filing, or the correction; `kind`: received, claimed, returned, corrected."""
    data = {
        "filing_id": filing_id,
        "holder_id": holder_id,
        "department": department,
        "reason": reason,
        "answers": answers,
    }
    return event(sender, f"filing.{kind}", data, filing_id)


def _names(action: str, names: Sequence[Named]) -> dict[str, Any]:
    if action != "merge":
        return names[0].fields()
    numbers = [n.number for n in names if n.number]
    cases = [n.granted_by for n in names if n.granted_by]
    return {"licence_numbers": numbers or None, "granted_by": cases or None}


def _without_nones(value: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in value.items() if part is not None}
