"""What is run: the report card, rates, models of equal budget, numbers of steps trained anew, what ships."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.diffusion import Diffusion, Noised, l_bound
from lowerbound.estimate import stratified_bound
from lowerbound.nets import UNet
from lowerbound.samplers import ddim
from lowerbound.schedule import Schedule
from torch import Tensor, nn

from tools.experiments import rulers
from tools.experiments.registry import LOWEST, MODELS, UNETS, Measure, Sampler, even_chain, to_bits
from tools.experiments.run_dir import RunDir
from tools.experiments.training import VALIDATION, Spending, forget, train, validation_loss
from tools.jobs import Job

FIRST_SHARE = 4  # one example in so many is trained at t = 1
SHIPPED = {
    "vae-fashion-long": "vae",
    "ddpm-fashion-long": "simple",
    "vae-fashion": "vae",
    "ddpm-fashion": "simple",
}


FULL = Spending(budget=2e14)


@dataclass(frozen=True)
class Setting:
    """What the comparison costs.

    spending: of a training; tuning: the share of it with which a learning rate, or a chain's start, is tried
    rates, starts: those that are tried; seeds: of each model; more: models run at the first of `sizes` alone
    counts: the numbers of steps T that are trained anew; size, steps_lr: of those networks
    calls: of diffusion's samplers; samples: drawn by each; candidates: drawn to choose between placements
    bound_images, levels, importance, weighted: of the bounds, see `Measure`
    fitted: training images to whose codes a mixture is fitted
    floors: draws of training images for the report card
    """

    spending: Spending = FULL
    tuning: float = 1 / 16
    rates: tuple[float, ...] = (7e-4, 1.5e-3, 3e-3, 6e-3)
    starts: tuple[float, ...] = (-2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    sizes: tuple[str, ...] = ("0.5M", "1.4M")
    models: tuple[str, ...] = ("vae", "hvae4", "simple", "bound")
    more: tuple[str, ...] = ("hvae2", "hvae8")
    seeds: tuple[int, ...] = (0, 1, 2)
    counts: tuple[int, ...] = (1, 2, 4, 8, 16, 64, 256, 1024)
    size: str = "1.4M"
    steps_lr: float = 1.5e-3
    calls: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    samples: int = 10_000
    candidates: int = 500
    bound_images: int = 2000
    levels: int = 64
    importance: int = 512
    weighted: int = 500
    fitted: int = 10_000
    floors: int = 8

    @property
    def short(self) -> Spending:
        """What is spent to try a learning rate or the start of a chain."""
        return replace(self.spending, budget=self.spending.budget * self.tuning)


SMOKE = Setting(
    Spending(3e9, batch=16, warmup=5, ema=0.9),
    tuning=0.5,
    rates=(1e-3, 3e-3),
    starts=(0.0, 4.0),
    sizes=("tiny",),
    more=("hvae2",),
    seeds=(0,),
    counts=(1, 4),
    size="tiny",
    calls=(1, 2),
    samples=40,
    candidates=20,
    bound_images=20,
    levels=4,
    importance=2,
    weighted=10,
    fitted=40,
    floors=2,
)
# For one slow core: the report card, what ships, and a tenth of the training at one size.
CPU = Setting(
    replace(FULL, budget=2e13, warmup=50),  # a rate is tried in about 340 steps
    tuning=1 / 8,
    rates=(1e-3, 2e-3, 4e-3),
    sizes=("0.5M",),
    counts=(1, 4, 16, 64, 256),
    size="0.5M",
    calls=(4, 8, 16, 1, 2),
    samples=2500,
    candidates=500,
    bound_images=200,
    levels=16,
    weighted=25,
    fitted=3000,
)
SETTINGS = {"full": Setting(), "cpu": CPU, "smoke": SMOKE}


# ---- one run


def measure_of(setting: Setting, run_dir: RunDir, seed: int) -> Measure:
    """The images and the noise that a model is judged with."""
    train, test = run_dir.images("train").x, run_dir.images("test").x[: setting.bound_images]
    apart = VALIDATION if run_dir.full else len(train) // 2
    seen, held = train[:-apart], train[-apart:]
    few = setting.fitted
    x, valid, judged = (data.to_unit(part).to(run_dir.device) for part in (seen[:few], held[:few], test))
    how = setting.levels, setting.importance, setting.weighted
    return Measure(x, valid, judged, run_dir.rng(1000 + seed), *how)


def judged(setting: Setting, kind: str, model: Any, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """Bits of the test images, and samples by every sampler under every ruler."""
    entry, measure = MODELS[kind], measure_of(setting, run_dir, seed)
    bits = {name: values.tolist() for name, values in entry.bits(model, measure).items()}
    return {
        "bits": {name: rounded_bits(values) for name, values in bits.items()},
        "samplers": [
            sampled(setting, s, seed, run_dir) for s in entry.samplers(model, measure, setting.calls)
        ],
    }


def rounded_bits(values: list[float]) -> dict[str, Any]:
    """Mean, standard error and number of bits of many images, and those of each image to four decimals."""
    each = torch.tensor(values, dtype=torch.float64)
    error = float(each.std() / math.sqrt(len(each)))
    return {"mean": float(each.mean()), "error": error, "each": [round(v, 4) for v in values]}


def sampled(setting: Setting, sampler: Sampler, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """Samples by the best of a sampler's candidates, as the two-sample test has it on validation images."""
    draws, chosen = sampler.draws, next(iter(sampler.draws))
    if len(draws) > 1:
        n = setting.candidates
        held = run_dir.images("train").x[-VALIDATION:][:n]
        few = {
            name: timed(draw, n, run_dir.rng(2000 + seed))[0][: len(held)] for name, draw in draws.items()
        }
        told = {name: metrics.two_sample(held, images)["bits"] for name, images in few.items()}
        chosen = min(told, key=told.__getitem__)
    images, seconds = timed(draws[chosen], setting.samples, run_dir.rng(2001 + seed))
    said = {"sampler": sampler.name, "calls": sampler.calls, "chosen": chosen, "seconds": seconds}
    return {**said, "samples": len(images), **rulers.judge(images, run_dir)}


def timed(
    draw: Callable[..., Tensor], count: int, rng: torch.Generator, batch: int = 250
) -> tuple[Tensor, float]:
    """`count` samples from draw(n, rng), as uint8 on the CPU, and the seconds that one took.

    On a CPU these are seconds of processor time, which other work on the machine does not lengthen much.
    """
    first = draw(1, rng)
    data.to_uint8(first.cpu())  # warmed up, and waited for
    clock = time.process_time if first.device.type == "cpu" else time.perf_counter
    start = clock()
    parts = [draw(min(batch, count - i), rng) for i in range(0, count, batch)]
    levels = data.to_uint8(torch.cat(parts).cpu())
    return levels, (clock() - start) / count


def try_rate(spending: Spending, kind: str, size: str, lr: float, run_dir: RunDir) -> dict[str, Any]:
    """The validation loss of a short training at one learning rate; 1e9 for one that blows up."""
    entry, name = MODELS[kind], f"rate-{kind}-{size}-{lr:g}"
    build = partial(entry.build, entry.widths[size])
    try:
        model, about = train(name, build, spending, lr, 0, run_dir)
        loss = validation_loss(model, run_dir)
    except FloatingPointError:
        loss, about = 1e9, {}
    forget(name, run_dir)
    return {"model": kind, "size": size, "lr": lr, "validation": loss, **about}


def rate_jobs(setting: Setting, kind: str, size: str, run_dir: RunDir) -> list[Job]:
    """A job for each learning rate."""
    return [
        run_dir.job(f"rate-{kind}-{size}-{lr:g}", try_rate, setting.short, kind, size, lr)
        for lr in setting.rates
    ]


def best_rate(setting: Setting, kind: str, size: str, run_dir: RunDir) -> float:
    """The rate with the least validation loss."""
    tried = [job.result() for job in rate_jobs(setting, kind, size, run_dir)]
    return float(min(tried, key=lambda result: result["validation"])["lr"])


def race(setting: Setting, kind: str, size: str, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """A model trained with the whole budget, at the best rate, and judged."""
    entry, name = MODELS[kind], f"{kind}-{size}-{seed}"
    lr = best_rate(setting, kind, size, run_dir)
    model, about = train(name, partial(entry.build, entry.widths[size]), setting.spending, lr, seed, run_dir)
    said = {"model": kind, "label": entry.label, "depth": entry.depth, "size": size, "seed": seed, "lr": lr}
    result = {**said, **about, **judged(setting, kind, model, seed, run_dir)}
    forget(name, run_dir)
    return result


def ships(setting: Setting, name: str, part: str, run_dir: RunDir) -> dict[str, Any]:
    """A model that ships: its bits, or its samples by so many network calls, judged as in the comparison."""
    model, card, kind = zoo.load(name, device=run_dir.device), zoo.card(name), SHIPPED[name]
    entry, measure = MODELS[kind], measure_of(setting, run_dir, 0)
    said = {"model": kind, "name": name, "sha256": card["weights"]["sha256"]}
    if part == "bits":
        bits = {key: values.tolist() for key, values in entry.bits(model, measure).items()}
        return {**said, "bits": {key: rounded_bits(values) for key, values in bits.items()}}
    found = entry.samplers(model, measure, (int(part),))
    return {**said, "samplers": [sampled(setting, sampler, 0, run_dir) for sampler in found]}


def parts_of(setting: Setting, name: str) -> tuple[str, ...]:
    """The parts in which a model that ships is judged, each a job: the samples first."""
    calls = setting.calls if SHIPPED[name] in ("simple", "bound") else (1,)
    return (*(str(count) for count in calls), "bits")


# ---- the number of steps


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


def build_steps(T: int, first: float, width: int) -> Diffusion:
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


def try_start(
    spending: Spending, size: str, T: int, first: float, lr: float, run_dir: RunDir
) -> dict[str, Any]:
    """The validation bound of a short training over T steps that begin at one log SNR."""
    name, build = f"start-{T}-{first:g}", partial(build_steps, T, first, UNETS[size])
    _, about = train(name, build, spending, lr, 0, run_dir, bound_loss)
    forget(name, run_dir)
    return {"T": T, "first": first, "validation": about["curve"][-1][1]}


def start_jobs(setting: Setting, T: int, run_dir: RunDir) -> list[Job]:
    """A job for each start; a chain of one step has none to choose."""
    starts, lr = setting.starts if T > 1 else (LOWEST,), setting.steps_lr
    how = setting.short, setting.size
    return [run_dir.job(f"start-{T}-{first:g}", try_start, *how, T, first, lr) for first in starts]


def steps_anew(setting: Setting, T: int, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """The network trained for T steps alone: the start by short trainings, then bits and samples."""
    tried = [job.result() for job in start_jobs(setting, T, run_dir)]
    first = float(min(tried, key=lambda result: result["validation"])["first"])
    name, lr = f"steps-{T}-{seed}", setting.steps_lr
    build = partial(build_steps, T, first, UNETS[setting.size])
    model, about = train(name, build, setting.spending, lr, seed, run_dir, bound_loss)
    measure = measure_of(setting, run_dir, seed)
    with torch.no_grad():
        parts = torch.split(measure.test, 100)
        bounds = [stratified_bound(model, x, measure.rng, setting.levels).nats() for x in parts]
    calls = min(T, max(setting.calls))
    chain = model if calls == T else model.with_schedule(even_chain(calls, 4.0))
    sampler = Sampler("ancestral" if calls == T else "DDIM", calls, {"": chain.sample})
    if calls < T:
        sampler = Sampler("DDIM", calls, {"": partial(chain.sample, sampler=ddim)})
    result = {
        **{"T": T, "seed": seed, "lr": lr, "first": first, **about},
        "bits": {"bound": rounded_bits(to_bits(torch.cat(bounds)).tolist())},
        "samplers": [sampled(setting, sampler, seed, run_dir)],
    }
    forget(name, run_dir)
    return result


# ---- all of it


def stages(setting: Setting, run_dir: RunDir) -> list[list[Job]]:
    """What is done one after the other, each stage's jobs side by side; the cheapest first."""
    runs = [(kind, size) for size in setting.sizes for kind in setting.models]
    runs += [(kind, setting.sizes[0]) for kind in setting.more]
    own = replace(setting, seeds=(), counts=(), models=(), more=(), sizes=(), floors=0)
    trained = {"spending": FULL, "tuning": Setting.tuning, "rates": (), "starts": ()}
    shipped = replace(own, **trained)
    card = [run_dir.job("rulers", rulers.described)]
    card += [run_dir.job(f"floor-{s}", rulers.floor, s, setting.samples) for s in range(setting.floors)]
    card += [
        run_dir.job(f"fault-{kind}-{i}", rulers.spoiled, kind, i, setting.samples)
        for kind, faults in rulers.FAULTS.items()
        for i in range(len(faults))
    ]
    return [
        card,
        [
            run_dir.job(f"ships-{name}-{part}", ships, shipped, name, part)
            for name in SHIPPED
            for part in parts_of(setting, name)
        ],
        [job for kind, size in runs for job in rate_jobs(setting, kind, size, run_dir)],
        [
            run_dir.job(f"{kind}-{size}-{seed}", race, replace(own, starts=()), kind, size, seed)
            for seed in setting.seeds
            for kind, size in runs
        ],
        [job for T in setting.counts for job in start_jobs(setting, T, run_dir)],
        [
            run_dir.job(f"steps-{T}-{seed}", steps_anew, replace(own, rates=()), T, seed)
            for seed in setting.seeds
            for T in setting.counts
        ],
    ]
