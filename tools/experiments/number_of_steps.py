"""The number of steps: the same network and budget with T = 1, 2, 4, … steps, and one network at every T."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lowerbound import data, zoo
from lowerbound.diffusion import Diffusion, Noised, l_bound
from lowerbound.estimate import levels
from lowerbound.fit import Recipe
from lowerbound.nets import UNet
from lowerbound.schedule import Schedule
from torch import Tensor, nn

from tools.experiments.equal_budget import bound_of
from tools.experiments.run_dir import RunDir
from tools.experiments.sample_quality import SampleQuality, described, reference_job, timed
from tools.experiments.training import Training, trained
from tools.jobs import Job

HIGHEST, LOWEST = 12.0, -6.0  # log SNR
FIRST_SHARE = 4  # one example in so many is trained at t = 1


@dataclass(frozen=True)
class NumberOfSteps:
    """What it costs.

    counts: the numbers of steps T of the shipped network's chains; anew: those of the networks trained anew
    seeds, width, steps, batch, lr, warmup: of these trainings
    grid: noise levels at which the shipped network is measured, on level_images training and test images
    ladder: the longest chain whose best levels are sought; samples: drawn from each of the new networks
    """

    counts: tuple[int, ...]
    anew: tuple[int, ...]
    seeds: tuple[int, ...]
    width: int
    steps: int
    batch: int
    lr: float
    warmup: int
    grid: int
    level_images: int
    bound_images: int
    samples: int
    ladder: int = 32
    calls: int = 16


class LearnedVariance(nn.Module):
    """σ²_t = β̃_t · exp(log_ratio_t), one number for each step, trained with the network.

    log_ratio: (T + 1,) float64, at first what suits a network that says v̂ = 0. A `variance` of `Diffusion`.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        drop = schedule.snr[1:-1] - schedule.snr[2:]
        start = torch.log1p(drop / schedule.snr[2:] * schedule.alpha_bar[2:])
        self.log_ratio = nn.Parameter(torch.cat([torch.zeros(2, dtype=torch.float64), start]))

    def forward(self, schedule: Schedule) -> Tensor:
        """(T + 1,) float64, of the schedule it was made for, on whose device it is."""
        return schedule.posterior_variance * self.log_ratio.exp().to(schedule.alpha_bar.device)


def even_chain(T: int, first: float) -> Schedule:
    """T levels in equal steps of log SNR, from `first` at t = 1 to the lowest at t = T."""
    log_snr = torch.linspace(first if T > 1 else LOWEST, LOWEST, T, dtype=torch.float64)
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(log_snr)]))


def build(T: int, first: float, width: int) -> Diffusion:
    """The network over a chain of T steps, trained on its bound, its variance learned."""
    chain = even_chain(T, first)
    return Diffusion(UNet(width=width), chain, objective=l_bound, variance=LearnedVariance(chain))


def bound_loss(model: Any, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """The bound without L_T in nats per dimension, unbiased: a quarter of x (B, ...) at t = 1.

    A uniform t would meet t = 1, where most bits are, once in T times.
    """
    T, B = model.schedule.T, len(x)
    first = B if T == 1 else max(1, B // FIRST_SHARE)
    steps = torch.arange(B - first, device=x.device) / max(1, B - first)
    u = (steps + torch.rand(1, generator=rng, device=x.device)).frac()  # stratified
    above = (2 + (u * (T - 1)).long()).clamp(max=T)
    t = torch.cat([torch.ones(first, dtype=torch.int64, device=x.device), above])
    eps = torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
    xt = model.q_sample(x, t, eps)
    each = l_bound(model, Noised(x, t, eps, xt, model.predict_eps(xt, t))) / T  # L_{t−1}
    value: Tensor = each[:first].mean() + ((T - 1) * each[first:].mean() if T > 1 else 0.0)
    per_dimension: Tensor = value / x[0].numel()
    return per_dimension


def shipped_levels(setting: NumberOfSteps, run_dir: RunDir) -> dict[str, Any]:
    """One pass of the shipped network over the noise levels, and the bounds of all chains made of them.

    Chains are chosen on training images and judged on test images. Bits/dim, L_T included.
    """
    model, rng = zoo.load("ddpm-fashion", device=run_dir.device), run_dir.rng(5)
    grid = torch.linspace(HIGHEST, LOWEST, setting.grid).double()
    seen, test = (
        levels(model, data.to_unit(run_dir.images(s).x[: setting.level_images]).to(run_dir.device), grid, rng)
        for s in ("train", "test")
    )
    terminal = data.to_unit(run_dir.images("test").x[: setting.level_images]).to(run_dir.device)
    prior = float(model.with_schedule(even_chain(1, LOWEST)).prior(terminal).kl().mean()) / 784

    def bits(nats: float) -> float:
        return (nats + prior) / math.log(2)

    out: dict[str, Any] = {
        "log_snr": grid.tolist(),
        "rate": (0.5 * test.log_snr.exp() * test.error / math.log(2)).tolist(),
        "distortion": (test.distortion / math.log(2)).tolist(),
        "T": list(setting.counts),
    }
    for name, best in (("fixed", False), ("best", True)):
        firsts = [seen.even_schedule(T, best)[0] for T in setting.counts]
        even = [even_chain(T, f).log_snr[1:] for T, f in zip(setting.counts, firsts, strict=True)]
        longest = model.schedule.T
        cosine = [model.schedule.respace(min(T, longest)).log_snr[1:] for T in setting.counts]
        out[f"first_{name}"] = firsts
        out[f"even_{name}"] = [bits(test.along(chain, best)) for chain in even]
        out[f"cosine_{name}"] = [bits(test.along(chain, best)) for chain in cosine]
        _, ladders = seen.best_schedules(min(setting.ladder, setting.grid), best)
        out[f"ladder_{name}"] = [bits(test.bound(ladder, best)) for ladder in ladders]
        out[f"ladder_levels_{name}"] = [grid[ladder].tolist() for ladder in ladders[:8]]
    return out


def levels_job(setting: NumberOfSteps, run_dir: RunDir) -> Job:
    """The job that every other one reads: where a chain of T steps had best begin."""
    return run_dir.job("levels", shipped_levels, setting)


def training(setting: NumberOfSteps, T: int, seed: int, run_dir: RunDir) -> Training:
    """The network of T steps, on the chain that the levels say is best."""
    chains = levels_job(setting, run_dir).result()
    first = chains["first_best"][chains["T"].index(T)]
    recipe = Recipe(
        setting.steps, setting.batch, setting.lr, setting.warmup, ema=0.995, seed=seed, precision="auto"
    )
    return Training(f"T-{T}-{seed}", partial(build, T, first, setting.width), recipe, bound_loss)


def measure(setting: NumberOfSteps, T: int, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """The bound and the samples of the network that was trained for T steps."""
    model, about = trained(training(setting, T, seed, run_dir), run_dir)
    x = data.to_unit(run_dir.images("test").x[: setting.bound_images]).to(run_dir.device)
    rng = run_dir.rng(2000 + seed)
    bound = described(bound_of(model, x, rng, setting.calls))
    images, seconds = timed(partial(model.sample, rng=rng), setting.samples)
    start = {"T": T, "seed": seed, "first_log_snr": float(model.schedule.log_snr[1])}
    quality = SampleQuality.of(run_dir).distances(images)
    return {**start, **about, "bound": bound, "seconds": seconds, **quality}


def train(setting: NumberOfSteps, T: int, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """Train the network for T steps, and report how."""
    return trained(training(setting, T, seed, run_dir), run_dir)[1]


def stages(setting: NumberOfSteps, run_dir: RunDir) -> list[list[Job]]:
    """The levels; a job for each training; the reference and a job for each measurement."""
    runs = [(T, s) for s in setting.seeds for T in setting.anew]
    trainings = [run_dir.job(f"trained-T-{T}-{s}", train, setting, T, s) for T, s in runs]
    measurements = [run_dir.job(f"T-{T}-{s}", measure, setting, T, s) for T, s in runs]
    levels_alone = [levels_job(setting, run_dir)]
    return [levels_alone, trainings, [reference_job(setting.samples, run_dir), *measurements]]
