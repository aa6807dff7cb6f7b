"""Chapter 6: a VAE whose prior is learned: its bound, its rate taken apart, and what a better prior can save.

Letters: x the image, z its code, z_{1:T} the noisy codes of a chain that starts at z.
"""

from sympy import Function, Rational, Symbol, cos, log, pi, sin, sqrt, symbols

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable, Unit
from .registry import derivation

half = Rational(1, 2)
x, z, noisy = RandomVariable("x"), RandomVariable("z"), RandomVariable("z_{1:T}")
p, q = Family("p", "theta"), Family("q")
encoder, path = q(z | x), q(noisy | z)
bound, gap = (Function(name, real=True) for name in "BG")  # of the chain, at one code
BOUND = {bound(z): E(path, -log(p(z, noisy) / path))}
GAP = {gap(z): KL(path, p(noisy | z))}

mu, m = symbols("mu m", real=True)
sigma, s, v = symbols("sigma s v", positive=True)
code, late = Symbol("z", real=True), RandomVariable("z_1")
abar = Unit("alphabar")


def _mean(f):
    return E(encoder, f)


def _three(last):
    return _mean(-log(p(x | z))) + _mean(log(encoder)) + _mean(last)


@derivation(chapter=6, code="vae.VAE.bound")
def latent_bound() -> Derivation:
    """The bound of a VAE whose prior is a chain: three expectations, one of them of the chain's bound."""
    d = Derivation("latent_bound", start=-log(p(x)), given=BOUND)
    whole = _mean(log(encoder / p(x, z)))
    d.step(whole - KL(encoder, p(z | x)), "two expectations")
    d.at_most(whole, "KL is never negative", because=KL(encoder, p(z | x)))
    d.step(_three(-log(p(z))), "product rule; $\\mathbb{E}$ is linear")
    return d.at_most(_three(bound(z)), "the chain's bound, for every $z$", because=KL(path, p(noisy | z)))


@derivation(chapter=6)
def latent_gap() -> Derivation:
    """What that bound lies above −log p(x): the gap of the encoder, and that of the chain."""
    d = Derivation("latent_gap", start=_three(bound(z)), given={**BOUND, **GAP})
    d.step(_three(-log(p(z)) + gap(z)), "the chain's bound and its gap")
    d.step(_mean(log(encoder / p(x, z))) + _mean(gap(z)), "product rule; $\\mathbb{E}$ is linear")
    return d.step(-log(p(x)) + KL(encoder, p(z | x)) + _mean(gap(z)), "two expectations")


@derivation(chapter=6)
def latent_one_chain() -> Derivation:
    """The same bound as that of one chain x, z, z_1, …, z_T, of which the first step alone is learned."""
    both = q(z, noisy | x)
    d = Derivation(
        "latent_one_chain",
        start=E(both, -log(p(x | z) * p(z, noisy) / both)),
        given={both: encoder * path, path: q(noisy | z, x), **BOUND},
    )
    d.step(E(both, -log(p(x | z)) + log(encoder) - log(p(z, noisy) / path)), "the encoder, then the chain")
    return d.step(_three(bound(z)), "integrate out; name the chain's bound")


@derivation(chapter=6)
def rate_as_entropies() -> Derivation:
    """The rate is a cross-entropy less the encoder's entropy, and only the first has the prior in it."""
    d = Derivation("rate_as_entropies", start=KL(encoder, p(z)))
    d.step(_mean(log(encoder / p(z))), "definition of KL")
    return d.step(_mean(-log(p(z))) - _mean(-log(encoder)), "log of a quotient")


@derivation(chapter=6)
def best_prior() -> Derivation:
    """Averaged over the images q(x), the rate is least when the prior is the distribution of all codes."""
    information = E(q(x, z), log(q(x, z) / (q(x) * q(z))))
    d = Derivation("best_prior", start=E(q(x), KL(encoder, p(z))))
    d.step(information + KL(q(z), p(z)), "the rate in two parts")
    return d.at_least(information, "KL is never negative; 0 at $p(z) = q(z)$", because=KL(q(z), p(z)))


@derivation(chapter=6)
def second_stage() -> Derivation:
    """A chain's bound, averaged over all codes: their entropy H, KL(q(z) ‖ p(z)) and the chain's mean gap."""
    entropy = Symbol("H", real=True)
    given = {entropy: E(q(z), -log(q(z))), **BOUND, **GAP}
    d = Derivation("second_stage", start=E(q(z), bound(z)), given=given)
    d.step(E(q(z), -log(p(z))) + E(q(z), gap(z)), "the chain's bound and its gap")
    return d.step(entropy + KL(q(z), p(z)) + E(q(z), gap(z)), "cross-entropy is entropy plus KL")


@derivation(chapter=6)
def mixture_of_all() -> Derivation:
    """With the mean of the encoders of N images as prior, no image has a rate above log N.

    a: the density at z of one image's encoder; b: the sum of the N − 1 others.
    """
    a, b = symbols("a b", positive=True)
    count = Symbol("N", integer=True, positive=True)
    d = Derivation("mixture_of_all", start=log(a / ((a + b) / count)))
    share, t = a / (a + b), Symbol("t", positive=True)
    d.step(log(count) + log(share), "log of a product")
    d.at_most(log(count) + share - 1, "$\\log t \\le t - 1$", because=t - 1 - log(t), at={t: share})
    d.step(log(count) - b / (a + b), "subtract")
    return d.at_most(log(count), "densities are positive", because=b / (a + b))


@derivation(chapter=6, code="gaussian.Gaussian.entropy")
def encoder_entropy() -> Derivation:
    """The entropy of a Gaussian encoder, one latent: its width alone counts."""
    law = Normal(code, mu, sigma**2)
    d = Derivation("encoder_entropy", start=E(law, -log(law)))
    d.step(E(law, (code - mu) ** 2) / (2 * sigma**2) + half * log(2 * pi * sigma**2), "log of a Gaussian")
    return d.step(half * (1 + log(2 * pi * sigma**2)), "variance of $z$")


@derivation(chapter=6, code="vae.StandardNormal.rates")
def gaussian_prior_rate() -> Derivation:
    """With the prior N(0, 1), cross-entropy less entropy is the closed form of chapter 2."""
    law = Normal(code, mu, sigma**2)
    start = E(law, -log(Normal(code, 0, 1))) - E(law, -log(law))
    d = Derivation("gaussian_prior_rate", start=start)
    entropy = half * (1 + log(2 * pi * sigma**2))
    d.step(E(law, code**2) / 2 + half * log(2 * pi) - entropy, "log of a Gaussian; entropy")
    return d.step(half * (mu**2 + sigma**2 - 1 - log(sigma**2)), "second moment; collect")


@derivation(chapter=6, code="latent.DiffusionPrior.rates")
def one_step_prior() -> Derivation:
    """The rate of a Gaussian code under a chain of one step, in full."""
    step, size = q(late | z), Symbol("P", positive=True)
    given = {
        encoder: Normal(z, mu, sigma**2),
        step: Normal(late, sqrt(abar) * z, 1 - abar),
        p(z | late): Normal(z, m * late, s**2),
        p(late): Normal(late, 0, 1),
        size: mu**2 + sigma**2,
    }
    start = _mean(log(encoder)) + _mean(E(step, -log(p(z | late))) + KL(step, p(late)))
    d = Derivation("one_step_prior", start=start, given=given)
    rest = log(s / sigma) - half + half * (abar * (size - 1) - log(1 - abar))
    misfit = _mean(E(step, (z - m * late) ** 2)) / (2 * s**2)
    d.step(misfit + rest, "logs of Gaussians; KL to N(0, 1)")
    misfit = ((1 - m * sqrt(abar)) ** 2 * size + m**2 * (1 - abar)) / (2 * s**2)
    return d.step(misfit + rest, "second moments")


@derivation(chapter=6)
def standardised_code() -> Derivation:
    """A density of u = (z − m)/s as one of z: the unit is paid for, with log s a latent."""
    d = Derivation("standardised_code", start=-log(Normal(code, m, s**2)))
    d.step(((code - m) / s) ** 2 / 2 + half * log(2 * pi) + log(s), "log of a Gaussian")
    return d.step(-log(Normal((code - m) / s, 0, 1)) + log(s), "log of a Gaussian")


@derivation(chapter=6)
def scale_is_noise_level() -> Derivation:
    """To multiply codes by c is to shift the log SNR of every level by 2 log c."""
    c = Symbol("c", positive=True)
    d = Derivation("scale_is_noise_level", start=log((sqrt(abar) * c) ** 2 / (1 - abar)))
    return d.step(log(abar / (1 - abar)) + 2 * log(c), "log of a product")


@derivation(chapter=6)
def small_weight_width() -> Derivation:
    """The best variance v of a latent that costs kv/2 in distortion, with weight β on its rate: β/(k + β)."""
    k, beta, u = symbols("k beta u", positive=True)
    best = beta / (k + beta)
    start = half * k * v + beta * half * (v - log(v))
    d = Derivation("small_weight_width", start=start, given={v: u * best})
    d.step(half * beta * (u - log(u)) - half * beta * log(best), "$v = u\\beta/(k+\\beta)$")
    least = half * beta - half * beta * log(best)
    return d.at_least(least, "$\\log u \\le u - 1$, equal at $u = 1$", because=half * beta * (u - 1 - log(u)))


@derivation(chapter=6)
def line_between_codes() -> Derivation:
    """On the line between two codes drawn from N(0, 1) the variance falls, to a half in the middle."""
    other, a = Symbol("y", real=True), Unit("a")
    start = E(Normal(code, 0, 1), E(Normal(other, 0, 1), ((1 - a) * code + a * other) ** 2))
    d = Derivation("line_between_codes", start=start)
    d.step((1 - a) ** 2 + a**2, "second moments; independent")
    return d.step(half + 2 * (a - half) ** 2, "complete the square")


@derivation(chapter=6)
def arc_between_codes() -> Derivation:
    """On the arc between them it stays."""
    other, angle = Symbol("y", real=True), Symbol("omega", real=True)
    start = E(Normal(code, 0, 1), E(Normal(other, 0, 1), (cos(angle) * code + sin(angle) * other) ** 2))
    d = Derivation("arc_between_codes", start=start)
    d.step(cos(angle) ** 2 + sin(angle) ** 2, "second moments; independent")
    return d.step(1, "Pythagoras")
