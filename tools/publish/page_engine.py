"""`python -m tools.publish.page_engine`: the engine in the built pages beside Python outside.

Both are asked the same, and their answers are compared word for word: every derivation of the book, each
again with a slip, every line of the tests' table, the problems to practise, every function of numbers with
its known mistakes. Two cores need half an hour or more; it goes on where it was stopped, and needs Node. Then
a Chromium measures how long a reader waits for the first answer: on a machine that does nothing else. Counts
and seconds go into results/page_engine.json.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tools.jobs import commit, write
from tools.publish.site import FLAGS, ROOT, SITE, chromium, served

ENGINE = SITE / "_static" / "sheet" / "engine"
BESIDE = (ROOT / "tools" / "publish" / "questions.py", ROOT / "tests" / "proofs" / "lines.py")
PROBLEM = re.compile(
    r"^\((problem-[\w-]+)\)=.*?^```\{code-block\} text\n:class: problem\n(.*?)```", re.M | re.S
)
HUNG = 900  # seconds after which a question is given up
OUT = "took more than"  # what the engine says of a line that it had no time for
TIMES = 3  # first answers that are measured; the median counts
PAGE, PROOF = "book/01_elbo.html", "elbo"


def place(folder: Path) -> str:
    """Put what the questions are made from into a folder. Returns a digest of it and of the engine."""
    for file in BESIDE:
        shutil.copy(file, folder)
    problems = dict(PROBLEM.findall((ROOT / "book" / "sheet.md").read_text(encoding="utf-8")))
    (folder / "problems.json").write_text(json.dumps(problems), encoding="utf-8")
    own = sorted(path for path in folder.iterdir() if path.is_file())
    files = [*own, ENGINE / "python.zip", ENGINE / "pyodide-lock.json"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def ask(command: list[str], names: list[str], kept: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """The answers of a process to these questions, by name; those that were kept are not asked again.

    A question that it does not answer in time, or dies of, has the answer None.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    while True:
        rows = (json.loads(row) for row in kept.read_text(encoding="utf-8").splitlines())
        answers = {row.pop("name"): row for row in rows}
        left = [name for name in names if name not in answers]
        if not left:
            return answers
        with kept.open("a", encoding="utf-8") as log:
            for name, row in zip(left, _answers(command, left, **options), strict=False):
                log.write(json.dumps({"name": name, **row}) + "\n")
                log.flush()


def _answers(command: list[str], names: list[str], **options: Any) -> Iterator[dict[str, Any]]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", **options
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in names:
            watch = threading.Timer(HUNG, process.kill)
            watch.start()
            try:
                process.stdin.write(f"{name}\n")
                process.stdin.flush()
                row = process.stdout.readline()
            except BrokenPipeError:
                row = ""
            finally:
                watch.cancel()
            if not row:
                yield {"answer": None, "seconds": HUNG}
                return
            yield json.loads(row)


def compare(page: dict[str, Any], outside: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By kinds of questions: how many were asked and answered alike, and the names of the others."""
    kinds: dict[str, dict[str, Any]] = {}
    for name, answer in outside.items():
        kind = kinds.setdefault(
            name.partition(":")[0], {"asked": 0, "same": 0, "different": [], "out_of_time": []}
        )
        said = [row["answer"] for row in (page[name], answer)]
        late = any(each is None or OUT in json.dumps(each) for each in said)
        kind["asked"] += 1
        if late:
            kind["out_of_time"].append(name)
        elif said[0] == said[1]:
            kind["same"] += 1
        else:
            kind["different"].append(name)
    return kinds


def answers(only: str = "") -> dict[str, Any]:
    """Ask both at once, and compare: all questions, or those whose names begin so."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = ROOT / "_build" / "page_engine" / place(folder)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "lib"), str(folder)])}
        listing = "import questions; print(*questions.questions(), sep='\\n')"
        python = functools.partial(
            subprocess.run, env=environment, check=True, capture_output=True, text=True
        )
        names = python([sys.executable, "-c", listing]).stdout.splitlines()
        names = [name for name in names if name.startswith(only)]
        outside = [sys.executable, str(folder / "questions.py")]
        inside = ["node", str(BESIDE[0].with_suffix(".mjs")), str(ENGINE), str(folder)]
        print(f"{len(names)} questions; the answers are kept in {kept}", flush=True)
        with ThreadPoolExecutor() as both:
            asked = both.submit(ask, outside, names, kept / "python.jsonl", env=environment)
            here = ask(inside, names, kept / "page.jsonl")
            there = asked.result()
        here, there = ({name: rows[name] for name in names} for rows in (here, there))
    kinds = compare(here, there)
    total = {key: sum(kind[key] for kind in kinds.values()) for key in ("asked", "same")}
    total |= {key: sum(len(kind[key]) for kind in kinds.values()) for key in ("different", "out_of_time")}
    seconds = {
        name: sum(row["seconds"] for row in rows.values())
        for name, rows in (("page", here), ("python", there))
    }
    return {"total": total, "kinds": kinds, "seconds": seconds}


def first_answers() -> dict[str, Any]:
    """Seconds from the press of Check to the first answer, with an empty cache and with a full one."""
    runs: dict[str, list[float]] = {"cold": [], "cached": []}
    with served() as address, sync_playwright() as playwright:
        for _ in range(TIMES):
            with tempfile.TemporaryDirectory() as profile:
                for state in runs:
                    context = playwright.chromium.launch_persistent_context(
                        profile, executable_path=chromium(), args=FLAGS
                    )
                    page = context.new_page()
                    page.goto(f"{address}/{PAGE}", wait_until="networkidle")
                    page.locator(f'button[data-proof="{PROOF}"]').first.click()
                    page.locator(".sheet textarea").wait_for()
                    page.locator(".sheet-check").click()
                    page.locator(".sheet-lines").wait_for(timeout=300_000)
                    said = page.locator(".sheet-status").inner_text()
                    match = re.search(r"\(([\d.]+) s\)", said)
                    assert match is not None, said
                    runs[state].append(float(match[1]))
                    context.close()
    load = os.getloadavg()[0]
    size = sum((ENGINE / name).stat().st_size for name in os.listdir(ENGINE)) / 1e6
    return {
        **{f"{state}_runs": seconds for state, seconds in runs.items()},
        **{state: statistics.median(seconds) for state, seconds in runs.items()},
        "proof": PROOF, "megabytes": size, "load": load, "cores": os.cpu_count(),
    }  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.page_engine", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "page_engine.json")
    parser.add_argument("--seconds", action="store_true", help="measure the first answer alone")
    parser.add_argument("--answers", action="store_true", help="compare the answers alone")
    parser.add_argument("--only", metavar="NAMES", help="compare those whose names begin so; keep no result")
    args = parser.parse_args()
    if not ENGINE.is_dir():
        parser.error("the book was built without its engine; install npm, then make book")
    if args.only:
        print(json.dumps(answers(args.only), indent=1, ensure_ascii=False))
        return
    found = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    lock = json.loads((ENGINE / "pyodide-lock.json").read_text(encoding="utf-8"))["info"]
    built = json.loads((ENGINE / "engine.json").read_text(encoding="utf-8"))
    how = {
        "command": "python -m tools.publish.page_engine", "commit": commit("lib/lowerbound", "tools", "book"),
        "page": f"Python {lock['python']} in Pyodide", "python": platform.python_version(),
        "sympy": version("sympy"), "machine": platform.machine(), "engine": built["fingerprint"],
    }  # fmt: skip
    if not args.seconds:
        found |= {"how": how, "answers": answers()}
        write(args.out, found)
        print(json.dumps(found["answers"], indent=1, ensure_ascii=False))
    if not args.answers:
        found["first_answer"] = {"commit": how["commit"], **first_answers()}
        write(args.out, found)
        print(json.dumps(found["first_answer"]))


if __name__ == "__main__":
    main()
