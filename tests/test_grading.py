"""The student versions hold no solution; values cross the wire as plain ones; sources are graded fully."""

from __future__ import annotations

import html
import json
import re
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lowerbound.gaussian import Gaussian
from lowerbound.proofs import derivations
from lowerbound.symbolic import StepError
from test_grading_hostile import sandbox_or_skip
from toy_assignment import MARKER, NAME, student, write

from grading.__main__ import STUDENT
from grading.assignment import SOURCES, Assignment, assignments, binds, reads
from grading.folder import find, grade
from grading.inside import symbols, wire
from grading.judge import Verdict, reseeded
from grading.remote import Remote, Session, StudentError
from grading.sandbox import Limits, Sandbox

ROOT = Path(__file__).parents[1]
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
    import nbformat

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
    solution = next(cell for cell in KNOWN[name].cells if cell.kind == "test")
    page.write_text("<pre>" + html.escape(solution.source).replace("assert", "<b>assert</b>") + "</pre>")
    assert leaked(page, secret_lines(KNOWN[name])) != []


@each
def test_points_add_up_to_a_hundred(name: str) -> None:
    assert sum(cell.points for cell in [*KNOWN[name].tests, *KNOWN[name].written]) == 100


# Solutions and empty versions, graded


@each
def test_the_solution_gets_all_points_and_the_empty_version_none(name: str, tmp_path: Path) -> None:
    sandbox_or_skip()
    for who, source in (("solution", SOURCES), ("empty", STUDENT)):
        (tmp_path / "in" / who).mkdir(parents=True)
        (tmp_path / "in" / who / f"{name}.ipynb").write_bytes((source / f"{name}.ipynb").read_bytes())
    found = find(tmp_path / "in", KNOWN)
    verdicts = {v.student: v for v in grade(found, KNOWN, tmp_path / "out", Limits(), True, 2)}
    solution, empty = verdicts["solution"], verdicts["empty"]
    assert [(i, m) for i, m in solution.marks.items() if m[1]] == []
    assert (solution.refused, solution.notes) == ("", [])
    assert empty.points == 0
    assert empty.refused == ""
    for task, (_, message) in empty.marks.items():
        assert message == f"{task.removesuffix('-test')} is not written yet"


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


def test_names_that_a_cell_reads_and_binds() -> None:
    source = "import numpy as np\nfrom a import b as c\nd = e\ndef f(g):\n    h = i\nk = [j for j in l]\n"
    source += "%matplotlib inline"
    assert binds(source) == {"np", "c", "d", "f", "k"}
    assert {"e", "i", "l", "get_ipython"} <= reads(source)


def test_locked_cells_are_run_and_students_names_are_not_shared(tmp_path: Path) -> None:
    assignment = write(tmp_path)
    assert assignment.students == {"double", "mean"}
    shared = assignment.shared()
    assert shared["locked"] == 7
    assert "double" not in shared


def test_our_locked_cells_take_the_place_of_the_students(tmp_path: Path) -> None:
    import nbformat

    assignment = write(tmp_path)
    made = student(assignment)
    made["cells"][0]["source"] = "locked = 8"
    run = assignment.run_list(nbformat.from_dict(made))
    assert run[0] == (0, "import numpy as np\nlocked = 7")
    del made["cells"][0]
    assert assignment.run_list(nbformat.from_dict(made))[0] == (None, "import numpy as np\nlocked = 7")
    assert not any(MARKER in source for _, source in run)


def test_seeds_in_tests_are_moved() -> None:
    names: dict[str, Any] = {"torch": torch}
    exec(compile(reseeded("g = torch.Generator().manual_seed(7)"), "test", "exec"), names)
    assert names["g"].initial_seed() != 7


def test_points_by_hand_are_kept_and_added(tmp_path: Path) -> None:
    from grading.folder import _points, _write

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


# The wire


def across(value: Any) -> Any:
    blobs: list[bytes] = []
    data = wire.encode(value, blobs, lambda entry: {"object": 0})
    return wire.decode(json.loads(json.dumps(data)), blobs, lambda entry: "an object")


class Sly(int):
    """A number that is equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -(2**70), 0.5, float("inf"), 1 + 2j, "σ", b"ab", [1, (2.0, "x")], {"a": [1], 2: None}],
    ids=repr,
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


def test_arrays_generators_and_the_librarys_dataclasses_cross() -> None:
    array = across(np.arange(6.0).reshape(2, 3).T)
    assert array.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert type(across(np.float32(0.5))) is np.float32
    rng = torch.Generator().manual_seed(3)
    assert torch.equal(torch.rand(2, generator=across(rng)), torch.rand(2, generator=rng))
    gaussian = across(Gaussian(torch.ones(2, 3), torch.zeros(2, 3)))
    assert type(gaussian) is Gaussian
    assert gaussian.kl().tolist() == [1.5, 1.5]


def test_a_number_that_equals_everything_arrives_as_a_number() -> None:
    assert Sly(3) == 4
    assert across(Sly(3)) == 3
    assert across(Sly(3)) != 4
    assert across(object()) == "an object"


@pytest.mark.parametrize("name", ["elbo", "gaussian_kl", "kl_nonnegative", "telescoping", "gaussian_nll_sum"])
def test_derivations_cross_and_are_derived_again(name: str) -> None:
    proof = derivations()[name]()
    data = json.loads(json.dumps(symbols.encode(proof)))
    again = symbols.decode(data)
    assert (again.latex(), again.last) == (proof.latex(), proof.last)
    assert [step.kind for step in again.steps] == [step.kind for step in proof.steps]
    data["lines"][-1]["expr"] = symbols.encode(proof.last + 1)["formula"]
    with pytest.raises(StepError):
        symbols.decode(data)


def test_what_is_no_formula_is_refused() -> None:
    for rows in (
        [["os.system", None, []]],
        [["Add", None, [0]]],
        [["number", ["9" * 500, "1"], []]],
        [],
        "x",
    ):
        with pytest.raises((ValueError, KeyError)):
            symbols.decode({"formula": rows})


def test_a_message_that_is_none_ends_the_conversation() -> None:
    for sent in (b"\xff" * 64, b"\x04" + bytes(7) + b"nope", b"\x02" + bytes(7) + b"[]"):
        ours, theirs = socket.socketpair()
        ours.settimeout(0.1)
        theirs.sendall(sent)
        theirs.close()
        with pytest.raises(wire.ClosedError):
            wire.receive(ours, None, lambda: None)


# Calls into the sandbox

CODE = """
import torch
class Model:
    def __init__(self): self.weight = torch.ones(3)
    def __call__(self, x): return (self.weight * x).sum()
    def losses(self): yield from (1.0, 2.0)
model = Model()
def square(x, rng=None): return {"y": x ** 2 + (torch.rand(3, generator=rng) if rng else 0), "n": 2}
def apply(f, x): return f(x) + 1
def unwritten(): raise NotImplementedError
def secret(): raise ValueError("a\\nb" * 1000)
def count(module): return sum(p.numel() for p in module.parameters())
"""


@pytest.fixture(scope="module")
def session() -> Any:
    with Sandbox(Limits(call=30), isolated=False) as sandbox:
        made = Session(sandbox, {})
        made.request("run", 60, source=CODE, number=1)
        yield made


def test_calls_give_plain_values_and_advance_generators(session: Session) -> None:
    square, x = session.name("square"), torch.tensor([1.0, 2.0, 3.0])
    ours, theirs = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for _ in range(2):
        got = square(x, rng=ours)
        assert torch.equal(got["y"], x**2 + torch.rand(3, generator=theirs))
    assert got["n"] == 2


def test_gradients_pass_through_a_call(session: Session) -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    got = session.name("square")(x)
    (3 * got["y"]).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 6 * x.detach())


def test_functions_and_modules_can_be_handed_in(session: Session) -> None:
    assert session.name("apply")(lambda value: 10 * value, 4) == 41
    assert session.name("count")(torch.nn.Linear(3, 2)) == 8


def test_objects_stay_there_and_are_neither_true_nor_equal(session: Session) -> None:
    model = session.name("model")
    assert isinstance(model, Remote)
    assert model(torch.arange(3.0)) == 3
    assert model.weight.tolist() == [1, 1, 1]
    assert list(model.losses()) == [1.0, 2.0]
    assert model != 3
    with pytest.raises(StudentError, match="of the type Model"):
        bool(model)


def test_errors_come_as_one_line(session: Session) -> None:
    with pytest.raises(StudentError, match=r"^unwritten is not written yet$"):
        session.name("unwritten")()
    with pytest.raises(StudentError) as caught:
        session.name("secret")()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grading", "grade", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "put STUDENT/A1_bound.ipynb into it" in done.stderr
