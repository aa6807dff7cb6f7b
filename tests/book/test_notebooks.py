"""Hygiene of the labs: executed in order, clean outputs, described figures, small files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from lowerbound import figures
from lowerbound.figures import display

ROOT = Path(__file__).parents[2]
LABS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXEMPT = re.compile(r"^\s*#\s*NBVAL_(IGNORE_OUTPUT|SKIP)\s*$", re.M)
REASON = re.compile(r"^\s*#\s*not compared: \S+ \S+", re.M)
UNCLEAN = {
    "a memory address": re.compile(r"\b0x[0-9a-fA-F]{6,}\b"),
    "an absolute path": re.compile(
        r"(?<![\w.:/])/(home|root|tmp|usr|work|content|Users|opt|var|mnt)/\w|[A-Z]:\\\\?\w"
    ),
    "a warning": re.compile(r"\b\w*Warning: |\bwarnings\.warn\("),
    "a progress bar": re.compile(r"\d+%\|[ █▏▎▍▌▋▊▉#]"),
}


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def configured() -> tuple[str, str]:
    """The address of the repository, and the branch or tag that the book's links lead to."""
    config = (ROOT / "_config.yml").read_text()
    url, branch = (re.findall(rf"^  {key}: (\S+)", config, re.M)[0] for key in ("url", "branch"))
    return url, branch


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and source(cell).strip()]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def outputs(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def texts(notebook: dict[str, Any]) -> str:
    parts = []
    for output in outputs(notebook):
        parts += ["".join(output.get("text", ""))]
        parts += ["".join(data) for mime, data in output.get("data", {}).items() if mime.startswith("text/")]
    return "\n".join(parts)


def faults(notebook: dict[str, Any]) -> list[str]:
    """Everything that a lab must not have, each as one line."""
    cells = code_cells(notebook)
    found = []
    counts = [cell["execution_count"] for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        found.append(f"not executed once from top to bottom: {counts}")
    found += [f"an error: {o['ename']}" for o in outputs(notebook) if o["output_type"] == "error"]
    for what, pattern in UNCLEAN.items():
        found += [
            f"{what} in an output: {match.group()!r}" for match in [pattern.search(texts(notebook))] if match
        ]
    found += [
        "a widget, of which a page shows nothing; execute with nbconvert"
        for output in outputs(notebook)
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    found += ["text on stderr" for o in outputs(notebook) if o.get("name") == "stderr"]

    exempt = [
        cell for cell in cells
        if EXEMPT.search(source(cell)) or any("nbval" in tag for tag in cell["metadata"].get("tags", []))
    ]  # fmt: skip
    if 4 * len(exempt) > len(cells):
        found.append(
            f"{len(exempt)} of {len(cells)} code cells are exempt from comparison, more than a quarter"
        )
    found += [
        "an exempt cell without `# not compared: reason`" for c in exempt if not REASON.search(source(c))
    ]

    keys = []
    for output in outputs(notebook):
        about = output.get("metadata", {}).get("lowerbound", {})
        keys += [about["key"]] if about else []
        if (
            any(mime.startswith("image/") for mime in output.get("data", {}))
            and len(about.get("alt", "")) < 20
        ):
            found.append(
                f"a figure without alt text (key {about.get('key')!r}); display it with figures.show"
            )
    found += [f"the key {key!r} is used twice" for key in sorted(set(keys)) if keys.count(key) > 1]
    return found


GROUP, PATH, USE = (f"{{http://www.w3.org/2000/svg}}{name}" for name in ("g", "path", "use"))
LINK = "{http://www.w3.org/1999/xlink}href"
FRAME = re.compile(r'src="data:image/svg\+xml,([^"]+)"')


def drawings(notebook: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and SVG of each drawing that is stored, of a slider those of all its frames."""
    for output in outputs(notebook):
        data, about = output.get("data", {}), output.get("metadata", {}).get("lowerbound", {})
        frames = [
            unquote(frame).replace("'", '"') for frame in FRAME.findall("".join(data.get("text/html", "")))
        ]
        for svg in ["".join(data.get("image/svg+xml", "")), *frames]:
            if svg:
                yield about["key"], svg


def told_apart_by_colour_alone(svg: str) -> list[tuple[str, ...]]:
    """The colours of curves of one axes that have the same dashes, width and marks."""
    found, root = [], ElementTree.fromstring(svg)
    marks = {path.get("id"): path.get("d") for path in root.iter(PATH)}
    for axes in root.iter(GROUP):
        if not axes.get("id", "").startswith("axes_"):
            continue
        alike: dict[tuple[str | None, ...], set[str]] = {}
        for line in axes.findall(GROUP):
            path, mark = line.find(PATH), next(line.iter(USE), None)
            if not line.get("id", "").startswith("line2d_") or path is None:
                continue
            style = dict(re.findall(r"([\w-]+): ([^;]+)", path.get("style", "")))
            marked = None if mark is None else marks[mark.get(LINK, "").removeprefix("#")]
            look = (style.get("stroke-dasharray"), style.get("stroke-width"), marked)
            alike.setdefault(look, set()).add(style.get("stroke", ""))
        found += [tuple(sorted(colours)) for colours in alike.values() if len(colours) > 1]
    return found


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_curves_differ_by_more_than_colour(path: Path) -> None:
    alike = {key: told_apart_by_colour_alone(svg) for key, svg in drawings(read(path))}
    assert {key: colours for key, colours in alike.items() if colours} == {}


def test_curves_that_differ_by_colour_alone_are_found() -> None:
    x = [0.0, 1.0, 2.0]
    fig = figures.curves(x, {"a": x, "b": [1.0, 1.0, 1.0]}, "x", "y")
    assert told_apart_by_colour_alone(display.svg(fig)) == []
    for mark in ("", "o-"):
        fig, ax = figures.canvas()
        ax.plot(x, x, mark, color="red")
        ax.plot(x, [1.0, 1.0, 1.0], mark, color="blue")
        assert told_apart_by_colour_alone(display.svg(fig)) == [("#0000ff", "#ff0000")]


def test_there_are_labs() -> None:
    assert LABS, "no notebook in notebooks/"


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_lab_is_clean(path: Path) -> None:
    assert faults(read(path)) == []


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_lab_is_small(path: Path) -> None:
    """Small enough for GitHub to show it. Frames are stored as vectors, which takes twice a PNG's room."""
    assert path.stat().st_size < 3_000_000


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_lab_opens_with_the_setup_cell(path: Path) -> None:
    first = read(path)["cells"][0]
    model = read(LABS[0])["cells"][0]
    assert (first["cell_type"], source(first)) == ("code", source(model))
    url, branch = configured()
    assert f'git+{url}{"" if branch == "main" else f"@{branch}"}"' in source(first)


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_the_front_page_opens_the_lab_on_colab(path: Path) -> None:
    name = f"notebooks/{path.name}"
    url, branch = configured()
    address = url.replace("github.com", "colab.research.google.com/github") + f"/blob/{branch}/{name}"
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if f"]({name})" in line)
    assert f"]({address})" in row


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_lab_has_one_title_and_links_its_chapter(path: Path) -> None:
    prose = [source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    assert sum(len(re.findall(r"^# ", text, re.M)) for text in prose) == 1
    assert f"book/{path.stem}.md" in "\n".join(prose)


def good() -> dict[str, Any]:
    """A small lab with a note and a figure that breaks no rule."""
    note = {
        "output_type": "display_data",
        "data": {"text/plain": "gap: 0.35"},
        "metadata": {"lowerbound": {"key": "gap"}},
    }
    figure = {
        "output_type": "display_data",
        "data": {"text/plain": "A curve that touches a line.", "image/png": "iVBO"},
        "metadata": {"lowerbound": {"key": "curve", "alt": "A curve that touches a line."}},
    }
    found = [
        {"cell_type": "code", "execution_count": n + 1, "metadata": {}, "source": ["x = 1"], "outputs": []}
        for n in range(4)
    ]
    found[1]["outputs"], found[2]["outputs"] = [note], [figure]
    return {"cells": found}


def planted(change: str) -> dict[str, Any]:
    notebook = good()
    cells = notebook["cells"]
    stream = {"output_type": "stream", "name": "stdout"}
    if change == "order":
        cells[3]["execution_count"] = 9
    elif change == "never run":
        cells[3]["execution_count"] = None
    elif change == "error":
        cells[3]["outputs"] = [{"output_type": "error", "ename": "ValueError"}]
    elif change == "address":
        cells[3]["outputs"] = [{**stream, "text": ["<object at 0x7f4a0cc75990>"]}]
    elif change == "path":
        cells[3]["outputs"] = [{**stream, "text": ["saved to /home/someone/x.png"]}]
    elif change == "warning":
        cells[3]["outputs"] = [{**stream, "text": ["UserWarning: careful"]}]
    elif change == "stderr":
        cells[3]["outputs"] = [{**stream, "name": "stderr", "text": ["careful"]}]
    elif change == "widget":
        cells[2]["outputs"][0]["data"]["application/vnd.jupyter.widget-view+json"] = {}
    elif change == "no reason":
        cells[3]["source"] = ["# NBVAL_IGNORE_OUTPUT\n", "x"]
    elif change == "too many exempt":
        for cell in cells[:2]:
            cell["source"] = ["# NBVAL_IGNORE_OUTPUT\n", "# not compared: it varies\n", "x"]
    elif change == "alt":
        cells[2]["outputs"][0]["metadata"] = {}
    elif change == "key twice":
        cells[3]["outputs"] = cells[1]["outputs"]
    return notebook


def test_a_good_lab_has_no_faults() -> None:
    assert faults(good()) == []


FAULTS = (
    "order", "never run", "error", "address", "path", "warning", "stderr", "no reason", "too many exempt",
    "alt", "key twice", "widget",
)  # fmt: skip


@pytest.mark.parametrize("change", FAULTS)
def test_each_fault_is_found(change: str) -> None:
    assert len(faults(planted(change))) == 1
