"""LaTeX in the order of writing and in the book's notation, and its lines on a page, by their width."""

# ruff: noqa: N802, N815  (sympy finds its printer methods by class names)
import re
from collections.abc import Callable
from typing import TypeVar

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter, translate
from sympy.printing.precedence import PRECEDENCE

from .notation import KL, Density, E, Normal, SquaredNorm
from .scope import unmarked

Shown = TypeVar("Shown")
PAGE = 76.0  # letters that fit on one line of a page
GAP = 5.0  # letters between a formula and the note beside it
_WIDTHS = {" ": 0.0, "{": 0.0, "}": 0.0, r"\mathcal": 0.6, r"\,": 0.4, r"\quad": 2.0, r"\qquad": 4.0}
_WIDTHS |= {"+": 2.2, "-": 2.0, "=": 2.2, r"\mid": 1.6, r"\sim": 2.2, r"\int": 2.0}
SHORT = 11.0  # letters of a fraction that is written a/b where type is small
_BARE_LOG = (sp.Symbol, Density, Normal, E, sp.Integral, AppliedUndef)
_OPEN = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.log)  # what follows seems to belong to them
_TALL = (r"\frac", r"\sum", r"\prod", r"\int")
PLAIN_FUNCTIONS = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min")


class BookPrinter(LatexPrinter):
    """sympy's LaTeX printer, without its reordering: sums, products and quotients stay as they were typed."""

    def __init__(self) -> None:
        super().__init__({"order": "none"})
        self.small = False  # in an exponent, a subscript, or a fraction: there a short fraction is a/b

    def _print_Symbol(self, expr, style: str = "plain") -> str:
        r"""alphabar_{t-1} → \bar{\alpha}_{t-1}."""
        head, _, sub = expr.name.partition("_")
        bare = head.rstrip("'")
        primes = head[len(bare) :]
        head = (
            head
            if "\\" in head
            else "\\varepsilon" + primes
            if bare == "epsilon"
            else translate(bare) + primes
        )
        sub = sub[1:-1] if sub.startswith("{") else sub
        greek = re.sub(r"\b(theta|phi|eta)\b", r"\\\1", sub)
        return f"{head}_{{{greek}}}" if sub else head

    _print_RandomVariable = _print_Unit = _print_Symbol

    def _print_Density(self, expr) -> str:
        head = expr.family.args[0].name
        if expr.parameter is not None:
            head += f"_{{{self._print(expr.parameter)}}}"
        given = rf" \mid {self._names(expr.given)}" if expr.given else ""
        return f"{head}({self._names(expr.variables)}{given})"

    def _names(self, variables: tuple) -> str:
        """x_1, x_2, x_3 is printed x_{1:3}."""
        parts = [re.fullmatch(r"(\w+)_(\d+)", v.name) for v in variables]
        if len(parts) > 2 and all(parts):
            heads = {m[1] for m in parts if m}
            numbers = [int(m[2]) for m in parts if m]
            if len(heads) == 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
                return f"{heads.pop()}_{{{numbers[0]}:{numbers[-1]}}}"
        return ", ".join(self._print(v) for v in variables)

    def _print_Normal(self, expr) -> str:
        x, m, v = (self._print(a) for a in expr.args)
        return rf"\mathcal{{N}}({x};\, {m},\, {v})"

    def _print_E(self, expr) -> str:
        measure, integrand = expr.args
        if isinstance(measure, Density):
            under = self._print(measure)
        else:
            x, m, v = (self._in_small(a) for a in measure.args)
            under = rf"{x} \sim \mathcal{{N}}({m}, {v})"
        return rf"\mathbb{{E}}_{{{under}}}\left[{self._print(integrand)}\right]"

    def _print_KL(self, expr) -> str:
        q, p = (self._print(a) for a in expr.args)
        return rf"\mathrm{{KL}}\left({q} \,\|\, {p}\right)"

    def _print_log(self, expr, exp: str | None = None) -> str:
        arg = expr.args[0]
        inner = self._print(arg)
        bare = not _has_slash(inner) and (
            isinstance(arg, _BARE_LOG)
            or (arg.is_Number and not inner.startswith("-"))
            or (arg.is_Pow and arg.base.is_Symbol)
            or _is_fraction(inner)
        )
        power = f"^{{{exp}}}" if exp else ""
        return rf"\log{power} {inner}" if bare else rf"\log{power}\left({inner}\right)"

    def _print_AppliedUndef(self, expr, exp: str | None = None) -> str:
        head = (
            self._print(sp.Symbol(expr.func.__name__))
            if "\\" not in expr.func.__name__
            else expr.func.__name__
        )
        value = f"{head}({', '.join(map(self._print, expr.args))})"
        return f"{value}^{{{exp}}}" if exp else value

    def _print_Function(self, expr, exp: str | None = None) -> str:
        """Sine, tanh, the greater of two, …: each with its argument in brackets."""
        name = type(expr).__name__.lower()
        head = rf"\{name}" if name in PLAIN_FUNCTIONS else rf"\operatorname{{{name}}}"
        power = f"^{{{exp}}}" if exp else ""
        return rf"{head}{power}\left({', '.join(map(self._print, expr.args))}\right)"

    _print_Max = _print_Min = _print_erf = _print_Function

    def _print_SquaredNorm(self, expr) -> str:
        """‖a‖², with the index and its range below the bars: they say which coordinates are meant."""
        coordinate, (index, low, high) = expr.args
        under = rf"{self._print(index)}={self._print(low)}..{self._print(high)}"
        return rf"\left\| {self._print(coordinate)} \right\|_{{{under}}}^{{2}}"

    def _print_Sum(self, expr) -> str:
        return self._over_index(r"\sum", expr)

    def _print_Product(self, expr) -> str:
        return self._over_index(r"\prod", expr)

    def _over_index(self, sign: str, expr) -> str:
        index, *ends = (self._print(a) for a in expr.limits[0])
        under = rf"_{{{index}={ends[0]}}}^{{{ends[1]}}}" if ends else rf"_{{{index}}}"
        inner = self._print(expr.function)
        open_ended = expr.function.is_Add or inner.startswith("-")
        return rf"{sign}{under} \left({inner}\right)" if open_ended else rf"{sign}{under} {inner}"

    def _print_Derivative(self, expr) -> str:
        several = len({v for v in expr.expr.free_symbols if isinstance(v, sp.Symbol)}) > 1
        d = r"\partial" if several else "d"
        order = sum(int(n) for _, n in expr.variable_count)
        above = rf"{d}^{{{order}}}" if order > 1 else d
        merged: dict = {}
        for v, n in expr.variable_count:
            merged[v] = merged.get(v, 0) + int(n)
        below = r" \, ".join(
            rf"{d} {self._print(v)}" + (f"^{{{n}}}" if n > 1 else "") for v, n in merged.items()
        )
        inner = self._print(expr.expr)
        closed = not (inner.startswith("-") or _has_slash(inner)) and isinstance(
            expr.expr, sp.Symbol | Density | Normal | E | KL | sp.Function | sp.Number
        )
        return rf"\frac{{{above}}}{{{below}}} " + (inner if closed else rf"\left({inner}\right)")

    def _print_Indexed(self, expr) -> str:
        return f"{self._print(expr.base)}_{{{','.join(map(self._print, expr.indices))}}}"

    def _print_IndexedBase(self, expr) -> str:
        return str(self._print(expr.label))

    def _print_Integral(self, expr) -> str:
        inner = self._print(expr.function)
        inner = rf"\left({inner}\right)" if expr.function.is_Add or inner.startswith("-") else inner
        for limit in expr.limits:
            z, *ends = (self._print(a) for a in limit)
            under = rf"_{{{ends[0]}}}^{{{ends[1]}}}" if ends else ""
            inner = rf"\int{under} {inner} \, d{z}"
        return inner

    def _print_Add(self, expr, order=None) -> str:
        text = ""
        for term in spine(expr, sp.Add):
            part = self._print(term)
            if isinstance(term, sp.Add):
                part = rf"\left({part}\right)"
            if not text:
                text = part
            else:
                text += f" - {part[1:].strip()}" if part.startswith("-") else f" + {part}"
        return text

    def _print_Mul(self, expr) -> str:
        r"""A division takes what stands to its left as its numerator: a b / c d is \frac{a b}{c} d."""
        groups: list[tuple[list, list]] = [([], [])]
        sign = ""
        for factor in spine(expr, sp.Mul):
            if factor == -1:
                sign = "" if sign else "-"
            elif factor == 1:
                continue
            elif _is_inverse(factor):
                groups[-1][1].append(_inverted(factor))
            else:
                if groups[-1][1]:
                    groups.append(([], []))
                groups[-1][0].append(factor)
        body = ""
        for number, (above, below) in enumerate(groups, 1):
            last = number == len(groups)
            part = self._fraction(above, below, last) if below else self._product(above, last) or "1"
            if len(groups) > 1 and (_has_slash(part) or (body and part.startswith("-"))):
                part = rf"\left({part}\right)"
            body += part if last else f"{part} " if part.endswith(r"\right)") else rf"{part} \, "
        if sign and body.startswith("-"):
            return rf"-\left({body}\right)"
        return sign + body

    def _print_Pow(self, expr) -> str:
        if isinstance(expr.base, SquaredNorm) and not _is_inverse(expr):
            return rf"\left({self._print(expr.base)}\right)^{{{self._print(expr.exp)}}}"
        return self._fraction([], [_inverted(expr)]) if _is_inverse(expr) else super()._print_Pow(expr)

    def _helper_print_standard_power(self, expr, template: str) -> str:
        base = self.parenthesize(expr.base, PRECEDENCE["Pow"])
        if expr.base.is_Symbol:
            base = self.parenthesize_super(base)
        return template % (base, self._in_small(expr.exp))

    def _print_ExpBase(self, expr, exp: str | None = None) -> str:
        return str(self._do_exponent(f"e^{{{self._in_small(expr.args[0])}}}", exp))

    def _print_Rational(self, expr) -> str:
        return f"{expr.p}/{expr.q}" if self.small and expr.q != 1 else str(super()._print_Rational(expr))

    def _in_small(self, expr) -> str:
        return self._with_small(lambda: str(self._print(expr)))

    def _with_small(self, show: Callable[[], Shown]) -> Shown:
        before, self.small = self.small, True
        try:
            return show()
        finally:
            self.small = before

    def _fraction(self, above: list, below: list, last: bool = True) -> str:
        r"""A fraction with none inside it, if possible: \frac{1/2}{3}, or \frac{1}{3} of a tall one.

        last: whether nothing stands behind it in its product.
        """
        numerator, denominator = self._sides(above, below)
        sign = _sign(numerator, above)
        if self.small:
            if (short := self._with_slash(above, below, numerator, denominator)) is not None:
                return short
        elif _has(numerator, _TALL) and not (_is_sum(below) or _has(denominator, _TALL)):
            return rf"{sign}\frac{{1}}{{{denominator}}} {self._product(above, last)[len(sign) :].strip()}"
        elif r"\frac" in numerator + denominator:
            numerator, denominator = self._with_small(lambda: self._sides(above, below))
            sign = _sign(numerator, above)
        return rf"{sign}\frac{{{numerator[len(sign) :].strip()}}}{{{denominator}}}"

    def _sides(self, above: list, below: list) -> tuple[str, str]:
        return self._product(above, alone=True) or "1", self._product(below, alone=True)

    def _with_slash(self, above: list, below: list, numerator: str, denominator: str) -> str | None:
        """A fraction as a/b; None where it is too long for that."""
        both = numerator + denominator
        if any(isinstance(f, _OPEN) for f in (*above, *below)) or _has(both, (*_TALL, "/", r"\left[")):
            return None
        if width(both) > SHORT:
            return None
        if _is_sum(above):
            numerator = rf"\left({numerator}\right)"
        if len(below) > 1 or below[0].is_Add or below[0].is_Mul or denominator.startswith("-"):
            denominator = rf"\left({denominator}\right)"
        return f"{numerator}/{denominator}"

    def _product(self, factors: list, last: bool = True, alone: bool = False) -> str:
        if alone and len(factors) == 1:
            return str(self._print(factors[0]))
        texts: list[str] = []
        for i, factor in enumerate(factors):
            text = self._print(factor)
            closing = last and i == len(factors) - 1
            parts = spine(factor, sp.Mul) if factor.is_Mul else [factor]
            open_ended = not closing and any(isinstance(part, _OPEN) for part in parts)
            slash = len(factors) > 1 and _has_slash(text)
            if factor.is_Add or open_ended or slash or (text.startswith("-") and i > 0):
                text = rf"\left({text}\right)"
            if texts and ((texts[-1][-1].isdigit() and text[0].isdigit()) or texts[-1] in ("d", r"\partial")):
                text = rf"\cdot {text}"
            texts.append(text)
        return " ".join(texts)


def spine(expr, kind) -> list:
    """The operands of a + b + c or a * b * c, nested to the left by Python; brackets at the right stay."""
    operands: list = []
    for i, arg in enumerate(expr.args):
        leading = i == 0 or (kind is sp.Mul and i == 1 and expr.args[0] == -1)
        operands.extend(spine(arg, kind) if leading and isinstance(arg, kind) else [arg])
    return operands


def _is_fraction(tex: str) -> bool:
    """Whether a formula is one fraction and nothing else."""
    if not tex.startswith(r"\frac{"):
        return False
    _, i = group(tex, 5)
    return group(tex, i)[1] == len(tex)


def _sign(numerator: str, above: list) -> str:
    """What goes before a fraction: −(a)/b, and not of a sum."""
    return "-" if numerator.startswith("-") and not (above and above[0].is_Add) else ""


def _is_sum(factors: list) -> bool:
    return len(factors) == 1 and bool(factors[0].is_Add)


def _has(tex: str, words: tuple) -> bool:
    return any(word in tex for word in words)


def _has_slash(tex: str) -> bool:
    """Whether a formula is a/b, or holds one outside of all brackets."""
    depth = 0
    for letter in tex:
        depth += (letter in "{([") - (letter in "})]")
        if letter == "/" and depth == 0:
            return True
    return False


def _is_inverse(expr) -> bool:
    return isinstance(expr, sp.Pow) and bool(expr.exp.is_Rational and expr.exp.is_negative)


def _inverted(power):
    """The base^k of a base^−k, left unevaluated otherwise."""
    return power.base if power.exp == -1 else sp.Pow(power.base, -power.exp, evaluate=False)


def latex(expr) -> str:
    """LaTeX of an expression as it was written."""
    with sp.evaluate(True):
        return str(BookPrinter().doprint(expr))


def text(expr) -> str:
    """Plain text of an expression as it was written, for messages."""

    def flat(e):
        if not e.args:
            return e
        if isinstance(e, sp.Pow) and e.exp == -1 and e.base.is_Integer:
            return sp.Rational(1, e.base)
        if isinstance(e, sp.Pow) and e.exp.is_number:
            return e.func(flat(e.base), e.exp.doit(), evaluate=False)
        if isinstance(e, sp.Derivative):
            with sp.evaluate(True):
                return e.func(flat(e.expr), *e.variable_count, evaluate=False)
        if isinstance(e, sp.Add | sp.Mul):
            parts = [flat(part) for part in spine(e, e.func) if e.is_Add or part != 1]
            if e.is_Mul:
                parts.sort(key=lambda part: part.is_Integer or not part.is_Rational)  # a*(1/2) is a/2
            return e.func(*parts, evaluate=False) if len(parts) != 1 else parts[0]
        return e.func(*map(flat, e.args))

    with sp.evaluate(False):
        shown = flat(unmarked(expr))
    with sp.evaluate(True):
        return str(sp.sstr(shown, order="none"))


def aligned(
    name: str, first: str, rows: list[tuple[str, str, str]], facts: list[str], compact: bool | None
) -> str:
    """The assumptions, the first line, then (relation, formula, note) rows.

    Notes stand beside their formulas, below the first line where that helps, or (compact) each below its own.
    compact: None decides by the width.
    """
    start = f"{name}{first}"
    widest = max((width(formula) for _, formula, _ in rows), default=0.0)
    notes = GAP + 0.9 * max((width(note) for _, _, note in rows), default=0.0)
    given = max((6 + width(row) for _, row in _given_rows(facts)), default=0.0)
    if compact is None:
        compact = max(width(start), widest, given) + notes > PAGE
    if compact:
        below = "\\\\[-0.3ex]\n&\\qquad\\qquad"
        lines = [f"&{start}", *(f"&\\quad {arrow} {tex} {below} {note}" for arrow, tex, note in rows)]
    elif rows and width(start) + max(widest, given) + notes <= PAGE:
        lines = [f"{start} &{rows[0][0]} {rows[0][1]} && {rows[0][2]}"]
        lines += [f"&{arrow} {tex} && {note}" for arrow, tex, note in rows[1:]]
    else:
        lines = [f"&{start}", *(f"&\\quad {arrow} {tex} && {note}" for arrow, tex, note in rows)]
    assumed = [rf"&{word}\quad {row}" for word, row in _given_rows(facts)]
    if assumed:
        assumed[-1] += r" \\[1ex]" + "\n"
    lines = [*assumed[:-1], (assumed[-1] if assumed else "") + lines[0], *lines[1:]]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _given_rows(facts: list[str]) -> list[tuple[str, str]]:
    """The assumptions, as many in a row as the page holds."""
    rows: list[str] = []
    for fact in facts:
        if rows and width(rows[-1]) + width(fact) < 0.7 * PAGE:
            rows[-1] += rf",\quad {fact}"
        else:
            rows.append(fact)
    return [(r"\phantom{\text{given}}" if i else r"\text{given}", row) for i, row in enumerate(rows)]


def width(tex: str) -> float:
    """Roughly how many letters wide a formula is: a fraction counts its longer half, a script 0.7."""
    tex = re.sub(r"\\(text|mathrm|mathbb|displaystyle|left|right|bar|hat|tilde|phantom)(?![a-z])", "", tex)
    tex = re.sub(r"\\(log|exp)\b", "log", tex)
    total, i = 0.0, 0
    while i < len(tex):
        if tex.startswith(r"\frac", i):
            top, i = group(tex, i + 5)
            bottom, i = group(tex, i)
            total += max(width(top), width(bottom)) + 0.5
        elif tex[i] in "_^" and tex[i + 1 : i + 2] == "{":
            script, i = group(tex, i + 1)
            total += 0.7 * width(script)
        else:
            token = re.match(r"\\[A-Za-z]+|\\.|.", tex[i:], re.DOTALL)
            assert token is not None
            total += _WIDTHS.get(token[0], 1.0)
            i += token.end()
    return total


def group(tex: str, start: int) -> tuple[str, int]:
    """The braces' content at `start`, and the position behind it."""
    depth = 0
    for i in range(start, len(tex)):
        depth += {"{": 1, "}": -1}.get(tex[i], 0)
        if depth == 0:
            return tex[start + 1 : i], i + 1
    raise ValueError(f"unbalanced braces in {tex[start:]!r}")
