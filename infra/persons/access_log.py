"""Record of accesses to persons' records: `accesses.db` in the data folder, persons by pseudonym only.

Every query that shows something of a person writes here before it answers; where that fails, it gives no answer
(个人信息保护法 art 55 asks for such a record). A list that shows many persons at once is one line, under the name
`*`. An erasure stands here too, and its line stays when the person's key is gone.
"""

from __future__ import annotations

import getpass
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from schemas.calendar import CHINA
from schemas.errors import TransientError
from schemas.persons import is_pseudonym

DATABASE: Final = "accesses.db"
EVERYONE: Final = "*"
_WAIT: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS accesses (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, person TEXT NOT NULL, by TEXT NOT NULL,
    what TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS accesses_person ON accesses (person);
"""


class Access(NamedTuple):
    """One access: its time in China (ISO 8601), the user or token, the command, and the record that it showed."""

    time: str
    by: str
    what: str
    detail: str


def user() -> str:
    """Return the user of this command: `ZHENGZHAO_USER` where a front end names its user, else the account."""
    if named := os.environ.get("ZHENGZHAO_USER"):
        return named[:100]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return f"uid {os.getuid()}"


class Accesses:
    """The access record of a data folder; several processes may write at once."""

    def __init__(self, data: Path, by: str | None = None) -> None:
        self._path = data / DATABASE
        self._by = user() if by is None else by

    def record(self, person: str, what: str, detail: str = "") -> None:
        """Record an access to a holder's record where the holder is a person; do nothing for an enterprise.

        `person` is a ledger key, or `*` for a list of many persons. Raises TransientError where the line cannot be
        written; the caller must then show nothing.
        """
        if not (is_pseudonym(person) or person.startswith(EVERYONE)):
            return
        now = datetime.now(UTC).astimezone(CHINA).isoformat(timespec="seconds")
        with self._open() as db:
            db.execute(
                "INSERT INTO accesses (time, person, by, what, detail) VALUES (?, ?, ?, ?, ?)",
                (now, person, self._by, what, detail),
            )

    def of(self, person: str) -> list[Access]:
        """Return every access to a person's record, oldest first, those to lists of everyone included."""
        if not self._path.is_file():
            return []
        sql = "SELECT time, by, what, detail FROM accesses WHERE person IN (?, ?) ORDER BY seq"
        with self._open() as db:
            return [Access(*row) for row in db.execute(sql, (person, EVERYONE))]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            fresh = not self._path.exists()
            db = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None)
            try:
                if fresh:
                    self._path.chmod(0o600)
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(_SCHEMA)
                yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            raise TransientError(
                f"查阅个人记录无法留痕，因此不予显示 / the access to a person's record cannot be recorded, so nothing is shown: {error}",
                where=str(self._path),
                hint="检查目录权限与磁盘空间 / check the permissions of the folder and the free space",
            ) from error
