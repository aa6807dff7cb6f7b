"""Environments of their own: a Python by its version, packages, and the library as a user installs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from matrix.configurations import Configuration

KEPT = ("torch", "torchvision", "numpy", "ipywidgets")  # what installing the library must leave alone
SHOWN = (*KEPT, "matplotlib", "sympy", "ipython", "ipykernel", "pillow", "scipy", "safetensors", "tqdm")


class NotMadeError(Exception):
    """An environment cannot be made; the message names the remedy."""


class NoPythonError(NotMadeError):
    """A Python that it needs is not here."""


def find_python(version: str) -> str:
    """The path of a Python of that version: pythonX.Y on the PATH, or the newest of pyenv's.

    Raises NoPythonError, with the remedy, if there is none.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    patches = pyenv.glob(f"{version}.*/bin/python{version}")
    newest = sorted(patches, key=lambda path: int(path.parts[-3].split(".")[2].split("-")[0]), reverse=True)
    ask = f"import sys; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
    for path in (shutil.which(f"python{version}"), *map(str, newest)):
        if path and subprocess.run([path, "-c", ask], capture_output=True).returncode == 0:
            return path
    raise NoPythonError(f"no Python {version} found; install it, for example with: pyenv install {version}")


def clean(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment variables without those that bring other packages in; one thread for numbers."""
    kept = {key: value for key, value in variables.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return kept | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def call(command: Iterable[str | Path], cwd: Path, log: Path) -> None:
    """Run a command, its output into a file. Raises NotMadeError with the last lines of it."""
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(
            [str(part) for part in command], cwd=cwd, env=clean(os.environ), stdout=file, stderr=file
        )
    if done.returncode:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
        raise NotMadeError(f"{Path(next(iter(command))).name} failed; all of it is in {log}:\n{last}")


def versions(python: Path) -> dict[str, str]:
    """The installed packages of an environment, by their names in lower case."""
    listed = [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    found = subprocess.run(listed, capture_output=True, text=True, check=True, env=clean(os.environ))
    return {package["name"].lower(): package["version"] for package in json.loads(found.stdout)}


def make(configuration: Configuration, folder: Path, source: Path, log: Path) -> tuple[Path, list[str]]:
    """Make the environment in `folder` with the library of `source` in it.

    Returns its Python and what installing the library changed of what was there ("numpy 2.1.3 -> 2.4.6").
    Raises NotMadeError if a Python is missing or pip fails.
    """
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir"]
    wanted = folder / "wanted.txt"
    text = "\n".join(configuration.requirements) + "\n"
    if not wanted.is_file() or wanted.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        # with the newest pip and setuptools, since torch asks for a newer setuptools than some Pythons bring
        call([find_python(configuration.python), "-m", "venv", "--upgrade-deps", folder], source, log)
        asked = folder / "requirements.txt"
        asked.write_text(text, encoding="utf-8")
        call([*pip, "--progress-bar", "off", "-r", asked], source, log)
        asked.rename(wanted)
    call([python, "-m", "pip", "uninstall", "--yes", "--quiet", "lowerbound"], source, log)
    before = versions(python)
    call([*pip, "--progress-bar", "off", source], source, log)
    after = versions(python)
    return python, [
        f"{name} {before[name]} -> {after.get(name)}"
        for name in sorted(before)
        if after.get(name) != before[name]
    ]


def machine() -> str:
    """The machine in neutral words: cores and memory, as this process may use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return f"{sys.platform}, {cores} CPU cores, {memory:.0f} GiB of memory"
