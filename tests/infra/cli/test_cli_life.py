"""The life of licences through the command: orders, applications on a licence, checks, filings, windows, erasure."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate
from story import PROVINCE, Events, Office, ric, uscc

from infra.cli import main
from schemas.signatures import proves, read_proof


class Desk(Office):
    """An office whose commands run in this process: what each does is the same, only faster to start."""

    def run(
        self, *args: str | Path, code: int | None = 0, env: dict[str, str] | None = None, stdin: bytes = b""
    ) -> str:
        if args[0] in ("drain", "tick", "replay", "submit"):  # those with processes of their own
            return super().run(*args, code=code, env=env, stdin=stdin)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(self.folder):
            self.code = main([*map(str, args), "--data", str(self.data)])
        self.err = err.getvalue()
        if code is not None:
            assert code == self.code, (args, self.code, out.getvalue()[-2000:], self.err[-2000:])
        return out.getvalue()


NUMBERS = {n: f"(青)XK13-001-{n:05d}" for n in range(1, 13)}
PERSON = ric(7)
COUNTY = "urn:agency:630225:market-regulation"


def operator(e: Events, n: int, application_id: str, day: str, **over: Any) -> None:
    """A person's application, approved the same day."""
    applicant = {
        "kind": "person", "id": ric(n), "name": f"李某{n}", "address": "西宁市城东区一号", "division": "630102",
    }  # fmt: skip
    e.apply(
        f"{day}T09:00:00+08:00", application_id, ric(n), item="special-equipment-operator", applicant=applicant,
        products=..., window="630102001",
        materials=over.get("materials", [{"kind": "application-form"}, {"kind": "examination-record"}]),
    )  # fmt: skip
    e.add(
        "application.reviewed",
        f"{day}T10:00:00+08:00",
        {
            "application_id": application_id, "holder_id": ric(n), "department": "market-regulation",
            "officer": "o-1", "decision": "approve",
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Twelve enterprises with a licence each, one of them pending correction; two persons with one."""
    office = Desk(tmp_path_factory.mktemp("cli-life"))
    office.init()
    e = Events()
    for n in range(1, 13):
        e.apply(
            f"2018-03-01T10:00:{n:02d}+08:00", f"N-{n}", uscc(n), window="630225001" if n == 1 else "630225"
        )
    e.apply("2018-03-01T11:00:00+08:00", "C-1", uscc(20), materials=[{"kind": "application-form"}])
    operator(e, 7, "P-7", "2018-03-01")
    operator(e, 8, "P-8", "2018-03-01")
    office.tell(e)
    return office


def status(office: Office, n: int) -> Any:
    return office.licence(NUMBERS[n])


# ---- orders ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordered(office: Office) -> Office:
    """Every order, once, by number or by the application that led to the licence."""
    at = ("--at", "2018-04-02T10:00:00+08:00", "--ground", "依法")
    for args in (
        ("suspend", NUMBERS[1], "--until", "2018-06-01", "--legal-basis", "条例"),
        ("withdraw", "--number", NUMBERS[2]),
        ("rescind", "--granted-by", "N-3", "--deceit"),
        ("revoke", NUMBERS[4], "--decided-on", "2018-04-01"),
        ("cancel", NUMBERS[5]),
        ("rescind", NUMBERS[6]),
    ):
        answer = office.json("licence", *args, *at)
        assert (answer["accepted"], answer["duplicates"]) == (1, 0)
    office.run("drain")
    return office


def test_orders_end_licences(ordered: Office) -> None:
    """Each order has the effect of its event; the source is the issuing authority by default."""
    ended = {n: status(ordered, n)["status"] for n in range(1, 7)}
    expected = ["suspended", "withdrawn", "rescinded", "revoked", "cancelled", "rescinded"]
    assert ended == dict(zip(range(1, 7), expected, strict=True))
    assert status(ordered, 1)["suspended_until"] == "2018-06-01"
    assert "2018-04-01" in status(ordered, 4)["history"][-1]["detail"]


def test_deceit_bars_an_error_does_not(ordered: Office) -> None:
    """`--deceit` alone bars a new application."""
    e = Events()
    e.lines = [{}] * 100
    e.apply("2018-05-02T10:00:00+08:00", "B-3", uscc(3))
    e.apply("2018-05-02T10:00:00+08:00", "B-6", uscc(6))
    e.lines = e.lines[100:]
    ordered.tell(e)
    assert (ordered.case("B-3")["state"], ordered.case("B-6")["state"]) == ("refused", "issued")


def test_resume_and_annul(ordered: Office) -> None:
    """A suspension ends before its day; an annulled decision gives the holder a new licence."""
    ordered.run("licence", "resume", NUMBERS[1], "--ground", "整改完毕", "--at", "2018-05-03T10:00:00+08:00")
    ordered.run("licence", "annul", NUMBERS[4], "--ground", "复议", "--at", "2018-05-03T10:00:00+08:00")
    ordered.run("drain")
    assert status(ordered, 1)["status"] == "valid"
    assert status(ordered, 4)["status"] == "revoked"
    assert [row["status"] for row in ordered.json("holder", "show", uscc(4))["licences"]] == [
        "revoked",
        "valid",
    ]


def test_event_only_prints_and_sends_nothing(office: Office) -> None:
    """The event as an agency would send it; the register is untouched."""
    event = json.loads(
        office.run(
            "licence", "revoke", NUMBERS[12], "--ground", "违法", "--at", "2018-04-02T10:00:00+08:00", "--event-only"
        )
    )  # fmt: skip
    assert event["source"] == PROVINCE
    assert event["type"] == "zhengzhao.licence.revoked.v1"
    assert event["data"] == {
        "licence_number": NUMBERS[12], "holder_id": uscc(12), "ground": "违法", "decided_on": "2018-04-02",
    }  # fmt: skip
    office.run("drain")
    assert status(office, 12)["status"] == "valid"


def test_an_order_is_signed_with_the_agencys_key(office: Office) -> None:
    """`--proof-key` adds a proof over the event."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    pem = office.folder / "agency.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    out = office.run("licence", "cancel", NUMBERS[12], "--ground", "解散", "--proof-key", pem, "--event-only")
    event = json.loads(out)
    assert proves(read_proof(event["proof"]), event, key.public_key())


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("suspend", "(青)XK99-999-99999", "--until", "2018-06-01", "--ground", "x"), 1),
        (("cancel", "--ground", "x"), 2),
        (("cancel", NUMBERS[11], "--granted-by", "N-11", "--ground", "x"), 2),
        (("cancel", NUMBERS[11], "--ground", "x", "--decided-on", "2018-02-30"), 2),
        (("cancel", NUMBERS[11], "--ground", "x", "--at", "2018-13-01"), 2),
        (("cancel", NUMBERS[11], "--ground", "x", "--source", "nobody"), 1),
        (("cancel", NUMBERS[11], "--ground", "x\x07"), 1),
        (("cancel", "--granted-by", "P-8", "--ground", "x"), 2),
        (("change", NUMBERS[11]), 2),
        (("merge", NUMBERS[11]), 2),
        (("extend", NUMBERS[11], "--products", "absent.json"), 2),
    ],
)
def test_wrong_orders(office: Office, args: tuple[str, ...], code: int) -> None:
    """Unknown licences and events that break a rule are a no; wrong use is 2. Each has a hint or a place."""
    office.run("licence", *args, code=code)
    assert office.err.startswith("error: ")


def test_a_repeated_event_is_a_duplicate(office: Office) -> None:
    """The same event id and content, sent again after a lost answer, counts once."""
    args = ("licence", "suspend", NUMBERS[12], "--until", "2018-04-30", "--ground", "x", "--event-id", "once",
            "--at", "2018-04-03T10:00:00+08:00")  # fmt: skip
    answers = [office.json(*args) for _ in range(2)]
    assert [(a["accepted"], a["duplicates"]) for a in answers] == [(1, 0), (0, 1)]


# ---- applications on a licence --------------------------------------------------------------------------------


def test_applications_make_the_next_version(office: Office) -> None:
    """extend, change, reissue, surrender: materials and applicant from the register."""
    (office.folder / "more.json").write_text(
        '[{"category":"人造板","site":"新厂","detail":"胶合板"}]', "utf-8"
    )
    at = ("--at", "2018-04-02T10:00:00+08:00")
    signed = ("--signed-on", "2018-04-01", "--signatory", "李四")
    more = ("--products", "more.json", "--application-id", "X-7")
    office.run("licence", "extend", NUMBERS[7], *more, *at, code=2)  # nobody signed the commitment letter
    assert "--signatory" in office.err
    office.run("licence", "extend", NUMBERS[7], *more, *signed, *at)
    office.run("licence", "change", NUMBERS[8], "--name", "青海新名有限公司", "--application-id", "X-8", *at)
    office.run("licence", "reissue", "--granted-by", "N-9", "--application-id", "X-9", *at)
    office.run("licence", "surrender", NUMBERS[10], "--application-id", "X-10", *at)
    office.run("drain")
    assert [office.case(f"X-{n}")["state"] for n in (7, 8, 9, 10)] == [
        "issued",
        "issued",
        "issued",
        "granted",
    ]
    assert [status(office, n)["version"] for n in (7, 8, 9, 10)] == [2, 2, 2, 1]
    assert status(office, 8)["holder_name"] == "青海新名有限公司"
    assert status(office, 10)["status"] == "cancelled"
    letter = office.case("X-7")["commitment"]
    assert (letter["signatory"], letter["signed_on"]) == ("李四", "2018-04-01")
    assert office.rows("check", "list", "--state", "scheduled", "--item", "industrial-product-licence")


def test_renewal_of_a_person(office: Office) -> None:
    """A person's number is said by the caller; the name comes from the register."""
    number = office.case("P-8")["licence_number"]
    office.run("licence", "renew", number, "--at", "2021-06-01T10:00:00+08:00", code=2)
    assert "--holder" in office.err
    event = json.loads(
        office.run(
            "licence", "renew", number, "--holder", ric(8), "--at", "2021-06-01T10:00:00+08:00", "--event-only"
        )
    )  # fmt: skip
    assert event["data"]["applicant"] == {
        "kind": "person", "id": ric(8), "name": "李某8", "address": "西宁市城东区一号", "division": "630102",
    }  # fmt: skip
    assert event["data"]["materials"] == [{"kind": "application-form"}]


def test_import_and_merge(office: Office) -> None:
    """Two licences of another system become one; the issuing authority follows from item and division."""
    holder = {
        "kind": "enterprise",
        "id": uscc(30),
        "name": "青海旧证有限公司",
        "address": "循化一号",
        "division": "630225",
    }
    for n, day in ((1, "2016-05-01"), (2, "2017-05-01")):
        data = {
            "holder": holder, "licence_number": f"XK13-001-9000{n}", "item": "industrial-product-licence",
            "products": [{"category": "化肥"}], "issued_on": day, "valid_from": day, "valid_until": "2021-04-30",
        }  # fmt: skip
        (office.folder / "old.json").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
        office.run("licence", "import", "old.json", "--at", "2018-03-05T10:00:00+08:00")
    office.run("drain")
    office.run(
        "licence", "merge", "XK13-001-90002", "XK13-001-90001", "--application-id", "M-30",
        "--at", "2018-03-06T10:00:00+08:00", "--signed-on", "2018-03-05", "--signatory", "王五",
    )  # fmt: skip
    office.run("drain")
    assert office.case("M-30")["state"] == "issued"
    assert office.licence("XK13-001-90001")["version"] == 1
    assert office.licence("XK13-001-90002")["status"] == "cancelled"


# ---- lists, and the end of an application ---------------------------------------------------------------------


def test_licences_are_found_by_name_status_item_and_holder(office: Office) -> None:
    """Filters narrow the list, a former name finds the licence, and a value that does not exist is wrong use."""
    everything = office.rows("licence", "list")
    valid = office.rows("licence", "list", "--status", "valid")
    assert [row for row in everything if row["status"] == "valid"] == valid
    persons = office.rows("licence", "list", "--item", "special-equipment-operator")
    assert {row["item"] for row in persons} == {"special-equipment-operator"}
    assert len(persons) == 2
    assert [row["holder_id"] for row in office.rows("licence", "list", "--holder", uscc(3))] == [uscc(3)]
    assert len(office.rows("licence", "list", "--holder", ric(8))) == 1
    former = f"青海示范{uscc(8)[8:16]}化工"
    (found,) = office.rows("licence", "list", "--name", former)
    assert found["holder_name"] == "青海新名有限公司"
    assert office.rows("licence", "list", "--name", "没有这个名称") == []
    for wrong in (("--status", "lost"), ("--item", "dog-licence")):
        office.run("licence", "list", *wrong, code=2)
        assert "hint: " in office.err
    office.run("case", "list", "--item", "dog-licence", code=2)
    office.run("licence", "list")
    assert "as of 20" in office.err


def test_an_application_is_withdrawn(office: Office) -> None:
    """`case withdraw` sends the event of the window where it came in; a person's number is said by the caller."""
    e = Events()
    e.lines = [{}] * 300
    e.apply("2018-03-02T09:00:00+08:00", "W-1", uscc(21), materials=[{"kind": "application-form"}])
    e.lines = e.lines[300:]
    office.tell(e)
    answer = office.json("case", "withdraw", "W-1", "--at", "2018-03-02T10:00:00+08:00", "--reason", "撤回")
    assert answer["type"] == "zhengzhao.application.withdrawn.v1"
    office.run("drain")
    assert office.case("W-1")["state"] == "withdrawn"
    office.run("case", "withdraw", "P-8", code=2)
    assert "--holder" in office.err
    office.run("case", "withdraw", "nothing", code=1)


# ---- checks, cases, windows -----------------------------------------------------------------------------------


def test_checks_are_recorded_and_listed(office: Office) -> None:
    """A passed check settles the scheduled one; one inspector is not enough and stands in the refused events."""
    args = ("--result", "未发现问题", "--passed", "--at", "2018-03-20T10:00:00+08:00")
    answer = office.json(
        "check", "record", NUMBERS[11], "--inspector", "i-1", "--inspector", "i-2@market-regulation",
        "--inspection-id", "I-11", *args,
    )  # fmt: skip
    assert answer["inspection_id"] == "I-11"
    office.run("check", "record", NUMBERS[12], "--inspector", "i-1", "--inspection-id", "I-12", *args)
    office.run("drain")
    rows = {row["inspection_id"]: row for row in office.rows("check", "list", "--state", "passed")}
    assert (rows["I-11"]["licence_number"], rows["I-11"]["holder_id"]) == (NUMBERS[11], uscc(11))
    assert "I-12" not in rows
    assert office.json("holder", "show", uscc(12))["refused"][-1]["event"] == "inspection.recorded"


def test_late_cases_are_listed(office: Office) -> None:
    """`case list --overdue`: accepted and past a limit, by the state that a tick left."""
    e = Events()
    e.lines = [{}] * 200
    operator(e, 9, "P-9", "2018-03-01")
    e.lines = [e.lines[200]]  # nobody reviews it
    office.tell(e)
    assert office.rows("case", "list", "--overdue") == []
    office.run("tick", "--at", "2018-03-10T00:00:00+08:00", "--confirm")
    rows = office.rows("case", "list", "--overdue", "--item", "special-equipment-operator")
    assert [(row["application_id"], row["overdue"]) for row in rows] == [("P-9", ["promised"])]
    assert [r["application_id"] for r in office.rows("case", "list", "--state", "correction-requested")] == [
        "C-1"
    ]
    office.run("case", "list", "--state", "nonsense", code=2)


def test_a_window_sees_what_it_hands_out(office: Office) -> None:
    """What came in there and the result: a licence, or the notice of what is missing."""
    rows = {row["application_id"]: row for row in office.rows("window", "list", "--window", "630225")}
    assert "N-1" not in rows
    assert rows["C-1"]["out"]["what"] == "correction-notice"
    assert sorted(rows["C-1"]["out"]["missing"]) == ["business-licence", "commitment-letter"]
    assert rows["N-2"]["out"] == {
        "what": "licence", "number": NUMBERS[2], "version": 1,
        "object": status(office, 2)["objects"]["licence.pdf"],
    }  # fmt: skip
    village = office.rows("window", "list", "--window", "630225001")
    assert [row["application_id"] for row in village] == ["N-1"]
    below = {r["application_id"] for r in office.rows("window", "list", "--window", "630225", "--below")}
    assert below >= {"N-1", "C-1", "N-2"}
    office.run("window", "list", "--window", "63", code=2)


# ---- filings ----------------------------------------------------------------------------------------------------


class Department:
    """A department's real HTTP server: it fails as often as told, then takes what comes."""

    def __init__(self) -> None:
        self.fail = 0
        self.taken: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.fail:
                    outer.fail -= 1
                    self.send_response(503)
                else:
                    outer.taken.append((self.headers["Idempotency-Key"], json.loads(body)))
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/filings"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def department() -> Iterator[Department]:
    server = Department()
    yield server
    server.server.shutdown()
    server.server.server_close()


def registration(application_id: str, n: int, items: list[str], rules: list[dict[str, Any]]) -> Events:
    """A registration with every field of its items answered."""
    fields = {f["name"]: f["example"] for rule in rules if rule["code"] in (*items, "business-licence")
              for f in rule["fields"]}  # fmt: skip
    e = Events()
    applicant = {
        "kind": "enterprise",
        "id": uscc(n),
        "name": "青海多证有限公司",
        "address": "循化一号",
        "division": "630225",
    }
    data = {
        "application_id": application_id, "applicant": applicant, "items": [{"item": i} for i in items],
        "shared": fields, "materials": [{"kind": "application-form"}],
    }  # fmt: skip
    event = e.add("registration.submitted", "2018-03-05T10:00:00+08:00", data, COUNTY)
    event["id"] = f"r-{application_id}"
    return e


def test_filings_reach_their_departments(tmp_path: Path, department: Department) -> None:
    """A folder each, written once; a webhook that fails first and gets the same signed event once it is well."""
    office = Desk(tmp_path)
    office.init()
    rules = office.rows("items", "list")
    items = sorted((r for r in rules if r["mode"] == "filing"), key=lambda r: r["code"])
    hooked = next(r for r in items if r["code"] == "seal-engraving-filing")
    other = next(r for r in items if r["department"] != hooked["department"])
    (office.data / "departments.toml").write_text(f'[{hooked["department"]}]\nurl = "{department.url}"\n')
    department.fail = 3
    office.submit(registration("R-40", 40, [hooked["code"], other["code"]], rules))
    answer = office.json("drain")
    assert answer["filings"] == {"files": 2, "taken": 0, "waiting": 1}
    file = office.data / "outbox" / hooked["department"] / f"R-40:{hooked['code']}-1.json"
    assert (office.data / "outbox" / other["department"] / f"R-40:{other['code']}-1.json").is_file()
    written = json.loads(file.read_text("utf-8"))
    assert written["type"] == "zhengzhao.filing.pushed.v1"
    assert office.json("filing", "deliver") == {"files": 0, "taken": 1, "waiting": 0, "left": []}
    assert department.taken == [(written["id"], written)]
    proof = read_proof(written["proof"])
    trust = json.loads((office.data / "trust" / "trust.json").read_text())
    (key,) = [k for k in trust["keys"] if k["kid"] == proof.kid]
    assert key["use"] == "status"
    certificate = load_pem_x509_certificate((office.data / "trust" / key["certificate"]).read_bytes())
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert proves(proof, written, public)
    _answers(office, hooked, other, department)


def _answers(office: Office, hooked: dict[str, Any], other: dict[str, Any], department: Department) -> None:
    """The department returns it, it is corrected and pushed again as round 2; the other one claims."""
    own, others = f"R-40:{hooked['code']}", f"R-40:{other['code']}"
    office.run("filing", "return", own, "--reason", "印章种类不清", "--at", "2018-03-06T10:00:00+08:00")
    office.run("filing", "receive", others, "--at", "2018-03-06T10:00:00+08:00")
    office.run("filing", "claim", others, "--at", "2018-03-07T10:00:00+08:00")
    office.run("drain")
    states = {row["filing_id"]: row["state"] for row in office.rows("filing", "list")}
    assert states == {own: "returned", others: "claimed"}
    (office.folder / "answers.json").write_text('{"seal-kinds":"公章"}', "utf-8")
    office.run("filing", "correct", own, "--answers", "answers.json", "--at", "2018-03-08T10:00:00+08:00")
    office.run("drain")
    rows = office.rows("filing", "list", "--department", hooked["department"])
    assert [(row["state"], row["round"], row["holder_id"]) for row in rows] == [("pushed", 2, uscc(40))]
    assert (office.data / "outbox" / hooked["department"] / f"{own}-2.json").is_file()
    assert [event["data"]["answers"]["seal-kinds"] for _, event in department.taken][-1] == "公章"
    assert len({key for key, _ in department.taken}) == len(department.taken) == 2
    # a department that is not its own is refused by an event, a filing that nobody has is a no
    office.run("filing", "claim", own, "--source", "urn:agency:630225:tax", "--department", "tax")
    office.run("drain")
    assert office.json("holder", "show", uscc(40))["refused"][-1]["event"] == "filing.claimed"
    office.run("filing", "claim", "nothing:here", code=1)


def test_a_wrong_departments_file_is_named(tmp_path: Path) -> None:
    """Exit 2 with the place."""
    office = Desk(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    office.submit(e)
    (office.data / "departments.toml").write_text('[tax]\nurl = "ftp://x"\n')
    office.run("drain", code=2)
    assert "departments.toml: tax" in office.err


# ---- persons ------------------------------------------------------------------------------------------------------


def test_a_person_is_erased_after_the_retention_period(tmp_path: Path) -> None:
    """Refused while something is in force; then name and files are gone, the rest adds up, replay says unknown."""
    office = Desk(tmp_path)
    office.init()
    upload = office.folder / "record.txt"
    upload.write_text("考试合格 李某7", "utf-8")
    put = office.json("material", "put", upload)
    e = Events()
    record = {"kind": "examination-record", "uri": put["uri"], "sha256": put["sha256"]}
    operator(e, 7, "P-7", "2018-03-01", materials=[{"kind": "application-form"}, record])
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    office.tell(e)
    assert office.case("P-7")["state"] == "issued"
    office.run("holder", "erase", PERSON, "--ground", "x", code=1)
    assert "living licence" in office.err
    office.run("tick", "--at", "2022-03-05T00:00:00+08:00", "--confirm")
    office.run("holder", "erase", PERSON, "--ground", " ", code=2)
    _kept(office)
    answer = office.json("holder", "erase", PERSON, "--ground", f"保存期届满 {PERSON}")
    assert (answer["state"], answer["erased_now"], answer["files"]) == ("erased", True, 1)
    shown = office.json("holder", "show", PERSON)
    assert (shown["name"], shown["licences"][0]["holder_name"], shown["licences"][0]["status"]) == (
        "erased", "erased", "expired",
    )  # fmt: skip
    assert not (office.data / "objects" / "uploads" / put["sha256"]).exists()
    number = shown["licences"][0]["number"]
    stored = office.data / "objects" / shown["licences"][0]["objects"]["licence.pdf"]
    assert b"%PDF" not in stored.read_bytes()[:100]
    office.run("licence", "get", number, "--format", "pdf", "-o", tmp_path / "x.pdf", code=1)
    assert "erased" in office.err
    office.run("licence", "get", number, "--format", "manifest", "-o", tmp_path / "x.json")
    office.run("replay", "--into", tmp_path / "again", "--decide", code=3)
    assert "erased" in office.err
    assert office.json("holder", "erase", PERSON, "--ground", "x")["erased_now"] is False
    office.run("holder", "erase", uscc(1), "--ground", "x", code=2)
    office.run("holder", "erase", ric(99), "--ground", "x", code=1)
    _looks(office)
    needle = PERSON.encode()
    assert [p for p in office.data.rglob("*") if p.is_file() and needle in p.read_bytes()] == []


def test_grounds_about_a_person_go_from_every_answer_and_stay_as_evidence(tmp_path: Path) -> None:
    """Read while the person is known, in no public list; erased, a recorded look at the evidence alone shows them."""
    office, ground = Desk(tmp_path), "经查，李某7（电话 13897123456）提供虚假材料"
    office.init()
    e = Events()
    operator(e, 7, "P-7", "2018-03-01")
    operator(e, 8, "P-8", "2018-03-01")
    e.add(
        "licence.revoked", "2018-06-01T10:00:00+08:00",
        {"granted_by": "P-7", "holder_id": PERSON, "ground": ground, "legal_basis": "《行政许可法》第六十九条", "decided_on": "2018-06-01"},
    )  # fmt: skip
    e.add(
        "application.withdrawn", "2018-07-02T10:00:00+08:00",
        {"application_id": "P-7", "holder_id": PERSON, "reason": "李某7家中有事"},
    )  # fmt: skip
    office.tell(e)
    (number,) = (row["number"] for row in office.json("holder", "show", PERSON)["licences"])
    shown = ground.replace("13897123456", "138****3456")
    assert shown in str(office.json("licence", "show", number)["history"])
    office.run("licence", "get", number, "--format", "pdf", "-o", tmp_path / "x.pdf")
    verdict = office.rows("verify", tmp_path / "x.pdf", "--at", "2018-07-03T10:00:00+08:00", code=1)[0]
    assert "第六十九条" in str(verdict["checks"])
    assert "李某7" not in str(verdict["checks"])
    assert "evidence:" not in str(verdict)
    office.run("tick", "--at", "2022-03-05T00:00:00+08:00", "--confirm")
    office.run("drain")
    office.run("holder", "erase", PERSON, "--ground", "保存期届满")
    history = str(office.json("licence", "show", number)["history"])
    assert "李某7" not in history
    assert "erased" in history
    assert [shown] == [row["detail"] for row in office.rows("holder", "evidence", PERSON, "--ground", "复议")]
    looks = office.rows("holder", "accesses", PERSON)
    assert ("holder evidence", "复议") in [(row["what"], row["detail"]) for row in looks]
    stored = b"".join(p.read_bytes() for p in office.data.rglob("*") if p.is_file())
    assert "李某7".encode() not in stored
    office.run("replay", "--into", tmp_path / "again", "--decide", code=3)


def _kept(office: Office) -> None:
    """A longer period is kept to, whoever asks."""
    (office.data / "settings.toml").write_text("retention_years = 50\n")
    office.run("holder", "erase", PERSON, "--ground", "x", code=1)
    assert "2072" in office.err
    (office.data / "settings.toml").unlink()


def _looks(office: Office) -> None:
    """Each look at the person is on record, with a pseudonym and never the number; enterprises leave none."""
    office.run("case", "show", "P-7")
    office.run("licence", "show", office.case("P-7")["licence_number"])
    office.run("holder", "show", uscc(1))
    office.run("licence", "list")
    rows = office.rows("holder", "accesses", PERSON)
    assert [row["what"] for row in rows if row["what"] != "case show"] == [
        "holder erase", "holder show", "licence get", "licence get", "holder erase", "licence show", "licence list", "holder accesses",
    ]  # fmt: skip
    assert rows[-1]["by"]
    assert "630" not in "".join(row["detail"] for row in rows if row["what"] == "holder erase")


def test_erasing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """An entry that nobody has decided yet would lose its name: first it is decided."""
    office = Desk(tmp_path)
    office.init()
    e = Events()
    operator(e, 7, "P-7", "2010-03-01")
    del e.lines[1]
    e.add(
        "application.withdrawn", "2010-03-02T10:00:00+08:00", {"application_id": "P-7", "holder_id": PERSON}
    )
    office.tell(e)
    again = Events()
    again.lines = [{}] * 50
    operator(again, 7, "P-7b", "2010-04-01")
    again.lines = again.lines[50:51]
    office.submit(again)
    office.run("holder", "erase", PERSON, "--ground", "x", code=1)
    office.run("drain")
    office.run("holder", "erase", PERSON, "--ground", "x", code=1)
    assert "P-7b" in office.err


def test_the_secret_of_a_name_is_gone(office: Office) -> None:
    """Sealed texts in the data file do not hold the name in any encoding."""
    raw = b"".join(p.read_bytes() for p in office.data.glob("zhengzhao.sqlite*"))
    assert raw.count("李某7".encode()) == 0
    assert raw.count(base64.b64encode("李某7".encode())) == 0
    assert raw.count(hashlib.sha256(PERSON.encode()).hexdigest().encode()) == 0
