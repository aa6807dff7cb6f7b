"""`python -m lowerbound.experiments [NAME …]`: the experiments of chapter 5, into results/."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lowerbound import zoo
from lowerbound.experiments import codes, races, reverse_step, shipped, sweep
from lowerbound.experiments.presets import PRESETS, Preset
from lowerbound.experiments.ruler import CLASSIFIER, floor_unit
from lowerbound.experiments.units import Place, Unit, run, write
from lowerbound.train import UNDERSTOOD

APART = ("floor", "levels", "redrawn")  # units that are not runs
Stages = list[list[Unit]]  # what is measured one after the other, each stage's units side by side
EXPERIMENTS: dict[str, tuple[Callable[[Preset], Any], Callable[[Any], Stages]]] = {
    "races": (
        lambda preset: preset.races,
        lambda s: [races.trainings(s), [floor_unit(s.samples), *races.measurements(s)]],
    ),
    "shipped": (lambda preset: preset.shipped, lambda s: [[floor_unit(s.samples), *shipped.units(s)]]),
    "sweep": (
        lambda preset: preset.sweep,
        lambda s: [sweep.first_stage(s), sweep.trainings(s), sweep.second_stage(s)],
    ),
    "codes": (
        lambda preset: preset.races,
        lambda s: [codes.trainings(s), [floor_unit(s.samples), *codes.units(s)]],
    ),
    "reverse_step": (lambda preset: reverse_step.ReverseStep(), lambda s: [reverse_step.units(s)]),
}


def experiment(name: str, preset: str, place: Place, jobs: int, *, progress: bool = True) -> dict[str, Any]:
    """Run what is missing of an experiment and put it together: how, what stands apart, runs.

    In `how`, seconds and cpu_seconds are those of judging, train_cpu_seconds those of training.
    """
    choose, stages = EXPERIMENTS[name]
    setting = choose(PRESETS[preset])
    found: dict[str, dict[str, Any]] = {}
    for stage in stages(setting):
        measured = run(stage, place, jobs, progress)
        found.update({unit.name: what for unit, what in zip(stage, measured, strict=True)})
    found = {key: what for key, what in found.items() if not key.startswith("trained-")}
    hows = [what.pop("how") for what in found.values()]
    apart = {key.split("-")[0]: found.pop(key) for key in list(found) if key.split("-")[0] in APART}
    how = {
        "command": f"python -m lowerbound.experiments {name} --preset {preset}",
        "setting": asdict(setting),
        **{key: sorted({h[key] for h in hows}) for key in ("commit", "torch", "hardware", "threads")},
        "seconds": sum(h["seconds"] for h in hows),
        "cpu_seconds": sum(h["cpu_seconds"] for h in hows),
        "train_cpu_seconds": sum(what.get("train_cpu_seconds", 0) for what in found.values()),
    }
    if "floor" in apart:
        how["classifier"] = zoo.card(CLASSIFIER)["weights"]["sha256"][:12]
    return {"how": how, **apart, "runs": list(found.values())}


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m lowerbound.experiments [NAME …] [--preset cpu|gpu|smoke] [--jobs N]`."""
    parser = argparse.ArgumentParser(prog="python -m lowerbound.experiments", description=main.__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"{', '.join(EXPERIMENTS)}; all of them if none is given")
    add("--preset", choices=PRESETS, default="cpu", help="what it costs (%(default)s)")
    add("--out", type=Path, default=Path("results"), help="folder of the results (%(default)s)")
    add(
        "--runs",
        type=Path,
        default=Path("runs/experiments"),
        help="folder of what it goes on from (%(default)s)",
    )
    add("--jobs", type=int, default=1, help="units at once, each in a process (%(default)s)")
    add("--threads", type=int, default=1, help="of each process (%(default)s)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (%(default)s)")
    args = parser.parse_args(argv)
    try:
        if unknown := [name for name in args.names if name not in EXPERIMENTS]:
            raise ValueError(f"unknown experiment {unknown[0]!r}; there is {', '.join(EXPERIMENTS)}")
        for name in args.names or EXPERIMENTS:
            place = Place(args.runs / args.preset, PRESETS[args.preset].full, args.device, args.threads)
            write(args.out / f"{name}.json", experiment(name, args.preset, place, args.jobs))
            print(f"wrote {args.out / name}.json")
    except UNDERSTOOD as error:
        print(f"lowerbound.experiments: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
