"""`python -m tools.grading build` makes the student versions, `… grade FOLDER` points and feedback."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

import nbformat

from tools.grading.assignment import SOURCES, assignments

STUDENT = SOURCES / "student"


def build(folder: Path = STUDENT) -> list[Path]:
    """Write the student version of every assignment; returns the files."""
    folder.mkdir(exist_ok=True)
    written = []
    for name, assignment in assignments().items():
        path = folder / f"{name}.ipynb"
        path.write_text(nbformat.writes(assignment.released) + "\n", encoding="utf-8")
        written.append(path)
    return written


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    from tools.grading.sandbox import Limits, SandboxError, isolation

    parser = argparse.ArgumentParser(prog="python -m tools.grading", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="write the student versions")
    commands.add_parser("table", help="grade solutions, empty and hostile versions: results/assignments.json")
    command = commands.add_parser("grade", help="grade a folder of submissions")
    command.add_argument(
        "submissions", type=Path, help="holds STUDENT/ASSIGNMENT.ipynb or STUDENT_ASSIGNMENT.ipynb"
    )
    command.add_argument("--assignment", default="", help="this one alone")
    command.add_argument("--sources", type=Path, default=SOURCES, help="where the instructor's notebooks are")
    command.add_argument("--out", type=Path, default=Path("grades"))
    command.add_argument("--jobs", type=int, default=1)
    command.add_argument(
        "--unsafe", action="store_true", help="without bubblewrap: submissions can read your files"
    )
    for field in fields(Limits):
        kind = type(field.default)
        unit = "seconds" if kind is float else "" if field.name == "processes" else "bytes"
        command.add_argument(
            f"--{field.name}", type=kind, default=field.default, help=f"{unit} (%(default)s)"
        )
    args = parser.parse_args(argv)
    if args.command == "build":
        print(*build(), sep="\n")
        return 0
    if args.command == "table":
        from tools.grading.table import measure

        print(measure())
        return 0

    from tools.grading import submissions

    limits = replace(Limits(), **{field.name: getattr(args, field.name) for field in fields(Limits)})
    try:
        known = assignments(args.sources)
        if args.assignment and args.assignment not in known:
            raise ValueError(f"no assignment {args.assignment}; there is {', '.join(known)}")
        handed_in = submissions.find(args.submissions, known, args.assignment)
        if args.unsafe:
            print(
                "WARNING: no sandbox. Submissions can read your files and use the network.", file=sys.stderr
            )
        else:
            isolation()
    except (ValueError, SandboxError) as error:
        print(f"{error}" + ("; or pass --unsafe" if isinstance(error, SandboxError) else ""), file=sys.stderr)
        return 2
    for verdict in submissions.grade(handed_in, known, args.out, limits, not args.unsafe, args.jobs):
        of = (
            sum(cell.points for cell in known[verdict.assignment].tests) if verdict.assignment in known else 0
        )
        more = f"; {len(verdict.notes) - 2} more" if len(verdict.notes) > 2 else ""
        remark = f"refused: {verdict.refused}" if verdict.refused else "; ".join(verdict.notes[:2]) + more
        who = f"{verdict.student[:24]:24} {verdict.assignment:14}"
        print(f"{who} {verdict.points:5g} / {of:g} {verdict.seconds:6.0f} s  {remark}".rstrip(), flush=True)
    print(f"{args.out}/grades.csv, {args.out}/feedback/, {args.out}/written.csv (fill in points, run again)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
