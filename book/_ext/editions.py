"""Two editions of the book, side by side: the English one, and below vi/ the Vietnamese one.

Each page has a link to the same place of the other edition, and in its head the addresses of both, where the
book has one. Sections have the anchors of the English edition, so that a place is named alike in both. The
Vietnamese edition is built from a staged folder (tools/publish/editions.py). There, a page that is not
translated is English, and says so.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from words import in_formula, translated

CODE, NAME = "vi", "Tiếng Việt"
ONLY_HERE = f"only-{CODE}-"  # labels of sections, at the end of a page, that the English page has not
STATE = Path("book", CODE, "state.json")  # is there, so the edition is
PLACES = "places.json"  # of the English edition: anchors of the sections, and minutes to read, of each page
REPORT = re.compile(r"(?<=>)[^<>]+(?=<)")  # the texts of a table
BIBLIOGRAPHY = "bibliography.html#"
log = logging.getLogger(__name__)


def is_second(app: Sphinx) -> bool:
    """Whether this is the Vietnamese edition."""
    return bool(app.config.language == CODE)


def note_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """English: remember the anchors of a page's sections. Vietnamese: give the sections these."""
    sections = list(doctree.findall(nodes.section))
    docname = app.env.docname
    if not is_second(app):
        app.env.metadata[docname]["anchors"] = [section["ids"] for section in sections]
        return
    for section in sections:  # of several, the page shows the first
        section["ids"].sort(key=lambda name: not name.startswith(ONLY_HERE))
    sections = [one for one in sections if not one["ids"][0].startswith(ONLY_HERE)]
    known = _places(app).get(docname, {}).get("anchors", [])
    if docname in app.config.lowerbound_translated and len(known) != len(sections):
        log.warning(
            "the page has %d sections, and in English %d", len(sections), len(known), location=docname,
            type="lowerbound", subtype="editions",
        )  # fmt: skip
    for section, ids in zip(sections, known, strict=False):
        section["ids"] = list(ids)
        doctree.ids |= dict.fromkeys(ids, section)


def translate_outputs(app: Sphinx, doctree: nodes.document) -> None:
    """Vietnamese: what the library says in a stored output is shown so; all else stays."""
    if not is_second(app):
        return
    from lowerbound import language

    for block in doctree.findall(_is_output):
        text = block.astext()
        own = language.say(text, CODE)
        if isinstance(block, nodes.math_block):
            own = in_formula(text)
        elif isinstance(block, nodes.raw):
            own = REPORT.sub(lambda cell: html.escape(language.say_parts(html.unescape(cell[0]), CODE)), text)
        if own != text:
            block.rawsource = own
            block.children = []
            block += nodes.Text(own)


def _is_output(node: nodes.Node) -> bool:
    """Whether a node is what a cell put out: text, a formula, or the table of a `checkup`."""
    table = isinstance(node, nodes.raw) and node.astext().startswith("<table><caption")
    return (table or isinstance(node, nodes.literal_block | nodes.math_block)) and any(
        "cell_output" in parent.get("classes", []) for parent in _above(node)
    )


def _above(node: nodes.Node) -> Iterator[nodes.Element]:
    """What a node stands in, from inside out."""
    while (node := node.parent) is not None:
        yield node


def _places(app: Sphinx) -> Any:
    """What the English edition wrote down of its pages."""
    kept: Any = getattr(app, "lowerbound_places", None)
    if kept is None:
        kept = json.loads(Path(app.srcdir, PLACES).read_text(encoding="utf-8"))
        app.lowerbound_places = kept  # type: ignore[attr-defined]
    return kept


def minutes_in_english(app: Sphinx, doctree: nodes.document) -> None:
    """A page takes as long in both languages, so the time is counted once, on the English page."""
    if is_second(app):
        known = _places(app).get(app.env.docname, {})
        app.env.metadata[app.env.docname]["minutes_to_read"] = known.get("minutes", 0)


def write_places(app: Sphinx, error: Exception | None) -> None:
    """English: write down what the other edition needs, beside the pages."""
    if error or is_second(app) or app.builder.format != "html" or not Path(app.srcdir, STATE).is_file():
        return
    told = {
        page: {"anchors": about.get("anchors", []), "minutes": about.get("minutes_to_read", 0)}
        for page, about in app.env.metadata.items()
    }
    file = Path(app.outdir).with_name(PLACES)
    file.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def say_untranslated(app: Sphinx, doctree: nodes.document) -> None:
    """Vietnamese: say on a page that is still English that it is."""
    docname = app.env.docname
    if not is_second(app) or docname in app.config.lowerbound_translated:
        return
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is not None:
        title.parent.insert(
            1,
            nodes.note(
                "",
                nodes.paragraph("", translated("This page is in English still.")),
                classes=["untranslated"],
            ),
        )


def say_proof(app: Sphinx, doctree: nodes.document) -> None:
    """Vietnamese: translate the word that begins a proof, which sphinx_proof writes in English."""
    for box in doctree.findall(nodes.admonition):
        if is_second(app) and box["classes"][:2] == ["proof", "proof"]:
            text = next(iter(box.findall(nodes.Text)))
            if text.startswith("Proof. "):
                text.parent.replace(text, nodes.Text(f"{translated('Proof.')} {text[len('Proof. ') :]}"))


def say_citations(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Vietnamese: translate the word between two authors, which a citation has in English."""
    if not is_second(app):
        return
    for link in doctree.findall(nodes.reference):
        if BIBLIOGRAPHY in link.get("refuri", ""):
            for text in [text for text in link.findall(nodes.Text) if " and " in text]:
                text.parent.replace(text, nodes.Text(text.replace(" and ", f" {translated('and')} ")))


def link_editions(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Link a page's header to the other edition, and name both in its head, where the book has an address."""
    second = is_second(app)
    if not second and not Path(app.srcdir, STATE).is_file():
        return
    up = "../" * page.count("/")
    there = f"{up}{'../' if second else f'{CODE}/'}{page}.html"
    base = str(app.config.html_baseurl or "").removesuffix(f"{CODE}/")
    if base:  # search engines take no relative addresses here
        english = f"{base}{page}.html"
        links = (("en", english), (CODE, f"{base}{CODE}/{page}.html"), ("x-default", english))
        context["metatags"] = context.get("metatags", "") + "".join(
            f'<link rel="alternate" hreflang="{code}" href="{html.escape(uri)}" />\n' for code, uri in links
        )
    context["other_edition"] = {
        "uri": there,
        "code": "en" if second else CODE,
        "name": "English" if second else NAME,
    }
    if second and doctree is not None and page not in app.config.lowerbound_translated:
        context["body"] = f'<div lang="en">{context["body"]}</div>'


def lead_to_sources(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Vietnamese: the header's buttons lead to the sources of this edition."""
    path = app.config.lowerbound_translated.get(page)
    if not path:
        return
    plain = f"{page}{Path(path).suffix}"

    def turn(buttons: list[dict[str, Any]]) -> None:
        for button in buttons:
            turn(button.get("buttons", []))
            if "/blob/" in button.get("url", "") or "/edit/" in button.get("url", ""):
                button["url"] = button["url"].replace(f"/{plain}", f"/{path}")

    turn(context.get("header_buttons", []))


def write_words(app: Sphinx, error: Exception | None) -> None:
    """Vietnamese: the table for the scripts."""
    if error is None and is_second(app) and app.builder.format == "html":
        table = Path(app.srcdir, "locale", "scripts.json").read_text(encoding="utf-8")
        file = Path(app.outdir, "_static", "words.js")
        file.write_text(f"window.lowerboundWords = {table};\n{SPEAK}", encoding="utf-8")


# Names of the theme that are looked up in no catalogue, before anything shows them; and those of
# sphinx-copybutton, which does not know this language. Its script comes before ours.
SPEAK = """function speak() {
  for (const name of ["title", "aria-label", "alt"])
    document.querySelectorAll(`[${name}]`).forEach((element) => {
      const own = window.lowerboundWords[element.getAttribute(name)];
      if (own) element.setAttribute(name, own);
    });
}
speak();
addEventListener("load", speak); // what was made meanwhile
if (typeof messages === "object" && typeof locale === "string") {
  messages.vi = {};
  for (const [key, text] of Object.entries(messages.en)) {
    messages.vi[key] = window.lowerboundWords[text] || text;
    iconCopy = iconCopy.replace(text, messages.vi[key]);
    iconCheck = iconCheck.replace(text, messages.vi[key]);
  }
  locale = "vi";
}
"""


def add_words(app: Sphinx, config: Any) -> None:
    if config.language == CODE:
        app.add_js_file("words.js", loading_method="defer", priority=300)


def setup(app: Sphinx) -> None:
    app.add_config_value("lowerbound_translated", {}, "env")  # {docname: path in the repository}
    app.connect("config-inited", add_words, priority=850)
    app.connect("doctree-read", note_anchors, priority=100)  # before anything links to a section
    app.connect("doctree-read", translate_outputs, priority=440)
    app.connect("doctree-read", say_proof)
    app.connect("doctree-read", say_untranslated, priority=450)
    app.connect("doctree-read", minutes_in_english, priority=600)  # in the place of what was counted
    app.connect("doctree-resolved", say_citations)
    app.connect("html-page-context", link_editions)
    app.connect("html-page-context", lead_to_sources, priority=800)
    app.connect("build-finished", write_places)
    app.connect("build-finished", write_words)
