"""What a network may be asked for: noise, image, v, score or velocity, linear in one another given x_t.

x_t = a x_0 + b ε with any signal a and noise b: √ᾱ_t and √(1 − ᾱ_t) in a diffusion model, 1 − τ and τ on the
straight path of flow matching. `Predicts` turns a network that says any of them into one that says ε.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Coordinate:
    """A target y = c x_0 + d ε. parts: signal a, noise b -> c, d, each broadcastable to a and b."""

    name: str
    parts: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

    def target(
        self, x0: Float[Tensor, "B *dims"], eps: Float[Tensor, "B *dims"], signal: Tensor, noise: Tensor
    ) -> Float[Tensor, "B *dims"]:
        """What the network should say, y = c x_0 + d ε. signal, noise broadcastable to x0 -> (B, ...)."""
        image_part, noise_part = self.parts(signal, noise)
        return image_part * x0 + noise_part * eps

    def weight(self, signal: Tensor, noise: Tensor) -> Tensor:
        """How often the squared error of y holds that of ε: ((ad − bc) / a)². As signal and noise."""
        image_part, noise_part = self.parts(signal, noise)
        return ((signal * noise_part - noise * image_part) / signal) ** 2


def _v(signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    return -noise, signal


def _score(signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(signal), -1 / noise


EPS = Coordinate("eps", lambda a, b: (torch.zeros_like(a), torch.ones_like(b)))
X0 = Coordinate("x0", lambda a, b: (torch.ones_like(a), torch.zeros_like(b)))
V = Coordinate("v", _v)  # Salimans & Ho 2022, App. D
SCORE = Coordinate("score", _score)  # of one image; Vincent 2011
VELOCITY = Coordinate("velocity", lambda a, b: (-torch.ones_like(a), torch.ones_like(b)))  # Liu et al. 2023


def to_image_and_noise(
    y: Float[Tensor, "B *dims"], xt: Float[Tensor, "B *dims"], said: Coordinate, signal: Tensor, noise: Tensor
) -> tuple[Float[Tensor, "B *dims"], Float[Tensor, "B *dims"]]:
    """The image and the noise of which x_t and y consist. y, xt (B, ...) -> two (B, ...).

    Solves x_t = a x_0 + b ε, y = c x_0 + d ε. Infinite where y and x_t say the same, as ε does at a = 0.
    """
    image_part, noise_part = said.parts(signal, noise)
    det = signal * noise_part - noise * image_part
    return (noise_part * xt - noise * y) / det, (signal * y - image_part * xt) / det


def convert(
    y: Float[Tensor, "B *dims"],
    xt: Float[Tensor, "B *dims"],
    said: Coordinate,
    wanted: Coordinate,
    signal: Tensor,
    noise: Tensor,
) -> Float[Tensor, "B *dims"]:
    """The same answer in another coordinate. y, xt (B, ...), signal and noise broadcastable -> (B, ...)."""
    return wanted.target(*to_image_and_noise(y, xt, said, signal, noise), signal, noise)


def eps_from_v(
    v: Float[Tensor, "B *dims"], xt: Float[Tensor, "B *dims"], log_snr: Float[Tensor, " B"]
) -> Float[Tensor, "B *dims"]:
    """ε̂ = √(1 − ᾱ) x_t + √ᾱ v̂, in the dtype of xt. v, xt (B, ...), log_snr (B,) -> (B, ...).

    `convert` from V to EPS for x_t of a diffusion model, without a division: where little but noise is left
    in x_t, ε̂ is x_t itself and no error is blown up. Salimans & Ho 2022, App. D.
    """
    level = log_snr.to(xt.dtype).view(-1, *[1] * (xt.ndim - 1))
    return torch.sigmoid(-level).sqrt() * xt + torch.sigmoid(level).sqrt() * v


def straightened(
    xt: Float[Tensor, "B *dims"], signal: Tensor, noise: Tensor
) -> tuple[Float[Tensor, "B *dims"], Tensor]:
    """The state and time on the straight path of the same SNR: z = (1 − τ) x_0 + τ ε and τ = b / (a + b).

    xt (B, ...), signal and noise broadcastable -> (B, ...) and τ in their shape. Kingma & Gao 2023, App. D.
    """
    return xt / (signal + noise), noise / (signal + noise)


def two_steps_in_one(
    first: Float[Tensor, "B *dims"],
    second: Float[Tensor, "B *dims"],
    snr: Tensor | float,
    snr_middle: Tensor | float,
    snr_end: Tensor | float,
) -> Float[Tensor, "B *dims"]:
    """The image guess by which one DDIM step lands where the two with these guesses did. (B, ...).

    first, second: the guesses of x_0 (B, ...) of the first and of the second step; snr: before, between and
    behind them.
    Behind the last step, where the SNR is infinite, it is the second guess. Salimans & Ho 2022, App. G.
    """
    start, middle, end = (
        torch.as_tensor(value, dtype=torch.float64).sqrt() for value in (snr, snr_middle, snr_end)
    )
    share = torch.where(end.isinf(), 0.0, (middle - start) / (end - start)).to(first)
    return share * first + (1 - share) * second


class Predicts(nn.Module):
    """A network that says a coordinate, as one that says ε: `Diffusion(Predicts(net, V), cosine(1000))`.

    net: xt (B, ...), log_snr (B,) -> ŷ (B, ...), for x_t of a diffusion model, a² + b² = 1
    """

    def __init__(self, net: nn.Module, said: Coordinate) -> None:
        super().__init__()
        self.net, self.said = net, said

    def forward(self, xt: Float[Tensor, "B *dims"], log_snr: Float[Tensor, " B"]) -> Float[Tensor, "B *dims"]:
        """Predict ε."""
        level = log_snr.view(-1, *[1] * (xt.ndim - 1)).double()
        signal, noise = (torch.sigmoid(sign * level).sqrt().to(xt) for sign in (1, -1))
        return convert(self.net(xt, log_snr), xt, self.said, EPS, signal, noise)
