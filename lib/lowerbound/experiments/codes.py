"""Where samples may start: autoencoders and VAEs at several β, decoded from the prior and from real codes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lowerbound import data
from lowerbound.experiments import races
from lowerbound.experiments.races import Races, Size, bound_of
from lowerbound.experiments.ruler import Ruler, described
from lowerbound.experiments.training import Training, trained
from lowerbound.experiments.units import Place, Unit
from lowerbound.gaussian import Gaussian
from lowerbound.nets import Decoder, Encoder
from lowerbound.vae import VAE

BETAS = (0.5, 1.0, 2.0)
NO_NOISE = -20.0  # log variance of an autoencoder's code


class Autoencoder(VAE):
    """A VAE without its second term and without noise on its code: nothing tells the codes where to lie."""

    def posterior(self, x: Tensor) -> Gaussian:
        """The code of x (B, ...) as a Gaussian of next to no width."""
        mean = super().posterior(x).mean
        return Gaussian(mean, torch.full_like(mean, NO_NOISE))


def build_autoencoder(size: Size) -> Autoencoder:
    """An autoencoder of the size of the races' VAE."""
    return Autoencoder(Encoder(size.latents, size.vae), Decoder(size.latents, size.vae), beta=0.0)


def training(setting: Races, beta: float) -> Training:
    """The training of a VAE at β, or with β = 0 of the autoencoder: the small size, the races' budget."""
    size, seed = setting.sizes[0], setting.seeds[0]
    like = races.training(setting, "vae", size, seed, beta)
    if beta > 0:
        return like
    return Training(f"autoencoder-{size.name}-{seed}", partial(build_autoencoder, size), like.recipe)


def measure(setting: Races, beta: float, place: Place) -> dict[str, Any]:
    """Bound, and the distance of what is decoded from four sources of codes, decoder's mean throughout.

    prior: N(0, I); gaussian: one with mean and covariance of the training images' codes; codes: codes of
    training images, as drawn from the encoder; reconstruction: the codes of the test images themselves
    """
    model, about = trained(training(setting, beta), place)
    return {
        "model": "VAE" if beta else "autoencoder",
        "beta": beta,
        **about,
        **_judged(setting, model, place),
    }


@torch.no_grad()
def _judged(setting: Races, model: VAE, place: Place) -> dict[str, Any]:
    device, rng, ruler = torch.device(place.device), place.rng(3000), Ruler.of(place)
    train, test = place.images("train").x, place.images("test").x[: setting.bound_images]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))[
        : max(1000, setting.samples)
    ]
    real = torch.cat(
        [model.posterior(p.to(device)).sample(rng) for p in torch.split(data.to_unit(train[order]), 250)]
    )
    n, K = setting.samples, real.shape[1]
    spread = torch.linalg.cholesky(real.T.cov().double() + 1e-6 * torch.eye(K, device=device))
    eps = torch.randn(n, K, generator=rng, device=device)
    sources = {
        "prior": eps,
        "gaussian": (real.double().mean(0) + eps.double() @ spread.T).float(),
        "codes": real[:n],
        "reconstruction": model.posterior(data.to_unit(place.images("test").x[:n]).to(device)).sample(rng),
    }
    out: dict[str, Any] = {"code_mean_square": float((real.double() ** 2).mean())}
    if not isinstance(model, Autoencoder):
        out["bound"] = described(bound_of(model, data.to_unit(test).to(device), rng))
    for name, z in sources.items():
        images = torch.cat([data.to_uint8(model.decode(part).mean.cpu()) for part in torch.split(z, 250)])
        out[name] = ruler.judge(images)
    return out


def trainings(setting: Races) -> list[Unit]:
    """A unit for the training of each model; that of β = 1 is a run of the races, too."""
    own = replace(setting, seeds=setting.seeds[:1])
    return [Unit(f"trained-beta-{b:g}", partial(races.train_only, training(own, b))) for b in (0.0, *BETAS)]


def units(setting: Races) -> list[Unit]:
    """The autoencoder, then a VAE at each β."""
    own = replace(setting, seeds=setting.seeds[:1])
    return [Unit(f"beta-{b:g}", partial(measure, own, b)) for b in (0.0, *BETAS)]
