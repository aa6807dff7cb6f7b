"""Samplers: generators that walk a diffusion model from x_T down to x_0 and yield every state.

To take fewer steps, give them a model with fewer: `ddim(model.respaced(20), xT)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from tqdm.auto import trange

from lowerbound.schedule import Schedule


class _Reverse(Protocol):
    """Something with a distribution to step back by."""

    def sample(self, rng: torch.Generator | None = None) -> Tensor: ...


class _Model(Protocol):
    """What a sampler asks of a diffusion model."""

    schedule: Schedule

    def predict_x0(self, xt: Tensor, t: Tensor) -> Tensor: ...
    def p_reverse(self, xt: Tensor, t: Tensor) -> _Reverse: ...


def _times(xT: Tensor, t: int) -> Tensor:
    return torch.full((len(xT),), t, device=xT.device)


@torch.no_grad()
def ancestral(
    model: _Model, xT: Tensor, rng: torch.Generator | None = None, *, progress: bool = False
) -> Iterator[Tensor]:
    """x_{t−1} ~ p(x_{t−1} | x_t), and no noise at the last step. Ho et al. 2020, Alg. 2.

    xT (B, ...) is drawn from N(0, I); yields T + 1 tensors (B, ...), x_T first, x_0 last.
    """
    T, x = model.schedule.T, xT
    yield x
    for t in trange(T, 1, -1, desc="ancestral", disable=not progress, leave=False):
        x = model.p_reverse(x, _times(x, t)).sample(rng)
        yield x
    yield model.predict_x0(x, _times(x, 1))


@torch.no_grad()
def ddim(
    model: _Model,
    xT: Tensor,
    eta: float = 0.0,
    rng: torch.Generator | None = None,
    *,
    progress: bool = False,
) -> Iterator[Tensor]:
    """One family from deterministic (eta = 0) to ancestral with variance β̃ (eta = 1).

    xT (B, ...) is drawn from N(0, I); yields T + 1 tensors (B, ...), x_T first, x_0 last.
    Raises ValueError unless 0 ≤ eta ≤ 1. Song et al. 2021 (DDIM), Eqs. (12) and (16).
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be in [0, 1], got {eta}")
    T, x = model.schedule.T, xT
    alpha_bar, variance = model.schedule.alpha_bar.tolist(), model.schedule.posterior_variance.tolist()
    yield x
    for t in trange(T, 0, -1, desc="ddim", disable=not progress, leave=False):
        x0 = model.predict_x0(x, _times(x, t))
        eps = (x - alpha_bar[t] ** 0.5 * x0) / (1 - alpha_bar[t]) ** 0.5
        var = eta**2 * variance[t]
        x = alpha_bar[t - 1] ** 0.5 * x0 + max(1 - alpha_bar[t - 1] - var, 0.0) ** 0.5 * eps
        if var > 0:
            x = x + var**0.5 * torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
        yield x
