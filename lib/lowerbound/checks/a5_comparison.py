"""Assignment 5: what makes a race fair (parameters, arithmetic, units), a proof, and how a result is read."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import sympy as sp

from .cases import POINTS, bits, normal
from .draws import Rng, between, normals, whole
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


Costs = list[float]
T_QUANTILES = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # of Student's t at 97.5 %, by the fewer seeds


def _seeds(rng: Rng) -> Iterator[tuple[Costs, Costs, float]]:
    for first, second, sign in ((3, 3, 1), (2, 4, -1), (5, 3, 1), (4, 4, -1), (3, 5, 1)):
        level, shift = between(rng, 1, 4), sign * between(rng, 0.3, 0.6)
        a = [level + 0.1 * v for v in normals(rng, first)]
        b = [level + shift + 0.3 * v for v in normals(rng, second)]
        yield a, b, T_QUANTILES[min(first, second)]


def _error_of_gap(a: Costs, b: Costs) -> float:
    return math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))


def _about(middle: float, reach: float) -> tuple[float, float]:
    return middle - reach, middle + reach


def _gap(a: Costs, b: Costs) -> float:
    return statistics.fmean(a) - statistics.fmean(b)


def _interval(a: Costs, b: Costs, t: float) -> tuple[float, float]:
    return _about(_gap(a, b), t * _error_of_gap(a, b))


def _reach(of: Callable[[Costs, Costs, float], float]) -> Any:
    """About the right middle, with a wrong half-width."""
    return lambda a, b, t: _about(_gap(a, b), of(a, b, t))


def _middle(of: Callable[[Costs, Costs], float]) -> Any:
    """With the right half-width, about a wrong middle."""
    return lambda a, b, t: _about(of(a, b), t * _error_of_gap(a, b))


def _pooled(a: Costs, b: Costs) -> float:
    n, m = len(a), len(b)
    within = (n - 1) * statistics.variance(a) + (m - 1) * statistics.variance(b)
    return math.sqrt(within / (n + m - 2) * (1 / n + 1 / m))


def _by_seed(a: Costs, b: Costs) -> float:
    gaps = [x - y for x, y in zip(a, b, strict=False)]
    return statistics.stdev(gaps) / math.sqrt(len(gaps))


interval = Check(
    "interval",
    "ex-comparison-design",
    _seeds,
    _interval,
    {
        "not divided by n": Mistake(
            _reach(lambda a, b, t: t * math.sqrt(statistics.variance(a) + statistics.variance(b))),
            "this is how far single seeds scatter. The mean of n seeds is surer: "
            "divide each variance by its n.",
        ),
        "n for n − 1": Mistake(
            _reach(
                lambda a, b, t: (
                    t * math.sqrt(statistics.pvariance(a) / len(a) + statistics.pvariance(b) / len(b))
                )
            ),
            "the variances are divided by n where n − 1 belongs: the mean was fitted too.",
        ),
        "divided by n − 1 again": Mistake(
            _reach(
                lambda a, b, t: (
                    t
                    * math.sqrt(statistics.variance(a) / (len(a) - 1) + statistics.variance(b) / (len(b) - 1))
                )
            ),
            "the variance of a mean of n seeds is s²/n; n − 1 is already in s².",
        ),
        "errors added": Mistake(
            _reach(
                lambda a, b, t: (
                    t * (statistics.stdev(a) / math.sqrt(len(a)) + statistics.stdev(b) / math.sqrt(len(b)))
                )
            ),
            "the two errors are added. They are independent, so it is their squares that add.",
        ),
        "errors subtracted": Mistake(
            _reach(
                lambda a, b, t: (
                    t * math.sqrt(abs(statistics.variance(a) / len(a) - statistics.variance(b) / len(b)))
                )
            ),
            "one variance is taken off the other. Both models scatter, so a difference is less sure "
            "than either mean.",
        ),
        "one side": Mistake(
            _reach(lambda a, b, t: t * statistics.stdev(a) / math.sqrt(len(a))),
            "only the scatter of a is in it, and b's seeds scatter, too.",
        ),
        "other side": Mistake(
            _reach(lambda a, b, t: t * statistics.stdev(b) / math.sqrt(len(b))),
            "only the scatter of b is in it, and a's seeds scatter, too.",
        ),
        "pooled": Mistake(
            _reach(lambda a, b, t: t * _pooled(a, b)),
            "both models share one variance here. One kind of model may scatter more than the other: "
            "divide each one's own variance by its own n.",
        ),
        "all seeds as one": Mistake(
            _reach(lambda a, b, t: t * statistics.stdev(a + b) * math.sqrt(1 / len(a) + 1 / len(b))),
            "the spread of all seeds together holds the difference itself. Take each model's own variance.",
        ),
        "pair by pair": Mistake(
            _reach(lambda a, b, t: t * _by_seed(a, b)),
            "seed i of one side has nothing to do with seed i of the other; only points are paired.",
        ),
        "variance for its root": Mistake(
            _reach(lambda a, b, t: t * _error_of_gap(a, b) ** 2),
            "this is t times the variance of the difference; take its root.",
        ),
        "root of t": Mistake(
            _reach(lambda a, b, t: math.sqrt(t) * _error_of_gap(a, b)),
            "t stands under the root; it does not belong there.",
        ),
        "no t": Mistake(
            _reach(lambda a, b, t: _error_of_gap(a, b)),
            "this reaches one standard error to each side. With three seeds, that holds the right value "
            "about 60 times in a hundred; times t, 95 times or more.",
        ),
        "normal": Mistake(
            _reach(lambda a, b, t: 1.96 * _error_of_gap(a, b)),
            "1.96 is right where the spread is known. Here it is estimated from a few seeds: "
            "t says how much wider.",
        ),
        "two errors": Mistake(
            _reach(lambda a, b, t: 2 * _error_of_gap(a, b)),
            "two standard errors are right where the spread is known. Here it is estimated from a few seeds: "
            "t says how much wider.",
        ),
        "half as wide": Mistake(
            _reach(lambda a, b, t: t * _error_of_gap(a, b) / 2),
            "t standard errors reach to each side; here all of the interval is as wide as that.",
        ),
        "other sign": Mistake(lambda a, b, t: _interval(b, a, t), "the difference is a − b; you have b − a."),
        "ends exchanged": Mistake(lambda a, b, t: _interval(a, b, t)[::-1], "the low end comes first."),
        "middle and half-width": Mistake(
            lambda a, b, t: (_gap(a, b), t * _error_of_gap(a, b)),
            "this is the middle and half the width; the two ends are asked for.",
        ),
        "middle for the low end": Mistake(
            lambda a, b, t: (_gap(a, b), _gap(a, b) + t * _error_of_gap(a, b)),
            "the first value is the middle; the interval reaches as far below it as above.",
        ),
        "extremes": Mistake(
            lambda a, b, t: (min(a) - max(b), max(a) - min(b)),
            "these are the least and the largest difference of two seeds: they grow apart with every seed, "
            "where an interval for the mean narrows.",
        ),
        "medians": Mistake(
            _middle(lambda a, b: statistics.median(a) - statistics.median(b)),
            "the middle is the difference of the medians; that of the means is asked for.",
        ),
        "best seeds": Mistake(
            _middle(lambda a, b: min(a) - min(b)),
            "the middle is the difference of the best seeds: that rewards luck, and more seeds.",
        ),
        "sums": Mistake(
            _middle(lambda a, b: sum(a) - sum(b)), "the seeds are added, where their mean is asked for."
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
