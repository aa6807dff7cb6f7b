"""A course's grades: results by assignment, which stay, and the tables and pages that are made from them.

OUT/course.json                 dates, lateness, Canvas' titles: to be edited
OUT/grades.csv                  a row for each student, a column for each assignment
OUT/submissions.csv             every file, and whether it counts
OUT/canvas.csv                  for Canvas' gradebook
OUT/A2_vae/grades.csv, tests.csv, moodle.csv
OUT/A2_vae/written.csv          points by hand go here
OUT/A2_vae/feedback/, feedback.zip
OUT/A2_vae/results/KEY.json     what a run gave
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections import Counter
from dataclasses import asdict, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tools import jobs
from tools.grading import sheets
from tools.grading.assignment import Assignment, Cell
from tools.grading.feedback import page
from tools.grading.intake import Submission
from tools.grading.judge import Verdict
from tools.grading.submissions import OUR_FAULT

WRITTEN = ("key", "student", "cell", "of", "points", "comment", "late", "rubric", "answer")
GRADES = (
    "key", "student", "total", "of", "automatic", "automatic_of", "by_hand", "by_hand_of", "waiting", "late",
    "deducted", "note",
)  # fmt: skip
FILES = ("file", "key", "student", "assignment", "time", "counts")
SETTINGS: dict[str, Any] = {
    "due": {},
    "late": {"percent_per_day": 0, "at_most_percent": 100, "grace_minutes": 15},
    "canvas_titles": {},
}
Hand = dict[tuple[str, str], tuple[float | None, str]]  # by student and cell: points and comment


class Course:
    """The folder of a course. Raises SheetError where its tables cannot be read."""

    def __init__(self, out: Path, known: dict[str, Assignment]) -> None:
        self.out, self.known = out, known
        self.problems: set[str] = set()  # tables that a person has spoiled while others were graded

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What course.json says; what it leaves out is as in SETTINGS."""
        path = self.out / "course.json"
        try:
            own = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            made = {name: {**value, **own.get(name, {})} for name, value in SETTINGS.items()}
            for moment in made["due"].values():
                datetime.fromisoformat(moment)
        except (ValueError, AttributeError, TypeError) as error:
            raise sheets.SheetError(f"{path} cannot be read: {error}") from error
        return made

    def set_due(self, assignment: str, moment: str) -> None:
        """Note when an assignment is due, local time as in "2026-11-20 23:59"."""
        datetime.fromisoformat(moment)
        self.settings["due"][assignment] = moment
        jobs.write(self.out / "course.json", self.settings)

    # What runs gave

    def pending(
        self, found: list[Submission], again: bool = False, student: str = ""
    ) -> tuple[list[Submission], list[Submission]]:
        """What is to be run: not yet graded, changed, or to be graded again. And all, with why not."""
        todo, all_of_them = [], []
        for made in found:
            if not made.problem:
                kept = self._stored(made)
                before = self._result(made.assignment, made.key)
                if before and before["when"] > made.when and before["file"] != made.path.stem:
                    made = replace(made, problem=f"not counted: one of {before['when']} has been graded")
                elif not student or student in (made.key, made.student):
                    todo += [made] if kept is None or again or student else []
            all_of_them.append(made)
        self._note(all_of_them, [])
        return todo, all_of_them

    def keep(self, submission: Submission, verdict: Verdict, made: Any) -> float | None:
        """Store what a run gave. Returns the automatic points of the run before, if there was one."""
        assignment = self.known[submission.assignment]
        before = self._result(assignment.name, submission.key)
        graded: Hand = {}
        try:
            graded = self.by_hand(assignment)
        except sheets.SheetError as error:
            self.problems.add(str(error))
        changed = [
            cell
            for cell, answer in (before or {}).get("answers", {}).items()
            if graded.get((submission.key, cell), (None, ""))[0] is not None
            and answer != verdict.answers.get(cell, "")
        ]
        told: dict[str, Any] = {"key": submission.key, "student": submission.student, "when": submission.when}
        told |= {"late": submission.late, "folder": submission.folder, "file": submission.path.stem}
        result = {**asdict(verdict), **told, "changed": changed, "notebook": made or ""}
        result["before"] = [*before["before"], _automatic(before)] if before else []
        path = self._path(assignment.name, submission.key)
        jobs.write(path, {"key": jobs.fingerprint(self._digest(submission)), "result": result})
        if not self.problems:
            self.tables(assignment)
        return result["before"][-1] if before else None

    def _path(self, assignment: str, key: str) -> Path:
        return self.out / assignment / "results" / f"{key}.json"

    def _digest(self, submission: Submission) -> list[str]:
        return [submission.path.stem, nbformat.writes(self.known[submission.assignment].notebook)]

    def _stored(self, submission: Submission) -> Any:
        """What a run of this very file gave, or None; what our side could not run counts for none."""
        path = self._path(submission.assignment, submission.key)
        kept = jobs.stored(path, self._digest(submission), replace=True)
        return None if kept and kept["result"]["refused"].startswith(OUR_FAULT) else kept

    def _result(self, assignment: str, key: str) -> Any:
        try:
            return json.loads(self._path(assignment, key).read_text(encoding="utf-8"))["result"]
        except (OSError, ValueError, KeyError):
            return None

    def results(self, assignment: Assignment) -> list[Any]:
        """All results of an assignment, by student."""
        paths = sorted((self.out / assignment.name / "results").glob("*.json"))
        found = [self._result(assignment.name, path.stem) for path in paths]
        return sorted((one for one in found if one), key=lambda one: (one["student"].casefold(), one["key"]))

    def _note(self, found: list[Submission], left_out: list[tuple[str, str]]) -> None:
        """Add to submissions.csv: what was handed in, and whether it counts."""
        path, rows = self.out / "submissions.csv", {}
        if path.is_file():
            for _, row in sheets.read(path, FILES)[0]:
                rows[row["file"]] = [row[name] for name in FILES]
        for one in found:
            told = [one.source, one.key, one.student, one.assignment, one.when, one.problem or "yes"]
            rows[one.source] = told
        for source, why in left_out:
            rows[source] = [source, "", "", "", "", why]
        sheets.write(path, FILES, [rows[source] for source in sorted(rows)])

    def list_left_out(self, left_out: list[tuple[str, str]]) -> None:
        """Note the files that are no submission."""
        self._note([], left_out)

    # What people gave

    def by_hand(self, assignment: Assignment) -> Hand:
        """Points and comments in written.csv. Raises SheetError, with every row that has to be mended."""
        path = self.out / assignment.name / "written.csv"
        if not path.is_file():
            return {}
        of = {cell.id: cell.points for cell in assignment.written}
        rows, _ = sheets.read(path, ("key", "cell", "points", "comment"))
        given: Hand = {}
        wrong = []
        for number, row in rows:
            key, cell = row["key"].strip().lstrip("'"), row["cell"].strip()
            where = f"{path}, row {number}"
            if cell not in of:
                column = sheets.column(WRITTEN, "cell")
                wrong.append(f"{where}, column {column}: no task {cell!r} in {assignment.name}")
                continue
            try:
                points = sheets.points(row["points"], of[cell])
            except ValueError as error:
                wrong.append(f"{where}, column {sheets.column(WRITTEN, 'points')} (points): {error}")
                continue
            if (key, cell) in given and given[key, cell] != (points, row["comment"]):
                wrong.append(f"{where}: {key} has {cell} twice")
            given[key, cell] = points, row["comment"]
        if wrong:
            raise sheets.SheetError("\n".join(wrong))
        return given

    def deduction(self, assignment: str, result: Any) -> tuple[str, float]:
        """How late a submission is, in words, and the share that is taken off."""
        due, policy = self.settings["due"].get(assignment), self.settings["late"]
        over = 0.0
        if due and result["when"]:
            gap = datetime.fromisoformat(result["when"]) - datetime.fromisoformat(due)
            over = gap.total_seconds() - 60 * policy["grace_minutes"]
        if over <= 0 and not result["late"]:
            return "", 0.0
        days = max(1, math.ceil(over / 86400))
        share = min(days * policy["percent_per_day"], policy["at_most_percent"]) / 100
        words = f"{days} day{'s' if days > 1 else ''} late"
        return f"{words}: −{100 * share:g} %" if share else f"{words}, nothing taken off", share

    def totals(self, assignment: Assignment, result: Any, hand: Hand) -> dict[str, Any]:
        """A student's row of grades.csv."""
        given = [hand.get((result["key"], cell.id), (None, ""))[0] for cell in assignment.written]
        by_hand, automatic = sum(filter(None, given)), _automatic(result)
        late, share = self.deduction(assignment.name, result)
        of = sum(c.points for c in assignment.tests), sum(c.points for c in assignment.written)
        unread = 0 if result["refused"] and not result["answers"] else sum(points is None for points in given)
        notes = [*([result["refused"]] if result["refused"] else []), *result["notes"]]
        if result["changed"]:
            notes.append(f"handed in again, graded by hand before that: {', '.join(result['changed'])}")
        taken = round((automatic + by_hand) * share, 2)
        row = (
            result["key"], result["student"], automatic + by_hand - taken, sum(of), automatic, of[0], by_hand,
            of[1], unread, late, taken, "; ".join(notes),
        )  # fmt: skip
        return dict(zip(GRADES, row, strict=True))

    # Tables and pages

    def tables(self, assignment: Assignment) -> list[dict[str, Any]]:
        """Write an assignment's tables from its results and written.csv. Returns the rows of grades.csv."""
        folder, hand, delimiter = self.out / assignment.name, self.by_hand(assignment), ","
        if (folder / "written.csv").is_file():
            delimiter = sheets.read(folder / "written.csv", ("key",))[1]
        rows, written, tests = [], [], []
        for result in self.results(assignment):
            rows.append(self.totals(assignment, result, hand))
            late = self.deduction(assignment.name, result)[0]
            for cell in assignment.written:
                points, comment = hand.pop((result["key"], cell.id), (None, ""))
                about = [result["key"], result["student"], cell.id, cell.points]
                given = ["" if points is None else points, comment, late, rubric(cell)]
                written.append([*about, *given, result["answers"].get(cell.id, "")[:5000]])
            for test in assignment.tests:
                points, message = result["marks"].get(test.id, (0.0, result["refused"]))
                about = [result["key"], result["student"], test.id, points, test.points]
                tests.append([*about, " ".join(message.split())])
        for (key, task), (points, comment) in hand.items():  # of whom there is no result now: kept
            written.append([key, "", task, "", "" if points is None else points, comment, "", "", ""])
        sheets.write(folder / "grades.csv", GRADES, [[*row.values()] for row in rows])
        sheets.write(folder / "tests.csv", ("key", "student", "test", "points", "of", "message"), tests)
        sheets.write(folder / "written.csv", WRITTEN, written, delimiter)
        return rows

    def finish(self, submission: Submission, verdict: Verdict, notebook: NotebookNode | None) -> str:
        """In the process that has graded it: the notebook as it ran, to be kept."""
        return "" if notebook is None else str(nbformat.writes(notebook))

    def write_page(self, assignment: Assignment, result: Any, hand: Hand, name: str) -> str:
        """A student's feedback page; returns it."""
        fields = {key: result[key] for key in ("assignment", "refused", "seconds", "answers", "notes")}
        verdict = Verdict(result["student"], **fields)
        verdict.marks = {test: (points, says) for test, (points, says) in result["marks"].items()}
        notebook = nbformat.reads(result["notebook"], as_version=4) if result["notebook"] else None
        given = {cell.id: hand.get((result["key"], cell.id), (None, "")) for cell in assignment.written}
        late, share = self.deduction(assignment.name, result)
        body = page(assignment, verdict, notebook, given, late, share)
        path = self.out / assignment.name / "feedback" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
        return body

    def report(self) -> list[str]:
        """Everything that is made of results and points by hand. Returns a line for each assignment."""
        graded = [a for a in self.known.values() if (self.out / a.name / "results").is_dir()]
        hands = {a.name: self.by_hand(a) for a in graded}  # all are read before any is written
        rows = {assignment.name: self.tables(assignment) for assignment in graded}
        lines = []
        for assignment in graded:
            folder, results = self.out / assignment.name, self.results(assignment)
            with zipfile.ZipFile(folder / "feedback.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for result in results:
                    body = self.write_page(assignment, result, hands[assignment.name], result["key"])
                    archive.writestr(_place(result, assignment.name), body)
            self._moodle(assignment, rows[assignment.name])
            waiting = sum(row["waiting"] for row in rows[assignment.name])
            lines.append(
                f"{assignment.name}: {len(results)} students, "
                + (
                    f"{waiting} answers wait for points in {folder}/written.csv"
                    if waiting
                    else "all is graded"
                )
            )
        self._overview(rows)
        self._canvas(rows)
        return lines

    def _overview(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """grades.csv of the course: a row for each student. Two who cannot be told apart have a row each."""
        doubled = {
            row["student"]
            for group in rows.values()
            for row in group
            if row["key"][:1] == "m" and Counter(r["student"] for r in group)[row["student"]] > 1
        }
        people: dict[str, dict[str, Any]] = {}
        for name, group in rows.items():
            for row in group:
                person = _person(row["key"], row["student"], doubled)
                people.setdefault(person, {"student": row["student"]})[name] = row["total"]
        names = list(rows)
        table = []
        for person, entry in sorted(people.items()):
            note = (
                "another student has this name: join the rows by hand" if entry["student"] in doubled else ""
            )
            values = [entry.get(name, "") for name in names]
            table.append([person, entry["student"], *values, sum(v for v in values if v != ""), note])
        sheets.write(self.out / "grades.csv", ("key", "student", *names, "sum", "note"), table)

    def _moodle(self, assignment: Assignment, rows: list[dict[str, Any]]) -> None:
        """For Moodle's "Upload grading worksheet"."""
        head = ("Identifier", "Full name", "Grade", "Maximum Grade", "Feedback comments")
        table = [
            [f"Participant {row['key'][1:]}", row["student"], row["total"], row["of"], row["late"]]
            for row in rows
            if re.fullmatch(r"m\d+", row["key"])
        ]
        if table:
            sheets.write(self.out / assignment.name / "moodle.csv", head, table)

    def _canvas(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """For Canvas' "Import" of a gradebook: its own student number, and a column for each assignment."""
        people: dict[str, tuple[str, dict[str, float]]] = {}
        for name, group in rows.items():
            for row in group:
                if re.fullmatch(r"c\d+", row["key"]):
                    people.setdefault(row["key"][1:], (row["student"], {}))[1][name] = row["total"]
        if not people:
            return
        names = [name for name in rows if any(name in grades for _, grades in people.values())]
        titles = [self.settings["canvas_titles"].get(name, name) for name in names]
        of = [
            sum(cell.points for cell in [*self.known[name].tests, *self.known[name].written])
            for name in names
        ]
        head = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles)
        table: list[list[Any]] = [["    Points Possible", "", "", "", "", *of]]
        for number, (student, grades) in sorted(people.items(), key=lambda item: item[1][0]):
            table.append([student, number, "", "", "", *(grades.get(name, "") for name in names)])
        sheets.write(self.out / "canvas.csv", head, table)


def _automatic(result: Any) -> float:
    return float(sum(points for points, _ in result["marks"].values()))


def _person(key: str, student: str, doubled: set[str]) -> str:
    """Who a key is in every assignment: Moodle numbers a student anew in each, so there it is the name."""
    return f"{student} ({key})" if student in doubled else student if re.fullmatch(r"m\d+", key) else key


def _place(result: Any, assignment: str) -> str:
    """The name in feedback.zip by which Moodle and Canvas know whose it is."""
    if re.fullmatch(r"c\d+", result["key"]):
        return f"{result['folder']}.html"
    return f"{result['folder']}/{assignment}.html"


def rubric(cell: Cell) -> str:
    """What the source says on how to give the points of an answer."""
    if not cell.code:
        return cell.source.partition("**Rubric.**")[2].strip()
    lines = cell.source.splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip().startswith("# Rubric:")), None)
    if start is None:
        return ""
    block = [lines[start].strip().removeprefix("# Rubric:")]
    for line in lines[start + 1 :]:
        if not line.strip().startswith("# "):
            break
        block.append(line.strip().removeprefix("#"))
    return " ".join(part.strip() for part in block)
