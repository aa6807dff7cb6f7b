"""The variational autoencoder: one encoder step, one latent, one decoder step; and one of several layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from lowerbound import entry
from lowerbound.bound import Bound
from lowerbound.gaussian import LOG_2PI, Gaussian
from lowerbound.likelihood import DiscretisedLogistic, Likelihood


@runtime_checkable
class Prior(Protocol):
    """Where codes z (B, K) come from: what a VAE asks of p(z)."""

    def rates(self, q: Gaussian, z: Tensor, rng: torch.Generator | None = None) -> Float[Tensor, "B L"]:
        """E[log q(z | x) − log p(z)] or a bound above it, by layers; z is a draw from q. (B, L) nats."""
        ...

    def rate(self, q: Gaussian, z: Tensor, rng: torch.Generator | None = None) -> Float[Tensor, " B"]:
        """An estimate of the sum of `rates` that is cheap enough to train on. (B,) nats."""
        ...

    def sample(self, n: int, rng: torch.Generator | None = None) -> Float[Tensor, "{n} K"]:
        """Draw n codes."""
        ...


@runtime_checkable
class Source(Protocol):
    """Where codes z (B, K) are drawn from: all that sampling asks of a prior."""

    def sample(self, n: int, rng: torch.Generator | None = None) -> Float[Tensor, "{n} K"]:
        """Draw n codes."""
        ...


class StandardNormal(nn.Module):
    """The prior N(0, I) of K latents. Kingma & Welling 2014."""

    zero: Tensor

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.latents = latents
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # knows dtype and device

    def rates(
        self, q: Gaussian, z: Float[Tensor, "B K"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "B 1"]:
        """The closed form; the draw z is not used. (B, 1) nats. Kingma & Welling 2014, App. B."""
        return q.kl()[:, None]

    def rate(
        self, q: Gaussian, z: Float[Tensor, "B K"], rng: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """The same, (B,) nats."""
        return q.kl()

    def log_prob(self, z: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        """Log density at z (B, K). (B,) nats."""
        return Gaussian(torch.zeros_like(z), torch.zeros_like(z)).log_prob(z)

    def sample(self, n: int, rng: torch.Generator | None = None) -> Float[Tensor, "{n} K"]:
        """Draw n codes (n, K)."""
        like = self.zero
        return torch.randn(n, self.latents, generator=rng, dtype=like.dtype, device=like.device)


class VAE(nn.Module):
    """q(z | x) from `encoder`, p(x | z) from `decoder` and `likelihood`, p(z) from `prior`.

    encoder:    x (B, ...) -> mean and logvar, each (B, K); an attribute `shape`, if there, is that of one x
    decoder:    z (B, K) -> the arguments of `likelihood`; has an int attribute `latents` = K
    likelihood: a class of `lowerbound.likelihood`
    beta:       weight on the rate in `loss` alone; 1 is the ELBO. `bound` never uses it.
    prior:      N(0, I) if none is given; a `LatentMixture`; or a `latent.DiffusionPrior`

    Kingma & Welling 2014; beta: Higgins et al. 2017; a chain as prior: Vahdat et al. 2021.
    Raises ValueError if beta < 0
    and if the two say that they have different K.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Callable[..., Likelihood] = DiscretisedLogistic,
        beta: float = 1.0,
        prior: Prior | None = None,
    ) -> None:
        super().__init__()
        if beta < 0:
            raise ValueError(f"beta must be 0 or more, got {beta}")
        if (codes := getattr(encoder, "latents", decoder.latents)) != decoder.latents:
            raise ValueError(
                f"the encoder has {codes} latents and the decoder {decoder.latents}; give both the same"
            )
        self.encoder, self.decoder, self.likelihood, self.beta = encoder, decoder, likelihood, beta
        self.latents: int = decoder.latents  # type: ignore[assignment]
        if prior is None:
            prior = StandardNormal(self.latents).to(next(self.parameters(), torch.zeros(())))
        self.prior: Any = prior

    def with_prior(self, prior: Prior) -> VAE:
        """The same encoder and decoder, not copies, with codes from another prior."""
        model = VAE(self.encoder, self.decoder, self.likelihood, self.beta, prior)
        return model.train(self.training)

    def posterior(self, x: Float[Tensor, "B *dims"]) -> Gaussian:
        """q(z | x): x (B, ...) -> Gaussian over (B, K). Raises ValueError if x is not float."""
        if not x.is_floating_point():
            raise ValueError(f"x must be float in [-1, 1], got {x.dtype}; scale it with data.to_unit(x)")
        return Gaussian(*self.encoder(x))

    def decode(self, z: Float[Tensor, "B K"]) -> Likelihood:
        """p(x | z): z (B, K) -> a likelihood over (B, ...)."""
        return self.likelihood(*self.decoder(z))

    def bound(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Bound:
        """The negative ELBO of x (B, ...), from one sample of z. Kingma & Welling 2014, Eq. (3).

        L is 1, and T + 1 where the prior is a chain of T steps.
        Raises ValueError, with the remedy, for an x that is not what the networks take.
        """
        entry.admit(self, x, rng)
        q = self.posterior(x)
        z = q.sample(rng)
        return Bound(distortion=-self.decode(z).log_prob(x), rates=self.prior.rates(q, z, rng))

    def log_weights(
        self, x: Float[Tensor, "B *dims"], k: int, rng: torch.Generator | None = None
    ) -> Float[Tensor, "{k} B"]:
        """Log p(x, z)/q(z | x) for k draws of z from q(z | x). Returns (k, B) nats. Burda et al. 2016.

        Raises ValueError where the prior has no log p(z) to compute, as a chain has none.
        """
        if not hasattr(self.prior, "log_prob"):
            raise ValueError(f"a {type(self.prior).__name__} has a bound of log p(z) alone; use `bound`")
        q = self.posterior(x)

        def one() -> Tensor:
            z = q.sample(rng)
            prior: Tensor = self.prior.log_prob(z).to(z)
            return self.decode(z).log_prob(x) + prior - q.log_prob(z)

        return torch.stack([one() for _ in range(k)])

    def loss(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Float[Tensor, " B"]:
        """Distortion + beta · rate. Returns (B,) nats."""
        q = self.posterior(x)
        z = q.sample(rng)
        rate: Tensor = self.prior.rate(q, z, rng)
        return -self.decode(z).log_prob(x) + self.beta * rate

    @torch.no_grad()
    def sample(
        self,
        n: int,
        rng: torch.Generator | None = None,
        *,
        last_noise: bool = False,
        codes: Source | None = None,
    ) -> Float[Tensor, "{n} *dims"]:
        """Draw n images in one pass: z from the prior, then the decoder's mean.

        last_noise: a draw from p(x | z) instead of its mean, a sample of the model proper
        codes: where z comes from instead of the prior. Returns (n, ...). Raises ValueError unless n ≥ 1.
        """
        entry.count_fits(n)
        entry.is_generator(rng)
        source: Source = self.prior if codes is None else codes
        p = self.decode(source.sample(n, rng).to(next(self.parameters())))
        return p.sample(rng) if last_noise else p.mean


class HierarchicalVAE(nn.Module):
    """A VAE of L layers: z_L from N(0, I), each z_l from what lies above it, and x from all of them.

    ladder: `features(x)` -> one tensor a layer, the top's first; `start(B)` -> a state; `layers`, the top's
        first, each with `prior(state)` and `posterior(state, feature)`, which give mean and logvar, and
        `absorb(state, z)` -> a state; `head(state)` -> the arguments of `likelihood`

    The posterior goes the way of the prior, from the top down, and sees x at each layer: Sønderby et al.
    2016; Child 2021. A diffusion model is this with a posterior that is fixed and a state that is z itself.
    """

    def __init__(
        self, ladder: nn.Module, likelihood: Callable[..., Likelihood] = DiscretisedLogistic
    ) -> None:
        super().__init__()
        self.ladder: Any = ladder
        self.likelihood = likelihood

    def _descend(
        self, x: Tensor, rng: torch.Generator | None
    ) -> tuple[list[tuple[Gaussian, Gaussian, Tensor]], Likelihood]:
        """p, q and a z drawn from q of every layer, z_L's first; and p(x | z)."""
        state, layers = self.ladder.start(len(x)), []
        for layer, feature in zip(self.ladder.layers, self.ladder.features(x), strict=True):
            p, q = Gaussian(*layer.prior(state)), Gaussian(*layer.posterior(state, feature))
            layers.append((p, q, q.sample(rng)))
            state = layer.absorb(state, layers[-1][2])
        return layers, self.likelihood(*self.ladder.head(state))

    def bound(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Bound:
        """The negative ELBO of x (B, ...), from one sample of every z. rates (B, L), that of z_L last.

        Raises ValueError, with the remedy, for an x that is not what the networks take.
        """
        entry.admit(self, x, rng)
        return self._bound(x, rng)

    def _bound(self, x: Tensor, rng: torch.Generator | None) -> Bound:
        layers, decoded = self._descend(x, rng)
        rates = [q.kl(p) for p, q, _ in reversed(layers)]
        return Bound(distortion=-decoded.log_prob(x), rates=torch.stack(rates, 1))

    def loss(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Float[Tensor, " B"]:
        """The negative ELBO. Returns (B,) nats."""
        return self._bound(x, rng).nats()

    def log_weights(
        self, x: Float[Tensor, "B *dims"], k: int, rng: torch.Generator | None = None
    ) -> Float[Tensor, "{k} B"]:
        """Log p(x, z)/q(z | x) for k draws of all z from q. Returns (k, B) nats."""

        def one() -> Tensor:
            layers, decoded = self._descend(x, rng)
            return decoded.log_prob(x) + sum((p.log_prob(z) - q.log_prob(z) for p, q, z in layers), 0.0)

        return torch.stack([one() for _ in range(k)])

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator | None = None, *, last_noise: bool = False
    ) -> Float[Tensor, "{n} *dims"]:
        """Draw n images: every z from its prior, z_L first, then the mean of p(x | z), or a draw from it.

        Returns (n, ...). Raises ValueError unless n ≥ 1.
        """
        entry.count_fits(n)
        entry.is_generator(rng)
        state = self.ladder.start(n)
        for layer in self.ladder.layers:
            state = layer.absorb(state, Gaussian(*layer.prior(state)).sample(rng))
        p: Likelihood = self.likelihood(*self.ladder.head(state))
        return p.sample(rng) if last_noise else p.mean


@dataclass(frozen=True)
class LatentMixture:
    """K Gaussians in code space, fitted to the codes of training images: a start that the decoder knows.

    weights (K,), means (K, D), scales (K, D, D) lower triangular, all float64. Ghosh et al. 2020, §4.
    """

    weights: Float64[Tensor, " K"]
    means: Float64[Tensor, "K D"]
    scales: Float64[Tensor, "K D D"]

    @staticmethod
    def fit(
        z: Float[Tensor, "N D"], components: int, rng: torch.Generator | None = None, steps: int = 40
    ) -> LatentMixture:
        """The mixture after `steps` of expectation maximisation, from means that are codes of z (N, D).

        Raises ValueError unless 1 ≤ components ≤ N.
        """
        if not 1 <= components <= len(z):
            raise ValueError(f"components must be in 1..{len(z)}, the number of codes; got {components}")
        z, eye = z.double(), 1e-4 * torch.eye(z.shape[1], dtype=torch.float64, device=z.device)
        cholesky = torch.linalg.cholesky
        start = z[torch.randperm(len(z), generator=rng, device=z.device)[:components]]
        spread = cholesky(z.T.cov().view(z.shape[1], -1) + eye).expand(components, -1, -1)
        mixture = LatentMixture(z.new_full((components,), 1 / components), start, spread)
        for _ in range(steps if components > 1 else 1):
            joint = mixture._joint(z)
            share = torch.softmax(joint, 1)  # (N, K)
            total = share.sum(0) + 1e-9
            means = share.T @ z / total[:, None]
            spreads = [
                (z - m).T @ (share[:, k, None] * (z - m)) / total[k] + eye for k, m in enumerate(means)
            ]
            mixture = LatentMixture(total / total.sum(), means, cholesky(torch.stack(spreads)))
        return mixture

    def _joint(self, z: Tensor) -> Tensor:
        """Log weight and density of each component at z (N, D). (N, K)."""
        parts = []
        for mean, scale in zip(self.means, self.scales, strict=True):
            off = torch.linalg.solve_triangular(scale, (z - mean).T, upper=False)
            parts.append(-0.5 * (off**2).sum(0) - scale.diagonal().log().sum())
        return torch.stack(parts, 1) + self.weights.log() - 0.5 * z.shape[1] * LOG_2PI

    def log_prob(self, z: Float[Tensor, "N D"]) -> Float64[Tensor, " N"]:
        """Log density at z (N, D). (N,) nats."""
        return torch.logsumexp(self._joint(z.double()), 1)

    def rates(
        self, q: Gaussian, z: Float[Tensor, "B D"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "B 1"]:
        """−log p(z) at the draw z, less the encoder's entropy: unbiased, not a closed form. (B, 1) nats."""
        return self.rate(q, z, rng)[:, None]

    def rate(
        self, q: Gaussian, z: Float[Tensor, "B D"], rng: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """The same, (B,) nats."""
        return -self.log_prob(z).to(z) - q.entropy()

    def sample(self, n: int, rng: torch.Generator | None = None) -> Float64[Tensor, "{n} D"]:
        """Draw n codes (n, D)."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=rng)
        eps = torch.randn(
            n, self.means.shape[1], generator=rng, dtype=torch.float64, device=self.means.device
        )
        return self.means[which] + (self.scales[which] @ eps[:, :, None])[:, :, 0]


NO_NOISE = -20.0  # log variance of an autoencoder's code


class Autoencoder(VAE):
    """A VAE without its second term and without noise on its code: nothing tells the codes where to lie."""

    def posterior(self, x: Float[Tensor, "B *dims"]) -> Gaussian:
        """The code of x (B, ...) as a Gaussian of next to no width."""
        mean = super().posterior(x).mean
        return Gaussian(mean, torch.full_like(mean, NO_NOISE))
