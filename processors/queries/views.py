"""What queries show of a holder: rows with exactly the keys of the contract, made from state alone.

`open_text` opens a sealed text; where a person was erased it gives None and the row says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from processors.decisions.due import certificate
from processors.evolve import version_of
from processors.state import Case, HolderState, Licence, Version
from schemas.licence import Grant

OpenText = Callable[[str, str], str | None]  # (holder key, text) → clear text, None when erased
ERASED = "erased"
ENDED_HISTORY = "version"


def case_row(state: HolderState, case: Case) -> dict[str, Any]:
    """A case as `case show` prints it."""
    licence = state.licences.get(case.licence)
    return {
        "application_id": case.application_id,
        "state": case.state,
        "item": case.item,
        "action": case.action,
        "holder_id": case.applicant.display,
        "due": {
            "promised": case.promised or None,
            "statutory": case.statutory or None,
            "correction": case.correction or None,
        },
        "history": [
            {"time": h.time, "event": h.event, "detail": h.detail}
            for h in sorted(case.history, key=lambda h: h.time)
        ],
        "certificate_due": _certificate_due(state, case),
        "missing": list(case.missing) if case.state in ("correction-requested", "lapsed") else [],
        "deferred": dict(case.deferred),
        "reason": "；".join(map(str, case.reasons)) or None,
        "licence_number": (licence.number or None) if licence else None,
        "source": case.source,
        "auth": case.auth,
        "window": case.window or None,
        "calendar_fallback": case.fallback,
        "commitment": _commitment(case),
    }


def _certificate_due(state: HolderState, case: Case) -> str | None:
    """The last day for the certificate of the version that a case led to."""
    licence = state.licences.get(case.licence)
    made = licence.version(version_of(state, case)) if licence else None
    return certificate(made.grant).on.isoformat() if made else None


def late(state: HolderState, case: Case) -> tuple[str, ...]:
    """The limits that a case is past: those of its decision while it is open, then that of its certificate."""
    if case.open:
        return case.alarmed
    if case.state != "granted" or case.licence not in state.licences:
        return ()
    unissued, version = state.licences[case.licence].unissued, version_of(state, case)
    return ("certificate",) if any(u.alarmed and u.version == version for u in unissued) else ()


def _commitment(case: Case) -> dict[str, str] | None:
    """The evidence of what was promised: digest of the letter's text, who signed it, when."""
    for material in case.materials:
        if material.kind == "commitment-letter" and material.evidence:
            return {**material.evidence, "signed_on": material.signed_on}
    return None


def licence_row(
    state: HolderState, licence: Licence, open_text: OpenText, version: int | None = None
) -> dict[str, Any]:
    """A licence as `licence list` prints it, of its newest version or the one asked for.

    Raises KeyError where it has no such version.
    """
    shown = licence.versions[-1]
    if version is not None:
        shown = licence.version(version) or _none(version)
    return {**_version_row(licence, shown, open_text), "status": licence.status}


def _none(version: int) -> Version:
    raise KeyError(version)


def _version_row(licence: Licence, shown: Version, open_text: OpenText) -> dict[str, Any]:
    grant = shown.grant
    return {
        "number": licence.number or None,
        "identifier": shown.identifier or None,
        "version": grant.version,
        "status": "superseded",
        "item": grant.item,
        "holder_id": grant.holder_id,
        "holder_name": _clear(grant, grant.holder_name, open_text),
        "issued_on": grant.issued_on,
        "valid_from": grant.valid_from,
        "valid_until": grant.valid_until,
        "application_id": grant.application_id or None,
        "objects": {"licence.pdf": shown.object_key} if shown.object_key else {},
    }


def _clear(grant: Grant, text: str, open_text: OpenText) -> str:
    opened = open_text(grant.holder, text)
    return ERASED if opened is None else opened


def licence_shown(state: HolderState, licence: Licence, open_text: OpenText) -> dict[str, Any]:
    """A licence as `licence show` prints it: the row, products, filings, and a history with the versions before."""
    row = licence_row(state, licence, open_text)
    now = licence.now
    history: list[dict[str, Any]] = [
        {
            "time": v.grant.decided_at,
            "event": ENDED_HISTORY,
            "detail": f"v{v.grant.version}",
            **_version_row(licence, v, open_text),
        }
        for v in licence.versions[:-1]
    ]
    history += [{"time": h.time, "event": h.event, "detail": h.detail} for h in licence.history]
    return {
        **row,
        "address": _clear(now, now.address, open_text),
        "authority": {"code": now.authority.code, "name": now.authority.name},
        "products": [
            {
                "category": p.category,
                "site": _clear(now, p.site, open_text),
                "detail": _clear(now, p.detail, open_text),
            }
            for p in now.products
        ],
        "filings": [
            {"filing_id": r.filing_id, "item": r.item, "name": r.name, "department": r.department}
            for r in now.filings
        ],
        "particulars": {p.name: p.value for p in now.particulars},
        "suspended_until": licence.until or None,
        "merged_into": licence.merged_into or None,
        "history": sorted(history, key=lambda h: h["time"]),
    }


def filing_rows(state: HolderState) -> list[dict[str, Any]]:
    """The holder's filings."""
    return [
        {
            "filing_id": x.ref.filing_id,
            "item": x.ref.item,
            "department": x.ref.department,
            "state": x.state,
            "pushed_on": x.pushed_on,
            "yellow": x.yellow,
            "red": x.red,
            "overdue": list(x.alarmed) if x.state in ("pushed", "received") else [],
            "reason": x.reason or None,
        }
        for x in state.filings.values()
    ]


def check_rows(state: HolderState) -> list[dict[str, Any]]:
    """The holder's checks and inspections."""
    return [
        {
            "inspection_id": c.inspection_id or c.key,
            "licence_number": state.licences[c.licence].number or None,
            "kind": c.kind,
            "due": c.due,
            "state": c.state,
        }
        for c in state.checks.values()
    ]


def refused_rows(state: HolderState) -> list[dict[str, Any]]:
    """Events of the holder that had no effect."""
    return [
        {"time": r.time, "event": r.event, "reason": "；".join(map(str, r.reasons))} for r in state.refused
    ]


def _particulars(state: HolderState) -> list[dict[str, str]]:
    """The registered particulars of the enterprise, as its living consolidated certificate has them."""
    return [
        {"name": p.name, "label": p.label, "value": p.value}
        for licence in state.licences.values()
        if licence.living
        for p in licence.now.particulars
    ]


def holder_shown(state: HolderState, open_text: OpenText) -> dict[str, Any]:
    """A holder as `holder show` prints it."""
    name = open_text(state.holder, state.name)
    return {
        "holder_id": state.display or state.holder,
        "name": ERASED if name is None else name or None,
        "credit_class": state.credit_class or None,
        "particulars": _particulars(state),
        "licences": [licence_row(state, x, open_text) for x in state.licences.values()],
        "cases": [case_row(state, c) for c in state.cases.values()],
        "filings": filing_rows(state),
        "checks": check_rows(state),
        "refused": refused_rows(state),
    }
