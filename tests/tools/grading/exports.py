"""Exports as Moodle, Canvas and nbgrader make them, of notebooks that a test brings."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

Files = dict[str, tuple[bytes, tuple[int, int, int, int, int, int]]]
MONDAY = (2026, 11, 16, 9, 0, 0)
LATE = (2026, 11, 23, 9, 0, 0)


def zipped(files: Files) -> bytes:
    """A zip with these files and their times."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (content, when) in files.items():
            archive.writestr(zipfile.ZipInfo(name, when), content)
    return buffer.getvalue()


def moodle(folder: Path, name: str, students: dict[str, tuple[int, bytes]], flat: bool = False) -> Path:
    """Moodle's "Download all submissions", in folders or flat. students: name -> (participant, notebook)."""
    files: Files = {}
    for student, (number, content) in students.items():
        place = f"{student}_{number}_assignsubmission_file_"
        files[f"{place}{name}.ipynb" if flat else f"{place}/{name}.ipynb"] = content, MONDAY
    path = folder / f"moodle-{name}.zip"
    path.write_bytes(zipped(files))
    return path


def canvas(
    folder: Path, name: str, students: dict[str, tuple[int, bytes]], late: tuple[str, ...] = ()
) -> Path:
    """Canvas' "Download Submissions": flat, with numbers of user and file, here of a second try."""
    files: Files = {}
    for student, (number, content) in students.items():
        mark = "LATE_" if student in late else ""
        files[f"{student}_{mark}{number}_{800000 + number}_{name}-1.ipynb"] = content, LATE
    path = folder / f"canvas-{name}.zip"
    path.write_bytes(zipped(files))
    return path
