"""Notebook outputs that the book can quote and a test can compare: figures, notes, sliders.

Each output carries its key and alt text in its metadata, and a text form that is the same on every
run. The text form of a figure holds its alt text and a summary in numbers of what is drawn.
"""

from __future__ import annotations

import base64
import html
import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from .letters import nominal
from .names import name_curves

if TYPE_CHECKING:
    import ipywidgets as widgets

PNG, VIEW = "image/png", "application/vnd.jupyter.widget-view+json"
MOVE = (  # of the range input: unfold the frame that it points to
    "this.closest('.player').querySelectorAll('.frame').forEach((f,i)=>f.hidden=!(f.open=i==this.value))"
)
DPI = 144  # 1.5 pixels of the file for each pixel of the page
FORMULA = 1.17  # how much larger a formula is set than words, as on a page
LARGE, MANY = 60_000, 700  # a drawing of more characters of SVG, or of more points, is stored as a PNG alone


def _freeze(fig: Figure, like: Figure | None = None) -> None:
    """Lay the figure out once and for all: another layout would move the axes by a pixel.

    like: a figure of the same axes that is laid out; its places are taken, which saves half of the drawing
    With an engine, and be it a placeholder, matplotlib would draw the figure twice each time it is saved.
    """
    if (engine := fig.get_layout_engine()) is None:
        return
    for text in fig.findobj(Text):
        if re.fullmatch(r"\$[^$]+\$", text.get_text()):
            text.set_fontsize(FORMULA * float(text.get_fontsize()))
    if like is None or len(like.axes) != len(fig.axes):
        with nominal(fig):
            engine.execute(fig)
    else:
        for ax, model in zip(fig.axes, like.axes, strict=True):
            ax.set_position(model.get_position(original=True))
    fig.set_layout_engine(None)


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


def png(fig: Figure) -> bytes:
    """Encode the figure as a PNG of at most 128 colours, byte-identical on every call."""
    full, small = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"savefig.facecolor": "white"}):
        _freeze(fig)
        fig.savefig(full, format="rgba", dpi=DPI)  # bare pixels: a PNG would be packed and unpacked again
    width, height = (int(side * DPI) for side in fig.get_size_inches())
    picture = Image.frombytes("RGBA", (width, height), full.getvalue()).convert("RGB")
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


def summary(fig: Figure) -> str:
    """Describe what is drawn in numbers: a line of text for each curve, image, group of bars and cloud."""
    lines = []
    for ax in fig.axes:
        for line in ax.get_lines():
            y = np.asarray(line.get_ydata(), dtype=np.float64)
            label = str(line.get_label())
            lines.append(
                f"line{'' if label.startswith('_') else ' ' + label}: {y.size} points, {_numbers(y)}"
            )
        for image in ax.get_images():
            pixels = np.asarray(image.get_array())
            size = "×".join(str(side) for side in pixels.shape)
            lines.append(f"image: {size}, {_numbers(pixels)}, spread {pixels.std():.3f}")
        for group in ax.containers:
            heights = [patch.get_height() for patch in group if hasattr(patch, "get_height")]
            if heights:
                lines.append(f"bars {group.get_label()}: {len(heights)}, {_numbers(heights)}")
        for cloud in ax.collections:
            points = np.asarray(cloud.get_offsets(), dtype=np.float64)
            if len(points) > 1:
                x, y = points.T
                lines.append(f"points {cloud.get_label()}: {len(points)}, x {_numbers(x)}, y {_numbers(y)}")
    return "\n".join(lines)


def _display(
    data: dict[str, Any],
    key: str,
    alt: str = "",
    fig: Figure | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    from IPython.display import publish_display_data

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", key):
        raise ValueError(f"key {key!r} must be lower-case words joined by hyphens, such as 'two-terms'")
    metadata: dict[str, Any] = {"lowerbound": {"key": key} | ({"alt": alt} if alt else {}) | (about or {})}
    if fig is not None:
        width, height = (round(side) for side in fig.get_size_inches() * 96)
        metadata[PNG] = {"width": width, "height": height}
    publish: Callable[..., None] = publish_display_data
    publish(data, metadata)


def note(
    key: str,
    what: Any,
    *,
    error: float | None = None,
    n: int | None = None,
    of: str = "",
    digits: int | None = None,
    span: bool = False,
    exact: str = "",
) -> None:
    """Print `key: text`; a book page quotes the text with {lab}`STEM:key`.

    what:   text, formatted before the call; or an estimate: one value for each example or seed, of which
            the mean is taken, or a number with its error
    error:  of a number: its standard error. Of several values it is computed
    n, of:  how many there are and of what: 500, "test images". n is counted where values are given
    digits: decimals to print; by default those before which the error begins. The error is rounded up
    span:   print the least and the largest value in place of mean and standard error, as for a few seeds
    exact:  why text that follows from data or random draws is no estimate: "a count"

    An estimate reads "4.11 ± 0.03 (500 test images)". Raises ValueError if one has no error, n or of.
    """
    about: dict[str, Any] = {"exact": exact} if exact else {}
    if isinstance(what, str):
        if (error, n, of, digits, span) != (None, None, "", None, False):
            raise ValueError(f"note {key!r}: give the estimate as a number, and its text is made of it")
        text = what
    else:
        if exact:
            raise ValueError(f"note {key!r}: format what is exact as text, with all its digits")
        text, about = _estimate(key, what, error, n, of, digits, span)
    if "\n" in text:
        raise ValueError(f"note {key!r} must be one line; note its lines under keys of their own")
    _display({"text/plain": f"{key}: {text}"}, key, about=about)


def _estimate(
    key: str, what: Any, error: float | None, n: int | None, of: str, digits: int | None, span: bool
) -> tuple[str, dict[str, Any]]:
    """The text of an estimate, and what is kept of it: n, of and its error."""
    values = np.asarray(what, dtype=np.float64).ravel()
    if values.size > 1:
        if error is not None or n is not None:
            raise ValueError(f"note {key!r}: of several values, n and error are computed")
        n, error = values.size, float(values.std(ddof=1) / math.sqrt(values.size))
    elif span:
        raise ValueError(f"note {key!r}: a span needs several values")
    if error is None or n is None or not of:
        raise ValueError(f"note {key!r} is an estimate; give its error, n and of, or format it as text")
    if not (math.isfinite(error) and error > 0 and np.isfinite(values).all()):
        raise ValueError(f"note {key!r} has the error {error}; an estimate's is finite and above 0")
    size = float(np.ptp(values)) if span else error
    if digits is None:
        power = math.floor(math.log10(size))
        digits = (1 if size / 10.0**power < 1.95 else 0) - power  # two digits of an error that begins with 1
    up = math.ceil(error * 10.0**digits - 1e-9) / 10.0**digits
    shown = [values.min(), values.max()] if span else [values.mean(), up]
    numbers = (" to " if span else " ± ").join(_rounded(value, digits) for value in shown)
    return f"{numbers} ({n:,} {of})", {"n": n, "of": of, "error": error}


def _rounded(value: float, digits: int) -> str:
    """A number with so many decimals; with fewer than none, to tens or hundreds."""
    return f"{round(float(value), digits) + 0.0:,.{max(digits, 0)}f}".replace("-", "−")


def show(fig: Figure, key: str, alt: str, witness_text: str | None = None) -> None:
    """Display a figure, curves named beside them where there is room; {labfigure} STEM:key repeats it.

    alt:          what a reader who cannot see it should know, one sentence
    witness_text: replaces the numbers that are read off the figure, where those vary between machines
    """
    text = f"{alt}\n{summary(fig) if witness_text is None else witness_text}"
    _freeze(fig)
    for ax in fig.axes:
        name_curves(ax)
    data = {"text/plain": text, PNG: base64.b64encode(png(fig)).decode()}
    vectors = drawing(fig)
    _display(data | ({"image/svg+xml": vectors} if vectors else {}), key, alt, fig)


# A figure that moves


def _image(fig: Figure, alt: str) -> str:
    """The figure as an HTML image. An SVG as text is shorter than in base64, and git stores what differs."""
    vectors = drawing(fig)
    if vectors:
        source = "svg+xml," + quote(vectors.replace('"', "'"), safe=" <>=:/;,.()'#").replace("#", "%23")
    else:
        source = f"png;base64,{base64.b64encode(png(fig)).decode()}"
    width = round(fig.get_size_inches()[0] * 96)
    style = "max-width:100%;height:auto"
    return f'<img alt="{html.escape(alt)}" width="{width}" style="{style}" src="data:image/{source}">'


def _player(
    images: Sequence[str],
    labels: Sequence[str],
    moves: str,
    interval: int,
    start: int,
    ends: tuple[str, str] | None = None,
) -> str:
    """A range input over images, as HTML for any page. Where no script runs, their labels unfold them.

    The play button and the output are for a page to bring to life, as book/_static/book.js does.
    """
    labels = [html.escape(label) for label in labels]
    states = ["open" if i == start else "hidden" for i in range(len(labels))]
    left, right = [f'<span class="player-end">{html.escape(end)}</span>' for end in ends or ()] or ("", "")
    return "\n".join(
        [
            f'<div class="player" data-interval="{interval}"><div class="player-controls">',
            '<button type="button" class="player-play" aria-label="Play" hidden></button>',
            f'{left}<input type="range" min="0" max="{len(labels) - 1}" value="{start}" oninput="{MOVE}"',
            f' aria-label="{html.escape(moves)}" aria-valuetext="{labels[start]}">'
            f"{right}<output></output></div>",
            *(
                f'<details class="frame" {state}><summary>{label}</summary>{image}</details>'
                for state, label, image in zip(states, labels, images, strict=True)
            ),
            "</div>",
        ]
    )


def _widget(
    image: Callable[[int], str], labels: Sequence[str], name: str, interval: int, start: int
) -> widgets.VBox:
    """A slider and a play button, at whose every move the kernel draws the image."""
    import ipywidgets as widgets

    def draw(i: int) -> str:
        return f"{image(i)}<div>{html.escape(labels[i])}</div>"

    last = len(labels) - 1
    handle = widgets.IntSlider(start, 0, last, description=name, readout=False)
    play = widgets.Play(value=start, min=0, max=last, interval=interval)
    picture = widgets.HTML(draw(start))
    handle.observe(lambda change: setattr(picture, "value", draw(change["new"])), names="value")
    widgets.link((play, "value"), (handle, "value"))  # in the kernel; Colab's jslink has been broken
    return widgets.VBox([widgets.HBox([play, handle]), picture])


def _has_reader() -> bool:
    """Whether someone sees the notebook while it runs: in Colab, in JupyterLab or in VS Code."""
    from IPython.core.getipython import get_ipython

    names = getattr(get_ipython(), "user_ns", {})
    return "google.colab" in sys.modules or "JPY_SESSION_NAME" in os.environ or "__vsc_ipynb_file__" in names


def slider(
    frames: Sequence[Figure] | Callable[[int], Figure],
    labels: Sequence[str],
    key: str,
    alt: str,
    name: str = "step",
    interval: int = 400,
    start: int = 0,
    live: bool | None = None,
    moves: str = "",
    ends: tuple[str, str] | None = None,
) -> None:
    """Display a slider and a play button over figures, one for each label.

    frames:   the figures, or a function from index to figure; their axes stand where the first shown has them
    labels:   what to print under each frame, after `name`
    interval: milliseconds between frames while playing
    start:    index shown first, and in places that show pictures only
    live:     draw in the kernel, by ipywidgets, what the slider is moved to; otherwise store every frame, as
              HTML that needs no kernel. By default live where Colab, JupyterLab or VS Code runs the notebook.
    moves:    what the slider changes, for who cannot see it: "t, the steps of noise in the image"
    ends:     what stands at its left end and at its right, such as ("image", "noise")
    """
    if not callable(frames) and len(frames) != len(labels):
        raise ValueError(f"{len(frames)} frames need as many labels, got {len(labels)}")
    figure = frames if callable(frames) else frames.__getitem__
    steps = [f"{name} {label}" for label in labels]
    first = figure(start)
    compared = [start] if callable(frames) else range(len(steps))
    data: dict[str, Any] = {
        "text/plain": "\n".join([alt, *(f"{steps[i]}: {summary(figure(i))}" for i in compared)]),
        PNG: base64.b64encode(png(first)).decode(),
    }

    def image(i: int) -> str:
        frame = figure(i)
        _freeze(frame, like=first)  # so that the axes stand still while the slider moves
        return _image(frame, f"{alt} {steps[i]}.")

    if _has_reader() if live is None else live:
        model = _widget(image, steps, name, interval, start).model_id
        data[VIEW] = {"version_major": 2, "version_minor": 0, "model_id": model}
    else:
        images = [image(i) for i in range(len(steps))]
        data["text/html"] = _player(images, steps, moves or name.strip(" :="), interval, start, ends)
    _display(data, key, alt, first)
