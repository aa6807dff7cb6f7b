"""Models whose right answers are known in closed form, for the tests to measure the library against."""

import torch
from lowerbound import schedule
from lowerbound.data import Mixture
from lowerbound.diffusion import Diffusion, fixed_small
from lowerbound.likelihood import GaussianLikelihood
from torch import Tensor, nn


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def full(n: int, t: int) -> Tensor:
    return torch.full((n,), t)


class ExactDenoiser(nn.Module):
    """The best ε̂ for a Mixture: −√(1 − ᾱ) times the score of the exact law of x_t."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__()
        self.mixture = mixture

    def forward(self, xt: Tensor, log_snr: Tensor) -> Tensor:
        alpha_bar = torch.sigmoid(log_snr[0]).item()
        noised = self.mixture.noised(alpha_bar)
        offset = noised.means - xt.double()[:, None]  # (B, K, D)
        share = torch.softmax(noised.weights.log() - (offset**2).sum(2) / (2 * noised.std**2), 1)
        score = (share[:, :, None] * offset).sum(1) / noised.std**2
        return (-((1 - alpha_bar) ** 0.5) * score).to(xt.dtype)


class AnyDenoiser(nn.Module):
    """Some smooth function of x_t and log SNR: neither right nor zero."""

    def forward(self, xt: Tensor, log_snr: Tensor) -> Tensor:
        level = log_snr.view(-1, *[1] * (xt.ndim - 1))
        return torch.sin(2 * xt + 0.3 * level) + 0.5 * xt


def standard_normal(dims: int = 1) -> Mixture:
    return Mixture(torch.zeros(1, dims, dtype=torch.float64), 1.0, torch.ones(1, dtype=torch.float64))


def toy_diffusion(net: nn.Module, T: int, dims: int = 2, variance=fixed_small, **kwargs) -> Diffusion:
    """A float64 diffusion model of points, log SNR falling evenly over T steps."""
    s = kwargs.pop("schedule", None) or schedule.log_snr_linear(T, 8.0, -8.0)
    model = Diffusion(net, s, (dims,), GaussianLikelihood, variance=variance, clip=False, **kwargs)
    return model.double()


def z_score(samples: Tensor, expected: float) -> float:
    """How many standard errors the mean of samples lies from what is expected."""
    samples = samples.detach().double()
    return float((samples.mean() - expected) / (samples.std() / len(samples) ** 0.5))
