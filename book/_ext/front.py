"""The front page and the page on citing.

Role       counted        how many there are: numbered and printed equations, refused lines, claims, labs
Directive  frontbuttons   where to begin, and the place of the links to the PDF where it is printed
Directive  bibtex         the entry of CITATION.cff
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import falsehoods
import labs
import ledger
import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sources import MissingError, TextRole
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from words import translated

CLAIM = re.compile(r"^\(sec-claims-c\d+\)=", re.M)


COUNTS: dict[str, Callable[[Path], int]] = {
    "numbered": lambda root: len(list(ledger.equations(root))),
    "printed": lambda root: sum(bool(equation.proof) for equation in ledger.equations(root)),
    "refused": lambda root: sum(len(names) for _, names in falsehoods.rows(falsehoods.table(root).FALSE)),
    "claims": lambda root: len(CLAIM.findall((root / "book" / "claims.md").read_text(encoding="utf-8"))),
    "labs": lambda root: len(list((root / labs.LABS).glob("0*.ipynb"))),
}


def counted(env: BuildEnvironment, name: str) -> str:
    """How many there are, from where they are."""
    if name not in COUNTS:
        raise MissingError(f"nothing is counted as {name!r}; there are: {', '.join(COUNTS)}")
    root = Path(env.srcdir)
    for file in [*(f"{page}.md" for page in ledger.pages(root)), falsehoods.TABLE]:
        env.note_dependency(str(root / file))
    return str(COUNTS[name](root))


class FrontButtons(Directive):
    """Where to begin: the first chapter, the first lab on Colab, teaching."""

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        row = nodes.paragraph(classes=["front-buttons"])
        for text, label in (
            (translated("Start reading"), "sec-elbo"),
            (translated("Teach with it"), "sec-teaching"),
        ):
            row += addnodes.pending_xref(
                "", nodes.inline("", text), refdomain="std", reftype="ref", reftarget=label,
                refexplicit=True, refwarn=True, refdoc=env.docname,
            )  # fmt: skip
        lab = labs.colab(env.config, "notebooks/01_elbo")
        if lab:
            link = nodes.reference(
                "", "", nodes.Text(translated("Open lab 1 on Colab")), refuri=lab, internal=False
            )
            row.insert(1, link)
        place = '<p class="pdf" hidden></p>'  # tools/publish/pdf.py fills it
        return [row, nodes.raw("", place, format="html")]


class Bibtex(Directive):
    """CITATION.cff as an entry of BibTeX."""

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        file = Path(env.srcdir, "CITATION.cff")
        env.note_dependency(str(file))
        cited = yaml.safe_load(file.read_text(encoding="utf-8"))
        address = str(env.config.html_theme_options.get("repository_url", "")) or cited["repository-code"]
        fields = {
            "title": cited["title"],
            "author": " and ".join(f"{{{author['name']}}}" for author in cited["authors"]),
            "year": str(cited["date-released"])[:4],
            "note": f"Version {cited['version']}",
            "url": address,
        }
        entry = "".join(f"  {name:<6} = {{{value}}},\n" for name, value in fields.items())
        code = f"@misc{{lowerbound,\n{entry}}}"
        return [nodes.literal_block(code, code, language="bibtex")]


def setup(app: Sphinx) -> None:
    app.add_role("counted", TextRole(counted))
    app.add_directive("frontbuttons", FrontButtons)
    app.add_directive("bibtex", Bibtex)
