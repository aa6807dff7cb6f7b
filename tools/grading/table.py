"""The assignments, measured: solutions, empty versions, planted mistakes, hostile submissions."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from lowerbound import checks
from lowerbound.checks import Check, CheckError

from tools.grading import intake, submissions
from tools.grading.assignment import SOURCES, Assignment, assignments
from tools.grading.judge import Verdict
from tools.grading.sandbox import Limits

RESULT = SOURCES.parents[1] / "results" / "assignments.json"
QUICK = Limits(notebook=150, cell=30, call=30, memory=3 * 2**30, file=64 * 2**20, processes=32)

LIAR = """
class Yes:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __float__(self): return 0.0
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
"""
PATCHED = """
import builtins, math, torch
from lowerbound import checks
torch.allclose = math.isclose = lambda *a, **k: True
for name in checks.__all__:
    setattr(checks, name, lambda *a, **k: None)
"""
# What each does in its first cell, and what its functions then are, in place of a solution.
ATTACKS = {
    "an endless loop": ("while True:\n    pass", "None"),
    "an endless loop that cannot be interrupted": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "None",
    ),
    "children without end": ("import os, time\nwhile True:\n    os.fork() or time.sleep(60)", "None"),
    "a memory hog": ("held = []\nwhile True:\n    held.append(bytearray(2**28))", "None"),
    "os._exit": ("import os\nos._exit(0)", "None"),
    "os._exit when called": ("import os", "lambda *a: os._exit(0)"),
    "an object that equals everything": (LIAR, "lambda *a: Yes()"),
    "a write outside of its folder": ("open('/usr/written', 'w')", "None"),
    "a request to the network": ("import socket\nsocket.create_connection(('1.1.1.1', 80), 5)", "None"),
    "300 MB of output": ("print('x' * 300_000_000)", "None"),
    "a patched torch and patched checks": (PATCHED, "lambda *a: torch.zeros(())"),
    "the name given to something else": ("", "3"),
    "the library's own answers": ("from lowerbound import checks", "lambda *a: {check}.oracle(*a)"),
}


def measure() -> Path:
    """Grade everything and write results/assignments.json."""
    known, rows = assignments(), []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name, assignment in known.items():
            honest = {"solution": assignment.notebook, "empty": assignment.released}
            graded = _grade(root / name / "honest", assignment, honest, Limits())
            attacks = {
                f"{n:02} {what}": attack(assignment, *parts)
                for n, (what, parts) in enumerate(ATTACKS.items())
            }
            attacks["98 no notebook"] = "this is no notebook"
            attacks["99 honest"] = functions(assignment)
            hostile = _grade(root / name / "hostile", assignment, attacks, QUICK)
            last = hostile.pop("99 honest")
            of = sum(cell.points for cell in assignment.tests)
            rows.append(
                {
                    "name": name,
                    "points": of,
                    "written_points": sum(cell.points for cell in assignment.written),
                    "solution": graded["solution"].points,
                    "empty": graded["empty"].points,
                    "mistakes": _mistakes(name),
                    "hostile": {
                        "tried": len(hostile),
                        "survived": sum(v.points == 0 and "\n" not in v.refused for v in hostile.values()),
                        "last_honest": last.points,
                        "verdicts": {who: v.refused or _first(v) for who, v in hostile.items()},
                    },
                    "seconds": round(graded["solution"].seconds),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
            _store(rows)
    return RESULT


def _store(rows: list[dict[str, Any]]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=SOURCES
    ).stdout.strip()
    about = {"command": "python -m tools.grading table", "commit": commit, "machine": platform.machine()}
    RESULT.write_text(json.dumps({**about, "assignments": rows}, indent=1, ensure_ascii=False) + "\n")


def _grade(
    place: Path, assignment: Assignment, notebooks: dict[str, Any], limits: Limits
) -> dict[str, Verdict]:
    for who, notebook in notebooks.items():
        path = place / who / f"{assignment.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(
            notebook if isinstance(notebook, str) else nbformat.writes(notebook), encoding="utf-8"
        )
    known = {assignment.name: assignment}
    found, _ = intake.find([place], known, place.with_name(f"{place.name}-in"))
    graded = submissions.grade(found, known, limits, True, 2)
    return {submission.student: verdict for submission, verdict, _ in graded}


def attack(assignment: Assignment, first: str, function: str) -> Any:
    """A notebook without metadata, so that nothing but this is in it."""
    lines = [f"{cell.task} = {function.format(check=f'checks.{cell.task}')}" for cell in assignment.tests]
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in (first, "\n".join(lines))]
    )


def functions(assignment: Assignment) -> Any:
    """The solution's functions alone, without experiments: what an honest student has at least."""
    cells = [
        c for c in assignment.cells if c.code and (c.kind == "solution" or c.id in ("imports", "letters"))
    ]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.source) for cell in cells])


def _mistakes(name: str) -> dict[str, int]:
    """How many wrong variants of the catalogue are told by their name, of how many."""
    planted = named = 0
    for check in checks.ASSIGNMENTS[name]:
        if isinstance(check, Check):
            for mistake, variant in check.mistakes.items():
                planted += 1
                with contextlib.redirect_stdout(io.StringIO()):
                    try:
                        check(variant.of)
                    except CheckError as error:
                        named += error.mistake == mistake
    return {"planted": planted, "named": named}


def _first(verdict: Verdict) -> str:
    return next((message for _, message in verdict.marks.values() if message), "")
