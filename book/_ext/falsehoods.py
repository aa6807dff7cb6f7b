"""The table of what the engine must refuse, on the page that says how the book is checked."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx
from words import in_words, translated

TABLE = Path("tests", "proofs", "lines.py")


def table(root: Path) -> Any:
    """The module that holds the table: tests try every entry of it."""
    spec = importlib.util.spec_from_file_location("engine_lines", root / TABLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(entries: Any) -> Iterator[tuple[str, list[str]]]:
    """Each kind in words, and the names of its entries."""
    for kind, group in entries.items():
        words, names = group if isinstance(group, tuple) else (kind, group)
        yield words, list(names)


class Falsehoods(Directive):
    """The kinds of lines that the tests try, how many of each, and a few by name: `refused` or `accepted`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"shown": directives.nonnegative_int}

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        env.note_dependency(str(Path(env.srcdir, TABLE)))
        lines = table(Path(env.srcdir))
        kinds = list(rows(lines.FALSE if self.arguments[0] == "refused" else lines.TRUE))
        shown = self.options.get("shown", 4)
        total = sum(len(names) for _, names in kinds)
        body = nodes.tbody()
        for words, names in kinds:
            more = (
                translated(", and {more} more").format(more=len(names) - shown) if len(names) > shown else ""
            )
            cells = (in_words(words), str(len(names)), "; ".join(map(in_words, names[:shown])) + more)
            body += nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))
        head = nodes.row(
            "",
            *(
                nodes.entry("", nodes.paragraph("", word))
                for word in (translated("kind"), translated("tried"), translated("for example"))
            ),
        )
        group = nodes.tgroup(
            "", *(nodes.colspec(colwidth=width) for width in (34, 8, 58)), nodes.thead("", head), body, cols=3
        )
        caption = translated("{total} lines that the engine must accept, by kinds.")
        if self.arguments[0] == "refused":
            caption = translated("{total} lines that the engine must refuse, by kinds.")
        title = nodes.title("", caption.format(total=total))
        made = nodes.table("", title, group, names=[f"tab-checked-{self.arguments[0]}"])
        self.state.document.note_explicit_target(made, made)
        return [made]


def setup(app: Sphinx) -> None:
    app.add_directive("falsehoods", Falsehoods)
