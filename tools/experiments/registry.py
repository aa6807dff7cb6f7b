"""The models of the comparison: how each is built, trained, sampled, and what it says of an image in bits.

To add a model is to add an entry to `MODELS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lowerbound import metrics, samplers
from lowerbound.diffusion import Diffusion
from lowerbound.estimate import levels, stratified_bound
from lowerbound.nets import Decoder, Encoder, Ladder, UNet
from lowerbound.schedule import Schedule, cosine, log_snr_linear
from lowerbound.vae import VAE, HierarchicalVAE, LatentMixture
from torch import Tensor

LATENTS = 32  # of the VAE
CHANNELS = 4  # of a latent of the hierarchical VAE
COMPONENTS = (1, 5, 10, 20, 50)  # of the mixture that is fitted to a VAE's codes
HIGHEST, LOWEST = 12.0, -6.0  # log SNR
GRID = 37  # noise levels at which a network is measured
Draw = Callable[[int, torch.Generator], Tensor]  # images in [−1, 1] from a count and a generator


@dataclass(frozen=True)
class Measure:
    """What is judged with.

    train, valid, test: images in [−1, 1] on the device, none of them in two of these
    calls: of the chain, from which its bound is estimated
    importance: samples of z; weighted: how many of the test images get them
    """

    train: Tensor
    valid: Tensor
    test: Tensor
    rng: torch.Generator
    calls: int = 64
    importance: int = 512
    weighted: int = 500


@dataclass(frozen=True)
class Sampler:
    """One way to draw from a model. calls: of its network for an image; draws: the candidates for it.

    More than one candidate, such as two placements of the steps: the best on validation images is taken.
    """

    name: str
    calls: int
    draws: dict[str, Draw]


@dataclass(frozen=True)
class Entry:
    """A model. build: of a width; widths: that give each size its number of parameters.

    bits: what it needs for each test image, in bits/dim, by name; samplers: of the trained model
    """

    label: str
    build: Callable[[int], Any]
    widths: dict[str, int]
    bits: Callable[[Any, Measure], dict[str, Tensor]]
    samplers: Callable[[Any, Measure, tuple[int, ...]], list[Sampler]]
    depth: int | None = None  # latents between image and prior, where there are few


def to_bits(nats: Tensor) -> Tensor:
    """Nats of images of 28×28, (B,), in bits/dim, float64 on the CPU."""
    return nats.double().cpu() / (784 * math.log(2))


@torch.no_grad()
def latent_bits(model: Any, measure: Measure) -> dict[str, Tensor]:
    """The negative ELBO of every test image, and −log p(x) by importance weighting of the first of them."""
    bound = torch.cat([model.bound(x, measure.rng).nats() for x in torch.split(measure.test, 100)])
    some = torch.split(measure.test[: measure.weighted], 100)
    log_p = torch.cat([metrics.log_prob_importance(model, x, measure.importance, measure.rng) for x in some])
    return {"bound": to_bits(bound), "weighted": to_bits(-log_p)}


@torch.no_grad()
def chain_bits(model: Diffusion, measure: Measure) -> dict[str, Tensor]:
    """The negative ELBO over 1,000 even levels of log SNR, start and variances chosen on training images."""
    grid = torch.linspace(HIGHEST, LOWEST, GRID).double()
    measured = levels(model, measure.train[:200], grid, measure.rng)
    first, _ = measured.even_schedule(1000, best_variance=True)
    chain = model.with_schedule(log_snr_linear(1000, first, LOWEST))
    chain.variance = measured.variance
    chain.fit_last_step(measure.train, measure.rng)
    parts = torch.split(measure.test, 100)
    bounds = [stratified_bound(chain, x, measure.rng, measure.calls).nats() for x in parts]
    return {"bound": to_bits(torch.cat(bounds))}


@torch.no_grad()
def codes(model: VAE, x: Tensor, rng: torch.Generator) -> Tensor:
    """One code for each of the images x (N, 1, 28, 28), drawn from the posterior. (N, K)."""
    return torch.cat([model.posterior(part).sample(rng) for part in torch.split(x, 500)])


def fitted_mixture(model: VAE, measure: Measure) -> LatentMixture:
    """A mixture of codes of training images; of how many Gaussians, codes of validation images say."""
    seen, held = (codes(model, x, measure.rng) for x in (measure.train, measure.valid))
    fits = [LatentMixture.fit(seen, k, measure.rng) for k in COMPONENTS if k <= len(seen) // 20 or k == 1]
    return max(fits, key=lambda mixture: float(mixture.log_prob(held).mean()))


def vae_samplers(model: VAE, measure: Measure, calls: tuple[int, ...]) -> list[Sampler]:
    """One call each: codes from N(0, I) or from a mixture, and the decoder's mean or a draw from it."""
    mixture = fitted_mixture(model, measure)
    found = []
    for start, source in (("N(0, I)", None), ("mixture", mixture)):
        for end, noise in (("mean", False), ("draw", True)):
            draw = partial(model.sample, last_noise=noise, codes=source)
            found.append(Sampler(f"{start}, {end}", 1, {"": draw}))
    return found


def ladder_samplers(model: HierarchicalVAE, measure: Measure, calls: tuple[int, ...]) -> list[Sampler]:
    """One call, from the top of the ladder to the bottom: the decoder's mean, or a draw from it."""
    return [
        Sampler(f"N(0, I), {end}", 1, {"": partial(model.sample, last_noise=noise)})
        for end, noise in (("mean", False), ("draw", True))
    ]


def chain_samplers(model: Diffusion, measure: Measure, calls: tuple[int, ...]) -> list[Sampler]:
    """For each number of calls DDIM and DPM-Solver++, on the cosine's steps and on even steps of log SNR."""
    found = []
    for T in calls:
        chains = {
            "cosine": model.with_schedule(cosine(1000).respace(T)),
            "even": model.with_schedule(even_chain(T, 4.0)),
        }
        methods: dict[str, Any] = {"DDIM": samplers.ddim, "DPM-Solver++": samplers.dpm_solver}
        draws: dict[str, Draw] = {
            f"{method}, {placed}": partial(chain.sample, sampler=sampler)
            for placed, chain in chains.items()
            for method, sampler in methods.items()
        }
        found.append(Sampler("best of four", T, draws))
    return found


def even_chain(T: int, first: float) -> Schedule:
    """T levels in equal steps of log SNR, from `first` at t = 1 to the lowest at t = T."""
    log_snr = torch.linspace(first if T > 1 else LOWEST, LOWEST, T, dtype=torch.float64)
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(log_snr)]))


def _vae(width: int) -> VAE:
    return VAE(Encoder(LATENTS, width), Decoder(LATENTS, width))


def _ladder(depth: int, width: int) -> HierarchicalVAE:
    return HierarchicalVAE(Ladder(depth, CHANNELS, width))


def _simple(width: int) -> Diffusion:
    return Diffusion(UNet(width=width), cosine(1000))


def _bound(width: int) -> Diffusion:
    """Log SNR falls in equal steps, so every step costs the bound the same weight on the ε-error."""
    return Diffusion(UNet(width=width), log_snr_linear(1000, 10.0, LOWEST))


def _hierarchical(depth: int, small: int, large: int) -> Entry:
    widths = {"0.5M": small, "1.4M": large, "tiny": 8}
    build = partial(_ladder, depth)
    return Entry(f"hierarchical VAE, L = {depth}", build, widths, latent_bits, ladder_samplers, depth)


UNETS = {"0.5M": 40, "1.4M": 64, "tiny": 8}
MODELS: dict[str, Entry] = {
    "vae": Entry("VAE", _vae, {"0.5M": 38, "1.4M": 64, "tiny": 8}, latent_bits, vae_samplers, 1),
    "hvae2": _hierarchical(2, 44, 76),
    "hvae4": _hierarchical(4, 36, 64),
    "hvae8": _hierarchical(8, 28, 50),
    "simple": Entry("diffusion, L_simple", _simple, UNETS, chain_bits, chain_samplers),
    "bound": Entry("diffusion, bound", _bound, UNETS, chain_bits, chain_samplers),
}
