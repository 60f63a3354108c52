"""Pages of a licence: as a picture, a file, a code to show on a phone, and a link to share that ends by itself."""

from __future__ import annotations

import io
import threading
from datetime import date, datetime, timedelta
from typing import Final

import pypdfium2  # type: ignore[import-untyped]
from starlette.responses import Response

from infra.portal.my import own_licence
from infra.portal.web import Portal, Visit
from issuance.pdf import Symbol, encode_qr
from processors.queries import views
from processors.state import HolderState, Licence
from schemas.calendar import CHINA, months_before
from schemas.errors import NotFound
from schemas.licence import qr_text
from schemas.rows import as_json
from verification.pdf import attachments

_DRAWING: Final = threading.Lock()  # PDFium serves one thread at a time
_SCALE: Final = 1.5
_MARGIN: Final = 4
SHARES: Final = {"3600": timedelta(hours=1), "86400": timedelta(days=1), "604800": timedelta(days=7)}
"""Lengths of time for which a licence may be shared, by their seconds."""


def licence_page(portal: Portal, visit: Visit) -> Response:
    """Show a licence, with what its holder may do about it; make a link that shows it to somebody else."""
    licence = own_licence(portal.own(visit.account), visit.word("number"))
    shared = ""
    if visit.posted:
        length = SHARES.get(visit.typed.get("seconds", ""), SHARES["86400"])
        token = portal.accounts.share(visit.account.subject, licence.number, length.total_seconds())
        scheme = "https" if visit.secure else "http"
        shared = f"{scheme}://{visit.request.headers.get('host', '')}/share/{token}"
    portal.access(visit.account, licence.now.holder, "page licence", licence.number)
    item = portal.catalogue.get(licence.item)
    end = licence.now.valid_until
    opens = months_before(date.fromisoformat(end), item.renewal.earliest if item else 12) if end else None
    return portal.page(
        visit,
        "licence",
        licence=as_json(views.licence_record(licence, portal.persons.open)),
        item=item,
        living=licence.living,
        renewable=opens is not None and licence.living and opens <= portal.now().date(),
        opens=opens.isoformat() if opens else "",
        shared=shared,
        lengths=SHARES,
    )


def licence_file(portal: Portal, visit: Visit) -> Response:
    """Send the PDF of a licence's newest version."""
    licence = own_licence(portal.own(visit.account), visit.word("number"))
    return _pdf(_stored(portal, licence))


def licence_picture(portal: Portal, visit: Visit) -> Response:
    """Send the first page of a licence as a picture."""
    licence = own_licence(portal.own(visit.account), visit.word("number"))
    return Response(picture(_stored(portal, licence)), media_type="image/png")


def licence_code(portal: Portal, visit: Visit) -> Response:
    """Show a licence's code over the whole screen (亮证), with nothing personal beside it."""
    licence = own_licence(portal.own(visit.account), visit.word("number"))
    symbol = _symbol(licence, _stored(portal, licence))
    item = portal.catalogue.get(licence.item)
    row = as_json(views.licence_row(licence, portal.persons.open))
    return portal.page(
        visit, "code", licence=row, item=item, side=symbol.side + 2 * _MARGIN, modules=_outline(symbol)
    )


def share_page(portal: Portal, visit: Visit) -> Response:
    """Show a licence to somebody who was given its link."""
    licence, until = _shared(portal, visit)
    row = as_json(views.licence_row(licence, portal.persons.open))
    moment = datetime.fromtimestamp(until, CHINA).strftime("%Y-%m-%d %H:%M")
    item = portal.catalogue.get(licence.item)
    return portal.page(visit, "share", licence=row, item=item, until=moment, token=visit.word("token"))


def share_picture(portal: Portal, visit: Visit) -> Response:
    """Send the picture of a shared licence."""
    return Response(picture(_stored(portal, _shared(portal, visit)[0])), media_type="image/png")


def share_file(portal: Portal, visit: Visit) -> Response:
    """Send the PDF of a shared licence."""
    return _pdf(_stored(portal, _shared(portal, visit)[0]))


def _shared(portal: Portal, visit: Visit) -> tuple[Licence, float]:
    portal.logins.check(visit.client)
    found = portal.accounts.shared(visit.word("token"))
    if found is None:
        portal.logins.charge(visit.client)
        raise NotFound("链接已失效 / this link has ended")
    subject, number, until = found
    with portal.installation.register() as register:
        state: HolderState | None = register.state(subject)
    return own_licence(state, number), until


def _stored(portal: Portal, licence: Licence) -> bytes:
    """Return the PDF of the newest version. Raises NotFound before it is issued, or after its holder was erased."""
    key = licence.versions[-1].object_key
    if not key:
        raise NotFound("证照尚未制成 / the licence is not made yet")
    opened = portal.persons.open_object(licence.now.holder, portal.store.get(key))
    if opened is None:
        raise NotFound("持证人信息已删除 / the holder was erased")
    return opened


def _pdf(content: bytes) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="licence.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)


def picture(content: bytes) -> bytes:
    """Return the first page of a PDF of ours as a PNG."""
    with _DRAWING:
        document = pypdfium2.PdfDocument(content)
        try:
            drawn = document[0].render(scale=_SCALE, may_draw_forms=False).to_pil()
        finally:
            document.close()
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


def _symbol(licence: Licence, content: bytes) -> Symbol:
    return encode_qr(qr_text(licence.now.authority.host, attachments(content)["credential.cwt"]))


def _outline(symbol: Symbol) -> str:
    """Return the dark modules of a symbol as the path of a drawing, one run of a row after another."""
    parts = []
    for y, row in enumerate(symbol.rows):
        x = 0
        while x < symbol.side:
            start = x
            while x < symbol.side and row[x // 8] >> (7 - x % 8) & 1:
                x += 1
            if x > start:
                parts.append(f"M{start + _MARGIN} {y + _MARGIN}h{x - start}v1h{start - x}z")
            x += 1
    return "".join(parts)
