"""Passkeys in a real browser with a virtual authenticator."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from portal_site import PortalSite
from story import uscc


@pytest.mark.slow
def test_a_passkey_that_was_added_logs_in(site: PortalSite, browser: Browser) -> None:
    """It is added after a login by link, and is enough for the next login."""
    here = site.address.replace("127.0.0.1", "localhost")
    page = browser.new_context(locale="zh-CN").new_page()
    wires = page.context.new_cdp_session(page)
    wires.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    wires.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(site.link("--enterprise", uscc(401)).replace("127.0.0.1", "localhost"))
    page.get_by_role("button", name="登录").click()
    page.goto(f"{here}/account/passkeys")
    page.get_by_role("button", name="添加通行密钥").click()
    expect(page.locator("[data-passkey]")).to_have_count(1)
    page.goto(f"{here}/logout")
    page.get_by_role("button", name="退出登录").click()
    page.goto(f"{here}/login?next=/my")
    page.get_by_role("button", name="用通行密钥登录").click()
    page.wait_for_url(f"{here}/my")
    expect(page.get_by_role("heading", name=uscc(401))).to_be_visible()
    page.context.close()
