"""Broken and hostile PDFs read as papers: an answer in one line for each, no hang, no memory beyond the limit."""

from __future__ import annotations

import random
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from issuance import fonts
from producers import acroform, extract, forms
from schemas.errors import UsageError

ROW: dict[str, Any] = {
    "code": "industrial-product-licence", "name": "工业产品生产许可证", "products": True, "categories": ["化肥"],
    "materials": ["application-form", "commitment-letter", "business-licence"], "fields": [], "holder": "enterprise",
}  # fmt: skip


def bomb(rng: random.Random) -> bytes:
    """A page whose content unpacks to some hundred megabytes."""
    data = zlib.compress(b"q " * rng.randint(20_000_000, 60_000_000))
    body = b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(data), data)
    return document([b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>", body])


def loop(rng: random.Random) -> bytes:
    """Pages, forms and names that hold themselves."""
    kids = b" ".join(b"%d 0 R" % rng.choice((1, 2, 3, 4)) for _ in range(rng.randint(1, 40)))
    return document([b"<</Type/Pages/Kids[%s]/Count 9/Parent 3 0 R>>" % kids, b"<</A 4 0 R/B 3 0 R>>"])


def script(rng: random.Random) -> bytes:
    """JavaScript, launch actions and a font that is none."""
    action = rng.choice(
        (b"/JavaScript/JS(while(1){app.alert(1)})", b"/Launch/F(/bin/sh)", b"/URI/URI(file:///etc/passwd)")
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/AA<</O<</S%s>>>>/Resources<</Font<</F 4 0 R>>>>/Contents 4 0 R>>"
    font = b"<</Type/Font/Subtype/Type0/Encoding/X/DescendantFonts[4 0 R]/ToUnicode 4 0 R/Length 9>>stream\nBT /F 1 Tf (x) Tj ET\nendstream"
    return document([page % action, font])


def document(objects: list[bytes]) -> bytes:
    """A PDF of some objects, numbered from 3, without a cross-reference table."""
    parts = [
        b"%PDF-1.7",
        b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj",
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj",
    ]
    parts += [b"%d 0 obj%sendobj" % (n, body) for n, body in enumerate(objects, 3)]
    return b"\n".join([*parts, b"trailer<</Root 1 0 R>>", b"%%EOF"])


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


def corpus(number: int, seed: int) -> list[bytes]:
    """So many PDFs: most of them real forms that were bent, one in ten made to hurt."""
    rng = random.Random(seed)
    folders = list(dict.fromkeys(p.parent for p in fonts.paths()))
    drawn = [forms.draw(ROW, kind, folders, fonts.FAMILIES, None) for kind in (forms.FORM, forms.LETTER)]
    whole = [acroform.with_fields(form, {"applicant.name": "青海示范有限公司"}) for form in drawn]
    made = []
    for n in range(number):
        made.append(
            rng.choice((bomb, loop, loop, script))(rng) if n % 10 == 0 else bent(rng, rng.choice(whole))
        )
    return made


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


def run(number: int, seed: int) -> dict[str, Any]:
    """Reads a corpus; figures, and whether every paper got a clear answer within ten seconds."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(attempt, corpus(number, seed)))
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
