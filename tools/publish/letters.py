"""`python -m tools.publish.letters`: the letters with which words in drawings are written anew.

A drawing of a lab is stored with its letters as outlines, and matplotlib numbers them as the font does. The
book is built without matplotlib, so book/_ext/letters.json has, of the same font, of each letter that a
drawing or its translation may have: its number, its width and its outline, in units of 1/2048 of the size.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import matplotlib
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont

from tools.publish import ROOT

FILE = ROOT / "book" / "_ext" / "letters.json"
FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
MARKS = "\u0300\u0301\u0302\u0303\u0306\u0309\u031b\u0323"  # of Vietnamese letters
OTHERS = "αβγδεθλμπσφχψω²³₀₁₂ₓ₋ₜ–—−±·×÷≤≥≠≈∞‖|→∼…‘’“”ﬀﬁﬂﬃﬄđĐ"


def letters() -> list[str]:
    """ASCII, the letters of Vietnamese, and signs of formulas."""
    once = [unicodedata.normalize("NFC", vowel + mark) for vowel in "aeiouyAEIOUY" for mark in MARKS]
    twice = [unicodedata.normalize("NFC", letter + mark) for letter in once for mark in MARKS]
    composed = {letter for letter in [*once, *twice] if len(letter) == 1}
    return sorted({*map(chr, range(32, 127)), *composed, *OTHERS, *MARKS})


def table() -> dict[str, list[object]]:
    """Of each letter that the font has: number, width and outline."""
    font = TTFont(FONT)
    names, glyphs = font.getBestCmap(), font.getGlyphSet()
    found: dict[str, list[object]] = {}
    for letter in letters():
        if name := names.get(ord(letter)):
            pen = SVGPathPen(glyphs)
            glyphs[name].draw(pen)
            found[letter] = [font.getGlyphID(name), glyphs[name].width, pen.getCommands()]
    return found


def main() -> None:
    """Write the file."""
    rows = (f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(row)}" for key, row in table().items())
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
