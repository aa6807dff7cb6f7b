"""Chapter 2: the two terms of the VAE in closed form, units, and the gradient through a sample."""

import sympy as sp
from sympy import Derivative, Indexed, IndexedBase, Integer, Integral, Rational, Sum, Symbol, exp, log, oo, pi

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable
from .registry import derivation

half = Rational(1, 2)
mu, m = sp.symbols("mu m", real=True)
sigma, s = sp.symbols("sigma s", positive=True)
sigma_x = Symbol("sigma_x", positive=True)  # of the decoder, where the encoder's is σ
z, eps = Symbol("z", real=True), Symbol("epsilon", real=True)


@derivation(chapter=2, lecture="09:01–09:58", code="gaussian.Gaussian.kl")
def gaussian_kl_standard() -> Derivation:
    """The KL divergence from a Gaussian to N(0, 1), by its integral."""
    encoder, prior = Normal(z, mu, sigma**2), Normal(z, 0, 1)
    d = Derivation("gaussian_kl_standard", start=KL(encoder, prior))
    d.step(Integral(encoder * log(encoder / prior), (z, -oo, oo)), "definition of KL")
    d.step(E(encoder, z**2 / 2 - (z - mu) ** 2 / (2 * sigma**2) - log(sigma)), "log of a Gaussian")
    d.step(
        E(encoder, z**2) / 2 - E(encoder, (z - mu) ** 2) / (2 * sigma**2) - log(sigma),
        "$\\mathbb{E}$ is linear",
    )
    d.step((mu**2 + sigma**2) / 2 - half - log(sigma), "second moments")
    d.step(half * (mu**2 + sigma**2 - 1 - log(sigma**2)), "collect")
    return d


@derivation(chapter=2, lecture="09:01–09:58", code="gaussian.Gaussian.kl")
def gaussian_kl() -> Derivation:
    """The KL divergence between two Gaussians on the line, by its integral."""
    a, b = Normal(z, mu, sigma**2), Normal(z, m, s**2)
    d = Derivation("gaussian_kl", start=KL(a, b))
    d.step(Integral(a * log(a / b), (z, -oo, oo)), "definition of KL")
    d.step(
        E(a, (z - m) ** 2 / (2 * s**2) - (z - mu) ** 2 / (2 * sigma**2) + log(s / sigma)), "log of a Gaussian"
    )
    d.step(((mu - m) ** 2 + sigma**2) / (2 * s**2) - half + log(s / sigma), "second moments")
    return d


@derivation(chapter=2, lecture="09:01–09:58", code="gaussian.Gaussian.kl")
def independent_kl() -> Derivation:
    """KL adds up over independent parts, so for a diagonal Gaussian it is a sum over its dimensions."""
    x, rest, last = RandomVariable("x"), RandomVariable("z_{1:d}"), RandomVariable("z_{d+1}")
    q, p = Family("q", "phi"), Family("p", "theta", fixed=[rest, last])
    given = {q(rest, last | x): q(rest | x) * q(last | x), p(rest, last): p(rest) * p(last)}
    d = Derivation("independent_kl", start=KL(q(rest, last | x), p(rest, last)), given=given)
    both = q(rest, last | x)
    ratio = log(q(rest | x) * q(last | x) / (p(rest) * p(last)))
    d.step(E(both, ratio), "independent parts")
    d.step(E(both, log(q(rest | x) / p(rest))) + E(both, log(q(last | x) / p(last))), "log of a product")
    d.step(
        E(q(rest | x), log(q(rest | x) / p(rest))) + E(q(last | x), log(q(last | x) / p(last))),
        "integrate out what does not occur",
    )
    d.step(KL(q(rest | x), p(rest)) + KL(q(last | x), p(last)), "definition of KL")
    return d


@derivation(chapter=2, lecture="05:29–07:13", code="likelihood.GaussianLikelihood.log_prob")
def gaussian_nll() -> Derivation:
    """A Gaussian likelihood is squared error, weighted by σ, plus a constant."""
    x, mean = Symbol("x", real=True), Symbol("xhat", real=True)
    d = Derivation("gaussian_nll", start=-log(Normal(x, mean, sigma**2)))
    d.step(-log(exp(-((x - mean) ** 2) / (2 * sigma**2)) / sp.sqrt(2 * pi * sigma**2)), "the density")
    d.step((x - mean) ** 2 / (2 * sigma**2) + half * log(2 * pi * sigma**2), "log of a quotient")
    return d


@derivation(chapter=2, lecture="05:29–07:13", code="likelihood.GaussianLikelihood.log_prob")
def gaussian_nll_sum() -> Derivation:
    """Over D independent pixels the constant is counted D times."""
    i, size = Symbol("i", integer=True), Symbol("D", integer=True, positive=True)
    x, mean = (Indexed(IndexedBase(name, real=True), i) for name in ("x", "xhat"))
    d = Derivation("gaussian_nll_sum", start=-Sum(log(Normal(x, mean, sigma_x**2)), (i, 1, size)))
    each = (x - mean) ** 2 / (2 * sigma_x**2) + half * log(2 * pi * sigma_x**2)
    d.step(Sum(each, (i, 1, size)), "log of a Gaussian")
    total = Sum((x - mean) ** 2, (i, 1, size)) / (2 * sigma_x**2)
    d.step(total + size / 2 * log(2 * pi * sigma_x**2), "the constant $D$ times")
    return d


@derivation(chapter=2, lecture="05:29–07:13")
def sharpest_likelihood() -> Derivation:
    """The σ that costs least is the root mean squared error: here r² is the squared error, averaged."""
    r, u = sp.symbols("r u", positive=True)
    d = Derivation(
        "sharpest_likelihood",
        start=r**2 / (2 * sigma_x**2) + half * log(2 * pi * sigma_x**2),
        given={sigma_x: r / sp.sqrt(u)},
    )
    d.step(half * (u - log(u)) + half * log(2 * pi * r**2), "$u = r^2 / \\sigma_x^2$")
    reason = "$\\log u \\le u - 1$, equal at $\\sigma_x = r$"
    d.at_least(half + half * log(2 * pi * r**2), reason, because=half * (u - 1 - log(u)))
    return d


@derivation(chapter=2)
def unit_noise_bits() -> Derivation:
    """The cost in bits per dimension of a perfect reconstruction: σ = 1, pixels in [−1, 1] in 256 levels."""
    x = Symbol("x", real=True)
    d = Derivation("unit_noise_bits", start=-log(Normal(x, x, 1) * Rational(2, 255)) / log(2))
    d.step((half * log(2 * pi) + log(Rational(255, 2))) / log(2), "squared error 0; bins of width 2/255")
    return d.at_least(Integer(8), "more than the 8 of a uniform guess")


@derivation(chapter=2, code="bound.Bound.bits_per_dim")
def bits_per_dim() -> Derivation:
    """From nats to bits per dimension: L nats over D dimensions."""
    nats, size, prob = sp.symbols("L D P", positive=True)
    d = Derivation("bits_per_dim", start=-log(prob) / (size * log(2)), given={prob: exp(-nats)})
    d.step(-log(exp(-nats)) / (size * log(2)), "$P = e^{-L}$")
    d.step(nats / (size * log(2)), "log undoes exp")
    return d


def _cubic(at):
    a, b, c = sp.symbols("a b c", real=True)
    return a * at**3 + b * at**2 + c * at


def _slope(at):
    a, b, c = sp.symbols("a b c", real=True)
    return 3 * a * at**2 + 2 * b * at + c


@derivation(chapter=2, lecture="08:07–09:01", code="gaussian.Gaussian.sample")
def reparameterised_gradient_mean() -> Derivation:
    """The gradient in the mean, moved inside the expectation by z = μ + σε, for a cubic."""
    a, b, c = sp.symbols("a b c", real=True)
    noise, moved = Normal(eps, 0, 1), mu + sigma * eps
    d = Derivation(
        "reparameterised_gradient_mean", start=Derivative(E(Normal(z, mu, sigma**2), _cubic(z)), mu)
    )
    d.step(Derivative(E(noise, _cubic(moved)), mu), "$z = \\mu + \\sigma\\epsilon$")
    d.step(E(noise, Derivative(_cubic(moved), mu)), "the noise has no $\\mu$")
    d.step(E(noise, _slope(moved)), "chain rule, $\\partial z/\\partial\\mu = 1$")
    d.step(3 * a * (mu**2 + sigma**2) + 2 * b * mu + c, "moments of N(0, 1)")
    return d


@derivation(chapter=2, lecture="08:07–09:01", code="gaussian.Gaussian.sample")
def reparameterised_gradient_scale() -> Derivation:
    """The gradient in the standard deviation, moved inside the same way."""
    a, b, _ = sp.symbols("a b c", real=True)
    noise, moved = Normal(eps, 0, 1), mu + sigma * eps
    d = Derivation(
        "reparameterised_gradient_scale", start=Derivative(E(Normal(z, mu, sigma**2), _cubic(z)), sigma)
    )
    d.step(Derivative(E(noise, _cubic(moved)), sigma), "$z = \\mu + \\sigma\\epsilon$")
    d.step(E(noise, Derivative(_cubic(moved), sigma)), "the noise has no $\\sigma$")
    d.step(E(noise, eps * _slope(moved)), "chain rule, $\\partial z/\\partial\\sigma = \\epsilon$")
    d.step(6 * a * mu * sigma + 2 * b * sigma, "moments of N(0, 1)")
    return d


@derivation(chapter=2, lecture="08:07–09:01")
def score_gradient_mean() -> Derivation:
    """The same gradient without moving the sample: the score-function form, for a cubic."""
    a, b, c = sp.symbols("a b c", real=True)
    encoder = Normal(z, mu, sigma**2)
    d = Derivation("score_gradient_mean", start=Derivative(E(encoder, _cubic(z)), mu))
    d.step(Integral(_cubic(z) * Derivative(encoder, mu), (z, -oo, oo)), "differentiate the density")
    d.step(E(encoder, _cubic(z) * Derivative(log(encoder), mu)), "$\\partial q = q\\, \\partial \\log q$")
    d.step(E(encoder, _cubic(z) * (z - mu) / sigma**2), "log of a Gaussian")
    d.step(3 * a * (mu**2 + sigma**2) + 2 * b * mu + c, "moments")
    return d
