"""Assignment 4: the posterior, x̂_0, and a step back with noise and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from sympy import Rational
from torch import Tensor

from ..proofs import ch3_forward as forward
from ..proofs import ch4_reverse as reverse
from .cases import POINTS, Rng, chain, column, line, normal, on, times
from .engine import Check, Mistake
from .proved import ProofCheck

T = 12
half = Rational(1, 2)


def _states(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    """x_0 or ε (B, D), x_t (B, D), t (B,) in 2..T, ᾱ (T + 1,)."""
    for _ in range(POINTS):
        yield normal(rng, 6, 3), normal(rng, 6, 3), times(rng, 6, T, 2), chain(rng, T)


def levels(t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ᾱ_{t−1}, ᾱ_t and β_t, each (B, 1)."""
    before, now = column(alpha_bar, t - 1), column(alpha_bar, t)
    return before, now, 1 - now / before


def posterior_of(x0: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, D) and variance (B,) of q(x_{t−1} | x_t, x_0), from their proofs."""
    before, now, _ = levels(t, alpha_bar)
    alpha = now / before
    mean = line("posterior_mean", forward.alpha, forward.alphabar_s, forward.x0, forward.xt)
    variance = line("posterior_variance", forward.alpha, forward.alphabar_s)
    return on(mean, alpha, before, x0, xt), on(variance, alpha, before)[:, 0]


def _with(mean: Any = None, variance: Any = None) -> Any:
    """The posterior with another mean or another variance: functions of ᾱ_{t−1}, ᾱ_t, β_t."""

    def of(x0: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
        right = posterior_of(x0, xt, t, alpha_bar)
        at = levels(t, alpha_bar)
        return (mean(x0, xt, *at) if mean else right[0], variance(*at)[:, 0] if variance else right[1])

    return of


posterior = Check(
    "posterior",
    "thm-reverse-posterior",
    _states,
    posterior_of,
    {
        "coefficients exchanged": Mistake(
            lambda x0, xt, t, a: (posterior_of(xt, x0, t, a)[0], posterior_of(x0, xt, t, a)[1]),
            "the weights of x_0 and x_t have changed places.",
        ),
        "β for β̃": Mistake(
            _with(variance=lambda s, a, b: b),
            "the variance is β_t, that of the forward step. Knowing x_0, the way back is surer than that.",
        ),
        "β̃ turned over": Mistake(
            _with(variance=lambda s, a, b: b * (1 - a) / (1 - s)),
            "the fraction in the variance is upside down: it would be larger than β_t.",
        ),
        "standard deviation": Mistake(
            _with(variance=lambda s, a, b: (b * (1 - s) / (1 - a)).sqrt()),
            "the second value is a standard deviation; the variance is asked for.",
        ),
        "one level": Mistake(
            _with(
                lambda x0, xt, s, a, b: a.sqrt() * b / (1 - a) * x0 + (1 - b).sqrt() * xt,
                lambda s, a, b: b,
            ),
            "you used ᾱ_t for ᾱ_{t−1}: the step starts at one noise level and ends at another.",
        ),
        "mean not rooted": Mistake(
            _with(lambda x0, xt, s, a, b: s * b / (1 - a) * x0 + (1 - b) * (1 - s) / (1 - a) * xt),
            "the weights in the mean lack the roots of ᾱ_{t−1} and α_t.",
        ),
        "not divided": Mistake(
            _with(lambda x0, xt, s, a, b: s.sqrt() * b * x0 + (1 - b).sqrt() * (1 - s) * xt),
            "the weights in the mean are not divided by 1 − ᾱ_t.",
        ),
        "x_t from x_0": Mistake(
            _with(lambda x0, xt, s, a, b: s.sqrt() * x0),
            "this is the mean of q(x_{t−1} | x_0): it does not look at x_t.",
        ),
    },
)


def _image(xt: Tensor, eps: Tensor, t: Tensor, alpha_bar: Tensor) -> Tensor:
    a = column(alpha_bar, t)
    return (xt - (1 - a).sqrt() * eps) / a.sqrt()


def _guess(of: Any) -> Any:
    """x̂_0 by a formula of x_t, ε and ᾱ_t."""
    return lambda xt, eps, t, a: of(xt, eps, column(a, t))


x0_from_eps = Check(
    "x0_from_eps",
    "eq-reverse-mean-eps",
    _states,
    _image,
    {
        "noise not rooted": Mistake(
            _guess(lambda x, e, a: (x - (1 - a) * e) / a.sqrt()),
            "the noise was scaled by a root when it was added.",
        ),
        "not divided": Mistake(
            _guess(lambda x, e, a: x - (1 - a).sqrt() * e), "x_0 was shrunk on its way: undo that too."
        ),
        "divided by ᾱ": Mistake(
            _guess(lambda x, e, a: (x - (1 - a).sqrt() * e) / a), "x_0 was shrunk by √ᾱ_t, not by ᾱ_t."
        ),
        "noise added": Mistake(
            _guess(lambda x, e, a: (x + (1 - a).sqrt() * e) / a.sqrt()), "the noise has to be taken off."
        ),
        "exchanged": Mistake(
            _guess(lambda x, e, a: (x - a.sqrt() * e) / (1 - a).sqrt()),
            "√ᾱ_t and √(1 − ᾱ_t) have changed places.",
        ),
        "multiplied": Mistake(
            _guess(lambda x, e, a: a.sqrt() * (x - (1 - a).sqrt() * e)), "you shrank it once more; divide."
        ),
        "one index early": Mistake(
            lambda x, e, t, a: _image(x, e, t - 1, a), "the index is one too low: ᾱ_t is alpha_bar[t]."
        ),
        "ᾱ_T for ᾱ_t": Mistake(
            lambda x, e, t, a: _image(x, e, torch.full_like(t, len(a) - 1), a), "you used ᾱ_T for ᾱ_t."
        ),
    },
)


def _ddim(xt: Tensor, eps: Tensor, t: Tensor, alpha_bar: Tensor) -> Tensor:
    before, now, _ = levels(t, alpha_bar)
    names = forward.alpha, forward.alphabar_s, forward.xt, reverse.eps_net
    return on(line("ddim_deterministic", *names), now / before, before, xt, eps)


def _walk(of: Any) -> Any:
    """A step by a formula of x_t, ε̂, x̂_0 and the levels."""
    return lambda xt, eps, t, a: of(xt, eps, _image(xt, eps, t, a), *levels(t, a))


ddim_step = Check(
    "ddim_step",
    "eq-reverse-ddim-deterministic",
    _states,
    _ddim,
    {
        "noise of t kept": Mistake(
            _walk(lambda x, e, x0, s, a, b: s.sqrt() * x0 + (1 - a).sqrt() * e),
            "the image is carried to level t − 1 and the noise kept at that of t.",
        ),
        "noise not rooted": Mistake(
            _walk(lambda x, e, x0, s, a, b: s.sqrt() * x0 + (1 - s) * e), "the noise lacks its root."
        ),
        "no noise": Mistake(
            _walk(lambda x, e, x0, s, a, b: s.sqrt() * x0),
            "the predicted noise is left out: the variance of x_{t−1} would be too small.",
        ),
        "image not shrunk": Mistake(
            _walk(lambda x, e, x0, s, a, b: x0 + (1 - s).sqrt() * e), "x̂_0 must be shrunk to level t − 1."
        ),
        "ᾱ_t for ᾱ_{t−1}": Mistake(
            lambda x, e, t, a: x.clone(),
            "this leads from t to t: both levels are ᾱ_t, and x_t stays as it is.",
        ),
        "α for ᾱ": Mistake(
            _walk(lambda x, e, x0, s, a, b: (1 - b).sqrt() * x0 + b.sqrt() * e),
            "you used α_t, the factor of one step, where the level ᾱ_{t−1} belongs.",
        ),
        "the posterior's mean": Mistake(
            lambda x, e, t, a: posterior_of(_image(x, e, t, a), x, t, a)[0],
            "this is the mean of the ancestral step, which expects fresh noise. DDIM adds none.",
        ),
        "straight to x̂_0": Mistake(
            _walk(lambda x, e, x0, s, a, b: x0), "this jumps to x̂_0; one step goes to level t − 1."
        ),
    },
)

guess_derivation = ProofCheck(
    "guess_derivation",
    "eq-reverse-fade-target",
    lambda: (forward.x0 - reverse.x0_net) ** 2,
    lambda: (1 - forward.alphabar) / forward.alphabar * (reverse.eps - reverse.eps_net) ** 2,
    given=lambda: {
        forward.x0: (forward.xt - (1 - forward.alphabar) ** half * reverse.eps) / forward.alphabar**half,
        reverse.x0_net: (forward.xt - (1 - forward.alphabar) ** half * reverse.eps_net)
        / forward.alphabar**half,
    },
    steps=3,
)
