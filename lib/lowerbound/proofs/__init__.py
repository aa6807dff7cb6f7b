"""The book's derivations by chapter, each checked line by line when it is first called.

>>> from lowerbound import proofs
>>> proofs.elbo()                    # prints the bound, line by line
>>> proofs.derivations()             # all of them, by name
>>> proofs.elbo().change(3, wrong)   # a wrong line raises StepError
"""

from . import (  # noqa: F401  # noqa: F401
    ch1_elbo,
    ch1_lifting,
    ch2_rate,
    ch2_vae,
    ch3_chain,
    ch3_forward,
    ch4_chain,
    ch4_reverse,
    ch4_sampling,
    ch5_schedule,
    ch6_latent,
    ch7_coordinates,
    ch7_flows,
    ch7_weights,
)
from .registry import code as code
from .registry import derivations as derivations
from .registry import titles as titles

globals().update(derivations())  # proofs.elbo, proofs.posterior_mean, ...
