"""Room for formulas, so that the page does not move when they are typeset, and marks that stay beside them.

`python -m tools.publish.formula_sizes` measures each formula of the built book in a browser and writes
formula_sizes.json. From it, a formula gets its width, or its height at a desk and on a phone, as properties,
which the style sheet uses until MathJax has typeset it.
A formula that was not measured gets the style sheet's own guess.
"""

from __future__ import annotations

import functools
import hashlib
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SIZES = Path(__file__).with_name("formula_sizes.json")
OPENING = re.compile(r"(?<!\w)[(“‘]+$")
MARKS = re.compile(r"[.,;:!?)”’]*(?![\w])")
WRITTEN = re.compile(r"\\[(\[](.*)\\[)\]]", re.DOTALL)


def key(tex: str) -> str:
    """The name of a formula in formula_sizes.json: a hash of its TeX, whatever its spaces."""
    return hashlib.sha256(" ".join(tex.split()).encode()).hexdigest()[:8]


@functools.cache
def formula_sizes() -> dict[str, Any]:
    """Widths of formulas in a line (em); of displayed ones the heights at a desk and on a phone (rem)."""
    return json.loads(SIZES.read_text()) if SIZES.is_file() else {}


def with_room(write: Callable[[Any, Any], None], tag: str, style: str) -> Callable[[Any, Any], None]:
    """A writer of formulas that says beside each how much room to keep for it."""

    def written(self: Any, node: nodes.Element) -> None:
        start = len(self.body)
        try:
            write(self, node)
        finally:  # the writer of a formula leaves by SkipNode
            text = "".join(self.body[start:])
            tex = WRITTEN.search(text)
            size = formula_sizes().get(key(html.unescape(tex[1]))) if tex else None
            if size is not None:
                given = style.format(*size if isinstance(size, list) else [size])
                styled = f'<{tag} style="{given}" class="math'
                text = text.replace(f'<{tag} class="math', styled, 1)
            self.body[start:] = [text]

    return written


def keep_together(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put a formula in a line and the marks around it into one box: no line begins with a comma."""
    for formula in list(doctree.findall(nodes.math)):
        around = formula.parent  # in which other texts may be equal to those beside the formula
        place = next(i for i, node in enumerate(around.children) if node is formula)
        texts = {i: around[i] for i in (place - 1, place + 1) if 0 <= i < len(around)}
        texts = {i: text for i, text in texts.items() if isinstance(text, nodes.Text)}
        opening = OPENING.search(texts.get(place - 1, ""))
        mark = MARKS.match(texts.get(place + 1, ""))
        first, last = opening[0] if opening else "", mark[0] if mark else ""
        if first or last:
            if last:
                around[place + 1] = nodes.Text(texts[place + 1][len(last) :])
            if first:
                around[place - 1] = nodes.Text(texts[place - 1][: -len(first)])
            box = nodes.inline("", "", classes=["together"])
            formula.replace_self(box)
            box += [nodes.Text(first)] * bool(first) + [formula] + [nodes.Text(last)] * bool(last)


def keep_room(app: Sphinx) -> None:
    """Wrap MathJax's writers, when MyST has put in its own."""
    registry = app.registry
    for writers, tag, style in (
        (registry.html_block_math_renderers, "div", "--high: {}rem; --high-on-a-phone: {}rem"),
        (registry.html_inline_math_renderers, "span", "--wide: {}em"),
    ):
        visit, depart = writers["mathjax"]
        writers["mathjax"] = with_room(visit, tag, style), depart


def setup(app: Sphinx) -> None:
    app.setup_extension("sphinx.ext.mathjax")
    app.connect("builder-inited", keep_room, priority=900)
    app.connect("doctree-resolved", keep_together)
