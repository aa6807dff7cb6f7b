"""What a student gets back: points, messages, and the notebook as it ran. No line of a hidden test."""

from __future__ import annotations

from html import escape
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from tools.grading.assignment import Assignment, cell_id
from tools.grading.judge import Verdict


def page(
    assignment: Assignment,
    verdict: Verdict,
    notebook: NotebookNode | None,
    by_hand: dict[tuple[str, str, str], tuple[str, str]],
) -> str:
    """HTML. What the student wrote is shown as text: scripts in it do not run."""
    hand = {
        cell.id: by_hand.get((verdict.student, assignment.name, cell.id), ("", ""))
        for cell in assignment.written
    }
    shown: list[Any] = [nbformat.v4.new_markdown_cell(_summary(assignment, verdict, hand))]
    ours = {cell.id: cell for cell in assignment.cells}
    release = {cell_id(node): node for node in assignment.released.cells}
    for node in notebook.cells if notebook is not None else []:
        name = cell_id(node)
        if name in ours and ours[name].kind == "test":
            node = release[name]
        shown.append(node)
    made = nbformat.v4.new_notebook(cells=[_bare(node) for node in shown])
    exporter = HTMLExporter(sanitize_html=True, embed_images=False)
    body, _ = exporter.from_notebook_node(
        made, {"metadata": {"name": f"{assignment.name}: {verdict.student}"}}
    )
    return str(body)


def _bare(node: NotebookNode) -> NotebookNode:
    """A cell without metadata that a template would obey."""
    if node.cell_type == "code":
        return nbformat.v4.new_code_cell(
            node.source, outputs=node.get("outputs", []), execution_count=node.get("execution_count")
        )
    return nbformat.v4.new_markdown_cell(node.source)


def _summary(assignment: Assignment, verdict: Verdict, hand: dict[str, tuple[str, str]]) -> str:
    """The table of points, as HTML in a markdown cell."""
    rows = [
        (cell.id, f"{verdict.marks[cell.id][0]:g}", cell.points, verdict.marks[cell.id][1] or "passed")
        for cell in assignment.tests
    ]
    rows += [
        (cell.id, hand[cell.id][0] or "–", cell.points, hand[cell.id][1] or "graded by hand")
        for cell in assignment.written
    ]
    total = verdict.points + sum(float(points) for points, _ in hand.values() if points)
    lines = [f"# {escape(assignment.name)}: {escape(verdict.student)}", ""]
    lines += [f"**{total:g}** of {sum(row[2] for row in rows):g} points so far.", ""]
    lines += [f"Not graded: {escape(verdict.refused)}", ""] if verdict.refused else []
    lines += [f"- {escape(note)}" for note in verdict.notes]
    lines += ["", "<table><thead><tr><th>task</th><th>points</th><th>of</th><th></th></tr></thead><tbody>"]
    lines += [
        f"<tr><td>{escape(name)}</td><td>{points}</td><td>{of:g}</td><td>{escape(message)}</td></tr>"
        for name, points, of, message in rows
    ]
    return "\n".join([*lines, "</tbody></table>", ""])
