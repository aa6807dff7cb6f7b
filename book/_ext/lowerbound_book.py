"""Sphinx helpers of the book: every number, figure and proof on a page comes from where it was made.

Roles       lab, result, and lecture (in minutes.py)
Directives  labfigure, results, derivation, ledger, and minutes (in minutes.py)

Beside it: pictures.py (figures), formulas.py (room for formulas), symbols.py (what they mean).

A lab is notebooks/STEM.ipynb; what it recorded with `figures.note`, `show` and `slider` is found by
the key in an output's metadata. A key, file or proof that is missing is a warning with its place.
"""

from __future__ import annotations

import functools
import hashlib
import html
import json
import os
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import checked
import formulas
import ledger
import minutes
import pictures
import symbols
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList
from myst_nb.sphinx_ import NbMetadataCollector
from pictures import MissingError
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.directives.patches import Figure, MathDirective
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

logger = logging.getLogger(__name__)

LABS = "notebooks"
STUDENT = "notebooks/assignments/student"
RESULTS = "results"
PROOFS = "Change a proof"  # the section of each lab to which a derivation links
LONG_ENOUGH, DESCRIPTION = 40, 160  # characters of a paragraph that describes its page, and of what is kept
STATE = "application/vnd.jupyter.widget-state+json"


# What the labs and results hold


@functools.lru_cache(maxsize=64)
def _read(path: str, _mtime: int) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_json(env: BuildEnvironment, folder: str, name: str) -> Any:
    """The parsed file folder/name below the source directory; the page is rebuilt when it changes."""
    path = Path(env.srcdir, folder, name)
    env.note_dependency(str(path))
    if not path.is_file():
        raise MissingError(f"{folder}/{name} does not exist")
    try:
        return _read(str(path), path.stat().st_mtime_ns)
    except json.JSONDecodeError as error:
        raise MissingError(f"{folder}/{name} is not JSON: {error}") from error


def outputs(notebook: Any) -> dict[str, dict[str, Any]]:
    """The outputs of a notebook that carry a key, by key."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            about = output.get("metadata", {}).get("lowerbound")
            if about:
                found[about["key"]] = output
    return found


def recorded(env: BuildEnvironment, target: str) -> tuple[str, str, dict[str, Any]]:
    """Stem, key and output of a target 'STEM:key'."""
    stem, colon, key = target.strip().partition(":")
    if not (stem and colon and key):
        raise MissingError(f"{target!r} is not of the form STEM:key")
    found = outputs(read_json(env, LABS, f"{stem}.ipynb"))
    if key not in found:
        raise MissingError(
            f"{LABS}/{stem}.ipynb records no {key!r}; it has: {', '.join(sorted(found)) or 'nothing'}"
        )
    return stem, key, found[key]


def note_text(env: BuildEnvironment, target: str) -> str:
    """The text that a lab noted under a key."""
    _, key, output = recorded(env, target)
    text = pictures.text_of(output["data"].get("text/plain", ""))
    if "alt" in output["metadata"]["lowerbound"] or not text.startswith(f"{key}: "):
        raise MissingError(f"{target} is a figure, not a note; use the labfigure directive")
    return text.removeprefix(f"{key}: ")


def result_at(env: BuildEnvironment, name: str, path: str) -> Any:
    """What the results file holds at a dotted path."""
    value = read_json(env, RESULTS, name)
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise MissingError(f"{RESULTS}/{name} has nothing at {path!r} (stopped at {part!r})") from error
    return value


def result_text(env: BuildEnvironment, target: str) -> str:
    """The number at 'file.json:dotted.path' or 'file.json:dotted.path:format'."""
    name, _, rest = target.strip().partition(":")
    path, _, spec = rest.partition(":")
    value = result_at(env, name, path)
    if isinstance(value, dict | list):
        raise MissingError(
            f"{RESULTS}/{name} holds a {type(value).__name__} at {path!r}, not a number or text"
        )
    try:
        return format(value, spec)
    except (ValueError, TypeError) as error:
        raise MissingError(f"{value!r} at {path!r} does not take the format {spec!r}") from error


def result_rows(env: BuildEnvironment, target: str, columns: list[str]) -> list[list[str]]:
    """A row of texts for each entry of the list or object at 'file.json:dotted.path'.

    columns: formats of `str.format`, with the entry's keys as fields: "{seconds:.0f}", "{versions[torch]}"
    """
    name, _, path = target.strip().partition(":")
    value = result_at(env, name, path)
    entries = list(value.values()) if isinstance(value, dict) else value
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise MissingError(f"{RESULTS}/{name} holds no list of objects at {path!r}")
    try:
        return [[column.format(**entry) for column in columns] for entry in entries]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise MissingError(f"an entry of {target} does not fill its columns: {error!r}") from error


def derivation(env: BuildEnvironment, name: str) -> Any:
    """The checked derivation of that name from lowerbound.proofs."""
    for file in checked.sources():
        env.note_dependency(str(file))
    known = ledger.proofs().derivations()
    if name not in known:
        raise MissingError(
            f"lowerbound.proofs has no derivation {name!r}; it has: {', '.join(sorted(known))}"
        )
    return checked.checked(name)


# Roles


class TextRole(SphinxRole):
    """Insert the text that `source` finds for the role's target."""

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.source = source

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            return [nodes.inline("", self.source(self.env, self.text), classes=["measured"])], []
        except MissingError as missing:
            logger.warning("%s", missing, location=self.get_location(), type="lowerbound", subtype=self.name)
            return [nodes.literal("", self.text)], []


# Directives


def _missing(directive: Directive, env: BuildEnvironment, missing: Exception) -> list[nodes.Node]:
    place = (env.docname, directive.lineno)
    logger.warning("%s", missing, location=place, type="lowerbound", subtype=directive.name)
    return [nodes.literal_block("", f"{directive.name}: {missing}")]


def drawn(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[nodes.Node]:
    """What a page shows of an output: its picture, or a player and, where it cannot play, its picture."""
    if pictures.VIEW not in output["data"]:
        return [*pictures.still(env, stem, key, output)]
    widgets = read_json(env, LABS, f"{stem}.ipynb")["metadata"].get("widgets", {}).get(STATE, {})
    moving = pictures.moving(env, stem, key, output, widgets.get("state", {}))
    start = pictures.still(env, stem, key, output)
    return [addnodes.only("", moving, expr="html"), addnodes.only("", *start, expr="not html")]


class LabFigure(Figure):
    """A figure or slider that a lab showed, with its alt text, a caption and a link to the lab."""

    required_arguments = 1
    final_argument_whitespace = False
    has_content = True

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        try:
            stem, key, output = recorded(env, self.arguments[0])
            if not self.content:
                raise MissingError(f"labfigure {stem}:{key} needs a caption")
            shown = drawn(env, stem, key, output)
        except MissingError as missing:
            return _missing(self, env, missing)
        self.arguments[0] = "picture"  # the directive wants one; what it makes of it is replaced below
        [figure, *rest] = super().run()
        figure["classes"].append("lab-figure")
        figure["lab"] = f"{stem}:{key}"
        next(figure.findall(nodes.image)).replace_self(shown)
        for caption in figure.findall(nodes.caption):
            label = nodes.inline("", f"Lab {stem.partition('_')[0].lstrip('0')}", classes=["std", "std-ref"])
            xref = addnodes.pending_xref(
                "",
                label,
                refdomain="std",
                reftype="ref",
                reftarget=f"lab-{stem}-{key}",
                refexplicit=True,
                refwarn=True,
                refdoc=env.docname,
            )
            xref.source, xref.line = figure.source, self.lineno
            caption += [nodes.Text(" "), nodes.inline("", "", xref, classes=["from-lab"])]
        return [figure, *rest]


class Results(Directive):
    """A table with a row for each entry of a list in a results file; each line of content is a column.

    A line is "heading | format", the format as for `result_rows`.
    """

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        pairs = [[part.strip() for part in line.split("|")] for line in self.content if line.strip()]
        try:
            if not pairs or any(len(pair) != 2 for pair in pairs):
                raise MissingError('each column must be a line "heading | format"')
            rows = result_rows(env, self.arguments[0], [pair[1] for pair in pairs])
        except MissingError as missing:
            return _missing(self, env, missing)
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in pairs), cols=len(pairs))
        for part, lines in ((nodes.thead, [[pair[0] for pair in pairs]]), (nodes.tbody, rows)):
            entries = [[nodes.entry("", nodes.paragraph("", text)) for text in line] for line in lines]
            group += part("", *(nodes.row("", *line) for line in entries))
        return [nodes.table("", group, classes=["measured"])]


def _link(env: BuildEnvironment, text: str, name: str) -> nodes.Node:
    """A link to the source of a proof or of a piece of the library, where the repository has an address."""
    file, first, last = ledger.source(name)
    address = str(getattr(env.config, "html_theme_options", {}).get("repository_url", "")).rstrip("/")
    code = nodes.literal("", text)
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
    return addnodes.pending_xref(
        "", nodes.Text(f"Lab {chapter}"), refdomain="std", reftype="ref", reftarget=f"proofs-{stem}",
        refexplicit=True, refwarn=True, refdoc=env.docname,
    )  # fmt: skip


class DerivationDirective(MathDirective):
    """The named proof as aligned LaTeX, printed from the expressions that were checked, and what was checked.

    With :result: the statement alone, for a proof that is printed elsewhere.
    """

    option_spec: ClassVar[dict[str, Any]] = {
        "result": directives.flag,
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
            links = [_link(self.env, name, name), nodes.Text(" · "), _lab_link(self.env, proof.chapter)]
        except (MissingError, ImportError, ValueError) as missing:
            return _missing(self, self.env, missing)
        tex = proof.statement if "result" in self.options else proof.latex
        self.arguments, self.content = [], StringList(tex.splitlines(), source=self.get_location())
        about = nodes.paragraph("", f"{ledger.check(proof)} · ", *links, classes=["checked"])
        return [nodes.container("", *super().run(), about, classes=["derivation"])]


class Ledger(Directive):
    """Lists of what is checked: `equations`, `code`, `axioms`, `unprinted`, or numbers: `counts`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        for page in ledger.pages(Path(env.srcdir)):
            env.note_dependency(f"{env.srcdir}/{page}.md")
        rows = getattr(self, f"_{self.arguments[0]}")(env, list(ledger.equations(Path(env.srcdir))))
        return rows if isinstance(rows, list) else [rows]

    def _items(self, rows: list[list[nodes.Node]]) -> nodes.bullet_list:
        items = (nodes.list_item("", nodes.paragraph("", "", *row)) for row in rows)
        return nodes.bullet_list("", *items, classes=["ledger"])

    def _number(self, env: BuildEnvironment, label: str) -> nodes.Node:
        target = nodes.literal("", label)
        return addnodes.pending_xref(
            "", target, refdomain="math", reftype="eq", reftarget=label, refdoc=env.docname, refwarn=True
        )

    def _equations(self, env: BuildEnvironment, found: list[ledger.Equation]) -> list[nodes.Node]:
        built: dict[str, list[list[nodes.Node]]] = {}
        for equation in found:
            proof = derivation(env, equation.proof)
            row = [self._number(env, equation.label), nodes.Text(f" {proof.title}. ")]
            row += [nodes.emphasis("", ledger.check(proof)), nodes.Text(" · ")]
            row.append(_link(env, equation.proof, equation.proof))
            built.setdefault(equation.page, []).append(row)
        parts: list[nodes.Node] = []
        for page, rows in built.items():
            title = addnodes.pending_xref(
                "", nodes.Text(page), refdomain="std", reftype="doc", reftarget=f"/{page}",
                refexplicit=False, refwarn=True, refdoc=env.docname,
            )  # fmt: skip
            parts += [nodes.paragraph("", "", nodes.strong("", "", title)), self._items(rows)]
        return parts

    def _code(self, env: BuildEnvironment, found: list[ledger.Equation]) -> nodes.Node:
        printed = {equation.proof: equation.label for equation in found}
        rows: dict[str, list[nodes.Node]] = {}
        for name, place in sorted(ledger.proofs().code().items(), key=lambda item: item[1]):
            row = rows.setdefault(place, [_link(env, place, place), nodes.Text(" against ")])
            row += [nodes.Text(", ")] * (len(row) > 2)
            row.append(self._number(env, printed[name]) if name in printed else _link(env, name, name))
        return self._items(list(rows.values()))

    def _axioms(self, env: BuildEnvironment, found: list[ledger.Equation]) -> nodes.Node:
        labels = {equation.proof: equation.label for equation in found}
        rows: list[list[nodes.Node]] = []
        for name in ledger.proofs().derivations():
            for reason in checked.checked(name).axioms:
                place = [self._number(env, labels[name])] if name in labels else [_link(env, name, name)]
                words = [
                    nodes.math(part, part) if i % 2 else nodes.Text(part)
                    for i, part in enumerate(reason.split("$"))
                ]
                rows.append([*place, nodes.Text(": "), *words])
        return self._items(rows)

    def _unprinted(self, env: BuildEnvironment, found: list[ledger.Equation]) -> nodes.Node:
        printed = {equation.proof for equation in found}
        rest = [name for name in ledger.proofs().derivations() if name not in printed]
        return self._items([[_link(env, n, n), nodes.Text(f" {checked.checked(n).title}.")] for n in rest])

    def _counts(self, env: BuildEnvironment, found: list[ledger.Equation]) -> nodes.Node:
        built = [checked.checked(name) for name in ledger.proofs().derivations()]
        kinds = Counter(kind for proof in built for kind in proof.kinds)
        printed = sum(bool(equation.proof) for equation in found)
        rows = [
            f"Numbered equations in the book: {len(found)}. Printed from a checked object: {printed}.",
            f"Derivations: {len(built)}. Lines after the first: {kinds.total()}, of them {kinds['algebra']} "
            f"equalities, {kinds['calculus']} inequalities, {kinds['limit']} limits, "
            f"{kinds['definition']} definitions and {kinds['axiom']} axiom.",
            f"Derivations that the library implements, and is tested against: {len(ledger.proofs().code())}.",
        ]
        return self._items([[nodes.Text(row)] for row in rows])


# Hooks


def _as_named(output: dict[str, Any], mime: str) -> bytes:
    """The bytes after whose hash MyST-NB names an output's image file."""
    data = pictures.decoded(output, mime)
    return data if mime == pictures.PNG else os.linesep.join(data.decode().splitlines()).encode()


def _shown(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> nodes.container:
    """An output of a lab on the lab's own page."""
    try:
        return nodes.container("", *drawn(env, stem, key, output), classes=["lab-output"])
    except MissingError as missing:
        logger.warning("%s", missing, location=env.docname, type="lowerbound", subtype="lab")
        return nodes.container("")


def _ways_to_run(app: Sphinx, docname: str) -> nodes.paragraph:
    """Links to run, read or fetch a notebook, from the address of the repository in the settings."""
    options = app.config.html_theme_options
    address = str(options.get("repository_url", "")).rstrip("/")
    branch = options.get("repository_branch") or "main"
    colab = str(options.get("launch_buttons", {}).get("colab_url", "")).rstrip("/")
    file = f"blob/{branch}/{docname}.ipynb"
    ways = {"Download": f"{'../' * docname.count('/')}_sources/{docname}.ipynb"}
    if address:
        ways = {"View on GitHub": f"{address}/{file}"} | ways
    if address and colab:
        ways = {"Open in Colab": f"{colab}/github/{'/'.join(address.split('/')[-2:])}/{file}"} | ways
    row = nodes.paragraph(classes=["ways-to-run"])
    for name, uri in ways.items():
        row += nodes.reference("", "", nodes.Text(name), refuri=uri, internal=False)
    return row


def describe_lab(app: Sphinx, doctree: nodes.document) -> None:
    """Show the figures of a lab page as a chapter does, each with a label lab-STEM-key; leave out the setup
    cell and the state of the widgets, which only a notebook needs. Assignments have the former alone."""
    docname = app.env.docname
    folder, _, stem = docname.rpartition("/")
    if folder not in (LABS, STUDENT) or Path(app.env.doc2path(docname)).suffix != ".ipynb":
        return
    first = next((node for node in doctree.children if isinstance(node, nodes.container)), None)
    if first is not None and (first.get("nb_element"), first.get("cell_index")) == ("cell_code", 0):
        doctree.remove(first)  # it stands before the title, and installs the library where it is missing
    heading = next(iter(doctree.findall(nodes.title)), None)
    if heading is not None:
        heading.parent.insert(1, addnodes.only("", _ways_to_run(app, docname), expr="html"))
    if folder == STUDENT:
        return
    found = outputs(read_json(app.env, LABS, f"{stem}.ipynb"))
    views = {
        o["data"][pictures.VIEW]["model_id"]: key for key, o in found.items() if pictures.VIEW in o["data"]
    }
    hashes: dict[str, list[str]] = {}  # of what MyST-NB names the image files after; keys in order
    for key, output in found.items():
        for mime in (
            set(pictures.SUFFIXES) & set(output["data"]) if pictures.VIEW not in output["data"] else ()
        ):
            hashes.setdefault(hashlib.sha256(_as_named(output, mime)).hexdigest(), []).append(key)
    place: dict[str, nodes.Element] = {}
    for image in list(doctree.findall(nodes.image)):
        for key in hashes.get(Path(image["uri"]).stem, [])[:1]:
            hashes[Path(image["uri"]).stem].remove(key)
            place[key] = _shown(app.env, stem, key, found[key])
            image.replace_self(place[key])
    for raw in list(doctree.findall(nodes.raw)):
        for key in [
            key for model, key in views.items() if pictures.VIEW in raw.astext() and model in raw.astext()
        ]:
            place[key] = _shown(app.env, stem, key, found[key])
            raw.replace_self(place[key])
    NbMetadataCollector.get_doc_data(app.env)[docname].get("js_files", {}).clear()
    labels = app.env.get_domain("std")
    for section in doctree.findall(nodes.section):
        if section[0].astext() == PROOFS:
            labels.note_hyperlink_target(f"proofs-{stem}", docname, section["ids"][0], PROOFS)  # type: ignore[attr-defined]
    for key, node in place.items():
        label = f"lab-{stem}-{key}"
        node["ids"].append(label.replace("_", "-"))
        node["lab"] = key
        labels.note_hyperlink_target(label, docname, node["ids"][-1], key)  # type: ignore[attr-defined]


def note_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Remember which numbered figure of a page shows which output of a lab."""
    shown = {figure["lab"]: figure["ids"][0] for figure in doctree.findall(nodes.figure) if "lab" in figure}
    _figures(app.env)[app.env.docname] = shown


def _figures(env: BuildEnvironment) -> dict[str, dict[str, str]]:
    """Lab outputs shown on each page: {page: {STEM:key: id of the figure}}."""
    if not hasattr(env, "lab_figures"):
        env.lab_figures = {}  # type: ignore[attr-defined]
    return env.lab_figures  # type: ignore[attr-defined,no-any-return]


def forget_figures(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    _figures(env).pop(page, None)


def merge_figures(app: Sphinx, env: BuildEnvironment, pages: list[str], other: BuildEnvironment) -> None:
    _figures(env).update({page: shown for page, shown in _figures(other).items() if page in pages})


def link_back(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Below an output on a lab's page, link to the figure of the book that explains it."""
    folder, _, stem = page.rpartition("/")
    if folder != LABS:
        return
    for place in list(doctree.findall(nodes.container)):
        for chapter, shown in _figures(app.env).items():
            name = shown.get(f"{stem}:{place.get('lab', '')}")
            number = app.env.toc_fignumbers.get(chapter, {}).get("figure", {}).get(name)
            if number:
                uri = f"{app.builder.get_relative_uri(page, chapter)}#{name}"
                label = f"Fig. {'.'.join(map(str, number))}"
                link = nodes.reference("", "", nodes.Text(label), refuri=uri, internal=True)
                place += nodes.paragraph("", "In the book: ", link, classes=["in-the-book"])


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Leave out sphinx-thebe's scripts: registered twice, and no page runs code."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in str(getattr(script, "filename", "")).lower()
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


def name_entries(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the bibliography's entries the role that a list wants; docutils' own is no longer in ARIA."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def describe_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say in the page's head what it is about, in the words of its first paragraph without formulas."""
    for paragraph in doctree.findall(nodes.paragraph) if doctree else ():
        words = " ".join(paragraph.astext().split())
        plain = isinstance(paragraph.parent, nodes.section) and not list(paragraph.findall(nodes.math))
        if plain and len(words) > LONG_ENOUGH and words[0].isupper():
            about = textwrap.shorten(words, DESCRIPTION, placeholder="…")
            context["metatags"] += f'<meta name="description" content="{html.escape(about)}" />\n'
            return


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("lab", TextRole(note_text))
    app.add_role("result", TextRole(result_text))
    checked.setup(app)
    formulas.setup(app)
    pictures.setup(app)
    minutes.setup(app)
    symbols.setup(app)
    app.add_directive("labfigure", LabFigure)
    app.add_directive("results", Results)
    app.add_directive("derivation", DerivationDirective)
    app.add_directive("ledger", Ledger)
    app.connect("doctree-read", describe_lab, priority=400)  # before images are collected
    app.connect("doctree-read", note_figures)
    app.connect("env-purge-doc", forget_figures)
    app.connect("env-merge-info", merge_figures)
    app.connect("doctree-resolved", link_back)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", name_entries)
    app.connect("html-page-context", describe_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
