"""The look of two plots, compared: what another matplotlib does passes, what a fault does fails."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lowerbound import figures
from lowerbound.figures.display import png
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tools.reproduce import TOLERANCE  # noqa: E402
from tools.reproduce.cells import look  # noqa: E402
from tools.reproduce.images import distance  # noqa: E402

X = np.linspace(0, 1, 41)
GREY = np.random.default_rng(0).random((8, 28, 28)) * 2 - 1


def plot() -> Figure:
    fig, axes = figures.canvas(1, 2)
    figures.curves(X, {"rising": X**2, "falling": 1 - X}, "x", "nats", ax=axes[0])
    figures.bars(["one", "two"], {"rate": [1.0, 3.0]}, "bits", ax=axes[1])
    return fig


def grid() -> Figure:
    return figures.image_grid(GREY, cols=4)


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def decoded(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


PLOT, GRID = png(plot()), png(grid())


def test_a_picture_is_no_distance_from_itself() -> None:
    assert distance(PLOT, png(plot())) == 0.0


@pytest.mark.parametrize(
    "change",
    [
        lambda fig: [line.set_antialiased(False) for line in fig.axes[0].get_lines()],
        lambda fig: [text.set_fontsize(10.8) for text in fig.axes[0].get_legend().get_texts()],
        lambda fig: [ax.tick_params(labelsize=10.7) for ax in fig.axes],
    ],
    ids=["no antialiasing", "larger letters", "larger tick labels"],
)
def test_slight_differences_pass(change: Callable[[Figure], object]) -> None:
    fig = plot()
    change(fig)
    assert 0 < distance(PLOT, png(fig)) <= TOLERANCE


def test_another_resolution_passes() -> None:
    width, height = Image.open(io.BytesIO(PLOT)).size
    smaller = Image.fromarray(decoded(PLOT)).resize((width - 3, height - 2))
    assert distance(PLOT, encoded(np.asarray(smaller))) <= TOLERANCE


@pytest.mark.parametrize("moved", [(0, 1), (1, 0), (1, 1)])
def test_a_shift_by_a_pixel_passes(moved: tuple[int, int]) -> None:
    assert distance(PLOT, encoded(np.roll(decoded(PLOT), moved, (0, 1)))) <= TOLERANCE


FAULTS: dict[str, Callable[[Figure], object]] = {
    "an axis dropped": lambda fig: fig.delaxes(fig.axes[1]),
    "an axis emptied": lambda fig: fig.axes[0].clear(),
    "a curve missing": lambda fig: fig.axes[0].get_lines()[0].remove(),
    "a curve upside down": lambda fig: fig.axes[0].get_lines()[0].set_ydata(1 - X**2),
    "a colour swapped": lambda fig: fig.axes[0].get_lines()[0].set_color("#D55E00"),
    "a bar missing": lambda fig: fig.axes[1].patches[1].remove(),
    "other limits": lambda fig: fig.axes[0].set_xlim(0, 1.5),
    "another scale": lambda fig: fig.axes[0].set_yscale("log"),
    "no legend": lambda fig: fig.axes[0].get_legend().remove(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_plot_are_seen(name: str) -> None:
    fig = plot()
    FAULTS[name](fig)
    assert distance(PLOT, png(fig)) > TOLERANCE


@pytest.mark.parametrize(
    "garble",
    [
        lambda page: page[:, ::-1],
        lambda page: page[::-1],
        lambda page: 255 - page,
        lambda page: np.full_like(page, 255),
        lambda page: np.random.default_rng(1).permutation(page),
    ],
    ids=["mirrored", "upside down", "negative", "empty", "rows shuffled"],
)
def test_garbled_images_are_seen(garble: Callable[[np.ndarray], np.ndarray]) -> None:
    assert distance(GRID, encoded(garble(decoded(GRID)))) > TOLERANCE


def test_another_size_is_seen() -> None:
    assert distance(PLOT, GRID) == 1.0


def test_a_missing_picture_is_seen() -> None:
    assert look([{"data": {"image/png": ""}}], [{"data": {"text/plain": "no picture"}}]) == [1.0]
