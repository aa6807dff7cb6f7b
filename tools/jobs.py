"""Jobs that are done once: each is one JSON file, so that what was stopped or killed goes on from there.

`cached` does one job, here and now. `run` does many, several at once in processes of their own, and says what
is done and about how long the rest takes. Only Python's own library is needed, and a worker loads torch only
if its job does.

A file holds {"key": digest, "seconds": of the job, "result": what it returned}, whole or not at all. One that
is damaged is made again; one of other settings is refused, since it may have taken hours.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def cached(path: Path, key: Any, compute: Callable[[], Any], *, replace: bool = False) -> Any:
    """What `compute()` returns, as JSON has it: read from `path`, or computed and written there.

    key: what determines the result, see `fingerprint`
    replace: make the file again if it has another key; without it, that is a ValueError with the remedy
    """
    if (kept := stored(path, key, replace=replace)) is None:
        began = time.monotonic()
        result = compute()
        write(path, {"key": fingerprint(key), "seconds": time.monotonic() - began, "result": result})
        kept = json.loads(path.read_text(encoding="utf-8"))
    return kept["result"]


def stored(path: Path, key: Any, *, replace: bool = False) -> dict[str, Any] | None:
    """The content of a job's file; None if it is missing, damaged or, with `replace`, of another key."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = content.get("key") == fingerprint(key)
    except (FileNotFoundError, ValueError, AttributeError):
        return None
    if not same and not replace:
        raise ValueError(f"{path} was made with other settings; delete it, and it is made again")
    return content if same else None


def fingerprint(key: Any) -> str:
    """A digest of plain values, lists, dicts, dataclasses, partials, and of functions by their names."""

    def plain(part: Any) -> Any:
        if isinstance(part, partial):
            return [plain(part.func), plain(part.args), plain(part.keywords)]
        if is_dataclass(part):
            return [type(part).__qualname__, {f.name: plain(getattr(part, f.name)) for f in fields(part)}]
        if isinstance(part, (list, tuple)):
            return [plain(p) for p in part]
        if isinstance(part, dict):
            return {str(name): plain(p) for name, p in part.items()}
        simple = isinstance(part, (str, int, float, bool, type(None)))
        return part if simple else getattr(part, "__qualname__", type(part).__qualname__)

    return hashlib.sha256(json.dumps(plain(key), sort_keys=True).encode()).hexdigest()[:16]


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all. Raises as `rounded`, and OSError with the remedy."""
    text = json.dumps(rounded(content), indent=1, ensure_ascii=False)
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        remedy = f"free space in {path.parent} or choose another folder"
        raise OSError(error.errno, f"{path} cannot be written ({error.strerror}); {remedy}") from error


def rounded(value: Any) -> Any:
    """Floats to five significant digits: more would be noise. Raises ValueError unless they are finite."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a result is {value}; it is not written")
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


def commit(*paths: str) -> str:
    """The commit of this checkout, "with changes" if files under `paths` differ from it."""
    try:
        head, changed = (
            subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *paths])
        )
    except OSError:
        return "no git here"
    return (head.strip() or "not a checkout") + (" with changes" if changed else "")


def environment(device: str = "cpu") -> dict[str, str]:
    """What a number is made with: commit, torch, hardware, threads. Loads torch."""
    import torch
    from lowerbound import train

    return train.environment(torch.device(device)) | {"commit": commit("lib/lowerbound", "tools")}


@dataclass(frozen=True)
class Job:
    """A file and how it is made.

    compute: () -> numbers, strings, lists and dicts; a function that can be imported, or a partial of one
    key: what determines the result; kind: jobs of one kind take about as long as each other
    """

    path: Path
    compute: Callable[[], Any]
    key: Any
    kind: str = ""

    def stored(self) -> dict[str, Any] | None:
        """The content of its file, if it is done."""
        return stored(self.path, self.key)

    def result(self) -> Any:
        """Its result; does the job if it is not done."""
        return cached(self.path, self.key, self.compute)


class Progress:
    """Says what is done of `jobs`, and about how long the rest takes when `processes` share it."""

    def __init__(
        self, jobs: Iterable[Job], processes: int = 1, say: Callable[[str], object] | None = None
    ) -> None:
        all_jobs = {job.path: job for job in jobs}
        self.total, self.processes = len(all_jobs), processes
        self.say = say or partial(print, flush=True)
        self.waiting: dict[Path, str] = {}  # kinds
        self.seconds: dict[str, list[float]] = {}  # by kind
        for job in all_jobs.values():
            self.waiting[job.path] = job.kind
            self._count(job)
        self.say(f"{self._state()}{self._rest()}")

    def done(self, job: Job) -> None:
        """One more is done."""
        if seconds := self._count(job):
            self.say(f"{self._state()}: {job.path.stem} in {duration(seconds)}{self._rest()}")

    def _count(self, job: Job) -> float | None:
        if job.path not in self.waiting or (content := job.stored()) is None:
            return None
        kind, seconds = self.waiting.pop(job.path), float(content["seconds"])
        self.seconds.setdefault(kind, []).append(seconds)
        return seconds

    def _state(self) -> str:
        return f"{self.total - len(self.waiting)} of {self.total} done"

    def _rest(self) -> str:
        known = [seconds for of_kind in self.seconds.values() for seconds in of_kind]
        if not known or not self.waiting:
            return ""
        work = sum(statistics.fmean(self.seconds.get(kind, known)) for kind in self.waiting.values())
        return f"; the rest takes about {duration(work / min(self.processes, len(self.waiting)))}"


def duration(seconds: float) -> str:
    """Such as "40 s", "12 min" or "3 h 05 min"."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def run(
    jobs: Iterable[Job], processes: int = 1, threads: int = 1, progress: Progress | None = None
) -> list[Any]:
    """Do every job that is not done, `processes` at once, and return the results of all in their order.

    threads: of each process; progress: told of each job, by default one that knows these jobs alone
    Stopped or killed, it leaves whole files and no process, and goes on from there when called again. The
    first error is raised once the jobs that have begun are done; Ctrl-C stops those too. Raises
    ChildProcessError, with the remedy, if a process is killed from outside.
    """
    jobs = list(jobs)
    if processes < 1:
        raise ValueError(f"jobs must be at least 1, got {processes}")
    progress = progress or Progress(jobs, processes)
    waiting = list({job.path: job for job in jobs if job.stored() is None}.values())
    if processes > 1 and waiting:
        _run_in_processes(waiting, processes, threads, progress)
    else:
        limit_threads(threads)
        for job in waiting:
            job.result()
            progress.done(job)
    return [job.result() for job in jobs]


def _run_in_processes(jobs: list[Job], processes: int, threads: int, progress: Progress) -> None:
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)
    futures = {pool.submit(_work, job, threads): job for job in jobs}
    try:
        for future in as_completed(futures):
            future.result()
            progress.done(futures[future])
    except BrokenProcessPool as error:
        remedy = "the same command goes on from what is done; with fewer jobs, if memory was short"
        raise ChildProcessError(f"a process was killed; {remedy}") from error
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a worker: Ctrl-C is the parent's business; when the parent is gone, this process is to end, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def end_with_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # not at once: a training saves its state first

    threading.Thread(target=end_with_parent, daemon=True).start()


def _work(job: Job, threads: int) -> None:
    limit_threads(threads)
    try:
        job.result()
    except KeyboardInterrupt:  # of a training that has saved its state
        os._exit(130)


def limit_threads(count: int) -> None:
    """Give numeric libraries `count` threads, torch if it is loaded, and those that are loaded later."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
