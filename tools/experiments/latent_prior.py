"""Where samples may start: autoencoders and VAEs at several β, decoded from the prior and from real codes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lowerbound import data
from lowerbound.nets import Decoder, Encoder
from lowerbound.vae import VAE, Autoencoder

from tools.experiments import equal_budget
from tools.experiments.equal_budget import EqualBudget, Size, bound_of
from tools.experiments.run_dir import RunDir
from tools.experiments.sample_quality import SampleQuality, described, reference_job
from tools.experiments.training import Training, report, trained
from tools.jobs import Job

BETAS = (0.5, 1.0, 2.0)


def build_autoencoder(size: Size) -> Autoencoder:
    """An autoencoder of the size of the VAE of equal budget."""
    return Autoencoder(Encoder(size.latents, size.vae), Decoder(size.latents, size.vae), beta=0.0)


def training(setting: EqualBudget, beta: float) -> Training:
    """The training of a VAE at β, or with β = 0 of the autoencoder: the small size, the equal budget."""
    size, seed = setting.sizes[0], setting.seeds[0]
    like = equal_budget.training(setting, "vae", size, seed, beta)
    if beta > 0:
        return like
    return Training(f"autoencoder-{size.name}-{seed}", partial(build_autoencoder, size), like.recipe)


def measure(setting: EqualBudget, beta: float, run_dir: RunDir) -> dict[str, Any]:
    """Bound, and the distance of what is decoded from four sources of codes, decoder's mean throughout.

    prior: N(0, I); gaussian: one with mean and covariance of the training images' codes; codes: codes of
    training images, as drawn from the encoder; reconstruction: the codes of the test images themselves
    """
    model, about = trained(training(setting, beta), run_dir)
    return {
        "model": "VAE" if beta else "autoencoder",
        "beta": beta,
        **about,
        **_judged(setting, model, run_dir),
    }


@torch.no_grad()
def _judged(setting: EqualBudget, model: VAE, run_dir: RunDir) -> dict[str, Any]:
    device, rng, quality = torch.device(run_dir.device), run_dir.rng(3000), SampleQuality.of(run_dir)
    train, test = run_dir.images("train").x, run_dir.images("test").x[: setting.bound_images]
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
        "reconstruction": model.posterior(data.to_unit(run_dir.images("test").x[:n]).to(device)).sample(rng),
    }
    out: dict[str, Any] = {"code_mean_square": float((real.double() ** 2).mean())}
    if not isinstance(model, Autoencoder):
        out["bound"] = described(bound_of(model, data.to_unit(test).to(device), rng))
    for name, z in sources.items():
        images = torch.cat([data.to_uint8(model.decode(part).mean.cpu()) for part in torch.split(z, 250)])
        out[name] = quality.distances(images)
    return out


def stages(setting: EqualBudget, run_dir: RunDir) -> list[list[Job]]:
    """The autoencoder, then a VAE at each β: trained (that of β = 1 is of equal budget, too), measured."""
    own = replace(setting, seeds=setting.seeds[:1])
    trainings = [run_dir.job(f"trained-beta-{b:g}", report, training(own, b)) for b in (0.0, *BETAS)]
    measurements = [run_dir.job(f"beta-{b:g}", measure, own, b) for b in (0.0, *BETAS)]
    return [trainings, [reference_job(setting.samples, run_dir), *measurements]]
