"""Models trained to a budget of arithmetic, resumable, with the curve over budgets from one run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lowerbound import data, zoo
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Loss, Recipe, Step, default_loss, fit
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tools.experiments.run_dir import RunDir
from tools.jobs import cached

VALIDATION = 5000  # of the training images, the last; no model of the comparison is trained on them
PASSES = 8  # of the validation images, each with other noise
SHARES = (1 / 64, 1 / 16, 1 / 4)  # of the budget, after which a snapshot is looked at


@dataclass(frozen=True)
class Spending:
    """How much is trained: `budget` multiply-adds, in batches; the averaged weights are kept."""

    budget: float
    batch: int = 64
    warmup: int = 200
    ema: float = 0.999

    def recipe(self, model: Any, lr: float, seed: int) -> Recipe:
        """At a constant rate, so that the averaged weights are good at every step of the way."""
        steps = steps_for(model, self.budget, self.batch)
        return Recipe(steps, self.batch, lr, self.warmup, self.ema, seed=seed, precision="auto", final=1.0)


def train(
    name: str,
    build: Callable[[], Any],
    spending: Spending,
    lr: float,
    seed: int,
    run_dir: RunDir,
    loss: Loss = default_loss,
) -> tuple[Any, dict[str, Any]]:
    """A model from `build`, trained and in eval mode, and how it was trained. Goes on from its checkpoint.

    Of a diffusion model the width of the last step is then fitted on training images. The dict has
    parameters, multiply_adds, images, seconds, and "curve": the validation loss after shares of the budget.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = build().to(run_dir.device)
    x = run_dir.images("train").x
    recipe, checkpoint = spending.recipe(model, lr, seed), run_dir.scratch / f"{name}.checkpoint"
    marks = {max(1, round(share * recipe.steps)): share for share in SHARES}
    snapshots: list[tuple[float, Path]] = [
        (share, run_dir.scratch / f"{name}.{step}.json") for step, share in marks.items()
    ]

    def look(step: Step, average: nn.Module) -> None:
        if share := marks.get(step.step):
            path = run_dir.scratch / f"{name}.{step.step}.json"
            cached(path, [name, share, recipe], lambda: validation_loss(average, run_dir, loss), replace=True)

    losses = fit(
        model,
        x[:-VALIDATION] if run_dir.full else x,
        recipe,
        loss=loss,
        checkpoint=checkpoint,
        settings={"experiment": name},
        progress=False,
        on_step=look,
    )
    model.eval()
    if isinstance(model, Diffusion):
        model.fit_last_step(data.to_unit(x[:1000]).to(run_dir.device), run_dir.rng(seed))
    curve = [
        [share, cached(path, [name, share, recipe], lambda: math.inf)]
        for share, path in snapshots
        if path.exists()
    ]
    about = {
        "parameters": zoo.parameters(model),
        "multiply_adds": multiply_adds(model),
        "images": recipe.steps * recipe.batch,
        "train_seconds": losses.seconds,
        "train_cpu_seconds": losses.cpu_seconds,
        "curve": [*curve, [1.0, validation_loss(model, run_dir, loss)]],
        "recipe": asdict(recipe),
    }
    return model, about


def forget(name: str, run_dir: RunDir) -> None:
    """Remove what a run goes on from: its result is there."""
    for path in run_dir.scratch.glob(f"{name}.*"):
        path.unlink()


@torch.no_grad()
def validation_loss(model: Any, run_dir: RunDir, loss: Loss = default_loss) -> float:
    """The model's own loss on training images held back from training, the same noise for every model."""
    rng = run_dir.rng(77)
    x = data.to_unit(run_dir.images("train").x[-VALIDATION:][:1000]).to(run_dir.device)
    parts = [loss(model, part, None, rng) for _ in range(PASSES) for part in torch.split(x, 250)]
    return float(torch.stack(parts).double().mean())


def multiply_adds(model: Any) -> float:
    """Multiply-adds of one image's forward pass in training: what `loss` asks of the networks.

    Training costs three times as much: once forward, twice backward.
    """
    device = next(model.parameters()).device
    x: Tensor = torch.zeros(1, 1, 28, 28, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if isinstance(model, Diffusion):
            model.net(x, torch.zeros(1, device=device))
        else:
            model.bound(x)
    return float(counter.get_total_flops()) / 2


def steps_for(model: Any, budget: float, batch: int) -> int:
    """Training steps of `batch` images that cost `budget` multiply-adds. Raises ValueError if below one."""
    steps = round(budget / (3 * batch * multiply_adds(model)))
    if steps < 1:
        raise ValueError(f"a budget of {budget:g} multiply-adds is less than one step; give more")
    return steps
