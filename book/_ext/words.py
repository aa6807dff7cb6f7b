"""Words of a page that stand in no source of a page: of the helpers, the proofs' reasons, the labs' notes.

English is their key. Another edition has one table of them, a catalogue of gettext. tools/publish/editions.py
compiles it beside the pages that it stages. An entry with fields, as in "Lab {number}", also stands for every
text that the library prints in its form.
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
NUMBERS = {"number", "low", "high", "count"}  # fields that hold a number; the others hold any text
TEXT = r"\text{"


def translated(text: str) -> str:
    """A text in the language of the edition; as it is, where the table has no entry for it."""
    return _table().get(text, text)


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
    return [(pattern(key), _table()[key]) for key in with_fields]


def pattern(form: str) -> re.Pattern[str]:
    """What a text looks like that is an entry with its fields filled."""
    texts, names = FIELD.split(form)[::2], FIELD.findall(form)
    fields = [f"(?P<{name}>{'[-−+.,0-9]+' if name in NUMBERS else '.+?'})" for name in names]
    return re.compile("".join(map("".join, zip(map(re.escape, texts), [*fields, ""], strict=True))))


def in_words(text: str) -> str:
    """What the library or a lab has written, in the language of the edition; formulas stay.

    An entry of the table, or one with fields whose form the text has. What fills a field is looked up, too.
    """
    if not text or text in _table():
        return translated(text)
    for form, own in _forms():
        if match := form.fullmatch(text):
            return FIELD.sub(lambda field, found=match: in_words(found[field[1]]), own)  # type: ignore[misc]
    return text


def in_formula(tex: str) -> str:
    r"""A formula, with the words in its \text{…} in the language of the edition."""
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
    locale.translators.pop(("general", DOMAIN), None)  # of another edition that this process has built
    folder = str(Path(app.srcdir, FOLDER))
    if not config.language or not gettext.find(DOMAIN, folder, [config.language]):
        return
    for domain in DOMAINS:
        place = ("general", domain)
        ours = gettext.translation(domain, folder, [config.language])
        theirs = locale.translators.get(place)
        if theirs is not None:
            ours.add_fallback(theirs)
        locale.translators[place] = ours


def setup(app: Sphinx) -> None:
    app.connect("config-inited", install, priority=100)
