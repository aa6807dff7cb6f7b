"""What was handed in, as Moodle, Canvas, nbgrader or a person has it: whose it is, and which counts.

A place is a folder or a zip, zips within it included. Each notebook in it is told a student and an assignment
for sure, or it is a problem that is listed; nobody is guessed at.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from tools.grading.assignment import Assignment

MAX_FILE, MAX_ENTRIES, MAX_DEPTH = 200 * 2**20, 20_000, 3
MOODLE = re.compile(
    r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<rest>.*))?", re.DOTALL
)
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<user>\d+)_(?P<file>\d+)_(?P<rest>.+)", re.DOTALL)
COPY = re.compile(r"[ _]?\((\d+)\)$|-(\d+)$|[ _]-[ _]Copy(?: ?\((\d+)\))?$", re.IGNORECASE)
NOT_WORK = {"__MACOSX", ".ipynb_checkpoints", ".DS_Store", "Thumbs.db", "desktop.ini", ".git"}


@dataclass(frozen=True)
class Submission:
    """A file, and whose it is. problem: why it is not graded, if so.

    key: tells students apart, and is the name of their files. student: as a person reads it. folder: the name
    that the course's system gave the folder or the file. late: the system says so. rank: the last one counts.
    """

    key: str
    student: str
    assignment: str
    path: Path
    source: str
    when: str = ""
    late: bool = False
    folder: str = ""
    problem: str = ""
    rank: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class _File:
    """A file in a place: the parts of its path, when it was written, and how to read it."""

    parts: tuple[str, ...]
    when: datetime
    content: bytes | None  # None: what is too large, locked or a link
    why: str = ""


def find(
    places: list[Path], known: dict[str, Assignment], unpacked: Path, only: str = ""
) -> tuple[list[Submission], list[tuple[str, str]]]:
    """The submissions in these places, and what is none with the reason. ValueError if there are none.

    unpacked: a folder for what comes out of zips. Of several files of a student for an assignment one has no
    problem: a notebook rather than what is none, and of these the last.
    """
    found: list[Submission] = []
    left_out: list[tuple[str, str]] = []
    for place in places:
        if not place.exists():
            raise ValueError(f"there is no {place}")
        for file in _files(place):
            source = "/".join((place.name, *file.parts))
            if (
                NOT_WORK & set(file.parts)
                or file.parts[-1].startswith("._")
                or file.parts[-1] == "timestamp.txt"
            ):
                continue
            if not file.parts[-1].lower().endswith(".ipynb"):
                left_out.append((source, file.why or "not a notebook"))
                continue
            made = _submission(file, source, known, unpacked)
            if not only or made.assignment in ("", only):
                found.append(made)
    if not found:
        raise ValueError(
            f"no submission in {', '.join(map(str, places))}; give an export of Moodle or Canvas, or a "
            f"folder with STUDENT/{next(iter(known), 'NAME')}.ipynb in it"
        )
    return _counted(found), left_out


def _counted(found: list[Submission]) -> list[Submission]:
    """One for each student and assignment; the others get a problem that names it."""
    last: dict[tuple[str, str], Submission] = {}
    for made in found:
        if not made.problem:
            key = made.key, made.assignment
            last[key] = max(last.get(key, made), made, key=lambda one: one.rank)
    return [
        made
        if made.problem or last[made.key, made.assignment] is made
        else replace(made, problem=f"not counted: {last[made.key, made.assignment].source} is later")
        for made in found
    ]


def _files(place: Path) -> Iterator[_File]:
    if place.is_file():
        yield from _zipped(place.read_bytes(), (), 0)
        return
    for path in sorted(place.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        parts = path.relative_to(place).parts
        if path.is_symlink():
            yield _File(parts, datetime.now(), None, "a link, not a file")
            continue
        when = datetime.fromtimestamp(path.stat().st_mtime).replace(microsecond=0)
        if path.suffix.lower() == ".zip":
            yield from _zipped(path.read_bytes(), parts, 1, when if _of_a_student(parts) else None)
        elif path.suffix.lower() == ".ipynb" and path.stat().st_size <= MAX_FILE:
            yield _File(parts, _stamped(path.with_name("timestamp.txt")) or when, path.read_bytes())
        else:
            yield _File(parts, when, None)


def _stamped(path: Path) -> datetime | None:
    """The time that nbgrader writes beside a submission, as local time."""
    try:
        words = path.read_text(encoding="utf-8").split()
        moment = datetime.fromisoformat(" ".join(words[:2]))
    except (OSError, ValueError):
        return None
    if words[2:3] == ["UTC"]:
        moment = moment.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=None)
    return moment.replace(microsecond=0)


def _of_a_student(parts: tuple[str, ...]) -> bool:
    """Whether a zip is one that a student has handed in, and no export."""
    return len(parts) > 1 or bool(MOODLE.fullmatch(parts[0]) or CANVAS.fullmatch(parts[0]))


def _zipped(
    content: bytes, above: tuple[str, ...], depth: int, handed_in: datetime | None = None
) -> Iterator[_File]:
    """The files of a zip, and of zips in it. Nothing is written by a name that the zip says.

    handed_in: when a student's own zip was; the times within it are those of the student's clock.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError):
        yield _File(above or ("archive",), datetime.now(), None, "a damaged zip")
        return
    for entry in entries[:MAX_ENTRIES]:
        if entry.is_dir():
            continue
        name = entry.filename
        if not entry.flag_bits & 0x800:  # no word of its encoding: UTF-8 if it is
            with contextlib.suppress(UnicodeError):
                name = name.encode("cp437").decode("utf-8")
        parts = (
            *above,
            *(part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")),
        )
        try:
            when = datetime(*entry.date_time)
        except ValueError:
            when = datetime(1980, 1, 1)
        when = handed_in or when
        inner = name.lower().endswith(".zip")
        if stat.S_ISLNK(entry.external_attr >> 16):
            yield _File(parts, when, None, "a link, not a file")
        elif not inner and not name.lower().endswith(".ipynb"):
            yield _File(parts, when, None)
        elif entry.file_size > MAX_FILE or (inner and depth >= MAX_DEPTH):
            yield _File(parts, when, None, f"larger than {MAX_FILE >> 20} MiB, or a zip in a zip in a zip")
        else:
            try:
                with archive.open(entry) as file:
                    data = file.read(MAX_FILE + 1)
            except (RuntimeError, NotImplementedError, zipfile.BadZipFile, OSError, EOFError):
                yield _File(parts, when, None, "locked with a password, or damaged")
                continue
            if inner:
                yield from _zipped(data, parts, depth + 1, when if _of_a_student(parts) else None)
            else:
                yield _File(parts, when, data)


def _submission(file: _File, source: str, known: dict[str, Assignment], unpacked: Path) -> Submission:
    notebook = _notebook(file.content)
    key, student, folder, late, order, rest = _whose(file.parts, known)
    name, copy = _which(rest, notebook, known)
    problem = file.why
    if not problem and not name:
        problem = f"neither its name nor its content says which of {', '.join(known)} it is"
    if not problem and not key:
        problem = "whose it is cannot be told: put it into a folder with the student's name"
    path = Path()
    if file.content is not None:
        path = unpacked / f"{hashlib.sha256(file.content).hexdigest()[:24]}.ipynb"
        if not path.exists():
            unpacked.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
    when = file.when.isoformat(sep=" ", timespec="minutes")
    rank = (int(notebook is not None), order, file.when.isoformat(), copy, source)
    return Submission(key, student, name, path, source, when, late, folder, problem, rank)


def _whose(parts: tuple[str, ...], known: dict[str, Assignment]) -> tuple[str, str, str, bool, int, str]:
    """Key, name, folder, whether late, a number that grows with time, and what is left of the file's name."""
    parts = tuple(unicodedata.normalize("NFC", part) for part in parts)
    stem = PurePosixPath(parts[-1]).stem
    for n, part in enumerate(parts):
        text = stem if n == len(parts) - 1 else part
        if match := MOODLE.fullmatch(text):
            rest = match["rest"] if n == len(parts) - 1 and match["rest"] else stem
            folder = f"{match['name']}_{match['id']}_assignsubmission_file_"
            return f"m{match['id']}", match["name"], folder, False, 0, rest
    if match := CANVAS.fullmatch(stem):
        key = f"c{match['user']}"
        return key, match["name"], stem, bool(match["late"]), int(match["file"]), match["rest"]
    if len(parts) > 1:
        return safe(parts[0]), parts[0], parts[0], False, 0, stem
    bare = COPY.sub("", stem)
    for name in known:
        if match := re.fullmatch(rf"(?:Copy of )?(.+)[_ -]{re.escape(name)}", bare, re.IGNORECASE):
            return safe(match[1]), match[1], match[1], False, 0, stem
    return "", stem, stem, False, 0, stem


def safe(name: str) -> str:
    """A student's name as the name of a file, of one student alone: what is lost comes back as a digest."""
    name = unicodedata.normalize("NFC", name)
    kept = re.sub(r"[^\w.-]", "_", name).lstrip(".-_") or "student"
    plain = kept == name and kept == kept.lower()
    return kept if plain else f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _notebook(content: bytes | None) -> dict[str, object] | None:
    """What is a notebook at a first look."""
    try:
        made = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    return made if isinstance(made, dict) and isinstance(made.get("cells"), list) else None


def _which(stem: str, notebook: dict[str, object] | None, known: dict[str, Assignment]) -> tuple[str, int]:
    """The assignment, by what its metadata says, by its name, or by its cells; and the number of a copy."""
    match = COPY.search(stem)
    copy = int(next((group for group in match.groups() if group), 1)) if match else 0
    about = (notebook or {}).get("metadata")
    own = about.get("lowerbound") if isinstance(about, dict) else None
    if isinstance(own, dict) and own.get("assignment") in known:
        return str(own["assignment"]), copy
    for name in sorted(known, key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", stem, re.IGNORECASE):
            return name, copy
    text = json.dumps((notebook or {}).get("cells", []))
    for name, assignment in known.items():
        if assignment.tests and all(f'"{cell.id}"' in text for cell in assignment.tests):
            return name, copy
    return "", copy
