"""What makes a derivation one: each kind of line, and the check that it has to pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import sympy as sp

from .algebra import equal, is_positive, is_zero, never_negative
from .messages import explain
from .normal_form import Facts, NormalForm
from .notation import KL, E, Normal
from .numeric_check import Model
from .printing import latex

RELATIONS = {"=": "=", ">=": r"\ge", "<=": r"\le", "->": r"\longrightarrow", "~": r"\sim", ":=": ":="}


@dataclass(frozen=True)
class Step:
    """One line: how it relates to the line before, why, and what kind of check it passed.

    relation: "=", ">=", "<=", "->" (tends to), "~" (to leading order) or ":=" (is called).
    kind: "start", "definition", "algebra", "calculus", "limit" or "axiom".
    """

    expr: sp.Basic
    reason: str = ""
    relation: str = "="
    kind: str = "start"
    evidence: str = ""
    replay: Mapping = field(default_factory=dict, repr=False, compare=False)

    @property
    def note(self) -> str:
        """The reason as printed: an axiom says that it is one."""
        return f"axiom: {self.reason}" if self.kind == "axiom" else self.reason

    @property
    def arrow(self) -> str:
        """The relation in LaTeX."""
        if self.kind != "limit":
            return RELATIONS[self.relation]
        if self.relation == "->":
            return rf"\xrightarrow{{{self.evidence}}}"
        return rf"\overset{{{self.evidence}}}{{\sim}}"


class Checked:
    """Lines, and what may be assumed in them. Makes the next line's `Step`, or raises `StepError`."""

    def __init__(self, name: str, start, facts: Facts) -> None:
        self.name, self.facts = name, dict(facts)
        self.steps: list[Step] = [Step(sp.sympify(start))]

    @property
    def first(self):
        """The expression of the first line."""
        return self.steps[0].expr

    @property
    def last(self):
        """The expression of the last line: the result."""
        return self.steps[-1].expr

    def _equality(self, right, reason: str) -> Step:
        differs = self._contradiction(right, lambda a, b: abs(a - b) <= 1e-6 * (1 + abs(a) + abs(b)))
        if differs or not equal(*self._normal_forms(self.last, right)):
            self._refuse("=", right, reason, differs)
        return Step(right, reason, "=", "algebra", "", {"method": "step"})

    def _inequality(self, relation: str, right, reason: str, because, at: Facts) -> Step:
        sign = 1 if relation == ">=" else -1
        differs = self._contradiction(right, lambda a, b: sign * (a - b) >= -1e-6 * (1 + abs(a) + abs(b)))
        with sp.evaluate(True):
            gap = sign * self._difference(self.last, right)
            shown = never_negative(gap if because is None else because)
            if because is not None and not self._is_instance(gap, right, because, at):
                shown = ""
        if differs or not shown:
            self._refuse(relation, right, reason, differs)
        replay = {"method": "at_least" if sign == 1 else "at_most", "because": because, "at": at}
        return Step(right, reason, relation, "calculus", shown, replay)

    def _limit(self, relation: str, right, reason: str, symbol, target) -> Step:
        """Of the line itself (tends to), or of its ratio to the new line (to leading order)."""
        left, new = self._normal_forms(self.last, right)
        with sp.evaluate(True):
            limit = sp.limit(left if relation == "->" else sp.factor(left) / sp.factor(new), symbol, target)
        expected = new if relation == "->" else sp.Integer(1)
        if limit != expected and not equal(limit, expected):
            of = f"line {len(self.steps)}" if relation == "->" else "the ratio"
            self._refuse(relation, right, f"{reason}; the limit of {of} is {limit}", None)
        evidence = f"{latex(symbol)} \\to {latex(sp.sympify(target))}"
        method = "tends_to" if relation == "->" else "leading_order"
        replay = {"method": method, "symbol": symbol, "target": target}
        return Step(right, reason, relation, "limit", evidence, replay)

    def _is_instance(self, gap, right, because, at: Facts) -> bool:
        """Whether gap is `because` at the given place, or an expectation or a sum of that."""
        if any(symbol.is_positive and not is_positive(value) for symbol, value in at.items()):
            return False
        instance = because.subs(at)
        measures = {node.args[0] for line in (self.last, right) for node in line.atoms(E, KL)}
        ranges = {node.limits for line in (self.last, right) for node in line.atoms(sp.Sum)}
        candidates = [instance, *(E(measure, instance) for measure in measures)]
        candidates += [sp.Sum(instance, *limits) for limits in ranges]
        return any(is_zero(gap - self._normal(c, self.last, right)) for c in candidates)

    def _normal(self, expr, *others):
        return NormalForm(self.facts, [expr, *others])(expr)

    def _normal_forms(self, left, right):
        form = NormalForm(self.facts, [left, right])
        return form(left), form(right)

    def _difference(self, left, right):
        a, b = self._normal_forms(left, right)
        with sp.evaluate(True):
            return a - b

    def _with_facts(self, expr):
        while expr != (replaced := expr.xreplace(self.facts)):
            expr = replaced
        return expr

    def _contradiction(self, right, holds: Callable[[float, float], bool]) -> Model | None:
        """A random model in which the last line's relation to `right` fails; None when none was found."""
        models = (Model([self.last, right], self.facts, seed) for seed in range(100))
        for model in itertools.islice((m for m in models if m.keeps_signs()), 3):
            a, b = model.value(self.last), model.value(right)
            if abs(a.imag) + abs(b.imag) < 1e-9 and not holds(a.real, b.real):
                return model
        return None

    def _left_over(self, left, right):
        with sp.evaluate(True):
            rest = self._difference(left, right)
            return sp.simplify(rest) if rest.count_ops() < 150 else rest

    def _refuse(self, relation: str, right, reason: str, differs: Model | None) -> NoReturn:
        lines = (self.last, right)
        if all(isinstance(line, Normal) for line in lines) and self.last.variables == right.variables:
            pairs = zip(("mean", "variance"), self.last.args[1:], right.args[1:], strict=True)
            residual = {of: self._left_over(a, b) for of, a, b in pairs}
        else:
            residual = self._left_over(*lines)
        raise explain(self.name, len(self.steps) + 1, relation, lines, reason, residual, differs)
