"""Chapter 1: log p(x) and its lower bound, for arbitrary positive densities."""

from __future__ import annotations

from typing import Any

from sympy import Integer, Integral, Symbol, log

from ..symbolic import KL, Derivation, E, Family, RandomVariable
from .registry import derivation

__all__ = [
    "elbo",
    "elbo_two_terms",
    "evidence",
    "evidence_lower_bound",
    "kl_nonnegative",
    "log_inequality",
    "pointwise_identity",
    "sampled_evidence",
    "two_expectations",
]

x, z = RandomVariable("x"), RandomVariable("z")
p = Family("p", "theta", fixed=[z])
q = Family("q", "phi")
t = Symbol("t", positive=True)


def _mean(f: Any) -> Any:
    return E(q(z | x), f)


@derivation(chapter=1, lecture="00:00–00:29")
def evidence() -> Derivation:
    """The evidence of x is an integral over all causes z."""
    d = Derivation("evidence", start=log(p(x)))
    d.step(log(Integral(p(x, z), z)), "sum rule")
    return d.step(log(Integral(p(x | z) * p(z), z)), "product rule")


@derivation(chapter=1, lecture="00:29–00:40")
def pointwise_identity() -> Derivation:
    """The log-evidence log p(x) is a sum of two logarithms, for every z."""
    d = Derivation("pointwise_identity", start=log(p(x)))
    d.step(log(p(x, z) / p(z | x)), "product rule")
    d.step(log((p(x, z) / q(z | x)) * (q(z | x) / p(z | x))), "multiply and divide by $q$")
    d.step(log(p(x, z) / q(z | x)) + log(q(z | x) / p(z | x)), "log of a product")
    return d


@derivation(chapter=1, lecture="00:29–00:52")
def two_expectations() -> Derivation:
    """The log-evidence log p(x) is the sum of two expectations, and the second is a KL divergence."""
    d = Derivation("two_expectations", start=log(p(x)))
    d.step(_mean(log(p(x))), "$z$ does not occur in it")
    d.step(_mean(log(p(x, z) / p(z | x))), "product rule")
    d.step(_mean(log((p(x, z) / q(z | x)) * (q(z | x) / p(z | x)))), "multiply and divide by $q$")
    d.step(_mean(log(p(x, z) / q(z | x)) + log(q(z | x) / p(z | x))), "log of a product")
    d.step(_mean(log(p(x, z) / q(z | x))) + _mean(log(q(z | x) / p(z | x))), "$\\mathbb{E}$ is linear")
    d.step(_mean(log(p(x, z) / q(z | x))) + KL(q(z | x), p(z | x)), "definition of KL")
    return d


@derivation(chapter=1, lecture="00:52–01:07")
def log_inequality() -> Derivation:
    """The logarithm lies below its tangent at 1."""
    return Derivation("log_inequality", start=t - 1).at_least(
        log(t), "least value of $t - 1 - \\log t$ is 0, at $t = 1$"
    )


@derivation(chapter=1, lecture="00:52–01:07")
def kl_nonnegative() -> Derivation:
    """A KL divergence is never negative."""
    ratio = p(z | x) / q(z | x)
    d = Derivation("kl_nonnegative", start=KL(q(z | x), p(z | x)))
    d.step(_mean(log(q(z | x) / p(z | x))), "definition of KL")
    d.step(-_mean(log(ratio)), "turn the fraction over")
    d.at_least(-_mean(ratio - 1), "$\\log t \\le t - 1$", because=t - 1 - log(t), at={t: ratio})
    d.step(1 - _mean(ratio), "$\\mathbb{E}$ is linear")
    d.step(Integer(0), "$p(z \\mid x)$ sums to one")
    return d


@derivation(chapter=1, lecture="00:52–01:16")
def evidence_lower_bound() -> Derivation:
    """The first expectation is a lower bound of log p(x)."""
    d = Derivation("evidence_lower_bound", start=log(p(x)))
    d.step(_mean(log(p(x, z) / q(z | x))) + KL(q(z | x), p(z | x)), "two expectations")
    d.at_least(_mean(log(p(x, z) / q(z | x))), "KL is never negative", because=KL(q(z | x), p(z | x)))
    return d


@derivation(chapter=1, lecture="01:36–05:16")
def elbo() -> Derivation:
    """The evidence lower bound, line by line."""
    d = Derivation("elbo", start=_mean(log(p(x, z) / q(z | x))))
    d.step(_mean(log(p(x | z) * p(z) / q(z | x))), "product rule")
    d.step(_mean(log(p(x | z)) + log(p(z) / q(z | x))), "log of a product")
    d.step(_mean(log(p(x | z))) + _mean(log(p(z) / q(z | x))), "$\\mathbb{E}$ is linear")
    d.step(_mean(log(p(x | z))) + (_mean(log(p(z))) - _mean(log(q(z | x)))), "log of a quotient")
    d.step(_mean(log(p(x | z))) - (_mean(log(q(z | x))) - _mean(log(p(z)))), "flip the sign")
    d.step(_mean(log(p(x | z))) - _mean(log(q(z | x) / p(z))), "log of a quotient")
    d.step(_mean(log(p(x | z))) - KL(q(z | x), p(z)), "definition of KL")
    return d


@derivation(chapter=1, lecture="00:29–05:16")
def elbo_two_terms() -> Derivation:
    """The log-evidence log p(x) is at least reconstruction minus KL to the prior."""
    d = Derivation("elbo_two_terms", start=log(p(x)))
    d.step(_mean(log(p(x, z) / q(z | x))) + KL(q(z | x), p(z | x)), "two expectations")
    d.step(_mean(log(p(x | z))) - KL(q(z | x), p(z)) + KL(q(z | x), p(z | x)), "line by line, as above")
    d.at_least(
        _mean(log(p(x | z))) - KL(q(z | x), p(z)), "KL is never negative", because=KL(q(z | x), p(z | x))
    )
    return d


@derivation(chapter=1)
def sampled_evidence() -> Derivation:
    """The mean of the ratio p(x, z)/q(z | x) is p(x) itself: the log makes the bound."""
    d = Derivation("sampled_evidence", start=_mean(p(x, z) / q(z | x)))
    d.step(p(x) * _mean(p(z | x) / q(z | x)), "product rule")
    d.step(p(x), "$p(z \\mid x)$ sums to one")
    return d
