"""Links of the built book: every page, file and anchor within it exists."""

from __future__ import annotations

import functools
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
PAGES = sorted(
    path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts
)


LOADS = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


class Page(HTMLParser):
    """The anchors of a page, the addresses it refers to, those it loads, and its icons."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.addresses: list[str] = []
        self.sources: list[str] = []
        self.icons: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADS and (tag != "link" or given.get("rel") in ("stylesheet", "preload", "icon")):
            self.sources.append(given.get(LOADS[tag]) or "")
        if tag == "i":
            self.icons |= set((given.get("class") or "").split())
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src") and value:
                self.addresses.append(value)


@functools.cache
def parse(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_the_book_is_built() -> None:
    assert PAGES, f"{SITE} holds no book; run `make book` first"


@pytest.mark.parametrize("name", PAGES)
def test_links(name: str) -> None:
    broken = []
    for address in parse(SITE / name).addresses:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (SITE / name).parent / unquote(parts.path) if parts.path else SITE / name
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            broken.append(f"{address}: no such file")
        elif target.suffix == ".html" and unquote(parts.fragment) not in parse(target).anchors:
            broken.append(f"{address}: no such anchor")
    assert broken == []


@pytest.mark.parametrize("name", PAGES)
def test_scripts_styles_and_pictures_come_from_the_book(name: str) -> None:
    assert [address for address in parse(SITE / name).sources if urlsplit(address).netloc] == []


def test_every_icon_is_in_the_fonts_served_with_the_book() -> None:
    licences = (ROOT / "book" / "_static" / "vendor" / "LICENSES.md").read_text(encoding="utf-8")
    kept = set(licences.split("Icons kept: ")[1].split(",")[0].split())
    icons = {icon for name in PAGES for icon in parse(SITE / name).icons}
    used = {icon.removeprefix("fa-") for icon in icons if icon.startswith("fa-")}
    assert used - {"solid", "brands", "lg"} <= kept, "cut the fonts anew, as LICENSES.md says"
