"""The labs in other environments, one session each.

    nox -f tools/reproduce/noxfile.py [-s NAME …] [-- STEM … --repeat N --check --again --keep]

STEM: these notebooks alone, without a record; --check: no record either; --again: run what has passed for the
same files, too; --keep: keep the environment (5 GB), which `nox -R` then takes again.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parents[2]))
from tools import jobs
from tools.reproduce import record, report

BUMP = "bump-my-version==1.8.1"
KEPT = ("torch", "torchvision", "numpy", "ipywidgets")  # what installing the library must leave alone
SHOWN = (*KEPT, "matplotlib", "sympy", "ipython", "ipykernel", "pillow", "scipy", "safetensors", "tqdm")
SOURCE = record.WORK / "source"

nox.options.envdir = str(record.WORK / "environments")
nox.options.error_on_missing_interpreters = False
os.environ.pop("PYTHONPATH", None)
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
os.environ["MPLCONFIGDIR"] = str(record.WORK / "matplotlib")  # its list of fonts is these environments' own
# pyenv's Pythons, the newest of each kind first; the names on the PATH may be its shims, which are not active
pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob("3.*/bin")
newest = sorted(pyenv, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parent.name)], reverse=True)
os.environ["PATH"] = os.pathsep.join([*map(str, newest), os.environ["PATH"]])


def versions(session: nox.Session) -> dict[str, str]:
    """The installed packages, by their names in lower case."""
    listed = ("python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check")
    text = session.run(*listed, silent=True, stderr=subprocess.DEVNULL)
    return {package["name"].lower(): package["version"] for package in json.loads(text)}


def run_lab(session: nox.Session, lab: Path, log: Path) -> tuple[list[report.Cell], float]:
    """One notebook compared with its stored outputs: its cells, and the seconds with kernel start."""
    cells, start = log.with_suffix(".cells.json"), time.monotonic()
    cells.unlink(missing_ok=True)
    command = (
        "python", "-m", "pytest", lab, "-p", "tools.reproduce.cells", f"--cells={cells}", "--nbval",
        "--nbval-current-env", "--nbval-cell-timeout=600", "--nbval-sanitize-with=tests/nbval_sanitize.cfg",
        "-p", "no:cacheprovider",
    )  # fmt: skip
    with log.open("a", encoding="utf-8") as file:
        session.run(*map(str, command), success_codes=range(256), stdout=file, stderr=file)
    if not cells.is_file():
        session.error(f"{lab} could not be run at all; see {log}")
    return json.loads(cells.read_text(encoding="utf-8")), time.monotonic() - start


def run(session: nox.Session, configuration: record.Configuration, options: argparse.Namespace) -> dict:
    """Install what the configuration asks for, and run every notebook `options.repeat` times."""
    log, start = record.WORK / f"{configuration.name}.log", time.monotonic()
    log.unlink(missing_ok=True)
    # the newest setuptools, since torch asks for a newer one than some Pythons bring
    session.install("--upgrade", "pip", "setuptools")
    session.install("--no-cache-dir", *configuration.requirements)
    session.run("python", "-m", "pip", "uninstall", "--yes", "--quiet", "lowerbound")
    before = versions(session)
    session.install("--no-cache-dir", str(SOURCE))
    after, installed = versions(session), time.monotonic() - start
    session.chdir(SOURCE)
    notebooks = [*Path("notebooks").glob("*.ipynb"), *Path("notebooks/assignments").glob("*.ipynb")]
    labs = [lab for lab in sorted(notebooks) if not options.labs or lab.stem in options.labs]
    runs = [{lab.stem: run_lab(session, lab, log) for lab in labs} for _ in range(options.repeat)]
    result = {
        "name": configuration.name,
        "title": configuration.title,
        "python": session.run("python", "-V", silent=True).split()[-1],
        "versions": {name: after[name] for name in SHOWN if name in after},
        "changed_by_install": [
            f"{name} {before[name]} -> {after.get(name)}"
            for name in sorted(before)
            if after.get(name) != before[name]
        ],
        "install_seconds": round(installed),
        **report.summary(runs[0]),
    }
    return result | ({"repeats": report.identical(runs)} if options.repeat > 1 else {})


def labs(session: nox.Session, configuration: record.Configuration) -> None:
    """Run the labs, or say that they have passed for the same files; put what they gave into the record."""
    parser = argparse.ArgumentParser(prog=f"{record.COMMAND} --", description=__doc__)
    parser.add_argument("labs", nargs="*", metavar="STEM")
    parser.add_argument("--repeat", type=int, default=1, choices=range(1, 101), metavar="N")
    for flag in ("--check", "--again", "--keep"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args(session.posargs)
    about = {"files": record.copy(SOURCE), "packages": record.packages(configuration)}
    path, key = record.WORK / f"{configuration.name}.json", {**about, "labs": options.labs}
    result = (jobs.stored(path, key, replace=True) or {}).get("result")
    enough = result and result.get("repeats", {"runs": 1})["runs"] >= options.repeat
    start, folder = time.monotonic(), session.virtualenv.location
    try:
        if enough and not record.bad(result) and not options.again:
            session.log("was run before, for the same files")
        else:
            how = {"commit": jobs.commit(*record.RUN), "measured": time.strftime("%Y-%m-%d")}
            result = about | how | {"machine": report.machine()} | run(session, configuration, options)
            seconds = time.monotonic() - start
            jobs.write(path, {"key": jobs.fingerprint(key), "seconds": seconds, "result": result})
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for cell in result["differences"]:
        session.warn(f"{cell['lab']}, cell {cell['cell']}: {cell['outcome']}, pictures {cell['pictures']}")
        session.warn("\n".join(cell["difference"]))
    session.log(f"{result['equal']} of {result['compared']} compared cells are equal, {result['seconds']} s")
    if not options.check and not options.labs:
        record.gather(result)
    if record.bad(result):
        changed = ", ".join(result["changed_by_install"]) or "nothing"
        session.error(f"the labs differ here; installing the library changed {changed}")


for _configuration in record.configurations().values():
    _session = partial(labs, configuration=_configuration)
    _session.__name__, _session.__doc__ = _configuration.name, _configuration.title
    nox.session(python=_configuration.python, name=_configuration.name)(_session)


@nox.session(default=False)
def bump(session: nox.Session) -> None:
    """The next version, in every file that names it: `-- minor`."""
    session.install(BUMP)
    session.chdir(record.ROOT)
    session.run("bump-my-version", "bump", *session.posargs)
