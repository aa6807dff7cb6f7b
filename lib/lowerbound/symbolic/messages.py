"""What a student is told about a line that does not follow."""

from contextlib import suppress

import sympy as sp

from .notation import KL, Density
from .numeric_check import Model
from .printing import spine, text

_WORDS = {
    "=": "equal to",
    ">=": "greater than or equal to",
    "<=": "less than or equal to",
    "->": "tending to",
    "~": "equal to leading order to",
}


class StepError(ValueError):
    """A line that does not follow from the one before.

    number: of the refused line (the start is line 1). residual: line before − refused line, simplified.
    point: {symbol: number} at which the two differ, and left and right, their values there; None and NaN
    when the lines agree in numbers and only the algebra could not be done.
    """

    def __init__(
        self, message: str, number: int, residual, point: dict | None, values: tuple[complex, complex]
    ) -> None:
        super().__init__(message)
        self.number, self.residual, self.point = number, residual, point
        self.left, self.right = values

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, and not the engine's insides."""
        return [f"StepError: {self}"]


def explain(
    name: str, number: int, relation: str, lines: tuple, reason: str, residual, model: Model | None
) -> StepError:
    """The error for line `number`; model: one in which the lines differ, if there is one.

    residual: what is left over; for two Gaussians {"mean": …, "variance": …}, with what is left over in each.
    """
    left, right = lines
    parts = residual if isinstance(residual, dict) else {"": residual}
    left_over = ", ".join(f"{of} {_cut(text(rest))}".strip() for of, rest in parts.items() if rest != 0)
    message = [
        f"line {number} of '{name}' does not follow from line {number - 1} ({reason}).",
        f"  line {number - 1}:  {text(left)}",
        f"  line {number}:  {text(right)}",
        f"  left over (line {number - 1} - line {number}):  {left_over or 0}",
    ]
    if model is None:
        message.append(
            "  No numbers contradict the line, yet the check could not be done.\n"
            "  Write a smaller step, or tell the engine why (given=, because=); axiom() is the last resort."
        )
        return StepError("\n".join(message), number, residual, None, (complex("nan"), complex("nan")))
    values = model.value(left), model.value(right)
    point = {**model.numbers, **model.points()}
    if left.has(Density) or right.has(Density):
        at = "in a random model with two states for each variable"
    else:
        symbols = left.free_symbols | right.free_symbols
        at = "at " + ", ".join(f"{s} = {float(v):.3g}" for s, v in point.items() if s in symbols)
    message += [
        f"  {at}:  line {number - 1} = {_short(values[0])},  line {number} = {_short(values[1])}",
        f"  so line {number - 1} is not {_WORDS[relation]} line {number}."
        + _hint(left, right, model, relation),
    ]
    return StepError("\n".join(message), number, residual, point, values)


def _cut(formula: str) -> str:
    return formula if len(formula) <= 400 else f"{formula[:400]} ..."


def _short(value: complex) -> str:
    return f"{value.real:.6g}"


def _hint(left, right, model: Model, relation: str) -> str:
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


def _exchanged(left, right) -> list[tuple]:
    """The refused line with one of its densities exchanged for one that stands in the line before only."""
    old, new = left.atoms(Density), right.atoms(Density)
    slips = []
    for a, b in sorted(((a, b) for a in new - old for b in old - new), key=str):
        with suppress(TypeError):  # a KL of different variables is none
            slips.append((f"{a} in place of {b}", right.xreplace({a: b})))
    return slips
