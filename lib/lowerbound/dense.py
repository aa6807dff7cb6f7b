"""Dense networks for the toys: points in (B, dims) instead of images."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lowerbound.nets import NoiseLevel


def dense(sizes: list[int]) -> nn.Sequential:
    """Linear layers of these sizes with SiLU between them; [2, 64, 1] has one hidden layer."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class DenseEncoder(nn.Module):
    """q(z | x) for points: x (B, dims) -> mean and logvar, each (B, latents)."""

    def __init__(self, dims: int, latents: int, width: int = 64) -> None:
        super().__init__()
        self.shape, self.layers = (dims,), dense([dims, width, width, 2 * latents])

    def forward(self, x: Float[Tensor, "B dims"]) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Encode."""
        mean, logvar = self.layers(x).chunk(2, 1)
        return mean, logvar.clamp(-10, 10)


class DenseDecoder(nn.Module):
    """p(x | z) for points: z (B, latents) -> mean and log_scale, each (B, dims); one scale per dimension."""

    def __init__(self, dims: int, latents: int, width: int = 64) -> None:
        super().__init__()
        self.latents, self.layers = latents, dense([latents, width, width, dims])
        self.log_scale = nn.Parameter(torch.zeros(dims))

    def forward(self, z: Float[Tensor, "B K"]) -> tuple[Float[Tensor, "B dims"], Float[Tensor, "B dims"]]:
        """Decode."""
        mean = self.layers(z)
        return mean, self.log_scale.expand_as(mean)


class DenseDenoiser(nn.Module):
    """ε for points: xt (B, dims), log_snr (B,) -> (B, dims)."""

    def __init__(self, dims: int, width: int = 128) -> None:
        super().__init__()
        self.noise_level, self.layers = NoiseLevel(32), dense([dims + 32, width, width, width, dims])

    def forward(self, xt: Float[Tensor, "B dims"], log_snr: Float[Tensor, " B"]) -> Float[Tensor, "B dims"]:
        """Predict ε."""
        out: Tensor = self.layers(torch.cat([xt, self.noise_level(log_snr).to(xt.dtype)], 1))
        return out
