"""The index of the public register in a data file: rows of licences, and the words by which they are found.

Both engines write it where they fold facts (`projector`), so that it is of the same moment as the states.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from itertools import pairwise
from typing import Any, Final

from infra.readmodel.database import Database
from processors import state as states
from processors.queries.listings import RegisterQuery
from processors.state import HolderState
from schemas.persons import is_pseudonym

_SEPARATOR: Final = "\x1f"  # between the names of a row
_COLUMNS: Final = "holder, number, item, status, name, issued_on, valid_until, authority, host, words"
REGISTER_FORM: Final = "1"
"""The form of the rows of the public register; a data file whose `register-form` is another is indexed anew."""


def index_holder(db: sqlite3.Connection, state: HolderState) -> None:
    """Write the rows of a holder's numbered licences, and the words by which they are found; inside a transaction.

    A licence of an enterprise is found by its number and by every name that the enterprise has or had on a licence.
    A person's licence has a row without words: only its whole number finds it.
    """
    listed = not is_pseudonym(state.holder)
    names = _names(state) if listed else []
    for licence in state.licences.values():
        if licence.number:
            now = licence.now
            words = _SEPARATOR.join([_folded(licence.number), *names]) if listed else ""
            row = (state.holder, licence.number, licence.item, licence.status, now.holder_name if listed else "",
                   now.issued_on, now.valid_until, now.authority.code, now.authority.host, words)  # fmt: skip
            _write_row(db, licence.key, row)


def index_everything(db: Database) -> None:
    """Index every licence of a data file whose register another release wrote, or none did; else do nothing."""
    if db.meta("register-form") == REGISTER_FORM:
        return
    with db.transaction():
        for (raw,) in db.db.execute("SELECT state FROM states ORDER BY holder").fetchall():
            index_holder(db.db, states.decode(raw))
        db.set_meta("register-form", REGISTER_FORM)


def _names(holder: HolderState) -> list[str]:
    """Return the folded names under which an enterprise has or had a licence, each once."""
    named = (v.grant.holder_name for licence in holder.licences.values() for v in licence.versions)
    return list(dict.fromkeys(folded for name in (holder.name, *named) if (folded := _folded(name))))


def _write_row(db: sqlite3.Connection, licence: str, row: tuple[Any, ...]) -> None:
    old = db.execute(f"SELECT seq, {_COLUMNS} FROM register WHERE licence = ?", (licence,)).fetchone()
    if old is not None and tuple(old[1:]) == row:
        return
    if old is not None and old[-1]:
        sql = "INSERT INTO register_words (register_words, rowid, words) VALUES ('delete', ?, ?)"
        db.execute(sql, (old[0], _indexed(old[3], old[4], old[-1])))
    marks = ", ".join("?" * (len(row) + 2))
    sql = f"INSERT OR REPLACE INTO register (seq, licence, {_COLUMNS}) VALUES ({marks}) RETURNING seq"
    (seq,) = db.execute(sql, (old[0] if old else None, licence, *row)).fetchone()
    if row[-1]:
        indexed = _indexed(row[2], row[3], row[-1])
        db.execute("INSERT INTO register_words (rowid, words) VALUES (?, ?)", (seq, indexed))


def _folded(text: str) -> str:
    """Return a name or number as it is searched: NFKC, without case, spaces and what shows nothing."""
    wide = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in wide if unicodedata.category(c) not in ("Cc", "Cf", "Zs", "Zl", "Zp"))


def _indexed(item: str, status: str, words: str) -> str:
    """Return the tokens of a row: each pair of neighbouring characters of its words, its item, its status.

    `gap` stands between two names, so that no phrase runs from one into the next. Pairs make any part of a name of two characters or more a phrase; the last character stands alone, so that one
    character is found as the beginning of a token. FTS5's own trigrams would miss parts of two characters.
    """
    pairs = " gap ".join(_pairs(part, last=True) for part in words.split(_SEPARATOR))
    return f"listed {_item_token(item)} s{status} {pairs}"


def _pairs(text: str, *, last: bool) -> str:
    codes = [f"{ord(c):06x}" for c in text]
    pairs = [a + b for a, b in pairwise(codes)]
    return " ".join([*pairs, codes[-1]] if last and codes else pairs)


def _item_token(item: str) -> str:
    return f"i{item.encode().hex()}"


def expression(wanted: RegisterQuery) -> str:
    """Return the FTS5 expression of a search; every row of an enterprise has the token `listed`."""
    text, parts = _folded(wanted.text), ["listed"]
    if text:
        parts.append(f'"{_pairs(text, last=False)}"' if len(text) > 1 else f"{ord(text):06x}*")
    if wanted.item:
        parts.append(_item_token(wanted.item))
    if wanted.status:
        parts.append(f"s{wanted.status}")
    return " AND ".join(parts)
