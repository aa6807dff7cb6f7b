"""Every page of the built book in a real browser, at the width of a desk and of a phone.

The book is served from a sub-path of localhost, compressed as on GitHub Pages, and every request to another
host is refused. With SHOTS=1, and in CI, screenshots are left in _build/screenshots.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from lowerbound import proofs
from lowerbound.gaussian import Gaussian
from playwright.sync_api import Browser, Error, Locator, Page, expect
from pypdf import PdfReader

from tools.publish.pdf import write
from tools.publish.site import (
    CHAPTERS,
    EVERY_FORMULA,
    EVERY_PICTURE,
    LIGHTENED,
    LOOK,
    PAGES,
    ROOT,
    SITE,
    WIDTHS,
    WITH_FORMULAS,
    Visit,
)

expect.set_options(timeout=20_000)
SCREENSHOTS = ROOT / "_build" / "screenshots"
# What is wrong with a page whose formulas are typeset, in words.
FAULTS = r"""() => {
  const all = selector => [...document.querySelectorAll(selector)], found = [];
  const skip = "script,style,pre,code,mjx-container,.tex2jax_ignore";
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent;
    const raw = /\$\$|\\\(|\\\[|\\begin\{/.test(text);
    if (raw && !walker.currentNode.parentElement.closest(skip)) found.push(`left as source: ${text}`);
  }
  const refused = all("mjx-merror, [data-mjx-error]");
  found.push(...refused.map(formula => `refused by MathJax: ${formula.textContent}`));
  if (all("article h1").length !== 1) found.push("not one title");
  if (all("mjx-mtext mjx-c.mjx-c5C").length) found.push("a TeX command printed as text");
  const formulas = all("main .math, main .amsmath").length;
  if (all("main mjx-container").length < formulas) found.push("formulas not typeset");
  const silent = all("main img").filter(image => !image.alt);
  return found.concat(silent.map(image => `without alt text: ${image.src}`));
}"""

TOO_WIDE = """() => [...document.querySelectorAll("main *")].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.right <= window.innerWidth + 1 || box.width === 0) return false;
  for (let p = e.parentElement; p; p = p.parentElement) {
    if (["auto", "scroll", "hidden"].includes(getComputedStyle(p).overflowX)) return false;
  }
  return true;
}).slice(0, 5).map(e => e.tagName + "." + e.className)"""

WIDE = """all => all.filter(box => box.scrollWidth > box.clientWidth + 1)
  .map(box => `${box.textContent.trim().slice(0, 40)}: ${box.scrollWidth - box.clientWidth}`)"""

ALONE = r"""() => {
  // Marks at the start of a line, behind a formula.
  const found = [];
  for (const formula of document.querySelectorAll("main span.math")) {
    const text = formula.nextSibling;
    if (text?.nodeType !== 3 || !/^[.,;:!?]/.test(text.data) || !formula.clientWidth) continue;
    const range = document.createRange();
    range.setStart(text, 0);
    range.setEnd(text, 1);
    const mark = range.getBoundingClientRect(), before = [...formula.getClientRects()].pop();
    if (mark.left < before.right - 4) found.push(formula.parentElement.textContent.trim().slice(0, 40));
  }
  return found;
}"""

UNSEEN = """all => all.filter(caption => !caption.getBoundingClientRect().height)
  .map(caption => caption.textContent.trim())"""

# What the tables of a page lack: a caption, a number (but for what a cell puts out), and, in columns of
# numbers, that these stand right, in digits of one width, with their decimal points below each other.
TABLES = r"""() => [...document.querySelectorAll("main table")].flatMap(table => {
  const faults = [], caption = table.querySelector("caption");
  const number = caption?.querySelector(".caption-number")?.textContent || "";
  const said = caption?.querySelector(".caption-text") || caption;
  if (!said?.textContent.trim()) faults.push("no caption");
  if (!/^Table \d+(\.\d+)? $/.test(number) && !table.closest(".cell_output")) faults.push("no number");
  const figure = "[−+-]?\\d[\\d,]*(\\.\\d+)?";
  const more = `(\\)?\\s*(%|M\\b|\\)|·\\s*10\\S+|(±|/|\\+|–|and|to|\\()\\s*${figure}))*`;
  const numeric = new RegExp(`^\\(?${figure}(?![\\d.])${more}$`);
  const single = new RegExp(`^${figure}( ?%)?(\\s*±.*)?$`);
  const rows = [...table.querySelectorAll("tbody tr")].map(row => [...row.cells]);
  rows[0].forEach((_, i) => {
    const written = cell => cell.textContent.trim();
    const column = rows.map(row => row[i]).filter(cell => written(cell) && !cell.querySelector(".math"));
    const numbers = column.filter(cell => numeric.test(written(cell)));
    if (!numbers.length || 2 * numbers.length < column.length) return;
    if (column.some(cell => !numeric.test(written(cell)) && written(cell).length > 12)) return;
    const styles = numbers.map(cell => getComputedStyle(cell));
    const name = `column ${i + 1}`;
    if (styles.some(style => style.textAlign !== "right")) faults.push(`${name} is not set right`);
    const digits = styles.every(style => style.fontVariantNumeric === "tabular-nums");
    if (!digits) faults.push(`${name} has other digits`);
    // Where the whole part ends of each number that stands alone or before its error.
    const points = numbers.filter(cell => single.test(written(cell))).map(cell => {
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      while (!/\d/.test(walker.nextNode().data));
      const range = document.createRange(), text = walker.currentNode;
      range.setStart(text, 0);
      range.setEnd(text, /[\s−+\d,-]*\d/.exec(text.data)[0].length);
      return range.getBoundingClientRect().right;
    });
    if (Math.max(...points) - Math.min(...points) > 1.5) faults.push(`the points of ${name} are apart`);
  });
  return faults.map(fault => `${(caption || table).textContent.trim().slice(0, 40)}: ${fault}`);
})"""

VISIBLE = 80  # letters of a line of a lab, as in tests/book/test_labs_ask.py
MOST = 1_500_000  # bytes that a page may transfer, before a figure is moved
MOST_SHIFT = 0.1  # of a page that loads: what is still good for a reader, of windows
MOST_WITH_FRAMES = 2_000_000  # and with all frames of all its figures


PICTURED = bool(os.environ.get("SHOTS") or os.environ.get("CI"))
MOVED_BY_HAND = ["book/01_elbo", "notebooks/02_vae"]  # elsewhere, players get the events that a hand causes
OPENED_ON_A_PHONE = ["book/01_elbo", "notebooks/03_forward"]  # elsewhere the window becomes as narrow as one


def shoot(page: Page, name: str, kind: Any) -> None:
    if PICTURED:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{name.replace('/', '-')}-{kind}.jpg"
        page.screenshot(path=file, full_page=True, quality=80)


# Marks the first element of each look, and gives the looks that are new. Of those that look alike, here or on
# a page before, axe judges the colours of one. A link is seen among the words of its block.
LOOKS = f"""judged => {{{LOOK}
  judged.forEach(look => seen.add(look));
  for (const element of document.body.querySelectorAll("*")) {{
    const link = element.matches("a[href]"), around = [];
    const written = link || [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (link) {{
      let block = element.parentElement;
      while (getComputedStyle(block).display === "inline") block = block.parentElement;
      const style = getComputedStyle(element), text = getComputedStyle(block);
      around.push("link", style.textDecorationLine, style.borderBottom, text.color, background(block));
      for (const name of ["fontFamily", "fontStyle", "fontSize", "fontWeight"])
        around.push(style[name] === text[name]);
    }}
    const first = written && element.getClientRects().length && !repeated(element, ...around);
    element.toggleAttribute("data-look", Boolean(first));
  }}
  return [...seen].slice(judged.length);
}}"""

JUDGED: list[str] = []
FIRST_OF_EACH_LOOK = {"include": [["[data-look]"]]}
COLOURS = ["color-contrast", "link-in-text-block"]
ALL_BUT_COLOURS = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
NAMED = ["button-name", "image-alt", "label", "link-name"]
RUNS: dict[str, dict[str, Any] | None] = {
    "desk": ALL_BUT_COLOURS,
    "dark": None,
    "phone": ALL_BUT_COLOURS,
    # The text is that of the desk, but for what scrolls and how large it is to a finger.
    "narrowed": {"runOnly": ["scrollable-region-focusable", "target-size", *NAMED]},
}
# A page of each kind, around which a phone shows other things than a desk.
KINDS = ["book/index", "book/api", "notebooks/assignments/student/A1_bound", "book/changelog"]


def axe(visit: Visit, kind: str) -> list[tuple[str, ...]]:
    """What axe finds, of what can differ in one kind of view."""
    page, found = visit.page, []
    tool = Axe("0") if page.evaluate("Boolean(window.axe)") else Axe()  # the script is loaded once a page
    runs: list[tuple[Any, dict[str, Any] | None]] = [("body", RUNS[kind])]
    if looks := page.evaluate(LOOKS, JUDGED):
        runs.append((FIRST_OF_EACH_LOOK, {"runOnly": COLOURS}))
    for context, options in runs:
        if options is not None:
            done = tool.run(page, context, {"resultTypes": ["violations"], "preload": False, **options})
            found += done.response["violations"]
    if not found:
        JUDGED.extend(looks)
    return [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]


def move(player: Locator) -> None:
    """Move a slider by keyboard, by mouse and by its button, and see its picture move."""
    handle, button = player.locator("input[type=range]"), player.locator("button")
    shown, label = player.locator(".frame:visible"), player.locator("output")
    labels = player.locator("summary").all_text_contents()
    expect(shown).to_have_count(1)
    expect(shown.locator("img:visible")).to_have_count(1)
    expect(shown.locator("summary")).to_have_text(label.inner_text())

    handle.press("Home")
    expect(shown.locator("summary"), "the keyboard moves the picture").to_have_text(labels[0])
    handle.press("ArrowRight")
    expect(shown.locator("summary"), "the keyboard moves the picture").to_have_text(labels[1])
    expect(handle).to_have_attribute("aria-valuetext", labels[1])

    size = handle.bounding_box()
    assert size is not None
    handle.click(position={"x": size["width"] - 3, "y": size["height"] / 2})
    expect(handle, "the mouse moves the handle").to_have_value(handle.get_attribute("max") or "")
    expect(shown.locator("summary"), "the mouse moves the picture").to_have_text(labels[-1])

    handle.press("Home")
    expect(shown.locator("summary")).to_have_text(labels[0])
    button.click()
    expect(shown.locator("summary"), "play moves the picture").not_to_have_text(labels[0])
    if button.get_attribute("aria-label") == "Pause":
        button.click()
    expect(button).to_have_accessible_name("Play")


# The same of every player on a page, by the events that a keyboard or a mouse causes. Gives what is wrong.
MOVE = """async players => {
  const faults = [], seen = parts => [...parts].filter(part => part.getClientRects().length);
  const until = async (player, said, done) => {
    for (let i = 0; i < 200; i++) {
      if (done()) return;
      await new Promise(later => setTimeout(later, 25));
    }
    faults.push(`${said}: ${player.textContent.trim().slice(0, 80)}`);
  };
  for (const player of players) {
    const [handle, button] = ["input[type=range]", "button"].map(part => player.querySelector(part));
    const labels = [...player.querySelectorAll("summary")].map(summary => summary.textContent);
    const shows = i => {
      const [frame, ...others] = seen(player.querySelectorAll(".frame"));
      if (!frame || others.length || seen(frame.querySelectorAll("img")).length !== 1) return false;
      const said = [frame.querySelector("summary").textContent, player.querySelector("output").textContent];
      said.push(handle.getAttribute("aria-valuetext"));
      return +handle.value === i && said.every(text => text === labels[i]);
    };
    for (const i of [1, labels.length - 1, 0]) {
      handle.value = i;
      handle.dispatchEvent(new Event("input", {bubbles: true}));
      await until(player, `the handle does not show frame ${i}`, () => shows(i));
    }
    button.click();
    await until(player, "play does not move the picture", () => !shows(0) && shows(+handle.value));
    if (button.getAttribute("aria-label") === "Pause") button.click();
    await until(player, "it does not stop", () => button.getAttribute("aria-label") === "Play");
  }
  return faults;
}"""

# What is large and light on a dark page: a box with a light background, or a picture whose corners are.
LIGHT = """() => [...document.querySelectorAll("main *")].filter(box => {
  if (!box.clientWidth || box.clientWidth * box.clientHeight < 10000) return false;
  const seen = /rgba?\\((\\d+), (\\d+), (\\d+)(?:, ([\\d.]+))?/.exec(getComputedStyle(box).backgroundColor);
  const background = (+seen[1] + +seen[2] + +seen[3]) / 3 * (seen[4] === undefined ? 1 : seen[4]);
  if (background > 110) return true;
  if (box.tagName !== "IMG" || box.src.endsWith(".svg")) return false;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 2;
  const pen = canvas.getContext("2d");
  pen.drawImage(box, 0, 0, 2, 2, 0, 0, 2, 2);
  return pen.getImageData(0, 0, 1, 1).data.slice(0, 3).every(part => part > 110);
}).map(box => box.outerHTML.slice(0, 120))"""

FINISHED = "document.getAnimations().forEach(change => change.finish())"  # colours and side bars come to rest


def in_theme(page: Page, theme: str) -> None:
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    page.evaluate(FINISHED)


def check_captions(page: Page) -> None:
    captions = page.locator("main figcaption")
    assert captions.count() == page.locator("main figure").count(), "a figure without a caption"
    for theme, medium in (("light", "print"), ("dark", "print"), ("dark", "screen"), ("light", "screen")):
        in_theme(page, theme)
        page.emulate_media(media=medium)
        assert captions.evaluate_all(UNSEEN) == [], f"captions hidden in {theme} on {medium}"
    # The theme may have looked at what scrolls while the page was laid out for paper: have it look again.
    page.evaluate("window.dispatchEvent(new Event('resize'))")


# A while after the window has changed, the theme makes what scrolls now reachable by keyboard.
REACHABLE = """() => [...document.querySelectorAll('[tabindex="-1"]')].every(
  element => element.scrollWidth <= element.clientWidth
    || !["auto", "scroll"].includes(getComputedStyle(element).overflowX))"""

# What a finger or a mouse would meet in the middle of each handle and button of a player.
COVERED = """all => all.map(part => {
  part.scrollIntoView({block: "center", behavior: "instant"});
  const box = part.getBoundingClientRect();
  const met = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return met === part ? "" : `${part.outerHTML} is under ${met?.outerHTML.slice(0, 200)}`;
}).filter(Boolean)"""


def resize(page: Page, width: str) -> None:
    page.set_viewport_size(dict(zip(("width", "height"), WIDTHS[width], strict=True)))
    page.wait_for_function(REACHABLE)
    page.evaluate(FINISHED)


# Folded boxes that are higher than their titles, and titles that run below the words at their right.
SLIPPED = """() => [...document.querySelectorAll("main .admonition.toggle-hidden")].filter(fold => {
  const title = fold.querySelector(".admonition-title"), box = title.getBoundingClientRect();
  if (!box.height) return false;
  const button = title.querySelector(".toggle-button"), hint = button.getBoundingClientRect();
  const words = document.createRange();
  words.selectNodeContents(title);
  words.setEndBefore(button);
  const first = words.getClientRects()[0];
  const beside = Math.abs(hint.y + hint.height / 2 - first.y - first.height / 2) < 6;
  const over = [...words.getClientRects()].some(line => line.right > hint.left + 1);
  return fold.getBoundingClientRect().height > box.height + 4 || !beside || over;
}).map(fold => fold.querySelector(".admonition-title").textContent.trim())"""


def check_width(page: Page, name: str, width: str) -> None:
    """What depends on the width of the window, and on the formulas."""
    resize(page, width)
    assert page.evaluate(SLIPPED) == [], "folds that are not closed, or whose words slip"
    assert page.locator("input[type=search]:visible").count() <= 1, "a second search bar"
    shoot(page, name, WIDTHS[width][0])
    if width == "desk":
        assert page.locator("main .pst-scrollable-table-container").evaluate_all(WIDE) == [], "tables cut"
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 1, f"the page is {overflow} px too wide: {page.evaluate(TOO_WIDE)}"


DARK = ["book/01_elbo", "notebooks/01_elbo", "notebooks/02_vae", "notebooks/clinic"]


def check_drawings_in_the_dark(page: Page) -> None:
    drawings, seen = page.locator("main img.only-dark:visible"), page.locator("main img:visible")
    assert drawings.count() > 0
    assert page.locator("main img.only-light:visible").count() == 0
    assert page.locator("main img").evaluate_all(EVERY_PICTURE) == []
    other = r"all => all.filter(i => !/-dark\.(svg|png)$/.test(i.src)).map(i => i.src)"
    assert drawings.evaluate_all(other) == []
    behind = "all => [...new Set(all.map(i => getComputedStyle(i).backgroundColor))]"
    assert seen.evaluate_all(behind) == ["rgba(0, 0, 0, 0)"], "a card behind a picture"


def check_access(visit: Visit, name: str, width: str, view: str) -> None:
    """Players, some by keyboard and mouse on the desk; what axe finds, on the desk in both colours."""
    page = visit.page
    resize(page, width)
    back_to_top = page.locator("#pst-back-to-top")
    back_to_top.evaluate("it => { it.style.display = ''; }")
    players = page.locator("main .player")
    assert players.locator("input, button").evaluate_all(COVERED) == [], "parts of a player out of reach"
    if width == "desk":
        if name in MOVED_BY_HAND:
            move(players.first)
        assert players.evaluate_all(MOVE) == [], "players that do not move"
    page.mouse.move(0, 0)
    back_to_top.evaluate("it => { it.style.display = 'block'; }")  # as when scrolling up
    assert axe(visit, view) == [], "what axe finds"
    if width == "desk":
        in_theme(page, "dark")
        if name in DARK:
            check_drawings_in_the_dark(page)
            shoot(page, name, "dark")
        assert page.evaluate(LIGHT) == [], "light boxes on a dark page"
        assert axe(visit, "dark") == [], "what axe finds in the dark"
        in_theme(page, "light")


@pytest.mark.parametrize(
    ("name", "widths"),
    [*((name, ["desk", "phone"]) for name in PAGES), *((name, ["phone"]) for name in OPENED_ON_A_PHONE)],
)
def test_page(browser: Browser, address: str, name: str, widths: list[str]) -> None:
    """One visit: opened at the first width, and looked at in each."""
    visit = Visit(browser, WIDTHS[widths[0]])
    page = visit.open(f"{address}/{name}.html", typeset=False)
    assert visit.shift() < MOST_SHIFT, "the page moves while it loads"
    page.evaluate(EVERY_FORMULA)
    assert page.evaluate(FAULTS) == []
    if name.startswith("notebooks/"):
        ways = page.locator(".ways-to-run a").all_inner_texts()
        assert ways == ["Open in Colab", "View on GitHub", "Download"]
        assert "find_spec" not in str(page.locator("main").text_content()), "the setup cell is shown"

    assert page.evaluate(TABLES) == [], "what tables lack"
    assert visit.transferred < MOST
    assert page.locator("main img").evaluate_all(EVERY_PICTURE) == [], "pictures that did not load"
    assert visit.transferred < MOST_WITH_FRAMES
    for width in reversed(widths):
        check_width(page, name, width)
    page.evaluate(LIGHTENED, name == WITH_FORMULAS)
    check_captions(page)
    for width in widths:
        whole = width == widths[0] or name in KINDS
        check_access(visit, name, width, width if whole else "narrowed")
    assert visit.faults == []


# What goes on beyond what can be seen, and does not say so or cannot be moved.
CUT = """() => {
  const wide = box => box.clientWidth && box.scrollWidth > box.clientWidth + 3;
  const silent = box => box.tabIndex !== 0 || getComputedStyle(box).maskImage === "none";
  const boxes = "main mjx-container, main .highlight pre, main .pst-scrollable-table-container";
  return [...document.querySelectorAll(boxes)]
    .filter(box => wide(box) && silent(box)).map(box => (box.closest("[id]") || box).id);
}"""
# Derivations with a reason out of sight, smaller than formulas in a line, or that go on beyond the page.
UNREAD = """() => [...document.querySelectorAll("main .derivation div.math")].filter(formula => {
  const place = formula.getBoundingClientRect();
  const reasons = formula.querySelectorAll(".why, mjx-mtext");
  return [...reasons].some(reason => reason.getBoundingClientRect().right > place.right + 1);
}).map(formula => formula.id)"""
SMALL = """() => {
  const size = formula => parseFloat(getComputedStyle(formula).fontSize);
  const inLine = size(document.querySelector("main p > span.math mjx-container"));
  const where = "main .derivation .line mjx-container, main .derivation div.math > mjx-container";
  return [...document.querySelectorAll(where)].filter(f => size(f) < inLine)
    .map(formula => formula.closest("div.math").id);
}"""
BEYOND = """() => [...document.querySelectorAll("main .derivation div.math, main .derivation mjx-container")]
  .filter(box => box.clientWidth && box.scrollWidth > box.clientWidth + 3)
  .map(box => box.closest("div.math").id)"""
WITH_A_LONG_FRACTION = {"equation-eq-reverse-induction"}  # no line can be broken within it, so it scrolls
UNFOLD = """() => {
  document.querySelectorAll("main details:not(.frame)").forEach(fold => { fold.open = true; });
  document.querySelectorAll("main .toggle-hidden").forEach(fold => fold.classList.remove("toggle-hidden"));
  document.querySelectorAll("main .unfold[aria-expanded=false]").forEach(button => button.click());
  return new Promise(seen => requestAnimationFrame(() => setTimeout(seen, 200)));
}"""


KEPT = """() => {
  document.querySelectorAll("main details:not(.frame)").forEach(fold => { fold.open = true; });
  const phone = innerWidth <= 600, pixels = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return [...document.querySelectorAll("main div.math")].filter(f => f.clientHeight).map(f => {
    const kept = f.style.getPropertyValue(phone ? "--high-on-a-phone" : "--high");
    return [f.id, parseFloat(kept) * pixels, f.getBoundingClientRect().height];
  });
}"""


GREEK = re.compile(
    r"\\(?:alpha|beta|gamma|delta|Delta|var(?:epsilon|sigma)|epsilon|eta|theta|kappa|lambda|mu|xi|rho|sigma|tau|phi|ell)\b"
)
NO_LETTER = re.compile(
    r"\\(?:text|mathrm|mathbb|operatorname|begin|end)\{[^}]*\}|\\[A-Za-z]+|e\^|\[[\d.]+\w+\]"
)


def has_letters(tex: str) -> bool:
    """Whether letters are left of a formula that have a meaning."""
    return bool(re.search("[A-Za-z]", NO_LETTER.sub(" ", GREEK.sub("g", tex))))


def check_symbols(page: Page) -> None:
    """Each formula with letters knows what they mean, says so, and leads to the page of them."""
    known = page.locator("main .math").evaluate_all(
        """all => all.map(formula => {
             const tex = MathJax.startup.document.getMathItemsWithin(formula).map(i => i.math).join(" ");
             const helps = getComputedStyle(formula).cursor === "help";
             return [tex, symbolsIn(tex).map(entry => entry.tex), helps];
           })"""
    )
    assert [tex for tex, symbols, _ in known if not symbols and has_letters(tex)] == []
    assert [tex for tex, symbols, helps in known if bool(symbols) != helps] == [], "help where there is none"
    formula = page.locator("main div.math.known:visible").first
    panel = page.get_by_role("dialog", name="Symbols of this formula")
    formula.click(position={"x": 4, "y": 4})
    expect(panel.locator("dt mjx-container")).not_to_have_count(0)
    expect(panel.locator("dd").first).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    formula.press("Enter")
    panel.locator("dt a").first.click()
    expect(page).to_have_url(re.compile(r"/book/notation\.html#symbol-\d+$"))
    expect(page.locator(f"[id='{page.url.split('#')[1]}']")).to_have_count(1)


@pytest.mark.parametrize(
    ("name", "width"), [*itertools.product(CHAPTERS, WIDTHS), ("book/cheat_sheet", "desk")]
)
def test_formulas(browser: Browser, address: str, name: str, width: str) -> None:
    """Opened at one width: the room kept for formulas, and what is seen of them when all is unfolded."""
    visit, on_a_phone = Visit(browser, WIDTHS[width]), width == "phone"
    page = visit.open(f"{address}/{name}.html", typeset=False)
    assert visit.shift() < MOST_SHIFT, "the page moves while it loads"
    page.evaluate(EVERY_FORMULA)
    sizes = page.evaluate(KEPT)
    assert sizes
    wrong = {label: (kept, high) for label, kept, high in sizes if abs(kept - high) > 12}
    assert len(wrong) <= max(1, len(sizes) // 10), f"run python -m tools.publish.formula_sizes: {wrong}"
    page.evaluate(UNFOLD)
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0, "formulas that MathJax refused"
    if on_a_phone:
        assert page.locator("main div.math:not(.narrow)").count() == 0
    for theme in ("light", "dark") if on_a_phone else ("light",):
        if theme == "dark":
            page.emulate_media(color_scheme=theme)
            in_theme(page, theme)
        assert page.evaluate(CUT) == [], "cut without a word"
        assert page.evaluate(ALONE) == [], "lines that begin with a mark"
        assert page.evaluate(UNREAD) == [], "reasons out of sight"
        assert page.evaluate(SMALL) == [], "derivations smaller than the formulas beside them"
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 1
    if on_a_phone:
        cut = page.locator("main .scrolls").first
        cut.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
        expect(cut, "the end of what scrolls does not fade").not_to_have_class(re.compile("more-right"))
    else:
        assert set(page.evaluate(BEYOND)) <= WITH_A_LONG_FRACTION, "derivations that go on beyond the page"
        check_symbols(page)
    assert visit.faults == []


LATE = """addEventListener("load", () => setTimeout(() => {
  const banner = document.createElement("div");
  banner.style.height = "300px";
  document.querySelector("article").prepend(banner);
}, 200))"""
SCROLLED = "html .bd-article div.math:not(:has(mjx-math)) { overflow: hidden !important; }"


@pytest.mark.parametrize("fault", ["what comes late has no room", "formulas that wait are boxes that scroll"])
def test_a_page_that_moves_is_found(browser: Browser, address: str, fault: str) -> None:
    visit = Visit(browser, WIDTHS["phone"])
    page = visit.page
    if fault.startswith("what"):
        page.add_init_script(LATE)
    else:
        style = (SITE / "_static" / "custom.css").read_text(encoding="utf-8") + SCROLLED
        page.route("**/custom.css*", lambda route: route.fulfill(body=style, content_type="text/css"))
    visit.open(f"{address}/book/01_elbo.html", typeset=False)
    page.wait_for_timeout(500)
    assert visit.shift() > MOST_SHIFT


def test_a_formula_that_is_never_drawn_is_found(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["phone"])
    page = visit.open(f"{address}/book/glossary.html")
    page.evaluate(
        """() => {
             performance.now = (now => () => 100 * now())(performance.now.bind(performance));
             document.querySelector("main p").append(document.createElement("mjx-container"));
           }"""
    )
    with pytest.raises(Error, match="a formula is not drawn"):
        page.evaluate(EVERY_FORMULA)


def opened(page: Page, label: str) -> bool:
    """Whether the lines of a routine derivation are seen, in place of its statement."""
    formula = page.locator(f"#equation-{label}")
    seen = formula.locator(".all .line").first.evaluate("line => line.checkVisibility()")
    height = formula.locator(".all").evaluate("lines => lines.getBoundingClientRect().height")
    assert seen == (height > 0) == formula.locator(".statement").is_hidden()
    return bool(seen)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_routine_derivation_is_folded_until_it_is_asked_for(
    browser: Browser, address: str, width: str
) -> None:
    visit = Visit(browser, WIDTHS[width])
    page = visit.open(f"{address}/book/04_reverse.html", typeset=False)
    label = "eq-reverse-snr"
    fold = page.locator(f".derivation.routine:has(#equation-{label})")
    button, tools = fold.locator(".unfold"), fold.locator(".how > details, .change-proof")
    fold.scroll_into_view_if_needed()
    assert not opened(page, label)
    assert page.locator(".derivation.routine:not(.folded)").count() == 0
    expect(fold.locator(".statement mjx-container").first).to_be_visible()
    expect(fold.locator(".fact mjx-container").first, "what the letters stand for").to_be_visible()
    assert [tool.is_visible() for tool in tools.all()] == [False, False]
    button.press("Enter")
    assert opened(page, label)
    expect(button).to_have_attribute("aria-expanded", "true")
    assert [tool.is_visible() for tool in tools.all()] == [True, True]
    button.click()
    assert not opened(page, label)
    page.emulate_media(media="print")
    assert fold.locator(".all .line").last.is_visible()
    assert fold.locator(".statement").is_hidden()
    page.emulate_media(media="screen")
    page.evaluate(f"location.hash = 'equation-{label}'")
    page.wait_for_function("label => !document.querySelector(`#equation-${label} .all`).hidden", arg=label)
    assert opened(page, label), "an address opens what it points at"
    assert visit.faults == []


def test_an_address_opens_what_is_folded(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/04_reverse.html#equation-eq-reverse-posterior", typeset=False)
    expect(page.locator("#equation-eq-reverse-posterior")).to_be_in_viewport()
    expect(page.locator(".toggle-hidden #equation-eq-reverse-posterior")).to_have_count(0)
    page = visit.open(f"{address}/book/01_elbo.html#equation-eq-elbo-linear-kl", typeset=False)
    assert opened(page, "eq-elbo-linear-kl")


def test_without_a_script_nothing_of_a_derivation_is_folded(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/book/01_elbo.html")
    formula = page.locator("#equation-eq-elbo-linear-kl")
    expect(formula).to_be_visible()
    expect(formula).to_contain_text(r"\end{aligned}")
    expect(page.locator(".unfold").first).to_be_hidden()


WIDEST = 0.618  # of the usual fonts of programs: how wide a letter is, for its size


def test_a_line_of_a_lab_fits_in_the_widest_of_the_usual_fonts(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/notebooks/06_latent.html", typeset=False)
    room = page.locator("main .cell_input pre:visible").first.evaluate(
        """box => {
             const style = getComputedStyle(box);
             const space = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
             return space / parseFloat(style.fontSize);
           }"""
    )
    assert room >= VISIBLE * WIDEST


def test_a_symbol_is_lit_wherever_it_is(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/06_latent.html")
    lit = page.locator("main .lit")
    index = page.locator("main p .math.known mjx-msub:has(mjx-script)").first
    index.hover()
    expect(lit).not_to_have_count(0)
    letters = "s => [...s.querySelectorAll('mjx-c')].map(letter => letter.className).join()"
    looks = lit.evaluate_all(f"all => [...new Set(all.map({letters}))]")
    assert looks == [index.evaluate(letters)], "another symbol is lit, or not the whole of this one"
    assert lit.count() > 3
    page.emulate_media(media="print")
    assert lit.first.evaluate("s => getComputedStyle(s).backgroundColor") == "rgba(0, 0, 0, 0)"
    page.emulate_media(media="screen")
    page.mouse.move(0, 0)
    expect(lit).to_have_count(0)
    index.click()
    page.get_by_role("dialog").locator("dt a").first.focus()
    expect(lit).not_to_have_count(0)
    page.keyboard.press("Escape")
    expect(lit).to_have_count(0)
    page.emulate_media(reduced_motion="reduce")
    index.click()
    expect(lit, "where the reader wants things still").to_have_count(0)
    assert visit.faults == []


SYMBOLS = {
    r"\bar{\alpha}_{t-1}": [r"\bar\alpha_t"],
    r"\sqrt{\alpha_{t}} x_{t-1} + \beta_{t} \epsilon": [r"\alpha_t", "x_{t-1}", r"\beta_t", r"\varepsilon"],
    r"\mathrm{KL}\left(q(x_T \mid x_0) \,\|\, p\right)": [
        r"\KL(q \,\|\, p)",
        r"q(x_t \given x_0)",
        "x_t",
        "x_0",
        "p",
    ],
    r"\text{the variance of x}": [],
}


def test_symbols_are_told_apart(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/03_forward.html", typeset=False)
    found = page.evaluate(
        "all => all.map(tex => symbolsIn(tex, document.querySelector('main div.math')).map(e => e.tex))",
        list(SYMBOLS),
    )
    assert dict(zip(SYMBOLS, found, strict=True)) == SYMBOLS


def test_the_lecture_is_a_typed_minute_from_each_section(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/index.html", typeset=False)
    box, answer = page.locator(".minute-box input"), page.locator(".minute-box output")
    box.fill("3:21")
    box.press("Enter")
    expect(answer).to_contain_text("01:36–05:16")
    box.fill("59:00")
    box.press("Enter")
    expect(answer).to_contain_text("the nearest is")
    box.fill("3:21")
    box.press("Enter")
    answer.locator("a").click()
    expect(page).to_have_url(re.compile(r"book/01_elbo\.html#the-elbo-line-by-line$"))
    page.locator("section#the-elbo-line-by-line .lecture a").first.click()
    expect(page).to_have_url(re.compile(r"book/lecture_map\.html#minute-0096$"))


def test_a_drawing_can_be_saved(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"], dark=True)
    page = visit.open(f"{address}/book/01_elbo.html", typeset=False)
    with page.expect_download() as begun:
        page.locator("figure.lab-figure .from-lab a", has_text="Save").first.click()
    assert begun.value.suggested_filename.endswith("-dark.svg")


def test_the_plane_is_moved_and_computes_what_the_library_does(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/01_elbo.html", typeset=False)
    plane, output = page.locator(".gap-plane svg.plane"), page.locator(".gap-plane output")
    handle = page.locator(".gap-plane").get_by_label("mean m")
    handle.press("ArrowRight")
    expect(output).to_contain_text("N(0.25, 0.90)")
    plane.scroll_into_view_if_needed()
    mark, box = plane.locator(".posterior-mark").bounding_box(), plane.locator(".guess-mark").bounding_box()
    assert mark is not None
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2, steps=4)
    page.mouse.up()
    expect(output).to_contain_text("+ KL 0.00")
    bound, gap = proofs.linear_gaussian_elbo().as_function(), proofs.linear_gaussian_kl().as_function()
    log_p = proofs.linear_gaussian_identity().as_function()
    for m, v in [(0.2, 0.9), (1.0, 0.5), (-2.5, 0.05), (3.0, 3.0)]:
        for label, value in (("mean m", m), ("variance v", v)):
            page.locator(".gap-plane").get_by_label(label).fill(str(value))
        values = (bound(m, 1.0, v, 1.0, 2.0), gap(m, 1.0, v, 1.0, 2.0), log_p(1.0, 1.0, 2.0))
        elbo, kl, whole = (f"{round(value, 3) + 0.0:.3f}".replace("-", "−") for value in values)
        assert output.inner_text().endswith(f": ELBO {elbo} + KL {kl} = {whole}, log p(x)")
        q, p = (Gaussian(torch.tensor([[a]]), torch.tensor([[b]]).log()) for a, b in ((m, v), (1.0, 0.5)))
        assert float(q.kl(p)) == pytest.approx(values[1], abs=1e-5), "the library's KL"
    assert visit.faults == []


def test_without_a_script_the_plane_is_a_picture(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/book/01_elbo.html")
    expect(page.locator(".gap-plane img").first).to_be_visible()


# Faults planted in a table, and what is said of them.
PLANTED_IN_TABLES = {
    "table.querySelector('caption').remove()": "no caption",
    "table.querySelector('.caption-number').remove()": "no number",
    "table.querySelector('.caption-text').textContent = ''": "no caption",
    "table.querySelector('td.figures').classList.remove('figures')": "is not set right",
    "table.querySelectorAll('.pad').forEach(pad => pad.remove())": "the points of",
}


def test_a_fault_of_a_table_is_found(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/03_forward.html", typeset=False)
    find = "const table = document.querySelector('table:has(.pad), table.planted')"
    page.evaluate(f"() => {{ {find}; table.classList.add('planted'); window.whole = table.innerHTML; }}")
    for fault, said in PLANTED_IN_TABLES.items():
        assert page.evaluate(TABLES) == []
        page.evaluate(f"() => {{ {find}; {fault}; }}")
        assert any(said in line for line in page.evaluate(TABLES))
        page.evaluate(f"() => {{ {find}; table.innerHTML = whole; }}")


def test_the_entry_to_cite_is_of_this_version() -> None:
    page = re.sub("<[^>]+>", "", (SITE / "book" / "cite.html").read_text(encoding="utf-8"))
    version = re.search(r"^version: (.+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert version
    assert f"{{Version {version[1]}}}" in page


def test_a_book_opened_as_files(browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"file://{SITE}/book/01_elbo.html", wait_until="load")
    page.evaluate(EVERY_FORMULA)
    assert page.locator("main mjx-container").count() > 50
    player = page.locator(".player").first
    player.locator("input").press("End")
    expect(player.locator(".frame").last).to_be_visible()
    assert player.locator("img").evaluate_all(EVERY_PICTURE) == []
    assert faults == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_page_has_its_colours_before_the_theme_has_its_script(
    browser: Browser, address: str, dark: bool
) -> None:
    visit = Visit(browser, WIDTHS["desk"], dark=dark)
    page = visit.page
    page.route("**/pydata-sphinx-theme.js*", lambda route: route.abort())
    page.goto(f"{address}/book/clinic.html", wait_until="domcontentloaded")
    behind = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", behind)[:3])) < 200) == dark
    code = page.locator("main p code").first.evaluate("code => getComputedStyle(code).borderTopWidth")
    assert code == "1px"


def test_a_chapter_on_paper(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "book.pdf"
    titles = [title for title, _ in write(browser, out, ["book/01_elbo", "book/lecture_map"])]
    assert titles == ["1. The evidence lower bound (ELBO)", "Lecture map"]
    book = PdfReader(out)
    assert len(book.pages) > 10
    assert titles[0] in book.pages[3].extract_text(), "each sheet has its chapter's name"
    assert [item["/Title"] for item in book.outline] == titles  # type: ignore[index,call-overload]
    text = "".join(page.extract_text() for page in book.pages)
    assert "\\frac" not in text, "formulas not typeset"
    assert "The two-headed coin cannot show a tail" in " ".join(text.split()), "folded solutions are printed"
    links = [
        note.get_object()["/A"]["/URI"]
        for page in book.pages
        for note in page.get("/Annots", [])
        if "/URI" in note.get_object().get("/A", {})
    ]
    assert links
    assert not [link for link in links if "127.0.0.1" in link or link.startswith("file:")]


def test_the_cheat_sheet_is_two_sheets_and_none_of_it_is_cut(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    out = tmp_path / "sheet.pdf"
    write(browser, out, ["book/cheat_sheet"])
    assert len(PdfReader(out).pages) <= 2
    visit = Visit(browser, (900, 1200))
    page = visit.open(f"{address}/book/cheat_sheet.html")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 672, "height": 1000})  # A4 within its margins
    formulas = page.locator("#cheat-sheet mjx-container")
    assert formulas.count() > 20
    assert formulas.evaluate_all("all => all.filter(f => f.scrollWidth > f.clientWidth + 2).length") == 0


FOUND = {  # what readers type, and an address that must be among the first three
    "reparameterization": "book/02_vae.html#",
    "reparametrization trick": "book/02_vae.html#",
    "KL": "book/01_elbo.html#",
    "DDIM": "book/04_reverse.html#",
    "phân kỳ KL": "book/glossary.html#",
    "phan ky KL": "book/glossary.html#",
    "posterior collapse": "book/02_vae.html#",
    "beta-VAE": "book/02_vae.html#",
    "FID": "book/glossary.html#",
    "guidance": "book/04_reverse.html#",
    "noise schedule": "book/03_forward.html#",
    "x0 prediction": "book/04_reverse.html#",
    "score matching": "book/07_coordinates.html#score-matching",
    "03:21": "book/01_elbo.html#the-elbo-line-by-line",
    "evidence lower bound": "book/01_elbo.html",
}


ASKED = """text => {
  history.replaceState(null, "", "?q=" + encodeURIComponent(text));
  document.dispatchEvent(new Event("DOMContentLoaded"));
  return [...document.querySelectorAll("#search-results li a")].slice(0, 3).map(link => link.href);
}"""


def check_search(browser: Browser, edition: str, wanted: dict[str, str]) -> str:
    """Each text finds its page or section among the first three. Returns what is said of the last."""
    visit, missed = Visit(browser, WIDTHS["desk"]), {}
    page = visit.open(f"{edition}/search.html?q={quote(next(iter(wanted)))}", typeset=False)
    results = page.locator("#search-results")
    results.locator("li a").first.wait_for()
    opened = results.inner_text()
    for i, (text, place) in enumerate(wanted.items()):
        links = page.evaluate(ASKED, text)  # as if the page were opened with it
        assert i or results.inner_text() == opened
        if not any(link.startswith(f"{edition}/{place}") for link in links):
            missed[text] = links
        assert "\\" not in results.inner_text(), "LaTeX in an excerpt"
    assert missed == {}
    said = results.locator("[role=status]").inner_text()
    assert visit.faults == []
    return said


def test_search_finds_the_section(browser: Browser, address: str) -> None:
    check_search(browser, address, FOUND)


def test_panels_side_by_side_keep_their_letters_on_a_phone(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["phone"])
    page = visit.open(f"{address}/book/07_coordinates.html", typeset=False)
    box = page.locator("main .container.wide").first
    box.scroll_into_view_if_needed()
    expect(box).to_have_class(re.compile(r"\bscrolls\b.*\bmore-right\b"))
    shown = box.locator("img:visible").evaluate("image => image.clientWidth / image.getAttribute('width')")
    assert shown > 0.75
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 1
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(box).not_to_have_class(re.compile(r"\bscrolls\b"))
    page = visit.open(f"{address}/vi/book/06_latent.html", typeset=False)
    assert page.locator("main .container.wide + .meanings").count() > 0, "words scroll with their picture"
    visit.context.close()
