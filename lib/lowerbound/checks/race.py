"""Assignment 5: what makes a race fair (parameters, arithmetic, units), and one proof."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import sympy as sp
import torch
from torch import Tensor, nn

from ..dense import dense
from .cases import POINTS, Rng, line, normal, on
from .engine import Check, Mistake
from .proved import ProofCheck

LOG2 = math.log(2)
Layers = list[int]


def _networks(rng: Rng) -> Iterator[tuple[nn.Module]]:
    for width in (3, 8, 17):
        frozen = dense([width, 5, 2])
        frozen[0].requires_grad_(False)
        yield (nn.Sequential(dense([2, width, 6]), nn.BatchNorm1d(6), frozen),)


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
    },
)


def _runs(rng: Rng) -> Iterator[tuple[Layers, int, int]]:
    for _ in range(POINTS):
        sizes = torch.randint(2, 40, (4,), generator=rng).tolist()
        yield (
            sizes,
            int(torch.randint(5, 50, (1,), generator=rng)),
            int(torch.randint(2, 30, (1,), generator=rng)),
        )


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
    },
)


def _densities(rng: Rng) -> Iterator[tuple[Tensor, int]]:
    for dims in (784, 49, 3):
        yield dims * normal(rng, 6), dims


def _units(log_p: Tensor, dims: int) -> Tensor:
    nats, size = sp.symbols("L D", positive=True)
    return on(line("bits_per_dim", nats, size), -log_p + dims * math.log(127.5), float(dims))


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
)
