"""The reverse step on the line, exactly: how far it is from its best Gaussian, against β; no sampling.

When x_{t−1} follows a mixture of equally wide Gaussians, so does q(x_{t−1} | x_t): its mean and variance are
known, and only two integrals are left, over x_{t−1} and over x_t. The trapezoidal rule has them in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lowerbound.data import Mixture, bimodal
from lowerbound.schedule import cosine
from torch import Tensor

from tools.experiments.run_dir import RunDir
from tools.jobs import Job

LAWS = {"gaussian": bimodal(distance=0.0, std=0.7), "bimodal": bimodal(), "points": bimodal(std=0.0)}
THEORY_SLOPE = 3  # β³/12 E[f'''²], the last line of proofs.small_step_price
REACH = 10.0  # of a grid beyond what it covers, in standard deviations


@dataclass(frozen=True)
class ReverseStep:
    """What is measured, and how finely.

    betas: sizes of one step, falling; levels: ᾱ of x_{t−1}, 1 for clean data; counts: T of whole chains
    points, grid: nodes of the integrals over x_t and over x_{t−1}
    """

    betas: tuple[float, ...] = (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)
    levels: tuple[float, ...] = (1.0, 0.9, 0.5)
    counts: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    points: int = 401
    grid: int = 401


@dataclass(frozen=True)
class Bumps:
    """B laws on the line, mixtures of K Gaussians each: log_weights, means (B, K); var: of every one."""

    log_weights: Tensor
    means: Tensor
    var: float

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, (B, 1) each: the best Gaussian, Eq. (eq-forward-best)."""
        w = self.log_weights.exp()
        mean = (w * self.means).sum(1, keepdim=True)
        return mean, self.var + (w * (self.means - mean) ** 2).sum(1, keepdim=True)

    def kl(self, mean: Tensor, var: Tensor, grid: int) -> Tensor:
        """KL to N(mean, var), (B, 1) each -> (B,) nats. Rounding does not hide one of 1e-15."""
        reach, covered = REACH * var.sqrt().clamp(min=self.var**0.5), torch.cat([self.means, mean], 1)
        low, high = covered.amin(1, keepdim=True) - reach, covered.amax(1, keepdim=True) + reach
        x = low + (high - low) * torch.linspace(0, 1, grid, dtype=torch.float64)  # (B, grid)
        bumps = self.log_weights[:, :, None] - (x[:, None] - self.means[:, :, None]) ** 2 / (2 * self.var)
        log_q = bumps.logsumexp(1) - math.log(2 * math.pi * self.var) / 2
        log_g = -((x - mean) ** 2) / (2 * var) - torch.log(2 * math.pi * var) / 2
        ratio = log_q - log_g  # below, q log(q/g) − q + g: never negative, and quadratic in it
        lost = log_q.exp() * ratio - log_g.exp() * torch.expm1(ratio)
        return lost.sum(1) * (high - low)[:, 0] / (grid - 1)


def shares(law: Mixture, x: Tensor) -> Tensor:
    """Log p(k | x), (N, K): from which component of a law on the line the points x (N,) come."""
    return torch.log_softmax(law.weights.log() - (x[:, None] - law.means[:, 0]) ** 2 / (2 * law.std**2), 1)


def across(law: Mixture, points: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights (points,) with which a sum is a mean under the law."""
    ends = float(law.means.min()) - REACH * law.std, float(law.means.max()) + REACH * law.std
    x = torch.linspace(*ends, points, dtype=torch.float64)
    return x, law.log_prob(x[:, None]).exp() * (x[1] - x[0])


def reverse(law: Mixture, beta: float, xt: Tensor) -> Bumps:
    """q(x_{t−1} | x_t) at xt (B,), x_{t−1} of the law: Eq. (eq-forward-gaussian) for each component."""
    after = law.noised(1 - beta)
    var = law.std**2 * beta / after.std**2
    means = var * (law.means[:, 0] / law.std**2 + math.sqrt(1 - beta) * xt[:, None] / beta)
    return Bumps(shares(after, xt), means, var)


def price(law: Mixture, beta: float, points: int, grid: int) -> float:
    """E over x_t of KL(q(x_{t−1} | x_t) ‖ its best Gaussian), nats, x_{t−1} of the law."""
    xt, weights = across(law.noised(1 - beta), points)
    step = reverse(law, beta, xt)
    return float(weights @ step.kl(*step.moments(), grid))


def coefficient(law: Mixture, points: int) -> float:
    """E[f'''²]/12, f = log q(x_{t−1}), nats: the price is this times β³ as β → 0. Eq. (eq-forward-cube)."""
    x, weights = across(law, points)
    w, means = shares(law, x).exp(), law.means[:, 0]
    third = (w * (means - (w @ means)[:, None]) ** 3).sum(1)  # cumulant of the component's mean, given x
    return float(weights @ (third / law.std**6) ** 2) / 12


def slopes(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """Local slopes d log y / d log x between neighbours, one fewer than they are."""
    return [math.log(d / c) / math.log(b / a) for a, b, c, d in zip(x, x[1:], y, y[1:], strict=False)]


def curve(setting: ReverseStep, name: str, level: float) -> dict[str, Any]:
    """The price of one step from one noise level against its size: see `measure`."""
    law, betas = LAWS[name].noised(level), list(setting.betas)
    factor = coefficient(law, setting.points)
    kl = [price(law, beta, setting.points, setting.grid) for beta in betas]
    slope = slopes(betas, kl) if factor > 0 else []
    known = {"data": name, "alpha_bar": level, "beta": betas, "kl": kl, "slope": slope, "coefficient": factor}
    theory = [factor * beta**THEORY_SLOPE for beta in betas]
    return {**known, "theory": theory, "measured_coefficient": kl[-1] / betas[-1] ** THEORY_SLOPE}


def chain(setting: ReverseStep, name: str) -> dict[str, Any]:
    """The least excess of cosine chains: their reverse steps and their end. Eq. (eq-forward-price)."""
    excess, theory, one = [], [], torch.ones(1, 1, dtype=torch.float64)
    for T in setting.counts:
        *laws, last = [LAWS[name].noised(a) for a in cosine(T).alpha_bar.tolist()]
        steps = list(zip(laws, cosine(T).beta[1:].tolist(), strict=True))
        misfit = Bumps(last.weights.log()[None], last.means.T, last.std**2).kl(0 * one, one, setting.grid)
        excess.append(float(misfit) + sum(price(law, b, setting.points, setting.grid) for law, b in steps))
        theory.append(sum(coefficient(law, setting.points) * b**THEORY_SLOPE for law, b in steps))
    slope = slopes(setting.counts, excess)
    return {"data": name, "T": list(setting.counts), "excess": excess, "slope": slope, "theory": theory}


def measure(setting: ReverseStep, run_dir: RunDir) -> dict[str, Any]:
    """All curves and the chain, nats.

    theory_slope, theory_chain_slope: of the price of a step as β → 0, of the excess of a chain as T → ∞
    curves: one for each law ("gaussian", price 0; "bimodal", ±1 with std 0.2; "points", ±1) and each level
        alpha_bar at which it has a density, with beta; kl, the price; slope, local, one fewer, none where the
        price is 0; theory, coefficient · β³; coefficient, E[f'''²]/12; measured_coefficient, the last kl/β³
    chain: of "bimodal" data. T; excess over the entropy; slope, one fewer; theory, Σ_t coefficient_t · β_t³
    """
    pairs = [(name, level) for name in LAWS for level in setting.levels if LAWS[name].noised(level).std > 0]
    results = {"curves": [curve(setting, *pair) for pair in pairs], "chain": chain(setting, "bimodal")}
    return {"theory_slope": THEORY_SLOPE, "theory_chain_slope": 1 - THEORY_SLOPE, **results}


def stages(setting: ReverseStep, run_dir: RunDir) -> list[list[Job]]:
    """One job, since all of it takes seconds."""
    return [[run_dir.job("reverse-step", measure, setting)]]
