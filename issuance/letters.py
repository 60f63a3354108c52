"""Sealed PDFs of official letters: one page set from a letter, with the letter's content attached, under a seal.

Lint and page come first, then the seal, as for a licence. The file follows from the letter, the certificate and one
signature, so that it can be built again from what its seal holds.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from issuance import fonts, page, pdf, seal
from issuance.page import Pages, Sheet
from issuance.page_text import breakable, date_text, units
from issuance.signer import ES256, Signer
from schemas import signatures
from schemas.canonical_json import canonical
from schemas.errors import VerificationError
from schemas.letters import Letter
from schemas.trust import TrustStore

FILE: Final = "letter.json"
TEMPLATE: Final = "letter"
_REASON: Final = "行政许可文书 / official letter"
_LINES: Final = 20  # of text on the first page
_EMS: Final = 36  # of a line
_NOTES: Final = ("本文书带有电子签章，与纸质文书具有同等法律效力（国务院令第716号）。",)


class LetterSealer:
    """The sealing of letters. Keep one for each process, since it holds fonts and compilers."""

    def __init__(self, trust: TrustStore) -> None:
        self._trust = trust
        self._pages = Pages()

    def sealed(self, letter: Letter, to: str, signer: Signer) -> bytes:
        """Return the sealed file of a letter to somebody (in clear). Raises LintError, with nothing signed."""
        kid = self.key_of(letter)
        unsealed = self._unsealed(letter, to, kid)
        return unsealed.finish(signatures.raw_to_der(signer.sign(kid, ES256, unsealed.to_be_signed)))

    def rebuild(self, letter: Letter, to: str, signature_der: bytes) -> bytes:
        """Build a letter again with its recorded signature. Raises VerificationError where that does not fit."""
        kid = self.key_of(letter)
        unsealed = self._unsealed(letter, to, kid)
        try:
            raw = signatures.der_to_raw(signature_der)
        except ValueError:
            raw = b""
        if not signatures.verifies(self._trust.public_key(kid), raw, unsealed.to_be_signed):
            raise VerificationError(
                "文书的签名与重建内容不符 / the letter's signature does not fit what is rebuilt",
                where=letter.number,
            )
        return unsealed.finish(signature_der)

    def key_of(self, letter: Letter) -> str:
        """Return the key that seals a letter. Raises LintError where its authority had none then."""
        at = datetime.fromisoformat(letter.decided_at)
        return self._trust.signing_key(letter.authority.code, "seal", at).kid

    def _unsealed(self, letter: Letter, to: str, kid: str) -> seal.Unsealed:
        layout = page.layout(TEMPLATE)
        sheet = _sheet(letter, to)
        moment = page.seconds(letter.decided_at)
        box = layout.seal
        x, y, radius = (box.left + box.right) / 2, (box.bottom + box.top) / 2, (box.right - box.left) / 2
        return seal.prepare(
            self._pages.values(layout, sheet, moment),
            form=self._pages.form(layout, sheet),
            attachments=(
                seal.Attachment(
                    FILE, "application/json", "Source", "文书内容 / letter", _content(letter, to)
                ),
            ),
            drawing=pdf.draw_emblem(letter.authority.name, x, y, radius),
            box=box,
            certificate_der=self._trust.certificate(kid).public_bytes(Encoding.DER),
            name=letter.authority.name,
            reason=_REASON,
            time=moment,
        )


def made_with() -> dict[str, str]:
    """Return what sets the pages of letters here: renderer, template and fonts."""
    return {"renderer": page.renderer(), "template": page.layout(TEMPLATE).digest, "fonts": fonts.digest()}


def _content(letter: Letter, to: str) -> bytes:
    """Return the content of a letter as it is attached: what it says, and what set its page."""
    said: dict[str, Any] = msgspec.to_builtins(letter)
    hidden = hashlib.sha256(
        letter.holder.encode()
    ).hexdigest()  # a pseudonym leaves the installation in no artefact
    return canonical({**said, "holder": hidden, "to": to, "made_with": made_with()})


def _sheet(letter: Letter, to: str) -> Sheet:
    fixed = {
        "layer": "form",
        "title": letter.title,
        "authority": letter.authority.name,
        "notes": list(_NOTES),
    }
    lines = sum(math.ceil((units(text) + 2) / _EMS) for text in letter.paragraphs)
    room = _LINES - lines - (2 if letter.listed else 0)
    here, more = _split(letter.listed, max(room, 0))
    first, rest = _split(letter.paragraphs, _LINES)
    heading = letter.heading if here or not letter.listed else ""
    values = {
        "layer": "values",
        "title": f"{letter.title} {letter.number}",
        "authority": letter.authority.name,
        "number": letter.number,
        "to": breakable(to),
        "paragraphs": [*first, *(["（续附页）"] if more or rest else [])],
        "heading": heading,
        "listed": here,
        "more": more or rest,
        "more-paragraphs": rest if more else [],
        "annex": [],
        "issued": date_text(letter.dated),
    }
    return Sheet(fixed, values)


def _split(texts: tuple[str, ...], room: int) -> tuple[list[str], list[str]]:
    """Return the texts that have room in so many lines, and those after them."""
    here: list[str] = []
    for n, text in enumerate(texts):
        room -= math.ceil((units(text) + 2) / _EMS)
        if room < 0:
            return here, list(texts[n:])
        here.append(text)
    return here, []
