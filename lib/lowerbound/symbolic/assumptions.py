"""What may be assumed in a derivation, and how it is put into a line without capturing anything.

An assumption about a symbol is about that one number, wherever it stands free. An assumption about a density
holds at every place: p(z) = N(z; 0, 1) says what the function p is. So does one about f(u, v), for all u, v.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy as sp
from sympy.core.function import AppliedUndef

from .algebra import at_least_zero, is_positive
from .notation import KL, Density, E, Normal, SquaredNorm, Unit
from .printing import text
from .scope import (
    BINDERS,
    UnsoundError,
    admit,
    bound,
    free,
    fresh,
    is_name,
    made,
    nodes,
    parts,
    substitute,
)

Facts = Mapping[sp.Basic, sp.Basic]
Range = tuple[sp.Basic, sp.Basic]


@dataclass(frozen=True)
class Lemma:
    """An equation that was checked: `name` is `value`. ranges: of the index in its name.

    anywhere: it was shown without assumptions, and so holds under an expectation too.
    """

    name: sp.Basic
    value: sp.Basic
    ranges: Mapping[sp.Symbol, Range] = field(default_factory=dict, hash=False)
    anywhere: bool = False


class Assumptions:
    """The facts of a derivation, its lemmas, and the ranges and conditions on its symbols."""

    def __init__(
        self,
        given: Facts = {},  # noqa: B006  (never changed)
        lemmas: Iterable[Lemma] = (),
        ranges: Mapping[sp.Symbol, Range] = {},
        conditions: Iterable = (),
    ) -> None:
        self.given = {sp.sympify(a): sp.sympify(b) for a, b in given.items()}
        self.lemmas = tuple(lemmas)
        self.ranges = dict(ranges)
        self.conditions = tuple(conditions)
        for name, value in self.given.items():
            self._check(name, value)
        told: dict = {}
        for name in self.given:
            if told.setdefault(subject(name), name) != name:
                raise UnsoundError(
                    f"{text(name)} and {text(told[subject(name)])} are one thing at two places; what is "
                    "assumed of it is said once."
                )
        self.plain = {name: value for name, value in self.given.items() if not isinstance(name, Density)}
        self.plain |= {
            lemma.name: lemma.value for lemma in self.lemmas if not _indexed(lemma) and not lemma.anywhere
        }
        self.plain = {name: value for name, value in self.plain.items() if is_name(name)}
        self._open: list = []  # lemmas that are being put in
        self._slopes: list = []  # what is being differentiated in
        self.densities = {name: value for name, value in self.given.items() if isinstance(name, Density)}
        self.densities |= {lemma.name: lemma.value for lemma in self.lemmas if isinstance(lemma.name, Density)
                           and (isinstance(lemma.value, Normal) or _of_densities(lemma.value))}  # fmt: skip
        self.functions = {name.func: name for name in self.plain if isinstance(name, AppliedUndef)}
        self._circles()
        self._forms: dict = {}

    def turned(self) -> Assumptions | None:
        """The same assumptions with q(a | b, c) = q(a | b) turned round; None where there is none."""
        new = dict(longer_first(a, b) for a, b in self.given.items())
        if new == self.given or len(new) < len(self.given):
            return None
        return Assumptions(new, self.lemmas, self.ranges, self.conditions)

    def expressions(self) -> list:
        """Everything that is said in them."""
        said = [*self.given, *self.given.values(), *self.conditions]
        said += [part for lemma in self.lemmas for part in (lemma.name, lemma.value)]
        return said + [end for ends in self.ranges.values() for end in ends]

    def _check(self, name, value) -> None:
        admit(value, f"the assumption about {text(name)}")
        if not is_name(name):
            raise UnsoundError(
                f"an assumption is about a name (a symbol, B[i], f(x) or a density), not about {text(name)}."
            )
        if not isinstance(name, Density):
            return
        if isinstance(value, Normal):
            z, mean, variance = value.args
            if name.variables != (z,):
                raise UnsoundError(f"{text(value)} is a density of {z}, and {text(name)} is none.")
            if z in free(mean) | free(variance):
                raise UnsoundError(f"{text(value)} is no density: its mean or variance holds {z} itself.")
        elif not _of_densities(value):
            raise UnsoundError(
                f"a density can be assumed to be a Normal, or a product of densities; {text(name)} is not."
            )

    def _circles(self) -> None:
        """No assumption may lead back to itself."""
        below = {name: {n for n in nodes(value) if n in self.given} for name, value in self.given.items()}
        for name in self.given:
            seen, todo = set(), [name]
            while todo:
                reached = below[todo.pop()] - seen
                if name in reached:
                    raise UnsoundError(
                        f"the assumptions run in a circle: {text(name)} is said to hold itself."
                    )
                seen |= reached
                todo += reached

    def closure(self, expr) -> frozenset:
        """The symbols on which expr depends, through assumptions too."""
        seen: set = set()
        todo = [expr]
        while todo:
            new = free(todo.pop()) - seen
            seen |= new
            todo += [self.plain[s] for s in new if s in self.plain]
        return frozenset(seen)

    def put_in(self, line):
        """The line with all that is assumed put in, KL unfolded, and each bound symbol named anew."""
        if line not in self._forms:
            taken = bound(line)
            for name, value in self.plain.items():
                if name in taken:
                    raise UnsoundError(
                        f"{text(name)} = {text(value)} is assumed, and a line averages or sums over {name}: "
                        "there it is a bound variable, of which nothing can be assumed. "
                        "Write the new variable with its own distribution, as in E(Normal(eps, 0, 1), ...)."
                    )
            self._forms[line] = self._put(line, {}, {})
        return self._forms[line]

    def _put(self, e, env: dict, ranges: dict):
        """env: what the bound symbols around e are called now; ranges: those of the sums' indices."""
        if not e.args and not isinstance(e, sp.Symbol):
            return e
        for lemma in self.lemmas:
            if (
                e == lemma.name
                and lemma not in self._open
                and e not in self.densities
                and not isinstance(e, sp.Symbol | sp.Indexed)
            ):
                self._free_of(lemma.name, lemma.value, {} if lemma.anywhere else env)
                if caught := sorted((lemma.ranges.keys() & free(e)) & env.keys(), key=str):
                    self._within(e, lemma.ranges[caught[0]], ranges.get(caught[0]), caught[0])
                self._keeps_slopes(lemma.name, lemma.value)
                return self._with(lemma, env, ranges)
        if isinstance(e, sp.Symbol):
            return self._symbol(e, env)
        if isinstance(e, sp.Indexed):
            return self._element(e, env, ranges)
        if isinstance(e, AppliedUndef) and e.func in self.functions:
            return self._function(e, env, ranges)
        if isinstance(e, Density):
            return self.density(self._renamed(e, env), env)
        if isinstance(e, KL | SquaredNorm):
            return self._put(e.unfold(), env, ranges)
        if isinstance(e, BINDERS):
            return self._binder(e, env, ranges)
        if isinstance(e, sp.Derivative):
            variables = [v for v, _ in e.variable_count]
            for v in variables:
                if v in self.plain:
                    raise UnsoundError(f"{v} is fixed by an assumption; a derivative in it is not defined.")
            for s in free(e.expr) & set(self.plain):
                if moved := [v for v in variables if v in self.closure(self.plain[s])]:
                    raise UnsoundError(
                        f"{text(s)} = {text(self.plain[s])} is assumed, and a line differentiates {text(s)} "
                        f"in {moved[0]}: write its value there, so that it is clear what is held fixed."
                    )
            counts = [(env.get(v, v), n) for v, n in e.variable_count]
            before, self._slopes = self._slopes, [*self._slopes, *variables]
            try:
                inside = self._put(e.expr, env, ranges)
            finally:
                self._slopes = before
            return sp.Derivative(inside, *counts, evaluate=False)
        return e.func(*(self._put(a, env, ranges) for a in e.args))

    def _keeps_slopes(self, name, value) -> None:
        """Refuse to differentiate in a parameter that a density loses by what is assumed of it."""
        for v in self._slopes:
            if v in free(name) - self.closure(value):
                raise UnsoundError(
                    f"{text(name)} = {text(value)} is assumed, in which {v} does not stand, and a line "
                    f"differentiates it in {v}: the slope would be 0. Say how {text(value)} depends on "
                    f"{v}, as in Normal(z, {v}, 1) or with a function of {v}."
                )

    def _free_of(self, name, value, env: dict) -> None:
        """Refuse an assumption at a place where a symbol that it speaks of is bound."""
        caught = sorted((self.closure(value) | free(name)) & set(env), key=str)
        if caught:
            raise UnsoundError(
                f"{text(name)} = {text(value)} speaks of {caught[0]}, and a line uses {text(name)} where "
                f"{caught[0]} is averaged or summed over: that is another {caught[0]}. Write the expression "
                f"itself there, or name a function: W = Function('W')({caught[0]})."
            )

    def _symbol(self, s, env: dict):
        if s in env:
            return env[s]
        if s not in self.plain:
            return s
        self._free_of(s, self.plain[s], env)
        return self._put(self.plain[s], {}, {})

    def _function(self, e, env: dict, ranges: dict):
        name = self.functions[e.func]
        value = self.plain[name]
        others = {s: v for s, v in env.items() if s not in name.args}
        self._free_of(name.func(*name.args), value, others) if self.closure(value) & set(others) else None
        arguments = [self._put(a, env, ranges) for a in e.args]
        for slot, argument in zip(name.args, arguments, strict=True):
            if not _fits(slot, argument):
                raise UnsoundError(
                    f"{text(name)} = {text(value)} is assumed where {slot} is {_declared(slot)}, and a line "
                    f"holds {text(e)}, where that is not known of {text(argument)}."
                )
        slots = {s: fresh(s) for s in name.args}
        put = self._put(value, slots, {})
        return substitute(put, {slots[s]: a for s, a in zip(name.args, arguments, strict=True)})

    def _element(self, e, env: dict, ranges: dict):
        """B[i], of which something may be assumed for this i, or for all i of a range."""
        new = e.base[tuple(self._put(i, env, ranges) for i in e.indices)]
        for name, value in self.given.items():
            if name == e:
                index = next(iter(free(e.indices[0])), None)
                if index in env and index in self.ranges:
                    self._within(e, self.ranges[index], ranges.get(index), index)
                self._free_of(sp.S.Zero, value, {s: v for s, v in env.items() if s not in free(name)})
                return self._put(value, {s: v for s, v in env.items() if s in free(name)}, ranges)
        for lemma in self.lemmas:
            if lemma.name == e and lemma not in self._open:
                index = next((s for s in free(e.indices[0]) if s in env), None)
                inner = {s: v for s, v in env.items() if s != index}
                self._free_of(e, lemma.value, inner if index else env)
                if index is not None:
                    self._covered(lemma, index, ranges.get(index))
                return self._with(lemma, {index: env[index]} if index else {}, ranges)
        return new

    def _with(self, lemma: Lemma, env: dict, ranges: dict):
        """What a lemma says, in which it is not used once more."""
        self._open.append(lemma)
        try:
            return self._put(lemma.value, env, ranges)
        finally:
            self._open.remove(lemma)

    def _within(self, name, allowed: Range, asked: Range | None, index) -> None:
        if asked is None or not (
            at_least_zero(asked[0] - allowed[0]) and at_least_zero(allowed[1] - asked[1])
        ):
            raise UnsoundError(
                f"what is assumed of {text(name)} holds for {text(allowed[0])} ≤ {index} "
                f"≤ {text(allowed[1])}, "
                f"and the line sums over more: from {text(asked[0])} to {text(asked[1])}."
                if asked is not None
                else f"{index} is not the index of a sum."
            )

    def _covered(self, lemma: Lemma, index, asked: Range | None) -> None:
        """Whether a lemma about B[i] holds for all of a sum; its first terms by lemmas of their own."""
        if lemma.anywhere and index not in lemma.ranges:
            return
        if index not in lemma.ranges:
            raise UnsoundError(
                f"for which {index} does {text(lemma.name)} = {text(lemma.value)} hold? It is used in a sum "
                f"over {index}; say so in the lemma: Derivation(..., where={{{index}: (2, N)}})."
            )
        low, high = lemma.ranges[index]
        start = asked[0] if asked else low
        while asked and start.is_Integer and low.is_Integer and start < low:
            name = substitute(lemma.name, {index: start})
            other = next((k.value for k in self.lemmas if k.name == name), None)
            with sp.evaluate(True):
                same = other is not None and sp.expand(substitute(lemma.value, {index: start}) - other) == 0
            if not same:
                break
            start += 1
        self._within(lemma.name, (low, high), (start, asked[1]) if asked else None, index)

    def _renamed(self, density, env: dict):
        for v in (*density.variables, *density.given):
            if v in self.plain and v not in env:
                raise UnsoundError(
                    f"{text(v)} = {text(self.plain[v])} is assumed, and {v} stands in the density "
                    f"{text(density)}, where no formula can stand."
                )
        own = {s: env[s] for s in (density.parameter,) if s is not None and s in env}
        return substitute(
            density, own | {v: env[v] for v in (*density.variables, *density.given) if v in env}
        )

    def density(self, d, env: dict):
        """What is assumed of a density at this place; by the product rule from others, if need be."""
        for name, value in self.densities.items():
            if (slots := _matched(name, d)) is None:
                continue
            self._keeps_slopes(name, value)
            others = {s: v for s, v in env.items() if s not in slots}
            slots = {v: place for v, place in slots.items() if v != place}
            if isinstance(value, Normal) or free(value) - {v for f in value.atoms(Density) for v in free(f)}:
                self._free_of(name, value, others)
                return (
                    self._put(value, slots, {})
                    if not isinstance(value, Normal)
                    else self._normal(value, slots)
                )
            return self._put(value, {**others, **slots}, {})
        if any(n.family == d.family and isinstance(v, Normal) for n, v in self.densities.items()):
            return self._chained(d, env) or d
        return d

    def _normal(self, value, slots: dict):
        z, mean, variance = value.args
        return Normal(slots.get(z, z), self._put(mean, slots, {}), self._put(variance, slots, {}))

    def _chained(self, d, env: dict):
        """p(a, b | c) as p(a | b, c) p(b | c), both assumed to be Gaussians; None where they are not."""
        if len(d.variables) < 2:
            return None
        for v in d.variables:
            rest = [u for u in d.variables if u != v]
            first = Density(d.family, sp.Tuple(v), sp.Tuple(*rest, *d.given))
            found = self.density(first, env)
            others = self.density(Density(d.family, sp.Tuple(*rest), sp.Tuple(*d.given)), env)
            if not found.has(Density) and not others.has(Density):
                return found * others
        return None

    def _binder(self, e, env: dict, ranges: dict):
        variables, _, _ = parts(e)
        inner = {**env, **{v: fresh(v) for v in variables}}
        if isinstance(e, E):
            measure, f = e.args
            value = self._put(f, inner, ranges)
            if isinstance(measure, Normal):
                z, mean, variance = measure.args
                outside = (self._put(mean, env, ranges), self._put(variance, env, ranges))
                return E(Normal(inner[z], *outside), value)
            plain = self._renamed(measure, inner)
            return _averaged(plain, self.density(plain, inner), value)
        limits = []
        for variable, *ends in e.limits:
            ends = [self._put(end, env, ranges) for end in ends]
            limits.append(sp.Tuple(inner[variable], *ends))
            if ends and isinstance(e, sp.Sum | sp.Product):
                ranges = {**ranges, variable: tuple(ends)}
        return made(type(e), self._put(e.function, inner, ranges), *limits)


def _averaged(plain, known, value):
    """E over a density of which something is known: Gaussians one inside the other, or another density."""
    factors = sp.Mul.make_args(known)
    if all(isinstance(f, Normal) for f in factors):
        todo = list(factors)
        while todo:  # the innermost is the one whose variable no other holds
            inner = next((f for f in todo if not any(f.args[0] in free(g) for g in todo if g is not f)), None)
            if inner is None:
                return E(plain, value)
            value = E(inner, value)
            todo.remove(inner)
        return value
    if isinstance(known, Density) and set(known.variables) == set(plain.variables):
        return E(known, value)
    return E(plain, value)


def _fits(slot, argument) -> bool:
    """Whether an argument obeys what the letter of an assumed function is declared to be."""
    with sp.evaluate(True):
        known = argument.doit() if not argument.has(Density, E, KL) else argument
        if isinstance(slot, Unit):
            return isinstance(known, Unit) or (is_positive(known) and is_positive(1 - known))
        asked = {k for k, v in slot._assumptions_orig.items() if v is not None} - {"real", "commutative"}
        return all(
            getattr(known, f"is_{k}") is slot._assumptions_orig[k] or (k == "positive" and is_positive(known))
            for k in asked
        )


def _declared(slot) -> str:
    """In words, what a symbol was declared to be."""
    if isinstance(slot, Unit):
        return "between 0 and 1"
    said = [k for k, v in slot._assumptions_orig.items() if v and k not in ("commutative", "finite", "real")]
    return " and ".join("a whole number" if k == "integer" else k for k in said) or "real"


def _matched(name, d) -> dict | None:
    """The variables of an assumption's density at the place of d, if it is about d."""
    if name.family != d.family:
        return None
    left, right = ({v.role: v for v in side} for side in (d.variables, d.given))
    if {v.role for v in name.variables} != set(left) or {v.role for v in name.given} != set(right):
        return None
    places = {**left, **right}
    return {v: places[v.role] for v in (*name.variables, *name.given)}


def longer_first(name, value) -> tuple:
    """An assumption q(a | b, c) = q(a | b), turned round: then the joint densities show what follows."""
    both = isinstance(name, Density) and isinstance(value, Density) and name.family == value.family
    return (value, name) if both and set(value.given) < set(name.given) else (name, value)


def _of_densities(value) -> bool:
    """Whether value is a product or a quotient of densities."""
    if isinstance(value, sp.Mul):
        return all(_of_densities(a) or a == 1 for a in value.args)
    if isinstance(value, sp.Pow):
        return _of_densities(value.base) and value.exp in (1, -1)
    return isinstance(value, Density)


def subject(name):
    """What an assumption is about: f, whatever its arguments are called; a density, by its roles."""
    if isinstance(name, AppliedUndef):
        return name.func
    if isinstance(name, Density):
        return name.family, *(frozenset(v.role for v in side) for side in (name.variables, name.given))
    return name


def _indexed(lemma: Lemma) -> bool:
    return isinstance(lemma.name, sp.Indexed)


def read_where(where) -> tuple[dict, list]:
    """Ranges {i: (1, N)} and conditions [a > b], from a mapping or a list of conditions and (i, 1, N)."""
    ranges, conditions = {}, []
    for item in [*where.items()] if isinstance(where, Mapping) else list(where):
        if isinstance(item, sp.Eq):
            raise UnsoundError(
                f"where= is for > and <; an equation is assumed by given={{{item.lhs}: {item.rhs}}}."
            )
        if isinstance(item, sp.core.relational.Relational):
            conditions.append(item)
        elif isinstance(item, tuple | sp.Tuple) and len(item) in (2, 3):
            symbol, low, high = (item[0], *item[1]) if len(item) == 2 else item
            if not (isinstance(symbol, sp.Symbol) and symbol.is_integer):
                raise UnsoundError(
                    f"a range is of a whole number; for {symbol} write where=[{symbol} > ...]."
                )
            ranges[symbol] = (sp.sympify(low), sp.sympify(high))
        else:
            raise UnsoundError(
                f"where= takes conditions such as a > b, and ranges such as {{t: (2, T)}}; got {item}."
            )
    return ranges, conditions
