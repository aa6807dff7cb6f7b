"""Submissions, graded in a process each. A bad one never stops the rest."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from lowerbound import checks
from nbformat import NotebookNode

from tools.grading.assignment import Assignment
from tools.grading.intake import Submission
from tools.grading.judge import Verdict, judge
from tools.grading.sandbox import Limits, SandboxError

JUDGE_MEMORY = 6 * 2**30
OUR_FAULT = "not graded: "  # how it begins where the machine or the grader failed, and not the student
Graded = tuple[Submission, Verdict, Any]
Finish = Callable[[Submission, Verdict, "NotebookNode | None"], Any]


def grade(
    submissions: list[Submission],
    known: dict[str, Assignment],
    limits: Limits,
    isolated: bool,
    jobs: int,
    finish: Finish = lambda submission, verdict, notebook: None,
) -> Iterator[Graded]:
    """Grade all, yielding each as it comes, with what `finish` has made of it in its own process.

    The processes end when nobody asks for more.
    """
    for name in {s.assignment for s in submissions}:  # what is made once, here, for all
        _ = known[name].released
        for check in checks.ASSIGNMENTS.get(name, ()):
            if isinstance(check, checks.Check):
                check.grade(check.oracle)  # the proofs that its answers come from
    context = multiprocessing.get_context("fork")
    todo, running = list(submissions), {}  # type: ignore[var-annotated]
    try:
        while todo or running:
            while todo and len(running) < jobs:
                submission = todo.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                assignment = known[submission.assignment]
                arguments = (theirs, submission, assignment, limits, isolated, finish)
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
                verdict, made = _collect(pipe, process, submission, late)
                del running[pipe]
                yield submission, verdict, made
    finally:
        for process, *_ in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid or 0, signal.SIGKILL)


def _patience(limits: Limits, assignment: Assignment) -> float:
    return limits.notebook + (4 * limits.call + 60) * (2 * len(assignment.tests) + 1)


def _collect(pipe: Connection, process: Any, submission: Submission, late: bool) -> tuple[Verdict, Any]:
    verdict, made = Verdict(submission.key, submission.assignment, "grading took too long"), None
    if not late:
        try:
            verdict, made = pipe.recv()  # from our own process, not from the sandbox
        except EOFError:
            verdict.refused = "grading it ended the grader's own process"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    pipe.close()
    return verdict, made


def _judge(
    pipe: Connection, submission: Submission, assignment: Assignment, limits: Limits, isolated: bool,
    finish: Finish,
) -> None:  # fmt: skip
    """In a process of its own: grade, finish, send the verdict."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's business
    resource.setrlimit(resource.RLIMIT_DATA, (JUDGE_MEMORY, JUDGE_MEMORY))
    made = None
    try:
        verdict, notebook = judge(submission.path, submission.key, assignment, limits, isolated)
        made = finish(submission, verdict, notebook)
    except (SandboxError, MemoryError) as error:
        why = f"{OUR_FAULT}{str(error) or 'the grader ran out of memory'}"
        verdict = Verdict(submission.key, assignment.name, why)
    except Exception as error:
        why = f"{OUR_FAULT}{type(error).__name__}: {error}"
        verdict = Verdict(submission.key, assignment.name, why)
    pipe.send((verdict, made))
    pipe.close()
