"""How a check works: run a function at random points, compare with the oracle, name the mistake."""

from __future__ import annotations

import inspect
import math
import numbers
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import sympy as sp

from ..language import say
from .draws import Rng, generator
from .optional import Tensor, nn, np, torch
from .places import pointer

RTOL = ATOL = 1e-4  # as the assignments say; single precision stays far below it
Function = Callable[..., Any]
Case = tuple[Any, ...]
WRITTEN = "InputWrittenError"


class CheckError(AssertionError):
    """A function that is not right yet.

    check: the name of the check. mistake: the name of the known mistake that it is, or None.
    """

    def __init__(self, check: str, message: str, mistake: str | None = None) -> None:
        super().__init__(message)
        self.check, self.mistake = check, mistake

    def __str__(self) -> str:
        """The message, in the language of `lowerbound.language`."""
        return say(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, and not the insides of the check."""
        return [f"CheckError: {self}"]


class InputWrittenError(Exception):
    """A function has changed one of its arguments; the message is the argument's number."""


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


@dataclass(frozen=True)
class Slots:
    """A formula with places in which something else may stand: one of them is mistaken, or two.

    of: the formula, from the arguments and, by keyword, what stands in a place; without keywords it is right.
    wrong: by place, what may stand there by mistake, each with the sentence that says so.
    """

    of: Function
    wrong: Mapping[str, Mapping[str, Any]]

    def variants(self, pairs: bool) -> Iterable[tuple[str, str, Function]]:
        """Names, sentences and functions, with one mistake or with two."""
        single = [(place, says, value) for place, ways in self.wrong.items() for says, value in ways.items()]
        if not pairs:
            for place, says, value in single:
                yield f"{place}: {says}", f"{says}.", self._with(**{place: value})
            return
        for (place, says, value), (other, also, second) in combinations(single, 2):
            if place != other:
                yield (
                    f"{place}: {says}, {other}: {also}",
                    f"{says}; and {also}.",
                    self._with(**{place: value, other: second}),
                )

    def _with(self, **values: Any) -> Function:
        return lambda *case: self.of(*case, **values)


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
    shapes of what it gives are those asked for. mistakes: known wrong variants by name. slots: more of them.
    leaves: numbers of the arguments to which gradients are compared too.
    judge: for what has many right answers: from (arguments, what the function gave) to the name of a
    mistake, "" for right, None for wrong in another way.
    """

    name: str
    see: str
    cases: Callable[[Rng], Iterable[Case]]
    oracle: Function
    mistakes: Mapping[str, Mistake]
    leaves: Sequence[int] = ()
    judge: Callable[[Case, Any], str | None] | None = None
    seed: int = 0
    slots: Sequence[Slots] = field(default=())

    def __call__(self, function: Function) -> None:
        """Check a function at the same points each time. Raises CheckError."""
        if not callable(function):
            raise CheckError(
                self.name, f"{self.name}: give the function itself, as in checks.{self.name}(f)."
            )
        n = self._compare(function, self.seed)
        print(say(f"{self.name}: right" + (f" at {n} random points." if n > 1 else ".")))

    def ask(self, function: Function) -> None:
        """Check a function in a lab: print what is wrong and raise nothing, so that what follows runs."""
        try:
            self(function)
        except CheckError as error:
            print(error)

    def grade(self, function: Function | Elsewhere) -> None:
        """Check a function at new points, without a word. Raises CheckError."""
        self._compare(function, secrets.randbelow(2**31))

    def case(self, number: int = 1, seed: int | None = None) -> Case:
        """The arguments of a case: `f(*checks.f.case(2))` calls f as the check does."""
        return fresh(self._cases(self.seed if seed is None else seed)[number - 1])

    def variants(self) -> Iterable[tuple[str, str, Function, bool]]:
        """Name, sentence and function of every known mistake, and whether it is one or two at once."""
        for name, mistake in self.mistakes.items():
            yield name, mistake.says, mistake.of, True
        for pairs in (False, True):
            for slots in self.slots:
                for variant in slots.variants(pairs):
                    yield *variant, not pairs

    def arguments(self) -> list[str]:
        """The names of the arguments."""
        return list(inspect.signature(self.oracle).parameters)

    def _cases(self, seed: int) -> list[Case]:
        return [tuple(case) for case in self.cases(generator(seed))]

    def _compare(self, function: Function | Elsewhere, seed: int) -> int:
        """Compare at the points of a seed. Returns how many there are. Raises CheckError."""
        cases = self._cases(seed)
        right = [value_at(self.oracle, case, self.leaves) for case in cases]
        asked = cases if self.judge else [*cases, cases[0]]  # once more: a function gives the same again
        outcomes = ask(function, asked, self.leaves)
        values = [
            self._value(n, seed, *triple)
            for n, triple in enumerate(zip(asked, outcomes, [*right, right[0]], strict=False), 1)
        ]
        if self.judge is not None:
            self._judged(cases, values, seed)
            return len(cases)
        again = values.pop()
        if not all(map(same, values, right)) or not same(again, right[0]):
            self._explain(function, cases, values, again, right, seed)
        return len(cases)

    def _value(self, number: int, seed: int, case: Case, outcome: Any, right: Any) -> Any:
        """What the function gave, as plain values."""
        if isinstance(outcome, Raised):
            if outcome.error == "NotImplementedError":
                raise CheckError(self.name, f"{self.name} is not written yet.", "not written")
            if outcome.error == WRITTEN:
                raise self._error(self._writes(int(outcome.message)), "writes into an argument")
            from .diagnosis import of_error

            name, advice = of_error(outcome.error, outcome.message)
            says = f"it raised {outcome.error}: {outcome.message}{advice}\n{self._call(number, seed, case)}"
            raise self._error(says, name)
        try:
            return plain(outcome, right)
        except TypeError as error:
            raise self._error(str(error), "type") from None

    def _writes(self, number: int) -> str:
        return (
            f"it writes into its argument `{self.arguments()[number]}`, so the caller's value is changed. "
            "Make new tensors: mul for mul_, x = x + y for x += y, sorted(x) for x.sort()."
        )

    def _call(self, number: int, seed: int, case: Case) -> str:
        """How to make the call again that went wrong."""
        which = f"{number}" if seed == self.seed else f"{number}, seed={seed}"
        again = f"Try it: {self.name}(*checks.{self.name}.case({which}))" if case else ""
        return f"{again}\nIt was called with {describe(case)}." if case else "It is called without arguments."

    def _error(self, says: str, mistake: str | None = None) -> CheckError:
        """The error that says so, and where to read."""
        message = f"{self.name} is not right yet: {says}\nSee {pointer(self.see)}."
        return CheckError(self.name, message, mistake)

    def _judged(self, cases: list[Case], values: list[Any], seed: int) -> None:
        assert self.judge is not None
        for number, (case, value) in enumerate(zip(cases, values, strict=True), 1):
            try:
                verdict = self.judge(case, value)
            except ArithmeticError:  # numbers too large to be judged
                verdict = None
            if verdict != "":
                says = self.mistakes[verdict].says if verdict else "it fails."
                raise self._error(f"{says}\n{self._call(number, seed, case)}", verdict)

    def _explain(
        self, function: Any, cases: list[Case], values: list[Any], again: Any, right: list[Any], seed: int
    ) -> None:
        from .diagnosis import diagnose

        number = next((n for n, pair in enumerate(zip(values, right, strict=True), 1) if not same(*pair)), 1)
        name, says = diagnose(self, function, cases, values, again, right)
        raise self._error(f"{says}\n{self._call(number, seed, cases[number - 1])}", name)


def ask(function: Function | Elsewhere, cases: Sequence[Case], leaves: Sequence[int]) -> list[Any]:
    """What a function gives at each case, here or elsewhere."""
    if isinstance(function, Elsewhere):
        return function.run(cases, leaves)
    return run(function, cases, leaves)


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
    """What a function gives at copies of the arguments. Raises InputWrittenError where it changes them.

    With leaves, the numbers of some arguments: and what a weighted sum of it passes back to each of these.
    """
    arguments = fresh(case)
    tensors = [arguments[i].requires_grad_() for i in leaves]
    value = function(*arguments)
    for number, (before, after) in enumerate(zip(case, arguments, strict=True)):
        if type(before) is Tensor and not torch.equal(before, after.detach()):
            raise InputWrittenError(number)
        if type(before) is list and before != after:
            raise InputWrittenError(number)
    if not leaves:
        return value
    if type(value) is not Tensor or not value.requires_grad:
        return value, *map(torch.zeros_like, tensors)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=torch.float64).view(value.shape)
    gradients = torch.autograd.grad((weights * value).sum(), tensors, allow_unused=True)
    return value, *(torch.zeros_like(a) if g is None else g for a, g in zip(tensors, gradients, strict=True))


def fresh(case: Case) -> Case:
    """The arguments, copied, so that a function that writes into them spoils nothing."""
    copies = {Tensor: torch.Tensor.clone, list: list.copy}
    return tuple(copies[type(a)](a) if type(a) in copies else a for a in case)


def simple(got: Any) -> Any:
    """Numbers and arrays of numpy and sympy, and a parameter, as Python's and torch's own."""
    if type(got) is nn.Parameter:
        return got.detach()
    if type(got) is np.ndarray and got.dtype.kind in "fiu":
        return torch.from_numpy(got.copy())
    if isinstance(got, np.generic):
        return got.item()
    if isinstance(got, sp.Expr) and got.is_number and got.is_extended_real:
        return int(got) if got.is_Integer else float(got)
    if isinstance(got, numbers.Rational) and type(got) is not int and type(got) is not bool:
        return float(got)
    return got


def plain(got: Any, like: Any) -> Any:
    """What a function gave as plain tensors, numbers and words, of the types of `like`. TypeError if not.

    Numbers of other types are taken, a list for a tuple too. Types are compared exactly all the same: an
    object that claims to be equal to everything is refused here.
    """
    got = simple(got)
    if type(like) is tuple:
        if type(got) is Tensor and got.ndim and all(type(part) is float for part in like):
            got = list(got)  # a stacked tensor of the numbers
        if not isinstance(got, tuple | list):
            raise TypeError(f"it must return {len(like)} values, as a tuple, and returned {kind(got)}.")
        if len(got) != len(like):
            raise TypeError(f"it must return {len(like)} values, and returned {len(got)}.")
        return tuple(plain(a, b) for a, b in zip(got, like, strict=True))
    if type(like) is Tensor:
        if type(got) is not Tensor:
            raise TypeError(f"it must return a torch.Tensor of shape {tuple(like.shape)}, not {kind(got)}.")
        if not torch.is_floating_point(got):
            raise TypeError(f"it must return floating-point numbers, not {got.dtype}.")
        return torch.Tensor.clone(torch.Tensor.detach(got)).double()
    if type(like) in (float, int):
        if type(got) is Tensor and got.ndim == 0 and not torch.is_complex(got) and got.dtype != torch.bool:
            got = torch.Tensor.item(got)
        if type(like) is int and type(got) is float and got.is_integer():
            return int(got)
        if type(got) is int and type(like) is int:
            return got
        if type(like) is int or type(got) not in (float, int):
            wanted = "a whole number, an int" if type(like) is int else "a float"
            raise TypeError(f"it must return {wanted}, not {kind(got)}.")
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
    """Equal to the tolerance of the assignments, shapes included; whole numbers and words exactly."""
    if type(a) is tuple or type(b) is tuple:
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, str | int) or isinstance(b, str | int):
        return bool(a == b)
    if isinstance(a, float) and isinstance(b, float):
        return near(a, b)
    a, b = (torch.as_tensor(v, dtype=torch.float64) for v in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, RTOL, ATOL)


def near(a: float, b: float) -> bool:
    """Equal to the tolerance of the assignments, as `torch.isclose` has it."""
    return a == b or (math.isfinite(a) and abs(a - b) <= ATOL + RTOL * abs(b) < math.inf)


def kind(value: Any) -> str:
    """What kind of thing a value is, in words; nothing of its own is called."""
    if type(value) is Tensor:
        return f"a tensor of shape {tuple(value.shape)}"
    return (
        "nothing (is a `return` missing?)" if value is None else f"an object of type {type(value).__name__}"
    )


def describe(case: Case) -> str:
    """Arguments in words: numbers as they are, tensors by shape and first entry."""
    words = []
    for value in case:
        if type(value) is Tensor:
            flat = value.flatten()
            words.append(f"a tensor of shape {tuple(value.shape)} that begins with {float(flat[0]):.4g}")
        else:
            text = " ".join(_short(value).split())
            words.append(text if len(text) <= 80 else f"{text[:79]}…")
    return ", ".join(words)


def _short(value: Any) -> str:
    """Numbers by four digits, in lists too."""
    if type(value) is list:
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.4g}" if type(value) is float else f"{value}"
