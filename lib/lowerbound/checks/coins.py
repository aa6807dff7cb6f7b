"""Assignment 1: the bound of two coins, its gap, and the guess that closes it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy as sp

from .cases import POINTS, Rng, between, derivation, line
from .engine import Check, Mistake

LOG2 = math.log(2)


def _letters() -> list[Any]:
    return sorted(derivation("two_states").last.free_symbols, key=str)


def _coins(rng: Rng) -> Iterator[tuple[float, ...]]:
    for _ in range(POINTS):
        yield between(rng, 0.02, 0.3), between(rng, 0.1, 0.6), between(rng, 0.05, 0.95)


def _bound(a: float, b: float, r: float) -> float:
    return float(line("two_states", *_letters(), part=0)(a, b, r))


def _gap(a: float, b: float, r: float) -> float:
    return float(line("two_states", *_letters(), part=1)(a, b, r))


@cache
def _stationary() -> Any:
    """The r at which the bound of the proof is stationary, as a function of a and b."""
    a, b, r = _letters()
    letters = sp.symbols("a b r", positive=True)
    bound = derivation("two_states").last.args[0].xreplace(dict(zip((a, b, r), letters, strict=True)))
    (best,) = sp.solve(sp.diff(sp.expand_log(bound.doit()), letters[2]), letters[2])
    return sp.lambdify(letters[:2], best)


coin_bound = Check(
    "coin_bound",
    "eq-elbo-two-states",
    _coins,
    _bound,
    {
        "no entropy": Mistake(
            lambda a, b, r: r * math.log(a) + (1 - r) * math.log(b),
            "the guess q weighs the two terms, but its own logarithm is missing from them.",
        ),
        "entropy's sign": Mistake(
            lambda a, b, r: r * math.log(a * r) + (1 - r) * math.log(b * (1 - r)),
            "log q comes in with the wrong sign: q belongs below the fraction.",
        ),
        "negative": Mistake(
            lambda a, b, r: -_bound(a, b, r),
            "this is the negative bound, the loss. Asked for is the bound itself, which is below log p(x).",
        ),
        "log of the mean": Mistake(
            lambda a, b, r: math.log(r * a + (1 - r) * b),
            "this is the logarithm of a mean. The bound is the mean of a logarithm.",
        ),
        "weighted by p": Mistake(
            lambda a, b, r: a * math.log(a / r) + b * math.log(b / (1 - r)),
            "the terms are weighted by p(x, z). The expectation is under q.",
        ),
        "log p(x)": Mistake(
            lambda a, b, r: math.log(a + b),
            "this is log p(x) itself: it does not depend on the guess, and the bound does.",
        ),
        "gap": Mistake(_gap, "this is the gap, what is missing to log p(x), not the bound."),
        "bits": Mistake(
            lambda a, b, r: _bound(a, b, r) / LOG2, "this is in bits. Logarithms here are natural: nats."
        ),
        "states exchanged": Mistake(
            lambda a, b, r: _bound(b, a, r),
            "r is the probability of the fair coin, the one that a goes with.",
        ),
    },
)

coin_gap = Check(
    "coin_gap",
    "eq-elbo-two-states",
    _coins,
    _gap,
    {
        "reversed": Mistake(
            lambda a, b, r: (
                a / (a + b) * math.log(a / (a + b) / r) + b / (a + b) * math.log(b / (a + b) / (1 - r))
            ),
            "this is the KL from the posterior to q. The gap is the other one: the expectation is under q.",
        ),
        "negative": Mistake(lambda a, b, r: -_gap(a, b, r), "the sign is turned: a KL is never negative."),
        "posterior not normalised": Mistake(
            lambda a, b, r: r * math.log(r / a) + (1 - r) * math.log((1 - r) / b),
            "you compared q with p(x, z). The posterior p(z | x) must sum to one: divide by p(x).",
        ),
        "one term": Mistake(
            lambda a, b, r: r * math.log(r / (a / (a + b))),
            "this is the term of one state. A KL sums over both, and its terms alone may be negative.",
        ),
        "cross-entropy": Mistake(
            lambda a, b, r: -r * math.log(a / (a + b)) - (1 - r) * math.log(b / (a + b)),
            "this is the cross-entropy of q and the posterior: the entropy of q has to be taken off.",
        ),
        "to the prior": Mistake(
            lambda a, b, r: r * math.log(2 * r) + (1 - r) * math.log(2 * (1 - r)),
            "this is the KL from q to the prior (½, ½), a part of the bound. The gap is to the posterior.",
        ),
        "bits": Mistake(lambda a, b, r: _gap(a, b, r) / LOG2, "this is in bits; nats are asked for."),
        "states exchanged": Mistake(
            lambda a, b, r: _gap(b, a, r), "r is the probability of the fair coin, the one that a goes with."
        ),
    },
)

best_guess = Check(
    "best_guess",
    "thm-elbo-gap",
    lambda rng: ((a, b) for a, b, _ in _coins(rng)),
    lambda a, b: float(_stationary()(a, b)),
    {
        "prior": Mistake(lambda a, b: 0.5, "this is the prior: it has not looked at the data."),
        "other state": Mistake(
            lambda a, b: b / (a + b),
            "this is the probability of the two-headed coin; r is that of the fair one.",
        ),
        "odds": Mistake(lambda a, b: a / b, "these are odds. A probability is a share of the whole."),
        "not normalised": Mistake(lambda a, b: a, "this is p(x, fair), which is not yet given x."),
        "hard": Mistake(
            lambda a, b: 1.0 if a > b else 0.0,
            "this picks the more probable coin and is certain of it. The gap is zero for another guess.",
        ),
        "softmax of probabilities": Mistake(
            lambda a, b: math.exp(a) / (math.exp(a) + math.exp(b)),
            "a softmax takes logarithms. Here a and b are probabilities already.",
        ),
        "roots": Mistake(
            lambda a, b: math.sqrt(a) / (math.sqrt(a) + math.sqrt(b)),
            "there is a root too many: this lies between the prior and the best guess.",
        ),
    },
)
