"""Tables: columns of numbers stand right, with their decimal points below each other; the table of an
assignment's first cell, which is read on Colab too, gets its caption here."""

from __future__ import annotations

import re

from docutils import nodes
from labs import STUDENT
from sphinx.application import Sphinx
from words import translated

NUMBER = r"[−+-]?\d[\d,]*(?:\.\d+)?(?![\d.])"
BEHIND = r"\)?(?:\s*[✓✗]|\s*%|\s*M\b|\s*·\s*10[⁻⁰¹²³⁴-⁹]+)?\)?"
BETWEEN = r"\s*(?:±|/|\+|–|and|to|\()\s*"
FIGURES = re.compile(rf"\(?{NUMBER}{BEHIND}(?:{BETWEEN}{NUMBER}{BEHIND})*")  # one number or several
ALIGNED = re.compile(rf"({NUMBER})(?: ?%)?(?:\s*±\s*({NUMBER})(?: ?%)?)?")  # a number, and maybe its error
PARTS = "The parts of this assignment: how long they take, and what they give."


def _cells(table: nodes.table, part: type[nodes.Element]) -> list[list[nodes.entry]]:
    """The columns of a table's head or body."""
    rows = [row for group in table.findall(part) for row in group.findall(nodes.row)]
    return [list(column) for column in zip(*(row.findall(nodes.entry) for row in rows), strict=True)]


def holds_figures(texts: list[str]) -> bool:
    """Whether a column is one of numbers: at least half of its cells, and the others are a few letters."""
    written = [text.strip() for text in texts if text.strip()]
    numbers = [text for text in written if FIGURES.fullmatch(text)]
    short = all(len(text) <= 12 for text in written if text not in numbers)
    return bool(numbers) and short and 2 * len(numbers) >= len(written)


def _missing(texts: list[str]) -> list[str]:
    """What each number lacks behind it, to end where the one with the most decimals ends."""
    decimals = ["".join(text.partition(".")[1:]) for text in texts]
    longest = max(decimals, key=len, default="")
    return [longest[len(end) :] for end in decimals]


def _pad(entry: nodes.entry, group: int, missing: str) -> None:
    """Put unseen digits behind a cell's number (1) or its error (2)."""
    room = nodes.raw("", f'<span class="pad" data-pad="{missing}"></span>', format="html")
    for text in entry.findall(nodes.Text):
        if group == 1 and "±" in text:
            before, _, after = text.partition("±")
            parts = [nodes.Text(before.rstrip()), room, nodes.Text(f" ±{after}")]
            text.parent.replace(text, parts)
            return
    paragraph = next(iter(entry.findall(nodes.paragraph)), entry)
    paragraph += room


def align(table: nodes.table) -> None:
    """Mark the cells of columns of numbers, and give each number the decimals' room of the longest."""
    heads = _cells(table, nodes.thead)
    for column, head in zip(_cells(table, nodes.tbody), heads, strict=True):
        texts = [entry.astext().strip() for entry in column]
        if not holds_figures(texts):
            continue
        for entry in column + head:
            entry["classes"].append("figures")
        found = [ALIGNED.fullmatch(text) for text in texts]
        for group in (2, 1):  # from behind, since the one puts itself between
            pairs = zip(column, found, strict=True)
            having = [(entry, match[group]) for entry, match in pairs if match and match[group]]
            for (entry, _), missing in zip(having, _missing([text for _, text in having]), strict=True):
                if missing:
                    _pad(entry, group, missing)


def arrange(app: Sphinx, doctree: nodes.document) -> None:
    for table in doctree.findall(nodes.table):
        titled = any(isinstance(child, nodes.title) for child in table)
        if app.env.docname.startswith(f"{STUDENT}/") and not titled:
            table.insert(0, nodes.title("", translated(PARTS)))
            table["ids"].append("parts-of-the-assignment")
        align(table)


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", arrange)
