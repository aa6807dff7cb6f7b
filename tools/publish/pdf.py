"""`python -m tools.publish.pdf`: the built book as one PDF, _build/lower-bound.pdf."""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfWriter

from tools.publish.site import EVERY_FORMULA, EVERY_PICTURE, PAGES, ROOT, SITE, launch

BOOK = [page for page in PAGES if page.startswith("book/") and not page.endswith(("/api", "/changelog"))]
MARGIN = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}


def address() -> str:
    """Where the book is published, for links from one page of the PDF to another."""
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    base = re.search(r'^  baseurl: "?(http[^"\s]+)', config, re.M)
    if base:
        return base[1].rstrip("/")
    owner, name = re.findall(r"^  url: https://github\.com/([^/\s]+)/([^/\s]+)", config, re.M)[0]
    return f"https://{owner}.github.io/{name}"


def write(browser: Browser, out: Path, pages: list[str]) -> int:
    """Print the pages, one after another, each a bookmark. Returns the number of sheets."""
    book, base = PdfWriter(), address()
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
        sheet = page.pdf(format="A4", margin=MARGIN, tagged=True)
        title = page.locator("article h1").text_content() or name
        book.append(io.BytesIO(sheet), outline_item=title.strip().rstrip("#"), import_outline=False)
    page.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    book.write(out)
    return len(book.pages)


def main() -> None:
    """Command line: `python -m tools.publish.pdf [PAGE …] [--out FILE]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.pdf", description=__doc__)
    parser.add_argument("pages", nargs="*", default=BOOK, metavar="PAGE", help="such as book/01_elbo")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "lower-bound.pdf")
    args = parser.parse_args()
    missing = [page for page in args.pages if not (SITE / f"{page}.html").is_file()]
    if missing:
        parser.error(f"{SITE} holds no {', '.join(missing)}; run `make book`, or name another page")
    with sync_playwright() as playwright:
        sheets = write(launch(playwright), args.out, args.pages)
    print(f"{sheets} sheets, written to {args.out}")


if __name__ == "__main__":
    main()
