"""The public page of a licence, and the row by which the register lists it. Of a person only a mask is shown."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from markupsafe import Markup

from infra.pages.frame import TableRow, cell, pair, said, word
from infra.pages.guide import contact
from processors.queries.listings import ListedLicence
from processors.queries.views import HIDDEN, OpenText, licence_record
from processors.state import HolderState, Licence
from schemas.authorities import department_title
from schemas.items import Catalogue
from schemas.persons import is_named, is_pseudonym
from schemas.rows import LicenceRecordRow

STATUSES: Final = ("valid", "suspended", "withdrawn", "rescinded", "revoked", "cancelled", "expired")
"""The statuses of a licence, in the order in which pages offer them."""


def register_row(state: HolderState, licence: Licence, open_text: OpenText) -> ListedLicence:
    """Return the row of a licence; a person's name is veiled."""
    now = licence.now
    name = now.holder_name
    if is_pseudonym(state.holder):
        name = veiled(open_text(state.holder, now.holder_name))
    return ListedLicence(
        0, licence.number, licence.item, licence.status, name, now.issued_on, now.valid_until
    )


def veiled(name: str | None) -> str:
    """Return a person's name as everybody may see it: its first character; nothing of one that was erased."""
    return f"{name[0]}{'*' * max(1, min(len(name), 10) - 1)}" if name else "***"


def licence_values(
    state: HolderState,
    licence: Licence,
    open_text: OpenText,
    catalogue: Catalogue,
    language: str,
    today: date,
) -> dict[str, Any]:
    """Return what `licence.html` shows of a licence; an end before `today` is said to have passed."""
    person = is_pseudonym(state.holder)
    row = licence_record(licence, lambda holder, text: HIDDEN if is_named(text) else open_text(holder, text))
    item = catalogue.get(licence.item)
    name = veiled(open_text(state.holder, licence.now.holder_name)) if person else row.holder_name
    endless = said(language, "site.endless")
    facts = _licence_facts(licence, row, name, person, language, today)
    level = item.level if item else "county"
    return {
        "licence": {
            "number": row.number,
            "status": row.status,
            "identifier": row.identifier,
            "holder_name": name,
        },
        "name": item.name if item else {"zh": row.item, "en": ""},
        "person": person,
        "facts": [(said(language, key), _isolated(value)) for key, value in facts if value not in ("", None)],
        "products": [] if person else [TableRow((p.category, p.site, p.detail)) for p in row.products],
        "filings": [TableRow((f.name, department_title(f.department, level))) for f in row.filings],
        "particulars": []
        if person
        else [(pair(language, p.label, ""), _isolated(p.value)) for p in licence.now.particulars],
        "versions": [
            TableRow(
                (
                    v.grant.version,
                    name if person else v.grant.holder_name,
                    v.grant.issued_on,
                    v.grant.valid_until or endless,
                )
            )
            for v in licence.versions
        ]
        if len(licence.versions) > 1
        else [],
        "contacts": [contact(licence.now.authority, catalogue.directory)],
    }


def _licence_facts(
    licence: Licence, row: LicenceRecordRow, name: str, person: bool, language: str, today: date
) -> tuple[tuple[str, Any], ...]:
    """Return the words' keys and the values of a licence's particulars; an empty value is not shown."""
    names = dict.fromkeys(v.grant.holder_name for v in licence.versions if not person)
    former = [one for one in names if one != row.holder_name]
    past = row.valid_until is not None and row.valid_until < today.isoformat()
    changed = next((h for h in reversed(row.history) if h.event.endswith(row.status)), None)
    until: str = said(language, "site.endless")
    if row.valid_until:
        until = f"{row.valid_until}{word(language, 'licence.past') if past else ''}"
    return (
        ("register.number", row.number),
        ("register.holder", name),
        ("licence.person_code" if person else "licence.code", row.holder_id),
        ("licence.former", "、".join(former)),
        ("licence.address", "" if person else row.address),
        ("licence.authority", row.authority.name),
        ("register.issued", row.issued_on),
        ("licence.from", row.valid_from),
        ("register.until", until),
        ("licence.version", row.version),
        ("licence.identifier", row.identifier),
        ("licence.since", changed.time[:10] if changed and row.status != "valid" else ""),
        ("licence.reason", changed.detail if changed and row.status != "valid" and not person else ""),
        ("licence.suspended_until", row.suspended_until if row.status == "suspended" else ""),
        ("licence.merged_into", row.merged_into),
    )


def _isolated(value: Any) -> Markup:
    """Return a value that somebody else wrote as markup in which no direction mark reaches its surroundings."""
    return value if isinstance(value, Markup) else Markup("<bdi>{}</bdi>").format(cell(value))
