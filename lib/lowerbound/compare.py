"""`python -m lowerbound.compare`: the shipped VAE and DDPM on one ruler, written to results/comparison.json.

Bounds in bits/dim on test images, distances between samples and test images, calls and seconds an image.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from lowerbound import data, metrics, zoo
from lowerbound.bound import Bound
from lowerbound.diffusion import Diffusion
from lowerbound.samplers import ancestral, ddim, dpm_solver
from lowerbound.train import environment
from lowerbound.vae import VAE

SAMPLERS: dict[str, Callable[..., Iterator[Tensor]]] = {
    "DDIM": ddim,
    "ancestral": ancestral,
    "DPM-Solver++": dpm_solver,
}


def described(bound: Bound, dims: int) -> dict[str, float]:
    """The mean of a bound in bits/dim, whole and in its parts, with its standard error."""
    parts = {"distortion": bound.distortion, "rate": bound.rate, "prior": bound.rates[:, -1]}
    bits = {name: float(part.mean()) / (dims * math.log(2)) for name, part in parts.items()}
    whole = bound.bits_per_dim(dims)
    return {
        "bits_per_dim": float(whole.mean()),
        "standard_error": float(whole.std() / len(whole) ** 0.5),
        **bits,
    }


def joined(model: Any, x: Tensor, rng: torch.Generator, batch: int = 100) -> Bound:
    """`model.bound` over a large x (N, ...), in batches."""
    bounds = [model.bound(part, rng) for part in torch.split(x, batch)]
    return Bound(torch.cat([b.distortion for b in bounds]), torch.cat([b.rates for b in bounds]))


def timed(draw: Any, count: int, batch: int = 250) -> tuple[Tensor, float]:
    """`count` samples from draw(n), as uint8, and the seconds that one took."""
    start = time.perf_counter()
    images = torch.cat([data.to_uint8(draw(min(batch, count - i))) for i in range(0, count, batch)])
    return images, (time.perf_counter() - start) / count


def retimed(figures: dict[str, Any], vae: VAE, ddpm: Diffusion, repeats: int = 3, count: int = 250) -> None:
    """Measure the seconds of every row of samples again, in turns, and put the least into figures.

    For a machine that had other work when the samples were drawn.
    """
    rows, seconds = figures["samplers"], []
    for _ in range(repeats):
        for row in tqdm(rows, desc="seconds"):
            noise = row["sampler"] == "draw from the decoder"
            draw = (
                partial(vae.sample, last_noise=noise)
                if row["model"] == "VAE"
                else partial(ddpm.respaced(row["calls"]).sample, sampler=SAMPLERS[row["sampler"]])
            )
            seconds.append(timed(draw, count)[1])
    for i, row in enumerate(rows):
        row["seconds"] = min(seconds[i :: len(rows)])


@torch.no_grad()
def compare(
    vae: VAE,
    ddpm: Diffusion,
    classifier: Any,
    *,
    images: int,
    bound_images: int,
    samples: int,
    steps: dict[str, list[int]],
    sweep: list[int],
    seed: int = 0,
) -> dict[str, Any]:
    """Measure both models.

    images, bound_images: test images for the VAE's bound and for the DDPM's, which costs T calls an image
    samples: drawn for each distance; steps: numbers of steps for each sampler
    sweep: numbers of steps, below the model's own, at which its bound is measured
    """
    rng = torch.Generator().manual_seed(seed)
    train, test = (data.load("fashion-mnist", split, full=True) for split in ("train", "test"))
    unit, fit_to = data.to_unit(test.x), data.to_unit(train.x[:1000])
    dims = unit[0].numel()
    far = partial(metrics.distances, classifier, test.x)
    order = torch.randperm(len(train.x), generator=rng)[:samples]

    vae_bound = described(joined(vae, unit[:images], rng), dims)
    weighted = torch.cat(
        [metrics.log_prob_importance(vae, x, 16, rng) for x in torch.split(unit[:images], 500)]
    )
    vae_bound["importance_16"] = -float(weighted.mean()) / (dims * math.log(2))
    ddpm_bound = joined(ddpm, unit[:bound_images], rng)

    rows = []
    for name, noise in (("decoder's mean", False), ("draw from the decoder", True)):
        drawn, seconds = timed(partial(vae.sample, rng=rng, last_noise=noise), samples)
        rows.append({"model": "VAE", "sampler": name, "calls": 1, "seconds": seconds, **far(drawn)})
    for name, counts in steps.items():
        for T in tqdm(counts, desc=name):
            fewer = ddpm.respaced(T)
            drawn, seconds = timed(partial(fewer.sample, rng=rng, sampler=SAMPLERS[name]), samples)
            rows.append({"model": "DDPM", "sampler": name, "calls": T, "seconds": seconds, **far(drawn)})

    curve = []
    for T in tqdm(sweep, desc="bound against T"):
        fewer = ddpm.respaced(T).fit_last_step(fit_to, rng)
        curve.append({"T": T, **described(joined(fewer, unit[:bound_images], rng), dims)})
    curve.append({"T": ddpm.schedule.T, **described(ddpm_bound, dims)})
    per_step = ddpm_bound.rates.mean(0) / (dims * math.log(2))
    return {
        "vae": {"parameters": zoo.parameters(vae), "test_images": images, **vae_bound},
        "ddpm": {
            "parameters": zoo.parameters(ddpm),
            "test_images": bound_images,
            **described(ddpm_bound, dims),
            "log_snr": ddpm.schedule.log_snr[2:].tolist()[::10],
            "bits_by_ten_steps": torch.stack([p.sum() for p in torch.split(per_step[:-1], 10)]).tolist(),
        },
        "floor": far(train.x[order]),
        "samples": samples,
        "samplers": rows,
        "respaced": curve,
    }


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m lowerbound.compare [--quick]`."""
    parser = argparse.ArgumentParser(prog="python -m lowerbound.compare", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/comparison.json"))
    parser.add_argument("--quick", action="store_true", help="a few images and samples: seconds, not minutes")
    parser.add_argument("--times", action="store_true", help="measure the seconds in --out again, no more")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    sizes: dict[str, Any] = (
        {"images": 100, "bound_images": 2, "samples": 100, "steps": {"DDIM": [2]}, "sweep": [2, 4]}
        if args.quick
        else {
            "images": 10_000,
            "bound_images": 128,
            "samples": 2000,
            "steps": {"DDIM": [1, 2, 5, 10, 20, 50], "ancestral": [20, 50, 100], "DPM-Solver++": [5, 10, 20]},
            "sweep": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
        }
    )
    models = ["vae-fashion", "ddpm-fashion", "classifier-fashion"]
    made_with, start = environment(), time.monotonic()
    if args.times:
        out = json.loads(args.out.read_text(encoding="utf-8"))
        retimed(out, zoo.load("vae-fashion"), zoo.load("ddpm-fashion"))
        out["how"]["seconds_of_samplers"] = made_with
        args.out.write_text(json.dumps(_rounded(out), indent=1) + "\n", encoding="utf-8")
        return
    figures = compare(*(zoo.load(name) for name in models), **sizes, seed=args.seed)
    weights = {name: zoo.card(name)["weights"]["sha256"][:12] for name in models}
    how = {"command": "python -m lowerbound.compare", "seed": args.seed, "weights": weights, **made_with}
    out = {"how": {**how, "seconds": round(time.monotonic() - start)}, **figures}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(_rounded(out), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {args.out}")


def _rounded(value: Any) -> Any:
    """Numbers to five significant digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
