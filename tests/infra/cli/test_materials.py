"""Materials and senders in the ledger: what became of a file, and who sent an event, stand there and nowhere else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from story import PROVINCE, Events, Office, uscc

from schemas.ledger import EventEntry, decode_entry

ABSENT = "0" * 64


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path)
    made.init()
    return made


def entries(office: Office) -> list[EventEntry]:
    """The events in the ledger, as they were recorded."""
    with closing(sqlite3.connect(office.data / "zhengzhao.sqlite")) as db:
        rows = db.execute("SELECT entry FROM ledger WHERE kind = 'event' ORDER BY seq").fetchall()
    found = [decode_entry(row[0]) for row in rows]
    return [entry for entry in found if isinstance(entry, EventEntry)]


def put(office: Office, content: bytes) -> str:
    (office.folder / "file").write_bytes(content)
    uri: str = office.json("material", "put", "file")["uri"]
    return uri


def with_form(uri: str, **more: str) -> list[dict[str, str]]:
    letter = {"kind": "commitment-letter", "signed_on": "2018-09-10"}
    return [{"kind": "application-form", "uri": uri, **more}, letter, {"kind": "business-licence"}]


def test_what_became_of_a_file_is_recorded(office: Office) -> None:
    """Verified, mismatched (spoilt in the store, or of another hash than said), absent; decided so, replayed so."""
    good, spoilt = put(office, b"a form"), put(office, b"another form")
    stored = office.data / "objects" / "uploads" / spoilt.rpartition("/")[2]
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    e = Events()
    at = "2018-09-10T09:0{}:00+08:00"
    e.apply(at.format(1), "M-1", uscc(1), materials=with_form(good, sha256=good.rpartition("/")[2]))
    e.apply(at.format(2), "M-2", uscc(2), materials=with_form(spoilt))
    e.apply(at.format(3), "M-3", uscc(3), materials=with_form(f"store:uploads/{ABSENT}"))
    e.apply(at.format(4), "M-4", uscc(4), materials=with_form(good, sha256=ABSENT))
    office.tell(e)
    assert ["verified", "mismatched", "absent", "verified"] == [
        next(iter(entry.payload.files.values())) for entry in entries(office)
    ]
    cases = [office.case(f"M-{n}") for n in (1, 2, 3, 4)]
    assert ["issued", *["correction-requested"] * 3] == [case["state"] for case in cases]
    assert [[], *[["application-form"]] * 3] == [case["missing"] for case in cases]
    # a replay asks no store: the files may be gone
    shutil.rmtree(office.data / "objects" / "uploads")
    office.run("replay", "--into", "again", "--decide")


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/form.pdf",
        "file:///etc/passwd",
        "store:uploads/../keys",
        f"store:uploads/{ABSENT}/",
        f"STORE:uploads/{ABSENT}",
        f"store:licences/{ABSENT}",
        "store:uploads/" + "A" * 64,
        "",
    ],
)
def test_only_addresses_of_the_store(office: Office, uri: str) -> None:
    """Nothing is ever fetched from anywhere else."""
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", "U-1", uscc(1), materials=with_form(uri))
    (rejected,) = office.submit(e, code=1)["rejected"]
    assert "material put" in rejected["hint"]
    assert "materials[0].uri" in rejected["error"]


def test_who_sent_it_stands_in_the_ledger_and_in_the_case(office: Office) -> None:
    """Principal and kind of authentication; that proofs are not required is said where keys are listed."""
    e = Events()
    at = "2018-09-10T09:00:00+08:00"
    e.apply(at, "S-1", uscc(1))
    office.submit(e)
    office.run("agency", "keygen", "-o", "key.pem")
    office.run("agency", "add", PROVINCE, "key.pub.pem")
    office.run("agency", "list")
    assert "require_proof" in office.err
    (office.folder / "two.jsonl").write_text(json.dumps({**e.apply(at, "S-2", uscc(2)), "id": "two"}))
    office.run("submit", "two.jsonl", "--sign", "key.pem")
    office.run("drain")
    assert [(PROVINCE, "none"), (PROVINCE, "proof")] == [(x.principal, x.auth) for x in entries(office)]
    for case, auth in (("S-1", "none"), ("S-2", "proof")):
        shown = office.case(case)
        assert (shown["source"], shown["auth"]) == (PROVINCE, auth)
        assert f"{PROVINCE} ({auth})" in shown["history"][0]["detail"]
