"""Assignment 4: an ancestral step, the simple loss, the weight it drops, and the bound in bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ..proofs import ch3_forward as forward
from ..proofs import ch4_reverse as reverse
from .cases import POINTS, Rng, chain, column, derivation, line, normal, on, times
from .engine import Check, Mistake
from .steps import T, levels, posterior_of


def _walks(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    for _ in range(POINTS):
        t = torch.cat([torch.ones(2, dtype=torch.int64), times(rng, 5, T, 2)])
        yield normal(rng, 7, 3), normal(rng, 7, 3), t, normal(rng, 7, 3), chain(rng, T)


def _mean(xt: Tensor, eps: Tensor, t: Tensor, alpha_bar: Tensor) -> Tensor:
    before, now, _ = levels(t, alpha_bar)
    names = forward.alpha, forward.alphabar_s, forward.xt, reverse.eps
    return on(line("posterior_mean_eps", *names), now / before, before, xt, eps)


def _step(mean: Any = None, scale: Any = None, last: bool = False) -> Any:
    """An ancestral step with another mean or another scale of the noise; last: noise at t = 1 too."""

    def of(xt: Tensor, eps: Tensor, t: Tensor, z: Tensor, alpha_bar: Tensor) -> Tensor:
        before, now, beta = levels(t, alpha_bar)
        centre = mean(xt, eps, before, now, beta) if mean else _mean(xt, eps, t, alpha_bar)
        width = (beta * (1 - before) / (1 - now)).sqrt() if scale is None else scale(before, now, beta)
        if last:
            return centre + torch.where(t[:, None] > 1, width, beta.sqrt()) * z
        return centre + torch.where(t[:, None] > 1, width, torch.zeros_like(width)) * z

    return of


def _ancestral(xt: Tensor, eps: Tensor, t: Tensor, z: Tensor, alpha_bar: Tensor) -> Tensor:
    width = posterior_of(xt, xt, t, alpha_bar)[1].sqrt()[:, None]
    return _mean(xt, eps, t, alpha_bar) + width * z


ancestral_step = Check(
    "ancestral_step",
    "eq-reverse-mean-eps",
    _walks,
    _ancestral,
    {
        "noise at the last step": Mistake(
            _step(last=True), "you added noise at the last step: x_0 is then an image with grain on it."
        ),
        "no noise": Mistake(
            _step(scale=lambda s, a, b: 0 * b), "no noise is added at all: this is the mean."
        ),
        "variance for scale": Mistake(
            _step(scale=lambda s, a, b: b * (1 - s) / (1 - a)),
            "you scaled the noise by the variance β̃_t instead of by its root.",
        ),
        "β for β̃": Mistake(
            _step(scale=lambda s, a, b: b.sqrt()),
            "the noise has variance β_t; asked for is that of the posterior, β̃_t.",
        ),
        "√α not divided": Mistake(
            _step(lambda x, e, s, a, b: x - b / (1 - a).sqrt() * e), "the mean is not divided by √α_t."
        ),
        "divided by √ᾱ": Mistake(
            _step(lambda x, e, s, a, b: (x - b / (1 - a).sqrt() * e) / a.sqrt()),
            "the mean is divided by √ᾱ_t: one step undoes one step, √α_t.",
        ),
        "noise not rooted": Mistake(
            _step(lambda x, e, s, a, b: (x - b / (1 - a) * e) / (1 - b).sqrt()),
            "in the mean, ε̂ is divided by 1 − ᾱ_t; a root is missing.",
        ),
        "all the noise taken": Mistake(
            _step(lambda x, e, s, a, b: (x - (1 - a).sqrt() * e) / (1 - b).sqrt()),
            "the mean takes off all the noise in x_t; one step takes off a part of it.",
        ),
        "noise put on": Mistake(
            _step(lambda x, e, s, a, b: (x + b / (1 - a).sqrt() * e) / (1 - b).sqrt()),
            "the sign of ε̂ in the mean is turned: the step goes up the chain.",
        ),
    },
)


def _errors(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, 1, 4, 4), normal(rng, 5, 1, 4, 4)


def _simple(eps: Tensor, eps_hat: Tensor) -> Tensor:
    return (derivation_square(eps, eps_hat)).flatten(1).sum(1)


def derivation_square(eps: Tensor, eps_hat: Tensor) -> Tensor:
    """(ε − ε̂)² at each entry, from the summand of the simple loss. Shape of eps."""
    (mean,) = (e for e in sp.preorder_traversal(derivation("simple_loss").last) if type(e).__name__ == "E")
    (net,) = mean.args[1].atoms(sp.core.function.AppliedUndef)
    guess = sp.Symbol("guess")
    square = mean.args[1].xreplace({net: guess})
    return on(sp.lambdify((reverse.eps, guess), square), eps, eps_hat)


l_simple = Check(
    "l_simple",
    "eq-reverse-simple",
    _errors,
    _simple,
    {
        "mean over the pixels": Mistake(
            lambda e, h: ((e - h) ** 2).flatten(1).mean(1),
            "this is the mean over the pixels; asked for is ‖ε − ε̂‖², their sum.",
        ),
        "mean over the batch": Mistake(
            lambda e, h: _simple(e, h).mean(),
            "you averaged over the batch; return one value for each example.",
        ),
        "sum over the batch": Mistake(
            lambda e, h: _simple(e, h).sum(),
            "you summed over the batch too; return one value for each example.",
        ),
        "absolute error": Mistake(
            lambda e, h: (e - h).abs().flatten(1).sum(1),
            "this is the absolute error. The KL of two Gaussians is squared.",
        ),
        "norm not squared": Mistake(
            lambda e, h: _simple(e, h).sqrt(), "this is the norm; its square is asked for."
        ),
        "half": Mistake(
            lambda e, h: _simple(e, h) / 2, "there is a half too many; L_simple has no weight at all."
        ),
        "sum, then square": Mistake(
            lambda e, h: (e - h).flatten(1).sum(1) ** 2,
            "square each pixel first, then sum: errors must not cancel.",
        ),
        "not summed": Mistake(
            lambda e, h: (e - h) ** 2, "these are the pixels one by one: sum over all but the batch."
        ),
    },
)


def _times(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield times(rng, 6, T, 2), chain(rng, T)


def _weight(t: Tensor, alpha_bar: Tensor) -> Tensor:
    before, now, _ = levels(t, alpha_bar)
    sigma = posterior_of(before, before, t, alpha_bar)[1].sqrt()[:, None]
    names = forward.alpha, forward.alphabar_s, reverse.eps, reverse.eps_net, reverse.sigma
    return on(line("reverse_kl_eps", *names), now / before, before, 1.0, 0.0, sigma)[:, 0]


def _weighted(of: Any) -> Any:
    """The right weight times a formula of ᾱ_{t−1}, ᾱ_t, β_t."""
    return lambda t, a: _weight(t, a) * of(*levels(t, a))[:, 0]


weight = Check(
    "weight",
    "eq-reverse-eps",
    _times,
    _weight,
    {
        "β for β²": Mistake(_weighted(lambda s, a, b: 1 / b), "β_t comes in squared."),
        "no half": Mistake(_weighted(lambda s, a, b: 2 + 0 * b), "a half is missing."),
        "ᾱ for α": Mistake(
            _weighted(lambda s, a, b: (1 - b) / a), "one factor is α_t, of one step, and you have ᾱ_t there."
        ),
        "no α": Mistake(_weighted(lambda s, a, b: 1 - b), "the factor α_t is missing."),
        "β for β̃": Mistake(
            _weighted(lambda s, a, b: (1 - s) / (1 - a)),
            "σ² is β_t here; the task sets it to the posterior's β̃_t.",
        ),
        "σ for σ²": Mistake(
            _weighted(lambda s, a, b: (b * (1 - s) / (1 - a)).sqrt()),
            "σ_t comes in squared: it is a variance.",
        ),
        "1 − ᾱ forgotten": Mistake(_weighted(lambda s, a, b: 1 - a), "the factor 1 − ᾱ_t is missing."),
        "all the same": Mistake(
            lambda t, a: torch.ones_like(column(a, t)[:, 0]),
            "that is the weight in L_simple; the bound has another.",
        ),
    },
)


def _bounds(rng: Rng) -> Iterator[tuple[Tensor, Tensor, int]]:
    for dims in (784, 10, 3, 128):
        yield 50 * normal(rng, 5).exp(), 9 * normal(rng, 5, 4).exp(), dims


def _bits(distortion: Tensor, rates: Tensor, dims: int) -> Tensor:
    nats, size = sp.symbols("L D", positive=True)
    return on(line("bits_per_dim", nats, size), distortion + rates.sum(1), float(dims))


bits_per_dim = Check(
    "bits_per_dim",
    "eq-vae-bits",
    _bounds,
    _bits,
    {
        "nats": Mistake(
            lambda d, r, n: _bits(d, r, n) * math.log(2), "these are nats per dimension: a bit is log 2 nats."
        ),
        "multiplied": Mistake(
            lambda d, r, n: _bits(d, r, n) * math.log(2) ** 2,
            "you multiplied by log 2 where you should divide.",
        ),
        "bits per image": Mistake(
            lambda d, r, n: _bits(d, r, n) * n,
            "these are bits for the whole image; divide by its dimensions.",
        ),
        "no rates": Mistake(
            lambda d, r, n: _bits(d, 0 * r, n), "the rates are left out: they are most of the chain."
        ),
        "no L_T": Mistake(
            lambda d, r, n: _bits(d, r[:, :-1], n),
            "the last rate is left out, L_T: the end of the chain costs too.",
        ),
        "no distortion": Mistake(
            lambda d, r, n: _bits(0 * d, r, n),
            "the distortion is left out: −log p(x_0 | x_1) is part of the bound.",
        ),
        "rates averaged": Mistake(
            lambda d, r, n: _bits(d, r.mean(1, keepdim=True), n),
            "the rates are averaged over the steps; they add up.",
        ),
        "mean over the batch": Mistake(
            lambda d, r, n: _bits(d, r, n).mean(),
            "you averaged over the batch; return one value for each example.",
        ),
        "decimal logarithm": Mistake(
            lambda d, r, n: _bits(d, r, n) * math.log(2) / math.log(10),
            "a logarithm to base 10 has crept in.",
        ),
    },
)
