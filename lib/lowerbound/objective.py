"""What a diffusion model minimises: an objective is a function of the model and of one noised batch.

Numbers are equations of Ho et al. 2020 (DDPM).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, zeros_like

from lowerbound.likelihood import Likelihood
from lowerbound.schedule import Schedule, at


@runtime_checkable
class _Model(Protocol):
    """What an objective asks of a diffusion model."""

    schedule: Schedule
    variance: Callable[[Schedule], Tensor]

    def x0_from_eps(
        self, xt: Float[Tensor, "B *dims"], t: Int[Tensor, " B"], eps: Float[Tensor, "B *dims"]
    ) -> Float[Tensor, "B *dims"]: ...
    def last_step(self, x0_hat: Float[Tensor, "B *dims"]) -> Likelihood: ...


@dataclass(frozen=True)
class Noised:
    """One noised batch and what the network made of it: what an objective is computed from.

    x0, xt, eps, eps_hat: (B, ...); t: (B,) int64 in 1..T
    """

    x0: Float[Tensor, "B *dims"]
    t: Int[Tensor, " B"]
    eps: Float[Tensor, "B *dims"]
    xt: Float[Tensor, "B *dims"]
    eps_hat: Float[Tensor, "B *dims"]

    def squared_error(self) -> Float[Tensor, " B"]:
        """‖ε − ε̂‖², (B,)."""
        return ((self.eps - self.eps_hat) ** 2).flatten(1).sum(1)


def l_simple(model: _Model, noised: Noised) -> Float[Tensor, " B"]:
    """‖ε − ε̂‖², the bound without its weights. (B,). Eq. (14)."""
    return noised.squared_error()


def l_bound(model: _Model, noised: Noised) -> Float[Tensor, " B"]:
    """T · L_{t−1}: with t uniform, an unbiased estimate of the bound less its constant L_T. (B,) nats.

    For t ≥ 2 the weighted ε-error of Eq. (12) and what the variances differ by, for t = 1 the likelihood
    −log p(x_0 | x_1). x̂_0 is not clipped here for t ≥ 2, so with a model that clips it is an upper bound.
    """
    s = model.schedule
    variance = model.variance(s)
    weight, constant = zeros_like(s.beta), zeros_like(s.beta)  # none at t = 1
    weight[2:] = s.beta[2:] ** 2 / (2 * variance[2:] * s.alpha[2:] * (1 - s.alpha_bar[2:]))
    ratio = s.posterior_variance[2:] / variance[2:]
    constant[2:] = 0.5 * (ratio - 1 - ratio.log()) * noised.x0[0].numel()
    kl = at(weight, noised.t, noised.x0).flatten() * noised.squared_error()
    kl = kl + at(constant, noised.t, noised.x0).flatten()
    first = noised.t == 1
    if bool(first.any()):
        x0_hat = model.x0_from_eps(noised.xt[first], noised.t[first], noised.eps_hat[first])
        kl = kl.index_put((first.nonzero()[:, 0],), -model.last_step(x0_hat).log_prob(noised.x0[first]))
    return s.T * kl
