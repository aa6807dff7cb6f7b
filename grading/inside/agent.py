"""Runs a notebook's cells, then answers calls of its functions: `python -m grading.inside.agent FD LIMITS`.

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

from grading.inside import limits, wire
from grading.inside.record import Recorder, Stream

MAX_ITEMS = 10_000


class TimeLimit(BaseException):
    """Raised in student code when its time is over. No Exception, so that `except Exception` lets it pass."""


class Agent:
    """One conversation. names: the notebook's variables."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.objects: dict[int, Any] = {}
        self.graphs: list[tuple[list[Any], list[Any]]] = []
        self.shell, self.recorder = _shell()
        signal.signal(signal.SIGALRM, _alarm)

    def serve(self) -> Any:
        """Answer requests until the other side returns from a callback, or is gone."""
        while True:
            request, blobs = wire.receive(self.channel, None, lambda: None)
            if request["op"] in ("return", "raise"):
                value = self._decode(request["value"], blobs)
                if request["op"] == "raise":
                    raise RuntimeError(str(value))
                return value
            out: list[bytes] = []
            try:
                with _time(request["limit"]):
                    reply = {"ok": getattr(self, f"do_{request['op']}")(request, blobs, out)}
            except TimeLimit:
                out.clear()
                reply = {"error": ["TimeLimit", f"it did not finish within {request['limit']:g} s"]}
            except BaseException as error:
                out.clear()
                reply = {"error": [type(error).__name__[:100], _message(error)]}
            wire.send(self.channel, reply, out)

    # What can be asked for

    def do_run(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """Execute a cell; returns its outputs, and whether it raised."""
        self.recorder.clear(request["number"])
        out_stream, err_stream = Stream(self.recorder, "stdout"), Stream(self.recorder, "stderr")
        with contextlib.redirect_stdout(out_stream), contextlib.redirect_stderr(err_stream):
            result = self.shell.run_cell(request["source"], store_history=True)
        error = result.error_before_exec or result.error_in_exec
        return {
            "outputs": self.recorder.outputs,
            "error": None if error is None else type(error).__name__[:100],
        }

    def do_name(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """The value of a variable, or that there is none."""
        if request["name"] not in self.shell.user_ns:
            return {"missing": True}
        return {"value": self._encode(self.shell.user_ns[request["name"]], out)}

    def do_call(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """Call what the notebook made. With "grad", the gradient can be asked for afterwards."""
        args = self._decode(request["args"], blobs)
        kwargs = self._decode(request["kwargs"], blobs)
        leaves = wire.tensors([args, kwargs])
        for place in request["grad"]:
            leaves[place].requires_grad_()
        generators = [value for value in [*args, *kwargs.values()] if type(value).__name__ == "Generator"]
        result = self.objects[request["target"]](*args, **kwargs)
        if isinstance(result, Iterator):
            result = _items(result)
        graph = None
        if request["grad"]:
            results = wire.tensors(result)
            self.graphs.append(([leaves[place] for place in request["grad"]], results))
            graph = {"id": len(self.graphs) - 1, "live": [bool(tensor.requires_grad) for tensor in results]}
        states = [self._encode(generator, out) for generator in generators]
        return {"value": self._encode(result, out), "generators": states, "graph": graph}

    def do_vjp(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """The gradient of a call's results with respect to its arguments, contracted with what is sent."""
        import torch

        leaves, results = self.graphs[request["graph"]]
        sent = self._decode(request["grads"], blobs)
        live = [(tensor, grad) for tensor, grad in zip(results, sent, strict=True) if tensor.requires_grad]
        grads = torch.autograd.grad(
            [tensor for tensor, _ in live],
            leaves,
            [grad for _, grad in live],
            retain_graph=True,
            allow_unused=True,
        )
        return {"value": self._encode(list(grads), out)}

    def do_attribute(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """An attribute of an object that stays here."""
        return {"value": self._encode(getattr(self.objects[request["target"]], request["name"]), out)}

    def do_item(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """An element of an object that stays here."""
        return {
            "value": self._encode(self.objects[request["target"]][self._decode(request["key"], blobs)], out)
        }

    def do_items(self, request: Any, blobs: list[bytes], out: list[bytes]) -> Any:
        """The elements of an object that stays here."""
        return {"value": self._encode(_items(iter(self.objects[request["target"]])), out)}

    # Values

    def _encode(self, value: Any, out: list[bytes]) -> Any:
        return wire.encode(value, out, self._hold)

    def _decode(self, data: Any, blobs: list[bytes]) -> Any:
        return wire.decode(data, blobs, lambda entry: self._held(entry, blobs))

    def _hold(self, value: Any) -> Any:
        number = next((n for n, known in self.objects.items() if known is value), len(self.objects))
        self.objects[number] = value
        return {"object": number, "type": type(value).__name__[:100], "callable": callable(value)}

    def _held(self, data: Any, blobs: list[bytes]) -> Any:
        if "object" in data:
            return self.objects[data["object"]]
        if "global" in data:
            return self.shell.user_ns[data["global"]]
        if "import" in data:
            module, _, path = data["import"].partition(":")
            value: Any = __import__(module, fromlist=["_"])
            for part in path.split("."):
                value = getattr(value, part)
            return value
        if "pickle" in data:
            return pickle.loads(blobs[data["pickle"]])
        return self._callback(data["callback"])

    def _callback(self, number: int) -> Any:
        def function(*args: Any, **kwargs: Any) -> Any:
            out: list[bytes] = []
            message = {
                "callback": number,
                "args": self._encode(args, out),
                "kwargs": self._encode(kwargs, out),
            }
            wire.send(self.channel, message, out)
            return self.serve()

        return function


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


def _items(iterator: Iterator[Any]) -> list[Any]:
    found = []
    for item in iterator:
        found.append(item)
        if len(found) > MAX_ITEMS:
            raise ValueError(f"it yields more than {MAX_ITEMS} values")
    return found


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
    """Set the limits, say that the process is ready, and serve."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.settimeout(None)
    limits.end_with_parent()
    agent = Agent(channel)
    limits.restrict(**json.loads(sys.argv[2]))
    wire.send(channel, {"ready": os.getpid()}, [])
    with contextlib.suppress(wire.ClosedError):
        agent.serve()


if __name__ == "__main__":
    main()
