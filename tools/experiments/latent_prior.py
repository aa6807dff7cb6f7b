"""A diffusion model as prior of the shipped VAE: trained on its codes, its bits, its samples judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from lowerbound import data, zoo
from lowerbound.estimate import stratified_bound
from lowerbound.fit import Recipe, fit
from lowerbound.gaussian import Gaussian
from lowerbound.latent import DiffusionPrior
from lowerbound.schedule import log_snr_linear
from lowerbound.vae import VAE, LatentMixture
from torch import Tensor

from tools.experiments import comparison, registry
from tools.experiments.run_dir import RunDir
from tools.jobs import Job, environment

VAE_NAME = "vae-fashion-long"
CLASSES = 10
LOWEST = -9.0  # log SNR


@dataclass(frozen=True)
class LatentPrior:
    """What it costs.

    images: to whose codes priors are fitted; components: tried in the mixture
    width, depth: of the network; steps, batch, lr, ema: of its training; hidden: share without their class
    seeds: of the training; calls: for the first seed; repeated: for the others too
    samples: judged; tested: images in the bits; levels: of the chain, from which its bound is estimated
    starts: log SNR at t = 1, of which the best on codes of training images is taken
    """

    images: int = 20_000
    components: tuple[int, ...] = (1, 5, 10, 20, 50)
    width: int = 192
    depth: int = 4
    steps: int = 1500
    batch: int = 256
    lr: float = 2e-3
    ema: float = 0.998
    hidden: float = 0.5
    seeds: tuple[int, ...] = (0, 1, 2)
    calls: tuple[int, ...] = (10, 5, 2, 20)
    repeated: tuple[int, ...] = (10,)
    samples: int = 2500
    tested: int = 1000
    levels: int = 64
    starts: tuple[float, ...] = (3.0, 5.0, 7.0, 9.0)


def setting(full: bool) -> LatentPrior:
    """All of it, or a little to see that it works."""
    small = LatentPrior(200, (1, 2), 16, 1, 3, 32, seeds=(0, 1), calls=(2, 1), repeated=(2,), samples=40)
    return LatentPrior() if full else replace(small, tested=20, levels=4, starts=(3.0, 5.0))


def vae(run_dir: RunDir) -> VAE:
    """The shipped VAE, on the device."""
    model: VAE = zoo.load(VAE_NAME, device=run_dir.device)
    return model


@torch.no_grad()
def encoded(x: Tensor, name: str, run_dir: RunDir) -> Gaussian:
    """The encoder's Gaussians of uint8 images x (N, 1, 28, 28), each (N, K); kept in the scratch folder."""
    path = run_dir.scratch / f"codes-{name}-{len(x)}.pt"
    if not path.is_file():
        model = vae(run_dir)
        parts = [model.posterior(data.to_unit(part).to(run_dir.device)) for part in torch.split(x, 500)]
        torch.save([torch.cat([q.mean for q in parts]), torch.cat([q.logvar for q in parts])], path)
    return Gaussian(*torch.load(path, map_location=run_dir.device))


def drawn_loss(prior: DiffusionPrior, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """The chain's loss per latent on a fresh draw from each encoder's Gaussian; x (B, 2K): mean, logvar."""
    z = Gaussian(*x.chunk(2, 1)).sample(rng)
    return prior.chain.loss(prior.standardised(z), rng, y).mean() / z.shape[1]


def trained(size: LatentPrior, seed: int, run_dir: RunDir) -> tuple[DiffusionPrior, dict[str, Any]]:
    """A prior trained on codes drawn anew at each step; and its number of weights and seconds."""
    images = run_dir.images("train")
    q = encoded(images.x[: size.images], "train", run_dir)
    codes = q.sample(run_dir.rng(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior: Any = zoo.build(architecture(size)).to(run_dir.device)
    prior.shift.copy_(codes.mean(0))
    prior.scale.copy_(codes.std(0))
    prior.chain.drop_class = size.hidden
    losses = fit(
        prior,
        torch.cat([q.mean, q.logvar], 1),
        Recipe(size.steps, size.batch, size.lr, warmup=100, ema=size.ema, seed=seed),
        images.y[: size.images].to(run_dir.device),
        drawn_loss,
        checkpoint=run_dir.scratch / f"latent-{seed}.checkpoint",
        progress=False,
    )
    about = {"parameters": zoo.parameters(prior.chain.net), "training_cpu_seconds": losses.cpu_seconds}
    return prior.eval().requires_grad_(False), about


def prior_of(size: LatentPrior, seed: int, run_dir: RunDir) -> tuple[DiffusionPrior, dict[str, Any]]:
    """The trained prior, kept in the scratch folder as the zoo keeps models: rounded to float16."""
    name = f"latent-{seed}"
    if name not in zoo.names(run_dir.scratch):
        prior, about = trained(size, seed, run_dir)
        how = {"recipe": {"seed": seed, "steps": size.steps, "batch": size.batch, "lr": size.lr}, **about}
        how |= {"codes": VAE_NAME, "data": f"Fashion-MNIST, codes of {size.images} training images"}
        zoo.export(prior, name, architecture(size), {**how, **environment(run_dir.device)}, run_dir.scratch)
    card = zoo.card(name, run_dir.scratch)
    return zoo.load(name, run_dir.scratch, run_dir.device), card


def architecture(size: LatentPrior) -> zoo.Architecture:
    """What the zoo builds."""
    return zoo.Architecture("prior", width=size.width, depth=size.depth, classes=CLASSES)


def judged(size: LatentPrior, seed: int, calls: int, run_dir: RunDir) -> dict[str, Any]:
    """Samples from one training by so many small calls, under every ruler."""
    prior, card = prior_of(size, seed, run_dir)
    said = _said(prior.respaced(calls), "diffusion prior", size, seed, calls, run_dir)
    return {**said, **{key: card[key] for key in ("parameters", "training_cpu_seconds")}}


def _said(
    source: Any, label: str, size: LatentPrior, seed: int, calls: int, run_dir: RunDir
) -> dict[str, Any]:
    draw: Callable[..., Tensor] = partial(vae(run_dir).sample, codes=source)
    few = replace(comparison.SETTINGS["full"], samples=size.samples)
    sampler = registry.Sampler(label, calls, {"": draw})
    return {"kind": "samples", "seed": seed, **comparison.sampled(few, sampler, seed, run_dir)}


class _Codes:
    """Codes of training images in the place of a prior: what no prior of the same decoder can do better."""

    def __init__(self, q: Gaussian) -> None:
        self.q = q

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """One draw for each of n images, chosen at random."""
        rows = torch.randint(len(self.q.mean), (n,), generator=rng, device=self.q.mean.device)
        return Gaussian(self.q.mean[rows], self.q.logvar[rows]).sample(rng)


def from_codes(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """Samples from codes of training images, under every ruler."""
    q = encoded(run_dir.images("train").x[: size.images], "train", run_dir)
    return _said(_Codes(q), "codes of training images", size, 0, 0, run_dir)


@torch.no_grad()
def bits(size: LatentPrior, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """Nats of rate by each prior, on the same codes of the same test images, and the differences."""
    model, rng = vae(run_dir), run_dir.rng(7)
    seen = encoded(run_dir.images("train").x[: size.images], "train", run_dir)
    x = run_dir.images("test").x[: size.tested]
    q = encoded(x, "test", run_dir)
    z, known = q.sample(rng), seen.sample(rng)
    cut = len(known) - len(known) // 10
    fits = [LatentMixture.fit(known[:cut], k, rng, 20) for k in size.components]
    mixture = max(fits, key=lambda fit: float(fit.log_prob(known[cut:]).mean()))
    few = known[: max(50, size.tested // 2)]
    best, start = math.inf, 0.0
    prior, _ = prior_of(size, seed, run_dir)
    for first in size.starts:
        chain = prior.with_schedule(log_snr_linear(1000, first, LOWEST)).chain
        u = prior.standardised(few)
        cost = float(stratified_bound(chain.fit_last_step(u, rng), u, rng, size.levels).nats().mean())
        best, start = min((best, start), (cost, first))
    chain = prior.with_schedule(log_snr_linear(1000, start, LOWEST)).chain
    chain.fit_last_step(prior.standardised(few), rng)
    below = stratified_bound(chain, prior.standardised(z), rng, size.levels).nats()
    rates = {
        "N(0, I)": q.kl(),
        "mixture": mixture.rate(q, z),
        "diffusion": below + prior.scale.log().sum() - q.entropy(),
    }
    images = data.to_unit(x).to(run_dir.device)
    parts = zip(torch.split(z, 100), torch.split(images, 100), strict=True)
    distortion = torch.cat([-model.decode(code).log_prob(part) for code, part in parts])
    pairs = [("mixture", "N(0, I)"), ("diffusion", "N(0, I)"), ("diffusion", "mixture")]
    return {
        "kind": "bits",
        "images": size.tested,
        "start": start,
        "components": len(mixture.weights),
        "distortion": _estimate(distortion),
        "rates": {name: _estimate(rate) for name, rate in rates.items()},
        "less": {f"{a} less {b}": _estimate(rates[a] - rates[b]) for a, b in pairs},
    }


def _estimate(values: Tensor) -> dict[str, float]:
    each = values.double().cpu()
    return {"mean": float(each.mean()), "error": float(each.std() / math.sqrt(len(each)))}


def stages(size: LatentPrior, run_dir: RunDir) -> list[list[Job]]:
    """The first training and its bits, what bounds it, and the other trainings."""
    first, *others = size.seeds
    own = replace(size, seeds=(), calls=(), repeated=())

    def job(seed: int, calls: int) -> Job:
        return run_dir.job(f"latent-{seed}-calls-{calls}", judged, own, seed, calls)

    return [
        [job(first, calls) for calls in size.calls[:1]],
        [run_dir.job("latent-bits", bits, own, first)],
        [run_dir.job("latent-codes", from_codes, own)],
        [job(first, calls) for calls in size.calls[1:]],
        [job(seed, calls) for seed in others for calls in size.repeated],
    ]
