"""Our VAE and pythae's for equal processor time, on one ruler: the bound of 256 levels, in bits/dim.

pythae's default loss is ½‖x − x̂‖² + KL on [0, 1]: a Gaussian of σ = 1, which is 2 in our units. As a
likelihood of 256 levels that is poor, so a σ chosen on training images is reported too; and pythae's
BetaVAE, in which β = σ² makes the loss that of a Gaussian of that σ, trained as ours is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from lowerbound import data, metrics, zoo
from lowerbound.bound import Bound
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import DiscretisedGaussian
from lowerbound.zoo import PRESETS
from torch import Tensor, nn

from tools.bench.runs import means
from tools.bench.settings import Settings
from tools.bench.training import Plan, own_loss, train

LATENTS = PRESETS["vae-cpu"][0].latents
SIGMAS = [math.exp(-4 + 0.05 * i) for i in range(95)]  # from 0.02 to 2, in units of [−1, 1]
SHIPPED_SIGMA = 2.0
BETA = 0.01  # σ = 0.1 on [0, 1]
CANDIDATES = ("lowerbound", "pythae", "pythae_beta")


class FromPythae(nn.Module):
    """A pythae model with `bound` as ours have it: images and the σ of its Gaussian in units of [−1, 1]."""

    def __init__(self, model: Any, sigma: float) -> None:
        super().__init__()
        self.model, self.sigma = model, sigma

    def coded(self, x: Tensor, rng: torch.Generator | None) -> tuple[Gaussian, Tensor]:
        """q(z | x) of x (B, 1, 28, 28), and the decoder's mean for one z, (B, 1, 28, 28)."""
        code = self.model.encoder((x + 1) / 2)
        q = Gaussian(code.embedding, code.log_covariance)
        return q, 2 * self.model.decoder(q.sample(rng)).reconstruction - 1

    def loss(self, x: Tensor) -> Tensor:
        """The loss that pythae itself minimises, a scalar."""
        return self.model({"data": (x + 1) / 2}).loss

    def bound(self, x: Tensor, rng: torch.Generator | None = None) -> Bound:
        """The negative ELBO of x (B, ...), its Gaussian integrated over each of the 256 bins. L = 1."""
        q, mean = self.coded(x, rng)
        return Bound(distortion=-self._likelihood(mean).log_prob(x), rates=q.kl()[:, None])

    def _likelihood(self, mean: Tensor) -> DiscretisedGaussian:
        return DiscretisedGaussian(mean, torch.tensor(math.log(self.sigma)))

    @torch.no_grad()
    def fit_sigma(self, x: Tensor, rng: torch.Generator) -> None:
        """Set σ to what suits training images x (B, ...) best; the rate does not depend on it."""
        _, mean = self.coded(x, rng)

        def cost(sigma: float) -> float:
            self.sigma = sigma
            return -float(self._likelihood(mean).log_prob(x).double().mean())

        self.sigma = min(SIGMAS, key=cost)


def build(name: str) -> Any:
    """A candidate with random weights."""
    if name == "lowerbound":
        return zoo.build(PRESETS["vae-cpu"][0])
    from pythae.models import VAE, BetaVAE, BetaVAEConfig, VAEConfig

    shape = {"input_dim": (1, 28, 28), "latent_dim": LATENTS}
    if name == "pythae":
        return FromPythae(VAE(VAEConfig(**shape)), SHIPPED_SIGMA)
    return FromPythae(BetaVAE(BetaVAEConfig(**shape, beta=BETA)), SHIPPED_SIGMA * BETA**0.5)


def one(name: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Train and measure one candidate."""
    torch.manual_seed(seed)
    model = build(name)
    x, test = (data.load("fashion-mnist", split, full=True).x for split in ("train", "test"))
    plans = {
        "lowerbound": Plan(settings.vae_seconds, seed=seed, precision="bfloat16"),
        # BaseTrainer's defaults: Adam with torch's betas, constant 1e-4, float32
        "pythae": Plan(settings.vae_seconds, lr=1e-4, betas=(0.9, 0.999), seed=seed, constant=True),
        "pythae_beta": Plan(settings.vae_seconds, seed=seed),
    }

    def theirs(model: Any, batch: Tensor, rng: torch.Generator) -> Tensor:
        return model.loss(batch)

    trained = train(model, x, own_loss if name == "lowerbound" else theirs, plans[name])
    rng = torch.Generator().manual_seed(1000 + seed)
    out = {"parameters": zoo.parameters(model), **trained}
    if name != "lowerbound":
        bits, error = metrics.bits_per_dim(model, test[: settings.test_images], rng, 500)
        out |= {"shipped_bits_per_dim": bits, "shipped_standard_error": error}
        model.fit_sigma(data.to_unit(x[:2000]), rng)
        out["sigma"] = model.sigma
    bits, error = metrics.bits_per_dim(model, test[: settings.test_images], rng, 500)
    return {**out, "bits_per_dim": bits, "standard_error": error}


def measure(settings: Settings, fresh: bool) -> dict[str, Any]:
    """Every candidate with every seed, several at once, one thread each."""
    size = f"{settings.vae_seconds:g}s-{settings.test_images}"
    return {
        "seconds": settings.vae_seconds,
        "seeds": settings.seeds,
        "test_images": settings.test_images,
        "latents": LATENTS,
        "beta": BETA,
        "models": means("vae", list(CANDIDATES), size, settings, fresh),
    }
