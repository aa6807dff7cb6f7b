"""The variational autoencoder: one encoder step, one latent, one decoder step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lowerbound.bound import Bound
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import DiscretisedLogistic, Likelihood


class VAE(nn.Module):
    """q(z | x) from `encoder`, p(x | z) from `decoder` and `likelihood`, prior N(0, I).

    encoder:    x (B, ...) -> mean and logvar, each (B, K)
    decoder:    z (B, K) -> the arguments of `likelihood`; has an int attribute `latents` = K
    likelihood: a class of `lowerbound.likelihood`
    beta:       weight on the KL in `loss` alone; 1 is the ELBO. `bound` never uses it.

    Kingma & Welling 2014; beta: Higgins et al. 2017. Raises ValueError if beta < 0.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Callable[..., Likelihood] = DiscretisedLogistic,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if beta < 0:
            raise ValueError(f"beta must be 0 or more, got {beta}")
        self.encoder, self.decoder, self.likelihood, self.beta = encoder, decoder, likelihood, beta
        self.latents: int = decoder.latents  # type: ignore[assignment]

    def posterior(self, x: Float[Tensor, "B *dims"]) -> Gaussian:
        """q(z | x): x (B, ...) -> Gaussian over (B, K). Raises ValueError if x is not float."""
        if not x.is_floating_point():
            raise ValueError(f"x must be float in [-1, 1], got {x.dtype}; scale it with data.to_unit(x)")
        return Gaussian(*self.encoder(x))

    def decode(self, z: Float[Tensor, "B K"]) -> Likelihood:
        """p(x | z): z (B, K) -> a likelihood over (B, ...)."""
        return self.likelihood(*self.decoder(z))

    def bound(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Bound:
        """The negative ELBO of x (B, ...), from one sample of z. L = 1. Kingma & Welling 2014, Eq. (3)."""
        q = self.posterior(x)
        return Bound(distortion=-self.decode(q.sample(rng)).log_prob(x), rates=q.kl()[:, None])

    def loss(self, x: Float[Tensor, "B *dims"], rng: torch.Generator | None = None) -> Float[Tensor, " B"]:
        """Distortion + beta · rate. Returns (B,) nats."""
        bound = self.bound(x, rng)
        return bound.distortion + self.beta * bound.rate

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator | None = None, *, last_noise: bool = False
    ) -> Float[Tensor, "{n} *dims"]:
        """Draw n images in one pass: z from the prior, then the decoder's mean.

        With last_noise, a draw from p(x | z) instead of its mean: a sample of the model proper.
        Returns (n, ...).
        """
        weight = next(self.parameters())
        z = torch.randn(n, self.latents, generator=rng, dtype=weight.dtype, device=weight.device)
        p = self.decode(z)
        return p.sample(rng) if last_noise else p.mean


NO_NOISE = -20.0  # log variance of an autoencoder's code


class Autoencoder(VAE):
    """A VAE without its second term and without noise on its code: nothing tells the codes where to lie."""

    def posterior(self, x: Float[Tensor, "B *dims"]) -> Gaussian:
        """The code of x (B, ...) as a Gaussian of next to no width."""
        mean = super().posterior(x).mean
        return Gaussian(mean, torch.full_like(mean, NO_NOISE))
