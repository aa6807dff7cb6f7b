"""Lab 2: a gradient through a sample by hand, and the density of all codes together."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .cases import POINTS, normal
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor, torch

LOG_2PI = math.log(2 * math.pi)


def _samples(rng: Rng) -> Iterator[tuple[float, float, float, float, Tensor]]:
    """An observation, mean and width of the encoder, width of the decoder, noise (n,)."""
    for _ in range(POINTS):
        yield (
            between(rng, 1, 3), between(rng, -1, 1), between(rng, 0.3, 0.8), between(rng, 0.4, 0.7),
            normal(rng, 6),
        )  # fmt: skip


def _through_sample(x: float, mu: float, sigma: float, sigma_x: float, eps: Tensor) -> tuple[Tensor, Tensor]:
    """By autograd, for the distortion of a decoder N(x; z, σ_x²)."""
    mean, std = (torch.full_like(eps, value, requires_grad=True) for value in (mu, sigma))
    distortion = (x - (mean + std * eps)) ** 2 / (2 * sigma_x**2)
    by_mean, by_std = torch.autograd.grad(distortion.sum(), (mean, std))
    return by_mean, by_std


sample_gradient = Check(
    "sample_gradient",
    "eq-vae-reparameterised",
    _samples,
    _through_sample,
    {
        "sign": Mistake(
            lambda *case: tuple(-part for part in _through_sample(*case)),
            "the sign is turned: this is the gradient of the log-likelihood, not of the distortion.",
        ),
        "same for both": Mistake(
            lambda *case: (_through_sample(*case)[0],) * 2,
            "both parts are equal. A change of sigma moves z by eps, not by 1: the chain rule has a factor.",
        ),
        "width not squared": Mistake(
            lambda *case: tuple(part * case[3] for part in _through_sample(*case)),
            "the squared error is divided by sigma_x², and here by sigma_x.",
        ),
        "twice": Mistake(
            lambda *case: tuple(2 * part for part in _through_sample(*case)),
            "a factor of 2 too much: the distortion is half of the squared error over sigma_x².",
        ),
        "score function": Mistake(
            lambda x, mu, sigma, sigma_x, eps: (
                (x - mu - sigma * eps) ** 2 / (2 * sigma_x**2) * eps / sigma,
                (x - mu - sigma * eps) ** 2 / (2 * sigma_x**2) * (eps**2 - 1) / sigma,
            ),
            "this is the score function estimate, which holds z still. Asked for is the one through z.",
        ),
        "at the mean": Mistake(
            lambda x, mu, sigma, sigma_x, eps: (
                (mu - x) / sigma_x**2 + 0 * eps,
                (mu - x) / sigma_x**2 * eps,
            ),
            "the slope is taken at mu. It belongs at the sample, z = mu + sigma · eps.",
        ),
    },
)


def _posteriors(rng: Rng) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Codes (S, K), and mean and logvar (N, K) of the posteriors."""
    for _ in range(POINTS):
        yield normal(rng, 4, 2), normal(rng, 6, 2), 0.5 * normal(rng, 6, 2) - 1


def _each(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """The log density of each code under each posterior, (S, N)."""
    squared = (z[:, None] - mean) ** 2 * torch.exp(-logvar)
    return -0.5 * (squared + logvar + LOG_2PI).sum(2)


log_aggregate = Check(
    "log_aggregate",
    "thm-vae-surgery",
    _posteriors,
    lambda z, mean, logvar: torch.logsumexp(_each(z, mean, logvar), 1) - math.log(len(mean)),
    {
        "mean of the logs": Mistake(
            lambda z, mean, logvar: _each(z, mean, logvar).mean(1),
            "this is the mean of log densities. A mixture averages the densities, and the log comes after.",
        ),
        "not divided": Mistake(
            lambda z, mean, logvar: torch.logsumexp(_each(z, mean, logvar), 1),
            "the densities are added. A mixture of N images weighs each of them by 1/N.",
        ),
        "over the codes": Mistake(
            lambda z, mean, logvar: torch.logsumexp(_each(z, mean, logvar)[:, :4], 0) - math.log(len(z)),
            "averaged is over the codes. It is over the images, for each code.",
        ),
        "log variance as log width": Mistake(
            lambda z, mean, logvar: torch.logsumexp(_each(z, mean, 2 * logvar), 1) - math.log(len(mean)),
            "logvar is log σ², and here it is taken for log σ.",
        ),
        "one Gaussian": Mistake(
            lambda z, mean, logvar: _each(z, mean.mean(0, keepdim=True), logvar.mean(0, keepdim=True))[:, 0],
            "this is one Gaussian with averaged parameters. The aggregate is a mixture of all of them.",
        ),
        "constant": Mistake(
            lambda z, mean, logvar: (
                torch.logsumexp(_each(z, mean, logvar), 1) - math.log(len(mean)) + LOG_2PI
            ),
            "the constant ½ log 2π of each latent is missing from the densities.",
        ),
    },
)
