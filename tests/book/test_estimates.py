"""Estimates in the text carry how many and how sure.

What a lab notes is followed back to where it comes from. If that is random draws, images or a trained
model, it is an estimate, and `figures.note` must be given n and error, or say why it is none.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LABS = sorted(path for path in (ROOT / "notebooks").glob("*.ipynb") if not path.stem.startswith("05"))
# Lab 5 reads its numbers from results/, where tools.experiments reports each with its seeds and errors.
PAGES = sorted((ROOT / "book").glob("*.md"))
SOURCES = re.compile(
    r"\.sample$|^(torch|np\.random)\.(randn?|randint|randperm|Generator|manual_seed|default_rng|normal)$"
    r"|\bdata\.load$|\bzoo\.load$|(^|\.)fit$|\bruntime\.train$"
)


@functools.cache
def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def code_of(path: Path) -> str:
    """The code of a lab without its magics."""
    code = ["".join(cell["source"]) for cell in cells(path)[1:] if cell["cell_type"] == "code"]
    return re.sub(r"^(\s*)%.*$", r"\1pass", "\n\n".join(code), flags=re.M)


class Follower(ast.NodeVisitor):
    """Which names hold what comes from draws, images or training; and the notes that do so without saying."""

    def __init__(self) -> None:
        self.random: set[str] = set()
        self.modules: set[str] = set()
        self.bare: list[str] = []

    def is_random(self, node: ast.AST) -> bool:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self.random:
                return True
            if isinstance(part, ast.Call) and SOURCES.search(ast.unparse(part.func)):
                return True
        return False

    def bind(self, target: ast.AST, random: bool) -> None:
        if isinstance(target, ast.Name):
            (self.random.add if random else self.random.discard)(target.id)
        elif isinstance(target, ast.Tuple | ast.List | ast.Starred):
            for part in ast.iter_child_nodes(target):
                self.bind(part, random)
        elif isinstance(target, ast.Subscript | ast.Attribute) and random:
            self.mark(target)

    def mark(self, node: ast.AST) -> None:
        """What is written into becomes random as a whole."""
        while isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        if isinstance(node, ast.Name) and node.id not in self.modules:
            self.random.add(node.id)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.modules |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.visit_Import(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            if (
                isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                and len(target.elts) == len(node.value.elts)
                and not any(isinstance(part, ast.Starred) for part in (*target.elts, *node.value.elts))
            ):  # fmt: skip
                for part, value in zip(target.elts, node.value.elts, strict=True):
                    self.bind(part, self.is_random(value))
            else:
                self.bind(target, self.is_random(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        if self.is_random(node.value):
            self.mark(node.target)

    def visit_For(self, node: ast.For) -> None:
        for _ in range(2):  # what the end of the body makes random is so at its beginning
            bare = list(self.bare)
            self.bind(node.target, self.is_random(node.iter))
            for line in node.body:
                self.visit(line)
            if _ == 0:
                self.bare = bare
        for line in node.orelse:
            self.visit(line)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        (self.random.add if any(map(self.is_random, node.body)) else self.random.discard)(node.name)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name in ("figures.note", "note"):
            said = {keyword.arg for keyword in node.keywords}
            if not said & {"of", "exact"} and any(map(self.is_random, node.args[1:])):
                self.bare.append(ast.unparse(node))
        elif isinstance(node.func, ast.Attribute) and any(
            map(self.is_random, [*node.args, *(k.value for k in node.keywords)])
        ):
            self.mark(node.func.value)


def bare_estimates(code: str) -> list[str]:
    """The notes of a lab that are estimates and carry neither n and error nor a reason why not."""
    follower = Follower()
    follower.visit(ast.parse(code))
    return follower.bare


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_no_estimate_is_noted_without_its_error(path: Path) -> None:
    assert bare_estimates(code_of(path)) == []


SETUP = "import torch\nfrom lowerbound import data, figures, zoo\ntest = data.load('fashion-mnist', 'test')\n"
BARE = {
    "straight from images": "figures.note('a', f'{test.x.mean():.2f}')",
    "through names": "m = test.x.float()\nr = m.mean()\nfigures.note('a', f'{r:.2f}')",
    "from draws": "z = torch.randn(9)\nfigures.note('a', f'{z.std():.1f}')",
    "through a list": "found = []\nfor k in range(3):\n    found.append(zoo.load('v').bound(k))\n"
    "figures.note('a', f'{found[0]}')",
    "through a function": "def bits(n):\n    return test.x[:n].mean()\nfigures.note('a', f'{bits(3)}')",
    "in a loop over names": "z = torch.randn(9)\nfor name, v in (('a', z), ('b', z)):\n"
    "    figures.note(name, f'{v}')",
    "behind a comparison": "z = torch.randn(9)\nfigures.note('a', 'small' if z.mean() < 1 else 'large')",
}
HONEST = {
    "an estimate": "figures.note('a', test.x.mean(1), of='test images')",
    "a count": "figures.note('a', f'{len(test.x)}', exact='a count')",
    "algebra": "import math\nz = torch.randn(9)\nz = math.log(2)\nfigures.note('a', f'{z:.2f}')",
    "one name of two": "z, w = torch.randn(9), 3\nfigures.note('a', f'{w:.2f}')",
}


@pytest.mark.parametrize("name", BARE)
def test_each_kind_of_bare_estimate_is_found(name: str) -> None:
    assert len(bare_estimates(SETUP + BARE[name])) == 1


@pytest.mark.parametrize("name", HONEST)
def test_what_says_so_is_let_through(name: str) -> None:
    assert bare_estimates(SETUP + HONEST[name]) == []


# The short form


def sections(text: str) -> list[str]:
    """The text of a page from one heading to the next; code fences keep their headings."""
    return re.split(r"^#{1,3} ", text, flags=re.M)


def noted(stem: str, key: str) -> dict[str, Any]:
    for cell in cells(ROOT / "notebooks" / f"{stem}.ipynb"):
        for output in cell.get("outputs", []):
            about: dict[str, Any] = output.get("metadata", {}).get("lowerbound", {})
            if about.get("key") == key:
                return about
    raise AssertionError(f"{stem} notes no {key}")


def unsaid(section: str, about: Any = noted) -> list[str]:
    """The estimates in a section in short form of which it does not say how many of what."""
    full = [about(*key) for key in re.findall(r"\{lab\}`(\w+):([\w-]+)`", section)]
    told = {(note["n"], note["of"]) for note in full if "n" in note}
    found = []
    for stem, key in re.findall(r"\{lab\}`(\w+):([\w-]+):short`", section):
        note = about(stem, key)
        written = f"{note['n']:,} {note['of']}"
        if (note["n"], note["of"]) not in told and written not in " ".join(section.split()):
            found.append(f"{stem}:{key} ({written})")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_short_estimate_stands_where_the_section_says_of_how_many(path: Path) -> None:
    assert [key for section in sections(path.read_text()) for key in unsaid(section)] == []


def test_a_short_estimate_without_its_number_is_found() -> None:
    about = {"n": 500, "of": "test images"}
    assert unsaid("It is {lab}`02_vae:a:short`.", lambda *_: about) == ["02_vae:a (500 test images)"]
    assert unsaid("On 500 test\nimages {lab}`02_vae:a:short`.", lambda *_: about) == []
    assert unsaid("Here {lab}`02_vae:b` and {lab}`02_vae:a:short`.", lambda *_: about) == []
