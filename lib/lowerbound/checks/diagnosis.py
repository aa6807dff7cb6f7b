"""What is wrong with a function, from what it gave: each sentence is a fact about the values at every point.

First come the known mistakes of a check, then what any function may suffer from: a factor, a constant, a
wrong axis, an argument mistaken for another or not looked at, noise of its own, a limit that cuts values off.
Where none of these fits, arguments are set to 0 or 1 one by one, to find the term in which the mistake sits,
and turned, doubled, moved or exchanged, to find what the right value does then and the wrong one does not.
"""

from __future__ import annotations

import contextlib
import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from .engine import ATOL, Case, Raised, ask, near, run, same, simple
from .optional import Tensor, np, torch
from .terms import terms

if TYPE_CHECKING:
    from .engine import Check

FAR = 2.5  # times what is usual in a row: so far out an argument is by intent
WHERE = "in what depends on "  # how the name begins of a mistake whose place is known, and no more
LACKS = "does not do "  # how it begins where a property is known that the right value has
Found = tuple[str | None, str]  # the name of a mistake, and the sentence for the student
ORDINAL = ("first", "second", "third", "fourth", "fifth", "sixth")
ADVICE = {  # by what an error says
    r"in-place": ("writes into an argument", "It changes its argument in place: make a new tensor."),
    r"IndexError|out of bounds": (
        "an index too far",
        "alpha_bar has T + 1 entries, and the last is alpha_bar[T].",
    ),
    r"must match the size|broadcast|shapes? .*not aligned": (
        "shapes that do not fit",
        "(B,) and (B, D) do not line up: give the first a second axis, as in t[:, None].",
    ),
    r"between 0 and 1": (
        "Bernoulli on [−1, 1]",
        "A Bernoulli's x is 0 or 1; these pixels are real numbers. Use the Gaussian of the task.",
    ),
    r"math domain error": (
        "log of what is not positive",
        "A logarithm or a root of a negative number, or log 0.",
    ),
    r"ZeroDivisionError": ("division by zero", ""),
    r"NameError|UnboundLocalError": (
        "a name that is not there",
        "Define it in the function, or in a cell above it.",
    ),
    r"positional argument": ("other arguments", "Keep the arguments that the task gives."),
}
FACTORS = {
    -1.0: ("sign", "the sign is turned"),
    2.0: ("twice", "it is twice the right value: a half is missing, or something is counted twice"),
    0.5: ("half", "it is half the right value"),
    1 / math.log(2): ("bits", "this is in bits: a logarithm to base 2 where the natural one belongs"),
    math.log(2): ("nats", "this is in nats where bits are asked for: it is off by the factor log 2"),
    1 / math.log(10): ("log10", "a logarithm to base 10 has crept in"),
}


@dataclass(frozen=True)
class Numbers:
    """The numbers of a tensor, row after row, and its shape; that of a single number is ()."""

    shape: tuple[int, ...]
    flat: list[float]

    @classmethod
    def of(cls, value: Any) -> Numbers:
        """Raises TypeError, ValueError or OverflowError where it is none."""
        value = simple(value)
        if torch and not isinstance(value, float | int):
            value = torch.as_tensor(value, dtype=torch.float64).detach()
            return cls(tuple(value.shape), value.flatten().tolist())
        return cls((), [float(value)])

    def row(self, number: int) -> list[float]:
        """The numbers of one entry of the first axis."""
        size = len(self.flat) // self.shape[0]
        return self.flat[number * size : (number + 1) * size]

    def all(self, function: Callable[[float], float]) -> Numbers:
        """The function of each number; NaN where it has no value."""
        return Numbers(self.shape, [_or_nan(function, v) for v in self.flat])

    def near(self, other: Numbers) -> bool:
        """Equal to the tolerance of the assignments, shapes included."""
        return self.shape == other.shape and all(map(near, self.flat, other.flat))

    def less(self, other: Numbers) -> Numbers:
        """The differences of two of one shape."""
        return Numbers(self.shape, [x - y for x, y in zip(self.flat, other.flat, strict=True)])


def _or_nan(function: Callable[[float], float], value: float) -> float:
    try:
        return function(value)
    except (ArithmeticError, ValueError):
        return math.nan


def of_error(error: str, message: str) -> tuple[str, str]:
    """A name and an advice for what a function raised."""
    for pattern, (name, advice) in ADVICE.items():
        if re.search(pattern, f"{error}: {message}"):
            return name, f" {advice}" if advice else ""
    return "raises", ""


def diagnose(
    check: Check, function: Any, cases: list[Case], values: list[Any], again: Any, right: list[Any]
) -> Found:
    """The mistake of a function that is wrong at some point."""
    # what is tried in place of an argument need not lie in its range
    with np.errstate(all="ignore") if np else contextlib.nullcontext():
        return _found(check, function, cases, values, again, right)


def _found(
    check: Check, function: Any, cases: list[Case], values: list[Any], again: Any, right: list[Any]
) -> Found:
    finite = _finite(values)
    if finite and not same(again, values[0]):
        return "noise of its own", (
            "called twice with the same arguments it gives two answers. It draws numbers of its own, or "
            "keeps something from one call to the next: use the arguments alone"
            + (", the noise that is given among them." if _noise(check) else ".")
        )
    if (found := _known(check, cases, values)) is not None:
        return found
    if not finite:
        return (
            "not finite",
            "it gives NaN or infinity: a logarithm or a root of a negative number, or a division by 0.",
        )
    if type(right[0]) is not tuple:
        return _single(check, function, cases, values, right)
    if check.leaves:
        return _gradients(check, function, cases, values, right)
    return _parts(check, function, cases, values, right)


def _finite(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return all(map(_finite, values))
    if isinstance(values, float):
        return math.isfinite(values)
    return not isinstance(values, Tensor) or bool(torch.isfinite(values).all())


def _noise(check: Check) -> bool:
    return bool({"noise", "eps", "z"} & set(check.arguments()))


def _known(check: Check, cases: list[Case], values: list[Any]) -> Found | None:
    """The known mistakes that give the same at every point."""
    return _matching(check, cases, lambda k, wrong: same(values[k], wrong))


def _matching(check: Check, cases: list[Case], fits: Callable[[int, Any], bool]) -> Found | None:
    """All known mistakes whose values fit at every point: several may be the same. Else the first pair."""
    found: list[tuple[str, str]] = []
    for name, says, variant, single in check.variants():
        if found and (not single or len(found) == 3):
            break
        for k, case in enumerate(cases):
            (wrong,) = run(variant, [case], check.leaves)
            if isinstance(wrong, Raised) or not fits(k, wrong):
                break
        else:
            found.append((name, says))
    if not found:
        return None
    return found[0][0], "\nOr, which comes to the same: ".join(says for _, says in found)


def _gradients(check: Check, function: Any, cases: list[Case], values: list[Any], right: list[Any]) -> Found:
    """A value with its gradients: the value first, then whatever does not reach an argument."""
    ours, theirs = [v[0] for v in values], [v[0] for v in right]
    if not all(map(same, ours, theirs)):
        return _single(check, function, cases, ours, theirs, part=0)
    names = [check.arguments()[i] for i in check.leaves]
    for k, name in enumerate(names, 1):
        if all(not bool(v[k].any()) for v in values) and any(bool(v[k].any()) for v in right):
            return (
                "no gradient",
                f"the values are right, but no gradient reaches `{name}`: it would never be learned.",
            )
    return None, "the values are right, and the gradients that pass through them are not."


def _parts(check: Check, function: Any, cases: list[Case], values: list[Any], right: list[Any]) -> Found:
    """Several values: each that is wrong, by itself."""
    size = len(right[0])
    if all(same(v[::-1], r) for v, r in zip(values, right, strict=True)):
        return "order", "the values are the right ones in another order."
    names, sentences = [], []
    for k in range(size):
        ours, theirs = [v[k] for v in values], [r[k] for r in right]
        if all(map(same, ours, theirs)):
            continue
        name, says = _part_known(check, cases, ours, k) or _single(
            check, function, cases, ours, theirs, part=k
        )
        names.append(name)
        sentences.append(f"the {ORDINAL[k]} value: {says}")
    whole = None if None in names else "; ".join(str(name) for name in names)
    return whole, "\n".join(sentences)


def _part_known(check: Check, cases: list[Case], ours: list[Any], k: int) -> Found | None:
    return _matching(
        check, cases, lambda n, wrong: type(wrong) is tuple and len(wrong) > k and same(ours[n], wrong[k])
    )


def _single(
    check: Check,
    function: Any,
    cases: list[Case],
    ours: list[Any],
    theirs: list[Any],
    part: int | None = None,
) -> Found:
    """One value at each point, which is wrong at some."""
    a, b = ([Numbers.of(v) for v in side] for side in (ours, theirs))
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:
            return _shape(x, y, check, cases)
    found = (
        _related(a, b) or _exchanged(check, cases, a, part) or _limited(check, cases, a, b) or _constant(a)
    )
    if found is None:
        found = (
            _unread(check, function, cases, a, part)
            or _mixed(check, function, cases, a, part)
            or _term(check, cases, a, b)
        )
    if found is not None:
        return found
    says = compare(a, b)
    place = _place(check, function, cases, a, b, part)
    lack = _lacking(check, function, cases, a, b, part)
    name = f"{WHERE}{place[0]}" if place else f"{LACKS}{lack[0]}" if lack else None
    return name, "\n".join([says, *(fact[1] for fact in (place, lack) if fact)])


def _shape(ours: Numbers, theirs: Numbers, check: Check, cases: list[Case]) -> Found:
    got, want = ours.shape, theirs.shape
    says = f"it returned shape {got}, and should return {want}"
    if got == () and want:
        how = _reduction(ours, theirs)
        return "one number", f"{says}: {how}one number for all. Return one for each, without mixing them."
    if len(want) == 1 and got == (want[0], want[0]):
        return "broadcast", (
            f"{says}: a (B,) has met a (B, 1), and each was paired with each. Bring both to one shape first."
        )
    if len(ours.flat) == len(theirs.flat) and len(got) == len(want) + 1:
        return "an axis too many", f"{says}: an axis of length 1 is left over (keepdim, or [:, None])."
    if len(got) > len(want) and got[: len(want)] == want:
        size = math.prod(got[len(want) :])
        parts = [ours.flat[i : i + size] for i in range(0, len(ours.flat), size)] if size else []
        for word, of in (("sum", math.fsum), ("mean", statistics.fmean)):
            if len(parts) == len(theirs.flat) and all(map(near, map(of, parts), theirs.flat)):
                return f"{word} missing", f"{says}: take the {word} over the other axes."
        return "not summed", f"{says}: an axis is left that should be summed or averaged over."
    if len(got) == len(want) + 1 and got[1:] == want:
        return "not averaged", f"{says}: the batch is still there."
    return "shape", f"{says}: " + (
        "the sum or the mean is over the wrong axis." if len(got) == len(want) else "look at the axes."
    )


def _reduction(ours: Numbers, theirs: Numbers) -> str:
    for word, of in (("the sum", math.fsum), ("the mean", statistics.fmean)):
        if near(ours.flat[0], of(theirs.flat)):
            return f"{word} over the batch, "
    return ""


def _close(a: Sequence[Numbers], b: Sequence[Numbers]) -> bool:
    return all(x.near(y) for x, y in zip(a, b, strict=True))


def _related(a: list[Numbers], b: list[Numbers]) -> Found | None:
    """A factor, a constant, a known function between what it gave and what is right."""
    x, y = ([v for part in side for v in part.flat] for side in (a, b))

    def is_right(change: Callable[[float], float]) -> bool:
        return _close(a, [part.all(change) for part in b])

    for value, (name, says) in FACTORS.items():
        if is_right(lambda v, value=value: value * v):  # type: ignore[misc]
            return name, f"{says}."
    for name, says, change in (
        ("squared", "this is the square of the right value", lambda v: v**2),
        ("root", "this is the root of the right value: the squares are gone", math.sqrt),
        ("logarithm", "this is the logarithm of the right value", math.log),
        ("exponential", "the logarithm is missing: this is exp of the right value", math.exp),
        ("turned over", "the fraction is upside down: this is one over the right value", lambda v: 1 / v),
        ("complement", "this is one less the right value", lambda v: 1 - v),
        ("absolute value", "this is the absolute value: the sign is lost", abs),
        ("rounded", "it is rounded: return the number as it is", lambda v: round(v * 10) / 10),
        ("rounded", "it is rounded: return the number as it is", lambda v: round(v * 100) / 100),
        ("rounded", "it is rounded: return the number as it is", round),
    ):
        if is_right(change):
            return name, f"{says}."
    if len(y) < 3:
        return None
    far = max(range(len(y)), key=lambda i: abs(y[i]))
    ratio = _or_nan(lambda v: x[far] / v, y[far])
    if ratio and is_right(lambda v: ratio * v):
        return "a factor", f"it is {ratio:.4g} times the right value at every point: look for a factor."
    shift = x[0] - y[0]
    if is_right(lambda v: v + shift):
        way = "above" if shift > 0 else "below"
        return "a constant", (
            f"it is {abs(shift):.4g} {way} the right value at every point: a constant is wrong, or missing"
            + (" (½ log 2π is 0.9189)." if abs(shift) > 0.1 else ".")
        )
    if (line := _straight(x, y)) is not None and is_right(lambda v: line[0] * v + line[1]):
        way = "more" if line[1] > 0 else "less"
        return "a factor and a constant", (
            f"it is {line[0]:.4g} times the right value and {abs(line[1]):.4g} {way} at every point: a "
            "factor and a constant are wrong."
        )
    if min(x) > 0 and min(y) > 0:
        line = _straight([*map(math.log, x)], [*map(math.log, y)])
        if line is not None and is_right(lambda v: math.exp(line[1]) * v ** line[0]):
            times = "" if near(line[1], 0.0) else f"{math.exp(line[1]):.4g} times "
            return "a power", f"it is {times}the right value to the power {line[0]:.4g} at every point."
    high, low = max(x), min(x)
    off = [not near(*pair) for pair in zip(x, y, strict=True)]
    cut = [min(max(v, low), high) for v in y]
    if low < high and any(off) and not all(off) and all(map(near, x, cut)):
        return (
            "clipped",
            f"its values are cut off at {low:.4g} and {high:.4g}: nothing is to be clipped.",
        )
    return None


def _straight(x: list[float], y: list[float]) -> tuple[float, float] | None:
    """Slope and height of the line through the points of the lowest and the highest y; None of few points."""
    first, last = (of(range(len(y)), key=y.__getitem__) for of in (min, max))
    if len({round(v, 6) for v in y}) < 4 or near(y[first], y[last]) or near(x[first], x[last]):
        return None
    slope = (x[last] - x[first]) / (y[last] - y[first])
    return slope, x[first] - slope * y[first]


def _swaps(value: Any, name: str, case: Case) -> Iterator[tuple[str, Any]]:
    """What may stand for an argument by mistake: words for it, and the value."""
    if type(value) is float:
        yield f"{name}²", value**2
        if value > 0:
            yield f"√{name}", math.sqrt(value)
            yield f"1/{name}", 1 / value
            yield f"log {name}", math.log(value)
        for word, other in (("1", 1.0), ("0", 0.0), (f"−{name}", -value), (f"2{name}", 2 * value)):
            yield word, other
        yield f"{name}/2", value / 2
        yield f"1 − {name}", 1 - value
    if type(value) is Tensor and value.dtype == torch.int64:
        yield f"{name} − 1", value - 1
        yield f"{name} − 1, and 1 for 1", (value - 1).clamp(min=1)
        yield f"{name} + 1", value + 1
        yield f"the first {name} of the batch, for all", value[:1].expand_as(value)
        yield "T, for all", torch.full_like(value, _last(case))
    if type(value) is Tensor and value.is_floating_point():
        if name.startswith("alpha_bar") or name == "a":
            ratio = torch.cat([value[:1], value[1:] / value[:-1]])
            yield "α, the factor of one step", ratio
            yield f"1 − {name}", 1 - value
        else:
            for word, other in (
                ("0", 0 * value),
                (f"−{name}", -value),
                (f"|{name}|", value.abs()),
                ("1", 0 * value + 1),
            ):
                yield word, other
            if value.ndim == 2:
                yield f"the first {name} of each example, for all its entries", value[:, :1].expand_as(value)
            if value.ndim:
                yield f"the {name} of the first example, for all", value[:1].expand_as(value)
                yield f"the mean of {name} over the batch", value.mean(0, keepdim=True).expand_as(value)
            yield f"exp({name})", value.exp()
            yield f"{name} between −1 and 1", value.clamp(-1, 1)
        yield f"{name}²", value**2
        yield f"√{name}", value.sqrt()
        yield f"2{name}", 2 * value
        yield f"{name}/2", value / 2


def _last(case: Case) -> int:
    """T of the chain among the arguments."""
    return next((len(v) - 1 for v in case if type(v) is Tensor and v.ndim == 1 and v.is_floating_point()), 0)


def _exchanged(check: Check, cases: list[Case], a: list[Numbers], part: int | None) -> Found | None:
    """Whether it is right for other arguments: one mistaken for another, or changed on the way."""
    names = check.arguments()

    def gives(changed: Callable[[Case], Case]) -> bool:
        try:
            found = [check.oracle(*changed(case)) for case in cases]
        except Exception:
            return False
        values = [v[part] if type(v) is tuple else v for v in found] if part is not None else found
        ways = [Numbers.of(v) for v in values]
        return all(v.shape == () or all(map(math.isfinite, v.flat)) for v in ways) and _close(a, ways)

    def kinds(i: int) -> tuple[Any, ...]:
        v = cases[0][i]
        return (type(v), v.dtype, v.shape) if type(v) is Tensor else (type(v),)

    size = len(cases[0])
    for i in range(size):
        for j in range(size):
            if i == j or kinds(i) != kinds(j):
                continue
            if i < j and gives(lambda c, i=i, j=j: (*c[:i], c[j], *c[i + 1 : j], c[i], *c[j + 1 :])):  # type: ignore[misc]
                return "arguments exchanged", f"`{names[i]}` and `{names[j]}` have changed places."
            if gives(lambda c, i=i, j=j: (*c[:i], c[j], *c[i + 1 :])):  # type: ignore[misc]
                return "another argument", f"this is right for `{names[j]}` in place of `{names[i]}`."
    for i in range(size):
        options = list(_swaps(cases[0][i], names[i], cases[0]))
        for k, (word, _) in enumerate(options):

            def changed(case: Case, i: int = i, k: int = k) -> Case:
                ways = list(_swaps(case[i], names[i], case))
                return (*case[:i], ways[k][1], *case[i + 1 :])

            if gives(changed):
                return "an argument changed", f"this is right for {word} in place of `{names[i]}`."
    return None


def _limited(check: Check, cases: list[Case], a: list[Numbers], b: list[Numbers]) -> Found | None:
    """Whether it is right where an argument is small, and wrong beyond: it is cut off on the way."""
    rows = [
        (k, r, all(map(near, x.row(r), y.row(r))))
        for k, (x, y) in enumerate(zip(a, b, strict=True)) if x.shape
        for r in range(x.shape[0])
    ]  # fmt: skip
    for i, name in enumerate(check.arguments()):
        if (
            type(cases[0][i]) is not Tensor
            or not cases[0][i].is_floating_point()
            or name.startswith("alpha_bar")
        ):
            continue
        if any(len(cases[k][i]) <= r for k, r, _ in rows):
            continue
        spans = [(float(cases[k][i][r].min()), float(cases[k][i][r].max()), fine) for k, r, fine in rows]
        inside, beyond = [s for s in spans if s[2]], [s for s in spans if not s[2]]
        if len(inside) < 4 or not beyond:
            continue
        low, high = min(s[0] for s in inside), max(s[1] for s in inside)
        far = FAR * statistics.median(max(-s[0], s[1]) for s in spans)
        if all(s[0] < min(low, -far) or s[1] > max(high, far) for s in beyond):
            return f"{name} is limited", (
                f"it is right where `{name}` lies between {low:.3g} and {high:.3g}, and wrong beyond: it is "
                "cut off on the way (clamp, min, max)."
            )
    return None


def _constant(a: list[Numbers]) -> Found | None:
    if len(a) > 1 and all(v.near(a[0]) for v in a):
        return "constant", "it gives the same whatever it is called with."
    return None


def _unread(
    check: Check, function: Any, cases: list[Case], a: list[Numbers], part: int | None
) -> Found | None:
    """The arguments that make no difference, though they should: found by changing them one by one."""
    before, unread = _numbers_of(run(check.oracle, cases, check.leaves), part), []
    for i, name in enumerate(check.arguments()):
        changed = []
        for k, case in enumerate(cases):
            other = cases[(k + 1) % len(cases)][i]
            fits = type(other) is not Tensor or other.shape == case[i].shape
            changed.append((*case[:i], other if fits else case[i], *case[i + 1 :]))
        both = _both(check, function, changed, part)
        if both is None:
            return None
        if _close(both[0], a) and before is not None and not _close(both[1], before):
            unread.append(name)
    if not unread:
        return None
    return "an argument not read", f"what it gives does not depend on {listed(unread)}, and should."


def _mixed(
    check: Check, function: Any, cases: list[Case], a: list[Numbers], part: int | None
) -> Found | None:
    """Whether the first example's value changes with the other examples, where the right one does not."""
    names = check.arguments()

    def others_halved(value: Any, name: str) -> Any:
        if not _numbers(value) or not value.ndim or name.startswith("alpha_bar"):
            return value
        return torch.cat([value[:1], value[1:] / 2])

    if any(not v.shape or v.shape[0] < 2 for v in a):
        return None
    before = _numbers_of(run(check.oracle, cases, check.leaves), part)
    both = _both(check, function, [tuple(map(others_halved, case, names)) for case in cases], part)
    if before is None or both is None:
        return None
    stays = [
        all(all(map(near, x.row(0), y.row(0))) for x, y in zip(*pair, strict=True))
        for pair in ((both[0], a), (both[1], before))
    ]
    if stays != [False, True]:
        return None
    return "examples mixed", (
        "what it gives for one example depends on the others of the batch: sum and average over the axes of "
        "an example alone, and leave the first axis as it is."
    )


def _term(check: Check, cases: list[Case], a: list[Numbers], b: list[Numbers]) -> Found | None:
    """A term of the arguments by which it is too large or too small, or a factor, at every point."""
    x, y = ([v for part in side for v in part.flat] for side in (a, b))
    apart = [u - v for u, v in zip(x, y, strict=True)]
    if sum(abs(d) > 10 * (ATOL + ATOL * abs(v)) for d, v in zip(apart, y, strict=True)) < max(
        4, 0.6 * len(y)
    ):
        return None
    ratios = [u / v if abs(v) > 0.01 else None for u, v in zip(x, y, strict=True)]
    if sum(r is None for r in ratios) > 0.2 * len(y):
        ratios = []
    for word, numbers in terms(check.arguments(), cases, [v.shape for v in b]):
        far = max(range(len(y)), key=lambda i: abs(numbers[i]))
        if not numbers[far]:
            continue
        size = apart[far] / numbers[far]
        if _whole(size) and all(near(v + size * n, u) for u, v, n in zip(x, y, numbers, strict=True)):
            more = "more" if size > 0 else "less"
            return (
                f"a term: {word}",
                f"it is {_times_of(abs(size), word)} {more} than the right value at every point.",
            )
        size = (ratios[far] or 0.0) / numbers[far] if ratios else 0.0
        if (
            size
            and _whole(size)
            and all(near(size * n * v, u) for u, v, n in zip(x, y, numbers, strict=True))
        ):
            return (
                f"a factor: {word}",
                f"it is the right value multiplied by {_times_of(size, word)} at every point.",
            )
    return None


def _whole(size: float) -> bool:
    """A number that stands in formulas: wholes and halves, thirds, quarters; π and log 2 are no arguments."""
    return abs(size) > 0.1 and abs(12 * size - round(12 * size)) < 0.01


def _times_of(size: float, word: str) -> str:
    return word if near(size, 1.0) else f"{size:.4g} times {word}"


TIMES = {
    1.0: "stays as it is", -1.0: "changes its sign", 2.0: "is doubled", 0.5: "is halved",
    4.0: "is four times as large", 0.25: "is a quarter of it",
}  # fmt: skip


def _lacking(
    check: Check, function: Any, cases: list[Case], a: list[Numbers], b: list[Numbers], part: int | None
) -> tuple[str, str] | None:
    """What the right value does at every point when arguments are changed, and this one does not."""
    if not any(abs(v) > ATOL for n in b for v in n.flat):
        return None
    for word, change in _changes(check, cases):
        changed = [change(case) for case in cases]
        right = _numbers_of(run(check.oracle, changed, check.leaves), part)
        does = [k for k in TIMES if right is not None and _is_times(k, right, b)]
        if not does or (both := _both(check, function, changed, part)) is None:
            continue
        if not _is_times(does[0], both[0], a):
            does_so = TIMES[does[0]]
            return f"{word}: {does_so}", f"If {word}, the right value {does_so}, and yours does not do so."
    return None


def _is_times(factor: float, a: list[Numbers], b: list[Numbers]) -> bool:
    return _close(a, [v.all(lambda u: factor * u) for v in b])


def _changes(check: Check, cases: list[Case]) -> Iterator[tuple[str, Callable[[Case], Case]]]:
    """Changes of one argument, of two and of all, in words and as functions."""
    names, first = check.arguments(), cases[0]
    free = [
        i
        for i, v in enumerate(first)
        if (type(v) is float or _numbers(v)) and not names[i].startswith("alpha_bar")
    ]

    def on(chosen: Sequence[int], of: Callable[[Any], Any]) -> Callable[[Case], Case]:
        return lambda case: tuple(of(v) if i in chosen else v for i, v in enumerate(case))

    for chosen in [*((i,) for i in free), *combinations(free, 2), *([tuple(free)] if len(free) > 2 else [])]:
        word, many = listed([names[i] for i in chosen]), len(chosen) > 1
        yield f"{word} {'change their signs' if many else 'changes its sign'}", on(chosen, lambda v: -v)
        yield f"{word} are doubled" if many else f"{word} is doubled", on(chosen, lambda v: 2 * v)
        yield f"1 is added to {word}", on(chosen, lambda v: v + 1)
    for i, j in combinations(free, 2):
        if _alike(first[i], first[j]):
            others = {i: j, j: i}
            yield (
                f"{listed([names[i], names[j]])} change places",
                lambda case, others=others: tuple(case[others.get(k, k)] for k in range(len(case))),  # type: ignore[misc]
            )


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (type(one) is float or one.shape == other.shape)


def listed(names: Sequence[str]) -> str:
    """Names of arguments, as a sentence has them: `a`, `b` and `c`."""
    words = [f"`{name}`" for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _place(
    check: Check, function: Any, cases: list[Case], a: list[Numbers], b: list[Numbers], part: int | None
) -> tuple[str, str] | None:
    """The arguments in whose terms the mistake sits, and a sentence that says how that is known."""
    inside: dict[float, list[str]] = {0.0: [], 1.0: []}
    apart = []
    for i, name in enumerate(check.arguments()):
        if (type(cases[0][i]) is not float and not _numbers(cases[0][i])) or name.startswith("alpha_bar"):
            continue
        for value, names in inside.items():
            changed = [(*c[:i], c[i] * 0 + value, *c[i + 1 :]) for c in cases]
            both = _both(check, function, changed, part)
            if both is None:
                continue
            ours, theirs = both
            if any(abs(v) > ATOL for part in theirs for v in part.flat) and _close(ours, theirs):
                names.append(name)
                break
            steps = [[x.less(y) for x, y in zip(*pair, strict=True)] for pair in ((a, ours), (b, theirs))]
            if value == 0 and not _close(theirs, b) and _close(*steps):
                apart.append(name)
    for value, names in inside.items():
        if names:
            word = " or ".join(f"`{name}`" for name in names)
            return ", ".join(names), (
                f"It is right where {word} is {value:g}: the mistake sits in a term with {word}."
            )
    if not apart:
        return None
    word = listed(apart)
    others = [name for name in check.arguments() if name not in apart]
    return ", ".join(others) or "none", (
        f"It changes with {word} as it should: the mistake sits in a term without {word}."
    )


def _numbers(value: Any) -> bool:
    return type(value) is Tensor and value.is_floating_point()


def _both(
    check: Check, function: Any, cases: list[Case], part: int | None
) -> tuple[list[Numbers], list[Numbers]] | None:
    """What the function and the right one give elsewhere, where both give finite numbers of one shape."""
    got, wanted = ask(function, cases, check.leaves), run(check.oracle, cases, check.leaves)
    ours, theirs = _numbers_of(got, part), _numbers_of(wanted, part)
    if ours is None or theirs is None:
        return None
    if any(x.shape != y.shape for x, y in zip(ours, theirs, strict=True)):
        return None
    return (ours, theirs) if all(math.isfinite(v) for n in (*ours, *theirs) for v in n.flat) else None


def _numbers_of(values: list[Any], part: int | None) -> list[Numbers] | None:
    try:
        return [Numbers.of(_pick(v, part)) for v in values]
    except (TypeError, ValueError, RuntimeError, IndexError, OverflowError):
        return None


def _pick(value: Any, part: int | None) -> Any:
    return value[part] if part is not None and type(value) in (tuple, list) else value


def compare(a: list[Numbers], b: list[Numbers]) -> str:
    """Which way a value is wrong, without the right one: its place, its sign, too large or too small."""
    x, y = next((x, y) for x, y in zip(a, b, strict=True) if not x.near(y))
    off = [i for i, pair in enumerate(zip(x.flat, y.flat, strict=True)) if not near(*pair)]
    value, right = x.flat[off[0]], y.flat[off[0]]
    sign = "negative" if right < 0 else "positive" if right > 0 else "zero"
    place, index = off[0], []
    for size in reversed(x.shape):
        index.insert(0, place % size)
        place //= size
    where = f" at index {tuple(index)}" if index else ""
    way = "larger" if value > right else "smaller"
    share = f"{len(off)} of {len(x.flat)} differ"
    if not x.shape:
        share = f"wrong at {sum(not p.near(q) for p, q in zip(a, b, strict=True))} of {len(a)} points"
    return f"{value:.5g}{where} is {way} than the right value, which is {sign} ({share})."
