"""Sizes of words that are the same whichever version of matplotlib draws them.

Versions of matplotlib differ by some pixels in how large a word is. Where axes and names stand is computed
with the widths that the font itself gives, so that a figure has one layout everywhere; only the letters are
drawn as the version at hand draws them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from fontTools.ttLib import TTFont
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

ASCENT, DESCENT = 1556 / 2048, 492 / 2048  # of a line of DejaVu Sans, in its size
SCRIPT = 0.7  # the size of an index in that of its letter


@functools.cache
def _advances() -> dict[int, float]:
    """How far each letter of DejaVu Sans, by its number, moves the pen, in the size of the font."""
    with TTFont(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), lazy=True) as font:
        widths, unit = font["hmtx"].metrics, font["head"].unitsPerEm
        return {code: widths[name][0] / unit for code, name in font.getBestCmap().items()}


def width(text: str) -> float:
    """The width of a line in the size of its font, without kerning; of a formula in `$`, about that."""
    words = text.split("$")
    formulas = words[1::2] if len(words) % 2 else []
    plain = "".join(words[::2]) if len(words) % 2 else text
    return sum(_advances().get(ord(letter), 0.6) for letter in plain) + sum(map(_formula, formulas))


def _formula(tex: str) -> float:
    """The width of a formula, each of its commands a letter, or none, and each index small."""
    tex = re.sub(r"\\(?:mathrm|mathcal|mathbf|mathbb|text|hat|bar|tilde|left|right|[,;! ])", "", tex)
    tex = re.sub(r"\\[A-Za-z]+", "x", tex)
    scripts = re.findall(r"[_^](\{[^{}]*\}|.)", tex)
    letters = re.sub(r"[{}\s]", "", re.sub(r"[_^](\{[^{}]*\}|.)", "", tex))
    return width(letters) + SCRIPT * sum(width(script.strip("{}")) for script in scripts)


class Letters(RendererBase):
    """Measures for a figure, and draws nothing. Sizes in pixels of the figure."""

    def __init__(self, fig: Figure) -> None:
        super().__init__()
        self.dpi = float(fig.dpi)
        self.size = (float(fig.bbox.width), float(fig.bbox.height))

    def points_to_pixels(self, points: Any) -> Any:
        """Points are 1/72 of an inch."""
        return points * self.dpi / 72

    def get_canvas_width_height(self) -> tuple[float, float]:
        """The size of the figure."""
        return self.size

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Width, height and depth of one line."""
        size = self.points_to_pixels(prop.get_size_in_points())
        return width(s) * size, (ASCENT + DESCENT) * size, DESCENT * size


@contextmanager
def nominal(fig: Figure) -> Iterator[RendererBase]:
    """Within the context, all that matplotlib measures in the figure it measures by the font's own widths."""
    canvas: Any = fig.canvas
    canvas.get_renderer = functools.cache(lambda: Letters(fig))
    try:
        yield canvas.get_renderer()
    finally:
        del canvas.get_renderer
