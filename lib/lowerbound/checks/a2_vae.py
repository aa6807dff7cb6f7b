"""Assignment 2: the sample, the rate, the rate of each latent, the likelihood, the loss, and a proof."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ..proofs import ch2_vae as vae
from ..symbolic import KL, Normal
from .cases import POINTS, Rng, line, normal, on
from .engine import Check, Mistake
from .proved import ProofCheck

LATENTS, PIXELS = 20, 12
IMAGE = 784  # pixels of the images that a student trains on
LOG_2PI = math.log(2 * math.pi)


def _codes(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, LATENTS), 0.8 * normal(rng, 5, LATENTS) - 0.5


def _latents(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL to N(0, 1) of each dimension, from the proof."""
    return on(line("gaussian_kl_standard", vae.mu, vae.sigma), mean, (logvar / 2).exp())


def _rate(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, I)) of codes (B, K), from the proof. (B,) nats."""
    return _latents(mean, logvar).sum(1)


kl = Check(
    "kl",
    "eq-vae-kl",
    _codes,
    _rate,
    {
        "mean over the latents": Mistake(
            lambda mean, logvar: _rate(mean, logvar) / mean.shape[1],
            f"this is the mean over the {LATENTS} latent dimensions, not the sum. With a "
            f"reconstruction averaged over {IMAGE} pixels that is a β-VAE with β = {IMAGE / LATENTS:.1f}, "
            f"and with one that is summed, β = {1 / LATENTS:g}.",
        ),
        "mean over the batch": Mistake(
            lambda mean, logvar: _rate(mean, logvar).mean(),
            "you averaged over the batch. Return one value for each example; the caller averages.",
        ),
        "sum over the batch": Mistake(
            lambda mean, logvar: _rate(mean, logvar).sum(),
            "you summed over the batch too. Return one value for each example.",
        ),
        "not summed": Mistake(
            _latents, "these are the dimensions one by one; a KL of independent parts adds up."
        ),
        "no half": Mistake(
            lambda mean, logvar: 2 * _rate(mean, logvar), "it is twice the KL: a half is missing."
        ),
        "no minus sign": Mistake(
            lambda mean, logvar: -_rate(mean, logvar),
            "no minus sign, or one too many: a KL is never negative.",
        ),
        "no −1": Mistake(
            lambda mean, logvar: _rate(mean, logvar) + mean.shape[1] / 2,
            "the constant is missing: for q = N(0, I), which is the prior, the KL must be 0.",
        ),
        "mean not squared": Mistake(
            lambda mean, logvar: _rate(mean, logvar) + ((mean.abs() - mean**2) / 2).sum(1),
            "the distance from the origin comes in squared.",
        ),
        "logvar as log σ": Mistake(
            lambda mean, logvar: _rate(mean, 2 * logvar), "you took logvar for log σ; it is log σ²."
        ),
        "logvar as the variance": Mistake(
            lambda mean, logvar: _rate(mean, logvar) + ((logvar - logvar.exp()) / 2).sum(1),
            "where the variance belongs you have its logarithm.",
        ),
        "no logarithm": Mistake(
            lambda mean, logvar: _rate(mean, logvar) + (logvar / 2).sum(1),
            "the logarithm is missing: nothing then keeps the variance from going to 0.",
        ),
        "the other way round": Mistake(
            lambda mean, logvar: (((1 + mean**2) * (-logvar).exp() - 1 + logvar) / 2).sum(1),
            "this is the KL from the prior to q. The expectation is under q, the encoder.",
        ),
    },
)


def _noises(rng: Rng) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for mean, logvar in _codes(rng):
        yield mean, logvar, normal(rng, *mean.shape)


reparameterise = Check(
    "reparameterise",
    "eq-vae-reparameterised",
    _noises,
    lambda mean, logvar, noise: mean + (logvar / 2).exp() * noise,
    {
        "variance as scale": Mistake(
            lambda mean, logvar, noise: mean + logvar.exp() * noise,
            "you scaled the noise by the variance; a standard deviation belongs there.",
        ),
        "logvar as log σ²·2": Mistake(
            lambda mean, logvar, noise: mean + (logvar / 4).exp() * noise, "you took one root too many."
        ),
        "logvar as scale": Mistake(
            lambda mean, logvar, noise: mean + logvar * noise, "you scaled the noise by logvar itself."
        ),
        "no scale": Mistake(
            lambda mean, logvar, noise: mean + noise, "the noise has the same width for every x."
        ),
        "no noise": Mistake(lambda mean, logvar, noise: 1 * mean, "this is the mean; nothing is drawn."),
        "precision as scale": Mistake(
            lambda mean, logvar, noise: mean + (-logvar / 2).exp() * noise,
            "the sign of logvar is turned: the noise shrinks where it should grow.",
        ),
        "exchanged": Mistake(
            lambda mean, logvar, noise: mean * noise + (logvar / 2).exp(), "mean and scale changed places."
        ),
        "no gradient": Mistake(
            lambda mean, logvar, noise: (mean + (logvar / 2).exp() * noise).detach(),
            "the values are right, but no gradient passes through them: the encoder would learn nothing.",
        ),
        "no gradient to logvar": Mistake(
            lambda mean, logvar, noise: mean + (logvar / 2).exp().detach() * noise,
            "the values are right, but no gradient reaches logvar: the width would never be learned.",
        ),
    },
    leaves=(0, 1),
)


def _rates_of(mean: Tensor, logvar: Tensor) -> Tensor:
    return _latents(mean, logvar).mean(0)


rate_per_latent = Check(
    "rate_per_latent",
    "thm-vae-surgery",
    _codes,
    _rates_of,
    {
        "of the average code": Mistake(
            lambda mean, logvar: _latents(mean.mean(0), logvar.mean(0)),
            "this is the KL of the average code. Asked for is the average of the KLs, which is larger.",
        ),
        "sum over the batch": Mistake(
            lambda mean, logvar: _latents(mean, logvar).sum(0), "you summed over the images; take their mean."
        ),
        "mean over the latents": Mistake(
            lambda mean, logvar: _latents(mean, logvar).mean(1),
            "you averaged over the latents. One value for each latent is asked for: average over the images.",
        ),
        "all together": Mistake(
            lambda mean, logvar: _latents(mean, logvar).sum(1).mean(),
            "this is the whole rate. To see which latents are used, keep them apart.",
        ),
        "no half": Mistake(lambda mean, logvar: 2 * _rates_of(mean, logvar), "a half is missing."),
        "spread of the means": Mistake(
            lambda mean, logvar: mean.var(0),
            "this is how much the means move. It tells active units too, but it is no rate in nats.",
        ),
        "no mean": Mistake(
            lambda mean, logvar: _latents(torch.zeros_like(mean), logvar).mean(0),
            "the means are missing: a code may be away from the prior by its place alone.",
        ),
    },
)


def _images(rng: Rng) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for far in (1.0, 0.2) * (POINTS // 2):
        x = normal(rng, 5, PIXELS)
        yield x, x + far * normal(rng, 5, PIXELS), 0.4 * normal(rng, 5, PIXELS) + math.log(far)


def _pixels(x: Tensor, x_hat: Tensor, log_sigma: Tensor) -> Tensor:
    """Log density of each pixel, from the proof."""
    names = [sp.Symbol("sigma", positive=True), *sp.symbols("x xhat", real=True)]
    return -on(line("gaussian_nll", *names), log_sigma.exp(), x, x_hat)


def _log(x: Tensor, x_hat: Tensor, log_sigma: Tensor) -> Tensor:
    return _pixels(x, x_hat, log_sigma).sum(1)


log_likelihood = Check(
    "log_likelihood",
    "eq-vae-gaussian",
    _images,
    _log,
    {
        "no constant": Mistake(
            lambda x, x_hat, log_sigma: (_pixels(x, x_hat, log_sigma) + LOG_2PI / 2).sum(1),
            "this is a Gaussian without its constant: it does not integrate to one.",
        ),
        "no minus sign": Mistake(
            lambda x, x_hat, log_sigma: -_log(x, x_hat, log_sigma),
            "no minus sign, or one too many: this is −log p, which is small where the model is right.",
        ),
        "no log σ": Mistake(
            lambda x, x_hat, log_sigma: (_pixels(x, x_hat, log_sigma) + log_sigma).sum(1),
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
                _pixels(x, x_hat, log_sigma) - (x - x_hat) ** 2 * (-2 * log_sigma).exp() / 2
            ).sum(1),
            "the squared error has lost its half.",
        ),
        "mean over the pixels": Mistake(
            lambda x, x_hat, log_sigma: _pixels(x, x_hat, log_sigma).mean(1),
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
    return _rate(mean, logvar) - _log(x, x_hat, log_sigma)


def _variant(of: Any) -> Any:
    """A loss made of the log-likelihood (B,) and the rate (B,)."""
    return lambda x, x_hat, log_sigma, mean, logvar: of(_log(x, x_hat, log_sigma), _rate(mean, logvar))


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
            f"over latents: a β-VAE, and with {IMAGE} pixels β = {IMAGE / LATENTS:.1f}.",
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
            lambda x, x_hat, log_sigma, mean, logvar: _rate(mean, logvar) + ((x - x_hat) ** 2).sum(1),
            "the reconstruction is a squared error without σ: the weight of the KL is then an accident.",
        ),
    },
)

rate_derivation = ProofCheck(
    "rate_derivation",
    "eq-vae-kl",
    lambda: KL(Normal(vae.z, vae.mu, vae.sigma**2), Normal(vae.z, 0, vae.s**2)),
    lambda: sp.Integer(0),
    steps=4,
    closed=True,
)
