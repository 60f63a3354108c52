"""Page of one holder (一企一档): its certificate, licences, filings, cases, checks."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from infra.pages.frame import BOTH, TableRow, cell, pair, render_file, said, state_word
from schemas.authorities import department_title
from schemas.item_types import ServiceItem
from schemas.items import Catalogue

Table = tuple[str, tuple[tuple[str, str], ...], list[TableRow]]
"""A table of the page: the name of its heading, its columns, its rows."""


def holder_page(holder: dict[str, Any], catalogue: Catalogue) -> str:
    """Return the page of a holder, in one file, from the answer of `holder show`; a person's number stands masked."""
    return render_file("holder.html", **holder_values(holder, catalogue, BOTH))


def holder_values(holder: dict[str, Any], catalogue: Catalogue, language: str) -> dict[str, Any]:
    """Return what `holder.html` shows of the answer of `holder show`."""
    view = _HolderView(catalogue, language)
    return {
        "name": str(holder["name"] or holder["holder_id"]),
        "facts": view.facts(holder),
        "counts": view.counts(holder),
        "tables": [
            view.licences(holder),
            view.filings(holder),
            view.cases(holder),
            view.checks(holder),
            view.refused(holder),
        ],
    }


class _HolderView:
    def __init__(self, catalogue: Catalogue, language: str) -> None:
        self._catalogue = catalogue
        self._language = language

    def facts(self, holder: dict[str, Any]) -> list[tuple[Any, Any]]:
        rows = [
            (self._word("holder.code"), holder["holder_id"]),
            (self._word("holder.name"), holder["name"]),
            (self._word("holder.class"), holder["credit_class"]),
        ]
        return rows + [
            (pair(self._language, x["label"], self._english(x["name"])), x["value"])
            for x in holder["particulars"]
        ]

    def counts(self, holder: dict[str, Any]) -> list[tuple[Any, Any]]:
        living = sum(x["status"] in ("valid", "suspended") for x in holder["licences"])
        waiting = sum(x["state"] in ("accepted", "correction-requested") for x in holder["cases"])
        due = sum(x["state"] in ("scheduled", "overdue") for x in holder["checks"])
        return [
            (living, self._word("holder.living")),
            (waiting, self._word("holder.waiting")),
            (len(holder["filings"]), self._word("holder.filings")),
            (due, self._word("holder.checks")),
        ]

    def licences(self, holder: dict[str, Any]) -> Table:
        columns = _columns("number", "item", "status", "version n", "issued", "until")
        rows = [
            TableRow(
                (
                    x["number"],
                    self._item(x["item"]),
                    self._state(x["status"]),
                    x["version"],
                    x["issued_on"],
                    x["valid_until"] or self._word("site.endless"),
                ),
                {"data-licence": x["number"] or "", "data-status": x["status"]},
            )
            for x in holder["licences"]
        ]
        return "holder.licences", columns, rows

    def filings(self, holder: dict[str, Any]) -> Table:
        columns = _columns("filing", "department", "status", "pushed", "lights", "id")
        rows = [
            TableRow(
                (
                    self._item(x["item"]),
                    pair(self._language, self._department(x), x["department"]),
                    self._answer(x),
                    x["pushed_on"],
                    f"{x['yellow']} / {x['red']}",
                    x["filing_id"],
                )
            )
            for x in holder["filings"]
        ]
        return "holder.filing_list", columns, rows

    def _answer(self, filing: dict[str, Any]) -> Markup:
        """Return the state of a filing, an alarm where its department is late, and the reason where it was returned."""
        parts = self._state(filing["state"])
        if filing["overdue"]:
            colour, name = ("bad", "red") if "red" in filing["overdue"] else ("mid", "yellow")
            alarm = self._word(f"holder.{name}")
            parts += Markup(' <span class="state {}">{}</span>').format(colour, alarm)
        if filing["state"] == "returned" and filing["reason"]:
            parts += Markup("<small>{}</small>").format(filing["reason"])
        return parts

    def cases(self, holder: dict[str, Any]) -> Table:
        columns = _columns("application", "item", "status", "promised", "reason")
        rows = [
            TableRow(
                (
                    x["application_id"],
                    self._item(x["item"]),
                    self._state(x["state"]),
                    x["due"]["promised"],
                    "；".join(part for part in (x["reason"], "、".join(x["missing"])) if part),
                ),
                {"data-application": x["application_id"], "data-state": x["state"]},
            )
            for x in holder["cases"]
        ]
        return "holder.cases", columns, rows

    def checks(self, holder: dict[str, Any]) -> Table:
        columns = _columns("id", "kind", "number", "due", "result")
        rows = [
            TableRow(
                (
                    x["inspection_id"],
                    self._word(f"kind.{x['kind']}"),
                    x["licence_number"],
                    x["due"],
                    self._state(x["state"]),
                )
            )
            for x in holder["checks"]
        ]
        return "holder.check_list", columns, rows

    def refused(self, holder: dict[str, Any]) -> Table:
        rows = [
            TableRow((x["time"][:16].replace("T", " "), x["event"], x["reason"])) for x in holder["refused"]
        ]
        return "holder.refused", _columns("time", "event", "reason"), rows

    def _word(self, name: str) -> Markup:
        return said(self._language, name)

    def _state(self, state: str) -> Markup:
        return state_word(self._language, state)

    def _item(self, code: str) -> Markup:
        item: ServiceItem | None = self._catalogue.get(code)
        return pair(self._language, item.name.zh, item.name.en) if item else cell(code)

    def _english(self, field: str) -> str:
        """Return the English label of a field of the certificate."""
        rules = (
            rule for item in self._catalogue.items.values() for rule in item.fields if rule.name == field
        )
        return next((rule.label.en for rule in rules), "")

    def _department(self, filing: dict[str, Any]) -> str:
        item = self._catalogue.get(filing["item"])
        return department_title(filing["department"], item.level if item else "county")


def _columns(*named: str) -> tuple[tuple[str, str], ...]:
    """Return columns by the names of their words; `n` behind a name aligns numbers."""
    return tuple((f"holder.{name}", kind) for name, _, kind in (one.partition(" ") for one in named))
