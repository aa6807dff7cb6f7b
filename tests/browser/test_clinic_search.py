"""The site's search finds a symptom in the words that people use: its entry among the first three results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tools.publish.site import ROOT, WIDTHS, Visit

TEXT = (ROOT / "book" / "clinic.md").read_text(encoding="utf-8")
# Words as they stand in the titles of public threads, beside the headings and index words of the page itself.
THREADS = {
    "KL_loss becomes zero": "clinic-kl-zero",
    "loss is negative": "clinic-negative-loss",
    "samples are grey": "clinic-grey",
    "black samples": "clinic-black",
    "samples are noise": "clinic-noise",
    "all the same": "clinic-same",
    "blurry": "clinic-blurry",
    "training images come back": "clinic-memorised",
    "loss does not fall": "clinic-loss-flat",
    "NaN in the cosine schedule": "clinic-cosine-nan",
    "DDIM starts at the wrong step": "clinic-ddim-start",
    "w or 1 + w": "clinic-guidance",
    "FID does not match": "clinic-fid",
    "EMA samples are noise": "clinic-ema",
    "scaling factor 0.18215": "clinic-latent",
    "kld_weight": "clinic-beta",
    "reparameterization trick": "clinic-reparameterise",
    "bits per dim": "clinic-bits",
}
# Other words in any order.
LOOSE = (
    "vae kl zero",
    "negative vae loss",
    "diffusion grey dark samples",
    "cosine schedule nan",
    "ema decay random weights",
    "ddim timesteps first step",
    "guidance scale convention",
    "fid resized images",
    "nearest training image copies",
    "exp logvar overflow",
)
FIRST = "query => findSections(query).slice(0, 3).map(found => found.uri.replace('.html', '').split('#'))"


def phrases(text: str) -> dict[str, str]:
    """Each heading and each index word of an entry, and the entry's label."""
    found = {}
    pieces = re.split(r"^\((clinic-[\w-]+)\)=\n### (.+)\n", text, flags=re.M)
    for label, heading, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        found[re.sub(r"[,?:]", "", heading)] = label
        for line in re.findall(r"^```\{index\} (.+)$", body, re.M):
            found |= {word.strip(" ,"): label for word in line.split("! ") if word.strip()}
    return found


@pytest.fixture(scope="module")
def search(chromium: Browser, address: str) -> Iterator[Page]:
    visit = Visit(chromium, WIDTHS["desk"])
    page = visit.open(f"{address}/search.html?q=loss")
    page.locator("#search-results li a").first.wait_for()
    yield page
    assert visit.faults == []
    visit.context.close()


@pytest.fixture(scope="module")
def places() -> dict[str, str]:
    """The entry in which an anchor of the built page stands."""
    built = (ROOT / "_build" / "html" / "book" / "clinic.html").read_text(encoding="utf-8")
    entry, found = "", {}
    for anchor in re.findall(r'\bid="([^"]+)"', built):
        entry = anchor if anchor.startswith("clinic-") else entry
        found[anchor] = entry
    # the section's own id stands before that of its label
    return found | {
        section: label
        for section, label in re.findall(r'<section id="([^"]+)">\s*<span id="(clinic-[^"]+)"', built)
    }


def found_first(page: Page, query: str, places: dict[str, str]) -> list[Any]:
    """The entries, or pages, of the first three results."""
    return [
        places.get(anchor[0], name) if name == "book/clinic" and anchor else name
        for name, *anchor in page.evaluate(FIRST, query)
    ]


def test_the_words_of_an_entry_lead_to_it(search: Page, places: dict[str, str]) -> None:
    words = phrases(TEXT)
    assert len(words) > 150
    lost = {
        query: found
        for query, label in words.items()
        if label not in (found := found_first(search, query, places))
    }
    assert lost == {}


def test_the_words_of_threads_lead_to_the_entry(search: Page, places: dict[str, str]) -> None:
    lost = {
        query: found
        for query, label in THREADS.items()
        if label not in (found := found_first(search, query.replace("_", " "), places))
        and label not in found_first(search, query, places)
    }
    assert lost == {}


def test_most_other_words_lead_to_the_page(search: Page, places: dict[str, str]) -> None:
    lost = [
        query
        for query in LOOSE
        if not any("clinic" in str(found) for found in found_first(search, query, places))
    ]
    assert len(lost) <= 3, lost


def test_a_word_of_nothing_leads_nowhere(search: Page, places: dict[str, str]) -> None:
    assert found_first(search, "zygomorphic flowers", places) == []
