"""In which environments the labs are run, on which files, and what is recorded of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import tomllib

from tools import jobs
from tools.reproduce import TOLERANCE, report

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tools" / "reproduce"
WORK = ROOT / "_build" / "reproduce"
RESULTS = ROOT / "results" / "reproducibility.json"
COMMAND = "nox -f tools/reproduce/noxfile.py"
with (ROOT / "pyproject.toml").open("rb") as _file:
    _PACKAGED = tomllib.load(_file)["tool"]["setuptools"]["package-data"]
DRAWN = tuple(f"results/{name}" for name in _PACKAGED["lowerbound.stored"])  # what an installed library holds
TOOLS = ("tools/__init__.py", "tools/reproduce")
RUN = ("lib", "notebooks", *TOOLS, *DRAWN, "tests/nbval_sanitize.cfg", "pyproject.toml", "README.md")
COMPARE = tuple(f"tools/reproduce/{name}.py" for name in ("__init__", "cells", "images"))


@dataclass(frozen=True)
class Configuration:
    """An environment: its Python, such as "3.11", what is installed before the library, and a title."""

    name: str
    python: str
    title: str
    requirements: tuple[str, ...]


def lines(file: Path) -> tuple[str, ...]:
    """The packages of a requirements file and those it includes, without comments or the library itself."""
    texts = [line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    included = (lines(file.parent / text[3:]) for text in texts if text.startswith("-r "))
    return (*chain.from_iterable(included), *(text for text in texts if text and text[0] not in "#-"))


def configurations() -> dict[str, Configuration]:
    """All of them by name, those that CI runs first.

    `py3XX-oldest` has the oldest torch of pyproject.toml, `py3XX-newest` the newest that the ranges and
    that Python admit. The oldest Python has the oldest of everything.
    """
    tools = lines(HERE / "tools.txt")

    def each() -> Iterator[Configuration]:
        yield Configuration("pins", "3.11", "the pins of requirements.txt", lines(ROOT / "requirements.txt"))
        colab = (*lines(HERE / "colab.txt"), *tools)
        yield Configuration("colab", "3.13", "a replica of Colab's runtime", colab)
        for python in ("3.10", "3.11", "3.12", "3.13"):
            first, short = python == "3.10", f"py{python.replace('.', '')}"
            oldest = lines(HERE / "oldest.txt") if first else ("torch==2.6.0", "torchvision==0.21.0")
            title = "the oldest of every package" if first else "the oldest torch"
            yield Configuration(f"{short}-oldest", python, title, (*oldest, "ipykernel", *tools))
            newest = "the newest of every package"
            yield Configuration(f"{short}-newest", python, newest, ("ipykernel", *tools))

    return {configuration.name: configuration for configuration in each()}


def copy(folder: Path) -> str:
    """Copy what a user would clone, without what git ignores.

    Returns a fingerprint of what can change a result: what is run, and what compares. Raises RuntimeError
    outside a git checkout.
    """
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *RUN, "LICENSE*"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"git failed ({done.stderr.strip()}); run this in a git checkout")
    shutil.rmtree(folder, ignore_errors=True)
    digest = hashlib.sha256()
    for name in sorted(done.stdout.splitlines()):
        if not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
        if name in COMPARE or not name.startswith(("tools/", "README")):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


def packages(configuration: Configuration) -> str:
    """A fingerprint of a configuration: its Python and the packages that are asked for."""
    return jobs.fingerprint([configuration.python, configuration.requirements])


def stored() -> dict[str, Any]:
    """The results file; empty if there is none."""
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    return content


def of(result: dict[str, Any], files: str, configuration: Configuration) -> bool:
    """Whether a result was made with these files and with the packages that are asked for now."""
    return (result.get("files"), result.get("packages")) == (files, packages(configuration))


def bad(result: dict[str, Any]) -> bool:
    """Whether anything differs, fails, or was replaced by installing the library."""
    repeats = result.get("repeats", {"runs": 1, "identical": 1})
    return bool(
        result["equal"] < result["compared"]
        or not result["compared"]
        or result["changed_by_install"]
        or repeats["identical"] < repeats["runs"]
    )


def gather(result: dict[str, Any]) -> None:
    """Put what a configuration gave into the results file, beside those that were run for the same files.

    Those that ask for other packages by now are left out, too. Repeats stay when it is run once more.
    """
    old, known = stored(), configurations()
    kept = {
        name: one
        for name, one in old.get("configurations", {}).items()
        if name in known and of(one, result["files"], known[name])
    }
    kept[result["name"]] = kept.get(result["name"], {}) | result
    ordered = {name: kept[name] for name in known if name in kept}
    new = {"how": {"command": COMMAND, "tolerance": TOLERANCE}, "total": report.total(list(ordered.values()))}
    jobs.write(RESULTS, old | new | {"configurations": ordered})


def missing(files: str) -> list[str]:
    """What the record does not show of the labs in these files: a command for each. See `copy`."""
    known, records = configurations(), stored().get("configurations", {})
    passed = {
        name
        for name in known.keys() & records.keys()
        if of(records[name], files, known[name]) and not bad(records[name])
    }
    commands = [f"{COMMAND} -s {name}" for name in known if name not in passed]
    if "pins" not in passed or "repeats" not in records["pins"]:
        commands.append(f"{COMMAND} -s pins -- --repeat 10")
    faults = stored().get("faults", {})
    if faults.get("files") != files or faults["caught"] < faults["planted"]:
        commands.append("python -m tools.reproduce.faults")
    return commands
