"""The kernel: what each stage does with one input, without any engine.

A step takes state and input and returns what they lead to (`Produced`); an engine stores that and hands it to the
stages that consume it (`processors.topology`). No step reads a clock, a random source or a file.

The streams between stages stand here with their topics, and so do outbound events: facts as CloudEvents on the outbound
topics. Facts hold persons only masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from processors import state as states
from processors.decide import FailedInput, contradicts, decide
from processors.decisions import reasons
from processors.evolve import apply
from processors.number import Series, after_place, imported, is_free, number, place_in_series
from processors.state import HolderState
from schemas import facts as f
from schemas.canonical_json import derived_id
from schemas.errors import OtherContent, Rejected
from schemas.facts import Fact
from schemas.items import Catalogue
from schemas.ledger import (
    ClaimedEntry,
    Entry,
    FailedEntry,
    FailedVersion,
    IssuedEntry,
    NumberAnswer,
    NumberedEntry,
)
from schemas.licence import Grant, Issued, Job, Numbered


class Stream(NamedTuple):
    """A stream of records. Records with the same `key` stay in order; on Kafka `topic` carries them."""

    name: str
    topic: str
    key: str


INBOX: Final = Stream("inbox", "zhengzhao.inbox", "any")
LEDGER: Final = Stream("ledger", "zhengzhao.ledger", "holder")
FACTS: Final = Stream("facts", "zhengzhao.facts", "holder")
GRANTS: Final = Stream("grants", "zhengzhao.grants", "series")
NUMBERED: Final = Stream("numbered", "zhengzhao.numbered", "grant")
LETTERS: Final = Stream("letters", "zhengzhao.dead-letters", "any")
CASES: Final = Stream("cases", "zhengzhao.cases", "holder")
LICENCES: Final = Stream("licences", "zhengzhao.licences", "holder")
FILINGS: Final = Stream("filings", "zhengzhao.filings", "holder")  # one topic for each department
INSPECTIONS: Final = Stream("inspections", "zhengzhao.inspections", "holder")
EDITIONS: Final = Stream("editions", "zhengzhao.editions", "list")
LOGGED: Final = Stream("logged", "zhengzhao.log", "none")  # the order of the transparency log's entries
CATALOGUE: Final = Stream(
    "catalogue", "zhengzhao.catalogue", "none"
)  # the catalogue in force; the last one counts
# These two carry nothing: the worker to whom their one partition is assigned ticks, or publishes status lists.
CLOCK: Final = Stream("clock", "zhengzhao.clock", "none")
STATUS: Final = Stream("status", "zhengzhao.status", "none")

PUBLIC: Final = (INBOX, CASES, LICENCES, FILINGS, INSPECTIONS, LETTERS)
"""The streams whose names and records the contract fixes."""


def filings_topic(department: str) -> str:
    """Return the topic that carries the filings of one department."""
    return f"{FILINGS.topic}.{department}"


SOURCE: Final = "urn:zhengzhao:installation"
"""The source of outbound events."""


class Outbound(NamedTuple):
    """A CloudEvent for an outbound topic, keyed by its holder."""

    topic: str
    holder: str
    event: dict[str, Any]


def outbound(fact: Fact) -> Outbound | None:
    """Return the CloudEvent of a fact with its topic; None for a fact that concerns nobody outside."""
    body = fact.body
    if isinstance(body, f.INTERNAL):
        return None
    event = {
        "specversion": "1.0",
        "id": fact.id,
        "source": SOURCE,
        "type": f"zhengzhao.{fact.type}.v1",
        "subject": fact.holder,
        "time": fact.time,
        "datacontenttype": "application/json",
        "data": msgspec.to_builtins(body),
    }
    return Outbound(_topic(body, fact.type), fact.holder, event)


def stream_of(type_name: str) -> Stream:
    """Return the outbound stream for facts of a type.

    A department's own topic carries its tasks (filings pushed to it, and alarms); its answers interest others.
    """
    if type_name in ("filing.pushed", "filing.overdue"):
        return FILINGS
    if type_name.startswith(("licence.", "bar.")):
        return LICENCES
    return INSPECTIONS if type_name.startswith(("check.", "inspection.", "inspections.")) else CASES


def _topic(body: f.Body, type_name: str) -> str:
    stream = stream_of(type_name)
    if stream is not FILINGS:
        return stream.topic
    filing = body.filing if isinstance(body, f.FilingPushed | f.FilingOverdue) else None
    # An alarm written by an early release does not say which department it concerns.
    return filings_topic(filing.department) if filing else CASES.topic


Papers = Callable[[str], bytes]
"""Give what issuance needs of the service item with a digest (`schemas.licence.Job.item`)."""


class ToNumber(msgspec.Struct, frozen=True, tag="grant"):
    """A grant for `number`; `paper` is what issuance needs of its service item."""

    grant: Grant
    paper: bytes


class SerialSeen(msgspec.Struct, frozen=True, tag="imported"):
    """An imported licence has this serial of a series, so the series goes on after it."""

    id: str
    series: str
    serial: int


class NumberClaimed(msgspec.Struct, frozen=True, tag="claimed"):
    """A question of an import: may `holder` have this number?"""

    holder: str
    number: str
    series: str
    serial: int | None = None


Question = ToNumber | SerialSeen | NumberClaimed


def series_of(question: Question) -> str:
    """Return the series whose single writer answers a question."""
    return question.grant.series if isinstance(question, ToNumber) else question.series


class Produced(msgspec.Struct, frozen=True):
    """The outcome of one input of a stage, stream by stream. The engine stores all of it, or nothing."""

    facts: tuple[Fact, ...] = ()
    grants: tuple[Question, ...] = ()
    numbered: tuple[Job, ...] = ()
    ledger: tuple[Entry, ...] = ()
    failed: tuple[FailedInput, ...] = ()  # entries that become dead letters

    def streams(self) -> tuple[tuple[Stream, tuple[Any, ...]], ...]:
        """Return the records for each stream, in the order in which they have to be sent."""
        return (
            (FACTS, self.facts),
            (GRANTS, self.grants),
            (NUMBERED, self.numbered),
            (LEDGER, self.ledger),
        )


class Decided(NamedTuple):
    """A holder's state after an entry, and what the entry led to."""

    state: HolderState
    produced: Produced


# --- decide, publish


def decide_step(state: HolderState, entry: Entry, catalogue: Catalogue, papers: Papers) -> Decided:
    """Decide one entry for one holder.

    Raises Rejected for an event whose source and id came before with other content: it leaves no trace.
    """
    if contradicts(state, entry):
        raise other_content()
    facts, after, failed = decide(state, entry, catalogue)
    questions = (question for fact in facts for question in _questions(fact, papers))
    return Decided(after, Produced(facts=tuple(facts), grants=tuple(questions), failed=failed))


def _questions(fact: Fact, papers: Papers) -> Iterator[Question]:
    body = fact.body
    if isinstance(body, f.LicenceGranted):
        yield ToNumber(body.grant, papers(body.grant.item_digest))
    elif isinstance(body, f.NumberAsked):
        yield NumberClaimed(fact.holder, body.number, body.series, body.serial)
    elif isinstance(body, f.ImportRecorded) and body.serial is not None:
        yield SerialSeen(fact.id, body.grant.series, body.serial)


def is_duplicate(known: str | None, digest: str) -> bool:
    """Compare the content of an event with what came before under its source and id, None where nothing did.

    `known` may be the beginning of a digest. Raises Rejected where the content is another.
    """
    if known is None:
        return False
    if digest.startswith(known):
        return True
    raise other_content()


def other_content() -> Rejected:
    """Return the error for an event whose source and id came before with other content."""
    return OtherContent(
        str(reasons.other_content()),
        where="id",
        hint="新的事件请用新的编号 / give a new event an id of its own",
    )


def publish_step(facts: Iterable[Fact]) -> Iterator[Outbound]:
    """Yield what the world outside hears of facts."""
    for fact in facts:
        if (event := outbound(fact)) is not None:
            yield event


# --- number


class NumberBook(Protocol):
    """The records of the single writer of a series. `owner` is the holder who imported a number.

    `owner` returns an empty text for a number that a series of ours gave, None for one that nobody has.
    """

    def series(self, name: str) -> Series: ...
    def number_of(self, licence_id: str) -> str | None: ...
    def is_numbered(self, grant: Grant) -> bool: ...
    def owner(self, number: str) -> str | None: ...
    def put_series(self, series: Series) -> None: ...
    def put_numbered(self, numbered: Numbered) -> None: ...
    def put_claim(self, claimed: NumberClaimed) -> None: ...


def number_step(book: NumberBook, question: Question) -> Produced:
    """Number a grant, or answer a question about a number. The same question again changes nothing.

    Raises SeriesFull where no serial is left; the book is unchanged then.
    """
    if isinstance(question, ToNumber):
        return _number(book, question)
    if isinstance(question, SerialSeen):
        _pass(book, question.series, question.serial)
        return Produced()
    free = is_free(book.owner(question.number), question.holder)
    if free:
        _claim(book, question)
    answer = NumberAnswer(question.number, free)
    cause = f"{question.holder}:{question.number}"
    return Produced(ledger=(_back(ClaimedEntry, cause, question.holder, answer),))


def unnumbered(question: Question) -> Produced:
    """Return what follows where a question could not be answered: a grant has failed until it is tried again."""
    return failed_step(question.grant) if isinstance(question, ToNumber) else Produced()


def recall(book: NumberBook, given: Numbered | NumberClaimed | SerialSeen) -> None:
    """Enter into a book what was recorded as given, where the book itself was lost."""
    if isinstance(given, NumberClaimed):
        _claim(book, given)
    elif isinstance(given, SerialSeen):
        _pass(book, given.series, given.serial)
    else:
        series = imported(book.series(given.grant.series), given.serial or None)
        book.put_series(after_place(series, given.grant.authority.host, place_in_series(given)))
        book.put_numbered(given)


def _number(book: NumberBook, question: ToNumber) -> Produced:
    grant = question.grant
    if book.is_numbered(grant):
        return Produced()
    series, numbered = number(book.series(grant.series), grant, book.number_of(grant.licence_id))
    book.put_series(series)
    book.put_numbered(numbered)
    return numbered_again(question, numbered)


def numbered_again(question: ToNumber, numbered: Numbered) -> Produced:
    """Return what follows from a grant's number, for an engine that has to say it again."""
    grant = question.grant
    entry = _back(NumberedEntry, grant.grant_id, grant.holder, numbered)
    return Produced(numbered=(Job(numbered, question.paper),), ledger=(entry,))


def _claim(book: NumberBook, claimed: NumberClaimed) -> None:
    """Reserve a number for an import: no series gives it from now on."""
    book.put_claim(claimed)
    _pass(book, claimed.series, claimed.serial)


def _pass(book: NumberBook, name: str, serial: int | None) -> None:
    """Let a series go on after a serial that was given elsewhere."""
    before = book.series(name)
    if (after := imported(before, serial)) != before:
        book.put_series(after)


# --- issue


def issued_step(grant: Grant, issued: Issued) -> Produced:
    """Report a stored licence to the ledger."""
    return Produced(ledger=(_back(IssuedEntry, grant.grant_id, grant.holder, issued),))


def failed_step(grant: Grant) -> Produced:
    """Report to the ledger that a version could not be numbered or issued."""
    failed = FailedVersion(grant.licence_id, grant.version)
    return Produced(ledger=(_back(FailedEntry, grant.grant_id, grant.holder, failed),))


def _back(made: type[Any], cause: str, holder: str, payload: Any) -> Entry:
    """Return an entry that a stage sends back. It carries no time of ours, so that the same again is the same."""
    kind = made.kind
    return made(derived_id(kind, cause), holder, "", payload, kind, "internal")  # type: ignore[no-any-return]


# --- state


def refold(facts: Iterable[Fact], *, whole: bool = False) -> dict[str, HolderState]:
    """Fold facts into the states of their holders, each fact once, although some may come twice.

    A `whole` state leaves nothing of the past out: queries show it, nothing is decided by it.
    """
    folded: dict[str, HolderState] = {}
    seen: set[str] = set()
    for fact in facts:
        if fact.id not in seen:
            seen.add(fact.id)
            if fact.holder not in folded:
                folded[fact.holder] = states.initial(fact.holder, whole=whole)
            apply(folded[fact.holder], fact)
    return folded
