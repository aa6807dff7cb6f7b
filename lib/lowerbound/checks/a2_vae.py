"""Assignment 2: the sample, the rate, the rate of each latent, the likelihood, the loss, and a proof."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..proofs import ch2_vae as vae
from ..symbolic import KL, Normal
from .cases import POINTS, line, normal, on
from .draws import Rng
from .engine import Check, Mistake, Slots
from .optional import Tensor, torch
from .proved import ProofCheck

LATENTS, PIXELS = 20, 12
IMAGE = 784  # pixels of the images that a student trains on
LOG_2PI = math.log(2 * math.pi)


def _codes(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, LATENTS), _extremes(0.8 * normal(rng, 5, LATENTS) - 0.5, -11, 11)


def _latents(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL to N(0, 1) of each dimension, from the proof."""
    return on(line("gaussian_kl_standard", vae.mu, vae.sigma), mean, (logvar / 2).exp())


def _rate(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, I)) of codes (B, K), from the proof. (B,) nats."""
    return _latents(mean, logvar).sum(1)


def _extremes(values: Tensor, low: float, high: float) -> Tensor:
    """With one entry of the last two rows far out, where a limit on the way would show."""
    values = values.clone()
    values[-1, 0], values[-2, 0] = high + values[-1, 0], low + values[-2, 0]
    return values


def _rates(
    mean: Tensor, logvar: Tensor, square: Any = None, variance: Any = None, log: Any = None, one: float = 1,
    halves: Any = None,
) -> Tensor:  # fmt: skip
    """The KL of each dimension, with other powers, signs or constants."""
    first = square(mean) if square else mean**2
    rest = (variance(logvar) if variance else logvar.exp()) - one - (log(logvar) if log else logvar)
    return halves(first, rest) if halves else (first + rest) / 2


RATE_SLOTS: dict[str, dict[str, Any]] = {
    "square": {
        "mean stands where its square belongs": lambda m: m,
        "the means are missing": lambda m: 0 * m,
        "the squared mean has the wrong sign": lambda m: -(m**2),
        "the mean's square is halved twice": lambda m: m**2 / 2,
        "(mean − 1)² stands where mean² belongs": lambda m: (m - 1) ** 2,
    },
    "variance": {
        "exp(logvar/2), a standard deviation, stands where the variance belongs": lambda v: (v / 2).exp(),
        "exp(2 logvar) stands where the variance belongs": lambda v: (2 * v).exp(),
        "exp(−logvar) stands where the variance belongs": lambda v: (-v).exp(),
        "softplus stands where exp belongs": torch.nn.functional.softplus,
        "the variance is missing": lambda v: 0 * v,
    },
    "log": {
        "logvar comes in with the wrong sign": lambda v: -v,
        "half of logvar stands where logvar belongs": lambda v: v / 2,
        "2 logvar stands where logvar belongs": lambda v: 2 * v,
        "log(logvar) stands where logvar belongs": lambda v: v.log(),
        "the logarithm is to base 2": lambda v: v / math.log(2),
        "the logarithm is that of softplus(logvar)": lambda v: torch.nn.functional.softplus(v).log(),
    },
    "one": {
        "−1 is missing": 0,
        "+1 stands where −1 belongs": -1,
        "−1 is halved": 0.5,
        "−2 stands where −1 belongs": 2,
    },
    "halves": {
        "the half belongs to all terms, and stands before the mean alone": lambda a, b: a / 2 + b,
        "the half belongs to all terms, and the mean has none": lambda a, b: a + b / 2,
        "the mean is taken off, where it belongs added": lambda a, b: (b - a) / 2,
    },
}


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
    slots=(Slots(lambda mean, logvar, **places: _rates(mean, logvar, **places).sum(1), RATE_SLOTS),),
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
        "no gradient to the mean": Mistake(
            lambda mean, logvar, noise: mean.detach() + (logvar / 2).exp() * noise,
            "the values are right, but no gradient reaches mean: the codes would never be learned.",
        ),
    },
    leaves=(0, 1),
    slots=(
        Slots(
            lambda mean, logvar, noise, scale=None, sign=1: (
                mean + sign * (scale(logvar) if scale else (logvar / 2).exp()) * noise
            ),
            {
                "scale": {
                    "2 to a power stands where exp belongs": lambda v: 2 ** (v / 2),
                    "10 to a power stands where exp belongs": lambda v: 10 ** (v / 2),
                    "softplus stands where exp belongs": torch.nn.functional.softplus,
                    "softplus of half the logvar stands where exp belongs": lambda v: (
                        torch.nn.functional.softplus(v / 2)
                    ),
                    "exp(2 logvar) stands where a standard deviation belongs": lambda v: (2 * v).exp(),
                    "|logvar| under a root stands where exp(logvar/2) belongs": lambda v: v.abs().sqrt(),
                    "1 + logvar/2 stands where exp(logvar/2) belongs": lambda v: 1 + v / 2,
                },
                "sign": {"the noise is taken off, where it belongs added": -1},
            },
        ),
    ),
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
        "the first image": Mistake(
            lambda mean, logvar: _latents(mean, logvar)[0],
            "this is the first image alone; average over all of them.",
        ),
        "the last image": Mistake(
            lambda mean, logvar: _latents(mean, logvar)[-1],
            "this is the last image alone; average over all of them.",
        ),
        "median": Mistake(
            lambda mean, logvar: _latents(mean, logvar).median(0).values,
            "this is the median over the images, not their mean.",
        ),
        "largest": Mistake(
            lambda mean, logvar: _latents(mean, logvar).max(0).values,
            "this is the largest over the images, not their mean.",
        ),
        "spread": Mistake(
            lambda mean, logvar: _latents(mean, logvar).std(0),
            "this is the spread of the rates over the images, not their mean.",
        ),
    },
    slots=(Slots(lambda mean, logvar, **places: _rates(mean, logvar, **places).mean(0), RATE_SLOTS),),
)


def _images(rng: Rng) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for far in (1.0, 0.2) * (POINTS // 2):
        x = normal(rng, 5, PIXELS)
        x_hat, log_sigma = x + far * normal(rng, 5, PIXELS), 0.4 * normal(rng, 5, PIXELS) + math.log(far)
        log_sigma = _extremes(log_sigma, -7, 7)
        x_hat[-2, 0] = x[-2, 0] + far * 1e-3 * (x_hat - x)[-2, 0]  # as narrow as its σ
        yield x, x_hat, log_sigma


def _pixels(x: Tensor, x_hat: Tensor, log_sigma: Tensor) -> Tensor:
    """Log density of each pixel, from the proof."""
    names = [sp.Symbol("sigma", positive=True), *sp.symbols("x xhat", real=True)]
    return -on(line("gaussian_nll", *names), log_sigma.exp(), x, x_hat)


def _log(x: Tensor, x_hat: Tensor, log_sigma: Tensor) -> Tensor:
    return _pixels(x, x_hat, log_sigma).sum(1)


def _densities(
    x: Tensor, x_hat: Tensor, log_sigma: Tensor, const: float = LOG_2PI / 2, log: Any = None,
    below: Any = None, power: Any = None,
) -> Tensor:  # fmt: skip
    """Log density of each pixel, with other constants, powers or signs."""
    squared = power(x - x_hat) if power else (x - x_hat) ** 2
    fit = squared * (below(log_sigma) if below else (-2 * log_sigma).exp()) / 2
    return -(fit + (log(log_sigma) if log else log_sigma) + const)


def _bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    return (
        x * torch.nn.functional.logsigmoid(logits) + (1 - x) * torch.nn.functional.logsigmoid(-logits)
    ).sum(1)


DENSITY_SLOTS: dict[str, dict[str, Any]] = {
    "const": {
        "the constant is ½ log π, where ½ log 2π belongs": math.log(math.pi) / 2,
        "the constant is log 2π, without its half": LOG_2PI,
        "the constant has the wrong sign": -LOG_2PI / 2,
        "the constant is missing: the density is not normalised": 0,
    },
    "log": {
        "log σ has the wrong sign": lambda s: -s,
        "½ log σ stands where log σ belongs": lambda s: s / 2,
        "2 log σ stands where log σ belongs": lambda s: 2 * s,
        "log σ is missing": lambda s: 0 * s,
        "σ stands where log σ belongs": lambda s: s.exp(),
    },
    "below": {
        "the squared error is divided by σ, where σ² belongs": lambda s: (-s).exp(),
        "the squared error is multiplied by σ², where it belongs divided": lambda s: (2 * s).exp(),
        "the squared error is not divided by σ²": lambda s: 0 * s + 1,
        "the squared error is divided by σ² without its half": lambda s: 2 * (-2 * s).exp(),
        "the squared error is divided by 4σ²": lambda s: (-2 * s).exp() / 2,
        "the squared error has the wrong sign": lambda s: -(-2 * s).exp(),
    },
    "power": {
        "the error is not squared": torch.abs,
        "the error has its sign: square it": lambda e: e,
    },
}


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
        "Bernoulli, x_hat as logits": Mistake(
            lambda x, x_hat, log_sigma: _bernoulli(x, x_hat),
            "this is a Bernoulli, for which x must be 0 or 1. These pixels are real: take a Gaussian.",
        ),
        "Bernoulli on (x + 1)/2": Mistake(
            lambda x, x_hat, log_sigma: _bernoulli((x + 1) / 2, x_hat),
            "this is a Bernoulli of pixels moved to [0, 1]: no density of x. The Gaussian is asked for.",
        ),
        "bits": Mistake(
            lambda x, x_hat, log_sigma: _log(x, x_hat, log_sigma) / math.log(2),
            "this is in bits; nats are asked for.",
        ),
        "Laplace": Mistake(
            lambda x, x_hat, log_sigma: (
                -((x - x_hat).abs() * (-log_sigma).exp() + log_sigma + math.log(2)).sum(1)
            ),
            "this is a Laplace density: the error is absolute, and a Gaussian's is squared.",
        ),
    },
    slots=(
        Slots(
            lambda x, x_hat, log_sigma, **places: _densities(x, x_hat, log_sigma, **places).sum(1),
            DENSITY_SLOTS,
        ),
    ),
)


def _batches(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    for x, x_hat, log_sigma in _images(rng):
        yield (
            x,
            x_hat,
            log_sigma,
            normal(rng, 5, LATENTS),
            _extremes(0.8 * normal(rng, 5, LATENTS) - 0.5, -11, 6),
        )


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
        "half squared error": Mistake(
            lambda x, x_hat, log_sigma, mean, logvar: _rate(mean, logvar) + ((x - x_hat) ** 2).sum(1) / 2,
            "the reconstruction is half a squared error, as if σ were 1, and has no constant. Use log_sigma.",
        ),
        "mean squared error": Mistake(
            lambda x, x_hat, log_sigma, mean, logvar: _rate(mean, logvar) + ((x - x_hat) ** 2).mean(1),
            "the reconstruction is a mean squared error without σ: a β-VAE, with a β that nobody chose.",
        ),
        "Bernoulli": Mistake(
            lambda x, x_hat, log_sigma, mean, logvar: _rate(mean, logvar) - _bernoulli(x, x_hat),
            "the reconstruction is a Bernoulli, for which x must be 0 or 1. The Gaussian is asked for.",
        ),
        "Bernoulli on (x + 1)/2": Mistake(
            lambda x, x_hat, log_sigma, mean, logvar: _rate(mean, logvar) - _bernoulli((x + 1) / 2, x_hat),
            "the reconstruction is a Bernoulli of pixels moved to [0, 1]. The Gaussian is asked for.",
        ),
    },
    slots=(
        Slots(
            lambda x, x_hat, log_sigma, mean, logvar, weight=1.0, fit=1.0, rate=None, density=None: (
                weight * _rates(mean, logvar, **(rate or {})).sum(1)
                - fit * _densities(x, x_hat, log_sigma, **(density or {})).sum(1)
            ),
            {
                "weight": {
                    "the KL counts twice: a β-VAE with β = 2, or a half is missing": 2.0,
                    "the KL counts half: a β-VAE with β = ½": 0.5,
                },
                "fit": {"the reconstruction counts twice": 2.0, "the reconstruction counts half": 0.5},
                "rate": {
                    says: {place: value} for place, ways in RATE_SLOTS.items() for says, value in ways.items()
                },
                "density": {
                    says: {place: value}
                    for place, ways in DENSITY_SLOTS.items()
                    for says, value in ways.items()
                },
            },
        ),
    ),
)

rate_derivation = ProofCheck(
    "rate_derivation",
    "eq-vae-kl",
    lambda: KL(Normal(vae.z, vae.mu, vae.sigma**2), Normal(vae.z, 0, vae.s**2)),
    lambda: sp.Integer(0),
    steps=4,
    closed=True,
)
