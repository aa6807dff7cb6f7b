"""An assignment's source: what students get of it, what is run for them, and what grades them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

SOURCES = Path(__file__).parents[2] / "notebooks" / "assignments"
VIETNAMESE = SOURCES.parent / "vi" / "assignments"  # the same cells of code, so they are graded by SOURCES
NOTE = "made by `make assignments` from the instructor's source; changes here are lost"


@dataclass(frozen=True)
class Cell:
    """A cell with nbgrader's metadata. kind: "locked", "solution", "test" or "written" (graded by hand)."""

    id: str
    kind: str
    points: float
    source: str
    code: bool

    @property
    def task(self) -> str:
        """The function that a test is about: "kl" of the cell "kl-test"."""
        return self.id.removesuffix("-test")


@dataclass(frozen=True)
class Assignment:
    """The instructor's source of an assignment. path: …/A2_vae.ipynb"""

    path: Path

    @property
    def name(self) -> str:
        """Its name, which a submission's file must have."""
        return self.path.stem

    @cached_property
    def notebook(self) -> NotebookNode:
        """The source as nbformat reads it."""
        return nbformat.read(self.path, as_version=4)

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells that nbgrader knows, in order. Raises ValueError where two share an id."""
        cells = [cell for node in self.notebook.cells if (cell := read_cell(node)) is not None]
        ids = [cell.id for cell in cells]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"{self.path}: two cells have the id {twice[0]}; rename one")
        return cells

    @property
    def tests(self) -> list[Cell]:
        """The cells that give points by themselves."""
        return [cell for cell in self.cells if cell.kind == "test"]

    @property
    def written(self) -> list[Cell]:
        """The cells that a person grades."""
        return [cell for cell in self.cells if cell.kind == "written"]

    @property
    def needs_torch(self) -> bool:
        """Whether what students write is in torch; its tests, which run elsewhere, may be all the same."""
        tests = {cell.id for cell in self.tests}
        return any("import torch" in n.source for n in self.notebook.cells if cell_id(n) not in tests)

    @cached_property
    def released(self) -> NotebookNode:
        """The student version: no solution, no hidden test, no output; locked cells with checksums."""
        from nbgrader import preprocessors

        made: Any = nbformat.reads(nbformat.writes(self.notebook), as_version=4)
        for cell in made.cells:  # it lies one folder deeper
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace("](../", "](../../")
        for step in (
            preprocessors.CheckCellMetadata, preprocessors.LockCells, preprocessors.ClearSolutions,
            preprocessors.ClearOutput, preprocessors.ClearHiddenTests, preprocessors.ClearMarkScheme,
            preprocessors.ComputeChecksums,
        ):  # fmt: skip
            made, _ = step().preprocess(made, {"nbgrader": {}})
        made.metadata = {
            key: made.metadata[key] for key in ("kernelspec", "language_info") if key in made.metadata
        }
        made.metadata["lowerbound"] = {"assignment": self.name, "note": NOTE}
        for cell in made.cells:
            cell.metadata.pop("execution", None)
        return made

    def run_list(self, submission: NotebookNode) -> list[tuple[int | None, str]]:
        """What the sandbox executes: the submission's code with our locked cells in place of its own.

        Pairs of the submission's cell number (None for a cell that was put back) and source. Test cells are
        left out: they are for the grader. Without nbgrader's metadata, which some editors drop, all run.
        """
        ours = {cell.id: cell for cell in self.cells}
        ids = [cell_id(node) for node in submission.cells]
        known = [name for name in ids if name in ours]
        if not known:
            return [(n, node.source) for n, node in enumerate(submission.cells) if node.cell_type == "code"]
        cells: list[tuple[int | None, str]] = []
        seen: set[str] = set()
        order = list(ours)
        for n, node in enumerate(submission.cells):
            name = ids[n]
            if name in ours and name not in seen:
                for missing in order[: order.index(name)]:
                    if missing not in ids and missing not in seen and ours[missing].kind == "locked":
                        cells += [(None, ours[missing].source)] if ours[missing].code else []
                        seen.add(missing)
                seen.add(name)
                if ours[name].kind == "test" or not ours[name].code:
                    continue
                cells.append((n, ours[name].source if ours[name].kind == "locked" else node.source))
            elif node.cell_type == "code" and name not in ours:
                cells.append((n, node.source))
        return cells


def assignments(folder: Path = SOURCES) -> dict[str, Assignment]:
    """All assignments by name."""
    return {path.stem: Assignment(path) for path in sorted(folder.glob("*.ipynb"))}


def cell_id(node: NotebookNode) -> str | None:
    """Nbgrader's id of a cell."""
    about = node.metadata.get("nbgrader")
    return str(about["grade_id"]) if isinstance(about, dict) and "grade_id" in about else None


def read_cell(node: NotebookNode) -> Cell | None:
    """A cell with nbgrader's metadata, or None."""
    name = cell_id(node)
    if name is None:
        return None
    about = node.metadata.nbgrader
    kinds = {
        (True, False): "test",
        (False, True): "solution",
        (True, True): "written",
        (False, False): "locked",
    }
    kind = "written" if about.get("task") else kinds[bool(about.get("grade")), bool(about.get("solution"))]
    points = float(about.get("points", 0)) if kind in ("test", "written") else 0.0
    return Cell(name, kind, points, node.source, node.cell_type == "code")
