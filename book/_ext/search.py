"""The site's search: over sections and terms, in place of Sphinx's, which knows whole pages alone.

What can be found is written to _static/sections.js; _static/search.js finds it, with MiniSearch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from minutes import lecture_link
from sphinx import addnodes
from sphinx.application import Sphinx
from words import translated

UNREAD = (
    nodes.math_block, nodes.literal_block, nodes.raw, nodes.comment, lecture_link,
    addnodes.glossary,  # each term is found by itself
)  # fmt: skip
CHECKED = {"how", "checked"}  # below a derivation: how its lines were checked
KINDS = (("book/0", "chapter"), ("book/", "page"), ("notebooks/", "lab"))


def _text(node: nodes.Node) -> str:
    """What is read in a node, without formulas, programs and the sections below it."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, (*UNREAD, nodes.section)) or CHECKED & set(node.get("classes", ())):
        return " "
    if isinstance(node, nodes.math):
        return "…"
    if isinstance(node, addnodes.pending_xref) and not node.get("refexplicit"):
        return " "  # a label; what is printed there is not known yet
    if isinstance(node, nodes.image):
        return f" {node.get('alt') or ''} "
    words = "".join(map(_text, node.children))
    return words if isinstance(node, nodes.Inline) else f" {words} "


def _words(parts: list[nodes.Node]) -> str:
    """The index words among the parts of a section: by them it is found, too."""
    return " · ".join(
        value
        for part in parts if not isinstance(part, nodes.section)
        for index in part.findall(addnodes.index)
        for _, value, *_ in index["entries"]
    )  # fmt: skip


def _tidy(text: str) -> str:
    return re.sub(r"\s+([,.;:)])", r"\1", " ".join(text.split()))


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Remember each section and each term of a page: its anchor, its title, and what is read there."""
    found: list[tuple[str, str, str, str]] = []
    for section in doctree.findall(nodes.section):
        title, *rest = section.children
        if isinstance(title, nodes.title):
            anchor = "" if section.parent is doctree else section["ids"][0]
            heading = title.astext().replace("\\", "")  # a formula in it as letters
            found.append((anchor, heading, _tidy("".join(map(_text, rest))), _words(rest)))
    for item in doctree.findall(nodes.definition_list_item):
        for term in item.findall(nodes.term):
            if term["ids"] and isinstance(item.parent.parent, addnodes.glossary):
                found.append((term["ids"][0], _tidy(_text(term)), _tidy(_text(item[-1])), ""))
    app.env.metadata[app.env.docname]["sections"] = found


def _entries(app: Sphinx) -> Iterator[dict[str, Any]]:
    env = app.env
    for page in sorted(env.metadata.keys() & env.titles.keys()):
        minutes = {part.anchor: (part.start, part.end) for part in env.metadata[page].get("minutes", ())}
        kind = next((kind for start, kind in KINDS if page.startswith(start)), "page")
        number = ".".join(map(str, env.toc_secnumbers.get(page, {}).get("") or ()))
        title = f"{number}. {env.titles[page].astext()}" if number else env.titles[page].astext()
        for anchor, heading, text, words in env.metadata[page].get("sections", ()):
            uri = app.builder.get_target_uri(page) + (f"#{anchor}" if anchor else "")
            entry = {"page": title, "title": heading, "uri": uri, "kind": kind, "text": text, "words": words}
            if anchor.startswith("term-"):
                entry["kind"] = "term"
            yield entry | ({"minutes": minutes[anchor]} if anchor in minutes else {})


def without_sphinx(app: Sphinx) -> None:
    """No index of Sphinx's, which takes a while to write, and no page of its own."""
    app.builder.search = False  # type: ignore[attr-defined]


def page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page with the results."""
    yield "search", {"title": translated("Search")}, "search.html"


def write(app: Sphinx, error: Exception | None) -> None:
    """Write down all that can be found."""
    if error is None and app.builder.format == "html":
        file = Path(app.outdir, "_static", "sections.js")
        entries = json.dumps(list(_entries(app)), ensure_ascii=False, separators=(",", ":"))
        file.write_text(f"var SECTIONS = {entries};\n", encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", without_sphinx)
    app.connect("doctree-read", collect)
    app.connect("html-collect-pages", page)
    app.connect("build-finished", write)
