"""What must be the same in a page and in its translation, and how its letters are written.

Compared are the parts that are not prose: code, labels, levels of headings, directives with their options, roles with
their targets, formulas, names in code letters, links, lists, tables, footnotes, tags and numbers.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

CODE = re.compile(r"^(`{3,})(?:\{code-block\}.*|python.*|bash.*|text.*|)\n(.*?)^\1\s*$", re.M | re.S)
LABEL = re.compile(r"^\(([\w.:-]+)\)=", re.M)
HEADING = re.compile(r"^(#+) ", re.M)
DIRECTIVE = re.compile(r"^\s*(?:`{3,}|:{3,})\{([\w:-]+)\}[ ]*(.*)$", re.M)
TITLED = (
    "admonition",
    "dropdown",
    "exercise",
    "figure",
    "table",
    "list-table",
    "proof",
    "card",
    "tab-item",
    "labfigure",
)
OPTION = re.compile(r"^\s*:([\w-]+):[ ]*(.*)$", re.M)
IN_WORDS = ("alt", "caption", "title", "header", "header-rows-text")  # options that are translated
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]*)`")
DISPLAYED = re.compile(r"\$\$(.*?)\$\$", re.S)
INLINE = re.compile(r"(?<![\\$])\$([^$\n]+(?:\n[^$\n]+)?)\$")
LITERAL = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ", re.M)
ROW = re.compile(r"^\s*\|.*\|\s*$", re.M)
FOOTNOTE = re.compile(r"\[\^[\w-]+\]")
TAG = re.compile(r"<(/?[a-z][a-z0-9]*)\b")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
WORDS = re.compile(r"\\text\{[^}]*\}")

# Where the tone stands in oa, oe, uy that end a syllable: on the second letter, as textbooks have it. Behind q, "uy" is
# another sound, and a syllable that goes on (hoàn, tuyết) has one way alone.
TONES = {
    "òa": "oà",
    "óa": "oá",
    "ỏa": "oả",
    "õa": "oã",
    "ọa": "oạ",
    "òe": "oè",
    "óe": "oé",
    "ỏe": "oẻ",
    "õe": "oẽ",
    "ọe": "oẹ",
}
TONES |= {"ùy": "uỳ", "úy": "uý", "ủy": "uỷ", "ũy": "uỹ", "ụy": "uỵ"}
OTHERWISE = re.compile(rf"\b\w*(?:{'|'.join(TONES)})\b", re.I)


def text_of(path: Path) -> str:
    """The text of a page, of a notebook that of its cells of text."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def _formula(tex: str) -> str:
    """A formula without its words and its spaces."""
    return WORDS.sub(r"\\text{}", " ".join(tex.split()))


def parts(text: str) -> dict[str, list[Any]]:
    """What a page consists of beside its prose, by kinds."""
    found: dict[str, list[Any]] = {"code": [code for _, code in CODE.findall(text)]}
    bare = CODE.sub("", text)
    found["labels"] = LABEL.findall(bare)
    found["levels of headings"] = [len(marks) for marks in HEADING.findall(bare)]
    found["directives"] = [
        (name, "" if name in TITLED and name != "labfigure" else argument.strip())
        for name, argument in DIRECTIVE.findall(bare)
    ]
    found["options"] = [
        (key, "" if key in IN_WORDS else value.strip()) for key, value in OPTION.findall(bare)
    ]
    targets = ((name, re.search(r"<([^>]*)>$", said), said) for name, said in ROLE.findall(bare))
    found["roles"] = sorted((name, (match[1] if match else said).strip()) for name, match, said in targets)
    found["displayed formulas"] = [_formula(tex) for tex in DISPLAYED.findall(bare)]
    rest = DISPLAYED.sub("", bare)
    found["formulas"] = sorted(_formula(tex) for tex in INLINE.findall(rest))
    rest = ROLE.sub("", rest)
    found["names in code letters"] = sorted(LITERAL.findall(rest))
    found["links"] = sorted(LINK.findall(rest))
    found["list items"] = [len(ITEM.findall(bare))]
    found["table rows"] = [line.count("|") for line in ROW.findall(INLINE.sub("", rest))]
    found["footnotes"] = sorted(FOOTNOTE.findall(rest))
    found["tags"] = TAG.findall(rest)
    found["numbers"] = sorted(NUMBER.findall(INLINE.sub("", rest)))
    return found


def differences(english: Path, translated: Path) -> list[str]:
    """What parts between a page and its translation, a line for each kind."""
    one, other = (parts(text_of(path)) for path in (english, translated))
    lines = [_line(kind, one[kind], other[kind]) for kind in one if one[kind] != other[kind]]
    if english.suffix == ".ipynb":
        cells, own = (_untranslated(path) for path in (english, translated))
        if cells != own:
            lines.append(
                "code cells, outputs or metadata part; `python -m tools.publish.editions cells` mends it"
            )
    return lines


def _line(kind: str, english: list[Any], translated: list[Any]) -> str:
    one, other = Counter(map(repr, english)), Counter(map(repr, translated))
    if one == other:
        return f"{kind}: in another order"
    only, new = (list((a - b).elements())[:8] for a, b in ((one, other), (other, one)))
    return (
        f"{kind}: only in English {', '.join(only) or '-'}; only in the translation {', '.join(new) or '-'}"
    )


def _untranslated(path: Path) -> Any:
    """A notebook without the words of its cells of text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = ""
    return notebook


def faults(translated: Path) -> list[str]:
    """What is wrong with the letters: composed otherwise than in NFC, or a tone on the other letter."""
    raw, text = translated.read_text(encoding="utf-8"), text_of(translated)
    found = [] if unicodedata.is_normalized("NFC", raw) else ["the letters are not in NFC"]
    words = sorted(
        {word for word in OTHERWISE.findall(CODE.sub("", text)) if not word.lower().startswith("qu")}
    )
    return found + [f"the tone of {word!r} stands on the other letter" for word in words]
