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
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from test_pages import COLOURS, in_theme, resize

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

    def __init__(
        self, browser: Browser | BrowserContext, address: str, name: str, width: str = "desk"
    ) -> None:
        self.page: Page = browser.new_page()
        self.page.set_viewport_size(dict(zip(("width", "height"), WIDTHS[width], strict=True)))
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
def free(chromium: Browser, address: str) -> Iterator[Opened]:
    opened = Opened(chromium, address, "book/sheet.html")
    yield opened
    opened.page.close()


@pytest.fixture(scope="module")
def reader(chromium: Browser) -> Iterator[BrowserContext]:
    """Someone who opens pages one after the other, and writes nothing."""
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture(scope="module")
def functions(chromium: Browser, address: str) -> Iterator[Opened]:
    """The same page, on which functions are opened."""
    opened = Opened(chromium, address, "book/sheet.html")
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


PROOF = 'button[data-proof="latent_bound"]'  # in a short chapter
ANYTHING = "letters a, b > 0\na + a\n= 2*a   # twice"
HARD = "letters a, b\n(a + b)^2000\n= (b + a + 1 - 1)^2001/(a + b)   # much"


@pytest.mark.parametrize("code", ["s=", "s=!", "s=AAAA", "s=%3Cb%3E", "s=eJw", "bomb", "letters"])
def test_a_link_that_holds_no_sheet_is_said_to_be_damaged(
    free: Opened, reader: BrowserContext, code: str
) -> None:
    """Cut short, of other letters, not of text, or of a text that no sheet can have: it is left unread."""
    made = {
        "bomb": "new Blob(['a'.repeat(3e7)])",
        "letters": "new Blob([new Uint8Array([0xc3, 0x28])])",  # what UTF-8 never has
    }
    if code in made:
        code = free.page.evaluate(
            f"""async () => {{
              const stream = {made[code]}.stream().pipeThrough(new CompressionStream("deflate-raw"));
              const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
              const letters = Array.from(bytes, b => String.fromCharCode(b)).join("");
              return "s=" + btoa(letters).replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "");
            }}"""
        )
    page = reader.new_page()
    page.goto(f"{free.page.url.split('#')[0]}#{code}")
    page.wait_for_function("document.querySelector('.sheet-status')?.textContent.includes('damaged')")
    assert page.locator(".sheet textarea").input_value().startswith("densities p(x, z)")
    page.close()


@pytest.mark.parametrize("place", ["main-content", "constructor", "problem-price", "sec-functions"])
def test_an_address_within_the_page_opens_it_without_an_error(
    reader: BrowserContext, address: str, place: str
) -> None:
    opened = Opened(reader, address, f"book/sheet.html#{place}")
    opened.page.wait_for_selector(".function + button.put")
    text = opened.page.locator(".sheet textarea").first.input_value()
    assert ("letters mu; sigma > 0" in text) == (place == "problem-price")
    assert opened.errors == []
    opened.page.close()


def test_a_sheet_that_is_too_long_has_no_link(free: Opened) -> None:
    free.page.locator(".sheet textarea").first.fill("a" * 20_001)
    free.page.get_by_role("button", name="Copy a link to this sheet").click()
    assert "at most 20000 letters" in free.page.locator(".sheet-status").first.inner_text()


@pytest.mark.parametrize(
    "reason",
    [
        "constructor", "__proto__", "toString", "<img src=x onerror=alert(1)> <b>x</b>",
        r"$\def\log{HACKED}$ $\let\log\exp$ \(\gdef\log{HACKED}\)", r"$\href{evil}{click}$ $\style{x}{y}$",
        "a row\u2028 that looks like two",
    ],
)  # fmt: skip
def test_a_reason_is_words_whatever_stands_in_it(free: Opened, reason: str) -> None:
    """No name of JavaScript, no element, and no command that changes other formulas or leads away."""
    said = free.check(f"letters a > 0\nlog(a) + log(a)\n= 2*log(a)   # {reason}\n= log(a)   # wrong")
    assert said.startswith("Row 4: This does not follow.")
    answer = free.page.locator(".sheet-answer").first
    assert answer.locator("img, b, a").count() == 0
    assert "HACKED" not in answer.locator(".sheet-formula").all_inner_texts()[0]
    for part in reason.split():
        assert part in answer.locator("li").nth(1).inner_text()
    assert free.errors == []


def test_what_is_nested_too_deeply_is_said_in_words(free: Opened) -> None:
    free.check(ANYTHING)
    assert "cannot be read" in free.check("letters a\n" + "(" * 1900 + "a" + ")" * 1900)
    shown = free.page.locator(".sheet-answer").first.inner_text()
    assert "nested too deeply" in shown
    assert "Traceback" not in shown
    assert "twice" not in shown  # the answer before is gone
    assert "follows" in free.check(ANYTHING)


def test_a_line_that_could_not_be_checked_is_not_said_to_be_false(free: Opened) -> None:
    said = free.check("letters a, b > 0\na\n>= b   # who knows, because (a - b)^2")
    item = free.page.locator(".sheet-lines > li").last
    assert ("could not be checked" in said) == ("could not be checked" in item.inner_text())
    assert ("does not follow" in said) == ("does not follow" in item.inner_text())
    assert "could not be checked" in free.check(
        "densities p(x), q(x)\nE_{q(x)}[log q(x)]\n"
        ">= E_{q(x)}[log p(x)]   # another, because KL(p(x) || q(x))"
    )
    assert "does not follow" not in item.inner_text()


def test_stop_ends_a_wait_for_the_engine_too(browser: Browser, address: str) -> None:
    opened = Opened(browser, address, "book/sheet.html")
    page = opened.page
    page.route("**/pyodide.asm.wasm", lambda route: None)  # it never comes
    page.locator(".sheet-check").click()
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("document.querySelector('.sheet-status').textContent.includes('stopped')")
    assert page.locator(".sheet-check").is_enabled()
    assert page.get_by_role("button", name="Stop").count() == 0
    page.unroute("**/pyodide.asm.wasm")
    assert "follows" in opened.check(ANYTHING)
    assert opened.errors == []


def put(page: Page, name: str) -> Locator:
    """Open the sheet on which a function is written."""
    anchor = page.locator(f"#function-{name.replace('_', '-')}")
    anchor.locator("xpath=ancestor-or-self::section[1]").locator("button.put").click()
    return page.locator(f"section.sheet[aria-label='Write {name}']")


def test_two_sheets_are_answered_in_turn(functions: Opened) -> None:
    """The second waits for the first, whichever is stopped."""
    page = functions.page
    box = put(page, "coin_gap")
    free = page.locator(".sheet").first
    said = [sheet.locator(".sheet-status") for sheet in (free, box)]
    free.locator("textarea").fill(ANYTHING)
    free.locator(".sheet-check").click()
    box.locator(".sheet-check").click()
    for status in said:
        status.filter(has_text=" s)").wait_for(timeout=LONG)
    free.locator("textarea").fill(HARD)
    free.locator(".sheet-check").click()
    for sheet, status in zip((box, free), said[::-1], strict=True):
        box.locator(".sheet-check").click()
        sheet.get_by_role("button", name="Stop").click()
        status.filter(has_text="stopped").wait_for()
        assert sheet.locator(".sheet-check").is_enabled()
    said[1].filter(has_text=" s)").wait_for(timeout=LONG)
    assert functions.errors == []


def test_offline_it_says_so_and_online_it_goes_on(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/book/06_latent.html")
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    button = page.locator(PROOF).first
    button.click()
    page.get_by_text("This could not be fetched. Are you online?").wait_for()
    assert button.is_enabled()
    assert page.locator("section.sheet").count() == 0
    context.set_offline(False)
    button.click()
    page.locator("section.sheet textarea").wait_for()
    assert page.get_by_text("Are you online?").count() == 0


def test_a_problem_is_put_on_the_sheet_and_its_goal_is_known(free: Opened) -> None:
    free.page.locator("#the-bound-from-its-gap button.put").click()
    text = free.page.locator(".sheet textarea").input_value()
    assert "not yet what was asked" in free.check(text)
    free.page.locator(".sheet textarea").fill("something else")
    free.page.get_by_role("button", name="As it was").click()
    assert free.page.locator(".sheet textarea").input_value() == text
    done = text.rstrip() + "\n= E_{q(z | x)}[log(p(x | z))] - KL(q(z | x) || p(z))   # the book's"
    assert "This is what was asked" in free.check(done)


def test_a_word_is_completed_and_a_check_can_be_stopped(free: Opened) -> None:
    free.check("letters alphabar_t\nalphabar_t")
    area = free.page.locator(".sheet textarea")
    area.fill("letters alphabar_t\nalphabar_t\n= alp")
    area.press("End")
    area.press("Control+Space")
    assert area.input_value().endswith("= alphabar_t")
    area.fill(HARD)
    free.page.locator(".sheet-check").click()
    free.page.get_by_role("button", name="Stop").click()
    free.page.wait_for_function("document.querySelector('.sheet-status').textContent.includes('stopped')")
    assert "follows" in free.check("letters a\na + a\n= 2*a   # again")


def test_a_function_is_written_in_the_page_and_judged_as_in_a_notebook(functions: Opened) -> None:
    page = functions.page
    box = put(page, "best_guess")
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


FORBIDDEN = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("no", "SecurityError"); }
})"""
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"
WRITTEN = "letters a\na + a\n= 2*a   # by me"


def open_proof(page: Page, address: str) -> Locator:
    page.goto(f"{address}/book/06_latent.html")
    page.wait_for_load_state("networkidle")
    page.locator(PROOF).first.click()
    area = page.locator("section.sheet textarea")
    area.wait_for()
    return area


def test_a_draft_is_there_again_until_it_is_dropped(browser: Browser, address: str) -> None:
    """By page and sheet: another sheet has its own, and what is as it was is no draft."""
    page = browser.new_page()
    page.route("**/engine/pyodide*", lambda route: route.abort())
    area = open_proof(page, address)
    was = area.input_value()
    area.fill(WRITTEN)
    area = open_proof(page, address)
    assert area.input_value() == WRITTEN
    page.locator(".sheet-status").filter(has_text="This is what you wrote").wait_for()
    page.goto(f"{address}/book/sheet.html#problem-price")
    page.locator(".sheet textarea").first.wait_for()
    free = page.locator(".sheet textarea").first
    assert "letters mu; sigma > 0" in free.input_value()
    free.fill(WRITTEN + " and again")
    page.locator("#one-knob button.put").click()
    assert "letters S, R" in free.input_value()
    page.locator("#a-price-is-never-negative button.put").click()
    assert free.input_value() == WRITTEN + " and again"
    area = open_proof(page, address)
    assert area.input_value() == WRITTEN
    page.get_by_role("button", name="As it was").click()
    assert area.input_value() == was
    area = open_proof(page, address)
    assert area.input_value() == was
    assert page.locator(".sheet-status").inner_text() == ""
    area.fill(WRITTEN)
    area.fill(was)
    kept = page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('lowerbound-sheet '))")
    assert len(kept) == 1


def test_drafts_are_few_and_the_oldest_goes(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.route("**/engine/pyodide*", lambda route: route.abort())
    area = open_proof(page, address)
    page.evaluate(
        """() => {
          for (let i = 1; i <= 60; i++)
            localStorage.setItem("lowerbound-sheet x " + i, JSON.stringify({ text: "a", at: i }));
          localStorage.setItem("lowerbound-sheet broken", "no JSON");
          localStorage.setItem("another", "stays");
        }"""
    )
    area.fill(WRITTEN)
    keys = page.evaluate("Object.keys(localStorage)")
    drafts = [key for key in keys if key.startswith("lowerbound-sheet ")]
    assert len(drafts) == 40
    assert "another" in keys
    assert "lowerbound-sheet broken" not in keys
    assert sorted(int(key.split()[-1]) for key in drafts if " x " in key) == list(range(22, 61))


@pytest.mark.parametrize("refusal", [FORBIDDEN, FULL])
def test_where_nothing_can_be_kept_nothing_breaks(browser: Browser, address: str, refusal: str) -> None:
    """It is said, and closing the sheet on the page loses nothing yet."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(refusal)
    area = open_proof(page, address)
    was = area.input_value()
    own = errors[:]  # of the theme, which keeps its colours
    area.fill(WRITTEN)
    assert "No draft can be kept" in page.locator("section.sheet").inner_text()
    page.get_by_role("button", name="Close").click()
    assert page.locator("section.sheet").count() == 0
    page.locator(PROOF).first.click()
    area.wait_for()
    assert area.input_value() == WRITTEN
    page.locator(".sheet-check").click()
    page.wait_for_function(ANSWERED, timeout=LONG)
    assert "follows" in page.locator(".sheet-status").inner_text()
    page.get_by_role("button", name="As it was").click()
    assert area.input_value() == was
    assert errors == own


def test_the_engine_starts_while_a_reader_writes(browser: Browser, address: str) -> None:
    """At the first letter, and not where the browser was asked to save data."""
    for saving in (False, True):
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        told = f"{{ get: () => ({{ saveData: {json.dumps(saving)} }}) }}"
        page.add_init_script(f"Object.defineProperty(navigator, 'connection', {told})")
        area = open_proof(page, address)
        expect(page.locator("section.sheet")).to_contain_text(" MB, once")
        assert not [url for url in asked if "pyodide" in url]
        area.press("End")
        area.press_sequentially(" ")
        page.wait_for_timeout(2000)
        assert bool([url for url in asked if "pyodide.asm.wasm" in url]) is not saving
        assert page.locator(".sheet-status").inner_text() == ""
        page.close()


FOCUS = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const seen = outlined || style.boxShadow !== "none";
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent;
  return { tag: at.tagName, name: name.trim(), seen, inside: Boolean(at.closest(".sheet")) };
}"""


def focused(page: Page) -> str:
    """The name of what has the focus, which is seen."""
    at = page.evaluate(FOCUS)
    assert at["seen"], at
    assert at["name"], at
    return str(at["name"])


def test_a_sheet_is_used_with_the_keyboard_alone(browser: Browser, address: str) -> None:
    """Opened, written on, checked, stopped, read, closed: the focus is seen and never lost."""
    opened = Opened(browser, address, "book/01_elbo.html")
    page, keys = opened.page, opened.page.keyboard
    opener = page.locator('button[data-proof="elbo"]').first
    opener.focus()
    keys.press("Shift+Tab")
    keys.press("Tab")
    assert focused(page) == "Change a line"
    keys.press("Enter")
    page.wait_for_function("document.activeElement.tagName === 'TEXTAREA'")
    assert focused(page).startswith("The lines of")
    keys.press("Control+Enter")
    page.wait_for_function(ANSWERED, timeout=LONG)
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    keys.press("Control+End")
    keys.type("\n= lo")
    keys.press("Tab")  # the names, one stop
    first = focused(page)
    keys.press("ArrowRight")
    second = focused(page)
    keys.press("ArrowLeft")
    assert (focused(page) == first) == (first != second)
    keys.press("Escape")
    assert focused(page).startswith("The lines of")
    page.locator("section.sheet textarea").fill(HARD)
    keys.press("Tab")
    keys.press("Tab")
    assert focused(page) == "Check"
    keys.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    assert focused(page) == "Stop"
    keys.press("Enter")
    page.wait_for_function("document.querySelector('.sheet-status').textContent.includes('stopped')")
    assert focused(page) == "Check"
    keys.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    keys.press("Escape")  # ends the check, not the sheet
    page.wait_for_function("document.querySelector('.sheet-status').textContent.includes('stopped')")
    assert focused(page) == "Check"
    page.locator("section.sheet textarea").fill("letters a, b\n(a + b)^2\n= a^2 + b^2   # forgotten")
    keys.press("Control+Enter")
    page.locator(".sheet-message").wait_for(timeout=LONG)
    stops = []
    for _ in range(40):
        keys.press("Tab")
        if not page.evaluate(FOCUS)["inside"]:
            break
        stops.append(focused(page))
    wanted = ["a", "Check", "As it was", "Copy a link to this sheet", "Close"]
    wanted += ["Line 1", "Line 2", "What the engine says"]
    assert [name for name in stops if name in wanted] == wanted
    keys.press("Shift+Tab")
    assert page.evaluate(FOCUS)["inside"]
    keys.press("Escape")
    assert page.locator("section.sheet").count() == 0
    assert focused(page) == "Change a line"
    keys.press("Enter")  # and opens again, with what was written
    page.wait_for_function("document.activeElement.tagName === 'TEXTAREA'")
    assert "forgotten" in page.locator("section.sheet textarea").input_value()
    assert opened.errors == []


def test_a_function_is_closed_with_the_keyboard(browser: Browser, address: str) -> None:
    opened = Opened(browser, address, "book/sheet.html")
    page = opened.page
    box = put(page, "best_guess")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.press("Tab")
    assert focused(page) == "Check"  # Tab leaves the text
    page.keyboard.press("Escape")
    assert box.count() == 0
    assert focused(page) == "Write it here"
    assert opened.errors == []


# Sheets, and what they lie in.
SHEETS_ALONE = """() => {
  for (const box of document.querySelectorAll("body *"))
    if (!box.closest(".sheet") && !box.querySelector(".sheet")) box.remove();
}"""


def test_open_sheets_are_accessible(functions: Opened) -> None:
    """A sheet with its answer and a function with its message, in both colours, on desk and phone."""
    page = functions.page
    functions.check("letters a, b\n(a + b)^2\n= a^2 + b^2   # forgotten")
    page.locator("#function-interval").locator("xpath=ancestor-or-self::section[1]").locator(
        "button.put"
    ).click()
    box = page.locator("section.sheet[aria-label='Write interval']")
    box.locator(".sheet-check").click()
    box.locator(".sheet-message").wait_for(timeout=LONG)
    for width in reversed(WIDTHS):
        resize(page, width)
        assert (
            page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        )
    page.evaluate(SHEETS_ALONE)
    for width in WIDTHS:
        resize(page, width)
        for theme, options in (("dark", {"runOnly": COLOURS}), ("light", {})):
            in_theme(page, theme)
            found = Axe().run(page, {"include": [[".sheet"]]}, {"resultTypes": ["violations"], **options})
            assert [
                (one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]
            ] == [], theme


@pytest.mark.parametrize("width", WIDTHS)
def test_a_sheet_fits_its_page_and_is_accessible(reader: BrowserContext, address: str, width: str) -> None:
    opened = Opened(reader, address, "book/sheet.html", width)
    page = opened.page
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    label = page.locator(".sheet label")
    assert label.get_attribute("for") == page.locator(".sheet textarea").get_attribute("id")
    assert page.locator(".sheet-status").get_attribute("role") == "status"
    page.close()
