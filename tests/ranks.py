"""What two processes do, each of them: run by torchrun from test_parallel.py.

`ranks.py fits FOLDER` trains toys and writes what came of each; `ranks.py killed STEP …` is the command line
of `lowerbound.train`, of which process 1 kills itself at that step.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from lowerbound import data, train
from lowerbound.dense import DenseDecoder, DenseDenoiser, DenseEncoder
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Recipe, classifier_loss, default_loss, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.nets import Classifier
from lowerbound.objective import l_bound, l_simple
from lowerbound.parallel import ALONE, Processes, joined
from lowerbound.schedule import cosine
from lowerbound.vae import VAE

RECIPE = Recipe(steps=20, batch=8, warmup=5, ema=0.9)
KINDS = ("vae", "simple", "bound", "float16", "classifier")
STOPPED_AT = 6


def fitted(kind: str, processes: Processes = ALONE) -> tuple[list[float], list[float]]:
    """Losses and weights of a small model."""
    torch.manual_seed(0)
    options = {"progress": False, "processes": processes}
    if kind == "classifier":
        model, images = Classifier(8), data.load("fashion-mnist", "test")
        fewer = Recipe(steps=4, batch=8)
        losses = fit(model, images.x[:64], fewer, images.y[:64], classifier_loss, **options)
    else:
        objective = l_bound if kind == "bound" else l_simple
        diffusion = Diffusion(
            DenseDenoiser(2, 8), cosine(10), (2,), GaussianLikelihood, objective=objective, clip=False
        )
        vae = VAE(DenseEncoder(2, 2, 8), DenseDecoder(2, 2, 8), GaussianLikelihood)
        model = vae if kind == "vae" else diffusion
        precision = "float16" if kind == "float16" else "float32"
        recipe = Recipe(**{**vars(RECIPE), "precision": precision})
        losses = fit(model, data.ring().sample(100, torch.Generator().manual_seed(1)), recipe, **options)
    return list(losses), torch.nn.utils.parameters_to_vector(model.parameters()).tolist()


def stopped(processes: Processes, path: Path) -> int:
    """Ctrl-C reaches process 1 alone. Returns at which step this process stopped."""
    torch.manual_seed(0)
    model, steps = VAE(DenseEncoder(2, 2, 8), DenseDecoder(2, 2, 8), GaussianLikelihood), 0

    def loss(*arguments):
        nonlocal steps
        steps += 1
        if steps == STOPPED_AT and processes.rank == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return default_loss(*arguments)

    x = data.ring().sample(100, torch.Generator().manual_seed(1))
    try:
        fit(model, x, RECIPE, loss=loss, checkpoint=path, progress=False, processes=processes)
    except KeyboardInterrupt:
        return steps
    return -1


def main(what: str, where: str, *argv: str) -> None:
    torch.set_num_threads(1)
    if what == "fits":
        with joined(torch.device("cpu")) as processes:
            came = {kind: fitted(kind, processes) for kind in KINDS}
            came["stopped"] = stopped(processes, Path(where) / "stopped.checkpoint")
            Path(where, f"{processes.rank}.json").write_text(json.dumps(came))
        return
    fits, at = train.fit, int(where)

    def fit_and_die(model, x, recipe, y, loss, **options):
        steps = 0

        def deadly(*arguments):
            nonlocal steps
            steps += 1
            if steps == at and options["processes"].rank == options["processes"].size - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return loss(*arguments)

        return fits(model, x, recipe, y, deadly, **options)

    train.fit = fit_and_die
    train.main(list(argv))


if __name__ == "__main__":
    main(*sys.argv[1:])
