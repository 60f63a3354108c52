"""Applications and cases of an enterprise or person: a form, how far it is, and a form for just what is missing."""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from infra.http.problems import Problem
from infra.portal import forms
from infra.portal.accounts import Account
from infra.portal.forms import Errors, KnownApplicant, field_of, reason_of
from infra.portal.my import divisions, home_window, own_licence
from infra.portal.web import Portal, Visit
from processors.decisions.intake import needed
from processors.queries import views
from processors.state import Case, HolderState, Licence
from producers import agency_events
from producers.agency_events import Sender
from producers.forms import COMMITMENT, notice_lines
from producers.packet_events import form_row
from schemas.errors import NotFound
from schemas.facts import Reason
from schemas.identifiers import kept_id
from schemas.item_types import ServiceItem
from schemas.items import fields_once
from schemas.persons import holder_key
from schemas.rows import as_json


def application_page(portal: Portal, visit: Visit) -> Response:
    """Show the form of an application, and send what was filled in."""
    item = portal.catalogue.get(visit.word("item"))
    action = visit.asked("action", "new")
    if item is None or item.mode == "filing" or action not in forms.ACTIONS:
        raise NotFound("未找到这个事项 / no such service item")
    number = visit.asked("licence_number")
    licence = own_licence(portal.own(visit.account), number) if action != "new" else None
    if visit.account.kind == "agency" and not visit.account.may("window", "supervisor"):
        raise NotFound("未找到这个页面 / no such page")
    if licence is not None and licence.item != item.code:
        raise NotFound("未找到该证照 / no such licence")
    if not visit.posted or visit.typed.get("more"):
        return _form(portal, visit, item, action, licence, {})
    return _submit(portal, visit, item, action, licence)


def _form(
    portal: Portal,
    visit: Visit,
    item: ServiceItem,
    action: str,
    licence: Licence | None,
    errors: Errors,
    kept: dict[str, str] | None = None,
) -> Response:
    officer = visit.account.kind == "agency"
    state = None if officer else portal.own(visit.account)
    values = {**_known(portal, state, licence), **visit.draft, **visit.typed}
    values.pop("more", None)
    if action == "change" and licence is not None and not visit.draft and not visit.typed:
        for n, product in enumerate(licence.now.products):
            for part in ("category", "site", "detail"):
                text = portal.persons.open(licence.now.holder, getattr(product, part)) or ""
                values[f"change.products.{n}.{part}"] = text
    application = values.get("application", "")
    if not _application_id(portal, visit.account, application):
        values["application"] = _fresh_application(portal, visit.account)
    whole = item.mode == "consolidated" and action == "new"
    chosen = [i for i in portal.catalogue.items.values() if i.mode == "filing" and i.holder == item.holder]
    return portal.page(
        visit,
        "apply",
        422 if errors else 200,
        item=item,
        action=action,
        licence=as_json(views.licence_record(licence, portal.persons.open)) if licence else None,
        values=values,
        errors=errors,
        kept=kept or {},
        materials=[item.material(kind) for kind in needed(item, action)],
        products=_rows(values, "products", visit.typed.get("more") == "products"),
        changed=_rows(values, "change.products", visit.typed.get("more") == "change.products"),
        divisions=divisions(portal, values.get("applicant.division", "")),
        commitment=COMMITMENT,
        notice=list(notice_lines(form_row(item))) if item else [],
        filings=chosen if whole else [],
        rules=[rule for rule, _ in fields_once([item, *chosen])] if whole else item.fields,
        officer=officer,
        today=portal.now().date().isoformat(),
    )


def _rows(values: dict[str, str], prefix: str, more: bool) -> list[int]:
    own = re.compile(rf"{re.escape(prefix)}\.([0-9]{{1,4}})\.[a-z]+", re.ASCII)
    named = [int(found[1]) for name in values if (found := own.fullmatch(name))]
    count = min(max(named, default=-1) + 1 + more, forms.MOST_PRODUCTS)
    return list(range(max(count, 1)))


def _known(portal: Portal, state: HolderState | None, licence: Licence | None) -> dict[str, str]:
    """Return what the register knows of the holder, as fields of the form."""
    if licence is not None:
        now = licence.now
        texts = {"name": now.holder_name, "address": now.address, "division": now.division}
    elif state is not None:
        texts = {"name": state.name, "address": state.address, "division": state.division}
    else:
        return {}
    holder = licence.now.holder if licence is not None else (state.holder if state else "")
    return {f"applicant.{name}": portal.persons.open(holder, text) or "" for name, text in texts.items()}


def _fresh_application(portal: Portal, account: Account) -> str:
    made = f"W{portal.now():%Y%m%d}-{secrets.token_hex(4).upper()}"
    return f"{made}.{portal.accounts.form_token(account.id, made)[:16]}"


def _application_id(portal: Portal, account: Account, token: str) -> str:
    """Return the id in a form's token; empty where this service did not make it for this account."""
    made, _, mark = token.partition(".")
    good = portal.accounts.form_token(account.id, made)[:16]
    return made if made and hmac.compare_digest(good.encode(), mark.encode()) else ""


def _submit(
    portal: Portal, visit: Visit, item: ServiceItem, action: str, licence: Licence | None
) -> Response:
    account, typed, now = visit.account, visit.typed, portal.now()
    application = _application_id(portal, account, typed.get("application", ""))
    if not application:
        return _form(portal, visit, item, action, licence, {"application": _EXPIRED})
    officer = account.kind == "agency"
    cases = "/desk/cases" if officer else "/cases"
    place = RedirectResponse(f"{cases}/{quote(application, safe='')}", 303)
    if portal.accounts.was_sent(account.subject, application):
        return place  # pressed twice, or again after going back: it is one application
    uploads, wrong = portal.uploads(visit)
    known = _known(portal, None, licence) if licence else {}
    number = typed.get("applicant.id", "").strip() if officer else portal.number(account)
    applicant = KnownApplicant(item.holder if officer else account.kind, number)
    key = holder_key(number, applicant.kind, portal.persons) if officer else account.subject
    division = known.get("applicant.division") or typed.get("applicant.division", "")
    source, window = home_window(portal, account, division)
    if item.mode == "consolidated" and action == "new":
        chosen = {
            code: filing
            for code, filing in portal.catalogue.items.items()
            if filing.mode == "filing" and typed.get(f"items.{code}")
        }
        data, errors = forms.registration_data(
            item, chosen, typed, uploads, applicant, application_id=application, today=now.date()
        )
        kind = "registration.submitted"
    else:
        data, errors = forms.application_data(
            item,
            action,
            typed,
            uploads,
            applicant,
            {name.removeprefix("applicant."): text for name, text in known.items()},
            application_id=application,
            licence_number=licence.number if licence else "",
            window=window,
            channel="window" if officer else "online",
            today=now.date(),
        )
        kind = "application.submitted"
    errors |= {name: reason_of(text) for name, text in wrong.items()}
    kept = {kind_: one.sha256 for kind_, one in uploads.items()}
    if errors:
        return _form(portal, visit, item, action, licence, errors, kept)
    sender = Sender(source, now, f"{application}:submit")
    outcome = portal.send(visit, agency_events.event(sender, kind, data, application))
    if isinstance(outcome, Problem) and outcome.status != 409:  # 409: the same form came a moment before
        return _form(
            portal, visit, item, action, licence, {field_of(outcome.where): reason_of(outcome.detail)}, kept
        )
    portal.accounts.note_sent(account.subject, application)
    portal.wait_until(lambda: _decided(portal, key, application))
    return place


_EXPIRED: Final = Reason(
    "表单已过期，请核对后再提交一次", "the form has expired: check it and submit it again"
)


def _decided(portal: Portal, holder: str, application: str) -> bool:
    with portal.installation.register() as register:
        state = register.state(holder)
    case = state.cases.get(kept_id(application)) if state else None
    return case is not None and case.state != "granted"


# --- cases


def own_case(state: HolderState | None, application: str) -> Case:
    """Return a case of a holder. Raises NotFound for any other one, however it is spelt."""
    case = state.cases.get(kept_id(application)) if state else None
    if case is None:
        raise NotFound("未找到该申请 / no such application")
    return case


def case_page(portal: Portal, visit: Visit) -> Response:
    """Show a case: how far it is, when it is due, what is missing, with a form for just that."""
    state, wanted = portal.own(visit.account), visit.word("application")
    try:
        case = own_case(state, wanted)
    except NotFound:
        sent_at = portal.accounts.sent_at(visit.account.subject, kept_id(wanted))
        if not sent_at:
            raise
        refused = _refusal(state, sent_at)
        return portal.page(visit, "waiting", application=kept_id(wanted), refused=refused)
    assert state is not None
    if not visit.posted:
        return _case(portal, visit, state, case, {})
    if visit.typed.get("do") == "withdraw":
        return _withdraw(portal, visit, case)
    return _supply(portal, visit, state, case)


def _refusal(state: HolderState | None, since: float) -> str:
    """Return the reasons of a holder's last event without effect since a moment, for an application without a case."""
    last = state.refused[-1] if state and state.refused else None
    if last is None or datetime.fromisoformat(last.time).timestamp() < since - 1:
        return ""
    return "；".join(map(str, last.reasons))


def _case(
    portal: Portal,
    visit: Visit,
    state: HolderState,
    case: Case,
    errors: Errors,
    kept: dict[str, str] | None = None,
) -> Response:
    item = portal.catalogue.get(case.item)
    portal.access(visit.account, state.holder, "page case", case.application_id)
    row = as_json(views.case_row(state, case, portal.persons.open))
    values = {**supply_parts(portal, state.holder, case), **visit.draft, **visit.typed}
    wanted = [*row["missing"], *(row["deferred"] if case.state == "accepted" else {})]
    kinds = [rule for kind in wanted if item and (rule := item.material(kind))]
    return portal.page(
        visit,
        "case",
        422 if errors else 200,
        case=row,
        open=case.open,
        item=item,
        wanted=wanted,
        materials=kinds,
        particulars=[name for name in wanted if name.startswith("applicant.")],
        fields=[rule for name in wanted for rule in _rules(portal, name)],
        products=_rows(values, "products", visit.typed.get("more") == "products"),
        values=values,
        errors=errors,
        kept=kept or {},
        divisions=divisions(portal, case.applicant.division),
        commitment=COMMITMENT,
        notice=list(notice_lines(form_row(item))) if item else [],
        today=portal.now().date().isoformat(),
        nonce=secrets.token_hex(8),
        letters=portal.notices.of_case(state.holder, case.key),
    )


def _rules(portal: Portal, name: str) -> list[Any]:
    rules = [
        rule for i in portal.catalogue.items.values() for rule in i.fields if f"fields.{rule.name}" == name
    ]
    return rules[:1]


def supply_parts(portal: Portal, holder: str, case: Case) -> dict[str, str]:
    """Return the products of a case in clear, as fields of the form that supplies what is missing."""
    values = {
        f"products.{n}.{part}": portal.persons.open(holder, getattr(product, part)) or ""
        for n, product in enumerate(case.products)
        for part in ("category", "site", "detail")
    }
    return {name: text for name, text in values.items() if text and not text.startswith("sealed:")}


def _supply(portal: Portal, visit: Visit, state: HolderState, case: Case) -> Response:
    item, now = portal.catalogue.get(case.item), portal.now()
    if visit.typed.get("more") or item is None:
        return _case(portal, visit, state, case, {})
    uploads, wrong = portal.uploads(visit)
    wanted = (*case.missing, *case.deferred) if case.open else ()
    data, errors = forms.supplied_data(
        item,
        wanted,
        visit.typed,
        uploads,
        application_id=case.application_id,
        holder_id=portal.number(visit.account),
        today=now.date(),
    )
    errors |= {name: reason_of(text) for name, text in wrong.items()}
    if not errors:
        source, _ = home_window(portal, visit.account, case.applicant.division)
        sender = Sender(source, now, f"{case.application_id}:supply:{visit.typed.get('nonce', '')[:32]}")
        event = agency_events.event(sender, "application.materials-supplied", data, case.application_id)
        outcome = portal.send(visit, event)
        if isinstance(outcome, Problem) and outcome.status != 409:
            errors = {field_of(outcome.where): reason_of(outcome.detail)}
    if errors:
        return _case(portal, visit, state, case, errors, {k: one.sha256 for k, one in uploads.items()})
    portal.wait_until(lambda: _moved(portal, visit.account, case))
    return RedirectResponse(f"/cases/{quote(case.application_id, safe='')}", 303)


def _moved(portal: Portal, account: Account, before: Case) -> bool:
    state = portal.own(account)
    case = state.cases.get(before.key) if state else None
    return case is not None and case.history != before.history and case.state != "granted"


def _withdraw(portal: Portal, visit: Visit, case: Case) -> Response:
    source, _ = home_window(portal, visit.account, case.applicant.division)
    sender = Sender(source, portal.now(), f"{case.application_id}:withdraw")
    reason = visit.typed.get("reason", "").strip()
    event = agency_events.withdrawal(sender, case.application_id, portal.number(visit.account), reason)
    outcome = portal.send(visit, event)
    if isinstance(outcome, Problem) and outcome.status != 409:
        raise outcome
    portal.wait_until(lambda: _moved(portal, visit.account, case))
    return RedirectResponse(f"/cases/{quote(case.application_id, safe='')}", 303)
