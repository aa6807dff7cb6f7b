"""Assignment 1: two coins, the linear Gaussian, a step that deceives, and a proof."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import sympy as sp

from ..proofs import ch1_elbo as examples
from ..proofs.ch1_elbo import p, q, x, z
from ..symbolic import KL, E
from .cases import POINTS, derivation, line
from .draws import Rng, between
from .engine import Check, Mistake, Slots
from .proved import ProofCheck

LOG2, LOG_2PI = math.log(2), math.log(2 * math.pi)
X = x  # the symbol, where x is a number


def _letters() -> list[Any]:
    return sorted(derivation("two_states").last.free_symbols, key=str)


def _coins(rng: Rng) -> Iterator[tuple[float, ...]]:
    for _ in range(POINTS):
        yield between(rng, 0.02, 0.3), between(rng, 0.1, 0.6), between(rng, 0.05, 0.95)


def _coin_bound(a: float, b: float, r: float) -> float:
    return float(line("two_states", *_letters(), part=0)(a, b, r))


def _coin_gap(a: float, b: float, r: float) -> float:
    return float(line("two_states", *_letters(), part=1)(a, b, r))


@cache
def _stationary() -> Any:
    """The r at which the bound of the proof is stationary, as a function of a and b."""
    a, b, r = _letters()
    letters = sp.symbols("a b r", positive=True)
    bound = derivation("two_states").last.args[0].xreplace(dict(zip((a, b, r), letters, strict=True)))
    (best,) = sp.solve(sp.diff(sp.expand_log(bound.doit()), letters[2]), letters[2])
    return sp.lambdify(letters[:2], best)


def _coin(
    a: float, b: float, r: float, sign: float = 1, left: Any = None, right: Any = None, weights: Any = None
) -> float:
    """The bound, with what stands below a and b and before the logarithms."""
    first, second = weights(r) if weights else (r, 1 - r)
    return float(
        first * math.log(a / (left(r) if left else r))
        + sign * second * math.log(b / (right(r) if right else 1 - r))
    )


coin_bound = Check(
    "coin_bound",
    "eq-elbo-two-states",
    _coins,
    _coin_bound,
    {
        "no entropy": Mistake(
            lambda a, b, r: r * math.log(a) + (1 - r) * math.log(b),
            "the guess q weighs the two terms, but its own logarithm is missing from them.",
        ),
        "entropy's sign": Mistake(
            lambda a, b, r: r * math.log(a * r) + (1 - r) * math.log(b * (1 - r)),
            "log q comes in with the wrong sign: q belongs below the fraction.",
        ),
        "negative": Mistake(
            lambda a, b, r: -_coin_bound(a, b, r),
            "this is the negative bound, the loss. Asked for is the bound itself, which is below log p(x).",
        ),
        "log of the mean": Mistake(
            lambda a, b, r: math.log(r * a + (1 - r) * b),
            "this is the logarithm of a mean. The bound is the mean of a logarithm.",
        ),
        "weighted by p": Mistake(
            lambda a, b, r: a * math.log(a / r) + b * math.log(b / (1 - r)),
            "the terms are weighted by p(x, z). The expectation is under q.",
        ),
        "log p(x)": Mistake(
            lambda a, b, r: math.log(a + b),
            "this is log p(x) itself: it does not depend on the guess, and the bound does.",
        ),
        "gap": Mistake(_coin_gap, "this is the gap, what is missing to log p(x), not the bound."),
        "bits": Mistake(
            lambda a, b, r: _coin_bound(a, b, r) / LOG2, "this is in bits. Logarithms here are natural: nats."
        ),
        "states exchanged": Mistake(
            lambda a, b, r: _coin_bound(b, a, r),
            "r is the probability of the fair coin, the one that a goes with.",
        ),
    },
    slots=(
        Slots(
            _coin,
            {
                "sign": {"the second term is taken off, where it belongs added": -1},
                "right": {
                    "below b stands r, where 1 − r belongs": lambda r: r,
                    "below b stands nothing, where 1 − r belongs": lambda r: 1,
                },
                "left": {
                    "below a stands 1 − r, where r belongs": lambda r: 1 - r,
                    "below a stands nothing, where r belongs": lambda r: 1,
                },
                "weights": {
                    "the two terms are not weighted by q": lambda r: (1, 1),
                    "the two terms are weighted by the prior, ½ and ½, where q belongs": lambda r: (0.5, 0.5),
                    "both terms are weighted by r": lambda r: (r, r),
                    "the weights r and 1 − r have changed places": lambda r: (1 - r, r),
                    "the term of the two-headed coin is missing": lambda r: (r, 0),
                    "the term of the fair coin is missing": lambda r: (0, 1 - r),
                },
            },
        ),
    ),
)


def _divergence(
    a: float, b: float, r: float, weights: Any = None, logs: Any = None, fair: Any = None
) -> float:
    """KL(q ‖ posterior), with other weights, signs or posterior."""
    share = fair(a, b) if fair else a / (a + b)
    first, second = weights(r, share) if weights else (r, 1 - r)
    terms = math.log(r / share), math.log((1 - r) / (1 - share))
    return float(logs(first * terms[0], second * terms[1]) if logs else first * terms[0] + second * terms[1])


coin_gap = Check(
    "coin_gap",
    "eq-elbo-two-states",
    _coins,
    _coin_gap,
    {
        "reversed": Mistake(
            lambda a, b, r: (
                a / (a + b) * math.log(a / (a + b) / r) + b / (a + b) * math.log(b / (a + b) / (1 - r))
            ),
            "this is the KL from the posterior to q. The gap is the other one: the expectation is under q.",
        ),
        "negative": Mistake(
            lambda a, b, r: -_coin_gap(a, b, r), "the sign is turned: a KL is never negative."
        ),
        "posterior not normalised": Mistake(
            lambda a, b, r: r * math.log(r / a) + (1 - r) * math.log((1 - r) / b),
            "you compared q with p(x, z). The posterior p(z | x) must sum to one: divide by p(x).",
        ),
        "one term": Mistake(
            lambda a, b, r: r * math.log(r / (a / (a + b))),
            "this is the term of one state. A KL sums over both, and its terms alone may be negative.",
        ),
        "cross-entropy": Mistake(
            lambda a, b, r: -r * math.log(a / (a + b)) - (1 - r) * math.log(b / (a + b)),
            "this is the cross-entropy of q and the posterior: the entropy of q has to be taken off.",
        ),
        "to the prior": Mistake(
            lambda a, b, r: r * math.log(2 * r) + (1 - r) * math.log(2 * (1 - r)),
            "this is the KL from q to the prior (½, ½), a part of the bound. The gap is to the posterior.",
        ),
        "bits": Mistake(lambda a, b, r: _coin_gap(a, b, r) / LOG2, "this is in bits; nats are asked for."),
        "states exchanged": Mistake(
            lambda a, b, r: _coin_gap(b, a, r),
            "r is the probability of the fair coin, the one that a goes with.",
        ),
        "the bound": Mistake(
            _coin_bound, "this is the bound. Asked for is what is missing from it to log p(x)."
        ),
        "log p(x)": Mistake(
            lambda a, b, r: math.log(a + b), "this is log p(x): the bound has to be taken off."
        ),
        "squared distance": Mistake(
            lambda a, b, r: (r - a / (a + b)) ** 2,
            "this is a squared distance of probabilities. A KL has logarithms.",
        ),
        "absolute distance": Mistake(
            lambda a, b, r: abs(r - a / (a + b)), "this is a distance of probabilities. A KL has logarithms."
        ),
        "log p(x) in bits": Mistake(
            lambda a, b, r: math.log2(a + b) - _coin_bound(a, b, r),
            "log p(x) is in bits here and the bound in nats: take natural logarithms for both.",
        ),
    },
    slots=(
        Slots(
            _divergence,
            {
                "weights": {
                    "the two terms are not weighted by q": lambda r, share: (1, 1),
                    "the terms are weighted by the posterior, where q belongs": lambda r, share: (
                        share,
                        1 - share,
                    ),
                    "the terms are weighted by ½ and ½, where q belongs": lambda r, share: (0.5, 0.5),
                },
                "logs": {
                    "the terms are made positive one by one; only their sum is": lambda a, b: abs(a) + abs(b),
                    "the second term is taken off, where it belongs added": lambda a, b: a - b,
                    "the term of the fair coin is missing": lambda a, b: b,
                },
                "fair": {
                    "the posterior is the prior times something: divide a by a + b": lambda a, b: (
                        a / (a + b) / 2
                    )
                },
            },
        ),
    ),
)

best_guess = Check(
    "best_guess",
    "thm-elbo-gap",
    lambda rng: ((a, b) for a, b, _ in _coins(rng)),
    lambda a, b: float(_stationary()(a, b)),
    {
        "prior": Mistake(lambda a, b: 0.5, "this is the prior: it has not looked at the data."),
        "other state": Mistake(
            lambda a, b: b / (a + b),
            "this is the probability of the two-headed coin; r is that of the fair one.",
        ),
        "odds": Mistake(lambda a, b: a / b, "these are odds. A probability is a share of the whole."),
        "not normalised": Mistake(lambda a, b: a, "this is p(x, fair), which is not yet given x."),
        "hard": Mistake(
            lambda a, b: 1.0 if a > b else 0.0,
            "this picks the more probable coin and is certain of it. The gap is zero for another guess.",
        ),
        "softmax of probabilities": Mistake(
            lambda a, b: math.exp(a) / (math.exp(a) + math.exp(b)),
            "a softmax takes logarithms. Here a and b are probabilities already.",
        ),
        "roots": Mistake(
            lambda a, b: math.sqrt(a) / (math.sqrt(a) + math.sqrt(b)),
            "there is a root too many: this lies between the prior and the best guess.",
        ),
        "logarithms": Mistake(
            lambda a, b: math.log(a) / (math.log(a) + math.log(b)),
            "these are shares of the logarithms. A posterior shares the probabilities themselves.",
        ),
        "squares": Mistake(lambda a, b: a**2 / (a**2 + b**2), "a and b are squared, and should not be."),
        "a b above": Mistake(lambda a, b: a * b / (a + b), "there is a factor b too many above."),
        "prior twice": Mistake(
            lambda a, b: a / 2 / (a / 2 + b),
            "the prior is counted once more for one coin: a and b hold it already.",
        ),
        "a − b": Mistake(lambda a, b: a - b, "this is a difference. A probability is a share of the whole."),
    },
)


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
    names = X, examples.w, examples.s, examples.m, examples.v
    return float(line("linear_gaussian_elbo", *names)(x, w, s, m, v))


def _evidence(x: float, w: float, s: float) -> float:
    """Log p(x) of the linear-Gaussian model, in nats."""
    return math.log(line("linear_gaussian_evidence", X, examples.w, examples.s)(x, w, s))


def _rate(m: float, v: float) -> float:
    return (m * m + v - 1 - math.log(v)) / 2


def _elbo(
    x: float, w: float, s: float, m: float, v: float, const: float = LOG_2PI, scale: Any = None,
    width: Any = None, spread: Any = None, mean: Any = None, one: float = 1, fit: float = 1, rate: float = 1,
) -> float:  # fmt: skip
    """The bound, with other constants, powers or signs."""
    error = (x - w * m) ** 2 + (spread(w, v) if spread else w * w * v)
    logs = scale(s) if scale else 2 * math.log(s)
    log_v = width(v) if width else math.log(v)
    square = mean(m) if mean else m * m
    return float(-fit * error / (2 * s * s) - (const + logs) / 2 - rate * (square + v - one - log_v) / 2)


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
            lambda x, w, s, m, v: _evidence(x, w, s), "this is log p(x): it knows nothing of the encoder."
        ),
    },
    slots=(
        Slots(
            _elbo,
            {
                "const": {
                    "the constant is log π, where log 2π belongs": math.log(math.pi),
                    "the constant is log 2π, without its half": 2 * LOG_2PI,
                    "the constant has the wrong sign": -LOG_2PI,
                    "the constant is log 2": LOG2,
                },
                "scale": {
                    "log s has the wrong sign": lambda s: -2 * math.log(s),
                    "½ log s stands where log s belongs": math.log,
                    "2 log s stands where log s belongs": lambda s: 4 * math.log(s),
                    "log s is missing": lambda s: 0.0,
                },
                "width": {
                    "log v has the wrong sign in the KL": lambda v: -math.log(v),
                    "log v is missing from the KL": lambda v: 0.0,
                    "the logarithm of v is to base 2": math.log2,
                    "½ log v stands in the KL, where log v belongs": lambda v: math.log(v) / 2,
                    "2 log v stands in the KL, where log v belongs": lambda v: 2 * math.log(v),
                },
                "spread": {
                    "w is not squared where it multiplies v": lambda w, v: w * v,
                    "w is missing where it multiplies v": lambda w, v: v,
                    "w²v comes in with the wrong sign": lambda w, v: -w * w * v,
                    "v is squared where it meets w²": lambda w, v: w * w * v * v,
                },
                "mean": {
                    "m is not squared in the KL": lambda m: m,
                    "m² is missing from the KL": lambda m: 0.0,
                    "m² has the wrong sign in the KL": lambda m: -m * m,
                },
                "one": {"−1 is missing from the KL": 0, "+1 stands in the KL, where −1 belongs": -1},
                "fit": {
                    "the squared error has lost its half": 2,
                    "the squared error has a half too many": 0.5,
                    "the squared error has the wrong sign": -1,
                },
            },
        ),
    ),
)


def _posterior(x: float, w: float, s: float) -> tuple[float, float]:
    values = {X: x, examples.w: w, examples.s: s}
    pair = (examples.POSTERIOR[examples.m_post], examples.POSTERIOR[examples.v_post])
    mean, variance = (float(part.xreplace(values).doit()) for part in pair)
    return mean, variance


def _wrong(mean: Any = None, variance: Any = None) -> Any:
    """The posterior with another mean or another variance."""

    def of(x: float, w: float, s: float) -> tuple[float, float]:
        right = _posterior(x, w, s)
        return (mean(x, w, s) if mean else right[0], variance(x, w, s) if variance else right[1])

    return of


def _ratio(
    x: float, w: float, s: float, top: Any = None, total: Any = None, over: Any = None
) -> tuple[float, float]:
    """Mean and variance, with something else above or below."""
    below = total(w, s) if total else w * w + s * s
    return (top(x, w, s) if top else w * x) / below, (over(w, s) if over else s * s) / below


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
    slots=(
        Slots(
            _ratio,
            {
                "total": {
                    "below stands w² + s, where s² belongs": lambda w, s: w * w + s,
                    "below stands w + s², where w² belongs": lambda w, s: w + s * s,
                    "below stands w + s, where squares belong": lambda w, s: w + s,
                    "below stands 1 + s²: w is missing": lambda w, s: 1 + s * s,
                    "below stands 1 + w², as if s were 1": lambda w, s: 1 + w * w,
                    "below stands 1 + w² + s²: the prior is counted twice": lambda w, s: 1 + w * w + s * s,
                    "below stands s² − w²: a sign is turned": lambda w, s: s * s - w * w,
                },
                "top": {
                    "above in the mean, w is missing": lambda x, w, s: x,
                    "above in the mean stands w²x, where wx belongs": lambda x, w, s: w * w * x,
                    "above in the mean stands s²x, where wx belongs": lambda x, w, s: s * s * x,
                    "the mean has the wrong sign": lambda x, w, s: -w * x,
                    "above in the mean stands wx/s": lambda x, w, s: w * x / s,
                },
                "over": {
                    "above in the variance stands s, where s² belongs": lambda w, s: s,
                    "above in the variance stands w², where s² belongs": lambda w, s: w * w,
                    "above in the variance stands 1, where s² belongs": lambda w, s: 1.0,
                    "above in the variance stands w²s², where s² belongs": lambda w, s: w * w * s * s,
                },
            },
        ),
    ),
)


def _judge_step(case: tuple[Any, ...], step: Any) -> str | None:
    x, v, w_old, m_old, w_new, m_new = step
    if not all(map(math.isfinite, step)):
        return None
    if v <= 0:
        return "no width"
    if (w_old, m_old) == (w_new, m_new):
        return "nothing moved"
    if w_old == w_new:
        return "encoder alone"
    if all(math.isclose(a, b, rel_tol=1e-3) for a, b in ((x, 2), (v, 1), (w_old, math.sqrt(3)), (w_new, 1))):
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
