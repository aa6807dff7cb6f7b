"""A small assignment, and submissions to it that are honest, mistaken or hostile."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import nbformat

from tools.grading.assignment import Assignment

NAME = "T1_toy"
MARKER = "marigold-and-thistle"

DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
MEAN = "def mean(values):\n    ### BEGIN SOLUTION\n    return sum(values) / len(values)\n    ### END SOLUTION"
TEST = """# {name}: {points} points
### BEGIN HIDDEN TESTS
import torch
from lowerbound.checks import Check

secret_word = "{marker}"
Check("{name}", "eq-elbo-two-states", {cases}, {oracle}, {{}}).grade({name})
### END HIDDEN TESTS"""
DOUBLE_TEST = TEST.format(
    name="double", points=2, marker=MARKER, oracle="lambda x: 2 * x",
    cases="lambda rng: [(float(torch.rand(1, generator=rng)),) for _ in range(5)]",
)  # fmt: skip
MEAN_TEST = TEST.format(
    name="mean", points=3, marker=MARKER, oracle="lambda values: sum(values) / 5",
    cases="lambda rng: [(torch.randn(5, generator=rng).tolist(),) for _ in range(3)]",
)  # fmt: skip


def cell(
    name: str,
    source: str,
    grade: bool = False,
    solution: bool = False,
    points: int | None = None,
    kind: str = "code",
) -> dict[str, Any]:
    about = {
        "grade": grade, "grade_id": name, "locked": not solution, "schema_version": 3, "solution": solution, "task": False,
    }  # fmt: skip
    about |= {} if points is None else {"points": points}
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "id": name, "metadata": {"nbgrader": about}, "source": source, **extra}


def toy() -> dict[str, Any]:
    cells = [
        cell("imports", "import numpy as np\nlocked = 7"),
        cell("double", DOUBLE, solution=True),
        cell("double-test", DOUBLE_TEST, grade=True, points=2),
        cell("mean", MEAN, solution=True),
        cell("mean-test", MEAN_TEST, grade=True, points=3),
        cell("why", "It is the balance point.", grade=True, solution=True, points=4, kind="markdown"),
    ]
    return {"cells": cells, "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "nbformat": 4, "nbformat_minor": 5}  # fmt: skip


def write(folder: Path) -> Assignment:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.ipynb").write_text(json.dumps(toy()))
    return Assignment(folder / f"{NAME}.ipynb")


def student(
    assignment: Assignment, double: str | None = None, mean: str | None = None, first: str = ""
) -> dict[str, Any]:
    """The student version, filled in. first: code that the student adds at the top."""
    made: dict[str, Any] = json.loads(nbformat.writes(assignment.released))  # type: ignore[no-untyped-call]
    right = {
        "double": "def double(x):\n    return 2 * x",
        "mean": "def mean(values):\n    return sum(values) / len(values)",
    }
    for node in made["cells"]:
        name = node["metadata"]["nbgrader"]["grade_id"]
        if name in right:
            node["source"] = {"double": double, "mean": mean}[name] or right[name]
    if first:
        made["cells"].insert(0, {"cell_type": "code", "id": "own", "metadata": {}, "source": first, "outputs": [],
                                 "execution_count": None})  # fmt: skip
    return made


def without(notebook: dict[str, Any], name: str) -> dict[str, Any]:
    made = copy.deepcopy(notebook)
    made["cells"] = [
        node for node in made["cells"] if node["metadata"].get("nbgrader", {}).get("grade_id") != name
    ]
    return made


def without_metadata(notebook: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(notebook)
    for node in made["cells"]:
        node["metadata"] = {}
    return made


SEARCH = f"""
import os, pathlib, sys
word = "{MARKER[::-1]}"[::-1]  # backwards, so as not to find itself
def files(place):
    for folder, below, names in os.walk(place):  # not the packages: there are too many for the time allowed
        below[:] = [name for name in below if os.path.join(folder, name) not in (sys.prefix, sys.base_prefix)]
        yield from (pathlib.Path(folder, name) for name in names if name.endswith(".ipynb"))
places = [place for place in ("/submission", "/tmp", "/grader", "{{folder}}") if os.path.isdir(place)]
found = []
for path in [*(path for place in places for path in files(place)), *pathlib.Path("/proc").glob("[0-9]*/cmdline")]:
    try:
        text = path.read_text()
    except OSError:
        continue
    if word in text or "grading grade" in text or "{{student}}" in text:
        found.append(str(path))
print("found", len(found), "files")
"""
STACK = f"""
import gc, sys, os
word = "{MARKER[::-1]}"  # backwards, so as not to find itself
def texts():
    frame = sys._getframe()
    while frame is not None:
        yield from map(repr, frame.f_locals.values())
        yield from map(repr, frame.f_code.co_consts)
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, dict):
            yield from (value for value in list(thing.values()) if isinstance(value, str))
    yield repr(dict(os.environ))
def double(x):
    found = sum(word in text[::-1] for text in texts() if len(text) < 10**6)
    return 2 * x if found else "nothing found"
"""
PATCH = """
import builtins, numpy, sys, types
class Float(float):
    __eq__ = __lt__ = __le__ = lambda self, other: True
    __sub__ = __rsub__ = lambda self, other: 0.0
def double(x):
    return Float(0.1)
numpy.allclose = lambda *a, **k: True
sys.modules["lowerbound.checks"] = types.ModuleType("lowerbound.checks")
builtins.abs = lambda *a: 0
"""
YES = """
class Yes:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __sub__(self, other): return self
    def __rsub__(self, other): return self
    def __abs__(self): return self
    def __lt__(self, other): return True
    def __array__(self, *a, **k): raise RuntimeError
    def __getattr__(self, name): return self
def {name}(x):
    return Yes()
"""


def hostile(assignment: Assignment, folder: Path, port: int) -> dict[str, str | dict[str, Any]]:
    """Submissions by the name of who hands them in: a notebook, or a file's text."""

    def made(**parts: str) -> dict[str, Any]:
        return student(assignment, **parts)

    search = SEARCH.replace("{folder}", str(folder)).replace("{student}", "balance" + " point")
    forged = "import os\nfor fd in range(3, 60):\n    try:\n        os.write(fd, b'\\xff' * 64)\n    except OSError:\n        pass"
    return {
        "ada-honest": made(),
        "endless-cell": made(first="while True:\n    pass"),
        "endless-stubborn": made(
            first="import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n        pass"
        ),
        "endless-function": made(double="def double(x):\n    while True:\n        pass"),
        "children": made(
            first="import os, time\nfor _ in range(300):\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)"
        ),
        "memory": made(first="held = []\nwhile True:\n    held.append(bytearray(2**27))"),
        "memory-children": made(
            first="import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
            "        held = [bytes([1]) * 2**22 for _ in range(130)]\n        time.sleep(60)\n        os._exit(0)\ntime.sleep(60)"
        ),
        "exit-cell": made(first="import os\nos._exit(0)"),
        "exit-function": made(double="import os\ndef double(x):\n    os._exit(0)"),
        "equal": made(double=YES.replace("{name}", "double"), mean=YES.replace("{name}", "mean")),
        "outside": made(first=f"open({str(folder / 'written')!r}, 'w').write('x')"),
        "big-file": made(
            first="with open('big', 'wb') as file:\n    for _ in range(200):\n        file.write(bytes(2**20))"
        ),
        "reader": made(first=search),
        "network": made(
            first=f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).sendall(b'hello')"
        ),
        "deleted": without(made(), "double"),
        "deleted-test": without(
            without(made(double="def double(x):\n    return x"), "double-test"), "imports"
        ),
        "renamed": made(double="def twice(x):\n    return 2 * x"),
        "no-json": "this is no notebook",
        "no-notebook": '{"cells": 3}',
        "empty-file": "",
        "output": made(first="print('x' * 300_000_000)"),
        "output-display": made(
            first="from IPython.display import HTML, display\ndisplay(HTML('x' * 300_000_000))"
        ),
        "output-raw": made(first="import os\nfor _ in range(300):\n    os.write(1, b'x' * 1_000_000)"),
        "patch": made(double=PATCH, mean="def mean(values):\n    return 0.0"),
        "patch-builtins": made(
            first="import builtins, json\nbuiltins.isinstance = json.dumps = lambda *a, **k: True"
        ),
        "hard-coded": made(double="def double(x):\n    return 3.0", mean="def mean(values):\n    return 0.1"),
        "stack": made(double=STACK),
        "forger": made(double=forged),
        "raises": made(
            double="def double(x):\n    raise ValueError(f'{x}\\n<script>alert(1)</script>' * 100)"
        ),
        "no-metadata": without_metadata(made()),
        "syntax": made(first="def (:"),
        "zoe-honest": made(),
    }
