"""One table of files and verdicts that every verifier has to agree on: in Python, in node and in a browser.

What is expected is written by hand; no verifier is asked for it. A row names the editions of the status list that the
verifier is given, the trust folder, the moment, and which checks say no.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pypdfium2
import zxingcpp
from bureau import DECIDED, FROM, HOST, NOON, PROVINCE, ROLES, later, numbered
from forged_rows import NO_SEAL, bodies, claims, encodings, others, pdfs, texts
from forger import DAYS, OTHER_PROVINCE, WITNESS, Forger, Row, Unread, entry_of, sign_listing
from forgeries import kid_of, sign
from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, NameObject

from issuance import keys
from schemas import signatures
from schemas.licence import Numbered, Product, qr_text
from schemas.trust import ANY_AUTHORITY


class Corpus(Forger):
    """All rows, and what they need."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        kinds = (
            forms,
            pictures,
            moments,
            lists,
            keyed,
            logged,
            freshness,
            encodings,
            claims,
            texts,
            bodies,
            pdfs,
            others,
        )
        self.rows = [row for kind in kinds for row in kind(self)]


def forms(corpus: Forger) -> Iterator[Row]:
    """Give good licences in every form."""
    yield Row("PDF", corpus.pdf, "valid", genuine=True)
    yield Row("CWT", corpus.cwt, "valid", genuine=True)
    yield Row("JSON with its credential", corpus.body, "valid", genuine=True, credential=corpus.cwt)
    for name, data in {
        "QR text": corpus.text,
        "QR text with a mark and a line end": b"\xef\xbb\xbf" + corpus.text + b"\r\n",
        "QR text with spaces": b"  " + corpus.text + b" \n",
    }.items():
        yield Row(name, data, "valid", genuine=True)
    unusual: dict[str, dict[str, Any]] = {
        "no end": {"valid_until": None},
        "long name": {"holder_name": "青" * 200, "version": 2},
        "person": {
            "holder_kind": "person",
            "holder_id": "630***********001X",
            "holder_name": "扎西·顿珠",
        },
        "annex": {"products": tuple(Product(f"产品{n}", "厂址" * 20, f"规格{n}" * 30) for n in range(60))},
        "Tibetan": {"holder_name": "བོད་རང་སྐྱོང་ལྗོངས།"},
        "Mongolian": {"holder_name": "ᠮᠣᠩᠭᠣᠯ ᠬᠦᠮᠦᠨ"},
        "rare characters": {"holder_name": "䶮𠮷龘〇", "address": "𠮷野家 A―B—C‐D‑E “甲”…⋯ ⻚页"},
        "markup": {
            "holder_name": "<img src=x onerror=alert(1)>#read$\\&'\"",
            "address": "javascript:alert(1)",
        },
        "PDF in a name": {"holder_name": "endstream endobj trailer %%EOF <<>> /Contents<00>"},
    }
    for name, changes in unusual.items():
        licence = numbered(**changes)
        credential, body = corpus.bureau.credential(licence)
        yield Row(f"{name}: PDF", corpus.bureau.pdf(licence), "valid", genuine=True)
        yield Row(f"{name}: CWT", credential, "valid", genuine=True)
        yield Row(f"{name}: JSON", body, "valid", genuine=True, credential=credential)


def pictures(corpus: Forger) -> Iterator[Row]:
    """Give pictures and scans, of licences and of nothing."""
    page = pypdfium2.PdfDocument(corpus.pdf)[0].render(scale=150 / 72).to_pil().convert("RGB")
    white = Image.new("RGB", (600, 600), "white")
    code = _code(corpus.text.decode())
    another = _code(qr_text(HOST, corpus.bureau.credential(numbered(version=2))[0]))
    two = Image.new("L", (code.width + another.width, max(code.height, another.height)), "white")
    two.paste(code, (0, 0))
    two.paste(another, (code.width, 0))
    yield Row("picture of the page: PNG", _saved(page, "PNG"), "valid", genuine=True, picture=True)
    yield Row(
        "picture of the page: JPEG", _saved(page, "JPEG", quality=70), "valid", genuine=True, picture=True
    )
    yield Row("scanned PDF", _saved(page, "PDF", resolution=150), "valid", genuine=True, unread=NO_SEAL)
    yield Row("redrawn PDF", _redrawn(page), "invalid", ("form",), unread=NO_SEAL)
    yield Row("picture of the page: WebP", _saved(page, "WEBP"), "valid", genuine=True, picture=True)
    tiff = _saved(page, "TIFF")
    yield Row("picture of the page: TIFF", tiff, "valid", genuine=True, picture=True, unread=NO_TIFF)
    changed = corpus.text[:-1] + str((int(corpus.text[-1:]) + 1) % 10).encode()
    forged = _code(changed.decode())
    yield Row("picture of a changed QR", _saved(forged, "PNG"), "invalid", ("credential",), picture=True)
    blank: dict[str, bytes] = {
        "picture of nothing": _saved(white, "PNG"),
        "picture of two licences": _saved(two, "PNG"),
        "picture of a web address": _saved(_code("HTTPS://EXAMPLE.COM/"), "PNG"),
        "picture cut off": _saved(white, "PNG")[:60],
        "picture head alone": b"\x89PNG\r\n\x1a\n",
        "JPEG head alone": b"\xff\xd8\xff\xe0",
    }
    for name, data in blank.items():
        yield Row(name, data, "unknown", ("qr",), picture=True)
    yield Row("scanned PDF of nothing", _saved(white, "PDF"), "unknown", ("qr",), unread=NO_SEAL)
    leads = _code("HTTPS://ZHENGZHAO.EXAMPLE/#" + "7" * 1500)
    yield Row("picture of another number", _saved(leads, "PNG"), "invalid", ("qr-text",), picture=True)


def moments(corpus: Forger) -> Iterator[Row]:
    """Give one licence at many moments."""
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
        yield Row(f"{days} days on", corpus.cwt, verdict, failed, True, at=later(days), editions=every)
    end = datetime.fromisoformat("2023-09-09T23:59:59+08:00")
    yield Row("last second", corpus.cwt, "unknown", ("status",), True, at=end)
    yield Row(
        "a second later", corpus.cwt, "invalid", ("dates", "status"), True, at=end + timedelta(seconds=1)
    )
    begin = datetime.fromisoformat("2018-09-10T00:00:00+08:00")
    yield Row("first second", corpus.cwt, "unknown", ("status",), True, at=begin)
    yield Row(
        "a second before", corpus.cwt, "invalid", ("dates", "status"), True, at=begin - timedelta(seconds=1)
    )
    yield Row(
        "seconds before the list ends",
        corpus.cwt,
        "valid",
        (),
        True,
        at=DECIDED + 7 * DAYS - timedelta(seconds=1),
    )
    yield Row("as the list ends", corpus.cwt, "unknown", ("status",), True, at=DECIDED + 7 * DAYS)


def lists(corpus: Forger) -> Iterator[Row]:
    """Give one licence with lists that are good, bad, or absent."""
    doubtful = (
        ("spoilt",), ("cut off",), ("first", "spoilt"), ("of another installation",), ("first", "of another installation"),
        ("by a credential key",), ("of another type",), ("too short",), ("one bit",), ("no zlib",), ("zlib cut off",),
        ("zlib with more behind",), ("times turned round",), ("of another list",), (),
    )  # fmt: skip
    for names in doubtful:
        row = Row(f"list: {', '.join(names)}", corpus.cwt, "unknown", ("status",), True)
        yield row._replace(editions=names, at=later(4.5) if "spoilt" in names else NOON)
    yield Row("no list", corpus.pdf, "unknown", ("status",), True, editions=None)
    for names in (
        ("without reasons",), ("reasons of another",), ("reasons spoilt",), ("rescinded",),
    ):  # fmt: skip
        yield Row(f"list: {names[0]}", corpus.cwt, "invalid", ("status",), True, at=later(5), editions=names)
    for names in (("replaced",), ("first", "replaced"), ("same second, later number", "first")):
        yield Row(f"list: {names}", corpus.cwt, "invalid", ("status",), True, editions=names)
    yield Row(
        "list: reserved",
        corpus.cwt,
        "invalid",
        ("status",),
        True,
        editions=("a place of the reserved kind",),
    )


def keyed(corpus: Forger) -> Iterator[Row]:
    """Give what keys signed that are revoked, renewed, unknown, or not for it."""
    before, after = numbered(), numbered(decided_at=(DECIDED + 10 * DAYS).isoformat())
    pdfs = corpus.bureau.pdf(before), corpus.bureau.pdf(after)
    credentials = corpus.bureau.credential(before)[0], corpus.bureau.credential(after)[0]
    for use in ("credential", "seal"):
        name = f"{use} key revoked"
        corpus.revoke(name, PROVINCE, use, later(5))
        check = "credential" if use == "credential" else "seal-key"
        yield Row(f"{name} later: PDF", pdfs[0], "unknown", ("log",), trust=name)
        yield Row(f"{name} before: PDF", pdfs[1], "invalid", (check,), trust=name)
        outcome: tuple[str, tuple[str, ...], bool] = ("valid", (), True)
        by_that_key = use == "credential"
        yield Row(
            f"{name} later: CWT",
            credentials[0],
            *(("unknown", ("log",), False) if by_that_key else outcome),
            trust=name,
        )
        if by_that_key:
            outcome = ("invalid", ("credential",), False)
        yield Row(f"{name} before: CWT", credentials[1], *outcome, trust=name)
    corpus.revoke("status key revoked", ANY_AUTHORITY, "status", later(0.5))
    for edition, verdict, failed in (("first", "valid", ()), ("suspended", "unknown", ("status",))):
        row = Row(
            f"status key revoked: {edition}", corpus.cwt, verdict, failed, True, trust="status key revoked"
        )
        yield row._replace(at=later(2), editions=(edition,))
    renewed = corpus.copy("renewed")
    keys.rotate(renewed.data, renewed.trust, ROLES, keys.Lifetime(later(1), 5), now=later(1), passphrase=None)
    fresh = numbered(decided_at=later(2).isoformat())
    for name, trust, verdicts in (
        ("renewed keys", "renewed", ("valid", "valid")),
        ("keys that the folder does not list yet", "own", ("unknown", "invalid")),
    ):
        good = trust == "renewed"
        data = renewed.pdf(fresh), renewed.credential(fresh)[0]
        for form, check, one, verdict in zip(
            ("PDF", "CWT"), ("seal", "credential"), data, verdicts, strict=True
        ):
            row = Row(f"{name}: {form}", one, verdict, () if good else (check,), good, trust=trust)
            yield row._replace(at=later(3))
    yield Row("old keys, renewed folder", corpus.pdf, "valid", (), True, trust="renewed")
    for role in (
        (ANY_AUTHORITY, "status"),
        (ANY_AUTHORITY, "draw"),
        (PROVINCE, "seal"),
        (OTHER_PROVINCE, "credential"),
    ):
        kid = kid_of(corpus.bureau, role[0], role[1], DECIDED)  # type: ignore[arg-type]
        yield Row(
            f"credential by the {role[1]} key of {role[0]}",
            sign(corpus.bureau, kid, corpus.payload),
            "invalid",
            ("credential",),
        )
    early = signatures.decode(corpus.payload, max_bytes=700) | {6: int(FROM.timestamp()) - 1}
    yield Row("decided before the key signs", corpus.signed(early), "invalid", ("credential",))
    licence = numbered()
    for name, data in {"PDF": corpus.other.pdf(licence), "CWT": corpus.other.credential(licence)[0]}.items():
        yield Row(f"another root: {name}", data, "invalid", ("seal" if name == "PDF" else "credential",))


def logged(corpus: Forger) -> Iterator[Row]:
    """Give licences with proofs of the transparency log, good, of others, too late, and without any."""
    own = entry_of(corpus.licence, corpus.cwt, corpus.pdf)
    other = numbered(version=2)
    foreign = entry_of(other, *_files(corpus, other))
    corpus.log.add(later(1), own)
    early, bare = corpus.log.proof(own), corpus.log.proof(own, carried=False)
    corpus.log.add(later(20), foreign)
    late, of_other = corpus.log.proof(own), corpus.log.proof(foreign)
    bent = early.replace(b"\nindex 0\n", b"\nindex 0\n" + base64.b64encode(bytes(32)) + b"\n", 1)
    unsigned = b"".join(line for line in early.splitlines(True) if WITNESS.encode() not in line)
    files = {"PDF": corpus.pdf, "CWT": corpus.cwt}
    for form, one in files.items():
        yield Row(f"log: {form}", one, "valid", (), True, proofs=(early,))
        yield Row(f"log: {form}, a later head", one, "valid", (), True, proofs=(late,))
        yield Row(f"log: {form}, the second proof", one, "valid", (), True, proofs=(of_other, early))
        for name, proofs in {
            "without a proof": (), "of another licence": (of_other,), "cut off": (early[:-2],),
            "a hash too many": (bent,), "not witnessed": (unsigned,), "no proof": (b"nothing",),
        }.items():  # fmt: skip
            yield Row(f"log: {form}, {name}", one, "unknown", ("log",), True, proofs=proofs)
    yield Row("log: PDF, the proof without the entry", corpus.pdf, "valid", (), True, proofs=(bare,))
    yield Row("log: CWT, the proof without the entry", corpus.cwt, "unknown", ("log",), True, proofs=(bare,))
    again = corpus.bureau.pdf(numbered(holder_name="另一持证人"))
    yield Row("log: another PDF of the number", again, "unknown", ("log",), True, proofs=(early,))
    row = Row("log: rescinded", corpus.cwt, "invalid", ("status",), True, proofs=(early,))
    yield row._replace(at=later(5), editions=("rescinded",))
    for use, form in (("credential", "CWT"), ("credential", "PDF"), ("seal", "PDF")):
        trust = f"{use} key revoked"
        yield Row(f"{trust}, logged before: {form}", files[form], "valid", (), True, trust, proofs=(early,))
        for name, proofs in {"logged later": (late,), "no proof": (), "of another": (of_other,)}.items():
            yield Row(
                f"{trust}, {name}: {form}", files[form], "unknown", ("log",), False, trust, proofs=proofs
            )
    began = corpus.copy("logged later")
    listing = msgspec.structs.replace(began.trust.listing, logged_from=later(1).isoformat())
    sign_listing(began, listing)
    yield Row("log: decided before it began", corpus.cwt, "valid", (), True, "logged later", proofs=())
    yield Row(
        "log: decided before it began, a bad proof", corpus.cwt, "unknown", ("log",), True, "logged later",
        proofs=(early[:-2],),
    )  # fmt: skip


def freshness(corpus: Forger) -> Iterator[Row]:
    """Give licences with a trust folder that is fresh until a day later."""
    aged = corpus.copy("fresh for a day")
    sign_listing(aged, msgspec.structs.replace(aged.trust.listing, fresh_until=later(1).isoformat()))
    stale = later(1) + timedelta(seconds=1)
    for form, data in {"PDF": corpus.pdf, "CWT": corpus.cwt}.items():
        row = Row(f"trust: stale, {form}", data, "unknown", ("trust",), True, "fresh for a day")
        yield row._replace(at=stale)
    row = Row("trust: fresh to the last second", corpus.cwt, "valid", (), True, "fresh for a day")
    yield row._replace(at=later(1))
    row = Row("trust: stale, rescinded", corpus.cwt, "invalid", ("status",), True, "fresh for a day")
    yield row._replace(at=later(5), editions=("rescinded",))
    changed = corpus.cwt[:-1] + bytes((corpus.cwt[-1] ^ 1,))
    yield Row("trust: stale, changed", changed, "invalid", ("credential",), trust="fresh for a day", at=stale)


def _files(corpus: Forger, licence: Numbered) -> tuple[bytes, bytes]:
    return corpus.bureau.credential(licence)[0], corpus.bureau.pdf(licence)


def _code(text: str) -> Image.Image:
    picture = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image(scale=4)
    return Image.fromarray(picture)


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def _redrawn(page: Image.Image) -> bytes:
    """Return a PDF that shows the page as a picture, and a line of text that was added to it."""
    writer = PdfWriter(clone_from=io.BytesIO(_saved(page, "PDF", resolution=150)))
    added = DecodedStreamObject()
    added.set_data(b"BT /F 12 Tf 72 72 Td (valid until 2099) Tj ET")
    paper = writer.pages[0]
    paper[NameObject("/Contents")] = ArrayObject([paper.raw_get("/Contents"), writer._add_object(added)])
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


NO_TIFF = Unread("qr", "browsers have no decoder of TIFF")
