"""Random numbers of the checks: torch's, and the same numbers where there is no torch.

torch's generator on a CPU is the Mersenne Twister, which Python has too. `Twister` seeds it as torch does and
makes of its bits what torch makes of them, so a check asks the same in a page as in a notebook.
"""

from __future__ import annotations

import math
import random

from .optional import torch

LAST = 0xFFFFFFFF  # the largest number of 32 bits


class Twister:
    """The draws of `torch.Generator().manual_seed(seed)` in double precision, one number at a time."""

    def __init__(self, seed: int) -> None:
        state = [seed & LAST]
        for i in range(1, 624):
            state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & LAST)
        self._source = random.Random()
        self._source.setstate((3, (*state, 624), None))
        self._second: float | None = None

    def _bits(self) -> int:
        return self._source.getrandbits(32)

    def uniform(self) -> float:
        """As `torch.rand(1, dtype=float64)`."""
        high = self._bits()
        return (((high << 32) | self._bits()) & ((1 << 53) - 1)) * 2.0**-53

    def whole(self, low: int, high: int) -> int:
        """As `torch.randint(low, high + 1, (1,))`."""
        return low + self._bits() % (high + 1 - low)

    def normal(self) -> float:
        """As `torch.randn(1, dtype=float64)`: Box and Muller, two at a time."""
        if self._second is not None:
            second, self._second = self._second, None
            return second
        angle, length = 2 * math.pi * self.uniform(), self.uniform()
        radius = math.sqrt(-2 * math.log1p(-length))
        self._second = radius * math.sin(angle)
        return radius * math.cos(angle)


Rng = torch.Generator | Twister if torch else Twister


def generator(seed: int) -> Rng:
    """The draws of a seed."""
    return torch.Generator().manual_seed(seed) if torch else Twister(seed)


def between(rng: Rng, low: float, high: float) -> float:
    """One number between two."""
    share = rng.uniform() if isinstance(rng, Twister) else torch.rand(1, generator=rng, dtype=torch.float64)
    return low + (high - low) * float(share)


def whole(rng: Rng, low: int, high: int) -> int:
    """One whole number, low to high."""
    if isinstance(rng, Twister):
        return rng.whole(low, high)
    return int(torch.randint(low, high + 1, (1,), generator=rng))


def normals(rng: Rng, size: int) -> list[float]:
    """So many draws from N(0, 1), fewer than 16: from there on torch draws in another order."""
    if isinstance(rng, Twister):
        return [rng.normal() for _ in range(size)]
    return [float(v) for v in torch.randn(size, generator=rng, dtype=torch.float64)]
