"""The engine: what it accepts, what it refuses, what it says, and how it prints."""

import math
import re

import pytest
import sympy as sp
from lowerbound.symbolic import (
    KL,
    Derivation,
    E,
    Family,
    Normal,
    RandomVariable,
    StepError,
    Unit,
    as_written,
    latex,
)
from lowerbound.symbolic.assumptions import Assumptions
from lowerbound.symbolic.bounds import never_negative
from lowerbound.symbolic.normal_form import NormalForm, moment
from lowerbound.symbolic.numeric_check import Model
from lowerbound.symbolic.printing import width
from sympy import Integral, Rational, Sum, exp, log, oo, pi, sqrt

x, z, y = RandomVariable("x"), RandomVariable("z"), RandomVariable("y")
p, q = Family("p", "theta", fixed=[z]), Family("q", "phi")
t = sp.Symbol("t", positive=True)
a, b = sp.symbols("a b", real=True)
u, w = Unit("u"), Unit("w")


def mean(f):
    return E(q(z | x), f)


def refuse(d, line, **options):
    with pytest.raises(StepError) as caught:
        d.step(line, "wrong")
    return caught.value


# What holds

TRUE = {
    "product rule": (p(x, z), p(x | z) * p(z)),
    "Bayes": (p(z | x), p(x | z) * p(z) / p(x)),
    "chain of three": (p(x, y, z), p(x | y, z) * p(y | z) * p(z)),
    "order of variables": (p(x, z), p(z, x)),
    "constant": (mean(log(p(x))), log(p(x))),
    "linearity": (mean(2 * log(p(x | z)) - 3 * p(z)), 2 * mean(log(p(x | z))) - 3 * mean(p(z))),
    "log of a power": (mean(log(p(x | z) ** 2 / q(z | x))), 2 * mean(log(p(x | z))) - mean(log(q(z | x)))),
    "KL unfolds": (KL(q(z | x), p(z)), mean(log(q(z | x))) - mean(log(p(z)))),
    "sum rule": (mean(p(z | x) / q(z | x)), sp.Integer(1)),
    "sum rule leaves p(x)": (mean(p(x, z) / q(z | x)), p(x)),
    "tower": (E(q(z | x), E(q(y | x, z), log(p(x, y, z)))), E(q(y, z | x), log(p(x, y, z)))),
    "marginal": (E(q(y, z | x), log(p(z))), mean(log(p(z)))),
    "Gaussian moments": (E(Normal(a, b, 2), a**4), b**4 + 12 * b**2 + 12),
    "Gaussian mgf": (E(Normal(a, 0, 1), exp(b * a)), exp(b**2 / 2)),
    "Gaussian integral": (Integral(exp(-(a**2) + b * a), (a, -oo, oo)), sqrt(pi) * exp(b**2 / 4)),
    "normalised": (Integral(Normal(a, b, t), (a, -oo, oo)), sp.Integer(1)),
    "sum of constants": (Sum(t, (sp.Symbol("i", integer=True), 1, 5)), 5 * t),
    "units": (sqrt((1 - u) * (1 - w)) / sqrt(1 - u), sqrt(1 - w)),
    "units in logs": (log((1 - u) * (1 - w)), log(1 - u) + log(1 - w)),
}


@pytest.mark.parametrize("name", TRUE)
def test_true_steps_pass(name):
    left, right = TRUE[name]
    assert Derivation(name, left).step(right, "holds").last == right


FALSE = {
    "joint for conditional": (p(x, z), p(z | x) * p(z)),
    "marginals multiplied": (p(x, z), p(x) * p(z)),
    "log moved out": (mean(log(p(x | z))), log(mean(p(x | z)))),
    "expectation dropped": (mean(log(p(x | z))), log(p(x | z))),
    "KL swapped": (KL(q(z | x), p(z)), KL(p(z), q(z | x))),
    "KL to the posterior": (KL(q(z | x), p(z)), KL(q(z | x), p(z | x))),
    "wrong measure": (mean(log(p(x, z))), E(p(z | x), log(p(x, z)))),
    "does not sum to one": (mean(p(z | x)), sp.Integer(1)),
    "mean of a square": (E(Normal(a, b, t), a**2), b**2),
    "standard deviation as variance": (E(Normal(a, 0, t**2), a**2), t),
    "sum of D constants": (Sum(t, (sp.Symbol("i", integer=True), 1, 5)), t),
    "factor": (log(t**2), log(t)),
}


@pytest.mark.parametrize("name", FALSE)
def test_false_steps_are_refused_with_a_point_at_which_they_differ(name):
    left, right = FALSE[name]
    error = refuse(Derivation(name, left), right)
    assert error.number == 2
    assert error.residual != 0
    assert error.point
    assert abs(error.left - error.right) > 1e-6


def test_numbers_alone_do_not_make_a_step_true():
    """The numeric check finds no difference of 1e-9; algebra does."""
    error = refuse(Derivation("tiny", t**2), (t + Rational(1, 10**9)) ** 2)
    assert error.point is None
    assert math.isnan(error.left.real)
    assert "smaller step" in str(error)


def test_what_stands_in_both_lines_hides_no_small_difference():
    assert refuse(Derivation("tiny", t), t + Rational(1, 10**9)).verdict == "false"
    assert refuse(Derivation("tiny", 10**12 + t), 10**12 + 2 * t).verdict == "false"
    assert refuse(Derivation("tiny", t / 10**12), t / 10**13).verdict == "false"


def test_algebra_and_numbers_agree_on_random_identities():
    """The second opinion does not share code with the normal form: both see that a chain rule holds."""
    left, right = KL(q(y, z | x), p(y, z)), KL(q(y | x), p(y)) + E(q(y | x), KL(q(z | x, y), p(z | y)))
    for seed in range(5):
        model = Model([left, right], Assumptions(), seed)
        assert model.value(left) == pytest.approx(model.value(right), rel=1e-12)
    Derivation("chain rule of KL", left).step(right, "holds")


def test_given_is_used_and_needed():
    facts = {p(y | z): p(y | z, x)}
    line = p(x, y, z), p(x, z) * p(y | z)
    Derivation("Markov", line[0], given=facts).step(line[1], "given")
    refuse(Derivation("not Markov", line[0]), line[1])


def test_named_densities_take_the_gaussians_of_given():
    model = {p(z): Normal(z, 0, 1), q(z | x): Normal(z, b, t)}
    d = Derivation("kl", KL(q(z | x), p(z)), given=model).step((b**2 + t - 1 - log(t)) / 2, "integrals")
    assert d.as_function(b, t)(0.3, 0.5) == pytest.approx((0.09 + 0.5 - 1 - math.log(0.5)) / 2)


# What a student is told


def test_message_names_line_leftover_point_and_slip():
    with as_written():
        d = Derivation("elbo", mean(log(p(x | z) * p(z) / q(z | x))))
        text = str(refuse(d, mean(log(p(x | z))) + KL(q(z | x), p(z))))
    assert "line 2 of 'elbo' does not follow from line 1 (wrong)" in text
    assert "line 2:  E_{q(z | x)}[log(p(x | z))] + KL(q(z | x) || p(z))" in text
    assert "left over" in text
    assert "2*E_{q(z | x)}[log(p(z))]" in text
    assert "random model with two states" in text
    assert "hint: look at the sign of KL(q(z | x) || p(z))" in text


HINTS = {
    "the whole line": (a - b, b - a, "the sign of the whole line"),
    "one term": (a**2 - b, a**2 + b, "the sign of b"),
    "factor 2": (a * b, 2 * a * b, "the factor 2"),
    "factor 1/2": (a * b, a * b / 2, "the factor 1/2"),
    "KL order": (
        log(p(x)) + KL(q(z | x), p(z)),
        log(p(x)) + KL(p(z), q(z | x)),
        "the order in KL(p(z) || q(z | x))",
    ),
    "which density": (mean(log(p(x | z))), mean(log(p(x, z))), "p(x, z) in place of p(x | z)"),
    "missing term": (a**2 + b, a**2, "the term b, which may be missing"),
}


@pytest.mark.parametrize("name", HINTS)
def test_hint_finds_the_common_slip(name):
    left, right, hint = HINTS[name]
    assert f"hint: look at {hint}" in str(refuse(Derivation(name, left), right))


def test_no_hint_where_no_single_slip_explains_it():
    assert "hint" not in str(refuse(Derivation("no slip", a**2 + b), a**3 - 7 * b))


def test_point_shows_the_numbers():
    error = refuse(Derivation("square", a**2), a)
    assert error.left.real == pytest.approx(float(error.point[a]) ** 2)
    assert "at a = " in str(error)


def test_a_refused_line_is_not_added():
    d = Derivation("kept", a)
    refuse(d, b)
    assert d.last == a
    assert len(d.steps) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: q("z"), "takes random variables"),
        (lambda: E(log(t), t), "needs a density"),
        (lambda: KL(q(z | x), p(x)), "same variables"),
        (lambda: KL(q(z | x), t), "two densities"),
        (lambda: Derivation("d", log(p(x))).as_function(), "densities without numbers"),
        (lambda: Derivation("d", a * b).as_function(a), "missing [b]"),
    ],
)
def test_misuse_is_a_type_error_that_says_what_is_needed(call, words):
    with pytest.raises(TypeError) as caught:
        call()
    assert words in str(caught.value)


# Inequalities, limits, axioms


def test_log_lies_below_its_tangent_by_calculus():
    d = Derivation("log", t - 1).at_least(log(t), "tangent")
    assert (d.relation, d.steps[-1].kind, d.steps[-1].evidence) == (
        ">=",
        "calculus",
        "least value 0 at t = 1",
    )


def test_false_inequality_is_refused():
    with pytest.raises(StepError, match="not greater than or equal to"):
        Derivation("log", t - 2).at_least(log(t), "wrong")
    with pytest.raises(StepError, match="not less than or equal to"):
        Derivation("log", t).at_most(log(t), "wrong")


def test_inequality_true_at_sampled_points_alone_is_refused():
    """e^{t−1} falls below t (1 + 1e−9) on a tiny interval about 1: numbers miss it, calculus does not."""
    with pytest.raises(StepError, match="could not be done"):
        Derivation("near", sp.exp(t - 1)).at_least(t * (1 + Rational(1, 10**9)), "almost")


def test_inequality_under_an_expectation_needs_its_reason():
    ratio = p(z | x) / q(z | x)
    lines = mean(exp(ratio)), mean(1 + ratio)
    reason = {"because": exp(t) - 1 - t, "at": {t: ratio}}
    Derivation("tangent", lines[0]).at_least(lines[1], "tangent", **reason)
    with pytest.raises(StepError):
        Derivation("tangent", lines[0]).at_least(lines[1], "no reason")
    with pytest.raises(StepError):
        Derivation("tangent", lines[0]).at_least(lines[1], "not an instance", because=t**2, at={t: ratio})
    with pytest.raises(StepError):
        Derivation("tangent", lines[0]).at_least(
            lines[1], "wrong place", because=exp(t) - 1 - t, at={t: 1 / ratio}
        )


def test_a_gap_that_is_a_divergence_needs_no_reason():
    d = Derivation("bound", log(p(x))).at_least(mean(log(p(x, z) / q(z | x))), "the ELBO")
    assert d.steps[-1].evidence == "a KL is never negative"
    with pytest.raises(StepError):
        Derivation("bound", log(p(x))).at_most(mean(log(p(x, z) / q(z | x))), "the wrong way")


def test_a_positive_symbol_takes_positive_values_only():
    """t ≥ 0 holds for positive t; put in −a², it would prove −a² ≥ 0."""
    with pytest.raises(StepError):
        Derivation("sign", -(a**2)).at_least(sp.Integer(0), "wrong", because=t, at={t: -(a**2)})


def test_chain_does_not_mix_directions():
    d = Derivation("mixed", a**2 + b**2).at_least(b**2, "a square")
    with pytest.raises(ValueError, match="breaks it"):
        d.at_most(b**2 + 1, "one more")
    assert len(d.steps) == 2


@pytest.mark.parametrize(
    ("expr", "shown"),
    [
        (t**2 - t + 1, True),
        (t**2 - 2 * t, False),
        (a**2 * (1 - u), True),
        (exp(t) - 1 - t, True),
        (u - w, False),
    ],
)
def test_never_negative(expr, shown):
    assert bool(never_negative(expr)) is shown


def test_limit_is_taken_by_sympy():
    d = Derivation("limit", (1 + 1 / t) ** t).tends_to(sp.E, t, oo, "definition of e")
    assert d.relation == "->"
    assert r"\xrightarrow{t \to \infty}" in d.latex()
    with pytest.raises(StepError, match="limit of line 1 is E"):
        Derivation("limit", (1 + 1 / t) ** t).tends_to(sp.Integer(1), t, oo, "wrong")


def test_axiom_is_not_checked_and_says_so():
    d = Derivation("axiom", a).axiom(b, "taken on trust")
    assert d.steps[-1].kind == "axiom"
    assert r"\text{axiom: taken on trust}" in d.latex()
    with pytest.raises(ValueError, match="relation must be one of"):
        d.axiom(a, "unknown", relation=":=")


# Definitions, lemmas, sums


i, N = sp.Symbol("i", integer=True), sp.Symbol("N", integer=True, positive=True)
B, R = sp.IndexedBase("B", real=True), sp.IndexedBase("R", positive=True)
S = sp.Symbol("S", real=True)


def square():
    """S = (a + b)², multiplied out: a lemma for the tests."""
    return Derivation("square", (a + b) ** 2, symbol=S).step(a**2 + 2 * a * b + b**2, "multiply out")


def test_a_definition_says_what_a_name_stands_for():
    d = Derivation("encoder", q(z | x)).define(Normal(z, a, t))
    assert (d.relation, d.steps[1].kind) == (":=", "definition")
    assert d.statement() == r"q_{\phi}(z \mid x) := \mathcal{N}(z;\, a,\, t)"
    assert d.latex(compact=False).splitlines()[1] == (
        r"q_{\phi}(z \mid x) &:= \mathcal{N}(z;\, a,\, t) && \text{definition}"
    )
    assert d.change(2, Normal(z, b, t)).steps[1].kind == "definition"


@pytest.mark.parametrize("name", [S, B[i], sp.Function("f")(a)], ids=str)
def test_names_can_be_defined(name):
    assert Derivation("name", name).define(t).last == t


def test_a_density_is_defined_by_a_density_of_its_variable():
    assert Derivation("kernel", q(z | x)).define(Normal(z, a, t)).last == Normal(z, a, t)
    for wrong in (t, sp.Integer(1), Normal(x, a, t), Normal(z, z, t)):
        with pytest.raises(StepError, match="density"):
            Derivation("none", q(z | x)).define(wrong)


@pytest.mark.parametrize(
    "start", [a + b, 2 * a, sp.Integer(1), log(a), mean(a), KL(q(z | x), p(z)), Normal(z, a, t)], ids=str
)
def test_what_is_no_name_cannot_be_defined(start):
    with pytest.raises(ValueError, match="after a name"):
        Derivation("no name", start).define(t)


def test_a_definition_comes_first_and_once():
    with pytest.raises(ValueError, match="comes first"):
        Derivation("late", a).step(a + b - b, "add and take").define(b)
    with pytest.raises(ValueError, match="comes first"):
        Derivation("twice", a).define(b).define(t)


def test_what_follows_a_definition_is_checked():
    d = Derivation("square", a).define((t + 1) ** 2)
    assert refuse(d, t**2 + 1).number == 3
    assert d.step(t**2 + 2 * t + 1, "multiply out").relation == "="
    assert d.at_least(1, "t is positive").relation == ">="


def test_a_lemma_is_used_and_needed():
    left, right = S - a**2, 2 * a * b + b**2
    Derivation("rest", left, using=[square()]).step(right, "the lemma")
    refuse(Derivation("no lemma", left), right)
    refuse(Derivation("wrong use", left, using=[square()]), a * b + b**2)
    with pytest.raises(StepError):
        Derivation("kept", left, using=[square()]).step(right, "the lemma").change(2, right + a)


def test_a_lemma_is_named_by_its_symbol_or_else_its_first_line():
    assert square().named == S
    assert Derivation("bare", B[N]).step(B[N] + a - a, "add and take").named == B[N]


NO_LEMMAS = {
    "inequality": lambda: Derivation("l", t - 1).at_least(log(t), "tangent"),
    "limit": lambda: Derivation("l", 1 / t).tends_to(0, t, oo, "falls"),
    "leading order": lambda: Derivation("l", t + t**2).leading_order(t, t, 0, "first"),
    "definition": lambda: Derivation("l", a).define(b),
    "axiom": lambda: Derivation("l", a).axiom(b, "taken on trust"),
    "axiom, then a proof": lambda: Derivation("l", a).axiom(b, "on trust").step(b + a - a, "add and take"),
}


@pytest.mark.parametrize("name", NO_LEMMAS)
def test_only_a_proved_equation_is_a_lemma(name):
    with pytest.raises(ValueError, match="d can only use an equation that is proved; l is none"):
        Derivation("d", a, using=[square(), NO_LEMMAS[name]()])


def test_axioms_are_the_lines_that_were_not_checked():
    d = Derivation("d", a).step(a + b - b, "add and take").axiom(b, "on trust").step(b + 0, "the same")
    assert [step.expr for step in d.axioms] == [b]
    assert square().axioms == []


def test_a_sum_of_differences_telescopes():
    Derivation("telescope", B[N]).step(B[1] + Sum(B[i] - B[i - 1], (i, 2, N)), "telescope")
    Derivation("from 0", B[N]).step(B[0] + Sum(B[i] - B[i - 1], (i, 1, N)), "telescope")
    Derivation("forward", B[N + 1]).step(B[1] + Sum(B[i + 1] - B[i], (i, 1, N)), "telescope")


SUMS = {
    "begun one early": (B[N], B[1] + Sum(B[i] - B[i - 1], (i, 1, N))),
    "begun one late": (B[N], B[1] + Sum(B[i] - B[i - 1], (i, 3, N))),
    "ended one early": (B[N], B[1] + Sum(B[i] - B[i - 1], (i, 2, N - 1))),
    "ended one late": (B[N], B[1] + Sum(B[i] - B[i - 1], (i, 2, N + 1))),
    "first member forgotten": (B[N], Sum(B[i] - B[i - 1], (i, 2, N))),
    "differences turned round": (B[N], B[1] + Sum(B[i - 1] - B[i], (i, 2, N))),
    "index not moved": (Sum(B[i - 1], (i, 2, N)), Sum(B[i], (i, 2, N))),
    "end not moved": (Sum(B[i - 1], (i, 2, N)), Sum(B[i], (i, 1, N))),
    "forward, end not moved": (B[N], B[1] + Sum(B[i + 1] - B[i], (i, 1, N))),
    "square of a sum": (Sum(B[i], (i, 1, N)) ** 2, Sum(B[i] ** 2, (i, 1, N))),
    "sum of a product": (Sum(B[i] * R[i], (i, 1, N)), Sum(B[i], (i, 1, N)) * Sum(R[i], (i, 1, N))),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_that_is_off_is_refused_at_a_point(name):
    left, right = SUMS[name]
    error = refuse(Derivation(name, left), right)
    assert abs(error.left - error.right) > 1e-6


def test_the_evidence_is_an_integral():
    Derivation("evidence", p(x)).step(Integral(p(x | z) * p(z), z), "sum rule")
    Derivation("two causes", p(x)).step(Integral(p(x, y, z), y, z), "sum rule")
    Derivation("one of two", p(x, z)).step(Integral(p(x, y, z), y), "sum rule")


INTEGRALS = {
    "prior forgotten": (p(x), Integral(p(x | z), z)),
    "posterior for the likelihood": (p(x), Integral(p(z | x) * p(z), z)),
    "over x": (p(x), Integral(p(x | z) * p(z), x)),
    "encoder for the prior": (p(x), Integral(p(x | z) * q(z | x), z)),
    "log moved inside": (log(p(x)), Integral(log(p(x | z) * p(z)), z)),
    "one cause left": (p(x), Integral(p(x, y, z), y)),
    "a square integrated": (p(x), Integral(p(x, z) ** 2, z)),
}


@pytest.mark.parametrize("name", INTEGRALS)
def test_a_wrong_integral_is_refused_in_a_random_model(name):
    left, right = INTEGRALS[name]
    error = refuse(Derivation(name, left), right)
    assert abs(error.left - error.right) > 1e-6
    assert "random model with two states" in str(error)


TANGENT = {"because": t - 1 - log(t), "at": {t: R[i]}}
LOGS = Sum(log(R[i]), (i, 1, N))


def test_inequality_under_a_sum():
    d = Derivation("sum", LOGS).at_most(Sum(R[i] - 1, (i, 1, N)), "tangent", **TANGENT)
    assert (d.relation, d.steps[-1].evidence) == ("<=", "least value 0 at t = 1")


SUM_BOUNDS = {
    "no reason": (Sum(R[i] - 1, (i, 1, N)), {}),
    "another range": (Sum(R[i] - 1, (i, 2, N)), TANGENT),
    "1 taken off once": (Sum(R[i], (i, 1, N)) - 1, TANGENT),
    "tangent at the wrong place": (Sum(R[i] - 1, (i, 1, N)), TANGENT | {"at": {t: 1 / R[i]}}),
    "reason that is not true": (Sum(R[i] - 2, (i, 1, N)), TANGENT | {"because": t - 2 - log(t)}),
}


@pytest.mark.parametrize("name", SUM_BOUNDS)
def test_wrong_inequality_under_a_sum_is_refused(name):
    right, reason = SUM_BOUNDS[name]
    with pytest.raises(StepError):
        Derivation(name, LOGS).at_most(right, "wrong", **reason)


def test_inequality_under_a_sum_keeps_its_direction_and_its_sign():
    with pytest.raises(StepError, match="not greater than or equal to"):
        Derivation("direction", LOGS).at_least(Sum(R[i] - 1, (i, 1, N)), "wrong", **TANGENT)
    with pytest.raises(StepError):  # B may be negative, where t may not
        Derivation("sign", Sum(log(B[i]), (i, 1, N))).at_most(
            Sum(B[i] - 1, (i, 1, N)), "wrong", because=t - 1 - log(t), at={t: B[i]}
        )


@pytest.mark.parametrize(
    ("left", "right", "holds"),
    [
        (log(1 - u / 2), -u, True),  # concave on (0, 1), and its chord
        (log(1 - u), -u, False),
        (log(1 - u), -2 * u, False),  # true up to 0.79
        (-log(1 - u), u, True),
        (u, u**2, True),
        (u - u**2, Rational(1, 4), False),
        (u * (1 - u), sp.Integer(0), True),
    ],
    ids=str,
)
def test_calculus_on_a_unit_stays_between_0_and_1(left, right, holds):
    d = Derivation("unit", left)
    if holds:
        assert d.at_least(right, "calculus").relation == ">="
    else:
        with pytest.raises(StepError, match="not greater than or equal to"):
            d.at_least(right, "wrong")
    with pytest.raises(StepError):  # beyond 1 each of them fails, or is not defined
        Derivation("positive", left.subs(u, t)).at_least(right.subs(u, t), "wrong")


def test_leading_order_is_the_limit_of_a_ratio():
    d = Derivation("sine", sp.sin(t) + t**2, symbol=sp.Symbol("f")).leading_order(t, t, 0, "series")
    assert (d.relation, d.steps[-1].kind) == ("~", "limit")
    assert d.statement() == r"f \overset{t \to 0}{\sim} t"
    assert r"\overset{t \to 0}{\sim} t" in d.latex()
    assert [step.kind for step in d.change(1, t).steps] == ["start", "limit"]


@pytest.mark.parametrize(
    ("wrong", "ratio"), [(2 * t, "1/2"), (t**2, "oo"), (sqrt(t), "0"), (-t, "-1"), (t + 1, "0")], ids=str
)
def test_wrong_leading_order_is_refused_with_the_ratio(wrong, ratio):
    with pytest.raises(StepError, match=rf"the limit of the ratio is {ratio}\)"):
        Derivation("sine", sp.sin(t) + t**2).leading_order(wrong, t, 0, "wrong")


def test_leading_order_and_limit_are_not_the_same():
    with pytest.raises(StepError):
        Derivation("falls", 1 / t).leading_order(0, t, oo, "it tends to 0, and no ratio to 1")
    with pytest.raises(ValueError, match="breaks it"):
        Derivation("falls", 1 / (1 + t)).leading_order(1 / t, t, oo, "largest").tends_to(0, t, oo, "falls")


@pytest.mark.parametrize(
    ("build", "tex"),
    [
        (square, "S = "),
        (lambda: Derivation("d", t - 1).at_least(log(t), "tangent"), r"-1 + t \ge \log t"),
        (
            lambda: Derivation("d", 1 / t).tends_to(0, t, oo, "falls"),
            r"\frac{1}{t} \xrightarrow{t \to \infty} 0",
        ),
        (
            lambda: Derivation("d", t - 1).at_least(log(t), "tangent").step(log(t**2) / 2, "the same"),
            r"-1 + t \ge \frac{1}{2} \log t^{2}",
        ),
    ],
)
def test_statement_is_the_name_and_the_result(build, tex):
    assert build().statement().startswith(tex)
    assert latex(build().last) in build().statement()
    assert "&" not in build().statement()


def test_the_numeric_check_draws_no_model_in_which_a_positive_symbol_is_negative():
    width = sp.Symbol("width", positive=True)
    facts = {width: a - b}
    values = [Model([width], Assumptions(facts), seed).value(width) for seed in range(20)]
    assert min(values) > 0
    assert min(Model([a - b], Assumptions(), seed).value(a - b) for seed in range(20)) < 0
    assert Derivation("width", width, given=facts).at_least(0, "a width", because=width).relation == ">="
    with pytest.raises(StepError):
        Derivation("no width", S, given={S: a - b}).at_least(0, "wrong", because=S)


def test_a_notebook_shows_the_message_and_not_the_engine(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    from IPython.core.interactiveshell import InteractiveShell

    error = refuse(Derivation("square", a**2), a)
    shell = InteractiveShell(user_ns={"error": error})
    shell.run_cell("raise error")
    shown = capsys.readouterr()
    assert re.sub(r"\x1b\[\d*m", "", shown.out + shown.err).strip() == f"StepError: {error}"
    assert "\x1b[" in shown.out + shown.err  # what differs is in colour
    shell.run_cell("raise ValueError('other')")  # any other error keeps its traceback
    assert "Traceback" in capsys.readouterr().out


# Changing a line


def test_change_checks_every_line_again():
    d = Derivation("chain", a + b).step(b + a, "swap").step(2 * b + a - b, "add and take")
    assert d.change(2, a + b).last == d.last
    for number, at in ((1, 2), (2, 2), (3, 3)):
        with pytest.raises(StepError) as caught:
            d.change(number, a - b)
        assert caught.value.number == at
    assert len(d.steps) == 3
    with pytest.raises(IndexError, match="lines 1 to 3"):
        d.change(4, a)


def test_change_keeps_the_kinds_of_steps():
    d = Derivation("kinds", t - 1).at_least(log(t), "tangent").axiom(a, "trust", relation=">=")
    assert [s.kind for s in d.change(3, b).steps] == ["start", "calculus", "axiom"]


# Printing


def written(build):
    with as_written():
        return latex(build())


@pytest.mark.parametrize(
    ("build", "tex"),
    [
        (lambda: b + a, "b + a"),
        (lambda: b - (a - 1), r"b - \left(a - 1\right)"),
        (lambda: b - a - 1, "b - a - 1"),
        (lambda: z * a / (2 * t) * b, r"\frac{z a}{2 t} \, b"),
        (lambda: -(a**2) / 2, r"-\frac{a^{2}}{2}"),
        (lambda: Rational(1, 2) / Rational(9, 10), r"\frac{1/2}{9/10}"),
        (lambda: (a / b - t) / 2, r"\frac{1}{2} \left(\frac{a}{b} - t\right)"),
        (lambda: (a - b) / (a / (a + b)), r"\frac{a - b}{a/\left(a + b\right)}"),
        (lambda: t / (a + b) ** Rational(3, 2), r"\frac{t}{\left(a + b\right)^{3/2}}"),
        (lambda: a / b * -t, r"\frac{a}{b} \, \left(-t\right)"),
        (
            lambda: Rational(-2, 3) * (z - t) / Rational(1, 2),
            r"\frac{\left(-2/3\right) \left(z - t\right)}{1/2}",
        ),
        (lambda: Rational(1, 2) * (b - a), r"\frac{1}{2} \left(b - a\right)"),
        (
            lambda: log(p(x | z) * p(z) / q(z | x)),
            r"\log \frac{p_{\theta}(x \mid z) p(z)}{q_{\phi}(z \mid x)}",
        ),
        (lambda: log(a / b * (b / a)), r"\log\left(\frac{a}{b} \, \frac{b}{a}\right)"),
        (lambda: log(b) * a, r"\left(\log b\right) a"),
        (lambda: KL(q(z | x), p(z)), r"\mathrm{KL}\left(q_{\phi}(z \mid x) \,\|\, p(z)\right)"),
        (lambda: mean(p(x)), r"\mathbb{E}_{q_{\phi}(z \mid x)}\left[p_{\theta}(x)\right]"),
        (lambda: E(Normal(a, 0, 1), a), r"\mathbb{E}_{a \sim \mathcal{N}(0, 1)}\left[a\right]"),
        (lambda: sqrt(Unit("alphabar_{t-1}")), r"\sqrt{\bar{\alpha}_{t-1}}"),
        (lambda: sp.Symbol("epsilon_theta"), r"\varepsilon_{\theta}"),
        (
            lambda: Integral(Normal(z, 0, 1), (z, -oo, oo)),
            r"\int_{-\infty}^{\infty} \mathcal{N}(z;\, 0,\, 1) \, dz",
        ),
    ],
)
def test_latex_keeps_what_was_written(build, tex):
    assert written(build) == tex


def test_consecutive_variables_print_as_a_range():
    steps = [RandomVariable(f"x_{i}") for i in range(4)]
    assert latex(q(*steps[1:3], steps[3] | steps[0])) == r"q_{\phi}(x_{1:3} \mid x_{0})"
    assert latex(q(steps[1], steps[3])) == r"q_{\phi}(x_{1}, x_{3})"


def test_layouts():
    d = Derivation("d", a, symbol=sp.Symbol("f"), given={b: a}).step(b, "given")
    right, below = d.latex(compact=False), d.latex(compact=True)
    assert right == (
        "\\begin{aligned}\n&\\text{given}\\quad b = a \\\\[1ex]\nf := a &= b && \\text{given}\n\\end{aligned}"
    )
    assert below.count("\\\\") == 3
    assert "given}\\quad" not in d.latex(given=False)
    assert d._repr_latex_() == f"$${d.latex()}$$"
    assert repr(Derivation("d", a, title="a title").step(a, "same")).splitlines() == [
        "d: a title",
        "     a",
        "   = a    [same]",
    ]


def test_only_the_assumptions_that_occur_are_printed():
    d = Derivation("d", a, given={a: b, b: t, u: w})
    assert r"a = b,\quad b = t" in d.latex()
    assert "u = w" not in d.latex()


def test_width_counts_the_longer_half_of_a_fraction():
    assert width("a b c") == 3
    assert width(r"\frac{a b c}{d}") == width(r"\frac{d}{a b c}") == 3.5
    assert width("x_{t}") == pytest.approx(1.7)


# The pieces


def test_moments_are_sympys_integrals():
    m, v = sp.symbols("m v")
    assert [moment(n) for n in range(4)] == [1, m, m**2 + v, m**3 + 3 * m * v]


def test_normal_form_is_the_same_for_equal_things():
    lines = [log(p(x, z)), log(p(z | x)) + log(p(x))]
    form = NormalForm(Assumptions())
    assert form(lines[0]) == form(lines[1])


def test_a_random_model_averages_over_two_states():
    line = mean(log(p(x)))
    model = Model([line, log(p(x))], Assumptions(), seed=1)
    assert model.value(line) == pytest.approx(model.value(log(p(x))))
    assert model.value(KL(q(z | x), q(z | x))) == pytest.approx(0, abs=1e-15)


def test_as_function_orders_its_arguments():
    d = Derivation("d", a - b)
    assert d.as_function(a, b)(3, 1) == 2
    assert d.as_function(b, a)(3, 1) == -2
    assert d.as_function()(3, 1) == 2


def test_a_name_is_not_defined_by_itself():
    with pytest.raises(ValueError, match="cannot be defined by itself"):
        Derivation("circle", a).define(a + 1)
