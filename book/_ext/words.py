"""Words of a page that stand in no source of a page: what the helpers write, reasons of proofs, notes of labs.

English is their key. Another edition has one table of them, a catalogue of gettext, which tools/publish/editions.py
compiles beside the pages that it stages. An entry with fields, as in "Lab {number}", also stands for every text that
the library prints in its form.
"""

from __future__ import annotations

import functools
import gettext
import re
from pathlib import Path

from sphinx import locale
from sphinx.application import Sphinx
from sphinx.config import Config

DOMAIN = "lowerbound"
FOLDER = "locale"  # below the source directory, where a staged edition has it
DOMAINS = (DOMAIN, "sphinx", "booktheme", "proof", "exercise", "togglebutton")  # all have the same table
FIELD = re.compile(r"\{([a-z]{2,})\}")  # and no {E} or {3} of a formula
TEXT = r"\text{"


def translated(text: str) -> str:
    """A text in the language of the edition; as it is, where the table has no entry for it."""
    return _table().get(text) or text


@functools.cache
def _table() -> dict[str, str]:
    """The entries of the edition; none in English."""
    found = locale.translators.get(("general", DOMAIN))
    entries = getattr(found, "_catalog", {})
    return {key: value for key, value in entries.items() if isinstance(key, str) and key and value}


@functools.cache
def _forms() -> list[tuple[re.Pattern[str], str]]:
    """The entries with fields, the longest first, as patterns of what they stand for."""
    with_fields = sorted(filter(FIELD.search, _table()), key=len, reverse=True)
    escaped = ((key, re.escape(FIELD.sub(r"<\1>", key))) for key in with_fields)
    return [
        (re.compile(re.sub(r"<([a-z]{2,})>", r"(?P<\1>.+?)", form)), _table()[key]) for key, form in escaped
    ]


def in_words(text: str) -> str:
    """What the library or a lab has written, in the language of the edition. Formulas stay as they are.

    An entry of the table, or one with fields whose form the text has; what fills a field is looked up as well.
    """
    if not text or not _table():
        return text
    if text in _table():
        return _table()[text]
    for pattern, form in _forms():
        if match := pattern.fullmatch(text):
            return FIELD.sub(lambda field: in_words(match[field[1]]), form)
    return text


def in_formula(tex: str) -> str:
    r"""A formula, with the words in its \text{…} in the language of the edition."""
    if not _table():
        return tex
    parts, end = [], 0
    while (start := tex.find(TEXT, end)) >= 0:
        depth, i = 1, start + len(TEXT)
        while depth:
            depth += {"{": 1, "}": -1}.get(tex[i], 0)
            i += 1
        parts += [tex[end:start], TEXT, in_words(tex[start + len(TEXT) : i - 1]), "}"]
        end = i
    return "".join([*parts, tex[end:]])


def install(app: Sphinx, config: Config) -> None:
    """Put the edition's table before those that Sphinx and its extensions bring."""
    _table.cache_clear()
    _forms.cache_clear()
    for domain in DOMAINS:
        place = ("general", domain)
        if not gettext.find(domain, str(Path(app.srcdir, FOLDER)), [config.language]):
            locale.translators.pop(("general", DOMAIN), None)
            return
        ours = gettext.translation(domain, str(Path(app.srcdir, FOLDER)), [config.language])
        theirs = locale.translators.get(place)
        if theirs is not None:
            ours.add_fallback(theirs)
        locale.translators[place] = ours


def setup(app: Sphinx) -> None:
    app.connect("config-inited", install, priority=100)
