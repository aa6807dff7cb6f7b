"""Lab 6: the entropy of an encoder, and what a scale of the codes does to the noise levels."""

from __future__ import annotations

from collections.abc import Iterator

from ..proofs import ch6_latent as latent
from .cases import POINTS, line, normal, on
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor, torch


def _widths(rng: Rng) -> Iterator[tuple[Tensor]]:
    """Log variances (B, K)."""
    for _ in range(POINTS):
        yield (normal(rng, 5, 3) - 1,)


def _entropy(logvar: Tensor) -> Tensor:
    """The sum over the latents of the proof's last line. (B,)."""
    return on(line("encoder_entropy", latent.sigma), torch.exp(logvar / 2)).sum(1)


code_entropy = Check(
    "code_entropy",
    "eq-latent-entropy",
    _widths,
    _entropy,
    {
        "sign": Mistake(
            lambda logvar: -_entropy(logvar), "the sign is turned: a wider Gaussian has more entropy."
        ),
        "no half for the square": Mistake(
            lambda logvar: _entropy(logvar) - 0.5 * logvar.shape[1],
            "half a nat a latent is missing: the mean of the squared deviation, in units of the variance.",
        ),
        "no π": Mistake(
            lambda logvar: 0.5 * (1 + logvar).sum(1), "the density of a Gaussian has a factor with 2π."
        ),
        "log σ for log σ²": Mistake(
            lambda logvar: _entropy(2 * logvar), "logvar is log σ² already; here it is counted twice."
        ),
        "mean over the latents": Mistake(
            lambda logvar: _entropy(logvar) / logvar.shape[1],
            "entropies of independent latents add up; here they are averaged.",
        ),
        "the rate of a mean of 0": Mistake(
            lambda logvar: 0.5 * (logvar.exp() - 1 - logvar).sum(1),
            "this is the KL to N(0, 1). No prior occurs in an entropy.",
        ),
    },
)


def _levels(rng: Rng) -> Iterator[tuple[float, float]]:
    """ᾱ and the scale c."""
    for _ in range(POINTS):
        yield between(rng, 0.1, 0.9), between(rng, 0.1, 0.7)


def _log_snr(alpha_bar: float, c: float) -> float:
    (symbol,) = (s for s in latent.scale_is_noise_level().last.free_symbols if str(s) == "c")
    return float(line("scale_is_noise_level", latent.abar, symbol)(alpha_bar, c))


scaled_log_snr = Check(
    "scaled_log_snr",
    "eq-latent-scale",
    _levels,
    _log_snr,
    {
        "log c once": Mistake(
            lambda a, c: _log_snr(a, c**0.5), "the signal is multiplied by c, its power by c²."
        ),
        "wrong way": Mistake(
            lambda a, c: _log_snr(a, 1 / c), "a scale below 1 makes the signal weaker; here it gets stronger."
        ),
        "not scaled": Mistake(lambda a, c: _log_snr(a, 1.0), "the scale c does not occur in this."),
        "no log": Mistake(
            lambda a, c: c**2 * a / (1 - a), "this is the ratio itself; asked for is its logarithm."
        ),
        "noise scaled too": Mistake(
            lambda a, c: _log_snr(a, 1.0) + 2 * c, "the scale is added without its logarithm."
        ),
        "turned over": Mistake(
            lambda a, c: -_log_snr(a, c), "this is the log of noise over signal: the fraction is turned over."
        ),
    },
)
