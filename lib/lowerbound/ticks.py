"""Ticks of a logarithmic axis that every version of matplotlib draws alike; its own choice changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

MOST = 8


def log_ticks(values: npt.NDArray[Any]) -> tuple[list[float], list[str]]:
    """At most eight powers of ten among positive values, and how they are written.

    Where the values span less than two powers: 1, 2 and 5 times a power, from below the smallest to
    above the largest. Raises ValueError if a value is not positive.
    """
    if not np.all(values > 0):
        raise ValueError("a logarithmic axis needs positive values; leave out logy, or the others")
    low, high = (float(np.log10(value)) for value in (values.min(), values.max()))
    if high - low < 2:
        steps = [m * 10.0**k for k in range(math.floor(low) - 1, math.ceil(high) + 2) for m in (1, 2, 5)]
        first, last = np.searchsorted(steps, values.min(), "right") - 1, np.searchsorted(steps, values.max())
        ticks = [float(f"{step:g}") for step in steps[first : last + 1]]
        return ticks, [f"{tick:g}" for tick in ticks]
    powers = range(math.ceil(low), math.floor(high) + 1)
    powers = powers[:: math.ceil(len(powers) / MOST)]
    short = all(abs(power) <= 3 for power in powers)
    return [10.0**power for power in powers], [f"{10.0**p:g}" if short else f"$10^{{{p}}}$" for p in powers]
