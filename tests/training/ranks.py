"""What each of two processes does, run by torchrun as `ranks.py FOLDER [OPTIONS of lowerbound.train]`."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from lowerbound import data, train
from lowerbound.dense import DenseDenoiser
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Recipe, default_loss, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.schedule import log_snr_linear

RECIPE = Recipe(steps=300, batch=32, lr=5e-3, warmup=20, ema=0.9)
SHORT = replace(RECIPE, steps=30)
STOPPED_AT = 6


def model() -> Diffusion:
    torch.manual_seed(0)
    chain = log_snr_linear(10, 6.0, -6.0)
    return Diffusion(DenseDenoiser(2, 16), chain, (2,), GaussianLikelihood, clip=False)


def trained(recipe: Recipe = RECIPE, **options) -> tuple[float, list[float]]:
    """The mean loss of the last hundred steps, and the weights."""
    trained, x = model(), data.ring().sample(200, torch.Generator().manual_seed(1))
    losses = fit(trained, x, recipe, progress=False, **options)
    return sum(losses[-100:]) / 100, torch.nn.utils.parameters_to_vector(trained.parameters()).tolist()


def stopped(path: Path) -> int:
    """Ctrl-C reaches process 1 alone. Returns at which step this process stopped."""
    steps = 0

    def loss(*arguments):
        nonlocal steps
        steps += 1
        if steps == STOPPED_AT and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return default_loss(*arguments)

    try:
        trained(SHORT, loss=loss, checkpoint=path)
    except KeyboardInterrupt:
        return steps
    return -1


def also(folder: Path, run: Callable[..., None]) -> Callable[..., None]:
    """`train.run`, after what this file asks of the same two processes.

    One launch makes one process group: a second one would read the addresses that the first left in
    torchrun's store, and hang.
    """

    def outcome_and_run(*arguments, **options) -> None:
        torch.set_num_threads(1)
        outcome = {"trained": trained(), "stopped": stopped(folder / "stopped.checkpoint")}
        outcome["resumed"] = trained(SHORT, checkpoint=folder / "stopped.checkpoint")
        (folder / f"{dist.get_rank()}.json").write_text(json.dumps(outcome))
        run(*arguments, **options)

    return outcome_and_run


if __name__ == "__main__":
    train.run = also(Path(sys.argv[1]), train.run)
    train.main(sys.argv[2:])
