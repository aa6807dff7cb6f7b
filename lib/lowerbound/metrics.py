"""How good is a model: its bound in bits, log p by importance, distances between sets of images."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lowerbound import data
from lowerbound.classifier import accuracy, features
from lowerbound.vae import VAE


@torch.no_grad()
def bits_per_dim(
    model: Any, x: UInt8[Tensor, "N 1 H W"], rng: torch.Generator | None = None, batch: int = 100
) -> tuple[float, float]:
    """The negative ELBO of uint8 images x (N, 1, H, W) in bits/dim: mean and its standard error.

    model: anything with `bound(x, rng) -> Bound`.
    """
    device = next(model.parameters()).device
    dims = x[0].numel()
    values = torch.cat(
        [
            model.bound(data.to_unit(part).to(device), rng).bits_per_dim(dims).cpu().double()
            for part in torch.split(x, batch)
        ]
    )
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


@torch.no_grad()
def log_prob_importance(
    vae: VAE, x: Float[Tensor, "B *dims"], k: int, rng: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Log p(x) bounded by k importance samples: log 1/k Σ p(x, z_i)/q(z_i | x). Returns (B,) nats.

    x: (B, ...) in [−1, 1]. Equal to the ELBO in the mean at k = 1, and not falling in k.
    Burda et al. 2016, Eq. (8).
    """
    q = vae.posterior(x)
    log_weights = []
    for _ in range(k):
        z = q.sample(rng)
        prior = -0.5 * (z**2 + math.log(2 * math.pi)).flatten(1).sum(1)
        log_weights.append(vae.decode(z).log_prob(x) + prior - q.log_prob(z))
    return torch.logsumexp(torch.stack(log_weights), 0) - math.log(k)


@torch.no_grad()
def active_units(vae: VAE, x: Float[Tensor, "B *dims"], threshold: float = 0.01) -> int:
    """How many latents the posterior's mean moves: Var_x E_q[z_j] > threshold. Burda et al. 2016, §5.2.

    x: (N, ...) in [−1, 1].
    """
    return int((vae.posterior(x).mean.var(0) > threshold).sum())


class _Given(nn.Module):
    """Features in the place of images, the way torchmetrics wants its feature extractor."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return x


def feature_distances(
    real: Float[Tensor, "N F"], fake: Float[Tensor, "M F"], seed: int = 0
) -> dict[str, float]:
    """Fréchet and kernel distance between features real (N, F) and fake (M, F).

    Both are computed by torchmetrics: Heusel et al. 2017 (FID) and Bińkowski et al. 2018 (KID).
    Raises ModuleNotFoundError if torchmetrics is missing, ValueError for fewer than two examples.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("distances need torchmetrics: pip install 'lowerbound[metrics]'") from error
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"distances need 2 images of each kind or more, got {len(real)} and {len(fake)}")
    given = _Given(real.shape[1])
    frechet = FrechetInceptionDistance(feature=given)
    frechet.set_dtype(torch.float64)
    kernel = KernelInceptionDistance(given, subset_size=min(1000, len(real), len(fake)))
    for values, is_real in ((real, True), (fake, False)):
        frechet.update(values.double(), real=is_real)
        kernel.update(values.double(), real=is_real)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, std = kernel.compute()
    return {"frechet": float(frechet.compute()), "kernel": float(mean), "kernel_std": float(std)}


def precision_recall(
    real: Float[Tensor, "N F"], fake: Float[Tensor, "M F"], k: int = 5
) -> tuple[float, float]:
    """How much of fake lies within real, and how much of real within fake: quality, and coverage.

    A point lies within a set if it is no farther from one of its members than that one's k-th neighbour
    in the set. real (N, F), fake (M, F), best of one size. Kynkäänniemi et al. 2019, Eqs. (1) and (2).
    Raises ValueError if either has no more than k members.
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"need more than k = {k} images of each kind, got {len(real)} and {len(fake)}")

    def share_within(points: Tensor, members: Tensor) -> float:
        radius = torch.cdist(members, members).kthvalue(k + 1, dim=1).values  # the nearest is itself
        return float((torch.cdist(points, members) <= radius).any(1).double().mean())

    return share_within(fake, real), share_within(real, fake)


def distances(
    classifier: Any, real: UInt8[Tensor, "N 1 H W"], fake: UInt8[Tensor, "M 1 H W"], seed: int = 0
) -> dict[str, float]:
    """`feature_distances` of uint8 images real (N, 1, H, W) and fake (M, 1, H, W), by a classifier.

    They compare only under one and the same classifier, and with the same number of images.
    """
    return feature_distances(features(classifier, real), features(classifier, fake), seed)


def summary(model: Any, test: data.Images, rng: torch.Generator | None = None) -> dict[str, float | int]:
    """The figures for a model's card: accuracy of a classifier, bits/dim of the others on test images.

    A diffusion model costs T network calls an image, so it is measured on the first 100 alone.
    """
    if hasattr(model, "features"):
        return {"accuracy": round(accuracy(model, test), 4)}
    x = test.x if isinstance(model, VAE) else test.x[:100]
    mean, error = bits_per_dim(model, x, rng)
    return {"bits_per_dim": round(mean, 4), "standard_error": round(error, 4), "test_images": len(x)}
