"""The text speaks of what is there: notes, figures, counts in the code, letters on the notation page."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import sympy as sp
from lowerbound import proofs
from lowerbound.symbolic import printing
from test_estimates import cells

ROOT = Path(__file__).parents[2]
LABS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "book").glob("*.md"))
CHAPTERS = [path for path in PAGES if re.match(r"\d\d_", path.stem)]


# Notes and figures


@functools.cache
def recorded() -> dict[str, bool]:
    """STEM:key of everything that a lab records; whether it is a figure."""
    return {
        f"{path.stem}:{about['key']}": "alt" in about
        for path in LABS
        for cell in cells(path)
        for output in cell.get("outputs", [])
        for about in [output.get("metadata", {}).get("lowerbound")]
        if about
    }


def absent(text: str, here: dict[str, bool], labels: Iterable[str]) -> list[str]:
    """The notes and figures that a page names and that do not exist."""
    notes = [key.removesuffix(":short") for key in re.findall(r"\{lab\}`([^`]+)`", text)]
    figures = re.findall(r"^`{3,}\{labfigure\} (\S+)", text, re.M)
    named = re.findall(r"\{numref\}`(?:[^`<]*<)?(fig-[\w-]+)>?`", text)
    return (
        [key for key in notes if here.get(key) is not False]
        + [key for key in figures if here.get(key) is not True]
        + [label for label in named if label not in labels]
    )


def labels() -> set[str]:
    return {label for page in PAGES for label in re.findall(r"^:name: (\S+)", page.read_text(), re.M)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_note_and_figure_that_a_page_names_exists(path: Path) -> None:
    assert absent(path.read_text(), recorded(), labels()) == []


def test_a_name_of_nothing_is_found() -> None:
    here = {"02_vae:bits": False, "02_vae:curve": True}
    assert absent("{lab}`02_vae:bits:short` {numref}`fig-a`", here, {"fig-a"}) == []
    assert absent("{lab}`02_vae:bit`", here, ()) == ["02_vae:bit"]
    assert absent("{lab}`02_vae:curve`", here, ()) == ["02_vae:curve"]
    assert absent("```{labfigure} 02_vae:bits\n", here, ()) == ["02_vae:bits"]
    assert absent("{numref}`fig-b`, {numref}`here <fig-c>`", here, {"fig-a"}) == ["fig-b", "fig-c"]


# Counts in a lab's text

SMALL = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
WORDS = {word: n for n, word in enumerate(SMALL, 2)} | {"twenty": 20, "fifty": 50, "hundred": 100}
COUNTED = (
    "steps|images|draws|samples|latents|seeds|values|levels|dimensions|models|points|observations|batches|"
    "epochs|pixels|parameters|noises|directions|frames|networks|codes|classes|posteriors|rounds|runs|states"
)
NUMBER = rf"\d[\d,]*(?:\.\d+)?|(?:{'|'.join(WORDS)})(?: hundred| thousand)?"
COUNT = re.compile(
    rf"\b({NUMBER})\s+(?:(?!and|or|of|the)[\w-]+\s+){{0,2}}?(?:{COUNTED})\b|\bline ({NUMBER})\b", re.I
)


def number(text: str) -> float:
    first, *scale = text.lower().replace(",", "").split()
    return (WORDS[first] if first in WORDS else float(first)) * {"hundred": 100, "thousand": 1000}.get(
        "".join(scale), 1
    )


def folded(text: str) -> str:
    """The text without code, formulas and folded answers."""
    return re.sub(r"<details>.*?</details>|```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", " ", text, flags=re.S)


def constants(code: str) -> set[float]:
    """The numbers in a cell: literals, products and powers of them, lengths of lists."""
    found: set[float] = set()
    for node in ast.walk(ast.parse(re.sub(r"^(\s*)%.*$", r"\1pass", code, flags=re.M))):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            found.add(float(node.value))
        elif isinstance(node, ast.BinOp):
            try:
                found.add(float(eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})))
            except Exception:  # not a number: names, lists
                continue
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            found.add(float(len(node.elts)))
        elif isinstance(node, ast.Dict):
            found.add(float(len(node.keys)))
    return found


def printed(cell: dict[str, Any]) -> set[float]:
    """The numbers in a cell's outputs."""
    texts = [
        "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
        for output in cell.get("outputs", [])
    ]
    return {float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", "\n".join(texts))}


def unfounded(lab: list[dict[str, Any]]) -> list[str]:
    """The counts in a lab's text that neither its section's code has nor that before the first section."""
    shared: set[float] = set()
    section: set[float] = set()
    claims: list[tuple[float, str]] = []
    found: list[str] = []
    first = True

    def settle() -> None:
        found.extend(said for value, said in claims if value not in section | shared)

    for cell in lab:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for part in re.split(r"^(?=## )", text, flags=re.M):
                if part.startswith("## "):
                    settle()
                    if first:
                        shared, first = set(section), False
                    section, claims = set(), []
                claims += [
                    (number(match[1] or match[2]), " ".join(match[0].split()))
                    for match in COUNT.finditer(folded(part))
                ]
        elif text.strip():
            section |= constants(text) | printed(cell)
    settle()
    return found


@pytest.mark.parametrize("path", LABS[:4], ids=lambda path: path.stem)
def test_each_count_in_a_labs_text_is_the_codes(path: Path) -> None:
    assert unfounded(cells(path)) == []


def lab_of(*texts: str) -> list[dict[str, Any]]:
    kinds = {True: "markdown", False: "code"}
    return [
        {"cell_type": kinds[not text.startswith(">")], "source": text.lstrip(">"), "outputs": []}
        for text in texts
    ]


def test_a_count_that_is_not_the_codes_is_found() -> None:
    assert unfounded(lab_of("## A\ntrained for 30 more steps", ">fit(steps=20)")) == ["30 more steps"]
    assert unfounded(lab_of("## A\nNine values of β", ">betas = [1, 2, 4]")) == ["Nine values"]
    assert unfounded(lab_of("## A\nin line 4", ">derivation.change(5, x)", "## B", ">4")) == ["line 4"]
    assert unfounded(lab_of("all 4,000 images", ">data.load(4000)", "## A\nof 4,000 images", ">x")) == []
    assert unfounded(lab_of("## A\ntwo hundred steps, 2 models, `9 seeds`", ">steps = 2 * 100; [a, b]")) == []


# Tables


def uneven(text: str) -> list[str]:
    """The rows with more or fewer cells than the head of their table: a bar in code is written \\\\|."""
    wrong, head = [], 0
    for line in text.splitlines():
        bars = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        head = head if head and bars else bars
        if bars != head:
            wrong.append(line)
    return wrong


def test_each_row_of_a_table_has_a_cell_for_each_column() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "book").glob("*.md")}
    texts |= {
        f"{path.name}, {cell['id']}": "".join(cell["source"])
        for path in LABS
        for cell in cells(path)
        if cell["cell_type"] == "markdown"
    }
    assert {name: rows for name, text in texts.items() if (rows := uneven(text))} == {}
    assert uneven("| a | b |\n| - | - |\n| `p(x | z)` | 1 |") == ["| `p(x | z)` | 1 |"]


# Letters, of chapters 1 to 4; those of chapter 5 belong to the issue on the comparison


def scopes() -> list[tuple[str, str]]:
    """(TeX of a symbol, pattern of the pages where it holds), from the notation page and its extension."""
    text = (ROOT / "book" / "notation.md").read_text()
    found = []
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        title = section.splitlines()[0].strip()
        chapter = re.fullmatch(r"Chapter (\d)", title)
        pattern = f"0{chapter[1]}_" if chapter else r"0[345]_" if title == "Diffusion" else ""
        for term in re.findall(r"^(.*)\n: ", section, re.M):
            for formula in re.findall(r"\$([^$]+)\$", term):
                found += [(tex, pattern) for tex in re.split(r",\s*(?![^(]*\))", formula)]
    return found


def plain(tex: str) -> str:
    """TeX without spaces, braces and fonts, with one name for each letter that has two."""
    tex = tex.replace(r"\epsilon", r"\varepsilon").replace(r"\given", r"\mid")
    tex = re.sub(r"\\(?:mathrm|operatorname|mathcal|mathbf|text)\{([^}]*)\}", r"\1", tex)
    tex = re.sub(r"[{}\s]|\\[,;:!]", "", tex)
    return re.sub(r"_[tsTkmij0-9:+-]+$", "_t", tex)  # an indexed letter is one letter, whatever its index


def letters(name: str) -> set[str]:
    """The letters that a derivation prints, as TeX: its symbols, bound ones and indices left out."""
    d = proofs.derivations()[name]()
    expressions = [step.expr for step in d.steps] + [part for pair in d.given.items() for part in pair]
    found = set()
    for expression in map(sp.sympify, expressions):
        for node in sp.preorder_traversal(expression):
            if isinstance(node, sp.Symbol):
                found.add(plain(printing.latex(node)))
    return found


def defined(page: str) -> set[str]:
    known = {plain(tex) for tex, pattern in scopes() if re.match(pattern, page)}
    return known | {plain(part) for tex in known for part in re.findall(r"\\?[A-Za-z]+(?:_\w)?", tex)}


def derived(page: Path) -> list[str]:
    return re.findall(r"^`{3,}\{derivation\} (\w+)", page.read_text(), re.M)


@pytest.mark.parametrize("page", CHAPTERS[:4], ids=lambda path: path.stem)
def test_each_letter_of_a_derivation_is_on_the_notation_page_for_its_chapter(page: Path) -> None:
    known = defined(page.stem)
    assert {name: missing for name in derived(page) if (missing := sorted(letters(name) - known))} == {}


# Listings

LISTING = re.compile(r"\{literalinclude\} \.\./(\S+)\n(?:.*\n)*?:pyobject: (\S+)")
MARKS = re.compile("[\u0300-\u036f]")  # set on the letter before them, which fonts of programs seldom do


def listed(page: Path) -> dict[str, str]:
    """The source of each object of the library that a page lists, by its name."""
    found = {}
    for file, name in LISTING.findall(page.read_text(encoding="utf-8")):
        text = (ROOT / file).read_text(encoding="utf-8")
        node: Any = ast.parse(text)
        for part in name.split("."):
            node = next(child for child in node.body if getattr(child, "name", "") == part)
        found[name] = ast.get_source_segment(text, node) or ""
    return found


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_listings_have_letters_that_every_font_draws(page: Path) -> None:
    assert [name for name, code in listed(page).items() if MARKS.search(code)] == []


def remarks(program: str) -> list[str]:
    """The comments and docstrings of a program, in which %-lines of a notebook are left out."""
    program = re.sub(r"^(\s*)[%!].*", r"\1pass", program, flags=re.M)
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
    docs = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(program)) if isinstance(node, kinds)]
    tokens = tokenize.generate_tokens(io.StringIO(program).readline)
    return docs + [token.string for token in tokens if token.type == tokenize.COMMENT]


PROGRAMS = [*LABS, *sorted((ROOT / "notebooks" / "assignments").rglob("*.ipynb"))]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_program_says_has_letters_that_every_font_draws(path: Path) -> None:
    programs = ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]
    assert [text for program in programs for text in remarks(program) if MARKS.search(text)] == []
    assert remarks('def f():\n    "ε̂"\n    return 1  # ε̂') == ["", "ε̂", "# ε̂"]


def test_listings_are_found() -> None:
    names = [name for page in CHAPTERS for name in listed(page)]
    assert {"VAE.bound", "Diffusion.loss", "l_simple", "dpm_solver"} <= set(names)
    assert MARKS.search("‖ε − ε̂‖²"), "a letter with a combining hat is found"
