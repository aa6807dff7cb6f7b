"""`python -m tools.bench [PART …]`: measure, and write results/performance.json part by part."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from tools.bench.settings import QUICK, Settings, record, versions

PARTS = ("speed", "ablation", "memory", "imports", "quality", "vae")


def _measures(args: argparse.Namespace, settings: Settings) -> dict[str, Callable[[], dict[str, Any]]]:
    from tools.bench import ablation, processes, quality, speed, vae

    return {
        "speed": lambda: speed.measure(settings),
        "ablation": lambda: ablation.measure(settings, not args.no_compile),
        "memory": lambda: processes.memory(settings),
        "imports": lambda: processes.imports(settings),
        "quality": lambda: quality.measure(settings, args.fresh),
        "vae": lambda: vae.measure(settings, args.fresh),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line: `python -m tools.bench [PART …] [--quick] [--rounds N …]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=main.__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--out", type=Path, default=Path("results/performance.json"))
    parser.add_argument("--quick", action="store_true", help="to try the code: minutes, and no real numbers")
    parser.add_argument("--fresh", action="store_true", help="repeat the trainings that are kept in _build")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out of the ablation")
    for field in fields(Settings):
        kind = {"int": int, "float": float}[str(field.type)]
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, help=f"{field.default} by default"
        )
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    settings = QUICK if args.quick else Settings()
    given = {key: value for key in asdict(settings) if (value := getattr(args, key)) is not None}
    settings = replace(settings, **given)
    warnings.filterwarnings("ignore")  # of the peers, about versions of their own dependencies
    measures = _measures(args, settings)
    for part in args.parts or PARTS:
        start = time.monotonic()
        figures = measures[part]()
        threads = 1 if part in ("quality", "vae") else settings.threads
        record(args.out, part, figures, time.monotonic() - start, args.quick, threads, versions())
        print(f"{part}: {time.monotonic() - start:.0f} s, written to {args.out}", flush=True)


if __name__ == "__main__":
    main()
