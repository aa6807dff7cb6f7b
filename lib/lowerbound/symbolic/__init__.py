"""Derivations checked line by line, in the book's notation, printed as they were written.

x, z = RandomVariable("x"), RandomVariable("z")
p, q = Family("p", "theta", fixed=[z]), Family("q", "phi")
with as_written():
    d = Derivation("split", start=E(q(z | x), log(p(x, z) / q(z | x))), title="the bound, split")
    d.step(E(q(z | x), log(p(x | z) * p(z) / q(z | x))), "product rule")
    d.step(E(q(z | x), log(p(x | z))) - KL(q(z | x), p(z)), "split, and name the KL")
d                            # prints the aligned formula; a wrong line raises StepError and says why
"""

from . import lemmas
from .checking import Step
from .derivation import Derivation
from .messages import StepError
from .notation import KL, Density, E, Family, Normal, RandomVariable, SquaredNorm, Unit, as_written
from .printing import latex

__all__ = [
    "KL",
    "Density",
    "Derivation",
    "E",
    "Family",
    "Normal",
    "RandomVariable",
    "SquaredNorm",
    "Step",
    "StepError",
    "Unit",
    "as_written",
    "latex",
    "lemmas",
]
