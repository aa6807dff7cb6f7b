"""The numbers that the pages show for what the checks point to, read from the built book."""

from __future__ import annotations

import json
import re

from lowerbound import checks
from lowerbound.checks.places import FILE

from tools.grading.assignment import SOURCES
from tools.publish import address

ROOT = SOURCES.parents[1]
PAGES = ROOT / "_build" / "html" / "book"
SHAPES = (  # how a page shows a number: of an equation, of a theorem or an exercise, of a chapter; a heading
    (r'id="equation-{label}">\s*<span class="eqno">(\([\d.]+\))', "equation {0}", "equation-{label}"),
    (
        r'id="{label}">[^∎]{{0,300}}?<span class="caption-number">([A-Za-z]+ [\d.]+?) ?</span>',
        "{0}",
        "{label}",
    ),
    (r'id="{label}"></span><h1><span class="section-number">(\d+)', "chapter {0}", "{label}"),
    (r'id="{label}"></span><h3>([^<]+)<', "the entry “{0}”", "{label}"),
)


def labels() -> list[str]:
    """All labels that a check names."""
    groups = [*checks.ASSIGNMENTS.values(), *checks.LABS.values()]
    return sorted({check.see for group in groups for check in group})


def read() -> dict[str, list[str]]:
    """From each label to its number and its place, "01_elbo.html#…". ValueError where no page has it."""
    paths = [*sorted(PAGES.glob("0*.html")), PAGES / "clinic.html"]
    pages = {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}
    found = {}
    for label in labels():
        for name, text in pages.items():
            for pattern, words, anchor in SHAPES:
                if match := re.search(pattern.format(label=re.escape(label)), text):
                    number = words.format(match[1] if "entry" in words else match[1].lower())
                    found[label] = [number, f"{name}#{anchor.format(label=label)}"]
    if missing := set(labels()) - set(found):
        raise ValueError(f"no built page shows {', '.join(sorted(missing))}; run `make book`")
    return found


def write() -> None:
    """Store them for the library."""
    stored = {"book": f"{address()}/book", "labels": read()}
    FILE.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
