"""One browser for the tests of the verifier."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from verifier_site import chromium


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What starts browsers; while it is open no other test of this process can run an event loop."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser without a camera."""
    started = chromium(playwright)
    yield started
    started.close()
