"""Assignment 3: the forward chain, its moments, its fixed point and a proof, and where the chain ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy as sp

from ..proofs import ch3_forward as forward
from ..symbolic import Derivation, E, Normal, as_written
from .cases import POINTS, chain, column, derivation, function_of, line, normal, on, times
from .draws import Rng, between, whole
from .engine import Check, Mistake, Slots
from .optional import Tensor, torch
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


def _noise_levels(t: Tensor, a: Tensor) -> dict[str, Tensor]:
    """What may stand for ᾱ_t by mistake, each (B, 1)."""
    return {
        "ᾱ_{t−1}": column(a, t - 1),
        "α_t": column(_alpha(a), t),
        "ᾱ_t²": column(a, t) ** 2,
        "√ᾱ_t": column(a, t).sqrt(),
    }


def _jump(
    x0: Tensor, t: Tensor, eps: Tensor, a: Tensor, signal: str = "", noise: str = "", sign: float = 1
) -> Tensor:
    """The closed form with other levels."""
    levels = {"": column(a, t), **_noise_levels(t, a)}
    return levels[signal].sqrt() * x0 + sign * (1 - levels[noise]).sqrt() * eps


LEVELS = ("ᾱ_{t−1}", "α_t", "ᾱ_t²", "√ᾱ_t")


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
        "ᾱ² for ᾱ": Mistake(
            _of(lambda a: a**2, lambda a: 1 - a**2),
            "where roots belong there are squares: √ᾱ_t and √(1 − ᾱ_t).",
        ),
        "noise not scaled": Mistake(
            _of(torch.sqrt, lambda a: 1 + 0 * a), "the noise is not scaled by √(1 − ᾱ_t)."
        ),
    },
    slots=(
        Slots(
            _jump,
            {
                "signal": {
                    f"before x_0 stands the root of {level}, where that of ᾱ_t belongs": level
                    for level in LEVELS
                },
                "noise": {
                    f"before the noise stands √(1 − {level}), where √(1 − ᾱ_t) belongs": level
                    for level in LEVELS
                },
                "sign": {"the noise is taken off, where it belongs added": -1},
            },
        ),
    ),
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
    lines = (function_of(Derivation("moment", part), forward.beta, m, v) for part in (mean + 0 * v, square))
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
    slots=(
        Slots(
            lambda mean, variance, beta, factor=None, shrink=None, noise=None: (
                (factor(beta) if factor else math.sqrt(1 - beta)) * mean,
                (shrink(beta) if shrink else 1 - beta) * variance + (noise(beta) if noise else beta),
            ),
            {
                "factor": {
                    "the mean is scaled by √β, where √(1 − β) belongs": math.sqrt,
                    "the mean is scaled by β, where √(1 − β) belongs": lambda b: b,
                    "the mean is scaled by 1 − β/2, which is √(1 − β) to first order only": lambda b: (
                        1 - b / 2
                    ),
                    "the mean is divided by √(1 − β), where it belongs multiplied": lambda b: (1 - b) ** -0.5,
                    "the mean is scaled by (1 − β)²": lambda b: (1 - b) ** 2,
                },
                "shrink": {
                    "the variance is scaled by β, where 1 − β belongs": lambda b: b,
                    "the variance is scaled by √β": math.sqrt,
                    "the old variance is missing": lambda b: 0.0,
                },
                "noise": {
                    "the noise has variance 1, where β belongs": lambda b: 1.0,
                    "the noise has variance 1 − β, where β belongs": lambda b: 1 - b,
                    "the noise is shrunk too: (1 − β)β": lambda b: (1 - b) * b,
                    "the noise has variance √(1 − β)": lambda b: math.sqrt(1 - b),
                },
            },
        ),
    ),
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
        "two steps": Mistake(
            lambda c, s: s * s * (1 + c * c), "this is the noise after two steps. The chain goes on for ever."
        ),
    },
    slots=(
        Slots(
            lambda c, s, above=None, below=None: (
                (above(c, s) if above else s * s) / (below(c) if below else 1 - c * c)
            ),
            {
                "above": {
                    "above stands c²s², where s² belongs": lambda c, s: c * c * s * s,
                    "above stands 1, where s² belongs": lambda c, s: 1.0,
                    "above stands c², where s² belongs": lambda c, s: c * c,
                    "above stands 1 − s², where s² belongs": lambda c, s: 1 - s * s,
                },
                "below": {
                    "below stands (1 − c)², where 1 − c² belongs": lambda c: (1 - c) ** 2,
                    "below stands √(1 − c²), where 1 − c² belongs": lambda c: math.sqrt(1 - c * c),
                    "below stands (1 − c²)², where 1 − c² belongs": lambda c: (1 - c * c) ** 2,
                    "below stands c², where 1 − c² belongs": lambda c: c * c,
                    "below stands 1 − c⁴, where 1 − c² belongs": lambda c: 1 - c**4,
                    "below stands 1 + c, where 1 − c² belongs": lambda c: 1 + c,
                },
            },
        ),
    ),
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


def _ending_kl(
    x0: Tensor, a: float, square: Any = None, log: Any = None, one: Any = None, halves: Any = None
) -> Tensor:  # fmt: skip
    """The KL at the end, with other powers, signs or constants."""
    first = square(x0, a) if square else a * x0**2
    rest = -(one(a) if one else a) - (log(a) if log else math.log(1 - a))
    return (halves(first, rest) if halves else (first + rest) / 2).sum(1)


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
    slots=(
        Slots(
            _ending_kl,
            {
                "square": {
                    "x_0 is not squared": lambda x, a: a * x,
                    "ᾱ_T is missing before x_0²": lambda x, a: x**2,
                    "√ᾱ_T stands before x_0², where ᾱ_T belongs": lambda x, a: math.sqrt(a) * x**2,
                    "1 − ᾱ_T stands before x_0², where ᾱ_T belongs": lambda x, a: (1 - a) * x**2,
                    "the mean has the wrong sign": lambda x, a: -a * x**2,
                },
                "log": {
                    "the logarithm has the wrong sign": lambda a: -math.log(1 - a),
                    "log ᾱ_T stands where log(1 − ᾱ_T) belongs": math.log,
                    "½ log(1 − ᾱ_T) stands where log(1 − ᾱ_T) belongs": lambda a: math.log(1 - a) / 2,
                    "2 log(1 − ᾱ_T) stands where log(1 − ᾱ_T) belongs": lambda a: 2 * math.log(1 - a),
                    "the logarithm is to base 2": lambda a: math.log2(1 - a),
                },
                "one": {
                    "the variance less 1 is missing: −ᾱ_T": lambda a: 0.0,
                    "−1 is missing beside the variance": lambda a: a - 1,
                    "−1 stands where −ᾱ_T belongs: the variance is missing": lambda a: 1.0,
                    "+ᾱ_T stands where −ᾱ_T belongs": lambda a: -a,
                },
                "halves": {
                    "the half belongs to all terms, and stands before the mean alone": lambda a, b: a / 2 + b,
                    "the half belongs to all terms, and the mean has none": lambda a, b: a + b / 2,
                },
            },
        ),
    ),
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
    beta = 1 - a[1:] / a[:-1]
    if math.isclose(float(beta[0]), 1e-4, rel_tol=0.01) and math.isclose(float(beta[-1]), 0.02, rel_tol=0.01):
        return "β kept"
    end = 1 - math.exp(-2 * target)
    for name, wrong in (
        ("2 · KL for ᾱ", 2 * target),
        ("in bits", 1 - math.exp(-2 * math.log(2) * target)),
        ("bits for nats", 1 - math.exp(-2 * target / math.log(2))),
        ("for an image", 1 - math.exp(-2 * target / 784)),
        ("a half too many", 1 - math.exp(-4 * target)),
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
        "2 · KL for ᾱ": Mistake(
            _ending(lambda kl: 2 * kl), "ᾱ_T is 2 · kl, which is 1 − exp(−2 kl) to first order only."
        ),
        "bits for nats": Mistake(
            _ending(lambda kl: 1 - math.exp(-2 * kl / math.log(2))),
            "the target was taken for bits; it is in nats.",
        ),
        "in bits": Mistake(
            _ending(lambda kl: 1 - 2 ** (-2 * kl)),
            "2 to a power stands where exp belongs: logarithms here are natural.",
        ),
        "for an image": Mistake(
            _ending(lambda kl: 1 - math.exp(-2 * kl / 784)),
            "the target is for each dimension, not for the whole image.",
        ),
        "a half too many": Mistake(
            _ending(lambda kl: 1 - math.exp(-4 * kl)),
            "the KL at the end is twice the target: a factor of 2 is lost.",
        ),
        "β kept": Mistake(
            lambda T, kl: torch.cat(
                [torch.ones(1), (1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64)).cumprod(0)]
            ),
            "β runs from 10⁻⁴ to 0.02 whatever T is, so the end depends on T and not on the target.",
        ),
        "another end": Mistake(
            _ending(lambda kl: 0.5 * (1 - math.exp(-2 * kl))),
            "the KL at the end is not the target. Try terminal_kl on x_0 = 1, with your alpha_bar[-1].",
        ),
    },
    judge=_judge,
)
