"""Pictures of the labs on a page: drawings for the light and the dark theme, and figures that move.

A lab stores a drawing as SVG where it consists of lines, and as PNG. The page shows the SVG, or the PNG
where there is none, recoloured for the dark theme by dark.py. Of a slider it stores HTML, with images in
it; a page has the same HTML, and the images as files in the colours of both themes, fetched when they
are asked for.
"""

from __future__ import annotations

import base64
import binascii
import html
import os
import posixpath
import re
import struct
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

from dark import dark_png, darkened, transparent
from docutils import nodes
from drawn_words import translated_drawing
from sources import MissingError
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from words import in_words, translated

SVG, PNG = "image/svg+xml", "image/png"
SUFFIXES = {SVG: ".svg", PNG: ".png"}  # the one that is shown where both are stored comes first
HTML, VIEW = "text/html", "application/vnd.jupyter.widget-view+json"
CONTEXT = "picture\x04"  # before the key of an entry with the words of a picture, as gettext has it
IMAGE = re.compile(  # of a slider: alt text, width, type, ";base64" or nothing, data
    r'<img alt="([^"]*)" width="(\d+)"[^>]*? src="data:(image/(?:png|svg\+xml))(;base64)?,([^"]+)">'
)
LABELS = re.compile(
    r'(<summary>|class="player-end">|aria-label="|aria-valuetext=")([^"<]*)(</summary>|</span>|")'
)


WIDE = 620  # pixels; on a phone, a still of such width scrolls, for its letters would be too small to read


class picture(nodes.image):  # noqa: N801 (a node is named as it is visited)
    """An image with width and height, loaded when it is scrolled to."""


def text_of(data: Any) -> str:
    return data if isinstance(data, str) else "".join(data)


def decoded(output: dict[str, Any], mime: str) -> bytes:
    """The bytes of an output's image."""
    text = text_of(output["data"][mime])
    return base64.b64decode(text) if mime == PNG else text.encode()


def size_of(data: bytes, mime: str) -> tuple[int, int]:
    """Width and height of an image, in its own pixels or points."""
    if mime == PNG:
        return cast(tuple[int, int], struct.unpack(">II", data[16:24]))
    box = re.search(rb"""viewBox=["']0 0 ([\d.]+) ([\d.]+)["']""", data)
    if not box:
        raise MissingError("the drawing has no viewBox; execute its lab again")
    return round(float(box[1])), round(float(box[2]))


def save(env: BuildEnvironment, name: str, data: bytes) -> str:
    """Write an image below the doctrees. Returns its uri for an image node."""
    path = Path(env.doctreedir, "lab_figures", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != data:
        path.write_bytes(data)
    return "/" + os.path.relpath(path, env.srcdir).replace(os.sep, "/")


def pictures(env: BuildEnvironment, name: str, data: bytes, mime: str, alt: str, width: int) -> list[picture]:
    """The picture nodes of one image, one for each theme."""
    across, down = size_of(data, mime)
    attributes = {"alt": alt, "width": str(width), "height": str(round(width * down / across))}
    if mime == SVG:
        svg, end = translated_drawing(data.decode()), "svg"
        themes = {"light": transparent(svg).encode(), "dark": darkened(svg).encode()}
    else:
        end, dark = "png", dark_png(data)
        if dark is None:  # drawn elsewhere: it keeps a white card
            return [picture(uri=save(env, f"{name}.png", data), classes=["on-white"], **attributes)]
        themes = {"light": data, "dark": dark}
    return [
        picture(uri=save(env, f"{name}-{theme}.{end}", drawn), classes=[f"only-{theme}"], **attributes)
        for theme, drawn in themes.items()
    ]


def still(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[nodes.Node]:
    """The picture nodes of an output that holds an image."""
    for mime in SUFFIXES:
        if mime in output["data"]:
            width = output["metadata"].get(PNG, {}).get("width")
            data = decoded(output, mime)
            alt = in_words(output["metadata"]["lowerbound"].get("alt", ""))
            width = width or size_of(data, mime)[0]
            shown = pictures(env, f"{stem}-{key}", data, mime, alt, width)
            return [nodes.container("", *shown, classes=["wide"])] if width > WIDE else [*shown]
    raise MissingError(f"{stem}:{key} holds no image; use the lab role for a note")


def moving(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[nodes.Node]:
    """A slider's HTML as its lab stored it, its images in files of their own."""
    again = f"notebooks/{stem}.ipynb stores no frames of its slider {key!r}; execute it again with nbconvert"
    parts = IMAGE.split(text_of(output["data"].get(HTML, "")))
    between, images = parts[::6], [parts[i : i + 5] for i in range(1, len(parts), 6)]
    if not images or any("<img" in text for text in between):
        raise MissingError(again)
    player: list[nodes.Node] = [nodes.raw("", labelled(between[0]), format="html")]
    for number, (alt, width, mime, in_base64, text) in enumerate(images):
        try:
            data = base64.b64decode(text, validate=True) if in_base64 else unquote(text).encode()
        except binascii.Error as error:
            raise MissingError(again) from error
        name = f"{stem}-{key}-{number:02d}"
        player += pictures(env, name, data, mime, in_words(html.unescape(alt)), int(width))
        player.append(nodes.raw("", labelled(between[number + 1]), format="html"))
    return player


def labelled(player: str) -> str:
    """A part of a slider's HTML, its labels in the language of the edition."""
    return LABELS.sub(
        lambda found: f"{found[1]}{html.escape(in_words(html.unescape(found[2])))}{found[3]}", player
    )


def shown(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[nodes.Node]:
    """What a page shows of an output: its picture, or a player and, where it cannot play, its picture."""
    if not {HTML, VIEW} & set(output["data"]):  # a view is what a slider leaves that was run in JupyterLab
        return [*still(env, stem, key, output), *meanings(stem, key)]
    player, start = moving(env, stem, key, output), still(env, stem, key, output)
    picture = [addnodes.only("", *player, expr="html"), addnodes.only("", *start, expr="not html")]
    return [*picture, *meanings(stem, key)]


def meanings(stem: str, key: str) -> list[nodes.Node]:
    """What the words in a picture of points mean, which stay English; nothing where the edition says none."""
    name = f"{CONTEXT}{stem}:{key}"
    words = translated(name)
    if words == name:
        return []
    said = translated("In the picture: {words}.").format(words=words)
    return [nodes.paragraph("", said, classes=["meanings"])]


def visit_picture(self: Any, node: picture) -> None:
    uri = node["uri"]
    if uri in self.builder.images:
        uri = posixpath.join(self.builder.imgpath, quote(self.builder.images[uri]))
    attributes = {name: node[name] for name in ("alt", "width", "height")}
    classes = " ".join(node["classes"])
    self.body.append(self.emptytag(node, "img", "", src=uri, loading="lazy", CLASS=classes, **attributes))
    raise nodes.SkipNode


def as_image(self: Any, node: picture) -> None:
    if "only-dark" in node["classes"]:
        raise nodes.SkipNode
    self.visit_image(node)


def leave(self: Any, node: nodes.Element) -> None:
    """Write nothing."""


def setup(app: Sphinx) -> None:
    app.add_node(picture, html=(visit_picture, leave), latex=(as_image, leave), text=(as_image, leave))
