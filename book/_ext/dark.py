"""Pictures of the labs in the colours of the dark theme.

A drawing (SVG) has its colours swapped. A picture of points (PNG) is drawn on white, with photographs in it:
they stay as they are, and around them light becomes dark and colours keep their hue. The standard library
does it, since the book is built without others.
"""

from __future__ import annotations

import colorsys
import re
import struct
import zlib
from collections.abc import Iterator

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
    # Names beside curves, which are darker than these: lowerbound.figures.names.WRITTEN.
    "#b34f00": "#f0803c",
    "#00795a": "#2fc79b",
    "#8a6000": "#e69f00",
    "#a44a7c": "#dd94bd",
    "#1b74ab": "#56b4e9",
}
SMALL = 24  # pixels: what is not as high and as wide is a letter or a mark
EDGE = 3  # pixels from the upper edge of a photograph, where no line is that was drawn around it
SIGNATURE = b"\x89PNG\r\n\x1a\n"
Box = tuple[int, int, int, int]  # left, right, top, bottom


def transparent(svg: str) -> str:
    """The drawing without the white of the page behind it and behind its axes."""
    return re.sub(r"""style=(["'])fill: #ffffff\1""", r"style=\1fill: none\1", svg)


def darkened(svg: str) -> str:
    """The drawing in the colours of the dark theme. Text has no colour of its own and takes the root's."""
    swapped = re.sub(r"#[0-9a-f]{6}\b", lambda colour: DARK.get(colour[0], colour[0]), transparent(svg))
    return swapped.replace("<svg ", f'<svg fill="{INK}" ', 1)


def _dark_colour(red: int, green: int, blue: int) -> bytes:
    """The colour of its hue that is as dark as this one is light, between the theme's ink and paper."""
    ink, paper = (sum(bytes.fromhex(colour[1:])) / 765 for colour in (INK, PAPER))
    hue, light, strong = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    if min(red, green, blue) == 255:
        return bytes.fromhex(PAPER[1:])
    return bytes(round(255 * part) for part in colorsys.hls_to_rgb(hue, ink + (paper - ink) * light, strong))


def _runs(used: list[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of ones."""
    ends = [0, *used, 0]
    changes = [i for i in range(len(used) + 1) if ends[i] != ends[i + 1]]
    return zip(changes[::2], changes[1::2], strict=True)


def _blocks(rows: list[bytes], box: Box) -> Iterator[Box]:
    """What is left when the picture is cut along its white rows and columns, again and again."""
    left, right, top, bottom = box
    bands = list(_runs([1 in row[left:right] for row in rows[top:bottom]]))
    for start, end in bands:
        union = 0
        for row in rows[top + start : top + end]:
            union |= int.from_bytes(row[left:right], "big")
        columns = list(_runs(list(union.to_bytes(right - left, "big"))))
        for first, last in columns:
            part = (left + first, left + last, top + start, top + end)
            if part == box:
                yield part
            else:
                yield from _blocks(rows, part)


def photographs(rows: list[bytes], grey: list[bytes]) -> list[Box]:
    """The places of photographs: large, most of it not white, and along the upper edge grey or black.

    rows: 1 where a point is not white; grey: 1 where it is grey and not light
    """
    found = []
    for left, right, top, bottom in _blocks(rows, (0, len(rows[0]), 0, len(rows))):
        wide, high = right - left, bottom - top
        filled = sum(row[left:right].count(1) for row in rows[top:bottom])
        if min(wide, high) < SMALL or 2 * filled < wide * high:
            continue
        if 2 * grey[top + EDGE][left:right].count(1) > wide:
            found.append((left, right, top, bottom))
    return found


def dark_png(data: bytes) -> bytes | None:
    """The picture for the dark theme; None if it has no palette of at most 128 colours, as the labs' have."""
    chunks, at = [], len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    parts = dict(chunks)
    wide, _, depth, kind = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    palette, points = parts.get(b"PLTE", b""), zlib.decompress(b"".join(d for k, d in chunks if k == b"IDAT"))
    lines = [points[i : i + wide + 1] for i in range(0, len(points), wide + 1)]
    if (depth, kind) != (8, 3) or len(palette) > 3 * 128 or any(line[0] for line in lines):
        return None
    colours = [palette[i : i + 3] for i in range(0, len(palette), 3)]
    known = bytes(min(colour) < 250 for colour in colours).ljust(256, b"\0")
    rows = [line[1:] for line in lines]
    grey = bytes(max(colour) < 200 and max(colour) - min(colour) < 16 for colour in colours).ljust(256, b"\0")
    kept = photographs([row.translate(known) for row in rows], [row.translate(grey) for row in rows])
    other = bytes((i + 128) % 256 for i in range(256))
    for left, right, top, bottom in kept:
        for y in range(top, bottom):  # marked now, and unmarked with all others below
            rows[y] = rows[y][:left] + rows[y][left:right].translate(other) + rows[y][right:]
    new = palette.ljust(3 * 128, b"\0") + b"".join(_dark_colour(*colour) for colour in colours)
    swapped = zlib.compress(b"".join(b"\0" + row.translate(other) for row in rows), 9)
    out = [(b"IHDR", parts[b"IHDR"]), (b"PLTE", new), (b"IDAT", swapped), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in out
    )
