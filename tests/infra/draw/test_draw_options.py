"""Options of a draw that take several files."""

from __future__ import annotations

from infra.cli.output import repeated
from tests.infra.draw.conftest import Office


def test_spread_by_hand() -> None:
    """Further values behind an option belong to it; arguments, other options and their values stay."""
    assert ["P", "--r", "a", "--r", "b", "-o", "T"] == repeated(["P", "--r", "a", "b", "-o", "T"], {"--r"})
    assert ["P", "--r", "a", "--r", "b"] == repeated(["P", "--r", "a", "--r", "b"], {"--r"})
    assert ["--r", "a", "P"] == repeated(["--r", "a", "P"], {"--r"})
    assert ["P", "-o", "T", "x"] == repeated(["P", "-o", "T", "x"], {"--r"})
    assert ["P", "--r", "a", "--json", "--r", "b"] == repeated(
        ["P", "--r", "a", "--json", "--r", "b"], {"--r"}
    )


def test_several_files_behind_one_option(office: Office) -> None:
    """`--commitment A B` and `--reveal A B` are as good as the option twice."""
    promised = [office.commit(party) for party in ("regulator", "discipline")]
    announcement = office.path("A.json")
    office.ok(
        "draw", "announce", office.plan(), *office.registers, "--commitment", *promised, "-o", announcement
    )
    shown = [office.reveal(party, announcement) for party in ("regulator", "discipline")]
    office.ok("draw", "run", announcement, *office.registers, "--reveal", *shown, "-o", office.path("T.json"))
    assert office.failed(office.path("T.json")) == []
