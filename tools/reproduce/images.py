"""Whether two pictures of a plot look the same: blind to antialiasing and to slight differences of a font.

Both pictures are averaged over blocks of a few pixels and smoothed, and each block may find its colour in
any of its neighbours. So an edge that moved by a pixel or two, or a letter that is drawn a little bolder,
nearly vanishes; an empty axis, a missing curve or swapped colours do not.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]

BLOCKS = 128  # in the longer side of a picture


def blocks(png: bytes, size: tuple[int, int] | None = None) -> Array:
    """Smoothed mean colours of the blocks of a picture, in [0, 1]: (rows, columns, 3).

    size: width and height in pixels to which the picture is scaled first
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if size is not None and picture.size != size:
        picture = picture.resize(size, Image.Resampling.BOX)
    scale = BLOCKS / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BOX)
    return _neighbours(np.asarray(small, dtype=np.float64) / 255).mean(0)


def distance(stored: bytes, fresh: bytes) -> float:
    """How far two pictures are apart, 0 to 1: the block of one that is farthest from its place in the other.

    Pictures whose sides differ by more than one in fifty are 1 apart.
    """
    old, new = (Image.open(io.BytesIO(png)).size for png in (stored, fresh))
    if any(abs(a - b) > 0.02 * max(a, b) for a, b in zip(old, new, strict=True)):
        return 1.0
    one, other = blocks(stored, old), blocks(fresh, old)
    return max(_outside(one, other), _outside(other, one))


def _outside(one: Array, other: Array) -> float:
    """How far a block of `one` leaves the range of the blocks around its place in `other`."""
    around = _neighbours(other)
    return float(np.maximum(one - around.max(0), around.min(0) - one).max())


def _neighbours(values: Array) -> Array:
    """The 3 × 3 blocks around each, itself among them: (9, rows, columns, 3). The rim is repeated."""
    rows, columns = values.shape[:2]
    wide = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    return np.stack([wide[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])
