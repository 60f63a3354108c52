"""The verification of a licence, by a stranger who has the trust folder and a status list.

It shares no code with issuance but the schemas, and believes nothing that is not signed.

1. The bytes tell their form: PDF, CWT, QR picture, QR text, or `licence.json`; each form has a cap.
2. A PDF: the seal covers the whole file, in the one form, and is by a seal key of the trust folder; then the
   attached files are read. A picture, scan or QR text: the one text of the contract, and the credential in it.
3. The credential: one encoding; signed by a credential key of the trust folder; the claims are a licence's; the
   key is the authority's own, signed at that time, and was not revoked by then. The same for the seal's key.
4. The body: its SHA-256 is in the credential, its encoding is the canonical one, both say the same.
5. A PDF's visible page says what they say. With this the file is genuine.
6. The moment asked for lies within the licence's dates.
7. The status list: the edition in force at that moment, signed; without one the answer is `unknown`.
8. The transparency log, where one is given: a licence decided since it began is `unknown` without its inclusion.
9. The trust folder: past the date until which it is fresh, `unknown`, since a later edition may revoke a key.

What a key signed that was revoked later is not judged without a proof of the log from before the revocation.

After a check that fails no later one is made on what it did not clear; the first that says no decides. A file that
cannot be judged (a picture or scan without one readable QR, a form that is not read, a seal by a certificate that the
root issued but this edition of the trust folder does not list) is `unknown` and not genuine. A PDF in another form than
a licence's is drawn, to tell a scan, which its QR decides, from a changed copy, which is `invalid`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from schemas.errors import NotJudged, UsageError, VerificationError
from schemas.licence import MAX_BODY, MAX_TEXT, LicenceBody, read_body, read_qr_text
from schemas.status_list import SUSPENDED, VALID
from schemas.trust import TrustKey, TrustStore
from verification import pdf
from verification.credential import Credential, check_body, check_key_time, china, read_credential
from verification.inputs import MAX_PICTURE, Kind, look_at_copy, sniff, text_in_picture
from verification.page_text import check_page
from verification.pdf import check_seal
from verification.publication import (
    LoggedLicence,
    ProofSource,
    outlived_its_key,
    said_of_log,
    said_of_stale,
    said_of_timestamp,
)
from verification.status import Found, StatusSource, find_status

Answer = Literal["valid", "invalid", "unknown"]


class CheckResult(msgspec.Struct, frozen=True):
    """One check with its finding in Chinese and English (`detail`)."""

    name: str
    ok: bool
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one file.

    `genuine`: exactly these bytes were signed by an authority of the trust folder, whatever their status.
    `valid` needs a status that could be checked. `unknown` means genuine but without a status in force, or, with
    `genuine` false, that the file could not be judged. `licence` is empty for a file that is not genuine: nothing
    unsigned is repeated.
    """

    file: str
    verdict: Answer
    genuine: bool
    checks: tuple[CheckResult, ...]
    licence: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `verify --json` prints."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        return value


MAX_INPUT: Final = max(pdf.MAX_PDF, MAX_PICTURE, MAX_BODY)
CREDENTIAL_FILE, BODY_FILE = "credential.cwt", "licence.json"


class _Failed(Exception):
    """A check failed; it stands as the last one in the list."""


class _Unjudged(Exception):
    """A check could not be made; it stands as the last one in the list."""


class _Case:
    """One file under verification: the checks so far, and the credential and body that they cleared."""

    def __init__(self, trust: TrustStore) -> None:
        self.trust = trust
        self.checks: list[CheckResult] = []
        self.credential: Credential | None = None
        self.body: LicenceBody | None = None
        self.raw = b""  # the credential's bytes
        self.pdf: bytes | None = None
        self.seal: TrustKey | None = None

    @contextmanager
    def check(self, name: str, passed: str) -> Iterator[None]:
        """Make a check: it passes unless its block raises VerificationError."""
        try:
            yield
        except NotJudged as error:
            self.checks.append(CheckResult(name, False, str(error)))
            raise _Unjudged from None
        except VerificationError as error:
            self.checks.append(CheckResult(name, False, str(error)))
            raise _Failed from None
        self.checks.append(CheckResult(name, True, passed))


def verify_bytes(
    data: bytes,
    *,
    name: str,
    trust: TrustStore,
    status: StatusSource | None,
    at: datetime,
    credential: bytes | None = None,
    log: ProofSource | None = None,
    timestamp: bytes | None = None,
) -> Verdict:
    """Return the verdict on one file as of a moment (with zone).

    `credential` goes with a `licence.json`; `log` gives proofs that the licence is in the transparency
    log, `timestamp` is an RFC 3161 token over the PDF. Raises UsageError for an empty file, or for a `licence.json` alone;
    TrustError where the trust folder itself does not hold. Nothing else is raised, whatever the bytes.
    """
    case = _Case(trust)
    try:
        _genuine(case, data, name, credential)
        proved = _outlived_its_key(case, log)
    except _Failed:
        return Verdict(name, "invalid", False, tuple(case.checks), {})
    except _Unjudged:
        return Verdict(name, "unknown", False, tuple(case.checks), {})
    assert case.credential is not None  # no way through _genuine without one
    answer, found = _standing(case, case.credential, status, at)
    if log is not None and not proved:
        ok, said = said_of_log(_logged(case, case.credential), case.credential.issued_at, log, trust)
        case.checks.append(CheckResult("log", ok, said))
        answer = "unknown" if answer == "valid" and not ok else answer
    if timestamp is not None:
        ok, said = said_of_timestamp(timestamp, case.pdf, trust)
        case.checks.append(CheckResult("timestamp", ok, said))
        answer = "unknown" if answer == "valid" and not ok else answer
    if answer == "valid" and (said := said_of_stale(trust, at)):
        case.checks.append(CheckResult("trust", False, said))
        answer = "unknown"
    licence = _licence(case.credential, case.body, answer, found, at)
    return Verdict(name, answer, True, tuple(case.checks), licence)


# 1


def _genuine(case: _Case, data: bytes, name: str, credential: bytes | None) -> None:
    kind = sniff(data, name)
    if kind is Kind.BODY and credential is None:
        raise UsageError(
            "licence.json 须与凭证一同核验 / licence.json alone proves nothing",
            where=name,
            hint="--credential CWT",
        )
    match kind:
        case Kind.PDF:
            _pdf(case, data)
        case Kind.CWT:
            _credential(case, data)
        case Kind.PICTURE:
            with case.check("qr", "二维码可读 / the QR is read"):
                text = text_in_picture(data)
            _qr_text(case, text)
        case Kind.QR_TEXT:
            _qr_text(case, _written(data))
        case Kind.BODY:
            _credential(case, credential or b"")
            _body(case, data)
        case Kind.OTHER:
            with case.check("form", ""):
                raise NotJudged(
                    "无法识别的格式，请提供 PDF、CWT、二维码图片（PNG、JPEG、WebP、TIFF）或二维码文本 / a form that is not "
                    "read: give a PDF, CWT, QR picture (PNG, JPEG, WebP, TIFF), QR text or licence.json"
                )


# 2


def _pdf(case: _Case, data: bytes) -> None:
    checked = len(case.checks)
    try:
        seal = _sealed(case, data)
    except _Failed:
        copy = look_at_copy(data)
        if copy.is_scan:
            del case.checks[checked:]  # A scan has no seal to be judged by.
            with case.check("qr", "扫描件中的二维码可读 / the QR in the scan is read"):
                text = copy.text()
            _qr_text(case, text)
            return
        if copy.texts:
            _point_to_the_qr(case)
        raise
    with case.check("attachments", "附件完整 / credential and licence.json are attached"):
        files = pdf.attachments(data)
        if set(files) != {CREDENTIAL_FILE, BODY_FILE}:
            raise VerificationError(
                "附件不是凭证与证照数据 / other files than credential.cwt and licence.json are attached"
            )
    credential = _credential(case, files[CREDENTIAL_FILE])
    with case.check("seal-key", f"签章密钥 {seal.kid} / the seal's key is the authority's"):
        if seal.authority != credential.authority:
            raise VerificationError(
                f"签章机关与凭证机关不同 / sealed by {seal.authority}, not by {credential.authority}"
            )
        check_key_time(seal, credential.issued_at)
    case.pdf, case.seal = data, seal
    body = _body(case, files[BODY_FILE])
    # 5
    with case.check("page", "版面与数据一致 / the page says the same"):
        check_page(data, body)


def _sealed(case: _Case, data: bytes) -> TrustKey:
    with case.check("form", "签章覆盖整个文件 / the seal covers the whole file"):
        layout = pdf.read_layout(data)
    with case.check("seal", "电子签章有效 / the seal is good"):
        return check_seal(layout.cms, layout.digest, case.trust)


def _point_to_the_qr(case: _Case) -> None:
    """Add to the failed check that this copy was changed, and that the original or the QR can be checked instead."""
    failed = case.checks[-1]
    advice = (
        "这是改动过的副本；可核验原始文件，或单独核验其二维码 / this is a changed copy: "
        "the original file or the QR on it can be checked"
    )
    case.checks[-1] = CheckResult(failed.name, False, f"{failed.detail}; {advice}")


def _written(data: bytes) -> str:
    """Return the text of a QR in a file without a BOM and white space around it."""
    return data[: 2 * MAX_TEXT].decode("utf-8-sig", errors="replace").strip()


def _qr_text(case: _Case, text: str) -> None:
    with case.check("qr-text", "二维码内容符合格式 / the QR's text has the form of a licence"):
        host, raw = read_qr_text(text)
    credential = _credential(case, raw)
    with case.check("host", f"{host}"):
        # The host is not signed by itself, but the credential's status list lies there.
        if not credential.status_uri.startswith(f"https://{host.lower()}/"):
            raise VerificationError(
                f"二维码网址与凭证不符 / the QR leads to {host}, the credential names {credential.status_uri}"
            )


# 3


def _credential(case: _Case, data: bytes) -> Credential:
    with case.check("credential", "凭证签名有效 / the credential is signed by the authority"):
        case.credential = read_credential(data, case.trust)
    case.raw = data
    return case.credential


# 4


def _body(case: _Case, data: bytes) -> LicenceBody:
    assert case.credential is not None  # the credential is read before the body
    with case.check("body", "证照数据与凭证一致 / licence.json is the one that was signed"):
        body = read_body(data)
        check_body(case.credential, body, data)
    case.body = body
    return body


# 6, 7


def _standing(
    case: _Case, credential: Credential, source: StatusSource | None, at: datetime
) -> tuple[Answer, Found | None]:
    seconds = at.timestamp()
    within = credential.not_before <= seconds and (
        credential.expires is None or seconds <= credential.expires
    )
    span = f"{credential.valid_from} – {credential.valid_until or '长期 / no end'}"
    case.checks.append(
        CheckResult("dates", within, f"有效期 / valid {span}; 核验时间 / asked for {at.isoformat()}")
    )
    found, doubt = _status(case, credential, source, at)
    if found is not None:
        case.checks.append(CheckResult("status", found.status == VALID, _status_detail(found)))
    else:
        case.checks.append(CheckResult("status", False, f"状态未知 / status unknown: {doubt}"))
    if not within or (found is not None and found.status != VALID):
        return "invalid", found
    return ("valid" if found is not None else "unknown"), found


def _status(
    case: _Case, credential: Credential, source: StatusSource | None, at: datetime
) -> tuple[Found | None, str]:
    if source is None:
        return None, "没有状态列表 / no status list; --status FILE|DIR|URL"
    try:
        return find_status(source, credential.status_uri, credential.status_index, at, case.trust), ""
    except VerificationError as error:
        return None, str(error)


def _status_detail(found: Found) -> str:
    edition = f"状态列表 / list of {china(found.issued_at).isoformat()}"
    if found.status == VALID:
        return f"有效 / valid; {edition}"
    word = "暂扣 / suspended" if found.status == SUSPENDED else "无效 / not valid"
    if found.reason is None:
        return f"{word}; {edition}" + (f"; {found.doubt}" if found.doubt else "")
    reason = found.reason
    version = "" if reason.version is None else f"; 现行版本 / version in force: {reason.version}"
    return f"{word}: {reason.status}; {reason.text}; {reason.date}{version}; {edition}"


# 8


def _outlived_its_key(case: _Case, log: ProofSource | None) -> bool:
    """Check what a revoked key signed, where one did; return True where the log's proof was asked for."""
    assert case.credential is not None  # a genuine file has one
    keys = [case.trust.keys[case.credential.kid], *([case.seal] if case.seal else [])]
    if all(key.revoked_since is None for key in keys):
        return False
    with case.check(
        "log", "吊销之前已有见证 / witnesses had signed the log with it before the key was revoked"
    ):
        outlived_its_key(_logged(case, case.credential), keys, log, case.trust)
    return True


def _logged(case: _Case, credential: Credential) -> LoggedLicence:
    pdf = None if case.pdf is None else hashlib.sha256(case.pdf).hexdigest()
    digest = hashlib.sha256(case.raw).hexdigest()
    return LoggedLicence(credential.number, credential.version, credential.identifier, digest, pdf)


def _licence(
    credential: Credential, body: LicenceBody | None, answer: Answer, found: Found | None, at: datetime
) -> dict[str, Any]:
    reason = found.reason if found is not None else None
    licence: dict[str, Any] = {
        "number": credential.number,
        "identifier": credential.identifier,
        "version": credential.version,
        "status": _status_word(credential, answer, found, at),
        "item": credential.item,
        "holder_id": credential.holder_id,
        "holder_name": credential.holder_name if body is None else body.holder,
        "authority": credential.authority,
        "authority_name": credential.authority_name,
        "issued_on": credential.valid_from if body is None else body.issued_on,
        "valid_from": credential.valid_from,
        "valid_until": credential.valid_until,
        "decided_at": china(credential.issued_at).isoformat(),
        "products": credential.products,
        "categories": list(credential.categories),
        "previous_identifier": credential.previous_identifier,
        "reason": None if reason is None else reason.text,
        "since": None if reason is None else reason.date,
        "version_in_force": None if reason is None else reason.version,
    }
    if body is not None:
        licence |= {"name": body.licence_name, "address": body.address}
    return licence


def _status_word(credential: Credential, answer: Answer, found: Found | None, at: datetime) -> str:
    """Return a licence's status as the contract names them, or `replaced`, `not-yet-valid` or `unknown`."""
    if found is not None and found.status != VALID:
        if found.reason is not None:
            return found.reason.status
        return "suspended" if found.status == SUSPENDED else "invalid"
    if answer == "invalid":
        return "not-yet-valid" if at.timestamp() < credential.not_before else "expired"
    return "valid" if answer == "valid" else "unknown"
