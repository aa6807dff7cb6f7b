"""What a checkup says: findings, the report that they make, and how a check is asked."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lowerbound.language import say, say_parts

RIGHT, LOOK, WRONG, SKIPPED = "right", "look", "wrong", "not checked"

MARKS = {RIGHT: "✓", LOOK: "?", WRONG: "✗", SKIPPED: "–"}

PAGE = "book/clinic.html"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    check: what; state: "right", "look" (it may be meant), "wrong" or "not checked"
    says: what was measured, in numbers; entry: the entry of the page “What went wrong?”, as `clinic-beta`
    """

    check: str
    state: str
    says: str
    entry: str = ""


@dataclass(frozen=True)
class Checkup:
    """What `checkup` found. Printed it is plain text; in a notebook it is a table.

    name: of the model, by the calls that were used; findings: in the order in which they were checked
    """

    name: str
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.state == WRONG]

    def _headline(self) -> str:
        counts = {state: sum(f.state == state for f in self.findings) for state in MARKS}
        told = ", ".join(say(f"{count} {state}") for state, count in counts.items() if count)
        return f"{say(self.name)}: {told}"

    def _rows(self) -> list[tuple[str, str, str]]:
        """Of each finding its state, what was checked and what was found, in the chosen language."""
        rows = []
        for f in self.findings:
            see = say(f" See {PAGE}#{f.entry}") if f.entry and f.state in (WRONG, LOOK) else ""
            rows.append((f"{MARKS[f.state]} {f.state}", say(f.check), say_parts(f.says) + see))
        return rows

    def __repr__(self) -> str:
        lines = [self._headline()]
        for state, check, found in self._rows():
            text = f"{state[0]} {check}: {found}"
            lines += textwrap.wrap(text, 100, subsequent_indent="  ", break_long_words=False)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        plain = "padding: 0 0.8em 0.2em 0; text-align: left; vertical-align: top"
        styles = (f"{plain}; white-space: nowrap", plain, f"{plain}; overflow-wrap: anywhere")
        rows = []
        for state, check, found in self._rows():
            texts = (say(state), check, found)
            rows.append(
                "".join(
                    f'<td style="{style}">{html.escape(text)}</td>'
                    for style, text in zip(styles, texts, strict=True)
                )
            )
        head = "".join(
            f'<th scope="col" style="{plain}">{say(text)}</th>' for text in ("state", "checked", "found")
        )
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        style = 'style="caption-side: top; color: inherit; text-align: left"'
        caption = f"<caption {style}>{html.escape(self._headline())}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def guarded(check: str, ask: Callable[[], Finding]) -> Finding:
    """The finding, or that it could not be had, and why."""
    try:
        return ask()
    except Exception as error:  # another's code may raise anything
        reason = " ".join(str(error).split())[:120]
        return Finding(check, SKIPPED, f"{type(error).__name__}: {reason}")


def range_of_data(x: Tensor, low: float, high: float) -> Finding:
    """Whether images x (N, C, H, W) of 1 or 3 channels fill the range that is asked for.

    Of points (N, D) and of latents the mean and the standard deviation are judged.
    """
    name, entry = "range of the data", "clinic-range"
    least, most, mean, std = float(x.min()), float(x.max()), float(x.mean()), float(x.std())
    size = f"mean {mean:.2g}, standard deviation {std:.2g}"
    if x.ndim != 4 or x.shape[1] not in (1, 3) or math.isinf(low):
        if abs(mean) < 1.5 and 0.1 < std < 4:
            return Finding(name, RIGHT, size)
        far = abs(mean) > 20 or not 0.02 < std < 20 or x.ndim == 4
        return Finding(name, WRONG if far else LOOK, f"{size}; standardise x", entry)
    width = high - low
    says = f"x lies in [{least:.3g}, {most:.3g}], and [{low:g}, {high:g}] is asked for"
    if least < low - 0.02 * width or most > high + 0.02 * width:
        if abs(mean) < 0.7 and 0.5 < std < 1.5 and least < low and low == -high:
            return Finding(
                name, LOOK, f"{says}; {size}: standardised, which a sampler that clips cuts off", entry
            )
        return Finding(name, WRONG, f"{says}; scale it to that", entry)
    if least > low + 0.4 * width or most < high - 0.4 * width:
        return Finding(name, WRONG, f"{says}: it fills one half of it; use 2 * x - 1", entry)
    return Finding(name, RIGHT, says)
