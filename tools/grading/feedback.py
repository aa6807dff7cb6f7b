"""What a student gets back: points, messages, and the notebook as it ran. No line of a hidden test."""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

import bleach
import nbformat
from lowerbound.language import say
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from tools.grading.assignment import Assignment, cell_id
from tools.grading.judge import Verdict


def page(
    assignment: Assignment,
    verdict: Verdict,
    notebook: NotebookNode | None,
    hand: dict[str, tuple[float | None, str]],
    late: str = "",
    taken: float = 0.0,
) -> str:
    """HTML. What the student wrote is shown as text: scripts in it do not run.

    hand: points and comment by task. late: how late it is, in words. taken: the share that is taken off.
    """
    shown: list[Any] = [nbformat.v4.new_markdown_cell(_summary(assignment, verdict, hand, late, taken))]
    ours = {cell.id: cell for cell in assignment.cells}
    release = {cell_id(node): node for node in assignment.released.cells}
    for node in notebook.cells if notebook is not None else []:
        name = cell_id(node)
        if name in ours and ours[name].kind == "test":
            node = release[name]
        shown.append(node)
    made = nbformat.v4.new_notebook(cells=[_bare(node) for node in shown])
    body, _ = _exporter().from_notebook_node(
        made, {"metadata": {"name": f"{assignment.name}: {verdict.student}"}}
    )
    return str(body)


# What text is made of. nbconvert's own cleaning shows the tags of headings, paragraphs and folds as text.
TAGS = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "pre", "div", "span", "del", "sup", "sub"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "details", "summary"}


def _clean(html: Any) -> str:
    """What text is made of; every other tag is shown as text."""
    text = html.decode() if isinstance(html, bytes) else str(html)
    attributes = {**bleach.ALLOWED_ATTRIBUTES, "*": ["class", "id"], "details": ["open"]}
    return str(bleach.clean(text, tags={*bleach.ALLOWED_TAGS, *TAGS}, attributes=attributes))


@cache
def _exporter() -> HTMLExporter:
    return HTMLExporter(sanitize_html=True, embed_images=False, filters={"clean_html": _clean})


def _bare(node: NotebookNode) -> NotebookNode:
    """A cell without metadata that a template would obey."""
    if node.cell_type == "code":
        return nbformat.v4.new_code_cell(
            node.source, outputs=node.get("outputs", []), execution_count=node.get("execution_count")
        )
    return nbformat.v4.new_markdown_cell(node.source)


def _summary(
    assignment: Assignment,
    verdict: Verdict,
    hand: dict[str, tuple[float | None, str]],
    late: str,
    taken: float,
) -> str:
    """The table of points, as HTML in a markdown cell."""
    none = 0.0, f"not run: {verdict.refused}"
    marks = [(cell, *verdict.marks.get(cell.id, none)) for cell in assignment.tests]
    rows = [(cell.id, f"{points:g}", cell.points, say(says) or "passed") for cell, points, says in marks]
    rows += [
        (cell.id, _points(hand[cell.id][0]), cell.points, hand[cell.id][1] or _waits(hand[cell.id][0]))
        for cell in assignment.written
    ]
    total = (verdict.points + sum(filter(None, (points for points, _ in hand.values())))) * (1 - taken)
    waiting = any(points is None for points, _ in hand.values())
    lines = [f"# {escape(assignment.name)}: {escape(verdict.student)}", ""]
    lines += [f"**{total:g}** of {sum(row[2] for row in rows):g} points{' so far' if waiting else ''}.", ""]
    lines += [f"{escape(late)}.", ""] if late else []
    lines += [f"Not graded: {escape(verdict.refused)}", ""] if verdict.refused else []
    lines += [f"- {escape(note)}" for note in verdict.notes]
    lines += ["", "<table><thead><tr><th>task</th><th>points</th><th>of</th><th></th></tr></thead><tbody>"]
    for name, points, of, message in rows:
        cells = escape(name), points, f"{of:g}", "<br>".join(escape(message).splitlines())
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return "\n".join([*lines, "</tbody></table>", ""])


def _points(points: float | None) -> str:
    return "–" if points is None else f"{points:g}"


def _waits(points: float | None) -> str:
    return "not graded yet" if points is None else "graded by hand"
