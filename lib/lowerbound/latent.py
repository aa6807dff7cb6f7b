"""A diffusion model as the prior of a VAE: the chain walks on codes, and the decoder makes the image.

Vahdat et al. 2021 (LSGM); on codes of an autoencoder that stays as it is: Rombach et al. 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lowerbound.diffusion import Diffusion
from lowerbound.gaussian import Gaussian
from lowerbound.samplers import ddim
from lowerbound.schedule import Schedule


class DiffusionPrior(nn.Module):
    """p(z) from a diffusion model of standardised codes u = (z − shift) / scale.

    chain: of vectors, `shape` (K,); a Gaussian last step and clip=False, since codes have no range.
        Where the encoder is trained along, its objective must be `l_bound`
    shift, scale: (K,), of the codes; 0 and 1 if not given. Raises ValueError for a chain that clips.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, chain: Diffusion, shift: Tensor | None = None, scale: Tensor | None = None) -> None:
        super().__init__()
        if chain.clip:
            raise ValueError("codes are not in [-1, 1]; build the chain with clip=False")
        self.chain = chain
        self.register_buffer("shift", torch.zeros(chain.shape) if shift is None else shift.clone())
        self.register_buffer("scale", torch.ones(chain.shape) if scale is None else scale.clone())

    def standardised(self, z: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """What the chain sees of codes z (B, K)."""
        return (z - self.shift) / self.scale

    def rates(
        self, q: Gaussian, z: Float[Tensor, "B K"], rng: torch.Generator | None = None
    ) -> Float[Tensor, "B L"]:
        """The rate of every layer: z itself, then the chain's noisy codes. (B, T + 1) nats; T network calls.

        The first is log q(z | x) − log p(z | z_1), the encoder's entropy in closed form; the others are the
        chain's KLs, its prior's last. The sum is never below KL(q(z | x) ‖ p(z)) in the mean.
        """
        bound = self.chain.bound(self.standardised(z), rng)
        first = bound.distortion + self.scale.log().sum() - q.entropy()
        return torch.cat([first[:, None], bound.rates], 1)

    def rate(
        self, q: Gaussian, z: Float[Tensor, "B K"], rng: torch.Generator | None = None
    ) -> Float[Tensor, " B"]:
        """The sum of `rates` from one random step, one network call: what to train on. (B,) nats.

        With the objective `l_bound` it is unbiased, and its gradient reaches the encoder through z.
        """
        u = self.standardised(z)
        return self.chain.loss(u, rng) + self.chain.prior(u).kl() + self.scale.log().sum() - q.entropy()

    def sample(
        self,
        n: int,
        rng: torch.Generator | None = None,
        *,
        sampler: Callable[..., Iterator[Tensor]] = ddim,
    ) -> Float[Tensor, "{n} K"]:
        """Draw n codes (n, K), by as many network calls as the chain has steps."""
        return self.shift + self.scale * self.chain.sample(n, rng, sampler=sampler)

    def respaced(self, steps: int) -> DiffusionPrior:
        """The same prior by `steps` of its noise levels."""
        return DiffusionPrior(self.chain.respaced(steps), self.shift, self.scale)

    def with_schedule(self, schedule: Schedule) -> DiffusionPrior:
        """The same network over other noise levels."""
        return DiffusionPrior(self.chain.with_schedule(schedule), self.shift, self.scale)

    def guided(self, y: Int[Tensor, "*batch"], weight: float = 1.0) -> DiffusionPrior:
        """The prior of codes of the class y, () or (B,); with weight > 0, beyond it. Ho & Salimans 2022."""
        return DiffusionPrior(self.chain.guided(y, weight), self.shift, self.scale)


def between(
    first: Float[Tensor, "*dims"], last: Float[Tensor, "*dims"], share: float
) -> Float[Tensor, "*dims"]:
    """The code a `share` of the way from `first` to `last`, on the arc that keeps their length.

    Of two draws from N(0, I) it is a draw again, which a point on the straight line is not.
    Raises ValueError unless 0 ≤ share ≤ 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share}")
    angle = torch.tensor(share * torch.pi / 2, dtype=first.dtype, device=first.device)
    return angle.cos() * first + angle.sin() * last
