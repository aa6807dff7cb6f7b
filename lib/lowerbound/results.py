"""What the results files say: tables of the comparison, and differences with their intervals."""

from __future__ import annotations

import functools
import json
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

Run = dict[str, Any]
STORED = (
    "sweep",
    "reverse_step",
    "reverse_chain",
    "latent_prior",
    "latent_more",
    "memorisation",
    "distillation",
)
IMAGE = "ddpm-fashion-long"  # the image diffusion that chapter 6 compares with
INSTALLED, CHECKOUT = Path(__file__).with_name("stored"), Path(__file__).parents[2] / "results"
FOLDER = INSTALLED if INSTALLED.is_dir() else CHECKOUT


def stored() -> dict[str, Run]:
    """The results that the book prints, by experiment. Raises FileNotFoundError if a file is missing."""
    try:
        return {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in STORED}
    except FileNotFoundError as error:
        remedy = "install lowerbound anew, or run make experiments"
        raise FileNotFoundError(f"no {Path(error.filename).name} in {FOLDER}: {remedy}") from None


def comparison(folder: Path | None = None) -> dict[str, Run]:
    """The results of the comparison that are there so far, by job (`python -m tools.experiments --list`).

    Raises FileNotFoundError if there is none.
    """
    folder = folder or FOLDER / "comparison"
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"no result in {folder}: install lowerbound anew, or run make experiments")
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["result"] for path in files}


def floors(found: dict[str, Run], ruler: str) -> list[float]:
    """What a ruler says of several draws of real images, from the results of `comparison`."""
    return [run[ruler] for job, run in found.items() if job.startswith("floor-")]


def seen(found: dict[str, Run], ruler: str, kind: str) -> bool:
    """Whether a ruler sees a kind of fault, the mild and the strong one and in this order, by `sees`."""
    return _sees(
        found, ruler, [run for job, run in sorted(found.items()) if job.startswith(f"fault-{kind}-")]
    )


def _sees(found: dict[str, Run], ruler: str, faults: list[Run]) -> bool:
    errors = [run[f"{ruler}_error"] for run in faults if f"{ruler}_error" in run]
    about = found["rulers"]["rulers"][ruler]
    values = [run[ruler] for run in faults]
    return sees(values, floors(found, ruler), about["best"], about["most"], errors)


def card(found: dict[str, Run]) -> list[dict[str, str]]:
    """The report card of the rulers: real images, mean ± standard deviation, then a row for each fault.

    A row has "fault" and, by ruler, its value, with ✓ if the ruler sees this fault, by `sees`, and ✗ if not.
    """
    names = found["rulers"]["rulers"]
    first: dict[str, str] = {"fault": "none: real images"}
    for name in names:
        spread = Spread(tuple(floors(found, name)))
        digits = 2 if spread.std > 0.02 else 3
        mean = round(spread.mean, digits) + 0.0  # no −0
        first[name] = f"{mean:.{digits}f} ± {spread.std:.{digits}f}".replace("-", "−")
    rows = [first]
    for kind in found["rulers"]["kinds"]:
        for job, run in sorted(found.items()):
            if job.startswith(f"fault-{kind}-"):
                row = {
                    name: f"{_short(run[name])} {'✓' if _sees(found, name, [run]) else '✗'}" for name in names
                }
                rows.append({"fault": run["fault"], **row})
    return rows


def shipped(found: dict[str, Run]) -> list[dict[str, Any]]:
    """What the rulers say of samples of the models that ship: a row for each sampler, few calls first."""
    rows = [
        {"name": run["name"], "model": run["model"], **row}
        for job, run in found.items()
        if job.startswith("ships-")
        for row in run.get("samplers", ())
    ]
    return sorted(rows, key=lambda row: (row["calls"], row["sampler"]))


def shipped_table(found: dict[str, Run]) -> list[dict[str, str]]:
    """The rows of `shipped` as text: "what" was sampled how, "calls", "ms", and by ruler its value."""
    rows = []
    for row in shipped(found):
        how = f"VAE, {row['sampler']}" if row["model"] == "vae" else f"diffusion, {row['chosen']}"
        values = {name: _short(row[name]) for name in found["rulers"]["rulers"]}
        for name in values:
            if f"{name}_error" in row:
                values[name] += f" ± {math.ceil(100 * row[f'{name}_error']) / 100:.2f}"  # rounded up
        rows.append({"what": how, "calls": str(row["calls"]), "ms": f"{1000 * row['seconds']:.1f}", **values})
    return rows


def ways(latent: list[Run], found: dict[str, Run]) -> list[dict[str, Any]]:
    """Ways to draw an image, a row each, from runs of `latent_prior` and `latent_more` and `comparison`.

    "way", "calls" of the chain or the image network, "ms" and "multiply_adds" of an image; "values": by ruler
    those of every training; "told_error": the largest standard error of the two-sample test.
    """
    costs = {(r["sampler"], r["calls"]): r for run in latent if run["kind"] == "clock" for r in run["rows"]}
    judged = [run for run in latent if run["kind"] == "samples" and run["end"] == "mean"]
    judged += [row | {"sampler": "image diffusion"} for row in shipped(found) if row["name"] == IMAGE]
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for run in judged:
        way = run["sampler"], run["calls"]
        if way not in costs:
            continue
        name = way[0] if way[0] == "image diffusion" else f"VAE, {way[0]}"
        cost = {key: costs[way][key] for key in ("ms", "multiply_adds")}
        row = rows.setdefault(way, {"way": name, "calls": way[1], **cost, "values": {}, "told_error": 0.0})
        row["told_error"] = max(row["told_error"], run["told_error"])
        for ruler in found["rulers"]["rulers"]:
            row["values"].setdefault(ruler, []).append(run[ruler])
    order = list(dict.fromkeys(way for way, _ in costs))
    return [rows[way] for way in sorted(rows, key=lambda way: (order.index(way[0]), way[1]))]


def ways_table(latent: list[Run], found: dict[str, Run]) -> list[dict[str, str]]:
    """The rows of `ways` as text: of several trainings the least and the largest value.

    What the two-sample test says has its standard error where it is one number.
    """
    table = []
    for row in ways(latent, found):
        texts = {}
        for ruler, values in row["values"].items():
            texts[ruler] = _range(min(values), max(values))
            if ruler == "told" and "–" not in texts[ruler]:
                texts[ruler] += f" ± {math.ceil(100 * row['told_error']) / 100:.2f}"  # rounded up
        adds = f"{row['multiply_adds'] / 1e6:.0f}"
        calls = str(row["calls"] or "–")
        table.append({"way": row["way"], "calls": calls, "adds": adds, "ms": f"{row['ms']:.1f}", **texts})
    return table


def trainings(found: dict[str, Run], kind: str, size: str) -> list[Run]:
    """The full trainings of a kind of model at a size, a seed each, from the results of `comparison`."""
    name = re.compile(rf"{kind}-{re.escape(size)}-\d+")
    return [run for job, run in sorted(found.items()) if name.fullmatch(job)]


def bits(runs: Sequence[Run], by: str = "bound") -> list[list[float]]:
    """For each training its bits/dim of each test image: by its "bound", or, with "weighted", by the bound of
    many codes where its kind has one (of fewer images), else by its bound.
    """
    return [run["bits"].get(by, run["bits"]["bound"])["each"] for run in runs]


def judged(runs: Sequence[Run], ruler: str, sampler: str, calls: int) -> list[list[float]]:
    """For each training what a ruler says of its samples by a sampler with so many calls, as one "image".

    Raises ValueError if a training was not sampled so.
    """
    rows = [
        [row[ruler] for row in run["samplers"] if (row["sampler"], row["calls"]) == (sampler, calls)]
        for run in runs
    ]
    if any(len(row) != 1 for row in rows):
        raise ValueError(f"no samples by {sampler!r} with {calls} calls in each of the trainings")
    return rows


def trained_table(found: dict[str, Run], size: str) -> list[dict[str, str]]:
    """The kinds of model that were trained at a size, as text: "model", "parameters", "images" seen, "rate",
    "seeds"; "bound" in bits/dim and how far it lies above −log p(x) ("gap", by many codes, on the images that
    were given them), mean ± standard deviation over seeds.
    """
    table = []
    for runs in _trained(found, size):
        run = runs[0]
        row = {
            "model": _label(run),
            "parameters": f"{run['parameters']:,}",
            "images": f"{run['images']:,}",
            "rate": f"{run['lr']:g}",
            "seeds": str(len(runs)),
        }
        gaps = [_gap(run["bits"]) for run in runs if "weighted" in run["bits"]]
        row["bound"] = f"{Spread(tuple(run['bits']['bound']['mean'] for run in runs)):.2f}"
        row["gap"] = f"{Spread(tuple(gaps)):.2f}" if gaps else "–"
        table.append(row)
    return table


def drawn_table(found: dict[str, Run], size: str) -> list[dict[str, str]]:
    """What the rulers say of samples of the trainings at a size, as text: a row for each kind and sampler,
    few calls first; of several seeds the least and the largest value.
    """
    rows: dict[tuple[int, str, str], list[Run]] = {}
    for runs in _trained(found, size):
        for run in runs:
            for row in run["samplers"]:
                rows.setdefault((row["calls"], _label(run), row["sampler"]), []).append(row)
    table = []
    for (calls, label, sampler), said in sorted(rows.items()):
        texts = {
            ruler: _range(min(row[ruler] for row in said), max(row[ruler] for row in said))
            for ruler in found["rulers"]["rulers"]
        }
        table.append({"what": f"{label}, {sampler}", "calls": str(calls), **texts})
    return table


def _trained(found: dict[str, Run], size: str) -> list[list[Run]]:
    """The trainings at a size, a list for each kind of model, of few latents first."""
    races = [run for run in found.values() if run.get("size") == size and "samplers" in run]
    races.sort(key=lambda run: run["depth"] or math.inf)
    return [trainings(found, kind, size) for kind in dict.fromkeys(run["model"] for run in races)]


def _gap(bits: Run) -> float:
    weighted = bits["weighted"]["each"]
    return statistics.fmean(bits["bound"]["each"][: len(weighted)]) - statistics.fmean(weighted)


def _label(run: Run) -> str:
    label: str = run["label"]
    return label.replace("L_simple", "simple loss")


def _range(low: float, high: float) -> str:
    """Such as "0.78–0.80" or "5.4–5.9"; one number where both are printed alike."""
    digits = 1 if low > 1 and high < 10 else None
    ends = _short(low, digits), _short(high, digits)
    return _short(low) if ends[0] == ends[1] else "–".join(ends)


def _short(value: float, digits: int | None = None) -> str:
    if digits is None:
        digits = 2 if abs(value) < 10 else 0
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


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
    over_seeds = sum(_variance(means) / len(means) for means in seeds)
    over_images = _variance(gaps) / len(gaps) if len(gaps) > 1 else 0.0
    below = 1 - (1 - level) / (2 * comparisons)
    t = _quantile(below, min(map(len, seeds)) - 1)
    z = statistics.NormalDist().inv_cdf(below)
    mean, reach = statistics.fmean(gaps), math.sqrt(t**2 * over_seeds + z**2 * over_images)
    return Interval(mean, mean - reach, mean + reach, level, comparisons)


def _variance(values: Sequence[float]) -> float:
    """Over n − 1; in floats, which takes a twentieth of the time of `statistics.variance`."""
    mean = statistics.fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def over_images(first: Sequence[float], second: Sequence[float], comparisons: int = 1) -> Interval:
    """How much higher `first` is than `second` on the same images: of two trained models, not of two kinds.

    The half-width is z standard errors of the mean difference, Bonferroni over `comparisons`. What another
    training would say is not in it. Raises ValueError for other numbers of values, or fewer than two.
    """
    gaps = [a - b for a, b in zip(first, second, strict=True)]
    if len(gaps) < 2:
        raise ValueError(f"need the values of two images or more, got {len(gaps)}")
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    return apart(statistics.fmean(gaps), error, comparisons)


def apart(mean: float, error: float, comparisons: int = 1, level: float = 0.95) -> Interval:
    """A difference with its standard error as an interval: normal z, Bonferroni over `comparisons`."""
    reach = error * statistics.NormalDist().inv_cdf(1 - (1 - level) / (2 * comparisons))
    return Interval(mean, mean - reach, mean + reach, level, comparisons)


def sees(
    values: Sequence[float],
    floors: Sequence[float],
    best: str,
    most: float | None = None,
    errors: Sequence[float] = (),
) -> bool:
    """Whether a ruler sees a kind of fault: each beyond the floor by three deviations, worse ones farther.

    values: of the faults, the mildest first; floors: of several draws of unspoiled images
    best: what it says of perfect ones, "low", "high", "one" or "half"; most: the highest that it can say,
    within a tenth of which no order is asked for
    errors: standard errors of the values, where it says them: three of these, if that is more
    """
    mean, spread = statistics.fmean(floors), statistics.stdev(floors)
    reach = [3 * max(spread, error) for error in errors or [0.0] * len(values)]
    signs = {"low": (1,), "high": (-1,), "one": (1, -1), "half": (1, -1)}[best]
    ordered = [(a, b) for a, b in pairwise(values) if most is None or min(a, b) < 0.9 * most]
    return any(
        all(s * (value - mean) > far for value, far in zip(values, reach, strict=True))
        and all(s * a < s * b for a, b in ordered)
        for s in signs
    )


def student_quantile(probability: float, freedom: float) -> float:
    """Where Student's t of so many degrees of freedom has this probability below it.

    Raises ValueError unless ½ ≤ probability < 1 and freedom > 0. With t = √ν tan θ the density is
    cos^(ν − 1) θ, which Simpson's rule integrates, on [0, θ] and on [θ, π/2].
    """
    if not (0.5 <= probability < 1 and freedom > 0):
        raise ValueError(f"need a probability in [0.5, 1) and freedom > 0, got {probability} and {freedom}")

    def mass(low: float, high: float) -> float:
        pieces = 400
        width = (high - low) / pieces
        values: list[float] = [math.cos(low + i * width) ** (freedom - 1) for i in range(pieces + 1)]
        return (width / 3) * (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2]))

    low, high, end = 0.0, math.pi / 2 - 1e-12, math.pi / 2 - 1e-12
    whole = mass(0, end)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if mass(middle, end) / whole < 2 * (1 - probability) else (middle, high)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


_quantile = functools.cache(student_quantile)  # the same few are asked for again and again
