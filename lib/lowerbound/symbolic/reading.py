"""The printed LaTeX read back, to see that a line says on paper what was checked.

A small parser for what `printing` writes and for nothing else. It knows the line's own symbols and
densities by what they are printed as, and builds sums, products, fractions, powers and brackets from
the text alone.
"""

from __future__ import annotations

import re

import sympy as sp
from sympy.core.function import AppliedUndef

from .algebra import equal
from .assumptions import Assumptions
from .normal_form import NormalForm
from .notation import KL, Density, E, Normal, SquaredNorm
from .printing import BookPrinter, latex
from .scanning import NAMED, Scanner
from .scope import BINDERS, made, parts, symbols

_ENDS = ("+", "-", "}", ")", "]", ",", ";", r"\right", r"\mid", r"\sim", "=", "..")


def reads_back(line) -> None:
    """Raises ValueError where the printed line, read again, is another formula."""
    text = latex(line)
    read = parse(text, line)
    with sp.evaluate(True):
        if plain(read) == plain(line):
            return
        form = NormalForm(Assumptions())
        if not equal(form(read), form(line)):
            raise ValueError(f"printed is {text}, which reads as {read}, and not as {line}")


def parse(text: str, line):
    """The formula that a LaTeX text stands for; line: the formula whose symbols it may hold."""
    reader = _Reader(text, line)
    with sp.evaluate(False):
        value = reader.sum()
    if reader.rest().strip():
        raise ValueError(f"cannot read {reader.rest()!r} in {text!r}")
    return value


def plain(expr):
    """The same formula as sympy makes it when it merges and sorts."""
    if not isinstance(expr, sp.Basic) or not expr.args or isinstance(expr, Density | sp.Indexed):
        return sp.Rational(str(expr)) if isinstance(expr, sp.Float) else expr
    if isinstance(expr, sp.Sum | sp.Product | sp.Integral):
        return made(
            type(expr), plain(expr.function), *(sp.Tuple(k[0], *map(plain, k[1:])) for k in expr.limits)
        )
    if isinstance(expr, sp.Derivative):
        merged: dict = {}
        for v, n in expr.variable_count:
            merged[v] = merged.get(v, 0) + int(n)
        return sp.Derivative(plain(expr.expr), *sorted(merged.items(), key=str), evaluate=False)
    return expr.func(*map(plain, expr.args))


class _Reader(Scanner):
    """The text and how far it has been read."""

    blank = re.compile(r"(?:\s|\\,|\\!|\\;)*")

    def __init__(self, text: str, line) -> None:
        super().__init__(text)
        known = {latex(s): s for s in symbols(line)}
        known |= {latex(d): d for d in line.atoms(Density)}
        known |= {latex(b): b for b in line.atoms(sp.Indexed)}
        for node in sp.preorder_traversal(line):
            if isinstance(node, BINDERS):
                known |= {latex(v): v for v in parts(node)[0]}
        self.known = sorted(known.items(), key=lambda item: -len(item[0]))
        self.bases = {latex(b): b for b in line.atoms(sp.IndexedBase)}
        printer = BookPrinter()
        self.functions = {}
        for f in line.atoms(AppliedUndef):
            self.functions[printer._print_AppliedUndef(f).split("(")[0]] = f.func

    def see(self, sign: str) -> bool:
        """Whether the next thing is this word; a command of LaTeX ends where its letters do."""
        here = self.at
        if not super().see(sign):
            return False
        if sign[-1].isalpha() and sign[0] == "\\" and self.rest()[:1].isalpha():
            self.at = here
            return False
        return True

    def product(self):
        total = self.factor()
        while True:
            self.space()
            if self.see(r"\cdot"):
                total = total * self.factor()
                continue
            if self.see("/"):
                total = total / self.factor()
                continue
            rest = self.rest()
            if not rest or rest.startswith(_ENDS) or self._differential():
                return total
            total = total * self.factor()

    def _differential(self) -> bool:
        """Whether the next thing is the d of an integral: behind a thin space, close to its variable."""
        return bool(re.match(r"d[A-Za-z\\ε]", self.rest())) and self.text[: self.at].rstrip().endswith(r"\,")

    def factor(self):
        value = self.base()
        while self.see("^"):
            value = value ** self.group()
        return value

    def group(self):
        self.need("{")
        value = self.sum()
        self.need("}")
        return value

    def base(self):
        self.space()
        if (number := self.number()) is not None:
            return number
        rest = self.rest()
        for word, method in (
            (r"\frac", self.fraction), (r"\sqrt", self.root), (r"\log", self.logarithm),
            (r"\mathbb{E}", self.expectation), (r"\mathrm{KL}", self.divergence),
            (r"\mathcal{N}", self.normal),
            (r"\sum", lambda: self.over_index(sp.Sum)), (r"\prod", lambda: self.over_index(sp.Product)),
            (r"\int", self.integral), (r"\left\|", self.norm), (r"\left|", self.modulus),
            (r"\left(", self.bracket),
        ):  # fmt: skip
            if self.see(word):
                return method()
        for name, function in NAMED.items():
            if self.see(rf"\operatorname{{{name}}}") or self.see(rf"\{name}"):
                return self.named(function)
        if self.see(r"\infty"):
            return sp.oo
        for word, function in self.functions.items():
            if rest.startswith(word + "("):
                self.at += len(word) + 1
                return function(*self.arguments(")"))
        for word, symbol in self.known:
            after = rest[len(word) : len(word) + 1]
            if rest.startswith(word) and not (
                after == "_" or (word[-1].isalpha() and "\\" in word and after.isalpha())
            ):
                self.at += len(word)
                return symbol
        for word, base in self.bases.items():
            if rest.startswith(word + "_{"):
                self.at += len(word) + 1
                self.need("{")
                return base[tuple(self.arguments("}"))]
        for word, constant in ((r"\pi", sp.pi), (r"\gamma", sp.EulerGamma)):
            if self.see(word):
                return constant
        if self.see("e"):
            return sp.exp(self.group()) if self.see("^") else sp.E
        raise ValueError(f"cannot read {rest!r}")

    def named(self, function):
        power = self.group() if self.see("^") else None
        self.need(r"\left(")
        arguments = self.arguments(r"\right)")
        with sp.evaluate(True):  # sympy's Max cannot be left unevaluated
            value = function(*arguments)
        return value if power is None else value**power

    def bracket(self):
        value = self.sum()
        self.need(r"\right)")
        return value

    def modulus(self):
        self.see("{")
        value = self.sum()
        self.see("}")
        self.need(r"\right|")
        return sp.Abs(value)

    def fraction(self):
        here = self.at
        for d in (r"\partial", "d"):
            self.at = here
            if self.see("{") and self.see(d) and (self.see("}") or self.see("^")):
                return self.derivative(d, self.text[self.at - 1] == "^")
        self.at = here
        above = self.group()
        return above / self.group()

    def derivative(self, d: str, power: bool):
        if power:
            self.group()
            self.need("}")
        self.need("{")
        counts = []
        while self.see(d):
            variable = self.base()
            counts.append((variable, self.group() if self.see("^") else sp.Integer(1)))
        self.need("}")
        return sp.Derivative(self.factor(), *counts, evaluate=False)

    def root(self):
        degree = sp.Integer(2)
        if self.see("["):
            degree = self.sum()
            self.need("]")
        return self.group() ** (1 / degree if degree != 2 else sp.Rational(1, 2))

    def logarithm(self):
        power = self.group() if self.see("^") else None
        value = sp.log(self.factor())
        return value if power is None else value**power

    def measure(self, end: str):
        """What stands under an E: a density, or z ∼ N(m, v)."""
        value = self.base()
        if self.see(r"\sim"):
            self.need(r"\mathcal{N}(")
            value = Normal(value, *self.arguments(")"))
        self.need(end)
        return value

    def expectation(self):
        self.need("_{")
        measure = self.measure("}")
        self.need(r"\left[")
        value = self.sum()
        self.need(r"\right]")
        return E(measure, value)

    def divergence(self):
        self.need(r"\left(")
        first = self.base()
        self.need(r"\|")
        second = self.base()
        self.need(r"\right)")
        return KL(first, second)

    def normal(self):
        self.need("(")
        x = self.sum()
        self.need(";")
        return Normal(x, *self.arguments(")"))

    def limits(self) -> list:
        self.need("_{")
        index = self.base()
        if not self.see("="):
            self.need("}")
            return [index]
        low = self.sum()
        self.need("}")
        self.need("^")
        return [index, low, self.group()]

    def over_index(self, kind):
        limits = self.limits()
        return made(kind, self.product(), sp.Tuple(*limits))

    def integral(self):
        ends = []
        if self.see("_"):
            ends = [self.group()]
            self.need("^")
            ends.append(self.group())
        value = self.product()
        variables = []
        while self.see("d"):
            variables.append(self.base())
        limits = [sp.Tuple(v, *ends) for v in variables]
        return made(sp.Integral, value, *limits)

    def norm(self):
        coordinate = self.sum()
        self.need(r"\right\|")
        self.need("_{")
        index = self.base()
        self.need("=")
        low = self.sum()
        self.need("..")
        high = self.sum()
        self.need("}")
        self.need("^{2}")
        return SquaredNorm(coordinate, (index, low, high))
