"""Figures: deterministic files, summaries that change with the data, sliders with and without a kernel."""

from __future__ import annotations

import io
import math
import re
import sys
from itertools import pairwise
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import IPython.display
import ipywidgets
import matplotlib
import numpy as np
import pytest
import torch
from lowerbound import figures
from lowerbound.figures import display, letters
from lowerbound.figures.plots import log_ticks
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from PIL import Image

X = np.linspace(-1, 1, 20)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What a notebook would have displayed: (data, metadata) pairs."""
    outputs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(
        IPython.display, "publish_display_data", lambda data, about: outputs.append((data, about))
    )
    return outputs


def curve(shift: float = 0.0) -> Figure:
    return figures.curves(X, {"a": X + shift, "b": X**2}, "x", "y")


DRAWINGS = {
    "curves": lambda v: figures.curves(X, {"a": v * X}, "x", "y"),
    "curves on log axes": lambda v: figures.curves(
        [1, 2, 4], {"a": [v, 2, 3]}, "T", "y", logx=True, logy=True
    ),
    "bars": lambda v: figures.bars(["one", "two"], {"rate": [v, 2], "distortion": [1, 1]}, "nats"),
    "bars side by side": lambda v: figures.bars(["one"], {"a": [v], "b": [1]}, "nats", stacked=False),
    "density": lambda v: figures.density(X, {"p": v * X**2}),
    "samples": lambda v: figures.density(X, {"p": X**2}, samples=v * X),
    "scatter": lambda v: figures.scatter({"data": v * np.ones((5, 2)), "samples": np.zeros((5, 2))}, limit=3),
    "image_grid": lambda v: figures.image_grid(v * np.ones((3, 1, 4, 4)) / 4, cols=2),
    "filmstrip": lambda v: figures.filmstrip(v * np.ones((2, 3, 1, 4, 4)) / 4, ["2", "1", "0"], ["a", "b"]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_summary_sees_the_data(name: str) -> None:
    draw = DRAWINGS[name]
    assert figures.summary(draw(1.0)) == figures.summary(draw(1.0)) != figures.summary(draw(1.5))


@pytest.mark.parametrize("name", DRAWINGS)
def test_files_are_small_and_the_same_each_time(name: str) -> None:
    fig = DRAWINGS[name](1.0)
    data = display.png(fig)
    assert data == display.png(fig)
    assert len(data) < 40_000
    assert np.asarray(Image.open(io.BytesIO(data)).convert("L")).std() > 5, "an empty picture"


def test_a_drawing_is_stored_as_one_svg_with_whole_letters() -> None:
    text = display.svg(curve())
    assert text == display.svg(curve())
    assert "\n" not in text
    root = ElementTree.fromstring(text)
    assert root.get("viewBox") == "0 0 388.8 237.6"
    scales = {float(number) for number in re.findall(r"scale\(([\d.]+)\)", text)}
    assert scales == {1 / 64}, "matplotlib draws letters in units of 1/64"
    assert not re.search(r"[ML]-?\d+\.\d\d", text), "coordinates to 0.1 points"


def placed(fig: Figure, like: Figure) -> Figure:
    """The figure with the places of the axes of another."""
    display.svg(like)
    fig.set_layout_engine(None)
    fig.axes[0].set_position(like.axes[0].get_position())
    return fig


def test_a_frame_is_the_drawing_as_text(shown: list[Any]) -> None:
    figures.slider([curve(), curve(1)], ["0", "1"], "shift", "Curves.")
    sources = re.findall(r'src="data:image/svg\+xml,([^"]*)"', shown[0][0]["text/html"])
    assert unquote(sources[0]).replace("'", '"') == display.svg(curve())
    assert unquote(sources[1]).replace("'", '"') == display.svg(placed(curve(1), like=curve()))


def test_the_axes_stand_still_while_a_slider_moves(shown: list[Any]) -> None:
    frames = [curve(1000 * s) for s in range(2)]  # whose tick labels are wider
    figures.slider(frames, ["0", "1"], "shift", "Curves.")
    first, second = (frame.axes[0].get_position().bounds for frame in frames)
    assert first == second
    display.svg(alone := curve(1000))
    assert alone.axes[0].get_position().bounds != first, "alone it would stand elsewhere"


def test_pictures_and_crowds_are_no_drawings(shown: list[Any]) -> None:
    crowd = figures.scatter({"data": np.random.default_rng(0).normal(size=(3000, 2))})
    for fig, drawn in ((curve(), True), (figures.image_grid(np.zeros((1, 4, 4))), False), (crowd, False)):
        assert (display.drawing(fig) is not None) == drawn
        figures.show(fig, "it", "It.")
        assert ("image/svg+xml" in shown.pop()[0]) == drawn


def test_bands_follow_their_line() -> None:
    fig = figures.curves(X, {"a": X}, "x", "y", bands={"a": 0.5 * np.ones(20)})
    low, high = fig.axes[0].collections[0].get_datalim(fig.axes[0].transData).intervaly
    assert (low, high) == pytest.approx((-1.5, 1.5))


def test_stacked_bars_stand_on_each_other_and_negative_ones_hang() -> None:
    fig = figures.bars(["one"], {"a": [2], "b": [3], "c": [-1]}, "nats")
    assert [bar.get_y() for group in fig.axes[0].containers for bar in group] == [0, 2, 0]


def test_rounding_noise_does_not_reach_the_summary() -> None:
    clean, noisy = X - X.mean(), X - X.mean() + 1e-9
    assert figures.summary(figures.curves(X, {"a": clean}, "x", "y")) == figures.summary(
        figures.curves(X, {"a": noisy}, "x", "y")
    )


def test_grid_places_images_in_reading_order() -> None:
    images = np.stack([np.full((4, 4), level, dtype=np.uint8) for level in (0, 100, 200)])
    page = np.asarray(figures.image_grid(images, cols=2).axes[0].get_images()[0].get_array())
    assert [page[1, 1], page[1, 6], page[6, 1], page[6, 6]] == pytest.approx([0, 100 / 255, 200 / 255, 1])


def test_torch_tensors_and_ranges() -> None:
    levels = torch.tensor([-1.0, 0.0, 1.0, 3.0], requires_grad=True).reshape(4, 1, 1, 1).expand(4, 1, 4, 4)
    page = np.asarray(figures.image_grid(levels, cols=4).axes[0].get_images()[0].get_array())
    assert page[1, 1::5] == pytest.approx([0, 0.5, 1, 1])


def test_grid_names_the_remedy_for_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"got \(4, 2, 3, 3\); reshape"):
        figures.image_grid(np.zeros((4, 2, 3, 3)))


def test_no_figure_is_left_open_and_no_setting_changed() -> None:
    before = dict(matplotlib.rcParams)
    curve()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    assert dict(matplotlib.rcParams) == before


def test_show_stores_picture_alt_text_and_summary(shown: list[Any]) -> None:
    figures.show(curve(), "two-terms", "Two curves.")
    [(data, about)] = shown
    assert about["lowerbound"] == {"key": "two-terms", "alt": "Two curves."}
    assert about["image/png"] == {"width": 518, "height": 317}
    assert data["text/plain"].splitlines()[:2] == ["Two curves.", "line a: 20 points, mean 0, from -1 to 1"]
    assert data["image/png"].startswith("iVBOR")


def test_show_takes_a_summary_of_ones_own(shown: list[Any]) -> None:
    figures.show(curve(), "loss", "A loss.", witness_text="it falls")
    assert shown[0][0]["text/plain"] == "A loss.\nit falls"


def test_note(shown: list[Any]) -> None:
    figures.note("gap", "0.35")
    assert shown == [({"text/plain": "gap: 0.35"}, {"lowerbound": {"key": "gap"}})]


ESTIMATES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "values": ([4.0, 4.2, 4.4, 4.14], {"of": "test images"}, "4.18 ± 0.09 (4 test images)"),
    "a number": (-2.31, {"error": 0.0123, "n": 1000, "of": "draws"}, "−2.310 ± 0.013 (1,000 draws)"),
    "an error that begins with 1": (3.0, {"error": 0.14, "n": 5, "of": "seeds"}, "3.00 ± 0.14 (5 seeds)"),
    "one that rounds up to the next": (3.0, {"error": 0.096, "n": 5, "of": "seeds"}, "3.00 ± 0.10 (5 seeds)"),
    "a large one": (2186.4, {"error": 31.0, "n": 200, "of": "images"}, "2,190 ± 40 (200 images)"),
    "fewer digits": (4.114, {"error": 0.03, "n": 500, "of": "x", "digits": 1}, "4.1 ± 0.1 (500 x)"),
    "a span": ([4.08, 4.15, 4.11], {"of": "seeds", "span": True}, "4.08 to 4.15 (3 seeds)"),
    "a span of one digit": ([-3.0, 5.0], {"of": "seeds", "span": True, "digits": 0}, "−3 to 5 (2 seeds)"),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_an_estimate_is_printed_with_its_error_and_how_many(name: str, shown: list[Any]) -> None:
    what, said, text = ESTIMATES[name]
    figures.note("bits", what, **said)
    [(data, about)] = shown
    assert data == {"text/plain": f"bits: {text}"}
    assert about["lowerbound"].keys() == {"key", "n", "of", "error"}
    assert about["lowerbound"]["n"] == said.get("n", np.size(what))


@pytest.mark.parametrize(
    ("what", "said", "message"),
    [
        (4.1, {}, "give its error, n and of"),
        (4.1, {"error": 0.1, "n": 5}, "give its error, n and of"),
        ([4.0, 4.2], {}, "give its error, n and of"),
        ([4.0, 4.2], {"of": "seeds", "n": 7}, "are computed"),
        ([4.0, 4.0], {"of": "seeds"}, "above 0"),
        ([4.0, math.nan], {"of": "seeds"}, "finite"),
        (4.1, {"error": 0.1, "n": 5, "of": "seeds", "span": True}, "several values"),
        ("4.1", {"n": 5, "of": "seeds"}, "as a number"),
        (4, {"exact": "a count"}, "as text"),
    ],
)
def test_half_an_estimate_is_refused(what: Any, said: dict[str, Any], message: str, shown: list[Any]) -> None:
    with pytest.raises(ValueError, match=message):
        figures.note("bits", what, **said)
    assert shown == []


def test_an_exact_note_says_why(shown: list[Any]) -> None:
    figures.note("latents", "64", exact="a count")
    assert shown[0][1]["lowerbound"] == {"key": "latents", "exact": "a count"}


@pytest.mark.parametrize("key", ["Gap", "a b", "a_b", "", "-a"])
def test_keys_are_words_joined_by_hyphens(key: str, shown: list[Any]) -> None:
    with pytest.raises(ValueError, match="hyphens"):
        figures.note(key, "1")
    assert shown == []


def test_slider_stores_every_frame_as_html(shown: list[Any]) -> None:
    figures.slider([curve(s) for s in range(3)], ["0", "1", "2"], "shift", "A <curve>", name="s =", start=1)
    [(data, about)] = shown
    assert sorted(data) == ["image/png", "text/html", "text/plain"]
    frames = re.findall(
        r'<details class="frame" (\w+)><summary>(.*?)</summary><img alt="(.*?)"', data["text/html"]
    )
    assert frames == [
        (state, f"s = {i}", f"A &lt;curve&gt; s = {i}.")
        for i, state in enumerate(("hidden", "open", "hidden"))
    ]
    for part in ('max="2"', 'value="1"', 'aria-label="s"', 'aria-valuetext="s = 1"'):
        assert part in data["text/html"].split("<details")[0]
    assert data["image/png"] == display.base64.b64encode(display.png(curve(1))).decode()
    assert data["text/plain"].count("line a:") == 3
    assert about["lowerbound"]["key"] == "shift"
    assert ipywidgets.Widget.get_manager_state(widgets=None)["state"] == {}, "no widget is needed"


def test_slider_of_a_function_stores_the_frames_that_it_draws(shown: list[Any]) -> None:
    figures.slider([curve(s) for s in range(2)], ["0", "1"], "shift", "A curve")
    figures.slider(lambda i: curve(i), ["0", "1"], "shift", "A curve")
    (all_compared, _), (one_compared, _) = shown
    assert all_compared["text/html"] == one_compared["text/html"]
    assert [data["text/plain"].count("line a:") for data, _ in shown] == [2, 1]


def test_live_slider_draws_in_the_kernel_what_it_is_moved_to(
    shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/lab.ipynb")
    figures.slider(lambda i: drawn.append(i) or curve(i), ["0", "1", "2"], "shift", "A curve", name="s")
    [(data, _)] = shown
    assert sorted(data) == [display.VIEW, "image/png", "text/plain"]
    assert set(drawn) == {0}, "nothing is drawn before it is asked for"
    controls, picture = ipywidgets.widgets.widget._instances[data[display.VIEW]["model_id"]].children
    play, handle = controls.children
    play.value = 2
    assert handle.value == 2
    assert picture.value == f"{display._image(placed(curve(2), like=curve()), 'A curve s 2.')}<div>s 2</div>"


@pytest.mark.parametrize("front_end", ["Colab", "JupyterLab", "VS Code", ""])
def test_slider_is_live_where_someone_runs_the_notebook(
    front_end: str, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if front_end == "Colab":
        monkeypatch.setitem(sys.modules, "google.colab", figures)
    elif front_end == "JupyterLab":
        monkeypatch.setenv("JPY_SESSION_NAME", "lab.ipynb")
    elif front_end == "VS Code":
        shell = type("Shell", (), {"user_ns": {"__vsc_ipynb_file__": "lab.ipynb"}})
        monkeypatch.setattr(IPython.core.getipython, "get_ipython", shell)
    figures.slider([curve(), curve(1)], ["0", "1"], "shift", "A curve")
    figures.slider([curve(), curve(1)], ["0", "1"], "shift", "A curve", live=not front_end)
    (by_default, _), (otherwise, _) = shown
    assert (display.VIEW in by_default, "text/html" in by_default) == (bool(front_end), not front_end)
    assert (display.VIEW in otherwise) == (not front_end)
    assert by_default["text/plain"] == otherwise["text/plain"], "what is compared is the same"


def test_slider_wants_a_label_for_each_frame(shown: list[Any]) -> None:
    with pytest.raises(ValueError, match="2 frames need as many labels, got 1"):
        figures.slider([curve(), curve()], ["0"], "shift", "A curve")


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([1.3, 4.1], ["1", "2", "5"]),
        ([2.3, 4.4], ["2", "5"]),
        ([0.004, 0.11], ["0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2"]),
        ([1e-3, 3.0], ["0.001", "0.01", "0.1", "1"]),
        ([1e-20, 1.0], [f"$10^{{{k}}}$" for k in range(-20, 1, 3)]),
    ],
)
def test_ticks_of_a_logarithmic_axis(values: list[float], written: list[str]) -> None:
    ticks, labels = log_ticks(np.array(values))
    assert labels == written
    assert len(ticks) == len(labels) <= 8
    assert ticks == sorted(ticks)


def test_a_logarithmic_axis_refuses_zero() -> None:
    with pytest.raises(ValueError, match="leave out logy"):
        figures.curves([1, 2], {"a": [0.0, 1.0]}, "x", "y", logy=True)


# Names beside curves


def named(fig: Figure) -> tuple[bool, list[tuple[float, float, float, float]]]:
    """Whether the first axes' curves were named, and where their names stand, in pixels."""
    display._freeze(fig)
    ax: Any = fig.axes[0]
    before = set(ax.texts)
    done, canvas = figures.name_curves(ax), ax.figure.canvas
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in ax.texts if text not in before]
    return done, [(box.x0, box.y0, box.x1, box.y1) for box in boxes]


def touches(fig: Figure, boxes: list[tuple[float, float, float, float]]) -> list[str]:
    """What a name stands on: a curve, another name, or what is beyond the axes. Asked of each pixel drawn."""
    found, ax = [], fig.axes[0]
    for line in ax.get_lines():
        path = line.get_transform().transform(line.get_xydata())
        dense = np.concatenate([np.linspace(a, b, 500) for a, b in pairwise(path)])
        for left, low, right, high in boxes:
            inside = (dense > (left, low)).all(1) & (dense < (right, high)).all(1)
            found += [f"on {line.get_label()}"] * bool(inside.any())
    for i, (left, low, right, high) in enumerate(boxes):
        for other in boxes[:i]:
            if left < other[2] and other[0] < right and low < other[3] and other[1] < high:
                found.append("on another name")
        frame = ax.get_window_extent()
        if left < frame.x0 or right > frame.x1 or low < frame.y0 or high > frame.y1:
            found.append("beyond the axes")
    return found


GRID = np.linspace(0.01, 1, 80)
NAMED: dict[str, Any] = {
    "a bound below a level line": {"log p(x)": 0 * GRID, "ELBO": -((GRID - 0.3) ** 2)},
    "curves from one point": {f"rate {k}": np.exp(-k * GRID) for k in (0, 1, 2, 4)},
    "curves that cross": {"rising": GRID**2, "falling": 1 - GRID},
    "waves": {"sine": np.sin(9 * GRID), "cosine": np.cos(9 * GRID) + 0.4},
}


@pytest.mark.parametrize("kind", NAMED)
def test_names_stand_beside_their_curves_and_on_nothing(kind: str) -> None:
    fig = figures.curves(GRID, NAMED[kind], "x", "y")
    done, boxes = named(fig)
    assert done
    assert fig.axes[0].get_legend() is None
    assert len(boxes) == len(NAMED[kind])
    assert touches(fig, boxes) == []
    # Each is nearer to its own curve than to any other.
    lines = fig.axes[0].get_lines()
    paths = [line.get_transform().transform(line.get_xydata()) for line in lines]
    for i, box in enumerate(boxes):
        middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        dense = [np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(p)]) for p in paths]
        far = [float(np.hypot(*(points - middle).T).min()) for points in dense]
        assert far.index(min(far)) == i


def test_a_curve_that_leaves_the_axes_is_followed_to_their_edge() -> None:
    fig = figures.curves([0.0, 4.0], {"steep": [0.5, -12.0], "level": [0.0, 0.0]}, "x", "y")
    fig.axes[0].set(xlim=(0, 4), ylim=(-3, 1))
    done, boxes = named(fig)
    assert done
    assert touches(fig, boxes) == []


def test_a_planted_overlap_is_seen() -> None:
    fig = figures.curves(GRID, NAMED["curves that cross"], "x", "y")
    _, boxes = named(fig)
    rising = fig.axes[0].get_lines()[0]
    x, y = rising.get_transform().transform(rising.get_xydata())[40]
    assert touches(fig, [*boxes, (x - 20, y - 6, x + 20, y + 6)]) == ["on rising"]
    assert "on another name" in touches(fig, [*boxes, boxes[0]])


def test_a_name_makes_way_for_a_note_that_stands_where_it_would() -> None:
    fig = figures.curves(GRID, NAMED["curves that cross"], "x", "y")
    _, (first, _) = named(fig)
    fig = figures.curves(GRID, NAMED["curves that cross"], "x", "y")
    ax = fig.axes[0]
    display._freeze(fig)
    at = ax.transAxes.inverted().transform(((first[0] + first[2]) / 2, (first[1] + first[3]) / 2))
    ax.text(*at, "a note", transform=ax.transAxes, ha="center", va="center")
    done, (moved, _) = named(fig)
    assert done
    apart = moved[2] <= first[0] or first[2] <= moved[0] or moved[3] <= first[1] or first[3] <= moved[1]
    assert apart


def places(kind: str) -> list[tuple[float, ...]]:
    """Where the axes of a figure and the names of its curves stand, in its own units."""
    fig = figures.curves(GRID, NAMED[kind], r"$\bar\alpha_t$ of x", "nats")
    assert named(fig)[0]
    ax = fig.axes[0]
    return [ax.get_position().bounds, *(text.get_position() for text in ax.texts)]


@pytest.mark.parametrize("kind", NAMED)
def test_a_matplotlib_with_larger_letters_lays_a_figure_out_alike(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = places(kind)
    measure = RendererAgg.get_text_width_height_descent

    def larger(*args: Any) -> tuple[float, ...]:
        return tuple(1.2 * side for side in measure(*args))

    monkeypatch.setattr(RendererAgg, "get_text_width_height_descent", larger)
    text = curve().axes[0].xaxis.label
    assert text.get_window_extent(text.figure.canvas.get_renderer()).width > 0
    assert places(kind) == before


def test_letters_are_about_as_wide_as_they_are_drawn() -> None:
    fig = figures.canvas()[0]
    formulas = (r"$\bar\alpha_t$, exact", r"$q(x_5|x_6)$")
    for written in ("best variance", "log p(x)", "−1.25", "a $ 5", *formulas):
        text = fig.text(0, 0, written, fontsize=10.5)
        drawn = text.get_window_extent(fig.canvas.get_renderer()).width
        with letters.nominal(fig) as renderer:
            nominal = text.get_window_extent(renderer).width
        assert nominal == pytest.approx(drawn, rel=0.12), written


LEGENDS: dict[str, Any] = {
    "no room between them": {f"curve {k}": GRID + 0.01 * k for k in range(3)},
    "too many": {f"curve {k}": GRID + k for k in range(8)},
}


@pytest.mark.parametrize("kind", LEGENDS)
def test_where_there_is_no_room_the_legend_stays(kind: str) -> None:
    fig = figures.curves(GRID, LEGENDS[kind], "x", "y")
    done, boxes = named(fig)
    assert not done
    assert boxes == []
    assert fig.axes[0].get_legend() is not None


def test_a_legend_of_bars_or_samples_stays() -> None:
    for fig in (
        figures.density(X, {"p": 1 - X**2}, samples=X),
        figures.bars(["a", "b"], {"one": [1, 2], "two": [2, 1]}, "y"),
    ):
        assert not named(fig)[0]
        assert fig.axes[0].get_legend() is not None


def test_a_shown_figure_has_names_and_the_same_summary(shown: list[Any]) -> None:
    fig = curve()
    before = figures.summary(fig)
    figures.show(fig, "named", "Two curves.")
    assert fig.axes[0].get_legend() is None
    assert before in shown[0][0]["text/plain"]
