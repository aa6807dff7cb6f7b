"""`lowerbound.checks` as a submission sees it: it has no cases, no answers and no opinion."""

from __future__ import annotations

from typing import Any


class CheckError(AssertionError):
    """For a cell that names it."""


class Check:
    """A self-check in name alone: what a function is worth is found out elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, function: Any) -> None:
        """Say where to look."""
        print(f"{self._name}: checked where the submission does not reach; see its test.")

    def __getattr__(self, attribute: str) -> Any:
        raise AttributeError(f"checks.{self._name}.{attribute} does not exist where submissions are graded")


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return Check(name)
