"""The diagonal Gaussian: what an encoder returns, and every step of a diffusion model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Gaussian:
    """N(mean, diag(exp(logvar))), a batch of them.

    mean:   (B, ...) float
    logvar: broadcastable to mean; log σ², so that no positivity has to be enforced

    Raises ValueError if logvar does not broadcast to the shape of mean.
    """

    mean: Float[Tensor, "B *dims"]
    logvar: Float[Tensor, "*#shape"]

    def __post_init__(self) -> None:
        if not _broadcasts(self.logvar.shape, self.mean.shape):
            raise ValueError(
                f"logvar {tuple(self.logvar.shape)} must broadcast to mean {tuple(self.mean.shape)}; "
                "give it the same shape, or a scalar"
            )

    @property
    def std(self) -> Float[Tensor, "*#shape"]:
        """σ, broadcastable to mean."""
        return torch.exp(0.5 * self.logvar)

    def sample(self, rng: torch.Generator | None = None) -> Float[Tensor, "B *dims"]:
        """One draw μ + σ·ε, differentiable in μ and σ. Returns (B, ...). Kingma & Welling 2014, §2.4."""
        eps = torch.randn(self.mean.shape, generator=rng, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + self.std * eps

    def log_prob(self, x: Float[Tensor, "B *dims"]) -> Float[Tensor, " B"]:
        """Log density of x (B, ...), summed over dimensions. Returns (B,) nats."""
        squared = (x - self.mean) ** 2 * torch.exp(-self.logvar)
        return -0.5 * (squared + self.logvar + LOG_2PI).flatten(1).sum(1)

    def entropy(self) -> Float[Tensor, " B"]:
        """−E[log q], summed over dimensions: of its widths alone. Returns (B,) nats."""
        return 0.5 * (1 + LOG_2PI + self.logvar).expand_as(self.mean).flatten(1).sum(1)

    def kl(self, other: Gaussian | None = None) -> Float[Tensor, " B"]:
        """KL(self ‖ other) summed over dimensions; other defaults to N(0, I). Returns (B,) nats.

        Kingma & Welling 2014, App. B, and its general form.
        """
        mean, logvar = (0.0, torch.zeros_like(self.mean)) if other is None else (other.mean, other.logvar)
        ratio = self.logvar - logvar
        squared = (self.mean - mean) ** 2 * torch.exp(-logvar)
        return 0.5 * (squared + torch.expm1(ratio) - ratio).flatten(1).sum(1)


def _broadcasts(small: torch.Size, large: torch.Size) -> bool:
    """Whether `small` expands to `large` without growing it."""
    tail = large[len(large) - len(small) :]
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small, tail, strict=True))
