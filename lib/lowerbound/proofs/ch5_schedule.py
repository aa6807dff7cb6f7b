"""Chapter 5: what splitting a step changes in the bound, and what a step's best variance saves."""

from sympy import Rational, Symbol, log, symbols

from ..symbolic import Derivation
from .registry import derivation

half = Rational(1, 2)
drop, error, mean_error = symbols("Delta f_t e_t", positive=True)


@derivation(chapter=5)
def split_step() -> Derivation:
    """A step from noise level t down to s, split at m: what the average bound changes by."""
    after, middle, before = symbols("S_s S_m S_t", positive=True)
    at_middle, at_start = symbols("f_m f_t", positive=True)
    halves = half * (after - middle) * at_middle + half * (middle - before) * at_start
    d = Derivation("split_step", start=halves - half * (after - before) * at_start)
    d.step(half * (after - middle) * at_middle - half * (after - middle) * at_start, "collect $f_t$")
    return d.step(-half * (after - middle) * (at_start - at_middle), "factor")


@derivation(chapter=5, code="estimate.Levels.costs")
def best_step_variance() -> Derivation:
    """A step with the variance that suits it: it costs a logarithm, and never more than with β̃."""
    narrow, wide = Symbol("betatilde_t", positive=True), Symbol("v_t", positive=True)
    given = {wide: narrow + mean_error, mean_error: narrow * drop * error}
    price = half * (narrow / wide - 1 - log(narrow / wide)) + mean_error / (2 * wide)
    d = Derivation("best_step_variance", start=price, given=given)
    d.step(half * log(wide / narrow), "$(\\tilde\\beta_t + e_t) / v_t = 1$")
    d.step(half * log(1 + drop * error), "divide by $\\tilde\\beta_t$")
    r = Symbol("r", positive=True)
    reason = "$\\log r \\le r - 1$"
    return d.at_most(half * drop * error, reason, because=half * (r - 1 - log(r)), at={r: 1 + drop * error})
