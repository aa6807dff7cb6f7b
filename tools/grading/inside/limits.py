"""What a process may use: set by the process itself before any student code, and not to be raised again."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
# Calls that hold memory which no process shows as its own: memfd_create, memfd_secret, shmget. By processor.
HIDDEN_MEMORY = {"x86_64": (0xC000003E, (319, 447, 29)), "aarch64": (0xC00000B7, (279, 447, 194))}


def restrict(memory: int, file_size: int, processes: int, cpu: int) -> None:
    """Bytes, bytes, a number, seconds. Memory is what is written to: torch maps much more."""
    for what, limit in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 512),
    ):
        _, hard = resource.getrlimit(what)
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (value, value))


def end_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def refuse_hidden_memory() -> None:
    """Refuse memory that nobody would count, on the two processors whose numbers of calls are here."""
    if os.uname().machine not in HIDDEN_MEMORY:
        return
    architecture, calls = HIDDEN_MEMORY[os.uname().machine]
    load, equal, above, give = 0x20, 0x15, 0x35, 0x06
    refused = len(calls) + 2
    rows = [(load, 0, 0, 4), (equal, 0, refused, architecture), (load, 0, 0, 0)]
    rows.append((above, len(calls) + 1, 0, 0x40000000))  # the other table of an x86_64
    rows += [(equal, len(calls) - i, 0, call) for i, call in enumerate(calls)]
    rows += [(give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050000 | errno.EPERM)]
    program = b"".join(struct.pack("HBBI", *row) for row in rows)
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(rows), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0)
