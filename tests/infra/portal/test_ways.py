"""The ways of an enterprise and of officers in a real browser, on a phone and a desktop, with and without scripts."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect
from portal_site import PNG, PortalSite, answers
from story import ric, uscc

SIZES = [(360, False), (1280, True)]
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"


def opened(browser: Browser, width: int, script: bool) -> Page:
    """Return a page of a new visitor."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, java_script_enabled=script, locale="zh-CN"
    )
    return context.new_page()


def log_in(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="登录").click()


def fill(page: Page, values: dict[str, str]) -> None:
    for name, value in values.items():
        field = page.locator(f'[name="{name}"]')
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def settled(page: Page, state: str) -> None:
    """Wait as a reader does: the page renews itself while something is under way."""
    expect(page.locator(f'article[data-state="{state}"]')).to_be_visible(timeout=60_000)


def fits(page: Page, looked: bool = False) -> None:
    """Assert that nothing stands out over the edge of the screen, and (where scripts run) that axe finds nothing serious."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url
    if looked:
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate(
            "axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))"
        )
        assert [] == [one for one in found if one[0] in ("serious", "critical")], page.url


@pytest.mark.slow
@pytest.mark.parametrize(("width", "script"), SIZES)
def test_an_enterprise_goes_the_whole_way(
    site: PortalSite, browser: Browser, width: int, script: bool, tmp_path: Path
) -> None:
    """Log in, apply, be asked for what is missing, supply it, get letters and licence, show it, change the address."""
    page, looked = opened(browser, width, script), script and site.service is not None
    log_in(page, site.link("--enterprise", uscc(300 + width)))
    fits(page, looked)
    page.screenshot(path=tmp_path / "my-empty.png", full_page=True)
    page.get_by_role("link", name="全国工业产品生产许可证").first.click()
    fill(page, {**answers(), "applicant.address": ""})
    page.screenshot(path=tmp_path / "apply.png", full_page=True)
    fits(page, looked)
    page.get_by_role("button", name="提交申请").click()
    expect(page.locator('article[data-state="correction-requested"]')).to_be_visible()
    page.screenshot(path=tmp_path / "correction.png", full_page=True)
    fits(page, looked)
    fill(page, {"applicant.address": "青海省循化撒拉族自治县积石镇一号"})
    page.locator('[name="materials.business-licence"]').set_input_files(
        {"name": "licence.png", "mimeType": "image/png", "buffer": PNG}
    )
    page.get_by_role("button", name="提交补正").click()
    settled(page, "issued")
    page.screenshot(path=tmp_path / "issued.png", full_page=True)
    page.get_by_role("link", name="查看证照").click()
    page.screenshot(path=tmp_path / "licence.png", full_page=True)
    fits(page, looked)
    page.get_by_role("link", name="亮证").click()
    page.screenshot(path=tmp_path / "code.png")
    fits(page, looked)
    assert "青海示范" not in page.locator("article").inner_text()
    page.go_back()
    page.get_by_role("link", name="变更名称、住所等").click()
    fill(page, {"change.address": "循化县积石镇二号"})
    page.screenshot(path=tmp_path / "change.png", full_page=True)
    page.get_by_role("button", name="提交申请").click()
    settled(page, "issued")
    page.goto(f"{site.address}/my")
    page.screenshot(path=tmp_path / "my.png", full_page=True)
    fits(page, looked)
    expect(page.locator('[data-kind="grant"]')).to_have_count(2)
    expect(page.locator('[data-kind="correction"]')).to_have_count(1)
    page.goto(f"{site.address}/my?lang=en")
    expect(page.get_by_role("heading", name="Letters")).to_be_visible()
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "script"), SIZES)
def test_officers_review_and_suspend_with_a_second_person(
    site: PortalSite, browser: Browser, width: int, script: bool, tmp_path: Path
) -> None:
    """A special-equipment case is approved the same day; a suspension counts when another officer has confirmed it."""
    number, looked = ric(width % 50 + 1), script and site.service is not None
    person = opened(browser, width, script)
    log_in(person, site.link("--person", number))
    person.goto(f"{site.address}/apply/special-equipment-operator")
    fill(
        person,
        {"applicant.name": "马海兰", "applicant.address": "循化县积石镇", "applicant.division": "630225"},
    )
    for field in person.locator('input[type="file"]').all():
        field.set_input_files({"name": "paper.png", "mimeType": "image/png", "buffer": PNG})
    if person.locator('[name="signatory"]').count():
        fill(person, {"signatory": "马海兰", "signed_on": answers()["signed_on"]})
    person.get_by_role("button", name="提交申请").click()
    settled(person, "accepted")
    case = person.locator("article").get_attribute("data-application")
    officer = opened(browser, width, script)
    log_in(officer, site.link("--agency", PROVINCE, "--role", "reviewer", "--name", "张三"))
    expect(officer.locator(f'[data-application="{case}"]')).to_be_visible()
    officer.screenshot(path=tmp_path / "desk.png", full_page=True)
    fits(officer, looked)
    officer.get_by_role("link", name=str(case)).click()
    review = officer.locator("#review")
    review.locator('[name="holder_id"]').fill(number)
    officer.screenshot(path=tmp_path / "case.png", full_page=True)
    fits(officer, looked)
    review.get_by_role("button", name="同意").click()
    settled(officer, "issued")
    officer.locator('a[href^="/desk/licences/"]').click()
    officer.screenshot(path=tmp_path / "desk-licence.png", full_page=True)
    fits(officer, looked)
    orders = officer.locator("#orders")
    orders.locator('[name="holder_id"]').fill(number)
    orders.locator('[name="ground"]').fill("停业整顿")
    orders.locator('[name="until"]').fill("2027-12-31")
    orders.get_by_role("button", name="暂扣").click()
    expect(officer.locator("[data-proposal]")).to_have_count(1)
    expect(officer.get_by_role("button", name="确认", exact=True)).to_have_count(0)
    person.goto(f"{site.address}/my")
    expect(person.locator('[data-status="valid"]')).to_have_count(1)
    second = opened(browser, width, script)
    log_in(second, site.link("--agency", PROVINCE, "--role", "supervisor", "--name", "李四"))
    second.goto(f"{site.address}/desk/orders")
    second.screenshot(path=tmp_path / "orders.png", full_page=True)
    fits(second, looked)
    second.get_by_role("button", name="确认", exact=True).click()
    expect(second.locator("[data-proposal]")).to_have_count(0)
    person.reload()
    expect(person.locator('[data-status="suspended"]')).to_have_count(1)
    expect(person.locator('[data-kind="suspended"]')).to_have_count(1)
    for place in ("/desk/dead-letters", "/visits", "/account/passkeys", "/desk/cases/none", "/logout"):
        second.goto(site.address + place)
        fits(second, looked)
    for page in (person, officer, second):
        page.context.close()


PROVINCE = "urn:agency:630000:market-regulation"


@pytest.mark.slow
def test_an_officer_of_another_division_finds_nothing(site: PortalSite) -> None:
    """A guessed address is 404 for an officer whose agency has nothing to do with the case."""
    visitor = site.enterprise(390)
    case = visitor.apply()
    name = case.url.path.rpartition("/")[2]
    stranger = site.officer("reviewer", "urn:agency:632801:market-regulation")
    assert 404 == stranger.web.get(f"/desk/cases/{name}").status_code
    assert 404 == stranger.web.get("/my").status_code
    assert 404 == visitor.web.get("/desk").status_code
    own = site.officer("reviewer")
    assert 200 == own.web.get(f"/desk/cases/{name}").status_code
