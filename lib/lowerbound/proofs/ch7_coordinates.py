"""Chapter 7: what a network may be asked for. Every target is linear in image and noise. In one dimension.

x_t = a x_0 + b ε, with any signal a and noise b; a coordinate is y = c x_0 + d ε.
"""

from sympy import Derivative, Symbol, cos, sin, sqrt

from ..symbolic import Derivation, as_written
from .ch3_forward import x0, xt
from .ch4_reverse import eps, eps_net, v, x0_net
from .registry import derivation

a, b = Symbol("a", positive=True), Symbol("b", positive=True)
c, d_ = Symbol("c", real=True), Symbol("d", real=True)
det = Symbol("Delta", real=True, nonzero=True)
y, y_net = Symbol("y", real=True), Symbol("yhat", real=True)
score, score_net = Symbol("s", real=True), Symbol("shat", real=True)
u, u_net = Symbol("u", real=True), Symbol("uhat", real=True)

with as_written():
    STATE = {xt: a * x0 + b * eps}
    ANY = {**STATE, y: c * x0 + d_ * eps, det: a * d_ - b * c}
    GUESSES = {x0: (xt - b * eps) / a, x0_net: (xt - b * eps_net) / a}


@derivation(chapter=7, code="coordinates.to_image_and_noise")
def image_from_coordinate() -> Derivation:
    """The image from x_t and any coordinate: two linear equations, solved."""
    d = Derivation("image_from_coordinate", start=x0, given=ANY)
    d.step((d_ * (a * x0 + b * eps) - b * (c * x0 + d_ * eps)) / det, "the noise cancels")
    return d.step((d_ * xt - b * y) / det, "name $x_t$ and $y$")


@derivation(chapter=7, code="coordinates.to_image_and_noise")
def noise_from_coordinate() -> Derivation:
    """The noise from x_t and any coordinate."""
    d = Derivation("noise_from_coordinate", start=eps, given=ANY)
    d.step((a * (c * x0 + d_ * eps) - c * (a * x0 + b * eps)) / det, "the image cancels")
    return d.step((a * y - c * xt) / det, "name $x_t$ and $y$")


@derivation(chapter=7, code="coordinates.convert")
def image_from_noise() -> Derivation:
    """The image from x_t and the noise."""
    d = Derivation("image_from_noise", start=x0, given=STATE)
    d.step((a * x0 + b * eps - b * eps) / a, "add and subtract the noise")
    return d.step((xt - b * eps) / a, "name $x_t$")


@derivation(chapter=7, code="coordinates.convert")
def v_from_noise() -> Derivation:
    """The angular velocity v from x_t and the noise, where the squares of signal and noise add up to one."""
    d = Derivation("v_from_noise", start=a * eps - b * x0, symbol=v, given={**STATE, a: sqrt(1 - b**2)},
                   where=[b < 1])  # fmt: skip
    d.step((a**2 * eps + b**2 * eps - b * (a * x0 + b * eps)) / a, "add and subtract $b^2\\varepsilon$")
    return d.step((eps - b * xt) / a, "$a^2 + b^2 = 1$")


@derivation(chapter=7, code="coordinates.convert")
def velocity_from_noise() -> Derivation:
    """The velocity of the straight path from x_t and the noise, where signal and noise add up to one."""
    d = Derivation("velocity_from_noise", start=eps - x0, symbol=u, given={**STATE, a: 1 - b}, where=[b < 1])
    d.step((a * eps + b * eps - (a * x0 + b * eps)) / a, "add and subtract $b\\varepsilon$")
    return d.step((eps - xt) / a, "$a + b = 1$")


@derivation(chapter=7)
def velocity_of_path() -> Derivation:
    """The velocity of the straight path x_τ = (1 − τ) x_0 + τ ε: the same at every τ."""
    tau = Symbol("tau", positive=True)
    d = Derivation("velocity_of_path", start=Derivative((1 - tau) * x0 + tau * eps, tau), symbol=u)
    return d.step(eps - x0, "differentiate")


@derivation(chapter=7)
def velocity_of_circle() -> Derivation:
    """The target v is a velocity too: that of the path with signal cos φ and noise sin φ."""
    phi = Symbol("varphi", real=True)
    given = {a: cos(phi), b: sin(phi)}
    d = Derivation("velocity_of_circle", start=Derivative(cos(phi) * x0 + sin(phi) * eps, phi), given=given)
    d.step(cos(phi) * eps - sin(phi) * x0, "differentiate")
    return d.step(a * eps - b * x0, "name signal and noise")


@derivation(chapter=7, code="coordinates.Coordinate.weight")
def coordinate_error() -> Derivation:
    """The squared error of any coordinate is a known weight times that of the noise."""
    given = {**GUESSES, y: c * x0 + d_ * eps, y_net: c * x0_net + d_ * eps_net, det: a * d_ - b * c}
    d = Derivation("coordinate_error", start=(y - y_net) ** 2, given=given)
    d.step((d_ - b * c / a) ** 2 * (eps - eps_net) ** 2, "$x_t$ cancels")
    return d.step((det / a) ** 2 * (eps - eps_net) ** 2, "common denominator")


@derivation(chapter=7, code="coordinates.Coordinate.weight")
def image_error() -> Derivation:
    """An error of the image, as an error of the noise: divided by the signal-to-noise ratio."""
    d = Derivation("image_error", start=(x0 - x0_net) ** 2, given=GUESSES)
    d.step((-b / a * (eps - eps_net)) ** 2, "$x_t$ cancels")
    return d.step((eps - eps_net) ** 2 / (a**2 / b**2), "square")


@derivation(chapter=7, code="coordinates.Coordinate.weight")
def velocity_error() -> Derivation:
    """An error of the velocity of the straight path, where signal and noise add up to one."""
    given = {**GUESSES, u: eps - x0, u_net: eps_net - x0_net, a: 1 - b}
    d = Derivation("velocity_error", start=(u - u_net) ** 2, given=given, where=[b < 1])
    d.step((1 + b / a) ** 2 * (eps - eps_net) ** 2, "$x_t$ cancels")
    return d.step((eps - eps_net) ** 2 / a**2, "$a + b = 1$")
