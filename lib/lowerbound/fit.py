"""Training: a loop that yields its steps, and what a long run needs around it.

`Training.steps` is the loop. `fit` runs it, averages the weights, saves and resumes, and shows a bar. A run
that is killed goes on from its last checkpoint to the same weights: the order of the data is a function of
seed and step, and the checkpoint holds the state of the noise generator.

Under `torchrun` each process draws its own part of every batch, with a seed of its own, and torch's
DistributedDataParallel averages the gradients.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from lowerbound import checkpoint as checkpoints
from lowerbound import data, entry
from lowerbound.precision import PRECISIONS, autocast, resolve

Loss = Callable[[Any, Tensor, Tensor | None, torch.Generator], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the model and the data.

    batch: images a step, of all processes together
    lr: peak learning rate of Adam, after `warmup` steps, decaying by a cosine to `final` times itself
    final: 0 lets the rate fall to nothing; with 1 it stays, and averaged weights are good at any step
    ema: decay of the averaged weights that are kept; clip: largest gradient norm; seed: of order and noise
    precision: "float32", "bfloat16", "float16" or "auto", what the device is fast at (`precision.resolve`)

    Raises ValueError for a number out of range or an unknown precision.
    """

    steps: int = 2000
    batch: int = 64
    lr: float = 1e-3
    warmup: int = 200
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    precision: str = "float32"
    final: float = 0.0

    def __post_init__(self) -> None:
        rules = {
            "steps": (self.steps >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "lr": (0 < self.lr < math.inf, "above 0, such as 1e-3"),
            "warmup": (self.warmup >= 0, "0 or more"),
            "ema": (0 <= self.ema < 1, "in [0, 1), such as 0.999"),
            "clip": (self.clip > 0, "above 0, such as 1.0"),
            "final": (0 <= self.final <= 1, "in [0, 1]"),
            "seed": (0 <= self.seed < 2**32, "in 0..4294967295"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        }
        for name, (right, rule) in rules.items():
            if not right:
                raise ValueError(f"{name} must be {rule}; got {getattr(self, name)!r}")

    def lr_factor(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to `final`: the share of lr at a step."""
        warm = min(1.0, (step + 1) / max(self.warmup, 1))
        cosine = 0.5 * (1 + torch.cos(torch.tensor(min(step / self.steps, 1.0)) * torch.pi).item())
        return warm * (self.final + (1 - self.final) * cosine)


def default_loss(model: Any, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """`model.loss(x, rng)`, or with y, per dimension of x: one learning rate fits images and points."""
    each: Tensor = model.loss(x, rng) if y is None else model.loss(x, rng, y)
    return each.mean() / x[0].numel()


class Step(NamedTuple):
    """A step that is done. lr: as it was used; gradient_norm: before clipping; seconds: of the run so far.

    On a GPU, loss and gradient_norm are tensors until `Training.read` has read them.
    """

    step: int
    loss: float
    lr: float
    gradient_norm: float
    images_per_second: float = 0.0
    seconds: float = 0.0


class Training:
    """A model in training: the loop, and all that it changes. Arguments as for `fit`."""

    def __init__(
        self, model: nn.Module, x: Tensor, recipe: Recipe, y: Tensor | None = None, loss: Loss = default_loss
    ) -> None:
        data.check(x, y)
        _check_model(model, x, y, recipe, loss)
        self.device = next(model.parameters()).device
        self.recipe = replace(recipe, precision=resolve(recipe.precision, self.device))
        self.rank, self.processes = (dist.get_rank(), dist.get_world_size()) if distributed() else (0, 1)
        if recipe.batch % self.processes:
            raise ValueError(
                f"a batch of {recipe.batch} cannot be shared by {self.processes} processes; "
                f"choose a multiple of {self.processes} (--batch)"
            )
        # On a GPU the data lie there whole, since a batch that is copied to it is waited for.
        near = self.device if self.device.type == "cuda" else x.device
        self.x, self.y, self.model, self.done = x.to(near), None if y is None else y.to(near), model, 0
        self.loss: nn.Module = _Loss(model, loss)
        if distributed():
            # log_width is without a gradient unless the objective is the bound
            unused = hasattr(model, "log_width")
            self.loss = DistributedDataParallel(self.loss, find_unused_parameters=unused)
        self.read_every = 100 if self.device.type == "cuda" else 1  # steps; a look at a value stops a GPU
        low = self.recipe.precision != "float32"
        # Fused steps are faster, but not the same bits as the plain ones of stored float32 results. On a CPU
        # a step over all weights at once is: a small network spends most of its step between operations.
        fused = True if low and self.device.type in ("cpu", "cuda") else None
        foreach = True if fused is None and self.device.type == "cpu" else None
        self.weights = list(model.parameters())
        self.optimizer = torch.optim.Adam(
            self.weights, lr=recipe.lr, betas=(0.9, 0.99), fused=fused, foreach=foreach
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, recipe.lr_factor)
        half = self.recipe.precision == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        self.autocast = autocast(self.recipe.precision, self.device)
        self.rng = torch.Generator(self.device).manual_seed(recipe.seed + self.rank)

    def steps(self) -> Iterator[Step]:
        """The training loop, from the step that is next to the recipe's last. Yields each once it is done.

        Raises FloatingPointError, before the weights are touched, when loss or gradient is not finite; on a
        GPU it is `read` that does, since a look at each step would stop it.
        """
        while self.done < self.recipe.steps:
            x, y = self.batch(self.done)
            with self.autocast:
                value = self.loss(x, y, self.rng)
            loss = self.scaler.scale(value)  # value itself but in float16, where small gradients would be 0
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
            step = self._step(value, norm)
            self.scaler.step(self.optimizer)  # which passes over a step whose float16 gradient has overflowed
            self.scaler.update()
            if not self.scaler.is_enabled() or math.isfinite(step.gradient_norm):
                self.scheduler.step()
            self.done += 1
            yield step

    def batch(self, step: int) -> tuple[Tensor, Tensor | None]:
        """This process's part of the batch of a step: x scaled to [−1, 1], and y or None, on the device."""
        recipe = self.recipe
        size, seed = recipe.batch // self.processes, recipe.seed + self.rank
        rows = _rows(len(self.x), step, size, seed, self.x.device)
        x = self.x[rows]
        x = (data.to_unit(x) if x.dtype == torch.uint8 else x).to(self.device)
        return x, None if self.y is None else self.y[rows].to(self.device)

    def _step(self, value: Tensor, norm: Tensor) -> Step:
        """The step whose loss and gradient are known, its loss a mean over the processes."""
        mean = self._sum(value.detach()) / self.processes if self.processes > 1 else value.detach()
        lr = self.recipe.lr * self.recipe.lr_factor(self.scheduler.last_epoch)
        step = Step(self.done + 1, mean, lr, norm)  # type: ignore[arg-type]
        return step if self.device.type == "cuda" and not self.scaler.is_enabled() else self.read([step])[0]

    def read(self, steps: list[Step]) -> list[Step]:
        """The steps with loss and gradient norm as floats, read in one go.

        Raises FloatingPointError, with the remedy, at the first that is not finite.
        """
        values = [torch.as_tensor(v, device=self.device) for s in steps for v in (s.loss, s.gradient_norm)]
        pairs = torch.stack([v.float() for v in values]).view(-1, 2).tolist()
        for step, (loss, norm) in zip(steps, pairs, strict=True):
            rate = f"a lower lr (now {self.recipe.lr})"
            remedy = f"at step {step.step - 1}; start afresh (--name) with {rate} or in float32"
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} {remedy}")
            if not math.isfinite(norm) and not (self.scaler.is_enabled() and self.scaler.get_scale() > 1):
                raise FloatingPointError(f"the gradient's norm is {norm} {remedy}")
        return [s._replace(loss=a, gradient_norm=b) for s, (a, b) in zip(steps, pairs, strict=True)]

    def any_process(self, asked: bool) -> bool:
        """Whether any of the processes was asked to stop: all of them stop at the same step."""
        return asked if self.processes == 1 else bool(self._sum(torch.tensor(float(asked))) > 0)

    def _sum(self, value: Tensor) -> Tensor:
        """The sum of a value over the processes."""
        value = value.to(self.device, copy=True)
        if self.processes > 1:
            dist.all_reduce(value)
        return value


def _check_model(model: nn.Module, x: Tensor, y: Tensor | None, recipe: Recipe, loss: Loss) -> None:
    """Refuse a model that cannot be trained on x and y. Raises ValueError, with the remedy."""
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe must be a Recipe, got {type(recipe).__name__}; use Recipe(steps=2000)")
    net = getattr(model, "net", model)
    entry.shape_fits(x, entry.expected_shape(model), getattr(net, "multiple", 1))
    entry.weights_fit(net if isinstance(net, nn.Module) else model, x)
    if loss is default_loss and y is not None and not hasattr(model, "net"):
        raise ValueError(f"a {type(model).__name__} has no classes; leave y out")
    if loss is default_loss:
        entry.classes_fit(y, getattr(net, "classes", None))


class _Loss(nn.Module):
    """The loss as a module's forward, which is where DistributedDataParallel hooks in."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
        return self.loss(self.model, x, y, rng)


def distributed() -> bool:
    """Whether this is one of several processes that train together, as torchrun starts them."""
    return dist.is_available() and dist.is_initialized()


@lru_cache(maxsize=4)
def _order(n: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).to(device)


def _rows(n: int, step: int, batch: int, seed: int, device: torch.device) -> Tensor:
    """Which examples a step sees: epochs of shuffled data, a function of seed and step alone."""
    first, end = step * batch, (step + 1) * batch
    epochs = range(first // n, (end - 1) // n + 1)
    return torch.cat([_order(n, seed, e, device)[max(first - e * n, 0) : end - e * n] for e in epochs])


class Losses(list[float]):
    """The loss of every step, resumed parts included.

    steps: each `Step` of the run; cpu_seconds: what they took of processor time
    """

    def __init__(self, steps: Iterable[Step] = (), cpu_seconds: float = 0.0) -> None:
        self.steps = list(steps)
        super().__init__(step.loss for step in self.steps)
        self.cpu_seconds = cpu_seconds

    @property
    def seconds(self) -> float:
        """What the steps took by the clock."""
        return self.steps[-1].seconds if self.steps else 0.0


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
    on_step: Callable[[Step, nn.Module], None] | None = None,
) -> Losses:
    """Train model in place on x and leave the averaged weights in it. Returns the loss of every step.

    x: (N, ...) uint8 images, scaled batch by batch, or float points; y: (N,) labels if `loss` wants them
    checkpoint: a file written every `every` steps, at the end, on Ctrl-C and on SIGTERM, and beside it a
        CSV with a row a step; if it exists the run goes on from it. Of several processes the first writes.
    settings: what else names the run, such as the architecture: a checkpoint of other settings is refused
    on_step: called with every step and the averaged model, in the first process; on a GPU the steps are read,
        and told, a hundred at a time

    Raises ValueError for data that do not fit and for the checkpoint of another run, FloatingPointError
    when loss or gradient is not finite, OSError when a file cannot be written, KeyboardInterrupt on Ctrl-C.
    """
    if every < 1:
        raise ValueError(f"every, the steps between checkpoints, must be at least 1; got {every}")
    training = Training(model, x, recipe, y, loss)
    average, chief = deepcopy(model).requires_grad_(False), training.rank == 0
    run = _Run(training, average, settings or {})
    losses = run.restore(checkpoint) if checkpoint is not None else Losses()
    began = time.monotonic() - losses.seconds, time.process_time() - losses.cpu_seconds
    hidden = not (progress and chief)
    bar = tqdm(training.steps(), initial=training.done, total=recipe.steps, disable=hidden)
    unread: list[Step] = []
    with _signals_held() as signals:
        for step in bar:
            update_average(average, model, min(recipe.ema, step.step / (9 + step.step)))
            unread.append(step)
            stop = training.any_process(bool(signals))
            due = stop or step.step % every == 0 or step.step == recipe.steps
            if not due and step.step % training.read_every:
                continue
            read, unread = training.read(unread), []
            seconds = time.monotonic() - began[0]
            speed = len(read) * recipe.batch / max(seconds - losses.seconds, 1e-9)
            losses.cpu_seconds = time.process_time() - began[1]
            for each in read:
                done = each._replace(images_per_second=round(speed, 1), seconds=round(seconds, 3))
                losses.steps.append(done)
                losses.append(done.loss)
                if on_step is not None and chief:
                    on_step(done, average)
            if step.step % 20 == 1 or training.read_every > 1:
                recent = sum(losses[-200:]) / len(losses[-200:])
                bar.set_postfix({"loss": f"{recent:.4f}", "images/s": f"{speed:.0f}"}, refresh=False)
            if checkpoint is not None and chief and due:
                run.save(checkpoint, losses)
            if stop:
                raise KeyboardInterrupt
    model.load_state_dict(average.state_dict())
    return losses


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Average ← decay · average + (1 − decay) · model, for every weight; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    for kept, newest in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(newest)


@contextmanager
def _signals_held() -> Iterator[list[int]]:
    """The Ctrl-C and SIGTERM that came, held back until the step is complete: what is saved is whole."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # which alone may handle signals
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """What a checkpoint holds: the state of a training, and the settings by which it knows its own."""

    def __init__(self, training: Training, average: nn.Module, settings: dict[str, Any]) -> None:
        self.training = training
        self.state: dict[str, Any] = {
            "model": training.model,
            "average": average,
            "optimizer": training.optimizer,
            "scheduler": training.scheduler,
            "scaler": training.scaler,
        }
        fingerprint = hashlib.sha256()
        for array in (training.x, training.y):
            if array is not None:
                fingerprint.update(array.detach().cpu().contiguous().numpy().tobytes())
        device = {"data": fingerprint.hexdigest(), "device": training.device.type}
        self.settings = {**asdict(training.recipe), **settings, **device}

    def save(self, path: Path, losses: Losses) -> None:
        """Write the checkpoint, and the rows of its steps as a CSV beside it."""
        whole = {name: part.state_dict() for name, part in self.state.items()}
        rows = [list(step) for step in losses.steps]
        progress = {"rng": self.training.rng.get_state(), "steps": rows, "cpu_seconds": losses.cpu_seconds}
        checkpoints.write(path, {**whole, "run": self.settings, **progress})
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([Step._fields, *losses.steps])
        with checkpoints.atomically(path.with_suffix(".csv")) as file:
            file.write(text.getvalue().encode())

    def restore(self, path: Path) -> Losses:
        """Go on from the checkpoint at path, if there is one. Raises ValueError for that of another run."""
        saved = checkpoints.read(path) if self.training.rank == 0 and path.exists() else None
        if distributed():  # machines need not share a disk
            saved = _broadcast(saved)
        if saved is None:
            return Losses()
        then = saved.get("run")
        if not isinstance(then, dict):
            raise ValueError(f"{path} is no checkpoint of this library; {checkpoints.start_afresh(path)}")
        other = [key for key, value in self.settings.items() if then.get(key) != value]
        if other:
            changed = ", ".join(
                f"{key}: {str(then.get(key))[:12]} then, {str(self.settings[key])[:12]} now" for key in other
            )
            remedy = f"take those again, or {checkpoints.start_afresh(path)}"
            raise ValueError(f"{path} belongs to a run with other settings ({changed}); {remedy}")
        try:
            for name, part in self.state.items():
                part.load_state_dict(saved[name])
            losses = Losses([Step(*row) for row in saved["steps"]], saved["cpu_seconds"])
            self.training.done = len(losses)
            if self.training.rank == 0:
                self.training.rng.set_state(saved["rng"])
            else:  # of the others' generators nothing is kept
                self.training.rng.manual_seed(self.training.rng.initial_seed() + 1_000_003 * len(losses))
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(f"{path} belongs to another model; {checkpoints.start_afresh(path)}") from error
        return losses


def _broadcast(value: Any) -> Any:
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
