"""Chapter 3: the forward chain, its closed form, how near it comes to N(0, 1), and what undoes a step.

All in one dimension.
"""

from sympy import (
    Function,
    IndexedBase,
    Integer,
    Integral,
    Product,
    Rational,
    Sum,
    Symbol,
    log,
    oo,
    pi,
    sqrt,
    symbols,
)

from ..symbolic import KL, Derivation, E, Family, Normal, RandomVariable, Unit, as_written
from .registry import derivation

half = Rational(1, 2)
x0, xs, xt = RandomVariable("x_0"), RandomVariable("x_{t-1}"), RandomVariable("x_t")
q = Family("q")
alpha, alphabar_s = Unit("alpha_t"), Unit("alphabar_{t-1}")
beta, alphabar = Unit("beta_t"), Unit("alphabar_t")
with as_written():
    SCHEDULE = {beta: 1 - alpha, alphabar: alpha * alphabar_s}
    CHAIN = {
        q(xs | x0): Normal(xs, sqrt(alphabar_s) * x0, 1 - alphabar_s),
        q(xt | xs): Normal(xt, sqrt(alpha) * xs, beta),
    }


@derivation(chapter=3, lecture="11:42–12:03")
def forward_chain() -> Derivation:
    """The encoder of a diffusion model: a Markov chain of T small steps."""
    chain, steps = (
        RandomVariable("x_{1:T}"),
        (Symbol("t", integer=True), 1, Symbol("T", integer=True, positive=True)),
    )
    d = Derivation("forward_chain", start=q(chain | x0))
    return d.define(Product(q(xt | xs), steps))


@derivation(chapter=3, lecture="13:41–14:08")
def reverse_chain() -> Derivation:
    """The model: a prior for x_T, and T steps back, of which the last makes the image."""
    xT, whole = RandomVariable("x_T"), RandomVariable("x_{0:T}")
    p, steps = (
        Family("p", "theta", fixed=[xT]),
        (Symbol("t", integer=True), 1, Symbol("T", integer=True, positive=True)),
    )
    d = Derivation("reverse_chain", start=p(whole))
    return d.define(p(xT) * Product(p(xs | xt), steps))


@derivation(chapter=3, lecture="12:56–13:41", code="diffusion.Diffusion.q_sample")
def forward_two_steps() -> Derivation:
    """Two forward steps are one longer step: their densities, composed."""
    x1, x2 = RandomVariable("x_1"), RandomVariable("x_2")
    a1, a2 = Unit("alpha_1"), Unit("alpha_2")
    given = {q(x1 | x0): Normal(x1, sqrt(a1) * x0, 1 - a1), q(x2 | x1): Normal(x2, sqrt(a2) * x1, 1 - a2)}
    given[q(x2 | x1, x0)] = q(x2 | x1)
    d = Derivation(
        "forward_two_steps",
        start=Integral(q(x2 | x1) * q(x1 | x0), (x1, -oo, oo)),
        symbol=q(x2 | x0),
        given=given,
    )
    first, second = given[q(x1 | x0)], given[q(x2 | x1)]
    d.step(Integral(second * first, (x1, -oo, oo)), "the chain's densities")
    d.step(Normal(x2, sqrt(a2) * (sqrt(a1) * x0), a2 * (1 - a1) + (1 - a2)), "means and variances, as above")
    d.step(Normal(x2, sqrt(a1 * a2) * x0, 1 - a1 * a2), "$\\alpha_2 - \\alpha_1\\alpha_2 + 1 - \\alpha_2$")
    return d


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.q_sample")
def forward_marginal_mean() -> Derivation:
    """The mean of x_t given x_0: one step more multiplies it by √α_t."""
    d = Derivation(
        "forward_marginal_mean", start=E(q(xs | x0), E(q(xt | xs), xt)), given={**SCHEDULE, **CHAIN}
    )
    d.step(E(q(xs | x0), sqrt(alpha) * xs), "mean of one step")
    d.step(sqrt(alpha) * sqrt(alphabar_s) * x0, "mean of the chain so far")
    d.step(sqrt(alphabar) * x0, "$\\bar\\alpha_t = \\alpha_t \\bar\\alpha_{t-1}$")
    return d


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.q_sample")
def forward_marginal_variance() -> Derivation:
    """The variance of x_t given x_0: old variance shrunk by α_t, new noise β_t added."""
    square = (xt - sqrt(alphabar) * x0) ** 2
    d = Derivation(
        "forward_marginal_variance", start=E(q(xs | x0), E(q(xt | xs), square)), given={**SCHEDULE, **CHAIN}
    )
    d.step(E(q(xs | x0), (sqrt(alpha) * xs - sqrt(alphabar) * x0) ** 2 + beta), "variance of one step")
    d.step(alpha * E(q(xs | x0), (xs - sqrt(alphabar_s) * x0) ** 2) + beta, "take $\\alpha_t$ out")
    d.step(alpha * (1 - alphabar_s) + beta, "variance of the chain so far")
    d.step(1 - alphabar, "$\\beta_t = 1 - \\alpha_t$")
    return d


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.q_sample")
def forward_marginal() -> Derivation:
    """The closed form of q(x_t | x_0), by induction: from t − 1 to t."""
    chain = Integral(q(xt | xs) * q(xs | x0), (xs, -oo, oo))
    given = {**SCHEDULE, **CHAIN, q(xt | xs, x0): q(xt | xs)}
    d = Derivation("forward_marginal", start=chain, symbol=q(xt | x0), given=given)
    mean, variance = sqrt(alpha) * (sqrt(alphabar_s) * x0), alpha * (1 - alphabar_s) + beta
    d.step(Normal(xt, mean, variance), "Gaussian integral")
    d.step(Normal(xt, sqrt(alphabar) * x0, 1 - alphabar), "$\\bar\\alpha_t = \\alpha_t \\bar\\alpha_{t-1}$")
    return d


@derivation(chapter=3, lecture="13:25–13:41")
def forward_marginal_first() -> Derivation:
    """The closed form at t = 1, where the induction starts."""
    x1, bar, first = RandomVariable("x_1"), Unit("alphabar_1"), Unit("beta_1")
    d = Derivation(
        "forward_marginal_first",
        start=Normal(x1, sqrt(1 - first) * x0, first),
        symbol=q(x1 | x0),
        given={first: 1 - bar},
    )
    return d.step(Normal(x1, sqrt(bar) * x0, 1 - bar), "$\\bar\\alpha_1 = 1 - \\beta_1$")


@derivation(chapter=3, lecture="13:25–13:41")
def forward_fixed_point() -> Derivation:
    """N(0, 1) is kept by every forward step."""
    step, noise = Normal(xt, sqrt(alpha) * xs, 1 - alpha), Normal(xs, 0, 1)
    d = Derivation("forward_fixed_point", start=Integral(step * noise, (xs, -oo, oo)))
    d.step(Normal(xt, 0, alpha + (1 - alpha)), "the variances add")
    d.step(Normal(xt, 0, 1), "add")
    return d


def _constant():
    """α = 1/(1 + r), T, and ᾱ_T = αᵀ."""
    r, T = Symbol("r", positive=True), Symbol("T", positive=True)
    return r, T, (1 + r) ** (-T)


@derivation(chapter=3, lecture="13:25–13:41")
def forward_limit_mean() -> Derivation:
    """With the same α = 1/(1+r) at each step, the mean of x_T tends to 0."""
    r, T, power = _constant()
    bar = Unit("alphabar_T")
    d = Derivation("forward_limit_mean", start=sqrt(bar) * x0, given={bar: power})
    d.step((1 + r) ** (-T / 2) * x0, "$\\bar\\alpha_T = \\alpha^T$")
    return d.tends_to(Integer(0), T, oo, "since $r > 0$")


@derivation(chapter=3, lecture="13:25–13:41")
def forward_limit_variance() -> Derivation:
    """With the same α = 1/(1+r) at each step, the variance of x_T tends to 1."""
    _, T, power = _constant()
    bar = Unit("alphabar_T")
    d = Derivation("forward_limit_variance", start=1 - bar, given={bar: power})
    d.step(1 - power, "$\\bar\\alpha_T = \\alpha^T$")
    return d.tends_to(Integer(1), T, oo, "since $r > 0$")


@derivation(chapter=3, lecture="13:25–13:41", code="diffusion.Diffusion.bound")
def terminal_kl() -> Derivation:
    """How far x_T is from N(0, 1) at finite T, per dimension, exactly."""
    bar, xT = Unit("alphabar_T"), RandomVariable("x_T")
    end = Normal(xT, sqrt(bar) * x0, 1 - bar)
    d = Derivation("terminal_kl", start=KL(q(xT | x0), Normal(xT, 0, 1)), given={q(xT | x0): end})
    d.step(E(end, xT**2 / 2 - (xT - sqrt(bar) * x0) ** 2 / (2 * (1 - bar))) - half * log(1 - bar), "log")
    d.step(half * (bar * x0**2 + (1 - bar) - 1 - log(1 - bar)), "second moments")
    d.step(half * (bar * (x0**2 - 1) - log(1 - bar)), "collect")
    return d


@derivation(chapter=3, lecture="13:25–13:41")
def terminal_kl_limit() -> Derivation:
    """That divergence vanishes as ᾱ_T goes to 0."""
    bar = Symbol("alphabar_T", positive=True)
    d = Derivation("terminal_kl_limit", start=half * (bar * (x0**2 - 1) - log(1 - bar)))
    return d.tends_to(Integer(0), bar, Integer(0), "continuous at 0")


@derivation(chapter=3, lecture="11:42–12:37")
def hierarchical_bound() -> Derivation:
    """A diffusion model is a VAE whose latent is the whole chain: its bound is the VAE's bound."""
    z = RandomVariable("x_{1:T}")
    p = Family("p", "theta")
    d = Derivation("hierarchical_bound", start=log(p(x0)))
    d.step(E(q(z | x0), log(p(x0, z) / q(z | x0))) + KL(q(z | x0), p(z | x0)), "two expectations")
    d.at_least(
        E(q(z | x0), log(p(x0, z) / q(z | x0))), "KL is never negative", because=KL(q(z | x0), p(z | x0))
    )
    return d


@derivation(chapter=3, lecture="12:56–13:25", code="diffusion.Diffusion.q_sample")
def forward_step() -> Derivation:
    """One step of the encoder: shrink a little, add a little noise."""
    d = Derivation("forward_step", start=q(xt | xs))
    return d.define(Normal(xt, sqrt(1 - beta) * xs, beta))


# What undoes a step, why a small one is nearly Gaussian, and when a chain forgets its start

mu, m = symbols("mu m", real=True)
s, v = symbols("s v", positive=True)
u, gamma = Symbol("u", real=True), Symbol("gamma", real=True)
tilt = (*symbols("f' f''", real=True), Symbol("f'''", real=True, nonzero=True))


@derivation(chapter=3, lecture="12:37–13:25")
def reverse_by_bayes() -> Derivation:
    """The true step back, by Bayes' rule."""
    d = Derivation("reverse_by_bayes", start=q(xs | xt))
    return d.step(q(xt | xs) * q(xs) / q(xt), "product rule, both ways round")


@derivation(chapter=3, lecture="12:37–13:25")
def reverse_of_gaussian() -> Derivation:
    """Where x_{t−1} is N(μ, s²), the step back is exactly Gaussian, for every β_t."""
    given = {
        q(xt | xs): Normal(xt, sqrt(alpha) * xs, beta),
        q(xs): Normal(xs, mu, s**2),
        q(xt): Normal(xt, sqrt(alpha) * mu, alpha * s**2 + beta),
        v: s**2 * beta / (beta + alpha * s**2),
        beta: 1 - alpha,
    }
    d = Derivation("reverse_of_gaussian", start=q(xt | xs) * q(xs) / q(xt), symbol=q(xs | xt), given=given)
    return d.step(Normal(xs, v * (mu / s**2 + sqrt(alpha) * xt / beta), v), "complete the square")


@derivation(chapter=3)
def best_gaussian() -> Derivation:
    """Among all N(m, s²), the cross-entropy with q is least for q's own mean μ and variance v."""
    x = RandomVariable("x")
    law = Family("q")(x)
    d = Derivation(
        "best_gaussian",
        start=E(law, -log(Normal(x, m, s**2))),
        given={mu: E(law, x), v: E(law, (x - E(law, x)) ** 2)},
    )
    d.step(E(law, (x - m) ** 2) / (2 * s**2) + half * log(2 * pi * s**2), "log of a Gaussian")
    d.step((v + (mu - m) ** 2) / (2 * s**2) + half * log(2 * pi * s**2), "mean and variance of $q$")
    square = (mu - m) ** 2 / (2 * s**2)
    d.at_least(v / (2 * s**2) + half * log(2 * pi * s**2), "equal at $m = \\mu$", because=square)
    ratio = Symbol("u", positive=True)
    reason = "$\\log u \\le u - 1$ at $u = v/s^2$; equal at $s^2 = v$"
    because = half * (ratio - 1 - log(ratio))
    return d.at_least(half + half * log(2 * pi * v), reason, because=because, at={ratio: v / s**2})


@derivation(chapter=3)
def tilted_skewness() -> Derivation:
    """The third cumulant of N(0, 1) tilted by exp(f), f a cubic, to leading order in the width s."""
    f1, f2, f3 = tilt
    w = Function("w")(u)  # e^f to third order in s
    a, b, c = (Symbol(name, real=True) for name in "abc")
    noise = Normal(u, 0, 1)
    given = {moment(k): E(noise, power * w) for k, power in enumerate((1, u, u**2, u**3))}
    given |= {w: 1 + a * u + b * u**2 + c * u**3, a: s * f1, b: s**2 * (f2 + f1**2) / 2}
    given |= {c: s**3 * (f3 / 6 + f1 * f2 / 2 + f1**3 / 6)}
    one, two, three = (moment(k) / moment(0) for k in (1, 2, 3))
    d = Derivation("tilted_skewness", start=three - 3 * one * two + 2 * one**3, given=given)
    return d.leading_order(s**3 * f3, s, Integer(0), "moments of N(0, 1)")


def moment(k: int):
    """M_k, the k-th moment of the tilted bump."""
    return Symbol(f"M_{k}", positive=True) if k == 0 else Symbol(f"M_{k}", real=True)


@derivation(chapter=3)
def skewness_price() -> Derivation:
    """The divergence of a nearly normal law of skewness γ from the normal law of its mean and variance."""
    h, noise = (u**3 - 3 * u) / 6, Normal(u, 0, 1)
    d = Derivation("skewness_price", start=E(noise, (1 + gamma * h) * log(1 + gamma * h)))
    d.axiom(
        E(noise, gamma * h + gamma**2 * h**2 / 2), "expand in $\\gamma$ under $\\mathbb{E}$", relation="~"
    )
    return d.step(gamma**2 / 12, "moments of N(0, 1)")


@derivation(chapter=3)
def small_step_price() -> Derivation:
    """What a small step costs in all: its skewness, averaged over where it starts."""
    third, skewness = Function("f'''")(xs), Function("gamma")(xs)
    width = Symbol("beta_t", positive=True)
    given = {skewness: s**3 * third, s: sqrt(width / (1 - width))}
    d = Derivation("small_step_price", start=E(q(xs), skewness**2 / 12), given=given)
    d.step(E(q(xs), (width / (1 - width)) ** 3 * third**2 / 12), "its skewness and its width")
    d.step((width / (1 - width)) ** 3 / 12 * E(q(xs), third**2), "$\\mathbb{E}$ is linear")
    return d.leading_order(width**3 / 12 * E(q(xs), third**2), width, Integer(0), "$1 - \\beta_t \\to 1$")


def _logs():
    """α_t, β_t, t, and t = 1 … T."""
    t, last = Symbol("t", integer=True), Symbol("T", integer=True, positive=True)
    return IndexedBase("alpha", positive=True)[t], IndexedBase("beta", real=True)[t], t, (t, 1, last)


@derivation(chapter=3, lecture="13:25–13:41")
def chain_forgets() -> Derivation:
    """If the β_t add up to infinity, log ᾱ_T goes to −∞."""
    a, b, _, steps = _logs()
    r = Symbol("r", positive=True)
    d = Derivation(
        "chain_forgets", start=Sum(log(a), steps), symbol=log(Unit("alphabar_T")), given={b: 1 - a}
    )
    d.at_most(Sum(a - 1, steps), "$\\log r \\le r - 1$", because=r - 1 - log(r), at={r: a})
    return d.step(-Sum(b, steps), "$\\beta_t = 1 - \\alpha_t$")


@derivation(chapter=3, lecture="13:25–13:41")
def chain_remembers() -> Derivation:
    """A step with β_t = r/2 ≤ 1/2 takes no more than 2β_t from log ᾱ_T."""
    r = Unit("r")
    d = Derivation("chain_remembers", start=log(1 - beta), given={beta: r / 2})
    return d.at_least(-2 * beta, "concave, so above its chord")
