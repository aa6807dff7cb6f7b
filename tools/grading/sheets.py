"""Tables as spreadsheets read and save them."""

from __future__ import annotations

import csv
import re
import string
from pathlib import Path
from typing import Any


class SheetError(ValueError):
    """A table that a person has to mend; each line says where."""


def decoded(raw: bytes) -> str:
    """Text as spreadsheets write it: UTF-8 or UTF-16, with their marks or without, else Windows' own."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def read(path: Path, wanted: tuple[str, ...]) -> tuple[list[tuple[int, dict[str, str]]], str]:
    """Rows with their numbers in a spreadsheet, and what separates the columns. Raises SheetError."""
    text = decoded(path.read_bytes())
    first = 1
    if text.lower().startswith("sep="):  # Excel's own word for what separates
        text, first = text.partition("\n")[2], 2
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if missing := [name for name in wanted if name not in names]:
        raise SheetError(f"{path}, row {first}: there is no column {', '.join(map(repr, missing))}")
    numbered = enumerate(rows[1:], first + 1)
    filled = [(n, row) for n, row in numbered if any(map(str.strip, row))]
    return [(n, dict(zip(names, row, strict=False))) for n, row in filled], delimiter


def column(names: tuple[str, ...], name: str) -> str:
    """The letter over a column."""
    return string.ascii_uppercase[names.index(name)]


def points(text: str, most: float) -> float | None:
    """Points as people write them: 4, 4.5, 4,5, 4/8 of 8, or None. Raises ValueError for anything else."""
    text = text.strip().lstrip("'").replace("\u00a0", "").replace("½", ".5")
    if not text:
        return None
    number, slash, whole = text.replace(",", ".").partition("/")
    if slash and float(whole) != most:
        raise ValueError(f"{text} is of {whole.strip()}, and the task has {most:g}")
    if not re.fullmatch(r"\s*-?\d*\.?\d+\s*", number):
        raise ValueError(f"{text!r} is no number of points")
    if not 0 <= float(number) <= most:
        raise ValueError(f"{float(number):g} is not between 0 and {most:g}")
    return float(number)


def guarded(value: Any) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write(path: Path, head: tuple[str, ...], rows: list[list[Any]], delimiter: str = ",") -> None:
    """Write a table, whole or not at all, with the mark by which Excel knows UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.partial")
    with unfinished.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter).writerows([list(head), *(map(guarded, row) for row in rows)])
    unfinished.replace(path)
