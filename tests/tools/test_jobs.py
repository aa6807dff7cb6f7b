"""Jobs that are done once, and outlive a kill. No torch here, so that a worker starts at once."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tools.jobs import Job, Progress, cached, commit, duration, fingerprint, rounded, run, write


def _called(folder: Path, name: str) -> int:
    """One more call of a job, counted through a file; returns how many there have been."""
    with (folder / f"{name}.calls").open("a") as file:
        file.write(".")
    return _calls(folder, name)


def _calls(folder: Path, name: str) -> int:
    path = folder / f"{name}.calls"
    return len(path.read_text()) if path.exists() else 0


def right(name: str, seconds: float, folder: Path) -> dict:
    _called(folder, name)
    time.sleep(seconds)
    return {"name": name, "value": 1 / 3, "parts": ({"x": 2.0 / 3}, 7), "torch": "torch" in sys.modules}


def wrong(name: str, folder: Path) -> dict:
    _called(folder, name)
    raise ArithmeticError(f"{name} went wrong")


def kills_once(name: str, victim: str, number: int, folder: Path) -> dict:
    """The first time, send a signal to the process that runs this, or to its parent, in the middle."""
    if _called(folder, name) == 1:
        (folder / "half.json.partial").write_text('{"half')
        (folder / f"{name}.pid").write_text(str(os.getpid()))
        os.kill(os.getpid() if victim == "itself" else os.getppid(), number)
        time.sleep(60)
        (folder / "outlived").touch()
    return {"name": name}


def saves_when_told_to_end(name: str, folder: Path) -> dict:
    """As `fit` does: SIGTERM is held back until the state is on the disk, then it is a KeyboardInterrupt."""
    told = []
    previous = signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    if _called(folder, name) == 1:
        while not told:
            time.sleep(0.01)
        (folder / "saved").touch()
        signal.signal(signal.SIGTERM, previous)
        raise KeyboardInterrupt
    return {"name": name}


def _job(folder: Path, name: str, function=right, *arguments, kind: str = "") -> Job:
    arguments = arguments or ((0.0,) if function is right else ())
    made = partial(function, name, *arguments, folder)
    return Job(folder / f"{name}.json", made, [function, name, *arguments], kind)


def _quiet(jobs: list[Job], processes: int = 1) -> list:
    return run(jobs, processes, progress=Progress(jobs, processes, lambda line: None))


def _killed(folder: Path, victim: str, number: int = signal.SIGKILL) -> list[Job]:
    killer = _job(folder, "half", kills_once, victim, number)
    return [_job(folder, "before"), killer, _job(folder, "after"), _job(folder, "last")]


# ---- one job


def test_a_job_is_done_once_and_again_only_for_another_key(tmp_path):
    path, calls = tmp_path / "deep" / "a.json", []

    def compute():
        calls.append(1)
        return [len(calls)]

    assert [cached(path, ["x", 1], compute) for _ in range(3)] == [[1]] * 3
    assert set(json.loads(path.read_text())) == {"key", "seconds", "result"}
    with pytest.raises(ValueError, match=r"a\.json was made with other settings; delete it, and it is made"):
        cached(path, ["x", 2], compute)
    assert cached(path, ["x", 1], compute) == [1]
    assert cached(path, ["x", 2], compute, replace=True) == [2]
    assert cached(path, ["x", 2], compute, replace=True) == [2]


@pytest.mark.parametrize("content", [b'{"value": 1.', b"", b"\xff\xfe\x00", b"null", b"[1]"])
def test_a_damaged_file_is_made_again(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    (tmp_path / "a.json.partial").write_bytes(content)
    assert cached(path, 1, lambda: "sound") == "sound"
    assert cached(path, 1, lambda: "again") == "sound"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_key_is_told_from_another():
    keys = [None, 1, 1.5, "1", [1], {"a": 1}, {"a": 2}, right, wrong, partial(right, 1), partial(right, 2)]
    keys += [partial(right, seconds=1), Job(Path("a"), right, 0), Job(Path("a"), wrong, 0)]
    assert len({fingerprint(key) for key in keys}) == len(keys)
    assert fingerprint([1, (2, 3)]) == fingerprint((1, [2, 3]))


def test_numbers_are_rounded_to_five_digits_wherever_they_lie():
    content = {"a": 123456.789, "b": [1 / 3, {"c": -2e-9 / 3}], "d": (1 / 3, 2)}
    exact = {"n": 1234567, "s": "0.123456", "t": True, "z": None}
    expected = {"a": 123460.0, "b": [0.33333, {"c": -6.6667e-10}], "d": [0.33333, 2]}
    assert rounded(content | exact) == expected | exact


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_never_written(tmp_path, bad):
    for content in (bad, [1.0, bad], {"a": {"b": [bad]}}, (bad,)):
        with pytest.raises(ValueError, match=r"a result is (nan|inf|-inf); it is not written"):
            rounded(content)
    kept = tmp_path / "kept.json"
    write(kept, {"value": 1.0})
    with pytest.raises(ValueError, match="not written"):
        write(kept, {"value": bad})
    with pytest.raises(ValueError, match="not written"):
        cached(tmp_path / "bad.json", 1, lambda: {"value": bad})
    assert json.loads(kept.read_text()) == {"value": 1.0}
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


def test_a_full_disk_leaves_what_was_there_and_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write(path, {"value": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"a\.json cannot be written \(No space left on device\); free space"):
        write(path, {"value": 2})
    assert json.loads(path.read_text()) == {"value": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_commit_is_named_and_whether_files_differ_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.jobs.ROOT", tmp_path)
    assert commit("a").startswith("not a checkout")
    for command in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m one"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    assert len(commit("a")) == 40
    (tmp_path / "a").touch()
    assert commit("a") == f"{commit('b')} with changes"


# ---- many jobs


@pytest.mark.parametrize("processes", [1, 2])
def test_jobs_are_whole_files_in_their_order_and_are_done_once(tmp_path, processes):
    names = ["slow", "b", "a", "c"]
    jobs = [_job(tmp_path, name, right, 0.5 if name == "slow" else 0.0) for name in names]
    results = run(iter(jobs), processes)
    assert [result["name"] for result in results] == names
    for job, result in zip(jobs, results, strict=True):
        content = json.loads(job.path.read_text())
        assert content["result"] == result
        assert (result["value"], result["parts"]) == (0.33333, [{"x": 0.66667}, 7])
        assert (0.5 if job.path.stem == "slow" else 0) <= content["seconds"] < 30
    assert not list(tmp_path.glob("*.partial"))
    assert _quiet(jobs, processes) == results
    assert [_calls(tmp_path, name) for name in names] == [1] * 4
    if processes == 2:
        assert not any(result["torch"] for result in results)  # a worker starts without it


def test_what_is_there_is_read_and_only_the_rest_is_done(tmp_path):
    jobs = [_job(tmp_path, "a"), _job(tmp_path, "b"), _job(tmp_path, "b")]
    _quiet(jobs[1:2])
    content = json.loads(jobs[1].path.read_text())
    write(jobs[1].path, {**content, "result": {"name": "from a file"}})
    assert [result["name"] for result in _quiet(jobs)] == ["a", "from a file", "from a file"]
    assert (_calls(tmp_path, "a"), _calls(tmp_path, "b")) == (1, 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_other_settings_are_refused_before_anything_is_done(tmp_path, processes):
    _quiet([_job(tmp_path, "a")])
    with pytest.raises(ValueError, match=r"a\.json was made with other settings; delete it"):
        _quiet([_job(tmp_path, "b"), _job(tmp_path, "a", right, 0.01)], processes)
    assert _calls(tmp_path, "b") == 0


@pytest.mark.parametrize("processes", [0, -1])
def test_no_processes_are_refused(tmp_path, processes):
    with pytest.raises(ValueError, match=f"jobs must be at least 1, got {processes}"):
        run([_job(tmp_path, "a")], processes)
    assert _calls(tmp_path, "a") == 0


def test_an_error_is_raised_and_spares_what_was_done_before(tmp_path):
    with pytest.raises(ArithmeticError, match="bad went wrong"):
        _quiet([_job(tmp_path, "a"), _job(tmp_path, "bad", wrong), _job(tmp_path, "b")])
    assert [path.name for path in tmp_path.glob("*.json*")] == ["a.json"]
    results = _quiet([_job(tmp_path, name) for name in ("a", "bad", "b")])
    assert [result["name"] for result in results] == ["a", "bad", "b"]
    assert (_calls(tmp_path, "a"), _calls(tmp_path, "bad")) == (1, 2)


def test_an_error_in_a_process_is_raised_once_its_neighbour_is_done(tmp_path):
    late = [_job(tmp_path, f"late-{i}", right, 0.3) for i in range(9)]
    jobs = [_job(tmp_path, "slow", right, 0.6), _job(tmp_path, "bad", wrong), *late]
    with pytest.raises(ArithmeticError, match="bad went wrong"):
        _quiet(jobs, 2)
    files = {path.name for path in tmp_path.glob("*.json*")}
    assert "slow.json" in files
    assert "late-8.json" not in files
    begun = {job.path.name for job in jobs if _calls(tmp_path, job.path.stem)}
    assert files == begun - {"bad.json"}  # whole, each of them
    assert all(json.loads((tmp_path / name).read_text())["result"] for name in files)


def test_a_process_that_is_killed_is_told_with_the_remedy(tmp_path):
    with pytest.raises(ChildProcessError, match=r"a process was killed; the same command goes on"):
        _quiet(_killed(tmp_path, "itself"), 2)
    assert [result["name"] for result in _quiet(_killed(tmp_path, "itself"), 2)][1] == "half"


def in_a_process(folder: str, victim: str, number: str, processes: str) -> None:
    """What the process does that a test kills."""
    run(_killed(Path(folder), victim, int(number)), int(processes))


def _python(call: str) -> list[str]:
    """A process that hears Ctrl-C, also where the tests run in the background of a shell."""
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    begin = f"import sys; sys.path[:0] = {sys.path!r}; import test_jobs as t; {heard}"
    return [sys.executable, "-c", f"{begin}; {call}"]


@pytest.mark.parametrize(
    ("victim", "number", "processes"),
    [("itself", signal.SIGKILL, 1), ("the parent", signal.SIGKILL, 2), ("the parent", signal.SIGINT, 2)],
    ids=["killed", "parent killed", "Ctrl-C"],
)
def test_a_stopped_run_leaves_whole_files_and_no_process_and_goes_on(tmp_path, victim, number, processes):
    call = f"t.in_a_process({str(tmp_path)!r}, {victim!r}, {int(number)}, {processes})"
    done = subprocess.run(
        _python(call), capture_output=True, text=True, timeout=60, cwd=Path(__file__).parent
    )
    assert done.returncode == -number, done.stderr
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in done.stderr
        assert "Process Spawn" not in done.stderr  # no worker complains
    left = sorted(path.name for path in tmp_path.glob("*.json*"))
    assert "half.json.partial" in left
    assert "half.json" not in left
    whole = [name.removesuffix(".json") for name in left if name.endswith(".json")]
    if processes == 1:
        assert whole == ["before"]
    _gone(int((tmp_path / "half.pid").read_text()))
    before = {job.path.stem: _calls(tmp_path, job.path.stem) for job in _killed(tmp_path, victim, number)}
    results = _quiet(_killed(tmp_path, victim, number))
    assert [result["name"] for result in results] == ["before", "half", "after", "last"]
    for name, calls in before.items():
        assert _calls(tmp_path, name) == calls + (name not in whole)
    assert not list(tmp_path.glob("*.partial"))
    assert not (tmp_path / "outlived").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_job_that_saves_its_state_may_do_so_however_the_run_is_stopped(tmp_path, number):
    call = f"t.run(t._saving(t.Path({str(tmp_path)!r})), 2)"
    parent = subprocess.Popen(_python(call), cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
    _until(lambda: _calls(tmp_path, "long") and _calls(tmp_path, "longer"))
    parent.send_signal(number)
    parent.wait(20)
    _until((tmp_path / "saved").exists)
    time.sleep(0.3)
    assert _calls(tmp_path, "next") == 0  # and nothing more is begun
    assert [result["name"] for result in _quiet(_saving(tmp_path))] == ["long", "longer", "next"]


def _saving(folder: Path) -> list[Job]:
    pair = [_job(folder, name, saves_when_told_to_end) for name in ("long", "longer")]
    return [*pair, _job(folder, "next")]


def _until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def _gone(pid: int) -> None:
    """Wait until there is no such process: it must not outlive the one that started it."""

    def ended() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        return status.exists() and ") Z " in status.read_text()

    _until(ended)


def test_a_run_says_what_is_done_and_how_long_the_rest_takes(tmp_path):
    lines: list[str] = []
    jobs = [_job(tmp_path, f"{kind}-{i}", right, kind=kind) for kind in ("short", "long") for i in range(3)]
    times = {"short": 30.0, "long": 3600.0}

    def finish(job):
        write(job.path, {"key": fingerprint(job.key), "seconds": times[job.kind], "result": {}})

    finish(jobs[0])
    progress = Progress([*jobs, jobs[0]], 2, lines.append)
    finish(jobs[3])
    progress.done(jobs[3])
    progress.done(jobs[3])
    for job in jobs:
        finish(job)
        progress.done(job)
    assert lines == [
        "1 of 6 done; the rest takes about 75 s",  # as if the long ones were short
        "2 of 6 done: long-0 in 60 min; the rest takes about 60 min",  # (2 · 30 s + 2 · 1 h) / 2
        "3 of 6 done: short-1 in 30 s; the rest takes about 60 min",
        "4 of 6 done: short-2 in 30 s; the rest takes about 60 min",
        "5 of 6 done: long-1 in 60 min; the rest takes about 60 min",
        "6 of 6 done: long-2 in 60 min",
    ]
    assert [duration(s) for s in (0.4, 89, 90, 7199, 11100)] == [
        "0 s",
        "89 s",
        "2 min",
        "2 h 00 min",
        "3 h 05 min",
    ]
