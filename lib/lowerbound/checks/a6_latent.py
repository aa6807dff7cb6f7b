"""Assignment 6: a prior of one's own: a proof, the bound from its pieces, a mixture, scale and weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sympy as sp

from ..proofs import ch6_latent as latent
from ..symbolic import KL, E, Family
from .cases import POINTS, chain, line, normal, on
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor, torch
from .proved import ProofCheck

LOG_2PI = math.log(2 * math.pi)
p, q, r = Family("p", "theta"), Family("q", "phi"), Family("r")
x, z = latent.x, latent.z


def _with_prior(prior: Any) -> Any:
    """The negative ELBO with this prior."""
    return E(q(z | x), -sp.log(p(x | z))) + KL(q(z | x), prior)


prior_derivation = ProofCheck(
    "prior_derivation",
    "eq-latent-rate",
    lambda: _with_prior(p(z)) - _with_prior(r(z)),
    lambda: E(q(z | x), sp.log(r(z))) - E(q(z | x), sp.log(p(z))),
    steps=3,
)


def _pieces(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    """Distortion (B,), log variances (B, K), the codes' scale (K,), the chain's bound (B,)."""
    for _ in range(POINTS):
        scale = (0.6 * normal(rng, 3)).exp() + 0.1
        yield 20 + 5 * normal(rng, 5), normal(rng, 5, 3) - 2, scale, 4 + normal(rng, 5)


def _entropy(logvar: Tensor) -> Tensor:
    """Of Gaussians with these log variances (B, K), from the proof. (B,) nats."""
    return on(line("encoder_entropy", latent.sigma), torch.exp(logvar / 2)).sum(1)


def _bound(distortion: Tensor, logvar: Tensor, scale: Tensor, chain: Tensor) -> Tensor:
    return distortion - _entropy(logvar) + chain + scale.log().sum()


latent_bound = Check(
    "latent_bound",
    "eq-latent-bound",
    _pieces,
    _bound,
    {
        "entropy's sign": Mistake(
            lambda d, lv, s, c: _bound(d, lv, s, c) + 2 * _entropy(lv),
            "the encoder's entropy is added. Its negative is in the bound: noise on the code is a gain.",
        ),
        "no entropy": Mistake(
            lambda d, lv, s, c: d + c + s.log().sum(), "the encoder's entropy is left out of the bound."
        ),
        "no unit": Mistake(
            lambda d, lv, s, c: d - _entropy(lv) + c,
            "the chain's bound is of the standardised code u; to be one of z it has to pay for the unit.",
        ),
        "unit's sign": Mistake(
            lambda d, lv, s, c: d - _entropy(lv) + c - s.log().sum(),
            "the unit comes in with the wrong sign: a wide density is low.",
        ),
        "unit averaged": Mistake(
            lambda d, lv, s, c: d - _entropy(lv) + c + s.log().mean(),
            "every latent has its unit: they add up, and here they are averaged.",
        ),
        "log of the sum": Mistake(
            lambda d, lv, s, c: d - _entropy(lv) + c + s.sum().log(),
            "this takes the logarithm of the sum of the scales; each latent has its own logarithm.",
        ),
        "entropy without its half": Mistake(
            lambda d, lv, s, c: _bound(d, lv, s, c) + 0.5 * lv.shape[1],
            "half a nat for each latent is missing from the entropy.",
        ),
        "entropy without 2π": Mistake(
            lambda d, lv, s, c: _bound(d, lv, s, c) + 0.5 * LOG_2PI * lv.shape[1],
            "the entropy lacks its 2π. The chain's bound has one, and they do not cancel by themselves.",
        ),
        "logvar as log σ": Mistake(
            lambda d, lv, s, c: _bound(d, 2 * lv, s, c),
            "logvar is log σ² already; in the entropy it is counted twice.",
        ),
        "a KL to N(0, 1) as well": Mistake(
            lambda d, lv, s, c: d + 0.5 * (lv.exp() - 1 - lv).sum(1) + c + s.log().sum(),
            "a KL to N(0, 1) stands in the place of the entropy. The prior is the chain alone.",
        ),
        "unit twice": Mistake(
            lambda d, lv, s, c: d - _entropy(lv - 2 * s.log()) + c + s.log().sum(),
            "the unit is paid for twice: log s counts double, or the entropy is that of u as well.",
        ),
        "entropy averaged": Mistake(
            lambda d, lv, s, c: _bound(d, lv, s, c) + _entropy(lv) * (1 - 1 / lv.shape[1]),
            "the entropies of the latents are averaged; they add up.",
        ),
        "no chain": Mistake(
            lambda d, lv, s, c: d - _entropy(lv) + s.log().sum(), "the chain's bound is left out."
        ),
        "no distortion": Mistake(
            lambda d, lv, s, c: c - _entropy(lv) + s.log().sum(),
            "this is the rate alone; the bound has the distortion, too.",
        ),
    },
)


def _mixtures(rng: Rng) -> Iterator[tuple[Tensor, ...]]:
    """Codes and log variances (B, K), and weights (M,), means and standard deviations (M, K)."""
    for _ in range(POINTS):
        weights = torch.softmax(normal(rng, 4), 0)
        widths = (0.4 * normal(rng, 4, 3)).exp()
        yield normal(rng, 5, 3), normal(rng, 5, 3) - 2, weights, 1.2 * normal(rng, 4, 3), widths


def _joint(z: Tensor, weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Log of weight times density of each component. (B, M)."""
    parts = -0.5 * ((z[:, None] - means) / scales) ** 2 - scales.log() - 0.5 * LOG_2PI
    return weights.log() + parts.sum(2)


def _rate(z: Tensor, logvar: Tensor, weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    return -_joint(z, weights, means, scales).logsumexp(1) - _entropy(logvar)


mixture_rate = Check(
    "mixture_rate",
    "eq-latent-rate",
    _mixtures,
    _rate,
    {
        "mean of the logs": Mistake(
            lambda z, lv, w, m, s: -(w * (_joint(z, w, m, s) - w.log())).sum(1) - _entropy(lv),
            "the logs of the components are averaged. A mixture's density is a sum; then comes the log.",
        ),
        "no weights": Mistake(
            lambda z, lv, w, m, s: -(_joint(z, w, m, s) - w.log()).logsumexp(1) - _entropy(lv),
            "the components come in without their weights: such a density has more mass than 1.",
        ),
        "even weights": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, torch.full_like(w, 1 / len(w)), m, s),
            "all components have the same weight here; use those that are given.",
        ),
        "nearest component": Mistake(
            lambda z, lv, w, m, s: -_joint(z, w, m, s).amax(1) - _entropy(lv),
            "only the component that explains z best is counted; the others add to its density.",
        ),
        "cross-entropy": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s) + _entropy(lv),
            "this is the cross-entropy; the encoder's entropy has to be taken off.",
        ),
        "entropy's sign": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s) + 2 * _entropy(lv),
            "the encoder's entropy is added; it is taken off the cross-entropy.",
        ),
        "log density's sign": Mistake(
            lambda z, lv, w, m, s: _joint(z, w, m, s).logsumexp(1) - _entropy(lv),
            "the cross-entropy is minus log p(z); its sign is turned.",
        ),
        "variances": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s.sqrt()),
            "the scales are standard deviations and are used as variances.",
        ),
        "precisions": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, 1 / s),
            "the scales are standard deviations and are used the other way up, as roots of precisions.",
        ),
        "no half in the exponent": Mistake(
            lambda z, lv, w, m, s: (
                -(_joint(z, w, m, s) - 0.5 * (((z[:, None] - m) / s) ** 2).sum(2)).logsumexp(1) - _entropy(lv)
            ),
            "the half before the squares of the components is missing.",
        ),
        "one Gaussian": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, torch.ones_like(w[:1]), (w @ m)[None], (w @ s)[None]),
            "means and scales are averaged into one Gaussian; it is the densities that are averaged.",
        ),
        "product": Mistake(
            lambda z, lv, w, m, s: -_joint(z, w, m, s).sum(1) - _entropy(lv),
            "the densities of the components are multiplied here; a mixture adds them.",
        ),
        "no widths in front": Mistake(
            lambda z, lv, w, m, s: (
                -(_joint(z, w, m, s) + s.log().sum(1)).logsumexp(1) - _entropy(lv)
            ),
            "a wide Gaussian is low: the logarithm of its standard deviations is missing.",
        ),
        "constants dropped": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s) + 0.5 * lv.shape[1],
            "the constants with 2π cancel between the two parts, and yet half a nat a latent of the entropy "
            "stays.",
        ),
        "2π in the entropy alone": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s) - 0.5 * LOG_2PI * lv.shape[1],
            "the entropy has its 2π and the mixture has none.",
        ),
        "2π in the mixture alone": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s) + 0.5 * LOG_2PI * lv.shape[1],
            "the mixture has its 2π and the entropy has none.",
        ),
        "latents summed last": Mistake(
            lambda z, lv, w, m, s: (
                -torch.logsumexp(
                    w.log()[:, None]
                    - 0.5 * ((z[:, None] - m) / s) ** 2 - s.log() - 0.5 * LOG_2PI, 1
                ).sum(1)
                - _entropy(lv)
            ),
            "each latent gets a mixture of its own here. A component is one for all latents: sum over them "
            "before the components.",
        ),
        "average over the latents": Mistake(
            lambda z, lv, w, m, s: _rate(z, lv, w, m, s) / z.shape[1],
            "this is the rate of one latent; they add up.",
        ),
    },
)  # fmt: skip


def _levels(rng: Rng) -> Iterator[tuple[Tensor, float]]:
    for _ in range(POINTS):
        yield chain(rng), between(rng, 0.15, 0.8)


def _scaled(alpha_bar: Tensor, c: float) -> Tensor:
    """From the proof: the log SNR of the chain on the code itself, moved back by the scale."""
    (symbol,) = (s for s in latent.scale_is_noise_level().last.free_symbols if str(s) == "c")
    level = on(line("scale_is_noise_level", latent.abar, symbol), alpha_bar[1:], 1 / c)
    return torch.cat([torch.ones_like(alpha_bar[:1]), torch.sigmoid(level)])


scaled_levels = Check(
    "scaled_levels",
    "eq-latent-scale",
    _levels,
    _scaled,
    {
        "wrong way": Mistake(
            lambda a, c: _scaled(a, 1 / c),
            "the shift goes the wrong way: a smaller code needs less noise, so ᾱ_t must be larger.",
        ),
        "c once": Mistake(
            lambda a, c: _scaled(a, c**0.5), "the signal is multiplied by c, so its power by c²."
        ),
        "c twice squared": Mistake(lambda a, c: _scaled(a, c * c), "the scale comes in to the fourth power."),
        "not changed": Mistake(lambda a, c: 1 * a, "these are the levels that were given."),
        "multiplied": Mistake(
            lambda a, c: c * c * a,
            "ᾱ_t itself is multiplied; it is the ratio of signal and noise that has to stay.",
        ),
        "divided": Mistake(
            lambda a, c: a / (c * c),
            "ᾱ_t is divided by c² and leaves [0, 1]; it is the ratio of signal and noise that has to stay.",
        ),
        "the ratio": Mistake(
            lambda a, c: torch.cat([a[:1], a[1:] / (c * c * (1 - a[1:]))]),
            "this is the signal-to-noise ratio; asked for is the ᾱ_t that belongs to it.",
        ),
        "noise kept": Mistake(
            lambda a, c: 1 - c * c * (1 - a),
            "the variance of the noise is multiplied by c², and then signal and noise do not add up as they "
            "should: the power of the signal is no longer ᾱ_t of the old chain.",
        ),
        "steps scaled": Mistake(
            lambda a, c: torch.cat([a[:1], (1 - c * c * (1 - a[1:] / a[:-1])).cumprod(0)]),
            "β_t of each step is multiplied by c²; only the level that is reached counts.",
        ),
        "the first level moved": Mistake(
            lambda a, c: torch.cat([_scaled(a, c)[1:2], _scaled(a, c)[1:]]),
            "at t = 0 there is no noise: ᾱ_0 = 1 whatever the scale.",
        ),
        "the log of the ratio": Mistake(
            lambda a, c: torch.cat([a[:1], torch.logit(_scaled(a, c)[1:])]),
            "this is the log of the signal-to-noise ratio; asked for is the ᾱ_t that belongs to it.",
        ),
        "scale on the signal": Mistake(
            lambda a, c: a / (c * c * a + 1 - a),
            "below, the signal is scaled and not the noise: above and below no longer fit together.",
        ),
        "the end alone": Mistake(
            lambda a, c: torch.cat([a[:-1], _scaled(a, c)[-1:]]),
            "only the last level is moved; all have to be.",
        ),
        "a step late": Mistake(
            lambda a, c: torch.cat([a[:1], _scaled(a, c)[:-1]]), "every level stands one step too late."
        ),
    },
)


def _codes(rng: Rng) -> Iterator[tuple[float, float]]:
    """The standard deviation of the codes, and ᾱ_1."""
    for _ in range(POINTS):
        yield between(rng, 0.2, 5), between(rng, 0.3, 0.95)


def _left(s: float, a: float) -> float:
    """The variance that is left of the code when z_1 is known."""
    return s * s * (1 - a) / (1 - a + a * s * s)


def _cost(variance: float) -> float:
    return float(line("encoder_entropy", latent.sigma)(math.sqrt(variance)))


first_step = Check(
    "first_step",
    "eq-latent-one-step",
    _codes,
    lambda s, alpha_bar: _cost(_left(s, alpha_bar)),
    {
        "prior of the code": Mistake(
            lambda s, a: _cost(s * s),
            "this is the cost of a code of which nothing is known; z_1 says something.",
        ),
        "the chain's noise": Mistake(
            lambda s, a: _cost(1 - a),
            "this has the variance of the noise that was added, and not that of the code when z_1 is known.",
        ),
        "noise over signal": Mistake(
            lambda s, a: _cost((1 - a) / a),
            "this is how widely z_1 alone points at z. That the codes have a width themselves helps.",
        ),
        "s for s²": Mistake(
            lambda s, a: _cost(_left(math.sqrt(s), a)), "s is a standard deviation: its square belongs there."
        ),
        "root of ᾱ": Mistake(
            lambda s, a: _cost(_left(s, math.sqrt(a))),
            "the signal is multiplied by √ᾱ, so its power by ᾱ; here a root is taken.",
        ),
        "no half": Mistake(
            lambda s, a: _cost(_left(s, a)) - 0.5,
            "half a nat is missing: the mean of the squared error in units of its variance.",
        ),
        "no 2π": Mistake(
            lambda s, a: _cost(_left(s, a)) - 0.5 * LOG_2PI, "the density of a Gaussian has a factor with 2π."
        ),
        "variance twice": Mistake(
            lambda s, a: 0.5 * (1 + LOG_2PI) + math.log(_left(s, a)),
            "the logarithm of the variance has a half before it.",
        ),
        "standard deviation": Mistake(
            lambda s, a: _cost(math.sqrt(_left(s, a))),
            "a standard deviation stands in the place of the variance that is left.",
        ),
        "variances added": Mistake(
            lambda s, a: _cost(a * s * s + 1 - a),
            "this is the variance of z_1. What is left of z has a smaller one.",
        ),
        "precisions not turned over": Mistake(
            lambda s, a: _cost(1 / (s * s) + a / (1 - a)),
            "the precisions are added and not turned over: this is one over the variance.",
        ),
        "no logarithm": Mistake(
            lambda s, a: 0.5 * (1 + LOG_2PI + _left(s, a)),
            "the variance itself is added; its logarithm belongs there.",
        ),
        "KL": Mistake(
            lambda s, a: 0.5 * (_left(s, a) / (s * s) - 1 - math.log(_left(s, a) / (s * s))),
            "this is a KL to the distribution of the codes; asked for is the average of −log p, an entropy.",
        ),
        "information": Mistake(
            lambda s, a: _cost(s * s) - _cost(_left(s, a)),
            "this is what z_1 says about z, in nats; asked for is what is left to pay.",
        ),
    },
)


def _weights(rng: Rng) -> Iterator[tuple[float, float]]:
    """The price k of noise in the distortion, and the weight β."""
    for _ in range(POINTS):
        yield between(rng, 0.5, 20), between(rng, 0.01, 0.9)


def _terms(k: float, beta: float, v: float | None = None) -> tuple[float, float]:
    """Distortion and rate of a code of mean 0 with this variance, the best one if none is given."""
    v = beta / (k + beta) if v is None else v
    return k * v / 2, float(line("gaussian_prior_rate", latent.mu, latent.sigma)(0.0, math.sqrt(v)))


weighted_terms = Check(
    "weighted_terms",
    "eq-latent-weight",
    _weights,
    lambda k, beta: _terms(k, beta),
    {
        "weighted rate": Mistake(
            lambda k, b: (_terms(k, b)[0], b * _terms(k, b)[1]),
            "the rate is multiplied by β. The weight belongs to the loss; the terms of the bound have none.",
        ),
        "weight of 1": Mistake(
            lambda k, b: _terms(k, 1.0), "this is the code that is best for the bound, β = 1."
        ),
        "k above": Mistake(
            lambda k, b: _terms(k, b, k / (k + b)), "the variance is k/(k + β): the fraction is exchanged."
        ),
        "no k": Mistake(
            lambda k, b: _terms(k, b, b / (1 + b)), "in the variance stands 1 + β; k is its own number."
        ),
        "β/k": Mistake(
            lambda k, b: _terms(k, b, b / k), "below the variance stands k alone: the prior has a pull, too."
        ),
        "standard deviation": Mistake(
            lambda k, b: _terms(k, b, (b / (k + b)) ** 2),
            "β/(k + β) is the variance already, and it is squared here.",
        ),
        "no half in the distortion": Mistake(
            lambda k, b: (2 * _terms(k, b)[0], _terms(k, b)[1]),
            "the distortion is kv/2; the half is missing.",
        ),
        "no half in the rate": Mistake(
            lambda k, b: (_terms(k, b)[0], 2 * _terms(k, b)[1]), "the half of the rate is missing."
        ),
        "no − 1": Mistake(
            lambda k, b: (_terms(k, b)[0], _terms(k, b)[1] + 0.5),
            "a code that equals the prior has no rate; here it has half a nat.",
        ),
        "log alone": Mistake(
            lambda k, b: (_terms(k, b)[0], -0.5 * math.log(b / (k + b))),
            "only the logarithm of the rate is here; the variance and the 1 belong to it.",
        ),
        "log's sign": Mistake(
            lambda k, b: (_terms(k, b)[0], _terms(k, b)[1] + math.log(b / (k + b))),
            "the logarithm in the rate has the wrong sign: a narrow code costs more.",
        ),
        "the loss": Mistake(
            lambda k, b: (_terms(k, b)[0] + b * _terms(k, b)[1], _terms(k, b)[1]),
            "the first value is the weighted loss; asked for is the distortion alone.",
        ),
        "bound and rate": Mistake(
            lambda k, b: (sum(_terms(k, b)), _terms(k, b)[1]),
            "the first value is the sum of the two terms; asked for is the distortion alone.",
        ),
    },
)
