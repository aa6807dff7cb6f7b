"""Samplers: generators that walk a diffusion model from x_T down to x_0 and yield every state.

To take fewer steps, give them a model with fewer: `ddim(model.respaced(20), xT)`.
`ancestral` draws noise at each step, `ddim` as much as it is told to, `dpm_solver` and `heun` none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from tqdm.auto import trange

from lowerbound import entry
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
    entry.start_fits(model, xT)
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
    """One family from deterministic (eta = 0) to ancestral with variance beta_post (eta = 1).

    xT (B, ...) is drawn from N(0, I); yields T + 1 tensors (B, ...), x_T first, x_0 last.
    Raises ValueError unless 0 ≤ eta ≤ 1. Song et al. 2021 (DDIM), Eqs. (12) and (16).
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be in [0, 1], got {eta}")
    entry.start_fits(model, xT)
    T, x = model.schedule.T, xT
    alpha_bar, variance = model.schedule.alpha_bar.tolist(), model.schedule.posterior_variance.tolist()
    yield x
    for t in trange(T, 0, -1, desc="ddim", disable=not progress, leave=False):
        x0 = model.predict_x0(x, _times(x, t))
        eps = (x - alpha_bar[t] ** 0.5 * x0) / (1 - alpha_bar[t]) ** 0.5
        var = eta**2 * variance[t]
        x = alpha_bar[t - 1] ** 0.5 * x0 + max(1 - alpha_bar[t - 1] - var, 0.0) ** 0.5 * eps
        if var > 0:
            noise = torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
            x = x + var**0.5 * noise
        yield x


@torch.no_grad()
def dpm_solver(
    model: _Model, xT: Tensor, rng: torch.Generator | None = None, *, progress: bool = False
) -> Iterator[Tensor]:
    """DPM-Solver++(2M): DDIM that follows x0_hat along a line through its last two values. Second order.

    x_{t−1} = σ_{t−1}/σ_t x_t − √ᾱ_{t−1} (e^{−h} − 1) D,
    D = x0_hat(x_t) + (x0_hat(x_t) − x0_hat(x_{t+1})) / 2r,
    with σ_t = √(1 − ᾱ_t), λ_t = log(√ᾱ_t / σ_t), h = λ_{t−1} − λ_t and r = (λ_t − λ_{t+1}) / h.
    The first step has no value before, and the last is infinitely long in λ: both take D = x0_hat(x_t).

    xT (B, ...) is drawn from N(0, I); yields T + 1 tensors (B, ...), x_T first, x_0 last. One network call
    a step; rng is not used. Lu et al. 2022 (DPM-Solver++), Alg. 2.
    """
    entry.start_fits(model, xT)
    T, x, before = model.schedule.T, xT, xT
    alpha_bar, log_snr = model.schedule.alpha_bar, model.schedule.log_snr.tolist()
    scale, sigma = alpha_bar.sqrt().tolist(), (1 - alpha_bar).sqrt().tolist()
    h = [0.0, *((log_snr[t - 1] - log_snr[t]) / 2 for t in range(1, T + 1))]
    yield x
    for t in trange(T, 0, -1, desc="dpm_solver", disable=not progress, leave=False):
        x0 = model.predict_x0(x, _times(x, t))
        ahead = x0 if t in (1, T) else x0 + h[t] / (2 * h[t + 1]) * (x0 - before)
        x = sigma[t - 1] / sigma[t] * x - scale[t - 1] * math.expm1(-h[t]) * ahead
        before = x0
        yield x


@torch.no_grad()
def heun(
    model: _Model, xT: Tensor, rng: torch.Generator | None = None, *, progress: bool = False
) -> Iterator[Tensor]:
    """Heun's method on the probability-flow ODE dx/dσ = (x − x0_hat)/σ of x = x_t/√ᾱ_t. Second order.

    σ_t = √((1 − ᾱ_t)/ᾱ_t). A step takes the mean of the slopes at its two ends; the last, which ends at
    σ = 0, the first slope alone. A long first step, as few steps of the cosine schedule have, spoils it.

    xT (B, ...) is drawn from N(0, I); yields T + 1 tensors (B, ...), x_T first, x_0 last. 2T − 1 network
    calls; rng is not used. Karras et al. 2022, Alg. 1 with s = 1 and σ for the time.
    """
    entry.start_fits(model, xT)
    T = model.schedule.T
    scale, sigma = model.schedule.alpha_bar.sqrt().tolist(), model.schedule.snr.rsqrt().tolist()

    def slope(x: Tensor, t: int) -> Tensor:
        noise = x - model.predict_x0(scale[t] * x, _times(x, t))
        return noise / float(sigma[t])

    x = xT / scale[T]
    yield xT
    for t in trange(T, 0, -1, desc="heun", disable=not progress, leave=False):
        here, step = slope(x, t), sigma[t - 1] - sigma[t]
        there = slope(x + step * here, t - 1) if t > 1 else here
        x = x + step * (here + there) / 2
        yield scale[t - 1] * x
