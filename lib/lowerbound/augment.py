"""Images moved and mirrored at random, for training a classifier."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lowerbound.noise import uniform


def moved(
    x: Float[Tensor, "B C H W"], rng: torch.Generator | None = None, by: int = 2, mirror: bool = True
) -> Float[Tensor, "B C H W"]:
    """Each image of x (B, C, H, W) moved by −by..by pixels down and right, and mirrored half of the time.

    What comes in from outside is black, −1. Every image has draws of its own. Raises ValueError if by < 0.
    """
    if by < 0:
        raise ValueError(f"by must be 0 pixels or more, got {by}")
    B, _, H, W = x.shape
    down, right = ((uniform(x, B, rng) * (2 * by + 1)).long().clamp(max=2 * by) for _ in range(2))
    rows, columns = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
    flipped = uniform(x, B, rng) < (0.5 if mirror else 0.0)
    columns = torch.where(flipped[:, None], columns.flip(0), columns)  # (B, W)
    padded = F.pad(x, (by, by, by, by), value=-1.0)
    picks = (down[:, None] + rows)[:, :, None], (right[:, None] + columns)[:, None, :]
    return padded.permute(0, 2, 3, 1)[(torch.arange(B, device=x.device)[:, None, None], *picks)].permute(
        0, 3, 1, 2
    )
