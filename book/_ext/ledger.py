"""The ledger: every numbered equation of the book, and what stands behind it. Read from the pages."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from words import translated

PRINTED = re.compile(r"^`{3,}\{derivation\} (\w+)\n((?::[\w-]+:.*\n)*)", re.M)
TYPED = re.compile(
    r"^\$\$ \((?P<dollar>[\w-]+)\)|^`{3,}\{math\}\n(?::[\w-]+:.*\n)*?:label: (?P<math>\S+)", re.M
)
WORDS = {"algebra": "algebra", "calculus": "inequality", "limit": "limit"}


@dataclass(frozen=True)
class Equation:
    """A numbered equation: its label, its page (book/01_elbo), and the proof that prints it, "" if typed."""

    label: str
    page: str
    proof: str


def pages(root: Path) -> list[str]:
    """The pages of the book in the order of the contents."""
    contents = (root / "_toc.yml").read_text(encoding="utf-8")
    names = re.findall(r"^\s*(?:- file|root): (book/\S+)", contents, re.M)
    return [name for name in names if (root / f"{name}.md").is_file()]


def equations(root: Path) -> Iterator[Equation]:
    """All numbered equations below root, in the order of the book."""
    for page in pages(root):
        text = (root / f"{page}.md").read_text(encoding="utf-8")
        for match in PRINTED.finditer(text):
            if ":bare:" in match[2]:
                continue  # on the cheat sheet, which numbers nothing
            label = re.search(r"^:label: (\S+)", match[2], re.M)
            yield Equation(label[1] if label else "", page, match[1])
        for match in TYPED.finditer(text):
            yield Equation(match["dollar"] or match["math"], page, "")


def proofs() -> Any:
    """The package of the proofs."""
    return importlib.import_module("lowerbound.proofs")


def check(proof: Any) -> str:
    """What was checked, in words: "4 steps: algebra, limit"."""
    kinds = Counter(proof.kinds)
    if proof.relation == ":=":
        return translated("definition")
    steps = kinds.total() - kinds["axiom"] - kinds["definition"]
    words = ", ".join(translated(word) for kind, word in WORDS.items() if kinds[kind])
    axioms = translated(", and {axioms} axiom").format(axioms=kinds["axiom"]) if kinds["axiom"] else ""
    number = translated("{steps} steps: {words}") if steps > 1 else translated("{steps} step: {words}")
    return number.format(steps=steps, words=words) + axioms


@functools.cache
def definitions(file: Path) -> dict[str, tuple[int, int]]:
    """First and last line of each function and class of a file, decorators included, by its dotted name."""
    lines = {}

    def walk(body: Any, prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                lines[prefix + node.name] = first, node.end_lineno or node.lineno
                walk(node.body, f"{prefix}{node.name}.")

    walk(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return lines


def source(name: str) -> tuple[str, int, int]:
    """File, first and last line of a proof or, as in bound.Bound.nats, of a piece of the library."""
    folder = Path(proofs().__file__).parent
    module, dot, path = name.partition(".")
    files = [folder.with_name(f"{module}.py")] if dot else sorted(folder.glob("*.py"))
    for file in files:
        if lines := definitions(file).get(path or name):
            return file.relative_to(folder.parents[2]).as_posix(), *lines
    raise LookupError(f"{name} is defined nowhere in lib/lowerbound")
