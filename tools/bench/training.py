"""One loop for all: Adam, averaged weights, and a learning rate that follows the processor time spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from lowerbound import data
from lowerbound.fit import default_loss
from torch import Tensor, nn

Loss = Callable[[Any, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Plan:
    """How to train for a time.

    seconds: of processor time; lr: peak learning rate, after a fiftieth of the time, decaying to 0 by a
    cosine; constant: no warm-up, no decay, no averaged weights, no clipping
    """

    seconds: float
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    batch: int = 64
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    precision: str = "float32"
    constant: bool = False


def own_loss(model: Any, x: Tensor, rng: torch.Generator) -> Tensor:
    """The loss of this library's models, as `fit` has it, of images without classes."""
    return default_loss(model, x, None, rng)


def lr_factor(spent: float) -> float:
    """Linear warm-up in a fiftieth of the time, then half a cosine down to zero; spent in 0..1."""
    return min(1.0, spent / 0.02 + 1e-3) * 0.5 * (1 + math.cos(math.pi * min(spent, 1.0)))


def train(model: nn.Module, x: Tensor, loss: Loss, plan: Plan) -> dict[str, float]:
    """Train model in place on uint8 images x until the time is spent; the averaged weights stay in it."""
    rng = torch.Generator().manual_seed(plan.seed)
    average, parameters = deepcopy(model).requires_grad_(False), list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=plan.lr, betas=plan.betas, fused=True)
    began, steps, spent = time.process_time(), 0, 0.0
    while spent < 1:
        if not plan.constant:
            optimizer.param_groups[0]["lr"] = plan.lr * lr_factor(spent)
        batch = data.to_unit(x[torch.randint(len(x), (plan.batch,), generator=rng)])
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bfloat16"):
            value = loss(model, batch, rng)
        optimizer.zero_grad()
        value.backward()
        if not plan.constant:
            nn.utils.clip_grad_norm_(parameters, plan.clip)
        optimizer.step()
        if not plan.constant:
            decay = min(plan.ema, (1 + steps) / (10 + steps))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), parameters, 1 - decay)
        steps += 1
        spent = (time.process_time() - began) / plan.seconds
    if not plan.constant:
        model.load_state_dict(average.state_dict())
    model.eval()
    return {"steps": steps, "images_per_second": steps * plan.batch / (spent * plan.seconds)}
