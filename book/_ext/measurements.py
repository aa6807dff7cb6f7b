"""Numbers of results/*.json: in a sentence (role result) and as a table (directive results)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from labs import in_repository
from sources import MissingError, TextRole, instead, read_json
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from words import in_words, translated

RESULTS = "results"
SIZE = "0.5M"  # of the trainings that chapter 5 compares


def comparison_tables(env: BuildEnvironment) -> dict[str, Any]:
    """The tables that are made of results/comparison: `results.card`, `shipped_table` and the like."""
    folder = Path(env.srcdir, RESULTS, "comparison")
    names = sorted(f"comparison/{path.name}" for path in folder.glob("*.json"))
    found = {Path(name).stem: read_json(env, RESULTS, name)["result"] for name in names}
    results = import_module("lowerbound.results")  # of lib/, which is on the path by now
    both = ("latent_prior.json", "latent_more.json")
    latent = [run for name in both for run in read_json(env, RESULTS, name)["runs"]]
    ways = results.ways_table(latent, found)
    return {
        "card": results.card(found),
        "shipped": results.shipped_table(found),
        "ways": ways,
        "trained": results.trained_table(found, SIZE),
        "drawn": results.drawn_table(found, SIZE),
    }


def result_at(env: BuildEnvironment, name: str, path: str) -> Any:
    """What the results file holds at a dotted path; "comparison" is no file, but its tables."""
    value = comparison_tables(env) if name == "comparison" else read_json(env, RESULTS, name)
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
            rows = [[in_words(cell) for cell in row] for row in rows]
        except MissingError as error:
            return instead(self, env, error)
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in pairs), cols=len(pairs))
        for part, lines in ((nodes.thead, [[pair[0] for pair in pairs]]), (nodes.tbody, rows)):
            entries = [[nodes.entry("", nodes.paragraph("", text)) for text in line] for line in lines]
            group += part("", *(nodes.row("", *line) for line in entries))
        name = self.arguments[0].partition(":")[0].strip()
        return [nodes.table("", group, classes=["measured"], data=f"{RESULTS}/{name}")]


def link_data(app: Sphinx, doctree: nodes.document) -> None:
    """Below a table, a link to the file that it is read from, where the repository has an address."""
    for table in list(doctree.findall(nodes.table)):
        name = table.get("data", "")
        if name and (uri := in_repository(app.config, name)):
            link = nodes.reference("", "", nodes.Text(name), refuri=uri, internal=False)
            below = nodes.paragraph("", translated("Data: "), link, classes=["data"])
            table.parent.insert(table.parent.index(table) + 1, below)


def said(env: BuildEnvironment, target: str) -> str:
    """What a results file holds, in the language of the edition."""
    return in_words(result_text(env, target))


def setup(app: Sphinx) -> None:
    app.add_role("result", TextRole(said))
    app.add_directive("results", Results)
    app.connect("doctree-read", link_data)
