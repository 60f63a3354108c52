"""Queries by name: a case by its id, a licence by its number, a holder by USCC or citizen id.

`find_case`, `find_licence` and `find_holder` are the one way to look something up; both engines, the service and the
command line use them. `Queries` makes the rows of `case`, `licence` and `holder` from what they find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from processors.queries import views
from processors.queries.listings import Register
from processors.state import Case, HolderState, Licence
from schemas import rows
from schemas.case_facts import CaseReviewed
from schemas.errors import NotFound, UsageError
from schemas.facts import AnnulmentRecorded, InspectionTaken, LicenceStatusChanged
from schemas.identifiers import compare, fold, kept_id, looks_personal, mask, masked
from schemas.licence import Grant
from schemas.persons import Persons, has_sealed, is_pseudonym, keys_of, open_parts
from schemas.rows import as_json

RecordAccess = Callable[[str, str, str], None]
"""Records that a holder's record is read: ledger key (`*` for everyone's), command, name of the record."""


def find_case(
    register: Register, persons: Persons, application: str, holder: str | None = None
) -> tuple[HolderState, Case]:
    """Return the case of an application id and its holder; `holder` (USCC or citizen id) chooses among several.

    Raises NotFound for an unknown id, and UsageError, naming the holders, where several have a case of this id.
    """
    key = kept_id(application)
    holders = register.holders_of_case(key)
    if holder is not None:
        wanted = keys_of(holder, persons)
        holders = [one for one in holders if one in wanted]
    states = [state for one in holders if (state := register.state(one)) is not None]
    found = [(state, state.cases[key]) for state in states if key in state.cases]
    if not found:
        raise NotFound(
            "未找到该申请 / no such application",
            where=shown(application),
            hint="用 zhengzhao holder show ID 或 zhengzhao case list 查看申请 / "
            "list applications with zhengzhao holder show ID or zhengzhao case list",
        )
    if len(found) > 1:
        names = "、".join(state.display or state.holder for state, _ in found)
        raise UsageError(
            f"多个持证人有此编号的申请 / several holders have an application with this id: {names}",
            where=shown(application),
            hint="用 --holder ID 指明持证人 / name the holder with --holder ID",
        )
    return found[0]


def find_licence(register: Register, number: str) -> tuple[HolderState, Licence]:
    """Return the licence of a number and its holder. Raises NotFound for an unknown number."""
    wanted = kept_id(number)
    holder = register.holder_of_licence(wanted)
    state = register.state(holder) if holder is not None else None
    for licence in state.licences.values() if state is not None else ():
        if compare(licence.number) == wanted:
            assert state is not None
            return state, licence
    raise NotFound(
        "未找到该证照 / no such licence",
        where=shown(number),
        hint="用 zhengzhao licence list 查看证照编号 / list licence numbers with zhengzhao licence list",
    )


def find_holder(register: Register, persons: Persons, number: str) -> HolderState:
    """Return the state of a holder named by USCC or citizen id in clear. Raises NotFound for an unknown one."""
    for key in keys_of(number, persons):
        if (state := register.state(key)) is not None:
            return state
    raise NotFound(
        "未找到该持证人 / no such holder",
        where=shown(number),
        hint="填写统一社会信用代码或公民身份号码 / give a unified social credit code or a citizen id",
    )


def shown(text: str) -> str:
    """Return what was asked for as it may be printed: a person's number is masked."""
    compared = compare(text)
    return mask(compared) if looks_personal(compared) else masked(text)[:100]


class LicenceFilter(NamedTuple):
    """Licences wanted: of an item, of a status, with a part of a holder's name. None stands for all.

    A name is looked for in every version, so that a former name finds the licence too.
    """

    item: str | None = None
    status: str | None = None
    name: str | None = None

    def fits(self, licence: Licence, open_text: views.OpenText) -> bool:
        """Tell whether a licence is wanted; `open_text` opens a person's sealed name."""
        return (
            self.item in (None, licence.item)
            and self.status in (None, licence.shown_status)
            and (self.name is None or any(self._named(v.grant, open_text) for v in licence.versions))
        )

    def _named(self, grant: Grant, open_text: views.OpenText) -> bool:
        return fold(self.name or "") in fold(open_text(grant.holder, grant.holder_name) or "")


class Queries:
    """The answers of `case`, `licence` and `holder`. `record_access` is called before a record is shown."""

    def __init__(
        self, register: Register, persons: Persons, record_access: RecordAccess = lambda *_: None
    ) -> None:
        self._register = register
        self._persons = persons
        self._record_access = record_access

    def case(self, application: str, holder: str | None = None, *, proofs: bool = False) -> dict[str, Any]:
        """Return a case's row, with `proofs` also the proofs of the events that shaped it.

        Raises NotFound or UsageError as `find_case` does.
        """
        state, case = find_case(self._register, self._persons, application, holder)
        self._record_access(state.holder, "case show", case.application_id)
        row = as_json(views.case_row(state, case, self._persons.open))
        if proofs:
            row["proofs"] = views.proof_rows(self._register.orders(state.holder, case.key))
        return row

    def licences(
        self,
        *,
        item: str | None = None,
        status: str | None = None,
        holder: str | None = None,
        name: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of the licences in their newest versions: of an item, status, holder's number, part of a name."""
        wanted = LicenceFilter(item, status, name)
        recorded = False
        for state in self._states_with_licences(wanted, holder):
            if not recorded and state.licences and is_pseudonym(state.holder):
                self._record_access("*", "licence list", "")
                recorded = True
            for licence in state.licences.values():
                if wanted.fits(licence, self._persons.open):
                    yield as_json(views.licence_row(licence, self._persons.open))

    def _states_with_licences(self, wanted: LicenceFilter, holder: str | None) -> Iterator[HolderState]:
        if holder is not None:
            found = (self._register.state(key) for key in sorted(keys_of(holder, self._persons)))
            yield from (state for state in found if state is not None)
            return
        marks = self._register.marks(f"licences:{wanted.item}:" if wanted.item else "licences:")
        suffix = f":{wanted.status}" if wanted.status else ""
        yield from self._register.states(marks=[mark for mark in marks if mark.endswith(suffix)])

    def licence(self, number: str) -> dict[str, Any]:
        """Return a licence with its history. Raises NotFound."""
        state, licence = find_licence(self._register, number)
        self._record_access(state.holder, "licence show", licence.number)
        return as_json(views.licence_record(licence, self._persons.open))

    def version(self, number: str, version: int | None) -> dict[str, Any]:
        """Return the row of one version of a licence, or of the newest. Raises NotFound."""
        state, licence = find_licence(self._register, number)
        self._record_access(state.holder, "licence get", licence.number)
        try:
            return as_json(views.licence_row(licence, self._persons.open, version))
        except KeyError:
            versions = ", ".join(str(v.grant.version) for v in licence.versions)
            raise NotFound(
                f"未找到第 {version} 版 / there is no version {version}",
                where=shown(number),
                hint=f"可选 / choose from: --version {versions}",
            ) from None

    def opened(self, number: str, stored: bytes) -> bytes | None:
        """Return a stored object of a licence as it was issued; None where its holder, a person, was erased."""
        state, _ = find_licence(self._register, number)
        return self._persons.open_object(state.holder, stored)

    def holder(self, number: str) -> dict[str, Any]:
        """Return a holder's record; `number` stands in clear, as the agency knows it. Raises NotFound."""
        state = find_holder(self._register, self._persons, number)
        self._record_access(state.holder, "holder show", "")
        return as_json(views.holder_row(state, self._persons.open))


_WITH_EVIDENCE = ("case.reviewed", "inspection.recorded", "licence.status", "licence.annulled")


def evidence_of(
    register: Register, holder: str, open_evidence: Callable[[str, str], str | None]
) -> Iterator[rows.HistoryLine]:
    """Yield the grounds and findings about a person, also about an erased one: `open_evidence` opens them."""
    for fact in register.facts(_WITH_EVIDENCE):
        if fact.holder != holder:
            continue
        text = _evidence(fact.body)
        if has_sealed(text):
            opened = open_parts(text, lambda part: open_evidence(holder, part), views.ERASED)
            yield rows.HistoryLine(fact.time, fact.type, opened)


def _evidence(body: Any) -> str:
    if isinstance(body, CaseReviewed):
        return body.grounds
    if isinstance(body, InspectionTaken):
        return body.findings
    return body.ground if isinstance(body, LicenceStatusChanged | AnnulmentRecorded) else ""


class Subject(NamedTuple):
    """A licence and its holder, as an event about it names them.

    `holder_id` is None for a person, since the register has no number in clear.
    """

    holder: str  # ledger key
    kind: str
    display: str
    holder_id: str | None
    name: str
    address: str
    division: str
    item: str
    number: str
    authority: str  # code


def subject_of_licence(register: Register, persons: Persons, number: str) -> Subject:
    """Return the subject of a licence number. Raises NotFound for an unknown one."""
    return _subject(*find_licence(register, number), persons)


def subject_of_case(register: Register, persons: Persons, application: str, holder: str | None) -> Subject:
    """Return the subject of the licence that an application led to.

    Raises NotFound where there is no such application or licence, UsageError where several holders have that id.
    """
    state, case = find_case(register, persons, application, holder)
    licence = state.licences.get(case.licence)
    if licence is None:
        raise NotFound(
            "该申请尚未取得证照 / this application has led to no licence",
            where=shown(application),
            hint="用 zhengzhao case show ID 查看进度 / see how far it is with zhengzhao case show ID",
        )
    return _subject(state, licence, persons)


def _subject(state: HolderState, licence: Licence, persons: Persons) -> Subject:
    grant = licence.now
    return Subject(
        holder=state.holder,
        kind=grant.holder_kind,
        display=grant.holder_id,
        holder_id=None if is_pseudonym(state.holder) else state.holder,
        name=persons.open(state.holder, grant.holder_name) or "",
        address=persons.open(state.holder, grant.address) or "",
        division=grant.division,
        item=licence.item,
        number=licence.number,
        authority=grant.authority.code,
    )
