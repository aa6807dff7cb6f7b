"""Chapters 3 to 5: whole chains of any length, by induction, and what splitting a step changes.

The step from s = t − 1 to t lumps all layers before x_s into one variable, h.
"""

from __future__ import annotations

from typing import Any

from sympy import IndexedBase, Integer, Rational, Sum, Symbol, log, symbols

from ..symbolic import KL, Derivation, E, Family, RandomVariable
from .registry import derivation

__all__ = [
    "best_step_variance",
    "chain_price",
    "chain_price_first",
    "chain_price_step",
    "chain_price_telescoping",
    "chain_price_whole",
    "diffusion_bound",
    "split_step",
    "telescoped_first",
    "telescoped_second",
    "telescoped_step",
    "telescoping",
]

half = Rational(1, 2)
t, T = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
B, R, M, C, G, D = (IndexedBase(name, real=True) for name in "BRMCGD")
L0 = Symbol("L_0", real=True)
p, q, prior = Family("p", "theta"), Family("q"), Family("p")
x0, x1, x2 = (RandomVariable(f"x_{i}") for i in range(3))
y, now, inner = RandomVariable("x_s"), RandomVariable("x_t"), RandomVariable("h")
turned = Symbol("W", positive=True)
drop, error, mean_error = symbols("Delta f_t e_t", positive=True)


@derivation(chapter=4)
def telescoped_first() -> Derivation:
    """The bound of a chain of one step: that of a VAE with the latent x_1."""
    given = {R[1]: KL(q(x1 | x0), prior(x1)), L0: E(q(x1 | x0), -log(p(x0 | x1)))}
    d = Derivation(
        "telescoped_first",
        start=E(q(x1 | x0), -log(p(x0 | x1) * prior(x1) / q(x1 | x0))),
        symbol=B[1],
        given=given,
    )
    d.step(E(q(x1 | x0), -log(p(x0 | x1))) + E(q(x1 | x0), log(q(x1 | x0) / prior(x1))), "split")
    return d.step(R[1] + L0, "names")


def _longer(name: str, index: Any, layers: list[Any], last: Any, new: Any) -> Derivation:
    """What one more layer, `new` behind `last`, changes in the bound; layers: those before `last`."""
    before = index - 1 if index is t else Integer(1)
    decoder = p(x0, layers[0] | last) if layers else p(x0 | last)
    path, longer = q(*layers, last | x0), q(*layers, last, new | x0)
    forward = {longer: path * q(new | last), q(new | last): q(new | last, x0)}
    terms = {
        R[before]: KL(q(last | x0), prior(last)),
        R[index]: KL(q(new | x0), prior(new)),
        M[index]: E(q(new | x0), KL(q(last | new, x0), p(last | new))),
        B[before]: E(path, -log(decoder * prior(last) / path)),
        turned: p(last | new) * prior(new) / (q(last | new, x0) * q(new | x0)),
    }
    start = E(longer, -log(decoder * p(last | new) * prior(new) / longer))
    d = Derivation(name, start=start, symbol=B[index], given={**forward, **terms})
    d.step(E(longer, -log(decoder / path * turned * q(last | x0))), "Bayes, given $x_0$")
    rest = E(q(last | x0), log(q(last | x0) / prior(last)))
    d.step(B[before] - rest + E(longer, -log(turned)), "put a prior there, and off")
    return d.step(B[before] + (M[index] + R[index] - R[before]), "name the terms")


@derivation(chapter=4)
def telescoped_second() -> Derivation:
    """What the second step changes in the bound: the prior's term moves on, and one KL is added."""
    return _longer("telescoped_second", Integer(2), [], x1, x2)


@derivation(chapter=4)
def telescoped_step() -> Derivation:
    """What step t > 2 changes in the bound: the prior's term moves on, and one KL is added."""
    return _longer("telescoped_step", t, [inner], y, now)


@derivation(chapter=4)
def telescoping() -> Derivation:
    """Any sequence is its first member and the sum of its differences."""
    return Derivation("telescoping", start=B[T]).step(B[1] + Sum(B[t] - B[t - 1], (t, 2, T)), "telescope")


@derivation(chapter=4, code="bound.Bound.nats")
def diffusion_bound() -> Derivation:
    """The bound of a chain of T steps, by induction from one step and from each further one."""
    L, L_T = IndexedBase("L", real=True), Symbol("L_T", real=True)
    d = Derivation(
        "diffusion_bound",
        start=B[T],
        given={L_T: R[T], L[t - 1]: M[t]},
        using=[telescoping(), telescoped_first(), telescoped_step()],
    )
    d.step(B[1] + Sum(B[t] - B[t - 1], (t, 2, T)), "telescope")
    d.step(R[1] + L0 + Sum(M[t] + R[t] - R[t - 1], (t, 2, T)), "the first step, and each further one")
    d.step(R[T] + Sum(M[t], (t, 2, T)) + L0, "all $R_t$ but the last cancel")
    return d.step(L_T + Sum(L[t - 1], (t, 2, T)) + L0, "name the terms")


@derivation(chapter=3)
def chain_price_whole() -> Derivation:
    """What the average bound lies above the entropy H of the data is one KL, of whole chains."""
    z, entropy = RandomVariable("x_{1:T}"), Symbol("H", real=True)
    start = E(q(x0), -E(q(z | x0), log(p(x0, z) / q(z | x0)))) - entropy
    d = Derivation("chain_price_whole", start=start, given={entropy: -E(q(x0), log(q(x0)))})
    d.step(E(q(x0), E(q(z | x0), log(q(x0) * q(z | x0) / p(x0, z)))), "one expectation")
    return d.step(KL(q(x0, z), p(x0, z)), "product rule; definition of KL")


@derivation(chapter=3)
def chain_price_first() -> Derivation:
    """The KL of a chain of one step."""
    pair = q(x0, x1)
    given = {G[1]: KL(q(x1), prior(x1)), D[1]: E(q(x1), KL(q(x0 | x1), p(x0 | x1)))}
    start = E(pair, log(pair / (p(x0 | x1) * prior(x1))))
    d = Derivation("chain_price_first", start=start, symbol=C[1], given=given)
    d.step(E(pair, log(q(x1) / prior(x1)) + log(q(x0 | x1) / p(x0 | x1))), "read the chain backwards")
    return d.step(G[1] + D[1], "name the terms")


@derivation(chapter=3)
def chain_price_step() -> Derivation:
    """What one more step changes in the KL of the chain; h is all that comes before x_s, x_0 included."""
    path, longer = q(inner, y), q(inner, y, now)
    given = {
        longer: path * q(now | y),
        C[t - 1]: E(path, log(path / (p(inner | y) * prior(y)))),
        G[t]: KL(q(now), prior(now)),
        G[t - 1]: KL(q(y), prior(y)),
        D[t]: E(q(now), KL(q(y | now), p(y | now))),
        turned: q(now) * q(y | now) / (prior(now) * p(y | now)),
    }
    start = E(longer, log(longer / (p(inner | y) * p(y | now) * prior(now))))
    d = Derivation("chain_price_step", start=start, symbol=C[t], given=given)
    d.step(E(longer, log(path / (p(inner | y) * q(y))) + log(turned)), "Bayes")
    rest = E(q(y), log(q(y) / prior(y)))
    d.step(C[t - 1] - rest + E(longer, log(turned)), "put a prior there, and off")
    return d.step(C[t - 1] + (D[t] + G[t] - G[t - 1]), "name the terms")


@derivation(chapter=3)
def chain_price_telescoping() -> Derivation:
    """The same for the chain's KL."""
    return Derivation("chain_price_telescoping", start=C[T]).step(
        C[1] + Sum(C[t] - C[t - 1], (t, 2, T)), "telescope"
    )


@derivation(chapter=3)
def chain_price() -> Derivation:
    """The price of a chain: the prior's misfit at its end, and the misfit of every step back."""
    d = Derivation(
        "chain_price",
        start=C[T],
        using=[chain_price_telescoping(), chain_price_first(), chain_price_step()],
    )
    d.step(C[1] + Sum(C[t] - C[t - 1], (t, 2, T)), "telescope")
    d.step(G[1] + D[1] + Sum(D[t] + G[t] - G[t - 1], (t, 2, T)), "the first step, and each further one")
    return d.step(G[T] + Sum(D[t], (t, 1, T)), "all $G_t$ but the last cancel")


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
