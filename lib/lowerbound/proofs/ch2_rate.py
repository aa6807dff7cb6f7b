"""Chapter 2: why the log counts, the rate taken apart, its trade with the distortion, and the linear VAE."""

from sympy import Rational, Symbol, log, pi, symbols

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable, Unit
from .registry import derivation

half = Rational(1, 2)
x, z = RandomVariable("x"), RandomVariable("z")
p = Family("p", "theta", fixed=[z])
q = Family("q", "phi", fixed=[x])
distortion, rate = (Symbol(rf"\mathcal{{{letter}}}", real=True) for letter in "DR")
sigma, lam = symbols("sigma_x lambda", positive=True)


@derivation(chapter=2, lecture="07:13–08:07")
def mean_prefers_sharp() -> Derivation:
    """Two equally likely z: f = (0.9, 0.1) has the larger mean than f = (0.45, 0.45)."""
    d = Derivation("mean_prefers_sharp", start=half * Rational(9, 10) + half * Rational(1, 10))
    d.step(half, "add").at_least(half * Rational(9, 20) + half * Rational(9, 20), "$1/2 > 9/20$")
    return d


@derivation(chapter=2, lecture="07:13–08:07")
def log_prefers_flat() -> Derivation:
    """And yet the smaller mean of the log: the maximiser changes with the log."""
    d = Derivation("log_prefers_flat", start=half * log(Rational(9, 10)) + half * log(Rational(1, 10)))
    d.step(half * log(Rational(9, 100)), "log of a product")
    d.at_most(half * log(Rational(81, 400)), "log is increasing, and $9/100 < 81/400$")
    d.step(half * log(Rational(9, 20)) + half * log(Rational(9, 20)), "log of a product")
    return d


@derivation(chapter=2, lecture="05:29–07:13", code="bound.Bound.nats")
def distortion_and_rate() -> Derivation:
    """The negative bound as two prices: distortion plus rate."""
    given = {distortion: E(q(z | x), -log(p(x | z))), rate: KL(q(z | x), p(z))}
    d = Derivation("distortion_and_rate", start=-E(q(z | x), log(p(x, z) / q(z | x))), given=given)
    d.step(E(q(z | x), -log(p(x | z))) + KL(q(z | x), p(z)), "the bound, line by line; turn the sign")
    return d.step(distortion + rate, "name the two")


@derivation(chapter=2)
def forbidden_side() -> Derivation:
    """Averaged over the data q(x), distortion plus rate is at least the entropy of the data."""
    entropy = Symbol("H", real=True)
    start = E(q(x), E(q(z | x), -log(p(x | z))) + KL(q(z | x), p(z)))
    d = Derivation("forbidden_side", start=start, given={entropy: -E(q(x), log(q(x)))})
    gap = E(q(x), KL(q(z | x), p(z | x)))
    d.step(E(q(x), -log(p(x)) + KL(q(z | x), p(z | x))), "the bound and its gap")
    d.step(entropy + KL(q(x), p(x)) + gap, "cross-entropy is entropy plus KL")
    d.at_least(entropy + KL(q(x), p(x)), "KL is never negative", because=KL(q(z | x), p(z | x)))
    return d.at_least(entropy, "KL is never negative", because=KL(q(x), p(x)))


@derivation(chapter=2, lecture="09:01–09:58")
def rate_in_two_parts() -> Derivation:
    """The average rate is the information of the code about the image, plus the mismatch of all codes."""
    information = E(q(x, z), log(q(x, z) / (q(x) * q(z))))
    d = Derivation("rate_in_two_parts", start=E(q(x), KL(q(z | x), p(z))))
    d.step(E(q(x, z), log(q(z | x) / p(z))), "definition of KL; product rule")
    d.step(E(q(x, z), log(q(z | x) / q(z)) + log(q(z) / p(z))), "multiply and divide by $q(z)$")
    d.step(information + E(q(z), log(q(z) / p(z))), "product rule; the second has no $x$")
    return d.step(information + KL(q(z), p(z)), "definition of KL")


@derivation(chapter=2)
def linear_vae_direction() -> Derivation:
    """One direction of variance λ, modelled with variance c: it costs least at c = λ."""
    c, u = symbols("c u", positive=True)
    start = half * (log(2 * pi * c) + lam / c)
    d = Derivation("linear_vae_direction", start=start, given={c: lam / u})
    d.step(half * (u - log(u)) + half * log(2 * pi * lam), "$u = \\lambda / c$")
    least = half + half * log(2 * pi * lam)
    return d.at_least(least, "$\\log u \\le u - 1$, equal at $c = \\lambda$", because=half * (u - 1 - log(u)))


@derivation(chapter=2)
def linear_vae_off() -> Derivation:
    """Below the noise, λ = κσ² with κ < 1, each weight w² = ρσ² costs more than none: what it adds."""
    kappa, rho = Unit("kappa"), Symbol("rho", positive=True)
    cost = half * (log((1 + rho) * sigma**2) + lam / ((1 + rho) * sigma**2))
    none = half * (log(sigma**2) + lam / sigma**2)
    d = Derivation("linear_vae_off", start=cost - none, given={lam: kappa * sigma**2})
    d.step(half * (log(1 + rho) - kappa * rho / (1 + rho)), "$\\lambda = \\kappa\\sigma_x^2$")
    d.at_least(half * (log(1 + rho) - rho / (1 + rho)), "$\\kappa < 1$")
    return d.at_least(0, "its slope in $\\rho$ is positive, and it is 0 at $\\rho = 0$")


@derivation(chapter=2)
def linear_vae_rate() -> Derivation:
    """The average rate of a direction that is kept."""
    v, mean = Symbol("v", positive=True), RandomVariable("mu")
    d = Derivation(
        "linear_vae_rate",
        start=E(Normal(mean, 0, 1 - v), half * (mean**2 + v - 1 - log(v))),
        given={v: sigma**2 / lam},
    )
    d.step(half * ((1 - v) + v - 1 - log(v)), "the posterior mean has variance $1 - v$")
    return d.step(half * log(lam / sigma**2), "$v = \\sigma_x^2 / \\lambda$")
