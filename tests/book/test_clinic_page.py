"""The page “What went wrong?”: each entry whole, each finding of `checkup` explained there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "book" / "clinic.md").read_text(encoding="utf-8")
PARTS = ("How to tell", "Causes, the likeliest first", "Mend", "Read")


def entries(text: str) -> dict[str, str]:
    """The text of each entry, by its label."""
    pieces = re.split(r"^\((clinic-[\w-]+)\)=\n", text.split("\n(sec-clinic-checkup)=")[0], flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def lacks(entry: str) -> list[str]:
    """What an entry does not have."""
    missing = [part for part in PARTS if not re.search(rf"^{part}\n: \S", entry, re.M)]
    missing += [] if entry.startswith("### ") else ["a heading"]
    read = entry.rpartition("Read\n: ")[2]
    missing += [] if re.search(r"\{(ref|eq|numref|prf:ref|py:\w+)\}`", read) else ["a place in the book"]
    words = re.findall(r"^```\{index\} (.+)$", entry, re.M)
    return missing + ([] if words and words[0].count("! ") >= 2 else ["words to find it by"])


@pytest.mark.parametrize("name", entries(TEXT))
def test_an_entry_is_whole(name: str) -> None:
    assert lacks(entries(TEXT)[name]) == []


def test_what_an_entry_lacks_is_found() -> None:
    good = entries(TEXT)["clinic-ema"]
    assert len(lacks(good.replace("Mend\n: ", "Mend\n\n"))) == 1
    assert len(lacks(good.replace("```{index} ! ", "```{index} "))) == 0  # one word less
    assert len(lacks(re.sub(r"```\{index\}.*?```", "", good, flags=re.S))) == 1
    assert len(lacks(re.sub(r"\{py:obj\}`[^`]+`", "nothing", good))) == 1
    assert len(lacks(good.replace("### ", ""))) == 1


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_no_number_stands_alone_at_the_start_of_a_line(page: Path) -> None:
    """Markdown would read the end of a sentence, "it is 7.", as an item of a list without words."""
    assert re.findall(r"^.*\n\s*\d+\.$", page.read_text(encoding="utf-8"), re.M) == []


def test_there_are_the_questions_that_were_asked() -> None:
    assert len(entries(TEXT)) >= 38


def test_every_finding_is_explained() -> None:
    files = ("clinic.py", "findings.py", "checkup_vae.py", "checkup_diffusion.py", "checks/clinic.py")
    code = "".join((ROOT / "lib" / "lowerbound" / name).read_text(encoding="utf-8") for name in files)
    named = set(re.findall(r'"(clinic-[\w-]+)"', code))
    assert len(named) > 15
    assert named - set(entries(TEXT)) == set()


def test_no_two_entries_have_the_same_words() -> None:
    words = re.findall(r"! ([^,`\n]+)", "\n".join(re.findall(r"^```\{index\} (.+)$", TEXT, re.M)))
    assert len(words) == len({word.strip().lower() for word in words}) > 100
