"""The public pages, asked for as a browser does and looked at in a real one, on a phone and on a desk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import axe_playwright_python
import httpx
import pytest
from draws_told import REASON, RESULT, ToldDraws, two_draws
from forgeries import flip
from markupsafe import escape
from playwright.sync_api import Browser, expect
from portal_site import printed
from served import given_port, serving, until_stopped
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from story import PROVINCE, Events, ric, uscc

from infra.cli import main
from infra.http.pages import POLICY
from infra.http.service import listen, server_of, service
from infra.settings import Settings
from schemas.calendar import CHINA
from schemas.licence import qr_text

HTML = {"Accept": "text/html", "Accept-Language": "zh-CN"}
OLD, NEW = "青海雪域昆仑盐湖化肥有限公司", "青海三江绿源农资有限公司"
HOSTILE = "=1+1<script>alert(1)</script>\"'&amp;javascript:名"
LONG = "长" * 190
PERSON, PERSON_NAME, PERSON_NUMBER = ric(7), "卓玛央金", "TS-9"
IMPORTED = 40
PORT = given_port()
LEADS_TO = f"127.0.0.1:{PORT}"
"""The host of the licences: a code is checked where it leads."""
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
PATHS = (
    "/", "/verify", "/register", "/register?q=%E7%9B%90%E6%B9%96", "/items", "/items/industrial-product-licence",
    "/items/business-licence?division=630225", "/promises", "/draws", "/log", "/nothing", "/register/none",
)  # fmt: skip


BEGAN = datetime.now(CHINA) - timedelta(days=2)


def moment(minute: int) -> str:
    """Return the time of an event, some minutes into the story."""
    return (BEGAN + timedelta(minutes=minute)).isoformat(timespec="seconds")


def story() -> Events:
    """Four enterprises, one of which changes its name and one of which loses its licence, and a person."""
    e = Events()

    def applicant(n: int, name: str) -> dict[str, str]:
        return {"kind": "enterprise", "id": uscc(n), "name": name, "address": "积石镇", "division": "630225"}

    for n, name in enumerate((OLD, HOSTILE, LONG, "西宁宏达建材有限公司"), 1):
        e.apply(moment(n), f"A{n}", uscc(n), applicant=applicant(n, name))
    form = [{"kind": "application-form"}]
    e.apply(
        moment(20), "C1", uscc(1), action="change", granted_by="A1", applicant=applicant(1, OLD),
        change={"name": NEW}, materials=form, products=...,
    )  # fmt: skip
    order = {"granted_by": "A4", "holder_id": uscc(4), "ground": "擅自改变<b>", "legal_basis": "条例第 37 条"}
    e.add("licence.revoked", moment(21), {**order, "decided_on": moment(21)[:10]})
    person = {
        "kind": "person",
        "id": PERSON,
        "name": PERSON_NAME,
        "address": "积石镇九号",
        "division": "630225",
    }
    e.add(
        "licence.imported", moment(22),
        {"holder": person, "licence_number": PERSON_NUMBER, "item": "special-equipment-operator",
         "issued_on": "2017-01-01", "valid_from": "2017-01-01", "valid_until": "2021-01-01"},
        "urn:agency:630200:market-regulation",
    )  # fmt: skip
    for n in range(30, 30 + IMPORTED):
        holder = {**applicant(n, f"互助第{n}商店"), "division": "630225"}
        e.add(
            "licence.imported", moment(23),
            {"holder": holder, "licence_number": f"OLD-{n}", "item": "industrial-product-licence",
             "issued_on": "2017-01-01", "valid_from": "2017-01-01", "valid_until": f"{BEGAN.year + 3}-01-01",
             "products": [{"category": "化肥", "site": "积石镇", "detail": "复混肥料"}]},
        )  # fmt: skip
    return e


def describe_authority(folder: Path) -> None:
    """Say in a data folder where the authority of the story is."""
    (folder / "authorities").mkdir(parents=True)
    (folder / "authorities" / "63.toml").write_text(
        f'["{PROVINCE}"]\nhost = "{LEADS_TO}"\naddress = "海晏路 1 号"\n'
        'hours = "9:00—17:00"\ntelephone = "0971-6161234"\ncomplaints = "12345"\n',
        "utf-8",
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the story, and an authority that says where it is."""
    folder = tmp_path_factory.mktemp("public") / "data"
    describe_authority(folder)
    events = folder.parent / "events.jsonl"
    events.write_text(story().text(), "utf-8")
    for command in (
        ["keys", "init", "--valid-from", BEGAN.date().isoformat()],
        ["submit", str(events)],
        ["drain"],
    ):
        assert main([*command, "--data", str(folder), "--json"]) == 0
    return folder


@pytest.fixture(scope="module")
def draws(data: Path) -> ToldDraws:
    """Two draws among the licences of the story."""
    return two_draws(data.parent / "draws", lambda *words: printed(*words, "--data", data))


@pytest.fixture(scope="module")
def built(data: Path, draws: ToldDraws) -> Iterator[Any]:
    with service(Settings(data, workers=1), deciding=False) as made:
        yield made


@pytest.fixture(scope="module")
def client(built: Any) -> Iterator[TestClient]:
    with TestClient(built.app(), base_url="http://127.0.0.1") as opened:
        yield opened


def rows(page: str) -> list[tuple[str, str]]:
    """Number and status of each row of a page."""
    return [
        (unescape(a), b)
        for a, b in re.findall(r'<tr [^>]*data-licence="([^"]*)" data-status="([^"]*)"', page)
    ]


def found(client: TestClient, **asked: str) -> list[tuple[str, str]]:
    answer = client.get("/register", params=asked, headers=HTML)
    assert 200 == answer.status_code
    return rows(answer.text)


def test_half_of_a_former_name_finds_a_licence(client: TestClient) -> None:
    """Two or more characters, or one, of the name of today or of before; the row shows today's name."""
    (first,) = found(client, q=NEW[2:6])
    for asked in (OLD[4:6], OLD[2:9], "盐", "农资", NEW, f"  {NEW[:3]} {NEW[3:5]} "):
        assert [first] == found(client, q=asked), asked
    assert NEW in client.get("/register", params={"q": "盐湖"}, headers=HTML).text
    assert [] == found(client, q="湖盐")
    assert [] == found(client, q="公司西宁")  # no phrase runs from one name into another


def test_number_item_and_status_narrow_the_search(client: TestClient) -> None:
    """A whole number or a part of it; an item; a status that an order changed."""
    everything = found(client, q="XK13-001")
    assert 4 == len(everything)
    number, _ = everything[0]
    assert [everything[0]] == found(client, q=number.replace("(", "（").lower())
    assert everything == found(client, q="XK13-001", item="industrial-product-licence")
    assert ["revoked"] == [status for _, status in found(client, status="revoked")]
    assert [] == found(client, item="business-licence")
    assert [] == found(client, q=number, status="expired")
    assert [] == found(client, status='valid" OR "x', item='"')


def test_pages_follow_one_another(client: TestClient) -> None:
    """Each licence stands on exactly one page, by links alone; a page keeps what was asked for."""
    for asked, count in (
        ("/register", IMPORTED + 4),
        ("/register?q=%E5%95%86%E5%BA%97&status=valid", IMPORTED),
    ):
        seen, place, pages = [], asked, 0
        while place:
            text = client.get(place, headers=HTML).text
            seen += rows(text)
            pages += 1
            following = re.search(r'href="([^"]*)" rel="next"', text)
            place = unescape(following[1]) if following else ""
        assert (count, count, -(-count // 20)) == (len(seen), len(set(seen)), pages)


def test_person_is_found_by_the_whole_number_and_masked(client: TestClient) -> None:
    """Neither the name nor a part of the number finds a person; the page shows a mask."""
    for asked in (PERSON_NAME, "卓玛", PERSON, PERSON_NUMBER[:-1], ""):
        assert PERSON_NUMBER not in [number for number, _ in found(client, q=asked)]
    assert [PERSON_NUMBER] == [number for number, _ in found(client, q=PERSON_NUMBER.lower())]
    for place in (f"/register/{PERSON_NUMBER}", f"/register?q={PERSON_NUMBER}"):
        text = client.get(place, headers=HTML).text
        assert "卓***" in text
        for secret in (PERSON_NAME, "玛", PERSON, "积石镇九号"):
            assert secret not in text, place


def test_licence_page_says_what_everybody_may_know(client: TestClient) -> None:
    """Holder, former name, status and its reason, products, the authority with address and complaints; hooks."""
    (renamed,), (revoked,) = found(client, q=NEW), found(client, status="revoked")
    text = client.get(f"/register/{quote(renamed[0])}", headers=HTML).text
    assert f'data-licence="{renamed[0]}" data-status="valid"' in text
    for expected in (NEW, OLD, uscc(1), "复混肥料", "海晏路 1 号", "0971-6161234", "12345", "曾用名"):
        assert expected in text
    text = client.get(f"/register/{quote(revoked[0])}", headers=HTML).text
    assert 'data-status="revoked"' in text
    assert "擅自改变&lt;b&gt;" in text


def test_names_never_become_markup(client: TestClient) -> None:
    """Markup, a formula, `javascript:` and 190 characters stay text, in rows, titles and the search field."""
    assert 1 == len(found(client, q="javascript:"))
    assert 1 == len(found(client, q=LONG[:150]))
    for place in ("/register?q=%3Cscript%3E", f"/register?q={quote(HOSTILE)}"):
        text = client.get(place, headers=HTML).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    "asked",
    [
        "长" * 201,
        "\x00",
        "\u202e" * 50,
        "%",
        '"',
        "*",
        "a\ud800b".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        "🐎",
        "AND",
        "-",
    ],
)
def test_odd_searches_have_a_clear_page(client: TestClient, asked: str) -> None:
    """What cannot be found is said; what is too long is refused with a page."""
    answer = client.get("/register", params={"q": asked}, headers=HTML)
    assert (400 if len(asked) > 200 else 200) == answer.status_code
    assert "证照查询" in answer.text


def test_guides_name_the_authority_and_how_to_complain(client: TestClient) -> None:
    """On the page of an item, for a place or for all; as PDF too; unknown items and places are said."""
    for place in ("/items/industrial-product-licence", "/items/industrial-product-licence?division=630225"):
        text = client.get(place, headers=HTML).text
        for expected in ("海晏路 1 号", "9:00—17:00", "0971-6161234", "12345"):
            assert expected in text, place
    english = client.get("/items/industrial-product-licence", headers={**HTML, "Accept-Language": "en"}).text
    assert "Commitment letter" in english
    pdf = client.get("/items/industrial-product-licence.pdf?division=630225")
    assert (200, b"%PDF") == (pdf.status_code, pdf.content[:4])
    assert 404 == client.get("/items/no-such", headers=HTML).status_code
    assert 200 == client.get("/items/industrial-product-licence?division=999999", headers=HTML).status_code


def test_errors_are_pages_for_browsers_and_problems_for_programs(client: TestClient) -> None:
    """In the reader's language, with the policy; a program gets problem details as before."""
    for place in ("/nothing", "/register/none", "/draws/none", "/register?other=1", "/draws/none/void.json"):
        chinese, english = (
            client.get(place, headers={**HTML, "Accept-Language": lang}) for lang in ("zh", "en")
        )
        assert chinese.status_code in (400, 404)
        assert POLICY == chinese.headers["content-security-policy"]
        assert '<html lang="zh-CN">' in chinese.text
        assert not re.search(
            "[\u4e00-\u9fff]", re.sub(r"<header.*?</header>", "", english.text, flags=re.DOTALL)
        )
    assert "application/problem+json" == client.get("/nothing").headers["content-type"]


def test_language_is_kept_in_a_cookie(built: Any) -> None:
    """Asked for once in the address, it holds on the next page; the switch leads to the same page."""
    with TestClient(built.app(), base_url="http://127.0.0.1") as reader:
        first = reader.get("/register?q=x&lang=en", headers=HTML)
        assert "HttpOnly" in first.headers["set-cookie"]
        assert 'href="/register?q=x&amp;lang=zh"' in first.text
        assert '<html lang="en">' in reader.get("/items", headers=HTML).text


def test_a_draw_shows_its_result_and_its_files(client: TestClient, draws: ToldDraws) -> None:
    """The list leads to it; names, authority and published result stand there, and the files as they were signed."""
    listed = client.get("/draws", headers=HTML).text
    assert f'href="/draws/{draws.drawn}"' in listed
    page = client.get(f"/draws/{draws.drawn}", headers=HTML).text
    for expected in (RESULT, draws.target, str(escape(draws.name)), "青海省市场监督管理局"):
        assert expected in page
    assert f"/draws/{draws.drawn}/again" in page
    transcript = client.get(f"/draws/{draws.drawn}/transcript.json")
    assert (200, draws.drawn) == (transcript.status_code, transcript.json()["announcement_digest"])
    assert 404 == client.get(f"/draws/{draws.drawn}/void.json").status_code
    assert 404 == client.get(f"/draws/{draws.drawn}/..%2F..%2Fkeys").status_code


def test_a_voided_draw_is_said_to_be_void(client: TestClient, draws: ToldDraws) -> None:
    """With its reason, as text; it has a void to download and no transcript."""
    page = client.get(f"/draws/{draws.voided}", headers=HTML).text
    assert str(escape(REASON)) in page
    assert REASON not in page
    assert draws.voided in client.get("/draws", headers=HTML).text
    assert REASON == client.get(f"/draws/{draws.voided}/void.json").json()["reason"]
    assert 404 == client.get(f"/draws/{draws.voided}/transcript.json").status_code
    assert 404 == client.get(f"/draws/{draws.voided}/again", headers=HTML).status_code


@pytest.fixture(scope="module")
def address(built: Any) -> Iterator[str]:
    with listen("127.0.0.1", PORT) as listening, until_stopped(server_of(built), listening):
        yield f"http://{LEADS_TO}"


@pytest.mark.parametrize("width", [360, 1280])
def test_pages_in_a_real_browser(
    browser: Browser, address: str, client: TestClient, draws: ToldDraws, width: int
) -> None:
    """No scrolling sideways, no third host, no breach of the policy, and nothing that axe-core finds (in one language)."""
    axe = AXE.read_text("utf-8")
    number = quote(found(client, q="长长")[0][0])
    own = (f"/register/{number}", f"/draws/{draws.drawn}", f"/draws/{draws.voided}")
    for language in ("zh", "en"):
        context = browser.new_context(
            viewport={"width": width, "height": 740}, locale="zh-CN", service_workers="block"
        )
        page = context.new_page()
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda m, wrong=wrong: wrong.append(m.text) if m.type == "error" else None)
        for path in (*PATHS, *own):
            page.goto(f"{address}{path}{'&' if '?' in path else '?'}lang={language}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            if (width, language) in ((360, "zh"), (1280, "en")):
                page.evaluate(axe)
                broken = page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id]))")
                assert [] == broken, path
        assert all(url.startswith(f"{address}/") for url in asked)
        assert [] == [text for text in wrong if "404" not in text]
        context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_stranger_goes_the_whole_way(browser: Browser, address: str, draws: ToldDraws, width: int) -> None:
    """Find a firm by half its former name, scan, `valid`, offline, scan again; a tampered PDF, why; a draw's result."""
    context = browser.new_context(viewport={"width": width, "height": 740}, locale="zh-CN")
    page = context.new_page()
    page.goto(address)
    page.locator('form.search [name="q"]').fill(OLD[2:6])
    page.keyboard.press("Enter")
    number = str(page.locator("[data-licence]").first.get_attribute("data-licence"))
    page.get_by_role("link", name=number).click()
    expect(page.locator(f'[data-licence="{number}"][data-status="valid"]')).to_contain_text(NEW)
    held = {
        form: httpx.get(f"{address}/v1/licences/{quote(number)}/artefact", params={"format": form}).content
        for form in ("cwt", "pdf")
    }
    scanned = f"{address}/#{qr_text(LEADS_TO.upper(), held['cwt']).partition('#')[2]}"
    page.goto(scanned)
    answer = page.locator('#v-answer[data-verdict="valid"][data-genuine="true"]')
    expect(answer).to_contain_text(NEW)
    page.locator("#verifier[data-offline=ready]").wait_for()
    context.set_offline(True)
    page.goto("about:blank")
    page.goto(scanned)
    expect(answer).to_contain_text("没有网络")
    context.set_offline(False)
    page.goto(f"{address}/verify")
    tampered: Any = {"name": "licence.pdf", "mimeType": "", "buffer": flip(held["pdf"], 5000)}
    page.set_input_files("#v-file", tampered)
    expect(page.locator('#v-answer[data-verdict="invalid"][data-genuine="false"]')).to_contain_text("原件")
    page.locator("#v-answer summary").click()
    expect(page.locator("#v-answer [data-check=seal][data-ok=false]")).to_be_visible()
    page.goto(f"{address}/draws")
    page.locator(f'a[href="/draws/{draws.drawn}"]').click()
    expect(page.locator("#results")).to_contain_text(RESULT)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_pages_of_other_sites_neither_frame_nor_send(browser: Browser, address: str) -> None:
    """A frame stays empty, a form is refused with a page in the reader's language, nothing but trust and status is read."""
    site = f'''<!doctype html><iframe src="{address}/register"></iframe>
        <form method="post" action="{address}/login"><input name="link" value="x"><button>go</button></form>'''

    async def answer(request: Request) -> HTMLResponse:
        return HTMLResponse(site)

    with serving(Starlette(routes=[Route("/", answer)])) as other:
        page = browser.new_page(locale="zh-CN")
        page.goto(other)
        assert "证照查询" not in page.frames[1].content()
        read = """async (place) => { try { return (await fetch(place)).status; } catch { return 0; } }"""
        places = ("/register", "/v1/licences", "/trust/bundle")
        told = [page.evaluate(read, address + place) for place in places]
        assert [0, 0, 200] == told, told
        with page.expect_navigation() as sent:
            page.get_by_role("button", name="go").click()
        assert 403 == (sent.value.status if sent.value else None)
        expect(page.locator("h1")).to_contain_text("无权")
        page.close()


def test_page_prints_without_navigation(browser: Browser, address: str) -> None:
    """On paper the frame's links and forms are gone, and the table is one."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/register")
    page.emulate_media(media="print")
    assert not page.locator("header.site nav").is_visible()
    assert not page.locator("form.search").is_visible()
    assert page.locator("main table").is_visible()
    page.close()
