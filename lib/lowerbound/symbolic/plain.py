"""A notation to type lines in, and its reader: E_{q(z | x)}[log(p(x, z)/q(z | x))] - KL(q(z | x) || p(z)).

`write` gives the text of a formula as it was written, `read` the formula of a text, as the operators of
Python would make it. A text can hold the names that are known to it and what it binds itself, and nothing is
evaluated.

    log(a), exp(a), sqrt(a), a^2, a/b           sum(f, i = 1..D), prod(f, t = 1..T)
    p(x, z), q(z | x), N(z; m, v)               int(f, z), int(f, u = 0..1), diff(f, x), diff(f, x, 2)
    E_{q(z | x)}[f], E_{z ~ N(m, v)}[f]         norm2(x[i] - m[i], i = 1..D)
    KL(q(z | x) || p(z))                        oo, pi, abs(a), max(a, b), erf(a), tanh(a), ...
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from .notation import KL, Density, E, Family, Given, Normal, RandomVariable, SquaredNorm
from .printing import spine
from .scanning import NAMED, Scanner
from .scope import BINDERS, made, parts, symbols

FUNCTIONS = {"log": sp.log, "ln": sp.log, "exp": sp.exp, "sqrt": sp.sqrt, "abs": sp.Abs, **NAMED}
WRITTEN = {function: name for name, function in FUNCTIONS.items() if name not in ("ln", "sqrt")}
CONSTANTS = {"pi": sp.pi, "oo": sp.oo, "EulerGamma": sp.EulerGamma}
BOUND = {"sum": sp.Sum, "prod": sp.Product, "int": sp.Integral}
HEADS = ("diff", "norm2", "KL", "N", "E", *BOUND)
GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "ς": "varsigma", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
    "Δ": "Delta", "Σ": "Sigma",
}  # fmt: skip
SIGNS = {"−": "-", "–": "-", "·": "*", "×": "*", "‖": "||", "∥": "||", "∣": "|", "∼": "~",
         "²": "^2", "³": "^3",
         "∞": "oo", "≥": ">=", "≤": "<=", "→": "->", "ᾱ": "alphabar", "α̅": "alphabar", "α̃": "alphatilde",
         "β̃": "betatilde", "μ̃": "mutilde", "ϵ": "epsilon", "ϕ": "phi", "\u00a0": " "}  # fmt: skip
NAME = re.compile(r"\\?[A-Za-z][A-Za-z0-9]*'*(?:_(?:\{[^{}]*\}|[A-Za-z0-9]+))?'*")
AFTER = re.compile(r"[A-Za-z0-9_'\\]")  # what may not follow a name that ends
SUM, PRODUCT, POWER, ATOM = range(4)
MOST = 4000  # letters of one line


class PlainError(ValueError):
    """A text that is no formula; at: the place in the text, from 0."""

    def __init__(self, message: str, at: int = 0) -> None:
        super().__init__(message)
        self.at = at


class Names:
    """What the names in a text stand for, taken from formulas, and more by `add`."""

    def __init__(self, formulas: Iterable = ()) -> None:
        self.symbols: dict[str, sp.Symbol] = {}
        self.families: dict[str, Family] = {}
        self.densities: dict[tuple, Family] = {}  # by letter and variables: p(z) may have no parameters
        self.functions: dict[str, UndefinedFunction] = {}
        self.bases: dict[str, sp.IndexedBase] = {}
        for formula in formulas:
            self.learn(formula)

    def learn(self, formula) -> None:
        """Take over the names of a formula."""
        for node in sp.preorder_traversal(sp.sympify(formula)):
            if isinstance(node, Density):
                self.families[_head(node.family)] = node.family
                self.densities[_signature(node.family, node.variables, node.given)] = node.family
                for symbol in (*node.variables, *node.given):
                    self.add(symbol)
            elif isinstance(node, sp.IndexedBase):
                self.bases[str(node.label)] = node
            elif isinstance(node, AppliedUndef):
                self.functions[node.func.__name__] = node.func
            elif isinstance(node, BINDERS):
                for symbol in parts(node)[0]:
                    self.add(symbol)
        for symbol in symbols(formula) if isinstance(formula, sp.Basic) else ():
            self.add(symbol)

    def add(self, symbol: sp.Symbol) -> None:
        """Know a symbol by its name; a random variable wins over a letter of the same name."""
        if not isinstance(self.symbols.get(symbol.name), RandomVariable):
            self.symbols[symbol.name] = symbol

    def copy(self) -> Names:
        """The same names, to which more can be added."""
        new = Names()
        vars(new).update({table: dict(known) for table, known in vars(self).items()})
        return new

    def words(self) -> list[str]:
        """All that can be typed here, for completion."""
        named = [*self.symbols, *(f"{f}(" for f in (*self.families, *self.functions))]
        return sorted(named + [f"{base}[" for base in self.bases])


def _head(family: Family) -> str:
    name, parameters, _ = map(str, family.args)
    return name + "'" * parameters.count("'")


def _signature(family: Family, variables, given) -> tuple:
    return _head(family), frozenset(v.name for v in variables), frozenset(v.name for v in given)


def write(formula) -> str:
    """The text of a formula, in the order in which it was written."""
    with sp.evaluate(True):  # signs of numbers are asked for
        return _write(sp.sympify(formula), SUM)


def _write(e, place: int) -> str:
    """The text of a part, in brackets where its place asks for them."""
    text, kind = _written(e)
    return f"({text})" if kind < place or (text.startswith("-") and place > SUM) else text


def _written(e) -> tuple[str, int]:
    if isinstance(e, sp.Add):
        return _sum(e), SUM
    if isinstance(e, sp.Mul):
        return _product(spine(e, sp.Mul))
    if isinstance(e, sp.Rational) and not e.is_Integer:
        return f"{e.p}/{e.q}", PRODUCT if e.p > 0 else SUM
    if isinstance(e, sp.Number):
        return str(e), ATOM if e >= 0 else SUM
    if isinstance(e, sp.exp):
        return f"exp({write(e.args[0])})", ATOM
    if isinstance(e, sp.Pow):
        if _is_inverse(e):
            return _product([e])
        if e.exp == sp.Rational(1, 2):
            return f"sqrt({write(e.base)})", ATOM
        return f"{_write(e.base, ATOM)}^{_write(e.exp, ATOM)}", POWER
    return _atom(e), ATOM


def _is_inverse(e) -> bool:
    return isinstance(e, sp.Pow) and bool(e.exp.is_Rational and e.exp.is_negative)


def _sum(e) -> str:
    text = ""
    for term in spine(e, sp.Add):
        part = f"({write(term)})" if isinstance(term, sp.Add) else write(term)
        text = part if not text else f"{text} - {part[1:]}" if part.startswith("-") else f"{text} + {part}"
    return text


def _product(factors: list) -> tuple[str, int]:
    text, sign, rest = "", "", 0
    for factor in factors:
        if not text and factor.is_Rational and factor < 0:
            sign, factor = "" if sign else "-", -factor
        if factor == 1:
            continue
        if _is_inverse(factor):
            below = factor.base if factor.exp == -1 else sp.Pow(factor.base, -factor.exp, evaluate=False)
            text, rest = f"{text or '1'}/{_write(below, POWER)}", rest + 1
        else:
            part = _write(factor, POWER if text else PRODUCT)
            text, rest = f"{text}*{part}" if text else part, rest + 1
    return sign + (text or "1"), SUM if sign else PRODUCT if rest > 1 or "/" in text else POWER


def _atom(e) -> str:
    if isinstance(e, sp.Symbol):
        return e.name
    for constant, word in ((sp.E, "exp(1)"), *((c, w) for w, c in CONSTANTS.items())):
        if e is constant:
            return word
    if e is sp.S.NegativeInfinity:
        return "(-oo)"
    if isinstance(e, Density):
        given = f" | {', '.join(v.name for v in e.given)}" if e.given else ""
        return f"{_head(e.family)}({', '.join(v.name for v in e.variables)}{given})"
    if isinstance(e, Normal):
        return f"N({write(e.args[0])}; {write(e.args[1])}, {write(e.args[2])})"
    if isinstance(e, E):
        measure, inside = e.args
        under = write(measure)
        if isinstance(measure, Normal):
            under = f"{write(measure.args[0])} ~ N({write(measure.args[1])}, {write(measure.args[2])})"
        return f"E_{{{under}}}[{write(inside)}]"
    if isinstance(e, KL):
        return f"KL({write(e.args[0])} || {write(e.args[1])})"
    if isinstance(e, SquaredNorm):
        return f"norm2({write(e.args[0])}, {_range(e.args[1])})"
    if isinstance(e, sp.Sum | sp.Product | sp.Integral):
        head = next(word for word, kind in BOUND.items() if isinstance(e, kind))
        return f"{head}({write(e.function)}, {', '.join(map(_range, e.limits))})"
    if isinstance(e, sp.Derivative):
        counts = "".join(f", {v.name}" + (f", {n}" if n != 1 else "") for v, n in e.variable_count)
        return f"diff({write(e.expr)}{counts})"
    if isinstance(e, sp.Indexed):
        return f"{e.base.label}[{', '.join(map(write, e.indices))}]"
    if isinstance(e, AppliedUndef):
        return f"{e.func.__name__}({', '.join(map(write, e.args))})"
    if type(e) in WRITTEN:
        return f"{WRITTEN[type(e)]}({', '.join(map(write, e.args))})"
    raise TypeError(f"{type(e).__name__} cannot be written in plain text")


def _range(limits) -> str:
    index, *ends = limits
    return f"{index.name} = {write(ends[0])}..{write(ends[1])}" if len(ends) == 2 else index.name


def read(text: str, names: Names):
    """The formula of a text, left as it is written. Raises PlainError."""
    if len(text) > MOST:
        raise PlainError(f"a line has at most {MOST} letters; this one has {len(text)}")
    with sp.evaluate(False):
        reader = _Reader(spelled(text), names, {})
        value = reader.sum()
        reader.end()
    return value


def spelled(text: str) -> str:
    """The text with Greek letters and other signs as the words that are known."""
    for sign, word in SIGNS.items():
        text = text.replace(sign, word)
    for letter, word in GREEK.items():
        text = re.sub(rf"{letter}(?=[A-Za-zα-ω])", f"{word} ", text).replace(letter, word)
    return text.replace("**", "^")


class _Reader(Scanner):
    """The text, how far it has been read, and the names that a binder around it has made."""

    def __init__(self, text: str, names: Names, local: dict[str, sp.Symbol], start: int = 0) -> None:
        super().__init__(text)
        self.names, self.local, self.start = names, local, start
        known = {**names.symbols, **local}
        self.known = sorted(known.items(), key=lambda item: -len(item[0]))

    def fail(self, says: str) -> PlainError:
        return PlainError(says, self.start + self.at)

    def end(self) -> None:
        self.space()
        if self.rest():
            raise self.fail(f"{self.rest()[:20]!r} is too much here: is a sign such as + or * missing?")

    def sum(self):
        self.see("+")
        return super().sum()

    def negative(self, value):
        return sp.S.NegativeInfinity if value is sp.oo else super().negative(value)

    def product(self):
        total = self.power()
        while True:
            self.space()
            if self.see("*"):
                total = total * self.power()
            elif self.see("/"):
                below = self.power()
                whole = total.is_Integer and below.is_Integer and below != 0 and int(total) % int(below)
                total = sp.Rational(total, below) if whole else total / below
            elif re.match(r"[A-Za-z\\(0-9]", self.rest()):  # 2 x, x y, 2 (a + b)
                total = total * self.power()
            else:
                return total

    def power(self):
        if self.see("-"):
            return self.negative(self.power())
        value = self.atom()
        if self.see("^"):
            return value ** (self.braced() if self.see("{") else self.power())
        return value

    def braced(self):
        value = self.sum()
        self.need("}")
        return value

    def atom(self):
        self.space()
        rest = self.rest()
        if not rest:
            raise self.fail("the line stops too early: something is missing at its end")
        if (number := self.number()) is not None:
            return number
        if self.see("("):
            value = self.sum()
            self.need(")")
            return value
        if re.match(r"E\s*(_|\[)", rest) and "E" not in self.local:
            return self.expectation()
        return self.named()

    def named(self):
        here, rest = self.at, self.rest()
        if match := re.match(r"(KL|N|diff|norm2|sum|prod|int)\s*\(", rest):
            self.at += match.end()
            if match[1] != "N" or ";" in self.within(")"):
                word = match[1]
                methods = {
                    "KL": self.divergence,
                    "N": self.normal,
                    "diff": self.derivative,
                    "norm2": self.norm,
                }
                return self.bound(BOUND[word]) if word in BOUND else methods[word]()
            self.at = here
        for table, method in (
            (self.names.families, self.density), (self.names.functions, self.call),
            (self.names.bases, self.indexed),
        ):  # fmt: skip
            for word in sorted(table, key=len, reverse=True):
                opens = "[" if method == self.indexed else "("
                if re.match(rf"{re.escape(word)}\s*\{opens}", rest):
                    self.at += len(word)
                    self.need(opens)
                    return method(table[word])
        for word, symbol in self.known:
            after = rest[len(word) : len(word) + 1]
            if rest.startswith(word) and not AFTER.match(after):
                self.at += len(word)
                return symbol
        match = NAME.match(rest)
        if match is None:
            raise self.fail(f"{rest[:1]!r} cannot stand here")
        word = match[0]
        self.at += len(word)
        if word in CONSTANTS:
            return CONSTANTS[word]
        opened = self.see("(")
        if word in FUNCTIONS:
            if not opened:
                return FUNCTIONS[word](self.power())  # log x
            arguments = self.arguments(")")
            if len(arguments) != 1 and word not in ("max", "min"):
                raise self.fail(f"{word} takes one argument")
            with sp.evaluate(word in ("max", "min")):  # sympy's Max cannot be left unevaluated
                return FUNCTIONS[word](*arguments)
        self.at = here
        raise self.fail(self.unknown(word, opened))

    def unknown(self, word: str, opened: bool) -> str:
        there = self.names.words()
        known = [w.rstrip("([") for w in there] + [*FUNCTIONS, *HEADS]
        close = difflib.get_close_matches(word, known, 3, 0.5)
        what = "function or density" if opened else "letter"
        hint = (
            f"; did you mean {' or '.join(close)}?"
            if close
            else f"; there are {', '.join(there)}"
            if there
            else ""
        )
        return f"there is no {what} {word!r} here{hint}"

    def variable(self) -> RandomVariable:
        self.space()
        here, value = self.at, self.named()
        if not isinstance(value, RandomVariable):
            self.at = here
            raise self.fail(f"a density takes random variables; {value} is none")
        return value

    def density(self, family: Family):
        left, given = [self.variable()], []
        side = left
        while not self.see(")"):
            if side is left and self.see("|"):
                side = given
            else:
                self.need(",")
            side.append(self.variable())
        family = self.names.densities.get(_signature(family, left, given), family)
        try:
            return family(Given(sp.Tuple(*left), sp.Tuple(*given))) if given else family(*left)
        except TypeError as error:
            raise self.fail(str(error)) from None

    def call(self, function: UndefinedFunction):
        return function(*self.arguments(")"))

    def indexed(self, base: sp.IndexedBase):
        return base[tuple(self.arguments("]"))]

    def within(self, close: str) -> str:
        """The text up to the bracket that closes, without passing it."""
        depth, pairs = 0, {"(": ")", "[": "]", "{": "}"}
        for i, letter in enumerate(self.text[self.at :], self.at):
            if depth == 0 and letter == close:
                return self.text[self.at : i]
            depth += (letter in pairs) - (letter in pairs.values())
        raise self.fail(f"the closing {close!r} is missing")

    def inner(self, text: str, start: int, local: dict[str, sp.Symbol]) -> _Reader:
        return _Reader(text, self.names, {**self.local, **local}, self.start + start)

    def last_parts(self, text: str) -> list[tuple[int, str]]:
        """The pieces between the commas that stand in no bracket, each with its place."""
        found, depth, begin = [], 0, 0
        for i, letter in enumerate(text):
            depth += (letter in "([{") - (letter in ")]}")
            if letter == "," and depth == 0:
                found.append((begin, text[begin:i]))
                begin = i + 1
        return [*found, (begin, text[begin:])]

    def fresh(self, word: str, kind: type) -> sp.Symbol:
        """The symbol that a binder binds: a known one, or a new one."""
        known = {**self.names.symbols, **self.local}.get(word)
        if known is not None and (kind is not int or known.is_integer):
            return known
        if kind is int:
            return sp.Symbol(word, integer=True, positive=True)
        return RandomVariable(word)

    def bound(self, kind: type):
        """sum(f, i = 1..D): the range is read first, since it makes a name for f."""
        here, inside = self.at, self.within(")")
        pieces, limits, local = self.last_parts(inside), [], {}
        while len(pieces) > 1:
            place, piece = pieces[-1]
            match = re.fullmatch(r"\s*(\S+?)\s*(?:=(.*?)\.\.(.*))?", piece, re.DOTALL)
            if match is None or (match[2] is None and kind is not sp.Integral):
                break
            index = self.fresh(match[1], int if kind is not sp.Integral else RandomVariable)
            ends = []
            for part in (2, 3) if match[2] is not None else ():
                reader = self.inner(match[part], here + place + match.start(part), {})
                ends.append(reader.sum())
                reader.end()
            limits.insert(0, sp.Tuple(index, *ends))
            local[index.name] = index
            pieces.pop()
        if not limits or len(pieces) != 1:
            example = "int(f, z) or int(f, u = 0..1)" if kind is sp.Integral else "sum(f, i = 1..D)"
            raise self.fail(f"write it as in {example}")
        reader = self.inner(pieces[0][1], here, local)
        value = reader.sum()
        reader.end()
        self.at = here + len(inside)
        self.need(")")
        return made(kind, value, *limits)

    def norm(self):
        total = self.bound(sp.Sum)
        return SquaredNorm(total.function, tuple(total.limits[0]))

    def expectation(self):
        self.need("E")
        if not self.see("_"):
            raise self.fail("write what is averaged over below the E, as in E_{q(z | x)}[f]")
        braces = self.see("{")
        self.space()
        local: dict[str, sp.Symbol] = {}
        if match := re.match(r"(\S+)\s*~\s*N\s*\(", self.rest()):
            variable = self.fresh(match[1], RandomVariable)
            self.at += match.end()
            mean_and_variance = self.arguments(")")
            if len(mean_and_variance) != 2:
                raise self.fail("N takes a mean and a variance")
            measure = self.gaussian(variable, *mean_and_variance)
            local[variable.name] = variable
        else:
            here = self.at
            if match := re.match(r"N\s*\(\s*([^;\s]+)\s*;", self.rest()):
                local[match[1]] = self.fresh(match[1], RandomVariable)
            measure = self.inner(self.text[here:], here, local)
            value = measure.named()
            self.at += measure.at
            measure = value
            if not isinstance(measure, Density | Normal):
                raise self.fail("below the E stands a density, as in E_{q(z | x)}[f] or E_{z ~ N(m, v)}[f]")
        if braces:
            self.need("}")
        self.need("[")
        here, inside = self.at, self.within("]")
        reader = self.inner(inside, here, local)
        value = reader.sum()
        reader.end()
        self.at = here + len(inside)
        self.need("]")
        return E(measure, value)

    def gaussian(self, x, mean, variance):
        try:
            return Normal(x, mean, variance)
        except ValueError as error:
            raise self.fail(str(error)) from None

    def normal(self):
        x = self.sum()
        self.need(";")
        arguments = self.arguments(")")
        if len(arguments) != 2:
            raise self.fail("N takes a variable, a mean and a variance: N(z; m, v)")
        return self.gaussian(x, *arguments)

    def divergence(self):
        first = self.measure()
        self.need("||")
        second = self.measure()
        self.need(")")
        try:
            return KL(first, second)
        except TypeError as error:
            raise self.fail(str(error)) from None

    def measure(self):
        self.space()
        local = {}
        if match := re.match(r"N\s*\(\s*([^;\s]+)\s*;", self.rest()):
            local[match[1]] = self.fresh(match[1], RandomVariable)
        reader = self.inner(self.rest(), self.at, local)
        value = reader.named()
        self.at += reader.at
        return value

    def derivative(self):
        value = self.sum()
        counts = []
        while self.see(","):
            here = self.at
            order = self.sum()
            if order.is_Integer and counts:
                counts[-1] = counts[-1][0], order
            elif isinstance(order, sp.Symbol):
                counts.append((order, sp.Integer(1)))
            else:
                self.at = here
                raise self.fail("write a derivative as in diff(f, x) or diff(f, x, 2)")
        self.need(")")
        if not counts:
            raise self.fail("say in which letter: diff(f, x)")
        return sp.Derivative(value, *counts, evaluate=False)
