"""`python -m tools.publish.formula_sizes`: measure every formula of both editions, for formula_sizes.json.

The next build keeps that much room for each formula; see book/_ext/formulas.py. With pages named, those alone
are measured, and what was measured on others stays.
"""

from __future__ import annotations

import argparse
import json
import sys

from playwright.sync_api import sync_playwright

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
  return typeset.map(formula => [tex(formula), size(formula)]);
}"""


def main() -> None:
    """Command line: `python -m tools.publish.formula_sizes [PAGE …]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.formula_sizes", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="these alone, such as vi/book/01_elbo")
    pages: list[str] = parser.parse_args().pages
    sizes: dict[str, float] = json.loads(SIZES.read_text()) if pages else {}
    with served() as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for name in pages or [*PAGES, *(f"vi/{name}" for name in PAGES)]:
            visit = Visit(browser, WIDTHS["desk"])
            page = visit.open(f"{address}/{name}.html")
            if page.locator("main .math").count():
                sizes |= {key(tex): round(size, 2) for tex, size in page.evaluate(MEASURE) if size}
            visit.context.close()
        browser.close()
    SIZES.write_text(json.dumps(dict(sorted(sizes.items())), indent=0) + "\n")
    print(f"wrote {SIZES}: {len(sizes)} formulas")


if __name__ == "__main__":
    main()
