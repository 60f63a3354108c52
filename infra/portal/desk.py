"""Pages of agencies: the worklist, cases with their review and clock, orders on licences, checks, dead letters."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import date
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.responses import RedirectResponse, Response

from infra.http.problems import Problem
from infra.portal.cases import supply_parts
from infra.portal.forms import field_of, reason_of
from infra.portal.my import divisions, letter_file
from infra.portal.web import Portal, Visit
from processors.queries import views
from processors.queries.find import find_case, find_licence
from processors.state import Case, HolderState
from producers import agency_events
from producers.agency_events import Sender
from schemas.authorities import is_at_or_above, source_of
from schemas.errors import NotFound
from schemas.facts import Reason
from schemas.persons import is_pseudonym, keys_of
from schemas.rows import as_json

_EXAMINED: Final = 2000  # holders that one worklist looks at, those with something due next first
_SHOWN: Final = 200
_REVIEWERS: Final = ("reviewer", "supervisor")
_CLOCKS: Final = ("hearing", "testing", "expert-review")


class DeskTask(msgspec.Struct, frozen=True):
    """A line of the worklist; `colour` is red where it is past its day, yellow on that day and the one before."""

    kind: str
    id: str
    link: str
    item: str
    state: str
    holder: str
    due: str
    colour: str


def desk(portal: Portal, visit: Visit) -> Response:
    """Show what an officer's agency has to do, the next day first."""
    wanted = visit.asked("q").strip()
    if wanted:
        return _search(portal, visit, wanted)
    today = portal.now().date().isoformat()
    with portal.register(visit.account) as register:
        tasks: list[DeskTask] = []
        for n, state in enumerate(register.states_by_due()):
            if n >= _EXAMINED:
                break
            tasks += _tasks(portal, visit.account.subject, state, today)
    if any("*" in task.holder for task in tasks):
        portal.access(visit.account, "*", "page desk", "")
    tasks.sort(key=lambda task: (task.due or "9999", task.id))
    items = [i for i in portal.catalogue.items.values() if i.mode in ("commitment", "review")]
    return portal.page(
        visit,
        "desk",
        tasks=tasks[:_SHOWN],
        more=max(0, len(tasks) - _SHOWN),
        red=sum(task.colour == "red" for task in tasks),
        yellow=sum(task.colour == "yellow" for task in tasks),
        waiting=portal.accounts.proposals(visit.account.subject),
        items=items,
        named=portal.catalogue.items,
    )


def _search(portal: Portal, visit: Visit, wanted: str) -> Response:
    """Lead to the case or licence of an id; to the worklist with a word where there is none."""
    for path, finds in (("cases", _finds_case), ("licences", _finds_licence)):
        try:
            return RedirectResponse(f"/desk/{path}/{quote(finds(portal, visit, wanted), safe='')}", 303)
        except NotFound:
            continue
    raise NotFound("未找到这个编号 / nothing of this id")


def _finds_case(portal: Portal, visit: Visit, wanted: str) -> str:
    with portal.register(visit.account) as register:
        return find_case(register, portal.persons, wanted)[1].application_id


def _finds_licence(portal: Portal, visit: Visit, wanted: str) -> str:
    with portal.register(visit.account) as register:
        return find_licence(register, wanted)[1].number


def _tasks(portal: Portal, source: str, state: HolderState, today: str) -> Iterator[DeskTask]:
    for case in state.cases.values():
        if case.open:
            due = case.correction if case.state == "correction-requested" else case.promised
            link = f"/desk/cases/{quote(case.application_id, safe='')}"
            colour = "red" if case.alarmed else _colour(due, today)
            yield DeskTask(
                "case", case.application_id, link, case.item, case.state, state.display, due, colour
            )
    agency = source_of(source)
    for filing in state.filings.values():
        if filing.state in ("pushed", "received") and agency and filing.ref.department == agency.department:
            colour = next((c for c in ("red", "yellow") if c in filing.alarmed), "")
            link = f"/desk/filings/{quote(filing.ref.filing_id, safe='')}"
            yield DeskTask(
                "filing",
                filing.ref.filing_id,
                link,
                filing.ref.item,
                filing.state,
                state.display,
                filing.red,
                colour,
            )
    for check in state.checks.values():
        licence = state.licences.get(check.licence)
        if check.state in ("scheduled", "overdue") and licence is not None and licence.number:
            link = f"/desk/licences/{quote(licence.number, safe='')}#check"
            name = check.inspection_id or check.key
            colour = "red" if check.state == "overdue" else _colour(check.due, today)
            yield DeskTask("check", name, link, licence.item, check.state, state.display, check.due, colour)


def _colour(due: str, today: str) -> str:
    if not due:
        return ""
    left = (date.fromisoformat(due) - date.fromisoformat(today)).days
    return "red" if left < 0 else "yellow" if left <= 1 else ""


def statistics(portal: Portal, visit: Visit) -> Response:
    """Show how the cases of an officer's department went, in its division and below."""
    agency = source_of(visit.account.subject)
    if agency is None or not visit.account.may(*_REVIEWERS, "regulator"):
        raise NotFound("未找到这个页面 / no such page")
    found = portal.figures()
    rows = [
        row
        for row in found["rows"]
        if (decides := source_of(row["authority"] or "")) is not None
        and decides.department == agency.department
        and is_at_or_above(agency.division, decides.division)
    ]
    return portal.page(visit, "statistics", rows=rows, as_of=(found["as_of"] or "")[:10])


# --- cases


def desk_case(portal: Portal, visit: Visit) -> Response:
    """Show a case to an officer, and take the officer's decision on it."""
    with portal.register(visit.account) as register:
        state, case = find_case(
            register, portal.persons, visit.word("application"), visit.asked("holder") or None
        )
    portal.access(visit.account, state.holder, "page desk case", case.application_id)
    if not visit.posted or visit.typed.get("more"):
        return _case(portal, visit, state, case, {})
    if visit.typed.get("seen") != str(len(case.history)):
        late = Reason(
            "此案刚有他人办理，请先看最新情况", "somebody has just acted on this case: see what is new first"
        )
        return _case(portal, visit, state, case, {"seen": late}, 409)
    number, wrong = holder_number(portal, visit, state)
    if wrong:
        return _case(portal, visit, state, case, wrong)
    made = _act(portal, visit, case, number)
    if isinstance(made, dict):
        return _case(portal, visit, state, case, made)
    outcome = portal.send(visit, _event(portal, visit, case, *made))
    if isinstance(outcome, Problem) and outcome.status != 409:
        return _case(portal, visit, state, case, {field_of(outcome.where): reason_of(outcome.detail)})
    portal.wait_until(lambda: _moved(portal, state, case))
    return RedirectResponse(visit.here, 303)


def _case(
    portal: Portal, visit: Visit, state: HolderState, case: Case, errors: dict[str, Reason], status: int = 422
) -> Response:
    item = portal.catalogue.get(case.item)
    agency = source_of(visit.account.subject)
    department = agency.department if agency else ""
    values = {**supply_parts(portal, state.holder, case), **visit.draft, **visit.typed}
    files = [m for m in case.materials if m.uri]
    return portal.page(
        visit,
        "desk_case",
        status if errors else 200,
        case=as_json(views.case_row(state, case, portal.persons.open)),
        who={
            "name": portal.persons.open(state.holder, case.applicant.name) or "",
            "address": portal.persons.open(state.holder, case.applicant.address) or "",
            "division": case.applicant.division,
            "id": case.applicant.display,
        },
        products=[(p.category, *_opened(portal, state.holder, p.site, p.detail)) for p in case.products],
        files=[(m.kind, m.uri.rpartition("/")[2]) for m in files],
        personal=is_pseudonym(state.holder),
        open=case.open,
        item=item,
        errors=errors,
        values=values,
        clocks=_CLOCKS,
        running=case.clocks,
        seen=len(case.history),
        reviews=visit.account.may(*_REVIEWERS)
        and case.state == "accepted"
        and item is not None
        and department in item.deciding,
        nonce=secrets.token_hex(8),
        divisions=divisions(portal, case.applicant.division),
        letters=portal.notices.of_case(state.holder, case.key),
    )


def _opened(portal: Portal, holder: str, *texts: str) -> tuple[str, ...]:
    return tuple(portal.persons.open(holder, text) or "" for text in texts)


def holder_number(portal: Portal, visit: Visit, state: HolderState) -> tuple[str, dict[str, Reason]]:
    """Return the holder's number in clear; of a person the officer has to type it, since the register has none."""
    if not is_pseudonym(state.holder):
        return state.holder, {}
    typed = visit.typed.get("holder_id", "").strip()
    if typed and state.holder in keys_of(typed, portal.persons):
        return typed, {}
    return "", {"holder_id": Reason("请填写持证人的证件号码", "type the holder's citizen id")}


def _act(
    portal: Portal, visit: Visit, case: Case, number: str
) -> tuple[str, dict[str, Any]] | dict[str, Reason]:
    """Return type and data of the event that a form asks for, or what is wrong in the form."""
    typed, account = visit.typed, visit.account
    agency = source_of(account.subject)
    data: dict[str, Any] = {"application_id": case.application_id, "holder_id": number}
    match typed.get("do", ""):
        case "approve" | "reject" as decision if account.may(*_REVIEWERS) and agency:
            grounds = typed.get("grounds", "").strip()
            if decision == "reject" and not grounds:
                return {"grounds": Reason("不予许可须说明理由", "say why")}
            data |= {
                "department": agency.department,
                "officer": account.name or account.id,
                "decision": decision,
            }
            data |= {"grounds": grounds} if grounds else {}
            data |= {"false_material": True} if typed.get("false_material") and decision == "reject" else {}
            return "application.reviewed", data
        case "clock-stopped" | "clock-resumed" as turn if account.may(*_REVIEWERS):
            return f"application.{turn}", {**data, "cause": typed.get("cause", "")}
        case "withdraw" if account.may("window", "supervisor"):
            return "application.withdrawn", {**data, "reason": typed.get("reason", "").strip() or None}
    return {"do": Reason("您的角色不能这样办理", "your role does not allow this")}


def _event(portal: Portal, visit: Visit, case: Case, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    name = f"{case.application_id}:{kind}:{visit.typed.get('nonce', '')[:32]}"
    sender = Sender(visit.account.subject, portal.now(), name)
    return agency_events.event(sender, kind, data, case.application_id)


def _moved(portal: Portal, state: HolderState, case: Case) -> bool:
    with portal.installation.register() as register:
        now = register.state(state.holder)
    after = now.cases.get(case.key) if now else None
    return now is not None and (after != case or len(now.refused) != len(state.refused))


def desk_file(portal: Portal, visit: Visit) -> Response:
    """Send a paper of a case that an officer may read."""
    with portal.register(visit.account) as register:
        state, case = find_case(register, portal.persons, visit.word("application"))
    digest = visit.word("digest")
    if all(m.uri.rpartition("/")[2] != digest for m in case.materials):
        raise NotFound("未找到这个文件 / no such file")
    portal.access(visit.account, state.holder, "page desk file", case.application_id)
    content = portal.persons.open_file(portal.store.get(f"uploads/{digest}"))
    if content.startswith(b"%PDF"):
        headers = {"Content-Disposition": 'attachment; filename="paper.pdf"'}
        return Response(content, media_type="application/pdf", headers=headers)
    return Response(content, media_type="image/png" if content.startswith(b"\x89PNG") else "image/jpeg")


def desk_letter(portal: Portal, visit: Visit) -> Response:
    """Send a letter about a case that an officer may read."""
    with portal.register(visit.account) as register:
        state, case = find_case(register, portal.persons, visit.word("application"))
    portal.access(visit.account, state.holder, "page desk letter", case.application_id)
    return letter_file(portal, state.holder, visit.word("letter"), case.key)
