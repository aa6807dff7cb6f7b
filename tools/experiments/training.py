"""Models trained for an experiment: to a budget of arithmetic, resumable, kept beside their results."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lowerbound import data, zoo
from lowerbound.checkpoint import atomically
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Loss, Recipe, default_loss, fit
from safetensors.torch import load, save
from torch.utils.flop_counter import FlopCounterMode

from tools.experiments.run_dir import RunDir
from tools.jobs import cached, stored

POINTS = 100  # of a stored loss curve


@dataclass(frozen=True)
class Training:
    """A model to train: how it is built, from which seed, and for how long.

    build: () -> the model, with the weights it starts from; importable by name, as `recipe` and `loss` are
    """

    name: str
    build: Callable[[], Any]
    recipe: Recipe
    loss: Loss = default_loss

    def weights(self, run_dir: RunDir) -> Path:
        """Where the trained weights lie."""
        return run_dir.folder / "models" / f"{self.name}.safetensors"


def multiply_adds(model: Any) -> float:
    """Multiply-adds of one image's forward pass in training: what `loss` asks of the networks.

    Training costs three times as much: once forward, twice backward.
    """
    device = next(model.parameters()).device
    x = torch.zeros(1, 1, 28, 28, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if isinstance(model, Diffusion):
            model.net(x, torch.zeros(1, device=device))
        else:
            model.decode(model.posterior(x).mean)
    return float(counter.get_total_flops()) / 2


def steps_for(model: Any, budget: float, batch: int) -> int:
    """Training steps of `batch` images that cost `budget` multiply-adds. Raises ValueError if below one."""
    steps = round(budget / (3 * batch * multiply_adds(model)))
    if steps < 1:
        raise ValueError(f"a budget of {budget:g} multiply-adds is less than one step; give more")
    return steps


def trained(training: Training, run_dir: RunDir) -> tuple[Any, dict[str, Any]]:
    """The trained model in eval mode, and how it was trained. Trains it, or goes on, if it is not there yet.

    Of a diffusion model the width of the last step is then fitted on training images. Weights that are
    missing or damaged are trained again; raises ValueError for those of another recipe.
    """
    path = training.weights(run_dir)
    card, checkpoint = path.with_suffix(".json"), path.with_suffix(".checkpoint")
    key = [training.build, training.recipe, training.loss]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.recipe.seed)
        model: Any = training.build().to(run_dir.device)
    kept = stored(card, key)
    if kept and (not path.exists() or kept["result"]["sha256"] != _digest(path.read_bytes())):
        card.unlink()
    about = cached(card, key, lambda: _train(model, training, run_dir, path, checkpoint))
    for leftover in (checkpoint, checkpoint.with_suffix(".csv")):
        leftover.unlink(missing_ok=True)
    model.load_state_dict(load(path.read_bytes()))
    return model.eval(), about


def report(training: Training, run_dir: RunDir) -> dict[str, Any]:
    """Train, and say how."""
    return trained(training, run_dir)[1]


def _train(model: Any, training: Training, run_dir: RunDir, path: Path, checkpoint: Path) -> dict[str, Any]:
    x, recipe = run_dir.images("train").x, training.recipe
    settings = {"experiment": training.name}
    losses = fit(
        model, x, recipe, loss=training.loss, checkpoint=checkpoint, settings=settings, progress=False
    )
    if isinstance(model, Diffusion):
        model.fit_last_step(data.to_unit(x[:1000]).to(run_dir.device), run_dir.rng(recipe.seed))
    content = save({name: v.detach().cpu().contiguous() for name, v in model.state_dict().items()})
    with atomically(path) as file:
        file.write(content)
    every = max(1, len(losses) // POINTS)
    return {
        "parameters": zoo.parameters(model),
        "multiply_adds": multiply_adds(model),
        "images": recipe.steps * recipe.batch,
        "train_seconds": losses.seconds,
        "train_cpu_seconds": losses.cpu_seconds,
        "curve": [statistics.fmean(losses[i : i + every]) for i in range(0, len(losses), every)],
        "curve_every": every,
        "sha256": _digest(content),
        "recipe": asdict(recipe),
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
