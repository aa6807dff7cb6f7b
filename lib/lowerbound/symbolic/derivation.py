"""A derivation: a chain of expressions, each checked against the one before, printed as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from .algebra import equal, is_positive, is_zero
from .bounds import never_negative
from .layout import aligned
from .messages import explain
from .normal_form import Facts, NormalForm
from .notation import KL, Density, E, Normal
from .printing import latex, text
from .step import RELATIONS, Step
from .witness import Model


class Derivation:
    """A chain of steps. Each is checked when it is written, and a wrong one raises `StepError`.

    >>> x, z = RandomVariable("x"), RandomVariable("z")
    >>> p, q = Family("p", "theta", fixed=[z]), Family("q", "phi")
    >>> with as_written():
    ...     d = Derivation("elbo", start=E(q(z | x), sp.log(p(x, z) / q(z | x))))
    ...     d.step(E(q(z | x), sp.log(p(x | z) * p(z) / q(z | x))), "product rule")
    >>> d                                            # in a notebook: the aligned formula

    name: under which it is found. start: the first line. title: what is derived, in words.
    symbol: what the first line is called, printed before it: symbol = start.
    given: the assumptions, as {left: right}: {alphabar_t: alpha_t * alphabar_s}. Printed, not checked.
    chapter, lecture: where it belongs, as in chapter=1, lecture="01:36–05:16".
    """

    def __init__(
        self,
        name: str,
        start: Any,
        title: str = "",
        *,
        symbol: Any = None,
        given: Facts | None = None,
        chapter: int | None = None,
        lecture: str = "",
    ) -> None:
        self.name, self.title, self.symbol = name, title, symbol
        self.given: dict[Any, Any] = dict(given or {})
        self.chapter, self.lecture = chapter, lecture
        self.steps: list[Step] = [Step(sp.sympify(start))]

    @property
    def first(self) -> Any:
        """The expression of the first line."""
        return self.steps[0].expr

    @property
    def last(self) -> Any:
        """The expression of the last line: the result."""
        return self.steps[-1].expr

    @property
    def relation(self) -> str:
        """How the first line relates to the last: "=", ">=", "<=" or "->"."""
        relations = {step.relation for step in self.steps} - {"="}
        return relations.pop() if relations else "="

    def step(self, expr: Any, reason: str) -> Derivation:
        """Add a line that equals the one before. Raises StepError when it does not."""
        left, right = self.last, sp.sympify(expr)
        differs = self._contradiction(right, lambda a, b: abs(a - b) <= 1e-6 * (1 + abs(a) + abs(b)))
        if differs or not equal(*self._normal_forms(left, right)):
            self._refuse("=", right, reason, differs)
        return self._add(Step(right, reason, "=", "algebra", "", {"method": "step"}))

    def at_least(self, expr: Any, reason: str, because: Any = None, at: Facts | None = None) -> Derivation:
        """Add a line that the one before is greater than or equal to.

        To be shown is that (line before) − expr ≥ 0. Without `because` calculus is tried on it directly.
        because: an expression that is ≥ 0, a KL or a function of one symbol, that the difference equals;
        at: what to put for the symbol: because=t - 1 - log(t), at={t: p(z) / q(z | x)}. The difference
        may also be the expectation of it, since E keeps the sign.
        """
        return self._bound(">=", expr, reason, because, at)

    def at_most(self, expr: Any, reason: str, because: Any = None, at: Facts | None = None) -> Derivation:
        """Add a line that the one before is less than or equal to. See `at_least`."""
        return self._bound("<=", expr, reason, because, at)

    def tends_to(self, expr: Any, symbol: Any, target: Any, reason: str) -> Derivation:
        """Add a line that the one before tends to as symbol → target; the limit is taken by sympy."""
        with sp.evaluate(True):
            found = sp.limit(NormalForm(self.given, [self.last])(self.last), symbol, target)
        right = sp.sympify(expr)
        if not equal(*self._normal_forms(found, right)):
            self._refuse("->", right, f"{reason}; the limit of line {len(self.steps)} is {found}", None)
        evidence = f"{latex(symbol)} \\to {latex(sp.sympify(target))}"
        return self._add(
            Step(
                right,
                reason,
                "->",
                "limit",
                evidence,
                {"method": "tends_to", "symbol": symbol, "target": target},
            )
        )

    def axiom(self, expr: Any, reason: str, relation: str = "=") -> Derivation:
        """Add a line that is not checked, and is printed as an axiom. relation: "=", ">=", "<=" or "->"."""
        if relation not in RELATIONS:
            raise ValueError(f"relation must be one of {', '.join(RELATIONS)}; got {relation!r}")
        replay = {"method": "axiom", "relation": relation}
        return self._add(Step(sp.sympify(expr), reason, relation, "axiom", "", replay))

    def change(self, number: int, expr: Any) -> Derivation:
        """The same derivation with line `number` (the start is line 1) replaced, every step checked again."""
        if not 1 <= number <= len(self.steps):
            raise IndexError(f"{self.name} has lines 1 to {len(self.steps)}; got {number}")
        lines = [expr if i + 1 == number else step.expr for i, step in enumerate(self.steps)]
        new = Derivation(
            self.name, lines[0], self.title,
            symbol=self.symbol, given=self.given, chapter=self.chapter, lecture=self.lecture,
        )  # fmt: skip
        for line, step in zip(lines[1:], self.steps[1:], strict=True):
            options = dict(step.replay)
            getattr(new, options.pop("method"))(line, reason=step.reason, **options)
        return new

    def as_function(self, *symbols: Any, modules: str | Sequence[Any] = "numpy") -> Callable[..., Any]:
        """The last line as a numeric function of `symbols`, in this order (default: all, sorted by name).

        Assumptions in `given` are put in. Raises TypeError where densities without numbers are left.
        """
        with sp.evaluate(True):
            value = self._with_given(self.last)
            value = NormalForm({}, [value])(value) if value.has(E, KL, Normal) else value.doit()
        if value.has(Density, E, KL):
            raise TypeError(f"the last line of {self.name} holds densities without numbers: {value}")
        free = sorted(value.free_symbols, key=str)
        missing = [s for s in free if s not in symbols]
        if symbols and missing:
            raise TypeError(
                f"as_function needs all symbols of the last line; missing {missing}, got {symbols}"
            )
        with sp.evaluate(True):
            plain = {
                s: sp.Symbol(s.name) for s in (*symbols, *free)
            }  # sympy's code printers know no subclasses
            names = [plain[s] for s in symbols or free]
            return sp.lambdify(names, value.xreplace(plain), modules=modules)  # type: ignore[no-any-return]

    def latex(self, compact: bool | None = None, given: bool = True) -> str:
        """An aligned environment with the reasons at the right; compact puts them below their line.

        compact=None chooses by the width. given: end with the assumptions.
        """
        name = f"{latex(self.symbol)} = " if self.symbol is not None else ""
        rows = [(step.arrow, latex(step.expr), rf"\text{{{step.note}}}") for step in self.steps[1:]]
        facts = [f"{latex(a)} = {latex(b)}" for a, b in self._used()] if given else []
        return aligned(name, latex(self.first), rows, facts, compact)

    def _used(self) -> list[tuple[Any, Any]]:
        """The assumptions that the lines speak of, directly or through another."""
        heads = [step.expr for step in self.steps]
        used: dict[Any, Any] = {}
        while new := {a: b for a, b in self.given.items() if a not in used and any(h.has(a) for h in heads)}:
            used |= new
            heads = list(new.values())
        return [(a, b) for a, b in self.given.items() if a in used]

    def _bound(self, relation: str, expr: Any, reason: str, because: Any, at: Facts | None) -> Derivation:
        right = sp.sympify(expr)
        sign = 1 if relation == ">=" else -1
        differs = self._contradiction(right, lambda a, b: sign * (a - b) >= -1e-6 * (1 + abs(a) + abs(b)))
        with sp.evaluate(True):
            gap = sign * self._difference(self.last, right)
            shown = never_negative(gap if because is None else because)
            if because is not None and not self._is_instance(gap, right, because, at or {}):
                shown = ""
        if differs or not shown:
            self._refuse(relation, right, reason, differs)
        replay = {"method": "at_least" if sign == 1 else "at_most", "because": because, "at": at}
        return self._add(Step(right, reason, relation, "calculus", shown, replay))

    def _is_instance(self, gap: Any, right: Any, because: Any, at: Facts) -> bool:
        """Whether gap is `because` at the given place, or an expectation of that."""
        if any(symbol.is_positive and not is_positive(value) for symbol, value in at.items()):
            return False
        instance = because.subs(at)
        measures = {node.args[0] for line in (self.last, right) for node in line.atoms(E, KL)}
        candidates = [instance, *(E(measure, instance) for measure in measures)]
        return any(is_zero(gap - self._normal(c, self.last, right)) for c in candidates)

    def _normal(self, expr: Any, *others: Any) -> Any:
        return NormalForm(self.given, [expr, *others])(expr)

    def _normal_forms(self, left: Any, right: Any) -> tuple[Any, Any]:
        form = NormalForm(self.given, [left, right])
        return form(left), form(right)

    def _difference(self, left: Any, right: Any) -> Any:
        a, b = self._normal_forms(left, right)
        with sp.evaluate(True):
            return a - b

    def _with_given(self, expr: Any) -> Any:
        while expr != (replaced := expr.xreplace(self.given)):
            expr = replaced
        return expr

    def _contradiction(self, right: Any, holds: Callable[[Any, Any], Any]) -> Model | None:
        """A random model in which the last line's relation to `right` fails; None when none was found."""
        for seed in range(3):
            model = Model([self.last, right], self.given, seed)
            a, b = model.value(self.last), model.value(right)
            if abs(a.imag) + abs(b.imag) < 1e-9 and not holds(a.real, b.real):
                return model
        return None

    def _refuse(self, relation: str, right: Any, reason: str, differs: Model | None) -> None:
        lines = (self.last, right)
        with sp.evaluate(True):
            residual = self._difference(*lines)
            residual = sp.simplify(residual) if residual.count_ops() < 150 else residual
        raise explain(self.name, len(self.steps) + 1, relation, lines, reason, residual, differs)

    def _add(self, step: Step) -> Derivation:
        if step.relation != "=" and self.relation not in ("=", step.relation):
            raise ValueError(
                f"{self.name} holds '{self.relation}' already; a line with '{step.relation}' breaks it"
            )
        self.steps.append(step)
        return self

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.title}" if self.title else self.name, f"     {text(self.first)}"]
        lines += [f"  {s.relation:>2} {text(s.expr)}    [{s.note}]" for s in self.steps[1:]]
        return "\n".join(lines)
