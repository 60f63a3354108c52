"""Drawings on a page, as page operators of a PDF: the picture of the official seal, and the QR.

The seal (公章) is a red ring with the authority's name around a star, drawn from the font's outlines, so that it needs no
font in the file and adds no text to the page. It decorates; the signature counts. One picture is kept for each authority
and place.

The QR has error level M (it survives a white spot of a tenth of its area) where that takes at most 93 modules a side,
as for usual credentials (up to some 520 bytes); a larger one has level L, with which 700 bytes take 93 modules. With
the margin that is 101 modules, at least 3.15 pixels each at 150 dpi in the box of 54 mm; below three pixels readers miss
some symbols.

The mask is fixed: the digits of a signed number look random, so every mask does equally well, and trying all eight takes
seven times as long.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin
from typing import NamedTuple

import zint

from issuance import fonts
from schemas.errors import LintError

_RED = "0.80 0.07 0.09"
_ARC = 235  # degrees that a long name takes


@lru_cache(maxsize=512)
def draw_emblem(name: str, x: float, y: float, radius: float) -> bytes:
    """Return page operators that draw the seal of `name` around (x, y), in points."""
    ring = radius * 0.045
    parts = [
        f"q 1 0 0 1 {x:g} {y:g} cm {_RED} rg {_RED} RG",
        f"{ring:.3f} w {_circle(radius - ring / 2)} S",
        f"{_star(radius * 0.32)} f",
        *_letters(name, radius),
        "Q\n",
    ]
    return "\n".join(parts).encode()


def _circle(radius: float) -> str:
    k = radius * 0.5523
    r = f"{radius:.3f}"
    q = f"{k:.3f}"
    return (
        f"{r} 0 m {r} {q} {q} {r} 0 {r} c -{q} {r} -{r} {q} -{r} 0 c "
        f"-{r} -{q} -{q} -{r} 0 -{r} c {q} -{r} {r} -{q} {r} 0 c h"
    )


def _star(radius: float) -> str:
    points = []
    for corner in range(10):
        reach = radius if corner % 2 == 0 else radius * 0.382
        angle = pi / 2 + corner * pi / 5
        points.append(f"{reach * cos(angle):.3f} {reach * sin(angle):.3f}")
    return f"{points[0]} m {' '.join(point + ' l' for point in points[1:])} h"


def _letters(name: str, radius: float) -> list[str]:
    """Draw each character turned so that its foot points to the centre."""
    letters = [char for char in name if not char.isspace()]
    count = max(len(letters), 1)
    step = min(22.0, _ARC / count) * pi / 180
    size = min(radius * 0.30, radius * 0.62 * step * 0.98)  # no wider than its part of the arc
    height = size * 1.18  # seal letters are taller than wide
    foot = radius * 0.90 - height * 0.88
    drawn = []
    for place, char in enumerate(letters):
        try:
            glyph = fonts.outline(char)
        except KeyError:
            continue
        angle = pi / 2 + (count - 1) * step / 2 - place * step
        across, up = size / 1000, height / 1000
        turn = angle - pi / 2
        a, b, c, d = across * cos(turn), across * sin(turn), -up * sin(turn), up * cos(turn)
        shift = glyph.advance / 2
        e = foot * cos(angle) - shift * a + 120 * c
        f = foot * sin(angle) - shift * b + 120 * d
        drawn.append(f"q {a:.6f} {b:.6f} {c:.6f} {d:.6f} {e:.3f} {f:.3f} cm\n{glyph.operators}\nf Q")
    return drawn


LEVEL_L, LEVEL_M = 1, 2
MOST_MODULES = 93  # a side; with the margin 101 in 54 mm
MASK = 4
STRIDE = 144  # bytes that zint keeps for a row of modules
QUIET = 4  # modules of margin that the standard asks for
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Symbol(NamedTuple):
    """A QR symbol: `side` modules square, rows packed most significant bit first, 1 = dark."""

    side: int
    rows: tuple[bytes, ...]


def encode_qr(text: str, *, robust: bool = True) -> Symbol:
    """Return the symbol of a text: `robust` at level M where there is room, else at level L.

    Raises LintError for a text that does not fit.
    """
    if robust:
        try:
            symbol = _symbol(text, LEVEL_M)
        except LintError:
            return _symbol(text, LEVEL_L)
        if symbol.side <= MOST_MODULES:
            return symbol
    return _symbol(text, LEVEL_L)


def _symbol(text: str, level: int) -> Symbol:
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.QRCODE
    symbol.option_1 = level
    symbol.option_3 = MASK << 8
    try:
        symbol.encode(text)
    except Exception as error:  # The binding raises bare kinds of RuntimeError.
        raise LintError(
            f"二维码放不下 {len(text)} 个字符 / the QR cannot hold {len(text)} characters: {error}"
        ) from error
    side = symbol.width
    packed = bytes(symbol.encoded_data).translate(_REVERSED)
    used = (side + 7) // 8
    return Symbol(side, tuple(packed[row * STRIDE : row * STRIDE + used] for row in range(side)))


def draw_qr(symbol: Symbol, left: float, bottom: float, size: float) -> bytes:
    """Return page operators that draw the symbol with its quiet zone into a square of `size` points.

    An inline image of one bit a module, in hex: a drawn rectangle for each run of modules would be twenty times
    as large.
    """
    module = size / (symbol.side + 2 * QUIET)
    inner = module * symbol.side
    return (
        b"q 1 1 1 rg %g %g %g %g re f 0 g %.4f 0 0 %.4f %.4f %.4f cm BI/W %d/H %d/IM true/D[1 0]/F/AHx ID %s> EI Q\n"
        % (
            left,
            bottom,
            size,
            size,
            inner,
            inner,
            left + QUIET * module,
            bottom + QUIET * module,
            symbol.side,
            symbol.side,
            b"".join(symbol.rows).hex().encode(),
        )
    )
