"""Issue of a licence from a numbered grant, and its rebuilding without a private key.

Lint and page come first: nothing is signed that could not be finished. Then the credential is signed, its QR and the
seal's picture are drawn, and the seal is set over the whole file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from issuance import credential, fonts, page, pdf, seal
from issuance.lint import has_unusual_text, lint
from issuance.page import Layout, Pages, RendererMissing
from issuance.signer import ES256, Signer
from schemas import signatures
from schemas.errors import LintError, VerificationError
from schemas.licence import (
    Grant,
    Issued,
    LicenceBody,
    LicenceKind,
    Numbered,
    body_json,
    licence_body,
    object_key,
    qr_text,
)
from schemas.trust import TrustStore

STAGES = ("lint", "page", "credential", "qr", "seal")
CREDENTIAL_FILE = "credential.cwt"
BODY_FILE = "licence.json"
_REASON = "颁发电子证照 / issue of an electronic licence"


class PaperItem(LicenceKind, Protocol):
    """The parts of a service item that issuance reads: name, type code, page template, names in other languages."""

    @property
    def template(self) -> str: ...
    @property
    def titles(self) -> tuple[str, ...]: ...


Proofread = Callable[[bytes, LicenceBody], None]
"""Function that reads a file's pages as a verifier does; it raises VerificationError where they do not show the body."""


class _Prepared(NamedTuple):
    """The parts of a licence that need no key."""

    writer: int
    licence: LicenceBody
    layout: Layout
    body: bytes
    form: pdf.FormXObject
    values: bytes
    time: int


class Issuer:
    """Issuer of licences. Keep one for each process, since it holds fonts and compilers.

    `item_of` returns the item as it was when the grant was decided. `proofread` is the verifier's own comparison of pages
    and body; it reads files whose texts have unusual characters. `writer` is the form of new files (`issuance.page`). `spent` has the seconds of each of STAGES.
    """

    def __init__(
        self,
        trust: TrustStore,
        item_of: Callable[[Grant], PaperItem],
        *,
        proofread: Proofread | None = None,
        writer: int = page.WRITER,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._proofread = proofread
        self._writer = writer
        self._trust = trust
        self._item_of = item_of
        self._pages = Pages()
        self._certificates: dict[str, bytes] = {}
        self._clock = clock
        self.spent = dict.fromkeys(STAGES, 0.0)

    def issue(
        self, numbered: Numbered, clear_name: str, clear_address: str, signer: Signer
    ) -> tuple[Issued, bytes]:
        """Return the record and the sealed file. Raise LintError, with nothing signed, where a rule is broken."""
        grant = numbered.grant
        at = datetime.fromisoformat(grant.decided_at)
        with self._stage("lint"):
            credential_key = self._trust.signing_key(grant.authority.code, "credential", at).kid
            seal_key = self._trust.signing_key(grant.authority.code, "seal", at).kid
            seal.check_room(self._certificate(seal_key))
        prepared = self._prepare(numbered, clear_name, clear_address, self._writer)
        with self._stage("credential"):
            unsigned = self._credential(numbered, clear_name, prepared, credential_key)
        self._check_pages(numbered, prepared, unsigned, seal_key)
        with self._stage("credential"):
            credential_signature = signer.sign(credential_key, ES256, unsigned.to_be_signed)
            cwt = unsigned.finish(credential_signature)
        unsealed = self._unsealed(numbered, prepared, cwt, seal_key)
        with self._stage("seal"):
            seal_signature = signatures.raw_to_der(signer.sign(seal_key, ES256, unsealed.to_be_signed))
            licence = unsealed.finish(seal_signature)
            issued = Issued(
                grant_id=grant.grant_id,
                licence_id=grant.licence_id,
                version=grant.version,
                number=numbered.number,
                identifier=numbered.identifier,
                object_key=object_key(numbered.number, grant.version),
                object_sha256=hashlib.sha256(licence).hexdigest(),
                credential_kid=credential_key,
                credential_signature=credential_signature.hex(),
                seal_kid=seal_key,
                seal_signature=seal_signature.hex(),
                renderer=page.renderer(self._writer),
                template=prepared.layout.digest,
                fonts=fonts.digest(),
                credential_sha256=hashlib.sha256(cwt).hexdigest(),
            )
        return issued, licence

    def rebuild(self, numbered: Numbered, issued: Issued, clear_name: str, clear_address: str) -> bytes:
        """Rebuild the same bytes from the recorded signatures, which are verified.

        Raises RendererMissing where another renderer, template or font set made them; VerificationError where a
        signature does not fit the rebuilt bytes.
        """
        writer = page.writer_of(issued.renderer)
        self._same_renderer(numbered, issued, writer)
        # Nothing is linted again: a later release may have stricter rules than the one that signed.
        prepared = self._prepare(numbered, clear_name, clear_address, writer, checked=False)
        unsigned = self._credential(numbered, clear_name, prepared, issued.credential_kid)
        raw = bytes.fromhex(issued.credential_signature)
        self._verify(issued.credential_kid, raw, unsigned.to_be_signed, issued.number, CREDENTIAL_FILE)
        cwt = unsigned.finish(raw)
        if issued.credential_sha256 not in ("", hashlib.sha256(cwt).hexdigest()):
            raise VerificationError(
                "凭证的摘要不符 / the credential has another digest than was recorded", where=issued.number
            )
        unsealed = self._unsealed(numbered, prepared, cwt, issued.seal_kid)
        der = bytes.fromhex(issued.seal_signature)
        self._verify(issued.seal_kid, _raw(der), unsealed.to_be_signed, issued.number, "seal")
        return unsealed.finish(der)

    def _same_renderer(self, numbered: Numbered, issued: Issued, writer: int) -> None:
        layout = page.layout(self._item_of(numbered.grant).template, writer)
        here = {"renderer": page.renderer(writer), "template": layout.digest, "fonts": fonts.digest()}
        for name, found in here.items():
            recorded = getattr(issued, name)
            if recorded != found:
                raise RendererMissing(
                    f"渲染环境不同 / made with {name} {recorded[:60]}, here is {found[:60]}",
                    hint="安装当时的版本；存储的文件仍可与记录的摘要比对 / install the release of that time; the stored object "
                    "still has its recorded digest",
                    where=issued.number,
                )

    def _prepare(
        self, numbered: Numbered, clear_name: str, clear_address: str, writer: int, *, checked: bool = True
    ) -> _Prepared:
        item = self._item_of(numbered.grant)
        with self._stage("lint"):
            licence = licence_body(numbered, clear_name, clear_address, item)
            try:
                body = body_json(numbered, clear_name, clear_address, item)
            except ValueError as error:
                raise LintError(
                    f"文字无法写成 JSON / a text has no form in JSON: {error}",
                    hint="更正数据 / correct the data",
                    where=numbered.number,
                ) from None
            if checked:
                lint(numbered, licence, len(body))
        with self._stage("page"):
            layout = page.layout(item.template, writer)
            moment = page.seconds(numbered.grant.decided_at)
            sheet = page.sheet(licence, layout.name, tuple(item.titles), writer)
            form = self._pages.form(layout, sheet)
            values = self._pages.values(layout, sheet, moment)
            return _Prepared(writer, licence, layout, body, form, values, moment)

    def _check_pages(
        self, numbered: Numbered, prepared: _Prepared, unsigned: credential.Unsigned, seal_key: str
    ) -> None:
        """Read the pages as a verifier will, before anything is signed, where a text has unusual characters."""
        if self._proofread is None or not has_unusual_text(prepared.licence):
            return
        draft = self._unsealed(numbered, prepared, unsigned.finish(bytes(64)), seal_key)
        try:
            self._proofread(draft.finish(bytes(64)), prepared.licence)
        except VerificationError as error:
            raise LintError(
                f"核验程序读不出版面文字 / a verifier cannot read the page: {error.message}",
                hint="改用常用字形 / use the usual forms of the characters",
                where=numbered.number,
            ) from None

    def _credential(
        self, numbered: Numbered, clear_name: str, prepared: _Prepared, kid: str
    ) -> credential.Unsigned:
        return credential.unsigned(numbered, clear_name, hashlib.sha256(prepared.body).digest(), kid)

    def _unsealed(self, numbered: Numbered, prepared: _Prepared, cwt: bytes, kid: str) -> seal.Unsealed:
        authority = numbered.grant.authority
        with self._stage("qr"):
            room = prepared.layout.qr
            symbol = pdf.encode_qr(qr_text(authority.host, cwt), robust=prepared.writer > 2)
            code = pdf.draw_qr(symbol, room.left, room.bottom, room.right - room.left)
        with self._stage("seal"):
            box = prepared.layout.seal
            x, y, radius = (box.left + box.right) / 2, (box.bottom + box.top) / 2, (box.right - box.left) / 2
            return seal.prepare(
                prepared.values,
                form=prepared.form,
                attachments=_attachments(cwt, prepared.body),
                drawing=code + pdf.draw_emblem(authority.name, x, y, radius),
                box=box,
                certificate_der=self._certificate(kid),
                name=authority.name,
                reason=_REASON,
                time=prepared.time,
                certify=prepared.writer > 2,
            )

    def _certificate(self, kid: str) -> bytes:
        if kid not in self._certificates:
            self._certificates[kid] = self._trust.certificate(kid).public_bytes(Encoding.DER)
        return self._certificates[kid]

    def _verify(self, kid: str, raw: bytes, message: bytes, number: str, what: str) -> None:
        if kid not in self._trust.keys:
            raise VerificationError(
                f"信任目录中没有此密钥 / the trust folder has no key {kid}", where=f"{number} {what}"
            )
        if not signatures.verifies(self._trust.public_key(kid), raw, message):
            raise VerificationError(
                "记录的签名与重建内容不符 / the recorded signature does not fit the rebuilt bytes",
                where=f"{number} {what}",
            )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self.spent[name] += self._clock() - start


def _raw(der: bytes) -> bytes:
    try:
        return signatures.der_to_raw(der)
    except ValueError:
        return b""


def _attachments(cwt: bytes, body: bytes) -> tuple[seal.Attachment, seal.Attachment]:
    return (
        seal.Attachment(CREDENTIAL_FILE, "application/cwt", "Data", "可验证凭证 / credential", cwt),
        seal.Attachment(
            BODY_FILE, "application/json", "Source", "证照元数据 (GB/T 36903) / licence body", body
        ),
    )
