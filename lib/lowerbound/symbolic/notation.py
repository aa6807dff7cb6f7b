"""The book's notation as sympy objects: p(x | z), q(z | x), E_q[...], KL(q ‖ p), N(z; m, v), ‖a‖².

x, z = RandomVariable("x"), RandomVariable("z")
p = Family("p", parameters="theta", fixed=[z])     # the prior p(z) has no parameters
q = Family("q", parameters="phi")
with as_written():
    E(q(z | x), log(p(x | z) * p(z) / q(z | x)))
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.symbol import Str


def as_written():
    """A context for `with`, in which expressions stay in the order and the grouping in which they are typed.

    Outside this context sympy sorts and merges what it is given: the checks are the same, the print is not.
    """
    return sp.evaluate(False)


class RandomVariable(sp.Symbol):
    """A random variable; `z | x` reads "z given x": `q(z | x)`, `q(x1 | xt, x0)`, `q(z1, z2 | x)`.

    A density knows its variables by name: p(x) and p(z) are two functions. like: another variable, of which
    this is a second copy: with w = RandomVariable("w", like=z), p(w) is p(z) at another place.
    """

    def __new__(cls, name: str, like: RandomVariable | None = None):
        """Check the arguments and build the node."""
        variable = sp.Symbol.__xnew__(cls, str(name), real=True)
        variable.role = variable.name if like is None else like.role
        return variable

    def _hashable_content(self):
        return (*super()._hashable_content(), self.role)

    def __getnewargs_ex__(self):
        like = None if self.role == self.name else RandomVariable(self.role)
        return (self.name, like), {}

    def __or__(self, other):
        return Given(sp.Tuple(self), sp.Tuple(other))


class Given(sp.Basic):
    """What `z | x` makes: the variables on the left of the bar and those on the right."""


class Unit(sp.Symbol):
    """A symbol that lies strictly between 0 and 1, such as α_t: so 1 − α_t is positive too."""

    def __new__(cls, name: str):
        """Check the arguments and build the node."""
        return super().__new__(cls, name, positive=True)

    def __getnewargs_ex__(self):
        return (self.name,), {}


class Family(sp.Basic):
    """A joint distribution and all its conditionals: `p(x, z)`, `p(x | z)`, `p(z)`.

    parameters: what it depends on, printed as subscript: "theta" for p_θ, the same as the symbol
    Symbol("theta", real=True), in which one may differentiate. Marginals over `fixed` variables have none.
    The densities of one family obey the product rule, and integrate to one, in every check.
    """

    def __new__(cls, name: str, parameters: str | sp.Symbol = "", fixed: Iterable = ()):
        """Check the arguments and build the node."""
        names = sp.Tuple(*(Str(str(v)) for v in fixed))
        if not isinstance(parameters, sp.Basic) or isinstance(parameters, Str):
            word = str(parameters)
            if "," in word:
                raise ValueError(
                    f"{name}: a family has one parameter, which may stand for many; got {word!r}"
                )
            parameters = sp.Symbol(word, real=True) if word else Str("")
        return super().__new__(cls, Str(str(name)), parameters, names)

    @property
    def parameter(self) -> sp.Symbol | None:
        """The symbol of its parameters, or None."""
        return None if isinstance(self.args[1], Str) else self.args[1]

    def __call__(self, *args):
        """The density of these variables: `p(x, z)`, `p(x | z)`."""
        left = []
        right = []
        for arg in args:
            if isinstance(arg, Given):
                left.extend(arg.args[0])
                right.extend(arg.args[1])
            else:
                (right if right else left).append(arg)
        if any(isinstance(v, sp.Tuple | tuple | list) for v in right):
            raise TypeError(
                f"{self.args[0]}(...): write the variables behind the bar without brackets, as in p(x | z, y)"
            )
        if not left or not all(isinstance(v, RandomVariable) for v in left + right):
            wrong = next((v for v in left + right if not isinstance(v, RandomVariable)), None)
            raise TypeError(
                f"{self.args[0]}(...) takes random variables, as in q(z | x); "
                + (
                    f'{wrong} is a {type(wrong).__name__}: make it by RandomVariable("{wrong}")'
                    if left
                    else "got none"
                )
            )
        return Density(self, sp.Tuple(*left), sp.Tuple(*right))


@cache
def aliases(parameter) -> frozenset:
    """The symbols that a writer may mean by a family's parameter.

    sympy drops a derivative in a symbol that does not occur; a symbol of the same name and other assumptions
    is refused with a message instead, once it has got so far.
    """
    if not isinstance(parameter, sp.Symbol):
        return frozenset(parameter.free_symbols)
    kinds = ({}, {"real": True}, {"positive": True}, {"nonnegative": True}, {"integer": True})
    return frozenset([parameter, *(sp.Symbol(parameter.name, **kind) for kind in kinds)])


class Density(sp.Expr):
    """A positive density p(variables | given) of a `Family`. Made by calling the family."""

    is_positive = True
    is_commutative = True

    def __new__(cls, family, variables, given):
        """Check the arguments and build the node."""
        roles = [getattr(v, "role", v) for v in (*variables, *given)]
        if len(set(roles)) < len(roles):
            raise TypeError(f"{family.args[0]}(...): a variable stands in a density once; got {roles}")
        return super().__new__(cls, family, variables, given)

    @property
    def family(self):
        """The family it belongs to."""
        return self.args[0]

    @property
    def variables(self) -> tuple:
        """The variables left of the bar, a tuple."""
        return tuple(self.args[1])

    @property
    def given(self) -> tuple:
        """The variables right of the bar, a tuple."""
        return tuple(self.args[2])

    @property
    def parameter(self):
        """The symbol of the parameters on which it depends, or None."""
        fixed = {str(name) for name in self.family.args[2]}
        bare = not self.given and {v.role for v in self.variables} <= fixed
        return None if bare else self.family.parameter

    @property
    def free_symbols(self) -> set:
        """The symbols it depends on: its variables and its parameters."""
        return {*self.variables, *self.given, *(aliases(self.parameter) if self.parameter else ())}

    def _eval_derivative(self, symbol):
        if self.parameter and symbol in self.parameter.free_symbols:
            return sp.Derivative(self, symbol, evaluate=False)
        if symbol in self.free_symbols:
            raise ValueError(f"{self} cannot be differentiated in {symbol}")
        return sp.Integer(0)

    def _sympystr(self, printer) -> str:
        bar = " | " + ", ".join(map(str, self.given)) if self.given else ""
        name, parameters, _ = map(str, self.family.args)
        prime = "'" * parameters.count("'")
        return f"{name}{prime}({', '.join(map(str, self.variables))}{bar})"


class Normal(sp.Expr):
    """The density N(x; mean, variance) of a real scalar, as a function of x and as a measure for `E`."""

    is_positive = True
    is_commutative = True

    def __new__(cls, x, mean, variance):
        """Check the arguments and build the node."""
        x, mean, variance = map(sp.sympify, (x, mean, variance))
        with sp.evaluate(True):
            wrong = variance.is_number and variance.doit().is_nonpositive
        if wrong:
            raise ValueError(f"Normal(x, mean, variance) needs a positive variance; got {variance}")
        return super().__new__(cls, x, mean, variance)

    @property
    def variables(self) -> tuple:
        """The variables left of the bar, a tuple."""
        return (self.args[0],)

    @property
    def given(self) -> tuple:
        """The variables right of the bar, a tuple."""
        return ()

    def pdf(self):
        """The formula exp(−(x − m)²/2v) / √(2πv)."""
        x, m, v = self.args
        return sp.exp(-((x - m) ** 2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)

    def _sympystr(self, printer) -> str:
        x, m, v = (printer._print(a) for a in self.args)
        return f"N({x}; {m}, {v})"


class E(sp.Expr):
    """The expectation E_q[f]: `E(q(z | x), log(p(x | z)))`, `E(Normal(z, m, v), z**2)`."""

    is_commutative = True

    def __new__(cls, measure, integrand=None):
        """Check the arguments and build the node."""
        if integrand is None:
            raise TypeError(
                "E(q, f) takes two: the density, and what is averaged, as in E(q(z | x), log(p(x | z))); "
                f"got only {measure}"
            )
        if not isinstance(measure, Density | Normal):
            raise TypeError(
                f"E(q, f) needs a density as q, such as q(z | x) or Normal(z, m, v); got {measure}"
            )
        if not isinstance(measure.variables[0], sp.Symbol):
            raise TypeError(f"E(q, f) needs a density of a variable as q; got {measure}")
        return super().__new__(cls, measure, sp.sympify(integrand))

    @property
    def free_symbols(self) -> set:
        """The symbols it depends on."""
        measure, integrand = self.args
        inner = integrand.free_symbols - set(measure.variables)
        if isinstance(measure, Normal):
            return inner.union(*(arg.free_symbols for arg in measure.args[1:]))
        return inner | (measure.free_symbols - set(measure.variables))

    def _eval_is_positive(self):
        return True if self.args[1].is_positive else None

    def _eval_is_nonnegative(self):
        return True if self.args[1].is_nonnegative else None

    def _sympystr(self, printer) -> str:
        measure, integrand = self.args
        return f"E_{{{printer._print(measure)}}}[{printer._print(integrand)}]"


class KL(sp.Expr):
    """The divergence KL(q ‖ p) = E_q[log q/p] of two densities of the same variables."""

    is_nonnegative = True
    is_commutative = True

    def __new__(cls, q, p=None):
        """Check the arguments and build the node."""
        if p is None:
            raise TypeError(f"KL(q, p) takes two densities, as in KL(q(z | x), p(z)); got only {q}")
        if not all(isinstance(d, Density | Normal) for d in (q, p)):
            raise TypeError(f"KL(q, p) needs two densities, such as q(z | x) and p(z); got {q} and {p}")
        if set(q.variables) != set(p.variables) or not isinstance(q.variables[0], sp.Symbol):
            raise TypeError(f"KL(q, p) needs densities of the same variables; got {q} and {p}")
        return super().__new__(cls, q, p)

    def unfold(self):
        """E_q[log q/p], its definition."""
        q, p = self.args
        return E(q, sp.log(q / p))

    @property
    def free_symbols(self) -> set:
        """The symbols it depends on."""
        return self.unfold().free_symbols

    def _sympystr(self, printer) -> str:
        return f"KL({printer._print(self.args[0])} || {printer._print(self.args[1])})"


class SquaredNorm(sp.Expr):
    """‖a‖², the sum of squares of a vector: `SquaredNorm(x[i] - m[i], (i, 1, D))`.

    The first argument is a coordinate, the second the index and its range.
    """

    is_nonnegative = True
    is_commutative = True

    def __new__(cls, coordinate, limits=()):
        """Check the arguments and build the node."""
        limits = sp.Tuple(*(limits if isinstance(limits, tuple | list | sp.Tuple) else (limits,)))
        if len(limits) != 3 or not isinstance(limits[0], sp.Symbol) or not limits[0].is_integer:
            raise TypeError(
                "SquaredNorm(a[i], (i, 1, D)) needs a coordinate, and an integer index with its range; got "
                f"{', '.join(map(str, limits)) or 'no range'}"
            )
        return super().__new__(cls, sp.sympify(coordinate), limits)

    def unfold(self):
        """Σ a_i², its definition."""
        coordinate, limits = self.args
        return sp.Sum(coordinate**2, tuple(limits))

    @property
    def free_symbols(self) -> set:
        """The symbols it depends on."""
        return self.unfold().free_symbols

    def _sympystr(self, printer) -> str:
        coordinate, limits = self.args
        return f"|{printer._print(coordinate)}|^2_{limits[0]}"


NAMES = (sp.Symbol, sp.Indexed, AppliedUndef, Density)  # what a definition or an assumption can be about
