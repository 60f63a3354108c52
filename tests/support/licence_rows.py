"""One table of files and verdicts that every verifier has to agree on: in Python, in node and in a browser.

What is expected is written by hand; no verifier is asked for it. A row names the editions of the status list that the
verifier is given, the trust folder, the moment, and which checks say no.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2
import zxingcpp
from bureau import DECIDED, FROM, HOST, LIFE, NOON, PROVINCE, ROLES, URI, Bureau, later, numbered
from forgeries import flip, high_s, kid_of, reseal, sign, sign_header
from papers import licence as licence_of
from PIL import Image

from issuance import keys
from issuance.keys import Role
from issuance.status_lists import Edition
from schemas import cose
from schemas.licence import Product, qr_text
from schemas.status_list import StatusReason, pack
from schemas.trust import ANY_AUTHORITY, TrustStore, load_trust
from verification.status import Candidate
from verification.trust_bundle import trust_bundle
from verification.verify import Verdict, verify_bytes

OTHER_PROVINCE = "urn:agency:620000:market-regulation"
DAYS = timedelta(days=1)
NAME = "青海省市场监督管理局"


class Row(NamedTuple):
    """A file and the verdict on it; `failed` are the checks that say no, in order."""

    name: str
    data: bytes
    verdict: str
    failed: tuple[str, ...] = ()
    genuine: bool = False
    trust: str = "own"
    at: datetime = NOON
    editions: tuple[str, ...] | None = ("first",)
    credential: bytes | None = None
    picture: bool = False  # a decoder of pictures is needed, which node has not


class Editions:
    """A source that gives the editions of a row, all of them."""

    def __init__(self, editions: list[tuple[bytes, bytes | None]]) -> None:
        self.editions = editions

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        return [Candidate("given", one, lambda beside=beside: beside) for one, beside in self.editions]  # type: ignore[misc]


class Corpus:
    """An installation, forgers around it, and the rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bureau = _bureau(folder / "own")
        self.other = _bureau(folder / "other")
        self.trusts: dict[str, Path] = {"own": folder / "own" / "trust"}
        self.licence = numbered()
        self.cwt, self.body = self.bureau.credential(self.licence)
        self.pdf = self.bureau.pdf(self.licence)
        self.text = qr_text(HOST, self.cwt).encode()
        self.editions: dict[str, tuple[bytes, bytes | None]] = dict(self._editions())
        self.rows = [*self._forms(), *self._pictures(), *self._moments(), *self._lists(), *self._keys()]
        self.rows += [*self._encodings(), *self._claims(), *self._texts(), *self._bodies(), *self._pdfs(), *self._others()]

    def store(self, trust: str) -> TrustStore:
        """Return a trust folder as Python reads it."""
        return load_trust(self.trusts[trust])

    def bundle(self, trust: str) -> bytes:
        """Return a trust folder as browsers read it."""
        folder = self.trusts[trust]
        return trust_bundle({p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")})

    def source(self, row: Row) -> Editions | None:
        """Return the status lists of a row."""
        return None if row.editions is None else Editions([self.editions[name] for name in row.editions])

    def verify(self, row: Row) -> Verdict:
        """Return what the Python verifier says."""
        source = self.source(row)
        trust = self.store(row.trust)
        return verify_bytes(row.data, name=row.name, trust=trust, status=source, at=row.at, credential=row.credential)

    # What is published

    def _editions(self) -> Iterator[tuple[str, tuple[bytes, bytes | None]]]:
        def both(edition: Edition) -> tuple[bytes, bytes]:
            return edition.list_cwt, edition.reasons_cwt

        first = self.bureau.edition(DECIDED)
        held = StatusReason("suspended", "暂扣至2018-09-13 / suspended until 2018-09-13", "2018-09-12")
        second = self.bureau.edition(DECIDED + 2 * DAYS, {3: 2}, {3: held}, first.published)
        false = StatusReason("rescinded", "承诺不实 / false commitment", "2018-09-14")
        third = self.bureau.edition(DECIDED + 4 * DAYS, {3: 1}, {3: false}, second.published)
        newer = StatusReason("replaced", "已换发 / replaced by a later version", "2018-09-10", 2)
        replaced = self.bureau.edition(DECIDED + timedelta(hours=1), {3: 1}, {3: newer}, first.published)
        yield from (("first", both(first)), ("suspended", both(second)), ("rescinded", both(third)))
        yield "replaced", both(replaced)
        yield "without reasons", (third.list_cwt, None)
        yield "reasons of another", (third.list_cwt, second.reasons_cwt)
        yield "reasons spoilt", (third.list_cwt, flip(third.reasons_cwt, -5))
        yield "spoilt", (flip(third.list_cwt, -5), third.reasons_cwt)
        yield "cut off", (third.list_cwt[:-1], None)
        yield "of another installation", both(self.other.edition(DECIDED))
        start = int(DECIDED.timestamp())
        good = {2: URI, 4: start + 7 * 86_400, 6: start, "edition": 1, 65533: {"bits": 2, "lst": pack({}, 8)}}
        kid = kid_of(self.bureau, ANY_AUTHORITY, "status", DECIDED)
        crafted: dict[str, dict[int | str, Any]] = {
            "same second, later number": {"edition": 2, 65533: {"bits": 2, "lst": pack({3: 1}, 8)}},
            "too short": {65533: {"bits": 2, "lst": pack({}, 0)}},
            "one bit": {65533: {"bits": 1, "lst": pack({}, 8)}},
            "no zlib": {65533: {"bits": 2, "lst": b"no zlib"}},
            "zlib cut off": {65533: {"bits": 2, "lst": pack({}, 8)[:-2]}},
            "zlib with more behind": {65533: {"bits": 2, "lst": pack({}, 8) + b"\0"}},
            "times turned round": {4: start, 6: start + 1},
            "of another list": {2: URI + "0"},
            "a place of the reserved kind": {65533: {"bits": 2, "lst": pack({3: 3}, 8)}},
        }
        for name, change in crafted.items():
            yield name, (sign(self.bureau, kid, good | change, cose.STATUS_LIST_CWT), None)
        stranger = kid_of(self.bureau, PROVINCE, "credential", DECIDED)
        yield "by a credential key", (sign(self.bureau, stranger, good, cose.STATUS_LIST_CWT), None)
        yield "of another type", (sign(self.bureau, kid, good, cose.CWT), None)

    # Rows

    def _forms(self) -> Iterator[Row]:
        yield Row("PDF", self.pdf, "valid", genuine=True)
        yield Row("CWT", self.cwt, "valid", genuine=True)
        yield Row("JSON with its credential", self.body, "valid", genuine=True, credential=self.cwt)
        for name, data in {
            "QR text": self.text,
            "QR text with a mark and a line end": b"\xef\xbb\xbf" + self.text + b"\r\n",
            "QR text with spaces": b"  " + self.text + b" \n",
        }.items():
            yield Row(name, data, "valid", genuine=True)
        unusual: dict[str, dict[str, Any]] = {
            "no end": {"valid_until": None},
            "long name": {"holder_name": "青" * 200, "version": 2},
            "person": {"holder_kind": "person", "holder_id": "630***********001X", "holder_name": "扎西·顿珠"},
            "annex": {"products": tuple(Product(f"产品{n}", "厂址" * 20, f"规格{n}" * 30) for n in range(60))},
            "Tibetan": {"holder_name": "བོད་རང་སྐྱོང་ལྗོངས།"},
            "Mongolian": {"holder_name": "ᠮᠣᠩᠭᠣᠯ ᠬᠦᠮᠦᠨ"},
            "rare characters": {"holder_name": "䶮𠮷龘〇", "address": "𠮷野家 A―B—C‐D‑E “甲”…⋯ ⻚页"},
            "markup": {"holder_name": "<img src=x onerror=alert(1)>#read$\\&'\"", "address": "javascript:alert(1)"},
            "PDF in a name": {"holder_name": "endstream endobj trailer %%EOF <<>> /Contents<00>"},
        }
        for name, changes in unusual.items():
            licence = numbered(**changes)
            credential, body = self.bureau.credential(licence)
            yield Row(f"{name}: PDF", self.bureau.pdf(licence), "valid", genuine=True)
            yield Row(f"{name}: CWT", credential, "valid", genuine=True)
            yield Row(f"{name}: JSON", body, "valid", genuine=True, credential=credential)

    def _pictures(self) -> Iterator[Row]:
        page = pypdfium2.PdfDocument(self.pdf)[0].render(scale=150 / 72).to_pil().convert("RGB")
        white = Image.new("RGB", (600, 600), "white")
        code = _code(self.text.decode())
        another = _code(qr_text(HOST, self.bureau.credential(numbered(version=2))[0]))
        two = Image.new("L", (code.width + another.width, max(code.height, another.height)), "white")
        two.paste(code, (0, 0))
        two.paste(another, (code.width, 0))
        scan = io.BytesIO()
        page.save(scan, "PDF", resolution=150)
        yield Row("picture of the page: PNG", _png(page), "valid", genuine=True, picture=True)
        yield Row("picture of the page: JPEG", _jpeg(page), "valid", genuine=True, picture=True)
        yield Row("scanned PDF", scan.getvalue(), "valid", genuine=True, picture=True)
        changed = self.text[:-1] + str((int(self.text[-1:]) + 1) % 10).encode()
        forged = _code(changed.decode())
        yield Row("picture of a changed QR", _png(forged), "invalid", ("credential",), picture=True)
        blank: dict[str, bytes] = {
            "picture of nothing": _png(white),
            "picture of two licences": _png(two),
            "picture of a web address": _png(_code("HTTPS://EXAMPLE.COM/")),
            "picture cut off": _png(white)[:60],
            "picture head alone": b"\x89PNG\r\n\x1a\n",
            "JPEG head alone": b"\xff\xd8\xff\xe0",
        }
        for name, data in blank.items():
            yield Row(name, data, "unknown", ("qr",), picture=True)
        empty = io.BytesIO()
        white.save(empty, "PDF")
        yield Row("scanned PDF of nothing", empty.getvalue(), "unknown", ("form",), picture=True)
        leads = _code("HTTPS://ZHENGZHAO.EXAMPLE/#" + "7" * 1500)
        yield Row("picture of another number", _png(leads), "invalid", ("qr-text",), picture=True)

    def _moments(self) -> Iterator[Row]:
        every = ("first", "suspended", "rescinded")
        table: list[tuple[float, str, tuple[str, ...]]] = [
            (-1, "invalid", ("dates", "status")),
            (-0.2, "unknown", ("status",)),
            (0, "valid", ()),
            (1.8, "valid", ()),
            (1.9, "invalid", ("status",)),
            (4, "invalid", ("status",)),
            (10.8, "invalid", ("status",)),
            (10.9, "unknown", ("status",)),
            (400, "unknown", ("status",)),
            (365 * 6, "invalid", ("dates", "status")),
        ]
        for days, verdict, failed in table:
            yield Row(f"{days} days on", self.cwt, verdict, failed, True, at=later(days), editions=every)
        end = datetime.fromisoformat("2023-09-09T23:59:59+08:00")
        yield Row("last second", self.cwt, "unknown", ("status",), True, at=end)
        yield Row("a second later", self.cwt, "invalid", ("dates", "status"), True, at=end + timedelta(seconds=1))
        begin = datetime.fromisoformat("2018-09-10T00:00:00+08:00")
        yield Row("first second", self.cwt, "unknown", ("status",), True, at=begin)
        yield Row("a second before", self.cwt, "invalid", ("dates", "status"), True, at=begin - timedelta(seconds=1))
        yield Row("seconds before the list ends", self.cwt, "valid", (), True, at=DECIDED + 7 * DAYS - timedelta(seconds=1))
        yield Row("as the list ends", self.cwt, "unknown", ("status",), True, at=DECIDED + 7 * DAYS)

    def _lists(self) -> Iterator[Row]:
        doubtful = (
            ("spoilt",), ("cut off",), ("first", "spoilt"), ("of another installation",), ("first", "of another installation"),
            ("by a credential key",), ("of another type",), ("too short",), ("one bit",), ("no zlib",), ("zlib cut off",),
            ("zlib with more behind",), ("times turned round",), ("of another list",), (),
        )  # fmt: skip
        for names in doubtful:
            row = Row(f"list: {', '.join(names)}", self.cwt, "unknown", ("status",), True)
            yield row._replace(editions=names, at=later(4.5) if "spoilt" in names else NOON)
        yield Row("no list", self.pdf, "unknown", ("status",), True, editions=None)
        for names in (
            ("without reasons",), ("reasons of another",), ("reasons spoilt",), ("rescinded",),
        ):  # fmt: skip
            yield Row(f"list: {names[0]}", self.cwt, "invalid", ("status",), True, at=later(5), editions=names)
        for names in (("replaced",), ("first", "replaced"), ("same second, later number", "first")):
            yield Row(f"list: {names}", self.cwt, "invalid", ("status",), True, editions=names)
        yield Row("list: reserved", self.cwt, "invalid", ("status",), True, editions=("a place of the reserved kind",))

    def _keys(self) -> Iterator[Row]:
        before, after = numbered(), numbered(decided_at=(DECIDED + 10 * DAYS).isoformat())
        pdfs = self.bureau.pdf(before), self.bureau.pdf(after)
        credentials = self.bureau.credential(before)[0], self.bureau.credential(after)[0]
        for use in ("credential", "seal"):
            name = f"{use} key revoked"
            self._revoke(name, PROVINCE, use, later(5))
            check = "credential" if use == "credential" else "seal-key"
            yield Row(f"{name} later: PDF", pdfs[0], "valid", (), True, trust=name)
            yield Row(f"{name} before: PDF", pdfs[1], "invalid", (check,), trust=name)
            outcome: tuple[str, tuple[str, ...], bool] = ("valid", (), True)
            yield Row(f"{name} later: CWT", credentials[0], *outcome, trust=name)
            if use == "credential":
                outcome = ("invalid", ("credential",), False)
            yield Row(f"{name} before: CWT", credentials[1], *outcome, trust=name)
        self._revoke("status key revoked", ANY_AUTHORITY, "status", later(0.5))
        for edition, verdict, failed in (("first", "valid", ()), ("suspended", "unknown", ("status",))):
            row = Row(f"status key revoked: {edition}", self.cwt, verdict, failed, True, trust="status key revoked")
            yield row._replace(at=later(2), editions=(edition,))
        renewed = self._copy("renewed")
        keys.rotate(renewed.data, ROLES, keys.Lifetime(later(1), 5), now=later(1), passphrase=None)
        fresh = numbered(decided_at=later(2).isoformat())
        for name, trust, verdicts in (
            ("renewed keys", "renewed", ("valid", "valid")),
            ("keys that the folder does not list yet", "own", ("unknown", "invalid")),
        ):
            good = trust == "renewed"
            data = renewed.pdf(fresh), renewed.credential(fresh)[0]
            for form, check, one, verdict in zip(("PDF", "CWT"), ("seal", "credential"), data, verdicts, strict=True):
                row = Row(f"{name}: {form}", one, verdict, () if good else (check,), good, trust=trust)
                yield row._replace(at=later(3))
        yield Row("old keys, renewed folder", self.pdf, "valid", (), True, trust="renewed")
        for role in ((ANY_AUTHORITY, "status"), (ANY_AUTHORITY, "draw"), (PROVINCE, "seal"), (OTHER_PROVINCE, "credential")):
            kid = kid_of(self.bureau, role[0], role[1], DECIDED)  # type: ignore[arg-type]
            yield Row(f"credential by the {role[1]} key of {role[0]}", sign(self.bureau, kid, self._payload), "invalid", ("credential",))
        early = cose.decode(self._payload, max_bytes=700) | {6: int(FROM.timestamp()) - 1}
        yield Row("decided before the key signs", self._signed(early), "invalid", ("credential",))
        licence = numbered()
        for name, data in {"PDF": self.other.pdf(licence), "CWT": self.other.credential(licence)[0]}.items():
            yield Row(f"another root: {name}", data, "invalid", ("seal" if name == "PDF" else "credential",))

    def _encodings(self) -> Iterator[Row]:
        good = self.cwt
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
        yield Row("credential: no tag", good[1:], "unknown", ("form",))
        yield Row("credential: tag in two bytes", b"\xd8\x12" + good[1:], "unknown", ("form",))
        for place in range(1, len(good), 13):
            yield Row(f"credential: byte {place} changed", flip(good, place, 1 << place % 8), "invalid", ("credential",))
        kid = self._kid.encode()
        headers = {
            "another algorithm": {1: -35, 4: kid, 16: cose.CWT},
            "no type": {1: -7, 4: kid},
            "another type": {1: -7, 4: kid, 16: "application/other"},
            "type as a number": {1: -7, 4: kid, 16: 61},
            "a further header": {1: -7, 4: kid, 16: cose.CWT, 33: b"x"},
            "key id as text": {1: -7, 4: self._kid, 16: cose.CWT},
            "no key id": {1: -7, 4: b"", 16: cose.CWT},
        }
        for name, change in headers.items():
            data = sign_header(self.bureau, self._kid, cose.encode(change), self._payload)
            yield Row(f"header: {name}", data, "invalid", ("credential",))

    def _claims(self) -> Iterator[Row]:
        claims = cose.decode(self._payload, max_bytes=700)
        changes: dict[str, Any] = {
            "no map": [1, 2, 3],
            "times out of range": claims | {4: 2**63},
            "negative times": claims | {5: -(2**63)},
            "after the last day": claims | {4: 253_402_300_799},
            "a negative place": claims | {65535: {"status_list": {"idx": -1, "uri": "x"}}},
            "a status of another kind": claims | {65535: {"identifier_list": {}}},
            "a status with more": claims | {65535: {"status_list": {"idx": 1, "uri": "x", "z": 1}}},
            "text for a number": claims | {"v": "1"},
            "a truth for a number": claims | {"v": True},
            "a number for text": claims | {"hn": 5},
            "a list of numbers": claims | {"cat": [1]},
            "a body digest of 31 bytes": claims | {"body": b"x" * 31},
            "a key id among the claims": claims | {"kid": "ab"},
            "a claim under another name": claims | {"issued_at": 5},
            "no number": {key: value for key, value in claims.items() if key != "no"},
        }
        for name, claimed in changes.items():
            yield Row(f"claims: {name}", self._signed(claimed), "invalid", ("credential",))
        yield Row("claims: one more that nobody reads", self._signed(claims | {"z": 1}), "valid", (), True)
        yield Row("claims: a null end", self._signed(claims | {4: None}), "valid", (), True)
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
            "something behind": self._payload + b"\0",
            "nothing": b"",
        }
        for name, raw in odd.items():
            yield Row(f"payload: {name}", sign(self.bureau, self._kid, raw), "invalid", ("credential",))

    def _texts(self) -> Iterator[Row]:
        digits = self.text.split(b"#")[1]
        host = HOST.encode()
        yield Row("QR text: another host", qr_text("EVIL.EXAMPLE", self.cwt).encode(), "invalid", ("host",))
        yield Row("QR text: a host that begins like it", qr_text(f"{HOST}.CN", self.cwt).encode(), "invalid", ("host",))
        number = {
            "another number": b"HTTPS://A/#512",
            "two digits more": self.text + b"11",
            "a digit less": self.text[:-1],
        }
        for name, data in number.items():
            yield Row(f"QR text: {name}", data, "invalid", ("qr-text",))
        for place in range(len(self.text) - len(digits) + 3, len(self.text), 150):
            changed = self.text[:place] + str((self.text[place] - 47) % 10).encode() + self.text[place + 1 :]
            yield Row(f"QR text: digit {place} changed", changed, "invalid", ("credential",))
        none = {
            "a million digits": b"HTTPS://A/#" + b"9" * 1_000_000,
            "a long host": b"HTTPS://" + b"A." * 100_000 + b"/#300",
            "lower case": self.text.lower(),
            "no number": b"HTTPS://" + host + b"/#",
            "a nought in front": b"HTTPS://" + host + b"/#0" + digits,
            "a query": b"HTTPS://" + host + b"/?a=1#" + digits,
            "a user": b"HTTPS://A@" + host + b"/#" + digits,
            "full-width digits": "HTTPS://A/#１２３".encode(),
            "two lines": self.text + b"\n" + self.text,
        }
        for name, data in none.items():
            yield Row(f"QR text: {name}", data, "unknown", ("qr-text",))

    def _bodies(self) -> Iterator[Row]:
        good, proof = self.body, self.cwt
        _, another = self.bureau.credential(numbered(version=2))
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
            yield Row(f"JSON: byte {place} changed", flip(good, place, 1 << place % 7), "invalid", ("body",), credential=proof)
        yield Row("JSON with another credential", good, "invalid", ("body",), credential=self.bureau.credential(numbered(version=2))[0])
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
            claims = cose.decode(self._payload, max_bytes=700) | {"body": _sha256(data)}
            yield Row(f"JSON, signed: {name}", data, "invalid", ("body",), credential=self._signed(claims))

    def _pdfs(self) -> Iterator[Row]:
        good = self.pdf
        start = good.rindex(b"/Contents<") + len(b"/Contents<")
        contents = good[start : start + 4096]
        form = {
            "a line end behind": good + b"\n",
            "a line end in front": b"%PDF-\n" + good,
            "cut off": good[:-1],
            "twice": good + good,
            "a second revision": good + b"1 0 obj\n<<>>\nendobj\nxref\n0 1\n0000000000 65535 f\r\ntrailer\n<</Size 1>>\nstartxref\n0\n%%EOF\n",
            "upper-case hex": good.replace(contents, contents.upper()),
            "something in the padding": good.replace(contents, contents[:-1] + b"1"),
            "a byte within": good[:1000] + b" " + good[1000:],
            "a range that leaves a hole": good.replace(b"/ByteRange[0 ", b"/ByteRange[1 "),
            "an empty seal": good.replace(contents, b"0" * 4096),
            "a huge byte range": b"%PDF-1.7\n/Contents<" + b"30" * 2048 + b">/ByteRange[0 999999999 999999999 9]>>\nendobj\n%%EOF\n",
        }
        for name, data in form.items():
            yield Row(f"PDF: {name}", data, "invalid", ("form",))
        for place in range(20, len(good) - 1500, len(good) // 30):
            if not start - 10 <= place < start + 4200:
                yield Row(f"PDF: byte {place} changed", flip(good, place), "invalid", ("seal",))
        for place in range(start + 8, start + 2300, 97):
            check = _check_of_seal(contents, place - start)
            yield Row(f"PDF: byte {place} of the seal changed", flip(good, place, 1), "invalid", (check,))
        another = self.bureau.pdf(licence_of(2))
        elsewhere = another.rindex(b"/Contents<") + len(b"/Contents<")
        swapped = good[:start] + another[elsewhere : elsewhere + 4096] + good[start + 4096 :]
        yield Row("PDF: the seal of another", swapped, "invalid", ("seal",))
        yield from self._sealed(good, another)

    def _sealed(self, good: bytes, another: bytes) -> Iterator[Row]:
        """Files that an authority's key sealed, but no issuer would make."""
        kid = kid_of(self.bureau, PROVINCE, "seal", DECIDED)
        cwt, body = self.bureau.credential(licence_of(2))
        name = b"<feff" + "licence.json".encode("utf-16-be").hex().encode() + b">"
        last_digit = good.rindex(b"\n%%EOF") - 1
        both = good.replace(self.cwt, cwt).replace(self.body, body)
        yield Row("sealed again", reseal(self.bureau, good, kid), "valid", (), True)
        sealed = {
            "the credential of another": (good.replace(self.cwt, cwt), "body"),
            "the data of another": (good.replace(self.body, body), "body"),
            "the page of another": (both, "page"),
            "an attachment under another name": (good.replace(name, name[:-3] + b"6f>"), "attachments"),
            "a table that lies elsewhere": (flip(good, last_digit), "attachments"),
            "a spoilt credential": (good.replace(self.cwt, flip(self.cwt, -1)), "credential"),
        }
        for title, (data, check) in sealed.items():
            assert len(data) == len(good) and data != good, title
            yield Row(f"sealed: {title}", reseal(self.bureau, data, kid), "invalid", (check,))
        for role, check in (((PROVINCE, "credential"), "seal"), ((OTHER_PROVINCE, "seal"), "seal-key")):
            other = kid_of(self.bureau, role[0], role[1], DECIDED)  # type: ignore[arg-type]
            yield Row(f"sealed by the {role[1]} key of {role[0]}", reseal(self.bureau, good, other), "invalid", (check,))

    def _others(self) -> Iterator[Row]:
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
            yield Row(f"other PDF: {name}", data, "unknown", ("form",))
        listed = self.editions["first"][0]
        yield Row("other: a status list", listed, "invalid", ("credential",))

    # What rows are made with

    @property
    def _kid(self) -> str:
        return kid_of(self.bureau, PROVINCE, "credential", DECIDED)

    @property
    def _payload(self) -> bytes:
        return cose.read_sign1(self.cwt, type_=cose.CWT, max_bytes=700).payload

    def _signed(self, claims: Any) -> bytes:
        return sign(self.bureau, self._kid, claims)

    def _copy(self, name: str) -> Bureau:
        """Return the same installation in another folder, whose trust may change."""
        shutil.copytree(self.bureau.data, self.folder / name)
        self.trusts[name] = self.folder / name / "trust"
        copied = Bureau.__new__(Bureau)
        copied.data = self.folder / name
        return copied

    def _revoke(self, name: str, authority: str, use: Any, since: datetime) -> None:
        copied = self._copy(name)
        kid = kid_of(copied, authority, use, DECIDED)
        keys.revoke(copied.data, kid, since, name=NAME, outlives=5, now=DECIDED, passphrase=None)


def _bureau(folder: Path) -> Bureau:
    """Return an installation with a second authority."""
    more = tuple(Role(OTHER_PROVINCE, "甘肃省市场监督管理局", role.use) for role in ROLES[:2])
    keys.init(folder, (*ROLES, *more), LIFE, now=FROM, passphrase=None)
    return Bureau(folder)


def _check_of_seal(contents: bytes, place: int) -> str:
    """Return the check that fails where the lowest bit of a hex digit of the seal is changed."""
    length = 4 + int(contents[4:8], 16)  # 30 82 and two bytes of length
    within = place < 2 * length and contents[place : place + 1] not in (b"a", b"f")  # those become no hex
    return "seal" if within else "form"


def _code(text: str) -> Image.Image:
    picture = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image(scale=4)
    return Image.fromarray(picture)


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=70)
    return out.getvalue()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
