"""When a network begins to draw its training images: few of them against many, over the training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.dense import CodeDenoiser
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Recipe, Step, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.samplers import ddim
from lowerbound.schedule import cosine
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tools.experiments.run_dir import RunDir
from tools.jobs import Job, cached

SIDE = 14  # pixels: garments at half their size, so that a network of dense layers will do
RATIO = 1 / 3  # a sample is a copy if it is that much nearer to its nearest training image than to the next


@dataclass(frozen=True)
class Memorisation:
    """What it costs.

    counts: training images, each with a training; seeds: of the trainings, other images with each
    width, depth: of the network; steps, batch, lr, ema: of the training, at a constant rate
    marks: steps after which `samples` are drawn by so many `calls`
    """

    counts: tuple[int, ...] = (25, 50, 100, 200, 400, 4000)
    seeds: tuple[int, ...] = (0,)
    width: int = 256
    depth: int = 3
    steps: int = 4000
    batch: int = 100
    lr: float = 1e-3
    ema: float = 0.99
    marks: tuple[int, ...] = (60, 125, 250, 500, 1000, 2000, 4000)
    samples: int = 500
    calls: int = 30


def setting(full: bool) -> Memorisation:
    """All of it, or a little to see that it works."""
    small = Memorisation((4, 8), (0,), 8, 1, 4, 4, marks=(2, 4), samples=8, calls=2)
    return Memorisation() if full else small


def halved(x: Tensor) -> Tensor:
    """uint8 images (N, 1, 28, 28) as points: the means of 2×2 pixels, in [−1, 1]. (N, 196)."""
    return F.avg_pool2d(data.to_unit(x), 2).flatten(1)


def copied(fake: Tensor, train: Tensor) -> float:
    """The share of samples that are far nearer to one training image than to the next.

    fake (N, D), train (M, D). Bonnaire et al. 2025 count so, with a ratio of the two distances below ⅓.
    """
    near = torch.cdist(fake, train).topk(2, largest=False).values
    return float((near[:, 0] < RATIO * near[:, 1]).double().mean())


def nearer(fake: Tensor, train: Tensor, test: Tensor) -> float:
    """The share of samples that are nearer to a training image than to any of as many test images."""
    as_images = [points.view(-1, 1, SIDE, SIDE) for points in (fake, train, test)]
    return metrics.nearer_to(*(data.to_uint8(images) for images in as_images))


def apart(fake: Tensor, real: Tensor) -> float:
    """The Fréchet distance of the points themselves, of Gaussians with their means and covariances."""
    return metrics.feature_distances(real, fake)["frechet"]


def looked(model: Any, train: Tensor, size: Memorisation, run_dir: RunDir) -> dict[str, float]:
    """What samples of a model are, on the way."""
    test = halved(run_dir.images("test").x)
    chain = model.respaced(size.calls)
    fake = chain.sample(size.samples, run_dir.rng(3), sampler=ddim).clamp(-1, 1)
    held = test[-500:].to(run_dir.device)
    noise = run_dir.rng(4)
    with torch.no_grad():
        losses = {"train": model.loss(train[:500], noise), "test": model.loss(held, noise)}
    return {
        "nearer": nearer(fake, train, test[: len(train)]),
        "copied": copied(fake, train),
        "distance": apart(fake, test),
        **{f"{name}_loss": float(loss.mean()) / SIDE**2 for name, loss in losses.items()},
    }


def trained(size: Memorisation, count: int, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """One training on `count` images, looked at on the way."""
    order = torch.randperm(len(run_dir.images("train").x), generator=torch.Generator().manual_seed(seed))
    train = halved(run_dir.images("train").x[order[:count]]).to(run_dir.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = CodeDenoiser(SIDE**2, size.width, size.depth)
    model: Any = Diffusion(net, cosine(1000), (SIDE**2,), GaussianLikelihood, clip=False).to(run_dir.device)
    name = f"memory-{count}-{seed}"
    key = [replace(size, counts=(), seeds=()), count, seed]

    def look(step: Step, average: Any) -> None:
        if step.step in size.marks:
            path = run_dir.scratch / f"{name}.{step.step}.json"
            cached(path, key, lambda: looked(average, train, size, run_dir), replace=True)

    recipe = Recipe(size.steps, size.batch, size.lr, warmup=100, ema=size.ema, seed=seed, final=1.0)
    path = run_dir.scratch / f"{name}.checkpoint"
    losses = fit(model, train, recipe, checkpoint=path, every=2000, progress=False, on_step=look)
    marks = [mark for mark in size.marks if mark <= size.steps]
    rows = [{"step": m, **cached(run_dir.scratch / f"{name}.{m}.json", key, dict)} for m in marks]
    about = {"parameters": zoo.parameters(net), "training_cpu_seconds": losses.cpu_seconds}
    return {"count": count, "seed": seed, **about, "curve": rows}


def stages(size: Memorisation, run_dir: RunDir) -> list[list[Job]]:
    """A job for each training."""
    own = replace(size, counts=(), seeds=())
    return [
        [run_dir.job(f"memory-{count}-{seed}", trained, own, count, seed) for count in size.counts]
        for seed in size.seeds
    ]
