"""Sphinx helpers of the book: every number, figure and proof on a page comes from where it was made.

Each subject is a file: measurements (numbers of results/*.json), labs (their notes and figures), pictures
(drawings for both themes, figures that move), proofs, ledger and falsehoods (derivations, what is checked,
what is refused), formulas (the room that they take), symbols (what their letters mean), minutes (of the
lecture), front (the front page, how to cite), search (what can be found), sheets (proofs that
are changed in the page), tables (their numbers), reading (how long a page takes), words and editions (the
other language). Here stands what every page gets.
"""

from __future__ import annotations

import functools
import gc
import html
import re
import textwrap
from typing import Any

import checked
import editions
import falsehoods
import formulas
import front
import labs
import measurements
import minutes
import pictures
import proofs
import pybtex.plugin
import reading
import search
import sheets
import symbols
import tables
import words
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.environment import BuildEnvironment

LONG_ENOUGH, DESCRIPTION = 40, 160  # characters of a paragraph that describes its page, and of what is kept


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out sphinx-thebe's scripts: registered twice, and no page runs code."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(getattr(script, "filename", "")).lower()
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


def part_solutions(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the space between "Solution to" and its exercise before the link, where no line is drawn."""
    if "body" in context:
        context["body"] = re.sub(
            r'(Solution to)(<a class="reference internal"[^>]*>) ', r"\1 \2", context["body"]
        )


def name_entries(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the bibliography's entries the role that a list wants; docutils' own is no longer in ARIA."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def describe_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say in the page's head what it is about, in the words of its first paragraph without formulas."""
    for paragraph in doctree.findall(nodes.paragraph) if doctree else ():
        words = " ".join(paragraph.astext().split())
        plain = isinstance(paragraph.parent, nodes.section) and not list(paragraph.findall(nodes.math))
        if plain and len(words) > LONG_ENOUGH and words[0].isupper():
            description = html.escape(textwrap.shorten(words, DESCRIPTION, placeholder="…"))
            context["metatags"] += f'<meta name="description" content="{description}" />\n'
            return


class Loaded:
    """An environment that loads a page once for all references to numbers on it, and not for each."""

    def __init__(self, env: BuildEnvironment) -> None:
        self.env, self.get_doctree = env, functools.cache(env.get_doctree)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)


def load_once(app: Sphinx, builder: Builder) -> None:
    labels: Any = builder.env.get_domain("std")
    resolve, loaded = labels._resolve_numref_xref, Loaded(builder.env)
    labels._resolve_numref_xref = lambda env, *reference: resolve(loaded, *reference)


# The theme knows its colours only when its script has come: until then a page has no borders, and is white in
# the dark. So the reader's wish is asked for in the head.
COLOURS = """(page => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (!/^(light|dark)$/.test(page.theme)) page.theme = dark ? "dark" : "light";
})(document.documentElement.dataset);"""


def setup(app: Sphinx) -> dict[str, Any]:
    first = (words, checked, editions, falsehoods, formulas, front, labs)
    other = (measurements, minutes, pictures, proofs, reading, search, sheets, symbols, tables)
    for subject in (*first, *other):
        subject.setup(app)
    # Each citation has the metadata of every installed package read, to find one and the same style.
    pybtex.plugin._load_entry_point = functools.cache(pybtex.plugin._load_entry_point)
    gc.set_threshold(100_000, 50, 100)  # a page is a large tree that stays: no need to look for garbage
    app.add_js_file(None, body=COLOURS, priority=100)
    app.connect("write-started", load_once)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", name_entries)
    app.connect("html-page-context", part_solutions)
    app.connect("html-page-context", describe_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
