"""Chapter 1: log p(x) and its lower bound, for any positive densities and in two models worked in full."""

from sympy import Integer, Integral, Rational, Symbol, log, oo, pi, symbols

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable, Unit, as_written
from .registry import derivation

x, z = RandomVariable("x"), RandomVariable("z")
p = Family("p", "theta", fixed=[z])
q = Family("q", "phi")
t = Symbol("t", positive=True)


def _mean(f):
    return E(q(z | x), f)


@derivation(chapter=1)
def evidence() -> Derivation:
    """The evidence of x is an integral over all causes z."""
    d = Derivation("evidence", start=log(p(x)))
    d.step(log(Integral(p(x, z), z)), "sum rule")
    return d.step(log(Integral(p(x | z) * p(z), z)), "product rule")


@derivation(chapter=1, lecture="00:29–00:40")
def pointwise_identity() -> Derivation:
    """The log-evidence log p(x) is a sum of two logarithms, for every z."""
    d = Derivation("pointwise_identity", start=log(p(x)))
    d.step(log(p(x, z) / p(z | x)), "product rule")
    d.step(log((p(x, z) / q(z | x)) * (q(z | x) / p(z | x))), "multiply and divide by $q$")
    d.step(log(p(x, z) / q(z | x)) + log(q(z | x) / p(z | x)), "log of a product")
    return d


@derivation(chapter=1, lecture="00:29–00:52")
def two_expectations() -> Derivation:
    """The log-evidence log p(x) is the sum of two expectations, and the second is a KL divergence."""
    d = Derivation("two_expectations", start=log(p(x)))
    d.step(_mean(log(p(x))), "$z$ does not occur in it")
    d.step(_mean(log(p(x, z) / p(z | x))), "product rule")
    d.step(_mean(log((p(x, z) / q(z | x)) * (q(z | x) / p(z | x)))), "multiply and divide by $q$")
    d.step(_mean(log(p(x, z) / q(z | x)) + log(q(z | x) / p(z | x))), "log of a product")
    d.step(_mean(log(p(x, z) / q(z | x))) + _mean(log(q(z | x) / p(z | x))), "$\\mathbb{E}$ is linear")
    d.step(_mean(log(p(x, z) / q(z | x))) + KL(q(z | x), p(z | x)), "definition of KL")
    return d


@derivation(chapter=1, lecture="00:52–01:07")
def log_inequality() -> Derivation:
    """The logarithm lies below its tangent at 1."""
    return Derivation("log_inequality", start=t - 1).at_least(
        log(t), "least value of $t - 1 - \\log t$ is 0, at $t = 1$"
    )


@derivation(chapter=1, lecture="00:52–01:07")
def kl_nonnegative() -> Derivation:
    """A KL divergence is never negative."""
    ratio = p(z | x) / q(z | x)
    d = Derivation("kl_nonnegative", start=KL(q(z | x), p(z | x)))
    d.step(_mean(log(q(z | x) / p(z | x))), "definition of KL")
    d.step(-_mean(log(ratio)), "turn the fraction over")
    d.at_least(-_mean(ratio - 1), "$\\log t \\le t - 1$", because=t - 1 - log(t), at={t: ratio})
    d.step(1 - _mean(ratio), "$\\mathbb{E}$ is linear")
    d.step(Integer(0), "$p(z \\mid x)$ sums to one")
    return d


@derivation(chapter=1, lecture="00:52–01:16")
def evidence_lower_bound() -> Derivation:
    """The first expectation is a lower bound of log p(x)."""
    d = Derivation("evidence_lower_bound", start=log(p(x)))
    d.step(_mean(log(p(x, z) / q(z | x))) + KL(q(z | x), p(z | x)), "two expectations")
    d.at_least(_mean(log(p(x, z) / q(z | x))), "KL is never negative", because=KL(q(z | x), p(z | x)))
    return d


@derivation(chapter=1, lecture="01:36–05:16")
def elbo() -> Derivation:
    """The evidence lower bound, line by line."""
    d = Derivation("elbo", start=_mean(log(p(x, z) / q(z | x))))
    d.step(_mean(log(p(x | z) * p(z) / q(z | x))), "product rule")
    d.step(_mean(log(p(x | z)) + log(p(z) / q(z | x))), "log of a product")
    d.step(_mean(log(p(x | z))) + _mean(log(p(z) / q(z | x))), "$\\mathbb{E}$ is linear")
    d.step(_mean(log(p(x | z))) + (_mean(log(p(z))) - _mean(log(q(z | x)))), "log of a quotient")
    d.step(_mean(log(p(x | z))) - (_mean(log(q(z | x))) - _mean(log(p(z)))), "flip the sign")
    d.step(_mean(log(p(x | z))) - _mean(log(q(z | x) / p(z))), "log of a quotient")
    d.step(_mean(log(p(x | z))) - KL(q(z | x), p(z)), "definition of KL")
    return d


@derivation(chapter=1, lecture="00:29–05:16")
def elbo_two_terms() -> Derivation:
    """The log-evidence log p(x) is at least reconstruction minus KL to the prior."""
    d = Derivation("elbo_two_terms", start=log(p(x)))
    d.step(_mean(log(p(x, z) / q(z | x))) + KL(q(z | x), p(z | x)), "two expectations")
    d.step(_mean(log(p(x | z))) - KL(q(z | x), p(z)) + KL(q(z | x), p(z | x)), "line by line, as above")
    d.at_least(
        _mean(log(p(x | z))) - KL(q(z | x), p(z)), "KL is never negative", because=KL(q(z | x), p(z | x))
    )
    return d


@derivation(chapter=1)
def sampled_evidence() -> Derivation:
    """The mean of the ratio p(x, z)/q(z | x) is p(x) itself: the log makes the bound."""
    d = Derivation("sampled_evidence", start=_mean(p(x, z) / q(z | x)))
    d.step(p(x) * _mean(p(z | x) / q(z | x)), "product rule")
    d.step(p(x), "$p(z \\mid x)$ sums to one")
    return d


@derivation(chapter=1)
def jensen() -> Derivation:
    """Jensen's inequality for the log: the mean log of the ratio is at most the log of its mean."""
    ratio = p(x, z) / q(z | x)
    d = Derivation("jensen", start=_mean(log(ratio)))
    d.step(log(p(x)) + _mean(log(ratio / p(x))), "divide and multiply by $p(x)$, the mean of the ratio")
    mean_one = ratio / p(x)
    d.at_most(
        log(p(x)) + _mean(mean_one - 1), "$\\log t \\le t - 1$", because=t - 1 - log(t), at={t: mean_one}
    )
    return d.step(log(p(x)), "the mean of the ratio is $p(x)$")


# Worked in full: two states, and the linear Gaussian

half = Rational(1, 2)
w, m = symbols("w m", real=True)
s, v = symbols("s v", positive=True)
MODEL = {p(z): Normal(z, 0, 1), p(x | z): Normal(x, w * z, s**2), q(z | x): Normal(z, m, v)}
m_post, v_post = Symbol("m_*", real=True), Symbol("v_*", positive=True)
with as_written():
    POSTERIOR = {
        p(z | x): Normal(z, m_post, v_post),
        m_post: w * x / (w**2 + s**2),
        v_post: s**2 / (w**2 + s**2),
    }


@derivation(chapter=1, lecture="00:29–00:52")
def two_states() -> Derivation:
    """A latent with two states, summed in full: a = p(x, z=1), b = p(x, z=2), r = q(z=1 | x)."""
    a, b, r = Symbol("a", positive=True), Symbol("b", positive=True), Unit("r")
    d = Derivation("two_states", start=log(a + b))
    d.step(r * log(a + b) + (1 - r) * log(a + b), "$r + (1 - r) = 1$")
    first = r * log(a / (a / (a + b))) + (1 - r) * log(b / (b / (a + b)))
    d.step(first, "product rule: $p(z \\mid x)$ is $a/(a+b)$, $b/(a+b)$")
    bound = r * log(a / r) + (1 - r) * log(b / (1 - r))
    gap = r * log(r / (a / (a + b))) + (1 - r) * log((1 - r) / (b / (a + b)))
    d.step(bound + gap, "multiply and divide by $q$; split")
    return d


@derivation(chapter=1)
def linear_gaussian_evidence() -> Derivation:
    """The evidence of the linear-Gaussian model, by integrating z out."""
    d = Derivation(
        "linear_gaussian_evidence", start=Integral(p(x | z) * p(z), (z, -oo, oo)), symbol=p(x), given=MODEL
    )
    d.step(Integral(Normal(x, w * z, s**2) * Normal(z, 0, 1), (z, -oo, oo)), "the model's densities")
    d.step(Normal(x, 0, w**2 + s**2), "Gaussian integral")
    return d


@derivation(chapter=1)
def linear_gaussian_posterior() -> Derivation:
    """The posterior of the linear-Gaussian model, by completing the square in z."""
    spread = log(2 * pi * s**2 / (w**2 + s**2))
    d = Derivation(
        "linear_gaussian_posterior",
        start=log(Normal(x, w * z, s**2) * Normal(z, 0, 1) / Normal(x, 0, w**2 + s**2)),
        symbol=log(p(z | x)),
    )
    squares = (x - w * z) ** 2 / s**2 + z**2 - x**2 / (w**2 + s**2)
    d.step(-half * (squares + spread), "log of a Gaussian, three times")
    square = (w**2 + s**2) / s**2 * (z - w * x / (w**2 + s**2)) ** 2
    d.step(-half * (square + spread), "complete the square in $z$")
    return d.step(log(Normal(z, w * x / (w**2 + s**2), s**2 / (w**2 + s**2))), "log of a Gaussian")


@derivation(chapter=1, code="vae.VAE.bound")
def linear_gaussian_elbo() -> Derivation:
    """The bound of the linear-Gaussian model, integrated."""
    encoder = Normal(z, m, v)
    d = Derivation("linear_gaussian_elbo", start=E(q(z | x), log(p(x | z))) - KL(q(z | x), p(z)), given=MODEL)
    d.step(E(encoder, log(Normal(x, w * z, s**2))) - KL(encoder, Normal(z, 0, 1)), "the model's densities")
    squares = E(encoder, (x - w * z) ** 2)
    fit = -squares / (2 * s**2) - half * log(2 * pi * s**2)
    d.step(fit - (m**2 + v - 1 - log(v)) / 2, "log of a Gaussian; KL to N(0, 1)")
    fit = -((x - w * m) ** 2 + w**2 * v) / (2 * s**2) - half * log(2 * pi * s**2)
    d.step(fit - (m**2 + v - 1 - log(v)) / 2, "mean and variance of $x - w z$")
    return d


@derivation(chapter=1)
def linear_gaussian_kl() -> Derivation:
    """The gap of the linear-Gaussian model: the KL from the encoder to the exact posterior."""
    d = Derivation("linear_gaussian_kl", start=KL(q(z | x), p(z | x)), given={**MODEL, **POSTERIOR})
    encoder = Normal(z, m, v)
    d.step(E(encoder, log(encoder / Normal(z, m_post, v_post))), "definition of KL")
    squares = E(encoder, (z - m_post) ** 2 / v_post - (z - m) ** 2 / v)
    d.step((log(v_post / v) + squares) / 2, "log of a Gaussian")
    d.step((log(v_post / v) + ((m - m_post) ** 2 + v) / v_post - 1) / 2, "mean and variance of $z$")
    return d


@derivation(chapter=1, lecture="00:29–00:52")
def linear_gaussian_identity() -> Derivation:
    """Bound plus gap is log p(x), in the linear-Gaussian model, by integrals."""
    start = E(q(z | x), log(p(x | z) * p(z) / q(z | x))) + KL(q(z | x), p(z | x))
    d = Derivation("linear_gaussian_identity", start=start, given={**MODEL, **POSTERIOR})
    squares = ((x - w * m) ** 2 + w**2 * v) / s**2 + m**2 + v - ((m - m_post) ** 2 + v) / v_post
    d.step(-half * (squares + log(2 * pi * s**2 / v_post)), "bound and gap, integrated")
    d.step(-(x**2) / (2 * (w**2 + s**2)) - half * log(2 * pi * (w**2 + s**2)), "$m$ and $v$ cancel")
    d.step(log(Normal(x, 0, w**2 + s**2)), "log of a Gaussian")
    return d
