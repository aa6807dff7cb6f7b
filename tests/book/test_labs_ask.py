"""Labs ask: predictions with folded answers, blanks with checks and solutions, a way to the assignment."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lowerbound import checks

ROOT = Path(__file__).parents[2]
LABS = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if not path.stem.startswith("05")]
# Lab 5 works on measurements of hours, and is the subject of an issue of its own.
NOTEBOOKS = ROOT / "notebooks"
FOLDERS = (NOTEBOOKS, NOTEBOOKS / "assignments", NOTEBOOKS / "assignments" / "student")
PROGRAMS = [path for folder in FOLDERS for path in sorted(folder.glob("*.ipynb"))]
FOLDED = re.compile(r"<details>\n<summary>(Answer|Solution)</summary>\n\n(.+?)\n\n</details>", re.S)
BLANK = re.compile(r"^def (\w+)\(.*?raise NotImplementedError.*?^checks\.(\w+)\.ask\(\1\)$", re.S | re.M)
VISIBLE = 80  # letters of a line of code that a page shows at a desk; see tests/browser/test_pages.py


def cells(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in found]


def folded(cell: dict[str, Any] | None, summary: str) -> str:
    """What a Markdown cell folds away under this summary."""
    if cell is None or cell["cell_type"] != "markdown":
        return ""
    return next((text for name, text in FOLDED.findall(cell["source"]) if name == summary), "")


def hidden(cell: dict[str, Any]) -> bool:
    return bool({"remove-cell", "hide-input", "remove-input"} & set(cell["metadata"].get("tags", [])))


def solution_is_right(name: str, code: str) -> bool:
    place = {"torch": torch, "math": math, "np": np}
    exec(code, place)
    try:
        getattr(checks, name)(place[name])
    except checks.CheckError:
        return False
    return True


def unanswered(lab: list[dict[str, Any]]) -> list[str]:
    """Questions without a folded answer, and blanks without a right solution."""
    found = []
    for i, cell in enumerate(lab):
        text = cell["source"]
        later = [c for c in lab[i + 1 :] if c["cell_type"] == "markdown"][:1]
        if cell["cell_type"] == "markdown":
            asked = text.count("**Before you run.**")
            if asked and not (lab[i + 1]["cell_type"] == "code" and later and folded(later[0], "Answer")):
                found.append(f"no answer after: {text[-60:]}")
            for part in text.split("**Try it.**")[1:]:
                if not FOLDED.search(part):
                    found.append(f"no answer to: {part.strip()[:60]}")
            continue
        for name, check in BLANK.findall(text):
            said = "".join("".join(output.get("text", "")) for output in cell.get("outputs", []))
            code = re.search(r"```python\n(.+?)\n```", folded(later[0] if later else None, "Solution"), re.S)
            if name != check or said != f"{check} is not written yet.\n":
                found.append(f"the blank {name} is not empty: {said!r}")
            if not code or not solution_is_right(name, code[1]):
                found.append(f"no right solution of {name} below it")
    return found


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_questions_have_answers_and_blanks_right_solutions(path: Path) -> None:
    assert unanswered(cells(path)) == []


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_lab_asks_for_predictions_and_has_blanks(path: Path) -> None:
    lab = cells(path)
    text = "\n".join(cell["source"] for cell in lab if cell["cell_type"] == "markdown")
    blanks = [
        check for cell in lab if cell["cell_type"] == "code" for _, check in BLANK.findall(cell["source"])
    ]
    assert text.count("**Before you run.**") >= 3
    assert len(blanks) >= 2
    assert blanks == [check.name for check in checks.LABS[path.stem]], "each check of the lab is asked once"


ASSIGNED = [p for p in LABS if list((ROOT / "notebooks" / "assignments").glob(f"A{p.stem[1]}_*.ipynb"))]


@pytest.mark.parametrize("path", ASSIGNED, ids=lambda path: path.stem)
def test_a_lab_leads_to_its_assignment(path: Path) -> None:
    assert re.search(
        rf"\]\(assignments/student/A{int(path.stem[:2])}_\w+\.ipynb\)", cells(path)[-1]["source"]
    )


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_code_that_is_shown_is_not_cut_off(path: Path) -> None:
    """The setup cell, which the page leaves out, may be longer."""
    shown = [cell for cell in cells(path)[1:] if cell["cell_type"] == "code" and not hidden(cell)]
    assert [line for cell in shown for line in cell["source"].splitlines() if len(line) > VISIBLE] == []


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_notes_for_the_book_stand_apart(path: Path) -> None:
    for cell in cells(path):
        if "figures.note(" in cell["source"] and cell["cell_type"] == "code":
            assert "remove-cell" in cell["metadata"].get("tags", []), cell["source"][:80]


# Planted


def lab(*texts: str, output: str = "naive_log_p is not written yet.\n") -> list[dict[str, Any]]:
    """Markdown cells, and code cells from texts that begin with >."""
    return [
        {"cell_type": "code", "source": text[1:], "metadata": {}, "outputs": [{"text": [output]}]}
        if text.startswith(">")
        else {"cell_type": "markdown", "source": text, "metadata": {}}
        for text in texts
    ]


ANSWER = "<details>\n<summary>Answer</summary>\n\nThe lower.\n\n</details>"
CODE = ">def naive_log_p(x):\n    raise NotImplementedError\n\n\nchecks.naive_log_p.ask(naive_log_p)"
RIGHT = "torch.logsumexp(x, 0) - math.log(len(x))"


def solution(code: str) -> str:
    body = f"```python\ndef naive_log_p(x):\n    return {code}\n```"
    return f"<details>\n<summary>Solution</summary>\n\n{body}\n\n</details>"


def test_good_questions_and_blanks_pass() -> None:
    assert unanswered(lab("**Before you run.** Which?", ">x", ANSWER)) == []
    assert unanswered(lab(f"**Try it.** Which? {ANSWER}")) == []
    assert unanswered(lab(CODE, solution(RIGHT))) == []


def test_each_missing_or_wrong_answer_is_found() -> None:
    assert len(unanswered(lab("**Before you run.** Which?", ">x", "The lower."))) == 1
    assert len(unanswered(lab("**Before you run.** Which?", ANSWER))) == 1
    assert len(unanswered(lab(f"**Try it.** This. {ANSWER} **Try it.** That."))) == 1
    assert len(unanswered(lab(CODE, solution("x.mean()")))) == 1
    assert len(unanswered(lab(CODE, "Nothing."))) == 1
    assert len(unanswered(lab(CODE, solution(RIGHT), output="naive_log_p: right.\n"))) == 1
