"""The built book in a browser: served as GitHub Pages serves it, printed to PDF, and audited."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def address() -> str:
    """Where the book is published, as `_config.yml` says."""
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    base = re.search(r'^  baseurl: "?(http[^"\s]+)', config, re.M)
    if base:
        return base[1].rstrip("/")
    owner, name = re.findall(r"^  url: https://github\.com/([^/\s]+)/([^/\s]+)", config, re.M)[0]
    return f"https://{owner}.github.io/{name}"
