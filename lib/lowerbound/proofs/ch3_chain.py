"""Chapter 3: what a chain of any length costs, by induction.

The step from t − 1 to t lumps all layers before x_{t−1} into one variable.
"""

from sympy import IndexedBase, Sum, Symbol, log

from ..symbolic import KL, Derivation, E, Family, RandomVariable
from .registry import derivation

t, T = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
C, G, D = (IndexedBase(name, real=True) for name in "CGD")
p, q, prior = Family("p", "theta"), Family("q"), Family("p")
x0, x1 = RandomVariable("x_0"), RandomVariable("x_1")
y, now, inner = RandomVariable("x_{t-1}"), RandomVariable("x_t"), RandomVariable("x_{<t-1}")
turned = Symbol("W", positive=True)


@derivation(chapter=3)
def chain_price_whole() -> Derivation:
    """What the average bound lies above the entropy H of the data is one KL, of whole chains."""
    z, entropy = RandomVariable("x_{1:T}"), Symbol("H", real=True)
    start = E(q(x0), -E(q(z | x0), log(p(x0, z) / q(z | x0)))) - entropy
    d = Derivation("chain_price_whole", start=start, given={entropy: -E(q(x0), log(q(x0)))})
    d.step(E(q(x0), E(q(z | x0), log(q(x0) * q(z | x0) / p(x0, z)))), "one expectation")
    return d.step(KL(q(x0, z), p(x0, z)), "product rule; definition of KL")


@derivation(chapter=3)
def chain_price_two() -> Derivation:
    """The price of a chain of two steps: read backwards, both chains factorise, and the KL splits."""
    x2 = RandomVariable("x_2")
    model, path = Family("p", "theta", fixed=[x2]), q(x0, x1, x2)
    given = {
        path: q(x0, x1) * q(x2 | x1),
        model(x0, x1, x2): model(x2) * model(x1 | x2) * model(x0 | x1),
        G[2]: KL(q(x2), model(x2)),
        D[2]: E(q(x2), KL(q(x1 | x2), model(x1 | x2))),
        D[1]: E(q(x1), KL(q(x0 | x1), model(x0 | x1))),
    }
    d = Derivation("chain_price_two", start=KL(path, model(x0, x1, x2)), symbol=C[2], given=given)
    end, second, first = q(x2) / model(x2), q(x1 | x2) / model(x1 | x2), q(x0 | x1) / model(x0 | x1)
    d.step(E(path, log(end * second * first)), "both chains, read backwards")
    d.step(E(path, log(end) + log(second) + log(first)), "log of a product")
    return d.step(G[2] + D[2] + D[1], "name the terms")


@derivation(chapter=3)
def chain_price_first() -> Derivation:
    """The KL of a chain of one step."""
    pair = q(x0, x1)
    given = {G[1]: KL(q(x1), prior(x1)), D[1]: E(q(x1), KL(q(x0 | x1), p(x0 | x1)))}
    start = E(pair, log(pair / (p(x0 | x1) * prior(x1))))
    d = Derivation("chain_price_first", start=start, symbol=C[1], given=given)
    d.step(E(pair, log(q(x1) / prior(x1)) + log(q(x0 | x1) / p(x0 | x1))), "read the chain backwards")
    return d.step(G[1] + D[1], "name the terms")


@derivation(chapter=3)
def chain_price_step() -> Derivation:
    """What one more step changes in the KL of the chain."""
    path, longer = q(inner, y), q(inner, y, now)
    given = {
        longer: path * q(now | y),
        C[t - 1]: E(path, log(path / (p(inner | y) * prior(y)))),
        G[t]: KL(q(now), prior(now)),
        G[t - 1]: KL(q(y), prior(y)),
        D[t]: E(q(now), KL(q(y | now), p(y | now))),
        turned: q(now) * q(y | now) / (prior(now) * p(y | now)),
    }
    start = E(longer, log(longer / (p(inner | y) * p(y | now) * prior(now))))
    d = Derivation("chain_price_step", start=start, symbol=C[t], given=given)
    d.step(E(longer, log(path / (p(inner | y) * q(y))) + log(turned)), "Bayes")
    rest = E(q(y), log(q(y) / prior(y)))
    d.step(C[t - 1] - rest + E(longer, log(turned)), "add and subtract $\\log p(x_{t-1})$")
    return d.step(C[t - 1] + (D[t] + G[t] - G[t - 1]), "name the terms")


@derivation(chapter=3)
def chain_price_telescoping() -> Derivation:
    """The same for the chain's KL."""
    return Derivation("chain_price_telescoping", start=C[T]).step(
        C[1] + Sum(C[t] - C[t - 1], (t, 2, T)), "telescope"
    )


@derivation(chapter=3)
def chain_price() -> Derivation:
    """The price of a chain: the prior's misfit at its end, and the misfit of every step back."""
    d = Derivation(
        "chain_price",
        start=C[T],
        using=[chain_price_telescoping(), chain_price_first(), chain_price_step()],
    )
    d.step(C[1] + Sum(C[t] - C[t - 1], (t, 2, T)), "telescope")
    d.step(G[1] + D[1] + Sum(D[t] + G[t] - G[t - 1], (t, 2, T)), "the first step, and each further one")
    return d.step(G[T] + Sum(D[t], (t, 1, T)), "all $G_t$ but the last cancel")
