"""What is wrong with a function, from what it gave: each sentence is a fact about the values at every point.

First come the known mistakes of a check, then what any function may suffer from: a factor, a constant, a
wrong axis, an argument mistaken for another or not looked at, noise of its own, a limit that cuts values off.
Where none of these fits, arguments are set to 0 or 1 one by one, to find the term in which the mistake sits.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .engine import ATOL, RTOL, Case, Raised, ask, run, same

if TYPE_CHECKING:
    from .engine import Check

FAR = 2.5  # times what is usual in a row: so far out an argument is by intent
WHERE = "in what depends on "  # how the name begins of a mistake whose place is known, and no more
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
    with np.errstate(all="ignore"):  # what is tried in place of an argument need not lie in its range
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
    return not isinstance(values, float | Tensor) or bool(torch.isfinite(torch.as_tensor(values)).all())


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
    if isinstance(theirs[0], str):
        return _words(check, function, cases, ours, theirs)
    a, b = ([torch.as_tensor(v, dtype=torch.float64).detach() for v in side] for side in (ours, theirs))
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:
            return _shape(x, y, check, cases)
    found = (
        _related(a, b) or _exchanged(check, cases, a, part) or _limited(check, cases, a, b) or _constant(a)
    )
    if found is None:
        found = _unread(check, function, cases, a, part)
    if found is not None:
        return found
    place = _place(check, function, cases, a, b, part)
    return (f"{WHERE}{place[0]}", f"{compare(a, b)}\n{place[1]}") if place else (None, compare(a, b))


def _words(check: Check, function: Any, cases: list[Case], ours: list[str], theirs: list[str]) -> Found:
    answers = sorted(set(theirs))
    odd = next((word for word in ours if word not in answers), None)
    if odd is not None:
        return (
            "another word",
            f"it returned {odd!r}; the answers are {', '.join(map(repr, answers))}, as they stand here.",
        )
    if len(set(ours)) == 1:
        return "constant", f"it returns {ours[0]!r} whatever it is given."
    missing = [word for word in answers if word not in ours]
    if missing:
        return (
            "an answer left out",
            f"it never returns {' or '.join(map(repr, missing))}, and some cases ask for it.",
        )
    return (
        None,
        f"it returned {next(a for a, b in zip(ours, theirs, strict=True) if a != b)!r} where that is wrong.",
    )


def _shape(ours: Tensor, theirs: Tensor, check: Check, cases: list[Case]) -> Found:
    got, want = tuple(ours.shape), tuple(theirs.shape)
    says = f"it returned shape {got}, and should return {want}"
    if got == () and want:
        how = _reduction(ours, theirs)
        return "one number", f"{says}: {how}one number for all. Return one for each, without mixing them."
    if len(want) == 1 and got == (want[0], want[0]):
        return "broadcast", (
            f"{says}: a (B,) has met a (B, 1), and each was paired with each. Bring both to one shape first."
        )
    if ours.numel() == theirs.numel() and len(got) == len(want) + 1:
        return "an axis too many", f"{says}: an axis of length 1 is left over (keepdim, or [:, None])."
    if len(got) > len(want) and got[: len(want)] == want:
        for word, value in (
            ("sum", ours.flatten(len(want)).sum(-1)),
            ("mean", ours.flatten(len(want)).mean(-1)),
        ):
            if same(value, theirs):
                return f"{word} missing", f"{says}: take the {word} over the other axes."
        return "not summed", f"{says}: an axis is left that should be summed or averaged over."
    if len(got) == len(want) + 1 and got[1:] == want:
        return "not averaged", f"{says}: the batch is still there."
    return "shape", f"{says}: " + (
        "the sum or the mean is over the wrong axis." if len(got) == len(want) else "look at the axes."
    )


def _reduction(ours: Tensor, theirs: Tensor) -> str:
    for word, value in (("the sum", theirs.sum()), ("the mean", theirs.mean())):
        if same(ours, value):
            return f"{word} over the batch, "
    return ""


def _close(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(map(same, a, b))


def _related(a: list[Tensor], b: list[Tensor]) -> Found | None:
    """A factor, a constant, a known function between what it gave and what is right."""
    x, y = (torch.cat([v.flatten() for v in side]) for side in (a, b))
    for value, (name, says) in FACTORS.items():
        if _close(a, [value * v for v in b]):
            return name, f"{says}."
    for name, says, change in (
        ("squared", "this is the square of the right value", lambda v: v**2),
        ("root", "this is the root of the right value: the squares are gone", lambda v: v.sqrt()),
        ("logarithm", "this is the logarithm of the right value", lambda v: v.log()),
        ("exponential", "the logarithm is missing: this is exp of the right value", lambda v: v.exp()),
        ("turned over", "the fraction is upside down: this is one over the right value", lambda v: 1 / v),
        ("complement", "this is one less the right value", lambda v: 1 - v),
        ("absolute value", "this is the absolute value: the sign is lost", lambda v: v.abs()),
        ("rounded", "it is rounded: return the number as it is", lambda v: (v * 10).round() / 10),
        ("rounded", "it is rounded: return the number as it is", lambda v: (v * 100).round() / 100),
        ("rounded", "it is rounded: return the number as it is", lambda v: v.round()),
    ):
        if _close(a, [change(v) for v in b]):
            return name, f"{says}."
    if len(y) < 3:
        return None
    far = y.abs().argmax()
    ratio = float(x[far] / y[far])
    if ratio and _close(a, [ratio * v for v in b]):
        return "a factor", f"it is {ratio:.4g} times the right value at every point: look for a factor."
    shift = float((x - y)[0])
    if _close(a, [v + shift for v in b]):
        way = "above" if shift > 0 else "below"
        return "a constant", (
            f"it is {abs(shift):.4g} {way} the right value at every point: a constant is wrong, or missing"
            + (" (½ log 2π is 0.9189)." if abs(shift) > 0.1 else ".")
        )
    high, low = x.max(), x.min()
    off = ~torch.isclose(x, y, RTOL, ATOL)
    cut = torch.where(y > high, high, torch.where(y < low, low, y))
    if low < high and bool(off.any()) and not bool(off.all()) and torch.allclose(x, cut, RTOL, ATOL):
        return (
            "clipped",
            f"its values are cut off at {float(low):.4g} and {float(high):.4g}: nothing is to be clipped.",
        )
    return None


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


def _exchanged(check: Check, cases: list[Case], a: list[Tensor], part: int | None) -> Found | None:
    """Whether it is right for other arguments: one mistaken for another, or changed on the way."""
    names = check.arguments()

    def gives(changed: Callable[[Case], Case]) -> bool:
        try:
            found = [check.oracle(*changed(case)) for case in cases]
        except Exception:
            return False
        values = [v[part] if type(v) is tuple else v for v in found] if part is not None else found
        tensors = [torch.as_tensor(v, dtype=torch.float64).detach() for v in values]
        return all(bool(torch.isfinite(v).all()) or v.shape == () for v in tensors) and _close(a, tensors)

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


def _limited(check: Check, cases: list[Case], a: list[Tensor], b: list[Tensor]) -> Found | None:
    """Whether it is right where an argument is small, and wrong beyond: it is cut off on the way."""
    rows = [
        (k, r, bool(torch.isclose(x[r], y[r], RTOL, ATOL).all()))
        for k, (x, y) in enumerate(zip(a, b, strict=True)) if x.ndim
        for r in range(len(x))
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


def _constant(a: list[Tensor]) -> Found | None:
    if len(a) > 1 and all(v.shape == a[0].shape and same(v, a[0]) for v in a):
        return "constant", "it gives the same whatever it is called with."
    return None


def _unread(
    check: Check, function: Any, cases: list[Case], a: list[Tensor], part: int | None
) -> Found | None:
    """The arguments that make no difference, though they should: found by changing them one by one."""
    before, unread = _tensors(run(check.oracle, cases, check.leaves), part), []
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
            unread.append(f"`{name}`")
    if not unread:
        return None
    return "an argument not read", f"what it gives does not depend on {' and '.join(unread)}, and should."


def _place(
    check: Check, function: Any, cases: list[Case], a: list[Tensor], b: list[Tensor], part: int | None
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
            if any(bool((v.abs() > ATOL).any()) for v in theirs) and _close(ours, theirs):
                names.append(name)
                break
            steps = [[x - y for x, y in zip(*pair, strict=True)] for pair in ((a, ours), (b, theirs))]
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
    word = " and ".join(f"`{name}`" for name in apart)
    others = [name for name in check.arguments() if name not in apart]
    return ", ".join(others) or "none", (
        f"It changes with {word} as it should: the mistake sits in a term without {word}."
    )


def _numbers(value: Any) -> bool:
    return type(value) is Tensor and value.is_floating_point()


def _both(
    check: Check, function: Any, cases: list[Case], part: int | None
) -> tuple[list[Tensor], list[Tensor]] | None:
    """What the function and the right one give elsewhere, where both give finite numbers of one shape."""
    got, wanted = ask(function, cases, check.leaves), run(check.oracle, cases, check.leaves)
    ours, theirs = _tensors(got, part), _tensors(wanted, part)
    if ours is None or theirs is None:
        return None
    if any(x.shape != y.shape for x, y in zip(ours, theirs, strict=True)):
        return None
    return (ours, theirs) if _finite(ours) and _finite(theirs) else None


def _tensors(values: list[Any], part: int | None) -> list[Tensor] | None:
    try:
        return [torch.as_tensor(_pick(v, part), dtype=torch.float64).detach() for v in values]
    except (TypeError, ValueError, RuntimeError, IndexError):
        return None


def _pick(value: Any, part: int | None) -> Any:
    return value[part] if part is not None and type(value) in (tuple, list) else value


def compare(a: list[Tensor], b: list[Tensor]) -> str:
    """Which way a value is wrong, without the right one: its place, its sign, too large or too small."""
    x, y = next((x, y) for x, y in zip(a, b, strict=True) if not same(x, y))
    off = ~torch.isclose(x, y, RTOL, ATOL)
    value, right = float(x[off][0]), float(y[off][0])
    sign = "negative" if right < 0 else "positive" if right > 0 else "zero"
    index = f" at index {tuple(off.nonzero()[0].tolist())}" if x.ndim else ""
    way = "larger" if value > right else "smaller"
    share = f"{int(off.sum())} of {off.numel()} differ"
    return f"{value:.5g}{index} is {way} than the right value, which is {sign} ({share})."
