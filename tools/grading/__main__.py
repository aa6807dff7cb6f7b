"""`python -m tools.grading build` makes student versions, `grade` runs what comes back, `report` sums up."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

import nbformat
from lowerbound import language

from tools.grading.assignment import SOURCES, VIETNAMESE, assignments

STUDENT = SOURCES / "student"


def build(folder: Path = STUDENT, sources: Path = SOURCES) -> list[Path]:
    """Write the student version of every assignment; returns the files."""
    folder.mkdir(exist_ok=True)
    written = []
    for name, assignment in assignments(sources).items():
        path = folder / f"{name}.ipynb"
        path.write_text(nbformat.writes(assignment.released) + "\n", encoding="utf-8")
        written.append(path)
    return written


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    from tools.grading.sandbox import Limits

    parser = argparse.ArgumentParser(prog="python -m tools.grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="write the student versions")
    commands.add_parser("places", help="read from the built pages where the checks' messages point")
    commands.add_parser("table", help="grade solutions, empty and hostile versions: results/assignments.json")
    report = commands.add_parser(
        "report", help="points by hand added: tables, pages, files for Moodle and Canvas"
    )
    command = commands.add_parser("grade", help="run what was handed in")
    command.add_argument("places", type=Path, nargs="+", metavar="PLACE", help="an export, zip or folder")
    command.add_argument("--assignment", default="", help="this one alone")
    command.add_argument("--due", default="", help='with --assignment: local time, as in "2026-11-20 23:59"')
    command.add_argument("--again", action="store_true", help="what is graded already, too")
    command.add_argument("--student", default="", help="this one alone, again: a key or a name")
    command.add_argument("--jobs", type=int, default=1)
    command.add_argument(
        "--unsafe", action="store_true", help="without bubblewrap: submissions can read your files"
    )
    for each in (command, report):
        each.add_argument(
            "--sources", type=Path, default=SOURCES, help="where the instructor's notebooks are"
        )
        each.add_argument(
            "--out", type=Path, default=Path("grades"), help="the course's folder (%(default)s)"
        )
        each.add_argument(
            "--language",
            choices=language.languages(),
            help="of the checks' messages on the feedback pages",
        )
    for field in fields(Limits):
        kind = type(field.default)
        unit = "seconds" if kind is float else "" if field.name == "processes" else "bytes"
        command.add_argument(
            f"--{field.name}", type=kind, default=field.default, help=f"{unit} (%(default)s)"
        )
    args = parser.parse_args(argv)
    language.use(getattr(args, "language", None))
    if args.command == "build":
        print(*build(), *build(VIETNAMESE / "student", VIETNAMESE), sep="\n")
        return 0
    if args.command == "table":
        from tools.grading.table import measure

        print(measure())
        return 0
    from tools.grading.sandbox import SandboxError

    try:
        if args.command == "places":
            from tools.grading.places import write

            write()
            return 0
        return _report(args) if args.command == "report" else _grade(args)
    except (ValueError, SandboxError) as error:
        print(f"{error}" + ("; or pass --unsafe" if isinstance(error, SandboxError) else ""), file=sys.stderr)
        return 2


def _report(args: argparse.Namespace) -> int:
    from tools.grading.course import Course

    lines = Course(args.out, assignments(args.sources)).report()
    if not lines:
        raise ValueError(f"{args.out} holds no results; run `python -m tools.grading grade` first")
    print(*lines, f"{args.out}/grades.csv", sep="\n")
    return 0


def _grade(args: argparse.Namespace) -> int:
    from tools.grading import intake, submissions
    from tools.grading.course import Course
    from tools.grading.sandbox import Limits, isolation

    limits = replace(Limits(), **{field.name: getattr(args, field.name) for field in fields(Limits)})
    known = assignments(args.sources)
    if args.assignment and args.assignment not in known:
        raise ValueError(f"no assignment {args.assignment}; there is {', '.join(known)}")
    course = Course(args.out, known)
    if args.due:
        if not args.assignment:
            raise ValueError("--due says of which assignment with --assignment")
        course.set_due(args.assignment, args.due)
    for assignment in known.values():
        course.by_hand(assignment)  # a table that cannot be read is told before anything runs
    found, left_out = intake.find(args.places, known, args.out / "handed_in", args.assignment)
    course.list_left_out(left_out)
    todo, found = course.pending(found, args.again, args.student)
    if args.unsafe:
        print("WARNING: no sandbox. Submissions can read your files and use the network.", file=sys.stderr)
    elif todo:
        isolation()
    for one in found:
        if one.problem:
            print(f"{one.source}: {one.problem}")
    graded = submissions.grade(todo, known, limits, not args.unsafe, args.jobs, course.finish)
    for submission, verdict, made in graded:
        before = course.keep(submission, verdict, made)
        of = sum(cell.points for cell in known[verdict.assignment].tests)
        more = f"; {len(verdict.notes) - 2} more" if len(verdict.notes) > 2 else ""
        remark = f"refused: {verdict.refused}" if verdict.refused else "; ".join(verdict.notes[:2]) + more
        was = f"(was {before:g}) " if before not in (None, verdict.points) else ""
        who = f"{submission.student[:24]:24} {verdict.assignment:14}"
        print(
            f"{who} {verdict.points:5g} / {of:g} {verdict.seconds:6.0f} s  {was}{remark}".rstrip(), flush=True
        )
    kept = sum(not one.problem for one in found) - len(todo)
    print(f"{len(todo)} graded, {kept} as before, {sum(bool(one.problem) for one in found)} not counted")
    print(f"{args.out}/submissions.csv lists all; fill in ASSIGNMENT/written.csv in {args.out}, then: report")
    for problem in sorted(course.problems):
        print(problem, file=sys.stderr)
    return 2 if course.problems else 0


if __name__ == "__main__":
    sys.exit(main())
