"""What needs a process of its own: peak memory of a training run, and the time of an import.

`python -m tools.bench.processes memory NAME STEPS BATCH THREADS` prints one measurement as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.bench.settings import Settings

TORCH, DATA = "import torch", "import torchvision.datasets"
IMPORT = "import time; {before}; start = time.perf_counter(); {what}; print(time.perf_counter() - start)"


def resident() -> tuple[float, float]:
    """Memory of this process in MiB, now and at its peak.

    /proc where there is one: ru_maxrss would count what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return peak, peak
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if line.startswith("Vm"))
    now, peak = (int(lines[key].split()[0]) / 2**10 for key in ("VmRSS", "VmHWM"))
    return now, peak


def training(name: str, steps: int, batch: int, threads: int) -> dict[str, float]:
    """Import one library, train as shipped, and read the memory before and after."""
    import torch

    from tools.bench.peers import PEERS

    exec(PEERS[name].imports, {})
    imported, _ = resident()
    from lowerbound import data

    torch.set_num_threads(threads)
    images = data.load("fashion-mnist", "train").x[: 8 * batch]  # few: the data are to count for nobody
    PEERS[name](batch).train(images, steps)
    _, peak = resident()
    return {"peak_mib": peak, "imported_mib": imported, "increment_mib": peak - imported}


def _fresh(arguments: list[str], threads: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def memory(settings: Settings) -> dict[str, Any]:
    """Peak memory of training as shipped: absolute, after the imports, and the difference; in MiB."""
    from tools.bench.peers import PEERS
    from tools.bench.speed import REFERENCE

    sizes = [str(n) for n in (settings.memory_steps, settings.batch, settings.threads)]
    rows: dict[str, Any] = {}
    for name in PEERS:
        runs = [
            json.loads(_fresh(["-m", "tools.bench.processes", "memory", name, *sizes], settings.threads))
            for _ in range(min(3, settings.repeats))
        ]
        rows[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    for row in rows.values():
        row["peak_ratio"] = row["peak_mib"] / rows[REFERENCE]["peak_mib"]
        row["increment_ratio"] = row["increment_mib"] / rows[REFERENCE]["increment_mib"]
    return {"steps": settings.memory_steps, "batch": settings.batch, "models": rows}


def imports(settings: Settings) -> dict[str, Any]:
    """Seconds of torch's import, and of each library's and of torchvision's beyond it: medians."""
    from tools.bench.peers import PEERS

    pythae = "from pythae.models import VAE, VAEConfig; from pythae.trainers import BaseTrainer"
    beyond = {"torchvision": DATA, "pythae": pythae, **{name: peer.imports for name, peer in PEERS.items()}}
    snippets = {"torch": IMPORT.format(before="pass", what=TORCH)}
    snippets |= {name: IMPORT.format(before=TORCH, what=what) for name, what in beyond.items()}
    seconds: dict[str, list[float]] = {name: [] for name in snippets}
    for again in range(settings.repeats + 1):
        for name, code in snippets.items():
            taken = float(_fresh(["-c", code], settings.threads))
            if again:  # the first reads the files from disk
                seconds[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        "repeats": settings.repeats,
        "torch": medians.pop("torch"),
        "beyond_torch": medians,
        "statement": PEERS["lowerbound"].imports,
    }


if __name__ == "__main__":
    print(json.dumps(training(sys.argv[2], *(int(n) for n in sys.argv[3:]))))
