"""What a person sees on the pages of a licence, read with pdfplumber and compared with what was signed beside it.

It runs on files whose seal was verified: what it reads was put there by an authority. Pages are read one after
another, and no further than until everything is found.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from datetime import date
from typing import Final

import pdfplumber

from schemas.body import LicenceBody
from schemas.errors import VerificationError
from schemas.look import look, shows

MAX_PAGES: Final = 200
_LONGEST: Final = 8000  # characters kept of the pages before: more than any one text has
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_CHARACTER: Final = re.compile(r"\(cid:\d+\)")  # a glyph that is a part of the character before it
logging.getLogger("pdfminer").setLevel(logging.ERROR)  # its warnings are no news to who verifies


def check_page(data: bytes, body: LicenceBody) -> None:
    """VerificationError names what the body says and the pages do not.

    The facts stand on the first page; particulars, products and filings there or in the annex (附页).
    """
    pages = _pages(data)
    first = next(pages)
    missing = [name for name, text in _facts(body).items() if not shows(first, _plain(text))]
    if missing:
        raise VerificationError(f"版面上没有 / the visible page does not say: {', '.join(missing)}")
    lists = [text for text in map(_plain, _lists(body)) if not shows(first, text)]
    before = ""
    for page in pages if lists else ():
        lists = [text for text in lists if not shows(page, text) and not _runs_over(text, before, page)]
        before = (before + page)[-_LONGEST:]
        if not lists:
            break
    if lists:
        raise VerificationError(f"版面上没有 / the visible pages do not say: {lists[0][:40]}")


def _facts(body: LicenceBody) -> dict[str, str]:
    until = _date(body.valid_until) if body.valid_until else "长期"
    return {
        "name of the licence": body.licence_name,
        "number": body.number,
        "holder": body.holder,
        "holder's id": body.holder_id,
        "first day": _date(body.valid_from),
        "last day": until,
        "day of issue": _date(body.issued_on),
        "authority": body.authority,
        "identifier": body.identifier,
        "version": f"第{body.version}版",
        "previous identifier": body.previous_identifier or "",
        "address": body.address,
    }


def _lists(body: LicenceBody) -> Iterator[str]:
    for particular in body.registered:
        yield particular.label
        yield _said(particular.value)
    for product in body.products:
        yield from (product.category, product.detail, product.site)
    for filing in body.filings:
        yield filing.name


def _runs_over(text: str, before: str, page: str) -> bool:
    """Whether a text begins on the pages before and ends on this one."""
    return any(text[:cut] in before and text[cut:] in page for cut in range(1, len(text)))


def _pages(data: bytes) -> Iterator[str]:
    """The text of each page, in the order in which it was set."""
    try:
        with pdfplumber.open(io.BytesIO(data)) as document:
            if not 0 < len(document.pages) <= MAX_PAGES:
                raise VerificationError(f"没有页面，或页数过多 / no page, or more than {MAX_PAGES}")
            for page in document.pages:
                yield _plain("".join(char["text"] for char in page.chars))
                page.close()
    except VerificationError:
        raise
    except Exception as error:  # a PDF library raises whatever comes to its mind
        raise VerificationError(f"版面无法读取 / the page cannot be read: {type(error).__name__}") from None


def _plain(text: str) -> str:
    """By its looks: a page tells glyphs, and characters can share one."""
    return look(_NO_CHARACTER.sub("", text))


def _said(value: str) -> str:
    """A particular as it stands on the page: a date as dates do."""
    try:
        return _date(value) if _ISO.fullmatch(value) and date.fromisoformat(value) else value
    except ValueError:
        return value


def _date(iso: str) -> str:
    year, month, day = iso.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"
