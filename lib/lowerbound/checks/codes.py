"""Assignment 2: the sample, the rate, and the rate of each latent, which tells a collapsed code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ..proofs import ch2_vae as vae
from ..symbolic import KL, Normal
from .cases import POINTS, Rng, line, normal, on
from .engine import Check, Mistake
from .proved import ProofCheck

LATENTS, PIXELS = 20, 784


def _codes(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, LATENTS), 0.8 * normal(rng, 5, LATENTS) - 0.5


def _each(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL to N(0, 1) of each dimension, from the proof."""
    return on(line("gaussian_kl_standard", vae.mu, vae.sigma), mean, (logvar / 2).exp())


def rate(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, I)) of codes (B, K), from the proof. (B,) nats."""
    return _each(mean, logvar).sum(1)


kl = Check(
    "kl",
    "eq-vae-kl",
    _codes,
    rate,
    {
        "mean over the latents": Mistake(
            lambda mean, logvar: rate(mean, logvar) / mean.shape[1],
            f"this is the mean over the {LATENTS} latent dimensions, not the sum. With a "
            f"reconstruction averaged over {PIXELS} pixels that is a β-VAE with β = {PIXELS / LATENTS:.1f}, "
            f"and with one that is summed, β = {1 / LATENTS:g}.",
        ),
        "mean over the batch": Mistake(
            lambda mean, logvar: rate(mean, logvar).mean(),
            "you averaged over the batch. Return one value for each example; the caller averages.",
        ),
        "sum over the batch": Mistake(
            lambda mean, logvar: rate(mean, logvar).sum(),
            "you summed over the batch too. Return one value for each example.",
        ),
        "not summed": Mistake(
            _each, "these are the dimensions one by one; a KL of independent parts adds up."
        ),
        "no half": Mistake(
            lambda mean, logvar: 2 * rate(mean, logvar), "it is twice the KL: a half is missing."
        ),
        "no minus sign": Mistake(
            lambda mean, logvar: -rate(mean, logvar),
            "no minus sign, or one too many: a KL is never negative.",
        ),
        "no −1": Mistake(
            lambda mean, logvar: rate(mean, logvar) + mean.shape[1] / 2,
            "the constant is missing: for q = N(0, I), which is the prior, the KL must be 0.",
        ),
        "mean not squared": Mistake(
            lambda mean, logvar: rate(mean, logvar) + ((mean.abs() - mean**2) / 2).sum(1),
            "the distance from the origin comes in squared.",
        ),
        "logvar as log σ": Mistake(
            lambda mean, logvar: rate(mean, 2 * logvar), "you took logvar for log σ; it is log σ²."
        ),
        "logvar as the variance": Mistake(
            lambda mean, logvar: rate(mean, logvar) + ((logvar - logvar.exp()) / 2).sum(1),
            "where the variance belongs you have its logarithm.",
        ),
        "no logarithm": Mistake(
            lambda mean, logvar: rate(mean, logvar) + (logvar / 2).sum(1),
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


def _with_gradients(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """The sample, and what it passes back to mean and logvar."""
    mean, logvar, noise = arguments
    mean, logvar = mean.requires_grad_(), logvar.requires_grad_()
    z = function(mean, logvar, noise)
    if type(z) is not Tensor or not z.requires_grad:
        return z, torch.zeros_like(mean), torch.zeros_like(logvar)
    weights = torch.linspace(0.5, 1.5, z.numel(), dtype=torch.float64).view(z.shape)
    back = torch.autograd.grad((weights * z).sum(), (mean, logvar), allow_unused=True)
    to_mean, to_logvar = (torch.zeros_like(mean) if g is None else g for g in back)
    return z, to_mean, to_logvar


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
    observe=_with_gradients,
)


def _rates_of(mean: Tensor, logvar: Tensor) -> Tensor:
    return _each(mean, logvar).mean(0)


rate_per_latent = Check(
    "rate_per_latent",
    "thm-vae-surgery",
    _codes,
    _rates_of,
    {
        "of the average code": Mistake(
            lambda mean, logvar: _each(mean.mean(0), logvar.mean(0)),
            "this is the KL of the average code. Asked for is the average of the KLs, which is larger.",
        ),
        "sum over the batch": Mistake(
            lambda mean, logvar: _each(mean, logvar).sum(0), "you summed over the images; take their mean."
        ),
        "mean over the latents": Mistake(
            lambda mean, logvar: _each(mean, logvar).mean(1),
            "you averaged over the latents. One value for each latent is asked for: average over the images.",
        ),
        "all together": Mistake(
            lambda mean, logvar: _each(mean, logvar).sum(1).mean(),
            "this is the whole rate. To see which latents are used, keep them apart.",
        ),
        "no half": Mistake(lambda mean, logvar: 2 * _rates_of(mean, logvar), "a half is missing."),
        "spread of the means": Mistake(
            lambda mean, logvar: mean.var(0),
            "this is how much the means move. It tells active units too, but it is no rate in nats.",
        ),
        "no mean": Mistake(
            lambda mean, logvar: _each(torch.zeros_like(mean), logvar).mean(0),
            "the means are missing: a code may be away from the prior by its place alone.",
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
