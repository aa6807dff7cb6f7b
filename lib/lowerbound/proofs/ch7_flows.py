"""Chapter 7: score matching by denoising, the SDE limit, flow matching, and fewer calls by learning.

Letters as in chapters 3 and 4; a and b are signal and noise, ρ = a/b = √SNR. In one dimension.
"""

from sympy import Derivative, Function, Integer, Sum, Symbol, log, sqrt

from ..symbolic import Derivation, E
from .ch3_forward import alphabar, q, x0, xt
from .ch4_reverse import eps_net, x0_net
from .ch4_sampling import N, _bell, _data_set, _mean_bell, centre, density, guess, i, level, one, path, spread
from .ch7_coordinates import a, b, u_net
from .registry import derivation

# Score matching

g = Symbol("shat", real=True)
mean_score, scatter = Symbol("m", real=True), Symbol("V", positive=True)


@derivation(chapter=7)
def score_is_mean_slope() -> Derivation:
    """The score of the noised data is the mean of the slopes of the single bells, weighted by Bayes' rule."""
    d = Derivation(
        "score_is_mean_slope",
        start=Sum((one[i] - path) / level**2 * _bell(), (i, 1, N)) / (N * density),
        given=_data_set(),
    )
    d.step((guess - path) / level**2, "the best guess is the weighted mean")
    return d.step(Derivative(log(_mean_bell()), path), "Tweedie's formula")


@derivation(chapter=7)
def denoising_score_matching() -> Derivation:
    """An error against the slope of one bell is the error against the score, and a constant."""
    law, slope = q(x0 | xt), Function("s")(x0)
    given = {mean_score: E(law, slope), scatter: E(law, (slope - E(law, slope)) ** 2)}
    d = Derivation("denoising_score_matching", start=E(law, (g - slope) ** 2), given=given)
    d.step((g - mean_score) ** 2 + E(law, (slope - mean_score) ** 2), "the mean is in between")
    return d.step((g - mean_score) ** 2 + scatter, "name the variance")


# Short steps: the chain as a differential equation

h, rate = Symbol("h", positive=True), Symbol("beta", positive=True)
now = Symbol("x_t", real=True)
score = Symbol("shat", real=True)


@derivation(chapter=7)
def forward_drift() -> Derivation:
    """What a forward step of the length h moves, for each unit of h: the drift of the SDE."""
    d = Derivation("forward_drift", start=(sqrt(1 - rate * h) * now - now) / h, where=[rate * h < 1])
    return d.tends_to(-rate * now / 2, h, Integer(0), "short steps")


@derivation(chapter=7)
def reverse_drift() -> Derivation:
    """What an ancestral step moves, for each unit of h: the drift of the reverse SDE."""
    mean = (now - rate * h / sqrt(1 - alphabar) * eps_net) / sqrt(1 - rate * h)
    given = {eps_net: -sqrt(1 - alphabar) * score}
    d = Derivation("reverse_drift", start=(mean - now) / h, given=given, where=[rate * h < 1])
    d.step(((now + rate * h * score) / sqrt(1 - rate * h) - now) / h, "the noise is a score")
    return d.tends_to(rate * (now / 2 + score), h, Integer(0), "short steps")


@derivation(chapter=7)
def flow_drift() -> Derivation:
    """What a DDIM step moves, for each unit of h: the same with half the score, and no noise."""
    shift = sqrt(1 - alphabar / (1 - rate * h)) - sqrt(1 - alphabar) / sqrt(1 - rate * h)
    given = {eps_net: -sqrt(1 - alphabar) * score}
    start = (now / sqrt(1 - rate * h) + shift * eps_net - now) / h
    d = Derivation("flow_drift", start=start, given=given, where=[rate * h < 1 - alphabar])
    d.step((now / sqrt(1 - rate * h) - sqrt(1 - alphabar) * shift * score - now) / h, "the noise is a score")
    return d.tends_to(rate * (now / 2 + score / 2), h, Integer(0), "short steps")


@derivation(chapter=7)
def langevin_keeps() -> Derivation:
    """Noise, and half as much of the score against it, leave the density as it is."""
    law = Function("q", positive=True)(now)
    d = Derivation(
        "langevin_keeps",
        start=-Derivative(rate / 2 * Derivative(log(law), now) * law, now)
        + rate / 2 * Derivative(law, now, 2),
    )
    d.step(
        -Derivative(rate / 2 * Derivative(law, now), now) + rate / 2 * Derivative(law, now, 2),
        "the slope of a logarithm",
    )
    return d.step(Integer(0), "cancel")


# Flow matching

state = Symbol("z", real=True)


@derivation(chapter=7, code="samplers.ddim")
def straight_euler() -> Derivation:
    """Euler's step along the straight path is DDIM's, in other units."""
    tau, tau_s = Symbol("tau", positive=True), Symbol("tau'", positive=True)
    given = {state: (1 - tau) * x0_net + tau * eps_net, u_net: eps_net - x0_net}
    d = Derivation("straight_euler", start=state + (tau_s - tau) * u_net, given=given)
    d.step((1 - tau) * x0_net + tau * eps_net + (tau_s - tau) * (eps_net - x0_net), "guessed image and noise")
    return d.step((1 - tau_s) * x0_net + tau_s * eps_net, "collect")


@derivation(chapter=7, code="coordinates.straightened")
def straight_units() -> Derivation:
    """Every chain becomes the straight path when its state is divided by signal plus noise."""
    tau, eps = Symbol("tau", positive=True), Symbol("epsilon", real=True)
    given = {tau: b / (a + b)}
    d = Derivation("straight_units", start=(a * x0 + b * eps) / (a + b), symbol=state, given=given)
    d.step(a / (a + b) * x0 + b / (a + b) * eps, "two fractions")
    return d.step((1 - tau) * x0 + tau * eps, "name $\\tau$")


@derivation(chapter=7)
def lines_do_not_cross() -> Derivation:
    """On a line, straight paths between noise and its image under a rising map keep their order."""
    tau, apart, images = (Symbol(name, positive=True) for name in ("tau", "Delta", "Delta_0"))
    x, y, gx, gy = (Symbol(name, real=True) for name in ("xi", "xi'", "G", "G'"))
    given = {apart: y - x, images: gy - gx}
    d = Derivation(
        "lines_do_not_cross",
        start=((1 - tau) * gy + tau * y) - ((1 - tau) * gx + tau * x),
        given=given,
        where=[tau < 1],
    )
    d.step((1 - tau) * images + tau * apart, "collect")
    return d.at_least(tau * apart, "$G$ rises: $\\Delta_0 > 0$", because=(1 - tau) * images)


# Two steps in one

signal_m, noise_m = Symbol("a'", positive=True), Symbol("b'", positive=True)
signal_e, noise_e = Symbol("a''", positive=True), Symbol("b''", positive=True)
next_guess, target = Symbol("\\hat{x}'_0", real=True), Symbol("xbar", real=True)
rho, rho_m, rho_e = (Symbol(name, positive=True) for name in ("rho", "rho'", "rho''"))
middle, end = Symbol("x'", real=True), Symbol("x''", real=True)


def _ddim(image, state, signal, noise, to_signal, to_noise):
    return to_signal * image + to_noise * (state - signal * image) / noise


@derivation(chapter=7, code="coordinates.two_steps_in_one")
def distillation_target() -> Derivation:
    """The guess by which one DDIM step lands where two did."""
    given = {end: _ddim(target, xt, a, b, signal_e, noise_e)}
    d = Derivation(
        "distillation_target",
        start=(end - noise_e / b * xt) / (signal_e - noise_e / b * a),
        given=given,
        where=[signal_e * b > noise_e * a],
    )
    d.step((signal_e - noise_e / b * a) * target / (signal_e - noise_e / b * a), "one DDIM step")
    return d.step(target, "cancel")


@derivation(chapter=7, code="coordinates.two_steps_in_one")
def distillation_mean() -> Derivation:
    """That guess is a mean of the teacher's two guesses, weighted by what each step gains in √SNR."""
    given = {
        end: _ddim(next_guess, middle, signal_m, noise_m, signal_e, noise_e),
        middle: _ddim(x0_net, xt, a, b, signal_m, noise_m),
        rho: a / b,
        rho_m: signal_m / noise_m,
        rho_e: signal_e / noise_e,
    }
    d = Derivation(
        "distillation_mean",
        start=(end - noise_e / b * xt) / (signal_e - noise_e / b * a),
        given=given,
        symbol=target,
        where=[signal_e * b > noise_e * a],
    )
    d.step((end / noise_e - xt / b) / (rho_e - rho), "divide by $b''$")
    return d.step(((rho_m - rho) * x0_net + (rho_e - rho_m) * next_guess) / (rho_e - rho), "two DDIM steps")


@derivation(chapter=7)
def consistency_of_gaussian() -> Derivation:
    """Data N(μ, s²): where the flow ends does not change along the flow."""
    start = Symbol("xi", real=True)
    given = {path: centre + sqrt(spread**2 + level**2) * start}
    d = Derivation(
        "consistency_of_gaussian",
        start=centre + spread * (path - centre) / sqrt(spread**2 + level**2),
        given=given,
    )
    return d.step(centre + spread * start, "$\\xi$ from $\\tilde x$")


@derivation(chapter=7)
def consistency_equation() -> Derivation:
    """The same as an equation: what time changes in the end, the flow takes back."""
    place = Symbol("xtilde", real=True)
    ending = centre + spread * (place - centre) / sqrt(spread**2 + level**2)
    slope = level * (place - centre) / (spread**2 + level**2)
    d = Derivation(
        "consistency_equation", start=Derivative(ending, level) + slope * Derivative(ending, place)
    )
    term = spread * level * (place - centre) / (spread**2 + level**2) ** (Integer(3) / 2)
    d.step(-term + slope * spread / sqrt(spread**2 + level**2), "differentiate")
    return d.step(Integer(0), "cancel")
