"""VAE and diffusion at equal parameters and equal training arithmetic, and what sampling costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lowerbound import data, metrics, samplers
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.estimate import Levels, levels, stratified_bound
from lowerbound.fit import Recipe
from lowerbound.nets import Decoder, Encoder, UNet
from lowerbound.schedule import cosine, log_snr_linear
from lowerbound.vae import VAE
from torch import Tensor

from tools.experiments.run_dir import RunDir
from tools.experiments.sample_quality import SampleQuality, described, reference_job, timed
from tools.experiments.training import Training, report, steps_for, trained
from tools.jobs import Job

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
class EqualBudget:
    """What the runs cost and measure.

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
    """A model to compare.

    vae: learned width of every pixel; simple: L_simple on the cosine chain; bound: the ε-error on a chain
    whose log SNR falls in equal steps, where every step costs the bound the same weight (Kingma et al. 2021).
    """
    if kind == "vae":
        return VAE(Encoder(size.latents, size.vae), Decoder(size.latents, size.vae), beta=beta)
    chain = cosine(1000) if kind == "simple" else log_snr_linear(1000, 10.0, -6.0)
    return Diffusion(UNet(width=size.unet), chain)


def training(setting: EqualBudget, kind: str, size: Size, seed: int, beta: float = 1.0) -> Training:
    """One run: a model of a size from a seed."""
    make = partial(build, kind, size, beta)
    steps = steps_for(make(), setting.budget, setting.batch)
    recipe = Recipe(steps, setting.batch, setting.lr, setting.warmup, ema=0.995, seed=seed, precision="auto")
    name = f"{kind}-{size.name}-{seed}" if beta == 1 else f"{kind}-beta-{beta:g}-{size.name}-{seed}"
    return Training(name, make, recipe)


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
    measured = levels(model, x, torch.linspace(12, -6, GRID).double(), rng)
    first, _ = measured.even_schedule(1000, best_variance=False)
    return model.with_schedule(log_snr_linear(1000, first, -6.0)), measured


def measure(setting: EqualBudget, kind: str, size: Size, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """Everything about one run: how it was trained, its bound, its samples, what they cost."""
    model, about = trained(training(setting, kind, size, seed), run_dir)
    return {"model": kind, "size": size.name, "seed": seed, **about, **judged(setting, model, seed, run_dir)}


def judged(setting: EqualBudget, model: Any, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """The bounds of a model on the test images and its samples' quality.

    A diffusion model has two bounds: `own_bound` on the chain that it was trained on, and `bound` on 1000
    levels that begin where training images say is best.
    """
    device, rng = torch.device(run_dir.device), run_dir.rng(1000 + seed)
    train = data.to_unit(run_dir.images("train").x[:1000]).to(device)
    x = data.to_unit(run_dir.images("test").x[: setting.bound_images]).to(device)
    out: dict[str, Any] = {}
    if isinstance(model, VAE):
        out["bound"] = described(bound_of(model, x, rng))
        weighted = partial(metrics.log_prob_importance, model, k=setting.importance, rng=rng)
        tighter = torch.cat([weighted(part) for part in torch.split(x, 100)])
        out["importance_weighted"] = -float(tighter.double().mean()) / (x[0].numel() * math.log(2))
        out["active_units"] = metrics.active_units(model, train)
    else:
        chain, measured = best_chain(model, train[:LEVEL_IMAGES], rng)
        out["bound"] = described(bound_of(chain.fit_last_step(train, rng), x, rng))
        out["own_bound"] = described(bound_of(model, x, rng))
        out["first_log_snr"] = float(chain.schedule.log_snr[1])
        out["levels"] = {
            "log_snr": measured.log_snr.tolist(),
            "rate": (0.5 * measured.log_snr.exp() * measured.error / math.log(2)).tolist(),
        }
    return {**out, "samplers": sampled(setting, model, run_dir, rng, seed)}


def sampled(
    setting: EqualBudget, model: Any, run_dir: RunDir, rng: torch.Generator, seed: int
) -> list[dict[str, Any]]:
    """Samples of the model by every sampler, judged and timed."""
    quality = SampleQuality.of(run_dir)
    if isinstance(model, VAE):
        draws = {
            ("decoder's mean", 1): partial(model.sample, rng=rng),
            ("draw from the decoder", 1): partial(model.sample, rng=rng, last_noise=True),
        }
    else:
        chain = model.with_schedule(cosine(1000))
        kinds = [("DDIM", T) for T in setting.steps] + (list(setting.more) if seed == 0 else [])
        draws = {
            (name, T): partial(chain.respaced(T).sample, rng=rng, sampler=SAMPLERS[name]) for name, T in kinds
        }
    rows = []
    for (name, calls), draw in draws.items():
        images, seconds = timed(draw, setting.samples)
        rows.append({"sampler": name, "calls": calls, "seconds": seconds, **quality.distances(images)})
    return rows


SAMPLERS = {"DDIM": samplers.ddim, "ancestral": samplers.ancestral, "DPM-Solver++": samplers.dpm_solver}


def stages(setting: EqualBudget, run_dir: RunDir) -> list[list[Job]]:
    """A job for each training, short sizes first; then the reference and one for each measurement."""
    runs = [(kind, size, seed) for seed in setting.seeds for size in setting.sizes for kind in KINDS]
    own = replace(setting, seeds=())  # what a run measured stays good when seeds are added
    trainings = [training(setting, *each) for each in runs]
    return [
        [run_dir.job(f"trained-{each.name}", report, each) for each in trainings],
        [
            reference_job(setting.samples, run_dir),
            *(run_dir.job(f"{kind}-{size.name}-{s}", measure, own, kind, size, s) for kind, size, s in runs),
        ],
    ]
