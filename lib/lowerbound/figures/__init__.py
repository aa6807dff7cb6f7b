"""Figures in one style: arrays in, closed `Figure` out; and outputs that the book quotes.

plots:   curves, bars, density, scatter, images, from numpy arrays, lists or torch tensors on any device
names:   name_curves, a name beside each curve in place of a legend
display: show, note and slider, which store a key, a text to compare and what a page shows
"""

from .display import note, show, slider, summary
from .names import name_curves
from .plots import PALETTE, bars, canvas, curves, density, filmstrip, image_grid, scatter, style, to_array

__all__ = [
    "PALETTE",
    "bars",
    "canvas",
    "curves",
    "density",
    "filmstrip",
    "image_grid",
    "name_curves",
    "note",
    "scatter",
    "show",
    "slider",
    "style",
    "summary",
    "to_array",
]
