"""A plugin beside nbval (`-p tools.reproduce.cells`): compares pictures too, and accounts for each cell.

nbval compares the text of outputs and leaves out PNG. Here the stored picture and the fresh one must also
look the same, as `tools.reproduce.images` measures it. `--cells=FILE` says what became of each.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import IPyNbCell, NbCellError

from tools.reproduce import TOLERANCE
from tools.reproduce.images import distance

LINES, WIDTH = 12, 200  # of a difference that is reported


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --cells."""
    parser.addoption("--cells", type=Path, metavar="FILE", help="write what became of each cell, as JSON")


def pictures(outputs: Iterable[Any]) -> list[bytes]:
    """The PNG of outputs, in order."""
    return [
        base64.b64decode(output["data"]["image/png"])
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def lines(outputs: Iterable[Any], sanitize: Any = str) -> list[str]:
    """The text of outputs, in order and line by line, as it is compared."""
    lines: list[str] = []
    for output in outputs:
        data = output.get("data", {})
        texts = [data[mime] for mime in sorted(data) if mime.startswith("text/") or mime == "image/svg+xml"]
        for text in [output["text"]] if "text" in output else texts:
            lines += sanitize(text).splitlines()
    return lines


def difference(stored: list[str], fresh: list[str]) -> list[str]:
    """Lines that are not in both, `-` for stored and `+` for fresh, cut to a readable length."""
    lines = [
        line[:WIDTH] for line in difflib.unified_diff(stored, fresh, n=0, lineterm="") if line[:2] != "@@"
    ]
    return lines[2 : 2 + LINES]


def look(stored: Iterable[Any], fresh: Iterable[Any]) -> list[float]:
    """The distance of each stored picture to its fresh one; 1 where one of them is missing."""
    old, new = pictures(stored), pictures(fresh)
    return [*(distance(a, b) for a, b in zip(old, new)), *[1.0] * abs(len(old) - len(new))]  # noqa: B905


def _hash(outputs: list[Any], sanitize: Any) -> str:
    content = json.dumps(lines(outputs, sanitize)).encode() + b"".join(pictures(outputs))
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run a cell, compare its pictures after nbval has compared its text, and note what became of it."""
    if not isinstance(item, IPyNbCell):
        yield
        return
    start, failed = time.monotonic(), None
    compared = bool(item.options["check"] and item.cell.execution_count and item.cell.outputs)
    try:
        yield
    except NbCellError as error:
        failed = "different" if str(error) == "Cell outputs differ" else "error"
        raise
    except pytest.skip.Exception:
        compared = False
        raise
    except BaseException:
        failed = "error"
        raise
    else:
        far = look(item.cell.outputs, item.test_outputs) if compared else []
        if max(far, default=0) > TOLERANCE:
            failed = "different"
            message = ", ".join(f"{value:.3f}" for value in far)
            item.raise_cell_error(f"pictures differ by {message}, more than {TOLERANCE}", "")
    finally:
        stored, fresh = item.cell.outputs, item.test_outputs or []
        about = {
            "lab": Path(item.fspath).stem,
            "cell": item.cell_num,
            "outcome": failed or ("equal" if compared else "run"),
            "pictures": [round(v, 4) for v in look(stored, fresh)] if compared else [],
            "seconds": round(time.monotonic() - start, 2),
            "hash": _hash(fresh, item.sanitize) if compared else "",
        }
        if failed == "different":
            about["difference"] = difference(lines(stored, item.sanitize), lines(fresh, item.sanitize))
        elif failed:
            errors = [f"{o.ename}: {o.evalue}"[:WIDTH] for o in fresh if o.output_type == "error"]
            about["difference"] = errors or ["the kernel stopped or the cell took too long"]
        item.user_properties.append(("cell", about))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how much was compared, and write the file of --cells."""
    reports = [
        report
        for kind in ("passed", "failed", "skipped", "xfailed", "xpassed")
        for report in terminalreporter.stats.get(kind, [])
    ]
    recorded = [value for r in reports for key, value in getattr(r, "user_properties", []) if key == "cell"]
    cells = {(cell["lab"], cell["cell"]): cell for cell in recorded}
    if not cells:
        return
    ordered = [cells[key] for key in sorted(cells)]
    equal = sum(cell["outcome"] == "equal" for cell in ordered)
    compared = sum(cell["outcome"] != "run" for cell in ordered)
    far = [value for cell in ordered for value in cell["pictures"]]
    terminalreporter.write_line(
        f"{len(ordered)} cells ran; {equal} of {compared} with outputs to compare are equal, "
        f"{len(far)} pictures among them, the furthest {max(far, default=0):.3f} apart "
        f"(up to {TOLERANCE} passes)"
    )
    if config.option.cells:
        config.option.cells.write_text(json.dumps(ordered, indent=1, ensure_ascii=False), encoding="utf-8")
