"""What the results files say: means and spreads over seeds, and verdicts that the seeds agree on."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

Run = dict[str, Any]
STORED = ("races", "shipped", "sweep", "codes", "reverse_step", "reverse_chain")
INSTALLED, CHECKOUT = Path(__file__).with_name("stored"), Path(__file__).parents[2] / "results"
FOLDER = INSTALLED if INSTALLED.is_dir() else CHECKOUT
NAMES = {"vae": "VAE", "simple": "diffusion, L_simple", "bound": "diffusion, bound"}


def stored() -> dict[str, Run]:
    """The results that the book prints, by experiment. Raises FileNotFoundError if a file is missing."""
    try:
        return {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in STORED}
    except FileNotFoundError as error:
        remedy = "install lowerbound anew, or run make experiments"
        raise FileNotFoundError(f"no {Path(error.filename).name} in {FOLDER}: {remedy}") from None


def comparison() -> dict[str, Run]:
    """The results of the comparison that are there so far, by job (`python -m tools.experiments --list`)."""
    files = sorted((FOLDER / "comparison").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["result"] for path in files}


@dataclass(frozen=True)
class Spread:
    """The values of several seeds. Raises ValueError if there is none."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("no run matches; see which models, sizes and seeds the results file holds")

    @property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float:
        """Their sample standard deviation; 0 for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def __format__(self, spec: str) -> str:
        """The mean, and ± the standard deviation where there are several values."""
        mean = format(self.mean, spec)
        return f"{mean} ± {format(self.std, spec)}" if len(self.values) > 1 else mean


def look_up(run: Run, path: str) -> float:
    """The number under a path such as "bound.bits_per_dim" or "samplers.DDIM 20.frechet"."""
    value: Any = run
    for key in path.split("."):
        if isinstance(value, list):
            value = next(row for row in value if f"{row['sampler']} {row['calls']}" == key)
        else:
            value = value[key]
    return float(value)


def over_seeds(runs: Iterable[Run], path: str, **match: Any) -> Spread:
    """The numbers under a path of all runs that match, as in model="vae", size="0.5M"."""
    chosen = [run for run in runs if all(run.get(key) == value for key, value in match.items())]
    return Spread(tuple(look_up(run, path) for run in chosen))


def lower(candidates: dict[str, Spread]) -> str | None:
    """The one whose every seed lies below every seed of every other; None if the seeds do not agree."""
    least = min(candidates, key=lambda name: candidates[name].mean)
    rest = [value for name, spread in candidates.items() if name != least for value in spread.values]
    return least if not rest or max(candidates[least].values) < min(rest) else None


def paired(runs: Iterable[Run], first: dict[str, Any], second: dict[str, Any]) -> tuple[float, float]:
    """How much higher the bound of `first` is than that of `second` on the same images, in bits/dim.

    Returns the mean difference and its standard error over the images, each averaged over its seeds first;
    the spread over seeds is not in it. Raises ValueError if the images are not as many.
    """
    runs = list(runs)
    sides = []
    for match in (first, second):
        chosen = [r["bound"]["each"] for r in runs if all(r.get(k) == v for k, v in match.items())]
        if not chosen or len({len(each) for each in chosen}) > 1:
            raise ValueError(f"no runs of one number of images match {match}")
        sides.append([statistics.fmean(values) for values in zip(*chosen, strict=True)])
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"bounds of {len(sides[0])} and {len(sides[1])} images; compare the same ones")
    gaps = [a - b for a, b in zip(*sides, strict=True)]
    spread = Spread(tuple(gaps))
    return spread.mean, spread.std / math.sqrt(len(gaps))


def calls_of(run: Run, sampler: str) -> list[int]:
    """The numbers of calls that a run was sampled with by this sampler."""
    return [row["calls"] for row in run["samplers"] if row["sampler"] == sampler]


def first_below(calls: Sequence[int], distances: Sequence[float], target: float) -> int | None:
    """The least number of calls whose distance is below the target; None if there is none."""
    return next((n for n, d in zip(calls, distances, strict=True) if d < target), None)


@dataclass(frozen=True)
class Interval:
    """A difference between two kinds of model: its estimate, and where it lies at a level of confidence.

    comparisons: how many were made together; each interval is widened so that all hold at `level`
    """

    mean: float
    low: float
    high: float
    level: float
    comparisons: int

    @property
    def decided(self) -> bool:
        """Whether it excludes zero: only then is there a difference to speak of."""
        return self.low > 0 or self.high < 0

    def __format__(self, spec: str) -> str:
        """Such as "0.030 [−0.010, 0.070]"."""
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]".replace("-", "−")


def difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    comparisons: int = 1,
    level: float = 0.95,
) -> Interval:
    """How much higher `first` is than `second`: two kinds of model, several seeds of each.

    first, second: for each seed its values on the same images (or on one "image", such as a distance)

    The half-width is √(t² V + z² W). V is the variance of the two means over seeds, with Student's t of as
    many degrees of freedom as the kind of fewer seeds has; W, where there are several images, is that of the
    paired difference over them, with the normal z. A bootstrap over seeds and images, or Welch's degrees of
    freedom, would call a difference where there is none more often than they promise: three seeds are few,
    and one kind may vary more than the other (tests/tools/test_results.py). Bonferroni over `comparisons`.
    Raises ValueError for a single seed, which is no verdict, and for values of other images.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("one seed of a kind is no verdict; train two or more of each")
    if len({len(values) for values in (*first, *second)}) != 1:
        raise ValueError("every seed needs its values on the same images")
    seeds = [[statistics.fmean(values) for values in kind] for kind in (first, second)]
    images = [[statistics.fmean(v) for v in zip(*kind, strict=True)] for kind in (first, second)]
    gaps = [a - b for a, b in zip(*images, strict=True)]
    over_seeds = sum(statistics.variance(means) / len(means) for means in seeds)
    over_images = statistics.variance(gaps) / len(gaps) if len(gaps) > 1 else 0.0
    below = 1 - (1 - level) / (2 * comparisons)
    t = student_quantile(below, min(map(len, seeds)) - 1)
    z = statistics.NormalDist().inv_cdf(below)
    mean, reach = statistics.fmean(gaps), math.sqrt(t**2 * over_seeds + z**2 * over_images)
    return Interval(mean, mean - reach, mean + reach, level, comparisons)


def sees(values: Sequence[float], floors: Sequence[float], best: str, most: float | None = None) -> bool:
    """Whether a ruler sees a kind of fault: each beyond the floor by three deviations, worse ones farther.

    values: of the faults, the mildest first; floors: of several draws of unspoiled images
    best: what it says of perfect ones, "low", "high", "one" or "half"; most: the highest that it can say,
    within a tenth of which no order is asked for
    """
    mean, spread = statistics.fmean(floors), statistics.stdev(floors)
    signs = {"low": (1,), "high": (-1,), "one": (1, -1), "half": (1, -1)}[best]
    ordered = [(a, b) for a, b in pairwise(values) if most is None or min(a, b) < 0.9 * most]
    return any(
        all(s * (value - mean) > 3 * spread for value in values) and all(s * a < s * b for a, b in ordered)
        for s in signs
    )


def student_quantile(probability: float, freedom: float) -> float:
    """Where Student's t of so many degrees of freedom has this probability below it.

    Raises ValueError unless ½ ≤ probability < 1 and freedom > 0. With t = √ν tan θ the density is
    cos^(ν − 1) θ, which Simpson's rule integrates, on [0, θ] and on [θ, π/2].
    """
    if not (0.5 <= probability < 1 and freedom > 0):
        raise ValueError(f"need a probability in [0.5, 1) and freedom > 0, got {probability} and {freedom}")

    def mass(low: float, high: float, pieces: int = 400) -> float:
        width = (high - low) / pieces
        values: list[float] = [math.cos(low + i * width) ** (freedom - 1) for i in range(pieces + 1)]
        return (width / 3) * (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2]))

    low, high, end = 0.0, math.pi / 2 - 1e-12, math.pi / 2 - 1e-12
    whole = mass(0, end)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if mass(middle, end) / whole < 2 * (1 - probability) else (middle, high)
    return math.sqrt(freedom) * math.tan((low + high) / 2)
