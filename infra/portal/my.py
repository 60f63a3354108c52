"""Pages of an enterprise or person: own cases and licences, applications, and what a licence needs in its life."""

from __future__ import annotations

import hmac
from datetime import date
from typing import Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from infra.http.problems import Problem
from infra.portal import forms
from infra.portal.accounts import Account
from infra.portal.web import Portal, Visit
from processors.queries import views
from processors.state import HolderState, Licence
from producers import agency_events
from producers.agency_events import Sender
from schemas.authorities import chain, everything, find, full_name, source_of
from schemas.calendar import months_before
from schemas.errors import NotFound
from schemas.identifiers import compare, kept_id
from schemas.rows import as_json

_PROVINCE: Final = "630000"


def home(portal: Portal, visit: Visit) -> Response:
    """Show an enterprise or person what is theirs, and what falls due."""
    state = portal.own(visit.account)
    if state is not None:
        portal.access(visit.account, state.holder, "page my", "")
    row = as_json(views.holder_row(state, portal.persons.open)) if state else None
    items = [
        i for i in portal.catalogue.items.values() if i.holder == visit.account.kind and i.mode != "filing"
    ]
    return portal.page(
        visit,
        "my",
        holder=row,
        cases=list(reversed(row["cases"])) if row else [],
        licences=row["licences"] if row else [],
        filings=row["filings"] if row else [],
        due=due_of(portal, state) if state else [],
        items=items,
        named=portal.catalogue.items,
        letters=portal.notices.of_holder(visit.account.subject),
        mail_on=portal.settings.mail is not None,
        email=portal.accounts.address(visit.account),
    )


def letter_page(portal: Portal, visit: Visit) -> Response:
    """Send a letter to the enterprise or person that it is for."""
    return letter_file(portal, visit.account.subject, visit.word("letter"))


def letter_file(portal: Portal, holder: str, letter_id: str, case: str | None = None) -> Response:
    """Send the sealed PDF of a letter to a holder. Raises NotFound for any other one."""
    found = portal.notices.own(holder, letter_id)
    if case is not None and found.case != case:
        raise NotFound("未找到这份文书 / no such letter")
    headers = {"Content-Disposition": 'attachment; filename="letter.pdf"'}
    return Response(portal.notices.content(found), media_type="application/pdf", headers=headers)


def address(portal: Portal, visit: Visit) -> Response:
    """Keep the address to which letters go by e-mail too."""
    if visit.posted:
        portal.accounts.set_address(visit.account, visit.typed.get("email", "").strip())
    return RedirectResponse("/my#letters", 303)


def correct_filing(portal: Portal, visit: Visit) -> Response:
    """Send the corrected answers of a filing that its department returned."""
    state = portal.own(visit.account)
    filing = state.filings.get(kept_id(visit.word("filing"))) if state else None
    if state is None or filing is None:
        raise NotFound("未找到这个备案 / no such filing")
    if visit.posted and filing.state == "returned":
        now = portal.now()
        source, _ = home_window(portal, visit.account, state.division)
        sender = Sender(source, now, f"{filing.ref.filing_id}:corrected:{filing.round}"[-256:])
        event = agency_events.filing(
            sender,
            "corrected",
            filing.ref.filing_id,
            portal.number(visit.account),
            filing.ref.department,
            answers=forms.fields_of(visit.typed) or None,
        )
        outcome = portal.send(visit, event)
        if isinstance(outcome, Problem) and outcome.status != 409:
            raise outcome
        portal.wait_until(lambda: _filing_state(portal, visit.account, filing.ref.filing_id) != "returned")
    return RedirectResponse("/my", 303)


def _filing_state(portal: Portal, account: Account, filing_id: str) -> str:
    state = portal.own(account)
    filing = state.filings.get(kept_id(filing_id)) if state else None
    return filing.state if filing else ""


def due_of(portal: Portal, state: HolderState) -> list[dict[str, str]]:
    """Return what falls due for a holder, the next day first."""
    found: list[dict[str, str]] = []

    def add(on: str | None, zh: str, en: str, link: str) -> None:
        if on:
            found.append({"on": on, "zh": zh, "en": en, "link": link})

    for case in state.cases.values():
        link = f"/cases/{quote(case.application_id, safe='')}"
        if case.state == "correction-requested":
            add(case.correction, f"补正 {case.application_id}", f"correction of {case.application_id}", link)
        if case.state == "accepted":
            add(
                case.promised,
                f"承诺办结 {case.application_id}",
                f"decision promised on {case.application_id}",
                link,
            )
            for kind, day in case.deferred.items():
                add(day, f"补交材料 {kind}", f"material {kind} to follow", link)
    for licence in state.licences.values():
        if not (licence.living and licence.now.valid_until and licence.number):
            continue
        link = f"/licences/{quote(licence.number, safe='')}"
        end = date.fromisoformat(licence.now.valid_until)
        item = portal.catalogue.get(licence.item)
        opens = months_before(end, item.renewal.earliest if item else 12)
        add(opens.isoformat(), f"可申请延续 {licence.number}", f"renewal of {licence.number} opens", link)
        add(licence.now.valid_until, f"证照到期 {licence.number}", f"{licence.number} ends", link)
    for check in state.checks.values():
        if check.state in ("scheduled", "overdue"):
            add(check.due, "现场核查", "on-site check", "/my")
    return sorted(found, key=lambda one: one["on"])


def calendar(portal: Portal, visit: Visit) -> Response:
    """Send what falls due as a calendar file (RFC 5545)."""
    state = portal.own(visit.account)
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//zhengzhao//due//ZH"]
    for one in due_of(portal, state) if state else []:
        day = one["on"].replace("-", "")
        said = f"{one['zh']} / {one['en']}".replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;")
        uid = f"{day}-{hmac.new(b'zhengzhao', said.encode(), 'sha256').hexdigest()[:16]}@zhengzhao"
        lines += ["BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{day}T000000Z", f"DTSTART;VALUE=DATE:{day}"]
        lines += [_folded(f"SUMMARY:{said}"), "END:VEVENT"]
    content = "\r\n".join([*lines, "END:VCALENDAR", ""])
    headers = {"Content-Disposition": 'attachment; filename="zhengzhao.ics"'}
    return Response(content.encode(), media_type="text/calendar; charset=utf-8", headers=headers)


def _folded(line: str) -> str:
    """Fold a line of a calendar at 75 bytes, between characters."""
    parts: list[str] = []
    part = ""
    for char in line:
        if len((part + char).encode()) > (75 if not parts else 74):
            parts.append(part)
            part = ""
        part += char
    return "\r\n ".join([*parts, part])


# --- licences


def own_licence(state: HolderState | None, number: str) -> Licence:
    """Return a licence of a holder by its number. Raises NotFound for any other one, however it is spelt."""
    for licence in state.licences.values() if state else ():
        if licence.number and compare(licence.number) == compare(number):
            return licence
    raise NotFound("未找到该证照 / no such licence")


def divisions(portal: Portal, chosen: str = "") -> list[tuple[str, str]]:
    """Return the divisions to choose from: those of the installation's province, and the one chosen already."""
    province = (chain(portal.settings.window or "") or (_PROVINCE,))[-1]
    found = [(one.code, full_name(one.code)) for one in everything() if chain(one.code)[-1:] == (province,)]
    if chosen and find(chosen) is not None and all(code != chosen for code, _ in found):
        found.append((chosen, full_name(chosen)))
    return found


def home_window(portal: Portal, account: Account, division: str) -> tuple[str, str]:
    """Return source and code of the window where what an account sends comes in: an officer's agency, or our own."""
    if account.kind == "agency":
        agency = source_of(account.subject)
        return account.subject, agency.division if agency else ""
    at = portal.settings.window or (chain(division) or (_PROVINCE,))[-1]
    return f"urn:agency:{at[:6]}:service-hall", at
