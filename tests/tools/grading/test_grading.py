"""The student versions hold no solution; values cross as plain ones; the sources are graded fully."""

from __future__ import annotations

import functools
import html
import json
import re
import socket
import subprocess
import sys
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
from toy_assignment import MARKER, student, write

from tools.grading import judge as judging
from tools.grading.__main__ import STUDENT, main
from tools.grading.assignment import SOURCES, VIETNAMESE, Assignment, assignments
from tools.grading.inside import formulas, protocol
from tools.grading.intake import find
from tools.grading.judge import Submitted, Verdict, judge
from tools.grading.sandbox import EndedError, Limits, Sandbox, SandboxError, StudentError
from tools.grading.submissions import grade
from tools.grading.table import ATTACKS, attack, functions

ROOT = Path(__file__).parents[3]
KNOWN, DEFAULT = assignments(), Limits()
each = pytest.mark.parametrize("name", KNOWN)


# What students get


def is_long(line: str) -> bool:
    return len(line) > 24


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
                and is_long(line.strip())
                and not line.strip().startswith(("import ", "from ", "rng = "))
            ):
                found.add(line.strip())
    open_to_all = "\n".join(cell.source for cell in assignment.cells if cell.kind == "locked")
    return {line for line in found if line not in open_to_all}


@each
def test_the_student_version_is_up_to_date(name: str) -> None:
    stored = (STUDENT / f"{name}.ipynb").read_text(encoding="utf-8")
    assert stored == nbformat.writes(KNOWN[name].released) + "\n", "run `make assignments`"


@functools.cache
def downloads() -> list[Path]:
    """The files that a student's download or the book holds: all tracked ones but sources and tests."""
    out = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    paths = [
        ROOT / line for line in out.splitlines() if line.endswith((".ipynb", ".md", ".py", ".json", ".yml"))
    ]
    built = list((ROOT / "_build" / "html").rglob("*.html"))
    return [
        p
        for p in [*paths, *built]
        if p.parent not in (SOURCES, VIETNAMESE) and p.is_file() and ROOT / "tests" not in p.parents
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


@functools.cache
def lines_of(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    if path.suffix == ".html":
        text = html.unescape(re.sub("<[^>]*>", "", text))
    return [line.strip() for line in text.splitlines()]


def leaked(path: Path, secrets: set[str]) -> list[str]:
    """The secret lines in a file that stand one after another, but for short ones: single ones occur by
    themselves."""
    return [a for a, b in pairwise(filter(is_long, lines_of(path))) if a in secrets and b in secrets]


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


def graded(
    folder: Path, name: str, notebooks: dict[str, Any], limits: Limits = DEFAULT
) -> dict[str, Verdict]:
    """The verdicts on notebooks, by who hands them in."""
    sandbox_or_skip()
    for who, notebook in notebooks.items():
        (folder / "in" / who).mkdir(parents=True)
        (folder / "in" / who / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
    found, _ = find([folder / "in"], KNOWN, folder / "unpacked")
    return {one.student: verdict for one, verdict, _ in grade(found, KNOWN, limits, True, 2)}


def failed(verdict: Verdict) -> list[tuple[str, str]]:
    return [(test, message) for test, (_, message) in verdict.marks.items() if message]


def are_unwritten(verdict: Verdict) -> bool:
    return verdict.points == 0 and all(
        message == f"{test.removesuffix('-test')} is not written yet." for test, message in failed(verdict)
    )


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "A1_bound"])  # of which the whole is run
def test_right_functions_get_all_points_whatever_later_cells_call_the_same(name: str, tmp_path: Path) -> None:
    assignment = KNOWN[name]
    verdict = graded(tmp_path, name, {"right": within(functions(assignment), [LATER[name]])})["right"]
    assert failed(verdict) == []
    assert verdict.notes == [
        "no cell has nbgrader's metadata: tests run by name, written answers are not found"
    ]
    assert verdict.points == sum(cell.points for cell in assignment.tests) > 50


STUBBORN = """
import time
def next_moments(mean, variance, beta):
    while True:  # never returns, and does not let itself be interrupted
        try:
            time.sleep(9)
        except BaseException:
            pass
def fixed_point(c, s):
    return "not this"
"""
RIGHT_AFTER_ALL = "def fixed_point(c, s):\n    return s**2 / (1 - c**2)"


def test_unwritten_functions_and_the_librarys_answers_get_none_and_one_that_never_returns_costs_itself(
    tmp_path: Path,
) -> None:
    """The last of these also defines a function twice, wrong and then right."""
    assignment, name = KNOWN["A3_forward"], "A3_forward"
    submissions = {
        "empty": functions(Assignment(STUDENT / f"{name}.ipynb")),
        "forwards": attack(assignment, *ATTACKS["the library's own answers"]),
        "stubborn": within(functions(assignment), [STUBBORN, RIGHT_AFTER_ALL]),
    }
    cells = submissions["stubborn"].cells
    cells[:] = [c for c in cells if "def next_moments" not in c.source or "sleep" in c.source]
    verdicts = graded(tmp_path, name, submissions, Limits(call=10))
    assert are_unwritten(verdicts["empty"])
    assert (verdicts["forwards"].points, verdicts["forwards"].refused) == (0, "")
    assert len(failed(verdicts["forwards"])) == len(assignment.tests)
    assert [message for _, message in failed(verdicts["forwards"]) if "does not exist" not in message] == []
    assert [test for test, _ in failed(verdicts["stubborn"])] == ["next_moments-test"]
    assert "did not stop after 10 s" in failed(verdicts["stubborn"])[0][1]


class FullSandbox:
    """A sandbox in which the first cell takes all memory until its time is over, and keeps it."""

    runs = 0

    def __init__(self, limits: Limits, isolated: bool) -> None:
        self.limits, self.ended, self.full = limits, "", False

    def __enter__(self) -> FullSandbox:
        FullSandbox.runs += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, op: str, limit: float, *_: Any, **request: Any) -> tuple[Any, list[bytes]]:
        if op != "run":
            if self.full:
                raise StudentError("MemoryError")
            return [request["function"]], []
        first = request["number"] == 1
        error = "TimeLimit" if first else "MemoryError" if self.full else None
        self.full |= first
        return {"outputs": [], "error": error, "defined": [] if error else request["watch"]}, []


def test_what_a_stopped_cell_holds_costs_no_other_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "Sandbox", FullSandbox)
    monkeypatch.setattr(FullSandbox, "runs", 0)
    assignment = write(tmp_path / "sources")
    (tmp_path / "full.ipynb").write_text(json.dumps(student(assignment, first="held = []")))
    verdict, _ = judge(tmp_path / "full.ipynb", "full", assignment, Limits(), False)
    assert FullSandbox.runs == 2
    assert [note for note in verdict.notes if "Memory" in note] == ["cell 2 raises MemoryError"]
    assert not any("Memory" in message for _, message in verdict.marks.values()), verdict


def test_the_time_that_torch_takes_to_load_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it took all the seconds of a call, and torch was left half loaded."""
    sandbox_or_skip()
    asked: list[str] = []

    class Noted(Sandbox):
        def ask(self, op: str, *args: Any, **content: Any) -> Any:
            source = "'torch' in __import__('sys').modules"
            loaded = super().ask("run", 60, source=source, number=0)[0]["outputs"][0]["data"]["text/plain"]
            asked.append(f"{op} {loaded}")
            return super().ask(op, *args, **content)

    monkeypatch.setattr(judging, "Sandbox", Noted)
    toy = write(tmp_path / "sources")
    for assignment, made in (
        (toy, nbformat.from_dict(student(toy))),
        (KNOWN["A3_forward"], nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 3")])),
    ):
        path = tmp_path / f"{assignment.name}.ipynb"
        path.write_text(nbformat.writes(made))
        asked.append(assignment.name)
        judge(path, "someone", assignment, DEFAULT, True)
    toys, forwards = asked[: asked.index("A3_forward")], asked[asked.index("A3_forward") + 1 :]
    assert not any("load" in entry or "True" in entry for entry in toys)
    assert forwards[0] == "load False"
    assert len(forwards) > 2
    assert all(entry.endswith("True") for entry in forwards[1:])


def test_where_torch_cannot_be_loaded_the_machine_is_blamed_and_the_clock_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FullSandbox):
        why: Exception | None = None

        def ask(self, op: str, limit: float, *_: Any, **request: Any) -> tuple[Any, list[bytes]]:
            if op == "load" and self.why is not None:
                raise self.why
            if op == "load":
                assert limit > 60  # not the time of a cell
                now[0] += 500.0
                return True, []
            return {"outputs": [], "error": None, "defined": []} if op == "run" else None, []

    now = [0.0]
    monkeypatch.setattr(judging.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(judging, "Sandbox", Slow)
    path = tmp_path / "A3_forward.ipynb"
    path.write_text(nbformat.writes(functions(KNOWN["A3_forward"])))
    limits = Limits(notebook=90, cell=30)
    verdict, _ = judge(path, "someone", KNOWN["A3_forward"], limits, False)
    assert not any("the notebook takes more" in note for note in verdict.notes)
    for why in (StudentError("MemoryError"), EndedError("it took more memory than 0.1 GiB")):
        Slow.why = why
        with pytest.raises(SandboxError, match=f"torch cannot be loaded in the sandbox: {why}"):
            judge(path, "someone", KNOWN["A3_forward"], limits, False)


POISON = """
import contextlib, gc, os, sys, types
for place in (".", "/tmp", os.path.expanduser("~"), sys.path[0], sys.path[-1]):
    with contextlib.suppress(OSError):
        for name in ("torch", "random", "sitecustomize"):
            open(os.path.join(place, f"{name}.py"), "w").write("poisoned = True")
import torch
poisoned = hasattr(torch, "poisoned")
"""
TAKEN_OVER = """
fake = types.ModuleType("torch")
fake.Tensor, fake.is_tensor = type("Tensor", (), {"__eq__": lambda *_: True}), lambda _: True
for agent in gc.get_objects():
    if type(agent).__name__ == "Agent":
        type(agent).load = lambda *_: True
        type(agent).answer = lambda self, request, *_: [True] * len(request["cases"]["list"])
        assert agent.load()
sys.modules["torch"] = fake
"""


def test_a_poisoned_import_and_a_load_taken_over_win_nothing(tmp_path: Path) -> None:
    """Files named as modules, a process that ends so that a new one begins beside them, a patched agent."""
    assignment, name = KNOWN["A3_forward"], "A3_forward"
    wrong = "\n".join(f"{cell.task} = lambda *a: True" for cell in assignment.tests)
    told = "print('poisoned' if poisoned else 'clean')"
    submissions = {
        "again": within(functions(assignment), [POISON, told, "os._exit(0)"]),
        "taken": attack(assignment, POISON + TAKEN_OVER, "lambda *a: True"),
        "wrong": within(nbformat.v4.new_notebook(), [POISON, wrong, told, "os._exit(0)"]),
    }
    verdicts = graded(tmp_path, name, submissions)
    of = sum(cell.points for cell in assignment.tests)
    assert {who: verdict.points for who, verdict in verdicts.items()} == {"again": of, "taken": 0, "wrong": 0}
    assert not any(verdict.refused for verdict in verdicts.values()), verdicts
    assert not any("raises" in note for verdict in verdicts.values() for note in verdict.notes), verdicts


def test_a_whole_notebook_runs_as_it_does_outside_whatever_its_last_cell_calls_the_same(
    tmp_path: Path,
) -> None:
    assignment, name = KNOWN["A1_bound"], "A1_bound"
    verdict = graded(tmp_path, name, {"solution": within(assignment.notebook, [LATER[name]])})["solution"]
    assert failed(verdict) == []
    assert verdict.points == sum(cell.points for cell in assignment.tests)
    assert (verdict.refused, verdict.notes) == ("", [])
    assert len(verdict.answers) == 4


# Files and names


def test_our_locked_cells_take_the_place_of_the_students(tmp_path: Path) -> None:
    assignment = write(tmp_path)
    made = student(assignment)
    made["cells"][0]["source"] = "locked = 8"
    run = assignment.run_list(nbformat.from_dict(made))
    assert run[0] == (0, "import numpy as np\nlocked = 7")
    del made["cells"][0]
    assert assignment.run_list(nbformat.from_dict(made))[0] == (None, "import numpy as np\nlocked = 7")
    assert not any(MARKER in source for _, source in run)


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
    for value in (object(), np.array(["a"]), {"a": 1}, torch.nn.Linear(1, 1), 2j, sp.Symbol("x")):
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


REACHES = """
import importlib, os, sys, torch
import lowerbound.vae
from lowerbound.gaussian import Gaussian
from lowerbound import gaussian, proofs
from lowerbound.proofs.ch3_forward import alphabar, x0, xt
from lowerbound.proofs.ch4_reverse import eps, eps_net, x0_net
kept, code = Gaussian.kl, Gaussian.kl.__code__
def calls(m, v): return Gaussian(m, v).kl()
def kept_before(m, v): return kept(object.__new__(Gaussian))
def imports(m, v): return importlib.import_module("lowerbound.diffusion")
def reloads(m, v): return importlib.reload(sys.modules["lowerbound.gaussian"]).Gaussian(m, v).kl()
def derives(m, v): return proofs.derivations()["gaussian_kl_standard"]()
def asks(m, v): return importlib.import_module("lowerbound.checks.a2_vae").kl.oracle(m, v)
def reads(m, v): return [os.listdir(f"/grader/lib/lowerbound/{part}") for part in ("checks", "proofs")]
def after(m, v): return (m * v).sum()
"""


def test_the_librarys_solutions_are_out_of_reach_while_a_function_is_graded() -> None:
    """By a call, a reference kept from before, an import, a proof's line, a check's file."""
    sandbox_or_skip()
    with Sandbox(Limits(call=30)) as made:
        reply, _ = made.ask("run", 60, source=REACHES, number=1, watch=["calls"])
        assert (reply["error"], reply["defined"]) == (None, ["calls"])
        for name in ("calls", "kept_before", "imports", "reloads", "derives", "asks"):
            (outcome,) = Submitted(made, name).run([(X, X)], ())
            assert isinstance(outcome, Raised), (name, outcome)
        assert Submitted(made, "reads").run([(X, X)], ()) == [[[], []]]
        assert Submitted(made, "after").run([(X, X)], ())[0] == 14
        reply, _ = made.ask(
            "run", 60, source="round(float(Gaussian(torch.ones(1, 2), torch.ones(1, 2)).kl()), 3)", number=2
        )
        assert "1.718" in str(reply["outputs"])  # in a cell the library works


def test_memory_that_no_process_shows_is_refused() -> None:
    sandbox_or_skip()
    source = """
import ctypes, os
def hidden():
    try:
        os.memfd_create("held")
    except OSError as error:
        return error.errno, ctypes.CDLL(None).shmget(0, 4096, 0o1600)
"""
    with Sandbox(Limits(call=30)) as made:
        made.ask("run", 60, source=source, number=1)
        assert Submitted(made, "hidden").run([()], ()) == [(1, -1)]


def test_the_letters_of_an_assignment_are_those_of_the_proofs() -> None:
    """The sandbox has the letters alone; a line that is written with them is the line of the task."""
    from lowerbound.proofs import ch3_forward, ch4_reverse

    script = "import pickle, sys\nfrom tools.grading.inside import proofs\nproofs.install()\n"
    script += "from lowerbound.proofs import ch3_forward as a, ch4_reverse as b\nimport sympy as sp\n"
    script += "print(sp.srepr([a.alphabar, a.x0, a.xt, b.eps, b.eps_net, b.x0_net]))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    a, b = ch3_forward, ch4_reverse
    assert done.stdout.strip() == sp.srepr([a.alphabar, a.x0, a.xt, b.eps, b.eps_net, b.x0_net])


# What a cell defined when it ran

LATER = {  # a cell that a task itself suggests, after everything else is right
    "A1_bound": "x, w, s = 2, 1.5, 0.5\nz = torch.randn(10)\np = [math.log(9 / 16)] * 199",
    "A2_vae": "sigma = 0.3\nmu, s = 0.0, 1.0\nloss = torch.tensor(1.0)",
    "A3_forward": "alpha = 1 - 0.05\nv = 1.0",
    "A4_reverse": "x0, eps, xt = torch.randn(3, 4, 2)",
    "A5_comparison": "interval = interval([1.0, 2.0], [2.0, 4.0], 4.3)\nD = 196",
    "A6_latent": "s, c = 1 / 0.18215, 0.18215\nz = torch.randn(10, 2)\nq = p = r = None",
    "A7_coordinates": "bend = bend(torch.randn(3, 4, 2))\nz, tau, u = torch.randn(3, 4, 2)",
}


def within(notebook: Any, cells: Any) -> Any:
    """The notebook with more cells at its end."""
    made: Any = nbformat.reads(nbformat.writes(notebook), as_version=4)
    made.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    return made


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "folder with STUDENT/A1_bound.ipynb in it" in capsys.readouterr().err
