"""The benchmark of the transparency log: every way runs, and what it says adds up."""

from __future__ import annotations

from infra.bench.licences import bench_log


def test_figures_of_each_way() -> None:
    """Runs are as many as asked for; entries and heads are those of each way; rates are ordered."""
    said: list[str] = []
    figures = bench_log(1_500, runs=2, say=said.append)
    assert (1_500, 2) == (figures["entries"], figures["runs"])
    ways = {"one_head": (1_500, 1), "thousand_a_head": (1_500, 2), "one_a_head": (100, 100)}
    assert list(ways) == said
    for name, (entries, heads) in ways.items():
        found = figures[name]
        assert (entries, heads) == (found["entries"], found["heads"])
        assert 0 < found["slowest"] <= found["entries_per_second"] <= found["fastest"]
