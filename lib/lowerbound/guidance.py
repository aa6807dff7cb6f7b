"""Classifier-free guidance: one network, asked with the class and without it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Guided(nn.Module):
    """ε̂ = ε̂(x_t, y) + w · (ε̂(x_t, y) − ε̂(x_t)). Ho & Salimans 2022 (classifier-free guidance), Eq. (6).

    net: xt (B, ...), log_snr (B,), y (B,) -> ε̂ (B, ...), for which class −1 is no class
    y: () or (B,) int64; w = 0 is the model of x given y, w > 0 goes beyond, w = −1 is the model of x alone

    Called as `net(xt, log_snr)`, at the price of two calls of `net` in one batch (one where w is 0 or −1).
    """

    y: Tensor

    def __init__(self, net: nn.Module, y: Int[Tensor, "*batch"], weight: float) -> None:
        super().__init__()
        if not isinstance(y, Tensor):
            raise ValueError(f"y must be a tensor, got {type(y).__name__}; use torch.tensor(y)")
        if y.numel() == 0:
            raise ValueError("y holds no class; give one, or one for each example")
        if y.is_floating_point() or y.ndim > 1:
            raise ValueError(f"y must be int64 of shape () or (B,), got {y.dtype} {tuple(y.shape)}")
        self.net, self.weight = net, weight
        self.register_buffer("y", y, persistent=False)

    def forward(self, xt: Float[Tensor, "B *dims"], log_snr: Float[Tensor, " B"]) -> Float[Tensor, "B *dims"]:
        """Predict ε. Raises ValueError if xt has not one row for each class in y."""
        if self.y.ndim and len(self.y) != len(xt):
            raise ValueError(f"there are {len(self.y)} classes for {len(xt)} examples; give one for each")
        y = self.y.to(xt.device).expand(len(xt))
        none = torch.full_like(y, -1)
        if self.weight in (0, -1):
            one: Tensor = self.net(xt, log_snr, y if self.weight == 0 else none)
            return one
        twice = torch.cat([xt, xt]), torch.cat([log_snr, log_snr]), torch.cat([y, none])
        out: Tensor = self.net(*twice)
        given, alone = out.chunk(2)
        return given + self.weight * (given - alone)
