"""Assignment 5: how the result of a race is read, over seeds and over images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from .cases import Rng, between, normal
from .engine import Check, Mistake


def _seeds(rng: Rng) -> Iterator[tuple[list[float], list[float]]]:
    yield [3.50, 3.52, 3.54], [3.60, 3.61, 3.62]
    yield [3.70, 3.72], [3.51, 3.60]
    yield [3.50, 3.60, 3.52], [3.58, 3.70, 3.62]
    yield [3.61, 3.50, 3.62], [3.55, 3.56, 3.54]
    yield [3.40, 3.66, 3.60], [3.61, 3.62, 3.63]
    yield [3.61, 3.40, 3.60], [3.55, 3.56, 3.57]
    yield [3.50, 3.60, 3.62], [3.55, 3.56, 3.57]
    low = between(rng, 1, 4)
    yield [low + 0.01, low + 0.02], [low + 0.1, low + 0.3, low + 0.2]


def _less(of: Callable[[list[float]], float]) -> Any:
    """The winner by one number of each side."""
    return lambda a, b: "a" if of(a) < of(b) else "b"


def _winner(a: list[float], b: list[float]) -> str:
    return "a" if max(a) < min(b) else "b" if max(b) < min(a) else "neither"


winner = Check(
    "winner",
    "ex-comparison-design",
    _seeds,
    _winner,
    {
        "by the mean": Mistake(
            _less(statistics.fmean), "the means decide, whatever the seeds say of the spread."
        ),
        "by the best seed": Mistake(
            _less(min), "the best seed of each decides: that rewards luck, and more seeds."
        ),
        "by the worst seed": Mistake(
            _less(max), "the worst seed of each decides; one unlucky seed is not a reading."
        ),
        "by the first seed": Mistake(
            lambda a, b: "a" if a[0] < b[0] else "b", "only the first seed is looked at."
        ),
        "by the median": Mistake(
            _less(statistics.median), "the medians decide, whatever the seeds say of the spread."
        ),
        "more is better": Mistake(
            lambda a, b: {"a": "b", "b": "a"}.get(_winner(a, b), "neither"),
            "bits are a cost: fewer are better.",
        ),
        "never": Mistake(lambda a, b: "neither", "there are seeds enough to tell in some of the races."),
        "pair by pair": Mistake(
            lambda a, b: (
                "a" if all(map(float.__lt__, a, b)) else "b" if all(map(float.__gt__, a, b)) else "neither"
            ),
            "seed i of one side has nothing to do with seed i of the other: compare all with all.",
        ),
    },
)


def _pairs(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for n in (5, 24, 100):
        shared = normal(rng, n)
        yield shared + 0.2 * normal(rng, n) + 0.3, shared + 0.2 * normal(rng, n)


def _paired(a: Tensor, b: Tensor) -> tuple[float, float]:
    gaps = (a - b).tolist()
    return statistics.fmean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps))


def _error(of: Any) -> Any:
    return lambda a, b: (_paired(a, b)[0], float(of(a, b)))


paired_gap = Check(
    "paired_gap",
    "sec-comparison",
    _pairs,
    _paired,
    {
        "not paired": Mistake(
            _error(lambda a, b: (a.var() / len(a) + b.var() / len(b)).sqrt()),
            "the error treats the images as different ones. They are the same, and what is hard for one "
            "model is hard for the other: take the differences first.",
        ),
        "standard deviation": Mistake(
            _error(lambda a, b: (a - b).std()),
            "this is the spread of one image; the mean of n images is surer than that.",
        ),
        "divided by n": Mistake(
            _error(lambda a, b: (a - b).std() / len(a)),
            "divided by n: errors of means fall with the root of n.",
        ),
        "variance": Mistake(
            _error(lambda a, b: (a - b).var() / len(a)), "this is the square of the error; take its root."
        ),
        "n for n − 1": Mistake(
            _error(lambda a, b: (a - b).std(correction=0) / math.sqrt(len(a))),
            "the spread is divided by n where n − 1 belongs: the mean was fitted too.",
        ),
        "other sign": Mistake(
            lambda a, b: (-_paired(a, b)[0], _paired(a, b)[1]), "the difference is a − b; you have b − a."
        ),
        "absolute differences": Mistake(
            lambda a, b: (float((a - b).abs().mean()), _paired(a, b)[1]),
            "absolute differences never cancel: two equal models would seem apart.",
        ),
    },
)
