"""The chain of a partition's inputs shows which of them was changed."""

from __future__ import annotations

import pytest

from infra.kafka.outbox import Codec, InputChain, Outbox, broken_links

INPUTS = [(offset, b"entry %d" % offset) for offset in range(20, 40)]


def recorded(chain: InputChain | None = None, every: int = 4) -> dict[int, bytes]:
    chain = chain or InputChain()
    links = {offset: chain.take(offset, raw) for offset, raw in INPUTS}
    return {offset: link for offset, link in links.items() if offset % every == 0}


def test_what_was_decided_is_there_again() -> None:
    """Nothing is broken, also where records of an earlier release have no link."""
    assert [] == broken_links(INPUTS, recorded())
    assert [] == broken_links(INPUTS, {})


@pytest.mark.parametrize(("offset", "span"), [(20, (20, 20)), (26, (25, 28)), (36, (33, 36)), (39, None)])
def test_a_changed_input_is_named_by_the_links_around_it(offset: int, span: tuple[int, int] | None) -> None:
    """It lies after the last link that holds; what no link follows is not covered yet."""
    changed = [(n, raw + b"!" if n == offset else raw) for n, raw in INPUTS]
    assert ([span] if span else []) == broken_links(changed, recorded())


def test_a_chain_goes_on_where_its_newest_record_left_it() -> None:
    """After a restart the inputs that come again change nothing."""
    whole = recorded(every=1)
    codec: Codec[bytes] = Codec(1, lambda _: b"", lambda raw: raw, lambda raw: raw)
    table: dict[bytes, bytes] = {}
    before: Outbox[bytes] = Outbox(table, codec, lambda: 0)
    chain = InputChain()
    for offset, raw in INPUTS[:10]:
        link = chain.take(offset, raw)
        before.apply(b"one" if offset % 2 else b"two", offset, lambda _, raw=raw: (raw, ()), link)  # type: ignore[misc]
    again: Outbox[bytes] = Outbox(table, codec, lambda: 0)
    for key, raw in table.items():
        again.restore(key, raw)
    restarted = InputChain(again.newest, again.newest_link)
    links = {offset: restarted.take(offset, raw) for offset, raw in INPUTS[5:]}
    assert ({offset: whole[offset] for offset in range(29, 40)}, {b""}) == (
        {offset: link for offset, link in links.items() if link},
        {links[offset] for offset in range(25, 29)},
    )
