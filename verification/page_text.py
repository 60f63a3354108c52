"""What a person sees on the page of a licence, read with pdfplumber and compared with what was signed beside it.

It runs on files whose seal was verified: what it reads was put there by an authority.
"""

from __future__ import annotations

import io
import logging
import unicodedata
from typing import Final

import pdfplumber

from schemas.body import LicenceBody
from schemas.errors import VerificationError

MAX_PAGES: Final = 100
logging.getLogger("pdfminer").setLevel(logging.ERROR)  # its warnings are no news to who verifies


def check_page(data: bytes, body: LicenceBody) -> None:
    """VerificationError names the facts of the body that the first page does not say."""
    seen = _plain(_first_page(data))
    missing = [name for name, text in _facts(body).items() if _plain(text) not in seen]
    if missing:
        raise VerificationError(f"the visible page does not say: {', '.join(missing)}")


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


def _first_page(data: bytes) -> str:
    try:
        with pdfplumber.open(io.BytesIO(data)) as document:
            if len(document.pages) > MAX_PAGES:
                raise VerificationError(f"more than {MAX_PAGES} pages")
            return "".join(char["text"] for char in document.pages[0].chars)
    except VerificationError:
        raise
    except Exception as error:  # a PDF library raises whatever comes to its mind
        raise VerificationError(f"the page cannot be read: {type(error).__name__}") from None


def _plain(text: str) -> str:
    """Without spaces and line breaks, in one composition of each character."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _date(iso: str) -> str:
    year, month, day = iso.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"
