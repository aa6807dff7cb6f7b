"""Files that are whole or absent: a write that fails leaves what was there before.

A checkpoint is a file of `torch.save`, read without unpickling code and only if every byte of it is sound.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch


@contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the name `path` once it is complete and on the disk.

    Until then it is PATH.partial, which an error removes and which the next write replaces after a kill.
    Raises OSError, with the remedy, if it cannot be written; `path` is then as it was.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            remedy = f"free space in {path.parent} or choose another folder (--out)"
            reason = f"{path} cannot be written ({error.strerror or error})"
            raise OSError(error.errno, f"{reason}; what it held before is kept; {remedy}") from error
        raise


def write(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts. Raises OSError as `atomically`."""
    buffer = io.BytesIO()  # torch.save on a full disk raises no OSError; a plain write does
    torch.save(state, buffer)
    with atomically(path) as file:
        file.write(buffer.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote, on the CPU, read without unpickling code.

    Raises ValueError, with the remedy, for a file that is truncated, damaged or no checkpoint, OSError for
    one that cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "make it readable, or choose another folder (--out)"
        raise OSError(error.errno, f"{path} cannot be read ({error.strerror}); {remedy}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if (damaged := parts.testzip()) is not None:  # torch.load does not look at the checksums
                raise ValueError(f"{damaged} fails its checksum")
        saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        if not isinstance(saved, dict):
            raise ValueError(f"it holds a {type(saved).__name__}")
    except MemoryError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise ValueError(
            f"{path} is damaged or no checkpoint ({reason}); {start_afresh(path)}, or put a copy in its place"
        ) from error
    return saved


def start_afresh(path: Path) -> str:
    """The remedy for a checkpoint that cannot be continued."""
    return f"delete {path}, or choose another folder (--out), to start afresh"
