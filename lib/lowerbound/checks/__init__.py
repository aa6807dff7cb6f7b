"""Self-checks for the assignments: a function is run at random points, and its mistake is named.

>>> from lowerbound import checks
>>> checks.kl(my_kl)                 # prints one line, or raises CheckError and says which mistake it is

The right values come from the last lines of `lowerbound.proofs`. Each check holds a catalogue of known
wrong variants, `checks.kl.mistakes`; the tests of this library plant the same ones in the library itself.
A message points to the equation in the book and never holds the answer. The points are the same at every
call, so a message can be had again. Types and shapes are compared before values.

assignment 1: coin_bound, coin_gap, best_guess, gaussian_bound, best_encoder, deceptive_step, bound_derivation
assignment 2: reparameterise, kl, log_likelihood, loss, rate_per_latent, rate_derivation
assignment 3: q_sample, next_moments, fixed_point, terminal_kl, schedule_to, recursion_derivation
assignment 4: posterior, x0_from_eps, l_simple, weight, ancestral_step, ddim_step, bits_per_dim,
  guess_derivation
assignment 5: parameters, training_cost, bits_from_density, winner, paired_gap, units_derivation
"""

from .codes import kl, rate_derivation, rate_per_latent, reparameterise
from .coins import best_guess, coin_bound, coin_gap
from .encoder import best_encoder, bound_derivation, deceptive_step, gaussian_bound
from .ending import schedule_to, terminal_kl
from .engine import Check, CheckError, Mistake
from .noising import fixed_point, next_moments, q_sample, recursion_derivation
from .pixels import log_likelihood, loss
from .proved import ProofCheck
from .race import bits_from_density, parameters, training_cost, units_derivation
from .reading import paired_gap, winner
from .sampling import ancestral_step, bits_per_dim, l_simple, weight
from .steps import ddim_step, guess_derivation, posterior, x0_from_eps

__all__ = [
    "ASSIGNMENTS",
    "Check",
    "CheckError",
    "Mistake",
    "ProofCheck",
    "ancestral_step",
    "best_encoder",
    "best_guess",
    "bits_from_density",
    "bits_per_dim",
    "bound_derivation",
    "coin_bound",
    "coin_gap",
    "ddim_step",
    "deceptive_step",
    "fixed_point",
    "gaussian_bound",
    "guess_derivation",
    "kl",
    "l_simple",
    "log_likelihood",
    "loss",
    "next_moments",
    "paired_gap",
    "parameters",
    "posterior",
    "q_sample",
    "rate_derivation",
    "rate_per_latent",
    "recursion_derivation",
    "reparameterise",
    "schedule_to",
    "terminal_kl",
    "training_cost",
    "units_derivation",
    "weight",
    "winner",
    "x0_from_eps",
]

ASSIGNMENTS: dict[str, tuple[Check | ProofCheck, ...]] = {
    "A1_bound": (
        coin_bound,
        coin_gap,
        best_guess,
        gaussian_bound,
        best_encoder,
        deceptive_step,
        bound_derivation,
    ),
    "A2_vae": (reparameterise, kl, log_likelihood, loss, rate_per_latent, rate_derivation),
    "A3_forward": (q_sample, next_moments, fixed_point, terminal_kl, schedule_to, recursion_derivation),
    "A4_reverse": (
        posterior,
        x0_from_eps,
        l_simple,
        weight,
        ancestral_step,
        ddim_step,
        bits_per_dim,
        guess_derivation,
    ),
    "A5_comparison": (parameters, training_cost, bits_from_density, winner, paired_gap, units_derivation),
}
