"""Terms that an argument can make, by which a value may differ from the right one: summands and factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

from .optional import Tensor, torch

Shape = tuple[int, ...]
Part = Any  # a number, or a tensor of float64
Term = tuple[str, list[float]]  # in words, and its numbers, in the order of the values' own
LARGEST = math.exp(20.0)  # beside a number above this nothing else is seen
FORMS: dict[str, Callable[[Part], Part]] = {
    "{}": lambda v: v,
    "{}²": lambda v: v * v,
    "√{}": lambda v: v.sqrt() if type(v) is Tensor else math.sqrt(v),
    "1/{}": lambda v: 1 / v,
    "exp({})": lambda v: v.exp() if type(v) is Tensor else math.exp(v),
    "exp(2{})": lambda v: (2 * v).exp() if type(v) is Tensor else math.exp(2 * v),
    "exp({}/2)": lambda v: (v / 2).exp() if type(v) is Tensor else math.exp(v / 2),
    "log {}": lambda v: v.log() if type(v) is Tensor else math.log(v),
    "|{}|": abs,
}
OF_SHARES = ("{}", "{}²", "√{}", "1/{}", "log {}")  # and of what is left to 1


def terms(names: Sequence[str], cases: Sequence[tuple[Any, ...]], shapes: Sequence[Shape]) -> Iterator[Term]:
    """Forms of one argument, and products of two, at the places of values of these shapes.

    What has more axes than a value is summed, and what lacks the batch averaged over it.
    """
    made = [(name, word, parts) for name, word, parts in _forms(names, cases) if _moderate(parts)]
    for _, word, parts in made:
        yield from _fitted(word, parts, shapes)
    for (one, word, left), (other, further, right) in combinations(made, 2):
        if one == other:
            continue
        parts = [_times(a, b) for a, b in zip(left, right, strict=True)]
        if all(part is not None for part in parts):
            yield from _fitted(f"{word} · {further}", parts, shapes)


def _forms(names: Sequence[str], cases: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, str, list[Part]]]:
    pool = dict(_pool(names, cases))
    for name, values in pool.items():
        shares = all(_within(v, 0, 1) for v in values)
        forms = (
            OF_SHARES
            if shares
            else tuple(FORMS)[:-1]
            if all(_within(v, 0, math.inf) for v in values)
            else FORMS
        )
        for form in forms:
            yield from _made(name, form.format(name), values, FORMS[form])
        for form in OF_SHARES if shares else ():
            yield from _made(name, form.format(f"(1 − {name})"), [1 - v for v in values], FORMS[form])
    for one, other in combinations(pool, 2):
        gaps = [a - b for a, b in zip(pool[one], pool[other], strict=True) if _shape(a) == _shape(b)]
        if len(gaps) == len(cases):
            for form in ("{}²", "|{}|"):
                yield from _made(f"{one}{other}", form.format(f"({one} − {other})"), gaps, FORMS[form])


def _made(
    name: str, word: str, values: Sequence[Part], of: Callable[[Part], Part]
) -> Iterator[tuple[str, str, list[Part]]]:
    try:
        yield name, word, [of(v) for v in values]
    except (ArithmeticError, ValueError):  # it has no such form
        return


def _pool(names: Sequence[str], cases: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, list[Part]]]:
    """Arguments that are numbers or tensors of them; of a schedule and a level, ᾱ_t, ᾱ_{t−1} and α_t."""
    for i, name in enumerate(names):
        values = [case[i] for case in cases]
        if all(type(v) is float for v in values):
            yield f"`{name}`", values
        elif all(type(v) is Tensor and v.is_floating_point() for v in values):
            if name != "alpha_bar":
                yield f"`{name}`", [v.double() for v in values]
            elif "t" in names:
                levels = [case[names.index("t")] for case in cases]
                now, before = (
                    [v[t - back].double() for v, t in zip(values, levels, strict=True)] for back in (0, 1)
                )
                yield "ᾱ_t", now
                yield "ᾱ_{t−1}", before
                yield "α_t", [a / b for a, b in zip(now, before, strict=True)]


def _shape(part: Part) -> Shape:
    return tuple(part.shape) if type(part) is Tensor else ()


def _within(part: Part, low: float, high: float) -> bool:
    return bool(((part > low) & (part < high)).all()) if type(part) is Tensor else bool(low < part < high)


def _moderate(parts: Sequence[Part]) -> bool:
    return all(_within(part, -LARGEST, LARGEST) for part in parts)


def _times(a: Part, b: Part) -> Part | None:
    """The product of an example's numbers with each other, where their shapes are such."""
    if () in (_shape(a), _shape(b)) or _shape(a) == _shape(b):
        return a * b
    low, high = sorted((a, b), key=lambda v: len(_shape(v)))
    if low.ndim == 1 and high.shape[0] == low.shape[0]:
        return low.reshape(-1, *[1] * (high.ndim - 1)) * high
    return None


def _fitted(word: str, parts: Sequence[Part], shapes: Sequence[Shape]) -> Iterator[Term]:
    """The numbers of a term at the places of the values; nothing where it has no such places."""
    flat: list[float] = []
    words = word
    for part, shape in zip(parts, shapes, strict=True):
        own = _shape(part)
        if own == ():
            flat += [float(part)] * math.prod(shape)
            continue
        if own == shape:
            value = part
        elif len(own) > len(shape) > 0 and own[: len(shape)] == shape:
            value, words = part.flatten(len(shape)).sum(-1), f"the sum of {word}"
        elif len(own) < len(shape) and own == shape[:1]:
            value = part.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        elif len(own) == len(shape) + 1 and own[1:] == shape:
            value, words = part.mean(0), f"the mean of {word}"
        else:
            return
        flat += torch.flatten(value).tolist()
    yield words, flat
