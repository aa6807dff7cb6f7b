"""Chapter 4: the bound of a chain of any length, telescoped by induction. Letters as in ch3_chain."""

from sympy import Function, IndexedBase, Integer, Sum, Symbol, log

from ..symbolic import KL, Derivation, E, RandomVariable
from .ch3_chain import T, inner, now, p, prior, q, t, turned, x0, x1, y
from .registry import derivation

B, R, M = (IndexedBase(name, real=True) for name in "BRM")
L0, x2 = Symbol("L_0", real=True), RandomVariable("x_2")


@derivation(chapter=4)
def telescoped_first() -> Derivation:
    """The bound of a chain of one step: that of a VAE with the latent x_1."""
    given = {R[1]: KL(q(x1 | x0), prior(x1)), L0: E(q(x1 | x0), -log(p(x0 | x1)))}
    d = Derivation(
        "telescoped_first",
        start=E(q(x1 | x0), -log(p(x0 | x1) * prior(x1) / q(x1 | x0))),
        symbol=B[1],
        given=given,
    )
    d.step(E(q(x1 | x0), -log(p(x0 | x1))) + E(q(x1 | x0), log(q(x1 | x0) / prior(x1))), "split")
    return d.step(R[1] + L0, "names")


def _longer(name: str, index, layers: list, last, new) -> Derivation:
    """What one more layer, `new` behind `last`, changes in the bound; layers: those before `last`."""
    before = index - 1 if index is t else Integer(1)
    ratio = turned if index is t else Function("W_2", positive=True)
    decoder = p(x0, layers[0] | last) if layers else p(x0 | last)
    path, longer = q(*layers, last | x0), q(*layers, last, new | x0)
    forward = {longer: path * q(new | last), q(new | last): q(new | last, x0)}
    terms = {
        R[before]: KL(q(last | x0), prior(last)),
        R[index]: KL(q(new | x0), prior(new)),
        M[index]: E(q(new | x0), KL(q(last | new, x0), p(last | new))),
        B[before]: E(path, -log(decoder * prior(last) / path)),
        ratio(last, new): p(last | new) * prior(new) / (q(last | new, x0) * q(new | x0)),
    }
    start = E(longer, -log(decoder * p(last | new) * prior(new) / longer))
    where = {t: (3, T)} if index is t else {}
    d = Derivation(name, start=start, symbol=B[index], given={**forward, **terms}, where=where)
    d.step(E(longer, -log(decoder / path * ratio(last, new) * q(last | x0))), "Bayes, given $x_0$")
    rest = E(q(last | x0), log(q(last | x0) / prior(last)))
    d.step(B[before] - rest + E(longer, -log(ratio(last, new))), "add and subtract the prior")
    return d.step(B[before] + (M[index] + R[index] - R[before]), "name the terms")


@derivation(chapter=4)
def telescoped_second() -> Derivation:
    """What the second step changes in the bound: the prior's term moves on, and one KL is added."""
    return _longer("telescoped_second", Integer(2), [], x1, x2)


@derivation(chapter=4)
def telescoped_step() -> Derivation:
    """What step t > 2 changes in the bound: the prior's term moves on, and one KL is added."""
    return _longer("telescoped_step", t, [inner], y, now)


@derivation(chapter=4)
def telescoping() -> Derivation:
    """Any sequence is its first member and the sum of its differences."""
    return Derivation("telescoping", start=B[T]).step(B[1] + Sum(B[t] - B[t - 1], (t, 2, T)), "telescope")


@derivation(chapter=4, code="bound.Bound.nats")
def diffusion_bound() -> Derivation:
    """The bound of a chain of T steps, by induction from one step and from each further one."""
    L, L_T = IndexedBase("L", real=True), Symbol("L_T", real=True)
    d = Derivation(
        "diffusion_bound",
        start=B[T],
        given={L_T: R[T], L[t - 1]: M[t]},
        using=[telescoping(), telescoped_first(), telescoped_second(), telescoped_step()],
    )
    d.step(B[1] + Sum(B[t] - B[t - 1], (t, 2, T)), "telescope")
    d.step(R[1] + L0 + Sum(M[t] + R[t] - R[t - 1], (t, 2, T)), "the first step, and each further one")
    d.step(R[T] + Sum(M[t], (t, 2, T)) + L0, "all $R_t$ but the last cancel")
    return d.step(L_T + Sum(L[t - 1], (t, 2, T)) + L0, "name the terms")
