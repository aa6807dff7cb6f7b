"""Pictures of the labs on a page: drawings for the light and the dark theme, and figures that move.

A lab stores a drawing as SVG where it consists of lines, and as PNG. The page shows the SVG, recoloured
for the dark theme. A slider's frames are taken from the widget state that the notebook stores; the page
shows them as pictures behind an input of type range, so that it needs neither a kernel nor ipywidgets.
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

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

SVG, PNG = "image/svg+xml", "image/png"
SUFFIXES = {SVG: ".svg", PNG: ".png"}  # the one that is shown where both are stored comes first
VIEW = "application/vnd.jupyter.widget-view+json"
FRAME = re.compile(
    r'<img class="frame" alt="(?P<alt>[^"]*)" width="\d+"[^>]*? src="data:(?P<mime>image/(?:png|svg\+xml))'
    r'(?P<coded>;base64)?,(?P<data>[^"]+)"><div>(?P<caption>[^<]*)</div>'
)
INK, PAPER, LINES = "#e4e7ea", "#14181e", "#39414c"  # of the dark theme: text, background, grid
DARK = {
    "#000000": INK,
    "#1f2933": INK,
    "#ffffff": PAPER,
    "#e3e6ea": LINES,
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f0803c",
    "#009e73": "#2fc79b",
    "#cc79a7": "#dd94bd",
}


class MissingError(Exception):
    """What a page asks for does not exist; the message names the remedy."""


class picture(nodes.image):  # noqa: N801 (a node is named as it is visited)
    """An image with width and height, loaded when it is scrolled to."""


class player(nodes.General, nodes.Element):  # noqa: N801
    """Frames, of which a range input shows one. Attributes: name, start, interval, labels."""


class frame(nodes.General, nodes.Element):  # noqa: N801
    """One frame of a player. Attributes: label, shown."""


def text_of(data: Any) -> str:
    return data if isinstance(data, str) else "".join(data)


def decoded(output: dict[str, Any], mime: str) -> bytes:
    """The bytes of an output's image."""
    text = text_of(output["data"][mime])
    return base64.b64decode(text) if mime == PNG else text.encode()


def transparent(svg: str) -> str:
    """The drawing without the white of the page behind it and behind its axes."""
    return re.sub(r"""style=(["'])fill: #ffffff\1""", r"style=\1fill: none\1", svg)


def darkened(svg: str) -> str:
    """The drawing in the colours of the dark theme. Text has no colour of its own and takes the root's."""
    swapped = re.sub(r"#[0-9a-f]{6}\b", lambda found: DARK.get(found[0], found[0]), transparent(svg))
    return swapped.replace("<svg ", f'<svg fill="{INK}" ', 1)


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
    """The picture nodes of one image: one for each theme where it is a drawing."""
    across, down = size_of(data, mime)
    about = {"alt": alt, "width": str(width), "height": str(round(width * down / across))}
    if mime == PNG:
        return [picture(uri=save(env, f"{name}.png", data), classes=["on-white"], **about)]
    svg = data.decode()
    drawings = {"light": transparent(svg), "dark": darkened(svg)}
    return [
        picture(uri=save(env, f"{name}-{theme}.svg", text.encode()), classes=[f"only-{theme}"], **about)
        for theme, text in drawings.items()
    ]


def still(env: BuildEnvironment, stem: str, key: str, output: dict[str, Any]) -> list[picture]:
    """The picture nodes of an output that holds an image."""
    for mime in SUFFIXES:
        if mime in output["data"]:
            width = output["metadata"].get(PNG, {}).get("width")
            data = decoded(output, mime)
            alt = output["metadata"]["lowerbound"].get("alt", "")
            return pictures(env, f"{stem}-{key}", data, mime, alt, width or size_of(data, mime)[0])
    raise MissingError(f"{stem}:{key} holds no image; use the lab role for a note")


def moving(
    env: BuildEnvironment, stem: str, key: str, output: dict[str, Any], state: dict[str, Any]
) -> player:
    """The player of a slider's frames, from the notebook's widget state."""
    again = f"notebooks/{stem}.ipynb stores no frames of its slider {key!r}; execute it again with nbconvert"

    def models(name: str) -> dict[str, Any]:
        found = state.get(name.removeprefix("IPY_MODEL_"))
        if found is None:
            raise MissingError(again)
        return cast(dict[str, Any], found["state"])

    controls, stack = map(models, models(output["data"][VIEW]["model_id"])["children"])
    play, handle = map(models, controls["children"])
    width = output["metadata"][PNG]["width"]
    found = []
    for number, child in enumerate(stack.get("children", [])):
        parts = FRAME.fullmatch(models(child)["value"])
        if not parts:
            raise MissingError(again)
        try:
            text = parts["data"]
            data = base64.b64decode(text, validate=True) if parts["coded"] else unquote(text).encode()
        except binascii.Error as error:
            raise MissingError(again) from error
        caption = html.unescape(parts["caption"])
        name = f"{stem}-{key}-{number:02d}"
        images = pictures(env, name, data, parts["mime"], html.unescape(parts["alt"]), width)
        found.append(frame("", *images, label=caption, shown=number == handle["value"]))
    if not found:
        raise MissingError(again)
    about = {"start": handle["value"], "interval": play["interval"], "name": handle["description"]}
    return player("", *found, **about)


def visit_picture(self: Any, node: picture) -> None:
    uri = node["uri"]
    if uri in self.builder.images:
        uri = posixpath.join(self.builder.imgpath, quote(self.builder.images[uri]))
    about = {name: node[name] for name in ("alt", "width", "height")}
    classes = " ".join(node["classes"])
    self.body.append(self.emptytag(node, "img", "", src=uri, loading="lazy", CLASS=classes, **about))
    raise nodes.SkipNode


def visit_player(self: Any, node: player) -> None:
    about = {"data-start": str(node["start"]), "data-interval": str(node["interval"])}
    self.body.append(self.starttag(node, "div", "", CLASS="player", **about))
    labels = [child["label"] for child in node.findall(frame)]
    name, label = html.escape(node["name"].strip(" :")), html.escape(labels[node["start"]])
    self.body.append(
        '<div class="player-controls" hidden>'
        '<button type="button" class="player-play" aria-label="Play"></button>'
        f'<input type="range" min="0" max="{len(labels) - 1}" step="1" value="{node["start"]}"'
        f' aria-label="{name}" aria-valuetext="{label}"><output>{label}</output></div>\n'
    )


def visit_frame(self: Any, node: frame) -> None:
    about = {} if node["shown"] else {"hidden": "hidden"}
    self.body.append(self.starttag(node, "div", "", CLASS="frame", **{"data-label": node["label"]}, **about))


def close(self: Any, node: nodes.Element) -> None:
    self.body.append("</div>\n")


def as_image(self: Any, node: picture) -> None:
    if "only-dark" in node["classes"]:
        raise nodes.SkipNode
    self.visit_image(node)


def leave(self: Any, node: nodes.Element) -> None:
    """Write nothing."""


def setup(app: Sphinx) -> None:
    app.add_node(picture, html=(visit_picture, leave), latex=(as_image, leave), text=(as_image, leave))
    app.add_node(player, html=(visit_player, close), latex=(leave, leave), text=(leave, leave))
    app.add_node(frame, html=(visit_frame, close), latex=(leave, leave), text=(leave, leave))
