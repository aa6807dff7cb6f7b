"""One submission: run it in a sandbox, then judge out here what its functions gave there."""

from __future__ import annotations

import contextlib
import io
import pickle
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from lowerbound import checks
from lowerbound.checks.engine import Elsewhere, Raised
from nbformat import NotebookNode

from tools.grading.assignment import Assignment, Cell, cell_id
from tools.grading.inside import protocol
from tools.grading.sandbox import GRACE, EndedError, Limits, Sandbox, SandboxError, StudentError, clean

MAX_NOTEBOOK = 20 * 2**20
MAX_CELLS = 2000
MAX_MESSAGE = 700


RESTARTS, TRIES = 4, 3
LOADING = 600.0  # seconds for the import of torch on the busiest machine
TOO_LONG = "did not finish within"


class OverError(Exception):
    """The time for the notebook is over."""


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
    path: Path, student: str, assignment: Assignment, limits: Limits, isolated: bool
) -> tuple[Verdict, NotebookNode | None]:
    """Grade one file. Returns the verdict, and the notebook with the outputs that its run gave."""
    verdict, start = Verdict(student, assignment.name), time.monotonic()
    notebook = None
    try:
        notebook = read_submission(path)
        _written(assignment, notebook, verdict)
        Play(assignment, notebook, verdict, limits, isolated).all()
    except RefusedError as why:
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


class Play:
    """A notebook's run. A function is judged right after the cell that defines it.

    What gets another value in a later cell takes nothing away: the first time that it is right counts, and
    what is not right then is judged once more at the end. A cell or a function that ends the process costs
    itself alone: the run begins again without it. So does a cell that was stopped, where memory is short
    later.
    """

    def __init__(
        self, assignment: Assignment, notebook: NotebookNode, verdict: Verdict, limits: Limits, isolated: bool
    ) -> None:
        self.notebook, self.verdict, self.limits, self.isolated = notebook, verdict, limits, isolated
        self.cells = assignment.run_list(notebook)
        self.needs_torch = assignment.needs_torch
        self.tests = {cell.task: cell for cell in assignment.tests}
        self.settled: set[str] = set()  # tasks that are not judged again: right, or the end of the process
        self.left_out: set[int] = set()
        self.stopped: set[int] = set()  # cells that were out of time or memory: much may be held still
        self.deadline = time.monotonic() + limits.notebook
        for node in notebook.cells:
            if node.cell_type == "code":
                node.outputs, node.execution_count = [], None

    def all(self) -> None:
        """Run it, again where something ended the process."""
        notes: list[str] = []
        for _ in range(RESTARTS + 1):
            self.verdict.notes, before = [], self.verdict.notes
            notes += [note for note in before if note not in notes]
            try:
                with Sandbox(self.limits, self.isolated) as sandbox:
                    self._once(sandbox)
                break
            except EndedError:
                continue
            except OverError as why:
                self.verdict.notes.append(str(why))
                break
        self.verdict.notes = [*notes, *(note for note in self.verdict.notes if note not in notes)]
        for task, cell in self.tests.items():
            if cell.id not in self.verdict.marks:
                self.verdict.marks[cell.id] = 0.0, f"{task} was not reached: {self.verdict.notes[-1]}"

    def _once(self, sandbox: Sandbox) -> None:
        tries: dict[str, int] = {}
        self.stopped = set()
        if self.needs_torch:
            self._load(sandbox)
        for position, (place, source) in enumerate(self.cells):
            if position in self.left_out:
                continue
            for task in self._cell(sandbox, position, place, source):
                tries[task] = tries.get(task, 0) + 1
                if tries[task] <= TRIES:
                    self._judge(sandbox, task)
        for task in self.tests:
            self._judge(sandbox, task, again=task in tries)

    def _load(self, sandbox: Sandbox) -> None:
        """Import torch before any of the student's code; its time is nobody's. Raises SandboxError."""
        start = time.monotonic()
        try:
            sandbox.ask("load", LOADING)
        except (StudentError, EndedError) as error:
            raise SandboxError(f"torch cannot be loaded in the sandbox: {error}") from error
        self.deadline += time.monotonic() - start

    def _cell(self, sandbox: Sandbox, position: int, place: int | None, source: str) -> list[str]:
        """Run a cell; returns the tasks whose functions it has defined. Raises EndedError, OverError."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise OverError(f"the notebook takes more than {self.limits.notebook:g} s")
        where, number = f"cell {place + 1}" if place is not None else "a cell that was put back", position + 1
        watch, limit = [task for task in self.tests if task not in self.settled], min(self.limits.cell, left)
        try:
            reply, _ = sandbox.ask("run", limit, source=source, number=number, watch=watch)
        except StudentError as error:
            self.verdict.notes.append(f"{where}: {error}")
            return []
        except EndedError as ended:
            self.left_out.add(position)
            self.verdict.notes.append(f"{where}: {ended}")
            raise
        if place is not None:
            self.notebook.cells[place].execution_count = number
            self.notebook.cells[place].outputs = outputs(reply)
        if not isinstance(reply, dict):
            return []
        if raised := clean(reply.get("error") or ""):
            self.verdict.notes.append(f"{where} raises {raised}")
            self._short_of_memory(raised)
            self.stopped |= {position} if raised in ("MemoryError", "TimeLimit") else set()
        defined = reply.get("defined")
        return [task for task in watch if task in defined] if isinstance(defined, list) else []

    def _short_of_memory(self, error: str) -> None:
        """Begin again without the cells that were stopped, where what they hold may be what is missing."""
        if self.stopped and "MemoryError" in error:
            self.left_out |= self.stopped
            raise EndedError(error)

    def _judge(self, sandbox: Sandbox, task: str, again: bool = False) -> None:
        """Judge a task now. again: what was said before stands, unless it is right this time."""
        cell = self.tests[task]
        if task in self.settled:
            return
        before = self.verdict.marks.get(cell.id)
        if again and before is not None and TOO_LONG in before[1]:
            return
        message = run_test(sandbox, cell)
        self._short_of_memory(message)
        if not message or not again or before is None or "NameError" in before[1]:
            self.verdict.marks[cell.id] = (0.0, message) if message else (cell.points, "")
        if not message:
            self.settled.add(task)
        if sandbox.ended:
            self.settled.add(task)
            self.verdict.marks[cell.id] = 0.0, message
            raise EndedError(sandbox.ended)


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


class Submitted(Elsewhere):
    """A student's function: it runs in the sandbox, and plain values come back."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox, self.name = sandbox, name

    def run(self, cases: Sequence[tuple[Any, ...]], leaves: Sequence[int]) -> list[Any]:
        """What it gives at each case. Raises StudentError where it gives nothing at all."""
        blobs: list[bytes] = []

        def pickled(value: Any) -> Any:  # a module among the arguments: read there, never here
            blobs.append(pickle.dumps(value))
            return {"pickle": len(blobs) - 1}

        sent = protocol.encode([tuple(case) for case in cases], blobs, pickled)
        try:
            reply, arrays = self.sandbox.ask(
                "answer", self.sandbox.limits.call, blobs, function=self.name, cases=sent, leaves=list(leaves)
            )
        except StudentError as error:
            raise StudentError(f"{self.name}(…): {error}") from None
        if reply is None:
            raise StudentError(f"{self.name} is not defined in the notebook")
        try:
            outcomes = [protocol.decode(answer, arrays, _stand_in) for answer in reply]
        except Exception as error:
            gave = f"{self.name} gave what cannot be read: {type(error).__name__}: {clean(error)}"
            raise StudentError(gave) from error
        if len(outcomes) != len(cases):
            raise StudentError(f"{self.name} was called {len(cases)} times and gave {len(outcomes)} values")
        return outcomes


def _stand_in(data: Any) -> Any:
    """What a function raised, or an object of which nothing but the name of its type has come."""
    if "raised" in data:
        return Raised(*map(clean, data["raised"]))
    return type(clean(data["other"]) or "object", (), {})()


def told(error: AssertionError) -> str:
    """The message of a check that failed, in its lines: each has an entry of its own in other languages."""
    lines = (clean(line, MAX_MESSAGE) for line in str(error)[:MAX_MESSAGE].splitlines())
    return "\n".join(filter(None, lines)) or "a test failed"


def run_test(sandbox: Sandbox, cell: Cell) -> str:
    """Run a test cell. Returns "" when it passes, else lines for the student.

    They hold a check's own words, or what the student's code raised: never a line of the test.
    """
    limit = 2 * (sandbox.limits.call + GRACE)  # a value is asked for once, and once more to name a mistake
    names = {"checks": checks, cell.task: Submitted(sandbox, cell.task)}
    try:
        with _alarm(limit), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cell.source, "<test>", "exec"), names)
    except (StudentError, EndedError) as error:
        return str(error)
    except AssertionError as error:
        return told(error)
    except TestTime:
        sandbox.close("its tests took too long")  # its reply may still come, and would be taken for another
        return f"the tests of this cell take longer than {limit:g} s"
    except Exception as error:
        return f"a test cannot use what it was given: {type(error).__name__}: {clean(error)}"
    return ""


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
