"""A diffusion model as prior of the shipped VAE: trained on its codes, its bits, its samples judged."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lowerbound import data, zoo
from lowerbound.diffusion import l_bound
from lowerbound.estimate import stratified_bound
from lowerbound.fit import Recipe, Step, fit
from lowerbound.gaussian import Gaussian
from lowerbound.latent import DiffusionPrior
from lowerbound.results import difference, over_images
from lowerbound.samplers import ddim, dpm_solver
from lowerbound.schedule import cosine, log_snr_linear
from lowerbound.vae import VAE, LatentMixture
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tools.experiments import comparison, registry
from tools.experiments.run_dir import RunDir
from tools.jobs import Job, cached, environment, fingerprint

VAE_NAME, IMAGE_NAME, SHIPS_AS = "vae-fashion-long", "ddpm-fashion-long", "prior-fashion"
CLASSES = 10
LOWEST = -9.0  # log SNR
Draw = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Chain:
    """A training of a prior, at a constant rate with averaged weights.

    images: to whose codes; width, depth: of the network; objective: "simple" over the cosine's levels, or
    "bound" over even steps of log SNR; hidden: share of codes without their class
    """

    images: int = 50_000
    width: int = 160
    depth: int = 4
    steps: int = 4000
    batch: int = 256
    lr: float = 1e-3
    ema: float = 0.999
    objective: str = "simple"
    hidden: float = 0.5


@dataclass(frozen=True)
class Trial:
    """VAE and prior trained on together, from where each alone has come. images: in the bits of it."""

    steps: int = 120
    batch: int = 32
    lr: float = 1e-4
    ema: float = 0.98
    images: int = 500


@dataclass(frozen=True)
class LatentPrior:
    """What it costs.

    chain: the prior that is judged, with the first of `seeds`; in `more` with each; others: trained once, for
        their curves alone
    marks: steps after which the averaged weights are measured on codes of `held` training images
    components: tried in the mixture, which is fitted to the codes of `chain.images` images
    calls: of the chain's sampler for the first seed; repeated: for the others too; draws: of the other starts
    samples: judged of each; candidates: drawn to choose between samplers
    image_calls: of image diffusion, on the clock
    tested: images in the bits; paired: those that image diffusion is asked for too
    levels: of the chain, from which its bound is estimated
    starts: log SNR at t = 1, of which the best on codes of training images is taken
    clocked: images of a reading of the clock; readings: of each way to sample, in turn
    """

    chain: Chain = Chain()
    others: tuple[tuple[str, Chain], ...] = (
        ("that of the lab", Chain(images=2000, width=128, depth=3, steps=2000)),
        ("that of the lab, more images", Chain(width=128, depth=3, steps=2000)),
        ("trained for the bound", Chain(objective="bound", steps=2000)),
    )
    marks: tuple[int, ...] = (300, 1000, 2000, 4000)
    held: int = 1000
    components: tuple[int, ...] = (1, 10, 50)
    seeds: tuple[int, ...] = (0, 1, 2)
    calls: tuple[int, ...] = (10, 2, 50, 5, 1, 20)
    repeated: tuple[int, ...] = (2, 10, 50)
    draws: tuple[int, ...] = (0, 1)
    samples: int = 2500
    candidates: int = 500
    image_calls: tuple[int, ...] = (2, 4, 8, 16)
    tested: int = 4000
    paired: int = 100
    levels: int = 64
    starts: tuple[float, ...] = (3.0, 5.0, 7.0, 9.0)
    clocked: int = 50
    readings: int = 3
    trial: Trial = Trial()


def setting(full: bool) -> LatentPrior:
    """All of it, or a little to see that it works."""
    if full:
        return LatentPrior()
    chain = Chain(200, 16, 1, 4, 32)
    return LatentPrior(
        chain,
        (("wider", replace(chain, width=32)),),
        marks=(2, 4),
        held=40,
        components=(1, 2),
        seeds=(0, 1),
        calls=(1, 2),
        repeated=(2,),
        draws=(0,),
        samples=40,
        candidates=20,
        image_calls=(1,),
        tested=20,
        paired=4,
        levels=4,
        starts=(3.0, 5.0),
        clocked=2,
        readings=2,
        trial=Trial(2, 8, images=8),
    )


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


def known(size: LatentPrior, run_dir: RunDir) -> Gaussian:
    """Codes of the images that the priors learn from."""
    return encoded(run_dir.images("train").x[: size.chain.images], "train", run_dir)


def held_back(size: LatentPrior, run_dir: RunDir) -> Gaussian:
    """Codes of training images of the VAE that no prior learns from."""
    return encoded(run_dir.images("train").x[-size.held :], "held", run_dir)


# ---- a prior, trained


def drawn_loss(prior: DiffusionPrior, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
    """The chain's loss per latent on a fresh draw from each encoder's Gaussian; x (B, 2K): mean, logvar."""
    z = Gaussian(*x.chunk(2, 1)).sample(rng)
    return prior.chain.loss(prior.standardised(z), rng, y).mean() / z.shape[1]


@torch.no_grad()
def chain_rate(
    prior: DiffusionPrior, q: Gaussian, z: Tensor, seen: Tensor, size: LatentPrior, rng: torch.Generator
) -> tuple[Tensor, float]:
    """A bound of the rate of codes z (B, K) drawn from q, (B,) nats; and the log SNR at which it begins.

    The first level and the width of the last step are chosen on `seen`, codes of training images.
    """
    u = prior.standardised(seen)

    def begun(first: float) -> Any:
        chain = prior.with_schedule(log_snr_linear(1000, first, LOWEST)).chain
        return chain.fit_last_step(u, rng)

    few = {first: stratified_bound(begun(first), u, rng, size.levels).nats().mean() for first in size.starts}
    start = min(few, key=few.__getitem__)
    below = stratified_bound(begun(start), prior.standardised(z), rng, size.levels).nats()
    return below + prior.scale.log().sum() - q.entropy(), start


def validation_rate(prior: DiffusionPrior, size: LatentPrior, run_dir: RunDir) -> dict[str, float]:
    """The rate on codes that were held back, the same for every prior; mean and error over images."""
    rng, q = run_dir.rng(77), held_back(size, run_dir)
    z, seen = q.sample(rng), known(size, run_dir).sample(rng)[: max(50, size.held // 10)]
    return _estimate(chain_rate(prior, q, z, seen, size, rng)[0])


def architecture(chain: Chain) -> zoo.Architecture:
    """What the zoo builds."""
    schedule = "log-snr-linear" if chain.objective == "bound" else "cosine"
    objective = {"schedule": schedule, "objective": chain.objective}
    return zoo.Architecture("prior", width=chain.width, depth=chain.depth, classes=CLASSES, **objective)


def trained(
    size: LatentPrior, chain: Chain, seed: int, run_dir: RunDir
) -> tuple[DiffusionPrior, dict[str, Any]]:
    """A prior trained on codes drawn anew at each step; its curve, its number of weights and its seconds."""
    images, name = run_dir.images("train"), training_name(chain, seed)
    q = known(size, run_dir)
    q = Gaussian(q.mean[: chain.images], q.logvar[: chain.images])
    codes = q.sample(run_dir.rng(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior: Any = zoo.build(architecture(chain)).to(run_dir.device)
    prior.shift.copy_(codes.mean(0))
    prior.scale.copy_(codes.std(0))
    prior.chain.drop_class = chain.hidden

    def look(step: Step, average: Any) -> None:
        if step.step in size.marks:
            path = run_dir.scratch / f"{name}.{step.step}.json"
            cached(path, [name, size.held], lambda: validation_rate(average, size, run_dir), replace=True)

    losses = fit(
        prior,
        torch.cat([q.mean, q.logvar], 1),
        Recipe(chain.steps, chain.batch, chain.lr, warmup=100, ema=chain.ema, seed=seed, final=1.0),
        images.y[: chain.images].to(run_dir.device),
        drawn_loss,
        checkpoint=run_dir.scratch / f"{name}.checkpoint",
        progress=False,
        on_step=look,
    )
    curve = [
        {"step": mark, **cached(run_dir.scratch / f"{name}.{mark}.json", [name, size.held], dict)}
        for mark in size.marks
        if mark <= chain.steps
    ]
    about = {
        "parameters": zoo.parameters(prior.chain.net),
        "training_cpu_seconds": losses.cpu_seconds,
        "curve": curve,
    }
    return prior.eval().requires_grad_(False), about


def training_name(chain: Chain, seed: int) -> str:
    """Where a training is kept: another setting has another name."""
    return f"prior-{fingerprint([chain, seed])}"


def prior_of(
    size: LatentPrior, chain: Chain, seed: int, run_dir: RunDir
) -> tuple[DiffusionPrior, dict[str, Any]]:
    """The trained prior, kept in the scratch folder as the zoo keeps models: rounded to float16."""
    name = training_name(chain, seed)
    if name not in zoo.names(run_dir.scratch):
        with torch.enable_grad():  # whoever measures without gradients may be the first to ask for it
            prior, about = trained(size, chain, seed, run_dir)
        recipe = {"steps": chain.steps, "batch": chain.batch, "lr": chain.lr, "ema": chain.ema, "seed": seed}
        how = {"recipe": recipe, "codes_of": VAE_NAME}
        how |= {"data": f"Fashion-MNIST, codes of the first {chain.images} training images"}
        how |= {"images_seen": chain.steps * chain.batch, **about, **environment(run_dir.device)}
        zoo.export(prior, name, architecture(chain), how, run_dir.scratch)
    return zoo.load(name, run_dir.scratch, run_dir.device), zoo.card(name, run_dir.scratch)


def curve(size: LatentPrior, label: str, chain: Chain, seed: int, run_dir: RunDir) -> dict[str, Any]:
    """The rate on codes held back, over the training."""
    _, card = prior_of(size, chain, seed, run_dir)
    said = {key: card[key] for key in ("parameters", "training_cpu_seconds", "curve")}
    about = {"images": chain.images, "width": chain.width, "depth": chain.depth, "objective": chain.objective}
    return {"kind": "curve", "label": label, "seed": seed, **about, **said}


def ship(run_dir: RunDir, folder: Path) -> Path:
    """Write the first seed's prior and its card as a model that ships; the path of its weights."""
    size = setting(run_dir.full)
    prior, card = prior_of(size, size.chain, size.seeds[0], run_dir)
    about = {key: value for key, value in card.items() if key not in ("name", "architecture", "weights")}
    last, cpu_seconds = about["curve"][-1], round(about.pop("training_cpu_seconds"))
    metrics = {"rate_nats": last["mean"], "standard_error": last["error"], "held_back_images": size.held}
    said = {"preset": "latent_prior", "seconds": cpu_seconds, "seconds_note": "of processor time"}
    about = {**said, **about, "metrics": metrics}
    return zoo.export(prior, SHIPS_AS, architecture(size.chain), about, folder)


# ---- samples


@dataclass(frozen=True)
class Walk:
    """A prior with its sampler: where codes come from."""

    prior: DiffusionPrior
    sampler: Any

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """Draw n codes (n, K)."""
        return self.prior.sample(n, rng, sampler=self.sampler)


def walks(prior: DiffusionPrior, calls: int) -> dict[str, Walk]:
    """DDIM on the cosine's steps, and DPM-Solver++ on even ones."""
    even = prior.with_schedule(registry.even_chain(calls, 4.0))
    return {
        "DDIM, cosine": Walk(prior.with_schedule(cosine(1000).respace(calls)), ddim),
        "DPM-Solver++, even": Walk(even, dpm_solver),
    }


def multiply_adds(draw: Draw, rng: torch.Generator) -> float:
    """Of one sample, all that its networks are asked."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        draw(1, rng)
    return float(counter.get_total_flops()) / 2


class Codes:
    """Codes of training images in the place of a prior: what no prior of the same decoder can do better."""

    def __init__(self, q: Gaussian) -> None:
        self.q = q

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """One draw for each of n images, chosen at random."""
        rows = torch.randint(len(self.q.mean), (n,), generator=rng, device=self.q.mean.device)
        return Gaussian(self.q.mean[rows], self.q.logvar[rows]).sample(rng)


def mixture(size: LatentPrior, components: int, run_dir: RunDir) -> LatentMixture:
    """Gaussians fitted to a draw from each known image's codes; kept in the scratch folder."""
    path = run_dir.scratch / f"mixture-{components}-{size.chain.images}.pt"
    if not path.is_file():
        rng = run_dir.rng(components)
        fit = LatentMixture.fit(known(size, run_dir).sample(rng), components, rng, 15)
        torch.save([fit.weights, fit.means, fit.scales], path)
    return LatentMixture(*torch.load(path, map_location=run_dir.device))


def mixtures(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """The rate of each number of Gaussians on the codes held back, and which is least."""
    q = held_back(size, run_dir)
    z = q.sample(run_dir.rng(77))
    rates = [_estimate(mixture(size, k, run_dir).rate(q, z)) for k in size.components]
    best = min(range(len(rates)), key=lambda i: rates[i]["mean"])
    tried = [{"components": k, **rate} for k, rate in zip(size.components, rates, strict=True)]
    return {"kind": "mixtures", "tried": tried, "best": size.components[best]}


def starts(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """Where codes may come from without a chain, by name."""
    best = mixtures(size, run_dir)["best"]
    return {
        "N(0, I)": None,
        "one Gaussian": mixture(size, 1, run_dir),
        "mixture": mixture(size, best, run_dir),
        "codes of training images": Codes(known(size, run_dir)),
    }


def from_start(size: LatentPrior, label: str, seed: int, noise: bool, run_dir: RunDir) -> dict[str, Any]:
    """Samples from one of `starts`, under every ruler; with `noise` a draw from p(x | z), not its mean."""
    draws = {"": partial(vae(run_dir).sample, codes=starts(size, run_dir)[label], last_noise=noise)}
    return _said(draws, label, 0, size, seed, noise, run_dir)


def from_chain(size: LatentPrior, seed: int, calls: int, noise: bool, run_dir: RunDir) -> dict[str, Any]:
    """Samples from one training by so many small calls, under every ruler."""
    prior, _ = prior_of(size, size.chain, seed, run_dir)
    draw = partial(vae(run_dir).sample, last_noise=noise)
    draws = {name: partial(draw, codes=walk) for name, walk in walks(prior, calls).items()}
    return _said(draws, "chain", calls, size, seed, noise, run_dir)


def _said(
    draws: dict[str, Any], label: str, calls: int, size: LatentPrior, seed: int, noise: bool, run_dir: RunDir
) -> dict[str, Any]:
    few = replace(comparison.SETTINGS["full"], samples=size.samples, candidates=size.candidates)
    judged = comparison.sampled(few, registry.Sampler(label, calls, draws), seed, run_dir)
    adds = multiply_adds(draws[judged["chosen"]], run_dir.rng(0))
    end = "draw" if noise else "mean"
    return {"kind": "samples", "seed": seed, "end": end, "multiply_adds": adds, **judged}


def clock(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """Processor milliseconds and multiply-adds of an image, each way in turn, `readings` times."""
    model, image = vae(run_dir), zoo.load(IMAGE_NAME, device=run_dir.device)
    prior, _ = prior_of(size, size.chain, size.seeds[0], run_dir)
    ways: dict[tuple[str, int], Draw] = {
        (name, 0): partial(model.sample, codes=source) for name, source in starts(size, run_dir).items()
    }
    for calls in size.calls:
        ways["chain", calls] = partial(model.sample, codes=walks(prior, calls)["DDIM, cosine"])
    for calls in size.image_calls:
        chain = image.with_schedule(registry.even_chain(calls, 4.0))
        ways["image diffusion", calls] = partial(chain.sample, sampler=dpm_solver)
    now = time.process_time if run_dir.device == "cpu" else time.perf_counter
    taken: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    for reading in range(size.readings + 1):  # the first is a warm-up
        for way, draw in ways.items():
            began = now()
            draw(size.clocked, run_dir.rng(reading)).sum().item()
            taken[way].append(1000 * (now() - began) / size.clocked)
    rows = [
        {
            **{"sampler": way[0], "calls": way[1]},
            **{"ms": statistics.median(taken[way][1:]), "each": taken[way][1:]},
            "multiply_adds": multiply_adds(draw, run_dir.rng(0)),
        }
        for way, draw in ways.items()
    ]
    return {"kind": "clock", "images": size.clocked, "rows": rows}


# ---- bits


@torch.no_grad()
def distortion(model: VAE, x: Tensor, z: Tensor, run_dir: RunDir) -> Tensor:
    """−log p(x | z) of uint8 images x at codes z, (B,) nats."""
    parts = zip(torch.split(z, 250), torch.split(x, 250), strict=True)
    return torch.cat(
        [-model.decode(code).log_prob(data.to_unit(part).to(run_dir.device)) for code, part in parts]
    )


@torch.no_grad()
def bits(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """Nats of rate by each prior, on the same codes of the same test images, and the differences.

    Those of the chain are over the images, and over its trainings if there are several; of the others there
    is one of each.
    """
    model, rng = vae(run_dir), run_dir.rng(7)
    x = run_dir.images("test").x[: size.tested]
    q = encoded(x, "test", run_dir)
    z, seen = q.sample(rng), known(size, run_dir).sample(rng)[:1000]
    source = starts(size, run_dir)
    single = {
        "N(0, I)": q.kl(),
        "one Gaussian": source["one Gaussian"].rate(q, z),
        "mixture": source["mixture"].rate(q, z),
    }
    chains, begun = [], []
    for seed in size.seeds:
        prior, _ = prior_of(size, size.chain, seed, run_dir)
        rate, start = chain_rate(prior, q, z, seen, size, rng)
        chains.append(rate)
        begun.append(start)
    lists = {name: rate.double().cpu().tolist() for name, rate in single.items()}
    of_chains, comparisons = [rate.double().cpu().tolist() for rate in chains], len(single) + 1
    less = {}
    for name, values in lists.items():
        if len(of_chains) > 1:
            interval = difference(of_chains, [values] * len(of_chains), comparisons)
        else:
            interval = over_images(of_chains[0], values, comparisons)
        less[f"chain less {name}"] = [interval.mean, interval.low, interval.high]
    interval = over_images(lists["mixture"], lists["N(0, I)"], comparisons)
    less["mixture less N(0, I)"] = [interval.mean, interval.low, interval.high]
    cost = distortion(model, x, z, run_dir)
    totals = {name: cost + rate for name, rate in {**single, "chain": chains[0]}.items()}
    return {
        "kind": "bits",
        "images": len(x),
        "starts": begun,
        "components": len(source["mixture"].weights),
        "entropy": _estimate(q.entropy()),
        "distortion": _estimate(cost),
        "rates": {name: _estimate(rate) for name, rate in single.items()},
        "chains": [_estimate(rate) for rate in chains],
        "less": less,
        "comparisons": comparisons,
        "bits_per_dim": {name: _estimate(registry.to_bits(total)) for name, total in totals.items()},
    }


@torch.no_grad()
def image_bits(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """Bits/dim of image diffusion beside those of the VAE with each prior, on the first test images."""
    train, test = run_dir.images("train").x, run_dir.images("test").x[: size.paired]
    model, rng = vae(run_dir), run_dir.rng(8)
    few, images = (data.to_unit(part).to(run_dir.device) for part in (train[:100], test))
    measure = registry.Measure(few, few, images, run_dir.rng(1000), calls=size.levels)
    found = {
        "image diffusion": registry.chain_bits(zoo.load(IMAGE_NAME, device=run_dir.device), measure)["bound"]
    }
    q = encoded(test, "paired", run_dir)
    z, seen = q.sample(rng), known(size, run_dir).sample(rng)[:1000]
    cost = distortion(model, test, z, run_dir)
    prior, _ = prior_of(size, size.chain, size.seeds[0], run_dir)
    rates = {"N(0, I)": q.kl(), "mixture": starts(size, run_dir)["mixture"].rate(q, z)}
    rates["chain"] = chain_rate(prior, q, z, seen, size, rng)[0]
    found |= {name: registry.to_bits(cost + rate) for name, rate in rates.items()}
    less = {}
    for name in rates:
        interval = over_images(found["image diffusion"].tolist(), found[name].tolist(), len(rates))
        less[f"image diffusion less {name}"] = [interval.mean, interval.low, interval.high]
    said = {name: _estimate(values) for name, values in found.items()}
    return {"kind": "image bits", "images": len(test), "bits_per_dim": said, "less": less}


def _estimate(values: Tensor) -> dict[str, float]:
    each = values.double().cpu()
    return {"mean": float(each.mean()), "error": float(each.std() / math.sqrt(len(each)))}


# ---- both at once


def together(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """What a little more training gives: of the chain alone, of the VAE alone, and of both at once.

    Each goes on from the shipped VAE and the first seed's prior, with as many steps of as many images at the
    same rate, and is measured on the same test images with the same noise.
    """
    trial, x = size.trial, run_dir.images("train").x[: size.chain.images]
    test = run_dir.images("test").x[: trial.images]
    prior, _ = prior_of(size, size.chain, size.seeds[0], run_dir)
    even = prior.with_schedule(log_snr_linear(1000, size.starts[1], LOWEST))
    even.chain.objective = l_bound
    even.chain.fit_last_step(even.standardised(known(size, run_dir).sample(run_dir.rng(0))[:1000]))

    def went_on(name: str, model: Any, images: Tensor, **loss: Any) -> Any:
        recipe = Recipe(trial.steps, trial.batch, trial.lr, warmup=20, ema=trial.ema, final=1.0)
        path = run_dir.scratch / f"together-{name}-{fingerprint([trial, size.chain])}.checkpoint"
        fit(model, images, recipe, checkpoint=path, every=100, progress=False, **loss)
        return model.eval()

    q = known(size, run_dir)
    codes, begun = torch.cat([q.mean, q.logvar], 1), vae(run_dir).with_prior(even)
    chain = went_on("chain", deepcopy(even), codes, loss=drawn_loss)
    models = {
        "as they are": begun,
        "chain trained on": begun.with_prior(chain),
        "VAE as it is, N(0, I)": vae(run_dir),
        "VAE trained on, N(0, I)": went_on("vae", vae(run_dir), x),
        "both trained on": went_on("both", deepcopy(begun), x),
    }
    total: dict[str, Tensor] = {}
    parts: dict[str, Any] = {}
    for name, model in models.items():
        total[name], parts[name] = whole_bound(model, test, x[:1000], size, run_dir)
    pairs = [
        ("both trained on", "as they are"),
        ("both trained on", "chain trained on"),
        ("VAE trained on, N(0, I)", "VAE as it is, N(0, I)"),
    ]
    less = {}
    for first, second in pairs:
        interval = over_images(total[first].tolist(), total[second].tolist(), len(pairs))
        less[f"{first} less {second}"] = [interval.mean, interval.low, interval.high]
    return {"kind": "together", "images": len(test), "nats": parts, "less": less}


@torch.no_grad()
def whole_bound(
    model: VAE, test: Tensor, seen: Tensor, size: LatentPrior, run_dir: RunDir
) -> tuple[Tensor, dict[str, dict[str, float]]]:
    """The bound of each test image under a VAE with its prior, (B,) nats, and its parts."""
    rng, q = run_dir.rng(5), _posterior(model, test, run_dir)
    z = q.sample(rng)
    cost, rate = distortion(model, test, z, run_dir), q.kl()
    if isinstance(model.prior, DiffusionPrior):
        codes = _posterior(model, seen, run_dir).sample(rng)
        rate, _ = chain_rate(model.prior, q, z, codes, size, rng)
    parts = {"distortion": cost, "rate": rate, "bound": cost + rate}
    return (cost + rate).double().cpu(), {name: _estimate(values) for name, values in parts.items()}


def _posterior(model: VAE, x: Tensor, run_dir: RunDir) -> Gaussian:
    found = [model.posterior(data.to_unit(part).to(run_dir.device)) for part in torch.split(x, 500)]
    return Gaussian(torch.cat([q.mean for q in found]), torch.cat([q.logvar for q in found]))


# ---- all of it


def _parts(size: LatentPrior, run_dir: RunDir) -> dict[str, Any]:
    """How a job of each kind is made."""
    none: dict[str, Any] = {"others": (), "seeds": (), "calls": (), "repeated": (), "draws": ()}
    none |= {"image_calls": ()}
    own = replace(size, **none)  # what a job does not depend on
    timed = replace(own, seeds=size.seeds[:1], calls=size.calls, image_calls=size.image_calls)

    def walked(seed: int, calls: int, noise: bool = False) -> Job:
        name = f"latent-chain-{seed}-{calls}" + ("-draw" if noise else "")
        return run_dir.job(name, from_chain, own, seed, calls, noise)

    def started(label: str, seed: int, noise: bool = False) -> Job:
        name = label.split()[0].replace("(0,", "").lower() + ("-draw" if noise else "")
        return run_dir.job(f"latent-{name}-{seed}", from_start, own, label, seed, noise)

    def learned(name: str, label: str, chain: Chain, seed: int) -> Job:
        return run_dir.job(f"latent-curve-{name}", curve, own, label, chain, seed)

    def single(name: str, measure: Any, of: LatentPrior = own) -> Job:
        return run_dir.job(f"latent-{name}", measure, of)

    return {"walked": walked, "started": started, "learned": learned, "single": single, "timed": timed}


def stages(size: LatentPrior, run_dir: RunDir) -> list[list[Job]]:
    """The first training, judged; what it is compared with; its bits and times."""
    make, first = _parts(size, run_dir), size.seeds[0]
    walked, started, single = make["walked"], make["started"], make["single"]
    bits_of = replace(size, others=(), calls=(), repeated=(), draws=(), image_calls=(), seeds=(first,))
    return [
        [make["learned"](f"chain-{first}", "judged below", size.chain, first)],
        [single("mixtures", mixtures)],
        [walked(first, calls) for calls in size.calls[:3]],
        [started(label, size.draws[0]) for label in ("N(0, I)", "mixture", "codes of training images")],
        [single("clock", clock, make["timed"])],
        [single("bits", bits, bits_of)],
        [walked(first, calls) for calls in size.calls[3:]],
    ]


def more(size: LatentPrior, run_dir: RunDir) -> list[list[Job]]:
    """Other trainings, bits beside image diffusion, both models at once, and the decoder's noise."""
    make, (first, *repeated) = _parts(size, run_dir), size.seeds
    walked, started, learned, single = (make[k] for k in ("walked", "started", "learned", "single"))
    of_first = replace(size, others=(), calls=(), repeated=(), draws=(), image_calls=(), seeds=(first,))
    return [
        [learned(f"other-{i}", label, chain, 0) for i, (label, chain) in enumerate(size.others)],
        [single("image-bits", image_bits, of_first)],
        [single("together", together, of_first)],
        [learned(f"chain-{seed}", "judged below", size.chain, seed) for seed in repeated],
        [walked(seed, calls) for seed in repeated for calls in size.repeated],
        [started(label, seed) for seed in size.draws[1:] for label in ("N(0, I)", "mixture")],
        [walked(first, size.calls[0], True), started("codes of training images", size.draws[0], True)],
    ]
