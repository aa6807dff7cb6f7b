"""What a run tells while it trains: a row for each step, TensorBoard events, grids of samples."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from lowerbound.checkpoint import atomically, unwritable
from lowerbound.samplers import ddim

COLUMNS = 8
SAMPLING_STEPS = 20


@dataclass(frozen=True)
class Step:
    """A step that is done. lr: as it was used; gradient_norm: before clipping; seconds: since the start."""

    step: int
    loss: float
    lr: float
    gradient_norm: float
    images_per_second: float
    seconds: float


class Monitor:
    """Writes NAME.csv, and as asked for NAME-samples/STEP.png and TensorBoard events, into `folder`.

    grid: steps between grids of samples, 0 for none; tensorboard: whether to write events
    classes: rows of a grid, for a model that was trained with them
    shown: called with the path of each grid, to show it

    Raises OSError if the folder cannot be written, ModuleNotFoundError if TensorBoard is missing.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        grid: int = 0,
        tensorboard: bool = False,
        classes: int = 0,
        shown: Callable[[Path], None] | None = None,
    ) -> None:
        self.path, self.samples, self.events = (
            folder / f"{name}{end}" for end in (".csv", "-samples", "-events")
        )
        self.grid, self.classes, self.shown = grid, classes, shown
        self.writer: Any = None
        self.file: TextIO | None = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    "--tensorboard needs a package: pip install 'lowerbound[tensorboard]'"
                ) from error
            self.writer_of = SummaryWriter

    def begin(self, losses: list[float]) -> None:
        """Keep the rows of the steps in `losses`, which a run goes on from, and drop those after.

        A row that is missing is written again with its loss alone.
        """
        header = [field.name for field in fields(Step)]
        kept: dict[str, list[str]] = {}
        if losses and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = {row[0]: row for line in lines if len(row := line.split(",")) == len(header)}
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(header)
        for step, loss in enumerate(losses, 1):
            rows.writerow(kept.get(str(step), [step, loss, *[""] * (len(header) - 2)]))
        with atomically(self.path) as whole:
            whole.write(text.getvalue().encode())
        self.file = self.path.open("a", newline="", encoding="utf-8")
        if hasattr(self, "writer_of"):
            self.writer = self.writer_of(str(self.events), purge_step=len(losses) + 1)

    def step(self, done: Step, average: Any) -> None:
        """Write the row of a step, and a grid of samples of `average`, the averaged model, if it is due."""
        assert self.file is not None
        try:
            csv.writer(self.file, lineterminator="\n").writerow(astuple(done))
            self.file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error
        if self.writer is not None:
            for name, value in zip(fields(Step)[1:5], astuple(done)[1:5], strict=True):
                self.writer.add_scalar(name.name, value, done.step)
        if self.grid and done.step % self.grid == 0 and hasattr(average, "sample"):
            from torchvision.utils import save_image

            path = self.samples / f"{done.step:06d}.png"
            with atomically(path) as file:
                images = samples(average, self.classes)
                save_image(images, file, nrow=COLUMNS, normalize=True, value_range=(-1, 1), format="png")
            if self.shown is not None:
                self.shown(path)

    def sync(self) -> None:
        """Put what is written on the disk: before a checkpoint, so that no row before it is lost."""
        try:
            if self.file is not None:
                self.file.flush()
                os.fsync(self.file.fileno())
            if self.writer is not None:
                self.writer.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the files. What could not be written was said by `step` or `sync`."""
        files, self.file, self.writer = (self.file, self.writer), None, None
        for file in files:
            if file is not None:
                with suppress(OSError):
                    file.close()


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
