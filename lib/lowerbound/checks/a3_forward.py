"""Assignment 3: the forward chain, its moments, its fixed point and a proof, and where the chain ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ..proofs import ch3_forward as forward
from ..symbolic import Derivation, E, Normal, as_written
from .cases import POINTS, Rng, between, chain, column, derivation, line, normal, on, times, whole
from .engine import Check, Mistake
from .proved import ProofCheck


def _noised(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    for _ in range(POINTS):
        yield normal(rng, 6, 3), times(rng, 6), normal(rng, 6, 3), chain(rng)


def _alpha(alpha_bar: Tensor) -> Tensor:
    return torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])


def _q_sample(x0: Tensor, t: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """The mean and the variance of the closed form, at each t."""
    before, alpha = column(alpha_bar, t - 1), column(_alpha(alpha_bar), t)
    mean = line("forward_marginal_mean", forward.alpha, forward.alphabar_s, forward.x0)
    variance = line("forward_marginal_variance", forward.alpha, forward.alphabar_s)
    return on(mean, alpha, before, x0) + on(variance, alpha, before).sqrt() * eps


def _of(signal: Any, noise: Any) -> Any:
    """x_t with these factors of x_0 and of ε, each a function of ᾱ_t."""
    return lambda x0, t, eps, a: signal(column(a, t)) * x0 + noise(column(a, t)) * eps


q_sample = Check(
    "q_sample",
    "thm-forward-jump",
    _noised,
    _q_sample,
    {
        "ᾱ_T for ᾱ_t": Mistake(
            lambda x0, t, eps, a: _q_sample(x0, torch.full_like(t, len(a) - 1), eps, a),
            "you used ᾱ_T for ᾱ_t: every image is as noisy as the last.",
        ),
        "variance for scale": Mistake(
            _of(torch.sqrt, lambda a: 1 - a),
            "the variance is (1 − ᾱ); you scaled the noise by it instead of by its root.",
        ),
        "signal not rooted": Mistake(
            _of(lambda a: a, lambda a: (1 - a).sqrt()),
            "x_0 is scaled by ᾱ_t. Variances are scaled by it; a value is scaled by its root.",
        ),
        "nothing rooted": Mistake(
            _of(lambda a: a, lambda a: 1 - a), "both factors lack their roots: they are those of variances."
        ),
        "exchanged": Mistake(
            _of(lambda a: (1 - a).sqrt(), torch.sqrt), "signal and noise have changed places."
        ),
        "1 − √ᾱ": Mistake(
            _of(torch.sqrt, lambda a: 1 - a.sqrt()),
            "the root of a difference is not the difference of roots.",
        ),
        "one index early": Mistake(
            lambda x0, t, eps, a: _of(torch.sqrt, lambda a: (1 - a).sqrt())(x0, t - 1, eps, a),
            "the index is one too low: alpha_bar[0] = 1 is the clean image, so ᾱ_t is alpha_bar[t].",
        ),
        "α for ᾱ": Mistake(
            lambda x0, t, eps, a: _of(torch.sqrt, lambda a: (1 - a).sqrt())(x0, t, eps, _alpha(a)),
            "you used α_t, the factor of one step; ᾱ_t is the product of all up to t.",
        ),
        "no noise": Mistake(_of(torch.sqrt, lambda a: 0 * a), "this is the mean of x_t; no noise is added."),
        "signal not shrunk": Mistake(
            _of(lambda a: 1 + 0 * a, lambda a: (1 - a).sqrt()),
            "x_0 is not shrunk: the variance then grows beyond 1.",
        ),
    },
)


def _moments(rng: Rng) -> Iterator[tuple[float, ...]]:
    for _ in range(POINTS):
        yield between(rng, -2, 2), between(rng, 0.1, 3), between(rng, 0.05, 0.6)


@cache
def _step() -> tuple[Any, Any]:
    """The mean of x_t and of its square, for x_{t−1} of mean m and variance v, from the definition."""
    m, v = sp.Symbol("m", real=True), sp.Symbol("v", positive=True)
    with as_written():
        before, step = Normal(forward.xs, m, v), derivation("forward_step").last
        mean = E(before, step.args[1])
        square = E(before, step.args[1] ** 2 + step.args[2])
    lines = (Derivation("moment", part).as_function(forward.beta, m, v) for part in (mean + 0 * v, square))
    first, second = lines
    return first, second


def _next(mean: float, variance: float, beta: float) -> tuple[float, float]:
    first, second = _step()
    centre = float(first(beta, mean, variance))
    return centre, float(second(beta, mean, variance)) - centre**2


def _moved(mean: Any = None, variance: Any = None) -> Any:
    def of(m: float, v: float, b: float) -> tuple[float, float]:
        right = _next(m, v, b)
        return (mean(m, b) if mean else right[0], variance(v, b) if variance else right[1])

    return of


next_moments = Check(
    "next_moments",
    "thm-forward-step",
    _moments,
    _next,
    {
        "noise β": Mistake(
            _moved(variance=lambda v, b: (1 - b) * v + b * b), "the noise is scaled by √β, not by β."
        ),
        "variance not shrunk": Mistake(
            _moved(variance=lambda v, b: v + b),
            "the old variance is not shrunk: with every step it grows, and never settles.",
        ),
        "variance by the root": Mistake(
            _moved(variance=lambda v, b: math.sqrt(1 - b) * v + b),
            "a value is scaled by √(1 − β); its variance by the square of that.",
        ),
        "variance twice": Mistake(
            _moved(variance=lambda v, b: (1 - b) ** 2 * v + b),
            "the old variance is shrunk twice: the factor of the value is a root already.",
        ),
        "mean not rooted": Mistake(
            _moved(mean=lambda m, b: (1 - b) * m), "the mean is scaled by 1 − β; it should be its root."
        ),
        "mean kept": Mistake(
            _moved(mean=lambda m, b: m),
            "the mean is not shrunk: the chain would remember its start for ever.",
        ),
        "noise √β": Mistake(
            _moved(variance=lambda v, b: (1 - b) * v + math.sqrt(b)),
            "√β scales the noise; its variance is the square of that.",
        ),
        "no noise": Mistake(_moved(variance=lambda v, b: (1 - b) * v), "no noise is added."),
    },
)


@cache
def _fixed() -> Any:
    """Where v = c²v + s²."""
    c, s, v = sp.symbols("c s v", positive=True)
    return sp.lambdify((c, s), sp.solve(c**2 * v + s**2 - v, v)[0])


fixed_point = Check(
    "fixed_point",
    "eq-forward-fixed-point",
    lambda rng: ((between(rng, 0.2, 0.95), between(rng, 0.2, 1.5)) for _ in range(POINTS)),
    lambda c, s: float(_fixed()(c, s)),
    {
        "always 1": Mistake(lambda c, s: 1.0, "it is 1 only where c² + s² = 1, as in our chain."),
        "c not squared": Mistake(
            lambda c, s: s * s / (1 - c), "c scales values; a variance is scaled by its square."
        ),
        "s not squared": Mistake(
            lambda c, s: s / (1 - c * c), "s is a standard deviation; its square is added to the variance."
        ),
        "neither squared": Mistake(
            lambda c, s: s / (1 - c), "c and s act on values; on variances their squares do."
        ),
        "standard deviation": Mistake(
            lambda c, s: s / math.sqrt(1 - c * c), "this is a standard deviation; the variance is asked for."
        ),
        "one step": Mistake(
            lambda c, s: s * s, "this is the noise of one step. The chain goes on, and it adds up."
        ),
        "wrong sign": Mistake(
            lambda c, s: s * s / (1 + c * c), "a sign is turned when the equation is solved."
        ),
        "turned over": Mistake(lambda c, s: (1 - c * c) / (s * s), "this is one over the answer."),
    },
)

recursion_derivation = ProofCheck(
    "recursion_derivation",
    "eq-forward-fixed-point",
    lambda: (
        E(
            Normal(forward.xs, 0, sp.Symbol("v", positive=True)),
            E(Normal(forward.xt, sp.sqrt(forward.alpha) * forward.xs, 1 - forward.alpha), forward.xt**2),
        )
        - 1
    ),
    lambda: forward.alpha * (sp.Symbol("v", positive=True) - 1),
    steps=3,
)


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
    yield whole(rng, 8, 30), 10 ** between(rng, -3, -2)
    yield whole(rng, 150, 300), 10 ** between(rng, -5, -4)


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
