"""The picture of the official seal (公章): a red ring, the authority's name around a star.

A drawing in vectors, made of the font's outlines, so that it needs no font in the file and adds no text to the page.
It decorates; what counts is the signature. One picture for each authority and place, kept.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

from issuance import fonts

_RED = "0.80 0.07 0.09"
_ARC = 235  # degrees that a long name takes


@lru_cache(maxsize=512)
def draw(name: str, x: float, y: float, radius: float) -> bytes:
    """Page operators that draw the seal of `name` around (x, y), in points."""
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
    """Each character turned so that its foot points to the centre."""
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
