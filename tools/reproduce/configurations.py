"""What the labs are tried with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PINS = HERE.parent / "requirements.txt"
TOOLS = HERE / "tools.txt"


@dataclass(frozen=True)
class Configuration:
    """An environment.

    python: its version, such as "3.11"; title: for the page
    requirements: what is installed before the library, lines of a requirements file
    """

    name: str
    python: str
    title: str
    requirements: tuple[str, ...]


def lines(file: Path) -> tuple[str, ...]:
    """The packages of a requirements file, without comments and without the library itself."""
    found = (line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in found if line and line[0] not in "#-")


def configurations() -> dict[str, Configuration]:
    """All of them by name, those that CI runs first.

    `py3XX-oldest` has the oldest torch of pyproject.toml, `py3XX-newest` the newest that the ranges and
    that Python admit. The oldest Python has the oldest of everything.
    """
    tools = lines(TOOLS)
    found = [
        Configuration("pins", "3.11", "the pins of requirements.txt", lines(PINS)),
        Configuration("colab", "3.13", "a replica of Colab's runtime", (*lines(HERE / "colab.txt"), *tools)),
    ]
    for python in ("3.10", "3.11", "3.12", "3.13"):
        oldest = lines(HERE / "oldest.txt") if python == "3.10" else ("torch==2.6.0", "torchvision==0.21.0")
        what = "the oldest of every package" if python == "3.10" else "the oldest torch"
        short = f"py{python.replace('.', '')}"
        found += [
            Configuration(f"{short}-oldest", python, what, (*oldest, "ipykernel", *tools)),
            Configuration(f"{short}-newest", python, "the newest of every package", ("ipykernel", *tools)),
        ]
    return {configuration.name: configuration for configuration in found}
