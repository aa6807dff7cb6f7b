"""`lowerbound.proofs` as a submission sees it: the letters that an assignment imports, and no derivation."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

PACKAGE = "lowerbound.proofs"
LETTERS = {
    PACKAGE: (),
    f"{PACKAGE}.ch3_forward": ("alphabar", "x0", "xt"),
    f"{PACKAGE}.ch4_reverse": ("eps", "eps_net", "x0_net"),
}


class Letters(MetaPathFinder, Loader):
    """Makes these modules when they are imported, and no other of the package."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What Python asks of a finder."""
        if name != PACKAGE and not name.startswith(f"{PACKAGE}."):
            return None
        if name not in LETTERS:
            raise ModuleNotFoundError(f"{name} is not there where submissions are graded")
        return spec_from_loader(name, self, is_package=name == PACKAGE)

    def exec_module(self, module: ModuleType) -> None:
        """What Python asks of a loader."""
        import sympy as sp
        from lowerbound.symbolic import RandomVariable, Unit

        letters = {
            "alphabar": Unit("alphabar_t"),
            "x0": RandomVariable("x_0"),
            "xt": RandomVariable("x_t"),
            "eps": sp.Symbol("epsilon", real=True),
            "eps_net": sp.Symbol("varepsilonhat", real=True),
            "x0_net": sp.Symbol("xhat_0", real=True),
        }
        vars(module).update({name: letters[name] for name in LETTERS[module.__name__]})


def install() -> None:
    """Put it in place of `lowerbound.proofs`."""
    sys.meta_path.insert(0, Letters())
