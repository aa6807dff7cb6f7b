"""Algebra on normal forms: are two of them equal, is one of them positive, and what a logarithm splits into.

A step of it is taken only where the signs that it needs are known, from the symbols or from
stated conditions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import cache

import sympy as sp
from sympy.polys.fields import sfield

from .notation import Density, E, Unit

_POSITIVE: list = []  # expressions that the derivation at hand states to be positive
_NONNEGATIVE: list = []  # expressions that it states not to be negative
_NONZERO: list = []  # expressions that it states not to be zero
_RANGES: dict = {}  # the ranges that it states for whole numbers


@contextmanager
def assuming(conditions: Iterable = (), ranges: Mapping = {}):
    """Within it, the conditions of a derivation and the ranges of its whole numbers count as known."""
    lists = _POSITIVE, _NONNEGATIVE, _NONZERO
    before = [list(each) for each in lists], dict(_RANGES)
    _RANGES.update(ranges)
    with sp.evaluate(True):
        _NONNEGATIVE.extend(_canonical(c.gts - c.lts) for c in conditions if isinstance(c, sp.Ge | sp.Le))
        _NONZERO.extend(_canonical(c.lhs - c.rhs) for c in conditions if isinstance(c, sp.Ne))
        _POSITIVE.extend(_canonical(c.gts - c.lts) for c in conditions if isinstance(c, sp.Gt | sp.Lt))
    try:
        yield
    finally:
        for each, kept in zip(lists, before[0], strict=True):
            each[:] = kept
        _RANGES.clear()
        _RANGES.update(before[1])


def _canonical(expr):
    return sp.expand(expr.doit() if isinstance(expr, sp.Basic) else expr)


def at_least_zero(expr) -> bool:
    """Whether an expression of whole numbers is known to be ≥ 0, their ranges taken into account."""
    with sp.evaluate(True):
        expr = sp.expand(expr)
        for _ in range(4):
            ranged = [s for s in expr.free_symbols if s in _RANGES and _RANGES[s][0].is_finite]
            if not ranged:
                break
            expr = sp.expand(expr.xreplace({s: _from_an_end(s, expr) for s in ranged}))
        ones = {s: 1 + sp.Dummy(integer=True, nonnegative=True) for s in expr.free_symbols
                if s.is_integer and s.is_positive}  # fmt: skip
        return bool(expr.is_nonnegative or sp.expand(expr.xreplace(ones)).is_nonnegative)


def _from_an_end(s, expr):
    """A whole number as the end of its range at which expr may be least, and what lies between."""
    (low, high), between = _RANGES[s], sp.Dummy(integer=True, nonnegative=True)
    falls = high.is_finite and expr.is_polynomial(s) and sp.diff(expr, s).is_negative
    return high - between if falls else low + between


def is_zero(expr) -> bool:
    """True if algebra shows that a normal form vanishes."""
    with sp.evaluate(True):
        expr = sp.expand(expr)
        if expr == 0 or (expr.count_ops() < 1000 and _vanishes(expr)):
            return True
        if expr.has(sp.Max, sp.Min):  # max(a, b) is (a + b + |a − b|)/2
            expr = sp.expand(expr.rewrite(sp.Abs))
        units = _with_units(_rational), _with_units(_numerator)
        for form in (_rational, units[0], _numerator, units[1]):
            expr = form(expr)
            if expr == 0:
                return True
        return bool(expr.count_ops() < 300 and simplified(expr) == 0)


def _vanishes(expr) -> bool:
    """Whether a rational function of symbols, their roots, logarithms and the like is always 0."""
    expr = _split_logs(expr)
    roots = {p.base for p in expr.atoms(sp.Pow) if p.base.is_Symbol and p.exp.is_Rational and p.exp.q == 2}
    try:
        return bool(sfield(expr.xreplace({base: sp.Dummy(positive=True) ** 2 for base in roots}))[1] == 0)
    except (NotImplementedError, ValueError, sp.PolynomialError, TypeError):
        return False


def any_zero(exprs: Iterable) -> bool:
    """Whether one of some normal forms vanishes: the quick look at all of them comes first."""
    seen = []
    for expr in exprs:
        seen.append(expr)
        if sp.expand(expr) == 0:
            return True
    return any(map(is_zero, seen))


def evaluated(expr):
    """What sympy's doit makes of an expression, but for sums and products that may end before they begin.

    To sympy those are not empty: Σ from 5 to 3 is −Σ from 4 to 4 (Karr's convention). Here they are 0 and 1.
    """
    letters: dict = {}
    return _without_empty(expr, letters).doit().xreplace(letters)


def _without_empty(expr, letters: dict):
    """A letter for each sum that may be empty, and for each that holds one: its letter knows no index."""
    if isinstance(expr, sp.Sum | sp.Product) and any(map(_may_be_empty, expr.atoms(sp.Sum, sp.Product))):
        letter = _letter(expr)
        letters[letter] = expr
        return letter
    if not expr.args or not expr.has(sp.Sum, sp.Product):
        return expr
    return expr.func(*(_without_empty(part, letters) for part in expr.args))


def _may_be_empty(node) -> bool:
    if len(node.limits[0]) < 3:
        return True
    _, low, high = node.limits[0]
    return not high.is_finite or not at_least_zero(high - low + 1)


def simplified(expr):
    """What sympy's simplify makes of an expression whose sums, integrals and densities are letters to it.

    It has its own rules for sums, for empty ones too, and stumbles over some.
    """
    letters: dict = {}
    masked = _masked(expr, letters)
    return sp.simplify(masked).xreplace(letters)


def _masked(expr, letters: dict):
    whole = isinstance(expr, sp.Sum | sp.Product | sp.Integral | sp.Derivative | E | Density)
    if whole or type(expr).__name__ == "Int":
        letter = _letter(expr)
        letters[letter] = expr
        return letter
    if not isinstance(expr, sp.Expr) or not expr.args or isinstance(expr, sp.Indexed):
        return expr
    return expr.func(*(_masked(part, letters) for part in expr.args))


@cache
def _letter(expr):
    return sp.Dummy(positive=True) if expr.is_positive else sp.Dummy(real=True)


def equal(left, right) -> bool:
    """True if algebra shows that two normal forms are equal; products of exponentials by their logarithms."""
    if left == right:
        return True
    if left.has(sp.exp) and not (left.is_Add or right.is_Add or left == 0 or right == 0):
        with sp.evaluate(True):
            logs = [split_log(side) for side in (left, right)]
            return is_zero(logs[0] - logs[1])
    return is_zero(left - right)


@cache
def _above_unit(unit):
    return sp.Dummy(f"u({unit.name})", positive=True)


def unit_to_positive(expr):
    """Each a in (0, 1) becomes 1/(1 + u)² with u > 0: then the sign of 1 − a is known, and √a is rational."""
    return expr.xreplace({a: 1 / (1 + _above_unit(a)) ** 2 for a in expr.atoms(Unit)})


@cache
def _positive_by_itself(expr) -> bool:
    return bool(expr.is_positive or sp.factor(unit_to_positive(expr)).is_positive)


def is_positive(expr) -> bool:
    """True if sympy can show expr > 0, or a condition of the derivation says so."""
    if _positive_by_itself(expr):
        return True
    return any((expr / known).is_positive for known in _POSITIVE) or (
        bool(_POSITIVE) and any((sp.expand(expr - known)).is_nonnegative for known in _POSITIVE)
    )


def is_nonnegative(expr) -> bool:
    """True if sympy can show expr ≥ 0, or a condition of the derivation says so."""
    if expr.is_nonnegative or is_positive(expr):
        return True
    if expr.is_Mul:
        return all(map(is_nonnegative, expr.args))
    return any((sp.expand(expr - known)).is_nonnegative for known in _NONNEGATIVE)


def is_nonzero(expr) -> bool:
    """True if sympy can show expr ≠ 0, or a condition of the derivation says so."""
    if expr.is_nonzero or is_positive(expr) or is_positive(-expr):
        return True
    return any((expr / known).is_number for known in _NONZERO)


def _with_units(form):
    """The form of an expression with Units and roots rewritten; where there are none it has been tried."""

    def rewritten(expr):
        new = _split_roots(unit_to_positive(expr))
        return expr if new == expr else form(new)

    return rewritten


def _split_roots(expr):
    roots = [power for power in expr.atoms(sp.Pow) if power.base.is_Add and power.exp.is_Rational]
    return expr.xreplace({r: _positive_factors(r.base) ** r.exp for r in roots if not r.exp.is_Integer})


def collected(expr):
    """Sorted by all but the symbols in (0, 1), whose small coefficients are each brought to one fraction."""
    halves = [power for power in expr.atoms(sp.Pow) if power.exp.is_Rational and power.exp.q == 2]
    roots = {power.base: sp.Dummy(f"sqrt({power.base})", nonnegative=True) for power in halves}
    expr = expr.xreplace(
        {power: roots[power.base] * power.base ** (power.exp - sp.S.Half) for power in halves}
    )
    letters: dict = {}
    below = [p for p in expr.atoms(sp.Pow) if p.base.is_Add and p.exp.is_Integer and p.exp.is_negative]
    expr = expr.xreplace({power: _in_letters(sp.factor(power), letters) for power in below})
    known = {letter: factor for factor, letter in letters.items()}
    symbols = [s for s in expr.free_symbols - known.keys() if not isinstance(s, Unit)]
    others = [*symbols, *expr.atoms(sp.log, Density, E)]
    others += [letter for letter, factor in known.items() if factor.has(*others)]
    coefficients = defaultdict(lambda: sp.Integer(0))
    for term in sp.Add.make_args(sp.expand(expr)):
        coefficient, rest = term.as_independent(*others, as_Add=False)
        coefficients[rest] += coefficient
    total = sp.Add(*(rest * sp.cancel(c.xreplace(known)) for rest, c in coefficients.items()))
    return total.xreplace(known).xreplace({root: sp.sqrt(base) for base, root in roots.items()})


def _in_letters(product, letters: dict):
    """A factored product with a letter for each sum in it, one for a − b and b − a: nothing expands it."""
    whole = sp.Integer(1)
    for factor in sp.Mul.make_args(product):
        base, exponent = factor.as_base_exp()
        if base.is_Add:
            turned = base.could_extract_minus_sign()
            letter = letters.setdefault(-base if turned else base, sp.Dummy())
            factor = (-letter if turned else letter) ** exponent
        whole *= factor
    return whole


def _rational(expr):
    return collected(_split_logs(expr))


def _split_logs(expr):
    return expr.xreplace({log: split_log(log.args[0]) for log in expr.atoms(sp.log)})


def _numerator(expr):
    return sp.expand(sp.fraction(sp.together(sp.expand(_split_logs(expr))))[0])


def split_log(arg):
    """The logarithm of a product as a sum, as far as the signs of its factors are known."""
    return _split(arg, tuple(_POSITIVE))


@cache
def _split(arg, known: tuple):
    sums = (f for f in sp.Mul.make_args(arg) if not isinstance(f, sp.exp) and f.has(sp.Add))
    whole = arg.xreplace({f: _positive_factors(f) for f in sums})
    total, rest = sp.Integer(0), sp.Integer(1)
    for factor in sp.Mul.make_args(whole):
        base, exponent = factor.as_base_exp()
        if factor.is_Rational and factor.is_positive:
            total += sp.expand_log(sp.log(factor), force=True)
        elif isinstance(factor, sp.exp) and exponent.is_real is not False:
            total += factor.exp
        elif is_positive(base):
            total += exponent * (sp.log(base) if not isinstance(base, sp.exp) else base.exp)
        elif exponent.is_Integer and exponent.is_even:
            total += exponent * sp.log(sp.Abs(base))
        else:
            rest *= factor
    return total if rest == 1 else total + sp.log(rest)


def _positive_factors(expr):
    """Factored, each factor turned positive: (a − 1)(b − 1) is (1 − a)(1 − b) for a, b in (0, 1)."""
    sign, turned = sp.Integer(1), []
    for factor in sp.Mul.make_args(sp.factor(expr)):
        base, exponent = factor.as_base_exp()
        if exponent.is_Rational and not exponent.is_Integer:
            factor = _positive_factors(base) ** exponent
        turn = base.is_Add and exponent.is_Integer and is_positive(-base)
        sign *= (-1) ** exponent if turn else factor if factor.is_Integer else 1
        turned.append((-base) ** exponent if turn else 1 if factor.is_Integer else factor)
    return sign * sp.Mul(*turned)
