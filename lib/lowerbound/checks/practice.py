"""A function of numbers that is written in a page, and what its check says of it.

Twelve of the 38 functions of the assignments take numbers and give numbers; the others need torch.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import math
import statistics
import traceback
from types import SimpleNamespace
from typing import Any

from ..symbolic.clock import OutOfTime, time_limit
from .a1_bound import best_encoder, best_guess, coin_bound, coin_gap, deceptive_step, gaussian_bound
from .a3_forward import fixed_point, next_moments
from .a5_comparison import interval, training_cost
from .a6_latent import first_step, weighted_terms
from .engine import Check, CheckError

OF_NUMBERS: tuple[Check, ...] = (
    *(coin_bound, coin_gap, best_guess, gaussian_bound, best_encoder, deceptive_step),
    *(next_moments, fixed_point),
    *(training_cost, interval),
    *(first_step, weighted_terms),
)
SECONDS = 20  # that a function may take at all points together
LETTERS = 10_000  # that it may print
FILE = "<your function>"


class PrintedTooMuch(BaseException):
    """A function that prints in a loop; a check takes any Exception for one of the function's own."""


class _Printed(io.StringIO):
    def write(self, text: str) -> int:
        """Keep a text. Raises PrintedTooMuch where there is no room left."""
        room = LETTERS - self.tell()
        super().write(text[:room])
        if len(text) > room:
            raise PrintedTooMuch
        return len(text)


def judge(name: str, code: str) -> dict[str, Any]:
    """What the check of this name says of a function, a text in Python.

    Returns ok, and message: what a notebook prints. Raises KeyError where there is no such check.
    """
    check = {each.name: each for each in OF_NUMBERS}[name]
    names: dict[str, Any] = {
        "math": math,
        "statistics": statistics,
        "checks": SimpleNamespace(**{each.name: each for each in OF_NUMBERS}),
    }
    printed = _Printed()
    known = dict(vars(math))
    linecache.cache[FILE] = (len(code), None, code.splitlines(True), FILE)
    try:
        with contextlib.redirect_stdout(printed), time_limit(SECONDS):
            exec(compile(code, FILE, "exec"), names)
            if not callable(names.get(name)):
                return {"ok": False, "message": f"There is no function {name} here: keep its name."}
            check(names[name])
    except CheckError as error:
        return {"ok": False, "message": printed.getvalue() + str(error)}
    except OutOfTime:
        return {"ok": False, "message": f"{name} is too slow: it was stopped. Does a loop end?"}
    except PrintedTooMuch:
        return {"ok": False, "message": f"{name} prints more than {LETTERS} letters. Does a loop end?"}
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return {"ok": False, "message": printed.getvalue() + _told(error)}
    finally:
        vars(math).update(known)  # whatever the text has made of it
    return {"ok": True, "message": printed.getvalue()}


def _told(error: BaseException) -> str:
    """An error of the text itself, with the row that it is in."""
    rows = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    row = error.lineno if isinstance(error, SyntaxError) else rows[-1] if rows else None
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, ModuleNotFoundError):
        words = f"there is no {error.name} here, and none is needed: use math"
    return f"{type(error).__name__}{f' in row {row}' if row else ''}{f': {words}' if words else ''}"
