"""Chapter 3: what undoes a step, why a small one is nearly Gaussian, and when a chain forgets its start."""

from __future__ import annotations

from typing import Any

from sympy import Function, IndexedBase, Integer, Rational, Sum, Symbol, log, pi, sqrt, symbols

from ..symbolic import Derivation, E, Family, Normal, RandomVariable, Unit
from .forward import alpha, beta, q, xs, xt
from .registry import derivation

__all__ = [
    "best_gaussian",
    "chain_forgets",
    "chain_remembers",
    "reverse_by_bayes",
    "reverse_of_gaussian",
    "skewness_price",
    "small_step_price",
    "tilted_skewness",
]

half = Rational(1, 2)
mu, m = symbols("mu m", real=True)
s, v = symbols("s v", positive=True)
u, gamma = Symbol("u", real=True), Symbol("gamma", real=True)
tilt = symbols("f' f'' f'''", real=True)


@derivation(chapter=3, lecture="12:37–13:25")
def reverse_by_bayes() -> Derivation:
    """The true step back, by Bayes' rule."""
    d = Derivation("reverse_by_bayes", start=q(xs | xt))
    return d.step(q(xt | xs) * q(xs) / q(xt), "product rule, both ways round")


@derivation(chapter=3, lecture="12:37–13:25")
def reverse_of_gaussian() -> Derivation:
    """Where x_{t−1} is N(μ, s²), the step back is exactly Gaussian, for every β_t."""
    joint = Normal(xt, sqrt(alpha) * xs, beta) * Normal(xs, mu, s**2)
    evidence = Normal(xt, sqrt(alpha) * mu, alpha * s**2 + beta)
    d = Derivation(
        "reverse_of_gaussian",
        start=joint / evidence,
        symbol=q(xs | xt),
        given={v: s**2 * beta / (beta + alpha * s**2), beta: 1 - alpha},
    )
    return d.step(Normal(xs, v * (mu / s**2 + sqrt(alpha) * xt / beta), v), "complete the square")


@derivation(chapter=3)
def best_gaussian() -> Derivation:
    """Among all N(m, s²), the cross-entropy with q is least for q's own mean μ and variance v."""
    x = RandomVariable("x")
    law = Family("q")(x)
    d = Derivation(
        "best_gaussian",
        start=E(law, -log(Normal(x, m, s**2))),
        given={mu: E(law, x), v: E(law, (x - E(law, x)) ** 2)},
    )
    d.step(E(law, (x - m) ** 2) / (2 * s**2) + half * log(2 * pi * s**2), "log of a Gaussian")
    d.step((v + (mu - m) ** 2) / (2 * s**2) + half * log(2 * pi * s**2), "mean and variance of $q$")
    square = (mu - m) ** 2 / (2 * s**2)
    d.at_least(v / (2 * s**2) + half * log(2 * pi * s**2), "equal at $m = \\mu$", because=square)
    ratio = Symbol("u", positive=True)
    reason = "$\\log u \\le u - 1$ at $u = v/s^2$; equal at $s^2 = v$"
    because = half * (ratio - 1 - log(ratio))
    return d.at_least(half + half * log(2 * pi * v), reason, because=because, at={ratio: v / s**2})


@derivation(chapter=3)
def tilted_skewness() -> Derivation:
    """The third cumulant of N(0, 1) tilted by exp(f), f a cubic, to leading order in the width s."""
    f1, f2, f3 = tilt
    w = Symbol("w", positive=True)  # e^f to third order in s
    a, b, c = (Symbol(name, real=True) for name in "abc")
    noise = Normal(u, 0, 1)
    given = {moment(k): E(noise, u**k * w if k else w) for k in range(4)}
    given |= {w: 1 + a * u + b * u**2 + c * u**3, a: s * f1, b: s**2 * (f2 + f1**2) / 2}
    given |= {c: s**3 * (f3 / 6 + f1 * f2 / 2 + f1**3 / 6)}
    one, two, three = (moment(k) / moment(0) for k in (1, 2, 3))
    d = Derivation("tilted_skewness", start=three - 3 * one * two + 2 * one**3, given=given)
    return d.leading_order(s**3 * f3, s, Integer(0), "moments of N(0, 1)")


def moment(k: int) -> Any:
    """M_k, the k-th moment of the tilted bump."""
    return Symbol(f"M_{k}", positive=True) if k == 0 else Symbol(f"M_{k}", real=True)


@derivation(chapter=3)
def skewness_price() -> Derivation:
    """The divergence of a nearly normal law of skewness γ from the normal law of its mean and variance."""
    h, noise = (u**3 - 3 * u) / 6, Normal(u, 0, 1)
    d = Derivation("skewness_price", start=E(noise, (1 + gamma * h) * log(1 + gamma * h)))
    d.axiom(
        E(noise, gamma * h + gamma**2 * h**2 / 2), "expand in $\\gamma$ under $\\mathbb{E}$", relation="~"
    )
    return d.step(gamma**2 / 12, "moments of N(0, 1)")


@derivation(chapter=3)
def small_step_price() -> Derivation:
    """What a small step costs in all: its skewness, averaged over where it starts."""
    third = Function("f'''")(xs)
    width = Symbol("beta_t", positive=True)
    skewness = {gamma: s**3 * third, s: sqrt(width / (1 - width))}
    d = Derivation("small_step_price", start=E(q(xs), gamma**2 / 12), given=skewness)
    d.step(E(q(xs), (width / (1 - width)) ** 3 * third**2 / 12), "its skewness and its width")
    d.step((width / (1 - width)) ** 3 / 12 * E(q(xs), third**2), "$\\mathbb{E}$ is linear")
    return d.leading_order(width**3 / 12 * E(q(xs), third**2), width, Integer(0), "$1 - \\beta_t \\to 1$")


def _logs() -> tuple[Any, Any, Any, Any]:
    """α_t, β_t, t, and t = 1 … T."""
    t, last = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
    return IndexedBase("alpha", positive=True)[t], IndexedBase("beta", real=True)[t], t, (t, 1, last)


@derivation(chapter=3, lecture="13:25–13:41")
def chain_forgets() -> Derivation:
    """If the β_t add up to infinity, log ᾱ_T goes to −∞."""
    a, b, _, steps = _logs()
    r = Symbol("r", positive=True)
    d = Derivation(
        "chain_forgets", start=Sum(log(a), steps), symbol=log(Unit("alphabar_T")), given={b: 1 - a}
    )
    d.at_most(Sum(a - 1, steps), "$\\log r \\le r - 1$", because=r - 1 - log(r), at={r: a})
    return d.step(-Sum(b, steps), "$\\beta_t = 1 - \\alpha_t$")


@derivation(chapter=3, lecture="13:25–13:41")
def chain_remembers() -> Derivation:
    """A step with β_t = r/2 ≤ 1/2 takes no more than 2β_t from log ᾱ_T."""
    r = Unit("r")
    d = Derivation("chain_remembers", start=log(1 - beta), given={beta: r / 2})
    return d.at_least(-2 * beta, "concave, so above its chord")
