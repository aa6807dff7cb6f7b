"""Trains a small VAE straight through, then once more while it is killed: prints what came of it as JSON.

Run by test_fit.py as a process of its own: `python killed_run.py FOLDER`.
"""

import hashlib
import json
import os
import random
import signal
import sys
from pathlib import Path

import torch
from lowerbound import data
from lowerbound.dense import DenseDecoder, DenseEncoder
from lowerbound.fit import Recipe, default_loss, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.vae import VAE

RECIPE = Recipe(steps=60, batch=16, warmup=5, ema=0.9)
EVERY = 7


def train(checkpoint: Path | None, tell: int | None = None) -> str:
    """Train and return a digest of weights and losses; one byte goes to the file descriptor at each step."""
    torch.manual_seed(0)
    model = VAE(DenseEncoder(2, 2, 8), DenseDecoder(2, 2, 8), GaussianLikelihood)
    x = data.ring().sample(100, torch.Generator().manual_seed(1))

    def loss(model, x, y, rng):
        if tell is not None:
            os.write(tell, b".")
        return default_loss(model, x, y, rng)

    losses = fit(model, x, RECIPE, loss=loss, checkpoint=checkpoint, every=EVERY, progress=False)
    digest = hashlib.sha256(json.dumps(losses).encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def in_child(checkpoint: Path, result: Path, steps: int, number: int) -> dict[str, int]:
    """Train in a child and send it a signal after so many steps. Returns the child's end."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.close(read)
        try:
            result.write_text(train(checkpoint, write))
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(130)
    os.close(write)
    seen = 0
    while seen < steps and (got := os.read(read, 1)):
        seen += len(got)
    os.kill(child, number)
    _, status = os.waitpid(child, 0)
    os.close(read)
    return {"seen": seen, "exit": os.waitstatus_to_exitcode(status)}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    checkpoint, result = folder / "killed.checkpoint", folder / "digest"
    rng = random.Random(4)
    kills = [in_child(checkpoint, result, rng.randint(3, 18), signal.SIGKILL) for _ in range(3)]
    saved = len(torch.load(checkpoint, weights_only=True)["losses"])
    killed = train(checkpoint)
    checkpoint.unlink()
    interrupt = in_child(checkpoint, result, 17, signal.SIGINT)
    held = len(torch.load(checkpoint, weights_only=True)["losses"])
    outcome = {
        "kills": kills,
        "saved": saved,
        "killed": killed,
        "interrupt": interrupt,
        "held": held,
        "interrupted": train(checkpoint),
        "straight": train(None),
        "left": sorted(p.name for p in folder.iterdir()),
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
