"""`python -m tools.publish.pdf`: both editions as PDF, whole and by chapters, beside their pages."""

from __future__ import annotations

import argparse
import html
import io
import re
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfWriter

from tools.publish import address
from tools.publish.site import EVERY_FORMULA, EVERY_PICTURE, PAGES, SITE, launch

BOOK = [page for page in PAGES if page.startswith("book/") and not page.endswith(("/api", "/changelog"))]
MARGIN = {"top": "20mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
RUNNING = "width: 100%; font-size: 8px; color: #555; margin: 0 16mm; display: flex; justify-content: "
FRONT, WHOLE = "book/index.html", "book/lower-bound.pdf"
PLACE = re.compile(r'<p class="pdf".*?</p>', re.S)
WORDS = {  # of a sheet's foot, and of the front page, in each edition
    "": ("sheet {} of {}", "As PDF: {}, or chapter {}", "the whole book"),
    "vi/": ("trang {} / {}", "Bản PDF: {}, hoặc chương {}", "cả cuốn sách"),
}


def edition(name: str) -> str:
    """Where the edition of a page lies: "" for the English one."""
    return "vi/" if name.startswith("vi/") else ""


def running(text: str) -> str:
    """A line at the head or foot of each sheet."""
    return f'<div style="{RUNNING} space-between">{text}</div>'


def write(browser: Browser, out: Path, pages: list[str]) -> list[tuple[str, bytes]]:
    """Print the pages, one after another, each a bookmark. Returns the title and the sheets of each."""
    book, base, printed = PdfWriter(), address(), []
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.route(
        f"{base}/**",
        lambda route: route.fulfill(path=SITE / route.request.url.removeprefix(f"{base}/").split("?")[0]),
    )
    for name in pages:
        page.goto(f"{base}/{name}.html", wait_until="load")
        page.evaluate(EVERY_FORMULA)
        page.locator("main img").evaluate_all(EVERY_PICTURE)
        page.emulate_media(media="print")
        title = (page.locator("article h1").text_content() or name).strip().rstrip("#")
        sheet = page.pdf(
            format="A4", margin=MARGIN, tagged=True, display_header_footer=True,
            header_template=running(f"<span>Lower Bound</span><span>{html.escape(title)}</span>"),
            footer_template=running(
                f"<span>{base}/{name}.html</span><span>{WORDS[edition(name)][0]}</span>".format(
                    "<span class='pageNumber'></span>", "<span class='totalPages'></span>"
                )
            ),
        )  # fmt: skip
        book.append(io.BytesIO(sheet), outline_item=title, import_outline=False)
        printed.append((title, sheet))
    page.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    book.write(out)
    return printed


def link(pages: list[str], printed: list[tuple[str, bytes]]) -> None:
    """Put the chapters beside their pages, and links to them and to the whole on the front page."""
    chapters = []
    for name, (title, sheet) in zip(pages, printed, strict=True):
        number = re.match(r"\d+(?=\.)", title)
        if number:
            (SITE / f"{name}.pdf").write_bytes(sheet)
            chapters.append(f'<a href="{name.rpartition("/")[2]}.pdf">{number[0]}</a>')
    place = edition(pages[0])
    _, line, whole = WORDS[place]
    said = line.format(f'<a href="{Path(WHOLE).name}">{whole}</a>', ", ".join(chapters))
    front = SITE / place / FRONT
    text = front.read_text(encoding="utf-8")
    front.unlink()  # the staged edition has the same file, and keeps its own
    front.write_text(PLACE.sub(f'<p class="pdf">{said}</p>', text), encoding="utf-8")


def main() -> None:
    """Command line: both editions, or some pages."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.pdf", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as book/01_elbo, vi/book/01_elbo")
    parser.add_argument("--out", type=Path, help="with PAGE")
    args = parser.parse_args()
    books = {SITE / place / WHOLE: [f"{place}{page}" for page in BOOK] for place in WORDS}
    todo = {args.out or SITE / WHOLE: args.pages} if args.pages else books
    missing = [page for pages in todo.values() for page in pages if not (SITE / f"{page}.html").is_file()]
    if missing:
        parser.error(f"{SITE} holds no {', '.join(missing)}; run `make book`, or name another page")
    for out, pages in todo.items():
        with sync_playwright() as playwright:
            printed = write(launch(playwright), out, pages)
        if not args.pages:
            link(pages, printed)
        print(f"{len(pages)} pages, written to {out}")


if __name__ == "__main__":
    main()
