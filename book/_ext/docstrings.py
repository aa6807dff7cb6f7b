"""Docstrings in plain text become reStructuredText.

A docstring holds paragraphs, code, and lines such as "mean, logvar: (B, ...)" on what is passed. Only the
name of an argument or of a field starts such a line. A name in `backticks` is a link where there is an entry.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import griffe

PACKAGE = "lowerbound"
NAME = r"[A-Za-z_][\w.]*"
CODE = re.compile(r"(?<!\})`([^`]+)`")  # {role}`text` stays as it is
SPECIAL = re.compile(r"([\\*_|`])")
STARTS_A_LIST = re.compile(r"^(?=(\(?\w{1,4}[.)]|[-+•‣⁃]) )")


def entry(thing: griffe.Object | None) -> str:
    """The name under which the page lists a thing; "" if it is private, a constant, or not the library's."""
    if thing is None or (thing.is_attribute and "property" not in thing.labels):
        return ""
    if thing.is_module:
        return thing.path if thing.path.count(".") == 1 else ""
    home = thing.module.path  # a sub-package lists what it takes from its files
    name = ".".join(home.split(".")[:2]) + thing.path.removeprefix(home)
    return name if home != PACKAGE and not re.search(r"\._", name) and find(name, thing.package) else ""


def find(name: str, scope: griffe.Object | None) -> griffe.Object | None:
    """What a dotted name stands for in a function, class or module, or in what that stands in."""
    while scope is not None:
        thing = scope
        try:
            for part in name.removeprefix(f"{PACKAGE}.").split("."):
                thing = thing.all_members[part]
            return thing.final_target if thing.is_alias else thing
        except (KeyError, griffe.AliasResolutionError):
            scope = scope.parent
    return None


def inline(text: str, thing: griffe.Object, names: set[str]) -> str:
    """Text with its characters escaped, `code` as a link to its entry or as a literal."""
    parts = CODE.split(text)
    for i, part in enumerate(parts):
        target = entry(find(part, thing)) if i % 2 and part not in names else ""
        linked = target and target != entry(thing)
        code = rf"\ :py:obj:`{part} <{target}>`\ " if linked else rf"\ ``{part}``\ "
        parts[i] = code if i % 2 else SPECIAL.sub(r"\\\1", part)
    return STARTS_A_LIST.sub(r"\\", "".join(parts))


def sentences(block: str) -> Iterator[str]:
    """The lines of a paragraph, joined where one goes on: indented, or in the middle of a sentence."""
    whole = ""
    for line in block.splitlines():
        begins = whole.endswith((".", ";")) or re.match(r"[A-Z]|[\w=, ]+: ", line)
        if whole and begins and not line.startswith(" "):
            yield whole
            whole = ""
        whole = f"{whole} {line.strip()}".strip()
    yield whole


def is_code(block: str) -> bool:
    """Whether a paragraph is Python: a session, or several lines that make a program."""
    try:
        return block.startswith(">>> ") or ("\n" in block and bool(ast.parse(block).body))
    except SyntaxError:
        return False


def to_rst(text: str, thing: griffe.Object, names: set[str]) -> list[str]:
    """A docstring as lines of reStructuredText; names: those that a line may be about."""
    name = "|".join(rf"{re.escape(n)}(?:=\w+)?" for n in sorted(names)) or r"(?!)"
    starts = rf"((?:{name})(?:, (?:{name}))*): +"
    among = re.compile(rf"(?:^|(?<=[.;] )){starts}|(?<=\. )(?=Returns |Raises )")
    after = re.compile(rf"(?<=\. ){starts}")  # after a sentence; "Ho 2020; beta: Higgins 2017" is none
    out: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if is_code(block):
            out += ["::", "", *(f"   {line}" for line in block.splitlines()), ""]
            continue
        prose: list[str] = []
        for line in sentences(block):
            first, *rest = (among if re.match(starts, line) else after).split(line)
            for about, told in [(None, first), *zip(rest[::2], rest[1::2], strict=True)]:
                if about:
                    out += [inline(" ".join(filter(None, prose)), thing, names), ""]
                    out += [", ".join(f"``{n}``" for n in about.split(", "))]
                    out += [f"   {inline(told.strip().rstrip(';'), thing, names)}", ""]
                    prose = []
                else:
                    prose.append(told.strip())
        out += [inline(" ".join(filter(None, prose)), thing, names), ""]
    return out
