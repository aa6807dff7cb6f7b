"""What a notebook finds where it runs: a device, a folder that lasts, and a training that goes on in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch

from lowerbound import zoo
from lowerbound.language import say
from lowerbound.train import Run, run
from lowerbound.zoo import PRESETS

DRIVE = Path("/content/drive/MyDrive")
"""Where Colab shows Google Drive once it is mounted."""


def device() -> torch.device:
    """The fastest device here: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def announce() -> None:
    """Print one line: the library's version, torch's, the device, and the size of training it is for."""
    fastest = device()
    name = torch.cuda.get_device_name() if fastest.type == "cuda" else fastest.type
    print(
        say(
            f"lowerbound {version('lowerbound')}, torch {torch.__version__.split('+')[0]}, device {name}: "
            f"what is trained at length takes the preset “{size(fastest)}”"
        )
    )


def size(device: torch.device) -> str:
    """The end of the preset's name for a device: "gpu" for cuda, else "short", some minutes on two cores."""
    return "gpu" if device.type == "cuda" else "short"


def folder() -> Path:
    """Where to keep what is trained: lowerbound in Google Drive if that is mounted, else runs."""
    return DRIVE / "lowerbound" if DRIVE.is_dir() else Path("runs")


def train(model: str, preset: str = "", out: Path | None = None, full: bool = True) -> Any:
    """Train a model, or go on with a training that was cut off, and return it with its weights averaged.

    Shows a progress bar and, in a notebook, the newest grid of samples. The device is the fastest here.

    model: "vae", "ddpm", "ddpm-classes" or "classifier"
    preset: "smoke", "short", "cpu" or "gpu"; by default what `size` says for the device
    out: the folder of the checkpoint, the samples and the exported weights; by default `folder`
    full: all of Fashion-MNIST, or where it cannot be fetched, as is then said, the bundled subset

    Raises ValueError for an unknown model or preset and for a checkpoint of another run, OSError when a
    file cannot be written, KeyboardInterrupt when stopped, once the checkpoint is written.
    """
    fastest = device()
    name = f"{model}-{preset or size(fastest)}"
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    architecture, recipe = PRESETS[name]
    out = folder() if out is None else out
    settings = Run(name, name, architecture, recipe, out, full, fallback=True, progress=True, shown=_live())
    print(
        say(
            f"{name}: {recipe.steps:,} steps of {recipe.batch} images on {fastest.type}, saved in {out} "
            f"every {settings.every} steps. Run this again after an interruption, and it goes on."
        )
    )
    if "google.colab" in sys.modules and not DRIVE.is_dir():
        print(
            say(
                "That folder ends with this runtime. To keep it, interrupt, mount Google Drive "
                "(from google.colab import drive; drive.mount('/content/drive')), and run this again."
            )
        )
    run(replace(settings, resume=settings.checkpoint.exists()), fastest)
    return zoo.load(name, out, fastest)


def _live() -> Callable[[Path], None] | None:
    """What shows the newest grid in place of the one before: a display of IPython, or nothing."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import Image, display
    except ModuleNotFoundError:
        return None
    if get_ipython() is None:
        return None
    image, shown = cast(Any, Image), cast(Any, display)  # IPython has no types
    handles: list[Any] = []

    def show(grid: Path) -> None:
        picture = image(data=grid.read_bytes(), alt=say(f"Samples after {int(grid.stem):,} steps."))
        if handles:
            handles[0].update(picture)
        else:
            handles.append(shown(picture, display_id=True))

    return show
