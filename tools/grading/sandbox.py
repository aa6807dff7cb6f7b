"""A process for code that is not trusted: bubblewrap around it, limits on it, one socket to it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lowerbound
import psutil

from tools.grading.inside import protocol

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TICK = 0.2
GRACE = 5.0
START = 60.0


class SandboxError(Exception):
    """The sandbox cannot be used on this machine."""


class EndedError(Exception):
    """The student's process is over; the message says why, in a line for the student."""


class StudentError(Exception):
    """What a submission made does not work; the message is for the student, and holds nothing of a test."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Seconds and bytes. Memory is for all its processes together."""

    notebook: float = 1800.0
    cell: float = 900.0
    call: float = 60.0
    memory: int = 4 * 2**30
    file: int = 256 * 2**20
    space: int = 512 * 2**20
    processes: int = 64


class Sandbox:
    """A process that runs a notebook. A context: all its processes are gone after it.

    isolated: with bubblewrap: no network, no other file than Python and the library, its own process numbers.
    Without it only the limits hold.
    """

    def __init__(self, limits: Limits, isolated: bool = True) -> None:
        self.limits, self.isolated = limits, isolated
        self.ended, self.printed = "", b""

    def __enter__(self) -> Sandbox:
        self.channel, inner = socket.socketpair()
        self.channel.settimeout(TICK)
        self.folder = tempfile.TemporaryDirectory(prefix="lowerbound-", ignore_cleanup_errors=True)
        allowed = {
            "memory": self.limits.memory,
            "file_size": self.limits.file,
            "processes": self.limits.processes,
            "cpu": int(2 * self.limits.notebook) + 60,
        }
        agent = ["-m", "tools.grading.inside.agent", str(inner.fileno()), json.dumps(allowed)]
        if self.isolated:
            command, env = [*_bubblewrap(isolation(), self.limits, _spare_user()), *agent], None
        else:
            command, env = (
                [sys.executable, *agent],
                _environment(Path(self.folder.name), ROOT, _library().parent),
            )
        self.process = subprocess.Popen(
            command, env=env, pass_fds=[inner.fileno()], cwd=self.folder.name, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stderr is not None  # it is a pipe
        os.set_blocking(self.process.stderr.fileno(), False)
        inner.close()
        try:
            self.receive(time.monotonic() + START)
        except (EndedError, protocol.LateError) as error:
            self.close()
            printed = self.printed[-300:].decode(errors="replace").strip()
            raise SandboxError(f"the sandbox does not start: {printed}") from error
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def ask(self, op: str, limit: float, blobs: list[bytes] | None = None, **content: Any) -> Any:
        """One request, one reply: returns what the process says, and its arrays.

        Raises StudentError where the student's code raised, EndedError where the process is over.
        """
        self.send({"op": op, "limit": limit, **content}, blobs or [])
        try:
            reply, sent = self.receive(time.monotonic() + limit + GRACE)
        except protocol.LateError:
            self.close(f"it did not stop after {limit:g} s")
            raise EndedError(self.ended) from None
        if isinstance(reply, dict) and "ok" in reply:
            return reply["ok"], sent
        if isinstance(reply, dict) and isinstance(reply.get("error"), list) and len(reply["error"]) == 2:
            name, message = map(clean, reply["error"])
            raise StudentError(f"{name}: {message}" if message else name)
        self.close("it broke off the conversation")
        raise EndedError(self.ended)

    def send(self, message: Any, blobs: list[bytes]) -> None:
        """Write to the process. Raises EndedError where it is gone or does not read."""
        self.channel.settimeout(GRACE)
        try:
            protocol.send(self.channel, message, blobs)
        except protocol.ClosedError as error:
            self._over(error)
        finally:
            self.channel.settimeout(TICK)

    def receive(self, deadline: float) -> tuple[Any, list[bytes]]:
        """Read from the process. Raises LateError after the deadline, EndedError where it is gone."""
        try:
            return protocol.receive(self.channel, deadline, self._watch)
        except protocol.ClosedError as error:
            self._over(error)
            raise

    def close(self, why: str = "the process has ended") -> None:
        """Kill all its processes."""
        self.ended = self.ended or why
        family = _family(self.process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.kill()
        self.process.wait()
        self._drain()
        self.channel.close()
        self.folder.cleanup()

    def _over(self, error: protocol.ClosedError) -> None:
        """The conversation is over: find out why, and say it."""
        if not self.ended:
            try:
                code: int | None = self.process.wait(1.0)
            except subprocess.TimeoutExpired:
                code = None
            gone = {
                -signal.SIGXCPU: "it used all its processor time",
                128 + signal.SIGXCPU: "it used all its processor time",
            }
            if code is None:
                why = f"it broke off the conversation ({error})"
            else:
                why = gone.get(code, f"it ended its own process (exit status {code})")
            self.close(why)
        raise EndedError(self.ended) from error

    def _drain(self) -> None:
        assert self.process.stderr is not None  # it is a pipe
        while part := self.process.stderr.read(1 << 16):
            self.printed = (self.printed + part)[-2000:]

    def _watch(self) -> None:
        """Called while waiting: throw away what it prints, and end it when it takes too much."""
        self._drain()
        family = _family(self.process.pid)
        used = sum(_resident(member) for member in family)
        if used > self.limits.memory:
            self.close(f"it took more memory than {self.limits.memory / 2**30:.1f} GiB")
        elif len(family) > self.limits.processes + 4:
            self.close(f"it started more than {self.limits.processes} processes")
        if self.ended:
            raise EndedError(self.ended)


def _family(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
        return int(memory.rss)
    except psutil.Error:
        return 0


@cache
def isolation() -> str:
    """How bubblewrap works here: "root", with a user of its own, or "user". Raises SandboxError."""
    if shutil.which("bwrap") is None:
        raise SandboxError(
            "bubblewrap is missing; install it (Debian, Ubuntu: apt-get install bubblewrap), "
            "or see tools/grading/Containerfile"
        )
    why = ""
    for way in ("root", "user") if os.geteuid() == 0 else ("user",):
        command = [
            *_bubblewrap(way, Limits(), _spare_user()),
            "-c",
            "import lowerbound, tools.grading.inside.limits",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return way
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    raise SandboxError(f"bubblewrap cannot make a sandbox here ({why}); see “Teaching with this book”")


def _spare_user() -> int:
    """The number of a user that owns nothing, anew for each sandbox; 0 where we cannot choose."""
    return 1_000_000 + secrets.randbelow(1_000_000) if os.geteuid() == 0 else 0


def _library() -> Path:
    return Path(lowerbound.__file__).parent


def _within(path: Path, folders: set[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _environment(folder: Path, *paths: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "USER": "student",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(folder),
    }


def _bubblewrap(way: str, limits: Limits, user: int) -> list[str]:
    """The command before Python's arguments. It shows the library without checks and proofs, and inside/."""
    command = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--unshare-user", "--uid", "65534", "--gid", "65534"] if way == "user" else []
    command += ["--hostname", "sandbox", "--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm", "/submission"):
        command += ["--perms", "1777", "--size", str(limits.space), "--tmpfs", folder]
    shown = {Path("/usr"), *(Path(os.path.abspath(place)) for place in (sys.prefix, sys.base_prefix))}
    above = {
        parent
        for path in (*shown, Path("/grader/lib/x"), Path("/grader/tools/grading/x"), Path("/etc/x"))
        for parent in path.parents
    }
    for path in sorted(above - {Path("/"), Path("/tmp")}):
        command += ["--perms", "0755", "--dir", str(path)]
    for path in sorted(shown):
        command += ["--ro-bind", str(path), str(path)]
    for name in ("bin", "lib", "lib64", "lib32", "sbin"):
        if Path("/", name).is_symlink():
            command += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        elif Path("/", name).is_dir():
            command += ["--ro-bind", f"/{name}", f"/{name}"]
    for name in ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/fonts", "/etc/localtime"):
        command += ["--ro-bind-try", name, name]
    command += ["--ro-bind", str(_library()), "/grader/lib/lowerbound"]
    for name in ("tools/__init__.py", "tools/grading/__init__.py", "tools/grading/inside"):
        command += ["--ro-bind", str(ROOT / name), f"/grader/{name}"]
    libraries = [Path("/grader/lib/lowerbound"), *(place for place in [_library()] if _within(place, shown))]
    for library in libraries:  # the checks and the proofs hold answers
        for part in ("checks", "proofs"):
            command += ["--tmpfs", str(library / part), "--remount-ro", str(library / part)]
    command += ["--remount-ro", "/dev", "--chdir", "/submission"]
    for name, value in _environment(Path("/submission"), Path("/grader"), Path("/grader/lib")).items():
        command += ["--setenv", name, value]
    if way == "root":
        command += ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
        command += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    return [*command, os.path.abspath(sys.executable)]


def clean(text: Any, most: int = 200) -> str:
    """One line of printable text, of so many characters at most."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)[:2000]).split())[:most]
