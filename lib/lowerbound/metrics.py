"""How good is a model: its bound in bits, log p by importance, distances between sets of images."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lowerbound import data
from lowerbound.classifier import accuracy, features
from lowerbound.diffusion import Diffusion
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
    vae: Any, x: Float[Tensor, "B *dims"], k: int, rng: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Log p(x) bounded by k importance samples: log 1/k Σ p(x, z_i)/q(z_i | x). Returns (B,) nats.

    vae: a VAE or HierarchicalVAE; x: (B, ...) in [−1, 1]. Equal to the ELBO in the mean at k = 1, and not
    falling in k. Burda et al. 2016, Eq. (8).
    """
    return torch.logsumexp(vae.log_weights(x, k, rng), 0) - math.log(k)


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


def pyramid_features(x: UInt8[Tensor, "N 1 H W"]) -> Float64[Tensor, "N F"]:
    """What uint8 images x (N, 1, H, W) look like at three scales, without a network. (N, 3·H·W/16).

    A Laplacian pyramid (Burt & Adelson 1983): the image averaged over 4×4 pixels, and how much is left at the
    scales of one and of two pixels, each in absolute value over the same 4×4 pixels. H, W multiples of 4.
    """
    rows = []
    for part in torch.split(x, 2000):
        fine = data.to_unit(part)
        middle = F.avg_pool2d(fine, 2)
        coarse = F.avg_pool2d(middle, 2)
        left = [
            below - F.interpolate(above, scale_factor=2.0)
            for below, above in ((fine, middle), (middle, coarse))
        ]
        bands = [coarse, F.avg_pool2d(left[0].abs(), 4), F.avg_pool2d(left[1].abs(), 2)]
        rows.append(torch.cat([band.flatten(1) for band in bands], 1))
    return torch.cat(rows).double()


def sharpness(x: UInt8[Tensor, "N 1 H W"]) -> Float64[Tensor, " N"]:
    """Mean square of the discrete Laplacian of uint8 images x (N, 1, H, W), in units of [−1, 1]. (N,)."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    parts = [
        F.conv2d(data.to_unit(part), kernel).square().flatten(1).mean(1) for part in torch.split(x, 2000)
    ]
    return torch.cat(parts).double()


def nearer_to(
    fake: UInt8[Tensor, "N 1 H W"], first: UInt8[Tensor, "M 1 H W"], second: UInt8[Tensor, "K 1 H W"]
) -> float:
    """The share of images whose nearest neighbour in pixels is in `first` rather than in `second`.

    With training images first and as many test images second, ½ says that nothing was learned by heart, and
    1 that samples are copies. fake (N, 1, H, W), first, second (M, 1, H, W); uint8. ValueError if M differs.
    """
    if len(first) != len(second):
        raise ValueError(f"both sets must be as large, got {len(first)} and {len(second)} images")
    sets = [data.to_unit(images).flatten(1) for images in (first, second)]
    nearer = 0.0
    for part in torch.split(data.to_unit(fake).flatten(1), 1000):
        a, b = (torch.cdist(part, images).min(1).values for images in sets)
        nearer += float((a < b).sum()) + 0.5 * float((a == b).sum())
    return nearer / len(fake)


class _Contrast(nn.Module):
    """x (B, 1, H, W) in [−1, 1], its brightness and its Laplacian, both on a log scale. (B, 3, H, W).

    A grain of a few grey levels is a hundredth of what edges are. A network that is given the image alone
    does not find it; on a scale of ratios, as an eye sees them, it is as large as the rest.
    """

    STEP = 4.0  # grey levels below which the scale is linear

    def forward(self, x: Tensor) -> Tensor:
        brightness = (127.5 * (x + 1)).clamp(min=0)
        kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
        edges = F.conv2d(F.pad(brightness, (1, 1, 1, 1), mode="replicate"), kernel / 4)
        bright = (brightness / self.STEP).log1p() / 2 - 1
        return torch.cat([x, bright, edges.sign() * (edges.abs() / self.STEP).log1p()], 1)


def _judge(width: int = 16) -> nn.Sequential:
    """The network of `two_sample`: (B, 1, H, W) in [−1, 1] -> (B, 1), the log odds of being real."""
    return nn.Sequential(
        _Contrast(),
        nn.PixelUnshuffle(2),
        nn.Conv2d(12, width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 32),
        nn.SiLU(),
        nn.Linear(32, 1),
    )


def two_sample(
    real: UInt8[Tensor, "N 1 H W"], fake: UInt8[Tensor, "M 1 H W"], seed: int = 0, epochs: int = 10
) -> dict[str, float]:
    """How well a network that was trained to can tell real images from fake ones that it has not seen.

    real, fake: (N, 1, H, W) uint8, as many of each; H, W even. Half of each trains a small network, a quarter
    chooses the epoch, a quarter judges, so each of the three holds as many real as fake ones.
    Returns accuracy (½: it cannot tell), bits: 1 less its log-loss in bits, and their standard error over the
    images that judge. In the mean, bits are at most the Jensen–Shannon divergence of the two: 0 for equals,
    1 for what is told at a glance, below 0 where the network was sure and wrong. Lopez-Paz & Oquab 2017.
    Raises ValueError for fewer than 8 images or other numbers of them.
    """
    if len(real) != len(fake) or len(real) < 8:
        raise ValueError(f"need as many real as fake images, 8 or more; got {len(real)} and {len(fake)}")
    rng, quarter = torch.Generator().manual_seed(seed), len(real) // 4
    order = [torch.randperm(len(real), generator=rng) for _ in range(2)]
    parts = []
    for rows in (slice(2 * quarter, None), slice(0, quarter), slice(quarter, 2 * quarter)):
        x = torch.cat([images[o[rows]] for images, o in zip((real, fake), order, strict=True)])
        parts.append((data.to_unit(x), torch.tensor([1.0, 0.0]).repeat_interleave(len(x) // 2)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _judge()
    (x, y), valid, judged = parts
    optimizer = torch.optim.Adam(net.parameters())
    steps = epochs * math.ceil(len(x) / 64)
    rising = 0.1 if steps > 20 else 0.3  # the scheduler divides by rising · steps − 1
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=rising)
    best, chosen = math.inf, (1.0, 0.0, 0.5)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(x), generator=rng), 64):
            optimizer.zero_grad()
            wrong: Any = F.binary_cross_entropy_with_logits(net(x[batch])[:, 0], y[batch])
            wrong.backward()
            optimizer.step()
            rate.step()
        if (validation := _told(net, *valid)[0]) < best:
            best, chosen = validation, _told(net, *judged)
    loss, error, accuracy_of_best = chosen
    return {"bits": 1 - loss, "error": error, "accuracy": accuracy_of_best}


@torch.no_grad()
def _told(net: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Log-loss in bits with its standard error, and accuracy, of a network that tells two kinds of image."""
    logits = torch.cat([net(part)[:, 0] for part in torch.split(x, 500)])
    bits = F.binary_cross_entropy_with_logits(logits, y, reduction="none").double() / math.log(2)
    right = ((logits > 0) == (y > 0.5)).double().mean()
    return float(bits.mean()), float(bits.std() / math.sqrt(len(bits))), float(right)


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
    x = test.x[:100] if isinstance(model, Diffusion) else test.x
    mean, error = bits_per_dim(model, x, rng)
    return {"bits_per_dim": round(mean, 4), "standard_error": round(error, 4), "test_images": len(x)}
