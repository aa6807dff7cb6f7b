"""Where an experiment runs: its folder of results, its data, its device; and how each number was made."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lowerbound import data

from tools.jobs import Job, environment


@dataclass(frozen=True)
class RunDir:
    """A folder of jobs. full: all of Fashion-MNIST, or the bundled subset.

    folder: of the results; scratch: of what a training goes on from
    """

    folder: Path
    scratch: Path
    full: bool = True
    device: str = "cpu"

    def images(self, split: str) -> data.Images:
        """The split, "train" or "test"."""
        return data.load("fashion-mnist", split, full=self.full)

    def rng(self, seed: int) -> torch.Generator:
        """A generator on the device."""
        return torch.Generator(self.device).manual_seed(seed)

    def job(self, name: str, measure: Callable[..., dict[str, Any]], *arguments: Any) -> Job:
        """What `measure(*arguments, run_dir)` returns, and how, as NAME.json."""
        compute = partial(measured, self, measure, *arguments)
        kind = f"{measure.__module__}.{measure.__qualname__}"
        return Job(self.folder / f"{name}.json", compute, [measure, *arguments], kind)


def measured(run_dir: RunDir, measure: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `measure` returns, with "how": commit, torch, hardware, threads, seconds."""
    warnings.filterwarnings("ignore", module="torchmetrics")  # about its buffers
    run_dir.scratch.mkdir(parents=True, exist_ok=True)
    made_with, began = environment(run_dir.device), (time.monotonic(), time.process_time())
    result = measure(*arguments, run_dir)
    times = {"seconds": time.monotonic() - began[0], "cpu_seconds": time.process_time() - began[1]}
    return {**result, "how": {**made_with, **times}}
