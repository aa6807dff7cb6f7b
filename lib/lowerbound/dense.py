"""Dense networks for the toys: points in (B, dims) instead of images."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lowerbound.coordinates import eps_from_v
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


class CodeDenoiser(nn.Module):
    """ε for the codes of a VAE: xt (B, dims), log_snr (B,), and classes (B,) if it has any -> (B, dims).

    `depth` residual blocks of `width`, each scaled and shifted by the noise level. Its last layer says v,
    as that of `UNet` does: Salimans & Ho 2022, App. D.
    """

    def __init__(self, dims: int, width: int = 256, depth: int = 4, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.noise_level = NoiseLevel(width)
        self.label = nn.Embedding(classes + 1, width) if classes else None  # row 0: no class
        self.stem, self.head = nn.Linear(dims, width), nn.Linear(width, dims)
        self.films = nn.ModuleList([nn.Linear(width, 2 * width) for _ in range(depth)])
        self.blocks = nn.ModuleList([dense([width, width, width]) for _ in range(depth)])
        nn.init.zeros_(self.head.weight)

    def forward(
        self, xt: Float[Tensor, "B dims"], log_snr: Float[Tensor, " B"], y: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B dims"]:
        """Predict ε. y: (B,) int64, −1 for no class. Raises ValueError for classes that it does not have."""
        if y is not None and (self.label is None or int(y.min()) < -1 or int(y.max()) >= self.classes):
            raise ValueError(f"classes must be in -1..{self.classes - 1}, got {int(y.min())}..{int(y.max())}")
        level = self.noise_level(log_snr).to(xt.dtype)
        if self.label is not None:
            level = level + self.label(torch.zeros_like(log_snr, dtype=torch.int64) if y is None else y + 1)
        level, h = F.silu(level), self.stem(xt)
        for film, block in zip(self.films, self.blocks, strict=True):
            scale, shift = film(level).chunk(2, 1)
            h = h + block(F.layer_norm(h, h.shape[1:]) * (1 + scale) + shift)
        return eps_from_v(self.head(F.silu(h)), xt, log_snr)
