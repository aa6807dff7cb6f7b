"""Long runs, each in a process of its own and kept as it ends: what was done is not done again.

`python -m bench.runs PART NAME SEED SETTINGS OUT` makes one.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.settings import KEPT, Settings
from lowerbound.experiments.units import write


@dataclass(frozen=True)
class Run:
    """One training: the module that makes it, which of its candidates, the seed, and a word for its size."""

    part: str
    name: str
    seed: int
    size: str

    @property
    def path(self) -> Path:
        """Where its outcome is kept."""
        return KEPT / f"{self.part}-{self.name}-{self.size}-seed{self.seed}.json"


def _make(run: Run, settings: Settings) -> None:
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    about = [run.part, run.name, str(run.seed), json.dumps(asdict(settings)), str(run.path)]
    print(f"{run.path.stem}: started", flush=True)
    subprocess.run([sys.executable, "-m", "bench.runs", *about], env=one_thread, check=True)
    print(f"{run.path.stem}: done", flush=True)


def kept(runs: list[Run], settings: Settings, fresh: bool) -> dict[Run, dict[str, Any]]:
    """The outcome of each run; those that are missing are made, `settings.jobs` at once."""
    if fresh:
        for run in runs:
            run.path.unlink(missing_ok=True)
    with ThreadPoolExecutor(settings.jobs) as pool:
        list(pool.map(lambda run: _make(run, settings), [run for run in runs if not run.path.exists()]))
    return {run: json.loads(run.path.read_text(encoding="utf-8")) for run in runs}


def means(
    part: str, names: list[str], size: str, settings: Settings, fresh: bool
) -> dict[str, dict[str, Any]]:
    """What the candidates of a part come to: the mean over seeds of every number."""
    runs = {name: [Run(part, name, seed, size) for seed in range(settings.seeds)] for name in names}
    outcomes = kept([run for of_one in runs.values() for run in of_one], settings, fresh)
    return {name: _mean([outcomes[run] for run in of_one]) for name, of_one in runs.items()}


def _mean(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    def over(key: str, first: Any) -> Any:
        if isinstance(first, str):
            return first  # the same for all seeds
        mean = statistics.fmean(outcome[key] for outcome in outcomes)
        return round(mean) if isinstance(first, int) else mean

    return {key: over(key, first) for key, first in outcomes[0].items()}


def main(part: str, name: str, seed: str, settings: str, out: str) -> None:
    """Make one run, on one thread."""
    import torch

    warnings.filterwarnings("ignore")  # of torchmetrics, about its buffers
    torch.set_num_threads(1)
    one = importlib.import_module(f"bench.{part}").one
    write(Path(out), one(name, int(seed), Settings(**json.loads(settings))))


if __name__ == "__main__":
    main(*sys.argv[1:])
