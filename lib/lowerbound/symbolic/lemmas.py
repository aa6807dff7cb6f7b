"""Ready lemmas: derivations of what one uses every day, checked when they are asked for.

>>> lemmas.jensen(q(z | x), p(x | z))     # E_q[log f] ≤ log E_q[f]
>>> lemmas.tower(q, [x], [z], f)          # E_q(x)[E_q(z|x)[f]] = E_q(x, z)[f]
"""

import sympy as sp

from .derivation import Derivation
from .notation import KL, E, Family, Normal, as_written

_T = sp.Symbol("t", positive=True)


def tangent(of=_T) -> Derivation:
    """T − 1 ≥ log t, the logarithm below its tangent at 1, for a positive t."""
    with as_written():
        d = Derivation("tangent", of - 1, "the logarithm lies below its tangent")
        return d.at_least(sp.log(of), r"least at $t = 1$", because=_T - 1 - sp.log(_T), at={_T: of})


def jensen(measure, f) -> Derivation:
    """E_q[log f] ≤ log E_q[f], Jensen's inequality for the logarithm of a positive f."""
    with as_written():
        mean = E(measure, f)
        d = Derivation("jensen", E(measure, sp.log(f)), "the mean of a logarithm")
        reason = r"$\log t \le t - 1$ at $t = f / \mathbb{E}[f]$"
        return d.at_most(sp.log(mean), reason, because=_T - 1 - sp.log(_T), at={_T: f / mean})


def gibbs(q, p) -> Derivation:
    """KL(q ‖ p) ≥ 0."""
    return Derivation("gibbs", KL(q, p), "a KL is never negative").at_least(0, "Gibbs' inequality")


def product_rule(family: Family, left, right) -> Derivation:
    """p(a, b) = p(a | b) p(b); left and right are lists of variables."""
    with as_written():
        joint, rest = family(*left, *right), list(right)
        given = family(*left[:-1], left[-1] | rest[0], *rest[1:])
        return Derivation("product_rule", joint, "the product rule").step(
            given * family(*right), "product rule"
        )


def data_processing(q: Family, p: Family, kept, lost) -> Derivation:
    """KL(q(a, b) ‖ p(a, b)) ≥ KL(q(a) ‖ p(a)): what is lost of a pair never adds to a divergence.

    kept and lost are lists of variables. Through one channel, given={p(x, z): q(z | x) * p(x)}, the first is
    KL(q(x) ‖ p(x)) for lost=[x].
    """
    whole = KL(q(*kept, *lost), p(*kept, *lost))
    d = Derivation("data_processing", whole, "the data processing inequality")
    return d.at_least(KL(q(*kept), p(*kept)), "data processing inequality")


def information(family: Family, left, right) -> Derivation:
    """E[log q(a, b) / (q(a) q(b))] ≥ 0, the mutual information of two lists of variables."""
    with as_written():
        joint = family(*left, *right)
        d = Derivation(
            "information", E(joint, sp.log(joint / (family(*left) * family(*right)))), "information"
        )
        return d.at_least(0, "a KL, averaged")


def reparameterised(f, z, mean, spread, noise) -> Derivation:
    """E[f(z)] for z ~ N(mean, spread²) is E[f(mean + spread ε)] for ε ~ N(0, 1); spread and ε are symbols."""
    with as_written():
        start = E(Normal(z, mean, spread**2), f(z))
        d = Derivation("reparameterised", start, "the reparameterisation trick")
        return d.step(E(Normal(noise, 0, 1), f(mean + spread * noise)), "z in terms of the noise")


def tower(family: Family, outer, inner, f) -> Derivation:
    """E_q(b)[E_q(a | b)[f]] = E_q(a, b)[f]; outer and inner are lists of variables."""
    with as_written():
        given = family(*inner[:-1], inner[-1] | outer[0], *outer[1:])
        d = Derivation("tower", E(family(*outer), E(given, f)), "one expectation for two")
        return d.step(E(family(*outer, *inner), f), "tower rule")


def gaussian_moment(n: int, z, mean, variance) -> Derivation:
    """E[zⁿ] for z ~ N(mean, variance), multiplied out."""
    from .normal_form import moment

    with sp.evaluate(True):
        value = moment(n).subs({"m": mean, "v": variance}, simultaneous=True)
    return Derivation("gaussian_moment", E(Normal(z, mean, variance), z**n), f"moment {n}").step(
        value, "integral"
    )


def gaussian_exponential(z, mean, variance, factor=1) -> Derivation:
    """E[e^{k z}] = e^{k m + k² v / 2} for z ~ N(m, v)."""
    with as_written():
        value = sp.exp(factor * mean + factor**2 * variance / 2)
        d = Derivation(
            "gaussian_exponential", E(Normal(z, mean, variance), sp.exp(factor * z)), "mean of exp"
        )
        return d.step(value, "complete the square")


def gaussian_kl(z, mean, variance, other_mean=0, other_variance=1) -> Derivation:
    """KL(N(m, v) ‖ N(n, w)) in closed form."""
    with as_written():
        start = KL(Normal(z, mean, variance), Normal(z, other_mean, other_variance))
        ratio = sp.sympify(variance) / sp.sympify(other_variance)
        value = (
            ratio + (mean - sp.sympify(other_mean)) ** 2 / sp.sympify(other_variance) - 1 - sp.log(ratio)
        ) / 2
        return Derivation("gaussian_kl", start, "KL of two Gaussians").step(value, "Gaussian integrals")
