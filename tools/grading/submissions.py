"""A folder of submissions: found, graded in a process each, written down. A bad one never stops the rest."""

from __future__ import annotations

import contextlib
import csv
import multiprocessing
import os
import re
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tools.grading.assignment import Assignment
from tools.grading.feedback import page
from tools.grading.judge import Verdict, judge
from tools.grading.sandbox import Limits, SandboxError

JUDGE_MEMORY = 6 * 2**30
Marks = dict[tuple[str, str, str], tuple[str, str]]  # by student, assignment and cell: points and comment
SUMMARY = (
    "student", "assignment", "total", "of", "automatic", "automatic_of", "by_hand", "by_hand_of", "waiting",
    "note",
)  # fmt: skip
WRITTEN = ("student", "assignment", "cell", "of", "points", "comment", "answer")


@dataclass(frozen=True)
class Submission:
    """A file, and whose it is. problem: why it is not graded, if so."""

    student: str
    assignment: str
    path: Path
    problem: str = ""


def find(folder: Path, known: dict[str, Assignment], only: str = "") -> list[Submission]:
    """The submissions in a folder: STUDENT/ASSIGNMENT.ipynb, or STUDENT_ASSIGNMENT.ipynb, in order.

    Raises ValueError where the folder holds none.
    """
    submissions = []
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        name = next(
            (name for name in known if re.fullmatch(rf"(.+_)?{re.escape(name)}( ?\(\d+\))?", path.stem)), ""
        )
        student = path.stem.split(f"_{name}")[0] if name else ""
        if path.parent != folder:
            student = path.parent.relative_to(folder).parts[0]
        problem = "" if name else f"the file's name does not say which of {', '.join(known)} it is"
        if path.is_symlink():
            problem = "a link, not a file"
        if not only or name in ("", only):
            submissions.append(Submission(student or path.stem, name, path, problem))
    if not submissions:
        raise ValueError(f"no submission in {folder}; put STUDENT/{next(iter(known), 'NAME')}.ipynb into it")
    return submissions


def grade(
    submissions: list[Submission],
    known: dict[str, Assignment],
    out: Path,
    limits: Limits,
    isolated: bool,
    jobs: int,
) -> Iterator[Verdict]:
    """Grade all, yielding verdicts as they come; the tables are written at the end."""
    out.mkdir(parents=True, exist_ok=True)
    for name in {s.assignment for s in submissions if s.assignment}:
        _ = known[name].released  # made once, here, for all
    context = multiprocessing.get_context("fork")
    todo, running, verdicts = list(submissions), {}, []  # type: ignore[var-annotated]
    by_hand = _points(out / "written.csv")
    while todo or running:
        while todo and len(running) < jobs:
            submission = todo.pop(0)
            if submission.problem:
                verdicts.append(Verdict(submission.student, submission.assignment, submission.problem))
                yield verdicts[-1]
                continue
            ours, theirs = context.Pipe(duplex=False)
            assignment = known[submission.assignment]
            arguments = (theirs, submission, assignment, limits, isolated, out, by_hand)
            process = context.Process(target=_judge, args=arguments)
            process.start()
            theirs.close()
            running[ours] = process, submission, time.monotonic() + _patience(limits, assignment)
        ready = wait(list(running), timeout=1.0) if running else []
        for pipe in list(running):
            process, submission, deadline = running[pipe]
            late = time.monotonic() > deadline
            if pipe not in ready and not late:
                continue
            verdict = _collect(pipe, process, submission, late)
            del running[pipe]
            verdicts.append(verdict)
            yield verdict
    _write(out, verdicts, known, by_hand)


def _patience(limits: Limits, assignment: Assignment) -> float:
    return limits.notebook + (4 * limits.call + 60) * (len(assignment.tests) + 1)


def _collect(pipe: Connection, process: Any, submission: Submission, late: bool) -> Verdict:
    verdict = Verdict(submission.student, submission.assignment, "grading took too long")
    if not late:
        try:
            verdict = pipe.recv()  # from our own process, not from the sandbox
        except EOFError:
            verdict.refused = "grading it ended the grader's own process"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    pipe.close()
    return verdict


def _judge(
    pipe: Connection, submission: Submission, assignment: Assignment, limits: Limits, isolated: bool,
    out: Path, by_hand: Marks,
) -> None:  # fmt: skip
    """In a process of its own: grade, write the feedback page, send the verdict."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (JUDGE_MEMORY, JUDGE_MEMORY))
    try:
        verdict, notebook = judge(submission.path, submission.student, assignment, limits, isolated)
        feedback = out / "feedback" / safe(submission.student) / f"{assignment.name}.html"
        feedback.parent.mkdir(parents=True, exist_ok=True)
        feedback.write_text(page(assignment, verdict, notebook, by_hand), encoding="utf-8")
    except (SandboxError, MemoryError) as error:
        verdict = Verdict(
            submission.student, assignment.name, f"not graded: {str(error) or 'the grader ran out of memory'}"
        )
    except Exception as error:
        verdict = Verdict(submission.student, assignment.name, f"not graded: {type(error).__name__}: {error}")
    pipe.send(verdict)
    pipe.close()


def safe(name: str) -> str:
    """A student's name as a folder's."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"


def _points(path: Path) -> Marks:
    """What a person has written into written.csv."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {(r["student"], r["assignment"], r["cell"]): (r["points"].strip(), r["comment"]) for r in rows}


def _write(
    out: Path,
    verdicts: list[Verdict],
    known: dict[str, Assignment],
    by_hand: Marks,
) -> None:
    summary, written, details = [], [], []
    for verdict in sorted(verdicts, key=lambda v: (v.student, v.assignment)):
        assignment = known.get(verdict.assignment)
        tests, cells = (assignment.tests, assignment.written) if assignment else ([], [])
        given = {
            cell.id: by_hand.get((verdict.student, verdict.assignment, cell.id), ("", "")) for cell in cells
        }
        hand = sum(float(points) for points, _ in given.values() if points)
        waiting = (
            0 if verdict.refused and not verdict.answers else sum(not points for points, _ in given.values())
        )
        of = sum(cell.points for cell in tests), sum(cell.points for cell in cells)
        note = verdict.refused or "; ".join(verdict.notes)
        row = (verdict.points + hand, sum(of), verdict.points, of[0], hand, of[1], waiting, note)
        summary.append([_cell(verdict.student), verdict.assignment, *(_cell(value) for value in row)])
        for cell in cells:
            answer = verdict.answers.get(cell.id, "")
            about = verdict.student, verdict.assignment, cell.id, cell.points
            written.append([_cell(value) for value in (*about, *given[cell.id], answer[:2000])])
        for test in tests:
            points, message = verdict.marks.get(test.id, (0.0, verdict.refused))
            about = verdict.student, verdict.assignment, test.id, points
            details.append([_cell(value) for value in (*about, test.points, message)])
    _table(out / "grades.csv", SUMMARY, summary)
    _table(out / "tests.csv", ("student", "assignment", "test", "points", "of", "message"), details)
    kept = {(row[0], row[1]) for row in written}
    if (out / "written.csv").is_file():  # what was graded by hand in a run over other assignments stays
        with (out / "written.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        written += [[r[key] for key in WRITTEN] for r in rows if (r["student"], r["assignment"]) not in kept]
    _table(out / "written.csv", WRITTEN, written)


def _cell(value: Any) -> str:
    """For a table that a spreadsheet opens: no text that it would take for a formula."""
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _table(path: Path, head: tuple[str, ...], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(head), *rows])
