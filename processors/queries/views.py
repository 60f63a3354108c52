"""Rows of queries, made from the state of one holder alone.

`open_text` opens a sealed text; for an erased person it returns None, and the row says `erased`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from processors.decisions.due import certificate
from processors.state import Case, HolderState, Licence, Version, version_of
from schemas import rows
from schemas.ledger import EventEntry
from schemas.licence import Grant
from schemas.persons import open_parts

OpenText = Callable[[str, str], str | None]
"""Opens a text: (ledger key, text) → clear text, or None for an erased person."""

ERASED = "erased"
HIDDEN = "***"  # in lists, which show nothing of a person but the mask


def _hidden(_: str, __: str) -> str:
    return HIDDEN


def _free(holder: str, text: str, open_text: OpenText) -> str:
    """Return a free text as it may be read: what is sealed in it opened, or `erased`."""
    return open_parts(text, lambda part: open_text(holder, part), ERASED)


def case_row(state: HolderState, case: Case, open_text: OpenText = _hidden) -> rows.CaseRow:
    """Return a case as `case show` prints it; without `open_text` free texts about a person are hidden."""
    licence = state.licences.get(case.licence)
    return rows.CaseRow(
        application_id=case.application_id,
        state=case.state,
        item=case.item,
        action=case.action,
        holder_id=case.applicant.display,
        due=rows.DueRow(case.promised or None, case.statutory or None, case.correction or None),
        history=tuple(
            rows.HistoryLine(h.time, h.event, _free(state.holder, h.detail, open_text))
            for h in sorted(case.history, key=lambda h: h.time)
        ),
        certificate_due=_certificate_due(state, case),
        missing=case.missing if case.state in ("correction-requested", "lapsed") else (),
        deferred=case.deferred,
        reason=_free(state.holder, "；".join(map(str, case.reasons)), open_text) or _unissued(state, case),
        licence_number=(licence.number or None) if licence else None,
        source=case.source,
        auth=case.auth,
        window=case.window or None,
        calendar_fallback=case.fallback,
        commitment=_commitment(case),
    )


def _certificate_due(state: HolderState, case: Case) -> str | None:
    """Return the last day for the certificate of the version that a case led to."""
    licence = state.licences.get(case.licence)
    made = licence.version(version_of(state, case)) if licence else None
    return certificate(made.grant).on.isoformat() if made else None


def _unissued(state: HolderState, case: Case) -> str | None:
    """Return the reason that a granted case shows whose certificate could not be made."""
    licence = state.licences.get(case.licence)
    if case.state != "granted" or licence is None:
        return None
    version = version_of(state, case)
    if all(one.version != version for one in licence.unissued):
        return None
    return "证照制作失败，待发证机关处理 / the certificate could not be made; the authority has to act"


def late(state: HolderState, case: Case) -> tuple[str, ...]:
    """Return the limits that a case is past: those of its decision while it is open, then that of its certificate."""
    if case.open:
        return case.alarmed
    if case.state != "granted" or case.licence not in state.licences:
        return ()
    unissued, version = state.licences[case.licence].unissued, version_of(state, case)
    return ("certificate",) if any(u.alarmed and u.version == version for u in unissued) else ()


def proof_rows(entries: Iterable[EventEntry]) -> list[dict[str, str]]:
    """Return who ordered what: the proof of each event that carried one, and the digest that it signs."""
    return [
        {
            "event": entry.payload.type,
            "source": entry.payload.source,
            "id": entry.payload.id,
            "time": entry.payload.time,
            "received_at": entry.received_at,
            "signed": entry.payload.signed,
            "proof": entry.payload.proof,
        }
        for entry in entries
        if entry.payload.proof
    ]


def _commitment(case: Case) -> dict[str, str] | None:
    """Return the evidence of the commitment: digest of the letter's text, signatory, day of signature."""
    for material in case.materials:
        if material.kind == "commitment-letter" and material.evidence:
            return {**material.evidence, "signed_on": material.signed_on}
    return None


def licence_row(licence: Licence, open_text: OpenText, version: int | None = None) -> rows.LicenceRow:
    """Return a licence as `licence list` prints it, in its newest version or the one asked for.

    Raises KeyError where it has no such version.
    """
    wanted = licence.versions[-1] if version is None else licence.version(version)
    if wanted is None:
        raise KeyError(version)
    status = licence.shown_status if wanted is licence.versions[-1] else licence.status
    return _version_row(licence, wanted, open_text, status)


def _version_row(licence: Licence, shown: Version, open_text: OpenText, status: str) -> rows.LicenceRow:
    grant = shown.grant
    return rows.LicenceRow(
        number=licence.number or None,
        identifier=shown.identifier or None,
        version=grant.version,
        status=status,
        item=grant.item,
        holder_id=grant.holder_id,
        holder_name=_clear(grant, grant.holder_name, open_text),
        issued_on=grant.issued_on,
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        application_id=grant.application_id or None,
        objects={"licence.pdf": shown.object_key} if shown.object_key else {},
    )


def _clear(grant: Grant, text: str, open_text: OpenText) -> str:
    opened = open_text(grant.holder, text)
    return ERASED if opened is None else opened


def licence_record(licence: Licence, open_text: OpenText) -> rows.LicenceRecordRow:
    """Return a licence as `licence show` prints it, with the versions before in its history."""
    now = licence.now
    history: list[rows.HistoryLine] = [
        rows.VersionLine(
            v.grant.decided_at,
            "version",
            f"v{v.grant.version}",
            **rows.fields_of(_version_row(licence, v, open_text, "superseded")),
        )
        for v in licence.versions[:-1]
    ]
    history += [
        rows.HistoryLine(h.time, h.event, _free(now.holder, h.detail, open_text)) for h in licence.history
    ]
    return rows.LicenceRecordRow(
        **rows.fields_of(licence_row(licence, open_text)),
        address=_clear(now, now.address, open_text),
        authority=rows.AuthorityRow(now.authority.code, now.authority.name),
        products=tuple(
            rows.ProductRow(p.category, _clear(now, p.site, open_text), _clear(now, p.detail, open_text))
            for p in now.products
        ),
        filings=tuple(rows.FilingRefRow(r.filing_id, r.item, r.name, r.department) for r in now.filings),
        particulars={p.name: p.value for p in now.particulars},
        suspended_until=licence.until or None,
        merged_into=licence.merged_into or None,
        history=tuple(sorted(history, key=lambda line: line.time)),
    )


def filing_rows(state: HolderState, open_text: OpenText = _hidden) -> tuple[rows.FilingRow, ...]:
    """Return the holder's filings."""
    return tuple(
        rows.FilingRow(
            filing_id=x.ref.filing_id,
            item=x.ref.item,
            department=x.ref.department,
            state=x.state,
            pushed_on=x.pushed_on,
            yellow=x.yellow,
            red=x.red,
            overdue=x.alarmed if x.state in ("pushed", "received") else (),
            reason=_free(state.holder, x.reason, open_text) or None,
        )
        for x in state.filings.values()
    )


def check_rows(state: HolderState) -> tuple[rows.CheckRow, ...]:
    """Return the holder's checks and inspections."""
    return tuple(
        rows.CheckRow(
            c.inspection_id or c.key,
            (state.licences[c.licence].number if c.licence else None) or None,
            c.kind,
            c.due,
            c.state,
        )
        for c in state.checks.values()
    )


def refused_rows(state: HolderState, open_text: OpenText = _hidden) -> tuple[rows.RefusedRow, ...]:
    """Return the events of the holder that had no effect."""
    return tuple(
        rows.RefusedRow(r.time, r.event, _free(state.holder, "；".join(map(str, r.reasons)), open_text))
        for r in state.refused
    )


def holder_row(state: HolderState, open_text: OpenText) -> rows.HolderRow:
    """Return a holder as `holder show` prints it."""
    name = open_text(state.holder, state.name)
    return rows.HolderRow(
        holder_id=state.display or state.holder,
        name=ERASED if name is None else name or None,
        credit_class=state.credit_class or None,
        particulars=tuple(
            rows.ParticularRow(p.name, p.label, p.value)
            for licence in state.licences.values()
            if licence.living
            for p in licence.now.particulars
        ),
        licences=tuple(licence_row(x, open_text) for x in state.licences.values()),
        cases=tuple(case_row(state, c, open_text) for c in state.cases.values()),
        filings=filing_rows(state, open_text),
        checks=check_rows(state),
        refused=refused_rows(state, open_text),
    )
