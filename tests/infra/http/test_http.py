"""The service of `zhengzhao run`, from the request to the licence."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from event_samples import event, raw
from starlette.testclient import TestClient
from story import PROVINCE, Events, ric, uscc

from infra.bootstrap import Installation
from infra.cli import main
from infra.http.limits import RequestLimits
from infra.http.service import Service, service
from infra.settings import Settings
from processors.queries.access import LOCAL
from producers.form_fields import fill
from producers.packet_events import CaseNeeds
from schemas.calendar import CHINA
from schemas.items import load_catalogue

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
HERE = "http://127.0.0.1"
AT = "2018-09-10T12:00:00+08:00"
HALL = "urn:agency:630225:service-hall"
OTHER = "urn:agency:632801:market-regulation"


@pytest.fixture(scope="module")
def built(settings: Settings) -> Iterator[Service]:
    """A service on each engine, without the clock; two applications of its own story are issued in it."""
    limits = RequestLimits(rate=1e6, burst=10**6)
    with service(settings, limits=limits, tick_seconds=3600) as built:
        yield built


@pytest.fixture(scope="module")
def client(built: Service) -> Iterator[TestClient]:
    """Whoever sits at this machine."""
    with TestClient(built.app(), base_url=HERE) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        told = Events()
        told.apply("2018-09-10T09:12:00+08:00", "H-1", uscc(1), source=HALL)
        told.apply("2018-09-10T09:13:00+08:00", "H-2", uscc(2))
        answer = client.post("/v1/events", content=raw(told.lines), headers=BATCH)
        assert answer.status_code == 202
        wait_for(client, "H-1", "issued")
        wait_for(client, "H-2", "issued")
        until(lambda: any(built.lookups._store.list("status/")))
        yield client


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def wait_for(client: TestClient, case: str, state: str) -> None:
    def reached() -> bool:
        answer = client.get(f"/v1/cases/{case}")
        return answer.status_code == 200 and bool(answer.json()["state"] == state)

    until(reached)


def number_of(client: TestClient, case: str) -> str:
    return quote(client.get(f"/v1/cases/{case}").json()["licence_number"], safe="")


def test_an_event_sent_again_gets_the_same_answer(client: TestClient) -> None:
    """It is taken in once."""
    line = raw(event(id="again"))
    answers = [client.post("/v1/events", content=line, headers=STRUCTURED) for _ in range(2)]
    assert [202, 202] == [a.status_code for a in answers]
    assert answers[0].content == answers[1].content
    metrics = client.get("/metrics").text
    assert 'zhengzhao_events_total{outcome="duplicate",stage="door"} 1.0' in metrics
    assert "zhengzhao_letters_open 0.0" in metrics


def test_other_content_under_the_same_id(client: TestClient) -> None:
    """A conflict that changes nothing."""
    client.post("/v1/events", content=raw(event(id="conflict")), headers=STRUCTURED)
    answer = client.post("/v1/events", content=raw(event(id="conflict", subject="x")), headers=STRUCTURED)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


def test_good_neighbours_in_a_batch_are_taken_in(client: TestClient) -> None:
    """Each event has its own answer."""
    batch = [event(id="n-1"), {"id": "n-2"}, event(id="n-3"), 5]
    answer = client.post("/v1/events", content=raw(batch), headers=BATCH)
    assert answer.status_code == 207
    assert [r["state"] for r in answer.json()["results"]] == ["taken", "rejected", "taken", "rejected"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", STRUCTURED, 422),
        (b"{", STRUCTURED, 422),
        (raw(event(time="2018-09-10")), STRUCTURED, 422),
        (b"[" * 100_000, STRUCTURED, 422),
        (b"x" * (1 << 20 | 1), STRUCTURED, 413),
        (b"{}", BATCH, 400),
        (b"[1,", BATCH, 400),
        (b"[" * 100_000, BATCH, 400),
        (b"[" + b"{}," * 1000 + b"{}]", BATCH, 400),
        (b"[{}]", BATCH, 422),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"{}", {}, 415),
    ],
)
def test_unusable_bodies(client: TestClient, body: bytes, headers: dict[str, str], status: int) -> None:
    """A problem with its reason; never a fault."""
    answer = client.post("/v1/events", content=body, headers=headers)
    assert answer.status_code == status
    if headers != BATCH or status != 422:
        assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("language", "detail"),
    [
        ("zh-CN,en;q=0.5", "未找到该申请"),
        ("en", "no such application"),
        ("fr", "未找到该申请 / no such application"),
    ],
)
def test_problems_in_the_clients_language(client: TestClient, language: str, detail: str) -> None:
    """Chinese, English, or both."""
    answer = client.get("/v1/cases/unknown", headers={"Accept-Language": language})
    assert (answer.status_code, answer.json()["detail"]) == (404, detail)


def test_a_licence_is_fetched_and_verified(client: TestClient) -> None:
    """All forms; the verdict needs no token; one changed byte is refused."""
    number = number_of(client, "H-1")
    files = {
        form: client.get(f"/v1/licences/{number}/artefact", params={"format": form})
        for form in ("pdf", "cwt", "json", "manifest")
    }
    assert {200} == {answer.status_code for answer in files.values()}
    for form in ("pdf", "cwt"):
        answer = client.post("/v1/verify", params={"at": AT}, content=files[form].content)
        assert (answer.json()["verdict"], answer.json()["genuine"]) == ("valid", True)
    changed = bytearray(files["pdf"].content)
    changed[5000] ^= 1
    assert client.post("/v1/verify", params={"at": AT}, content=bytes(changed)).json()["genuine"] is False


def test_status_lists_and_trust_are_public(client: TestClient, built: Service) -> None:
    """As the credential names them."""
    store = built.lookups._store
    keys = sorted(key for key in store.list("status/") if ".reasons" not in key)
    name = keys[0].split("/")[1]
    assert store.get(keys[-1]) == client.get(f"/status/{name}").content
    assert client.get(f"/status/{name}.reasons").status_code == 200
    assert store.get(keys[0]) == client.get(f"/{keys[0]}").content
    assert client.get(f"/status/{name}", params={"time": "1"}).status_code == 404
    assert client.get("/trust/trust.json").json()["keys"]
    for path in ("/status/..%2F..%2Fkeys", "/trust/..%2Fagencies.json", "/trust/keys", "/status/x/y.cwt"):
        assert client.get(path).status_code == 404


def test_the_log_is_public(client: TestClient, built: Service) -> None:
    """Its checkpoint is asked for each time, its tiles stay; nothing else below the path is given out."""
    until(lambda: client.get("/log/checkpoint").status_code == 200)
    head = client.get("/log/checkpoint")
    assert head.headers["Cache-Control"] == "no-cache"
    store = built.lookups._store
    tile = next(iter(store.list("log/tile/entries/")))
    answer = client.get(f"/{tile}")
    assert store.get(tile) == answer.content
    assert "immutable" in answer.headers["Cache-Control"]
    for path in ("/log/", "/log/checkpoints/0000000000000000001", "/log/..%2Fkeys", "/log/tile/0/1"):
        assert client.get(path).status_code == 404


def test_a_page_of_another_site_reaches_nothing(client: TestClient) -> None:
    """The host name has to be ours."""
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "localhost:8080"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000", ""])
def test_a_page_of_another_site_sends_nothing(client: TestClient, origin: str) -> None:
    """A form of its own neither: a browser says where it comes from."""
    for path in ("/v1/materials", "/v1/packets", "/v1/events", "/v1/verify"):
        assert client.post(path, content=b"x", headers={"Origin": origin}).status_code == 403
    here = client.post("/v1/materials", content=b"from a page of ours", headers={"Origin": HERE})
    assert here.status_code == 201


def test_a_broken_tokens_file_opens_nothing(client: TestClient, built: Service) -> None:
    """A fault of this machine, told without its paths."""
    file = built.lookups._settings.data / "tokens.json"
    file.write_text("{broken")
    try:
        for headers in ({}, {"Authorization": "Bearer zz_x"}):
            answer = client.get("/v1/licences", headers=headers)
            assert answer.status_code == 500
            assert str(file.parent) not in answer.text
    finally:
        file.unlink()


def test_a_material_is_kept_under_its_hash(client: TestClient) -> None:
    """The same again has the same address; an empty one is none."""
    answers = [client.post("/v1/materials", content=b"plan") for _ in range(2)]
    assert [201, 201] == [a.status_code for a in answers]
    assert answers[0].json()["uri"].startswith("store:uploads/")
    assert client.post("/v1/materials", content=b"").status_code == 400


def test_a_packet_of_papers(client: TestClient) -> None:
    """Form and letter become one application, a broken neighbour spoils nothing; a single PDF goes as it is."""
    item = load_catalogue().get("industrial-product-licence")
    assert item is not None
    who = {"applicant.name": "青海纸上化工有限公司", "applicant.id": uscc(5)}
    place = {"applicant.address": "积石镇", "applicant.division": "630225", "window": "630225"}
    blanks = Installation(Settings(Path("absent"))).packet_forms.blank_forms(item)
    form = fill(
        blanks["application-form.pdf"],
        {**who, **place, "products.1.category": "化肥", "products.1.site": "镇上"},
    )
    yesterday = (datetime.now(CHINA) - timedelta(days=1)).date().isoformat()
    letter = fill(blanks["commitment-letter.pdf"], {**who, "signed_on": yesterday, "signatory": "法人"})
    answer = client.post(
        "/v1/packets",
        files=[("paper", ("a.pdf", form)), ("paper", ("b.pdf", letter)), ("paper", ("c.pdf", b"%PDF-1.7"))],
    )
    assert answer.status_code == 207, answer.text
    rows = answer.json()["results"]
    assert sorted(row["state"] for row in rows) == ["rejected", "taken"]
    (taken,) = [row for row in rows if row["state"] == "taken"]
    wait_for(client, quote(taken["application_id"], safe=""), "correction-requested")
    assert client.get(f"/v1/holders/{uscc(5)}").json()["cases"][0]["missing"] == ["business-licence"]
    assert (
        client.post(
            "/v1/packets", content=b"%PDF-1.7", headers={"Content-Type": "application/pdf"}
        ).status_code
        == 422
    )
    for content_type in ("text/plain", "multipart/form-data", "multipart/form-data; boundary=x", ""):
        answer = client.post("/v1/packets", content=b"--x\r\n", headers={"Content-Type": content_type})
        assert answer.status_code in (400, 415)


def agency(client: TestClient, built: Service, source: str) -> dict[str, str]:
    """The header of an agency's token, which `client` may then use."""
    secret, _ = built.tokens.make("agency", source, source, datetime.now(UTC), None)
    return {"Authorization": f"Bearer {secret}"}


def test_papers_with_proofs_required(tmp_path: Path) -> None:
    """The intake key signs what is made of an agency's papers; a form for the case, a scan and a withdrawal follow."""
    data = tmp_path / "data"
    assert main(["keys", "init", "--data", str(data), "--json"]) == 0
    settings = Settings(data, workers=1, require_proof=True)
    item = load_catalogue().get("industrial-product-licence")
    assert item is not None
    with service(settings, tick_seconds=3600) as built, TestClient(built.app(), base_url=HERE) as client:
        headers = agency(client, built, HALL)
        client.headers.update(headers)
        forms = Installation(settings).packet_forms
        values = {
            "applicant.name": "青海纸上化工有限公司", "applicant.id": uscc(6), "applicant.division": "630225",
            "applicant.address": "积石镇", "window": "630225",
        }  # fmt: skip
        form = forms.fill(forms.blank_forms(item)["application-form.pdf"], values)
        pdf = {"Content-Type": "application/pdf"}
        (row,) = client.post("/v1/packets", content=form, headers=pdf).json()["results"]
        case = row["application_id"]
        wait_for(client, case, "correction-requested")
        found = client.get(f"/v1/cases/{case}").json()
        assert (["commitment-letter", "business-licence", "products"], "token") == (
            found["missing"],
            found["auth"],
        )
        needs = CaseNeeds(case, item.code, uscc(6), "630225", ("products",))
        goods = {"products.1.category": "化肥", "products.1.site": "镇上"}
        answer = client.post(
            "/v1/packets",
            content=forms.fill(forms.correction_forms(needs)["correction-form.pdf"], goods),
            headers=pdf,
        )
        assert answer.status_code == 202, answer.text
        told = {
            "applicant.id": uscc(6),
            "signed_on": datetime.now(CHINA).date().isoformat(),
            "signatory": "马某",
        }
        scan = b"\xff\xd8\xff\xe0 a photograph"
        answer = client.post(
            "/v1/packets", params={"application": case},
            files=[
                ("paper", ("commitment-letter.jpg", scan)),
                ("values", ("values.json", json.dumps(told).encode())),
            ],
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        deadline = time.monotonic() + 30
        while client.get(f"/v1/cases/{case}").json()["missing"] != ["business-licence"]:
            assert time.monotonic() < deadline, client.get(f"/v1/cases/{case}").json()
            time.sleep(0.1)
        digest = hashlib.sha256(scan).hexdigest()
        assert built.lookups._installation.check_upload(f"store:uploads/{digest}") == "verified"
        withdrawal = forms.fill(forms.withdrawal_form(needs)["withdrawal-form.pdf"], {"reason": "停产"})
        assert client.post("/v1/packets", content=withdrawal, headers=pdf).status_code == 202
        wait_for(client, case, "withdrawn")
        unsigned = client.post("/v1/events", content=raw(event(id="u", source=HALL)), headers=STRUCTURED)
        assert (422, "proof") == (unsigned.status_code, unsigned.json()["where"])


class Slow(list[Any]):
    """Papers that are not read before a moment that the test chooses."""

    def __init__(self, ready: threading.Event) -> None:
        super().__init__()
        self._ready = ready

    def __iter__(self) -> Iterator[Any]:
        self._ready.wait(60)
        return iter(())


def test_who_asks_does_not_wait_for_papers(client: TestClient, built: Service) -> None:
    """While as many papers are read as can be, a case is shown at once."""
    ready = threading.Event()

    async def ask() -> Any:
        reading = [
            asyncio.ensure_future(built.lookups.run(built.lookups.papers, Slow(ready), "")) for _ in range(30)
        ]
        await asyncio.sleep(0.2)
        case = await asyncio.wait_for(built.lookups.run(built.lookups.case, LOCAL, "H-1", None), 30)
        assert not any(one.done() for one in reading)
        ready.set()
        assert [[]] * 30 == await asyncio.gather(*reading)
        return case

    assert asyncio.run(ask())["state"] == "issued"


def test_a_person_is_masked_in_every_answer(client: TestClient) -> None:
    """The number in clear only in the question."""
    told = Events()
    person = {"kind": "person", "id": ric(7), "name": "演示甲", "address": "循化县", "division": "630225"}
    told.apply(
        "2018-09-12T09:00:00+08:00",
        "H-P",
        ric(7),
        item="special-equipment-operator",
        applicant=person,
        products=...,
    )
    assert client.post("/v1/events", content=raw(told.lines), headers=BATCH).status_code == 202
    until(lambda: client.get("/v1/cases/H-P").status_code == 200)
    holder = client.get(f"/v1/holders/{ric(7)}")
    assert holder.status_code == 200
    assert ric(7) not in holder.text
    assert holder.json()["holder_id"] == ric(7)[:3] + "*" * 11 + ric(7)[-4:]


# --- who may what; from here on there are tokens, so this machine alone opens nothing


def make(built: Service, capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, str]:
    data = str(built.lookups._settings.data)
    assert main(["token", "add", *args, "--data", data, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    return {"Authorization": f"Bearer {made['token']}", "id": made["id"]}


@pytest.fixture
def called(
    built: Service, client: TestClient, capsys: pytest.CaptureFixture[str]
) -> Iterator[dict[str, dict[str, str]]]:
    """Headers of several callers; the tokens are gone afterwards."""
    yield {
        "hall": make(built, capsys, "--agency", HALL),
        "province": make(built, capsys, "--agency", PROVINCE),
        "other": make(built, capsys, "--agency", OTHER),
        "holder": make(built, capsys, "--enterprise", uscc(1)),
        "stranger": make(built, capsys, "--enterprise", uscc(3)),
    }
    (built.lookups._settings.data / "tokens.json").unlink()


@pytest.mark.parametrize(
    ("caller", "case", "status"),
    [
        ("hall", "H-1", 200),  # sent it
        ("hall", "H-2", 404),  # another's
        ("province", "H-1", 200),  # decides it
        ("other", "H-1", 404),
        ("holder", "H-1", 200),
        ("holder", "H-2", 404),
        ("stranger", "H-1", 404),
    ],
)
def test_each_reads_its_own(
    client: TestClient, called: dict[str, dict[str, str]], caller: str, case: str, status: int
) -> None:
    """What is not for a caller does not exist for it."""
    assert client.get(f"/v1/cases/{case}", headers=called[caller]).status_code == status


def test_licences_of_others_are_not_listed(client: TestClient, called: dict[str, dict[str, str]]) -> None:
    """Nor shown, nor handed out, nor does their holder exist."""
    listed = client.get("/v1/licences", headers=called["holder"]).json()
    assert [uscc(1)] == [row["holder_id"] for row in listed]
    number = quote(listed[0]["number"], safe="")
    for path in (f"/v1/licences/{number}", f"/v1/licences/{number}/artefact", f"/v1/holders/{uscc(1)}"):
        assert client.get(path, headers=called["holder"]).status_code == 200
        for caller in ("stranger", "other"):
            assert client.get(path, headers=called[caller]).status_code == 404
    assert client.get("/v1/licences", headers=called["other"]).json() == []
    decided = client.get("/v1/licences", headers=called["province"]).json()
    assert {"H-1", "H-2"} <= {row["application_id"] for row in decided}


def test_nobody_writes_as_another(client: TestClient, called: dict[str, dict[str, str]]) -> None:
    """An agency for its own source, an enterprise for none; without token or proof nobody."""
    line = raw(event(id="as-another"))  # of the province
    for caller, status in (("other", 403), ("holder", 403), ("province", 202)):
        answer = client.post("/v1/events", content=line, headers={**STRUCTURED, **called[caller]})
        assert answer.status_code == status
    assert client.post("/v1/events", content=line, headers=STRUCTURED).status_code == 401
    assert client.get("/v1/cases/H-1").status_code == 401
    wrong = {"Authorization": "Bearer zz_wrong"}
    assert client.get("/v1/cases/H-1", headers=wrong).status_code == 401
    assert client.get("/v1/cases/H-1", headers={"Authorization": "Basic x"}).status_code == 401


def test_a_revoked_token_opens_nothing(
    built: Service, client: TestClient, called: dict[str, dict[str, str]]
) -> None:
    """At once."""
    headers = called["holder"]
    assert (
        main(["token", "revoke", headers["id"], "--data", str(built.lookups._settings.data), "--json"]) == 0
    )
    assert client.get("/v1/cases/H-1", headers=headers).status_code == 401


def test_a_signed_event_needs_no_token(
    built: Service, client: TestClient, called: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """Its proof says who sends it; changed on the way it is refused."""
    from infra.agencies import event_signer

    data = str(built.lookups._settings.data)
    key = tmp_path / "a.pem"
    assert main(["agency", "keygen", "-o", str(key)]) == 0
    assert main(["agency", "add", OTHER, str(key.with_suffix(".pub.pem")), "--data", data]) == 0
    signed = event_signer(key)(raw(event(id="signed", source=OTHER)))
    assert client.post("/v1/events", content=signed, headers=STRUCTURED).status_code == 202
    changed = signed.replace("化工".encode(), "化学".encode())
    assert client.post("/v1/events", content=changed, headers=STRUCTURED).status_code == 422
    mine = event_signer(key)(raw(event(id="signed-2")))
    assert client.post("/v1/events", content=mine, headers=STRUCTURED).status_code == 422


def test_too_many_requests(built: Service) -> None:
    """429, with the time to wait."""
    slow = Service(
        built.lookups, built.intake, built.drainer, built.tokens, limits=RequestLimits(rate=1, burst=2), hosts=built.hosts,
        open_here=True,
    )  # fmt: skip
    with TestClient(slow.app(), base_url=HERE) as client:
        answers = [client.get("/healthz") for _ in range(3)]
    assert [200, 200, 429] == [a.status_code for a in answers]
    assert int(answers[2].headers["Retry-After"]) >= 1
