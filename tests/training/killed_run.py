"""Trains a small model straight through, then once more while it is killed: prints what came of it as JSON.

Run by test_fit.py as a process of its own: `python killed_run.py FOLDER`.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from lowerbound import checkpoint as checkpoints
from lowerbound import data
from lowerbound.dense import DenseDenoiser
from lowerbound.diffusion import Diffusion
from lowerbound.fit import Recipe, default_loss, fit
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.schedule import cosine

KILLS = {"at a random moment": 20, "inside a write": 8}
RECIPE = Recipe(steps=250, batch=16, warmup=5, ema=0.9)
EVERY = 1
MOMENTS = ("half of the file", "before fsync", "before rename", "after rename")


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    return Diffusion(DenseDenoiser(2, 8), cosine(10), (2,), GaussianLikelihood, clip=False)


def train(folder: Path, tell: int | None = None, every: int = EVERY) -> str:
    """Train and return a digest of weights, losses and log; a byte goes to the descriptor at each step."""
    model, x = build(), data.ring().sample(100, torch.Generator().manual_seed(1))

    def loss(model, x, y, rng):
        if tell is not None:
            os.write(tell, b".")
        return default_loss(model, x, y, rng)

    options = {"loss": loss, "checkpoint": folder / "run.checkpoint", "progress": False}
    losses = fit(model, x, RECIPE, every=every, **options)
    rows = [line.split(",")[:4] for line in (folder / "run.csv").read_text().splitlines()]
    digest = hashlib.sha256(json.dumps([losses, rows]).encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def die_inside_a_write(moment: str, write: int) -> None:
    """Kill this process at one moment of its checkpoint number `write`."""
    fsync, replace, count = os.fsync, os.replace, [0]

    def due(at: str, descriptor: int = -1) -> None:
        if count[0] == write and moment == at:
            if descriptor >= 0 and at == MOMENTS[0]:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def slow_fsync(descriptor):
        due(MOMENTS[0], descriptor)
        due(MOMENTS[1])
        fsync(descriptor)

    def late_replace(source, target):
        due(MOMENTS[2])
        replace(source, target)
        due(MOMENTS[3])

    def counted(path, content):
        count[0] += 1
        original(path, content)

    original, checkpoints.write = checkpoints.write, counted
    os.fsync, os.replace = slow_fsync, late_replace


def in_child(folder, steps=None, number=signal.SIGKILL, moment=None, wait=0.0) -> int:
    """Train in a child until a signal after so many steps, or its own end. Returns its exit code."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.close(read)
        if moment is not None:
            die_inside_a_write(moment, 3)
        try:
            train(folder, write)
            os._exit(0)
        except KeyboardInterrupt:
            os._exit(130)
    os.close(write)
    seen = 0
    while (steps is None or seen < steps) and (got := os.read(read, 1)):
        seen += len(got)
    if steps is not None:
        time.sleep(wait)
        os.kill(child, number)
    _, status = os.waitpid(child, 0)
    os.close(read)
    return os.waitstatus_to_exitcode(status)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    straight = train(folder / "straight", every=RECIPE.steps)
    killed, rng = folder / "killed", random.Random(4)
    parts = 0
    ends, inside = [], []
    for _ in range(KILLS["at a random moment"]):
        ends.append(in_child(killed, rng.randint(1, 12), wait=rng.random() * 0.004))
    for i in range(KILLS["inside a write"]):
        inside.append(in_child(killed, moment=MOMENTS[i % len(MOMENTS)]))
        parts += (killed / "run.checkpoint.partial").exists()
    saved = len(checkpoints.read(killed / "run.checkpoint")["steps"])
    stopped = [in_child(killed, 9, number) for number in (signal.SIGINT, signal.SIGTERM)]
    held = len(checkpoints.read(killed / "run.checkpoint")["steps"])
    outcome = {
        "killed": {"at a random moment": ends, "inside a write": inside},
        "parts": parts,
        "saved": saved,
        "stopped": stopped,
        "held": held,
        "straight": straight,
        "resumed": train(killed),
        "left": sorted(p.name for p in killed.iterdir()),
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
