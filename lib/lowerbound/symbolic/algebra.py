"""Algebra on normal forms: are two of them equal, is one of them positive, or at least never negative."""

from collections import defaultdict

import sympy as sp
from sympy.calculus.util import continuous_domain

from .notation import KL, Density, E, Unit


def is_zero(expr) -> bool:
    """True if algebra shows that a normal form vanishes."""
    with sp.evaluate(True):
        units = _with_units(_rational), _with_units(_numerator)
        for form in (sp.expand, _rational, units[0], _numerator, units[1], sp.simplify):
            expr = form(expr)
            if expr == 0:
                return True
        return False


def equal(left, right) -> bool:
    """True if algebra shows that two normal forms are equal; products of exponentials by their logarithms."""
    if left.has(sp.exp) and not (left.is_Add or right.is_Add or left == 0 or right == 0):
        with sp.evaluate(True):
            logs = [expand_log(sp.log(side)) for side in (left, right)]
            return is_zero(logs[0] - logs[1])
    return is_zero(left - right)


def unit_to_positive(expr):
    """Each a in (0, 1) becomes 1/(1 + u)² with u > 0: then the sign of 1 − a is known, and √a is rational."""
    return expr.xreplace(
        {a: 1 / (1 + sp.Symbol(f"u({a.name})", positive=True)) ** 2 for a in expr.atoms(Unit)}
    )


def is_positive(expr) -> bool:
    """True if sympy can show expr > 0."""
    return bool(expr.is_positive) or bool(sp.factor(unit_to_positive(expr)).is_positive)


def never_negative(expr) -> str:
    """How it was shown that expr ≥ 0, in words; "" when it could not be shown."""
    if isinstance(expr, KL):
        return "a KL is never negative"
    with sp.evaluate(True):
        expr = sp.sympify(expr).doit()
        if expr.is_nonnegative or sp.factor(unit_to_positive(expr)).is_nonnegative:
            return "its sign is known"
        return _by_calculus(expr)


def _by_calculus(expr) -> str:
    """The least value of a function of one symbol, from its stationary points and its limits at both ends."""
    if len(expr.free_symbols) != 1:
        return ""
    (symbol,) = expr.free_symbols
    t = sp.Dummy("t", real=True)
    domain = sp.S.Reals
    if symbol.is_positive:
        domain = sp.Interval.open(0, 1 if isinstance(symbol, Unit) else sp.oo)
    f = sp.expand_log(expr, force=True).subs(symbol, t)
    if continuous_domain(f, t, domain) != domain:
        return ""
    stationary = sp.solveset(sp.diff(f, t), t, domain)
    if not isinstance(stationary, sp.FiniteSet | sp.sets.sets.EmptySet):
        return ""
    ends = [sp.limit(f, t, domain.start, "+"), sp.limit(f, t, domain.end, "-")]
    values = {point: sp.simplify(f.subs(t, point)) for point in stationary}
    if not all(v.is_extended_nonnegative for v in [*ends, *values.values()]):
        return ""
    least = ", ".join(f"{v} at {symbol} = {point}" for point, v in values.items())
    return f"least value {least}" if least else "the infimum is its limit at an end of the domain"


def _with_units(form):
    return lambda expr: form(_split_roots(unit_to_positive(expr)))


def _split_roots(expr):
    roots = [power for power in expr.atoms(sp.Pow) if power.base.is_Add and power.exp.is_Rational]
    return expr.xreplace({r: _positive_factors(r.base) ** r.exp for r in roots if not r.exp.is_Integer})


def collected(expr):
    """Sorted by all but the symbols in (0, 1), whose small coefficients are each brought to one fraction."""
    halves = [power for power in expr.atoms(sp.Pow) if power.exp.is_Rational and power.exp.q == 2]
    roots = {power.base: sp.Symbol(f"sqrt({power.base})", positive=True) for power in halves}
    expr = expr.xreplace(
        {power: roots[power.base] * power.base ** (power.exp - sp.S.Half) for power in halves}
    )
    symbols = [s for s in expr.free_symbols if not isinstance(s, Unit)]
    others = [*symbols, *expr.atoms(sp.log, Density, E)]
    coefficients = defaultdict(lambda: sp.Integer(0))
    for term in sp.Add.make_args(sp.expand(expr)):
        above, below = sp.fraction(term)
        coefficient, rest = (above / sp.factor(below)).as_independent(*others, as_Add=False)
        coefficients[rest] += coefficient
    total = sp.Add(*(rest * sp.cancel(coefficient) for rest, coefficient in coefficients.items()))
    return total.xreplace({root: sp.sqrt(base) for base, root in roots.items()})


def _rational(expr):
    return collected(_split_logs(expr))


def _split_logs(expr):
    return expr.xreplace({log: expand_log(log) for log in expr.atoms(sp.log)})


def _numerator(expr):
    return sp.expand(sp.fraction(sp.together(sp.expand(_split_logs(expr))))[0])


def expand_log(log):
    """The logarithm of a product as a sum, its arguments taken to be positive."""
    arg = _positive_factors(log.args[0]) if log.args[0].atoms(sp.Add) else log.args[0]
    return sp.expand_log(sp.log(arg), force=True)


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
