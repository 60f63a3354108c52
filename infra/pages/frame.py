"""The frame of every page: templates (Jinja2, everything escaped), the words of each language, one stylesheet.

A page of the site is in one language; a page that the command writes as one file has Chinese with English beside it
(`BOTH`), carries its style inside and asks no network for anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

LANGUAGES: Final = ("zh", "en")
BOTH: Final = "both"
"""Chinese with English beside it: the language of pages in one file."""
NAVIGATION: Final = (
    ("/verify", "verify"),
    ("/register", "register"),
    ("/items", "items"),
    ("/promises", "promises"),
    ("/draws", "draws"),
    ("/log", "log"),
)
"""The paths of the navigation, each with the word that names it (`nav.…`)."""
TONES: Final = {
    **dict.fromkeys(("valid", "issued", "granted", "claimed", "passed", "drawn", "done"), "good"),
    **dict.fromkeys(
        ("accepted", "correction-requested", "pushed", "received", "scheduled", "suspended", "announced", "open"),
        "mid",
    ),
    **dict.fromkeys(
        (
            "refused", "withdrawn", "rescinded", "revoked", "cancelled", "expired", "lapsed", "returned", "overdue",
            "failed", "voided", "superseded",
        ),
        "bad",
    ),
}  # fmt: skip
"""The colour of each state: good, mid or bad."""
_FOLDER: Final = Path(__file__).parent
_TYPEFACES: Final = Path(str(files("issuance") / "typefaces"))
_FACES: Final = ("NotoSerifTibetan-Regular.ttf", "NotoSansMongolian-Regular.ttf")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_HTML_LANGUAGE: Final = {"zh": "zh-CN", "en": "en", BOTH: "zh-CN"}


class TableRow(NamedTuple):
    """A row of a table: its cells, and attributes of its element (`data-licence`)."""

    cells: Sequence[Any]
    marks: Mapping[str, str] = MappingProxyType({})


def render(template: str, language: str, /, **values: Any) -> str:
    """Return a page of the site in a language (`zh`, `en`), made from a template and its values.

    `path` is the path of the page, by which the navigation marks where the reader is; `switch` the address of the same
    page in the other language.
    """
    return _made(template, language, {"alone": False, "path": "", "switch": "", **values})


def render_file(template: str, /, **values: Any) -> str:
    """Return a page in one file, in both languages: it has its style inside and needs no network."""
    style = stylesheet().decode()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    own = {"alone": True, "path": "", "switch": "", "style": Markup(style), "style_digest": digest}
    return _made(template, BOTH, {**own, **values})


def stylesheet() -> bytes:
    """Return the stylesheet of all pages."""
    return (_FOLDER / "site.css").read_bytes()


def site_files() -> dict[str, tuple[str, bytes]]:
    """Return the files of the site's frame by their paths: media type and content.

    The typefaces are for scripts that few devices have; a browser fetches one where a page has such a character.
    """
    css = "text/css; charset=utf-8"
    return {
        "/assets/site.css": (css, stylesheet()),
        "/assets/scripts.css": (css, (_FOLDER / "scripts.css").read_bytes()),
        "/assets/icon.svg": ("image/svg+xml", (_FOLDER / "icon.svg").read_bytes()),
        **{f"/assets/{name}": ("font/ttf", (_TYPEFACES / name).read_bytes()) for name in _FACES},
    }


def chosen_language(asked: str | None, kept: str | None, accepted: str) -> str:
    """Return the language of a reader: as asked for in the address, as kept in the cookie, else as the browser accepts.

    `accepted` is an `Accept-Language` header; Chinese where it names none of ours.
    """
    for wanted in (asked, kept):
        if wanted in LANGUAGES:
            return str(wanted)
    return max(_weighed(accepted[:400]), key=lambda found: found[0], default=(0.0, "zh"))[1]


def _weighed(accepted: str) -> Iterator[tuple[float, str]]:
    """Yield our languages that a header accepts with their weights, in the header's order."""
    for part in accepted.split(","):
        tag, _, parameter = part.strip().lower().partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)", parameter) if parameter else None
        value = float(weight[1]) if weight else 1.0
        if tag.split("-")[0] in LANGUAGES and value > 0:
            yield value, tag.split("-")[0]


@cache
def words(language: str) -> Mapping[str, str]:
    """Return the words of a language by their names (`nav.verify`)."""
    tables = tomllib.loads((_FOLDER / "words" / f"{language}.toml").read_text("utf-8"))
    return {f"{table}.{name}": text for table, entries in tables.items() for name, text in entries.items()}


def word(language: str, name: str, /, **values: Any) -> str:
    """Return a word in a language, filled with values; in both, `中文 / English`. Raises KeyError for an unknown name."""
    if language == BOTH:
        return " / ".join(dict.fromkeys(word(one, name, **values) for one in LANGUAGES))
    return words(language)[name].format(**values) if values else words(language)[name]


def said(language: str, name: str, /, **values: Any) -> Markup:
    """Return a word as markup; in both languages, English in small type."""
    return pair(language, *(word(one, name, **values) for one in LANGUAGES))


def pair(language: str, zh: Any, en: Any) -> Markup:
    """Return a text that data have in Chinese and English: the one of the language, or both, English in small type."""
    chinese, english = cell(zh), cell(en) if en not in (None, "") else Markup("")
    if language == BOTH:
        return chinese + Markup('<small lang="en">{}</small>').format(english) if english else chinese
    return english if language == "en" and english else chinese


def cell(value: Any) -> Markup:
    """Return a value as markup: escaped, `—` for nothing; a digest may break anywhere, or it would widen every table."""
    if isinstance(value, Markup):
        return value
    if value is None or value == "":
        return Markup("—")
    text = str(value)
    return Markup("<code>{}</code>").format(text) if _DIGEST.fullmatch(text) else escape(text)


def state_word(language: str, state: str) -> Markup:
    """Return a state as a coloured word."""
    shown = said(language, f"state.{state}")
    return Markup('<span class="state {}">{}</span>').format(TONES.get(state, ""), shown)


def _made(template: str, language: str, values: Mapping[str, Any]) -> str:
    spoken = says(language)
    return (
        environment()
        .get_template(template)
        .render(
            language=language,
            html_language=_HTML_LANGUAGE[language],
            navigation=NAVIGATION,
            **spoken,
            **values,
        )
    )


def says(language: str) -> dict[str, Callable[..., Any]]:
    """Return the functions by which a template speaks: `t` and `w` say words, `two` texts of data, `cell` values."""

    def t(name: str, /, **values: Any) -> str:
        return word(language, name, **values)

    def w(name: str, /, **values: Any) -> Markup:
        return said(language, name, **values)

    def two(zh: Any, en: Any = "") -> Markup:
        return pair(language, zh, en)

    def state(value: str) -> Markup:
        return state_word(language, value)

    return {"t": t, "w": w, "two": two, "state": state, "cell": cell}


@cache
def environment() -> Environment:
    """Return the templates of all pages, everything escaped."""
    return Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
