"""One training loop for every model, with averaged weights and checkpoints.

A run that is killed goes on from its last checkpoint to the same weights: the order of the data is a
function of seed and step, and the checkpoint holds the state of the noise generator. Several processes
share each batch and see the same data and noise as one, so they follow its loss curve.
"""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from copy import deepcopy
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lowerbound import checkpoint as checkpoints
from lowerbound import data
from lowerbound.augment import moved
from lowerbound.monitor import Monitor, Step
from lowerbound.parallel import ALONE, Loss, Processes
from lowerbound.recipe import Recipe, resolve

__all__ = ["Losses", "Recipe", "classifier_loss", "default_loss", "fit"]


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
    """Cross-entropy in nats of images x (B, 1, 28, 28) with classes y (B,), each image moved a little."""
    loss: Tensor = model.loss(moved(x, rng), y).mean()
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
    monitor: Monitor | None = None,
    processes: Processes = ALONE,
) -> Losses:
    """Train model in place on x and leave the averaged weights in it. Returns the loss of every step.

    x: (N, ...) uint8 images, scaled batch by batch, or float points; y: (N,) labels if `loss` wants them
    checkpoint: a file written every `every` steps, at the end, on Ctrl-C and on SIGTERM; if it exists the
        run goes on from it. Of several processes the first reads and writes it, whatever their number then.
    settings: what else names the run, such as the architecture: a checkpoint of other settings is refused
    monitor: told of every step; processes: those that share each batch, each calling `fit` alike

    Raises ValueError for data that do not fit and for the checkpoint of another run, FloatingPointError
    when loss or gradient is not finite, OSError when a file cannot be written, KeyboardInterrupt on Ctrl-C.
    """
    data.check(x, y)
    processes.part(torch.arange(recipe.batch))  # refuses a batch that cannot be shared
    if every < 1:
        raise ValueError(f"every, the steps between checkpoints, must be at least 1; got {every}")
    device = next(model.parameters()).device
    recipe = replace(recipe, precision=resolve(recipe.precision, device))
    half, low = recipe.precision == "float16", recipe.precision != "float32"
    rng = processes.generator(recipe.seed, device)
    average, losses = deepcopy(model).requires_grad_(False), Losses()
    # Fused steps are faster, but not the same bits as the plain ones that stored float32 results come from.
    fused = True if low and device.type in ("cpu", "cuda") else None
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr, betas=(0.9, 0.99), fused=fused)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, recipe.lr_factor)
    scaler = torch.amp.GradScaler(device.type, enabled=half)
    state = {
        "model": model,
        "average": average,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "scaler": scaler,
    }
    run = {**asdict(recipe), **(settings or {}), "data": _fingerprint(x, y), "device": device.type}
    if checkpoint is not None:
        there = processes.chief and checkpoint.exists()
        content = processes.broadcast(checkpoints.content(checkpoint) if there else None, device)
        if content is not None:
            losses = _restore(checkpoints.parse(content, checkpoint), checkpoint, state, run, rng)
    watch = monitor if processes.chief else None
    if watch is not None:
        watch.begin(losses)
    shared = processes.shared(model, loss)
    bar = tqdm(
        range(len(losses), recipe.steps),
        disable=not (progress and processes.chief),
        initial=len(losses),
        total=recipe.steps,
    )
    began = time.monotonic() - losses.seconds, time.process_time() - losses.cpu_seconds
    with _Signals() as signals:
        for step in bar:
            start = time.monotonic()
            rows = processes.part(_rows(len(x), step, recipe))
            batch = (data.to_unit(x[rows]) if x.dtype == torch.uint8 else x[rows]).to(device)
            labels = None if y is None else y[rows].to(device)
            with torch.autocast(device.type, torch.float16 if half else torch.bfloat16, enabled=low):
                value = shared(batch, labels, rng)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(value).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            mean, size, asked = processes.agree(value.detach(), norm, signals.asked)
            _check_step(mean, size, step, recipe, scaler)
            scaler.step(optimizer)  # which passes over a step whose float16 gradient has overflowed
            scaler.update()
            rate = float(scheduler.get_last_lr()[0])
            if math.isfinite(size):
                scheduler.step()
            decay = min(recipe.ema, (1 + step) / (10 + step))  # short memory while the weights move fast
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
                for kept, newest in zip(average.buffers(), model.buffers(), strict=True):
                    kept.copy_(newest)
            losses.append(mean)
            now = time.monotonic()
            losses.seconds, losses.cpu_seconds = now - began[0], time.process_time() - began[1]
            speed = recipe.batch / max(now - start, 1e-9)
            if step % 20 == 0:
                recent = sum(losses[-200:]) / len(losses[-200:])
                bar.set_postfix({"loss": f"{recent:.4f}", "images/s": f"{speed:.0f}"}, refresh=False)
            if watch is not None:
                watch.step(
                    Step(step + 1, mean, rate, size, round(speed, 1), round(losses.seconds, 3)), average
                )
            due = asked or (step + 1) % every == 0 or step + 1 == recipe.steps
            if checkpoint is not None and processes.chief and due:
                if watch is not None:
                    watch.sync()
                _write(checkpoint, state, run, rng, losses)
            if asked:
                raise KeyboardInterrupt
    model.load_state_dict(average.state_dict())
    return losses


class _Signals:
    """Holds Ctrl-C and SIGTERM back until the step is complete, so that what is saved is a whole state."""

    def __enter__(self) -> _Signals:
        self.asked = False
        held = [signal.SIGINT, signal.SIGTERM]
        if threading.current_thread() is not threading.main_thread():
            held = []  # only the main thread may handle signals
        self.previous = {number: signal.signal(number, self._ask) for number in held}
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def _rows(n: int, step: int, recipe: Recipe) -> Tensor:
    """Which examples a step sees: epochs of shuffled data, a function of seed and step alone."""
    rows = torch.arange(step * recipe.batch, (step + 1) * recipe.batch)
    epochs = rows // n
    seen = range(int(epochs[0]), int(epochs[-1]) + 1)
    return torch.cat([_order(n, recipe.seed, e)[rows[epochs == e] % n] for e in seen])


def _check_step(loss: float, norm: float, step: int, recipe: Recipe, scaler: torch.amp.GradScaler) -> None:
    remedy = f"at step {step}; start afresh (--name) with a lower lr (now {recipe.lr}) or in float32"
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} {remedy}")
    if not math.isfinite(norm) and not (scaler.is_enabled() and scaler.get_scale() > 1):
        raise FloatingPointError(f"the gradient's norm is {norm} {remedy}")


def _fingerprint(*arrays: Tensor | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            digest.update(array.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write(
    path: Path, state: dict[str, Any], run: dict[str, Any], rng: torch.Generator, losses: Losses
) -> None:
    whole = {name: part.state_dict() for name, part in state.items()}
    times = {"seconds": losses.seconds, "cpu_seconds": losses.cpu_seconds}
    checkpoints.write(path, {**whole, "run": run, "rng": rng.get_state(), "losses": list(losses), **times})


def _restore(
    saved: dict[str, Any], path: Path, state: dict[str, Any], run: dict[str, Any], rng: torch.Generator
) -> Losses:
    """Put a saved state into the parts of `state` and the generator. Raises ValueError for another run's."""
    then = saved.get("run")
    if not isinstance(then, dict):
        raise ValueError(f"{path} is no checkpoint of this library; {checkpoints.start_afresh(path)}")
    other = [key for key in run if then.get(key) != run[key]]
    if other:
        changed = ", ".join(f"{key}: {_short(then.get(key))} then, {_short(run[key])} now" for key in other)
        remedy = f"take those again, or {checkpoints.start_afresh(path)}"
        raise ValueError(f"{path} belongs to a run with other settings ({changed}); {remedy}")
    try:
        for name, part in state.items():
            part.load_state_dict(saved[name])
        losses = Losses(saved["losses"])
        losses.seconds, losses.cpu_seconds = saved["seconds"], saved["cpu_seconds"]
        rng.set_state(saved["rng"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{path} belongs to another model; {checkpoints.start_afresh(path)}") from error
    return losses


def _short(value: object) -> str:
    return str(value)[:12]
