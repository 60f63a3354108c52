"""The font set of the page: which files, their digest, and which characters they cover.

Song type (宋体) for Chinese comes from a wheel; a sans collection, from another wheel, stands in for the
rarer Han characters that it lacks (𠮷); Tibetan and Mongolian ship with this package. All are under the SIL Open
Font License. Fonts of the system are never used: the same licence must give the same bytes anywhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from fontTools.pens.basePen import BasePen  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from schemas.errors import UsageError

OWN = Path(__file__).parent / "typefaces"


class Face(NamedTuple):
    """One font file; `package` is the wheel's import name, or empty for a file of our own."""

    family: str  # as the template names it
    package: str
    file: str
    wheel: str  # what to install when it is missing


# In the order in which the page tries them.
FACES = (
    Face("Noto Serif SC", "pylopdf_fonts_zh_cn", "NotoSerifSC-Regular.otf", "pylopdf-fonts-zh-cn"),
    Face("Noto Serif Tibetan", "", "NotoSerifTibetan-Regular.ttf", ""),
    Face("Noto Sans Mongolian", "", "NotoSansMongolian-Regular.ttf", ""),
    Face("Noto Sans CJK SC", "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc", "noto-cjk-sans-otc"),
)
FAMILIES = tuple(face.family for face in FACES)


def path_of(face: Face) -> Path:
    """Return the path of a face. Raise UsageError when its wheel is not installed."""
    if not face.package:
        return OWN / face.file
    spec = importlib.util.find_spec(face.package)
    places = spec.submodule_search_locations if spec else None
    path = Path(next(iter(places))) / face.file if places else None
    if path is None or not path.is_file():
        raise UsageError(
            f"缺少字体 {face.family} / the font {face.family} is not installed",
            hint=f"pip install {face.wheel}",
            where=face.file,
        )
    return path


def paths() -> list[Path]:
    """All files of the set, in order."""
    return [path_of(face) for face in FACES]


def folders() -> list[Path]:
    """Return the folders that hold the set; the renderer looks a family up by its name in them."""
    return list(dict.fromkeys(path.parent for path in paths()))


@lru_cache(maxsize=1)
def digest() -> str:
    """Hex SHA-256 over the SHA-256 of each file, in order: names the set in `Issued.fonts`."""
    whole = hashlib.sha256()
    for path in paths():
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


@lru_cache(maxsize=len(FACES))
def font(face: Face) -> TTFont:
    """Return the parsed face, kept open for lazy reading."""
    return TTFont(path_of(face), lazy=True, fontNumber=_number(face))


def _number(face: Face) -> int:
    if not face.file.endswith(".ttc"):
        return 0
    for number in range(64):
        name = TTFont(path_of(face), lazy=True, fontNumber=number)["name"].getBestFamilyName()
        if name == face.family:
            return number
    raise UsageError(f"{face.file} has no face {face.family}", where=face.file)


@lru_cache(maxsize=1)
def coverage() -> frozenset[int]:
    """Every code point that some face of the set has a glyph for."""
    covered: set[int] = set()
    for face in FACES:
        covered.update(font(face).getBestCmap())
    return frozenset(covered)


def missing(text: str) -> str:
    """Return the characters of `text` that no face covers, each once, in their order."""
    covered = coverage()
    return "".join(dict.fromkeys(char for char in text if ord(char) not in covered))


class _Path(BasePen):  # type: ignore[misc]
    """Writes a glyph's outline as PDF path operators, in font units rounded to whole ones."""

    def __init__(self, glyphs: Any) -> None:
        super().__init__(glyphs)
        self.operators: list[str] = []

    def _add(self, operator: str, *points: tuple[float, float]) -> None:
        numbers = " ".join(f"{round(x)} {round(y)}" for x, y in points)
        self.operators.append(f"{numbers} {operator}")

    def _moveTo(self, pt: tuple[float, float]) -> None:
        self._add("m", pt)

    def _lineTo(self, pt: tuple[float, float]) -> None:
        self._add("l", pt)

    def _curveToOne(
        self, pt1: tuple[float, float], pt2: tuple[float, float], pt3: tuple[float, float]
    ) -> None:
        self._add("c", pt1, pt2, pt3)

    def _closePath(self) -> None:
        self.operators.append("h")

    _endPath = _closePath


class Outline(NamedTuple):
    """A glyph as PDF path operators; `advance` and coordinates in 1/1000 of the font size."""

    operators: str
    advance: float


def outline(char: str) -> Outline:
    """Return the outline of one character, from the first face that has it. Raises KeyError where none has."""
    for face in FACES:
        ttf = font(face)
        name = ttf.getBestCmap().get(ord(char))
        if name is not None and ttf["head"].unitsPerEm == 1000:
            glyphs = ttf.getGlyphSet()
            pen = _Path(glyphs)
            glyphs[name].draw(pen)
            return Outline("\n".join(pen.operators), glyphs[name].width)
    raise KeyError(char)


def twins() -> dict[str, str]:
    """Characters that share a glyph with another one, each with the first of its kind (`verification.page_text`)."""
    groups: dict[tuple[Face, str], list[int]] = {}
    for face in FACES:
        for point, glyph in font(face).getBestCmap().items():
            groups.setdefault((face, glyph), []).append(point)
    first: dict[int, int] = {}
    for points in groups.values():
        lowest = min(first.get(point, point) for point in points)
        first.update((point, lowest) for point in points)
    return {
        chr(point): chr(lowest)
        for point, lowest in sorted(first.items())
        if unicodedata.normalize("NFKC", chr(point)) != unicodedata.normalize("NFKC", chr(lowest))
    }
