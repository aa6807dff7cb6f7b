"""An assignment's source: what students get of it, what is run for them, and what grades them."""

from __future__ import annotations

import ast
import contextlib
import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

SOURCES = Path(__file__).parents[1] / "notebooks" / "assignments"
NOTE = "made by `make assignments` from the instructor's source; changes here are lost"


@dataclass(frozen=True)
class Cell:
    """A cell with nbgrader's metadata. kind: "locked", "solution", "test" or "written" (graded by hand)."""

    id: str
    kind: str
    points: float
    source: str
    code: bool


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

    @cached_property
    def students(self) -> set[str]:
        """The names that a submission binds: in a solution, or in a cell that uses such a name."""
        found: set[str] = set()
        for cell in self.cells:
            if cell.code and cell.kind != "test" and (cell.kind != "locked" or reads(cell.source) & found):
                found |= binds(cell.source)
        return found

    def shared(self) -> dict[str, Any]:
        """Run the locked cells that use no student's name. Returns what they bind: tests see it."""
        names: dict[str, Any] = {"__name__": "grading.tests"}
        before, os.environ["MPLBACKEND"] = os.environ.get("MPLBACKEND"), "agg"
        for cell in self.cells:
            source = plain(cell.source)
            if (
                cell.code
                and cell.kind == "locked"
                and not (reads(source) & (self.students | {"get_ipython"}))
            ):
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    exec(compile(source, f"<{self.name}: {cell.id}>", "exec"), names)
        if before is not None:
            os.environ["MPLBACKEND"] = before
        return names

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
        found: list[tuple[int | None, str]] = []
        seen: set[str] = set()
        order = list(ours)
        for n, node in enumerate(submission.cells):
            name = ids[n]
            if name in ours and name not in seen:
                for missing in order[: order.index(name)]:
                    if missing not in ids and missing not in seen and ours[missing].kind == "locked":
                        found += [(None, ours[missing].source)] if ours[missing].code else []
                        seen.add(missing)
                seen.add(name)
                if ours[name].kind == "test" or not ours[name].code:
                    continue
                found.append((n, ours[name].source if ours[name].kind == "locked" else node.source))
            elif node.cell_type == "code" and name not in ours:
                found.append((n, node.source))
        return found


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


def plain(source: str) -> str:
    """A cell without IPython's own syntax."""
    from IPython.core.inputtransformer2 import TransformerManager

    return str(TransformerManager().transform_cell(source))


def reads(source: str) -> set[str]:
    """All names that a cell uses."""
    return {node.id for node in ast.walk(ast.parse(plain(source))) if isinstance(node, ast.Name)}


def binds(source: str) -> set[str]:
    """The names that a cell gives a value, outside of its functions and classes."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(plain(source))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            todo += ast.iter_child_nodes(node)
    return found
