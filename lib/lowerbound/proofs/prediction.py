"""Chapter 4: what is defined rather than derived, how wide a step is, and what a network may predict."""

from __future__ import annotations

from typing import Any

from sympy import Function, Integer, Sum, Symbol, oo, sqrt

from ..symbolic import Derivation, E, Family, Normal, as_written
from .forward import SCHEDULE, alpha, alphabar, alphabar_s, beta, q, x0, xs, xt
from .registry import derivation
from .reverse import VARIANCE, beta_post, eps, eps_net, sigma, x0_net

__all__ = [
    "ddim_step",
    "eps_without_signal",
    "eps_without_signal_error",
    "forward_step",
    "reverse_step",
    "simple_loss",
    "step_around",
    "v_error",
    "v_to_eps",
    "v_to_x0",
    "v_without_signal",
    "v_without_signal_error",
    "width_for_a_point",
    "width_for_noise",
]

p = Family("p", "theta")
v, v_net, v_step = Symbol("v", real=True), Symbol("vhat", real=True), Symbol("v_{t-1}", positive=True)
spread = Symbol("s", nonnegative=True)


@derivation(chapter=3, lecture="12:56–13:25", code="diffusion.Diffusion.q_sample")
def forward_step() -> Derivation:
    """One step of the encoder: shrink a little, add a little noise."""
    d = Derivation("forward_step", start=q(xt | xs))
    return d.define(Normal(xt, sqrt(1 - beta) * xs, beta))


@derivation(chapter=4)
def reverse_step() -> Derivation:
    """One step of the decoder: a Gaussian whose mean a network finds."""
    d = Derivation("reverse_step", start=p(xs | xt))
    return d.define(Normal(xs, Function("\\mu_\\theta")(xt, Symbol("t")), sigma**2))


@derivation(chapter=4)
def step_around() -> Derivation:
    """A forward step, turned around by Bayes' rule with x_0 always given."""
    d = Derivation("step_around", start=q(xt | xs), given={q(xt | xs): q(xt | xs, x0)})
    d.step(q(xt | xs, x0), "the chain forgets")
    return d.step(q(xs | xt, x0) * q(xt | x0) / q(xs | x0), "Bayes, given $x_0$")


@derivation(chapter=4, code="objective.l_simple")
def simple_loss() -> Derivation:
    """The simple loss: the terms of the bound without their weights."""
    t, T = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
    guess = Function("\\hat\\varepsilon")(xt, t)
    d = Derivation("simple_loss", start=Symbol("L_{\\text{simple}}", real=True))
    return d.define(Sum(E(q(x0, xt), (eps - guess) ** 2), (t, 1, T)) / T)


def _width(of: Any, name: str, reason: str, result: Any) -> Derivation:
    """The variance of x_{t−1} given x_t, for data of standard deviation `of`."""
    given = {**SCHEDULE, **VARIANCE, v_step: alphabar_s * spread**2 + (1 - alphabar_s), spread: of}
    d = Derivation(name, start=1 / (1 / v_step + alpha / beta), given=given)
    d.step(1 / (1 / (alphabar_s * of**2 + (1 - alphabar_s)) + alpha / beta), reason)
    return d.step(result, "$\\alpha_t + \\beta_t = 1$")


@derivation(chapter=4, code="diffusion.fixed_small")
def width_for_a_point() -> Derivation:
    """The variance of a step back when all data are one point (s = 0)."""
    return _width(Integer(0), "width_for_a_point", "$s = 0$", beta_post)


@derivation(chapter=4, code="diffusion.fixed_large")
def width_for_noise() -> Derivation:
    """The variance of a step back when the data are N(0, 1) (s = 1)."""
    return _width(Integer(1), "width_for_noise", "$s = 1$", beta)


with as_written():
    NOISED = {xt: sqrt(alphabar) * x0 + sqrt(1 - alphabar) * eps}
    TURNED = {v: sqrt(alphabar) * eps - sqrt(1 - alphabar) * x0}


@derivation(chapter=4)
def v_to_x0() -> Derivation:
    """The image from x_t and v, without a division."""
    d = Derivation("v_to_x0", start=x0, given={**NOISED, **TURNED})
    d.step(alphabar * x0 + (1 - alphabar) * x0, "$\\bar\\alpha_t + (1 - \\bar\\alpha_t) = 1$")
    return d.step(sqrt(alphabar) * xt - sqrt(1 - alphabar) * v, "the noise cancels")


@derivation(chapter=4, code="nets.UNet.forward")
def v_to_eps() -> Derivation:
    """The noise from x_t and v, without a division."""
    d = Derivation("v_to_eps", start=eps, given={**NOISED, **TURNED})
    d.step((1 - alphabar) * eps + alphabar * eps, "$(1 - \\bar\\alpha_t) + \\bar\\alpha_t = 1$")
    return d.step(sqrt(1 - alphabar) * xt + sqrt(alphabar) * v, "the image cancels")


@derivation(chapter=4)
def v_error() -> Derivation:
    """An error of v, as an error of the noise."""
    image = (xt - sqrt(1 - alphabar) * eps) / sqrt(alphabar)
    guess = (xt - sqrt(1 - alphabar) * eps_net) / sqrt(alphabar)
    given = {
        v: sqrt(alphabar) * eps - sqrt(1 - alphabar) * x0,
        v_net: sqrt(alphabar) * eps_net - sqrt(1 - alphabar) * x0_net,
        x0: image,
        x0_net: guess,
    }
    d = Derivation("v_error", start=(v - v_net) ** 2, given=given)
    d.step((sqrt(alphabar) + (1 - alphabar) / sqrt(alphabar)) ** 2 * (eps - eps_net) ** 2, "$x_t$ cancels")
    return d.step((eps - eps_net) ** 2 / alphabar, "$\\bar\\alpha_t + (1 - \\bar\\alpha_t) = 1$")


def _fading(name: str, start: Any, limit: Any, reason: str) -> Derivation:
    """A limit as ᾱ_t → 0: no signal is left."""
    return Derivation(name, start=start).tends_to(limit, alphabar, Integer(0), reason)


@derivation(chapter=4)
def eps_without_signal() -> Derivation:
    """Where no signal is left, x_t is the noise: a perfect prediction says nothing of the image."""
    return _fading("eps_without_signal", NOISED[xt], eps, "$x_0$ is gone")


@derivation(chapter=4)
def v_without_signal() -> Derivation:
    """Where no signal is left, v is the image, with the other sign."""
    return _fading("v_without_signal", TURNED[v], -x0, "the noise is gone")


@derivation(chapter=4)
def eps_without_signal_error() -> Derivation:
    """The squared error of the image for a squared error of 1 of the noise, as the signal fades."""
    return _fading("eps_without_signal_error", (1 - alphabar) / alphabar, oo, "a division by nothing")


@derivation(chapter=4)
def v_without_signal_error() -> Derivation:
    """The squared error of the image for a squared error of 1 of v, as the signal fades."""
    return _fading("v_without_signal_error", 1 - alphabar, Integer(1), "nothing is divided")


@derivation(chapter=4, code="samplers.ddim")
def ddim_step() -> Derivation:
    """One step of DDIM: a part of the noise is kept, the rest replaced."""
    fresh = Symbol("xi", real=True)
    kept = sqrt(1 - alphabar_s - sigma**2) * Symbol("epsilonhat", real=True)
    d = Derivation("ddim_step", start=xs)
    return d.define(sqrt(alphabar_s) * x0_net + kept + sigma * fresh)
