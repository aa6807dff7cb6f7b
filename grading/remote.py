"""What a submission made, seen from the grader: names that call into the sandbox and give plain values."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import torch

from grading.inside import wire
from grading.sandbox import GRACE, EndedError, Sandbox

MISSING = object()


class StudentError(Exception):
    """What a submission made does not work; the message is for the student, and holds nothing of a test."""


class Session:
    """The conversation with one sandbox. shared: the names that the grader's own cells bind to objects."""

    def __init__(self, sandbox: Sandbox, shared: dict[str, Any]) -> None:
        self.sandbox, self.shared = sandbox, shared
        self.callbacks: list[Callable[..., Any]] = []
        self.said = ""  # of the last call that failed

    def request(self, op: str, limit: float, blobs: list[bytes] | None = None, **content: Any) -> Any:
        """Ask, and answer callbacks until the reply comes. Returns the reply and its arrays.

        Raises StudentError where the student's code raised, EndedError where its process is over.
        """
        deadline = time.monotonic() + limit + GRACE
        self.sandbox.send({"op": op, "limit": limit, **content}, blobs or [])
        while True:
            try:
                reply, sent = self.sandbox.receive(deadline)
            except wire.LateError:
                self.sandbox.close(f"it did not stop after {limit:g} s")
                raise EndedError(self.sandbox.ended) from None
            if not isinstance(reply, dict):
                self.sandbox.close("it broke off the conversation")
                raise EndedError(self.sandbox.ended)
            if "callback" in reply:
                self._answer(reply, sent)
            elif "error" in reply:
                name, message = (clean(part) for part in reply["error"])
                raise StudentError(f"{name}: {message}" if message else name)
            else:
                return reply["ok"], sent

    def _answer(self, reply: dict[str, Any], sent: list[bytes]) -> None:
        out: list[bytes] = []
        try:
            function = self.callbacks[reply["callback"]]
            result = function(*self.decode(reply["args"], sent), **self.decode(reply["kwargs"], sent))
            answer = {"op": "return", "value": self.encode(result, out)}
        except (EndedError, MemoryError):
            raise
        except Exception as error:
            out.clear()
            answer = {
                "op": "raise",
                "value": {"str": f"the argument cannot be called like this: {type(error).__name__}"},
            }
        self.sandbox.send(answer, out)

    def name(self, name: str) -> Any:
        """The value of a variable of the submission, or MISSING."""
        reply, sent = self.request("name", self.sandbox.limits.call, name=name)
        return MISSING if "missing" in reply else self.decode(reply["value"], sent, name)

    def encode(self, value: Any, blobs: list[bytes]) -> Any:
        """A value for the sandbox."""
        return wire.encode(value, blobs, lambda entry: self._hold(entry, blobs))

    def decode(self, data: Any, blobs: list[bytes], what: str = "it") -> Any:
        """A value from the sandbox. Raises StudentError for what is none."""
        try:
            return wire.decode(data, blobs, lambda entry: self._held(entry, what))
        except Exception as error:
            raise StudentError(
                f"{what} gave what cannot be read: {type(error).__name__}: {clean(error)}"
            ) from error

    def _hold(self, value: Any, blobs: list[bytes]) -> Any:
        if isinstance(value, Remote):
            return {"object": value._number}
        for name, known in self.shared.items():
            if known is value:
                return {"global": name}
        if (
            isinstance(value, FunctionType)
            and "<locals>" not in value.__qualname__
            and value.__module__.startswith("lowerbound")
        ):
            return {"import": f"{value.__module__}:{value.__qualname__}"}
        if isinstance(value, FunctionType):
            self.callbacks.append(value)
            return {"callback": len(self.callbacks) - 1}
        blobs.append(pickle.dumps(value))  # read there, never here
        return {"pickle": len(blobs) - 1}

    def _held(self, data: Any, what: str) -> Any:
        made = RemoteFunction if data["callable"] else Remote
        return made(self, int(data["object"]), clean(data["type"]), what)


class Remote:
    """An object that stays in the sandbox. It is neither true nor false, nor equal to anything but itself."""

    def __init__(self, session: Session, number: int, kind: str, what: str) -> None:
        self._session, self._number, self._kind, self._what = session, number, kind, what

    def _ask(self, op: str, what: str, **content: Any) -> Any:
        session = self._session
        reply, sent = session.request(op, session.sandbox.limits.call, target=self._number, **content)
        return session.decode(reply["value"], sent, what)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_ipython_display_", "_repr_latex_"):
            raise AttributeError(name)
        return self._ask("attribute", f"{self._what}.{name}", name=name)

    def __getitem__(self, key: Any) -> Any:
        blobs: list[bytes] = []
        return self._ask("item", f"{self._what}[…]", key=self._session.encode(key, blobs), blobs=blobs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ask("items", self._what))

    def __bool__(self) -> bool:
        raise StudentError(f"{self._what} is of the type {self._kind}; give a number, a tensor or text")

    def __repr__(self) -> str:
        return f"<{self._kind}>"


class RemoteFunction(Remote):
    """A function that runs in the sandbox. Gradients pass through it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there. Raises StudentError where it raises."""
        inputs = wire.tensors([args, kwargs])
        wanted = (
            [n for n, tensor in enumerate(inputs) if tensor.requires_grad] if torch.is_grad_enabled() else []
        )
        try:
            if not wanted:
                return self._call(args, kwargs, [])[0]
            state: dict[str, Any] = {}
            outputs = _Gradient.apply(self, args, kwargs, wanted, state, *(inputs[n] for n in wanted))
            return _replace(state["value"], iter(outputs))
        except StudentError as error:
            if str(error) == "NotImplementedError":
                raise StudentError(f"{self._what} is not written yet") from None
            raise StudentError(f"{self._what}(…): {error}") from None

    def _call(self, args: Any, kwargs: Any, grad: list[int]) -> tuple[Any, Any]:
        session, blobs = self._session, []  # type: ignore[var-annotated]
        sent = {
            "args": session.encode(tuple(args), blobs),
            "kwargs": session.encode(kwargs, blobs),
            "grad": grad,
        }
        reply, back = session.request("call", session.sandbox.limits.call, blobs, target=self._number, **sent)
        generators = [value for value in [*args, *kwargs.values()] if isinstance(value, torch.Generator)]
        for generator, state in zip(generators, reply["generators"], strict=False):
            advanced = session.decode(state, back, self._what)
            if type(advanced) is torch.Generator:
                generator.set_state(advanced.get_state())
        return session.decode(reply["value"], back, self._what), reply["graph"]


class _Gradient(torch.autograd.Function):
    """A call whose gradient is asked of the sandbox too."""

    @staticmethod
    def forward(ctx: Any, function: Any, args: Any, kwargs: Any, wanted: Any, state: Any, *_: Any) -> Any:
        state["value"], graph = function._call(args, kwargs, wanted)
        outputs = tuple(wire.tensors(state["value"]))
        live = (list(graph["live"]) + [False] * len(outputs))[: len(outputs)]
        ctx.function, ctx.graph = function, graph["id"]
        ctx.mark_non_differentiable(
            *(o for o, on in zip(outputs, live, strict=True) if not on or not o.is_floating_point())
        )
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        session, blobs = ctx.function._session, []  # type: ignore[var-annotated]
        sent = session.encode(list(grads), blobs)
        reply, back = session.request("vjp", session.sandbox.limits.call, blobs, graph=ctx.graph, grads=sent)
        found = session.decode(reply["value"], back, ctx.function._what)
        return (None, None, None, None, None, *found)


def _replace(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """The value with its tensors, in order, taken from the iterator."""
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, list | tuple):
        return type(value)(_replace(entry, tensors) for entry in value)
    if isinstance(value, dict):
        return {key: _replace(entry, tensors) for key, entry in value.items()}
    return value


def clean(text: Any) -> str:
    """One line of printable text, 200 characters at most."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)[:2000]).split())[:200]
