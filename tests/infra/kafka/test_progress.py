"""What may be committed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.kafka.progress import OffsetProgress, Ticket


def begun(progress: OffsetProgress[str], offset: int) -> Ticket:
    ticket = progress.begin("p", offset)
    assert ticket is not None
    return ticket


def test_nothing_passes_an_input_that_is_not_done() -> None:
    """A later input that is done first waits for the earlier one, even for the very first."""
    progress: OffsetProgress[str] = OffsetProgress()
    first, second = begun(progress, 0), begun(progress, 1)
    progress.done("p", second)
    assert progress.committable() == {}
    progress.done("p", first)
    assert progress.committable() == {"p": 2}


def test_a_hole_is_never_passed() -> None:
    """A record that was lost on its way has to come before the ones behind it; one that comes again is not begun."""
    progress: OffsetProgress[str] = OffsetProgress()
    assert progress.start("p", 7) == 7
    assert progress.begin("p", 8) is None
    progress.done("p", begun(progress, 7))
    assert progress.begin("p", 7) is None
    assert progress.start("p", 3) == 8
    assert (progress.committable(), progress.expected()) == ({"p": 8}, {"p": 8})


def test_what_was_committed_is_not_committed_again() -> None:
    """Only a higher offset is committable."""
    progress: OffsetProgress[str] = OffsetProgress()
    progress.done("p", begun(progress, 4))
    progress.committed({"p": 5})
    assert progress.committable() == {}


def test_a_ticket_of_a_lost_partition_moves_nothing() -> None:
    """After a rebalance an input of before says nothing about what is read again."""
    progress: OffsetProgress[str] = OffsetProgress()
    old = begun(progress, 10)
    progress.forget(["p"])
    progress.committed({"p": 3})
    progress.begin("p", 3)
    progress.done("p", old)
    assert progress.committable() == {}


@settings(max_examples=100)
@given(st.integers(1, 30).flatmap(lambda n: st.permutations(range(n))), st.data())
def test_law_committed_is_the_unbroken_run_of_done(order: list[int], data: st.DataObject) -> None:
    """Whatever the order of finishing, the offset is the length of the unbroken run from the first."""
    progress: OffsetProgress[str] = OffsetProgress()
    tickets = [begun(progress, offset) for offset in range(len(order))]
    finished = order[: data.draw(st.integers(0, len(order)))]
    for offset in finished:
        progress.done("p", tickets[offset])
    run = next((n for n in range(len(order) + 1) if n not in finished), len(order))
    assert progress.committable() == ({"p": run} if run else {})
    assert progress.under_way == len(order) - run
