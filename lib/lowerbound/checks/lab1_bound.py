"""Lab 1: the average of draws from the prior, one draw of the bound, and the E-step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .cases import POINTS, normal
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor, torch

LOG_2PI = math.log(2 * math.pi)


def _log_likelihoods(rng: Rng) -> Iterator[tuple[Tensor]]:
    for _ in range(POINTS):
        yield (3 * normal(rng, 7) - 1500,)  # far below the smallest float's logarithm


def _naive(log_likelihood: Tensor) -> Tensor:
    return torch.logsumexp(log_likelihood, 0) - math.log(len(log_likelihood))


naive_log_p = Check(
    "naive_log_p",
    "eq-elbo-evidence",
    _log_likelihoods,
    _naive,
    {
        "mean of the logs": Mistake(
            lambda log_likelihood: log_likelihood.mean(),
            "this is the mean of the logarithms. Averaged are the probabilities, and the log comes after.",
        ),
        "not divided": Mistake(
            lambda log_likelihood: torch.logsumexp(log_likelihood, 0),
            "this is the log of a sum. A mean is divided by the number of draws.",
        ),
        "the best draw": Mistake(
            lambda log_likelihood: log_likelihood.max(), "this is the best of the draws, not their mean."
        ),
        "underflow": Mistake(
            lambda log_likelihood: log_likelihood.exp().mean().log(),
            "exp(−1500) is 0 in floating point, and its log −∞. Use torch.logsumexp.",
        ),
        "underflow, avoided by a floor": Mistake(
            lambda log_likelihood: log_likelihood.exp().mean().clamp(min=1e-300).log(),
            "exp(−1500) is 0 in floating point, and a floor under it is not its value. Use torch.logsumexp.",
        ),
    },
)


def _draws(rng: Rng) -> Iterator[tuple[float, ...]]:
    """An observation, weight and width of the decoder, mean and variance of the encoder, noise."""
    for _ in range(POINTS):
        yield (
            between(rng, 1, 3), between(rng, 0.4, 2), between(rng, 0.5, 0.9), between(rng, 0.2, 1),
            between(rng, 0.3, 0.8), between(rng, 0.5, 2),
        )  # fmt: skip


def _log_normal(value: float, mean: float, variance: float) -> float:
    return -((value - mean) ** 2 / variance + math.log(variance) + LOG_2PI) / 2


def _draw(
    x: float, w: float, s: float, m: float, v: float, eps: float,
    prior: float = 1.0, encoder: float = -1.0, root: float = 0.5,
) -> float:  # fmt: skip
    z = m + v**root * eps
    log_joint = _log_normal(x, w * z, s**2) + prior * _log_normal(z, 0.0, 1.0)
    return log_joint + encoder * _log_normal(z, m, v)


elbo_draw = Check(
    "elbo_draw",
    "thm-elbo-definition",
    _draws,
    _draw,
    {
        "variance as width": Mistake(
            lambda *case: _draw(*case, root=1.0),
            "the draw is too narrow or too wide: v is a variance, and eps is multiplied by its root.",
        ),
        "log q added": Mistake(
            lambda *case: _draw(*case, encoder=1.0), "log q comes in with the wrong sign: q divides."
        ),
        "no log q": Mistake(
            lambda *case: _draw(*case, encoder=0.0), "log p(x, z) is there; log q(z | x) is missing."
        ),
        "no prior": Mistake(
            lambda *case: _draw(*case, prior=0.0),
            "p(x, z) is the decoder times the prior, and the prior is missing.",
        ),
        "no draw": Mistake(
            lambda x, w, s, m, v, eps: _draw(x, w, s, m, v, 0.0),
            "z is always the mean of q here. Draw it: eps is a draw from N(0, 1).",
        ),
        "s as variance": Mistake(
            lambda x, w, s, m, v, eps: _draw(x, w, math.sqrt(s), m, v, eps),
            "s is the decoder's standard deviation, so its variance is s².",
        ),
    },
)


def _log_joints(rng: Rng) -> Iterator[tuple[Tensor]]:
    for _ in range(POINTS):
        yield (normal(rng, 5, 3),)


responsibilities = Check(
    "responsibilities",
    "thm-elbo-floor",
    _log_joints,
    lambda log_joint: log_joint.softmax(1),
    {
        "not normalised": Mistake(
            lambda log_joint: log_joint.exp(),
            "these are the joint probabilities. A posterior sums to one over z: divide by p(x).",
        ),
        "over the data": Mistake(
            lambda log_joint: log_joint.softmax(0),
            "each column sums to one. It is each row, one observation, that must.",
        ),
        "the most probable alone": Mistake(
            lambda log_joint: torch.nn.functional.one_hot(log_joint.argmax(1), 3).double(),
            "each observation goes to one component alone: this is hard EM. The posterior shares it.",
        ),
        "its logarithm": Mistake(
            lambda log_joint: log_joint.log_softmax(1), "this is the logarithm of the posterior."
        ),
        "logs divided": Mistake(
            lambda log_joint: log_joint / log_joint.sum(1, keepdim=True),
            "logarithms were divided by their sum. Probabilities are: take exp first.",
        ),
    },
)
