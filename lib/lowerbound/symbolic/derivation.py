"""A derivation: a chain of expressions, each checked against the one before, printed as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sympy as sp
from sympy.core.function import AppliedUndef

from .checking import RELATIONS, Checked, Step
from .normal_form import Facts, NormalForm
from .notation import KL, Density, E, Normal
from .printing import aligned, latex, text


class Derivation(Checked):
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
    using: derivations that this one rests on: what each derives (its symbol, or else its first line) may be
        replaced by its last line.
    chapter, lecture: where it belongs, as in chapter=1, lecture="01:36–05:16".
    """

    def __init__(
        self,
        name: str,
        start,
        title: str = "",
        *,
        symbol=None,
        given: Facts | None = None,
        using: Sequence[Derivation] = (),
        chapter: int | None = None,
        lecture: str = "",
    ) -> None:
        self.title, self.symbol = title, symbol
        self.given = dict(given or {})
        self.using = tuple(using)
        for lemma in self.using:
            if lemma.relation != "=" or lemma.axioms:
                raise ValueError(f"{name} can only use an equation that is proved; {lemma.name} is none")
        self.chapter, self.lecture = chapter, lecture
        super().__init__(name, start, {lemma.named: lemma.last for lemma in self.using} | self.given)

    @property
    def named(self):
        """What is derived: the symbol of the first line, or that line."""
        return self.first if self.symbol is None else self.symbol

    @property
    def relation(self) -> str:
        """How the first line relates to the last: "=", ">=", "<=", "->" or "~"; ":=" if it is but defined."""
        kinds = [step.relation for step in self.steps[1:]]
        return next((r for r in kinds if r not in ("=", ":=")), ":=" if kinds == [":="] else "=")

    @property
    def axioms(self) -> list[Step]:
        """The lines that were not checked."""
        return [step for step in self.steps if step.kind == "axiom"]

    def define(self, expr, reason: str = "definition") -> Derivation:
        """Say what the name on the first line stands for. Raises ValueError for anything but a name."""
        if len(self.steps) > 1 or not isinstance(self.first, sp.Symbol | sp.Indexed | Density | AppliedUndef):
            raise ValueError(
                f"{self.name}: define() comes first, after a name such as q(z | x); step() for what follows"
            )
        if sp.sympify(expr).has(self.first):
            raise ValueError(f"{self.name}: {self.first} cannot be defined by itself")
        return self._add(Step(sp.sympify(expr), reason, ":=", "definition", "", {"method": "define"}))

    def step(self, expr, reason: str) -> Derivation:
        """Add a line that equals the one before. Raises StepError when it does not."""
        return self._add(self._equality(sp.sympify(expr), reason))

    def at_least(self, expr, reason: str, because=None, at: Facts | None = None) -> Derivation:
        """Add a line that the one before is greater than or equal to.

        To be shown is that (line before) − expr ≥ 0. Without `because` calculus is tried on it directly.
        because: an expression that is ≥ 0, a KL or a function of one symbol, that the difference equals;
        at: what to put for the symbol: because=t - 1 - log(t), at={t: p(z) / q(z | x)}. The difference
        may also be the expectation or the sum of it, since E and Σ keep the sign.
        """
        return self._add(self._inequality(">=", sp.sympify(expr), reason, because, at or {}))

    def at_most(self, expr, reason: str, because=None, at: Facts | None = None) -> Derivation:
        """Add a line that the one before is less than or equal to. See `at_least`."""
        return self._add(self._inequality("<=", sp.sympify(expr), reason, because, at or {}))

    def tends_to(self, expr, symbol, target, reason: str) -> Derivation:
        """Add a line that the one before tends to as symbol → target; the limit is taken by sympy."""
        return self._add(self._limit("->", sp.sympify(expr), reason, symbol, target))

    def leading_order(self, expr, symbol, target, reason: str) -> Derivation:
        """Add a line whose ratio to the one before tends to 1 as symbol → target; the limit is sympy's."""
        return self._add(self._limit("~", sp.sympify(expr), reason, symbol, target))

    def axiom(self, expr, reason: str, relation: str = "=") -> Derivation:
        """Add a line that is not checked, and is printed as an axiom. relation: one of = >= <= -> ~"""
        if relation not in set(RELATIONS) - {":="}:
            raise ValueError(f"relation must be one of =, >=, <=, ->, ~; got {relation!r}")
        replay = {"method": "axiom", "relation": relation}
        return self._add(Step(sp.sympify(expr), reason, relation, "axiom", "", replay))

    def change(self, number: int, expr) -> Derivation:
        """The same derivation with line `number` (the start is line 1) replaced, every step checked again."""
        if not 1 <= number <= len(self.steps):
            raise IndexError(f"{self.name} has lines 1 to {len(self.steps)}; got {number}")
        lines = [expr if i + 1 == number else step.expr for i, step in enumerate(self.steps)]
        new = Derivation(
            self.name, lines[0], self.title,
            symbol=self.symbol, given=self.given, using=self.using,
            chapter=self.chapter, lecture=self.lecture,
        )  # fmt: skip
        for line, step in zip(lines[1:], self.steps[1:], strict=True):
            options = dict(step.replay)
            getattr(new, options.pop("method"))(line, reason=step.reason, **options)
        return new

    def as_function(self, *symbols, modules: str | Sequence = "numpy") -> Callable:
        """The last line as a numeric function of `symbols`, in this order (default: all, sorted by name).

        Assumptions in `given` are put in. Raises TypeError where densities without numbers are left.
        """
        with sp.evaluate(True):
            value = self._with_facts(self.last)
            value = NormalForm({}, [value])(value) if value.has(E, KL, Normal) else value.doit()
        if value.has(Density, E, KL):
            raise TypeError(f"the last line of {self.name} holds densities without numbers: {value}")
        free = sorted(value.free_symbols, key=str)
        missing = [s for s in free if s not in symbols]
        if symbols and missing:
            names = f"missing {missing}, got {symbols}"
            raise TypeError(f"as_function needs all symbols of the last line; {names}")
        with sp.evaluate(True):  # sympy's code printers know no subclasses of Symbol
            plain = {s: sp.Symbol(s.name) for s in (*symbols, *free)}
            names = [plain[s] for s in symbols or free]
            return sp.lambdify(names, value.xreplace(plain), modules=modules)

    def statement(self) -> str:
        """LaTeX of what is derived, without the way to it: its name or first line, and the last."""
        return f"{latex(self.named)} {RELATIONS[self.relation]} {latex(self.last)}"

    def latex(self, compact: bool | None = None, given: bool = True) -> str:
        """An aligned environment with the reasons at the right; compact puts them below their line.

        compact=None chooses by the width. given: end with the assumptions.
        """
        name = f"{latex(self.symbol)} = " if self.symbol is not None else ""
        rows = [(step.arrow, latex(step.expr), rf"\text{{{step.note}}}") for step in self.steps[1:]]
        facts = [f"{latex(a)} = {latex(b)}" for a, b in self._used()] if given else []
        return aligned(name, latex(self.first), rows, facts, compact)

    def _used(self) -> list[tuple]:
        """The assumptions that the lines speak of, directly or through another."""
        heads = [step.expr for step in self.steps]
        used = {}
        while new := {a: b for a, b in self.given.items() if a not in used and any(h.has(a) for h in heads)}:
            used |= new
            heads = list(new.values())
        return [(a, b) for a, b in self.given.items() if a in used]

    def __copy__(self) -> Derivation:
        """The same lines, checked already, in a derivation that can be added to by itself."""
        new = object.__new__(Derivation)
        vars(new).update(vars(self), steps=list(self.steps), given=dict(self.given), facts=dict(self.facts))
        return new

    def _add(self, step: Step) -> Derivation:
        if step.relation not in ("=", ":=") and self.relation not in ("=", ":=", step.relation):
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
