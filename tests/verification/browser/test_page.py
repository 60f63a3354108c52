"""The verifier's page in a real browser, as a person with a phone meets it."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zxingcpp
from bureau import identifier
from forger import PublicLog, entry_of
from forgeries import flip
from logs import licence, licences
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Playwright
from verifier_site import Site, chromium

from schemas.licence import qr_text
from schemas.status_list import StatusReason
from verification.browser_page import EnclosedList, assets, fragment, standalone_page

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport=PHONE, locale="zh-CN")
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    return opened


def verdict(page: Page) -> tuple[str | None, str | None]:
    """Return what `data-verdict` and `data-genuine` say, once they say something."""
    found = page.locator("#v-answer[data-verdict]")
    found.wait_for()
    return found.get_attribute("data-verdict"), found.get_attribute("data-genuine")


def choose(page: Page, *files: tuple[str, bytes]) -> tuple[str | None, str | None]:
    """Choose files as a user does."""
    page.evaluate("document.querySelector('#v-answer').removeAttribute('data-verdict')")
    payload: list[Any] = [{"name": name, "mimeType": "", "buffer": data} for name, data in files]
    page.set_input_files("#v-file", payload)
    return verdict(page)


def said(page: Page) -> str:
    return page.inner_text("#v-answer")


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_scanned_code_leads_to_a_verdict(browser: Browser, site: Site, viewport: Any) -> None:
    """The address in the QR shows the licence, its holder and `valid`, without scrolling sideways."""
    page = browser.new_page(viewport=viewport)
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")
    assert "青海盐湖化肥有限公司" in said(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_what_is_after_the_hash_never_leaves(page: Page, site: Site) -> None:
    """No request holds a digit of the credential, and none goes to another host."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url + (request.post_data or "")))
    page.goto(site.link)
    verdict(page)
    digits = site.text.partition("#")[2]
    assert asked
    assert all(url.startswith(f"{site.address}/") for url in asked)
    assert not any(digits[:12] in path for path in site.asked)
    assert [url for url in asked if digits in url] == [site.link] * sum(url == site.link for url in asked)


def test_works_offline_after_one_visit(page: Page, context: BrowserContext, site: Site) -> None:
    """Scan, go offline, scan again: the same verdict, with the age of the status list."""
    site.publish(timedelta(hours=30))
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")
    page.locator("#verifier[data-offline=ready]").wait_for()
    context.set_offline(True)
    page.goto("about:blank")
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")
    assert "没有网络" in said(page)
    assert "30 小时" in said(page)


def test_list_that_was_never_used_is_kept_too(page: Page, context: BrowserContext, site: Site) -> None:
    """One visit to the empty page is enough for the lists that the bundle names."""
    page.goto(f"{site.address}/verify")
    page.locator("#verifier[data-offline=ready]").wait_for()
    context.set_offline(True)
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")


def test_offline_with_an_old_list_is_unknown(page: Page, context: BrowserContext, site: Site) -> None:
    """Seven days after the list's time nothing can be told of the status; the licence stays genuine."""
    site.publish(timedelta(days=8))
    page.goto(site.link)
    assert verdict(page) == ("unknown", "true")


def test_invalid_licence_says_why(page: Page, site: Site) -> None:
    """The reason and its day, from the signed reasons."""
    site.publish(reason=StatusReason("revoked", "吊销 / revoked", "2024-05-06"))
    page.goto(site.link)
    assert verdict(page) == ("invalid", "true")
    assert "吊销" in said(page)
    assert "2024-05-06" in said(page)


def test_files_are_judged_by_their_content(page: Page, site: Site) -> None:
    """PDF, CWT, JSON with its credential; names say nothing."""
    page.goto(f"{site.address}/verify")
    assert choose(page, ("a.txt", site.pdf)) == ("valid", "true")
    assert choose(page, ("b.pdf", site.cwt)) == ("valid", "true")
    assert choose(page, ("licence.json", site.body), ("credential.cwt", site.cwt)) == ("valid", "true")
    assert choose(page, ("licence.json", site.body)) == ("unknown", "false")
    assert "credential.cwt" in said(page)


def test_tampered_pdf_says_what_to_do(page: Page, site: Site) -> None:
    """It is `invalid`, and the original file or its QR can be checked."""
    page.goto(f"{site.address}/verify")
    assert choose(page, ("licence.pdf", flip(site.pdf, 5000))) == ("invalid", "false")
    assert "原件" in said(page)
    assert "青海" not in said(page)
    page.locator("#v-answer summary").click()
    assert page.locator("#v-answer [data-check=seal][data-ok=false]").count() == 1


def test_text_is_checked_as_scanners_give_it(page: Page, site: Site) -> None:
    """The QR's own text, or the address that a browser made of it."""
    page.goto(f"{site.address}/verify")
    for text in (site.text, site.text.lower(), f"  {site.text}\n"):
        page.fill("#v-text", text)
        page.click("#v-form button[type=submit]")
        assert verdict(page) == ("valid", "true"), text[:40]
    page.fill("#v-text", "WIFI:T:WPA;S:guest;P:secret;;")
    page.click("#v-form button[type=submit]")
    page.get_by_text("不是证照二维码").first.wait_for()


def test_fragment_of_a_million_digits(page: Page, site: Site) -> None:
    """A clear answer; the page goes on working."""
    page.goto(f"{site.address}/verify")
    page.evaluate("location.hash = '7'.repeat(1_000_000)")
    assert verdict(page) == ("unknown", "false")
    assert "不是证照二维码" in said(page)
    assert choose(page, ("x.cwt", site.cwt)) == ("valid", "true")


def test_pdf_of_80_megabytes_is_not_read(page: Page, site: Site, tmp_path: Path) -> None:
    """It says that this is no original, in the user's language."""
    large = tmp_path / "large.pdf"
    large.write_bytes(b"%PDF-1.7\n" + bytes(80 << 20))
    page.goto(f"{site.address}/verify")
    page.set_input_files("#v-file", str(large))
    assert verdict(page) == ("unknown", "false")
    assert "不是证照原件" in said(page)


@pytest.mark.parametrize("days", [-1, 1])
def test_clock_that_is_a_day_off_is_said(page: Page, site: Site, days: int) -> None:
    """The server's time counts; the verdict is no other for it."""
    page.clock.install(time=time.time() + 86_400 * days)
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")
    assert "时钟" in said(page)


def test_clock_behind_without_a_network(page: Page, context: BrowserContext, site: Site) -> None:
    """A list that was signed later than the phone's clock proves it wrong: said, and no reason against the licence."""
    page.goto(site.link)
    verdict(page)
    page.locator("#verifier[data-offline=ready]").wait_for()
    context.set_offline(True)
    page.clock.install(time=time.time() - 86_400)
    page.goto("about:blank")
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")
    assert "时钟早于" in said(page)


def test_network_that_breaks_in_the_middle(page: Page, site: Site) -> None:
    """Without a list the licence is genuine and its status unknown; the next question asks again."""
    page.route("**/status/**", lambda route: route.abort())
    page.goto(site.link)
    assert verdict(page) == ("unknown", "true")
    assert "没有网络" in said(page)
    page.unroute("**/status/**")
    page.fill("#v-text", site.text)
    page.click("#v-form button[type=submit]")
    page.locator("#v-answer[data-verdict=valid]").wait_for()


def test_no_bundle_no_verdict(page: Page, site: Site) -> None:
    """Neither true nor false can be said without the trust list."""
    page.route("**/trust/bundle", lambda route: route.abort())
    page.goto(site.link)
    assert verdict(page) == ("unknown", "false")
    assert "信任目录" in said(page)


def test_older_bundle_than_seen_is_said(page: Page, site: Site) -> None:
    """A revocation could be kept back: the page remembers the newest edition and another root."""
    page.goto(f"{site.address}/verify")
    page.evaluate("""async () => {
      localStorage.setItem('zhengzhao-trust', JSON.stringify({ root: 'other', sequence: 9 }));
    }""")
    page.goto(site.link)
    assert verdict(page) == ("valid", "true")
    assert "根证书与本机以前见过的不同" in said(page)


def test_other_installation_s_licence_is_not_believed(page: Page, site: Site, tmp_path: Path) -> None:
    """Another authority's QR: no key of it is in the list; nothing is asked of its host."""
    other = Site(tmp_path / "other")
    page.goto(f"{site.address}/verify")
    page.fill("#v-text", other.text)
    page.click("#v-form button[type=submit]")
    assert verdict(page) == ("invalid", "false")
    assert other.asked == []
    other.close()


def test_markup_in_a_name_stays_text(page: Page, context: BrowserContext, site: Site) -> None:
    """Nothing of a licence becomes markup or script, and the policy is never broken."""
    broken: list[str] = []
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: broken.append("dialog"))
    page.goto(f"{site.address}/verify")
    for name in (
        "<img src=x onerror=alert(1)><script>alert(2)</script>",
        "javascript:alert(1)",
        '=HYPERLINK("//x")',
        "青海\u202e公司限有\u202c化工",
        "长" * 59,  # a credential has room for 180 bytes
    ):
        grant = msgspec.structs.replace(site.licence.grant, holder_name=name)
        cwt, _ = site.bureau.credential(msgspec.structs.replace(site.licence, grant=grant))
        assert choose(page, ("x.cwt", cwt)) == ("valid", "true")
        assert page.inner_text("[data-field=holder_name]") == name
        assert page.locator("#v-answer img, #v-answer a[href^=javascript]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert broken == []


def test_picture_of_nothing(page: Page, site: Site) -> None:
    """A blank picture, and a broken one, are no licence: said, with what to do, and nothing is judged false."""
    page.goto(f"{site.address}/verify")
    blank = io.BytesIO()
    Image.new("RGB", (900, 700), "white").save(blank, "PNG")
    for content in (blank.getvalue(), blank.getvalue()[:200]):
        assert choose(page, ("photo.png", content)) == ("unknown", "false")
        assert "二维码" in said(page)


def test_english(browser: Browser, site: Site) -> None:
    """The page speaks the language of its frame."""
    site.serve("/verify", "text/html", site.paths["/verify"][1].replace(b'lang="zh-CN"', b'lang="en"'))
    page = browser.new_page()
    page.goto(f"{site.address}/verify")
    assert choose(page, ("x.txt", b"not a licence")) == ("unknown", "false")
    assert "Not a file that can be checked" in said(page)
    assert not re.search("[\u4e00-\u9fff]", page.inner_text("#verifier"))
    page.close()


def test_moment_that_is_asked_for(page: Page, site: Site) -> None:
    """A court asks of a past day: China time, and the edition of then where there is one."""
    page.goto(f"{site.address}/verify")
    page.fill("#v-moment", "2011-01-01T00:00")
    assert choose(page, ("x.cwt", site.cwt)) == ("invalid", "true")
    assert any(path.startswith("/status/") and "time=1293811200" in path for path in site.asked)


def test_camera(playwright: Playwright, site: Site, tmp_path: Path) -> None:
    """The camera's picture of a QR leads to the verdict; the library is loaded only then."""
    film = tmp_path / "film.y4m"
    film.write_bytes(_film(site.text))
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    browser = chromium(playwright, *fake, f"--use-file-for-fake-video-capture={film}")
    context = browser.new_context(viewport=PHONE, permissions=["camera"], service_workers="block")
    page = context.new_page()
    page.goto(f"{site.address}/verify")
    page.locator("#v-camera:visible").wait_for()
    assert not any("/vendor/" in path for path in site.asked)
    page.click("#v-camera")
    assert verdict(page) == ("valid", "true")
    assert page.evaluate("document.querySelector('#v-video').srcObject") is None
    browser.close()


def test_single_file_verifies_from_a_stick(browser: Browser, site: Site, tmp_path: Path) -> None:
    """Opened from a file without any network: bundle and list inside, nothing asked of anybody, both languages."""
    path = tmp_path / "verify.html"
    path.write_bytes(
        standalone_page(site.bundle, [EnclosedList(site.edition.list_cwt, site.edition.reasons_cwt)])
    )
    context = browser.new_context(viewport=PHONE, locale="zh-CN", offline=True)
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri())
    assert choose(page, ("licence.pdf", site.pdf)) == ("valid", "true")
    assert choose(page, ("licence.pdf", flip(site.pdf, 5000))) == ("invalid", "false")
    page.fill("#v-text", site.text)
    page.click("#v-form button[type=submit]")
    page.locator("#v-answer[data-verdict=valid]").wait_for()
    picture = _png(site.text)
    assert choose(page, ("qr.png", picture)) == ("valid", "true")
    page.click("#v-language")
    assert "The licence is genuine and in force." in said(page)
    assert errors == []
    assert [url for url in asked if not url.startswith("blob:")] == [path.as_uri()]
    context.close()


def test_single_file_takes_status_lists(browser: Browser, site: Site, tmp_path: Path) -> None:
    """Without a list inside the status is unknown; a list that is given decides."""
    path = tmp_path / "verify.html"
    path.write_bytes(standalone_page(site.bundle))
    page = browser.new_page()
    page.goto(path.as_uri())
    assert choose(page, ("x.cwt", site.cwt)) == ("unknown", "true")
    assert choose(page, ("list.cwt", site.edition.list_cwt), ("x.cwt", site.cwt)) == ("valid", "true")
    page.close()


def test_verdict_comes_at_once(page: Page, site: Site) -> None:
    """From the scanned text to the verdict, list and trust asked for: below 300 ms where nothing else runs."""
    page.goto(f"{site.address}/verify")
    page.fill("#v-text", site.text)
    page.click("#v-form button[type=submit]")
    assert verdict(page) == ("valid", "true")
    seconds = page.evaluate("""async () => {
      const answer = document.querySelector("#v-answer"), found = [];
      for (let n = 0; n < 10; n += 1) {
        answer.removeAttribute("data-verdict");
        const done = new Promise((end) => {
          const look = new MutationObserver(() => { if (answer.dataset.verdict) { look.disconnect(); end(); } });
          look.observe(answer, { attributes: true });
        });
        const began = performance.now();
        document.querySelector("#v-form").requestSubmit();
        await done;
        found.push(performance.now() - began);
      }
      return found;
    }""")
    assert min(seconds) < 300, seconds


def test_page_is_small() -> None:
    """All that a visit loads, but for the library of the camera, stays below 150 KB."""
    own = [asset.content for place, asset in assets().items() if "/vendor/" not in place]
    assert sum(map(len, own)) + len(fragment()) <= 150_000


def _film(text: str) -> bytes:
    """Return a film of one frame that shows a QR, as Chromium's fake camera takes it."""
    code = _code(text)
    frame = Image.new("L", (1280, 960), 255)
    side = 900
    frame.paste(code.resize((side, side)), ((1280 - side) // 2, (960 - side) // 2))
    chroma = bytes([128]) * (640 * 480)
    return b"YUV4MPEG2 W1280 H960 F10:1 Ip C420jpeg\n" + (b"FRAME\n" + frame.tobytes() + chroma * 2) * 2


def _code(text: str) -> Any:
    return Image.fromarray(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image(scale=6))


def _png(text: str) -> bytes:
    out = io.BytesIO()
    _code(text).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, PublicLog]]:
    """A site whose trust list names a log, and the log, which has the licence among 300 others."""
    folder = tmp_path_factory.mktemp("logged")
    site = Site(folder / "data", logged=True)
    log = PublicLog(folder / "log", site.bureau)
    log.add(
        datetime.now(UTC), *licences(200), entry_of(site.licence, site.cwt, site.pdf), *licences(100, 201)
    )
    yield site, log
    site.close()


def test_a_proof_beside_the_licence_is_checked(page: Page, logged: tuple[Site, PublicLog]) -> None:
    """With its own proof the licence is valid, with that of another one it cannot be told; a proof alone is no licence."""
    site, log = logged
    page.goto(f"{site.address}/verify")
    own = log.proof(entry_of(site.licence, site.cwt, site.pdf))
    assert ("valid", "true") == choose(page, ("licence.pdf", site.pdf), ("licence.tlog-proof", own))
    assert 1 == page.locator("[data-check=log][data-ok=true]").count()
    assert ("unknown", "true") == choose(page, ("other", log.proof(licence(5))), ("licence.pdf", site.pdf))
    assert ("unknown", "false") == choose(page, ("licence.tlog-proof", own))


def test_the_log_of_the_site_is_asked(page: Page, logged: tuple[Site, PublicLog]) -> None:
    """Without a log the status decides; where the site has one the licence must be in it, and nobody learns which."""
    site, log = logged
    page.goto(site.link)
    assert ("valid", "true") == verdict(page)
    assert 0 == page.locator("[data-check=log]").count()
    site.serve_log(log)
    site.asked.clear()
    page.reload()
    assert ("valid", "true") == verdict(page)
    assert 1 == page.locator("[data-check=log][data-ok=true]").count()
    assert {"/log/checkpoint"} < {path for path in site.asked if path.startswith("/log/")}
    again = site.bureau.credential(msgspec.structs.replace(site.licence, identifier=identifier(2)))[0]
    page.goto("about:blank")
    page.goto(f"{site.address}/#{qr_text(site.host, again).partition('#')[2]}")
    assert ("unknown", "true") == verdict(page)
