"""Random points, and the last lines of the proofs as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sympy as sp

from .. import proofs
from ..symbolic import Derivation, as_written
from .draws import Rng
from .optional import Tensor, np, torch

POINTS = 4
STEPS = 12  # T of the chains


def normal(rng: Rng, *shape: int) -> Tensor:
    """Draws from N(0, 1), float64, of this shape."""
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def chain(rng: Rng) -> Tensor:
    """ᾱ_0 … ᾱ_T (T + 1,), ᾱ_0 = 1, with steps of random size."""
    alpha = 0.55 + 0.43 * torch.rand(STEPS, generator=rng, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), alpha.cumprod(0)])


def times(rng: Rng, n: int, low: int = 1) -> Tensor:
    """N times between low and T, int64, (n,)."""
    return torch.randint(low, STEPS + 1, (n,), generator=rng)


def derivation(name: str) -> Derivation:
    """A derivation of the book."""
    return proofs.derivations()[name]()


def function_of(proof: Derivation, *symbols: Any) -> Callable[..., Any]:
    """The last line of a derivation as a function of these symbols, of arrays where there is numpy."""
    function: Callable[..., Any] = proof.as_function(*symbols, modules="numpy" if np else "math")
    return function


@cache
def line(name: str, *symbols: Any, part: int | None = None) -> Callable[..., Any]:
    """The last line of a derivation, or a part of it, as a function of these symbols."""
    proof = derivation(name)
    if part is not None:
        with as_written():
            proof = Derivation(name, proof.last.args[part], given=proof.given)
    return function_of(proof, *symbols)


def on(function: Callable[..., Any], *values: Any) -> Tensor:
    """The function of numbers, at each entry of these tensors, broadcast against one another."""
    arrays = np.broadcast_arrays(*(v.numpy() if isinstance(v, Tensor) else v for v in values))
    out = np.asarray(function(*arrays), dtype=np.float64)
    return torch.from_numpy(np.broadcast_to(out, arrays[0].shape).copy())


def column(values: Tensor, t: Tensor) -> Tensor:
    """values[t] (B, 1), to multiply (B, D)."""
    return values[t][:, None]


def bits(nats: Tensor, dims: int) -> Tensor:
    """Bits per dimension of nats (B,), from the proof."""
    symbols = sp.symbols("L D", positive=True)
    return on(line("bits_per_dim", *symbols), nats, float(dims))
