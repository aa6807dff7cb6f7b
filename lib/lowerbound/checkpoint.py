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
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def unwritable(path: Path, error: OSError) -> OSError:
    """The same error, saying in one line what it means and what to do."""
    reason = error.strerror or str(error)
    remedy = f"free space in {path.parent} or choose another folder (--out)"
    return OSError(error.errno, f"{path} cannot be written ({reason}); what it held before is kept; {remedy}")


def _sync_folder(folder: Path) -> None:
    """Put the new name itself on the disk, where the file system lets a folder be synced."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint: tensors, numbers, strings, lists and dicts. Raises OSError as `atomically`."""
    buffer = io.BytesIO()  # torch.save on a full disk raises no OSError; a plain write does
    torch.save(state, buffer)
    with atomically(path) as file:
        file.write(buffer.getbuffer())


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote, on the CPU.

    Raises ValueError, with the remedy, for a file that is truncated, damaged or no checkpoint, OSError for
    one that cannot be read.
    """
    return parse(content(path), path)


def content(path: Path) -> bytes:
    """The bytes of a checkpoint. Raises OSError, with the remedy, if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "make it readable, or choose another folder (--out)"
        raise OSError(error.errno, f"{path} cannot be read ({error.strerror}); {remedy}") from error


def parse(whole: bytes, path: Path) -> dict[str, Any]:
    """What the bytes of the checkpoint at `path` hold. Raises ValueError as `read`."""
    try:
        with zipfile.ZipFile(io.BytesIO(whole)) as parts:
            damaged = parts.testzip()  # torch.load does not look at the checksums
        if damaged is not None:
            raise ValueError(f"{damaged} fails its checksum")
        saved = torch.load(io.BytesIO(whole), weights_only=True, map_location="cpu")
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
