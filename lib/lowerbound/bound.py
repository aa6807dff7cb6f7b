"""A negative ELBO, taken apart: one object for the VAE and for the diffusion model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Bound:
    """A negative ELBO, taken apart. All in nats per example.

    distortion: (B,)    −log p(x | z₁), the reconstruction term
    rates:      (B, L)  one KL per layer of latents, the prior's last

    A VAE has L = 1, a diffusion model L = T: the same object.
    Raises ValueError on other shapes.
    """

    distortion: Float[Tensor, " B"]
    rates: Float[Tensor, "B L"]

    def __post_init__(self) -> None:
        if self.distortion.ndim != 1 or self.rates.ndim != 2 or len(self.rates) != len(self.distortion):
            raise ValueError(
                f"distortion must be (B,) and rates (B, L), got {tuple(self.distortion.shape)} and "
                f"{tuple(self.rates.shape)}; sum over pixels and dimensions, keep the batch"
            )

    @property
    def rate(self) -> Float[Tensor, " B"]:
        """All KL terms together. (B,) nats."""
        return self.rates.sum(1)

    def nats(self) -> Float[Tensor, " B"]:
        """The negative ELBO: distortion + rates. (B,) nats."""
        return self.distortion + self.rate

    def bits_per_dim(self, dims: int) -> Float[Tensor, " B"]:
        """The negative ELBO in bits for each of `dims` dimensions of x. (B,). ValueError if dims < 1."""
        if dims < 1:
            raise ValueError(f"dims must be the number of dimensions of x, at least 1; got {dims}")
        return self.nats() / (dims * math.log(2))
