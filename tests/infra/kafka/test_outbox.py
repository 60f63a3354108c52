"""State and outbox in one record, against crashes at any place."""

from collections.abc import Callable, MutableMapping

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.kafka.outbox import Codec, Outbox, Send, offset_of

Step = Callable[[tuple[int, ...]], tuple[tuple[int, ...], tuple[Send, ...]]]
KEYS = (b"a", b"b", b"c")
CODEC: Codec[tuple[int, ...]] = Codec(
    1,
    lambda _: (),
    lambda state: b",".join(b"%d" % n for n in state),
    lambda raw: tuple(int(n) for n in raw.split(b",") if n),
)


def step(n: int) -> Step:
    """Appends `n` and tells the whole state: the message depends on everything before."""

    def apply(state: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Send, ...]]:
        after = (*state, n)
        return after, (Send("out", b"", repr(after).encode()),)

    return apply


def outbox(table: MutableMapping[bytes, bytes], committed: int = 0) -> Outbox[tuple[int, ...]]:
    box = Outbox(table, CODEC, lambda: committed)
    for key, raw in table.items():
        box.restore(key, raw)
    box.restored()
    return box


def test_an_input_that_comes_again_sends_the_same_again() -> None:
    """State does not move twice, and what was sent is sent again, with the record."""
    table: dict[bytes, bytes] = {}
    record, sent = outbox(table).apply(b"a", 5, step(1)) or (b"", ())
    again = outbox(table)
    assert again.again(5) == {b"a": (record, sent)}
    assert again.apply(b"a", 5, step(1)) is None
    assert offset_of(table[b"a"]) == 5


def test_what_is_committed_is_dropped_with_the_next_record() -> None:
    """The outbox does not grow: only uncommitted inputs stay in the record."""
    table: dict[bytes, bytes] = {}
    for offset in range(50):
        outbox(table, committed=offset).apply(b"a", offset, step(offset))
    box = outbox(table, committed=50)
    assert [box.again(n) != {} for n in (48, 49)] == [False, True]


def test_an_input_without_messages_is_remembered() -> None:
    """A record that changed without a message has to reach the changelog all the same."""
    table: dict[bytes, bytes] = {}
    outbox(table).apply(b"a", 3, lambda state: ((*state, 1), ()))
    assert outbox(table).again(3) == {b"a": (table[b"a"], ())}


def test_one_input_may_concern_many_keys() -> None:
    """A tick: a crash in the middle leaves some keys done, the rest is done when it comes again."""
    table: dict[bytes, bytes] = {}
    first = outbox(table)
    for key in KEYS[:2]:
        first.apply(key, 0, step(0))
    second = outbox(table)
    assert sorted(second.again(0)) == [b"a", b"b"]
    assert [second.apply(key, 0, step(0)) is not None for key in KEYS] == [False, False, True]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 3), st.integers(0, 3)), max_size=5),
)
def test_law_no_crash_loses_or_changes_a_message(
    inputs: list[bytes], crashes: list[tuple[int, int, int]]
) -> None:
    """Crashes lose any suffix of table writes and sends, and read again from the committed offset.

    What the next stage has received, each message once, is what an unbroken run sends.
    """
    unbroken: dict[bytes, bytes] = {}
    box = outbox(unbroken)
    expected = [send for n, key in enumerate(inputs) for send in (box.apply(key, n, step(n)) or (b"", ()))[1]]

    changelog: dict[bytes, bytes] = {}
    received: list[Send] = []
    committed = 0
    for stop, records_lost, sends_lost in [*sorted(crashes), (len(inputs), 0, 0)]:
        table = dict(changelog)
        box = outbox(table, committed)
        written: list[tuple[bytes, bytes]] = []
        sent: list[Send] = []
        for n in range(committed, min(stop, len(inputs))):
            for key, (record, sends) in box.again(n).items():
                written.append((key, record))
                sent += sends
            if (outcome := box.apply(inputs[n], n, step(n))) is not None:
                written.append((inputs[n], outcome[0]))
                sent += outcome[1]
        changelog.update(written[: len(written) - records_lost])
        received += sent[: len(sent) - sends_lost]
        if not records_lost and not sends_lost:
            committed = max(committed, min(stop, len(inputs)))
    assert list(dict.fromkeys(received)) == expected
    assert changelog.keys() == unbroken.keys()


def test_dues_are_found_again_after_a_restart() -> None:
    """What falls due by itself is found by its moment, in order, also from records alone."""
    codec: Codec[tuple[int, ...]] = Codec(
        1, CODEC.empty, CODEC.to_bytes, CODEC.from_bytes, lambda s: f"{s[-1]:03d}"
    )
    table: dict[bytes, bytes] = {}
    box = Outbox(table, codec, lambda: 0)
    for offset, (key, due) in enumerate(((b"a", 30), (b"b", 10), (b"c", 20), (b"b", 25))):
        box.apply(key, offset, step(due))
    again = Outbox(table, codec, lambda: 0)
    for key, raw in table.items():
        again.restore(key, raw)
    assert [b.due("027") for b in (box, again)] == [[b"c", b"b"]] * 2
    assert again.due("009") == []
