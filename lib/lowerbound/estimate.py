"""The bound of a long chain from a few of its steps, and the noise level by noise level cost of a network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.schedule import Schedule


@torch.no_grad()
def stratified_bound(
    model: Diffusion, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None, calls: int = 16
) -> Bound:
    """The negative ELBO of x (B, ...), from `calls` of the steps 2..T: unbiased, at calls + 1 network calls.

    The steps are cut into runs, `calls` of them at most, that cover about equal ranges of log SNR, since
    neighbours there cost alike. From each run every example draws one step, and its KL, times the run's
    length, stands for the run: rates (B, runs + 1), the prior's L_T last. With calls ≥ T − 1 every step is
    taken, as in `Diffusion.bound`. Raises ValueError if calls < 1.
    """
    if calls < 1:
        raise ValueError(f"calls must be at least 1, got {calls}")
    ones = torch.ones(len(x), dtype=torch.int64, device=x.device)
    edges = _runs(model.schedule, calls)
    rates = []
    for low, high in pairwise(edges):
        t = low + (torch.rand(len(x), generator=rng, device=x.device) * (high - low)).long()
        t = t.clamp(max=high - 1)
        xt = model.draw(x, t, rng)
        rates.append((high - low) * model.q_posterior(x, xt, t).kl(model.p_reverse(xt, t)))
    rates.append(model.prior(x).kl())
    x1 = model.draw(x, ones, rng)
    distortion = -model.last_step(model.predict_x0(x1, ones)).log_prob(x)
    return Bound(distortion=distortion, rates=torch.stack(rates, 1))


def _runs(schedule: Schedule, calls: int) -> list[int]:
    """Where runs of steps begin, 2 first, and T + 1: at most `calls` runs, about equal in log SNR."""
    T = schedule.T
    if calls >= T - 1:
        return list(range(2, T + 2))
    log_snr = schedule.log_snr.cpu()
    fallen = (log_snr[1] - log_snr[1:]).numpy()  # before steps 2..T, and after the last
    wanted = np.linspace(0, fallen[-1], calls + 1)
    edges = 2 + np.interp(wanted, fallen, np.arange(T)).round()
    return [int(t) for t in np.unique(edges)]


@dataclass(frozen=True)
class Levels:
    """What a network can do at each noise level: enough to know the bound of every chain made of them.

    log_snr: (N,) falling; error: (N,) mean ‖x_0 − x̂_0‖² / D at each level
    distortion: (N,) nats per dimension, −log p(x_0 | x_1) if the chain begins there, width at its best
    log_width: (N,) that width, as in `Diffusion.log_width`
    """

    log_snr: Float64[Tensor, " N"]
    error: Float64[Tensor, " N"]
    distortion: Float64[Tensor, " N"]
    log_width: Float64[Tensor, " N"]

    def costs(self, best_variance: bool) -> Float64[Tensor, "N N"]:
        """KL per dimension, in nats, of a step from level j (noisier) down to level i. (N, N); inf if i ≥ j.

        With the variance β̃ it is (SNR_i − SNR_j) f_j / 2; with the best one, β̃ + c² f_j, it is
        log(1 + (SNR_i − SNR_j) f_j) / 2, never more. Kingma et al. 2021, Eq. (13); Bao et al. 2022, Thm. 1.
        """
        snr = self.log_snr.exp()
        drop = (snr[:, None] - snr[None, :]) * self.error[None, :]
        cost = torch.log1p(drop.clamp(min=0)) / 2 if best_variance else drop / 2
        return torch.where(torch.ones_like(cost).triu(1).bool(), cost, torch.inf)

    def variance(self, schedule: Schedule) -> Float64[Tensor, " times"]:
        """The best reverse variance for such a network: β̃_t + c_t² f_t, c_t the posterior's weight on x_0.

        (T + 1,), for `Diffusion.variance`. Between the levels that were measured the error f is interpolated.
        Bao et al. 2022, Thm. 1, for one variance a step.
        """
        log_snr, known = schedule.log_snr[1:].cpu().numpy(), self.log_snr.flip(0).numpy()
        error = np.exp(np.interp(log_snr, known, self.error.log().flip(0).numpy()))
        beta, alpha_bar = schedule.beta[1:], schedule.alpha_bar
        weight = alpha_bar[:-1].sqrt() * beta / (1 - alpha_bar[1:])
        added = weight**2 * torch.from_numpy(error).to(beta)
        return schedule.posterior_variance + torch.cat([torch.zeros_like(added[:1]), added])

    def best_schedules(
        self, steps: int, best_variance: bool
    ) -> tuple[Float64[Tensor, " steps"], list[Int[Tensor, " T"]]]:
        """For T = 1..steps the least bound of a chain of T levels that ends at the last, and its levels.

        (steps,) nats per dimension without L_T, and the T indices of the levels, x_1's first. By dynamic
        programming over which level comes next: Watson et al. 2021. Raises ValueError if steps > N.
        """
        N = len(self.log_snr)
        if not 1 <= steps <= N:
            raise ValueError(f"steps must be in 1..{N}, the number of levels; got {steps}")
        cost = self.costs(best_variance)
        total, best, before = self.distortion.clone(), [], []
        for T in range(1, steps + 1):
            if T > 1:
                total, previous = (total[:, None] + cost).min(0)
                before.append(previous)
            best.append(total[-1])
        schedules = []
        for T in range(1, steps + 1):
            path = [N - 1]
            for previous in before[: T - 1][::-1]:
                path.append(int(previous[path[-1]]))
            schedules.append(torch.tensor(path[::-1]))
        return torch.stack(best), schedules

    def even_schedule(self, T: int, best_variance: bool) -> tuple[float, float]:
        """The best chain of T levels in equal steps of log SNR that ends at the last level.

        Returns its first log SNR, one of those measured, and its bound without L_T in nats per dimension;
        between levels the error is interpolated. With T = 1 there is only the last level.
        """
        last = float(self.log_snr[-1])
        chains = [torch.linspace(first, last, T, dtype=torch.float64) for first in self.log_snr[:-1].tolist()]
        chains = chains if T > 1 else [self.log_snr[-1:]]
        bound, first = min((self.along(chain, best_variance), float(chain[0])) for chain in chains)
        return first, bound

    def along(self, log_snr: Float64[Tensor, " T"], best_variance: bool) -> float:
        """The bound, without L_T, of a chain with falling log SNR (T,), in nats per dimension.

        Between the levels that were measured, error and distortion are interpolated; beyond them, kept.
        """
        chain, measured = log_snr.double().cpu().numpy(), self.log_snr.flip(0).numpy()
        error = np.exp(np.interp(chain, measured, self.error.log().flip(0).numpy()))
        drop = -np.diff(np.exp(chain)) * error[1:]
        steps = np.log1p(drop) if best_variance else drop
        return float(np.interp(chain[0], measured, self.distortion.flip(0).numpy()) + steps.sum() / 2)

    def bound(self, indices: Int[Tensor, " T"], best_variance: bool) -> float:
        """Nats per dimension, without L_T, of the chain whose x_1 … x_T stand at these indices (T,)."""
        steps = self.costs(best_variance)[indices[:-1], indices[1:]]
        return float(self.distortion[indices[0]] + steps.sum())


@torch.no_grad()
def levels(
    model: Diffusion,
    x: Float[Tensor, "B *dims"],
    log_snr: Float64[Tensor, " N"],
    rng: torch.Generator | None = None,
) -> Levels:
    """Measure `Levels` of a model's network on images x (B, ...), at falling log SNR (N,): N calls each."""
    rows = []
    for level in log_snr.tolist():
        alpha_bar = torch.sigmoid(torch.tensor([torch.inf, level], dtype=torch.float64))
        chain = model.with_schedule(Schedule(alpha_bar))
        ones = torch.ones(len(x), dtype=torch.int64, device=x.device)
        x0_hat = chain.predict_x0(chain.draw(x, ones, rng), ones)
        chain.fit_width(x0_hat, x)
        cost = -float(chain.last_step(x0_hat).log_prob(x).double().mean()) / x[0].numel()
        rows.append((float(((x0_hat - x) ** 2).double().mean()), cost, float(chain.log_width)))
    error, distortion, width = torch.tensor(rows, dtype=torch.float64).T
    return Levels(log_snr.double().cpu(), error, distortion, width)
