"""Links of the built book: every page, file and anchor within it exists."""

from __future__ import annotations

import functools
import html
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
PAGES = sorted(
    path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts
)


LOADS = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


UNREAD = re.compile(r"<!--.*?-->|(<(?:script|style)\b[^>]*>).*?</(?:script|style)>", re.S)
TAG = re.compile(r"""<([a-z]\w*)((?:[^<>"']|"[^"]*"|'[^']*')*)>""")
ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


class Page:
    """The anchors of a page, the addresses it refers to, those it loads, and its icons."""

    def __init__(self, text: str) -> None:
        self.anchors = {"", "top"}
        self.addresses: list[str] = []
        self.sources: list[str] = []
        self.icons: set[str] = set()
        for tag, inside in TAG.findall(UNREAD.sub(r"\1", text)):
            given = {name: html.unescape(a or b) for name, a, b in ATTRIBUTE.findall(inside)}
            self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
            self.addresses += [given[name] for name in ("href", "src") if given.get(name)]
            if tag in LOADS and (tag != "link" or given.get("rel") in ("stylesheet", "preload", "icon")):
                self.sources.append(given.get(LOADS[tag], ""))
            if tag == "i":
                self.icons |= set(given.get("class", "").split())


@functools.cache
def parse(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_the_book_is_built() -> None:
    assert PAGES, f"{SITE} holds no book; run `make book` first"


@pytest.mark.parametrize("name", PAGES)
def test_links(name: str) -> None:
    broken = []
    for address in set(parse(SITE / name).addresses):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (SITE / name).parent / unquote(parts.path) if parts.path else SITE / name
        target = Path(os.path.normpath(target))  # each is read once
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            broken.append(f"{address}: no such file")
        elif target.suffix == ".html" and unquote(parts.fragment) not in parse(target).anchors:
            broken.append(f"{address}: no such anchor")
    assert sorted(broken) == []


@pytest.mark.parametrize("name", PAGES)
def test_scripts_styles_and_pictures_come_from_the_book(name: str) -> None:
    assert [address for address in parse(SITE / name).sources if urlsplit(address).netloc] == []


def test_every_icon_is_in_the_fonts_served_with_the_book() -> None:
    licences = (ROOT / "book" / "_static" / "vendor" / "LICENSES.md").read_text(encoding="utf-8")
    kept = set(licences.split("Icons kept: ")[1].split(",")[0].split())
    icons = {icon for name in PAGES for icon in parse(SITE / name).icons}
    used = {icon.removeprefix("fa-") for icon in icons if icon.startswith("fa-")}
    assert used - {"solid", "brands", "lg"} <= kept, "cut the fonts anew, as LICENSES.md says"
