"""Lines of LaTeX on a page: aligned, with reasons beside or below them, according to their width."""

from __future__ import annotations

import re

PAGE = 76.0  # letters that fit on one line of a page
_WIDTHS = {" ": 0.0, "{": 0.0, "}": 0.0, r"\mathcal": 0.6, r"\,": 0.4, r"\quad": 2.0, r"\qquad": 4.0}
_WIDTHS |= {"+": 2.2, "-": 2.0, "=": 2.2, r"\mid": 1.6, r"\sim": 2.2, r"\int": 2.0}
GAP = 5.0  # letters between a formula and the note beside it


def aligned(
    name: str, first: str, rows: list[tuple[str, str, str]], facts: list[str], compact: bool | None
) -> str:
    """The first line, then (relation, formula, note) rows, then the assumptions.

    Notes stand beside their formulas, below the first line where that helps, or (compact) each below its own.
    compact: None decides by the width.
    """
    start = f"{name}{first}"
    widest = max((width(formula) for _, formula, _ in rows), default=0.0)
    notes = GAP + 0.9 * max((width(note) for _, _, note in rows), default=0.0)
    given = max((6 + width(row) for _, row in _given_rows(facts)), default=0.0)
    if compact is None:
        compact = max(width(start), widest, given) + notes > PAGE
    if compact:
        below = "\\\\[-0.3ex]\n&\\qquad\\qquad"
        lines = [f"&{start}", *(f"&\\quad {arrow} {tex} {below} {note}" for arrow, tex, note in rows)]
    elif rows and width(start) + max(widest, given) + notes <= PAGE:
        lines = [f"{start} &{rows[0][0]} {rows[0][1]} && {rows[0][2]}"]
        lines += [f"&{arrow} {tex} && {note}" for arrow, tex, note in rows[1:]]
    else:
        lines = [f"&{start}", *(f"&\\quad {arrow} {tex} && {note}" for arrow, tex, note in rows)]
    lines += [rf"&{word}\quad {row}" for word, row in _given_rows(facts)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _given_rows(facts: list[str]) -> list[tuple[str, str]]:
    """The assumptions, as many in a row as the page holds."""
    rows: list[str] = []
    for fact in facts:
        if rows and width(rows[-1]) + width(fact) < 0.7 * PAGE:
            rows[-1] += rf",\quad {fact}"
        else:
            rows.append(fact)
    return [(r"\phantom{\text{given}}" if i else r"\text{given}", row) for i, row in enumerate(rows)]


def width(tex: str) -> float:
    """Roughly how many letters wide a formula is: a fraction counts its longer half, a script 0.7."""
    tex = re.sub(r"\\(text|mathrm|mathbb|displaystyle|left|right|bar|hat|tilde|phantom)(?![a-z])", "", tex)
    tex = re.sub(r"\\(log|exp)\b", "log", tex)
    total, i = 0.0, 0
    while i < len(tex):
        if tex.startswith(r"\frac", i):
            top, i = group(tex, i + 5)
            bottom, i = group(tex, i)
            total += max(width(top), width(bottom)) + 0.5
        elif tex[i] in "_^" and tex[i + 1 : i + 2] == "{":
            script, i = group(tex, i + 1)
            total += 0.7 * width(script)
        else:
            token = re.match(r"\\[A-Za-z]+|\\.|.", tex[i:], re.DOTALL)
            assert token is not None
            total += _WIDTHS.get(token[0], 1.0)
            i += token.end()
    return total


def group(tex: str, start: int) -> tuple[str, int]:
    """The braces' content at `start`, and the position behind it."""
    depth = 0
    for i in range(start, len(tex)):
        depth += {"{": 1, "}": -1}.get(tex[i], 0)
        if depth == 0:
            return tex[start + 1 : i], i + 1
    raise ValueError(f"unbalanced braces in {tex[start:]!r}")
