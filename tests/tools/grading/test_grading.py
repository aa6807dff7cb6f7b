"""The student versions hold no solution; values cross as plain ones; the sources are graded fully."""

from __future__ import annotations

import html
import json
import re
import socket
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import sympy as sp
import torch
from lowerbound.checks.engine import Raised
from lowerbound.checks.proved import Lines, follows
from lowerbound.proofs import derivations
from lowerbound.symbolic import Density, Derivation, Family, RandomVariable, SquaredNorm
from test_grading_hostile import sandbox_or_skip
from toy_assignment import MARKER, NAME, student, write

from tools.grading.__main__ import STUDENT, main
from tools.grading.assignment import SOURCES, Assignment, assignments
from tools.grading.inside import formulas, protocol
from tools.grading.judge import Submitted, Verdict
from tools.grading.sandbox import Limits, Sandbox, StudentError
from tools.grading.submissions import find, grade
from tools.grading.table import ATTACKS, attack, functions

ROOT = Path(__file__).parents[3]
KNOWN = assignments()
each = pytest.mark.parametrize("name", KNOWN)


# What students get


def secret_lines(assignment: Assignment) -> set[str]:
    """The lines of solutions and hidden tests that are long enough to be recognised."""
    found: set[str] = set()
    for cell in assignment.notebook.cells:
        inside = cell.metadata.nbgrader.solution and cell.cell_type == "markdown"
        for line in cell.source.splitlines():
            if re.search(r"### (BEGIN|END) (SOLUTION|HIDDEN TESTS)", line):
                inside = "BEGIN" in line
            elif (
                inside
                and len(line.strip()) > 24
                and not line.strip().startswith(("import ", "from ", "rng = "))
            ):
                found.add(line.strip())
    open_to_all = "\n".join(cell.source for cell in assignment.cells if cell.kind == "locked")
    return {line for line in found if line not in open_to_all}


@each
def test_the_student_version_is_up_to_date(name: str) -> None:
    stored = (STUDENT / f"{name}.ipynb").read_text(encoding="utf-8")
    assert stored == nbformat.writes(KNOWN[name].released) + "\n", "run `make assignments`"


def downloads() -> list[Path]:
    """The files that a student's download or the book holds: all tracked ones but sources and tests."""
    out = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    paths = [
        ROOT / line for line in out.splitlines() if line.endswith((".ipynb", ".md", ".py", ".json", ".yml"))
    ]
    built = list((ROOT / "_build" / "html").rglob("*.html"))
    return [
        p for p in [*paths, *built] if p.parent != SOURCES and p.is_file() and ROOT / "tests" not in p.parents
    ]


@each
def test_no_line_of_a_solution_or_a_hidden_test_is_left(name: str) -> None:
    secrets = secret_lines(KNOWN[name])
    assert len(secrets) > 20
    own = (STUDENT / f"{name}.ipynb").read_text(encoding="utf-8")
    cells = "\n".join("".join(cell["source"]) for cell in json.loads(own)["cells"])
    assert [line for line in secrets if line in cells] == []
    assert not re.search("BEGIN|END SOLUTION|HIDDEN", cells)
    for path in downloads():
        assert leaked(path, secrets) == [], path


def leaked(path: Path, secrets: set[str]) -> list[str]:
    """The secret lines in a file that stand one after another: single ones occur by themselves."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    if path.suffix == ".html":
        text = html.unescape(re.sub("<[^>]*>", "", text))
    lines = [line.strip() for line in text.splitlines()]
    return [a for a, b in pairwise(lines) if a in secrets and b in secrets]


@each
def test_a_line_that_is_left_would_be_seen(name: str, tmp_path: Path) -> None:
    assert len(leaked(SOURCES / f"{name}.ipynb", secret_lines(KNOWN[name]))) > 10
    page = tmp_path / "page.html"
    solution = max(
        (cell for cell in KNOWN[name].cells if cell.kind == "solution"), key=lambda c: len(c.source)
    )
    page.write_text("<pre>" + html.escape(solution.source).replace("(", "<b>(</b>") + "</pre>")
    assert leaked(page, secret_lines(KNOWN[name])) != []


@each
def test_points_add_up_to_a_hundred(name: str) -> None:
    assert sum(cell.points for cell in [*KNOWN[name].tests, *KNOWN[name].written]) == 100


# Solutions and empty versions, graded


def graded(folder: Path, name: str, notebooks: dict[str, Any]) -> dict[str, Verdict]:
    """The verdicts on notebooks, by who hands them in."""
    sandbox_or_skip()
    for who, notebook in notebooks.items():
        (folder / "in" / who).mkdir(parents=True)
        (folder / "in" / who / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    verdicts = grade(find(folder / "in", KNOWN), KNOWN, folder / "out", Limits(), True, 2)
    return {verdict.student: verdict for verdict in verdicts}


def failed(verdict: Verdict) -> list[tuple[str, str]]:
    return [(test, message) for test, (_, message) in verdict.marks.items() if message]


def are_unwritten(verdict: Verdict) -> bool:
    return verdict.points == 0 and all(
        message == f"{test.removesuffix('-test')} is not written yet." for test, message in failed(verdict)
    )


@each
def test_functions_get_all_points_unwritten_ones_none_and_the_librarys_answers_none(
    name: str, tmp_path: Path
) -> None:
    assignment = KNOWN[name]
    unwritten = Assignment(STUDENT / f"{name}.ipynb")
    forwards = attack(assignment, *ATTACKS["the library's own answers"])
    verdicts = graded(
        tmp_path, name, {"right": functions(assignment), "empty": functions(unwritten), "forwards": forwards}
    )
    assert failed(verdicts["right"]) == []
    assert verdicts["right"].points == sum(cell.points for cell in assignment.tests) > 50
    assert are_unwritten(verdicts["empty"])
    assert (verdicts["forwards"].points, verdicts["forwards"].refused) == (0, "")
    assert len(failed(verdicts["forwards"])) == len(assignment.tests)
    assert all("does not exist" in message for _, message in failed(verdicts["forwards"]))


def test_a_whole_notebook_runs_as_it_does_outside(tmp_path: Path) -> None:
    source, empty = KNOWN["A2_vae"].notebook, nbformat.read(STUDENT / "A2_vae.ipynb", as_version=4)
    verdicts = graded(tmp_path, "A2_vae", {"solution": source, "empty": empty})
    solution = verdicts["solution"]
    assert failed(solution) == []
    assert (solution.refused, solution.notes) == ("", [])
    assert verdicts["empty"].refused == ""
    assert are_unwritten(verdicts["empty"])


# Files and names


def test_submissions_are_found_by_folder_or_by_file_name(tmp_path: Path) -> None:
    assignment = write(tmp_path / "sources")
    for place in (f"ada/{NAME}.ipynb", f"bob_{NAME}.ipynb", f"cy/cy_{NAME} (1).ipynb", "dan/other.ipynb"):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / place).write_text("{}")
    found = find(tmp_path / "in", {NAME: assignment})
    assert {(s.student, s.assignment, bool(s.problem)) for s in found} == {
        ("ada", NAME, False), ("bob", NAME, False), ("cy", NAME, False), ("dan", "", True)
    }  # fmt: skip
    with pytest.raises(ValueError, match="no submission"):
        find(tmp_path / "nothing", {NAME: assignment})


def test_our_locked_cells_take_the_place_of_the_students(tmp_path: Path) -> None:
    assignment = write(tmp_path)
    made = student(assignment)
    made["cells"][0]["source"] = "locked = 8"
    run = assignment.run_list(nbformat.from_dict(made))
    assert run[0] == (0, "import numpy as np\nlocked = 7")
    del made["cells"][0]
    assert assignment.run_list(nbformat.from_dict(made))[0] == (None, "import numpy as np\nlocked = 7")
    assert not any(MARKER in source for _, source in run)


def test_points_by_hand_are_kept_and_added(tmp_path: Path) -> None:
    from tools.grading.submissions import _points, _write

    assignment = write(tmp_path / "sources")
    verdict = Verdict("=ada", NAME, marks={"double-test": (2.0, "")}, answers={"why": "=1+1"})
    _write(tmp_path, [verdict], {NAME: assignment}, {})
    text = (tmp_path / "written.csv").read_text()
    assert "'=ada" in text
    assert "'=1+1" in text
    verdict.student = "ada"
    _write(tmp_path, [verdict], {NAME: assignment}, {("ada", NAME, "why"): ("3", "good")})
    assert _points(tmp_path / "written.csv")["ada", NAME, "why"] == ("3", "good")
    assert "ada,T1_toy,5,9,2,5,3,4,0," in (tmp_path / "grades.csv").read_text()


# The protocol


def across(value: Any) -> Any:
    blobs: list[bytes] = []
    data = protocol.encode(value, blobs, lambda entry: {"other": type(entry).__name__})
    return protocol.decode(json.loads(json.dumps(data)), blobs, lambda entry: "an object")


class Sly(int):
    """A number that is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value", [None, True, 3, -(2**70), 0.5, float("inf"), "σ", [1, (2.0, "x")]], ids=repr
)
def test_plain_values_cross_as_they_are(value: Any) -> None:
    assert across(value) == value
    assert type(across(value)) is type(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_tensors_cross_as_they_are(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    value = (torch.randn(shape) * 3).to(dtype)
    back = across(value)
    assert type(back) is torch.Tensor
    assert back.dtype == dtype
    assert torch.equal(back, value)
    assert torch.equal(
        across(value.expand(2, *shape).transpose(0, -1)), value.expand(2, *shape).transpose(0, -1)
    )


def test_what_is_no_plain_value_arrives_as_one_or_as_the_name_of_its_type() -> None:
    assert Sly(3) == 4
    assert across(Sly(3)) == 3
    assert across(Sly(3)) != 4
    assert type(across(np.float64(0.5))) is float
    for value in (object(), np.ones(3), {"a": 1}, torch.nn.Linear(1, 1)):
        assert across(value) == "an object"


@pytest.mark.parametrize("name", ["elbo", "gaussian_kl", "kl_nonnegative", "telescoping", "gaussian_nll_sum"])
def test_the_lines_of_derivations_cross_and_are_derived_again(name: str) -> None:
    proof = derivations()[name]()
    data = json.loads(json.dumps(formulas.encode(proof)))
    again = formulas.decode(data)
    assert again == Lines.of(proof)
    if set(again.relations) == {"="} and not again.lemmas:
        assert follows(again)
        data["lines"][-1][0] = formulas.encode(derivations()["bits_per_dim"]())["lines"][-1][0]
        assert not follows(formulas.decode(data))


def test_copies_of_variables_parameters_and_conditions_cross() -> None:
    x, z, i = RandomVariable("x"), RandomVariable("z"), sp.Symbol("i", integer=True)
    w, theta = RandomVariable("w", like=z), sp.Symbol("theta", positive=True)
    p, a, b = Family("p", theta), sp.IndexedBase("a", real=True), sp.Symbol("b", real=True)
    start = p(w | x) + SquaredNorm(a[i] - b, (i, 1, 3)) + sp.EulerGamma + theta
    proof = Derivation("crossing", start, where=[theta > 1]).step(start + b - b, "add and take")
    again = formulas.decode(json.loads(json.dumps(formulas.encode(proof))))
    assert again == Lines.of(proof)
    assert again.conditions == 1
    (crossed,) = again.exprs[0].atoms(Density)
    assert crossed.variables[0].role == "z"
    assert crossed.parameter.is_positive


def test_what_is_no_formula_is_refused() -> None:
    for rows in (
        [["os.system", None, []]],
        [["Add", None, [0]]],
        [["number", ["9" * 500, "1"], []]],
        [],
        "x",
    ):
        with pytest.raises((ValueError, KeyError)):
            formulas.decode({"lines": [[rows, "=", "start"]], "given": [], "lemmas": 0, "conditions": 0})


def test_a_message_that_is_none_ends_the_conversation() -> None:
    for sent in (b"\xff" * 64, b"\x04" + bytes(7) + b"nope", b"\x02" + bytes(7) + b"[]"):
        ours, theirs = socket.socketpair()
        ours.settimeout(0.1)
        theirs.sendall(sent)
        theirs.close()
        with pytest.raises(protocol.ClosedError):
            protocol.receive(ours, None, lambda: None)


# Functions in the sandbox

CODE = """
import torch
def square(x): return x ** 2, 2
def detached(x): return (x ** 2).detach()
def count(module): return sum(p.numel() for p in module.parameters())
def unwritten(x): raise NotImplementedError
def secret(x): raise ValueError("a\\nb" * 1000)
def model(x): return torch.nn.Linear(2, 2)
number = 3
"""
X = torch.tensor([1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def sandbox() -> Any:
    with Sandbox(Limits(call=30), isolated=False) as made:
        made.ask("run", 60, source=CODE, number=1)
        yield made


def test_a_function_is_asked_once_for_all_cases(sandbox: Sandbox) -> None:
    (first, two), (second, _) = Submitted(sandbox, "square").run([(X,), (2 * X,)], ())
    assert (first.tolist(), second.tolist(), two) == ([1, 4, 9], [4, 16, 36], 2)
    assert Submitted(sandbox, "count").run([(torch.nn.Linear(3, 2),)], ()) == [8]


def test_gradients_are_asked_for_with_the_values(sandbox: Sandbox) -> None:
    from lowerbound.checks.engine import value_at

    def cube(x: torch.Tensor) -> torch.Tensor:
        return x**3

    sandbox.ask("run", 60, source="def cube(x): return x ** 3", number=2)
    ((value, gradient),) = Submitted(sandbox, "cube").run([(X,)], (0,))
    right = value_at(cube, (X,), (0,))
    assert torch.equal(value, right[0].detach())
    assert torch.equal(gradient, right[1])
    ((_, gradient),) = Submitted(sandbox, "detached").run([(X,)], (0,))
    assert gradient.tolist() == [0, 0, 0]


def test_of_other_objects_the_name_of_the_type_arrives(sandbox: Sandbox) -> None:
    (value,) = Submitted(sandbox, "model").run([(X,)], ())
    assert type(value).__name__ == "Linear"
    assert not hasattr(value, "weight")


def test_errors_come_as_one_line(sandbox: Sandbox) -> None:
    assert Submitted(sandbox, "unwritten").run([(X,)], ()) == [Raised("NotImplementedError", "")]
    (secret,) = Submitted(sandbox, "secret").run([(X,)], ())
    assert secret.error == "ValueError"
    assert "\n" not in secret.message
    assert len(secret.message) < 300
    (called,) = Submitted(sandbox, "number").run([(X,)], ())
    assert called.message == "'int' object is not callable"
    with pytest.raises(StudentError, match=r"^nothing is not defined in the notebook$"):
        Submitted(sandbox, "nothing").run([(X,)], ())


def test_no_answer_is_in_the_sandbox(sandbox: Sandbox) -> None:
    source = "from lowerbound import checks; import lowerbound.checks as same\n"
    source += "def kl(mean, logvar): return checks.kl.oracle(mean, logvar)\n"
    source += "def steps(x): return (checks is same, hasattr(checks.kl, 'cases'), checks.kl(3) is None)"
    sandbox.ask("run", 60, source=source, number=3)
    (answer,) = Submitted(sandbox, "kl").run([(X, X)], ())
    assert (answer.error, "does not exist" in answer.message) == ("AttributeError", True)
    assert Submitted(sandbox, "steps").run([(X,)], ()) == [(True, False, True)]


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path)]) == 2
    assert "put STUDENT/A1_bound.ipynb into it" in capsys.readouterr().err
