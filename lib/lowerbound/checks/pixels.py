"""Assignment 2: the likelihood with its σ, and the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp
from torch import Tensor

from .cases import POINTS, Rng, line, normal, on
from .codes import LATENTS, rate
from .engine import Check, Mistake

LOG_2PI = math.log(2 * math.pi)
PIXELS = 12


def _images(rng: Rng) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for far in (1.0, 0.2) * (POINTS // 2):
        x = normal(rng, 5, PIXELS)
        yield x, x + far * normal(rng, 5, PIXELS), 0.4 * normal(rng, 5, PIXELS) + math.log(far)


def _each(x: Tensor, x_hat: Tensor, log_sigma: Tensor) -> Tensor:
    """Log density of each pixel, from the proof."""
    names = [sp.Symbol("sigma", positive=True), *sp.symbols("x xhat", real=True)]
    return -on(line("gaussian_nll", *names), log_sigma.exp(), x, x_hat)


def _log(x: Tensor, x_hat: Tensor, log_sigma: Tensor) -> Tensor:
    return _each(x, x_hat, log_sigma).sum(1)


log_likelihood = Check(
    "log_likelihood",
    "eq-vae-gaussian",
    _images,
    _log,
    {
        "no constant": Mistake(
            lambda x, x_hat, log_sigma: (_each(x, x_hat, log_sigma) + LOG_2PI / 2).sum(1),
            "this is a Gaussian without its constant: it does not integrate to one.",
        ),
        "no minus sign": Mistake(
            lambda x, x_hat, log_sigma: -_log(x, x_hat, log_sigma),
            "no minus sign, or one too many: this is −log p, which is small where the model is right.",
        ),
        "no log σ": Mistake(
            lambda x, x_hat, log_sigma: (_each(x, x_hat, log_sigma) + log_sigma).sum(1),
            "the term log σ is missing: a larger σ would then always be better.",
        ),
        "σ for σ²": Mistake(
            lambda x, x_hat, log_sigma: (
                -((x - x_hat) ** 2) / (2 * log_sigma.exp()) - log_sigma - LOG_2PI / 2
            ).sum(1),
            "the squared error is divided by σ; units say that it must be σ².",
        ),
        "log σ as log σ²": Mistake(
            lambda x, x_hat, log_sigma: _log(x, x_hat, log_sigma / 2), "you took log σ for log σ²."
        ),
        "no half": Mistake(
            lambda x, x_hat, log_sigma: (
                _each(x, x_hat, log_sigma) - (x - x_hat) ** 2 * (-2 * log_sigma).exp() / 2
            ).sum(1),
            "the squared error has lost its half.",
        ),
        "mean over the pixels": Mistake(
            lambda x, x_hat, log_sigma: _each(x, x_hat, log_sigma).mean(1),
            "this is the mean over the pixels; log p of independent pixels is their sum.",
        ),
        "constant once": Mistake(
            lambda x, x_hat, log_sigma: _log(x, x_hat, log_sigma) + LOG_2PI / 2 * (x.shape[1] - 1),
            "the constant is counted once for all pixels; every pixel has one.",
        ),
        "squared error": Mistake(
            lambda x, x_hat, log_sigma: -((x - x_hat) ** 2).sum(1),
            "this is the squared error alone: without σ and its constant it is no likelihood.",
        ),
        "mean over the batch": Mistake(
            lambda x, x_hat, log_sigma: _log(x, x_hat, log_sigma).mean(),
            "you averaged over the batch. Return one value for each example; the caller averages.",
        ),
        "density itself": Mistake(
            lambda x, x_hat, log_sigma: _log(x, x_hat, log_sigma).exp(), "this is p, not log p."
        ),
    },
)


def _batches(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    for x, x_hat, log_sigma in _images(rng):
        yield x, x_hat, log_sigma, normal(rng, 5, LATENTS), 0.8 * normal(rng, 5, LATENTS) - 0.5


def _loss(x: Tensor, x_hat: Tensor, log_sigma: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    return rate(mean, logvar) - _log(x, x_hat, log_sigma)


def _variant(of: Any) -> Any:
    """A loss made of the log-likelihood (B,) and the rate (B,)."""
    return lambda x, x_hat, log_sigma, mean, logvar: of(_log(x, x_hat, log_sigma), rate(mean, logvar))


loss = Check(
    "loss",
    "eq-vae-bound",
    _batches,
    _loss,
    {
        "the bound itself": Mistake(
            _variant(lambda log_p, kl: log_p - kl), "this is the bound. A loss is minimised: turn the sign."
        ),
        "rate rewarded": Mistake(
            _variant(lambda log_p, kl: -log_p - kl),
            "the KL has the wrong sign: this loss falls as the codes run away from the prior.",
        ),
        "no rate": Mistake(_variant(lambda log_p, kl: -log_p), "this is an autoencoder: the KL is missing."),
        "no reconstruction": Mistake(
            _variant(lambda log_p, kl: kl), "only the KL is left: its optimum is a code that says nothing."
        ),
        "without the log": Mistake(
            _variant(lambda log_p, kl: kl - log_p.exp()),
            "the reconstruction is −p in place of −log p. The expectation is of a logarithm.",
        ),
        "means for sums": Mistake(
            _variant(lambda log_p, kl: kl / LATENTS - log_p / PIXELS),
            "both terms are means over their dimensions, not sums. The KL then has the weight pixels "
            f"over latents: a β-VAE, and with {784} pixels β = {784 / LATENTS:.1f}.",
        ),
        "rate averaged": Mistake(
            _variant(lambda log_p, kl: kl / LATENTS - log_p),
            f"the KL is a mean over the latents, not their sum: a β-VAE with β = {1 / LATENTS:g}.",
        ),
        "reconstruction averaged": Mistake(
            _variant(lambda log_p, kl: kl - log_p / PIXELS),
            f"the reconstruction is a mean over the pixels, not their sum: a β-VAE with β = {PIXELS}.",
        ),
        "mean over the batch": Mistake(
            _variant(lambda log_p, kl: (kl - log_p).mean()),
            "you averaged over the batch. Return one value for each example; the caller averages.",
        ),
        "squared error": Mistake(
            lambda x, x_hat, log_sigma, mean, logvar: rate(mean, logvar) + ((x - x_hat) ** 2).sum(1),
            "the reconstruction is a squared error without σ: the weight of the KL is then an accident.",
        ),
    },
)
