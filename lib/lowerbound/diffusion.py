"""The diffusion model: T fixed encoder steps, T latents of the size of x, one network to step back.

Numbers in the comments are equations of Ho et al. 2020 (DDPM).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import trange

from lowerbound import entry
from lowerbound.bound import Bound
from lowerbound.gaussian import Gaussian
from lowerbound.guidance import Guided
from lowerbound.likelihood import DiscretisedLogistic, Likelihood, readable
from lowerbound.precision import autocast
from lowerbound.samplers import ancestral
from lowerbound.schedule import Schedule, extract


def fixed_small(schedule: Schedule) -> Float[Tensor, " times"]:
    """σ² = β̃_t, exact when the data are a single point. (T + 1,). Ho et al. 2020, §3.2."""
    return schedule.posterior_variance


def fixed_large(schedule: Schedule) -> Float[Tensor, " times"]:
    """σ² = β_t, exact when the data are N(0, I). (T + 1,). Ho et al. 2020, §3.2."""
    return schedule.beta


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
        """‖ε − eps_hat‖², (B,)."""
        return ((self.eps - self.eps_hat) ** 2).flatten(1).sum(1)


def l_simple(model: Diffusion, noised: Noised) -> Float[Tensor, " B"]:
    """‖ε − eps_hat‖², the bound without its weights. (B,). Eq. (14)."""
    return noised.squared_error()


def l_bound(model: Diffusion, noised: Noised) -> Float[Tensor, " B"]:
    """T · L_{t−1}: with t uniform, an unbiased estimate of the bound less its constant L_T. (B,) nats.

    For t ≥ 2 the weighted ε-error of Eq. (12) and what the variances differ by, for t = 1 the likelihood
    −log p(x_0 | x_1). x0_hat is not clipped here for t ≥ 2, so with a model that clips it is an upper bound.
    """
    s = model.schedule
    variance = model.variance(s)
    weight, constant = torch.zeros_like(s.beta), torch.zeros_like(s.beta)  # none at t = 1
    weight[2:] = s.beta[2:] ** 2 / (2 * variance[2:] * s.alpha[2:] * (1 - s.alpha_bar[2:]))
    ratio = s.posterior_variance[2:] / variance[2:]
    constant[2:] = 0.5 * (ratio - 1 - ratio.log()) * noised.x0[0].numel()
    kl = extract(weight, noised.t, noised.x0).flatten() * noised.squared_error()
    kl = kl + extract(constant, noised.t, noised.x0).flatten()
    first = noised.t == 1
    # Every example's x0_hat, so that the graph is one for every t; the likelihood of t ≥ 2 sees x_0 itself.
    x0_hat = model.x0_from_eps(noised.xt, noised.t, noised.eps_hat)
    x0_hat = torch.where(first.view(-1, *[1] * (x0_hat.ndim - 1)), x0_hat, noised.x0)
    return s.T * torch.where(first, -model.last_step(x0_hat).log_prob(noised.x0), kl)


def _check_x(x: Tensor, bounded: bool = False) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x must be float in [-1, 1], got {x.dtype}; scale it with data.to_unit(x)")
    if bounded and readable(x) and float(x.detach().abs().max()) > 1 + 1e-4:
        raise ValueError("x must be in [-1, 1], as data.to_unit(x) makes it; other data need clip=False")


def _check(x: Tensor, t: Tensor, low: int, high: int) -> None:
    _check_x(x)
    if readable(t) and (int(t.min()) < low or int(t.max()) > high):
        raise ValueError(f"t must be in {low}..{high}, got {int(t.min())}..{int(t.max())}")


class Diffusion(nn.Module):
    """q(x_t | x_{t−1}) from `schedule`, p(x_{t−1} | x_t) from `net`, p(x_0 | x_1) from `likelihood`.

    net:        xt (B, ...), log_snr (B,), and classes (B,) if it has any -> ε̂ (B, ...)
    schedule:   ᾱ_t for t = 0..T; raises ValueError if it is no Schedule, and if ᾱ_T is 0
    shape:      of one example
    likelihood: a class of `lowerbound.likelihood`, of a mean and a log_scale
    objective:  what `loss` minimises: `l_simple` or `l_bound`
    variance:   of the reverse step: `fixed_small` (β̃) or `fixed_large` (β)
    clip:       keep x̂_0 in [−1, 1], in the bound and in sampling alike; False for toys
    drop_class: how often training hides an example's class, for `guided`

    `log_width`: log of the width of p(x_0 | x_1) in units of the noise on x_1, one number beside the
    network's weights; `l_bound` trains it, `fit_last_step` sets it. Log SNR as input: Kingma et al. 2021.
    """

    def __init__(
        self,
        net: nn.Module,
        schedule: Schedule,
        shape: tuple[int, ...] = (1, 28, 28),
        likelihood: Callable[[Tensor, Tensor], Likelihood] = DiscretisedLogistic,
        objective: Callable[[Diffusion, Noised], Tensor] = l_simple,
        variance: Callable[[Schedule], Tensor] = fixed_small,
        *,
        clip: bool = True,
        drop_class: float = 0.1,
    ) -> None:
        super().__init__()
        if not isinstance(schedule, Schedule):
            raise ValueError(
                f"schedule must be a Schedule, got {type(schedule).__name__}; use cosine(1000), or "
                "Schedule(alpha_bar) with alpha_bar[0] = 1"
            )
        if float(schedule.alpha_bar[-1]) == 0:
            raise ValueError("alpha_bar[T] is 0, by which eps-prediction divides; end above 0")
        self.net, self.schedule, self.shape = net, schedule, tuple(shape)
        self.likelihood, self.objective, self.variance, self.clip = likelihood, objective, variance, clip
        self.drop_class = drop_class
        self.log_width = nn.Parameter(torch.zeros(()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Diffusion:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # the schedule goes along with `to(device)`
        self.schedule = self.schedule.to(self.log_width.device)
        return self

    def respaced(self, steps: int) -> Diffusion:
        """The same network over `steps` of the T noise levels; its log_width is a copy."""
        return self._of(self.net, self.schedule.respace(steps))

    def with_schedule(self, schedule: Schedule) -> Diffusion:
        """The same network over other noise levels; its log_width is a copy."""
        return self._of(self.net, schedule)

    def guided(self, y: Int[Tensor, "*batch"], weight: float = 1.0) -> Diffusion:
        """The model of x given the class y, () or (B,); with weight > 0, beyond it. For samples and bounds.

        Raises ValueError for a y of another shape, and when used if the network has no such class.
        Ho & Salimans 2022.
        """
        return self._of(Guided(self.net, y, weight), self.schedule)

    def _of(self, net: nn.Module, schedule: Schedule) -> Diffusion:
        parts = (self.shape, self.likelihood, self.objective, self.variance)
        schedule = schedule.to(self.log_width.device)
        model = Diffusion(net, schedule, *parts, clip=self.clip, drop_class=self.drop_class)
        model.log_width = nn.Parameter(self.log_width.detach().clone())
        return model.train(self.training)

    def q_sample(
        self, x0: Float[Tensor, "B *dims"], t: Int[Tensor, " B"], eps: Float[Tensor, "B *dims"]
    ) -> Float[Tensor, "B *dims"]:
        """x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε. x0, eps (B, ...), t (B,) in 0..T -> (B, ...). Eq. (4).

        Raises ValueError if t is out of range or x0 is not float.
        """
        _check(x0, t, 0, self.schedule.T)
        alpha_bar = self.schedule.alpha_bar
        return extract(alpha_bar.sqrt(), t, x0) * x0 + extract((1 - alpha_bar).sqrt(), t, x0) * eps

    def draw(
        self, x0: Float[Tensor, "B *dims"], t: Int[Tensor, " B"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "B *dims"]:
        """One draw of x_t from q(x_t | x_0). x0 (B, ...), t (B,) in 0..T -> (B, ...). Eq. (4)."""
        eps = torch.randn(x0.shape, generator=rng, dtype=x0.dtype, device=x0.device)
        return self.q_sample(x0, t, eps)

    def q_posterior(
        self, x0: Float[Tensor, "B *dims"], xt: Float[Tensor, "B *dims"], t: Int[Tensor, " B"]
    ) -> Gaussian:
        """q(x_{t−1} | x_t, x_0). x0, xt (B, ...), t (B,) in 1..T -> Gaussian (B, ...). Eqs. (6), (7).

        At t = 1 it is x_0 itself, with variance 0. Raises ValueError if t is out of range.
        """
        _check(x0, t, 1, self.schedule.T)
        coef_x0, coef_xt = self._posterior_coefficients()
        mean = extract(coef_x0, t, x0) * x0 + extract(coef_xt, t, x0) * xt
        return Gaussian(mean, extract(self.schedule.posterior_variance.log(), t, x0))

    def _posterior_coefficients(self) -> tuple[Tensor, Tensor]:
        s = self.schedule
        previous = torch.cat([s.alpha_bar[:1], s.alpha_bar[:-1]])  # ᾱ_{t−1}
        rest = torch.cat([s.alpha_bar[:1], 1 - s.alpha_bar[1:]])  # 1 − ᾱ_t; 1 at t = 0, which no step has
        return previous.sqrt() * s.beta / rest, s.alpha.sqrt() * (1 - previous) / rest

    def predict_eps(
        self, xt: Float[Tensor, "B *dims"], t: Int[Tensor, " B"], y: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B *dims"]:
        """ε̂ (B, ...) of xt (B, ...) at t (B,) in 1..T, given classes y (B,). ValueError for other t."""
        _check(xt, t, 1, self.schedule.T)
        level = extract(self.schedule.log_snr, t, xt).flatten()
        out: Tensor = self.net(xt, level) if y is None else self.net(xt, level, y)
        return out

    def x0_from_eps(
        self, xt: Float[Tensor, "B *dims"], t: Int[Tensor, " B"], eps: Float[Tensor, "B *dims"]
    ) -> Float[Tensor, "B *dims"]:
        """x̂_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t, clipped if the model clips. (B, ...). Eq. (15)."""
        alpha_bar = self.schedule.alpha_bar
        x0 = (xt - extract((1 - alpha_bar).sqrt(), t, xt) * eps) / extract(alpha_bar.sqrt(), t, xt)
        return x0.clamp(-1, 1) if self.clip else x0

    def predict_x0(self, xt: Float[Tensor, "B *dims"], t: Int[Tensor, " B"]) -> Float[Tensor, "B *dims"]:
        """x̂_0 (B, ...), the network's guess of the clean image from xt (B, ...) at t (B,)."""
        return self.x0_from_eps(xt, t, self.predict_eps(xt, t))

    def p_reverse(self, xt: Float[Tensor, "B *dims"], t: Int[Tensor, " B"]) -> Gaussian:
        """p(x_{t−1} | x_t): the posterior with x̂_0 in place of x_0. t (B,) in 2..T -> Gaussian (B, ...).

        Raises ValueError if t is out of range; at t = 1 the step is a likelihood, `last_step`.
        """
        _check(xt, t, 2, self.schedule.T)
        mean = self.q_posterior(self.predict_x0(xt, t), xt, t).mean
        return Gaussian(mean, extract(self.variance(self.schedule).log(), t, xt))

    def last_step(self, x0_hat: Float[Tensor, "B *dims"]) -> Likelihood:
        """p(x_0 | x_1), given x̂_0(x_1) (B, ...): a likelihood, never a KL. Eq. (13)."""
        log_noise = -0.5 * self.schedule.log_snr[1].to(self.log_width)
        return self.likelihood(x0_hat, (self.log_width + log_noise).to(x0_hat.dtype))

    def loss(
        self,
        x: Float[Tensor, "B *dims"],
        rng: torch.Generator | None = None,
        y: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " B"]:
        """The objective at one random t for each x (B, ...), given its class y (B,) now and then. (B,).

        t is uniform on 1..T for each example and stratified over the batch. Raises ValueError unless x is
        float, and in [−1, 1] where the model clips.
        """
        _check_x(x, self.clip)
        t = self._stratified_times(x, rng)
        eps = torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
        if y is not None:
            hidden = torch.rand(len(x), generator=rng, device=x.device) < self.drop_class
            y = torch.where(hidden, -1, y)
        xt = self.q_sample(x, t, eps)
        return self.objective(self, Noised(x, t, eps, xt, self.predict_eps(xt, t, y)))

    def _stratified_times(self, x: Tensor, rng: torch.Generator | None) -> Tensor:
        """One t of 1..T for each x, uniform, spread evenly over the batch. Kingma et al. 2021, App. I.1."""
        u = torch.arange(len(x), device=x.device) / len(x) + torch.rand(1, generator=rng, device=x.device)
        return 1 + (u.frac() * self.schedule.T).long()

    @torch.no_grad()
    def bound(
        self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None, *, progress: bool = False
    ) -> Bound:
        """The negative ELBO of x (B, ...), one noise sample for each of T network calls. L = T.

        rates[:, t − 2] is the KL at step t = 2..T, rates[:, T − 1] the prior's L_T. Eq. (5).
        Raises ValueError unless x is float and what the network takes, and in [−1, 1] where the model clips.
        """
        entry.admit(self, x, rng)
        _check_x(x, self.clip)
        T, ones = self.schedule.T, torch.ones(len(x), dtype=torch.int64, device=x.device)
        rates = []
        for t in trange(2, T + 1, desc="bound", disable=not progress, leave=False):
            xt = self.draw(x, t * ones, rng)
            rates.append(self.q_posterior(x, xt, t * ones).kl(self.p_reverse(xt, t * ones)))
        rates.append(self.prior(x).kl())  # L_T
        x0_hat = self.predict_x0(self.draw(x, ones, rng), ones)
        return Bound(distortion=-self.last_step(x0_hat).log_prob(x), rates=torch.stack(rates, 1))

    def prior(self, x0: Float[Tensor, "B *dims"]) -> Gaussian:
        """q(x_T | x_0), whose KL to N(0, I) is L_T. x0 (B, ...) -> Gaussian (B, ...)."""
        last = self.schedule.alpha_bar[-1]
        return Gaussian(float(last.sqrt()) * x0, torch.log1p(-last).to(x0))

    @torch.no_grad()
    def fit_last_step(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Diffusion:
        """Set log_width to what suits training images x (B, ...) best, of 141 widths.

        Needed after training with `l_simple` and after `respaced`; returns self.
        """
        ones = torch.ones(len(x), dtype=torch.int64, device=x.device)
        return self.fit_width(self.predict_x0(self.draw(x, ones, rng), ones), x)

    @torch.no_grad()
    def fit_width(self, x0_hat: Float[Tensor, "B *dims"], x: Float[Tensor, "B *dims"]) -> Diffusion:
        """`fit_last_step` for guesses x̂_0(x_1) (B, ...) of x (B, ...) that are there already."""

        def cost(width: float) -> float:
            self.log_width.fill_(width)
            return -float(self.last_step(x0_hat).log_prob(x).cpu().double().mean())

        # Of a log-concave density the cost is convex in 1 / width: from the best width on it only rises.
        widths = torch.linspace(-5, 2, 141).tolist()
        best = bisect_left(range(140), True, key=lambda i: cost(widths[i]) <= cost(widths[i + 1]))
        self.log_width.fill_(widths[best])
        return self

    def sample(
        self,
        n: int,
        rng: torch.Generator | None = None,
        *,
        sampler: Callable[..., Iterator[Tensor]] = ancestral,
        progress: bool = False,
        precision: str = "float32",
    ) -> Float[Tensor, "{n} *dims"]:
        """Draw n examples: x_T from N(0, I), then down the chain. Returns (n, *shape).

        precision: of the network alone. "auto" is what the device is fast at (`precision.resolve`): quicker,
        but other devices round differently, so the same seed gives slightly different examples there.
        Raises ValueError unless n ≥ 1, and for an unknown precision.
        """
        entry.count_fits(n)
        entry.is_generator(rng)
        weight = next(self.parameters())
        xT = torch.randn(n, *self.shape, generator=rng, dtype=weight.dtype, device=weight.device)
        with autocast(precision, weight.device):
            *_, x0 = deque(sampler(self, xT, rng=rng, progress=progress), maxlen=1)
        return x0
