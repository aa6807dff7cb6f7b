"""`python -m lowerbound.train PRESET`: train a model on Fashion-MNIST and export it with its card."""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from lowerbound import data, metrics, zoo
from lowerbound.fit import Recipe, classifier_loss, default_loss, fit
from lowerbound.zoo import Architecture

PRESETS: dict[str, tuple[Architecture, Recipe]] = {
    "vae-smoke": (Architecture("vae", width=16, latents=8), Recipe(steps=20, warmup=5)),
    "ddpm-smoke": (Architecture("ddpm", width=16), Recipe(steps=20, warmup=5)),
    "classifier-smoke": (Architecture("classifier", width=16), Recipe(steps=20, warmup=5)),
    "vae-cpu": (Architecture("vae"), Recipe(steps=7_000, precision="bfloat16")),
    "ddpm-cpu": (Architecture("ddpm"), Recipe(steps=18_000, precision="bfloat16")),
    "classifier-cpu": (Architecture("classifier", width=32), Recipe(steps=7_000, precision="bfloat16")),
    "vae-gpu": (Architecture("vae"), Recipe(steps=30_000, batch=256, precision="bfloat16")),
    "ddpm-gpu": (Architecture("ddpm"), Recipe(steps=60_000, batch=256, ema=0.9995, precision="bfloat16")),
    "classifier-gpu": (Architecture("classifier", width=32), Recipe(steps=20_000, batch=256)),
}


def environment() -> dict[str, str]:
    """What a number was made with: commit of the checkout, torch, processor, accelerator, threads."""
    here = Path(__file__).parent
    git = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True)
    return {
        "commit": git.stdout.strip() or "not a checkout",
        "torch": torch.__version__.split("+")[0],
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": str(torch.get_num_threads()),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def run(
    name: str,
    architecture: Architecture,
    recipe: Recipe,
    out: Path,
    preset: str,
    device: str = "cpu",
    full: bool = True,
) -> Path:
    """Train one model on Fashion-MNIST, or go on with it, and export it to `out` with its card.

    full: all 60,000 images, or the bundled 4,000. Returns the path of the weights.
    """
    train, test = (data.load("fashion-mnist", split, full=full) for split in ("train", "test"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: Any = zoo.build(architecture).to(device)
    labelled = architecture.model == "classifier"
    made_with, checkpoint = environment(), out / f"{name}.checkpoint"
    labels = train.y if labelled or architecture.classes else None
    loss = classifier_loss if labelled else default_loss
    try:
        settings = asdict(architecture)
        losses = fit(model, train.x, recipe, labels, loss, checkpoint=checkpoint, settings=settings)
    except KeyboardInterrupt:
        raise SystemExit(f"stopped; the same command goes on from {checkpoint}") from None
    rng = torch.Generator(device).manual_seed(recipe.seed)
    if architecture.model == "ddpm":
        model.fit_last_step(data.to_unit(train.x[:1000]).to(device), rng)
    about = {
        "preset": preset,
        "recipe": asdict(recipe),
        "data": f"Fashion-MNIST, {len(train.x)} training images",
        "seconds": round(losses.seconds),
        "cpu_seconds": round(losses.cpu_seconds),
        **made_with,
    }
    path = zoo.export(model, name, architecture, about, out)
    model = zoo.load(name, out, device)  # measure what is shipped: the weights as rounded for the file
    about["metrics"] = metrics.summary(model, test, rng)
    zoo.export(model, name, architecture, about, out)
    with (out / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("step", "loss"), *enumerate(losses, 1)])
    print(f"{path}: {about['metrics']}")
    return path


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m lowerbound.train PRESET [--steps N …]`."""
    parser = argparse.ArgumentParser(prog="python -m lowerbound.train", description=main.__doc__)
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("--name", help="of the weights and card that are written; the preset's by default")
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="folder for checkpoint, weights and card"
    )
    parser.add_argument("--subset", action="store_true", help="train on the bundled 4,000 images")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    settings = [(part, f) for part in (Architecture, Recipe) for f in fields(part) if f.name != "model"]
    for part, field in settings:
        kind = {"int": int, "float": float, "str": str}[str(field.type)]
        parser.add_argument(
            f"--{field.name}", type=kind, help=f"{part.__name__.lower()}: the preset's by default"
        )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    parts: list[Any] = list(PRESETS[args.preset])
    for part, field in settings:
        if (value := getattr(args, field.name)) is not None:
            index = (Architecture, Recipe).index(part)
            parts[index] = replace(parts[index], **{field.name: value})
    run(args.name or args.preset, parts[0], parts[1], args.out, args.preset, args.device, not args.subset)


if __name__ == "__main__":
    main()
