"""What must be the same in a page and in its translation, and how its letters are written.

Compared are the parts that are not prose: code, labels, levels of headings, directives with their options,
roles with their targets, formulas, names in code letters, links, lists, tables, footnotes, tags and numbers.
From a label that begins with `only-vi-` to its end, a translation has what the English page has not.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^\s*(`{3,}|:{3,})(.*)$")
DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)$")
LITERAL_BODY = {"code-block", "code", "literalinclude", "bibtex"}  # directives whose content is a program
# Directives whose argument names a thing; of the others it is a title.
NAMING = {
    "bibliography", "derivation", "falsehoods", "figure", "gapplane", "glossary", "grid", "image", "include",
    "labcode", "labfigure", "ledger", "library", "minutes", "results", "solution",
}  # fmt: skip
ONLY_HERE = re.compile(r"^\(only-vi-[\w-]+\)=$", re.M)  # see also book/_ext/editions.py
LABEL = re.compile(r"^\(([\w.:-]+)\)=", re.M)
HEADING = re.compile(r"^(#+) ", re.M)
OPTION = re.compile(r"^\s*:([\w-]+):[ ]*(.*)$", re.M)
IN_WORDS = {"alt", "caption", "title", "header"}  # options that are translated
ROLE = re.compile(r"(?<!`)\{([\w:-]+)\}`([^`]*)`")
DISPLAYED = re.compile(r"\$\$(.*?)\$\$", re.S)
INLINE = re.compile(r"(?<![\\$])\$([^$\n]+(?:\n[^$\n]+)?)\$")
LITERAL = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ", re.M)
ROW = re.compile(r"^\s*\|.*\|\s*$", re.M)
FOOTNOTE = re.compile(r"\[\^[\w-]+\]")
TAG = re.compile(r"<(/?[a-z][a-z0-9]*)\b")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
LANGUAGE = "%env LOWERBOUND_LANGUAGE=vi"  # what a reader of a translation is told to run
WORDS = re.compile(r"\\text\{[^}]*\}")

# Where the tone stands in oa, oe and uy at the end of a syllable: on the second letter, as in textbooks.
# Behind q, "uy" is another sound; a syllable that goes on (hoàn, tuyết) has one way alone.
TONES = ("òa", "óa", "ỏa", "õa", "ọa", "òe", "óe", "ỏe", "õe", "ọe", "ùy", "úy", "ủy", "ũy", "ụy")
MISPLACED = re.compile(rf"\b\w*(?:{'|'.join(TONES)})\b", re.I)


def text_of(path: Path) -> str:
    """The text of a page, of a notebook that of its cells of text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def parts(text: str) -> dict[str, list[Any]]:
    """What a page consists of beside its prose, by kinds."""
    programs, directives, formulas, prose = _scan(text)
    prose = re.sub(r"<!--.*?-->", "", prose, flags=re.S)
    found: dict[str, list[Any]] = {"programs": programs, "directives": directives}
    found["labels"] = LABEL.findall(prose)
    found["levels of headings"] = [len(marks) for marks in HEADING.findall(prose)]
    found["options"] = [
        (key, "" if key in IN_WORDS else value.strip()) for key, value in OPTION.findall(prose)
    ]
    targets = ((name, re.search(r"<([^>]*)>$", said), said) for name, said in ROLE.findall(prose))
    found["roles"] = sorted((name, (match[1] if match else said).strip()) for name, match, said in targets)
    found["displayed formulas"] = [_formula(tex) for tex in [*formulas, *DISPLAYED.findall(prose)]]
    rest = ROLE.sub("", DISPLAYED.sub("", prose))
    found["formulas"] = sorted(_formula(tex) for tex in INLINE.findall(rest))
    rest = INLINE.sub("", rest)
    found["names in code letters"] = sorted(name for name in LITERAL.findall(rest) if name != LANGUAGE)
    found["links"] = sorted(LINK.findall(rest))
    found["list items"] = [len(ITEM.findall(rest))]
    found["table rows"] = [row.count("|") for row in ROW.findall(rest)]
    found["footnotes"] = sorted(FOOTNOTE.findall(rest))
    found["tags"] = TAG.findall(rest)
    found["numbers"] = sorted(NUMBER.findall(rest))
    return found


def _scan(text: str) -> tuple[list[str], list[tuple[str, str]], list[str], str]:
    """Programs, directives with what they name, displayed formulas of directives, and the rest."""
    programs: list[list[str]] = []
    directives: list[tuple[str, str]] = []
    formulas: list[list[str]] = []
    prose: list[str] = []
    open_fences: list[str] = []
    inside: list[str] | None = None  # the lines of a program, or of a formula
    for line in text.splitlines():
        fence = FENCE.match(line)
        mark, info = (fence[1], fence[2].strip()) if fence else ("", "")
        closes = bool(open_fences and fence and not info and mark.startswith(open_fences[-1]))
        if closes:
            open_fences.pop()
            inside = None
        elif inside is not None:
            inside.append(line)
        elif fence:
            open_fences.append(mark)
            directive = DIRECTIVE.match(info)
            if directive and directive[1] not in LITERAL_BODY | {"math"}:
                directives.append((directive[1], directive[2] if directive[1] in NAMING else ""))
                continue
            inside = [info]
            (formulas if directive and directive[1] == "math" else programs).append(inside)
        else:
            prose.append(line)
    joined = ["\n".join(block) for block in programs], ["\n".join(block) for block in formulas]
    return joined[0], directives, joined[1], "\n".join(prose)


def _formula(tex: str) -> str:
    """A formula without its words and its spaces."""
    return WORDS.sub(r"\\text{}", " ".join(tex.split()))


def differences(english: Path, translation: Path) -> list[str]:
    """What parts between a page and its translation, a line for each kind."""
    one, other = parts(text_of(english)), parts(ONLY_HERE.split(text_of(translation))[0])
    lines = [_line(kind, one[kind], other[kind]) for kind in one if one[kind] != other[kind]]
    if english.suffix == ".ipynb" and _untranslated(english) != _untranslated(translation):
        mend = "python -m tools.publish.editions cells"
        lines.append(f"code cells, outputs or metadata are not the same; `{mend}` copies them")
    return lines


def _line(kind: str, english: list[Any], translation: list[Any]) -> str:
    one, other = Counter(map(repr, english)), Counter(map(repr, translation))
    if one == other:
        return f"{kind}: in another order"
    only, new = (", ".join(list((a - b).elements())[:8]) or "-" for a, b in ((one, other), (other, one)))
    return f"{kind}: only in English {only}; only in the translation {new}"


def _untranslated(path: Path) -> Any:
    """A notebook without the words of its cells of text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = ""
    return notebook


def faults(translation: Path) -> list[str]:
    """What is wrong with the letters: composed otherwise than in NFC, or a tone on the other letter."""
    raw, text = translation.read_text(encoding="utf-8"), text_of(translation)
    found = [] if unicodedata.is_normalized("NFC", raw) else ["the letters are not in NFC"]
    words = sorted({word for word in MISPLACED.findall(text) if not word.lower().startswith("qu")})
    return found + [f"the tone of {word!r} stands on the other letter" for word in words]
