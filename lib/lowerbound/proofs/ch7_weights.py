"""Chapter 7: the bound as an area, losses as weights on it, and which weighted losses are bounds.

λ = ½ log SNR, as in chapter 4; S is the SNR itself. In one dimension.
"""

from sympy import (
    Derivative,
    Function,
    IndexedBase,
    Integral,
    Rational,
    Sum,
    Symbol,
    cos,
    exp,
    log,
    oo,
    pi,
    sin,
)

from ..symbolic import KL, Derivation, E, Family, RandomVariable
from .ch3_forward import q, x0
from .ch4_reverse import eps, eps_net, x0_net
from .ch7_coordinates import GUESSES, a, b
from .registry import derivation

half = Rational(1, 2)
lam, tau, phi = Symbol("lambda", real=True), Symbol("tau", positive=True), Symbol("varphi", positive=True)
snr, first_snr, last_snr = (Symbol(name, positive=True) for name in ("S", "S_1", "S_T"))
spread, T = Symbol("s", positive=True), Symbol("T", positive=True)


@derivation(chapter=7)
def area_in_log_snr() -> Derivation:
    """The integrand of the bound over SNR, and over λ = ½ log SNR: there it is the error of the noise."""
    given = {**GUESSES, a: b * exp(lam)}
    start = half * Derivative(exp(2 * lam), lam) * (x0 - x0_net) ** 2
    d = Derivation("area_in_log_snr", start=start, given=given)
    d.step(exp(2 * lam) * (b / a) ** 2 * (eps - eps_net) ** 2, "differentiate; $x_t$ cancels")
    return d.step((eps - eps_net) ** 2, "$a/b = e^\\lambda$")


@derivation(chapter=7)
def area_of_gaussian() -> Derivation:
    """Half the area under the best error over SNR, for Gaussian data: a logarithm."""
    d = Derivation(
        "area_of_gaussian", start=half * Integral(spread**2 / (1 + spread**2 * snr), (snr, 0, first_snr))
    )
    return d.step(half * log(1 + spread**2 * first_snr), "integrate")


@derivation(chapter=7)
def steps_of_gaussian() -> Derivation:
    """The same area by T rectangles, each with the error of its noisier end."""
    ratio = Symbol("R", positive=True)
    d = Derivation("steps_of_gaussian", start=half * T * (ratio ** (1 / T) - 1))
    return d.tends_to(half * log(ratio), T, oo, "more and shorter steps")


@derivation(chapter=7, code="coordinates.Coordinate.weight")
def simple_weight() -> Derivation:
    """The simple loss under the cosine schedule, as a weight on the area: the angle uniform."""
    d = Derivation(
        "simple_weight",
        start=-1 / Derivative(log(cos(phi) / sin(phi)), phi) * 2 / pi,
        given={lam: log(cos(phi) / sin(phi))},
        where=[phi < pi / 2],
    )
    d.step(2 * sin(phi) * cos(phi) / pi, "differentiate")
    return d.step(2 / (pi * (exp(lam) + exp(-lam))), "$\\tan\\varphi = e^{-\\lambda}$")


@derivation(chapter=7, code="coordinates.Coordinate.weight")
def flow_weight() -> Derivation:
    """The loss of flow matching, as a weight on the area: τ uniform on (0, 1)."""
    given = {lam: log((1 - tau) / tau)}
    d = Derivation(
        "flow_weight",
        start=-1 / (1 - tau) ** 2 / Derivative(log((1 - tau) / tau), tau),
        given=given,
        where=[tau < 1],
    )
    d.step(tau * (1 - tau) / (1 - tau) ** 2, "differentiate")
    d.step(tau / (1 - tau), "cancel")
    return d.step(exp(-lam), "$\\lambda = \\log\\frac{1-\\tau}{\\tau}$")


@derivation(chapter=7, code="coordinates.Coordinate.weight")
def v_weight() -> Derivation:
    """The loss of v under the cosine schedule, as a weight on the area: that of flow matching again."""
    d = Derivation(
        "v_weight",
        start=1 / cos(phi) ** 2 * (2 * sin(phi) * cos(phi) / pi),
        given={lam: log(cos(phi) / sin(phi))},
        where=[phi < pi / 2],
    )
    d.step(2 / pi * sin(phi) / cos(phi), "cancel")
    return d.step(2 / pi * exp(-lam), "$\\tan\\varphi = e^{-\\lambda}$")


w, B = IndexedBase("w", real=True), IndexedBase("B", real=True)
t, last = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)


@derivation(chapter=7)
def weighted_sum() -> Derivation:
    """A weighted loss is a mixture of the bounds of noised data: the sum, rearranged."""
    d = Derivation("weighted_sum", start=Sum(w[t] * (B[t - 1] - B[t]), (t, 1, last)))
    return d.step(
        w[1] * B[0] + Sum((w[t] - w[t - 1]) * B[t - 1], (t, 2, last)) - w[last] * B[last],
        "collect each $B_t$",
    )


@derivation(chapter=7)
def weighted_area() -> Derivation:
    """The same without steps: a product, differentiated."""
    n = Symbol("n", real=True)
    weight, rest = Function("w")(n), Function("B")(n)
    d = Derivation("weighted_area", start=-weight * Derivative(rest, n))
    return d.step(Derivative(weight, n) * rest - Derivative(weight * rest, n), "product rule")


@derivation(chapter=7)
def noised_bound() -> Derivation:
    """The chain from x_s on bounds the noised data x_s: what the later steps cost lies above their misfit."""
    xs, later = RandomVariable("x_s"), RandomVariable("x_{s+1:T}")
    p = Family("p", "theta")
    d = Derivation("noised_bound", start=KL(q(xs, later | x0), p(xs, later)))
    d.step(KL(q(xs | x0), p(xs)) + E(q(xs | x0), KL(q(later | xs, x0), p(later | xs))), "product rule")
    return d.at_least(KL(q(xs | x0), p(xs)), "KL is never negative")
