"""A draw from commitment to verification by the command, against the contract's letter."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import naive

from infra.draw.store import DrawStore
from schemas.canonical_json import canonical
from schemas.draw.documents import read_announcement
from tests.infra.draw.conftest import PLAN, Office
from verification import verify_draw

VERIFIER = Path(verify_draw.__file__)


def one_file(*files: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-I", VERIFIER, *files], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode


def test_transcript_is_the_contracts(office: Office) -> None:
    """Every field of a transcript is what the letter of the contract makes of the files."""
    transcript = json.loads(office.draw().read_bytes())
    plan, announcement = tomllib.loads(PLAN), transcript["announcement"]
    unsigned = canonical({k: v for k, v in announcement.items() if k != "signature"})
    digest = hashlib.sha256(unsigned).hexdigest()
    secrets = [json.loads(office.path(f"{p}.reveal").read_text())["secret"] for p in plan["seed"]["parties"]]
    seed = naive.sha(":".join([digest, *secrets]))
    found = naive.tickets(plan, seed, office.rows, set())
    size = {name: len(own) for name, own in found.items()}
    due = naive.counts(plan, size)
    by_id = {row["id"]: row for row in office.rows}
    drawn = {name: own[: due[name]] for name, own in found.items()}
    targets = [by_id[i] for own in drawn.values() for _, i in own]
    assignments, skipped = naive.visits(seed, targets, office.inspectors, office.conflicts, 2, "market")
    expected = {
        "announcement_digest": digest,
        "seed": seed,
        "strata": [
            {
                "name": n,
                "population": size[n],
                "count": due[n],
                "drawn": [{"id": i, "ticket": t} for t, i in own],
            }
            for n, own in drawn.items()
        ],
        "assignments": assignments,
        "skipped": skipped,
        "excluded": [],
    }
    assert expected == {key: transcript[key] for key in expected}
    assert skipped  # or the case shows nothing


def test_announcement_is_the_contracts(office: Office) -> None:
    """An announcement has the plan's keys as they stand, the registers, populations, counts, and its place."""
    announcement = json.loads(office.announce().read_bytes())
    plan = tomllib.loads(PLAN)
    assert {k: v for k, v in plan.items() if k != "strata"} == {
        k: announcement[k] for k in plan if k != "strata"
    }
    assert [
        {**plan["strata"][0], "population": 15, "drawn": 3},
        {**plan["strata"][1], "population": 45, "drawn": 9},
    ] == announcement["strata"]
    columns = list(office.rows[0])
    assert announcement["registers"]["targets"] == {
        "columns": columns,
        "count": 60,
        "digest": naive.digest(columns, office.rows),
    }
    assert (
        announcement["algorithm"],
        announcement["sequence"],
        announcement["previous"],
        announcement["earlier"],
    ) == (
        "zhengzhao-draw-1",
        1,
        "0" * 64,
        [],
    )
    assert [c["party"] for c in announcement["commitments"]] == plan["seed"]["parties"]
    assert office.path("A.json").read_bytes() == canonical(announcement)


def test_verified_in_three_ways(office: Office) -> None:
    """The command, the one-file verifier and the shell recipe agree that a draw is right."""
    transcript = office.draw()
    assert office.failed(transcript, "--chain", office.data / "draws") == []
    assert one_file(transcript, office.path("R.csv"), office.path("I.csv"), office.path("C.csv")) == 0
    assert one_file(transcript, office.path("R.csv")) == 0


def test_unchecked_names_what_the_files_cannot_show(office: Office) -> None:
    """Without inspectors and chain, assignments and order stay unchecked, and the verdict is still given."""
    transcript = office.draw()
    out = office.ok("draw", "verify", transcript, "--register", office.path("R.csv"), "--json")
    report = json.loads(out)
    assert (report["verdict"], report["unchecked"]) == (
        "valid",
        ["assignments", "earlier", "order", "parties", "publication", "replacements"],
    )


def test_same_files_give_same_bytes(offices: Callable[[str], Office]) -> None:
    """Two offices with the same keys, files and secrets write the same announcement, byte for byte."""
    first, second = offices("first"), offices("second")
    promised = [first.commit(party) for party in ("regulator", "discipline")]
    files = []
    for office in (first, second):
        words = ["draw", "announce", office.plan(), *office.registers]
        for path in promised:
            words += ["--commitment", path]
        office.ok(*words, "-o", office.path("A.json"))
        files.append(office.path("A.json").read_bytes())
    assert files[0] == files[1]


def test_parquet_draws_as_csv(office: Office) -> None:
    """A Parquet register has the digest of the CSV with the same rows, and verifies with either."""
    import polars as pl

    transcript = office.draw()
    frame = pl.read_csv(office.path("R.csv"), infer_schema=False, empty_string_is_null=False)
    frame.with_columns(pl.col("division").cast(pl.Int32)).sample(
        fraction=1, shuffle=True, seed=1
    ).write_parquet(office.path("R.parquet"))
    code, report = office.verify(transcript, "--register", office.path("R.parquet"))
    assert (code, report["verdict"]) == (0, "valid")


def test_order_of_rows_changes_nothing(offices: Callable[[str], Office]) -> None:
    """Permuting all registers changes no byte of announcement and transcript (but reveals are signed alike)."""
    first, second = offices("first"), offices("second")
    second.rows.reverse()
    second.inspectors.sort(key=lambda row: row["name"], reverse=True)
    second.conflicts.reverse()
    second.write_all()
    transcript = first.draw()
    out = second.ok(
        "draw", "verify", transcript, *second.registers, "--json", "--trust", first.data / "trust"
    )
    assert json.loads(out)["verdict"] == "valid"


def test_lookup_tells_stratum_chance_and_rank(office: Office) -> None:
    """A firm learns its stratum, its chance, its ticket and its rank; an unknown one is told so (exit 1)."""
    transcript = office.draw()
    drawn = json.loads(transcript.read_bytes())["strata"][0]["drawn"]
    out = office.ok(
        "draw", "lookup", transcript, "--register", office.path("R.csv"), "--id", drawn[1]["id"], "--json"
    )
    told = json.loads(out)
    assert (told["stratum"], told["ticket"], told["rank"], told["drawn"]) == (
        "auction",
        drawn[1]["ticket"],
        2,
        True,
    )
    assert 0 < told["chance"] < 1
    assert office("draw", "lookup", transcript, "--register", office.path("R.csv"), "--id", "T999")[0] == 1


def test_drawn_again_gives_the_same_bytes(office: Office) -> None:
    """Running an announcement again with the same reveals writes the same transcript."""
    announcement = office.announce()
    words = office.run_words(announcement)
    office.ok(*words)
    before = office.path("T.json").read_bytes()
    office.path("T.json").unlink()
    office.ok(*words)
    assert before == office.path("T.json").read_bytes()


def test_public_number(office: Office) -> None:
    """Published numbers enter the seed in their one form; they are required, and stay unchecked."""
    soon, later = ((datetime.now(UTC) + timedelta(seconds=n)).isoformat(timespec="seconds") for n in (12, 14))
    text = PLAN.replace("2018-06-30", "2998-06-30") + (
        f'reveal_by = "{soon}"\npublic = {{ source = "双色球 2018035", at = "{later}" }}\n'
    )
    announcement = office.announce(plan=office.plan(text))
    words = office.run_words(announcement)
    time.sleep(max(0.0, (datetime.fromisoformat(later) - datetime.now(UTC)).total_seconds()) + 1)
    assert office(*words)[0] == 1
    assert office(*words, "--public", "03 09 11 红")[0] == 1
    office.ok(*words, "--public", "11 09 3 + 07")
    code, report = office.verify(office.path("T.json"))
    assert (code, report["verdict"], "public" in report["unchecked"]) == (0, "valid", True)
    transcript = json.loads(office.path("T.json").read_bytes())
    secrets = [reveal["secret"] for reveal in transcript["reveals"]]
    assert transcript["public"] == "3.9.11./7./"
    assert transcript["seed"] == naive.sha(
        ":".join([transcript["announcement_digest"], *secrets, "3.9.11./7./"])
    )
    assert one_file(office.path("T.json"), office.path("R.csv")) == 0


def test_public_number_of_the_future(office: Office) -> None:
    """Before its time a public number cannot be used, whatever it is said to be."""
    text = PLAN.replace("2018-06-30", "2999-06-30") + (
        'reveal_by = "2998-03-29T18:00:00+08:00"\npublic = { source = "x", at = "2998-03-29T21:15:00+08:00" }\n'
    )
    announcement = office.announce(plan=office.plan(text))
    code, _, err = office(*office.run_words(announcement, more=["--public", "7"]))
    assert code == 1
    assert "does not exist before" in err


def test_public_number_without_plan(office: Office) -> None:
    """A public number where the plan has none is refused."""
    assert office(*office.run_words(office.announce(), more=["--public", "7"]))[0] == 1


def test_who_was_drawn_stays_out_for_twelve_months(office: Office) -> None:
    """Targets of an earlier draw of the item are excluded with its digest; after twelve months no more."""
    earlier = office.draw()
    reason = f"drawn in {json.loads(earlier.read_bytes())['announcement_digest']}"
    drawn = {d["id"] for s in json.loads(earlier.read_bytes())["strata"] for d in s["drawn"]}
    for plan, period, out in (
        ("QH-2", '["2019-03-31", "2019-06-30"]', True),
        ("QH-3", '["2019-04-01", "2019-06-30"]', False),
    ):
        text = PLAN.replace("QH-1", plan).replace('["2018-04-01", "2018-06-30"]', period)
        text = text.replace('ratio = "0.20"', 'ratio = "0.1"').replace("count = 9", "count = 2")
        later = office.draw(plan, office.plan(text, f"{plan}.toml"), ["--earlier", earlier])
        excluded = json.loads(later.read_bytes())["excluded"]
        assert (drawn if out else set()) == {e["id"] for e in excluded if e["reason"] == reason}
        assert [e["id"] for e in excluded] == sorted(e["id"] for e in excluded)
        assert office.failed(later, "--chain", office.data / "draws") == []
        assert {"earlier", "order"} <= set(office.verify(later)[1]["unchecked"])
        assert one_file(later, office.path("R.csv"), office.path("I.csv"), office.path("C.csv")) == 0


def test_one_file_verifier_is_short_and_alone() -> None:
    """The verifier has at most 225 lines and imports the standard library only."""
    text = VERIFIER.read_text()
    imports = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert len(text.splitlines()) <= 225
    assert imports <= set(sys.stdlib_module_names)


def test_verifier_is_written_by_the_command(office: Office) -> None:
    """`draw verifier` writes the file that the tests run."""
    office.ok("draw", "verifier", "-o", office.path("v.py"))
    assert office.path("v.py").read_bytes() == VERIFIER.read_bytes()


def test_in_no_stratum(office: Office) -> None:
    """A target that fits no stratum is excluded, and the reason says so."""
    transcript = office.draw(plan=office.plan(PLAN.replace("where = {}", 'where = { division = "630102" }')))
    excluded = json.loads(transcript.read_bytes())["excluded"]
    expected = [
        {"id": row["id"], "reason": "in no stratum"}
        for row in office.rows
        if row["category"] != "auction" and row["division"] != "630102"
    ]
    assert expected == excluded
    assert office.failed(transcript) == []


def test_a_row_is_proved_without_the_register(office: Office) -> None:
    """A salted Merkle root stands in the announcement; a row's proof leads to it and shows if the target was drawn."""
    transcript = office.draw(plan=office.plan(PLAN.replace("[[strata]]", "row_proofs = true\n[[strata]]", 1)))
    read = json.loads(transcript.read_bytes())
    drawn = {d["id"] for stratum in read["strata"] for d in stratum["drawn"]}
    lookup: list[str | Path] = ["draw", "lookup", transcript, "--json"]
    for n in (0, 1, 31, 58, 59):
        target = office.rows[n]["id"]
        office.ok(*lookup, "--register", office.path("R.csv"), "--id", target, "-o", office.path("p.json"))
        found = json.loads(office.ok(*lookup, "--proof", office.path("p.json")))
        assert (target, office.rows[n]["name"], target in drawn) == (
            found["id"],
            found["row"]["name"],
            found["drawn"],
        )
    code, report = office.verify(transcript)
    assert (code, "targets-root") == (
        0,
        next(c["name"] for c in report["checks"] if c["name"] == "targets-root"),
    )
    proof = json.loads(office.path("p.json").read_bytes())
    for changed in (
        {"row": [proof["row"][0], "x", *proof["row"][2:]]},
        {"salt": "0" * 64},
        {"path": proof["path"][1:]},
        {"columns": ["x", *proof["columns"][1:]]},
        {"columns": [*proof["columns"][1::-1], *proof["columns"][2:]]},
    ):
        office.path("q.json").write_text(json.dumps(proof | changed))
        assert office(*lookup, "--proof", office.path("q.json"))[0] == 1
    for wrong in (["--proof", office.path("p.json"), "--id", target], ["--register", office.path("R.csv")]):
        assert office(*lookup, *wrong)[0] == 2
    lines = sorted("\t".join(row.values()) for row in office.rows)
    salt = next((office.data / "draws").rglob("*.salt")).read_text()
    nodes = [naive.sha(f"leaf:{naive.sha(f'salt:{salt}:{line}')}:{line}") for line in lines]
    while len(nodes) > 1:
        pairs = [nodes[i : i + 2] for i in range(0, len(nodes), 2)]
        nodes = [naive.sha("node:" + ":".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    assert nodes == [read["announcement"]["targets_root"]]
    plain = office.draw("2", office.plan(PLAN.replace("QH-1", "QH-2"), "p2.toml"))
    assert "targets_root" not in json.loads(plain.read_bytes())["announcement"]
    elsewhere = office.path("elsewhere")
    assert DrawStore(elsewhere).salt(read_announcement(office.path("A.json").read_bytes())) is None
    assert not elsewhere.exists()
    assert office(*lookup[:2], plain, "--proof", office.path("p.json"))[0] == 1
