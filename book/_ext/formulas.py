"""Room for displayed formulas, so that the page does not move when they are typeset."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.mathjax import html_visit_displaymath

TALL = re.compile(r"\\d?frac|\\int|\\sum|\\prod|\\begin\{(?:cases|pmatrix)")
ROOM, LINE, TALL_LINE = 2.4, 1.5, 3.1  # rem: around a formula, for a line, for a line with a fraction


def height(tex: str) -> float:
    """About how high a displayed formula will stand, in rem. Fitted to the book's formulas."""
    lines = re.sub(r"\\(?:begin|end)\{(?:aligned|split|gathered)\}", "", tex).split(r"\\")
    tall = sum(bool(TALL.search(line)) for line in lines)
    return ROOM + LINE * (len(lines) - tall) + TALL_LINE * tall


def visit_display(self: Any, node: nodes.math_block) -> None:
    """Write a displayed formula as Sphinx does, with its height as a property for the style sheet."""
    start = len(self.body)
    try:
        html_visit_displaymath(self, node)
    finally:
        written = "".join(self.body[start:])
        style = f'<div style="--high: {height(node.astext()):.1f}rem" class="math'
        self.body[start:] = [written.replace('<div class="math', style, 1)]


def setup(app: Sphinx) -> None:
    app.setup_extension("sphinx.ext.mathjax")
    app.registry.html_block_math_renderers["mathjax"] = (visit_display, None)
