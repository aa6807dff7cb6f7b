"""What a formula's symbols mean: the entries of the notation page, for the script that shows them.

The page Notation is a definition list. A formula in a term is a symbol; the definition is its meaning. They
are written to _static/symbols.js, as a list of {tex, meaning, anchor, page}. `page` is where the symbol
means this: a pattern of the page's address.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PAGE = "book/notation"
FILE = "symbols.js"
CHAIN = (
    "(03_forward|04_reverse|05_comparison|06_latent|07_coordinates|A[345]_|claims|cheat_sheet|clinic|checked"
    "|lecture_map|teaching)"
)
ALSO = {"4": "|cheat_sheet"}  # pages beside a chapter's own that take its letters
SCOPES = {r"\beta": "(02_vae|05_comparison|clinic|glossary|performance)"}  # another thing elsewhere


def _text(node: nodes.Element) -> str:
    """The text of a paragraph with its formulas as TeX, escaped for HTML."""
    parts = []
    for child in node.findall(lambda n: isinstance(n, nodes.Text | nodes.math)):
        if isinstance(child, nodes.math):
            parts.append(html.escape(rf"\({child.astext()}\)"))
        elif not isinstance(child.parent, nodes.math):
            parts.append(html.escape(child.astext()))
    return "".join(parts)


def _pages(anchor: str) -> str:
    """The pages on which a section's symbols hold: "chapter-2", "diffusion", or any page."""
    chapter = re.fullmatch(r"chapter-(\d)", anchor)
    if chapter:
        return f"([0A]{chapter[1]}_{ALSO.get(chapter[1], '')})"
    return CHAIN if anchor == "diffusion" else ""


def read(doctree: nodes.document) -> list[dict[str, Any]]:
    """The symbols of the notation page; gives each entry an anchor."""
    entries = []
    for number, item in enumerate(doctree.findall(nodes.definition_list_item), 1):
        term, definition = item[0], item[-1]
        assert isinstance(term, nodes.term)
        assert isinstance(definition, nodes.definition)
        anchor = f"symbol-{number}"
        term["ids"].append(anchor)
        section: Any = item.parent
        while not isinstance(section, nodes.section):
            section = section.parent
        pages = _pages(section["ids"][0])
        for symbol in term.findall(nodes.math):
            several = "_" not in pages or pages == CHAIN  # chapters
            page = SCOPES.get(symbol.astext(), pages) if several else pages
            meaning = " ".join(_text(paragraph) for paragraph in definition.findall(nodes.paragraph))
            entries.append({"tex": symbol.astext(), "meaning": meaning, "anchor": anchor, "page": page})
    return entries


def collect(app: Sphinx, doctree: nodes.document) -> None:
    if app.env.docname == PAGE:
        app.env.notation_symbols = read(doctree)  # type: ignore[attr-defined]


def merge(app: Sphinx, env: BuildEnvironment, pages: list[str], other: BuildEnvironment) -> None:
    if PAGE in pages:
        env.notation_symbols = other.notation_symbols  # type: ignore[attr-defined]


def write(app: Sphinx, failure: Exception | None) -> None:
    if failure or app.builder.format != "html":
        return
    entries = getattr(app.env, "notation_symbols", [])
    path = Path(app.outdir, "_static", FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"window.notationSymbols = {json.dumps(entries)};\n", encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", collect)
    app.connect("env-merge-info", merge)
    app.connect("build-finished", write)
    app.add_js_file(FILE, loading_method="defer")
