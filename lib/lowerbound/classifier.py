"""A classifier of garments: it measures, and its features are what image distances are measured in."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Float64, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lowerbound import data
from lowerbound.nets import ResBlock, group_norm


class Classifier(nn.Module):
    """Ten classes of garments, and the features that image distances are measured in.

    x (B, 1, 28, 28) in [−1, 1] -> logits (B, 10); `features(x)` -> (B, num_features).
    """

    def __init__(self, width: int = 32, num_features: int = 64) -> None:
        super().__init__()
        self.num_features = num_features
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4, width, 3, padding=1),
            ResBlock(width, width),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            ResBlock(2 * width, 2 * width),
            ResBlock(2 * width, 2 * width),
            group_norm(2 * width),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, num_features),
        )
        self.head = nn.Linear(num_features, 10)

    def features(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """(B, num_features), the last layer before the logits."""
        out: Tensor = self.body(x).to(x.dtype)
        return out

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 10"]:
        """Logits of the ten classes."""
        out: Tensor = self.head(F.silu(self.features(x)))
        return out

    def loss(self, x: Float[Tensor, "B C H W"], y: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Cross-entropy against labels y (B,). Returns (B,) nats."""
        return F.cross_entropy(self(x), y, reduction="none", label_smoothing=0.05)


def random_shift_flip(
    x: Float[Tensor, "B C H W"], rng: torch.Generator | None = None, by: int = 2, mirror: bool = True
) -> Float[Tensor, "B C H W"]:
    """Each image of x (B, C, H, W) moved by −by..by pixels down and right, and mirrored half of the time.

    What comes in from outside is black, −1. Every image has draws of its own. Raises ValueError if by < 0.
    """
    if by < 0:
        raise ValueError(f"by must be 0 pixels or more, got {by}")
    B, _, H, W = x.shape
    down, right, mirrored = torch.rand(3, B, generator=rng, device=x.device)
    down, right = ((u * (2 * by + 1)).long().clamp(max=2 * by) for u in (down, right))
    rows, columns = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
    flipped = mirrored < (0.5 if mirror else 0.0)
    columns = torch.where(flipped[:, None], columns.flip(0), columns)  # (B, W)
    padded = F.pad(x, (by, by, by, by), value=-1.0)
    picks = (down[:, None] + rows)[:, :, None], (right[:, None] + columns)[:, None, :]
    return padded.permute(0, 2, 3, 1)[(torch.arange(B, device=x.device)[:, None, None], *picks)].permute(
        0, 3, 1, 2
    )


def classifier_loss(
    model: Any, x: Float[Tensor, "B C H W"], y: Int[Tensor, " B"] | None, rng: torch.Generator | None
) -> Float[Tensor, ""]:
    """Cross-entropy in nats of images x (B, 1, 28, 28) with classes y (B,), each image moved a little."""
    loss: Tensor = model.loss(random_shift_flip(x, rng), y).mean()
    return loss


@torch.no_grad()
def accuracy(classifier: nn.Module, images: data.Images, batch: int = 500) -> float:
    """The share of images whose class is guessed right."""
    device = next(classifier.parameters()).device
    parts = zip(torch.split(images.x, batch), torch.split(images.y, batch), strict=True)
    right = sum(int((classifier(data.to_unit(x).to(device)).argmax(1).cpu() == y).sum()) for x, y in parts)
    return right / len(images.y)


@torch.no_grad()
def features(classifier: Any, x: UInt8[Tensor, "N 1 H W"], batch: int = 500) -> Float64[Tensor, "N F"]:
    """What a classifier makes of uint8 images x (N, 1, H, W) before its last layer: (N, F), on the CPU."""
    like = next(classifier.parameters())
    parts = [classifier.features(data.to_unit(p).to(like)).cpu() for p in torch.split(x, batch)]
    return torch.cat(parts).double()
