"""What the book prints of its proofs: checked on all cores during the reading, kept until one changes."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ledger
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

KEPT = "proofs.json"  # beside the pages, so that `make clean` removes it


@dataclass(frozen=True)
class Checked:
    """A derivation that was checked, in the words of a page.

    kinds: what each line after the first is, "algebra", "limit", …
    axioms: the reasons of the lines that are not checked
    reasons, how: of each line after the first, why it follows, and how it was checked
    conditions: LaTeX of what is assumed of the letters, such as σ > 0
    read_back: how many printed formulas were read back and compared with what was checked
    sheet: its lines as a reader types them
    """

    chapter: int
    title: str
    relation: str
    statement: str
    latex: str
    kinds: list[str]
    axioms: list[str]
    reasons: list[str]
    how: list[str]
    conditions: list[str]
    read_back: int
    sheet: str


PRINTS = re.compile(r"\{(derivation|ledger)\}")  # on a page that needs proofs
_checked: dict[str, Checked] = {}
_begun: dict[str, Future[Checked | None]] = {}


def check(name: str) -> Checked:
    """Build a derivation, which checks it, and read its print back. Raises ValueError where a line fails."""
    proof = ledger.proofs().derivations()[name]()
    written = import_module("lowerbound.symbolic.sheet").written  # lib/ is on the path by now
    kinds, axioms = [step.kind for step in proof.steps[1:]], [step.reason for step in proof.axioms]
    return Checked(
        proof.chapter, proof.title, proof.relation, proof.statement(), proof.latex(), kinds, axioms,
        [step.reason for step in proof.steps[1:]], [step.evidence or step.kind for step in proof.steps[1:]],
        proof.conditions(), proof.check_print(), written(proof),
    )  # fmt: skip


def checked(name: str) -> Checked:
    """What is printed of the derivation of that name, checked once. Raises ValueError where it is wrong."""
    if name not in _checked:
        _checked[name] = (name in _begun and _begun[name].result()) or check(name)
    return _checked[name]


@functools.cache
def source_files() -> list[Path]:
    """The files that a derivation depends on."""
    folder = Path(ledger.proofs().__file__).parent
    return sorted([*folder.glob("*.py"), *folder.with_name("symbolic").glob("*.py"), Path(__file__)])


def _attempt(name: str) -> Checked | None:
    try:
        return check(name)
    except ValueError:
        return None  # is raised again, and reported, at its place on a page


def sources_key() -> str:
    """A hash of all that a check depends on."""
    versions = f"{version('sympy')} {sys.version}"
    text = b"".join(path.read_bytes() for path in source_files()) + versions.encode()
    return hashlib.sha256(text).hexdigest()


def stored(file: Path) -> dict[str, Checked]:
    """What was checked before of the same sources, and written down."""
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    same = kept.pop("sources", "") == sources_key()
    return {name: Checked(**fields) for name, fields in kept.items()} if same else {}


def begin(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Begin to check all proofs, on all cores; what was checked before is read from the file. Pages without
    proofs are read first, meanwhile."""
    root = Path(app.srcdir)
    if not (root / "_toc.yml").is_file() or not {each.proof for each in ledger.equations(root)} - {""}:
        return  # a few pages by themselves: each proof is checked where it is printed
    file = Path(app.outdir).with_name(KEPT)
    _checked.update(stored(file))
    missing = [name for name in ledger.proofs().derivations() if name not in _checked]
    if missing:
        pool = ProcessPoolExecutor(os.cpu_count())
        _begun.update((name, pool.submit(_attempt, name)) for name in missing)
        pool.shutdown(wait=False)
        pages.sort(key=lambda page: bool(PRINTS.search(Path(env.doc2path(page)).read_text(encoding="utf-8"))))
        app.connect("env-updated", functools.partial(keep, file))


def keep(file: Path, app: Sphinx, env: BuildEnvironment) -> None:
    """Write down what was checked, once all of it is."""
    proofs = {name: checked(name) if begun.result() else None for name, begun in list(_begun.items())}
    fields = {name: asdict(proof) for name, proof in (proofs | _checked).items() if proof}
    file.write_text(json.dumps({"sources": sources_key(), **fields}, ensure_ascii=False), encoding="utf-8")


def write_on_all_cores(app: Sphinx, env: BuildEnvironment) -> None:
    # jupyter-book has no option for it. Reading stays serial: sphinx-proof cannot merge what several read.
    app.parallel = 2 * (os.cpu_count() or 1)  # pages are of unequal length: twice as many parts as cores


def setup(app: Sphinx) -> None:
    app.connect("env-before-read-docs", begin)
    app.connect("env-updated", write_on_all_cores)
