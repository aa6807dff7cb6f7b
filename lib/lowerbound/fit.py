"""One training loop for every model, with averaged weights and checkpoints.

A run that is killed goes on from its last checkpoint to the same weights: the order of the data is a
function of seed and step, and the checkpoint holds the state of the noise generator.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lowerbound import data

Loss = Callable[[nn.Module, Tensor, Tensor | None, torch.Generator], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the model and the data.

    batch: images a step; lr: peak learning rate of Adam, after `warmup` steps, decaying to 0 by a cosine
    ema: decay of the averaged weights that are kept; clip: largest gradient norm; seed: of order and noise
    precision: "float32" or "bfloat16" (autocast, where the processor has it)
    """

    steps: int = 2000
    batch: int = 64
    lr: float = 1e-3
    warmup: int = 200
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    precision: str = "float32"


class Losses(list[float]):
    """The loss of every step, and what the steps took, resumed parts included.

    seconds: by the clock; cpu_seconds: of processor time
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0


def default_loss(model: Any, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """`model.loss(x, rng)`, or with y, per dimension of x: one learning rate fits images and points."""
    each: Tensor = model.loss(x, rng) if y is None else model.loss(x, rng, y)
    return each.mean() / x[0].numel()


def classifier_loss(model: Any, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """Cross-entropy, on images shifted by up to two pixels and mirrored at random."""
    if torch.rand((), generator=rng, device=x.device) < 0.5:
        x = x.flip(3)
    dy, dx = torch.randint(-2, 3, (2,), generator=rng, device=x.device).tolist()
    loss: Tensor = model.loss(x.roll((dy, dx), (2, 3)), y).mean()
    return loss


def fit(
    model: nn.Module,
    x: Tensor,
    recipe: Recipe,
    y: Tensor | None = None,
    loss: Loss = default_loss,
    *,
    checkpoint: Path | None = None,
    settings: dict[str, Any] | None = None,
    every: int = 500,
    progress: bool = True,
) -> Losses:
    """Train model in place on x and leave the averaged weights in it. Returns the loss of every step.

    x: (N, ...) uint8 images, scaled batch by batch, or float points; y: (N,) labels if `loss` wants them
    checkpoint: a file written every `every` steps and on Ctrl-C; if it exists the run goes on from it
    settings: what else names the run, such as the architecture: a checkpoint of other settings is refused

    Raises FloatingPointError when the loss is not finite, ValueError for a checkpoint of another run.
    """
    device = next(model.parameters()).device
    rng = torch.Generator(device).manual_seed(recipe.seed)
    average, losses = deepcopy(model).requires_grad_(False), Losses()
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr, betas=(0.9, 0.99))
    plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step, recipe))
    state = {"model": model, "average": average, "optimizer": optimizer, "plan": plan}
    identity = {"recipe": asdict(recipe), "settings": settings or {}, "data": _fingerprint(x)}
    if checkpoint is not None and checkpoint.exists():
        losses = _restore(checkpoint, state, identity, rng)
    bar = tqdm(
        range(len(losses), recipe.steps), disable=not progress, initial=len(losses), total=recipe.steps
    )
    began = time.monotonic() - losses.seconds, time.process_time() - losses.cpu_seconds
    with _Interrupt() as interrupt:
        for step in bar:
            rows = _rows(len(x), step, recipe)
            batch = (data.to_unit(x[rows]) if x.dtype == torch.uint8 else x[rows]).to(device)
            labels = None if y is None else y[rows].to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                value = loss(model, batch, labels, rng)
            losses.append(value.item())
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"the loss is {losses[-1]} at step {step}; lower lr (now {recipe.lr}) or use float32"
                )
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            plan.step()
            decay = min(recipe.ema, (1 + step) / (10 + step))  # short memory while the weights move fast
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
            if step % 20 == 0:
                bar.set_postfix(loss=f"{sum(losses[-200:]) / len(losses[-200:]):.4f}", refresh=False)
            losses.seconds, losses.cpu_seconds = time.monotonic() - began[0], time.process_time() - began[1]
            if checkpoint is not None and ((step + 1) % every == 0 or interrupt.asked):
                _write(checkpoint, state, identity, rng, losses)
            if interrupt.asked:
                raise KeyboardInterrupt
    model.load_state_dict(average.state_dict())
    return losses


class _Interrupt:
    """Holds Ctrl-C back until the step is complete, so that what is saved is a whole state."""

    def __enter__(self) -> _Interrupt:
        self.asked = False
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.previous = signal.signal(signal.SIGINT, lambda *_: setattr(self, "asked", True))
        return self

    def __exit__(self, *_: object) -> None:
        if self.main:
            signal.signal(signal.SIGINT, self.previous)


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def _rows(n: int, step: int, recipe: Recipe) -> Tensor:
    """Which examples a step sees: epochs of shuffled data, a function of seed and step alone."""
    rows = torch.arange(step * recipe.batch, (step + 1) * recipe.batch)
    epochs = rows // n
    seen = range(int(epochs[0]), int(epochs[-1]) + 1)
    return torch.cat([_order(n, recipe.seed, e)[rows[epochs == e] % n] for e in seen])


def _lr_factor(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warm = min(1.0, (step + 1) / max(recipe.warmup, 1))
    cosine = 0.5 * (1 + torch.cos(torch.tensor(min(step / recipe.steps, 1.0)) * torch.pi).item())
    return warm * cosine


def _fingerprint(x: Tensor) -> str:
    return hashlib.sha256(x.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def _write(
    path: Path, state: dict[str, Any], identity: dict[str, Any], rng: torch.Generator, losses: Losses
) -> None:
    """Write the checkpoint beside its final name, then rename: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: part.state_dict() for name, part in state.items()}
    times = {"seconds": losses.seconds, "cpu_seconds": losses.cpu_seconds}
    partial = path.with_suffix(".partial")
    torch.save(
        {**whole, "identity": identity, "rng": rng.get_state(), "losses": list(losses), **times}, partial
    )
    os.replace(partial, path)


def _restore(path: Path, state: dict[str, Any], identity: dict[str, Any], rng: torch.Generator) -> Losses:
    remedy = f"delete {path}, or choose another folder, to start afresh"
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        identity_then, losses = saved["identity"], Losses(saved["losses"])
        losses.seconds, losses.cpu_seconds = saved["seconds"], saved["cpu_seconds"]
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint; {remedy}") from error
    if identity_then != identity:
        other = ", ".join(key for key in identity if identity_then.get(key) != identity[key])
        raise ValueError(f"{path} belongs to a run with other settings ({other}); {remedy}")
    try:
        for name, part in state.items():
            part.load_state_dict(saved[name])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{path} belongs to another model; {remedy}") from error
    rng.set_state(saved["rng"])
    return losses
