"""Entity tags, byte ranges, query parameters, media types, pages, callers behind proxies, quotas."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from event_samples import event, raw
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient
from story import PROVINCE, Events, uscc

from infra.cli import main
from infra.http.answers import EXAMINED, Cursor, Cursors, Window, file_answer
from infra.http.limits import RequestLimits
from infra.http.problems import Problem
from infra.http.service import Service, service
from infra.settings import Settings
from tests.infra.http.test_http import HERE, wait_for

STRANGER = "urn:agency:632801:market-regulation"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
LICENCES = 5


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a fresh data folder, with a small upload quota and a proxy in front."""
    data = tmp_path_factory.mktemp("answers") / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    limits = RequestLimits(rate=1e6, burst=10**6, upload_day=3000)
    settings = Settings(data, workers=1, proxies=(ip_network("10.0.0.7/32"),))
    with service(settings, limits=limits, tick_seconds=3600) as built:
        yield built


@pytest.fixture(scope="module")
def client(built: Service) -> Iterator[TestClient]:
    """The operator of this machine; several licences are issued."""
    with TestClient(built.app(), base_url=HERE) as client:
        told = Events()
        for n in range(LICENCES):
            told.apply("2018-09-10T09:12:00+08:00", f"A-{n}", uscc(20 + n))
        assert client.post("/v1/events", content=raw(told.lines), headers=BATCH).status_code == 202
        for n in range(LICENCES):
            wait_for(client, f"A-{n}", "issued")
        yield client


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": pairs})


def answered(content: bytes, **headers: str) -> Any:
    return file_answer(request(**headers), content, "application/pdf", {})


@given(st.binary(min_size=1, max_size=50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_a_slice(content: bytes, first: int, last: int) -> None:
    """206 with the bytes named, 416 where there are none."""
    found = answered(content, range=f"bytes={first}-{last}")
    if first < len(content) and first <= last:
        assert (206, content[first : last + 1]) == (found.status_code, found.body)
        end = min(last, len(content) - 1)
        assert f"bytes {first}-{end}/{len(content)}" == found.headers["content-range"]
    else:
        assert (416, f"bytes */{len(content)}") == (found.status_code, found.headers["content-range"])


@given(st.binary(min_size=1, max_size=50), st.integers(1, 60))
def test_a_suffix_is_the_end(content: bytes, size: int) -> None:
    """The whole where it is longer than the file."""
    assert content[-size:] == answered(content, range=f"bytes=-{size}").body


@pytest.mark.parametrize("wanted", ["bytes=0-1,3-4", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b"])
def test_other_ranges_are_ignored(wanted: str) -> None:
    """The whole file is sent, as the standard allows."""
    found = answered(b"0123456789", range=wanted)
    assert (200, b"0123456789") == (found.status_code, found.body)


def test_a_tag_names_the_content(client: TestClient) -> None:
    """304 for who has it, of one range the rest, the whole where the tag is another's."""
    number = client.get("/v1/cases/A-0").json()["licence_number"]
    path = f"/v1/licences/{number.replace('/', '%2F')}/artefact"
    whole = client.get(path)
    tag = whole.headers["etag"]
    assert client.get(path, headers={"If-None-Match": f'"x", W/{tag}'}).status_code == 304
    rest = client.get(path, headers={"Range": "bytes=100-", "If-Range": tag})
    assert (206, whole.content[100:]) == (rest.status_code, rest.content)
    other = client.get(path, headers={"Range": "bytes=100-", "If-Range": '"x"'})
    assert (200, whole.content) == (other.status_code, other.content)
    assert client.get("/trust/root.pem").headers["etag"]


@pytest.mark.parametrize(
    "path",
    ["/healthz?x=1", "/v1/licences?offset=1", "/v1/licences?limit=1&limit=2", "/v1/cases/A-0?holder_id=1"],
)
def test_unknown_query_parameters_are_refused(client: TestClient, path: str) -> None:
    """So is one that stands twice: nobody is answered as if it were not there."""
    found = client.get(path)
    assert (found.status_code, bool(found.json()["where"])) == (400, True)


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/v1/verify", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 415),
        ("/v1/verify", "text/html", 415),
        ("/v1/verify", "application/json", 415),
        ("/v1/verify", "text/plain; charset=utf-8", 200),
        ("/v1/materials", "multipart/form-data; boundary=x", 415),
        ("/v1/packets", "text/plain", 415),
        ("/v1/events", "application/json", 415),
    ],
)
def test_a_body_of_the_wrong_kind_is_415(client: TestClient, path: str, kind: str, status: int) -> None:
    """Never a verdict."""
    found = client.post(path, content=b"HTTPS://X.CN/#1", headers={"Content-Type": kind})
    assert status == found.status_code


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04word", b"\x1f\x8b\x08", b"<!doctype html>", b"GIF89a", b'{"a": 1}']
)
def test_bytes_of_no_kind_that_is_verified_are_415(client: TestClient, content: bytes) -> None:
    """Whatever the header says: a document of an office program is neither valid nor invalid."""
    for kind in ("application/octet-stream", "application/pdf"):
        found = client.post("/v1/verify", content=content, headers={"Content-Type": kind})
        assert (415, True) == (found.status_code, bool(found.json()["hint"]))


CE = {"ce-specversion": "1.0", "ce-source": PROVINCE, "ce-type": "zhengzhao.application.submitted.v1",
      "ce-time": "2018-09-10T09:12:00%2B08:00", "Content-Type": "application/json"}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"ce-id": "ce-1"}, 202),
        ({"ce-id": '"ce-\\"2"'}, 202),
        ({"ce-id": "%e4%ba%8b"}, 202),
        ({"ce-id": "%ff"}, 422),
        ({}, 422),
        ({"ce-id": "ce-3", "ce-data": "{}"}, 422),
        ({"ce-id": "ce-3", "Content-Type": "text/xml"}, 415),
        ({"ce-id": "ce-3", "Content-Type": "application/json; charset=gbk"}, 415),
    ],
)
def test_events_in_binary_mode(client: TestClient, more: dict[str, str], status: int) -> None:
    """Attributes in headers, percent-encoded or quoted; what cannot be read is refused with its reason."""
    content = raw(event()["data"])
    found = client.post("/v1/events", content=content, headers={**CE, **more})
    assert status == found.status_code, found.text


def test_the_same_event_in_every_mode_is_one(client: TestClient) -> None:
    """Binary, structured, `data_base64`: duplicates of one another; other content under the id is a conflict."""
    value = event(id="modes", datacontenttype="application/json", time="2018-09-10T09:12:00+08:00")
    value = {k: v for k, v in value.items() if f"ce-{k}" in CE or k in ("id", "data", "datacontenttype")}
    apart = {k: v for k, v in value.items() if k != "data"}
    apart["data_base64"] = base64.b64encode(raw(value["data"])).decode()
    structured = {"Content-Type": "application/cloudevents+json"}
    sent = [
        client.post("/v1/events", content=raw(value["data"]), headers={**CE, "ce-id": "modes"}),
        client.post("/v1/events", content=raw(value), headers=structured),
        client.post("/v1/events", content=raw(apart), headers=structured),
        client.post("/v1/events", content=raw({**value, "subject": "x"}), headers=structured),
    ]
    assert [202, 202, 202, 409] == [answer.status_code for answer in sent]


def test_a_file_in_a_form_is_verified(client: TestClient) -> None:
    """One file; several are refused."""
    number = client.get("/v1/cases/A-0").json()["licence_number"]
    pdf = client.get(f"/v1/licences/{number}/artefact").content
    at = {"at": "2018-09-10T12:00:00+08:00"}
    assert client.post("/v1/verify", params=at, files={"file": ("l.pdf", pdf)}).json()["genuine"] is True
    two = [("file", ("a.pdf", pdf)), ("file", ("b.pdf", pdf))]
    assert client.post("/v1/verify", params=at, files=two).status_code == 400


def test_pages_follow_each_other(client: TestClient) -> None:
    """Each licence stands on one page; the last page has no next one."""
    seen: list[str] = []
    path, pages = "/v1/licences?limit=2", 0
    while path:
        page = client.get(path)
        assert len(page.json()) <= 2
        seen += [row["number"] for row in page.json()]
        path, pages = page.links.get("next", {}).get("url", ""), pages + 1
    assert (LICENCES, LICENCES, 3) == (len(seen), len(set(seen)), pages)
    assert {row["number"] for row in client.get("/v1/licences").json()} == set(seen)


def test_a_cursor_is_made_here_alone(client: TestClient) -> None:
    """A changed or invented one is refused; it does not show the holder that it names."""
    following = client.get("/v1/licences?limit=1").links["next"]["url"]
    cursor = following.rpartition("after=")[2]
    for wrong in (cursor[:-1], f"{cursor[:-2]}AA", "zz", "é"):
        assert client.get("/v1/licences", params={"after": wrong}).status_code == 400
    sealed = Cursors(b"s" * 32).seal(Cursor("p:0123456789abcdef", 3))
    assert Cursor("p:0123456789abcdef", 3) == Cursors(b"s" * 32).open(sealed)
    with pytest.raises(Problem):
        Cursors(b"t" * 32).open(sealed)


def test_a_listing_looks_at_a_bounded_number_of_holders(built: Service, client: TestClient) -> None:
    """Whoever may read nothing gets empty pages, each as cheap as any other."""
    with built.lookups._installation.register() as register:
        window = Window(register, "", most=2)
        first = [state.holder for state in window.states()]
        assert window.next_holder is not None
        rest = [state.holder for state in Window(register, window.next_holder).states()]
        everyone = [state.holder for state in register.states()]
    assert (everyone[:2], everyone[2:]) == (first, rest)
    assert EXAMINED >= 1000


def test_who_came_through_a_proxy_needs_a_token(client: TestClient, built: Service) -> None:
    """Without tokens only this machine's own programs are heard."""
    for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"):
        assert client.get("/v1/licences", headers={name: "127.0.0.1"}).status_code == 401
    assert client.get("/v1/licences").status_code == 200


@pytest.mark.parametrize(
    ("peer", "header", "counted"),
    [
        ("10.0.0.7", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.7", "9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.7", "1.2.3.4, 10.0.0.7", "1.2.3.4"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.8", "1.2.3.4", "10.0.0.8"),
        ("2001:db8::1", "", "2001:db8::/64"),
        ("::ffff:1.2.3.4", "", "1.2.3.4"),
    ],
)
def test_a_client_behind_a_proxy(built: Service, peer: str, header: str, counted: str) -> None:
    """`X-Forwarded-For` counts from a proxy that the settings name, its nearest address that is no proxy."""
    scope = {
        "type": "http", "method": "GET", "path": "/", "client": (peer, 1),
        "headers": [(b"x-forwarded-for", header.encode())] if header else [],
    }  # fmt: skip
    assert counted == built.callers.client(Request(scope))


def test_uploads_have_a_quota(client: TestClient) -> None:
    """A day's bytes for each caller; then 429, with the time to wait."""
    assert client.post("/v1/materials", content=b"a" * 2000).status_code == 201
    found = client.post("/v1/materials", content=b"b" * 2000)
    assert (found.status_code, int(found.headers["Retry-After"]) > 60) == (429, True)


def test_results_of_a_batch_are_numbered(client: TestClient) -> None:
    """A refused event can be found again, whether or not it has an id."""
    batch = b"[" + raw(event(id="i-0")) + b', {"id": "i-1", "id": "i-1"}, NaN]'
    found = client.post("/v1/events", content=batch, headers=BATCH)
    rows = [(row["index"], row["id"], row["state"]) for row in found.json()["results"]]
    assert found.status_code == 207
    assert [(0, "i-0", "taken"), (1, "i-1", "rejected"), (2, "", "rejected")] == rows


def test_a_reader_of_nothing(client: TestClient, built: Service) -> None:
    """An agency without competence sees no licence; one with it sees all."""
    data: Path = built.lookups._settings.data
    try:
        for source, count in ((STRANGER, 0), (PROVINCE, LICENCES)):
            secret, _ = built.tokens.make("agency", source, source, datetime.now(UTC), None)
            found = client.get("/v1/licences", headers={"Authorization": f"Bearer {secret}"})
            assert count == len(found.json())
    finally:
        (data / "tokens.json").unlink()
