"""Official letters to applicants (公文): what each says, by templates that are data (`data/letters.toml`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import msgspec

from schemas.licence import Authority

_VALUE = re.compile(r"\{([a-z_]+)\}")


class LetterTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The template of one kind of letter; `needs` names for a paragraph the value without which it is left out."""

    title: str
    mark: str
    paragraphs: tuple[str, ...]
    list: str = ""
    needs: tuple[str, ...] = ()


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A letter as its fact makes it. `to` is the addressee's name, a person's sealed; `id` names the fact."""

    id: str
    kind: str
    number: str
    title: str
    holder: str  # ledger key
    holder_kind: str
    display: str  # USCC, or mask
    to: str
    authority: Authority
    decided_at: str  # RFC 3339
    dated: str  # China date
    application_id: str = ""
    case: str = ""
    licence: str = ""
    paragraphs: tuple[str, ...] = ()
    heading: str = ""  # of the list
    listed: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def templates() -> dict[str, LetterTemplate]:
    """Return the templates of letters by kind."""
    raw = (files("schemas") / "data" / "letters.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(raw), dict[str, LetterTemplate])


def paragraphs_of(template: LetterTemplate, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the paragraphs of a letter with its values; one in which a value is empty is left out."""
    found = []
    for n, paragraph in enumerate(template.paragraphs):
        wanted = set(_VALUE.findall(paragraph))
        if n < len(template.needs) and template.needs[n]:
            wanted.add(template.needs[n])
        if all(values.get(name) for name in wanted):
            found.append(_VALUE.sub(lambda match: values[match[1]], paragraph))
    return tuple(found)


def letter_key(letter_id: str) -> str:
    """Return the key of a letter's object in the store."""
    return f"letters/{letter_id[:2]}/{letter_id}.pdf"
