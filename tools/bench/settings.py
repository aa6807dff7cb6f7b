"""How much is measured, and where it is written."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.jobs import environment, write

PEERS = ("diffusers", "denoising-diffusion-pytorch", "smalldiffusion", "pythae")
KEPT = Path("_build/bench")


@dataclass(frozen=True)
class Settings:
    """How much is measured; `QUICK` is for trying the code, its numbers mean nothing.

    rounds: of speed, all models in turn; steps, samples: in one turn; batch: images a training step
    threads: of speed and memory; quality and VAE have one for each run, and `jobs` runs at once
    repeats: fresh processes for each import; memory_steps: training steps before the peak is read
    seconds, vae_seconds: of processor time for each training; seeds: trainings of each
    bound_images, drawn: test images for the bound of a diffusion model, samples for a distance
    test_images: for the bound of a VAE
    """

    rounds: int = 11
    steps: int = 6
    samples: int = 64
    batch: int = 64
    threads: int = 2
    repeats: int = 7
    memory_steps: int = 20
    seconds: float = 300.0
    vae_seconds: float = 120.0
    seeds: int = 1
    jobs: int = 2
    bound_images: int = 32
    drawn: int = 1000
    test_images: int = 10_000


QUICK = Settings(
    rounds=2,
    steps=1,
    samples=8,
    repeats=2,
    memory_steps=2,
    seconds=2.0,
    vae_seconds=4.0,
    bound_images=2,
    drawn=8,
    test_images=200,
)


def versions() -> dict[str, str]:
    """Of the peers that are installed."""
    return {name.replace("-", "_"): metadata.version(name) for name in PEERS}


def record(
    path: Path, part: str, figures: Any, seconds: float, quick: bool, threads: int, peers: dict[str, str]
) -> None:
    """Put one part into the results file; the other parts stay as they are. peers: their versions."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"how": {"parts": {}}}
    about = environment()
    content["how"] |= {"command": "make bench", "python": platform.python_version(), "torch": about["torch"]}
    content["how"] |= {"hardware": about["hardware"], "peers": peers}
    made_with = {"commit": about["commit"], "hardware": about["hardware"], "threads": threads}
    when = {"measured": time.strftime("%Y-%m-%d"), "seconds": round(seconds), "quick": quick}
    content["how"]["parts"][part] = {**made_with, **when}
    content[part] = figures
    write(path, content)
