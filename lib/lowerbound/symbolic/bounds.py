"""Why an expression is never negative: by its sign, or by calculus on its domain, corners and ends too."""

from __future__ import annotations

import itertools
from functools import cache

import sympy as sp
from sympy.calculus.util import continuous_domain

from .algebra import evaluated, is_nonnegative, is_positive, is_zero, simplified, unit_to_positive
from .clock import OutOfTime, time_limit
from .normal_form import Int
from .notation import KL, Unit


def never_negative(expr) -> str:
    """How it was shown that expr ≥ 0, in words; "" when it could not be shown."""
    if isinstance(expr, KL):
        return "a KL is never negative"
    with sp.evaluate(True):
        expr = evaluated(sp.sympify(expr))
        if _sign_known(expr):
            return "its sign is known"
        if _sums_of_one_sign(expr):
            return "each term of the sum is never negative"
        if by_cases(expr):
            return "for each sign of what stands between bars"
        if shown := by_calculus(expr):
            return shown
        try:
            with time_limit(4.0):
                return by_convexity(expr)
        except OutOfTime:
            return ""


def by_convexity(expr) -> str:
    """A function of a few symbols, whose slope in one of them turns from − to + once: least where it is 0.

    So is every function that is convex in it. The slope is seen to be 0 there, so that a wrong solution
    does no harm; what is left must be ≥ 0 too.
    """
    symbols = sorted((s for s in expr.free_symbols if isinstance(s, sp.Symbol)), key=str)
    if not 2 <= len(symbols) <= 5 or expr.count_ops() > 80 or not _smooth(expr):
        return ""
    for s in symbols:
        if s.is_integer:
            continue
        slope = sp.diff(expr, s)
        convex = is_positive(sp.factor(sp.diff(slope, s)))
        for place in _zeros(slope, s):
            turns = convex or is_positive(sp.factor(sp.cancel(slope / (s - place))))
            if turns and _inside(s, place) and is_zero(slope.subs(s, place)):
                least = simplified(sp.expand_log(expr.subs(s, place)))
                if is_zero(least) or _sign_known(least) or never_negative(least):
                    return f"least in {s} at {s} = {place}, where alone its slope is 0"
    return ""


def _smooth(expr) -> bool:
    """Whether it is a formula of sums, products, powers, logarithms and exponentials without a pole."""
    kinds = sp.Add | sp.Mul | sp.Pow | sp.log | sp.exp | sp.Symbol | sp.Number | sp.NumberSymbol
    for node in sp.preorder_traversal(expr):
        if not isinstance(node, kinds):
            return False
        if isinstance(node, sp.Pow) and not (node.exp.is_integer and node.exp.is_nonnegative):
            inner = node.base
        elif isinstance(node, sp.log):
            inner = node.args[0]
        else:
            continue
        apart = isinstance(node, sp.Pow) and node.exp.is_integer and is_positive(-inner)
        if not (is_positive(inner) or apart):
            return False
    return True


def _zeros(slope, s) -> list:
    x = sp.Dummy(positive=True) if s.is_positive else sp.Dummy(real=True)
    logs = sp.logcombine(sp.expand_log(slope, force=True).subs(s, x), force=True)
    found: list = []
    factors = [f for f in sp.Mul.make_args(sp.factor(logs)) if f.has(x)]
    for f in [*factors, *(sp.expand(g.args[0] - 1) for g in factors if isinstance(g, sp.log))]:
        try:
            found += sp.solve(f, x)
        except (NotImplementedError, ValueError, TypeError):
            continue
    return found


def _inside(s, place) -> bool:
    """Whether a place is one where a symbol may be, by its assumptions."""
    if isinstance(s, Unit):
        return is_positive(place) and is_positive(1 - place)
    if s.is_positive:
        return is_positive(place)
    return bool(place.is_real) and domain(s) == sp.S.Reals


def _sign_known(expr) -> bool:
    if is_nonnegative(expr) or sp.factor(unit_to_positive(expr)).is_nonnegative:
        return True
    whole = sp.factor(expr)
    return bool(whole.is_nonnegative) or (expr.is_Add and all(map(_sign_known, expr.args)))


def _sums_of_one_sign(expr) -> bool:
    """Whether an expression is one sum or integral, however many it was written as, of what is ≥ 0."""
    whole, over = sp.Integer(0), None
    for term in sp.Add.make_args(expr):
        node = next((f for f in sp.Mul.make_args(term) if isinstance(f, sp.Sum | Int)), None)
        if node is None or over not in (None, node.args[1:]):
            return False
        over, before = node.args[1:], term / node
        if before.has(sp.Sum, Int) or any(before.has(s) for limit in over for s in limit.free_symbols):
            return False
        whole += before * node.args[0]
    return _sign_known(whole)


MODULI = 5  # absolute values whose signs are tried


def by_cases(expr) -> bool:
    """A sum that is linear in absolute values: −|u| is least at one of its signs, |u| is at least s·u."""
    expr = sp.expand(expr.rewrite(sp.Abs) if expr.has(sp.Max, sp.Min) else expr)
    moduli = sorted(expr.atoms(sp.Abs), key=str)
    if not 1 <= len(moduli) <= MODULI or any(m.args[0].has(sp.Abs) or not m.args[0].is_real for m in moduli):
        return False
    letters = {m: sp.Dummy(nonnegative=True) for m in moduli}
    flat = expr.xreplace(letters)
    if not flat.is_polynomial(*letters.values()) or sp.Poly(flat, *letters.values()).total_degree() > 1:
        return False
    factors = {m: flat.coeff(letter) for m, letter in letters.items()}
    if not all(is_nonnegative(c) or is_nonnegative(-c) for c in factors.values()):
        return False
    below = [m for m in moduli if not is_nonnegative(factors[m])]
    above = [m for m in moduli if m not in below]
    rest = flat.xreplace(dict.fromkeys(letters.values(), sp.Integer(0)))

    def shown(signs, others) -> bool:
        pairs = [*zip(below, signs, strict=True), *zip(above, others, strict=True)]
        return _sign_known(sp.expand(rest + sp.Add(*(factors[m] * sign * m.args[0] for m, sign in pairs))))

    return all(
        any(shown(signs, others) for others in itertools.product((1, -1, 0), repeat=len(above)))
        for signs in itertools.product((1, -1), repeat=len(below))
    )


def domain(symbol) -> sp.Interval:
    """The real numbers that a symbol's assumptions allow; those between whole ones too."""
    if isinstance(symbol, Unit):
        return sp.Interval.open(0, 1)
    if symbol.is_positive:
        return sp.Interval(1, sp.oo) if symbol.is_integer else sp.Interval.open(0, sp.oo)
    if symbol.is_negative:
        return sp.Interval(-sp.oo, -1) if symbol.is_integer else sp.Interval.open(-sp.oo, 0)
    if symbol.is_nonnegative:
        return sp.Interval(0, sp.oo)
    return sp.Interval(-sp.oo, 0) if symbol.is_nonpositive else sp.S.Reals


@cache
def by_calculus(expr) -> str:
    """The least value of a function of one symbol: stationary points, corners, both ends of the domain."""
    if len(expr.free_symbols) != 1:
        return ""
    (symbol,) = expr.free_symbols
    t = sp.Dummy("t", real=True)
    f = sp.expand_log(expr, force=bool(symbol.is_positive)).rewrite(sp.Abs).subs(symbol, t)
    try:
        pieces = _pieces(f, t, domain(symbol))
        if pieces is None:
            return ""
        values: dict = {}
        for piece, interval in pieces:
            found = _smooth_values(piece, t, interval)
            if found is None:
                return ""
            values |= found
    except (NotImplementedError, ValueError, TypeError):
        return ""
    if not all(v.is_extended_nonnegative for v in values.values()):
        return ""
    inner = {
        p: v
        for p, v in values.items()
        if v.is_finite and p.is_finite and domain(symbol).contains(p) is sp.true
    }
    least = ", ".join(f"{v} at {symbol} = {p}" for p, v in inner.items())
    return f"least value {least}" if least else "the infimum is its limit at an end of the domain"


def _pieces(f, t, interval) -> list | None:
    """F without absolute values on intervals on each of which no argument of one changes its sign."""
    corners: set = set()
    inside = [a.args[0] for a in f.atoms(sp.Abs)]
    for argument in inside:
        roots = sp.solveset(argument, t, interval)
        if not isinstance(roots, sp.FiniteSet | sp.sets.sets.EmptySet):
            return None
        corners |= set(roots)
    cuts = [interval.start, *sorted(corners - {interval.start, interval.end}, key=float), interval.end]
    pieces = []
    for low, high in itertools.pairwise(cuts):
        between = _between(low, high)
        signs = {a: a.args[0] * sp.sign(a.args[0].subs(t, between)) for a in f.atoms(sp.Abs)}
        closed = sp.Interval(low, high, low == interval.start and interval.left_open,
                             high == interval.end and interval.right_open)  # fmt: skip
        pieces.append((f.xreplace(signs), closed))
    return pieces


def _between(low, high):
    if low.is_infinite:
        return high - 1 if high.is_finite else sp.Integer(0)
    return low + 1 if high.is_infinite else (low + high) / 2


def _smooth_values(f, t, interval) -> dict | None:
    """The values of f where it may be least: stationary points, its limits at both ends; None if unknown."""
    if f.has(sp.Abs, sp.sign, sp.Max, sp.Min, sp.floor, sp.Piecewise):
        return None
    inner = sp.Interval.open(interval.start, interval.end)
    if continuous_domain(f, t, inner) != inner:
        return None
    slope = sp.diff(f, t)
    values = {}
    if slope != 0:
        stationary = sp.solveset(slope, t, inner)
        if not isinstance(stationary, sp.FiniteSet | sp.sets.sets.EmptySet):
            return None
        values = {point: sp.simplify(f.subs(t, point)) for point in stationary}
    values[interval.start] = sp.limit(f, t, interval.start, "+")
    values[interval.end] = sp.limit(f, t, interval.end, "-")
    return values
