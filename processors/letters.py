"""Letters as a function of facts: what a holder's facts tell it in writing, in the order in which it was decided.

A fold over the facts of one holder: each letter is made of its fact and of what was known at that moment, so the same
facts give the same letters, on either engine and in every replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from processors.evolve import apply
from processors.state import Case, HolderState, initial
from schemas import facts as f
from schemas.authorities import issuing_authority, named_on, source_of
from schemas.calendar import china_date
from schemas.facts import Fact
from schemas.item_types import ServiceItem
from schemas.letters import Letter, paragraphs_of, templates
from schemas.licence import Authority

ItemOf = Callable[[str, str], ServiceItem | None]
"""Returns a service item as it was, by its digest and code."""

TYPES: Final = (
    "case.accepted", "case.correction-requested", "case.refused", "case.lapsed", "case.granted", "licence.status",
)  # fmt: skip
"""Types of the facts that lead to letters."""
_ACTIONS: Final = {
    "new": "新办", "extend": "增项", "change": "变更", "renew": "延续", "reissue": "补发", "merge": "合并", "surrender": "注销",
}  # fmt: skip
_PARTS: Final = {
    "products": "产品（类别、生产地址、明细）",
    "applicant.name": "申请人名称",
    "applicant.address": "申请人住所",
    "applicant.division": "申请人所在区划",
}


def letters_of(facts: Iterable[Fact], item_of: ItemOf) -> Iterator[Letter]:
    """Yield the letters that the facts of one holder lead to."""
    state: HolderState | None = None
    digests: dict[str, str] = {}
    numbers: Counter[str] = Counter()
    for fact in facts:
        state = state or initial(fact.holder)
        # The case is taken from before the fact, since a state soon leaves out a case that the fact ends.
        case = state.cases.get(getattr(fact.body, "case", ""))
        apply(state, fact)
        if isinstance(fact.body, f.CaseOpened):
            digests[fact.body.case] = fact.body.item_digest
        letter = _letter(state, fact, case, digests, item_of)
        if letter is not None:
            numbers[letter.number] += 1
            yield _numbered(letter, numbers[letter.number])


def _numbered(letter: Letter, times: int) -> Letter:
    """Return a letter whose number no other letter of this holder has."""
    if times == 1:
        return letter
    number = letter.number.removesuffix("号") + f"-{times}号"
    return replace(letter, number=number)


def _letter(
    state: HolderState, fact: Fact, case: Case | None, digests: Mapping[str, str], item_of: ItemOf
) -> Letter | None:
    body = fact.body
    if isinstance(body, f.LicenceStatusChanged):
        return _order(state, fact, body, item_of)
    if not isinstance(
        body, f.CaseAccepted | f.CorrectionRequested | f.CaseRefused | f.CaseLapsed | f.CaseGranted
    ):
        return None
    item = item_of(digests.get(body.case, ""), case.item) if case else None
    if case is None or item is None:
        return None
    listed: tuple[str, ...] = ()
    values: dict[str, str] = {}
    match body:
        case f.CaseAccepted():
            kind = "acceptance"
            values = {"promised": _day(body.promised), "statutory": _day(body.statutory)}
            listed = tuple(f"{_part(item, k)}（{_day(day)}前）" for k, day in body.deferred.items())
            values["deferred"] = "yes" if body.deferred else ""
        case f.CorrectionRequested():
            kind = "correction"
            values = {"due": _day(body.due), "reasons": "；".join(one.zh for one in body.reasons)}
            listed = tuple(_part(item, name) for name in body.missing)
        case f.CaseGranted():
            if body.version == 0:  # a surrender: the licence's own fact tells of its end
                return None
            kind = "grant"
            values = {"days": str(item.limits.certificate)}
        case _:
            kind = (
                "refusal" if case.state == "accepted" or isinstance(body, f.CaseLapsed) else "non-acceptance"
            )
            values = {"reasons": "；".join(one.zh for one in body.reasons)}
    authority = _authority(item, case, fact)
    if authority is None:
        return None
    values |= {
        "filed_on": _day(case.filed_on),
        "item": item.name.zh,
        "action": _ACTIONS.get(case.action, "登记"),
        "application_id": case.application_id,
    }
    return _made(state, fact, kind, authority, values, listed, case=case)


def _order(state: HolderState, fact: Fact, body: f.LicenceStatusChanged, item_of: ItemOf) -> Letter | None:
    licence = state.licences.get(body.licence)
    if licence is None or body.status not in templates():
        return None
    grant = licence.now
    item = item_of(grant.item_digest, grant.item)
    if item is None:
        return None
    values = {
        "item": item.name.zh,
        "licence": licence.number or grant.application_id,
        "on": _day(body.decided_on or _china_day(fact)),
        "ground": body.ground or _GROUNDS.get(body.event, ""),
        "basis": body.legal_basis,
        "until": _day(body.until),
        "application_id": licence.number or grant.application_id,
    }
    authority = named_on(grant.authority, item, _china_day(fact))
    return _made(state, fact, body.status, authority, values, (), licence=licence.number)


_GROUNDS: Final = {"surrender": "持证人申请注销", "application.submitted": "持证人申请注销"}


def _made(
    state: HolderState,
    fact: Fact,
    kind: str,
    authority: Authority,
    values: dict[str, str],
    listed: tuple[str, ...],
    *,
    case: Case | None = None,
    licence: str = "",
) -> Letter:
    template, day = templates()[kind], _china_day(fact)
    name = (case.applicant.name if case else "") or state.name
    return Letter(
        id=fact.id,
        kind=kind,
        number=f"{template.mark}〔{day[:4]}〕{values['application_id']}号",
        title=template.title,
        holder=state.holder,
        holder_kind=state.kind or (case.applicant.kind if case else "enterprise"),
        display=(case.applicant.display if case else "") or state.display,
        to=name,
        authority=authority,
        decided_at=fact.time,
        dated=day,
        application_id=case.application_id if case else "",
        case=case.key if case else "",
        licence=licence,
        paragraphs=paragraphs_of(template, values),
        heading=template.list if listed else "",
        listed=listed,
    )


def _authority(item: ServiceItem, case: Case, fact: Fact) -> Authority | None:
    """Return the item's authority above the applicant, or above the window where the applicant's place is not known."""
    agency = source_of(case.source)
    day = _china_day(fact)
    return issuing_authority(item, case.applicant.division, day) or (
        issuing_authority(item, agency.division, day) if agency else None
    )


def _part(item: ServiceItem, name: str) -> str:
    rule = item.material(name)
    if rule is not None:
        return rule.name.zh
    field = next((one.label.zh for one in item.fields if f"fields.{one.name}" == name), "")
    return _PARTS.get(name) or field or name


def _china_day(fact: Fact) -> str:
    return china_date(datetime.fromisoformat(fact.time)).isoformat()


def _day(text: str) -> str:
    """Return an ISO date as letters write it: 2018年9月12日; an empty one stays empty."""
    if not text:
        return ""
    year, month, day = text.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"
