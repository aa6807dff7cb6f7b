"""Notebook outputs that the book can quote and a test can compare: figures, notes, sliders.

Each output carries its key and alt text in its metadata, and a text form that is the same on every
run. The text form of a figure holds its alt text and a numeric witness of what is drawn.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from PIL import Image

DPI = 144  # 1.5 pixels of the file for each pixel of the page
LARGE, MANY = 60_000, 1000  # a drawing of more characters of SVG, or of more points, is stored as a PNG alone


def _freeze(fig: Figure) -> None:
    """Lay the figure out once and for all: another layout would move the axes by a pixel."""
    if not isinstance(fig.get_layout_engine(), PlaceHolderLayoutEngine | None):
        fig.draw_without_rendering()
        fig.set_layout_engine("none")


def svg(fig: Figure) -> str:
    """Encode the figure as an SVG of one line, the same on every call, with coordinates to 0.1 points."""
    stream = io.StringIO()
    _freeze(fig)
    with matplotlib.rc_context(
        {"savefig.facecolor": "white", "svg.hashsalt": "lowerbound", "svg.fonttype": "path"}
    ):
        fig.savefig(
            stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    # In a path 0.1 points will do; elsewhere, in a glyph's scale or an opacity, every digit counts.
    text = re.sub(r' d="[^"]*"', lambda path: _shorter(path[0]), stream.getvalue())
    text = re.sub(
        r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL
    )
    return re.sub(r"\s+", " ", text).replace("> <", "><").strip()


def _shorter(path: str) -> str:
    """A path with coordinates to 0.1 points and no needless space."""
    rounded = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".replace(".0", ""), path)
    return re.sub(r"\s*([A-Za-z])\s+(?=[-\d])", r"\1", re.sub(r"\s+", " ", rounded))


def drawing(fig: Figure) -> str | None:
    """The figure's SVG, if lines and text make it up, so that it is sharper and hardly larger than a PNG."""
    images = any(bool(ax.get_images()) for ax in fig.axes)
    points = sum(len(np.asarray(cloud.get_offsets())) for ax in fig.axes for cloud in ax.collections)
    text = "" if images or points > MANY else svg(fig)
    return text if 0 < len(text) < LARGE else None


def png(fig: Figure, dpi: int = DPI) -> bytes:
    """Encode the figure as a PNG of at most 128 colours, byte-identical on every call."""
    full, small = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"savefig.facecolor": "white"}):
        _freeze(fig)
        fig.savefig(full, format="png", dpi=dpi, metadata={"Software": None})
    picture = Image.open(full).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
    return small.getvalue()


def _numbers(values: Any) -> str:
    """Mean and spread to three digits of the largest value, so that rounding noise near 0 is not shown."""
    data = np.asarray(values, dtype=np.float64)
    data = data[np.isfinite(data)]
    if not data.size:
        return "no finite value"
    unit = 10.0 ** (math.floor(math.log10(np.abs(data).max() or 1.0)) - 2)
    mean, low, high = (
        f"{round(float(v) / unit) * unit + 0.0:.6g}" for v in (data.mean(), data.min(), data.max())
    )
    return f"mean {mean}, from {low} to {high}"


def _witness(ax: Axes) -> list[str]:
    found = []
    for line in ax.get_lines():
        y = np.asarray(line.get_ydata(), dtype=np.float64)
        label = str(line.get_label())
        found.append(f"line{'' if label.startswith('_') else ' ' + label}: {y.size} points, {_numbers(y)}")
    for image in ax.get_images():
        pixels = np.asarray(image.get_array())
        size = "×".join(str(side) for side in pixels.shape)
        found.append(f"image: {size}, {_numbers(pixels)}, spread {pixels.std():.3f}")
    for group in ax.containers:
        heights = [patch.get_height() for patch in group if hasattr(patch, "get_height")]
        if heights:
            found.append(f"bars {group.get_label()}: {len(heights)}, {_numbers(heights)}")
    for cloud in ax.collections:
        points = np.asarray(cloud.get_offsets(), dtype=np.float64)
        if len(points) > 1:
            found.append(
                f"points {cloud.get_label()}: {len(points)}, x {_numbers(points[:, 0])}, "
                f"y {_numbers(points[:, 1])}"
            )
    return found


def witness(fig: Figure) -> str:
    """Describe what is drawn in numbers: a line of text for each curve, image, group of bars and cloud."""
    return "\n".join(line for ax in fig.axes for line in _witness(ax))


def _checked(key: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", key):
        raise ValueError(f"key {key!r} must be lower-case words joined by hyphens, such as 'two-terms'")
    return key


def _display(data: dict[str, Any], key: str, alt: str = "", size: dict[str, Any] | None = None) -> None:
    from IPython.display import publish_display_data

    about = {"key": _checked(key), "alt": alt} if alt else {"key": _checked(key)}
    publish: Callable[..., None] = publish_display_data
    publish(data, {"lowerbound": about, **({"image/png": size} if size else {})})


def _size(fig: Figure) -> dict[str, Any]:
    width, height = fig.get_size_inches() * 96
    return {"width": round(width), "height": round(height)}


def note(key: str, text: str) -> None:
    """Print `key: text`; a book page quotes the text with {lab}`STEM:key`. Format numbers before the call."""
    if "\n" in text:
        raise ValueError(f"note {key!r} must be one line; note its lines under keys of their own")
    _display({"text/plain": f"{key}: {text}"}, key)


def show(fig: Figure, key: str, alt: str, witness_text: str | None = None) -> None:
    """Display a figure; a book page repeats it with {labfigure} STEM:key.

    alt:          what a reader who cannot see it should know, one sentence
    witness_text: replaces the numbers that are read off the figure, where those vary between machines
    """
    text = f"{alt}\n{witness(fig) if witness_text is None else witness_text}"
    data = {"text/plain": text, "image/png": base64.b64encode(png(fig)).decode()}
    vectors = drawing(fig)
    _display(data | ({"image/svg+xml": vectors} if vectors else {}), key, alt, _size(fig))


def _as_text(vectors: str) -> str:
    """An SVG for an address: as text, which is shorter than base64, and of which git stores what differs."""
    return "svg+xml," + quote(vectors.replace('"', "'"), safe=" <>=:/;,.()'#").replace("#", "%23")


def slider(
    frames: Sequence[Figure] | Callable[[int], Figure],
    labels: Sequence[str],
    key: str,
    alt: str,
    name: str = "step",
    interval: int = 400,
    start: int = 0,
    live: bool = False,
) -> None:
    """Display a slider and a play button over figures, one for each label.

    frames:   the figures, or a function from index to figure
    labels:   what to print under each frame, after `name`
    interval: milliseconds between frames while playing
    start:    index shown first, and in places that show pictures only
    live:     redraw in the kernel instead of storing every frame. Where ipywidgets has no `Stack`
              (Colab's 7.7) this is done in any case. Without `live` it works in a page with no kernel.
    """
    import ipywidgets as widgets

    def figure(i: int) -> Figure:
        return frames(i) if callable(frames) else frames[i]

    def frame(i: int) -> str:
        fig, caption = figure(i), html.escape(f"{name} {labels[i]}")
        vectors = drawing(fig)
        source = _as_text(vectors) if vectors else f"png;base64,{base64.b64encode(png(fig)).decode()}"
        return (
            f'<img class="frame" alt="{html.escape(alt)} {caption}." width="{_size(fig)["width"]}" '
            f'style="max-width:100%;height:auto" src="data:image/{source}"><div>{caption}</div>'
        )

    if not callable(frames) and len(frames) != len(labels):
        raise ValueError(f"{len(frames)} frames need as many labels, got {len(labels)}")
    last = len(labels) - 1
    handle = widgets.IntSlider(start, 0, last, description=name, readout=False)
    play = widgets.Play(value=start, min=0, max=last, interval=interval)
    if live or not hasattr(widgets, "Stack"):
        picture = widgets.HTML(frame(start))
        handle.observe(lambda change: setattr(picture, "value", frame(change["new"])), names="value")
        widgets.link((play, "value"), (handle, "value"))
    else:
        picture = widgets.Stack([widgets.HTML(frame(i)) for i in range(len(labels))], selected_index=start)
        widgets.jslink((play, "value"), (handle, "value"))
        widgets.jslink((handle, "value"), (picture, "selected_index"))
    box = widgets.VBox([widgets.HBox([play, handle]), picture])
    shown = range(len(labels)) if not (live or callable(frames)) else (start,)
    text = "\n".join([alt, *(f"{name} {labels[i]}: {witness(figure(i))}" for i in shown)])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    still = base64.b64encode(png(figure(start))).decode()
    bundle = {"application/vnd.jupyter.widget-view+json": view, "text/plain": text, "image/png": still}
    _display(bundle, key, alt, _size(figure(start)))
