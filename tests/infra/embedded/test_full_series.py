"""A full series stops with an alarm: the certificate of what got no number is overdue in the end."""

from pathlib import Path

from story import Events, Office, uscc

ITEM = Path(__file__).resolve().parents[3] / "schemas" / "items" / "industrial-product-licence.toml"


def test_the_tenth_of_nine(tmp_path: Path) -> None:
    """Its holder's events go on; the certificate's limit alarms."""
    office = Office(tmp_path)
    folder = office.data / "items"
    folder.mkdir(parents=True)
    text = ITEM.read_text("utf-8")
    assert "digits = 5" in text
    (folder / "one-digit.toml").write_text(text.replace("digits = 5", "digits = 1"), "utf-8")
    (office.data / "settings.toml").write_text('items = ["items"]\n')
    office.init()
    e = Events()
    for n in range(1, 11):
        e.apply(f"2018-03-01T10:00:{n:02d}+08:00", f"N-{n}", uscc(n))
    e.add(
        "licence.suspended", "2018-03-20T10:00:00+08:00",
        {"granted_by": "N-10", "holder_id": uscc(10), "ground": "g", "decided_on": "2018-03-20", "until": "2018-12-31"},
    )  # fmt: skip
    office.tell(e)
    assert [row["place"] for row in office.rows("letters", "list")] == ["number"]
    (late,) = office.rows("case", "list", "--overdue")
    assert (late["application_id"], late["state"], late["overdue"]) == ("N-10", "granted", ["certificate"])
    (row,) = office.json("holder", "show", uscc(10))["licences"]
    assert (row["number"], row["status"]) == (None, "suspended")
    office.run("letters", "retry")
    office.run("drain")
    assert len(office.rows("letters", "list")) == 1  # nothing was mended
    told = [h["event"] for h in office.case("N-10")["history"]]
    assert (told.count("issue-failed"), told.count("overdue")) == (1, 1)
    assert office.json("replay", "--into", tmp_path / "again", "--decide")["findings"] == []
    # A letter that nobody will retry is closed with a reason; it is not listed again.
    (letter,) = office.rows("letters", "list")
    number = str(letter["letter"])
    office.run("letters", "close", number, "--reason", "  ", code=2)
    assert office.json("letters", "close", number, "--reason", "号段已满")["closed"] == letter["letter"]
    assert office.rows("letters", "list") == []
    office.run("letters", "close", number, "--reason", "again", code=1)
    assert office.json("letters", "retry")["returned"] == 0
