"""One changed byte anywhere is refused, in PDF, credential, JSON and status list."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from bureau import DECIDED, HOST, LIST, Bureau, later, numbered
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import signatures
from schemas.licence import qr_text
from verification.status_sources import Folder, status_source


class Papers:
    def __init__(self, folder: Path) -> None:
        self.bureau = Bureau(folder)
        self.pdf = self.bureau.pdf(numbered())
        self.cwt, self.body = self.bureau.credential(numbered())
        self.edition = self.bureau.edition(DECIDED)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def changed(data: bytes, at: int, by: int) -> bytes:
    return data[:at] + bytes((data[at] ^ by,)) + data[at + 1 :]


def test_every_byte_of_the_credential_counts(papers: Papers) -> None:
    """Each byte changed in turn, each bit somewhere; one more or less at either end."""
    good = papers.cwt
    spoilt = [changed(good, at, 1 << at % 8) for at in range(len(good))]
    spoilt += [good + b"\0", b"\0" + good, good[:-1], good[1:], good + good]
    assert not any(papers.bureau.verify(data).genuine for data in spoilt)


def test_every_byte_of_the_body_counts(papers: Papers) -> None:
    """The same for licence.json beside its credential, and white space or a BOM around it."""
    good = papers.body
    spoilt = [
        changed(good, at, 1 << at % 7) for at in range(1, len(good))
    ]  # with byte 0 it is no JSON by sight
    spoilt += [good + b"\n", b"{ " + good[1:], good[:-1]]
    verdicts = [papers.bureau.verify(data, credential=papers.cwt) for data in spoilt]
    assert not any(verdict.genuine for verdict in verdicts)
    assert not papers.bureau.verify(changed(good, 0, 1), credential=papers.cwt).genuine


def test_every_byte_of_the_list_counts(papers: Papers, tmp_path: Path) -> None:
    """A changed list says nothing: the status is unknown, never valid."""
    good = papers.edition.list_cwt
    path = tmp_path / "list.cwt"
    path.write_bytes(good)
    assert papers.bureau.verify(papers.cwt, status=status_source(str(path))).verdict == "valid"
    spoilt = [changed(good, at, 1 << at % 8) for at in range(len(good))] + [good + b"\0", good[:-1]]
    for data in spoilt:
        path.write_bytes(data)
        assert papers.bureau.verify(papers.cwt, status=status_source(str(path))).verdict == "unknown"


def test_every_byte_of_the_end_of_the_pdf_counts(papers: Papers) -> None:
    """The CMS, its zero padding, the byte range and all behind it: two bits, at places a few bytes apart."""
    good = papers.pdf
    start = good.rindex(b"/Contents<")
    assert not any(papers.bureau.verify(changed(good, at, 1)).genuine for at in range(start, len(good), 7))
    assert not any(
        papers.bureau.verify(changed(good, at, 0x20)).genuine for at in range(start, len(good), 23)
    )


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_byte_of_the_pdf_counts(papers: Papers, data: st.DataObject) -> None:
    """Changed, left out or put in, anywhere."""
    at = data.draw(st.integers(0, len(papers.pdf) - 1))
    there = papers.pdf[at : at + 1]
    new = data.draw(st.binary(max_size=2).filter(lambda new: new != there))
    assert not papers.bureau.verify(papers.pdf[:at] + new + papers.pdf[at + 1 :]).genuine


def test_other_encodings_of_the_seal_are_refused(papers: Papers) -> None:
    """Upper-case hex, the other s, bytes in the padding, a second revision, bytes around the file."""
    good = papers.pdf
    start = good.rindex(b"/Contents<") + len(b"/Contents<")
    contents = good[start : start + 4096]
    whole = bytes.fromhex(contents.decode())
    der = whole[: 4 + int.from_bytes(whole[2:4])]  # 30 82 and two bytes of length
    ends = (at for at in range(len(der) - 76, len(der)) if der[at] == 4 and der[at + 1] == len(der) - at - 2)
    signature = der[next(ends) + 2 :]  # the octet string that ends the CMS
    raw = signatures.der_to_raw(signature)
    high = signatures.raw_to_der(raw[:32] + (signatures.ORDER - int.from_bytes(raw[32:])).to_bytes(32))
    assert signatures.low_s(raw) == raw
    spoilt = [
        good.replace(contents, contents.upper()),
        good.replace(contents, contents[:-1] + b"1"),
        good.replace(contents, contents[:-2] + b"  "),
        good + b"\n",
        b"\n" + good,
        good[:-1],
        good + good,
        good
        + b"1 0 obj\n<<>>\nendobj\nxref\n0 1\n0000000000 65535 f\r\ntrailer\n<</Size 1>>\nstartxref\n0\n%%EOF\n",
    ]
    if len(high) == len(signature):
        spoilt.append(good.replace(signature.hex().encode(), high.hex().encode()))
    assert not any(papers.bureau.verify(data).genuine for data in spoilt)
    assert papers.bureau.verify(good).genuine


def test_other_s_of_the_credential_is_refused(papers: Papers) -> None:
    """A signature that fits the message but is not the one that was made."""
    high = (signatures.ORDER - int.from_bytes(papers.cwt[-32:])).to_bytes(32)
    assert not papers.bureau.verify(papers.cwt[:-32] + high).genuine


def test_body_of_another_version_is_refused(papers: Papers) -> None:
    """Both are signed, but not together."""
    _, body = papers.bureau.credential(numbered(version=2))
    found = papers.bureau.verify(body, credential=papers.cwt)
    assert (found.genuine, found.checks[-1].name) == (False, "body")


def test_qr_that_leads_elsewhere_is_refused(papers: Papers) -> None:
    """The host before the credential is checked against what is signed."""
    good, bad = qr_text(HOST, papers.cwt).encode(), qr_text("EVIL.EXAMPLE", papers.cwt).encode()
    assert [papers.bureau.verify(text).genuine for text in (good, bad)] == [True, False]
    digits = len(b"HTTPS://" + HOST.encode() + b"/#")
    spoilt = [
        good[:at] + bytes((48 + (good[at] - 47) % 10,)) + good[at + 1 :] for at in range(digits, len(good), 9)
    ]
    assert not any(papers.bureau.verify(text).genuine for text in spoilt)


def test_keys_sign_only_what_they_are_for(papers: Papers) -> None:
    """A credential signed with the status key, or a list signed with the credential key, is refused."""
    bureau = papers.bureau
    payload = signatures.read_sign1(papers.cwt, type_=signatures.CWT, max_bytes=700).payload
    for role in (("*", "status"), ("*", "draw"), (numbered().grant.authority.code, "seal")):
        kid = bureau.trust.signing_key(*role, DECIDED).kid  # type: ignore[arg-type]
        header = signatures.protected_header(kid, signatures.CWT)
        signature = bureau.signer.sign(kid, "ES256", signatures.to_be_signed(header, payload))
        assert not bureau.verify(signatures.sign1(header, payload, signature)).genuine


def test_reasons_of_another_list_explain_nothing(papers: Papers, tmp_path: Path) -> None:
    """The list alone decides; what stands beside it is not repeated unless it is the list's own."""
    folder = tmp_path / LIST
    folder.mkdir()
    from schemas.status_list import StatusReason

    one = papers.bureau.edition(DECIDED, {3: 1}, {3: StatusReason("revoked", "吊销 / revoked", "2018-09-10")})
    two = papers.bureau.edition(
        DECIDED + timedelta(hours=1), {3: 1}, {3: StatusReason("rescinded", "撤销 / rescinded", "2018-09-10")}
    )
    (folder / Path(one.list_key).name).write_bytes(one.list_cwt)
    (folder / Path(one.reasons_key).name).write_bytes(two.reasons_cwt)
    found = papers.bureau.verify(papers.cwt, later(0), status=Folder(tmp_path))
    assert (found.verdict, found.licence["reason"]) == ("invalid", None)
    assert "another" in found.checks[-1].detail
