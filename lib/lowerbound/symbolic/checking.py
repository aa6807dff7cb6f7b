"""What makes a derivation one: each kind of line, and the check that it has to pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import NoReturn

import sympy as sp

from .algebra import any_zero, assuming, equal, evaluated, is_nonnegative, is_positive, is_zero, simplified
from .assumptions import Assumptions, Facts
from .bounds import never_negative
from .clock import OutOfTime, processor_time, time_limit, uncollected
from .limits import check_symbol, confirmed, limit, may_vanish
from .messages import StepError, explain
from .normal_form import NormalForm, readable
from .notation import KL, Density, E, Normal, Unit
from .numeric_check import Infinite, Model, NoModel, NoNumber, TooSmall, Undefined, contradiction, obeys
from .printing import latex, spine, text
from .scope import (
    UnsoundError,
    admit,
    free,
    nodes,
    one_name_each,
    one_range_each,
    substitute,
    unmarked,
    unmerged,
)

RELATIONS = {"=": "=", ">=": r"\ge", "<=": r"\le", "->": r"\longrightarrow", "~": r"\sim", ":=": ":="}
MODELS = ((False, False), (False, False), (True, False), (False, False))  # (wild, corner) of each model
TOLERANCE = 1e-6  # of the numbers of the two lines; what their errors explain comes on top


@dataclass(frozen=True)
class Step:
    """One line: how it relates to the line before, why, and what kind of check it passed.

    relation: "=", ">=", "<=", "->" (tends to), "~" (to leading order) or ":=" (is called).
    kind: "start", "definition", "algebra", "calculus", "limit" or "axiom".
    evidence: how it was checked, in words; models: in how many random models numbers agreed.
    point: of a limit, the symbol and its target.
    """

    expr: sp.Basic
    reason: str = ""
    relation: str = "="
    kind: str = "start"
    evidence: str = ""
    replay: Mapping = field(default_factory=dict, repr=False, compare=False)
    models: int = 0
    point: tuple | None = None

    @property
    def note(self) -> str:
        """The reason as printed: an axiom says that it is one."""
        return f"axiom: {self.reason}" if self.kind == "axiom" else self.reason

    @property
    def arrow(self) -> str:
        """The relation in LaTeX; of a limit with its symbol and target."""
        if self.point is None:
            return RELATIONS[self.relation]
        symbol, target = self.point
        way = f"{latex(symbol)} \\to {latex(target)}"
        return rf"\xrightarrow{{{way}}}" if self.relation == "->" else rf"\overset{{{way}}}{{\sim}}"


class Checked:
    """Lines, and what may be assumed in them. Makes the next line's `Step`, or raises `StepError`.

    seconds: of processor time that a check of a line may take.
    """

    seconds = 20.0

    def __init__(self, name: str, start, assumptions: Assumptions, modelled: Assumptions) -> None:
        """modelled: what the random models obey; what lemmas rest on too."""
        self.name, self.assumptions, self.modelled = name, assumptions, modelled
        self.steps: list[Step] = []
        self.turned = False  # whether q(a | b, c) = q(a | b) was used as one about q(a | b)
        self._names: dict = {}
        self._values: dict = {}
        self._form = NormalForm(assumptions)
        with self._refusals():
            for expr in assumptions.expressions():
                one_name_each(self._names, expr, _name)
            self.steps = [Step(self._admitted(start))]
            if (clash := contradiction(modelled)) is not None:
                raise UnsoundError(
                    f"what is assumed of {', '.join(map(text, clash))} does not hold at once: by the product "
                    "and the sum rule the other two give another Gaussian."
                )
            self._form.assumptions.put_in(self.first)

    @property
    def first(self):
        """The expression of the first line."""
        return self.steps[0].expr

    @property
    def last(self):
        """The expression of the last line: the result."""
        return self.steps[-1].expr

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What goes wrong inside becomes a StepError that says so in words."""
        number = len(self.steps) + 1
        try:
            known = assuming(self.assumptions.conditions, self.assumptions.ranges)
            with known, uncollected(), time_limit(self.seconds), sp.evaluate(True):
                yield
        except UnsoundError as error:
            raise StepError(f"line {number} of '{self.name}': {error}", number) from None
        except OutOfTime:
            raise StepError(
                f"line {number} of '{self.name}' could not be checked: it took more than "
                f"{self.seconds:g} seconds. Write a smaller step.", number, verdict="unchecked",
            ) from None  # fmt: skip
        except StepError:
            raise
        except RecursionError:
            raise StepError(
                f"line {number} of '{self.name}' could not be checked: it is nested too deeply.",
                number, verdict="unchecked",
            ) from None  # fmt: skip
        except Exception as error:  # sympy has many ways to give up; none of them is a student's business
            raise StepError(
                f"line {number} of '{self.name}' could not be checked: computer algebra gave up "
                f"({type(error).__name__}: {error}). Write a smaller step.", number, verdict="unchecked",
            ) from error  # fmt: skip

    def _admitted(self, line, names_alone: bool = False):
        if isinstance(line, str) or line is None:
            raise UnsoundError(f"it must be a formula of sympy; got {line!r}.")
        try:
            line = sp.sympify(line)
        except (sp.SympifyError, TypeError, ValueError):
            raise UnsoundError(f"it must be a formula of sympy; got {type(line).__name__}.") from None
        line = unmerged(line)
        admit(line, "the line", names_alone)
        one_name_each(self._names, line, _name)
        one_range_each(self._values, line)
        return line

    def _equality(self, right, reason: str) -> Step:
        with self._refusals():
            right = self._admitted(right)
            self._form.assumptions.put_in(right)
            model, count = self._numbers(self.last, right, lambda a, b: abs(a - b))
            if model is not None:
                self._refuse("=", right, reason, model)
            shown = next((f for f in self._forms() if equal(f(self.last), f(right))), None)
            if shown is None:
                self._refuse("=", right, reason, None)
            self.turned = self.turned or shown is not self._form
        evidence = "algebra" + (f", and numbers in {count} random models" if count else "")
        return Step(right, reason, "=", "algebra", evidence, {"method": "step"}, count)

    def _forms(self) -> Iterator[NormalForm]:
        """With q(a | b, c) = q(a | b) as it is assumed; then turned round: its joint density shows it."""
        yield self._form
        turned = self.assumptions.turned()
        if turned is not None:
            yield NormalForm(turned)

    def _inequality(self, relation: str, right, reason: str, because, at: Facts) -> Step:
        sign = 1 if relation == ">=" else -1
        with self._refusals():
            right = self._admitted(right)
            self._form.assumptions.put_in(right)
            at = self._places(because, at)
            model, count = self._numbers(self.last, right, lambda a, b: sign * (b - a), search=True)
            beside = model is not None and _beside_a_table(self.last, right)
            if model is not None and not beside:
                self._refuse(relation, right, reason, model)
            with sp.evaluate(True):
                gap = sign * self._difference(self.last, right)
                if beside:  # a Gaussian does not sum to one over the two states of the model
                    shown, count = self._by_divergence(gap, sign, right), 0
                elif because is None:
                    plain = sign * (self.last - right)
                    shown = "its sign is known" if plain.is_nonnegative else never_negative(gap)
                    shown = shown or self._by_divergence(gap, sign, right)
                else:
                    because = self._admitted(because)
                    shown = self._never_negative(because)
                    if shown and not self._is_instance(gap, right, because, at):
                        shown = ""
            if not shown:
                self._refuse(relation, right, reason, None)
        replay = {"method": "at_least" if sign == 1 else "at_most", "because": because, "at": at}
        return Step(right, reason, relation, "calculus", shown, replay, count)

    def _limit(self, relation: str, right, reason: str, symbol, target) -> Step:
        """Of the line itself (tends to), or of its ratio to the new line (to leading order)."""
        ratio = relation == "~"
        with self._refusals():
            target = sp.sympify(target)
            endless = not ratio and right in (sp.oo, -sp.oo)
            right = sp.sympify(right) if endless else self._admitted(right)
            lines = [self.last, *([] if endless else [right])]
            check_symbol(symbol, target, lines, self.assumptions)
            if not ratio and symbol in free(right):
                raise UnsoundError(f"a limit in {symbol} holds no {symbol} any more; got {text(right)}.")
            if ratio and right == 0:
                raise UnsoundError("no line is 0 to leading order: a ratio to 0 has no limit.")
            earlier = {step.point for step in self.steps if step.point is not None}
            if earlier - {(symbol, target)}:
                raise UnsoundError(
                    "a derivation takes one limit: another symbol or target needs another derivation."
                )
            left = self._form(self.last)
            new = right if endless else self._form(right)
            with sp.evaluate(True):
                whole = sp.factor(left) / sp.factor(new) if ratio else left
                vanishing = may_vanish(whole, symbol, target, ratio, self.assumptions.conditions)
                if vanishing is not None:
                    raise UnsoundError(
                        f"where {text(vanishing)} = 0 this limit is another. Say that it is not: declare its "
                        "letters positive=True or nonzero=True, or give where=[Ne(...)]."
                    )
                found = limit(whole, symbol, target, self.assumptions.conditions)
            expected = sp.Integer(1) if ratio else new
            of = "the ratio" if ratio else f"line {len(self.steps)}"
            if found is None or (
                found != expected and (found.is_infinite or endless or not equal(found, expected))
            ):
                value = "not the same from both sides, or sympy finds none" if found is None else text(found)
                self._refuse(
                    relation, right, f"{reason}; the limit of {of} is {value}", None,
                    "" if found is None else f"Computer algebra finds {text(found)}, not {text(expected)}.",
                )  # fmt: skip
            said = confirmed(self.last, right, symbol, target, ratio, self.modelled)
            if said:
                self._refuse(
                    relation, right, f"{reason}; numbers on the way do not confirm it: {said}", None
                )
        method = "leading_order" if ratio else "tends_to"
        replay = {"method": method, "symbol": symbol, "target": target}
        evidence = f"{text(symbol)} -> {text(target)}: sympy's limit, and numbers on the way there"
        return Step(right, reason, relation, "limit", evidence, replay, 6, (symbol, target))

    # Inequalities

    def _by_divergence(self, gap, sign: int, right) -> str:
        """Whether the gap is a KL of the lines, or Jensen's for a logarithm of them."""
        lines = (self.last, right)
        measures = sorted({n.args[0] for line in lines for n in line.atoms(E)}, key=str)
        own = sorted({k for line in lines for k in line.atoms(KL)} | _gaps(lines), key=str)
        if any_zero(gap - self._form(each) for k in own for each in (k, *(E(m, k) for m in measures))):
            return "a KL is never negative"
        for each in _conditional(lines):
            for written in (each, *([_by_joints(each)] if self.assumptions.densities else [])):
                if sp.expand(gap - self._form(written)) == 0:
                    return f"{text(each)} is never negative"
        if self._by_weights(gap, lines):
            return "a KL is never negative, nor is its weight"
        ratios = {m for line in lines for m in line.atoms(E) if isinstance(m.args[1], sp.Mul)}
        for q, ratio in sorted((m.args for m in ratios), key=str):
            for p in sorted((d for d in ratio.atoms(Density, Normal) if _one_over(d, q, ratio)), key=str):
                if is_zero(gap - self._form(E(p, (ratio - 1) ** 2))):
                    return "a square is never negative: that of q/p - 1, averaged over p"
        squares = {n.base for line in lines for n in nodes(line) if isinstance(n, sp.Pow) and n.exp == 2}
        for m, f in sorted((mean.args for mean in squares if isinstance(mean, E)), key=str):
            if is_zero(gap - self._form(E(m, (f - E(m, f)) ** 2))):
                return "a variance is never negative"
        t = sp.Symbol("t", positive=True)
        small = right if sign == -1 else self.last  # log E[f], above E[log f]
        for log in sorted(small.atoms(sp.log), key=str):
            mean = log.args[0]
            if isinstance(mean, E) and self._may_be(t, mean.args[1]):
                f = mean.args[1]
                if self._is_instance(gap, right, t - 1 - sp.log(t), {t: f / mean}):
                    return "Jensen's inequality, by the tangent of the logarithm"
        return ""

    def _by_weights(self, gap, lines) -> bool:
        """Whether the gap is a sum of divergences, each with a weight that is never negative: (β − 1) KL."""
        with sp.evaluate(True):
            flat = [sp.expand(line) for line in lines]
            own = sorted({k for line in lines for k in line.atoms(KL)}, key=str)
            factors = {k: {c for line in flat if (c := line.coeff(k)) != 0} for k in own}
            weights = {
                k: [w for c in sorted(factors[k], key=str) for w in (c, c - 1, -c, -c - 1)
                    if not w.is_number and is_nonnegative(w)] for k in own
            }  # fmt: skip
            for k in own:
                for w in weights[k]:
                    rest = gap - w * self._form(k)
                    if is_zero(rest) or any(is_zero(rest - self._form(o)) for o in _gaps(lines)):
                        return True
        return False

    def _places(self, because, at) -> dict:
        if because is None and at:
            raise UnsoundError("at= says where because= is taken; give because= too.")
        if isinstance(because, str):
            raise UnsoundError(
                f"because= is a formula that is never negative, such as t - 1 - log(t); got {because!r}."
            )
        at = {sp.sympify(s): self._admitted(value) for s, value in dict(at).items()}
        loose = [s for s in at if not isinstance(s, sp.Symbol)]
        if loose:
            raise UnsoundError(f"at= puts values in for symbols of because=; got {text(loose[0])}.")
        return at

    def _never_negative(self, because) -> str:
        """Why the reason holds, with what is assumed put in where its own sign does not show it."""
        shown = never_negative(because)
        if shown:
            return shown
        with sp.evaluate(True):
            return never_negative(self._form(because))

    def _is_instance(self, gap, right, because, at: Facts) -> bool:
        """Whether gap is `because` at the given place, or an expectation or a sum of that."""
        if not all(self._may_be(symbol, value) for symbol, value in at.items()):
            return False
        instance = substitute(because, dict(at))
        lines = (self.last, right)
        measures = {node.args[0] for line in lines for node in line.atoms(E, KL)}
        ranges = {node.limits for line in lines for node in line.atoms(sp.Sum)}
        candidates = [instance, *(E(measure, instance) for measure in sorted(measures, key=str))]
        candidates += [sp.Sum(instance, *limits) for limits in ranges]
        candidates += [E(m, c) for m in sorted(measures, key=str) for c in candidates[1 : 1 + len(measures)]]
        return any_zero(gap - self._form(c) for c in candidates)

    def _may_be(self, symbol, value) -> bool:
        """Whether a value obeys all assumptions of the symbol that it is put in for."""
        with sp.evaluate(True):
            plain = evaluated(value) if not value.has(E, KL) else value
        return self._holds_of(symbol, plain) or self._holds_of(symbol, self._form(value))

    def _holds_of(self, symbol, value) -> bool:
        known = {
            "positive": lambda: is_positive(value),
            "nonnegative": lambda: (
                bool(value.is_nonnegative) or is_positive(value) or bool(never_negative(value))
            ),
            "negative": lambda: is_positive(-value),
            "nonpositive": lambda: bool((-value).is_nonnegative) or is_positive(-value),
            "nonzero": lambda: bool(value.is_nonzero) or is_positive(value) or is_positive(-value),
            "commutative": lambda: True,
            "finite": lambda: True,
        }
        known["real"] = known["extended_real"] = known["complex"] = lambda: True
        if not self._is_real(value):
            return False
        if isinstance(symbol, Unit):
            return is_positive(value) and is_positive(1 - value)
        for name, wanted in symbol._assumptions_orig.items():
            if wanted is None:
                continue
            if wanted is False or name not in known:
                if getattr(value, f"is_{name}") is not wanted:
                    return False
            elif not known[name]():
                return False
        return True

    def _is_real(self, value) -> bool:
        """Whether a value is a real number for all values of its letters: √b is none for a real b."""
        for node in nodes(value):
            inner = _needs_sign(node)
            if inner is None or is_positive(inner) or inner.is_nonnegative:
                continue
            if not is_positive(self._form(inner)):
                return False
        return True

    # Numbers

    def _numbers(self, left, right, excess: Callable[[float, float], float], search: bool = False):
        """A model in which `excess` is positive, or None; and in how many models it was computed.

        Raises UnsoundError where a line is no real number in a model of the assumptions, and where no model
        or too few numbers are found: then nothing has been checked.
        """
        plan = [*MODELS, *(((True, False), (False, True)) * 12 if search else ())]
        if not search and self._may_be_undefined(left, right):
            plan += [(True, False)] * 12
        self._refuse_poles(left, right)
        done, tried, start = 0, 0, processor_time()
        why, missed = "", 0
        for seed, (wild, corner) in enumerate(plan * 3):
            if done >= len(plan) or (search and done >= 6 and processor_time() - start > 0.3):
                break
            tried += 1
            try:
                model = Model([left, right], self.modelled, seed, wild, corner)
            except NoModel:
                why, missed = "no numbers were found that obey all assumptions", missed + 1
                if missed > 4 and not done:
                    break
                continue
            outcome = self._compared(model, left, right, excess, corner)
            if isinstance(outcome, str):
                why = outcome
                if tried > 8 and done == 0 and "quadrature" in why:
                    break
                continue
            done += 1
            if outcome:
                return model, done
            if search and self._searched(model, left, right, excess):
                return model, done
        if done < 2:
            self._refuse_unchecked(why or "the lines could not be computed in any model", left, right)
        return None, done

    def _compared(self, model: Model, left, right, excess, corner: bool):
        """True if the two differ in this model, False if not; or why it could not be said."""
        numbers = []
        for number, line in enumerate((left, right)):
            try:
                numbers.append(model.value(line))
            except Undefined as error:
                if corner:
                    return "a corner at which a line is not defined"
                self._refuse_undefined(model, len(self.steps) + number, line, error)
            except NoModel:
                return "no densities were found that obey all assumptions"
            except Infinite as error:
                if not (model.wild or corner):
                    self._refuse_undefined(model, len(self.steps) + number, line, error)
                return f"the numeric check cannot compute {error}"
            except NoNumber as error:
                return f"the numeric check cannot compute {error}"
            except TooSmall:
                return "numbers too small"
            except ZeroDivisionError:
                if not (model.wild or corner):  # no real number is 0 there: a whole one is at a pole
                    self._refuse_undefined(model, len(self.steps) + number, line, "a division by zero")
                return "a division by zero"
            except OverflowError:
                return "numbers too large"
        try:
            known = dict(zip((left, right), numbers, strict=True))
            return self._exceeds(model, *_apart(left, right), excess, known)
        except ArithmeticError:
            return "numbers too large"

    @staticmethod
    def _exceeds(model: Model, left, right, excess, known: Mapping = {}) -> bool:
        """Whether the excess is more than the errors of the numbers explain, however small the lines are.

        known: numbers of lines in this model that have been computed.
        """
        a, b = (known[side] if side in known else model.value(side) for side in (left, right))
        beyond = excess(a, b) - TOLERANCE * (abs(a) + abs(b))
        return beyond > 0 and beyond > 100 * model.spread([left, right])

    def _refuse_poles(self, left, right) -> None:
        """Refuse 1/(N − 3) for all whole numbers N: three is one of them."""
        for number, line in enumerate((left, right)):
            for node in nodes(line):
                if not isinstance(node, sp.Pow):
                    continue
                inside = [s for s in free(node.base) if isinstance(s, sp.Symbol)]
                if len(inside) != 1 or not inside[0].is_integer or inside[0] not in free(line):
                    continue
                if not node.exp.is_negative or node.base.is_nonzero:
                    continue
                (s,) = inside
                for k in range(-12, 41):
                    if evaluated(substitute(node.base, {s: sp.Integer(k)})) != 0:
                        continue
                    try:
                        model = Model([left, right], self.modelled, 0)
                    except NoModel:
                        break
                    if s in model.numbers and self._allowed(model, s, float(k)):
                        self._refuse_undefined(model, len(self.steps) + number, line, "a division by zero")

    def _may_be_undefined(self, *lines) -> bool:
        """Whether a logarithm, a root or a variance stands in the lines whose sign algebra does not know."""
        for line in lines:
            for node in nodes(line):
                inner = _needs_sign(node)
                if inner is None or inner.has(Density, E):
                    continue
                plain = evaluated(inner) if not inner.has(KL) else inner
                if not (is_positive(plain) or plain.is_nonnegative):
                    return True
        return False

    def _searched(self, model: Model, left, right, excess) -> bool:
        """Whether the line fails near a model, moved one symbol at a time to where it is tightest."""
        moved = [s for s in model.numbers if s in free(left) | free(right) and not s.is_integer
                 and not hasattr(model.numbers[s], "state")]  # fmt: skip

        left, right = _apart(left, right)

        def tightness() -> tuple[float, bool]:
            try:
                slack = excess(model.value(left), model.value(right))
                return slack, slack > 0 and self._exceeds(model, left, right, excess)
            except ArithmeticError:
                return -float("inf"), False

        best, fails = tightness()
        for factor in (3.0, 1.0, 0.3, 0.1):
            for s in moved[:6]:
                here = model.numbers[s]
                for there in (
                    here * (1 + 0.5 * factor),
                    here / (1 + 0.5 * factor),
                    here + 0.3 * factor,
                    here - 0.3 * factor,
                ):
                    if not self._allowed(model, s, there):
                        continue
                    slack, fails = tightness()
                    if fails:
                        return True
                    if slack > best:
                        best, here = slack, there
                model.moved(s, here)
        return fails

    def _allowed(self, model: Model, s, number: float) -> bool:
        before = model.numbers[s]
        if not obeys(s, number):
            return False
        model.moved(s, number)
        try:
            if model.allowed():
                return True
        except (ArithmeticError, KeyError):
            pass
        model.moved(s, before)
        return False

    def _refuse_undefined(self, model: Model, number: int, line, error) -> NoReturn:
        symbols = free(line)
        at = ", ".join(f"{s} = {v:.3g}" for s, v in sorted(model.points().items(), key=str) if s in symbols)
        here = len(self.steps) + 1
        why = f"{error}"
        remedy = "Say for which values it is meant: declare symbols positive=True, or give where=[a > b]."
        if isinstance(error, Infinite):
            remedy = "Say for which values it converges, as in where=[v < 1]; else it has no value."
        elif isinstance(error, Undefined) and " " not in why.partition("(")[0].strip():
            why = f"{error} is no real number"
        raise StepError(
            f"line {here} of '{self.name}' could not be checked: line {number} is no real number for all "
            f"values of its symbols.\n  line {number}:  {text(line)}\n"
            f"  not at {at or 'the numbers tried'}: {why}\n"
            f"  {remedy}",
            here, point=model.points(), verdict="undefined",
        )  # fmt: skip

    def _refuse_unchecked(self, why: str, left, right) -> NoReturn:
        here = len(self.steps) + 1
        raise StepError(
            f"line {here} of '{self.name}' could not be checked: {why}.\n"
            f"  line {here - 1}:  {text(left)}\n  line {here}:  {text(right)}\n"
            + ("  An average or an integral may be infinite. Write smaller steps." if "too large" in why else
               "  Look for assumptions that contradict one another (given=, where=, positive=True), or write "
               "smaller steps."),
            here, verdict="unchecked",
        )  # fmt: skip

    # What does not follow

    def _difference(self, left, right):
        with sp.evaluate(True):
            return self._form(left) - self._form(right)

    def _left_over(self, left, right):
        """The difference, simplified where that is quick; None where it takes too long."""
        rest = self._rest(left, right)
        return None if rest is None else unmarked(rest)

    def _rest(self, left, right):
        try:
            with time_limit(4.0), sp.evaluate(True):
                rest = self._difference(left, right)
                if equal(self._form(left), self._form(right)):
                    return sp.Integer(0)
                if rest.has(Density):
                    return readable(rest, (left, right))
                return simplified(rest) if rest.count_ops() < 150 else sp.factor(rest)
        except (OutOfTime, UnsoundError, RecursionError):
            return None

    def _refuse(
        self, relation: str, right, reason: str, differs: Model | None, said: str = ""
    ) -> NoReturn:
        lines = (self.last, right)
        if all(isinstance(line, Normal) for line in lines) and self.last.variables == right.variables:
            pairs = zip(("mean", "variance"), self.last.args[1:], right.args[1:], strict=True)
            residual = {of: self._left_over(a, b) for of, a, b in pairs}
        elif relation in ("->", "~"):
            residual = None
        else:
            residual = self._left_over(*lines)
        if differs is None and relation == "=" and any(line.has(sp.Float) for line in lines):
            said = "A decimal number is exact: 0.333 is not a third. Write Rational(1, 3), pi or sqrt(2)."
        raise explain(self.name, len(self.steps) + 1, relation, lines, reason, residual, differs, said)


_name = cache(latex)  # of a symbol or a density


def _needs_sign(node):
    """What must not be negative, so that a logarithm, a root or a Gaussian is one; or None."""
    if isinstance(node, sp.log):
        return node.args[0]
    if isinstance(node, sp.Pow) and not node.exp.is_integer:
        return node.base
    return node.args[2] if isinstance(node, Normal) else None


def _beside_a_table(*lines) -> bool:
    """Whether an average over a density that is not known holds a Gaussian of the same variable."""
    return any(
        isinstance(m, Density) and set(m.variables) & {d.args[0] for d in n.atoms(Normal)}
        for line in lines for n in line.atoms(E, KL) for m in n.args[:1]
    )  # fmt: skip


def _apart(left, right) -> tuple:
    """Two lines without the terms that stand in both: what is left is compared, however large those are."""
    old, new = (spine(line, sp.Add) if line.is_Add else [line] for line in (left, right))
    common = [term for term in old if term in new and old.count(term) == new.count(term) == 1]
    if not common:
        return left, right
    return tuple(
        sp.Add(*(term for term in terms if term not in common), evaluate=False) for terms in (old, new)
    )


def _one_over(p, q, ratio) -> bool:
    """Whether a ratio is q/p, of two densities of the same variables."""
    with sp.evaluate(True):
        return p != q and set(p.variables) == set(q.variables) and sp.simplify(ratio * p / q) == 1


MOST = 60  # divergences that are tried as what two lines differ by


def _conditional(lines) -> list:
    """Divergences of parts of an average's variables, given others of them and averaged over those.

    So KL(q(x, z) ‖ p(x, z)) − KL(q(x) ‖ p(x)) is E_q(x) KL(q(z | x) ‖ p(z | x)), and information is one too.
    """
    densities = {d for line in lines for d in line.atoms(Density)}
    measures = {n.args[0] for line in lines for n in line.atoms(E, KL) if isinstance(n.args[0], Density)}
    if any(line.has(Normal) for line in lines) or len({v.role for d in densities for v in _all_of(d)}) > 4:
        return []
    wide = {(m.family, m.variables, m.given) for m in measures}
    for m, n in itertools.permutations(sorted(measures, key=str), 2):  # one average in another
        own = set(_all_of(m))
        if m.family == n.family and set(n.given) <= own and not own & set(n.variables):
            wide.add((m.family, (*m.variables, *n.variables), m.given))
    families = sorted({d.family for d in densities}, key=str)
    found: dict = {}
    for family, variables, given in sorted(wide, key=str):
        for known, rest in _split_in_two(variables):
            below = (*known, *given)
            q = Density(family, sp.Tuple(*rest), sp.Tuple(*below))
            for other in families:
                for n in range(len(below), -1, -1):
                    for part in itertools.combinations(below, n):
                        p = Density(other, sp.Tuple(*rest), sp.Tuple(*part))
                        if p != q:
                            outer = Density(family, sp.Tuple(*known), sp.Tuple(*given)) if known else None
                            found[KL(q, p) if outer is None else E(outer, KL(q, p))] = True
    return list(found)[:MOST]


def _by_joints(divergence):
    """A divergence of conditional densities, averaged perhaps, in which each is a quotient of joint ones."""
    inner = divergence if isinstance(divergence, KL) else divergence.args[1]
    q, p = (
        Density(d.family, sp.Tuple(*_all_of(d)), sp.Tuple())
        / (Density(d.family, sp.Tuple(*d.given), sp.Tuple()) if d.given else 1)
        for d in inner.args
    )
    mean = E(inner.args[0], sp.log(q / p))
    return mean if inner is divergence else E(divergence.args[0], mean)


def _all_of(d) -> tuple:
    """The variables of a density, on both sides of its bar."""
    return (*d.variables, *d.given)


def _split_in_two(variables: tuple) -> Iterator[tuple[tuple, tuple]]:
    """All two disjoint parts of some variables, the second not empty; the others belong to neither."""
    for sides in itertools.product((0, 1, 2), repeat=len(variables)):
        if 1 in sides:
            yield tuple(
                tuple(v for v, side in zip(variables, sides, strict=True) if side == k) for k in (0, 1)
            )


def _gaps(lines) -> set:
    """The divergences from each average's density to the posteriors of the other densities in the lines."""
    densities = {d for line in lines for d in line.atoms(Density)}
    found = set()
    for q in {n.args[0] for line in lines for n in line.atoms(E) if isinstance(n.args[0], Density)}:
        for d in densities - {q}:
            every = {v.role: v for v in (*d.variables, *d.given)}
            rest = [v for role, v in every.items() if role not in {u.role for u in q.variables}]
            if {u.role for u in q.variables} <= set(every):
                found.add(KL(q, Density(d.family, sp.Tuple(*q.variables), sp.Tuple(*rest))))
    return found
