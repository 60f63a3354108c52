"""Pages of officers beyond the worklist: licences with orders that a second officer confirms, checks, filings, visits."""

from __future__ import annotations

import json
import secrets
from datetime import date
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.responses import RedirectResponse, Response

from infra.http.problems import Problem
from infra.portal.desk import holder_number
from infra.portal.forms import field_of, reason_of
from infra.portal.licences import picture
from infra.portal.web import Portal, Visit
from processors.queries import views
from processors.queries.find import find_licence
from processors.state import Filing, HolderState, Licence
from producers import agency_events
from producers.agency_events import Named, Sender
from schemas.authorities import source_of
from schemas.errors import NotFound
from schemas.facts import Reason
from schemas.identifiers import kept_id
from schemas.persons import is_pseudonym
from schemas.rows import as_json

_EXAMINED: Final = 2000
_ORDERERS: Final = ("reviewer", "supervisor")


def orders(portal: Portal, visit: Visit) -> Response:
    """Show the orders that wait for a second officer, and take that officer's word."""
    error: Reason | None = None
    if visit.posted:
        error = _settle(portal, visit)
        if error is None:
            return RedirectResponse("/desk/orders", 303)
    names = {one.id: one.name or one.id for one in portal.accounts.all()}
    rows = [
        (p, json.loads(p.event)["data"], names.get(p.account, p.account))
        for p in portal.accounts.proposals(visit.account.subject)
    ]
    return portal.page(visit, "orders", 422 if error else 200, rows=rows, error=error)


def _settle(portal: Portal, visit: Visit) -> Reason | None:
    """Confirm or dismiss an order; return what forbids it."""
    account, wanted = visit.account, visit.typed.get("proposal", "")
    found = next((p for p in portal.accounts.proposals(account.subject) if p.id == wanted), None)
    if found is None:
        return Reason("此命令已处理", "this order is settled already")
    if visit.typed.get("do") == "dismiss":
        portal.accounts.settle(wanted, account, "dismissed")
        return None
    if found.account == account.id or not account.may("supervisor"):
        return Reason("须由另一名负责人确认", "another officer, a supervisor, has to confirm it")
    event = json.loads(found.event)
    event["time"] = portal.now().isoformat()
    event["confirmed_by"] = account.id
    outcome = portal.send(visit, event)
    if isinstance(outcome, Problem) and outcome.status != 409:
        return reason_of(outcome.detail)
    portal.accounts.settle(wanted, account, "confirmed")
    number = kept_id(str(event["data"].get("licence_number", "")))

    def done() -> bool:
        with portal.register(account) as register:
            holder = register.holder_of_licence(number)
            state = register.state(holder) if holder else None
        return state is not None and state.upto >= event["time"]

    portal.wait_until(done)
    return None


def dead_letters(portal: Portal, visit: Visit) -> Response:
    """Show the dead letters, and close one with a reason."""
    if not visit.account.may("supervisor"):
        raise NotFound("未找到这个页面 / no such page")
    error: Reason | None = None
    with portal.installation.letters() as box:
        if visit.posted:
            reason, wanted = visit.typed.get("reason", "").strip(), visit.typed.get("letter", "")
            if reason and wanted.isascii() and wanted.isdigit() and len(wanted) < 16:
                box.close(int(wanted), f"{reason} ({visit.account.name or visit.account.id})")
                return RedirectResponse("/desk/dead-letters", 303)
            error = Reason("请填写理由", "give the reason")
        rows = list(box.letters())[:200]
    return portal.page(visit, "dead_letters", 422 if error else 200, rows=rows, error=error)


def filing_page(portal: Portal, visit: Visit) -> Response:
    """Show a filing to its department, and take the department's answer."""
    state, found = _filing(portal, visit)
    agency = source_of(visit.account.subject)
    if agency is None or agency.department != found.ref.department:
        raise NotFound("未找到这个备案 / no such filing")
    error: Reason | None = None
    if visit.posted:
        answer, reason = visit.typed.get("do", ""), visit.typed.get("reason", "").strip()
        if answer not in ("received", "claimed", "returned") or (answer == "returned" and not reason):
            error = Reason("退回须说明理由", "say why it is returned")
        elif is_pseudonym(state.holder):
            error = Reason("个人的备案请用命令办理", "a person's filing is answered on the command line")
        else:
            name = f"{found.ref.filing_id}:{answer}:{visit.typed.get('nonce', '')[:32]}"
            sender = Sender(visit.account.subject, portal.now(), name[-250:])
            event = agency_events.filing(
                sender, answer, found.ref.filing_id, state.holder, agency.department, reason=reason or None
            )
            outcome = portal.send(visit, event)
            if isinstance(outcome, Problem) and outcome.status != 409:
                error = reason_of(outcome.detail)
            else:
                portal.wait_until(lambda: _filing(portal, visit)[1].state != found.state)
                return RedirectResponse(visit.here, 303)
    return portal.page(
        visit,
        "filing",
        422 if error else 200,
        filing=found,
        item=portal.catalogue.get(found.ref.item),
        holder=portal.persons.open(state.holder, state.name) or state.display,
        error=error,
        nonce=secrets.token_hex(8),
    )


def _filing(portal: Portal, visit: Visit) -> tuple[HolderState, Filing]:
    wanted = kept_id(visit.word("filing"))
    application = wanted.rpartition(":")[0]
    with portal.register(visit.account) as register:
        with portal.installation.register() as whole:
            holders = whole.holders_of_case(application)
        for holder in holders:
            state = register.state(holder)
            if state is not None and wanted in state.filings:
                return state, state.filings[wanted]
    raise NotFound("未找到这个备案 / no such filing")


def visits_page(portal: Portal, visit: Visit) -> Response:
    """Show an inspector the checks that are due in the agency's area."""
    if not visit.account.may("inspector", "supervisor", "regulator"):
        raise NotFound("未找到这个页面 / no such page")
    rows: list[dict[str, Any]] = []
    with portal.register(visit.account) as register:
        for n, state in enumerate(register.states_by_due()):
            if n >= _EXAMINED:
                break
            for check in state.checks.values():
                licence = state.licences.get(check.licence)
                if check.state in ("scheduled", "overdue") and licence is not None and licence.number:
                    name = portal.persons.open(state.holder, licence.now.holder_name)
                    address = portal.persons.open(state.holder, licence.now.address)
                    link = f"/desk/licences/{quote(licence.number, safe='')}#check"
                    rows.append(
                        {
                            "check": check,
                            "number": licence.number,
                            "name": name,
                            "address": address,
                            "link": link,
                        }
                    )
    rows.sort(key=lambda row: str(row["check"].due))
    return portal.page(visit, "visits", rows=rows[:200])


# --- licences


def desk_licence(portal: Portal, visit: Visit) -> Response:
    """Show a licence to an officer, and take an order on it or the record of a check."""
    with portal.register(visit.account) as register:
        state, licence = find_licence(register, visit.word("number"))
    portal.access(visit.account, state.holder, "page desk licence", licence.number)
    if not visit.posted:
        return _licence(portal, visit, state, licence, {})
    number, wrong = holder_number(portal, visit, state)
    if wrong:
        return _licence(portal, visit, state, licence, wrong)
    made = (
        _inspection(portal, visit, licence, number)
        if visit.typed.get("do") == "inspect"
        else _order(portal, visit, licence, number)
    )
    if isinstance(made, Reason):
        return _licence(portal, visit, state, licence, {"do": made})
    command = visit.typed.get("do", "")
    if command not in ("inspect", "resume"):
        portal.accounts.propose(visit.account, f"{command} {licence.number}", msgspec.json.encode(made))
        return RedirectResponse("/desk/orders", 303)
    outcome = portal.send(visit, made)
    if isinstance(outcome, Problem) and outcome.status != 409:
        return _licence(portal, visit, state, licence, {field_of(outcome.where): reason_of(outcome.detail)})
    portal.wait_until(lambda: _changed(portal, state))
    return RedirectResponse(visit.here, 303)


def _changed(portal: Portal, before: HolderState) -> bool:
    with portal.installation.register() as register:
        now = register.state(before.holder)
    return (now is not None and now.licences != before.licences) or (
        now is not None and now.checks != before.checks
    )


def _licence(
    portal: Portal, visit: Visit, state: HolderState, licence: Licence, errors: dict[str, Reason]
) -> Response:
    checks = [as_json(row) for row in views.check_rows(state) if row.licence_number == licence.number]
    return portal.page(
        visit,
        "desk_licence",
        422 if errors else 200,
        licence=as_json(views.licence_record(licence, portal.persons.open)),
        item=portal.catalogue.get(licence.item),
        living=licence.living,
        personal=is_pseudonym(state.holder),
        checks=checks,
        orders=visit.account.may(*_ORDERERS),
        inspects=visit.account.may("inspector", "reviewer", "supervisor"),
        values={**visit.draft, **visit.typed},
        errors=errors,
        nonce=secrets.token_hex(8),
        today=portal.now().date().isoformat(),
    )


def desk_picture(portal: Portal, visit: Visit) -> Response:
    """Send the picture of a licence that an officer may read."""
    with portal.register(visit.account) as register:
        state, licence = find_licence(register, visit.word("number"))
    key = licence.versions[-1].object_key
    opened = portal.persons.open_object(state.holder, portal.store.get(key)) if key else None
    if opened is None:
        raise NotFound("没有证照文件 / there is no file of the licence")
    portal.access(visit.account, state.holder, "page desk licence", licence.number)
    return Response(picture(opened), media_type="image/png")


def _day(text: str, default: date) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if text.strip() else default
    except ValueError:
        return None


def _order(portal: Portal, visit: Visit, licence: Licence, number: str) -> dict[str, Any] | Reason:
    """Return the event of an order, or what is wrong in its form."""
    typed, command, now = visit.typed, visit.typed.get("do", ""), portal.now()
    if command not in agency_events.ORDERS or not visit.account.may(*_ORDERERS):
        return Reason("您的角色不能这样办理", "your role does not allow this")
    ground, decided = typed.get("ground", "").strip(), _day(typed.get("decided_on", ""), now.date())
    until = _day(typed.get("until", ""), date.min) if command == "suspend" else None
    if not ground or decided is None or (command == "suspend" and until in (None, date.min)):
        return Reason(
            "请填写理由；暂扣还须填写截止日期", "give the ground, for a suspension its last day too"
        )
    return agency_events.order(
        Sender(visit.account.subject, now, f"{licence.key}:{command}:{typed.get('nonce', '')[:32]}"),
        command,
        Named(licence.number),
        number,
        ground,
        decided_on=decided,
        legal_basis=typed.get("legal_basis", "").strip() or None,
        until=until,
        deceit=bool(typed.get("deceit")) if command == "rescind" else None,
    )


def _inspection(portal: Portal, visit: Visit, licence: Licence, number: str) -> dict[str, Any] | Reason:
    typed, now = visit.typed, portal.now()
    agency = source_of(visit.account.subject)
    inspectors = [typed.get(f"inspectors.{n}.id", "").strip() for n in range(4)]
    inspectors = [one for one in inspectors if one]
    day = _day(typed.get("inspected_on", ""), now.date())
    if len(set(inspectors)) < 2 or day is None or not typed.get("result", "").strip() or agency is None:
        return Reason("请填写结果和至少两名检查人员", "give the result and at least two inspectors")
    nonce = typed.get("nonce", "")[:16]
    data = {
        "inspection_id": f"I-{now:%Y%m%d}-{nonce}",
        "kind": "complaint" if typed.get("kind") == "complaint" else "post-issuance",
        "holder_id": number,
        "inspectors": [{"id": one, "department": agency.department} for one in inspectors],
        "inspected_on": day.isoformat(),
        "result": typed["result"].strip(),
        "passed": typed.get("passed") == "yes",
        "commitment_false": bool(typed.get("commitment_false")),
        "findings": typed.get("findings", "").strip() or None,
    }
    sender = Sender(visit.account.subject, now, f"inspection:{nonce}")
    return agency_events.inspection(sender, Named(licence.number), data)
