"""Limits: from which side, by the symbol's domain; what sympy finds; and whether numbers on the way agree."""

from __future__ import annotations

import math

import sympy as sp

from .algebra import at_least_zero, evaluated, is_positive
from .bounds import domain
from .numeric_check import Model, NoModel, NoNumber, Undefined, obeys
from .scope import UnsoundError, bound, subscripted, symbols

NEAR, FAR = (0.3, 0.1, 0.03, 0.01, 0.003), (10.0, 100.0, 1000.0, 10000.0)
NEARER = (1e-4, 1e-6)  # not for a ratio, where large terms may cancel


def sides(symbol, target, conditions=()) -> list[str]:
    """From where a symbol can come to a target: "+" from above, "-" from below. Raises UnsoundError.

    conditions: inequalities that are assumed; those about the symbol alone narrow the side.
    """
    allowed = domain(symbol)
    for condition in conditions:
        if condition.free_symbols == {symbol} and not isinstance(condition, sp.Ne):
            with sp.evaluate(True):
                real = sp.Dummy(real=True)
                allowed = allowed.intersect(condition.subs(symbol, real).as_set())
    if not isinstance(allowed, sp.Interval):
        raise UnsoundError(
            f"the values that {symbol} may take are no interval: a limit in it is not treated."
        )
    low, high = allowed.start, allowed.end
    if symbol.is_integer and target not in (sp.oo, -sp.oo):
        raise UnsoundError(f"{symbol} is a whole number: it can tend to oo only, not to {target}.")
    if not target.is_number or target.is_extended_real is not True:
        raise UnsoundError(f"the target of a limit is a number or oo; got {target}.")
    if (target > high) == True or (target < low) == True:  # noqa: E712
        raise UnsoundError(
            f"{symbol} cannot tend to {target}: by its assumptions it lies in {_interval(allowed)}."
        )
    if target in (sp.oo, -sp.oo):
        return ["-"] if target == sp.oo else ["+"]
    return ["+"] if target == low else ["-"] if target == high else ["+", "-"]


def _interval(allowed) -> str:
    return f"({allowed.start}, {allowed.end})"


def limit(f, symbol, target, conditions=()):
    """The limit of f from every side that the domain allows; None where they differ or sympy finds none."""
    values = set()
    f = f.xreplace({node: evaluated(node) for node in f.atoms(sp.Sum) if not node.has(sp.Indexed)})
    for side in sides(symbol, target, conditions):
        try:
            value = _one_sided(f, symbol, target, side)
        except NotImplementedError:
            return None
        if value.has(sp.Limit, sp.AccumBounds, sp.nan, sp.zoo, sp.I):
            return None
        values.add(value)
    first = next(iter(values))
    return first if all(value == first or sp.simplify(value - first) == 0 for value in values) else None


def _one_sided(f, symbol, target, side: str):
    """At a finite target the distance from it tends to 0 from above: then its sign is known on the way."""
    if target in (sp.oo, -sp.oo):
        return sp.limit(f, symbol, target)
    distance = sp.Dummy(positive=True)
    near = sp.together(f.subs(symbol, target + distance if side == "+" else target - distance))
    return sp.limit(near, distance, 0, "+")


def check_symbol(symbol, target, lines, assumptions) -> None:
    """Raises UnsoundError where the limit in this symbol makes no sense."""
    if not isinstance(symbol, sp.Symbol):
        raise UnsoundError(f"a limit is taken in a symbol; got {symbol}.")
    for line in lines:
        if name := subscripted(line, symbol):
            raise UnsoundError(
                f"{name} is one number, and does not change with {symbol}: write a function of it."
            )
    if symbol in assumptions.plain:
        raise UnsoundError(f"{symbol} is fixed by an assumption; it cannot tend to {target}.")
    if any(symbol in bound(line) for line in lines):
        raise UnsoundError(f"{symbol} is bound in the line: averaged, summed or integrated over.")
    if any(symbol in d.free_symbols for line in lines for d in line.atoms(sp.Expr) if hasattr(d, "family")):
        raise UnsoundError(f"a limit in {symbol}, on which a density depends, is not treated.")


def confirmed(left, right, symbol, target, ratio: bool, assumptions) -> str:
    """What numbers on the way to the target say against the limit; the empty word where they agree.

    Without ratio: left tends to right. With: left/right tends to 1.
    """
    lines = [left, right]
    others = sorted((s for line in lines for s in symbols(line)), key=str)
    good = 0
    for seed in range(24):
        try:
            model = Model([*lines, symbol], assumptions, seed)
        except NoModel:
            continue
        for side in sides(symbol, target, assumptions.conditions):
            said = _approach(model, left, right, symbol, target, side, ratio)
            if said is None:
                continue
            good += 1
            if said:
                return said
        if good >= 6:
            break
    if not good:
        return "no numbers could be computed on the way there"
    if ratio:
        for s in dict.fromkeys(others):
            if s in assumptions.plain or s == symbol or s in bound(left) | bound(right) or not obeys(s, 0.0):
                continue
            said = _where_zero(left, right, symbol, target, s, assumptions)
            if said:
                return said
    return ""


def _where_zero(left, right, symbol, target, s, assumptions) -> str:
    try:
        model = Model([left, right, symbol], assumptions, 5)
        model.moved(s, type(model.numbers[s])(0.0) if not hasattr(model.numbers[s], "state") else 0.0)
        if not model._conditions():
            return ""
        side = sides(symbol, target, assumptions.conditions)[0]
        said = _approach(model, left, right, symbol, target, side, True)
    except (NoModel, NoNumber, Undefined, ArithmeticError, KeyError):
        return ""
    return (
        f"it fails where {s} = 0: {said}; say that {s} is not zero, as in Symbol('{s}', nonzero=True)"
        if said
        else ""
    )


def _approach(model, left, right, symbol, target, side: str, ratio: bool) -> str | None:
    """What is wrong on one way to the target; "" if nothing, None if it could not be computed."""
    errors, values = [], []
    want = None
    for step in FAR if target in (sp.oo, -sp.oo) else NEAR + (() if ratio else NEARER):
        at = _place(target, side, step)
        try:
            model.moved(symbol, at)
            inside = model.allowed(also=_rounded)
            if not inside:
                continue
            a = model.value(left)
            if ratio:
                b = model.value(right)
                if b == 0:
                    if abs(a) > 1e-9:
                        return f"at {symbol} = {at:g} the new line is 0, and the line before is {a:.4g}"
                    continue
                value, want = a / b, 1.0
            elif right in (sp.oo, -sp.oo):
                value, want = a, math.inf if right == sp.oo else -math.inf
            else:
                value, want = a, model.value(right)
        except (OverflowError, ZeroDivisionError):
            continue
        except (Undefined, NoNumber):
            return None if not values else f"at {symbol} = {at:g} it is no real number"
        values.append((at, value))
        errors.append(abs(value - want) if math.isfinite(want) else value)
    if len(values) < 2 or not inside:
        return None
    where, last = values[-1]
    of = "the ratio" if ratio else "the line before"
    if want is not None and math.isinf(want):
        grows = abs(errors[-1]) >= 1.8 * abs(errors[0]) and (errors[-1] > 0) == (want > 0)
        return (
            ""
            if grows or (abs(errors[-1]) > 1e6 and (errors[-1] > 0) == (want > 0))
            else (f"at {symbol} = {where:g} {of} is {last:.4g}")
        )
    close = errors[-1] <= 1e-7 * (1 + abs(want))
    nearer = errors[-1] <= 0.35 * max(max(errors), 1e-300) and errors[-1] <= errors[-2] * 1.01 + 1e-9
    return "" if close or nearer else f"at {symbol} = {where:g} {of} is {last:.4g}, not near {want:.4g}"


def _rounded(s, value: float) -> bool:
    """Whether a number has come so near to an end that it is rounded to it."""
    return value in (float(domain(s).start), float(domain(s).end))


def may_vanish(f, symbol, target, ratio: bool, conditions=()):
    """A coefficient of the rational function f without which its limit is another; None if each is known ≠ 0.

    In a·x/(a·x + 1) it is a, as x tends to oo. ratio: the terms above the bar must not vanish either.
    """
    x = sp.Dummy(positive=True)
    place = {sp.oo: x, -sp.oo: -x}.get(target, target + x)
    sides = sp.fraction(sp.together(f.subs(symbol, place)))
    for side in sides if ratio else sides[1:]:
        side = sp.expand(side)
        if not side.has(x):
            terms = [side]
        elif side.is_polynomial(x):
            polynomial = sp.Poly(side, x)
            terms = [
                polynomial.LC() if target.is_infinite else polynomial.coeff_monomial(x ** _lowest(polynomial))
            ]
        else:
            terms = _leading(side, x)
        for term in terms:
            if not _never_zero(term, conditions):
                return sp.factor(term)
    return None


def _leading(side, x) -> list:
    """The coefficient of the leading term of a function as x → 0, without which its limit is another."""
    try:
        term = sp.expand(side).as_leading_term(x)
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return []
    coefficient = sp.factor(term).as_independent(x, as_Add=False)[0]
    return [coefficient] if coefficient.free_symbols and not term.has(sp.oo, sp.nan, sp.zoo) else []


def _lowest(polynomial) -> int:
    return min(n for (n,), _ in polynomial.terms())


def _never_zero(term, conditions) -> bool:
    """Whether each factor of a term has a known sign, or is assumed not to be zero."""
    apart = [c.lhs - c.rhs for c in conditions if isinstance(c, sp.Ne)]
    for factor in sp.Mul.make_args(sp.factor(term)):
        base = factor.as_base_exp()[0]
        if base.is_nonzero or is_positive(base) or is_positive(-base):
            continue
        if all(s.is_integer for s in base.free_symbols) and (
            at_least_zero(base - 1) or at_least_zero(-base - 1)
        ):
            continue
        if not any(sp.expand(base / other).is_number for other in apart):
            return False
    return True


def _place(target, side: str, step: float) -> float:
    if target in (sp.oo, -sp.oo):
        return step if target == sp.oo else -step
    t = float(target)
    size = step * (abs(t) if t and abs(t) < 1 else 1.0)
    return t + size if side == "+" else t - size
