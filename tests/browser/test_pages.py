"""Every page of the built book in a real browser, at the width of a desk and of a phone.

The book is served from a sub-path of localhost, and every request to another host is refused.
Screenshots are left in _build/screenshots.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
expect.set_options(timeout=20_000)
SITE = ROOT / "_build" / "html"
SCREENSHOTS = ROOT / "_build" / "screenshots"
PAGES = re.findall(r"^\s*(?:- file|root): (\S+)", (ROOT / "_toc.yml").read_text(), re.M)
SLIDERS = [
    p
    for p in PAGES
    if (SITE / f"{p}.html").is_file() and "widget-view+json" in (SITE / f"{p}.html").read_text()
]
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}

RAW_MATHS = r"""() => {
  const skip = "script,style,pre,code,mjx-container,.tex2jax_ignore";
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent;
    const raw = /\$\$|\\\(|\\\[|\\begin\{/.test(text);
    if (raw && !walker.currentNode.parentElement.closest(skip)) found.push(text);
  }
  return found;
}"""

TOO_WIDE = """() => [...document.querySelectorAll("main *")].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.right <= window.innerWidth + 1 || box.width === 0) return false;
  for (let p = e.parentElement; p; p = p.parentElement) {
    if (["auto", "scroll", "hidden"].includes(getComputedStyle(p).overflowX)) return false;
  }
  return true;
}).slice(0, 5).map(e => e.tagName + "." + e.className)"""

ON_WHITE = """all => all.every(i => {
  const card = i.closest(".widget-subarea") || i;
  return getComputedStyle(card).backgroundColor === "rgb(255, 255, 255)";
})"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve the site below /lower-bound/, as GitHub Pages does, and log nothing."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix("/lower-bound"))

    def log_message(self, format: str, *args: Any) -> None:
        pass


def chromium() -> str | None:
    """The browser to drive: $CHROMIUM, one on the PATH, else None for playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    if not (SITE / "index.html").is_file():
        pytest.fail(f"{SITE} holds no book; run `make book` first")
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/lower-bound"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            )
        except Error as error:
            remedy = "apt-get install chromium, or playwright install chromium, or set CHROMIUM to its path"
            pytest.fail(f"no Chromium could be started: {remedy}\n{error}")
        yield browser
        browser.close()


class Visit:
    """A page, with everything that went wrong on it."""

    def __init__(self, browser: Browser, size: tuple[int, int], dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults: list[str] = []
        self.page.route("**/*", self._route)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("response", self._response)

    def _route(self, route: Any) -> None:
        if re.match(r"(http://127\.0\.0\.1|data:|blob:)", route.request.url):
            route.continue_()
        else:
            self.faults.append(f"request to another host: {route.request.url}")
            route.abort()

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def open(self, url: str) -> Page:
        self.page.goto(url, wait_until="load")
        self.page.evaluate("window.MathJax ? MathJax.startup.promise.then(() => true) : true")
        if self.page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count():
            self.page.locator(".jupyter-widgets img.frame").first.wait_for()
        return self.page


@pytest.fixture(params=WIDTHS)
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    visit = Visit(browser, WIDTHS[request.param])
    yield visit
    visit.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_page(visit: Visit, address: str, name: str) -> None:
    page = visit.open(f"{address}/{name}.html")
    width = page.viewport_size["width"] if page.viewport_size else 0
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name.replace('/', '-')}-{width}.png", full_page=True)

    assert page.locator("article h1").count() == 1
    assert page.locator("input[type=search]:visible").count() <= 1, "a second search bar"
    assert page.evaluate(RAW_MATHS) == [], "formulas left as source"
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0, "formulas that MathJax refused"
    assert page.locator("mjx-mtext mjx-c.mjx-c5C").count() == 0, "a TeX command printed as text"
    formulas = page.locator("main .math, main .amsmath").count()
    assert page.locator("main mjx-container").count() >= formulas, "formulas not typeset"

    pictures = page.locator("main img")
    broken = pictures.evaluate_all("all => all.filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert broken == [], "pictures that did not load"
    assert pictures.evaluate_all("all => all.filter(i => !i.alt).map(i => i.src)") == [], (
        "pictures without alt text"
    )

    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 1, f"the page is {overflow} px too wide: {page.evaluate(TOO_WIDE)}"
    assert visit.faults == []


@pytest.mark.parametrize("name", SLIDERS)
def test_sliders_move_the_picture(visit: Visit, address: str, name: str) -> None:
    page = visit.open(f"{address}/{name}.html")
    views = page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    boxes = page.locator("main .widget-vbox").filter(has=page.locator(".noUi-handle"))
    assert boxes.count() == views, "a slider did not start"
    for box in boxes.all():
        handle = box.locator(".noUi-handle")
        shown = box.locator("img.frame:visible")
        assert handle.get_attribute("aria-label"), "the handle has no name for a screen reader"
        for button in box.locator("button").all():
            assert button.get_attribute("aria-label"), "a button has no name for a screen reader"

        handle.press("Home")  # some sliders start at their end, from where no key leads on
        expect(handle).to_have_attribute("aria-valuenow", "0.0")
        before = shown.get_attribute("src") or ""
        handle.press("ArrowRight")
        expect(shown, "the keyboard moves the picture").not_to_have_attribute("src", before)

        before = shown.get_attribute("src") or ""
        track = box.locator(".noUi-target")
        size = track.bounding_box()
        assert size is not None
        track.click(position={"x": size["width"] - 2, "y": size["height"] / 2})
        expect(shown, "the mouse moves the picture").not_to_have_attribute("src", before)

        handle.press("Home")
        expect(handle).to_have_attribute("aria-valuenow", "0.0")
        before = shown.get_attribute("src") or ""
        box.locator(".widget-play button").first.click()
        expect(shown, "play moves the picture").not_to_have_attribute("src", before)
        box.locator(".widget-play button").first.click()
    assert visit.faults == []


def test_formulas_and_figures_in_the_dark(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"], dark=True)
    page = visit.open(f"{address}/{PAGES[1]}.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.screenshot(path=SCREENSHOTS / f"{PAGES[1].replace('/', '-')}-dark.png", full_page=True)
    pictures = page.locator("main figure img")
    white = pictures.evaluate_all(ON_WHITE)
    assert pictures.count() > 0
    assert white, "figures drawn on white need a white card in the dark theme"
    assert visit.faults == []
    visit.context.close()


def test_search_finds_a_chapter(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/search.html?q=bound")
    page.locator("#search-results li a").first.wait_for()
    assert visit.faults == []
    visit.context.close()
