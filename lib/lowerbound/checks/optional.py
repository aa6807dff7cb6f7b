"""torch and numpy, where they are installed. A page has neither, and functions of numbers need neither."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any


class Missing:
    """A package that is not installed, and what is in it: false, no value's type, and not to be called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.name}.{name}")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Raises ModuleNotFoundError."""
        raise ModuleNotFoundError(f"{self.name} needs {self.name.split('.')[0]}, which is not installed")

    def __bool__(self) -> bool:
        return False

    def __instancecheck__(self, value: Any) -> bool:
        return False


if TYPE_CHECKING or find_spec("numpy"):
    import numpy as np
else:
    np = Missing("numpy")
if TYPE_CHECKING or find_spec("torch"):
    import torch
    from torch import Tensor, nn
else:
    torch = Missing("torch")
    Tensor, nn = torch.Tensor, torch.nn

__all__ = ["Tensor", "nn", "np", "torch"]
