"""The races: VAE and diffusion at equal parameters and equal training arithmetic, and what sampling costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lowerbound import data, metrics, samplers
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.estimate import Levels, levels, stratified_bound
from lowerbound.experiments.ruler import Ruler, described, timed
from lowerbound.experiments.training import Training, steps_for, trained
from lowerbound.experiments.units import Place, Unit
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.recipe import Recipe
from lowerbound.schedule import cosine, log_snr_linear
from lowerbound.vae import VAE

KINDS = ("vae", "simple", "bound")
GRID = 37  # noise levels at which a network is measured, log SNR 12 to −6
LEVEL_IMAGES = 64


@dataclass(frozen=True)
class Size:
    """Networks of about one number of parameters: widths of the U-Net and of encoder and decoder."""

    name: str
    unet: int
    vae: int
    latents: int = 32


@dataclass(frozen=True)
class Races:
    """What the races cost and measure.

    budget: multiply-adds of one training, the same for every run; batch, lr, warmup: of the recipe
    bound_images: test images for the bounds, the same for all; importance: samples of the tighter bound
    samples: drawn for each distance; steps: DDIM steps of every run; more: other samplers, of seed 0 alone
    """

    sizes: tuple[Size, ...]
    seeds: tuple[int, ...]
    budget: float
    batch: int
    lr: float
    warmup: int
    bound_images: int
    samples: int
    steps: tuple[int, ...]
    more: tuple[tuple[str, int], ...] = ()
    importance: int = 16


def build(kind: str, size: Size, beta: float = 1.0) -> Any:
    """A model of the races.

    vae: learned width of every pixel; simple: L_simple on the cosine chain; bound: the ε-error on a chain
    whose log SNR falls in equal steps, where every step costs the bound the same weight (Kingma et al. 2021).
    """
    if kind == "vae":
        return VAE(Encoder(size.latents, size.vae), Decoder(size.latents, size.vae), beta=beta)
    chain = cosine(1000) if kind == "simple" else log_snr_linear(1000, 10.0, -6.0)
    return Diffusion(UNet(width=size.unet), chain)


def training(setting: Races, kind: str, size: Size, seed: int, beta: float = 1.0) -> Training:
    """One run of the races."""
    make = partial(build, kind, size, beta)
    steps = steps_for(make(), setting.budget, setting.batch)
    recipe = Recipe(steps, setting.batch, setting.lr, setting.warmup, ema=0.995, seed=seed, precision="auto")
    name = f"{kind}-{size.name}-{seed}" if beta == 1 else f"{kind}-beta-{beta:g}-{size.name}-{seed}"
    return Training(name, make, recipe)


def train_only(what: Training, place: Place) -> dict[str, Any]:
    """Train, and report how."""
    return trained(what, place)[1]


def trainings(setting: Races) -> list[Unit]:
    """A unit for each training, short sizes first."""
    runs = [training(setting, k, size, s) for s in setting.seeds for size in setting.sizes for k in KINDS]
    return [Unit(f"trained-{run.name}", partial(train_only, run)) for run in runs]


def joined(parts: list[Bound]) -> Bound:
    """Bounds of several batches as one."""
    return Bound(torch.cat([b.distortion for b in parts]), torch.cat([b.rates for b in parts]))


@torch.no_grad()
def bound_of(model: Any, x: Tensor, rng: torch.Generator, calls: int = 16, batch: int = 100) -> Bound:
    """The bound of images x (N, 1, 28, 28); of a diffusion model from `calls` of its steps, unbiased."""
    draw = partial(stratified_bound, model, calls=calls) if isinstance(model, Diffusion) else model.bound
    return joined([draw(part, rng) for part in torch.split(x, batch)])


def best_chain(model: Diffusion, x: Tensor, rng: torch.Generator) -> tuple[Diffusion, Levels]:
    """The model over 1000 levels, even in log SNR, that begin where training images x say is best."""
    found = levels(model, x, torch.linspace(12, -6, GRID).double(), rng)
    first, _ = found.even_ladder(1000, best_variance=False)
    return model.laddered(log_snr_linear(1000, first, -6.0)), found


def measure(setting: Races, kind: str, size: Size, seed: int, place: Place) -> dict[str, Any]:
    """Everything about one run: how it was trained, its bound, its samples, what they cost."""
    model, about = trained(training(setting, kind, size, seed), place)
    return {"model": kind, "size": size.name, "seed": seed, **about, **judged(setting, model, seed, place)}


def judged(setting: Races, model: Any, seed: int, place: Place) -> dict[str, Any]:
    """The bounds of a model on the test images and its samples on the ruler.

    A diffusion model has two bounds: `own_bound` on the chain that it was trained on, and `bound` on 1000
    levels that begin where training images say is best.
    """
    device, rng = torch.device(place.device), place.rng(1000 + seed)
    train = data.to_unit(place.images("train").x[:1000]).to(device)
    x = data.to_unit(place.images("test").x[: setting.bound_images]).to(device)
    out: dict[str, Any] = {}
    if isinstance(model, VAE):
        out["bound"] = described(bound_of(model, x, rng))
        weighted = partial(metrics.log_prob_importance, model, k=setting.importance, rng=rng)
        tighter = torch.cat([weighted(part) for part in torch.split(x, 100)])
        out["importance_weighted"] = -float(tighter.double().mean()) / (x[0].numel() * math.log(2))
        out["active_units"] = metrics.active_units(model, train)
    else:
        chain, found = best_chain(model, train[:LEVEL_IMAGES], rng)
        out["bound"] = described(bound_of(chain.fit_last_step(train, rng), x, rng))
        out["own_bound"] = described(bound_of(model, x, rng))
        out["first_log_snr"] = float(chain.schedule.log_snr[1])
        out["levels"] = {
            "log_snr": found.log_snr.tolist(),
            "rate": (0.5 * found.log_snr.exp() * found.error / math.log(2)).tolist(),
        }
    return {**out, "samplers": sampled(setting, model, place, rng, seed)}


def sampled(
    setting: Races, model: Any, place: Place, rng: torch.Generator, seed: int
) -> list[dict[str, Any]]:
    """Samples of the model by every sampler, judged and timed."""
    ruler = Ruler.of(place)
    if isinstance(model, VAE):
        draws = {
            ("decoder's mean", 1): partial(model.sample, rng=rng),
            ("draw from the decoder", 1): partial(model.sample, rng=rng, last_noise=True),
        }
    else:
        chain = model.laddered(cosine(1000))
        kinds = [("DDIM", T) for T in setting.steps] + (list(setting.more) if seed == 0 else [])
        draws = {
            (name, T): partial(chain.respaced(T).sample, rng=rng, sampler=SAMPLERS[name]) for name, T in kinds
        }
    rows = []
    for (name, calls), draw in draws.items():
        images, seconds = timed(draw, setting.samples)
        rows.append({"sampler": name, "calls": calls, "seconds": seconds, **ruler.judge(images)})
    return rows


SAMPLERS = {"DDIM": samplers.ddim, "ancestral": samplers.ancestral, "DPM-Solver++": samplers.dpm_solver}


def measurements(setting: Races) -> list[Unit]:
    """A unit for each run, which trains it first if that has not been done."""
    own = replace(setting, seeds=())  # what a run measured stays good when seeds are added
    return [
        Unit(f"{kind}-{size.name}-{seed}", partial(measure, own, kind, size, seed))
        for seed in setting.seeds
        for size in setting.sizes
        for kind in KINDS
    ]
