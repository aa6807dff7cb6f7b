"""`python -m tools.reproduce.faults`: errors planted in a copy of the library, for the labs to notice.

Those of `fault_table.py` that name a lab's cell. The cell that should notice is run, and before it those
whose names it needs, once on the library as it is, where the cell must agree with what is stored, and once on
the changed copy, where it must not.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tools import jobs
from tools.reproduce.fault_table import FAULTS, Fault
from tools.reproduce.record import RESULTS, ROOT, TOOLS, copy, stored

THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def needed(sources: list[str], cell: int) -> list[int]:
    """The cells that `cell` needs, itself last: those before it that make a name which it takes over.

    A cell that draws from the same `rng` counts as one that makes it. What else is changed in place is not
    seen here, but then the cell differs without a fault, and is reported.
    """
    trees = [ast.parse(re.sub(r"^(\s*)%.*", r"\1pass", text, flags=re.M)) for text in sources]
    made, taken = zip(*(_names(tree) for tree in trees), strict=True)
    kept, wanted = [cell], set(taken[cell])
    for i in range(cell - 1, -1, -1):
        if made[i] & wanted or taken[i] & wanted & {"rng"}:
            kept.insert(0, i)
            wanted = (wanted - made[i]) | taken[i]
    return kept


def _names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The names that a cell makes, and those it takes over: used on or before the line that makes them."""
    first: dict[type, dict[str, int]] = {ast.Store: {}, ast.Load: {}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and type(node.ctx) in first:
            lines = first[type(node.ctx)]
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    stored, loaded = first[ast.Store], first[ast.Load]
    made = set(stored) | _declared(tree)
    return made, {name for name in loaded if name not in made or loaded[name] <= stored.get(name, 0)}


def _declared(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def shortened(lab: Path, cell: int) -> dict[str, Any]:
    """The notebook with the cells that one cell needs. Only that one is compared."""
    notebook: dict[str, Any] = json.loads(lab.read_text(encoding="utf-8"))
    cells = [one for one in notebook["cells"] if one["cell_type"] == "code"]
    kept = needed(["".join(one["source"]) for one in cells], cell)
    for i in kept[:-1]:
        cells[i]["source"] = ["# NBVAL_IGNORE_OUTPUT\n", *cells[i]["source"]]
    return notebook | {"cells": [cells[i] for i in kept]}


def look(lab: str, cell: int, fault: Fault | None = None) -> tuple[str, str]:
    """Run a cell with what it needs, with the fault planted or without.

    Returns the outcome ("equal", "different", "error") and where it was seen ("text", "picture").
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lib", "results", "tools/reproduce"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / TOOLS[0], folder / TOOLS[0])
        (folder / "notebooks").mkdir()
        path = folder / "notebooks" / f"{lab}.ipynb"
        path.write_text(json.dumps(shortened(ROOT / "notebooks" / path.name, cell)), encoding="utf-8")
        if fault:
            text = (folder / fault.path).read_text(encoding="utf-8")
            (folder / fault.path).write_text(fault.edited(text), encoding="utf-8")
        command = [
            sys.executable, "-m", "pytest", path, "-p", "tools.reproduce.cells", "--cells=cells.json",
            "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300", "-p", "no:cacheprovider",
            f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}",
        ]  # fmt: skip
        done = subprocess.run(
            [str(part) for part in command], cwd=folder, capture_output=True, text=True,
            env=os.environ | THREADS | {"PYTHONPATH": str(folder / "lib"), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        if not (folder / "cells.json").is_file():
            raise RuntimeError(f"{lab}, cell {cell}, could not be run:\n{(done.stdout + done.stderr)[-800:]}")
        cells = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
    failed = [one for one in cells if one["outcome"] == "error"]
    last = failed[0] if failed else cells[-1]
    return last["outcome"], "text" if last.get("difference") else "picture"


def _tried(fault: Fault, sound: bool) -> dict[str, str]:
    """A row of the report. sound: whether the cell is equal without the fault."""
    lab, _, cell = fault.lab.partition(":")
    outcome, seen = look(lab, int(cell), fault) if sound else ("it differs without the fault", "")
    caught = {"error": "an error", "different": f"the {seen}"}.get(outcome, f"no: {outcome}")
    print(f"{lab}, cell {cell}: {fault.name}: {caught}", flush=True)
    return {"name": fault.name, "lab": lab, "cell": cell, "file": fault.file, "caught": caught}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if a fault is not caught, or if a cell differs without one."""
    parser = argparse.ArgumentParser(prog="python -m tools.reproduce.faults", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="errors whose name holds these words")
    parser.add_argument("--jobs", type=int, default=2, help="cells at once (2)")
    parser.add_argument("--check", action="store_true", help="write no results file")
    args = parser.parse_args(argv)
    faults = [fault for fault in FAULTS if fault.lab and args.only in fault.name]
    cells = sorted({fault.lab for fault in faults})
    with ThreadPoolExecutor(args.jobs) as pool:
        outcomes = pool.map(lambda cell: look(cell.partition(":")[0], int(cell.partition(":")[2]))[0], cells)
        sound = {cell: outcome == "equal" for cell, outcome in zip(cells, outcomes, strict=True)}
        rows = list(pool.map(lambda fault: _tried(fault, sound[fault.lab]), faults))
    by = Counter(row["caught"] for row in rows)
    caught = by["the text"] + by["the picture"] + by["an error"]
    print(f"{caught} of {len(rows)} planted errors are caught")
    if not args.check and not args.only:
        with tempfile.TemporaryDirectory() as folder:
            counts = {"files": copy(Path(folder)), "planted": len(rows), "caught": caught}
        counts |= {"in_text": by["the text"], "in_picture": by["the picture"], "by_error": by["an error"]}
        labs = len({row["lab"] for row in rows})
        jobs.write(RESULTS, stored() | {"faults": {**counts, "labs": labs, "list": rows}})
    return int(caught < len(rows))


if __name__ == "__main__":
    sys.exit(main())
