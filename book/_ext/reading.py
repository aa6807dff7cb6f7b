"""How long a page takes to read, counted: role reading, with a page's name.

Words, lines of displayed formulas and lines of programs are counted; what is folded is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole
from words import translated

logger = logging.getLogger(__name__)

WORDS, FORMULA, PROGRAM = 1 / 200, 0.5, 0.1  # minutes for a word, a line of a formula, a line of a program
FOLDED = {"dropdown", "toggle", "tag_hide-input"}


class reading_time(nodes.Inline, nodes.TextElement):  # noqa: N801 (a node is named as it is visited)
    """The place of a page's time."""


class ReadingRole(SphinxRole):
    """The time that the page of this name takes."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [reading_time("", page=self.text, place=self.get_location())], []


def _minutes(node: nodes.Node) -> Iterator[float]:
    if isinstance(node, nodes.Text):
        yield WORDS * len(node.split())
    elif isinstance(node, nodes.math):
        yield WORDS
    elif isinstance(node, nodes.math_block):
        yield FORMULA * (node.astext().count(r"\\") + 1)
    elif isinstance(node, nodes.literal_block):
        yield PROGRAM * (node.astext().count("\n") + 1)
    elif not isinstance(node, nodes.raw | nodes.comment) and not FOLDED & set(node.get("classes", ())):
        for child in node.children:
            yield from _minutes(child)


def count(doctree: nodes.Node) -> float:
    """Minutes that a page takes."""
    return sum(_minutes(doctree))


def in_words(minutes: float) -> str:
    """Minutes to five, as "1 h 25 min"."""
    hours, rest = divmod(5 * max(1, round(minutes / 5)), 60)
    hour, minute = translated("h"), translated("min")
    return "\u00a0".join([f"{hours}\u00a0{hour}"] * bool(hours) + [f"{rest}\u00a0{minute}"] * bool(rest))


def collect(app: Sphinx, doctree: nodes.document) -> None:
    app.env.metadata[app.env.docname]["minutes_to_read"] = count(doctree)


def resolve(app: Sphinx, doctree: nodes.document, page: str) -> None:
    for place in list(doctree.findall(reading_time)):
        minutes = app.env.metadata.get(place["page"], {}).get("minutes_to_read")
        if minutes is None:
            message = "there is no page %r whose time could be counted"
            logger.warning(
                message, place["page"], location=place["place"], type="lowerbound", subtype="reading"
            )
        place.replace_self(nodes.inline("", in_words(minutes or 0), classes=["measured"]))


def setup(app: Sphinx) -> None:
    app.add_node(reading_time)
    app.add_role("reading", ReadingRole())
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", resolve)
