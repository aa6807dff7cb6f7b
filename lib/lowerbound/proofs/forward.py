"""Chapter 3: the forward chain, its closed form, and how near it comes to N(0, 1). All in one dimension."""

from __future__ import annotations

from typing import Any

from sympy import Integer, Integral, Rational, Symbol, log, oo, sqrt

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable, Unit, as_written
from .registry import derivation

__all__ = [
    "forward_fixed_point",
    "forward_limit_mean",
    "forward_limit_variance",
    "forward_marginal",
    "forward_marginal_first",
    "forward_marginal_mean",
    "forward_marginal_variance",
    "forward_two_steps",
    "hierarchical_bound",
    "terminal_kl",
    "terminal_kl_limit",
]

half = Rational(1, 2)
x0, xs, xt = RandomVariable("x_0"), RandomVariable("x_{t-1}"), RandomVariable("x_t")
q = Family("q")
alpha, alphabar_s = Unit("alpha_t"), Unit("alphabar_{t-1}")
beta, alphabar = Unit("beta_t"), Unit("alphabar_t")
with as_written():
    SCHEDULE = {beta: 1 - alpha, alphabar: alpha * alphabar_s}
    CHAIN = {
        q(xs | x0): Normal(xs, sqrt(alphabar_s) * x0, 1 - alphabar_s),
        q(xt | xs): Normal(xt, sqrt(alpha) * xs, beta),
    }


@derivation(chapter=3, lecture="12:56–13:41", code="diffusion.Diffusion.q_sample")
def forward_two_steps() -> Derivation:
    """Two forward steps are one longer step: their densities, composed."""
    x1, x2 = RandomVariable("x_1"), RandomVariable("x_2")
    a1, a2 = Unit("alpha_1"), Unit("alpha_2")
    given = {q(x1 | x0): Normal(x1, sqrt(a1) * x0, 1 - a1), q(x2 | x1): Normal(x2, sqrt(a2) * x1, 1 - a2)}
    d = Derivation(
        "forward_two_steps",
        start=Integral(q(x2 | x1) * q(x1 | x0), (x1, -oo, oo)),
        symbol=q(x2 | x0),
        given=given,
    )
    first, second = given[q(x1 | x0)], given[q(x2 | x1)]
    d.step(Integral(second * first, (x1, -oo, oo)), "the chain's densities")
    d.step(Normal(x2, sqrt(a2) * (sqrt(a1) * x0), a2 * (1 - a1) + (1 - a2)), "Gaussian integral")
    d.step(Normal(x2, sqrt(a1 * a2) * x0, 1 - a1 * a2), "$\\alpha_2 - \\alpha_1\\alpha_2 + 1 - \\alpha_2$")
    return d


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.q_sample")
def forward_marginal_mean() -> Derivation:
    """The mean of x_t given x_0: one step more multiplies it by √α_t."""
    d = Derivation(
        "forward_marginal_mean", start=E(q(xs | x0), E(q(xt | xs), xt)), given={**SCHEDULE, **CHAIN}
    )
    d.step(E(q(xs | x0), sqrt(alpha) * xs), "mean of one step")
    d.step(sqrt(alpha) * sqrt(alphabar_s) * x0, "mean of the chain so far")
    d.step(sqrt(alphabar) * x0, "$\\bar\\alpha_t = \\alpha_t \\bar\\alpha_{t-1}$")
    return d


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.q_sample")
def forward_marginal_variance() -> Derivation:
    """The variance of x_t given x_0: old variance shrunk by α_t, new noise β_t added."""
    square = (xt - sqrt(alphabar) * x0) ** 2
    d = Derivation(
        "forward_marginal_variance", start=E(q(xs | x0), E(q(xt | xs), square)), given={**SCHEDULE, **CHAIN}
    )
    d.step(E(q(xs | x0), (sqrt(alpha) * xs - sqrt(alphabar) * x0) ** 2 + beta), "variance of one step")
    d.step(alpha * E(q(xs | x0), (xs - sqrt(alphabar_s) * x0) ** 2) + beta, "take $\\alpha_t$ out")
    d.step(alpha * (1 - alphabar_s) + beta, "variance of the chain so far")
    d.step(1 - alphabar, "$\\beta_t = 1 - \\alpha_t$")
    return d


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.q_sample")
def forward_marginal() -> Derivation:
    """The closed form of q(x_t | x_0), by induction: from t − 1 to t."""
    chain = Integral(q(xt | xs) * q(xs | x0), (xs, -oo, oo))
    d = Derivation("forward_marginal", start=chain, symbol=q(xt | x0), given={**SCHEDULE, **CHAIN})
    mean, variance = sqrt(alpha) * (sqrt(alphabar_s) * x0), alpha * (1 - alphabar_s) + beta
    d.step(Normal(xt, mean, variance), "Gaussian integral")
    d.step(Normal(xt, sqrt(alphabar) * x0, 1 - alphabar), "$\\bar\\alpha_t = \\alpha_t \\bar\\alpha_{t-1}$")
    return d


@derivation(chapter=3, lecture="13:25–13:41")
def forward_marginal_first() -> Derivation:
    """The closed form at t = 1, where the induction starts."""
    x1, bar, first = RandomVariable("x_1"), Unit("alphabar_1"), Unit("beta_1")
    d = Derivation(
        "forward_marginal_first",
        start=Normal(x1, sqrt(1 - first) * x0, first),
        symbol=q(x1 | x0),
        given={first: 1 - bar},
    )
    return d.step(Normal(x1, sqrt(bar) * x0, 1 - bar), "$\\bar\\alpha_1 = 1 - \\beta_1$")


@derivation(chapter=3, lecture="13:25–13:41")
def forward_fixed_point() -> Derivation:
    """N(0, 1) is kept by every forward step."""
    step, noise = Normal(xt, sqrt(alpha) * xs, 1 - alpha), Normal(xs, 0, 1)
    d = Derivation("forward_fixed_point", start=Integral(step * noise, (xs, -oo, oo)))
    d.step(Normal(xt, sqrt(alpha) * 0, alpha * 1 + (1 - alpha)), "Gaussian integral")
    d.step(Normal(xt, 0, 1), "add")
    return d


def _constant() -> tuple[Any, Any, Any]:
    """α = 1/(1 + r), T, and ᾱ_T = αᵀ."""
    r, T = Symbol("r", positive=True), Symbol("T", positive=True)
    return r, T, (1 + r) ** (-T)


@derivation(chapter=3, lecture="13:25–13:41")
def forward_limit_mean() -> Derivation:
    """With the same α = 1/(1+r) at each step, the mean of x_T tends to 0."""
    r, T, power = _constant()
    bar = Unit("alphabar_T")
    d = Derivation("forward_limit_mean", start=sqrt(bar) * x0, given={bar: power})
    d.step((1 + r) ** (-T / 2) * x0, "$\\bar\\alpha_T = \\alpha^T$")
    return d.tends_to(Integer(0), T, oo, "since $r > 0$")


@derivation(chapter=3, lecture="13:25–13:41")
def forward_limit_variance() -> Derivation:
    """With the same α = 1/(1+r) at each step, the variance of x_T tends to 1."""
    _, T, power = _constant()
    bar = Unit("alphabar_T")
    d = Derivation("forward_limit_variance", start=1 - bar, given={bar: power})
    d.step(1 - power, "$\\bar\\alpha_T = \\alpha^T$")
    return d.tends_to(Integer(1), T, oo, "since $r > 0$")


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.bound")
def terminal_kl() -> Derivation:
    """How far x_T is from N(0, 1) at finite T, per dimension, exactly."""
    bar, xT = Unit("alphabar_T"), RandomVariable("x_T")
    end = Normal(xT, sqrt(bar) * x0, 1 - bar)
    d = Derivation("terminal_kl", start=KL(q(xT | x0), Normal(xT, 0, 1)), given={q(xT | x0): end})
    d.step(E(end, xT**2 / 2 - (xT - sqrt(bar) * x0) ** 2 / (2 * (1 - bar))) - half * log(1 - bar), "log")
    d.step(half * (bar * x0**2 + (1 - bar) - 1 - log(1 - bar)), "second moments")
    d.step(half * (bar * (x0**2 - 1) - log(1 - bar)), "collect")
    return d


@derivation(chapter=3, lecture="13:25–13:41")
def terminal_kl_limit() -> Derivation:
    """That divergence vanishes as ᾱ_T goes to 0."""
    bar = Symbol("alphabar_T", positive=True)
    d = Derivation("terminal_kl_limit", start=half * (bar * (x0**2 - 1) - log(1 - bar)))
    return d.tends_to(Integer(0), bar, Integer(0), "continuous at 0")


@derivation(chapter=3, lecture="11:42–12:37")
def hierarchical_bound() -> Derivation:
    """A diffusion model is a VAE whose latent is the whole chain: its bound is the VAE's bound."""
    z = RandomVariable("x_{1:T}")
    p = Family("p", "theta")
    d = Derivation("hierarchical_bound", start=log(p(x0)))
    d.step(E(q(z | x0), log(p(x0, z) / q(z | x0))) + KL(q(z | x0), p(z | x0)), "two expectations")
    d.at_least(
        E(q(z | x0), log(p(x0, z) / q(z | x0))), "KL is never negative", because=KL(q(z | x0), p(z | x0))
    )
    return d
