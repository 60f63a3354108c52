"""`number`: the single writer of a series. It gives serials without gaps, identifiers, and places in a status list.

The writer of a number's series is also the only one that knows whether the number is free.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.errors import ZhengzhaoError
from schemas.identifiers import make_identifier, serial_text
from schemas.licence import Grant, Numbered

LIST_CAPACITY = 65_536  # statuses in one list: 16 KiB before compression


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a series: the next serial, and the next place in its status lists."""

    series: str
    next_serial: int = 1
    next_status: int = 0


class SeriesFull(ZhengzhaoError):
    """No serial is left in a series; the grant waits in the dead letters."""

    def __init__(self, series: str) -> None:
        super().__init__(
            f"编号系列 {series} 已满 / the series {series} is full",
            hint="增加该事项编号的位数，再执行 letters retry / raise the digits of the item's number, then: zhengzhao letters retry",
        )


def number(series: Series, grant: Grant, known: str | None = None) -> tuple[Series, Numbered]:
    """Give a version its number, identifier and place in a status list.

    `known` is the number that an earlier version of the licence got, where the grant does not carry it yet. The
    caller remembers what was given by `grant_id` and never asks twice. Raises SeriesFull.
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


def place_in_series(numbered: Numbered) -> int:
    """Return the place of a numbered grant, counted from 0 through all status lists of its series."""
    part = int(numbered.status_list.rpartition("-")[2]) - 1
    return part * LIST_CAPACITY + numbered.status_index


def imported(series: Series, serial: int | None) -> Series:
    """Return the series, going on after an imported serial where that is the highest."""
    if serial is None or serial < series.next_serial:
        return series
    return msgspec.structs.replace(series, next_serial=serial + 1)


def is_free(owner: str | None, holder: str) -> bool:
    """Tell whether a holder may import a number: nobody has it, or this holder asked for it before.

    `owner` is the holder who imported it, empty where it was given by a series of ours, None where nobody has it.
    """
    return owner is None or owner == holder


def list_name(series: str) -> str:
    """Return the name of a series' status lists: short, since each credential carries it, and plain ASCII."""
    return hashlib.sha256(series.encode()).hexdigest()[:12]


def _identifier(grant: Grant, number: str, version: int) -> str:
    return make_identifier(grant.type_code, grant.authority.division, serial_text(number), version)
