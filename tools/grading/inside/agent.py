"""Runs a notebook's cells, then its functions: `python -m tools.grading.inside.agent FD LIMITS`.

The student's code shares this process, so nothing that it says is believed on the other side: it can only
give values. It receives cells and arguments, never a test or an expected value.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import sys
import types
from collections.abc import Iterator
from typing import Any

import lowerbound

from tools.grading.inside import checks, closed, limits, proofs, protocol
from tools.grading.inside.record import Recorder, Stream


class TimeLimit(BaseException):
    """Raised in student code when its time is over. No Exception, so that `except Exception` lets it pass."""


class Agent:
    """One conversation: each request has one reply."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.shell, self.recorder = _shell()
        signal.signal(signal.SIGALRM, _alarm)

    def serve(self) -> None:
        """Answer requests until the other side is gone."""
        while True:
            request, blobs = protocol.receive(self.channel, None, lambda: None)
            out: list[bytes] = []
            try:
                with _time(request["limit"]):
                    reply = {"ok": getattr(self, request["op"])(request, blobs, out)}
            except TimeLimit:
                out.clear()
                reply = {"error": ["TimeLimit", f"it did not finish within {request['limit']:g} s"]}
            except BaseException as error:
                out.clear()
                reply = {"error": [type(error).__name__[:100], _message(error)]}
            protocol.send(self.channel, reply, out)

    def load(self, *_: Any) -> bool:
        """Import torch before anything is timed: that alone may take longer than a call has."""
        import torch

        return torch.is_tensor(None)

    def run(self, request: Any, *_: Any) -> Any:
        """Execute a cell; returns its outputs, its error, and the watched names that it gave a value."""
        self.recorder.clear(request["number"])
        names = self.shell.user_ns
        before = {name: names.get(name) for name in request.get("watch", ())}
        out_stream, err_stream = Stream(self.recorder, "stdout"), Stream(self.recorder, "stderr")
        with contextlib.redirect_stdout(out_stream), contextlib.redirect_stderr(err_stream):
            result = self.shell.run_cell(request["source"], store_history=True)
        error = result.error_before_exec or result.error_in_exec
        return {
            "outputs": self.recorder.outputs,
            "error": None if error is None else type(error).__name__[:100],
            "defined": [name for name, value in before.items() if names.get(name) is not value],
        }

    def answer(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """What a function of the notebook gives in each case; None where there is no such function."""
        if request["function"] not in self.shell.user_ns:
            return None
        function, answers = self.shell.user_ns[request["function"]], []
        cases = protocol.decode(request["cases"], blobs, lambda data: pickle.loads(blobs[data["pickle"]]))
        with _randomness_kept(), closed.library():
            for case in cases:
                sent = len(out)
                try:
                    answers.append(protocol.encode(_value(function, case, request["leaves"]), out, _other))
                except Exception as error:
                    del out[sent:]
                    answers.append({"raised": [type(error).__name__[:100], _message(error)]})
        return answers


class InputWrittenError(Exception):
    """A function has changed one of its arguments; the message is the argument's number."""


def _value(function: Any, case: tuple[Any, ...], leaves: list[int]) -> Any:
    """What a function gives, as `lowerbound.checks.engine.value_at`, which is not here, has it."""
    torch = sys.modules.get("torch")

    def copied(value: Any) -> Any:
        if torch is not None and type(value) is torch.Tensor:
            return value.clone()
        return value.copy() if type(value) is list else value

    arguments = tuple(map(copied, case))
    tensors = [arguments[i].requires_grad_() for i in leaves]
    value = function(*arguments)
    for number, (before, after) in enumerate(zip(case, arguments, strict=True)):
        if torch is not None and type(before) is torch.Tensor:
            if not torch.equal(before, after.detach()):
                raise InputWrittenError(number)
        elif type(before) is list and before != after:
            raise InputWrittenError(number)
    if not leaves or torch is None:
        return value
    if type(value) is not torch.Tensor or not value.requires_grad:
        return value, *map(torch.zeros_like, tensors)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).view(value.shape)
    gradients = torch.autograd.grad((weights * value).sum(), tensors, allow_unused=True)
    return value, *(torch.zeros_like(a) if g is None else g for a, g in zip(tensors, gradients, strict=True))


@contextlib.contextmanager
def _randomness_kept() -> Iterator[None]:
    """What is drawn while a function is graded makes no difference to the cells that follow."""
    import random

    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    state = random.getstate()
    states = torch.get_rng_state() if torch else None, numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        random.setstate(state)
        if torch and states[0] is not None:
            torch.set_rng_state(states[0])
        if numpy and states[1] is not None:
            numpy.random.set_state(states[1])


def _other(value: Any) -> Any:
    return {"other": type(value).__name__[:100]}


def _shell() -> tuple[Any, Recorder]:
    """An IPython in this process whose outputs go to a recorder."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type
    from traitlets.config import Config

    recorder = Recorder()

    class Publisher(DisplayPublisher):
        def publish(self, data: Any, metadata: Any = None, source: Any = None, **kwargs: Any) -> None:
            recorder.show(data)

        def clear_output(self, wait: bool = False) -> None:
            recorder.outputs.clear()

    class Hook(DisplayHook):
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
            recorder.show(format_dict, result=True)

        def finish_displayhook(self) -> None:
            self._is_active = False

        def log_output(self, format_dict: Any) -> None:
            pass

    class Shell(InteractiveShell):
        display_pub_class = Type(Publisher)
        displayhook_class = Type(Hook)

        def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
            recorder.fail(etype.__name__, _message(evalue), stb)

        def enable_gui(self, gui: Any = None) -> None:
            pass

    settings = Config(HistoryManager={"enabled": False})
    module = types.ModuleType("__main__")
    return Shell.instance(config=settings, user_module=module, colors="nocolor"), recorder


def _message(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:
        return "an error whose message cannot be printed"


@contextlib.contextmanager
def _time(limit: float) -> Iterator[None]:
    before = signal.setitimer(signal.ITIMER_REAL, limit)[0]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, before)


def _alarm(*_: Any) -> None:
    raise TimeLimit("the time is over")


def main() -> None:
    """Set the limits, put answers out of reach, say that the process is ready, and serve."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.settimeout(None)
    limits.end_with_parent()
    agent = Agent(channel)
    limits.restrict(**json.loads(sys.argv[2]))
    limits.refuse_hidden_memory()
    proofs.install()
    sys.modules["lowerbound.checks"] = lowerbound.checks = checks
    protocol.send(channel, {"ready": os.getpid()}, [])
    with contextlib.suppress(protocol.ClosedError):
        agent.serve()


if __name__ == "__main__":
    main()
