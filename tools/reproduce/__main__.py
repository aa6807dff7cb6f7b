"""`python -m matrix [CONFIGURATION …]`: run the labs where they are to run, and write down what they gave.

Needs no package beyond Python's own. A configuration that gave no difference for the same files is not run
again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from matrix import TOLERANCE, environments, report
from matrix.configurations import Configuration, configurations
from matrix.environments import NoPythonError, NotMadeError

ROOT = Path(__file__).parents[1]
WORK = ROOT / "_build" / "matrix"
RESULTS = ROOT / "results" / "reproducibility.json"
DRAWN = tuple(f"results/{name}.json" for name in ("races", "shipped", "sweep", "codes", "reverse_step"))
RUN = ("lib", "matrix", "notebooks", *DRAWN, "tests/nbval_sanitize.cfg", "pyproject.toml", "README.md")
COMPARE = tuple(f"matrix/{name}.py" for name in ("__init__", "cells", "images"))


def git(*command: str) -> list[str]:
    """Lines that git prints. Raises NotMadeError outside a checkout."""
    done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise NotMadeError(f"git {command[0]} failed ({done.stderr.strip()}); run this in a git checkout")
    return done.stdout.splitlines()


def commit() -> str:
    """The commit, and whether what is run differs from it."""
    changed = git("status", "--porcelain", "--", *RUN)
    return git("rev-parse", "HEAD")[0] + (" with changes" if changed else "")


def copy(folder: Path) -> str:
    """Copy what a user would clone, without what git ignores.

    Returns a fingerprint of what can change a result: what is run, and what compares.
    """
    shutil.rmtree(folder, ignore_errors=True)
    digest = hashlib.sha256()
    for name in sorted(git("ls-files", "--cached", "--others", "--exclude-standard", "--", *RUN, "LICENSE*")):
        if not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
        if name in COMPARE or not name.startswith(("matrix/", "README")):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


def packages(what: Configuration) -> str:
    """A fingerprint of a configuration: its Python and the packages that are asked for."""
    return hashlib.sha256(json.dumps([what.python, what.requirements]).encode()).hexdigest()[:12]


def of(record: dict[str, Any]) -> tuple[str | None, str | None]:
    """The fingerprints of what a record was made with: files, packages."""
    return record.get("files"), record.get("packages")


def labs(source: Path, only: list[str]) -> list[Path]:
    """The notebooks to run, relative to the copy: labs and, where there are any, assignments."""
    found = [*source.glob("notebooks/*.ipynb"), *source.glob("notebooks/assignments/*.ipynb")]
    return [path.relative_to(source) for path in sorted(found) if not only or path.stem in only]


def run_lab(python: Path, source: Path, lab: Path, log: Path) -> tuple[list[report.Cell], float]:
    """One notebook compared with its stored outputs: its cells, and the seconds with kernel start."""
    cells = log.with_suffix(".cells.json")
    cells.unlink(missing_ok=True)
    command = [
        python, "-m", "pytest", lab, "-p", "matrix.cells", f"--cells={cells}", "--nbval",
        "--nbval-current-env", "--nbval-cell-timeout=600", "--nbval-sanitize-with=tests/nbval_sanitize.cfg",
        "-p", "no:cacheprovider",
    ]  # fmt: skip
    start = time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        subprocess.run(
            [str(part) for part in command], cwd=source, stdout=file, stderr=file,
            env=environments.clean(os.environ),
        )  # fmt: skip
    if not cells.is_file():
        raise NotMadeError(f"{lab} could not be run at all; see {log}")
    return json.loads(cells.read_text(encoding="utf-8")), time.monotonic() - start


def run(what: Configuration, args: argparse.Namespace, source: Path) -> dict[str, Any]:
    """Make the environment, run every notebook in it `args.repeat` times, and remove it again."""
    folder, log = WORK / "environments" / what.name, WORK / f"{what.name}.log"
    log.unlink(missing_ok=True)
    start = time.monotonic()
    try:
        python, changed = environments.make(what, folder, source, log)
        installed = time.monotonic() - start
        say(f"{what.name}: environment in {installed:.0f} s; installing the library changed: "
            f"{', '.join(changed) or 'nothing'}")  # fmt: skip
        runs = []
        for _ in range(args.repeat):
            found = {}
            for lab in labs(source, args.labs):
                found[lab.stem] = run_lab(python, source, lab, log)
                outcome = report.counts(found[lab.stem][0])
                say(f"{what.name}: {lab.stem} in {found[lab.stem][1]:.0f} s, equal "
                    f"{outcome['equal']} of {outcome['compared']}, errors {outcome['errors']}")  # fmt: skip
            runs.append(found)
        has = environments.versions(python)
        exact = subprocess.run([str(python), "-V"], capture_output=True, text=True).stdout.split()[-1]
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    result = {
        "name": what.name,
        "title": what.title,
        "python": exact,
        "versions": {name: has[name] for name in environments.SHOWN if name in has},
        "changed_by_install": changed,
        "install_seconds": round(installed),
        **report.summary(runs[0]),
    }
    return result | ({"repeats": report.identical(runs)} if args.repeat > 1 else {})


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def write(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def bad(found: dict[str, Any]) -> bool:
    """Whether anything differs, fails, or was replaced by installing the library."""
    repeats = found.get("repeats", {"runs": 1, "identical": 1})
    return bool(
        found["equal"] < found["compared"]
        or not found["compared"]
        or found["changed_by_install"]
        or repeats["identical"] < repeats["runs"]
    )


def main(argv: list[str] | None = None) -> int:
    """Command line; returns 1 if a lab differs anywhere, 2 if an environment could not be made."""
    known = configurations()
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CONFIGURATION", help=f"of {', '.join(known)}")
    parser.add_argument(
        "--labs",
        nargs="*",
        default=[],
        metavar="STEM",
        help="these notebooks alone; no results file is written",
    )
    parser.add_argument("--repeat", type=int, default=1, help="run every notebook so many times")
    parser.add_argument("--keep", action="store_true", help="keep the environments (5 GB each)")
    parser.add_argument("--again", action="store_true", help="run what was run before, too")
    parser.add_argument("--check", action="store_true", help="write no results file")
    parser.add_argument("--optional", action="store_true", help="skip what needs a Python that is not here")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(known):
        parser.error(f"no configuration {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if args.repeat < 1:
        parser.error("--repeat must be at least 1")
    failed = made = 0
    for name in args.names or known:
        try:
            fingerprint = copy(WORK / "source")
            about = {"files": fingerprint, "packages": packages(known[name])}
            asked = {"labs": args.labs, **about}
            path = WORK / f"{name}.json"
            old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            enough = old.get("repeats", {"runs": 1})["runs"] >= args.repeat
            if old.get("asked") == asked and enough and not bad(old) and not args.again:
                found = {key: value for key, value in old.items() if key != "asked"}
                say(f"{name}: was run before, for the same files")
            else:
                about |= {
                    "commit": commit(),
                    "measured": time.strftime("%Y-%m-%d"),
                    "machine": environments.machine(),
                }
                found = about | run(known[name], args, WORK / "source")
                write(path, {"asked": asked} | found)
        except NotMadeError as error:
            skipped = args.optional and isinstance(error, NoPythonError)
            say(f"{name}: {'skipped, ' if skipped else ''}{error}")
            made = made if skipped else 2
            continue
        for cell in found["differences"]:
            say(f"  {cell['lab']}, cell {cell['cell']}: {cell['outcome']}, pictures {cell['pictures']}")
            say("\n".join(f"    {line}" for line in cell["difference"]))
        failed |= bad(found)
        say(f"{name}: {found['equal']} of {found['compared']} compared cells are equal, {found['seconds']} s")
        if not args.check and not args.labs:
            gather(found, known)
    return made or int(failed)


def gather(found: dict[str, Any], known: dict[str, Configuration]) -> None:
    """Put what a configuration gave into the results file, beside those that were run for the same files.

    Those that ask for other packages by now are left out, too. Repeats stay when it is run once more.
    """
    old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    kept = {
        name: one
        for name, one in old.get("configurations", {}).items()
        if name in known and of(one) == (found["files"], packages(known[name]))
    }
    kept[found["name"]] = kept.get(found["name"], {}) | found
    ordered = {name: kept[name] for name in known if name in kept}
    new = {
        "how": {"command": "make matrix", "tolerance": TOLERANCE},
        "total": report.total(list(ordered.values())),
    }
    write(RESULTS, old | new | {"configurations": ordered})


if __name__ == "__main__":
    sys.exit(main())
