"""Assignment 5: what makes a race fair (parameters, arithmetic, units), a proof, and how a result is read."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import sympy as sp

from .cases import POINTS, bits, normal
from .draws import Rng, between, normals, order, whole
from .engine import Check, Mistake, Slots
from .optional import Tensor, nn, torch
from .proved import ProofCheck

LOG2 = math.log(2)
Layers = list[int]


def _networks(rng: Rng) -> Iterator[tuple[nn.Module]]:
    from ..dense import dense

    for low in (3, 8, 17):
        width, out = whole(rng, low, 2 * low), whole(rng, 4, 9)
        frozen = dense([width, 5, 2])
        frozen[0].requires_grad_(False)
        yield (nn.Sequential(dense([2, width, out]), nn.BatchNorm1d(out), frozen),)


def _count(of: Callable[[nn.Module], int]) -> Any:
    return lambda model: int(of(model))


parameters = Check(
    "parameters",
    "ex-comparison-bill",
    _networks,
    _count(lambda m: sum(p.numel() for p in m.parameters() if p.requires_grad)),
    {
        "tensors counted": Mistake(
            _count(lambda m: sum(1 for p in m.parameters() if p.requires_grad)),
            "these are the tensors; count the numbers in them.",
        ),
        "frozen ones too": Mistake(
            _count(lambda m: sum(p.numel() for p in m.parameters())),
            "parameters that are frozen are counted. Only what training may change is asked for.",
        ),
        "buffers too": Mistake(
            _count(lambda m: sum(v.numel() for v in m.state_dict().values())),
            "the state holds more than parameters: buffers, such as running means, have no gradient.",
        ),
        "no biases": Mistake(
            _count(lambda m: sum(p.numel() for p in m.parameters() if p.requires_grad and p.ndim > 1)),
            "only the matrices are counted; biases and scales are parameters too.",
        ),
        "first axis": Mistake(
            _count(lambda m: sum(len(p) for p in m.parameters() if p.requires_grad)),
            "len() of a tensor is its first axis alone.",
        ),
        "bytes": Mistake(
            _count(lambda m: sum(4 * p.numel() for p in m.parameters() if p.requires_grad)),
            "these are bytes: four for each float32.",
        ),
        "one module deep": Mistake(
            _count(
                lambda m: sum(p.numel() for k in m.children() for p in k.parameters(False) if p.requires_grad)
            ),
            "only the modules on the first level are counted; networks are nested.",
        ),
        "frozen ones alone": Mistake(
            _count(lambda m: sum(p.numel() for p in m.parameters() if not p.requires_grad)),
            "these are the frozen ones; asked for are the others, which training may change.",
        ),
        "the first module": Mistake(
            _count(lambda m: sum(p.numel() for p in next(m.children()).parameters() if p.requires_grad)),
            "only the first of the modules is counted.",
        ),
        "linear layers alone": Mistake(
            _count(
                lambda m: sum(
                    p.numel()
                    for k in m.modules()
                    if type(k) is nn.Linear
                    for p in k.parameters()
                    if p.requires_grad
                )
            ),
            "only the linear layers are counted; a normalisation has parameters too.",
        ),
        "modules counted": Mistake(
            _count(lambda m: sum(1 for _ in m.modules())),
            "these are the modules; count the numbers in their tensors.",
        ),
        "no normalisation's scale": Mistake(
            _count(
                lambda m: sum(
                    p.numel() for n, p in m.named_parameters() if p.requires_grad and "bias" not in n
                )
            ),
            "biases are left out; they are parameters too.",
        ),
    },
)


def _runs(rng: Rng) -> Iterator[tuple[Layers, int, int]]:
    for _ in range(POINTS):
        yield [whole(rng, 2, 39) for _ in range(4)], whole(rng, 5, 49), whole(rng, 2, 29)


def _forward(layers: Layers) -> int:
    return sum(a * b for a, b in pairwise(layers))


training_cost = Check(
    "training_cost",
    "ex-comparison-bill",
    _runs,
    lambda layers, steps, batch: 3 * _forward(layers) * steps * batch,
    {
        "forward alone": Mistake(
            lambda layers, steps, batch: _forward(layers) * steps * batch,
            "this is the way forward. Backward costs twice as much again: one product for the gradient of "
            "the inputs, one for that of the weights.",
        ),
        "backward once": Mistake(
            lambda layers, steps, batch: 2 * _forward(layers) * steps * batch,
            "the way back has two products for each one forward, not one.",
        ),
        "flops": Mistake(
            lambda layers, steps, batch: 6 * _forward(layers) * steps * batch,
            "these are operations. A multiply-add is one multiplication and one addition, counted once.",
        ),
        "one example": Mistake(
            lambda layers, steps, batch: 3 * _forward(layers) * steps,
            "every example of the batch is computed.",
        ),
        "one step": Mistake(
            lambda layers, steps, batch: 3 * _forward(layers) * batch, "the steps are left out."
        ),
        "biases too": Mistake(
            lambda layers, steps, batch: 3 * (_forward(layers) + sum(layers[1:])) * steps * batch,
            "a bias is an addition without a multiplication: leave it out.",
        ),
        "widths added": Mistake(
            lambda layers, steps, batch: 3 * sum(layers) * steps * batch,
            "a layer costs the product of its two widths, not their sum.",
        ),
        "ends alone": Mistake(
            lambda layers, steps, batch: 3 * layers[0] * layers[-1] * steps * batch,
            "only the first and the last width come in; the layers between cost most.",
        ),
        "the last layer left out": Mistake(
            lambda layers, steps, batch: 3 * _forward(layers[:-1]) * steps * batch,
            "the last layer is left out: n widths make n − 1 layers.",
        ),
        "the first layer left out": Mistake(
            lambda layers, steps, batch: 3 * _forward(layers[1:]) * steps * batch,
            "the first layer is left out.",
        ),
        "all widths multiplied": Mistake(
            lambda layers, steps, batch: 3 * math.prod(layers) * steps * batch,
            "all widths are multiplied. Each layer is a product of two, and the layers are added.",
        ),
        "squares": Mistake(
            lambda layers, steps, batch: 3 * sum(n * n for n in layers) * steps * batch,
            "each width is squared; a layer costs the product of two that follow each other.",
        ),
        "steps and batch added": Mistake(
            lambda layers, steps, batch: 3 * _forward(layers) * (steps + batch),
            "steps and batch are added; each step computes each example of its batch.",
        ),
        "backward three times": Mistake(
            lambda layers, steps, batch: 4 * _forward(layers) * steps * batch,
            "the way back costs twice the way forward, not three times.",
        ),
    },
)


def _densities(rng: Rng) -> Iterator[tuple[Tensor, int]]:
    for dims in (784, 49, 3):
        yield dims * normal(rng, 6), dims


def _units(log_p: Tensor, dims: int) -> Tensor:
    return bits(-log_p + dims * math.log(127.5), dims)


bits_from_density = Check(
    "bits_from_density",
    "eq-vae-bits",
    _densities,
    _units,
    {
        "no bins": Mistake(
            lambda p, n: -p / (n * LOG2),
            "a density is not a probability: the width of the bins is missing. This may be negative.",
        ),
        "bins of [0, 1]": Mistake(
            lambda p, n: -p / (n * LOG2) + 8,
            "bins of width 1/256 belong to pixels in [0, 1]. Ours are in [−1, 1].",
        ),
        "255 levels": Mistake(
            lambda p, n: -p / (n * LOG2) + math.log2(255),
            "the distance of two levels in [−1, 1] is not 1/255: the interval has length 2.",
        ),
        "bins' sign": Mistake(
            lambda p, n: -p / (n * LOG2) - math.log2(127.5),
            "the width of a bin comes in with the wrong sign.",
        ),
        "one bin": Mistake(
            lambda p, n: (-p / LOG2 + math.log2(127.5)) / n,
            "every pixel has its bin: count the width once for each.",
        ),
        "density's sign": Mistake(
            lambda p, n: p / (n * LOG2) + math.log2(127.5),
            "a probable image needs few bits: the sign of log p is turned.",
        ),
        "nats": Mistake(lambda p, n: _units(p, n) * LOG2, "these are nats per dimension; divide by log 2."),
        "bits per image": Mistake(lambda p, n: _units(p, n) * n, "these are bits for the whole image."),
    },
    slots=(
        Slots(
            lambda log_density, dims, density=None, bins=None: (
                (density(log_density, dims) if density else -log_density / (dims * LOG2))
                + (math.log2(127.5) if bins is None else bins)
            ),
            {
                "density": {
                    "the density is left in nats: divide it by log 2": lambda p, n: -p / n,
                    "the density is not divided by the dimensions": lambda p, n: -p / LOG2,
                    "the density is multiplied by log 2, where it belongs divided": lambda p, n: (
                        -p * LOG2 / n
                    ),
                    "the sign of the density is turned": lambda p, n: p / (n * LOG2),
                    "the density is missing": lambda p, n: 0 * p,
                },
                "bins": {
                    "the bins are left in nats: divide log(127.5) by log 2": math.log(127.5),
                    "the bins are 2/256 wide here; 256 levels from −1 to 1 are 2/255 apart": 7,
                    "the bins are 1/127 wide here; 256 levels from −1 to 1 are 2/255 apart": math.log2(127),
                    "the bins are 1/256 wide here, which is for pixels in [0, 1]": 8,
                },
            },
        ),
    ),
)


def _density() -> tuple[Any, ...]:
    rho, size, delta, prob = sp.symbols("rho D delta P", positive=True)
    return rho, size, delta, prob


def _assumed() -> dict[Any, Any]:
    rho, size, delta, prob = _density()
    return {prob: rho * delta**size}


units_derivation = ProofCheck(
    "units_derivation",
    "eq-vae-bits",
    lambda: -sp.log(_density()[3]) / (_density()[1] * sp.log(2)),
    lambda: -sp.log(_density()[0]) / (_density()[1] * sp.log(2)) - sp.log(_density()[2]) / sp.log(2),
    given=_assumed,
    steps=3,
    split=True,
)


RACES = (
    ([0.10, 0.12, 0.14], [0.20, 0.21, 0.22]),
    ([0.30, 0.32], [0.11, 0.20]),
    ([0.10, 0.20, 0.12], [0.18, 0.30, 0.22]),
    ([0.21, 0.10, 0.22], [0.15, 0.16, 0.14]),
    ([0.00, 0.26, 0.20], [0.21, 0.22, 0.23]),
    ([0.21, 0.00, 0.20], [0.15, 0.16, 0.17]),
    ([0.10, 0.20, 0.22], [0.15, 0.16, 0.17]),
    ([0.01, 0.02], [0.10, 0.30, 0.20]),
    ([0.10, 0.12], [0.12, 0.15]),  # a tie
    ([0.25, 0.30], [0.20, 0.25, 0.10]),
)


def _seeds(rng: Rng) -> Iterator[tuple[list[float], list[float]]]:
    """The races in random order, each above a level of its own, so that no list of answers is right."""
    for i in order(rng, len(RACES)):
        level = between(rng, 1, 4)
        a, b = ([level + bits for bits in side] for side in RACES[i])
        yield a, b
    for size in (2, 3, 4) * 5:  # and some as they come
        shift, level = between(rng, -1.5, 1.5), between(rng, 1, 4)
        a, b = normals(rng, size), normals(rng, size % 3 + 2)
        yield [level + 0.1 * v for v in a], [level + 0.1 * (v + shift) for v in b]


def _less(of: Callable[[list[float]], float]) -> Any:
    """The winner by one number of each side."""
    return lambda a, b: "a" if of(a) < of(b) else "b"


def _apart(a: list[float], b: list[float], spread: float) -> str:
    """The winner by the means, where they are further apart than a spread."""
    gap = statistics.fmean(a) - statistics.fmean(b)
    return "neither" if abs(gap) < spread else "a" if gap < 0 else "b"


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
        "a tie wins": Mistake(
            lambda a, b: "a" if max(a) <= min(b) else "b" if max(b) <= min(a) else "neither",
            "a seed that ties with one of the other side is not below it.",
        ),
        "never neither": Mistake(
            lambda a, b: "a" if max(a) < min(b) else "b",
            "'b' is returned where 'neither' belongs: b has to win too.",
        ),
        "means and one spread": Mistake(
            lambda a, b: _apart(a, b, statistics.stdev(a)),
            "the means and the spread of one side decide. All seeds of one must be below all of the other.",
        ),
        "one seed is enough": Mistake(
            lambda a, b: (
                "a"
                if min(a) < min(b) and max(a) < max(b)
                else "b"
                if min(b) < min(a) and max(b) < max(a)
                else "neither"
            ),
            "best is compared with best and worst with worst. One's worst must be below the other's best.",
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
    slots=(
        Slots(
            lambda a, b, centre=None, spread=None: (
                float(centre(a - b) if centre else (a - b).mean()),
                float(spread(a, b) if spread else (a - b).std() / math.sqrt(len(a))),
            ),
            {
                "centre": {
                    "this is the median of the differences; their mean is asked for": torch.median,
                    "the differences are added, where their mean is asked for": torch.sum,
                    "the differences are squared": lambda g: (g**2).mean(),
                },
                "spread": {
                    "the spread is divided by √(n − 1); the error of a mean is divided by √n": lambda a, b: (
                        (a - b).std() / math.sqrt(len(a) - 1)
                    ),
                    "the spreads of the two are added: take the spread of the differences": lambda a, b: (
                        (a.std() + b.std()) / math.sqrt(len(a))
                    ),
                    "the spreads of the two are averaged: take the spread of the differences": lambda a, b: (
                        (a.std() + b.std()) / 2 / math.sqrt(len(a))
                    ),
                    "this is the spread of a alone": lambda a, b: a.std() / math.sqrt(len(a)),
                    "the spread of one is taken off that of the other: take the spread of the differences": (
                        lambda a, b: (a.std() - b.std()) / math.sqrt(len(a))
                    ),
                    "1.96 standard errors stand where one belongs": lambda a, b: (
                        1.96 * (a - b).std() / math.sqrt(len(a))
                    ),
                },
            },
        ),
    ),
)
