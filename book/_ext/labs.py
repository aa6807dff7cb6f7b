"""What the labs recorded, on the chapters' pages and on their own.

Role lab: a note, of an estimate with its error and of how many; directive labfigure: a figure or slider;
directive gapplane: the same, computed in the page; directive labcode: the cell that defines a name.
A lab is notebooks/STEM.ipynb; what it recorded with `figures.note`, `show` and `slider` is found by the key
in an output's metadata.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import pictures
from docutils import nodes
from pictures import HTML, SUFFIXES, text_of
from sources import MissingError, TextRole, instead, read_json, warn
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.directives.patches import Figure
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from words import in_words, translated

LABS = "notebooks"
STUDENT = "notebooks/assignments/student"
PROOFS = "Change a proof"  # the section of each lab to which a derivation links


def proofs_label(stem: str) -> str:
    """The label of a lab's section on proofs."""
    return f"proofs-{stem}"


def output_label(stem: str, key: str) -> str:
    """The label of an output on its lab's page."""
    return f"lab-{stem}-{key}"


def outputs(env: BuildEnvironment, stem: str) -> dict[str, dict[str, Any]]:
    """The outputs of a lab that carry a key, by key."""
    cells = read_json(env, LABS, f"{stem}.ipynb")["cells"]
    recorded = [output for cell in cells for output in cell.get("outputs", [])]
    return {o["metadata"]["lowerbound"]["key"]: o for o in recorded if "lowerbound" in o.get("metadata", {})}


def output_at(env: BuildEnvironment, target: str) -> tuple[str, str, dict[str, Any]]:
    """Stem, key and output of a target 'STEM:key'."""
    stem, colon, key = target.strip().partition(":")
    if not (stem and colon and key):
        raise MissingError(f"{target!r} is not of the form STEM:key")
    by_key = outputs(env, stem)
    if key not in by_key:
        keys = ", ".join(sorted(by_key)) or "nothing"
        raise MissingError(f"{LABS}/{stem}.ipynb records no {key!r}; it has: {keys}")
    return stem, key, by_key[key]


SHORT = ":short"  # behind a key: an estimate without its "(500 test images)", where the section says that


def note_text(env: BuildEnvironment, target: str) -> str:
    """The text that a lab noted under a key; of an estimate, 'STEM:key:short' leaves out of how many."""
    target = target.strip()
    _, key, output = output_at(env, target.removesuffix(SHORT))
    text, about = text_of(output["data"].get("text/plain", "")), output["metadata"]["lowerbound"]
    if "alt" in about or not text.startswith(f"{key}: "):
        raise MissingError(f"{target} is a figure, not a note; use the labfigure directive")
    text = re.sub(r"(?<![\w.])-(?=\d)", "−", text.removeprefix(f"{key}: "))  # a minus, not a hyphen
    if not target.endswith(SHORT):
        return text
    if "n" not in about:
        raise MissingError(f"{target.removesuffix(SHORT)} is no estimate, and has no short form")
    return text.removesuffix(f" ({about['n']:,} {about['of']})")


def said(env: BuildEnvironment, target: str) -> str:
    """The text of a note, in the language of the edition."""
    return in_words(note_text(env, target))


class LabFigure(Figure):
    """A figure or slider that a lab showed, with its alt text, a caption and a link to the lab."""

    required_arguments = 1
    final_argument_whitespace = False
    has_content = True

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        try:
            stem, key, output = output_at(env, self.arguments[0])
            if not self.content:
                raise MissingError(f"labfigure {stem}:{key} needs a caption")
            shown = self.shown(env, stem, key, output)
        except MissingError as error:
            return instead(self, env, error)
        self.arguments[0] = "picture"  # the directive wants one; what it makes of it is replaced below
        [figure, *rest] = super().run()
        figure["classes"].append("lab-figure")
        figure["lab"] = f"{stem}:{key}"
        # In a box of their own: of two pictures, the theme hides a caption that follows either.
        next(figure.findall(nodes.image)).replace_self(nodes.container("", *shown))
        for caption in figure.findall(nodes.caption):
            label = nodes.inline(
                "",
                translated("Lab {number}").format(number=stem.partition("_")[0].lstrip("0")),
                classes=["std", "std-ref"],
            )
            xref = addnodes.pending_xref(
                "", label, refdomain="std", reftype="ref", reftarget=output_label(stem, key),
                refexplicit=True, refwarn=True, refdoc=env.docname,
            )  # fmt: skip
            xref.source, xref.line = figure.source, self.lineno
            caption += [nodes.Text(" "), nodes.inline("", "", xref, classes=["from-lab"])]
        return [figure, *rest]

    def shown(self, env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[nodes.Node]:
        """What stands above the caption."""
        return pictures.shown(env, stem, key, output)


class GapPlane(LabFigure):
    """The guess q = N(m, v) of a linear Gaussian, moved freely; drawn by _static/plane.js.

    w, s, x: slope, noise and observation. Where no script runs, the picture of the lab's slider is shown.
    """

    option_spec: ClassVar[dict[str, Any]] = {**Figure.option_spec, **dict.fromkeys("wsx", float)}

    def run(self) -> list[nodes.Node]:
        made = super().run()
        for figure in made:
            if isinstance(figure, nodes.figure):
                del figure["lab"]  # the slider itself is another figure
        return made

    def shown(self, env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[nodes.Node]:
        data = " ".join(f'data-{name}="{self.options.pop(name):g}"' for name in "wsx")
        start = nodes.raw("", f'<div class="gap-plane" {data}>', format="html")
        return [start, *pictures.still(env, stem, key, output), nodes.raw("", "</div>", format="html")]


class LabCode(SphinxDirective):
    """The cell of a lab that defines a name, as code: {labcode} STEM:NAME."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            stem, _, name = self.arguments[0].partition(":")
            code = defining_cell(self.env, stem, name)
        except MissingError as error:
            return instead(self, self.env, error)
        return [nodes.literal_block(code, code, language="python")]


def defining_cell(env: BuildEnvironment, stem: str, name: str) -> str:
    """The source of a lab's cell that defines a class or function of this name."""
    for cell in read_json(env, LABS, f"{stem}.ipynb")["cells"]:
        code = text_of(cell["source"])
        if cell["cell_type"] == "code" and re.search(rf"^(class|def) {re.escape(name)}\b", code, re.M):
            return code
    raise MissingError(f"{LABS}/{stem}.ipynb has no cell that defines {name!r}")


# A lab's own page


def describe_lab(app: Sphinx, doctree: nodes.document) -> None:
    """Show the figures of a lab page as a chapter does, each with a label; leave out the setup cell, and link
    the ways to run it. Assignments have the latter two alone."""
    env, docname = app.env, app.env.docname
    folder, _, stem = docname.rpartition("/")
    if folder not in (LABS, STUDENT) or Path(env.doc2path(docname)).suffix != ".ipynb":
        return
    first = next((node for node in doctree.children if isinstance(node, nodes.container)), None)
    if first is not None and (first.get("nb_element"), first.get("cell_index")) == ("cell_code", 0):
        doctree.remove(first)  # it stands before the title, and installs the library where it is missing
    heading = next(iter(doctree.findall(nodes.title)), None)
    if heading is not None:
        heading.parent.insert(1, addnodes.only("", _ways_to_run(app, docname), expr="html"))
    if folder == STUDENT:
        return
    labels: Any = env.get_domain("std")
    for section in doctree.findall(nodes.section):
        if nodes.make_id(PROOFS) in section["ids"]:  # in English, and in every edition
            title = section[0].astext()
            labels.note_hyperlink_target(proofs_label(stem), docname, section["ids"][0], title)
    by_key = outputs(env, stem)
    for cell in doctree.findall(
        lambda node: (
            node.get("nb_element") == "cell_code_output" if isinstance(node, nodes.container) else False
        )
    ):
        _fold_notes(cell, by_key)
    for key, node in _drawn_by_myst(doctree, by_key).items():
        label = output_label(stem, key)
        box = _box(env, stem, key, by_key[key])
        box["ids"].append(label.replace("_", "-"))
        box["lab"] = key
        node.replace_self(box)
        labels.note_hyperlink_target(label, docname, box["ids"][-1], key)


def _fold_notes(cell: nodes.container, by_key: dict[str, Any]) -> None:
    """Put the notes that a cell leaves for a chapter into one folded list below what it shows.

    What the cell printed before and after a note then stands in one box.
    """
    notes = []
    for block in list(cell.findall(nodes.literal_block)):
        key, _, text = block.astext().strip().partition(": ")
        if key in by_key and "alt" not in by_key[key]["metadata"]["lowerbound"]:
            said = nodes.Text(f" {in_words(text)}")
            notes.append(nodes.list_item("", nodes.paragraph("", "", nodes.literal("", key), said)))
            block.parent.remove(block)
    _join_prints(cell)
    if notes:
        count = "For the chapter: 1 number" if len(notes) == 1 else f"For the chapter: {len(notes)} numbers"
        title = f"<details class='notes'><summary>{in_words(count)}</summary>"
        cell += nodes.raw("", title, format="html")
        cell += nodes.bullet_list("", *notes)
        cell += nodes.raw("", "</details>", format="html")


def _join_prints(cell: nodes.container) -> None:
    """Make one block of printed lines that follow each other."""
    before: nodes.Node | None = None
    for block in list(cell.children):
        shown = block.astext() or block.next_node(lambda node: isinstance(node, nodes.image | nodes.raw))
        if isinstance(block, nodes.container) and not shown:
            continue  # where a note was
        printed = isinstance(block, nodes.literal_block) and "stream" in block["classes"]
        if printed and isinstance(before, nodes.literal_block) and before["classes"] == block["classes"]:
            text = f"{before.astext().rstrip(chr(10))}\n{block.astext()}"
            before.rawsource, before.children = text, []
            before += nodes.Text(text)
            cell.remove(block)
        else:
            before = block if printed else None


def colab(config: Any, docname: str) -> str:
    """Where a notebook opens on Colab; "" where the settings name no repository."""
    options = config.html_theme_options
    address = str(options.get("repository_url", "")).rstrip("/")
    service = str(options.get("launch_buttons", {}).get("colab_url", "")).rstrip("/")
    branch = options.get("repository_branch") or "main"
    if not (address and service):
        return ""
    path = in_edition(config, f"{docname}.ipynb")
    return f"{service}/github/{'/'.join(address.split('/')[-2:])}/blob/{branch}/{path}"


def in_repository(config: Any, path: str) -> str:
    """Where the repository shows a file; "" where the settings name none."""
    options = config.html_theme_options
    address = str(options.get("repository_url", "")).rstrip("/")
    branch = options.get("repository_branch") or "main"
    return f"{address}/blob/{branch}/{in_edition(config, path)}" if address else ""


def in_edition(config: Any, path: str) -> str:
    """Where the source of a page lies in the repository: of a translated one, its translation."""
    return str(getattr(config, "lowerbound_translated", {}).get(str(Path(path).with_suffix("")), path))


def _ways_to_run(app: Sphinx, docname: str) -> nodes.paragraph:
    """Links to run, read or fetch a notebook, from the address of the repository in the settings."""
    ways = {
        translated("Open in Colab"): colab(app.config, docname),
        translated("View on GitHub"): in_repository(app.config, f"{docname}.ipynb"),
        translated("Download"): f"{'../' * docname.count('/')}_sources/{docname}.ipynb",
    }
    row = nodes.paragraph(classes=["ways-to-run"])
    for name, uri in ways.items():
        if uri:
            row += nodes.reference("", "", nodes.Text(name), refuri=uri, internal=False)
    return row


def _drawn_by_myst(doctree: nodes.document, by_key: dict[str, Any]) -> dict[str, nodes.Element]:
    """The node that MyST-NB made of each output that shows something, by key."""
    drawn: dict[str, nodes.Element] = {}
    names: dict[str, list[str]] = {}  # keys of the outputs of which MyST-NB makes an image or text, in order
    for key, output in by_key.items():
        if HTML in output["data"]:
            names.setdefault(text_of(output["data"][HTML]).strip(), []).append(key)
        else:
            for mime in set(SUFFIXES) & set(output["data"]):
                names.setdefault(_image_name(output, mime), []).append(key)
    for node in doctree.findall(lambda node: isinstance(node, nodes.image | nodes.raw)):
        name = Path(node["uri"]).stem if isinstance(node, nodes.image) else node.astext().strip()
        for key in names.get(name, [])[:1]:  # of outputs that look the same, the first comes first
            names[name].remove(key)
            drawn[key] = node
    return drawn


def _image_name(output: dict[str, Any], mime: str) -> str:
    """The name that MyST-NB gives an output's image file, a hash."""
    data = pictures.decoded(output, mime)
    if mime != pictures.PNG:
        data = os.linesep.join(data.decode().splitlines()).encode()
    return hashlib.sha256(data).hexdigest()


def _box(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> nodes.container:
    """An output of a lab on the lab's own page."""
    try:
        return nodes.container("", *pictures.shown(env, stem, key, output), classes=["lab-output"])
    except MissingError as error:
        warn(error, env.docname, "lab")
        return nodes.container("")


# Links from a lab's outputs back to the figures that show them


def note_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Remember which numbered figure of a page shows which output of a lab: {STEM:key: id of the figure}."""
    shown = {figure["lab"]: figure["ids"][0] for figure in doctree.findall(nodes.figure) if "lab" in figure}
    app.env.metadata[app.env.docname]["lab_figures"] = shown


def link_back(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Below an output on a lab's page, link to the figure of the book that explains it."""
    folder, _, stem = page.rpartition("/")
    if folder != LABS:
        return
    for box in list(doctree.findall(nodes.container)):
        for chapter, metadata in sorted(app.env.metadata.items()):
            name = metadata.get("lab_figures", {}).get(f"{stem}:{box.get('lab', '')}")
            number = app.env.toc_fignumbers.get(chapter, {}).get("figure", {}).get(name)
            if number and chapter != app.config.root_doc:  # the front page shows it again
                uri = f"{app.builder.get_relative_uri(page, chapter)}#{name}"
                label = translated("Fig. %s") % ".".join(map(str, number))
                link = nodes.reference("", "", nodes.Text(label), refuri=uri, internal=True)
                box += nodes.paragraph("", translated("In the book: "), link, classes=["in-the-book"])


def setup(app: Sphinx) -> None:
    app.add_role("lab", TextRole(said))
    app.add_directive("labfigure", LabFigure)
    app.add_directive("gapplane", GapPlane)
    app.add_directive("labcode", LabCode)
    app.connect("doctree-read", describe_lab, priority=400)  # before images are collected
    app.connect("doctree-read", note_figures)
    app.connect("doctree-resolved", link_back)
