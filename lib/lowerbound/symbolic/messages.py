"""What a student is told about a line that does not follow."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import sympy as sp

from .notation import KL, Density
from .printing import spine, text
from .witness import Model

_WORDS = {
    "=": "equal to",
    ">=": "greater than or equal to",
    "<=": "less than or equal to",
    "->": "tending to",
    "~": "equal to leading order to",
}
Lines = tuple[Any, Any]


class StepError(ValueError):
    """A line that does not follow from the one before.

    number: of the refused line (the start is line 1). residual: line before − refused line, simplified.
    point: {symbol: number} at which the two differ, and left and right, their values there; None and NaN
    when the lines agree in numbers and only the algebra could not be done.
    """

    def __init__(
        self,
        message: str,
        number: int,
        residual: Any,
        point: dict[Any, Any] | None,
        values: tuple[complex, complex],
    ) -> None:
        super().__init__(message)
        self.number, self.residual, self.point = number, residual, point
        self.left, self.right = values

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, and not the engine's insides."""
        return [f"StepError: {self}"]


def explain(
    name: str, number: int, relation: str, lines: Lines, reason: str, residual: Any, found: Any
) -> StepError:
    """The error for line `number`; found: a Model in which the lines differ, or None.

    residual: what is left over; for two Gaussians {"mean": …, "variance": …}, with what is left over in each.
    """
    left, right = lines
    parts = residual if isinstance(residual, dict) else {"": residual}
    left_over = ", ".join(f"{of} {_cut(text(rest))}".strip() for of, rest in parts.items() if rest != 0)
    says = [
        f"line {number} of '{name}' does not follow from line {number - 1} ({reason}).",
        f"  line {number - 1}:  {text(left)}",
        f"  line {number}:  {text(right)}",
        f"  left over (line {number - 1} - line {number}):  {left_over or 0}",
    ]
    if found is None:
        says.append(
            "  No numbers contradict the line, yet the check could not be done.\n"
            "  Write a smaller step, or tell the engine why (given=, because=); axiom() is the last resort."
        )
        return StepError("\n".join(says), number, residual, None, (complex("nan"), complex("nan")))
    values = found.value(left), found.value(right)
    point = {**found.numbers, **found.points()}
    shown = ", ".join(
        f"{s} = {float(v):.3g}" for s, v in point.items() if s in left.free_symbols | right.free_symbols
    )
    states = left.has(Density) or right.has(Density)
    where = "in a random model with two states for each variable" if states else f"at {shown}"
    says.append(f"  {where}:  line {number - 1} = {_short(values[0])},  line {number} = {_short(values[1])}")
    says.append(
        f"  so line {number - 1} is not {_WORDS[relation]} line {number}."
        + _hint(left, right, found, relation)
    )
    return StepError("\n".join(says), number, residual, point, values)


def _cut(words: str) -> str:
    return words if len(words) <= 400 else f"{words[:400]} ..."


def _short(value: complex) -> str:
    return f"{value.real:.6g}"


def _hint(left: Any, right: Any, model: Model, relation: str) -> str:
    """One common slip that would explain the difference: a sign, a swapped KL, a factor, a dropped term."""
    if relation != "=":
        return ""
    goal = model.value(left)
    new, old = (spine(line, sp.Add) if line.is_Add else [] for line in (right, left))
    slips = [(f"the sign of {text(t)}", right - 2 * t) for t in new]
    slips += [("the sign of the whole line", -right)]
    slips += [(f"the order in {k}", right.xreplace({k: KL(k.args[1], k.args[0])})) for k in right.atoms(KL)]
    slips += _exchanged(left, right)
    slips += [(f"the factor {k}", right / k) for k in (2, sp.Rational(1, 2))]
    dropped = [(f"the term {text(t)}, which may be missing", right + t) for t in old]
    for words, repaired in slips + dropped:
        if abs(model.value(repaired) - goal) < 1e-9 * (1 + abs(goal)):
            return f"\n  hint: look at {words}."
    return ""


def _exchanged(left: Any, right: Any) -> list[tuple[str, Any]]:
    """The refused line with one of its densities exchanged for one that stands in the line before only."""
    old, new = left.atoms(Density), right.atoms(Density)
    found = []
    for a, b in sorted(((a, b) for a in new - old for b in old - new), key=str):
        with suppress(TypeError):  # a KL of different variables is none
            found.append((f"{a} in place of {b}", right.xreplace({a: b})))
    return found
