"""The page of the library: docstrings and signatures as griffe reads them, so that nothing is imported."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import Any, ClassVar

import griffe
import ledger
from docstrings import NAME, PACKAGE, entry, find, to_rst
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from words import translated

LINES = re.compile(r"<dl>\n((?:<dd>.*?</dd>\n)+)</dl>\s*")  # how Sphinx breaks a signature
LINE = re.compile(r"<dd>(.*?)</dd>\n")


@functools.cache
def library(root: Path) -> Any:
    """The library as its source has it."""
    return griffe.load(PACKAGE, search_paths=[root / "lib"], resolve_aliases=True)


def linked(text: Any, scope: Any) -> str:
    """Annotations as they stand in the source, the library's own classes named in full."""

    def named(match: re.Match[str]) -> str:
        if match[1] is not None:
            return f"'{match[1]}'"  # the blank that jaxtyping wants before a single axis is left out
        thing = find(match[0], scope)
        return f"~{entry(thing)}" if thing and thing.is_class and entry(thing) else match[0]

    return re.sub(rf"' ?([^']*)'|(?<!= )\b{NAME}", named, str(text))  # a default stays as it is


def maker(thing: Any) -> Any:
    """The function whose arguments an entry takes; None for a protocol, or what only the library makes."""
    if thing.is_function:
        return thing
    return thing.all_members.get("__init__") or thing.all_members.get("__new__")


def signature(thing: Any, path: str) -> str:
    """The name of an entry, with what it takes and gives."""
    text, made = "", maker(thing)
    if made:
        text = made.signature(name="-", return_type=thing.is_function)[1:]
    elif "NamedTuple" in map(str, thing.bases):
        text = f"({', '.join(f'{n}: {m.annotation}' for n, m in thing.members.items() if m.is_attribute)})"
    return path + linked(text, thing.module)


def tested_against(name: str, root: Path) -> list[str]:
    """The labels of the book's equations that this entry is compared with, ordered by their proofs' names."""
    proofs = [proof for proof, place in ledger.proofs().code().items() if f"{PACKAGE}.{place}" == name]
    labels = {equation.proof: equation.label for equation in ledger.equations(root)} if proofs else {}
    return [labels[proof] for proof in sorted(proofs) if labels.get(proof)]


def public(owner: Any, inherited: bool = False) -> list[str]:
    """The names that a module or class defines and describes, in the order of its source."""
    names = [*owner.members, *(owner.inherited_members if inherited else ())]
    things = {name: owner.all_members[name] for name in names if not name.startswith("_")}
    return [n for n, t in things.items() if (inherited or not t.is_alias) and not t.is_module and t.docstring]


class Library(SphinxDirective):
    """What a module says of itself, and its public names.

    members: names, wherever they are defined; with nothing after it, those of the module's __all__
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"members": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        self.module = library(Path(self.env.srcdir)).members.get(self.arguments[0])
        if self.module is None or not self.module.is_module:
            raise self.error(f"{PACKAGE} has no module {self.arguments[0]!r}")
        self.env.note_dependency(str(self.module.filepath))
        named = re.findall(r"\w+", self.options.get("members", "")) or self.module.exports
        text = [f".. py:module:: {self.module.path}", ""]
        text += to_rst(self.module.docstring.value, self.module, set())
        for name in named if "members" in self.options else public(self.module):
            text += self.entry(self.module[name], name)
        return self.parse_text_to_nodes("\n".join(["`````{eval-rst}", *text, "`````"]))

    def entry(self, thing: Any, path: str) -> list[str]:
        """An entry and those of its members, as directives of Sphinx's Python domain."""
        name, head, names = f"{self.module.path}.{path}", path, set()
        inherited, thing = thing.is_alias, thing.final_target if thing.is_alias else thing
        self.env.note_dependency(str(thing.filepath))
        options = [f":module: {self.module.path}"]
        if thing.is_attribute:
            kind, option = "data", f":value: {thing.value}"
            if "property" in thing.labels:
                kind, option = "property", f":type: {linked(thing.annotation, thing.module)}"
            options.append(option)
        else:
            head = signature(thing, path)
            names = {parameter.name for parameter in getattr(maker(thing), "parameters", ())}
        if thing.is_function:
            kind = "method" if thing.parent.is_class else "function"
            options += [f":{label}:" for label in ("classmethod", "staticmethod") if label in thing.labels]
        if thing.is_class:
            kind = "exception" if any(str(base).endswith("Error") for base in thing.bases) else "class"
            options += [f":canonical: {thing.path}"] * (thing.path != name)
            names |= {field for field, member in thing.members.items() if member.is_attribute}
        body = to_rst(thing.docstring.value, thing, names) if thing.docstring else []
        equations = [f":eq:`{label}`" for label in tested_against(name, Path(self.env.srcdir))]
        body += (
            [translated("Tested against {equations}.").format(equations=", ".join(equations)), ""]
            if equations
            else []
        )
        for member in public(thing, inherited) if thing.is_class else ():
            body += self.entry(thing.all_members[member], f"{path}.{member}")
        return [f".. py:{kind}:: {head}", *(f"   {line}" for line in [*options, "", *body])]


def finish(app: Sphinx, domain: str, kind: str, content: addnodes.desc_content) -> None:
    """Signatures link to entries of the page alone, and quote as the source does; texts stay as typed."""
    content["support_smartquotes"] = False
    for signature in content.parent.findall(addnodes.desc_signature):
        for link in list(signature.findall(addnodes.pending_xref)):
            if not str(link["reftarget"]).startswith(f"{PACKAGE}."):
                link.replace_self(link.children)
        for text in signature.findall(lambda n: isinstance(n, nodes.Text) and re.fullmatch("'[^']*'", n)):
            text.parent.replace(text, nodes.Text(f'"{text[1:-1]}"'))


def break_signatures(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """One argument a line without a list in a term, which no list may hold."""
    if 'class="sig ' in context.get("body", ""):
        context["body"] = LINES.sub(
            lambda lines: LINE.sub(r'<span class="sig-line">\1</span>', lines[1]), context["body"]
        )


def find_source(app: Sphinx, module: str) -> tuple[str, dict[str, Any]]:
    """The text of a module and where its names stand, for viewcode."""
    analyzer = ModuleAnalyzer.for_file(find(module, library(Path(app.srcdir))).filepath, module)
    analyzer.find_tags()
    return analyzer.code, analyzer.tags


def find_home(app: Sphinx, module: str, name: str) -> str:
    """The module that defines what another one lists, for viewcode."""
    return find(f"{module}.{name}", library(Path(app.srcdir))).module.path


def setup(app: Sphinx) -> dict[str, Any]:
    sys.path.insert(0, str(Path(app.srcdir, "lib")))  # for the proofs, which need sympy alone
    app.setup_extension("sphinx.ext.viewcode")
    app.add_directive("library", Library)
    app.connect("object-description-transform", finish)
    app.connect("html-page-context", break_signatures)
    app.connect("viewcode-find-source", find_source)
    app.connect("viewcode-follow-imported", find_home)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
