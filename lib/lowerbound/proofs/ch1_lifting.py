"""Chapter 1: what lifting the bound does to log p(x). Primed letters are values after the step."""

from sympy import Integer, Rational, Symbol, log, pi, sqrt

from ..symbolic import KL, Derivation, E, Family, Normal, as_written
from .ch1_elbo import half, m, p, q, w, x, z
from .registry import derivation

p_new, q_new = Family("p", "theta'", fixed=[z]), Family("q", "phi'")
bound, bound_new, gap, gap_new = (Symbol(name, real=True) for name in ("L", "L'", "G", "G'"))
gain = Symbol("delta", nonnegative=True)

with as_written():
    BEFORE = {bound: E(q(z | x), log(p(x, z) / q(z | x))), gap: KL(q(z | x), p(z | x))}
    AFTER = {
        bound_new: E(q_new(z | x), log(p_new(x, z) / q_new(z | x))),
        gap_new: KL(q_new(z | x), p_new(z | x)),
    }


@derivation(chapter=1, lecture="01:16–01:36")
def best_encoder_mean() -> Derivation:
    """The best bound that an encoder N(m, 1) can reach, at noise 1 and weight w."""
    encoder = Normal(z, m, 1)
    bound = E(encoder, log(Normal(x, w * z, 1))) - KL(encoder, Normal(z, 0, 1))
    d = Derivation("best_encoder_mean", start=bound)
    d.step(-half * log(2 * pi) - ((x - w * m) ** 2 + w**2 + m**2) / 2, "Gaussian integrals")
    square = (1 + w**2) * (m - w * x / (1 + w**2)) ** 2
    rest = x**2 / (1 + w**2) + w**2
    d.step(-half * log(2 * pi) - (square + rest) / 2, "complete the square in $m$")
    d.at_most(-half * log(2 * pi) - rest / 2, "a square is never negative; 0 at $m = wx/(1+w^2)$")
    return d


@derivation(chapter=1, lecture="01:16–01:36")
def raise_bound() -> Derivation:
    """At x = 2 and with the encoder N(√3/2, 1), the step from w = √3 to w = 1 lifts the bound."""
    encoder, rate = Normal(z, sqrt(3) / 2, 1), Symbol("R", real=True)
    given = {rate: KL(encoder, Normal(z, 0, 1))}
    for when, weight in (("new", Integer(1)), ("old", sqrt(3))):
        bound = Symbol(rf"L_{{\text{{{when}}}}}", real=True)
        given[bound] = E(encoder, log(Normal(2, weight * z, 1))) - rate
    _, new, old = given
    d = Derivation("raise_bound", start=new - old, given=given)
    before, after = ((2 - Rational(3, 2)) ** 2 + 3) / 2, ((2 - sqrt(3) / 2) ** 2 + 1) / 2
    d.step(before - after, "half the mean squared error, before and after; $R$ stays")
    d.step(sqrt(3) - Rational(5, 4), "subtract")
    return d.at_least(Integer(0), "$\\sqrt{3} > 5/4$: the bound goes up")


@derivation(chapter=1, lecture="01:16–01:36")
def raise_bound_lowers_evidence() -> Derivation:
    """The same step from w = √3 to w = 1 lowers log p(x)."""
    d = Derivation(
        "raise_bound_lowers_evidence",
        start=log(Normal(2, 0, 1 + Integer(1) ** 2)) - log(Normal(2, 0, 1 + sqrt(3) ** 2)),
    )
    d.step((-half * log(4 * pi) - 1) - (-half * log(8 * pi) - half), "log of a Gaussian")
    d.step(half * log(2) - half, "subtract")
    d.at_most(Integer(0), "since $\\log 2 < 1$: $\\log p(x)$ goes down")
    return d


@derivation(chapter=1, lecture="00:52–01:07")
def integrand_negative() -> Derivation:
    """At the first of two states, with q = (1/2, 1/2) and p = (9/10, 1/10), log q/p is negative."""
    d = Derivation("integrand_negative", start=log(half / Rational(9, 10)))
    d.step(log(Rational(5, 9)), "divide")
    return d.at_most(Integer(0), "$5/9 < 1$")


@derivation(chapter=1, lecture="00:52–01:07")
def kl_positive_all_the_same() -> Derivation:
    """And yet the mean over both states is positive."""
    start = half * log(half / Rational(9, 10)) + half * log(half / Rational(1, 10))
    d = Derivation("kl_positive_all_the_same", start=start)
    d.step(half * log(Rational(5, 9)) + half * log(Integer(5)), "divide")
    d.step(half * log(Rational(25, 9)), "log of a product")
    return d.at_least(Integer(0), "$25/9 > 1$")


@derivation(chapter=1, lecture="01:16–01:36")
def evidence_change() -> Derivation:
    """A step changes log p(x) by what it changes the bound and the gap."""
    d = Derivation("evidence_change", start=log(p_new(x)) - log(p(x)), given={**BEFORE, **AFTER})
    d.step((bound_new + gap_new) - (bound + gap), "two expectations, twice")
    return d.step((bound_new - bound) + (gap_new - gap), "sort")


@derivation(chapter=1, lecture="01:16–01:36")
def floor_of_a_step() -> Derivation:
    """A step that does not lower the bound lowers log p(x) by at most the old gap."""
    given = {**BEFORE, **AFTER, gain: bound_new - bound}
    d = Derivation("floor_of_a_step", start=log(p_new(x)) - log(p(x)), given=given)
    d.step((gain + gap_new) - gap, "split the change; $\\delta \\ge 0$ is the bound's")
    d.at_least(gain - gap, "KL is never negative", because=KL(q_new(z | x), p_new(z | x)))
    return d.at_least(-gap, "$\\delta \\ge 0$", because=gain)


@derivation(chapter=1, lecture="01:16–01:36")
def em_guarantee() -> Derivation:
    """With the exact posterior as q, a step that does not lower the bound does not lower log p(x)."""
    lift = E(p(z | x), log(p_new(x, z))) - E(p(z | x), log(p(x, z)))
    d = Derivation("em_guarantee", start=log(p_new(x)), given={gain: lift})
    exact = E(p(z | x), log(p_new(x, z) / p(z | x)))
    d.step(exact + KL(p(z | x), p_new(z | x)), "two expectations; E-step: $q$ is the posterior")
    d.at_least(exact, "KL is never negative", because=KL(p(z | x), p_new(z | x)))
    old = E(p(z | x), log(p(x, z) / p(z | x)))
    d.step(old + gain, "M-step: the bound gains $\\delta \\ge 0$")
    d.at_least(old, "$\\delta \\ge 0$", because=gain)
    return d.step(log(p(x)), "product rule; $z$ does not occur in it")
