"""Lab 3: one step of the chain, and Bayes' rule on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..proofs import ch3_forward as forward
from .cases import POINTS, derivation, normal, on
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor, torch


def _steps(rng: Rng) -> Iterator[tuple[Tensor, float, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, 2), between(rng, 0.05, 0.6), normal(rng, 5, 2)


def _step(x: Tensor, beta: float, eps: Tensor) -> Tensor:
    """A draw of the step by its definition: mean + √variance · ε."""
    _, mean, variance = derivation("forward_step").last.args
    scale = float(variance.subs(forward.beta, beta)) ** 0.5
    return on(lambda value: float(mean.subs({forward.beta: beta, forward.xs: 1})) * value, x) + scale * eps


def _of(signal: Any, noise: Any) -> Any:
    """A step with these factors of x and of ε, each a function of β."""
    return lambda x, beta, eps: signal(beta) * x + noise(beta) * eps


forward_step = Check(
    "forward_step",
    "thm-forward-step",
    _steps,
    _step,
    {
        "noise β": Mistake(
            _of(lambda b: (1 - b) ** 0.5, lambda b: b), "the noise is scaled by β; its variance is then β²."
        ),
        "not shrunk": Mistake(
            _of(lambda b: 1, lambda b: b**0.5), "x is not shrunk: with every step its variance grows."
        ),
        "shrunk by 1 − β": Mistake(
            _of(lambda b: 1 - b, lambda b: b**0.5), "x is shrunk by 1 − β; the factor is the root of that."
        ),
        "nothing rooted": Mistake(
            _of(lambda b: 1 - b, lambda b: b), "both factors lack their roots: they are those of variances."
        ),
        "exchanged": Mistake(
            _of(lambda b: b**0.5, lambda b: (1 - b) ** 0.5), "signal and noise have changed places."
        ),
        "no noise": Mistake(_of(lambda b: (1 - b) ** 0.5, lambda b: 0), "no noise is added."),
    },
)


def _grids(rng: Rng) -> Iterator[tuple[Tensor, Tensor, float]]:
    """A prior and a likelihood on a grid, both positive, and the grid's spacing."""
    for _ in range(POINTS):
        yield normal(rng, 9).exp(), normal(rng, 9).exp(), between(rng, 0.01, 0.2)


def _bayes(prior: Tensor, likelihood: Tensor, dx: float) -> Tensor:
    product = prior * likelihood
    return product / (product.sum() * dx)


bayes = Check(
    "bayes",
    "eq-forward-bayes",
    _grids,
    _bayes,
    {
        "not normalised": Mistake(
            lambda prior, likelihood, dx: prior * likelihood,
            "this is prior times likelihood. Its area is not 1: divide by the area.",
        ),
        "sum for the area": Mistake(
            lambda prior, likelihood, dx: prior * likelihood / (prior * likelihood).sum(),
            "you divided by the sum. An area is the sum times the width dx of a cell.",
        ),
        "prior forgotten": Mistake(
            lambda prior, likelihood, dx: likelihood / (likelihood.sum() * dx),
            "the prior is missing: before x_t is seen, not all x_{t−1} are equally likely.",
        ),
        "likelihood forgotten": Mistake(
            lambda prior, likelihood, dx: prior / (prior.sum() * dx),
            "the likelihood is missing: this does not look at x_t.",
        ),
        "each scaled by itself": Mistake(
            lambda prior, likelihood, dx: prior / (prior.sum() * dx) * (likelihood / (likelihood.sum() * dx)),
            "you scaled the factors and not their product; the area of a product is another.",
        ),
        "logs added": Mistake(
            lambda prior, likelihood, dx: torch.softmax(prior + likelihood, 0) / dx,
            "the densities are multiplied, not added; a softmax would need their logarithms.",
        ),
    },
)
