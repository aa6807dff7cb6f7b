"""Quality for equal processor time: our U-Net with our schedule, and diffusers' U-Net with its own.

Both are trained by the same loop with the same objective, and measured by the same bound, the same samplers
and the same distance, in float32.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.diffusion import Diffusion
from lowerbound.samplers import ddim, dpm_solver
from lowerbound.schedule import Schedule, cosine, linear
from lowerbound.zoo import PRESETS
from torch import Tensor, nn

from tools.bench.peers import Diffusers, T
from tools.bench.runs import means
from tools.bench.settings import Settings
from tools.bench.training import Plan, own_loss, train
from tools.experiments.comparison import timed

SAMPLERS: dict[str, tuple[Any, int]] = {
    "ddim_20": (ddim, 20),
    "dpm_20": (dpm_solver, 20),
}


class FromIndex(nn.Module):
    """diffusers' network, told the noise level as ours is: its index is looked up in its schedule."""

    borders: Tensor

    def __init__(self, net: nn.Module, schedule: Schedule) -> None:
        super().__init__()
        self.net = net
        falling = schedule.log_snr[1:]
        self.register_buffer("borders", -((falling[1:] + falling[:-1]) / 2), persistent=False)

    def index(self, log_snr: Tensor) -> Tensor:
        """The nearest of the schedule's levels, counted from 0 as diffusers does. (B,) -> (B,) int64."""
        return torch.bucketize(-log_snr.double(), self.borders)

    def forward(self, xt: Tensor, log_snr: Tensor) -> Tensor:
        """Predict ε, in float32."""
        out: Tensor = self.net(xt, self.index(log_snr), return_dict=False)[0]
        return out.to(xt.dtype)


@dataclass(frozen=True)
class Candidate:
    """A network with its schedule, and how it is trained."""

    network: str
    precision: str
    lr: float = 1e-3


CANDIDATES = {
    "diffusers_bfloat16": Candidate("diffusers", "bfloat16", lr=3e-3),
    "diffusers_bfloat16_low": Candidate("diffusers", "bfloat16", lr=1e-3),
    "lowerbound": Candidate("lowerbound", "bfloat16", lr=3e-3),
}


def build(candidate: Candidate) -> Diffusion:
    """The model with random weights. Raises ValueError if diffusers' schedule is not our `linear`."""
    if candidate.network == "lowerbound":
        model: Diffusion = zoo.build(PRESETS["ddpm-cpu"][0])
        if not torch.equal(model.schedule.alpha_bar, cosine(T).alpha_bar):
            raise ValueError("the preset ddpm-cpu no longer has the cosine schedule; say so on the page")
        return model
    from diffusers import DDPMScheduler

    schedule = linear(T)
    theirs = DDPMScheduler(num_train_timesteps=T).betas.double()
    if not torch.allclose(theirs, schedule.beta[1:], rtol=1e-4, atol=0):
        raise ValueError("diffusers' default betas are not those of schedule.linear; take them from it")
    return Diffusion(FromIndex(Diffusers().net, schedule), schedule)


@torch.no_grad()
def measured(model: Diffusion, settings: Settings, seed: int) -> dict[str, Any]:
    """Bound in bits/dim of the first test images, and distances of samples, the same for every model."""
    images = {split: data.load("fashion-mnist", split, full=True).x for split in ("train", "test")}
    rng = torch.Generator().manual_seed(1000 + seed)
    model.fit_last_step(data.to_unit(images["train"][:1000]), rng)
    bits, error = metrics.bits_per_dim(model, images["test"][: settings.bound_images], rng)
    out: dict[str, Any] = {"bits_per_dim": bits, "standard_error": error}
    classifier = zoo.load("classifier-fashion")
    for key, (sampler, steps) in SAMPLERS.items():
        draw = partial(model.respaced(steps).sample, sampler=sampler)
        drawn, seconds = timed(draw, settings.drawn, rng)
        out[f"frechet_{key}"] = metrics.distances(classifier, images["test"], drawn)["frechet"]
        out[f"milliseconds_{key}"] = 1000 * seconds
    return out


def one(name: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Train and measure one candidate."""
    candidate = CANDIDATES[name]
    torch.manual_seed(seed)
    model = build(candidate)
    x = data.load("fashion-mnist", "train", full=True).x

    plan = Plan(settings.seconds, lr=candidate.lr, seed=seed, precision=candidate.precision)
    start = time.monotonic()
    trained = train(model, x, own_loss, plan)
    about = {"parameters": zoo.parameters(model.net), "precision": plan.precision, "lr": plan.lr}
    return {**about, **trained, "elapsed": time.monotonic() - start, **measured(model, settings, seed)}


def measure(settings: Settings, fresh: bool) -> dict[str, Any]:
    """Every candidate with every seed, several at once, one thread each."""
    size = f"{settings.seconds:g}s-{settings.bound_images}-{settings.drawn}"
    return {
        "seconds": settings.seconds,
        "seeds": settings.seeds,
        "test_images": settings.bound_images,
        "samples": settings.drawn,
        "models": means("quality", list(CANDIDATES), size, settings, fresh),
    }
