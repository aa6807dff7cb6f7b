"""`python -m matrix.faults`: errors planted in a copy of the library, for the labs' comparison to catch.

A fault changes one piece of text of the library. The lab's cell that should notice is run, and before it
those cells whose names it needs, once on the library as it is, where the cell must agree with what is
stored, and once on the changed copy, where it must not.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.__main__ import RESULTS, ROOT, copy, say, write
from matrix.environments import clean


@dataclass(frozen=True)
class Fault:
    """One error: in `file` of the library, `old` becomes `new`. lab, cell: where it should be noticed."""

    name: str
    lab: str
    cell: int
    file: str
    old: str
    new: str


_TO_FILE = 'fig.savefig(full, format="png", dpi=dpi, metadata={"Software": None})'
_ALPHA_BAR = "return at(alpha_bar.sqrt(), t, x0) * x0 + at((1 - alpha_bar).sqrt(), t, x0) * eps"
_MEAN = "mean = at(coef_x0, t, x0) * x0 + at(coef_xt, t, x0) * xt"
_GREY = 'ax.imshow(page.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")'

FAULTS = (
    Fault("Gaussian without its constant", "01_elbo", 6, "gaussian.py", "+ LOG_2PI)", ")"),
    Fault("log density without its half", "01_elbo", 2, "gaussian.py", "return -0.5 * (squared", "return -1.0 * (squared"),
    Fault("variance taken for the deviation", "02_vae", 4, "gaussian.py", "torch.exp(0.5 * self.logvar)", "torch.exp(self.logvar)"),
    Fault("a term lost in a proof", "01_elbo", 5, "proofs/ch1_elbo.py", '    d.step(_mean(log(p(x))), "$z$ does not occur in it")\n', ""),
    Fault("plot emptied", "01_elbo", 4, "display.py", _TO_FILE, f"[line.remove() for ax in fig.axes for line in ax.get_lines()]; {_TO_FILE}"),
    Fault("colours of a picture in another order", "01_elbo", 4, "display.py", '.convert("RGB")', '.convert("RGB"); picture = Image.merge("RGB", picture.split()[::-1])'),
    Fault("one image of the data replaced", "02_vae", 2, "data.py", 'return _verified(_bundled(split), "subset", split)', 'found = _verified(_bundled(split), "subset", split)\n        found.x[2] = found.x[3]\n        return found'),
    Fault("no noise in the sample", "02_vae", 4, "gaussian.py", "self.std * normal(", "0 * self.std * normal("),
    Fault("KL without its half", "02_vae", 5, "gaussian.py", "return 0.5 * (squared + torch", "return (squared + torch"),
    Fault("KL as a mean over dimensions", "02_vae", 5, "gaussian.py", "- ratio).flatten(1).sum(1)", "- ratio).flatten(1).mean(1)"),
    Fault("axis of a picture dropped", "03_forward", 8, "display.py", _TO_FILE, f"fig.delaxes(fig.axes[-1]); {_TO_FILE}"),
    Fault("greys upside down", "05_comparison", 6, "figures.py", _GREY, _GREY.replace('"gray"', '"gray_r"')),
    Fault("alpha_bar of the step before", "03_forward", 7, "diffusion.py", _ALPHA_BAR, f"t = (t - 1).clamp(min=0); {_ALPHA_BAR}"),
    Fault("noise scaled by its variance", "03_forward", 7, "diffusion.py", "at((1 - alpha_bar).sqrt(), t, x0) * eps", "at(1 - alpha_bar, t, x0) * eps"),
    Fault("noise subtracted", "03_forward", 10, "diffusion.py", "* x0 + at((1 - alpha_bar).sqrt()", "* x0 - at((1 - alpha_bar).sqrt()"),
    Fault("another last beta", "03_forward", 11, "schedule.py", "beta_T: float = 0.02", "beta_T: float = 0.01"),
    Fault("cosine not squared", "03_forward", 9, "schedule.py", "* math.pi / 2) ** 2", "* math.pi / 2)"),
    Fault("a shorter axis of log SNR", "03_forward", 9, "schedule.py", "log_snr_T: float = -6.0", "log_snr_T: float = -5.0"),
    Fault("posterior's coefficients exchanged", "04_reverse", 2, "diffusion.py", _MEAN, "mean = at(coef_xt, t, x0) * x0 + at(coef_x0, t, x0) * xt"),
    Fault("posterior variance by the wrong index", "04_reverse", 3, "schedule.py", "* (1 - a[:-1]) / (1 - a[1:])", "* (1 - a[1:]) / (1 - a[1:])"),
    Fault("KL turned around", "04_reverse", 4, "gaussian.py", "ratio = self.logvar - logvar", "ratio = logvar - self.logvar"),
    Fault("beta without its one", "04_reverse", 5, "schedule.py", "return 1 - self.alpha\n", "return self.alpha\n"),
    Fault("curve left out", "04_reverse", 3, "display.py", _TO_FILE, f"fig.axes[0].get_lines()[0].set_visible(False); {_TO_FILE}"),
    Fault("x0 not divided by its root", "04_reverse", 11, "diffusion.py", "* eps) / at(alpha_bar.sqrt(), t, xt)", "* eps) / at(alpha_bar, t, xt)"),
    Fault("network told another noise level", "04_reverse", 11, "diffusion.py", "level = at(self.schedule.log_snr, t, xt).flatten()", "level = at(self.schedule.log_snr, t - 1, xt).flatten().clamp(max=14)"),
    Fault("pixels scaled by 128", "05_comparison", 4, "data.py", "x.float() / 127.5 - 1", "x.float() / 128 - 1"),
    Fault("another seed", "05_comparison", 6, "noise.py", "    drawn = torch.randn(whole", "    rng = rng and torch.Generator().manual_seed(77)\n    drawn = torch.randn(whole"),
    Fault("bits with the wrong logarithm", "05_comparison", 5, "bound.py", "math.log(2)", "math.log(10)"),
    Fault("images of a grid transposed", "03_forward", 10, "figures.py", "image.transpose(1, 2, 0)", "image.transpose(2, 1, 0)"),
)  # fmt: skip


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
    """The names that a cell makes, and those that it takes over: used on or before the line that makes them."""
    first: dict[type, dict[str, int]] = {ast.Store: {}, ast.Load: {}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and type(node.ctx) in first:
            lines = first[type(node.ctx)]
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    stored, loaded = first[ast.Store], first[ast.Load]
    made = set(stored) | _declared(tree)
    return made, {name for name in loaded if name not in made or loaded[name] <= stored.get(name, 0)}


def _declared(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def shortened(lab: Path, cell: int) -> dict[str, Any]:
    """The notebook with the cells that one cell needs. Only that one is compared."""
    notebook: dict[str, Any] = json.loads(lab.read_text(encoding="utf-8"))
    cells = [one for one in notebook["cells"] if one["cell_type"] == "code"]
    kept = needed(["".join(one["source"]) for one in cells], cell)
    for i in kept[:-1]:
        cells[i]["source"] = ["# NBVAL_IGNORE_OUTPUT\n", *cells[i]["source"]]
    return notebook | {"cells": [cells[i] for i in kept]}


def plant(library: Path, fault: Fault) -> None:
    """Change the text. Raises ValueError if it does not stand there exactly once."""
    path = library / "lowerbound" / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name!r}: {fault.file} has its text {text.count(fault.old)} times; renew it")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")


def look(lab: str, cell: int, fault: Fault | None = None) -> tuple[str, str]:
    """Run a cell with what it needs, with the fault planted or without.

    Returns the outcome ("equal", "different", "error") and where it was seen ("text", "picture").
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "lib", folder / "lib", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "matrix", folder / "matrix", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "results", folder / "results")
        (folder / "notebooks").mkdir()
        path = folder / "notebooks" / f"{lab}.ipynb"
        path.write_text(json.dumps(shortened(ROOT / "notebooks" / path.name, cell)), encoding="utf-8")
        if fault:
            plant(folder / "lib", fault)
        command = [
            sys.executable, "-m", "pytest", path, "-p", "matrix.cells", "--cells=cells.json", "--nbval",
            "--nbval-current-env", "--nbval-cell-timeout=300", "-p", "no:cacheprovider",
            f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}",
        ]  # fmt: skip
        subprocess.run(
            [str(part) for part in command], cwd=folder, capture_output=True,
            env=clean(os.environ) | {"PYTHONPATH": str(folder / "lib"), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        cells = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
    failed = [one for one in cells if one["outcome"] == "error"]
    last = failed[0] if failed else cells[-1]
    return last["outcome"], "text" if last.get("difference") else "picture"


def _tried(fault: Fault, sound: bool) -> dict[str, str]:
    """A row of the report. sound: whether the cell is equal without the fault."""
    outcome, seen = look(fault.lab, fault.cell, fault) if sound else ("it differs without the fault", "")
    caught = {"error": "an error", "different": f"the {seen}"}.get(outcome, f"no: {outcome}")
    say(f"{fault.lab}, cell {fault.cell}: {fault.name}: {caught}")
    where = {"lab": fault.lab, "cell": str(fault.cell), "file": fault.file}
    return {"name": fault.name, **where, "caught": caught}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if a fault is not caught, or if a cell differs without one."""
    parser = argparse.ArgumentParser(prog="python -m matrix.faults", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose name holds these words")
    parser.add_argument("--jobs", type=int, default=2, help="cells at once (2)")
    parser.add_argument("--check", action="store_true", help="write no results file")
    args = parser.parse_args(argv)
    faults = [fault for fault in FAULTS if args.only in fault.name]
    places = sorted({(fault.lab, fault.cell) for fault in faults})
    with ThreadPoolExecutor(args.jobs) as pool:
        outcomes = pool.map(lambda place: look(*place)[0], places)
        sound = {place: outcome == "equal" for place, outcome in zip(places, outcomes, strict=True)}
        found = list(pool.map(lambda fault: _tried(fault, sound[fault.lab, fault.cell]), faults))
    missed = [one["name"] for one in found if one["caught"].startswith("no:")]
    say(f"{len(found) - len(missed)} of {len(found)} planted errors are caught")
    if not args.check and not args.only:
        old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        by = Counter(one["caught"] for one in found)
        with tempfile.TemporaryDirectory() as folder:
            files = copy(Path(folder))
        counts = {"files": files, "planted": len(found), "caught": len(found) - len(missed)}
        counts |= {"in_text": by["the text"], "in_picture": by["the picture"], "by_error": by["an error"]}
        write(
            RESULTS, old | {"faults": {**counts, "labs": len({one["lab"] for one in found}), "list": found}}
        )
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
