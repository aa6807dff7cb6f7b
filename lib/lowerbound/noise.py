"""Noise for a batch, the same whether one process has the batch or several share it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class Shard(torch.Generator):
    """The generator of one process of several that share each batch, in equal parts and in order of rank.

    What is drawn here with it is drawn for the whole batch, of which this process gets its part: so each
    example has the noise that it has when one process trains alone. All processes seed it alike.
    Raises ValueError unless 0 ≤ rank < processes.
    """

    rank: int
    processes: int

    def __new__(cls, rank: int, processes: int, device: str | torch.device = "cpu") -> Shard:
        """A shard on this device."""
        if not 0 <= rank < processes:
            raise ValueError(f"rank must be in 0..{processes - 1}, got {rank}")
        self = super().__new__(cls, device)  # type: ignore[call-arg]
        self.rank, self.processes = rank, processes
        return self


def _place(rng: torch.Generator | None) -> tuple[int, int]:
    return (rng.rank, rng.processes) if isinstance(rng, Shard) else (0, 1)


def normal(
    like: Float[Tensor, "..."], shape: tuple[int, ...], rng: torch.Generator | None
) -> Float[Tensor, "B *dims"]:
    """Draws from N(0, 1) of shape (B, ...), with the dtype and the device of `like`."""
    rank, processes = _place(rng)
    whole = (processes * shape[0], *shape[1:])
    drawn = torch.randn(whole, generator=rng, dtype=like.dtype, device=like.device)
    return drawn[rank * shape[0] : (rank + 1) * shape[0]]


def uniform(like: Float[Tensor, "..."], n: int, rng: torch.Generator | None) -> Float[Tensor, " {n}"]:
    """Draws from U[0, 1) of shape (n,), float32, on the device of `like`."""
    rank, processes = _place(rng)
    return torch.rand(processes * n, generator=rng, device=like.device)[rank * n : (rank + 1) * n]


def stratified(like: Float[Tensor, "..."], n: int, rng: torch.Generator | None) -> Float[Tensor, " {n}"]:
    """Points in [0, 1), n of them, each uniform, equal steps from one draw. (n,) float32.

    On the device of `like`. Kingma et al. 2021, App. I.1.
    """
    rank, processes = _place(rng)
    steps = torch.arange(processes * n, device=like.device) / (processes * n)
    return (steps + torch.rand(1, generator=rng, device=like.device)).frac()[rank * n : (rank + 1) * n]
