"""`python -m tools.publish.formula_sizes`: measure every formula of both editions, for formula_sizes.json.

The next build keeps that much room for each formula; see book/_ext/formulas.py. A displayed formula is
measured at a desk and on a phone, where it is set anew; one in a line at a desk, for its letters are the same
everywhere. With pages named, those alone are measured, and what was measured on others stays.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tools.publish.site import PAGES, ROOT, WIDTHS, Visit, launch, served

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from formulas import SIZES, key

MEASURE = """() => {
  const pixels = element => parseFloat(getComputedStyle(element).fontSize);
  const size = formula => formula.tagName === "DIV"
    ? formula.getBoundingClientRect().height / pixels(document.documentElement)
    : formula.querySelector("mjx-container").getBoundingClientRect().width / pixels(formula);
  const set = formula => MathJax.startup.document.getMathItemsWithin(formula).map(i => i.math).join(" ");
  const tex = formula => formula.dataset.tex || set(formula);
  document.querySelectorAll("main details").forEach(folded => folded.open = true);
  const typeset = [...document.querySelectorAll("main .math")].filter(f => f.querySelector("mjx-math"));
  return typeset.map(formula => [tex(formula), size(formula), formula.tagName === "DIV"]);
}"""


def measured(browser: Browser, address: str, name: str) -> dict[str, Any]:
    """The sizes of a page's formulas, as formula_sizes.json has them."""
    sizes: dict[str, Any] = {}
    for width, opening in WIDTHS.items():
        visit = Visit(browser, opening)
        page = visit.open(f"{address}/{name}.html")
        found = page.evaluate(MEASURE) if page.locator("main .math").count() else []
        visit.context.close()
        for tex, size, displayed in found:
            if displayed and size:
                heights = sizes.setdefault(key(tex), [0.0] * len(WIDTHS))
                heights[list(WIDTHS).index(width)] = round(size, 2)
            elif size and width == "desk":
                sizes[key(tex)] = round(size, 2)
    return {name: size for name, size in sizes.items() if not isinstance(size, list) or all(size)}


def main() -> None:
    """Command line: `python -m tools.publish.formula_sizes [PAGE …]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.formula_sizes", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="these alone, such as vi/book/01_elbo")
    pages: list[str] = parser.parse_args().pages
    sizes: dict[str, Any] = json.loads(SIZES.read_text()) if pages else {}
    with served() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        every = sorted([*PAGES, *(f"vi/{name}" for name in PAGES)], key=lambda name: "book/0" in name)
        for name in pages or every:  # the chapters last: what a lab shows whole is folded there
            sizes |= measured(browser, address, name)
        browser.close()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(size)}" for name, size in sorted(sizes.items()))
    SIZES.write_text(f"{{\n{lines}\n}}\n")
    print(f"wrote {SIZES}: {len(sizes)} formulas")


if __name__ == "__main__":
    main()
