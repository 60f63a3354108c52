"""Sending of letters and reminders by e-mail and webhook, each at most once over each channel.

An attempt is recorded before it is made: where nobody can know whether a letter went out, it is not sent again.
"""

from __future__ import annotations

import hashlib
import json
import smtplib
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from email.utils import make_msgid
from functools import partial
from typing import Any, Final, NamedTuple

from infra.delivery.notices import Notices, OpenRegister
from infra.delivery.webhooks import Hook, Post, post
from infra.parts import Parts
from infra.settings import MailSettings
from processors.letters import TYPES
from processors.state import HolderState
from schemas.calendar import CHINA, months_before
from schemas.errors import LintError, NotFound, VerificationError, ZhengzhaoError
from schemas.item_types import ServiceItem
from schemas.letters import Letter

DATABASE: Final = "letters.db"
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 3600.0
_BATCH: Final = 200
_REMINDED: Final = (90, 30)  # days before a licence ends
_BEFORE: Final = 3  # days before a correction is due
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, day TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sendings (
    letter TEXT, channel TEXT, holder TEXT NOT NULL, said TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    next_at REAL NOT NULL, error TEXT NOT NULL, PRIMARY KEY (letter, channel)) WITHOUT ROWID;
"""

AddressesOf = Callable[[str], list[str]]
"""The e-mail addresses to which a holder (ledger key) wants letters."""
Attempt = Callable[[], tuple[str, str]]
"""Something that sends a letter when it is called; returns the state that follows, and the fault."""


class LetterSending(NamedTuple):
    """The sending of a letter or reminder over a channel; `state`: waiting, sending, sent, failed."""

    letter: str
    channel: str
    holder: str
    state: str
    attempts: int
    error: str


class Reminder(NamedTuple):
    """A line about what falls due; its id makes sure that it is sent once."""

    id: str
    holder: str
    zh: str
    en: str


class Postman:
    """The sending of letters and reminders, each at most once over each channel. `clock` gives Unix seconds."""

    def __init__(
        self,
        parts: Parts,
        notices: Notices,
        open_register: OpenRegister,
        addresses_of: AddressesOf,
        *,
        send: Post = post,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parts = parts
        self._notices = notices
        self._open_register = open_register
        self._addresses_of = addresses_of
        self._send = send
        self._clock = clock
        self._mail: MailSettings | None = parts.settings.mail
        self._hook = Hook(parts.settings.webhook) if parts.settings.webhook else None
        self._db = sqlite3.connect(
            parts.settings.data / DATABASE, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the record of sendings."""
        self._db.close()

    def run(self) -> int:
        """Take new letters and due reminders in, send what is due; return how many went out."""
        if self._mail is None and self._hook is None:
            return 0
        self._take_letters()
        self._take_reminders()
        sql = (
            "SELECT letter, channel, holder, said, attempts FROM sendings WHERE state = 'waiting' AND next_at <= ? "
            "ORDER BY next_at, letter LIMIT ?"
        )
        rows = self._db.execute(sql, (self._clock(), _BATCH)).fetchall()
        return sum(self._try(*row) for row in rows)

    def sendings(self) -> list[LetterSending]:
        """Return what became of every sending."""
        sql = "SELECT letter, channel, holder, state, attempts, error FROM sendings ORDER BY letter, channel"
        return [LetterSending(*row) for row in self._db.execute(sql)]

    def _take_letters(self) -> None:
        row = self._db.execute("SELECT seq FROM progress").fetchone()
        with self._open_register() as register:
            if row is None:  # what was decided before anything was set up to be sent is not sent now
                self._db.execute("INSERT INTO progress VALUES (1, ?, '')", (register.last_fact(),))
                return
            found = list(register.facts_after(int(row[0]), TYPES))
            known = {fact.holder: self._notices.of_holder(fact.holder) for _, fact in found}
            for seq, fact in found:
                for letter in known[fact.holder]:
                    if letter.id == fact.id:
                        self._enter(letter.id, letter.holder, f"{letter.title} {letter.number}")
                self._db.execute("UPDATE progress SET seq = ?", (seq,))

    def _take_reminders(self) -> None:
        """Enter the reminders of a day, once a day."""
        today = datetime.fromtimestamp(self._clock(), CHINA).date()
        row = self._db.execute("SELECT day FROM progress").fetchone()
        if row is None or row[0] == today.isoformat():
            return
        with self._open_register() as register:
            for state in register.states():
                for one in reminders(state, today, self._parts.catalogue.get):
                    self._enter(one.id, one.holder, f"{one.zh} / {one.en}")
        self._db.execute("UPDATE progress SET day = ?", (today.isoformat(),))

    def _enter(self, letter: str, holder: str, said: str) -> None:
        channels = [f"mail:{a}" for a in self._addresses_of(holder)] if self._mail else []
        channels += ["webhook"] if self._hook else []
        self._db.executemany(
            "INSERT OR IGNORE INTO sendings VALUES (?, ?, ?, ?, 'waiting', 0, 0, '')",
            [(letter, channel, holder, said) for channel in channels],
        )

    def _try(self, letter: str, channel: str, holder: str, said: str, attempts: int) -> bool:
        """Send one letter over one channel; return whether it went out.

        A store that is away raises before the attempt is recorded, so that the letter goes on waiting.
        """
        where = "WHERE letter = ? AND channel = ?"
        try:
            send = self._prepared(letter, channel, holder, said)
        except (NotFound, VerificationError, LintError) as fault:  # nobody is left to whom it could be said
            state, error = "failed", fault.message
        else:
            self._db.execute(f"UPDATE sendings SET state = 'sending' {where}", (letter, channel))
            state, error = send()
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempts, 20))
        self._db.execute(
            f"UPDATE sendings SET state = ?, attempts = attempts + 1, next_at = ?, error = ? {where}",
            (state, self._clock() + pause, error, letter, channel),
        )
        return state == "sent"

    def _prepared(self, letter_id: str, channel: str, holder: str, said: str) -> Attempt:
        """Return the attempt to send a letter, with all that it gives away made before."""
        letter = None if letter_id.startswith("due:") else self._notices.own(holder, letter_id)
        content = self._notices.content(letter) if letter else b""
        if channel == "webhook":
            return partial(self._call_hook, letter_id, _body(letter_id, letter, said, content))
        assert self._mail is not None  # the channel was entered for it
        to = channel.removeprefix("mail:")
        text = _text(letter and self._notices.in_clear(letter), said)
        return partial(send_mail, self._mail, mail_message(self._mail.sender, to, said, text, content))

    def _call_hook(self, letter_id: str, body: bytes) -> tuple[str, str]:
        assert self._hook is not None  # the channel was entered for it
        failed = self._send(self._hook, letter_id, body)
        if failed is None:
            return "sent", ""
        return ("waiting" if failed.down else "failed"), failed.error


def _body(letter_id: str, letter: Letter | None, said: str, content: bytes) -> bytes:
    """Return the body of a webhook's POST; a gateway for text messages takes `text`."""
    body: dict[str, Any] = {"id": letter_id, "kind": letter.kind if letter else "reminder", "text": said}
    if letter is not None:
        body |= {
            "number": letter.number,
            "title": letter.title,
            "holder": letter.display,
            "application_id": letter.application_id or None,
            "licence_number": letter.licence or None,
            "decided_at": letter.decided_at,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    return json.dumps(body, ensure_ascii=False).encode()


def _text(letter: Letter | None, said: str) -> str:
    if letter is None:
        return said
    listed = "".join(f"{n}. {one}\n" for n, one in enumerate(letter.listed, 1))
    return "\n\n".join([said, *letter.paragraphs, listed, f"{letter.authority.name}\n{letter.dated}"])


def mail_message(sender: str, to: str, subject: str, text: str, attached: bytes) -> EmailMessage:
    """Return a message. Raises LintError for an address or subject of which no message can be made."""
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = sender, to, subject
        message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "localhost")
        message.set_content(text)
        message.as_bytes()
    except (
        ValueError,
        LookupError,
        AttributeError,
    ) as error:  # as the library's reader of addresses raises them
        raise LintError(
            f"无法写成邮件 / no message can be made of it: {error}",
            where=to,
            hint="核对地址 / check the address",
        ) from None
    if attached:
        message.add_attachment(attached, maintype="application", subtype="pdf", filename="letter.pdf")
    return message


def send_mail(mail: MailSettings, message: EmailMessage) -> tuple[str, str]:
    """Send one message; return what became of it, and the fault.

    A refusal, or no answer before the message was given away, may be tried again; silence after that may not.
    """
    given = False
    try:
        with closing(_connected(mail)) as server:
            given = True
            refused = server.send_message(message)
            return ("failed", f"refused: {', '.join(refused)}") if refused else ("sent", "")
    except smtplib.SMTPResponseException as error:
        said = f"{error.smtp_code} {error.smtp_error!r}"[:200]
        return ("waiting" if 400 <= error.smtp_code < 500 else "failed"), said
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        return ("waiting" if all(400 <= code < 500 for code in codes) else "failed"), str(codes)
    except (OSError, smtplib.SMTPException) as error:
        unknown = given and isinstance(error, (TimeoutError, smtplib.SMTPServerDisconnected))
        return ("sending" if unknown else "waiting"), f"{type(error).__name__}: {error}"[:200]


def _connected(mail: MailSettings) -> smtplib.SMTP:
    kind = smtplib.SMTP_SSL if mail.tls == "tls" else smtplib.SMTP
    server = kind(mail.host, mail.port, timeout=20)
    try:
        if mail.tls == "starttls":
            server.starttls()
        if mail.user:
            server.login(mail.user, mail.password)
    except BaseException:
        server.close()
        raise
    return server


def reminders(
    state: HolderState, today: date, item_of: Callable[[str], ServiceItem | None]
) -> Iterator[Reminder]:
    """Yield what a holder is reminded of on a day, or was to be in the last days; the id says it is the same reminder."""
    for licence in state.licences.values():
        if not licence.living or not licence.now.valid_until or not licence.number:
            continue
        end, item = date.fromisoformat(licence.now.valid_until), item_of(licence.item)
        days = [(end - timedelta(days=n), f"将于{n}日后", f"ends in {n} days") for n in _REMINDED]
        opens = months_before(end, item.renewal.earliest if item else 12)
        for on, zh, en in days:
            if on <= today < end and (today - on).days < 7:
                said = f"证照 {licence.number} {zh}（{end}）到期", f"licence {licence.number} {en}, on {end}"
                yield Reminder(f"due:{state.holder}:{licence.key}:{on}", state.holder, *said)
        if opens <= today and (today - opens).days < 7:
            said = f"证照 {licence.number} 可以申请延续", f"renewal of licence {licence.number} is open"
            yield Reminder(f"due:{state.holder}:{licence.key}:opens:{opens}", state.holder, *said)
    for case in state.cases.values():
        if case.state == "correction-requested" and case.correction:
            due = date.fromisoformat(case.correction)
            if due - timedelta(days=_BEFORE) <= today <= due:
                said = (
                    f"申请 {case.application_id} 须于 {due} 前补正",
                    f"correct {case.application_id} by {due}",
                )
                yield Reminder(f"due:{state.holder}:{case.key}:correction:{due}", state.holder, *said)


class PostRound:
    """A thread that lets the postman go round until it is closed; a fault is told, and the next round tries again."""

    def __init__(self, postman: Postman, seconds: float = 5.0) -> None:
        self._postman = postman
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the sending under way."""
        self._ended.set()
        self._thread.join()
        self._postman.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._postman.run()
            except (ZhengzhaoError, sqlite3.Error) as error:
                print(f"error: letters: {error}", file=sys.stderr, flush=True)
            self._ended.wait(self._seconds)
