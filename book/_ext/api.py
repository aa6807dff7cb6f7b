"""The page of the library: what autodoc reads for it, docstrings converted, signatures as written."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import ledger
from docstrings import PACKAGE, entry, find, scopes, to_rst
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.inspect import stringify_signature

NAME = r"[A-Za-z_][\w.]*"
LINES = re.compile(r"<dl>\n((?:<dd>.*?</dd>\n)+)</dl>\s*")  # how Sphinx breaks a signature
LINE = re.compile(r"<dd>(.*?)</dd>\n")


def annotation(text: Any, module: Any) -> Any:
    """An annotation as it stands in the source, the library's own classes named in full."""
    if not isinstance(text, str):
        return text
    own = {name: entry(find(name, module)) for name in re.findall(NAME, text)}

    def named(match: re.Match[str]) -> str:
        if match[1] is not None:
            return f"'{match[1]}'"  # the blank that jaxtyping wants before a single axis is left out
        return f"~{own[match[0]]}" if own[match[0]] else match[0]

    return re.sub(rf"' ?([^']*)'|{NAME}", named, text)


def tested_against(name: str, root: Path) -> list[str]:
    """The labels of the book's equations that this entry is compared with, ordered by their proofs' names."""
    proofs = [proof for proof, place in ledger.proofs().code().items() if f"{PACKAGE}.{place}" == name]
    labels = {equation.proof: equation.label for equation in ledger.equations(root)} if proofs else {}
    return [labels[proof] for proof in sorted(proofs) if labels.get(proof)]


def write_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    names: set[str] = set()
    if callable(thing):
        names = set(inspect.signature(thing).parameters) | set(vars(thing).get("__annotations__", ()))
    lines[:] = to_rst("\n".join(lines), thing, names)
    against = tested_against(name, Path(app.srcdir))
    if against:
        lines += ["", f"Tested against {', '.join(f':eq:`{label}`' for label in against)}.", ""]


def write_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str | None] | None:
    if not callable(thing) or not signature:
        return None
    written, module = inspect.signature(thing), scopes(thing)[-2]
    parameters = [
        p.replace(annotation=annotation(p.annotation, module))
        for p in written.parameters.values()
        if p.name != "self"
    ]
    if inspect.isclass(thing):
        if all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            return "", None  # a protocol, or what only the library makes
        return stringify_signature(written.replace(parameters=parameters), show_return_annotation=False), None
    result = annotation(written.return_annotation, module)
    whole = stringify_signature(written.replace(parameters=parameters, return_annotation=result))
    left, arrow, right = whole.rpartition(" -> ")
    return (left, right) if arrow else (whole, None)


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


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("object-description-transform", finish)
    app.connect("html-page-context", break_signatures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
