"""Rows that queries print: cases, licences, holders, filings, checks. Keys and their order are the public contract.

A value that is unknown is null, never absent. `as_json` makes the JSON value that commands and the service send; the
OpenAPI document of the service is generated from these structs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.facts import CaseState, FilingState


class HistoryLine(msgspec.Struct, frozen=True):
    """A line of a history: time (RFC 3339), event, and what it said."""

    time: str
    event: str
    detail: str


class DueRow(msgspec.Struct, frozen=True):
    """The due dates of a case (ISO dates); null before the application was complete."""

    promised: str | None
    statutory: str | None
    correction: str | None


class CaseRow(msgspec.Struct, frozen=True):
    """A case as `case show` prints it. `commitment` is the evidence of the letter: text digest, signatory, day."""

    application_id: str
    state: CaseState
    item: str
    action: str
    holder_id: str
    due: DueRow
    history: tuple[HistoryLine, ...]
    certificate_due: str | None
    missing: tuple[str, ...]
    deferred: dict[str, str]
    reason: str | None
    licence_number: str | None
    source: str
    auth: str
    window: str | None
    calendar_fallback: bool
    commitment: dict[str, str] | None


class ListedCaseRow(CaseRow, frozen=True):
    """A case as `case list` prints it, with the limits that have passed."""

    overdue: tuple[str, ...]


class LicenceRow(msgspec.Struct, frozen=True):
    """A version of a licence as `licence list` prints it; `objects` maps a file's name to its object key."""

    number: str | None
    identifier: str | None
    version: int
    status: str
    item: str
    holder_id: str
    holder_name: str
    issued_on: str
    valid_from: str
    valid_until: str | None
    application_id: str | None
    objects: dict[str, str]


class VersionLine(HistoryLine, frozen=True):
    """A line of a licence's history that stands for an earlier version, with that version's row."""

    number: str | None
    identifier: str | None
    version: int
    status: str
    item: str
    holder_id: str
    holder_name: str
    issued_on: str
    valid_from: str
    valid_until: str | None
    application_id: str | None
    objects: dict[str, str]


class AuthorityRow(msgspec.Struct, frozen=True):
    """An authority: its code (a source URN) and its name."""

    code: str
    name: str


class ProductRow(msgspec.Struct, frozen=True):
    """A product with the site that makes it."""

    category: str
    site: str
    detail: str


class FilingRefRow(msgspec.Struct, frozen=True):
    """A filing that stands on a consolidated certificate."""

    filing_id: str
    item: str
    name: str
    department: str


class LicenceRecordRow(LicenceRow, frozen=True):
    """A licence as `licence show` prints it: the newest version, what it covers, and its history."""

    address: str
    authority: AuthorityRow
    products: tuple[ProductRow, ...]
    filings: tuple[FilingRefRow, ...]
    particulars: dict[str, str]
    suspended_until: str | None
    merged_into: str | None
    history: tuple[HistoryLine, ...]  # a VersionLine for each version before


class FilingRow(msgspec.Struct, frozen=True):
    """A filing as `holder show` prints it."""

    filing_id: str
    item: str
    department: str
    state: FilingState
    pushed_on: str
    yellow: str
    red: str
    overdue: tuple[str, ...]
    reason: str | None


class ListedFilingRow(msgspec.Struct, frozen=True):
    """A filing as `filing list` prints it."""

    filing_id: str
    item: str
    name: str
    department: str
    state: FilingState
    pushed_on: str
    yellow: str
    red: str
    reason: str | None
    holder_id: str
    application_id: str
    round: int
    overdue: tuple[str, ...]


class CheckRow(msgspec.Struct, frozen=True):
    """An on-site check or another inspection as `holder show` prints it."""

    inspection_id: str
    licence_number: str | None
    kind: str
    due: str
    state: str


class ListedCheckRow(CheckRow, frozen=True):
    """An on-site check or another inspection as `check list` prints it."""

    holder_id: str
    item: str | None


class RefusedRow(msgspec.Struct, frozen=True):
    """An event that had no effect, with the reason; `event` is the type without prefix and suffix."""

    time: str
    event: str
    reason: str


class ParticularRow(msgspec.Struct, frozen=True):
    """A registered particular (登记事项) of a living consolidated certificate."""

    name: str
    label: str
    value: str


class HolderRow(msgspec.Struct, frozen=True):
    """A holder as `holder show` prints it."""

    holder_id: str
    name: str | None
    credit_class: str | None
    particulars: tuple[ParticularRow, ...]
    licences: tuple[LicenceRow, ...]
    cases: tuple[CaseRow, ...]
    filings: tuple[FilingRow, ...]
    checks: tuple[CheckRow, ...]
    refused: tuple[RefusedRow, ...]


class WindowRow(msgspec.Struct, frozen=True):
    """A case as `window list` prints it; `out` is what the window hands to the applicant now, null while nothing is.

    `filings` counts the filings of a registration by their state.
    """

    window: str
    channel: str | None
    application_id: str
    item: str
    action: str
    holder_id: str
    filed_on: str
    state: CaseState
    due: DueRow
    missing: tuple[str, ...]
    reason: str | None
    licence_number: str | None
    filings: dict[str, int]
    out: dict[str, Any] | None


def fields_of(row: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a row by name, for a row that extends it."""
    return {name: getattr(row, name) for name in row.__struct_fields__}


def as_json(row: msgspec.Struct) -> dict[str, Any]:
    """Return a row as the JSON object that is printed: keys in the order of the struct, lists for tuples."""
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
    return value
