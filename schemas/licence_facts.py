"""Facts about licences: grants, numbers, objects and status, and the bars and checks that follow."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.case_facts import FactBody, Reason
from schemas.licence import Grant, Issued

LicenceStatus = Literal["valid", "suspended", "withdrawn", "rescinded", "revoked", "cancelled", "expired"]


class LicenceGranted(FactBody, frozen=True, tag="licence.granted"):
    """A version of a licence was decided."""

    grant: Grant
    case: str = ""
    action: str = ""  # no other default: what is omitted must not depend on which object a text is
    replaces: str = ""  # annulled decision: the licence that this one makes good


class ImportRecorded(FactBody, frozen=True, tag="licence.imported"):
    """A licence issued elsewhere entered the register as version 0."""

    grant: Grant
    serial: int | None = None  # where the number is of a series of ours
    folds: dict[str, str] = msgspec.field(default_factory=dict)  # as in ApplicantSeen


class LicenceNumbered(FactBody, frozen=True, tag="licence.numbered"):
    """A version has its number, identifier and place in a status list."""

    licence: str
    version: int
    number: str
    identifier: str
    status_list: str
    status_index: int


class LicenceIssued(FactBody, frozen=True, tag="licence.issued"):
    """A version is in the store; the fact holds enough to build its object again."""

    issued: Issued


class IssueFailed(FactBody, frozen=True, tag="licence.issue-failed"):
    """A version could not be numbered or issued, by itself; it waits in the dead letters for `letters retry`."""

    licence: str
    version: int
    due: str  # last day for the certificate (行政许可法 art 44)
    fallback: bool = False
    calendar: str = ""


class CertificateOverdue(FactBody, frozen=True, tag="licence.certificate-overdue"):
    """A version that could not be issued had no certificate by its last day: an alarm, once."""

    licence: str
    version: int
    due: str


class LicenceStatusChanged(FactBody, frozen=True, tag="licence.status"):
    """A licence is suspended, resumed or ended. `event` says by what."""

    licence: str
    status: LicenceStatus
    event: str
    ground: str = ""
    legal_basis: str = ""
    decided_on: str = ""
    until: str = ""
    deceit: bool = False
    merged_into: str = ""


class AnnulmentRecorded(FactBody, frozen=True, tag="licence.annulled"):
    """撤回, 撤销 or 吊销 of this licence was lifted; its bar with it."""

    licence: str
    ground: str
    decided_on: str


class BarImposed(FactBody, frozen=True, tag="bar.imposed"):
    """No application of this holder for this item from `since` to `until`, both counted."""

    item: str
    since: str
    until: str
    ground: Reason
    licence: str = ""


class CheckScheduled(FactBody, frozen=True, tag="check.scheduled"):
    """An on-site check (后置现场核查) is due."""

    check: str
    licence: str
    due: str
    sites: tuple[str, ...] = ()


class CheckOverdue(FactBody, frozen=True, tag="check.overdue"):
    """The check was not recorded by its day: an alarm, once."""

    check: str
    due: str


class InspectionTaken(FactBody, frozen=True, tag="inspection.recorded"):
    """An inspection was recorded; `check` is the scheduled check that it settles."""

    inspection: str  # compared id
    inspection_id: str  # as first sent
    kind: str
    licence: str
    inspectors: tuple[str, ...]
    inspected_on: str
    result: str
    passed: bool
    commitment_false: bool
    findings: str = ""
    check: str = ""
    order_to_correct: bool = False
