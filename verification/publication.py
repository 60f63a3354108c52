"""Proofs of publication: of licences in the transparency log, and of announcements before their seed could be known.

A proof of an announcement is an RFC 3161 timestamp over the announcement's digest by a timestamp authority of the trust folder, or a proof
of the transparency log (C2SP tlog-proof) with a witness's cosignature, whose time counts. A transcript keeps its proofs in
base64url.

RFC 3161 timestamps by the authorities of a trust folder: proofs that some bytes existed at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import rfc3161_client
from cryptography import x509

from schemas.calendar import moment
from schemas.draw.documents import Announcement
from schemas.draw.seed import decode_base64url, encode_base64url
from schemas.errors import DrawError, NotJudged, TransientError, UsageError, VerificationError
from schemas.transparency.entries import AnnouncementEntry, LicenceEntry, read_entry
from schemas.transparency.notes import read_proof
from schemas.trust import TrustKey, TrustStore
from verification.log_book import Inclusion, LogPolicy, policy_of, verify_proof

MAX_TOKEN = 64 << 10  # bytes
_GRANTED = bytes.fromhex("3003020100")  # PKIStatusInfo: granted
_SHA256 = "2.16.840.1.101.3.4.2.1"


def stamped_at(token: bytes, digests: Collection[bytes], trust: TrustStore) -> datetime:
    """Return the time of a timestamp over one of these SHA-256 digests.

    `token` is a TimeStampResp or a bare TimeStampToken, in DER. Raise DrawError where it is neither, is over other
    bytes, or no timestamp authority of the trust folder made it.
    """
    if not trust.timestamps:
        raise DrawError(
            "信任文件夹中没有时间戳机构 / the trust folder names no timestamp authority",
            hint="zhengzhao draw party add NAME CERTIFICATE.pem --timestamp",
        )
    response = _read(token)
    info = response.tst_info
    digest = bytes(info.message_imprint.message)
    if info.message_imprint.hash_algorithm.dotted_string != _SHA256 or digest not in digests:
        raise DrawError(
            "时间戳不是对这份内容的 / the timestamp is over other bytes",
            hint="openssl ts -query -sha256 -digest <announcement_digest>",
        )
    if not any(_verifies(response, digest, trust.timestamps, signer) for signer in (None, *trust.timestamps)):
        raise DrawError(
            "时间戳不是信任文件夹所列机构签发 / no timestamp authority of the trust folder made this timestamp"
        )
    return info.gen_time.astimezone(UTC)


def is_timestamp_of(token: bytes, digests: Collection[bytes]) -> bool:
    """Return True for a timestamp over one of these digests, whoever made it."""
    try:
        return bytes(_read(token).tst_info.message_imprint.message) in digests
    except DrawError:
        return False


def _verifies(
    response: rfc3161_client.TimeStampResponse,
    digest: bytes,
    roots: tuple[x509.Certificate, ...],
    signer: x509.Certificate | None,
) -> bool:
    verifier = rfc3161_client.VerifierBuilder(tsa_certificate=signer, roots=list(roots)).build()
    try:
        return verifier.verify(response, digest)
    except (rfc3161_client.VerificationError, ValueError):
        return False


def _read(token: bytes) -> rfc3161_client.TimeStampResponse:
    if len(token) > MAX_TOKEN:
        raise DrawError("时间戳过长 / the timestamp is too long")
    for data in (token, _wrapped(token)):
        try:
            response = rfc3161_client.decode_timestamp_response(data)
            _ = response.tst_info.gen_time  # The token inside is decoded only when it is asked for.
        except ValueError:
            continue
        return response
    raise DrawError(
        "不是 RFC 3161 时间戳 / not an RFC 3161 timestamp", hint="openssl ts -reply -out FILE.tsr"
    )


def _wrapped(token: bytes) -> bytes:
    """Wrap a bare token as the granted response in which an authority sends it."""
    body = _GRANTED + token
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    length = size if len(body) < 0x80 else bytes([0x80 | len(size)]) + size
    return b"\x30" + length + body


def digests_of(announcement: Announcement) -> set[bytes]:
    """Return the digests whose timestamp proves an announcement: its `announcement_digest`, or that of its file."""
    return {bytes.fromhex(announcement.digest), hashlib.sha256(announcement.bytes).digest()}


def read(paths: Iterable[Path], announcement: Announcement, trust: TrustStore) -> list[str]:
    """Read proofs from files and check them. Raise DrawError where one is wrong, UsageError where it is unreadable."""
    proofs = []
    for path in paths:
        try:
            token = path.read_bytes()
        except OSError as error:
            raise UsageError(f"无法读取 / cannot read it: {error.strerror}", where=str(path)) from None
        try:
            shown_at(token, announcement, trust)
        except DrawError as error:
            raise DrawError(error.message, where=str(path), hint=error.hint) from None
        proofs.append(encode_base64url(token))
    return proofs


def published_at(proof: str, announcement: Announcement, trust: TrustStore) -> datetime:
    """Return the time by which a kept proof shows that an announcement was published. Raise DrawError otherwise."""
    try:
        token = decode_base64url(proof)
    except ValueError:
        raise DrawError("证明不是 base64url / a proof is not base64url in its one form") from None
    return shown_at(token, announcement, trust)


def shown_at(token: bytes, announcement: Announcement, trust: TrustStore) -> datetime:
    """Return the time by which a timestamp or a log's proof shows an announcement. Raise DrawError otherwise."""
    if not token.startswith(b"c2sp.org/tlog-proof"):
        return stamped_at(token, digests_of(announcement), trust)
    policy = policy_of(trust)
    if policy is None:
        raise DrawError("信任文件夹中没有透明日志 / the trust folder names no transparency log")
    return witnessed_at(token, announcement, policy)


def witnessed_at(proof: bytes, announcement: Announcement, policy: LogPolicy) -> datetime:
    """Return the time by which enough witnesses, at least one, had signed a log with this announcement.

    Raise DrawError where the proof is not of this announcement, or no witness signed.
    """
    authority, sequence = announcement.plan.authority, announcement.sequence
    entry = AnnouncementEntry(authority, sequence, announcement.digest)
    try:
        seen = verify_proof(proof, entry.to_bytes(), policy).seen
    except VerificationError as error:
        raise DrawError(
            error.message, hint="a proof of this very announcement: zhengzhao transparency prove"
        ) from None
    at = seen.witnessed_by(max(policy.needed, 1))
    if at is None:
        raise DrawError("日志证明没有见证签名 / no witness signed the log's checkpoint")
    return datetime.fromtimestamp(at, UTC)


class ProofSource(Protocol):
    """A source of proofs that a licence stands in the log."""

    def proofs(self, credential: str, before: int | None) -> Iterable[bytes]:
        """Return proofs (tlog-proof) of the licence whose credential has this SHA-256 (hex); none where it is not there.

        With `before` (seconds since 1970) those of older heads too. Raises VerificationError or TransientError where the
        log cannot be read.
        """
        ...


class NotLogged(VerificationError):
    """The log has no entry of a licence, or nobody gave a proof of one."""


class LoggedLicence(msgspec.Struct, frozen=True):
    """A licence's version as its entry names it; `object` is the PDF's SHA-256, None where only the credential is at hand."""

    number: str
    version: int
    identifier: str
    credential: str
    object: str | None = None

    def entry_in(self, extra: bytes | None) -> bytes:
        """Return the entry that a proof carries as `extra`, or the one made of the PDF. Raises VerificationError."""
        if extra is None:
            if self.object is None:
                raise VerificationError(
                    "证明不含条目 / the proof does not carry its entry: give the PDF, or the proof that "
                    "`licence get --format proof` writes"
                )
            return LicenceEntry(
                self.number, self.version, self.identifier, self.credential, self.object
            ).to_bytes()
        entry = read_entry(extra)
        own = (self.number, self.version, self.identifier, self.credential)
        if not isinstance(entry, LicenceEntry) or own != (
            entry.number, entry.version, entry.identifier, entry.credential,
        ):  # fmt: skip
            raise VerificationError("证明属于另一证照 / the proof is of another licence")
        if self.object not in (None, entry.object):
            raise VerificationError("日志所载的 PDF 与此文件不同 / the log has another PDF of this licence")
        return extra


def verify_logged(
    licence: LoggedLicence, source: ProofSource, policy: LogPolicy, before: int | None = None
) -> Inclusion:
    """Verify that a licence stands in the log, with `before` in a head that enough witnesses signed before that moment.

    Raises NotLogged without any proof, VerificationError where none holds or the source fails.
    """
    fault: VerificationError = NotLogged("日志中没有此证照 / the licence is not in the log")
    try:
        for proof in source.proofs(licence.credential, before):
            try:
                found = verify_proof(proof, licence.entry_in(read_proof(proof).extra), policy)
            except VerificationError as error:
                fault = error
                continue
            signed = found.seen.witnessed_by(max(policy.needed, 1))
            if before is None or (signed is not None and signed < before):
                return found
            fault = VerificationError(
                "吊销之前没有见证签名 / no witness had signed the log with it before the revocation"
            )
    except TransientError as error:
        raise VerificationError(f"日志无法读取 / the log cannot be read: {error}") from None
    raise fault


def outlived_its_key(
    licence: LoggedLicence, keys: Iterable[TrustKey], log: ProofSource | None, trust: TrustStore
) -> bool:
    """Verify what a key signed that was revoked later, and return True; False where none of the keys was.

    Raises NotJudged without a proof whose head enough witnesses signed before the revocation: whoever has the key can
    date back.
    """
    since = [key.revoked_since for key in keys if key.revoked_since is not None]
    if not since:
        return False
    first = min(since, key=moment)
    try:
        verify_logged(licence, log or NoProofs(), _policy(trust), int(moment(first).timestamp()))
    except VerificationError as error:
        raise NotJudged(
            f"签署密钥自 {first} 起吊销，须有吊销前见证的日志证明 / the key is revoked since {first}: only a proof of the log "
            f"that was witnessed before tells (licence get --format proof, verify --log PROOF): {error}"
        ) from None
    return True


def said_of_log(
    licence: LoggedLicence, issued_at: int, log: ProofSource, trust: TrustStore
) -> tuple[bool, str]:
    """Tell whether a licence is in the log, with the finding in words; one decided before the log began need not be."""
    began = trust.listing.logged_from
    try:
        found = verify_logged(licence, log, _policy(trust))
    except NotLogged as error:
        older = bool(began) and issued_at < moment(began).timestamp()
        return older, f"早于日志 / decided before the log began ({began})" if older else str(error)
    except VerificationError as error:
        return False, str(error)
    names = ", ".join(one.witness.name for one in found.seen.cosignatures) or "无 / none"
    size = found.seen.checkpoint.size
    return (
        True,
        f"第 {found.index} 条，共 {size} 条 / entry {found.index} of {size}; 见证 / witnesses: {names}",
    )


def said_of_timestamp(token: bytes, pdf: bytes | None, trust: TrustStore) -> tuple[bool, str]:
    """Tell whether a timestamp is over a licence's PDF, with the finding in words."""
    if pdf is None:
        return False, "时间戳是对 PDF 的 / the timestamp is over the PDF, which was not given"
    try:
        at = stamped_at(token, {hashlib.sha256(pdf).digest()}, trust)
    except DrawError as error:
        return False, error.message
    return True, f"时间戳 / timestamp of {at.isoformat()}"


class NoProofs:
    """The source of somebody who has none."""

    def proofs(self, credential: str, before: int | None) -> Iterable[bytes]:
        return ()


def _policy(trust: TrustStore) -> LogPolicy:
    policy = policy_of(trust)
    if policy is None:
        raise VerificationError("信任目录中没有日志 / the trust folder names no log")
    return policy


def said_of_stale(trust: TrustStore, at: datetime) -> str:
    """Return what is said of a trust folder that was no longer fresh at a moment; nothing of a fresh one."""
    listing = trust.listing
    if not listing.stale_at(at):
        return ""
    return (
        f"信任目录第 {listing.sequence} 期的有效期至 {listing.fresh_until}，请更新 / edition {listing.sequence} of the "
        f"trust folder was fresh until {listing.fresh_until}: zhengzhao trust update URL|DIR"
    )
