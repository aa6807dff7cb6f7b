"""Functions of numbers, checked without torch as in a page: the same points, the same words."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from lowerbound import checks
from lowerbound.checks.draws import Twister, between, normals, whole
from lowerbound.checks.practice import OF_NUMBERS, judge

ROOT = Path(__file__).parents[2]
ASSIGNMENTS = ROOT / "notebooks" / "assignments"
PAGE = (ROOT / "book" / "sheet.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^```\{code-block\} python\n:class: function\n(.*?)```", PAGE, re.M | re.S)
# What is said of the right function and of each known mistake, and the points of two seeds.
SAY = """
def words(check):
    from lowerbound.checks import CheckError
    def said(function):
        try:
            check(function)
        except CheckError as error:
            return [error.mistake, str(error)]
    functions = {"right": check.oracle, **{name: each.of for name, each in check.mistakes.items()}}
    return [{name: said(function) for name, function in functions.items()},
            [[list(case) for case in check._cases(seed)] for seed in (0, 5)]]
"""
ALONE = """
import contextlib, io, json, sys
sys.modules["torch"] = sys.modules["numpy"] = None
from lowerbound.checks.practice import OF_NUMBERS
with contextlib.redirect_stdout(io.StringIO()):
    found = {check.name: words(check) for check in OF_NUMBERS}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def alone():
    command = [sys.executable, "-c", SAY + ALONE]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout)


@pytest.mark.parametrize("check", OF_NUMBERS, ids=lambda check: check.name)
def test_without_torch_it_says_the_same(check, alone):
    names = {}
    exec(SAY, names)
    assert alone[check.name] == json.loads(json.dumps(names["words"](check)))


@pytest.mark.parametrize("seed", [0, 1, 77, 2**31 - 1])
def test_its_draws_are_those_of_torch(seed):
    ours, theirs = Twister(seed), torch.Generator().manual_seed(seed)
    for k in range(40):
        for draw, arguments in (
            (between, (-1, 3)),
            (normals, (k % 15,)),
            (whole, (2, 39)),
        ):
            assert draw(ours, *arguments) == draw(theirs, *arguments)


def written():
    """The functions of all assignments, as their notebooks have them, by name."""
    found = {}
    for path in ASSIGNMENTS.glob("A*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            name = re.match(r"def (\w+)\(", cell.source)
            if cell.cell_type == "code" and name:
                found[name[1]] = cell.source
    return found


def test_the_page_shows_these_functions_as_the_assignments_do_and_counts_them():
    solutions = written()
    assert [re.match(r"def (\w+)", text)[1] for text in SHOWN] == [check.name for check in OF_NUMBERS]
    assert all(solutions[re.match(r"def (\w+)", text)[1]].startswith(text) for text in SHOWN)
    functions = [c for group in checks.ASSIGNMENTS.values() for c in group if isinstance(c, checks.Check)]
    assert (len(OF_NUMBERS), len(functions)) == (12, 38)
    assert "Twelve of the 38 functions" in PAGE


@pytest.mark.parametrize("check", OF_NUMBERS, ids=lambda check: check.name)
def test_the_solution_of_the_assignment_is_right_and_its_beginning_is_not(check, capsys):
    said = judge(check.name, written()[check.name])
    check(check.oracle)
    assert said == {"ok": True, "message": capsys.readouterr().out}
    (begun,) = (text for text in SHOWN if f"def {check.name}(" in text)
    assert not judge(check.name, begun)["ok"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def best_guess(a, b):\n    return b / (a + b)", "this is the probability of the two-headed coin"),
        ("def best_guess(a, b):\n    print('seen')\n    return 0.5", "seen\n"),
        ("def best_guess(a, b:\n    return a", "SyntaxError in row 1: '(' was never closed"),
        ("x = 1\ny = x / 0", "ZeroDivisionError in row 2: division by zero"),
        ("def best(a, b):\n    return a", "There is no function best_guess here"),
        ("def best_guess(a, b):\n    return log(a)", "NameError"),
        ("def best_guess(a, b):\n    return [a]", "it must return a float"),
        ("def best_guess(a, b):\n    return 0.5\nprint(best_guess(*checks.best_guess.case(1)))", "0.5\n"),
        ("def best_guess(a, b):\n    raise NotImplementedError", "best_guess is not written yet."),
        ("import sys\nsys.exit()", "SystemExit in row 2"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt in row 1"),
        ("import nothing_of_this_name", "in row 1: there is no nothing_of_this_name here"),
        ("while True:\n    print('x' * 99)", "best_guess prints more than 10000 letters"),
        ("def best_guess(a, b):\n    while True:\n        print(a)", "prints more than 10000 letters"),
    ],
)
def test_what_is_wrong_is_said(code, says):
    said = judge("best_guess", code)
    assert not said["ok"]
    assert says in said["message"]


def test_what_one_text_makes_of_math_is_not_left_to_the_next():
    wrong = "import math\nmath.log = math.exp = None\ndef coin_bound(a, b, r):\n    return 0.0"
    assert not judge("coin_bound", wrong)["ok"]
    assert judge("coin_bound", written()["coin_bound"])["ok"]


def test_a_loop_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr("lowerbound.checks.practice.SECONDS", 0.3)
    said = judge("best_guess", "def best_guess(a, b):\n    while True:\n        a = abs(a)")
    assert "too slow" in said["message"]
