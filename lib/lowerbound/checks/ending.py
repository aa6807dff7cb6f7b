"""Assignment 3: how far the chain's end is from N(0, I), and a schedule that ends where it is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..proofs import ch3_forward as forward
from .cases import POINTS, Rng, between, derivation, line, normal, on
from .engine import Check, Mistake


def _ends(rng: Rng) -> Iterator[tuple[Tensor, float]]:
    for _ in range(POINTS):
        yield normal(rng, 5, 6), between(rng, 0.05, 0.6)


def _each(x0: Tensor, end: float) -> Tensor:
    (bar,) = derivation("terminal_kl").last.free_symbols - {forward.x0}
    return on(line("terminal_kl", forward.x0, bar), x0, end)


def _kl(x0: Tensor, end: float) -> Tensor:
    return _each(x0, end).sum(1)


def _gaussian(mean: Tensor, variance: float) -> Tensor:
    return ((mean**2 + variance - 1 - math.log(variance)) / 2).sum(1)


terminal_kl = Check(
    "terminal_kl",
    "eq-forward-terminal",
    _ends,
    _kl,
    {
        "mean over the dimensions": Mistake(
            lambda x0, a: _each(x0, a).mean(1),
            "this is the mean over the dimensions; a KL adds up over them.",
        ),
        "mean over the batch": Mistake(
            lambda x0, a: _kl(x0, a).mean(), "you averaged over the batch; return one value for each example."
        ),
        "signal's variance": Mistake(
            lambda x0, a: _gaussian(math.sqrt(a) * x0, a),
            "the variance of x_T is that of its noise, not ᾱ_T.",
        ),
        "mean not rooted": Mistake(
            lambda x0, a: _gaussian(a * x0, 1 - a), "the mean of x_T is √ᾱ_T x_0; its root is missing."
        ),
        "no logarithm": Mistake(
            lambda x0, a: (a * (x0**2 - 1) / 2).sum(1),
            "the logarithm is missing: this is negative where x_0 is small, and a KL never is.",
        ),
        "no minus sign": Mistake(
            lambda x0, a: -_kl(x0, a), "no minus sign, or one too many: a KL is never negative."
        ),
        "no half": Mistake(lambda x0, a: 2 * _kl(x0, a), "a half is missing."),
        "x_0 not there": Mistake(
            lambda x0, a: _gaussian(0 * x0, 1 - a), "x_0 is missing: the end still leans towards its start."
        ),
        "the other way round": Mistake(
            lambda x0, a: (((1 + a * x0**2) / (1 - a) - 1 + math.log(1 - a)) / 2).sum(1),
            "this is the KL from N(0, I) to the end of the chain; the expectation is under q.",
        ),
    },
)


def _targets(rng: Rng) -> Iterator[tuple[int, float]]:
    yield 5, between(rng, 0.15, 0.2)
    yield 12, 10 ** between(rng, -3, -2)
    yield 200, 10 ** between(rng, -5, -4)


def _reached(alpha_bar: Tensor) -> float:
    """The KL of one dimension, averaged over data of mean square 1: x_0 = 1 stands for all of it."""
    return float(_each(torch.ones(1, 1, dtype=torch.float64), float(alpha_bar[-1])))


def _judge(case: tuple[Any, ...], a: Tensor) -> str | None:
    T, target = case
    if a.shape == (T,):
        return "index 0 left out"
    if a.shape != (T + 1,):
        return "wrong length"
    if not bool(torch.isfinite(a).all()):
        return None
    if float(a[0]) != 1:
        return "not clean at 0"
    if float(a.min()) <= 0:
        return "not above 0"
    if not bool((a[1:] < a[:-1]).all()):
        return "not falling"
    if math.isclose(_reached(a), target, rel_tol=0.01):
        return ""
    end = 1 - math.exp(-2 * target)
    for name, wrong in (
        ("√ᾱ for ᾱ", math.sqrt(end)),
        ("ᾱ for √ᾱ", end**2),
        ("1 − ᾱ for ᾱ", 1 - end),
        ("half left out", 1 - math.exp(-target)),
        ("KL for ᾱ", target),
    ):
        if math.isclose(float(a[-1]), wrong, rel_tol=0.01):
            return name
    return "another end"


def _schedule(T: int, kl: float) -> Tensor:
    return _geometric(T, 1 - math.exp(-2 * kl))


def _geometric(T: int, end: float) -> Tensor:
    return torch.exp(torch.linspace(0, math.log(end), T + 1, dtype=torch.float64))


def _ending(end: Any) -> Any:
    return lambda T, kl: _geometric(T, end(kl))


schedule_to = Check(
    "schedule_to",
    "eq-forward-terminal",
    _targets,
    _schedule,
    {
        "index 0 left out": Mistake(
            lambda T, kl: _schedule(T, kl)[1:], "it has T entries; with alpha_bar[0] = 1 there are T + 1."
        ),
        "wrong length": Mistake(
            lambda T, kl: _schedule(T + 5, kl), "it must have T + 1 entries, for t = 0 to T, for every T."
        ),
        "not clean at 0": Mistake(
            lambda T, kl: 0.99 * _schedule(T, kl), "alpha_bar[0] must be 1: the clean image."
        ),
        "not above 0": Mistake(
            lambda T, kl: torch.linspace(1, 0, T + 1, dtype=torch.float64),
            "ᾱ_T must stay above 0: else the KL is 0 and the chain cannot be told its target.",
        ),
        "not falling": Mistake(
            lambda T, kl: torch.cat([_schedule(T, kl)[:1], _schedule(T, kl)[1:].flip(0)]),
            "ᾱ must fall at every step: noise is added, never taken away.",
        ),
        "√ᾱ for ᾱ": Mistake(
            _ending(lambda kl: math.sqrt(1 - math.exp(-2 * kl))),
            "it is √ᾱ that reaches the target; square it.",
        ),
        "ᾱ for √ᾱ": Mistake(
            _ending(lambda kl: (1 - math.exp(-2 * kl)) ** 2), "it is the root of ᾱ that reaches the target."
        ),
        "1 − ᾱ for ᾱ": Mistake(
            _ending(lambda kl: math.exp(-2 * kl)),
            "signal and noise are exchanged at the end: 1 − ᾱ_T for ᾱ_T.",
        ),
        "half left out": Mistake(
            _ending(lambda kl: 1 - math.exp(-kl)),
            "the KL at the end is half the target: a factor of 2 is lost.",
        ),
        "KL for ᾱ": Mistake(
            _ending(lambda kl: kl), "ᾱ_T is set to the KL itself. Solve for the ᾱ_T that has this KL."
        ),
        "another end": Mistake(
            lambda T, kl: torch.cat(
                [torch.ones(1), (1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64)).cumprod(0)]
            ),
            "the KL at the end is not the target. If you keep the range of β whatever T is, it depends on T.",
        ),
    },
    judge=_judge,
)
