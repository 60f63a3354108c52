"""What may be committed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.kafka.progress import Progress


def test_nothing_passes_an_input_that_is_not_done() -> None:
    """A later input that is done first waits for the earlier one, even for the very first."""
    progress: Progress[str] = Progress()
    first, second = progress.begin("p", 0), progress.begin("p", 1)
    progress.done("p", second)
    assert progress.committable() == {}
    progress.done("p", first)
    assert progress.committable() == {"p": 2}


def test_offsets_with_holes_are_passed() -> None:
    """Offsets that never come (compaction, transaction marks) hold nothing up."""
    progress: Progress[str] = Progress()
    tickets = [progress.begin("p", offset) for offset in (7, 9, 30)]
    for ticket in tickets:
        progress.done("p", ticket)
    assert progress.committable() == {"p": 31}


def test_what_was_committed_is_not_committed_again() -> None:
    """Only a higher offset is committable."""
    progress: Progress[str] = Progress()
    progress.done("p", progress.begin("p", 4))
    progress.committed({"p": 5})
    assert progress.committable() == {}


def test_a_ticket_of_a_lost_partition_moves_nothing() -> None:
    """After a rebalance an input of before says nothing about what is read again."""
    progress: Progress[str] = Progress()
    old = progress.begin("p", 10)
    progress.forget(["p"])
    progress.committed({"p": 3})
    progress.begin("p", 3)
    progress.done("p", old)
    assert progress.committable() == {}


@settings(max_examples=100)
@given(st.integers(1, 30).flatmap(lambda n: st.permutations(range(n))), st.data())
def test_law_committed_is_the_unbroken_run_of_done(order: list[int], data: st.DataObject) -> None:
    """Whatever the order of finishing, the offset is the length of the unbroken run from the first."""
    progress: Progress[str] = Progress()
    tickets = [progress.begin("p", offset) for offset in range(len(order))]
    finished = order[: data.draw(st.integers(0, len(order)))]
    for offset in finished:
        progress.done("p", tickets[offset])
    run = next((n for n in range(len(order) + 1) if n not in finished), len(order))
    assert progress.committable() == ({"p": run} if run else {})
    assert progress.under_way == len(order) - run
