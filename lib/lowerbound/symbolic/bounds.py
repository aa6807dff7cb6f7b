"""Is an expression never negative? Signs, factors, and for one symbol calculus."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.calculus.util import continuous_domain

from .algebra import unit_to_positive
from .notation import KL, Unit


def never_negative(expr: Any) -> str:
    """How it was shown that expr ≥ 0, in words; "" when it could not be shown."""
    if isinstance(expr, KL):
        return "a KL is never negative"
    with sp.evaluate(True):
        expr = sp.sympify(expr).doit()
        if expr.is_nonnegative or sp.factor(unit_to_positive(expr)).is_nonnegative:
            return "its sign is known"
        return _by_calculus(expr)


def _by_calculus(expr: Any) -> str:
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
    where = ", ".join(f"{v} at {symbol} = {point}" for point, v in values.items())
    return f"least value {where}" if where else "the infimum is its limit at an end of the domain"
