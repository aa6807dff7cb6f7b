"""`python -m lowerbound.train PRESET`: train a model on Fashion-MNIST and export it with its card."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from lowerbound import checkpoint, data, metrics, zoo
from lowerbound.fit import classifier_loss, default_loss, fit
from lowerbound.monitor import Monitor
from lowerbound.parallel import ALONE, Processes, joined, local_device
from lowerbound.presets import PRESETS
from lowerbound.recipe import PRECISIONS, Recipe, resolve
from lowerbound.zoo import Architecture

UNDERSTOOD = (ValueError, OSError, FloatingPointError, ModuleNotFoundError)  # told in a line, not a traceback
CPU = torch.device("cpu")
KNOWN = {
    "schedule": ", ".join(zoo.SCHEDULES),
    "objective": ", ".join(zoo.OBJECTIVES),
    "precision": ", ".join(PRECISIONS),
}


@dataclass(frozen=True)
class Run:
    """One run of the command line. Files are OUT/NAME.checkpoint, .csv, .safetensors, .json, -samples/.

    full: all 60,000 images, or the bundled 4,000; fallback: the latter if the former cannot be fetched
    every, grid: steps between checkpoints, grids of samples; shown: called with the path of each grid
    resume: go on from the checkpoint, which is otherwise refused; progress: show a bar
    """

    name: str
    preset: str
    architecture: Architecture
    recipe: Recipe
    out: Path = Path("runs")
    full: bool = True
    fallback: bool = False
    every: int = 500
    grid: int = 500
    tensorboard: bool = False
    resume: bool = False
    progress: bool = False
    shown: Callable[[Path], None] | None = None

    @property
    def checkpoint(self) -> Path:
        """Where the run is saved."""
        return self.out / f"{self.name}.checkpoint"


def environment(device: torch.device = CPU) -> dict[str, str]:
    """What a number was made with: commit, whether the code differs from it, torch, hardware, threads."""
    return {
        "commit": _commit(),
        "torch": torch.__version__.split("+")[0],
        "hardware": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "threads": str(torch.get_num_threads()),
    }


def _commit() -> str:
    here = Path(__file__)

    def git(*command: str) -> str:
        call = ["git", "-C", str(here.parent), *command]
        return subprocess.run(call, capture_output=True, text=True).stdout.strip()

    try:
        if not git("ls-files", here.name):  # installed somewhere inside another repository
            return "not a checkout"
        return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain", "--", ".") else "")
    except OSError:
        return "no git here"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def run(
    what: Run, device: torch.device, processes: Processes = ALONE, say: Callable[[str], None] = print
) -> None:
    """Train one model, or go on with it, and export it with its card. KeyboardInterrupt once it is saved."""
    architecture, made_with = what.architecture, environment(device)
    recipe = replace(what.recipe, precision=resolve(what.recipe.precision, device))
    if processes.chief:
        _refuse_or_announce(what, say)
    with processes.chief_first():
        train, test = (
            data.load("fashion-mnist", split, full=what.full, fallback=what.fallback)
            for split in ("train", "test")
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: Any = zoo.build(architecture).to(device)
    labelled = architecture.model == "classifier"
    watch = Monitor(what.out, what.name, what.grid, what.tensorboard, architecture.classes, what.shown)
    with closing(watch) as monitor:
        losses = fit(
            model,
            train.x,
            recipe,
            train.y if labelled or architecture.classes else None,
            classifier_loss if labelled else default_loss,
            checkpoint=what.checkpoint,
            settings=asdict(architecture),
            every=what.every,
            progress=what.progress,
            monitor=monitor,
            processes=processes,
        )
    if not processes.chief:
        return
    rng = torch.Generator(device).manual_seed(recipe.seed)
    if architecture.model == "ddpm":
        model.fit_last_step(data.to_unit(train.x[:1000]).to(device), rng)
    about = {
        "preset": what.preset,
        "recipe": asdict(recipe),
        "data": f"Fashion-MNIST, {len(train.x)} training images",
        "seconds": round(losses.seconds),
        "cpu_seconds": round(losses.cpu_seconds),
        **made_with,
        "processes": processes.size,
    }
    path = zoo.export(model, what.name, architecture, about, what.out)
    model = zoo.load(what.name, what.out, device)  # measure what is shipped: the weights rounded for the file
    about["metrics"] = metrics.summary(model, test, rng)
    zoo.export(model, what.name, architecture, about, what.out)
    say(f"{path}: {about['metrics']}")


def _refuse_or_announce(what: Run, say: Callable[[str], None]) -> None:
    """Never go on with a run, nor write over one, unless that was asked for. Raises ValueError."""
    there = what.checkpoint.exists()
    if there and not what.resume:
        done = len(checkpoint.read(what.checkpoint).get("losses", []))
        raise ValueError(
            f"{what.checkpoint} holds a run of {done} steps; add --resume to go on with it, "
            f"or {checkpoint.start_afresh(what.checkpoint)}"
        )
    if what.resume and not there:
        say(f"there is no {what.checkpoint} to go on from; starting at step 0")


class _Parser(argparse.ArgumentParser):
    """Tells an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lowerbound.train: error: {' '.join(message.split())}\n")


def _settings() -> list[tuple[int, str, type]]:
    """The options that change a preset: its part, Architecture (0) or Recipe (1), name and type."""
    kinds = {"int": int, "float": float, "str": str}
    parts = enumerate((Architecture, Recipe))
    return [(i, f.name, kinds[str(f.type)]) for i, part in parts for f in fields(part) if f.name != "model"]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lowerbound.train",
        description="Train a model on Fashion-MNIST and export it with its card.",
    )
    parser.add_argument("preset", choices=sorted(PRESETS), metavar="PRESET", help=", ".join(PRESETS))
    add = parser.add_argument
    add("--name", help="of the files that are written; the preset's by default")
    add("--out", type=Path, default=Path("runs"), help="folder of the files that are written (%(default)s)")
    add("--resume", action="store_true", help="go on from the checkpoint in that folder, if there is one")
    add("--subset", action="store_true", help="train on the bundled 4,000 images, not on all 60,000")
    add("--every", type=int, default=500, metavar="N", help="steps between checkpoints (%(default)s)")
    add(
        "--grid", type=int, default=500, metavar="N", help="steps between sample grids, 0: none (%(default)s)"
    )
    add("--tensorboard", action="store_true", help="write TensorBoard events too, into OUT/NAME-events")
    add(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu, cuda or mps (%(default)s)",
    )
    add("--threads", type=int, default=torch.get_num_threads(), help="of each process (%(default)s)")
    bar = parser.add_mutually_exclusive_group()
    bar.add_argument(
        "--progress", action="store_true", default=None, help="show a bar even if not in a terminal"
    )
    bar.add_argument("--quiet", action="store_false", dest="progress", help="show no bar")
    group = parser.add_argument_group("the preset's own unless given")
    for part, name, kind in _settings():
        about = KNOWN.get(name, ("of the model", "of the training")[part])
        group.add_argument(f"--{name}", type=kind, metavar=kind.__name__.upper(), help=about)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m lowerbound.train PRESET [--steps N …]`, alone or under torchrun."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    progress = sys.stderr.isatty() if args.progress is None else args.progress
    try:
        parts: list[Any] = list(PRESETS[args.preset])
        for part, name, _ in _settings():
            if (value := getattr(args, name)) is not None:
                parts[part] = replace(parts[part], **{name: value})
        if args.threads < 1:
            raise ValueError(f"threads must be at least 1; got {args.threads}")
        torch.set_num_threads(args.threads)
        asked = {f.name: getattr(args, f.name) for f in fields(Run) if hasattr(args, f.name)}
        asked |= {"name": args.name or args.preset, "full": not args.subset, "progress": progress}
        what = Run(architecture=parts[0], recipe=parts[1], **asked)
        device = local_device(args.device)
        with joined(device) as processes:
            run(what, device, processes)
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":
            print(f"stopped; go on with: {_again(argv)}", file=sys.stderr)
        raise SystemExit(130) from None
    except UNDERSTOOD as error:
        said = str(error)
        if isinstance(error, OSError) and error.strerror and not error.filename:
            said = error.strerror  # without "[Errno 28]"
        print(f"lowerbound.train: error: {' '.join(said.split())}", file=sys.stderr)
        raise SystemExit(1) from None


def _again(argv: list[str]) -> str:
    """The command that continues this one."""
    local = os.environ.get("LOCAL_WORLD_SIZE")
    start = f"torchrun --nproc-per-node {local}" if local else "python"
    return f"{start} -m lowerbound.train {shlex.join([a for a in argv if a != '--resume'] + ['--resume'])}"


if __name__ == "__main__":
    main()
