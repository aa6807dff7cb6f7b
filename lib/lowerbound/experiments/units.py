"""Experiments as units: each unit is one JSON file, written when it is done, so that a killed run goes on.

A unit is a function of a `Place` that returns what it measured. Units run in processes of their own, one
thread each, and a unit whose file is there is not run again.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from lowerbound import data
from lowerbound.checkpoint import atomically
from lowerbound.train import environment


@dataclass(frozen=True)
class Place:
    """Where an experiment runs: its folder of units, the data it takes and the device.

    full: all of Fashion-MNIST, or the bundled subset; threads: of each process
    """

    folder: Path
    full: bool = True
    device: str = "cpu"
    threads: int = 1

    def images(self, split: str) -> data.Images:
        """The split, "train" or "test"."""
        return data.load("fashion-mnist", split, full=self.full)

    def rng(self, seed: int) -> torch.Generator:
        """A generator on the device."""
        return torch.Generator(self.device).manual_seed(seed)


@dataclass(frozen=True)
class Unit:
    """One measurement: `run(place)` returns plain numbers, lists and dicts; name: of its file.

    run must be importable by name (a function, or functools.partial of one), since it runs elsewhere.
    """

    name: str
    run: Callable[[Place], dict[str, Any]]


def read(path: Path) -> dict[str, Any]:
    """A JSON file. Raises ValueError, with the remedy, if it is damaged."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise ValueError(f"{path} is damaged; delete it, and the experiment measures it again") from error
    return found


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole, numbers to five significant digits."""
    with atomically(path) as file:
        file.write(f"{json.dumps(rounded(content), indent=1)}\n".encode())


def rounded(value: Any) -> Any:
    """Numbers to five significant digits: more would be noise. Raises ValueError unless they are finite."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a result is {value}; it is not written")
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


def fingerprint(value: Any) -> str:
    """A digest of what is asked for: names of functions, parts of partials and dataclasses."""

    def named(part: Any) -> Any:
        if isinstance(part, partial):
            return [named(part.func), named(part.args), named(part.keywords)]
        if is_dataclass(part):
            return [type(part).__qualname__, {f.name: named(getattr(part, f.name)) for f in fields(part)}]
        if isinstance(part, (list, tuple)):
            return [named(p) for p in part]
        if isinstance(part, dict):
            return {key: named(p) for key, p in part.items()}
        plain = isinstance(part, (str, int, float, bool, type(None)))
        return part if plain else getattr(part, "__qualname__", type(part).__qualname__)

    return hashlib.sha256(json.dumps(named(value), sort_keys=True).encode()).hexdigest()[:16]


def measured(unit: Unit, place: Place) -> dict[str, Any]:
    """What a unit measured: read from its file, or run and written with what it was made with.

    Raises ValueError for a file that is damaged or was measured with other settings.
    """
    path, asked = place.folder / f"{unit.name}.json", fingerprint(unit.run)
    if path.exists():
        found = read(path)
        if found.get("how", {}).get("asked") != asked:
            raise ValueError(f"{path} was measured with other settings; delete it to measure again")
        return found
    torch.set_num_threads(place.threads)
    made_with, began = environment(torch.device(place.device)), (time.monotonic(), time.process_time())
    found = unit.run(place)
    times = {"seconds": time.monotonic() - began[0], "cpu_seconds": time.process_time() - began[1]}
    write(path, {**found, "how": {**made_with, **times, "asked": asked}})
    return read(path)


def _end_with_parent() -> None:
    """Let this process end when the one that started it is killed: it would go on with what is queued."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def run(units: Iterable[Unit], place: Place, jobs: int = 1, progress: bool = True) -> list[dict[str, Any]]:
    """Measure every unit, `jobs` at a time, and return what they measured, in their order.

    Stopped or killed, it leaves whole files, and goes on from them when called again. The first error is
    raised once the units that have begun are done.
    """
    units = list(units)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    if jobs == 1:
        return [measured(unit, place) for unit in tqdm(units, disable=not progress)]
    waiting = [unit for unit in units if not (place.folder / f"{unit.name}.json").exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(measured, unit, place) for unit in waiting]
        try:
            for future in tqdm(as_completed(futures), total=len(futures), disable=not progress):
                future.result()
        except BaseException:
            with suppress(OSError):
                pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [measured(unit, place) for unit in units]
