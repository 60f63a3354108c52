"""Places of blanks on a printed copy of a form.

Printers and PDF programs move, scale and re-break pages, so a blank is never looked for at its absolute place. The
labels that stand once on the blank form are looked for on the copy; each blank then lies as far from the labels around it
as on the form, in the copy's own scale, on whatever page of the copy most labels stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median
from typing import Final, NamedTuple

from producers.extract import Box, PdfDocument, Word
from schemas.identifiers import fold

FEWEST: Final = 4
"""Number of labels that a copy must share with the form, at least."""

_AROUND: Final = 3  # labels by which a blank is placed
_APART: Final = 40.0  # points between two labels that tell the scale


class _Anchor(NamedTuple):
    """The centre of a label on the form and on the copy."""

    form: tuple[float, float]
    copy: tuple[float, float]


class Places:
    """The places of a form's blanks on a copy; `page` is the copy's page, from 1."""

    def __init__(self, page: int, anchors: Sequence[_Anchor]) -> None:
        self.page = page
        self._anchors = anchors
        self._across = _scale(anchors, 0)
        self._down = _scale(anchors, 1)

    def box(self, blank: Box) -> Box:
        """Return the box of a blank on the copy."""
        middle = (blank[1] + blank[3]) / 2
        around = sorted(self._anchors, key=lambda anchor: abs(anchor.form[1] - middle))[:_AROUND]
        right = median(a.copy[0] - self._across * a.form[0] for a in self._anchors)
        below = median(a.copy[1] - self._down * a.form[1] for a in around)
        return (
            self._across * blank[0] + right,
            self._down * blank[1] + below,
            self._across * blank[2] + right,
            self._down * blank[3] + below,
        )


def find_places(form: PdfDocument, page: int, copy: PdfDocument) -> Places | None:
    """Find a page of a form on a copy; None where too few of its labels stand on any page there."""
    labels = _once(word for word in form.words if word.page == page)
    best: Places | None = None
    most = FEWEST - 1
    for number in sorted({word.page for word in copy.words}):
        seen = _once(word for word in copy.words if word.page == number)
        anchors = [_Anchor(_centre(labels[text]), _centre(seen[text])) for text in labels if text in seen]
        if len(anchors) > most:
            best, most = Places(number, anchors), len(anchors)
    return best


def _once(words: Iterable[Word]) -> dict[str, Word]:
    """Return the words that stand once, by their folded text; single characters and numbers tell no place."""
    known = [(fold(word.text), word) for word in words]
    counted = Counter(text for text, _ in known)
    return {text: word for text, word in known if counted[text] == 1 and len(text) > 1 and not text.isdigit()}


def _centre(word: Word) -> tuple[float, float]:
    return (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2


def _scale(anchors: Sequence[_Anchor], axis: int) -> float:
    ratios = [
        (a.copy[axis] - b.copy[axis]) / (a.form[axis] - b.form[axis])
        for a, b in combinations(anchors, 2)
        if abs(a.form[axis] - b.form[axis]) > _APART
    ]
    return median(ratios) if ratios else 1.0
