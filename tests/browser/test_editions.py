"""The two editions: each page leads to the same place of the other, and the Vietnamese one can be read."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from lowerbound.checks.practice import judge
from lowerbound.language import say
from lowerbound.proofs import derivations
from lowerbound.symbolic.sheet import answer, written
from playwright.sync_api import Browser, expect
from test_pages import MOST_SHIFT, axe, check_captions, check_search, check_width

from tools.publish.editions import strings
from tools.publish.site import EVERY_FORMULA, LIGHTENED, PAGES, SITE, WIDTHS, Visit

expect.set_options(timeout=20_000)
EDITION = SITE / "vi"
READ_CLOSELY = ["book/01_elbo", "book/glossary", "notebooks/02_vae"]
SHOWN = ("title", "aria-label", "placeholder", "alt", "data-tooltip", "aria-valuetext")
# Words of the theme that are the same in both languages, or that words.js puts right.
SAME = {
    "Lower Bound", "English", "Colab", "Sphinx Book Theme", "CC BY 4.0", "Ctrl", ".md", ".ipynb", ".pdf",
    "html", "Toggle primary sidebar", "Toggle secondary sidebar", "Main", "Page", "Lower Bound - Home",
    "Loss ra NaN",
}  # fmt: skip


NAMES = re.compile(r"[\w.]+(\(\))?|\d\.\d\.\d \(unreleased\)")  # of the library's entries, of versions


class Text(HTMLParser):
    """What a page shows outside of its article, its sections, and its links to the other edition."""

    def __init__(self) -> None:
        super().__init__()
        self.language, self.switch = "", ("", "")
        self.alternates: dict[str, str] = {}
        self.around: set[str] = set()
        self.sections: list[str] = []
        self.unread, self.article = 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.language = given.get("lang", "") if tag == "html" else self.language
        if tag == "link" and given.get("rel") == "alternate":
            self.alternates[given["hreflang"]] = given["href"]
        if "language-switch" in given.get("class", ""):
            self.switch = given["hreflang"], given["href"]
        if tag == "section" and "id" in given:
            self.sections.append(given["id"])
        self.unread += tag in ("script", "style", "title")
        self.article += tag == "article"
        if not self.article:
            self.around |= {" ".join(given[name].split()) for name in SHOWN if given.get(name)}

    def handle_endtag(self, tag: str) -> None:
        self.unread -= tag in ("script", "style", "title")
        self.article -= tag == "article"

    def handle_data(self, data: str) -> None:
        if not self.unread and not self.article:
            self.around.add(" ".join(data.split()))


@functools.cache
def read(path: Any) -> Text:
    page = Text()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_a_page_leads_to_the_same_page_of_the_other_edition(name: str) -> None:
    english, vietnamese = (read(folder / f"{name}.html") for folder in (SITE, EDITION))
    assert (english.language, vietnamese.language) == ("en", "vi")
    for page, folder, switch in ((english, SITE, "vi"), (vietnamese, EDITION, "en")):
        home = (folder / f"{name}.html").parent
        assert page.switch[0] == switch
        other = EDITION if switch == "vi" else SITE
        assert (home / page.switch[1]).resolve() == (other / f"{name}.html").resolve()
        assert all(uri.startswith("https://") for uri in page.alternates.values()), "relative, in the head"
    both = [name for name in vietnamese.sections if not name.startswith("only-vi-")]
    assert english.sections == both, "sections have other anchors"


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_no_word_around_a_page_is_left_in_english(name: str) -> None:
    table = {entry.id: entry.string for entry in strings() if entry.id}
    shown = read(EDITION / f"{name}.html").around - SAME - set(table.values())
    plain = {text for text in shown if re.search(r"[A-Za-z]{3}", text) and text.isascii()}
    assert {text for text in plain if not NAMES.fullmatch(text)} == set()
    assert name == "book/api" or shown & set(table) == set()  # where entries are called Check and given


# Words of the theme and of derivations that the table has, shown in English. What a cell puts out stays.
LEFT_IN_ENGLISH = """() => {
  const table = window.lowerboundWords, found = [];
  for (const name of ["title", "aria-label", "alt"])
    for (const one of document.querySelectorAll(`[${name}]`)) found.push(one.getAttribute(name));
  const texts = document.querySelectorAll(".why, summary, button, .from-lab");
  for (const one of texts) if (!one.closest(".cell_output")) found.push(one.textContent.trim());
  // Of a proof, of the numbers below a lab's cell, of an equation.
  const begun = /^(Proof\\. |For the chapter: |Key equation$)/;
  for (const one of document.querySelectorAll("main p, summary"))
    if (begun.test(one.textContent)) found.push(one.textContent.match(begun)[0]);
  return found.filter((text) => begun.test(text) || (table[text] && table[text] !== text));
}"""

# Marks above and below letters: of one font with the letters, and with room above them in headings.
ACCENTS = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = getComputedStyle(document.querySelector("main p")).font;
  const wide = (text) => pen.measureText(text).width;
  const pairs = [["e", "ế"], ["o", "ộ"], ["u", "ụ"], ["a", "ẵ"], ["E", "Ế"]];
  const heights = [...document.querySelectorAll("main :is(h1, h2, h3)")].map((heading) => {
    const style = getComputedStyle(heading);
    return parseFloat(style.lineHeight) / parseFloat(style.fontSize);
  });
  return [pairs.filter(([one, other]) => Math.abs(wide(one) - wide(other)) > 0.5), Math.min(...heights)];
}"""


# Words in formulas: letters with marks and without are of one font, and of the size of the text around.
IN_FORMULAS = """() => {
  const size = (element) => parseFloat(getComputedStyle(element).fontSize);
  const all = [...document.querySelectorAll("main p mjx-mtext")];
  const words = all.filter((one) => /[^\\x00-\\x7f]/.test(one.textContent));
  const bad = words.filter((one) => {
    const text = one.querySelector("mjx-utext");
    return one.children.length > 1 || Math.abs(size(text) / size(one.closest("p")) - 1) > 0.02;
  });
  return [words.length, bad.map((one) => one.textContent)];
}"""


def read_closely(visit: Visit, name: str) -> None:
    page = visit.page
    page.evaluate(EVERY_FORMULA)
    apart, height = page.evaluate(ACCENTS)
    assert apart == [], "letters with marks are of another font"
    assert height >= 1.3
    check_width(page, f"vi/{name}", "desk")
    count, bad = page.evaluate(IN_FORMULAS)
    assert bad == [], "words in formulas do not look like the text"
    assert count > 3 or name != "book/01_elbo"
    check_width(page, f"vi/{name}", "phone")
    page.evaluate(LIGHTENED)
    assert axe(visit, "phone") == []
    check_captions(page)


@pytest.fixture(scope="module")
def phone(chromium: Browser) -> Iterator[Visit]:
    """Pages are opened one after the other, and what they share is fetched once."""
    visit = Visit(chromium, WIDTHS["phone"])
    yield visit
    visit.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_in_vietnamese(phone: Visit, address: str, name: str) -> None:
    phone.faults.clear()
    page = phone.open(f"{address}/vi/{name}.html", typeset=False)
    assert phone.shift() < MOST_SHIFT, "the page moves while it loads"
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 1, f"the page is {overflow} px too wide"
    assert page.evaluate(LEFT_IN_ENGLISH) == []
    if name in READ_CLOSELY:
        read_closely(phone, name)
    assert phone.faults == []


def test_the_switch_keeps_the_place(browser: Browser, address: str) -> None:
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/book/where.html#the-environments", typeset=False)
    page.get_by_role("link", name="Tiếng Việt").click()
    expect(page).to_have_url(f"{address}/vi/book/where.html#the-environments")
    expect(page.locator("#the-environments h2")).to_contain_text("Các môi trường")
    page.get_by_role("link", name="English").click()
    expect(page).to_have_url(f"{address}/book/where.html#the-environments")
    page.goto(f"{address}/vi/search.html?q=ELBO")
    page.get_by_role("link", name="English").click()
    expect(page).to_have_url(f"{address}/search.html?q=ELBO")
    assert visit.faults == []


FOUND = {  # what readers type, with accents and without, and an address that must be among the first three
    "cận dưới bằng chứng": "book/01_elbo.html",
    "can duoi bang chung": "book/01_elbo.html",
    "chặn dưới bằng chứng": "book/",
    "tái tham số hoá": "book/02_vae.html#",
    "tai tham so hoa": "book/02_vae.html#",
    "lịch trình nhiễu": "book/03_forward.html#",
    "lich trinh nhieu": "book/03_forward.html#",
    "dẫn hướng": "book/04_reverse.html#",
    "dan huong": "book/04_reverse.html#",
    "phân phối hậu nghiệm": "book/",
    "sụp đổ hậu nghiệm": "book/02_vae.html#",
    "posterior collapse": "book/",
    "03:21": "book/01_elbo.html#the-elbo-line-by-line",
    # Questions, with English words in them, with other spellings, and more words than one section has.
    "vì sao ảnh vae bị mờ": "book/clinic.html#samples-are-blurry",
    "kl bang 0": "book/clinic.html#kl-is-zero",
    "loss ra nan": "book/clinic.html#loss-is-nan",
    "tự mã hóa biến phân": "book/02_vae.html",
    "tính kl giữa hai phân phối chuẩn": "book/02_vae.html#what-a-code-costs-the-kl-term-in-closed-form",
    "lấy mẫu nhanh hơn ít bước": "book/04_reverse.html#fewer-steps-heun-and-dpm-solver",
    "bat dang thuc jensen": "book/01_elbo.html#a-second-way-jensens-inequality",
    "hàm điểm": "book/04_reverse.html#the-score-and-tweedies-formula",
    "khuyếch tán ngược": "book/04_reverse.html",
    "so sánh vae và diffusion": "book/05_comparison.html",
}


def test_search_finds_with_and_without_accents(browser: Browser, address: str) -> None:
    assert "chỗ" in check_search(browser, f"{address}/vi", FOUND)


IN_ENGLISH = re.compile(
    "random models|follows|the first line|Check|Close|What you write|begin to write|Every line"
)


def test_a_derivation_is_changed_in_vietnamese(browser: Browser, address: str) -> None:
    if not (SITE / "_static" / "sheet" / "engine").is_dir():
        pytest.skip("the book was built without the engine")
    visit = Visit(browser, WIDTHS["desk"])
    page = visit.open(f"{address}/vi/book/01_elbo.html", typeset=False)
    page.get_by_role("button", name="Sửa một dòng").first.click()
    sheet = page.locator(".sheet").first
    sheet.get_by_role("button", name="Kiểm tra").click()
    expect(sheet.locator(".sheet-status")).to_contain_text("Mọi dòng đều suy ra được", timeout=120_000)
    expect(sheet.locator("li").nth(1)).to_contain_text("suy ra được · ")
    expect(sheet.locator(".sheet-answer")).to_contain_text("mô hình ngẫu nhiên")
    expect(sheet).not_to_contain_text(IN_ENGLISH, use_inner_text=True)
    wrong = written(derivations()["elbo"]()).replace("p(x | z)*p(z)", "p(x | z)", 1)
    sheet.locator("textarea").fill(wrong)
    sheet.get_by_role("button", name="Kiểm tra").click()
    message = sheet.locator(".sheet-message")
    expect(message).to_contain_text("không suy ra được từ dòng", timeout=120_000)
    said = say(answer(wrong, derivations())["message"], "vi")
    assert message.inner_text().strip() == re.sub(r"\x1b\[\d+m", "", said).strip()
    page.goto(f"{address}/vi/book/sheet.html")
    section = page.locator("#function-best-guess").locator("xpath=ancestor-or-self::section[1]")
    section.locator("button.put").click()
    code = "def best_guess(a, b):\n    return b / (a + b)"
    box = page.locator("section.sheet[aria-label*='best_guess']")
    box.locator("textarea").fill(code)
    box.locator("textarea").press("Control+Enter")
    expect(box.locator(".sheet-message")).to_contain_text("best_guess chưa đúng: ", timeout=120_000)
    said = say(judge("best_guess", code)["message"], "vi")
    assert box.locator(".sheet-message").inner_text() == said.strip()
    assert visit.faults == []


def test_two_authors_of_a_citation_are_joined_in_vietnamese() -> None:
    text = (EDITION / "book" / "01_elbo.html").read_text(encoding="utf-8")
    assert ">Kingma và Welling, 2014</a>" in text
    assert re.findall(r'bibliography\.html#[^>]*>[^<]* and [^<]*</a>', text) == []


def test_reasons_and_reports_in_stored_outputs_are_shown_in_vietnamese() -> None:
    pages = (EDITION / "notebooks" / f"{name}.html" for name in ("01_elbo", "clinic"))
    lab, clinic = (page.read_text(encoding="utf-8") for page in pages)
    assert lab.count("định nghĩa của KL") >= 6
    assert "definition of KL" not in lab
    assert "TutorialVAE: 7 đúng, 2 sai" in clinic
    assert "cả hai đều là trung bình, trên 784 điểm ảnh và 8 biến ẩn" in clinic


@pytest.mark.parametrize("name", ["notebooks/01_elbo", "notebooks/02_vae", "notebooks/clinic"])
def test_stored_messages_are_shown_in_vietnamese(name: str) -> None:
    english, own = ((folder / f"{name}.html").read_text(encoding="utf-8") for folder in (SITE, EDITION))
    written = "is not written yet."
    assert english.count(written) >= 2
    assert own.count("chưa được viết.") == english.count(written)
    assert written not in own
    assert ("does not follow from line" in english) == ("không suy ra được từ dòng" in own)
    assert "does not follow from line" not in own
