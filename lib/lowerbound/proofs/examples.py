"""Chapters 1 and 2, worked in full: two states, the linear Gaussian, and what lifting the bound does."""

from __future__ import annotations

import sympy as sp
from sympy import Integer, Integral, Rational, Symbol, log, oo, pi, sqrt

from ..symbolic import KL, Derivation, E, Normal, Unit, as_written
from .elbo import p, q, x, z
from .registry import derivation

__all__ = [
    "best_encoder_mean",
    "linear_gaussian_elbo",
    "linear_gaussian_evidence",
    "linear_gaussian_identity",
    "linear_gaussian_kl",
    "log_prefers_flat",
    "mean_prefers_sharp",
    "raise_bound",
    "raise_bound_lowers_evidence",
    "two_states",
]

half = Rational(1, 2)
w, m = sp.symbols("w m", real=True)
s, v = sp.symbols("s v", positive=True)
MODEL = {p(z): Normal(z, 0, 1), p(x | z): Normal(x, w * z, s**2), q(z | x): Normal(z, m, v)}
m_post, v_post = Symbol("m_*", real=True), Symbol("v_*", positive=True)
with as_written():
    POSTERIOR = {
        p(z | x): Normal(z, m_post, v_post),
        m_post: w * x / (w**2 + s**2),
        v_post: s**2 / (w**2 + s**2),
    }


@derivation(chapter=1, lecture="00:29–00:52")
def two_states() -> Derivation:
    """A latent with two states, summed in full: a = p(x, z=1), b = p(x, z=2), r = q(z=1 | x)."""
    a, b, r = Symbol("a", positive=True), Symbol("b", positive=True), Unit("r")
    d = Derivation("two_states", start=log(a + b))
    d.step(r * log(a + b) + (1 - r) * log(a + b), "$r + (1 - r) = 1$")
    first = r * log(a / (a / (a + b))) + (1 - r) * log(b / (b / (a + b)))
    d.step(first, "product rule: $p(z \\mid x)$ is $a/(a+b)$, $b/(a+b)$")
    bound = r * log(a / r) + (1 - r) * log(b / (1 - r))
    gap = r * log(r / (a / (a + b))) + (1 - r) * log((1 - r) / (b / (a + b)))
    d.step(bound + gap, "multiply and divide by $q$; split")
    return d


@derivation(chapter=1)
def linear_gaussian_evidence() -> Derivation:
    """The evidence of the linear-Gaussian model, by integrating z out."""
    d = Derivation(
        "linear_gaussian_evidence", start=Integral(p(x | z) * p(z), (z, -oo, oo)), symbol=p(x), given=MODEL
    )
    d.step(Integral(Normal(x, w * z, s**2) * Normal(z, 0, 1), (z, -oo, oo)), "the model's densities")
    d.step(Normal(x, 0, w**2 + s**2), "Gaussian integral")
    return d


@derivation(chapter=1, code="vae.VAE.bound")
def linear_gaussian_elbo() -> Derivation:
    """The bound of the linear-Gaussian model, integrated."""
    encoder = Normal(z, m, v)
    d = Derivation("linear_gaussian_elbo", start=E(q(z | x), log(p(x | z))) - KL(q(z | x), p(z)), given=MODEL)
    d.step(E(encoder, log(Normal(x, w * z, s**2))) - KL(encoder, Normal(z, 0, 1)), "the model's densities")
    squares = E(encoder, (x - w * z) ** 2)
    fit = -squares / (2 * s**2) - half * log(2 * pi * s**2)
    d.step(fit - (m**2 + v - 1 - log(v)) / 2, "log of a Gaussian; KL to N(0, 1)")
    fit = -((x - w * m) ** 2 + w**2 * v) / (2 * s**2) - half * log(2 * pi * s**2)
    d.step(fit - (m**2 + v - 1 - log(v)) / 2, "mean and variance of $x - w z$")
    return d


@derivation(chapter=1)
def linear_gaussian_kl() -> Derivation:
    """The gap of the linear-Gaussian model: the KL from the encoder to the exact posterior."""
    d = Derivation("linear_gaussian_kl", start=KL(q(z | x), p(z | x)), given={**MODEL, **POSTERIOR})
    encoder = Normal(z, m, v)
    d.step(E(encoder, log(encoder / Normal(z, m_post, v_post))), "definition of KL")
    squares = E(encoder, (z - m_post) ** 2 / v_post - (z - m) ** 2 / v)
    d.step((log(v_post / v) + squares) / 2, "log of a Gaussian")
    d.step((log(v_post / v) + ((m - m_post) ** 2 + v) / v_post - 1) / 2, "mean and variance of $z$")
    return d


@derivation(chapter=1, lecture="00:29–00:52")
def linear_gaussian_identity() -> Derivation:
    """Bound plus gap is log p(x), in the linear-Gaussian model, by integrals."""
    start = E(q(z | x), log(p(x | z) * p(z) / q(z | x))) + KL(q(z | x), p(z | x))
    d = Derivation("linear_gaussian_identity", start=start, given={**MODEL, **POSTERIOR})
    squares = ((x - w * m) ** 2 + w**2 * v) / s**2 + m**2 + v - ((m - m_post) ** 2 + v) / v_post
    d.step(-half * (squares + log(2 * pi * s**2 / v_post)), "bound and gap, integrated")
    d.step(-(x**2) / (2 * (w**2 + s**2)) - half * log(2 * pi * (w**2 + s**2)), "$m$ and $v$ cancel")
    d.step(log(Normal(x, 0, w**2 + s**2)), "log of a Gaussian")
    return d


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
    """At x = 2, going from w = √3 to w = 1, with the best encoder for each, lifts the bound by one half."""
    given = {}
    for when, weight, mean in (("new", Integer(1), Integer(1)), ("old", sqrt(3), sqrt(3) / 2)):
        bound, rate = (Symbol(rf"{name}_{{\text{{{when}}}}}", real=True) for name in "LR")
        given[bound] = E(Normal(z, mean, 1), log(Normal(2, weight * z, 1))) - rate
        given[rate] = KL(Normal(z, mean, 1), Normal(z, 0, 1))
    new, _, old, _ = given
    d = Derivation("raise_bound", start=new - old, given=given)
    d.step((-half * log(2 * pi) - Rational(3, 2)) - (-half * log(2 * pi) - Integer(2)), "Gaussian integrals")
    d.step(half, "subtract")
    d.at_least(Integer(0), "the bound goes up")
    return d


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


@derivation(chapter=2, lecture="07:13–08:07")
def mean_prefers_sharp() -> Derivation:
    """Two equally likely z: f = (0.9, 0.1) has the larger mean than f = (0.45, 0.45)."""
    d = Derivation("mean_prefers_sharp", start=half * Rational(9, 10) + half * Rational(1, 10))
    d.step(half, "add").at_least(half * Rational(9, 20) + half * Rational(9, 20), "$1/2 > 9/20$")
    return d


@derivation(chapter=2, lecture="07:13–08:07")
def log_prefers_flat() -> Derivation:
    """And yet the smaller mean of the log: the maximiser changes with the log."""
    d = Derivation("log_prefers_flat", start=half * log(Rational(9, 10)) + half * log(Rational(1, 10)))
    d.step(half * log(Rational(9, 100)), "log of a product")
    d.at_most(half * log(Rational(81, 400)), "log is increasing, and $9/100 < 81/400$")
    d.step(half * log(Rational(9, 20)) + half * log(Rational(9, 20)), "log of a product")
    return d
