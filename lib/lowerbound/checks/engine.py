"""How a check works: run a function at random points, compare with the oracle, name the mistake."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

RTOL, ATOL = 1e-5, 1e-7
Function = Callable[..., Any]
Case = tuple[Any, ...]
KINDS = {"eq": "equation", "thm": "theorem", "ex": "exercise", "sec": "section"}
CHAPTERS = {"elbo": 1, "vae": 2, "forward": 3, "reverse": 4, "comparison": 5}


class CheckError(AssertionError):
    """A function that is not right yet.

    check: the name of the check. mistake: the name of the known mistake that it is, or None.
    """

    def __init__(self, check: str, message: str, mistake: str | None = None) -> None:
        super().__init__(message)
        self.check, self.mistake = check, mistake

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, and not the insides of the check."""
        return [f"CheckError: {self}"]


@dataclass(frozen=True)
class Mistake:
    """A known wrong variant of a function, and what to tell someone who wrote it."""

    of: Function
    says: str


@dataclass(frozen=True)
class Raised:
    """What a function raised in place of giving a value: the name of the error and its message."""

    error: str
    message: str


class Elsewhere:
    """A function that runs in another process, as a student's does when it is graded."""

    def run(self, cases: Sequence[Case], leaves: Sequence[int]) -> list[Any]:
        """What it gives at each case, as `run` has it. See `Check` for leaves."""
        raise NotImplementedError


@dataclass(frozen=True)
class Check:
    """`check(function)` prints one line if the function is right, and else raises `CheckError`.

    `check.grade(function)` does so at points that are new each time, and prints nothing: the hidden test.

    name: of the function. see: label of the equation, theorem or section of the book where it stands.
    cases: from a generator of randomness to lists of arguments. oracle: the right function; the types and
    shapes of what it gives are those asked for. mistakes: known wrong variants by name.
    leaves: numbers of the arguments to which gradients are compared too.
    judge: for what has many right answers: from (arguments, what the function gave) to the name of a
    mistake, "" for right, None for wrong in another way.
    """

    name: str
    see: str
    cases: Callable[[torch.Generator], Iterable[Case]]
    oracle: Function
    mistakes: Mapping[str, Mistake]
    leaves: Sequence[int] = ()
    judge: Callable[[Case, Any], str | None] | None = None
    seed: int = 0

    def __call__(self, function: Function) -> None:
        """Check a function at the same points each time. Raises CheckError."""
        if not callable(function):
            raise CheckError(
                self.name, f"{self.name}: give the function itself, as in checks.{self.name}(f)."
            )
        n = self._compare(function, self.seed)
        print(f"{self.name}: right" + (f" at {n} random points." if n > 1 else "."))

    def ask(self, function: Function) -> None:
        """Check a function in a lab: print what is wrong and raise nothing, so that what follows runs."""
        try:
            self(function)
        except CheckError as error:
            print(error)

    def grade(self, function: Function | Elsewhere) -> None:
        """Check a function at new points, without a word. Raises CheckError."""
        self._compare(function, secrets.randbelow(2**62))

    def named(self, cases: list[Case], values: list[Any]) -> str | None:
        """The mistake whose variant gives the same at every point, or None."""
        for name, mistake in self.mistakes.items():
            wrong = run(mistake.of, cases, self.leaves)
            if not any(isinstance(value, Raised) for value in wrong) and same(tuple(values), tuple(wrong)):
                return name
        return None

    def _compare(self, function: Function | Elsewhere, seed: int) -> int:
        """Compare at the points of a seed. Returns how many there are. Raises CheckError."""
        cases = [tuple(case) for case in self.cases(torch.Generator().manual_seed(seed))]
        right = [value_at(self.oracle, case, self.leaves) for case in cases]
        if isinstance(function, Elsewhere):
            outcomes = function.run(cases, self.leaves)
        else:
            outcomes = run(function, cases, self.leaves)
        values = [self._value(*triple) for triple in zip(cases, outcomes, right, strict=True)]
        if self.judge is not None:
            self._judged(cases, values)
        elif not all(map(same, values, right)):
            self._explain(cases, values, right)
        return len(cases)

    def _value(self, case: Case, outcome: Any, right: Any) -> Any:
        """What the function gave, as plain values."""
        if isinstance(outcome, Raised):
            if outcome.error == "NotImplementedError":
                raise CheckError(self.name, f"{self.name} is not written yet.", "not written")
            message = f"it raised {outcome.error}: {outcome.message}\nIt was called with {describe(case)}."
            raise self._error(message, "raises")
        try:
            return plain(outcome, right)
        except TypeError as error:
            raise self._error(str(error), "type") from None

    def _error(self, says: str, mistake: str | None = None) -> CheckError:
        """The error that says so, and where to read."""
        message = f"{self.name} is not right yet: {says}\nSee {pointer(self.see)}."
        return CheckError(self.name, message, mistake)

    def _judged(self, cases: list[Case], values: list[Any]) -> None:
        assert self.judge is not None
        for case, value in zip(cases, values, strict=True):
            try:
                verdict = self.judge(case, value)
            except ArithmeticError:  # numbers too large to be judged
                verdict = None
            if verdict != "":
                says = self.mistakes[verdict].says if verdict else f"it fails at {describe(case)}."
                raise self._error(says, verdict)

    def _explain(self, cases: list[Case], values: list[Any], right: list[Any]) -> None:
        if (name := self.named(cases, values)) is not None:
            raise self._error(self.mistakes[name].says, name)
        for case, ours, theirs in zip(cases, values, right, strict=True):
            if not same(ours, theirs):
                raise self._error(f"{compare(ours, theirs)}\nIt was called with {describe(case)}.")


def run(function: Function, cases: Sequence[Case], leaves: Sequence[int] = ()) -> list[Any]:
    """What a function gives at each case, see `value_at`, or `Raised`."""
    outcomes: list[Any] = []
    for case in cases:
        try:
            outcomes.append(value_at(function, case, leaves))
        except Exception as error:
            outcomes.append(Raised(type(error).__name__, str(error)))
    return outcomes


def value_at(function: Function, case: Case, leaves: Sequence[int] = ()) -> Any:
    """What a function gives at copies of the arguments.

    With leaves, the numbers of some arguments: and what a weighted sum of it passes back to each of these.
    """
    arguments = fresh(case)
    if not leaves:
        return function(*arguments)
    tensors = [arguments[i].requires_grad_() for i in leaves]
    value = function(*arguments)
    if type(value) is not Tensor or not value.requires_grad:
        return value, *map(torch.zeros_like, tensors)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).view(value.shape)
    gradients = torch.autograd.grad((weights * value).sum(), tensors, allow_unused=True)
    return value, *(torch.zeros_like(a) if g is None else g for a, g in zip(tensors, gradients, strict=True))


def pointer(see: str) -> str:
    """Where the book says it, from a label: kind, label and chapter."""
    sort, chapter = see.split("-")[:2]
    if sort == "clinic":
        return f"entry {see} of the page “What went wrong?”"
    return f"{KINDS[sort]} {see} in chapter {CHAPTERS[chapter]}"


def fresh(case: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, copied, so that a function that writes into them spoils nothing."""
    return tuple(torch.Tensor.clone(a) if type(a) is Tensor else a for a in case)


def plain(got: Any, like: Any) -> Any:
    """What a function gave as plain tensors, numbers and words, of the types of `like`. TypeError if not.

    Types are compared exactly: an object that claims to be equal to everything is refused here.
    """
    if type(like) is tuple:
        if type(got) is not tuple or len(got) != len(like):
            raise TypeError(f"it must return {len(like)} values, and returned {kind(got)}.")
        return tuple(plain(a, b) for a, b in zip(got, like, strict=True))
    if type(like) is Tensor:
        if type(got) is not Tensor:
            raise TypeError(f"it must return a torch.Tensor of shape {tuple(like.shape)}, not {kind(got)}.")
        if not torch.is_floating_point(got):
            raise TypeError(f"it must return floating-point numbers, not {got.dtype}.")
        return torch.Tensor.clone(torch.Tensor.detach(got)).double()
    if type(like) is float:
        if type(got) is Tensor and got.ndim == 0:
            return float(torch.Tensor.item(got))
        if type(got).__name__ == "float64" and type(got).__module__ == "numpy":
            return float(got)
        if type(got) not in (float, int):
            raise TypeError(f"it must return a float, not {kind(got)}.")
        try:
            return float(got)
        except OverflowError:
            raise TypeError(
                "it must return a float, and returned a whole number too large for one."
            ) from None
    if type(got) is not type(like):
        raise TypeError(f"it must return {type(like).__name__}, not {kind(got)}.")
    return got


def same(a: Any, b: Any) -> bool:
    """Equal up to rounding, shapes included."""
    if type(a) is tuple or type(b) is tuple:
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    a, b = (torch.as_tensor(v, dtype=torch.float64) for v in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, RTOL, ATOL, equal_nan=True)


def kind(value: Any) -> str:
    """What kind of thing a value is, in words; nothing of its own is called."""
    if type(value) is Tensor:
        return f"a tensor of shape {tuple(value.shape)}"
    return (
        "nothing (is a `return` missing?)" if value is None else f"an object of type {type(value).__name__}"
    )


def compare(ours: Any, theirs: Any) -> str:
    """What is wrong with a value, without the right one: its shape, its sign, too large or too small."""
    if type(theirs) is tuple:
        which = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if not same(a, b))
        return f"of the values returned, look at number {which + 1}: {compare(ours[which], theirs[which])}"
    if isinstance(theirs, str):
        return f"it returned {ours!r}."
    a, b = (torch.as_tensor(v, dtype=torch.float64) for v in (ours, theirs))
    if a.shape != b.shape:
        return f"it returned shape {tuple(a.shape)}, and should return {tuple(b.shape)}."
    if not bool(torch.isfinite(a).all()):
        return "it returned NaN or infinity."
    off = ~torch.isclose(a, b, RTOL, ATOL)
    value, right = float(a[off][0]), float(b[off][0])
    sign = "negative" if right < 0 else "positive" if right > 0 else "zero"
    index = f" at index {tuple(off.nonzero()[0].tolist())}" if a.ndim else ""
    way = "larger" if value > right else "smaller"
    share = f"{int(off.sum())} of {off.numel()} differ"
    return f"{value:.5g}{index} is {way} than the right value, which is {sign} ({share})."


def describe(case: tuple[Any, ...]) -> str:
    """Arguments in words: numbers as they are, tensors by shape and first entry."""
    words = []
    for value in case:
        if type(value) is Tensor:
            flat = value.flatten()
            words.append(f"a tensor of shape {tuple(value.shape)} that begins with {float(flat[0]):.4g}")
        else:
            words.append(f"{value:.4g}" if type(value) is float else f"{value}"[:80])
    return ", ".join(words)
