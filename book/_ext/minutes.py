"""The lecture's minutes: notes in the margin, linked to the lecture map, and the map, linked to them.

Role       lecture   minutes such as 01:36-05:16: a tag in a margin or below a heading, plain in a sentence
Directive  minutes   all minutes that stand in a section's margin, folded by chapter, and a box to type one

On the lecture map, a term such as 01:36–05:16 is a place to link to, and the sections that speak of these
minutes are listed below what the lecture says there.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole
from words import translated

logger = logging.getLogger(__name__)

MAP = "book/lecture_map"
RANGE = re.compile(r"(\d\d):(\d\d)(?:[-–](\d\d):(\d\d))?")
NEAREST = 3  # sections listed for an entry of the map, those that speak of it alone first


@dataclass(frozen=True)
class Minutes:
    """A section in whose margin minutes of the lecture stand. start, end: seconds."""

    start: int
    end: int
    page: str
    anchor: str
    title: str

    @property
    def minutes(self) -> str:
        return f"{clock(self.start)}–{clock(self.end)}"


def clock(seconds: int) -> str:
    """Seconds as 01:36."""
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def seconds(text: str) -> tuple[int, int] | None:
    """Start and end of '01:36-05:16' in seconds; the same number twice for '01:36'."""
    match = RANGE.fullmatch(text)
    if not match:
        return None
    one, two, three, four = (int(part or 0) for part in match.groups())
    start = 60 * one + two
    return start, 60 * three + four if match[3] else start


class lecture_link(nodes.Inline, nodes.TextElement):  # noqa: N801 (a node is named as it is visited)
    """A link to the entry of the lecture map that holds `start`."""


class minute_list(nodes.General, nodes.Element):  # noqa: N801
    """Where the list of all minutes is to be put."""


class LectureRole(SphinxRole):
    """Minutes of the lecture, such as 01:36-05:16, linked to the lecture map."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        span = seconds(self.text)
        if span is None:
            message = "lecture minutes must look like 01:36-05:16, got %r"
            location = self.get_location()
            logger.warning(message, self.text, location=location, type="lowerbound", subtype="lecture")
            return [nodes.Text(self.text)], []
        label = translated("Lecture {minutes}").format(minutes=self.text.replace("-", "–"))
        return [lecture_link("", label, start=span[0], end=span[1])], []


class MinuteList(Directive):
    """All minutes that stand in a margin, each with its section, folded by chapter, with a box above them."""

    def run(self) -> list[nodes.Node]:
        return [minute_list()]


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Remember the sections whose margin holds minutes; make the map's terms places to link to."""
    env, page = app.env, app.env.docname
    noted = []
    for link in doctree.findall(lecture_link):
        section: Any = link.parent
        margin = False
        while section is not None and not isinstance(section, nodes.section):
            margin |= isinstance(section, nodes.sidebar)
            section = section.parent
        if margin and section is not None:
            noted.append(Minutes(link["start"], link["end"], page, section["ids"][0], section[0].astext()))
    env.metadata[page]["minutes"] = noted
    if page == MAP:
        terms = {term: seconds(term.astext()) for term in doctree.findall(nodes.term)}
        starts = {term: span[0] for term, span in terms.items() if span}
        for term, start in starts.items():
            term["ids"].append(f"minute-{start:04d}")
        env.metadata[page]["entries"] = sorted(starts.values())


def _reference(app: Sphinx, page: str, target: str, anchor: str, *children: nodes.Node) -> nodes.reference:
    uri = app.builder.get_relative_uri(page, target) + (f"#{anchor}" if anchor else "")
    return nodes.reference("", "", *children, refuri=uri, internal=True)


def _number(env: BuildEnvironment, page: str) -> str:
    number = env.toc_secnumbers.get(page, {}).get("")
    return translated("Chapter {number}").format(number=".".join(map(str, number))) if number else ""


def _list(app: Sphinx, page: str, sections: list[Minutes]) -> nodes.bullet_list:
    rows = nodes.bullet_list(classes=["minutes"])
    for section in sections:
        link = _reference(app, page, section.page, section.anchor, nodes.Text(section.title))
        time = nodes.inline("", section.minutes, classes=["minutes-time"])
        chapter = nodes.inline("", _number(app.env, section.page), classes=["minutes-chapter"])
        line = nodes.paragraph("", "", time, nodes.Text(" "), link, nodes.Text(" "), chapter)
        rows += nodes.list_item("", line)
    return rows


BOX = """<form class="minute-box" hidden><label>%s <input type="text" inputmode="numeric"
placeholder="3:21" size="5" pattern="[0-9]{1,2}:[0-9]{2}" required></label>
<button>%s</button><output aria-live="polite"></output></form>"""  # shown by book.js


def _folded(app: Sphinx, page: str, every: list[Minutes]) -> list[nodes.Node]:
    """A box to type a minute, and below it the minutes of each chapter, folded."""
    parts: list[nodes.Node] = [nodes.raw("", BOX % (translated("Minute"), translated("Go")), format="html")]
    for chapter in sorted({part.page for part in every}):
        title = app.env.titles[chapter].astext()
        name = html.escape(f"{_number(app.env, chapter)}: {title}".removeprefix(": "))
        parts += [
            nodes.raw("", f'<details class="minutes"><summary>{name}</summary>', format="html"),
            _list(app, page, [part for part in every if part.page == chapter]),
            nodes.raw("", "</details>", format="html"),
        ]
    return parts


def _in_a_sentence(link: lecture_link) -> bool:
    """Whether words stand before a link, among which it is no tag: "Lecture." need not be said again."""
    before = "".join(node.astext() for node in link.parent[: link.parent.index(link)])
    return bool(re.sub(r"Lecture \d\d:\d\d–\d\d:\d\d|[\s,]", "", before))


def resolve(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the links in."""
    noted = [part for metadata in app.env.metadata.values() for part in metadata.get("minutes", [])]
    every = sorted(noted, key=lambda part: (part.start, part.end))
    entries = app.env.metadata.get(MAP, {}).get("entries", [])
    for link in list(doctree.findall(lecture_link)):
        entry = max((start for start in entries if start <= link["start"]), default=None)
        anchor = "" if entry is None else f"minute-{entry:04d}"
        plain = _in_a_sentence(link)
        text = link.astext().removeprefix("Lecture ") if plain else link.astext()
        reference = _reference(app, page, MAP, anchor, nodes.Text(text))
        link.replace_self(nodes.inline("", "", reference, classes=["minutes-plain" if plain else "lecture"]))
    for holder in list(doctree.findall(minute_list)):
        holder.replace_self(_folded(app, page, every))
    if page == MAP:
        for item in doctree.findall(nodes.definition_list_item):
            span = seconds(item[0].astext())
            if span:
                start, end = span
                near = [p for p in every if p.start < end and start < p.end]
                near = sorted(near, key=lambda p: p.end - p.start)[:NEAREST]
                item[-1].append(_list(app, page, near))


def setup(app: Sphinx) -> None:
    app.add_node(lecture_link)
    app.add_node(minute_list)
    app.add_role("lecture", LectureRole())
    app.add_directive("minutes", MinuteList)
    app.connect("doctree-read", collect)
    app.connect("doctree-resolved", resolve)
