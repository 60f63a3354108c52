"""Rows of files that were altered or forged; see `licence_rows`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from bureau import DECIDED, HOST, PROVINCE, numbered
from forger import OTHER_PROVINCE, Forger, Row, Unread
from forgeries import flip, high_s, kid_of, reseal, sign, sign_header
from papers import licence as licence_of

from schemas import signatures
from schemas.licence import qr_text


def encodings(corpus: Forger) -> Iterator[Row]:
    """Give credentials in other encodings, with changed bytes, under other headers."""
    good = corpus.cwt
    header, payload, signature = good[2:34], good[35 : len(good) - 66], good[-66:]
    broken = {
        "tag alone": good[:1],
        "array of indefinite length": b"\xd2\x9f" + good[2:] + b"\xff",
        "array length in two bytes": b"\xd2\x98\x04" + good[2:],
        "array of three": b"\xd2\x83" + header + payload + signature,
        "array of five": b"\xd2\x85" + good[2:] + b"\x00",
        "something unprotected": good[:34] + b"\xa1\x04\x41\x00" + good[35:],
        "unprotected null": good[:34] + b"\xf6" + good[35:],
        "bytes behind": good + b"\0",
        "twice": good + good,
        "cut off": good[:-1],
        "huge array": b"\xd2\x9b" + b"\xff" * 8,
        "deep": b"\xd2" + b"\x81" * 100_000,
        "shared references": b"\xd2\x84\xd8\x1c\x81\xd8\x1d\x00",
        "the other s": good[:-64] + high_s(good[-64:]),
        "signature of 63 bytes": good[:-66] + b"\x58\x3f" + good[-64:-1],
        "signature of zeros": good[:-64] + bytes(64),
        "over 700 bytes": good + bytes(700),
    }
    for name, data in broken.items():
        yield Row(f"credential: {name}", data, "invalid", ("credential",))
    yield Row("credential: no tag", good[1:], "invalid", ("credential",))
    yield Row("credential: tag in two bytes", b"\xd8\x12" + good[1:], "invalid", ("credential",))
    for place in range(1, len(good), 13):
        yield Row(
            f"credential: byte {place} changed",
            flip(good, place, 1 << place % 8),
            "invalid",
            ("credential",),
        )
    kid = corpus.kid.encode()
    headers = {
        "another algorithm": {1: -35, 4: kid, 16: signatures.CWT},
        "no type": {1: -7, 4: kid},
        "another type": {1: -7, 4: kid, 16: "application/other"},
        "type as a number": {1: -7, 4: kid, 16: 61},
        "a further header": {1: -7, 4: kid, 16: signatures.CWT, 33: b"x"},
        "key id as text": {1: -7, 4: corpus.kid, 16: signatures.CWT},
        "no key id": {1: -7, 4: b"", 16: signatures.CWT},
    }
    for name, change in headers.items():
        data = sign_header(corpus.bureau, corpus.kid, signatures.encode(change), corpus.payload)
        yield Row(f"header: {name}", data, "invalid", ("credential",))


def claims(corpus: Forger) -> Iterator[Row]:
    """Give credentials whose claims no issuer would make, signed by an authority."""
    good = signatures.decode(corpus.payload, max_bytes=700)
    changes: dict[str, Any] = {
        "no map": [1, 2, 3],
        "times out of range": good | {4: 2**63},
        "negative times": good | {5: -(2**63)},
        "after the last day": good | {4: 253_402_300_799},
        "a negative place": good | {65535: {"status_list": {"idx": -1, "uri": "x"}}},
        "a status of another kind": good | {65535: {"identifier_list": {}}},
        "a status with more": good | {65535: {"status_list": {"idx": 1, "uri": "x", "z": 1}}},
        "text for a number": good | {"v": "1"},
        "a truth for a number": good | {"v": True},
        "a number for text": good | {"hn": 5},
        "a list of numbers": good | {"cat": [1]},
        "a body digest of 31 bytes": good | {"body": b"x" * 31},
        "a key id among the claims": good | {"kid": "ab"},
        "a claim under another name": good | {"issued_at": 5},
        "no number": {key: value for key, value in good.items() if key != "no"},
    }
    for name, claimed in changes.items():
        yield Row(f"claims: {name}", corpus.signed(claimed), "invalid", ("credential",))
    yield Row("claims: one more that nobody reads", corpus.signed(good | {"z": 1}), "valid", (), True)
    yield Row("claims: a null end", corpus.signed(good | {4: None}), "valid", (), True)
    odd = {
        "a key twice": b"\xa2\x01\x00\x01\x00",
        "keys out of order": b"\xa2\x02\x00\x01\x00",
        "a long number": b"\xa1\x01\x18\x01",
        "a float": b"\xa1\x01\xf9\x3c\x00",
        "a tag": b"\xa1\x01\xc1\x00",
        "undefined": b"\xa1\x01\xf7",
        "a key of bytes": b"\xa1\x41\x00\x00",
        "text of indefinite length": b"\xa1\x01\x7f\x61\x41\xff",
        "text that is no UTF-8": b"\xa1\x01\x61\xff",
        "a map of indefinite length": b"\xbf\xff",
        "something behind": corpus.payload + b"\0",
        "nothing": b"",
    }
    for name, raw in odd.items():
        yield Row(f"payload: {name}", sign(corpus.bureau, corpus.kid, raw), "invalid", ("credential",))


def texts(corpus: Forger) -> Iterator[Row]:
    """Give texts of QR codes: of another host, number or form."""
    digits = corpus.text.split(b"#")[1]
    host = HOST.encode()
    yield Row("QR text: another host", qr_text("EVIL.EXAMPLE", corpus.cwt).encode(), "invalid", ("host",))
    yield Row(
        "QR text: a host that begins like it",
        qr_text(f"{HOST}.CN", corpus.cwt).encode(),
        "invalid",
        ("host",),
    )
    number = {
        "another number": b"HTTPS://A/#512",
        "two digits more": corpus.text + b"11",
        "a digit less": corpus.text[:-1],
    }
    for name, data in number.items():
        yield Row(f"QR text: {name}", data, "invalid", ("qr-text",))
    for place in range(len(corpus.text) - len(digits) + 3, len(corpus.text), 150):
        changed = (
            corpus.text[:place] + str((corpus.text[place] - 47) % 10).encode() + corpus.text[place + 1 :]
        )
        yield Row(f"QR text: digit {place} changed", changed, "invalid", ("credential",))
    none = {
        "a million digits": b"HTTPS://A/#" + b"9" * 1_000_000,
        "a long host": b"HTTPS://" + b"A." * 100_000 + b"/#300",
        "lower case": corpus.text.lower(),
        "no number": b"HTTPS://" + host + b"/#",
        "a nought in front": b"HTTPS://" + host + b"/#0" + digits,
        "a query": b"HTTPS://" + host + b"/?a=1#" + digits,
        "a user": b"HTTPS://A@" + host + b"/#" + digits,
        "full-width digits": "HTTPS://A/#１２３".encode(),
        "two lines": corpus.text + b"\n" + corpus.text,
    }
    for name, data in none.items():
        yield Row(f"QR text: {name}", data, "unknown", ("qr-text",))


def bodies(corpus: Forger) -> Iterator[Row]:
    """Give bodies that are not the one that was signed, or not in its one encoding."""
    good, proof = corpus.body, corpus.cwt
    _, another = corpus.bureau.credential(numbered(version=2))
    broken = {
        "of another version": another,
        "a line end behind": good + b"\n",
        "a space within": b"{ " + good[1:],
        "cut off": good[:-1],
        "open brackets": b"{" * 100_000,
        "nothing in it": b"{}",
    }
    for name, data in broken.items():
        yield Row(f"JSON: {name}", data, "invalid", ("body",), credential=proof)
    for place in range(1, len(good), 41):
        yield Row(
            f"JSON: byte {place} changed",
            flip(good, place, 1 << place % 7),
            "invalid",
            ("body",),
            credential=proof,
        )
    yield Row(
        "JSON with another credential",
        good,
        "invalid",
        ("body",),
        credential=corpus.bureau.credential(numbered(version=2))[0],
    )
    yield Row("JSON with a spoilt credential", good, "invalid", ("credential",), credential=flip(proof, -1))
    signed = {
        "another holder": good.replace("盐湖".encode(), "碱业".encode()),
        "a field more": good.replace(b'{"CZZT"', b'{"A":1,"CZZT"'),
        "a field twice": good.replace(b'{"CZZT"', b'{"CZZT":"x","CZZT"'),
        "a mark in front": b'{"\xef\xbb\xbf' + good[2:],
        "a text for a number": good.replace(b'"version":1', b'"version":"1"'),
        "a version with a point": good.replace(b'"version":1', b'"version":1.0'),
        "an escaped letter": good.replace(b'"CZZT"', b'"\\u0043ZZT"'),
        "an empty detail": good.replace(b'"detail":"\xe5', b'"detail":"","x":"\xe5', 1),
        "keys out of order": b'{"version":1,' + good[1:].replace(b',"version":1', b""),
    }
    for name, data in signed.items():
        claimed = signatures.decode(corpus.payload, max_bytes=700) | {"body": _sha256(data)}
        yield Row(f"JSON, signed: {name}", data, "invalid", ("body",), credential=corpus.signed(claimed))


def pdfs(corpus: Forger) -> Iterator[Row]:
    """Give PDFs that were changed after they were sealed."""
    good = corpus.pdf
    start = good.rindex(b"/Contents<") + len(b"/Contents<")
    contents = good[start : start + 4096]
    form = {
        "a line end behind": good + b"\n",
        "a line end in front": b"%PDF-\n" + good,
        "cut off": good[:-1],
        "twice": good + good,
        "a second revision": good
        + b"1 0 obj\n<<>>\nendobj\nxref\n0 1\n0000000000 65535 f\r\ntrailer\n<</Size 1>>\nstartxref\n0\n%%EOF\n",
        "upper-case hex": good.replace(contents, contents.upper()),
        "something in the padding": good.replace(contents, contents[:-1] + b"1"),
        "a byte within": good[:1000] + b" " + good[1000:],
        "a range that leaves a hole": good.replace(b"/ByteRange[0 ", b"/ByteRange[1 "),
        "an empty seal": good.replace(contents, b"0" * 4096),
        "a huge byte range": b"%PDF-1.7\n/Contents<"
        + b"30" * 2048
        + b">/ByteRange[0 999999999 999999999 9]>>\nendobj\n%%EOF\n",
    }
    for name, data in form.items():
        yield Row(f"PDF: {name}", data, "invalid", ("form",))
    for place in range(20, len(good) - 1500, len(good) // 30):
        if not start - 10 <= place < start + 4200:
            yield Row(f"PDF: byte {place} changed", flip(good, place), "invalid", ("seal",))
    for place in range(start + 8, start + 2300, 97):
        check = _check_of_seal(contents, place - start)
        yield Row(f"PDF: byte {place} of the seal changed", flip(good, place, 1), "invalid", (check,))
    another = corpus.bureau.pdf(licence_of(2))
    elsewhere = another.rindex(b"/Contents<") + len(b"/Contents<")
    swapped = good[:start] + another[elsewhere : elsewhere + 4096] + good[start + 4096 :]
    yield Row("PDF: the seal of another", swapped, "invalid", ("seal",))
    yield from _sealed(corpus, good, another)


def _sealed(corpus: Forger, good: bytes, another: bytes) -> Iterator[Row]:
    """Give files that an authority's key sealed, but no issuer would make."""
    kid = kid_of(corpus.bureau, PROVINCE, "seal", DECIDED)
    cwt, body = corpus.bureau.credential(licence_of(2))
    name = b"<feff" + "licence.json".encode("utf-16-be").hex().encode() + b">"
    last_digit = good.rindex(b"\n%%EOF") - 1
    both = good.replace(corpus.cwt, cwt).replace(corpus.body, body)
    yield Row("sealed again", reseal(corpus.bureau, good, kid), "valid", (), True)
    sealed = {
        "the credential of another": (good.replace(corpus.cwt, cwt), "body"),
        "the data of another": (good.replace(corpus.body, body), "body"),
        "the page of another": (both, "page"),
        "an attachment under another name": (good.replace(name, name[:-3] + b"6f>"), "attachments"),
        "a table that lies elsewhere": (flip(good, last_digit), "attachments"),
        "a spoilt credential": (good.replace(corpus.cwt, flip(corpus.cwt, -1)), "credential"),
    }
    for title, (data, check) in sealed.items():
        assert len(data) == len(good), title
        assert data != good, title
        yield Row(f"sealed: {title}", reseal(corpus.bureau, data, kid), "invalid", (check,))
    for role, check in (((PROVINCE, "credential"), "seal"), ((OTHER_PROVINCE, "seal"), "seal-key")):
        other = kid_of(corpus.bureau, role[0], role[1], DECIDED)  # type: ignore[arg-type]
        yield Row(
            f"sealed by the {role[1]} key of {role[0]}",
            reseal(corpus.bureau, good, other),
            "invalid",
            (check,),
        )


NO_SEAL = Unread(
    "form",
    "a PDF without a seal is a scan or a changed copy: drawing it would tell, and a browser's script cannot draw it",
)


def others(corpus: Forger) -> Iterator[Row]:
    """Give what is no licence at all."""
    for name, data in {
        "random bytes": bytes(range(256)) * 4,
        "text": "不是证照".encode(),
        "HTML": b"<html><script>alert(1)</script>",
        "UTF-16": "HTTPS://A/#300".encode("utf-16"),
        "zip": b"PK\x03\x04" + bytes(100),
        "one byte": b"\0",
    }.items():
        yield Row(f"other: {name}", data, "unknown", ("form",))
    for name, data in {
        "head alone": b"%PDF-1.7\n",
        "of nothing": b"%PDF-1.7\n" + b"\0" * 1000 + b"%%EOF\n",
        "encrypted": b"%PDF-1.7\ntrailer\n<</Encrypt 1 0 R>>\n%%EOF\n",
        "17 MB": b"%PDF-1.7\n" + b"0" * (17 << 20),
    }.items():
        yield Row(f"other PDF: {name}", data, "invalid", ("form",), unread=NO_SEAL)
    listed = corpus.editions["first"][0]
    yield Row("other: a status list", listed, "invalid", ("credential",))


def _check_of_seal(contents: bytes, place: int) -> str:
    """Return the check that fails where the lowest bit of a hex digit of the seal is changed."""
    length = 4 + int(contents[4:8], 16)  # 30 82 and two bytes of length
    within = place < 2 * length and contents[place : place + 1] not in (b"a", b"f")  # those become no hex
    return "seal" if within else "form"


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
