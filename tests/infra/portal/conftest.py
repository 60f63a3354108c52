"""One service with its portal, and one browser, for the tests of the pages behind a login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from portal_site import PortalSite
from verifier_site import chromium


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalSite]:
    """A service on a fresh data folder, on a port of its own."""
    with PortalSite.opened(tmp_path_factory.mktemp("portal") / "data") as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; while it is open no other test of this process can run an event loop."""
    with sync_playwright() as started:
        browser = chromium(started)
        yield browser
        browser.close()
