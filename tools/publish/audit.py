"""`python -m tools.publish.audit`: what axe and Lighthouse find on the built book, in results/pages.json.

Both look at every page of both editions: axe at both widths, on the desk in light and in dark; Lighthouse as
on a desk, through npx, which needs Node. As in `make browse`, axe looks into the formulas of one chapter, and
takes those of the other pages, which the same code makes, for boxes. `--times 1` asks Lighthouse once a page.
What was measured of a page is kept in _build/audit until the page is built with other bytes: what was stopped
goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from lowerbound.train import environment
from playwright.sync_api import Browser, Page, sync_playwright

from tools.jobs import cached
from tools.publish.site import (
    EVERY_FORMULA,
    EVERY_PICTURE,
    FLAGS,
    LIGHTENED,
    PAGES,
    ROOT,
    SITE,
    WIDTHS,
    WITH_FORMULAS,
    Visit,
    chromium,
    launch,
    served,
)

LIGHTHOUSE = "lighthouse@12.8.2"  # 13 needs a newer Node
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
TIMES = 3  # runs of Lighthouse for a page, unless said otherwise; the median counts
EDITIONS = ("", "vi/")
EVERY_PAGE = [edition + name for edition in EDITIONS for name in PAGES]
IN_THE_DARK = """() => {
  document.documentElement.dataset.theme = "dark";
  document.getAnimations().forEach(change => change.finish());
}"""


def axe(page: Page, **options: Any) -> dict[str, Any]:
    """What axe finds on a page as it is shown now."""
    response: dict[str, Any] = Axe().run(
        page, context="body", options={"resultTypes": ["violations"], **options}
    ).response
    return response


def visit(browser: Browser, address: str, name: str, width: str) -> dict[str, Any]:
    """Open a page: what goes wrong, what axe says in light and dark, the shift of its load, and the bytes."""
    opened = Visit(browser, WIDTHS[width])
    page = opened.page
    # On a slow machine the network may be idle before anything looks for formulas.
    page.goto(f"{address}/{name}.html", wait_until="load")
    page.wait_for_load_state("networkidle")
    first, shift = opened.transferred, opened.shift()
    page.evaluate(EVERY_FORMULA)
    page.locator("main img").evaluate_all(EVERY_PICTURE)
    figures: dict[str, Any] = {
        "bytes_at_first": first,
        "bytes_with_every_frame": opened.transferred,
        "layout_shift": shift,
        "formulas": page.locator("main mjx-container").count(),
        "pictures": page.locator("main img").count(),
        "moving_figures": page.locator("main .player").count(),
        "faults": len(opened.faults),  # before axe, which asks for files of its own
    }
    for fault in opened.faults:
        print(name, width, fault, file=sys.stderr)
    if name != WITH_FORMULAS:
        page.evaluate(LIGHTENED)
    found = [axe(page)]
    if width == "desk":
        page.evaluate(IN_THE_DARK)
        found.append(axe(page, runOnly=["color-contrast"]))
    opened.context.close()
    violations = [violation for response in found for violation in response["violations"]]
    for violation in violations:
        print(name, width, violation["id"], violation["nodes"][0]["html"][:200], file=sys.stderr)
    figures["axe"] = dict(Counter(violation["impact"] for violation in violations))
    return {**figures, "axe_version": found[0]["testEngine"]["version"]}


def lighthouse(url: str) -> dict[str, Any]:
    """The scores of Lighthouse's desktop preset, 0 to 100. What costs more than a point is printed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "report.json")
        flags = " ".join(["--headless", *FLAGS])
        command = ["npx", "--yes", LIGHTHOUSE, url, "--preset=desktop", "--output=json", "--quiet"]
        command += [f"--output-path={out}", f"--chrome-flags={flags}"]
        command += [f"--only-categories={','.join(CATEGORIES)}"]
        environment = {**os.environ, "CHROME_PATH": chromium() or ""}
        subprocess.run(command, check=True, env=environment, timeout=300)
        report = json.loads(out.read_text(encoding="utf-8"))
    scores = {name: round(100 * report["categories"][name]["score"]) for name in CATEGORIES}
    for name in CATEGORIES:
        short = [ref["id"] for ref in report["categories"][name]["auditRefs"] if ref["weight"] > 0
                 and (report["audits"][ref["id"]]["score"] or 0) < 0.9]  # fmt: skip
        if scores[name] < 99:
            print(url, name, scores[name], ", ".join(short), file=sys.stderr)
    metrics = {
        name.replace("-", "_"): round(report["audits"][name]["numericValue"], 3)
        for name in ("first-contentful-paint", "total-blocking-time", "cumulative-layout-shift")
    }
    return {**scores, **metrics}


def kept(name: str, what: str, version: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` finds on a page as it is built now, or has found, with this version of what it uses."""
    page = hashlib.sha256((SITE / f"{name}.html").read_bytes()).hexdigest()
    path = ROOT / "_build" / "audit" / f"{name.replace('/', '-')}.{what}.json"
    found: dict[str, Any] = cached(path, [page, version], measure, replace=True)
    return found


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def lowest(pages: dict[str, Any]) -> dict[str, float]:
    """The lowest score of all pages, in each category."""
    scored = [page["lighthouse"] for page in pages.values() if "lighthouse" in page]
    return {name: min(scores[name] for scores in scored) for name in CATEGORIES} if scored else {}


def main() -> None:
    """Command line: `python -m tools.publish.audit [--out FILE] [--times N] [--no-lighthouse] [PAGE …]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.audit", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="these alone, such as vi/book/01_elbo")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "pages.json")
    parser.add_argument("--times", type=int, default=TIMES, metavar="N")
    parser.add_argument("--no-lighthouse", action="store_true")
    args = parser.parse_args()
    if not args.no_lighthouse and not shutil.which("npx"):
        parser.error("Lighthouse needs Node's npx; install Node 20, or say --no-lighthouse")
    if unknown := set(args.pages) - set(EVERY_PAGE):
        parser.error(f"no such page: {', '.join(sorted(unknown))}")
    names = args.pages or EVERY_PAGE
    pages: dict[str, Any] = {}
    with served() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for name in names:
            pages[name] = {
                width: kept(name, width, browser.version, partial(visit, browser, address, name, width))
                for width in WIDTHS
            }
            print(name, pages[name], flush=True)
        version = browser.version
        browser.close()
        for name in [] if args.no_lighthouse else names:
            runs = [
                kept(name, f"lighthouse-{i}", LIGHTHOUSE, partial(lighthouse, f"{address}/{name}.html"))
                for i in range(args.times)
            ]
            pages[name]["lighthouse"] = median(runs)
            print(name, pages[name]["lighthouse"], flush=True)
    engines = {pages[name][width].pop("axe_version") for name in names for width in WIDTHS}
    how = {
        "command": " ".join(["python", "-m", "tools.publish.audit", *sys.argv[1:]]),
        "commit": environment()["commit"],
        "chromium": version,
        "axe": ", ".join(sorted(engines)),
        "lighthouse": None if args.no_lighthouse else LIGHTHOUSE.partition("@")[2],
        "lighthouse_runs": None if args.no_lighthouse else args.times,
        "widths": {name: size[0] for name, size in WIDTHS.items()},
    }
    every = [pages[name][width] for name in names for width in WIDTHS]
    impacts: Counter[str] = sum((Counter(figures["axe"]) for figures in every), Counter())
    total = {
        "pages": len(names),
        "faults": sum(figures["faults"] for figures in every),
        "axe_violations": impacts.total(),
        "axe_serious": impacts["serious"] + impacts["critical"],
        "largest_page": max(figures["bytes_with_every_frame"] for figures in every),
        "largest_shift": max(figures["layout_shift"] for figures in every),
        "moving_figures": sum(pages[name]["desk"]["moving_figures"] for name in names),
        "lighthouse_lowest": lowest(pages),
    }
    args.out.write_text(json.dumps({"how": how, "total": total, "pages": pages}, indent=1) + "\n")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
