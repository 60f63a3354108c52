"""`number`: the single writer of a series. It gives serials without gaps, identifiers, and places in a status list.

The writer of a number's series is also the only one that knows whether the number is free.
"""

from __future__ import annotations

import hashlib

import msgspec

from schemas.authorities import EXAMPLE_HOST
from schemas.errors import ZhengzhaoError
from schemas.identifiers import make_identifier, serial_text
from schemas.licence import Grant, Numbered

LIST_CAPACITY = 65_536  # statuses in one list: 16 KiB before compression


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a series: the next serial, and the next place in its status lists.

    A status list has one address, and so one host. `next_status` counts the places of the lists of `host`; `lists` has
    the next place for each further host, whose lists begin where no other one's are.
    """

    series: str
    next_serial: int = 1
    next_status: int = 0
    host: str = ""  # the host of the first licence
    lists: dict[str, int] = {}


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
    place = _next_place(series, grant.authority.host)
    series = after_place(series, grant.authority.host, place)
    return series, Numbered(
        grant=grant,
        number=given,
        serial=serial,
        identifier=_identifier(grant, given, grant.version),
        previous_identifier=_identifier(grant, given, grant.version - 1) if grant.version > 1 else None,
        status_list=f"{list_name(series.series)}-{place // LIST_CAPACITY + 1}",
        status_index=place % LIST_CAPACITY,
    )


def after_place(series: Series, host: str, place: int) -> Series:
    """Return the series after a place in the lists of a host was given."""
    if (first := _first_host(series)) in ("", host):
        return msgspec.structs.replace(series, next_status=max(series.next_status, place + 1), host=host)
    after = max(series.lists.get(host, 0), place + 1)
    return msgspec.structs.replace(series, lists={**series.lists, host: after}, host=first)


def _next_place(series: Series, host: str) -> int:
    """Return the next place in the lists of a host; no place is given in a full list, or in one of another host."""
    first = _first_host(series) in ("", host)
    place = series.next_status if first else series.lists.get(host, 0)
    if place % LIST_CAPACITY or (first and not series.lists):
        return place
    return (
        max(-(-used // LIST_CAPACITY) for used in (series.next_status, *series.lists.values()))
        * LIST_CAPACITY
    )


def _first_host(series: Series) -> str:
    """Return the host of the first licence; empty before it. Earlier releases kept none, and knew the example host only."""
    return series.host or (EXAMPLE_HOST if series.next_status else "")


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
