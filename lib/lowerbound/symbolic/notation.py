"""The book's notation as sympy objects: p(x | z), q(z | x), E_q[...], KL(q ‖ p), N(z; m, v).

x, z = RandomVariable("x"), RandomVariable("z")
p = Family("p", parameters="theta", fixed=[z])     # the prior p(z) has no parameters
q = Family("q", parameters="phi")
with as_written():
    E(q(z | x), log(p(x | z) * p(z) / q(z | x)))
"""

from collections.abc import Iterable

import sympy as sp
from sympy.core.symbol import Str


def as_written():
    """A context for `with`, in which expressions stay in the order and the grouping in which they are typed.

    Outside this context sympy sorts and merges what it is given: the checks are the same, the print is not.
    """
    return sp.evaluate(False)


class RandomVariable(sp.Symbol):
    """A random variable; `z | x` reads "z given x": `q(z | x)`, `q(x1 | xt, x0)`, `q(z1, z2 | x)`."""

    def __new__(cls, name: str):
        """Check the arguments and build the node."""
        return super().__new__(cls, name, real=True)

    def __or__(self, other):
        return Given(sp.Tuple(self), sp.Tuple(other))


class Given(sp.Basic):
    """What `z | x` makes: the variables on the left of the bar and those on the right."""


class Unit(sp.Symbol):
    """A symbol that lies strictly between 0 and 1, such as α_t: so 1 − α_t is positive too."""

    def __new__(cls, name: str):
        """Check the arguments and build the node."""
        return super().__new__(cls, name, positive=True)


class Family(sp.Basic):
    """A joint distribution and all its conditionals: `p(x, z)`, `p(x | z)`, `p(z)`.

    parameters: printed as subscript, "theta" for p_θ. Marginals over `fixed` variables have none.
    The densities of one family obey the product rule, and integrate to one, in every check.
    """

    def __new__(cls, name: str, parameters: str = "", fixed: Iterable = ()):
        """Check the arguments and build the node."""
        names = sp.Tuple(*(Str(str(v)) for v in fixed))
        return super().__new__(cls, Str(str(name)), Str(str(parameters)), names)

    @property
    def func(self):
        """Rebuilding a family gives the same family."""
        return lambda *args: self

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
        if not left or not all(isinstance(v, RandomVariable) for v in left + right):
            raise TypeError(f"{self.args[0]}(...) takes random variables, as in q(z | x); got {args}")
        return Density(self, sp.Tuple(*left), sp.Tuple(*right))


class Density(sp.Expr):
    """A positive density p(variables | given) of a `Family`. Made by calling the family."""

    is_positive = True
    is_commutative = True

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
    def free_symbols(self) -> set:
        """The symbols it depends on."""
        return set(self.variables) | set(self.given)

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
        return super().__new__(cls, sp.sympify(x), sp.sympify(mean), sp.sympify(variance))

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

    def __new__(cls, measure, integrand):
        """Check the arguments and build the node."""
        if not isinstance(measure, Density | Normal):
            raise TypeError(
                f"E(q, f) needs a density as q, such as q(z | x) or Normal(z, m, v); got {measure}"
            )
        return super().__new__(cls, measure, sp.sympify(integrand))

    @property
    def free_symbols(self) -> set:
        """The symbols it depends on."""
        measure, integrand = self.args
        inner = integrand.free_symbols - set(measure.variables)
        if isinstance(measure, Normal):
            return inner.union(*(arg.free_symbols for arg in measure.args[1:]))
        return inner | set(measure.given)

    def _sympystr(self, printer) -> str:
        measure, integrand = self.args
        return f"E_{{{printer._print(measure)}}}[{printer._print(integrand)}]"


class KL(sp.Expr):
    """The divergence KL(q ‖ p) = E_q[log q/p] of two densities of the same variables."""

    is_nonnegative = True
    is_commutative = True

    def __new__(cls, q, p):
        """Check the arguments and build the node."""
        if not all(isinstance(d, Density | Normal) for d in (q, p)):
            raise TypeError(f"KL(q, p) needs two densities, such as q(z | x) and p(z); got {q} and {p}")
        if set(q.variables) != set(p.variables):
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
