"""Derivations on a page, printed from the objects that were checked, and the lists of what is checked."""

from __future__ import annotations

import html
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import ledger
from checked import Checked, checked, source_files
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList
from labs import LABS, proofs_label
from sheets import button
from sources import MissingError, instead
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.directives.patches import MathDirective
from sphinx.environment import BuildEnvironment
from words import in_formula, in_words, translated


def derivation(env: BuildEnvironment, name: str) -> Checked:
    """The checked derivation of that name from lowerbound.proofs."""
    for file in source_files():
        env.note_dependency(str(file))
    names = ledger.proofs().derivations()
    if name not in names:
        raise MissingError(
            f"lowerbound.proofs has no derivation {name!r}; it has: {', '.join(sorted(names))}"
        )
    return checked(name)


def _reference(env: BuildEnvironment, text: nodes.Node, kind: str, target: str) -> nodes.Node:
    """A reference of kind ref, doc or eq; a warning if there is no such target."""
    return addnodes.pending_xref(
        "", text, refdomain="math" if kind == "eq" else "std", reftype=kind, reftarget=target,
        refexplicit=kind == "ref", refwarn=True, refdoc=env.docname,
    )  # fmt: skip


def _source_link(env: BuildEnvironment, name: str) -> nodes.Node:
    """A link to the source of a proof or of a piece of the library, where the repository has an address."""
    file, first, last = ledger.source(name)
    address = str(getattr(env.config, "html_theme_options", {}).get("repository_url", "")).rstrip("/")
    code = nodes.literal("", name)
    if not address:
        return code
    return nodes.reference(
        "", "", code, refuri=f"{address}/blob/main/{file}#L{first}-L{last}", internal=False
    )


def _lab_link(env: BuildEnvironment, chapter: int) -> nodes.Node:
    """A link to the place in a chapter's lab where its proofs can be changed."""
    stem = next((path.stem for path in Path(env.srcdir, LABS).glob(f"{chapter:02d}_*.ipynb")), "")
    if not stem:
        raise MissingError(f"chapter {chapter} has no lab: {LABS}/{chapter:02d}_*.ipynb does not exist")
    return _reference(
        env, nodes.Text(translated("Lab {number}").format(number=chapter)), "ref", proofs_label(stem)
    )


def _words(text: str) -> list[nodes.Node]:
    """Text in which $…$ is mathematics."""
    return [
        nodes.math(part, part) if i % 2 else nodes.Text(part)
        for i, part in enumerate(text.split("$"))
        if part
    ]


def _how(proof: Checked) -> nodes.Node:
    """Folded: how each line was checked, and for which values of the letters."""
    lines = [
        f"{in_words(reason)}: {in_words(how)}" for reason, how in zip(proof.reasons, proof.how, strict=True)
    ]
    rows = [nodes.list_item("", nodes.paragraph("", "", *_words(line))) for line in lines]
    parts: list[nodes.Node] = [
        nodes.enumerated_list("", *rows, start=2, enumtype="arabic", prefix="", suffix=".")
    ]
    if proof.conditions:
        signs = ", ".join(f"${condition}$" for condition in proof.conditions)
        holds = translated("It holds for {signs}; other letters stand for real numbers.").format(signs=signs)
        parts.append(nodes.paragraph("", "", *_words(holds)))
    title = translated("How each line was checked")
    before = nodes.raw("", f"<details class='how'><summary>{title}</summary>", format="html")
    return nodes.container("", before, *parts, nodes.raw("", "</details>", format="html"), classes=["how"])


def _fold(name: str, proof: Checked) -> nodes.Node:
    """The button that opens the lines of a routine derivation, with the statement that stands for them."""
    if len(proof.kinds) < 2:
        raise ValueError(f"{name} is one line: there is nothing to fold")
    lines = translated("The {number} lines").format(number=len(proof.kinds) + 1)
    statement = html.escape(in_formula(proof.statement))
    return nodes.raw(
        "",
        f'<button type="button" class="unfold" aria-expanded="false" data-tex="{statement}" hidden>'
        f"{lines}</button>",
        format="html",
    )  # fmt: skip


class DerivationDirective(MathDirective):
    """The named proof as aligned LaTeX, printed from the expressions that were checked, and what was checked.

    With :result: the statement alone, for a proof that is printed elsewhere; with :bare: without its check;
    with :key: it is marked as one of the few key equations of the book; with :routine: its statement is
    shown, and its lines are folded until someone asks for them, see narrow.js.
    """

    option_spec: ClassVar[dict[str, Any]] = {
        "result": directives.flag,
        "bare": directives.flag,
        "key": directives.flag,
        "routine": directives.flag,
        "label": directives.unchanged_required,
        "class": directives.class_option,
    }
    has_content = False
    required_arguments = 1
    optional_arguments = 0

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        try:
            proof = derivation(self.env, name)
            links = [_source_link(self.env, name), nodes.Text(" · "), _lab_link(self.env, proof.chapter)]
            fold = [_fold(name, proof)] if "routine" in self.options else []
        except (MissingError, ImportError, ValueError) as error:
            return instead(self, self.env, error)
        tex = in_formula(proof.statement if "result" in self.options else proof.latex)
        self.arguments, self.content = [], StringList(tex.splitlines(), source=self.get_location())
        line = nodes.paragraph("", f"{ledger.check(proof)} · ", *links, classes=["checked"])
        parts = super().run() + fold
        if "bare" not in self.options:
            parts.append(line)
        if "result" not in self.options and set(proof.kinds) != {"definition"}:
            parts.append(button(name))
        if "result" not in self.options:
            parts.append(_how(proof))
        classes = ["derivation", *(["routine"] if fold else [])]
        if "key" in self.options:
            classes.append("key-equation")
            parts.insert(0, nodes.paragraph("", translated("Key equation"), classes=["key-name"]))
        return [nodes.container("", *parts, classes=classes)]


class Ledger(Directive):
    """Lists of what is checked: `equations`, `code`, `axioms`, `unprinted`, or numbers: `counts`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        for page in ledger.pages(Path(env.srcdir)):
            env.note_dependency(f"{env.srcdir}/{page}.md")
        equations = list(ledger.equations(Path(env.srcdir)))
        printed = {equation.proof: equation.label for equation in equations if equation.proof}
        return getattr(self, f"_{self.arguments[0]}")(env, equations, printed)  # type: ignore[no-any-return]

    def _items(self, rows: list[list[nodes.Node]]) -> list[nodes.Node]:
        items = (nodes.list_item("", nodes.paragraph("", "", *row)) for row in rows)
        return [nodes.bullet_list("", *items, classes=["ledger"])]

    def _number(self, env: BuildEnvironment, label: str) -> nodes.Node:
        return _reference(env, nodes.literal("", label), "eq", label)

    def _equations(
        self, env: BuildEnvironment, equations: list[ledger.Equation], printed: Any
    ) -> list[nodes.Node]:
        rows: dict[str, list[list[nodes.Node]]] = {}
        for equation in equations:
            proof = derivation(env, equation.proof)
            row = [self._number(env, equation.label), nodes.Text(f" {in_words(proof.title)}. ")]
            row += [nodes.emphasis("", ledger.check(proof)), nodes.Text(" · ")]
            row.append(_source_link(env, equation.proof))
            rows.setdefault(equation.page, []).append(row)
        lists: list[nodes.Node] = []
        for page in rows:
            title = _reference(env, nodes.Text(page), "doc", f"/{page}")
            lists += [nodes.paragraph("", "", nodes.strong("", "", title)), *self._items(rows[page])]
        return lists

    def _code(self, env: BuildEnvironment, equations: Any, printed: dict[str, str]) -> list[nodes.Node]:
        rows: dict[str, list[nodes.Node]] = {}
        for name, function in sorted(ledger.proofs().code().items(), key=lambda item: item[1]):
            row = rows.setdefault(
                function, [_source_link(env, function), nodes.Text(translated(" against "))]
            )
            row += [nodes.Text(", ")] * (len(row) > 2)
            row.append(self._number(env, printed[name]) if name in printed else _source_link(env, name))
        return self._items(list(rows.values()))

    def _axioms(self, env: BuildEnvironment, equations: Any, printed: dict[str, str]) -> list[nodes.Node]:
        rows: list[list[nodes.Node]] = []
        for name in ledger.proofs().derivations():
            for reason in checked(name).axioms:
                link = self._number(env, printed[name]) if name in printed else _source_link(env, name)
                rows.append([link, nodes.Text(": "), *_words(in_words(reason))])
        return self._items(rows)

    def _unprinted(self, env: BuildEnvironment, equations: Any, printed: dict[str, str]) -> list[nodes.Node]:
        names = [name for name in ledger.proofs().derivations() if name not in printed]
        return self._items(
            [[_source_link(env, n), nodes.Text(f" {in_words(checked(n).title)}.")] for n in names]
        )

    def _counts(
        self, env: BuildEnvironment, equations: list[ledger.Equation], printed: Any
    ) -> list[nodes.Node]:
        proofs = [checked(name) for name in ledger.proofs().derivations()]
        kinds = Counter(kind for proof in proofs for kind in proof.kinds)
        total, from_proofs = len(equations), sum(bool(equation.proof) for equation in equations)
        rows = [
            translated("Numbered equations in the book: {total}. Printed from a checked object: {printed}."),
            translated(
                "Derivations: {derivations}. Lines after the first: {lines}, of them {algebra} equalities, "
                "{calculus} inequalities, {limit} limits, {definition} definitions and {axiom} axiom."
            ),
            translated("Printed formulas that were read back and compared with what was checked: {read}."),
            translated("Derivations that the library implements, and is tested against: {code}."),
        ]
        numbers = {
            "total": total, "printed": from_proofs, "derivations": len(proofs), "lines": kinds.total(),
            "read": sum(proof.read_back for proof in proofs), "code": len(ledger.proofs().code()),
            **{kind: kinds[kind] for kind in ("algebra", "calculus", "limit", "definition", "axiom")},
        }  # fmt: skip
        return self._items([[nodes.Text(row.format(**numbers))] for row in rows])


def setup(app: Sphinx) -> None:
    app.add_directive("derivation", DerivationDirective)
    app.add_directive("ledger", Ledger)
