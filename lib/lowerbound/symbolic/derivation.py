"""A derivation: a chain of expressions, each checked against the one before, printed as written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import sympy as sp
from sympy.core.function import AppliedUndef

from ..language import say
from .algebra import assuming, at_least_zero, equal, evaluated, is_positive
from .assumptions import Assumptions, Facts, Lemma, longer_first, read_where, subject
from .checking import RELATIONS, Checked, Step
from .messages import StepError
from .normal_form import NormalForm
from .notation import KL, Density, E, Normal, SquaredNorm, Unit
from .numeric_check import compiled_obeys
from .printing import aligned, latex, text
from .reading import reads_back
from .scope import UnsoundError, bound, free, is_name, made, names_alone, subscripted, substitute


class Derivation(Checked):
    """A chain of steps. Each is checked when it is written, and a wrong one raises `StepError`.

    >>> x, z = RandomVariable("x"), RandomVariable("z")
    >>> p, q = Family("p", "theta", fixed=[z]), Family("q", "phi")
    >>> with as_written():
    ...     d = Derivation("elbo", start=E(q(z | x), sp.log(p(x, z) / q(z | x))))
    ...     d.step(E(q(z | x), sp.log(p(x | z) * p(z) / q(z | x))), "product rule")
    >>> d                                            # in a notebook: the aligned formula

    name: under which it is found. start: the first line. title: what is derived, in words.
    symbol: what the first line is called, printed before it: symbol := start. A new name, or an expression
        that equals the first line, which is checked.
    given: the assumptions, as {left: right}: {alphabar_t: alpha_t * alphabar_s}. Printed, not checked.
    where: for which values it holds: conditions [a > b], and ranges of whole numbers {t: (2, T)}.
    using: derivations that this one rests on: what each derives (its symbol, or else its first line) may be
        replaced by its last line. Their assumptions are inherited, and printed.
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
        where: Mapping | Iterable = (),
        using: Sequence[Derivation] = (),
        chapter: int | None = None,
        lecture: str = "",
    ) -> None:
        self.title, self.symbol = title, None if symbol is None else sp.sympify(symbol)
        if given is not None and not isinstance(given, Mapping):
            raise StepError(f"'{name}': given= is a mapping, {{left: right}}; got {type(given).__name__}.", 1)
        self.given = dict(given or {})
        self.where = where
        self.using = tuple(using)
        self.chapter, self.lecture = chapter, lecture
        self.name = name
        self.inherited: dict = {}
        try:
            ranges, conditions = read_where(where)
            with sp.evaluate(True):
                lemmas = [self._lemma(lemma) for lemma in self.using]
                self._inherit(ranges, conditions)
                assumptions = Assumptions(self.given, lemmas, ranges, conditions)
                derived = {lemma.name for lemma in lemmas}
                below = {
                    a: b
                    for a, b in self.inherited.items()
                    if not isinstance(a, sp.Indexed) and a not in derived
                }
                modelled = (
                    Assumptions({**below, **self.given}, lemmas, ranges, conditions) if below else assumptions
                )
        except UnsoundError as error:
            raise StepError(f"'{name}': {error}", 1) from None
        super().__init__(name, start, assumptions, modelled)
        self.facts = {lemma.named: lemma.last for lemma in self.using} | self.given
        self.named_by_definition = False
        self.closed = False  # by a definition from which nothing can be derived
        if self.symbol is not None:
            with self._refusals():
                self._check_symbol()

    # Names and lemmas

    def _lemma(self, lemma: Derivation) -> Lemma:
        if lemma.relation != "=" or lemma.axioms or any(step.relation == ":=" for step in lemma.steps):
            why = "holds an axiom" if lemma.axioms else f"ends in a line with {lemma.relation}"
            if any(step.relation == ":=" for step in lemma.steps):
                why = "is a definition"
            raise ValueError(
                f"{self.name} can only use an equation that is proved; {lemma.name} is none: it {why}"
            )
        if lemma.symbol is not None and not isinstance(lemma.symbol, sp.Symbol | sp.Indexed | AppliedUndef):
            raise UnsoundError(
                f"{lemma.name} is used, and is called {text(lemma.symbol)}, which is no new name: a lemma is "
                "named by a symbol, B[i] or f(x), or by its first line."
            )
        if [other.named for other in self.using].count(lemma.named) > 1:
            raise UnsoundError(f"two lemmas are both about {text(lemma.named)}.")
        if lemma.named in self.given:
            raise UnsoundError(f"{text(lemma.named)} is assumed, and derived by {lemma.name} too.")
        anywhere = not (
            lemma.given or lemma.inherited or lemma.assumptions.conditions or lemma.symbol is not None
        )
        ranges = lemma.assumptions.ranges
        return Lemma(lemma.named, lemma.last, ranges, anywhere)

    def _inherit(self, ranges: dict, conditions: list) -> None:
        """The assumptions of the lemmas, and what their names stand for."""
        for lemma in self.using:
            said = {**lemma.inherited, **lemma.given}
            if lemma.symbol is not None and lemma.named_by_definition:
                said[lemma.symbol] = lemma.first
            for left, right in said.items():
                there = {**self.given, **self.inherited}
                if any(subject(name) == subject(left) and name != left for name in there):
                    raise UnsoundError(
                        f"{lemma.name} assumes {text(left)} = {text(right)}, and another name is used for it "
                        "here: use the same letters."
                    )
                other = self.inherited.get(left, self.given.get(left, right))
                if other != right:
                    raise UnsoundError(
                        f"{lemma.name} assumes {text(left)} = {text(right)}, and here {text(left)} = "
                        f"{text(other)} is assumed: not both can be meant."
                    )
                if left not in self.given:
                    self.inherited[left] = right
            conditions += [c for c in lemma.assumptions.conditions if c not in conditions]

    def _check_symbol(self) -> None:
        """The name of the first line: a new one, or an expression that equals it."""
        symbol = self._admitted(self.symbol)
        core = symbol
        if isinstance(core, sp.log):
            core = core.args[0]
        elif (
            isinstance(core, sp.Pow)
            and core.base.is_nonnegative
            and core.exp.is_number
            and core.exp.is_positive
        ):
            core = core.base
        said = [self.first, *self.assumptions.expressions()]
        if isinstance(core, Density):
            fresh = (
                isinstance(self.first, Normal) and core.variables == self.first.variables and core == symbol
            )
        else:
            fresh = is_name(core) and not isinstance(core, Density)
        if fresh and not any(part.has(core) for part in said):
            self.named_by_definition = True
            if isinstance(core, Density):
                self.assumptions._check(core, self.first)
                self._check_signs(
                    sp.Symbol(f"the variance of {text(core)}", positive=True), self.first.args[2]
                )
            elif isinstance(symbol, sp.Pow):
                self._check_signs(sp.Dummy(core.name, nonnegative=True), self.first)
            elif core == symbol:
                self._check_signs(core, self.first)
            return
        form = self._form
        if symbol.has(Density):  # the laws of densities show it, whatever their values are
            laws = [longer_first(a, b) for a, b in self.given.items() if not isinstance(b, Normal)]
            form = NormalForm(Assumptions(dict(laws)))
        try:
            model, _ = self._numbers(symbol, self.first, lambda a, b: abs(a - b))
        except StepError as error:  # the laws of densities are shown without numbers, where none can be had
            if error.verdict != "unchecked" or not symbol.has(Density) or bound(symbol):
                raise
            model = None
        if model is None and equal(form(symbol), form(self.first)):
            return
        raise UnsoundError(
            f"{text(symbol)} is no new name, and was not seen to equal the first line. Begin with it, and "
            "make the equation a step; or choose a new symbol."
        )

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

    # Lines

    def define(self, expr, reason: str = "definition") -> Derivation:
        """Say what the name on the first line stands for. Raises ValueError for anything but a new name.

        A density is defined by a Normal of its variable, or by a product of other densities. One that is
        defined by a Π over the layers of a chain of any length gets a name so; no line can follow from it.
        """
        name = self.first
        if len(self.steps) > 1 or not isinstance(name, sp.Symbol | sp.Indexed | Density | AppliedUndef):
            raise ValueError(
                f"{self.name}: define() comes first, after a name such as q(z | x); step() for what follows"
            )
        with self._refusals():
            expr = self._admitted(expr, names_alone=True)
            if expr.has(name):
                raise UnsoundError(f"{text(name)} cannot be defined by itself.")
            if (isinstance(name, Density) and not _is_chain(name, expr)) or not is_name(name):
                self.assumptions._check(name, expr)
                self._check_density(name, expr)
            if any(part.has(name) for part in self.assumptions.expressions()):
                raise UnsoundError(f"{text(name)} stands in the assumptions; a definition is of a new name.")
            self._check_signs(name, expr)
        self._add(Step(expr, reason, ":=", "definition", "", {"method": "define"}))
        self.closed = names_alone(expr)
        return self

    def _check_density(self, name, expr) -> None:
        """A density is defined by what integrates to one over its variables."""
        if isinstance(expr, Normal):
            self._check_signs(sp.Symbol(f"the variance of {text(name)}", positive=True), expr.args[2])
            return
        whole = self._form(made(sp.Integral, expr, *(sp.Tuple(v) for v in name.variables)))
        if not free(expr) <= free(name) | set(name.given) or whole != 1:
            raise UnsoundError(f"{text(expr)} is no density of {', '.join(map(str, name.variables))}.")

    def _check_signs(self, name, expr) -> None:
        """A name cannot be defined by a value that its assumptions do not allow."""
        if isinstance(name, sp.Symbol) and not compiled_obeys(name, expr, self.modelled):
            raise UnsoundError(
                f"{text(name)} cannot be {text(expr)}: it does not obey the assumptions of {text(name)}."
            )

    def step(self, expr, reason: str = "") -> Derivation:
        """Add a line that equals the one before. Raises StepError when it does not."""
        _need(reason, "step(expr, ")
        return self._add(self._equality(expr, reason))

    def at_least(self, expr, reason: str = "", because=None, at: Facts | None = None) -> Derivation:
        """Add a line that the one before is greater than or equal to.

        To be shown is that (line before) − expr ≥ 0. Without `because` calculus is tried on it directly.
        because: an expression that is ≥ 0, a KL or a function of one symbol, that the difference equals;
        at: what to put for the symbol: because=t - 1 - log(t), at={t: p(z) / q(z | x)}. The difference
        may also be the expectation or the sum of it, since E and Σ keep the sign.
        """
        _need(reason, "at_least(expr, ")
        return self._add(self._inequality(">=", expr, reason, because, at or {}))

    def at_most(self, expr, reason: str = "", because=None, at: Facts | None = None) -> Derivation:
        """Add a line that the one before is less than or equal to. See `at_least`."""
        _need(reason, "at_most(expr, ")
        return self._add(self._inequality("<=", expr, reason, because, at or {}))

    def tends_to(self, expr, symbol, target, reason: str = "") -> Derivation:
        """Add a line that the one before tends to as symbol → target, from where its domain lies."""
        _need(reason, "tends_to(expr, symbol, target, ")
        return self._add(self._limit("->", expr, reason, symbol, target))

    def leading_order(self, expr, symbol, target, reason: str = "") -> Derivation:
        """Add a line whose ratio to the one before tends to 1 as symbol → target, from where it may come."""
        _need(reason, "leading_order(expr, symbol, target, ")
        return self._add(self._limit("~", expr, reason, symbol, target))

    def axiom(self, expr, reason: str, relation: str = "=") -> Derivation:
        """Add a line that is not checked, and is printed as an axiom. relation: one of = >= <= -> ~"""
        if relation not in set(RELATIONS) - {":="}:
            raise ValueError(f"relation must be one of =, >=, <=, ->, ~; got {relation!r}")
        with self._refusals():
            expr = self._admitted(expr)
        replay = {"method": "axiom", "relation": relation}
        return self._add(Step(expr, reason, relation, "axiom", "not checked", replay))

    def change(self, number: int, expr) -> Derivation:
        """The same derivation with line `number` (the start is line 1) replaced, every step checked again."""
        if not 1 <= number <= len(self.steps):
            raise IndexError(f"{self.name} has lines 1 to {len(self.steps)}; got {number}")
        lines = [expr if i + 1 == number else step.expr for i, step in enumerate(self.steps)]
        new = Derivation(
            self.name, lines[0], self.title,
            symbol=self.symbol, given=self.given, where=self.where, using=self.using,
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
            if value.has(E, KL, Normal, SquaredNorm):
                with assuming(self.assumptions.conditions, self.assumptions.ranges):
                    value = NormalForm(Assumptions())(value)
            else:
                with assuming(self.assumptions.conditions, self.assumptions.ranges):
                    value = evaluated(value)
        if value.has(Density, E, KL):
            raise TypeError(f"the last line of {self.name} holds densities without numbers: {value}")
        free_symbols = sorted(value.free_symbols, key=str)
        missing = [s for s in free_symbols if s not in symbols]
        if symbols and missing:
            names = f"missing {missing}, got {symbols}"
            raise TypeError(f"as_function needs all symbols of the last line; {names}")
        with sp.evaluate(True):  # sympy's code printers know no subclasses of Symbol
            plain = {s: sp.Symbol(s.name) for s in (*symbols, *free_symbols)}
            names = [plain[s] for s in symbols or free_symbols]
            return sp.lambdify(names, value.xreplace(plain), modules=modules)

    def _with_facts(self, expr):
        named = {f: self.assumptions.plain[name] for f, name in self.assumptions.functions.items()}
        while True:
            calls = {
                e: substitute(
                    named[e.func], dict(zip(self.assumptions.functions[e.func].args, e.args, strict=True))
                )
                for e in expr.atoms(AppliedUndef)
                if e.func in named
            }
            replaced = expr.xreplace(calls).xreplace(self.facts)
            if replaced == expr:
                return expr
            expr = replaced

    # What is printed

    def statement(self) -> str:
        """LaTeX of what is derived, without the way to it: its name or first line, and the last."""
        arrow = next((step.arrow for step in self.steps if step.point is not None), RELATIONS[self.relation])
        return f"{latex(self.named)} {arrow} {latex(self.last)}"

    def latex(self, compact: bool | None = None, given: bool = True) -> str:
        """An aligned environment with the reasons at the right; compact puts them below their line.

        compact=None chooses by the width. given: begin with the assumptions.
        """
        name = ""
        if self.symbol is not None:
            name = f"{latex(self.symbol)} {':=' if self.named_by_definition else '='} "
        rows = [(step.arrow, latex(step.expr), rf"\text{{{say(step.note)}}}") for step in self.steps[1:]]
        return aligned(name, latex(self.first), rows, self.assumed() if given else [], compact)

    def assumed(self) -> list[str]:
        """LaTeX of what is assumed: facts that the lines speak of, inherited ones, ranges and conditions."""
        facts = [self._fact(a, b) for a, b in self._used()]
        facts += [self._fact(a, b) for a, b in self.inherited.items() if (a, b) not in self._used()]
        facts += [f"{latex(c.lhs)} {_SIGNS[type(c)]} {latex(c.rhs)}" for c in self.assumptions.conditions]
        for symbol, (low, high) in self._ranges().items():
            above = "" if high == sp.oo else rf" \le {latex(high)}"
            facts.append(rf"{latex(low)} \le {latex(symbol)}{above}")
        return facts

    def _ranges(self) -> dict:
        """The ranges of whole numbers, those of all lemmas below too."""
        below = {s: r for lemma in self.using for s, r in lemma._ranges().items()}
        return below | self.assumptions.ranges

    def _fact(self, name, value) -> str:
        """An assumption, with the sign that its symbol is assumed to have where its value hides it."""
        sign = ""
        if isinstance(name, sp.Symbol) and name.is_nonnegative and not isinstance(value, KL):
            with assuming(self.assumptions.conditions, self.assumptions.ranges), sp.evaluate(True):
                known = self._form(value)
                if isinstance(name, Unit):
                    sign = "" if is_positive(known) and is_positive(1 - known) else r" \in (0, 1)"
                elif name.is_positive:
                    sign = "" if is_positive(known) else " > 0"
                elif not (known.is_nonnegative or is_positive(known)):
                    sign = r" \ge 0"
        return f"{latex(name)} = {latex(value)}{sign}"

    def conditions(self) -> list[str]:
        """LaTeX of what the letters stand for: their signs, as far as the symbols of the lines have any."""
        signs: dict[str, list[str]] = {}
        every = frozenset().union(*(free(step.expr) for step in self.steps))
        for s in sorted((s for s in every if isinstance(s, sp.Symbol)), key=str):
            said = (
                r"\in (0, 1)"
                if isinstance(s, Unit)
                else (
                    "> 0"
                    if s.is_positive
                    else r"\ge 0"
                    if s.is_nonnegative
                    else "< 0"
                    if s.is_negative
                    else ""
                )
            )
            if s.is_integer:
                said = r"\in \{1, 2, \ldots\}" if s.is_positive else r"\in \mathbb{Z}"
            if said:
                signs.setdefault(said, []).append(latex(s))
        return [f"{', '.join(names)} {said}" for said, names in signs.items()]

    def how(self) -> str:
        """In words, of each line: number, relation to the line before, reason, and how it was checked."""
        rows = [f"{self.name}: {say(self.title)}" if self.title else self.name]
        for number, step in enumerate(self.steps, 1):
            how = "the first line" if number == 1 else step.evidence or step.kind
            rows.append(f"{number:>3} {step.relation if number > 1 else '':>2} {text(step.expr)}")
            rows.append(f"        {f'[{say(step.note)}] ' if step.reason else ''}{say(how)}")
        return "\n".join(rows)

    def check_print(self) -> int:
        """Read every printed line back, and compare it with what was checked. Returns how many were read.

        Raises ValueError where a line says something else on paper.
        """
        lines = [step.expr for step in self.steps] + ([self.symbol] if self.symbol is not None else [])
        lines += [part for pair in [*self.given.items(), *self.inherited.items()] for part in pair]
        for line in lines:
            reads_back(line)
        return len(lines)

    def _used(self) -> list[tuple]:
        """The assumptions that the lines speak of, directly or through another."""
        heads = [step.expr for step in self.steps]
        for step in self.steps:  # what an inequality rests on
            reason, places = step.replay.get("because"), step.replay.get("at") or {}
            heads += [part for part in (reason, *places, *places.values()) if part is not None]
        about = frozenset().union(*map(self.assumptions.closure, heads))
        heads += [a for a, b in self.given.items() if _signed(a) and self.assumptions.closure(b) & about]
        if self.symbol is not None and not self.named_by_definition:
            heads.append(self.symbol)
        if self.turned:
            heads += [a for a, b in self.given.items() if longer_first(a, b) != (a, b)]
        used: dict = {}
        while new := {
            a: b for a, b in self.given.items() if a not in used and any(_about(h, a) for h in heads)
        }:
            used |= new
            heads = list(new.values())
        if self.symbol is not None and self.symbol.has(
            Density
        ):  # by which the name was seen to equal the first line
            used |= {a: b for a, b in self.given.items() if isinstance(b, Density)}
        return [(a, b) for a, b in self.given.items() if a in used]

    def __copy__(self) -> Derivation:
        """The same lines, checked already, in a derivation that can be added to by itself."""
        new = object.__new__(Derivation)
        vars(new).update(vars(self), steps=list(self.steps), given=dict(self.given), facts=dict(self.facts))
        new._names = {name: set(group) for name, group in self._names.items()}
        new._values = dict(self._values)
        new.inherited = dict(self.inherited)
        return new

    def _add(self, step: Step) -> Derivation:
        if self.closed:
            raise StepError(
                f"line {len(self.steps) + 1} of '{self.name}': the definition before it speaks of x_t for "
                "every t, which the engine reads as names alone: nothing can be derived from it.",
                len(self.steps) + 1,
                verdict="unsound",
            )
        if step.relation not in ("=", ":=") and self.relation not in ("=", ":=", step.relation):
            raise ValueError(
                f"{self.name} holds '{self.relation}' already; a line with '{step.relation}' breaks it"
            )
        self.steps.append(step)
        return self

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def __repr__(self) -> str:
        lines = [f"{self.name}: {say(self.title)}" if self.title else self.name, f"     {text(self.first)}"]
        lines += [f"  {s.relation:>2} {text(s.expr)}    [{say(s.note)}]" for s in self.steps[1:]]
        return "\n".join(lines)


def _need(reason: str, call: str) -> None:
    if not reason:
        raise TypeError(f'{call}reason) needs a reason in words, such as "product rule"')


def _signed(name) -> bool:
    """Whether a symbol is assumed to have a sign: what it is said to be has it then, too."""
    return isinstance(name, sp.Symbol) and any(
        getattr(name, f"is_{sign}") is not None for sign in ("positive", "negative", "integer", "nonzero")
    )


_SIGNS = {sp.Gt: ">", sp.Ge: r"\ge", sp.Lt: "<", sp.Le: r"\le", sp.Ne: r"\ne"}


def _is_chain(name, expr) -> bool:
    """Whether the layers of a chain, lumped into one variable, get their density as one Π over t."""
    factors = sp.Mul.make_args(expr)
    products = [f for f in factors if isinstance(f, sp.Product)]
    if len(products) != 1:
        return False
    (index, low, high), step = products[0].limits[0], products[0].function
    every = [step, *(f for f in factors if f not in products)]
    inside = {v.role for d in every if isinstance(d, Density) for v in (*d.variables, *d.given)}
    return (
        at_least_zero(high - low)
        and all(isinstance(d, Density) and d.family == name.family for d in every)
        and not inside & {v.role for v in name.variables}
        and not {v.role for d in every for v in d.variables} & {v.role for v in name.given}
        and all(subscripted(v, index) for v in (*step.variables, *step.given))
    )


def _about(line, name) -> bool:
    """Whether a line speaks of what is assumed: of the function itself, where it is one."""
    if isinstance(name, AppliedUndef):
        return any(node.func == name.func for node in line.atoms(AppliedUndef))
    if isinstance(name, Density):
        roles = {v.role for v in name.variables}, {v.role for v in name.given}
        own = [d for d in line.atoms(Density) if d.family == name.family]
        return any(
            ({v.role for v in d.variables}, {v.role for v in d.given}) == roles
            or (len(d.variables) > 1 and roles[0] | roles[1] <= {v.role for v in (*d.variables, *d.given)})
            for d in own
        )
    return bool(line.has(name))
