"""How a check works: run a function at random points, compare with the oracle, name the mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

RTOL, ATOL = 1e-5, 1e-7
Function = Callable[..., Any]
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
class Check:
    """`check(function)` prints one line if the function is right, and else raises `CheckError`.

    name: of the function. see: label of the equation, theorem or section of the book where it stands.
    cases: from a generator of randomness to lists of arguments. oracle: the right function; the types and
    shapes of what it gives are those asked for. mistakes: known wrong variants by name.
    observe: what of a function is compared, from (function, arguments); what it gives, if not told.
    judge: for what has many right answers: from (arguments, what the function gave) to the name of a
    mistake, "" for right, None for wrong in another way.
    """

    name: str
    see: str
    cases: Callable[[torch.Generator], Iterable[tuple[Any, ...]]]
    oracle: Function
    mistakes: Mapping[str, Mistake]
    observe: Function = field(default_factory=lambda: called)
    judge: Callable[[tuple[Any, ...], Any], str | None] | None = None
    seed: int = 0

    def __call__(self, function: Function) -> None:
        """Check a function. Raises CheckError."""
        if not callable(function):
            raise CheckError(
                self.name, f"{self.name}: give the function itself, as in checks.{self.name}(f)."
            )
        cases = [tuple(case) for case in self.cases(torch.Generator().manual_seed(self.seed))]
        got = [self._run(function, case) for case in cases]
        right = [self._expected(case) for case in cases]
        if self.judge is not None:
            self._judged(cases, got)
        elif not all(same(a, b) for a, b in zip(got, right, strict=True)):
            self._explain(cases, got, right)
        print(f"{self.name}: right" + (f" at {len(cases)} random points." if len(cases) > 1 else "."))

    def named(self, cases: list[tuple[Any, ...]], got: list[Any]) -> str | None:
        """The mistake whose variant gives the same at every point, or None."""
        for name, mistake in self.mistakes.items():
            try:
                wrong = [self.observe(mistake.of, fresh(case)) for case in cases]
            except Exception:  # a variant may have no value at a point; then it is not this one
                continue
            if all(same(a, b) for a, b in zip(got, wrong, strict=True)):
                return name
        return None

    def fail(self, says: str, mistake: str | None = None) -> CheckError:
        """The error that says so, and where to read."""
        return CheckError(
            self.name, f"{self.name} is not right yet: {says}\nSee {pointer(self.see)}.", mistake
        )

    def _expected(self, case: tuple[Any, ...]) -> Any:
        return None if self.judge is not None else self.observe(self.oracle, fresh(case))

    def _run(self, function: Function, case: tuple[Any, ...]) -> Any:
        try:
            out = self.observe(function, fresh(case))
        except NotImplementedError as error:
            raise CheckError(self.name, f"{self.name} is not written yet.", "not written") from error
        except Exception as error:
            said = f"it raised {type(error).__name__}: {error}\nIt was called with {describe(case)}."
            raise self.fail(said, "raises") from error
        try:
            return plain(out, self.observe(self.oracle, fresh(case)))
        except TypeError as error:
            raise self.fail(str(error), "type") from None

    def _judged(self, cases: list[tuple[Any, ...]], got: list[Any]) -> None:
        assert self.judge is not None
        for case, out in zip(cases, got, strict=True):
            if (verdict := self.judge(case, out)) != "":
                says = self.mistakes[verdict].says if verdict else f"it fails at {describe(case)}."
                raise self.fail(says, verdict)

    def _explain(self, cases: list[tuple[Any, ...]], got: list[Any], right: list[Any]) -> None:
        if (name := self.named(cases, got)) is not None:
            raise self.fail(self.mistakes[name].says, name)
        for case, ours, theirs in zip(cases, got, right, strict=True):
            if not same(ours, theirs):
                raise self.fail(f"{compare(ours, theirs)}\nIt was called with {describe(case)}.")


def called(function: Function, arguments: tuple[Any, ...]) -> Any:
    """What a function gives."""
    return function(*arguments)


def pointer(see: str) -> str:
    """Where the book says it, from a label: kind, label and chapter."""
    sort, chapter = see.split("-")[:2]
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
        return float(got)
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
    place = f" at index {tuple(off.nonzero()[0].tolist())}" if a.ndim else ""
    way = "larger" if value > right else "smaller"
    share = f"{int(off.sum())} of {off.numel()} differ"
    return f"{value:.5g}{place} is {way} than the right value, which is {sign} ({share})."


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
