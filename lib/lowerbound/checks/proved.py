"""Checks of a derivation: where it starts, where it ends, and that every line between follows."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from ..language import say
from ..symbolic import KL, Density, Derivation, E, Normal, StepError, as_written
from .engine import CheckError, Elsewhere, Function, Raised, kind, run
from .places import pointer

Facts = Mapping[Any, Any]
SAYS = {
    "not a Derivation": "it must return a `Derivation` of lowerbound.symbolic, not {found}.",
    "another start": "it starts elsewhere. Begin with the line that the task names.",
    "another end": "it is a sound derivation, but its last line is not yet the one asked for.",
    "axiom": "a line is an axiom: nothing checked it. Every line must follow from the one before.",
    "lemma": "it rests on another derivation (`using=`). Show it from the definitions.",
    "assumption": "it assumes more than the task gives: look at `given=` and `where=`.",
    "inequality": "it must be a chain of equations; one of its lines is a bound, a limit or a definition.",
    "a jump": "it goes from start to end too fast. Write at least {steps} different lines after the first.",
    "unchecked": "a line does not follow from the one before. It was put in without being checked.",
}


@dataclass(frozen=True)
class Lines:
    """What a derivation says of itself; that its lines follow is for `ProofCheck` to find out.

    exprs, relations, kinds: one for each line, as `symbolic.Step` has them. given: what it assumes.
    lemmas: how many derivations it rests on; conditions: how many ranges and inequalities it assumes.
    """

    exprs: tuple[Any, ...]
    relations: tuple[str, ...]
    kinds: tuple[str, ...]
    given: Facts
    lemmas: int
    conditions: int

    @classmethod
    def of(cls, d: Derivation) -> Lines:
        """The lines of a derivation."""
        exprs, relations, kinds = zip(*((s.expr, s.relation, s.kind) for s in d.steps), strict=True)
        return cls(exprs, relations, kinds, d.given, len(d.using), len(d.where))


@dataclass(frozen=True)
class ProofCheck:
    """`check(function)`, or `check(derivation)`, prints one line if the derivation is right.

    `check.grade(function)` is the hidden test.

    name: of the function that returns the derivation. see: label in the book. start, end: its first and last
    line. given: the assumptions that are allowed. steps: how many lines must follow the first, at least.
    closed: any last line will do that holds no expectation, KL, density or integral. split: every
    logarithm in the last line is of one letter. A last line that the engine can show equal to `end` is as
    good, if it speaks of nothing that `end` does not speak of, and averages nothing that `end` does not.
    A first line has the terms of `start`, in any order; with terms that are cancelled it is the next line.
    """

    name: str
    see: str
    start: Callable[[], Any]
    end: Callable[[], Any]
    given: Callable[[], Facts] = dict
    steps: int = 3
    closed: bool = False
    split: bool = False

    def __call__(self, derivation: Any) -> None:
        """Check a derivation, or the function that returns it. Raises CheckError."""
        if type(derivation) is not Derivation and callable(derivation):
            derivation = self._derivation(derivation)
        print(say(f"{self.name}: every one of {self._compare(derivation)} lines follows."))

    def grade(self, function: Function | Elsewhere) -> None:
        """The hidden test: the same check, for nothing in it is drawn. Raises CheckError."""
        print(say(f"{self.name}: every one of {self._compare(self._derivation(function))} lines follows."))

    def verdict(self, derivation: Any) -> str | None:
        """The name of what is wrong, a key of `SAYS`; None if nothing is."""
        d = Lines.of(derivation) if type(derivation) is Derivation else derivation
        if type(d) is not Lines:
            return "not a Derivation"
        with as_written():
            start, end, given = self.start(), self.end(), self.given()
        wrong = {
            "another start": _terms(d.exprs[0]) != _terms(start),
            "axiom": "axiom" in d.kinds,
            "lemma": d.lemmas > 0,
            "assumption": d.conditions > 0
            or any(canonical(given.get(a)) != canonical(b) for a, b in d.given.items()),
            "inequality": any(relation != "=" for relation in d.relations[1:]),
            "another end": not self._ends(d.exprs[-1], end),
            "a jump": len({frozenset(_terms(expr).items()) for expr in d.exprs}) <= self.steps,
        }
        name = next((name for name, holds in wrong.items() if holds), None)
        return name or (None if follows(d) else "unchecked")

    def _compare(self, derivation: Any) -> int:
        name = self.verdict(derivation)
        if name is not None:
            says = SAYS[name].format(found=kind(derivation), steps=self.steps)
            message = f"{self.name} is not right yet: {says}\nSee {pointer(self.see)}."
            raise CheckError(self.name, message, name)
        return len(Lines.of(derivation).exprs if type(derivation) is Derivation else derivation.exprs)

    def _derivation(self, function: Function | Elsewhere) -> Any:
        """What a function returns. Raises CheckError where it raises."""
        (outcome,) = function.run([()], ()) if isinstance(function, Elsewhere) else run(function, [()])
        if not isinstance(outcome, Raised):
            return outcome
        if outcome.error == "NotImplementedError":
            raise CheckError(self.name, f"{self.name} is not written yet.", "not written")
        if outcome.error == "StepError":
            message = f"{self.name}: {outcome.message}\nSee {pointer(self.see)}."
            raise CheckError(self.name, message, "a line")
        raise CheckError(self.name, f"{self.name}: it raised {outcome.error}: {outcome.message}", "raises")

    def _ends(self, last: Any, end: Any) -> bool:
        if self.closed:
            return not last.has(E, KL, Normal, sp.Integral, sp.Derivative)
        if canonical(last) == canonical(end):
            return True
        if self.split and any(len(log.free_symbols) > 1 for log in last.atoms(sp.log)):
            return False
        return _speaks_of(last) <= _speaks_of(end) and _equal(last, end, self.given())


def _speaks_of(expr: Any) -> set[Any]:
    """The letters of an expression that stand for no variable of a density, its densities, and their place.

    A density by which an expectation averages is one thing, and one that is averaged another.
    """
    densities = expr.atoms(Density, KL, Normal)
    bound = {letter for density in densities for letter in density.free_symbols}
    averages = {mean: sp.Dummy() for mean in expr.atoms(E)}
    averaged = {part for mean in averages for part in mean.args[1].atoms(Density, KL, Normal)}
    outside = expr.xreplace(averages).atoms(Density, KL, Normal)
    values = {("value", density) for density in averaged | outside}
    return {*densities, *values, *(expr.free_symbols - bound)}


def _equal(a: Any, b: Any, given: Facts) -> bool:
    """Whether the engine can show it in one line."""
    try:
        with as_written():
            Derivation("end", a, given=given).step(b, "the same")
    except StepError:
        return False
    return True


def _terms(expr: Any) -> Counter[Any]:
    """The terms of a sum, each in sympy's own order, none cancelled against another: a + b − a has three."""

    def parts(part: Any, factor: Any) -> list[Any]:
        if isinstance(part, sp.Add):
            return [term for each in part.args for term in parts(each, factor)]
        if isinstance(part, sp.Mul):
            numbers, others = sp.sift(part.args, lambda each: each.is_Number, binary=True)
            if len(others) == 1 and isinstance(others[0], sp.Add):
                return parts(others[0], factor * sp.prod(numbers))
        return [canonical(sp.Mul(factor, part, evaluate=False))]

    return Counter(parts(expr, sp.Integer(1)))


def canonical(expr: Any) -> Any:
    """An expression with its terms in sympy's own order, so that a + b is b + a; nothing else is done."""
    if not isinstance(expr, sp.Basic) or not expr.args:
        return expr
    with sp.evaluate(True):
        return expr.func(*map(canonical, expr.args))


def follows(d: Lines) -> bool:
    """Whether every line follows from the one before: derived anew, by the library's own engine."""
    try:
        with as_written():
            again = Derivation("again", d.exprs[0], given=d.given)
            for expr in d.exprs[1:]:
                again.step(expr, "as it was")
    except StepError:
        return False
    return True


def _with(d: Derivation, **changes: Any) -> Derivation:
    """A derivation that says the same, with attributes of its own; nothing is checked."""
    new = copy.copy(d)
    vars(new).update({"steps": list(d.steps), **changes})
    return new


def _lemma(d: Derivation) -> Derivation:
    t = sp.Symbol("t", positive=True)
    with as_written():
        lemma = Derivation("lemma", t + t).step(2 * t, "add")
    return _with(d, using=(lemma,))


def _axiom(d: Derivation) -> Derivation:
    return _with(d, steps=d.steps[:-1]).axiom(d.last, "clear")


def _jump(d: Derivation) -> Derivation:
    with as_written():
        return Derivation(d.name, d.first, given=d.given).step(d.last, "algebra")


def _unchecked(d: Derivation) -> Derivation:
    """A line slipped in behind the engine's back."""
    step = d.steps[2]
    return _with(d, steps=[*d.steps[:2], replace(step, expr=step.expr + 1), *d.steps[2:]])


def _stopped_early(d: Derivation) -> Derivation:
    with as_written():
        return _with(d).step(d.first, "back again")


def _inequality(d: Derivation) -> Derivation:
    return _with(d).at_most(d.last + 1, "more", because=sp.Integer(1))


extra = sp.Symbol("t_0", positive=True)
PROOF_MISTAKES: dict[str, Callable[[Derivation], Any]] = {
    "not a Derivation": lambda d: d.last,
    "another start": lambda d: _with(d, steps=d.steps[1:]),
    "another end": _stopped_early,
    "axiom": _axiom,
    "lemma": _lemma,
    "assumption": lambda d: _with(d, given={**d.given, extra: sp.Integer(1)}),
    "inequality": _inequality,
    "a jump": _jump,
    "unchecked": _unchecked,
}
