"""A second opinion by numbers: the value of an expression in a random model.

Each variable of a `Density` takes two states, each family gets a random positive table, each symbol a number.
"""

import cmath
import itertools
import math
import random
from collections.abc import Iterable, Mapping
from functools import cache

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.integrals.quadrature import gauss_hermite

from .normal_form import Facts, measure_of
from .notation import KL, Density, E, Normal, RandomVariable, Unit

State = Mapping[RandomVariable, int]  # which of its two values each random variable takes


class Model:
    """Random numbers for all symbols and families in `lines`: `Model(lines, facts, seed).value(lines[0])`."""

    def __init__(self, lines: Iterable, facts: Facts, seed: int) -> None:
        rng = random.Random(seed)
        self.facts = facts
        trees = [*lines, *facts.keys(), *facts.values()]
        densities = set().union(*(tree.atoms(Density) for tree in trees))
        self.tables = {}  # of each family: its variables, and the probability of each of their joint states
        for family in sorted({d.family for d in densities}, key=str):
            members = [d for d in densities if d.family == family]
            variables = sorted({v for d in members for v in (*d.variables, *d.given)}, key=str)
            weights = [rng.uniform(0.1, 1.0) for _ in range(2 ** len(variables))]
            states = itertools.product((0, 1), repeat=len(variables))
            probabilities = (w / sum(weights) for w in weights)
            self.tables[family] = variables, dict(zip(states, probabilities, strict=True))
        symbols = set().union(*(tree.atoms(sp.Symbol) for tree in trees)) - set(facts)
        ordered = sorted(symbols, key=str)
        self.numbers = {s: _draw(s, rng) for s in ordered if not isinstance(s, RandomVariable)}
        self.supports = {v: (_draw(v, rng), _draw(v, rng)) for v in ordered if v.func is RandomVariable}
        self.state = {v: rng.randrange(2) for v in self.supports}
        self.indexed = {}
        self.rng = rng

    def value(self, expr) -> complex:
        """The number that expr stands for, in one state of the variables that are not averaged over."""
        with sp.evaluate(True):
            return complex(self._value(expr, self.state))

    def keeps_signs(self) -> bool:
        """Whether every symbol that the facts define has the sign that it is assumed to have."""
        signed = [s for s in self.facts if isinstance(s, sp.Symbol) and s.is_nonnegative]
        return all(self.value(s).real >= 0 for s in signed)

    def points(self) -> dict:
        """The value of each variable in the state at which `value` reads."""
        return {v: self.supports[v][k] for v, k in self.state.items()}

    def _value(self, expr, state: State):
        """In Python's own numbers, which are as exact as sympy's floats, and a tenth of the wait."""
        if expr in self.facts:
            return self._value(self.facts[expr], state)
        if expr in self.numbers:
            return self.numbers[expr]
        if isinstance(expr, RandomVariable):
            return self.supports[expr][state[expr]]
        if isinstance(expr, Density):
            joint, given = (*expr.variables, *expr.given), expr.given
            return self._marginal(expr.family, joint, state) / self._marginal(expr.family, given, state)
        if isinstance(expr, KL | Normal):
            return self._value(_by_definition(expr), state)
        if isinstance(expr, E):
            return self._expectation(measure_of(expr, self.facts), expr, state)
        if isinstance(expr, sp.Integral) and len(expr.limits[0]) == 1:
            variables = [limit[0] for limit in expr.limits]
            cells = itertools.product((0, 1), repeat=len(variables))
            states = ({**state, **dict(zip(variables, cell, strict=True))} for cell in cells)
            return sum(self._value(expr.function, inner) for inner in states)
        if isinstance(expr, sp.Integral):
            z, low, high = expr.limits[0]
            return self._integral(expr.function, z, (low, 0, high) if low == -sp.oo else (low, high), state)
        if isinstance(expr, sp.Sum):
            index, low, high = (self._value(a, state) if i else a for i, a in enumerate(expr.limits[0]))
            terms = range(int(low), int(high) + 1)
            return sum(self._with(index, k, expr.function, state) for k in terms)
        if isinstance(expr, sp.Derivative):
            return self._slope(expr.expr, expr.variables[0], state)
        if isinstance(expr, sp.Indexed | AppliedUndef):
            name, *args = expr.args if isinstance(expr, sp.Indexed) else (expr.func, *expr.args)
            entry = name, *(complex(self._value(arg, state)) for arg in args)
            return self.indexed.setdefault(entry, self.rng.uniform(0.3, 1.5))
        return _applied(expr, [self._value(a, state) for a in expr.args])

    def _marginal(self, family, names: tuple[RandomVariable, ...], state: State) -> float:
        variables, table = self.tables[family]
        fixed = {variables.index(v): state[v] for v in names}
        return sum(w for cell, w in table.items() if all(cell[i] == k for i, k in fixed.items()))

    def _expectation(self, measure, expr, state: State):
        total = 0
        if isinstance(measure, Normal):
            z, mean, variance = measure.args
            centre, spread = self._value(mean, state), (2 * self._value(variance, state)) ** 0.5
            for node, weight in zip(*_gauss_hermite(), strict=True):
                total += weight * self._with(z, centre + spread * node, expr.args[1], state)
            return total / math.sqrt(math.pi)
        for cell in itertools.product((0, 1), repeat=len(measure.variables)):
            inner = {**state, **dict(zip(measure.variables, cell, strict=True))}
            total += self._value(expr.args[0], inner) * self._value(expr.args[1], inner)
        return total

    def _with(self, symbol, number, expr, state: State):
        """The value of expr with another number for one symbol."""
        before = self.numbers.get(symbol)
        self.numbers[symbol] = number
        value = self._value(expr, state)
        del self.numbers[symbol]
        if before is not None:
            self.numbers[symbol] = before
        return value

    def _integral(self, f, z, ends: tuple, state: State):
        known = {**{v: self.supports[v][k] for v, k in state.items()}, **self.numbers}
        known = {symbol: sp.sympify(number) for symbol, number in known.items() if symbol != z}
        closed = _written_out(f, self.facts).xreplace(known)
        if not closed.free_symbols <= {z}:
            raise ValueError(f"cannot integrate {f} over {z}: {closed.free_symbols - {z}} have no numbers")
        points = [mpmath.inf * sp.sign(e) if e.is_infinite else float(e) for e in map(sp.sympify, ends)]
        return _real_if_it_is(mpmath.quad(sp.lambdify(z, closed, "mpmath"), points))

    def _slope(self, f, symbol, state: State):
        centre, h = self.numbers[symbol], 1e-4
        above, below = (self._with(symbol, centre + shift, f, state) for shift in (h, -h))
        return (above - below) / (2 * h)


def _applied(expr, values: list):
    """The function at the head of expr, of these numbers."""
    if expr.is_Integer:
        return int(expr)
    if expr.is_Add:
        return sum(values)
    if expr.is_Mul:
        return math.prod(values)
    try:
        if expr.is_Pow:
            return values[0] ** values[1]
        if isinstance(expr, sp.exp | sp.log):
            of_complex = isinstance(values[0], complex) or (isinstance(expr, sp.log) and values[0] < 0)
            return getattr(cmath if of_complex else math, type(expr).__name__)(values[0])
    except (ArithmeticError, ValueError):
        pass  # beyond a float, or at a pole: sympy knows what to say
    return _real_if_it_is(sp.N(expr.func(*map(sp.sympify, values)) if values else expr))


def _real_if_it_is(number):
    number = complex(number)
    return number if number.imag else number.real


@cache
def _by_definition(expr):
    return expr.unfold() if isinstance(expr, KL) else expr.pdf()


@cache
def _gauss_hermite() -> list[list[float]]:
    return [[float(number) for number in numbers] for numbers in gauss_hermite(8, 15)]


def _written_out(expr, facts: Facts):
    """Facts put in, Gaussians as formulas, derivatives taken."""
    if expr in facts:
        return _written_out(facts[expr], facts)
    if isinstance(expr, Normal):
        return _written_out(expr.pdf(), facts)
    if isinstance(expr, sp.Derivative):
        return expr.func(_written_out(expr.expr, facts), *expr.variable_count).doit()
    return expr.func(*(_written_out(a, facts) for a in expr.args)) if expr.args else expr


def _draw(symbol, rng: random.Random) -> float:
    if symbol.is_integer:
        return rng.randrange(2, 5)
    if isinstance(symbol, Unit):
        return rng.uniform(0.15, 0.85)
    return rng.uniform(0.3, 2.0) if symbol.is_positive else rng.uniform(-1.5, 1.5)
