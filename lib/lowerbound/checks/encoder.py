"""Assignment 1: the bound of the linear Gaussian, its best encoder, a proof, and a step that deceives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..proofs import ch1_elbo as examples
from ..proofs.ch1_elbo import p, q, x, z
from ..symbolic import KL, E
from .cases import POINTS, Rng, between, line
from .engine import Check, Mistake
from .proved import ProofCheck

VALUE = x  # the symbol of the observation


def _model(rng: Rng) -> Iterator[tuple[float, ...]]:
    for _ in range(POINTS):
        yield (
            between(rng, -3, 3),
            between(rng, 0.5, 2.5),
            between(rng, 0.4, 0.9),
            between(rng, -2, 2),
            between(rng, 0.2, 0.8),
        )


def _bound(x: float, w: float, s: float, m: float, v: float) -> float:
    """The bound of the linear-Gaussian model with the encoder N(m, v), in nats."""
    names = VALUE, examples.w, examples.s, examples.m, examples.v
    return float(line("linear_gaussian_elbo", *names)(x, w, s, m, v))


def _evidence(x: float, w: float, s: float) -> float:
    """Log p(x) of the linear-Gaussian model, in nats."""
    return math.log(line("linear_gaussian_evidence", VALUE, examples.w, examples.s)(x, w, s))


def _rate(m: float, v: float) -> float:
    return (m * m + v - 1 - math.log(v)) / 2


gaussian_bound = Check(
    "gaussian_bound",
    "eq-elbo-linear-elbo",
    _model,
    _bound,
    {
        "decoder at the mean": Mistake(
            lambda x, w, s, m, v: _bound(x, w, s, m, v) + w * w * v / (2 * s * s),
            "you decoded the mean m alone. z is spread around it, and E[(x − wz)²] feels its variance.",
        ),
        "rate added": Mistake(
            lambda x, w, s, m, v: _bound(x, w, s, m, v) + 2 * _rate(m, v),
            "the KL to the prior is taken off the reconstruction, not added to it.",
        ),
        "rate doubled": Mistake(
            lambda x, w, s, m, v: _bound(x, w, s, m, v) - _rate(m, v),
            "the KL to the prior is twice what it should be: a half is missing.",
        ),
        "no rate": Mistake(
            lambda x, w, s, m, v: _bound(x, w, s, m, v) + _rate(m, v),
            "this is the reconstruction alone; the KL to the prior is missing.",
        ),
        "no constant": Mistake(
            lambda x, w, s, m, v: _bound(x, w, s, m, v) + math.log(2 * math.pi * s * s) / 2,
            "this is a Gaussian without its constant: the density is not normalised.",
        ),
        "s for s²": Mistake(
            lambda x, w, s, m, v: _bound(x, w, math.sqrt(s), m, v),
            "s is a standard deviation; where the variance belongs, you have s.",
        ),
        "v for a width": Mistake(
            lambda x, w, s, m, v: _bound(x, w, s, m, v * v),
            "v is the encoder's variance; you squared it, as if it were a standard deviation.",
        ),
        "log p(x)": Mistake(
            lambda x, w, s, m, v: _evidence(x, w, s),
            "this is log p(x): it knows nothing of the encoder.",
        ),
    },
)


def _posterior(x: float, w: float, s: float) -> tuple[float, float]:
    values = {VALUE: x, examples.w: w, examples.s: s}
    pair = (examples.POSTERIOR[examples.m_post], examples.POSTERIOR[examples.v_post])
    mean, variance = (float(part.xreplace(values).doit()) for part in pair)
    return mean, variance


def _wrong(mean: Any = None, variance: Any = None) -> Any:
    """The posterior with another mean or another variance."""

    def of(x: float, w: float, s: float) -> tuple[float, float]:
        right = _posterior(x, w, s)
        return (mean(x, w, s) if mean else right[0], variance(x, w, s) if variance else right[1])

    return of


best_encoder = Check(
    "best_encoder",
    "ex-elbo-best",
    lambda rng: (case[:3] for case in _model(rng)),
    _posterior,
    {
        "prior ignored": Mistake(
            _wrong(lambda x, w, s: x / w, lambda x, w, s: s * s / (w * w)),
            "this inverts x = wz and forgets the prior, which draws z towards 0 and narrows it.",
        ),
        "prior": Mistake(lambda x, w, s: (0.0, 1.0), "this is the prior: it has not looked at x."),
        "evidence's variance": Mistake(
            _wrong(variance=lambda x, w, s: w * w + s * s),
            "the variance is that of x, not that of z given x.",
        ),
        "noise's variance": Mistake(
            _wrong(variance=lambda x, w, s: s * s), "the variance is that of x given z, not of z given x."
        ),
        "mean not divided": Mistake(
            _wrong(mean=lambda x, w, s: w * x), "the mean is not divided by the total variance of x."
        ),
        "standard deviation": Mistake(
            _wrong(variance=lambda x, w, s: math.sqrt(_posterior(x, w, s)[1])),
            "the second value is a standard deviation; the variance is asked for.",
        ),
        "precision": Mistake(
            _wrong(variance=lambda x, w, s: 1 / _posterior(x, w, s)[1]),
            "the second value is a precision, one over the variance.",
        ),
        "s for s²": Mistake(
            lambda x, w, s: _posterior(x, w, math.sqrt(s)),
            "s is a standard deviation: its square belongs there.",
        ),
    },
)


def _judge_step(case: tuple[Any, ...], step: Any) -> str | None:
    x, v, w_old, m_old, w_new, m_new = step
    if v <= 0:
        return "no width"
    if (w_old, m_old) == (w_new, m_new):
        return "nothing moved"
    if w_old == w_new:
        return "encoder alone"
    if x == 2 and v == 1 and math.isclose(w_old, math.sqrt(3)) and w_new == 1:
        return "the book's"
    bound = _bound(x, w_new, 1.0, m_new, v) - _bound(x, w_old, 1.0, m_old, v)
    evidence = _evidence(x, w_new, 1.0) - _evidence(x, w_old, 1.0)
    if bound < 0 < evidence:
        return "turned round"
    if bound <= 0:
        return "bound falls"
    if evidence >= 0:
        return "log p(x) rises"
    return "too small" if min(bound, -evidence) < 0.01 else ""


deceptive_step = Check(
    "deceptive_step",
    "eq-elbo-raise",
    lambda rng: [()],
    lambda: (3.0, 1.0, math.sqrt(8), 3 * math.sqrt(8) / 9, 1.4, 3 * 1.4 / 2.96),
    {
        "no width": Mistake(
            lambda: (3.0, 0.0, 2.0, 1.0, 1.0, 1.0), "v is the variance of the encoder: it must be positive."
        ),
        "nothing moved": Mistake(
            lambda: (3.0, 1.0, 2.0, 1.0, 2.0, 1.0), "old and new are the same: nothing has moved."
        ),
        "encoder alone": Mistake(
            lambda: (3.0, 1.0, 2.0, 0.0, 2.0, 1.0),
            "only the encoder moved. log p(x) does not contain it, so it stays where it is: w must move.",
        ),
        "the book's": Mistake(
            lambda: (2.0, 1.0, math.sqrt(3), math.sqrt(3) / 2, 1.0, 1.0),
            "this is the book's own step. Find one of your own.",
        ),
        "turned round": Mistake(
            lambda: (3.0, 1.0, 1.4, 3 * 1.4 / 2.96, math.sqrt(8), 3 * math.sqrt(8) / 9),
            "the bound falls and log p(x) rises: old and new are exchanged.",
        ),
        "bound falls": Mistake(
            lambda: (3.0, 1.0, 1.4, 3 * 1.4 / 2.96, 0.5, 0.0), "the bound does not rise in this step."
        ),
        "log p(x) rises": Mistake(
            lambda: (3.0, 1.0, 0.1, 0.0, 1.0, 1.5), "log p(x) does not fall in this step."
        ),
        "too small": Mistake(
            lambda: (3.0, 1.0, math.sqrt(8), 3 * math.sqrt(8) / 9, math.sqrt(8) - 1e-4, 3 * math.sqrt(8) / 9),
            "the step is so small that rounding could explain it: let both change by 0.01 at least.",
        ),
    },
    judge=_judge_step,
)

bound_derivation = ProofCheck(
    "bound_derivation",
    "eq-elbo-lines",
    lambda: sp.log(p(x)) - KL(q(z | x), p(z | x)),
    lambda: E(q(z | x), sp.log(p(x | z))) - KL(q(z | x), p(z)),
    steps=4,
)
