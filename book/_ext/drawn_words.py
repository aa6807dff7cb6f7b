"""The words of a drawing, in the language of the edition.

A lab stores a drawing (SVG) with its letters as outlines, so that it looks alike everywhere. Here the words
are read from the numbers of these outlines, looked up, and written anew in the same font, at the same place:
what stood in the middle of something stays in its middle, what began or ended somewhere begins or ends there.
The name of a curve keeps off the curves. Formulas among the words move with them. The outlines come from
tools/publish/letters.py.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from words import translated

CONTEXT = "figure\x04"  # before the key, as gettext has it: words of drawings are short, and have their own
FIELD = "{formula}"
LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl"})
UNIT = 100 / 2048  # of the outlines, in hundredths of the size of the letters
LAST = 60.0  # about the width of a formula's last letter
STEP = 2.0  # points between those points of a curve that words are kept off
EDGE = 2.0  # points that stay free at the edges of a drawing
Box = tuple[float, float, float, float]  # left, top, right, bottom

GROUP = re.compile(r"</?g\b[^>]*>")
NAME = re.compile(r' id="([^"]*)"')
BODY = re.compile(
    r'(?P<behind><g id="patch_\d+">.*?</g>)?<g (?P<style>style="[^"]*" )?'
    r'transform="translate\((?P<x>[-\d.]+) (?P<y>[-\d.]+)\)(?P<turned> rotate\(-90(?:\.0)?\))?'
    r' scale\((?P<size>[\d.]+) -[\d.]+\)">(?P<defs><defs>.*?</defs>)?(?P<drawn>.*?)</g>',
    re.S,
)
PIECE = re.compile(r"<(?:use|rect|path)\b[^>]*/>")
GLYPH = re.compile(r'xlink:href="#DejaVuSans-([0-9a-f]+)"')
CURVE = re.compile(  # neither the grid nor the frame
    r'<path d="([^"]*)"(?: clip-path="[^"]*")? style="fill: none; '
    r"stroke(?:-dasharray: [^;]*;[^;]*; stroke)?: (?!#e3e6ea|#000000)"
)
SHIFT = re.compile(r'transform="translate\(([-\d.]+)')


@functools.cache
def _letters() -> dict[str, tuple[int, float, str]]:
    """Number, width and outline of each letter."""
    text = Path(__file__).with_name("letters.json").read_text(encoding="utf-8")
    return cast(dict[str, tuple[int, float, str]], json.loads(text))


@functools.cache
def _numbered() -> dict[int, str]:
    """The letter of each number."""
    return {number: letter for letter, (number, _, _) in _letters().items()}


def width(text: str) -> float:
    """How wide a text is, in hundredths of the size of its letters. Raises KeyError for another letter."""
    return sum(_letters()[letter][1] for letter in text) * UNIT


@dataclass
class Run:
    """Letters, or a formula, whose text is empty: where it begins and ends, and its elements."""

    start: float
    end: float
    text: str
    drawn: str


class Placed(NamedTuple):
    """Where words begin, the size of their letters, and what they cover, in points."""

    x: float
    y: float
    size: float
    box: Box


@dataclass
class Drawing:
    """Width and height of a drawing, and points along its curves."""

    across: float
    down: float
    points: list[tuple[float, float]]

    @classmethod
    def of(cls, svg: str) -> Drawing:
        """Raises ValueError where the size is not said."""
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
        if not box:
            raise ValueError("the drawing has no viewBox; execute its lab again")
        points = []
        for path in CURVE.findall(svg):
            numbers = list(map(float, re.findall(r"-?\d+(?:\.\d+)?", path)))
            corners = list(zip(numbers[::2], numbers[1::2], strict=False))
            for (x0, y0), (x1, y1) in itertools.pairwise(corners):
                steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) / STEP))
                points += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps + 1)]
        return cls(float(box[1]), float(box[2]), points)

    def hits(self, box: Box) -> int:
        """How many points of curves a box covers."""
        left, top, right, bottom = box
        return sum(left < x < right and top < y < bottom for x, y in self.points)


@dataclass
class Text:
    """A text of a drawing: its group, the names of the groups around it, what it consists of."""

    body: re.Match[str]
    around: set[str]
    runs: list[Run]

    @property
    def key(self) -> str:
        """Its words, with a field for each formula."""
        return "".join(run.text or FIELD for run in self.runs).translate(LIGATURES)

    @property
    def place(self) -> tuple[float, float, float]:
        """Where it begins, and the size of its letters, in points."""
        return float(self.body["x"]), float(self.body["y"]), float(self.body["size"]) * 100

    def width(self, own: str) -> float:
        """The width of other words with its formulas, in hundredths of the size of the letters."""
        formulas = sum(run.end - run.start for run in self.runs if not run.text)
        return width(own.replace(FIELD, "")) + formulas

    def box(self) -> Box:
        """What it covers, in points."""
        return self._covers(*self.place, self.runs[-1].end)

    def _covers(self, x: float, y: float, size: float, length: float) -> Box:
        length, high, low = length * size / 100, 0.75 * size, 0.2 * size
        if self.body["turned"]:
            return (x - high, y - length, x + low, y)
        return (x, y - high, x + length, y + low)

    def fitted(self, own: str, drawing: Drawing) -> Placed:
        """Where other words stand as these do, inside of the drawing, and in which size."""
        x, y, size = self.place
        old, length = self.runs[-1].end * size / 100, self.width(own) * size / 100
        if self.body["turned"]:
            y = max(min(y - (old - length) / 2, drawing.down - EDGE), length + EDGE)
            return Placed(x, y, size, self._covers(x, y, size, self.width(own)))
        if "legend" in self.around:
            size *= min(1.0, (drawing.across - EDGE - x) / length)
            return Placed(x, y, size, self._covers(x, y, size, self.width(own)))
        shares = [0.5, 0.0, 1.0, 0.25, 0.75] if self.body["style"] else [0.5]
        if "ytick" in self.around:
            shares = [1.0]
        choices = []
        for share in shares:
            left = max(min(x + share * (old - length), drawing.across - EDGE - length), EDGE)
            choices.append(Placed(left, y, size, self._covers(left, y, size, self.width(own))))
        return min(choices, key=lambda placed: drawing.hits(placed.box))  # the first of equals

    def written(self, own: str, drawing: Drawing) -> str:
        """Its group, with other words in it."""
        formulas = [run for run in self.runs if not run.text]
        drawn, at = [], 0.0
        for i, words in enumerate(own.split(FIELD)):
            if i:
                run = formulas[i - 1]
                drawn.append(f'<g transform="translate({at - run.start:.2f} 0)">{run.drawn}</g>')
                at += run.end - run.start
            for letter in words:
                _, wide, outline = _letters()[letter]
                if outline:
                    place = f"translate({at:.2f} 0) scale({UNIT:.6f})"
                    drawn.append(f'<path d="{outline}" transform="{place}"/>')
                at += wide * UNIT
        x, y, size, _ = self.fitted(own, drawing)
        scale = f"scale({size / 100:.6g} -{size / 100:.6g})"
        place = f"translate({x:.2f} {y:.2f}){self.body['turned'] or ''} {scale}"
        head = f'<g {self.body["style"] or ""}transform="{place}">'
        return "".join([self.body["behind"] or "", head, self.body["defs"] or "", *drawn, "</g>"])


def _runs(drawn: str) -> list[Run]:
    """A text's elements, letters and formulas in turns."""
    runs: list[Run] = []
    for piece in PIECE.findall(drawn):
        glyph, shift = GLYPH.search(piece), SHIFT.search(piece)
        letter = _numbered().get(int(glyph[1], 16), "") if glyph else ""
        start = float(shift[1]) if shift else 0.0
        end = start + (width(letter) if letter else LAST)
        if runs and bool(letter) == bool(runs[-1].text):
            last = runs[-1]
            runs[-1] = Run(last.start, max(last.end, end), last.text + letter, last.drawn + piece)
        else:
            if runs and letter:
                runs[-1].end = start
            runs.append(Run(start, end, letter, piece))
    return runs


def texts(svg: str) -> list[Text]:
    """The texts of a drawing."""
    found, groups = [], []
    for tag in GROUP.finditer(svg):
        if tag[0] == "</g>":
            groups.pop()
        elif not tag[0].endswith("/>"):
            name = NAME.search(tag[0])
            groups.append(name[1] if name else "")
            if groups[-1].startswith("text_") and (body := BODY.match(svg, tag.end())):
                around = {re.sub(r"_\d+$", "", group) for group in groups}
                found.append(Text(body, around, _runs(body["drawn"])))
    return found


def own_words(text: Text) -> str | None:
    """A text's words in the language of the edition; None where they are the same, or not known."""
    own = translated(CONTEXT + text.key).removeprefix(CONTEXT)
    return None if own == text.key else own


def in_double_quotes(svg: str) -> str:
    """A drawing as a lab shows it; in sliders it has single quotes."""
    return svg if '"' in svg else svg.replace("'", '"')


def translated_drawing(svg: str) -> str:
    """The drawing with its words in the language of the edition; those that it has none for stay."""
    svg = in_double_quotes(svg)
    told = [(text, own) for text in texts(svg) if (own := own_words(text)) is not None]
    if not told:
        return svg
    drawing, parts, end = Drawing.of(svg), [], 0
    for text, own in told:
        parts += [svg[end : text.body.start()], text.written(own, drawing)]
        end = text.body.end()
    return "".join([*parts, svg[end:]])
