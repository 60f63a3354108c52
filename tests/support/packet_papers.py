"""Broken and hostile PDFs read as papers: an answer in one line for each, no hang, no memory beyond the limit."""

from __future__ import annotations

import random
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from issuance import fonts
from producers import extract, forms
from producers.form_fields import fill, with_fields
from producers.forms import Faces, mark_of
from schemas.errors import UsageError

ROW: dict[str, Any] = {
    "code": "industrial-product-licence", "name": "工业产品生产许可证", "products": True, "categories": ["化肥"],
    "materials": ["application-form", "commitment-letter", "business-licence"], "fields": [], "holder": "enterprise",
}  # fmt: skip


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object's body."""
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


def flate(data: bytes, entries: bytes = b"", repeated: int = 1, times: int = 1) -> bytes:
    """A stream of data repeated, compressed so many times."""
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(data) for _ in range(repeated)]) + packer.flush()
    for _ in range(times - 1):
        packed = zlib.compress(packed, 9)
    return stream(packed, entries + b"/Filter[%s]" % (b"/FlateDecode" * times))


def document(
    content: bytes, *more: bytes, page: bytes = b"", root: bytes = b"", trailer: bytes = b""
) -> bytes:
    """A PDF of one page, whole by its cross-reference table: object 4 is the content, 5 and on are `more`."""
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % root,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R%s>>" % page,
        content,
        *more,
    ]
    out, places = b"%PDF-1.7\n", []
    for n, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(bodies) + 1, table)
    end = b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n"
    return out + head + end % (len(bodies) + 1, trailer.replace(b"@", b"%d" % len(out)), len(out))


TEXT = stream(b"BT /F 9 Tf 40 700 Td (hello) Tj ET")
HELVETICA = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
FONT = b"/Resources<</Font<</F 5 0 R>>>>"


def bombs() -> dict[str, bytes]:
    """What costs the reader its whole time or memory: each is a document that a viewer would begin to open."""
    cmap = b"1 begincodespacerange <00000000> <ffffffff> endcodespacerange 1 beginbfrange <00000000> <00ffffff> <0041> endbfrange"
    type0 = (
        b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[6 0 R]/ToUnicode 7 0 R>>"
    )
    cid = b"<</Type/Font/Subtype/CIDFontType2/BaseFont/X/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/W[0 99999999 500]>>"
    predicted = b"/DecodeParms<</Predictor 12/Columns 2000000000>>"
    return {
        "operators": document(flate(b"q " * 1_000_000, repeated=40)),
        "twice compressed": document(flate(bytes(1 << 20), repeated=512, times=2)),
        "predictor": document(flate(bytes(1000), predicted)),
        "itself": document(TEXT, b"5 0 R", page=b"/Resources 5 0 R"),
        "text": document(
            flate(b"BT /F 9 Tf " + b"(bomb) Tj " * 20_000 + b"ET ", repeated=1000), HELVETICA, page=FONT
        ),
        "gigabyte": document(flate(bytes(1 << 20), repeated=1024)),
        "character map": document(TEXT, type0, cid, flate(cmap), page=FONT),
        "widths": document(TEXT, type0, cid, stream(b""), page=FONT),
        "nested arrays": document(stream(b"[" * 5_000_000)),
        "nested objects": document(b"<</A " * 200_000 + b">>" * 200_000),
    }


def loops(rng: random.Random) -> bytes:
    """Pages, forms, fields, tables and streams that hold themselves."""
    itself = b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>"
    kids = b" ".join(b"%d 0 R" % rng.choice((1, 2, 3, 4)) for _ in range(rng.randint(1, 40)))
    widget = b"<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/Parent 5 0 R/Kids[5 0 R]>>"
    return rng.choice(
        (
            document(
                stream(b"/X Do"), stream(b"/X Do", itself[2:]), page=b"/Resources<</XObject<</X 5 0 R>>>>"
            ),
            document(b"<</Type/Pages/Kids[%s]/Count 9/Parent 3 0 R>>" % kids, page=b"/Kids[%s]" % kids),
            document(TEXT, widget, page=b"/Annots[5 0 R 5 0 R]", root=b"/AcroForm<</Fields[5 0 R]>>"),
            document(TEXT, HELVETICA, page=FONT, trailer=b"/Prev @/XRefStm @"),
            document(stream(b"x", b"/Filter 4 0 R/DecodeParms 4 0 R")),
            document(b"<</Length 4 0 R>>stream\nBT ET\nendstream"),
        )
    )


def hostile(rng: random.Random) -> bytes:
    """JavaScript, launch actions, fonts that are none, numbers beyond sense."""
    action = rng.choice(
        (b"/JavaScript/JS(while(1){app.alert(1)})", b"/Launch/F(/bin/sh)", b"/URI/URI(file:///etc/passwd)")
    )
    garbage = rng.randbytes(rng.randint(1, 3000))
    kind = rng.choice((b"Type0", b"Type1", b"TrueType", b"Type3", b"CIDFontType0"))
    font = b"<</Type/Font/Subtype/%s/BaseFont/X/Encoding 6 0 R/DescendantFonts[5 0 R]/ToUnicode 6 0 R/FontDescriptor 7 0 R>>"
    descriptor = b"<</Type/FontDescriptor/FontFile 6 0 R/FontFile2 6 0 R/FontFile3 6 0 R/Ascent 1e99>>"
    more = (font % kind, rng.choice((stream(garbage), flate(garbage))), descriptor)
    page = FONT + b"/AA<</O<</S%s>>>>" % action
    return rng.choice(
        (
            document(TEXT, *more, page=page, root=b"/OpenAction<</S%s>>/Names<</JavaScript 6 0 R>>" % action),
            document(TEXT, *more, page=page + b"/Rotate 1e300/UserUnit -1"),
            document(TEXT, *more, page=page + b"/MediaBox[-1e30 0 1e30 9]"),
            document(stream(garbage), *more, page=page),
            document(
                stream(b"%d 0 0 %d 0 0 cm BT /F 1e38 Tf (x) Tj ET" % (10**300, -(10**300))), *more, page=page
            ),
            document(flate(b"BT " * 1000 + garbage), *more, page=page, trailer=b"/Encrypt 6 0 R/ID[(a)(b)]"),
        )
    )


def bent(rng: random.Random, whole: bytes) -> bytes:
    """A real form with bytes changed, cut out or doubled."""
    raw = bytearray(whole)
    for _ in range(rng.randint(1, 60)):
        place, what = rng.randrange(len(raw)), rng.random()
        if what < 0.6:
            raw[place] = rng.randrange(256)
        elif what < 0.8:
            del raw[place : place + rng.randint(1, 400)]
        else:
            raw[place:place] = raw[place : place + rng.randint(1, 400)]
        if not raw:
            break
    return bytes(raw)


def corpus(number: int, seed: int, costly: int) -> list[bytes]:
    """So many PDFs: `costly` bombs, one in five made to hurt, the others real forms that were bent."""
    rng = random.Random(seed)
    faces = Faces(list(dict.fromkeys(p.parent for p in fonts.paths())), fonts.FAMILIES)
    drawn = [forms.draw(ROW, mark_of(ROW, kind), faces) for kind in (forms.FORM, forms.LETTER)]
    whole = [fill(with_fields(form), {"applicant.name": "青海示范有限公司"}) for form in drawn]
    made = list(bombs().values())[:costly]
    while len(made) < number:
        made.append(rng.choice((loops, hostile))(rng) if len(made) % 5 == 0 else bent(rng, rng.choice(whole)))
    return made[:number]


def attempt(raw: bytes) -> tuple[str, float]:
    """`read`, `refused`, or the name of an error that should not be; and the seconds."""
    began = time.monotonic()
    try:
        extract.read(raw, "paper.pdf")
        return "read", time.monotonic() - began
    except UsageError as error:
        plain = "\n" not in str(error) and "Traceback" not in str(error) and error.hint
        return "refused" if plain else "unclear", time.monotonic() - began
    except Exception as error:
        return type(error).__name__, time.monotonic() - began


def run(number: int, seed: int, costly: int = 99) -> dict[str, Any]:
    """Reads a corpus; figures, and whether every paper got a clear answer within ten seconds."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        plain = document(TEXT, HELVETICA, page=FONT)
        list(pool.map(attempt, [plain + b"\n" * n for n in range(8)]))  # both readers are started
        answers = list(pool.map(attempt, corpus(number, seed, costly)))
    kinds = [kind for kind, _ in answers]
    slowest = max(seconds for _, seconds in answers)
    return {
        "papers": number,
        "read": kinds.count("read"),
        "refused in one line": kinds.count("refused"),
        "clear answers only": set(kinds) <= {"read", "refused"},
        "slowest, seconds": round(slowest, 1),
        "none over 10 seconds": slowest <= 10,
        "memory limit of the reader, MB": extract.MEMORY_BYTES >> 20,
        "seconds": round(time.monotonic() - began),
        "seed": seed,
    }
