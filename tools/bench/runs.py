"""Long runs, each kept as it ends: what was done is not done again."""

from __future__ import annotations

import importlib
import statistics
import warnings
from functools import partial
from typing import Any

from tools.bench.settings import KEPT, Settings
from tools.jobs import Job, run


def one(part: str, name: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Train and measure a candidate of a part."""
    warnings.filterwarnings("ignore")  # of torchmetrics, about its buffers
    outcome: dict[str, Any] = importlib.import_module(f"tools.bench.{part}").one(name, seed, settings)
    return outcome


def means(
    part: str, names: list[str], size: str, settings: Settings, fresh: bool
) -> dict[str, dict[str, Any]]:
    """What the candidates of a part come to: the mean over seeds of every number, one thread each.

    size: a word for what of the settings the outcomes depend on; fresh: repeat what is kept
    """
    pairs = [(name, seed) for name in names for seed in range(settings.seeds)]
    jobs = [
        Job(KEPT / f"{part}-{name}-{size}-seed{seed}.json", partial(one, part, name, seed, settings),
            [part, name, seed, size])
        for name, seed in pairs
    ]  # fmt: skip
    if fresh:
        for job in jobs:
            job.path.unlink(missing_ok=True)
    outcomes = dict(zip(pairs, run(jobs, settings.jobs), strict=True))
    return {name: _mean([outcomes[name, seed] for seed in range(settings.seeds)]) for name in names}


def _mean(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    def over(key: str, first: Any) -> Any:
        if isinstance(first, str):
            return first  # the same for all seeds
        mean = statistics.fmean(outcome[key] for outcome in outcomes)
        return round(mean) if isinstance(first, int) else mean

    return {key: over(key, first) for key, first in outcomes[0].items()}
