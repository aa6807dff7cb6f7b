"""What the last decoder step says about x: proper likelihoods over 256 levels, and two others.

Every class takes the decoder's output and offers `log_prob(x) -> (B,)`, `sample(rng)` and `mean`.
The discretised ones share their bins: level k has the centre k/127.5 − 1 and the half-width 1/255;
the first and the last bin reach to −∞ and +∞, so that the 256 probabilities sum to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

HALF_BIN = 1 / 255


@runtime_checkable
class Likelihood(Protocol):
    """What the models ask of p(x | z₁)."""

    @property
    def mean(self) -> Float[Tensor, "B *dims"]:
        """The decoder's best guess of x, shape of x."""
        ...

    def log_prob(self, x: Float[Tensor, "B *dims"]) -> Float[Tensor, " B"]:
        """(B,) nats."""
        ...

    def sample(self, rng: torch.Generator | None = None) -> Float[Tensor, "B *dims"]:
        """One draw, shape of x."""
        ...


def _uniform(like: Tensor, rng: torch.Generator | None) -> Tensor:
    """U(0, 1), kept off both ends so that its logit is finite."""
    u = torch.rand(like.shape, generator=rng, dtype=like.dtype, device=like.device)
    return u.clamp(1e-6, 1 - 1e-6)


def _to_levels(x: Tensor) -> Tensor:
    """The nearest of the 256 bin centres."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def readable(x: Shaped[Tensor, "*dims"]) -> bool:
    """Whether values of x may be looked at: on a GPU, and in a compiled graph, each look would stop the work.

    There the range of the data is checked once, by `fit` and by `data.to_unit`.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _check_levels(x: Tensor) -> None:
    if x.dtype == torch.uint8:
        raise ValueError("x must be float in [-1, 1], got 0..255; scale it with data.to_unit(x)")
    if readable(x) and float(x.detach().abs().max()) > 1 + 1e-4:
        low, high = float(x.min()), float(x.max())
        remedy = "scale it with data.to_unit(x)" if x.ndim == 4 else "points need GaussianLikelihood"
        raise ValueError(f"x must be float in [-1, 1], got {low:.4g}..{high:.4g}; {remedy}")


@dataclass(frozen=True)
class DiscretisedLogistic:
    """A logistic density integrated over each of the 256 bins. Salimans et al. 2017, Eq. (2).

    mean, log_scale: (B, ...), log_scale broadcastable to mean; scale in units of x.
    log_prob raises ValueError when x is not in [-1, 1].
    """

    mean: Float[Tensor, "B *dims"]
    log_scale: Float[Tensor, "*#shape"]

    def log_prob(self, x: Float[Tensor, "B *dims"]) -> Float[Tensor, " B"]:
        """Log probability of the bins that hold x (B, ...). Returns (B,) nats."""
        _check_levels(x)
        inv_scale = torch.exp(-self.log_scale)
        upper = (x - self.mean + HALF_BIN) * inv_scale
        lower = (x - self.mean - HALF_BIN) * inv_scale
        # S(u) − S(l) = S(u) · S(−l) · (1 − e^(l − u)): no difference of nearly equal numbers.
        below_top = (x < 1 - HALF_BIN).to(x.dtype)
        above_bottom = (x > -1 + HALF_BIN).to(x.dtype)
        width = torch.log(-torch.expm1(-2 * HALF_BIN * inv_scale))
        log_p = (
            below_top * F.logsigmoid(upper)
            + above_bottom * F.logsigmoid(-lower)
            + below_top * above_bottom * width
        )
        return log_p.flatten(1).sum(1)

    def sample(self, rng: torch.Generator | None = None) -> Float[Tensor, "B *dims"]:
        """One draw, rounded to the 256 levels. Shape of mean."""
        return _to_levels(self.mean + torch.exp(self.log_scale) * torch.logit(_uniform(self.mean, rng)))


@dataclass(frozen=True)
class DiscretisedGaussian:
    """A Gaussian density integrated over each of the 256 bins. Ho et al. 2020, Eq. (13).

    mean, log_scale: (B, ...), log_scale = log σ broadcastable to mean; σ in units of x.
    log_prob raises ValueError when x is not in [-1, 1].
    """

    mean: Float[Tensor, "B *dims"]
    log_scale: Float[Tensor, "*#shape"]

    def log_prob(self, x: Float[Tensor, "B *dims"]) -> Float[Tensor, " B"]:
        """Log probability of the bins that hold x (B, ...). Returns (B,) nats."""
        _check_levels(x)
        inv_scale = torch.exp(-self.log_scale)
        upper = (x - self.mean + HALF_BIN) * inv_scale
        lower = (x - self.mean - HALF_BIN) * inv_scale
        # Φ(u) − Φ(l) = Φ(−l) − Φ(−u): take the side on which both are small, then nothing cancels.
        flip = lower + upper > 0
        low, high = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
        log_high = torch.special.log_ndtr(high)
        gap = (torch.special.log_ndtr(low) - log_high).clamp(max=-1e-12)
        inside = log_high + torch.log(-torch.expm1(gap))
        log_p = torch.where(x < -1 + HALF_BIN, torch.special.log_ndtr(upper), inside)
        log_p = torch.where(x > 1 - HALF_BIN, torch.special.log_ndtr(-lower), log_p)
        return log_p.flatten(1).sum(1)

    def sample(self, rng: torch.Generator | None = None) -> Float[Tensor, "B *dims"]:
        """One draw, rounded to the 256 levels. Shape of mean."""
        eps = torch.randn(self.mean.shape, generator=rng, dtype=self.mean.dtype, device=self.mean.device)
        return _to_levels(self.mean + torch.exp(self.log_scale) * eps)


@dataclass(frozen=True)
class GaussianLikelihood:
    """A density over real x, for the toys: −log p = ‖x − x̂‖²/2σ² + (D/2)·log 2πσ².

    mean, log_scale: (B, ...), log_scale = log σ broadcastable to mean.
    """

    mean: Float[Tensor, "B *dims"]
    log_scale: Float[Tensor, "*#shape"]

    def log_prob(self, x: Float[Tensor, "B *dims"]) -> Float[Tensor, " B"]:
        """Log density of x (B, ...). Returns (B,) nats."""
        squared = (x - self.mean) ** 2 * torch.exp(-2 * self.log_scale) / 2
        return -(squared + self.log_scale + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def sample(self, rng: torch.Generator | None = None) -> Float[Tensor, "B *dims"]:
        """One draw. Shape of mean."""
        eps = torch.randn(self.mean.shape, generator=rng, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + torch.exp(self.log_scale) * eps


@dataclass(frozen=True)
class Bernoulli:
    """A coin per pixel, for binary images only: on grey pixels its "likelihood" does not sum to one.

    logits: (B, ...). x is −1 (off) or 1 (on); log_prob raises ValueError on any other value.
    """

    logits: Float[Tensor, "B *dims"]

    @property
    def mean(self) -> Float[Tensor, "B *dims"]:
        """E[x] = 2·P(x = 1) − 1 = tanh(logit / 2), shape of logits."""
        return torch.tanh(self.logits / 2)

    def log_prob(self, x: Float[Tensor, "B *dims"]) -> Float[Tensor, " B"]:
        """Log probability of x (B, ...). Returns (B,) nats."""
        if not bool((x.abs() == 1).all()):
            raise ValueError("Bernoulli needs x of -1 and 1 alone; binarise it: torch.where(x > 0, 1., -1.)")
        return F.logsigmoid(x * self.logits).flatten(1).sum(1)

    def sample(self, rng: torch.Generator | None = None) -> Float[Tensor, "B *dims"]:
        """One draw of −1 and 1. Shape of logits."""
        return torch.where(_uniform(self.logits, rng) < torch.sigmoid(self.logits), 1.0, -1.0)
