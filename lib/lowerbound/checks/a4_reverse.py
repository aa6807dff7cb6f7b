"""Assignment 4: the posterior, x̂_0, steps with noise and without, the loss, its weight, bits, and a proof."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..proofs import ch3_forward as forward
from ..proofs import ch4_reverse as reverse
from .cases import POINTS, bits, chain, column, derivation, line, normal, on, times
from .draws import Rng
from .engine import Check, Mistake, Slots
from .optional import Tensor, torch
from .proved import ProofCheck

half = sp.Rational(1, 2)


def _states(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    """x_0 or ε (B, D), x_t (B, D), t (B,) in 2..T, ᾱ (T + 1,)."""
    for _ in range(POINTS):
        yield normal(rng, 6, 3), normal(rng, 6, 3), times(rng, 6, 2), chain(rng)


def _levels(t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ᾱ_{t−1}, ᾱ_t and β_t, each (B, 1)."""
    before, now = column(alpha_bar, t - 1), column(alpha_bar, t)
    return before, now, 1 - now / before


def _posterior(x0: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, D) and variance (B,) of q(x_{t−1} | x_t, x_0), from their proofs."""
    before, now, _ = _levels(t, alpha_bar)
    alpha = now / before
    mean = line("posterior_mean", forward.alpha, forward.alphabar_s, forward.x0, forward.xt)
    variance = line("posterior_variance", forward.alpha, forward.alphabar_s)
    return on(mean, alpha, before, x0, xt), on(variance, alpha, before)[:, 0]


def _with(mean: Any = None, variance: Any = None) -> Any:
    """The posterior with another mean or another variance: functions of ᾱ_{t−1}, ᾱ_t, β_t."""

    def of(x0: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
        right = _posterior(x0, xt, t, alpha_bar)
        at = _levels(t, alpha_bar)
        return (mean(x0, xt, *at) if mean else right[0], variance(*at)[:, 0] if variance else right[1])

    return of


LEVELS = BEFORE, NOW, _ = "ᾱ_{t−1}", "ᾱ_t", "α_t"


def _called(t: Tensor, alpha_bar: Tensor) -> dict[str, Tensor]:
    before, now, _ = _levels(t, alpha_bar)
    return dict(zip(LEVELS, (before, now, now / before), strict=True))


def _others(words: str, belongs: str) -> dict[str, str]:
    """Sentences on the levels that may stand where one belongs."""
    return {f"{words} stands {level}, where {belongs} belongs": level for level in LEVELS if level != belongs}


def _weights(
    x0: Tensor, xt: Tensor, t: Tensor, alpha_bar: Tensor, first: str = "ᾱ_{t−1}", second: str = "α_t",
    rest: str = "ᾱ_{t−1}", below0: str = "ᾱ_t", below_t: str = "ᾱ_t", above: str = "ᾱ_{t−1}",
    below: str = "ᾱ_t", beta: Any = None, roots: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean and variance of the posterior with other levels in their places."""
    a = _called(t, alpha_bar)
    b = 1 - a["α_t"]
    one, two = (roots or (lambda p, q: (p.sqrt(), q.sqrt())))(a[first], a[second])
    mean = one * b / (1 - a[below0]) * x0 + two * (1 - a[rest]) / (1 - a[below_t]) * xt
    return mean, ((beta(b) if beta else b) * (1 - a[above]) / (1 - a[below]))[:, 0]


posterior = Check(
    "posterior",
    "thm-reverse-posterior",
    _states,
    _posterior,
    {
        "coefficients exchanged": Mistake(
            lambda x0, xt, t, a: (_posterior(xt, x0, t, a)[0], _posterior(x0, xt, t, a)[1]),
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
                lambda x0, xt, s, a, b: a.sqrt() * b / (1 - a) * x0 + (1 - b).sqrt() * xt, lambda s, a, b: b
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
    slots=(
        Slots(
            _weights,
            {
                "first": _others("in the weight of x_0, under the root,", "ᾱ_{t−1}"),
                "second": _others("in the weight of x_t, under the root,", "α_t"),
                "rest": _others("in the weight of x_t, in 1 − …,", "ᾱ_{t−1}"),
                "below0": _others("below in the weight of x_0, in 1 − …,", "ᾱ_t"),
                "below_t": _others("below in the weight of x_t, in 1 − …,", "ᾱ_t"),
                "above": _others("above in the variance, in 1 − …,", "ᾱ_{t−1}"),
                "below": _others("below in the variance, in 1 − …,", "ᾱ_t"),
                "beta": {
                    "β_t is squared in the variance": lambda b: b**2,
                    "√β_t stands in the variance, where β_t belongs": torch.sqrt,
                    "1 − β_t stands in the variance, where β_t belongs": lambda b: 1 - b,
                    "β_t is missing from the variance": lambda b: 1 + 0 * b,
                },
                "roots": {
                    "in the weight of x_0, ᾱ_{t−1} lacks its root": lambda p, q: (p, q.sqrt()),
                    "in the weight of x_t, α_t lacks its root": lambda p, q: (p.sqrt(), q),
                },
            },
        ),
    ),
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
    slots=(
        Slots(
            lambda xt, eps, t, alpha_bar, noise="ᾱ_t", below="ᾱ_t", scale=None: (
                (xt - (scale or torch.sqrt)(1 - _called(t, alpha_bar)[noise]) * eps)
                / _called(t, alpha_bar)[below].sqrt()
            ),
            {
                "noise": _others("before the noise, in √(1 − …),", "ᾱ_t"),
                "below": _others("below, under the root,", "ᾱ_t"),
                "scale": {
                    "the noise is not scaled by √(1 − ᾱ_t)": lambda v: 1 + 0 * v,
                    "before the noise, 1 − ᾱ_t is squared where its root belongs": lambda v: v**2,
                },
            },
        ),
    ),
)


def _ddim(xt: Tensor, eps: Tensor, t: Tensor, alpha_bar: Tensor) -> Tensor:
    before, now, _ = _levels(t, alpha_bar)
    names = forward.alpha, forward.alphabar_s, forward.xt, reverse.eps_net
    return on(line("ddim_deterministic", *names), now / before, before, xt, eps)


def _walk(of: Any) -> Any:
    """A step by a formula of x_t, ε̂, x̂_0 and the levels."""
    return lambda xt, eps, t, a: of(xt, eps, _image(xt, eps, t, a), *_levels(t, a))


def _ddim_slots(
    xt: Tensor, eps: Tensor, t: Tensor, alpha_bar: Tensor, image: str = BEFORE, noise: str = BEFORE,
    taken: str = NOW, below: str = NOW, sign: float = 1, root: Any = torch.sqrt,
) -> Tensor:  # fmt: skip
    """A step of DDIM with other levels in their places."""
    a = _called(t, alpha_bar)
    guess = (xt - (1 - a[taken]).sqrt() * eps) / a[below].sqrt()
    out: Tensor = root(a[image]) * guess + sign * (1 - a[noise]).sqrt() * eps
    return out


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
            lambda x, e, t, a: _posterior(_image(x, e, t, a), x, t, a)[0],
            "this is the mean of the ancestral step, which expects fresh noise. DDIM adds none.",
        ),
        "straight to x̂_0": Mistake(
            _walk(lambda x, e, x0, s, a, b: x0), "this jumps to x̂_0; one step goes to level t − 1."
        ),
        "x̂_0 clipped": Mistake(
            _walk(lambda x, e, x0, s, a, b: s.sqrt() * x0.clamp(-1, 1) + (1 - s).sqrt() * e),
            "x̂_0 is clipped to [−1, 1]. The task does not clip: these are no pixels.",
        ),
        "two steps": Mistake(
            lambda x, e, t, a: (
                column(a, t - 2).sqrt() * _image(x, e, t, a) + (1 - column(a, t - 2)).sqrt() * e
            ),
            "this goes to level t − 2; one step goes to t − 1.",
        ),
    },
    slots=(
        Slots(
            _ddim_slots,
            {
                "image": _others("before x̂_0, under the root,", "ᾱ_{t−1}"),
                "noise": _others("before ε̂, in √(1 − …),", "ᾱ_{t−1}"),
                "taken": _others("in x̂_0, before ε̂ in √(1 − …),", "ᾱ_t"),
                "below": _others("below in x̂_0, under the root,", "ᾱ_t"),
                "sign": {"ε̂ is taken off, where it belongs added": -1},
                "root": {
                    "before x̂_0, ᾱ_{t−1} lacks its root": lambda v: v,
                    "before x̂_0, ᾱ_{t−1} is squared where its root belongs": lambda v: v**2,
                },
            },
        ),
    ),
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


def _walks(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    for _ in range(POINTS):
        t = torch.cat([torch.ones(2, dtype=torch.int64), times(rng, 5, 2)])
        yield normal(rng, 7, 3), normal(rng, 7, 3), t, normal(rng, 7, 3), chain(rng)


def _mean(xt: Tensor, eps: Tensor, t: Tensor, alpha_bar: Tensor) -> Tensor:
    before, now, _ = _levels(t, alpha_bar)
    names = forward.alpha, forward.alphabar_s, forward.xt, reverse.eps
    return on(line("posterior_mean_eps", *names), now / before, before, xt, eps)


def _step(mean: Any = None, scale: Any = None, last: bool = False) -> Any:
    """An ancestral step with another mean or another scale of the noise; last: noise at t = 1 too."""

    def of(xt: Tensor, eps: Tensor, t: Tensor, z: Tensor, alpha_bar: Tensor) -> Tensor:
        before, now, beta = _levels(t, alpha_bar)
        centre = mean(xt, eps, before, now, beta) if mean else _mean(xt, eps, t, alpha_bar)
        width = (beta * (1 - before) / (1 - now)).sqrt() if scale is None else scale(before, now, beta)
        if last:
            return centre + torch.where(t[:, None] > 1, width, beta.sqrt()) * z
        return centre + torch.where(t[:, None] > 1, width, torch.zeros_like(width)) * z

    return of


def _ancestral(xt: Tensor, eps: Tensor, t: Tensor, z: Tensor, alpha_bar: Tensor) -> Tensor:
    width = _posterior(xt, xt, t, alpha_bar)[1].sqrt()[:, None]
    return _mean(xt, eps, t, alpha_bar) + width * z


def _ancestral_slots(
    xt: Tensor, eps: Tensor, t: Tensor, z: Tensor, alpha_bar: Tensor, fresh: str = BEFORE, below: str = NOW,
    guess: str = NOW, divided: str = "α_t", beta: Any = None, noise: Any = None, last: int = 1,
) -> Tensor:  # fmt: skip
    """An ancestral step with other levels in their places; last: the t up to which no noise is added."""
    a, levels = _called(t, alpha_bar), _levels(t, alpha_bar)
    step = levels[2]
    mean = xt - (beta(*levels) if beta else step) / (1 - a[guess]).sqrt() * eps
    width = noise(*levels) if noise else (step * (1 - a[fresh]) / (1 - a[below])).sqrt()
    return mean / a[divided].sqrt() + z * torch.where(t[:, None] > last, width, 0.0)


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
    slots=(
        Slots(
            _ancestral_slots,
            {
                "last": {"noise is added at t = 1 too": 0},
                "fresh": _others("above in the variance of the noise, in 1 − …,", "ᾱ_{t−1}"),
                "below": _others("below in the variance of the noise, in 1 − …,", "ᾱ_t"),
                "guess": _others("below ε̂ in the mean, in √(1 − …),", "ᾱ_t"),
                "divided": _others("below the mean, under the root,", "α_t"),
                "beta": {
                    "√β_t stands before ε̂ in the mean, where β_t belongs": lambda s, a, b: b.sqrt(),
                    "α_t stands before ε̂ in the mean, where β_t belongs": lambda s, a, b: 1 - b,
                    "1 stands before ε̂ in the mean, where β_t belongs": lambda s, a, b: 1 + 0 * b,
                    "the guess of the noise is missing from the mean": lambda s, a, b: 0 * b,
                },
                "noise": {
                    "the noise is scaled by √(1 − ᾱ_{t−1})": lambda s, a, b: (1 - s).sqrt(),
                    "the noise is scaled by √(1 − ᾱ_t), the level of the forward chain": lambda s, a, b: (
                        1 - a
                    ).sqrt(),
                    "the noise is not scaled": lambda s, a, b: 1 + 0 * b,
                    "the noise is scaled by β_t": lambda s, a, b: b,
                    "the noise is taken off, where it belongs added": lambda s, a, b: (
                        -(b * (1 - s) / (1 - a)).sqrt()
                    ),
                },
            },
        ),
    ),
)


def _errors(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, 2, 3, 4), normal(rng, 5, 2, 3, 4)


def _simple(eps: Tensor, eps_hat: Tensor) -> Tensor:
    return _square(eps, eps_hat).flatten(1).sum(1)


def _square(eps: Tensor, eps_hat: Tensor) -> Tensor:
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
        "squares apart": Mistake(
            lambda e, h: (e**2 - h**2).flatten(1).sum(1),
            "ε² − ε̂² is not (ε − ε̂)²: take the difference first.",
        ),
        "Huber": Mistake(
            lambda e, h: torch.nn.functional.huber_loss(h, e, reduction="none").flatten(1).sum(1),
            "this is a Huber loss, which is linear in large errors. The KL of two Gaussians is a square.",
        ),
        "fourth power": Mistake(lambda e, h: ((e - h) ** 4).flatten(1).sum(1), "the error is squared twice."),
    },
)


def _times(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield times(rng, 6, 2), chain(rng)


def _weight(t: Tensor, alpha_bar: Tensor) -> Tensor:
    before, now, _ = _levels(t, alpha_bar)
    sigma = _posterior(before, before, t, alpha_bar)[1].sqrt()[:, None]
    names = forward.alpha, forward.alphabar_s, reverse.eps, reverse.eps_net, reverse.sigma
    return on(line("reverse_kl_eps", *names), now / before, before, 1.0, 0.0, sigma)[:, 0]


def _weighted(of: Any) -> Any:
    """The right weight times a formula of ᾱ_{t−1}, ᾱ_t, β_t."""
    return lambda t, a: _weight(t, a) * of(*_levels(t, a))[:, 0]


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
        "weight of x̂_0": Mistake(
            lambda t, a: (a[t - 1] / (1 - a[t - 1]) - a[t] / (1 - a[t])) / 2,
            "this is half the drop in signal-to-noise: the weight of the image's error, not of the noise's.",
        ),
    },
    slots=(
        Slots(
            lambda t, alpha_bar, now="ᾱ_t", above="ᾱ_{t−1}", below="ᾱ_t", alpha=None, rest=None: (
                _levels(t, alpha_bar)[2]
                * (1 - _called(t, alpha_bar)[below])
                / (
                    2
                    * (1 - _called(t, alpha_bar)[above])
                    * (alpha or (lambda v: v))(_called(t, alpha_bar)["α_t"])
                    * (rest or (lambda v: v))(1 - _called(t, alpha_bar)[now])
                )
            )[:, 0],
            {
                "now": _others("in the factor 1 − ᾱ_t", "ᾱ_t"),
                "above": _others("above in σ², in 1 − …,", "ᾱ_{t−1}"),
                "below": _others("below in σ², in 1 − …,", "ᾱ_t"),
                "alpha": {
                    "α_t is squared": lambda v: v**2,
                    "√α_t stands where α_t belongs": torch.sqrt,
                    "α_t is above, where it belongs below": lambda v: 1 / v,
                },
                "rest": {
                    "√(1 − ᾱ_t) stands where 1 − ᾱ_t belongs": torch.sqrt,
                    "1 − ᾱ_t is squared": lambda v: v**2,
                    "1 − ᾱ_t is above, where it belongs below": lambda v: 1 / v,
                },
            },
        ),
    ),
)


def _bounds(rng: Rng) -> Iterator[tuple[Tensor, Tensor, int]]:
    for dims in (784, 10, 3, 128):
        yield 50 * normal(rng, 5).exp(), 9 * normal(rng, 5, 4).exp(), dims


def _bits(distortion: Tensor, rates: Tensor, dims: int) -> Tensor:
    return bits(distortion + rates.sum(1), dims)


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
        "no L_1": Mistake(
            lambda d, r, n: _bits(d, r[:, 1:], n), "the first rate is left out: it is part of the chain too."
        ),
        "over the batch": Mistake(
            lambda d, r, n: _bits(d, r.sum().view(1, 1).expand(len(d), 1), n),
            "the rates of all examples are added up: sum over the steps, axis 1, alone.",
        ),
        "rates in nats": Mistake(
            lambda d, r, n: _bits(d, 0 * r, n) + r.sum(1) / n,
            "the rates are left in nats: divide them by log 2 too.",
        ),
        "distortion in nats": Mistake(
            lambda d, r, n: _bits(0 * d, r, n) + d / n,
            "the distortion is left in nats: divide it by log 2 too.",
        ),
        "rates not divided": Mistake(
            lambda d, r, n: _bits(d, 0 * r, n) + _bits(0 * d, r, 1),
            "the rates are not divided by the dimensions.",
        ),
        "distortion not divided": Mistake(
            lambda d, r, n: _bits(d, 0 * r, 1) + _bits(0 * d, r, n),
            "the distortion is not divided by the dimensions.",
        ),
        "largest rate": Mistake(
            lambda d, r, n: _bits(d, r.max(1, keepdim=True).values, n),
            "only the largest rate is counted; they add up.",
        ),
    },
)
