"""The book's notation as sympy objects: p(x | z), q(z | x), E_q[...], KL(q ‖ p), N(z; m, v).

x, z = RandomVariable("x"), RandomVariable("z")
p = Family("p", parameters="theta", fixed=[z])     # the prior p(z) has no parameters
q = Family("q", parameters="phi")
with as_written():
    E(q(z | x), log(p(x | z) * p(z) / q(z | x)))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sp
from sympy.core.symbol import Str


def as_written() -> Any:
    """A context for `with`, in which expressions stay in the order and the grouping in which they are typed.

    Outside this context sympy sorts and merges what it is given: the checks are the same, the print is not.
    """
    return sp.evaluate(False)


class RandomVariable(sp.Symbol):  # type: ignore[misc]
    """A random variable; `z | x` reads "z given x": `q(z | x)`, `q(x1 | xt, x0)`, `q(z1, z2 | x)`."""

    def __new__(cls, name: str) -> Any:
        """Check the arguments and build the node."""
        return super().__new__(cls, name, real=True)

    def __or__(self, other: Any) -> Any:
        return Given(sp.Tuple(self), sp.Tuple(other))


class Given(sp.Basic):  # type: ignore[misc]
    """What `z | x` makes: the variables on the left of the bar and those on the right."""


class Unit(sp.Symbol):  # type: ignore[misc]
    """A symbol that lies strictly between 0 and 1, such as α_t: so 1 − α_t is positive too."""

    def __new__(cls, name: str) -> Any:
        """Check the arguments and build the node."""
        return super().__new__(cls, name, positive=True)


class Family(sp.Basic):  # type: ignore[misc]
    """A joint distribution and all its conditionals: `p(x, z)`, `p(x | z)`, `p(z)`.

    parameters: printed as subscript, "theta" for p_θ. Marginals over `fixed` variables have none.
    The densities of one family obey the product rule, and integrate to one, in every check.
    """

    def __new__(cls, name: str, parameters: str = "", fixed: Iterable[Any] = ()) -> Any:
        """Check the arguments and build the node."""
        names = sp.Tuple(*(Str(str(v)) for v in fixed))
        return super().__new__(cls, Str(str(name)), Str(str(parameters)), names)

    @property
    def func(self) -> Any:
        """Rebuilding a family gives the same family."""
        return lambda *args: self

    def __call__(self, *args: Any) -> Any:
        """The density of these variables: `p(x, z)`, `p(x | z)`."""
        left: list[Any] = []
        right: list[Any] = []
        for arg in args:
            if isinstance(arg, Given):
                left.extend(arg.args[0])
                right.extend(arg.args[1])
            else:
                (right if right else left).append(arg)
        if not left or not all(isinstance(v, RandomVariable) for v in left + right):
            raise TypeError(f"{self.args[0]}(...) takes random variables, as in q(z | x); got {args}")
        return Density(self, sp.Tuple(*left), sp.Tuple(*right))


class Density(sp.Expr):  # type: ignore[misc]
    """A positive density p(variables | given) of a `Family`. Made by calling the family."""

    is_positive = True
    is_commutative = True

    @property
    def family(self) -> Any:
        """The family it belongs to."""
        return self.args[0]

    @property
    def variables(self) -> tuple[Any, ...]:
        """The variables left of the bar, a tuple."""
        return tuple(self.args[1])

    @property
    def given(self) -> tuple[Any, ...]:
        """The variables right of the bar, a tuple."""
        return tuple(self.args[2])

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols it depends on."""
        return set(self.variables) | set(self.given)

    def _sympystr(self, printer: Any) -> str:
        bar = " | " + ", ".join(map(str, self.given)) if self.given else ""
        name, parameters, _ = map(str, self.family.args)
        prime = "'" * parameters.count("'")
        return f"{name}{prime}({', '.join(map(str, self.variables))}{bar})"


class Normal(sp.Expr):  # type: ignore[misc]
    """The density N(x; mean, variance) of a real scalar, as a function of x and as a measure for `E`."""

    is_positive = True
    is_commutative = True

    def __new__(cls, x: Any, mean: Any, variance: Any) -> Any:
        """Check the arguments and build the node."""
        return super().__new__(cls, sp.sympify(x), sp.sympify(mean), sp.sympify(variance))

    @property
    def variables(self) -> tuple[Any, ...]:
        """The variables left of the bar, a tuple."""
        return (self.args[0],)

    @property
    def given(self) -> tuple[Any, ...]:
        """The variables right of the bar, a tuple."""
        return ()

    def pdf(self) -> Any:
        """The formula exp(−(x − m)²/2v) / √(2πv)."""
        x, m, v = self.args
        return sp.exp(-((x - m) ** 2) / (2 * v)) / sp.sqrt(2 * sp.pi * v)

    def _sympystr(self, printer: Any) -> str:
        x, m, v = (printer._print(a) for a in self.args)
        return f"N({x}; {m}, {v})"


class E(sp.Expr):  # type: ignore[misc]
    """The expectation E_q[f]: `E(q(z | x), log(p(x | z)))`, `E(Normal(z, m, v), z**2)`."""

    is_commutative = True

    def __new__(cls, measure: Any, integrand: Any) -> Any:
        """Check the arguments and build the node."""
        if not isinstance(measure, Density | Normal):
            raise TypeError(
                f"E(q, f) needs a density as q, such as q(z | x) or Normal(z, m, v); got {measure}"
            )
        return super().__new__(cls, measure, sp.sympify(integrand))

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols it depends on."""
        measure, integrand = self.args
        inner: set[Any] = integrand.free_symbols - set(measure.variables)
        if isinstance(measure, Normal):
            return inner.union(*(arg.free_symbols for arg in measure.args[1:]))
        return inner | set(measure.given)

    def _sympystr(self, printer: Any) -> str:
        measure, integrand = self.args
        return f"E_{{{printer._print(measure)}}}[{printer._print(integrand)}]"


class KL(sp.Expr):  # type: ignore[misc]
    """The divergence KL(q ‖ p) = E_q[log q/p] of two densities of the same variables."""

    is_nonnegative = True
    is_commutative = True

    def __new__(cls, q: Any, p: Any) -> Any:
        """Check the arguments and build the node."""
        if not all(isinstance(d, Density | Normal) for d in (q, p)):
            raise TypeError(f"KL(q, p) needs two densities, such as q(z | x) and p(z); got {q} and {p}")
        if set(q.variables) != set(p.variables):
            raise TypeError(f"KL(q, p) needs densities of the same variables; got {q} and {p}")
        return super().__new__(cls, q, p)

    def unfold(self) -> Any:
        """E_q[log q/p], its definition."""
        q, p = self.args
        return E(q, sp.log(q / p))

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols it depends on."""
        free: set[Any] = E(self.args[0], sp.log(self.args[0] / self.args[1])).free_symbols
        return free

    def _sympystr(self, printer: Any) -> str:
        return f"KL({printer._print(self.args[0])} || {printer._print(self.args[1])})"
