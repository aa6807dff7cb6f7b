"""Names beside curves, in place of a legend, where there is room for all of them.

Every distance is in pixels of the figure: between the box of a name and points two pixels apart along each
curve. Boxes are those of `letters`, so that every version of matplotlib puts a name at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .letters import nominal

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, lower, right, upper

MOST = 5  # curves of which each is named beside it; more have a legend
ALONG = 40  # places along a curve where its name is tried
NEAR, AWAY = 3.0, 7.0  # a name is at least so far from its own curve, and from all else
REACH = 10.0  # and at most so far from its own, and nearer to it by AWAY than to any other
TRIED = 40  # places of a name, the best first, that are tried with those of the others
# Letters want more contrast than lines: each colour of the palette, dark enough on white.
WRITTEN = {
    "#0072b2": "#0072b2",
    "#d55e00": "#b34f00",
    "#009e73": "#00795a",
    "#e69f00": "#8a6000",
    "#cc79a7": "#a44a7c",
    "#56b4e9": "#1b74ab",
}


def points_along(path: Array, frame: Box) -> Array:
    """Points at most two pixels apart along a path, those within the frame. path: (N, 2). Returns (M, 2)."""
    path = path[np.isfinite(path).all(1)]
    if len(path) < 2:
        return path
    start, way = path[:-1], np.diff(path, axis=0)
    low, high = np.array(frame[:2]), np.array(frame[2:])
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(low - start) / way, (high - start) / way])
    # Where a segment runs level, it is in that band for all of its length or for none.
    within = (start >= low) & (start <= high)
    enter = np.where(way == 0, np.where(within, 0.0, 2.0), ends.min(0)).max(1).clip(min=0.0)
    leave = np.where(way == 0, np.where(within, 1.0, -1.0), ends.max(0)).min(1).clip(max=1.0)
    parts = [
        a + d * np.linspace(first, last, 2 + int(np.abs(d * (last - first)).max() / 2))[:, None]
        for a, d, first, last in zip(start, way, enter, leave, strict=True)
        if first <= last
    ]
    return np.concatenate([np.empty((0, 2)), *parts])


def points_of(line: Line2D, frame: Box) -> Array:
    """Points along a curve and around its marks, those within the frame. Returns (M, 2)."""
    corners = line.get_transform().transform(line.get_xydata())
    points = points_along(corners, frame)
    if str(line.get_marker()) in ("None", "none", "", " ") or line.figure is None:
        return points
    radius = line.get_markersize() / 2 * line.figure.dpi / 72
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rings = (corners[:, None] + radius * np.stack([np.cos(turns), np.sin(turns)], 1)).reshape(-1, 2)
    near = np.isfinite(rings).all(1) & (rings > np.array(frame[:2]) - radius).all(1)
    return np.concatenate([points, rings[near & (rings < np.array(frame[2:]) + radius).all(1)]])


def distance(box: Box, points: Array) -> float:
    """How far the nearest of the points is from a box; 0 within it. points: (N, 2)."""
    if not len(points):
        return float("inf")
    left, lower, right, upper = box
    x = np.maximum(np.maximum(left - points[:, 0], points[:, 0] - right), 0)
    y = np.maximum(np.maximum(lower - points[:, 1], points[:, 1] - upper), 0)
    return float(np.hypot(x, y).min())


def apart(one: Box, other: Box) -> float:
    """How far two boxes are from each other along the axis that parts them; negative where they overlap."""
    return max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])


def _boxes_beside(place: Array, size: Array, own: Array) -> list[tuple[float, Box]]:
    """Boxes above, below and beside a place of a curve, each as near as NEAR allows, with its distance."""
    found = []
    for way in ((0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0)):
        for gap in np.arange(NEAR, 40.0, 1.0):
            middle = place + np.array(way) * (size / 2 + gap)
            box = (*(middle - size / 2), *(middle + size / 2))
            far = distance(box, own)
            if far >= NEAR:
                found += [(far, box)] * (far <= REACH)
                break
    return found


def _places(size: Array, own: Array, others: Array, taken: Sequence[Box], frame: Box) -> list[Box]:
    """Where a name of that size may stand, the best first: near its curve, far from others, to the right."""
    ranked: list[tuple[int, int, Box]] = []
    left, lower, right, upper = frame
    if not len(own):
        return []
    for place in own[np.linspace(0, len(own) - 1, min(ALONG, len(own))).astype(int)]:
        for far, box in _boxes_beside(place, size, own):
            inside = box[0] > left + 3 and box[1] > lower + 3 and box[2] < right and box[3] < upper
            free = distance(box, others)
            if inside and free >= far + AWAY and all(apart(box, one) >= AWAY for one in taken):
                aside = abs((box[0] + box[2]) / 2 - (left + 0.7 * (right - left)))
                # In whole steps, so that rounding does not choose.
                ranked.append((round(far - min(free, 60.0) / 3 + aside / 20), len(ranked), box))
    return [box for _, _, box in sorted(ranked)[:TRIED]]


def _together(choices: Sequence[Sequence[Box]], chosen: tuple[Box, ...] = ()) -> tuple[Box, ...] | None:
    """One box of each, none near another; None if there are none."""
    if len(chosen) == len(choices):
        return chosen
    for box in choices[len(chosen)]:
        if all(apart(box, other) >= AWAY for other in chosen):
            whole = _together(choices, (*chosen, box))
            if whole:
                return whole
    return None


def _extent(artist: Any, renderer: Any) -> Box:
    box = artist.get_window_extent(renderer)
    return (box.x0, box.y0, box.x1, box.y1)


def name_curves(ax: Axes) -> bool:
    """Replace a legend of curves by a name beside each, in its colour. The figure must be laid out.

    Returns False, with the legend left, where it names something else than curves or more than five of them,
    where it stands outside the axes, or where a name would touch a curve, a text or the frame.
    """
    figure: Any = ax.figure
    if ax.get_legend() is None:
        return False
    with nominal(figure if isinstance(figure, Figure) else figure.figure) as renderer:
        return _name_curves(ax, renderer)


def _name_curves(ax: Axes, renderer: Any) -> bool:
    legend: Any = ax.get_legend()
    handles, names = ax.get_legend_handles_labels()
    lines = [handle for handle in handles if isinstance(handle, Line2D)]
    frame = _extent(ax, renderer)
    x0, y0, x1, y1 = _extent(legend, renderer)
    if len(lines) < len(handles) or not 1 <= len(lines) <= MOST or len(names) != len(legend.get_texts()):
        return False
    if x0 < frame[0] or y0 < frame[1] or x1 > frame[2] + 1 or y1 > frame[3] + 1:
        return False
    drawn = {line: points_of(line, frame) for line in ax.get_lines() if line.get_visible()}
    barriers = [
        points_along(collection.get_transform().transform(segment), frame)
        for collection in ax.collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
    ]
    taken = [_extent(text, renderer) for text in ax.texts if text.get_text()]
    barriers += [  # the arrows of notes
        points_along(arrow.get_transform().transform(arrow.get_path().vertices), frame)
        for text in ax.texts
        if (arrow := getattr(text, "arrow_patch", None)) is not None
    ]
    texts = [
        ax.text(0, 0, name, color=WRITTEN.get(to_hex(line.get_color()), "black"), transform=None,
                fontsize=legend.get_texts()[0].get_fontsize(), ha="center", va="center")
        for line, name in zip(lines, names, strict=True)
    ]  # fmt: skip
    choices = []
    for line, text in zip(lines, texts, strict=True):
        box = _extent(text, renderer)
        size = np.array([box[2] - box[0], box[3] - box[1]])
        others = np.concatenate([np.empty((0, 2)), *(drawn[o] for o in drawn if o is not line), *barriers])
        choices.append(_places(size, drawn[line], others, taken, frame))
    order = sorted(range(len(lines)), key=lambda i: len(choices[i]))
    chosen = _together([choices[i] for i in order])
    if chosen is None:
        for text in texts:
            text.remove()
        return False
    inverse = ax.transAxes.inverted()
    for i, (left, lower, right, upper) in zip(order, chosen, strict=True):
        texts[i].set_transform(ax.transAxes)
        x, y = inverse.transform(((left + right) / 2, (lower + upper) / 2))
        texts[i].set_position((x, y))
    legend.remove()
    return True
