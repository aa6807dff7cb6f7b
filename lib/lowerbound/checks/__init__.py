"""Self-checks for the assignments and the labs: a function is run at random points, and its mistake is named.

>>> from lowerbound import checks
>>> checks.kl(my_kl)                 # prints one line, or raises CheckError and says which mistake it is

The right values come from the last lines of `lowerbound.proofs`. Each check holds a catalogue of known
wrong variants, `checks.kl.mistakes`; the tests of this library plant the same ones in the library itself.
A message points to the equation in the book and never holds the answer. The points are the same at every
call, so a message can be had again; `checks.kl.grade(my_kl)`, the hidden test, draws its own. Types and
shapes are compared before values.

assignment 1: coin_bound, coin_gap, best_guess, gaussian_bound, best_encoder, deceptive_step, bound_derivation
assignment 2: reparameterise, kl, log_likelihood, loss, rate_per_latent, rate_derivation
assignment 3: q_sample, next_moments, fixed_point, terminal_kl, schedule_to, recursion_derivation
assignment 4: posterior, x0_from_eps, l_simple, weight, ancestral_step, ddim_step, bits_per_dim,
  guess_derivation
assignment 5: parameters, training_cost, bits_from_density, interval, paired_gap, units_derivation
assignment 6: latent_bound, mixture_rate, scaled_levels, first_step, weighted_terms, prior_derivation
assignment 7: image_and_noise, straight, logit_normal_weight, mean_velocity, bend, velocity_derivation
lab 1: naive_log_p, elbo_draw, responsibilities
lab 2: sample_gradient, log_aggregate
lab 3: forward_step, bayes
lab 4: score, guided_eps
lab 6: code_entropy, scaled_log_snr
lab 7: eps_from_velocity, two_in_one
clinic: effective_beta, step_grid, warm_decay, copy_ratio

In a lab a check is asked: `checks.naive_log_p.ask(naive_log_p)` prints what is wrong and raises nothing.
"""

from .a1_bound import (
    best_encoder,
    best_guess,
    bound_derivation,
    coin_bound,
    coin_gap,
    deceptive_step,
    gaussian_bound,
)
from .a2_vae import kl, log_likelihood, loss, rate_derivation, rate_per_latent, reparameterise
from .a3_forward import fixed_point, next_moments, q_sample, recursion_derivation, schedule_to, terminal_kl
from .a4_reverse import (
    ancestral_step,
    bits_per_dim,
    ddim_step,
    guess_derivation,
    l_simple,
    posterior,
    weight,
    x0_from_eps,
)
from .a5_comparison import (
    bits_from_density,
    interval,
    paired_gap,
    parameters,
    training_cost,
    units_derivation,
)
from .a6_latent import (
    first_step,
    latent_bound,
    mixture_rate,
    prior_derivation,
    scaled_levels,
    weighted_terms,
)
from .a7_coordinates import (
    bend,
    image_and_noise,
    logit_normal_weight,
    mean_velocity,
    straight,
    velocity_derivation,
)
from .clinic import copy_ratio, effective_beta, step_grid, warm_decay
from .engine import Check, CheckError, Elsewhere, Mistake
from .lab1_bound import elbo_draw, naive_log_p, responsibilities
from .lab2_vae import log_aggregate, sample_gradient
from .lab3_forward import bayes, forward_step
from .lab4_reverse import guided_eps, score
from .lab6_latent import code_entropy, scaled_log_snr
from .lab7_coordinates import eps_from_velocity, two_in_one
from .proved import ProofCheck

ASSIGNMENTS: dict[str, tuple[Check | ProofCheck, ...]] = {
    "A1_bound": (
        coin_bound, coin_gap, best_guess, gaussian_bound, best_encoder, deceptive_step, bound_derivation
    ),
    "A2_vae": (reparameterise, kl, log_likelihood, loss, rate_per_latent, rate_derivation),
    "A3_forward": (q_sample, next_moments, fixed_point, terminal_kl, schedule_to, recursion_derivation),
    "A4_reverse": (
        posterior, x0_from_eps, l_simple, weight, ancestral_step, ddim_step, bits_per_dim, guess_derivation
    ),
    "A5_comparison": (parameters, training_cost, bits_from_density, interval, paired_gap, units_derivation),
    "A6_latent": (
        latent_bound, mixture_rate, scaled_levels, first_step, weighted_terms, prior_derivation
    ),
    "A7_coordinates": (
        image_and_noise, straight, logit_normal_weight, mean_velocity, bend, velocity_derivation
    ),
}  # fmt: skip
LABS: dict[str, tuple[Check, ...]] = {
    "01_elbo": (naive_log_p, elbo_draw, responsibilities),
    "02_vae": (sample_gradient, log_aggregate),
    "03_forward": (forward_step, bayes),
    "04_reverse": (score, guided_eps),
    "06_latent": (code_entropy, scaled_log_snr),
    "07_coordinates": (eps_from_velocity, two_in_one),
    "clinic": (effective_beta, step_grid, warm_decay, copy_ratio),
}
__all__ = ["ASSIGNMENTS", "LABS", "Check", "CheckError", "Elsewhere", "Mistake", "ProofCheck"]
__all__ += [check.name for group in (*ASSIGNMENTS.values(), *LABS.values()) for check in group]
