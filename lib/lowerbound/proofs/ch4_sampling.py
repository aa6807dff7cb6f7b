"""Chapter 4: the score, the probability-flow ODE and its solvers, guidance. All in one dimension.

Here x̃_t = x_t/√ᾱ_t and ς_t = √((1 − ᾱ_t)/ᾱ_t), in which the forward chain adds noise and shrinks nothing.
"""

from sympy import Derivative, Function, IndexedBase, Integer, Integral, Sum, Symbol, exp, log, sqrt

from ..symbolic import Derivation, Family, Normal, RandomVariable, as_written
from .ch3_forward import alphabar, alphabar_s, xs, xt
from .ch4_reverse import eps_net, x0_net
from .registry import derivation

p, y = Family("p"), RandomVariable("y")
h, r, u = Symbol("h", positive=True), Symbol("r", positive=True), Symbol("u", real=True)
k, before = Symbol("k", real=True), Symbol("\\hat{x}'_0", real=True)
noise_s, noise = Symbol("varsigma_{t-1}", positive=True), Symbol("varsigma_t", positive=True)
state_s, state = Symbol("xtilde_{t-1}", real=True), Symbol("xtilde_t", real=True)
here, there = Symbol("d_t", real=True), Symbol("d_{t-1}", real=True)
centre, spread, level = Symbol("mu", real=True), Symbol("s", positive=True), Symbol("varsigma", positive=True)
path, image, start = Symbol("xtilde", real=True), Symbol("xhat_0", real=True), Symbol("xi", real=True)
w, eps_class = Symbol("w", real=True), Symbol("epsilon_y", real=True)

with as_written():
    LEVELS = {
        noise: sqrt(1 - alphabar) / sqrt(alphabar),
        noise_s: sqrt(1 - alphabar_s) / sqrt(alphabar_s),
        state: xt / sqrt(alphabar),
    }
    GUESS = {x0_net: (xt - sqrt(1 - alphabar) * eps_net) / sqrt(alphabar)}


i, N = Symbol("i", integer=True), Symbol("N", integer=True, positive=True)
one, density = IndexedBase("x", real=True), Function("q_{\\varsigma}", positive=True)(path)
guess = Function("\\hat{x}_0", real=True)(path)  # of the image, from x̃


def _bell():
    """The noise around image i of a data set of N."""
    return Normal(path, one[i], level**2)


def _mean_bell():
    """The density of x̃ written out: a bell around each image, in equal shares."""
    return Sum(_bell(), (i, 1, N)) / N


def _data_set():
    """The density of x̃ at the level ς for N images, all equally likely, and the best guess of the image."""
    images = (i, 1, N)
    return {density: _mean_bell(), guess: Sum(one[i] * _bell(), images) / (N * density)}


@derivation(chapter=4)
def slope_of_density() -> Derivation:
    """The density of the noised data rises towards the best guess of the image."""
    d = Derivation("slope_of_density", start=Derivative(_mean_bell(), path), given=_data_set())
    d.step(Sum((one[i] - path) / level**2 * _bell(), (i, 1, N)) / N, "each bell's slope")
    return d.step((guess - path) / level**2 * density, "the best guess is the weighted mean")


@derivation(chapter=4)
def tweedie() -> Derivation:
    """The score of the noised data points from x̃ to the best guess of the image: Tweedie's formula."""
    d = Derivation("tweedie", start=Derivative(log(_mean_bell()), path), given=_data_set())
    slopes = Sum((one[i] - path) / level**2 * _bell(), (i, 1, N)) / N
    d.step(slopes / density, "the slope of a logarithm")
    return d.step((guess - path) / level**2, "the best guess is the weighted mean")


@derivation(chapter=4)
def flow_carries_density() -> Derivation:
    """The density of the noised data changes with ς as a flow with the slope (x̃ − x̂_0)/ς changes it."""
    d = Derivation("flow_carries_density", start=Derivative(_mean_bell(), level), given=_data_set())
    widened = ((path - one[i]) ** 2 / level**3 - 1 / level) * _bell()
    d.step(Sum(widened, (i, 1, N)) / N, "differentiate each bell")
    d.step(-Sum(Derivative((path - one[i]) / level * _bell(), path), (i, 1, N)) / N, "the same, as a slope")
    return d.step(-Derivative((path - guess) / level * density, path), "the best guess is the weighted mean")


@derivation(chapter=4)
def flow_slope() -> Derivation:
    """The slope of the probability flow is the predicted noise."""
    d = Derivation("flow_slope", start=(state - x0_net) / noise, given={**LEVELS, **GUESS})
    d.step((xt - sqrt(alphabar) * x0_net) / sqrt(1 - alphabar), "times $\\sqrt{\\bar\\alpha_t}$")
    return d.step(eps_net, "put $\\hat x_0$ in")


@derivation(chapter=4)
def flow_of_gaussian() -> Derivation:
    """Data N(μ, s²): a point that keeps its place in the bell, as the noise grows, follows the flow."""
    given = {
        path: centre + sqrt(spread**2 + level**2) * start,
        image: (level**2 * centre + spread**2 * path) / (spread**2 + level**2),
    }
    d = Derivation("flow_of_gaussian", start=Derivative(given[path], level), given=given)
    d.step(level / sqrt(spread**2 + level**2) * start, "differentiate")
    d.step(level * (path - centre) / (spread**2 + level**2), "$\\xi$ from $\\tilde x$")
    return d.step((path - image) / level, "best guess")


@derivation(chapter=4, code="samplers.ddim")
def flow_euler() -> Derivation:
    """Euler's step along the flow is DDIM's with η = 0."""
    d = Derivation(
        "flow_euler",
        start=sqrt(alphabar_s) * (state + (noise_s - noise) * eps_net),
        symbol=xs,
        given={**LEVELS, **GUESS},
    )
    d.step(
        sqrt(alphabar_s) * (x0_net + noise_s * eps_net),
        "$\\tilde x_t - \\varsigma_t \\hat\\varepsilon = \\hat x_0$",
    )
    return d.step(sqrt(alphabar_s) * x0_net + sqrt(1 - alphabar_s) * eps_net, "multiply out")


@derivation(chapter=4, code="samplers.heun")
def heun_step() -> Derivation:
    """Heun's step: the mean of the slopes at both ends of Euler's."""
    return Derivation("heun_step", start=state_s).define(state + (noise_s - noise) * (here + there) / 2)


@derivation(chapter=4)
def heun_line() -> Derivation:
    """Heun's step is exact where the slope changes evenly."""
    step = noise_s - noise
    d = Derivation("heun_line", start=step * Integral(here + k * u, (u, 0, 1)), given={there: here + k})
    d.step(step * (here + k / 2), "integrate")
    return d.step(step * (here + there) / 2, "the slope at the far end")


def _half_log(a):
    return log(sqrt(a) / sqrt(1 - a))


@derivation(chapter=4, code="samplers.dpm_solver")
def dpm_first_order() -> Derivation:
    """The first-order step of DPM-Solver++ is DDIM's with η = 0."""
    given = {h: _half_log(alphabar_s) - _half_log(alphabar)}
    first = sqrt(1 - alphabar_s) / sqrt(1 - alphabar) * xt
    d = Derivation(
        "dpm_first_order", start=first + sqrt(alphabar_s) * (1 - exp(-h)) * x0_net, symbol=xs, given=given
    )
    ratio = sqrt(1 - alphabar_s) * sqrt(alphabar) / (sqrt(alphabar_s) * sqrt(1 - alphabar))
    d.step(first + sqrt(alphabar_s) * (1 - ratio) * x0_net, "exponential of a logarithm")
    left = (xt - sqrt(alphabar) * x0_net) / sqrt(1 - alphabar)
    return d.step(sqrt(alphabar_s) * x0_net + sqrt(1 - alphabar_s) * left, "collect $\\hat x_0$")


def _exact():
    return (1 - exp(-h)) * x0_net + (exp(-h) - 1 + h) * k


@derivation(chapter=4)
def dpm_line() -> Derivation:
    """What a step adds in units of √ᾱ_{t−1}, when x̂_0 moves along a line in λ."""
    d = Derivation("dpm_line", start=Integral(h * exp(h * u - h) * (x0_net + k * h * u), (u, 0, 1)))
    return d.step(_exact(), "integrate by parts")


@derivation(chapter=4, code="samplers.dpm_solver")
def dpm_second_order() -> Derivation:
    """What DPM-Solver++(2M) adds, from the last two guesses."""
    d = Derivation(
        "dpm_second_order",
        start=(1 - exp(-h)) * (x0_net + k * h / 2),
        given={k: (x0_net - before) / (r * h)},
    )
    return d.step((1 - exp(-h)) * (x0_net + (x0_net - before) / (2 * r)), "slope of the line")


@derivation(chapter=4)
def dpm_first_order_error() -> Derivation:
    """What the first-order step misses of a line."""
    d = Derivation("dpm_first_order_error", start=_exact() - (1 - exp(-h)) * x0_net)
    d.step((exp(-h) - 1 + h) * k, "cancel")
    return d.leading_order(k * h**2 / 2, h, Integer(0), "short steps")


@derivation(chapter=4)
def dpm_second_order_error() -> Derivation:
    """What the second-order step misses of a line: one order less."""
    d = Derivation("dpm_second_order_error", start=_exact() - (1 - exp(-h)) * (x0_net + k * h / 2))
    d.step((exp(-h) * (1 + h / 2) - 1 + h / 2) * k, "collect $k$")
    return d.leading_order(k * h**3 / 12, h, Integer(0), "short steps")


@derivation(chapter=4)
def guided_density() -> Derivation:
    """The density that guidance leans towards, from those with the class and without it."""
    d = Derivation("guided_density", start=log(p(xt) * p(y | xt) ** (1 + w)))
    d.step(log(p(xt)) + (1 + w) * log(p(y | xt)), "log of a product")
    d.step(log(p(xt)) + (1 + w) * (log(p(xt | y)) + log(p(y)) - log(p(xt))), "Bayes")
    return d.step((1 + w) * log(p(xt | y)) - w * log(p(xt)) + (1 + w) * log(p(y)), "collect")


@derivation(chapter=4, code="guidance.Guided.forward")
def guided_noise() -> Derivation:
    """The guided noise: from the answer without the class through the one with it, and beyond."""
    d = Derivation("guided_noise", start=(1 + w) * eps_class - w * eps_net)
    return d.step(eps_class + w * (eps_class - eps_net), "collect $w$")
