"""Noise schedules: ᾱ_t for t = 0 … T, and everything read off it.

The index in code is the index on paper: `alpha_bar[0] = 1` is the clean image, `alpha_bar[T]` the
noisiest. Arrays are float64 of length T + 1; what a step t ≥ 1 defines (α, β) holds its neutral value at 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """A variance-preserving forward chain, fixed by ᾱ_0 = 1 > ᾱ_1 > … > ᾱ_T ≥ 0.

    alpha_bar: (T + 1,) float64
    Raises ValueError if it does not start at 1, rises anywhere, or leaves [0, 1].
    """

    alpha_bar: Float64[Tensor, " times"]

    def __post_init__(self) -> None:
        a = self.alpha_bar
        if a.ndim != 1 or len(a) < 2:
            raise ValueError(f"alpha_bar must be (T + 1,) with T >= 1, got shape {tuple(a.shape)}")
        if a.dtype != torch.float64:
            raise ValueError(f"alpha_bar must be float64, got {a.dtype}; call .double()")
        if float(a[0]) != 1.0 or float(a[-1]) < 0 or not bool((a[1:] < a[:-1]).all()):
            raise ValueError("alpha_bar must start at 1 and fall strictly, staying at 0 or above")

    @property
    def T(self) -> int:  # noqa: N802
        """The number of steps."""
        return len(self.alpha_bar) - 1

    @property
    def alpha(self) -> Float64[Tensor, " times"]:
        """α_t = ᾱ_t / ᾱ_{t−1}; α_0 = 1. (T + 1,)."""
        return torch.cat([self.alpha_bar[:1], self.alpha_bar[1:] / self.alpha_bar[:-1]])

    @property
    def beta(self) -> Float64[Tensor, " times"]:
        """β_t = 1 − α_t, the noise variance added at step t; β_0 = 0. (T + 1,)."""
        return 1 - self.alpha

    @property
    def snr(self) -> Float64[Tensor, " times"]:
        """Signal-to-noise ratio ᾱ_t / (1 − ᾱ_t); infinite at t = 0. (T + 1,). Kingma et al. 2021, Eq. (3)."""
        return self.alpha_bar / (1 - self.alpha_bar)

    @property
    def log_snr(self) -> Float64[Tensor, " times"]:
        """Log SNR(t), what the network is told. (T + 1,)."""
        return torch.log(self.alpha_bar) - torch.log1p(-self.alpha_bar)

    @property
    def posterior_variance(self) -> Float64[Tensor, " times"]:
        """beta_post_t = β_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t), the variance of q(x_{t−1} | x_t, x_0). (T + 1,).

        Zero at t = 1 (x_0 is known exactly) and, by convention, at t = 0. Ho et al. 2020, Eq. (7).
        """
        a = self.alpha_bar
        return torch.cat([torch.zeros_like(a[:1]), self.beta[1:] * (1 - a[:-1]) / (1 - a[1:])])

    def to(self, device: torch.device) -> Schedule:
        """The same schedule with its array on a device; an Apple GPU knows no float64, so there it stays."""
        return self if device.type == "mps" else replace(self, alpha_bar=self.alpha_bar.to(device))

    def respace(self, steps: int) -> Schedule:
        """The same noise levels in fewer steps: `steps` of the T times, evenly spaced, T among them.

        Raises ValueError unless 1 ≤ steps ≤ T.
        """
        if not 1 <= steps <= self.T:
            raise ValueError(f"steps must be in 1..{self.T} (this schedule has T = {self.T}), got {steps}")
        t = torch.linspace(0, self.T, steps + 1, dtype=torch.float64).round().long()
        return Schedule(self.alpha_bar[t])


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """β_t rises linearly from beta_1 to beta_T in 1000 steps: DDPM's schedule. Ho et al. 2020, §4.

    For another T the same curve log ᾱ is read at T evenly spaced points, so that x_T is as noisy
    with 10 steps as with 1000: β is rescaled, never kept. Raises ValueError if T < 1.
    """
    _check_T(T)
    reference = torch.cumsum(torch.log1p(-torch.linspace(beta_1, beta_T, 1000, dtype=torch.float64)), 0)
    reference = torch.cat([torch.zeros(1, dtype=torch.float64), reference])
    at = torch.linspace(0, 1000, T + 1, dtype=torch.float64)
    low = at.floor().long().clamp(max=999)
    log_alpha_bar = torch.lerp(reference[low], reference[low + 1], at - low)
    return Schedule(torch.exp(log_alpha_bar))


def cosine(T: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> Schedule:
    """ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + s)/(1 + s)·π/2), β_t at most max_beta.

    Nichol & Dhariwal 2021, Eq. (17). Raises ValueError if T < 1.
    """
    _check_T(T)
    u = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    alpha = (f[1:] / f[:-1]).clamp(min=1 - max_beta)
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(alpha, 0)]))


def log_snr_linear(T: int = 1000, log_snr_1: float = 13.0, log_snr_T: float = -6.0) -> Schedule:
    """Log SNR falls in equal steps from log_snr_1 at t = 1 to log_snr_T at t = T.

    Every step then costs the bound the same weight on the ε-error. Kingma et al. 2021, App. D.
    The two ends are in nats of log SNR. Raises ValueError if T < 1 or the ends are not falling.
    """
    _check_T(T)
    if log_snr_1 <= log_snr_T:
        raise ValueError(f"log SNR must fall: got log_snr_1 = {log_snr_1} <= log_snr_T = {log_snr_T}")
    log_snr = (
        torch.linspace(log_snr_1, log_snr_T, T, dtype=torch.float64)
        if T > 1
        else torch.tensor([log_snr_T], dtype=torch.float64)
    )
    return Schedule(torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(log_snr)]))


def flow_matching(T: int = 1000, last: float = 0.999) -> Schedule:
    """The noise levels of the straight path x_τ = (1 − τ) x_0 + τ ε, τ in equal steps from 0 to `last`.

    Its states are x_τ / √((1 − τ)² + τ²): the same SNR, (1 − τ)² / τ², with squares that add up to one.
    `coordinates.straightened` gives x_τ back. Lipman et al. 2023, Eq. (22); Liu et al. 2023, Eq. (1).
    Raises ValueError if T < 1 or last is not in (0, 1].
    """
    _check_T(T)
    if not 0 < last <= 1:
        raise ValueError(f"last must be in (0, 1], got {last}")
    tau = torch.linspace(0, last, T + 1, dtype=torch.float64)
    return Schedule((1 - tau) ** 2 / ((1 - tau) ** 2 + tau**2))


def extract(
    values: Float[Tensor, " times"], t: Int[Tensor, " B"], like: Float[Tensor, "B *dims"]
) -> Float[Tensor, "B *ones"]:
    """values[t], shaped (B, 1, …, 1) to multiply `like` (B, ...), in its dtype and on its device.

    values: (T + 1,), a reading of a schedule; t: (B,) in 0..T.
    """
    return values.to(like.dtype).to(like.device)[t].view(-1, *[1] * (like.ndim - 1))


def _check_T(T: int) -> None:  # noqa: N802
    if T < 1:
        raise ValueError(f"T must be at least 1, got {T}")
