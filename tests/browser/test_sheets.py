"""A proof that is changed in its page: the engine there says what it says outside, and asks nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from lowerbound.checks.practice import judge
from lowerbound.proofs import derivations
from lowerbound.symbolic.sheet import answer, written
from playwright.sync_api import Browser, Page

from tools.publish.site import SITE, WIDTHS

pytestmark = pytest.mark.skipif(
    not (SITE / "_static/sheet/engine").is_dir(), reason="this book was built without the engine"
)
ANSWERED = "document.querySelector('.sheet-status').textContent.match(/ s\\)|No answer|stopped/)"
LONG = 240_000  # ms: a busy machine loads the engine in a minute
# Derivations of each chapter, and what is done to a line: nothing, a slip, and what cannot be read.
CHANGES = {
    "elbo": ("p(x | z)*p(z)", "p(x | z)"),
    "log_inequality": ("log(t)", "log(t"),
    "gaussian_kl_standard": ("- log(sigma)", "+ log(sigma)"),
    "forward_two_steps": ("alpha_1", "alpha_2"),
    "posterior_mean_eps": ("beta_t", "alpha_t"),
    "guided_density": ("(1 + w)", "w"),
    "variance_price": ("EulerGamma/2", "EulerGamma"),
}


class Opened:
    """A page with a browser's requests, and what failed in it."""

    def __init__(self, browser: Browser, address: str, name: str, width: str = "desk") -> None:
        size = WIDTHS[width]
        self.page: Page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{address}/{name}")
        self.page.wait_for_load_state("networkidle")

    def check(self, text: str) -> str:
        """Put a text on the open sheet and have it checked. Returns what the status says."""
        self.page.locator(".sheet textarea").first.fill(text)
        self.page.evaluate("document.querySelector('.sheet-status').textContent = ''")
        self.page.locator(".sheet-check").first.click()
        self.page.wait_for_function(ANSWERED, timeout=LONG)
        return self.page.locator(".sheet-status").first.inner_text()


@pytest.fixture(scope="module")
def free(browser: Browser, address: str) -> Iterator[Opened]:
    opened = Opened(browser, address, "book/sheet.html")
    yield opened
    opened.page.close()


@pytest.fixture(scope="module")
def functions(browser: Browser, address: str) -> Iterator[Opened]:
    """The same page, on which functions are opened."""
    opened = Opened(browser, address, "book/sheet.html")
    yield opened
    opened.page.close()


def test_a_page_asks_for_nothing_of_the_engine_before_a_click(browser: Browser, address: str) -> None:
    opened = Opened(browser, address, "book/01_elbo.html")
    page = opened.page
    assert not [url for url in opened.asked if "_static/sheet" in url]
    before = len(opened.asked)
    page.locator('button[data-proof="elbo"]').first.click()
    page.wait_for_selector(".sheet textarea")
    text = page.locator(".sheet textarea").input_value()
    assert text.strip() == written(derivations()["elbo"]()).strip()
    assert not [url for url in opened.asked if "pyodide" in url]
    assert "follows" in opened.check(text)
    wrong = opened.check(text.replace("p(x | z)*p(z)", "p(x | z)"))
    assert "Row 4" in wrong
    assert "does not follow" in wrong
    assert page.locator(".sheet-lines > .wrong").count() == 1
    assert page.locator(".sheet-lines > .right").count() == 1
    assert page.locator(".sheet-lines mjx-container").count() >= 8
    assert [url for url in opened.asked[before:] if not url.startswith((address, "blob:"))] == []
    assert opened.errors == []
    page.close()


def test_the_answers_are_those_of_python_outside(free: Opened) -> None:
    """The whole answer, of right and of wrong sheets, word for word."""
    library = derivations()
    texts = []
    for name, (old, new) in CHANGES.items():
        text = written(library[name]())
        lines = text.split("\n")
        last = max(i for i, line in enumerate(lines) if old in line)
        lines[last] = lines[last].replace(old, new, 1)
        texts += [text, "\n".join(lines)]
    free.check(texts[0])
    for text in texts:
        inside = free.page.evaluate(
            "text => import('/lower-bound/_static/sheet/sheet.js').then(sheet => sheet.answerOf(text))", text
        )
        outside = json.loads(json.dumps(answer(text, library)))
        assert inside == outside, text


def test_a_link_carries_a_sheet(browser: Browser, address: str, free: Opened) -> None:
    text = "letters a, b\n(a + b)^2\n= a^2 + 2*a*b + b^2   # ε, x̂: written out"
    free.page.locator(".sheet textarea").fill(text)
    free.page.get_by_role("button", name="Copy a link to this sheet").click()
    free.page.wait_for_function("document.querySelector('.sheet-status').textContent.includes('ink')")
    link: Any = free.page.evaluate(
        "text => import('/lower-bound/_static/sheet/sheet.js').then(sheet => sheet.addressOf(text))", text
    )
    other = browser.new_page()
    other.goto(link)
    other.wait_for_selector(".sheet textarea")
    other.wait_for_function("document.querySelector('.sheet textarea').value.includes('a^2')")
    assert other.locator(".sheet textarea").input_value() == text
    other.goto("about:blank")
    other.goto(link[:-8])  # cut short on its way
    other.wait_for_function("document.querySelector('.sheet-status')?.textContent.includes('damaged')")
    other.goto("about:blank")
    other.goto(link.split("#")[0])
    other.wait_for_selector(".sheet textarea")
    other.evaluate("hash => { location.hash = hash }", link.split("#")[1])
    other.wait_for_function("document.querySelector('.sheet textarea')?.value.includes('(a + b)^2')")
    other.close()


def test_a_problem_is_put_on_the_sheet_and_its_goal_is_known(free: Opened) -> None:
    free.page.locator("#the-bound-from-its-gap button.put").click()
    text = free.page.locator(".sheet textarea").input_value()
    assert "not yet what was asked" in free.check(text)
    done = text.rstrip() + "\n= E_{q(z | x)}[log(p(x | z))] - KL(q(z | x) || p(z))   # the book's"
    assert "This is what was asked" in free.check(done)


def test_a_word_is_completed_and_a_check_can_be_stopped(free: Opened) -> None:
    free.check("letters alphabar_t\nalphabar_t")
    area = free.page.locator(".sheet textarea")
    area.fill("letters alphabar_t\nalphabar_t\n= alp")
    area.press("End")
    area.press("Control+Space")
    assert area.input_value().endswith("= alphabar_t")
    hard = "letters a, b\n(a + b)^2000\n= (b + a + 1 - 1)^2001/(a + b)   # much"
    area.fill(hard)
    free.page.locator(".sheet-check").click()
    free.page.get_by_role("button", name="Stop").click()
    free.page.wait_for_function("document.querySelector('.sheet-status').textContent.includes('stopped')")
    assert "follows" in free.check("letters a\na + a\n= 2*a   # again")


def test_a_function_is_written_in_the_page_and_judged_as_in_a_notebook(functions: Opened) -> None:
    page = functions.page
    page.locator("#function-best-guess").locator("xpath=ancestor-or-self::section[1]").locator(
        "button.put"
    ).click()
    box = page.locator("section.sheet[aria-label='Write best_guess']")
    area, status = box.locator("textarea"), box.locator(".sheet-status")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    area.press("End")
    area.press_sequentially("if a > b:")
    area.press("Enter")
    assert area.input_value().endswith('"\n    if a > b:\n        ')
    for code in (
        "def best_guess(a, b):\n    return a / (a + b)",
        "def best_guess(a, b):\n    return b / (a + b)",
        "def best_guess(a, b):\n    return a / (a + b) + 1e-3 * b",
        "def best_guess(a, b):\n    return a /",
    ):
        area.fill(code)
        page.evaluate("document.querySelectorAll('.sheet-status').forEach(box => { box.textContent = '' })")
        area.press("Control+Enter")
        status.filter(has_text=" s)").wait_for(timeout=LONG)
        said = judge("best_guess", code)
        assert status.inner_text().startswith("Right (" if said["ok"] else "Not right yet (")
        assert box.locator(".sheet-message").inner_text() == said["message"].strip()
    area.fill("def best_guess(a, b):\n    while True: pass")
    area.press("Control+Enter")
    box.get_by_role("button", name="Stop").click()
    status.filter(has_text="stopped").wait_for()
    assert functions.errors == []


def test_open_sheets_are_accessible(functions: Opened) -> None:
    """A sheet with its answer and a function with its message, in both colours, on desk and phone."""
    page = functions.page
    functions.check("letters a, b\n(a + b)^2\n= a^2 + b^2   # forgotten")
    page.locator("#function-winner").locator("xpath=ancestor-or-self::section[1]").locator(
        "button.put"
    ).click()
    box = page.locator("section.sheet[aria-label='Write winner']")
    box.locator(".sheet-check").click()
    box.locator(".sheet-message").wait_for(timeout=LONG)
    for width in WIDTHS.values():
        page.set_viewport_size({"width": width[0], "height": width[1]})
        assert (
            page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        )
        for theme in ("dark", "light"):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            page.wait_for_timeout(500)
            found = Axe().run(page, {"include": [[".sheet"]]}, {"resultTypes": ["violations"]})
            assert [
                (one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]
            ] == [], theme


@pytest.mark.parametrize("width", WIDTHS)
def test_a_sheet_fits_its_page_and_is_accessible(browser: Browser, address: str, width: str) -> None:
    opened = Opened(browser, address, "book/sheet.html", width)
    page = opened.page
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    label = page.locator(".sheet label")
    assert label.get_attribute("for") == page.locator(".sheet textarea").get_attribute("id")
    assert page.locator(".sheet-status").get_attribute("role") == "status"
    page.close()
