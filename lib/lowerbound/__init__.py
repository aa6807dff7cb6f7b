"""Lower Bound: a small VAE and DDPM, their bounds in the same units, and the proofs behind them.

Five ideas carry the library: `Gaussian`, `Bound`, `Schedule`, a model with `bound`, `loss` and
`sample`, and `Derivation`. Modules load torch only when they are imported themselves.

`checkup(model, x)` looks for what commonly goes wrong in a model and data of one's own: `clinic.checkup`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowerbound.clinic import checkup as checkup

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`checkup`, whose module loads torch, when it is asked for."""
    if name == "checkup":
        from lowerbound.clinic import checkup

        return checkup
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
