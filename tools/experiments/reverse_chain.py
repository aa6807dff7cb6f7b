"""What chapter 4 says of the shipped diffusion models, each on many images and with its standard error.

What a chain costs in bits with 5 to 50 steps and with either variance; what guidance does to 200 garments;
how far each solver ends from the end of the path; what the wrong noise of the last step does to a background.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lowerbound import data, zoo
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.samplers import ancestral, ddim, dpm_solver, heun
from lowerbound.schedule import Schedule
from torch import Tensor

from tools.experiments.run_dir import RunDir
from tools.jobs import Job

GREY = 127.5  # grey levels in a unit of x
DARK = -0.95  # what counts as background


@dataclass(frozen=True)
class ReverseChain:
    """How much is measured.

    images: of the bundled test set, for bounds, in batches of `batch`; fitting: training images for log_width
    steps: of the chains, whose levels are all among those of the last one
    per_class: garments ordered of each class; weights: of guidance; order_steps: of its sampler
    starts, calls, path: of the solvers' comparison; path is the number of steps of the reference
    walks: starts of the sampled chains with 20 and with 50 steps
    """

    images: int = 200
    batch: int = 50
    fitting: int = 256
    steps: tuple[int, ...] = (5, 10, 25, 50)
    per_class: int = 20
    weights: tuple[float, ...] = (0, 1, 4)
    order_steps: int = 12
    starts: int = 8
    calls: tuple[int, ...] = (8, 16, 32, 64)
    path: int = 160
    walks: int = 24


def setting(full: bool) -> ReverseChain:
    """All of it, or a little of everything for a try."""
    return ReverseChain() if full else ReverseChain(4, 4, 8, (2, 4), 2, (0, 1, 4), 2, 2, (2, 4), 4, 2)


def estimate(values: Tensor) -> dict[str, float]:
    """The mean of independent values (N,) and its standard error."""
    values = values.double()
    return {"mean": float(values.mean()), "error": float(values.std()) / math.sqrt(len(values))}


def share(part: Tensor, whole: Tensor) -> dict[str, float]:
    """How much of the sum of whole (N,) is that of part (N,), and its standard error over the N examples.

    A ratio of two means that vary together: to first order its error is that of the mean of part − R · whole.
    """
    ratio = float(part.double().sum() / whole.double().sum())
    left = (part.double() - ratio * whole.double()) / whole.double().mean()
    return {"mean": ratio, "error": float(left.std()) / math.sqrt(len(left))}


def last(walk: Iterator[Tensor]) -> Tensor:
    """Where a sampler ends."""
    *_, end = walk
    return end


def images(split: str, n: int) -> Tensor:
    """The first n images of the bundled split, (n, 1, 28, 28) in [−1, 1]."""
    return data.to_unit(data.load("fashion-mnist", split).x[:n])


def shorter(fine: Schedule, rates: Tensor, steps: int) -> Tensor:
    """The rates of the chain over every k-th level of `fine`, from those of fine. (B, T) -> (B, steps).

    A step costs half the drop of SNR times the error of x̂_0 at its noisier end, Eq. (eq-reverse-snr), and
    that error is known from the step of `fine` that begins there. For the variance β̃ alone.
    """
    k = fine.T // steps
    snr = fine.snr.to(rates)
    error = rates[:, :-1] / ((snr[1:-1] - snr[2:]) / 2)  # at levels 2..T
    kept = snr[::k]
    own = (kept[1:-1] - kept[2:]) / 2 * error[:, 2 * k - 2 :: k]
    return torch.cat([own, rates[:, -1:]], 1)


def with_beta(schedule: Schedule, rates: Tensor, dims: int) -> Tensor:
    """The rates (B, T) with the variance β_t in the place of β̃_t, from the same guesses of the network."""
    ratio = (schedule.posterior_variance / schedule.beta)[2:].to(rates)
    own = ratio * rates[:, :-1] + dims / 2 * (ratio - 1 - ratio.log())
    return torch.cat([own, rates[:, -1:]], 1)


def bits(size: ReverseChain, run_dir: RunDir) -> dict[str, Any]:
    """Bits/dim of the same images by number of steps, by variance and by noise level; one walk for all."""
    model, rng = zoo.load("ddpm-fashion", device=run_dir.device), run_dir.rng(0)
    fitting, x = (
        images(*pair).to(run_dir.device) for pair in (("train", size.fitting), ("test", size.images))
    )
    dims, unit = x[0].numel(), x[0].numel() * math.log(2)
    chains = {n: model.respaced(n).fit_last_step(fitting, run_dir.rng(1)) for n in size.steps}
    fine = chains[size.steps[-1]]
    parts = [fine.bound(part, rng) for part in x.split(size.batch)]
    whole = Bound(torch.cat([p.distortion for p in parts]), torch.cat([p.rates for p in parts]))
    nats = {n: shorter(fine.schedule, whole.rates, n) for n in size.steps}
    first = {n: first_step(chains[n], x, size.batch, run_dir) for n in size.steps[:-1]}
    first[size.steps[-1]] = whole.distortion
    totals = {n: (first[n] + nats[n].sum(1)) / unit for n in size.steps}
    rows = [
        {
            "steps": n,
            "bits": estimate(totals[n]),
            "first": estimate(first[n] / unit),
            "more_than_finest": estimate(totals[n] - totals[size.steps[-1]]),
        }
        for n in size.steps
    ]
    large = (whole.distortion + with_beta(fine.schedule, whole.rates, dims).sum(1)) / unit
    each = torch.cat([whole.distortion[:, None], whole.rates], 1)  # step 1, steps 2..T, L_T
    t = model.schedule.T // fine.schedule.T * torch.arange(1, fine.schedule.T + 1)  # the levels of the steps
    ranges = {"up_to_100": t <= 100, "100_to_400": (t > 100) & (t <= 400), "above_400": t > 400}
    return {
        "images": size.images,
        "by_steps": rows,
        "beta": estimate(large),
        "beta_minus_posterior": estimate(large - totals[size.steps[-1]]),
        "share": {name: share(each[:, :-1][:, those].sum(1), each.sum(1)) for name, those in ranges.items()},
        "by_level": [float(value) for value in each.mean(0) / unit],
    }


@torch.no_grad()
def first_step(chain: Diffusion, x: Tensor, batch: int, run_dir: RunDir) -> Tensor:
    """−log p(x_0 | x_1) of each image, with one draw of x_1. (B,) nats."""
    rng, found = run_dir.rng(2), []
    for part in x.split(batch):
        ones = torch.ones(len(part), dtype=torch.int64, device=part.device)
        found.append(-chain.last_step(chain.predict_x0(chain.draw(part, ones, rng), ones)).log_prob(part))
    return torch.cat(found)


def spread(x: Tensor, per_class: int) -> Tensor:
    """The standard deviation of a pixel within each class, (10,). x: sorted by class, per_class of each."""
    return x.view(len(x) // per_class, per_class, -1).std(1).mean(1)


def orders(size: ReverseChain, run_dir: RunDir) -> dict[str, Any]:
    """Garments of each class by weight of guidance: how many are right, and how they differ.

    spread: within a class, over that of as many real images; the mean over the classes and its error
    control: standard deviation of the same for `per_class` real images, drawn again and again; its mean is 1
    """
    n, rng = size.per_class, run_dir.rng(3)
    model = zoo.load("ddpm-fashion-classes", device=run_dir.device).respaced(size.order_steps)
    classifier = zoo.load("classifier-fashion", device=run_dir.device)
    test = data.load("fashion-mnist", "test")
    x, y = data.to_unit(test.x).to(run_dir.device), test.y.to(run_dir.device)
    with torch.no_grad():
        accuracy = float((classifier(x).argmax(1) == y).double().mean())
    of_class = [x[y == k] for k in range(10)]
    draws = torch.stack([spread(torch.cat([some(c, n, rng) for c in of_class]), n) for _ in range(40)])
    real = draws.mean(0)
    wanted = torch.arange(10, device=run_dir.device).repeat_interleave(n)
    start = torch.randn(len(wanted), 1, 28, 28, generator=rng, device=run_dir.device)
    rows, ratios = [], {}
    for weight in size.weights:
        drawn = last(dpm_solver(model.guided(wanted, float(weight)), start))
        with torch.no_grad():
            right = (classifier(drawn).argmax(1) == wanted).double()
        ratios[weight] = spread(drawn, n) / real
        rows.append({"weight": weight, "right": estimate(right), "spread": estimate(ratios[weight])})
    return {
        "garments": len(wanted),
        "per_class": n,
        "classifier_accuracy": accuracy,
        "classifier_images": len(x),
        "by_weight": rows,
        "fall": estimate(ratios[size.weights[0]] - ratios[size.weights[-1]]),
        "control": float((draws / real).mean(1).std()),
    }


def some(x: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw n of the images, none twice."""
    return x[torch.randperm(len(x), generator=rng, device=x.device)[:n]]


def over_levels(model: Diffusion, n: int, highest: int) -> Diffusion:
    """The model over n of its noise levels, the noisiest of them `highest`."""
    times = torch.linspace(0, highest, n + 1).round().long()
    return model.with_schedule(Schedule(model.schedule.alpha_bar[times]))


def solvers(size: ReverseChain, run_dir: RunDir) -> dict[str, Any]:
    """How far from the end of the path each solver lands, in grey levels, by number of network calls."""
    model, rng = zoo.load("ddpm-fashion", device=run_dir.device), run_dir.rng(4)
    starts = torch.randn(size.starts, 1, 28, 28, generator=rng, device=run_dir.device)
    end = last(dpm_solver(over_levels(model, size.path, 980), starts))
    of: dict[str, tuple[Callable[..., Iterator[Tensor]], int]] = {
        "DDIM": (ddim, 1), "DPM-Solver++": (dpm_solver, 1), "Heun": (heun, 2)
    }  # fmt: skip
    rows = []
    for name, (sampler, calls_a_step) in of.items():
        missed = [
            estimate(GREY * away(last(sampler(over_levels(model, n // calls_a_step, 980), starts)), end))
            for n in size.calls
        ]
        rows.append({"sampler": name, "calls": list(size.calls), "missed": missed})
    return {"starts": size.starts, "path": size.path, "rows": rows}


def away(a: Tensor, b: Tensor) -> Tensor:
    """The mean absolute difference of each pair of images. (B,)."""
    return (a - b).abs().flatten(1).mean(1)


def rough(x: Tensor, where: Tensor) -> Tensor:
    """The mean difference of neighbours of each image, over the pairs that are both background in `where`."""
    pairs = ((where[..., 1:] < DARK) & (where[..., :-1] < DARK)).flatten(1).double()
    apart = (x[..., 1:] - x[..., :-1]).abs().flatten(1)
    return (apart * pairs).sum(1) / pairs.sum(1).clamp(min=1)


def walks(size: ReverseChain, run_dir: RunDir) -> dict[str, Any]:
    """How far a pixel moves from 20 to 50 steps, and the roughness of the background, in grey levels."""
    model, rng = zoo.load("ddpm-fashion", device=run_dir.device), run_dir.rng(5)
    starts = torch.randn(size.walks, 1, 28, 28, generator=rng, device=run_dir.device)
    ends = {
        (name, n): last(sampler(model.respaced(n), starts, rng=run_dir.rng(6)))
        for name, sampler in (("DDIM", ddim), ("ancestral", ancestral))
        for n in (20, 50)
    }
    clean = ends["ancestral", 20]
    noise = torch.randn(clean.shape, generator=rng, device=run_dir.device)
    added = clean + float(model.respaced(20).schedule.beta[1].sqrt()) * noise
    real = images("test", 500).to(run_dir.device)
    grain = {"real": rough(real, real), "right": rough(clean, clean), "added": rough(added, clean)}
    return {
        "walks": size.walks,
        "real_images": len(real),
        "moved": {k: estimate(GREY * away(ends[k, 20], ends[k, 50])) for k in ("DDIM", "ancestral")},
        "background": {name: estimate(GREY * values) for name, values in grain.items()},
    }


def stages(size: ReverseChain, run_dir: RunDir) -> list[list[Job]]:
    """Four jobs, none of which needs another."""
    parts = {"bits": bits, "orders": orders, "solvers": solvers, "walks": walks}
    return [[run_dir.job(f"reverse-chain-{name}", part, size) for name, part in parts.items()]]
