"""Messages between the grader and a sandbox: JSON and raw arrays, never pickle from there.

A message is one JSON header with the arrays' bytes behind it; to each request there is one reply. What comes
out of `decode` is of exactly one of these types: None, bool, int, float, str, list, tuple, tensor, or the
lines of a derivation; numbers and arrays of numpy and sympy become such on the way. So a value's `__eq__` or
`__torch_function__` cannot be a student's. Of everything else only the name of its type travels; `other`
translates.
"""

from __future__ import annotations

import json
import numbers
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

MAX_MESSAGE = 256 * 2**20
MAX_DEPTH = 40
DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip


class ClosedError(Exception):
    """The other side has ended, or has broken the rules of the conversation."""


class LateError(Exception):
    """The other side has not answered in time."""


def send(channel: socket.socket, message: Any, blobs: list[bytes]) -> None:
    """Write one message: the JSON, and the arrays it refers to by number."""
    head = json.dumps({"body": message, "blobs": [len(blob) for blob in blobs]}).encode()
    try:
        channel.sendall(struct.pack("<Q", len(head)) + head)
        for blob in blobs:
            channel.sendall(blob)
    except OSError as error:
        raise ClosedError(str(error)) from error


def receive(
    channel: socket.socket, deadline: float | None, tick: Callable[[], None]
) -> tuple[Any, list[bytes]]:
    """Read one message. deadline: of time.monotonic(); tick: called a few times a second, may raise.

    Raises LateError after the deadline, and ClosedError where the other side is gone or sends no message.
    """
    left = MAX_MESSAGE

    def take(size: int) -> bytes:
        nonlocal left
        left -= size
        if size < 0 or left < 0:
            raise ClosedError(f"a message of more than {MAX_MESSAGE >> 20} MiB")
        parts = bytearray()
        while len(parts) < size:
            if deadline is not None and time.monotonic() > deadline:
                raise LateError
            try:
                part = channel.recv(min(size - len(parts), 1 << 20))
            except TimeoutError:
                tick()
                continue
            except OSError as error:
                raise ClosedError(str(error)) from error
            if not part:
                raise ClosedError("the process has ended")
            parts += part
        return bytes(parts)

    (size,) = struct.unpack("<Q", take(8))
    try:
        head = json.loads(take(size))
        sizes = [int(length) for length in head["blobs"]]
        body = head["body"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ClosedError("it sent what is no message") from error
    return body, [take(length) for length in sizes]


def encode(value: Any, blobs: list[bytes], other: Callable[[Any], Any], depth: int = 0) -> Any:
    """A value as JSON; arrays are appended to blobs. other(value) gives the JSON for what cannot travel."""
    if depth > MAX_DEPTH:
        raise TypeError("a value nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"int": str(int(value))}
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return {"str": str(value)}
    if isinstance(value, list | tuple):
        name = "list" if isinstance(value, list) else "tuple"
        return {name: [encode(entry, blobs, other, depth + 1) for entry in value]}
    torch, symbolic = sys.modules.get("torch"), sys.modules.get("lowerbound.symbolic")
    value = _ordinary(value)
    if isinstance(value, bool | int | float | str):
        return encode(value, blobs, other, depth + 1)
    if torch is not None and isinstance(value, torch.Tensor):
        plain = value.detach().to_dense().cpu() if value.is_sparse else value.detach().cpu()
        plain = plain.resolve_conj().resolve_neg().contiguous()
        blobs.append(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        dtype = str(plain.dtype).removeprefix("torch.")
        return {"tensor": dtype, "shape": list(plain.shape), "blob": len(blobs) - 1}
    if symbolic is not None and isinstance(value, symbolic.Derivation):
        from tools.grading.inside import formulas

        return {"lines": formulas.encode(value)}
    return other(value)


def _ordinary(value: Any) -> Any:
    """Numpy's, sympy's and other numbers and arrays as Python's and torch's own; the rest as it is."""
    numpy, sympy, torch = (sys.modules.get(name) for name in ("numpy", "sympy", "torch"))
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    if numpy is not None and type(value) is numpy.ndarray and value.dtype.kind in "fiu":
        return value.item() if value.ndim == 0 else torch.from_numpy(value.copy()) if torch else value
    if sympy is not None and isinstance(value, sympy.Expr) and value.is_number and value.is_extended_real:
        return int(value) if value.is_Integer else float(value)
    if isinstance(value, numbers.Rational):
        return float(value)
    return value


def decode(data: Any, blobs: list[bytes], other: Callable[[Any], Any]) -> Any:
    """The value again. other(data) gives what stands for the rest. Raises ValueError for what is no value."""
    if data is None or isinstance(data, bool | float):
        return data
    if not isinstance(data, dict) or not data:
        raise ValueError(f"no value: {str(data)[:80]}")
    kind, content = next(iter(data.items()))
    if kind == "int":
        return int(content)
    if kind == "str":
        return str(content)
    if kind in ("list", "tuple"):
        return (tuple if kind == "tuple" else list)(decode(entry, blobs, other) for entry in content)
    if kind == "tensor":
        return _tensor(data, blobs)
    if kind == "lines":
        from tools.grading.inside import formulas

        return formulas.decode(content)
    return other(data)


def _tensor(data: dict[str, Any], blobs: list[bytes]) -> Any:
    import torch

    if data["tensor"] not in DTYPES:
        raise ValueError(f"no tensor of {data['tensor']}")
    dtype, raw = getattr(torch, data["tensor"]), blobs[data["blob"]]
    if not raw:
        return torch.empty(data["shape"], dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype).reshape(data["shape"])
