"""From cells to counts: what a configuration gave, and all of them in one file."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Any

Cell = dict[str, Any]
WORST = 40  # cells of a configuration whose difference is kept


def counts(cells: list[Cell]) -> dict[str, Any]:
    """Of cells: run, compared (those with outputs), equal, different, errors, pictures and the furthest."""
    outcomes = Counter(cell["outcome"] for cell in cells)
    pictures = [value for cell in cells for value in cell["pictures"]]
    return {
        "cells": len(cells),
        "compared": len(cells) - outcomes["run"],
        "equal": outcomes["equal"],
        "different": outcomes["different"],
        "errors": outcomes["error"],
        "pictures": len(pictures),
        "furthest_picture": max(pictures, default=0.0),
    }


def summary(labs: dict[str, tuple[list[Cell], float]]) -> dict[str, Any]:
    """What a run of the labs gave. labs: name -> cells, seconds."""
    cells = [cell for found, _ in labs.values() for cell in found]
    return {
        **counts(cells),
        "seconds": round(sum(seconds for _, seconds in labs.values()), 1),
        "slowest_lab_seconds": round(max((seconds for _, seconds in labs.values()), default=0.0), 1),
        "labs": [
            {"lab": name, **counts(found), "seconds": round(seconds, 1)}
            for name, (found, seconds) in labs.items()
        ],
        "differences": [
            {key: cell[key] for key in ("lab", "cell", "outcome", "pictures", "difference")}
            for cell in cells
            if "difference" in cell
        ][:WORST],
    }


def identical(runs: list[dict[str, tuple[list[Cell], float]]]) -> dict[str, Any]:
    """How many runs gave every compared output of a lab byte for byte as the first run did."""
    labs = []
    for name in runs[0]:
        hashes = [[cell["hash"] for cell in run[name][0]] for run in runs]
        seconds = [run[name][1] for run in runs]
        labs.append({
            "lab": name,
            "identical": sum(one == hashes[0] for one in hashes),
            "equal_to_stored": sum(
                all(cell["outcome"] in ("equal", "run") for cell in run[name][0]) for run in runs
            ),
            "seconds": round(sorted(seconds)[len(seconds) // 2], 1),
        })  # fmt: skip
    return {"runs": len(runs), "identical": min(lab["identical"] for lab in labs), "labs": labs}


def total(configurations: list[dict[str, Any]]) -> dict[str, Any]:
    """All configurations in one row of counts."""
    keys = ("cells", "compared", "equal", "different", "errors", "pictures")
    added = {key: sum(each[key] for each in configurations) for key in keys}
    share = 100 * added["equal"] / added["compared"] if added["compared"] else 0.0
    furthest = max((each["furthest_picture"] for each in configurations), default=0.0)
    return {
        "configurations": len(configurations),
        **added,
        "furthest_picture": furthest,
        "equal_percent": round(share, 2),
    }


def machine() -> str:
    """The machine in neutral words: cores and memory, as this process may use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return f"{sys.platform}, {cores} CPU cores, {memory:.0f} GiB of memory"
