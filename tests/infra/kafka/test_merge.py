"""One order out of many partitions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.kafka.records import merge
from schemas.ledger import ClaimedEntry, ClockReading, NumberAnswer, TickEntry, encode_entry


def event(holder: str, n: int) -> bytes:
    return encode_entry(ClaimedEntry(f"{holder}-{n}", holder, "", NumberAnswer(f"{n}", True)))


def tick(n: int) -> bytes:
    return encode_entry(TickEntry(f"tick:{n:03d}", "", "", ClockReading("clock.ticked", f"{n:03d}")))


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=0, max_size=8), min_size=1, max_size=5), st.integers(0, 3)
)
def test_law_ticks_are_barriers_and_holders_keep_their_order(shape: list[list[int]], ticks: int) -> None:
    """Every entry once; a holder's in order; what came before a tick in any partition comes before it."""
    partitions: dict[int, list[bytes]] = {}
    before: dict[str, int] = {}
    for p, events in enumerate(shape):
        rows: list[bytes] = []
        for n, place in enumerate(events):
            rows.append(event(f"h{p}", n))
            before[f"h{p}-{n}"] = place
        mixed: list[bytes] = []
        done = 0
        for t in range(ticks):
            upto = max(done, len(rows) * (t + 1) // (ticks + 1))
            mixed += [*rows[done:upto], tick(t), tick(t)]  # a scheduler that died may have told a tick twice
            done = upto
        partitions[p] = mixed + rows[done:]
    merged = [line.entry.id for line in merge(partitions)]
    assert sorted(merged) == sorted({*before, *(f"tick:{t:03d}" for t in range(ticks))})
    for p, rows in partitions.items():
        own = list(dict.fromkeys(_ids(rows)))
        assert [i for i in merged if i in set(own)] == own, p


def _ids(rows: list[bytes]) -> list[str]:
    return [line.entry.id for line in merge({0: list(rows)})]


def test_two_orders_of_ticks_do_not_block() -> None:
    """Two schedulers that ran at once: the earlier tick first, each once."""
    merged = [
        line.entry.id
        for line in merge({0: [tick(1), tick(2), event("a", 1)], 1: [tick(2), tick(1), event("b", 1)]})
    ]
    assert merged == ["tick:001", "tick:002", "a-1", "b-1"]
