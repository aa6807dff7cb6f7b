"""`python -m tools.publish.audit`: what axe and Lighthouse find on the built book, in results/pages.json.

axe runs on every page at both widths. Lighthouse (desktop) runs on the chapters, through npx; it needs Node.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from lowerbound.train import environment
from playwright.sync_api import Browser, sync_playwright

from tools.publish.site import (
    CHAPTERS,
    EVERY_PICTURE,
    FLAGS,
    PAGES,
    ROOT,
    WIDTHS,
    Visit,
    chromium,
    launch,
    served,
)

LIGHTHOUSE = "lighthouse@12.8.2"  # 13 needs a newer Node
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
TIMES = 3  # runs of Lighthouse for a page; the median counts


def visit(browser: Browser, address: str, name: str, width: str) -> dict[str, Any]:
    """Open a page: what goes wrong, what axe says, and the bytes transferred, at first and in all."""
    opened = Visit(browser, WIDTHS[width])
    opened.page.goto(f"{address}/{name}.html", wait_until="networkidle")
    first = opened.transferred
    opened.open(f"{address}/{name}.html")
    faults = len(opened.faults)  # axe asks for files of its own
    response = Axe().run(opened.page, context="body", options={"resultTypes": ["violations"]}).response
    opened.context.close()
    whole = Visit(browser, WIDTHS[width])
    page = whole.open(f"{address}/{name}.html")
    page.locator("main img").evaluate_all(EVERY_PICTURE)
    figures = {
        "faults": faults + len(whole.faults),
        "axe": dict(Counter(violation["impact"] for violation in response["violations"])),
        "bytes_at_first": first,
        "bytes_with_every_frame": whole.transferred,
        "formulas": page.locator("main mjx-container").count(),
        "pictures": page.locator("main img").count(),
        "moving_figures": page.locator("main .player").count(),
    }
    whole.context.close()
    return {**figures, "axe_version": response["testEngine"]["version"]}


def lighthouse(url: str) -> dict[str, Any]:
    """The scores of Lighthouse's desktop preset, 0 to 100."""
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
    metrics = {
        name.replace("-", "_"): round(report["audits"][name]["numericValue"], 3)
        for name in ("first-contentful-paint", "total-blocking-time", "cumulative-layout-shift")
    }
    return {**scores, **metrics}


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Command line: `python -m tools.publish.audit [--out FILE] [--no-lighthouse]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.audit", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "pages.json")
    parser.add_argument("--no-lighthouse", action="store_true")
    args = parser.parse_args()
    if not args.no_lighthouse and not shutil.which("npx"):
        parser.error("Lighthouse needs Node's npx; install Node 20, or say --no-lighthouse")
    pages: dict[str, Any] = {}
    with served() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for name in PAGES:
            pages[name] = {width: visit(browser, address, name, width) for width in WIDTHS}
            print(name, pages[name], flush=True)
        version = browser.version
        browser.close()
        if not args.no_lighthouse:
            for name in ["book/index", *CHAPTERS]:
                pages[name]["lighthouse"] = median(
                    [lighthouse(f"{address}/{name}.html") for _ in range(TIMES)]
                )
                print(name, pages[name]["lighthouse"], flush=True)
    engines = {pages[name][width].pop("axe_version") for name in PAGES for width in WIDTHS}
    how = {
        "command": " ".join(["python", "-m", "tools.publish.audit", *sys.argv[1:]]),
        "commit": environment()["commit"],
        "chromium": version,
        "axe": ", ".join(sorted(engines)),
        "lighthouse": None if args.no_lighthouse else LIGHTHOUSE.partition("@")[2],
        "lighthouse_runs": TIMES,
        "widths": {name: size[0] for name, size in WIDTHS.items()},
    }
    every = [pages[name][width] for name in PAGES for width in WIDTHS]
    impacts: Counter[str] = sum((Counter(figures["axe"]) for figures in every), Counter())
    total = {
        "pages": len(PAGES),
        "faults": sum(figures["faults"] for figures in every),
        "axe_violations": impacts.total(),
        "axe_serious": impacts["serious"] + impacts["critical"],
        "largest_page": max(figures["bytes_with_every_frame"] for figures in every),
        "moving_figures": sum(pages[name]["desk"]["moving_figures"] for name in PAGES),
    }
    args.out.write_text(json.dumps({"how": how, "total": total, "pages": pages}, indent=1) + "\n")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
