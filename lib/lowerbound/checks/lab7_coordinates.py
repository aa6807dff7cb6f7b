"""Lab 7: the noise from a velocity, and two DDIM steps in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..proofs import ch3_forward as forward
from ..proofs import ch4_reverse as reverse
from ..proofs import ch7_coordinates as coordinates
from ..proofs import ch7_flows as flows
from ..symbolic import Derivation
from .cases import POINTS, derivation, function_of, normal, on
from .draws import Rng, between
from .engine import Check, Mistake
from .optional import Tensor


def _as_printed(name: str, *symbols: Any) -> Callable[..., Any]:
    """The last line of a derivation as a function of the letters that are printed in it."""
    return function_of(Derivation(name, derivation(name).last), *symbols)


def _velocities(rng: Rng) -> Iterator[tuple[Tensor, Tensor, float]]:
    """A velocity, a state and its time."""
    for _ in range(POINTS):
        yield normal(rng, 6, 2), normal(rng, 6, 2), between(rng, 0.1, 0.45)


def _noise(u: Tensor, z: Tensor, tau: float) -> Tensor:
    """Signal 1 − τ, noise τ, and the velocity's parts −1 and 1, whose determinant is 1; from its proof."""
    names = coordinates.a, coordinates.c, coordinates.det, forward.xt, coordinates.y
    return on(_as_printed("noise_from_coordinate", *names), 1 - tau, -1.0, 1.0, z, u)


eps_from_velocity = Check(
    "eps_from_velocity",
    "eq-coordinates-noise",
    _velocities,
    _noise,
    {
        "the image": Mistake(
            lambda u, z, tau: z - tau * u, "this is the image: the path, followed back to its clean end."
        ),
        "the time exchanged": Mistake(
            lambda u, z, tau: z + tau * u,
            "the way that is left to the noise is not as long as the way behind.",
        ),
        "the wrong way": Mistake(
            lambda u, z, tau: z - (1 - tau) * u, "this goes away from the noise; u points to it."
        ),
        "from the start": Mistake(
            lambda u, z, tau: u, "this is the velocity itself; the state has to come in."
        ),
        "divided": Mistake(
            lambda u, z, tau: (z + (1 - tau) * u) / tau, "nothing has to be divided: the determinant is one."
        ),
        "the state twice": Mistake(
            lambda u, z, tau: (1 - tau) * z + (1 - tau) * u, "the state enters whole; only the way is scaled."
        ),
    },
)


def _guesses(rng: Rng) -> Iterator[tuple[Tensor, Tensor, float, float, float]]:
    """Two guesses, and √SNR before, between and behind the two steps."""
    for _ in range(POINTS):
        rho = between(rng, 0.1, 1)
        middle = rho + between(rng, 0.2, 1)
        yield normal(rng, 6, 2), normal(rng, 6, 2), rho, middle, middle + between(rng, 1.2, 3)


def _target(first: Tensor, second: Tensor, rho: float, middle: float, end: float) -> Tensor:
    names = reverse.x0_net, flows.next_guess, flows.rho, flows.rho_m, flows.rho_e
    return on(_as_printed("distillation_mean", *names), first, second, rho, middle, end)


two_in_one = Check(
    "two_in_one",
    "eq-coordinates-distil-mean",
    _guesses,
    _target,
    {
        "the mean": Mistake(
            lambda f, s, r, m, e: (f + s) / 2, "the two steps do not gain the same: weigh them."
        ),
        "exchanged": Mistake(
            lambda f, s, r, m, e: ((m - r) * s + (e - m) * f) / (e - r),
            "each guess has the weight of the other's step.",
        ),
        "the last guess": Mistake(lambda f, s, r, m, e: s + 0 * f, "the first step has moved the state too."),
        "the first guess": Mistake(
            lambda f, s, r, m, e: f + 0 * s, "the second step looked again; its guess counts."
        ),
        "SNR for its root": Mistake(
            lambda f, s, r, m, e: ((m**2 - r**2) * f + (e**2 - m**2) * s) / (e**2 - r**2),
            "a step gains √SNR, not SNR.",
        ),
        "not divided": Mistake(
            lambda f, s, r, m, e: (m - r) * f + (e - m) * s, "weights of a mean add up to one."
        ),
    },
)
