"""Messages between the grader and a sandbox: JSON and raw arrays, never pickle.

A message is one JSON header with the arrays' bytes behind it. What comes out of `decode` is of exactly one
of these types: None, bool, int, float, complex, str, bytes, list, tuple, dict, numpy arrays and scalars,
tensors, generators of random numbers, the library's dataclasses of tensors, formulas and derivations. So a
value's `__eq__`, `__array__` or `__torch_function__` cannot be a student's. Everything else stays where it
is and is spoken of by a number; `hold` and `held` translate.
"""

from __future__ import annotations

import importlib
import json
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

MAX_MESSAGE = 256 * 2**20
MAX_DEPTH = 40
LIBRARY = {
    "Gaussian": "lowerbound.gaussian",
    "Bound": "lowerbound.bound",
    "Schedule": "lowerbound.schedule",
    "DiscretisedLogistic": "lowerbound.likelihood",
}
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


def encode(value: Any, blobs: list[bytes], hold: Callable[[Any], Any], depth: int = 0) -> Any:
    """A value as JSON; arrays are appended to blobs. hold(value) gives the JSON for what cannot travel."""
    if depth > MAX_DEPTH:
        raise TypeError("a value nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return {"int": str(int(value))}
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return {"str": str(value)}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, bytes):
        blobs.append(bytes(value))
        return {"bytes": len(blobs) - 1}
    if type(value) in (list, tuple, set, frozenset):
        kind = "tuple" if type(value) is tuple else "list"
        return {kind: [encode(entry, blobs, hold, depth + 1) for entry in value]}
    if isinstance(value, dict):
        pairs = [
            [encode(k, blobs, hold, depth + 1), encode(v, blobs, hold, depth + 1)] for k, v in value.items()
        ]
        return {"dict": pairs}
    return _array(value, blobs) or _library(value, blobs, hold, depth) or hold(value)


def _array(value: Any, blobs: list[bytes]) -> Any:
    torch, np = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        plain = value.detach().to_dense().cpu() if value.is_sparse else value.detach().cpu()
        plain = plain.resolve_conj().resolve_neg().contiguous()
        blobs.append(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        return {
            "tensor": str(plain.dtype).removeprefix("torch."),
            "shape": list(plain.shape),
            "blob": len(blobs) - 1,
        }
    if torch is not None and isinstance(value, torch.Generator):
        blobs.append(value.get_state().numpy().tobytes())
        return {"generator": len(blobs) - 1}
    if np is not None and isinstance(value, np.ndarray | np.generic) and value.dtype.name in DTYPES:
        plain = np.ascontiguousarray(value).reshape(value.shape)
        blobs.append(plain.tobytes())
        return {
            "array": plain.dtype.name,
            "shape": list(plain.shape),
            "scalar": isinstance(value, np.generic),
            "blob": len(blobs) - 1,
        }
    return None


def _library(value: Any, blobs: list[bytes], hold: Callable[[Any], Any], depth: int) -> Any:
    name = type(value).__name__
    if LIBRARY.get(name) == type(value).__module__:
        names = [field.name for field in fields(value)]
        parts = [[n, encode(getattr(value, n), blobs, hold, depth + 1)] for n in names]
        return {"library": name, "fields": parts}
    if "sympy" in sys.modules:
        from grading.inside import symbols

        if symbols.is_formula(value):
            return {"symbols": symbols.encode(value)}
    return None


def decode(data: Any, blobs: list[bytes], held: Callable[[Any], Any]) -> Any:
    """The value again. held(data) gives what a number stands for. Raises ValueError for what is no value."""
    if data is None or isinstance(data, bool | float):
        return data
    if not isinstance(data, dict) or not data:
        raise ValueError(f"no value: {str(data)[:80]}")
    kind, content = next(iter(data.items()))
    if kind == "int":
        return int(content)
    if kind == "str":
        return str(content)
    if kind == "complex":
        return complex(*map(float, content))
    if kind == "bytes":
        return blobs[content]
    if kind in ("list", "tuple"):
        return (tuple if kind == "tuple" else list)(decode(entry, blobs, held) for entry in content)
    if kind == "dict":
        return {_key(decode(k, blobs, held)): decode(v, blobs, held) for k, v in content}
    if kind == "tensor":
        return _tensor(data, blobs)
    if kind == "array":
        import numpy as np

        if content not in DTYPES:
            raise ValueError(f"no array of {content}")
        made = np.frombuffer(blobs[data["blob"]], dtype=content).reshape(data["shape"]).copy()
        return made[()] if data["scalar"] else made
    if kind == "generator":
        import torch

        state = torch.frombuffer(bytearray(blobs[content]), dtype=torch.uint8)
        generator = torch.Generator()
        generator.set_state(state)
        return generator
    if kind == "library":
        cls = getattr(importlib.import_module(LIBRARY[content]), content)
        names = {field.name for field in fields(cls)}
        given = {str(name): decode(part, blobs, held) for name, part in data["fields"]}
        return cls(**{name: part for name, part in given.items() if name in names})
    if kind == "symbols":
        from grading.inside import symbols

        return symbols.decode(content)
    return held(data)


def _key(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool | tuple | None):
        raise ValueError(f"no key of a dictionary: {type(value).__name__}")
    return value


def _tensor(data: dict[str, Any], blobs: list[bytes]) -> Any:
    import torch

    if data["tensor"] not in DTYPES:
        raise ValueError(f"no tensor of {data['tensor']}")
    dtype, raw = getattr(torch, data["tensor"]), blobs[data["blob"]]
    if not raw:
        return torch.empty(data["shape"], dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype).reshape(data["shape"])


def tensors(value: Any) -> list[Any]:
    """The tensors in lists, tuples and dictionaries, in order. Does not import torch where nobody has."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for entry in value for tensor in tensors(entry)]
    if isinstance(value, dict):
        return [tensor for entry in value.values() for tensor in tensors(entry)]
    return []
