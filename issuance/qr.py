"""The QR of a licence: `schemas.qr_text` as a symbol, drawn as page operators of a PDF.

A 700-byte credential takes 93 modules a side at error level L (101 with the margin), a usual one 77 to 81. Below
three pixels a module zbar or zxing miss some symbols; the box of 54 mm gives at least 3.15 at 150 dpi. A higher
level would make the modules smaller, which costs more reading than it saves.

The mask is fixed: the digits of a signed number look random, so every mask does equally well, and trying all
eight takes seven times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import zint

from schemas.errors import LintError

LEVEL_L = 1
MASK = 4
STRIDE = 144  # bytes that zint keeps for a row of modules
QUIET = 4  # modules of margin that the standard asks for
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Symbol(NamedTuple):
    """A QR symbol: `side` modules square, rows packed most significant bit first, 1 = dark."""

    side: int
    rows: tuple[bytes, ...]


def encode(text: str) -> Symbol:
    """The symbol of a text; LintError when it does not fit."""
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.QRCODE
    symbol.option_1 = LEVEL_L
    symbol.option_3 = MASK << 8
    try:
        symbol.encode(text)
    except Exception as error:  # the binding raises bare RuntimeError kinds
        raise LintError(f"the QR cannot hold {len(text)} characters: {error}") from error
    side = symbol.width
    packed = bytes(symbol.encoded_data).translate(_REVERSED)
    used = (side + 7) // 8
    return Symbol(side, tuple(packed[row * STRIDE : row * STRIDE + used] for row in range(side)))


def draw(symbol: Symbol, left: float, bottom: float, size: float) -> bytes:
    """Page operators that draw the symbol with its quiet zone into a square of `size` points.

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
