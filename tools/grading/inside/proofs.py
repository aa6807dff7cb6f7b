"""`lowerbound.proofs` as a submission sees it: the letters that an assignment imports, and no derivation."""

from __future__ import annotations

import sys
import types
from typing import Any

LETTERS = {
    "ch3_forward": ("alphabar", "x0", "xt"),
    "ch4_reverse": ("eps", "eps_net", "x0_net"),
}


def install() -> None:
    """Put it in place of `lowerbound.proofs`."""
    import lowerbound
    import sympy as sp
    from lowerbound.symbolic import RandomVariable, Unit

    made: dict[str, Any] = {
        "alphabar": Unit("alphabar_t"),
        "x0": RandomVariable("x_0"),
        "xt": RandomVariable("x_t"),
        "eps": sp.Symbol("epsilon", real=True),
        "eps_net": sp.Symbol("varepsilonhat", real=True),
        "x0_net": sp.Symbol("xhat_0", real=True),
    }
    proofs = types.ModuleType("lowerbound.proofs", __doc__)
    proofs.__path__ = []
    for chapter, letters in LETTERS.items():
        module = types.ModuleType(f"lowerbound.proofs.{chapter}", __doc__)
        vars(module).update({letter: made[letter] for letter in letters})
        setattr(proofs, chapter, module)
        sys.modules[module.__name__] = module
    sys.modules["lowerbound.proofs"] = lowerbound.proofs = proofs  # type: ignore[attr-defined]
