"""One form for all ways of writing the same thing: what decides whether a step of a derivation holds.

Every density is a quotient of joint ones, and every expectation an integral over them; variables that stand
in one density alone are integrated out. So the product rule, the sum rule, the tower rule and importance
weights hold without rules of their own. Used besides: linearity of E, ∫ and Σ, the logarithm's laws where
signs are known, shifts of Σ's index, derivatives under the integral, Gaussian integrals, and algebra.
"""

from __future__ import annotations

import itertools
import re
from functools import cache

import sympy as sp
from sympy.core.function import AppliedUndef

from .algebra import at_least_zero, collected, is_nonzero, is_positive, split_log
from .notation import Density, E, Normal, RandomVariable
from .scope import fresh, over_values

BOUND = re.compile(r"#[\w.]+$")


class Int(sp.Expr):
    """∫ f over variables that it binds, in the normal form; a Gaussian mean where one of them is standard."""

    is_commutative = True
    is_real = True

    def __new__(cls, integrand, *variables):
        """Build the node as it is; `integrate` makes one in normal form."""
        return super().__new__(cls, integrand, *variables)

    @property
    def free_symbols(self) -> set:
        """The symbols it depends on."""
        return self.args[0].free_symbols - set(self.args[1:])

    def _eval_is_positive(self):
        return True if self.args[0].is_positive else None

    def _eval_is_nonnegative(self):
        return True if self.args[0].is_nonnegative else None

    def _eval_derivative(self, symbol):
        return integrate(self.args[1:], self.args[0].diff(symbol))

    def _sympystr(self, printer) -> str:
        names = ", ".join(BOUND.sub("", str(v)) for v in self.args[1:])
        return f"Integral({printer._print(self.args[0])}, {names})"


class NormalForm:
    """`NormalForm(assumptions)(line)`: what is assumed put in, E and KL taken apart, everything expanded."""

    def __init__(self, assumptions) -> None:
        self.assumptions = assumptions
        self.forms: dict = {}

    def __call__(self, line):
        """The normal form of a line."""
        if line not in self.forms:
            put = self.assumptions.put_in(line)
            with sp.evaluate(True):
                self.forms[line] = sp.expand(reduce(put))
        return self.forms[line]


def reduce(e):
    """The normal form of an expression without assumptions, whose bound symbols are all different."""
    if isinstance(e, sp.Float):
        return sp.Rational(str(e)) if e.is_finite else e
    if not e.args:
        return e
    if isinstance(e, Density):
        return _as_joint(e)
    if isinstance(e, Normal):
        return Normal(*map(reduce, e.args)).pdf()
    if isinstance(e, E):
        measure, f = e.args[0], reduce(e.args[1])
        if isinstance(measure, Normal):
            return gaussian_mean(f, *map(reduce, measure.args))
        return integrate(measure.variables, _as_joint(measure) * f)
    if (isinstance(e, sp.Sum) and over_values(e)) or (
        isinstance(e, sp.Integral) and (len(e.limits[0]) == 1 or _whole_space(e))
    ):
        return integrate(tuple(limit[0] for limit in e.limits), reduce(e.function))
    if isinstance(e, sp.Sum | sp.Product):
        index, low, high = (reduce(a) for a in e.limits[0])
        f = reduce(e.function)
        if isinstance(e, sp.Sum):
            return _linear(f, (index,), lambda term: _sum(term, index, low, high))
        if not f.has(index) and at_least_zero(high - low + 1):
            return f ** (high - low + 1)
        if is_positive(f):
            logs = _linear(sp.expand(split_log(f)), (index,), lambda term: _sum(term, index, low, high))
            return sp.exp(logs)
        return _atom(sp.Product, f, index, low, high)
    if isinstance(e, sp.Integral):
        variable, low, high = e.limits[0]
        f, low, high = reduce(e.function), reduce(low), reduce(high)
        if (low, high) == (-sp.oo, sp.oo):
            return integral(f, variable)
        return _linear(f, (variable,), lambda term: _definite(term, variable, low, high))
    if isinstance(e, sp.Derivative):
        value = reduce(e.expr)
        for variable, count in e.variable_count:
            for _ in range(int(count)):
                value = sp.expand(_slope(value, variable))
        return value
    if isinstance(e, sp.log):
        return _logarithm(e.args[0])
    return e.func(*map(reduce, e.args))


def _logarithm(arg):
    """The logarithm of a product: of its Gaussians by their formula, without exponentials on the way."""
    total, rest = sp.Integer(0), sp.Integer(1)
    for factor in sp.Mul.make_args(arg):
        base, exponent = factor.as_base_exp()
        if isinstance(base, Normal) and exponent.is_Integer:
            x, mean, variance = map(reduce, base.args)
            height = split_log(1 / sp.sqrt(2 * sp.pi * variance))
            total += exponent * (height - (x - mean) ** 2 / (2 * variance))
        else:
            rest *= factor
    return total if rest == 1 else total + split_log(reduce(rest))


def _whole_space(e) -> bool:
    """∫ over a random variable from −∞ to ∞, under which a density stands: over all its values."""
    return list(e.limits[0][1:]) == [-sp.oo, sp.oo] and over_values(e)


def _slope(f, variable):
    try:
        return _sorted_sums(sp.diff(f, variable))
    except RecursionError:
        return sp.Derivative(f, variable)


def _sorted_sums(expr):
    """What sympy made of sums, with the sums of it in normal form again."""
    if not expr.has(sp.Sum) or not isinstance(expr, sp.Expr):
        return expr
    if isinstance(expr, sp.Sum) and not over_values(expr):
        index, low, high = expr.limits[0]
        return _linear(_sorted_sums(expr.function), (index,), lambda term: _sum(term, index, low, high))
    return expr.func(*map(_sorted_sums, expr.args)) if expr.args else expr


def _linear(expr, bound: tuple, operator):
    """Apply a linear operator over the `bound` variables term by term, constants taken out."""
    total = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(expr)):
        constant, rest = term.as_independent(*bound, as_Add=False)
        total += constant * operator(rest)
    return total


# Densities and what is integrated over them


@cache
def _as_joint(density):
    """The product rule: p(a | b) = p(a, b) / p(b)."""
    joint = _joint(density.family, [*density.variables, *density.given])
    return joint / _joint(density.family, density.given) if density.given else joint


def _joint(family, variables):
    ordered = sorted(set(variables), key=lambda v: v.role)
    return Density(family, sp.Tuple(*ordered), sp.Tuple()) if ordered else sp.Integer(1)


def integrate(variables, f):
    """∫ f over variables: linear, what is a density of one variable alone integrated out, the rest named."""
    variables = tuple(v for v in variables if not isinstance(v, sp.Tuple))
    total = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(f)):
        total += _integrated(set(variables), term)
    return total


def _integrated(variables: set, term):
    factors: list = []
    for factor in sp.Mul.make_args(term):
        if isinstance(factor, Int) and variables & factor.free_symbols:  # one integral in the other
            new = {v: fresh(v) for v in factor.args[1:]}
            factors.extend(sp.Mul.make_args(factor.args[0].xreplace(new)))
            variables |= set(new.values())
        else:
            factors.append(factor)
    factors = list(sp.Mul.make_args(sp.Mul(*factors)))
    if any(f.is_Add for f in factors):
        return integrate(tuple(variables), sp.Mul(*factors))
    while (step := _integrated_out(variables, factors)) is not None:
        variables, factors = step
        if sp.S.Zero in factors:
            return sp.S.Zero
    constant = sp.Mul(*(f for f in factors if not variables & f.free_symbols))
    factors = [f for f in factors if variables & f.free_symbols]
    while variables:  # what is independent is integrated by itself
        group, touched = {next(iter(variables))}, []
        while (
            grown := {v for f in factors if group & f.free_symbols for v in f.free_symbols & variables}
        ) - group:
            group |= grown
        touched = [f for f in factors if group & f.free_symbols]
        factors = [f for f in factors if not group & f.free_symbols]
        constant *= _named(sp.Mul(*touched), group)
        variables = variables - group
    return constant


def _integrated_out(variables: set, factors: list):
    """One variable less, by the sum rule: it stands in one density only, or in the derivative of one."""
    for v in sorted(variables, key=str):
        holding = [f for f in factors if v in f.free_symbols]
        if len(holding) != 1:
            continue
        (factor,) = holding
        inside = factor.expr if isinstance(factor, sp.Derivative) else factor
        if not isinstance(inside, Density):
            continue
        rest = _joint(inside.family, set(inside.variables) - {v})
        if isinstance(factor, sp.Derivative):
            counts = [pair for pair in factor.variable_count]
            rest = sp.Derivative(rest, *counts) if rest != 1 and rest.parameter is not None else sp.S.Zero
        others = [f for f in factors if f is not factor]
        return variables - {v}, [*others, *sp.Mul.make_args(rest)]
    return None


def _level(expr) -> int:
    """How deep integrals and sums with names of their own are nested in expr."""
    below = max((_level(a) for a in expr.args), default=0)
    return below + isinstance(expr, Int | E | sp.Sum | sp.Product | sp.Integral)


def _named(f, variables: set):
    """The integral with the names that its place gives to its variables: equal integrals become the same."""
    level = _level(f)
    groups: dict = {}
    for v in sorted(variables, key=str):
        groups.setdefault(v.role if isinstance(v, RandomVariable) else "ε", []).append(v)
    orders = itertools.product(*(itertools.permutations(g) for g in groups.values()))
    forms = []
    for order in itertools.islice(orders, 24):
        new = {}
        for group in order:
            for k, v in enumerate(group):
                new[v] = _place(v, f"#{level}.{k}" if k else f"#{level}")
        forms.append((f.xreplace(new), sorted(new.values(), key=str)))
    integrand, names = min(forms, key=lambda form: str(form[0])) if len(forms) > 1 else forms[0]
    return Int(integrand, *names)


def _place(v, mark: str):
    if isinstance(v, RandomVariable):
        return RandomVariable(v.role + mark, like=v)
    return sp.Symbol("ε" + mark, real=True)


# Sums


def _atom(kind, f, index, low, high):
    name = sp.Symbol(f"i#{_level(f)}", integer=True)
    return (
        sp.Sum(f.xreplace({index: name}), (name, low, high))
        if kind is sp.Sum
        else sp.Product(f.xreplace({index: name}), (name, low, high))
    )


def _sum(f, index, low, high):
    """Σ f of one term; its index is shifted so that the highest one in f is the index itself.

    That is done where the sum is known not to end before low − 1: only there Σ from 3 on is Σ from 1 on less
    its first two terms. A sum that ends before it begins is 0.
    """
    if low.is_Integer and high.is_Integer:
        return (
            sp.Add(*(f.subs(index, k) for k in range(int(low), int(high) + 1)))
            if high - low < 60
            else _atom(sp.Sum, f, index, low, high)
        )
    if not at_least_zero(high - low + 1):
        return _atom(sp.Sum, f, index, low, high)
    if f == 1:
        return high - low + 1
    inside = {i for node in f.atoms(sp.Indexed) for i in node.indices if i.has(index)}
    if inside and not any((i + index).has(index) for i in inside):  # the last term first
        f = f.subs(index, low + high - index)
    offsets = {sp.expand(i - index) for node in f.atoms(sp.Indexed) for i in node.indices if i.has(index)}
    whole = bool(offsets) and all(k.is_Integer for k in offsets)
    shift = max(offsets) if whole else sp.Integer(0)
    f = f.subs(index, index - shift)
    first = [f.subs(index, k) for k in range(1, int(low))] if low.is_Integer else []
    bad = first and sp.Add(*first).has(sp.zoo, sp.nan)
    start = low if not first or bad else sp.Integer(1)  # Σ from 2 on is Σ from 1 on, less the first term
    total = _up_to(f, index, start, high) - (0 if start is low else sp.Add(*first))
    above = [f.subs(index, high + k) for k in range(1, int(shift) + 1)]
    below = [f.subs(index, high - k) for k in range(int(-shift))]
    before = [f.subs(index, low + k) for k in range(int(shift))]
    after = [f.subs(index, low - k) for k in range(1, int(-shift) + 1)]
    return total + sp.Add(*above, *after) - sp.Add(*below, *before)


def _up_to(f, index, low, high):
    """A sum to N + k as the sum to N and k terms: then it is the same however its end was written."""
    offset, end = high.as_coeff_Add()
    if not offset.is_Integer or abs(offset) > 8 or not at_least_zero(end - low + 1):
        return _closed(f, index, low, high)
    more = [f.subs(index, end + k) for k in range(1, int(offset) + 1)]
    less = [f.subs(index, end - k) for k in range(int(-offset))]
    return _closed(f, index, low, end) + sp.Add(*more) - sp.Add(*less)


def _closed(f, index, low, high):
    """The sum in closed form where f is a polynomial in its index; else named by its place."""
    if f.is_polynomial(index) and not f.has(sp.Indexed):
        total = sp.summation(f, (index, low, high))
        if not total.has(sp.Sum, sp.Piecewise):
            return total
    elif f.is_rational_function(index) and not f.has(sp.Indexed) and (fractions := sp.apart(f, index)).is_Add:
        total = sp.summation(f, (index, low, high)) if len(fractions.args) < 4 else f
        if total.is_rational_function():  # a telescope
            return total
    ratio = sp.powsimp(f.subs(index, index + 1) / f) if f.has(sp.Pow) and not f.has(sp.Indexed) else index
    if not ratio.has(index) and is_nonzero(1 - ratio):  # a geometric series
        return (f.subs(index, low) - f.subs(index, high + 1)) / (1 - ratio)
    return _atom(sp.Sum, f, index, low, high)


# Integrals on the line


def gaussian_mean(f, z, mean, variance):
    """E[f(z)] for z ~ N(mean, variance): by moments, by completing squares, else of a standard normal ε."""
    f = sp.expand(f)
    return _linear(f, (z,), lambda term: _gaussian_term(term, z, mean, variance))


def _gaussian_term(term, z, mean, variance):
    if term.is_polynomial(z):
        return _moments(term, z, mean, variance)
    closed = _squares(sp.powsimp(term * Normal(z, mean, variance).pdf(), combine="exp"), z)
    if closed is not None:
        return closed
    if not term.has(Density, Int, sp.Sum, sp.Derivative, AppliedUndef, sp.log, sp.Product, sp.Indexed):
        root = sp.sqrt(sp.factor(variance))
        eps = sp.Dummy(real=True)
        value = sp.integrate(
            sp.expand(term.subs(z, mean + root * eps)) * sp.exp(-(eps**2) / 2) / sp.sqrt(2 * sp.pi),
            (eps, -sp.oo, sp.oo),
        )
        if not value.has(sp.Integral, sp.Piecewise, sp.oo, sp.nan):
            return value
    eps = fresh(sp.Symbol("ε", real=True))
    if any(z in d.free_symbols for d in term.atoms(Density)):
        place = sp.Symbol(f"z#{_level(term)}", real=True)
        return (
            E(Normal(place, mean, variance), term.xreplace({z: place}))
            if not isinstance(z, RandomVariable)
            else _atom_mean(term, z, mean, variance)
        )
    standard = sp.powsimp(sp.expand(term.subs(z, mean + sp.sqrt(sp.factor(variance)) * eps)))
    return integrate((eps,), _STANDARD(eps) * standard)


def _atom_mean(term, z, mean, variance):
    place = _place(z, f"#{_level(term)}")
    return E(Normal(place, mean, variance), term.xreplace({z: place}))


_STANDARD = sp.Function("φ", positive=True)  # the density of N(0, 1), under an Int


def _moments(polynomial, z, mean, variance):
    values = {"m": mean, "v": variance}
    terms = sp.Poly(polynomial, z).terms()
    return sp.Add(*(k * moment(n).subs(values, simultaneous=True) for (n,), k in terms))


def integral(f, z):
    """∫ f dz over the real line: polynomials times Gaussians by completing the square, all else by sympy."""
    return _linear(f, (z,), lambda term: _integrate_term(sp.powsimp(term, combine="exp"), z))


def _integrate_term(term, z):
    closed = _squares(term, z)
    return _definite(term, z, -sp.oo, sp.oo) if closed is None else closed


def _definite(term, z, low, high):
    if not term.has(Density, Int, sp.Sum, AppliedUndef, sp.Indexed):
        value = sp.Integral(term, (z, low, high)).doit()
        if not value.has(sp.Integral, sp.Piecewise):
            return value
    place = sp.Symbol(f"z#{_level(term)}", real=True)
    return sp.Integral(term.xreplace({z: place}), (place, low, high))


def _squares(term, z):
    """∫ of a polynomial times exp of a quadratic −a z² + …, with a known to be positive; else None."""
    factors = sp.Mul.make_args(term)
    exponent = sp.Add(*(factor.exp for factor in factors if isinstance(factor, sp.exp)))
    rest = sp.Mul(*(factor for factor in factors if not isinstance(factor, sp.exp)))
    if not (exponent.is_polynomial(z) and rest.is_polynomial(z) and sp.degree(exponent, z) == 2):
        return None
    c, b, a = (sp.expand(exponent).coeff(z, k) for k in range(3))
    if not is_positive(-a):
        return None
    variance = sp.cancel(-1 / (2 * a))
    mean = sp.expand(b) * variance
    height = sp.exp(collected(c + sp.expand(b**2) * variance / 2))
    moments = _moments(rest, z, mean, variance)
    return sp.expand(moments) * height * sp.sqrt(2 * sp.pi * variance)


@cache
def moment(n: int):
    """E[zⁿ] of N(m, v): m E[zⁿ⁻¹] + (n − 1) v E[zⁿ⁻²], by parts."""
    m, v = sp.Symbol("m"), sp.Symbol("v")
    return sp.Integer(1) if n == 0 else sp.expand(m * moment(n - 1) + (n - 1) * v * moment(max(n - 2, 0)))


def readable(expr, lines: tuple):
    """A normal form with the conditional densities of the lines, and its integrals as expectations."""
    known = {}
    for line in lines:
        for d in line.atoms(Density):
            if d.given:
                joint, below = _joint(d.family, [*d.variables, *d.given]), _joint(d.family, d.given)
                known[sp.log(joint)] = sp.log(d) + sp.log(below)
    return sp.expand(_readable(expr, known))


def _readable(expr, known: dict):
    if isinstance(expr, Int):
        return _as_expectation(expr, known)
    if isinstance(expr, sp.log) and expr in known:
        return known[expr]
    if isinstance(expr, sp.Symbol | Density) or not expr.args:
        return expr
    return expr.func(*(_readable(a, known) for a in expr.args))


def _as_expectation(expr, known: dict):
    names = {v: (RandomVariable(v.role) if isinstance(v, RandomVariable) else sp.Symbol("ε", real=True))
             for v in expr.args[1:]}  # fmt: skip
    if len(set(names.values())) < len(names) or set(names.values()) & expr.free_symbols:
        names = {v: v for v in names}
    variables = set(names.values())
    body = expr.args[0].xreplace(names)
    standard = [f for f in sp.Mul.make_args(body) if isinstance(f, AppliedUndef) and f.func == _STANDARD]
    if standard:
        eps = standard[0].args[0]
        return E(Normal(eps, 0, 1), _readable(body / standard[0], known))
    for d in sorted((f for f in sp.Mul.make_args(body) if isinstance(f, Density)), key=str):
        if variables <= set(d.variables):
            given = sp.Tuple(*(v for v in d.variables if v not in variables))
            own = sp.Tuple(*(v for v in d.variables if v in variables))
            measure, rest = Density(d.family, own, given), sp.expand(_readable(body / d, known))
            terms = [t.as_independent(*variables, as_Add=False) for t in sp.Add.make_args(rest)]
            mean = sp.Add(*(k * (E(measure, f) if f != 1 else 1) for k, f in terms))
            return mean * _joint(d.family, given)
    return sp.Integral(_readable(body, known), *names.values())
