"""The pages of an enterprise, without a script, from the login to the licence."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from portal_site import BUREAU, ITEM, PNG, PortalSite, Visitor, answers, attribute, command
from story import Events, ric, uscc

from infra.cli import main
from schemas.calendar import CHINA
from schemas.items import fields_once, load_catalogue


def test_a_link_logs_in_once(site: PortalSite) -> None:
    """The same link a second time is refused; opening it without pressing the button uses nothing up."""
    link = site.link("--enterprise", uscc(101))
    Visitor(site.address).web.get(link)
    assert "/my" == Visitor(site.address).log_in(link).url.path
    assert 403 == Visitor(site.address).log_in(link).status_code


def test_a_head_request_sends_no_form(site: PortalSite) -> None:
    """Programs that look through mail ask for the head of an address: no link is used up, nobody is logged out."""
    link = site.link("--enterprise", uscc(131))
    assert 200 == Visitor(site.address).web.head(link).status_code
    visitor = Visitor(site.address)
    assert "/my" == visitor.log_in(link).url.path
    assert 200 == visitor.web.head("/logout").status_code
    assert 200 == visitor.web.head(f"/apply/{ITEM}").status_code
    assert "/my" == visitor.web.get("/my").url.path


def test_a_form_without_any_session_leaves_nothing_behind(site: PortalSite) -> None:
    """What strangers post is not kept for a later login, whatever cookie they send."""
    stranger = Visitor(site.address)
    for session in ("", "never-was"):
        stranger.web.cookies.set("zz_session", session)
        answer = stranger.web.post("/my/address", data={"email": "x" * 1000})
        assert "/login" == answer.url.path
    db = sqlite3.connect(site.data / "accounts.db")
    assert [] == db.execute("SELECT path FROM drafts WHERE path = '/my/address'").fetchall()


def test_an_error_page_knows_who_is_logged_in(site: PortalSite) -> None:
    """A missing case leads back to the visitor's own pages, not to a login."""
    missing = site.enterprise(132).web.get("/cases/none")
    assert 404 == missing.status_code
    assert 'href="/logout"' in missing.text


def test_digits_that_are_no_number_break_no_page(site: PortalSite) -> None:
    """Superscripts and endless numbers in a form's fields are nothing that the form knows."""
    visitor = site.enterprise(133)
    page = visitor.web.get(f"/apply/{ITEM}")
    for odd in ("²", "9" * 5000, "٣"):
        answer = visitor.send(page, {f"products.{odd}.category": "化肥", "do": "more"})
        assert answer.status_code in (200, 422), odd[:10]


def test_an_application_leads_to_its_licence(site: PortalSite) -> None:
    """A complete form ends on the case page with `issued`; the licence is there as page, picture, PDF and code."""
    visitor = site.enterprise(102)
    case = visitor.apply()
    assert "issued" == attribute(case, "data-state"), case.text
    number = re.search(r'href="/licences/([^"]+)"', case.text)
    assert number is not None
    page = visitor.web.get(f"/licences/{number[1]}")
    assert "valid" == attribute(page, "data-status")
    assert b"%PDF" == visitor.web.get(f"/licences/{number[1]}/licence.pdf").content[:4]
    assert b"\x89PNG" == visitor.web.get(f"/licences/{number[1]}/picture.png").content[:4]
    assert "<svg" in visitor.web.get(f"/licences/{number[1]}/code").text


def test_what_a_page_submits_is_an_event_of_a_session(site: PortalSite) -> None:
    """The source is the window of the province, `auth` is `session`, the account stands in the ledger entry."""
    visitor = site.enterprise(103)
    case = attribute(visitor.apply(), "data-application")
    row = command("case", "show", case, "--data", str(site.data), "--json")
    assert ("urn:agency:630000:service-hall", "session") == (row["source"], row["auth"])
    db = sqlite3.connect(site.data / "zhengzhao.sqlite")
    entry = db.execute("SELECT CAST(entry AS TEXT) FROM ledger WHERE holder = ?", (uscc(103),)).fetchone()[0]
    assert '"principal":"acc-' in entry


def test_what_is_missing_is_asked_for_and_supplied(site: PortalSite) -> None:
    """A form with blanks becomes a case that names them; a form with just those completes it."""
    visitor = site.enterprise(104)
    page = visitor.web.get(f"/apply/{ITEM}")
    case = visitor.send(page, {**answers(), "applicant.address": "", "do": "submit"})
    assert "correction-requested" == attribute(case, "data-state")
    assert ["business-licence", "applicant.address"] == re.findall(r'data-missing="([^"]+)"', case.text)
    supplied = visitor.settled(
        visitor.send(
            case,
            {"applicant.address": "积石镇一号", "do": "supply"},
            {"materials.business-licence": ("licence.png", PNG)},
        )
    )
    assert "issued" == attribute(supplied, "data-state"), supplied.text


def test_a_wrong_field_is_told_beside_it(site: PortalSite) -> None:
    """Nothing is sent, and what was typed stays in the form."""
    visitor = site.enterprise(105)
    page = visitor.apply({"signed_on": "2018-13-40", "applicant.name": "示\x07范"})
    assert 422 == page.status_code
    assert "signed_on" == attribute(page, "data-error-for")
    assert "积石镇工业园" in page.text
    again = visitor.send(page, {**answers(), "applicant.name": "示\x07范", "do": "submit"})
    assert "applicant.name" == attribute(again, "data-error-for")


def test_pressed_twice_it_is_one_application(site: PortalSite) -> None:
    """The same form sent again, as a double click or the back button does, leads to the same case."""
    visitor = site.enterprise(106)
    page = visitor.web.get(f"/apply/{ITEM}")
    values, file = {**answers(), "do": "submit"}, {"materials.business-licence": ("licence.png", PNG)}
    first, second = visitor.send(page, values, file), visitor.send(page, values, file)
    assert attribute(first, "data-application") == attribute(second, "data-application")
    assert 1 == len(command("holder", "show", uscc(106), "--data", str(site.data), "--json")["cases"])


def test_another_enterprises_case_and_licence_do_not_exist(site: PortalSite) -> None:
    """By any spelling the answer is 404."""
    owner, other = site.enterprise(107), site.enterprise(108)
    case = owner.apply()
    name = attribute(case, "data-application")
    number = re.search(r'href="/licences/([^"]+)"', case.text)
    assert number is not None
    for spelt in (name, name.lower(), f" {name} ", quote(name, safe="")):
        assert 404 == other.web.get(f"/cases/{spelt}").status_code
    assert 404 == other.web.get(f"/licences/{number[1]}").status_code
    assert 404 == other.web.get(f"/licences/{number[1]}/licence.pdf").status_code


def test_what_was_typed_comes_back_after_the_session_ended(site: PortalSite) -> None:
    """The form leads to the login, and after it stands there as it was filled in."""
    account = command(
        "account", "add", "--enterprise", uscc(109), "--url", site.address, "--data", str(site.data), "--json"
    )
    visitor = Visitor(site.address)
    visitor.log_in(account["link"])
    page = visitor.web.get(f"/apply/{ITEM}")
    token = visitor.web.cookies["zz_session"]
    site.service.portal.accounts.end(token)
    asked = visitor.send(page, {**answers(), "do": "submit"})
    assert "/login" == asked.url.path
    link = command(
        "account", "link", account["id"], "--url", site.address, "--data", str(site.data), "--json"
    )["link"]
    confirm = visitor.web.get(f"{link}&next={quote(asked.url.params['next'], safe='')}")
    back = visitor.send(confirm, {})
    assert f"/apply/{ITEM}" == back.url.path
    assert "积石镇工业园" in back.text
    assert "李四" in back.text
    assert "correction-requested" == attribute(visitor.send(back, {"do": "submit"}), "data-state")


def test_a_removed_account_is_out_at_once(site: PortalSite) -> None:
    """Its session ends with it, and the next page asks for a login."""
    account = command(
        "account", "add", "--enterprise", uscc(110), "--url", site.address, "--data", str(site.data), "--json"
    )
    visitor = Visitor(site.address)
    visitor.log_in(account["link"])
    assert "/my" == visitor.web.get("/my").url.path
    command("account", "remove", account["id"], "--data", str(site.data), "--json")
    assert "/login" == visitor.web.get("/my").url.path


def test_a_form_of_another_site_sends_nothing(site: PortalSite) -> None:
    """Without the form's token nothing is submitted, and another site's page is refused."""
    visitor = site.enterprise(111)
    kept = visitor.web.post(f"/apply/{ITEM}", data={**answers(), "do": "submit"})
    assert f"/apply/{ITEM}" == kept.url.path
    assert (
        403
        == visitor.web.post(f"/apply/{ITEM}", data={}, headers={"Origin": "http://evil.example"}).status_code
    )
    assert 1 == _exit("holder", "show", uscc(111), "--data", str(site.data))


def _exit(*words: str) -> int:
    return main(list(words))


def test_a_login_gives_a_new_session_and_leads_nowhere_else(site: PortalSite) -> None:
    """A cookie planted before the login is worth nothing after it; `next` stays on this site; the cookie is guarded."""
    visitor = Visitor(site.address)
    visitor.web.cookies.set("zz_session", "planted")
    link = site.link("--enterprise", uscc(112))
    page = visitor.web.get(f"{link}&next=//evil.example")
    done = visitor.send(page, {})
    assert "/my" == done.url.path
    cookie = next(
        c for r in done.history for c in r.headers.get_list("set-cookie") if c.startswith("zz_session")
    )
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    planted = httpx.get(f"{site.address}/my", cookies={"zz_session": "planted"}, follow_redirects=True)
    assert "/login" == planted.url.path


def test_a_share_link_ends_by_itself(site: PortalSite) -> None:
    """It shows the licence to whoever has it, until its end; then it is 404."""
    visitor = site.enterprise(113)
    number = re.search(r'href="/licences/([^"]+)"', visitor.apply().text)
    assert number is not None
    page = visitor.web.get(f"/licences/{number[1]}")
    shared = visitor.send(page, {"seconds": "3600"}, path="/licences/")
    link = re.search(r'data-share href="([^"]+)"', shared.text)
    assert link is not None
    assert "valid" == attribute(httpx.get(link[1]), "data-status")
    assert b"\x89PNG" == httpx.get(f"{link[1]}/picture.png").content[:4]
    with sqlite3.connect(site.data / "accounts.db") as db:
        db.execute("UPDATE shares SET until = 0")
    assert 404 == httpx.get(link[1]).status_code


def test_a_change_and_a_surrender_from_the_licence_page(site: PortalSite) -> None:
    """What is known is filled in; the change makes a second version, the surrender ends the licence."""
    visitor = site.enterprise(114)
    number = re.search(r'href="/licences/([^"]+)"', visitor.apply().text)
    assert number is not None
    where = f"/apply/{ITEM}?action=change&licence_number={number[1]}"
    page = visitor.web.get(where)
    assert "青海示范化工有限公司" in page.text
    case = visitor.settled(visitor.send(page, {"change.address": "循化县积石镇二号", "do": "submit"}))
    assert "issued" == attribute(case, "data-state"), case.text
    assert "循化县积石镇二号" in visitor.web.get(f"/licences/{number[1]}").text
    gone = visitor.send(visitor.web.get(where.replace("change", "surrender")), {"do": "submit"})
    assert "granted" == attribute(gone, "data-state"), gone.text
    assert "cancelled" == attribute(visitor.web.get(f"/licences/{number[1]}"), "data-status")


@pytest.mark.parametrize(("n", "action"), [(140, "extend"), (141, "reissue"), (142, "renew")])
def test_further_applications_from_the_licence_page(site: PortalSite, n: int, action: str) -> None:
    """What is known is filled in; each makes a further version of the licence, a renewal three months before its end."""
    visitor, today = site.enterprise(n), datetime.now(CHINA).date()
    if action == "renew":
        number = f"OLD-{n}"
        who = {
            name.partition(".")[2]: text for name, text in answers().items() if name.startswith("applicant.")
        }
        holder = {"kind": "enterprise", "id": uscc(n), **who}
        product = {"category": "化肥", "site": "积石镇工业园", "detail": "复混肥料"}
        began, ends = today - timedelta(days=1730), today + timedelta(days=95)
        dates = {"issued_on": f"{began}", "valid_from": f"{began}", "valid_until": f"{ends}"}
        told(
            site,
            "licence.imported",
            {"holder": holder, "licence_number": number, "item": ITEM, "products": [product], **dates},
        )
        waits(lambda: 200 == visitor.web.get(f"/licences/{number}").status_code)
    else:
        found = re.search(r'href="/licences/([^"]+)"', visitor.apply().text)
        assert found is not None
        number = found[1]
    assert f"action={action}" in visitor.web.get(f"/licences/{number}").text
    page = visitor.web.get(f"/apply/{ITEM}?action={action}&licence_number={number}")
    assert "青海示范化工有限公司" in page.text
    values = {name: text for name, text in answers().items() if name in ("signatory", "signed_on")}
    if action == "extend":
        values |= {"products.0.category": "化肥", "products.0.site": "乙地", "products.0.detail": "磷肥"}
    files = dict.fromkeys(re.findall(r'name="(materials[^"]+)" type="file"', page.text), ("p.png", PNG))
    case = visitor.settled(visitor.send(page, {**values, "do": "submit"}, files))
    assert "issued" == attribute(case, "data-state"), case.text
    now = visitor.web.get(f"/licences/{number}").text
    assert "valid" == attribute(visitor.web.get(f"/licences/{number}"), "data-status")
    assert action != "extend" or "乙地" in now


def test_a_registration_with_its_filing(site: PortalSite) -> None:
    """One form registers and files; a filing that its department returned is answered again from the holder's page."""
    visitor, code, key = site.enterprise(143), "business-licence", "recycling-filing"
    items = load_catalogue().items
    page = visitor.web.get(f"/apply/{code}")
    asked = {f"fields.{rule.name}": str(rule.example) for rule, _ in fields_once([items[code], items[key]])}
    files = dict.fromkeys(re.findall(r'name="(materials[^"]+)" type="file"', page.text), ("p.png", PNG))
    values = {name: text for name, text in answers().items() if not name.startswith("products.")}
    case = visitor.settled(
        visitor.send(page, {**values, **asked, f"items.{key}": "1", "do": "submit"}, files)
    )
    assert "issued" == attribute(case, "data-state"), case.text
    filing = f"{attribute(case, 'data-application')}:{key}"
    assert filing in visitor.web.get("/my").text
    back = {"filing_id": filing, "holder_id": uscc(143), "department": "commerce", "reason": "范围不清"}
    told(site, "filing.returned", back, "urn:agency:630225:commerce")
    waits(lambda: "范围不清" in visitor.web.get("/my").text)
    field = items[key].fields[0]
    again = visitor.send(
        visitor.web.get("/my"), {f"fields.{field.name}": str(field.example)}, path="/my/filings/"
    )
    assert "/my" == again.url.path
    waits(lambda: 'action="/my/filings/' not in visitor.web.get("/my").text)
    row = command("holder", "show", uscc(143), "--data", str(site.data), "--json")["filings"][0]
    assert (filing, "pushed") == (row["filing_id"], row["state"])


def told(site: PortalSite, kind: str, data: dict[str, Any], source: str = BUREAU) -> None:
    """Send an event of an agency to the service."""
    at = datetime.now(CHINA).isoformat(timespec="seconds")
    event = Events().add(
        kind, at, data, source, id=f"{kind}-{data.get('filing_id', data.get('licence_number'))}"
    )
    answer = httpx.post(
        f"{site.address}/v1/events", json=event, headers={"Content-Type": "application/cloudevents+json"}
    )
    assert 202 == answer.status_code, answer.text


def waits(done: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)


def test_statistics_are_those_of_the_department(site: PortalSite) -> None:
    """How many are open, granted, refused, and how the promise was kept; another department's are not among them."""
    site.enterprise(144).apply()
    page = site.officer("reviewer").web.get("/desk/statistics")
    row = re.search(rf'<tr data-item="{ITEM}">(.*?)</tr>', page.text, re.S)
    assert row is not None, page.text
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", row[1])
    assert ("青海省市场监督管理局", "100.0 %") == (cells[1], cells[-1])
    assert int(cells[3]) >= 1
    other = site.officer("reviewer", "urn:agency:630000:meteorology").web.get("/desk/statistics")
    assert (200, False) == (other.status_code, ITEM in other.text)
    assert 404 == site.officer("window").web.get("/desk/statistics").status_code


def test_a_withdrawn_application_ends(site: PortalSite) -> None:
    """The case page withdraws an application that is still open."""
    visitor = site.enterprise(115)
    case = visitor.send(visitor.web.get(f"/apply/{ITEM}"), {**answers(), "do": "submit"})
    gone = visitor.web.get(case.url.path)
    forms = re.findall(r"<form.*?</form>", gone.text, re.S)
    assert 2 == len(forms)
    token = re.search(r'name="csrf" value="([^"]+)"', forms[1])
    assert token is not None
    ended = visitor.web.post(case.url.path, data={"csrf": token[1], "do": "withdraw", "reason": "不办了"})
    assert "withdrawn" == attribute(ended, "data-state")


def test_an_upload_that_is_no_paper_is_refused_beside_its_field(site: PortalSite) -> None:
    """A program, and a picture that unfolds into gigabytes, are refused; nothing is sent."""
    visitor = site.enterprise(116)
    bomb = bytearray(PNG)
    bomb[16:24] = (60_000).to_bytes(4) + (60_000).to_bytes(4)
    for content in (b"MZ\x90\x00program", bytes(bomb)):
        page = visitor.web.get(f"/apply/{ITEM}")
        answer = visitor.send(
            page, {**answers(), "do": "submit"}, {"materials.business-licence": ("a.png", content)}
        )
        assert "materials.business-licence" == attribute(answer, "data-error-for")


def test_the_accounts_file_is_its_owners_alone(site: PortalSite) -> None:
    """Nobody else may read it, and a link stands in it as a digest only."""
    link = site.link("--enterprise", uscc(117))
    file = site.data / "accounts.db"
    assert 0o600 == file.stat().st_mode & 0o777
    kept = b"".join(p.read_bytes() for p in site.data.glob("accounts.db*"))
    assert link.partition("link=")[2].encode() not in kept


def test_a_person_sees_the_mask_alone(site: PortalSite) -> None:
    """A person's number stands masked on the pages and sealed in the file."""
    visitor = site.visitor("--person", ric(7))
    page = visitor.web.get("/my")
    assert 200 == page.status_code
    assert ric(7) not in page.text
    assert f"{ric(7)[:3]}***********{ric(7)[-4:]}" in page.text
