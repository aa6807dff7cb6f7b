"""The ledger: every numbered equation of the book is printed from a checked object."""

import importlib
import re
import sys
from pathlib import Path

import pytest
from lowerbound import proofs

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
ledger, checked = (importlib.import_module(name) for name in ("ledger", "checked"))

EQUATIONS = list(ledger.equations(ROOT))
PRINTED = [e for e in EQUATIONS if e.proof]
THEOREMS = re.compile(
    r"^`{3,}\{prf:theorem\} (?P<name>.*)\n(?P<rest>(?:.*\n)*?)(?=^`{3,}\{prf:theorem\}|^## |\Z)", re.M
)


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda e: e.label)
def test_every_numbered_equation_is_printed_from_a_proof(equation):
    assert equation.proof in proofs.derivations(), f"{equation.page}: {equation.label} is typed, not printed"
    assert equation.label.startswith("eq-")


def test_labels_are_given_once():
    labels = [e.label for e in EQUATIONS]
    assert len(labels) == len(set(labels))


def test_a_proof_is_printed_in_its_chapter_and_in_full_somewhere():
    pages = {e.proof: set() for e in PRINTED}
    for e in PRINTED:
        pages[e.proof].add(e.page)
    for name, found in pages.items():
        chapter = proofs.derivations()[name]().chapter
        assert {int(page[5:7]) for page in found} == {chapter}, name
    in_full = set()
    for page in ledger.pages(ROOT):
        text = (ROOT / f"{page}.md").read_text()
        in_full |= {m[1] for m in ledger.PRINTED.finditer(text) if ":result:" not in m[2]}
    assert in_full == set(pages)


def test_a_typed_equation_is_found(tmp_path):
    """The walk over the pages sees both ways of typing an equation, and numbered ones alone."""
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text("root: book/index\nchapters:\n- file: book/page\n")
    page = "$$\na\n$$ (eq-dollar)\n\n```{math}\n:label: eq-math\nb\n```\n\n$$\nc\n$$\n\n"
    page += "````{prf:proof}\n```{derivation} elbo\n:label: eq-proof\n```\n````\n"
    (tmp_path / "book" / "page.md").write_text(page)
    (tmp_path / "book" / "index.md").write_text("# Front\n")
    found = {(e.label, e.proof) for e in ledger.equations(tmp_path)}
    assert found == {("eq-dollar", ""), ("eq-math", ""), ("eq-proof", "elbo")}


@pytest.mark.parametrize("page", [p for p in ledger.pages(ROOT) if re.match(r"book/\d\d_", p)])
def test_every_theorem_rests_on_a_derivation(page):
    for theorem in THEOREMS.finditer((ROOT / f"{page}.md").read_text()):
        assert re.search(r"\{derivation\}|\{eq\}", theorem["rest"]), theorem["name"]


@pytest.mark.parametrize("name", proofs.code())
def test_what_a_proof_says_is_its_code_exists(name):
    module, *path = proofs.code()[name].split(".")
    found = importlib.import_module(f"lowerbound.{module}")
    for part in path:
        found = getattr(found, part)
    file, first, last = ledger.source(proofs.code()[name])
    text = "\n".join((ROOT / file).read_text().splitlines()[first - 1 : last])
    assert re.search(rf"^ *def {path[-1]}\(", text, re.M)


@pytest.mark.parametrize("name", proofs.derivations())
def test_the_source_of_every_proof_is_found(name):
    file, first, last = ledger.source(name)
    lines = (ROOT / file).read_text().splitlines()[first - 1 : last]
    assert lines[0].startswith("@derivation(")
    assert any(line.startswith(f"def {name}(") for line in lines)


def test_the_words_for_a_check():
    assert ledger.check(checked.checked("elbo")) == "7 steps: algebra"
    assert ledger.check(checked.checked("forward_step")) == "definition"
    assert ledger.check(checked.checked("skewness_price")) == "1 step: algebra, and 1 axiom"
