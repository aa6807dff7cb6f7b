"""What the page's engine and Python outside are both asked, and what they say, word for word.

Runs in either, beside `lines.py` of the tests and `problems.json`, the sheets of the page; neither torch nor
the rest of the tools is needed. As a program it answers the questions that come in, a name in each line.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lines import FALSE, TRUE, Honest, attempts
from lowerbound.checks import Check, CheckError
from lowerbound.checks.practice import OF_NUMBERS
from lowerbound.proofs import derivations
from lowerbound.symbolic import Derivation, StepError, latex
from lowerbound.symbolic.messages import coloured
from lowerbound.symbolic.sheet import answer, written


def questions() -> dict[str, Callable[[], Any]]:
    """By name: every derivation as a sheet, and with a slip in its last line; every line of the tests' table;
    the problems of the sheet's page; every function of numbers, right and with its known mistakes.
    """
    library = derivations()
    asked: dict[str, Callable[[], Any]] = {}
    asked |= {f"derivation: {name}": partial(_sheet, name, "") for name in library}
    asked |= {f"slip: {name}": partial(_sheet, name, " + 1") for name in library}
    for group, table in (("false", FALSE), ("true", TRUE)):
        for kind, name, build in attempts(table):
            asked[f"{group}: {kind}: {name}"] = partial(_line, build)
    for name, text in json.loads(Path(__file__).with_name("problems.json").read_text("utf-8")).items():
        asked[f"problem: {name}"] = partial(answer, text, library)
    for check in OF_NUMBERS:
        functions = {"right": check.oracle, **{name: each.of for name, each in check.mistakes.items()}}
        for name, function in functions.items():
            asked[f"function: {check.name}: {name}"] = partial(_function, check, function)
    return asked


def _sheet(name: str, slip: str) -> Any:
    rows = written(derivations()[name]()).split("\n")
    formula, mark, reason = rows[-1].partition("   #")
    if " as " in formula:  # of a limit, the slip is before what it tends to
        formula, way, target = formula.partition(" as ")
        rows[-1] = formula + slip + way + target + mark + reason
    else:
        rows[-1] = formula + slip + mark + reason
    return answer("\n".join(rows), derivations())


def _line(build: Callable[[], Derivation]) -> Any:
    try:
        made = build()
    except StepError as error:
        left = latex(error.residual) if error.residual is not None else ""
        return [error.verdict, coloured(str(error)), left]
    except (ValueError, TypeError, Honest) as error:
        return [type(error).__name__, str(error)]
    return ["accepted", made.latex(), made.how()]


def _function(check: Check, function: Callable[..., Any]) -> Any:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            check(function)
    except CheckError as error:
        return [error.mistake, str(error)]
    return ["right", printed.getvalue()]


def asked(name: str) -> str:
    """The answer to the question of that name, as JSON."""
    return json.dumps(questions()[name](), ensure_ascii=False)


if __name__ == "__main__":
    for row in sys.stdin:
        began = time.perf_counter()
        answered = json.loads(asked(row.rstrip("\n")))
        print(json.dumps({"answer": answered, "seconds": time.perf_counter() - began}), flush=True)
