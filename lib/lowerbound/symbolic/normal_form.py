"""One form for all ways of writing the same thing: what decides whether a step of a derivation holds.

Used are: the product rule, the sum rule, linearity of E, ∫ and Σ, the logarithm's laws (its
arguments are taken to be positive), E_a[E_b[f]] = E_ab[f], a shift of Σ's index, Gaussian integrals done
by sympy, and algebra.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

import sympy as sp

from .algebra import collected, expand_log, is_positive
from .notation import KL, Density, E, Normal

Facts = Mapping[sp.Basic, sp.Basic]
_FORMS = {}  # those worked out so far: each line of a derivation is compared with two others


class NormalForm:
    """`NormalForm(facts, lines)(expr)`: the facts put in, E and KL taken apart, everything expanded.

    facts: equations that hold by assumption, as {left: right}. lines: the expressions that will be compared.
    """

    def __init__(self, facts: Facts, lines: Iterable) -> None:
        self.facts = facts
        densities = set().union(*(tree.atoms(Density) for tree in [*lines, *facts.values()]))
        counts = Counter(d.family for d in densities)
        self.joint = {family for family, n in counts.items() if n > 1}

    def __call__(self, expr):
        """The normal form of expr."""
        line = frozenset(self.facts.items()), frozenset(self.joint), sp.sympify(expr)
        if line not in _FORMS:
            with sp.evaluate(True):
                _FORMS[line] = sp.expand(self._reduce(line[-1]))
        return _FORMS[line]

    def _reduce(self, expr):
        if expr in self.facts:
            return self._reduce(self.facts[expr])
        if isinstance(expr, KL):
            return self._reduce(expr.unfold())
        if isinstance(expr, Density):
            return _as_joint(expr) if expr.family in self.joint else expr
        if isinstance(expr, Normal):
            return Normal(*map(self._reduce, expr.args)).pdf()
        if isinstance(expr, E):
            measure, integrand = measure_of(expr, self.facts), self._reduce(expr.args[1])
            if isinstance(measure, Normal):
                return _gaussian_mean(integrand, *map(self._reduce, measure.args))
            return _linear(integrand, measure.variables, lambda f: _expectation(measure, f))
        if isinstance(expr, sp.Sum) and len(expr.limits) == 1:
            index, low, high = (self._reduce(a) for a in expr.limits[0])
            return _linear(self._reduce(expr.function), (index,), lambda f: _sum(f, index, low, high))
        if isinstance(expr, sp.Integral) and len(expr.limits[0]) == 1:
            variables = tuple(limit[0] for limit in expr.limits)
            return _linear(self._reduce(expr.function), variables, lambda f: _marginal(variables, f))
        if isinstance(expr, sp.Integral):
            if [tuple(limit)[1:] for limit in expr.limits] == [(-sp.oo, sp.oo)]:
                return integral(self._reduce(expr.function), expr.limits[0][0])
            return expr.func(self._reduce(expr.function), *expr.limits).doit()
        if isinstance(expr, sp.Derivative):
            return expr.func(self._reduce(expr.expr), *expr.variable_count).doit()
        if not expr.args:
            return expr
        rebuilt = expr.func(*map(self._reduce, expr.args))
        return expand_log(rebuilt) if isinstance(rebuilt, sp.log) else rebuilt


def measure_of(expectation, facts: Facts):
    """The measure of an E; a named density becomes the Gaussian that the facts say it is."""
    measure = facts.get(expectation.args[0])
    return measure if isinstance(measure, Normal) else expectation.args[0]


def _linear(expr, bound: tuple, operator):
    """Apply a linear operator over the `bound` variables term by term, constants taken out."""
    total = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(expr)):
        constant, rest = term.as_independent(*bound, as_Add=False)
        total += constant * operator(rest)
    return total


def _as_joint(density):
    """The product rule: p(a | b) = p(a, b) / p(b)."""
    joint = _joint(density.family, [*density.variables, *density.given])
    return joint / _joint(density.family, density.given) if density.given else joint


def _joint(family, variables: Iterable):
    ordered = sorted(set(variables), key=lambda v: v.name)
    return Density(family, sp.Tuple(*ordered), sp.Tuple()) if ordered else sp.Integer(1)


def _expectation(measure, f):
    """E_measure[f] of one term: over the variables in f alone, nested expectations merged."""
    if f == 1:
        return f
    summed = _sum_rule(measure.variables, measure * f)
    if summed is not None:
        return summed
    variables = [v for v in measure.variables if v in f.free_symbols]
    if isinstance(f, E) and isinstance(f.args[0], Density):
        inner, integrand = f.args
        if inner.family == measure.family and set(inner.given) == {*variables, *measure.given}:
            both = sp.Tuple(*variables, *inner.variables)
            return _expectation(Density(measure.family, both, sp.Tuple(*measure.given)), integrand)
    by_name = sorted(variables, key=lambda v: v.name), sorted(measure.given, key=lambda v: v.name)
    return E(Density(measure.family, *(sp.Tuple(*names) for names in by_name)), f)


def _sum(f, index, low, high):
    """Σ f of one term; its index is shifted so that the highest one in f is the index itself."""
    if f == 1:
        return high - low + 1
    offsets = {sp.simplify(i - index) for node in f.atoms(sp.Indexed) for i in node.indices if i.has(index)}
    shift = max(offsets) if offsets and all(k.is_Integer for k in offsets) else sp.Integer(0)
    f = f.subs(index, index - shift)
    first = [f.subs(index, k) for k in range(1, int(low))] if low.is_Integer else []
    if not first or sp.Add(*first).has(sp.zoo, sp.nan):
        total = sp.Sum(f, (index, low, high)).doit()
    else:  # Σ from 2 on is Σ from 1 on, less the first term
        total = sp.Sum(f, (index, 1, high)).doit() - sp.Add(*first)
    above = [f.subs(index, high + k) for k in range(1, int(shift) + 1)]
    below = [f.subs(index, high - k) for k in range(int(-shift))]
    before = [f.subs(index, low + k) for k in range(int(shift))]
    after = [f.subs(index, low - k) for k in range(1, int(-shift) + 1)]
    return total + sp.Add(*above, *after) - sp.Add(*below, *before)


def _marginal(variables: tuple, f):
    """∫ f over these variables, of one term: by the sum rule, else as it stands."""
    summed = _sum_rule(variables, f)
    return sp.Integral(f, *variables) if summed is None else summed


def _sum_rule(integrated: Iterable, f):
    """∫ f dz where f is a density of z, up to factors: ∫ p(x, z) dz = p(x), ∫ p(z) dz = 1. Else None."""
    powers: Counter = Counter()
    for factor in sp.Mul.make_args(f):
        base, exponent = factor.as_base_exp()
        if not isinstance(base, Density):
            return None
        powers[_joint(base.family, [*base.variables, *base.given])] += exponent
        powers[_joint(base.family, base.given)] -= exponent
    integrated = set(integrated)
    touched = [d for d, k in powers.items() if k != 0 and d != 1 and integrated & set(d.variables)]
    if len(touched) != 1 or powers[touched[0]] != 1 or not integrated <= set(touched[0].variables):
        return None
    (joint,) = touched
    rest = sp.Mul(*(d**k for d, k in powers.items() if d != joint))
    return rest * _joint(joint.family, set(joint.variables) - integrated)


def _gaussian_mean(f, z, mean, variance):
    """E[f(z)] for z ~ N(mean, variance): by moments where f is a polynomial, else by the integral."""
    f = sp.expand(f)
    if f.is_polynomial(z):
        return _moments(f, z, mean, variance)
    return integral(f * Normal(z, mean, variance).pdf(), z)


def _moments(polynomial, z, mean, variance):
    values = {"m": mean, "v": variance}
    terms = sp.Poly(polynomial, z).terms()
    return sp.Add(*(k * moment(n).subs(values, simultaneous=True) for (n,), k in terms))


def integral(f, z):
    """∫ f dz over the real line: polynomials times Gaussians by completing the square, all else by sympy."""
    return _linear(f, (z,), lambda term: _integrate_term(sp.powsimp(term, combine="exp"), z))


def _integrate_term(term, z):
    factors = sp.Mul.make_args(term)
    exponent = sp.Add(*(factor.exp for factor in factors if isinstance(factor, sp.exp)))
    rest = sp.Mul(*(factor for factor in factors if not isinstance(factor, sp.exp)))
    if not (exponent.is_polynomial(z) and rest.is_polynomial(z) and sp.degree(exponent, z) == 2):
        return sp.Integral(term, (z, -sp.oo, sp.oo)).doit()
    c, b, a = (sp.expand(exponent).coeff(z, k) for k in range(3))
    if not is_positive(-a):
        return sp.Integral(term, (z, -sp.oo, sp.oo)).doit()
    variance = sp.cancel(-1 / (2 * a))
    mean = sp.expand(b) * variance
    height = sp.exp(collected(c + sp.expand(b**2) * variance / 2))
    moments = _moments(rest, z, mean, variance)
    return sp.expand(moments) * height * sp.sqrt(2 * sp.pi * variance)


@cache
def moment(n: int):
    """∫ zⁿ N(z; m, v) dz, integrated by sympy."""
    z, m, v = sp.Symbol("z", real=True), sp.Symbol("m", real=True), sp.Symbol("v", positive=True)
    value = sp.integrate(z**n * Normal(z, m, v).pdf(), (z, -sp.oo, sp.oo))
    plain = sp.Symbol("m"), sp.Symbol("v")
    return sp.expand(value).subs({m: plain[0], v: plain[1]})
