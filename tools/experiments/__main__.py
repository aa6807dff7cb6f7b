"""`python -m tools.experiments [NAME …]`: the experiments of the book, into results/."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lowerbound import zoo
from lowerbound.train import UNDERSTOOD

from tools.experiments import (
    equal_budget,
    latent_prior,
    number_of_steps,
    pretrained,
    reverse_chain,
    reverse_step,
)
from tools.experiments.presets import PRESETS, Preset
from tools.experiments.run_dir import RunDir
from tools.experiments.sample_quality import CLASSIFIER
from tools.jobs import Job, Progress, run, write

APART = ("floor", "levels", "redrawn")  # jobs that are not runs
Stages = list[list[Job]]  # what is measured one after the other, each stage's jobs side by side


@dataclass(frozen=True)
class Experiment:
    """file: of its results; setting: of a preset; stages: of a setting and a folder of jobs."""

    file: str
    setting: Callable[[Preset], Any]
    stages: Callable[[Any, RunDir], Stages]


EXPERIMENTS = {
    "equal_budget": Experiment("races", lambda preset: preset.equal_budget, equal_budget.stages),
    "pretrained": Experiment("shipped", lambda preset: preset.pretrained, pretrained.stages),
    "number_of_steps": Experiment("sweep", lambda preset: preset.number_of_steps, number_of_steps.stages),
    "latent_prior": Experiment("codes", lambda preset: preset.equal_budget, latent_prior.stages),
    "reverse_step": Experiment("reverse_step", lambda _: reverse_step.ReverseStep(), reverse_step.stages),
    "reverse_chain": Experiment("reverse_chain", reverse_chain.setting, reverse_chain.stages),
}


def gathered(name: str, preset: str, jobs: list[Job]) -> dict[str, Any]:
    """The content of a results file from jobs that are done: how, what stands apart, runs.

    In `how`, seconds and cpu_seconds are those of judging, train_cpu_seconds those of training.
    """
    results = {job.path.stem: job.result() for job in jobs if not job.path.stem.startswith("trained-")}
    hows = [result.pop("how") for result in results.values()]
    apart = {key.split("-")[0]: results.pop(key) for key in list(results) if key.split("-")[0] in APART}
    how = {
        "command": f"python -m tools.experiments {name} --preset {preset}",
        "setting": asdict(EXPERIMENTS[name].setting(PRESETS[preset])),
        **{key: sorted({how[key] for how in hows}) for key in ("commit", "torch", "hardware", "threads")},
        "seconds": sum(how["seconds"] for how in hows),
        "cpu_seconds": sum(how["cpu_seconds"] for how in hows),
        "train_cpu_seconds": sum(result.get("train_cpu_seconds", 0) for result in results.values()),
    }
    if "floor" in apart:
        how["classifier"] = zoo.card(CLASSIFIER)["weights"]["sha256"][:12]
    return {"how": how, **apart, "runs": list(results.values())}


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m tools.experiments [NAME …] [--preset cpu|gpu|smoke] [--jobs N]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.experiments", description=main.__doc__)
    add = parser.add_argument
    runs = Path("runs/experiments")
    add("names", nargs="*", metavar="NAME", help=f"{', '.join(EXPERIMENTS)}; all of them if none is given")
    add("--preset", choices=PRESETS, default="cpu", help="what it costs (%(default)s)")
    add("--out", type=Path, default=Path("results"), help="folder of the results (%(default)s)")
    add("--runs", type=Path, default=runs, help="folder of what it goes on from (%(default)s)")
    add("--jobs", type=int, default=1, help="jobs at once, each in a process (%(default)s)")
    add("--threads", type=int, default=1, help="of each process (%(default)s)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (%(default)s)")
    args = parser.parse_args(argv)
    preset, names = PRESETS[args.preset], args.names or list(EXPERIMENTS)
    run_dir = RunDir(args.runs / args.preset, preset.full, args.device)
    try:
        if unknown := [name for name in names if name not in EXPERIMENTS]:
            raise ValueError(f"unknown experiment {unknown[0]!r}; there is {', '.join(EXPERIMENTS)}")
        chosen = {name: EXPERIMENTS[name] for name in names}
        stages = {name: each.stages(each.setting(preset), run_dir) for name, each in chosen.items()}
        progress = Progress([job for of_one in stages.values() for jobs in of_one for job in jobs], args.jobs)
        for name, experiment in chosen.items():
            for jobs in stages[name]:
                run(jobs, args.jobs, args.threads, progress)
            path = args.out / f"{experiment.file}.json"
            write(path, gathered(name, args.preset, [job for jobs in stages[name] for job in jobs]))
            print(f"wrote {path}", flush=True)
    except UNDERSTOOD as error:
        print(f"tools.experiments: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
