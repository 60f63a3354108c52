"""Login at an OpenID provider of another author."""

from __future__ import annotations

from pathlib import Path

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, expect
from portal_site import PortalSite
from story import uscc


@pytest.mark.slow
def test_claims_say_for_whom_somebody_acts(browser: Browser, tmp_path: Path) -> None:
    """A subject with an enterprise's code gets its pages, an officer's the desk, one with neither nothing."""
    users = [
        oidc_provider_mock.User(sub="firm", claims={"enterprise": uscc(501)}),
        oidc_provider_mock.User(
            sub="officer", claims={"agency": "urn:agency:630000:market-regulation", "roles": ["reviewer"]}
        ),
        oidc_provider_mock.User(sub="nobody", claims={}),
    ]
    with oidc_provider_mock.run_server_in_thread(user_claims=users) as server:
        settings = f'[oidc]\nissuer = "http://localhost:{server.server_port}"\nclient_id = "zhengzhao"\nclient_secret = "s"\n'
        with PortalSite.opened(tmp_path / "data", settings) as site:
            for subject, path in (("firm", "/my"), ("officer", "/desk"), ("nobody", "/login/oidc/back")):
                page = browser.new_context(locale="zh-CN").new_page()
                page.goto(f"{site.address}/login")
                page.get_by_role("link", name="统一身份认证登录").click()
                page.locator('input[name="sub"]').fill(subject)
                page.locator('button[type="submit"], input[type="submit"], button').first.click()
                expect(page.locator("header.site")).to_be_visible()
                assert path == page.evaluate("location.pathname")
                page.context.close()
            again = site.service.portal.accounts.all()
            assert {uscc(501), "urn:agency:630000:market-regulation"} == {one.subject for one in again}
