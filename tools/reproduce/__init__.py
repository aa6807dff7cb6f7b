"""Where the labs run and what they give there: environments, labs compared, results/reproducibility.json.

`make matrix` runs all configurations, `make replica` that of Colab, `make faults` plants errors for the
labs' comparison to catch. `matrix.cells` and `matrix.images` are the part of the comparison that is ours.
"""

TOLERANCE = 0.16
"""How far a picture may be from the stored one, as `matrix.images.distance` measures it.

Between what two versions do and what a fault does. The labs' figures with the same ticks, drawn by
matplotlib 3.10 and 3.11, are up to 0.154 apart. A picture of a lab with its most frequent colour taken out is
0.207 or more from itself, one with red and blue exchanged 0.187 or more.
"""
