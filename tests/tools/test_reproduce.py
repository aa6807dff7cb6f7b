"""The tool that runs the labs elsewhere: its environments, its counts, its planted errors, its page."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lowerbound import results
from lowerbound.results import STORED
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tools.reproduce import record, report  # noqa: E402
from tools.reproduce.cells import difference, lines  # noqa: E402
from tools.reproduce.faults import needed  # noqa: E402
from tools.reproduce.record import COMPARE, DRAWN, bad, configurations, copy, gather, packages  # noqa: E402

DEPENDENCIES = (ROOT / "pyproject.toml").read_text().partition("\ndependencies")[2].partition("]")[0]
ASKED = [Requirement(text) for text in re.findall(r'^    "(.+)",$', DEPENDENCIES, re.M)]
RANGES = {one.name: one.specifier for one in ASKED}


def pinned(name: str) -> dict[str, str]:
    found = (line.partition("==") for line in configurations()[name].requirements if "==" in line)
    return {package: version.partition(";")[0] for package, _, version in found}


# Environments


def test_the_results_that_a_lab_reads_travel_with_the_library(tmp_path: Path) -> None:
    """The installed copy reads `stored` and `comparison` in its own folder."""
    record.copy(tmp_path / "source")
    copied = tmp_path / "source" / "results"
    assert {path.stem for path in copied.glob("*.json")} == set(STORED)
    assert results.comparison(copied / "comparison") == results.comparison(ROOT / "results" / "comparison")
    assert {name for pattern in DRAWN for name in map(str, ROOT.glob(pattern))} == {
        str(ROOT / path.relative_to(tmp_path / "source")) for path in copied.rglob("*.json")
    }


def test_the_oldest_packages_are_the_lower_ends_of_the_ranges() -> None:
    lower = {name: next(s.version for s in spec if s.operator == ">=") for name, spec in RANGES.items()}
    oldest = {name: version for name, version in pinned("py310-oldest").items() if name in RANGES}
    assert {name: Version(v) for name, v in oldest.items()} == {n: Version(v) for n, v in lower.items()}


@pytest.mark.parametrize("name", configurations())
def test_pins_lie_within_the_ranges(name: str) -> None:
    """Otherwise installing the library would replace what is there."""
    assert all(version in RANGES[package] for package, version in pinned(name).items() if package in RANGES)


def test_each_configuration_is_a_session() -> None:
    listing = [sys.executable, "-m", "nox", "-f", ROOT / record.HERE / "noxfile.py", "--list", "--json"]
    done = subprocess.run([str(part) for part in listing], capture_output=True, text=True, check=True)
    sessions = {one["name"]: one["python"] for one in json.loads(done.stdout)}
    assert sessions == {name: one.python for name, one in configurations().items()}


# Counts


def cell(outcome: str, **more: Any) -> dict[str, Any]:
    return {"lab": "x", "cell": 0, "outcome": outcome, "pictures": [], "seconds": 1, "hash": "a"} | more


def test_cells_are_counted() -> None:
    found = [cell("run"), cell("equal", pictures=[0.1, 0.2]), cell("error"), cell("different"), cell("equal")]
    counts = report.counts(found)
    assert (counts["cells"], counts["compared"], counts["equal"]) == (5, 4, 2)
    assert (counts["different"], counts["errors"]) == (1, 1)
    assert (counts["pictures"], counts["furthest_picture"]) == (2, 0.2)


@pytest.mark.parametrize(("last", "identical"), [("a", 3), ("b", 2)])
def test_runs_that_differ_in_one_output_are_not_identical(last: str, identical: int) -> None:
    runs = [{"x": ([cell("equal", hash=name)], 1.0)} for name in ("a", "a", last)]
    assert report.identical(runs)["identical"] == identical


GOOD = {"equal": 3, "compared": 3, "changed_by_install": []}


@pytest.mark.parametrize(
    "change",
    [
        {"equal": 2},
        {"equal": 0, "compared": 0},
        {"changed_by_install": ["numpy 1 -> 2"]},
        {"repeats": {"runs": 10, "identical": 9}},
    ],
)
def test_what_is_bad_is_said(change: dict[str, Any]) -> None:
    assert not bad(GOOD)
    assert bad(GOOD | change)


def test_repeats_stay_in_the_record_of_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "reproducibility.json"
    monkeypatch.setattr(record, "RESULTS", results)

    def kept() -> dict[str, Any]:
        return json.loads(results.read_text())["configurations"]["pins"]

    known = configurations()
    about = {"name": "pins", "files": "now", "packages": packages(known["pins"])}
    once = {**report.summary({"x": ([cell("equal")], 1.0)}), **about}
    often = once | {"repeats": {"runs": 10, "identical": 10}}
    gather(often)
    gather(once)
    assert kept() == often
    gather(once | {"files": "later"})
    assert "repeats" not in kept()


def test_records_of_other_files_and_other_packages_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "reproducibility.json"
    monkeypatch.setattr(record, "RESULTS", results)
    known = configurations()

    def result(name: str, **other: str) -> dict[str, Any]:
        about = {"name": name, "files": "now", "packages": packages(known[name])} | other
        return {**report.summary({"x": ([cell("equal")], 1.0)}), **about}

    def kept() -> list[str]:
        return list(json.loads(results.read_text())["configurations"])

    unmarked = {key: value for key, value in result("py310-oldest").items() if key != "packages"}
    before = {"configurations": {"colab": result("colab", packages="others"), "py310-oldest": unmarked}}
    results.write_text(json.dumps(before))
    gather(result("pins"))
    assert kept() == ["pins"]
    gather(result("colab"))
    assert kept() == ["pins", "colab"]
    assert json.loads(results.read_text())["total"]["compared"] == 2
    gather(result("colab", files="later"))
    assert kept() == ["colab"]


def test_the_fingerprint_is_of_what_can_change_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["README.md", "lib/x.py", "tools/reproduce/report.py", "notebooks/x.ipynb", *COMPARE]
    monkeypatch.setattr(record, "ROOT", tmp_path)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    before = copy(tmp_path / "copy")
    assert all((tmp_path / "copy" / name).read_text() == "before" for name in names)
    changing = []
    for name in names:
        (tmp_path / name).write_text("after")
        changing += [name] if copy(tmp_path / "copy") != before else []
        (tmp_path / name).write_text("before")
    assert changing == ["lib/x.py", "notebooks/x.ipynb", *COMPARE]


def test_a_difference_names_the_lines() -> None:
    stored, fresh = ({"text": f"same\nvalue {digit}\n"} for digit in "12")
    assert difference(lines([stored]), lines([fresh])) == ["-value 1", "+value 2"]


# The plugin beside nbval


def picture(colour: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("stored", "text", "outcome"),
    [("white", "1", "equal"), ("black", "1", "different"), ("white", "2", "different")],
)
def test_a_lab_is_compared_in_text_and_pictures(stored: str, text: str, outcome: str, tmp_path: Path) -> None:
    data = {"image/png": picture("white"), "text/plain": "1"}
    source = f"from IPython.display import publish_display_data\npublish_display_data({data!r})"
    shown = {"image/png": picture(stored), "text/plain": text}
    output = {"output_type": "display_data", "metadata": {}, "data": shown}
    code = {"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {}, "source": source}
    code["outputs"] = [output]
    notebook = {"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "x.ipynb").write_text(json.dumps(notebook))
    command = [
        sys.executable, "-m", "pytest", tmp_path / "x.ipynb", "-p", "tools.reproduce.cells", "--nbval",
        "--nbval-current-env", f"--cells={tmp_path / 'cells.json'}", "-p", "no:cacheprovider",
    ]  # fmt: skip
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    [found] = json.loads((tmp_path / "cells.json").read_text())
    assert (found["outcome"], done.returncode) == (outcome, int(outcome != "equal"))


# The cells that a planted error needs


def test_the_cells_that_a_cell_needs() -> None:
    cells = [
        "%pip install x\nimport a",
        "x = a.b()",
        "y = 1",
        "x = x + 1",
        "rng = a.rng()",
        "rng.draw()",
        "x + rng",
    ]
    assert needed(cells, 6) == [0, 1, 3, 4, 5, 6]  # cell 5 draws from what cell 6 draws from
