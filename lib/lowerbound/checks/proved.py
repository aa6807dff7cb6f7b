"""Checks of a derivation: where it starts, where it ends, and that every line between was checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from ..symbolic import KL, Derivation, E, Normal, StepError, as_written
from .engine import CheckError, kind, pointer

Facts = Mapping[Any, Any]
SAYS = {
    "not a Derivation": "it must return a `Derivation` of lowerbound.symbolic, not {found}.",
    "another start": "it starts elsewhere. Begin with the line that the task names.",
    "another end": "it is a sound derivation, but its last line is not yet the one asked for.",
    "axiom": "a line is an axiom: nothing checked it. Every line must follow from the one before.",
    "lemma": "it rests on another derivation (`using=`). Show it from the definitions.",
    "assumption": "it assumes more than the task gives: look at `given=`.",
    "inequality": "it must be a chain of equations; one of its lines is a bound, a limit or a definition.",
    "a jump": "it goes from start to end too fast. Write at least {steps} different lines after the first.",
    "unchecked": "a line does not follow from the one before. It was put in without being checked.",
}


@dataclass(frozen=True)
class ProofCheck:
    """`check(function)`, or `check(derivation)`, prints one line if the derivation is right.

    name: of the function that returns the derivation. see: label in the book. start, end: its first and last
    line. given: the assumptions that are allowed. steps: how many lines must follow the first, at least.
    closed: any last line will do that holds no expectation, KL, density or integral.
    """

    name: str
    see: str
    start: Callable[[], Any]
    end: Callable[[], Any]
    given: Callable[[], Facts] = dict
    steps: int = 3
    closed: bool = False

    def __call__(self, derivation: Any) -> None:
        """Check a derivation, or the function that returns it. Raises CheckError."""
        if type(derivation) is not Derivation and callable(derivation):
            derivation = self._call(derivation)
        name = self.verdict(derivation)
        if name is not None:
            says = SAYS[name].format(found=kind(derivation), steps=self.steps)
            raise CheckError(
                self.name, f"{self.name} is not right yet: {says}\nSee {pointer(self.see)}.", name
            )
        print(f"{self.name}: every one of {len(derivation.steps)} lines follows.")

    def verdict(self, d: Any) -> str | None:
        """The name of what is wrong, a key of `SAYS`; None if nothing is."""
        if type(d) is not Derivation:
            return "not a Derivation"
        with as_written():
            start, end, given = self.start(), self.end(), self.given()
        wrong = {
            "another start": canonical(d.first) != canonical(start),
            "axiom": any(step.kind == "axiom" for step in d.steps),
            "lemma": bool(d.using),
            "assumption": any(canonical(given.get(a)) != canonical(b) for a, b in d.given.items()),
            "inequality": any(step.relation != "=" for step in d.steps[1:]),
            "another end": not self._ends(d.last, end),
            "a jump": len({canonical(step.expr) for step in d.steps}) <= self.steps,
        }
        found = next((name for name, holds in wrong.items() if holds), None)
        return found or (None if rechecked(d) else "unchecked")

    def _ends(self, last: Any, end: Any) -> bool:
        if self.closed:
            return not last.has(E, KL, Normal, sp.Integral, sp.Derivative)
        return bool(canonical(last) == canonical(end))

    def _call(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except NotImplementedError as error:
            raise CheckError(self.name, f"{self.name} is not written yet.", "not written") from error
        except StepError as error:
            raise CheckError(
                self.name, f"{self.name}: {error}\nSee {pointer(self.see)}.", "a line"
            ) from error


def canonical(expr: Any) -> Any:
    """An expression with its terms in sympy's own order, so that a + b is b + a; nothing else is done."""
    if not isinstance(expr, sp.Basic) or not expr.args:
        return expr
    with sp.evaluate(True):
        return expr.func(*map(canonical, expr.args))


def rechecked(d: Derivation) -> bool:
    """Whether every line passes its check once more, in a new derivation of the library's own."""
    try:
        with as_written():
            again = Derivation(d.name, d.first, given=d.given)
            for step in d.steps[1:]:
                again.step(step.expr, step.reason)
    except StepError:
        return False
    return True


def _with(d: Derivation, **changes: Any) -> Derivation:
    """The lines of a derivation in a new one, with other arguments."""
    with as_written():
        new = Derivation(d.name, d.first, **{"given": d.given, **changes})
        for step in d.steps[1:]:
            new.step(step.expr, step.reason)
    return new


def _lemma(d: Derivation) -> Derivation:
    t = sp.Symbol("t", positive=True)
    with as_written():
        lemma = Derivation("lemma", t + t).step(2 * t, "add")
    return _with(d, using=[lemma])


def _axiom(d: Derivation) -> Derivation:
    new = Derivation(d.name, d.first, given=d.given)
    for step in d.steps[1:-1]:
        new.step(step.expr, step.reason)
    return new.axiom(d.last, "clear")


def _jump(d: Derivation) -> Derivation:
    with as_written():
        return Derivation(d.name, d.first, given=d.given).step(d.last, "algebra")


def _unchecked(d: Derivation) -> Derivation:
    """A line slipped in behind the engine's back."""
    new = _with(d)
    step = new.steps[2]
    new.steps.insert(2, type(step)(step.expr + 1, "obvious", "=", "algebra"))
    return new


def _started_late(d: Derivation) -> Derivation:
    with as_written():
        new = Derivation(d.name, d.steps[1].expr, given=d.given)
        for step in d.steps[2:]:
            new.step(step.expr, step.reason)
    return new


def _stopped_early(d: Derivation) -> Derivation:
    new = _with(d)
    with as_written():
        return new.step(d.first, "back again")


def _inequality(d: Derivation) -> Derivation:
    return _with(d).at_most(d.last + 1, "more", because=sp.Integer(1))


extra = sp.Symbol("t_0", positive=True)
PROOF_MISTAKES: dict[str, Callable[[Derivation], Any]] = {
    "not a Derivation": lambda d: d.last,
    "another start": _started_late,
    "another end": _stopped_early,
    "axiom": _axiom,
    "lemma": _lemma,
    "assumption": lambda d: _with(d, given={**d.given, extra: sp.Integer(1)}),
    "inequality": _inequality,
    "a jump": _jump,
    "unchecked": _unchecked,
}
