"""While a graded function runs, the library answers nothing: what is asked for is not to be had from it.

Its functions get other code for that time, so a reference that was taken before leads nowhere either. Only
`lowerbound.symbolic`, in which proofs are written, stays as it is. Code that a student has copied is theirs.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import lowerbound

LIBRARY = f"{Path(lowerbound.__file__).parent}{os.sep}"
OPEN = f"{LIBRARY}symbolic{os.sep}"
SAYS = "write it yourself: while a function is graded, the library answers nothing"
STUB = """
def outer():
    {names} = None
    def closed(*args, **kwargs):
        {read}
        raise RuntimeError({says!r})
    return closed
"""


@contextlib.contextmanager
def library() -> Iterator[None]:
    """A context in which the library's functions raise, and no further part of it is imported."""
    functions = [f for f in gc.get_objects() if type(f) is FunctionType and _ours(f.__code__)]
    kept = [(f, f.__code__) for f in functions]
    finder = _Closed()
    sys.meta_path.insert(0, finder)
    try:
        for function, code in kept:
            function.__code__ = _stub(len(code.co_freevars))
        yield
    finally:
        for function, code in kept:
            function.__code__ = code
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)


class _Closed:
    """Refuses to import the library's modules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith("lowerbound.") and not name.startswith("lowerbound.symbolic"):
            raise ImportError(SAYS)


def _ours(code: CodeType) -> bool:
    return code.co_filename.startswith(LIBRARY) and not code.co_filename.startswith(OPEN)


STUBS: dict[int, CodeType] = {}


def _stub(free: int) -> CodeType:
    """Code that raises, for a function with so many variables from around it."""
    if free not in STUBS:
        names = [f"v{i}" for i in range(free)] or ["_"]
        text = STUB.format(names=" = ".join(names), read=", ".join(names) if free else "pass", says=SAYS)
        made: dict[str, Any] = {}
        exec(text, made)
        STUBS[free] = made["outer"]().__code__
    return STUBS[free]
