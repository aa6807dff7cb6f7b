"""Chapter 4: the reverse step, the telescoped bound, its terms, DDIM, and what a network may predict."""

import sympy as sp
from sympy import Derivative, EulerGamma, Function, Integer, Integral, Rational, Sum, Symbol, log, oo, sqrt

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable, as_written
from .ch3_forward import CHAIN, SCHEDULE, alpha, alphabar, alphabar_s, beta, q, x0, xs, xt
from .registry import derivation

half = Rational(1, 2)
eps = Symbol("epsilon", real=True)
eta, sigma = Symbol("eta", nonnegative=True), Symbol("sigma_t", positive=True)
eps_net, x0_net = Symbol("varepsilonhat", real=True), Symbol("xhat_0", real=True)
beta_post = Symbol("betatilde_t", positive=True)
mean_post, mean_net = Symbol("mutilde_t", real=True), Symbol("mu_theta", real=True)


def _mean(image):
    """The posterior's mean for an image."""
    first, second = sqrt(alphabar_s) * beta / (1 - alphabar), sqrt(alpha) * (1 - alphabar_s) / (1 - alphabar)
    return first * image + second * xt


with as_written():
    VARIANCE = {beta_post: (1 - alphabar_s) / (1 - alphabar) * beta}
    MEAN = {mean_post: _mean(x0)}


@derivation(chapter=4, code="schedule.Schedule.posterior_variance")
def posterior_variance() -> Derivation:
    """The variance of q(x_{t−1} | x_t, x_0): precisions add."""
    d = Derivation(
        "posterior_variance",
        start=1 / (alpha / beta + 1 / (1 - alphabar_s)),
        symbol=beta_post,
        given=SCHEDULE,
    )
    d.step(beta * (1 - alphabar_s) / (alpha * (1 - alphabar_s) + beta), "common denominator")
    d.step(
        (1 - alphabar_s) / (1 - alphabar) * beta,
        "$\\alpha_t - \\bar\\alpha_t + \\beta_t = 1 - \\bar\\alpha_t$",
    )
    return d


@derivation(chapter=4, code="diffusion.Diffusion.q_posterior")
def posterior_mean() -> Derivation:
    """The mean of q(x_{t−1} | x_t, x_0): the two Gaussians' means, weighted by their precisions."""
    weighted = sqrt(alpha) / beta * xt + sqrt(alphabar_s) / (1 - alphabar_s) * x0
    d = Derivation(
        "posterior_mean", start=beta_post * weighted, symbol=mean_post, given={**SCHEDULE, **VARIANCE}
    )
    d.step((1 - alphabar_s) / (1 - alphabar) * beta * weighted, "the variance")
    d.step(_mean(x0), "multiply out")
    return d


@derivation(chapter=4)
def posterior() -> Derivation:
    """The posterior q(x_{t−1} | x_t, x_0), by Bayes and completing the square."""
    marginal = {q(xt | x0): Normal(xt, sqrt(alphabar) * x0, 1 - alphabar), q(xt | xs, x0): q(xt | xs)}
    given = {**SCHEDULE, **VARIANCE, **MEAN, **CHAIN, **marginal}
    d = Derivation(
        "posterior", start=log(q(xt | xs) * q(xs | x0) / q(xt | x0)), symbol=log(q(xs | xt, x0)), given=given
    )
    squares = -((xt - sqrt(alpha) * xs) ** 2) / (2 * beta) - (xs - sqrt(alphabar_s) * x0) ** 2 / (
        2 * (1 - alphabar_s)
    )
    end = (xt - sqrt(alphabar) * x0) ** 2 / (2 * (1 - alphabar))
    scale = half * log(2 * sp.pi * beta_post)
    d.step(
        squares + end - scale,
        "three Gaussians; $\\tilde\\beta_t = \\beta_t(1-\\bar\\alpha_{t-1})/(1-\\bar\\alpha_t)$",
    )
    square = (alpha / beta + 1 / (1 - alphabar_s)) * xs**2 / 2
    linear = (sqrt(alpha) * xt / beta + sqrt(alphabar_s) * x0 / (1 - alphabar_s)) * xs
    rest = mean_post**2 / (2 * beta_post) + scale
    d.step(linear - square - rest, "collect $x_{t-1}$ and $x_{t-1}^2$")
    d.step(-((xs - mean_post) ** 2) / (2 * beta_post) - scale, "complete the square")
    d.step(log(Normal(xs, mean_post, beta_post)), "log of a Gaussian")
    return d


@derivation(chapter=4)
def averaged_posterior() -> Derivation:
    """The posteriors of all images that may have led to x_t, averaged, are the true step back."""
    d = Derivation("averaged_posterior", start=E(q(x0 | xt), q(xs | xt, x0)))
    d.step(Integral(q(xs, x0 | xt), x0), "product rule")
    return d.step(q(xs | xt), "$x_0$ is integrated out")


@derivation(chapter=4)
def imitation() -> Derivation:
    """To imitate the posteriors, on average, is to imitate the true step back: the rest is a constant."""
    p = Family("p", "theta")
    known, unknown, ours = q(xs | xt, x0), q(xs | xt), p(xs | xt)
    d = Derivation("imitation", start=E(q(x0 | xt), KL(known, ours)))
    d.step(
        E(q(x0 | xt), E(known, log(known / unknown) + log(unknown / ours))), "put the true step in between"
    )
    return d.step(E(q(x0 | xt), KL(known, unknown)) + KL(unknown, ours), "the posteriors, averaged")


@derivation(chapter=4)
def eps_from_x0() -> Derivation:
    """Knowing x_t, the noise and the image say the same."""
    d = Derivation("eps_from_x0", start=(xt - sqrt(alphabar) * x0) / sqrt(1 - alphabar), symbol=eps,
                   given={xt: sqrt(alphabar) * x0 + sqrt(1 - alphabar) * eps})  # fmt: skip
    d.step(sqrt(1 - alphabar) * eps / sqrt(1 - alphabar), "$x_t$ put in").step(eps, "cancel")
    return d


@derivation(chapter=4, code="diffusion.Diffusion.q_posterior")
def posterior_mean_eps() -> Derivation:
    """The posterior mean, written with the noise."""
    image = (xt - sqrt(1 - alphabar) * eps) / sqrt(alphabar)
    given = {**SCHEDULE, x0: image}
    d = Derivation("posterior_mean_eps", start=_mean(x0), symbol=mean_post, given=given)
    d.step(_mean(image), "$x_0$ from $x_t$ and $\\varepsilon$")
    d.step((xt - beta / sqrt(1 - alphabar) * eps) / sqrt(alpha), "collect $x_t$ and $\\varepsilon$")
    return d


@derivation(chapter=4)
def telescoped_bound() -> Derivation:
    """The bound of a chain of three steps, telescoped: L_0, L_1, L_2 and L_3."""
    x1, x2, x3 = (RandomVariable(f"x_{i}") for i in (1, 2, 3))
    L = [Symbol(f"L_{i}", real=True) for i in range(4)]
    p, path = Family("p", "theta", fixed=[x3]), q(x1, x2, x3 | x0)
    given = {
        p(x0, x1, x2, x3): p(x3) * p(x2 | x3) * p(x1 | x2) * p(x0 | x1),
        path: q(x1 | x0) * q(x2 | x1) * q(x3 | x2),
        q(x2 | x1): q(x2 | x1, x0),
        q(x3 | x2): q(x3 | x2, x0),
    }
    terms = {
        L[3]: KL(q(x3 | x0), p(x3)),
        L[2]: E(q(x3 | x0), KL(q(x2 | x3, x0), p(x2 | x3))),
        L[1]: E(q(x2 | x0), KL(q(x1 | x2, x0), p(x1 | x2))),
        L[0]: E(q(x1 | x0), -log(p(x0 | x1))),
    }
    d = Derivation(
        "telescoped_bound", start=E(path, -log(p(x0, x1, x2, x3) / path)), given={**given, **terms}
    )
    ratio3, ratio2, ratio1 = p(x2 | x3) / q(x3 | x2), p(x1 | x2) / q(x2 | x1), p(x0 | x1) / q(x1 | x0)
    d.step(E(path, -log(p(x3) * ratio3 * ratio2 * ratio1)), "both are chains")
    bayes3 = p(x2 | x3) * q(x2 | x0) / (q(x2 | x3, x0) * q(x3 | x0))
    bayes2 = p(x1 | x2) * q(x1 | x0) / (q(x1 | x2, x0) * q(x2 | x0))
    d.step(E(path, -log(p(x3) * bayes3 * bayes2 * ratio1)), "Bayes, given $x_0$")
    ratio3, ratio2 = p(x2 | x3) / q(x2 | x3, x0), p(x1 | x2) / q(x1 | x2, x0)
    end = p(x3) / q(x3 | x0)
    d.step(E(path, -log(end * ratio3 * ratio2 * p(x0 | x1))), "the marginals of $q$ cancel")
    return d.step(L[3] + L[2] + L[1] + L[0], "name the terms")


@derivation(chapter=4, code="gaussian.Gaussian.kl")
def reverse_kl() -> Derivation:
    """Two Gaussians of the same variance: their KL is a squared distance of means."""
    a, b = Normal(xs, mean_post, sigma**2), Normal(xs, mean_net, sigma**2)
    d = Derivation("reverse_kl", start=KL(a, b))
    d.step(E(a, (xs - mean_net) ** 2 - (xs - mean_post) ** 2) / (2 * sigma**2), "log of a Gaussian")
    d.step(((mean_post - mean_net) ** 2 + sigma**2 - sigma**2) / (2 * sigma**2), "second moments")
    d.step((mean_post - mean_net) ** 2 / (2 * sigma**2), "cancel")
    return d


def _mean_of(noise):
    return (xt - beta / sqrt(1 - alphabar) * noise) / sqrt(alpha)


@derivation(chapter=4, code="diffusion.l_bound")
def reverse_kl_eps() -> Derivation:
    """A term L_{t−1} of the bound as a weighted error of the predicted noise."""
    given = {**SCHEDULE, mean_post: _mean_of(eps), mean_net: _mean_of(eps_net)}
    d = Derivation(
        "reverse_kl_eps",
        start=KL(Normal(xs, mean_post, sigma**2), Normal(xs, mean_net, sigma**2)),
        given=given,
    )
    d.step((mean_post - mean_net) ** 2 / (2 * sigma**2), "squared distance of means")
    d.step(
        (beta / (sqrt(alpha) * sqrt(1 - alphabar)) * (eps_net - eps)) ** 2 / (2 * sigma**2), "$x_t$ cancels"
    )
    weight = beta**2 / (2 * sigma**2 * alpha * (1 - alphabar))
    d.step(weight * (eps - eps_net) ** 2, "square")
    return d


@derivation(chapter=4, code="gaussian.Gaussian.kl")
def reverse_kl_snr() -> Derivation:
    """The same term as half the drop in signal-to-noise ratio times the error of the predicted image."""
    given = {**SCHEDULE, **VARIANCE, **MEAN, mean_net: _mean(x0_net)}
    kl = KL(Normal(xs, mean_post, beta_post), Normal(xs, mean_net, beta_post))
    d = Derivation("reverse_kl_snr", start=kl, given=given)
    d.step((mean_post - mean_net) ** 2 / (2 * beta_post), "squared distance of means")
    first = sqrt(alphabar_s) * beta / (1 - alphabar)
    d.step(first**2 * (x0 - x0_net) ** 2 / (2 * beta_post), "$x_t$ cancels")
    d.step(alphabar_s * beta / ((1 - alphabar) * (1 - alphabar_s)) * (x0 - x0_net) ** 2 / 2, "the variance")
    drop = alphabar_s / (1 - alphabar_s) - alphabar / (1 - alphabar)
    d.step(half * drop * (x0 - x0_net) ** 2, "difference of two fractions")
    return d


def _ddim_variance():
    return eta**2 * ((1 - alphabar_s) / (1 - alphabar) * (1 - alphabar / alphabar_s))


@derivation(chapter=4, code="samplers.ddim")
def ddim_ancestral_variance() -> Derivation:
    """DDIM with η = 1 adds noise of the posterior's variance."""
    d = Derivation(
        "ddim_ancestral_variance",
        start=_ddim_variance(),
        symbol=sigma**2,
        given={**SCHEDULE, **VARIANCE, eta: Integer(1)},
    )
    d.step((1 - alphabar_s) / (1 - alphabar) * beta, "$\\bar\\alpha_t / \\bar\\alpha_{t-1} = \\alpha_t$")
    return d.step(beta_post, "the posterior's variance")


@derivation(chapter=4)
def ddim_marginal() -> Derivation:
    """A DDIM step of any noise s² keeps the marginal variance 1 − ᾱ_{t−1}."""
    u = Symbol("xi", real=True)
    step = sqrt(1 - alphabar_s - sigma**2) * eps + sigma * u
    d = Derivation("ddim_marginal", start=E(Normal(eps, 0, 1), E(Normal(u, 0, 1), step**2)),
                   where=[sigma**2 < 1 - alphabar_s])  # fmt: skip
    d.step((1 - alphabar_s - sigma**2) + sigma**2, "independent noises")
    return d.step(1 - alphabar_s, "cancel")


@derivation(chapter=4, code="samplers.ddim")
def ddim_deterministic() -> Derivation:
    """DDIM with η = 0: the predicted image, carried to the next noise level by the predicted noise."""
    image = (xt - sqrt(1 - alphabar) * eps_net) / sqrt(alphabar)
    sigma = Symbol("sigma_t", nonnegative=True)
    left = sqrt(1 - alphabar_s - sigma**2) * eps_net
    given = {**SCHEDULE, sigma: sqrt(_ddim_variance()), eta: Integer(0)}
    d = Derivation("ddim_deterministic", start=sqrt(alphabar_s) * image + left, symbol=xs, given=given)
    d.step(sqrt(alphabar_s) * image + sqrt(1 - alphabar_s) * eps_net, "$\\eta = 0$: no noise")
    shift = sqrt(1 - alphabar_s) - sqrt(1 - alphabar) / sqrt(alpha)
    return d.step(xt / sqrt(alpha) + shift * eps_net, "collect $x_t$")


@derivation(chapter=4)
def score_of_step() -> Derivation:
    """The score of one image's noise: the noise, turned around and scaled."""
    now = Symbol("x_t", real=True)
    given = {eps: (now - sqrt(alphabar) * x0) / sqrt(1 - alphabar)}
    start = Derivative(log(Normal(now, sqrt(alphabar) * x0, 1 - alphabar)), now)
    d = Derivation("score_of_step", start=start, given=given)
    d.step(-(now - sqrt(alphabar) * x0) / (1 - alphabar), "log of a Gaussian")
    return d.step(-eps / sqrt(1 - alphabar), "the noise in $x_t$")


# What is defined rather than derived, how wide a step is, and what a network may predict

p = Family("p", "theta")
v, v_net, v_step = Symbol("v", real=True), Symbol("vhat", real=True), Symbol("V_{t-1}", positive=True)
spread = Symbol("s", nonnegative=True)


@derivation(chapter=4)
def reverse_step() -> Derivation:
    """One step of the decoder: a Gaussian whose mean a network finds."""
    d = Derivation("reverse_step", start=p(xs | xt))
    return d.define(Normal(xs, Function("\\mu_\\theta")(xt, Symbol("t")), sigma**2))


@derivation(chapter=4)
def step_around() -> Derivation:
    """A forward step, turned around by Bayes' rule with x_0 always given."""
    d = Derivation("step_around", start=q(xt | xs), given={q(xt | xs): q(xt | xs, x0)})
    d.step(q(xt | xs, x0), "Markov property")
    return d.step(q(xs | xt, x0) * q(xt | x0) / q(xs | x0), "Bayes, given $x_0$")


@derivation(chapter=4, code="diffusion.l_simple")
def simple_loss() -> Derivation:
    """The simple loss: the terms of the bound without their weights."""
    t, T = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
    guess = Function("\\hat\\varepsilon")(xt, t)
    d = Derivation("simple_loss", start=Symbol("L_{\\text{simple}}", real=True))
    return d.define(Sum(E(q(x0, xt), (eps - guess) ** 2), (t, 1, T)) / T)


def _width(of, name: str, reason: str, result) -> Derivation:
    """The variance of x_{t−1} given x_t, for data of standard deviation `of`."""
    given = {**SCHEDULE, **VARIANCE, v_step: alphabar_s * spread**2 + (1 - alphabar_s), spread: of}
    d = Derivation(name, start=1 / (1 / v_step + alpha / beta), given=given)
    before = alphabar_s + (1 - alphabar_s) if of else 1 - alphabar_s  # the variance of x_{t-1}
    d.step(1 / (1 / before + alpha / beta), reason)
    return d.step(result, "$\\alpha_t + \\beta_t = 1$")


@derivation(chapter=4, code="diffusion.fixed_small")
def width_for_a_point() -> Derivation:
    """The variance of a step back when all data are one point (s = 0)."""
    return _width(Integer(0), "width_for_a_point", "$s = 0$", beta_post)


@derivation(chapter=4, code="diffusion.fixed_large")
def width_for_noise() -> Derivation:
    """The variance of a step back when the data are N(0, 1) (s = 1)."""
    return _width(Integer(1), "width_for_noise", "$s = 1$", beta)


@derivation(chapter=4)
def step_ratio() -> Derivation:
    """β_t/β̃_t = (1 − ᾱ_t)/(1 − ᾱ_{t−1}) of a chain whose first steps are all alike, as they shrink."""
    size, t = Symbol("beta", positive=True), Symbol("t", integer=True, positive=True)
    ratio = (1 - (1 - size) ** t) / (1 - (1 - size) ** (t - 1))
    d = Derivation("step_ratio", start=ratio, where={t: (2, sp.oo)})
    return d.tends_to(t / (t - 1), size, Integer(0), "short steps")


@derivation(chapter=4)
def variance_price() -> Derivation:
    """What β̃_t in the place of β_t costs a whole chain of short steps, per dimension, on N(0, I) data."""
    t, T = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
    d = Derivation("variance_price", start=(Sum(1 / t, (t, 1, T - 1)) - log(T)) / 2)
    return d.tends_to(EulerGamma / 2, T, oo, "Euler's constant, 0.5772")


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


def _fading(name: str, start, limit, reason: str) -> Derivation:
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


@derivation(chapter=4)
def ddim_weight() -> Derivation:
    """A term of the bound of a DDIM chain: again a weight times the error of the noise."""

    def mean(noise):
        image = (xt - sqrt(1 - alphabar) * noise) / sqrt(alphabar)
        return sqrt(alphabar_s) * image + sqrt(1 - alphabar_s - sigma**2) * noise

    given = {mean_post: mean(eps), mean_net: mean(eps_net)}
    kl = KL(Normal(xs, mean_post, sigma**2), Normal(xs, mean_net, sigma**2))
    d = Derivation("ddim_weight", start=kl, given=given)
    d.step((mean_post - mean_net) ** 2 / (2 * sigma**2), "squared distance of means")
    gain = sqrt(alphabar_s * (1 - alphabar) / alphabar) - sqrt(1 - alphabar_s - sigma**2)
    return d.step(gain**2 / (2 * sigma**2) * (eps - eps_net) ** 2, "$x_t$ cancels")


@derivation(chapter=4, code="samplers.ddim")
def ddim_step() -> Derivation:
    """One step of DDIM: a part of the noise is kept, the rest replaced."""
    fresh = Symbol("xi", real=True)
    kept = sqrt(1 - alphabar_s - sigma**2) * eps_net
    d = Derivation("ddim_step", start=xs)
    return d.define(sqrt(alphabar_s) * x0_net + kept + sigma * fresh)
