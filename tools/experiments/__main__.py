"""`python -m tools.experiments [NAME …]`: the experiments of the book, into results/."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lowerbound.train import UNDERSTOOD

from tools.experiments import (
    comparison,
    distillation,
    latent_prior,
    memorisation,
    reverse_chain,
    reverse_step,
)
from tools.experiments.run_dir import RunDir
from tools.jobs import Job, Progress, run, write

# Small experiments, each of whose results are one file: its setting, of all or a little, and its jobs.
SMALL: dict[str, tuple[Callable[[bool], Any], Callable[[Any, RunDir], list[list[Job]]]]] = {
    "reverse_step": (lambda full: reverse_step.ReverseStep(), reverse_step.stages),
    "reverse_chain": (reverse_chain.setting, reverse_chain.stages),
    "latent_prior": (latent_prior.setting, latent_prior.stages),
    "latent_more": (latent_prior.setting, latent_prior.more),
    "memorisation": (memorisation.setting, memorisation.stages),
    "distillation": (distillation.setting, distillation.stages),
}
NAMES = ("comparison", *SMALL)


def planned(name: str, preset: str, out: Path, scratch: Path, device: str) -> list[list[Job]]:
    """The stages of an experiment. ValueError for a name that is not known."""
    full = preset != "smoke"
    if name == "comparison":
        return comparison.stages(comparison.SETTINGS[preset], RunDir(out / name, scratch, full, device))
    if name not in SMALL:
        raise ValueError(f"unknown experiment {name!r}; there is {', '.join(NAMES)}")
    setting, stages = SMALL[name]
    return stages(setting(full), RunDir(scratch, scratch, full, device))


def gathered(name: str, preset: str, jobs: list[Job]) -> dict[str, Any]:
    """The content of a small experiment's file from jobs that are done: how, and runs."""
    results = [job.result() for job in jobs]
    hows = [result.pop("how") for result in results]
    how = {
        "command": f"python -m tools.experiments {name} --preset {preset}",
        "setting": asdict(SMALL[name][0](preset != "smoke")),
        **{key: sorted({how[key] for how in hows}) for key in ("commit", "torch", "hardware", "threads")},
        **{key: sum(how[key] for how in hows) for key in ("seconds", "cpu_seconds")},
    }
    return {"how": how, "runs": results}


def stop_after(minutes: float) -> None:
    """Press Ctrl-C after so long: trainings save their state, and the same command goes on from there."""
    timer = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m tools.experiments [NAME …] [--preset full|cpu|smoke] [--jobs N]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.experiments", description=main.__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all of them if none is given")
    add("--preset", choices=comparison.SETTINGS, default="full", help="what it costs (%(default)s)")
    add("--out", type=Path, default=Path("results"), help="folder of the results (%(default)s)")
    add("--runs", type=Path, default=Path("runs/experiments"), help="what it goes on from (%(default)s)")
    add("--jobs", type=int, default=1, help="jobs at once, each in a process (%(default)s)")
    add("--threads", type=int, default=1, help="of each process (%(default)s)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (%(default)s)")
    add("--minutes", type=float, help="stop after so long, to go on later; a slice of a lent machine")
    add("--only", default="", metavar="PART", help="jobs whose name begins so, such as rate- or vae-0.5M")
    add("--list", action="store_true", help="say what is done and about how long the rest takes; do nothing")
    args = parser.parse_args(argv)
    try:
        plans = {
            name: planned(name, args.preset, args.out, args.runs / args.preset, args.device)
            for name in args.names or NAMES
        }
        stages = [
            [j for j in jobs if j.path.stem.startswith(args.only)] for p in plans.values() for jobs in p
        ]
        progress = Progress([job for jobs in stages for job in jobs], args.jobs)
        if args.list:
            return
        if args.minutes is not None:
            stop_after(args.minutes)
        for jobs in stages:
            run(jobs, args.jobs, args.threads, progress)
        for name in plans.keys() & SMALL.keys():
            jobs = [job for stage in plans[name] for job in stage]
            if all(job.stored() for job in jobs):
                write(args.out / f"{name}.json", gathered(name, args.preset, jobs))
    except UNDERSTOOD as error:
        print(f"tools.experiments: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
