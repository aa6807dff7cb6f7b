"""The clinic's notebook: β by accident, the grid of a sampler, the warm-up of an average, and copies."""

from __future__ import annotations

from collections.abc import Iterator

from .cases import POINTS, normal
from .draws import Rng, whole
from .engine import Check, Mistake
from .optional import Tensor, torch


def _sizes(rng: Rng) -> Iterator[tuple[int, int, bool, bool]]:
    for pixels in (True, False):
        for units in (True, False):
            yield whole(rng, 50, 900), whole(rng, 2, 40), pixels, units


def _beta(D: int, K: int, pixel_mean: bool, unit_mean: bool) -> float:
    """The weight of a KL that is summed, beside an error that is summed."""
    return (D if pixel_mean else 1) / (K if unit_mean else 1)


effective_beta = Check(
    "effective_beta",
    "clinic-beta",
    _sizes,
    _beta,
    {
        "turned over": Mistake(
            lambda D, K, p, u: 1 / _beta(D, K, p, u),
            "this is the weight of the error beside the KL. Divide the loss by what stands before the error.",
        ),
        "no change": Mistake(
            lambda D, K, p, u: 1.0, "two means are two different multiples of the two sums, so β is not 1."
        ),
        "units forgotten": Mistake(
            lambda D, K, p, u: float(D if p else 1), "the mean over the K units makes the KL smaller."
        ),
        "pixels forgotten": Mistake(
            lambda D, K, p, u: 1 / (K if u else 1),
            "the mean over the D pixels makes the error smaller, so the KL weighs more.",
        ),
        "multiplied": Mistake(
            lambda D, K, p, u: float((D if p else 1) * (K if u else 1)),
            "a mean over units makes the KL smaller, not larger.",
        ),
    },
)


def _grids(rng: Rng) -> Iterator[tuple[int, int]]:
    for _ in range(POINTS):
        yield 100 * whole(rng, 2, 10), whole(rng, 3, 30)


def _grid(T: int, n: int) -> Tensor:
    """The times T = t_n > … > t_0 = 0, evenly spaced. (n + 1,), to be rounded."""
    return torch.linspace(T, 0, n + 1, dtype=torch.float64)


step_grid = Check(
    "step_grid",
    "clinic-ddim-start",
    _grids,
    _grid,
    {
        "end left out": Mistake(
            lambda T, n: _grid(T, n)[:-1],
            "n steps have n + 1 ends: T is the first, and 0, the clean image, the last.",
        ),
        "start left out": Mistake(
            lambda T, n: _grid(T, n)[1:],
            "it starts below T: an image should be left there, and the sampler starts from noise.",
        ),
        "upwards": Mistake(
            lambda T, n: _grid(T, n).flip(0), "this goes from the image to the noise; sampling goes back."
        ),
        "from T − 1": Mistake(
            lambda T, n: torch.linspace(T - 1, 0, n + 1, dtype=torch.float64),
            "it starts at T − 1: that is T where times count from 0, but here 0 is the clean image.",
        ),
        "ends above 0": Mistake(
            lambda T, n: torch.linspace(T, 1, n + 1, dtype=torch.float64),
            "it ends above 0: some noise is left in the image.",
        ),
    },
)


def _steps(rng: Rng) -> Iterator[tuple[int, float]]:
    for n in (1, 10, 100):
        yield n + whole(rng, 0, n), 1 - 10.0 ** -whole(rng, 2, 4)
    yield 100_000 + whole(rng, 0, 100_000), 0.99  # late, when the growing decay is well beyond


def _warm(n: int, decay: float) -> float:
    return min(decay, n / (9 + n))


warm_decay = Check(
    "warm_decay",
    "clinic-ema",
    _steps,
    _warm,
    {
        "constant": Mistake(
            lambda n, decay: decay,
            "at the first steps the average must follow the weights, so decay is small.",
        ),
        "larger of the two": Mistake(
            lambda n, decay: max(decay, n / (9 + n)),
            "this takes the larger of the two, which never warms up.",
        ),
        "never ends": Mistake(
            lambda n, decay: n / (9 + n), "the decay must stop growing: the smaller of this and decay."
        ),
        "product": Mistake(
            lambda n, decay: decay * n / (9 + n), "take the smaller of the two, not their product."
        ),
    },
)


def _points(rng: Rng) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(POINTS):
        yield normal(rng, 5, 3), normal(rng, 12, 3)


def _ratio(samples: Tensor, train: Tensor) -> Tensor:
    """Distance to the nearest training example over that to the second nearest. (n, D), (N, D) -> (n,)."""
    nearest = torch.cdist(samples, train).topk(2, largest=False).values
    return nearest[:, 0] / nearest[:, 1]


copy_ratio = Check(
    "copy_ratio",
    "clinic-memorised",
    _points,
    _ratio,
    {
        "nearest alone": Mistake(
            lambda s, t: torch.cdist(s, t).min(1).values,
            "this is the distance alone, which says nothing without a scale: divide by the second nearest.",
        ),
        "turned over": Mistake(
            lambda s, t: 1 / _ratio(s, t),
            "this is the second nearest over the nearest; a copy has then a large value.",
        ),
        "farthest": Mistake(
            lambda s, t: torch.cdist(s, t).min(1).values / torch.cdist(s, t).max(1).values,
            "divide by the second nearest, not by the farthest.",
        ),
        "from the training set": Mistake(
            lambda s, t: _ratio(t, s)[: len(s)],
            "the two sets have changed places: for each sample its neighbours among the training examples.",
        ),
        "squares": Mistake(
            lambda s, t: _ratio(s, t) ** 2, "this is a ratio of squared distances; take the root."
        ),
    },
)
