"""What the library says, in another language: a message is looked up when it is shown.

>>> from lowerbound import language
>>> language.use("vi")

The same does the environment variable LOWERBOUND_LANGUAGE. The messages themselves stay English. For each
language there is a table of gettext, `assets/messages.LANGUAGE.po`, whose entries are messages with fields in
braces: an entry stands for every text of its form. Formulas, numbers and names stay as they are, and so does
a text that has no entry. An error of the library keeps its type and its English arguments in code; a notebook
shows its message in the language.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

VARIABLE = "LOWERBOUND_LANGUAGE"
ENGLISH = "en"
FOLDER = Path(__file__).with_name("assets")
FIELD = re.compile(r"\{([a-z_]+\d*)\}")
WORD = re.compile(r"[^\W\d_]{2,}")
NAMED = re.compile(r"((?:'?[\w.]+'?): )(.+)")  # what a message is about, and the message
NOTED = re.compile(r"(.* {4}\[)(.+)(\])")  # a line of a derivation, and its reason
SEE = re.compile(r"(.+)( See \S+\.html#\S+)")  # what was found, and where it is explained
# What fields of these names may hold; the others may hold any text.
SHAPES = {"address": r"https?://\S+", "page": r"\w+\.html\S*", "std": r"-?[\w.+-]+", "count": r"\d+"}
FOUND = re.compile(r"([✓✗?·–] )([^:]+): (.+)")  # a row of a report: what was checked, and what was found
COUNTED = re.compile(r"((?:\w+: )?)(\d+ [a-z ]+(?:, \d+ [a-z ]+)+)")  # a report's headline
# Fields that may hold a single word of the table; in the others that is a name.
ALONE = {
    *("way", "sign", "word", "what", "wanted", "relation", "of", "value", "found", "reason", "kind", "where"),
}
LETTERS = 3, 12  # that an entry has at least to be looked for in a whole row; between two fields, more
JOINS = 12  # letters that an entry has at least that may hold a text of another
ENGLISH_WORD = re.compile(r"\b(?:the|is|not|of|it|and|to|are|by|in|that|this|where|right|a|an)\b")
SENTENCE = 12  # letters that a sentence has at least

_chosen: str | None = None


def use(language: str | None) -> None:
    """Choose the language of the messages: "vi", "en", or None for what the environment says.

    Raises ValueError where there is no table for it.
    """
    global _chosen
    if language is not None and language not in languages():
        raise ValueError(f"there are messages in {', '.join(languages())}, and none in {language!r}")
    _chosen = language
    _show_errors()


def languages() -> list[str]:
    """The languages in which there are messages."""
    return [ENGLISH, *sorted(path.suffixes[-2][1:] for path in FOLDER.glob("messages.*.po"))]


def chosen() -> str:
    """The language of the messages; English where the environment names one without a table."""
    if _chosen is not None:
        return _chosen
    wanted = os.environ.get(VARIABLE, "").split("_")[0].split(".")[0].lower()
    return wanted if wanted in languages() else ENGLISH


def say(text: str, language: str | None = None) -> str:
    """A message in a language, or in the chosen one; row by row, as it is where there is no entry for it."""
    language = language or chosen()
    if language == ENGLISH:
        return text
    return "\n".join(_said(row, language, whole=True) for row in text.split("\n"))


def say_parts(text: str, language: str | None = None) -> str:
    """A row that is put together from messages with ": " and "; " between them, each looked up.

    It is taken whole where that leaves less of it in English.
    """
    language = language or chosen()
    if language == ENGLISH or not text:
        return text
    if seen := SEE.fullmatch(text):
        return say_parts(seen[1], language) + say(seen[2], language)
    parts = re.split(r"(: |; |, )", text)
    ways = [say(text, language)]
    for stops in ((": ", "; "), ("; ",), (": ",), (": ", ", "), (", ",)):
        pieces = [("", "")]  # the stop before a piece, and the piece
        for part in parts:
            stop, piece = pieces.pop()
            pieces += [(stop, piece), (part, "")] if part in stops else [(stop, piece + part)]
        ways.append("".join(_piece(stop, piece, language) for stop, piece in pieces))
    return min(ways, key=lambda way: len(_unsaid(text) & _unsaid(way)))


def _piece(stop: str, piece: str, language: str) -> str:
    """A piece behind its stop; an entry may begin with that."""
    own = say(piece, language)
    return stop + own if own != piece else say(stop + piece, language)


def _unsaid(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{2,}", text))


def _shell() -> Any:
    """The notebook's shell, or None where there is none."""
    shells = sys.modules.get("IPython.core.getipython")
    return shells.get_ipython() if shells is not None else None


def _show_errors(*_: Any) -> None:
    """In a notebook, show the library's TypeErrors and ValueErrors in the chosen language."""
    if (shell := _shell()) is not None and chosen() != ENGLISH:
        shell.set_custom_exc((TypeError, ValueError), _shown)


def _shown(
    shell: Any, kind: type, error: Exception, trace: TracebackType, tb_offset: int | None = None
) -> None:
    """What a notebook does with an error: if it is raised in the library, its message is said first."""
    end: TracebackType | None = trace
    while end is not None and end.tb_next is not None:
        end = end.tb_next
    raised_in = end.tb_frame.f_globals.get("__name__", "") if end is not None else ""
    if raised_in.split(".")[0] == __name__.split(".")[0] and error.args and isinstance(error.args[0], str):
        error.args = (say(error.args[0]), *error.args[1:])
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def read(text: str) -> dict[str, str]:
    """The entries of a catalogue of gettext that have a translation."""
    entries: dict[str, str] = {}
    for block in text.split("\n\n"):
        parts: dict[str, str] = {}
        keyword = ""
        for row in block.splitlines():
            if match := re.match(r'(?:(msgid|msgstr) )?(".*")$', row):
                keyword = match[1] or keyword
                parts[keyword] = parts.get(keyword, "") + json.loads(match[2])
        if parts.get("msgid") and parts.get("msgstr"):
            entries[parts["msgid"]] = parts["msgstr"]
    return entries


@functools.cache
def _table(language: str) -> dict[str, str]:
    """The entries by rows. An entry has as many rows as its translation."""
    stored = read(FOLDER.joinpath(f"messages.{language}.po").read_text(encoding="utf-8"))
    rows: dict[str, str] = {}
    for key, own in stored.items():
        for row, translated in zip(key.split("\n"), own.split("\n"), strict=True):
            if WORD.search(FIELD.sub("", row)):
                rows.setdefault(row, translated)
    return rows


@functools.cache
def _forms(language: str) -> list[tuple[str, str, str]]:
    """The entries with fields, that with the most text first: its longest piece, entry, translation."""
    forms = [(max(FIELD.split(key)[::2], key=len), key, own) for key, own in _table(language).items()]
    return sorted(
        (form for form in forms if form[0] != form[1]), key=lambda form: -len(FIELD.sub("", form[1]))
    )


@functools.cache
def _pattern(form: str) -> re.Pattern[str]:
    """What a text looks like that is an entry with its fields filled."""
    texts, names = FIELD.split(form)[::2], FIELD.findall(form)
    parts = [re.escape(texts[0])]
    for k, name in enumerate(names):
        again = name in names[:k]
        text = r"\d+" if texts[k].endswith("line ") else SHAPES.get(name, ".*?")
        parts.append(f"(?P={name})" if again else f"(?P<{name}>{text})")
        parts.append(re.escape(texts[k + 1]))
    return re.compile("".join(parts))


def _said(text: str, language: str, whole: bool = False) -> str:
    """A whole row, or what fills a field of it."""
    table = _table(language)
    if not text or text in table:
        return table.get(text, text)
    if text[-1] == "." and text[:-1] in table:
        return f"{table[text[:-1]]}."
    if found := FOUND.fullmatch(text):
        rest = _said(found[3], language)
        rest = say_parts(rest, language) if rest == found[3] else rest
        told = f"{found[1]}{_said(found[2], language)}: {rest}"
        return text if ENGLISH_WORD.search(told) else told  # such as one that goes on in the next row
    ways = [
        FIELD.sub(lambda field, filled=filled: filled[field[1]], own)  # type: ignore[misc]
        for form, own, match in _matching(text, language)
        if not whole or _tells(form)
        for filled in [_filled(form, match.groupdict(), language)]
        if not (whole and _joins(form) and _english(filled))
    ]
    if ways:  # a form may stand for a part of another: the one that leaves the least in English
        return min(ways, key=lambda way: len(ENGLISH_WORD.findall(way)))
    if noted := NOTED.fullmatch(text):
        return noted[1] + _said(noted[2], language) + noted[3]
    if counted := COUNTED.fullmatch(text):
        return counted[1] + ", ".join(_said(part, language) for part in counted[2].split(", "))
    if text[0] == " ":
        return text[: -len(text.lstrip())] + _said(text.lstrip(), language, whole)
    if (about := NAMED.fullmatch(text)) and (rest := _said(about[2], language, whole)) != about[2]:
        return about[1] + rest
    if text[-1] == "." and (rest := _said(text[:-1], language, whole)) != text[:-1]:
        return f"{rest}."
    for start in range(len(text) - SENTENCE, 0, -1):  # a sentence of ours behind another's
        if text[start - 1] == " " and text[start:] in table:
            return f"{_said(text[: start - 1], language)} {table[text[start:]]}"
    return text


def _tells(form: str) -> bool:
    """Whether an entry has words enough to be known by them."""
    texts = FIELD.split(form)[::2]
    return sum(map(str.isalpha, "".join(texts))) >= LETTERS[texts[0] == texts[-1] == ""]


def _joins(form: str) -> bool:
    """Whether an entry has few words of its own: what it joins must be messages, too."""
    return sum(map(str.isalpha, FIELD.sub("", form))) < JOINS


def _english(filled: dict[str, str]) -> bool:
    """Whether what fills the fields is a sentence in English still, and no single word left over."""
    found = ENGLISH_WORD.findall(" ".join(filled.values()))
    return len([word for word in found if word != "a"]) > 1  # which is a letter of formulas


def _matching(text: str, language: str) -> Iterator[tuple[str, str, re.Match[str]]]:
    """The entries with fields whose form a text has."""
    for piece, form, own in _forms(language):
        if piece in text and (match := _pattern(form).fullmatch(text)):
            yield form, own, match


def _filled(form: str, fields: dict[str, str], language: str) -> dict[str, str]:
    """What fills the fields. A single word is looked up where it cannot be a name; what is quoted is one."""
    quoted = set(re.findall(r"[`'\"]\{(\w+)\}", form))
    return {
        name: value
        if name in quoted or (" " not in value.strip() and re.sub(r"\d+$", "", name) not in ALONE)
        else _said(value, language)
        for name, value in fields.items()
    }


if _shell() is not None:
    _show_errors()
    _shell().events.register("pre_run_cell", _show_errors)  # the variable may be set in any cell
