"""Arrays in, closed `Figure` out. Nothing here touches pyplot, so no figure stays open and no global
state changes. Colours: Okabe & Ito 2008.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Array = npt.NDArray[Any]

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
# Beside its colour, what a curve, its points and a bar are known by: dashes in widths of the line.
DASHES: tuple[Any, ...] = (
    "-", (0, (7, 2)), (0, (1, 1.3)), (0, (7, 2, 1.4, 2)), (0, (3, 1.3)),
    (0, (7, 2, 1.4, 2, 1.4, 2)), (0, (12, 3)),
)  # fmt: skip
MARKS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")
MOST_TICKS = 8
SIZE = (5.4, 3.3)  # inches; at 96 pixels an inch it fills a phone with letters of 10 pixels and more
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11.5,
    "mathtext.fontset": "cm",  # formulas as those of the page
    "axes.titlesize": 12,
    "axes.labelsize": 11.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,  # so that dashes are seen
    "hatch.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E6EA",
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}


def style() -> AbstractContextManager[None]:
    """Return the book's matplotlib settings as a context manager, for drawing of your own."""
    return matplotlib.rc_context(STYLE)


def canvas(rows: int = 1, cols: int = 1, size: tuple[float, float] | None = None) -> tuple[Figure, Any]:
    """Return an empty figure in the style, and its axes as `Figure.subplots` does. Size in inches."""
    with style():
        fig = Figure(figsize=size or (min(7.2, SIZE[0] * (1 + 0.4 * (cols - 1))), SIZE[1] * rows))
        FigureCanvasAgg(fig)
        return fig, fig.subplots(rows, cols)


def to_array(values: Any) -> Array:
    """Return a numpy array, whether from numbers or from a torch tensor on any device."""
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def image_grid(
    images: Any,
    cols: int = 8,
    row_labels: Sequence[str] = (),
    col_labels: Sequence[str] = (),
    cell: float = 0.62,
    ax: Axes | None = None,
) -> Figure:
    """Images side by side, in reading order, `cell` inches each.

    images: (N, H, W), (N, 1, H, W) or (N, 3, H, W); uint8, or float in [−1, 1], clipped to it
    Raises ValueError for another shape.
    """
    pixels = to_array(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"images must be (N, 1 or 3, H, W) or (N, H, W), got {pixels.shape}; reshape them")
    grey = pixels / 255.0 if pixels.dtype == np.uint8 else np.clip((pixels.astype(np.float64) + 1) / 2, 0, 1)
    n, channels, height, width = grey.shape
    cols = min(cols, n)
    rows = math.ceil(n / cols)
    page = np.ones((rows * (height + 1) + 1, cols * (width + 1) + 1, channels))
    for i, image in enumerate(grey):
        top, left = 1 + i // cols * (height + 1), 1 + i % cols * (width + 1)
        page[top : top + height, left : left + width] = image.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
    if ax is None:
        margin = 0.11 * max((len(label) for label in row_labels), default=0)
        head = 0.35 if col_labels else 0.05
        _, ax = canvas(size=(cols * cell + margin + 0.1, rows * cell * height / width + head))
    with style():
        ax.imshow(page.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.set_xticks((np.arange(len(col_labels)) + 0.5) * (width + 1), col_labels)
        ax.set_yticks((np.arange(len(row_labels)) + 0.5) * (height + 1), row_labels)
    return _owner(ax)


def filmstrip(
    rows: Any,
    labels: Sequence[str],
    row_labels: Sequence[str] = (),
    cell: float = 0.62,
) -> Figure:
    """Chains x_T … x_0, one row each. rows: (R, F, H, W) or (R, F, C, H, W); labels: one for each frame."""
    frames = np.stack([to_array(row) for row in rows])
    return image_grid(frames.reshape(-1, *frames.shape[2:]), frames.shape[1], row_labels, labels, cell)


def log_ticks(values: npt.NDArray[Any]) -> tuple[list[float], list[str]]:
    """At most eight powers of ten among positive values, and how they are written.

    Every version of matplotlib draws these alike; its own choice changes. Where the values span less than
    two powers: 1, 2 and 5 times a power, from below the smallest to above the largest.
    Raises ValueError if a value is not positive.
    """
    if not np.all(values > 0):
        raise ValueError("a logarithmic axis needs positive values; leave out logy, or the others")
    low, high = (float(np.log10(value)) for value in (values.min(), values.max()))
    if high - low < 2:
        steps = [m * 10.0**k for k in range(math.floor(low) - 1, math.ceil(high) + 2) for m in (1, 2, 5)]
        first, last = np.searchsorted(steps, values.min(), "right") - 1, np.searchsorted(steps, values.max())
        ticks = [float(f"{step:g}") for step in steps[first : last + 1]]
        return ticks, [f"{tick:g}" for tick in ticks]
    powers = range(math.ceil(low), math.floor(high) + 1)
    powers = powers[:: math.ceil(len(powers) / MOST_TICKS)]
    short = all(abs(power) <= 3 for power in powers)
    return [10.0**power for power in powers], [f"{10.0**p:g}" if short else f"$10^{{{p}}}$" for p in powers]


def curves(
    x: Any,
    ys: Mapping[str, Any],
    xlabel: str,
    ylabel: str,
    logx: bool = False,
    logy: bool = False,
    bands: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Lines over a common x, each with dashes of its own, and marks where its points are few.

    ys: label -> (N,); bands: label -> (N,) half-widths, as of a standard error
    """
    ax = canvas()[1] if ax is None else ax
    with style():
        for i, (label, values) in enumerate(ys.items()):
            y = to_array(values)
            mark = MARKS[i % len(MARKS)] if len(y) <= 12 else None
            (line,) = ax.plot(to_array(x), y, label=label, ls=DASHES[i % len(DASHES)], marker=mark)
            if bands and label in bands:
                half = to_array(bands[label])
                ax.fill_between(to_array(x), y - half, y + half, color=line.get_color(), alpha=0.2, lw=0)
        if logx:
            ax.set_xscale("log")
            if len(to_array(x)) <= 12:
                ax.set_xticks(to_array(x), [f"{value:g}" for value in to_array(x)], minor=False)
                ax.minorticks_off()
        if logy:
            ax.set_yscale("log")
            ax.set_yticks(*log_ticks(np.concatenate([to_array(y) for y in ys.values()])))
            ax.minorticks_off()
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if len(ys) > 1:
            ax.legend()
    return _owner(ax)


def bars(
    labels: Sequence[str],
    parts: Mapping[str, Any],
    ylabel: str,
    stacked: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Bars, one for each label. parts: name -> (len(labels),), stacked or not."""
    ax = canvas()[1] if ax is None else ax
    centres, width = np.arange(len(labels)), 0.7 if stacked else 0.8 / len(parts)
    above, below = np.zeros(len(labels)), np.zeros(len(labels))
    with style():
        for i, (name, values) in enumerate(parts.items()):
            y = to_array(values).astype(np.float64)
            middles = centres if stacked else centres + (i - (len(parts) - 1) / 2) * width
            base = np.where(y >= 0, above, below) if stacked else np.zeros(len(labels))
            hatch = HATCHES[i % len(HATCHES)]
            ax.bar(
                middles, y, width * 0.94, bottom=base, label=name, zorder=2,
                hatch=hatch, edgecolor="white", lw=0,
            )  # fmt: skip
            above, below = above + np.maximum(y, 0), below + np.minimum(y, 0)
        ax.set_xticks(centres, labels)
        ax.set_ylabel(ylabel)
        ax.grid(False, axis="x")
        if len(parts) > 1:
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(parts), borderaxespad=0.2)
    return _owner(ax)


def density(
    x: Any,
    densities: Mapping[str, Any],
    samples: Any = None,
    xlabel: str = "x",
    ax: Axes | None = None,
) -> Figure:
    """1-D densities as shaded curves. densities: label -> (N,); samples (M,) add a histogram behind them."""
    ax = canvas()[1] if ax is None else ax
    with style():
        if samples is not None:
            grid = np.linspace(to_array(x).min(), to_array(x).max(), 61)
            ax.hist(to_array(samples).ravel(), grid.tolist(), density=True, color="#C9CED6", label="samples")
        for i, (label, values) in enumerate(densities.items()):
            (line,) = ax.plot(to_array(x), to_array(values), label=label, ls=DASHES[i % len(DASHES)])
            ax.fill_between(to_array(x), to_array(values), color=line.get_color(), alpha=0.15, lw=0)
        ax.set(xlabel=xlabel, ylabel="density", ylim=(0, None))
        ax.legend()
    return _owner(ax)


def scatter(
    clouds: Mapping[str, Any],
    limit: float | None = None,
    labels: tuple[str, str] = ("", ""),
    ax: Axes | None = None,
) -> Figure:
    """2-D points. clouds: label -> (N, 2); limit: half-width of the square shown, else from the data."""
    ax = canvas(size=(4.4, 4.4))[1] if ax is None else ax
    with style():
        for i, (label, points) in enumerate(clouds.items()):
            x, y = to_array(points).T
            ax.scatter(
                x, y, s=6 if i == 0 else 9, alpha=0.6, linewidths=0, label=label, marker=MARKS[i % len(MARKS)]
            )
        if limit is not None:
            ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
        ax.set(xlabel=labels[0], ylabel=labels[1])
        ax.set_aspect("equal")
        if len(clouds) > 1:
            ax.legend(markerscale=2.5)
    return _owner(ax)


def _owner(ax: Axes) -> Figure:
    figure = ax.figure
    return figure if isinstance(figure, Figure) else figure.figure
