"""The built book and a browser to open it in. Where none can be had, the tests that need one are not run, and
the last line of the run says so; in CI they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from tools.publish.site import NoBookError, launch, served

# Files whose tests share what is read or opened for the first of them, so that one worker has them all.
TOGETHER = {"test_clinic_search", "test_library", "test_links", "test_sheets"}
NO_BROWSER = "no Chromium"
REMEDY = "apt-get install chromium, or set CHROMIUM to the path of one; then make browse"


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except NoBookError:
            if os.environ.get("CI"):
                raise
            pytest.skip(NO_BROWSER)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser, in which what a test has opened is closed when it ends."""
    before = chromium.contexts
    yield chromium
    for context in set(chromium.contexts) - set(before):
        context.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first: what chapters and labs are looked at for."""
    items.sort(key=lambda item: ("test_page[" not in item.name, "/0" not in item.name))
    for item in items:
        if item.path.stem in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    count = sum(NO_BROWSER in str(report.longrepr) for report in skipped)
    if count:
        reporter.write_line(f"Not run: the {count} tests in a browser, for want of a Chromium. {REMEDY}")
