"""Lab 4: the score from the guessed noise, and classifier-free guidance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..proofs import ch3_forward as forward
from ..proofs import ch4_reverse as reverse
from ..proofs import ch4_sampling as sampling
from .cases import POINTS, line, normal, on
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor


def _guesses(rng: Rng) -> Iterator[tuple[Tensor, float]]:
    for _ in range(POINTS):
        yield normal(rng, 6, 2), between(rng, 0.1, 0.9)


def _score(eps_hat: Tensor, alpha_bar: float) -> Tensor:
    """The score of noise alone, x_t = √(1 − ᾱ) ε̂ around x_0 = 0, from its proof."""
    last = line("score_of_step", forward.alphabar, forward.x0, sp.Symbol("x_t", real=True))
    return on(last, alpha_bar, 0.0, (1 - alpha_bar) ** 0.5 * eps_hat)


def _scaled(factor: Any) -> Any:
    """The guessed noise times a function of ᾱ."""
    return lambda eps_hat, alpha_bar: factor(alpha_bar) * eps_hat


score = Check(
    "score",
    "eq-reverse-score",
    _guesses,
    _score,
    {
        "wrong sign": Mistake(
            _scaled(lambda a: (1 - a) ** -0.5),
            "the sign is turned: the density rises against the noise, towards the image.",
        ),
        "not rooted": Mistake(
            _scaled(lambda a: -1 / (1 - a)),
            "divide by the standard deviation of the noise, not by its variance.",
        ),
        "multiplied": Mistake(
            _scaled(lambda a: -((1 - a) ** 0.5)),
            "you multiplied by √(1 − ᾱ_t). That is the way from the score to the noise.",
        ),
        "not scaled": Mistake(
            _scaled(lambda a: -1), "this is −ε̂: the less noise there is, the steeper the density."
        ),
        "by the signal": Mistake(
            _scaled(lambda a: -(a**-0.5)), "divide by the scale of the noise, not by that of the signal."
        ),
    },
)


def _answers(rng: Rng) -> Iterator[tuple[Tensor, Tensor, float]]:
    """The noise guessed with the class and without it, and a weight."""
    for _ in range(POINTS):
        yield normal(rng, 6, 2), normal(rng, 6, 2), between(rng, 0.5, 4)


def _guided(eps_class: Tensor, eps_none: Tensor, w: float) -> Tensor:
    return on(line("guided_noise", sampling.eps_class, reverse.eps_net, sampling.w), eps_class, eps_none, w)


guided_eps = Check(
    "guided_eps",
    "eq-reverse-guided-noise",
    _answers,
    _guided,
    {
        "from the answer without the class": Mistake(
            lambda c, n, w: n + w * (c - n),
            "this starts from the answer without the class: the other convention, whose scale is 1 + w.",
        ),
        "backwards": Mistake(
            lambda c, n, w: c + w * (n - c),
            "this goes towards the answer without the class, not away from it.",
        ),
        "exchanged": Mistake(lambda c, n, w: n + w * (n - c), "the two answers have changed places."),
        "the sum": Mistake(
            lambda c, n, w: c + w * n, "the weight belongs to the difference of the two answers."
        ),
        "the difference alone": Mistake(
            lambda c, n, w: w * (c - n),
            "this is the difference alone; it is added to the answer with the class.",
        ),
    },
)
