"""What keeps a draw from being steered: known parties, true announcements, public values, proofs, voids, earlier draws."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import naive
import pytest
from beacon import DOMAIN, QUICKNET, beacon, install, signature
from browser_draws import in_node
from logs import ORIGIN, NearWitness, TestLog, licences, seed
from py_ecc.bls.g2_primitives import pubkey_to_G1, signature_to_G2
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.optimized_bls12_381 import G2, pairing
from timestamps import TimestampAuthority

import schemas
from infra.transparency.sequencer import seeded_signer
from issuance import keys
from issuance.certificates import Role
from schemas.calendar import CHINA
from schemas.canonical_json import canonical
from schemas.draw.documents import read_announcement
from schemas.draw.public import canonical_numbers
from schemas.errors import DrawError, TrustError
from schemas.transparency.entries import AnnouncementEntry
from schemas.trust import ANY_AUTHORITY, load_trust
from tests.infra.draw.conftest import PLAN, Office
from verification.publication import witnessed_at

FUTURE = PLAN.replace('["2018-04-01", "2018-06-30"]', '["2018-04-01", "2998-06-30"]')


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def key_pair(office: Office, name: str) -> tuple[Path, Path]:
    """A private and a public key, made by openssl."""
    key, public = office.path(f"{name}-KEY.pem"), office.path(f"{name}.pem")
    subprocess.run(
        ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True
    )
    subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    return key, public


def announce(office: Office, promised: list[Path], plan: str = PLAN, *more: str | Path) -> tuple[int, str]:
    words: list[str | Path] = ["draw", "announce", office.plan(plan), *office.registers]
    for path in promised:
        words += ["--commitment", path]
    code, _, err = office(*words, *more, "-o", office.path("A.json"))
    return code, err


def drawn(office: Office, *more: str | Path) -> tuple[int, str]:
    words: list[str | Path] = ["draw", "run", office.path("A.json"), *office.registers]
    for party in ("regulator", "discipline"):
        words += ["--reveal", office.path(f"{party}.reveal")]
    code, _, err = office(*words, *more, "-o", office.path("T.json"))
    return code, err


def unchecked(office: Office, *more: str | Path) -> list[str]:
    code, report = office.verify(office.path("T.json"), *more)
    assert (code, report["verdict"]) == (0, "valid"), report
    return list(report["unchecked"])


# --- parties


def test_registered_party_uses_its_key(office: Office) -> None:
    """A registered party's commitment needs its registered key; with both registered, `parties` is checked."""
    key, public = key_pair(office, "R")
    other, other_public = key_pair(office, "D")
    office.ok("draw", "party", "add", "regulator", public)
    office.ok("draw", "party", "add", "discipline", other_public)
    rows = [json.loads(line) for line in office.ok("draw", "party", "list", "--json").splitlines()]
    assert [("regulator", "party"), ("discipline", "party")] == [(row["name"], row["use"]) for row in rows]
    fresh = [office.commit("regulator", "x"), office.commit("discipline", "x")]
    assert announce(office, fresh)[0] == 1
    good = [office.commit("regulator", "", "--key", key), office.commit("discipline", "", "--key", other)]
    assert announce(office, good) == (0, "")
    for party in ("regulator", "discipline"):
        office.reveal(party, office.path("A.json"))
    assert drawn(office) == (0, "")
    assert ["publication"] == unchecked(office, "--chain", office.data / "draws")
    office.ok("draw", "party", "remove", "regulator")
    assert ["publication"] == unchecked(office, "--chain", office.data / "draws")
    assert office("draw", "party", "remove", "regulator")[0] == 1


def test_another_key_of_a_registered_party_fails(office: Office) -> None:
    """`verify` refuses a transcript whose commitment has another key than the registered one."""
    office.draw(plan=office.plan(FUTURE))
    assert "parties" in unchecked(office)
    office.ok("draw", "party", "add", "regulator", key_pair(office, "R")[1])
    assert ["parties"] == office.failed(office.path("T.json"))


def test_one_key_for_two_parties(office: Office) -> None:
    """Two parties with one key, a supervisor's or an authority's key as a party's: nothing is announced."""
    key, public = key_pair(office, "K")
    same = [office.commit(party, "", "--key", key) for party in ("regulator", "discipline")]
    assert announce(office, same)[0] == 1
    office.ok("draw", "party", "add", "inspectorate", public, "--supervisor")
    mixed = [same[0], office.commit("discipline", "2")]
    assert announce(office, mixed)[0] == 1
    own = [
        office.commit("regulator", "3", "--deposit", public),
        office.commit("discipline", "3", "--key", key),
    ]
    assert announce(office, own)[0] == 1
    assert not (office.data / "draws").exists()


def test_private_keys_and_rubbish_are_no_parties(office: Office) -> None:
    """`party add` takes public keys alone, and a key once."""
    key, public = key_pair(office, "K")
    assert office("draw", "party", "add", "a", key)[0] == 2
    assert office("draw", "party", "add", "a", office.path("R.csv"))[0] == 2
    office.ok("draw", "party", "add", "a", public)
    office.ok("draw", "party", "add", "a", public)
    assert office("draw", "party", "add", "b", public)[0] == 2
    assert office("keys", "list")[0] == 0
    assert office("keys", "rotate", "--use", "draw")[0] == 0


def test_deposits_may_be_required(office: Office) -> None:
    """A plan with `deposits = true` refuses commitments without one."""
    plan = PLAN + "deposits = true\n"
    public = key_pair(office, "S")[1]
    promised = [office.commit("regulator", "", "--deposit", public), office.commit("discipline")]
    assert announce(office, promised, plan)[0] == 1
    promised[1] = office.commit("discipline", "2", "--deposit", public)
    assert announce(office, promised, plan)[0] == 0


# --- reveals


def test_reveal_needs_a_signed_announcement(office: Office) -> None:
    """An announcement with a made-up signature opens nothing, and SECRET.json stays as it was."""
    announcement = office.announce()
    forged = json.loads(announcement.read_bytes())
    forged["title"] = "伪造"
    office.path("F.json").write_bytes(canonical(forged))
    before = office.path("regulator.secret").read_bytes()
    code, out, _ = office(
        "draw", "reveal", office.path("regulator.secret"), "--announcement", office.path("F.json")
    )
    assert (code, out, before) == (1, "", office.path("regulator.secret").read_bytes())
    words = ["draw", "reveal", office.path("regulator.secret"), "--announcement", announcement]
    assert office(*words, "--trust", office.path("nowhere"))[0] == 2
    assert office(*words)[0] == 0


def test_reveal_after_its_time(office: Office) -> None:
    """After `reveal_by` nothing is revealed, nor opened."""
    public = key_pair(office, "S")[1]
    plan = FUTURE + f'reveal_by = "{moment(10)}"\n'
    promised = [office.commit(p, "", "--deposit", public) for p in ("regulator", "discipline")]
    assert announce(office, promised, plan) == (0, "")
    time.sleep(11)
    code, out, _ = office(
        "draw", "reveal", office.path("regulator.secret"), "--announcement", office.path("A.json")
    )
    assert (code, out) == (1, "")
    words = ["draw", "open", office.path("A.json"), "--party", "regulator", "--key", office.path("S-KEY.pem")]
    assert office(*words)[:2] == (1, "")


def test_fork_is_refused(offices: Any) -> None:
    """Two data folders with the same keys both announce a number 1: a party signs one of them."""
    first, second = offices("first"), offices("second")
    one = first.announce()
    two = second.announce("a", second.plan(PLAN.replace("抽查", "另一份"), "1.toml"))
    three = second.announce("b", second.plan(PLAN.replace("QH-1", "QH-2"), "2.toml"))
    memory = ("--memory", first.path("memory.json"))
    first.ok("draw", "reveal", first.path("regulator.secret"), "--announcement", one, *memory)
    for tag, announcement in (("a", two), ("b", three)):
        words = ("draw", "reveal", second.path(f"regulator{tag}.secret"), "--announcement", announcement)
        code, out, err = second(*words, *memory)
        assert (code, out, "fork" in err) == (1, "", True)
    later = first.announce("2", first.plan(PLAN.replace("QH-1", "QH-2"), "2.toml"))
    first.ok("draw", "reveal", first.path("regulator2.secret"), "--announcement", later, *memory)


# --- public values


@pytest.mark.parametrize(("round_", "signed"), QUICKNET.items())
def test_quicknet_rounds(office: Office, round_: int, signed: str) -> None:
    """Rounds of the public network verify, and no others (and another library agrees: `tests/support/beacon.py`)."""
    from schemas.draw.plan import PublicSource
    from schemas.draw.public import read_value, seed_part

    trust = load_trust(office.data / "trust")
    source = PublicSource(beacon="quicknet", round=round_)
    value = read_value(signed, source, trust)
    assert seed_part(value) == hashlib.sha256(bytes.fromhex(signed)).hexdigest()
    for wrong in (
        signed[:-1] + "0",
        signed[:-2],
        "00" * 48,
        "",
        "zz" * 48,
        QUICKNET[1000] if round_ != 1000 else "aa",
    ):
        with pytest.raises(DrawError):
            read_value(wrong, source, trust)


def test_another_library_verifies_quicknet() -> None:
    """`py_ecc` finds the same round of quicknet good: e(signature, G2) = e(H(round), public key)."""
    known = json.loads((Path(schemas.__file__).parent / "beacons.json").read_text())["quicknet"]
    key = signature_to_G2(bytes.fromhex(known["public_key"]))
    point = pubkey_to_G1(bytes.fromhex(QUICKNET[1000]))
    hashed = hash_to_G1(hashlib.sha256((1000).to_bytes(8)).digest(), DOMAIN, hashlib.sha256)
    assert pairing(G2, point) == pairing(key, hashed)


def test_deposit_that_is_not_the_partys(office: Office) -> None:
    """An announcement with a deposit that the party did not make gets no reveal."""
    public = key_pair(office, "S")[1]
    promised = [office.commit("regulator"), office.commit("discipline")]
    forged = json.loads(promised[0].read_text())
    other = json.loads(office.commit("regulator", "x", "--deposit", public).read_text())
    promised[0].write_text(json.dumps(forged | {"deposit": other["deposit"]}))
    assert announce(office, promised)[0] == 0
    words = ["draw", "reveal", office.path("regulator.secret"), "--announcement", office.path("A.json")]
    assert office(*words)[:2] == (1, "")


def test_page_names_the_round(office: Office) -> None:
    """The page of an announcement names the beacon and its round."""
    promised = [office.commit(party) for party in ("regulator", "discipline")]
    plan = FUTURE + (
        'reveal_by = "2100-01-01T00:00:00+08:00"\npublic = { beacon = "quicknet", round = 2000000000 }\n'
    )
    assert announce(office, promised, plan, "--page", office.path("A.html"))[0] == 0
    page = office.path("A.html").read_text()
    assert "quicknet 第 2000000000 轮" in page
    assert "UNSET" not in page


def again_in_a_browser(office: Office, transcript: dict[str, Any]) -> None:
    """The modules of the browser leave nothing unchecked either, and refuse another round and proofs of something else."""
    names = {"targets": "R.csv", "inspectors": "I.csv", "conflicts": "C.csv"}
    files: dict[str, Any] = {kind: office.path(name).read_bytes() for kind, name in names.items()}
    files["papers"] = [path.read_bytes() for path in sorted((office.data / "draws").rglob("*.json"))]
    round_ = transcript["public"]["round"]
    other = {"public": transcript["public"] | {"signature": signature(round_ - 1)}}
    late, stamp = transcript["proofs"]
    whole = {"true": {}, "round": other, "late": {"proofs": [late]}, "torn": {"proofs": [stamp[:-4]]}}
    rows = {name: {**files, "transcript": canonical(transcript | more)} for name, more in whole.items()}
    found = in_node(office.folder, rows)
    assert {"verdict": "valid", "unchecked": [], "failed": []} == found["true"]
    assert "public" in found["round"]["failed"]
    assert ["publication" in found[name]["failed"] for name in ("late", "torn")] == [True, True]


def test_beacon_timestamp_and_parties_leave_nothing_unchecked(office: Office) -> None:
    """A draw with a beacon's round, a timestamp and registered parties verifies with an empty `unchecked`."""
    authority = TimestampAuthority(office.path("tsa"))
    office.ok("draw", "party", "add", "TSA", authority.certificate, "--timestamp")
    promised = []
    for party in ("regulator", "discipline"):
        key, public = key_pair(office, party[:3])
        office.ok("draw", "party", "add", party, public)
        promised.append(office.commit(party, "", "--key", key))
    genesis = install(office.data / "trust")
    round_ = int(time.time()) - genesis + 16
    plan = FUTURE + f'reveal_by = "{moment(12)}"\npublic = {{ beacon = "test", round = {round_} }}\n'
    assert announce(office, promised, plan) == (0, "")
    for party in ("regulator", "discipline"):
        office.reveal(party, office.path("A.json"))
    digest = json.loads(office.ok("draw", "show", office.path("A.json"), "--json"))["announcement_digest"]
    stamp = authority.stamp(digest, office.path("stamp.tsr"))
    office.path("round.json").write_text(json.dumps({"round": round_, "signature": signature(round_)}))
    assert drawn(office, "--public", office.path("round.json"))[0] == 1  # the round's time has not come
    time.sleep(max(0.0, genesis + round_ - 1 - time.time()) + 1.2)
    assert drawn(office, "--public", signature(round_ - 1))[0] == 1
    assert drawn(office)[0] == 1
    late = authority.stamp(digest, office.path("late.tst"), bare=True)
    assert drawn(office, "--public", office.path("round.json"), "--proof", late, "--proof", stamp) == (0, "")
    transcript = json.loads(office.path("T.json").read_bytes())
    assert transcript["public"] == {"beacon": "test", "round": round_, "signature": signature(round_)}
    secrets = [reveal["secret"] for reveal in transcript["reveals"]]
    last = hashlib.sha256(bytes.fromhex(signature(round_))).hexdigest()
    assert transcript["seed"] == naive.sha(":".join([digest, *secrets, last]))
    assert [] == unchecked(office, "--chain", office.data / "draws")
    again_in_a_browser(office, transcript)
    from tests.infra.draw.test_draw_whole import one_file

    assert (
        one_file(office.path("T.json"), office.path("R.csv"), office.path("I.csv"), office.path("C.csv")) == 0
    )


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("5 12 13 18 30 31 + 16", "5.12.13.18.30.31./16./"),
        ("31,30, 18 13 12 05+016", "5.12.13.18.30.31./16./"),
        ("5.12.13.18.30.31./16./", "5.12.13.18.30.31./16./"),
        ("0", "0./"),
    ],
)
def test_numbers_have_one_form(text: str, form: str) -> None:
    """Every spelling of a public result has the one form of RFC 3797."""
    assert form == canonical_numbers(text)


@pytest.mark.parametrize(
    "text", ["", " ", "5\t12", "5\n", "5 \u202e12", "双色球 5", "5 +", "+ 5", "5.12", "-1", "５"]
)
def test_other_texts_are_no_numbers(text: str) -> None:
    """What is no number is refused."""
    with pytest.raises(DrawError):
        canonical_numbers(text)


@pytest.mark.parametrize(
    "seed",
    [
        'reveal_by = "2020-03-29T18:00:00+08:00"',
        'reveal_by = "2020-03-29T18:00:00+08:00"\npublic = { source = "x", at = "2020-03-29T21:15:00+08:00" }',
        'reveal_by = "2997-03-29T18:00:00+08:00"\npublic = { source = "x", at = "2999-03-29T21:15:00+08:00" }',
        'reveal_by = "2997-03-29T18:00:00+08:00"\npublic = { beacon = "quicknet", round = 1000 }',
        'reveal_by = "2997-03-29T18:00:00+08:00"\npublic = { beacon = "other", round = 1000 }',
        'reveal_by = "2997-03-29T18:00:00+08:00"\npublic = { beacon = "quicknet", round = 1, source = "x", at = "y" }',
        'public = { beacon = "quicknet", round = 40000000 }',
    ],
)
def test_times_hold(office: Office, seed: str) -> None:
    """Moments of the past, after the period, or in the wrong order: nothing is announced."""
    promised = [office.commit(party) for party in ("regulator", "discipline")]
    assert announce(office, promised, FUTURE + seed + "\n")[0] == 1


def test_proof_of_the_log(office: Office, tmp_path: Path) -> None:
    """A proof of the transparency log shows its announcement by the time at which a witness had signed; no other."""
    announcement = read_announcement(office.announce("1").read_bytes())
    other = read_announcement(
        office.announce("2", office.plan(PLAN.replace("QH-1", "QH-2"), "2.toml")).read_bytes()
    )
    witness = NearWitness(tmp_path / "w", "witness.example.cn/1", seeded_signer(ORIGIN, seed("log")).log_key)
    log = TestLog(tmp_path, [witness], needed=1)
    entry = AnnouncementEntry(announcement.plan.authority, 1, announcement.digest)
    log.add([*licences(20), entry])
    proof = log.writer.prove(entry.id).to_bytes()
    assert 1_700_000_000 == witnessed_at(proof, announcement, log.policy).timestamp()
    for wrong, policy in (
        (other, log.policy),
        (announcement, msgspec.structs.replace(log.policy, witnesses=())),
    ):
        with pytest.raises(DrawError):
            witnessed_at(proof, wrong, policy)


# --- voids


def test_void_after_a_reveal_shows_the_discarded_draw(office: Office) -> None:
    """A void after reveals carries them all; `verify --chain` computes what was discarded, and fails without them."""
    announcement = office.announce(plan=office.plan(FUTURE))
    shown = [office.reveal(party, announcement) for party in ("regulator", "discipline")]
    code, _, _ = office("draw", "void", announcement, "--reason", "不满意", "--reveal", shown[0])
    assert code == 1
    words = ["draw", "void", announcement, "--reason", "不满意", "--reveal", shown[0], "--reveal", shown[1]]
    office.ok(*words, "-o", office.path("V.json"))
    assert len(json.loads(office.path("V.json").read_bytes())["reveals"]) == 2
    office.draw("2", office.plan(FUTURE))
    code, report = office.verify(office.path("T2.json"), "--chain", office.data / "draws")
    assert (code, report["verdict"]) == (0, "valid")
    (discarded,) = [check["detail"] for check in report["checks"] if check["name"] == "discarded"]
    assert "would have drawn T" in discarded


def test_void_that_hides_its_reveals(office: Office) -> None:
    """A void without reveals fails `order` where a reveal of its announcement is known."""
    announcement = office.announce(plan=office.plan(FUTURE))
    shown = office.reveal("regulator", announcement)
    office.ok("draw", "void", announcement, "--reason", "不满意")
    office.draw("2", office.plan(FUTURE))
    assert [] == office.failed(office.path("T2.json"), "--chain", office.data / "draws")
    shutil.copy(shown, office.data / "draws" / "reveal.json")
    assert ["order"] == office.failed(office.path("T2.json"), "--chain", office.data / "draws")


def test_void_before_its_public_value(office: Office) -> None:
    """After the public value's time a void without reveals fails, unless a timestamp shows it to be older."""
    authority = TimestampAuthority(office.path("tsa"))
    office.ok("draw", "party", "add", "TSA", authority.certificate, "--timestamp")
    plan = FUTURE + f'reveal_by = "{moment(10)}"\npublic = {{ source = "彩票", at = "{moment(14)}" }}\n'
    end = time.time() + 14.5
    announcement = office.announce(plan=office.plan(plan))
    office.ok("draw", "void", announcement, "--reason", "名录有误", "-o", office.path("V.json"))
    stamp = authority.stamp(naive.sha(office.path("V.json").read_text()), office.path("V.tsr"))
    office.draw("2", office.plan(FUTURE))
    time.sleep(max(0.0, end - time.time()))
    chain = office.data / "draws"
    assert ["order"] == office.failed(office.path("T2.json"), "--chain", chain)
    shutil.copy(stamp, chain / "V.tsr")
    assert [] == office.failed(office.path("T2.json"), "--chain", chain)


# --- the same again, strata, look-alikes


def test_earlier_draws_are_listed_by_themselves(office: Office) -> None:
    """The next draw of the item leaves out who was drawn, though nobody names the earlier transcript."""
    small = PLAN.replace('ratio = "0.20"', 'ratio = "0.1"').replace("count = 9", "count = 3")
    first = office.draw("1", office.plan(small))
    second = office.draw("2", office.plan(small.replace("QH-1", "QH-2"), "2.toml"))
    announced = json.loads(second.read_bytes())["announcement"]
    assert [naive.sha(first.read_text())] == announced["earlier"]
    before = {d["id"] for s in json.loads(first.read_bytes())["strata"] for d in s["drawn"]}
    again = {d["id"] for s in json.loads(second.read_bytes())["strata"] for d in s["drawn"]}
    assert not before & again
    assert [] == office.failed(second, "--chain", office.data / "draws")


def test_missing_earlier_draw_fails(office: Office) -> None:
    """`verify --chain` fails (`earlier`) for an announcement that does not name an earlier draw of its item."""
    small = PLAN.replace('ratio = "0.20"', 'ratio = "0.1"').replace("count = 9", "count = 3")
    first = office.announce("1", office.plan(small))
    office.announce("2", office.plan(small.replace("QH-1", "QH-2"), "2.toml"))
    office.ok(*office.run_words(first, "1"))
    office.ok(*office.run_words(office.path("A2.json"), "2"))
    assert ["earlier"] == office.failed(office.path("T2.json"), "--chain", office.data / "draws")


def test_smallest_choice_is_announced_and_checked(office: Office) -> None:
    """The announcement has the fewest inspectors that any target can choose from."""
    announcement = json.loads(office.announce().read_bytes())
    competent = [
        sum(
            i["division"] in (row["division"], row["division"][:4] + "00", "630000")
            and not any(
                c["inspector_id"] == i["id"] and c["target_id"] == row["id"] for c in office.conflicts
            )
            for i in office.inspectors
        )
        for row in office.rows
    ]
    assert min(competent) == announcement["smallest_choice"]


def test_stratum_of_one(office: Office) -> None:
    """A stratum of one target is refused unless the plan says `single = true`."""
    office.rows[0]["category"] = "rare"
    office.write_all()
    plan = PLAN.replace(
        "[[strata]]\n", '[[strata]]\nname = "one"\nwhere = { category = "rare" }\ncount = 1\n[[strata]]\n', 1
    )
    promised = [office.commit(party) for party in ("regulator", "discipline")]
    assert announce(office, promised, plan)[0] == 1
    assert announce(office, promised, "single = true\n" + plan)[0] == 0


@pytest.mark.parametrize("other", ["Ｔ000", "T000\u200b", "T000\u3164", "T 000"])
def test_look_alike_ids(office: Office, other: str) -> None:
    """Two ids of a register that look alike are refused."""
    office.rows[7]["id"] = other
    office.conflicts = []
    office.write("R.csv", office.rows)
    code, _, err = office("register", "show", office.path("R.csv"))
    assert (code, "look alike" in err) == (1, True)


def test_two_departments(office: Office) -> None:
    """A joint draw takes of each department as many as it says, by loads within it; three verifiers agree."""
    plan = PLAN.replace(
        'qualification = "market"\n',
        'departments = [{ name = "d1" }, { name = "d0", inspectors = 2 }]\n',
    ).replace("inspectors_per_target = 2", "inspectors_per_target = 3")
    office.conflicts = office.conflicts[:5]
    office.inspectors = [i | {"division": "630000"} for i in office.inspectors]
    office.write_all()
    transcript = office.draw(plan=office.plan(plan))
    department = {i["id"]: i["department"] for i in office.inspectors}
    visits = json.loads(transcript.read_bytes())["assignments"]
    assert {("d1", "d0", "d0")} == {tuple(department[i] for i in a["inspectors"]) for a in visits}
    loads = [sum(i in a["inspectors"] for a in visits) for i in department if department[i] == "d0"]
    assert max(loads) - min(loads) <= 1
    assert [] == office.failed(transcript, "--chain", office.data / "draws")
    from tests.infra.draw.test_draw_whole import one_file

    assert one_file(transcript, office.path("R.csv"), office.path("I.csv"), office.path("C.csv")) == 0
    wrong = plan.replace("inspectors = 2", "inspectors = 1").replace("QH-1", "QH-2")
    assert office(*office.announce_words("b", office.plan(wrong, "b.toml")))[0] == 1


def test_beacons_under_the_roots_signature(office: Office) -> None:
    """Entered beacons are named by trust.json: another file, or none, is refused; a damaged one is not entered."""
    own = office.path("beacons.json")
    own.write_text(json.dumps({"test": beacon(0)}))
    assert '"test"' in office.ok("draw", "party", "beacons", own, "--json")
    trust = office.data / "trust"
    named = json.loads((trust / "trust.json").read_bytes())["beacons_sha256"]
    assert hashlib.sha256(own.read_bytes()).hexdigest() == named
    assert load_trust(trust).beacons == own.read_bytes()
    (trust / "beacons.json").write_text(json.dumps({"test": beacon(1)}))
    with pytest.raises(TrustError):
        load_trust(trust)
    (trust / "beacons.json").unlink()
    with pytest.raises(TrustError):
        load_trust(trust)
    own.write_text('{"test": {}}')
    assert office("draw", "party", "beacons", own)[0] == 2


def test_beacons_with_a_passphrase_of_the_roots_own(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`draw party beacons` opens the root with its own passphrase, as the commands of other keys do."""
    start, passphrases = datetime(2018, 1, 1, tzinfo=CHINA), ("the passphrase of keys", "the one of the root")
    role = Role(ANY_AUTHORITY, "draws", "draw")
    keys.init(
        tmp_path / "data", [role], keys.Lifetime(start, 5), now=start, passphrase=passphrases[0],
        root_passphrase=passphrases[1],
    )  # fmt: skip
    monkeypatch.setenv("ZHENGZHAO_PASSPHRASE", passphrases[0])
    monkeypatch.setenv("ZHENGZHAO_ROOT_PASSPHRASE", passphrases[1])
    own = office.path("beacons.json")
    own.write_text(json.dumps({"test": beacon(0)}))
    office.data = tmp_path / "data"
    assert '"test"' in office.ok("draw", "party", "beacons", own, "--json")
