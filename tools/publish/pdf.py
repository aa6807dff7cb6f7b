"""`python -m tools.publish.pdf`: the built book as PDF, whole and by chapters, beside its pages."""

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
FRONT, PLACE = SITE / "book" / "index.html", re.compile(r'<p class="pdf".*?</p>', re.S)
WHOLE = FRONT.with_name("lower-bound.pdf")


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
                f"<span>{base}/{name}.html</span><span>sheet <span class='pageNumber'></span> of "
                "<span class='totalPages'></span></span>"
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
            chapters.append(f'<a href="{name.removeprefix("book/")}.pdf">{number[0]}</a>')
    whole = f'<a href="{WHOLE.name}">the whole book</a>'
    line = f'<p class="pdf">As PDF: {whole}, or chapter {", ".join(chapters)}</p>'
    text = FRONT.read_text(encoding="utf-8")
    FRONT.write_text(PLACE.sub(line, text), encoding="utf-8")


def main() -> None:
    """Command line: `python -m tools.publish.pdf [PAGE …] [--out FILE]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.pdf", description=__doc__)
    parser.add_argument("pages", nargs="*", default=BOOK, metavar="PAGE", help="such as book/01_elbo")
    parser.add_argument("--out", type=Path, default=WHOLE)
    args = parser.parse_args()
    missing = [page for page in args.pages if not (SITE / f"{page}.html").is_file()]
    if missing:
        parser.error(f"{SITE} holds no {', '.join(missing)}; run `make book`, or name another page")
    with sync_playwright() as playwright:
        printed = write(launch(playwright), args.out, args.pages)
    if args.pages == BOOK and args.out == WHOLE:
        link(args.pages, printed)
    print(f"{len(args.pages)} pages, written to {args.out}")


if __name__ == "__main__":
    main()
