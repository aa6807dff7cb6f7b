"""Models trained for an experiment: to a budget of arithmetic, resumable, kept beside their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch.utils.flop_counter import FlopCounterMode

from lowerbound import data, zoo
from lowerbound.checkpoint import atomically
from lowerbound.diffusion import Diffusion
from lowerbound.experiments.units import Place, fingerprint, read, rounded
from lowerbound.fit import default_loss, fit
from lowerbound.parallel import Loss
from lowerbound.recipe import Recipe

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

    def weights(self, place: Place) -> Path:
        """Where the trained weights lie."""
        return place.folder / "models" / f"{self.name}.safetensors"


def multiply_adds(model: Any) -> float:
    """Multiply-adds of one image's forward pass in training: what `loss` asks of the networks.

    Training costs three times as much: once forward, twice backward.
    """
    like = next(model.parameters())
    x = torch.zeros(1, 1, 28, 28, device=like.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if isinstance(model, Diffusion):
            model.net(x, torch.zeros(1, device=like.device))
        else:
            model.decode(model.posterior(x).mean)
    return float(counter.get_total_flops()) / 2


def steps_for(model: Any, budget: float, batch: int) -> int:
    """Training steps of `batch` images that cost `budget` multiply-adds. Raises ValueError if below one."""
    steps = round(budget / (3 * batch * multiply_adds(model)))
    if steps < 1:
        raise ValueError(f"a budget of {budget:g} multiply-adds is less than one step; give more")
    return steps


def trained(what: Training, place: Place) -> tuple[Any, dict[str, Any]]:
    """The trained model in eval mode, and how it was trained. Trains it, or goes on, if it is not there yet.

    Of a diffusion model the width of the last step is then fitted on training images.
    Raises ValueError if what is there was trained by another recipe.
    """
    device, path = torch.device(place.device), what.weights(place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(what.recipe.seed)
        model: Any = what.build().to(device)
    card, asked = path.with_suffix(".json"), json.loads(json.dumps(asdict(what.recipe)))
    same_model = fingerprint([what.build, what.loss])
    if card.exists():
        about, content = read(card), path.read_bytes() if path.exists() else b""
        same = about.get("recipe") == asked and about.get("asked") == same_model
        if not same or about.get("sha256") != hashlib.sha256(content).hexdigest():
            why = "is damaged or missing" if same else "was trained by another recipe"
            raise ValueError(f"{path} {why}; delete it and {card.name} to train again")
        model.load_state_dict(load(content))
        return model.eval(), about
    x = place.images("train").x
    checkpoint = path.with_suffix(".checkpoint")
    settings = {"experiment": what.name}
    losses = fit(
        model, x, what.recipe, loss=what.loss, checkpoint=checkpoint, settings=settings, progress=False
    )
    if isinstance(model, Diffusion):
        model.fit_last_step(data.to_unit(x[:1000]).to(device), place.rng(what.recipe.seed))
    content = save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()})
    block = max(1, len(losses) // POINTS)
    about = {
        "asked": same_model,
        "parameters": zoo.parameters(model),
        "multiply_adds": multiply_adds(model),
        "images": what.recipe.steps * what.recipe.batch,
        "train_seconds": losses.seconds,
        "train_cpu_seconds": losses.cpu_seconds,
        "curve": [sum(part) / len(part) for part in _blocks(losses, block)],
        "curve_every": block,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    for target, bytes_ in (
        (path, content),
        (card, f"{json.dumps({**rounded(about), 'recipe': asked}, indent=1)}\n".encode()),
    ):
        with atomically(target) as file:
            file.write(bytes_)
    checkpoint.unlink(missing_ok=True)
    return model.eval(), read(card)


def _blocks(losses: list[float], size: int) -> list[list[float]]:
    return [losses[i : i + size] for i in range(0, len(losses), size)]
