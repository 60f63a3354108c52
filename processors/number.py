"""`number`: the single writer of a series. Serials without gaps, identifiers, places in a status list.

Which series a licence number is of: its writer is the one that can say whether the number is free.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.facts import Reason
from schemas.identifiers import make_identifier, serial_text
from schemas.licence import Grant, Numbered

LIST_CAPACITY = 65_536  # statuses in one list: 16 KiB before compression


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a series: the next serial, and the next place in its status lists."""

    series: str
    next_serial: int = 1
    next_status: int = 0


class SeriesFull(Exception):
    """No serial is left: the grant waits, and an alarm is raised."""

    def __init__(self, series: str) -> None:
        super().__init__(series)
        self.reason = Reason(f"编号系列 {series} 已满", f"the series {series} is full")


def number(series: Series, grant: Grant, known: str | None = None) -> tuple[Series, Numbered]:
    """Gives a version its number, identifier and place in a status list.

    `known` is the number that an earlier version of the licence got, where the grant does not carry it yet. The
    caller keeps what was given by `grant_id` and never asks twice. Raises SeriesFull.
    """
    given = grant.number or known
    serial = 0
    if given is None:
        serial = series.next_serial
        if serial >= 10**grant.digits:
            raise SeriesFull(series.series)
        series = msgspec.structs.replace(series, next_serial=serial + 1)
        given = f"{grant.series}{serial:0{grant.digits}d}"
    place = series.next_status
    series = msgspec.structs.replace(series, next_status=place + 1)
    return series, Numbered(
        grant=grant,
        number=given,
        serial=serial,
        identifier=_identifier(grant, given, grant.version),
        previous_identifier=_identifier(grant, given, grant.version - 1) if grant.version > 1 else None,
        status_list=f"{list_name(series.series)}-{place // LIST_CAPACITY + 1}",
        status_index=place % LIST_CAPACITY,
    )


def imported(series: Series, serial: int | None) -> Series:
    """A series goes on after the highest serial known."""
    if serial is None or serial < series.next_serial:
        return series
    return msgspec.structs.replace(series, next_serial=serial + 1)


def is_free(owner: str | None, holder: str) -> bool:
    """Whether a holder may import a number: nobody has it, or this holder asked for it before.

    `owner` is the holder who imported it, empty where it was given by a series of ours, None where nobody has it.
    """
    return owner is None or owner == holder


def list_name(series: str) -> str:
    """The name of a series' status lists: short, since each credential carries it, and plain (`schemas.status_list`)."""
    return hashlib.sha256(series.encode()).hexdigest()[:12]


def _identifier(grant: Grant, number: str, version: int) -> str:
    return make_identifier(grant.type_code, grant.authority.division, serial_text(number), version)
