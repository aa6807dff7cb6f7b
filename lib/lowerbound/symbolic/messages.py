"""What a student is told about a line that does not follow."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress

import sympy as sp

from ..language import say
from .notation import KL, Density, E, Normal
from .numeric_check import Model
from .printing import spine, text

WORDS = {
    "=": "equal to",
    ">=": "greater than or equal to",
    "<=": "less than or equal to",
    "->": "tending to",
    "~": "equal to leading order to",
}
RED, GREEN, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


class StepError(ValueError):
    """A line that is not accepted: it is false, or it could not be checked.

    number: of the refused line (the start is line 1). verdict: "false" where numbers contradict the line,
    "unchecked" where it could not be shown, "undefined" where a line is no real number for all values that
    its symbols may take, "unsound" where it holds something that is not treated.
    residual: line before − refused line, simplified. point: {symbol: number} at which the two differ, and
    left and right, their values there; None and NaN where there is no such point.
    """

    def __init__(
        self,
        message: str,
        number: int,
        residual=None,
        point: dict | None = None,
        values: tuple[float, float] = (float("nan"), float("nan")),
        verdict: str = "unsound",
    ) -> None:
        super().__init__(message)
        self.number, self.residual, self.point, self.verdict = number, residual, point, verdict
        self.left, self.right = map(complex, values)

    def __str__(self) -> str:
        """The message, in the language of `lowerbound.language`."""
        return say(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, what differs in colour, and not the engine's insides."""
        return [f"StepError: {coloured(str(self))}"]


def coloured(message: str) -> str:
    """The message, in which the two lines that were compared show in colour where they differ."""
    rows = message.split("\n")
    lines = [i for i, row in enumerate(rows) if re.match(r"  \w+ \d+:  ", row)]
    if len(lines) != 2:
        return message
    old, new = (re.findall(r"\w+|\s+|\S", rows[i]) for i in lines)
    marked: tuple[list, list] = ([], [])
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old[4:], new[4:], autojunk=False).get_opcodes():
        for side, part, colour in ((0, old[4 + a : 4 + b], RED), (1, new[4 + c : 4 + d], GREEN)):
            piece = "".join(part)
            marked[side].append(piece if kind == "equal" or not piece.strip() else f"{colour}{piece}{PLAIN}")
    for i, head, body in zip(lines, (old[:4], new[:4]), marked, strict=True):
        rows[i] = "".join([*head, *body])
    return "\n".join(rows)


def explain(
    name: str,
    number: int,
    relation: str,
    lines: tuple,
    reason: str,
    residual,
    model: Model | None,
    said: str = "",
) -> StepError:
    """The error for line `number`; model: one in which the lines differ, if there is one.

    residual: what is left over; for two Gaussians {"mean": …, "variance": …}, with what is left over in each.
    said: what else is known.
    """
    left, right = lines
    parts = residual if isinstance(residual, dict) else {"": residual}
    left_over = ", ".join(
        f"{of} {_cut(text(rest))}".strip() for of, rest in parts.items() if rest is not None and rest != 0
    )
    message = [
        f"line {number} of '{name}' does not follow from line {number - 1} ({reason}).",
        f"  line {number - 1}:  {text(left)}",
        f"  line {number}:  {text(right)}",
    ]
    if not all(rest is None for rest in parts.values()):
        message.append(f"  left over (line {number - 1} - line {number}):  {left_over or 0}")
    if said:
        message.append(f"  {said}")
    if model is None and said and relation in ("->", "~"):
        message[0] = f"line {number} of '{name}' is not accepted ({reason})."
        return StepError("\n".join(message), number, residual, verdict="unchecked")
    if model is None:
        message[0] = f"line {number} of '{name}' could not be checked ({reason})."
        message.append(
            "  No numbers contradict the line, yet the check could not be done.\n"
            "  Write a smaller step, or tell the engine why (given=, because=, where=); "
            "axiom() is the last resort."
        )
        return StepError("\n".join(message), number, residual, verdict="unchecked")
    values = model.value(left), model.value(right)
    point = model.points()
    if left.has(Density) or right.has(Density):
        at = "in a random model with two states for each variable"
    else:
        at = "at " + ", ".join(f"{s} = {float(v):.3g}" for s, v in sorted(point.items(), key=str))
    first, second = (_short(value, values) for value in values)
    message.append(f"  {at}:  line {number - 1} = {first},  line {number} = {second}")
    if relation == "=" and residual == 0:
        message[0] = f"line {number} of '{name}' could not be checked ({reason})."
        message.append(
            "  Algebra finds no difference, and numbers do: the two disagree, so the line is not accepted."
        )
        return StepError("\n".join(message), number, residual, point, values, "unchecked")
    message.append(
        f"  so line {number - 1} is not {WORDS[relation]} line {number}."
        + _hint(left, right, model, relation)
    )
    return StepError("\n".join(message), number, residual, point, values, "false")


def _cut(formula: str) -> str:
    return formula if len(formula) <= 400 else f"{formula[:400]} ..."


def _short(value: float, beside: tuple) -> str:
    """Six figures; rounding errors beside a larger number are 0."""
    return f"{0.0 if abs(value) < 1e-9 * max(map(abs, beside)) else value:.6g}"


def _hint(left, right, model: Model, relation: str) -> str:
    """One common slip that would explain the difference: a sign, a swapped KL, a factor, a dropped term."""
    if (said := _of_jensen(left, right)) or (said := _of_spread(left, right, model)):
        return f"\n  hint: {said}"
    if relation != "=":
        return ""
    goal = model.value(left)
    new, old = (spine(line, sp.Add) if line.is_Add else [] for line in (right, left))
    slips = [(f"the sign of {text(t)}", right - 2 * t) for t in new]
    slips += [("the sign of the whole line", -right)]
    slips += [
        (f"the order in {text(k)}", right.xreplace({k: KL(k.args[1], k.args[0])})) for k in right.atoms(KL)
    ]
    slips += _exchanged(left, right)
    slips += [(f"the factor {k}", right / k) for k in (2, sp.Rational(1, 2))]
    dropped = [(f"the term {text(t)}, which may be missing", right + t) for t in old]
    for words, repaired in slips + dropped:
        with suppress(ArithmeticError, ValueError, TypeError):
            if abs(model.value(repaired) - goal) < 1e-9 * (1 + abs(goal)):
                return f"\n  hint: look at {words}."
    return ""


def _of_jensen(left, right) -> str:
    """Whether a logarithm was moved through an average."""

    def sides(line) -> tuple[set, set]:
        outside = {n.args[0].args for n in line.atoms(sp.log) if isinstance(n.args[0], E)}
        inside = {(n.args[0], n.args[1].args[0]) for n in line.atoms(E) if isinstance(n.args[1], sp.log)}
        return outside, inside

    (out_left, in_left), (out_right, in_right) = sides(left), sides(right)
    for measure, f in sorted((out_left & in_right) | (out_right & in_left), key=str):
        mean, logs = text(sp.log(E(measure, f))), text(E(measure, sp.log(f)))
        return f"the logarithm is concave: {mean} >= {logs}, by Jensen's inequality."
    return ""


def _of_spread(left, right, model: Model) -> str:
    """Whether σ was written for σ² in a Gaussian: then its square makes the line right."""
    squared = {
        d: Normal(d.args[0], d.args[1], d.args[2] ** 2)
        for d in left.atoms(Normal) | right.atoms(Normal)
        if isinstance(d.args[2], sp.Symbol)
    }
    for d, other in sorted(squared.items(), key=str):
        with suppress(ArithmeticError, ValueError, TypeError):
            a, b = model.value(left.xreplace({d: other})), model.value(right.xreplace({d: other}))
            if abs(a - b) < 1e-8 * (1 + abs(a) + abs(b)):
                return f"Normal(x, mean, variance) takes the variance: write {text(other)} for {text(d)}."
    return ""


def _exchanged(left, right) -> list[tuple]:
    """The refused line with one of its densities exchanged for one that stands in the line before only."""
    old, new = left.atoms(Density), right.atoms(Density)
    slips = []
    for a, b in sorted(((a, b) for a in new - old for b in old - new), key=str):
        with suppress(TypeError):  # a KL of different variables is none
            slips.append((f"{a} in place of {b}", right.xreplace({a: b})))
    return slips
