"""One submission: run it in a sandbox, then run the assignment's tests out here on what it made."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import random
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from grading.assignment import Assignment, Cell, binds, cell_id, plain, reads
from grading.remote import MISSING, Session, StudentError, clean
from grading.sandbox import EndedError, Limits, Sandbox

MAX_NOTEBOOK = 20 * 2**20
MAX_CELLS = 2000


class RefusedError(Exception):
    """A submission that cannot be graded; the message says why, in one line."""


@dataclass
class Verdict:
    """What became of a submission. marks: points and message by the id of the test cell."""

    student: str
    assignment: str
    refused: str = ""
    marks: dict[str, tuple[float, str]] = field(default_factory=dict)
    seconds: float = 0.0
    answers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        """The automatic points."""
        return sum(points for points, _ in self.marks.values())


class TestTime(BaseException):
    """A test has run for too long."""


def read_submission(path: Path) -> NotebookNode:
    """The notebook. Raises RefusedError for a file that is none."""
    try:
        size = path.stat().st_size
        if size > MAX_NOTEBOOK:
            raise RefusedError(
                f"the file has {size >> 20} MiB, more than {MAX_NOTEBOOK >> 20}; clear its outputs"
            )
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        for cell in notebook.cells:
            if not (isinstance(cell.source, str) and isinstance(cell.cell_type, str)):
                raise RefusedError("not a notebook: a cell without text")
            cell.metadata = cell.get("metadata", nbformat.from_dict({}))
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError(f"not a notebook: {clean(error) or type(error).__name__}") from error
    if len(notebook.cells) > MAX_CELLS:
        raise RefusedError(f"it has more than {MAX_CELLS} cells")
    return notebook


def judge(
    path: Path, student: str, assignment: Assignment, shared: dict[str, Any], limits: Limits, isolated: bool
) -> tuple[Verdict, NotebookNode | None]:
    """Grade one file. Returns the verdict, and the notebook with the outputs that its run gave."""
    verdict, start = Verdict(student, assignment.name), time.monotonic()
    notebook = None
    try:
        notebook = read_submission(path)
        _written(assignment, notebook, verdict)
        with Sandbox(limits, isolated) as sandbox:
            session = Session(sandbox, shared)
            _execute(session, assignment, notebook, verdict)
            for cell in assignment.tests:
                if sandbox.ended:
                    verdict.marks[cell.id] = 0.0, f"not run: {sandbox.ended}"
                else:
                    message = run_test(session, cell, shared)
                    verdict.marks[cell.id] = (0.0, message) if message else (cell.points, "")
    except (RefusedError, EndedError) as why:
        verdict.refused = str(why)
    for cell in assignment.tests:
        verdict.marks.setdefault(cell.id, (0.0, f"not run: {verdict.refused}"))
    verdict.seconds = time.monotonic() - start
    return verdict, notebook


def _written(assignment: Assignment, notebook: NotebookNode, verdict: Verdict) -> None:
    ids = [cell_id(node) for node in notebook.cells]
    for cell in assignment.written:
        verdict.answers[cell.id] = notebook.cells[ids.index(cell.id)].source if cell.id in ids else ""
    if not any(ids):
        verdict.notes.append(
            "no cell has nbgrader's metadata: tests run by name, written answers are not found"
        )
    elif gone := [cell.id for cell in assignment.cells if cell.id not in ids and cell.kind != "locked"]:
        verdict.notes.append(f"deleted cells: {', '.join(gone)}")


def _execute(session: Session, assignment: Assignment, notebook: NotebookNode, verdict: Verdict) -> None:
    """Run the cells, and put the outputs that they gave in place of those that were handed in."""
    for node in notebook.cells:
        if node.cell_type == "code":
            node.outputs, node.execution_count = [], None
    limits, start = session.sandbox.limits, time.monotonic()
    for number, (place, source) in enumerate(assignment.run_list(notebook), 1):
        left = limits.notebook - (time.monotonic() - start)
        if left <= 0:
            raise RefusedError(f"the notebook takes more than {limits.notebook:g} s")
        where = f"cell {place + 1}" if place is not None else "a cell that was put back"
        try:
            reply, _ = session.request("run", min(limits.cell, left), source=source, number=number)
        except StudentError as error:
            verdict.notes.append(f"{where}: {error}")
            continue
        except EndedError as ended:
            raise RefusedError(f"{where}: {ended}") from ended
        if place is not None:
            notebook.cells[place].execution_count = number
            notebook.cells[place].outputs = outputs(reply)
        if isinstance(reply, dict) and reply.get("error"):
            verdict.notes.append(f"{where} raises {clean(reply['error'])}")


def outputs(reply: Any) -> list[NotebookNode]:
    """The outputs that a sandbox reports, or none where they are no outputs."""
    try:
        made = [nbformat.from_dict(entry) for entry in reply["outputs"]]
        cell = nbformat.v4.new_code_cell(outputs=made)
        nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
        return made
    except Exception:
        text = "the outputs of this cell cannot be shown\n"
        return [nbformat.v4.new_output("stream", name="stderr", text=text)]


def run_test(session: Session, cell: Cell, shared: dict[str, Any]) -> str:
    """Run a test cell. Returns "" when it passes, else a line for the student.

    The line holds an assertion's own words, or what the student's code raised: never a line of the test.
    """
    names = dict(shared)
    failed: dict[str, str] = {}
    for name in sorted(reads(cell.source) - set(names) - set(vars(builtins)) - binds(cell.source)):
        try:
            if (value := session.name(name)) is not MISSING:
                names[name] = value
        except StudentError as error:
            failed[name] = str(error)
        except EndedError as error:
            return str(error)
    limit = 2 * session.sandbox.limits.call
    try:
        with (
            _alarm(limit),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            exec(compile(reseeded(cell.source), "<test>", "exec"), names)
    except (StudentError, EndedError) as error:
        return str(error)
    except AssertionError as error:
        return clean(error) or "a test failed"
    except NameError as error:
        return failed.get(str(error.name), f"{clean(error.name)} is not defined in the notebook")
    except TestTime:
        return f"the tests of this cell take longer than {limit:g} s"
    except Exception as error:
        return f"a test cannot use what it was given: {type(error).__name__}: {clean(error)}"
    return ""


class _Seeds(ast.NodeTransformer):
    """Adds a number to each seed in a test, so that its inputs are new in each grading."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Change `….manual_seed(7)` and `default_rng(7)`."""
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("manual_seed", "default_rng") and len(node.args) == 1:
            node.args = [ast.BinOp(node.args[0], ast.Add(), ast.Constant(self.shift))]
        return node


def reseeded(source: str) -> ast.Module:
    """A test cell with other seeds than those it was written with."""
    tree = _Seeds(secrets.randbelow(2**30)).visit(ast.parse(plain(source)))
    random.seed(secrets.randbelow(2**30))
    return ast.fix_missing_locations(tree)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def over(*_: Any) -> None:
        raise TestTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
