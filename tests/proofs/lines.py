"""Falsehoods that the engine must refuse, and true lines that it should accept; by kind.

Tests try every one of them, and the page "How this book is checked" shows them with their counts. Each entry
is a function that makes a derivation; the lines are kept as written.
"""

import sympy as sp
from lowerbound.symbolic import (
    KL,
    Derivation,
    E,
    Family,
    Normal,
    RandomVariable,
    SquaredNorm,
    Unit,
    as_written,
    lemmas,
)
from sympy import (
    Abs,
    Derivative,
    Eq,
    EulerGamma,
    Float,
    Function,
    IndexedBase,
    Integer,
    Integral,
    Max,
    Min,
    Product,
    Rational,
    Sum,
    Symbol,
    atan,
    cos,
    erf,
    exp,
    floor,
    log,
    oo,
    pi,
    sin,
    sqrt,
    symbols,
    tan,
    tanh,
)

x, y, z, h = (RandomVariable(name) for name in "xyzh")
p, q, r = Family("p", "theta", fixed=[z]), Family("q", "phi"), Family("r")
theta, phi = Symbol("theta", real=True), Symbol("phi", real=True)
t, s, v, c = symbols("t s v c", positive=True)
a, b, d, m, mu = symbols("a b d m mu", real=True)
eps = Symbol("epsilon", real=True)
sigma = Symbol("sigma", positive=True)
w = Symbol("w", nonnegative=True)
n = Symbol("n", integer=True)
neg = Symbol("k", negative=True)
u = Unit("u")
i, j = symbols("i j", integer=True)
N = Symbol("N", integer=True, positive=True)
B, R = IndexedBase("B", real=True), IndexedBase("R", positive=True)
X, M = IndexedBase("x", real=True), IndexedBase("m", real=True)
f, g = Function("f"), Function("g")
half = Rational(1, 2)
k, T = Symbol("t", integer=True, positive=True), Symbol("T", integer=True, positive=True)  # k is printed t
xt, xs = RandomVariable("x_t"), RandomVariable("x_{t-1}")
beta_t, alpha_t, S = Symbol("beta_t", positive=True), Unit("alpha_t"), Symbol("S", real=True)
Q = q(z | x)
D = Derivation


def mean(what):
    return E(Q, what)


def line(left, right, **options):
    """One step from left to right."""
    return lambda: D("line", left(), **options).step(right(), "claimed")


def at_least(left, right, **reason):
    return lambda: D("bound", left()).at_least(
        right(), "claimed", **{k: value() for k, value in reason.items()}
    )


def at_most(left, right, **reason):
    return lambda: D("bound", left()).at_most(
        right(), "claimed", **{k: value() for k, value in reason.items()}
    )


def tends(left, right, symbol, target):
    return lambda: D("limit", left()).tends_to(right(), symbol, target, "claimed")


def leads(left, right, symbol, target):
    return lambda: D("order", left()).leading_order(right(), symbol, target, "claimed")


def elbo():
    return mean(log(p(x, z) / Q))


h2 = RandomVariable("w", like=z)


def _long_sum():
    """S, the sum with its first two terms apart: for 2 ≤ N."""
    d = D("lemma", B[1] + B[2] + Sum(B[i], (i, 3, N)), symbol=S, where={N: (2, oo)})
    return d.step(Sum(B[i], (i, 1, N)), "together")


def _two_points():
    return (
        D("two", t + t**2)
        .leading_order(t, t, 0, "small")
        .step(t * 1, "same")
        .leading_order(1 + t, t, oo, "large")
    )


x_0, u_ = RandomVariable("x_0"), Unit("y")
z1, z2 = (RandomVariable(name, like=z) for name in ("z_1", "z_2"))


def _weight(of):
    return p(x, of) / q(of | x)


def _two_samples():
    return E(q(z1 | x), E(q(z2 | x), log((_weight(z1) + _weight(z2)) / 2)))


def real(name):
    return Symbol(name, real=True)


LOG, ROOT = real(r"\log"), real(r"\sqrt")
W = IndexedBase("W", real=True)
even, odd = Symbol("l", even=True), Symbol("o", odd=True)
K = Symbol("K", integer=True, positive=True)
another_p = Family("p", "phi")


def _gauss(marginal=None, posterior=None):
    """z ~ N(0, 1), x | z ~ N(z, 1), and what is said besides."""
    said = {p(z): Normal(z, 0, 1), p(x | z): Normal(x, z, 1)}
    said |= {p(x): Normal(x, *marginal)} if marginal else {}
    return said | ({p(z | x): Normal(z, *posterior)} if posterior else {})


def _first_terms():
    return B[1] + B[2] + Sum(B[i], (i, 3, N))


def _whole_sum():
    return _lemma(_first_terms(), Sum(B[i], (i, 1, N)), where={N: (2, oo)})


def _in_a_sum(start, size=1):
    left = Sum(_first_terms(), (N, start, T)) / size
    return D("use", left, using=[_whole_sum()]).step(Sum(Sum(B[i], (i, 1, N)), (N, start, T)) / size, "lemma")


CHANNEL = {p(x, z): q(z | x) * p(x)}  # p and q make z of x in the same way
information = E(q(x, z), log(q(x, z) / (q(x) * q(z))))
x_hat, e_hat, place = (Symbol(name, real=True) for name in ("xhat", "ehat", "xi"))
X_0, width = Symbol("X", real=True), Symbol("h", positive=True)
IMAGE = (place - sqrt(1 - u) * eps) / sqrt(u)
drift = (sqrt(1 - v * width) * a - a) / width


def _lemma(*lines, **options):
    made = D("lemma", lines[0], **options)
    for each in lines[1:]:
        made.step(each, "lemma")
    return made


# kind: (what the kind is, {name: what must be refused})
FALSE = {
    "parameters": (
        "A density does not change with its parameter",
        {
            "a rate without phi": line(lambda: Derivative(KL(Q, p(z)), phi), lambda: Integer(0)),
            "a likelihood without theta": line(lambda: Derivative(mean(log(p(x | z))), theta), lambda: Integer(0)),
            "the slope under an average": line(lambda: Derivative(mean(f(z)), phi), lambda: mean(Derivative(f(z), phi))),
            "a squared score": line(lambda: mean(Derivative(log(Q), phi) ** 2), lambda: Integer(0)),
            "a weighted score": line(lambda: mean(f(z) * Derivative(log(Q), phi)), lambda: Integer(0)),
            "a density assumed to be another": line(
                lambda: Derivative(log(r(z | x)), phi), lambda: Integer(0), given={r(z | x): Q}
            ),
            "the prior's slope alone": line(
                lambda: Derivative(log(p(x, z)), theta), lambda: Derivative(log(p(z)), theta)
            ),
            "the bound has no slope in φ": line(lambda: Derivative(elbo(), phi), lambda: Integer(0)),
            "nor in θ": line(lambda: Derivative(elbo(), theta), lambda: Integer(0)),
            "log p(x) has no slope": line(lambda: Derivative(log(p(x)), theta), lambda: Integer(0)),
            "a density has no slope": line(lambda: Derivative(Q, phi), lambda: Integer(0)),
            "no second slope": line(lambda: Derivative(log(p(x)), theta, theta), lambda: Integer(0)),
            "KL has no slope": line(lambda: Derivative(KL(Q, p(z)), phi), lambda: Integer(0)),
            "the score is zero": line(lambda: Derivative(log(Q), phi), lambda: Integer(0)),
            "the slope moved inside, without the score": line(
                lambda: Derivative(mean(log(p(x | z))), phi), lambda: mean(Derivative(log(p(x | z)), phi))
            ),
            "information without its sign": line(
                lambda: mean(Derivative(log(Q), phi, phi)), lambda: mean(Derivative(log(Q), phi) ** 2)
            ),
            "in a symbol of other assumptions": lambda: D(
                "other", Derivative(log(p(x)), Symbol("theta", positive=True))
            ).step(0, "claimed"),
            "a limit of a density": tends(lambda: log(p(x)), lambda: log(p(x)), theta, oo),
            "the parameter fixed by an assumption": line(
                lambda: Derivative(log(p(x)), theta), lambda: Integer(0), given={theta: Integer(1)}
            ),
            "the slope of one of two": line(
                lambda: Derivative(E(q(z), log(another_p(z))), phi),
                lambda: E(q(z), log(another_p(z)) * Derivative(log(q(z)), phi)),
            ),
            "Fisher with the other measure": line(
                lambda: Derivative(log(p(x)), theta), lambda: mean(Derivative(log(p(x, z)), theta))
            ),
            "posterior score is likelihood score": line(
                lambda: Derivative(log(p(z | x)), theta), lambda: Derivative(log(p(x | z)), theta)
            ),
            "second slope without its variance": line(
                lambda: Derivative(log(p(x)), theta, theta),
                lambda: E(p(z | x), Derivative(log(p(x, z)), theta, theta)),
            ),
            "averaged over its parameter": line(lambda: E(Normal(theta, 0, 1), log(p(x))), lambda: log(p(x))),
            "slope in a bound parameter": line(
                lambda: Derivative(E(Normal(theta, 0, 1), log(p(x))), theta),
                lambda: E(Normal(theta, 0, 1), Derivative(log(p(x)), theta)),
            ),
            "KL's slope of the wrong sign": line(
                lambda: Derivative(KL(Q, p(z)), phi), lambda: mean(log(p(z) / Q) * Derivative(log(Q), phi))
            ),
            "log of mean, slope inside": line(
                lambda: Derivative(log(E(p(z), p(x | z))), theta),
                lambda: E(p(z), Derivative(log(p(x | z)), theta)),
            ),
            "slope of an entropy without log": line(
                lambda: Derivative(mean(log(Q)), phi), lambda: Integer(0)
            ),
            "reverse KL for forward": line(
                lambda: Derivative(KL(p(z | x), Q), phi), lambda: Derivative(KL(Q, p(z | x)), phi)
            ),
        },
    ),
    "capture": (
        "An assumption reaches under an expectation, a sum or an integral, and captures its variable",
        {
            "reparameterised without E": line(
                lambda: mean(z**2), lambda: (a + t * b) ** 2, given={z: a + t * b}
            ),
            "the variable fixed": line(lambda: mean(z), lambda: a, given={z: a}),
            "a measure over another variable": line(
                lambda: E(p(z), z**2), lambda: z**2, given={p(z): Normal(y, 0, 1)}
            ),
            "a constant that turns random": line(lambda: mean(a), lambda: mean(z**2), given={a: z**2}),
            "a random variable for another": line(lambda: mean(y), lambda: mean(z), given={y: z}),
            "the noise of a Gaussian": line(
                lambda: E(Normal(eps, 0, 1), a), lambda: Integer(0), given={a: eps}
            ),
            "the variable of an integral": line(lambda: Integral(a, (b, 0, 1)), lambda: half, given={a: b}),
            "the index of a sum": line(lambda: Sum(a, (i, 1, N)), lambda: N * (N + 1) / 2, given={a: i}),
            "through a second assumption": line(lambda: mean(a), lambda: mean(z), given={a: b, b: z}),
            "inside a KL": line(lambda: KL(Normal(a, a, 1), Normal(a, 0, 1)), lambda: (a**2 + 1) / 2),
            "a mean that holds its variable": line(lambda: E(Normal(a, a, 1), a), lambda: a),
            "a Gaussian assumed about itself": line(
                lambda: E(p(z), z), lambda: z, given={p(z): Normal(z, z, 1)}
            ),
            "an assumption about a summed index": line(
                lambda: Sum(i, (i, 1, N)), lambda: 3 * N, given={i: Integer(3)}
            ),
            "a formula in a density": line(
                lambda: log(q(z | x)), lambda: log(q(z | x)) * 1, given={x: a + b}
            ),
            "a lemma about the free variable": lambda: D(
                "use", mean(a), using=[_lemma(a, z, given={a: z})]
            ).step(mean(z), "lemma"),
            "a density that knows a bound variable": line(
                lambda: E(q(x), log(p(z))),
                lambda: E(q(x), log(Normal(z, x, 1))),
                given={p(z): Normal(z, x, 1)},
            ),
            "a function's free letter": line(
                lambda: E(Normal(b, 0, 1), f(b)), lambda: Integer(0), given={f(a): a * b}
            ),
            "a Gaussian's free letter": line(
                lambda: E(Normal(b, 0, 1), p(x | z)),
                lambda: Normal(x, 0, 1 + z**2),
                given={p(x | z): Normal(x, b * z, 1)},
            ),
            "the derivative of a bound": line(
                lambda: Derivative(E(Normal(a, b, 1), a), a), lambda: Integer(1)
            ),
            "an end that is an index": line(
                lambda: Sum(Sum(1, (j, 1, K)), (i, 1, 3)), lambda: Integer(6), given={K: i}
            ),
            "order of two means": line(
                lambda: E(p(z), E(p(x | z), z * x)), lambda: E(p(x | z), E(p(z), z * x))
            ),
            "order of a triangle": line(
                lambda: Sum(Sum(B[i] * R[j], (j, 1, i)), (i, 1, N)),
                lambda: Sum(Sum(B[i] * R[j], (i, 1, N)), (j, 1, i)),
            ),
            "order of integrals": line(
                lambda: Integral(Integral(a * b, (a, 0, b)), (b, 0, 1)),
                lambda: Integral(Integral(a * b, (b, 0, 1)), (a, 0, b)),
            ),
            "index of an assumed entry": line(lambda: Sum(B[i], (i, 1, 3)), lambda: 3 * i, given={B[i]: i}),
            "a shadowed variable": line(lambda: mean(z * mean(z)), lambda: mean(z**2)),
            "a shadowed index": line(
                lambda: Sum(B[i] * Sum(B[i], (i, 1, N)), (i, 1, N)),
                lambda: Sum(Sum(B[i] ** 2, (i, 1, N)), (i, 1, N)),
            ),
            "a copy that is the same": line(lambda: mean(z * E(q(h2 | x), h2)), lambda: mean(z**2)),
            "conditional averaged without it": line(lambda: E(q(x), mean(z)), lambda: mean(z)),
        },
    ),
    "limits": (
        "A limit from the wrong side, or none that exists",
        {
            "odds of a number below one": tends(lambda: u / (1 - u), lambda: -oo, u, 1),
            "a pole with two sides": tends(lambda: 1 / a, lambda: oo, a, 0),
            "the sign of a distance": leads(lambda: Abs(1 - u), lambda: u - 1, u, 1),
            "a positive number to −∞": tends(lambda: exp(t), lambda: Integer(0), t, -oo),
            "a step at a whole number": tends(lambda: floor(t), lambda: Integer(1), t, 1),
            "a corner in the middle": tends(lambda: Abs(t - 1) / (t - 1), lambda: Integer(1), t, 1),
            "beyond the end of (0, 1)": tends(lambda: u, lambda: Integer(2), u, 2),
            "an odd pole at an inner point": tends(lambda: 1 / (t - 1), lambda: oo, t, 1),
            "exp of a pole": tends(lambda: exp(1 / a), lambda: oo, a, 0),
            "log of a fraction at 1": tends(lambda: log(1 - u), lambda: oo, u, 1),
            "two limits in one chain": _two_points,
            "a coefficient that may vanish": leads(lambda: 1 + b * t, lambda: b * t, t, oo),
            "a vanishing leading term": leads(lambda: b * t + t**2, lambda: b * t, t, 0),
            "a limit that holds its symbol": tends(lambda: t + 1, lambda: t, t, oo),
            "of a bound symbol": tends(lambda: Sum(i, (i, 1, 3)), lambda: Integer(6), i, oo),
            "of a symbol that is fixed": lambda: D("fixed", a * t, given={t: Integer(2)}).tends_to(
                oo, t, oo, "claimed"
            ),
            "an exponential whose sign is not known": tends(lambda: exp(-a * t), lambda: Integer(0), t, oo),
            "leading order twice too large": leads(lambda: sin(t), lambda: 2 * t, t, 0),
            "a root beyond its domain": tends(lambda: 1 / sqrt(1 - u), lambda: Integer(0), u, 1),
            "the slower term": leads(lambda: t + t**2, lambda: t, t, oo),
            "powers below one": tends(lambda: t**N, lambda: oo, N, oo),
            "powers of any real": tends(lambda: t**a, lambda: Integer(0), t, 0),
            "log to leading order at oo": leads(lambda: log(1 + t), lambda: t, t, oo),
            "exp shifted": leads(lambda: exp(t + 1), lambda: exp(t), t, oo),
            "exp of a lesser term": leads(lambda: exp(t**2 + t), lambda: exp(t**2), t, oo),
            "moving mass": tends(lambda: Integral(t * exp(-t * a), (a, 0, oo)), lambda: Integer(0), t, oo),
            "a bump that walks": tends(
                lambda: Integral(Normal(a, t, 1), (a, 0, oo)), lambda: Integer(0), t, oo
            ),
            "many small terms": tends(lambda: Sum(1 / N, (i, 1, N)), lambda: Integer(0), N, oo),
            "many small terms, harmonic": tends(
                lambda: Sum(1 / (N + i), (i, 1, N)), lambda: Integer(0), N, oo
            ),
            "many factors near one": tends(lambda: Product(1 + 1 / N, (i, 1, N)), lambda: Integer(1), N, oo),
            "alternating": tends(lambda: (-1) ** N, lambda: Integer(1), N, oo),
            "sine": tends(lambda: sin(t), lambda: Integer(0), t, oo),
            "difference of large": tends(lambda: sqrt(t**2 + t) - t, lambda: Integer(0), t, oo),
            "wiggle at nought": tends(lambda: sin(1 / t), lambda: Integer(0), t, 0),
            "negative symbol to oo": tends(lambda: 1 / neg, lambda: Integer(0), neg, oo),
            "variance to nought of log": tends(
                lambda: E(Normal(a, 0, t), a**2) / t, lambda: Integer(0), t, 0
            ),
            "mean square of a wide one": tends(
                lambda: E(Normal(a, 0, t), 1 / (1 + a**2)), lambda: Integer(1), t, oo
            ),
            "slow log": tends(lambda: 1 / log(log(t + 3) + 3), lambda: Rational(1, 5), t, oo),
            "very slow": tends(lambda: t ** Rational(1, 1000), lambda: Integer(1), t, oo),
            "inner jump of atan": tends(lambda: atan(1 / a), lambda: pi / 2, a, 0),
            "order with a whole coefficient": leads(lambda: n * t + t**2, lambda: n * t, t, 0),
        },
    ),
    "densities above one": (
        "The density of a continuous variable is taken for a probability, or a value breaks an assumption",
        {
            "entropy is positive": at_least(
                lambda: -E(q(z), log(q(z))), lambda: Integer(0), because=lambda: -log(u), at=lambda: {u: q(z)}
            ),
            "reconstruction is negative": at_most(
                lambda: mean(log(p(x | z))) - KL(Q, p(z)),
                lambda: -KL(Q, p(z)),
                because=lambda: -log(u),
                at=lambda: {u: p(x | z)},
            ),
            "p(x) is at least p(x, z)": at_least(
                lambda: p(x), lambda: p(x, z), because=lambda: p(x) * (1 - u), at=lambda: {u: p(z | x)}
            ),
            "log p is negative": at_most(
                lambda: log(p(x)), lambda: Integer(0), because=lambda: -log(u), at=lambda: {u: p(x)}
            ),
            "a Gaussian below one": at_most(
                lambda: Normal(a, 0, v),
                lambda: Integer(1),
                because=lambda: 1 - u,
                at=lambda: {u: Normal(a, 0, v)},
            ),
            "the ELBO is negative": at_most(
                lambda: elbo(), lambda: Integer(0), because=lambda: -log(u), at=lambda: {u: p(x, z) / Q}
            ),
            "cross-entropy is positive": at_least(
                lambda: -mean(log(p(z))), lambda: Integer(0), because=lambda: -log(u), at=lambda: {u: p(z)}
            ),
            "a nonnegative symbol at a negative value": at_least(
                lambda: Integer(0),
                lambda: Rational(1, 10**9),
                because=lambda: w,
                at=lambda: {w: -Rational(1, 10**9)},
            ),
            "a positive symbol at a negative value": at_least(
                lambda: -(a**2), lambda: Integer(0), because=lambda: t, at=lambda: {t: -(a**2)}
            ),
            "a negative symbol at a positive value": at_least(
                lambda: Integer(0),
                lambda: Rational(1, 10**9),
                because=lambda: -neg,
                at=lambda: {neg: Rational(1, 10**9)},
            ),
            "a whole number at a half": at_least(
                lambda: Integer(0),
                lambda: Rational(1, 4),
                because=lambda: (n - half) ** 2 - Rational(1, 4),
                at=lambda: {n: half},
            ),
            "a fraction at two": at_least(
                lambda: Integer(-1), lambda: Integer(0), because=lambda: 1 - u, at=lambda: {u: Integer(2)}
            ),
            "mean at a positive symbol": at_least(
                lambda: mean(z), lambda: Integer(0), because=lambda: t, at=lambda: {t: mean(z)}
            ),
            "real for whole": at_least(
                lambda: t / 10**9,
                lambda: Rational(1, 10**9),
                because=lambda: (N - 1) / Integer(10) ** 9,
                at=lambda: {N: t},
            ),
            "even for odd": at_least(
                lambda: Integer(0),
                lambda: Integer(1),
                because=lambda: odd**2 - 1,
                at=lambda: {odd: Integer(0)},
            ),
            "modulus less one": at_least(
                lambda: (Abs(a) - 1) / 10**9,
                lambda: Integer(0),
                because=lambda: w / Integer(10) ** 9,
                at=lambda: {w: Abs(a) - 1},
            ),
            "log of a minus": at_least(
                lambda: -p(x) - 1 - log(p(x)),
                lambda: Integer(0),
                because=lambda: t - 1 - log(t),
                at=lambda: {t: -p(x)},
            ),
            "a place that is not in it": at_least(
                lambda: log(p(x)), lambda: elbo(), because=lambda: KL(Q, p(z | x)) - 1, at=lambda: {c: t}
            ),
            "KL minus itself": at_least(
                lambda: Integer(0), lambda: KL(Q, p(z)), because=lambda: -KL(Q, p(z))
            ),
            "where for bound": at_least(
                lambda: Sum(i - 2, (i, 1, 2)), lambda: Integer(0), because=lambda: i - 2
            ),
            "unit at a share above one": at_least(
                lambda: 1 - t / s, lambda: Integer(0), because=lambda: 1 - u, at=lambda: {u: t / s}
            ),
            "unit at a sum of shares": at_least(
                lambda: 1 - (u + u_), lambda: Integer(0), because=lambda: 1 - v, at=lambda: {v: u + u_}
            ),
            "positive at a log": at_least(
                lambda: log(1 + t) - log(t) - 1,
                lambda: Integer(0),
                because=lambda: c,
                at=lambda: {c: log(1 + t) - log(t) - 1},
            ),
            "where about the averaged": lambda: D("w", mean(z), where=[z > 0]).at_least(
                0, "positive", because=z
            ),
            "where about the summed": lambda: D(
                "w", Sum((i - 2) / Integer(10) ** 9, (i, 1, 2)), where=[i >= 2]
            ).at_least(0, "positive", because=(i - 2) / Integer(10) ** 9),
            "range about the summed": lambda: D("w", Sum(i - 2, (i, 1, 2)), where={i: (2, N)}).at_least(
                0, "positive"
            ),
            "modulus where positive": lambda: D("w", mean(Abs(z)), where=[z > 0]).step(mean(z), "positive"),
            "log where positive": lambda: D("w", mean(log(z**2)), where=[z > 0]).step(
                2 * mean(log(z)), "positive"
            ),
            "KL below cross-entropy": at_most(lambda: KL(Q, p(z)), lambda: -mean(log(p(z)))),
            "joint below marginal": at_most(lambda: p(x, z), lambda: p(z)),
            "mean likelihood below one": at_most(lambda: mean(p(x | z)), lambda: Integer(1)),
            "information below entropy": at_most(lambda: E(q(x), KL(Q, q(z))), lambda: -E(q(z), log(q(z)))),
            "Gaussian entropy": at_least(
                lambda: -E(Normal(a, 0, v), log(Normal(a, 0, v))), lambda: Integer(0)
            ),
            "evidence below likelihood": at_most(lambda: log(p(x)), lambda: log(p(x | z))),
            "posterior below one by unit": at_most(
                lambda: p(z | x), lambda: Integer(1), because=lambda: 1 - u, at=lambda: {u: p(z | x)}
            ),
            "square below itself": at_most(lambda: mean(p(x | z) ** 2), lambda: mean(p(x | z))),
        },
    ),
    "lemmas and names": (
        "A lemma loses its assumptions or its range, or a name means two things",
        {
            "an exact posterior, unsaid": lambda: _says(
                D("gap", KL(Q, p(z | x)), using=[_lemma(p(z | x), Q, given={p(z | x): Q})]).step(0, "lemma"),
                "given",
            ),
            "a recursion beyond its range": lambda: D(
                "sum",
                Sum(B[i] - B[i - 1], (i, 1, N)),
                using=[_lemma(B[i], B[i - 1] + R[i], given={B[i]: B[i - 1] + R[i]})],
            ).step(Sum(R[i], (i, 1, N)), "lemma"),
            "a declared range left": lambda: D(
                "sum",
                Sum(B[i] - B[i - 1], (i, 1, N)),
                using=[_lemma(B[i], B[i - 1] + R[i], given={B[i]: B[i - 1] + R[i]}, where={i: (2, N)})],
            ).step(Sum(R[i], (i, 1, N)), "lemma"),
            "log p(x) by decree": lambda: D("use", log(p(x)), using=[D("l", 0, symbol=log(p(x)))]).step(
                0, "lemma"
            ),
            "a density by decree": lambda: D("use", log(p(x)), using=[D("l", 1, symbol=p(x))]).step(
                0, "lemma"
            ),
            "a definition that turns equation": lambda: D(
                "use", log(p(x)), using=[D("l", p(x)).define(1).step(Integer(2) - 1, "arithmetic")]
            ).step(0, "lemma"),
            "a definition as a lemma": lambda: D(
                "use", a, using=[D("l", a).define(b).step(b * 1, "same")]
            ).step(b, "lemma"),
            "one name, two lemmas": lambda: D(
                "use",
                a,
                using=[
                    D("X", a, using=[_lemma(a, symbol=Symbol("S"))]).step(Symbol("S"), "one"),
                    _lemma(b, symbol=Symbol("S")),
                ],
            ).step(b, "other"),
            "a name that is in use": lambda: D("use", a + b, symbol=a).step(b + a, "sort"),
            "a sum as a name": lambda: D("use", a * b, symbol=a + b).step(b * a, "sort"),
            "a name defined by a number it cannot be": lambda: (
                D("use", t).define(-(a**2) - 1).at_least(0, "positive")
            ),
            "a density that does not sum to one": lambda: D("use", p(x)).define(Integer(1)),
            "a density over another variable": lambda: D("use", q(z | x)).define(Normal(x, 0, 1)),
            "a number defined": lambda: D("use", Integer(2)).define(Integer(3)),
            "a lemma against an assumption": lambda: D(
                "use", a, given={b: Integer(1)}, using=[_lemma(a, 2 * a / b, given={b: Integer(2)})]
            ).step(2 * a, "both"),
            "a bound as an equation": lambda: D(
                "use", t - 1, using=[D("l", t - 1).at_least(log(t), "tangent")]
            ).step(log(t), "lemma"),
            "an axiom as a lemma": lambda: D("use", a, using=[D("l", a).axiom(b, "trust")]).step(b, "lemma"),
            "an assumption about a number": line(
                lambda: Integer(0), lambda: Integer(1), given={Integer(0): Integer(1)}
            ),
            "an assumption about a sum": line(lambda: a + b, lambda: Integer(5), given={a + b: Integer(5)}),
            "two symbols of one name": line(lambda: sqrt(u), lambda: sqrt(Symbol("u", positive=True))),
            "two families of one name": line(lambda: log(p(x)), lambda: log(Family("p", "theta")(x))),
            "positive lemma at a real": lambda: D(
                "use", f(a), using=[_lemma(f(t), t, given={f(t): sqrt(t**2)})]
            ).step(a, "lemma"),
            "lemma of one x in a mean": lambda: D(
                "use", E(q(x), x**2), using=[_lemma(x**2, a**2, given={x: a})]
            ).step(a**2, "lemma"),
            "lemma one term short": lambda: D(
                "sum",
                Sum(B[i] - B[i - 1], (i, 1, N + 1)),
                using=[_lemma(B[i], B[i - 1] + R[i], given={B[i]: B[i - 1] + R[i]}, where={i: (1, N)})],
            ).step(Sum(R[i], (i, 1, N + 1)), "lemma"),
            "named function at another place": lambda: D("use", f(b), using=[_lemma(a**2, symbol=f(a))]).step(
                a**2, "lemma"
            ),
            "a condition contradicted": lambda: D(
                "use", b - a, where=[a < b], using=[_lemma(sqrt((a - b) ** 2), a - b, where=[a > b])]
            ).step(-sqrt((a - b) ** 2), "lemma"),
            "a lemma under a mean of its letter": lambda: D(
                "use",
                E(Normal(a, 0, 1), sqrt((a - b) ** 2)),
                using=[_lemma(sqrt((a - b) ** 2), a - b, where=[a > b])],
            ).step(-b, "lemma"),
            "two functions one name": lambda: D(
                "use", f(2), using=[_lemma(f(a), a, given={f(a): a})], given={f(b): b**2}
            ).step(4, "lemma"),
            "gaussian lemma for another variable": lambda: D(
                "use", E(q(y | x), y), using=[_lemma(mean(z), m, given={Q: Normal(z, m, 1)})]
            ).step(m, "lemma"),
            "exact at another condition": lambda: D(
                "use", KL(q(z | y), p(z | y)), using=[_lemma(p(z | x), Q, given={p(z | x): Q})]
            ).step(0, "lemma"),
            "a limit as a lemma": lambda: D(
                "use", 1 / t, using=[D("l", 1 / t).tends_to(0, t, oo, "far")]
            ).step(0, "lemma"),
            "leading order as a lemma": lambda: D(
                "use", t + t**2, using=[D("l", t + t**2).leading_order(t, t, 0, "small")]
            ).step(t, "lemma"),
            "symbol and variable": line(lambda: mean(z) * real("z"), lambda: real("z") * mean(z)),
            "function and factor": line(
                lambda: f(a + b), lambda: real("f") * (a + b), given={f(a): real("f") * a}
            ),
            "indexed and symbol": line(lambda: B[1] + real("B_1"), lambda: real("B_1") + B[1]),
            "family without parameter": line(
                lambda: log(Family("q", "phi")(x) / Family("q", "phi", fixed=[x])(x)), lambda: Integer(0)
            ),
            "a prime": line(lambda: real("a'") - real("a^{'}"), lambda: Integer(0)),
            "braces or not": line(lambda: real("x_t") - real("x_{t}"), lambda: -real("x_{t}") + real("x_t")),
            "greek twice": line(
                lambda: real("alpha") - real(r"\alpha"), lambda: -real(r"\alpha") + real("alpha")
            ),
            "bar twice": line(
                lambda: real("xbar") - real(r"\bar{x}"), lambda: -real(r"\bar{x}") + real("xbar")
            ),
            "variable of a copy": line(
                lambda: E(q(h2 | x), h2) * real("w"), lambda: real("w") * E(q(h2 | x), h2)
            ),
            "space in a name": line(lambda: real("a b") * c, lambda: c * real("a b")),
        },
    ),
    "bounds": (
        "A bound that fails at a corner, at an end, or for one sign",
        {
            "a corner": at_least(lambda: Abs(t - 5) + t / 2, lambda: Integer(3)),
            "two corners": at_least(lambda: Abs(a - 1) + Abs(a + 1), lambda: Integer(3)),
            "a hinge": at_least(lambda: Max(0, 1 - a) + a / 2, lambda: Rational(3, 4)),
            "at the left end": at_least(lambda: t**2 + 1, lambda: Rational(3, 2)),
            "at the right end": at_least(lambda: -log(u), lambda: Rational(1, 100)),
            "for one sign only": at_least(lambda: a**3, lambda: Integer(0)),
            "beyond its range": at_least(lambda: log(1 - u), lambda: -2 * u),
            "a quarter below": at_least(lambda: u * (1 - u), lambda: Rational(1, 4)),
            "the tangent turned over": at_least(lambda: log(t), lambda: t - 1),
            "Jensen turned over": at_least(lambda: mean(log(p(x | z))), lambda: log(mean(p(x | z)))),
            "a KL above another": at_least(lambda: KL(Q, p(z)), lambda: KL(Q, p(z | x))),
            "the bound above the evidence": at_least(lambda: elbo(), lambda: log(p(x))),
            "a reason for something else": at_least(
                lambda: log(p(x)), lambda: elbo(), because=lambda: KL(Q, p(z))
            ),
            "a reason that is negative": at_least(
                lambda: t - 2 - log(t), lambda: Integer(0), because=lambda: t - 2 - log(t)
            ),
            "a product of signs": at_least(lambda: a * b, lambda: -1 - a**2),
            "two symbols near a saddle": at_least(lambda: a**2 - 3 * a * b + b**2, lambda: Integer(0)),
            "far out": at_least(lambda: exp(-t) + Rational(1, 50), lambda: t / 1000),
            "a narrow dip": at_least(lambda: (t - 3) ** 2, lambda: Rational(1, 1000)),
            "a roof": at_least(lambda: Max(a, 1 - a), lambda: Rational(3, 4)),
            "triangle turned over": at_least(lambda: Abs(a + b), lambda: Abs(a) + Abs(b)),
            "cosine, nearly": at_least(lambda: cos(a), lambda: 1 - a**2 / 3),
            "log above half": at_least(lambda: log(1 + t), lambda: t / 2),
            "t log t, nearly": at_least(lambda: t * log(t), lambda: -Rational(1, 3)),
            "t^t, nearly": at_least(lambda: t**t, lambda: Rational(7, 10)),
            "between whole numbers": at_least(lambda: N**2, lambda: 5 * N - 5),
            "at three only": at_least(lambda: 2**N, lambda: N**2),
            "squares of a sum": at_least(
                lambda: Sum(R[i] ** 2, (i, 1, N)), lambda: Sum(R[i], (i, 1, N)) ** 2
            ),
            "Cauchy turned over": at_most(
                lambda: N * Sum(B[i] ** 2, (i, 1, N)), lambda: Sum(B[i], (i, 1, N)) ** 2
            ),
            "reciprocal of a mean": at_most(lambda: mean(p(x | z)) * mean(1 / p(x | z)), lambda: Integer(1)),
            "data processing turned over": at_most(lambda: KL(q(x, z), p(x, z)), lambda: KL(q(x), p(x))),
            "KL of two is more than the parts": at_least(
                lambda: KL(q(x, z), p(x, z)), lambda: KL(q(x), p(x)) + KL(q(z), p(z))
            ),
            "KL of two is less than the parts": at_most(
                lambda: KL(q(x, z), p(x, z)), lambda: KL(q(x), p(x)) + KL(q(z), p(z))
            ),
            "rate below the marginal's": at_most(lambda: E(q(x), KL(Q, p(z))), lambda: KL(q(z), p(z))),
            "conditioning adds entropy": at_most(lambda: -E(q(z), log(q(z))), lambda: -E(q(x, z), log(Q))),
            "processing one side": at_least(lambda: KL(q(x), p(x)), lambda: KL(q(x | z), p(x | z))),
            "far corner": at_least(lambda: Abs(t - 1000), lambda: Rational(1, 10)),
            "Max without its floor": at_most(lambda: Max(a, b), lambda: a + b),
            "sin below its slope, turned": at_least(lambda: sin(a), lambda: a),
            "tanh line": at_least(lambda: tanh(t), lambda: t / 2),
            "square with a hair": at_least(lambda: (a - b) ** 2, lambda: Rational(1, 10**6)),
            "Pinsker too strong": at_least(
                lambda: u * log(u / u_) + (1 - u) * log((1 - u) / (1 - u_)), lambda: 3 * (u - u_) ** 2
            ),
        },
    ),
    "no model": (
        "Nothing was compared: assumptions that contradict one another, or no real numbers",
        {
            "a positive number assumed negative": lambda: D("c", -(a**2), given={t: -(a**2)}).at_least(
                0, "positive", because=t
            ),
            "a fraction assumed to be two": line(lambda: u, lambda: Integer(2), given={u: Integer(2)}),
            "a whole number assumed a half": line(lambda: n, lambda: half, given={n: half}),
            "a density five times another": line(
                lambda: KL(q(z), r(z)), lambda: -log(5), given={r(z): 5 * q(z)}
            ),
            "p(x) = p(x, z)": line(lambda: log(p(x, y) / p(x)), lambda: Integer(0), given={p(x, y): p(x)}),
            "the root of a difference": line(lambda: Abs(sqrt(a - b)), lambda: sqrt(a - b)),
            "an imaginary factor": line(lambda: sp.I * sqrt(u), lambda: sqrt(-u)),
            "nought over nought": line(lambda: c * (a - a) / (a - a), lambda: c),
            "conditions that exclude one another": lambda: D("c", a, where=[a > b, b > a]).step(b, "claimed"),
            "an empty range": lambda: D("c", n, where={n: (5, 3)}).step(Integer(0), "claimed"),
            "a negative variance": line(lambda: E(Normal(a, 0, -1), a**2), lambda: Integer(-1)),
            "a variance of either sign": at_least(lambda: E(Normal(a, 0, b), a**2), lambda: Integer(0)),
            "assumptions in a circle": line(lambda: a, lambda: b, given={a: b + 1, b: a - 1}),
            "a number that is one more than itself": line(lambda: a, lambda: a + 1, given={a: a + 1}),
            "a divergent mean": line(
                lambda: E(Normal(a, 0, 1), exp(a**2)), lambda: 1 / sqrt(Integer(-1) + 2)
            ),
        },
    ),
    "logarithms and roots": (
        "A law that needs a sign is used without it",
        {
            "log of a square": line(lambda: log((a - b) ** 2), lambda: 2 * log(a - b)),
            "log of a product": line(lambda: log(a * b), lambda: log(a) + log(b)),
            "log of two differences": line(lambda: log(a - 1) + log(b - 1), lambda: log((1 - a) * (1 - b))),
            "root of a square": line(lambda: sqrt(a**2), lambda: a),
            "powers of a square": line(lambda: (a**2) ** half, lambda: a),
            "log of a sum": line(lambda: log(t + s), lambda: log(t) + log(s)),
            "log turned over": line(lambda: log(t - s), lambda: log(s - t)),
            "log of a quotient": line(lambda: log(a / b), lambda: log(a) - log(b)),
            "root of a product": line(lambda: sqrt(a * b), lambda: sqrt(a) * sqrt(b)),
            "half a log": line(lambda: log(a**2) / 2, lambda: log(a)),
            "exp of a log": line(lambda: exp(log(a)), lambda: a),
        },
    ),
    "sums": (
        "A sum that is empty, shifted, or one term short",
        {
            "first terms of an empty sum": line(
                lambda: B[1] + B[2] + Sum(B[i], (i, 3, N)), lambda: Sum(B[i], (i, 1, N))
            ),
            "an empty sum in a bound": at_least(
                lambda: N + Sum(R[i], (i, 3, N)), lambda: 2 + Sum(R[i], (i, 3, N))
            ),
            "a count that goes below nought": line(lambda: Sum(a, (i, 4, N)), lambda: (N - 3) * a),
            "index shifted, ends not": line(lambda: Sum(B[i - 1], (i, 2, N)), lambda: Sum(B[i], (i, 2, N))),
            "one term more": line(lambda: B[N], lambda: B[1] + Sum(B[i] - B[i - 1], (i, 2, N + 1))),
            "begun too early": line(lambda: B[N], lambda: B[1] + Sum(B[i] - B[i - 1], (i, 1, N))),
            "square of a sum": line(lambda: Sum(B[i], (i, 1, N)) ** 2, lambda: Sum(B[i] ** 2, (i, 1, N))),
            "a product of sums": line(
                lambda: Sum(B[i] * R[i], (i, 1, N)), lambda: Sum(B[i], (i, 1, N)) * Sum(R[i], (i, 1, N))
            ),
            "constants counted once": line(lambda: Sum(a, (i, 1, N)), lambda: a),
            "log of a product of sums": line(
                lambda: log(Sum(R[i], (i, 1, N))), lambda: Sum(log(R[i]), (i, 1, N))
            ),
            "a product's ends": line(
                lambda: Product(R[i], (i, 1, N)), lambda: R[1] * Product(R[i], (i, 3, N))
            ),
            "the index outside": line(lambda: Sum(i * B[i], (i, 1, N)), lambda: i * Sum(B[i], (i, 1, N))),
            "a half-open count": line(lambda: Sum(1, (i, 0, N)), lambda: N),
        },
    ),
    "expectations": (
        "An expectation over the wrong distribution, or moved where it may not go",
        {
            "data processing, turned over": lambda: D("d", KL(q(z), p(z)), given=CHANNEL).at_least(
                KL(q(x), p(x)), "one channel"
            ),
            "data processing without a channel": at_least(lambda: KL(q(x), p(x)), lambda: KL(q(z), p(z))),
            "data processing as an equation": line(lambda: KL(q(x), p(x)), lambda: KL(q(z), p(z)), given=CHANNEL),
            "a part above the whole": at_most(lambda: KL(q(x, z), p(x, z)), lambda: KL(q(z), p(z))),
            "a conditional above a marginal": at_least(
                lambda: E(q(x), KL(q(z | x), p(z | x))), lambda: KL(q(z), p(z))
            ),
            "averaged over the other": at_least(lambda: E(p(x), KL(q(z | x), p(z | x))), lambda: KL(q(z), p(z))),
            "more variables, less information": at_least(
                lambda: information, lambda: E(q(x, z, y), log(q(x, z, y) / (q(x) * q(z, y))))
            ),
            "two channels are one": line(lambda: E(p(x), KL(p(z | x), q(z | x))), lambda: Integer(0)),
            "both marginals": lambda: D("d", KL(q(x, z), p(x, z)), given=CHANNEL).at_least(
                KL(q(x), p(x)) + KL(q(z), p(z)), "one channel"
            ),
            "Markov, the other way": line(
                lambda: E(q(x, y, z), log(q(x | y, z))),
                lambda: E(q(x, y, z), log(q(x | z))),
                given={q(z | y, x): q(z | y)},
            ),
            "information below zero": at_most(lambda: E(q(x, z), log(q(z | x) / q(z))), lambda: Integer(0)),
            "the rate is information": line(lambda: E(q(x), KL(Q, p(z))), lambda: information),
            "a rate below information": at_most(lambda: E(q(x), KL(Q, p(z))), lambda: information),
            "a mean ratio of two": at_least(lambda: mean(Q / p(z)), lambda: Integer(2)),
            "a mean ratio below one": at_most(lambda: mean(Q / p(z)), lambda: Integer(1)),
            "a divergence above the mean ratio": at_least(lambda: KL(Q, p(z)), lambda: mean(Q / p(z)) - 1),
            "a ratio averaged over a third": at_least(lambda: E(p(z | x), Q / p(z)), lambda: Integer(1)),
            "squares of two averages": at_least(
                lambda: mean(f(z) ** 2) + E(p(z | x), g(z) ** 2), lambda: 2 * mean(f(z) * g(z))
            ),
            "three products": at_least(lambda: mean(f(z) ** 2) + mean(g(z) ** 2), lambda: 3 * mean(f(z) * g(z))),
            "a mixture is convex": at_most(lambda: log(u * t + (1 - u) * s), lambda: u * log(t) + (1 - u) * log(s)),
            "a mixture without a share": at_most(lambda: log(t / ((t + s) / N)), lambda: log(N) - s),
            "log moved out": line(lambda: mean(log(p(x | z))), lambda: log(mean(p(x | z)))),
            "the other measure": line(lambda: mean(log(p(x, z))), lambda: E(p(z | x), log(p(x, z)))),
            "expectation dropped": line(lambda: mean(log(p(x | z))), lambda: log(p(x | z))),
            "KL turned round": line(lambda: KL(Q, p(z)), lambda: KL(p(z), Q)),
            "KL to the posterior": line(lambda: KL(Q, p(z)), lambda: KL(Q, p(z | x))),
            "a tower with the wrong condition": line(
                lambda: E(q(z), E(q(y | x), log(q(y)))), lambda: E(q(y, z), log(q(y)))
            ),
            "independence, unsaid": line(lambda: p(x, z), lambda: p(x) * p(z)),
            "Markov, unsaid": line(lambda: p(x, y, z), lambda: p(x | z) * p(z | y) * p(y)),
            "integrated over x": line(lambda: p(x), lambda: Integral(p(x | z) * p(z), x)),
            "a square integrated": line(lambda: p(x), lambda: Integral(p(x, z) ** 2, z)),
            "importance weight turned over": line(lambda: E(p(z | x), z), lambda: mean(z * Q / p(z | x))),
            "mean of a product": line(lambda: mean(z * z), lambda: mean(z) * mean(z)),
            "a second moment": line(lambda: E(Normal(a, b, t), a**2), lambda: b**2),
            "the spread for the variance": line(lambda: E(Normal(a, 0, t**2), a**2), lambda: t),
            "the mean of exp": line(lambda: E(Normal(a, 0, 1), exp(a)), lambda: Integer(1)),
            "information without a marginal": line(
                lambda: E(q(x, z), log(q(x, z) / (q(x) * q(z)))), lambda: E(q(x, z), log(q(z | x)))
            ),
            "reparameterised with the variance": line(
                lambda: E(Normal(z, mu, sigma**2), f(z)), lambda: E(Normal(eps, 0, 1), f(mu + sigma**2 * eps))
            ),
            "an unnormalised measure": line(lambda: mean(p(z | x)), lambda: Integer(1)),
            "independence, unsaid, again": line(lambda: E(q(x, z), x * z), lambda: E(q(x), x) * E(q(z), z)),
            "variance of a sum": line(
                lambda: E(q(x, z), (x + z) ** 2) - E(q(x, z), x + z) ** 2,
                lambda: E(q(x), x**2) - E(q(x), x) ** 2 + E(q(z), z**2) - E(q(z), z) ** 2,
            ),
            "total variance, half": line(
                lambda: E(q(z), z**2) - E(q(z), z) ** 2, lambda: E(q(x), mean(z**2) - mean(z) ** 2)
            ),
            "unnormalised posterior": line(lambda: log(p(x)), lambda: Integer(0), given={Q: p(x | z) * p(z)}),
            "posterior as a product": line(
                lambda: log(p(x)), lambda: Integer(0), given={p(z | x): p(z) * p(x)}
            ),
            "likelihood summed over z": line(lambda: Integral(p(x | z), z), lambda: Integer(1)),
            "harmonic mean": line(lambda: E(p(z | x), 1 / p(x | z)), lambda: p(x)),
            "exp of a mean": line(lambda: exp(mean(log(p(x | z)))), lambda: mean(p(x | z))),
            "ratio of means": line(lambda: mean(z / p(x | z)), lambda: mean(z) / mean(p(x | z))),
            "KL symmetric": line(
                lambda: KL(Normal(z, 0, 1), Normal(z, 0, t)), lambda: KL(Normal(z, 0, t), Normal(z, 0, 1))
            ),
            "tower without averaging": line(lambda: E(q(x, z), f(x, z)), lambda: E(q(z), E(q(x), f(x, z)))),
            "moved under the moving measure": line(
                lambda: Derivative(E(Normal(z, mu, sigma**2), f(z)), mu),
                lambda: E(Normal(z, mu, sigma**2), Derivative(f(z), mu)),
            ),
            "a width's slope": line(
                lambda: Derivative(E(Normal(z, mu, sigma**2), z**2), sigma), lambda: 2 * sigma * mu
            ),
            "Leibniz without its end": line(
                lambda: Derivative(Integral(exp(-t * a), (a, 0, t)), t),
                lambda: Integral(-a * exp(-t * a), (a, 0, t)),
            ),
            "modulus": line(lambda: Derivative(Abs(a), a), lambda: Integer(1)),
            "Max": line(lambda: Derivative(Max(a, 0), a), lambda: Integer(1)),
            "chain rule forgotten": line(lambda: Derivative(f(2 * a), a), lambda: Derivative(f(a), a)),
            "product of slopes": line(
                lambda: Derivative(f(a) * g(a), a), lambda: Derivative(f(a), a) * Derivative(g(a), a)
            ),
            "slope of a power": line(lambda: Derivative(t**t, t), lambda: t * t ** (t - 1)),
            "slope of a sum's end": line(
                lambda: Derivative(Sum(t**i, (i, 1, N)), t), lambda: Sum(t ** (i - 1), (i, 1, N))
            ),
            "reparameterised slope in sigma": line(
                lambda: Derivative(E(Normal(z, mu, sigma**2), f(z)), sigma),
                lambda: E(Normal(eps, 0, 1), Derivative(f(mu + sigma * eps), mu)),
            ),
        },
    ),
    "algebra": (
        "Slips of the pen",
        {
            "an image with the noise's variance": line(
                lambda: X_0, lambda: (place - (1 - u) * eps) / sqrt(u), given={X_0: IMAGE}
            ),
            "v in the wrong units": line(
                lambda: sqrt(u) * eps - sqrt(1 - u) * X_0,
                lambda: (eps - sqrt(u) * place) / sqrt(1 - u),
                given={place: sqrt(u) * X_0 + sqrt(1 - u) * eps},
            ),
            "an error times SNR": line(
                lambda: (X_0 - x_hat) ** 2,
                lambda: u / (1 - u) * (eps - e_hat) ** 2,
                given={X_0: IMAGE, x_hat: (place - sqrt(1 - u) * e_hat) / sqrt(u)},
            ),
            "a score of the other sign": line(
                lambda: Derivative(log(Normal(place, sqrt(u) * X_0, 1 - u)), place),
                lambda: (place - sqrt(u) * X_0) / (1 - u),
            ),
            "a score by the deviation": line(
                lambda: Derivative(log(Normal(place, sqrt(u) * X_0, 1 - u)), place),
                lambda: -(place - sqrt(u) * X_0) / sqrt(1 - u),
            ),
            "an area without squares": line(
                lambda: Integral(s**2 / (1 + s**2 * t), (t, 0, v)), lambda: log(1 + s * v)
            ),
            "parts with the wrong sign": line(
                lambda: -g(a) * Derivative(f(a), a), lambda: Derivative(g(a), a) * f(a) + Derivative(g(a) * f(a), a)
            ),
            "one factor differentiated": line(lambda: Derivative(f(a) * g(a), a), lambda: f(a) * Derivative(g(a), a)),
            "a weighted sum without its end": line(
                lambda: Sum(B[i] * (R[i - 1] - R[i]), (i, 1, N)),
                lambda: B[1] * R[0] + Sum((B[i] - B[i - 1]) * R[i - 1], (i, 2, N)),
            ),
            "the slope of log SNR": line(lambda: Derivative(log(u / (1 - u)), u), lambda: 1 / (1 - u)),
            "a sign": line(lambda: (-a + b) / c, lambda: -(a + b) / c),
            "a bracket": line(lambda: a - (b - c), lambda: a - b - c),
            "a factor": line(lambda: log(t**2), lambda: log(t)),
            "a power": line(lambda: (a + b) ** 2, lambda: a**2 + b**2),
            "a billionth": line(lambda: t, lambda: t + Rational(1, 10**9)),
            "numbers that nearly agree": line(
                lambda: exp(pi * sqrt(163)), lambda: Integer(262537412640768744)
            ),
            "a slope": line(lambda: Derivative(sin(a) * a, a), lambda: cos(a)),
            "a bell": line(lambda: Integral(exp(-(a**2)), (a, -oo, oo)), lambda: pi),
            "a fraction": line(lambda: t / (s + v), lambda: t / s + t / v),
            "a saturating function": line(lambda: tanh(a), lambda: a),
            "double fraction": line(lambda: (a / t) / c, lambda: a / (t / c)),
            "tower of powers": line(lambda: (t**a) ** b, lambda: t ** (a**b)),
            "minus before a square": line(lambda: (-a) ** 2, lambda: -(a**2)),
            "log squared": line(lambda: log(t) ** 2, lambda: log(t**2)),
            "log of a product's first": line(lambda: log(t * s), lambda: log(t) * s),
            "exp of a product": line(lambda: exp(a) * b, lambda: exp(a * b)),
            "sum reaches too far": line(lambda: Sum(B[i], (i, 1, N)) + a, lambda: Sum(B[i] + a, (i, 1, N))),
            "slope reaches too far": line(lambda: Derivative(a * b, a), lambda: Derivative(a, a) * b + a),
            "mean reaches too far": line(lambda: mean(z) * a + z, lambda: mean(z * a + z)),
            "neg of a mean": line(lambda: -mean(z) + a, lambda: -(mean(z) + a)),
        },
    ),
    "subscripts": (
        "A subscript is read as an index: x_t is one number, whatever t is",
        {
            "a sum of logarithms": line(lambda: Sum(log(alpha_t), (k, 1, T)), lambda: T * log(alpha_t)),
            "a chain as a power": line(
                lambda: log(Product(r(xt | xs), (k, 1, T))), lambda: T * log(r(xt | xs))
            ),
            "a sum of divergences": line(
                lambda: Sum(KL(q(xt | x), p(xt)), (k, 2, T)), lambda: (T - 1) * KL(q(xt | x), p(xt))
            ),
            "a slope in t": line(lambda: Derivative(beta_t * t, t), lambda: beta_t),
            "a limit in t": tends(lambda: beta_t + t, lambda: beta_t, t, 0),
            "an integral over t": line(lambda: Integral(beta_t, (t, 0, 1)), lambda: beta_t),
            "a norm": line(
                lambda: SquaredNorm(Symbol("x_i", real=True), (i, 1, N)),
                lambda: N * Symbol("x_i", real=True) ** 2,
            ),
            "a function of each i": line(
                lambda: Sum(Function("f_i")(a), (i, 1, N)), lambda: N * Function("f_i")(a)
            ),
            "a family for each i": line(
                lambda: Sum(log(Family("p_i")(x)), (i, 1, N)), lambda: N * log(Family("p_i")(x))
            ),
            "a parameter for each i": line(
                lambda: Sum(log(Family("p", "theta_i")(x)), (i, 1, N)),
                lambda: N * log(Family("p", "theta_i")(x)),
            ),
            "a definition, then a step": lambda: (
                D("d", S).define(Sum(log(alpha_t), (k, 1, T))).step(T * log(alpha_t), "claimed")
            ),
        },
    ),
    "values": (
        "A sum over the values of a variable leaves some out, or sums and integrates",
        {
            "one value": line(lambda: Sum(r(z), (z, 1, 1)), lambda: Integer(1)),
            "in two parts": line(lambda: Sum(r(z), (z, 1, 2)) + Sum(r(z), (z, 3, 5)), lambda: Integer(2)),
            "the evidence from one value": line(lambda: p(x), lambda: Sum(p(x | z) * p(z), (z, 1, 1))),
            "no value": line(lambda: Sum(r(z), (z, 3, 1)), lambda: Integer(1)),
            "their number put in the line": line(lambda: Sum(p(x), (x, 1, N)) / N, lambda: 1 / N),
            "a sum as an integral": line(lambda: Sum(Q * log(Q), (z, 1, N)), lambda: Integral(Q * log(Q), z)),
        },
    ),
    "first lines": (
        "What a first line is called is no new name, equals it not, or has a sign that it has not",
        {
            "a bound parameter": lambda: D("b", log(p(x)), symbol=E(Normal(theta, 0, 1), log(p(x)))),
            "an integral over a parameter": lambda: D("b", p(x), symbol=Integral(p(x), (theta, 0, 1))),
            "exp log": lambda: D("d", a, symbol=exp(log(a))),
            "a root of a square": lambda: D("d", a - b, symbol=sqrt(a - b) ** 2),
            "a variance of any sign": lambda: D("d", b, symbol=E(Normal(a, 0, b), a**2)),
            "a positive name for a negative line": lambda: D("b", -(a**2) - 1, symbol=t),
            "a number beyond (0, 1)": lambda: D("d", Integer(2), symbol=u),
            "a whole number that is none": lambda: D("d", half, symbol=N),
            "a density with itself as its mean": lambda: D("b", Normal(z, z, 1), symbol=p(z)),
            "a density with a variance of any sign": lambda: D("b", Normal(z, 0, b), symbol=p(z)),
            "a number that is assumed, beyond (0, 1)": lambda: D(
                "d", Integer(2), symbol=u, given={u: Integer(2)}
            ),
            "defined between 0 and 1": lambda: D("d", u).define(t),
            "defined positive": lambda: D("d", t).define(log(a)),
        },
    ),
    "hidden assumptions": (
        "An assumption narrows what was checked, and is not printed",
        {
            "what an inequality rests on": lambda: _says(
                D("x", a, given={t: a}).at_least(0, "claimed", because=t), "given"
            ),
            "a number below one": lambda: _says(
                D("x", t, given={u: t}).at_most(1, "claimed", because=1 - u), "given"
            ),
            "a logarithm": lambda: _says(D("x", exp(log(a)), given={t: a}).step(a, "claimed"), "given"),
            "a root": lambda: _says(
                D("x", sqrt(a - b) ** 2, given={t: a - b}).step(a - b, "claimed"), "given"
            ),
            "a range, two lemmas below": lambda: _says(
                D(
                    "over", 2 * S, using=[D("on", S, using=[_long_sum()]).step(Sum(B[i], (i, 1, N)), "lemma")]
                ).step(2 * Sum(B[i], (i, 1, N)), "claimed"),
                r"2 \le N",
            ),
            "a slope under an assumption": line(lambda: Derivative(a * b, a), lambda: 2 * a, given={b: a}),
            "one function, two assumptions": line(lambda: f(c), lambda: c**2, given={f(a): a, f(b): b**2}),
            "one density, two assumptions": line(
                lambda: E(p(h2), h2),
                lambda: Integer(0),
                given={p(z): Normal(z, 0, 1), p(h2): Normal(h2, 5, 1)},
            ),
            "an equation as a condition": line(lambda: a, lambda: b, where=[Eq(a, b)]),
        },
    ),
    "ends of a limit": (
        "A limit leaves what is assumed, or fails where a coefficient vanishes",
        {
            "a drift of the other sign": lambda: D("d", drift, where=[v * width < 1]).tends_to(
                v * a / 2, width, 0, "short steps"
            ),
            "a drift without the half": lambda: D("d", drift, where=[v * width < 1]).tends_to(
                -v * a, width, 0, "short steps"
            ),
            "a reverse drift with half the score": lambda: D(
                "d", ((a + v * width * b) / sqrt(1 - v * width) - a) / width, where=[v * width < 1]
            ).tends_to(v * (a / 2 + b / 2), width, 0, "short steps"),
            "noise that vanishes": tends(lambda: v * width / width, lambda: Integer(0), width, 0),
            "one plus a for e^a": tends(lambda: (1 + a / t) ** t, lambda: 1 + a, t, oo),
            "no noise at all": tends(lambda: u / (1 - u), lambda: Integer(1), u, 1),
            "beyond a condition": lambda: D("l", 1 / a, where=[a < 1]).tends_to(0, a, oo, "claimed"),
            "to a point beyond it": lambda: D("l", a, where=[a < 1]).tends_to(5, a, 5, "claimed"),
            "beyond a range": lambda: D("l", 1 / N, where={N: (1, 5)}).tends_to(0, N, oo, "claimed"),
            "beyond the end of a sum": lambda: D("l", k / T, where={k: (1, T)}).tends_to(
                oo, k, oo, "claimed"
            ),
            "beyond (0, 1), by an assumption": lambda: D("l", u / (1 + t), given={u: t}).tends_to(
                1, t, oo, "claimed"
            ),
            "to leading order, beyond a condition": lambda: D("x", 1 + a, where=[a > 1]).leading_order(
                1, a, 0, "claimed"
            ),
            "a signal that may be zero": tends(lambda: a**2 / (a**2 + t), lambda: Integer(1), t, 0),
            "a weight that may be zero": tends(lambda: w * t / (1 + w * t), lambda: Integer(1), t, oo),
            "a factor that vanishes at one": leads(lambda: (b - 1) * t + 1, lambda: (b - 1) * t, t, oo),
            "a difference that may vanish": leads(lambda: (a - b) * t + t**2, lambda: (a - b) * t, t, 0),
            "a divergence that may vanish": leads(
                lambda: t * KL(Q, p(z)) + t**2, lambda: t * KL(Q, p(z)), t, 0
            ),
            "a share of a divergence": tends(
                lambda: KL(Q, p(z)) / (KL(Q, p(z)) + t), lambda: Integer(1), t, 0
            ),
            "a whole number that may be six": leads(lambda: (N - 6) * t + t**2, lambda: (N - 6) * t, t, 0),
            "an entry that may vanish": leads(lambda: B[1] * t + t**2, lambda: B[1] * t, t, 0),
        },
    ),
    "empty sums": (
        "A sum that ends before it begins is taken for minus the sum between",
        {
            "a bound": at_most(lambda: Sum(1, (i, N, 3)), lambda: 4 - N),
            "of divergences": at_most(lambda: Sum(KL(Q, p(z)), (i, N, 3)), lambda: (4 - N) * KL(Q, p(z))),
            "as a reason": at_least(
                lambda: Integer(0),
                lambda: Sum(1, (i, N, 3)) - 4 + N,
                because=lambda: 4 - N - Sum(1, (i, N, 3)),
            ),
            "to leading order": leads(lambda: Sum(t + t**2, (i, N, 10)), lambda: (11 - N) * t, t, 0),
            "in a limit": tends(lambda: Sum(t + 1, (i, N, 9)), lambda: 10 - N, t, 0),
            "a count": line(lambda: Sum(1, (i, 1, N - 2)), lambda: N - 2),
            "last two factors": line(
                lambda: Product(R[i], (i, 1, N - 2)) * R[N - 1] * R[N], lambda: Product(R[i], (i, 1, N))
            ),
            "free lower end": line(lambda: Sum(i, (i, n, N)), lambda: N * (N + 1) / 2 - n * (n - 1) / 2),
            "a norm's first two": line(
                lambda: SquaredNorm(X[i], (i, 3, N)) + X[1] ** 2 + X[2] ** 2,
                lambda: SquaredNorm(X[i], (i, 1, N)),
            ),
            "geometric from three": line(
                lambda: Sum(u**i, (i, 3, N)), lambda: (u**3 - u ** (N + 1)) / (1 - u)
            ),
            "of means": line(lambda: Sum(mean(z), (i, 3, N)), lambda: (N - 2) * mean(z)),
            "under a mean": line(lambda: mean(Sum(z, (i, 3, N))), lambda: (N - 2) * mean(z)),
            "an inner one": line(lambda: Sum(Sum(1, (j, 3, i)), (i, 1, N)), lambda: Sum(i - 2, (i, 1, N))),
            "under an exponential": line(lambda: exp(Sum(t, (i, 4, N))), lambda: exp((N - 3) * t)),
            "split at k": line(
                lambda: Sum(B[i], (i, 1, n)) + Sum(B[i], (i, n + 1, N)), lambda: Sum(B[i], (i, 1, N))
            ),
        },
    ),
    "chains": (
        "A product over layers is called a density, and is none",
        {
            "of another variable's marginal": lambda: D("d", q(h | x)).define(Product(q(x), (i, 1, N))),
            "without an index": lambda: D("d", q(h | x)).define(Product(q(y | z), (i, 1, N))),
            "of an empty range": lambda: D("d", q(h | x)).define(q(y) * Product(q(z | x), (i, 2, 1))),
            "one layer twice": lambda: D("d", q(h)).define(Product(q(x | y), (i, 1, N)) * q(x | y)),
            "of another family": lambda: D("d", q(h | x)).define(Product(p(xt | xs), (k, 1, T))),
            "and a step": lambda: (
                D("d", q(h | x)).define(Product(q(xt | xs), (k, 1, T))).step(q(h | x), "claimed")
            ),
        },
    ),
    "one print, two things": (
        "Two things are printed alike, or a name is printed like a formula",
        {
            "a name with a plus": line(
                lambda: c * Symbol("a+b", real=True), lambda: Symbol("a+b", real=True) * c
            ),
            "a symbol and Euler's constant": line(
                lambda: Symbol("gamma", real=True) - EulerGamma,
                lambda: -EulerGamma + Symbol("gamma", real=True),
            ),
            "a symbol and π": line(
                lambda: Symbol(r"\pi", real=True) - pi, lambda: -pi + Symbol(r"\pi", real=True)
            ),
            "a symbol called 2": line(lambda: a * Symbol("2", real=True), lambda: Symbol("2", real=True) * a),
            "a function and a density": line(
                lambda: Function("r")(x) * r(x), lambda: r(x) * Function("r")(x)
            ),
        },
    ),
    "small and large lines": (
        "A line so small, or beside so large a number, that its falsehood is lost among the digits",
        {
            "a real symbol at a root that is none": at_least(
                lambda: b / 10**9, lambda: Integer(0), because=lambda: a**2, at=lambda: {a: sqrt(b / 10**9)}
            ),
            "beside a million millions": at_least(
                lambda: 10**12 + b, lambda: 10**12 + 0 * b, because=lambda: a**2, at=lambda: {a: sqrt(b)}
            ),
            "the logarithm of a density, by its root": at_least(
                lambda: log(p(x)) / 10**9,
                lambda: Integer(0),
                because=lambda: a**2,
                at=lambda: {a: sqrt(log(p(x)) / 10**9)},
            ),
            "a logarithm that is none": at_least(
                lambda: 1 + b / 10**8,
                lambda: Integer(1),
                because=lambda: exp(a),
                at=lambda: {a: log(b / 10**8)},
            ),
            "an element of two indices": line(
                lambda: Sum(W[i, j], (j, 1, N)) / 10**9,
                lambda: N * a / 10**9,
                given={W[i, j]: a},
                where={j: (1, 2)},
            ),
        },
    ),
    "variables with a sign": (
        "What is averaged, summed or integrated over is declared positive, and its values are not",
        {
            "the mean of a root": line(lambda: E(Normal(t, 0, 1), sqrt(t**2)) / 10**8, lambda: Integer(0)),
            "the mean of a modulus": line(lambda: E(Normal(t, 0, 1), Abs(t)), lambda: E(Normal(a, 0, 1), a)),
            "a divergence": line(
                lambda: KL(Normal(t, 0, 1), Normal(t, 0, 2)), lambda: KL(Normal(a, 0, 1), Normal(a, 0, 2))
            ),
            "an integral": line(lambda: Integral(sqrt(t**2), (t, -1, 1)), lambda: Integer(0)),
            "a sum": line(lambda: Sum(sqrt(k**2), (k, -2, 2)) / 10**8, lambda: Integer(0)),
            "an even index": line(lambda: Sum((-1) ** even, (even, 1, N)) / 10**9, lambda: N / 10**9),
            "a whole number on the line": line(lambda: Integral(cos(2 * pi * n), (n, 0, half)), lambda: half),
            "a fraction up to two": line(lambda: Integral(Abs(1 - u), (u, 0, 2)), lambda: Integer(0)),
        },
    ),
    "sums in sums": (
        "A lemma about N holds from 2 on, and is used in a sum over N from 1",
        {
            "from one on": lambda: _in_a_sum(1),
            "from nought on": lambda: _in_a_sum(0),
            "small": lambda: _in_a_sum(1, 10**8),
            "in a product": lambda: D(
                "use", Product(exp(_first_terms()), (N, 1, T)), using=[_whole_sum()]
            ).step(Product(exp(Sum(B[i], (i, 1, N))), (N, 1, T)), "lemma"),
            "an empty sum in a sum": at_least(
                lambda: Sum((i - 2) * Sum(1, (j, i, N)), (i, 1, 3)), lambda: Integer(0)
            ),
        },
    ),
    "names like formulas": (
        "A name is printed like an operator, a product or a formula",
        {
            "a logarithm": line(lambda: LOG * (a + b), lambda: LOG * a + LOG * b),
            "a root": line(lambda: ROOT * (a + b), lambda: ROOT * a + ROOT * b),
            "a sign of order": line(lambda: a * real(r"\le") * b, lambda: b * real(r"\le") * a),
            "a sum in a subscript": line(
                lambda: c * real("x_{a} + y_{b}"), lambda: real("x_{a} + y_{b}") * c
            ),
            "braces": line(lambda: c * real("x{+1}"), lambda: real("x{+1}") * c),
            "a bar over a sum": line(lambda: c * real(r"\bar{a+b}"), lambda: real(r"\bar{a+b}") * c),
            "an integral sign": line(lambda: real(r"\int") * b, lambda: b * real(r"\int")),
            "infinity": line(lambda: real(r"\infty") - real(r"\infty"), lambda: Integer(0)),
            "words": line(lambda: real(r"\text{not }") * b, lambda: b * real(r"\text{not }")),
            "a product of letters": line(
                lambda: real("ab") + a * b - a * b, lambda: 2 * a * b, given={real("ab"): 2 * a * b}
            ),
            "a differential": line(lambda: Integral(a * real("dx"), (a, 0, 1)), lambda: real("dx") / 2),
            "a slope": line(lambda: real(r"\partial") * b / (real(r"\partial") * a), lambda: b / a),
            "a function called log": line(
                lambda: Function("log")(t), lambda: t, given={Function("log")(t): t}
            ),
            "a function called exp": line(
                lambda: Function("exp")(a), lambda: 1 + a, given={Function("exp")(a): 1 + a}
            ),
            "a function with a backslash": line(
                lambda: 2 * Function(r"\log")(a), lambda: Function(r"\log")(a) * 2
            ),
            "a function with a plus": line(lambda: 2 * Function("1+f")(a), lambda: Function("1+f")(a) * 2),
            "an indexed letter with a plus": line(
                lambda: 2 * IndexedBase("a+B", real=True)[i], lambda: IndexedBase("a+B", real=True)[i] * 2
            ),
            "a family called log": line(lambda: 2 * Family(r"\log")(x), lambda: Family(r"\log")(x) * 2),
            "a family with a plus": line(lambda: 2 * Family("1+p")(x), lambda: Family("1+p")(x) * 2),
            "a parameter with a plus": line(
                lambda: 2 * Family("p", "theta+1")(x), lambda: Family("p", "theta+1")(x) * 2
            ),
            "a random variable": line(
                lambda: 2 * r(RandomVariable(r"\log")), lambda: r(RandomVariable(r"\log")) * 2
            ),
        },
    ),
    "functions beyond their letters": (
        "A function is assumed for positive, small or whole numbers, and used for others",
        {
            "positive, at a real number": line(lambda: f(a), lambda: a, given={f(t): t}),
            "positive, at both signs": line(lambda: f(a) + f(-a), lambda: Integer(0), given={f(t): t}),
            "between 0 and 1, at any size": line(lambda: f(t), lambda: log(t), given={f(u): log(u)}),
            "whole, at a half": line(lambda: f(half), lambda: half**2, given={f(N): N**2}),
            "not negative, below": line(lambda: f(-1 - t), lambda: -1 - t, given={f(w): w}),
            "under an average": line(lambda: E(Normal(a, 0, 1), f(a)), lambda: Integer(0), given={f(t): t}),
        },
    ),
    "parameters that vanish": (
        "A density is assumed to be one without the parameter in which the line differentiates",
        {
            "the mean of an assumed Gaussian": line(
                lambda: Derivative(mean(z), phi), lambda: Integer(0), given={q(z | x): Normal(z, m, v)}
            ),
            "its score": line(
                lambda: Derivative(log(Q), phi), lambda: Integer(0), given={q(z | x): Normal(z, m, v)}
            ),
            "a divergence": line(
                lambda: Derivative(KL(Q, p(z)), phi),
                lambda: Integer(0),
                given={q(z | x): Normal(z, m, v), p(z): Normal(z, 0, 1)},
            ),
            "another family": line(
                lambda: Derivative(log(Q), phi), lambda: Integer(0), given={q(z | x): r(z)}
            ),
            "an exact posterior": line(
                lambda: Derivative(log(p(z | x)), theta), lambda: Integer(0), given={p(z | x): q(z | x)}
            ),
            "by a lemma": lambda: D(
                "use", Derivative(log(Q), phi), using=[_lemma(q(z | x), r(z), given={q(z | x): r(z)})]
            ).step(0, "lemma"),
        },
    ),
    "Gaussians that contradict": (
        "Gaussians are assumed that no joint density has at once",
        {
            "a marginal": line(lambda: E(p(x), x**2), lambda: Integer(5), given=_gauss(marginal=(0, 5))),
            "a posterior": line(
                lambda: log(p(z | x)), lambda: log(Normal(z, x, 1)), given=_gauss(posterior=(x, 1))
            ),
            "a tower": line(
                lambda: E(p(x), E(p(z | x), z**2)),
                lambda: Integer(2),
                given={p(z): Normal(z, 0, 1), p(z | x): Normal(z, x, 1), p(x): Normal(x, 0, 1)},
            ),
            "a shift forgotten": line(lambda: E(p(x), x), lambda: Integer(0), given=_gauss(marginal=(1, 2))),
            "a variance of letters": line(
                lambda: E(p(x), x**2),
                lambda: v,
                given={p(z): Normal(z, 0, 1), p(x | z): Normal(x, z, v), p(x): Normal(x, 0, v)},
            ),
        },
    ),
    "points left out": (
        "A line is no number for some of its values, and numbers are taken elsewhere",
        {
            "an integral over a pole": line(
                lambda: Integral(1 / (a - c) ** 2, (a, 0, 1)), lambda: 1 / (c * (c - 1))
            ),
            "the mean of 1/a": line(
                lambda: E(Normal(a, 0, 1), 1 / a + 1) - E(Normal(a, 0, 1), 1 / a), lambda: Integer(1)
            ),
            "at the third whole number": line(lambda: (N - 3) / (N - 3), lambda: Integer(1)),
            "at the seventh": line(lambda: (N - 7) ** 2 / (N - 7), lambda: N - 7),
            "at one of a sum": line(lambda: Sum((i - 2) / (i - 2), (i, 1, N)), lambda: N),
            "at another": line(
                lambda: Sum(1 / (i - 3) + 1, (i, 1, N)), lambda: N + Sum(1 / (i - 3), (i, 1, N))
            ),
            "a range of a real number": line(lambda: sin(pi * a), lambda: Integer(0), where={a: (0, 1)}),
            "an exponential that grows": leads(
                lambda: exp((b - 1) * t) - 1 + t**2, lambda: (b - 1) * t, t, 0
            ),
            "a sine that stands still": leads(lambda: sin((b - 1) * t) + t**2, lambda: (b - 1) * t, t, 0),
        },
    ),
    "known inequalities": (
        "A known inequality turned over, or without what it needs",
        {
            "the means of two numbers": at_most(lambda: (t + s) / 2, lambda: sqrt(t * s)),
            "their means, of any sign": at_least(lambda: (a + b) / 2, lambda: sqrt(a * b)),
            "unequal parts": at_least(lambda: (t + 2 * s) / 3, lambda: sqrt(t * s)),
            "sums of logarithms": at_most(
                lambda: t * log(t / s) + v * log(v / c), lambda: (t + v) * log((t + v) / (s + c))
            ),
            "entropy above cross-entropy": at_most(
                lambda: -(u * log(u_) + (1 - u) * log(1 - u_)), lambda: -(u * log(u) + (1 - u) * log(1 - u))
            ),
            "a Gaussian KL without its logarithm's half": at_least(
                lambda: (v / s - 1 - 2 * log(v / s)) / 2, lambda: Integer(0)
            ),
            "a Gaussian KL, nearly": at_least(
                lambda: (v + m**2 - 1 - log(v)) / 2, lambda: Rational(1, 10**4)
            ),
            "a variance turned over": at_most(lambda: mean(z**2) - mean(z) ** 2, lambda: Integer(0)),
            "a variance of two things": at_least(
                lambda: mean(z**2) - mean(z) * E(p(z), z), lambda: Integer(0)
            ),
            "a weight of any size": at_least(elbo, lambda: mean(log(p(x | z))) - beta_t * KL(Q, p(z))),
            "a weight below one": lambda: D("beta", elbo(), where=[beta_t <= 1]).at_least(
                mean(log(p(x | z))) - beta_t * KL(Q, p(z)), "claimed"
            ),
            "two samples below one": at_most(
                _two_samples,
                elbo,
                because=lambda: log((1 + t) / 2) - log(t) / 2,
                at=lambda: {t: _weight(z2) / _weight(z1)},
            ),
            "KL to a Gaussian, turned over": at_most(lambda: KL(Q, Normal(z, 0, 1)), lambda: Integer(0)),
            "KL to a Gaussian, and more": at_least(
                lambda: KL(Q, Normal(z, 0, 1)), lambda: KL(Q, Normal(z, 0, 2))
            ),
            "a geometric sum at one": line(
                lambda: Sum(a**i, (i, 0, N)), lambda: (1 - a ** (N + 1)) / (1 - a)
            ),
            "a geometric sum, a term short": line(lambda: Sum(u**i, (i, 0, N)), lambda: (1 - u**N) / (1 - u)),
            "a product of none": line(lambda: Product(t, (i, 3, N)), lambda: t ** (N - 2)),
            "Markov, unsaid": line(lambda: q(xs | xt, x_0), lambda: q(xt | xs) * q(xs | x_0) / q(xt | x_0)),
            "Markov, said of another": line(
                lambda: q(xs | xt, x_0),
                lambda: q(xt | xs) * q(xs | x_0) / q(xt | x_0),
                given={q(xs | xt, x_0): q(xs | xt)},
            ),
            "Markov, said and not printed": lambda: _says(
                D("bayes", q(xs | xt, x_0), given={q(xt | xs, x_0): q(xt | xs)}).step(
                    q(xt | xs) * q(xs | x_0) / q(xt | x_0), "claimed"
                ),
                "given",
            ),
        },
    ),
    "ranges of sums": (
        "The range of a sum, or the norm of a vector, is changed without the rest",
        {
            "norms of 3/2": at_least(
                lambda: 3 * half * (SquaredNorm(X[i], (i, 1, N)) + SquaredNorm(M[i], (i, 1, N))),
                lambda: SquaredNorm(X[i] + M[i], (i, 1, N)),
            ),
            "norms of two lengths": at_least(
                lambda: 2 * SquaredNorm(X[i], (i, 1, N)) + 2 * SquaredNorm(M[i], (i, 1, K)),
                lambda: SquaredNorm(X[i] + M[i], (i, 1, N)),
            ),
            "the square of a sum": at_most(lambda: Sum(X[i], (i, 1, N)) ** 2, lambda: Sum(X[i] ** 2, (i, 1, N))),
            "three products of a sum": at_least(
                lambda: Sum(X[i] ** 2 + M[i] ** 2, (i, 1, N)), lambda: 3 * Sum(X[i] * M[i], (i, 1, N))
            ),
            "squares from two on": at_least(
                lambda: Sum(X[i] ** 2, (i, 1, N)) + Sum(M[i] ** 2, (i, 2, N)), lambda: 2 * Sum(X[i] * M[i], (i, 1, N))
            ),
            "squares of either sign": at_least(lambda: a * Sum(X[i] ** 2, (i, 1, N)), lambda: Integer(0)),
            "two ranges of one letter": at_least(
                lambda: Sum(Sum(X[i] * X[j], (j, 1, N)), (i, 1, K)), lambda: Integer(0)
            ),
            "a telescope from two": line(lambda: Sum(1 / (i * (i + 1)), (i, 2, N)), lambda: 1 - 1 / (N + 1)),
            "a telescope from zero": line(lambda: Sum(1 / (i * (i + 1)), (i, 0, N)), lambda: 1 - 1 / (N + 1)),
            "a telescope over a pole": line(
                lambda: Sum(1 / ((i - 3) * (i - 2)), (i, 1, N)), lambda: -half - 1 / (N - 2)
            ),
            "a telescope that may be empty": line(
                lambda: Sum(1 / (i * (i + 1)), (i, n, N)), lambda: 1 / n - 1 / (N + 1), where={n: (1, oo)}
            ),
            "a count that may be empty": line(lambda: Sum(1, (j, n, N)), lambda: N - n + 1, where={n: (1, oo)}),
            "a count to beyond the end": line(lambda: Sum(1, (j, n, N)), lambda: N - n + 1, where={n: (1, N + 2)}),
            "one too few": line(lambda: Sum(1, (j, n, N)), lambda: N - n, where={n: (1, N)}),
            "one of two turned round": line(
                lambda: Sum(B[N + 1 - i] * R[i], (i, 1, N)), lambda: Sum(B[i] * R[i], (i, 1, N))
            ),
            "turned round beside its index": line(
                lambda: Sum(B[N + 1 - i] * i, (i, 1, N)), lambda: Sum(B[i] * i, (i, 1, N))
            ),
            "turned round by twos": line(lambda: Sum(B[N + 1 - 2 * i], (i, 1, N)), lambda: Sum(B[i], (i, 1, N))),
            "every second": line(lambda: Sum(B[2 * i], (i, 1, N)), lambda: Sum(B[i], (i, 1, 2 * N))),
            "turned round, one off": line(lambda: Sum(B[N - i], (i, 1, N)), lambda: Sum(B[i], (i, 1, N))),
            "half a square": line(lambda: Sum(Sum(1, (j, i + 1, N)), (i, 1, N)), lambda: N**2 / 2),
            "a telescoped fraction": line(lambda: Sum(1 / (i * (i + 1)), (i, 1, N)), lambda: 1 - 1 / N),
            "alternating": line(lambda: Sum((-1) ** i, (i, 1, N)), lambda: -Integer(1)),
            "geometric without t != 1": line(
                lambda: Sum(t**i, (i, 0, N)), lambda: (1 - t ** (N + 1)) / (1 - t)
            ),
            "diagonal forgotten": line(
                lambda: Sum(B[i], (i, 1, N)) ** 2,
                lambda: Sum(B[i] ** 2, (i, 1, N)) + Sum(Sum(B[i] * B[j], (j, 1, i)), (i, 1, N)),
            ),
            "product of sums": line(
                lambda: Product(R[i] + 1, (i, 1, N)), lambda: Product(R[i], (i, 1, N)) + 1
            ),
            "T for N": line(lambda: Sum(B[i], (i, 1, T)), lambda: Sum(B[i], (i, 1, N))),
            "doubled range": line(lambda: Sum(B[i], (i, 1, 2 * N)), lambda: 2 * Sum(B[i], (i, 1, N))),
            "sum to minus": line(lambda: Sum(i, (i, -N, N)), lambda: N),
            "norm of a difference": line(
                lambda: SquaredNorm(X[i] - M[i], (i, 1, N)),
                lambda: SquaredNorm(X[i], (i, 1, N)) + SquaredNorm(M[i], (i, 1, N)),
            ),
            "mean norm without D": line(
                lambda: Sum(E(Normal(z, M[i], v), z**2), (i, 1, N)), lambda: SquaredNorm(M[i], (i, 1, N)) + v
            ),
            "triangle for squares": at_most(
                lambda: SquaredNorm(X[i] + M[i], (i, 1, N)),
                lambda: SquaredNorm(X[i], (i, 1, N)) + SquaredNorm(M[i], (i, 1, N)),
            ),
            "scaled norm": line(
                lambda: SquaredNorm(a * X[i], (i, 1, N)), lambda: a * SquaredNorm(X[i], (i, 1, N))
            ),
        },
    ),
    "branches": (
        "A root, a logarithm, a modulus or a greatest value is taken from the wrong branch",
        {
            "the triangle turned over": at_most(lambda: Abs(a) + Abs(b), lambda: Abs(a + b)),
            "a difference above a distance": at_least(lambda: Abs(a) - Abs(b), lambda: Abs(a - b)),
            "half the triangle": at_least(lambda: (Abs(a) + Abs(b)) / 2, lambda: Abs(a + b)),
            "a triangle with weights below one": at_least(lambda: u * Abs(a) + u * Abs(b), lambda: Abs(a + b)),
            "a triangle with weights of either sign": at_least(
                lambda: d * Abs(a) + d * Abs(b), lambda: d * Abs(a + b)
            ),
            "the greater above the sum": at_least(lambda: Max(a, b), lambda: a + b),
            "the lesser above the mean": at_least(lambda: Min(a, b), lambda: (a + b) / 2),
            "the greater below": at_most(lambda: Max(a, b), lambda: Abs(a) + b),
            "least times greatest": line(lambda: Min(a, b) * Max(a, b), lambda: a**2),
            "a product without bars": at_most(lambda: Abs(a) * Abs(b), lambda: a * b),
            "positive parts added": at_most(lambda: Max(a, 0) + Max(b, 0), lambda: Max(a + b, 0)),
            "positive and negative part": line(lambda: Max(a, 0) + Max(-a, 0), lambda: a),
            "bars in bars": at_most(lambda: Abs(Abs(a) - b), lambda: Abs(a) - b),
            "modulus of a sum": line(lambda: Abs(a + b), lambda: Abs(a) + Abs(b)),
            "a log of either sign": line(lambda: log(Abs(a)), lambda: log(a)),
            "Max taken apart": line(lambda: Max(a, b), lambda: (a + b + a - b) / 2),
            "sign dropped": line(lambda: a / Abs(a), lambda: Integer(1)),
            "Min as first": line(lambda: Min(t, s) + Max(t, s), lambda: t + t),
            "Max moved through": line(lambda: Max(a, b) * c, lambda: Max(a * c, b)),
            "Max with a sign": line(lambda: -Max(a, b), lambda: Max(-a, -b)),
            "mean of a modulus": line(lambda: Abs(mean(z)), lambda: mean(Abs(z))),
            "a hinge's mean": line(lambda: E(Normal(a, 0, 1), Max(a, 0)), lambda: half),
            "Heaviside": line(lambda: sp.Heaviside(t), lambda: Integer(1)),
            "a wheel": line(lambda: sin(a + pi), lambda: sin(a)),
            "mod": line(lambda: sp.Mod(N, 2), lambda: Integer(1)),
            "floor": line(lambda: floor(N / 2), lambda: N / 2),
            "cube root": line(lambda: (a**3) ** Rational(1, 3), lambda: a),
            "root of a negative's square": line(lambda: sqrt(neg**2), lambda: neg),
            "log of a negative's square": line(lambda: log(neg**2), lambda: 2 * log(neg)),
            "power of a square, letters": line(lambda: (a**2) ** b, lambda: a ** (2 * b)),
            "odd root of minus eight": line(lambda: Integer(-8) ** Rational(1, 3), lambda: Integer(-2)),
            "log of minus one": line(lambda: log(Integer(-1)) * 0, lambda: Integer(0)),
            "atan undone": line(lambda: atan(tan(a)), lambda: a),
            "two atans": line(lambda: atan(a) + atan(1 / a), lambda: pi / 2),
            "i squared": line(lambda: sp.I**2 * a, lambda: -a),
            "root of minus": line(lambda: sqrt(-t) * sqrt(-t), lambda: -t),
            "root below": line(lambda: sqrt(a) ** 2, lambda: a),
        },
    ),
    "infinite means": (
        "An integral or an average that has no value is given one",
        {
            "Cauchy's mean": line(lambda: Integral(a / (1 + a**2), (a, -oo, oo)), lambda: Integer(0)),
            "principal value": line(lambda: Integral(1 / a, (a, -1, 1)), lambda: Integer(0)),
            "a square below nought": line(lambda: Integral(1 / a**2, (a, -1, 1)), lambda: Integer(-2)),
            "mean of a reciprocal": line(lambda: E(Normal(a, 0, 1), 1 / a), lambda: Integer(0)),
            "mean of a reciprocal square": line(lambda: E(Normal(a, 0, 1), 1 / a**2), lambda: Integer(-1)),
            "sine to infinity": line(lambda: Integral(sin(a), (a, 0, oo)), lambda: Integer(1)),
            "exp of a square, any width": line(
                lambda: E(Normal(a, 0, v), exp(a**2 / 2)), lambda: 1 / sqrt(1 - v)
            ),
            "a power's tail": line(lambda: Integral(a ** (-c), (a, 1, oo)), lambda: 1 / (c - 1)),
            "infinity less infinity": line(
                lambda: Integral(1 / a, (a, 0, 1)) - Integral(1 / a, (a, 0, 1)), lambda: Integer(0)
            ),
            "nought times infinity": line(lambda: E(Normal(a, 0, 1), exp(a**2)) * 0, lambda: Integer(0)),
            "a ratio of Gaussians, wide over narrow": line(
                lambda: E(Normal(a, 0, 2), Normal(a, 0, 2) / Normal(a, 0, 1)), lambda: Integer(1)
            ),
            "chi-square infinite": line(
                lambda: Integral(Normal(a, 0, 3) ** 2 / Normal(a, 0, 1), (a, -oo, oo)), lambda: Integer(3)
            ),
            "exp of a cube": line(lambda: E(Normal(a, 0, 1), exp(a**3)), lambda: exp(Rational(1, 2))),
        },
    ),
    "decimal numbers": (
        "A decimal number is taken for the number near it",
        {
            "a hair more": line(lambda: a + Float("1e-20"), lambda: a),
            "many digits": line(lambda: a * Float("1.0000000000001"), lambda: a),
            "pi in digits": line(lambda: Float("3.14159265358979") * a, lambda: pi * a),
            "root two": line(lambda: Float(2**0.5) * a, lambda: sqrt(2) * a),
            "a third": line(lambda: 0.333333333333333 * 3 * a, lambda: a),
            "e in digits": line(lambda: Float("2.718281828459045") * t, lambda: exp(1) * t),
            "a power": line(lambda: t**0.5000000001, lambda: sqrt(t)),
            "hidden digits": line(lambda: Float("0.1000000000000000000001", 30) * a, lambda: a / 10),
            "inf": line(lambda: a, lambda: a + 0 * Float("inf")),
        },
    ),
    "not a formula": (
        "What is not one side of an equation, or is not treated",
        {
            "an equation": lambda: D("e", a).step(sp.Eq(a, a), "claimed"),
            "a truth value": lambda: D("e", a).step(sp.true, "claimed"),
            "nothing": lambda: D("e", a).step(None, "claimed"),
            "words": lambda: D("e", a).step("a", "claimed"),
            "infinity": line(lambda: a, lambda: oo + 0 * a),
            "an undefined number": line(lambda: a, lambda: sp.nan),
            "a piecewise function": line(lambda: Abs(a), lambda: sp.Piecewise((a, a > 0), (-a, True))),
            "an infinite sum": line(lambda: Sum(half**i, (i, 1, oo)), lambda: Integer(1)),
            "a real index": line(lambda: Sum(a, (b, 1, 3)), lambda: 3 * a),
            "words as a reason": lambda: D("e", t - 1).at_least(log(t), "claimed", because="tangent"),
            "a list of assumptions": lambda: D("e", a, given=[sp.Eq(a, b)]).step(b, "claimed"),
        },
    ),
}


def _says(derivation, words):
    """A derivation that is sound only if it prints its assumptions: refused here if it does not."""
    if words in derivation.latex():
        raise Honest
    return derivation


class Honest(Exception):  # noqa: N818
    """The line is accepted with its assumption printed, so nothing false was said."""


# kind: {name: what should be accepted}
TRUE = {
    "densities": {
        "product rule": line(lambda: p(x, z), lambda: p(x | z) * p(z)),
        "Bayes": line(lambda: p(z | x), lambda: p(x | z) * p(z) / p(x)),
        "chain of three": line(lambda: p(x, y, z), lambda: p(x | y, z) * p(y | z) * p(z)),
        "order of variables": line(lambda: p(x, z), lambda: p(z, x)),
        "evidence": line(lambda: log(p(x)), lambda: log(Integral(p(x | z) * p(z), z))),
        "evidence with ends": line(lambda: p(x), lambda: Integral(p(x | z) * p(z), (z, -oo, oo))),
        "evidence as a sum": line(lambda: p(x), lambda: Sum(p(x | z) * p(z), (z, 1, N))),
        "evidence as a mean": line(lambda: p(x), lambda: E(p(z), p(x | z))),
        "importance weights": line(lambda: p(x), lambda: mean(p(x | z) * p(z) / Q)),
        "posterior mean by weights": line(
            lambda: E(p(z | x), z), lambda: mean(z * p(x | z) * p(z) / Q) / p(x)
        ),
        "Markov, said": line(lambda: p(x, y, z), lambda: p(x, z) * p(y | z), given={p(y | z): p(y | z, x)}),
        "independence, said": line(
            lambda: KL(q(x, z), r(x, z)),
            lambda: KL(q(x), r(x)) + KL(q(z), r(z)),
            given={q(x, z): q(x) * q(z), r(x, z): r(x) * r(z)},
        ),
        "sums to one": line(lambda: mean(p(z | x) / Q), lambda: Integer(1)),
        "normalised": line(lambda: Integral(Q, z), lambda: Integer(1)),
        "harmonic": line(lambda: E(p(z | x), 1 / p(x | z)), lambda: 1 / p(x)),
        "posterior averaged": line(lambda: E(p(x), p(z | x)), lambda: p(z)),
        "chi square": line(
            lambda: mean(Q / p(z | x)) - 1, lambda: Integral((Q - p(z | x)) ** 2 / p(z | x), z)
        ),
        "Bayes in logs": line(lambda: log(p(z | x)), lambda: log(p(x | z)) + log(p(z)) - log(p(x))),
        "Bayes for odds": line(lambda: p(z | x) / p(h2 | x), lambda: p(x | z) * p(z) / (p(x | h2) * p(h2))),
        "self-normalised": line(
            lambda: E(p(z | x), f(z)), lambda: mean(f(z) * p(x, z) / Q) / mean(p(x, z) / Q)
        ),
    },
    "expectations": {
        "as an integral": line(lambda: mean(log(p(x | z))), lambda: Integral(Q * log(p(x | z)), z)),
        "as a sum": line(lambda: mean(log(p(x | z))), lambda: Sum(Q * log(p(x | z)), (z, 1, N))),
        "linear": line(
            lambda: mean(2 * log(p(x | z)) - 3 * z), lambda: 2 * mean(log(p(x | z))) - 3 * mean(z)
        ),
        "of a constant": line(lambda: mean(log(p(x))), lambda: log(p(x))),
        "tower": line(lambda: E(q(z | x), E(q(y | x, z), f(y))), lambda: E(q(y | x), f(y))),
        "tower of two": line(lambda: E(q(x), E(Q, log(p(x, z)))), lambda: E(q(x, z), log(p(x, z)))),
        "variance": line(lambda: mean((z - mean(z)) ** 2), lambda: mean(z**2) - mean(z) ** 2),
        "a second copy": line(
            lambda: mean(z) ** 2,
            lambda: E(Q, E(q(RandomVariable("w", like=z) | x), z * RandomVariable("w", like=z))),
        ),
        "a renamed variable of an integral": line(
            lambda: Integral(exp(-(a**2)) * a**2, (a, -oo, oo)),
            lambda: Integral(exp(-(b**2)) * b**2, (b, -oo, oo)),
        ),
        "a renamed Gaussian variable": line(
            lambda: E(Normal(a, m, v), f(a)), lambda: E(Normal(b, m, v), f(b))
        ),
        "a renamed random variable": line(
            lambda: p(x), lambda: Integral(p(x, RandomVariable("w", like=z)), RandomVariable("w", like=z))
        ),
        "independent product": line(lambda: E(q(x), E(q(z), x * z)), lambda: E(q(x), x) * E(q(z), z)),
        "total variance": line(
            lambda: E(q(z), z**2) - E(q(z), z) ** 2,
            lambda: E(q(x), mean(z**2) - mean(z) ** 2) + E(q(x), mean(z) ** 2) - E(q(x), mean(z)) ** 2,
        ),
        "covariance": line(
            lambda: E(q(x, z), (x - E(q(x), x)) * (z - E(q(z), z))),
            lambda: E(q(x, z), x * z) - E(q(x), x) * E(q(z), z),
        ),
        "bias and variance": line(
            lambda: mean((z - a) ** 2), lambda: mean(z**2) - mean(z) ** 2 + (mean(z) - a) ** 2
        ),
        "mean of a Gaussian squared": line(
            lambda: E(Normal(z, mu, sigma**2), (z - mu) ** 2), lambda: sigma**2
        ),
        "third moment": line(lambda: E(Normal(a, mu, v), a**3), lambda: mu**3 + 3 * mu * v),
        "swap of two means": line(lambda: E(q(x), E(q(y), f(x, y))), lambda: E(q(y), E(q(x), f(x, y)))),
        "a hinge's mean": line(lambda: E(Normal(a, 0, 1), Max(a, 0)), lambda: 1 / sqrt(2 * pi)),
        "mean of a wave": line(lambda: E(Normal(a, m, v), cos(a)), lambda: exp(-v / 2) * cos(m)),
        "log normal variance": line(
            lambda: E(Normal(a, 0, 1), exp(2 * a)) - E(Normal(a, 0, 1), exp(a)) ** 2, lambda: exp(2) - exp(1)
        ),
        "exp with a factor": line(lambda: E(Normal(a, m, v), exp(b * a)), lambda: exp(b * m + b**2 * v / 2)),
        "a times exp": line(lambda: E(Normal(a, 0, v), a * exp(a)), lambda: v * exp(v / 2)),
        "exp of a square": line(lambda: E(Normal(a, 0, 1), exp(a**2 / 4)), lambda: sqrt(2)),
        "exp of a minus square": line(lambda: E(Normal(a, 0, v), exp(-(a**2) / 2)), lambda: 1 / sqrt(1 + v)),
        "Stein": line(lambda: E(Normal(a, 0, v), a * sin(a)), lambda: v * E(Normal(a, 0, v), cos(a))),
    },
    "divergences": {
        "bound and gap": line(lambda: log(p(x)), lambda: elbo() + KL(Q, p(z | x))),
        "two terms": line(elbo, lambda: mean(log(p(x | z))) - KL(Q, p(z))),
        "energy and entropy": line(elbo, lambda: mean(log(p(x, z))) - mean(log(Q))),
        "KL as an integral": line(lambda: KL(Q, p(z)), lambda: Integral(Q * log(Q / p(z)), z)),
        "chain rule": line(
            lambda: KL(q(y, z | x), r(y, z)),
            lambda: KL(q(y | x), r(y)) + E(q(y | x), KL(q(z | x, y), r(z | y))),
        ),
        "mutual information": line(
            lambda: E(q(x, z), log(q(x, z) / (q(x) * q(z)))), lambda: E(q(x), KL(Q, q(z)))
        ),
        "information by entropies": line(
            lambda: E(q(x), KL(Q, q(z))), lambda: E(q(x, z), log(Q)) - E(q(z), log(q(z)))
        ),
        "cross-entropy": line(lambda: -E(q(x), log(p(x))), lambda: -E(q(x), log(q(x))) + KL(q(x), p(x))),
        "KL of a thing to itself": line(lambda: KL(Q, Q), lambda: Integer(0)),
    },
    "inequalities": {
        "tangent": at_least(lambda: t - 1, lambda: log(t)),
        "Jensen by its tangent": at_most(
            lambda: mean(log(p(x | z))),
            lambda: log(mean(p(x | z))),
            because=lambda: t - 1 - log(t),
            at=lambda: {t: p(x | z) / mean(p(x | z))},
        ),
        "Jensen, ready": lambda: lemmas.jensen(Q, p(x | z)),
        "evidence lower bound": at_least(lambda: log(p(x)), elbo, because=lambda: KL(Q, p(z | x))),
        "a square": at_least(lambda: a**2 + b**2, lambda: 2 * a * b),
        "a corner": at_least(lambda: Abs(t - 5) + t / 2, lambda: Rational(5, 2)),
        "a sum of corners": at_least(lambda: Abs(a - 1) + Abs(a + 1), lambda: Integer(2)),
        "a KL": at_least(lambda: KL(Q, p(z)), lambda: Integer(0)),
        "exp above its tangent": at_least(lambda: exp(a), lambda: 1 + a),
        "a mean of squares": at_least(
            lambda: mean(z**2), lambda: mean(z) ** 2, because=lambda: a**2, at=lambda: {a: z - mean(z)}
        ),
        "logs under a sum": at_most(
            lambda: Sum(log(R[i]), (i, 1, N)),
            lambda: Sum(R[i] - 1, (i, 1, N)),
            because=lambda: t - 1 - log(t),
            at=lambda: {t: R[i]},
        ),
    },
    "more inequalities": {
        "triangle": at_least(lambda: Abs(a) + Abs(b), lambda: Abs(a + b)),
        "triangle of three": at_most(lambda: Abs(a + b + d), lambda: Abs(a) + Abs(b) + Abs(d)),
        "triangle, the other": at_least(lambda: Abs(a - b), lambda: Abs(a) - Abs(b)),
        "greater than the mean": at_least(lambda: Max(a, b), lambda: (a + b) / 2),
        "greater than one of two": at_least(lambda: Max(a, b), lambda: a),
        "less than one of two": at_most(lambda: Min(a, b), lambda: b),
        "two greatest": at_least(lambda: Max(a, b) + Max(b, d), lambda: a + b),
        "norm of a sum": at_least(
            lambda: 2 * SquaredNorm(X[i], (i, 1, N)) + 2 * SquaredNorm(M[i], (i, 1, N)),
            lambda: SquaredNorm(X[i] + M[i], (i, 1, N)),
        ),
        "sum of products": at_least(
            lambda: Sum(X[i] ** 2 + M[i] ** 2, (i, 1, N)), lambda: 2 * Sum(X[i] * M[i], (i, 1, N))
        ),
        "mean of products": at_least(
            lambda: mean(z**2) + mean(log(p(x | z)) ** 2), lambda: 2 * mean(z * log(p(x | z)))
        ),
        "a ratio's mean": at_least(lambda: mean(Q / p(z)), lambda: Integer(1)),
        "a ratio of conditionals": at_least(lambda: E(p(z | x), p(z | x) / Q), lambda: Integer(1)),
        "two samples below the evidence": at_most(
            lambda: _two_samples(),
            lambda: log(p(x)),
            because=lambda: t - 1 - log(t),
            at=lambda: {t: (_weight(z1) + _weight(z2)) / 2 / p(x)},
        ),
        "two samples above one": at_least(
            lambda: _two_samples(),
            elbo,
            because=lambda: log((1 + t) / 2) - log(t) / 2,
            at=lambda: {t: _weight(z2) / _weight(z1)},
        ),
        "the means of two numbers": at_least(lambda: (t + s) / 2, lambda: sqrt(t * s)),
        "the log of a mean": at_least(lambda: log((t + s) / 2), lambda: (log(t) + log(s)) / 2),
        "sums of logarithms": at_least(
            lambda: t * log(t / s) + v * log(v / c), lambda: (t + v) * log((t + v) / (s + c))
        ),
        "KL is convex": at_least(
            lambda: u * t * log(t / s) + (1 - u) * v * log(v / c),
            lambda: (u * t + (1 - u) * v) * log((u * t + (1 - u) * v) / (u * s + (1 - u) * c)),
            because=lambda: t * log(t / s) + v * log(v / c) - (t + v) * log((t + v) / (s + c)),
            at=lambda: {t: u * t, s: u * s, v: (1 - u) * v, c: (1 - u) * c},
        ),
        "a variance": at_least(lambda: mean(z**2) - mean(z) ** 2, lambda: Integer(0)),
        "a second moment": at_least(lambda: E(p(z), z**2), lambda: E(p(z), z) ** 2),
        "a weight above one": lambda: D("beta", log(p(x)), where=[beta_t >= 1]).at_least(
            mean(log(p(x | z))) - beta_t * KL(Q, p(z)), "claimed"
        ),
        "a weight of one and more": at_least(elbo, lambda: mean(log(p(x | z))) - (1 + w) * KL(Q, p(z))),
        "a share of a divergence": at_least(lambda: u * KL(q(z), r(z)), lambda: Integer(0)),
        "the formula of a Gaussian KL": at_least(
            lambda: (v / s + (m - mu) ** 2 / s - 1 - log(v / s)) / 2, lambda: Integer(0)
        ),
        "cross-entropy above entropy": at_least(
            lambda: -(u * log(u_) + (1 - u) * log(1 - u_)), lambda: -(u * log(u) + (1 - u) * log(1 - u))
        ),
        "KL of two coins": at_least(
            lambda: u * log(u / u_) + (1 - u) * log((1 - u) / (1 - u_)), lambda: Integer(0)
        ),
        "KL to a Gaussian": at_least(lambda: KL(Q, Normal(z, 0, 1)), lambda: Integer(0)),
        "data processing": at_least(lambda: KL(q(x, z), p(x, z)), lambda: KL(q(x), p(x))),
        "data processing the other": at_least(lambda: KL(q(x, z), p(x, z)), lambda: KL(q(z), p(z))),
        "data processing, said why": at_least(
            lambda: KL(q(x, z), p(x, z)), lambda: KL(q(x), p(x)), because=lambda: KL(Q, p(z | x))
        ),
        "rate above the marginal's": at_least(lambda: E(q(x), KL(Q, p(z))), lambda: KL(q(z), p(z))),
        "information": at_least(lambda: E(q(x, z), log(q(x, z) / (q(x) * q(z)))), lambda: Integer(0)),
        "information, as a KL": at_least(lambda: E(q(x), KL(Q, q(z))), lambda: Integer(0)),
        "joint entropy": at_most(
            lambda: -E(q(x, z), log(q(x, z))), lambda: -E(q(x), log(q(x))) - E(q(z), log(q(z)))
        ),
        "conditioning": at_most(lambda: -E(q(x, z), log(Q)), lambda: -E(q(z), log(q(z)))),
        "rate above information": at_least(lambda: E(q(x), KL(Q, p(z))), lambda: E(q(x), KL(Q, q(z)))),
        "Jensen without because": at_most(lambda: mean(log(p(x | z))), lambda: log(mean(p(x | z)))),
        "Jensen, square": at_least(lambda: mean(z**2), lambda: mean(z) ** 2),
        "exp below": at_least(lambda: exp(-t), lambda: 1 - t),
        "log 1+t": at_most(lambda: log(1 + t), lambda: t),
        "t log t": at_least(lambda: t * log(t), lambda: -exp(-1)),
        "quarter": at_most(lambda: u * (1 - u), lambda: Rational(1, 4)),
        "entropy of a coin": at_most(lambda: -u * log(u) - (1 - u) * log(1 - u), lambda: log(2)),
        "powers of two": at_least(lambda: 2**N, lambda: N + 1),
        "chi above KL": at_most(
            lambda: KL(Q, p(z)),
            lambda: mean(Q / p(z)) - 1,
            because=lambda: t - 1 - log(t),
            at=lambda: {t: Q / p(z)},
        ),
        "log of a chi": at_most(lambda: KL(Q, p(z)), lambda: log(mean(Q / p(z)))),
        "Cauchy of two": at_least(lambda: (a**2 + b**2) * (c**2 + d**2), lambda: (a * c + b * d) ** 2),
        "variance of a Gaussian": at_least(lambda: E(Normal(a, m, v), a**2), lambda: m**2),
        "Young": at_most(lambda: a * b, lambda: t * a**2 / 2 + b**2 / (2 * t)),
        "sum of squares": at_least(lambda: Sum(B[i] ** 2, (i, 1, N)), lambda: Integer(0)),
        "norm": at_least(lambda: SquaredNorm(X[i] - M[i], (i, 1, N)), lambda: Integer(0)),
        "ELBO below evidence, plain": at_most(elbo, lambda: log(p(x))),
    },
    "powers and chains": {
        "a product of constants": line(lambda: Product(a, (i, 1, N)), lambda: a**N),
        "what a chain keeps": line(lambda: Product(1 - u, (i, 1, N)), lambda: (1 - u) ** N),
        "a geometric sum": line(lambda: Sum(u**i, (i, 0, N - 1)), lambda: (1 - u**N) / (1 - u)),
        "one from the first power on": line(lambda: Sum(u**i, (i, 1, N)), lambda: u * (1 - u**N) / (1 - u)),
        "one of a number that is not one": line(
            lambda: Sum(t**i, (i, 0, N)), lambda: (1 - t ** (N + 1)) / (1 - t), where=[t < 1]
        ),
        "Bayes, Markov said as usual": line(
            lambda: q(xs | xt, x_0),
            lambda: q(xt | xs) * q(xs | x_0) / q(xt | x_0),
            given={q(xt | xs, x_0): q(xt | xs)},
        ),
        "a likelihood that is assumed": line(
            lambda: mean(log(p(x | z))),
            lambda: -mean((x - f(z)) ** 2) / (2 * v) - log(2 * pi * v) / 2,
            given={p(x | z): Normal(x, f(z), v)},
        ),
    },
    "gradients": {
        "score has mean zero": line(lambda: mean(Derivative(log(Q), phi)), lambda: Integer(0)),
        "score-function gradient": line(
            lambda: Derivative(mean(log(p(x | z))), phi),
            lambda: mean(log(p(x | z)) * Derivative(log(Q), phi)),
        ),
        "gradient of the bound in θ": line(
            lambda: Derivative(elbo(), theta), lambda: mean(Derivative(log(p(x, z)), theta))
        ),
        "gradient of log p": line(
            lambda: Derivative(log(p(x)), theta), lambda: E(p(z | x), Derivative(log(p(x, z)), theta))
        ),
        "Fisher information": line(
            lambda: mean(Derivative(log(Q), phi, phi)), lambda: -mean(Derivative(log(Q), phi) ** 2)
        ),
        "the prior has no θ": line(lambda: Derivative(log(p(z)), theta), lambda: Integer(0)),
        "second derivative": line(
            lambda: Derivative(a**3 + exp(2 * a), a, a), lambda: 6 * a + 4 * exp(2 * a)
        ),
        "score of a Gaussian": line(lambda: Derivative(log(Normal(a, m, v)), m), lambda: (a - m) / v),
        "reparameterisation": line(
            lambda: E(Normal(z, mu, sigma**2), f(z)), lambda: E(Normal(eps, 0, 1), f(mu + sigma * eps))
        ),
        "its gradient": line(
            lambda: Derivative(E(Normal(z, mu, sigma**2), f(z)), mu),
            lambda: E(Normal(eps, 0, 1), Derivative(f(mu + sigma * eps), mu)),
        ),
        "Fisher's identity": line(
            lambda: Derivative(log(E(p(z), p(x | z))), theta),
            lambda: E(p(z | x), Derivative(log(p(x | z)), theta)),
        ),
        "slope of KL in phi": line(
            lambda: Derivative(KL(Q, p(z)), phi), lambda: mean(log(Q / p(z)) * Derivative(log(Q), phi))
        ),
        "with a baseline": line(
            lambda: mean(log(p(x | z)) * Derivative(log(Q), phi)),
            lambda: mean((log(p(x | z)) - b) * Derivative(log(Q), phi)),
        ),
        "slope of two": line(
            lambda: Derivative(E(q(z), log(another_p(z))), phi),
            lambda: E(
                q(z), log(another_p(z)) * Derivative(log(q(z)), phi) + Derivative(log(another_p(z)), phi)
            ),
        ),
        "width": line(lambda: Derivative(E(Normal(z, mu, sigma**2), z**2), sigma), lambda: 2 * sigma),
        "score in sigma": line(
            lambda: Derivative(log(Normal(a, m, sigma**2)), sigma),
            lambda: (a - m) ** 2 / sigma**3 - 1 / sigma,
        ),
        "reparameterised in sigma": line(
            lambda: Derivative(E(Normal(z, mu, sigma**2), f(z)), sigma),
            lambda: E(Normal(eps, 0, 1), Derivative(f(mu + sigma * eps), sigma)),
        ),
        "Leibniz": line(
            lambda: Derivative(Integral(exp(-t * a), (a, 0, t)), t),
            lambda: exp(-(t**2)) - Integral(a * exp(-t * a), (a, 0, t)),
        ),
        "softplus": line(lambda: Derivative(log(1 + exp(a)), a), lambda: 1 / (1 + exp(-a))),
        "sigmoid": line(
            lambda: Derivative(1 / (1 + exp(-a)), a), lambda: 1 / (1 + exp(-a)) * (1 - 1 / (1 + exp(-a)))
        ),
        "slope of a sum": line(
            lambda: Derivative(Sum(t**i, (i, 1, N)), t), lambda: Sum(i * t ** (i - 1), (i, 1, N))
        ),
        "slope of a norm's entry": line(
            lambda: Derivative(Sum((B[i] - a) ** 2, (i, 1, N)), a), lambda: -2 * Sum(B[i] - a, (i, 1, N))
        ),
        "second of log p": line(
            lambda: Derivative(log(p(x)), theta, theta),
            lambda: (
                E(p(z | x), Derivative(log(p(x, z)), theta, theta) + Derivative(log(p(x, z)), theta) ** 2)
                - Derivative(log(p(x)), theta) ** 2
            ),
        ),
        "Tweedie": line(lambda: Derivative(log(Normal(a, 0, 1 + v)), a), lambda: -a / (1 + v)),
    },
    "Gaussians": {
        "KL to N(0, 1)": line(
            lambda: KL(Normal(z, a, t), Normal(z, 0, 1)), lambda: (-(a**2) - t + 1 + log(t)) / (-2)
        ),
        "moment generating": line(lambda: E(Normal(a, 0, 1), exp(3 * a)), lambda: exp(Rational(9, 2))),
        "with a mean": line(lambda: E(Normal(a, m, v), exp(a)), lambda: exp(m + v / 2)),
        "fourth moment": line(lambda: E(Normal(a, b, 2), a**4), lambda: b**4 + 12 * b**2 + 12),
        "mean of a modulus": line(lambda: E(Normal(a, 0, 1), Abs(a)), lambda: sqrt(2 / pi)),
        "a product of two": line(
            lambda: Normal(x, a, v) * Normal(a, 0, 1),
            lambda: Normal(x, 0, 1 + v) * Normal(a, x / (1 + v), v / (1 + v)),
        ),
        "evidence of the linear model": line(
            lambda: Integral(Normal(x, z, v) * Normal(z, 0, 1), (z, -oo, oo)), lambda: Normal(x, 0, 1 + v)
        ),
        "joint of assumed Gaussians": line(
            lambda: mean(log(p(x, z) / Q)),
            lambda: mean(log(Normal(x, z, 1)) + log(Normal(z, 0, 1)) - log(Normal(z, m, v))),
            given={p(z): Normal(z, 0, 1), p(x | z): Normal(x, z, 1), q(z | x): Normal(z, m, v)},
        ),
        "entropy": line(
            lambda: -E(Normal(a, m, v), log(Normal(a, m, v))), lambda: log(2 * pi * v) / 2 + half
        ),
        "squared norm": line(
            lambda: SquaredNorm(X[i] - M[i], (i, 1, N)), lambda: Sum((X[i] - M[i]) ** 2, (i, 1, N))
        ),
        "diagonal log-likelihood": line(
            lambda: -Sum(log(Normal(X[i], M[i], v)), (i, 1, N)),
            lambda: SquaredNorm(X[i] - M[i], (i, 1, N)) / (2 * v) + N * log(2 * pi * v) / 2,
        ),
        "diagonal KL": line(
            lambda: Sum(KL(Normal(z, M[i], R[i]), Normal(z, 0, 1)), (i, 1, N)),
            lambda: (SquaredNorm(M[i], (i, 1, N)) + Sum(R[i] - log(R[i]), (i, 1, N)) - N) / 2,
        ),
    },
    "sums and products": {
        "least and greatest": line(lambda: Min(a, b) + Max(a, b), lambda: a + b),
        "greatest by its modulus": line(lambda: Max(a, b), lambda: (a + b + Abs(a - b)) / 2),
        "positive less negative part": line(lambda: Max(a, 0) - Max(-a, 0), lambda: a),
        "a count from n": line(lambda: Sum(1, (j, n, N)), lambda: N - n + 1, where={n: (1, N)}),
        "telescope of fractions": line(lambda: Sum(1 / (i * (i + 1)), (i, 1, N)), lambda: 1 - 1 / (N + 1)),
        "turned round": line(lambda: Sum(B[N + 1 - i], (i, 1, N)), lambda: Sum(B[i], (i, 1, N))),
        "turned round from zero": line(lambda: Sum(B[N - i], (i, 0, N)), lambda: Sum(B[i], (i, 0, N))),
        "telescope": line(lambda: B[N], lambda: B[1] + Sum(B[i] - B[i - 1], (i, 2, N))),
        "a renamed index": line(lambda: Sum(B[i], (i, 1, N)), lambda: Sum(B[j], (j, 1, N))),
        "a shifted index": line(lambda: Sum(B[i - 1], (i, 2, N + 1)), lambda: Sum(B[i], (i, 1, N))),
        "constants": line(lambda: Sum(t, (i, 1, N)), lambda: N * t),
        "log of a product": line(lambda: log(Product(R[i], (i, 1, N))), lambda: Sum(log(R[i]), (i, 1, N))),
        "product of powers": line(
            lambda: Product(R[i] ** 2, (i, 1, N)), lambda: Product(R[i], (i, 1, N)) ** 2
        ),
        "first terms, range said": line(
            lambda: B[1] + B[2] + Sum(B[i], (i, 3, N)), lambda: Sum(B[i], (i, 1, N)), where={N: (2, oo)}
        ),
        "a recursion in its range": lambda: D(
            "sum",
            Sum(B[i] - B[i - 1], (i, 2, N)),
            using=[_lemma(B[i], B[i - 1] + R[i], given={B[i]: B[i - 1] + R[i]}, where={i: (2, N)})],
        ).step(Sum(R[i], (i, 2, N)), "lemma"),
        "one sum in another": line(
            lambda: Sum(Sum(B[i] * R[j], (j, 1, N)), (i, 1, N)),
            lambda: Sum(R[j], (j, 1, N)) * Sum(B[i], (i, 1, N)),
        ),
        "sum of whole numbers": line(lambda: Sum(i, (i, 1, N)), lambda: N * (N + 1) / 2),
        "a sum pulled out": line(
            lambda: Sum(mean(log(R[i]) + z), (i, 1, N)), lambda: mean(Sum(log(R[i]) + z, (i, 1, N)))
        ),
        "last apart": line(lambda: Sum(B[i], (i, 1, N - 1)) + B[N], lambda: Sum(B[i], (i, 1, N))),
        "first factor apart": line(lambda: R[1] * Product(R[i], (i, 2, N)), lambda: Product(R[i], (i, 1, N))),
        "square of a sum": line(
            lambda: Sum(B[i], (i, 1, N)) ** 2, lambda: Sum(Sum(B[i] * B[j], (j, 1, N)), (i, 1, N))
        ),
        "root of a product": line(
            lambda: sqrt(Product(R[i] ** 2, (i, 1, N))), lambda: Product(R[i], (i, 1, N))
        ),
        "squares": line(lambda: Sum(i**2, (i, 1, N)), lambda: N * (N + 1) * (2 * N + 1) / 6),
        "norm expanded": line(
            lambda: SquaredNorm(X[i] - M[i], (i, 1, N)),
            lambda: (
                SquaredNorm(X[i], (i, 1, N)) - 2 * Sum(X[i] * M[i], (i, 1, N)) + SquaredNorm(M[i], (i, 1, N))
            ),
        ),
        "mean norm": line(
            lambda: Sum(E(Normal(z, M[i], v), z**2), (i, 1, N)), lambda: SquaredNorm(M[i], (i, 1, N)) + N * v
        ),
        "mean of a norm of noise": line(
            lambda: Sum(E(Normal(eps, 0, 1), (M[i] + sigma * eps) ** 2), (i, 1, N)),
            lambda: SquaredNorm(M[i], (i, 1, N)) + N * sigma**2,
        ),
        "scaled norm": line(
            lambda: SquaredNorm(a * X[i], (i, 1, N)), lambda: a**2 * SquaredNorm(X[i], (i, 1, N))
        ),
        "isotropic KL": line(
            lambda: Sum(KL(Normal(z, M[i], v), Normal(z, X[i], v)), (i, 1, N)),
            lambda: SquaredNorm(M[i] - X[i], (i, 1, N)) / (2 * v),
        ),
        "odd sum": line(lambda: Sum(2 * i - 1, (i, 1, N)), lambda: N**2),
        "mean of entries": line(lambda: Sum(B[i] - Sum(B[j], (j, 1, N)) / N, (i, 1, N)), lambda: Integer(0)),
    },
    "limits and logarithms": {
        "odds to infinity": tends(lambda: u / (1 - u), lambda: oo, u, 1),
        "a root in its domain": tends(lambda: 1 / sqrt(1 - u), lambda: oo, u, 1),
        "another": tends(lambda: 1 / (1 - sqrt(u)), lambda: oo, u, 1),
        "definition of e": tends(lambda: (1 + 1 / t) ** t, lambda: sp.E, t, oo),
        "an inner point": tends(lambda: sin(a) / a, lambda: Integer(1), a, 0),
        "sine to leading order": leads(lambda: sin(t) + t**2, lambda: t, t, 0),
        "log of a square": line(lambda: log((a - 3) ** 2), lambda: 2 * log(Abs(a - 3))),
        "log of a difference, said": line(lambda: log((a - b) ** 2), lambda: 2 * log(a - b), where=[a > b]),
        "log of fractions": line(lambda: log((1 - u) / u), lambda: log(1 - u) - log(u)),
        "root of a square": line(lambda: sqrt(a**2), lambda: Abs(a)),
        "error function": line(lambda: Derivative(erf(a), a), lambda: 2 * exp(-(a**2)) / sqrt(pi)),
        "a decimal number": line(lambda: 0.5 * a + 0.25 * a, lambda: 3 * a / 4),
        "powers below one": tends(lambda: u**N, lambda: Integer(0), N, oo),
        "log ratio": tends(lambda: log(t) / t, lambda: Integer(0), t, oo),
        "definition of exp": tends(lambda: (1 + a / t) ** t, lambda: exp(a), t, oo),
        "roots": tends(lambda: sqrt(t + 1) - sqrt(t), lambda: Integer(0), t, oo),
        "half": tends(lambda: sqrt(t**2 + t) - t, lambda: half, t, oo),
        "log order": leads(lambda: log(1 + t), lambda: t, t, 0),
        "log far": leads(lambda: log(t + 1), lambda: log(t), t, oo),
        "plus log": leads(lambda: t + log(t), lambda: t, t, oo),
        "narrow": tends(lambda: E(Normal(a, 0, t), exp(a)), lambda: Integer(1), t, 0),
        "mass moved": tends(lambda: Integral(t * exp(-t * a), (a, 0, oo)), lambda: Integer(1), t, oo),
        "constant sum": tends(lambda: Sum(1 / N, (i, 1, N)), lambda: Integer(1), N, oo),
        "e": tends(lambda: Product(1 + 1 / N, (i, 1, N)), lambda: sp.E, N, oo),
        "SNR": tends(lambda: u / (1 - u), lambda: Integer(0), u, 0),
        "KL of equal widths": tends(
            lambda: KL(Normal(z, 0, 1 + t), Normal(z, 0, 1)), lambda: Integer(0), t, 0
        ),
        "KL to second order": leads(lambda: KL(Normal(z, 0, 1 + t), Normal(z, 0, 1)), lambda: t**2 / 4, t, 0),
        "modulus of a product": line(lambda: Abs(a * b), lambda: Abs(a) * Abs(b)),
        "modulus turned": line(lambda: Abs(a - b), lambda: Abs(b - a)),
        "log of a negative's square": line(lambda: log(neg**2), lambda: 2 * log(-neg)),
        "root of a fourth power": line(lambda: sqrt(a**4), lambda: a**2),
        "powers": line(lambda: (t**a) ** b, lambda: t ** (a * b)),
        "exp log": line(lambda: exp(a * log(t)), lambda: t**a),
        "log of exp": line(lambda: log(exp(a)), lambda: a),
        "quotient": line(lambda: log(t / s), lambda: -log(s / t)),
        "logistic": line(lambda: log(1 / (1 + exp(-a))), lambda: a - log(1 + exp(a))),
        "wheel": line(lambda: sin(a) ** 2 + cos(a) ** 2, lambda: Integer(1)),
        "float power": line(lambda: t**0.5, lambda: sqrt(t)),
        "floats": line(lambda: 0.1 * a + 0.2 * a, lambda: 0.3 * a),
        "float root": line(lambda: a**2.0, lambda: a**2),
    },
}


def attempts(table):
    """(kind, name, function) of each entry, its lines kept as written."""
    for kind, group in table.items():
        entries = group[1] if isinstance(group, tuple) else group
        for name, build in entries.items():
            yield kind, name, written(build)


def written(build):
    def run():
        with as_written():
            return build()

    return run
