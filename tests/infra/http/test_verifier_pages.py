"""The verifier for browsers as the service serves it, and the one file that the command writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bureau import DECIDED, PROVINCE, Bureau, numbered
from starlette.testclient import TestClient
from story import Events, uscc

from infra.cli import main
from infra.http.pages import POLICY
from infra.http.service import service
from infra.settings import Settings
from schemas.trust import load_trust
from verification.browser_page import assets, modules, trust_bundle, trust_files

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one licence, whose status list is published."""
    folder = tmp_path_factory.mktemp("pages") / "data"
    told = Events()
    told.apply("2018-09-10T09:12:00+08:00", "V-1", uscc(1))
    events = folder.parent / "events.jsonl"
    events.write_text("\n".join(map(json.dumps, told.lines)), "utf-8")
    for command in (["keys", "init", "--valid-from", "2018-01-01"], ["submit", str(events)], ["drain"]):
        assert main([*command, "--data", str(folder), "--json"]) == 0
    return folder


@pytest.fixture(scope="module")
def client(data: Path) -> Iterator[TestClient]:
    with (
        service(Settings(data, workers=1), deciding=False) as built,
        TestClient(built.app(), base_url="http://127.0.0.1") as client,
    ):
        yield client


def test_verify_page_loads_nothing_from_others(client: TestClient) -> None:
    """The policy allows the site alone; all that the page names is served, and any other path is not."""
    page = client.get("/verify", headers=HTML)
    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert POLICY == page.headers["content-security-policy"]
    assert "unsafe" not in POLICY
    for place in ("/verifier/verify.css", *modules()):
        assert f'"{place}"' in page.text
    for place, asset in assets().items():
        answer = client.get(place)
        assert (200, asset.content) == (answer.status_code, answer.content), place
        assert asset.media_type == answer.headers["content-type"]
    assert "no-cache" == client.get("/sw.js").headers["cache-control"]
    for place in (
        "/verifier/verify.html",
        "/verifier/package.json",
        "/verifier/..%2Fverify.py",
        "/verifier/",
    ):
        assert 404 == client.get(place).status_code, place


def test_language_is_the_address_or_the_browsers(client: TestClient) -> None:
    """Chinese unless one of them asks for English."""
    for place, asked, language in (
        ("/verify", "zh-CN", "zh-CN"), ("/verify", "en-GB,zh", "en"), ("/verify?lang=zh", "en", "zh-CN"),
        ("/?lang=en", "zh-CN", "en"), ("/", "de", "zh-CN"),
    ):  # fmt: skip
        client.cookies.clear()  # which would keep the language of the address before
        page = client.get(place, headers={**HTML, "Accept-Language": asked})
        assert f'<html lang="{language}">' in page.text, (place, asked)
    assert 400 == client.get("/verify?other=1", headers=HTML).status_code


def test_home_is_a_page_for_browsers_and_addresses_for_programs(client: TestClient) -> None:
    """The verifier of the home page stays hidden until there is something to check."""
    page = client.get("/", headers=HTML)
    assert 'id="verifier" hidden' in page.text
    assert 'href="/verify"' in page.text
    assert POLICY == page.headers["content-security-policy"]
    assert "zhengzhao" == client.get("/").json()["service"]


def test_bundle_is_the_trust_folder_for_every_origin(client: TestClient, data: Path) -> None:
    """With the names of the published lists; pages of other sites may read it, the folder and the lists."""
    answer = client.get("/trust/bundle")
    names = sorted(path.name for path in (data / "objects" / "status").iterdir())
    assert names
    assert trust_bundle(trust_files(data / "trust"), names) == answer.content
    edition = next((data / "trust" / "editions").iterdir())
    assert edition.read_bytes() == client.get(f"/trust/editions/{edition.name}").content
    for place in ("editions/", "editions/none.json", "editions/..%2Ftrust.json", "editions/x/y.json"):
        assert 404 == client.get(f"/trust/{place}").status_code, place
    for place in ("/trust/bundle", "/trust/trust.json", "/trust/root.pem", f"/status/{names[0]}"):
        assert "*" == client.get(place).headers["access-control-allow-origin"], place
    for place in ("/verify", "/v1/licences"):
        assert "access-control-allow-origin" not in client.get(place).headers, place


def test_command_writes_one_page_with_trust_and_lists(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It holds the root, the newest edition of each list, and no address to load from."""
    target = tmp_path / "verify.html"
    assert main(["verifier", "-o", str(target), "--data", str(data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    page = target.read_text("utf-8")
    inside = json.loads(page.partition('id="v-inside">')[2].partition("</script>")[0])
    lists = [path.name for path in (data / "objects" / "status").iterdir()]
    assert {"file": str(target), "lists": len(lists)} == told
    assert len(lists) == len(inside["lists"])
    assert all(one["list"] and one["reasons"] for one in inside["lists"])
    assert (
        load_trust(data / "trust").listing.sequence
        == json.loads(json.loads(inside["bundle"])["trust"])["sequence"]
    )
    assert 'src="' not in page


def test_command_without_a_trust_folder_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with a hint, and nothing is written."""
    target = tmp_path / "verify.html"
    assert main(["verifier", "-o", str(target), "--data", str(tmp_path / "none")]) == 2
    assert "keys init" in capsys.readouterr().err
    assert not target.exists()


def test_a_thief_with_a_key_and_an_old_date(data: Path, tmp_path: Path) -> None:
    """No licence of his is valid, by the command or over HTTP: at a place never given out, beyond the list, after the revocation."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    thief = Bureau(folder)
    (name,) = (path.name for path in (folder / "objects" / "status").iterdir())
    forged = {
        place: thief.credential(numbered(status_list=name, status_index=place))[0] for place in (0, 1, 5000)
    }
    assert {0: ("valid", True), 1: ("invalid", True), 5000: ("unknown", True)} == _told(folder, forged)
    key = thief.trust.signing_key(PROVINCE, "credential", DECIDED)
    assert 0 == main(["keys", "revoke", key.kid, "--data", str(folder), "--json"])
    assert dict.fromkeys(forged, ("unknown", False)) == _told(folder, forged)


def _told(folder: Path, forged: dict[int, bytes]) -> dict[int, tuple[str, bool]]:
    """Return what the service says of each credential; the command has to say the same."""
    at, told = "2018-09-10T12:00:00+08:00", {}
    with (
        service(Settings(folder, workers=1), deciding=False) as built,
        TestClient(built.app(), base_url="http://127.0.0.1") as client,
    ):
        for place, credential in forged.items():
            kind = {"Content-Type": "application/cwt"}
            answer = client.post("/v1/verify", params={"at": at}, content=credential, headers=kind).json()
            told[place] = (answer["verdict"], answer["genuine"])
            file = folder / "forged.cwt"
            file.write_bytes(credential)
            code = main(["verify", str(file), "--at", at, "--data", str(folder)])
            assert {"valid": 0, "invalid": 1, "unknown": 3}[answer["verdict"]] == code
    return told
