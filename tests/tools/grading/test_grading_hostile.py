"""Submissions that attack the grader: each graded or refused with one line, and the rest still graded."""

from __future__ import annotations

import csv
import json
import os
import re
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from toy_assignment import MARKER, NAME, STACK, hostile, write

from tools.grading import intake, sandbox, submissions
from tools.grading.course import Course
from tools.grading.judge import Verdict
from tools.grading.sandbox import Limits, SandboxError, isolation

LIMITS = Limits(
    notebook=90, cell=1.5, call=1.5, memory=700 * 2**20, file=64 * 2**20, space=128 * 2**20, processes=16
)


@dataclass
class Run:
    """What a grading of the folder gave."""

    verdicts: dict[str, Verdict]
    out: Path
    submissions: Path
    connections: list[bytes]

    def page(self, student: str) -> str:
        return (self.out / "feedback" / f"{student}.html").read_text()


def sandbox_or_skip() -> None:
    try:
        isolation()
    except SandboxError as error:
        if os.environ.get("REQUIRE_SANDBOX"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    sandbox_or_skip()
    root = tmp_path_factory.mktemp("grading")
    os.chmod(root, 0o755)
    assignment = write(root / "sources")
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            heard.append(connection.recv(100))

    threading.Thread(target=listen, daemon=True).start()
    folder = root / "submissions"
    folder.mkdir()
    os.chmod(folder, 0o777)
    for student, content in hostile(assignment, folder, server.getsockname()[1]).items():
        place = folder / student / f"{NAME}.ipynb"
        place.parent.mkdir()
        place.write_text(content if isinstance(content, str) else json.dumps(content))
    known = {NAME: assignment}
    course = Course(root / "out", known)
    found, _ = intake.find([folder], known, root / "in")
    verdicts = {}
    for submission, verdict, made in submissions.grade(found, known, LIMITS, True, 2, course.finish):
        verdicts[submission.student] = verdict
        course.keep(submission, verdict, made)
    course.report()
    server.close()
    return Run(verdicts, root / "out" / NAME, folder, heard)


REFUSED = {"no-json": "not a notebook", "no-notebook": "not a notebook", "empty-file": "not a notebook"}
POINTS = {
    "ada-honest": 5, "zoe-honest": 5, "endless-cell": 5, "endless-function": 3, "children": 5, "memory": 5,
    "exit-function": 3, "equal": 0, "outside": 5, "big-file": 5, "reader": 5, "network": 5, "deleted": 3,
    "deleted-test": 3, "renamed": 3, "output": 5, "output-display": 5, "output-raw": 5, "patch": 0,
    "hard-coded": 0, "stack": 3, "raises": 3, "no-metadata": 5, "syntax": 5, "endless-stubborn": 5,
    "memory-children": 5, "exit-cell": 5, "patch-builtins": 5, "forger": 3,
}  # fmt: skip
NOTES = {  # what ended the process is told, and costs itself alone
    "endless-stubborn": "did not stop",
    "memory-children": "more memory",
    "exit-cell": "ended its own process",
    "patch-builtins": "process|conversation",
    "forger": "broke off the conversation",
}
SAYS = {
    "endless-function": r"TimeLimit: it did not finish within 1\.5 s",
    "exit-function": "ended its own process",
    "equal": "it must return a float, not an object of type Yes",
    "deleted": "double is not defined in the notebook",
    "deleted-test": "it is half the right value",
    "renamed": "double is not defined in the notebook",
    "patch": "double is not right yet",
    "hard-coded": "gives the same whatever it is called with",
    "stack": "it must return a float, not an object of type str",
    "raises": "ValueError",
}


def test_every_submission_is_covered(run: Run) -> None:
    assert set(REFUSED) | set(POINTS) == set(run.verdicts)


@pytest.mark.parametrize("student", sorted(REFUSED))
def test_it_is_refused_with_one_line(run: Run, student: str) -> None:
    verdict = run.verdicts[student]
    assert re.search(REFUSED[student], verdict.refused), verdict.refused
    assert "\n" not in verdict.refused
    assert verdict.points == 0


@pytest.mark.parametrize("student", sorted(NOTES))
def test_what_ended_the_process_is_told(run: Run, student: str) -> None:
    assert any(re.search(NOTES[student], note) for note in run.verdicts[student].notes)


@pytest.mark.parametrize("student", sorted(POINTS))
def test_it_gets_the_points_that_its_functions_deserve(run: Run, student: str) -> None:
    verdict = run.verdicts[student]
    assert (verdict.refused, verdict.points) == ("", POINTS[student]), verdict


@pytest.mark.parametrize("student", sorted(SAYS))
def test_the_message_says_what_is_wrong(run: Run, student: str) -> None:
    message = run.verdicts[student].marks["double-test"][1]
    assert re.search(SAYS[student], message), message
    assert all(line and line.isprintable() for line in message.split("\n"))
    assert len(message) < 750


def test_the_tables_have_a_row_for_each(run: Run) -> None:
    with (run.out / "grades.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(run.verdicts)
    assert (rows["zoe-honest"]["automatic"], rows["zoe-honest"]["waiting"]) == ("5", "1")


def test_nothing_was_written_outside_and_nothing_was_reached(run: Run) -> None:
    assert not (run.submissions / "written").exists()
    assert run.connections == []
    assert any("Error" in note for note in run.verdicts["outside"].notes)
    assert any("Error" in note for note in run.verdicts["network"].notes)
    assert any("OSError" in note for note in run.verdicts["big-file"].notes)


def test_no_test_and_no_other_submission_was_found(run: Run) -> None:
    assert "found 0 files" in run.page("reader")


def test_no_process_is_left(run: Run) -> None:
    left = [
        p
        for p in psutil.process_iter(["cmdline"])
        if "tools.grading.inside.agent" in (p.info["cmdline"] or [])
    ]
    ours = [p for p in left if psutil.Process().pid in [parent.pid for parent in p.parents()]]
    assert ours == []


def test_no_page_is_large_or_shows_a_hidden_test_or_runs_a_script(run: Run) -> None:
    for path in (run.out / "feedback").rglob("*.html"):
        text = path.read_text()
        assert len(text) < 1_500_000, path
        assert MARKER not in text, path
        assert "torch.rand(" not in text, path
        assert "<script>alert" not in text, path


def test_the_stack_reader_would_find_a_test_beside_it() -> None:
    names: dict[str, object] = {}
    exec(STACK, names)
    hidden_beside = MARKER
    assert names["double"](1.5) == 3.0, hidden_beside  # type: ignore[operator]


def test_without_the_sandbox_the_reader_finds_and_the_network_is_reached(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    assignment = write(tmp_path / "sources")
    server = socket.create_server(("127.0.0.1", 0))
    folder = tmp_path / "all"
    notebooks = hostile(assignment, tmp_path, server.getsockname()[1])
    search = notebooks["reader"]["cells"][0]  # type: ignore[index]
    places = '"/submission", "/tmp", "/grader"'
    assert places in search["source"]
    search["source"] = search["source"].replace(places, '"/nowhere"')  # all of /tmp would take too long
    for student in ("reader", "network", "children"):
        place = folder / student / f"{NAME}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(notebooks[student]))
    known = {NAME: assignment}
    found, _ = intake.find([folder], known, tmp_path / "in")
    course = Course(tmp_path / "out", known)
    graded = {
        one.student: made for one, _, made in submissions.grade(found, known, LIMITS, False, 1, course.finish)
    }
    assert set(graded) == {"reader", "network", "children"}
    assert re.search(r"found [1-9]\d* files", graded["reader"])
    server.settimeout(5)
    assert server.accept()[0].recv(10) == b"hello"
    server.close()


def test_the_environment_may_lie_below_tmp_which_is_empty_in_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox_or_skip()
    way, seen = isolation(), tmp_path / "prefix" / "seen"
    seen.parent.mkdir()
    seen.write_text("seen")
    (tmp_path / "hidden").write_text("hidden")
    monkeypatch.setattr(sandbox.sys, "prefix", f"{tmp_path}/else/../prefix")
    command = sandbox._bubblewrap(way, Limits(), sandbox._spare_user())[:-1]
    script = f"cat {seen}; ls -A {tmp_path}"
    done = subprocess.run([*command, "/bin/sh", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("seenprefix\n", "")
