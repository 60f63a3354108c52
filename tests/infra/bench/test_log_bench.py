"""The benchmark of the transparency log: every way runs, and what it says adds up."""

from __future__ import annotations

import json

import pytest

from infra.cli import main


def test_figures_of_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    """`bench --log` says runs, entries and heads of each way, and ordered rates; its ways on standard error."""
    assert 0 == main(["bench", "--log", "--licences", "1500"])
    out, said = capsys.readouterr()
    figures = json.loads(out)
    assert (1_500, 5) == (figures["entries"], figures["runs"])
    ways = {"one_head": (1_500, 1), "thousand_a_head": (1_500, 2), "one_a_head": (15, 15)}
    assert list(ways) == said.split()
    for name, (entries, heads) in ways.items():
        found = figures[name]
        assert (entries, heads) == (found["entries"], found["heads"])
        assert 0 < found["slowest"] <= found["entries_per_second"] <= found["fastest"]
