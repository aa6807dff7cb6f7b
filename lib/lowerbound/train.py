"""`python -m lowerbound.train PRESET`: train a model on Fashion-MNIST and export it with its card."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lowerbound import checkpoint, data, language, metrics, zoo
from lowerbound.classifier import classifier_loss
from lowerbound.fit import Recipe, Step, default_loss, distributed, fit
from lowerbound.precision import PRECISIONS, resolve
from lowerbound.samplers import ddim
from lowerbound.zoo import PRESETS, Architecture

UNDERSTOOD = (ValueError, OSError, FloatingPointError, ModuleNotFoundError)  # told in a line, not a traceback
CPU = torch.device("cpu")
COLUMNS, SAMPLING_STEPS = 8, 20  # of a grid of samples
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


def run(settings: Run, device: torch.device, say: Callable[[str], None] = print) -> None:
    """Train one model, or go on with it, and export it with its card. KeyboardInterrupt once it is saved."""
    architecture, made_with = settings.architecture, environment(device)
    recipe = replace(settings.recipe, precision=resolve(settings.recipe.precision, device))
    rank, processes = (dist.get_rank(), dist.get_world_size()) if distributed() else (0, 1)
    if rank == 0:
        _refuse_or_announce(settings, say)
    for turn in range(processes):  # one after the other, so that the first downloads what the others find
        if turn == rank:
            train, test = (
                data.load("fashion-mnist", split, full=settings.full, fallback=settings.fallback)
                for split in ("train", "test")
            )
        if processes > 1:
            dist.barrier()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: Any = zoo.build(architecture).to(device)
    labelled = architecture.model == "classifier"
    losses = fit(
        model,
        train.x,
        recipe,
        train.y if labelled or architecture.classes else None,
        classifier_loss if labelled else default_loss,
        checkpoint=settings.checkpoint,
        settings=asdict(architecture),
        every=settings.every,
        progress=settings.progress,
        on_step=_grids(settings),
    )
    if rank > 0:
        return
    rng = torch.Generator(device).manual_seed(recipe.seed)
    if architecture.model == "ddpm":
        model.fit_last_step(data.to_unit(train.x[:1000]).to(device), rng)
    card = {
        "preset": settings.preset,
        "recipe": asdict(recipe),
        "data": f"Fashion-MNIST, {len(train.x)} training images",
        "seconds": round(losses.seconds),
        "cpu_seconds": round(losses.cpu_seconds),
        **made_with,
        "processes": processes,
    }
    path = zoo.export(model, settings.name, architecture, card, settings.out)
    model = zoo.load(settings.name, settings.out, device)  # measure the weights as rounded for the file
    card["metrics"] = metrics.summary(model, test, rng)
    zoo.export(model, settings.name, architecture, card, settings.out)
    say(f"{path}: {card['metrics']}")


def _grids(settings: Run) -> Callable[[Step, nn.Module], None]:
    """What writes a grid of samples, OUT/NAME-samples/STEP.png, every `grid` steps, and shows it."""

    def on_step(step: Step, average: nn.Module) -> None:
        if not settings.grid or step.step % settings.grid or not hasattr(average, "sample"):
            return
        from torchvision.utils import save_image  # slow to import, and most who import this draw no grid

        path = settings.out / f"{settings.name}-samples" / f"{step.step:06d}.png"
        with checkpoint.atomically(path) as file:
            images = samples(average, settings.architecture.classes)
            save_image(images, file, nrow=COLUMNS, normalize=True, value_range=(-1, 1), format="png")
        if settings.shown is not None:
            settings.shown(path)

    return on_step


@torch.no_grad()
def samples(model: Any, classes: int = 0) -> Tensor:
    """Samples of a VAE or a Diffusion from the same noise at every call: 64, or 8 of each class.

    Diffusion models take 20 steps of DDIM. Returns (n, 1, 28, 28) in [−1, 1].
    """
    device = next(model.parameters()).device
    rng = torch.Generator(device).manual_seed(0)
    if not hasattr(model, "respaced"):
        drawn: Tensor = model.sample(COLUMNS * COLUMNS, rng)
        return drawn
    if classes:
        model = model.guided(torch.arange(classes, device=device).repeat_interleave(COLUMNS))
    short = model.respaced(min(SAMPLING_STEPS, model.schedule.T))
    drawn = short.sample(COLUMNS * (classes or COLUMNS), rng, sampler=ddim)
    return drawn.clamp(-1, 1)


def _refuse_or_announce(settings: Run, say: Callable[[str], None]) -> None:
    """Never go on with a run, nor write over one, unless that was asked for. Raises ValueError."""
    exists = settings.checkpoint.exists()
    if exists and not settings.resume:
        done = len(checkpoint.read(settings.checkpoint).get("steps", []))
        raise ValueError(
            f"{settings.checkpoint} holds a run of {done} steps; add --resume to go on with it, "
            f"or {checkpoint.start_afresh(settings.checkpoint)}"
        )
    if settings.resume and not exists:
        say(language.say(f"there is no {settings.checkpoint} to go on from; starting at step 0"))


def _refusal(message: str) -> str:
    """An error in one line, in the chosen language."""
    return language.say(f"lowerbound.train: error: {' '.join(message.split())}")


class _Parser(argparse.ArgumentParser):
    """Tells an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{_refusal(message)}\n")


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
        options = {f.name: getattr(args, f.name) for f in fields(Run) if hasattr(args, f.name)}
        options |= {"name": args.name or args.preset, "full": not args.subset, "progress": progress}
        device = local_device(args.device)
        with _joined(device):
            run(Run(architecture=parts[0], recipe=parts[1], **options), device)
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":
            print(language.say(f"stopped; go on with: {_again(argv)}"), file=sys.stderr)
        raise SystemExit(130) from None
    except UNDERSTOOD as error:
        message = str(error)
        if isinstance(error, OSError) and error.strerror and not error.filename:
            message = error.strerror  # without "[Errno 28]"
        print(_refusal(message), file=sys.stderr)
        raise SystemExit(1) from None


@contextmanager
def _joined(device: torch.device) -> Iterator[None]:
    """The processes that torchrun started, joined to each other, if it started any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_device(name: str) -> torch.device:
    """The device of this name; on CUDA each process has its own. Raises ValueError if it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no device {name!r}; use cpu, cuda or mps") from error
    if device.type == "cuda":
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f"there is no CUDA device for {str(device)!r}, {torch.cuda.device_count()} in all; "
                "start one process for each, or use --device cpu"
            )
        torch.cuda.set_device(device)
    if device.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"there is no device {name!r}; use cpu, cuda or mps")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("there is no Apple GPU for 'mps'; use --device cpu")
    return device


def _again(argv: list[str]) -> str:
    """The command that continues this one."""
    local = os.environ.get("LOCAL_WORLD_SIZE")
    start = f"torchrun --nproc-per-node {local}" if local else "python"
    return f"{start} -m lowerbound.train {shlex.join([a for a in argv if a != '--resume'] + ['--resume'])}"


if __name__ == "__main__":
    main()
