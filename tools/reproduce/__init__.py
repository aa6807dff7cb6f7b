"""Where the labs run and what they give there: environments, labs compared, errors planted.

`noxfile.py` runs the labs in other environments, `faults.py` plants errors for them to notice; both write
results/reproducibility.json. `cells.py` and `images.py` are the part of the comparison that is ours.
"""

TOLERANCE = 0.16
"""How far a picture may be from the stored one, as `images.distance` measures it.

Between what two versions do and what a fault does. The labs' figures with the same ticks, drawn by
matplotlib 3.10 and 3.11, are up to 0.154 apart. A picture of a lab with its most frequent colour taken out is
0.207 or more from itself, one with red and blue exchanged 0.187 or more.
"""
